//! The jitter buffer of one RTP stream: packets in, in any order and at any time; out in the order of their timestamps, at an
//! even pace.
//!
//! It has a play-out point, a timestamp that moves with what is taken. How early a packet comes before that point is its *slack*.
//! A packet that comes too late moves the point back, which is more delay; five seconds in which even the latest packet came well
//! before it let the point move on ([`JitterBuffer::has_surplus`]: the caller drops a frame where it is not heard). So the delay
//! follows the network, and a sender whose clock drifts, without any estimate of either. The point moves with packets, never with
//! time: nobody pulls, nothing happens.
//!
//! Invariants: never more than [`CAPACITY`] packets; never more delay than [`Limits::max_ms`] for longer than one packet; no
//! packet twice; timestamps rise. A packet with another SSRC, or one that jumps in sequence, is taken only when the next one
//! follows on it (RFC 3550 A.1): one stray packet changes nothing.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::FRAME_MS;
use crate::rtp::Header;

/// The most packets held: 64 of 10 ms are more than any delay that is allowed.
pub const CAPACITY: usize = 64;
/// Jumps of the sequence that are still the same stream (RFC 3550 A.1: MAX_DROPOUT, MAX_MISORDER).
const MAX_DROPOUT: i32 = 3_000;
const MAX_MISORDER: i32 = 100;
/// Timestamps that are further away than this from the play-out point start the stream afresh.
const MAX_LEAP_MS: i32 = 2_000;
/// Frames that are concealed in a row; after them comes silence, and the delay starts over with the next packet.
const MAX_CONCEALED: u32 = 5;
/// Packets of one measurement of the slack: five seconds of 20 ms.
const MEASURED_PACKETS: u32 = 250;

/// How much delay is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The least, in milliseconds.
    pub min_ms: u32,
    /// What a stream starts with.
    pub start_ms: u32,
    /// The most.
    pub max_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_ms: 20,
            start_ms: 40,
            max_ms: 120,
        }
    }
}

/// What became of a packet that was given to the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It is held.
    Held,
    /// It is there already, or was played.
    Duplicate,
    /// Its time is over and cannot be brought back.
    Late,
    /// It does not belong to the stream, unless the next one follows on it.
    Stray,
    /// Nothing that can be played: no codec for it, or a length that cannot be.
    Unusable,
}

/// What there is for the play-out point.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// This packet.
    Packet(Packet),
    /// A packet that did not come; conceal so many ticks.
    Lost {
        /// Ticks of the RTP clock, at most a frame.
        ticks: u32,
    },
    /// The sender is silent, or the buffer fills; play so many ticks of silence.
    Nothing {
        /// Ticks of the RTP clock, at most a frame.
        ticks: u32,
    },
}

/// A packet that is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Its number.
    pub sequence: u16,
    /// Its first sample.
    pub timestamp: u32,
    /// How long it lasts, in ticks.
    pub ticks: u32,
    /// Its payload type.
    pub payload_type: u8,
    /// What is in it.
    pub payload: Bytes,
}

/// What the buffer has seen, since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Packets held.
    pub held: u64,
    /// Packets that came too late.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets that did not belong.
    pub stray: u64,
    /// Packets dropped because the delay was too long.
    pub skipped: u64,
    /// Frames that had to be concealed.
    pub concealed: u64,
    /// How often the stream started afresh.
    pub restarts: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// No packet yet, or none for a while.
    Idle,
    /// So many frames of silence before the first packet is played.
    Filling { frames: u32 },
    /// So many frames were concealed in a row.
    Playing { concealed: u32 },
}

/// The least and the most slack of a measurement, in ticks.
#[derive(Clone, Copy, Debug)]
struct Slack {
    least: i32,
    most: i32,
    packets: u32,
}

impl Slack {
    const NONE: Self = Self {
        least: i32::MAX,
        most: i32::MIN,
        packets: 0,
    };

    fn add(&mut self, slack: i32) {
        self.least = self.least.min(slack);
        self.most = self.most.max(slack);
        self.packets += 1;
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    clock_khz: i32,
    limits: Limits,
    state: State,
    ssrc: Option<u32>,
    /// The newest sequence number of the stream.
    newest: u16,
    /// The last one that was played.
    played: Option<u16>,
    /// SSRC and sequence number with which a stray stream would go on.
    expected_stray: Option<(u32, u16)>,
    /// By timestamp.
    packets: VecDeque<Packet>,
    /// The play-out point.
    next: u32,
    now: Slack,
    before: Slack,
    counters: Counters,
}

impl JitterBuffer {
    /// For a stream whose timestamps count so fast.
    pub fn new(clock_hz: u32, limits: Limits) -> Self {
        Self {
            clock_khz: (clock_hz / 1_000).clamp(1, 1_000) as i32,
            limits,
            state: State::Idle,
            ssrc: None,
            newest: 0,
            played: None,
            expected_stray: None,
            packets: VecDeque::new(),
            next: 0,
            now: Slack::NONE,
            before: Slack::NONE,
            counters: Counters::default(),
        }
    }

    /// A packet came, lasting so many ticks.
    pub fn push(&mut self, header: &Header, ticks: u32, payload: Bytes) -> Arrival {
        let most = (MAX_LEAP_MS / 2 * self.clock_khz).unsigned_abs();
        if ticks == 0 || ticks > most {
            return Arrival::Unusable;
        }
        let arrival = self.admit(header, ticks);
        match arrival {
            Arrival::Held => self.hold(Packet {
                sequence: header.sequence,
                timestamp: header.timestamp,
                ticks,
                payload_type: header.payload_type,
                payload,
            }),
            other => {
                self.count(other);
                other
            }
        }
    }

    /// A packet of the stream that is no audio (an event): its number is not missing.
    pub fn pass_over(&mut self, header: &Header) {
        if self.ssrc != Some(header.ssrc) {
            return;
        }
        if (1..100).contains(&header.sequence.wrapping_sub(self.newest)) {
            self.newest = header.sequence;
        }
        if self.played.is_some_and(|played| played.wrapping_add(1) == header.sequence) {
            self.played = Some(header.sequence);
        }
    }

    /// What comes next. The play-out point moves on by what is given.
    pub fn pull(&mut self) -> Next {
        let frame = self.frame_ticks();
        match self.state {
            State::Idle => Next::Nothing { ticks: frame },
            State::Filling { frames } => {
                self.state = match frames {
                    0 | 1 => State::Playing { concealed: 0 },
                    more => State::Filling { frames: more - 1 },
                };
                Next::Nothing { ticks: frame }
            }
            State::Playing { concealed } => self.play(concealed),
        }
    }

    /// Whether there is more delay than the network needs, by a frame at least: a good time to take one more and drop it
    /// ([`JitterBuffer::shortened`]).
    pub fn has_surplus(&self) -> bool {
        let wanted = (self.limits.min_ms as i32 + FRAME_MS as i32) * self.clock_khz;
        self.before.packets > 0 && self.before.least.min(self.now.least) >= wanted
    }

    /// A frame was taken and dropped for [`JitterBuffer::has_surplus`].
    pub fn shortened(&mut self) {
        (self.now, self.before) = (Slack::NONE, Slack::NONE);
    }

    /// How long packets wait here at present, in milliseconds, the earliest ones.
    pub fn delay_ms(&self) -> u32 {
        let most = self.now.most.max(self.before.most);
        u32::try_from(most / self.clock_khz).unwrap_or(0)
    }

    /// What was seen.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The SSRC of the stream.
    pub fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    fn frame_ticks(&self) -> u32 {
        FRAME_MS as u32 * self.clock_khz as u32
    }

    /// Whether a packet belongs to the stream; one that starts it afresh does so.
    fn admit(&mut self, header: &Header, ticks: u32) -> Arrival {
        let Some(ssrc) = self.ssrc else {
            self.restart(header);
            return Arrival::Held;
        };
        let ahead = i32::from(header.sequence.wrapping_sub(self.newest) as i16);
        let belongs = header.ssrc == ssrc && (-MAX_MISORDER..MAX_DROPOUT).contains(&ahead);
        if !belongs {
            let follows = self.expected_stray == Some((header.ssrc, header.sequence));
            self.expected_stray = Some((header.ssrc, header.sequence.wrapping_add(1)));
            if !follows {
                return Arrival::Stray;
            }
            self.restart(header);
            return Arrival::Held;
        }
        // The stream is still there: what strays beside it (two devices that both send) does not take its place.
        self.expected_stray = None;
        if self.is_known(header.sequence) {
            return Arrival::Duplicate;
        }
        let leap = MAX_LEAP_MS * self.clock_khz;
        let slack = self.slack(header.timestamp);
        if self.state == State::Idle || !(-leap..leap).contains(&slack) {
            if ahead <= 0 {
                return Arrival::Late;
            }
            self.restart(header);
            return Arrival::Held;
        }
        if ahead > 0 {
            self.newest = header.sequence;
        }
        // While the buffer fills, the first packet may still turn out not to be the first.
        let filling = matches!(self.state, State::Filling { .. });
        if !filling && slack + ticks as i32 <= 0 && !self.move_back(header, slack) {
            return Arrival::Late;
        }
        Arrival::Held
    }

    /// Whether this packet is held, or was the last one played. Those played before it are late, which is as good.
    fn is_known(&self, sequence: u16) -> bool {
        self.played == Some(sequence) || self.packets.iter().any(|packet| packet.sequence == sequence)
    }

    /// More delay for a packet that is late: the point goes back to it, unless something after it was played already or the delay
    /// would be too long.
    fn move_back(&mut self, header: &Header, slack: i32) -> bool {
        let overtaken = self
            .played
            .is_some_and(|played| header.sequence.wrapping_sub(played) as i16 <= 0);
        let most = self.now.most.max(self.before.most).max(0);
        if overtaken || most - slack > self.limits.max_ms as i32 * self.clock_khz {
            return false;
        }
        self.next = header.timestamp;
        for window in [&mut self.now, &mut self.before] {
            if window.packets > 0 {
                window.least -= slack;
                window.most -= slack;
            }
        }
        true
    }

    /// The stream starts here. The delay is what was needed before, or that of a start.
    fn restart(&mut self, header: &Header) {
        if self.ssrc.is_some() {
            self.counters.restarts += 1;
        }
        let needed = match self.before.packets {
            0 => self.limits.start_ms,
            _ => self.limits.start_ms.max(self.delay_ms()),
        };
        let delay_ms = needed.clamp(self.limits.min_ms, self.limits.max_ms);
        self.state = State::Filling {
            frames: delay_ms / FRAME_MS as u32,
        };
        self.counters.skipped += self.packets.len() as u64;
        self.packets.clear();
        self.ssrc = Some(header.ssrc);
        self.newest = header.sequence;
        self.played = None;
        self.expected_stray = None;
        self.next = header.timestamp;
        (self.now, self.before) = (Slack::NONE, Slack::NONE);
    }

    /// How long before its time a packet of this timestamp is.
    fn slack(&self, timestamp: u32) -> i32 {
        let waiting = match self.state {
            State::Filling { frames } => (frames * self.frame_ticks()) as i32,
            _ => 0,
        };
        (timestamp.wrapping_sub(self.next) as i32).saturating_add(waiting)
    }

    fn hold(&mut self, packet: Packet) -> Arrival {
        // Of the same time already: the sender repeats itself.
        let at = self
            .packets
            .partition_point(|held| (held.timestamp.wrapping_sub(packet.timestamp) as i32) < 0);
        if self.packets.get(at).is_some_and(|held| held.timestamp == packet.timestamp) {
            self.count(Arrival::Duplicate);
            return Arrival::Duplicate;
        }
        // While the buffer fills, a packet from before the first one becomes the first.
        if matches!(self.state, State::Filling { .. }) && at == 0 {
            self.next = packet.timestamp;
        }
        self.measure(self.slack(packet.timestamp));
        self.packets.insert(at, packet);
        self.count(Arrival::Held);
        self.cut();
        Arrival::Held
    }

    fn measure(&mut self, slack: i32) {
        self.now.add(slack);
        if self.now.packets >= MEASURED_PACKETS {
            self.before = std::mem::replace(&mut self.now, Slack::NONE);
        }
    }

    /// Drops the oldest packets where more is held than the longest delay and a packet.
    fn cut(&mut self) {
        let most = self.limits.max_ms as i32 * self.clock_khz;
        while let (Some(first), Some(last)) = (self.packets.front(), self.packets.back()) {
            let waiting = self.slack(last.timestamp);
            if self.packets.len() <= CAPACITY && (waiting <= most || self.packets.len() == 1) {
                return;
            }
            let sequence = first.sequence;
            self.packets.pop_front();
            self.counters.skipped += 1;
            self.played = Some(sequence);
            if let Some(first) = self.packets.front() {
                self.next = first.timestamp;
            }
            (self.now, self.before) = (Slack::NONE, Slack::NONE);
        }
    }

    /// What there is at the play-out point.
    fn play(&mut self, concealed: u32) -> Next {
        let frame = self.frame_ticks();
        let Some(first) = self.packets.front() else {
            return self.run_dry(concealed);
        };
        let gap = first.timestamp.wrapping_sub(self.next) as i32;
        if gap > 0 {
            let ticks = frame.min(gap as u32);
            let silent = self.played.is_some_and(|played| played.wrapping_add(1) == first.sequence);
            self.next = self.next.wrapping_add(ticks);
            if silent || concealed >= MAX_CONCEALED {
                return Next::Nothing { ticks };
            }
            self.state = State::Playing {
                concealed: concealed + 1,
            };
            self.counters.concealed += 1;
            return Next::Lost { ticks };
        }
        let Some(packet) = self.packets.pop_front() else {
            return Next::Nothing { ticks: frame };
        };
        self.state = State::Playing { concealed: 0 };
        self.next = packet.timestamp.wrapping_add(packet.ticks);
        self.played = Some(packet.sequence);
        Next::Packet(packet)
    }

    /// Nothing is held: for a while that is loss, then the sender is taken to be silent.
    fn run_dry(&mut self, concealed: u32) -> Next {
        let ticks = self.frame_ticks();
        if concealed >= MAX_CONCEALED {
            self.state = State::Idle;
            return Next::Nothing { ticks };
        }
        self.state = State::Playing {
            concealed: concealed + 1,
        };
        self.next = self.next.wrapping_add(ticks);
        self.counters.concealed += 1;
        Next::Lost { ticks }
    }

    fn count(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Held => self.counters.held += 1,
            Arrival::Duplicate => self.counters.duplicate += 1,
            Arrival::Late => self.counters.late += 1,
            Arrival::Stray => self.counters.stray += 1,
            Arrival::Unusable => {}
        }
    }
}

#[cfg(test)]
mod tests;
