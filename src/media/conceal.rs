//! Packet loss concealment by repetition of the last pitch period (after ITU-T G.711 Appendix I, without its delay).
//!
//! The first lost 10 ms repeat at full level, then the level falls by a fifth each 10 ms: silence after 60 ms. The first good
//! samples after a loss are faded in over what would have gone on. It never looks further back than 30 ms.

use crate::rate::Rate;

/// The lowest and highest pitch looked for, in hertz.
const PITCH_HZ: (usize, usize) = (66, 200);
/// How long a fade between the made and the real lasts, in parts of a second.
const FADE: usize = 250;

/// What one decoder's stream sounded like, to go on with.
#[derive(Clone, Debug)]
pub struct Concealment {
    rate_hz: usize,
    /// The last 30 ms.
    history: Vec<i16>,
    /// The period that is repeated, while concealing.
    period: Vec<i16>,
    /// How many samples were made since the last good one.
    made: usize,
}

impl Concealment {
    /// For a stream that starts.
    pub fn new(rate: Rate) -> Self {
        let rate_hz = rate.hz() as usize;
        Self {
            rate_hz,
            history: vec![0; rate_hz * 30 / 1_000],
            period: Vec::new(),
            made: 0,
        }
    }

    /// Good samples came. After a loss their first 4 ms are faded in.
    pub fn heard(&mut self, samples: &mut [i16]) {
        if self.made > 0 {
            let fade = (self.rate_hz / FADE).min(samples.len());
            for (index, sample) in samples.iter_mut().take(fade).enumerate() {
                let made = i32::from(self.next());
                let share = index as i32 * 256 / fade as i32;
                *sample = ((made * (256 - share) + i32::from(*sample) * share) >> 8) as i16;
            }
            self.made = 0;
        }
        let keep = self.history.len();
        if let Some(tail) = samples.len().checked_sub(keep) {
            self.history.copy_from_slice(&samples[tail..]);
        } else {
            self.history.copy_within(samples.len().., 0);
            self.history[keep - samples.len()..].copy_from_slice(samples);
        }
    }

    /// Appends so many samples in place of lost ones.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        if self.made == 0 {
            self.find_period();
        }
        out.extend((0..samples).map(|_| self.next()));
    }

    /// The next sample of the repetition, at its level.
    fn next(&mut self) -> i16 {
        let steps = (self.made * 100 / self.rate_hz).saturating_sub(1) as i32;
        // The level falls within each 10 ms too, so that it has no steps.
        let within =
            (self.made % (self.rate_hz / 100)) as i32 * 100 / self.rate_hz as i32 * i32::from(self.made >= self.rate_hz / 100);
        let level = (100 - 20 * steps - 20 * within).max(0);
        let sample = self.period.get(self.made % self.period.len().max(1)).copied().unwrap_or(0);
        self.made += 1;
        (i32::from(sample) * level / 100) as i16
    }

    /// Takes the last period out of the history: the one at whose distance the history is most like itself.
    fn find_period(&mut self) {
        let (low, high) = (self.rate_hz / PITCH_HZ.1, self.rate_hz / PITCH_HZ.0);
        let end = self.history.len();
        let window = end - high;
        // Every second sample of wide-band audio is enough to find a pitch.
        let step = self.rate_hz / 8_000;
        let mut best = (high, f32::MIN);
        for lag in low..=high {
            let (mut product, mut power) = (0.0_f32, 1.0_f32);
            for at in (end - window..end).step_by(step) {
                let (now, then) = (f32::from(self.history[at]), f32::from(self.history[at - lag]));
                product += now * then;
                power += then * then;
            }
            let likeness = product * product.abs() / power;
            if likeness > best.1 {
                best = (lag, likeness);
            }
        }
        let lag = best.0;
        self.period.clear();
        self.period.extend_from_slice(&self.history[end - lag..]);
        // The period's end runs over into what came before its start, so that the loop closes.
        let overlap = (lag / 4).min(end - lag);
        for index in 0..overlap {
            let at = lag - overlap + index;
            let before = i32::from(self.history[end - lag - overlap + index]);
            let share = (index as i32 + 1) * 256 / (overlap as i32 + 1);
            self.period[at] = ((i32::from(self.period[at]) * (256 - share) + before * share) >> 8) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{Tone, share_of};

    fn power(samples: &[i16]) -> f64 {
        samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len() as f64
    }

    #[test]
    fn a_lost_frame_of_a_tone_is_that_tone() {
        let mut tone = Tone::new(400.0);
        let mut heard: Vec<i16> = tone.by_ref().take(480).collect();
        let mut concealment = Concealment::new(Rate::Narrow);
        concealment.heard(&mut heard);
        let mut made = Vec::new();
        concealment.conceal(160, &mut made);
        assert!(share_of(&made, 400.0) > 0.95, "{}", share_of(&made, 400.0));
        let joint = i32::from(made[0]) - i32::from(heard[479]);
        assert!(joint.abs() < 5_000, "the joint jumps by {joint}");
        let mut after: Vec<i16> = tone.skip(160).take(160).collect();
        concealment.heard(&mut after);
        let joint = i32::from(after[0]) - i32::from(made[159]);
        assert!(joint.abs() < 5_000, "the way back jumps by {joint}");
    }

    #[test]
    fn a_long_loss_fades_to_silence() {
        let mut heard: Vec<i16> = Tone::new(200.0).take(480).collect();
        let mut concealment = Concealment::new(Rate::Narrow);
        concealment.heard(&mut heard);
        let mut made = Vec::new();
        (0..5).for_each(|_| concealment.conceal(160, &mut made));
        let powers: Vec<f64> = made.chunks(160).map(power).collect();
        assert!(powers.windows(2).all(|pair| pair[0] >= pair[1]), "{powers:?}");
        assert!(powers[0] > 0.5 * power(&heard) && powers[3] == 0.0, "{powers:?}");
    }

    #[test]
    fn nothing_heard_conceals_as_silence_at_any_length() {
        for rate in [Rate::Narrow, Rate::Wide] {
            let mut concealment = Concealment::new(rate);
            let mut made = Vec::new();
            concealment.heard(&mut []);
            concealment.conceal(rate.frame_samples() * 10, &mut made);
            assert!(made.len() == rate.frame_samples() * 10 && made.iter().all(|sample| *sample == 0));
            concealment.heard(&mut [1; 3]);
            concealment.conceal(7, &mut made);
        }
    }
}
