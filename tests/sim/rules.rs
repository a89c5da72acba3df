//! What must hold of every record, whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use tandem_model::EventName;
use tandem_wire::EventFrame;

use super::desktop::Desktop;
use super::recorder;
use super::world::World;

/// Checks a world that was wound up, in which actors were made to panic or not. The first desktop is registered on every DN from the
/// start to the end.
pub async fn check(world: &World, stormy: bool) {
    check_clients(world);
    check_empty(world).await;
    let crashed = recorder::total("tandem_actor_crashes_total") > 0;
    assert!(stormy || !crashed, "an actor crashed by itself");
    let clients = world.desktops.iter().filter(|desktop| desktop.handle.is_some()).count();
    assert_eq!(
        recorder::total("tandem_event_clients"),
        clients as i64,
        "the gauge of clients"
    );
}

/// The rules of what clients got.
pub fn check_clients(world: &World) {
    let observer = &world.desktops[0];
    check_parties(observer);
    for (index, desktop) in world.desktops.iter().enumerate() {
        check_chain(index, desktop);
        check_answers(index, desktop);
        check_completeness(index, desktop, observer);
    }
    check_same_order(&world.desktops);
}

/// Nothing is left of any call, anywhere.
pub async fn check_empty(world: &World) {
    assert_eq!(world.tree.directory.call_ids(), [], "calls are left");
    for connector in world.connectors().await {
        let stats = connector.stats;
        let held = [
            connector.conferences,
            stats.sessions_active,
            stats.dialogs_active,
            stats.transactions_active,
        ];
        assert_eq!(
            held, [0; 4],
            "connector {} holds conferences, sessions, dialogs, transactions",
            connector.id
        );
    }
    for kind in ["call", "conference"] {
        assert_eq!(recorder::of_kind("tandem_actors", kind), 0, "{kind} actors are left");
    }
    assert_eq!(recorder::total("tandem_calls_active"), 0, "the gauge of calls");
    for phone in &world.phones {
        let stats = phone.ua.stats();
        let held = [stats.sessions_active, stats.dialogs_active, phone.calls.len()];
        assert_eq!(held, [0; 3], "phone {} holds sessions, dialogs, calls", phone.number);
    }
}

/// Events that are about a party, not answers to a question.
fn is_of_party(frame: &EventFrame) -> bool {
    let answers = [EventName::EventError, EventName::EventPartyInfo, EventName::EventACK];
    frame.conn_id.is_some() && frame.this_dn.is_some() && !answers.iter().any(|name| frame.is(*name))
}

fn is_terminal(frame: &EventFrame) -> bool {
    [EventName::EventReleased, EventName::EventAbandoned, EventName::EventDiverted]
        .iter()
        .any(|name| frame.is(*name))
}

/// Each party has a first event, exactly one terminal event, and nothing after that.
pub fn check_parties(observer: &Desktop) {
    let mut parties: BTreeMap<(&str, &str), Vec<&EventFrame>> = BTreeMap::new();
    for frame in observer.frames.iter().filter(|frame| is_of_party(frame)) {
        if let (Some(dn), Some(call)) = (&frame.this_dn, &frame.conn_id) {
            parties.entry((dn, call)).or_default().push(frame);
        }
    }
    for (party, frames) in parties {
        let names: Vec<_> = frames.iter().map(|frame| frame.event.as_str()).collect();
        let first = frames
            .first()
            .is_some_and(|frame| frame.is(EventName::EventDialing) || frame.is(EventName::EventRinging));
        assert!(first, "{party:?} begins with {names:?}");
        let terminal = frames.iter().filter(|frame| is_terminal(frame)).count();
        let last = frames.last().is_some_and(|frame| is_terminal(frame));
        assert!(
            terminal == 1 && last,
            "{party:?} has not one terminal event at the end: {names:?}"
        );
    }
}

/// Sequences rise, and each frame names the one before it.
fn check_chain(index: usize, desktop: &Desktop) {
    let mut last = 0;
    for frame in &desktop.frames {
        assert!(frame.sequence > last, "desktop {index}: {} after {last}", frame.sequence);
        assert_eq!(
            frame.previous, last,
            "desktop {index}: the chain is broken at {}",
            frame.sequence
        );
        last = frame.sequence;
    }
}

/// Each request is answered exactly once, and nothing else is.
fn check_answers(index: usize, desktop: &Desktop) {
    let mut answers: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for frame in &desktop.frames {
        if let Some(reference) = frame.reference_id {
            answers.entry(reference).or_default().push(&frame.event);
        }
    }
    for (reference, request) in &desktop.asked {
        let got = answers.remove(reference).unwrap_or_default();
        // Who went away is owed nothing.
        let owed = desktop.handle.is_some() || !got.is_empty();
        assert!(!owed || got.len() == 1, "desktop {index}: {request} was answered by {got:?}");
    }
    assert!(answers.is_empty(), "desktop {index}: answers to nothing: {answers:?}");
}

/// While a client is registered on a DN it gets every event of it that the observer gets.
fn check_completeness(index: usize, desktop: &Desktop, observer: &Desktop) {
    let mut own = desktop.frames.iter().peekable();
    let mut registered = BTreeSet::new();
    let Some(end) = desktop.frames.last().map(|frame| frame.sequence) else {
        return;
    };
    for frame in observer
        .frames
        .iter()
        .filter(|frame| is_of_party(frame) && frame.sequence <= end)
    {
        let mut has_it = false;
        while let Some(mine) = own.next_if(|mine| mine.sequence <= frame.sequence) {
            has_it |= mine.sequence == frame.sequence;
            match &mine.this_dn {
                Some(dn) if mine.is(EventName::EventRegistered) => drop(registered.insert(dn.clone())),
                Some(dn) if mine.is(EventName::EventUnregistered) => drop(registered.remove(dn)),
                _ => {}
            }
        }
        let due = frame.this_dn.as_ref().is_some_and(|dn| registered.contains(dn));
        assert!(
            has_it || !due,
            "desktop {index} missed {} of {:?}",
            frame.event,
            frame.this_dn
        );
    }
}

/// One sequence is the same event to everyone; with rising sequences this is the same order.
fn check_same_order(desktops: &[Desktop]) {
    let mut known: BTreeMap<u64, &EventFrame> = BTreeMap::new();
    for frame in desktops.iter().flat_map(|desktop| &desktop.frames) {
        let first = known.entry(frame.sequence).or_insert(frame);
        let same = (&first.event, &first.this_dn, &first.conn_id, &first.time)
            == (&frame.event, &frame.this_dn, &frame.conn_id, &frame.time);
        assert!(
            same,
            "{} is {} to one and {} to another",
            frame.sequence, first.event, frame.event
        );
    }
}
