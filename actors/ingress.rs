//! Which connector a SIP message belongs to.
//!
//! Our tags, branches and Call-IDs name the connector that made them, so responses and requests inside dialogs find their way back.
//! A new request goes to the connector that owns the DN it comes from (a REGISTER: the DN it registers), and where there is no DN
//! of ours, by its Call-ID, so that retransmissions and the CANCEL go where the INVITE went. A connector that is being drained, and has
//! lost its DNs, still gets what comes from them, looks whether it belongs to something that it has begun, and hands on the rest.
//!
//! Runs on the transports' threads, and holds floods off before they cost a connector anything: a source that sends more
//! requests than it may has the rest dropped, and of the messages that wait for a connector the second half of the room is kept for calls
//! that are there. What is dropped over UDP is sent again. Connectors of other processes are held to no rate.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam::sync::ShardedLock;
use ipnet::IpNet;
use tandem_model::ConnectorId;
use tandem_sip::flow::{ConnectionId, Flow};
use tandem_sip::message::{Message, Method, Uri};
use tandem_sip::source_rate::{SourceRate, SourceRateConfig};
use tandem_sip::ua;

use crate::connector::{ConnectorMessage, Received};
use crate::devices::{Devices, contains};
use crate::directory::Directory;
use crate::kind::{ActorKind, Waiting};
use crate::metrics::Metrics;
use crate::now;

/// Between two log lines about sources that send too much.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// Takes what the transports read.
#[derive(Clone)]
pub struct Ingress {
    directory: Arc<Directory>,
    connectors: u16,
    /// The id of the first one.
    first: u16,
    /// Messages that wait for each connector.
    waiting: Arc<[Arc<AtomicUsize>]>,
    max_waiting: usize,
    /// Replaced as a whole when the configuration is read again.
    limit: Arc<ShardedLock<Option<Arc<Limit>>>>,
}

/// What decides which connector a message is for.
pub(crate) enum Place {
    /// It belongs to something at that one.
    At(ConnectorId),
    /// It is for the one that owns this key.
    With {
        /// A DN, or a Call-ID.
        key: String,
        /// It is the DN of a conference that is dialled into.
        room: bool,
    },
}

/// Reads it from a message; there are `connectors`, numbered from 0.
pub(crate) fn place_of(devices: &Devices, connectors: u16, message: &Message) -> Place {
    place_among(devices, |shard| shard < connectors, message)
}

/// The same; `is_known` says which connectors there are.
pub(crate) fn place_among(devices: &Devices, is_known: impl Fn(u16) -> bool, message: &Message) -> Place {
    let is_known = |shard: &u16| is_known(*shard);
    if let Some(shard) = ua::owner(message).filter(is_known) {
        return Place::At(ConnectorId(shard));
    }
    let invite = message.method() == Some(Method::Invite);
    // An INVITE that replaces a dialog of ours goes where the dialog is (RFC 3891).
    let replaced = || ua::replaces_of(message).ok().flatten().and_then(|dialog| dialog.owner());
    if let Some(shard) = invite.then(replaced).flatten().filter(is_known) {
        return Place::At(ConnectorId(shard));
    }
    // All who dial into a conference meet on one connector: a leg cannot go to another one. The CANCEL goes after its INVITE.
    let dials = invite || message.method() == Some(Method::Cancel);
    let dialled = dials.then(|| message.uri().and_then(|uri| Uri::parse(uri).ok())).flatten();
    if let Some(dn) = dialled.and_then(|uri| devices.room(&uri)) {
        let key = dn.as_str().to_owned();
        return Place::With { key, room: true };
    }
    let party = if message.method() == Some(Method::Register) {
        message.to()
    } else {
        message.from()
    };
    let dn = party
        .ok()
        .and_then(|party| Uri::parse(party.uri).ok().map(|uri| devices.dn_of(&uri)));
    let key = match dn.filter(|dn| devices.device(dn).is_some()) {
        Some(dn) => dn.as_str().to_owned(),
        None => message.call_id().unwrap_or_default().to_owned(),
    };
    Place::With { key, room: false }
}

/// How much one source may send.
struct Limit {
    unlimited: Vec<IpNet>,
    state: Mutex<LimitState>,
}

struct LimitState {
    rate: SourceRate,
    warned: Option<Instant>,
}

/// Messages on their way to a connector; counted off when they are dropped or handled.
#[derive(Debug)]
pub struct Backlog {
    waiting: Arc<AtomicUsize>,
    messages: usize,
}

impl Backlog {
    /// Of messages that one connector hands on to another: they were counted where they came in.
    pub(crate) fn counted() -> Self {
        Self {
            waiting: Arc::default(),
            messages: 0,
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.messages, Ordering::Relaxed);
    }
}

impl Ingress {
    /// An ingress for that many connectors, with room for that many messages to wait for each.
    pub fn new(directory: Arc<Directory>, connectors: u16, max_waiting: usize) -> Self {
        let connectors = connectors.max(1);
        Self {
            directory,
            connectors,
            first: 0,
            waiting: (0..connectors).map(|_| Arc::default()).collect(),
            max_waiting: max_waiting.max(2),
            limit: Arc::default(),
        }
    }

    /// For connectors whose ids begin with `first`.
    #[must_use]
    pub(crate) fn numbered_from(mut self, first: u16) -> Self {
        self.first = first;
        self
    }

    /// With a limit on the requests of one source. Trunks' trusted sources and those of `unlimited` have none.
    #[must_use]
    pub fn limited(self, rate: SourceRateConfig, unlimited: Vec<IpNet>) -> Self {
        self.limit_to(Some((rate, unlimited)));
        self
    }

    /// From now on this limit holds, or none; for every copy of this ingress. The counts start anew.
    pub fn limit_to(&self, limit: Option<(SourceRateConfig, Vec<IpNet>)>) {
        let limit = limit.map(|(rate, unlimited)| {
            let state = LimitState {
                rate: SourceRate::new(rate),
                warned: None,
            };
            Arc::new(Limit {
                unlimited,
                state: Mutex::new(state),
            })
        });
        *self.limit.write().unwrap_or_else(PoisonError::into_inner) = limit;
    }

    /// Datagrams, as read in one batch.
    pub fn datagrams(&self, datagrams: impl Iterator<Item = (Flow, Bytes)>) {
        let now = now();
        let mut batches: Vec<Vec<Received>> = (0..self.connectors).map(|_| Vec::new()).collect();
        for (flow, bytes) in datagrams {
            match Message::parse(bytes) {
                Ok(message) => self.sort(now, flow, message, &mut batches),
                Err(error) => {
                    Metrics::of_process().parse_errors.increment(1);
                    tracing::debug!(peer = %flow.peer, %error, "a datagram that is not SIP");
                    // The user agent refuses it with 400, where enough of it is there to be answered.
                    if let Some(message) = error.into_answerable() {
                        self.sort(now, flow, message, &mut batches);
                    }
                }
            }
        }
        for (index, batch) in batches.into_iter().enumerate() {
            self.post(ConnectorId(self.first + index as u16), batch);
        }
    }

    /// One message of a stream. `false`: it is too much, of this source or for the connector; the caller may slow down.
    pub fn message(&self, flow: Flow, message: Message) -> bool {
        let owner = self.owner(&message);
        if !self.may_pass(now(), owner, &flow, &message) {
            return false;
        }
        self.post(owner, vec![Received { flow, message }])
    }

    /// A stream sent what is not SIP.
    pub fn parse_error(&self) {
        Metrics::of_process().parse_errors.increment(1);
    }

    /// A stream is gone.
    pub fn closed(&self, flow: Flow, connection: ConnectionId) {
        for connector in self.directory.connectors() {
            // Unbounded post: connections are capped, and each closes once.
            connector.do_send(ConnectorMessage::FlowFailed {
                flow,
                connection: Some(connection),
            });
        }
    }

    /// A stream could not be opened, or a datagram not sent.
    pub fn unreachable(&self, flow: Flow) {
        for connector in self.directory.connectors() {
            // ICMP may be forged and is a hint only: a connector that has no room for it does without.
            let _ = connector.try_send(ConnectorMessage::FlowFailed { flow, connection: None });
        }
    }

    /// The connector that a message goes to.
    pub fn owner(&self, message: &Message) -> ConnectorId {
        if self.connectors == 1 {
            return ConnectorId(self.first);
        }
        match place_of(&self.directory.live.devices(), self.connectors, message) {
            Place::At(connector) => connector,
            Place::With { key, room } => {
                let pinned = room.then(|| self.directory.pinned_room(&key)).flatten();
                pinned.unwrap_or_else(|| self.directory.shards.asked_first(&key, self.connectors))
            }
        }
    }

    fn index(&self, owner: ConnectorId) -> usize {
        usize::from(owner.0.wrapping_sub(self.first))
    }

    fn sort(&self, now: Instant, flow: Flow, message: Message, batches: &mut [Vec<Received>]) {
        let owner = self.owner(&message);
        if self.may_pass(now, owner, &flow, &message)
            && let Some(batch) = batches.get_mut(self.index(owner))
        {
            batch.push(Received { flow, message });
        }
    }

    fn may_pass(&self, now: Instant, owner: ConnectorId, flow: &Flow, message: &Message) -> bool {
        // What another connector has let in is counted there.
        let trusted = self.directory.neighbours.takes_from(flow.peer.ip());
        self.has_room(owner, trusted, message) && (trusted || self.is_within_rate(now, flow.peer.ip(), message))
    }

    fn has_room(&self, owner: ConnectorId, trusted: bool, message: &Message) -> bool {
        let Some(waiting) = self.waiting.get(self.index(owner)) else {
            return true;
        };
        let waiting = waiting.load(Ordering::Relaxed);
        // Of what is known to a connector its name is in a tag or branch; a forger gets no more than the other half.
        let room = waiting < self.max_waiting / 2 || (waiting < self.max_waiting && (trusted || ua::owner(message).is_some()));
        if !room {
            ActorKind::Connector.metrics().shed.increment(1);
        }
        room
    }

    fn is_within_rate(&self, now: Instant, source: IpAddr, message: &Message) -> bool {
        let limit = self.limit.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(limit) = limit else { return true };
        // Responses and ACKs cost little, and nobody answers them.
        if message.method().is_none_or(|method| method == Method::Ack)
            || contains(&limit.unlimited, source)
            || self.directory.live.devices().trunk_from(source).is_some()
        {
            return true;
        }
        let mut state = limit.state.lock().unwrap_or_else(PoisonError::into_inner);
        let served = state.rate.take(now, source);
        if !served {
            Metrics::of_process().rate_limited.increment(1);
            if state
                .warned
                .is_none_or(|at| now.saturating_duration_since(at) >= WARN_INTERVAL)
            {
                state.warned = Some(now);
                tracing::warn!(%source, "more requests than `sip.max_requests_per_second_per_source`; dropped");
            }
        }
        served
    }

    fn post(&self, owner: ConnectorId, batch: Vec<Received>) -> bool {
        if batch.is_empty() {
            return true;
        }
        let Some(waiting) = self.waiting.get(self.index(owner)) else {
            return false;
        };
        let Some(connector) = self.directory.connector(owner) else {
            return false;
        };
        waiting.fetch_add(batch.len(), Ordering::Relaxed);
        let backlog = Backlog {
            waiting: waiting.clone(),
            messages: batch.len(),
        };
        let message = ConnectorMessage::Received {
            batch,
            backlog,
            waiting: Waiting::new(ActorKind::Connector),
        };
        let taken = connector.try_send(message).is_ok();
        if !taken {
            ActorKind::Connector.metrics().shed.increment(1);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tandem_sip::flow::{ListenerId, Transport};

    use super::*;
    use crate::devices::Trunk;
    use crate::live::Settings;

    const FLOODER: &str = "192.0.2.1:5060";

    fn flow(peer: &str) -> Flow {
        Flow {
            transport: Transport::Udp,
            listener: ListenerId(0),
            peer: peer.parse::<SocketAddr>().unwrap(),
            connection: None,
        }
    }

    fn message(first: &str, method: &str) -> Message {
        let text = format!(
            "{first}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=a\r\nTo: <sip:b@h>\r\nCall-ID: x\r\nCSeq: 1 {method}\r\n\r\n"
        );
        Message::parse(text.into()).unwrap()
    }

    fn ingress() -> Ingress {
        let mut devices = Devices::new(vec!["tandem.local".to_owned()], Vec::new());
        devices.add_trunk(Trunk {
            dn: tandem_model::DnId::new("sip:carrier@tandem.local"),
            host_port: "192.0.2.7".into(),
            uri_parameters: "".into(),
            credentials: None,
            trusted_sources: vec!["192.0.2.7/32".parse().unwrap()],
            trusted_identity: true,
        });
        let rate = SourceRateConfig::per_second(10);
        let settings = Settings {
            devices: Arc::new(devices),
            ..Settings::default()
        };
        Ingress::new(Directory::new(settings), 1, 100).limited(rate, vec!["127.0.0.0/8".parse().unwrap()])
    }

    fn passed(ingress: &Ingress, peer: &str, message: &Message) -> usize {
        let at = now();
        (0..50)
            .filter(|_| ingress.may_pass(at, ConnectorId(0), &flow(peer), message))
            .count()
    }

    #[test]
    fn a_source_that_floods_is_held_and_nobody_else() {
        let ingress = ingress();
        let invite = message("INVITE sip:b@h SIP/2.0", "INVITE");
        assert_eq!(passed(&ingress, FLOODER, &invite), 10);
        assert_eq!(passed(&ingress, "192.0.2.2:5060", &invite), 10, "another source");
        assert_eq!(passed(&ingress, "192.0.2.7:5060", &invite), 50, "a trunk");
        assert_eq!(passed(&ingress, "127.0.0.1:5060", &invite), 50, "an unlimited network");
        assert_eq!(passed(&ingress, FLOODER, &message("ACK sip:b@h SIP/2.0", "ACK")), 50);
        assert_eq!(passed(&ingress, FLOODER, &message("SIP/2.0 200 OK", "INVITE")), 50);
    }

    #[test]
    fn half_of_the_room_is_kept_for_calls_that_are_there() {
        let ingress = ingress();
        let stranger = message("INVITE sip:b@h SIP/2.0", "INVITE");
        let backlog = |messages: usize| {
            ingress.waiting[0].fetch_add(messages, Ordering::Relaxed);
            Backlog {
                waiting: ingress.waiting[0].clone(),
                messages,
            }
        };
        let half = backlog(50);
        assert!(!ingress.has_room(ConnectorId(0), false, &stranger));
        assert!(ingress.has_room(ConnectorId(0), true, &stranger), "of another connector");
        drop(half);
        assert!(ingress.has_room(ConnectorId(0), false, &stranger));
    }
}
