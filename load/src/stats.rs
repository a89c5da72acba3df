//! What is counted and measured while calls run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{Counter, Histogram};
use serde::Serialize;

/// How many examples of a fault are kept word for word.
const EXAMPLES: usize = 10;

/// A latency distribution, from 1 µs to 2 minutes at three digits.
#[derive(Clone)]
pub struct Latency(Option<Histogram<u64>>);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, 120_000_000, 3).ok())
    }
}

/// A distribution in figures, in milliseconds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Longest.
    pub max_ms: f64,
}

impl Latency {
    /// Adds one.
    pub fn record(&mut self, time: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
        }
    }

    /// What was added since `earlier`, a copy of this one.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut added = self.clone();
        if let (Some(added), Some(earlier)) = (&mut added.0, &earlier.0) {
            // Never more than there is, as every record of a copy is in its original.
            let _ = added.subtract(earlier);
        }
        added
    }

    /// The figures; none where nothing was measured.
    pub fn quantiles(&self) -> Option<Quantiles> {
        self.0.as_ref().and_then(figures)
    }
}

/// A latency distribution at two digits that takes a few kilobytes, for there are many: one for each leg.
#[derive(Clone, Default)]
pub struct SmallLatency(Option<Histogram<u32>>);

impl SmallLatency {
    /// Adds one.
    pub fn record(&mut self, time: Duration) {
        if self.0.is_none() {
            self.0 = Histogram::new(2).ok();
        }
        if let Some(histogram) = &mut self.0 {
            // It grows as it has to; what it cannot hold is two hours and more late.
            let _ = histogram.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).clamp(1, 1 << 33));
        }
    }

    /// The figures; none where nothing was measured.
    pub fn quantiles(&self) -> Option<Quantiles> {
        self.0.as_ref().and_then(figures)
    }
}

fn figures<T: Counter>(histogram: &Histogram<T>) -> Option<Quantiles> {
    let ms = |us: u64| us as f64 / 1000.0;
    (!histogram.is_empty()).then(|| Quantiles {
        count: histogram.len(),
        p50_ms: ms(histogram.value_at_quantile(0.5)),
        p99_ms: ms(histogram.value_at_quantile(0.99)),
        max_ms: ms(histogram.max()),
    })
}

/// Faults of one kind: how many, and the first few word for word.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Faults {
    /// How many.
    pub count: u64,
    /// The first ones.
    pub examples: Vec<String>,
}

impl Faults {
    /// Adds one.
    pub fn add(&mut self, text: impl Into<String>) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(text.into());
        }
    }
}

/// Requests of one kind.
#[derive(Default)]
pub struct Asked {
    /// From each request to its answer.
    pub done: Latency,
    /// How many were refused.
    pub failed: u64,
}

/// Everything that is counted.
#[derive(Default)]
pub struct Stats {
    /// Calls begun.
    pub attempted: u64,
    /// Calls that are over and did all they should.
    pub succeeded: u64,
    /// Calls that are over and did not, by cause.
    pub failed: BTreeMap<String, u64>,
    /// The first of them, one by one.
    pub failures_told: Faults,
    /// Calls that needed a part of the server which was not there, by cause.
    pub failed_in_fault: BTreeMap<String, u64>,
    /// Calls that were not up at the beginning of a fault.
    pub interrupted: u64,
    /// INVITE to 200, at the phone that dialled.
    pub setup_phone: Latency,
    /// MakeCall to EventEstablished, at the desktop that asked.
    pub setup_desk: Latency,
    /// MakeCall to the INVITE that reaches the caller's phone.
    pub make_call_to_invite: Latency,
    /// The phone's 180 to EventRinging. A server that reports the invitation itself as ringing may be earlier than the 180; such
    /// events are left out, so this is no measure of it.
    pub ringing_event: Latency,
    /// The callee's 200 to EventEstablished, at both desktops.
    pub established_event: Latency,
    /// Requests in calls, by name.
    pub verbs: BTreeMap<&'static str, Asked>,
    /// SIP messages sent, repeats included.
    pub sip_sent: u64,
    /// SIP messages received.
    pub sip_received: u64,
    /// Messages sent again because nothing came.
    pub resent: u64,
    /// Messages that came again.
    pub repeated: u64,
    /// CTI frames received.
    pub events: u64,
    /// Messages that the SIP library cannot read.
    pub unreadable: Faults,
    /// Requests and responses that belong to nothing we know.
    pub strays: Faults,
    /// Broken rules of event streams.
    pub violations: Faults,
    /// Those of them that are events which did not come.
    pub missed_events: u64,
    /// Those that came again.
    pub repeated_events: u64,
    /// Those that a party must not get where it stands.
    pub wrong_events: u64,
}

impl Stats {
    /// Calls that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Calls that failed and were allowed to.
    pub fn failures_in_fault(&self) -> u64 {
        self.failed_in_fault.values().sum()
    }

    /// Calls that are not over.
    pub fn open(&self) -> u64 {
        self.attempted - self.succeeded - self.failures() - self.failures_in_fault() - self.interrupted
    }

    /// Repeats in percent of all SIP messages.
    pub fn resent_percent(&self) -> f64 {
        100.0 * (self.resent + self.repeated) as f64 / (self.sip_sent + self.sip_received).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_milliseconds_and_faults_keep_few_examples() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantiles(), None);
        (1..=100).for_each(|ms| latency.record(Duration::from_millis(ms)));
        let figures = latency.quantiles().unwrap();
        assert!(
            (figures.p50_ms - 50.0).abs() < 0.1 && (figures.max_ms - 100.0).abs() < 0.2,
            "{figures:?}"
        );
        let mut small = SmallLatency::default();
        assert_eq!(small.quantiles(), None);
        (1..=100).for_each(|ms| small.record(Duration::from_millis(ms)));
        let figures = small.quantiles().unwrap();
        assert!(
            (figures.p50_ms - 50.0).abs() < 1.0 && (figures.max_ms - 100.0).abs() < 1.0,
            "{figures:?}"
        );
        let mut faults = Faults::default();
        (0..100).for_each(|i| faults.add(i.to_string()));
        assert_eq!((faults.count, faults.examples.len()), (100, EXAMPLES));
    }
}
