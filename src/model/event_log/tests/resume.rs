//! Clients that lose their connection and come back: who they were, and what they get.

use super::*;
use crate::request::Resume;

pub(super) const EPOCH: &str = "epoch-1";

pub(super) fn at(seconds: u64) -> SystemTime {
    NOW + Duration::from_secs(seconds)
}

/// A log with clients that come and go. A client is known by the application that opened it.
pub(super) struct House {
    pub(super) rig: Rig,
    connections: u64,
}

impl House {
    pub(super) fn new(limits: Limits) -> Self {
        let mut rig = Rig::with_clients(&[]);
        rig.log = EventLog::new(EPOCH).with_limits(limits);
        Self { rig, connections: 0 }
    }

    pub(super) fn of(log: EventLog) -> Self {
        let connections = log.first_client();
        let mut house = Self::new(Limits::default());
        house.rig.log = log;
        house.connections = connections;
        house
    }

    pub(super) fn open(&mut self, application: u8, resume: Option<Resume>, now: SystemTime) -> Opened {
        self.connections += 1;
        let requestor = requestor(self.connections);
        self.rig.log.client_opened(requestor.client);
        let opening = Opening {
            requestor,
            identity: Identity([application; 32]),
            session: format!("session-{}", self.connections).into(),
            resume,
        };
        let Rig { log, out } = &mut self.rig;
        let opened = log.open(opening, now, out);
        assert_eq!(log.catch_up(opened.client, usize::MAX, out), Ok(true));
        opened
    }

    /// A client of this application on these DNs; what it was told so far is forgotten.
    pub(super) fn desk(&mut self, application: u8, dns: &[&str]) -> Opened {
        let opened = self.open(application, None, NOW);
        for dn in dns {
            self.rig.register(opened.client.0, dn);
        }
        self.rig.out.clear();
        opened
    }

    pub(super) fn dial(&mut self, dn: &str) -> u64 {
        self.rig.publish(EventName::EventDialing, dn, 1, PartyState::Dialing);
        self.rig.log.sequence()
    }
}

pub(super) fn from(sequence: u64) -> Option<Resume> {
    Some(Resume {
        epoch: EPOCH.to_owned(),
        sequence,
        session: None,
    })
}

pub(super) fn as_session(sequence: u64, session: &str) -> Option<Resume> {
    from(sequence).map(|resume| Resume {
        session: Some(session.to_owned()),
        ..resume
    })
}

fn small() -> Limits {
    Limits {
        events: 4,
        age: Duration::from_secs(60),
        grace: Duration::from_secs(30),
        clients: 2,
        all: false,
    }
}

#[test]
fn what_was_missed_follows_once_and_the_chain_goes_on() {
    let mut house = House::new(Limits::default());
    let desk = house.desk(1, &[ALICE]);
    let last = house.dial(ALICE);
    house.rig.out.clear();
    assert!(house.rig.log.disconnected(desk.client, at(1)).is_empty());
    house.dial(ALICE);
    house.dial(BOB);
    house.dial(ALICE);
    assert!(house.rig.said().is_empty(), "nothing goes to a connection that is lost");
    let again = house.open(1, from(last), at(2));
    assert_eq!((again.client, again.outcome), (desk.client, Outcome::Delta));
    assert_eq!(
        (&again.session, &again.registrations),
        (&desk.session, &vec![(ALICE.into(), RegisterMode::Share)])
    );
    house.dial(ALICE);
    assert_eq!(
        house.rig.said(),
        [
            "1: 3 after 3 EventServerConnected -*",
            "1: 4 after 3 EventDialing alice",
            "1: 6 after 4 EventDialing alice",
            "1: 7 after 6 EventDialing alice",
        ]
    );
}

#[test]
fn a_client_that_missed_nothing_goes_on_as_well() {
    let mut house = House::new(Limits::default());
    let desk = house.open(1, None, NOW);
    assert_eq!(house.rig.said(), ["1: 1 after 0 EventServerConnected -*"]);
    house.rig.log.disconnected(desk.client, NOW);
    let again = house.open(1, as_session(1, &desk.session), NOW);
    assert_eq!((again.client, again.outcome), (desk.client, Outcome::Delta));
    assert_eq!(house.rig.said(), ["1: 1 after 1 EventServerConnected -*"]);
    assert_eq!(house.rig.log.clients(), 1, "the number of the new connection is no more");
}

#[test]
fn a_gap_that_is_too_long_is_told_and_starts_a_new_chain() {
    for (session, known) in [(true, "by its session"), (false, "as the only one that it can be")] {
        let mut house = House::new(small());
        let desk = house.desk(1, &[ALICE]);
        let last = house.dial(ALICE);
        house.rig.log.disconnected(desk.client, NOW);
        for _ in 0..9 {
            house.dial(ALICE);
        }
        house.rig.out.clear();
        let resume = if session {
            as_session(last, &desk.session)
        } else {
            from(last)
        };
        let again = house.open(1, resume, NOW);
        assert_eq!((again.client, again.outcome), (desk.client, Outcome::Snapshot), "{known}");
        assert_eq!(again.registrations.len(), 1);
        house.dial(ALICE);
        let said = ["1: 13 after 0 EventServerConnected -*", "1: 14 after 13 EventDialing alice"];
        assert_eq!(house.rig.said(), said, "{known}");
        // What it had before the gap leads nowhere any more.
        let again = house.open(1, as_session(12, &desk.session), NOW);
        assert_eq!(again.outcome, Outcome::Snapshot);
    }
}

#[test]
fn a_gap_is_told_to_the_one_that_got_just_that_last() {
    let mut house = House::new(small());
    let (one, two) = (house.desk(1, &[ALICE]), house.desk(1, &[BOB]));
    let last = house.dial(ALICE);
    house.rig.log.disconnected(one.client, NOW);
    for _ in 0..9 {
        house.dial(ALICE);
        house.dial(BOB);
    }
    assert_eq!(
        house.open(1, from(last - 1), NOW).outcome,
        Outcome::New,
        "it may have been the other"
    );
    let again = house.open(1, from(last), NOW);
    assert_eq!((again.client, again.outcome), (one.client, Outcome::Snapshot));
    // Both are away, and have the same last.
    house.rig.register(two.client.0, ALICE);
    let last = house.dial(ALICE);
    for desk in [&one, &two] {
        house.rig.log.disconnected(desk.client, NOW);
    }
    for _ in 0..9 {
        house.dial(BOB);
        house.dial(ALICE);
    }
    assert_eq!(
        house.open(1, from(last), NOW).outcome,
        Outcome::New,
        "it may have been either"
    );
}

#[test]
fn who_is_not_known_starts_anew() {
    let mut house = House::new(Limits::default());
    let desk = house.desk(1, &[ALICE]);
    let last = house.dial(ALICE);
    house.rig.log.disconnected(desk.client, NOW);
    let other_epoch = |resume: Option<Resume>| {
        resume.map(|resume| Resume {
            epoch: "another".to_owned(),
            ..resume
        })
    };
    for (application, resume, outcome, why) in [
        (1, from(last + 1), Outcome::New, "it never got that"),
        (1, None, Outcome::New, "it did not ask"),
        (2, from(last), Outcome::New, "another application"),
        (2, as_session(last, &desk.session), Outcome::New, "another's session"),
        (1, as_session(last, "session-9"), Outcome::New, "no session"),
        (1, from(1_000_000), Outcome::New, "nobody did"),
        (1, other_epoch(from(last)), Outcome::New, "another epoch"),
        (
            1,
            other_epoch(as_session(last, &desk.session)),
            Outcome::Snapshot,
            "another epoch, but known",
        ),
    ] {
        let opened = house.open(application, resume, NOW);
        assert_eq!(opened.outcome, outcome, "{why}");
        assert_eq!(opened.registrations.is_empty(), outcome == Outcome::New, "{why}");
    }
}

#[test]
fn of_several_that_it_may_have_been_none_is_taken_unless_their_streams_are_the_same() {
    let mut house = House::new(Limits::default());
    let (one, two) = (house.desk(1, &[ALICE]), house.desk(1, &[ALICE]));
    let last = house.dial(ALICE);
    assert_eq!(house.open(1, from(last), NOW).outcome, Outcome::New, "both are connected");
    house.rig.log.disconnected(one.client, NOW);
    house.dial(ALICE);
    let again = house.open(1, from(last), NOW);
    assert_eq!((again.client, again.outcome), (one.client, Outcome::Delta), "the same stream");
    let last = house.dial(ALICE);
    house.rig.register(two.client.0, BOB);
    house.rig.log.disconnected(one.client, NOW);
    house.rig.log.disconnected(two.client, NOW);
    house.dial(BOB);
    assert_eq!(house.open(1, from(last), NOW).outcome, Outcome::New, "the second gets more");
    let again = house.open(1, as_session(last, &two.session), NOW);
    assert_eq!(
        (again.client, again.outcome),
        (two.client, Outcome::Delta),
        "a session is never in doubt"
    );
}

#[test]
fn a_half_open_connection_is_taken_over() {
    let mut house = House::new(Limits::default());
    let desk = house.desk(1, &[ALICE]);
    let last = house.dial(ALICE);
    house.dial(ALICE);
    house.rig.out.clear();
    let again = house.open(1, as_session(last, &desk.session), NOW);
    assert_eq!((again.client, again.outcome), (desk.client, Outcome::Delta));
    let said = ["1: 3 after 3 EventServerConnected -*", "1: 4 after 3 EventDialing alice"];
    assert_eq!(house.rig.said(), said);
}

#[test]
fn who_said_goodbye_or_stays_away_too_long_is_given_up() {
    let mut house = House::new(small());
    let gone = |client, dn: &str| GivenUp {
        client,
        dns: vec![dn.into()],
    };
    let polite = house.desk(1, &[ALICE]);
    house.rig.log.client_leaves(polite.client);
    assert_eq!(house.rig.log.disconnected(polite.client, NOW), [gone(polite.client, ALICE)]);
    let desks = [2, 3, 4].map(|application| house.desk(application, &[BOB]));
    assert!(house.rig.log.disconnected(desks[0].client, at(10)).is_empty());
    assert!(
        house.rig.log.disconnected(desks[0].client, at(11)).is_empty(),
        "it is away already"
    );
    assert!(house.rig.log.disconnected(desks[1].client, at(20)).is_empty());
    let crowded = house.rig.log.disconnected(desks[2].client, at(25));
    assert_eq!(crowded, [gone(desks[0].client, BOB)], "two may be away");
    assert_eq!(house.rig.log.next_expiry(), Some(at(50)));
    assert!(house.rig.log.expire(at(49)).is_empty());
    assert_eq!(house.rig.log.expire(at(50)), [gone(desks[1].client, BOB)]);
    assert_eq!((house.rig.log.lost(), house.rig.log.clients()), (1, 1));
    house.rig.log.client_opened(ClientId(77));
    let never_opened = house.rig.log.disconnected(ClientId(77), NOW);
    assert_eq!(never_opened[0].dns, []);
    assert_eq!(house.rig.log.lost(), 1, "a client that was never let in is not kept");
}

#[test]
fn a_client_that_is_far_behind_is_handed_a_few_at_a_time_and_nothing_else_meanwhile() {
    let mut house = House::new(Limits::default());
    let desk = house.desk(1, &[ALICE]);
    let last = house.rig.log.sequence();
    house.rig.log.disconnected(desk.client, NOW);
    for _ in 0..5 {
        house.dial(ALICE);
    }
    house.rig.log.client_opened(ClientId(9));
    let opening = Opening {
        requestor: requestor(9),
        identity: Identity([1; 32]),
        session: "new".into(),
        resume: from(last),
    };
    let Rig { log, out } = &mut house.rig;
    log.open(opening, NOW, out);
    out.clear();
    assert_eq!(log.catch_up(desk.client, 2, out), Ok(false));
    house.dial(ALICE);
    let Rig { log, out } = &mut house.rig;
    assert_eq!(out.len(), 2, "what happens meanwhile waits");
    assert_eq!(log.catch_up(desk.client, 4, out), Ok(true));
    house.dial(ALICE);
    let got: Vec<_> = house.rig.out.iter().map(|copy| (copy.previous, copy.sequence)).collect();
    let whole: Vec<_> = (last..last + 7).map(|previous| (previous, previous + 1)).collect();
    assert_eq!(got, whole);
}

#[test]
fn a_client_that_catches_up_too_slowly_is_told_so() {
    let mut house = House::new(small());
    let desk = house.desk(1, &[ALICE]);
    let last = house.rig.log.sequence();
    house.dial(ALICE);
    house.dial(ALICE);
    house.rig.log.client_opened(ClientId(9));
    let opening = Opening {
        requestor: requestor(9),
        identity: Identity([1; 32]),
        session: "new".into(),
        resume: from(last),
    };
    let Rig { log, out } = &mut house.rig;
    log.open(opening, NOW, out);
    for _ in 0..6 {
        house.dial(ALICE);
    }
    let Rig { log, out } = &mut house.rig;
    out.clear();
    assert_eq!(log.catch_up(desk.client, 9, out), Err(crate::event_log::resume::TooFarBehind));
    assert!(out.is_empty());
}

#[test]
fn the_input_mask_goes_on() {
    let mut house = House::new(Limits::default());
    let desk = house.desk(1, &[ALICE]);
    let asker = requestor(desk.client.0);
    let Rig { log, out } = &mut house.rig;
    log.set_input_mask(asker, [EventName::EventReleased], NOW, out);
    let last = log.sequence();
    log.disconnected(desk.client, NOW);
    house.dial(ALICE);
    house.rig.publish(EventName::EventReleased, ALICE, 1, PartyState::Null);
    house.rig.out.clear();
    house.open(1, from(last), NOW);
    assert_eq!(house.rig.said()[1..], ["1: 5 after 3 EventReleased alice"]);
}
