//! Two real phones that register with digest, call each other, and hear each other. A desk that watches both gets the same
//! transcripts, word by word, as with the phones that the golden tests play.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventAbandoned, EventEstablished, EventReleased, EventRinging};

use crate::golden::check;
use crate::rig::baresip::{Answer, Baresip, longest_run};
use crate::rig::cti::Desk;
use crate::rig::server::{Server, Setup};
use crate::rig::wait;

const ALICE: &str = "sip:1001@tandem.local";
const BOB: &str = "sip:1002@tandem.local";
/// Neither is a harmonic of the other.
const ALICE_HZ: f64 = 440.0;
const BOB_HZ: f64 = 620.0;

/// Debian's baresip stops at a challenge that it does not understand, instead of looking at the next (RFC 8760 s.2.3): it needs a
/// server that offers MD5 alone.
fn setup() -> Setup {
    Setup::new().sip("digest_algorithms = [\"MD5\"]")
}

async fn scene(of_bob: Answer) -> (Server, Baresip, Baresip, Desk) {
    let server = setup().phone("1001").phone("1002").start().await;
    let alice = Baresip::start("1001", server.sip, ALICE_HZ, Answer::Auto).await;
    let bob = Baresip::start("1002", server.sip, BOB_HZ, of_bob).await;
    server.registered(2).await;
    let desk = Desk::on(server.http, &[ALICE, BOB]).await;
    (server, alice, bob, desk)
}

/// Each hears the other's tone, and not its own.
async fn hear_each_other(alice: &Baresip, bob: &Baresip) {
    tokio::join!(alice.hears(BOB_HZ), bob.hears(ALICE_HZ));
    assert_eq!(longest_run(&alice.heard(), ALICE_HZ), 0, "Alice hears herself");
    assert_eq!(longest_run(&bob.heard(), BOB_HZ), 0, "Bob hears himself");
}

async fn end(mut server: Server, mut desk: Desk, name: &str) {
    server.idle().await;
    desk.settled().await;
    check(name, &desk.frames, [ALICE, BOB]);
    server.alive().await;
}

#[tokio::test]
async fn a_call_by_cti_is_heard_both_ways_and_hung_up_by_the_caller() {
    let (server, mut alice, mut bob, mut desk) = scene(Answer::Auto).await;
    desk.request(ClientRequest::make_call(ALICE, BOB)).await;
    desk.expect(EventEstablished, BOB).await;
    hear_each_other(&alice, &bob).await;
    alice.hang_up().await;
    bob.expect("CALL_CLOSED").await;
    desk.expect(EventReleased, BOB).await;
    end(server, desk, "make_call_hung_up_by_caller").await;
}

#[tokio::test]
async fn a_call_by_cti_is_heard_both_ways_and_released_by_cti() {
    let (server, mut alice, mut bob, mut desk) = scene(Answer::Auto).await;
    desk.request(ClientRequest::make_call(ALICE, "1002")).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, BOB).await);
    hear_each_other(&alice, &bob).await;
    desk.request(ClientRequest::release_call(BOB, call)).await;
    tokio::join!(alice.expect("CALL_CLOSED"), bob.expect("CALL_CLOSED"));
    end(server, desk, "make_call_released_by_callee").await;
}

#[tokio::test]
async fn a_dialled_call_is_heard_both_ways_and_hung_up_by_the_callee() {
    let (server, mut alice, mut bob, mut desk) = scene(Answer::Manual).await;
    alice.dial(BOB).await;
    bob.expect("CALL_INCOMING").await;
    bob.accept().await;
    desk.expect(EventEstablished, BOB).await;
    hear_each_other(&alice, &bob).await;
    bob.hang_up().await;
    alice.expect("CALL_CLOSED").await;
    desk.expect(EventReleased, BOB).await;
    end(server, desk, "baresip_dialled_hung_up_by_callee").await;
}

#[tokio::test]
async fn a_caller_gives_up_while_it_rings() {
    let (server, mut alice, mut bob, mut desk) = scene(Answer::Manual).await;
    alice.dial(BOB).await;
    tokio::join!(alice.expect("CALL_RINGING"), bob.expect("CALL_INCOMING"));
    alice.hang_up().await;
    bob.expect("CALL_CLOSED").await;
    desk.expect(EventAbandoned, BOB).await;
    end(server, desk, "baresip_abandoned").await;
}

#[tokio::test]
async fn a_callee_turns_a_call_down() {
    let (server, mut alice, mut bob, mut desk) = scene(Answer::Manual).await;
    desk.request(ClientRequest::make_call(ALICE, BOB)).await;
    desk.expect(EventRinging, BOB).await;
    bob.expect("CALL_INCOMING").await;
    bob.hang_up().await;
    alice.expect("CALL_CLOSED").await;
    desk.expect(EventReleased, BOB).await;
    end(server, desk, "baresip_refused").await;
}

#[tokio::test]
async fn a_wrong_password_does_not_register() {
    let mut server = setup()
        .tables("[[dn]]\ndn = \"sip:1001@tandem.local\"\npassword = \"another\"")
        .start()
        .await;
    let _phone = Baresip::start("1001", server.sip, ALICE_HZ, Answer::Auto).await;
    wait::until("a failed authentication", wait::SOON, async || {
        let failures = server
            .metrics()
            .await
            .sum("tandem_sip_auth_failures_total")
            .unwrap_or_default();
        if failures > 0.0 { Ok(()) } else { Err(failures.to_string()) }
    })
    .await;
    assert_eq!(server.metrics().await.sum("tandem_sip_registrations_active"), Some(0.0));
    server.alive_and_idle().await;
}
