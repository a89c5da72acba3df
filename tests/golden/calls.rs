//! Calls between two phones: made by CTI or dialled; answered, refused, given up, not answered.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventAbandoned, EventDialing, EventEstablished, EventReleased, EventRinging};

use super::check;
use crate::rig::cti::Desk;
use crate::rig::phone::Phone;
use crate::rig::server::{Server, Setup};

const ALICE: &str = "sip:1001@tandem.local";
const BOB: &str = "sip:1002@tandem.local";

/// A server, the phones of Alice and Bob, and a desk that sees both.
async fn scene(setup: Setup) -> (Server, Phone, Phone, Desk) {
    let server = setup.trusted_phone("1001").trusted_phone("1002").start().await;
    let alice = Phone::register("1001", server.sip).await;
    let bob = Phone::register("1002", server.sip).await;
    let desk = Desk::on(server.http, &[ALICE, BOB]).await;
    (server, alice, bob, desk)
}

/// Nothing more comes, the transcripts are as they should be, and the server lives.
async fn end(mut server: Server, mut desk: Desk, name: &str) {
    server.idle().await;
    desk.settled().await;
    check(name, &desk.frames, [ALICE, BOB]);
    server.alive().await;
}

#[tokio::test]
async fn a_call_by_cti_answered_and_hung_up_by_the_caller() {
    let (server, alice, bob, mut desk) = scene(Setup::new()).await;
    desk.request(ClientRequest::make_call(ALICE, BOB)).await;
    let invite = alice.rings().await;
    let talk = alice.picks_up(&invite).await;
    let invite = bob.rings().await;
    bob.picks_up(&invite).await;
    desk.expect(EventEstablished, BOB).await;
    alice.hangs_up(&talk).await;
    bob.is_hung_up_on().await;
    end(server, desk, "make_call_hung_up_by_caller").await;
}

#[tokio::test]
async fn a_call_by_cti_released_by_cti() {
    let (server, alice, bob, mut desk) = scene(Setup::new()).await;
    desk.request(ClientRequest::make_call(ALICE, "1002")).await;
    let invite = alice.rings().await;
    alice.picks_up(&invite).await;
    let invite = bob.rings().await;
    bob.picks_up(&invite).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, BOB).await);
    desk.request(ClientRequest::release_call(BOB, call)).await;
    tokio::join!(alice.is_hung_up_on(), bob.is_hung_up_on());
    end(server, desk, "make_call_released_by_callee").await;
}

#[tokio::test]
async fn a_dialled_call_answered_and_hung_up_by_the_callee() {
    let (server, alice, bob, mut desk) = scene(Setup::new()).await;
    let attempt = alice.dial("1002").await;
    let invite = bob.rings().await;
    let talk = bob.picks_up(&invite).await;
    alice.answered(attempt).await;
    desk.expect(EventEstablished, BOB).await;
    bob.hangs_up(&talk).await;
    alice.is_hung_up_on().await;
    end(server, desk, "dialled_hung_up_by_callee").await;
}

#[tokio::test]
async fn a_dialled_call_cleared_by_cti() {
    let (server, alice, bob, mut desk) = scene(Setup::new()).await;
    let attempt = alice.dial("1002").await;
    let invite = bob.rings().await;
    bob.picks_up(&invite).await;
    alice.answered(attempt).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, BOB).await);
    desk.request(ClientRequest::clear_call(ALICE, call)).await;
    tokio::join!(alice.is_hung_up_on(), bob.is_hung_up_on());
    end(server, desk, "dialled_cleared").await;
}

#[tokio::test]
async fn a_caller_hangs_up_while_it_rings() {
    let (server, alice, bob, mut desk) = scene(Setup::new()).await;
    let attempt = alice.dial("1002").await;
    let invite = bob.rings().await;
    alice.hears_ringing().await;
    tokio::join!(alice.cancels(&attempt), bob.is_cancelled(&invite));
    desk.expect(EventAbandoned, BOB).await;
    end(server, desk, "dialled_abandoned").await;
}

#[tokio::test]
async fn a_callee_is_busy() {
    let (server, alice, bob, desk) = scene(Setup::new()).await;
    let attempt = alice.dial("1002").await;
    let invite = bob.rings().await;
    bob.refuses(&invite, "486 Busy Here").await;
    assert_eq!(alice.refused(&attempt).await, 486);
    end(server, desk, "dialled_busy").await;
}

#[tokio::test]
async fn a_callee_does_not_answer() {
    let (server, alice, bob, desk) = scene(Setup::new().sip("ring_timeout_ms = 1000")).await;
    let attempt = alice.dial("1002").await;
    let invite = bob.rings().await;
    bob.is_cancelled(&invite).await;
    assert_eq!(alice.refused(&attempt).await, 480);
    end(server, desk, "dialled_not_answered").await;
}

#[tokio::test]
async fn a_number_that_nobody_has() {
    let (server, alice, _bob, desk) = scene(Setup::new()).await;
    let attempt = alice.dial("7777").await;
    assert_eq!(alice.refused(&attempt).await, 404);
    end(server, desk, "dialled_unknown").await;
}

#[tokio::test]
async fn a_caller_refuses_the_call_that_was_made_for_it() {
    let (server, alice, _bob, mut desk) = scene(Setup::new()).await;
    desk.request(ClientRequest::make_call(ALICE, BOB)).await;
    let invite = alice.rings().await;
    alice.refuses(&invite, "603 Decline").await;
    end(server, desk, "make_call_refused_by_caller").await;
}

#[tokio::test]
async fn a_call_by_cti_to_a_busy_callee() {
    let (server, alice, bob, mut desk) = scene(Setup::new()).await;
    desk.request(ClientRequest::make_call(ALICE, BOB)).await;
    let invite = alice.rings().await;
    alice.picks_up(&invite).await;
    let invite = bob.rings().await;
    bob.refuses(&invite, "486 Busy Here").await;
    alice.is_hung_up_on().await;
    desk.expect(EventReleased, ALICE).await;
    end(server, desk, "make_call_busy").await;
}

#[tokio::test]
async fn a_call_to_a_phone_that_is_not_there() {
    let server = Setup::new().trusted_phone("1001").trusted_phone("1002").start().await;
    let alice = Phone::register("1001", server.sip).await;
    let desk = Desk::on(server.http, &[ALICE, BOB]).await;
    let attempt = alice.dial("1002").await;
    assert_eq!(alice.refused(&attempt).await, 480);
    end(server, desk, "dialled_not_registered").await;
}

#[tokio::test]
async fn a_call_from_a_phone_that_is_not_there() {
    let server = Setup::new().trusted_phone("1001").trusted_phone("1002").start().await;
    let mut desk = Desk::on(server.http, &[ALICE, BOB]).await;
    desk.ask(ClientRequest::make_call(ALICE, BOB)).await;
    end(server, desk, "make_call_not_registered").await;
}

#[tokio::test]
async fn a_call_by_cti_released_while_it_rings() {
    let (server, alice, bob, mut desk) = scene(Setup::new()).await;
    desk.request(ClientRequest::make_call(ALICE, BOB)).await;
    let call = Desk::call_of(&desk.expect(EventDialing, ALICE).await);
    let invite = alice.rings().await;
    alice.picks_up(&invite).await;
    let invite = bob.rings().await;
    // His phone has said so; the server need not have heard it yet.
    desk.expect(EventRinging, BOB).await;
    desk.request(ClientRequest::release_call(ALICE, call)).await;
    tokio::join!(alice.is_hung_up_on(), bob.is_cancelled(&invite));
    desk.expect(EventAbandoned, BOB).await;
    end(server, desk, "make_call_released_while_ringing").await;
}
