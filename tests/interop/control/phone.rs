//! What a phone does by itself: direct calls, transfers (ch. 9.6, 9.9, 9.14).

use tandem_wire::model::EventName::{EventEstablished, EventHeld, EventPartyChanged, EventReleased};

use super::{clears, end, scene_of, talk};
use crate::rig::baresip::{Baresip, another_second};
use crate::rig::hearing::hear;
use crate::rig::server::Setup;

#[tokio::test]
async fn a_phone_transfers_blindly() {
    let (mut stage, [alice, mut bob, mut carol]) = scene_of(Setup::new(), ["1001", "1002", "1003"], &["1003"], &[]).await;
    let call = talk(&mut stage).await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    bob.transfer("sip:1003@tandem.local").await;
    carol.rings().await;
    // They can talk until she answers.
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    carol.accept().await;
    stage.event(EventPartyChanged, "1001").await;
    stage.event(EventReleased, "1002").await;
    hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
    end(stage, "1001", call).await;
}

#[tokio::test]
async fn a_phone_transfers_to_one_who_has_answered_and_to_one_who_rings() {
    let (mut stage, [alice, mut bob, mut carol]) = scene_of(Setup::new(), ["1001", "1002", "1003"], &["1003"], &[]).await;
    for answered in [true, false] {
        let call = talk(&mut stage).await;
        hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
        bob.hold().await;
        stage.event(EventHeld, "1002").await;
        hear(&[(&alice, "sound"), (&bob, ""), (&carol, "")]).await;
        another_second().await;
        bob.dial("sip:1003@tandem.local").await;
        tokio::join!(carol.rings(), bob.expect("CALL_RINGING"));
        hear(&[(&alice, "sound"), (&bob, ""), (&carol, "")]).await;
        if answered {
            carol.accept().await;
            stage.event(EventEstablished, "1003").await;
            hear(&[(&alice, "sound"), (&bob, "1003"), (&carol, "1002")]).await;
        }
        bob.transfer_to_newest("sip:1003@tandem.local", answered).await;
        stage.event(EventPartyChanged, "1001").await;
        // She is in the call that she was in: it is not a blind transfer.
        stage.event(EventPartyChanged, "1003").await;
        if !answered {
            hear(&[(&alice, "sound"), (&bob, ""), (&carol, "")]).await;
            carol.accept().await;
            stage.event(EventEstablished, "1003").await;
        }
        hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
        clears(&mut stage, "1001", call).await;
    }
    stage.server.alive_and_idle().await;
}

/// Alice dials Bob and holds him; Bob hangs up.
async fn direct(alice: &mut Baresip, bob: &mut Baresip) {
    alice.dial("sip:1002@tandem.local").await;
    bob.rings().await;
    hear(&[(alice, ""), (bob, "")]).await;
    bob.accept().await;
    alice.expect("CALL_ESTABLISHED").await;
    hear(&[(alice, "1002"), (bob, "1001")]).await;
    alice.hold().await;
    hear(&[(alice, ""), (bob, "sound")]).await;
    bob.hang_up().await;
    alice.expect("CALL_CLOSED").await;
    hear(&[(alice, ""), (bob, "")]).await;
}

#[tokio::test]
async fn a_direct_call_is_heard_whether_it_is_reported_or_not() {
    let settings = ["true", "false"].map(|setting| async move {
        let setup = Setup::new().tables(&format!("[calls]\nhandle_direct_calls = \"{setting}\""));
        let (mut stage, [mut alice, mut bob]) = scene_of(setup, ["1001", "1002"], &["1002"], &[]).await;
        direct(&mut alice, &mut bob).await;
        stage.desk.settled().await;
        let told = stage.desk.frames.iter().any(|frame| frame.contains("\"connId\""));
        assert_eq!(told, setting == "true", "{:?}", stage.desk.frames);
        stage.server.alive_and_idle().await;
    });
    futures_util::future::join_all(settings).await;
}
