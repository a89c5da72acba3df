//! The link between processes: the carriers that put the messages of [`tandem_model::link`] on TCP or TLS.
//!
//! ```text
//!   T-Server's arbiter                                                 connector's arbiter
//!   ConnectorLinkActor ── LinkMessage ──► RemoteLink ═══ TCP ═══ LinkServer ── ConnectorMessage::Link ──► ConnectorActor
//!            ▲ ◄────── Notify, LinkChanged ──┘                        └◄── Notify ── ConnectorActor, RegistrarActor
//! ```
//!
//! In one process there is neither: whoever sends asks the directory for the other end, a [`LinkEnd`] or [`Upwards`], and each of these
//! is the other side's actor itself, or a carrier.
//!
//! * [`remote`]: the T-Server's end. It connects, and connects again.
//! * [`server`]: the connector's end. It listens, and serves one T-Server at a time.
//! * [`endpoint`]: what both ends are: a session in a slot, a connection, a timer.
//! * [`connection`]: the tasks that read and write one connection.
//! * [`transport`]: TCP and TLS.
//! * `meters`: what is counted.
//!
//! Invariant: that of [`tandem_wire::link`]. What it adds: a T-Server that is not connected makes no new party, and a connector that is
//! not connected takes no new call; both are told at once instead of waiting for a link that may never come.

use actix::{Addr, Message};
use tandem_model::link::{LinkNotification, LinkRequest};

use crate::connector::{ConnectorActor, ConnectorMessage};
use crate::kind::{ActorKind, Waiting};
use crate::tserver::{ConnectorLinkActor, LinkMessage, Notify};

mod carrier;
pub mod connection;
pub mod endpoint;
pub(crate) mod meters;
mod reach;
pub mod remote;
pub mod server;
pub mod transport;

#[cfg(test)]
mod tests;

pub use reach::Reach;
pub use remote::{RemoteLink, RemoteLinkParts};
pub use server::{LinkServer, LinkServerParts, QueryUnacknowledged};
pub use transport::{Acceptor, Dialler, Listener, TlsError};

/// The connector's end of a link, as the T-Server side sees it.
#[derive(Clone, Debug)]
pub enum LinkEnd {
    /// The connector itself, in this process.
    Local(Addr<ConnectorActor>),
    /// The way to it.
    Remote(Addr<RemoteLink>),
}

/// A remote link came up or went down. For the T-Server's end, [`ConnectorLinkActor`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Message)]
#[rtype(result = "()")]
pub enum LinkChanged {
    /// It is up.
    Up {
        /// The session before goes on: nothing was lost. If not, everything is to be told and asked again.
        resumed: bool,
    },
    /// It is down; it may be resumed.
    Down,
}

/// A request that makes a party and could not be sent.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unsent(pub LinkRequest);

/// A request was not taken: the connector has no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotTaken;

impl LinkEnd {
    /// Passes a request on. Only what makes a party may be refused; a remote end refuses by telling its link later.
    pub fn post(&self, request: LinkRequest) -> Result<(), NotTaken> {
        match self {
            Self::Remote(remote) => {
                // Unbounded post: each is caused by one message to a call, and what waits for a connection is bounded.
                remote.do_send(LinkMessage(request));
                Ok(())
            }
            Self::Local(connector) => post_to_connector(connector, request).map_err(|_| NotTaken),
        }
    }
}

/// Hands a connector a request; what makes a party comes back where there is no room.
pub(crate) fn post_to_connector(connector: &Addr<ConnectorActor>, request: LinkRequest) -> Result<(), ()> {
    let makes = matches!(request, LinkRequest::MakeParty(_));
    let message = ConnectorMessage::Link {
        request,
        waiting: Waiting::new(ActorKind::Connector),
    };
    if makes {
        return connector.try_send(message).map_err(|_| ());
    }
    // Unbounded post: what ends legs is never shed, and there is one for each party.
    connector.do_send(message);
    Ok(())
}

/// The T-Server's end of a link, as the connector side sees it.
#[derive(Clone, Debug)]
pub enum Upwards {
    /// The T-Server side itself, in this process.
    Local(Addr<ConnectorLinkActor>),
    /// The way to it.
    Remote(Addr<LinkServer>),
}

impl Upwards {
    /// Passes notifications on, in order.
    pub fn post(&self, notifications: Vec<LinkNotification>) {
        let notify = Notify {
            notifications,
            waiting: Waiting::new(ActorKind::ConnectorLink),
        };
        match self {
            // Unbounded posts: each notification is caused by one message to a connector's actors, whose mailboxes are bounded.
            Self::Local(link) => link.do_send(notify),
            Self::Remote(server) => server.do_send(notify),
        }
    }
}
