//! What the conference is, told as a whole: so that a T-Server side that comes back, or that lost a call of its own, catches up.

use super::party::{Party, PartyPhase};
use super::{Conference, ConferenceOutput};
use crate::link::{LinkNotification, PartyProgress, PartyStatus};

impl Conference {
    pub(super) fn tell_state(&self, out: &mut Vec<ConferenceOutput>) {
        let parties = self.parties.iter().map(Party::status).collect();
        self.notify(
            LinkNotification::ConferenceState {
                conference: self.id,
                parties,
            },
            out,
        );
    }
}

impl Party {
    fn status(&self) -> PartyStatus {
        let progress = match self.phase {
            PartyPhase::Offered | PartyPhase::Calling => PartyProgress::Created,
            PartyPhase::Alerting => PartyProgress::Alerting,
            PartyPhase::Connected => PartyProgress::Connected,
        };
        PartyStatus {
            party: self.id,
            progress,
            held: self.held,
            flow: self.flow,
        }
    }
}
