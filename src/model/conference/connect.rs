//! A caller is answered: because the party it called has answered, or because the T-Server side wants it connected as it is (to the parties
//! there are, or to the media plane alone).

use super::leg::{LegMedia, LegPhase};
use super::party::PartyPhase;
use super::{Conference, ConferenceOutput};
use crate::leg::{Description, LegCommand};
use crate::link::LinkNotification;
use crate::{LegId, PartyId};

impl Conference {
    /// The T-Server side wants an offered party answered. It may stay alone from now on; and where it is alone already, the conference is a
    /// room, in which nobody's end is another one's.
    pub(super) fn connect_party(&mut self, party: PartyId, out: &mut Vec<ConferenceOutput>) {
        let Some(entry) = self.party_mut(party).filter(|party| !party.is_called()) else {
            return;
        };
        entry.kept = true;
        let alone = self.parties.len() == 1;
        if self.answer_caller(party, out).is_some() {
            self.is_room = alone;
            let conference = self.id;
            self.notify(LinkNotification::PartyConnected { conference, party }, out);
        }
    }

    /// Lets the plane answer a caller. Gives it where there was one to answer. A caller that has the early media of another device has its
    /// answer already (RFC 3261 s.13.2.1, RFC 6337 s.3.1.1): its 200 repeats that, and it climbs, where it has not done so by UPDATE.
    pub(super) fn answer_caller(&mut self, party: PartyId, out: &mut Vec<ConferenceOutput>) -> Option<PartyId> {
        self.drop_early(out);
        let (leg, offer) = self.caller_connected(party)?;
        let elsewhere = self.media_after_update(leg);
        let (with_offer, has_answer) = (offer.is_some(), self.party(party)?.early_media_of.is_some());
        if let Some(leg) = self.leg_mut(leg) {
            leg.media = match with_offer {
                true if has_answer && !leg.media.is_anchored() => elsewhere,
                true => LegMedia::Anchored,
                false => LegMedia::LateAnswer,
            };
            leg.shared = offer;
        }
        let sdp = Some(Description::Anchored);
        self.tell(leg, LegCommand::Accept { sdp }, out);
        Some(party)
    }

    /// A caller that waits is connected from now on: its leg, and what it offered.
    pub(super) fn caller_connected(&mut self, party: PartyId) -> Option<(LegId, Option<bytes::Bytes>)> {
        let party = self.party_mut(party).filter(|party| party.phase == PartyPhase::Offered)?;
        let leg = party.leg?;
        party.phase = PartyPhase::Connected;
        party.deadline = None;
        let offer = party.offer.take();
        if let Some(leg) = self.leg_mut(leg) {
            leg.phase = LegPhase::Talking;
            leg.before_answer = None;
        }
        Some((leg, offer))
    }
}
