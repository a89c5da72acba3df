//! Answering from the desktop, and digits.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventRinging};
use tandem_wire::model::request::OnCall;

use crate::golden::stage::{Stage, dn, on_call};
use crate::rig::handset::{Abilities, Handset};
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
    let server = Setup::new().trusted_phone("1001").trusted_phone("1002").start().await;
    let alice = Handset::register("1001", server.sip).await;
    let bob = Handset::able("1002", server.sip, abilities).await;
    (Stage::before(server, &["1001", "1002"]).await, alice, bob)
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
