//! How many requests one source may send.
//!
//! A leaky bucket for each source (an IPv6 source is its /64): each request fills it, time empties it, and a request that finds it full is
//! refused. Invariants: memory is bounded by `capacity`, whatever comes; a source below its rate is never refused, also not while others are
//! over theirs. The buckets are kept in two generations; when the young one is full the old one is forgotten, and whoever is forgotten starts
//! with an empty bucket. No clock, no randomness.
//!
//! What it does not do: tell honest sources from forged ones. A flood from many addresses is held by the bounds of the queues behind it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Limits of [`SourceRate`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceRateConfig {
    /// Requests per second in the long run; at least 1.
    pub per_second: u32,
    /// Requests that may come at once; at least 1.
    pub burst: u32,
    /// Sources remembered.
    pub capacity: usize,
}

impl SourceRateConfig {
    /// That many in a second, evenly or at once.
    pub fn per_second(per_second: u32) -> Self {
        Self {
            per_second,
            burst: per_second,
            capacity: 100_000,
        }
    }
}

/// The machine.
#[derive(Debug)]
pub struct SourceRate {
    interval: Duration,
    depth: Duration,
    capacity: usize,
    /// When each source's bucket will be empty.
    young: HashMap<IpAddr, Instant>,
    old: HashMap<IpAddr, Instant>,
}

impl SourceRate {
    /// One that has seen nobody.
    pub fn new(config: SourceRateConfig) -> Self {
        let interval = Duration::from_secs(1) / config.per_second.max(1);
        Self {
            interval,
            depth: interval * config.burst.max(1),
            capacity: config.capacity,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// Whether one more request of this source is served. One that is refused does not count, so a source that goes on at any rate gets
    /// served what it may have.
    pub fn take(&mut self, now: Instant, source: IpAddr) -> bool {
        let (interval, depth) = (self.interval, self.depth);
        let empty_at = self.touch(now, network_of(source));
        let filled = (*empty_at).max(now) + interval;
        let served = filled <= now + depth;
        if served {
            *empty_at = filled;
        }
        served
    }

    /// Sources remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn touch(&mut self, now: Instant, source: IpAddr) -> &mut Instant {
        if !self.young.contains_key(&source) && self.young.len() >= (self.capacity / 2).max(1) {
            self.old = std::mem::take(&mut self.young);
        }
        let known = self.old.remove(&source);
        self.young.entry(source).or_insert_with(|| known.unwrap_or(now))
    }
}

/// An IPv6 subscriber has a whole /64 to send from.
fn network_of(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CONFIG: SourceRateConfig = SourceRateConfig {
        per_second: 10,
        burst: 5,
        capacity: 8,
    };

    fn v4(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    fn served(rate: &mut SourceRate, now: Instant, source: IpAddr, requests: usize) -> usize {
        (0..requests).filter(|_| rate.take(now, source)).count()
    }

    #[test]
    fn a_flood_gets_its_burst_and_then_its_rate() {
        let (mut rate, now) = (SourceRate::new(CONFIG), Instant::now());
        assert_eq!(served(&mut rate, now, v4(1), 1000), 5);
        let in_ten_seconds: usize = (1..=1000)
            .map(|step| served(&mut rate, now + Duration::from_millis(10 * step), v4(1), 50))
            .sum();
        assert_eq!(in_ten_seconds, 100);
    }

    #[test]
    fn who_keeps_to_the_rate_is_always_served_and_others_do_not_matter() {
        let (mut rate, now) = (SourceRate::new(CONFIG), Instant::now());
        for step in 0..200 {
            let now = now + Duration::from_millis(100 * step);
            served(&mut rate, now, v4(1), 100);
            assert!(rate.take(now, v4(2)), "step {step}");
        }
    }

    #[test]
    fn an_ipv6_network_and_a_mapped_address_are_one_source() {
        let (mut rate, now) = (SourceRate::new(CONFIG), Instant::now());
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(served(&mut rate, now, of("2001:db8::1"), 9), 5);
        assert!(!rate.take(now, of("2001:db8::ffff")));
        assert!(rate.take(now, of("2001:db8:0:1::1")));
        assert_eq!(served(&mut rate, now, of("::ffff:10.0.0.1"), 9), 5);
        assert!(!rate.take(now, v4(1)));
    }

    #[test]
    fn memory_is_bounded_and_a_busy_source_is_not_forgotten() {
        let (mut rate, now) = (SourceRate::new(CONFIG), Instant::now());
        assert!(rate.is_empty());
        served(&mut rate, now, v4(0), 100);
        for last in 1..=255 {
            assert!(rate.take(now, v4(last)));
            assert!(!rate.take(now, v4(0)), "after {last}");
            assert!(rate.len() <= CONFIG.capacity);
        }
    }

    #[test]
    fn limits_of_nothing_serve_one_at_a_time() {
        let config = SourceRateConfig {
            per_second: 0,
            burst: 0,
            capacity: 0,
        };
        let (mut rate, now) = (SourceRate::new(config), Instant::now());
        assert_eq!(served(&mut rate, now, v4(1), 3), 1);
        assert!(rate.take(now + Duration::from_secs(1), v4(1)));
    }
}
