//! The stream that a port sends: one SSRC, sequence numbers and timestamps without a seam, whatever it is fed from.
//!
//! Relayed packets keep their distances to each other (so order, loss and pauses of the source stay visible to the receiver); where the source
//! changes, or our own frames take turns with it, the numbers go on from the last ones and the marker shows the new talk spurt (RFC 3550 s.5.1).
//! Invariant: no sequence number is used twice. Pure: the time comes in as microseconds.

use super::stream::StreamMark;

/// A jump of the source's sequence numbers that is a new start rather than loss (RFC 3550 A.1, MAX_DROPOUT).
const MAX_JUMP: u16 = 3_000;

/// The numbers of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Stamper {
    ssrc: u32,
    clock_hz: u32,
    /// The newest sent.
    sequence: u16,
    timestamp: u32,
    /// When the newest timestamp was.
    stamped_us: u64,
    feed: Feed,
}

#[derive(Debug)]
enum Feed {
    Nothing,
    Own,
    Relay(Link),
}

/// How the numbers of a source become ours.
#[derive(Clone, Copy, Debug)]
struct Link {
    source: u64,
    ssrc: u32,
    first: u16,
    newest: u16,
    newest_timestamp: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
}

/// What counts of a packet to relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    /// Names the source; ours is told from another one by it.
    pub(super) source: u64,
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
}

impl Stamper {
    /// A stream with random first numbers (RFC 3550 s.5.1).
    pub(super) fn new(ssrc: u32, sequence: u16, timestamp: u32, now_us: u64) -> Self {
        Self {
            ssrc,
            clock_hz: 8_000,
            sequence,
            timestamp,
            stamped_us: now_us,
            feed: Feed::Nothing,
        }
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Its first numbers are of now.
    pub(super) fn begin_at(&mut self, now_us: u64) {
        self.stamped_us = now_us;
    }

    /// Where the stream is, `wall_us` microseconds after 1970.
    pub(super) fn mark(&self, now_us: u64, wall_us: u64) -> StreamMark {
        StreamMark {
            ssrc: self.ssrc,
            sequence: self.sequence,
            timestamp: self.timestamp,
            clock_hz: self.clock_hz,
            at_us: wall_us.saturating_sub(now_us.saturating_sub(self.stamped_us)),
        }
    }

    /// The clock of the codec from now on.
    pub(super) fn run_at(&mut self, clock_hz: u32) {
        if self.clock_hz != clock_hz {
            self.clock_hz = clock_hz;
            self.feed = Feed::Nothing;
        }
    }

    /// The timestamp of that time, for a sender report.
    pub(super) fn timestamp_at(&self, now_us: u64) -> u32 {
        self.timestamp
            .wrapping_add(self.ticks(now_us.saturating_sub(self.stamped_us)))
    }

    /// Numbers for a relayed packet; `None` for one that is older than its source's turn.
    pub(super) fn relay(&mut self, packet: Incoming, now_us: u64) -> Option<Stamp> {
        let mut link = match self.feed {
            Feed::Relay(link) if link.source == packet.source && link.ssrc == packet.ssrc => link,
            _ => return Some(self.link(packet, now_us)),
        };
        let ahead = packet.sequence.wrapping_sub(link.newest);
        let older = ahead > u16::MAX / 2;
        if older && packet.sequence.wrapping_sub(link.first) > u16::MAX / 2 {
            // From before its turn. Far before: it has started over.
            let far = link.first.wrapping_sub(packet.sequence) > MAX_JUMP;
            return far.then(|| self.link(packet, now_us));
        }
        if !older && ahead > MAX_JUMP {
            return Some(self.link(packet, now_us));
        }
        let stamp = Stamp {
            sequence: packet.sequence.wrapping_add(link.sequence_offset),
            timestamp: packet.timestamp.wrapping_add(link.timestamp_offset),
            marker: packet.marker,
        };
        if !older {
            let aged = packet.timestamp.wrapping_sub(link.newest_timestamp);
            if ahead > 0 && aged > u32::MAX / 2 {
                return Some(self.link(packet, now_us));
            }
            link.newest = packet.sequence;
            link.newest_timestamp = packet.timestamp;
            self.feed = Feed::Relay(link);
            self.sequence = stamp.sequence;
            // Packets of one telephone event repeat its timestamp: it was its first one's time.
            if stamp.timestamp != self.timestamp {
                self.stamped_us = now_us;
            }
            self.timestamp = stamp.timestamp;
        }
        Some(stamp)
    }

    /// Numbers for a frame of our own, of so many ticks, that is due now.
    pub(super) fn own(&mut self, ticks: u32, now_us: u64) -> Stamp {
        let frame_us = u64::from(ticks) * 1_000_000 / u64::from(self.clock_hz.max(1));
        let follows = matches!(self.feed, Feed::Own) && now_us.saturating_sub(self.stamped_us) < 2 * frame_us + frame_us / 2;
        if follows {
            self.timestamp = self.timestamp.wrapping_add(ticks);
            self.stamped_us += frame_us;
        } else {
            self.begin(ticks, now_us);
        }
        self.feed = Feed::Own;
        self.sequence = self.sequence.wrapping_add(1);
        Stamp {
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: !follows,
        }
    }

    fn link(&mut self, packet: Incoming, now_us: u64) -> Stamp {
        self.begin(self.clock_hz / 50, now_us);
        self.sequence = self.sequence.wrapping_add(1);
        self.feed = Feed::Relay(Link {
            source: packet.source,
            ssrc: packet.ssrc,
            first: packet.sequence,
            newest: packet.sequence,
            newest_timestamp: packet.timestamp,
            sequence_offset: self.sequence.wrapping_sub(packet.sequence),
            timestamp_offset: self.timestamp.wrapping_sub(packet.timestamp),
        });
        Stamp {
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: true,
        }
    }

    /// A talk spurt begins: the timestamp goes on by the time that has passed, a frame at least.
    fn begin(&mut self, frame: u32, now_us: u64) {
        let passed = self.ticks(now_us.saturating_sub(self.stamped_us)).max(frame);
        self.timestamp = self.timestamp.wrapping_add(passed);
        self.stamped_us = now_us;
    }

    fn ticks(&self, us: u64) -> u32 {
        // Cut to 32 bits as timestamps are.
        (u128::from(us) * u128::from(self.clock_hz) / 1_000_000) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn incoming(source: u64, sequence: u16, timestamp: u32) -> Incoming {
        Incoming {
            source,
            ssrc: source as u32,
            sequence,
            timestamp,
            marker: false,
        }
    }

    fn stamper() -> Stamper {
        Stamper::new(5, u16::MAX - 1, u32::MAX - 100, 0)
    }

    #[test]
    fn a_stream_goes_on_without_a_seam_when_its_source_changes() {
        let mut stamper = stamper();
        let first = stamper.relay(incoming(1, 500, 7_000), 20_000).unwrap();
        assert_eq!((first.sequence, first.marker), (u16::MAX, true));
        let second = stamper.relay(incoming(1, 501, 7_160), 40_000).unwrap();
        assert_eq!(
            (second.sequence, second.timestamp, second.marker),
            (0, first.timestamp.wrapping_add(160), false)
        );
        let other = stamper.relay(incoming(2, 9, 99), 60_000).unwrap();
        assert_eq!(
            (other.sequence, other.timestamp, other.marker),
            (1, second.timestamp.wrapping_add(160), true)
        );
        let own = stamper.own(160, 160_000);
        assert_eq!(
            (own.sequence, own.timestamp, own.marker),
            (2, other.timestamp.wrapping_add(800), true)
        );
        let next = stamper.own(160, 180_000);
        assert_eq!(
            (next.sequence, next.timestamp, next.marker),
            (3, own.timestamp.wrapping_add(160), false)
        );
        let back = stamper.relay(incoming(2, 17, 1_379), 200_000).unwrap();
        assert_eq!(
            (back.sequence, back.timestamp, back.marker),
            (4, next.timestamp.wrapping_add(160), true)
        );
    }

    #[test]
    fn loss_and_order_of_a_source_stay_as_they_are() {
        let mut stamper = stamper();
        let base = stamper.relay(incoming(1, 10, 1_600), 0).unwrap();
        let sequences: Vec<_> = [12, 11, 15]
            .map(|n| stamper.relay(incoming(1, n, u32::from(n) * 160), 20_000).unwrap())
            .map(|stamp| stamp.sequence.wrapping_sub(base.sequence))
            .to_vec();
        assert_eq!(sequences, [2, 1, 5]);
        assert_eq!(stamper.relay(incoming(1, 9, 1_440), 20_000), None);
    }

    #[test]
    fn a_source_that_starts_over_is_a_new_talk_spurt() {
        let mut stamper = stamper();
        let base = stamper.relay(incoming(1, 10_000, 1_600), 0).unwrap();
        for (n, (sequence, timestamp)) in [(50_000, 0), (50_001, u32::MAX), (10, 5)].into_iter().enumerate() {
            let stamp = stamper.relay(incoming(1, sequence, timestamp), 20_000).unwrap();
            assert!(stamp.marker || n == 1, "{n}");
            assert_eq!(stamp.sequence, base.sequence.wrapping_add(n as u16 + 1));
        }
    }

    #[test]
    fn the_packets_of_an_event_keep_one_timestamp_and_the_speech_after_it_keeps_the_time() {
        let mut stamper = stamper();
        let speech = stamper.relay(incoming(1, 1, 160), 0).unwrap();
        let event: Vec<_> = (2..7)
            .map(|n| stamper.relay(incoming(1, n, 320), u64::from(n) * 20_000).unwrap())
            .collect();
        assert!(
            event
                .iter()
                .all(|stamp| stamp.timestamp == speech.timestamp.wrapping_add(160))
        );
        // Four frames after the first packet of the event.
        let own = stamper.own(160, 40_000 + 5 * 20_000);
        assert_eq!(own.timestamp, speech.timestamp.wrapping_add(6 * 160));
    }

    proptest! {
        #[test]
        fn no_sequence_number_is_used_twice(steps in proptest::collection::vec((0_u64..4, 0_u16..6), 1..400)) {
            let (mut stamper, mut sent) = (stamper(), std::collections::HashSet::new());
            let (mut now_us, mut sequences) = (0, [0_u16, 30_000, 65_530]);
            for (source, skip) in steps {
                now_us += 20_000;
                let stamp = match sequences.get_mut(source as usize) {
                    None => stamper.own(160, now_us),
                    Some(sequence) => {
                        *sequence = sequence.wrapping_add(1 + skip);
                        stamper.relay(incoming(source, *sequence, u32::from(*sequence) * 160), now_us).unwrap()
                    }
                };
                prop_assert!(sent.insert(stamp.sequence), "{:?}", stamp);
            }
        }
    }
}
