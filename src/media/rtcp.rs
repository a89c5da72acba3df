//! RTCP (RFC 3550 s.6): compound packets written and read, what a stream's reception was like, and how good a call must have
//! sounded.
//!
//! When to send is the caller's: five seconds with some randomness (s.6.2) for calls between two. Times are given: microseconds
//! of any steady clock for arrivals, NTP time ([`ntp`]) for reports. Profile feedback (RFC 4585) and extended reports (RFC 3611)
//! are passed over.

mod packet;
mod quality;
mod reception;

pub use packet::{Packet, ReportBlock, RtcpError, SenderInfo, compound, is_rtcp, parse};
pub use quality::{Quality, estimate};
pub use reception::{Reception, Transmission};

use std::time::Duration;

/// Seconds from 1900 to 1970.
const NTP_EPOCH_SECONDS: u64 = 2_208_988_800;

/// The time since 1970 as NTP time: seconds since 1900 in the upper half, their fraction in the lower.
pub fn ntp(since_1970: Duration) -> u64 {
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    (since_1970.as_secs().wrapping_add(NTP_EPOCH_SECONDS) << 32) | fraction
}

/// The middle of an NTP time, which reports carry: units of 1/65,536 s (s.4).
pub fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// The round-trip time that a report about our stream tells, in milliseconds (s.6.4.1); `None` where it tells none, or nonsense.
pub fn round_trip_ms(block: &ReportBlock, arrived_ntp: u64) -> Option<u32> {
    if block.last_sender_report == 0 {
        return None;
    }
    let there_and_back = middle(arrived_ntp).wrapping_sub(block.last_sender_report);
    let units = there_and_back.checked_sub(block.delay_since_report)?;
    let ms = u64::from(units) * 1_000 / 65_536;
    // More than a minute is a clock that jumped.
    u32::try_from(ms).ok().filter(|ms| *ms <= 60_000)
}

#[cfg(test)]
mod tests;
