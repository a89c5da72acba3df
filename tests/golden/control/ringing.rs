//! What happens to a call that rings: a consultation given up (ch. 9.8), a call picked up by another phone (RFC 3891).

use tandem_wire::model::EventName::{EventEstablished, EventRinging};
use tandem_wire::model::request::{OnCallWith, OnTwoCalls};

use crate::golden::stage::{Stage, on_two, with};
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
