//! Conferences: by consultation and in a single step, and how they end (ch. 9.3, 9.7, 9.10, 9.11).

use tandem_wire::model::EventName::{EventEstablished, EventPartyAdded, EventPartyDeleted, EventReleased};
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};
use tandem_wire::model::{ConnId, KvList};
use tandem_wire::{ClientRequest, EventFrame};

use crate::golden::stage::{Stage, dn, on_call, on_two, with};
use crate::rig::handset::{CallNumber, Handset};
use crate::rig::wait;

/// What the parties are told while a conference of three is made by consultation.
const MADE_A: &str = "EventPartyAdded call-1 Conferenced as=ConferenceMember other=1003/NewParty third=1002/AddedBy";
const MADE_B: [&str; 6] = [
    "EventHeld call-1 Ok",
    "EventDialing*InitiateConference call-2 Ok type=Consult as=Origination other=1003/Destination",
    "EventEstablished call-2 Ok type=Consult",
    "EventReleased*CompleteConference call-2 Conferenced",
    "EventRetrieved call-1 Conferenced",
    "EventPartyAdded call-1 Conferenced as=ConferenceMember other=1003/NewParty third=1002/AddedBy",
];
const MADE_C: [&str; 3] = [
    "EventRinging call-2 Ok type=Consult as=Destination other=1002/Origination previous=call-1",
    "EventEstablished call-2 Ok type=Consult",
    "EventPartyChanged call-1 Conferenced as=ConferenceMember third=1002/ConferencedBy previous=call-2",
];

/// Alice talks with Bob, who consults Carol and makes a conference of it.
async fn conference(stage: &mut Stage, alice: &Handset, bob: &Handset, carol: &Handset) -> (ConnId, CallNumber) {
    let (main, _, _) = stage.talk(alice, bob).await;
    let (consult, ringing) = stage.consults(OnCallWith::InitiateConference, "1002", main, carol).await;
    stage.hear(&[(alice, "sound"), (bob, "1003"), (carol, "1002")]).await;
    stage
        .asks(on_two(OnTwoCalls::CompleteConference, "1002", main, consult))
        .await;
    stage.event(EventPartyAdded, "1001").await;
    stage
        .hear(&[(alice, "1002 1003"), (bob, "1001 1003"), (carol, "1001 1002")])
        .await;
    (main, ringing)
}

#[tokio::test]
async fn who_speaks_in_a_conference_is_told_to_who_asks() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    let query = || ClientRequest::query_call(&dn("1001"), main);
    let speaker = |info: &EventFrame| info.extensions.text("active-speaker").map(ToOwned::to_owned);
    assert_eq!(
        speaker(&stage.asks(query()).await),
        None,
        "between two it goes without saying"
    );
    let (consult, _) = stage.consults(OnCallWith::InitiateConference, "1002", main, carol).await;
    stage
        .asks(on_two(OnTwoCalls::CompleteConference, "1002", main, consult))
        .await;
    stage.event(EventPartyAdded, "1001").await;
    // All of them speak all the time: who began, and stays.
    wait::until("the active speaker", wait::SOON, async || {
        let told = speaker(&stage.asks(query()).await);
        let known = told.as_ref().is_some_and(|dn| phones.iter().any(|phone| phone.dn() == *dn));
        if known { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_conference_shrinks_to_a_call_and_ends() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (_, at_carol) = conference(&mut stage, alice, bob, carol).await;
    carol.hangs_up(at_carol).await;
    stage.event(EventPartyDeleted, "1001").await;
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    let left = "EventPartyDeleted call-1 Ok other=1003/DeletedParty third=1003/DeletedBy";
    stage
        .ends(
            "conference",
            &[alice, bob, carol],
            &[
                ("1001", &[MADE_A, left, "EventReleased call-1 Ok"]),
                ("1002", &[&MADE_B[..], &[left, "EventReleased call-1 Ok"]].concat()),
                ("1003", &[&MADE_C[..], &["EventReleased call-1 Ok"]].concat()),
            ],
        )
        .await;
}

#[tokio::test]
async fn who_made_a_conference_leaves_it_and_the_others_talk_on() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, at_carol) = conference(&mut stage, alice, bob, carol).await;
    stage.asks(ClientRequest::release_call(&dn("1002"), main)).await;
    bob.is_over(0).await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    carol.hangs_up(at_carol).await;
    alice.is_over(0).await;
    let left = "EventPartyDeleted call-1 Ok other=1002/DeletedParty third=1002/DeletedBy";
    stage
        .ends(
            "conference_left_by_its_maker",
            &[alice, bob, carol],
            &[
                ("1001", &[MADE_A, left, "EventReleased call-1 Ok"]),
                ("1002", &[&MADE_B[..], &["EventReleased*ReleaseCall call-1 Ok"]].concat()),
                ("1003", &[&MADE_C[..], &[left, "EventReleased call-1 Ok"]].concat()),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_party_is_deleted_from_a_conference() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, at_carol) = conference(&mut stage, alice, bob, carol).await;
    stage.asks(with(OnCallWith::DeleteFromConference, "1002", main, "1003")).await;
    carol.is_over(at_carol).await;
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    let deleted = "other=1003/DeletedParty third=1002/DeletedBy";
    stage
        .ends(
            "conference_deleted_from",
            &[alice, bob, carol],
            &[
                (
                    "1001",
                    &[
                        MADE_A,
                        &format!("EventPartyDeleted call-1 Ok {deleted}"),
                        "EventReleased call-1 Ok",
                    ],
                ),
                (
                    "1002",
                    &[
                        &MADE_B[..],
                        &[
                            &format!("EventPartyDeleted*DeleteFromConference call-1 Ok {deleted}"),
                            "EventReleased call-1 Ok",
                        ],
                    ]
                    .concat(),
                ),
                ("1003", &[&MADE_C[..], &["EventReleased call-1"]].concat()),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_conference_is_cleared() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, at_carol) = conference(&mut stage, alice, bob, carol).await;
    stage.asks(ClientRequest::clear_call(&dn("1001"), main)).await;
    alice.is_over(0).await;
    bob.is_over(0).await;
    carol.is_over(at_carol).await;
    stage
        .ends(
            "conference_cleared",
            &[alice, bob, carol],
            &[
                ("1001", &[MADE_A, "EventReleased*ClearCall call-1"]),
                ("1002", &[&MADE_B[..], &["EventReleased call-1"]].concat()),
                ("1003", &[&MADE_C[..], &["EventReleased call-1"]].concat()),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_party_is_added_in_a_single_step() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, _, _) = stage.talk(alice, bob).await;
    stage
        .sends(with(OnCallWith::SingleStepConference, "1002", main, "1003"))
        .await;
    let ringing = carol.rings().await;
    stage.hear(&[(alice, "1002"), (bob, "1001"), (carol, "")]).await;
    carol.picks_up(ringing).await;
    stage.event(EventEstablished, "1003").await;
    stage
        .hear(&[(alice, "1002 1003"), (bob, "1001 1003"), (carol, "1001 1002")])
        .await;
    alice.hangs_up(0).await;
    stage.event(EventReleased, "1001").await;
    stage.hear(&[(alice, ""), (bob, "1003"), (carol, "1002")]).await;
    bob.hangs_up(0).await;
    carol.is_over(ringing).await;
    let added = "call-1 Conferenced as=ConferenceMember other=1003/NewParty third=1002/AddedBy";
    let left = "EventPartyDeleted call-1 Ok other=1001/DeletedParty third=1001/DeletedBy";
    stage
        .ends(
            "single_step_conference",
            &[alice, bob, carol],
            &[
                ("1001", &[&format!("EventPartyAdded {added}"), "EventReleased call-1 Ok"]),
                (
                    "1002",
                    &[&format!("EventPartyAdded*? {added}"), left, "EventReleased call-1 Ok"],
                ),
                (
                    "1003",
                    &[
                        "EventRinging*SingleStepConference call-1 Ok as=ConferenceMember",
                        "EventEstablished call-1 Conferenced as=ConferenceMember",
                        left,
                        "EventReleased call-1 Ok",
                    ],
                ),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_conference_hears_music_where_who_holds_asks_for_it() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    let (main, at_carol) = conference(&mut stage, alice, bob, carol).await;
    let hold = |music: i64| on_call(OnCall::HoldCall, "1002", main).extensions(KvList::from_iter([("music", music)]));
    let retrieve = || on_call(OnCall::RetrieveCall, "1002", main);
    stage.asks(on_call(OnCall::HoldCall, "1002", main)).await;
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    stage.asks(retrieve()).await;
    stage.asks(hold(1)).await;
    // The voices of the phones drown the music.
    stage.hear(&[(alice, "1003"), (bob, ""), (carol, "1001")]).await;
    for number in ["1001", "1003"] {
        stage.asks(on_call(OnCall::SetMuteOn, number, main)).await;
    }
    stage.hear(&[(alice, "sound"), (bob, ""), (carol, "sound")]).await;
    stage.asks(retrieve()).await;
    stage.hear(&[(alice, "1002"), (bob, ""), (carol, "1002")]).await;
    carol.hangs_up(at_carol).await;
    stage.event(EventPartyDeleted, "1001").await;
    stage.asks(hold(0)).await;
    stage.hear(&[(alice, ""), (bob, "")]).await;
    alice.hangs_up(0).await;
    bob.is_over(0).await;
    let (held, retrieved) = ("EventHeld*HoldCall call-1 Ok", "EventRetrieved*RetrieveCall call-1 Ok");
    let left = "EventPartyDeleted call-1 Ok other=1003/DeletedParty third=1003/DeletedBy";
    let over = "EventReleased call-1 Ok";
    stage
        .ends(
            "conference_held_with_music",
            &[alice, bob, carol],
            &[
                ("1001", &[MADE_A, "EventMuteOn*SetMuteOn call-1", left, over]),
                (
                    "1002",
                    &[&MADE_B[..], &[held, retrieved, held, retrieved, left, held, over]].concat(),
                ),
                ("1003", &[&MADE_C[..], &["EventMuteOn*SetMuteOn call-1", over]].concat()),
            ],
        )
        .await;
}
