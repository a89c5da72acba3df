//! What the world remembers over a fault of the server, or of one of its connectors, and how it finds out what is left.
//!
//! ```text
//! the server    freeze ──► (its last messages come in) ──► look_back ──► restarted ──► desks resume ──► prove_ready ──► is_recovered
//! a connector   strike ──► (its last messages come in) ──► look_back ──► restarted ──► prove_ready ──► is_part_recovered
//!               ──► part_is_back ──► prove_rest ──► is_recovered
//! ```
//! Of each call that was up it is known what it was: every one of them must live, and is tried ([`super::proof`]). Calls that were not
//! up are let go by their phones; all that is expected of them is one terminal event for each party. A request that was in flight must be
//! answered once, unless it may never have been read.
//!
//! Where only a connector is struck, this is so for the calls that a phone of that home takes part in. All others go on and must not fail;
//! those that begin meanwhile and need that home may ([`crate::stats::Stats::failed_in_fault`]).
//!
//! Invariant: while it is frozen, no call starts, goes on or times out; phones still repeat what was not answered.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rsip::Method;

use super::calls::{Call, CallId};
use super::desks::Asked;
use super::verbs::{CONTROLLER, THIRD};
use super::{LegId, World};
use crate::cti::check::Standing;
use crate::stats::Faults;

/// A request that was sent less than this before the kill may never have been read.
const UNREAD: Duration = Duration::from_millis(100);
/// How long a call waits for the answers to what was in flight, before it is tried in any case.
const SETTLE: Duration = Duration::from_secs(5);

/// What calls were when the server was killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs, reason = "counts named by what they count")]
pub struct Before {
    pub in_talk: u64,
    pub on_hold: u64,
    pub consulting: u64,
    pub in_conference: u64,
    /// Not up: ringing, dialling, or about to end.
    pub interrupted: u64,
    /// Requests without an answer.
    pub in_flight: u64,
}

/// What a fault takes away.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Part {
    /// The server with which desks speak.
    #[default]
    Whole,
    /// One home of phones.
    Home(usize),
}

struct InFlight {
    call: Option<CallId>,
    /// It was sent so long before the kill that the server must have read it.
    read: bool,
    answers: u64,
    what: String,
}

/// See the module.
#[derive(Default)]
pub struct Recovery {
    /// What there was.
    pub before: Before,
    /// Calls that were up before and failed since, or whose requests did.
    pub lost: Faults,
    /// Requests that were refused at first.
    pub refused: Faults,
    /// From the start to the first sign of a call from before: a request in a dialog, or an answer about it.
    pub first: Option<Duration>,
    /// From the start to the last of the first answers about each call.
    pub all: Option<Duration>,
    /// Calls that were up elsewhere, or came up later, and were tried at last.
    pub rest: HashSet<CallId>,
    /// From the fault to the first and the last DN that went out of service, and to the last one that came back.
    pub services: [Option<Duration>; 3],
    part: Part,
    /// Calls that need the part may fail.
    excuses: bool,
    frozen: bool,
    begun: usize,
    killed: Option<Instant>,
    started: Option<Instant>,
    established: HashSet<CallId>,
    controllable: HashSet<CallId>,
    refreshed: HashSet<LegId>,
    in_flight: HashMap<(usize, u32), InFlight>,
    never_answered: Vec<String>,
}

impl Recovery {
    /// Whether nothing goes on.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// How many calls were up.
    pub fn established(&self) -> usize {
        self.established.len()
    }

    /// How many of them answered a request since.
    pub fn controllable(&self) -> usize {
        self.controllable.len()
    }

    /// How many legs the server refreshed.
    pub fn refreshed(&self) -> usize {
        self.refreshed.len()
    }

    /// The requests that must have been read and were not answered.
    pub fn unanswered(&self) -> Vec<String> {
        let unanswered = self.in_flight.values().filter(|flight| flight.read && flight.answers == 0);
        let before = unanswered.map(|flight| flight.what.clone());
        before.chain(self.never_answered.iter().cloned()).collect()
    }

    /// The requests without an answer that may never have been read.
    pub fn unread(&self) -> u64 {
        let unread = self.in_flight.values().filter(|flight| !flight.read && flight.answers == 0);
        unread.count() as u64
    }

    /// An answer came; true where it is not the first one.
    pub(super) fn on_answer(&mut self, seat: usize, reference: u32) -> bool {
        let Some(flight) = self.in_flight.get_mut(&(seat, reference)) else {
            return false;
        };
        flight.answers += 1;
        flight.answers > 1
    }

    pub(super) fn on_call_over(&mut self, id: CallId, call: &Call) {
        let was_up = self.established.contains(&id) || self.rest.contains(&id);
        if let (true, Some(cause)) = (was_up, call.failure()) {
            let under_way = call
                .proof
                .under_way()
                .map_or(String::new(), |verb| format!(" ({verb} was under way)"));
            self.lost.add(format!("call {id}{under_way}: {cause}"));
        }
    }

    pub(super) fn on_sign(&mut self, id: CallId, now: Instant) {
        if let Some(started) = self.started.filter(|_| self.established.contains(&id)) {
            self.first.get_or_insert(now.saturating_duration_since(started));
        }
    }

    pub(super) fn on_controllable(&mut self, id: CallId, now: Instant) {
        self.on_sign(id, now);
        if let Some(started) = self.started.filter(|_| self.established.contains(&id))
            && self.controllable.insert(id)
        {
            self.all = Some(now.saturating_duration_since(started));
        }
    }

    /// A DN went out of service, or came back.
    pub(super) fn on_service(&mut self, out: bool, now: Instant) {
        let Some(since) = self.killed.map(|killed| now.saturating_duration_since(killed)) else {
            return;
        };
        let [first_out, last_out, last_back] = &mut self.services;
        if out {
            first_out.get_or_insert(since);
            *last_out = Some(since);
        } else {
            *last_back = Some(since);
        }
    }

    fn waits_for(&self, id: CallId) -> bool {
        self.in_flight
            .values()
            .any(|flight| flight.call == Some(id) && flight.answers == 0 && flight.read)
    }
}

impl World {
    /// The server is killed now.
    pub fn freeze(&mut self, now: Instant) {
        self.schedule = None;
        self.forget_comebacks();
        self.recovery = Some(Recovery {
            frozen: true,
            killed: Some(now),
            ..Recovery::default()
        });
    }

    /// A connector is about to be taken away; calls go on.
    pub fn strike(&mut self, home: usize, now: Instant) {
        self.recovery = Some(Recovery {
            part: Part::Home(home),
            excuses: true,
            killed: Some(now),
            ..Recovery::default()
        });
    }

    /// Whether calls may fail because a part of the server is not there.
    pub(super) fn is_fault_on(&self) -> bool {
        self.recovery.as_ref().is_some_and(|recovery| recovery.excuses)
    }

    /// Whether this phone's home is the part.
    pub(super) fn is_in_fault(&self, phone: usize) -> bool {
        let home = self.phones.get(phone).map(|phone| phone.home);
        let part = self
            .recovery
            .as_ref()
            .filter(|recovery| recovery.excuses)
            .map(|recovery| recovery.part);
        part.is_some_and(|part| home.is_some_and(|home| part == Part::Home(home)))
    }

    fn is_struck(&self, call: &Call) -> bool {
        match self.recovery.as_ref().map(|recovery| recovery.part) {
            Some(Part::Home(_)) => call.phones().any(|phone| self.is_in_fault(phone)),
            Some(Part::Whole) | None => true,
        }
    }

    /// Everything that the dead server sent is here: what was up, and what was not.
    pub fn look_back(&mut self, now: Instant) {
        let Some(killed) = self.recovery.as_ref().and_then(|recovery| recovery.killed) else {
            return;
        };
        let in_flight = self.requests_in_flight(killed);
        let struck = self.calls.iter().filter(|(_, call)| self.is_struck(call));
        let mut ids: Vec<CallId> = struck.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        let mut before = Before {
            in_flight: in_flight.len() as u64,
            ..Before::default()
        };
        let mut established = HashSet::new();
        for id in ids {
            let Some(call) = self.calls.get(&id).filter(|call| call.is_established()) else {
                before.interrupted += 1;
                self.interrupt(id, now);
                continue;
            };
            *self.state_of(call, &mut before) += 1;
            established.insert(id);
            // One that has answered may be in, for all that its phone knows.
            if call.sides.get(THIRD).is_some_and(|third| third.answered_at.is_none()) {
                self.part_with_third(id, now);
            }
            if let Some(call) = self.calls.get_mut(&id) {
                call.proves();
            }
        }
        if let Some(recovery) = &mut self.recovery {
            (recovery.before, recovery.established, recovery.in_flight) = (before, established, in_flight);
        }
    }

    fn requests_in_flight(&self, killed: Instant) -> HashMap<(usize, u32), InFlight> {
        // Who took them is there still, where only a connector is not.
        let all_read = self.is_fault_on();
        let flights = self.references.iter().filter_map(|(key, (asked, at))| {
            let (call, name) = match asked {
                Asked::MakeCall(id) => (*id, "MakeCall"),
                Asked::ReleaseCall(id) => (*id, "ReleaseCall or ClearCall"),
                Asked::Verb(id, verb, _) => (*id, verb.name()),
                Asked::Register | Asked::CatchUp | Asked::Proof(..) => return None,
            };
            if !self.calls.get(&call).is_none_or(|call| self.is_struck(call)) {
                return None;
            }
            let before = killed.saturating_duration_since(*at);
            let what = format!(
                "client {}: {name} ({}), {} ms before the kill",
                key.0,
                key.1,
                before.as_millis()
            );
            let flight = InFlight {
                call: Some(call),
                read: all_read || before > UNREAD,
                answers: 0,
                what,
            };
            Some((*key, flight))
        });
        flights.collect()
    }

    /// The requests since the fault that have no answer, though all is over.
    fn never_answered(&self, recovery: &Recovery) -> Vec<String> {
        let late = self
            .references
            .iter()
            .filter(|(key, _)| !recovery.in_flight.contains_key(key));
        let mut late: Vec<String> = late
            .map(|((seat, reference), (asked, at))| {
                let after = recovery.killed.map(|killed| at.saturating_duration_since(killed).as_millis());
                format!(
                    "client {seat}: {asked:?} ({reference}), {} ms after the fault",
                    after.unwrap_or_default()
                )
            })
            .collect();
        late.sort_unstable();
        late
    }

    fn state_of<'a>(&self, call: &Call, before: &'a mut Before) -> &'a mut u64 {
        let at = |conn: &Option<String>, side: usize| self.standing_of(call, conn.as_deref(), side);
        let live = |standing| matches!(standing, Some(Standing::Dialing | Standing::Established | Standing::Held));
        if live(at(&call.progress.consult, CONTROLLER)) {
            &mut before.consulting
        } else if at(&call.conn, CONTROLLER) == Some(Standing::Held) {
            &mut before.on_hold
        } else if live(at(&call.conn, THIRD)) && live(at(&call.conn, CONTROLLER)) {
            &mut before.in_conference
        } else {
            &mut before.in_talk
        }
    }

    /// Where a side stands in one of the two calls.
    pub(super) fn standing_of(&self, call: &Call, conn: Option<&str>, side: usize) -> Option<Standing> {
        let side = call.sides.get(side).filter(|side| side.ours)?;
        let phone = self.phones.get(side.phone)?;
        self.parties.standing(conn?, &phone.line.aor)
    }

    /// Who was being rung for a call is let go; the call is that of the others again.
    pub(super) fn part_with_third(&mut self, id: CallId, now: Instant) {
        let Some(third) = self.calls.get_mut(&id).and_then(|call| call.sides.get_mut(THIRD)) else {
            return;
        };
        if !third.ours || third.is_confirmed() {
            return;
        }
        (third.ours, third.reserved) = (false, true);
        let (phone, leg) = (third.phone, third.leg.take());
        if let Some(phone) = self.phones.get_mut(phone) {
            phone.expecting.retain(|expected| *expected != id);
            phone.calls.retain(|other| *other != id);
        }
        if let Some(leg) = leg {
            self.let_go(leg, now);
        }
    }

    /// A leg whose end is nobody's business: it hangs up.
    pub(super) fn let_go(&mut self, leg: LegId, now: Instant) {
        if let Some(rtp) = &self.rtp {
            rtp.close(leg);
        }
        if let Some(entry) = self.legs.get_mut(&leg) {
            entry.call = None;
        }
        self.with_leg(leg, now, |leg, ids, out| leg.hang_up(ids, now, out));
    }

    /// The server starts now; or what kept the connector away is over.
    pub fn restarted(&mut self, now: Instant) {
        if let Some(recovery) = &mut self.recovery {
            (recovery.frozen, recovery.started) = (false, Some(now));
        }
    }

    pub(super) fn on_request_after_restart(&mut self, leg: LegId, method: Method, now: Instant) {
        let Some(recovery) = self.recovery.as_mut().filter(|recovery| recovery.started.is_some()) else {
            return;
        };
        let Some((id, _)) = self.legs.get(&leg).and_then(|entry| entry.call) else {
            return;
        };
        recovery.on_sign(id, now);
        let is_first = recovery.established.contains(&id) && !recovery.controllable.contains(&id);
        if matches!(method, Method::Invite | Method::Update) && is_first {
            recovery.refreshed.insert(leg);
        }
    }

    /// Tries up to `most` calls more, of those whose desks have caught up and whose requests were answered.
    pub fn prove_ready(&mut self, most: usize, now: Instant) {
        let Some(recovery) = &self.recovery else { return };
        let patient = recovery.started.is_some_and(|started| now < started + SETTLE);
        let waiting = self
            .calls
            .iter()
            .filter(|(_, call)| call.is_proving() && !call.proof.is_begun());
        let is_back = |seat: usize| self.desks.get(seat).is_some_and(super::DeskSeat::is_here);
        let ready = waiting.filter(|(id, call)| {
            let desks = call.sides.iter().filter(|side| side.ours).filter_map(|side| side.desk);
            desks.into_iter().all(is_back) && !(patient && recovery.waits_for(**id))
        });
        let mut ready: Vec<CallId> = ready.map(|(id, _)| *id).collect();
        ready.sort_unstable();
        for id in ready.into_iter().take(most) {
            if let Some(recovery) = &mut self.recovery {
                recovery.begun += 1;
            }
            self.begin_proof(id, now);
        }
    }

    /// How many calls are being tried, or were.
    pub fn proofs_begun(&self) -> usize {
        self.recovery.as_ref().map_or(0, |recovery| recovery.begun)
    }

    /// Whether every call that the connector had was tried.
    pub fn is_part_recovered(&self) -> bool {
        let tried = self.recovery.as_ref().is_none_or(|recovery| {
            let open = recovery.established.iter().any(|id| self.calls.contains_key(id));
            !open && recovery.unanswered().is_empty()
        });
        tried && self.services.out().is_empty()
    }

    /// The connector is what it was: from now on no call may fail.
    pub fn part_is_back(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            recovery.excuses = false;
        }
    }

    /// Every other call that is up is to be tried, too. What a desk has asked for is waited for: nobody took its call away.
    pub fn prove_rest(&mut self) {
        let up = self.calls.iter().filter(|(_, call)| call.is_at_rest());
        let mut ids: Vec<CallId> = up.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in ids {
            if let Some(call) = self.calls.get_mut(&id) {
                call.proves();
            }
            if let Some(recovery) = &mut self.recovery {
                recovery.rest.insert(id);
            }
        }
    }

    /// Whether nothing is to be expected any more.
    pub fn is_recovered(&self) -> bool {
        let answered = self.recovery.as_ref().is_none_or(|recovery| recovery.unanswered().is_empty());
        let back = self.desks.iter().all(super::DeskSeat::is_here) && self.services.out().is_empty();
        back && answered && self.calls.is_empty() && self.parties.open().is_empty()
    }

    /// It took too long: calls that are not over are lost.
    pub fn give_up(&mut self, now: Instant) {
        let mut ids: Vec<CallId> = self.calls.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let cause = match self.calls.get(&id).is_some_and(|call| call.is_proving()) {
                true => self.proof_lacks(id),
                false => "it did not end in time".to_owned(),
            };
            self.fail(id, cause, now);
        }
    }

    /// Takes what was found out, once calls are over or given up; what is left of them is forgotten.
    pub fn end_recovery(&mut self, now: Instant) -> Recovery {
        let mut ids: Vec<CallId> = self.calls.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.conclude(id, now);
        }
        let mut recovery = self.recovery.take().unwrap_or_default();
        recovery.never_answered = self.never_answered(&recovery);
        self.references.clear();
        recovery
    }
}
