//! The user data of a consultation: a copy of the main call's and what the request adds, merged at completion (ch. 9.5, 9.6, 12).

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventAttachedDataChanged, EventEstablished, EventPartyChanged};
use tandem_wire::model::KvList;
use tandem_wire::model::request::{OnCallWith, OnTwoCalls};

use crate::golden::stage::{Stage, dn, on_two, with};
use crate::rig::cti::Desk;

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
