//! What happens to a call that rings: a consultation given up (ch. 9.8), a call picked up by another phone (RFC 3891), a held call brought to
//! one who rings in a call of its own (ch. 9.6, RFC 5589 s.7.6).

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventPartyChanged, EventReleased, EventRinging};
use tandem_wire::model::MergeType;
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};

use crate::golden::stage::{Stage, dn, on_call, on_two, with};
use crate::rig::cti::Desk;

#[tokio::test]
async fn a_reconnect_while_the_target_rings_gives_it_up() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let dialing = stage.asks(with(OnCallWith::InitiateConference, "1002", main, "1003")).await;
    let consult = Desk::call_of(&dialing);
    let ringing = carol.rings().await;
    stage.event(EventRinging, "1003").await;
    stage.asks(on_two(OnTwoCalls::ReconnectCall, "1002", main, consult)).await;
    assert_eq!(carol.is_over(ringing).await, Some(487));
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    bob.hangs_up(0).await;
    alice.is_over(0).await;
    stage
        .ends(
            "reconnect_while_it_rings",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventDialing*InitiateConference call-2 Ok type=Consult",
                        "EventReleased call-2",
                        "EventRetrieved*ReconnectCall call-1",
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1003",
                    &["EventRinging call-2 Ok type=Consult previous=call-1", "EventAbandoned call-2"],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_call_that_rings_is_picked_up_by_another_phone() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.begins();
    let there = alice.dials("1002").await;
    let at_bob = bob.rings().await;
    stage.event(EventRinging, "1002").await;
    alice.hears_ringing(there).await;
    // As the phones of a group see it in a dialog event package.
    let replaces = format!("Replaces: {};early-only\r\nRequire: replaces\r\n", bob.replaces(at_bob));
    let at_carol = carol.invites("1002", &replaces).await;
    carol.is_answered(at_carol).await;
    alice.is_answered(there).await;
    assert_eq!(bob.is_over(at_bob).await, Some(487));
    stage.event(EventEstablished, "1003").await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    alice.hangs_up(there).await;
    carol.is_over(at_carol).await;
    stage
        .ends(
            "device_pickup",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        "EventDialing call-1 Ok other=1002",
                        "EventEstablished call-1 other=1003",
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventRinging call-1 Ok other=1001",
                        "EventReleased call-1 Pickedup third=1003",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Pickedup as=Destination other=1001",
                        "EventEstablished call-1 as=Destination other=1001",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

/// A phone holds, dials, and joins the two calls while the second one rings. It may hang up in both as soon as that is accepted.
async fn semi_attended(leaves: bool, declines: bool, name: &str) {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.talk(alice, bob).await;
    bob.holds(0).await;
    stage.hear(&[(alice, "sound"), (bob, "")]).await;
    let second = bob.dials("1003").await;
    let ringing = carol.rings().await;
    bob.hears_ringing(second).await;
    stage.event(EventRinging, "1003").await;
    let leaves = if leaves { &[0, second][..] } else { &[] };
    assert_eq!(bob.joins_and_leaves(0, second, leaves).await, 200);
    bob.is_over(0).await;
    assert_eq!(bob.is_over(second).await, Some(487));
    stage.event(EventPartyChanged, "1001").await;
    stage.hear(&[(alice, "sound"), (bob, ""), (carol, "")]).await;
    if declines {
        carol.refuses(ringing, "603 Decline", "").await;
    } else {
        carol.picks_up(ringing).await;
        stage.event(EventEstablished, "1003").await;
        stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
        carol.hangs_up(ringing).await;
    }
    alice.is_over(0).await;
    let mut to_carol = vec![
        "EventRinging call-2 Ok as=Destination other=1002",
        "EventPartyChanged call-1 Transferred as=Destination other=1001 third=1002/TransferredBy previous=call-2",
    ];
    if !declines {
        to_carol.push("EventEstablished call-1 Ok other=1001");
    }
    let state = if declines { "Busy" } else { "Ok" };
    let released = format!("EventReleased call-1 {state}");
    to_carol.push(&released);
    stage
        .ends(
            name,
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        "EventPartyChanged call-1 Transferred other=1003 third=1002/TransferredBy previous=call-1",
                        &released,
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventDialing call-2 Ok as=Origination other=1003",
                        "EventReleased call-2 Transferred",
                        "EventReleased call-1 Transferred",
                    ],
                ),
                ("1003", &to_carol),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_phone_transfers_to_one_who_rings_and_then_answers() {
    semi_attended(false, false, "device_semi_attended_transfer").await;
}

#[tokio::test]
async fn a_phone_transfers_to_one_who_rings_and_hangs_up_as_soon_as_that_is_accepted() {
    semi_attended(true, false, "device_semi_attended_transfer").await;
}

#[tokio::test]
async fn a_phone_transfers_to_one_who_rings_and_then_declines() {
    semi_attended(false, true, "device_semi_attended_transfer_declined").await;
}

/// A desktop holds, makes a call, and brings the two together while the second one rings.
async fn made_and_merged(operation: OnTwoCalls, name: &str) {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (first, _, _) = stage.talk(alice, bob).await;
    stage.asks(on_call(OnCall::HoldCall, "1002", first)).await;
    let reference = stage.sends(ClientRequest::make_call(&dn("1002"), "1003")).await;
    let second_line = bob.takes().await;
    let second = Desk::call_of(&stage.answer(reference).await);
    let ringing = carol.rings().await;
    stage.event(EventRinging, "1003").await;
    // Three cannot talk before the third one has answered.
    stage
        .is_refused(on_two(OnTwoCalls::CompleteConference, "1002", first, second), 496)
        .await;
    let answer = stage.asks(on_two(operation, "1002", first, second)).await;
    let request = if operation == OnTwoCalls::CompleteTransfer {
        "CompleteTransfer"
    } else {
        "MergeCalls"
    };
    assert!(answer.is(EventReleased));
    bob.is_over(0).await;
    bob.is_over(second_line).await;
    stage.hear(&[(alice, "sound"), (bob, ""), (carol, "")]).await;
    carol.picks_up(ringing).await;
    stage.event(EventEstablished, "1003").await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    alice.hangs_up(0).await;
    carol.is_over(ringing).await;
    stage
        .ends(
            name,
            &[alice, bob, carol],
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
                        "EventError*CompleteConference error=496",
                        &format!("EventReleased*{request} call-2 Transferred"),
                        "EventReleased call-1 Transferred",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-2 as=Destination other=1002",
                        "EventPartyChanged call-1 Transferred other=1001 third=1002/TransferredBy previous=call-2",
                        "EventEstablished call-1 Ok other=1001",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_desktop_transfers_to_one_who_rings_in_a_second_call() {
    made_and_merged(OnTwoCalls::CompleteTransfer, "transfer_of_a_second_call_that_rings").await;
}

#[tokio::test]
async fn a_desktop_merges_with_a_second_call_that_rings() {
    made_and_merged(
        OnTwoCalls::MergeCalls(MergeType::ForTransfer),
        "merge_with_a_second_call_that_rings",
    )
    .await;
}
