//! A journal in memory: it outlives a server of the simulation that is killed, as far as that has committed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
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

    /// The calls, conferences and legs that it holds, one a line.
    pub fn lines(&self) -> Vec<String> {
        let scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        let all = scopes
            .iter()
            .flat_map(|(scope, records)| records.iter().map(move |record| (scope, record)));
        let lines = all.filter_map(|(scope, ((kind, _), value))| match kind {
            RecordKind::Call | RecordKind::Conference | RecordKind::Session => {
                let Text(value) = rmp_serde::from_slice(value).ok()?;
                Some(format!("{scope} {} {value}", kind.name()))
            }
            _ => None,
        });
        lines.collect()
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

/// A record as text, whatever is in it.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Text, E> {
        Ok(Text(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Text, E> {
        Ok(Text(format!("{:?}", String::from_utf8_lossy(value))))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text("-".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
        let mut parts = Vec::new();
        while let Some(Text(value)) = list.next_element()? {
            parts.push(value);
        }
        Ok(Text(format!("[{}]", parts.join(", "))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        let mut parts = Vec::new();
        while let Some((Text(key), Text(value))) = map.next_entry()? {
            parts.push(format!("{key}: {value}"));
        }
        Ok(Text(format!("{{{}}}", parts.join(", "))))
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
