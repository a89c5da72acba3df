//! The T-Server side wants a party to answer: each of its devices is told so by the conventions of phones ([`LegCommand::Talk`]), once for
//! each wish.
//!
//! A device that rings is told at once, one that does not yet with its first 18x: EventRinging is told when the INVITE is out, so the wish
//! of a desktop that answers to it is here before the phone has said anything.
//!
//! ```text
//!   one device says yes, or somebody answers -----------------> OperationDone      (the others are told all the same when they ring)
//!   every device that is still called has said no ------------> OperationFailed, with the status of the first, by the device
//!   the party is gone, or is none that is called -------------> OperationFailed, 481
//! ```
//! Beside these the wish waits as long as the party rings, and nothing else waits for it: it is not one of those operations that are carried
//! out one after the other.

use super::leg::{LegPhase, Talk};
use super::operation::{NO_SUCH_PARTY, TOO_MUCH, WAITING};
use super::party::{Party, PartyPhase, ToAnswer};
use super::{Conference, ConferenceOutput};
use crate::leg::LegCommand;
use crate::link::{Cause, LinkNotification, OperationId, ReleasedBy};
use crate::{LegId, PartyId};

impl Conference {
    pub(super) fn let_answer(&mut self, operation: OperationId, id: PartyId, out: &mut Vec<ConferenceOutput>) {
        match self.party(id).map(|party| party.phase) {
            Some(PartyPhase::Calling | PartyPhase::Alerting) => {}
            Some(PartyPhase::Connected) => return self.operation_done(operation, out),
            Some(PartyPhase::Offered) | None => return self.refuse(operation, NO_SUCH_PARTY, out),
        }
        let Some(party) = self.party_mut(id) else { return };
        let wish = party.to_answer.get_or_insert_default();
        if wish.operations.contains(&operation) {
            return;
        }
        if wish.operations.len() >= WAITING {
            return self.refuse(operation, TOO_MUCH, out);
        }
        wish.operations.push(operation);
        wish.refused = None;
        // Who has refused before is told once more.
        let refused = |talk| talk == Talk::Refuses;
        for leg in self.legs.iter_mut().filter(|leg| leg.party == id && refused(leg.talk)) {
            leg.talk = Talk::Untold;
        }
        self.tell_to_answer(id, out);
        self.judge_wish(id, out);
    }

    /// Tells it whoever rings and was not told.
    pub(super) fn tell_to_answer(&mut self, id: PartyId, out: &mut Vec<ConferenceOutput>) {
        let wanted = |party: &Party| party.is_called() && party.to_answer.is_some();
        if !self.party(id).is_some_and(wanted) {
            return;
        }
        for leg in self.legs.iter_mut().filter(|leg| leg.party == id) {
            if leg.phase == LegPhase::Calling && leg.rang && leg.talk == Talk::Untold {
                leg.talk = Talk::Told;
                let command = LegCommand::Talk;
                out.push(ConferenceOutput::Leg { leg: leg.id, command });
            }
        }
    }

    /// What a device says to it.
    pub(super) fn talked(&mut self, leg: LegId, status: u16, out: &mut Vec<ConferenceOutput>) {
        let told = |leg: &&mut super::Leg| leg.phase == LegPhase::Calling && leg.talk == Talk::Told;
        let Some(leg) = self.leg_mut(leg).filter(told) else { return };
        let (party, follows) = (leg.party, (200..300).contains(&status));
        leg.talk = if follows { Talk::Follows } else { Talk::Refuses };
        if !follows && let Some(wish) = self.party_mut(party).and_then(|party| party.to_answer.as_mut()) {
            wish.refused.get_or_insert(status);
        }
        self.judge_wish(party, out);
    }

    /// Answers those that wait for it, where it is known by now what comes of the wish.
    pub(super) fn judge_wish(&mut self, id: PartyId, out: &mut Vec<ConferenceOutput>) {
        let called = || {
            self.legs
                .iter()
                .filter(|leg| leg.party == id && leg.phase == LegPhase::Calling)
        };
        let follows = called().any(|leg| leg.talk == Talk::Follows);
        let refuse = called().all(|leg| leg.talk == Talk::Refuses) && called().next().is_some();
        let Some(wish) = self.party_mut(id).and_then(|party| party.to_answer.as_mut()) else {
            return;
        };
        if follows {
            for operation in std::mem::take(&mut wish.operations) {
                self.operation_done(operation, out);
            }
        } else if refuse {
            let cause = Cause {
                by: ReleasedBy::Device,
                sip_status: wish.refused,
                q850: None,
                reason: None,
            };
            for operation in std::mem::take(&mut wish.operations) {
                let (conference, cause) = (self.id, cause.clone());
                let failed = LinkNotification::OperationFailed {
                    conference,
                    operation,
                    cause,
                };
                self.notify(failed, out);
            }
        }
    }

    /// Somebody has answered.
    pub(super) fn wish_come_true(&mut self, id: PartyId, out: &mut Vec<ConferenceOutput>) {
        let wish = self.party_mut(id).and_then(|party| party.to_answer.take());
        for operation in wish.into_iter().flat_map(|wish| wish.operations) {
            self.operation_done(operation, out);
        }
    }

    /// The party is gone.
    pub(super) fn wish_in_vain(&self, wish: Option<ToAnswer>, out: &mut Vec<ConferenceOutput>) {
        for operation in wish.into_iter().flat_map(|wish| wish.operations) {
            self.refuse(operation, NO_SUCH_PARTY, out);
        }
    }

    fn operation_done(&self, operation: OperationId, out: &mut Vec<ConferenceOutput>) {
        let conference = self.id;
        self.notify(LinkNotification::OperationDone { conference, operation }, out);
    }
}
