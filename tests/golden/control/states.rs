//! Requests out of place: each is refused with the code of ch. 7, and the call goes on.

use tandem_wire::ClientRequest;
use tandem_wire::model::ConnId;
use tandem_wire::model::EventName::EventHeld;
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};

use crate::golden::stage::{Stage, dn, on_call, on_two, with};

#[tokio::test]
async fn a_second_operation_is_refused_while_one_is_under_way() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    let [alice, bob] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    alice.stalls(true);
    let held = stage.sends(on_call(OnCall::HoldCall, "1002", call)).await;
    stage.is_refused(on_call(OnCall::HoldCall, "1001", call), 291).await;
    alice.stalls(false);
    stage.answer(held).await;
    stage.hear(&[(alice, "sound"), (bob, "")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    stage
        .ends(
            "second_operation",
            &[alice, bob],
            &[
                ("1001", &["EventError*HoldCall error=291", "EventReleased call-1 Ok"]),
                ("1002", &["EventHeld*HoldCall call-1 Ok", "EventReleased call-1 Ok"]),
            ],
        )
        .await;
}

#[tokio::test]
async fn requests_out_of_place_are_refused() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    let nowhere = ConnId(0x77);
    stage.is_refused(on_call(OnCall::RetrieveCall, "1002", call), 43).await;
    stage.is_refused(on_call(OnCall::HoldCall, "1002", nowhere), 56).await;
    stage.is_refused(on_call(OnCall::HoldCall, "1003", call), 470).await;
    stage.is_refused(on_call(OnCall::AnswerCall, "1002", call), 43).await;
    stage
        .is_refused(on_two(OnTwoCalls::CompleteTransfer, "1002", call, nowhere), 56)
        .await;
    stage
        .is_refused(on_two(OnTwoCalls::AlternateCall, "1002", call, call), 56)
        .await;
    stage
        .is_refused(with(OnCallWith::InitiateTransfer, "1002", call, "nobody"), 71)
        .await;
    stage
        .is_refused(with(OnCallWith::RedirectCall, "1002", call, "1003"), 496)
        .await;
    stage
        .is_refused(with(OnCallWith::DeleteFromConference, "1002", call, "1003"), 470)
        .await;
    stage.is_refused(ClientRequest::send_dtmf(&dn("1002"), call, "12x"), 53).await;
    stage.asks(on_call(OnCall::HoldCall, "1002", call)).await;
    stage.is_refused(on_call(OnCall::HoldCall, "1002", call), 43).await;
    stage.asks(on_call(OnCall::RetrieveCall, "1002", call)).await;
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    stage
        .ends(
            "out_of_place",
            &[alice, bob, carol],
            &[("1001", &["EventReleased call-1 Ok"])],
        )
        .await;
}

#[tokio::test]
async fn no_consultation_on_a_consultation() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let (consult, ringing) = stage.consults(OnCallWith::InitiateTransfer, "1002", main, carol).await;
    stage
        .is_refused(with(OnCallWith::InitiateTransfer, "1002", consult, "1001"), 496)
        .await;
    stage
        .is_refused(with(OnCallWith::InitiateTransfer, "1003", consult, "1001"), 496)
        .await;
    carol.hangs_up(ringing).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    stage.ends("consultation_on_a_consultation", &[alice, bob, carol], &[]).await;
}

#[tokio::test]
async fn who_does_not_speak_the_request_is_answered_all_the_same() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    let [alice, bob] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    // A hold on the phone and one on the desktop are the same hold.
    bob.holds(0).await;
    stage.event(EventHeld, "1002").await;
    stage.is_refused(on_call(OnCall::HoldCall, "1002", call), 43).await;
    bob.hangs_up(0).await;
    alice.is_over(0).await;
    stage
        .ends(
            "hold_of_a_hold",
            &[alice, bob],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventError*HoldCall error=43",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}
