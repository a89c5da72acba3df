//! Prompts and music: audio files made linear samples at both live rates, once, when they are loaded.
//!
//! WAV (8 to 32 bits, float, any rate, any channels, made one) is read by `hound`; MP3, FLAC and Ogg Vorbis by `symphonia`. What
//! a file is, its content tells, not its name. Other rates than 8 and 16 kHz are resampled by `rubato`. Loading reads a file and
//! computes: keep it off threads that have live audio. Where no music is configured, [`Prompt::music_on_hold`] is made by code.

mod music;
mod read;

use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::rate::{Converter, Rate};

/// What a file may be at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PromptLimits {
    /// Its size, in bytes.
    pub bytes: u64,
    /// How long it plays, in milliseconds. A minute takes 2.9 MB of memory.
    pub ms: u64,
}

impl Default for PromptLimits {
    /// 64 MiB, ten minutes.
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            ms: 600_000,
        }
    }
}

/// Why a file cannot be played. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The name leads out of the prompt directory.
    #[error("{file}: not a name inside the prompt directory")]
    Name {
        /// The name.
        file: String,
    },
    /// It cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is larger than allowed.
    #[error("{file}: {bytes} bytes, more than the {limit} allowed")]
    Size {
        /// The file.
        file: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// It plays longer than allowed.
    #[error("{file}: longer than the {limit_ms} ms allowed")]
    Length {
        /// The file.
        file: String,
        /// The limit.
        limit_ms: u64,
    },
    /// It is none of the formats.
    #[error("{file}: not WAV, MP3, FLAC or Ogg Vorbis ({reason})")]
    Format {
        /// The file.
        file: String,
        /// What was found.
        reason: String,
    },
    /// It is of a format but broken.
    #[error("{file}: {reason}")]
    Broken {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// It has a sampling rate that no recording has.
    #[error("{file}: cannot play a sampling rate of {hz} Hz")]
    Rate {
        /// The file.
        file: String,
        /// The rate.
        hz: u32,
    },
    /// There is nothing in it.
    #[error("{file}: no audio in it")]
    Empty {
        /// The file.
        file: String,
    },
}

/// Audio to be played, at both rates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prompt {
    narrow: Vec<i16>,
    wide: Vec<i16>,
}

impl Prompt {
    /// Loads a file.
    pub fn load(path: &Path, limits: PromptLimits) -> Result<Self, PromptError> {
        let file = path.display().to_string();
        let read = |error| PromptError::Read {
            file: file.clone(),
            error,
        };
        let metadata = std::fs::metadata(path).map_err(read)?;
        let bytes = metadata.len();
        // Whatever is no plain file may never end.
        if !metadata.is_file() {
            return Err(read(std::io::Error::other("not a plain file")));
        }
        if bytes > limits.bytes {
            let limit = limits.bytes;
            return Err(PromptError::Size { file, bytes, limit });
        }
        let content = std::fs::read(path).map_err(read)?;
        Self::decode(&file, content, limits)
    }

    /// Decodes the content of a file of this name.
    pub fn decode(file: &str, content: Vec<u8>, limits: PromptLimits) -> Result<Self, PromptError> {
        let clip = read::clip(file, content, limits.ms)?;
        if clip.samples.is_empty() {
            return Err(PromptError::Empty { file: file.into() });
        }
        let linear = |samples: &[f32]| -> Vec<i16> { samples.iter().map(|sample| (sample * 32_768.0) as i16).collect() };
        Ok(match clip.hz {
            8_000 => Self::from_narrow(linear(&clip.samples)),
            16_000 => Self::from_wide(linear(&clip.samples)),
            _ => Self::from_wide(linear(&read::resampled(file, &clip, Rate::Wide)?)),
        })
    }

    /// What is played to those who wait where nothing is configured: a quiet loop without a seam, made by code, once.
    pub fn music_on_hold() -> Arc<Self> {
        static MUSIC: OnceLock<Arc<Prompt>> = OnceLock::new();
        Arc::clone(MUSIC.get_or_init(|| Arc::new(Self::from_wide(music::composed()))))
    }

    /// A prompt of samples at 8 kHz.
    pub fn from_narrow(narrow: Vec<i16>) -> Self {
        let mut wide = Vec::new();
        Converter::new(Rate::Narrow, Rate::Wide).convert(&narrow, &mut wide);
        Self { narrow, wide }
    }

    /// A prompt of samples at 16 kHz.
    pub fn from_wide(mut wide: Vec<i16>) -> Self {
        wide.truncate(wide.len() / 2 * 2);
        let mut narrow = Vec::new();
        Converter::new(Rate::Wide, Rate::Narrow).convert(&wide, &mut narrow);
        Self { narrow, wide }
    }

    /// Its samples.
    pub fn samples(&self, rate: Rate) -> &[i16] {
        match rate {
            Rate::Narrow => &self.narrow,
            Rate::Wide => &self.wide,
        }
    }

    /// How long it plays.
    pub fn duration_ms(&self) -> u64 {
        self.narrow.len() as u64 * 1_000 / u64::from(Rate::Narrow.hz())
    }
}

/// The file of that name in a directory; sub-directories are allowed, ways out are not.
pub fn path_in(directory: &Path, name: &str) -> Result<PathBuf, PromptError> {
    let mut parts = Path::new(name).components().peekable();
    let inside = parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)));
    if inside && !name.contains('\0') {
        Ok(directory.join(name))
    } else {
        Err(PromptError::Name { file: name.into() })
    }
}

/// A prompt being played. [`Player::read`] as often as wanted, at either rate, then [`Player::advance`].
#[derive(Clone, Debug)]
pub struct Player {
    prompt: Arc<Prompt>,
    repeat: bool,
    /// Samples at 8 kHz that were played.
    position: usize,
}

impl Player {
    /// From its start; `repeat`: it starts over at its end.
    pub fn new(prompt: Arc<Prompt>, repeat: bool) -> Self {
        Self {
            prompt,
            repeat,
            position: 0,
        }
    }

    /// The 20 ms at the position, in place of what is in `frame`: always a whole frame, silence after the end.
    pub fn read(&self, rate: Rate, frame: &mut Vec<i16>) {
        let samples = self.prompt.samples(rate);
        let wanted = rate.frame_samples();
        let mut at = self.position * rate.frame_samples() / Rate::Narrow.frame_samples();
        frame.clear();
        while frame.len() < wanted && !samples.is_empty() {
            if self.repeat {
                at %= samples.len();
            }
            let rest = samples.get(at..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let taken = rest.len().min(wanted - frame.len());
            frame.extend_from_slice(&rest[..taken]);
            at += taken;
        }
        frame.resize(wanted, 0);
    }

    /// 20 ms were played. True as long as there is more: the first false is the end.
    pub fn advance(&mut self) -> bool {
        self.position += Rate::Narrow.frame_samples();
        let length = self.prompt.narrow.len();
        if self.repeat && length > 0 {
            self.position %= length;
        }
        self.position < length
    }

    /// How much was played, in milliseconds.
    pub fn position_ms(&self) -> u64 {
        self.position as u64 * 1_000 / u64::from(Rate::Narrow.hz())
    }

    /// Goes on from there.
    pub fn seek(&mut self, position_ms: u64) {
        let position = position_ms.saturating_mul(u64::from(Rate::Narrow.hz())) / 1_000;
        self.position = usize::try_from(position).unwrap_or(usize::MAX).min(self.prompt.narrow.len());
    }
}

#[cfg(test)]
mod tests;
