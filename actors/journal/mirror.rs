//! A connector's journal, of which somebody else keeps a copy: the T-Server, for the day when the connector comes back without it.
//!
//! ```text
//!   put, remove ──► Mirror ──► the journal below
//!                     │ commit: what has changed, each record once
//!                     └──► tell ──► RECORDS on the link
//! ```
//!
//! Invariant: once everything was told ([`Mirror::start_over`], then [`Mirror::tell_more`] until it is done), whoever listens has what is
//! kept here, but for what changed since the last commit, and for changes that could not be told yet: they wait, each record once, and go
//! with a later commit. That a session or a conference is over is told with the next change of another kind: a call costs fewer messages, and
//! the T-Server knows that it is over anyway. Before everything was told, nothing is but what was told already and has changed.
//!
//! A journal that is new and holds no call [asks](Mirror::wants_restore) for the copy first, and tells nothing before
//! it was answered: the copy is not to be changed by one who does not know it. That it was answered is kept, so that a journal which holds nothing
//! because nothing is to be kept does not ask.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use smallvec::SmallVec;
use tandem_model::connector::CopiedRecord;

use super::{Journal, Record, RecordKind};

/// The kinds of which a copy is kept.
const COPIED: [RecordKind; 5] = [
    RecordKind::Conference,
    RecordKind::Session,
    RecordKind::Bindings,
    RecordKind::Subscription,
    RecordKind::Edge,
];

/// The id of the record that says that this journal is not new.
const ASKED: &[u8] = b"asked-for-copy";

/// About so many bytes of records are told at a time.
const CHUNK: usize = 64 * 1024;

/// A record that is larger cannot be told.
const LARGEST: usize = 1024 * 1024;

/// So many records may be over without being told of.
const MOST_OVER: usize = 256;

/// So many bytes count for a record beside its value.
const OVERHEAD: usize = 32;

type Key = (RecordKind, SmallVec<[u8; 16]>);

/// Tells records; with `true`, that everything was told. `false`: it cannot be told now.
pub type Tell = Box<dyn Fn(Vec<CopiedRecord>, bool) -> bool>;

/// How far everything is told.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Told {
    /// Nobody listens yet.
    Nothing,
    /// Up to that record, or nothing.
    UpTo(Option<Key>),
    /// Everything, and then what changes.
    All,
}

/// What comes of telling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There is more to tell.
    More,
    /// Nobody takes it now.
    Later,
    /// Everything was told, or it is told anew by somebody else.
    Done,
}

struct Shared {
    below: Box<dyn Journal>,
    tell: Tell,
    kept: BTreeMap<Key, Vec<u8>>,
    /// What has changed since it was told, and whether it was told at all.
    changed: BTreeMap<Key, bool>,
    /// Not all of them are over.
    is_urgent: bool,
    told: Told,
    /// How often everything was begun to be told.
    turn: u64,
    wants_restore: bool,
    /// Records that are too large are told of once.
    is_large_told: bool,
}

/// What is told of a journal.
#[derive(Clone)]
pub struct Mirror(Rc<RefCell<Shared>>);

struct Mirrored(Rc<RefCell<Shared>>);

impl Mirror {
    /// Over a journal that held these records.
    pub fn over(below: Box<dyn Journal>, records: &[Record], tell: Tell) -> (Box<dyn Journal>, Self) {
        let copied = records.iter().filter(|record| is_copied(record.kind));
        let kept: BTreeMap<_, _> = copied
            .map(|record| (key(record.kind, &record.id), record.value.clone()))
            .collect();
        let has_asked = |record: &Record| record.kind == RecordKind::Server && record.id == ASKED;
        // What is kept before anything can be asked: the secret of the edge, and phones that have registered meanwhile.
        let is_early = |(kind, _): &Key| !matches!(kind, RecordKind::Session | RecordKind::Conference);
        let shared = Rc::new(RefCell::new(Shared {
            wants_restore: kept.keys().all(is_early) && !records.iter().any(has_asked),
            below,
            tell,
            kept,
            changed: BTreeMap::new(),
            is_urgent: false,
            told: Told::Nothing,
            turn: 0,
            is_large_told: false,
        }));
        (Box::new(Mirrored(shared.clone())), Self(shared))
    }

    /// Whether the copy is wanted.
    pub fn wants_restore(&self) -> bool {
        self.0.borrow().wants_restore
    }

    /// The copy was given back, or there is none.
    pub fn is_answered(&self) {
        let shared = &mut *self.0.borrow_mut();
        if std::mem::take(&mut shared.wants_restore) {
            shared.below.put(RecordKind::Server, ASKED, &[]);
        }
    }

    /// Everything is to be told anew, with [`Mirror::tell_more`] for the turn that is returned. `None`: the copy is wanted first.
    pub fn start_over(&self) -> Option<u64> {
        let shared = &mut *self.0.borrow_mut();
        shared.changed.clear();
        shared.turn += 1;
        shared.told = match shared.wants_restore {
            true => Told::Nothing,
            false => Told::UpTo(None),
        };
        (!shared.wants_restore).then_some(shared.turn)
    }

    /// Tells the next piece of everything.
    pub fn tell_more(&self, turn: u64) -> Progress {
        self.0.borrow_mut().tell_more(turn)
    }
}

impl Shared {
    fn tell_more(&mut self, turn: u64) -> Progress {
        let Told::UpTo(last) = &self.told else { return Progress::Done };
        if turn != self.turn {
            return Progress::Done;
        }
        let from = match last {
            Some(last) => Bound::Excluded(last),
            None => Bound::Unbounded,
        };
        let (mut records, mut bytes, mut end) = (Vec::new(), 0, None);
        for (key, value) in self.kept.range::<Key, _>((from, Bound::Unbounded)) {
            if bytes >= CHUNK {
                break;
            }
            bytes += OVERHEAD + value.len();
            end = Some(key.clone());
            records.extend(copy(key, Some(value)).ok());
        }
        let is_over = bytes < CHUNK;
        if !(self.tell)(records, is_over) {
            return Progress::Later;
        }
        if is_over {
            self.told = Told::All;
            return Progress::Done;
        }
        self.told = Told::UpTo(end);
        Progress::More
    }

    /// Remembers that a record is about to change, or is about to be no more.
    fn changes(&mut self, key: &Key, is_over: bool) {
        let is_told = match &self.told {
            Told::All => true,
            Told::UpTo(last) => last.as_ref().is_some_and(|last| key <= last),
            Told::Nothing => false,
        };
        if !is_told {
            return;
        }
        self.is_urgent |= !is_over || !matches!(key.0, RecordKind::Session | RecordKind::Conference);
        if !self.changed.contains_key(key) {
            self.changed.insert(key.clone(), self.kept.contains_key(key));
        }
    }

    /// Tells what has changed, as far as it can be told.
    fn tell_changes(&mut self) {
        if !self.is_urgent && self.changed.len() < MOST_OVER {
            return;
        }
        while !self.changed.is_empty() {
            let (mut records, mut bytes, mut end) = (Vec::new(), 0, None);
            for (key, was_told) in &self.changed {
                if bytes >= CHUNK {
                    break;
                }
                let value = self.kept.get(key);
                bytes += OVERHEAD + value.map_or(0, Vec::len);
                end = Some(key.clone());
                if value.is_none() && !was_told {
                    continue;
                }
                records.push(copy(key, value).unwrap_or_else(|nothing| {
                    if !std::mem::replace(&mut self.is_large_told, true) {
                        tracing::warn!(kind = key.0.name(), "a record is too large for the T-Server's copy");
                    }
                    nothing
                }));
            }
            if !records.is_empty() && !(self.tell)(records, false) {
                return;
            }
            let Some(end) = end else { return };
            self.changed = self.changed.split_off(&end);
            self.changed.remove(&end);
        }
        self.is_urgent = false;
    }
}

impl Journal for Mirrored {
    fn put(&mut self, kind: RecordKind, id: &[u8], value: &[u8]) {
        let shared = &mut *self.0.borrow_mut();
        shared.below.put(kind, id, value);
        if is_copied(kind) {
            let key = key(kind, id);
            shared.changes(&key, false);
            shared.kept.insert(key, value.to_vec());
        }
    }

    fn remove(&mut self, kind: RecordKind, id: &[u8]) {
        let shared = &mut *self.0.borrow_mut();
        shared.below.remove(kind, id);
        let key = key(kind, id);
        if shared.kept.contains_key(&key) {
            shared.changes(&key, true);
            shared.kept.remove(&key);
        }
    }

    fn remove_below(&mut self, kind: RecordKind, id: &[u8]) {
        let shared = &mut *self.0.borrow_mut();
        shared.below.remove_below(kind, id);
        let below = shared.kept.range(key(kind, &[])..key(kind, id));
        for key in below.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            shared.changes(&key, true);
            shared.kept.remove(&key);
        }
    }

    fn commit(&mut self) {
        let shared = &mut *self.0.borrow_mut();
        shared.below.commit();
        shared.tell_changes();
    }

    fn is_back(&mut self) -> bool {
        self.0.borrow_mut().below.is_back()
    }
}

/// Whether a copy is kept of such records.
fn is_copied(kind: RecordKind) -> bool {
    COPIED.contains(&kind)
}

fn key(kind: RecordKind, id: &[u8]) -> Key {
    (kind, SmallVec::from_slice(id))
}

/// A record as it is told; where it is too large, that there is none.
fn copy((kind, id): &Key, value: Option<&Vec<u8>>) -> Result<CopiedRecord, CopiedRecord> {
    let fits = value.is_none_or(|value| value.len() <= LARGEST);
    let record = CopiedRecord {
        kind: *kind as u8,
        id: id.to_vec(),
        value: value.filter(|_| fits).cloned(),
    };
    if fits { Ok(record) } else { Err(record) }
}

/// A record of a copy as this journal would have had it; `None` for one of no use here.
pub fn given_back(record: CopiedRecord) -> Option<Record> {
    let kind = RecordKind::from_number(record.kind).filter(|kind| is_copied(*kind))?;
    Some(Record {
        kind,
        id: record.id,
        value: record.value?,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::NoJournal;
    use super::*;

    type Rows = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

    /// Whoever keeps the copy.
    #[derive(Clone, Default)]
    struct Copy {
        records: Rc<RefCell<Rows>>,
        is_whole: Rc<Cell<bool>>,
        messages: Rc<Cell<usize>>,
        is_deaf: Rc<Cell<bool>>,
    }

    impl Copy {
        fn tell(&self) -> Tell {
            let this = self.clone();
            Box::new(move |records, end| {
                if this.is_deaf.get() {
                    return false;
                }
                this.messages.set(this.messages.get() + 1);
                this.is_whole.set(this.is_whole.get() || end);
                let mut kept = this.records.borrow_mut();
                for record in records {
                    let key = (record.kind, record.id);
                    match record.value {
                        Some(value) => drop(kept.insert(key, value)),
                        None => drop(kept.remove(&key)),
                    }
                }
                true
            })
        }

        fn forgets(&self) {
            self.records.borrow_mut().clear();
            self.is_whole.set(false);
            self.messages.set(0);
        }

        fn values(&self) -> Vec<Vec<u8>> {
            self.records.borrow().values().cloned().collect()
        }
    }

    fn record(id: u8, value: &[u8]) -> Record {
        Record {
            kind: RecordKind::Session,
            id: vec![id],
            value: value.to_vec(),
        }
    }

    fn over(copy: &Copy, records: &[Record]) -> (Box<dyn Journal>, Mirror) {
        Mirror::over(Box::new(NoJournal), records, copy.tell())
    }

    fn tells_all(mirror: &Mirror) {
        let turn = mirror.start_over().expect("nothing is wanted");
        while mirror.tell_more(turn) == Progress::More {}
    }

    #[test]
    fn what_is_kept_is_told_whole_and_then_what_changes() {
        let copy = Copy::default();
        let (mut journal, mirror) = over(&copy, &[record(1, b"a"), record(2, b"b")]);
        journal.put(RecordKind::Session, &[3], b"c");
        journal.put(RecordKind::Server, &[1], b"not copied");
        journal.commit();
        assert_eq!(copy.messages.get(), 0, "nobody listens");
        tells_all(&mirror);
        assert!(copy.is_whole.get());
        assert_eq!(copy.values(), [b"a", b"b", b"c"]);
        journal.put(RecordKind::Session, &[1], b"A");
        journal.put(RecordKind::Session, &[1], b"AA");
        journal.remove(RecordKind::Session, &[2]);
        journal.put(RecordKind::Session, &[9], b"short-lived");
        journal.remove(RecordKind::Session, &[9]);
        assert_eq!(copy.messages.get(), 1, "only with the commit");
        journal.commit();
        journal.commit();
        assert_eq!((copy.messages.get(), copy.values()), (2, vec![b"AA".to_vec(), b"c".to_vec()]));
        journal.remove_below(RecordKind::Session, &[3]);
        journal.commit();
        assert_eq!(
            (copy.messages.get(), copy.values().len()),
            (2, 2),
            "that it is over is not urgent"
        );
        journal.put(RecordKind::Bindings, &[1], b"phone");
        journal.commit();
        assert_eq!(
            (copy.messages.get(), copy.values()),
            (3, vec![b"c".to_vec(), b"phone".to_vec()])
        );
        journal.remove(RecordKind::Bindings, &[1]);
        journal.commit();
        assert_eq!((copy.messages.get(), copy.values()), (4, vec![b"c".to_vec()]));
    }

    #[test]
    fn what_is_over_waits_for_others_but_not_without_end() {
        let copy = Copy::default();
        let records: Vec<_> = (0..=255).map(|id| record(id, b"a")).collect();
        let (mut journal, mirror) = over(&copy, &records);
        tells_all(&mirror);
        for id in 0..=255 {
            assert_eq!(copy.values().len(), 256);
            journal.remove(RecordKind::Session, &[id]);
            journal.commit();
        }
        assert!(copy.values().is_empty());
    }

    #[test]
    fn what_cannot_be_told_is_told_later_each_record_once() {
        let copy = Copy::default();
        let (mut journal, mirror) = over(&copy, &[record(1, b"a")]);
        tells_all(&mirror);
        copy.is_deaf.set(true);
        for value in 0..10_u8 {
            journal.put(RecordKind::Session, &[1], &[value]);
            journal.put(RecordKind::Session, &[2], &[value]);
            journal.commit();
        }
        journal.remove(RecordKind::Session, &[2]);
        copy.is_deaf.set(false);
        journal.commit();
        assert_eq!((copy.messages.get(), copy.values()), (2, vec![vec![9]]));
    }

    #[test]
    fn everything_is_told_in_pieces_while_it_changes() {
        let copy = Copy::default();
        let records: Vec<_> = (0..=255).map(|id| record(id, &[id; 1000])).collect();
        let (mut journal, mirror) = over(&copy, &records);
        let turn = mirror.start_over().expect("nothing is wanted");
        assert_eq!(mirror.tell_more(turn), Progress::More);
        copy.is_deaf.set(true);
        assert_eq!(mirror.tell_more(turn), Progress::Later);
        copy.is_deaf.set(false);
        for id in [0, 255] {
            journal.put(RecordKind::Session, &[id], b"new");
            journal.remove(RecordKind::Session, &[id ^ 1]);
        }
        journal.commit();
        while mirror.tell_more(turn) == Progress::More {}
        let expected: Rows = mirror
            .0
            .borrow()
            .kept
            .iter()
            .map(|(key, value)| ((key.0 as u8, key.1.to_vec()), value.clone()))
            .collect();
        assert_eq!(*copy.records.borrow(), expected);
        assert_eq!(
            (copy.messages.get(), copy.is_whole.get()),
            (5, true),
            "four pieces, one change"
        );
        copy.forgets();
        let next = mirror.start_over().expect("nothing is wanted");
        assert_eq!(
            (mirror.tell_more(turn), copy.messages.get()),
            (Progress::Done, 0),
            "an older turn"
        );
        while mirror.tell_more(next) == Progress::More {}
        assert_eq!(*copy.records.borrow(), expected);
    }

    #[test]
    fn a_new_journal_asks_for_the_copy_and_one_that_has_asked_does_not() {
        let copy = Copy::default();
        let (mut journal, mirror) = over(&copy, &[]);
        journal.put(RecordKind::Session, &[1], b"a");
        journal.commit();
        assert!(
            mirror.wants_restore() && mirror.start_over().is_none(),
            "what it has of its own is no matter"
        );
        mirror.is_answered();
        assert!(!mirror.wants_restore());
        tells_all(&mirror);
        assert_eq!(copy.values(), [b"a"]);
        let asked = Record {
            kind: RecordKind::Server,
            id: ASKED.to_vec(),
            value: Vec::new(),
        };
        assert!(!over(&copy, &[asked]).1.wants_restore());
        assert!(!over(&copy, &[record(1, b"a")]).1.wants_restore());
        let early = Record {
            kind: RecordKind::Bindings,
            ..record(1, b"a")
        };
        assert!(over(&copy, &[early]).1.wants_restore(), "it was killed before it could ask");
    }

    #[test]
    fn a_record_that_is_too_large_is_left_out() {
        let copy = Copy::default();
        let (mut journal, mirror) = over(&copy, &[record(1, b"a"), record(2, &vec![0; LARGEST + 1])]);
        tells_all(&mirror);
        assert_eq!(copy.values(), [b"a"]);
        journal.put(RecordKind::Session, &[1], &vec![0; LARGEST + 1]);
        journal.commit();
        assert!(copy.values().is_empty(), "an old value is worse than none");
    }
}
