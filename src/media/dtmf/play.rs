//! Digits as tones (ITU-T Q.23), for a device that takes no events.

use std::f64::consts::TAU;

use super::{COLUMNS, DIGIT_MS, DigitError, GAP_MS, KEYS, ROWS, Waiting, ticks};
use crate::rate::Rate;

/// The peak of each of the two tones: -9 dBm0 for the high, 2 dB less for the low one (Q.23 Annex A allows either).
const PEAKS: (f64, f64) = (4_400.0, 5_500.0);

/// Plays digits, frame by frame.
#[derive(Clone, Debug)]
pub struct TonePlayer {
    rate: Rate,
    waiting: Waiting,
    current: Option<(Option<char>, u32)>,
    /// Samples of the digit that were played.
    played: usize,
}

impl TonePlayer {
    /// Nothing to play yet.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            waiting: Waiting::default(),
            current: None,
            played: 0,
        }
    }

    /// These digits after those that wait, each for [`DIGIT_MS`]; `,` is a pause.
    pub fn push(&mut self, digits: &str) -> Result<(), DigitError> {
        self.waiting.push(digits, DIGIT_MS)
    }

    /// Whether nothing waits and nothing is being played.
    pub fn is_idle(&self) -> bool {
        self.waiting.0.is_empty() && self.current.is_none()
    }

    /// The next 20 ms, in place of what is in the frame. False when there is nothing to play: the frame stays as it is.
    pub fn fill(&mut self, frame: &mut [i16]) -> bool {
        let (digit, left) = match self.current {
            Some(current) => current,
            None => {
                self.played = 0;
                let Some((digit, length)) = self.waiting.0.pop_front() else {
                    return false;
                };
                // The gap after it belongs to the digit.
                (digit, length + if digit.is_some() { ticks(GAP_MS) } else { 0 })
            }
        };
        match digit.and_then(tones) {
            Some(tones) if left > ticks(GAP_MS) => self.sound(tones, frame),
            _ => frame.fill(0),
        }
        self.current = (left > 1).then_some((digit, left - 1));
        true
    }

    fn sound(&mut self, (low, high): (f64, f64), frame: &mut [i16]) {
        let rate = f64::from(self.rate.hz());
        for (at, sample) in (self.played..).zip(frame.iter_mut()) {
            let time = at as f64 * TAU / rate;
            *sample = ((low * time).sin() * PEAKS.0 + (high * time).sin() * PEAKS.1) as i16;
        }
        self.played += frame.len();
    }
}

/// The low and the high tone of a digit.
fn tones(digit: char) -> Option<(f64, f64)> {
    KEYS.iter().zip(ROWS).find_map(|(keys, low)| {
        let column = keys.iter().position(|key| *key == digit)?;
        Some((low, COLUMNS[column]))
    })
}
