//! Consultation and what comes of it, and two calls that are merged (ch. 9.5 to 9.8).

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventPartyAdded, EventPartyChanged, EventPartyDeleted};
use tandem_wire::model::MergeType;
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};

use super::{clears, end, scene, scene_of, talk};
use crate::golden::stage::{dn, merge, on_call, on_two, with};
use crate::rig::baresip::another_second;
use crate::rig::cti::Desk;
use crate::rig::hearing::hear;
use crate::rig::server::Setup;

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

/// The first consultation is given up after the answer, the second one before it, the third one becomes a transfer before it.
#[tokio::test]
async fn a_consultation_is_given_up_and_another_is_completed_while_it_rings() {
    let (mut stage, [alice, bob, mut carol]) = scene_of(Setup::new(), ["1001", "1002", "1003"], &["1003"], &[]).await;
    let main = talk(&mut stage).await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    for answered in [true, false] {
        let dialing = stage.asks(with(OnCallWith::InitiateTransfer, "1002", main, "1003")).await;
        let consult = Desk::call_of(&dialing);
        carol.rings().await;
        hear(&[(&alice, "sound"), (&bob, "sound"), (&carol, "")]).await;
        if answered {
            carol.accept().await;
            stage.event(EventEstablished, "1003").await;
            hear(&[(&alice, "sound"), (&bob, "1003"), (&carol, "1002")]).await;
        }
        stage.asks(on_two(OnTwoCalls::ReconnectCall, "1002", main, consult)).await;
        carol.expect("CALL_CLOSED").await;
        hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    }
    let dialing = stage.asks(with(OnCallWith::InitiateTransfer, "1002", main, "1003")).await;
    let consult = Desk::call_of(&dialing);
    carol.rings().await;
    stage.asks(on_two(OnTwoCalls::CompleteTransfer, "1002", main, consult)).await;
    stage.event(EventPartyChanged, "1001").await;
    hear(&[(&alice, "sound"), (&bob, ""), (&carol, "")]).await;
    carol.accept().await;
    stage.event(EventEstablished, "1003").await;
    hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
    end(stage, "1001", main).await;
}

/// Bob has two lines: the first one is on hold while he talks on the second.
#[tokio::test]
async fn two_calls_are_merged() {
    let (mut stage, [alice, bob, carol]) = scene(["1001", "1002", "1003"]).await;
    for kind in [MergeType::ForTransfer, MergeType::ForConference] {
        let first = talk(&mut stage).await;
        hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
        stage.asks(on_call(OnCall::HoldCall, "1002", first)).await;
        hear(&[(&alice, "sound"), (&bob, ""), (&carol, "")]).await;
        another_second().await;
        let dialing = stage.asks(ClientRequest::make_call(&dn("1002"), "1003")).await;
        let second = Desk::call_of(&dialing);
        stage.event(EventEstablished, "1003").await;
        hear(&[(&alice, "sound"), (&bob, "1003"), (&carol, "1002")]).await;
        stage.asks(merge(kind, "1002", first, second)).await;
        if kind == MergeType::ForTransfer {
            hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
        } else {
            hear(&[(&alice, "1002 1003"), (&bob, "1001 1003"), (&carol, "1001 1002")]).await;
        }
        clears(&mut stage, "1001", first).await;
        hear(&[(&alice, ""), (&bob, ""), (&carol, "")]).await;
    }
    stage.server.alive_and_idle().await;
}
