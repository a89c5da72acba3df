//! A call that comes in from the network: dialled on a phone of ours (1pcc, T-Library reference ch. 9.14), or through a trunk.
//!
//! It is reported just as a call that was made by request, the caller shown as caller; only nobody's ReferenceID is on EventDialing.

use std::sync::Arc;
use std::time::Instant;

use super::conn::Conn;
use super::device::{DeviceKey, Leg};
use super::events::Told;
use super::make::{Called, MAX_TEXT, NotCalled, called, calling_number, shortened};
use super::party::Party;
use super::{Call, CallOutput, Phase};
use crate::link::{CallOffered, CallerId, Cause, PartyTarget, ReleasedBy};
use crate::numbering::Destination;
use crate::{CallState, CallType, ConnId, DnId, DnRole, EventName, PartyId, PartyState};

/// How an unknown caller is called (RFC 3261 s.8.1.1.3, RFC 3323 s.4.1).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";
/// The header that says who forwarded a call (RFC 5806).
const DIVERSION: &str = "Diversion";

/// Who calls.
pub(super) struct Caller {
    /// In whose right it dials: the Extension, or the Trunk it came through.
    pub(super) calling: DnId,
    pub(super) called: Called,
    pub(super) ani: Arc<str>,
    pub(super) name: Option<Arc<str>>,
}

impl Call {
    pub(super) fn offered(&mut self, offered: CallOffered, now: Instant, out: &mut Vec<CallOutput>) {
        if self.phase != Phase::New {
            return;
        }
        self.ids.conference = offered.conference;
        if let Some(conversation_id) = offered.conversation_id.filter(|text| is_bearable(text)) {
            self.ids.conversation_id = conversation_id;
        }
        let preferred = self.preferred(&offered.from, offered.preferred);
        let caller = self.caller(offered.from);
        let (destination, refused) = match called(&self.numbering, &offered.dialled, &caller.calling) {
            Ok(called) => (called, None),
            Err(error) => (nobody(&offered.dialled), Some(error)),
        };
        let inbound = matches!(caller.called.target, PartyTarget::Trunk { .. });
        let call_type = if inbound { CallType::Inbound } else { destination.call_type };
        let origin = self.add_device(offered.conference, offered.party, caller.called);
        if let Some(device) = self.device_mut(origin) {
            device.leg = Leg::Made;
            (device.presentation, device.preferred) = (offered.presentation, preferred);
        }
        let id = PartyId(if offered.party == PartyId(1) { 2 } else { 1 });
        let room = self.room_mut(offered.conference);
        room.made = true;
        room.next_party = offered.party.0.max(id.0).wrapping_add(1);
        let destination = self.add_device(offered.conference, id, destination);
        let mut conn = Conn::new(&self.ids, call_type, origin, destination, now);
        conn.direct = true;
        conn.dnis = Some(shortened(&offered.dialled).into());
        conn.ani = Some(caller.ani);
        conn.caller_name = caller.name;
        conn.headers = offered.headers;
        if let Some(diverted_by) = offered.diverted_by {
            let is_there = conn.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(DIVERSION));
            if !is_there && is_bearable(&diverted_by) {
                conn.headers.push((DIVERSION.into(), format!("<{diverted_by}>").into()));
            }
        }
        conn.parties.push(Party::new(origin, DnRole::Origination));
        conn.parties.push(Party::new(destination, DnRole::Destination));
        let id = conn.id;
        self.conns.push(conn);
        self.phase = Phase::Live;
        for key in [origin, destination] {
            self.silence(id, key);
        }
        let told = Told::new(EventName::EventDialing, PartyState::Dialing, CallState::Ok);
        self.tell(id, origin, told, out);
        match refused {
            None => self.make_party(id, destination, origin, false, now, out),
            Some(error) => {
                let cause = Cause::status(ReleasedBy::Server, sip_status(&error));
                self.destination_failed(id, destination, &cause, now, out);
            }
        }
    }

    /// A DN whose direct calls are not handled has no events of one (`handle-direct-calls`, seed 002 lines 2330-2356, 2394-2408), be it
    /// configured so or because its desktop asks for that (lines 2361-2386). Nobody is logged in as an agent here, so `on-login` is never.
    pub(super) fn silence(&mut self, id: ConnId, key: DeviceKey) {
        let silent = match self.device(key).map(|device| &device.target) {
            Some(PartyTarget::Dn(dn)) => {
                let setting = self.numbering.direct_calls(dn).under(self.wishes.of(dn).direct);
                !setting.handles_audio(false)
            }
            _ => false,
        };
        if let Some(party) = self.party_mut(id, key) {
            party.silent = silent;
        }
    }

    /// The address that a device of ours wants to be known by, where it is its own (RFC 3325 s.6).
    pub(super) fn preferred(&self, from: &CallerId, wish: Option<DnId>) -> Option<DnId> {
        let (CallerId::Extension(dn), Some(wish)) = (from, wish) else {
            return None;
        };
        let known = self.numbering.resolve(wish.as_str(), Some(dn));
        let is_own = is_bearable(wish.as_str()) && known == Destination::Extension(dn.clone());
        is_own.then(|| DnId::new(&format!("sip:{}@{}", wish.user(), self.numbering.default_domain())))
    }

    pub(super) fn caller(&self, from: CallerId) -> Caller {
        match from {
            CallerId::Extension(dn) => Caller {
                ani: calling_number(&self.numbering, &dn),
                calling: dn.clone(),
                called: Called {
                    dn: dn.clone(),
                    target: PartyTarget::Dn(dn),
                    call_type: CallType::Internal,
                },
                name: None,
            },
            CallerId::Trunk { trunk, number, name } => {
                let number = if is_bearable(number.as_str()) {
                    number
                } else {
                    DnId::new(ANONYMOUS)
                };
                Caller {
                    ani: number.user().into(),
                    calling: trunk.clone(),
                    name: name.filter(|name| is_bearable(name)),
                    called: Called {
                        target: PartyTarget::Trunk {
                            trunk,
                            number: number.user().into(),
                        },
                        dn: number,
                        call_type: CallType::Inbound,
                    },
                }
            }
        }
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
pub(super) fn sip_status(error: &NotCalled) -> u16 {
    match error {
        NotCalled::Unknown(_) => 404,
        NotCalled::Prohibited(_) => 403,
        NotCalled::Itself(_) => 486,
    }
}
