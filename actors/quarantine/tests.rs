//! What comes into the quarantine, stays and goes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::*;
use crate::supervision::panicked_at;

type Rows = Rc<RefCell<BTreeMap<u64, Vec<u8>>>>;

/// A journal, and whether everything in it is committed.
#[derive(Clone, Default)]
struct Kept(Rows, Rc<RefCell<bool>>);

impl Journal for Kept {
    fn put(&mut self, _: RecordKind, id: &[u8], value: &[u8]) {
        let number = u64::from_be_bytes(id.try_into().expect("a number"));
        self.0.borrow_mut().insert(number, value.to_vec());
        *self.1.borrow_mut() = false;
    }

    fn remove(&mut self, _: RecordKind, id: &[u8]) {
        let number = u64::from_be_bytes(id.try_into().expect("a number"));
        self.0.borrow_mut().remove(&number);
    }

    fn remove_below(&mut self, _: RecordKind, _: &[u8]) {}

    fn commit(&mut self) {
        *self.1.borrow_mut() = true;
    }

    fn is_back(&mut self) -> bool {
        false
    }
}

impl Kept {
    fn records(&self) -> Vec<Record> {
        let rows = self.0.borrow();
        let record = |(number, value): (&u64, &Vec<u8>)| Record {
            kind: RecordKind::Quarantined,
            id: number.to_be_bytes().to_vec(),
            value: value.clone(),
        };
        rows.iter().map(record).collect()
    }

    fn shared(&self) -> SharedJournal {
        Rc::new(RefCell::new(Box::new(self.clone())))
    }
}

fn opened(kept: &Kept) -> Quarantine {
    let quarantine = Quarantine::default();
    let anchor = (Instant::now(), UNIX_EPOCH + Duration::from_secs(1_000));
    quarantine.open(Scope::TServer, &kept.records(), anchor);
    quarantine
}

fn take(quarantine: &Quarantine, kept: &Kept, id: &str, input: impl Debug) {
    let journal = kept.shared();
    quarantine.take(Scope::TServer, &journal, ActorKind::Call, id.to_owned(), Some(&input));
}

#[derive(Debug)]
#[allow(dead_code, reason = "it is read by its debug form alone")]
struct Dialled(&'static str);

#[test]
fn the_same_mistake_is_one_entry_also_for_the_next_process() {
    let kept = Kept::default();
    let quarantine = opened(&kept);
    take(&quarantine, &kept, "1", Dialled("1002"));
    assert!(*kept.1.borrow(), "it is safe at once");
    take(&quarantine, &kept, "2", Dialled("0171"));
    let next = opened(&kept);
    assert_eq!(next.entries(), quarantine.entries());
    take(&next, &kept, "3", Dialled("110"));
    let entries = next.entries();
    let [(Scope::TServer, entry)] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!((entry.times, entry.id.as_str(), entry.actor.as_str()), (3, "3", "call"));
    assert_eq!(
        (entry.input.as_str(), entry.shown.as_str()),
        ("Dialled", "Dialled(\"**** (length:03)\")")
    );
    assert!(entry.first_unix_micros >= 1_000_000_000 && entry.first_unix_micros <= entry.last_unix_micros);
    assert_eq!(kept.records().len(), 1);
}

#[test]
fn it_is_bounded_and_keeps_what_came_last() {
    let kept = Kept::default();
    let quarantine = opened(&kept);
    for mistake in 0..MOST + 10 {
        panicked_at(&format!("call.rs:{mistake}:1"));
        crate::supervision::caught("a mistake");
        take(&quarantine, &kept, "1", Dialled("1002"));
    }
    let entries = quarantine.entries();
    assert_eq!((entries.len(), kept.records().len()), (MOST, MOST));
    let places: Vec<_> = entries.iter().map(|(_, entry)| entry.place.as_str()).collect();
    assert_eq!((places[0], places[MOST - 1]), ("call.rs:73:1", "call.rs:10:1"));
    assert!(kept.records().iter().all(|record| record.value.len() < 1024));
}

#[test]
fn it_is_put_again_when_the_journal_had_lost_it() {
    let kept = Kept::default();
    let quarantine = opened(&kept);
    take(&quarantine, &kept, "1", Dialled("1002"));
    let before = kept.records();
    kept.0.borrow_mut().clear();
    quarantine.keep_again(Scope::TServer, &mut kept.clone());
    assert_eq!(kept.records(), before);
}

#[test]
fn what_cannot_even_be_shown_is_taken_in_without() {
    struct Broken;
    impl Debug for Broken {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("not even that")
        }
    }
    let kept = Kept::default();
    let quarantine = opened(&kept);
    take(&quarantine, &kept, "1", Broken);
    assert_eq!(quarantine.entries()[0].1.shown, "it cannot be shown");
}
