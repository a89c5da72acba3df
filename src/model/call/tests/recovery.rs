//! A group that comes back from its snapshot, and a connector that says what its conferences are: whatever was in between has an end, and
//! what was settled goes on as if nothing had happened.

use std::time::SystemTime;

use super::stage::*;
use super::*;
use crate::call::{conn, device, party, room};
use crate::link::{MediaFlowState, OperationId, PartyProgress, PartyStatus, TransferTarget};
use crate::request::{OnCall, OnCallWith, OnTwoCalls};

fn anchor(now: Instant) -> crate::Anchor {
    (now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

#[test]
fn a_call_is_kept_from_its_beginning_to_its_end() {
    let empty = Stage::empty(CONN, CONFERENCE);
    assert_eq!(empty.call.snapshot(anchor(empty.now)), None);
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    assert!(stage.call.snapshot(anchor(stage.now)).is_some());
    stage.hangs_up(BOB);
    assert_eq!(stage.call.snapshot(anchor(stage.now)), None);
}

#[test]
fn a_snapshot_is_small_and_says_the_same_every_time() {
    let mut stage = Stage::consulted();
    let at = anchor(stage.now);
    let encoded = |stage: &Stage| rmp_serde::to_vec_named(&stage.call.snapshot(at).unwrap()).unwrap();
    let first = encoded(&stage);
    assert_eq!(first, encoded(&stage));
    assert!(first.len() < 1_500, "{} bytes", first.len());
    stage.now += Duration::from_secs(1);
    assert_eq!(first, encoded(&stage), "time alone changes nothing");
}

#[test]
fn a_snapshot_without_what_was_added_later_can_be_read() {
    let snapshot = Stage::talking().call.snapshot(anchor(Instant::now())).unwrap();
    let mut value = serde_json::to_value(&snapshot).unwrap();
    for device in value["devices"].as_array_mut().unwrap() {
        let device = device.as_object_mut().unwrap();
        device.retain(|key, _| ["key", "conference", "id", "dn"].contains(&key.as_str()));
        device.insert("unheard of".to_owned(), serde_json::Value::Null);
    }
    assert_eq!(serde_json::from_value::<CallSnapshot>(value).unwrap(), snapshot);
}

#[test]
fn a_call_in_talk_goes_on() {
    let mut stage = Stage::talking();
    assert!(stage.restart());
    stage.says(
        "link: audit
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
    stage.on(OnCall::HoldCall, BOB, CONN).release(BOB, CONN).says(
        "link: audio
         bob EventHeld* a1 Destination > alice Origination Ok
         bob EventReleased* a1 Destination > alice Origination Ok
         alice EventReleased a1 Origination > bob Destination Ok
         link: release 1
         link: release 2
         closed a1 answered
         finished",
    );
}

#[test]
fn what_is_known_of_a_call_outlives_it() {
    let mut stage = Stage::conference();
    let user_data = [("customer", "4711")].into_iter().collect();
    stage
        .ask(Request::AttachUserData {
            this_dn: BOB.into(),
            conn_id: CONN,
            user_data,
        })
        .on(OnCall::SetMuteOn, BOB, CONN)
        .on(OnCall::HoldCall, CAROL, CONN)
        .holds_by_phone(ALICE, true);
    let told = |stage: &Stage| {
        let conns = stage.call.conns.iter();
        let events = conns.flat_map(|conn| {
            let call = &stage.call;
            conn.parties
                .iter()
                .map(move |party| call.party_event(conn.id, party.device, crate::EventName::EventPartyInfo))
        });
        let muted = stage.call.conns[0]
            .parties
            .iter()
            .map(|party| (party.muted, party.held_by_device));
        (
            events.collect::<Vec<_>>(),
            muted.collect::<Vec<_>>(),
            stage.hearing(CONFERENCE),
        )
    };
    let (before, summary) = (told(&stage), stage.call.summary(CONN, stage.now));
    stage.now += Duration::from_secs(30);
    let at = stage.now;
    let later = stage.call.summary(CONN, at);
    assert!(stage.restart());
    assert_eq!(told(&stage), before);
    assert_ne!(summary, later);
    assert_eq!(stage.call.summary(CONN, at), later);
}

#[test]
fn a_call_that_rings_may_be_answered_afterwards_or_meanwhile() {
    for meanwhile in [false, true] {
        let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
        stage.forget();
        if meanwhile {
            stage.live.get_mut(&(CONFERENCE, B)).unwrap().connected = true;
        }
        assert!(stage.restart());
        if !meanwhile {
            assert!(stage.call.next_timeout().is_some(), "it does not ring for ever");
            stage.answers(BOB);
        }
        stage.lines.retain(|line| !line.starts_with("link:"));
        stage.says(
            "bob EventEstablished a1 Destination > alice Origination Ok
             alice EventEstablished a1 Origination > bob Destination Ok",
        );
        assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
    }
}

#[test]
fn a_call_whose_own_device_rings_goes_on_to_the_destination() {
    let mut stage = Stage::empty(CONN, CONFERENCE);
    let make = make_of(ALICE, "bob");
    stage.input(CallInput::Make(Box::new(make))).forget();
    assert!(stage.restart());
    stage.answers(ALICE).says(
        "link: audit
         link: audio
         link: make 2 bob as alice
         bob EventRinging a1 Destination > alice Origination Ok",
    );
}

#[test]
fn a_consultation_that_rings_no_more_is_over_and_the_main_call_can_be_retrieved() {
    let mut stage = Stage::consulting();
    stage.live.remove(&(CONFERENCE, PartyId(3)));
    assert!(stage.restart());
    stage.says(
        "link: audit
         link: release 3
         carol EventReleased b1 Destination > bob Origination NoAnswer
         bob EventReleased b1 Origination > carol Destination NoAnswer
         closed b1 no_answer
         link: audio",
    );
    stage.on(OnCall::RetrieveCall, BOB, CONN).says(
        "link: audio
         bob EventRetrieved* a1 Destination > alice Origination Ok",
    );
}

#[test]
fn who_is_called_into_a_call_and_rings_is_called_no_more() {
    let mut stage = Stage::talking();
    stage.with(OnCallWith::SingleStepConference, BOB, CONN, "carol").forget();
    assert!(stage.restart());
    stage.says(
        "carol EventAbandoned a1 ConferenceMember Ok
         link: release 3 480
         link: audit
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
}

#[test]
fn a_caller_who_was_transferred_to_a_phone_that_rings_waits_on() {
    let mut stage = Stage::consulting();
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT).forget();
    assert!(stage.restart());
    stage.answers(CAROL).says(
        "link: audit
         link: audio
         carol EventEstablished a1 Destination > alice Origination Ok",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
}

#[test]
fn an_operation_that_waited_for_the_connector_is_dropped_without_a_word() {
    for operation in [OnCall::HoldCall, OnCall::SetMuteOn] {
        let mut stage = Stage::talking();
        stage.refuse = Some(0);
        stage.on(operation, BOB, CONN).forget();
        stage.restart();
        stage.catch_up().says(
            "link: audit
             link: audio",
        );
        assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
    }
}

#[test]
fn digits_that_were_not_out_are_forgotten() {
    let mut stage = Stage::talking();
    stage.refuse = Some(0);
    stage
        .ask(Request::SendDtmf {
            this_dn: BOB.into(),
            conn_id: CONN,
            dtmf_digits: "12".to_owned(),
            reasons: KvList::new(),
            extensions: KvList::new(),
        })
        .forget();
    stage.restart();
    stage.catch_up().says(
        "link: audit
         link: audio",
    );
}

/// Bob transfers Alice to Carol, whom he has called on another line; she is on her way.
fn merging() -> Stage {
    let mut stage = Stage::talking().second_line();
    stage.on(OnCall::HoldCall, BOB, CONN);
    stage.refuse = Some(0);
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER).says(
        "link: audio
         bob EventHeld* a1 Destination > alice Origination Ok
         absorb
         link: move 2 to 3",
    );
    stage
}

const TRANSFERRED: &str = "link: audio
    link: audio
    link: audio
    bob EventReleased c1 Origination > carol Destination Transferred
    bob EventReleased a1 Destination > alice Origination Transferred
    alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
    carol EventPartyChanged a1 Destination > alice Origination by bob TransferredBy Transferred was c1
    closed c1 answered
    link: release 2
    link: release 1";

#[test]
fn a_transfer_that_waits_for_a_party_on_its_way_is_completed() {
    let mut stage = merging();
    stage.restart();
    stage.says("link: audit\nlink: audit");
    stage.catch_up();
    stage.lines.retain(|line| !line.starts_with("link: move"));
    stage.says(TRANSFERRED);
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
}

#[test]
fn a_party_that_arrived_while_nobody_looked_is_there() {
    let mut stage = merging();
    // The move is done, and nobody has heard of it.
    let fake = stage.live.remove(&(SECOND, B)).unwrap();
    stage.live.insert((CONFERENCE, PartyId(3)), fake);
    stage.moves.clear();
    stage.restart();
    stage.catch_up();
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
    assert_eq!(stage.call.conn_ids().collect::<Vec<_>>(), [CONN]);
}

#[test]
fn a_conference_that_is_gone_ends_its_calls() {
    let mut stage = Stage::consulted();
    stage.live.clear();
    stage.restart();
    stage.says(
        "link: audit
         alice EventReleased a1 Origination > bob Destination SystemError
         bob EventReleased a1 Destination > alice Origination SystemError
         closed a1 answered
         bob EventReleased b1 Origination > carol Destination SystemError
         carol EventReleased b1 Destination > bob Origination SystemError
         closed b1 answered
         finished",
    );
}

#[test]
fn a_conference_that_never_says_what_it_is_is_given_up() {
    let mut stage = Stage::talking();
    stage.refuse = Some(0);
    stage.restart();
    stage.says("link: audit");
    let given_up = stage.call.next_timeout().unwrap();
    let cut_off = std::time::Duration::from_secs(600);
    assert!(
        given_up > stage.now + cut_off,
        "its connector may be out of reach for a while"
    );
    stage.now = given_up;
    stage.input(CallInput::Timeout).says(
        "link: release all
         alice EventReleased a1 Origination > bob Destination SystemError
         bob EventReleased a1 Destination > alice Origination SystemError
         closed a1 answered
         finished",
    );
}

pub(super) fn status(party: PartyId, progress: PartyProgress) -> PartyStatus {
    PartyStatus {
        party,
        progress,
        held: false,
        flow: MediaFlowState::Unknown,
    }
}

impl Stage {
    pub(super) fn told(&mut self, parties: &[PartyStatus]) -> &mut Self {
        let parties = parties.to_vec();
        self.input(CallInput::Link(LinkNotification::ConferenceState {
            conference: CONFERENCE,
            parties,
        }))
    }
}

#[test]
fn who_is_not_in_the_conference_any_more_is_gone() {
    let mut stage = Stage::conference();
    stage.live.remove(&(CONFERENCE, PartyId(3)));
    let both = [A, B].map(|id| status(id, PartyProgress::Connected));
    stage.told(&both).says(
        "carol EventReleased a1 ConferenceMember Dropped
         alice EventPartyDeleted a1 ConferenceMember > carol DeletedParty by carol DeletedBy Ok
         bob EventPartyDeleted a1 ConferenceMember > carol DeletedParty by carol DeletedBy Ok
         link: audio",
    );
    stage.told(&both).says("link: audio");
}

#[test]
fn who_answered_meanwhile_has_answered_and_who_rings_rings() {
    let mut stage = Stage::empty(CONN, CONFERENCE);
    let mut offered = offered_from(CallerId::Extension(ALICE.into()), "bob");
    offered.conference = CONFERENCE;
    stage.call.handle(CallInput::Offered(offered), stage.now, &mut Vec::new());
    stage.live.insert((CONFERENCE, A), Fake::new(ALICE.into(), true));
    stage
        .told(&[status(A, PartyProgress::Created), status(B, PartyProgress::Alerting)])
        .says(
            "bob EventRinging a1 Destination > alice Origination Ok
             link: audio",
        );
    stage.live.insert((CONFERENCE, B), Fake::new(BOB.into(), true));
    let mut parties = [A, B].map(|id| status(id, PartyProgress::Connected));
    parties[1].held = true;
    stage.told(&parties).says(
        "bob EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > bob Destination Ok
         bob EventHeld a1 Destination > alice Origination Ok
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<");
}

#[test]
fn who_is_there_and_is_nobodys_is_released() {
    let mut stage = Stage::talking();
    stage.live.insert((CONFERENCE, PartyId(9)), Fake::new(ERIN.into(), true));
    stage
        .told(&[A, B, PartyId(9)].map(|id| status(id, PartyProgress::Connected)))
        .says("link: release 9\nlink: audio");
    let elsewhere = LinkNotification::ConferenceState {
        conference: ConferenceId(99),
        parties: vec![status(A, PartyProgress::Connected)],
    };
    stage.input(CallInput::Link(elsewhere)).says("");
}

pub(super) fn asked(stage: &mut Stage) -> Vec<LinkRequest> {
    let links = std::mem::take(&mut stage.out).into_iter().filter_map(|output| match output {
        CallOutput::Link(request) => Some(request),
        _ => None,
    });
    links.collect()
}

#[test]
fn what_was_asked_and_is_not_answered_is_asked_again_under_its_id() {
    let both = [A, B].map(|id| status(id, PartyProgress::Connected));
    let mut stage = Stage::talking();
    stage.refuse = Some(0);
    stage.on(OnCall::HoldCall, BOB, CONN);
    let first = asked(&mut stage);
    stage.told(&both);
    assert_eq!(asked(&mut stage), first);
    stage.catch_up().says(
        "link: audio
         link: audio
         bob EventHeld* a1 Destination > alice Origination Ok",
    );
    let mut stage = Stage::talking();
    stage.refuse = Some(0);
    stage.ask(Request::SendDtmf {
        this_dn: BOB.into(),
        conn_id: CONN,
        dtmf_digits: "12".to_owned(),
        reasons: KvList::new(),
        extensions: KvList::new(),
    });
    let digits = asked(&mut stage);
    stage.told(&both);
    assert!(asked(&mut stage).contains(&digits[0]));
    let mut stage = Stage::talking().second_line();
    stage.refuse = Some(0);
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER);
    let moves = asked(&mut stage);
    stage.told(&both);
    assert_eq!(asked(&mut stage)[..1], moves[..]);
}

#[test]
fn who_is_called_after_the_question_is_not_judged_by_the_answer() {
    let mut stage = Stage::talking();
    stage.with(OnCallWith::SingleStepConference, BOB, CONN, "carol").forget();
    stage.refuse = Some(0);
    stage.input(CallInput::LinkRestored).says("link: audit");
    // Her phone calls on; the new one is called in its place while the account is under way.
    let forwarded = LinkNotification::PartyRedirected {
        conference: CONFERENCE,
        party: PartyId(3),
        to: vec!["dave".into()],
    };
    stage.input(CallInput::Link(forwarded)).forget();
    stage.live.remove(&(CONFERENCE, PartyId(3)));
    let both = [A, B].map(|id| status(id, PartyProgress::Connected));
    stage.told(&both).says("link: audio");
    stage.catch_up().answers(DAVE).forget();
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob+dave bob<alice+dave dave<alice+bob");
    // Unasked, it counts.
    let mut stage = Stage::talking();
    stage.with(OnCallWith::SingleStepConference, BOB, CONN, "carol").forget();
    stage.told(&both).says(
        "link: release 3
         carol EventReleased a1 ConferenceMember NoAnswer
         only bob EventError* 232
         link: audio",
    );
}

#[test]
fn who_holds_on_the_one_leg_of_two_calls_holds_both_when_their_transfer_is_dropped() {
    let mut stage = Stage::talking().second_line();
    stage.refuse = Some(0);
    let target = TransferTarget::Party {
        conference: SECOND,
        party: A,
    };
    stage
        .refers_from((CONFERENCE, B), target)
        .holds_by_phone_at((CONFERENCE, B), true)
        .forget();
    stage.settle_move(false, false);
    stage.forget();
    assert!(stage.restart());
    stage.says(
        "bob EventHeld c1 Origination > carol Destination Ok
         link: release 1
         link: audit
         link: audit",
    );
}

#[test]
fn a_late_answer_to_what_was_asked_before_the_restart_means_nothing() {
    let mut stage = Stage::talking();
    stage.refuse = Some(0);
    stage.on(OnCall::HoldCall, BOB, CONN);
    let operation = stage.waiting[0].1;
    stage.restart();
    stage.catch_up().forget();
    for operation in [operation, OperationId(0)] {
        let conference = CONFERENCE;
        stage.input(CallInput::Link(LinkNotification::OperationDone { conference, operation }));
        let cause = Cause::status(ReleasedBy::Network, 488);
        stage.input(CallInput::Link(LinkNotification::OperationFailed {
            conference,
            operation,
            cause,
        }));
    }
    stage.says("");
}

/// Whether nothing is under way: no operation, nobody on its way in, out or elsewhere.
fn is_quiet(call: &Call) -> bool {
    let settled = |device: &device::Device| device.leg == device::Leg::Connected && device.moving.is_none();
    let talks = |conn: &conn::Conn| conn.stage == conn::Stage::Talking && conn.parties.iter().all(party::Party::talks);
    let agreed = |room: &room::Room| room.asked.is_none() && room.refused.is_none() && room.audit.is_none();
    call.pending.is_none()
        && !call.conns.is_empty()
        && call.conns.iter().all(talks)
        && call.devices.iter().all(settled)
        && call.rooms.iter().all(agreed)
}

/// What clients and devices have seen: everything but how the connector was told who hears whom.
fn seen(stage: &mut Stage) -> Vec<String> {
    let lines = std::mem::take(&mut stage.lines).into_iter();
    lines.filter(|line| line != "link: audio" && line != "link: audit").collect()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::with_cases(300)
    })]

    #[test]
    fn a_quiet_group_that_came_back_does_what_it_would_have_done(
        before in proptest::collection::vec(proptest::prelude::any::<(u8, u8, u8, u8)>(), 0..20),
        after in proptest::collection::vec(proptest::prelude::any::<(u8, u8, u8, u8)>(), 0..20),
    ) {
        // A connector that does as it is asked, and neither side is lost again.
        let is_plain = |step: &&(u8, u8, u8, u8)| !matches!(step.0 % 22, 18..);
        let mut stage = Stage::consulted();
        before.iter().filter(is_plain).for_each(|step| stage.step(*step));
        if is_quiet(&stage.call) {
            stage.forget();
            let mut other = stage.clone();
            proptest::prop_assert!(other.restart());
            proptest::prop_assert!(is_quiet(&other.call), "{:?}", other.call);
            proptest::prop_assert_eq!(seen(&mut other), Vec::<String>::new());
            other.now = stage.now;
            for step in after.iter().filter(is_plain) {
                stage.step(*step);
                other.step(*step);
                proptest::prop_assert_eq!(seen(&mut stage), seen(&mut other));
                for conference in [CONFERENCE, SECOND] {
                    proptest::prop_assert_eq!(stage.hearing(conference), other.hearing(conference));
                }
            }
        }
    }
}
