//! Consultation and what comes of it: transfer, reconnect, alternate, merge (ch. 9.5, 9.6, 9.8).

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventPartyChanged, EventReleased, EventRetrieved, EventRinging};
use tandem_wire::model::MergeType;
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};

use crate::golden::stage::{Stage, dn, merge, on_call, on_two, with};
use crate::rig::cti::Desk;

#[tokio::test]
async fn a_transfer_is_completed_when_the_target_has_answered() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    let dialing = stage.asks(with(OnCallWith::InitiateTransfer, "1002", main, "1003")).await;
    let consult = Desk::call_of(&dialing);
    let ringing = carol.rings().await;
    stage.hear(&[(alice, "sound"), (bob, "sound"), (carol, "")]).await;
    carol.picks_up(ringing).await;
    stage.event(EventEstablished, "1002").await;
    stage.hear(&[(alice, "sound"), (bob, "1003"), (carol, "1002")]).await;
    stage.asks(on_two(OnTwoCalls::CompleteTransfer, "1002", main, consult)).await;
    bob.is_over(0).await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    alice.hangs_up(0).await;
    carol.is_over(ringing).await;
    stage
        .ends(
            "transfer",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        "EventPartyChanged call-1 Transferred other=1003 third=1002/TransferredBy previous=call-1",
                        "EventReleased call-1 Ok other=1003",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok as=Destination other=1001",
                        "EventDialing*InitiateTransfer call-2 Ok type=Consult as=Origination other=1003/Destination",
                        "EventEstablished call-2 Ok type=Consult as=Origination other=1003/Destination",
                        "EventReleased*CompleteTransfer call-2 Transferred",
                        "EventReleased call-1 Transferred",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-2 Ok type=Consult as=Destination other=1002/Origination previous=call-1",
                        "EventEstablished call-2 Ok type=Consult as=Destination other=1002/Origination",
                        "EventPartyChanged call-1 Transferred other=1001 third=1002/TransferredBy previous=call-2",
                        "EventReleased call-1 Ok other=1001",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_transfer_is_completed_while_the_target_rings() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let dialing = stage.asks(with(OnCallWith::InitiateTransfer, "1002", main, "1003")).await;
    let consult = Desk::call_of(&dialing);
    let ringing = carol.rings().await;
    stage.event(EventRinging, "1003").await;
    stage.asks(on_two(OnTwoCalls::CompleteTransfer, "1002", main, consult)).await;
    bob.is_over(0).await;
    stage.hear(&[(alice, "sound"), (bob, ""), (carol, "")]).await;
    carol.picks_up(ringing).await;
    stage.event(EventEstablished, "1003").await;
    stage.hear(&[(alice, "1003"), (carol, "1001")]).await;
    carol.hangs_up(ringing).await;
    alice.is_over(0).await;
    stage
        .ends(
            "transfer_while_it_rings",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        "EventPartyChanged call-1 Transferred other=1003 third=1002/TransferredBy previous=call-1",
                        "EventReleased call-1 Ok other=1003",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventDialing*InitiateTransfer call-2 Ok type=Consult as=Origination other=1003",
                        "EventReleased*CompleteTransfer call-2 Transferred",
                        "EventReleased call-1 Transferred",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-2 Ok type=Consult as=Destination other=1002 previous=call-1",
                        "EventPartyChanged call-1 Transferred other=1001 third=1002/TransferredBy previous=call-2",
                        "EventEstablished call-1 other=1001",
                        "EventReleased call-1 Ok other=1001",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_consultation_is_alternated_and_then_ended_by_reconnect() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let (consult, ringing) = stage.consults(OnCallWith::InitiateTransfer, "1002", main, carol).await;
    stage.asks(on_two(OnTwoCalls::AlternateCall, "1002", main, consult)).await;
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "sound")]).await;
    stage.asks(on_two(OnTwoCalls::AlternateCall, "1002", consult, main)).await;
    stage.hear(&[(alice, "sound"), (bob, "1003"), (carol, "1002")]).await;
    stage.asks(on_two(OnTwoCalls::ReconnectCall, "1002", main, consult)).await;
    carol.is_over(ringing).await;
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    bob.hangs_up(0).await;
    alice.is_over(0).await;
    stage
        .ends(
            "alternate_and_reconnect",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventDialing*InitiateTransfer call-2 Ok type=Consult",
                        "EventEstablished call-2 Ok type=Consult",
                        "EventHeld*AlternateCall call-2",
                        "EventRetrieved call-1",
                        "EventHeld*AlternateCall call-1",
                        "EventRetrieved call-2",
                        "EventReleased call-2",
                        "EventRetrieved*ReconnectCall call-1",
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-2 Ok type=Consult previous=call-1",
                        "EventEstablished call-2 Ok",
                        "EventReleased call-2",
                    ],
                ),
            ],
        )
        .await;
}

/// Bob holds Alice, makes another call to Carol, and makes one of the two.
async fn two_calls(kind: MergeType, name: &str, expected: &[(&str, &[&str])]) {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (first, _, _) = stage.talk(alice, bob).await;
    stage.asks(on_call(OnCall::HoldCall, "1002", first)).await;
    let reference = stage.sends(ClientRequest::make_call(&dn("1002"), "1003")).await;
    let second_line = bob.takes().await;
    let second = Desk::call_of(&stage.answer(reference).await);
    let ringing = carol.takes().await;
    stage.event(EventEstablished, "1003").await;
    stage.hear(&[(alice, "sound"), (bob, "1003"), (carol, "1002")]).await;
    stage.asks(merge(kind, "1002", first, second)).await;
    stage.event(EventPartyChanged, "1003").await;
    if kind == MergeType::ForTransfer {
        stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
        bob.is_over(0).await;
        bob.is_over(second_line).await;
    } else {
        stage.event(EventRetrieved, "1002").await;
        stage
            .hear(&[(alice, "1002 1003"), (bob, "1001 1003"), (carol, "1001 1002")])
            .await;
        bob.hangs_up(0).await;
        stage.event(EventReleased, "1002").await;
        stage.hear(&[(alice, "1003"), (carol, "1001")]).await;
    }
    alice.hangs_up(0).await;
    carol.is_over(ringing).await;
    stage.ends(name, &[alice, bob, carol], expected).await;
}

#[tokio::test]
async fn two_calls_are_merged_for_a_transfer() {
    two_calls(
        MergeType::ForTransfer,
        "merge_for_transfer",
        &[
            (
                "1001",
                &[
                    "EventPartyChanged call-1 Transferred other=1003 third=1002/TransferredBy previous=call-1",
                    "EventReleased call-1 Ok",
                ],
            ),
            (
                "1002",
                &[
                    "EventHeld*HoldCall call-1",
                    "EventDialing*MakeCall call-2 as=Origination other=1003",
                    "EventEstablished call-2",
                    "EventReleased*MergeCalls call-2 Transferred",
                    "EventReleased call-1 Transferred",
                ],
            ),
            (
                "1003",
                &[
                    "EventRinging call-2 as=Destination other=1002",
                    "EventEstablished call-2",
                    "EventPartyChanged call-1 Transferred other=1001 third=1002/TransferredBy previous=call-2",
                    "EventReleased call-1 Ok",
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn two_calls_are_merged_for_a_conference() {
    two_calls(
        MergeType::ForConference,
        "merge_for_conference",
        &[
            (
                "1001",
                &[
                    "EventPartyAdded call-1 Conferenced as=ConferenceMember other=1003/NewParty third=1002/AddedBy",
                    "EventPartyDeleted call-1 Ok other=1002/DeletedParty third=1002/DeletedBy",
                    "EventReleased call-1 Ok",
                ],
            ),
            (
                "1002",
                &[
                    "EventHeld*HoldCall call-1",
                    "EventDialing*MakeCall call-2",
                    "EventEstablished call-2",
                    "EventReleased*MergeCalls call-2 Conferenced",
                    "EventRetrieved call-1 Conferenced",
                    "EventPartyAdded call-1 Conferenced as=ConferenceMember other=1003/NewParty third=1002/AddedBy",
                    "EventReleased call-1 Ok",
                ],
            ),
            (
                "1003",
                &[
                    "EventRinging call-2",
                    "EventEstablished call-2",
                    "EventPartyChanged call-1 Conferenced as=ConferenceMember third=1002/ConferencedBy previous=call-2",
                    "EventPartyDeleted call-1 Ok other=1002/DeletedParty third=1002/DeletedBy",
                    "EventReleased call-1 Ok",
                ],
            ),
        ],
    )
    .await;
}
