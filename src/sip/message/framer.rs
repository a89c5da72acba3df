//! Cuts a stream into messages (RFC 3261 s.18.3, RFC 5626 s.3.5.1).
//!
//! Invariant: the frames depend on the bytes alone, not on how they were cut into pushes. What is kept is bounded by
//! [`MAX_HEAD_BYTES`], [`MAX_BODY_BYTES`] and the longest push, as long as the caller takes all frames after each push.
//!
//! What it does not do: time out a half message; the connection's owner does.

use bytes::{Buf, BytesMut};

use super::error::ParseErrorKind;
use super::head::{self, Head};
use super::{MAX_BODY_BYTES, MAX_HEAD_BYTES, Message};

/// What a stream brought.
#[derive(Clone, Debug)]
pub enum Frame {
    /// A whole message.
    Message(Message),
    /// The second of two line ends between messages: a keep-alive that wants one line end back. The first came as [`Frame::Pong`].
    KeepAlivePing,
    /// A single line end between messages: the answer to a keep-alive of ours, or the first half of a ping.
    Pong,
}

/// Why a stream cannot be cut further. The connection has to be closed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct FrameError {
    /// What was wrong.
    pub kind: FrameErrorKind,
    /// The request to answer with [`FrameError::status`] before closing, where it can be answered.
    pub request: Option<Message>,
}

/// What was wrong with a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameErrorKind {
    /// The header section cannot be used.
    #[error(transparent)]
    Head(#[from] ParseErrorKind),
    /// No Content-Length, which streams cannot do without.
    #[error("no Content-Length over a stream")]
    NoContentLength,
    /// The body is longer than [`MAX_BODY_BYTES`].
    #[error("body too large")]
    BodyTooLarge,
}

impl FrameError {
    /// The status to answer with: 413 or 400.
    pub fn status(&self) -> u16 {
        if self.kind == FrameErrorKind::BodyTooLarge { 413 } else { 400 }
    }
}

/// Cuts one stream. [`Framer::push`] what came, then take frames with [`Iterator::next`] until `None`.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// Up to here no header section ends.
    searched: usize,
    /// The header section of the message whose body is still coming, and the length of that body.
    pending: Option<(Head, usize)>,
    /// Whether the last frame was a [`Frame::Pong`].
    after_line_end: bool,
    failed: bool,
}

impl Framer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what the stream brought. Ignored after an error.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Whether part of a message is waiting for the rest: such a connection should not idle long.
    pub fn is_mid_message(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// A line end between messages.
    fn line_end(&mut self) -> Option<Frame> {
        self.buffer.starts_with(b"\r\n").then(|| {
            self.buffer.advance(2);
            let second = std::mem::replace(&mut self.after_line_end, false);
            if second {
                return Frame::KeepAlivePing;
            }
            self.after_line_end = true;
            Frame::Pong
        })
    }

    fn advance(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.pending.is_none() {
            if let Some(frame) = self.line_end() {
                return Ok(Some(frame));
            }
            if self.buffer.is_empty() || self.buffer.as_ref() == b"\r" {
                return Ok(None);
            }
            self.after_line_end = false;
            let Some(end) = head::find_end(&self.buffer, self.searched).filter(|end| *end <= MAX_HEAD_BYTES) else {
                return self.no_head_yet();
            };
            self.pending = Some(self.measure(end)?);
        }
        let whole = |(head, body_len): &mut (Head, usize)| head.end + *body_len <= self.buffer.len();
        let Some((head, body_len)) = self.pending.take_if(whole) else {
            return Ok(None);
        };
        self.searched = 0;
        let bytes = self.buffer.split_to(head.end + body_len).freeze();
        Ok(Some(Frame::Message(Message::assemble(bytes, head, body_len))))
    }

    /// No header section ends yet: wait, as long as it may still become one.
    fn no_head_yet(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.buffer.len() > MAX_HEAD_BYTES {
            return Err(FrameError {
                kind: ParseErrorKind::HeadTooLarge.into(),
                request: None,
            });
        }
        // The line end that the empty line follows, and the CR of the empty line, may be the last bytes.
        self.searched = self.buffer.len().saturating_sub(2);
        Ok(None)
    }

    /// Indexes the header section that ends at `end`, and says how long its body is.
    fn measure(&self, end: usize) -> Result<(Head, usize), FrameError> {
        let section = self.buffer.get(..end).unwrap_or_default();
        let head = head::scan(section).map_err(|(kind, _)| FrameError {
            kind: kind.into(),
            request: None,
        })?;
        let kind = match (head.defect, head.content_length) {
            (Some((kind, _)), _) => kind.into(),
            (None, None) => FrameErrorKind::NoContentLength,
            (None, Some(length)) if length > MAX_BODY_BYTES => FrameErrorKind::BodyTooLarge,
            (None, Some(length)) => return Ok((head, length)),
        };
        let message = Message::assemble(bytes::Bytes::copy_from_slice(section), head, 0);
        Err(FrameError {
            kind,
            request: Some(message).filter(Message::can_be_answered),
        })
    }
}

impl Iterator for Framer {
    type Item = Result<Frame, FrameError>;

    /// The next frame; `None` until more is pushed, and for ever after an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let outcome = self.advance();
        if outcome.is_err() {
            self.failed = true;
            self.buffer = BytesMut::new();
        }
        outcome.transpose()
    }
}
