//! A 2xx came on one of the legs: the first one of a party wins, and what it means depends on who waits for it.

use std::time::Instant;

use bytes::Bytes;

use super::fork::Failure;
use super::join::MediaJoin;
use super::leg::LegPhase;
use super::party::PartyPhase;
use super::{Conference, ConferenceOutput};
use crate::leg::{AckBody, LegCommand};
use crate::link::LinkNotification;
use crate::{LegId, PartyId};

/// A 200 without the description it must carry (RFC 3264 s.4): the device cannot be talked to.
const DESCRIPTION_MISSING: Failure = Failure { status: 500, q850: None };

impl Conference {
    pub(super) fn answered(&mut self, leg: LegId, sdp: Option<Bytes>, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(fork) = self.leg_mut(leg) else { return };
        let party = fork.party;
        match fork.phase {
            LegPhase::Incoming | LegPhase::Talking => {}
            LegPhase::Cancelling { .. } => self.decline_answer(leg, sdp.is_some(), out),
            LegPhase::Calling => {
                let early = fork.early.take().filter(|_| fork.offered);
                match sdp.or(early) {
                    Some(sdp) => self.fork_won(party, leg, sdp, now, out),
                    None => {
                        self.decline_answer(leg, false, out);
                        self.fork_failed(party, DESCRIPTION_MISSING, now, out);
                    }
                }
            }
        }
    }

    /// Acknowledges a 2xx that nobody wants any more and ends the leg.
    fn decline_answer(&mut self, leg: LegId, with_description: bool, out: &mut Vec<ConferenceOutput>) {
        let Some(fork) = self.remove_leg(leg) else { return };
        let answer = if with_description && !fork.offered {
            AckBody::Inactive
        } else {
            AckBody::Nothing
        };
        self.tell(leg, LegCommand::Ack { answer }, out);
        self.tell(leg, LegCommand::Bye { q850: None }, out);
    }

    /// One contact answered: it is the party now.
    fn fork_won(&mut self, id: PartyId, leg: LegId, sdp: Bytes, now: Instant, out: &mut Vec<ConferenceOutput>) {
        if let Some(fork) = self.leg_mut(leg) {
            fork.phase = LegPhase::Talking;
        }
        let Some(party) = self.party_mut(id) else { return };
        party.phase = PartyPhase::Connected;
        party.leg = Some(leg);
        party.deadline = None;
        party.best_failure = None;

        let is_first = self.parties.first().is_some_and(|first| first.id == id);
        let caller_answered = if is_first {
            self.first_party_answered(leg, sdp, out);
            None
        } else {
            self.callee_answered(leg, sdp, out)
        };
        self.cancel_forks(id, true, now, out);
        let conference = self.id;
        for party in std::iter::once(id).chain(caller_answered) {
            self.notify(LinkNotification::PartyConnected { conference, party }, out);
        }
    }

    /// The second party answered: joins it to the first. Gives the first party where it is answered by this.
    fn callee_answered(&mut self, leg: LegId, sdp: Bytes, out: &mut Vec<ConferenceOutput>) -> Option<PartyId> {
        let first = self.parties.first_mut()?;
        let (id, first_leg, offer) = (first.id, first.leg?, first.offer.take());
        if first.phase == PartyPhase::Connected {
            self.join_third_party(first_leg, leg, offer, sdp, out);
            return None;
        }
        first.phase = PartyPhase::Connected;
        first.deadline = None;
        if let Some(caller) = self.leg_mut(first_leg) {
            caller.phase = LegPhase::Talking;
        }
        self.join = Some(match offer {
            Some(_) => MediaJoin::direct(first_leg, leg, sdp, out),
            None => MediaJoin::late(first_leg, leg, sdp, out),
        });
        Some(id)
    }

    /// Cancels every fork of a party that is still out.
    pub(super) fn cancel_forks(&mut self, id: PartyId, completed_elsewhere: bool, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let until = now + self.leg_end_timeout();
        for leg in self
            .legs
            .iter_mut()
            .filter(|leg| leg.party == id && leg.phase == LegPhase::Calling)
        {
            leg.phase = LegPhase::Cancelling { until };
            let command = LegCommand::Cancel { completed_elsewhere };
            out.push(ConferenceOutput::Leg { leg: leg.id, command });
        }
    }
}
