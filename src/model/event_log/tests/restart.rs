//! The log over the end of its process: what the records tell the next one.

use super::resume::{EPOCH, House, at, from};
use super::*;
use crate::TErrorCode;
use crate::event_log::keep::{Journal, apply};
use crate::event_log::watch::Start;
use crate::numbering::{DirectMedia, DirectOverride};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn through_text<T: Serialize + DeserializeOwned>(record: &T) -> T {
    let text = serde_json::to_string(record).expect("a record is written");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The log that the next process makes of the journal.
pub(super) fn restart(journal: &Journal, limits: Limits, now: SystemTime) -> EventLog {
    let records = journal.values().map(|kept| match kept {
        Kept::Server(record) => Kept::Server(through_text(record)),
        Kept::Event(sequence, record) => Kept::Event(*sequence, through_text(record)),
        Kept::Party(number, record) => Kept::Party(*number, through_text(record)),
        Kept::Client(client, record) => Kept::Client(*client, through_text(record)),
        Kept::Note(client, number, record) => Kept::Note(*client, *number, through_text(record)),
    });
    EventLog::restore("epoch-2", limits, records.collect(), now)
}

/// A house with a journal.
struct Housed {
    house: House,
    journal: Journal,
    limits: Limits,
}

impl Housed {
    fn new(limits: Limits) -> Self {
        Self {
            house: House::new(limits),
            journal: Journal::new(),
            limits,
        }
    }

    fn crash(&mut self) {
        apply(&mut self.journal, self.house.rig.log.take_changes());
        let all: Journal = self
            .house
            .rig
            .log
            .everything()
            .into_iter()
            .map(|kept| (kept.key(), kept))
            .collect();
        let missing: Vec<_> = all.keys().filter(|key| !self.journal.contains_key(key)).collect();
        assert!(missing.is_empty(), "{missing:?} is not kept");
        let log = restart(&self.journal, self.limits, at(5));
        self.house = House::of(log);
        apply(&mut self.journal, self.house.rig.log.take_changes());
    }
}

fn few() -> Limits {
    Limits {
        events: 4,
        ..Limits::default()
    }
}

#[test]
fn an_empty_journal_makes_a_new_epoch() {
    let log = restart(&Journal::new(), Limits::default(), NOW);
    assert_eq!((&**log.epoch(), log.sequence(), log.first_client()), ("epoch-2", 0, 1));
}

#[test]
fn the_epoch_goes_on_and_no_number_comes_twice() {
    let mut kept = Housed::new(Limits::default());
    let desk = kept.house.desk(1, &[ALICE]);
    for _ in 0..3 {
        kept.house.dial(BOB);
        let before = kept.house.rig.log.sequence();
        kept.crash();
        let log = &kept.house.rig.log;
        assert_eq!(&**log.epoch(), EPOCH);
        assert!(log.sequence() >= before);
        assert!(log.first_client() > desk.client.0);
        assert!(kept.house.dial(BOB) > before);
    }
}

#[test]
fn a_client_resumes_over_a_restart_with_all_that_it_missed() {
    let mut kept = Housed::new(Limits::default());
    let desk = kept.house.desk(1, &[ALICE]);
    let last = kept.house.dial(ALICE);
    kept.house.dial(ALICE);
    kept.crash();
    assert_eq!(
        kept.house.rig.log.registrations(),
        [(desk.client, DnId::new(ALICE), RegisterMode::Share, Wish::default())]
    );
    kept.house.dial(ALICE);
    let again = kept.house.open(1, from(last), at(6));
    assert_eq!((again.client, again.outcome), (desk.client, Outcome::Delta));
    let copies: Vec<_> = kept.house.rig.out.iter().map(|copy| (copy.previous, copy.sequence)).collect();
    assert_eq!(copies.len(), 3);
    assert_eq!(copies[..2], [(last, last), (last, last + 1)]);
    assert_eq!(copies[2].0, last + 1, "the chain goes on over the restart");
}

#[test]
fn what_a_client_asks_of_a_dn_is_kept_with_its_registration() {
    let mut kept = Housed::new(Limits::default());
    let desk = kept.house.desk(1, &[ALICE]);
    let of_media = |av| DirectOverride {
        handle: None,
        media: Some(DirectMedia { av, im: true }),
    };
    let wishes = [(1, of_media(true)), (1, of_media(false)), (2, of_media(false))];
    let wishes = wishes.map(|direct| Wish {
        direct: Some(direct),
        flow: direct.0 > 1,
    });
    for wish in wishes {
        let subscription = Subscription {
            requestor: requestor(desk.client.0),
            dn: ALICE.into(),
            facts: facts(),
            wish,
        };
        let Rig { log, out } = &mut kept.house.rig;
        assert!(log.subscribe(subscription, NOW, out));
        kept.crash();
        assert_eq!(
            kept.house.rig.log.registrations(),
            [(desk.client, DnId::new(ALICE), RegisterMode::Share, wish)]
        );
    }
}

/// A registration that an earlier version has kept.
#[test]
fn a_note_without_a_wish_is_read() {
    let text = format!(r#"{{"Registered":{{"dn":"{ALICE}","mode":"Share"}}}}"#);
    let note: keep::NoteRecord = serde_json::from_str(&text).expect("a note");
    assert_eq!(serde_json::to_string(&note).expect("a note"), text);
}

#[test]
fn who_had_all_before_its_events_went_is_not_fooled_into_missing_some() {
    let mut kept = Housed::new(few());
    let desk = kept.house.desk(1, &[ALICE]);
    let old = kept.house.rig.log.sequence();
    let last = kept.house.dial(ALICE);
    kept.house.rig.log.watch(None, None);
    for _ in 0..600 {
        kept.house.dial(BOB);
    }
    kept.crash();
    let resume = |sequence| super::resume::as_session(sequence, &desk.session);
    assert_eq!(kept.house.open(1, resume(old), at(6)).outcome, Outcome::Snapshot);
    let mut kept = Housed::new(few());
    let desk = kept.house.desk(1, &[ALICE]);
    let again = kept.house.dial(ALICE);
    assert_eq!(again, last);
    kept.house.rig.log.watch(None, None);
    for _ in 0..600 {
        kept.house.dial(BOB);
    }
    kept.crash();
    let resume = super::resume::as_session(last, &desk.session);
    assert_eq!(kept.house.open(1, resume, at(6)).outcome, Outcome::Delta, "it has all");
}

#[test]
fn long_lists_count_as_several_events() {
    let mut house = House::new(few());
    house.desk(1, &[ALICE]);
    let mut event = call_event(EventName::EventAttachedDataChanged, ALICE, 1, PartyState::Connected);
    event.user_data = Some(Arc::new([("note", "x".repeat(1_500))].into_iter().collect()));
    for _ in 0..4 {
        house.rig.log.publish(event.clone(), None, NOW, &mut Vec::new());
    }
    assert_eq!(house.rig.log.held().0, 2);
}

#[test]
fn a_request_without_an_answer_gets_one_and_only_one() {
    let mut kept = Housed::new(Limits::default());
    let desk = kept.house.desk(1, &[ALICE]);
    let last = kept.house.rig.log.sequence();
    let asked = |reference, conn_id| Outstanding {
        reference_id: Some(ReferenceId(reference)),
        dn: ALICE.into(),
        conn_id,
        mode: None,
    };
    let log = &mut kept.house.rig.log;
    log.asked(desk.client, asked(1, None));
    log.asked(desk.client, asked(2, Some(ConnId(7))));
    log.asked(desk.client, asked(3, None));
    let answered = Requestor {
        client: desk.client,
        reference_id: Some(ReferenceId(1)),
    };
    log.answer(answered, Event::new(EventName::EventACK), NOW, &mut Vec::new());
    kept.crash();
    kept.crash();
    kept.house.open(1, from(last), at(6));
    let told = |copy: &Delivery| {
        let error = copy.event.error.as_ref().map(|error| error.code);
        (copy.reference_id.map(|id| id.0), copy.event.name, error)
    };
    let answers: Vec<_> = kept.house.rig.out.iter().skip(1).map(told).collect();
    let refused = Some(TErrorCode::Internal);
    assert_eq!(
        answers,
        [
            (Some(1), EventName::EventACK, None),
            (Some(2), EventName::EventError, refused),
            (Some(3), EventName::EventError, refused),
        ]
    );
}

#[test]
fn a_call_that_crashes_answers_for_its_requests_and_one_that_ends_does_not() {
    let mut house = House::new(Limits::default());
    let desk = house.desk(1, &[ALICE]);
    let asked = |reference, call| Outstanding {
        reference_id: Some(ReferenceId(reference)),
        dn: ALICE.into(),
        conn_id: Some(ConnId(call)),
        mode: None,
    };
    for call in [1, 2] {
        house.rig.publish(EventName::EventDialing, ALICE, call, PartyState::Dialing);
        house.rig.log.asked(desk.client, asked(call as u32, call));
    }
    house.rig.publish(EventName::EventReleased, ALICE, 2, PartyState::Null);
    house.rig.out.clear();
    for call in [1, 2] {
        house.rig.log.abort_call(ConnId(call), NOW, &mut house.rig.out);
    }
    assert_eq!(
        house.rig.said(),
        ["1: 6 after 5 EventError alice*", "1: 7 after 6 EventReleased alice"],
        "the call that ended by itself will answer by itself"
    );
    let late = Requestor {
        client: desk.client,
        reference_id: Some(ReferenceId(2)),
    };
    for _ in 0..2 {
        house.rig.log.unanswered(late, NOW, &mut house.rig.out);
    }
    assert_eq!(house.rig.said(), ["1: 8 after 7 EventError alice*"]);
}

#[test]
fn live_parties_come_back_whoever_watched_them() {
    let mut kept = Housed::new(few());
    kept.house.desk(1, &[ALICE]);
    let publish = |kept: &mut Housed, name, dn, call, state| {
        kept.house.rig.publish(name, dn, call, state);
    };
    publish(&mut kept, EventName::EventEstablished, ALICE, 1, PartyState::Connected);
    publish(&mut kept, EventName::EventEstablished, BOB, 1, PartyState::Connected);
    publish(&mut kept, EventName::EventRinging, BOB, 2, PartyState::Alerting);
    for _ in 0..9 {
        publish(&mut kept, EventName::EventDialing, ALICE, 3, PartyState::Dialing);
    }
    kept.crash();
    let log = &kept.house.rig.log;
    assert_eq!(
        log.parties_of(ConnId(1)).len(),
        2,
        "one beyond the log, one that nobody watched"
    );
    assert_eq!(
        (log.calls_on(&ALICE.into()), log.calls_on(&BOB.into())),
        (2, 1),
        "what rings is not kept"
    );
    // Only call 1 came back.
    let Rig { log, out } = &mut kept.house.rig;
    log.recovered(&[ConnId(1)], at(6), out);
    assert_eq!((log.calls_on(&ALICE.into()), log.calls_on(&BOB.into())), (1, 1));
    publish(&mut kept, EventName::EventReleased, ALICE, 1, PartyState::Null);
    publish(&mut kept, EventName::EventReleased, BOB, 1, PartyState::Null);
    kept.crash();
    assert!(kept.house.rig.log.snapshots.is_empty());
}

#[test]
fn a_party_that_ended_unseen_does_not_live_again() {
    let mut kept = Housed::new(Limits::default());
    let desk = kept.house.desk(1, &[ALICE, BOB]);
    kept.house
        .rig
        .publish(EventName::EventRinging, ALICE, 1, PartyState::Alerting);
    kept.house.rig.publish(EventName::EventRinging, BOB, 2, PartyState::Alerting);
    kept.house.rig.log.client_closed(desk.client);
    kept.house
        .rig
        .publish(EventName::EventEstablished, ALICE, 1, PartyState::Connected);
    kept.house.rig.publish(EventName::EventReleased, ALICE, 1, PartyState::Null);
    let mut moved = call_event(EventName::EventPartyChanged, BOB, 3, PartyState::Connected);
    moved.previous_conn_id = Some(ConnId(2));
    kept.house.rig.log.publish(moved, None, NOW, &mut Vec::new());
    kept.house.rig.publish(EventName::EventHeld, BOB, 3, PartyState::Held);
    kept.crash();
    let log = &kept.house.rig.log;
    assert_eq!((log.calls_on(&ALICE.into()), log.calls_on(&BOB.into())), (0, 1));
    assert_eq!(log.parties_of(ConnId(3)), [DnId::new(BOB)]);
}

#[test]
fn a_client_that_is_gone_leaves_no_record() {
    let mut kept = Housed::new(Limits::default());
    let desk = kept.house.desk(1, &[ALICE, BOB]);
    let asked = Outstanding {
        reference_id: None,
        dn: ALICE.into(),
        conn_id: None,
        mode: None,
    };
    kept.house.rig.log.asked(desk.client, asked);
    let asker = requestor(desk.client.0);
    kept.house.rig.log.unsubscribe(asker, BOB.into(), NOW, &mut Vec::new());
    kept.house.rig.log.client_closed(desk.client);
    kept.crash();
    let left = kept
        .journal
        .keys()
        .filter(|key| matches!(key, Key::Client(_) | Key::Note(..)));
    assert_eq!(left.count(), 0);
}

#[test]
fn who_watched_goes_on_after_a_restart() {
    let mut kept = Housed::new(Limits::default());
    kept.house.dial(ALICE);
    kept.house.rig.log.watch(None, None);
    let seen = kept.house.dial(ALICE);
    let missed = kept.house.dial(BOB);
    kept.crash();
    let log = &mut kept.house.rig.log;
    assert_eq!(log.watch(Some(seen), Some(EPOCH)), Start::After { cursor: seen });
    let mut out = Vec::new();
    log.watched(seen, None, 9, &mut out);
    assert_eq!(out.iter().map(|copy| copy.sequence).collect::<Vec<_>>(), [missed]);
    assert!(matches!(log.watch(Some(0), None), Start::Gap { from: 1, .. }));
}

#[test]
fn what_somebody_was_registered_for_can_be_watched_after_a_restart() {
    let mut kept = Housed::new(Limits::default());
    kept.house.dial(BOB);
    kept.house.desk(1, &[ALICE]);
    let before = kept.house.rig.log.sequence();
    let missed = kept.house.dial(ALICE);
    kept.crash();
    let mut out = Vec::new();
    let log = &mut kept.house.rig.log;
    assert_eq!(log.watch(Some(before), Some(EPOCH)), Start::After { cursor: before });
    log.watched(before, None, 9, &mut out);
    assert_eq!(out.iter().map(|copy| copy.sequence).collect::<Vec<_>>(), [missed]);
    assert!(
        matches!(log.watch(Some(0), None), Start::Gap { from: 1, .. }),
        "nobody was there for the first"
    );
}

#[test]
fn what_nobody_was_registered_for_is_a_gap_after_a_restart() {
    let mut kept = Housed::new(Limits::default());
    kept.house.desk(1, &[ALICE]);
    let last = kept.house.dial(ALICE);
    apply(&mut kept.journal, kept.house.rig.log.take_changes());
    kept.house.dial(BOB);
    kept.crash();
    assert!(matches!(kept.house.rig.log.watch(Some(last), None), Start::Gap { .. }));
}
