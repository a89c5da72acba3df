//! Single-step transfer and conference, and who is taken out of a conference (ch. 9.9 to 9.11).

use tandem_wire::model::EventName::{EventError, EventEstablished, EventPartyChanged};
use tandem_wire::model::request::OnCallWith;

use super::{end, scene_of, talk};
use crate::golden::stage::with;
use crate::rig::hearing::hear;
use crate::rig::server::Setup;

#[tokio::test]
async fn a_single_step_transfer_that_is_declined_and_one_that_is_answered() {
    let (mut stage, [alice, bob, mut carol]) = scene_of(Setup::new(), ["1001", "1002", "1003"], &["1003"], &[]).await;
    let call = talk(&mut stage).await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    let reference = stage.sends(with(OnCallWith::SingleStepTransfer, "1002", call, "1003")).await;
    carol.rings().await;
    carol.hang_up().await;
    let answer = stage.answer(reference).await;
    assert!(answer.is(EventError), "{answer:?}");
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    stage.sends(with(OnCallWith::SingleStepTransfer, "1002", call, "1003")).await;
    carol.rings().await;
    // They talk on until she answers.
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    carol.accept().await;
    stage.event(EventPartyChanged, "1001").await;
    hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
    end(stage, "1003", call).await;
}

#[tokio::test]
async fn a_party_is_added_in_a_single_step_and_deleted_again() {
    let (mut stage, [alice, bob, mut carol]) = scene_of(Setup::new(), ["1001", "1002", "1003"], &["1003"], &[]).await;
    let call = talk(&mut stage).await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    stage
        .sends(with(OnCallWith::SingleStepConference, "1002", call, "1003"))
        .await;
    carol.rings().await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    carol.accept().await;
    stage.event(EventEstablished, "1003").await;
    hear(&[(&alice, "1002 1003"), (&bob, "1001 1003"), (&carol, "1001 1002")]).await;
    stage.asks(with(OnCallWith::DeleteFromConference, "1002", call, "1003")).await;
    carol.expect("CALL_CLOSED").await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    end(stage, "1001", call).await;
}
