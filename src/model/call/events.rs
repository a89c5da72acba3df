//! The events of a call: what each of them carries (T-Library reference ch. 6 and 9).
//!
//! Every event of a party is made here, so the state that its event names and the state that the party is in are the same.

use super::device::DeviceKey;
use super::hold::HoldMusic;
use super::{Call, CallOutput, flow};
use crate::dn::wish::REMOTE_MEDIA_FLOW_STATE;
use crate::link::{Cause, MediaFlowState};
use crate::numbering::{CALLING_METHOD, CallingMethod};
use crate::{
    CallState, ConnId, DnId, DnRole, Event, EventName, KvList, KvValue, MediaType, PartyState, Requestor, TCause, TError,
};

/// The extension that ties an event to the conversation a device shows (seed 002 lines 2315-2345, 3531).
pub(crate) const CONVERSATION_ID: &str = "Conversation-ID";
/// The extension with the final SIP status.
const SIP_STATUS: &str = "SIP-Status";
/// The extension with the Q.850 cause.
const Q850_CAUSE: &str = "Q850-Cause";

/// An event about a party, beyond what the call knows.
pub(super) struct Told<'a> {
    pub(super) name: EventName,
    /// The state that the party comes to; `None`: the one it is in.
    pub(super) state: Option<PartyState>,
    pub(super) call_state: CallState,
    pub(super) requestor: Option<Requestor>,
    pub(super) reasons: KvList,
    pub(super) cause: Option<&'a Cause>,
    /// The attribute Cause.
    pub(super) operation: Option<TCause>,
    /// OtherDN, where it is not the one other party.
    pub(super) other: Option<(DnId, DnRole)>,
    pub(super) third: Option<(DnId, DnRole)>,
    pub(super) previous: Option<ConnId>,
    pub(super) transfer: Option<ConnId>,
    pub(super) conference: Option<ConnId>,
    pub(super) digits: Option<std::sync::Arc<str>>,
    /// What it says of media.
    pub(super) flow: Option<MediaFlowState>,
}

impl Told<'_> {
    pub(super) fn new(name: EventName, state: PartyState, call_state: CallState) -> Self {
        Self {
            state: Some(state),
            ..Self::same(name, call_state)
        }
    }

    /// An event that leaves the party in its state.
    pub(super) fn same(name: EventName, call_state: CallState) -> Self {
        Self {
            name,
            state: None,
            call_state,
            requestor: None,
            reasons: KvList::new(),
            cause: None,
            operation: None,
            other: None,
            third: None,
            previous: None,
            transfer: None,
            conference: None,
            digits: None,
            flow: None,
        }
    }
}

impl Call {
    /// Tells what has happened to a party. An external party comes to its state in silence.
    pub(super) fn tell(&mut self, conn: ConnId, device: DeviceKey, told: Told<'_>, out: &mut Vec<CallOutput>) {
        if told.name.is_terminal() {
            self.answer_waits_in_vain(conn, device, told.call_state, out);
        }
        let Some(party) = self.party_mut(conn, device) else { return };
        party.state = told.state.unwrap_or(party.state);
        if party.state != PartyState::Held {
            (party.held_by_device, party.music) = (false, HoldMusic::Usual);
        }
        let Some(mut event) = self.party_event(conn, device, told.name) else {
            return;
        };
        if !self.party(conn, device).is_some_and(|party| self.is_reported(party)) {
            return;
        }
        if told.name == EventName::EventRinging
            && let Some(method) = self.device(device).map(|device| device.calling.method)
            && method == CallingMethod::BackToBack
        {
            // "for a destination that is called by the B2BUA method" (seed 002 line 2010): by the request or by the plan.
            event.extensions.set(CALLING_METHOD, method.name());
        }
        event.call_state = Some(told.call_state);
        event.cause = told.operation;
        event.reasons = told.reasons;
        if let Some((dn, role)) = told.other {
            (event.other_dn, event.other_dn_role) = (Some(dn), Some(role));
        }
        if let Some((dn, role)) = told.third {
            (event.third_party_dn, event.third_party_dn_role) = (Some(dn), Some(role));
        }
        event.previous_conn_id = told.previous;
        event.transfer_conn_id = told.transfer;
        event.conference_conn_id = told.conference;
        event.dtmf_digits = told.digits;
        if let Some(state) = told.flow {
            event.extensions.set(REMOTE_MEDIA_FLOW_STATE, flow::name(state));
        }
        if let Some(cause) = told.cause {
            set_cause(&mut event.extensions, cause);
        }
        out.push(CallOutput::Event {
            event,
            requestor: told.requestor,
        });
    }

    /// What every event about a party of a call carries.
    pub(super) fn party_event(&self, conn: ConnId, device: DeviceKey, name: EventName) -> Option<Event> {
        let conn = self.conn(conn)?;
        let party = conn.party(device)?;
        // OtherDN stands where it is unique (seed 002 lines 2091, 2096).
        let seen = conn.seen_by(device);
        let other = match seen.as_slice() {
            [other] => conn.party(*other),
            _ => None,
        };
        let mut event = Event {
            this_dn: self.device(device).map(|device| device.dn.clone()),
            this_dn_role: Some(party.role),
            party_state: Some(party.state),
            other_dn: other
                .and_then(|other| self.device(other.device))
                .map(|device| device.dn.clone()),
            other_dn_role: other.map(|other| other.role),
            conn_id: Some(conn.id),
            call_uuid: Some(conn.call_uuid),
            call_id: Some(conn.call_id),
            call_type: Some(conn.call_type),
            media_type: Some(MediaType::Voice),
            ani: conn.ani.clone(),
            dnis: conn.dnis.clone(),
            user_data: Some(self.user_data_seen_by(conn, device)),
            ..Event::new(name)
        };
        event.extensions.set(CONVERSATION_ID, &*conn.conversation_id);
        Some(event)
    }

    /// The EventError that refuses a request about a call.
    pub(super) fn error_event(&self, conn: Option<ConnId>, this_dn: Option<&DnId>, error: TError) -> Event {
        let conn = conn.and_then(|conn| self.conn(conn));
        let mut event = Event {
            this_dn: this_dn.cloned(),
            conn_id: Some(conn.map_or(self.ids.conn_id, |conn| conn.id)),
            ..Event::error(None, error)
        };
        let conversation_id = conn.map_or(&*self.ids.conversation_id, |conn| &*conn.conversation_id);
        event.extensions.set(CONVERSATION_ID, conversation_id);
        event
    }
}

fn set_cause(extensions: &mut KvList, cause: &Cause) {
    if let Some(status) = cause.sip_status {
        extensions.set(SIP_STATUS, KvValue::Int(status.into()));
    }
    if let Some(q850) = cause.q850 {
        extensions.set(Q850_CAUSE, KvValue::Int(q850.into()));
    }
}
