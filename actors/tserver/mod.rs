//! The T-Server side: what CTI clients see. It knows no SIP.
//!
//! ```text
//!  Gateway ──► Lobby ──► Client (one per socket) ──► Dn ──► Call ──► ConnectorLink k ──► Connector k
//!                          │                          │      │             │
//!                          └──────────► EventLog ◄────┴──────┴─────────────┘
//!                                          │ frames, numbered, in one order
//!                                          ▼ sinks of the sockets
//! ```
//!
//! All of it runs on one arbiter thread, so the order in which events reach the event log is the order in which things happened.
//! Permanent: EventLog, Lobby, every Dn, every ConnectorLink. Transient: Call. Temporary: Room, Client.

mod call;
mod client;
mod connector_link;
mod dn;
mod event_log;
mod lobby;
mod room;
mod switch;

pub use call::{CallActor, CallMessage, QueryCallSummary};
pub use client::{ClientActor, ClientMessage, ClientSettings};
pub(crate) use connector_link::describe;
pub use connector_link::{
    ConnectorFigures, ConnectorLinkActor, Copies, LinkMessage, Notify, QueryConnectors, Renumbered, Resume,
};
pub use dn::{DnActor, DnMessage, DnParts, DnSummary, QueryDn};
pub use event_log::{
    ClientSink, EventLogActor, EventLogMessage, EventLogParts, EventLogStart, Ping, Publish, Unwatch, Watch, Watching,
};
pub use lobby::{Connect, LobbyActor, LobbyParts, Refused};
pub use room::{QueryRoomSummary, RoomActor, RoomMessage, Rooms};
pub use switch::{CallNumbers, Switch, SwitchParts};

/// Panic, to test the supervision of actors that have no fault among their messages.
#[cfg(feature = "fault-injection")]
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub struct Inject;
