//! MLTP/1.0: the text form of the link between the T-Server and a connector. Types and codec only: no socket, no clock, no state but a
//! buffer of what has not arrived whole.
//!
//! ```text
//! PARTY_CHANGED * MLTP/1.0
//! conference: 65536
//! party: 2
//! party-state: ALERTING
//!
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`frame`] | a start line, headers, a body; writing one, with the escaping of values |
//! | [`decoder`] | bytes as they arrive → frames; the limits |
//! | [`fields`] | typed values out of a frame's headers |
//! | [`request`], [`notification`] | [`tandem_model::link`] ↔ frames, one place for each message |
//! | [`mask`] | what a log line shows of a frame |
//!
//! Invariant: what [`Carried::write`] wrote is read back as the same value, however the bytes are split; whatever other bytes arrive end
//! in a frame or in an error that names what was wrong, never in a panic, in memory bounded by the limits of [`decoder`].
//!
//! What it does not do: numbering, acknowledging, keeping alive; that is the link session's. `README.md` beside this crate is the
//! protocol in full. Source: seed 002 lines 2496-2525 for the form; the vocabulary is this system's own.

pub mod decoder;
pub mod error;
pub mod exercise;
pub mod fields;
pub mod frame;
pub mod mask;
pub mod notification;
pub mod request;

mod connector;
mod parts;

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
pub(crate) mod tests;

pub use decoder::Decoder;
pub use error::{FrameError, MessageError, TooLarge};
pub use frame::{Frame, FrameWriter};
pub use mask::{HideHeaders, masked};

/// The version that stands in every start line.
pub const VERSION: &str = "MLTP/1.0";

/// A message that has a text form.
pub trait Carried: Sized {
    /// Writes it. Nothing is finished: the caller may add headers of its own before [`FrameWriter::finish`].
    fn write<'a>(&self, out: &'a mut Vec<u8>) -> FrameWriter<'a>;

    /// Reads it. Headers that it does not know are ignored.
    fn read(frame: &Frame) -> Result<Self, MessageError>;
}

/// Appends the text form of a message, with nothing added to it.
pub fn encode<M: Carried>(message: &M, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    message.write(out).finish()
}
