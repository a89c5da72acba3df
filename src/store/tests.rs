//! The journal as a whole: opened, killed, damaged, full, and opened again.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn settings(directory: &TempDir) -> Settings {
    Settings {
        directory: directory.path().join("journal"),
        sync: Sync::None,
        segment_bytes: 1 << 20,
        fold_interval: HOUR,
        removals_within: Duration::ZERO,
    }
}

fn store(directory: &TempDir) -> Store {
    start(settings(directory)).expect("a journal")
}

fn open(store: &Store) -> (Box<dyn Journal>, Vec<Record>) {
    store.open(Scope::TServer)
}

fn values(records: &[Record]) -> Vec<(RecordKind, &[u8], &[u8])> {
    records
        .iter()
        .map(|record| (record.kind, &record.id[..], &record.value[..]))
        .collect()
}

/// The files whose name contains this.
fn files(directory: &TempDir, part: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path().join("journal")).expect("the directory");
    let names = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.contains(part)).collect();
    names.sort();
    names
}

/// What a kill leaves behind: a copy of the files as they stand.
fn killed(directory: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("journal"), copy.path().join("journal"));
    std::fs::create_dir(&to).expect("a directory");
    for name in files(directory, "journal.db").into_iter().chain(files(directory, ".seg")) {
        std::fs::copy(from.join(&name), to.join(&name)).expect("a copy");
    }
    copy
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::yield_now();
    }
}

/// Rotates: the keeper is asked for a fold, which asks for a rotation, which comes with the next commit.
fn rotate(store: &Store, journal: &mut Box<dyn Journal>) {
    store.fold_now();
    let before = files_of(store);
    until("a new segment", || {
        journal.put(RecordKind::Server, b"turn", b"");
        journal.commit();
        files_of(store) != before
    });
}

fn files_of(store: &Store) -> Option<String> {
    let lane = store.shared.lanes().first().cloned()?;
    let listed = directory::segments(store.shared.directory.path()).ok()?;
    listed.into_iter().find(|id| lane.uses(*id)).map(|id| id.to_string())
}

#[test]
fn what_was_committed_is_there_after_a_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(&directory);
    let (mut journal, records) = open(&store);
    assert!(records.is_empty());
    journal.put(RecordKind::Call, b"b", b"two");
    journal.put(RecordKind::Call, b"a", b"one");
    journal.put(RecordKind::Server, b"", b"epoch");
    journal.commit();
    journal.put(RecordKind::Call, b"c", b"not committed");
    let copy = killed(&directory);
    let after = super::tests::store(&copy);
    let expected: [(RecordKind, &[u8], &[u8]); 3] = [
        (RecordKind::Server, b"", b"epoch"),
        (RecordKind::Call, b"a", b"one"),
        (RecordKind::Call, b"b", b"two"),
    ];
    assert_eq!(values(&open(&after).1), expected, "in order of kind and id");
    assert!(after.open(Scope::Connector(0)).1.is_empty(), "scopes are apart");
}

#[test]
fn a_journal_that_is_dropped_in_order_leaves_its_records_in_the_database() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(&directory);
    let (mut journal, _) = open(&store);
    journal.put(RecordKind::Call, b"a", b"one");
    drop(journal);
    drop(store);
    assert_eq!(files(&directory, ".seg"), [""; 0]);
    assert_eq!(open(&super::tests::store(&directory)).1.len(), 1);
}

#[test]
fn folding_keeps_what_is_live_and_deletes_the_segments() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(&directory);
    let (mut journal, _) = open(&store);
    journal.put(RecordKind::Call, b"a", b"one");
    journal.put(RecordKind::Call, b"gone", b"two");
    journal.remove(RecordKind::Call, b"gone");
    for event in 0..9_u64 {
        journal.put(RecordKind::Event, &event.to_be_bytes(), b"event");
    }
    journal.commit();
    rotate(&store, &mut journal);
    journal.remove_below(RecordKind::Event, &7_u64.to_be_bytes());
    journal.put(RecordKind::Call, b"a", b"changed");
    journal.commit();
    rotate(&store, &mut journal);
    store.fold_now();
    let in_database = store.shared.with_database(|database| database.kept(0)).expect("rows").rows;
    assert_eq!(in_database.len(), 1 + 2 + 1, "a call, two events, and what rotate put");
    assert!(files(&directory, ".seg").len() <= 2, "the one in use, and the spare");
    let (_, records) = open(&super::tests::store(&killed(&directory)));
    assert_eq!(records.len(), 4);
    assert!(records.iter().any(|record| record.value == b"changed"));
}

#[test]
fn a_record_put_twice_before_the_commit_is_written_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(&directory);
    let (mut journal, _) = open(&store);
    let size = || {
        let path = directory.path().join("journal").join(files_of(&store).expect("a segment"));
        std::fs::metadata(path).expect("its size").len()
    };
    let frame = |value: usize| (frame::HEAD + 3 + 1 + value) as u64;
    let mut expected = segment::HEADER as u64;
    journal.put(RecordKind::Call, b"a", b"1");
    journal.put(RecordKind::Call, b"a", b"22");
    journal.commit();
    expected += frame(2);
    assert_eq!(size(), expected);
    journal.put(RecordKind::Call, b"a", b"333");
    journal.remove(RecordKind::Call, b"a");
    journal.commit();
    expected += frame(0);
    assert_eq!(size(), expected);
    journal.put(RecordKind::Call, b"a", b"1");
    journal.put(RecordKind::Client, b"a", b"1");
    journal.commit();
    expected += 2 * frame(1);
    assert_eq!(size(), expected, "another kind is another record");
    journal.commit();
    assert_eq!(size(), expected, "nothing to do");
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let _first = store(&directory);
    let error = start(settings(&directory)).err().expect("refused").to_string();
    assert!(
        error.contains(&directory.path().join("journal").display().to_string()),
        "{error}"
    );
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
}

#[test]
fn a_scope_is_open_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(&directory);
    let (mut journal, _) = open(&store);
    journal.put(RecordKind::Call, b"a", b"one");
    journal.commit();
    let (mut second, records) = open(&store);
    assert!(records.is_empty());
    second.put(RecordKind::Call, b"b", b"two");
    second.commit();
    assert_eq!(open(&super::tests::store(&killed(&directory))).1.len(), 1);
}

#[test]
fn a_directory_that_cannot_be_made_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("journal"), "a file").expect("written");
    let error = start(settings(&directory)).err().expect("refused").to_string();
    assert!(
        error.starts_with("journal.dir: ") && error.contains("journal.enabled"),
        "{error}"
    );
}

/// Changes the only segment that has something in it, of a journal that was killed.
fn damaged(change: impl FnOnce(&mut Vec<u8>)) -> (TempDir, Vec<Record>) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(&directory);
    let (mut journal, _) = open(&store);
    for id in [b"a", b"b", b"c"] {
        journal.put(RecordKind::Call, id, b"0123456789");
    }
    journal.commit();
    let copy = killed(&directory);
    let of_copy = copy.path().join("journal");
    let name = files_of(&store).expect("a segment");
    let mut bytes = std::fs::read(of_copy.join(&name)).expect("a segment");
    change(&mut bytes);
    std::fs::write(of_copy.join(&name), bytes).expect("written");
    let after = super::tests::store(&copy);
    let records = open(&after).1;
    after.fold_now();
    drop(after);
    (copy, records)
}

fn ids(records: &[Record]) -> String {
    records
        .iter()
        .map(|record| String::from_utf8_lossy(&record.id).into_owned())
        .collect()
}

#[test]
fn a_torn_last_record_is_not_there_and_the_others_are() {
    let (directory, records) = damaged(|bytes| bytes.truncate(bytes.len() - 3));
    assert_eq!(ids(&records), "ab");
    assert_eq!(files(&directory, "corrupt"), [""; 0]);
    assert_eq!(ids(&open(&store(&directory)).1), "ab");
}

#[test]
fn zeros_at_the_end_are_a_torn_tail() {
    let (directory, records) = damaged(|bytes| bytes.extend([0; 5000]));
    assert_eq!(ids(&records), "abc");
    assert_eq!(files(&directory, "corrupt"), [""; 0]);
}

#[test]
fn damage_in_the_middle_costs_that_record_and_the_file_is_kept_aside() {
    let (directory, records) = damaged(|bytes| bytes[segment::HEADER + 22 + 15] ^= 1);
    assert_eq!(ids(&records), "ac");
    assert_eq!(files(&directory, ".seg.corrupt-").len(), 1);
    assert_eq!(
        ids(&open(&store(&directory)).1),
        "ac",
        "what could be read is in the database"
    );
}

#[test]
fn a_damaged_header_costs_nothing() {
    let (directory, records) = damaged(|bytes| bytes[20] ^= 1);
    assert_eq!(ids(&records), "abc");
    assert_eq!(files(&directory, ".seg.corrupt-").len(), 1);
}

#[test]
fn foreign_segments_and_newer_ones_are_kept_aside() {
    let (directory, records) = damaged(|bytes| *bytes = b"a letter to my mother, who lives far away from here".to_vec());
    assert!(records.is_empty());
    assert_eq!(files(&directory, ".seg.foreign-").len(), 1);
    let (directory, records) = damaged(|bytes| bytes[9] += 1);
    assert!(records.is_empty());
    assert_eq!(files(&directory, ".seg.newer-").len(), 1);
}

/// A journal with one record in its database, changed.
fn with_database(change: impl FnOnce(&Path)) -> (TempDir, Vec<Record>) {
    let directory = tempfile::tempdir().expect("a directory");
    let before = store(&directory);
    let (mut journal, _) = open(&before);
    journal.put(RecordKind::Call, b"a", &[7; 100_000]);
    drop(journal);
    drop(before);
    change(&directory.path().join("journal").join(database::FILE));
    let after = store(&directory);
    let (mut journal, records) = open(&after);
    journal.put(RecordKind::Call, b"b", b"after");
    drop(journal);
    drop(after);
    let names = files(&directory, "journal.db");
    assert!(names.contains(&database::FILE.to_owned()), "{names:?}");
    assert_eq!(ids(&open(&store(&directory)).1).trim_start_matches('a'), "b");
    (directory, records)
}

#[test]
fn a_database_of_something_else_is_kept_aside() {
    let (directory, records) = with_database(|path| std::fs::write(path, "a letter to my mother").expect("written"));
    assert!(records.is_empty());
    assert_eq!(files(&directory, "journal.db.foreign-").len(), 1);
}

#[test]
fn a_damaged_database_is_kept_aside() {
    let (directory, records) = with_database(|path| {
        let mut bytes = std::fs::read(path).expect("the database");
        bytes[100..20_000].fill(0x55);
        std::fs::write(path, bytes).expect("written");
    });
    assert!(records.is_empty());
    assert_eq!(files(&directory, "journal.db.corrupt-").len(), 1);
}

#[test]
fn a_newer_database_is_kept_aside() {
    let (directory, records) = with_database(|path| {
        let newer = rusqlite::Connection::open(path).expect("a database");
        newer.pragma_update(None, "user_version", 9).expect("a version");
    });
    assert!(records.is_empty());
    assert_eq!(files(&directory, "journal.db.newer-").len(), 1);
}

#[test]
fn a_database_that_is_damaged_while_it_is_used_has_the_owner_put_everything_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(&directory);
    let (mut journal, _) = open(&store);
    journal.put(RecordKind::Call, b"a", b"one");
    journal.commit();
    rotate(&store, &mut journal);
    store.fold_now();
    *lock(&store.shared.database) = None;
    std::fs::write(directory.path().join("journal").join(database::FILE), "a letter").expect("written");
    assert!(!journal.is_back());
    rotate(&store, &mut journal);
    store.fold_now();
    assert!(journal.is_back());
    assert!(!journal.is_back(), "told once");
    journal.put(RecordKind::Call, b"a", b"one");
    journal.commit();
    let copy = killed(&directory);
    assert!(ids(&open(&super::tests::store(&copy)).1).contains('a'));
}

/// Puts a file into the lane of the only scope on which every write fails.
fn fill_the_disk(store: &Store, journal: &mut Box<dyn Journal>) {
    let lane = store.shared.lanes().first().cloned().expect("a lane");
    until("the spare", || !lane.needs_spare());
    let full = OpenOptions::new().append(true).open("/dev/full").expect("/dev/full");
    let id = lane.reserve();
    lane.offer(Some(Open {
        id,
        file: Arc::new(full),
    }));
    lane.ask_rotation();
    journal.put(RecordKind::Call, b"before", b"");
    journal.commit();
    journal.put(RecordKind::Call, b"lost", b"");
    journal.commit();
}

#[test]
fn storage_that_fails_costs_what_is_put_meanwhile_and_the_owner_is_told_when_it_works_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(&directory);
    let (mut journal, _) = open(&store);
    journal.put(RecordKind::Call, b"stale", b"");
    fill_the_disk(&store, &mut journal);
    until("the journal to be back", || {
        journal.commit();
        journal.is_back()
    });
    assert!(!journal.is_back(), "told once");
    journal.put(RecordKind::Call, b"again", b"");
    journal.commit();
    let found = ids(&open(&super::tests::store(&killed(&directory))).1);
    assert_eq!(found, "againbeforestale", "nothing is void before everything was put again");
}

#[test]
fn what_was_put_before_is_void_once_everything_was_put_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(&directory);
    let (journal, _) = open(&store);
    drop(journal);
    let lane = Arc::new(Lane::new(Scope::TServer, store.shared.lanes()[0].reserve().number, false));
    lock(&store.shared.lanes).insert(Scope::TServer, lane.clone());
    lane.begin();
    store.shared.wake();
    until("the first segment", || !lane.needs_spare());
    let mut journal = SegmentJournal::new(store.shared.clone(), lane.clone());
    journal.put(RecordKind::Call, b"stale", b"");
    journal.commit();
    lane.ask_again();
    assert!(journal.is_back());
    for id in [&b"a"[..], b"b"] {
        journal.put(RecordKind::Call, id, b"");
        journal.commit();
    }
    store.fold_now();
    assert!(lane.rotation_wanted(), "put off until the word that everything was put again");
    journal.end_put_again();
    journal.commit();
    assert_eq!(
        ids(&open(&super::tests::store(&killed(&directory))).1),
        "ab",
        "though nothing was put"
    );
    journal.put(RecordKind::Call, b"c", b"");
    journal.commit();
    assert_eq!(ids(&open(&super::tests::store(&killed(&directory))).1), "abc");
    until("the rotation", || {
        journal.put(RecordKind::Call, b"d", b"");
        journal.commit();
        !lane.rotation_wanted()
    });
    store.fold_now();
    let in_database = store.shared.with_database(|database| database.kept(0)).expect("rows").rows;
    let has = |id: &[u8]| in_database.contains_key(&(RecordKind::Call as u8, id.to_vec()));
    assert!(has(b"a") && has(b"b") && !has(b"stale"));
}

#[test]
fn the_metrics_say_what_is_written_and_what_fails() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let directory = tempfile::tempdir().expect("a directory");
        let store = store(&directory);
        let (mut journal, _) = open(&store);
        journal.put(RecordKind::Call, b"a", b"");
        journal.remove(RecordKind::Call, b"b");
        journal.commit();
        let page = recorder.handle().render();
        let has = |page: &str, line: &str| assert!(page.lines().any(|of| of == line), "{line} in\n{page}");
        has(&page, "tandem_journal_records_total{scope=\"tserver\",op=\"put\"} 1");
        has(&page, "tandem_journal_records_total{scope=\"tserver\",op=\"remove\"} 1");
        has(&page, "tandem_journal_bytes_total 24");
        has(&page, "tandem_journal_degraded{scope=\"tserver\"} 0");
        has(&page, "tandem_journal_commit_seconds_count 1");
        fill_the_disk(&store, &mut journal);
        let page = recorder.handle().render();
        has(&page, "tandem_journal_degraded{scope=\"tserver\"} 1");
        has(&page, "tandem_journal_errors_total{operation=\"write\"} 1");
        until("the journal to be back", || journal.is_back());
        has(&recorder.handle().render(), "tandem_journal_degraded{scope=\"tserver\"} 0");
    });
}

#[test]
fn segments_are_written_in_the_order_of_their_numbers() {
    let directory = tempfile::tempdir().expect("a directory");
    let shared = store(&directory).shared.clone();
    let lane = Lane::new(Scope::TServer, 0, false);
    assert!(!lane.needs_spare(), "whoever opens it makes the first one");
    let make = |id| {
        let file = Arc::new(shared.directory.make_segment(id).expect("a segment"));
        Some(Open { id, file })
    };
    let (early, late) = (lane.reserve(), lane.reserve());
    lane.offer(make(late));
    assert!(lane.advance(0).is_some());
    lane.begin();
    lane.offer(make(early));
    assert!(
        lane.needs_spare() && lane.advance(0).is_none(),
        "an earlier one is not taken after a later one"
    );
}

#[test]
fn a_lane_without_a_segment_keeps_nothing_in_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let shared = store(&directory).shared.clone();
    let mut journal = SegmentJournal::new(shared, Arc::new(Lane::new(Scope::TServer, 0, false)));
    for _ in 0..1000 {
        journal.put(RecordKind::Call, b"a", &[0; 1000]);
        journal.commit();
    }
    assert!(journal.is_idle());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Puts, removals, folds and kills in any order: what is there is what a table would hold.
    #[test]
    fn the_journal_holds_what_a_table_would_hold(steps in vec((0..12_u8, 0..6_u8, any::<u8>()), 1..60)) {
        let directory = tempfile::tempdir().expect("a directory");
        let store = store(&directory);
        let (mut journal, _) = open(&store);
        let mut expected = BTreeMap::new();
        for (step, id, value) in steps {
            let id = [id];
            match step {
                0..6 => {
                    journal.put(RecordKind::Event, &id, &[value; 40]);
                    expected.insert(id, vec![value; 40]);
                }
                6..9 => {
                    journal.remove(RecordKind::Event, &id);
                    expected.remove(&id);
                }
                9 => {
                    journal.remove_below(RecordKind::Event, &id);
                    expected.retain(|of, _| *of >= id);
                }
                _ => store.fold_now(),
            }
            journal.commit();
        }
        let copy = killed(&directory);
        let (_, records) = open(&super::tests::store(&copy));
        let found: BTreeMap<[u8; 1], Vec<u8>> = records.iter().map(|record| ([record.id[0]], record.value.clone())).collect();
        prop_assert_eq!(found, expected);
    }
}
