//! What outlives the process: records of the log, and the log that is made of them again.
//!
//! Each change of the log is a [`Change`] that the shell writes into its journal before it hands out what the change caused. Records
//! hold no clock but the time of events, in microseconds since 1970.
//!
//! Invariant: a log restored from the records goes on where the log stood that wrote them: no sequence and no client's number is given
//! out twice, and whoever resumes gets what the other log would have given.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::client::{Client, Feed, Identity, OpenClient, Outstanding, Registration};
use super::entries::{Limits, Logged, Recipient, Recipients};
use super::{Delivery, EventLog};
use crate::dn::wish::Wish;
use crate::{ClientId, ConnId, DnId, Event, EventName, RegisterMode};

/// Sequences and numbers are set aside this many at a time, so that not each one is written down.
const BLOCK: u64 = 4_096;
/// How many entries go before the journal is told.
const TRIM_BLOCK: usize = 256;

/// The log as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServerRecord {
    /// The epoch.
    pub epoch: Arc<str>,
    /// No sequence above this was given out.
    pub sequence: u64,
    /// No client's number above this was given out.
    pub client: u64,
    /// Whether every event is in the log, also those nobody is registered for.
    pub is_wide: bool,
    /// No event is missing in the log from this sequence on, where it is wide or complete.
    pub complete_from: u64,
    /// Whether that is so though it is not wide: somebody was registered for each.
    #[serde(default)]
    pub is_complete: bool,
}

/// One event of the log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventRecord {
    /// When.
    pub time_us: u64,
    /// What.
    pub event: Arc<Event>,
    /// Whether it answers one client and concerns nobody else.
    #[serde(default)]
    pub is_answer: bool,
    /// Who got it.
    pub to: Recipients,
}

/// The last event of a live party, where the log does not hold it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PartyRecord {
    /// The sequence of that event.
    pub sequence: u64,
    /// The event.
    pub event: Arc<Event>,
}

/// A client that may resume. Its registrations and its requests are [`NoteRecord`]s of their own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Who it is.
    pub identity: Identity,
    /// How it names itself when it resumes.
    pub session: Arc<str>,
    /// The sequence its chain starts with.
    pub since: u64,
    /// The sequence of its last copy, unless the log holds a later one.
    pub previous: u64,
    /// The events it wants, where it said so.
    #[serde(default)]
    pub mask: Option<Vec<EventName>>,
    /// Since when it is away; absent: it was connected.
    #[serde(default)]
    pub lost_us: Option<u64>,
    /// The last sequence that was sent to it, where it is away.
    #[serde(default)]
    pub sent: Option<u64>,
}

/// Something about a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum NoteRecord {
    /// It is registered.
    Registered {
        /// On what.
        dn: DnId,
        /// And how.
        mode: RegisterMode,
        /// What it asks of the DN.
        #[serde(default, skip_serializing_if = "is_default")]
        wish: Wish,
    },
    /// It waits for an answer.
    Asked(Outstanding),
}

/// What a record is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// The log as a whole.
    Server,
    /// The event of that sequence.
    Event(u64),
    /// A live party, by the sequence of its first event.
    Party(u64),
    /// A client.
    Client(ClientId),
    /// A note about a client, by its number.
    Note(ClientId, u64),
}

/// A record and what it is about.
#[derive(Clone, PartialEq, Debug)]
pub enum Kept {
    /// The log as a whole.
    Server(ServerRecord),
    /// An event by its sequence.
    Event(u64, EventRecord),
    /// A live party by the sequence of its first event.
    Party(u64, PartyRecord),
    /// A client.
    Client(ClientId, ClientRecord),
    /// A note about a client.
    Note(ClientId, u64, NoteRecord),
}

impl Kept {
    /// What it is about.
    pub fn key(&self) -> Key {
        match self {
            Self::Server(_) => Key::Server,
            Self::Event(sequence, _) => Key::Event(*sequence),
            Self::Party(number, _) => Key::Party(*number),
            Self::Client(client, _) => Key::Client(*client),
            Self::Note(client, number, _) => Key::Note(*client, *number),
        }
    }
}

/// A change of what is kept.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// Keep this, in the place of what was kept under its key.
    Put(Kept),
    /// Forget this.
    Remove(Key),
    /// Forget the events below that sequence.
    RemoveEventsBelow(u64),
}

/// What the log has set aside and told the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SetAside {
    sequence: u64,
    client: u64,
    was_wide: bool,
    /// From where on no event is missing, as the journal has it; `None`: that is not so.
    complete_from: Option<u64>,
    /// Entries that have gone since the journal was told.
    trimmed: usize,
}

impl EventLog {
    /// The changes of what is kept since this was asked last, in their order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.set_aside_enough();
        std::mem::take(&mut self.changes)
    }

    /// All that is kept, for a journal that has lost it.
    pub fn everything(&self) -> Vec<Kept> {
        let events = self
            .entries
            .iter()
            .map(|logged| Kept::Event(logged.sequence, record_of(logged)));
        let parties = self.snapshots.kept().map(|(number, record)| Kept::Party(number, record));
        let clients = self.clients.iter().filter_map(|(id, client)| client_record(*id, client));
        let notes = self.clients.iter().filter(|(_, client)| client.opened.is_some());
        let notes = notes.flat_map(|(id, client)| notes_of(*id, client));
        std::iter::once(Kept::Server(self.server_record()))
            .chain(events)
            .chain(parties)
            .chain(clients)
            .chain(notes)
            .collect()
    }

    /// The log that these records tell of; without a [`ServerRecord`] among them it is a new one of `fresh_epoch`. Every client has lost
    /// its connection, and every request without an answer is answered with an error.
    pub fn restore(fresh_epoch: impl Into<Arc<str>>, limits: Limits, records: Vec<Kept>, now: SystemTime) -> Self {
        let server = records.iter().find_map(|kept| match kept {
            Kept::Server(server) => Some(server.clone()),
            _ => None,
        });
        let Some(server) = server else {
            return Self::new(fresh_epoch).with_limits(limits);
        };
        let mut log = Self::after(server.epoch.clone(), server.sequence).with_limits(limits);
        log.first_client = server.client + 1;
        log.set_aside.client = server.client;
        log.take_in(records, now);
        log.complete_from = if server.is_wide || server.is_complete {
            let oldest = log.entries.oldest().map_or(log.sequence + 1, |oldest| oldest.sequence);
            // What had gone from the log before stays gone.
            if oldest > server.complete_from {
                oldest
            } else {
                server.complete_from
            }
        } else {
            log.unlogged = log.sequence;
            log.sequence + 1
        };
        if server.is_wide {
            log.wide_until = Some(now + limits.age);
        }
        log.cut_off_everybody(now);
        log.trim(now);
        log
    }

    /// The number of the first client of this process.
    pub fn first_client(&self) -> u64 {
        self.first_client
    }

    fn take_in(&mut self, records: Vec<Kept>, now: SystemTime) {
        let mut events = Vec::new();
        let mut parties = Vec::new();
        let mut notes = Vec::new();
        for kept in records {
            match kept {
                Kept::Server(_) => {}
                Kept::Event(sequence, record) => events.push((sequence, record)),
                Kept::Party(number, record) => parties.push((number, record)),
                Kept::Client(id, record) => self.take_in_client(id, record, now),
                Kept::Note(client, number, record) => notes.push((client, number, record)),
            }
        }
        for (client, number, record) in notes {
            self.take_in_note(client, number, record);
        }
        events.sort_by_key(|(sequence, _)| *sequence);
        parties.sort_by_key(|(_, record)| record.sequence);
        self.take_in_events(events, parties);
    }

    fn take_in_client(&mut self, id: ClientId, record: ClientRecord, now: SystemTime) {
        let since = record.lost_us.map_or(now, time_of).min(now);
        let client = Client {
            previous: record.previous,
            mask: record.mask.map(|mask| mask.into_iter().collect()),
            feed: Feed::Lost(since),
            sent: record.sent,
            opened: Some(OpenClient {
                identity: record.identity,
                session: record.session,
                since: record.since,
            }),
            ..Client::default()
        };
        self.clients.insert(id, client);
        self.lost.insert((since, id));
    }

    fn take_in_note(&mut self, id: ClientId, number: u64, record: NoteRecord) {
        self.notes = self.notes.max(number);
        let Some(client) = self.clients.get_mut(&id) else {
            return self.changes.push(Change::Remove(Key::Note(id, number)));
        };
        match record {
            NoteRecord::Registered { dn, mode, wish } => {
                let registration = Registration {
                    mode,
                    wish,
                    note: number,
                };
                client.dns.insert(dn.clone(), registration);
                self.subscribers.entry(dn).or_default().insert(id);
            }
            NoteRecord::Asked(asked) => client.outstanding.push((number, asked)),
        }
    }

    /// Events in their order, the last events of parties at their places among them.
    fn take_in_events(&mut self, events: Vec<(u64, EventRecord)>, parties: Vec<(u64, PartyRecord)>) {
        let mut parties = parties.into_iter().peekable();
        for (sequence, record) in events {
            while let Some((number, party)) = parties.next_if(|(_, party)| party.sequence <= sequence) {
                self.snapshots.restore(number, &party);
            }
            let EventRecord {
                time_us,
                event,
                is_answer,
                to,
            } = record;
            self.sequence = self.sequence.max(sequence);
            self.time = self.time.max(time_of(time_us));
            if !is_answer {
                let noted = self.snapshots.note(&event, sequence, true);
                self.forget_parties(noted.gone);
            }
            for Recipient { client, .. } in &to {
                if let Some(client) = self.clients.get_mut(client) {
                    client.previous = client.previous.max(sequence);
                }
            }
            self.entries.push(Logged {
                sequence,
                time: time_of(time_us),
                event,
                is_answer,
                to,
            });
        }
        for (number, party) in parties {
            self.snapshots.restore(number, &party);
        }
    }

    /// Every request that had no answer when the process ended gets one.
    fn cut_off_everybody(&mut self, now: SystemTime) {
        // Who was connected has been sent what the log has for it: that was kept before.
        for client in self.clients.values_mut() {
            client.sent.get_or_insert(client.previous);
        }
        let clients: Vec<_> = self.clients.keys().copied().collect();
        for client in clients {
            self.cut_off(client, |_| true, now, &mut Vec::new());
        }
    }

    /// Whoever has a live party in a call that did not come back hears its end. `back` are the calls that did.
    pub fn recovered(&mut self, back: &[ConnId], now: SystemTime, out: &mut Vec<Delivery>) {
        let mut gone = self.snapshots.calls();
        gone.retain(|conn_id| !back.contains(conn_id));
        gone.sort_unstable();
        for conn_id in gone {
            self.abort_call(conn_id, now, out);
        }
    }

    pub(super) fn put(&mut self, kept: Kept) {
        self.changes.push(Change::Put(kept));
    }

    pub(super) fn put_event(&mut self, logged: &Logged) {
        self.put(Kept::Event(logged.sequence, record_of(logged)));
    }

    pub(super) fn put_client(&mut self, id: ClientId) {
        if let Some(kept) = self.clients.get(&id).and_then(|client| client_record(id, client)) {
            self.put(kept);
        }
    }

    /// Takes the next number for a note.
    pub(super) fn put_note(&mut self, client: ClientId, record: NoteRecord) -> u64 {
        self.notes += 1;
        if self.clients.get(&client).is_some_and(|client| client.opened.is_some()) {
            self.put(Kept::Note(client, self.notes, record));
        }
        self.notes
    }

    pub(super) fn forget_parties(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let changes = numbers.into_iter().map(|number| Change::Remove(Key::Party(number)));
        self.changes.extend(changes);
    }

    pub(super) fn forget_client(&mut self, id: ClientId, client: &Client) {
        if client.opened.is_none() {
            return;
        }
        let notes = notes_of(id, client).map(|note| Change::Remove(note.key()));
        self.changes.extend(notes);
        self.changes.push(Change::Remove(Key::Client(id)));
    }

    /// Lets go of what is too old or too much. Who has no later copy than one that goes is written down with it.
    pub(super) fn trim(&mut self, now: SystemTime) {
        while let Some(gone) = self.entries.pop_expired(&self.limits, now) {
            self.complete_from = self.complete_from.max(gone.sequence + 1);
            for copy in &gone.to {
                let is_last = self
                    .clients
                    .get(&copy.client)
                    .is_some_and(|client| client.previous == gone.sequence);
                if is_last {
                    self.put_client(copy.client);
                }
            }
            if let Some((number, record)) = self.snapshots.outlives(&gone) {
                self.put(Kept::Party(number, record));
            }
            self.set_aside.trimmed += 1;
        }
        if self.set_aside.trimmed >= TRIM_BLOCK {
            self.set_aside.trimmed = 0;
            let first = self.entries.oldest().map_or(self.sequence + 1, |oldest| oldest.sequence);
            self.changes.push(Change::RemoveEventsBelow(first));
        }
    }

    /// Writes down that numbers may be given out, well before they are.
    fn set_aside_enough(&mut self) {
        let newest_client = self.clients.last_key_value().map_or(0, |(id, _)| id.0);
        let aside = self.set_aside;
        let complete_from = self.known_complete();
        let enough = self.sequence <= aside.sequence
            && newest_client <= aside.client
            && aside.was_wide == self.is_wide()
            && aside.complete_from == complete_from;
        if enough && aside.sequence > 0 {
            return;
        }
        self.set_aside.complete_from = complete_from;
        self.set_aside.sequence = aside.sequence.max(self.sequence + BLOCK);
        self.set_aside.client = aside.client.max(newest_client + BLOCK);
        self.set_aside.was_wide = self.is_wide();
        let record = self.server_record();
        self.put(Kept::Server(record));
    }

    /// From where on no event is missing, to be written down: as it stands there while that is true. What goes because it is old shows in what is
    /// left.
    fn known_complete(&self) -> Option<u64> {
        let told = self.set_aside.complete_from.filter(|from| self.unlogged < *from);
        told.or_else(|| (self.logged > self.unlogged || self.unlogged == 0).then_some(self.complete_from))
    }

    fn server_record(&self) -> ServerRecord {
        ServerRecord {
            epoch: self.epoch.clone(),
            sequence: self.set_aside.sequence,
            client: self.set_aside.client,
            is_wide: self.set_aside.was_wide,
            complete_from: self.complete_from,
            is_complete: self.set_aside.complete_from.is_some(),
        }
    }
}

fn record_of(logged: &Logged) -> EventRecord {
    EventRecord {
        time_us: micros(logged.time),
        event: logged.event.clone(),
        is_answer: logged.is_answer,
        to: logged.to.clone(),
    }
}

fn client_record(id: ClientId, client: &Client) -> Option<Kept> {
    let open = client.opened.as_ref()?;
    let record = ClientRecord {
        identity: open.identity,
        session: open.session.clone(),
        since: open.since,
        previous: client.previous,
        mask: client.mask.as_ref().map(|mask| mask.iter().copied().collect()),
        lost_us: match client.feed {
            Feed::Lost(since) => Some(micros(since)),
            Feed::Live | Feed::Behind(_) => None,
        },
        sent: client.sent.filter(|_| client.is_lost()),
    };
    Some(Kept::Client(id, record))
}

fn notes_of(id: ClientId, client: &Client) -> impl Iterator<Item = Kept> {
    let registered = client.dns.iter().map(move |(dn, registration)| {
        let record = NoteRecord::Registered {
            dn: dn.clone(),
            mode: registration.mode,
            wish: registration.wish,
        };
        Kept::Note(id, registration.note, record)
    });
    let asked = client.outstanding.iter();
    registered.chain(asked.map(move |(number, asked)| Kept::Note(id, *number, NoteRecord::Asked(asked.clone()))))
}

/// What is left out, as it is what a missing field means.
fn is_default(wish: &Wish) -> bool {
    *wish == Wish::default()
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn time_of(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_micros(micros))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Which party is kept under which number; for the tests of the invariant.
#[cfg(test)]
pub(super) type Journal = std::collections::BTreeMap<Key, Kept>;

#[cfg(test)]
pub(super) fn apply(journal: &mut Journal, changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Put(kept) => drop(journal.insert(kept.key(), kept)),
            Change::Remove(key) => drop(journal.remove(&key)),
            Change::RemoveEventsBelow(first) => {
                journal.retain(|key, _| !matches!(key, Key::Event(sequence) if *sequence < first))
            }
        }
    }
}
