//! How far the media of a party is there (UCMA's RemoteMediaFlowState): what a client waits for before it plays anything.
//!
//! A call whose request carried the extension `RemoteMediaFlowState` = 1 (or `true`) tells each change to every party of ours that is
//! reported, the party itself among them: EventCallInfoChanged, OtherDN being the party whose media it is. Its consultation calls do as
//! well. A state never goes back. Other calls tell nothing.

use super::device::DeviceKey;
use super::events::Told;
use super::{Call, CallOutput};
use crate::link::MediaFlowState;
use crate::{CallState, EventName, KvList, KvValue, PartyState, TError, TErrorCode};

/// The extension of a request that asks for the events, and of the events with the state.
pub(super) const REMOTE_MEDIA_FLOW_STATE: &str = "RemoteMediaFlowState";

/// A state as extensions have it.
pub(super) fn name(state: MediaFlowState) -> &'static str {
    match state {
        MediaFlowState::Unknown => "Unknown",
        MediaFlowState::Connecting => "Connecting",
        MediaFlowState::Connected => "Connected",
    }
}

/// What a request says of it: error 53 where that is neither yes nor no.
pub(super) fn check(extensions: &KvList) -> Result<(), TError> {
    wish(extensions).map(|_| ())
}

/// Whether a request asks for the events.
pub(super) fn is_asked(extensions: &KvList) -> bool {
    wish(extensions).unwrap_or_default()
}

fn wish(extensions: &KvList) -> Result<bool, TError> {
    match extensions.value(REMOTE_MEDIA_FLOW_STATE) {
        None => Ok(false),
        Some(KvValue::Int(number @ (0 | 1))) => Ok(*number == 1),
        Some(KvValue::Str(text)) if matches!(text.as_str(), "1" | "true") => Ok(true),
        Some(KvValue::Str(text)) if matches!(text.as_str(), "0" | "false") => Ok(false),
        Some(_) => {
            let text = "extensions.RemoteMediaFlowState: valid are 1 and 0, `true` and `false`";
            Err(TError::new(TErrorCode::InvalidAttribute, text))
        }
    }
}

impl Call {
    pub(super) fn flows(&mut self, key: DeviceKey, state: MediaFlowState, out: &mut Vec<CallOutput>) {
        let Some(device) = self.device_mut(key).filter(|device| device.is_up() && device.flow < state) else {
            return;
        };
        device.flow = state;
        let dn = device.dn.clone();
        for id in self.conns_of(key) {
            let Some(conn) = self.conn(id).filter(|conn| conn.tells_flow) else {
                continue;
            };
            let Some(role) = conn.party(key).map(|party| party.role) else {
                continue;
            };
            let known = conn.parties.iter().filter(|party| party.state != PartyState::Null);
            for other in known.map(|party| party.device).collect::<Vec<_>>() {
                let told = Told {
                    other: Some((dn.clone(), role)),
                    flow: Some(state),
                    ..Told::same(EventName::EventCallInfoChanged, CallState::Ok)
                };
                self.tell(id, other, told, out);
            }
        }
    }
}
