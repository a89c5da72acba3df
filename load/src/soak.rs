//! `soak`: many short calls through one server process, its memory watched.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::cli::Soak;
use crate::report::{Mark, Memory, Report};
use crate::server;
use crate::world::Schedule;

/// From one look at the memory to the next.
const SAMPLE: Duration = Duration::from_millis(500);
/// Growth below this is flat, whatever its part.
const FLAT_KIB: u64 = 8 * 1024;

/// Runs it.
pub async fn run(soak: &Soak, bench: &mut Bench) -> Report {
    let before = Mark::now(bench);
    let bar = bench.bar("calling", soak.calls);
    let hold = Duration::from_millis(soak.hold_ms);
    let schedule = Schedule::new(soak.calls, soak.rate, soak.concurrency, Some(hold), Instant::now());
    let samples = Rc::new(RefCell::new(Vec::new()));
    let sampler = bench.server_pid().map(|pid| {
        let (samples, world) = (samples.clone(), bench.world.clone());
        tokio::task::spawn_local(async move {
            while let Some(usage) = server::usage(pid) {
                samples.borrow_mut().push((world.borrow().stats.attempted, usage.rss_kib));
                tokio::time::sleep(SAMPLE).await;
            }
        })
    });
    bench.run(schedule, false, &bar).await;
    bar.finish_and_clear();
    if let Some(sampler) = sampler {
        sampler.abort();
    }
    let mut report = Report::new("soak", bench, &before);
    report.memory = memory(&samples.borrow());
    report
}

/// Judges samples of (calls so far, KiB); none where there are too few.
fn memory(samples: &[(u64, u64)]) -> Option<Memory> {
    let warm = samples.get(samples.len() / 10..)?;
    let third = warm.len() / 3;
    let (first, last) = (warm.get(..third)?, warm.get(warm.len() - third..)?);
    let (first_third_kib, last_third_kib) = (median(first)?, median(last)?);
    let growth = last_third_kib.saturating_sub(first_third_kib);
    Some(Memory {
        samples: samples.len(),
        first_third_kib,
        last_third_kib,
        slope_kib_per_1000_calls: 1000.0 * slope(warm),
        flat: growth < FLAT_KIB || growth * 20 < first_third_kib,
    })
}

fn median(samples: &[(u64, u64)]) -> Option<u64> {
    let mut kib: Vec<u64> = samples.iter().map(|(_, kib)| *kib).collect();
    kib.sort_unstable();
    kib.get(kib.len() / 2).copied()
}

/// Least squares, KiB for each call.
fn slope(samples: &[(u64, u64)]) -> f64 {
    let count = samples.len().max(1) as f64;
    let mean_x = samples.iter().map(|(x, _)| *x as f64).sum::<f64>() / count;
    let mean_y = samples.iter().map(|(_, y)| *y as f64).sum::<f64>() / count;
    let (mut top, mut bottom) = (0.0, 0.0);
    for (x, y) in samples {
        let dx = *x as f64 - mean_x;
        top += dx * (*y as f64 - mean_y);
        bottom += dx * dx;
    }
    if bottom > 0.0 { top / bottom } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_flat_or_told_to_grow() {
        let series = |per_call: f64| -> Vec<(u64, u64)> {
            (0..300)
                .map(|i| (i * 100, 100_000 + (i as f64 * 100.0 * per_call) as u64))
                .collect()
        };
        let judged = |per_call| memory(&series(per_call)).unwrap();
        assert!(judged(0.0).flat && judged(0.1).flat);
        assert!(!judged(1.0).flat, "30 MB in 30,000 calls");
        assert!((judged(1.0).slope_kib_per_1000_calls - 1000.0).abs() < 1.0);
        let mut warming: Vec<(u64, u64)> = series(0.0);
        warming.iter_mut().take(20).for_each(|(_, kib)| *kib = 10);
        assert!(memory(&warming).unwrap().flat, "the warm-up does not count");
        assert!(memory(&[]).is_none());
    }
}
