//! What the journal costs: a put and commit of one record of a call, and folding. Run it with `--release`; the directory for the journal
//! is its argument, a temporary one without.
//!
//! One thread plays an arbiter with [`LIVE`] calls up: each round changes the record of one of them and commits, and now and then a call
//! ends and another begins. CPU is that of the thread, or of the process; waiting is what the arbiter sees.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tandem::store::{Settings, Sync, start};
use tandem_actors::journal::{JournalStore, RecordKind, Scope};

const RECORD_BYTES: usize = 1_200;
const EVENT_BYTES: usize = 400;
const LIVE: u64 = 1_200;
const ROUNDS: u64 = 400_000;

fn main() {
    let directory = std::env::args().nth(1).map_or_else(
        || std::env::temp_dir().join(format!("tandem-journal-cost-{}", std::process::id())),
        PathBuf::from,
    );
    for sync in [Sync::None, Sync::Interval(Duration::from_secs(1))] {
        // One for each, so that the second does not begin with what the first left.
        let directory = directory.join(if sync == Sync::None { "none" } else { "interval" });
        measure(&directory, sync);
        // What is left behind is only this.
        let _ = std::fs::remove_dir_all(&directory);
    }
}

fn measure(directory: &std::path::Path, sync: Sync) {
    let settings = Settings {
        directory: directory.to_owned(),
        sync,
        segment_bytes: 16 << 20,
        fold_interval: Duration::from_secs(3600),
        removals_within: Duration::ZERO,
    };
    let store = match start(settings.clone()) {
        Ok(store) => store,
        Err(error) => return eprintln!("{error}"),
    };
    let (mut journal, _) = store.open(Scope::TServer);
    let record = [0x5a_u8; RECORD_BYTES];
    let mut waits: Vec<Duration> = Vec::with_capacity(ROUNDS as usize);
    let (process, thread) = (cpu(libc::CLOCK_PROCESS_CPUTIME_ID), cpu(libc::CLOCK_THREAD_CPUTIME_ID));
    for round in 0..ROUNDS {
        let begun = Instant::now();
        // Each call is changed twenty times in its life.
        let id = round / (LIVE * 20) * LIVE + round % LIVE;
        journal.put(RecordKind::Call, &id.to_be_bytes(), &record);
        if (round / LIVE).is_multiple_of(20) && id >= LIVE {
            journal.remove(RecordKind::Call, &(id - LIVE).to_be_bytes());
        }
        journal.commit();
        waits.push(begun.elapsed());
    }
    let (thread, process) = (
        cpu(libc::CLOCK_THREAD_CPUTIME_ID) - thread,
        cpu(libc::CLOCK_PROCESS_CPUTIME_ID) - process,
    );
    waits.sort_unstable();
    let at = |share: f64| waits.get((waits.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!("{sync:?}: put and commit of {RECORD_BYTES} bytes, {ROUNDS} times");
    println!(
        "  CPU {:?} each on the arbiter, {:?} with the keeper and the disk",
        thread / ROUNDS as u32,
        process / ROUNDS as u32
    );
    println!(
        "  waiting p50 {:?}, p99 {:?}, p99.9 {:?}, worst {:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0 - 1e-9)
    );
    drop(journal);
    fold_of("what is left of the calls", move || drop(store));
    let store = match start(settings) {
        Ok(store) => store,
        Err(error) => return eprintln!("{error}"),
    };
    let (mut journal, records) = store.open(Scope::TServer);
    println!("  {} records after it", records.len());
    let events = 50_000_u64;
    for event in 0..events {
        journal.put(RecordKind::Event, &event.to_be_bytes(), &record[..EVENT_BYTES]);
        journal.commit();
    }
    drop(journal);
    fold_of(
        &format!("{events} events of {EVENT_BYTES} bytes that are all kept"),
        move || drop(store),
    );
}

fn fold_of(what: &str, fold: impl FnOnce()) {
    let (cpu_before, begun) = (cpu(libc::CLOCK_PROCESS_CPUTIME_ID), Instant::now());
    fold();
    println!(
        "  fold of {what}: CPU {:?}, {:?} in all",
        cpu(libc::CLOCK_PROCESS_CPUTIME_ID) - cpu_before,
        begun.elapsed()
    );
}

fn cpu(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is one that every Linux has, and the result is written into `time`.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
