//! A call that comes in from the network: dialled on a phone of ours (1pcc, T-Library reference ch. 9.14), or through a trunk.
//!
//! It is reported just as a call that was made by request, the caller shown as caller; only nobody's ReferenceID is on EventDialing.

use std::time::Instant;

use super::events::Addition;
use super::make::{Called, MAX_TEXT, NotCalled, called, calling_number, shortened};
use super::party::{Leg, Party};
use super::{Call, CallOutput, DESTINATION, ORIGIN, Phase};
use crate::link::{CallOffered, CallerId, Cause, PartyTarget, ReleasedBy};
use crate::{CallState, CallType, DnId, DnRole, EventName, PartyId, PartyState};

/// How an unknown caller is called (RFC 3261 s.8.1.1.3, RFC 3323 s.4.1).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

impl Call {
    pub(super) fn offered(&mut self, offered: CallOffered, now: Instant, out: &mut Vec<CallOutput>) {
        if self.phase != Phase::New {
            return;
        }
        self.started = Some(now);
        self.ids.conference = offered.conference;
        if let Some(conversation_id) = offered.conversation_id.filter(|text| is_bearable(text)) {
            self.ids.conversation_id = conversation_id;
        }
        let (calling, origin) = self.caller(offered.from, offered.party);
        let (destination, refused) = match called(&self.numbering, &offered.dialled, &calling) {
            Ok(called) => (called, None),
            Err(error) => (nobody(&offered.dialled), Some(error)),
        };
        self.call_type = if origin.is_external() {
            CallType::Inbound
        } else {
            destination.call_type
        };
        self.dnis = Some(shortened(&offered.dialled).into());
        let id = PartyId(if origin.id == PartyId(1) { 2 } else { 1 });
        self.parties.push(origin);
        self.parties
            .push(Party::new(id, destination.dn, destination.target, DnRole::Destination));
        let addition = Addition::default();
        self.report(
            ORIGIN,
            EventName::EventDialing,
            PartyState::Dialing,
            CallState::Ok,
            addition,
            out,
        );
        self.phase = Phase::CallingDestination;
        match refused {
            None => self.make_party(DESTINATION, false, now, out),
            Some(error) => self.destination_failed(&Cause::status(ReleasedBy::Server, sip_status(&error)), now, out),
        }
    }

    /// The calling DN of ours (the Extension, or the Trunk it came through) and its party.
    fn caller(&mut self, from: CallerId, id: PartyId) -> (DnId, Party) {
        let (calling, shown, target) = match from {
            CallerId::Extension(dn) => {
                self.ani = Some(calling_number(&self.numbering, &dn));
                (dn.clone(), dn.clone(), PartyTarget::Dn(dn))
            }
            CallerId::Trunk { trunk, number, name } => {
                let number = if is_bearable(number.as_str()) {
                    number
                } else {
                    DnId::new(ANONYMOUS)
                };
                self.ani = Some(number.user().into());
                self.caller_name = name.filter(|name| is_bearable(name));
                let target = PartyTarget::Trunk {
                    trunk: trunk.clone(),
                    number: number.user().into(),
                };
                (trunk, number, target)
            }
        };
        let mut party = Party::new(id, shown, target, DnRole::Origination);
        party.leg = Leg::Made;
        (calling, party)
    }
}

/// Every event of a call repeats what its INVITE said: what is longer than any honest value is not passed on.
fn is_bearable(text: &str) -> bool {
    text.len() <= MAX_TEXT
}

/// A destination that was not found is a party only in name: the caller's events need an OtherDN.
fn nobody(dialled: &str) -> Called {
    let dn = DnId::new(shortened(dialled));
    Called {
        target: PartyTarget::Dn(dn.clone()),
        dn,
        call_type: CallType::Unknown,
    }
}

/// With which status a phone or trunk is told that what it dialled leads nowhere (RFC 3261 s.21.4).
fn sip_status(error: &NotCalled) -> u16 {
    match error {
        NotCalled::Unknown(_) => 404,
        NotCalled::Prohibited(_) => 403,
        NotCalled::Itself(_) => 486,
    }
}
