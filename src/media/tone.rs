//! Tones: made, and told apart by the Goertzel algorithm.

use std::f64::consts::TAU;

use crate::NARROW_BAND_HZ;

/// A steady sine at 8 kHz sampling.
#[derive(Clone, Debug)]
pub struct Tone {
    step: f64,
    phase: f64,
    amplitude: f64,
}

impl Tone {
    /// A tone of that frequency in hertz, at a comfortable level (-9 dBFS).
    pub fn new(frequency_hz: f64) -> Self {
        Self {
            step: TAU * frequency_hz / f64::from(NARROW_BAND_HZ),
            phase: 0.0,
            amplitude: 11_600.0,
        }
    }
}

impl Iterator for Tone {
    type Item = i16;

    fn next(&mut self) -> Option<i16> {
        let sample = self.phase.sin() * self.amplitude;
        self.phase = (self.phase + self.step) % TAU;
        Some(sample as i16)
    }
}

/// The part of the samples' power that is at that frequency: near 1 for a pure tone, near 0 where it is absent. Silence has none.
pub fn share_of(samples: &[i16], frequency_hz: f64) -> f64 {
    let step = TAU * frequency_hz / f64::from(NARROW_BAND_HZ);
    let coefficient = 2.0 * step.cos();
    let (mut one, mut two, mut power) = (0.0, 0.0, 0.0);
    for sample in samples.iter().map(|sample| f64::from(*sample)) {
        power += sample * sample;
        (one, two) = (sample + coefficient * one - two, one);
    }
    if power == 0.0 {
        return 0.0;
    }
    let at_frequency = one * one + two * two - coefficient * one * two;
    2.0 * at_frequency / (power * samples.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_found_where_it_is_and_nowhere_else() {
        let samples: Vec<i16> = Tone::new(440.0).take(8_000).collect();
        assert!(share_of(&samples, 440.0) > 0.95);
        assert!(share_of(&samples, 660.0) < 0.01);
        assert_eq!(share_of(&[0; 160], 440.0), 0.0);
    }
}
