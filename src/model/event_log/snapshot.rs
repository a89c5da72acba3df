//! The calls on each DN, as its last event of each call told them.
//!
//! Invariant: a (DN, ConnID) is here from its first event with a party state until its terminal event, or the EventPartyChanged that
//! takes the party into another call, and never twice.
//!
//! A live party outlives the process as soon as it is more than ringing: by its last event in the log, or by a record of its own where
//! nobody is registered or the log has let go of that event.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::entries::Logged;
use super::keep::PartyRecord;
use crate::{ConnId, DnId, Event, EventName, KvList, KvValue, PartyState};

/// A live party of a DN in a call.
#[derive(Clone, Debug)]
struct Party {
    last: Arc<Event>,
    /// Of the last event.
    sequence: u64,
    /// The sequence of its first event, which names its record.
    number: u64,
    /// Whether it has a record.
    is_kept: bool,
    /// Whether the log has, or had, an event of it.
    in_log: bool,
}

/// The last event of each live party, by DN, and the DNs by call.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    by_dn: HashMap<DnId, SmallVec<[Party; 1]>>,
    by_call: HashMap<ConnId, SmallVec<[DnId; 2]>>,
}

/// What becomes of records when an event is noted.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Records of parties that are no more.
    pub(super) gone: SmallVec<[u64; 2]>,
    /// A record to be kept.
    pub(super) put: Option<(u64, PartyRecord)>,
}

impl Snapshots {
    /// Whether the event ends a party of which the log has an event: it has to stand there too, or the party would live again.
    pub(super) fn ends_logged(&self, event: &Event) -> bool {
        let (Some(dn), Some(conn_id), Some(state)) = (&event.this_dn, event.conn_id, event.party_state) else {
            return false;
        };
        let in_log = |conn_id| self.party(dn, conn_id).is_some_and(|party| party.in_log);
        moved_from(event, conn_id).is_some_and(in_log) || (is_end(event, state) && in_log(conn_id))
    }

    /// Takes note of a published event.
    pub(super) fn note(&mut self, event: &Arc<Event>, sequence: u64, logged: bool) -> Noted {
        let mut noted = Noted::default();
        let (Some(dn), Some(conn_id), Some(state)) = (&event.this_dn, event.conn_id, event.party_state) else {
            return noted;
        };
        // The party has come over from another call: there it is no more.
        if let Some(previous) = moved_from(event, conn_id) {
            noted.gone.extend(self.forget(dn, previous));
        }
        if is_end(event, state) {
            noted.gone.extend(self.forget(dn, conn_id));
            return noted;
        }
        let party = self.party_or_new(dn, conn_id, event, sequence);
        party.last = event.clone();
        party.sequence = sequence;
        party.in_log |= logged;
        let rings = matches!(
            state,
            PartyState::Initiated | PartyState::Dialing | PartyState::Queued | PartyState::Alerting
        );
        if !logged && (party.is_kept || !rings) {
            party.is_kept = true;
            noted.put = Some(party.record());
        }
        noted
    }

    /// Takes a party back from its record.
    pub(super) fn restore(&mut self, number: u64, record: &PartyRecord) {
        self.note(&record.event, record.sequence, true);
        let (Some(dn), Some(conn_id)) = (&record.event.this_dn, record.event.conn_id) else {
            return;
        };
        if let Some(party) = self.party_mut(dn, conn_id) {
            party.number = number;
            party.is_kept = true;
        }
    }

    /// The record that has to be kept now that the log lets go of an event.
    pub(super) fn outlives(&mut self, gone: &Logged) -> Option<(u64, PartyRecord)> {
        let (dn, conn_id) = (gone.event.this_dn.as_ref()?, gone.event.conn_id?);
        let party = self.party_mut(dn, conn_id).filter(|party| party.sequence == gone.sequence)?;
        party.is_kept = true;
        Some(party.record())
    }

    /// Every record.
    pub(super) fn kept(&self) -> impl Iterator<Item = (u64, PartyRecord)> {
        self.by_dn.values().flatten().filter(|party| party.is_kept).map(Party::record)
    }

    /// The last events of the live parties of a DN, the oldest call first.
    pub(super) fn on(&self, dn: &DnId) -> impl ExactSizeIterator<Item = &Arc<Event>> {
        self.by_dn
            .get(dn)
            .map_or(&[] as &[Party], |parties| parties)
            .iter()
            .map(|party| &party.last)
    }

    /// The DNs that have a live party in the call, in the order in which they came.
    pub(super) fn parties_of(&self, conn_id: ConnId) -> &[DnId] {
        self.by_call.get(&conn_id).map_or(&[], |dns| dns)
    }

    /// The calls that have a live party.
    pub(super) fn calls(&self) -> Vec<ConnId> {
        self.by_call.keys().copied().collect()
    }

    /// The last event of each live party of the call.
    pub(super) fn last_events(&self, conn_id: ConnId) -> Vec<Arc<Event>> {
        let of_call = |dn| self.party(dn, conn_id).map(|party| party.last.clone());
        self.parties_of(conn_id).iter().filter_map(of_call).collect()
    }

    fn party(&self, dn: &DnId, conn_id: ConnId) -> Option<&Party> {
        self.by_dn.get(dn)?.iter().find(|party| party.last.conn_id == Some(conn_id))
    }

    fn party_mut(&mut self, dn: &DnId, conn_id: ConnId) -> Option<&mut Party> {
        let parties = self.by_dn.get_mut(dn)?;
        parties.iter_mut().find(|party| party.last.conn_id == Some(conn_id))
    }

    fn party_or_new(&mut self, dn: &DnId, conn_id: ConnId, event: &Arc<Event>, sequence: u64) -> &mut Party {
        let parties = self.by_dn.entry(dn.clone()).or_default();
        let place = parties.iter().position(|party| party.last.conn_id == Some(conn_id));
        let place = place.unwrap_or_else(|| {
            self.by_call.entry(conn_id).or_default().push(dn.clone());
            parties.push(Party {
                last: event.clone(),
                sequence,
                number: sequence,
                is_kept: false,
                in_log: false,
            });
            parties.len() - 1
        });
        &mut parties[place]
    }

    /// Forgets a party; returns the number of its record, where it has one.
    fn forget(&mut self, dn: &DnId, conn_id: ConnId) -> Option<u64> {
        let mut record = None;
        if let Some(parties) = self.by_dn.get_mut(dn) {
            if let Some(place) = parties.iter().position(|party| party.last.conn_id == Some(conn_id)) {
                let party = parties.remove(place);
                record = party.is_kept.then_some(party.number);
            }
            if parties.is_empty() {
                self.by_dn.remove(dn);
            }
        }
        if let Some(dns) = self.by_call.get_mut(&conn_id) {
            dns.retain(|other| other != dn);
            if dns.is_empty() {
                self.by_call.remove(&conn_id);
            }
        }
        record
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_dn.is_empty() && self.by_call.is_empty()
    }
}

impl Party {
    fn record(&self) -> (u64, PartyRecord) {
        let record = PartyRecord {
            sequence: self.sequence,
            event: self.last.clone(),
        };
        (self.number, record)
    }
}

fn moved_from(event: &Event, conn_id: ConnId) -> Option<ConnId> {
    let changed = event.name == EventName::EventPartyChanged;
    event.previous_conn_id.filter(|previous| changed && *previous != conn_id)
}

fn is_end(event: &Event, state: PartyState) -> bool {
    event.name.is_terminal() || state == PartyState::Null
}

/// Writes `conn-N`, `ct-N`, `mt-N` and `ps-N`, N from 1 (T-Library reference ch. 11). Enumerations are numbers, as in T-Library.
pub(super) fn describe<'a>(calls: impl Iterator<Item = &'a Arc<Event>>, extensions: &mut KvList) {
    for (index, last) in calls.enumerate() {
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
