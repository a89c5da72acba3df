//! What a payload number means, and that it goes on meaning it.

use crate::codec::Codec;

/// Numbers from here to 127 are free to be given (RFC 3551 s.3).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;
/// Where those run out: unassigned, and not taken for RTCP either (RFC 5761 s.4).
const UNASSIGNED: std::ops::RangeInclusive<u8> = 35..=63;

/// What a payload number may mean to us.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// Audio.
    Audio(Codec),
    /// Telephone events (RFC 4733) on a clock.
    Event {
        /// Ticks of the RTP timestamp per second.
        clock_hz: u32,
    },
}

impl Format {
    /// Ticks of the RTP timestamp per second.
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Audio(codec) => codec.clock_hz(),
            Self::Event { clock_hz } => clock_hz,
        }
    }

    /// The value of `a=rtpmap` after the number.
    pub(super) fn rtpmap(self) -> String {
        match self {
            Self::Audio(codec) if codec.channels() > 1 => {
                format!("{}/{}/{}", codec.name(), codec.clock_hz(), codec.channels())
            }
            Self::Audio(codec) => format!("{}/{}", codec.name(), codec.clock_hz()),
            Self::Event { clock_hz } => format!("telephone-event/{clock_hz}"),
        }
    }

    /// The value of `a=fmtp` after the number.
    pub(super) const fn fmtp(self) -> Option<&'static str> {
        match self {
            // We play and capture at 16 kHz (RFC 7587 s.6.1): a hint that saves the device work.
            Self::Audio(Codec::Opus) => Some("maxplaybackrate=16000;sprop-maxcapturerate=16000"),
            Self::Audio(_) => None,
            Self::Event { .. } => Some("0-15"),
        }
    }

    /// The number that we like for it.
    const fn usual_number(self) -> u8 {
        match self {
            Self::Audio(codec) => match codec.static_payload_type() {
                Some(number) => number,
                None => 111,
            },
            Self::Event { clock_hz: 8_000 } => 101,
            Self::Event { .. } => 110,
        }
    }
}

/// How telephone events are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventFormat {
    /// Under this number.
    pub payload_type: u8,
    /// Ticks of the RTP timestamp per second.
    pub clock_hz: u32,
}

/// What a number stands for in this session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// One of ours.
    Known(Format),
    /// Something else, which it must go on standing for (RFC 3264 s.8.3.2).
    Other,
}

/// The numbers of one session, as what they were ever said to mean.
#[derive(Clone, Default, Debug)]
pub(super) struct Numbers {
    taken: Vec<(u8, Meaning)>,
}

impl Numbers {
    /// Every number, and what it means.
    pub fn all(&self) -> impl Iterator<Item = (u8, Meaning)> {
        self.taken.iter().copied()
    }

    /// Every number that means something to us.
    pub fn known(&self) -> impl Iterator<Item = (u8, Format)> {
        self.taken.iter().filter_map(|(number, meaning)| match meaning {
            Meaning::Known(format) => Some((*number, *format)),
            Meaning::Other => None,
        })
    }

    /// The number of a format: the one that was agreed last, or else learned first.
    pub fn number_of(&self, format: Format) -> Option<u8> {
        self.known().find(|(_, known)| *known == format).map(|(number, _)| number)
    }

    /// The number of a format, a free one where it has none yet.
    pub fn assign(&mut self, format: Format) -> Option<u8> {
        if let Some(number) = self.number_of(format) {
            return Some(number);
        }
        let fixed = matches!(format, Format::Audio(codec) if codec.static_payload_type().is_some());
        let free = |number: &u8| self.taken.iter().all(|(taken, _)| taken != number);
        let number = std::iter::once(format.usual_number())
            .chain(DYNAMIC)
            .chain(UNASSIGNED)
            .find(|number| fixed || free(number))?;
        self.set(number, format);
        Some(number)
    }

    /// From now on this number means that. What a device says last holds: it numbers its packets so.
    pub fn set(&mut self, number: u8, format: Format) {
        self.taken.retain(|(taken, _)| *taken != number);
        self.taken.insert(0, (number, Meaning::Known(format)));
    }

    /// What a description of the session says about its numbers. Where the meaning of a number is settled, it stays.
    pub fn learn(&mut self, numbers: &[(u8, Meaning)]) {
        for (number, meaning) in numbers {
            if self.taken.iter().all(|(taken, _)| taken != number) {
                self.taken.push((*number, *meaning));
            }
        }
    }
}
