//! SIPp on all sides: transfers that come to nothing, and parties that leave in the middle. What each of them sees is in its scenario:
//! the NOTIFYs of the REFER, and who is hung up on by whom. After each case no call is left in the server.

use crate::interop::sessions::{WITHOUT_REFER, caller, scene};
use crate::rig::server::{Server, Setup};
use crate::rig::sipp::{Running, Sipp};
use crate::rig::wait;

/// Where the audio goes through the server from the start, nobody has to be told of a third party.
fn anchored() -> Setup {
    Setup::new().tables("[media]\nmode = \"anchored\"")
}

/// The party that is to be transferred: it stays until it is hung up on.
async fn callee(port: u16) -> Running {
    let callee = Sipp::callee("callee_is_transferred", port);
    callee.value("allow", WITHOUT_REFER).start().await
}

/// The party that transfers, and is told of this end.
fn transferor(scenario: &str, server: &Server, outcome: &str) -> Sipp {
    caller(scenario, server)
        .value("target", "2002")
        .value("outcome", outcome)
        .value("more", "X-None: 1")
        .value("replaces", "")
}

/// All that was begun is over for CTI too.
async fn no_call_is_left(server: &Server) {
    wait::until("the end of the call", wait::SOON, async || {
        match server.metrics().await.sum("tandem_calls_active") {
            Some(0.0) => Ok(()),
            calls => Err(format!("{calls:?} calls")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_blind_transfer_to_a_target_that_does_not_come_fails_and_the_call_goes_on() {
    let (mut server, port, target_port) = scene(anchored().sip("ring_timeout_ms = 1000")).await;
    // It does not answer.
    let peer = callee(port).await;
    let target = Sipp::callee("callee_cancelled", target_port).start().await;
    transferor("caller_transfers_in_vain", &server, "480").run().await;
    target.succeeds().await;
    peer.succeeds().await;
    no_call_is_left(&server).await;
    // There is nobody.
    let peer = callee(port).await;
    transferor("caller_transfers_in_vain", &server, "500").run().await;
    peer.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn somebody_leaves_during_a_blind_transfer() {
    let (mut server, port, target_port) = scene(anchored()).await;
    // The one that is transferred, while the target rings.
    let peer = Sipp::callee("callee_hangs_up_when_told", port).start().await;
    let target = Sipp::callee("callee_cancelled", target_port).start().await;
    transferor("caller_transfers_and_is_left", &server, "481").run().await;
    target.succeeds().await;
    peer.succeeds().await;
    no_call_is_left(&server).await;
    // The one that transfers, when the target rings: it has transferred, and what becomes of it is between the other two.
    let peer = callee(port).await;
    let target = Sipp::callee("callee_refuses_late", target_port);
    let target = target.value("ring_ms", "500").value("status", "603").start().await;
    transferor("caller_transfers_and_leaves", &server, "200").run().await;
    target.succeeds().await;
    peer.succeeds().await;
    no_call_is_left(&server).await;
    // The target, as soon as it has answered.
    let peer = callee(port).await;
    let target = Sipp::callee("callee_answers_late", target_port);
    let target = target.value("ring_ms", "0").value("talk_ms", "0").start().await;
    transferor("caller_transfers_for_a_moment", &server, "").run().await;
    target.succeeds().await;
    peer.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn an_attended_transfer_to_a_target_that_is_gone_fails_and_the_held_call_is_taken_back() {
    let (mut server, port, target_port) = scene(Setup::new()).await;
    // It hangs up while the two are joined.
    let peer = callee(port).await;
    let target = Sipp::callee("callee_hangs_up_when_joined", target_port).start().await;
    transferor("caller_transfers_attended_in_vain", &server, "481").run().await;
    target.succeeds().await;
    peer.succeeds().await;
    no_call_is_left(&server).await;
    // It has hung up before.
    let peer = callee(port).await;
    let target = Sipp::callee("callee_hangs_up", target_port).start().await;
    transferor("caller_transfers_to_one_who_is_gone", &server, "481").run().await;
    target.succeeds().await;
    peer.succeeds().await;
    no_call_is_left(&server).await;
    // Nobody has had that dialog; the second one wants to hear nothing of it but the refusal.
    let nobody = "?Replaces=nobody%3Bto-tag%3Dnone%3Bfrom-tag%3Dnone";
    let peer = callee(port).await;
    caller("caller_transfers_in_vain", &server)
        .value("target", "2002")
        .value("outcome", "481")
        .value("more", "X-None: 1")
        .value("replaces", nobody)
        .run()
        .await;
    peer.succeeds().await;
    no_call_is_left(&server).await;
    let peer = callee(port).await;
    caller("caller_is_refused_a_transfer", &server)
        .value("target", "2002")
        .value("status", "603")
        .value("more", "Refer-Sub: false")
        .value("replaces", nobody)
        .run()
        .await;
    peer.succeeds().await;
    server.alive_and_idle().await;
}
