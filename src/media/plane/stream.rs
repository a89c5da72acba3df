//! Where a stream to a device is, so that it can go on in another process.
//!
//! A receiver bears a gap and a marker, but not a step back: some count every packet as late until the old numbers are reached again. So a stream
//! that is resumed keeps its SSRC (RFC 3550 s.8.2: a new one only for a collision) and goes on with numbers ahead of all that may have been sent.
//! How many that are is estimated from the time that has passed; timestamps follow the time itself, so that the gap is as long as the silence was.
//! Pure, but for [`unix_now_us`].

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Packets ahead, where the time says nothing (a clock that was set back).
const MARGIN: u16 = 50;
/// Milliseconds of audio in one packet, as it usually is.
const USUAL_US: u64 = 20_000;

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

    /// The stream now, as far as it can have come.
    pub(super) fn resumed(self, now_us: u64) -> Self {
        let passed_us = now_us.saturating_sub(self.at_us);
        let packets = (passed_us / USUAL_US) as u16;
        Self {
            sequence: self.sequence.wrapping_add(packets).wrapping_add(MARGIN),
            timestamp: self.timestamp.wrapping_add(self.ticks(passed_us)),
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
