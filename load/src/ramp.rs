//! `ramp`: a ladder of call rates, each call held for a second.

use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::cli::Ramp;
use crate::report::{Mark, Report, Step};
use crate::stats::Stats;
use crate::world::Schedule;

/// How long each call is held.
const HOLD: Duration = Duration::from_secs(1);
/// From setting up to the release of the lines, beyond the hold.
const SLACK_SECS: f64 = 0.5;

/// Calls at once that the fastest step needs: those of the hold and of a moment more.
pub fn concurrency(ramp: &Ramp) -> u64 {
    let fastest = ramp.rates.iter().copied().fold(1.0, f64::max);
    (fastest * (HOLD.as_secs_f64() + SLACK_SECS)).ceil() as u64
}

/// Runs it.
pub async fn run(ramp: &Ramp, bench: &mut Bench) -> Report {
    let before = Mark::now(bench);
    let mut steps: Vec<Step> = Vec::new();
    for rate in &ramp.rates {
        let step = climb(*rate, ramp.secs, concurrency(ramp), bench).await;
        steps.push(step);
        if steps.iter().filter(|step| !step.passed).count() >= 2 {
            break;
        }
        tokio::time::sleep(HOLD).await;
    }
    let mut report = Report::new("ramp", bench, &before);
    report.steps = steps;
    report
}

async fn climb(rate: f64, secs: f64, concurrency: u64, bench: &Bench) -> Step {
    let calls = (rate * secs).max(1.0) as u64;
    let bar = bench.bar("calling", calls);
    let (mark, then) = (Mark::now(bench), Counted::of(&bench.world.borrow().stats));
    let earlier = bench.world.borrow().stats.setup_phone.clone();
    bar.set_position(then.over);
    bar.set_length(then.over + calls);
    let start = Instant::now();
    bench
        .run(Schedule::new(calls, rate, concurrency, Some(HOLD), start), false, &bar)
        .await;
    let secs = (start.elapsed().saturating_sub(HOLD)).as_secs_f64().max(0.1);
    bar.finish_and_clear();
    let world = bench.world.borrow();
    let stats = &world.stats;
    let now = Counted::of(stats);
    let messages = (now.messages - then.messages).max(1);
    let resent_percent = 100.0 * (now.resent - then.resent) as f64 / messages as f64;
    let (failed, achieved) = (now.failed - then.failed, (now.over - then.over) as f64 / secs);
    Step {
        rate,
        passed: failed == 0 && resent_percent < 1.0 && achieved > 0.93 * rate,
        calls: now.over - then.over,
        failed,
        achieved,
        resent_percent,
        setup_p99_ms: stats.setup_phone.since(&earlier).quantiles().map(|figures| figures.p99_ms),
        server_cpu_ms_per_call: mark.server_ms_per_call(bench),
        own_cpu_ms_per_call: mark.own_ms_per_call(bench),
    }
}

/// The counts of which a step takes the difference.
struct Counted {
    over: u64,
    failed: u64,
    messages: u64,
    resent: u64,
}

impl Counted {
    fn of(stats: &Stats) -> Self {
        Self {
            over: stats.succeeded + stats.failures(),
            failed: stats.failures(),
            messages: stats.sip_sent + stats.sip_received,
            resent: stats.resent + stats.repeated,
        }
    }
}
