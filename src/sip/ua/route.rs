//! Which way a request goes: the flow of its dialog, an address in its next hop's URI, or a name for the resolver (RFC 3263).
//!
//! What is not here: `sips` and TLS; a URI that asks for a transport we do not listen on is unreachable.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use super::UserAgent;
use super::api::{Hop, Listener};
use super::draft::{Draft, Path};
use crate::dialog::Dialog;
use crate::flow::{ConnectionId, Flow, ListenerId, Transport};
use crate::message::{Scheme, Uri};

/// How many closed connections are remembered. A request sent on one that was forgotten fails once more and then finds its way.
const MAX_CLOSED: usize = 65_536;

/// Connections that are closed, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Closed {
    ids: HashSet<ConnectionId>,
    order: VecDeque<ConnectionId>,
}

impl Closed {
    pub fn insert(&mut self, id: ConnectionId) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_CLOSED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    /// Whether a flow leads over a connection that is gone.
    pub fn holds(&self, flow: &Flow) -> bool {
        flow.connection.is_some_and(|id| self.ids.contains(&id))
    }
}

/// The next thing to do to get a request on its way.
pub(super) enum Attempt {
    /// Send it there.
    Flow(Flow),
    /// Ask the resolver for this URI.
    Resolve(Arc<str>),
    /// Nowhere left to try.
    Exhausted,
}

impl UserAgent {
    pub(super) fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.config.listeners.iter().find(|listener| listener.id == id)
    }

    /// Whether a flow leads over a connection that is gone.
    pub fn is_closed(&self, flow: &Flow) -> bool {
        self.closed.holds(flow)
    }

    /// The flow to an address: over the first listener of that transport and address family.
    pub(super) fn flow_to(&self, hop: Hop) -> Option<Flow> {
        let fits =
            |listener: &&Listener| listener.transport == hop.transport && listener.advertised.is_ipv4() == hop.addr.is_ipv4();
        let listener = self.config.listeners.iter().find(fits)?.id;
        Some(Flow {
            transport: hop.transport,
            listener,
            peer: hop.addr,
            connection: None,
        })
    }

    /// Takes the next place to try off a draft.
    pub(super) fn next_attempt(&self, draft: &mut Draft) -> Attempt {
        if let Some(flow) = draft
            .path
            .flow
            .take()
            .filter(|flow| !self.closed.holds(flow) && self.listener(flow.listener).is_some())
        {
            return Attempt::Flow(flow);
        }
        while let Some(hop) = draft.path.hops.pop_front() {
            if let Some(flow) = self.flow_to(hop) {
                return Attempt::Flow(flow);
            }
        }
        if std::mem::take(&mut draft.path.by_uri) {
            return match numeric_hop(&draft.next_hop) {
                Numeric::Hop(hop) => self.flow_to(hop).map_or(Attempt::Exhausted, Attempt::Flow),
                Numeric::Name => Attempt::Resolve(draft.next_hop.clone()),
                Numeric::Unreachable => Attempt::Exhausted,
            };
        }
        Attempt::Exhausted
    }

    /// The ways of a request in a dialog: its flow, and what the URI says where that is another one.
    pub(super) fn path_of(&self, dialog: &Dialog, next_hop: &str) -> Path {
        let flow = self.dialog_flow(dialog, next_hop);
        let by_uri = match numeric_hop(next_hop) {
            Numeric::Hop(hop) => flow.is_none() || self.flow_to(hop) != flow,
            Numeric::Name => true,
            Numeric::Unreachable => false,
        };
        Path {
            flow,
            by_uri,
            ..Path::default()
        }
    }

    /// The flow for a request in a dialog, where one is known without resolving: the connection the dialog was made over; the source address
    /// of a peer behind a NAT (RFC 3581: the address in its Contact is not the one it sends from); the address of the next hop; the source
    /// also where the next hop is a name, since that is where the name led.
    pub(super) fn dialog_flow(&self, dialog: &Dialog, next_hop: &str) -> Option<Flow> {
        let source = &dialog.flow;
        if source.connection.is_some() && !self.closed.holds(source) {
            return Some(*source);
        }
        match numeric_hop(next_hop) {
            Numeric::Hop(hop) => {
                let same_transport = hop.transport == source.transport;
                if same_transport && hop.transport == Transport::Udp && dialog.adjacent && hop.addr.ip() != source.peer.ip() {
                    return Some(*source);
                }
                let same_listener = same_transport && hop.addr.is_ipv4() == source.peer.is_ipv4();
                let flow = Flow {
                    peer: hop.addr,
                    connection: None,
                    ..*source
                };
                if same_listener { Some(flow) } else { self.flow_to(hop) }
            }
            Numeric::Name if source.transport == Transport::Udp => Some(*source),
            Numeric::Name | Numeric::Unreachable => None,
        }
    }
}

/// Where a URI leads that holds an address.
pub(crate) fn hop_of(uri: &str) -> Option<Hop> {
    match numeric_hop(uri) {
        Numeric::Hop(hop) => Some(hop),
        Numeric::Name | Numeric::Unreachable => None,
    }
}

/// What a URI says without a resolver.
enum Numeric {
    Hop(Hop),
    Name,
    Unreachable,
}

/// RFC 3263 s.4.1 and 4.2 for an address: UDP unless the URI names a transport, port 5060 unless it names one.
fn numeric_hop(uri: &str) -> Numeric {
    let Ok(uri) = Uri::parse(uri) else {
        return Numeric::Unreachable;
    };
    if uri.scheme != Scheme::Sip {
        return Numeric::Unreachable;
    }
    let transport = match uri.transport() {
        None => Transport::Udp,
        Some(token) if token.eq_ignore_ascii_case("udp") => Transport::Udp,
        Some(token) if token.eq_ignore_ascii_case("tcp") => Transport::Tcp,
        Some(_) => return Numeric::Unreachable,
    };
    let ip = match uri.maddr() {
        Some(maddr) => maddr.trim_matches(['[', ']']).parse().ok(),
        None => uri.host_ip(),
    };
    match ip {
        Some(ip) => Numeric::Hop(Hop {
            transport,
            addr: SocketAddr::new(ip, uri.port.unwrap_or(5060)),
        }),
        None => Numeric::Name,
    }
}
