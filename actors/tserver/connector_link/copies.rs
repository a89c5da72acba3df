//! The T-Server's copy of what a connector keeps, for one that comes back without it: its disk is lost, or it runs on another host.
//!
//! ```text
//!   connector                                        T-Server
//!   HERE empty: false ──────────────────────────────► everything that was told before is doubtful
//!   RECORDS, RECORDS, ..., RECORDS end: true ───────► what is still doubtful is dropped; from then on it is told what changes
//!
//!   HERE empty: true ───────────────────────────────►
//!                      ◄── RESTORE, ..., RESTORE end: true     (and after it AUDIT, AUDIT, ..., AUDIT_END)
//!   RECORDS, ..., RECORDS end: true ────────────────► as above
//! ```
//!
//! Invariant: a record here is the last one that the connector told of that kind and id, or there is none. It is in the T-Server's journal as
//! well, within [`COMMIT_WITHIN`]. Where a connector keeps more than [`MOST_BYTES`], what is beyond has no copy: a warning, and a metric.
//! What records mean is none of its concern.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use tandem_model::ConnectorId;
use tandem_model::connector::{ConnectorRequest, CopiedRecord};
use tandem_model::link::LinkRequest;

use super::ConnectorLinkActor;
use crate::journal::{Record, RecordKind, SharedJournal};
use crate::supervision::Slot;

/// The most that is kept for one connector, in bytes of values and what they cost beside.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// So much counts for a record beside its value.
const OVERHEAD: usize = 96;
/// The longest id: with the connector and the kind before it, it is an id of our own journal.
const LONGEST_ID: usize = 255 - 3;
/// About so much is given back at a time,
const PIECE: usize = 64 * 1024;
/// so many pieces after one another,
const PIECES: usize = 4;
/// and then no more for so long: a link keeps no more than 32 MiB without acknowledgement.
const PACE: Duration = Duration::from_millis(10);
/// What was told is in our own journal as soon.
const COMMIT_WITHIN: Duration = Duration::from_millis(20);
/// Above every id of ours.
const LAST: [u8; 255] = [0xff; 255];

type Key = (u8, Vec<u8>);

struct Copied {
    value: Vec<u8>,
    /// It was told in a session of the link before this one, and not in this one.
    is_doubtful: bool,
}

struct Kept {
    connector: ConnectorId,
    journal: SharedJournal,
    records: BTreeMap<Key, Copied>,
    bytes: usize,
    most_bytes: usize,
    /// How often the connector has begun a session.
    sessions: u64,
    is_full: bool,
    /// A commit is on its way.
    commits: bool,
    meters: Meters,
}

struct Meters {
    records: Gauge,
    bytes: Gauge,
    refused: Counter,
}

impl Meters {
    fn of(connector: ConnectorId) -> Self {
        let label = || connector.0.to_string();
        Self {
            records: gauge!("tandem_link_copied_records", "connector" => label()),
            bytes: gauge!("tandem_link_copied_bytes", "connector" => label()),
            refused: counter!("tandem_link_copy_refused_total", "connector" => label()),
        }
    }
}

/// Says what the metrics are.
pub(crate) fn describe() {
    describe_gauge!(
        "tandem_link_copied_records",
        "Records of which the T-Server keeps a copy for each connector."
    );
    describe_gauge!("tandem_link_copied_bytes", "What these records take, in bytes.");
    describe_counter!(
        "tandem_link_copy_refused_total",
        "Records that were not copied, as there was no room for them."
    );
}

/// The copy of one connector's records.
#[derive(Clone)]
pub struct Copies(Slot<Kept>);

impl Copies {
    /// The copies of so many connectors as the process before has left them. Those of others are dropped.
    pub fn recovered(records: Vec<Record>, connectors: u16, journal: &SharedJournal) -> Vec<Self> {
        let copies: Vec<_> = (0..connectors.max(1))
            .map(|index| Self::new(ConnectorId(index), journal.clone()))
            .collect();
        for record in records {
            let of = match record.id.as_slice() {
                [high, low, kind, id @ ..] => Some((u16::from_be_bytes([*high, *low]), (*kind, id.to_vec()))),
                _ => None,
            };
            let connector = of.and_then(|(connector, key)| Some((copies.get(usize::from(connector))?, key)));
            match connector {
                Some((copies, key)) => copies.0.borrow_mut().insert(key, record.value),
                None => journal.borrow_mut().remove(RecordKind::Copy, &record.id),
            }
        }
        copies
    }

    /// In a server of one process nothing is copied: what another one has left is dropped.
    pub fn none(records: &[Record], connectors: u16, journal: &SharedJournal) -> Vec<Self> {
        if !records.is_empty() {
            journal.borrow_mut().remove_below(RecordKind::Copy, &LAST);
        }
        Self::recovered(Vec::new(), connectors, journal)
    }

    fn new(connector: ConnectorId, journal: SharedJournal) -> Self {
        Self(Rc::new(RefCell::new(Kept {
            connector,
            journal,
            records: BTreeMap::new(),
            bytes: 0,
            most_bytes: MOST_BYTES,
            sessions: 0,
            is_full: false,
            commits: false,
            meters: Meters::of(connector),
        })))
    }

    /// The connector has begun a session: it is about to tell everything that it keeps. The number of that session.
    fn begin(&self) -> u64 {
        let kept = &mut *self.0.borrow_mut();
        kept.sessions += 1;
        for copied in kept.records.values_mut() {
            copied.is_doubtful = true;
        }
        kept.sessions
    }

    /// Whether it has told of nothing yet.
    fn is_empty(&self) -> bool {
        self.0.borrow().records.is_empty()
    }

    /// The connector tells what is to be kept. With `end`, everything was told.
    fn told(&self, records: Vec<CopiedRecord>, end: bool) {
        let kept = &mut *self.0.borrow_mut();
        for record in records {
            kept.told(record);
        }
        if end {
            let doubtful = kept.records.iter().filter(|(_, copied)| copied.is_doubtful);
            for key in doubtful.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
                kept.remove(&key);
            }
        }
        kept.meters.records.set(kept.records.len() as f64);
        kept.meters.bytes.set(kept.bytes as f64);
        self.commit_soon(kept);
    }

    /// What clients are told meanwhile takes it along.
    fn commit_soon(&self, kept: &mut Kept) {
        if std::mem::replace(&mut kept.commits, true) {
            return;
        }
        let copies = self.clone();
        actix_rt::spawn(async move {
            tokio::time::sleep(COMMIT_WITHIN).await;
            let kept = &mut *copies.0.borrow_mut();
            kept.commits = false;
            kept.journal.borrow_mut().commit();
        });
    }

    /// The next piece for a connector that has come back without, and whether it is the last one; `last` is the end of the piece before.
    /// `None`: it has begun another session meanwhile.
    fn piece(&self, session: u64, last: &mut Option<Key>) -> Option<(Vec<CopiedRecord>, bool)> {
        let kept = self.0.borrow();
        if kept.sessions != session {
            return None;
        }
        let from = last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut records, mut bytes) = (Vec::new(), 0);
        for (key, copied) in kept.records.range::<Key, _>((from, Bound::Unbounded)) {
            if bytes >= PIECE {
                return Some((records, false));
            }
            bytes += OVERHEAD + copied.value.len();
            records.push(CopiedRecord {
                kind: key.0,
                id: key.1.clone(),
                value: Some(copied.value.clone()),
            });
            *last = Some(key.clone());
        }
        Some((records, true))
    }

    /// The journal had lost the copy.
    fn put_again(&self) {
        let kept = self.0.borrow();
        let mut journal = kept.journal.borrow_mut();
        for (key, copied) in &kept.records {
            journal.put(RecordKind::Copy, &kept.id_of(key), &copied.value);
        }
    }
}

impl Kept {
    fn told(&mut self, record: CopiedRecord) {
        let key = (record.kind, record.id);
        let Some(value) = record.value else { return self.remove(&key) };
        let before = self.records.get(&key).map_or(0, |copied| OVERHEAD + copied.value.len());
        let after = self.bytes - before + OVERHEAD + value.len();
        if key.1.len() <= LONGEST_ID && after <= self.most_bytes {
            let id = self.id_of(&key);
            self.journal.borrow_mut().put(RecordKind::Copy, &id, &value);
            return self.insert(key, value);
        }
        self.remove(&key);
        self.meters.refused.increment(1);
        if !std::mem::replace(&mut self.is_full, true) {
            tracing::warn!(connector = %self.connector, bytes = self.bytes, "no room for more copies of what this connector keeps");
        }
    }

    fn insert(&mut self, key: Key, value: Vec<u8>) {
        self.bytes += OVERHEAD + value.len();
        let copied = Copied {
            value,
            is_doubtful: false,
        };
        if let Some(before) = self.records.insert(key, copied) {
            self.bytes -= OVERHEAD + before.value.len();
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(copied) = self.records.remove(key) else { return };
        self.bytes -= OVERHEAD + copied.value.len();
        self.is_full &= self.bytes > self.most_bytes / 2;
        let id = self.id_of(key);
        self.journal.borrow_mut().remove(RecordKind::Copy, &id);
    }

    fn id_of(&self, (kind, id): &Key) -> Vec<u8> {
        let [high, low] = self.connector.0.to_be_bytes();
        [&[high, low, *kind], id.as_slice()].concat()
    }
}

/// The connector has what it had kept, in that session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct GivenBack(u64);

/// The journal had lost the copies.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KeepCopies;

impl ConnectorLinkActor {
    /// The session of the link is a new one: what was being given back in the one before is not given back in this one.
    pub(super) fn call_back(&self) {
        self.copies.begin();
    }

    /// The first words of a connector in a session. One that has lost what it had kept gets it back before its conferences are asked for.
    pub(super) fn has_come(&mut self, is_empty: bool, ctx: &mut Context<Self>) {
        let session = self.copies.begin();
        if !is_empty {
            return self.completed();
        }
        match self.copies.is_empty() {
            true => tracing::info!(connector = %self.connector, "the connector has kept nothing yet"),
            false => {
                tracing::warn!(connector = %self.connector, "the connector has come back without what it had kept: it gets the copy");
            }
        }
        let (copies, directory, connector, link) = (
            self.copies.clone(),
            self.switch.directory.clone(),
            self.connector,
            ctx.address(),
        );
        // A task of its own, so that a crash of this actor does not leave the connector waiting.
        actix_rt::spawn(async move {
            let (mut last, mut pieces) = (None, 0);
            while let Some((records, end)) = copies.piece(session, &mut last) {
                let Some(connector) = directory.link_end(connector) else {
                    return;
                };
                let restore = ConnectorRequest::Restore { records, end };
                // One that makes no party is always taken.
                let _ = connector.post(LinkRequest::Connector(restore));
                if end {
                    // Unbounded post: once for a session.
                    return link.do_send(GivenBack(session));
                }
                pieces += 1;
                if pieces % PIECES == 0 {
                    tokio::time::sleep(PACE).await;
                }
            }
        });
    }

    pub(super) fn records_told(&self, records: Vec<CopiedRecord>, end: bool) {
        self.copies.told(records, end);
    }
}

impl Handler<GivenBack> for ConnectorLinkActor {
    type Result = ();

    fn handle(&mut self, GivenBack(session): GivenBack, _: &mut Context<Self>) {
        if self.copies.0.borrow().sessions == session {
            self.completed();
        }
    }
}

impl Handler<KeepCopies> for ConnectorLinkActor {
    type Result = ();

    fn handle(&mut self, _: KeepCopies, _: &mut Context<Self>) {
        self.copies.put_again();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, NoJournal};

    type Rows = Rc<RefCell<BTreeMap<Vec<u8>, Vec<u8>>>>;

    /// A journal of copies alone.
    struct Disk(Rows);

    impl Journal for Disk {
        fn put(&mut self, kind: RecordKind, id: &[u8], value: &[u8]) {
            assert_eq!(kind, RecordKind::Copy);
            self.0.borrow_mut().insert(id.to_vec(), value.to_vec());
        }

        fn remove(&mut self, _: RecordKind, id: &[u8]) {
            self.0.borrow_mut().remove(id);
        }

        fn remove_below(&mut self, _: RecordKind, id: &[u8]) {
            self.0.borrow_mut().retain(|other, _| other.as_slice() >= id);
        }

        fn commit(&mut self) {}

        fn is_back(&mut self) -> bool {
            false
        }
    }

    fn disk() -> (Rows, SharedJournal) {
        let rows = Rows::default();
        (rows.clone(), Rc::new(RefCell::new(Box::new(Disk(rows)))))
    }

    fn record(id: u8, value: Option<&[u8]>) -> CopiedRecord {
        CopiedRecord {
            kind: RecordKind::Session as u8,
            id: vec![id],
            value: value.map(<[u8]>::to_vec),
        }
    }

    fn given_back(copies: &Copies) -> Vec<CopiedRecord> {
        let (mut all, mut last) = (Vec::new(), None);
        let session = copies.0.borrow().sessions;
        loop {
            let (records, end) = copies.piece(session, &mut last).expect("the same session");
            all.extend(records);
            if end {
                return all;
            }
        }
    }

    #[test]
    fn what_is_not_told_again_in_a_session_is_dropped_with_its_end() {
        actix_rt::System::new().block_on(async {
            let (rows, journal) = disk();
            let copies = Copies::new(ConnectorId(0), journal);
            copies.begin();
            copies.told(
                vec![record(1, Some(b"a")), record(2, Some(b"b")), record(3, Some(b"c"))],
                true,
            );
            copies.told(vec![record(2, None)], false);
            copies.begin();
            copies.told(vec![record(3, Some(b"C"))], false);
            let both = [record(1, Some(b"a")), record(3, Some(b"C"))];
            assert_eq!(given_back(&copies), both, "it has not told everything yet");
            copies.told(vec![record(4, Some(b"d"))], true);
            assert_eq!(given_back(&copies), [record(3, Some(b"C")), record(4, Some(b"d"))]);
            assert_eq!(rows.borrow().len(), 2);
        });
    }

    #[test]
    fn the_next_process_has_the_copies_of_the_connectors_that_there_are() {
        actix_rt::System::new().block_on(async {
            let (rows, journal) = disk();
            for index in 0..3 {
                let copies = Copies::new(ConnectorId(index), journal.clone());
                copies.told(vec![record(1, Some(&[index as u8]))], true);
            }
            let kept = |rows: &Rows| -> Vec<Record> {
                let of = |(id, value): (&Vec<u8>, &Vec<u8>)| Record {
                    kind: RecordKind::Copy,
                    id: id.clone(),
                    value: value.clone(),
                };
                rows.borrow().iter().map(of).collect()
            };
            let next = Copies::recovered(kept(&rows), 2, &journal);
            let values: Vec<_> = next.iter().map(given_back).collect();
            assert_eq!(values, [vec![record(1, Some(&[0]))], vec![record(1, Some(&[1]))]]);
            assert_eq!(rows.borrow().len(), 2, "there is no third one any more");
            rows.borrow_mut().clear();
            next[1].put_again();
            assert_eq!(kept(&rows).len(), 1);
            assert_eq!(Copies::none(&kept(&rows), 2, &journal).len(), 2);
            assert!(rows.borrow().is_empty());
        });
    }

    #[test]
    fn a_copy_is_bounded_and_given_back_in_pieces() {
        actix_rt::System::new().block_on(async {
            let (_, journal) = disk();
            let copies = Copies::new(ConnectorId(0), journal);
            copies.0.borrow_mut().most_bytes = 200 * (1000 + OVERHEAD);
            let records: Vec<_> = (0..=255).map(|id| record(id, Some(&[id; 1000]))).collect();
            copies.told(records.clone(), true);
            assert_eq!(given_back(&copies), records[..200]);
            let (mut last, session) = (None, copies.0.borrow().sessions);
            let (first, end) = copies.piece(session, &mut last).expect("the same session");
            assert!(first.len() < 70 && !end);
            copies.told(vec![record(0, None), record(1, Some(&[7; 3000]))], false);
            let left = given_back(&copies);
            assert_eq!((left.len(), left[0].id[0]), (198, 2), "an old value is worse than none");
            copies.begin();
            assert!(copies.piece(session, &mut last).is_none(), "another session");
            let long = CopiedRecord {
                id: vec![0; LONGEST_ID + 1],
                ..record(0, Some(b""))
            };
            let copies = Copies::new(ConnectorId(0), Rc::new(RefCell::new(Box::new(NoJournal))));
            copies.told(vec![long], false);
            assert!(given_back(&copies).is_empty());
        });
    }
}
