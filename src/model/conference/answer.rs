//! A 2xx came on one of the legs: the first one of a party wins, and what it means depends on who waits for it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::fork::Failure;
use super::join::MediaJoin;
use super::leg::{Invited, Leg, LegMedia, LegPhase};
use super::party::PartyPhase;
use super::{Conference, ConferenceOutput};
use crate::leg::{AckBody, LegCommand};
use crate::link::{COMPLETED_ELSEWHERE, LinkNotification};
use crate::{LegId, PartyId};

/// A 200 without the description it must carry (RFC 3264 s.4): the device cannot be talked to.
const DESCRIPTION_MISSING: u16 = 500;

impl Conference {
    pub(super) fn answered(&mut self, leg: LegId, sdp: Option<Bytes>, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(fork) = self.leg_mut(leg) else { return };
        let party = fork.party;
        match fork.phase {
            LegPhase::Incoming | LegPhase::Talking => {}
            LegPhase::Cancelling { .. } => self.decline_answer(leg, sdp.is_some(), out),
            LegPhase::Calling => {
                let early = fork.early.take().filter(|_| fork.invited != Invited::Bare);
                match sdp.or(early) {
                    Some(sdp) => self.fork_won(party, leg, sdp, now, out),
                    None => {
                        self.decline_answer(leg, false, out);
                        let failure = Failure {
                            status: DESCRIPTION_MISSING,
                            ..Failure::default()
                        };
                        self.fork_failed(party, failure, now, out);
                    }
                }
            }
        }
    }

    /// Acknowledges a 2xx that nobody wants any more and ends the leg.
    fn decline_answer(&mut self, leg: LegId, with_description: bool, out: &mut Vec<ConferenceOutput>) {
        let Some(fork) = self.remove_leg(leg) else { return };
        let answer = if with_description && fork.invited == Invited::Bare {
            AckBody::Inactive
        } else {
            AckBody::Nothing
        };
        self.tell(leg, LegCommand::Ack { answer }, out);
        self.tell(leg, LegCommand::Bye { reason: None }, out);
    }

    /// One contact answered: it is the party now.
    fn fork_won(&mut self, id: PartyId, leg: LegId, sdp: Bytes, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(fork) = self.leg_mut(leg) else { return };
        fork.phase = LegPhase::Talking;
        fork.acked = true;
        fork.shared = Some(sdp.clone());
        let invited = fork.invited;
        let Some(party) = self.party_mut(id) else { return };
        party.phase = PartyPhase::Connected;
        party.leg = Some(leg);
        party.deadline = None;
        party.best_failure = None;

        let caller = self.parties.first().filter(|first| first.phase == PartyPhase::Offered);
        let caller_answered = match caller.map(|caller| (caller.id, caller.leg)) {
            Some((caller, Some(caller_leg))) => {
                self.answered_to_caller(caller, caller_leg, leg, invited, sdp, out);
                Some(caller)
            }
            _ => {
                self.answered_in_talk(id, leg, invited, sdp, out);
                None
            }
        };
        self.cancel_forks(id, Some(COMPLETED_ELSEWHERE.into()), now, out);
        let conference = self.id;
        for party in std::iter::once(id).chain(caller_answered) {
            self.notify(LinkNotification::PartyConnected { conference, party }, out);
        }
        self.wish_come_true(id, out);
    }

    /// A caller waits for this answer: the two are a pair, where they were offered to each other; else each deals with the plane.
    fn answered_to_caller(
        &mut self,
        caller: PartyId,
        caller_leg: LegId,
        leg: LegId,
        invited: Invited,
        sdp: Bytes,
        out: &mut Vec<ConferenceOutput>,
    ) {
        let pairs = self.connected_legs().count() == 1 && self.media(caller_leg) == Some(LegMedia::Direct);
        let offer = self.party(caller).and_then(|caller| caller.offer.clone());
        self.join = match (invited, offer) {
            (Invited::Passed, Some(offer)) if pairs => Some(self.pair_up(caller_leg, leg, offer, sdp, out)),
            (Invited::Bare, None) if pairs => Some(MediaJoin::late(caller_leg, leg, sdp, out)),
            (_, offer) => {
                self.drop_early(out);
                self.answered_to_plane(leg, invited, sdp, out);
                self.answer_caller(caller, out);
                if invited == Invited::Passed {
                    self.partner(caller_leg, leg);
                    if let Some(fork) = self.leg_mut(leg) {
                        fork.unsure = fork.has != offer && offer.is_some();
                    }
                }
                return;
            }
        };
        self.caller_connected(caller);
    }

    /// Whoever is connected was so before: a party answered that is to join them, or to be the first.
    fn answered_in_talk(&mut self, id: PartyId, leg: LegId, invited: Invited, sdp: Bytes, out: &mut Vec<ConferenceOutput>) {
        let first = match &mut *self.parties {
            [first, second] if second.id == id && first.phase == PartyPhase::Connected => first.leg.zip(first.offer.take()),
            _ => None,
        };
        match first {
            Some((first, offered)) if invited == Invited::Passed && !self.wants_plane() => {
                self.join_third_party(first, leg, offered, sdp, out);
            }
            first => {
                if let Some((first, offered)) = first {
                    self.stay_with_plane(first, offered);
                    if invited == Invited::Passed {
                        self.partner(first, leg);
                    }
                }
                self.answered_to_plane(leg, invited, sdp, out);
            }
        }
    }

    /// The first party of a third-party call does not join the second one directly. Where the plane did not serve it, it gets another chance.
    fn stay_with_plane(&mut self, first: LegId, offered: Bytes) {
        if let Some(first) = self.leg_mut(first) {
            first.shared = Some(offered);
            if std::mem::take(&mut first.unserved) {
                first.media = LegMedia::Direct;
            }
        }
    }

    /// Two legs that have described themselves to each other, or would have.
    fn partner(&mut self, one: LegId, other: LegId) {
        for (leg, partner) in [(one, other), (other, one)] {
            if let Some(leg) = self.leg_mut(leg) {
                leg.partner = Some(partner);
            }
        }
    }

    /// An answer that no other device is told of. One to another device's offer leaves the leg where it cannot stay: it climbs.
    fn answered_to_plane(&mut self, leg: LegId, invited: Invited, sdp: Bytes, out: &mut Vec<ConferenceOutput>) {
        match invited {
            Invited::Bare => self.answered_by_plane(leg, sdp, out),
            Invited::Plane => {
                self.acknowledge(leg, AckBody::Nothing, out);
                self.set_media(leg, LegMedia::Anchored);
            }
            Invited::Passed => {
                self.acknowledge(leg, AckBody::Nothing, out);
                let media = self.media_after_update(leg);
                self.set_media(leg, media);
            }
        }
    }

    /// Cancels every fork of a party that is still out, with the value of a Reason header.
    pub(super) fn cancel_forks(&mut self, id: PartyId, reason: Option<Arc<str>>, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let until = now + self.leg_end_timeout();
        let rings = |leg: &Leg| leg.party == id && leg.phase == LegPhase::Calling;
        let forks: Vec<LegId> = self.legs.iter().filter(|leg| rings(leg)).map(|leg| leg.id).collect();
        for leg in forks {
            self.leave_early(leg, true, out);
        }
        for leg in self.legs.iter_mut().filter(|leg| rings(leg)) {
            leg.phase = LegPhase::Cancelling { until };
            let reason = reason.clone();
            let command = LegCommand::Cancel { reason };
            out.push(ConferenceOutput::Leg { leg: leg.id, command });
        }
    }
}
