//! Tones: those of a locale with their cadence, and one steady sine to test with; told apart by the Goertzel algorithm.

mod table;

use std::f64::consts::TAU;

use crate::NARROW_BAND_HZ;
use crate::rate::Rate;

pub use table::Locale;

use table::{Pattern, Step};

/// The peak of a tone of a locale: -12 dBFS.
const PEAK: f64 = 8_200.0;
/// How long a tone takes to come and go, so that it does not click, in parts of a second.
const RAMP: u64 = 250;

/// What a tone tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ToneKind {
    /// Dial now.
    Dial,
    /// It rings there.
    RingBack,
    /// The called party is busy.
    Busy,
    /// The network is busy, or the number is wrong (congestion, reorder).
    FastBusy,
    /// Something begins: one short tone, then silence.
    Beep,
}

/// A tone of a locale, without end.
#[derive(Clone, Debug)]
pub struct ToneSource {
    pattern: &'static Pattern,
    rate: Rate,
    /// In samples.
    position: u64,
}

impl ToneSource {
    /// From its start.
    pub fn new(kind: ToneKind, locale: Locale, rate: Rate) -> Self {
        Self {
            pattern: locale.pattern(kind),
            rate,
            position: 0,
        }
    }

    /// The next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        let mut rest = out;
        while !rest.is_empty() {
            let (step, at, length) = self.step();
            let count = usize::try_from(length - at).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            self.sound(step, at, length, now);
            self.position += count as u64;
            rest = later;
        }
    }

    /// How much was played, in milliseconds.
    pub fn position_ms(&self) -> u64 {
        self.position * 1_000 / u64::from(self.rate.hz())
    }

    /// Goes on from there.
    pub fn seek(&mut self, position_ms: u64) {
        self.position = position_ms.saturating_mul(u64::from(self.rate.hz())) / 1_000;
    }

    fn samples(&self, ms: u32) -> u64 {
        u64::from(ms) * u64::from(self.rate.hz()) / 1_000
    }

    /// The step at the position, how far into it that is, and its length, in samples.
    fn step(&self) -> (&'static Step, u64, u64) {
        let total: u64 = self.pattern.steps.iter().map(|step| self.samples(step.ms)).sum();
        let mut at = self.position;
        if self.pattern.repeats {
            at %= total;
        }
        for step in self.pattern.steps {
            let length = self.samples(step.ms);
            if at < length {
                return (step, at, length);
            }
            at -= length;
        }
        (&table::SILENCE, 0, u64::MAX)
    }

    /// A part of a step. Every frequency keeps its phase over steps and rounds.
    fn sound(&self, step: &Step, at: u64, length: u64, out: &mut [i16]) {
        out.fill(0);
        let shares: f64 = step.tones.iter().map(|(_, share)| share).sum();
        let ramp = u64::from(self.rate.hz()) / RAMP;
        // Whole seconds are whole turns of every whole frequency.
        let phase = self.position % u64::from(self.rate.hz());
        // A pattern of one step has no edges but its start.
        let steady = self.pattern.steps.len() == 1 && self.pattern.repeats;
        for (hz, share) in step.tones {
            let turn = TAU * hz / f64::from(self.rate.hz());
            let (sine, cosine) = turn.sin_cos();
            let (mut y, mut x) = (phase as f64 * turn).sin_cos();
            let peak = PEAK * share / shares;
            for (index, sample) in (at..).zip(out.iter_mut()) {
                let from_edge = if steady { ramp } else { index.min(length - 1 - index) };
                let level = from_edge.min(ramp) as f64 / ramp as f64;
                *sample += (y * peak * level) as i16;
                (y, x) = (y * cosine + x * sine, x * cosine - y * sine);
            }
        }
    }
}

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

    fn played(kind: ToneKind, locale: Locale, seconds: usize) -> Vec<i16> {
        let mut source = ToneSource::new(kind, locale, Rate::Narrow);
        let mut out = vec![0; 8_000 * seconds];
        out.chunks_mut(160).for_each(|frame| source.fill(frame));
        assert_eq!(source.position_ms(), 1_000 * seconds as u64);
        out
    }

    /// When there is sound, as (on, off) in 10 ms.
    fn cadence(samples: &[i16]) -> Vec<(usize, usize)> {
        let on: Vec<bool> = samples.chunks(80).map(|part| part.iter().any(|it| it.abs() > 500)).collect();
        let runs: Vec<(bool, usize)> = on.chunk_by(|one, two| one == two).map(|run| (run[0], run.len())).collect();
        runs.chunks(2)
            .map(|pair| (pair[0].1, pair.get(1).map_or(0, |off| off.1)))
            .collect()
    }

    #[test]
    fn cadences_are_those_of_the_locale() {
        let american = played(ToneKind::RingBack, Locale::Us, 12);
        assert_eq!(cadence(&american), [(200, 400), (200, 400)]);
        let both = share_of(&american[..8_000], 440.0) + share_of(&american[..8_000], 480.0);
        assert!(both > 0.95, "{both}");
        let british = played(ToneKind::RingBack, Locale::Uk, 6);
        assert_eq!(cadence(&british), [(40, 20), (40, 200), (40, 20), (40, 200)]);
        let german = played(ToneKind::Busy, Locale::De, 1);
        assert!(share_of(&german[..3_840], 425.0) > 0.95);
        assert_eq!(cadence(&german)[0], (48, 48));
        assert_eq!(cadence(&played(ToneKind::Dial, Locale::Fr, 3)), [(300, 0)]);
    }

    #[test]
    fn every_locale_has_every_tone() {
        let kinds = [
            ToneKind::Dial,
            ToneKind::RingBack,
            ToneKind::Busy,
            ToneKind::FastBusy,
            ToneKind::Beep,
        ];
        for locale in Locale::ALL {
            assert_eq!(Locale::named(locale.name()), Some(locale));
            for kind in kinds {
                let samples = played(kind, locale, 1);
                let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
                assert!((4_000..10_000).contains(&peak), "{locale:?} {kind:?}: {peak}");
            }
        }
        assert_eq!(
            (Locale::named("GB"), Locale::named("xx"), Locale::default()),
            (Some(Locale::Uk), None, Locale::Us)
        );
    }

    #[test]
    fn a_beep_is_heard_once() {
        let samples = played(ToneKind::Beep, Locale::Us, 5);
        assert_eq!(cadence(&samples).len(), 1);
        assert_eq!(samples[8_000..], [0; 32_000]);
    }

    #[test]
    fn a_tone_goes_on_from_any_position_at_any_frame_length() {
        let whole = played(ToneKind::Busy, Locale::Us, 3);
        let mut source = ToneSource::new(ToneKind::Busy, Locale::Us, Rate::Narrow);
        let mut parts = vec![0; whole.len()];
        parts.chunks_mut(77).for_each(|part| source.fill(part));
        let worst = whole.iter().zip(&parts).map(|(one, two)| (one - two).abs()).max().unwrap();
        assert!(worst <= 2, "{worst}");
        source.seek(1_000);
        source.fill(&mut parts[..800]);
        let worst = whole[8_000..]
            .iter()
            .zip(&parts[..800])
            .map(|(one, two)| (one - two).abs())
            .max()
            .unwrap();
        assert!(worst <= 2, "{worst}");
        source.seek(u64::MAX);
        source.fill(&mut parts[..800]);
    }

    #[test]
    fn a_tone_is_found_where_it_is_and_nowhere_else() {
        let samples: Vec<i16> = Tone::new(440.0).take(8_000).collect();
        assert!(share_of(&samples, 440.0) > 0.95);
        assert!(share_of(&samples, 660.0) < 0.01);
        assert_eq!(share_of(&[0; 160], 440.0), 0.0);
    }
}
