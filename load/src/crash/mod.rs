//! `crash`: the server is killed with SIGKILL while calls are up, and started again; every call is tried ([`crate::world::Recovery`]).
//! Where its connectors are processes, one of them is killed, stopped or cut off ([`connectors`]), too.
//!
//! Invariant: the server of all rounds is one that we started, and has the same journal at each start.

mod connectors;
mod round;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bench::{Bench, Size};
use crate::cli::{Common, Crash, Fault, Transport};
use crate::fleet;
use crate::http;
use crate::mix;
use crate::profile::Profile;
use crate::report::{Mark, Report};
use crate::world::{DeskSeat, Recovery, Schedule};

pub use round::{Round, show};

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
/// How long the calls last that arrive while others are up.
const ARRIVING: Duration = Duration::from_secs(1);
/// What comes to the sockets of a dead process comes within this.
const DRAIN: Duration = Duration::from_millis(5);

/// What is to be set up; an error where the options cannot be together.
pub fn size(crash: &Crash) -> Result<Size, String> {
    let of_processes = crash.processes.connectors > 0;
    let cuts = of_processes && faults(crash).contains(&Fault::Cut);
    let rules = [
        (
            crash.common.server_bin.is_none(),
            "crash kills the server: it starts its own (--server-bin, --server-config)",
        ),
        (
            crash.common.transport == Transport::Tcp && crash.mix,
            "crash --mix: nothing that is lost on a connection is sent again; --transport udp",
        ),
        (crash.common.trunk_number.is_some(), "crash: not over a trunk"),
        (crash.common.metrics == "none", "crash: --metrics says where /readyz is"),
        (crash.rounds == 0, "--rounds: at least one"),
        (crash.secs < 0.0, "--secs: not less than zero"),
        (
            crash.try_rate <= 0.0 || crash.rate <= 0.0,
            "--rate, --try-rate: more than zero",
        ),
        (
            crash.down_secs < 0.0 || crash.cut_secs < 0.0 || crash.pause_secs < 0.0,
            "--down-secs, --cut-secs, --pause-secs: not less than zero",
        ),
        (
            !of_processes && crash.fault.iter().any(|fault| *fault != Fault::KillTserver),
            "--fault: with connectors in processes of their own (--connectors)",
        ),
        (
            cuts && !crash.common.sip.ip().is_loopback(),
            "--fault cut: the connectors get addresses of their own; of --sip only the port counts",
        ),
    ];
    if let Some((_, rule)) = rules.iter().find(|(broken, _)| *broken) {
        return Err((*rule).to_owned());
    }
    Ok(Size {
        calls: crash.calls + more(crash),
        phones_per_call: if crash.mix { mix::PHONES_PER_CALL } else { 2 },
        fleet: order(&crash.processes, &crash.common, cuts)?,
        across: crash.processes.share_across()?,
        sets: Vec::new(),
    })
}

/// The processes to start, where there are to be more than one.
pub fn order(processes: &crate::cli::Processes, common: &Common, namespaces: bool) -> Result<Option<fleet::Order>, String> {
    if processes.connectors == 0 {
        return Ok(None);
    }
    let (Some(bin), Some(config)) = (&common.server_bin, &common.server_config) else {
        return Err("--connectors: the processes are started (--server-bin, --server-config)".into());
    };
    if common.transport == Transport::Tcp {
        return Err("--connectors: --transport udp".into());
    }
    Ok(Some(fleet::Order {
        bin: bin.clone(),
        config: config.clone(),
        connectors: processes.connectors,
        sip: common.sip,
        link_port: processes.link_port,
        namespaces,
    }))
}

/// The faults of each round, in their order.
fn faults(crash: &Crash) -> Vec<Fault> {
    match crash.fault.as_slice() {
        _ if crash.processes.connectors == 0 => vec![Fault::KillTserver],
        [] => vec![Fault::KillConnector],
        chosen if chosen.contains(&Fault::All) => vec![Fault::KillConnector, Fault::KillTserver, Fault::Pause, Fault::Cut],
        chosen => chosen.to_vec(),
    }
}

/// Calls that are being set up beside those that are up.
fn more(crash: &Crash) -> u64 {
    match (crash.mix, crash.processes.connectors) {
        (true, _) => 0,
        (false, 0) => crash.calls / 10 + 1,
        // As many as there are when each of them lasts for its time.
        (false, _) => crash.calls / 10 + 1 + (crash.rate * ARRIVING.as_secs_f64() * 1.5) as u64,
    }
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
        for fault in faults(crash) {
            bench.world.borrow_mut().profile = profile.clone();
            bring_up(crash, bench, pause).await;
            tokio::time::sleep(Duration::from_secs_f64(random.random_range(0.0..=crash.secs))).await;
            let victim = random.random_range(0..crash.processes.connectors.max(1));
            rounds.push(match fault {
                Fault::KillTserver => round(crash, bench).await?,
                _ => connectors::round(crash, fault, victim, bench).await?,
            });
        }
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
    let (now, most) = (Instant::now(), crash.calls + more(crash));
    let schedule = match (crash.mix, crash.processes.connectors) {
        (true, _) => Schedule::new(u64::MAX, crash.rate, crash.calls, pause, now),
        (false, 0) => Schedule::new(most, crash.rate, most, None, now),
        (false, _) => Schedule::new(u64::MAX, crash.rate, most, Some(ARRIVING), now).with_standing(crash.calls),
    };
    bench.world.borrow_mut().schedule = Some(schedule);
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
    let start = Start::now(bench);
    let bar = bench.spinner("killed");
    bench.world.borrow_mut().freeze(Instant::now());
    bench.kill_server()?;
    last_words(bench).await?;
    bench.world.borrow_mut().look_back(Instant::now());
    let split = crash.processes.connectors > 0;
    if split {
        tokio::time::sleep(Duration::from_secs_f64(crash.down_secs)).await;
    }

    let started = Instant::now();
    bench.start_server_again()?;
    bench.world.borrow_mut().restarted(started);
    let ready = Rc::new(Cell::new(None));
    let page = bench.common.metrics.replace("/metrics", "/readyz");
    let waiting = tokio::task::spawn_local(until_ready(page, started, ready.clone()));
    bench.connect_phones_again().await?;
    recover(crash, bench, started).await?;
    waiting.abort();
    bar.finish_and_clear();

    let mut round = start.end(bench);
    round.fault = if split { "kill-tserver".into() } else { "kill".into() };
    round.ready_ms = ready.get();
    Ok(round)
}

/// What there was before a fault.
struct Start {
    events: [u64; 3],
    failed_in_fault: u64,
    went: u64,
    rss_kib: u64,
    journal_kib: u64,
}

impl Start {
    fn now(bench: &Bench) -> Self {
        let world = bench.world.borrow();
        let stats = &world.stats;
        Self {
            events: [stats.missed_events, stats.repeated_events, stats.wrong_events],
            failed_in_fault: stats.failures_in_fault(),
            went: world.services.went(),
            rss_kib: bench.rss_kib(),
            journal_kib: bench.journal_kib(),
        }
    }

    /// The figures of the round that began so.
    fn end(self, bench: &Bench) -> Round {
        let mut world = bench.world.borrow_mut();
        let recovery = world.end_recovery(Instant::now());
        let mut round = Round::of(&recovery);
        world.parties.open().into_iter().for_each(|open| round.without_end.add(open));
        world.parties.forget();
        let out = world.services.out().iter();
        out.for_each(|dn| round.without_end.add(format!("{dn} is out of service still")));
        let stats = &world.stats;
        round.events_missed = stats.missed_events - self.events[0];
        round.events_repeated = stats.repeated_events - self.events[1];
        round.events_wrong = stats.wrong_events - self.events[2];
        round.failed_in_fault = stats.failures_in_fault() - self.failed_in_fault;
        round.went_out = world.services.went() - self.went;
        (round.rss_kib_before, round.rss_kib_after, round.journal_kib) = (self.rss_kib, bench.rss_kib(), self.journal_kib);
        round
    }
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
    while http::fetch(&page).await.is_err() {
        tokio::time::sleep(LOOK).await;
    }
    ready.set(Some(ms(started.elapsed())));
}

/// Tries every call, until all is over or has taken too long.
async fn recover(crash: &Crash, bench: &mut Bench, started: Instant) -> Result<(), String> {
    let calls = bench.world.borrow().recovery.as_ref().map_or(0, Recovery::established);
    let limit = started + RECOVERY_LIMIT + Duration::from_secs_f64(calls as f64 / crash.try_rate);
    let mut pace = Pace::of(crash);
    while Instant::now() < limit {
        tokio::time::sleep(LOOK).await;
        pace.try_calls(bench);
        if bench.world.borrow().is_recovered() {
            return Ok(());
        }
        if bench.server_has_ended() {
            return Err("the server did not live after its restart".into());
        }
    }
    give_up(bench).await;
    Ok(())
}

async fn give_up(bench: &Bench) {
    bench.world.borrow_mut().give_up(Instant::now());
    tokio::time::sleep(LEFT).await;
}

/// How many calls are tried, and when.
struct Pace {
    rate: f64,
    since: Instant,
    /// What may be tried at once.
    earned: f64,
}

impl Pace {
    fn of(crash: &Crash) -> Self {
        Self {
            rate: crash.try_rate,
            since: Instant::now(),
            earned: 0.0,
        }
    }

    /// Tries as many as are due, of those that can be.
    fn try_calls(&mut self, bench: &Bench) {
        let now = Instant::now();
        // What was not used of the rate is gone but for a moment's worth.
        let earned = now.duration_since(self.since).as_secs_f64() * self.rate;
        (self.since, self.earned) = (now, (self.earned + earned).min(1.0 + self.rate / 20.0));
        let mut world = bench.world.borrow_mut();
        let begun = world.proofs_begun();
        world.prove_ready(self.earned as usize, now);
        self.earned -= (world.proofs_begun() - begun) as f64;
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn crash(options: &str) -> Crash {
        let line = format!("tandem-load crash --server-bin t --server-config c {options}");
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Crash(crash) => crash,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_of_one_process_is_killed_and_one_of_several_is_struck_as_asked() {
        assert_eq!(faults(&crash("")), [Fault::KillTserver]);
        assert_eq!(size(&crash("")).unwrap().fleet, None);
        assert_eq!(faults(&crash("--connectors 3")), [Fault::KillConnector]);
        assert_eq!(faults(&crash("--connectors 3 --fault pause,cut")), [Fault::Pause, Fault::Cut]);
        assert_eq!(faults(&crash("--connectors 3 --fault all")).len(), 4);
        let in_namespaces = |options: &str| size(&crash(options)).unwrap().fleet.unwrap().namespaces;
        assert!(in_namespaces("--connectors 3 --fault all"));
        assert!(!in_namespaces("--connectors 3 --fault pause,kill-tserver"));
    }

    #[test]
    fn options_that_cannot_be_together_are_told() {
        for bad in [
            "--fault pause",
            "--connectors 3 --transport tcp",
            "--mix --transport tcp",
            "--connectors 3 --cut-secs=-1",
            "--connectors 3 --across 120",
            "--across 10",
            "--connectors 3 --fault cut --sip 192.0.2.1:5060",
            "--rounds 0",
        ] {
            assert!(size(&crash(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn calls_arrive_beside_those_that_are_up() {
        assert_eq!(more(&crash("--calls 100")), 11);
        assert_eq!(more(&crash("--calls 100 --connectors 3 --rate 20")), 41);
        assert_eq!(more(&crash("--calls 100 --connectors 3 --mix")), 0);
    }
}
