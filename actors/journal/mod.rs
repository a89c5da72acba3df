//! What actors need of a journal: a place where a record survives the process.
//!
//! ```text
//!   an arbiter's actors ── put, remove ──► Journal (this thread's) ── commit ──► the operating system has it
//!                                                                                       │
//!   the next process ◄── open: every record that was put and not removed ◄──────────────┘
//! ```
//!
//! Each arbiter has a journal of its own ([`Scope`]), so nothing is locked. Records are kept by kind and id; a later one takes the place of
//! the one before. What was put is safe from a kill when `commit` has returned, so whoever makes something visible outside (a SIP message,
//! a CTI frame) commits before that. A commit with nothing to do costs nothing.

mod kept;
mod mirror;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use kept::{Entry, Kept, decode, encode};
pub use mirror::{Mirror, Progress, Tell, given_back};

/// Whose records these are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Scope {
    /// The T-Server side.
    TServer,
    /// One connector.
    Connector(u16),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TServer => f.write_str("tserver"),
            Self::Connector(index) => write!(f, "connector-{index}"),
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal;)+) => {
        /// What a record is about. The numbers are those of the file format.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum RecordKind { $($(#[$doc])* $kind = $number),+ }

        impl RecordKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// Its name, as the tools show it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }

            /// The kind of that number.
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$kind),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// What the server is: its epoch, the numbers it has given out.
    Server = 1, "server";
    /// A group of calls, by the ConnID of its first one.
    Call = 2, "call";
    /// A dial-in conference on the T-Server side, by its ConnID.
    Room = 3, "room";
    /// One event of the event log, by its sequence.
    Event = 4, "event";
    /// A CTI client that may resume, by its ClientId.
    Client = 5, "client";
    /// A conference of a connector, by its ConferenceId.
    Conference = 6, "conference";
    /// A SIP session, by its SessionId.
    Session = 7, "session";
    /// The bindings of an address of record, by its DN.
    Bindings = 8, "bindings";
    /// A SIP subscription, by its SubscriptionId.
    Subscription = 9, "subscription";
    /// A record of a connector's, of which the T-Server side keeps a copy, by the connector, its kind and its id.
    Copy = 21, "copy";
    /// A DN that clients believe to be in service, by its name.
    Dn = 20, "dn";
    /// What a connector signs flow tokens with.
    Edge = 10, "edge";
    /// A SIP call without a final response, by its SessionId.
    Early = 11, "early";
    /// An input that an actor panicked on twice, by its number.
    Quarantined = 12, "quarantined";
}

/// A record as the last process left it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// What it is about.
    pub kind: RecordKind,
    /// Which one.
    pub id: Vec<u8>,
    /// What was put.
    pub value: Vec<u8>,
}

/// The journal of one arbiter. Ids are at most 255 bytes; numbers are written big-endian, so that the order of ids is theirs.
pub trait Journal {
    /// Keeps a record, in the place of the one of that kind and id.
    fn put(&mut self, kind: RecordKind, id: &[u8], value: &[u8]);

    /// Forgets a record; one that is not there is none.
    fn remove(&mut self, kind: RecordKind, id: &[u8]);

    /// Forgets every record of that kind whose id is below this one.
    fn remove_below(&mut self, kind: RecordKind, id: &[u8]);

    /// What was put so far outlives the process from now on, and what was removed is gone a little later at the latest; on storage that fails
    /// it does not, and calls go on all the same.
    fn commit(&mut self);

    /// Whether storage had failed and works again, told once: whoever has records puts them all again. To be asked every [`LOOK_AFTER`], for an
    /// owner may have nothing to put for hours.
    fn is_back(&mut self) -> bool;
}

/// How often the owner of a journal asks whether it is back.
pub const LOOK_AFTER: Duration = Duration::from_secs(1);

/// A journal shared by the actors of an arbiter.
pub type SharedJournal = Rc<RefCell<Box<dyn Journal>>>;

/// Opens journals. Shared by the threads.
pub trait JournalStore: Send + Sync + 'static {
    /// The journal of a scope, and what it held. Each scope is opened once in a process.
    fn open(&self, scope: Scope) -> (Box<dyn Journal>, Vec<Record>);
}

/// No journal: nothing outlives the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn put(&mut self, _: RecordKind, _: &[u8], _: &[u8]) {}

    fn remove(&mut self, _: RecordKind, _: &[u8]) {}

    fn remove_below(&mut self, _: RecordKind, _: &[u8]) {}

    fn commit(&mut self) {}

    fn is_back(&mut self) -> bool {
        false
    }
}

impl JournalStore for NoJournal {
    fn open(&self, _: Scope) -> (Box<dyn Journal>, Vec<Record>) {
        (Box::new(Self), Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_number() {
        for kind in RecordKind::ALL {
            assert_eq!(RecordKind::from_number(*kind as u8), Some(*kind));
        }
        assert_eq!(RecordKind::from_number(0), None);
    }
}
