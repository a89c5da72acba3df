//! Watching all events: from where, about what, and what the log keeps for it.

use super::resume::House;
use super::*;
use crate::event_log::watch::Start;

fn narrow() -> Limits {
    Limits {
        events: 6,
        age: Duration::from_secs(60),
        ..Limits::default()
    }
}

fn seen(log: &EventLog, cursor: u64, dns: Option<&[&str]>, limit: usize) -> (Option<u64>, Vec<u64>) {
    let dns = dns.map(|dns| dns.iter().map(|dn| DnId::new(dn)).collect());
    let mut out = Vec::new();
    let cursor = log.watched(cursor, dns.as_ref(), limit, &mut out);
    (cursor, out.iter().map(|copy| copy.sequence).collect())
}

#[test]
fn whoever_watches_sees_what_nobody_is_registered_for_but_no_answers() {
    let mut house = House::new(narrow());
    let log = &mut house.rig.log;
    assert_eq!(log.watch(None, None), Start::Now { cursor: 0 });
    let first = house.dial(ALICE);
    house.desk(1, &[BOB]);
    let second = house.dial(BOB);
    let log = &house.rig.log;
    assert_eq!(seen(log, 0, None, 9), (Some(second), vec![first, second]));
    assert_eq!(seen(log, 0, None, 1), (Some(second - 1), vec![first]));
    assert_eq!(seen(log, 0, Some(&[BOB]), 9), (Some(second), vec![second]));
    assert_eq!(seen(log, second, None, 9), (Some(second), vec![]));
}

#[test]
fn a_gap_is_told() {
    let mut house = House::new(narrow());
    let lost = house.dial(ALICE);
    let log = &mut house.rig.log;
    assert_eq!(log.watch(Some(0), None), Start::Gap { from: 1, to: lost });
    assert_eq!(log.watch(Some(lost), Some("epoch-1")), Start::After { cursor: lost });
    assert_eq!(log.watch(Some(lost), Some("another")), Start::Gap { from: 1, to: lost });
    assert_eq!(log.watch(Some(lost + 5), None), Start::Gap { from: 1, to: lost });
    for _ in 0..9 {
        house.dial(ALICE);
    }
    let log = &mut house.rig.log;
    assert_eq!(log.watch(Some(lost), None), Start::Gap { from: 2, to: 4 });
    assert_eq!(log.watch(Some(4), None), Start::After { cursor: 4 });
    assert_eq!(seen(log, 3, None, 9).0, None, "who is that late is told as well");
    assert_eq!(seen(log, 4, None, 9).1, [5, 6, 7, 8, 9, 10]);
}

#[test]
fn after_the_last_watcher_the_log_stays_complete_for_a_while() {
    let mut house = House::new(narrow());
    house.rig.log.watch(None, None);
    house.rig.log.unwatch(NOW);
    let kept = house.dial(ALICE);
    assert_eq!(house.rig.log.watch(Some(kept - 1), None), Start::After { cursor: kept - 1 });
    house.rig.log.unwatch(NOW);
    let event = || call_event(EventName::EventDialing, ALICE, 2, PartyState::Dialing);
    let later = NOW + Duration::from_secs(61);
    house.rig.log.publish(event(), None, later, &mut Vec::new());
    house.rig.log.publish(event(), None, later, &mut Vec::new());
    let start = house.rig.log.watch(Some(kept), None);
    assert!(matches!(start, Start::Gap { .. }), "{start:?}");
}

#[test]
fn all_events_are_kept_where_that_is_configured() {
    let mut house = House::new(Limits { all: true, ..narrow() });
    house.dial(ALICE);
    assert_eq!(house.rig.log.watch(Some(0), None), Start::After { cursor: 0 });
    assert_eq!(house.rig.log.held().0, 1);
}
