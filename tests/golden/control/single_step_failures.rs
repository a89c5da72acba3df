//! Single-step operations that come to nothing, and parties that leave in the middle (ch. 9.9, 9.10; the codes are those of ch. 7).
//!
//! Of a conference the requestor is answered twice: by EventRinging of the party that is to be added, and by EventError where it does
//! not come.

use tandem_wire::ClientRequest;
use tandem_wire::model::ConnId;
use tandem_wire::model::EventName::{EventError, EventEstablished, EventPartyChanged, EventReleased, EventRinging};
use tandem_wire::model::request::OnCallWith;

use crate::golden::stage::{Stage, dn, with};
use crate::rig::handset::{CallNumber, Handset};
use crate::rig::server::Setup;

/// What the target of a single-step conference is told first, in the call with this number.
fn rings_to_join(call: usize) -> String {
    format!("EventRinging*SingleStepConference call-{call} Ok as=ConferenceMember other=- third=1002/AddedBy previous=-")
}

/// And of a single-step transfer.
fn rings_for_transfer(call: usize) -> String {
    format!("EventRinging call-{call} Transferred as=Destination other=1001 third=1002/TransferredBy")
}

/// The next answer is this error.
async fn fails(stage: &mut Stage, reference: u32, code: u32) {
    let answer = stage.answer(reference).await;
    assert!(answer.is(EventError), "{answer:?}");
    assert_eq!(answer.error_code, Some(code), "{answer:?}");
}

/// Bob asks for a conference with Carol in a single step, and is told that she rings.
async fn adds(stage: &mut Stage, main: ConnId, carol: &Handset) -> (u32, CallNumber) {
    let request = with(OnCallWith::SingleStepConference, "1002", main, "1003");
    let reference = stage.sends(request).await;
    let ringing = carol.rings().await;
    assert!(stage.answer(reference).await.is(EventRinging));
    (reference, ringing)
}

#[tokio::test]
async fn who_is_to_be_added_and_does_not_come_leaves_the_call_as_it_was() {
    let setup = Setup::new().sip("ring_timeout_ms = 3000");
    let (mut stage, phones) = Stage::with(setup, &["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let as_it_was = [(alice, "1002"), (bob, "1001"), (carol, "")];
    for (status, code) in [("486 Busy Here", 231), ("603 Decline", 233)] {
        let (reference, ringing) = adds(&mut stage, main, carol).await;
        stage.hear(&as_it_was).await;
        carol.refuses(ringing, status, "").await;
        fails(&mut stage, reference, code).await;
        stage.hear(&as_it_was).await;
    }
    // Carol's own desktop declines.
    let (reference, ringing) = adds(&mut stage, main, carol).await;
    stage.sends(ClientRequest::release_call(&dn("1003"), main)).await;
    assert_eq!(carol.is_over(ringing).await, Some(487));
    fails(&mut stage, reference, 233).await;
    // She stays silent.
    let (reference, ringing) = adds(&mut stage, main, carol).await;
    assert_eq!(carol.is_over(ringing).await, Some(487));
    fails(&mut stage, reference, 232).await;
    stage.hear(&as_it_was).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    let failed = |code: u32| format!("EventError*SingleStepConference call-1 error={code}");
    stage
        .ends(
            "single_step_conference_in_vain",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok as=Origination other=1002/Destination"]),
                (
                    "1002",
                    &[
                        &failed(231),
                        &failed(233),
                        &failed(233),
                        &failed(232),
                        "EventReleased call-1 Ok as=Destination other=1001/Origination",
                    ],
                ),
                (
                    "1003",
                    &[
                        &rings_to_join(1),
                        "EventReleased call-1 Busy as=ConferenceMember other=-",
                        &rings_to_join(1),
                        "EventReleased call-1 Busy as=ConferenceMember other=-",
                        &rings_to_join(1),
                        "EventReleased*ReleaseCall call-1 Ok as=ConferenceMember other=-",
                        &rings_to_join(1),
                        "EventReleased call-1 NoAnswer as=ConferenceMember other=-",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_target_that_is_not_there_or_busy_leaves_the_call_as_it_was() {
    // 1004 does not register.
    let setup = ["1001", "1002", "1003", "1004"]
        .iter()
        .fold(Setup::new(), |setup, number| setup.trusted_phone(number));
    let server = setup.start().await;
    let alice = &Handset::register("1001", server.sip).await;
    let bob = &Handset::register("1002", server.sip).await;
    let carol = &Handset::register("1003", server.sip).await;
    let mut stage = Stage::before(server, &["1001", "1002", "1003", "1004"]).await;
    let (main, _, _) = stage.talk(alice, bob).await;
    let as_it_was = [(alice, "1002"), (bob, "1001"), (carol, "")];
    for operation in [OnCallWith::SingleStepConference, OnCallWith::SingleStepTransfer] {
        stage.is_refused(with(operation, "1002", main, "1004"), 234).await;
        stage.hear(&as_it_was).await;
    }
    let reference = stage.sends(with(OnCallWith::SingleStepTransfer, "1002", main, "1003")).await;
    let ringing = carol.rings().await;
    carol.refuses(ringing, "486 Busy Here", "").await;
    fails(&mut stage, reference, 231).await;
    stage.hear(&as_it_was).await;
    bob.hangs_up(0).await;
    alice.is_over(0).await;
    stage
        .ends(
            "single_step_unreachable",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok as=Origination other=1002/Destination"]),
                (
                    "1002",
                    &[
                        "EventError*SingleStepConference call-1 error=234",
                        "EventError*SingleStepTransfer call-1 error=234",
                        "EventError*SingleStepTransfer call-1 error=231",
                        "EventReleased call-1 Ok as=Destination other=1001/Origination",
                    ],
                ),
                ("1003", &[&rings_for_transfer(1), "EventReleased call-1 Busy"]),
                ("1004", &[]),
            ],
        )
        .await;
}

/// Alice calls Bob, once more.
async fn talk(stage: &mut Stage, alice: &Handset, bob: &Handset) -> (ConnId, CallNumber, CallNumber) {
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    let conn = stage.event(EventEstablished, "1002").await;
    stage.event(EventEstablished, "1001").await;
    (conn, there, here)
}

/// What the two are told until they talk, and then.
fn told(calls: &[(usize, &[&str])], first: &str) -> Vec<String> {
    let lines = calls.iter().flat_map(|(call, then)| {
        let beginning = [format!("{first} call-{call} Ok"), format!("EventEstablished call-{call} Ok")];
        beginning
            .into_iter()
            .chain(then.iter().map(move |line| line.replace("CALL", &format!("call-{call}"))))
    });
    lines.collect()
}

#[tokio::test]
async fn one_of_the_two_hangs_up_while_a_third_is_called() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.begins();
    for by_requestor in [false, true] {
        let (main, there, here) = talk(&mut stage, alice, bob).await;
        let (reference, ringing) = adds(&mut stage, main, carol).await;
        if by_requestor {
            bob.hangs_up(here).await;
            alice.is_over(there).await;
        } else {
            alice.hangs_up(there).await;
            bob.is_over(here).await;
        }
        assert_eq!(carol.is_over(ringing).await, Some(487));
        fails(&mut stage, reference, 237).await;
    }
    let (main, there, here) = talk(&mut stage, alice, bob).await;
    let reference = stage.sends(with(OnCallWith::SingleStepTransfer, "1002", main, "1003")).await;
    let ringing = carol.rings().await;
    stage.event(EventRinging, "1003").await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    assert_eq!(carol.is_over(ringing).await, Some(487));
    fails(&mut stage, reference, 237).await;
    stage.hear(&[(alice, ""), (bob, ""), (carol, "")]).await;
    let over = "EventReleased CALL Ok as=Origination other=1002/Destination";
    let alone = "EventReleased CALL Ok as=Destination other=1001/Origination";
    let not_added = [alone, "EventError*SingleStepConference CALL error=237"];
    let not_transferred = [alone, "EventError*SingleStepTransfer CALL error=237"];
    let to_alice = told(&[(1, &[over]), (2, &[over]), (3, &[over])], "EventDialing");
    let to_bob = told(&[(1, &not_added), (2, &not_added), (3, &not_transferred)], "EventRinging");
    stage
        .ends(
            "single_step_left_in_the_middle",
            &[alice, bob, carol],
            &[
                ("1001", &to_alice.iter().map(String::as_str).collect::<Vec<_>>()),
                ("1002", &to_bob.iter().map(String::as_str).collect::<Vec<_>>()),
                (
                    "1003",
                    &[
                        &rings_to_join(1),
                        "EventAbandoned call-1 Ok as=ConferenceMember",
                        &rings_to_join(2),
                        "EventAbandoned call-2 Ok as=ConferenceMember",
                        &rings_for_transfer(3),
                        "EventAbandoned call-3 Ok as=Destination",
                    ],
                ),
            ],
        )
        .await;
}

/// What becomes of it is between the other two.
#[tokio::test]
async fn who_transfers_in_a_single_step_and_hangs_up_while_the_target_rings_has_transferred() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    stage.begins();
    for declines in [false, true] {
        let (main, there, here) = talk(&mut stage, alice, bob).await;
        let reference = stage.sends(with(OnCallWith::SingleStepTransfer, "1002", main, "1003")).await;
        let ringing = carol.rings().await;
        stage.event(EventRinging, "1003").await;
        bob.hangs_up(here).await;
        assert!(stage.answer(reference).await.is(EventReleased));
        stage.event(EventPartyChanged, "1001").await;
        stage.hear(&[(alice, "sound"), (bob, ""), (carol, "")]).await;
        if declines {
            carol.refuses(ringing, "603 Decline", "").await;
        } else {
            carol.picks_up(ringing).await;
            stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
            carol.hangs_up(ringing).await;
        }
        alice.is_over(there).await;
    }
    let changed = "EventPartyChanged CALL Transferred other=1003 third=1002/TransferredBy previous=CALL";
    let transferred = "EventReleased*SingleStepTransfer CALL Transferred cause=1stepTransfer third=1003/Destination";
    let to_alice = told(
        &[
            (1, &[changed, "EventReleased CALL Ok other=1003"]),
            (2, &[changed, "EventReleased CALL Busy other=1003"]),
        ],
        "EventDialing",
    );
    let to_bob = told(&[(1, &[transferred]), (2, &[transferred])], "EventRinging");
    stage
        .ends(
            "single_step_transfer_left_by_its_maker",
            &[alice, bob, carol],
            &[
                ("1001", &to_alice.iter().map(String::as_str).collect::<Vec<_>>()),
                ("1002", &to_bob.iter().map(String::as_str).collect::<Vec<_>>()),
                (
                    "1003",
                    &[
                        &rings_for_transfer(1),
                        "EventEstablished call-1 Ok other=1001",
                        "EventReleased call-1 Ok other=1001",
                        &rings_for_transfer(2),
                        "EventReleased call-2 Busy other=1001",
                    ],
                ),
            ],
        )
        .await;
}
