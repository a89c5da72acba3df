//! The edge: a device whose connection is on this connector and whose DN belongs to another one (RFC 5626 s.5, RFC 3327, RFC 3261 s.16.11).
//!
//! ```text
//!   device ── flow ──► edge ── REGISTER, Path: <sip:TOKEN@edge;lr;ob> ──► the DN's connector
//!   device ◄── flow ── edge ◄── INVITE, Route: <sip:TOKEN@edge;lr;ob> ─── the DN's connector
//! ```
//!
//! An edge that keeps its devices' bindings itself tells the other connectors the Route values instead ([`Edge::route`]).
//!
//! A pure, stateless machine: a message and where it came from go in, a message and where it goes come out, or a refusal. What it has to
//! know again stands in the messages: the device's flow in the Path, the Record-Route and our Via, with a MAC. So a request and its copies,
//! its ACK and its CANCEL go the same way with the same branch, and after a restart with the same key the devices behind datagrams are
//! reached as before. A connection is lost with its process, or closed: then the device is looked for among those that are registered here
//! now ([`Presence`]), by what the token says of it, and its sessions find it over the connection that it has opened since. Where it is not
//! there (yet), its Contact is tried if that is at the same address, else 430.
//!
//! Invariants: over a device's flow goes only what a connector of ours sent, with a token that we made; what a device sends goes to
//! connectors of ours and nowhere else, so that nobody uses the edge as a relay; a response goes over the flow that its request came from.
//!
//! What it does not do: decide whose DN it is, authenticate (the DN's connector challenges the device through it), keep flows alive, recurse or
//! fork. Who sends over a connection that is closed after all answers 430.

mod token;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use crate::digest::hex;
use crate::flow::{Flow, Hop};
use crate::key::Key;
use crate::message::{HeaderName, MAGIC_COOKIE, Message, Method, NameAddr, Relay, Uri, Via};
use crate::registrar::{Binding, Device};
use crate::ua::{Listener, hop_of};
use token::{DeviceMark, Purpose, Token};

/// Behind the magic cookie of our branches; no branch of a user agent of ours starts so.
const MARK: &str = "te";

/// The Via parameter with the flow that the response goes over.
const FLOW: &str = "flow";

/// Max-Forwards of a request that has none (RFC 3261 s.16.6 item 3).
const MAX_FORWARDS: u8 = 70;

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forward {
    /// Where it goes.
    pub flow: Flow,
    /// The message.
    pub bytes: Bytes,
}

/// Why a request is not passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Its Via, Route or Max-Forwards cannot be read.
    #[error("a header cannot be read")]
    Malformed,
    /// Its token is not one that we made.
    #[error("the flow token is not genuine")]
    Forged,
    /// It comes from somewhere, or wants to go somewhere, that is no connector of ours.
    #[error("not a connector of ours")]
    Foreign,
    /// The connection of the device is gone (RFC 5626 s.5.3.1).
    #[error("the flow is gone")]
    FlowFailed,
    /// Max-Forwards is used up.
    #[error("too many hops")]
    TooManyHops,
    /// No listener leads there.
    #[error("no listener leads there")]
    NoListener,
}

impl Refusal {
    /// The status that says so.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Forged | Self::Foreign => 403,
            Self::FlowFailed => 430,
            Self::TooManyHops => 483,
            Self::NoListener => 503,
        }
    }
}

/// What is known of the devices here.
pub trait Presence {
    /// The user of a URI, and the devices that are registered here for it.
    fn bindings(&self, uri: &str) -> (Arc<str>, Arc<[Binding]>);

    /// Whether a flow leads over a connection that is gone.
    fn is_closed(&self, flow: &Flow) -> bool;
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Edge {
    key: Key,
    epoch: u32,
    listeners: Vec<Listener>,
    peers: HashSet<SocketAddr>,
    peer_ips: HashSet<IpAddr>,
}

impl Edge {
    /// One that knows no other connector yet. `secret` outlives the process, `epoch` is of the process.
    pub fn new(secret: [u8; 32], epoch: u32, listeners: Vec<Listener>) -> Self {
        Self {
            key: Key::new(secret),
            epoch,
            listeners,
            peers: HashSet::new(),
            peer_ips: HashSet::new(),
        }
    }

    /// Our listeners, in the order of preference.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The Route value by which a connector reaches that device, behind a flow of ours. `None`: the flow is none of ours.
    pub fn route(&self, flow: &Flow, device: &Device) -> Option<String> {
        self.listener(*flow).ok()?;
        let mark = Some(DeviceMark::of(&self.key, device));
        let token = token::write(&self.key, self.epoch, Purpose::Route, flow, mark);
        Some(format!("<{}>", uri(&token, self.listeners.first()?)))
    }

    /// Whether requests from that address are taken: it is one of a connector.
    pub fn takes_from(&self, source: IpAddr) -> bool {
        self.peer_ips.contains(&source.to_canonical())
    }

    /// Whether a request was written by a connector, as its edge or as its user agent: such a one is not passed on to another connector.
    pub fn is_of_connector(&self, request: &Message, from: Flow) -> bool {
        self.takes_from(from.peer.ip()) && request.top_via().is_ok_and(|via| self.is_peers_via(&via))
    }

    /// The address that a request began at: what a connector passed on for a device is the device's, and is judged by that
    /// (the connector wrote it down, RFC 3261 s.18.2.1).
    pub fn source(&self, request: &Message, from: Flow) -> IpAddr {
        if !self.is_passed_on(request, from) {
            return from.peer.ip();
        }
        let device = request.vias().nth(1).and_then(Result::ok);
        let written = device.and_then(|via| via.received_ip().or_else(|| via.host_ip()));
        written.unwrap_or_else(|| from.peer.ip())
    }

    /// Whether a connector has passed a request on for a device of its own.
    pub fn is_passed_on(&self, request: &Message, from: Flow) -> bool {
        let is_edges = |via: Via<'_>| via.branch.is_some_and(is_marked) && self.is_peers_via(&via);
        self.takes_from(from.peer.ip()) && request.top_via().is_ok_and(is_edges)
    }

    fn is_peers_via(&self, via: &Via<'_>) -> bool {
        let address = via.host_ip().map(|ip| SocketAddr::new(ip, via.port.unwrap_or(5060)));
        address.is_some_and(|address| self.peers.contains(&address))
    }

    /// The SIP addresses of the connectors that requests are passed to and taken from.
    pub fn set_peers(&mut self, peers: impl IntoIterator<Item = SocketAddr>) {
        self.peers = peers.into_iter().collect();
        self.peer_ips = self.peers.iter().map(|peer| peer.ip().to_canonical()).collect();
    }

    /// A request of a device for a DN of another connector, which is at `to`. A Route to ourselves on top goes off; a REGISTER gets a Path.
    pub fn outward(&self, request: &Message, from: Flow, to: Hop, here: &dyn Presence) -> Result<Forward, Refusal> {
        let first = request.headers(HeaderName::Route).next();
        let routes = usize::from(first.is_some_and(|route| self.own_uri(route).is_some()));
        self.send_outward(request, from, to, routes, here)
    }

    /// A request whose first Route is a token of ours: from a connector to a device, or from a device in a dialog that came through here.
    /// `None`: it is not, and is served here.
    pub fn routed(&self, request: &Message, from: Flow, here: &dyn Presence) -> Option<Result<Forward, Refusal>> {
        let mut routes = request.headers(HeaderName::Route);
        let token = match self.token_of(routes.next()?)? {
            Ok(token) => token,
            Err(refusal) => return Some(Err(refusal)),
        };
        let mut next = routes.next();
        let mut count = 1;
        // Two where it came over one listener and went over another (RFC 5658).
        if let Some(Ok(second)) = next.and_then(|route| self.token_of(route))
            && second == token
        {
            (next, count) = (routes.next(), 2);
        }
        Some(self.pass_on(request, from, token, (next, count), here))
    }

    fn pass_on(
        &self,
        request: &Message,
        from: Flow,
        token: Token,
        (next, routes): (Option<&str>, usize),
        here: &dyn Presence,
    ) -> Result<Forward, Refusal> {
        let of_peer = self.peer_ips.contains(&from.peer.ip().to_canonical());
        let same_address = !of_peer && token.flow.peer.ip() == from.peer.ip();
        let of_device = token.flow == from || same_address || self.is_of(request, from, token, here);
        if of_device {
            let uri = match next {
                Some(route) => NameAddr::parse(route).map_err(|_| Refusal::Malformed)?.uri,
                None => request.uri().ok_or(Refusal::Malformed)?,
            };
            let hop = hop_of(uri).ok_or(Refusal::Foreign)?;
            return self.send_outward(request, from, hop, routes, here);
        }
        if !of_peer {
            return Err(Refusal::Foreign);
        }
        let is_gone = token.lost || here.is_closed(&token.flow);
        let now = is_gone.then(|| self.present(request, token, here)).flatten();
        let flow = match now {
            Some(flow) => flow,
            None if token.lost => reopened(request, token.flow).ok_or(Refusal::FlowFailed)?,
            None => token.flow,
        };
        self.send(request, from, flow, (flow, token.device), routes)
    }

    /// Where a device is now whose connection is gone: the newest of its own; where it is not known by an instance, that of the only device
    /// that its user has.
    fn present(&self, request: &Message, token: Token, here: &dyn Presence) -> Option<Flow> {
        let mark = token.device?;
        let (aor, bindings) = here.bindings(request.to().ok()?.uri);
        let is_open = |flow: &Flow| flow.connection.is_some() && !here.is_closed(flow);
        let open = || {
            bindings
                .iter()
                .filter(|binding| binding.path.is_empty() && is_open(&binding.flow))
        };
        let own = open().find(|binding| DeviceMark::of(&self.key, &Device::of(&aor, binding)) == mark);
        let only = || {
            let lost = |binding: &Binding| binding.flow.transport.is_reliable() && !is_open(&binding.flow);
            let mut others = bindings.iter().filter(|binding| !lost(binding));
            let first = others
                .next()
                .filter(|binding| is_open(&binding.flow) && binding.path.is_empty());
            first.filter(|_| !mark.by_instance && others.next().is_none())
        };
        own.or_else(only).map(|binding| binding.flow)
    }

    /// Whether a flow is one that the device of a token has registered over since.
    fn is_of(&self, request: &Message, from: Flow, token: Token, here: &dyn Presence) -> bool {
        let caller = request.from().ok().map(|from| from.uri);
        let known = caller.and_then(|caller| self.mark_of(caller, from, here));
        known.is_some() && known == token.device
    }

    /// The device that a flow is, of those of a user.
    fn mark_of(&self, user: &str, flow: Flow, here: &dyn Presence) -> Option<DeviceMark> {
        flow.connection?;
        let (aor, bindings) = here.bindings(user);
        let binding = bindings
            .iter()
            .find(|binding| binding.flow == flow && binding.path.is_empty())?;
        Some(DeviceMark::of(&self.key, &Device::of(&aor, binding)))
    }

    fn send_outward(
        &self,
        request: &Message,
        from: Flow,
        to: Hop,
        routes: usize,
        here: &dyn Presence,
    ) -> Result<Forward, Refusal> {
        if !self.peers.contains(&to.addr) {
            return Err(Refusal::Foreign);
        }
        let fits =
            |listener: &&Listener| listener.transport == to.transport && listener.advertised.is_ipv4() == to.addr.is_ipv4();
        let listener = self.listeners.iter().find(fits).ok_or(Refusal::NoListener)?;
        let flow = Flow {
            transport: to.transport,
            listener: listener.id,
            peer: to.addr,
            connection: None,
        };
        let makes_dialog = request.method().is_some_and(|method| method.makes_dialog());
        let caller = request.from().ok().filter(|_| makes_dialog).map(|caller| caller.uri);
        let mark = caller.and_then(|caller| self.mark_of(caller, from, here));
        self.send(request, from, flow, (from, mark), routes)
    }

    /// Writes a request for the next hop. `device` is the flow that requests find back here, and which device has it.
    fn send(
        &self,
        request: &Message,
        from: Flow,
        to: Flow,
        device: (Flow, Option<DeviceMark>),
        routes: usize,
    ) -> Result<Forward, Refusal> {
        let hops = match request.max_forwards().map_err(|_| Refusal::Malformed)? {
            Some(0) => return Err(Refusal::TooManyHops),
            Some(hops) => hops - 1,
            None => MAX_FORWARDS,
        };
        let inbound = self.listener(from)?;
        let outbound = self.listener(to)?;
        let branch = self.branch(request)?;
        let response = token::write(&self.key, self.epoch, Purpose::Response, &from, None);
        let via = format!(
            "SIP/2.0/{} {};branch={branch};{FLOW}={response}",
            outbound.transport.via_token(),
            outbound.advertised
        );
        let mut relay = Relay::of(request)
            .received_from(from.peer)
            .push_via(via)
            .pop_routes(routes)
            .max_forwards(hops);
        let token = token::write(&self.key, self.epoch, Purpose::Route, &device.0, device.1);
        match request.method() {
            Some(Method::Register) => relay = relay.add(HeaderName::Path, format!("<{};ob>", uri(&token, outbound))),
            Some(method) if method.makes_dialog() => {
                if inbound.id != outbound.id {
                    relay = relay.add(HeaderName::RecordRoute, format!("<{}>", uri(&token, inbound)));
                }
                relay = relay.add(HeaderName::RecordRoute, format!("<{}>", uri(&token, outbound)));
            }
            _ => {}
        }
        Ok(Forward {
            flow: to,
            bytes: relay.finish(),
        })
    }

    /// A response to a request that was passed on: our Via goes off, and it goes where the request came from. `None`: it is none, or there
    /// is nowhere to send it.
    pub fn response(&self, response: &Message) -> Option<Forward> {
        let mut vias = response.vias();
        let ours = vias.next()?.ok()?;
        if !is_marked(ours.branch?) {
            return None;
        }
        let address = SocketAddr::new(ours.host_ip()?, ours.port.unwrap_or(5060));
        if !self.listeners.iter().any(|listener| listener.advertised == address) {
            return None;
        }
        let Token { mut flow, .. } = token::read(&self.key, self.epoch, Purpose::Response, ours.params.value(FLOW)?)?;
        let next = vias.next()?.ok()?;
        // RFC 3261 s.18.2.2; RFC 3581 s.4. A connection that is gone is opened anew.
        let sent_by = SocketAddr::new(next.received_ip().unwrap_or(flow.peer.ip()), next.port.unwrap_or(5060));
        let symmetric = match flow.transport.is_reliable() {
            true => flow.connection.is_some(),
            false => next.rport.is_some(),
        };
        if !symmetric {
            flow.peer = sent_by;
        }
        let bytes = Relay::of(response).pop_via().finish();
        Some(Forward { flow, bytes })
    }

    /// The branch of a request that keeps no state: the same for its copies, its ACK and its CANCEL (RFC 3261 s.16.11).
    fn branch(&self, request: &Message) -> Result<String, Refusal> {
        let via = request.top_via().map_err(|_| Refusal::Malformed)?;
        let said = match via.unique_branch() {
            Some(branch) => format!("{}:{}|{branch}", via.host, via.port.unwrap_or(5060)),
            None => legacy_identity(request, &via),
        };
        let mac = self.key.mac(b"edge-branch", said.as_bytes());
        Ok(format!("{MAGIC_COOKIE}{MARK}{}", hex(&mac)))
    }

    fn listener(&self, flow: Flow) -> Result<&Listener, Refusal> {
        let of_flow = |listener: &&Listener| listener.id == flow.listener && listener.transport == flow.transport;
        self.listeners.iter().find(of_flow).ok_or(Refusal::NoListener)
    }

    /// The user part, maybe empty, of a Route value that names us.
    fn own_uri<'a>(&self, route: &'a str) -> Option<&'a str> {
        let uri = Uri::parse(NameAddr::parse(route).ok()?.uri).ok()?;
        let address = SocketAddr::new(uri.host_ip()?, uri.port.unwrap_or(5060));
        let ours = self.listeners.iter().any(|listener| listener.advertised == address);
        ours.then(|| uri.user.unwrap_or_default())
    }

    /// The token in a Route value that names us; `None` where it names somebody else or has none.
    fn token_of(&self, route: &str) -> Option<Result<Token, Refusal>> {
        let user = self.own_uri(route).filter(|user| !user.is_empty())?;
        Some(token::read(&self.key, self.epoch, Purpose::Route, user).ok_or(Refusal::Forged))
    }
}

/// Whether a branch is one that an edge makes.
fn is_marked(branch: &str) -> bool {
    branch.strip_prefix(MAGIC_COOKIE).is_some_and(|rest| rest.starts_with(MARK))
}

/// Where a device listens whose connection went with the process before: its Contact, which is the request URI, if that is at the address
/// that the connection came from. Nobody is made to connect to anybody else.
fn reopened(request: &Message, lost: Flow) -> Option<Flow> {
    let contact = hop_of(request.uri()?)?;
    let same = contact.transport == lost.transport && contact.addr.ip().to_canonical() == lost.peer.ip().to_canonical();
    same.then_some(Flow {
        peer: contact.addr,
        connection: None,
        ..lost
    })
}

/// Our URI with a token, as a Route value holds it.
fn uri(token: &str, listener: &Listener) -> String {
    let transport = if listener.transport.is_reliable() {
        ";transport=tcp"
    } else {
        ""
    };
    format!("sip:{token}@{}{transport};lr", listener.advertised)
}

/// What identifies the transaction of a request of RFC 2543 (RFC 3261 s.16.11); the tags and the method are not in it, since an ACK has
/// others than its INVITE.
fn legacy_identity(request: &Message, via: &Via<'_>) -> String {
    let from_tag = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
    let number = request.cseq().map_or(0, |(number, _)| number);
    let call_id = request.call_id().unwrap_or_default();
    format!("{}:{}||{from_tag}|{call_id}|{number}", via.host, via.port.unwrap_or(5060))
}
