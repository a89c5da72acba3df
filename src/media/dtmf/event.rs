//! Telephone events (RFC 4733): the payload, who receives them and who sends them.

use smallvec::SmallVec;

use super::{DIGIT_MS, DigitError, GAP_MS, Waiting, digit_of, event_of, ticks};
use crate::FRAME_MS;

/// Ticks of 20 ms without a packet after which a key is taken to be up (RFC 4733 s.2.5.2.2: three packet times; here for networks
/// that are late).
const LOST_END_TICKS: u32 = 10;
/// The level that we say: -10 dBm0 (s.2.3.4).
const VOLUME: u8 = 10;
/// How often the end is sent (s.2.5.1.4).
const ENDS: u32 = 3;

/// The payload of an event packet (s.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The number of the event.
    pub event: u8,
    /// Whether this is its end.
    pub end: bool,
    /// Its level below 0 dBm0, 0 to 63.
    pub volume: u8,
    /// How long it has lasted, in ticks of the RTP clock.
    pub duration: u16,
}

impl Event {
    /// Reads the first event of a payload.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, high, low] = *payload.first_chunk::<4>()?;
        Some(Self {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The payload.
    pub fn bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | self.volume & 0x3f, high, low]
    }
}

/// What a device's key does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyEvent {
    /// It was pressed.
    Down(char),
    /// It was let go. Every `Down` gets exactly one, before the next `Down`.
    Up {
        /// Which.
        digit: char,
        /// How long it was down, in ticks of the RTP clock.
        ticks: u32,
    },
}

/// Events of one received stream: each key once, whatever is repeated, lost or late.
#[derive(Clone, Default, Debug)]
pub struct EventReceiver {
    current: Option<Held>,
    /// The timestamp of the newest event that there was.
    newest: Option<u32>,
}

/// A key that is down.
#[derive(Clone, Copy, Debug)]
struct Held {
    digit: char,
    event: u8,
    timestamp: u32,
    /// The ticks of the segments before this one (s.2.5.1.3).
    before: u32,
    duration: u16,
    quiet_ticks: u32,
}

impl EventReceiver {
    /// A packet of events came, with this timestamp.
    pub fn push(&mut self, timestamp: u32, payload: &[u8]) -> SmallVec<[KeyEvent; 2]> {
        let mut out = SmallVec::new();
        let Some(event) = Event::parse(payload) else {
            return out;
        };
        let Some(digit) = digit_of(event.event) else {
            return out;
        };
        if let Some(held) = self
            .current
            .as_mut()
            .filter(|held| held.timestamp == timestamp && held.event == event.event)
        {
            held.duration = held.duration.max(event.duration);
            held.quiet_ticks = 0;
        } else if let Some(held) = self.current.as_mut().filter(|held| held.goes_on_at(timestamp, event.event)) {
            held.before += u32::from(held.duration);
            (held.timestamp, held.duration, held.quiet_ticks) = (timestamp, event.duration, 0);
            self.newest = Some(timestamp);
        } else {
            // One that is over, once more; or one from before.
            if self.newest.is_some_and(|newest| timestamp.wrapping_sub(newest) as i32 <= 0) {
                return out;
            }
            out.extend(self.let_go());
            self.newest = Some(timestamp);
            self.current = Some(Held {
                digit,
                event: event.event,
                timestamp,
                before: 0,
                duration: event.duration,
                quiet_ticks: 0,
            });
            out.push(KeyEvent::Down(digit));
        }
        if event.end {
            out.extend(self.let_go());
        }
        out
    }

    /// 20 ms have passed: a key whose end was lost is up after a while.
    pub fn tick(&mut self) -> Option<KeyEvent> {
        let held = self.current.as_mut()?;
        held.quiet_ticks += 1;
        if held.quiet_ticks < LOST_END_TICKS {
            return None;
        }
        self.let_go()
    }

    /// The stream starts afresh (another SSRC): timestamps of before mean nothing.
    pub fn restart(&mut self) -> Option<KeyEvent> {
        self.newest = None;
        self.let_go()
    }

    fn let_go(&mut self) -> Option<KeyEvent> {
        let held = self.current.take()?;
        Some(KeyEvent::Up {
            digit: held.digit,
            ticks: held.before.saturating_add(u32::from(held.duration)),
        })
    }
}

impl Held {
    /// Whether an event with this timestamp is the next segment of a long one.
    fn goes_on_at(&self, timestamp: u32, event: u8) -> bool {
        self.event == event && self.duration >= 0x8000 && timestamp == self.timestamp.wrapping_add(u32::from(self.duration))
    }
}

/// A packet to send, with the payload type of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventPacket {
    /// The marker bit: the first of its event.
    pub marker: bool,
    /// The timestamp: the same for the whole event.
    pub timestamp: u32,
    /// The payload.
    pub payload: [u8; 4],
}

/// Sends digits as events.
#[derive(Clone, Debug)]
pub struct EventSender {
    ticks_per_frame: u32,
    waiting: Waiting,
    state: Sending,
}

#[derive(Clone, Copy, Debug)]
enum Sending {
    Nothing,
    /// So many ticks of silence.
    Pause {
        left: u32,
    },
    Digit {
        event: u8,
        timestamp: u32,
        /// Packets sent, and how many there will be before the ends.
        sent: u32,
        total: u32,
    },
}

impl EventSender {
    /// For a stream whose timestamps count so fast.
    pub fn new(clock_hz: u32) -> Self {
        Self {
            ticks_per_frame: clock_hz / 1_000 * FRAME_MS as u32,
            waiting: Waiting::default(),
            state: Sending::Nothing,
        }
    }

    /// These digits after those that wait, each for [`DIGIT_MS`]; `,` is a pause.
    pub fn push(&mut self, digits: &str) -> Result<(), DigitError> {
        self.waiting.push(digits, DIGIT_MS)
    }

    /// One digit of another length.
    pub fn push_long(&mut self, digit: char, digit_ms: u32) -> Result<(), DigitError> {
        self.waiting.push(digit.encode_utf8(&mut [0; 4]), digit_ms)
    }

    /// Whether nothing waits and nothing is being sent.
    pub fn is_idle(&self) -> bool {
        self.waiting.0.is_empty() && matches!(self.state, Sending::Nothing)
    }

    /// The packet of these 20 ms, in place of the audio whose timestamp this is. While one is due every tick must be told.
    pub fn tick(&mut self, timestamp: u32) -> Option<EventPacket> {
        if matches!(self.state, Sending::Nothing) {
            let (digit, length) = self.waiting.0.pop_front()?;
            self.state = match digit.and_then(event_of) {
                Some(event) => Sending::Digit {
                    event,
                    timestamp,
                    sent: 0,
                    total: length,
                },
                None => Sending::Pause { left: length },
            };
        }
        match &mut self.state {
            Sending::Nothing => None,
            Sending::Pause { left } => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.state = Sending::Nothing;
                }
                None
            }
            Sending::Digit {
                event,
                timestamp,
                sent,
                total,
            } => {
                *sent += 1;
                let end = *sent >= *total;
                let lasted = (*sent).min(*total) * self.ticks_per_frame;
                let packet = EventPacket {
                    marker: *sent == 1,
                    timestamp: *timestamp,
                    payload: Event {
                        event: *event,
                        end,
                        volume: VOLUME,
                        duration: u16::try_from(lasted).unwrap_or(u16::MAX),
                    }
                    .bytes(),
                };
                // The end is repeated while the key is up already.
                if *sent >= *total + ENDS - 1 {
                    let left = ticks(GAP_MS).saturating_sub(ENDS - 1);
                    self.state = Sending::Pause { left: left.max(1) };
                }
                Some(packet)
            }
        }
    }
}
