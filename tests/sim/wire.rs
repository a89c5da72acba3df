//! The network between the phones and the server, or its connectors: datagrams that take their time, get lost, or come twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tandem_actors::network::Network;
use tandem_actors::now;
use tandem_sip::flow::{Flow, ListenerId, Transport};
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

/// A datagram that has arrived.
pub struct Packet {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Bytes,
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
            listener: ListenerId(0),
            peer,
            connection: None,
        }
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
            inner.sent += 1;
            let key = (due, inner.sent);
            inner.under_way.insert(
                key,
                Packet {
                    from,
                    to,
                    bytes: bytes.clone(),
                },
            );
        }
        drop(inner);
        self.stirred.notify_one();
    }

    /// The next datagram that has arrived by now.
    pub fn arrived(&self) -> Option<Packet> {
        let mut inner = self.inner();
        while inner.under_way.first_key_value().is_some_and(|((due, _), _)| *due <= now()) {
            let (_, packet) = inner.under_way.pop_first()?;
            if !inner.dark.contains(&packet.to) && !inner.dark.contains(&packet.from) {
                return Some(packet);
            }
        }
        None
    }

    /// When the next datagram arrives.
    pub fn next(&self) -> Option<Instant> {
        self.inner().under_way.first_key_value().map(|((due, _), _)| *due)
    }

    /// Waits until something is put on the wire.
    pub async fn stirred(&self) {
        self.stirred.notified().await;
    }

    /// Takes a phone's link down or brings it back.
    pub fn set_dark(&self, phone: SocketAddr, dark: bool) {
        let mut inner = self.inner();
        if dark {
            inner.dark.insert(phone)
        } else {
            inner.dark.remove(&phone)
        };
    }

    /// Makes a phone's host refuse datagrams (ICMP port unreachable), or take them again.
    pub fn set_closed(&self, phone: SocketAddr, closed: bool) {
        let mut inner = self.inner();
        if closed {
            inner.closed.insert(phone)
        } else {
            inner.closed.remove(&phone)
        };
    }

    /// From now on nothing is lost and every link is up.
    pub fn clear_up(&self) {
        let mut inner = self.inner();
        inner.dark.clear();
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
        let cut = [from, to]
            .iter()
            .any(|end| self.dark.contains(end) || self.closed.contains(end));
        match self.weather {
            _ if cut => 0,
            weather if dice < weather.lost => 0,
            weather if dice < weather.lost + weather.doubled => 2,
            _ => 1,
        }
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
            if self.wire.inner().closed.contains(&flow.peer) && !dead.contains(&flow) {
                dead.push(flow);
            }
            self.wire.put(self.address, flow.peer, bytes);
        }
        dead
    }

    fn close(&self, _: &Flow) {}
}
