//! The T-Server side wants a device called: an INVITE to every contact at once, or a reason why not.

use std::time::{Duration, Instant};

use super::leg::{Leg, LegPhase};
use super::party::{Party, PartyPhase};
use super::{Conference, ConferenceOutput};
use crate::leg::{Contact, Description, LegCommand};
use crate::link::{Cause, LinkNotification, MakeParty, ReleasedBy};
use crate::{LegId, PartyId};

impl Conference {
    pub(super) fn make_party(
        &mut self,
        request: MakeParty,
        contacts: Vec<Contact>,
        now: Instant,
        out: &mut Vec<ConferenceOutput>,
    ) {
        let (conference, party) = (self.id, request.party);
        if self.gone.contains(&party) {
            return;
        }
        if self.party(party).is_some() {
            self.notify(LinkNotification::PartyCreated { conference, party }, out);
            return;
        }
        if let Err(cause) = self.room_for_party(&contacts) {
            self.refuse_party(party, cause, out);
            return;
        }
        // The offer is the description of the party that is there; the first party of all is asked for its own.
        let offer = self.parties.first().and_then(|first| first.offer.clone());
        for contact in contacts {
            let leg = LegId(self.next_leg);
            self.next_leg = self.next_leg.saturating_add(1);
            self.legs.push(Leg {
                id: leg,
                party,
                phase: LegPhase::Calling,
                offered: offer.is_some(),
                early: None,
            });
            let command = LegCommand::Invite {
                party,
                contact,
                offer: offer.clone().map(Description::Passed),
                caller: request.caller.clone(),
                caller_name: request.caller_name.clone(),
                auto_answer: request.auto_answer,
                conversation_id: request.conversation_id.clone(),
                headers: request.headers.clone(),
            };
            self.tell(leg, command, out);
        }
        let ring = Duration::from_millis(request.ring_timeout_ms);
        self.parties.push(Party {
            deadline: Some(now + ring),
            ..Party::new(party, PartyPhase::Calling)
        });
        self.notify(LinkNotification::PartyCreated { conference, party }, out);
    }

    /// Whether a party can be called into the conference as it is; if not, why.
    fn room_for_party(&self, contacts: &[Contact]) -> Result<(), Cause> {
        let refusal = |status| Err(Cause::status(ReleasedBy::Network, status));
        match &*self.parties {
            // The call it was meant for is over: the request crossed its end.
            [] if !self.is_fresh() => refusal(481),
            [first] if first.is_called() => refusal(491),
            [_, _, ..] => refusal(501),
            _ if contacts.is_empty() => Err(Cause {
                q850: Some(super::release::SUBSCRIBER_ABSENT),
                ..Cause::status(ReleasedBy::Network, 480)
            }),
            _ => Ok(()),
        }
    }

    /// Releases a party that never came to be.
    fn refuse_party(&mut self, party: PartyId, cause: Cause, out: &mut Vec<ConferenceOutput>) {
        if let [first] = &mut *self.parties
            && !first.is_called()
        {
            first.callee_failed = cause.sip_status;
        }
        self.gone.push(party);
        let conference = self.id;
        self.notify(
            LinkNotification::PartyReleased {
                conference,
                party,
                cause,
            },
            out,
        );
    }
}
