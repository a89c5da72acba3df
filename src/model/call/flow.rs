//! How far the media of a party is there (UCMA's RemoteMediaFlowState): what a client waits for before it plays anything.
//!
//! Each change is told to parties of ours that are reported, the party itself among them: EventCallInfoChanged, OtherDN being the party whose
//! media it is. A state never goes back. Who is told: every party of a call that a request with the extension `RemoteMediaFlowState` = 1 (or
//! `true`) made, answered or brought a party into, and of its consultation calls; and a DN in all its calls, while a client is registered
//! there that said the same. Nobody else.

use super::device::DeviceKey;
use super::events::Told;
use super::{Call, CallOutput};
use crate::dn::wish::flow_wish;
use crate::link::MediaFlowState;
use crate::{CallState, ConnId, EventName, KvList, PartyState, TError};

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
    flow_wish(extensions).map(|_| ())
}

/// Whether a request asks for the events.
pub(super) fn is_asked(extensions: &KvList) -> bool {
    flow_wish(extensions).ok().flatten().unwrap_or_default()
}

impl Call {
    pub(super) fn flows(&mut self, key: DeviceKey, state: MediaFlowState, out: &mut Vec<CallOutput>) {
        let Some(device) = self.device_mut(key).filter(|device| device.is_up() && device.flow < state) else {
            return;
        };
        device.flow = state;
        let dn = device.dn.clone();
        for id in self.conns_of(key) {
            let Some(conn) = self.conn(id) else { continue };
            let Some(role) = conn.party(key).map(|party| party.role) else {
                continue;
            };
            let known = conn.parties.iter().filter(|party| party.state != PartyState::Null);
            let told = known.map(|party| party.device).filter(|other| self.tells_flow(id, *other));
            for other in told.collect::<Vec<_>>() {
                let told = Told {
                    other: Some((dn.clone(), role)),
                    flow: Some(state),
                    ..Told::same(EventName::EventCallInfoChanged, CallState::Ok)
                };
                self.tell(id, other, told, out);
            }
        }
    }

    /// Every change from now on is told to all parties of the call.
    pub(super) fn tell_flow(&mut self, id: ConnId, extensions: &KvList) {
        if let Some(conn) = self.conn_mut(id) {
            conn.tells_flow |= is_asked(extensions);
        }
    }

    /// Whether a party is told how far media is.
    pub(super) fn tells_flow(&self, id: ConnId, key: DeviceKey) -> bool {
        let wished = || self.device(key).is_some_and(|device| self.wishes.of(&device.dn).flow);
        self.conn(id).is_some_and(|conn| conn.tells_flow) || wished()
    }
}
