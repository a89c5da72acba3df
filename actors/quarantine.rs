//! The quarantine: inputs that a Call or Conference panicked on twice, kept for whoever looks for the mistake.
//!
//! Such an input ends its one call (see [`crate::tserver::CallActor`]); here it is written down, masked ([`masked`]), with what the panic said
//! and where it was. The same mistake is one entry, which says how often it was made, when first, and when and on what input last.
//!
//! Invariant: at most [`MOST`] entries of each journal, each of a bounded size: the one that was not met for the longest time makes room. What
//! is here is in the journal too, and the next process has it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tandem_model::Anchor;
use tandem_model::anchor::unix_micros;

use crate::journal::{Journal, Record, RecordKind, Scope, SharedJournal, decode, encode};
use crate::kind::ActorKind;
use crate::metrics::Metrics;
use crate::now;
use crate::supervision::last_panic;

mod masked;

/// The most entries of one journal.
const MOST: usize = 64;
/// An input is shown up to this length, in bytes.
const LONGEST_INPUT: usize = 4096;
/// What a panic said, and where it was, up to this length, in bytes.
const LONGEST_SAYING: usize = 512;

/// An input that an actor panicked on twice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Quarantined {
    /// The kind of actor: `call`, `conference`.
    pub actor: String,
    /// Which one it was the last time, as the logs name it.
    pub id: String,
    /// What kind of input it was.
    pub input: String,
    /// The last one, masked.
    pub shown: String,
    /// What the panic said, without the text that it quoted.
    pub panic: String,
    /// Where it was: file, line and column; empty where nobody knows.
    pub place: String,
    /// When it came first, in microseconds since 1970.
    pub first_unix_micros: u64,
    /// When it came last, in microseconds since 1970.
    pub last_unix_micros: u64,
    /// How often it came.
    pub times: u64,
}

impl Quarantined {
    fn is_like(&self, other: &Self) -> bool {
        let mistake = |one: &Self| [one.actor.clone(), one.input.clone(), one.panic.clone(), one.place.clone()];
        mistake(self) == mistake(other)
    }
}

/// The quarantine of a process.
#[derive(Default)]
pub struct Quarantine(Mutex<BTreeMap<Scope, Entries>>);

struct Entries {
    anchor: Anchor,
    /// By their number in the journal.
    by_number: BTreeMap<u64, Quarantined>,
}

impl Quarantine {
    /// Opens the quarantine of a journal, with what the process before has left there.
    pub fn open(&self, scope: Scope, records: &[Record], anchor: Anchor) {
        let of_it = records.iter().filter(|record| record.kind == RecordKind::Quarantined);
        let by_number = of_it.filter_map(|record| {
            let number = <[u8; 8]>::try_from(record.id.as_slice()).ok().map(u64::from_be_bytes)?;
            Some((number, decode(record.kind, &record.value)?))
        });
        let by_number = by_number.collect();
        self.lock().insert(scope, Entries { anchor, by_number });
    }

    /// Takes an input in that an actor has just panicked on for the second time; to be called in its `restarting`.
    pub fn take(&self, scope: Scope, journal: &SharedJournal, kind: ActorKind, id: String, input: Option<&impl Debug>) {
        Metrics::of_process().quarantined(kind);
        // What made the machine panic may make its own description panic too.
        let described = catch_unwind(AssertUnwindSafe(|| match input {
            Some(input) => (masked::kind(input), masked::shown(input, LONGEST_INPUT)),
            None => ("none".to_owned(), "what it had kept of itself".to_owned()),
        }));
        let panic = last_panic();
        let (input, shown) = described.unwrap_or_else(|_| ("unknown".to_owned(), "it cannot be shown".to_owned()));
        let mut quarantined = Quarantined {
            actor: kind.name().to_owned(),
            id,
            input,
            shown,
            panic: masked::text(&panic.message, LONGEST_SAYING),
            place: masked::cut(panic.place, LONGEST_SAYING),
            first_unix_micros: 0,
            last_unix_micros: 0,
            times: 1,
        };
        tracing::error!(
            actor = quarantined.actor,
            id = quarantined.id,
            input = quarantined.shown,
            panic = quarantined.panic,
            place = quarantined.place,
            "an actor panicked twice on this input, which is quarantined"
        );
        let mut scopes = self.lock();
        let Some(entries) = scopes.get_mut(&scope) else { return };
        let time = unix_micros(entries.anchor, now());
        (quarantined.first_unix_micros, quarantined.last_unix_micros) = (time, time);
        let mut journal = journal.borrow_mut();
        entries.take(quarantined, &mut **journal);
        // Before its call is forgotten: a server that is killed now has the call still.
        journal.commit();
    }

    /// The journal had lost what was kept.
    pub fn keep_again(&self, scope: Scope, journal: &mut dyn Journal) {
        if let Some(entries) = self.lock().get(&scope) {
            for (number, quarantined) in &entries.by_number {
                put(*number, quarantined, journal);
            }
        }
    }

    /// What is there, that which came last first.
    pub fn entries(&self) -> Vec<(Scope, Quarantined)> {
        let scopes = self.lock();
        let of = |(scope, entries): (&Scope, &Entries)| {
            let scope = *scope;
            let entries = entries.by_number.clone().into_iter();
            entries.map(move |(number, entry)| (number, scope, entry))
        };
        let mut all: Vec<_> = scopes.iter().flat_map(of).collect();
        all.sort_by_key(|(number, _, entry)| std::cmp::Reverse((entry.last_unix_micros, *number)));
        all.into_iter().map(|(_, scope, entry)| (scope, entry)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Scope, Entries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn take(&mut self, new: Quarantined, journal: &mut dyn Journal) {
        let like = self.by_number.iter().find(|(_, known)| known.is_like(&new));
        let (number, entry) = match like {
            Some((number, known)) => {
                let (first_unix_micros, times) = (known.first_unix_micros, known.times.saturating_add(1));
                let entry = Quarantined {
                    first_unix_micros,
                    times,
                    ..new
                };
                (*number, entry)
            }
            None => {
                self.make_room(journal);
                let last = self.by_number.last_key_value().map_or(0, |(number, _)| *number);
                (last.saturating_add(1), new)
            }
        };
        put(number, &entry, journal);
        self.by_number.insert(number, entry);
    }

    fn make_room(&mut self, journal: &mut dyn Journal) {
        while self.by_number.len() >= MOST {
            let oldest = self.by_number.iter().min_by_key(|(_, entry)| entry.last_unix_micros);
            let Some(number) = oldest.map(|(number, _)| *number) else {
                return;
            };
            self.by_number.remove(&number);
            journal.remove(RecordKind::Quarantined, &number.to_be_bytes());
        }
    }
}

fn put(number: u64, entry: &Quarantined, journal: &mut dyn Journal) {
    if let Some(value) = encode(entry) {
        journal.put(RecordKind::Quarantined, &number.to_be_bytes(), &value);
    }
}

#[cfg(test)]
mod tests;
