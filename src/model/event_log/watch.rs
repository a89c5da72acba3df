//! Watching all events, not those of a client: what `GET /v1/events` shows.
//!
//! While somebody watches, and for [`super::Limits::age`] after the last one has gone, the log has every event, also those nobody is
//! registered for. So a watcher that goes on after a sequence misses nothing when the log has been complete since then; else it is told
//! from where on it is. Answers to single clients are no events and are not shown.
//!
//! A watcher is a cursor and nothing more: the log is its queue, and what it needs next may have gone when it comes too late.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::{Delivery, EventLog};
use crate::{ClientId, DnId};

/// Where a watcher starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// With what comes next: it did not say where.
    Now {
        /// The last sequence that it does not get.
        cursor: u64,
    },
    /// After the sequence that it named; nothing is missing.
    After {
        /// That sequence.
        cursor: u64,
    },
    /// Some of what it wants is no longer here, or never was.
    Gap {
        /// The first sequence that is missing.
        from: u64,
        /// The last sequence that is missing.
        to: u64,
    },
}

impl Start {
    /// The last sequence that the watcher does not get.
    pub fn cursor(self) -> u64 {
        match self {
            Self::Now { cursor } | Self::After { cursor } => cursor,
            Self::Gap { to, .. } => to,
        }
    }
}

impl EventLog {
    /// Somebody watches from now on. `epoch` is that of `since`, where the watcher knows it.
    pub fn watch(&mut self, since: Option<u64>, epoch: Option<&str>) -> Start {
        self.watchers += 1;
        let Some(since) = since else {
            return Start::Now { cursor: self.sequence };
        };
        if since > self.sequence || epoch.is_some_and(|epoch| epoch != &*self.epoch) {
            // Another epoch's: all of this one is missing.
            return self.gap(0);
        }
        if since + 1 >= self.complete_from {
            return Start::After { cursor: since };
        }
        self.gap(since)
    }

    fn gap(&self, since: u64) -> Start {
        let first = self.complete_from.min(self.sequence + 1);
        if first <= since + 1 {
            return Start::After { cursor: since };
        }
        Start::Gap {
            from: since + 1,
            to: first - 1,
        }
    }

    /// A watcher has gone.
    pub fn unwatch(&mut self, now: SystemTime) {
        self.watchers = self.watchers.saturating_sub(1);
        self.wide_until = Some(now + self.limits.age);
    }

    /// Up to `limit` events after `cursor` about those DNs (`None`: about all), as copies of nobody. Returns the new cursor, or `None`
    /// where the log has let go of something after the old one.
    pub fn watched(&self, cursor: u64, dns: Option<&BTreeSet<DnId>>, limit: usize, out: &mut Vec<Delivery>) -> Option<u64> {
        if cursor + 1 < self.complete_from {
            return None;
        }
        let mut room = limit;
        let mut cursor = cursor;
        for logged in self.entries.after(cursor) {
            let about = || dns.is_none_or(|dns| logged.event.this_dn.as_ref().is_none_or(|dn| dns.contains(dn)));
            if !logged.is_answer && about() {
                if room == 0 {
                    return Some(cursor);
                }
                room -= 1;
                out.push(Delivery {
                    client: ClientId(0),
                    sequence: logged.sequence,
                    previous: 0,
                    time: logged.time,
                    event: logged.event.clone(),
                    reference_id: None,
                });
            }
            cursor = logged.sequence;
        }
        Some(self.sequence)
    }

    /// Whether every event goes into the log.
    pub(super) fn is_wide(&self) -> bool {
        self.limits.all || self.watchers > 0 || self.wide_until.is_some_and(|until| self.time <= until)
    }

    /// How many events the log has, and when the oldest was.
    pub fn held(&self) -> (usize, Option<SystemTime>) {
        (self.entries.len(), self.entries.oldest().map(|oldest| oldest.time))
    }
}
