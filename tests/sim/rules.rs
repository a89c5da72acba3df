//! What must hold of every record, whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use tandem_model::{ConnId, EventName};
use tandem_wire::EventFrame;

use super::desktop::Desktop;
use super::phone::Stage;
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
        check_answers(index, desktop, world.was_killed());
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
    let ports = world.ports.open();
    let left: Vec<_> = ports
        .values()
        .map(|port| (port.conference, port.settings.as_ref().and_then(|it| it.remote)))
        .collect();
    assert!(
        left.is_empty(),
        "media ports are left, of conferences and to devices: {left:?}"
    );
    assert_eq!(recorder::of_kind("tandem_actors", "call"), 0, "call actors are left");
    // What serves no conference stands ready for the next one.
    let (actors, ready) = (
        recorder::of_kind("tandem_actors", "conference"),
        recorder::total("tandem_conference_resources"),
    );
    assert!(
        actors <= ready,
        "{actors} conference actors are left, and {ready} stand ready"
    );
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

/// Each party has a first event, exactly one terminal event, and nothing after that. A consulted party that comes to the main call
/// (EventPartyChanged with another PreviousConnID) ends in the consultation without one, and goes on in the main call. Who was
/// deleted from a call may be brought into it again: that is another party.
pub fn check_parties(observer: &Desktop) {
    let mut parties: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    let mut over = 0;
    for frame in observer.frames.iter().filter(|frame| is_of_party(frame)) {
        let (Some(dn), Some(call)) = (&frame.this_dn, &frame.conn_id) else {
            continue;
        };
        let here = (dn.clone(), call.clone());
        if let Some(previous) = frame
            .previous_conn_id
            .as_ref()
            .filter(|_| frame.is(EventName::EventPartyChanged))
        {
            let there = (dn.clone(), previous.clone());
            let moved = parties.remove(&there);
            assert!(moved.is_some(), "{here:?} comes from {there:?}, where it is not");
            assert!(
                there == here || !parties.contains_key(&here),
                "{there:?} comes to {here:?}, where it is already"
            );
            parties.insert(here.clone(), moved.unwrap_or_default());
        }
        let begins = frame.is(EventName::EventDialing) || frame.is(EventName::EventRinging);
        let events = parties.entry(here.clone()).or_default();
        assert_eq!(events.is_empty(), begins, "{here:?}: {} after {events:?}", frame.event);
        events.push(&frame.event);
        if is_terminal(frame) {
            parties.remove(&here);
            over += 1;
        }
    }
    assert!(
        parties.is_empty(),
        "after {over} that ended, no terminal event for {parties:?}"
    );
}

/// Nobody is left in silence while nothing happens: who is established and holds nobody hears something, whatever that is. Where the
/// phones send their media to each other there is nothing to see.
pub fn check_rest(world: &World) {
    let observer = &world.desktops[0];
    let live = observer.live();
    let ports = world.ports.open();
    for phone in &world.phones {
        let Some(calls) = live.get(&phone.dn()) else { continue };
        let talking = phone
            .calls
            .values()
            .filter(|call| call.stage == Stage::Talking && !call.holds)
            .count();
        let (1, 1, 1) = (calls.len(), talking, phone.calls.len()) else {
            continue;
        };
        let call = calls.first().copied();
        let in_call = |calls: &BTreeSet<ConnId>| call.is_some_and(|call| calls.contains(&call));
        let others = live.iter().filter(|(dn, calls)| **dn != phone.dn() && in_call(calls));
        let others: Vec<_> = others.map(|(dn, _)| dn).collect();
        // Whoever is muted stays so in the calls that this one comes from and goes to.
        let muted = observer
            .frames
            .iter()
            .any(|frame| frame.is(EventName::EventMuteOn) && others.iter().any(|dn| frame.this_dn.as_ref() == Some(dn)));
        let others: Vec<_> = others.into_iter().map(|dn| held(observer, dn, call)).collect();
        // No music is played to a conference: where all others hold it, or ring yet, there is nothing to hear. Of those outside it is not
        // known whether they do, nor who is in a conference.
        let dns = world.dns();
        let is_outside = |dn: &Option<String>| dn.as_ref().is_some_and(|dn| !dns.contains(dn));
        let of_call = || observer.frames.iter().filter(|frame| frame.call() == call);
        let outside = of_call().any(|frame| is_outside(&frame.other_dn) || is_outside(&frame.third_party_dn));
        let in_conference = of_call().any(|frame| frame.this_dn_role.as_deref() == Some("ConferenceMember"));
        let several = in_conference || others.len() + usize::from(outside) > 1;
        let left_alone = several && others.iter().all(|held| *held != Some(false));
        let own = ports.values().filter(|port| {
            let remote = port.settings.as_ref().and_then(|settings| settings.remote);
            remote.is_some_and(|remote| remote.ip() == phone.address.ip())
        });
        let own: Vec<_> = own.collect();
        if held(observer, &phone.dn(), call) == Some(false) && !muted && !left_alone && own.len() == 1 {
            assert!(
                own.iter().all(|port| !port.hears.is_empty()),
                "{} hears nothing in {call:?}",
                phone.number
            );
        }
    }
}

/// Whether a party holds the call; `None` where it is not established. Who comes from another call brings this along.
fn held(observer: &Desktop, dn: &str, call: Option<ConnId>) -> Option<bool> {
    let mut states: BTreeMap<ConnId, bool> = BTreeMap::new();
    for frame in observer.frames.iter().filter(|frame| frame.this_dn.as_deref() == Some(dn)) {
        let Some(here) = frame.call() else { continue };
        match frame.name() {
            Some(EventName::EventEstablished | EventName::EventRetrieved) => drop(states.insert(here, false)),
            Some(EventName::EventHeld) => drop(states.insert(here, true)),
            Some(EventName::EventPartyChanged) => {
                let previous = frame.previous_conn_id.as_ref().and_then(|call| call.parse().ok());
                if let Some(state) = previous.and_then(|previous| states.remove(&previous)) {
                    states.insert(here, state);
                }
            }
            _ => {}
        }
    }
    states.get(&call?).copied()
}

/// The answer to a client that resumes and has missed nothing that will not follow: it has no place of its own in the order.
fn goes_on(frame: &EventFrame) -> bool {
    frame.is(EventName::EventServerConnected) && frame.resume.as_deref() == Some("delta")
}

/// Sequences rise, and each frame names the one before it; a new chain begins with 0.
fn check_chain(index: usize, desktop: &Desktop) {
    let mut last = 0;
    for frame in &desktop.frames {
        if frame.is(EventName::EventServerConnected) && frame.previous == 0 {
            last = 0;
        } else if goes_on(frame) {
            assert_eq!(
                (frame.sequence, frame.previous),
                (last, last),
                "desktop {index} goes on elsewhere"
            );
            continue;
        }
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
fn check_answers(index: usize, desktop: &Desktop, killed: bool) {
    let mut answers: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for frame in &desktop.frames {
        if let Some(reference) = frame.reference_id {
            answers.entry(reference).or_default().push(&frame.event);
        }
    }
    for (reference, request) in &desktop.asked {
        let got = answers.remove(reference).unwrap_or_default();
        // Who went away is owed nothing. What was under way in a call that crashed is lost with it.
        let lost = recorder::total("tandem_actor_crashes_total") > 0 && request.contains("\"connId\"");
        let owed = (desktop.handle.is_some() && !lost) || !got.is_empty();
        // That the new party rings (one after the other where it is forwarded), then what came of it (reference 9.10), unless the server was
        // killed meanwhile.
        let is_last = |event: &str| ["EventPartyAdded", "EventError"].contains(&event) || (killed && event == "EventRinging");
        let told_twice = request.contains("SingleStepConference")
            && got
                .split_last()
                .is_some_and(|(last, first)| is_last(last) && first.iter().all(|event| *event == "EventRinging"));
        assert!(
            !owed || got.len() == 1 || told_twice,
            "desktop {index}: {request} was answered by {got:?}"
        );
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
    let frames = desktops.iter().flat_map(|desktop| &desktop.frames);
    for frame in frames.filter(|frame| !goes_on(frame)) {
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
