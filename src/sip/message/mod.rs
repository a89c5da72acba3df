//! SIP messages: a lazy index over the bytes of one message, typed access to its headers, builders, stream framing.
//!
//! [`Message::parse`] notes where the start line, the header lines and the body are, in one pass, and looks into nothing but
//! Content-Length. A value is read when it is asked for. [`Message::validate`] says what RFC 3261 wants known before a transaction
//! is made. [`RequestBuilder`] and [`ResponseBuilder`] write messages, [`Relay`] passes one on; [`Framer`] cuts a stream into them.
//!
//! Invariants: the bytes of a message never change once it is parsed; whatever the bytes are, no accessor panics; what a builder
//! writes is one well-formed message, whatever it was given.
//!
//! Tolerant as RFC 4475 asks; its messages and our verdicts are in `torture/verdicts.tsv`.
//!
//! What it does not do: keep state, choose tags and branches, know dialogs or transactions, look into SDP.

mod address;
mod build;
mod error;
mod exercise;
mod framer;
mod head;
mod headers;
mod method;
mod multipart;
mod name;
mod params;
mod relay;
mod transfer;
pub mod uri;
mod validate;
mod via;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

pub use address::{Contacts, NameAddr};
pub use build::{RequestBuilder, ResponseBuilder, default_reason};
pub use error::{HeaderError, HeaderErrorKind, ParseError, ParseErrorKind, UriError, Violation};
pub use exercise::exercise;
pub use framer::{Frame, FrameError, FrameErrorKind, Framer};
pub use headers::HeaderValues;
pub use method::{ForeignMethod, Method};
pub use name::HeaderName;
pub(crate) use params::Elements;
pub use params::{Params, unescape};
pub use relay::Relay;
pub use transfer::{Event, Replaces};
pub use uri::{Scheme, Uri};
pub use validate::EXTENSIONS;
pub use via::{MAGIC_COOKIE, Via};

use head::{Head, Start};

/// The longest header section, start line included [bytes].
pub const MAX_HEAD_BYTES: usize = 65_535;

/// The longest body that a stream may announce [bytes].
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// One SIP message. A clone is a reference.
#[derive(Clone)]
pub struct Message(Arc<Inner>);

struct Inner {
    bytes: Bytes,
    head: Head,
    body: Bytes,
}

impl Message {
    /// Reads the message of one datagram. Line ends before it are skipped (RFC 3261 s.7.5), bytes behind the body too
    /// (s.18.3); without Content-Length the body is the rest of the datagram. The body is a part of `datagram`, not a copy;
    /// of a message with folded headers a copy is made with the folds turned into spaces (s.7.3.1).
    pub fn parse(datagram: Bytes) -> Result<Self, ParseError> {
        let skipped = datagram.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
        let error = |kind, offset: usize, partial| ParseError {
            kind,
            offset: offset + skipped,
            partial,
        };
        let bytes = datagram.slice(skipped..);
        if bytes.is_empty() {
            return Err(error(ParseErrorKind::Empty, 0, None));
        }
        let mut head = head::scan(&bytes).map_err(|(kind, offset)| error(kind, offset, None))?;
        let there = bytes.len() - head.end;
        let body_len = head.content_length.unwrap_or(there);
        if body_len > there {
            head.defect.get_or_insert((ParseErrorKind::BodyShort, bytes.len()));
        }
        let defect = head.defect;
        let message = Self::assemble(bytes, head, body_len.min(there));
        match defect {
            Some((kind, offset)) => Err(error(kind, offset, Some(Box::new(message)))),
            None => Ok(message),
        }
    }

    /// Puts a message together from its bytes and their index. `body_len` bytes must be there.
    fn assemble(bytes: Bytes, head: Head, body_len: usize) -> Self {
        let bytes = if head.folded { unfold(&bytes, head.end) } else { bytes };
        let end = (head.end + body_len).min(bytes.len());
        let bytes = bytes.slice(..end);
        let body = bytes.slice(head.end.min(end)..);
        Self(Arc::new(Inner { bytes, head, body }))
    }

    /// Whether it is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.0.head.start, Start::Request { .. })
    }

    /// The method of a request.
    pub fn method(&self) -> Option<Method> {
        match &self.0.head.start {
            Start::Request { method, .. } => Some(method.clone()),
            Start::Response { .. } => None,
        }
    }

    /// Whether it is a request of this method.
    pub fn is(&self, wanted: &Method) -> bool {
        matches!(&self.0.head.start, Start::Request { method, .. } if method == wanted)
    }

    /// The text of the request URI, where it is UTF-8.
    pub fn uri(&self) -> Option<&str> {
        match &self.0.head.start {
            Start::Request { uri, .. } => std::str::from_utf8(uri.of(&self.0.bytes)).ok(),
            Start::Response { .. } => None,
        }
    }

    /// The status of a response, 100 to 699.
    pub fn status(&self) -> Option<u16> {
        match self.0.head.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }

    /// The reason phrase of a response, where it is UTF-8; may be empty.
    pub fn reason_phrase(&self) -> Option<&str> {
        match &self.0.head.start {
            Start::Request { .. } => None,
            Start::Response { reason, .. } => std::str::from_utf8(reason.of(&self.0.bytes)).ok(),
        }
    }

    /// The body: Content-Length bytes; empty where there is none.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// The whole message, from the start line to the end of the body, folds turned into spaces.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// Whether the version is 2.0.
    fn is_version_2(&self) -> bool {
        let (Start::Request { version, .. } | Start::Response { version, .. }) = &self.0.head.start;
        version.of(&self.0.bytes).eq_ignore_ascii_case(b"SIP/2.0")
    }

    /// Whether the request line has the form of RFC 3261 s.7.1.
    fn has_well_formed_start(&self) -> bool {
        matches!(
            self.0.head.start,
            Start::Request { well_formed: true, .. } | Start::Response { .. }
        )
    }
}

impl fmt::Debug for Message {
    /// The start line and the Call-ID; never more, since the rest may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Message");
        match &self.0.head.start {
            Start::Request { method, .. } => debug.field("method", &method.as_str()),
            Start::Response { status, .. } => debug.field("status", status),
        };
        debug
            .field("call_id", &self.call_id())
            .field("len", &self.0.bytes.len())
            .finish()
    }
}

/// A copy whose folds, up to `head_end`, are spaces. Offsets stay as they are.
fn unfold(bytes: &[u8], head_end: usize) -> Bytes {
    let mut copy = BytesMut::from(bytes);
    for at in 1..head_end.min(copy.len()) {
        let folds = copy[at - 1] == b'\n' && matches!(copy[at], b' ' | b'\t');
        if folds {
            copy[at - 1] = b' ';
            if at >= 2 && copy[at - 2] == b'\r' {
                copy[at - 2] = b' ';
            }
        }
    }
    copy.freeze()
}
