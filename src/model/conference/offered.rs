//! A call that came in makes the conference: its caller is the first party, and waits for the T-Server side to say whom to call.

use bytes::Bytes;

use super::leg::{Leg, LegPhase};
use super::party::{Party, PartyPhase};
use super::{Conference, ConferenceOutput, OfferedCall};
use crate::leg::LegCommand;
use crate::link::{CallOffered, LinkNotification};
use crate::{LegId, PartyId};

impl Conference {
    pub(super) fn offered(
        &mut self,
        party: PartyId,
        leg: LegId,
        call: OfferedCall,
        offer: Option<Bytes>,
        out: &mut Vec<ConferenceOutput>,
    ) {
        // The same call told again, whether it still lives or not.
        if self.leg(leg).is_some() || self.party(party).is_some() || self.gone.contains(&party) {
            return;
        }
        if !self.is_fresh() {
            let (status, reason) = (500, None);
            self.tell(leg, LegCommand::Reject { status, reason }, out);
            return;
        }
        self.next_leg = self.next_leg.max(leg.0.saturating_add(1));
        self.legs.push(Leg::new(leg, party, LegPhase::Incoming));
        self.parties.push(Party {
            leg: Some(leg),
            offer,
            ..Party::new(party, PartyPhase::Offered)
        });
        self.notify(
            LinkNotification::CallOffered(CallOffered {
                conference: self.id,
                party,
                from: call.from,
                presentation: call.presentation,
                preferred: call.preferred,
                dialled: call.dialled,
                conversation_id: call.conversation_id,
                sip_call_id: call.sip_call_id,
                replaces: call.replaces,
                diverted_by: call.diverted_by,
                headers: call.headers,
            }),
            out,
        );
        let conference = self.id;
        self.notify(LinkNotification::PartyCreated { conference, party }, out);
    }
}
