//! What a connector is told and asked; who by, and to what effect, see [`super::connector_actor`].

use std::sync::Arc;

use actix::Addr;
use tandem_model::conference_pool::ServiceFigures;
use tandem_model::leg::{LegCommand, LegEvent, ReferId};
use tandem_model::link::{LinkNotification, LinkRequest};
use tandem_model::{ConferenceId, DnId, LegId};
use tandem_sip::flow::{ConnectionId, Flow, Hop};
use tandem_sip::message::Message;
use tandem_sip::registrar::Arrival;
use tandem_sip::ua::{ReplacesDialog, ResolveId, ServerRequestId, UaStats};

use super::conference::{ConferenceActor, Moving};
use super::drain::DrainMessage;
use crate::ingress::Backlog;
use crate::kind::Waiting;
use crate::sharding::ShardState;

/// One SIP message and the way it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The way.
    pub flow: Flow,
    /// The message.
    pub message: Message,
}

/// What a connector is told.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
#[allow(missing_docs, reason = "the table in the module's documentation says it")]
pub enum ConnectorMessage {
    Received {
        batch: Vec<Received>,
        backlog: Backlog,
        waiting: Waiting,
    },
    Link {
        request: LinkRequest,
        waiting: Waiting,
    },
    Synchronise,
    Legs {
        conference: ConferenceId,
        commands: Vec<(LegId, LegCommand)>,
        /// For the T-Server side, when the commands are carried out and kept.
        notifications: Vec<LinkNotification>,
        waiting: Waiting,
    },
    GiveAway {
        conference: ConferenceId,
        leg: LegId,
        moving: Box<Moving>,
    },
    EndAway {
        conference: ConferenceId,
    },
    SendAfter {
        conference: ConferenceId,
        leg: LegId,
        event: LegEvent,
    },
    RosterChanged(DnId),
    Locate {
        dialog: ReplacesDialog,
        asking: Addr<ConferenceActor>,
        conference: ConferenceId,
        leg: LegId,
        refer: ReferId,
        to: Arc<str>,
    },
    Respond {
        id: ServerRequestId,
        status: u16,
        headers: Vec<(Arc<str>, Arc<str>)>,
    },
    DeviceArrived(Arrival),
    Resolved {
        id: ResolveId,
        hops: Vec<Hop>,
    },
    FlowFailed {
        flow: Flow,
        connection: Option<ConnectionId>,
    },
    ConferenceOver {
        conference: ConferenceId,
    },
    ConferenceDown {
        conference: ConferenceId,
    },
    /// A conference came back from what it kept of itself, with these legs: what else was its is ended.
    LegsKept {
        conference: ConferenceId,
        legs: Vec<LegId>,
    },
    EndAll,
    SettingsChanged,
    Drain(DrainMessage),
    /// Panic, to test the supervision.
    #[cfg(feature = "fault-injection")]
    Crash,
    /// Stand still until [`crate::fault::Faults`] says that it is enough.
    #[cfg(feature = "fault-injection")]
    Pause {
        whole_thread: bool,
    },
    /// Panic at the next event of the user agent.
    #[cfg(feature = "fault-injection")]
    CrashAtEvent,
    /// The registrar is to panic.
    #[cfg(feature = "fault-injection")]
    CrashRegistrar,
    /// A conference is to panic.
    #[cfg(feature = "fault-injection")]
    CrashConference(ConferenceId),
}

/// Asks for a [`ConnectorSummary`].
#[derive(Debug, actix::Message)]
#[rtype(result = "ConnectorSummary")]
pub struct QueryConnector;

/// A connector as `GET /v1/connectors` shows it.
#[derive(Clone, Debug, actix::MessageResponse)]
pub struct ConnectorSummary {
    /// Which.
    pub id: u16,
    /// Live conferences.
    pub conferences: usize,
    /// What the SIP layer holds.
    pub stats: UaStats,
    /// Whether it owns DNs.
    pub state: ShardState,
    /// Its conference endpoints that have resources.
    pub endpoints: Vec<ServiceFigures>,
}
