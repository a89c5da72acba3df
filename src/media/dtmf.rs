//! Digits on the line: as RFC 4733 events and as tones. (Those in SIP INFO never reach the media plane.)
//!
//! A digit is one of `0`-`9`, `*`, `#`, `A`-`D`. Each way has its own state for one stream: [`EventReceiver`], [`EventSender`],
//! [`TonePlayer`], [`Detector`]. None of them knows the time: what is sent and what is given up goes by ticks of 20 ms.

mod detect;
mod event;
mod play;

pub use detect::Detector;
pub use event::{Event, EventPacket, EventReceiver, EventSender, KeyEvent};
pub use play::TonePlayer;

use std::collections::VecDeque;

use crate::FRAME_MS;

/// How long a digit is sent, in milliseconds.
pub const DIGIT_MS: u32 = 100;
/// Silence after a digit.
pub const GAP_MS: u32 = 60;
/// What a `,` stands for, as with modems.
pub const PAUSE_MS: u32 = 2_000;
/// The most digits that wait to be sent.
pub const MAX_WAITING: usize = 128;

/// The digits by their event number (RFC 4733 s.3.2).
const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];
/// The low tones, in hertz, by row (ITU-T Q.23).
const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
/// The high tones, by column.
const COLUMNS: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
/// The keys, by row and column.
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// The event number of a digit; lower-case letters too.
pub fn event_of(digit: char) -> Option<u8> {
    let digit = digit.to_ascii_uppercase();
    DIGITS.iter().position(|known| *known == digit).map(|number| number as u8)
}

/// The digit of an event number.
pub fn digit_of(event: u8) -> Option<char> {
    DIGITS.get(usize::from(event)).copied()
}

/// Why digits are not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DigitError {
    /// Not a digit, nor a `,`.
    #[error("{0:?} is no digit")]
    Unknown(char),
    /// More than [`MAX_WAITING`] would wait.
    #[error("too many digits wait")]
    Full,
}

/// What is to be sent, one after the other: a digit, or a pause, with its length in ticks of 20 ms.
#[derive(Clone, Default, Debug)]
struct Waiting(VecDeque<(Option<char>, u32)>);

impl Waiting {
    /// All of them, or none on an error.
    fn push(&mut self, digits: &str, digit_ms: u32) -> Result<(), DigitError> {
        let before = self.0.len();
        for digit in digits.chars() {
            let step = match digit {
                ',' => Ok((None, ticks(PAUSE_MS))),
                digit if event_of(digit).is_some() => Ok((Some(digit.to_ascii_uppercase()), ticks(digit_ms))),
                other => Err(DigitError::Unknown(other)),
            };
            let step = step.and_then(|step| {
                if self.0.len() < MAX_WAITING {
                    Ok(step)
                } else {
                    Err(DigitError::Full)
                }
            });
            match step {
                Ok(step) => self.0.push_back(step),
                Err(error) => {
                    self.0.truncate(before);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Milliseconds as ticks of 20 ms: one at least, a minute at most.
fn ticks(ms: u32) -> u32 {
    ms.clamp(1, 60_000).div_ceil(FRAME_MS as u32)
}

#[cfg(test)]
mod tests;
