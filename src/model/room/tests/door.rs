//! The way in: PIN, lobby, limits, the move; and what happens when it goes wrong.

use super::*;
use crate::TErrorCode;
use crate::link::{AudioSource, OperationId, Tone};
use crate::numbering::DirectCalls;
use crate::room::{PROMPT_ENTER_PIN, PROMPT_WRONG_PIN, RosterState};

fn prompt_of(out: &[RoomOutput]) -> Option<AudioSource> {
    links(out).into_iter().find_map(|request| match request {
        LinkRequest::SetAudio { plan, .. } => plan.rows.first().and_then(|row| row.sources.first().cloned()),
        _ => None,
    })
}

fn file(name: &str) -> Option<AudioSource> {
    Some(AudioSource::File {
        name: name.into(),
        repeat: false,
    })
}

#[test]
fn the_first_joiner_is_connected_alone_and_its_conference_is_the_rooms() {
    let mut scene = Scene::new(settings());
    let out = scene.offer(1001);
    assert_eq!(told(&out), ["Dialing 1001"]);
    let connect = RoomOutput::Link(LinkRequest::ConnectParty {
        conference: conference(1001),
        party: PartyId(1),
    });
    assert!(out.contains(&connect));
    let out = scene.connect(1001);
    assert_eq!(told(&out), ["Established 1001", "Established meeting"]);
    assert_eq!(prompt_of(&out), Some(AudioSource::Music(None)), "who is alone hears music");
    assert!(scene.connect(1001).is_empty(), "once is enough");
}

#[test]
fn the_next_joiner_is_moved_and_everybody_is_told() {
    let mut scene = Scene::new(settings());
    scene.join(1001);
    scene.offer(1002);
    let out = scene.connect(1002);
    assert!(told(&out).is_empty(), "nobody is told before it is inside");
    let Some((operation, place)) = move_of(&out) else {
        panic!("{out:?}")
    };
    assert_eq!(place.0, conference(1001));
    assert_ne!(place.1, PartyId(1), "its id there is a fresh one");
    let out = scene.tell(LinkNotification::OperationDone {
        conference: place.0,
        operation,
    });
    assert_eq!(told(&out), ["Established 1002", "PartyAdded meeting", "PartyAdded 1001"]);
    assert_eq!(scene.room.roster().len(), 2);
}

#[test]
fn a_pin_is_asked_for_and_digits_end_the_prompt() {
    let mut scene = Scene::new(with_pins());
    scene.offer(1001);
    assert_eq!(prompt_of(&scene.connect(1001)), file(PROMPT_ENTER_PIN));
    assert!(scene.room.roster().is_empty(), "who has not given a PIN is nobody yet");
    assert_eq!(links(&scene.press(1001, "1")).len(), 1, "silence at the first digit");
    assert!(
        scene
            .press(1001, "0*1234")
            .iter()
            .all(|output| matches!(output, RoomOutput::Link(_)))
    );
    assert_eq!(told(&scene.press(1001, "#")), ["Established 1001", "Established meeting"]);
}

#[test]
fn a_tone_follows_the_prompt_or_stands_for_it() {
    let mut scene = Scene::new(with_pins());
    scene.offer(1001);
    scene.connect(1001);
    let ended = || LinkNotification::PromptEnded {
        conference: conference(1001),
        party: PartyId(1),
    };
    assert_eq!(prompt_of(&scene.tell(ended())), Some(AudioSource::Tone(Tone::Beep)));
    assert!(scene.tell(ended()).is_empty(), "once");
    let silence = scene.pass(400);
    assert!(matches!(links(&silence)[..], [LinkRequest::SetAudio { plan, .. }] if plan.rows[0].sources.is_empty()));
    scene.press(1001, "1");
    assert!(scene.tell(ended()).is_empty(), "who has begun needs no tone");
    scene.press(1001, "234#");
    assert!(scene.tell(ended()).is_empty(), "nor who is inside");
}

#[test]
fn a_wrong_pin_is_asked_for_again_and_the_third_one_ends_it() {
    let mut scene = Scene::new(with_pins());
    scene.offer(1001);
    scene.connect(1001);
    assert_eq!(prompt_of(&scene.press(1001, "#")), file(PROMPT_WRONG_PIN));
    let out = scene.pass(15_000);
    assert_eq!(
        prompt_of(&out),
        file(PROMPT_WRONG_PIN),
        "no PIN in time counts as a wrong one"
    );
    let out = scene.press(1001, "77#");
    assert_eq!(told(&out), ["Released 1001"]);
    let [.., LinkRequest::ReleaseParty { cause, .. }] = links(&out)[..] else {
        panic!("{out:?}")
    };
    assert_eq!((cause.sip_status, cause.q850), (Some(403), Some(21)));
    assert!(out.contains(&RoomOutput::Closed));
    scene.released((conference(1001), PartyId(1)));
    assert!(scene.ended(conference(1001)).contains(&RoomOutput::Finished));
}

#[test]
fn who_waits_in_the_lobby_comes_in_with_the_moderator() {
    let mut scene = Scene::new(RoomSettings {
        lobby: true,
        ..with_pins()
    });
    for user in [1001, 1002] {
        scene.offer(user);
        scene.connect(user);
        let out = scene.press(user, "1234#");
        assert_eq!(prompt_of(&out[out.len() - 2..]), Some(AudioSource::Music(None)), "{out:?}");
    }
    assert!(scene.room.roster().iter().all(|entry| entry.state == RosterState::Waiting));
    scene.offer(1003);
    scene.connect(1003);
    let out = scene.press(1003, "9999#");
    assert!(told(&out).contains(&"Established 1003".to_owned()));
    let moves = links(&out)
        .into_iter()
        .filter(|request| matches!(request, LinkRequest::MoveParty { .. }));
    assert_eq!(moves.count(), 2);
}

#[test]
fn a_client_admits_who_waits_and_gets_its_answer_when_it_is_inside() {
    let mut scene = Scene::new(RoomSettings {
        lobby: true,
        ..settings()
    });
    scene.offer(1001);
    scene.connect(1001);
    let admit = |user| with(OnCallWith::SingleStepConference, &meeting(), &dn(user));
    assert_eq!(error_of(&scene.ask(admit(1002))), Some(TErrorCode::PartyNotOnCall));
    assert_eq!(told(&scene.ask(admit(1001))), ["Established 1001", "Established* meeting"]);
    scene.offer(1002);
    scene.connect(1002);
    let out = scene.ask(admit(1002));
    assert!(told(&out).is_empty());
    let Some((operation, place)) = move_of(&out) else {
        panic!("{out:?}")
    };
    let out = scene.tell(LinkNotification::OperationDone {
        conference: place.0,
        operation,
    });
    assert_eq!(told(&out), ["Established 1002", "PartyAdded* meeting", "PartyAdded 1001"]);
}

#[test]
fn an_admission_of_somebody_who_hangs_up_meanwhile_is_answered_too() {
    let mut scene = Scene::new(RoomSettings {
        lobby: true,
        ..settings()
    });
    for user in [1001, 1002] {
        scene.offer(user);
        scene.connect(user);
    }
    scene.ask(with(OnCallWith::SingleStepConference, &meeting(), &dn(1001)));
    scene.ask(with(OnCallWith::SingleStepConference, &meeting(), &dn(1002)));
    let out = scene.released((conference(1002), PartyId(1)));
    assert_eq!(error_of(&out), Some(TErrorCode::DisconnectedCall));
    assert_eq!(told(&out), ["Error! meeting", "Released 1002"]);
}

#[test]
fn a_full_room_and_a_dn_that_is_there_already_are_busy() {
    let mut scene = Scene::new(RoomSettings {
        max_parties: 2,
        ..settings()
    });
    scene.join(1001);
    let mut again = offered(1001);
    again.conference = conference(77);
    let out = scene.give(RoomInput::Offered(again));
    assert!(told(&out).is_empty());
    assert!(matches!(links(&out)[..], [LinkRequest::ReleaseParty { cause, .. }] if cause.sip_status == Some(486)));
    scene.released((conference(77), PartyId(1)));
    scene.offer(1002);
    let out = scene.offer(1003);
    assert_eq!(told(&out), ["Dialing 1003", "Released 1003"]);
    assert!(matches!(links(&out)[..], [LinkRequest::ReleaseParty { cause, .. }] if cause.sip_status == Some(486)));
}

#[test]
fn callers_from_outside_come_in_in_silence() {
    let mut scene = Scene::new(settings());
    let out = scene.give(RoomInput::Offered(offered_from_outside(1)));
    assert!(told(&out).is_empty());
    assert_eq!(told(&scene.connect(1)), ["Established meeting"]);
    let roster = scene.room.roster();
    assert_eq!(roster[0].name.as_deref(), Some("Carl"));
    assert!(roster[0].external);
}

/// `handle-direct-calls` (seed 002 lines 2330-2402): who dials a conference makes a direct call.
#[test]
fn a_dn_whose_direct_calls_are_not_handled_comes_in_in_silence() {
    let mut scene = Scene::new(settings());
    scene.wishes = asking(1002, HandleDirectCalls::Never);
    assert_eq!(told(&scene.offer(1001)), ["Dialing 1001"]);
    assert_eq!(told(&scene.connect(1001)), ["Established 1001", "Established meeting"]);
    let silent = scene.join(1002);
    let joined: Vec<_> = told(&scene.out).into_iter().skip(3).collect();
    assert_eq!(joined, ["PartyAdded meeting", "PartyAdded 1001"]);
    assert_eq!(scene.room.roster().len(), 2, "it is there all the same");
    scene.wishes = asking(1002, HandleDirectCalls::Always);
    assert_eq!(told(&scene.ask(release(&dn(1002)))), ["Error! 1002"], "as it came in");
    let snapshot = scene.room.snapshot().expect("a room");
    let (numbering, settings) = (scene.room.numbering.clone(), scene.room.settings.clone());
    scene.room = Room::restore(snapshot, numbering, settings, scene.now, &mut Vec::new());
    assert_eq!(told(&scene.released(silent)), ["PartyDeleted meeting", "PartyDeleted 1001"]);
}

#[test]
fn a_configured_setting_silences_joiners_unless_their_desktops_ask_for_events() {
    let mut scene = Scene::new(settings());
    let never = DirectCalls {
        handle: HandleDirectCalls::Never,
        ..DirectCalls::default()
    };
    let extensions = [1001, 1002].map(|user| DnConfig::extension(dn(user)));
    let builder = Numbering::builder().domain("tandem.local").direct_calls(never);
    let built = extensions.into_iter().fold(builder, |builder, dn| builder.dn(dn)).build();
    scene.room.numbering = Arc::new(built.expect("a sound numbering"));
    scene.wishes = asking(1002, HandleDirectCalls::Always);
    assert!(told(&scene.offer(1001)).is_empty());
    assert_eq!(told(&scene.offer(1002)), ["Dialing 1002"]);
}

#[test]
fn who_wants_to_be_nobody_is_nobody_on_the_roster_and_somebody_for_desktops() {
    let with_lobby = RoomSettings {
        lobby: true,
        ..settings()
    };
    let mut scene = Scene::new(with_lobby.clone());
    let hidden = |user| CallOffered {
        presentation: Presentation {
            unasserted: false,
            privacy: Some("user;id".into()),
        },
        ..offered_from_outside(user)
    };
    for user in [1, 2] {
        scene.give(RoomInput::Offered(hidden(user)));
        scene.connect(user);
    }
    let shown = |room: &Room| -> Vec<_> { room.roster().into_iter().map(|entry| (entry.dn, entry.name)).collect() };
    let nobody = |n| (DnId::new(&format!("sip:anonymous{n}@anonymous.invalid")), None);
    assert_eq!(shown(&scene.room), [nobody(1), nobody(2)]);
    assert_eq!(scene.room.summary(Duration::ZERO).parties[0].dn.user(), "+49301234567");
    let back = Room::restore(
        scene.room.snapshot().unwrap(),
        numbering(),
        Arc::new(with_lobby),
        scene.now,
        &mut Vec::new(),
    );
    assert_eq!(shown(&back), [nobody(1), nobody(2)]);
}

#[test]
fn a_call_that_is_not_accepted_in_time_is_given_up() {
    let mut scene = Scene::new(settings());
    scene.offer(1001);
    assert_eq!(told(&scene.pass(40_000)), ["Released 1001"]);
    assert!(scene.room.is_closed() && !scene.room.is_finished());
    assert!(
        scene.pass(40_000).contains(&RoomOutput::Finished),
        "the connector never answered"
    );
    assert_eq!(scene.room.next_timeout(), None);
}

#[test]
fn when_the_first_one_leaves_in_the_middle_of_a_move_the_mover_is_the_first_one() {
    let mut scene = Scene::new(settings());
    let first = scene.join(1001);
    scene.offer(1002);
    let Some((operation, _)) = move_of(&scene.connect(1002)) else {
        panic!("a move")
    };
    scene.released(first);
    scene.ended(first.0);
    let out = scene.tell(LinkNotification::OperationFailed {
        conference: first.0,
        operation,
        cause: Cause::status(ReleasedBy::Server, 481),
    });
    assert_eq!(told(&out), ["Established 1002", "PartyAdded meeting"]);
    assert!(!scene.room.is_closed());
}

#[test]
fn a_move_that_is_refused_ends_the_joiner() {
    let mut scene = Scene::new(settings());
    scene.join(1001);
    scene.offer(1002);
    let Some((operation, place)) = move_of(&scene.connect(1002)) else {
        panic!("a move")
    };
    let out = scene.tell(LinkNotification::OperationFailed {
        conference: place.0,
        operation,
        cause: Cause::status(ReleasedBy::Server, 501),
    });
    assert_eq!(told(&out), ["Released 1002"]);
    assert!(matches!(links(&out)[..], [LinkRequest::ReleaseParty { conference: at, .. }] if *at == conference(1002)));
}

#[test]
fn a_joiner_that_is_sent_away_on_its_way_is_released_where_it_arrives() {
    let mut scene = Scene::new(settings());
    scene.join(1001);
    scene.offer(1002);
    let Some((operation, place)) = move_of(&scene.connect(1002)) else {
        panic!("a move")
    };
    let out = scene.ask(release(&dn(1002)));
    assert_eq!(told(&out), ["Released* 1002"]);
    assert!(links(&out).is_empty());
    let out = scene.tell(LinkNotification::OperationDone {
        conference: place.0,
        operation,
    });
    let release = LinkRequest::ReleaseParty {
        conference: place.0,
        party: place.1,
        cause: Cause::normal(ReleasedBy::Server),
    };
    assert_eq!(links(&out), [&release]);
}

#[test]
fn a_prompt_that_cannot_be_played_ends_the_joiner() {
    let mut scene = Scene::new(with_pins());
    scene.offer(1001);
    scene.connect(1001);
    let out = scene.tell(LinkNotification::OperationFailed {
        conference: conference(1001),
        operation: OperationId(1),
        cause: Cause::status(ReleasedBy::Server, 488),
    });
    assert_eq!(told(&out), ["Released 1001"]);
}
