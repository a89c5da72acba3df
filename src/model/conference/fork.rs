//! A party that is being called has a leg for each contact: what their provisional and failure responses come to.
//!
//! No fork speaks for the party alone before one of them answers or all have failed; only a 6xx does (RFC 3261 s.16.7 step 5).

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::leg::{Invited, LegMedia, LegPhase};
use super::party::PartyPhase;
use super::{Conference, ConferenceOutput};
use crate::leg::{Description, LegCommand, LegEvent};
use crate::link::{Cause, LinkNotification, ReleasedBy};
use crate::{LegId, PartyId};

/// How a fork failed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Failure {
    /// The final status.
    pub status: u16,
    /// The Q.850 cause of its Reason header.
    pub q850: Option<u8>,
    /// The value of that header.
    pub reason: Option<Arc<str>>,
    /// Where a redirection says to call instead.
    pub contacts: Vec<Arc<str>>,
}

/// How many targets of a redirection are told.
const REDIRECTIONS: usize = 8;

impl Failure {
    /// What it comes to, for a party that was called, that a leg is over; `None` where this does not say so.
    pub fn of(event: &LegEvent) -> Option<Self> {
        let (status, q850, reason, contacts) = match event {
            LegEvent::Failed {
                status,
                q850,
                reason,
                contacts,
            } => (*status, q850, reason, &**contacts),
            LegEvent::Cancelled { q850, reason } => (487, q850, reason, [].as_slice()),
            LegEvent::Ended { by_device, q850, reason } => (if *by_device { 480 } else { 408 }, q850, reason, [].as_slice()),
            _ => return None,
        };
        Some(Self {
            status,
            q850: *q850,
            reason: reason.clone(),
            contacts: contacts.iter().take(REDIRECTIONS).cloned().collect(),
        })
    }

    /// The order of choice among failed forks, the best first (RFC 3261 s.16.7 step 6): 6xx, then what tells the caller how to
    /// call better, then what a person did, then other 4xx, then 5xx; challenges and redirections, not for the caller, last.
    fn rank(&self) -> u8 {
        match self.status {
            600..=699 => 0,
            415 | 420 | 484 => 1,
            486 => 2,
            401 | 407 => 7,
            404 | 408 | 410 | 487 => 5,
            480 => 4,
            400..=499 => 3,
            300..=399 => 8,
            _ => 6,
        }
    }

    /// The better of the two; the earlier one where they are alike.
    pub fn better(self, later: Failure) -> Failure {
        if later.rank() < self.rank() { later } else { self }
    }

    /// What the party is released with. Challenges are met below or not at all, a 503 tells of one server and not of the call
    /// (RFC 3261 s.16.7 step 6). A redirection says so only where it says whereto; it is the T-Server side that follows it.
    pub fn cause(&self) -> Cause {
        let sip_status = match self.status {
            300..=399 if self.contacts.is_empty() => 480,
            401 | 407 | 503 => 500,
            300..=699 => self.status,
            _ => 500,
        };
        let by = match sip_status {
            408 | 500..=599 => ReleasedBy::Network,
            _ => ReleasedBy::Device,
        };
        Cause {
            by,
            sip_status: Some(sip_status),
            q850: self.q850,
            reason: self.reason.clone(),
        }
    }
}

impl Conference {
    /// A provisional response: the party rings, and a caller who is not answered yet hears of it.
    pub(super) fn progress(&mut self, leg: LegId, status: u16, sdp: Option<Bytes>, out: &mut Vec<ConferenceOutput>) {
        // 101-179 tell nothing to anyone; 199 ends an early dialog inside a fork (RFC 6228).
        if !(180..199).contains(&status) {
            return;
        }
        let Some(fork) = self.leg_mut(leg).filter(|fork| fork.phase == LegPhase::Calling) else {
            return;
        };
        fork.rang = true;
        let (id, early) = (fork.party, sdp.filter(|_| fork.invited != Invited::Bare));
        if fork.early.is_none() {
            fork.early = early.clone();
        }
        let early = early.filter(|_| fork.invited == Invited::Passed);
        let Some(party) = self.party_mut(id) else { return };
        if party.phase == PartyPhase::Calling {
            party.phase = PartyPhase::Alerting;
            let conference = self.id;
            self.notify(LinkNotification::PartyAlerting { conference, party: id }, out);
        }
        self.tell_caller_progress(leg, early, out);
        self.tell_to_answer(id, out);
    }

    /// Passes ringing (once) and the early media of the first fork that has any (once) to the caller. Another fork's is left out:
    /// the caller has one early dialog with us, and one answer in it.
    fn tell_caller_progress(&mut self, fork: LegId, early: Option<Bytes>, out: &mut Vec<ConferenceOutput>) {
        self.mix(out);
        let anchored = self
            .parties
            .first()
            .and_then(|first| first.leg)
            .and_then(|leg| self.media(leg));
        if anchored.is_some_and(LegMedia::is_anchored) {
            // The plane lets it hear what there is.
            return;
        }
        let Some(caller) = self.parties.first_mut().filter(|first| first.phase == PartyPhase::Offered) else {
            return;
        };
        let Some(leg) = caller.leg else { return };
        let (status, answer) = match (caller.early_media_of, early) {
            (None, Some(answer)) => {
                caller.early_media_of = Some(fork);
                (183, Some(answer))
            }
            // The caller hears this fork already; its 180 would start the caller's own ringing tone over it.
            (Some(heard), _) if heard == fork => return,
            _ if caller.ringing_told => return,
            _ => {
                caller.ringing_told = true;
                (180, None)
            }
        };
        self.tell(
            leg,
            LegCommand::Progress {
                status,
                answer: answer.map(Description::Passed),
            },
            out,
        );
    }

    /// A leg failed, or ended before it was answered; it is no longer in the conference.
    pub(super) fn fork_failed(&mut self, id: PartyId, failure: Failure, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let pending = self.legs.iter().any(|leg| leg.party == id && leg.phase == LegPhase::Calling);
        let Some(party) = self.party_mut(id) else { return };
        let best = match party.best_failure.take() {
            Some(best) => best.better(failure),
            None => failure,
        };
        party.best_failure = Some(best.clone());
        if pending && !(600..700).contains(&best.status) {
            // Those that are left may have refused to answer by themselves.
            return self.judge_wish(id, out);
        }
        let cause = best.cause();
        if cause.sip_status.is_some_and(|status| status < 400) {
            let (conference, party, to) = (self.id, id, best.contacts);
            self.notify(LinkNotification::PartyRedirected { conference, party, to }, out);
        }
        self.callee_failed(id, cause, now, out);
    }

    /// A party that was called is released unanswered; the one that called it waits for the T-Server side.
    pub(super) fn callee_failed(&mut self, id: PartyId, cause: Cause, now: Instant, out: &mut Vec<ConferenceOutput>) {
        if let Some(first) = self.parties.first_mut().filter(|first| first.id != id) {
            first.callee_failed = cause.sip_status;
        }
        self.release(id, cause, now, out);
    }
}
