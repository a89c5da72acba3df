//! `makecall`: how long it takes from MakeCall to the INVITE at the caller's phone, one call after the other; once with nothing else
//! going on, and once more with many calls up.

use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::cli::MakeCall;
use crate::report::{Mark, Report, Serial};
use crate::world::Schedule;

/// As fast as the calls before them end.
const AT_ONCE: f64 = 1e6;

/// Runs it.
pub async fn run(make_call: &MakeCall, bench: &mut Bench) -> Report {
    let before = Mark::now(bench);
    bench.world.borrow_mut().make_by_desk();
    let mut serials = vec![serial(make_call.count, bench).await];
    if make_call.background > 0 {
        let bar = bench.bar("setting up", make_call.background);
        let schedule = Schedule::new(
            make_call.background,
            make_call.rate,
            make_call.background,
            None,
            Instant::now(),
        );
        bench.run(schedule, true, &bar).await;
        bar.finish_and_clear();
        serials.push(serial(make_call.count, bench).await);
        let up = bench.world.borrow().calls_up();
        let bar = bench.bar("releasing", up.len() as u64);
        bench.release(up, make_call.rate, &bar).await;
        bar.finish_and_clear();
    }
    let mut report = Report::new("makecall", bench, &before);
    report.serial = serials;
    report
}

/// Calls one after the other, beside those that are up.
async fn serial(count: u64, bench: &Bench) -> Serial {
    let calls_up = bench.world.borrow().calls_open() as u64;
    let earlier = bench.world.borrow().stats.make_call_to_invite.clone();
    let bar = bench.bar("one by one", count);
    let schedule = Schedule::new(count, AT_ONCE, calls_up + 1, Some(Duration::ZERO), Instant::now());
    bench.run(schedule, true, &bar).await;
    bar.finish_and_clear();
    let figures = bench.world.borrow().stats.make_call_to_invite.since(&earlier).quantiles();
    Serial {
        calls_up,
        make_call_to_invite: figures,
    }
}
