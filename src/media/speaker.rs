//! Who speaks: activity of one source, and the active speaker of a conference, both by energy with hysteresis.
//!
//! A source is *audible* while it sends anything louder than -60 dBFS, and 200 ms after: what is not audible need not be mixed.
//! It *speaks* while it is 9 dB above its own noise, and 400 ms after; a steady loud tone counts as speech. The active speaker
//! changes only for a source that speaks 6 dB louder than it for 300 ms, or at once when it has stopped speaking.

/// Frames that a source stays audible.
const AUDIBLE_FRAMES: u8 = 10;
/// Frames that a source goes on speaking.
const SPEAKING_FRAMES: u8 = 20;
/// Frames above the noise before a source speaks, so that a click is no speech.
const ONSET_FRAMES: u8 = 3;
/// A peak below this is silence: -60 dBFS.
const SILENCE_PEAK: u16 = 32;
/// Below this power nothing is speech: -50 dBFS.
const QUIET_POWER: f32 = 10_700.0;
/// Noise is never taken to be louder than -40 dBFS.
const NOISIEST_POWER: f32 = 107_000.0;
/// Speech is so much stronger than noise: 9 dB.
const SPEECH_TO_NOISE: f32 = 8.0;
/// Another speaker is so much stronger than the active one: 6 dB.
const TAKEOVER: f32 = 4.0;
/// For so many frames.
const TAKEOVER_FRAMES: u8 = 15;

/// The activity of one source.
#[derive(Clone, Debug)]
pub struct Activity {
    audible: u8,
    speaking: u8,
    onset: u8,
    noise: f32,
    power: f32,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            audible: 0,
            speaking: 0,
            onset: 0,
            noise: QUIET_POWER,
            power: 0.0,
        }
    }
}

impl Activity {
    /// The next frame of the source; an empty one for a source that sends nothing.
    pub fn update(&mut self, frame: &[i16]) {
        let peak = frame.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
        let energy: u64 = frame.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
        let power = energy as f32 / frame.len().max(1) as f32;
        self.audible = if peak >= SILENCE_PEAK {
            AUDIBLE_FRAMES
        } else {
            self.audible.saturating_sub(1)
        };
        self.power += (power - self.power) / 8.0;
        // The noise follows down at once, up by 1 dB a second.
        self.noise = if power < self.noise { power } else { self.noise * 1.0046 }.clamp(1.0, NOISIEST_POWER);
        if power > (self.noise * SPEECH_TO_NOISE).max(QUIET_POWER) {
            self.onset = self.onset.saturating_add(1);
            if self.onset >= ONSET_FRAMES {
                self.speaking = SPEAKING_FRAMES;
            }
        } else {
            self.onset = 0;
            self.speaking = self.speaking.saturating_sub(1);
        }
    }

    /// Whether it is to be mixed.
    pub fn is_audible(&self) -> bool {
        self.audible > 0
    }

    /// Whether it speaks.
    pub fn is_speaking(&self) -> bool {
        self.speaking > 0
    }
}

/// The active speaker among numbered sources.
#[derive(Clone, Default, Debug)]
pub struct ActiveSpeaker {
    current: Option<usize>,
    rival: Option<usize>,
    lead: u8,
}

impl ActiveSpeaker {
    /// After a round: the activities of all sources. Says who is the active speaker when that changed. The last speaker stays the
    /// active one until another speaks or it is gone.
    pub fn update<'a>(&mut self, sources: impl Iterator<Item = (usize, &'a Activity)>) -> Option<usize> {
        let (mut loudest, mut current) = (None::<(usize, f32)>, None);
        for (source, activity) in sources {
            if Some(source) == self.current {
                current = Some(activity);
            }
            if activity.is_speaking() && loudest.is_none_or(|(_, power)| activity.power > power) {
                loudest = Some((source, activity.power));
            }
        }
        if current.is_none() {
            self.current = None;
        }
        let (rival, power) = loudest.filter(|(source, _)| Some(*source) != self.current)?;
        let takes_over = match current.filter(|current| current.is_speaking()) {
            Some(current) => {
                let leads = power > current.power * TAKEOVER;
                self.lead = if leads && self.rival == Some(rival) {
                    self.lead + 1
                } else {
                    0
                };
                self.rival = Some(rival);
                self.lead >= TAKEOVER_FRAMES
            }
            None => true,
        };
        if !takes_over {
            return None;
        }
        (self.current, self.rival, self.lead) = (Some(rival), None, 0);
        self.current
    }

    /// Who it is.
    pub fn current(&self) -> Option<usize> {
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loud(level: i16) -> Vec<i16> {
        (0..160).map(|n| if n % 20 < 10 { level } else { -level }).collect()
    }

    #[test]
    fn speech_is_told_from_silence_noise_and_clicks() {
        let mut activity = Activity::default();
        (0..50).for_each(|_| activity.update(&loud(40)));
        assert!(activity.is_audible() && !activity.is_speaking());
        activity.update(&loud(8_000));
        assert!(!activity.is_speaking(), "a click is no speech");
        (0..3).for_each(|_| activity.update(&loud(3_000)));
        assert!(activity.is_speaking());
        (0..19).for_each(|_| activity.update(&[]));
        assert!(activity.is_speaking() && !activity.is_audible(), "a pause between words");
        activity.update(&[]);
        assert!(!activity.is_speaking());
    }

    #[test]
    fn a_steady_tone_goes_on_speaking() {
        let mut activity = Activity::default();
        (0..6_000).for_each(|_| activity.update(&loud(4_000)));
        assert!(activity.is_speaking() && activity.is_audible());
    }

    #[test]
    fn the_active_speaker_changes_with_hysteresis() {
        let mut sources = [Activity::default(), Activity::default()];
        let mut speaker = ActiveSpeaker::default();
        let mut run = |levels: [i16; 2], rounds: usize, sources: &mut [Activity; 2]| {
            (0..rounds)
                .filter_map(|_| {
                    for (source, level) in sources.iter_mut().zip(levels) {
                        source.update(&loud(level));
                    }
                    speaker.update(sources.iter().enumerate())
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(run([0, 0], 10, &mut sources), []);
        assert_eq!(run([2_000, 0], 50, &mut sources), [0]);
        assert_eq!(run([2_000, 2_500], 100, &mut sources), [], "not louder by enough");
        assert_eq!(run([2_000, 9_000], 10, &mut sources), [], "not for long enough");
        assert_eq!(run([2_000, 9_000], 50, &mut sources), [1]);
        assert_eq!(run([1_000, 0], 50, &mut sources), [0], "the other one stopped");
        assert_eq!(run([0, 0], 100, &mut sources), []);
        assert_eq!(speaker.current(), Some(0));
        assert_eq!(speaker.update(sources.iter().enumerate().skip(1)), None);
        assert_eq!(speaker.current(), None, "it left");
    }
}
