//! Instants as they are kept: an [`Instant`] means nothing to the next process, so snapshots hold the wall clock's time in its place.
//!
//! Both clocks are read once, by whoever starts the process; with that one pair the same instant always gives the same number, and the same
//! state the same bytes. What the wall clock does later does not matter until the next start.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Two readings of the same moment.
pub type Anchor = (Instant, SystemTime);

/// An instant as microseconds since 1970; 0 where that cannot be said.
pub fn unix_micros(anchor: Anchor, instant: Instant) -> u64 {
    let start = anchor.1.duration_since(UNIX_EPOCH).unwrap_or_default();
    let moved = match instant.checked_duration_since(anchor.0) {
        Some(after) => start.saturating_add(after),
        None => start.saturating_sub(anchor.0.saturating_duration_since(instant)),
    };
    u64::try_from(moved.as_micros()).unwrap_or(u64::MAX)
}

/// The instant of a number; `floor` where it lies before that, or cannot be said.
pub fn instant(anchor: Anchor, unix_micros: u64, floor: Instant) -> Instant {
    let start = anchor.1.duration_since(UNIX_EPOCH).unwrap_or_default();
    let wanted = Duration::from_micros(unix_micros);
    let found = match wanted.checked_sub(start) {
        Some(after) => anchor.0.checked_add(after),
        None => anchor.0.checked_sub(start.saturating_sub(wanted)),
    };
    found.map_or(floor, |found| found.max(floor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_comes_back_through_another_process() {
        let then = (Instant::now(), UNIX_EPOCH + Duration::from_secs(1_000_000));
        let kept = unix_micros(then, then.0 + Duration::from_secs(60));
        assert_eq!(kept, 1_000_060_000_000);
        // 20 s later, another process: 40 s are left.
        let now = (then.0 + Duration::from_secs(500), UNIX_EPOCH + Duration::from_secs(1_000_020));
        assert_eq!(instant(now, kept, now.0), now.0 + Duration::from_secs(40));
        // 100 s later: over.
        let late = (now.0, UNIX_EPOCH + Duration::from_secs(1_000_100));
        assert_eq!(instant(late, kept, late.0), late.0);
        assert_eq!(unix_micros(now, now.0 - Duration::from_secs(20)), 1_000_000_000_000);
        // Nonsense is no panic.
        assert_eq!(instant(now, 0, now.0), now.0);
        assert!(instant(now, u64::MAX, now.0) >= now.0);
    }
}
