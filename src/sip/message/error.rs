//! What can be wrong with a message, said so that the other side can find it.

use std::borrow::Cow;

use super::{HeaderName, Message};

/// What was wrong with the bytes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Nothing but line ends (and NULs): a keep-alive, not a message.
    #[error("empty message")]
    Empty,
    /// The start line is neither a request line nor a status line.
    #[error("malformed start line")]
    StartLine,
    /// The status code is not three digits from 100 to 699.
    #[error("malformed status code")]
    StatusCode,
    /// A header line has no colon, its name is not a token, or a CR without LF stands in it.
    #[error("malformed header line")]
    HeaderLine,
    /// The header section is longer than [`super::MAX_HEAD_BYTES`].
    #[error("header section too large")]
    HeadTooLarge,
    /// Content-Length is not a number, or too large to be true.
    #[error("malformed Content-Length")]
    ContentLength,
    /// Two Content-Length headers disagree.
    #[error("contradictory Content-Length headers")]
    ContentLengthTwice,
    /// Fewer bytes came than Content-Length says.
    #[error("body shorter than Content-Length")]
    BodyShort,
}

/// A message that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct ParseError {
    /// What was wrong.
    pub kind: ParseErrorKind,
    /// Where: the offset of the offending line or value in the bytes given.
    pub offset: usize,
    /// The message as far as it could be read, to answer a request with 400 and to name the culprit in a log.
    pub partial: Option<Box<Message>>,
}

impl ParseError {
    /// The request that can be answered with 400 (RFC 4475 s.3.1.2.2), where there is one.
    pub fn answerable(&self) -> Option<&Message> {
        self.partial.as_deref().filter(|message| message.can_be_answered())
    }

    /// The same, to hand on: such a message never passes [`Message::validate`], whose violation says 400, so that whoever
    /// answers bad requests answers this one too.
    pub fn into_answerable(self) -> Option<Message> {
        self.partial.map(|message| *message).filter(Message::can_be_answered)
    }
}

/// What was wrong with one header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{header}: {kind}")]
pub struct HeaderError {
    /// The header.
    pub header: HeaderName,
    /// What was wrong.
    pub kind: HeaderErrorKind,
}

/// What was wrong with the value of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderErrorKind {
    /// It is not there.
    #[error("missing")]
    Missing,
    /// It is there more than once, and must not be.
    #[error("more than once")]
    Repeated,
    /// Its bytes are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A quoted string or an angle bracket is not closed.
    #[error("unbalanced quotes or brackets")]
    Unbalanced,
    /// A number is missing, malformed or out of range.
    #[error("malformed number")]
    Number,
    /// The URI is malformed.
    #[error("malformed URI")]
    Uri,
    /// Anything else.
    #[error("malformed")]
    Malformed,
}

impl HeaderErrorKind {
    /// The error, with the header it is about.
    pub(super) fn of(self, header: HeaderName) -> HeaderError {
        HeaderError { header, kind: self }
    }
}

/// Why a message must not go on to the transaction layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The status to answer a request with.
    pub status: u16,
    /// The reason phrase to answer with; says what was wrong.
    pub reason: Cow<'static, str>,
    /// Whether an answer is possible and allowed: never for a response, an ACK, or a request without a Via.
    pub respond: bool,
}

/// What was wrong with a URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// No scheme, or not a scheme.
    #[error("no scheme")]
    Scheme,
    /// A space, a control character, or one of `<>"`.
    #[error("forbidden character")]
    Character,
    /// No host, or not a host.
    #[error("malformed host")]
    Host,
    /// Not a port.
    #[error("malformed port")]
    Port,
}
