//! The events of a call: what each of them carries (T-Library reference ch. 6 and 9).
//!
//! Every event of a party is made here, so the state that its event names and the state that the party is in are the same.

use super::{Call, CallOutput};
use crate::link::Cause;
use crate::{CallState, DnId, Event, EventName, KvList, KvValue, MediaType, PartyState, Requestor, TError};

/// The extension that ties an event to the conversation a device shows (seed 002 lines 2315-2345, 3531).
pub(crate) const CONVERSATION_ID: &str = "Conversation-ID";
/// The extension with the final SIP status.
const SIP_STATUS: &str = "SIP-Status";
/// The extension with the Q.850 cause.
const Q850_CAUSE: &str = "Q850-Cause";

/// What an event adds to what the call knows.
#[derive(Default)]
pub(super) struct Addition<'a> {
    pub(super) requestor: Option<Requestor>,
    pub(super) reasons: KvList,
    pub(super) cause: Option<&'a Cause>,
}

impl Call {
    /// Reports that the party `index` has come to `state`. An external party comes to it in silence.
    pub(super) fn report(
        &mut self,
        index: usize,
        name: EventName,
        state: PartyState,
        call_state: CallState,
        addition: Addition<'_>,
        out: &mut Vec<CallOutput>,
    ) {
        let Some(party) = self.parties.get_mut(index) else { return };
        party.state = state;
        if party.is_external() {
            return;
        }
        let mut event = self.party_event(index, name);
        event.call_state = Some(call_state);
        event.party_state = Some(state);
        event.reasons = addition.reasons;
        if let Some(cause) = addition.cause {
            set_cause(&mut event.extensions, cause);
        }
        out.push(CallOutput::Event {
            event,
            requestor: addition.requestor,
        });
    }

    /// What every event about a party of this call carries.
    pub(super) fn party_event(&self, index: usize, name: EventName) -> Event {
        let this = self.parties.get(index);
        let other = self
            .parties
            .iter()
            .enumerate()
            .find(|(other, _)| *other != index)
            .map(|(_, party)| party);
        let mut event = Event {
            this_dn: this.map(|party| party.dn.clone()),
            this_dn_role: this.map(|party| party.role),
            party_state: this.map(|party| party.state),
            other_dn: other.map(|party| party.dn.clone()),
            other_dn_role: other.map(|party| party.role),
            conn_id: Some(self.ids.conn_id),
            call_uuid: Some(self.ids.call_uuid),
            call_id: Some(self.ids.call_id),
            call_type: Some(self.call_type),
            media_type: Some(MediaType::Voice),
            ani: self.ani.clone(),
            dnis: self.dnis.clone(),
            user_data: Some(self.user_data.clone()),
            ..Event::new(name)
        };
        event.extensions.set(CONVERSATION_ID, &*self.ids.conversation_id);
        event
    }

    /// The EventError that refuses a request about this call.
    pub(super) fn error_event(&self, this_dn: Option<&DnId>, error: TError) -> Event {
        let mut event = Event {
            this_dn: this_dn.cloned(),
            conn_id: Some(self.ids.conn_id),
            ..Event::error(None, error)
        };
        event.extensions.set(CONVERSATION_ID, &*self.ids.conversation_id);
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
