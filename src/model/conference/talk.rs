//! The T-Server side wants a party to answer: each of its devices is told so by the conventions of phones ([`LegCommand::Talk`]), once.
//!
//! A device that rings is told at once, one that does not yet with its first 18x: EventRinging is told when the INVITE is out, so the wish
//! of a desktop that answers to it is here before the phone has said anything. The wish lasts until somebody answers.

use super::leg::LegPhase;
use super::party::Party;
use super::{Conference, ConferenceOutput};
use crate::PartyId;
use crate::leg::LegCommand;

impl Conference {
    pub(super) fn let_answer(&mut self, id: PartyId, out: &mut Vec<ConferenceOutput>) {
        let Some(party) = self.party_mut(id).filter(|party| party.is_called()) else {
            return;
        };
        party.to_answer = true;
        for leg in self.legs.iter_mut().filter(|leg| leg.party == id) {
            // A wish of its own, for whom the one before brought nothing.
            leg.told = false;
        }
        self.tell_to_answer(id, out);
    }

    /// Tells it whoever rings and was not told.
    pub(super) fn tell_to_answer(&mut self, id: PartyId, out: &mut Vec<ConferenceOutput>) {
        let wanted = |party: &Party| party.is_called() && party.to_answer;
        if !self.party(id).is_some_and(wanted) {
            return;
        }
        for leg in self.legs.iter_mut().filter(|leg| leg.party == id) {
            if leg.phase == LegPhase::Calling && leg.rang && !std::mem::replace(&mut leg.told, true) {
                let command = LegCommand::Talk;
                out.push(ConferenceOutput::Leg { leg: leg.id, command });
            }
        }
    }
}
