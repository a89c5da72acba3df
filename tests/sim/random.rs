//! Many seeds, each a world of its own.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::chance::{LAST, Outcome, play, play_killed, play_killed_connected, play_split, play_stormy};
use super::world::in_virtual_time;

/// How many seeds a run plays by default.
const SEEDS: u64 = 100;

/// Those with kills that once failed: each had found something that no other test finds.
const ONCE_FAILED_KILLED: [u64; 8] = [1_385, 1_509, 4_565, 7_447, 7_851, 9_377, 9_816, 12_863];

/// What all seeds together led to.
#[derive(Default)]
struct Total {
    calls: AtomicUsize,
    established: AtomicUsize,
    operations: AtomicUsize,
    moved: AtomicUsize,
    heard: AtomicUsize,
}

impl Total {
    fn add(&self, outcome: &Outcome) {
        self.calls.fetch_add(outcome.calls, Ordering::Relaxed);
        self.established.fetch_add(outcome.established, Ordering::Relaxed);
        self.operations.fetch_add(outcome.operations, Ordering::Relaxed);
        self.moved.fetch_add(outcome.moved, Ordering::Relaxed);
        self.heard.fetch_add(outcome.heard, Ordering::Relaxed);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Plays one seed where the environment names it, else so many, and those that once failed.
fn play_all<F: Future<Output = Outcome>>(default: u64, once_failed: &[u64], play: fn(u64) -> F) {
    if let Some(seed) = number("TANDEM_SIM_SEED") {
        let played = catch_unwind(AssertUnwindSafe(|| in_virtual_time(play(seed))));
        for line in LAST.take().iter().flat_map(|wire| wire.transcript()) {
            println!("{line}");
        }
        if let Err(panic) = played {
            resume_unwind(panic);
        }
        return;
    }
    let seeds = number("TANDEM_SIM_SEEDS").unwrap_or(default);
    // A long run: as many seeds as so many operations take.
    let operations = number("TANDEM_SIM_OPERATIONS").map(|operations| operations as usize);
    let first = number("TANDEM_SIM_FIRST").unwrap_or(0);
    let (next, total) = (AtomicU64::new(first), Total::default());
    let failed = Mutex::new(Vec::new());
    for seed in once_failed {
        if catch_unwind(AssertUnwindSafe(|| in_virtual_time(play(*seed)))).is_err() {
            failed.lock().unwrap_or_else(PoisonError::into_inner).push(*seed);
        }
    }
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let enough = match operations {
                Some(operations) => total.operations.load(Ordering::Relaxed) >= operations,
                None => seed >= first + seeds,
            };
            if enough {
                break;
            }
            match catch_unwind(AssertUnwindSafe(|| in_virtual_time(play(seed)))) {
                Ok(outcome) => total.add(&outcome),
                Err(_) => failed.lock().unwrap_or_else(PoisonError::into_inner).push(seed),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let replay = "TANDEM_SIM_SEED=<seed> cargo test --test tests sim::random -- --nocapture";
    assert!(failed.is_empty(), "seeds {failed:?} failed; play one again with {replay}");
    let played = next.into_inner() - first;
    let totals = [total.calls, total.established, total.operations, total.moved, total.heard];
    let [calls, established, operations, moved, heard] = totals.map(AtomicUsize::into_inner);
    println!(
        "about {played} seeds from {first}: {operations} operations, {calls} calls, {established} of them talked in, {moved} parties moved, {heard} pairs heard or did not hear at rest"
    );
    assert!(
        established * 5 > calls,
        "the simulation has lost its bite: {established} of {calls} calls were talked in"
    );
}

#[test]
fn every_call_of_every_seed_ends_once_for_everyone_and_nothing_is_left() {
    play_all(SEEDS, &[], play);
}

#[test]
fn the_rules_hold_when_actors_panic() {
    play_all(SEEDS / 4, &[], play_stormy);
}

#[test]
fn the_rules_hold_when_the_server_is_killed() {
    play_all(SEEDS / 4, &ONCE_FAILED_KILLED, play_killed);
}

#[test]
fn the_rules_hold_when_connections_end_with_the_server() {
    play_all(SEEDS / 4, &[], play_killed_connected);
}

#[test]
fn the_rules_hold_when_processes_lose_each_other() {
    play_all(SEEDS / 4, &[], play_split);
}

#[test]
fn the_same_seed_gives_the_same_story() {
    for seed in 0..8 {
        let [one, other] = [0, 1].map(|_| {
            // The two runs begin at different times of the clock on the wall.
            std::thread::sleep(Duration::from_micros(1500));
            in_virtual_time(play_stormy(seed)).wire.transcript()
        });
        let difference = one.iter().zip(&other).position(|(one, other)| one != other);
        if let Some(at) = difference {
            panic!("seed {seed} told two stories at line {at}:\n{}\n---\n{}", one[at], other[at]);
        }
        assert_eq!(one.len(), other.len(), "seed {seed}");
    }
}
