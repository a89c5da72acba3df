//! Media, frame by frame: session descriptions, RTP packets, codecs, mixing, tones. Everything but [`plane`] is pure: no socket,
//! no clock, no thread, no randomness; a frame is 20 ms. (Only [`prompt`] reads files, when it is told to.)
//!
//! The way of a packet through one port and out of another:
//!
//! | step | where |
//! |---|---|
//! | offer and answer say where packets go, what numbers mean and which codec is sent | [`endpoint`] ([`sdp`] for the plainest phone) |
//! | bytes to header and payload | [`rtp`]; RTCP on the same port is told apart by [`rtcp::is_rtcp`] |
//! | telephone events to keys | [`dtmf::EventReceiver`]; keys heard as tones: [`dtmf::Detector`] |
//! | packets to one linear frame for each tick | [`receive`]: the [`jitter`] buffer, the [`codec`]'s decoder and [`conceal`] together |
//! | 8 kHz and 16 kHz | [`rate`] |
//! | who is audible, who speaks | [`speaker`] |
//! | who hears whom | [`mixer`]: groups of listeners that share one frame and one encoder |
//! | what else is heard | [`tone`], [`prompt`] (files, music on hold), [`dtmf::TonePlayer`] |
//! | a linear frame to a payload | [`codec`]'s encoder ([`g711`] inside); keys to events: [`dtmf::EventSender`] |
//! | how it went | [`rtcp`]: reports, statistics, quality |
//!
//! What is not here: SRTP, ICE, video, recording.

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
