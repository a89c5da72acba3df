//! A journal in memory: it outlives a server of the simulation that is killed, as far as that has committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tandem_actors::journal::{Journal, JournalStore, Record, RecordKind, Scope};

type Records = BTreeMap<(RecordKind, Vec<u8>), Vec<u8>>;

/// The disk.
#[derive(Clone, Default)]
pub struct Memory {
    scopes: Arc<Mutex<BTreeMap<Scope, Records>>>,
}

impl Memory {
    /// The disk of a process is lost.
    pub fn lose(&self, scope: Scope) {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner).remove(&scope);
    }
}

impl JournalStore for Memory {
    fn open(&self, scope: Scope) -> (Box<dyn Journal>, Vec<Record>) {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = scopes.entry(scope).or_default().iter();
        let records = kept.map(|((kind, id), value)| Record {
            kind: *kind,
            id: id.clone(),
            value: value.clone(),
        });
        let journal = Pending {
            memory: self.clone(),
            scope,
            changes: Vec::new(),
        };
        (Box::new(journal), records.collect())
    }
}

enum Change {
    Put(RecordKind, Vec<u8>, Vec<u8>),
    Remove(RecordKind, Vec<u8>),
    RemoveBelow(RecordKind, Vec<u8>),
}

/// What a server has not committed yet, which a kill takes along.
struct Pending {
    memory: Memory,
    scope: Scope,
    changes: Vec<Change>,
}

impl Journal for Pending {
    fn put(&mut self, kind: RecordKind, id: &[u8], value: &[u8]) {
        self.changes.push(Change::Put(kind, id.to_vec(), value.to_vec()));
    }

    fn remove(&mut self, kind: RecordKind, id: &[u8]) {
        self.changes.push(Change::Remove(kind, id.to_vec()));
    }

    fn remove_below(&mut self, kind: RecordKind, id: &[u8]) {
        self.changes.push(Change::RemoveBelow(kind, id.to_vec()));
    }

    fn commit(&mut self) {
        // Removals wait for a record: as long as may be, for they may.
        if !self.changes.iter().any(|change| matches!(change, Change::Put(..))) {
            return;
        }
        let mut scopes = self.memory.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        let records = scopes.entry(self.scope).or_default();
        for change in self.changes.drain(..) {
            match change {
                Change::Put(kind, id, value) => drop(records.insert((kind, id), value)),
                Change::Remove(kind, id) => drop(records.remove(&(kind, id))),
                Change::RemoveBelow(kind, id) => records.retain(|(of, other), _| *of != kind || *other >= id),
            }
        }
    }

    fn is_back(&mut self) -> bool {
        false
    }
}
