//! Call control with real phones: their recordings prove who heard whom before, during and after. What the parties are told is
//! the same as with the phones that the golden tests play, so only the events are waited for here that say how far a flow is.

use tandem_wire::ClientRequest;
use tandem_wire::model::ConnId;
use tandem_wire::model::EventName::{
    EventEstablished, EventHeld, EventPartyAdded, EventPartyChanged, EventPartyDeleted, EventReleased, EventRetrieved,
    EventRinging,
};
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};

use crate::golden::stage::{Stage, dn, on_call, on_two, with};
use crate::rig::baresip::{Answer, Baresip, hear};
use crate::rig::cti::Desk;
use crate::rig::server::Setup;
use crate::rig::voice::tone_of;

/// A server, its desk, and phones that pick up by themselves.
async fn scene<const PHONES: usize>(numbers: [&str; PHONES]) -> (Stage, [Baresip; PHONES]) {
    scene_of(numbers, |_| Answer::Auto).await
}

async fn scene_of<const PHONES: usize>(numbers: [&str; PHONES], answer: impl Fn(&str) -> Answer) -> (Stage, [Baresip; PHONES]) {
    // Debian's baresip knows MD5 only.
    let setup = Setup::new().sip("digest_algorithms = [\"MD5\"]");
    let setup = numbers.iter().fold(setup, |setup, number| setup.phone(number));
    let server = setup.start().await;
    let mut phones = Vec::new();
    for number in numbers {
        phones.push(Baresip::start(number, server.sip, tone_of(number), answer(number)).await);
    }
    server.registered(PHONES).await;
    let stage = Stage::before(server, &numbers).await;
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

/// Baresip does not take `Event: talk`: the desktop is told so at once, and the phone rings on.
#[tokio::test]
async fn a_phone_that_cannot_be_told_to_answer_is_picked_up_by_hand() {
    let manual = |number: &str| if number == "1002" { Answer::Manual } else { Answer::Auto };
    let (mut stage, [alice, mut bob]) = scene_of(["1001", "1002"], manual).await;
    stage.asks(ClientRequest::make_call(&dn("1001"), "1002")).await;
    let call = stage.event(EventRinging, "1002").await;
    let reference = stage.sends(on_call(OnCall::AnswerCall, "1002", call)).await;
    let answer = stage.answer(reference).await;
    assert_eq!(answer.error_code, Some(51), "{answer:?}");
    let text = answer.error_message.unwrap_or_default();
    assert!(text.starts_with("the phone cannot be made to answer"), "{text}");
    bob.accept().await;
    stage.event(EventEstablished, "1002").await;
    hear(&[(&alice, "1002"), (&bob, "1001")]).await;
    end(stage, "1001", call).await;
}

/// The call is cleared, nothing is left of it, and the server lives.
async fn end(mut stage: Stage, number: &str, call: ConnId) {
    stage.asks(ClientRequest::clear_call(&dn(number), call)).await;
    stage.server.alive_and_idle().await;
}

#[tokio::test]
async fn a_held_phone_hears_music() {
    let (mut stage, [alice, bob]) = scene(["1001", "1002"]).await;
    let call = talk(&mut stage).await;
    hear(&[(&alice, "1002"), (&bob, "1001")]).await;
    stage.asks(on_call(OnCall::HoldCall, "1002", call)).await;
    hear(&[(&alice, "sound"), (&bob, "")]).await;
    stage.asks(on_call(OnCall::RetrieveCall, "1002", call)).await;
    hear(&[(&alice, "1002"), (&bob, "1001")]).await;
    end(stage, "1001", call).await;
}

#[tokio::test]
async fn a_phone_that_holds_lets_the_other_hear_music() {
    let (mut stage, [alice, mut bob]) = scene(["1001", "1002"]).await;
    let call = talk(&mut stage).await;
    hear(&[(&alice, "1002"), (&bob, "1001")]).await;
    bob.hold().await;
    stage.event(EventHeld, "1002").await;
    hear(&[(&alice, "sound"), (&bob, "")]).await;
    bob.resume().await;
    stage.event(EventRetrieved, "1002").await;
    // Baresip 1.0 does not go on with its recording after a hold of its own; the phones of the golden tests do.
    hear(&[(&alice, "1002")]).await;
    end(stage, "1001", call).await;
}

#[tokio::test]
async fn a_consultation_becomes_a_transfer() {
    let (mut stage, [alice, bob, carol]) = scene(["1001", "1002", "1003"]).await;
    let main = talk(&mut stage).await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    let dialing = stage.asks(with(OnCallWith::InitiateTransfer, "1002", main, "1003")).await;
    let consult = Desk::call_of(&dialing);
    stage.event(EventEstablished, "1003").await;
    hear(&[(&alice, "sound"), (&bob, "1003"), (&carol, "1002")]).await;
    stage.asks(on_two(OnTwoCalls::AlternateCall, "1002", main, consult)).await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "sound")]).await;
    stage.asks(on_two(OnTwoCalls::CompleteTransfer, "1002", consult, main)).await;
    stage.event(EventPartyChanged, "1001").await;
    hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
    end(stage, "1001", main).await;
}

#[tokio::test]
async fn a_consultation_becomes_a_conference_and_a_call_again() {
    let (mut stage, [alice, bob, mut carol]) = scene(["1001", "1002", "1003"]).await;
    let main = talk(&mut stage).await;
    let dialing = stage.asks(with(OnCallWith::InitiateConference, "1002", main, "1003")).await;
    let consult = Desk::call_of(&dialing);
    stage.event(EventEstablished, "1003").await;
    hear(&[(&alice, "sound"), (&bob, "1003"), (&carol, "1002")]).await;
    stage
        .asks(on_two(OnTwoCalls::CompleteConference, "1002", main, consult))
        .await;
    stage.event(EventPartyAdded, "1001").await;
    hear(&[(&alice, "1002 1003"), (&bob, "1001 1003"), (&carol, "1001 1002")]).await;
    carol.hang_up().await;
    stage.event(EventPartyDeleted, "1001").await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    end(stage, "1001", main).await;
}

#[tokio::test]
async fn a_single_step_transfer() {
    let (mut stage, [alice, bob, carol]) = scene(["1001", "1002", "1003"]).await;
    let call = talk(&mut stage).await;
    hear(&[(&alice, "1002"), (&bob, "1001")]).await;
    stage.asks(with(OnCallWith::SingleStepTransfer, "1002", call, "1003")).await;
    stage.event(EventPartyChanged, "1001").await;
    hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
    end(stage, "1003", call).await;
}

#[tokio::test]
async fn a_phone_transfers_blindly() {
    let (mut stage, [alice, mut bob, carol]) = scene(["1001", "1002", "1003"]).await;
    let call = talk(&mut stage).await;
    hear(&[(&alice, "1002"), (&bob, "1001")]).await;
    bob.transfer("sip:1003@tandem.local").await;
    stage.event(EventPartyChanged, "1001").await;
    stage.event(EventReleased, "1002").await;
    hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
    end(stage, "1001", call).await;
}
