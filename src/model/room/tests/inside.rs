//! Inside: who hears whom, mute, hold, who leaves, and what clients may ask.

use super::*;
use crate::link::{AudioPlan, AudioSource, OperationId, Tone};
use crate::room::{RosterRole, RosterState};
use crate::{CallInfoType, CallState, DnRole, KvValue, TErrorCode};

fn plan_of(out: &[RoomOutput]) -> Option<(OperationId, AudioPlan)> {
    links(out).into_iter().find_map(|request| match request {
        LinkRequest::SetAudio { operation, plan, .. } => Some((*operation, plan.clone())),
        _ => None,
    })
}

fn done(scene: &mut Scene, operation: OperationId) -> Vec<RoomOutput> {
    scene.tell(LinkNotification::OperationDone {
        conference: conference(1001),
        operation,
    })
}

#[test]
fn everybody_hears_everybody_but_the_muted_one() {
    let mut scene = Scene::new(settings());
    let first = scene.join(1001);
    let second = scene.join(1002);
    // The music of the first one is still under way.
    let (_, plan) = plan_of(&done(&mut scene, OperationId(1))).expect("the music ends");
    assert_eq!(plan, AudioPlan::default());
    done(&mut scene, OperationId(3));
    let third = scene.join(1003);
    let out = scene.ask(on_call(OnCall::SetMuteOn, &dn(1002), None));
    assert_eq!(told(&out), ["MuteOn* 1002"]);
    let (_, plan) = plan_of(&out).expect("a plan");
    let [row] = plan.rows.as_slice() else { panic!("{plan:?}") };
    assert_eq!(row.party, second.1);
    assert_eq!(
        row.sources.as_slice(),
        [AudioSource::Party(first.1), AudioSource::Party(third.1)]
    );
    let again = scene.ask(on_call(OnCall::SetMuteOn, &dn(1002), None));
    assert_eq!(error_of(&again), Some(TErrorCode::InSameState));
}

#[test]
fn a_tone_tells_who_comes_and_goes_and_then_ends() {
    let mut scene = Scene::new(RoomSettings::default());
    scene.join(1001);
    let (operation, _) = plan_of(&scene.out).expect("music");
    done(&mut scene, operation);
    scene.out.clear();
    let second = scene.join(1002);
    let (operation, plan) = plan_of(&scene.out).expect("the tone");
    assert_eq!(plan.rows.len(), 2);
    assert!(
        plan.rows
            .iter()
            .all(|row| row.sources.contains(&AudioSource::Tone(Tone::Beep)))
    );
    assert!(plan.rows[0].sources.contains(&AudioSource::Party(second.1)));
    assert!(plan_of(&scene.pass(400)).is_none(), "one plan at a time");
    let (operation, plan) = plan_of(&done(&mut scene, operation)).expect("the tone ends");
    assert_eq!(plan, AudioPlan::default());
    done(&mut scene, operation);
    assert_eq!(scene.room.next_timeout(), None);
}

#[test]
fn a_plan_that_failed_is_tried_again() {
    let mut scene = Scene::new(settings());
    scene.join(1001);
    let (operation, plan) = plan_of(&scene.out).expect("music");
    scene.tell(LinkNotification::OperationFailed {
        conference: conference(1001),
        operation,
        cause: Cause::status(ReleasedBy::Network, 408),
    });
    let again = plan_of(&scene.pass(1_000)).expect("again");
    assert_eq!(again.1, plan);
    assert_ne!(again.0, operation);
}

#[test]
fn who_leaves_is_told_and_those_who_stay_too() {
    let mut scene = Scene::new(settings());
    scene.join(1001);
    let second = scene.join(1002);
    scene.join(1003);
    let out = scene.released(second);
    assert_eq!(
        told(&out),
        [
            "Released 1002",
            "PartyDeleted meeting",
            "PartyDeleted 1001",
            "PartyDeleted 1003"
        ]
    );
    let RoomOutput::Event { event, .. } = &out[2] else {
        panic!("{out:?}")
    };
    assert_eq!(event.this_dn_role, Some(DnRole::ConferenceMember));
    assert_eq!(
        (event.other_dn.clone(), event.other_dn_role),
        (Some(dn(1002)), Some(DnRole::DeletedParty))
    );
    assert_eq!(
        (event.third_party_dn.clone(), event.third_party_dn_role),
        (Some(dn(1002)), Some(DnRole::DeletedBy))
    );
    assert_eq!(event.call_state, Some(CallState::Ok));
    assert!(!scene.room.is_closed(), "two still talk");
}

#[test]
fn the_last_one_to_leave_closes_the_room() {
    let mut scene = Scene::new(settings());
    let first = scene.join(1001);
    let out = scene.released(first);
    assert_eq!(told(&out), ["Released 1001", "PartyDeleted meeting", "Released meeting"]);
    assert!(out.contains(&RoomOutput::Closed));
    assert_eq!(scene.ended(first.0), [RoomOutput::Finished]);
    let late = scene.offer(1002);
    assert!(
        matches!(links(&late)[..], [LinkRequest::ReleaseParty { .. }]),
        "a closed room takes nobody"
    );
}

#[test]
fn a_member_leaves_by_request() {
    let mut scene = Scene::new(settings());
    scene.join(1001);
    let second = scene.join(1002);
    let out = scene.ask(release(&dn(1002)));
    assert_eq!(told(&out), ["Released* 1002", "PartyDeleted meeting", "PartyDeleted 1001"]);
    assert!(
        scene
            .released(second)
            .iter()
            .all(|output| !matches!(output, RoomOutput::Event { .. }))
    );
    assert_eq!(error_of(&scene.ask(release(&dn(1002)))), Some(TErrorCode::PartyNotOnCall));
    assert_eq!(error_of(&scene.ask(release(&meeting()))), Some(TErrorCode::InvalidCallState));
}

#[test]
fn the_conference_dn_throws_out_mutes_and_ends() {
    let mut scene = Scene::new(settings());
    for user in [1001, 1002, 1003] {
        scene.join(user);
    }
    let out = scene.ask(on_call(OnCall::SetMuteOn, &meeting(), Some(&dn(1001))));
    assert_eq!(told(&out), ["MuteOn 1001", "MuteOn* meeting"]);
    assert_eq!(
        error_of(&scene.ask(on_call(OnCall::SetMuteOn, &meeting(), None))),
        Some(TErrorCode::InvalidAttribute)
    );
    let out = scene.ask(with(OnCallWith::DeleteFromConference, &meeting(), &dn(1003)));
    assert_eq!(
        told(&out),
        [
            "Released 1003",
            "PartyDeleted* meeting",
            "PartyDeleted 1001",
            "PartyDeleted 1002"
        ]
    );
    let out = scene.ask(clear(&meeting()));
    assert_eq!(
        told(&out),
        [
            "Released 1001",
            "PartyDeleted meeting",
            "PartyDeleted 1002",
            "Released 1002",
            "PartyDeleted meeting",
            "Released* meeting"
        ]
    );
}

#[test]
fn a_participant_may_not_ask_for_others_and_a_moderator_may() {
    let mut scene = Scene::new(with_pins());
    for (user, pin) in [(1001, "9999#"), (1002, "1234#")] {
        scene.offer(user);
        scene.connect(user);
        let out = scene.press(user, pin);
        if let Some((operation, place)) = move_of(&out) {
            scene.tell(LinkNotification::OperationDone {
                conference: place.0,
                operation,
            });
        }
    }
    assert_eq!(scene.room.roster()[0].role, RosterRole::Moderator);
    let delete = |by, whom| with(OnCallWith::DeleteFromConference, &dn(by), &dn(whom));
    assert_eq!(
        error_of(&scene.ask(delete(1002, 1001))),
        Some(TErrorCode::OperationIncompatible)
    );
    assert_eq!(
        error_of(&scene.ask(clear(&dn(1002)))),
        Some(TErrorCode::OperationIncompatible)
    );
    let out = scene.ask(delete(1001, 1002));
    assert_eq!(told(&out), ["Released 1002", "PartyDeleted meeting", "PartyDeleted* 1001"]);
    assert_eq!(
        told(&scene.ask(clear(&dn(1001)))),
        ["Released* 1001", "PartyDeleted meeting", "Released meeting"]
    );
}

#[test]
fn a_device_that_holds_shows_in_events_and_roster() {
    let mut scene = Scene::new(settings());
    scene.join(1001);
    let place = scene.join(1002);
    let held = |held| LinkNotification::PartyHeld {
        conference: place.0,
        party: place.1,
        held,
    };
    assert_eq!(told(&scene.tell(held(true))), ["Held 1002"]);
    assert!(scene.tell(held(true)).is_empty());
    assert_eq!(scene.room.roster()[1].state, RosterState::OnHold);
    assert_eq!(told(&scene.tell(held(false))), ["Retrieved 1002"]);
}

#[test]
fn the_roster_is_told_to_who_asks() {
    let mut scene = Scene::new(settings());
    scene.join(1001);
    scene.join(1002);
    let query = |this_dn: DnId, call_info_type| Request::QueryCall {
        this_dn,
        conn_id: CONN_ID,
        call_info_type,
        extensions: KvList::new(),
    };
    let out = scene.ask(query(meeting(), CallInfoType::StatusQuery));
    let [RoomOutput::Answer { event, .. }] = out.as_slice() else {
        panic!("{out:?}")
    };
    assert_eq!(event.name, EventName::EventPartyInfo);
    assert_eq!(event.extensions.value("parties"), Some(&KvValue::Int(2)));
    assert_eq!(event.extensions.value("party-2"), Some(&dn(1002).as_str().into()));
    let refused = |out: &[RoomOutput]| error_of(out);
    // Who speaks, from three on, and as long as it is there.
    let speaker = |scene: &mut Scene| {
        let out = scene.ask(query(meeting(), CallInfoType::StatusQuery));
        let [RoomOutput::Answer { event, .. }] = out.as_slice() else {
            panic!("{out:?}")
        };
        event.extensions.text("active-speaker").map(DnId::new)
    };
    let third = scene.join(1004);
    assert_eq!(speaker(&mut scene), None, "nobody has spoken yet");
    let (conference, party) = third;
    let told_to_speak = scene.tell(LinkNotification::PartySpeaks { conference, party });
    assert!(told_to_speak.is_empty(), "{told_to_speak:?}");
    assert_eq!(speaker(&mut scene), Some(dn(1004)));
    scene.tell(LinkNotification::PartyReleased {
        conference,
        party,
        cause: Cause::normal(ReleasedBy::Device),
    });
    assert_eq!(speaker(&mut scene), None);
    assert_eq!(
        refused(&scene.ask(query(meeting(), CallInfoType::PartiesQuery))),
        Some(TErrorCode::UnsupportedOperation)
    );
    assert_eq!(
        refused(&scene.ask(query(dn(1003), CallInfoType::StatusQuery))),
        Some(TErrorCode::PartyNotOnCall)
    );
    assert_eq!(
        refused(&scene.ask(on_call(OnCall::HoldCall, &dn(1001), None))),
        Some(TErrorCode::UnsupportedOperation)
    );
}

#[test]
fn a_connector_that_is_lost_takes_its_parties_along() {
    let mut scene = Scene::new(settings());
    scene.join(1001);
    scene.join(1002);
    let out = scene.give(RoomInput::LinkLost(conference(1001)));
    let ended = [
        "Released 1001",
        "PartyDeleted meeting",
        "PartyDeleted 1002",
        "Released 1002",
        "PartyDeleted meeting",
        "Released meeting",
    ];
    assert_eq!(told(&out), ended);
    assert!(scene.room.is_finished());
}
