//! Where a stream to a device is, so that it can go on in another process.
//!
//! A receiver bears a gap and a marker, but not a step back: some count every packet as late until the old numbers are reached again. So a stream
//! that is resumed keeps its SSRC (RFC 3550 s.8.2: a new one only for a collision) and goes on with numbers ahead of all that may have been sent.
//! How many that are is estimated from the time that has passed; timestamps follow the time itself, so that the gap is as long as the silence was.
//! A jump stays below what a receiver takes for a new start (RFC 3550 A.1, MAX_DROPOUT) where a recent mark is known.
//! Pure, but for [`unix_now_us`].

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Packets ahead of the estimate, also where the time says nothing (a clock that was set back): a device that was held up sends what it
/// owes in one go.
const MARGIN: u16 = 250;
/// Time ahead of the estimate: packets may have come, and gone on, a little sooner than their timestamps say.
const MARGIN_US: u64 = 60_000;
/// What is taken to have passed where the clock was set back.
const SET_BACK_US: u64 = 2_000_000;
/// Microseconds of audio in one packet, as it usually is.
const USUAL_US: u64 = 20_000;
/// The same in the shortest packets that are sent.
const SHORTEST_US: u64 = 10_000;
/// The most that a stream is moved ahead of a recent mark. With [`MARGIN`] it is below 3,000.
const MOST: u64 = 2_500;

/// The numbers of a stream at one time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct StreamMark {
    /// The synchronisation source (RFC 3550 s.3), for the life of the port.
    pub ssrc: u32,
    /// The sequence number of the newest packet.
    pub sequence: u16,
    /// Its timestamp.
    pub timestamp: u32,
    /// Ticks of the timestamp per second.
    pub clock_hz: u32,
    /// When that was, in microseconds since 1970.
    pub at_us: u64,
}

impl StreamMark {
    /// A stream that begins, with random numbers (RFC 3550 s.5.1).
    pub(super) fn first([ssrc, sequence, timestamp]: [u32; 3], at_us: u64) -> Self {
        Self {
            ssrc,
            sequence: sequence as u16,
            timestamp,
            clock_hz: 8_000,
            at_us,
        }
    }

    /// The stream now, where it was here when it began: as far as it has come if it never paused.
    pub(super) fn resumed(self, now_us: u64) -> Self {
        self.ahead(self.passed_us(now_us) / USUAL_US, now_us)
    }

    /// The stream now, where it was here when it was last looked at: further than it can have come since.
    pub(super) fn followed(self, now_us: u64) -> Self {
        self.ahead((self.passed_us(now_us) / SHORTEST_US).min(MOST), now_us)
    }

    fn passed_us(&self, now_us: u64) -> u64 {
        now_us.checked_sub(self.at_us).unwrap_or(SET_BACK_US)
    }

    fn ahead(self, packets: u64, now_us: u64) -> Self {
        let passed_us = self.passed_us(now_us);
        // Cut to 16 bits as sequence numbers are.
        let packets = packets as u16;
        Self {
            sequence: self.sequence.wrapping_add(packets).wrapping_add(MARGIN),
            timestamp: self.timestamp.wrapping_add(self.ticks(passed_us + MARGIN_US)),
            at_us: now_us,
            ..self
        }
    }

    fn ticks(&self, us: u64) -> u32 {
        // Cut to 32 bits as timestamps are.
        (u128::from(us) * u128::from(self.clock_hz) / 1_000_000) as u32
    }
}

/// Microseconds since 1970.
pub(super) fn unix_now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN_US: u64 = 1_790_000_000_000_000;

    fn mark() -> StreamMark {
        StreamMark::first([7, u32::from(u16::MAX), u32::MAX], BEGAN_US)
    }

    /// Packets and ticks between the mark and what it is then.
    fn ahead(resumed: StreamMark) -> (u16, u32) {
        assert_eq!(resumed.ssrc, 7);
        (
            resumed.sequence.wrapping_sub(u16::MAX),
            resumed.timestamp.wrapping_sub(u32::MAX),
        )
    }

    #[test]
    fn a_stream_goes_on_ahead_of_what_was_sent_and_its_timestamps_with_the_time() {
        let hour_us = 3_600_000_000;
        for (passed_us, packets, ticks) in [
            (0, 250, 480),
            (1_000_000, 300, 8_480),
            (hour_us, (180_250_u32 % 65_536) as u16, 28_800_480),
        ] {
            assert_eq!(ahead(mark().resumed(BEGAN_US + passed_us)), (packets, ticks));
        }
        for (passed_us, packets, ticks) in [(0, 250, 480), (1_000_000, 350, 8_480), (hour_us, 2_750, 28_800_480)] {
            assert_eq!(ahead(mark().followed(BEGAN_US + passed_us)), (packets, ticks));
        }
    }

    #[test]
    fn a_clock_that_was_set_back_moves_nothing_back() {
        assert_eq!(ahead(mark().resumed(BEGAN_US - 5_000_000)), (350, 16_480));
        assert_eq!(ahead(mark().followed(0)), (450, 16_480));
    }
}
