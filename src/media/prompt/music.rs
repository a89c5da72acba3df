//! Music made by code: sixteen seconds of slow broken chords, plucked, over a soft bass, that end where they begin.

use std::f64::consts::TAU;

use crate::rate::Rate;

/// Seconds of one bar.
const BAR: f64 = 2.0;
/// Notes of one bar.
const NOTES: usize = 8;
/// The loudest sample: -13 dBFS.
const PEAK: f64 = 7_300.0;

/// The bars: the bass, and the notes that are picked, as half-tones above A at 110 Hz (C, a, F, G; C, e, F, G).
const BARS: [(i32, [i32; 4]); 8] = [
    (3, [15, 19, 22, 27]),
    (0, [12, 15, 19, 24]),
    (-4, [12, 15, 20, 24]),
    (-2, [14, 17, 22, 26]),
    (3, [15, 19, 22, 31]),
    (-5, [14, 19, 22, 26]),
    (-4, [15, 20, 24, 27]),
    (-2, [14, 17, 22, 29]),
];
/// The order in which a bar's notes are picked.
const PICKING: [usize; NOTES] = [0, 1, 2, 3, 2, 1, 3, 2];

/// The loop, at 16 kHz.
pub(super) fn composed() -> Vec<i16> {
    let rate = f64::from(Rate::Wide.hz());
    let bar_samples = (BAR * rate) as usize;
    let mut mix = vec![0.0; bar_samples * BARS.len()];
    for (bar, (bass, notes)) in BARS.iter().enumerate() {
        let start = bar * bar_samples;
        note(&mut mix, start, hz(*bass), 0.8, 2.4);
        for (index, picked) in PICKING.iter().enumerate() {
            // Every second note is a little softer.
            let level = if index % 2 == 0 { 0.5 } else { 0.36 };
            note(&mut mix, start + index * bar_samples / NOTES, hz(notes[*picked]), level, 0.9);
        }
    }
    let loudest = mix.iter().fold(1.0, |loudest: f64, sample| loudest.max(sample.abs()));
    mix.into_iter().map(|sample| (sample / loudest * PEAK) as i16).collect()
}

fn hz(half_tones: i32) -> f64 {
    110.0 * (f64::from(half_tones) / 12.0).exp2()
}

/// A plucked note that dies away; what sounds beyond the end of the loop sounds at its start.
fn note(mix: &mut [f64], start: usize, hz: f64, level: f64, seconds: f64) {
    let rate = f64::from(Rate::Wide.hz());
    let length = mix.len();
    for n in 0..(2.0 * seconds * rate) as usize {
        let time = n as f64 / rate;
        let attack = (time * 150.0).min(1.0);
        let decay = (-4.0 * time / seconds).exp() - (-8.0_f64).exp();
        let turn = TAU * hz * time;
        // Overtones die sooner than the tone, as those of a string do.
        let sound = turn.sin() + 0.4 * (2.0 * turn).sin() * (-3.0 * time).exp() + 0.15 * (3.0 * turn).sin() * (-6.0 * time).exp();
        mix[(start + n) % length] += sound * level * attack * decay;
    }
}
