//! Call control with real phones: their recordings prove who heard whom before, during and after. What the parties are told is
//! the same as with the phones that the golden tests play, so only the events are waited for here that say how far a flow is.
//!
//! What this version of baresip cannot do (a 302, an INVITE with Replaces, `Event: talk`) a phone of our own does, and the real ones are
//! the others.

mod conference;
mod consultation;
mod forwarding;
mod hold;
mod phone;
mod ringing;

use futures_util::future::join_all;
use tandem_wire::ClientRequest;
use tandem_wire::model::ConnId;
use tandem_wire::model::EventName::EventEstablished;

use crate::golden::stage::{Stage, dn};
use crate::rig::baresip::{Answer, Baresip, another_second};
use crate::rig::server::Setup;
use crate::rig::voice::tone_of;

/// A server, its desk, and phones that pick up by themselves.
async fn scene<const PHONES: usize>(numbers: [&str; PHONES]) -> (Stage, [Baresip; PHONES]) {
    scene_of(Setup::new(), numbers, &[], &[]).await
}

/// The same with more configuration. Those `by_hand` ring until the test picks up; those of `ours` have DNs that the desk watches, and no
/// phone yet.
async fn scene_of<const PHONES: usize>(
    setup: Setup,
    numbers: [&str; PHONES],
    by_hand: &[&str],
    ours: &[&str],
) -> (Stage, [Baresip; PHONES]) {
    // Debian's baresip knows MD5 only.
    let setup = setup.sip("digest_algorithms = [\"MD5\"]");
    let setup = numbers.iter().fold(setup, |setup, number| setup.phone(number));
    let setup = ours.iter().fold(setup, |setup, number| setup.trusted_phone(number));
    let server = setup.start().await;
    let phones = numbers.map(|number| {
        let answer = if by_hand.contains(&number) {
            Answer::Manual
        } else {
            Answer::Auto
        };
        Baresip::start(number, server.sip, tone_of(number), answer)
    });
    let phones = join_all(phones).await;
    server.registered(PHONES).await;
    let stage = Stage::before(server, &[&numbers[..], ours].concat()).await;
    let phones = phones
        .try_into()
        .unwrap_or_else(|_| unreachable!("one phone for each number"));
    (stage, phones)
}

/// Alice is connected with Bob.
async fn talk(stage: &mut Stage) -> ConnId {
    stage.asks(ClientRequest::make_call(&dn("1001"), "1002")).await;
    let call = stage.event(EventEstablished, "1002").await;
    stage.event(EventEstablished, "1001").await;
    call
}

/// The call is cleared, and what was told of it is not looked at any more: another one can begin.
async fn clears(stage: &mut Stage, number: &str, call: ConnId) {
    stage.asks(ClientRequest::clear_call(&dn(number), call)).await;
    another_second().await;
    stage.begins();
}

/// The call is cleared, nothing is left of it, and the server lives.
async fn end(mut stage: Stage, number: &str, call: ConnId) {
    stage.asks(ClientRequest::clear_call(&dn(number), call)).await;
    stage.server.alive_and_idle().await;
}
