//! Files read: their samples as one channel of numbers between -1 and 1, at the rate of the file.

use std::io::Cursor;

use hound::{SampleFormat, WavReader};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType, WindowFunction};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::PromptError;
use crate::rate::Rate;

/// Rates that recordings have, in hertz.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;
/// The most channels that are mixed to one.
const MAX_CHANNELS: usize = 16;
/// Packets in a row that cannot be decoded before the file is broken.
const MAX_BROKEN_PACKETS: u32 = 50;

/// One channel of audio.
pub(super) struct Clip {
    pub hz: u32,
    pub samples: Vec<f32>,
}

impl Clip {
    fn new(file: &str, hz: u32) -> Result<Self, PromptError> {
        if !RATES.contains(&hz) {
            return Err(PromptError::Rate { file: file.into(), hz });
        }
        Ok(Self { hz, samples: Vec::new() })
    }

    /// Appends interleaved samples, their channels mixed to one.
    fn append(&mut self, file: &str, interleaved: &[f32], channels: usize, limit_ms: u64) -> Result<(), PromptError> {
        if channels == 0 || channels > MAX_CHANNELS {
            return Err(broken(file, format_args!("{channels} channels")));
        }
        let mixed = interleaved
            .chunks_exact(channels)
            .map(|frame| frame.iter().sum::<f32>() / channels as f32);
        self.samples.extend(mixed);
        if self.samples.len() as u64 * 1_000 > limit_ms.saturating_mul(u64::from(self.hz)) {
            let file = file.into();
            return Err(PromptError::Length { file, limit_ms });
        }
        Ok(())
    }
}

/// The audio of a file.
pub(super) fn clip(file: &str, content: Vec<u8>, limit_ms: u64) -> Result<Clip, PromptError> {
    if content.starts_with(b"RIFF") {
        wav(file, &content, limit_ms)
    } else {
        compressed(file, content, limit_ms)
    }
}

fn broken(file: &str, reason: impl std::fmt::Display) -> PromptError {
    PromptError::Broken {
        file: file.into(),
        reason: reason.to_string(),
    }
}

fn wav(file: &str, content: &[u8], limit_ms: u64) -> Result<Clip, PromptError> {
    let mut reader = WavReader::new(content).map_err(|error| broken(file, error))?;
    let spec = reader.spec();
    let mut clip = Clip::new(file, spec.sample_rate)?;
    let channels = usize::from(spec.channels);
    let mut block = Vec::new();
    let scale = 1.0 / (1_u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
    let mut floats;
    let mut integers;
    let samples: &mut dyn Iterator<Item = hound::Result<f32>> = match spec.sample_format {
        SampleFormat::Float => {
            floats = reader.samples::<f32>();
            &mut floats
        }
        SampleFormat::Int => {
            integers = reader
                .samples::<i32>()
                .map(|sample| sample.map(|sample| sample as f32 * scale));
            &mut integers
        }
    };
    loop {
        block.clear();
        for sample in samples.take(8_192 * channels) {
            match sample {
                Ok(sample) => block.push(sample),
                // Recordings that were cut off say more than there is: what is there is played. Memory has no other errors.
                Err(hound::Error::IoError(_)) => break,
                Err(error) => return Err(broken(file, error)),
            }
        }
        if block.is_empty() {
            return Ok(clip);
        }
        clip.append(file, &block, channels, limit_ms)?;
    }
}

fn compressed(file: &str, content: Vec<u8>, limit_ms: u64) -> Result<Clip, PromptError> {
    let format_error = |reason: &dyn std::fmt::Display| PromptError::Format {
        file: file.into(),
        reason: reason.to_string(),
    };
    let stream = MediaSourceStream::new(Box::new(Cursor::new(content)), Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| format_error(&error))?;
    let track = format.default_track(TrackType::Audio);
    let track = track.ok_or_else(|| format_error(&"no audio track"))?;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let parameters = parameters.ok_or_else(|| format_error(&"no audio track"))?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|error| format_error(&error))?;
    let track = track.id;
    let (mut clip, mut block, mut failed) = (None::<Clip>, Vec::<f32>::new(), 0);
    while let Some(packet) = format.next_packet().or_else(end).map_err(|error| broken(file, error))? {
        if packet.track_id != track {
            continue;
        }
        let decoded = match decoder.decode(&packet) {
            Ok(decoded) => decoded,
            // A packet that is damaged is left out.
            Err(Error::DecodeError(_)) if failed < MAX_BROKEN_PACKETS => {
                failed += 1;
                continue;
            }
            Err(error) => return Err(broken(file, error)),
        };
        failed = 0;
        let (hz, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        let clip = match &mut clip {
            Some(clip) if clip.hz != hz => return Err(broken(file, "its sampling rate changes")),
            Some(clip) => clip,
            none => none.insert(Clip::new(file, hz)?),
        };
        block.resize(decoded.samples_interleaved(), 0.0);
        decoded.copy_to_slice_interleaved(&mut block);
        clip.append(file, &block, channels, limit_ms)?;
    }
    clip.ok_or_else(|| PromptError::Empty { file: file.into() })
}

/// A file that is cut off ends there.
fn end<T>(error: Error) -> Result<Option<T>, Error> {
    match error {
        Error::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        error => Err(error),
    }
}

/// A clip at another rate.
pub(super) fn resampled(file: &str, clip: &Clip, rate: Rate) -> Result<Vec<f32>, PromptError> {
    let parameters = SincInterpolationParameters::new(128, WindowFunction::BlackmanHarris2)
        .oversampling_factor(256)
        .interpolation(SincInterpolationType::Linear);
    let ratio = f64::from(rate.hz()) / f64::from(clip.hz);
    let mut resampler =
        Async::<f32>::new_sinc(ratio, 1.0, &parameters, 1_024, 1, FixedAsync::Input).map_err(|error| broken(file, error))?;
    let frames = clip.samples.len();
    let input = InterleavedSlice::new(clip.samples.as_slice(), 1, frames).map_err(|error| broken(file, error))?;
    let output = resampler
        .process_all(&input, frames, None)
        .map_err(|error| broken(file, error))?;
    Ok(output.take_data())
}
