//! What clients see: the events of each party and of the conference DN (T-Library reference ch. 9.2, 9.9), and the roster.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::joiner::{Joiner, Reported, Stage};
use super::leave::Dismissal;
use super::{Room, RoomOutput};
use crate::call::{ACTIVE_SPEAKER, CONFERENCE, CONVERSATION_ID, CallSummary, PartySummary};
use crate::{CallState, CallType, DnId, DnRole, Event, EventName, KvList, KvValue, MediaType, PartyState, Requestor, TError};

/// The most parties that an event lists.
const MAX_LISTED: usize = 100;
/// The extension with the final SIP status.
const SIP_STATUS: &str = "SIP-Status";
/// The extension with the Q.850 cause.
const Q850_CAUSE: &str = "Q850-Cause";

/// One line of the roster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RosterEntry {
    /// Its DN, or the number behind a trunk.
    pub dn: DnId,
    /// Its display name.
    pub name: Option<Arc<str>>,
    /// Whether it is none of our DNs.
    pub external: bool,
    /// Its part.
    pub role: RosterRole,
    /// How far it is.
    pub state: RosterState,
    /// Whether the others are kept from hearing it.
    pub muted: bool,
}

/// A party's part in a conference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum RosterRole {
    /// It gave the moderator's PIN.
    Moderator,
    /// Anybody else.
    Participant,
}

/// How far a party is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum RosterState {
    /// It waits to be admitted (`pending` of RFC 4575 s.5.7.1).
    Waiting,
    /// It is inside (`connected`).
    Inside,
    /// It is inside and has put the conference on hold (`on-hold`).
    OnHold,
}

impl Room {
    /// Who is there, in the order of their coming, as devices may see it: who does not want to be known is one of the anonymous
    /// (RFC 4575 s.5.6). Those who have not given their PIN yet are nobody.
    pub fn roster(&self) -> Vec<RosterEntry> {
        let mut hidden = 0u32;
        let entry = |joiner: &Joiner| {
            let state = match (&joiner.stage, joiner.held) {
                (Stage::Lobby, _) => RosterState::Waiting,
                (Stage::In, false) => RosterState::Inside,
                (Stage::In, true) => RosterState::OnHold,
                _ => return None,
            };
            let role = if joiner.moderator {
                RosterRole::Moderator
            } else {
                RosterRole::Participant
            };
            let (mut dn, mut name) = (joiner.dn.clone(), joiner.name.clone());
            if joiner.hidden {
                hidden += 1;
                (dn, name) = (DnId::new(&format!("sip:anonymous{hidden}@anonymous.invalid")), None);
            }
            Some(RosterEntry {
                dn,
                name,
                external: joiner.external,
                role,
                state,
                muted: joiner.muted,
            })
        };
        self.joiners.iter().filter_map(entry).collect()
    }

    /// How often the roster has changed.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The call as `GET /v1/calls` shows it.
    pub fn summary(&self, age: Duration) -> CallSummary {
        let party = |joiner: &Joiner| PartySummary {
            dn: joiner.dn.clone(),
            role: DnRole::ConferenceMember,
            state: party_state(joiner),
            external: !joiner.is_reported(),
        };
        CallSummary {
            conn_id: self.ids.conn_id,
            call_uuid: self.ids.call_uuid,
            call_type: CallType::Internal,
            parties: self.joiners.iter().filter(|joiner| !joiner.is_told()).map(party).collect(),
            ani: self.joiners.first().and_then(|joiner| joiner.ani.clone()),
            dnis: Some(self.dn.user().into()),
            age,
        }
    }

    pub(super) fn roster_changed(&mut self, out: &mut Vec<RoomOutput>) {
        self.version = self.version.wrapping_add(1);
        out.push(RoomOutput::RosterChanged { version: self.version });
    }

    /// Reports what has become of a joiner. One that clients are not told about comes to it in silence.
    pub(super) fn report(
        &self,
        index: usize,
        name: EventName,
        state: PartyState,
        call_state: CallState,
        requestor: Option<Requestor>,
        out: &mut Vec<RoomOutput>,
    ) {
        if self.joiners[index].is_reported() {
            let event = self.joiner_event(index, name, state, call_state);
            out.push(RoomOutput::Event { event, requestor });
        }
    }

    pub(super) fn joiner_event(&self, index: usize, name: EventName, state: PartyState, call_state: CallState) -> Event {
        let joiner = &self.joiners[index];
        let inside = !matches!(name, EventName::EventDialing) && joiner.reported != Reported::Dialing;
        let mut event = Event {
            this_dn: Some(joiner.dn.clone()),
            this_dn_role: Some(if inside {
                DnRole::ConferenceMember
            } else {
                DnRole::Origination
            }),
            other_dn: Some(self.dn.clone()),
            other_dn_role: Some(DnRole::Destination),
            call_type: Some(joiner.call_type()),
            ani: joiner.ani.clone(),
            dnis: Some(joiner.dnis.clone()),
            call_state: Some(call_state),
            party_state: Some(state),
            ..self.event(name)
        };
        event.extensions.set(CONVERSATION_ID, &*joiner.conversation_id);
        event
    }

    /// An event about the conference DN as a party of its own; it lists who is inside.
    pub(super) fn room_event(&self, name: EventName, call_state: CallState, state: PartyState) -> Event {
        let first = self.joiners.first();
        let mut event = Event {
            this_dn: Some(self.dn.clone()),
            this_dn_role: Some(DnRole::Destination),
            call_type: Some(first.map_or(CallType::Internal, Joiner::call_type)),
            dnis: Some(self.dn.user().into()),
            call_state: Some(call_state),
            party_state: Some(state),
            ..self.event(name)
        };
        self.list(&mut event.extensions);
        event
    }

    fn event(&self, name: EventName) -> Event {
        let mut event = Event {
            conn_id: Some(self.ids.conn_id),
            call_uuid: Some(self.ids.call_uuid),
            call_id: Some(self.ids.call_id),
            media_type: Some(MediaType::Voice),
            user_data: Some(Arc::default()),
            ..Event::new(name)
        };
        event.extensions.set(CONVERSATION_ID, &*self.ids.conversation_id);
        event
    }

    /// The roster in extensions, as EventPartyInfo has it: `party-N` the DN, `role-N` its role, `ps-N` its state as a number, N from 1.
    /// `parties` is how many there are; at most [`MAX_LISTED`] are listed. `active-speaker` is the DN of who speaks, once somebody has among
    /// three or more.
    pub(super) fn list(&self, extensions: &mut KvList) {
        let there = || {
            self.joiners
                .iter()
                .filter(|joiner| matches!(joiner.stage, Stage::In | Stage::Lobby))
        };
        extensions.set("parties", KvValue::Int(there().count() as i64));
        for (number, joiner) in there()
            .take(MAX_LISTED)
            .enumerate()
            .map(|(index, joiner)| (index + 1, joiner))
        {
            extensions.set(format!("party-{number}"), joiner.dn.as_str());
            extensions.set(format!("role-{number}"), DnRole::ConferenceMember.name());
            extensions.set(format!("ps-{number}"), KvValue::Int(party_state(joiner).number().into()));
        }
        let inside = || self.joiners.iter().filter(|joiner| joiner.is_inside());
        let speaker = inside().find(|joiner| Some(joiner.place) == self.speaker);
        if let Some(speaker) = speaker.filter(|_| inside().count() >= CONFERENCE) {
            extensions.set(ACTIVE_SPEAKER, speaker.dn.as_str());
        }
    }

    /// Somebody is inside: EventEstablished to it, EventPartyAdded to everybody who is there already. `asked` admitted it.
    pub(super) fn tell_entry(&mut self, index: usize, asked: Option<(Requestor, DnId)>, out: &mut Vec<RoomOutput>) {
        let starred = |dn: &DnId| asked.as_ref().filter(|(_, by)| by == dn).map(|(requestor, _)| *requestor);
        self.report(
            index,
            EventName::EventEstablished,
            PartyState::Connected,
            CallState::Conferenced,
            None,
            out,
        );
        let new = self.joiners[index].dn.clone();
        if self.opened {
            let mut event = self.room_event(EventName::EventPartyAdded, CallState::Conferenced, PartyState::Connected);
            self.added(&mut event, &new);
            let requestor = starred(&self.dn);
            out.push(RoomOutput::Event { event, requestor });
        } else {
            self.opened = true;
            let mut event = self.room_event(EventName::EventEstablished, CallState::Ok, PartyState::Connected);
            event.other_dn = Some(new.clone());
            event.other_dn_role = Some(DnRole::Origination);
            let requestor = starred(&self.dn);
            out.push(RoomOutput::Event { event, requestor });
        }
        for other in 0..self.joiners.len() {
            let joiner = &self.joiners[other];
            if other == index || !joiner.is_inside() || !joiner.is_reported() {
                continue;
            }
            let state = party_state(joiner);
            let mut event = self.joiner_event(other, EventName::EventPartyAdded, state, CallState::Conferenced);
            self.added(&mut event, &new);
            let requestor = starred(&joiner.dn);
            out.push(RoomOutput::Event { event, requestor });
        }
    }

    fn added(&self, event: &mut Event, new: &DnId) {
        event.this_dn_role = Some(DnRole::ConferenceMember);
        event.other_dn = Some(new.clone());
        event.other_dn_role = Some(DnRole::NewParty);
        event.third_party_dn = Some(self.dn.clone());
        event.third_party_dn_role = Some(DnRole::AddedBy);
    }

    /// The terminal event of a joiner.
    pub(super) fn tell_release(&mut self, index: usize, how: &Dismissal, out: &mut Vec<RoomOutput>) {
        if !self.joiners[index].is_reported() {
            return;
        }
        let mut event = self.joiner_event(index, EventName::EventReleased, PartyState::Null, how.state);
        event.reasons = how.reasons.clone();
        if let Some(status) = how.status {
            event.extensions.set(SIP_STATUS, KvValue::Int(status.into()));
        }
        if let Some(q850) = how.q850 {
            event.extensions.set(Q850_CAUSE, KvValue::Int(q850.into()));
        }
        let own = |(requestor, dn): &(Requestor, DnId)| (*dn == self.joiners[index].dn).then_some(*requestor);
        let requestor = how.by.as_ref().and_then(own);
        out.push(RoomOutput::Event { event, requestor });
    }

    /// EventPartyDeleted to those who stay, and to the conference DN.
    pub(super) fn tell_deletion(&self, index: usize, by: Option<(Requestor, DnId)>, out: &mut Vec<RoomOutput>) {
        let left = &self.joiners[index].dn;
        let deleter = by.as_ref().map_or(left, |(_, dn)| dn);
        let starred = |dn: &DnId| {
            by.as_ref()
                .filter(|(_, by)| by == dn && by != left)
                .map(|(requestor, _)| *requestor)
        };
        let staying = self
            .joiners
            .iter()
            .filter(|joiner| joiner.is_inside() && joiner.is_reported());
        for dn in std::iter::once(&self.dn).chain(staying.map(|joiner| &joiner.dn)) {
            let event = self.deletion(dn, index, deleter);
            out.push(RoomOutput::Event {
                event,
                requestor: starred(dn),
            });
        }
    }

    /// EventPartyDeleted for one DN.
    pub(super) fn deletion(&self, this: &DnId, index: usize, deleter: &DnId) -> Event {
        let position = self
            .joiners
            .iter()
            .position(|joiner| joiner.dn == *this && joiner.is_inside());
        let mut event = match position {
            Some(at) => {
                let state = party_state(&self.joiners[at]);
                self.joiner_event(at, EventName::EventPartyDeleted, state, CallState::Ok)
            }
            None => self.room_event(EventName::EventPartyDeleted, CallState::Ok, self.own_state()),
        };
        event.this_dn_role = Some(DnRole::ConferenceMember);
        event.other_dn = Some(self.joiners[index].dn.clone());
        event.other_dn_role = Some(DnRole::DeletedParty);
        event.third_party_dn = Some(deleter.clone());
        event.third_party_dn_role = Some(DnRole::DeletedBy);
        event
    }

    /// The state of the conference DN's own party.
    pub(super) fn own_state(&self) -> PartyState {
        if self.opened {
            PartyState::Connected
        } else {
            PartyState::Null
        }
    }

    pub(super) fn refuse(&self, requestor: Requestor, this_dn: Option<&DnId>, error: TError, out: &mut Vec<RoomOutput>) {
        let mut event = Event {
            this_dn: this_dn.cloned(),
            conn_id: Some(self.ids.conn_id),
            ..Event::error(None, error)
        };
        event.extensions.set(CONVERSATION_ID, &*self.ids.conversation_id);
        out.push(RoomOutput::Answer { requestor, event });
    }
}

/// The state of a joiner's party as events tell it.
pub(super) fn party_state(joiner: &Joiner) -> PartyState {
    match (joiner.reported, joiner.held) {
        (Reported::Dialing, _) => PartyState::Dialing,
        (Reported::Established, false) => PartyState::Connected,
        (Reported::Established, true) => PartyState::Held,
        (Reported::Released, _) => PartyState::Null,
    }
}
