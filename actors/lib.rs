//! The actors of Tandem: shells round the pure machines, and the tree that supervises them. The only crate that imports actix.
//!
//! ```text
//!   src (HTTP, CLI) ──► actors ──► model   (calls, conferences, DNs: pure)
//!                              ├─► sip     (messages to dialogs: pure)
//!                              ├─► wire    (CTI frames)
//!                              └─► config  (typed settings)
//! ```
//!
//! * [`tree`] grows the supervision tree; its documentation has the picture.
//! * [`supervision`] restarts what crashed.
//! * [`tserver`] and [`connector`] hold the two sides, one actor a file.
//! * [`journal`] is what keeps state over the end of the process, [`quarantine`] what an actor cannot take.
//! * [`link`] carries the link between the two sides where they are two processes.
//! * [`ingress`] and [`transport`] bring SIP in and out; [`gateway`] is the way in for HTTP and WebSocket.
//!
//! A handler does three things: it translates, calls the pure machine, and carries its outputs out. Time is read here (and only
//! here), through [`now`], so that a simulation may hold it still.

use std::time::Instant;

mod alarm;
pub mod connector;
pub mod devices;
pub mod directory;
#[cfg(feature = "fault-injection")]
pub mod fault;
pub mod gateway;
pub mod ingress;
pub mod journal;
pub mod kind;
pub mod link;
pub mod live;
pub mod location;
pub mod media;
pub mod metrics;
pub mod neighbours;
pub mod network;
pub mod quarantine;
pub mod roster;
pub mod sharding;
pub mod supervision;
pub mod transport;
pub mod tree;
pub mod tserver;

/// The time: the runtime's clock, which a simulation moves by itself.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
