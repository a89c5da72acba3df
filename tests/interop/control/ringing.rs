//! What becomes of a call that rings: it is answered from the desktop, goes elsewhere by a request, by a 302 or by a pickup.

use tandem_wire::model::EventName::{EventEstablished, EventRinging};
use tandem_wire::model::request::{OnCall, OnCallWith};

use super::{clears, scene_of};
use crate::golden::stage::{on_call, with};
use crate::rig::handset::Handset;
use crate::rig::hearing::hear;
use crate::rig::server::Setup;

/// Baresip does not take `Event: talk`: the desktop is told so at once, and the phone rings on. Another phone takes it.
#[tokio::test]
async fn a_call_is_answered_from_the_desktop_where_the_phone_can_be_told_to() {
    let (mut stage, [mut alice, mut bob]) = scene_of(Setup::new(), ["1001", "1002"], &["1002"], &["1003"]).await;
    let carol = Handset::register("1003", stage.server.sip).await;
    alice.dial("sip:1002@tandem.local").await;
    bob.rings().await;
    let call = stage.event(EventRinging, "1002").await;
    let reference = stage.sends(on_call(OnCall::AnswerCall, "1002", call)).await;
    let answer = stage.answer(reference).await;
    assert_eq!(answer.error_code, Some(51), "{answer:?}");
    let text = answer.error_message.unwrap_or_default();
    assert!(text.starts_with("the phone cannot be made to answer"), "{text}");
    hear(&[(&alice, ""), (&bob, "")]).await;
    bob.accept().await;
    stage.event(EventEstablished, "1002").await;
    hear(&[(&alice, "1002"), (&bob, "1001")]).await;
    clears(&mut stage, "1001", call).await;

    alice.dial("sip:1003@tandem.local").await;
    carol.rings().await;
    let call = stage.event(EventRinging, "1003").await;
    hear(&[(&alice, ""), (&bob, ""), (&carol, "")]).await;
    stage.asks(on_call(OnCall::AnswerCall, "1003", call)).await;
    hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
    clears(&mut stage, "1001", call).await;
    hear(&[(&alice, ""), (&bob, ""), (&carol, "")]).await;
    stage.server.alive_and_idle().await;
}

#[tokio::test]
async fn a_call_that_rings_goes_elsewhere() {
    let (mut stage, [mut alice, mut bob, mut carol]) =
        scene_of(Setup::new(), ["1001", "1002", "1003"], &["1002", "1003"], &["1004"]).await;
    let dave = Handset::register("1004", stage.server.sip).await;

    // By a request.
    alice.dial("sip:1002@tandem.local").await;
    bob.rings().await;
    let call = stage.event(EventRinging, "1002").await;
    stage.asks(with(OnCallWith::RedirectCall, "1002", call, "1003")).await;
    bob.expect("CALL_CLOSED").await;
    carol.rings().await;
    hear(&[(&alice, ""), (&bob, ""), (&carol, "")]).await;
    carol.accept().await;
    stage.event(EventEstablished, "1003").await;
    hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
    clears(&mut stage, "1001", call).await;

    // Dave's phone forwards it.
    alice.dial("sip:1004@tandem.local").await;
    let ringing = dave.rings().await;
    let call = stage.event(EventRinging, "1004").await;
    dave.refuses(ringing, "302 Moved Temporarily", "Contact: <sip:1003@tandem.local>\r\n")
        .await;
    carol.rings().await;
    hear(&[(&alice, ""), (&carol, ""), (&dave, "")]).await;
    carol.accept().await;
    stage.event(EventEstablished, "1003").await;
    hear(&[(&alice, "1003"), (&carol, "1001"), (&dave, "")]).await;
    clears(&mut stage, "1001", call).await;

    // Dave picks up what rings at Bob's.
    alice.dial("sip:1002@tandem.local").await;
    bob.rings().await;
    let call = stage.event(EventRinging, "1002").await;
    hear(&[(&alice, ""), (&bob, ""), (&dave, "")]).await;
    let replaces = format!("Replaces: {};early-only\r\nRequire: replaces\r\n", bob.rings_in());
    let taken = dave.invites("1002", &replaces).await;
    dave.is_answered(taken).await;
    bob.expect("CALL_CLOSED").await;
    stage.event(EventEstablished, "1004").await;
    hear(&[(&alice, "1004"), (&bob, ""), (&dave, "1001")]).await;
    clears(&mut stage, "1001", call).await;
    hear(&[(&alice, ""), (&bob, ""), (&dave, "")]).await;
    stage.server.alive_and_idle().await;
}
