//! The user data of a consultation: a copy of the main call's and what the request adds. At completion the main call takes what was set,
//! changed or deleted there, and keeps what it did itself (ch. 9.5, 9.6, 9.7, 12). And that of a single-step transfer or conference,
//! which is the call's when the target has answered, and never where it does not (ch. 9.9, 9.10).

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{
    EventAttachedDataChanged, EventEstablished, EventPartyAdded, EventPartyChanged, EventPartyDeleted, EventRinging,
};
use tandem_wire::model::request::{OnCallWith, OnTwoCalls};
use tandem_wire::model::{ConnId, KvList};

use crate::golden::stage::{Stage, dn, on_two, with};
use crate::rig::cti::Desk;
use crate::rig::handset::{CallNumber, Handset};

fn pairs(pairs: &[(&str, &str)]) -> KvList {
    pairs.iter().copied().collect()
}

#[tokio::test]
async fn what_was_attached_to_a_consultation_is_the_callers_after_the_transfer() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let attach = ClientRequest::attach_user_data(&dn("1002"), main, pairs(&[("customer", "4711")]));
    stage.asks(attach).await;
    let consult = with(OnCallWith::InitiateTransfer, "1002", main, "1003").user_data(pairs(&[("case", "77")]));
    let consult = Desk::call_of(&stage.asks(consult).await);
    let ringing = carol.takes().await;
    stage.event(EventEstablished, "1003").await;
    let attach = ClientRequest::attach_user_data(&dn("1003"), consult, pairs(&[("note", "ok")]));
    stage.asks(attach).await;
    stage.event(EventAttachedDataChanged, "1002").await;
    stage.asks(on_two(OnTwoCalls::CompleteTransfer, "1002", main, consult)).await;
    stage.event(EventPartyChanged, "1003").await;
    alice.hangs_up(0).await;
    carol.is_over(ringing).await;
    let all = "data=customer:4711,case:77,note:ok";
    stage
        .ends(
            "data_of_a_consultation",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        "EventAttachedDataChanged call-1 third=1002 data=customer:4711",
                        &format!("EventPartyChanged call-1 Transferred {all}"),
                        &format!("EventAttachedDataChanged call-1 third=1002/TransferredBy {all}"),
                        &format!("EventReleased call-1 {all}"),
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventAttachedDataChanged*AttachUserData call-1 third=1002 data=customer:4711",
                        "EventHeld call-1 data=customer:4711",
                        "EventDialing*InitiateTransfer call-2 data=customer:4711,case:77",
                        "EventEstablished call-2 data=customer:4711,case:77",
                        &format!("EventAttachedDataChanged call-2 third=1003 {all}"),
                        "EventReleased*CompleteTransfer call-2 Transferred",
                        "EventReleased call-1 Transferred",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-2 data=customer:4711,case:77",
                        "EventEstablished call-2 data=customer:4711,case:77",
                        &format!("EventAttachedDataChanged*AttachUserData call-2 third=1003 {all}"),
                        &format!("EventPartyChanged call-1 {all}"),
                        &format!("EventAttachedDataChanged call-1 third=1002/TransferredBy {all}"),
                        &format!("EventReleased call-1 {all}"),
                    ],
                ),
            ],
        )
        .await;
}

/// Both calls have {status, gone, both, dropped}; then each goes its own way: the main call sets `status` and `both` and deletes `gone`,
/// the consultation sets `both` and `case` and deletes `dropped`.
async fn grown_apart(stage: &mut Stage, main: ConnId, consult: ConnId) {
    stage
        .asks(ClientRequest::update_user_data(
            &dn("1001"),
            main,
            pairs(&[("status", "new"), ("both", "main")]),
        ))
        .await;
    stage.asks(ClientRequest::delete_user_data(&dn("1001"), main, "gone")).await;
    stage
        .asks(ClientRequest::update_user_data(
            &dn("1003"),
            consult,
            pairs(&[("both", "consultation"), ("case", "77")]),
        ))
        .await;
    stage
        .asks(ClientRequest::delete_user_data(&dn("1003"), consult, "dropped"))
        .await;
}

const BEFORE: [(&str, &str); 4] = [("status", "old"), ("gone", "x"), ("both", "old"), ("dropped", "x")];
const ALL: &str = "data=status:new,both:consultation,case:77";

#[tokio::test]
async fn what_the_main_call_did_during_a_consultation_outlives_the_transfer() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    stage
        .asks(ClientRequest::attach_user_data(&dn("1002"), main, pairs(&BEFORE)))
        .await;
    let (consult, ringing) = stage.consults(OnCallWith::InitiateTransfer, "1002", main, carol).await;
    grown_apart(&mut stage, main, consult).await;
    stage.begins();
    stage.asks(on_two(OnTwoCalls::CompleteTransfer, "1002", main, consult)).await;
    stage.event(EventAttachedDataChanged, "1003").await;
    alice.hangs_up(0).await;
    carol.is_over(ringing).await;
    stage
        .ends(
            "data_of_both_calls_after_a_transfer",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        &format!("EventPartyChanged call-2 Transferred {ALL}"),
                        &format!("EventAttachedDataChanged call-2 third=1002/TransferredBy {ALL}"),
                        &format!("EventReleased call-2 {ALL}"),
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventReleased*CompleteTransfer call-1 data=status:old,gone:x,both:consultation,case:77",
                        &format!("EventReleased call-2 {ALL}"),
                    ],
                ),
                (
                    "1003",
                    &[
                        &format!("EventPartyChanged call-2 Transferred previous=call-1 {ALL}"),
                        &format!("EventAttachedDataChanged call-2 third=1002/TransferredBy {ALL}"),
                        &format!("EventReleased call-2 {ALL}"),
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn what_the_main_call_did_during_a_consultation_outlives_the_conference() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    stage
        .asks(ClientRequest::attach_user_data(&dn("1002"), main, pairs(&BEFORE)))
        .await;
    let (consult, ringing) = stage.consults(OnCallWith::InitiateConference, "1002", main, carol).await;
    grown_apart(&mut stage, main, consult).await;
    stage.begins();
    stage
        .asks(on_two(OnTwoCalls::CompleteConference, "1002", main, consult))
        .await;
    stage.event(EventAttachedDataChanged, "1003").await;
    bob.hangs_up(0).await;
    alice.hangs_up(0).await;
    carol.is_over(ringing).await;
    let changed = format!("EventAttachedDataChanged call-2 third=1002/ConferencedBy {ALL}");
    let deleted = format!("EventPartyDeleted call-2 {ALL}");
    let released = format!("EventReleased call-2 {ALL}");
    let added = format!("EventPartyAdded call-2 Conferenced {ALL}");
    stage
        .ends(
            "data_of_both_calls_after_a_conference",
            &[alice, bob, carol],
            &[
                ("1001", &[&added, &changed, &deleted, &released]),
                (
                    "1002",
                    &[
                        "EventReleased*CompleteConference call-1 data=status:old,gone:x,both:consultation,case:77",
                        &format!("EventRetrieved call-2 {ALL}"),
                        &added,
                        &changed,
                        &released,
                    ],
                ),
                (
                    "1003",
                    &[
                        &format!("EventPartyChanged call-2 Conferenced previous=call-1 {ALL}"),
                        &changed,
                        &deleted,
                        &released,
                    ],
                ),
            ],
        )
        .await;
}

/// As much as fits once, and not twice.
fn bulk(key: &str) -> KvList {
    let value = "x".repeat(40_000);
    [(key, value.as_str())].into_iter().collect()
}

#[tokio::test]
async fn a_transfer_is_refused_where_the_data_of_both_calls_is_too_much_for_one() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let (consult, ringing) = stage.consults(OnCallWith::InitiateTransfer, "1002", main, carol).await;
    stage
        .asks(ClientRequest::attach_user_data(&dn("1001"), main, bulk("main")))
        .await;
    stage
        .asks(ClientRequest::attach_user_data(&dn("1003"), consult, bulk("consultation")))
        .await;
    stage
        .is_refused(on_two(OnTwoCalls::CompleteTransfer, "1002", main, consult), 223)
        .await;
    stage.hear(&[(alice, "sound"), (bob, "1003"), (carol, "1002")]).await;
    stage.asks(ClientRequest::delete_user_data(&dn("1001"), main, "main")).await;
    stage.begins();
    stage.asks(on_two(OnTwoCalls::CompleteTransfer, "1002", main, consult)).await;
    stage.event(EventAttachedDataChanged, "1001").await;
    alice.hangs_up(0).await;
    carol.is_over(ringing).await;
    stage.server.idle().await;
    stage.server.alive().await;
}

/// Alice and Bob talk about customer 4711; Bob brings Carol in, about case 77. Carol rings, and Alice notes something.
async fn single_step(operation: OnCallWith) -> (Stage, [Handset; 3], u32, CallNumber) {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    let attach = ClientRequest::attach_user_data(&dn("1002"), call, pairs(&[("customer", "4711")]));
    stage.asks(attach).await;
    stage.begins();
    let request = with(operation, "1002", call, "1003").user_data(pairs(&[("case", "77")]));
    let reference = stage.sends(request).await;
    let ringing = carol.rings().await;
    stage.event(EventRinging, "1003").await;
    let note = ClientRequest::attach_user_data(&dn("1001"), call, pairs(&[("note", "ok")]));
    stage.asks(note).await;
    stage.event(EventAttachedDataChanged, "1003").await;
    (stage, phones, reference, ringing)
}

const CUSTOMER: &str = "data=customer:4711,note:ok";
const CASE: &str = "data=customer:4711,note:ok,case:77";

#[tokio::test]
async fn data_of_a_single_step_transfer_is_the_calls_when_the_target_has_answered() {
    let (mut stage, phones, _, ringing) = single_step(OnCallWith::SingleStepTransfer).await;
    let [alice, bob, carol] = &phones;
    carol.picks_up(ringing).await;
    stage.event(EventPartyChanged, "1001").await;
    bob.is_over(0).await;
    alice.hangs_up(0).await;
    carol.is_over(ringing).await;
    let changed = format!("EventAttachedDataChanged call-1 third=1002/TransferredBy {CASE}");
    stage
        .ends(
            "data_of_a_single_step_transfer",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        &format!("EventAttachedDataChanged*AttachUserData call-1 third=1001 {CUSTOMER}"),
                        &format!("EventPartyChanged call-1 Transferred {CASE}"),
                        &changed,
                        &format!("EventReleased call-1 {CASE}"),
                    ],
                ),
                (
                    "1002",
                    &[
                        &format!("EventAttachedDataChanged call-1 third=1001 {CUSTOMER}"),
                        &format!("EventReleased*SingleStepTransfer call-1 Transferred {CASE}"),
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Transferred data=customer:4711,case:77",
                        &format!("EventAttachedDataChanged call-1 third=1001 {CASE}"),
                        &format!("EventEstablished call-1 {CASE}"),
                        &changed,
                        &format!("EventReleased call-1 {CASE}"),
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn data_of_a_single_step_transfer_that_is_declined_never_was_the_calls() {
    let (mut stage, phones, reference, ringing) = single_step(OnCallWith::SingleStepTransfer).await;
    let [alice, bob, carol] = &phones;
    carol.refuses(ringing, "603 Decline", "").await;
    assert_eq!(stage.answer(reference).await.error_code, Some(233));
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    stage
        .ends(
            "data_of_a_single_step_transfer_declined",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        &format!("EventAttachedDataChanged*AttachUserData call-1 {CUSTOMER}"),
                        &format!("EventReleased call-1 Ok {CUSTOMER}"),
                    ],
                ),
                (
                    "1002",
                    &[
                        &format!("EventAttachedDataChanged call-1 {CUSTOMER}"),
                        "EventError*SingleStepTransfer error=233",
                        &format!("EventReleased call-1 Ok {CUSTOMER}"),
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Transferred data=customer:4711,case:77",
                        &format!("EventAttachedDataChanged call-1 {CASE}"),
                        &format!("EventReleased call-1 {CASE}"),
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn data_of_a_single_step_conference_is_the_calls_when_the_target_has_answered() {
    let (mut stage, phones, _, ringing) = single_step(OnCallWith::SingleStepConference).await;
    let [alice, bob, carol] = &phones;
    carol.picks_up(ringing).await;
    stage.event(EventPartyAdded, "1002").await;
    carol.hangs_up(ringing).await;
    stage.event(EventPartyDeleted, "1002").await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    let changed = format!("EventAttachedDataChanged call-1 third=1002/AddedBy {CASE}");
    let deleted = format!("EventPartyDeleted call-1 {CASE}");
    let released = format!("EventReleased call-1 {CASE}");
    stage
        .ends(
            "data_of_a_single_step_conference",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        &format!("EventAttachedDataChanged*AttachUserData call-1 {CUSTOMER}"),
                        &format!("EventPartyAdded call-1 Conferenced {CASE}"),
                        &changed,
                        &deleted,
                        &released,
                    ],
                ),
                (
                    "1002",
                    &[
                        &format!("EventAttachedDataChanged call-1 {CUSTOMER}"),
                        &format!("EventPartyAdded*SingleStepConference call-1 Conferenced {CASE}"),
                        &changed,
                        &deleted,
                        &released,
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging*SingleStepConference call-1 data=customer:4711,case:77",
                        &format!("EventAttachedDataChanged call-1 {CASE}"),
                        &format!("EventEstablished call-1 Conferenced {CASE}"),
                        &changed,
                        &released,
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn data_of_a_single_step_conference_that_is_declined_never_was_the_calls() {
    let (mut stage, phones, reference, ringing) = single_step(OnCallWith::SingleStepConference).await;
    let [alice, bob, carol] = &phones;
    carol.refuses(ringing, "486 Busy Here", "").await;
    assert_eq!(stage.answer(reference).await.error_code, Some(231));
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    stage
        .ends(
            "data_of_a_single_step_conference_declined",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        &format!("EventAttachedDataChanged*AttachUserData call-1 {CUSTOMER}"),
                        &format!("EventReleased call-1 Ok {CUSTOMER}"),
                    ],
                ),
                (
                    "1002",
                    &[
                        &format!("EventAttachedDataChanged call-1 {CUSTOMER}"),
                        "EventError*SingleStepConference error=231",
                        &format!("EventReleased call-1 Ok {CUSTOMER}"),
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging*SingleStepConference call-1 data=customer:4711,case:77",
                        &format!("EventAttachedDataChanged call-1 {CASE}"),
                        &format!("EventReleased call-1 {CASE}"),
                    ],
                ),
            ],
        )
        .await;
}
