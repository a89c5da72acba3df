//! The codecs: compressed payloads to linear samples and back, one direction of one stream per object.
//!
//! G.711 is our own, G.722 is of `audio-codec`, Opus of `opus-rs`. G.722 works at 16 kHz though its RTP clock counts 8 kHz (RFC
//! 3551 s.4.5.2). Opus runs at 16 kHz mono whatever the far end codes, which any Opus stream allows (RFC 7587 s.4.1, RFC 6716
//! s.2.1.3); its clock counts 48 kHz. A decoder takes packets of any length up to 120 ms. No payload makes it panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use audio_codec::g722::{G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};
use opus_rs::{Application, OpusDecoder, OpusEncoder};

use crate::FRAME_MS;
use crate::conceal::Concealment;
use crate::g711;
use crate::rate::Rate;

/// The longest packet that is decoded, in milliseconds: the longest of Opus (RFC 6716 s.3.2.5).
pub const MAX_PACKET_MS: u32 = 120;
/// The longest Opus payload that is looked at, in bytes.
const MAX_OPUS_BYTES: usize = 3 * 1_275 + 64;
/// What Opus at 16 kHz is coded with, in bits a second: more than RFC 7587 s.3.1.1 recommends for wide-band speech (16 to 20
/// kbit/s), since only the CELT layer is used, which needs it.
const OPUS_BITS_PER_SECOND: i32 = 32_000;
/// Where more effort costs more than it is heard to give.
const OPUS_COMPLEXITY: i32 = 3;

/// A codec of ours.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Codec {
    /// G.711 mu-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus, mono at 16 kHz.
    Opus,
}

impl Codec {
    /// Every codec, the cheapest first.
    pub const ALL: [Self; 4] = [Self::Pcmu, Self::Pcma, Self::G722, Self::Opus];

    /// The encoding name of `a=rtpmap`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// Ticks of the RTP timestamp per second.
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
        }
    }

    /// Channels in `a=rtpmap`: Opus always says two (RFC 7587 s.7).
    pub const fn channels(self) -> u8 {
        match self {
            Self::Opus => 2,
            Self::Pcmu | Self::Pcma | Self::G722 => 1,
        }
    }

    /// The payload type that needs no `a=rtpmap` (RFC 3551 s.6).
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::Opus => None,
        }
    }

    /// The rate of its linear samples.
    pub const fn rate(self) -> Rate {
        match self {
            Self::Pcmu | Self::Pcma => Rate::Narrow,
            Self::G722 | Self::Opus => Rate::Wide,
        }
    }

    /// Linear samples of one 20 ms frame.
    pub const fn frame_samples(self) -> usize {
        self.rate().frame_samples()
    }

    /// Ticks of the RTP timestamp in one 20 ms frame.
    pub const fn frame_ticks(self) -> u32 {
        self.clock_hz() / 1_000 * FRAME_MS as u32
    }

    /// The codec of that encoding name and clock; names are compared without case.
    pub fn named(name: &str, clock_hz: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(name) && codec.clock_hz() == clock_hz)
    }

    /// The codec of a payload type that needs no `a=rtpmap`.
    pub fn of_static(payload_type: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.static_payload_type() == Some(payload_type))
    }

    /// How many ticks of the RTP timestamp a payload lasts; `None` for one that cannot be of this codec.
    pub fn ticks_of(self, payload: &[u8]) -> Option<u32> {
        let ticks = match self {
            Self::Pcmu | Self::Pcma | Self::G722 => u32::try_from(payload.len()).ok()?,
            Self::Opus => opus_ticks(payload)?,
        };
        (1..=self.clock_hz() / 1_000 * MAX_PACKET_MS)
            .contains(&ticks)
            .then_some(ticks)
    }
}

/// How long an Opus packet lasts at 48 kHz, by its first bytes (RFC 6716 s.3.1, s.3.2).
fn opus_ticks(payload: &[u8]) -> Option<u32> {
    let toc = *payload.first()?;
    let frame = match toc >> 3 {
        config @ 0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..16 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(payload.get(1)? & 0x3f),
    };
    Some(frame * frames)
}

/// Why a payload was not decoded, or samples not encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// It is empty, longer than [`MAX_PACKET_MS`], or says so of itself.
    #[error("a payload of {bytes} bytes cannot be {}", codec.name())]
    Length {
        /// The codec.
        codec: Codec,
        /// The payload's length.
        bytes: usize,
    },
    /// The codec cannot read it.
    #[error("a payload that is not {}", codec.name())]
    Broken {
        /// The codec.
        codec: Codec,
    },
    /// Not a frame that the codec can code.
    #[error("{samples} samples are no frame of {}", codec.name())]
    Frame {
        /// The codec.
        codec: Codec,
        /// How many there were.
        samples: usize,
    },
}

/// Payloads of one stream to linear samples of [`Codec::rate`].
pub struct Decoder {
    codec: Codec,
    state: DecoderState,
}

enum DecoderState {
    G711 {
        table: &'static [i16; 256],
        concealment: Concealment,
    },
    G722 {
        decoder: Box<G722Decoder>,
        concealment: Concealment,
    },
    /// `None` after the library broke on a payload, until the next one.
    Opus(Option<Box<OpusDecoder>>),
}

impl Decoder {
    /// For a stream that starts.
    pub fn new(codec: Codec) -> Self {
        let concealment = || Concealment::new(codec.rate());
        let state = match codec {
            Codec::Pcmu => DecoderState::G711 {
                table: &g711::MULAW,
                concealment: concealment(),
            },
            Codec::Pcma => DecoderState::G711 {
                table: &g711::ALAW,
                concealment: concealment(),
            },
            Codec::G722 => DecoderState::G722 {
                decoder: Box::default(),
                concealment: concealment(),
            },
            Codec::Opus => DecoderState::Opus(new_opus_decoder()),
        };
        Self { codec, state }
    }

    /// Its codec.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends the samples of a payload, as many as it lasts. Nothing is appended on an error.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), CodecError> {
        let codec = self.codec;
        let length = CodecError::Length {
            codec,
            bytes: payload.len(),
        };
        let ticks = codec.ticks_of(payload).ok_or(length)?;
        let start = out.len();
        match &mut self.state {
            DecoderState::G711 { table, concealment } => {
                out.extend(payload.iter().map(|code| table[usize::from(*code)]));
                concealment.heard(&mut out[start..]);
            }
            DecoderState::G722 { decoder, concealment } => {
                out.resize(start + 2 * payload.len(), 0);
                let written = decoder.decode_into(payload, &mut out[start..]).unwrap_or(0);
                out.truncate(start + written);
                concealment.heard(&mut out[start..]);
            }
            DecoderState::Opus(decoder) => {
                if payload.len() > MAX_OPUS_BYTES {
                    return Err(length);
                }
                opus(decoder, payload, ticks as usize / 3, out).ok_or(CodecError::Broken { codec })?;
            }
        }
        Ok(())
    }

    /// Appends a frame in place of one that was lost: what was heard goes on and fades, silence after 60 ms.
    pub fn conceal(&mut self, out: &mut Vec<i16>) {
        let samples = self.codec.frame_samples();
        let done = match &mut self.state {
            DecoderState::G711 { concealment, .. } | DecoderState::G722 { concealment, .. } => {
                concealment.conceal(samples, out);
                Some(())
            }
            DecoderState::Opus(decoder) => opus(decoder, &[], samples, out),
        };
        if done.is_none() {
            out.resize(out.len() + samples, 0);
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("codec", &self.codec).finish_non_exhaustive()
    }
}

fn new_opus_decoder() -> Option<Box<OpusDecoder>> {
    OpusDecoder::new(Rate::Wide.hz() as i32, 1).ok().map(Box::new)
}

/// Decodes one packet (or conceals one, where it is empty) of so many samples. A panic inside the library must not take the calls
/// of a whole thread with it: the decoder starts over instead.
fn opus(decoder: &mut Option<Box<OpusDecoder>>, payload: &[u8], samples: usize, out: &mut Vec<i16>) -> Option<()> {
    let mut used = decoder.take().or_else(new_opus_decoder)?;
    let mut linear = [0.0; (Rate::Wide.hz() / 1_000 * MAX_PACKET_MS) as usize];
    let linear = linear.get_mut(..samples)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| used.decode(payload, samples, linear)));
    let written = outcome.ok().inspect(|_| {
        *decoder = Some(used);
    });
    let linear = linear.get(..written?.ok()?)?;
    out.extend(linear.iter().map(|sample| (sample * 32_768.0) as i16));
    Some(())
}

/// Linear samples of [`Codec::rate`] to payloads of one stream.
pub struct Encoder {
    codec: Codec,
    state: EncoderState,
}

enum EncoderState {
    G711(fn(i16) -> u8),
    G722(Box<G722Encoder>),
    Opus(Option<Box<OpusEncoder>>),
}

impl Encoder {
    /// For a stream that starts.
    pub fn new(codec: Codec) -> Self {
        let state = match codec {
            Codec::Pcmu => EncoderState::G711(g711::encode_mulaw),
            Codec::Pcma => EncoderState::G711(g711::encode_alaw),
            Codec::G722 => EncoderState::G722(Box::default()),
            Codec::Opus => EncoderState::Opus(new_opus_encoder()),
        };
        Self { codec, state }
    }

    /// Its codec.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends the payload of these samples: 10, 20, 40 or 60 ms of them for Opus, an even number for G.722, any for G.711.
    /// Nothing is appended on an error.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let frame = CodecError::Frame {
            codec: self.codec,
            samples: samples.len(),
        };
        let start = out.len();
        match &mut self.state {
            EncoderState::G711(table) => out.extend(samples.iter().map(|sample| table(*sample))),
            EncoderState::G722(encoder) => {
                if !samples.len().is_multiple_of(2) {
                    return Err(frame);
                }
                out.resize(start + samples.len() / 2 + 1, 0);
                let written = encoder.encode_into(samples, &mut out[start..]).unwrap_or(0);
                out.truncate(start + written);
            }
            EncoderState::Opus(encoder) => {
                if ![160, 320, 640, 960].contains(&samples.len()) {
                    return Err(frame);
                }
                let mut used = encoder.take().or_else(new_opus_encoder).ok_or(frame)?;
                let mut packet = [0; 1_275];
                let outcome = catch_unwind(AssertUnwindSafe(|| used.encode_i16(samples, samples.len(), &mut packet)));
                let written = outcome.ok().inspect(|_| {
                    *encoder = Some(used);
                });
                let written = written.and_then(Result::ok).ok_or(frame)?;
                out.extend_from_slice(packet.get(..written).ok_or(frame)?);
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("codec", &self.codec).finish_non_exhaustive()
    }
}

fn new_opus_encoder() -> Option<Box<OpusEncoder>> {
    // The low-delay mode is CELT alone: a tenth of the cost of SILK, and 4 ms less delay; every decoder plays it.
    let mut encoder = OpusEncoder::new(Rate::Wide.hz() as i32, 1, Application::RestrictedLowDelay).ok()?;
    encoder.bitrate_bps = OPUS_BITS_PER_SECOND;
    encoder.complexity = OPUS_COMPLEXITY;
    Some(Box::new(encoder))
}

#[cfg(test)]
mod tests;
