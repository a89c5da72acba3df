//! The connector side: everything that speaks SIP.
//!
//! ```text
//! transports ──► Ingress ──► Connector k ──► Conference (one per live call)
//!                               │   ▲               │
//!                               │   └── leg commands┤
//!                               ▼                   ▼
//!                           Registrar        ConnectorLink k (T-Server side)
//! ```
//!
//! One arbiter thread per connector; its actors share nothing with those of another connector but the published [`crate::location`]s
//! and the sockets. The SIP user agent and the table of sessions live in a [`Shard`], a slot that a crashed connector finds again.

mod admission;
mod anchors;
mod conference;
mod connector_actor;
mod legs;
mod registrar;
mod resources;
mod shard;
mod subscriptions;
mod target;
mod transfer;

pub use admission::{Admission, Admitted, Authenticator, algorithms};
pub use conference::{ConferenceActor, ConferenceMessage, Moving};
pub use connector_actor::{ConnectorActor, ConnectorMessage, ConnectorParts, ConnectorSummary, QueryConnector, Received};
pub use legs::direction;
pub use registrar::{RegisterRequest, RegistrarActor, RegistrarMessage, RegistrarParts};
pub use shard::Shard;
