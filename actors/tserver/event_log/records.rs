//! The event log's records in the journal.
//!
//! | kind | id | what |
//! |---|---|---|
//! | `server` | `event-log` | the log as a whole |
//! | `event` | sequence, 8 bytes | an event |
//! | `event` | 255 and the sequence of its first event, 9 bytes | a live party whose last event is not in the log |
//! | `client` | ClientId, 8 bytes | a client that may resume |
//! | `client` | ClientId and a number, 16 bytes | a registration, or a request without an answer |
//!
//! Numbers are big-endian. The id of a party is above that of every event, so letting go of old events leaves parties alone.

use smallvec::SmallVec;
use tandem_model::ClientId;
use tandem_model::event_log::{Change, Kept, Key};

use crate::journal::{Journal, Record, RecordKind, decode, encode};

const SERVER: &[u8] = b"event-log";
const PARTY: u8 = 0xff;
/// Above every id of ours.
const LAST: [u8; 17] = [0xff; 17];

type Id = SmallVec<[u8; 16]>;

/// Writes changes. They are safe after the journal's next commit.
pub(super) fn write(journal: &mut dyn Journal, changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Put(kept) => put(journal, &kept),
            Change::Remove(key) => {
                let (kind, id) = place(key);
                journal.remove(kind, &id);
            }
            Change::RemoveEventsBelow(first) => journal.remove_below(RecordKind::Event, &first.to_be_bytes()),
        }
    }
}

/// Writes one record.
pub(super) fn put(journal: &mut dyn Journal, kept: &Kept) {
    let (kind, id) = place(kept.key());
    let value = match kept {
        Kept::Server(record) => encode(record),
        Kept::Event(_, record) => encode(record),
        Kept::Party(_, record) => encode(record),
        Kept::Client(_, record) => encode(record),
        Kept::Note(_, _, record) => encode(record),
    };
    if let Some(value) = value {
        journal.put(kind, &id, &value);
    }
}

/// Forgets everything.
pub(super) fn clear(journal: &mut dyn Journal) {
    for kind in [RecordKind::Event, RecordKind::Client] {
        journal.remove_below(kind, &LAST);
    }
}

/// What the records of the last process say. One that cannot be read is left out, with an error in the log.
pub(super) fn read(records: &[Record]) -> Vec<Kept> {
    records.iter().filter_map(read_one).collect()
}

fn read_one(record: &Record) -> Option<Kept> {
    let Record { kind, id, value } = record;
    match (kind, id.as_slice()) {
        (RecordKind::Server, SERVER) => decode(*kind, value).map(Kept::Server),
        (RecordKind::Event, [PARTY, number @ ..]) if number.len() == 8 => {
            decode(*kind, value).map(|party| Kept::Party(number_of(number), party))
        }
        (RecordKind::Event, sequence) if sequence.len() == 8 => {
            decode(*kind, value).map(|event| Kept::Event(number_of(sequence), event))
        }
        (RecordKind::Client, client) if client.len() == 8 => {
            decode(*kind, value).map(|record| Kept::Client(ClientId(number_of(client)), record))
        }
        (RecordKind::Client, id) if id.len() == 16 => {
            let (client, number) = id.split_at(8);
            decode(*kind, value).map(|note| Kept::Note(ClientId(number_of(client)), number_of(number), note))
        }
        (RecordKind::Event | RecordKind::Client, _) => {
            tracing::error!(
                kind = kind.name(),
                ?id,
                "a record of the journal has no id of ours; it is left out"
            );
            None
        }
        _ => None,
    }
}

fn number_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn place(key: Key) -> (RecordKind, Id) {
    match key {
        Key::Server => (RecordKind::Server, Id::from_slice(SERVER)),
        Key::Event(sequence) => (RecordKind::Event, Id::from_slice(&sequence.to_be_bytes())),
        Key::Party(number) => {
            let mut id = Id::from_slice(&[PARTY]);
            id.extend_from_slice(&number.to_be_bytes());
            (RecordKind::Event, id)
        }
        Key::Client(client) => (RecordKind::Client, Id::from_slice(&client.0.to_be_bytes())),
        Key::Note(client, number) => {
            let mut id = Id::from_slice(&client.0.to_be_bytes());
            id.extend_from_slice(&number.to_be_bytes());
            (RecordKind::Client, id)
        }
    }
}
