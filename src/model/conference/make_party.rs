//! The T-Server side wants a device called: an INVITE to every contact at once, or a reason why not.

use std::time::{Duration, Instant};

use super::leg::{Invited, Leg, LegMedia, LegPhase};
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
        self.changed();
        let (invited, offer) = self.offer_to(party);
        let has = match &offer {
            Some(Description::Passed(sdp)) => Some(sdp.clone()),
            _ => None,
        };
        for contact in contacts {
            let leg = LegId(self.next_leg);
            self.next_leg = self.next_leg.saturating_add(1);
            self.legs.push(Leg {
                invited,
                has: has.clone(),
                ..Leg::new(leg, party, LegPhase::Calling)
            });
            let command = LegCommand::Invite {
                party,
                contact,
                offer: offer.clone(),
                caller: request.caller.clone(),
                caller_name: request.caller_name.clone(),
                presentation: request.presentation.clone(),
                auto_answer: request.auto_answer,
                conversation_id: request.conversation_id.clone(),
                headers: request.headers.clone(),
                forwarded: request.forwarded.clone(),
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
            [_, ..] if self.parties.iter().all(Party::is_called) => refusal(491),
            parties if parties.len() >= self.settings.max_parties => refusal(503),
            _ if contacts.is_empty() => Err(Cause {
                q850: Some(super::release::SUBSCRIBER_ABSENT),
                ..Cause::status(ReleasedBy::Network, 480)
            }),
            _ => Ok(()),
        }
    }

    /// What a new party is offered: the description of the one other party, where the two can talk leg to leg; else the plane's. The first
    /// party of all is asked for its own.
    fn offer_to(&self, party: PartyId) -> (Invited, Option<Description>) {
        let plane = (Invited::Plane, Some(Description::Anchored));
        match &*self.parties {
            [] if !self.settings.anchored => (Invited::Bare, None),
            [other] if !self.needs_plane_with(Some(party)) => {
                let early =
                    other.phase == PartyPhase::Offered && other.leg.and_then(|leg| self.media(leg)) != Some(LegMedia::Direct);
                match &other.offer {
                    _ if early => plane,
                    Some(offer) => (Invited::Passed, Some(Description::Passed(offer.clone()))),
                    None if other.phase == PartyPhase::Offered => (Invited::Bare, None),
                    None => plane,
                }
            }
            _ => plane,
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
