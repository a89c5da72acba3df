//! The network between the phones and the server, or its connectors: datagrams that take their time, get lost, or come twice, and
//! connections, in which everything comes once and in order until they end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tandem_actors::network::Network;
use tandem_actors::now;
use tandem_sip::flow::{ConnectionId, Flow, ListenerId, Transport};
use tokio::sync::Notify;

/// How good the network is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The shortest time a datagram takes, in milliseconds.
    pub latency_ms: u64,
    /// What may come on top, in milliseconds; more than nothing means that datagrams overtake each other.
    pub jitter_ms: u64,
    /// How many of a thousand are lost.
    pub lost: u32,
    /// How many of a thousand come twice.
    pub doubled: u32,
}

impl Weather {
    /// Nothing is lost, everything takes 10 ms.
    pub const FAIR: Self = Self {
        latency_ms: 10,
        jitter_ms: 0,
        lost: 0,
        doubled: 0,
    };
}

/// The listener of a server for datagrams.
pub const DATAGRAMS: ListenerId = ListenerId(0);
/// The one for connections.
pub const CONNECTIONS: ListenerId = ListenerId(1);

/// What has arrived.
pub struct Packet {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub content: Content,
}

/// What a packet is.
pub enum Content {
    /// A datagram.
    Datagram(Bytes),
    /// A message over a connection, which the phone has opened from that address.
    Message {
        over: ConnectionId,
        near: SocketAddr,
        bytes: Bytes,
    },
    /// The other side has ended the connection.
    Closed { over: ConnectionId, near: SocketAddr },
}

/// A connection that a phone has opened.
struct Connection {
    phone: SocketAddr,
    /// What the server sees of the phone.
    near: SocketAddr,
    server: SocketAddr,
    /// When what was sent last arrives; what is sent next does not before.
    last: Instant,
    open: bool,
    /// The server's process has ended: nothing that is on its way there arrives.
    orphaned: bool,
}

/// The network.
pub struct Wire {
    inner: Mutex<Inner>,
    stirred: Notify,
}

struct Inner {
    weather: Weather,
    rng: StdRng,
    /// By time of arrival, then in the order sent.
    under_way: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
    /// Phones whose link is down, both ways.
    dark: BTreeSet<SocketAddr>,
    /// Phones whose host is up and says that nobody listens there.
    closed: BTreeSet<SocketAddr>,
    connections: BTreeMap<ConnectionId, Connection>,
    started: Instant,
    transcript: Vec<(Instant, Line)>,
}

/// One line of the transcript. Messages are written out only when somebody reads it.
enum Line {
    Sent { from: SocketAddr, to: SocketAddr, bytes: Bytes },
    Text(String),
}

impl Wire {
    pub fn new(weather: Weather, seed: u64) -> Self {
        let inner = Inner {
            weather,
            rng: StdRng::seed_from_u64(seed),
            under_way: BTreeMap::new(),
            sent: 0,
            dark: BTreeSet::new(),
            closed: BTreeSet::new(),
            connections: BTreeMap::new(),
            started: now(),
            transcript: Vec::new(),
        };
        Self {
            inner: Mutex::new(inner),
            stirred: Notify::new(),
        }
    }

    /// The socket of a server that has this address.
    pub fn socket(self: &Arc<Self>, address: SocketAddr) -> Arc<Socket> {
        Arc::new(Socket {
            wire: self.clone(),
            address,
        })
    }

    /// The way from the server to a phone, or back.
    pub fn flow_to(peer: SocketAddr) -> Flow {
        Flow {
            transport: Transport::Udp,
            listener: DATAGRAMS,
            peer,
            connection: None,
        }
    }

    /// The same over a connection, as the server has it.
    pub fn flow_over(connection: ConnectionId, near: SocketAddr) -> Flow {
        Flow {
            transport: Transport::Tcp,
            listener: CONNECTIONS,
            peer: near,
            connection: Some(connection),
        }
    }

    /// Opens a connection, where the phone's link is up.
    pub fn connect(&self, phone: SocketAddr, server: SocketAddr) -> Option<ConnectionId> {
        let mut inner = self.inner();
        if inner.is_cut(phone) {
            return None;
        }
        let number = inner.connections.len() as u64 + 1;
        let (id, near) = (ConnectionId(number), SocketAddr::new(phone.ip(), 30_000 + number as u16));
        let connection = Connection {
            phone,
            near,
            server,
            last: now(),
            open: true,
            orphaned: false,
        };
        inner.connections.insert(id, connection);
        let line = Line::Text(format!("{phone} has connected from {near} to {server}"));
        inner.transcript.push((now(), line));
        Some(id)
    }

    /// Whether a connection is open.
    pub fn is_open(&self, connection: ConnectionId) -> bool {
        self.inner()
            .connections
            .get(&connection)
            .is_some_and(|connection| connection.open)
    }

    /// Sends over a connection, away from the phone or to it; `false` where it has ended.
    pub fn send(&self, over: ConnectionId, to_phone: bool, bytes: Bytes) -> bool {
        let sent = self.inner().send(over, to_phone, bytes);
        self.stirred.notify_one();
        sent
    }

    /// Ends a connection, for both sides.
    pub fn close(&self, connection: ConnectionId) {
        self.inner().close(connection);
        self.stirred.notify_one();
    }

    /// The process that listens there has ended, and its connections with it.
    pub fn has_died(&self, server: SocketAddr) {
        let mut inner = self.inner();
        for id in inner.connections_of(|connection| connection.server == server) {
            inner.close(id);
            if let Some(connection) = inner.connections.get_mut(&id) {
                connection.orphaned = true;
            }
        }
        drop(inner);
        self.stirred.notify_one();
    }

    /// Puts a datagram on its way.
    pub fn put(&self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let mut inner = self.inner();
        let line = Line::Sent {
            from,
            to,
            bytes: bytes.clone(),
        };
        inner.transcript.push((now(), line));
        let copies = inner.copies(from, to);
        for _ in 0..copies {
            let due = inner.arrival();
            inner.deliver(due, from, to, Content::Datagram(bytes.clone()));
        }
        drop(inner);
        self.stirred.notify_one();
    }

    /// The next packet that has arrived by now.
    pub fn arrived(&self) -> Option<Packet> {
        let mut inner = self.inner();
        while inner.under_way.first_key_value().is_some_and(|((due, _), _)| *due <= now()) {
            let (_, packet) = inner.under_way.pop_first()?;
            let lost = match packet.content {
                Content::Datagram(_) => inner.dark.contains(&packet.to) || inner.dark.contains(&packet.from),
                Content::Message { over, .. } => inner.is_dark(over) || inner.is_orphaned(over, packet.to),
                // Whose link is down finds out as well, sooner or later.
                Content::Closed { over, .. } => inner.is_orphaned(over, packet.to),
            };
            if !lost {
                return Some(packet);
            }
        }
        None
    }

    /// When the next packet arrives.
    pub fn next(&self) -> Option<Instant> {
        self.inner().under_way.first_key_value().map(|((due, _), _)| *due)
    }

    /// Waits until something is put on the wire.
    pub async fn stirred(&self) {
        self.stirred.notified().await;
    }

    /// Takes a phone's link down or brings it back. What goes over a connection meanwhile is lost, and that it has ended is seen afterwards.
    pub fn set_dark(&self, phone: SocketAddr, dark: bool) {
        let mut inner = self.inner();
        if dark {
            inner.dark.insert(phone);
        } else if inner.dark.remove(&phone) {
            inner.close_all_of(phone);
        }
    }

    /// Makes a phone's host refuse datagrams (ICMP port unreachable) and end its connections, or take them again.
    pub fn set_closed(&self, phone: SocketAddr, closed: bool) {
        let mut inner = self.inner();
        if closed {
            inner.close_all_of(phone);
            inner.closed.insert(phone);
        } else {
            inner.closed.remove(&phone);
        }
    }

    /// From now on nothing is lost and every link is up.
    pub fn clear_up(&self) {
        let mut inner = self.inner();
        for phone in std::mem::take(&mut inner.dark) {
            inner.close_all_of(phone);
        }
        inner.closed.clear();
        inner.weather = Weather::FAIR;
    }

    /// Adds a line to the transcript.
    pub fn write(&self, line: String) {
        self.inner().transcript.push((now(), Line::Text(line)));
    }

    /// Everything that was sent and written, with the milliseconds since the start.
    pub fn transcript(&self) -> Vec<String> {
        let inner = self.inner();
        let text = |(at, line): &(Instant, Line)| {
            let ms = at.saturating_duration_since(inner.started).as_millis();
            match line {
                Line::Sent { from, to, bytes } => format!("{ms:>8} {from} > {to}\n{}", String::from_utf8_lossy(bytes)),
                Line::Text(text) => format!("{ms:>8} {text}"),
            }
        };
        inner.transcript.iter().map(text).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn copies(&mut self, from: SocketAddr, to: SocketAddr) -> u32 {
        let dice = self.rng.random_range(0..1000);
        let cut = self.is_cut(from) || self.is_cut(to);
        match self.weather {
            _ if cut => 0,
            weather if dice < weather.lost => 0,
            weather if dice < weather.lost + weather.doubled => 2,
            _ => 1,
        }
    }

    fn is_cut(&self, phone: SocketAddr) -> bool {
        self.dark.contains(&phone) || self.closed.contains(&phone)
    }

    /// Whether the link is down that a connection goes over.
    fn is_dark(&self, over: ConnectionId) -> bool {
        let connection = self.connections.get(&over);
        connection.is_none_or(|connection| self.dark.contains(&connection.phone))
    }

    /// Whether a connection has led to a process that is gone.
    fn is_orphaned(&self, over: ConnectionId, to: SocketAddr) -> bool {
        let connection = self.connections.get(&over);
        connection.is_some_and(|connection| connection.orphaned && to == connection.server)
    }

    fn connections_of(&self, is_one: impl Fn(&Connection) -> bool) -> Vec<ConnectionId> {
        let open = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.open && is_one(connection));
        open.map(|(id, _)| *id).collect()
    }

    fn close_all_of(&mut self, phone: SocketAddr) {
        for id in self.connections_of(|connection| connection.phone == phone) {
            self.close(id);
        }
    }

    fn send(&mut self, over: ConnectionId, to_phone: bool, bytes: Bytes) -> bool {
        let arrival = self.arrival();
        let Some(connection) = self.connections.get_mut(&over).filter(|connection| connection.open) else {
            return false;
        };
        let (from, to) = if to_phone {
            (connection.server, connection.phone)
        } else {
            (connection.phone, connection.server)
        };
        connection.last = connection.last.max(arrival);
        let (due, near) = (connection.last, connection.near);
        let line = Line::Sent {
            from,
            to,
            bytes: bytes.clone(),
        };
        self.transcript.push((now(), line));
        self.deliver(due, from, to, Content::Message { over, near, bytes });
        true
    }

    fn close(&mut self, over: ConnectionId) {
        let arrival = self.arrival();
        let Some(connection) = self.connections.get_mut(&over).filter(|connection| connection.open) else {
            return;
        };
        connection.open = false;
        let due = connection.last.max(arrival);
        let (phone, server, near) = (connection.phone, connection.server, connection.near);
        let line = Line::Text(format!("{phone}: the connection from {near} ends"));
        self.transcript.push((now(), line));
        self.deliver(due, server, phone, Content::Closed { over, near });
        self.deliver(due, phone, server, Content::Closed { over, near });
    }

    fn deliver(&mut self, due: Instant, from: SocketAddr, to: SocketAddr, content: Content) {
        self.sent += 1;
        self.under_way.insert((due, self.sent), Packet { from, to, content });
    }

    fn arrival(&mut self) -> Instant {
        let jitter_ms = self.rng.random_range(0..=self.weather.jitter_ms);
        now() + Duration::from_millis(self.weather.latency_ms + jitter_ms)
    }
}

/// What a server sends from.
pub struct Socket {
    wire: Arc<Wire>,
    address: SocketAddr,
}

impl Network for Socket {
    fn send(&self, batch: &mut Vec<(Flow, Bytes)>) -> Vec<Flow> {
        let mut dead = Vec::new();
        for (flow, bytes) in batch.drain(..) {
            let gone = match flow.transport {
                Transport::Udp => {
                    let refused = self.wire.inner().closed.contains(&flow.peer);
                    self.wire.put(self.address, flow.peer, bytes);
                    refused
                }
                Transport::Tcp => {
                    let connection = flow.connection.or_else(|| self.connection_to(flow.peer));
                    !connection.is_some_and(|connection| self.wire.send(connection, true, bytes))
                }
            };
            if gone && !dead.contains(&flow) {
                dead.push(flow);
            }
        }
        dead
    }

    fn close(&self, flow: &Flow) {
        if let Some(connection) = flow.connection {
            self.wire.close(connection);
        }
    }
}

impl Socket {
    /// Phones take no connections; one that is open is used.
    fn connection_to(&self, near: SocketAddr) -> Option<ConnectionId> {
        let is_it = |connection: &Connection| connection.server == self.address && connection.near == near;
        self.wire.inner().connections_of(is_it).pop()
    }
}
