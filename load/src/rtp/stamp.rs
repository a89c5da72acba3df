//! What the payload of a packet tells its receiver: when it was sent, by whom, and the how many-th it is. From it one leg's loss, repeats and
//! latency are reckoned. Pure.
//!
//! A server that relays leaves the payload as it is. One that decodes does not, and one may send packets of its own (silence, to keep a way open):
//! such packets are counted apart, and tell nothing.

use std::time::Duration;

/// RTP header and 160 samples.
pub const PACKET: usize = 172;
/// Where the payload begins.
const PAYLOAD: usize = 12;
const MAGIC: &[u8; 4] = b"TLRP";

/// The stamp of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The leg that sent it.
    pub leg: u64,
    /// It was its packet of that number, from 1.
    pub count: u32,
    /// When, in nanoseconds since the epoch.
    pub at_ns: u64,
}

impl Stamp {
    /// The packet: PCMU, silence but for the stamp.
    pub fn packet(self) -> [u8; PACKET] {
        let mut packet = [0xff; PACKET];
        let sequence = self.count as u16;
        let timestamp = self.count.wrapping_mul(160);
        let parts: [&[u8]; 8] = [
            &[0x80, 0],
            &sequence.to_be_bytes(),
            &timestamp.to_be_bytes(),
            &(self.leg as u32).to_be_bytes(),
            MAGIC,
            &self.leg.to_be_bytes(),
            &self.count.to_be_bytes(),
            &self.at_ns.to_be_bytes(),
        ];
        let written = parts.into_iter().flatten();
        for (byte, value) in packet.iter_mut().zip(written) {
            *byte = *value;
        }
        packet
    }

    /// The stamp of a packet that came; none where it has none.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let rest = packet.get(PAYLOAD..)?.strip_prefix(MAGIC)?;
        let (leg, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let at_ns = rest.first_chunk::<8>()?;
        Some(Self {
            leg: u64::from_be_bytes(*leg),
            count: u32::from_be_bytes(*count),
            at_ns: u64::from_be_bytes(*at_ns),
        })
    }
}

/// What one leg has heard.
#[derive(Clone, Default, Debug)]
pub struct Heard {
    /// Packets with a stamp, repeats left out.
    pub received: u64,
    /// Packets that had come already.
    pub repeated: u64,
    /// Packets without a stamp.
    pub unstamped: u64,
    source: Option<u64>,
    highest: u32,
    /// The last 64 numbers: those that came.
    window: u64,
    expected: u64,
    numbered: u64,
}

/// A packet that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// So much later than it was sent.
    After(Duration),
    /// It had come already.
    Again,
    /// It has no stamp.
    Unstamped,
}

impl Heard {
    /// A packet came at that time (nanoseconds since the epoch).
    pub fn take(&mut self, packet: &[u8], at_ns: u64) -> Arrival {
        let Some(stamp) = Stamp::read(packet) else {
            self.unstamped += 1;
            return Arrival::Unstamped;
        };
        if self.source != Some(stamp.leg) {
            (self.source, self.highest, self.window) = (Some(stamp.leg), 0, 0);
        }
        if !self.is_new(stamp.count) {
            self.repeated += 1;
            return Arrival::Again;
        }
        self.received += 1;
        self.numbered += 1;
        Arrival::After(Duration::from_nanos(at_ns.saturating_sub(stamp.at_ns)))
    }

    /// Packets that were sent before the last one that came, and never came.
    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.numbered)
    }

    fn is_new(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.window = self.window.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            self.expected += u64::from(ahead);
            return true;
        }
        let behind = self.highest - count;
        let bit = 1_u64.checked_shl(behind).unwrap_or(0);
        let new = bit != 0 && self.window & bit == 0;
        self.window |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(leg: u64, count: u32) -> [u8; PACKET] {
        let at_ns = 1_000;
        Stamp { leg, count, at_ns }.packet()
    }

    #[test]
    fn what_was_stamped_is_read_and_other_packets_have_none() {
        let sent = Stamp {
            leg: 7 << 40,
            count: 70_000,
            at_ns: u64::MAX - 1,
        };
        assert_eq!(Stamp::read(&sent.packet()), Some(sent));
        assert_eq!(Stamp::read(&[0xff; PACKET]), None);
        assert_eq!(Stamp::read(&sent.packet()[..30]), None);
    }

    #[test]
    fn loss_repeats_and_latency_are_reckoned_for_each_source() {
        let mut heard = Heard::default();
        for count in [1, 2, 4, 3, 3, 7] {
            heard.take(&stamp(1, count), 3_000);
        }
        assert_eq!((heard.received, heard.repeated, heard.lost()), (5, 1, 2));
        assert_eq!(heard.take(&stamp(2, 1), 2_500), Arrival::After(Duration::from_nanos(1_500)));
        assert_eq!((heard.received, heard.lost()), (6, 2));
        assert_eq!(heard.take(&[0; PACKET], 0), Arrival::Unstamped);
        assert_eq!((heard.received, heard.unstamped, heard.lost()), (6, 1, 2));
        heard.take(&stamp(2, 200), 0);
        assert_eq!((heard.take(&stamp(2, 10), 0), heard.lost()), (Arrival::Again, 200));
    }
}
