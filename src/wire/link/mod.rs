//! The link between the T-Server and one connector, as a session that outlives its connections. A pure machine: bytes and the time in,
//! bytes and messages out.
//!
//! ```text
//!   T-Server (client)                                   connector (server)
//!     Idle ──► Connecting ──► Greeting ── HELLO ──►        Idle ──► Greeting
//!       ▲ back-off               │   ◄── WELCOME ──                    │
//!       │                        ▼                                     ▼
//!       └──── Down ◄──────────── Up  ◄── numbered messages, ACK ──►    Up ──► Down ──► Idle
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`session`] | the machine |
//! | [`greeting`] | HELLO and WELCOME: who is there, and from where on a session goes on |
//! | [`addp`] | keep-alive |
//! | [`queue`] | what was sent and is not acknowledged |
//!
//! Invariant: between two synchronisations, what one end's [`session::Session::send`] took comes out of the other end once and in order,
//! whatever connections did in between. Where that cannot be kept - an end is new, or was told more than it can hold - both ends say
//! [`session::Output::Up`] with `resumed: false` before anything else, and whoever uses the link tells all that it knows again.
//!
//! What it does not do: it opens no connection, it does not know what the messages mean, and it does not decide which of two T-Servers
//! may have the connector beyond [`session::Session::admits`]. `README.md` beside this crate is the protocol in full.

pub mod addp;
pub mod exercise;
pub mod greeting;
pub mod queue;
pub mod session;

#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod readme_tests;

pub use addp::{Addp, AddpTrace};
pub use greeting::{Hello, Identity, Welcome};
pub use queue::QueueLimits;
pub use session::{DownReason, Fault, Output, Peer, Role, SendError, Session, SessionConfig};

/// The version of the link protocol that HELLO tells. A peer that speaks another one is refused.
pub const LINK_VERSION: u32 = 1;
