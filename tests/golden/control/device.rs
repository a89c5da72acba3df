//! What a phone does by itself is told like what a desktop asks for, without a ReferenceID: transfers by REFER, pickup by Replaces,
//! forwarding by 302, a conference of its own. None of the phones here takes a REFER: the server carries it out.

use tandem_wire::model::EventName::{EventDialing, EventEstablished, EventPartyChanged, EventReleased, EventRetrieved};

use crate::golden::stage::Stage;
use crate::rig::server::Setup;

#[tokio::test]
async fn a_phone_transfers_blindly() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.talk(alice, bob).await;
    let (status, ringing) = tokio::join!(bob.transfers(0, "1003"), carol.takes());
    assert_eq!(status, 200);
    assert_eq!(carol.invite(ringing).header("Referred-By"), "<sip:1002@tandem.local>");
    bob.is_over(0).await;
    stage.event(EventPartyChanged, "1001").await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    carol.hangs_up(ringing).await;
    alice.is_over(0).await;
    stage
        .ends(
            "device_blind_transfer",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        "EventPartyChanged call-1 Transferred other=1003 third=1002/TransferredBy previous=call-1",
                        "EventReleased call-1 Ok",
                    ],
                ),
                ("1002", &["EventReleased call-1 Transferred cause=1stepTransfer third=1003"]),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Transferred as=Destination other=1001 third=1002/TransferredBy",
                        "EventEstablished call-1 as=Destination other=1001",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_blind_transfer_that_is_declined_leaves_the_call_as_it_was() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.talk(alice, bob).await;
    let (status, ()) = tokio::join!(bob.transfers(0, "1003"), async {
        let ringing = carol.rings().await;
        carol.refuses(ringing, "603 Decline", "").await;
    });
    assert_eq!(status, 603);
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    bob.hangs_up(0).await;
    alice.is_over(0).await;
    stage
        .ends(
            "device_blind_transfer_declined",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok other=1002"]),
                ("1002", &["EventReleased call-1 Ok other=1001"]),
                ("1003", &["EventRinging call-1 Transferred", "EventReleased call-1"]),
            ],
        )
        .await;
}

/// As many phones do. What becomes of it is between the other two.
#[tokio::test]
async fn a_phone_transfers_blindly_and_hangs_up_as_soon_as_that_is_accepted() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.talk(alice, bob).await;
    bob.begins_transfer(0, "1003").await;
    bob.hangs_up(0).await;
    assert_eq!(bob.is_told_of_transfer(0).await, 200);
    let ringing = carol.rings().await;
    stage.event(EventPartyChanged, "1001").await;
    stage.hear(&[(alice, "sound"), (bob, ""), (carol, "")]).await;
    carol.picks_up(ringing).await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    carol.hangs_up(ringing).await;
    alice.is_over(0).await;
    stage
        .ends(
            "device_blind_transfer_left_at_once",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        "EventPartyChanged call-1 Transferred other=1003 third=1002/TransferredBy previous=call-1",
                        "EventReleased call-1 Ok other=1003",
                    ],
                ),
                ("1002", &["EventReleased call-1 Transferred cause=1stepTransfer third=1003"]),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Transferred as=Destination other=1001 third=1002/TransferredBy",
                        "EventEstablished call-1 as=Destination other=1001",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_phone_transfers_attended() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.talk(alice, bob).await;
    bob.holds(0).await;
    stage.hear(&[(alice, "sound"), (bob, "")]).await;
    let second = bob.dials("1003").await;
    let ringing = carol.takes().await;
    bob.is_answered(second).await;
    stage.event(EventEstablished, "1003").await;
    stage.hear(&[(alice, "sound"), (bob, "1003"), (carol, "1002")]).await;
    assert_eq!(bob.joins(0, second).await, 200);
    bob.is_over(0).await;
    bob.is_over(second).await;
    stage.event(EventPartyChanged, "1001").await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    alice.hangs_up(0).await;
    carol.is_over(ringing).await;
    stage
        .ends(
            "device_attended_transfer",
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
                        "EventHeld call-1 Ok",
                        "EventDialing call-2 Ok as=Origination other=1003",
                        "EventEstablished call-2 Ok",
                        "EventReleased call-2 Transferred",
                        "EventReleased call-1 Transferred",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-2 Ok as=Destination other=1002",
                        "EventEstablished call-2 Ok",
                        "EventPartyChanged call-1 Transferred other=1001 third=1002/TransferredBy previous=call-2",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

/// As many phones do, in one of its two calls or in both, whichever the REFER was in: by then nobody goes with it.
async fn transfers_attended_and_hangs_up(mode: &str) {
    for (refers_in, leaves) in [(0, &[0][..]), (0, &[0, 1]), (1, &[1]), (1, &[1, 0])] {
        let setup = Setup::new().tables(&format!("[media]\nmode = \"{mode}\""));
        let (mut stage, phones) = Stage::with(setup, &["1001", "1002", "1003"]).await;
        let [alice, bob, carol] = &phones;
        stage.talk(alice, bob).await;
        bob.holds(0).await;
        let second = bob.dials("1003").await;
        let at_carol = carol.takes().await;
        bob.is_answered(second).await;
        stage.event(EventEstablished, "1003").await;
        stage.hear(&[(alice, "sound"), (bob, "1003"), (carol, "1002")]).await;
        let told = bob.joins_and_leaves(refers_in, 1 - refers_in, leaves).await;
        assert_eq!(told, 200, "REFER in {refers_in}, BYE in {leaves:?}");
        bob.is_over(0).await;
        bob.is_over(second).await;
        stage.event(EventPartyChanged, "1001").await;
        stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
        alice.hangs_up(0).await;
        carol.is_over(at_carol).await;
        // To the word what is told where the phone stays.
        stage.ends("device_attended_transfer", &[alice, bob, carol], &[]).await;
    }
}

#[tokio::test]
async fn a_phone_transfers_attended_and_hangs_up_as_soon_as_that_is_accepted() {
    transfers_attended_and_hangs_up("direct").await;
}

#[tokio::test]
async fn a_phone_transfers_attended_through_the_plane_and_hangs_up_as_soon_as_that_is_accepted() {
    transfers_attended_and_hangs_up("anchored").await;
}

/// Whom it brings together are to hear each other, and one of them does not follow at once. The call that it dialled is the first that is
/// told of.
#[tokio::test]
async fn a_phone_that_has_transferred_does_not_wait_for_the_audio_of_the_others() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.talk(alice, bob).await;
    let second = bob.dials("1003").await;
    let at_carol = carol.takes().await;
    bob.is_answered(second).await;
    stage.event(EventEstablished, "1003").await;
    alice.stalls(true);
    assert_eq!(bob.joins_and_leaves(0, second, &[0, second]).await, 200);
    stage.event(EventPartyChanged, "1001").await;
    alice.stalls(false);
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    carol.hangs_up(at_carol).await;
    alice.is_over(0).await;
    stage
        .ends(
            "device_attended_transfer_left_at_once",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        "EventPartyChanged call-2 Transferred other=1003 third=1002/TransferredBy previous=call-2",
                        "EventReleased call-2 Ok",
                    ],
                ),
                (
                    "1002",
                    &[
                        "EventDialing call-1 Ok as=Origination other=1003",
                        "EventEstablished call-1 Ok",
                        "EventReleased call-1 Transferred",
                        "EventReleased call-2 Transferred",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Ok as=Destination other=1002",
                        "EventEstablished call-1 Ok",
                        "EventPartyChanged call-2 Transferred other=1001 third=1002/TransferredBy previous=call-1",
                        "EventReleased call-2 Ok",
                    ],
                ),
            ],
        )
        .await;
}

/// Nothing on the wire tells a conference that the phone mixes from two lines that are in talk, so it is told as what the server sees.
#[tokio::test]
async fn a_conference_that_a_phone_mixes_by_itself_is_two_calls() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.talk(alice, bob).await;
    bob.holds(0).await;
    let second = bob.dials("1003").await;
    let at_carol = carol.takes().await;
    bob.is_answered(second).await;
    stage.event(EventEstablished, "1003").await;
    stage.hear(&[(alice, "sound"), (bob, "1003"), (carol, "1002")]).await;
    bob.resumes(0).await;
    stage.event(EventRetrieved, "1002").await;
    bob.conferences(0, second);
    stage
        .hear(&[(alice, "1002 1003"), (bob, "1001 1003"), (carol, "1001 1002")])
        .await;
    carol.hangs_up(at_carol).await;
    bob.is_over(second).await;
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    bob.hangs_up(0).await;
    alice.is_over(0).await;
    stage
        .ends(
            "device_own_conference",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok other=1002"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok other=1001",
                        "EventDialing call-2 Ok as=Origination other=1003",
                        "EventEstablished call-2 Ok other=1003",
                        "EventRetrieved call-1 Ok as=Destination other=1001/Origination",
                        "EventReleased call-2 Ok other=1003",
                        "EventReleased call-1 Ok other=1001",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-2 Ok as=Destination other=1002",
                        "EventEstablished call-2 Ok other=1002",
                        "EventReleased call-2 Ok other=1002",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_phone_forwards_a_call_by_302() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.begins();
    let there = alice.dials("1002").await;
    stage.event(EventDialing, "1001").await;
    let at_bob = bob.rings().await;
    bob.refuses(at_bob, "302 Moved Temporarily", "Contact: <sip:1003@tandem.local>\r\n")
        .await;
    let at_carol = carol.takes().await;
    alice.is_answered(there).await;
    stage.event(EventEstablished, "1003").await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    alice.hangs_up(there).await;
    carol.is_over(at_carol).await;
    stage.event(EventReleased, "1003").await;
    stage
        .ends(
            "device_forward",
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
                        "EventReleased call-1 Forwarded third=1003/DeletedBy",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-1 Forwarded as=Destination other=1001",
                        "EventEstablished call-1 as=Destination other=1001",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}
