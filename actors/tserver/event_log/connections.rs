//! The sockets of the clients, and those that watch all events.
//!
//! Invariant: nothing here waits for a socket. One that is full is closed; what it did not get is in the log.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tandem_model::event_log::{Delivery, EventLog};
use tandem_model::{ClientId, DnId};
use tandem_wire::{EventBody, close};

use crate::metrics::Metrics;

/// Where a client's frames go. Implemented by the sockets.
pub trait ClientSink: Send + Sync + 'static {
    /// Queues a frame; never waits. Returns how many frames wait now, or `None`: the queue is full, or the client is gone.
    fn deliver(&self, frame: Bytes) -> Option<usize>;

    /// Closes the socket after the frames that wait. `reason` goes into the close frame.
    fn close(&self, code: u16, reason: &str);

    /// How many frames the queue takes before it is full.
    fn room(&self) -> usize {
        usize::MAX
    }
}

/// How many events are handed at a time to whoever is behind.
const CHUNK: usize = 512;
/// A watcher that takes nothing for this long, while there is something for it, is cut off.
const STALL: Duration = Duration::from_secs(5);
/// The most watchers.
pub(super) const MAX_WATCHERS: usize = 64;

/// A client's socket.
struct Connection {
    /// Which one: a client that resumes has another one than before.
    number: ClientId,
    sink: Arc<dyn ClientSink>,
}

/// The sockets of the clients.
#[derive(Clone, Default)]
pub struct Connections(Rc<RefCell<HashMap<ClientId, Connection>>>);

impl Connections {
    pub(super) fn insert(&self, client: ClientId, sink: Arc<dyn ClientSink>) {
        let connection = Connection { number: client, sink };
        self.0.borrow_mut().insert(client, connection);
    }

    /// The connection is another client's from now on; the one that this client had is closed.
    pub(super) fn take_over(&self, connection: ClientId, client: ClientId) {
        let mut connections = self.0.borrow_mut();
        let Some(taken) = connections.remove(&connection) else {
            return;
        };
        if let Some(old) = connections.insert(client, taken) {
            old.sink.close(close::RESUMED, "resumed on another connection");
        }
    }

    pub(super) fn sink(&self, client: ClientId) -> Option<Arc<dyn ClientSink>> {
        self.0.borrow().get(&client).map(|connection| connection.sink.clone())
    }

    /// The sink of a client, where it still has that connection.
    pub(super) fn current(&self, client: ClientId, connection: ClientId) -> Option<Arc<dyn ClientSink>> {
        let connections = self.0.borrow();
        let current = connections.get(&client).filter(|current| current.number == connection);
        current.map(|current| current.sink.clone())
    }

    /// That connection has ended. `false`: the client has another one.
    pub(super) fn remove(&self, client: ClientId, connection: ClientId) -> bool {
        let mut connections = self.0.borrow_mut();
        if connections.get(&client).is_some_and(|current| current.number != connection) {
            return false;
        }
        connections.remove(&client);
        true
    }

    pub(super) fn close_all(&self, code: u16, reason: &str) {
        for connection in self.0.borrow().values() {
            connection.sink.close(code, reason);
        }
    }

    pub(super) fn drain(&self) -> Vec<Arc<dyn ClientSink>> {
        self.0.borrow_mut().drain().map(|(_, connection)| connection.sink).collect()
    }

    /// Writes what is to be delivered. The body of an event is encoded once for all its clients.
    pub(super) fn write(&self, deliveries: impl Iterator<Item = Delivery>, encode: impl Fn(&Delivery) -> EventBody) {
        let mut body: Option<(u64, EventBody)> = None;
        for delivery in deliveries {
            let Some(sink) = self.sink(delivery.client) else { continue };
            // After `delta` the EventServerConnected has the sequence of another event.
            let connects = delivery.sequence == delivery.previous;
            let encoded = match &mut body {
                Some((sequence, encoded)) if *sequence == delivery.sequence && !connects => &*encoded,
                body => &body.insert((delivery.sequence, encode(&delivery))).1,
            };
            match sink.deliver(encoded.frame(delivery.previous, delivery.reference_id)) {
                Some(waiting) => Metrics::of_process().client_lag.record(waiting as f64),
                None => self.cut_off(delivery.client, delivery.previous),
            }
            if connects {
                body = None;
            }
        }
    }

    /// What is disconnected gets nothing more, not even the rest of this batch: the gap would not show.
    pub(super) fn cut_off(&self, client: ClientId, last: u64) {
        if let Some(connection) = self.0.borrow_mut().remove(&client) {
            Metrics::of_process().clients_slow.increment(1);
            let reason = format!("too slow; the last event sent is {last}");
            connection.sink.close(close::SLOW_CONSUMER, &reason);
        }
    }

    /// Hands a client that is behind what fits. `true`: it is no longer behind.
    pub(super) fn catch_up(&self, log: &mut EventLog, client: ClientId, out: &mut Vec<Delivery>) -> bool {
        let Some(sink) = self.sink(client) else { return true };
        // Half of the room, so that live events have some when it has caught up.
        let room = (sink.room() / 2).min(CHUNK);
        if room == 0 {
            return false;
        }
        let before = out.len();
        log.catch_up(client, room, out).unwrap_or_else(|_| {
            let last = out.get(before..).and_then(<[Delivery]>::last);
            let last = last.map_or(0, |last| last.sequence);
            self.cut_off(client, last);
            true
        })
    }
}

/// Somebody who sees all events.
struct Watcher {
    sink: Arc<dyn ClientSink>,
    dns: Option<BTreeSet<DnId>>,
    /// It has everything up to here.
    cursor: u64,
    /// The last event it got.
    previous: u64,
    stalled: Option<SystemTime>,
}

/// Those who watch.
#[derive(Clone, Default)]
pub struct Watchers(Rc<RefCell<(u64, BTreeMap<u64, Watcher>)>>);

impl Watchers {
    pub(super) fn len(&self) -> usize {
        self.0.borrow().1.len()
    }

    pub(super) fn insert(&self, sink: Arc<dyn ClientSink>, dns: Option<BTreeSet<DnId>>, cursor: u64) -> u64 {
        let (next, watchers) = &mut *self.0.borrow_mut();
        *next += 1;
        let watcher = Watcher {
            sink,
            dns,
            cursor,
            previous: cursor,
            stalled: None,
        };
        watchers.insert(*next, watcher);
        *next
    }

    pub(super) fn remove(&self, number: u64) -> bool {
        self.0.borrow_mut().1.remove(&number).is_some()
    }

    pub(super) fn close_all(&self, code: u16, reason: &str) {
        for watcher in self.0.borrow().1.values() {
            watcher.sink.close(code, reason);
        }
    }

    /// Hands each what fits. Returns whether somebody is behind, and how many were cut off.
    pub(super) fn hand_out(&self, log: &EventLog, now: SystemTime, encode: impl Fn(&Delivery) -> EventBody) -> (bool, usize) {
        let (_, watchers) = &mut *self.0.borrow_mut();
        let before = watchers.len();
        watchers.retain(|_, watcher| watcher.hand_out(log, now, &encode));
        let behind = watchers.values().any(|watcher| watcher.cursor < log.sequence());
        (behind, before - watchers.len())
    }
}

impl Watcher {
    /// `false`: it is cut off.
    fn hand_out(&mut self, log: &EventLog, now: SystemTime, encode: &impl Fn(&Delivery) -> EventBody) -> bool {
        if self.cursor >= log.sequence() {
            self.stalled = None;
            return true;
        }
        let room = self.sink.room().min(CHUNK);
        if room == 0 {
            let since = *self.stalled.get_or_insert(now);
            let stalled = now.duration_since(since).is_ok_and(|stalled| stalled > STALL);
            return !stalled || self.cut_off();
        }
        self.stalled = None;
        let mut out = Vec::new();
        let Some(cursor) = log.watched(self.cursor, self.dns.as_ref(), room, &mut out) else {
            return self.cut_off();
        };
        for delivery in out {
            if self.sink.deliver(encode(&delivery).frame(self.previous, None)).is_none() {
                return self.cut_off();
            }
            self.previous = delivery.sequence;
        }
        self.cursor = cursor;
        true
    }

    fn cut_off(&self) -> bool {
        Metrics::of_process().clients_slow.increment(1);
        let reason = format!("too slow; the last event sent is {}", self.previous);
        self.sink.close(close::SLOW_CONSUMER, &reason);
        false
    }
}
