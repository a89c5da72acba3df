//! SIGKILL at any moment: every record that was committed is there, and none that was removed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rand::Rng;
use tandem_actors::journal::{JournalStore, Record, RecordKind, Scope};

use super::restless;

/// Where the process to be killed writes; without it, it has nothing to do.
const DIRECTORY: &str = "TANDEM_TEST_JOURNAL";
/// The records that are up at a time, each removed when this many came after it.
const LIVE: u64 = 100;
const ROUNDS: usize = 12;

/// The process to be killed: puts numbered records, commits, and says so.
#[test]
fn the_process_to_be_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let store = restless(Path::new(&directory));
    let (mut journal, records) = store.open(Scope::TServer);
    let (mut other, _) = store.open(Scope::Connector(0));
    let mut out = std::io::stdout().lock();
    let first = next(&records);
    for cut_short in numbers(&records, RecordKind::Call).range(..first.saturating_sub(LIVE)) {
        // The commit that the kill cut in two: its record is there, the removal is not.
        journal.remove(RecordKind::Call, &cut_short.to_be_bytes());
    }
    for number in first.. {
        let id = number.to_be_bytes();
        journal.put(RecordKind::Call, &id, &vec![number as u8; 300 + number as usize % 1500]);
        journal.put(RecordKind::Event, &id, b"an event");
        if let Some(gone) = number.checked_sub(LIVE) {
            journal.remove(RecordKind::Call, &gone.to_be_bytes());
            journal.remove_below(RecordKind::Event, &(gone + 1).to_be_bytes());
        }
        other.put(RecordKind::Session, b"the only one", &id);
        other.commit();
        journal.commit();
        if writeln!(out, "committed {number}").is_err() {
            return;
        }
    }
}

fn numbers(records: &[Record], kind: RecordKind) -> BTreeSet<u64> {
    let of_kind = records.iter().filter(|record| record.kind == kind);
    let number = |record: &Record| u64::from_be_bytes(record.id.as_slice().try_into().expect("8 bytes"));
    of_kind.map(number).collect()
}

fn next(records: &[Record]) -> u64 {
    numbers(records, RecordKind::Call).last().map_or(0, |last| last + 1)
}

/// Runs it, kills it after so many lines, and gives the last number that it said.
fn killed_after(lines: usize, directory: &Path) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "store::kill::the_process_to_be_killed",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    let number = |line: String| {
        line.rsplit_once("committed ")
            .and_then(|(_, number)| number.parse::<u64>().ok())
    };
    let last = said.by_ref().filter_map(number).nth(lines);
    child.kill().expect("killed");
    // What it said before it died was committed, too.
    let last = said.filter_map(number).last().or(last).expect("a number");
    child.wait().expect("its end");
    last
}

#[test]
fn every_record_that_was_committed_before_a_kill_is_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = directory.path().join("journal");
    for round in 0..ROUNDS {
        let lines = rand::rng().random_range(0..3000);
        let last = killed_after(lines, &journal);
        let store = restless(&journal);
        let (_, records) = store.open(Scope::TServer);
        let first = (last + 1).saturating_sub(LIVE);
        for kind in [RecordKind::Call, RecordKind::Event] {
            let found = numbers(&records, kind);
            let missing: Vec<u64> = (first..=last).filter(|number| !found.contains(number)).collect();
            // The one after the last that was said may be there, and have had its removals.
            let missing = missing
                .into_iter()
                .filter(|number| *number > first || !found.contains(&(last + 1)));
            assert_eq!(
                missing.collect::<Vec<_>>(),
                [0_u64; 0],
                "{kind:?}, round {round}, killed after {last}"
            );
            let stale: Vec<u64> = found.range(..first).copied().collect();
            assert_eq!(stale, [0_u64; 0], "{kind:?}, round {round}, killed after {last}");
        }
        for record in records.iter().filter(|record| record.kind == RecordKind::Call) {
            let number = u64::from_be_bytes(record.id.as_slice().try_into().expect("8 bytes"));
            assert_eq!(record.value, vec![number as u8; 300 + number as usize % 1500]);
        }
        let (_, records) = store.open(Scope::Connector(0));
        let of_other = u64::from_be_bytes(
            records
                .first()
                .expect("its record")
                .value
                .as_slice()
                .try_into()
                .expect("8 bytes"),
        );
        assert!((last..=last + 1).contains(&of_other), "{of_other} after {last}");
    }
}
