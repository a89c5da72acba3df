//! The calls on each DN, as its last event of each call told them.
//!
//! Invariant: a (DN, ConnID) is here from its first event with a party state until its terminal event, or the EventPartyChanged that
//! takes the party into another call, and never twice.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::{ConnId, DnId, Event, EventName, KvList, KvValue, PartyState};

/// The last event of each live party, by DN, and the DNs by call.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    by_dn: HashMap<DnId, SmallVec<[Arc<Event>; 1]>>,
    by_call: HashMap<ConnId, SmallVec<[DnId; 2]>>,
}

impl Snapshots {
    /// Takes note of a published event.
    pub(super) fn note(&mut self, event: &Arc<Event>) {
        let (Some(dn), Some(conn_id), Some(state)) = (&event.this_dn, event.conn_id, event.party_state) else {
            return;
        };
        // The party has come over from another call: there it is no more.
        if let Some(previous) = event.previous_conn_id.filter(|previous| *previous != conn_id)
            && event.name == EventName::EventPartyChanged
        {
            self.forget(dn, previous);
        }
        if event.name.is_terminal() || state == PartyState::Null {
            return self.forget(dn, conn_id);
        }
        let calls = self.by_dn.entry(dn.clone()).or_default();
        match calls.iter_mut().find(|last| last.conn_id == Some(conn_id)) {
            Some(last) => *last = event.clone(),
            None => {
                calls.push(event.clone());
                self.by_call.entry(conn_id).or_default().push(dn.clone());
            }
        }
    }

    /// The last events of the live parties of a DN, the oldest call first.
    pub(super) fn on(&self, dn: &DnId) -> &[Arc<Event>] {
        self.by_dn.get(dn).map_or(&[], |calls| calls)
    }

    /// The DNs that have a live party in the call, in the order in which they came.
    pub(super) fn parties_of(&self, conn_id: ConnId) -> &[DnId] {
        self.by_call.get(&conn_id).map_or(&[], |dns| dns)
    }

    /// The last event of each live party of the call.
    pub(super) fn last_events(&self, conn_id: ConnId) -> Vec<Arc<Event>> {
        let of_call = |dn| self.on(dn).iter().find(|last| last.conn_id == Some(conn_id)).cloned();
        self.parties_of(conn_id).iter().filter_map(of_call).collect()
    }

    fn forget(&mut self, dn: &DnId, conn_id: ConnId) {
        if let Some(calls) = self.by_dn.get_mut(dn) {
            calls.retain(|last| last.conn_id != Some(conn_id));
            if calls.is_empty() {
                self.by_dn.remove(dn);
            }
        }
        if let Some(dns) = self.by_call.get_mut(&conn_id) {
            dns.retain(|other| other != dn);
            if dns.is_empty() {
                self.by_call.remove(&conn_id);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_dn.is_empty() && self.by_call.is_empty()
    }
}

/// Writes `conn-N`, `ct-N`, `mt-N` and `ps-N`, N from 1 (T-Library reference ch. 11). Enumerations are numbers, as in T-Library.
pub(super) fn describe(calls: &[Arc<Event>], extensions: &mut KvList) {
    for (index, last) in calls.iter().enumerate() {
        let number = index + 1;
        if let Some(conn_id) = last.conn_id {
            extensions.set(format!("conn-{number}"), conn_id.to_string());
        }
        let numbers = [
            ("ct", last.call_type.map(|value| value.number())),
            ("mt", last.media_type.map(|value| value.number())),
            ("ps", last.party_state.map(|value| value.number())),
        ];
        for (key, value) in numbers {
            if let Some(value) = value {
                extensions.set(format!("{key}-{number}"), KvValue::Int(value.into()));
            }
        }
    }
}
