//! Consultations that come to nothing, and parties that leave in the middle (ch. 9.1, 9.5).

use tandem_wire::model::EventName::{EventEstablished, EventReleased, EventRinging};
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};
use tandem_wire::model::{ConnId, MergeType};

use crate::golden::stage::{Stage, merge, on_call, on_two, with};
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;
use crate::rig::server::Setup;

/// Bob has retrieved Alice after a consultation that failed; they talk, and it ends.
async fn goes_on(stage: &mut Stage, main: ConnId, alice: &Handset, bob: &Handset) {
    stage.hear(&[(alice, "sound"), (bob, "")]).await;
    stage.asks(on_call(OnCall::RetrieveCall, "1002", main)).await;
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
}

/// The target turns the consultation down with this status.
async fn turned_down(status: &str, state: &str, name: &str) {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    stage.asks(with(OnCallWith::InitiateTransfer, "1002", main, "1003")).await;
    let ringing = carol.rings().await;
    carol.refuses(ringing, status, "").await;
    stage.event(EventReleased, "1002").await;
    goes_on(&mut stage, main, alice, bob).await;
    stage
        .ends(
            name,
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventDialing*InitiateTransfer call-2 Ok type=Consult",
                        &format!("EventDestinationBusy call-2 {state}"),
                        "EventReleased call-2",
                        "EventRetrieved*RetrieveCall call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
                ("1003", &["EventRinging call-2 Ok type=Consult", "EventReleased call-2"]),
            ],
        )
        .await;
}

#[tokio::test]
async fn the_target_of_a_consultation_is_busy() {
    turned_down("486 Busy Here", "Busy", "consultation_busy").await;
}

#[tokio::test]
async fn the_target_of_a_consultation_declines() {
    turned_down("603 Decline", "Busy", "consultation_declined").await;
}

#[tokio::test]
async fn the_target_of_a_consultation_does_not_answer() {
    let setup = Setup::new().sip("ring_timeout_ms = 1000");
    let (mut stage, phones) = Stage::with(setup, &["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    stage.asks(with(OnCallWith::InitiateTransfer, "1002", main, "1003")).await;
    let ringing = carol.rings().await;
    assert_eq!(carol.is_over(ringing).await, Some(487));
    stage.event(EventReleased, "1002").await;
    goes_on(&mut stage, main, alice, bob).await;
    stage
        .ends(
            "consultation_not_answered",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventDialing*InitiateTransfer call-2 Ok type=Consult",
                        "EventReleased call-2 NoAnswer",
                        "EventRetrieved*RetrieveCall call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
                ("1003", &["EventRinging call-2 Ok type=Consult", "EventReleased call-2"]),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_consultation_of_a_phone_that_is_not_there() {
    let setup = Setup::new().trusted_phone("1003");
    let (mut stage, phones) = Stage::with(setup, &["1001", "1002"]).await;
    let [alice, bob] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let answer = stage.asks(with(OnCallWith::InitiateTransfer, "1002", main, "1003")).await;
    let _consult = Desk::call_of(&answer);
    stage.event(EventReleased, "1002").await;
    goes_on(&mut stage, main, alice, bob).await;
    stage
        .ends(
            "consultation_unreachable",
            &[alice, bob],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventDialing*InitiateTransfer call-2 Ok type=Consult",
                        "EventReleased call-2 SitUnknown",
                        "EventRetrieved*RetrieveCall call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn the_caller_hangs_up_during_a_consultation() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let (_, ringing) = stage.consults(OnCallWith::InitiateTransfer, "1002", main, carol).await;
    alice.hangs_up(0).await;
    stage.event(EventReleased, "1002").await;
    stage.hear(&[(alice, ""), (bob, "1003"), (carol, "1002")]).await;
    carol.hangs_up(ringing).await;
    bob.is_over(0).await;
    stage
        .ends(
            "consultation_left_by_the_caller",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventDialing*InitiateTransfer call-2 Ok type=Consult",
                        "EventEstablished call-2 Ok",
                        "EventReleased call-1 Ok",
                        "EventReleased call-2 Ok",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-2 Ok",
                        "EventEstablished call-2 Ok",
                        "EventReleased call-2 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn what_is_left_of_two_calls_cannot_be_completed_in_either_order() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let (consult, ringing) = stage.consults(OnCallWith::InitiateTransfer, "1002", main, carol).await;
    alice.hangs_up(0).await;
    stage.event(EventReleased, "1002").await;
    for (one, two) in [(main, consult), (consult, main)] {
        for operation in [
            OnTwoCalls::CompleteTransfer,
            OnTwoCalls::CompleteConference,
            OnTwoCalls::ReconnectCall,
            OnTwoCalls::AlternateCall,
        ] {
            stage.is_refused(on_two(operation, "1002", one, two), 237).await;
        }
        stage.is_refused(merge(MergeType::ForTransfer, "1002", one, two), 237).await;
    }
    carol.hangs_up(ringing).await;
    bob.is_over(0).await;
    stage.event(EventReleased, "1003").await;
    stage
        .is_refused(on_two(OnTwoCalls::CompleteTransfer, "1002", main, consult), 56)
        .await;
    let refused = |request: &str, code: u32| format!("EventError*{request} error={code}");
    let all = [
        "CompleteTransfer",
        "CompleteConference",
        "ReconnectCall",
        "AlternateCall",
        "MergeCalls",
    ];
    let refusals: Vec<String> = all.iter().chain(&all).map(|request| refused(request, 237)).collect();
    let last = refused("CompleteTransfer", 56);
    let mut to_bob = vec![
        "EventHeld call-1 Ok",
        "EventDialing*InitiateTransfer call-2 Ok type=Consult",
        "EventEstablished call-2 Ok",
        "EventReleased call-1 Ok",
    ];
    to_bob.extend(refusals.iter().map(String::as_str));
    to_bob.extend(["EventReleased call-2 Ok", &last]);
    stage
        .ends(
            "consultation_without_its_main_call",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                ("1002", &to_bob),
                (
                    "1003",
                    &[
                        "EventRinging call-2 Ok",
                        "EventEstablished call-2 Ok",
                        "EventReleased call-2 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn the_target_hangs_up_during_a_consultation() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let (_, ringing) = stage.consults(OnCallWith::InitiateTransfer, "1002", main, carol).await;
    carol.hangs_up(ringing).await;
    stage.event(EventReleased, "1002").await;
    goes_on(&mut stage, main, alice, bob).await;
    stage
        .ends(
            "consultation_left_by_the_target",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventDialing*InitiateTransfer call-2 Ok type=Consult",
                        "EventEstablished call-2 Ok",
                        "EventReleased call-2 Ok",
                        "EventRetrieved*RetrieveCall call-1 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1003",
                    &[
                        "EventRinging call-2 Ok",
                        "EventEstablished call-2 Ok",
                        "EventReleased call-2 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn who_consults_hangs_up_and_nobody_is_left_alone() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    stage.asks(with(OnCallWith::InitiateTransfer, "1002", main, "1003")).await;
    let ringing = carol.rings().await;
    stage.event(EventRinging, "1003").await;
    bob.hangs_up(0).await;
    alice.is_over(0).await;
    assert_eq!(carol.is_over(ringing).await, Some(487));
    stage
        .ends(
            "consultation_left_by_its_maker",
            &[alice, bob, carol],
            &[
                ("1001", &["EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[
                        "EventHeld call-1 Ok",
                        "EventDialing*InitiateTransfer call-2 Ok type=Consult",
                        "EventReleased call-2 Ok",
                        "EventReleased call-1 Ok",
                    ],
                ),
                ("1003", &["EventRinging call-2 Ok", "EventAbandoned call-2"]),
            ],
        )
        .await;
}

/// Bob completes the transfer while Carol rings, who does not answer; or Alice gives up.
#[tokio::test]
async fn a_transfer_completed_while_the_target_rings_comes_to_nothing_afterwards() {
    let setup = Setup::new().sip("ring_timeout_ms = 3000");
    let (mut stage, phones) = Stage::with(setup, &["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    stage.begins();
    for (index, (to_alice, to_carol)) in [
        ("EventReleased MAIN Busy other=1003", "EventReleased MAIN Busy"),
        ("EventReleased MAIN Ok other=1003", "EventAbandoned MAIN Ok"),
        ("EventReleased MAIN NoAnswer other=1003", "EventReleased MAIN NoAnswer"),
    ]
    .into_iter()
    .enumerate()
    {
        let there = alice.dials("1002").await;
        let here = bob.takes().await;
        alice.is_answered(there).await;
        let main = stage.event(EventEstablished, "1002").await;
        stage.event(EventEstablished, "1001").await;
        let dialing = stage.asks(with(OnCallWith::InitiateTransfer, "1002", main, "1003")).await;
        let ringing = carol.rings().await;
        stage.event(EventRinging, "1003").await;
        let consult = Desk::call_of(&dialing);
        stage.asks(on_two(OnTwoCalls::CompleteTransfer, "1002", main, consult)).await;
        bob.is_over(here).await;
        stage.hear(&[(alice, "sound"), (bob, ""), (carol, "")]).await;
        match index {
            0 => carol.refuses(ringing, "603 Decline", "").await,
            1 => {
                alice.hangs_up(there).await;
                assert_eq!(carol.is_over(ringing).await, Some(487));
            }
            _ => assert_eq!(carol.is_over(ringing).await, Some(487)),
        }
        alice.is_over(there).await;
        stage.hear(&[(alice, ""), (bob, ""), (carol, "")]).await;
        let (main, consult) = (format!("call-{}", index * 2 + 1), format!("call-{}", index * 2 + 2));
        let lines = |lines: &[&str]| -> Vec<String> {
            let numbered = |line: &&str| line.replace("MAIN", &main).replace("CONSULT", &consult);
            lines.iter().map(numbered).collect()
        };
        let by_bob = "third=1002/TransferredBy";
        expected[0].extend(lines(&[
            "EventDialing MAIN Ok",
            "EventEstablished MAIN Ok",
            &format!("EventPartyChanged MAIN Transferred other=1003 {by_bob} previous=MAIN"),
            to_alice,
        ]));
        expected[1].extend(lines(&[
            "EventRinging MAIN Ok",
            "EventEstablished MAIN Ok",
            "EventHeld MAIN Ok",
            "EventDialing*InitiateTransfer CONSULT Ok type=Consult as=Origination other=1003",
            "EventReleased*CompleteTransfer CONSULT Transferred",
            "EventReleased MAIN Transferred",
        ]));
        expected[2].extend(lines(&[
            "EventRinging CONSULT Ok type=Consult as=Destination other=1002 previous=MAIN",
            &format!("EventPartyChanged MAIN Transferred other=1001 {by_bob} previous=CONSULT"),
            to_carol,
        ]));
    }
    let expected = expected
        .each_ref()
        .map(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>());
    let [to_alice, to_bob, to_carol] = &expected;
    stage
        .ends(
            "transfer_in_vain_after_completion",
            &[alice, bob, carol],
            &[("1001", to_alice), ("1002", to_bob), ("1003", to_carol)],
        )
        .await;
}
