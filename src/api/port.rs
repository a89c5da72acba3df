//! What the HTTP and WebSocket side needs of the runtime, as traits, so that it can be tested against a fake one.
//!
//! [`Port`] is implemented for the actors' gateway. Everything here is JSON for people and tools: the calls and DNs as they stand,
//! not a protocol; the CTI protocol is `tandem-wire`.

use std::any::Any;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use utoipa::ToSchema;

pub use tandem_actors::tserver::{ClientSink, Refused, Watch, Watching};
use tandem_model::{ConnId, DnId};

/// The runtime, as seen from here.
pub trait Port: Send + Sync + 'static {
    /// A CTI client has connected; what it is sent goes to `sink`.
    fn connect(&self, sink: Arc<dyn ClientSink>) -> LocalBoxFuture<'_, Result<Box<dyn ClientLink>, Refused>>;
    /// Somebody wants to see all events. What is dropped with the second value ends it.
    fn watch(&self, watch: Watch) -> LocalBoxFuture<'_, Result<Watched, Refused>>;
    /// Up to `limit` live calls with a ConnID above `after`, ascending; and whether there are more.
    fn calls(&self, after: Option<ConnId>, limit: usize) -> LocalBoxFuture<'_, Result<(Vec<CallSummary>, bool), Unavailable>>;
    /// One live call.
    fn call(&self, conn_id: ConnId) -> LocalBoxFuture<'_, Result<Option<CallSummary>, Unavailable>>;
    /// Up to `limit` DNs after `after`, ascending; and whether there are more.
    fn dns(&self, after: Option<DnId>, limit: usize) -> LocalBoxFuture<'_, Result<(Vec<DnSummary>, bool), Unavailable>>;
    /// One DN.
    fn dn(&self, dn: DnId) -> LocalBoxFuture<'_, Result<Option<DnSummary>, Unavailable>>;
    /// The connectors.
    fn connectors(&self) -> LocalBoxFuture<'_, Result<Vec<ConnectorSummary>, Unavailable>>;
    /// Whether the runtime turns at all.
    fn is_alive(&self) -> LocalBoxFuture<'_, bool>;
    /// Brings those metrics up to date that are counted when somebody looks.
    fn publish_gauges(&self) -> LocalBoxFuture<'_, ()>;
    /// Whether the server takes calls, check by check.
    fn readiness(&self) -> LocalBoxFuture<'_, Vec<ReadinessCheck>>;
}

/// How somebody watches, and what ends that when it is dropped.
pub type Watched = (Watching, Box<dyn Any>);

/// The way from one client. Dropped when its socket is gone.
pub trait ClientLink {
    /// Hands a text frame over and waits until it has been looked at, so that a client cannot send faster than it is served.
    /// `false`: the client is no more.
    fn frame(&self, text: String) -> LocalBoxFuture<'_, bool>;
}

/// The part of the runtime that knows did not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unavailable;

/// A live call.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallSummary {
    /// 16 lower-case hex digits.
    pub conn_id: String,
    /// 32 upper-case hex digits.
    pub call_uuid: String,
    /// How it relates to the switch, a TCallType.
    pub call_type: &'static str,
    /// How long ago it began, in milliseconds.
    pub age_ms: u64,
    /// The calling number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ani: Option<String>,
    /// The dialled number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dnis: Option<String>,
    /// Who takes part, the origination first.
    pub parties: Vec<PartySummary>,
}

/// One party of a call.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartySummary {
    /// The DN, or the number behind a trunk.
    pub dn: String,
    /// Its part, a TDNRole.
    pub role: &'static str,
    /// Its state: the name of a TPartyState.
    pub state: String,
    /// Whether it is none of the server's own DNs.
    pub external: bool,
}

/// A DN.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnSummary {
    /// The SIP URI.
    pub dn: String,
    /// What it is, a TAddressType.
    pub address_type: &'static str,
    /// Whether calls can reach it.
    pub in_service: bool,
    /// How many devices are registered for it.
    pub contacts: u32,
    /// How many CTI clients are registered on it.
    pub clients: usize,
    /// The connector that controls it.
    pub connector: u16,
}

/// A connector.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorSummary {
    /// The number of its shard.
    pub id: u16,
    /// Its name, where it has a process of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The application pool that it serves, where it has a process of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// `Running`; `Suspending`, when its DNs are others' and its calls end by themselves; `Suspended`, when nothing is left in it;
    /// `Disconnected`, when it has a process of its own that cannot be reached: what else stands here is what it told last.
    pub state: &'static str,
    /// Its live conferences: the connector's side of calls.
    pub conferences: usize,
    /// Its SIP transactions.
    pub transactions: usize,
    /// Its SIP dialogs; of one in another process its SIP sessions.
    pub dialogs: usize,
    /// How many DNs it owns. A DN has one owner at any time. Not there in the process of a connector: the T-Server gives DNs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<usize>,
    /// Its conference endpoints (`conference.uri_pattern`) that have conference resources, by number. Not there of a connector in another
    /// process, which shows them itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<EndpointSummary>>,
}

/// A conference endpoint.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSummary {
    /// Its SIP URI.
    pub uri: String,
    /// Its conference resources that stand ready for a call.
    pub idle: usize,
    /// Its conference resources that are with one.
    pub in_use: usize,
}

/// One condition of readiness.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct ReadinessCheck {
    /// What is checked.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What is wrong where it does not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
