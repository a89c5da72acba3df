//! Who is in each conference that is dialled into, as its subscribers are told (RFC 4575). Rooms write it, connectors read it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use crossbeam::sync::ShardedLock;
use tandem_model::DnId;
use tandem_model::room::RosterEntry;

/// The roster of one conference at one time.
#[derive(Default, Debug)]
pub struct Roster {
    /// Rises with each change, over the life of the server.
    pub version: u32,
    /// Who is there.
    pub entries: Vec<RosterEntry>,
}

/// The rosters of all conference DNs.
#[derive(Default)]
pub struct Rosters {
    by_dn: ShardedLock<HashMap<DnId, Arc<Roster>>>,
}

impl Rosters {
    /// Makes a conference DN known; nobody is there, unless it was known before.
    pub fn add(&self, dn: DnId) {
        self.by_dn
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(dn)
            .or_default();
    }

    /// Stores who is there now. `false`: that is no conference DN.
    pub fn publish(&self, dn: &DnId, entries: Vec<RosterEntry>) -> bool {
        let mut by_dn = self.by_dn.write().unwrap_or_else(PoisonError::into_inner);
        let Some(roster) = by_dn.get_mut(dn) else { return false };
        let version = roster.version.wrapping_add(1);
        *roster = Arc::new(Roster { version, entries });
        true
    }

    /// The conference DNs that somebody is in.
    pub fn occupied(&self) -> Vec<DnId> {
        let by_dn = self.by_dn.read().unwrap_or_else(PoisonError::into_inner);
        let occupied = by_dn.iter().filter(|(_, roster)| !roster.entries.is_empty());
        occupied.map(|(dn, _)| dn.clone()).collect()
    }

    /// Who is there; `None` where that is no conference DN.
    pub fn of(&self, dn: &DnId) -> Option<Arc<Roster>> {
        self.by_dn.read().unwrap_or_else(PoisonError::into_inner).get(dn).cloned()
    }
}
