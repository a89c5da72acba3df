//! What one leg has sent and heard, and what the legs of a run come to. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::stats::{Latency, Quantiles};

/// The most legs that are told one by one.
const MAX_LINES: usize = 20_000;

/// One leg, when it is over.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Line {
    /// Which: legs are numbered as they begin.
    pub leg: u64,
    /// Packets sent.
    pub sent: u64,
    /// Those of them that went to the server; the others went straight to another phone.
    pub through_server: u64,
    /// Packets that came, repeats left out.
    pub received: u64,
    /// Packets missing between those that came.
    pub lost: u64,
    /// Packets that came more than once.
    pub repeated: u64,
    /// Packets that no phone made.
    pub unstamped: u64,
    /// How late the packets came.
    pub latency: Option<Quantiles>,
}

/// The legs of a run.
#[derive(Clone, Default)]
pub struct Legs {
    lines: Vec<Line>,
    left_off: u64,
    worst: Option<Line>,
    p50: Latency,
    p99: Latency,
}

/// The latency of a run leg by leg.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct LegByLeg {
    /// The medians of the legs, as a distribution: its count is of legs.
    pub p50: Option<Quantiles>,
    /// The 99th percentiles of the legs, as a distribution.
    pub p99: Option<Quantiles>,
    /// The leg whose packets came latest: the highest 99th percentile.
    pub worst: Option<Line>,
    /// Every leg, in the order of their ends.
    pub lines: Vec<Line>,
    /// How many are left off there, as they are too many.
    pub left_off: u64,
}

impl Legs {
    /// A leg is over.
    pub fn add(&mut self, line: Line) {
        if let Some(late) = &line.latency {
            self.p50.record(milliseconds(late.p50_ms));
            self.p99.record(milliseconds(late.p99_ms));
            let worst = self.worst.as_ref().and_then(|worst| worst.latency.as_ref());
            if worst.is_none_or(|worst| (worst.p99_ms, worst.max_ms) < (late.p99_ms, late.max_ms)) {
                self.worst = Some(line.clone());
            }
        }
        if self.lines.len() < MAX_LINES {
            self.lines.push(line);
        } else {
            self.left_off += 1;
        }
    }

    /// What they come to.
    pub fn told(&self) -> LegByLeg {
        LegByLeg {
            p50: self.p50.quantiles(),
            p99: self.p99.quantiles(),
            worst: self.worst.clone(),
            lines: self.lines.clone(),
            left_off: self.left_off,
        }
    }
}

fn milliseconds(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(leg: u64, p50_ms: f64, p99_ms: f64) -> Line {
        Line {
            leg,
            sent: 50,
            through_server: 50,
            received: 50,
            lost: 0,
            repeated: 0,
            unstamped: 0,
            latency: Some(Quantiles {
                count: 50,
                p50_ms,
                p99_ms,
                max_ms: p99_ms,
            }),
        }
    }

    #[test]
    fn one_bad_leg_among_many_shows_as_the_worst_and_at_the_top_of_the_quantiles() {
        let mut legs = Legs::default();
        for leg in 1..=200 {
            legs.add(line(leg, 1.0, 2.0));
        }
        legs.add(line(201, 40.0, 80.0));
        legs.add(Line {
            latency: None,
            ..line(202, 0.0, 0.0)
        });
        let told = legs.told();
        assert_eq!(told.worst.map(|worst| worst.leg), Some(201));
        let (p50, p99) = (told.p50.unwrap(), told.p99.unwrap());
        assert_eq!((p50.count, p99.count, told.lines.len(), told.left_off), (201, 201, 202, 0));
        assert!((p99.p50_ms - 2.0).abs() < 0.1 && (p99.max_ms - 80.0).abs() < 0.2, "{p99:?}");
        assert!((p50.max_ms - 40.0).abs() < 0.1, "{p50:?}");
    }

    #[test]
    fn a_long_run_does_not_grow_without_end() {
        let mut legs = Legs::default();
        for leg in 0..=MAX_LINES as u64 {
            legs.add(line(leg, 1.0, 1.0));
        }
        let told = legs.told();
        assert_eq!((told.lines.len(), told.left_off), (MAX_LINES, 1));
        assert_eq!(told.p99.map(|p99| p99.count), Some(MAX_LINES as u64 + 1));
    }
}
