//! What a received stream was like (RFC 3550 s.6.4.1, A.1, A.3, A.8), and what was sent.

use super::middle;
use super::packet::{ReportBlock, SenderInfo};
use crate::rtp::Header;

/// Jumps of the sequence that are still the same stream (A.1).
const MAX_DROPOUT: u16 = 3_000;
const MAX_MISORDER: u16 = 100;

/// Statistics of one received stream. Another SSRC starts them afresh.
#[derive(Clone, Debug)]
pub struct Reception {
    clock_hz: u32,
    source: Option<Source>,
    /// Packets of streams that are over: received, and missing.
    past: (u64, u64),
}

#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    base: u32,
    /// The highest number, with its wraps.
    highest: u32,
    received: u32,
    /// The number with which a stream that jumped would go on.
    expected_jump: Option<u16>,
    /// Expected and received at the last report.
    reported: (u32, u32),
    /// How long the last packet was under way, in ticks of an arbitrary start.
    transit: Option<i64>,
    /// In sixteenths of a tick.
    jitter: u64,
    last_report: Option<(u32, u64)>,
}

impl Source {
    fn new(header: &Header) -> Self {
        let sequence = u32::from(header.sequence);
        Self {
            ssrc: header.ssrc,
            base: sequence,
            highest: sequence,
            received: 0,
            expected_jump: None,
            reported: (0, 0),
            transit: None,
            jitter: 0,
            last_report: None,
        }
    }

    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.base).wrapping_add(1)
    }

    /// Follows the number (A.1); false for a packet that does not fit.
    fn follow(&mut self, sequence: u16) -> bool {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < MAX_DROPOUT {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
        } else if ahead <= u16::MAX - MAX_MISORDER {
            if self.expected_jump.replace(sequence.wrapping_add(1)) != Some(sequence) {
                return false;
            }
            // The sender started over: what was counted stays counted, the jump does not.
            let wraps = self.highest & !0xffff;
            let gap = self.expected();
            self.highest = wraps | u32::from(sequence);
            self.base = self.highest.wrapping_sub(gap);
        }
        self.expected_jump = None;
        true
    }

    /// Interarrival jitter (A.8).
    fn measure(&mut self, timestamp: u32, arrived: i64) {
        // Only differences count, so the wrap of the timestamp is taken where it is.
        let transit = i64::from((arrived as u32).wrapping_sub(timestamp) as i32);
        if let Some(before) = self.transit.replace(transit) {
            let difference = i64::from((transit.wrapping_sub(before)) as i32).unsigned_abs();
            self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
        }
    }
}

impl Reception {
    /// For a stream whose timestamps count so fast.
    pub fn new(clock_hz: u32) -> Self {
        Self {
            clock_hz: clock_hz.max(1),
            source: None,
            past: (0, 0),
        }
    }

    /// A packet arrived, at this time of a steady clock. Packets of events are packets too, but their timestamps stand still:
    /// `is_audio` false for them.
    pub fn received(&mut self, header: &Header, arrived_us: u64, is_audio: bool) {
        if self.source.as_ref().is_none_or(|source| source.ssrc != header.ssrc) {
            self.past = (self.packets(), self.lost());
            self.source = Some(Source::new(header));
        }
        let Some(source) = &mut self.source else { return };
        if !source.follow(header.sequence) {
            return;
        }
        source.received = source.received.wrapping_add(1);
        if is_audio {
            let ticks = u128::from(arrived_us) * u128::from(self.clock_hz) / 1_000_000;
            source.measure(header.timestamp, ticks as i64);
        }
    }

    /// A sender report about the stream arrived.
    pub fn sender_report(&mut self, ssrc: u32, info: &SenderInfo, arrived_us: u64) {
        if let Some(source) = self.source.as_mut().filter(|source| source.ssrc == ssrc) {
            source.last_report = Some((middle(info.ntp), arrived_us));
        }
    }

    /// What is to be reported about the stream now; the fraction lost is that since the last call.
    pub fn block(&mut self, now_us: u64) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        let expected = source.expected();
        let (expected_before, received_before) = std::mem::replace(&mut source.reported, (expected, source.received));
        let expected_now = expected.wrapping_sub(expected_before);
        let lost_now = i64::from(expected_now) - i64::from(source.received.wrapping_sub(received_before));
        let fraction = if lost_now <= 0 {
            0
        } else {
            (lost_now << 8) / i64::from(expected_now.max(1))
        };
        let (last_sender_report, delay_since_report) = match source.last_report {
            Some((report, arrived_us)) => {
                let us = u128::from(now_us.saturating_sub(arrived_us));
                (report, u32::try_from(us * 65_536 / 1_000_000).unwrap_or(u32::MAX))
            }
            None => (0, 0),
        };
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost: fraction.min(255) as u8,
            lost: expected.wrapping_sub(source.received) as i32,
            highest_sequence: source.highest,
            jitter: u32::try_from(source.jitter >> 4).unwrap_or(u32::MAX),
            last_sender_report,
            delay_since_report,
        })
    }

    /// Packets received in all.
    pub fn packets(&self) -> u64 {
        let now = self.source.as_ref().map_or(0, |source| u64::from(source.received));
        self.past.0 + now
    }

    /// Packets missing in all.
    pub fn lost(&self) -> u64 {
        let missing = |source: &Source| i64::from(source.expected()) - i64::from(source.received);
        let now = self.source.as_ref().map_or(0, |source| missing(source).max(0) as u64);
        self.past.1 + now
    }

    /// The share of all packets that is missing, 0 to 1.
    pub fn loss(&self) -> f32 {
        let all = self.packets() + self.lost();
        if all == 0 { 0.0 } else { self.lost() as f32 / all as f32 }
    }

    /// Interarrival jitter in milliseconds.
    pub fn jitter_ms(&self) -> f32 {
        let jitter = self.source.as_ref().map_or(0, |source| source.jitter);
        jitter as f32 / 16.0 * 1_000.0 / self.clock_hz as f32
    }
}

/// What was sent on one stream.
#[derive(Clone, Copy, Default, Debug)]
pub struct Transmission {
    packets: u32,
    octets: u32,
}

impl Transmission {
    /// A packet with so many octets of payload was sent.
    pub fn sent(&mut self, payload_octets: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_octets as u32);
    }

    /// Packets sent.
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// What a sender report says, where anything was sent.
    pub fn info(&self, ntp: u64, rtp_timestamp: u32) -> Option<SenderInfo> {
        (self.packets > 0).then_some(SenderInfo {
            ntp,
            rtp_timestamp,
            packets: self.packets,
            octets: self.octets,
        })
    }
}
