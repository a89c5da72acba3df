//! What comes from a client, as the reader wants it: whole text frames and signs of life, or the reason to close.

use std::io::ErrorKind;

use actix_web::error::PayloadError;
use actix_ws::{Item, Message, MessageStream, ProtocolError};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use tandem_wire::close;

/// One thing that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text frame, put together where it came in fragments.
    Text(String),
    /// A ping, to be answered with the same bytes.
    Ping(Bytes),
    /// A pong, or a fragment: the client lives.
    Alive,
    /// The client closes, with this code.
    Close(Option<u16>),
    /// The client did what closes the socket.
    Violation(Violation),
    /// The connection is gone.
    Gone,
}

/// Why the socket is closed by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The close code.
    pub code: u16,
    /// The reason in words.
    pub reason: &'static str,
    /// Whether what comes after can still be read, to let the client finish.
    pub readable: bool,
}

const TOO_BIG: Violation = Violation {
    code: close::TOO_BIG,
    reason: "frame too long",
    readable: true,
};
const BINARY: Violation = Violation {
    code: close::UNSUPPORTED_DATA,
    reason: "frames are text",
    readable: true,
};
const NOT_UTF8: Violation = Violation {
    code: close::NOT_UTF8,
    reason: "text is UTF-8",
    readable: true,
};
/// The parser would report the same bytes again and again.
const NO_WEBSOCKET: Violation = Violation {
    code: close::PROTOCOL,
    reason: "not the WebSocket protocol",
    readable: false,
};

/// Puts fragments together. actix's own aggregation keeps every fragment, empty ones too, without a bound on their number; here
/// they are appended to one buffer.
pub struct Inbound {
    messages: MessageStream,
    max_bytes: usize,
    fragments: BytesMut,
}

impl Inbound {
    /// Reads `messages`; a text of several fragments is bounded by `max_bytes` like one of a single frame.
    pub fn new(messages: MessageStream, max_bytes: usize) -> Self {
        Self {
            messages,
            max_bytes,
            fragments: BytesMut::new(),
        }
    }

    /// The next thing. May be dropped and called again without losing any.
    pub async fn next(&mut self) -> Incoming {
        match self.messages.next().await {
            None => Incoming::Gone,
            Some(Err(error)) => of_error(&error),
            Some(Ok(message)) => self.of_message(message),
        }
    }

    fn of_message(&mut self, message: Message) -> Incoming {
        match message {
            Message::Text(text) => Incoming::Text(text.to_string()),
            Message::Ping(bytes) => Incoming::Ping(bytes),
            Message::Pong(_) | Message::Nop => Incoming::Alive,
            Message::Close(reason) => Incoming::Close(reason.map(|reason| reason.code.into())),
            Message::Binary(_) | Message::Continuation(Item::FirstBinary(_)) => Incoming::Violation(BINARY),
            Message::Continuation(Item::FirstText(bytes)) => {
                self.fragments.clear();
                self.append(&bytes).unwrap_or(Incoming::Alive)
            }
            Message::Continuation(Item::Continue(bytes)) => self.append(&bytes).unwrap_or(Incoming::Alive),
            Message::Continuation(Item::Last(bytes)) => self.append(&bytes).unwrap_or_else(|| self.assembled()),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Option<Incoming> {
        if self.fragments.len() + bytes.len() > self.max_bytes {
            self.fragments = BytesMut::new();
            return Some(Incoming::Violation(TOO_BIG));
        }
        self.fragments.extend_from_slice(bytes);
        None
    }

    fn assembled(&mut self) -> Incoming {
        match String::from_utf8(std::mem::take(&mut self.fragments).into()) {
            Ok(text) => Incoming::Text(text),
            Err(_) => Incoming::Violation(NOT_UTF8),
        }
    }
}

fn of_error(error: &ProtocolError) -> Incoming {
    match error {
        ProtocolError::Overflow => Incoming::Violation(TOO_BIG),
        ProtocolError::Io(error) => {
            let overflow = error.get_ref().and_then(|inner| inner.downcast_ref::<PayloadError>());
            match (overflow, error.kind()) {
                (Some(PayloadError::Overflow), _) => Incoming::Violation(TOO_BIG),
                // Reserved bits are reported the same way, as data of no kind that may be; those bytes stay where they are.
                (None, ErrorKind::InvalidData) if error.to_string().contains("reserved bits") => {
                    Incoming::Violation(NO_WEBSOCKET)
                }
                (None, ErrorKind::InvalidData) => Incoming::Violation(NOT_UTF8),
                _ => Incoming::Gone,
            }
        }
        _ => Incoming::Violation(NO_WEBSOCKET),
    }
}
