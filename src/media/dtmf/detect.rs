//! Digits heard as tones: eight Goertzel filters over blocks of 12.75 ms (102 samples at 8 kHz, where all eight tones fall close
//! to a bin).
//!
//! A block is a digit where one low and one high tone stand out of their group, are about as strong as each other (ITU-T Q.24),
//! and are nearly all that is heard: the last is what speech and music do not do. A digit counts after two blocks in a row, and
//! is over after two blocks without it, so what is heard lasts 25 ms at least and what is interrupted for less than 15 ms stays
//! one digit.

use std::f64::consts::TAU;

use super::{COLUMNS, KEYS, KeyEvent, ROWS};
use crate::rate::Rate;

/// Samples of a block at 8 kHz.
const BLOCK: usize = 102;
/// The least power of either tone, as a mean square of samples: -39 dBFS.
const LEAST: f64 = 65_000.0;
/// How much stronger the high tone may be (twist, Q.24: 4 dB at least), and the low one (8 dB at least), as ratios of power.
const HIGH_OVER_LOW: f64 = 4.0;
const LOW_OVER_HIGH: f64 = 8.0;
/// How much a tone stands out of its group: 8 dB.
const STANDS_OUT: f64 = 6.3;
/// The share of all power that the two tones have.
const SHARE: f64 = 0.82;

/// See the module.
#[derive(Clone, Debug)]
pub struct Detector {
    block: usize,
    /// `2 cos` of the eight tones, the low ones first.
    coefficients: [f64; 8],
    filters: [(f64, f64); 8],
    power: f64,
    filled: usize,
    /// What the last block was.
    last: Option<char>,
    /// What is down.
    down: Option<char>,
    down_blocks: u32,
    /// Blocks in a row that were not what is down.
    missing: u32,
}

impl Detector {
    /// For audio of this rate.
    pub fn new(rate: Rate) -> Self {
        let mut coefficients = [0.0; 8];
        for (coefficient, hz) in coefficients.iter_mut().zip(ROWS.into_iter().chain(COLUMNS)) {
            *coefficient = 2.0 * (TAU * hz / f64::from(rate.hz())).cos();
        }
        Self {
            block: BLOCK * rate.hz() as usize / 8_000,
            coefficients,
            filters: [(0.0, 0.0); 8],
            power: 0.0,
            filled: 0,
            last: None,
            down: None,
            down_blocks: 0,
            missing: 0,
        }
    }

    /// The next samples; says what keys went down and up. [`KeyEvent::Up`] counts ticks of 8 kHz.
    pub fn push(&mut self, samples: &[i16]) -> Vec<KeyEvent> {
        let mut out = Vec::new();
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.block - self.filled));
            self.filter(now);
            self.filled += now.len();
            rest = later;
            if self.filled == self.block {
                let digit = self.judge();
                self.decide(digit, &mut out);
                (self.filters, self.power, self.filled) = ([(0.0, 0.0); 8], 0.0, 0);
            }
        }
        out
    }

    fn filter(&mut self, samples: &[i16]) {
        for sample in samples.iter().map(|sample| f64::from(*sample)) {
            self.power += sample * sample;
            for ((one, two), coefficient) in self.filters.iter_mut().zip(self.coefficients) {
                (*one, *two) = (sample + coefficient * *one - *two, *one);
            }
        }
    }

    /// What the block is.
    fn judge(&self) -> Option<char> {
        let mut powers = [0.0; 8];
        let norm = 2.0 / (self.block * self.block) as f64;
        for ((power, (one, two)), coefficient) in powers.iter_mut().zip(self.filters).zip(self.coefficients) {
            *power = norm * (one * one + two * two - coefficient * one * two);
        }
        let (rows, columns) = powers.split_at(4);
        let (row, low) = outstanding(rows)?;
        let (column, high) = outstanding(columns)?;
        let all = self.power / self.block as f64;
        let sound = low >= LEAST && high >= LEAST && high <= low * HIGH_OVER_LOW && low <= high * LOW_OVER_HIGH;
        (sound && low + high >= all * SHARE).then(|| KEYS[row][column])
    }

    fn decide(&mut self, digit: Option<char>, out: &mut Vec<KeyEvent>) {
        let before = std::mem::replace(&mut self.last, digit);
        if let Some(down) = self.down {
            self.down_blocks += 1;
            self.missing = if digit == Some(down) { 0 } else { self.missing + 1 };
            if self.missing < 2 {
                return;
            }
            self.down = None;
            let blocks = self.down_blocks - self.missing;
            out.push(KeyEvent::Up {
                digit: down,
                ticks: blocks * BLOCK as u32,
            });
        }
        if let Some(digit) = digit.filter(|_| before == digit) {
            (self.down, self.down_blocks, self.missing) = (Some(digit), 2, 0);
            out.push(KeyEvent::Down(digit));
        }
    }
}

/// The strongest of a group, where it stands out.
fn outstanding(powers: &[f64]) -> Option<(usize, f64)> {
    let (index, power) = powers
        .iter()
        .copied()
        .enumerate()
        .max_by(|one, other| one.1.total_cmp(&other.1))?;
    let rivals = powers.iter().enumerate().filter(|(other, _)| *other != index);
    rivals
        .map(|(_, rival)| *rival)
        .all(|rival| power >= rival * STANDS_OUT)
        .then_some((index, power))
}
