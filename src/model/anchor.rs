//! One moment by both clocks, so that times outlive the process: a machine's [`Instant`]s mean nothing to the next one.
//!
//! Invariant: the same anchor turns the same instant into the same number every time, so a snapshot of an unchanged machine is unchanged.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment: by the clock of the machines, and by the calendar.
pub type Anchor = (Instant, SystemTime);

/// An instant as microseconds since 1970.
pub fn unix_micros(anchor: Anchor, at: Instant) -> u64 {
    let (instant, time) = anchor;
    let base = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = match at.checked_duration_since(instant) {
        Some(later) => base.saturating_add(later),
        None => base.saturating_sub(instant.duration_since(at)),
    };
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The instant of that many microseconds since 1970; the anchor's where the clock cannot say one.
pub fn instant(anchor: Anchor, unix_micros: u64) -> Instant {
    let (instant, time) = anchor;
    let base = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = Duration::from_micros(unix_micros);
    let moved = match since.checked_sub(base) {
        Some(later) => instant.checked_add(later),
        None => instant.checked_sub(base.saturating_sub(since)),
    };
    moved.unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_before_and_after_the_anchor_come_back() {
        let anchor = (Instant::now(), UNIX_EPOCH + Duration::from_secs(1_000));
        for at in [anchor.0 + Duration::from_millis(1_500), anchor.0] {
            assert_eq!(instant(anchor, unix_micros(anchor, at)), at);
        }
        assert_eq!(unix_micros(anchor, anchor.0 + Duration::from_secs(1)), 1_001_000_000);
        let later = (anchor.0, UNIX_EPOCH + Duration::from_secs(1_005));
        let before = later.0.checked_sub(Duration::from_secs(5));
        assert!(before.is_none_or(|before| unix_micros(later, before) == 1_000_000_000));
        assert_eq!(instant(anchor, u64::MAX / 2).max(anchor.0), instant(anchor, u64::MAX / 2));
    }
}
