//! The bounded log: the last events that somebody got, or would have got, in their order.
//!
//! Invariants: sequences ascend; there are at most `limits.events` entries, and none is older than `limits.age` when one is added.
//! An event costs about one kilobyte here, shared by all its recipients; a recipient costs 32 bytes. One with long lists counts as several,
//! one for each kilobyte, so that what clients attach to calls cannot make the log larger than `limits.events` kilobytes or so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{ClientId, Event, KvList, KvValue, ReferenceId};

/// How much is kept, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most events; one with more than a kilobyte of lists counts as several.
    pub events: usize,
    /// Older events go.
    pub age: Duration,
    /// How long a client that lost its connection may take to resume. Until then its registrations go on.
    pub grace: Duration,
    /// The most clients that may resume; beyond it the one that is away for longest is given up.
    pub clients: usize,
    /// Whether events that nobody is registered for are kept as well, for [`super::EventLog::watch`].
    pub all: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 100_000,
            age: Duration::from_secs(300),
            grace: Duration::from_secs(120),
            clients: 4_096,
            all: false,
        }
    }
}

/// One client's copy, in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recipient {
    /// Whose copy.
    pub client: ClientId,
    /// The sequence of the copy that this client got just before.
    pub previous: u64,
    /// The request it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<ReferenceId>,
}

/// Who got an event. Mostly the one desktop at the DN.
pub(super) type Recipients = SmallVec<[Recipient; 1]>;

/// One event of the log.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Logged {
    pub(super) sequence: u64,
    pub(super) time: SystemTime,
    pub(super) event: Arc<Event>,
    /// An answer to one client, which concerns nobody else.
    pub(super) is_answer: bool,
    pub(super) to: Recipients,
}

impl Logged {
    /// As how many events it counts.
    fn weight(&self) -> usize {
        let Event {
            user_data,
            extensions,
            reasons,
            ..
        } = &*self.event;
        let lists = [extensions, reasons].into_iter().chain(user_data.as_deref());
        1 + lists.map(bytes).sum::<usize>() / 1_024
    }

    /// The copy of a client.
    pub(super) fn copy_of(&self, client: ClientId) -> Option<&Recipient> {
        self.to.iter().find(|copy| copy.client == client)
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    logged: VecDeque<Logged>,
    weight: usize,
}

fn bytes(list: &KvList) -> usize {
    let value = |value: &KvValue| match value {
        KvValue::Int(_) => 8,
        KvValue::Str(text) => text.len(),
        KvValue::List(list) => bytes(list),
    };
    list.iter().map(|(key, of)| key.len() + value(of) + 48).sum()
}

impl Entries {
    pub(super) fn push(&mut self, logged: Logged) {
        self.weight += logged.weight();
        self.logged.push_back(logged);
    }

    pub(super) fn len(&self) -> usize {
        self.logged.len()
    }

    pub(super) fn oldest(&self) -> Option<&Logged> {
        self.logged.front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Logged> {
        self.logged.iter()
    }

    /// The entries after a sequence.
    pub(super) fn after(&self, sequence: u64) -> impl Iterator<Item = &Logged> {
        let first = self.logged.partition_point(|logged| logged.sequence <= sequence);
        self.logged.range(first..)
    }

    /// Takes the oldest entry where it is one too many or too old.
    pub(super) fn pop_expired(&mut self, limits: &Limits, now: SystemTime) -> Option<Logged> {
        let oldest = self.logged.front()?;
        let too_old = now.duration_since(oldest.time).is_ok_and(|age| age > limits.age);
        if self.weight <= limits.events && !too_old {
            return None;
        }
        let gone = self.logged.pop_front()?;
        self.weight -= gone.weight();
        Some(gone)
    }
}
