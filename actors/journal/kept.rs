//! What one actor keeps of itself: its last snapshot, in the journal, and at hand for when the actor crashes.
//!
//! Invariant: what is at hand is what was put last; a snapshot that is the same as the one before is not put again.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Journal, RecordKind, SharedJournal};

/// A record of an actor.
pub struct Kept {
    journal: SharedJournal,
    kind: RecordKind,
    id: u64,
    bytes: Option<Arc<[u8]>>,
}

/// A record to be put, or to be forgotten: for whoever puts it together with something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What it is about.
    pub kind: RecordKind,
    /// Which one.
    pub id: u64,
    /// What is put; `None`: it is forgotten.
    pub value: Option<Arc<[u8]>>,
}

impl Entry {
    /// Hands it to the journal.
    pub fn put(&self, journal: &mut dyn Journal) {
        match &self.value {
            Some(value) => journal.put(self.kind, &self.id.to_be_bytes(), value),
            None => journal.remove(self.kind, &self.id.to_be_bytes()),
        }
    }
}

impl Kept {
    /// Nothing is kept yet.
    pub fn new(journal: SharedJournal, kind: RecordKind, id: u64) -> Self {
        Self {
            journal,
            kind,
            id,
            bytes: None,
        }
    }

    /// What a process before this one had kept.
    pub fn recovered(journal: SharedJournal, kind: RecordKind, id: u64, bytes: Vec<u8>) -> Self {
        Self {
            bytes: Some(bytes.into()),
            ..Self::new(journal, kind, id)
        }
    }

    /// Keeps a snapshot in the place of the one before; with none, forgets that one.
    pub fn keep(&mut self, snapshot: Option<&impl Serialize>) {
        if let Some(entry) = self.change(snapshot) {
            entry.put(&mut **self.journal.borrow_mut());
        }
    }

    /// The same, for somebody else to put; `None` where nothing has changed.
    pub fn change(&mut self, snapshot: Option<&impl Serialize>) -> Option<Entry> {
        let encoded = snapshot.and_then(encode);
        if self.bytes.as_deref() == encoded.as_deref() {
            return None;
        }
        self.bytes = encoded.map(Arc::from);
        Some(self.entry())
    }

    /// Puts what is kept once more: the journal had lost it.
    pub fn put_again(&self) {
        self.entry().put(&mut **self.journal.borrow_mut());
    }

    fn entry(&self) -> Entry {
        Entry {
            kind: self.kind,
            id: self.id,
            value: self.bytes.clone(),
        }
    }

    /// Whether something is kept.
    pub fn is_some(&self) -> bool {
        self.bytes.is_some()
    }

    /// The last snapshot; `None` where there is none, or none that can be read.
    pub fn last<T: DeserializeOwned>(&self) -> Option<T> {
        decode(self.kind, self.bytes.as_deref()?)
    }
}

/// The value of a record. `None`, with an error in the log, for what has no such form.
pub fn encode(value: &impl Serialize) -> Option<Vec<u8>> {
    let encoded = rmp_serde::to_vec_named(value);
    encoded
        .inspect_err(|error| tracing::error!(%error, "a record cannot be written; it is not kept"))
        .ok()
}

/// What the value of a record says. `None`, with an error in the log, where it cannot be read.
pub fn decode<T: DeserializeOwned>(kind: RecordKind, value: &[u8]) -> Option<T> {
    let decoded = rmp_serde::from_slice(value);
    decoded
        .inspect_err(
            |error| tracing::error!(kind = kind.name(), %error, "a record of the journal cannot be read; it is left out"),
        )
        .ok()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::super::Journal;
    use super::*;

    /// Notes what it is told.
    #[derive(Default)]
    struct Notes(Rc<RefCell<Vec<String>>>);

    impl Journal for Notes {
        fn put(&mut self, kind: RecordKind, id: &[u8], value: &[u8]) {
            self.0.borrow_mut().push(format!("put {} {id:?} {value:?}", kind.name()));
        }

        fn remove(&mut self, kind: RecordKind, id: &[u8]) {
            self.0.borrow_mut().push(format!("remove {} {id:?}", kind.name()));
        }

        fn remove_below(&mut self, _: RecordKind, _: &[u8]) {}

        fn commit(&mut self) {}

        fn is_back(&mut self) -> bool {
            false
        }
    }

    #[test]
    fn only_what_has_changed_is_put() {
        let notes = Notes::default();
        let told = notes.0.clone();
        let journal: SharedJournal = Rc::new(RefCell::new(Box::new(notes)));
        let mut kept = Kept::new(journal, RecordKind::Call, 1);
        for snapshot in [None, Some(7), Some(7), Some(8), None, None] {
            kept.keep(snapshot.as_ref());
            assert_eq!(kept.last::<i32>(), snapshot);
        }
        let id = "[0, 0, 0, 0, 0, 0, 0, 1]";
        let expected = [
            format!("put call {id} [7]"),
            format!("put call {id} [8]"),
            format!("remove call {id}"),
        ];
        assert_eq!(*told.borrow(), expected);
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert_eq!(decode::<String>(RecordKind::Call, &[0xc1]), None);
    }
}
