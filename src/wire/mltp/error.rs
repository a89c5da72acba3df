//! What can be wrong with what a peer sent, or with what is to be sent.

use thiserror::Error;

/// What is shown of the peer's bytes in an error.
const EXCERPT: usize = 60;

/// The stream is damaged: where the next frame begins is not known any more.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FrameError {
    /// The first line is not `NAME * MLTP/1.0`.
    #[error("not a start line: \"{0}\"")]
    StartLine(String),
    /// Another version of the protocol.
    #[error("version {0}, where MLTP/1.0 is spoken")]
    Version(String),
    /// A line of the head is not `name: value`.
    #[error("not a header: \"{0}\"")]
    Header(String),
    /// A value has an escape that there is none of.
    #[error("header {0}: an escape that is none")]
    Escape(String),
    /// A line is not UTF-8, or has a control character in it.
    #[error("a line with bytes that are no text: \"{0}\"")]
    Text(String),
    /// A line is longer than [`super::decoder::MAX_LINE`].
    #[error("a line longer than {} bytes", super::decoder::MAX_LINE)]
    LineTooLong,
    /// The head is longer than [`super::decoder::MAX_HEAD`].
    #[error("a head longer than {} bytes", super::decoder::MAX_HEAD)]
    HeadTooLong,
    /// More headers than [`super::decoder::MAX_HEADERS`].
    #[error("more than {} headers", super::decoder::MAX_HEADERS)]
    TooManyHeaders,
    /// `content-length` is not a number, or stands twice with different values.
    #[error("content-length: not a length: \"{0}\"")]
    ContentLength(String),
    /// The body is longer than [`super::decoder::MAX_BODY`].
    #[error("content-length: a body of {0} bytes, where {max} is the most", max = super::decoder::MAX_BODY)]
    BodyTooLong(u64),
}

/// A frame arrived whole, and is not a message.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MessageError {
    /// No message of that name goes this way.
    #[error("unknown message {0}")]
    Unknown(String),
    /// A header that must be there is not.
    #[error("{message}: header {header} is missing")]
    Missing {
        /// The message.
        message: String,
        /// The header.
        header: &'static str,
    },
    /// A header is there twice.
    #[error("{message}: header {header} stands twice")]
    Twice {
        /// The message.
        message: String,
        /// The header.
        header: &'static str,
    },
    /// A header has no valid value.
    #[error("{message}: header {header} is not {expected}: \"{value}\"")]
    Invalid {
        /// The message.
        message: String,
        /// The header.
        header: &'static str,
        /// What it should be.
        expected: &'static str,
        /// The beginning of what it is.
        value: String,
    },
    /// The body is not what it should be.
    #[error("{message}: body: {problem}")]
    Body {
        /// The message.
        message: String,
        /// What is wrong.
        problem: String,
    },
}

/// A message is too large to be sent: the peer would refuse it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a message beyond the limits of MLTP")]
pub struct TooLarge;

/// The beginning of a text, safe for a log line.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(EXCERPT).flat_map(char::escape_debug).collect();
    if text.chars().nth(EXCERPT).is_some() {
        short.push('…');
    }
    short
}
