//! The connector side: everything that speaks SIP.
//!
//! ```text
//! transports ──► Ingress ──► Connector k ──► Conference (one per live call) ──► Media (the pump threads)
//!                               │   ▲               │
//!                               │   └── leg commands┤
//!                               ▼                   ▼
//!                           Registrar        ConnectorLink k (T-Server side)
//! ```
//!
//! One arbiter thread per connector; its actors share nothing with those of another connector but the published [`crate::location`]s
//! and rosters, the media plane and the sockets. The SIP user agent, the table of sessions and the pool of conferences live in a
//! [`Shard`], a slot that a crashed connector finds again.
//!
//! | concern | files |
//! |---|---|
//! | what the connector does | `connector_actor`, and its parts `resources` (the pool of conferences), `transfer` (REFER, Replaces, moves), `subscriptions` (rosters), `drain` (coming and going), `edge` (what is other connectors'), `status` (what the T-Server is told of that) |
//! | what a conference does | `conference`, and its `anchors` (the media ports of its legs) |
//! | who may call, and whom | `admission`, `registrar`, `target` |
//! | between sessions and legs | `legs` |
//! | what outlives the process | `recovery`; `conference` keeps itself; `copies`: and the connector's disk |
//!
//! A leg's session stays on the connector where it began. When the leg moves to a conference of another connector, its events go there
//! and commands come back from there; `transfer` has the messages.

mod admission;
mod anchors;
mod conference;
mod connector_actor;
mod copies;
mod drain;
mod edge;
mod legs;
mod message;
mod meters;
mod recovery;
mod registrar;
mod resources;
mod shard;
mod status;
mod subscriptions;
mod synchronise;
mod target;
mod transfer;

pub use admission::{Admission, Admitted, Authenticator, algorithms};
pub use conference::{ConferenceActor, ConferenceMessage, Moving};
pub use connector_actor::{ConnectorActor, ConnectorParts};
pub use drain::DrainMessage;
pub use legs::direction;
pub use message::{ConnectorMessage, ConnectorSummary, QueryConnector, Received};
pub use recovery::{FoundLegs, Join, Recover};
pub use registrar::{RegisterRequest, RegistrarActor, RegistrarMessage, RegistrarParts, recover as recover_bindings};
pub use shard::{Shard, first_counter};
