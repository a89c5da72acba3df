//! Single-step transfer and redirection (ch. 9.9, 9.2).

use tandem_wire::model::EventName::{EventEstablished, EventPartyChanged, EventRinging};
use tandem_wire::model::request::OnCallWith;

use crate::golden::stage::{Stage, with};
use crate::rig::server::Setup;

#[tokio::test]
async fn a_single_step_transfer_lets_the_parties_talk_until_the_target_answers() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    stage.sends(with(OnCallWith::SingleStepTransfer, "1002", call, "1003")).await;
    let ringing = carol.rings().await;
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    carol.picks_up(ringing).await;
    stage.event(EventPartyChanged, "1001").await;
    bob.is_over(0).await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    alice.hangs_up(0).await;
    carol.is_over(ringing).await;
    stage
        .ends(
            "single_step_transfer",
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
                    &["EventReleased*SingleStepTransfer call-1 Transferred cause=1stepTransfer third=1003/Destination"],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Transferred as=Destination other=1001 third=1002/TransferredBy",
                        "EventEstablished call-1 as=Destination other=1001",
                        "EventReleased call-1 Ok other=1001",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_single_step_transfer_that_is_declined_leaves_the_call_as_it_was() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    let reference = stage.sends(with(OnCallWith::SingleStepTransfer, "1002", call, "1003")).await;
    let ringing = carol.rings().await;
    carol.refuses(ringing, "603 Decline", "").await;
    let answer = stage.answer(reference).await;
    assert_eq!(answer.error_code, Some(233), "{answer:?}");
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    stage
        .ends(
            "single_step_transfer_declined",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok other=1002"]),
                (
                    "1002",
                    &[
                        "EventError*SingleStepTransfer error=233",
                        "EventReleased call-1 Ok other=1001",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Transferred other=1001 third=1002/TransferredBy",
                        "EventReleased call-1",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_single_step_transfer_that_nobody_answers_leaves_the_call_as_it_was() {
    let setup = Setup::new().sip("ring_timeout_ms = 1000");
    let (mut stage, phones) = Stage::with(setup, &["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (call, _, _) = stage.talk(alice, bob).await;
    stage
        .is_refused(with(OnCallWith::SingleStepTransfer, "1002", call, "1003"), 232)
        .await;
    let ringing = carol.rings().await;
    assert_eq!(carol.is_over(ringing).await, Some(487));
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    stage
        .ends(
            "single_step_transfer_not_answered",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok other=1002"]),
                (
                    "1002",
                    &[
                        "EventError*SingleStepTransfer error=232",
                        "EventReleased call-1 Ok other=1001",
                    ],
                ),
                ("1003", &["EventRinging call-1 Transferred", "EventReleased call-1"]),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_call_that_rings_is_redirected() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.begins();
    let there = alice.dials("1002").await;
    let at_bob = bob.rings().await;
    let call = stage.event(EventRinging, "1002").await;
    stage.asks(with(OnCallWith::RedirectCall, "1002", call, "1003")).await;
    assert_eq!(bob.is_over(at_bob).await, Some(487));
    let at_carol = carol.takes().await;
    alice.is_answered(there).await;
    stage.event(EventEstablished, "1003").await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    alice.hangs_up(there).await;
    carol.is_over(at_carol).await;
    stage
        .ends(
            "redirect",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        "EventDialing call-1 Ok as=Origination other=1002",
                        "EventEstablished call-1 as=Origination other=1003",
                        "EventReleased call-1 Ok other=1003",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventRinging call-1 Ok as=Destination other=1001",
                        "EventReleased*RedirectCall call-1 Redirected third=1003",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Redirected as=Destination other=1001",
                        "EventEstablished call-1 as=Destination other=1001",
                        "EventReleased call-1 Ok other=1001",
                    ],
                ),
            ],
        )
        .await;
}
