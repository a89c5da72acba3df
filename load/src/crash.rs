//! `crash`: the server is killed with SIGKILL while calls are up, and started again; every call is tried ([`crate::world::Recovery`]).
//!
//! Invariant: the server of all rounds is one that we started, and has the same journal at each start.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::bench::Bench;
use crate::cli::{Crash, Transport};
use crate::profile::Profile;
use crate::report::{Mark, Report, show_faults};
use crate::server;
use crate::stats::Faults;
use crate::world::{DeskSeat, Recovery, Schedule};

/// How often conditions are looked at.
const LOOK: Duration = Duration::from_millis(2);
/// How long calls may take to come up, beyond the time that the rate asks for.
const UP_LIMIT: Duration = Duration::from_secs(20);
/// How long the connections of a dead process may seem to live.
const DEAD: Duration = Duration::from_secs(5);
/// How long the whole of a recovery may take, beyond the time that the rate of trying asks for.
const RECOVERY_LIMIT: Duration = Duration::from_secs(40);
/// How long calls that were given up may take to end.
const LEFT: Duration = Duration::from_secs(3);
/// What comes to the sockets of a dead process comes within this.
const DRAIN: Duration = Duration::from_millis(5);

/// One kill and what became of it.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "figures named by what they are")]
pub struct Round {
    /// Calls that were up at the kill.
    pub established: u64,
    pub in_talk: u64,
    pub on_hold: u64,
    pub consulting: u64,
    pub in_conference: u64,
    /// Calls that were ringing, dialling or ending.
    pub interrupted: u64,
    /// Calls that were up and are not what they were.
    pub lost: Faults,
    /// Events of any client.
    pub events_missed: u64,
    pub events_repeated: u64,
    pub events_wrong: u64,
    /// Parties without a terminal event.
    pub without_end: Faults,
    /// Requests that had no answer at the kill.
    pub in_flight: u64,
    /// Those of them that never got one, though the server had read them.
    pub unanswered: Faults,
    /// Those that it need not have read.
    pub unread: u64,
    /// Requests after the restart that were refused at first, and asked again.
    pub refused: Faults,
    /// From the start of the process, in milliseconds: to `200` of /readyz,
    pub ready_ms: Option<f64>,
    /// to the first sign of a call from before,
    pub first_ms: Option<f64>,
    /// and until each of them has answered a request.
    pub all_ms: Option<f64>,
    /// How many of them have.
    pub controllable: u64,
    /// Legs that the server refreshed.
    pub refreshed: u64,
    pub rss_kib_before: u64,
    pub rss_kib_after: u64,
    /// The journal on disk at the kill.
    pub journal_kib: u64,
}

/// How many calls there can be at once; an error where the options cannot be together.
pub fn concurrency(crash: &Crash) -> Result<u64, String> {
    let rules = [
        (
            crash.common.server_bin.is_none(),
            "crash kills the server: it starts its own (--server-bin, --server-config)",
        ),
        (
            crash.common.transport == Transport::Tcp,
            "crash: the connections of phones are not made again; --transport udp",
        ),
        (crash.common.trunk_number.is_some(), "crash: not over a trunk"),
        (crash.common.metrics == "none", "crash: --metrics says where /readyz is"),
        (crash.rounds == 0, "--rounds: at least one"),
        (crash.secs < 0.0, "--secs: not less than zero"),
        (
            crash.try_rate <= 0.0 || crash.rate <= 0.0,
            "--rate, --try-rate: more than zero",
        ),
    ];
    match rules.iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err((*rule).to_owned()),
        None => Ok(crash.calls + more(crash)),
    }
}

/// Calls that are being set up beside those that are up.
fn more(crash: &Crash) -> u64 {
    if crash.mix { 0 } else { crash.calls / 10 + 1 }
}

/// Runs it.
pub async fn run(crash: &Crash, bench: &mut Bench) -> Result<Report, String> {
    let profile = crash.mix.then(|| Profile::load(&crash.profile)).transpose()?;
    // A call of a mix lasts for a few of its pauses: as long as it takes until the others are up.
    let whole = Duration::from_secs_f64(crash.calls as f64 / crash.rate / 2.0);
    let pause = profile.as_ref().map(|profile| profile.pause().max(whole));
    let profile = profile.zip(pause).map(|(profile, pause)| profile.with_pause(pause));
    let before = Mark::now(bench);
    let mut rounds = Vec::new();
    let mut random = StdRng::seed_from_u64(bench.seed);
    for _ in 0..crash.rounds {
        bench.world.borrow_mut().profile = profile.clone();
        bring_up(crash, bench, pause).await;
        tokio::time::sleep(Duration::from_secs_f64(random.random_range(0.0..=crash.secs))).await;
        rounds.push(round(crash, bench).await?);
    }
    let mut report = Report::new("crash", bench, &before);
    // The process that it was is gone; its memory is told round by round.
    report.server = None;
    report.rounds = rounds;
    Ok(report)
}

/// Until as many calls are up as there are to be, or as many as there will ever be.
async fn bring_up(crash: &Crash, bench: &Bench, pause: Option<Duration>) {
    let bar = bench.bar("setting up", crash.calls);
    let (total, most) = match crash.mix {
        true => (u64::MAX, crash.calls),
        false => (crash.calls + more(crash), crash.calls + more(crash)),
    };
    let now = Instant::now();
    bench.world.borrow_mut().schedule = Some(Schedule::new(total, crash.rate, most, pause, now));
    let by_rate = Duration::from_secs_f64(crash.calls as f64 / crash.rate);
    let limit = now + by_rate + if crash.mix { Duration::ZERO } else { UP_LIMIT };
    while Instant::now() < limit {
        let up = bench.world.borrow().calls_up().len() as u64;
        bar.set_position(up);
        if up >= crash.calls {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    bar.finish_and_clear();
}

async fn round(crash: &Crash, bench: &mut Bench) -> Result<Round, String> {
    let counts = counts(bench);
    let rss = |bench: &Bench| {
        let usage = bench.server_pid().and_then(server::usage);
        usage.map_or(0, |usage| usage.rss_kib)
    };
    let (rss_kib_before, journal_kib) = (rss(bench), bench.journal_kib());
    let bar = bench.spinner("killed");
    bench.world.borrow_mut().freeze(Instant::now());
    bench.kill_server()?;
    last_words(bench).await?;
    bench.world.borrow_mut().look_back(Instant::now());

    let started = Instant::now();
    bench.start_server_again()?;
    bench.world.borrow_mut().restarted(started);
    let ready = Rc::new(Cell::new(None));
    let page = bench.common.metrics.replace("/metrics", "/readyz");
    let waiting = tokio::task::spawn_local(until_ready(page, started, ready.clone()));
    recover(crash, bench, started).await?;
    waiting.abort();
    bar.finish_and_clear();

    let mut world = bench.world.borrow_mut();
    let recovery = world.end_recovery(Instant::now());
    let mut round = Round::of(&recovery);
    world.parties.open().into_iter().for_each(|open| round.without_end.add(open));
    world.parties.forget();
    drop(world);
    let after = self::counts(bench);
    round.events_missed = after.0 - counts.0;
    round.events_repeated = after.1 - counts.1;
    round.events_wrong = after.2 - counts.2;
    round.ready_ms = ready.get();
    (round.rss_kib_before, round.rss_kib_after, round.journal_kib) = (rss_kib_before, rss(bench), journal_kib);
    Ok(round)
}

fn counts(bench: &Bench) -> (u64, u64, u64) {
    let stats = &bench.world.borrow().stats;
    (stats.missed_events, stats.repeated_events, stats.wrong_events)
}

/// Until everything is here that the dead process sent.
async fn last_words(bench: &Bench) -> Result<(), String> {
    let deadline = Instant::now() + DEAD;
    while !bench.world.borrow().desks.iter().all(DeskSeat::is_closed) {
        if Instant::now() > deadline {
            return Err("CTI connections of the killed server are still open".into());
        }
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(DRAIN).await;
    Ok(())
}

async fn until_ready(page: String, started: Instant, ready: Rc<Cell<Option<f64>>>) {
    while server::fetch(&page).await.is_err() {
        tokio::time::sleep(LOOK).await;
    }
    ready.set(Some(ms(started.elapsed())));
}

/// Tries every call, until all is over or has taken too long.
async fn recover(crash: &Crash, bench: &mut Bench, started: Instant) -> Result<(), String> {
    let calls = bench.world.borrow().recovery.as_ref().map_or(0, Recovery::established);
    let limit = started + RECOVERY_LIMIT + Duration::from_secs_f64(calls as f64 / crash.try_rate);
    let mut tried = (Instant::now(), 0.0);
    while Instant::now() < limit {
        tokio::time::sleep(LOOK).await;
        let now = Instant::now();
        // What was not used of the rate is gone but for a moment's worth.
        let earned = now.duration_since(tried.0).as_secs_f64() * crash.try_rate;
        tried = (now, (tried.1 + earned).min(1.0 + crash.try_rate / 20.0));
        let open = bench.world.borrow().proofs_begun();
        bench.world.borrow_mut().prove_ready(tried.1 as usize, now);
        tried.1 -= (bench.world.borrow().proofs_begun() - open) as f64;
        if bench.world.borrow().is_recovered() {
            return Ok(());
        }
        if bench.server_has_ended() {
            return Err("the server did not live after its restart".into());
        }
    }
    bench.world.borrow_mut().give_up(Instant::now());
    tokio::time::sleep(LEFT).await;
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl Round {
    fn of(recovery: &Recovery) -> Self {
        let before = recovery.before;
        let mut unanswered = Faults::default();
        recovery.unanswered().into_iter().for_each(|request| unanswered.add(request));
        Self {
            established: recovery.established() as u64,
            in_talk: before.in_talk,
            on_hold: before.on_hold,
            consulting: before.consulting,
            in_conference: before.in_conference,
            interrupted: before.interrupted,
            lost: recovery.lost.clone(),
            in_flight: before.in_flight,
            unanswered,
            unread: recovery.unread(),
            refused: recovery.refused.clone(),
            first_ms: recovery.first.map(ms),
            all_ms: recovery.all.map(ms),
            controllable: recovery.controllable() as u64,
            refreshed: recovery.refreshed() as u64,
            ..Self::default()
        }
    }

    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.0} ms"));
        writeln!(
            f,
            "  {name:<12} {} calls up ({} in talk, {} on hold, {} consulting, {} in conference), {} not up: {} lost",
            self.established, self.in_talk, self.on_hold, self.consulting, self.in_conference, self.interrupted, self.lost.count
        )?;
        writeln!(
            f,
            "    events     {} missed, {} repeated, {} wrong; {} parties without end",
            self.events_missed, self.events_repeated, self.events_wrong, self.without_end.count
        )?;
        writeln!(
            f,
            "    requests   {} in flight, {} not answered, {} perhaps not read; {} refused at first after the restart",
            self.in_flight, self.unanswered.count, self.unread, self.refused.count
        )?;
        writeln!(
            f,
            "    from start {} to ready, {} to the first call, {} to all of them ({}); {} legs refreshed",
            time(self.ready_ms),
            time(self.first_ms),
            time(self.all_ms),
            self.controllable,
            self.refreshed
        )?;
        writeln!(
            f,
            "    memory     {} KiB before, {} KiB after; journal {} KiB",
            self.rss_kib_before, self.rss_kib_after, self.journal_kib
        )?;
        show_faults(f, "lost", &self.lost)?;
        show_faults(f, "without end", &self.without_end)?;
        show_faults(f, "not answered", &self.unanswered)?;
        show_faults(f, "refused", &self.refused)
    }
}

/// The rounds, and all of them together: counts added, the longest times.
pub fn show(rounds: &[Round], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, round) in rounds.iter().enumerate() {
        round.show(&format!("round {}", index + 1), f)?;
    }
    if rounds.len() > 1 {
        total(rounds).show("all rounds", f)?;
    }
    Ok(())
}

fn total(rounds: &[Round]) -> Round {
    let longest = |a: Option<f64>, b: Option<f64>| a.map_or(b, |a| Some(b.map_or(a, |b| a.max(b))));
    let add = |mut faults: Faults, more: &Faults| {
        faults.count += more.count;
        faults
    };
    rounds.iter().fold(Round::default(), |sum, round| Round {
        established: sum.established + round.established,
        in_talk: sum.in_talk + round.in_talk,
        on_hold: sum.on_hold + round.on_hold,
        consulting: sum.consulting + round.consulting,
        in_conference: sum.in_conference + round.in_conference,
        interrupted: sum.interrupted + round.interrupted,
        lost: add(sum.lost, &round.lost),
        events_missed: sum.events_missed + round.events_missed,
        events_repeated: sum.events_repeated + round.events_repeated,
        events_wrong: sum.events_wrong + round.events_wrong,
        without_end: add(sum.without_end, &round.without_end),
        in_flight: sum.in_flight + round.in_flight,
        unanswered: add(sum.unanswered, &round.unanswered),
        unread: sum.unread + round.unread,
        refused: add(sum.refused, &round.refused),
        ready_ms: longest(sum.ready_ms, round.ready_ms),
        first_ms: longest(sum.first_ms, round.first_ms),
        all_ms: longest(sum.all_ms, round.all_ms),
        controllable: sum.controllable + round.controllable,
        refreshed: sum.refreshed + round.refreshed,
        rss_kib_before: sum.rss_kib_before.max(round.rss_kib_before),
        rss_kib_after: sum.rss_kib_after.max(round.rss_kib_after),
        journal_kib: sum.journal_kib.max(round.journal_kib),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_added_and_the_longest_times_are_told() {
        let mut lost = Faults::default();
        lost.add("call 7: gone");
        let one = Round {
            established: 10,
            all_ms: Some(300.0),
            lost,
            ..Round::default()
        };
        let other = Round {
            established: 5,
            all_ms: Some(700.0),
            first_ms: Some(90.0),
            ..Round::default()
        };
        let sum = total(&[one, other]);
        assert_eq!((sum.established, sum.lost.count), (15, 1));
        assert_eq!((sum.first_ms, sum.all_ms, sum.ready_ms), (Some(90.0), Some(700.0), None));
    }
}
