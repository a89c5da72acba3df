//! `hold`: N calls at once, held, checked, released.

use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::cli::Hold;
use crate::report::{Mark, Report};
use crate::world::Schedule;

/// Runs it.
pub async fn run(hold: &Hold, bench: &mut Bench) -> Report {
    let before = Mark::now(bench);
    let bar = bench.bar("setting up", hold.calls);
    let schedule = Schedule::new(hold.calls, hold.rate, hold.calls, None, Instant::now());
    bench.run(schedule, true, &bar).await;
    bar.finish_and_clear();

    let up = bench.world.borrow().calls_up();
    let at_top = Mark::now(bench);
    let bar = bench.spinner("holding");
    tokio::time::sleep(Duration::from_secs_f64(hold.secs)).await;
    bar.finish_and_clear();
    let held = Mark::now(bench);
    // A call that did not live through the hold has ended itself by now, and is counted.
    let bar = bench.bar("releasing", up.len() as u64);
    let living = bench.world.borrow().calls_up();
    bench.release(living, hold.rate, &bar).await;
    bar.finish_and_clear();

    let mut report = Report::new("hold", bench, &before);
    if let (Some(server), Some(before), Some(top), Some(held)) =
        (&mut report.server, before.server(), at_top.server(), held.server())
    {
        let kib = held.rss_kib as f64 - before.rss_kib as f64;
        server.kib_per_call = (!up.is_empty()).then(|| kib / up.len() as f64);
        server.cores_held = (hold.secs > 0.0).then(|| (held.cpu_ms - top.cpu_ms) / 1000.0 / hold.secs);
    }
    report
}
