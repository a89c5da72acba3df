//! The CTI protocol, version 1: T-Library semantics as JSON text frames; and the link protocol between the T-Server and its connectors.
//! Types, codecs and pure machines only: no socket, no clock.
//!
//! | module | what |
//! |---|---|
//! | [`request`] | the server's reading side: text frame → [`RequestFrame`] or the error that answers it |
//! | [`event`] | the server's writing side: [`tandem_model::Event`] → frame, the shared part encoded once for all clients |
//! | [`client`] | the other end: builds request frames, reads event frames |
//! | [`schema`] | JSON Schema of both frames, from the types |
//! | [`time`] | microseconds since the epoch ↔ RFC 3339 |
//! | [`mltp`] | the text form of the link's messages |
//! | [`link`] | the link's session: numbering, acknowledging, resuming, keeping alive |
//!
//! Invariant: whatever bytes arrive, decoding ends in a value or in an error that names what was wrong; it never panics, and its
//! time and memory are bounded by [`MAX_FRAME_BYTES`], [`MAX_DEPTH`], [`MAX_VALUES`] and [`MAX_PAIRS`].
//!
//! What it does not do: it does not know which DNs, calls or keys exist, and does not decide what a client may do. A well-formed
//! request for a call that is not there decodes.

pub mod client;
pub mod event;
pub mod exercise;
pub mod link;
pub mod mltp;
pub mod request;
pub mod schema;
pub mod time;

mod fields;
mod json;
mod vocabulary;

pub use client::{ClientRequest, EventFrame};
pub use event::{EventBody, ResumeOutcome, ServerConnected, encode_event};
pub use request::{RequestError, RequestFrame, decode_request};
/// The vocabulary of the frames, for crates that depend on the protocol only.
pub use tandem_model as model;

/// Where the WebSocket is.
pub const PATH: &str = "/v1/cti";

/// The WebSocket subprotocol of this version.
pub const SUBPROTOCOL: &str = "tandem.cti.v1";

/// The longest frame either side may send, in bytes; a longer one closes the socket with [`close::TOO_BIG`].
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// How deep objects and arrays may nest in a request frame; the frame itself is level 1.
pub const MAX_DEPTH: usize = 16;

/// How many values a request frame may hold at all levels together. Bounds the memory that a frame full of `0,0,0` costs.
pub const MAX_VALUES: usize = 16_384;

/// How many pairs one key-value list of a request may have at one level.
pub const MAX_PAIRS: usize = 1_024;

/// The longest DN, in bytes.
pub const MAX_DN_BYTES: usize = 256;

/// WebSocket close codes that the server uses (RFC 6455 s.7.4; 4000-4999 are the protocol's own).
pub mod close {
    /// The client asked for it (CloseServer) or said goodbye.
    pub const NORMAL: u16 = 1000;
    /// The server is going down or draining.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the WebSocket protocol itself.
    pub const PROTOCOL: u16 = 1002;
    /// A binary frame came.
    pub const UNSUPPORTED_DATA: u16 = 1003;
    /// A text frame was not UTF-8.
    pub const NOT_UTF8: u16 = 1007;
    /// OpenServer was refused, or something came before it.
    pub const POLICY: u16 = 1008;
    /// A frame was longer than [`crate::MAX_FRAME_BYTES`].
    pub const TOO_BIG: u16 = 1009;
    /// The server failed.
    pub const INTERNAL: u16 = 1011;
    /// No OpenServer in time, or no pong.
    pub const TIMEOUT: u16 = 4000;
    /// The client resumed on another connection.
    pub const RESUMED: u16 = 4001;
    /// The client read too slowly and its queue is full. It may resume from the last sequence that it has.
    pub const SLOW_CONSUMER: u16 = 4008;
}
