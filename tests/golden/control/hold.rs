//! Hold, retrieve, mute (ch. 9.4).

use tandem_wire::model::EventName::{EventHeld, EventRetrieved};
use tandem_wire::model::request::OnCall;

use crate::golden::stage::{Stage, on_call};

#[tokio::test]
async fn a_call_is_held_and_retrieved_by_cti() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    let [alice, bob] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    stage.asks(on_call(OnCall::HoldCall, "1002", call)).await;
    stage.hear(&[(alice, "sound"), (bob, "")]).await;
    stage.asks(on_call(OnCall::RetrieveCall, "1002", call)).await;
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    stage
        .ends(
            "hold",
            &[alice, bob],
            &[
                ("1001", &["EventReleased call-1 Ok as=Origination other=1002"]),
                (
                    "1002",
                    &[
                        "EventHeld*HoldCall call-1 Ok as=Destination other=1001/Origination",
                        "EventRetrieved*RetrieveCall call-1 Ok as=Destination other=1001/Origination",
                        "EventReleased call-1 Ok as=Destination other=1001",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn both_sides_hold_and_only_both_retrieve() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    let [alice, bob] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    stage.asks(on_call(OnCall::HoldCall, "1002", call)).await;
    stage.asks(on_call(OnCall::HoldCall, "1001", call)).await;
    stage.hear(&[(alice, ""), (bob, "")]).await;
    stage.asks(on_call(OnCall::RetrieveCall, "1002", call)).await;
    stage.hear(&[(alice, ""), (bob, "sound")]).await;
    stage.asks(on_call(OnCall::RetrieveCall, "1001", call)).await;
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    bob.hangs_up(0).await;
    alice.is_over(0).await;
    stage
        .ends(
            "hold_on_both_sides",
            &[alice, bob],
            &[
                (
                    "1001",
                    &[
                        "EventHeld*HoldCall call-1 Ok as=Origination other=1002",
                        "EventRetrieved*RetrieveCall call-1 Ok as=Origination other=1002",
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventHeld*HoldCall call-1 Ok as=Destination other=1001",
                        "EventRetrieved*RetrieveCall call-1 Ok as=Destination other=1001",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_held_call_is_hung_up_by_the_party_on_hold() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    let [alice, bob] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    stage.asks(on_call(OnCall::HoldCall, "1002", call)).await;
    stage.hear(&[(alice, "sound"), (bob, "")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    stage
        .ends(
            "hold_hung_up",
            &[alice, bob],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                ("1002", &["EventHeld*HoldCall call-1 Ok", "EventReleased call-1 Ok"]),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_party_is_muted_and_unmuted() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    let [alice, bob] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    stage.asks(on_call(OnCall::SetMuteOn, "1002", call)).await;
    stage.hear(&[(alice, ""), (bob, "1001")]).await;
    stage.asks(on_call(OnCall::SetMuteOff, "1002", call)).await;
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    stage
        .ends(
            "mute",
            &[alice, bob],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventMuteOn*SetMuteOn call-1",
                        "EventMuteOff*SetMuteOff call-1",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_phone_holds_and_resumes_and_it_is_told_like_any_hold() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    let [alice, bob] = &phones;
    stage.talk(alice, bob).await;
    bob.holds(0).await;
    stage.event(EventHeld, "1002").await;
    stage.hear(&[(alice, "sound"), (bob, "")]).await;
    bob.resumes(0).await;
    stage.event(EventRetrieved, "1002").await;
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    bob.hangs_up(0).await;
    alice.is_over(0).await;
    stage
        .ends(
            "device_hold",
            &[alice, bob],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok as=Destination other=1001/Origination",
                        "EventRetrieved call-1 Ok as=Destination other=1001/Origination",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}
