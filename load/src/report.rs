//! The report of a run: as text for people, as JSON for programs, and the verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::bench::Bench;
use crate::crash::Round;
use crate::drain::Drained;
use crate::rtp::LegByLeg;
use crate::server::{self, Usage};
use crate::stats::{Faults, Quantiles, Stats};

/// Everything that is told about a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The name of the command.
    pub command: &'static str,
    /// Repeats this run.
    pub seed: u64,
    /// Whether everything was as it should be.
    pub passed: bool,
    /// What was not.
    pub reasons: Vec<String>,
    /// Calls.
    pub calls: Calls,
    /// Times.
    pub times: Times,
    /// SIP messages.
    pub sip: Sip,
    /// Event streams.
    pub cti: Cti,
    /// Media, where it flowed.
    pub rtp: Option<Media>,
    /// The server's processes, where they are known.
    pub server: Option<Server>,
    /// CPU of this program, in milliseconds for each call.
    pub own_cpu_ms_per_call: f64,
    /// Gauges that did not go back to zero; none where they were not looked at.
    pub gauges_not_zero: Option<Vec<String>>,
    /// The steps of a ramp.
    pub steps: Vec<Step>,
    /// The memory of a soak.
    pub memory: Option<Memory>,
    /// The requests in the calls of a mix.
    pub verbs: Vec<Verb>,
    /// Calls one by one.
    pub serial: Vec<Serial>,
    /// The rounds of a crash.
    pub rounds: Vec<Round>,
    /// The drains of connectors.
    pub drains: Vec<Drained>,
}

/// One kind of request.
#[derive(Clone, Debug, Serialize)]
pub struct Verb {
    /// The request.
    pub name: &'static str,
    /// From the request to its answer; the count is of those that were not refused.
    pub done: Option<Quantiles>,
    /// How many were refused.
    pub failed: u64,
}

/// Calls made one by one.
#[derive(Clone, Debug, Serialize)]
pub struct Serial {
    /// The calls that were up beside them.
    pub calls_up: u64,
    /// From MakeCall to the INVITE at the caller's phone.
    pub make_call_to_invite: Option<Quantiles>,
}

/// Calls of a run.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "counts named by what they count")]
pub struct Calls {
    pub attempted: u64,
    pub succeeded: u64,
    pub failed: u64,
    /// The first of those that failed, with what it takes to find them in the server's logs.
    pub failed_one_by_one: Vec<String>,
    /// Not up at the beginning of a fault.
    pub interrupted: u64,
    /// Failed because they needed a part of the server that was taken away.
    pub failed_in_fault: BTreeMap<String, u64>,
    pub failed_by_cause: BTreeMap<String, u64>,
}

/// Times of a run.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "see Stats")]
pub struct Times {
    pub invite_to_200: Option<Quantiles>,
    pub make_call_to_established: Option<Quantiles>,
    pub make_call_to_invite: Option<Quantiles>,
    pub response_180_to_event_ringing: Option<Quantiles>,
    pub response_200_to_event_established: Option<Quantiles>,
}

/// SIP messages of a run.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "see Stats")]
pub struct Sip {
    pub sent: u64,
    pub received: u64,
    pub resent: u64,
    pub repeated: u64,
    pub dropped: u64,
    pub unreadable: Faults,
    pub strays: Faults,
}

/// Event streams of a run.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "counts named by what they count")]
pub struct Cti {
    pub clients: usize,
    pub frames: u64,
    pub parties: usize,
    pub parties_without_end: Faults,
    pub violations: Faults,
}

/// RTP packets of a run, all legs.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "counts named by what they count")]
pub struct Media {
    pub sent: u64,
    /// Of those sent, to the server; the others went straight to another phone.
    pub through_server: u64,
    pub received: u64,
    pub lost: i64,
    /// Legs that sent and never received.
    pub deaf_legs: u64,
    /// Legs that missed packets between others.
    pub lossy_legs: u64,
    /// Packets that the worst of them missed.
    pub worst_leg_lost: u64,
    /// Packets that came more than once.
    pub repeated: u64,
    /// Packets that no phone made: the server's own, or coded again on the way.
    pub unstamped: u64,
    /// From the sender's call to the receiver's kernel.
    pub latency: Option<Quantiles>,
    /// The same for each leg by itself.
    pub legs: LegByLeg,
}

/// The server's process tree.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "figures named by what they are")]
pub struct Server {
    pub cpu_ms_per_call: f64,
    pub rss_kib_before: u64,
    pub rss_kib_after: u64,
    /// With all calls of a hold up, above before, for each call.
    pub kib_per_call: Option<f64>,
    /// CPU while calls are only held, in cores.
    pub cores_held: Option<f64>,
}

/// One step of a ramp.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "figures named by what they are")]
pub struct Step {
    pub rate: f64,
    pub passed: bool,
    pub calls: u64,
    pub failed: u64,
    pub achieved: f64,
    pub resent_percent: f64,
    pub setup_p99_ms: Option<f64>,
    pub server_cpu_ms_per_call: Option<f64>,
    pub own_cpu_ms_per_call: f64,
}

/// The server's memory in a soak, in KiB.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "figures named by what they are")]
pub struct Memory {
    pub samples: usize,
    pub first_third_kib: u64,
    pub last_third_kib: u64,
    pub slope_kib_per_1000_calls: f64,
    pub flat: bool,
}

/// What a process tree and we used, at one moment.
pub struct Mark {
    server: Option<Usage>,
    own_cpu_ms: f64,
    calls: u64,
}

impl Mark {
    /// Now.
    pub fn now(bench: &Bench) -> Self {
        Self {
            server: bench.server_pid().and_then(server::usage),
            own_cpu_ms: server::own_cpu_ms(),
            calls: bench.world.borrow().stats.attempted,
        }
    }

    /// Our CPU for each call since then.
    pub fn own_ms_per_call(&self, bench: &Bench) -> f64 {
        let now = Self::now(bench);
        (now.own_cpu_ms - self.own_cpu_ms) / (now.calls - self.calls).max(1) as f64
    }

    /// The server's CPU for each call since then.
    pub fn server_ms_per_call(&self, bench: &Bench) -> Option<f64> {
        let now = Self::now(bench);
        Some((now.server?.cpu_ms - self.server?.cpu_ms) / (now.calls - self.calls).max(1) as f64)
    }

    /// The server's use at that moment.
    pub fn server(&self) -> Option<Usage> {
        self.server
    }

    /// The server's figures since then.
    pub fn server_report(&self, bench: &Bench) -> Option<Server> {
        let now = Self::now(bench);
        Some(Server {
            cpu_ms_per_call: self.server_ms_per_call(bench)?,
            rss_kib_before: self.server?.rss_kib,
            rss_kib_after: now.server?.rss_kib,
            kib_per_call: None,
            cores_held: None,
        })
    }
}

impl Report {
    /// The report of a bench whose calls are over. The verdict is made by [`Report::judge`].
    pub fn new(command: &'static str, bench: &Bench, since: &Mark) -> Self {
        let world = bench.world.borrow();
        let stats = &world.stats;
        let mut parties_without_end = Faults::default();
        world
            .parties
            .open()
            .into_iter()
            .for_each(|open| parties_without_end.add(open));
        Self {
            command,
            seed: bench.seed,
            passed: false,
            reasons: Vec::new(),
            calls: Calls {
                attempted: stats.attempted,
                succeeded: stats.succeeded,
                failed: stats.failures(),
                failed_one_by_one: stats.failures_told.examples.clone(),
                interrupted: stats.interrupted,
                failed_in_fault: stats.failed_in_fault.clone(),
                failed_by_cause: stats.failed.clone(),
            },
            times: times(stats),
            sip: Sip {
                sent: stats.sip_sent,
                received: stats.sip_received,
                resent: stats.resent,
                repeated: stats.repeated,
                dropped: world.links.iter().map(|link| link.dropped.get()).sum(),
                unreadable: stats.unreadable.clone(),
                strays: stats.strays.clone(),
            },
            cti: Cti {
                clients: bench.clients,
                frames: stats.events,
                parties: world.parties.count(),
                parties_without_end,
                violations: stats.violations.clone(),
            },
            rtp: world.rtp.as_ref().map(|rtp| {
                let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
                let (sent, received) = (count(&rtp.counts.sent), count(&rtp.counts.received));
                Media {
                    sent,
                    through_server: count(&rtp.counts.through_server),
                    received,
                    lost: sent as i64 - received as i64,
                    deaf_legs: count(&rtp.counts.deaf),
                    lossy_legs: count(&rtp.counts.lossy),
                    worst_leg_lost: count(&rtp.counts.worst),
                    repeated: count(&rtp.counts.repeated),
                    unstamped: count(&rtp.counts.unstamped),
                    latency: rtp.counts.latency().quantiles(),
                    legs: rtp.counts.legs(),
                }
            }),
            server: since.server_report(bench),
            own_cpu_ms_per_call: since.own_ms_per_call(bench),
            gauges_not_zero: None,
            steps: Vec::new(),
            memory: None,
            verbs: verbs(stats),
            serial: Vec::new(),
            rounds: Vec::new(),
            drains: Vec::new(),
        }
    }

    /// Says whether the run passed. A ramp is judged by its steps: overload is what it is for.
    pub fn judge(&mut self) {
        let mut reasons = std::mem::take(&mut self.reasons);
        let mut rule = |broken: bool, reason: String| reasons.extend(broken.then_some(reason));
        // What a dead server left unsaid, its phones do not know of either.
        let overloaded = !self.steps.is_empty() || !self.rounds.is_empty();
        rule(self.calls.failed > 0, format!("{} calls failed", self.calls.failed));
        rule(self.calls.attempted == 0, "no call was made".into());
        rule(
            self.sip.unreadable.count > 0,
            format!("{} unreadable messages", self.sip.unreadable.count),
        );
        rule(
            !overloaded && self.sip.strays.count > 0,
            format!("{} stray messages", self.sip.strays.count),
        );
        rule(
            self.cti.violations.count > 0,
            format!("{} faults in event streams", self.cti.violations.count),
        );
        let open = self.cti.parties_without_end.count + self.rounds.iter().map(|round| round.without_end.count).sum::<u64>();
        rule(open > 0, format!("{open} parties without a terminal event"));
        let deaf = self.rtp.as_ref().map_or(0, |rtp| rtp.deaf_legs);
        rule(deaf > 0, format!("{deaf} legs received no media"));
        let left = self.gauges_not_zero.as_ref().map_or(0, Vec::len);
        rule(left > 0, format!("{left} gauges are not zero"));
        let sum = |count: fn(&Round) -> u64| self.rounds.iter().map(count).sum::<u64>();
        let (lost, unanswered) = (sum(|round| round.lost.count), sum(|round| round.unanswered.count));
        rule(lost > 0, format!("{lost} calls lost"));
        rule(unanswered > 0, format!("{unanswered} requests without an answer"));
        let none_up = self.rounds.iter().any(|round| round.established == 0);
        rule(none_up, "no call was up at a fault".into());
        let twice = sum(|round| round.owned_twice.count);
        rule(twice > 0, format!("{twice} times a DN had two owners"));
        let missing = self.drains.iter().filter(|drained| drained.missing.is_some()).count();
        rule(missing > 0, format!("{missing} drains did not come to their end"));
        rule(self.steps.iter().any(|step| !step.passed), "a step did not pass".into());
        rule(
            self.memory.as_ref().is_some_and(|memory| !memory.flat),
            "memory is not flat".into(),
        );
        self.reasons = reasons;
        self.passed = self.reasons.is_empty();
    }
}

fn verbs(stats: &Stats) -> Vec<Verb> {
    let verbs = stats.verbs.iter().map(|(name, asked)| Verb {
        name,
        done: asked.done.quantiles(),
        failed: asked.failed,
    });
    verbs.collect()
}

fn times(stats: &Stats) -> Times {
    Times {
        invite_to_200: stats.setup_phone.quantiles(),
        make_call_to_established: stats.setup_desk.quantiles(),
        make_call_to_invite: stats.make_call_to_invite.quantiles(),
        response_180_to_event_ringing: stats.ringing_event.quantiles(),
        response_200_to_event_established: stats.established_event.quantiles(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = &self.calls;
        writeln!(f, "{} (seed {})", self.command, self.seed)?;
        writeln!(
            f,
            "  calls        {} attempted, {} ok, {} failed",
            calls.attempted, calls.succeeded, calls.failed
        )?;
        for (cause, count) in &calls.failed_by_cause {
            writeln!(f, "    {count:>8}   {cause}")?;
        }
        for failed in calls.failed_one_by_one.iter().take(3) {
            writeln!(f, "               {failed}")?;
        }
        for (cause, count) in &calls.failed_in_fault {
            writeln!(f, "    {count:>8}   in a fault: {cause}")?;
        }
        self.show_times(f)?;
        self.show_verbs(f)?;
        let sip = &self.sip;
        writeln!(
            f,
            "  SIP          {} sent, {} received, {} resent, {} repeated, {} dropped",
            sip.sent, sip.received, sip.resent, sip.repeated, sip.dropped
        )?;
        show_faults(f, "unreadable", &sip.unreadable)?;
        show_faults(f, "stray", &sip.strays)?;
        if self.cti.clients > 0 {
            let cti = &self.cti;
            writeln!(
                f,
                "  CTI          {} clients, {} frames, {} parties",
                cti.clients, cti.frames, cti.parties
            )?;
            show_faults(f, "fault", &cti.violations)?;
            show_faults(f, "without end", &cti.parties_without_end)?;
        }
        crate::crash::show(&self.rounds, f)?;
        crate::drain::show(&self.drains, f)?;
        self.show_figures(f)?;
        match &self.gauges_not_zero {
            None => writeln!(f, "  gauges       not looked at")?,
            Some(left) if left.is_empty() => writeln!(f, "  gauges       all back to zero")?,
            Some(left) => left.iter().try_for_each(|gauge| writeln!(f, "  gauge        {gauge}"))?,
        }
        match self.passed {
            true => writeln!(f, "PASSED"),
            false => writeln!(f, "FAILED: {}", self.reasons.join("; ")),
        }
    }
}

impl Media {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.lost as f64 / self.sent.max(1) as f64;
        writeln!(
            f,
            "  RTP          {} sent, {} received, {} lost ({percent:.3} %), {} repeated, {} not of a phone",
            self.sent, self.received, self.lost, self.repeated, self.unstamped
        )?;
        let straight = self.sent.saturating_sub(self.through_server);
        writeln!(
            f,
            "  RTP way      {} through the server, {straight} straight from phone to phone",
            self.through_server
        )?;
        writeln!(
            f,
            "  RTP legs     {} deaf, {} with loss, {} packets at the worst",
            self.deaf_legs, self.lossy_legs, self.worst_leg_lost
        )?;
        if let Some(late) = &self.latency {
            writeln!(
                f,
                "  RTP latency  p50 {:.3}  p99 {:.3}  max {:.3} ms  (n = {})",
                late.p50_ms, late.p99_ms, late.max_ms, late.count
            )?;
        }
        for (name, of_legs) in [("p50", &self.legs.p50), ("p99", &self.legs.p99)] {
            if let Some(late) = of_legs {
                writeln!(
                    f,
                    "    {name} of a leg  half of the legs under {:.3}, 99 % under {:.3}, the worst {:.3} ms  (n = {} legs)",
                    late.p50_ms, late.p99_ms, late.max_ms, late.count
                )?;
            }
        }
        Ok(())
    }
}

impl Report {
    fn show_times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = [
            ("INVITE -> 200", &self.times.invite_to_200),
            ("MakeCall -> EventEstablished", &self.times.make_call_to_established),
            ("MakeCall -> INVITE", &self.times.make_call_to_invite),
            ("180 -> EventRinging", &self.times.response_180_to_event_ringing),
            ("200 -> EventEstablished", &self.times.response_200_to_event_established),
        ];
        for (name, figures) in times {
            if let Some(Quantiles {
                count,
                p50_ms,
                p99_ms,
                max_ms,
            }) = figures
            {
                writeln!(
                    f,
                    "  {name:<29} p50 {p50_ms:>9.3}  p99 {p99_ms:>9.3}  max {max_ms:>9.3} ms  (n = {count})"
                )?;
            }
        }
        Ok(())
    }

    fn show_verbs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verb in &self.verbs {
            let none = Quantiles {
                count: 0,
                p50_ms: 0.0,
                p99_ms: 0.0,
                max_ms: 0.0,
            };
            let done = verb.done.as_ref().unwrap_or(&none);
            writeln!(
                f,
                "  {:<29} p50 {:>9.3}  p99 {:>9.3}  max {:>9.3} ms  ({} done, {} refused)",
                verb.name, done.p50_ms, done.p99_ms, done.max_ms, done.count, verb.failed
            )?;
        }
        for serial in &self.serial {
            if let Some(figures) = &serial.make_call_to_invite {
                writeln!(
                    f,
                    "  one by one, {:>5} calls up    MakeCall -> INVITE  p50 {:.3}  p99 {:.3}  max {:.3} ms  (n = {})",
                    serial.calls_up, figures.p50_ms, figures.p99_ms, figures.max_ms, figures.count
                )?;
            }
        }
        Ok(())
    }

    fn show_figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rtp) = &self.rtp {
            rtp.show(f)?;
        }
        for step in &self.steps {
            let verdict = if step.passed { "pass" } else { "FAIL" };
            let setup = step.setup_p99_ms.map_or("-".into(), |ms| format!("{ms:.1}"));
            let server = step.server_cpu_ms_per_call.map_or("-".into(), |ms| format!("{ms:.3}"));
            writeln!(
                f,
                "  {verdict} {:>7.0}/s  achieved {:>8.1}  failed {}  resent {:.2} %  setup p99 {setup} ms  CPU ms/call {server} (own {:.3})",
                step.rate, step.achieved, step.failed, step.resent_percent, step.own_cpu_ms_per_call
            )?;
        }
        if let Some(memory) = &self.memory {
            let flat = if memory.flat { "flat" } else { "NOT FLAT" };
            writeln!(
                f,
                "  memory       {} -> {} KiB (medians of first and last third, {} samples), {:+.1} KiB per 1,000 calls: {flat}",
                memory.first_third_kib, memory.last_third_kib, memory.samples, memory.slope_kib_per_1000_calls
            )?;
        }
        if let Some(server) = &self.server {
            write!(
                f,
                "  server       {:.3} ms CPU/call, RSS {} -> {} KiB",
                server.cpu_ms_per_call, server.rss_kib_before, server.rss_kib_after
            )?;
            server
                .kib_per_call
                .map_or(Ok(()), |kib| write!(f, ", {kib:.1} KiB/call up"))?;
            server
                .cores_held
                .map_or(Ok(()), |cores| write!(f, ", {cores:.3} cores while held"))?;
            writeln!(f)?;
        }
        writeln!(f, "  generator    {:.3} ms CPU/call", self.own_cpu_ms_per_call)
    }
}

/// Faults of a kind, the first of them word for word.
pub fn show_faults(f: &mut fmt::Formatter<'_>, name: &str, faults: &Faults) -> fmt::Result {
    if faults.count == 0 {
        return Ok(());
    }
    writeln!(f, "    {:>8} x {name}, for example:", faults.count)?;
    faults
        .examples
        .iter()
        .take(3)
        .try_for_each(|example| writeln!(f, "               {example}"))
}
