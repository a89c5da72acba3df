//! Calls that began separately become one where there are several on the other side (ch. 9.6, 9.7).

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventPartyAdded, EventPartyChanged, EventPartyDeleted, EventReleased};
use tandem_wire::model::MergeType;
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};

use crate::golden::stage::{Stage, dn, on_call, on_two, with};
use crate::rig::cti::Desk;
use crate::rig::handset::{CallNumber, Handset};

/// What the parties are told until Bob, who holds Alice, is in a conference with Carol and Dave that was dialled by itself.
const TO_BOB: [&str; 4] = [
    "EventHeld*HoldCall call-1",
    "EventDialing*MakeCall call-2 as=Origination other=1003",
    "EventEstablished call-2",
    "EventPartyAdded*SingleStepConference call-2 other=1004/NewParty",
];
const TO_CAROL: [&str; 3] = [
    "EventRinging call-2",
    "EventEstablished call-2",
    "EventPartyAdded call-2 other=1004/NewParty",
];
const TO_DAVE: [&str; 2] = ["EventRinging*SingleStepConference call-2", "EventEstablished call-2"];

/// Bob makes one of the two: the stage, the phones, and their calls of the conference.
async fn merged(operation: OnTwoCalls) -> (Stage, [Handset; 4], [CallNumber; 3]) {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003", "1004"]).await;
    let [alice, bob, carol, dave] = &phones;
    let (first, _, _) = stage.talk(alice, bob).await;
    stage.asks(on_call(OnCall::HoldCall, "1002", first)).await;
    let reference = stage.sends(ClientRequest::make_call(&dn("1002"), "1003")).await;
    let at_bob = bob.takes().await;
    let second = Desk::call_of(&stage.answer(reference).await);
    let at_carol = carol.takes().await;
    stage.event(EventEstablished, "1003").await;
    stage
        .sends(with(OnCallWith::SingleStepConference, "1002", second, "1004"))
        .await;
    let at_dave = dave.takes().await;
    stage.event(EventPartyAdded, "1003").await;
    stage
        .hear(&[
            (alice, "sound"),
            (bob, "1003 1004"),
            (carol, "1002 1004"),
            (dave, "1002 1003"),
        ])
        .await;
    stage.asks(on_two(operation, "1002", first, second)).await;
    stage.event(EventPartyChanged, "1004").await;
    (stage, phones, [at_bob, at_carol, at_dave])
}

#[tokio::test]
async fn a_call_joins_a_conference_that_was_dialled_by_itself() {
    let (mut stage, phones, [at_bob, at_carol, at_dave]) = merged(OnTwoCalls::MergeCalls(MergeType::ForConference)).await;
    let [alice, bob, carol, dave] = &phones;
    stage
        .hear(&[
            (alice, "1002 1003 1004"),
            (bob, "1001 1003 1004"),
            (carol, "1001 1002 1004"),
            (dave, "1001 1002 1003"),
        ])
        .await;
    bob.hangs_up(at_bob).await;
    stage.event(EventPartyDeleted, "1004").await;
    stage
        .hear(&[(alice, "1003 1004"), (carol, "1001 1004"), (dave, "1001 1003")])
        .await;
    alice.hangs_up(0).await;
    stage.event(EventReleased, "1001").await;
    carol.hangs_up(at_carol).await;
    dave.is_over(at_dave).await;
    let left = [
        "EventPartyDeleted call-1 Ok other=1002/DeletedParty",
        "EventPartyDeleted call-1 Ok other=1001/DeletedParty",
        "EventReleased call-1 Ok",
    ];
    let changed = ["EventPartyChanged call-1 Conferenced as=ConferenceMember third=1002/ConferencedBy previous=call-2"];
    let added = [
        "EventPartyAdded call-1 Conferenced as=ConferenceMember other=1003/NewParty third=1002/AddedBy",
        "EventPartyAdded call-1 Conferenced as=ConferenceMember other=1004/NewParty third=1002/AddedBy",
    ];
    let to_bob = [
        "EventReleased*MergeCalls call-2 Conferenced",
        "EventRetrieved call-1 Conferenced",
    ];
    stage
        .ends(
            "merge_into_a_conference",
            &[alice, bob, carol, dave],
            &[
                ("1001", &[&added[..], &[left[0], left[2]]].concat()),
                ("1002", &[&TO_BOB[..], &to_bob, &added, &[left[2]]].concat()),
                ("1003", &[&TO_CAROL[..], &changed, &left].concat()),
                ("1004", &[&TO_DAVE[..], &changed, &left].concat()),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_call_is_left_to_a_conference_that_was_dialled_by_itself() {
    let (mut stage, phones, [at_bob, at_carol, at_dave]) = merged(OnTwoCalls::CompleteTransfer).await;
    let [alice, bob, carol, dave] = &phones;
    bob.is_over(0).await;
    bob.is_over(at_bob).await;
    stage
        .hear(&[(alice, "1003 1004"), (bob, ""), (carol, "1001 1004"), (dave, "1001 1003")])
        .await;
    alice.hangs_up(0).await;
    stage.event(EventReleased, "1001").await;
    carol.hangs_up(at_carol).await;
    dave.is_over(at_dave).await;
    let changed = "EventPartyChanged call-1 Transferred as=ConferenceMember third=1002/TransferredBy";
    let left = [
        "EventPartyDeleted call-1 Ok other=1001/DeletedParty",
        "EventReleased call-1 Ok",
    ];
    let to_bob = [
        "EventReleased*CompleteTransfer call-2 Transferred",
        "EventReleased call-1 Transferred",
    ];
    stage
        .ends(
            "transfer_to_a_conference",
            &[alice, bob, carol, dave],
            &[
                ("1001", &[changed, left[1]]),
                ("1002", &[&TO_BOB[..], &to_bob].concat()),
                ("1003", &[&TO_CAROL[..], &[changed], &left].concat()),
                ("1004", &[&TO_DAVE[..], &[changed], &left].concat()),
            ],
        )
        .await;
}
