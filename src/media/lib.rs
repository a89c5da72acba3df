//! Media, frame by frame: session descriptions, RTP packets, codecs, mixing, tones. Pure functions; no socket, no clock, no thread.

pub mod codec;
pub mod conceal;
pub mod dtmf;
pub mod endpoint;
pub mod g711;
pub mod jitter;
pub mod mixer;
pub mod plane;
pub mod prompt;
pub mod rate;
pub mod receive;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod speaker;
pub mod tone;

/// Samples of one 20 ms frame at 8 kHz.
pub const FRAME_SAMPLES: usize = 160;
/// The length of a frame, in milliseconds.
pub const FRAME_MS: u64 = 20;
/// Samples per second of the narrow-band codecs.
pub const NARROW_BAND_HZ: u32 = 8_000;
