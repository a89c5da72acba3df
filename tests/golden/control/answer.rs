//! Answering from the desktop, and digits.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventRinging};
use tandem_wire::model::request::{OnCall, OnCallWith};

use crate::golden::stage::{Stage, dn, on_call, with};
use crate::rig::cti::Desk;
use crate::rig::handset::{Abilities, AtTalk, Handset};
use crate::rig::server::Setup;
use crate::rig::wait;

#[tokio::test]
async fn a_phone_is_told_to_answer() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    let [alice, bob] = &phones;
    stage.begins();
    let there = alice.dials("1002").await;
    let here = bob.rings().await;
    let call = stage.event(EventRinging, "1002").await;
    stage.asks(on_call(OnCall::AnswerCall, "1002", call)).await;
    alice.is_answered(there).await;
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    stage
        .ends(
            "answered_by_cti",
            &[alice, bob],
            &[
                (
                    "1001",
                    &[
                        "EventDialing call-1 Ok as=Origination",
                        "EventEstablished call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventRinging call-1 Ok as=Destination",
                        "EventEstablished*AnswerCall call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_desktop_that_is_faster_than_the_phone_is_heard_when_the_phone_rings() {
    let quiet = Abilities {
        rings_at_once: false,
        ..Abilities::default()
    };
    let (mut stage, alice, bob) = stage_with(quiet).await;
    stage.begins();
    let there = alice.dials("1002").await;
    let call = stage.event(EventRinging, "1002").await;
    let here = bob.rings().await;
    let reference = stage.sends(on_call(OnCall::AnswerCall, "1002", call)).await;
    // One thing after the other: the first one is with the connector by the time the second is refused.
    stage.is_refused(on_call(OnCall::AnswerCall, "1002", call), 291).await;
    bob.says_it_rings(here).await;
    assert!(stage.answer(reference).await.is(EventEstablished));
    alice.is_answered(there).await;
    stage.hear(&[(&alice, "1002"), (&bob, "1001")]).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    stage
        .ends(
            "answered_by_cti_before_it_rings",
            &[&alice, &bob],
            &[
                (
                    "1001",
                    &[
                        "EventDialing call-1 Ok as=Origination",
                        "EventEstablished call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventRinging call-1 Ok as=Destination",
                        "EventError*AnswerCall error=291",
                        "EventEstablished*AnswerCall call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

/// 1001, and 1002 that can do this.
async fn stage_with(abilities: Abilities) -> (Stage, Handset, Handset) {
    stage_of(Setup::new(), abilities).await
}

async fn stage_of(setup: Setup, abilities: Abilities) -> (Stage, Handset, Handset) {
    let server = setup.trusted_phone("1001").trusted_phone("1002").start().await;
    let alice = Handset::register("1001", server.sip).await;
    let bob = Handset::able("1002", server.sip, abilities).await;
    (Stage::before(server, &["1001", "1002"]).await, alice, bob)
}

fn at_talk(talk: AtTalk) -> Abilities {
    Abilities {
        talk,
        ..Abilities::default()
    }
}

/// Asks, and is refused with this code and text.
async fn is_refused_with(stage: &mut Stage, reference: u32, code: u32, text: &str) {
    let answer = stage.answer(reference).await;
    assert_eq!((answer.error_code, answer.error_message.as_deref()), (Some(code), Some(text)));
}

/// The desktop is told at once that the phone does not follow; the phone rings on, and is picked up by hand.
async fn cannot_be_told(abilities: Abilities, text: &str, flow: &str) {
    let (mut stage, alice, bob) = stage_with(abilities).await;
    stage.begins();
    let there = alice.dials("1002").await;
    let here = bob.rings().await;
    let call = stage.event(EventRinging, "1002").await;
    let reference = stage.sends(on_call(OnCall::AnswerCall, "1002", call)).await;
    is_refused_with(&mut stage, reference, 51, text).await;
    bob.picks_up(here).await;
    alice.is_answered(there).await;
    stage.hear(&[(&alice, "1002"), (&bob, "1001")]).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    stage
        .ends(
            flow,
            &[&alice, &bob],
            &[
                (
                    "1001",
                    &[
                        "EventDialing call-1 Ok as=Origination",
                        "EventEstablished call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventRinging call-1 Ok as=Destination",
                        "EventError*AnswerCall error=51",
                        "EventEstablished call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_phone_that_refuses_to_be_told_to_answer() {
    let text = "the phone cannot be made to answer: it does not take `Event: talk` (SIP status 489)";
    cannot_be_told(at_talk(AtTalk::Refuses), text, "answered_by_cti_refused").await;
}

#[tokio::test]
async fn a_phone_that_said_before_that_it_cannot_be_told_to_answer() {
    // It would answer if it were told: nobody does.
    let abilities = Abilities {
        allow_events: Some("conference, message-summary"),
        ..Abilities::default()
    };
    let text = "the phone cannot be made to answer: it does not take `Event: talk` (SIP status 489)";
    cannot_be_told(abilities, text, "answered_by_cti_unsupported").await;
}

#[tokio::test]
async fn a_phone_that_takes_the_wish_and_rings_on() {
    let setup = Setup::new().sip("ring_timeout_ms = 1500");
    let (mut stage, alice, bob) = stage_of(setup, at_talk(AtTalk::RingsOn)).await;
    stage.begins();
    let there = alice.dials("1002").await;
    let here = bob.rings().await;
    let call = stage.event(EventRinging, "1002").await;
    let reference = stage.sends(on_call(OnCall::AnswerCall, "1002", call)).await;
    let text = "the phone has taken `Event: talk` and did not answer";
    is_refused_with(&mut stage, reference, 232, text).await;
    assert_eq!(alice.is_over(there).await, Some(480));
    assert_eq!(bob.is_over(here).await, Some(487));
    stage
        .ends(
            "answered_by_cti_in_vain",
            &[&alice, &bob],
            &[
                (
                    "1001",
                    &["EventDialing call-1 Ok as=Origination", "EventReleased call-1 NoAnswer"],
                ),
                (
                    "1002",
                    &[
                        "EventRinging call-1 Ok as=Destination",
                        "EventError*AnswerCall error=232",
                        "EventReleased call-1 NoAnswer",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_call_that_is_to_be_answered_can_be_passed_on_and_turned_down() {
    let numbers = ["1001", "1002", "1003"];
    let setup = numbers.iter().fold(Setup::new(), |setup, number| setup.trusted_phone(number));
    let server = setup.start().await;
    let alice = Handset::register("1001", server.sip).await;
    let bob = Handset::able("1002", server.sip, at_talk(AtTalk::RingsOn)).await;
    let carol = Handset::able("1003", server.sip, at_talk(AtTalk::RingsOn)).await;
    let mut stage = Stage::before(server, &numbers).await;
    stage.begins();
    let there = alice.dials("1002").await;
    let at_bob = bob.rings().await;
    let call = stage.event(EventRinging, "1002").await;
    let reference = stage.sends(on_call(OnCall::AnswerCall, "1002", call)).await;
    stage.sends(with(OnCallWith::RedirectCall, "1002", call, "1003")).await;
    let text = "the call has gone elsewhere: this phone cannot answer it any more";
    is_refused_with(&mut stage, reference, 496, text).await;
    assert_eq!(bob.is_over(at_bob).await, Some(487));
    let at_carol = carol.rings().await;
    stage.event(EventRinging, "1003").await;
    let reference = stage.sends(on_call(OnCall::AnswerCall, "1003", call)).await;
    stage.sends(ClientRequest::release_call(&dn("1003"), call)).await;
    assert_eq!(stage.answer(reference).await.error_code, Some(237));
    assert_eq!(alice.is_over(there).await, Some(603));
    assert_eq!(carol.is_over(at_carol).await, Some(487));
    stage
        .ends(
            "answered_by_cti_and_passed_on",
            &[&alice, &bob, &carol],
            &[
                (
                    "1001",
                    &[
                        "EventDialing call-1 Ok as=Origination",
                        "EventDestinationBusy call-1",
                        "EventReleased call-1 Busy",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventRinging call-1 Ok as=Destination",
                        "EventError*AnswerCall error=496",
                        "EventReleased*RedirectCall call-1 Redirected",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Redirected",
                        "EventError*AnswerCall error=237",
                        "EventReleased*ReleaseCall call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn of_several_phones_the_one_that_follows_answers_though_it_rings_last() {
    let (mut stage, alice, deaf) = stage_with(at_talk(AtTalk::Refuses)).await;
    let late = Abilities {
        rings_at_once: false,
        ..Abilities::default()
    };
    let late = Handset::able("1002", stage.server.sip, late).await;
    stage.begins();
    let there = alice.dials("1002").await;
    let (at_deaf, at_late) = (deaf.rings().await, late.rings().await);
    let call = stage.event(EventRinging, "1002").await;
    let reference = stage.sends(on_call(OnCall::AnswerCall, "1002", call)).await;
    stage.is_refused(on_call(OnCall::AnswerCall, "1002", call), 291).await;
    late.says_it_rings(at_late).await;
    assert!(stage.answer(reference).await.is(EventEstablished));
    alice.is_answered(there).await;
    assert_eq!(deaf.is_over(at_deaf).await, Some(487));
    stage.hear(&[(&alice, "1002"), (&late, "1001")]).await;
    alice.hangs_up(there).await;
    late.is_over(at_late).await;
    stage
        .ends(
            "answered_by_cti_one_of_two",
            &[&alice, &deaf, &late],
            &[
                (
                    "1001",
                    &[
                        "EventDialing call-1 Ok as=Origination",
                        "EventEstablished call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventRinging call-1 Ok as=Destination",
                        "EventError*AnswerCall error=291",
                        "EventEstablished*AnswerCall call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn the_phone_of_a_call_that_the_desktop_makes_is_told_to_answer_too() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    let [alice, bob] = &phones;
    stage.begins();
    let dialing = stage.asks(ClientRequest::make_call(&dn("1001"), &dn("1002"))).await;
    let there = alice.rings().await;
    let call = Desk::call_of(&dialing);
    let reference = stage.sends(on_call(OnCall::AnswerCall, "1001", call)).await;
    let here = bob.takes().await;
    assert!(stage.answer(reference).await.is(EventEstablished));
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    stage
        .ends(
            "made_and_answered_by_cti",
            &[alice, bob],
            &[
                (
                    "1001",
                    &[
                        "EventDialing*MakeCall call-1 Ok as=Origination",
                        "EventEstablished*AnswerCall call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventRinging call-1 Ok as=Destination",
                        "EventEstablished call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn digits_are_sent_into_a_call() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    let [alice, bob] = &phones;
    let (call, _, here) = stage.talk(alice, bob).await;
    stage.asks(ClientRequest::send_dtmf(&dn("1001"), call, "12#")).await;
    wait::until("the digits at 1002", wait::SOON, async || match bob.digits(here).as_str() {
        "12#" => Ok(()),
        other => Err(other.to_owned()),
    })
    .await;
    assert_eq!(alice.digits(0), "", "who sends digits does not hear them");
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    alice.hangs_up(0).await;
    bob.is_over(here).await;
    stage
        .ends(
            "digits",
            &[alice, bob],
            &[
                (
                    "1001",
                    &["EventDTMFSent*SendDtmf call-1 digits=12#", "EventReleased call-1 Ok"],
                ),
                ("1002", &["EventReleased call-1 Ok"]),
            ],
        )
        .await;
}
