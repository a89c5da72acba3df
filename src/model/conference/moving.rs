//! A connected party leaves for another conference, leg, port and all; or comes from one.
//!
//! ```text
//!   T-Server --MoveParty--> shell --Give--> this one      (it climbs, where its media is direct)
//!                             |<-GiveAway---- this one      PartyMoved; the leg is forgotten here, its port stays open
//!                             |--Take------> the other one  OperationDone, or OperationFailed
//! ```
//! Legs that were taken over keep the name that the shell gave them, from [`MOVED_LEGS`] on: it is unique in the connector, and no conference
//! numbers its own legs so high. What the shell says of the leg under its old name after `GiveAway` is not heard here any more: the shell
//! passes it on under the new one.

use super::leg::{Leg, LegMedia, LegPhase};
use super::operation::NO_SUCH_PARTY;
use super::party::{Party, PartyPhase};
use super::{Conference, ConferenceOutput, GivenParty, MOVED_LEGS};
use crate::leg::{LegCommand, MediaCommand};
use crate::link::{LinkNotification, MediaFlowState, OperationId};
use crate::{ConferenceId, LegId, PartyId};

/// Service Unavailable: the conference is full.
const FULL: u16 = 503;
/// Request Pending: there is such a party already.
const TAKEN: u16 = 491;

impl Conference {
    pub(super) fn give_away(
        &mut self,
        party: PartyId,
        leg: LegId,
        to: ConferenceId,
        operation: OperationId,
        as_party: PartyId,
        out: &mut Vec<ConferenceOutput>,
    ) {
        self.end_transfers(Some(leg), out);
        let Some(index) = self.parties.iter().position(|other| other.id == party) else {
            return self.give_nothing(to, operation, as_party, out);
        };
        let gone = self.parties.remove(index);
        self.remove_leg(leg);
        self.matrix.give(leg);
        self.gone.push(party);
        let conference = self.id;
        self.notify(LinkNotification::PartyMoved { conference, party }, out);
        out.push(ConferenceOutput::GiveAway {
            to,
            operation,
            as_party,
            given: Some(GivenParty {
                leg,
                device_held: gone.held,
                media_flow: gone.flow,
            }),
        });
        self.changed();
    }

    pub(super) fn give_nothing(
        &self,
        to: ConferenceId,
        operation: OperationId,
        as_party: PartyId,
        out: &mut Vec<ConferenceOutput>,
    ) {
        out.push(ConferenceOutput::GiveAway {
            to,
            operation,
            as_party,
            given: None,
        });
    }

    /// A party comes from another conference, or does not.
    pub(super) fn take(
        &mut self,
        operation: OperationId,
        party: PartyId,
        given: Option<GivenParty>,
        out: &mut Vec<ConferenceOutput>,
    ) {
        let conference = self.id;
        let Some(given) = given else {
            if self.leg_in_talk(party).is_some() {
                // Asked for again: it came before.
                return self.notify(LinkNotification::OperationDone { conference, operation }, out);
            }
            return self.refuse_unless_over(operation, NO_SUCH_PARTY, out);
        };
        if self.leg(given.leg).is_some() {
            return;
        }
        let is_over = self.ended || (self.parties.is_empty() && !self.is_fresh());
        let refusal = match () {
            _ if is_over => Some(NO_SUCH_PARTY),
            _ if self.parties.len() >= self.settings.max_parties => Some(FULL),
            _ if self.party(party).is_some() || self.gone.contains(&party) || given.leg.0 < MOVED_LEGS => Some(TAKEN),
            _ => None,
        };
        if let Some(status) = refusal {
            // Nobody else looks after the leg by now.
            self.tell(given.leg, LegCommand::Bye { reason: None }, out);
            out.push(ConferenceOutput::Media(MediaCommand::Close { leg: given.leg }));
            return self.refuse_unless_over(operation, status, out);
        }
        self.changed();
        self.legs.push(Leg {
            media: LegMedia::Anchored,
            acked: true,
            ..Leg::new(given.leg, party, LegPhase::Talking)
        });
        self.matrix.adopt(given.leg);
        self.parties.push(Party {
            leg: Some(given.leg),
            held: given.device_held,
            flow: given.media_flow,
            ..Party::new(party, PartyPhase::Connected)
        });
        self.notify(LinkNotification::OperationDone { conference, operation }, out);
        if given.media_flow != MediaFlowState::Unknown {
            self.tell_flow(party, given.media_flow, out);
        }
    }

    /// After `ConferenceEnded` nothing is told any more.
    fn refuse_unless_over(&self, operation: OperationId, status: u16, out: &mut Vec<ConferenceOutput>) {
        if !self.ended {
            self.refuse(operation, status, out);
        }
    }
}
