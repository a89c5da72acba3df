//! Parties end: by the T-Server side, by their devices, by time. Each ends once, and takes along whom it must.
//!
//! * One of two in talk takes the other one along: the conference ends the peer's leg at once and tells the T-Server side, rather
//!   than waiting to be asked, so that no leg hangs when the T-Server side is gone. A ReleaseParty that crosses finds nobody.
//! * The last one that is not being called takes along whoever is: without a caller there is no call.
//! * One of three or more leaves the others alone; in a room, one of two does too.
//! * A party that is released while it is called takes nobody along: the T-Server side may call another.

use std::time::Instant;

use super::fork::Failure;
use super::join::MediaJoin;
use super::leg::LegPhase;
use super::party::{Party, PartyPhase};
use super::{Conference, ConferenceOutput};
use crate::leg::{LegCommand, LegEvent};
use crate::link::{Cause, LinkNotification, ReleasedBy};
use crate::{LegId, PartyId};

/// Q.850 causes that the conference itself finds (as RFC 3398 s.7.2.4.1 pairs them with SIP statuses).
pub(super) const NO_USER_RESPONDING: u8 = 18;
pub(super) const NO_ANSWER: u8 = 19;
pub(super) const SUBSCRIBER_ABSENT: u8 = 20;

impl Conference {
    /// The T-Server side ends a party.
    pub(super) fn release_party(&mut self, id: PartyId, cause: Cause, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let by = ReleasedBy::Server;
        self.release(id, Cause { by, ..cause }, now, out);
    }

    /// The T-Server side ends the conference.
    pub(super) fn release_conference(&mut self, cause: Cause, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let by = ReleasedBy::Server;
        self.release_all(Cause { by, ..cause }, now, out);
        self.end_transfers(None, out);
    }

    /// The connector goes down. Cancelled legs are still awaited, for a 200 may cross; a shell that cannot wait drops the
    /// conference.
    pub(super) fn abort(&mut self, now: Instant, out: &mut Vec<ConferenceOutput>) {
        self.release_all(Cause::status(ReleasedBy::Network, 503), now, out);
        self.end_transfers(None, out);
    }

    /// A leg said that it is over; it is told nothing any more but how its transfers end.
    pub(super) fn leg_over(&mut self, leg: LegId, event: &LegEvent, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(leg) = self.remove_leg(leg) else { return };
        self.leave_early(leg.id, false, out);
        self.outlive_transfers(leg.id, now);
        let Some(failure) = Failure::of(event) else { return };
        let cause = match event {
            LegEvent::Ended { by_device, .. } => Cause {
                by: if *by_device { ReleasedBy::Device } else { ReleasedBy::Network },
                sip_status: None,
                ..failure.cause()
            },
            _ => failure.cause(),
        };
        match leg.phase {
            LegPhase::Cancelling { .. } => {}
            LegPhase::Calling => self.fork_failed(leg.party, failure, now, out),
            LegPhase::Incoming | LegPhase::Talking => self.release(leg.party, cause, now, out),
        }
    }

    /// Ends a party and whom it takes along. A party that is not there (any more) is not released again.
    pub(super) fn release(&mut self, id: PartyId, cause: Cause, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(index) = self.parties.iter().position(|party| party.id == id) else {
            return;
        };
        let party = self.parties.remove(index);
        let talked = party.phase == PartyPhase::Connected;
        let peers = cause.for_others(None);
        self.end_party(party, cause, now, out);
        self.changed();
        let peer_talks = matches!(&*self.parties, [peer] if peer.phase == PartyPhase::Connected);
        if (talked && peer_talks && !self.is_room) || self.parties.iter().all(Party::is_called) {
            self.release_all(peers, now, out);
        }
    }

    /// Ends the two of the direct pair, whose media cannot be brought together.
    pub(super) fn release_pair(&mut self, cause: Cause, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(sides) = self.join.as_ref().map(MediaJoin::sides) else {
            return;
        };
        let of_pair = |party: &Party| party.leg.is_some_and(|leg| sides.contains(&leg));
        let (pair, others) = std::mem::take(&mut self.parties).into_iter().partition(of_pair);
        self.parties = others;
        let pair: Vec<Party> = pair;
        let peers = cause.for_others(None);
        for party in pair {
            self.end_party(party, cause.clone(), now, out);
        }
        self.changed();
        if self.parties.iter().all(Party::is_called) {
            self.release_all(peers, now, out);
        }
    }

    /// Ends every party.
    pub(super) fn release_all(&mut self, cause: Cause, now: Instant, out: &mut Vec<ConferenceOutput>) {
        for party in std::mem::take(&mut self.parties) {
            self.end_party(party, cause.clone(), now, out);
        }
        self.join = None;
    }

    /// Ends the legs of a party that was taken out, and tells that it is gone.
    fn end_party(&mut self, party: Party, cause: Cause, now: Instant, out: &mut Vec<ConferenceOutput>) {
        self.cancel_forks(party.id, cause.told_reason(), now, out);
        if let Some(leg) = party.leg.and_then(|leg| self.remove_leg(leg)) {
            let end = match leg.phase {
                LegPhase::Incoming => LegCommand::Reject {
                    status: refusal(cause.sip_status),
                    reason: cause.told_reason(),
                },
                _ => LegCommand::Bye {
                    reason: cause.told_reason(),
                },
            };
            self.leave_early(leg.id, true, out);
            self.end_transfers(Some(leg.id), out);
            if let Some(join) = &self.join {
                join.close(leg.id, out);
            }
            if let Some(descent) = &self.ladder.descent {
                descent.close(leg.id, out);
            }
            self.tell(leg.id, end, out);
        }
        self.gone.push(party.id);
        let (conference, party, wish) = (self.id, party.id, party.to_answer);
        self.notify(
            LinkNotification::PartyReleased {
                conference,
                party,
                cause,
            },
            out,
        );
        self.wish_in_vain(wish, out);
    }
}

/// The status a caller is refused with: the cause's, where it refuses anything (a redirection would go where we do not say).
fn refusal(sip_status: Option<u16>) -> u16 {
    sip_status.filter(|status| (400..700).contains(status)).unwrap_or(480)
}
