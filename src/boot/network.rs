//! The SIP sockets of the process behind the actors' [`Network`].

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tandem_actors::ingress::Ingress;
use tandem_actors::network::Network;
use tandem_actors::transport::{
    CloseReason, Datagram, DatagramSink, StreamEvent, TcpConfig, TcpSender, TcpTransport, UdpConfig, UdpSender, UdpTransport,
};
use tandem_config::{Config, Transport as ConfiguredTransport};
use tandem_sip::flow::{Flow, ListenerId, Transport};
use tandem_sip::ua::Listener;

/// Every SIP socket, bound. Dropping it closes them.
pub struct Sockets {
    udp: Vec<UdpTransport>,
    tcp: Vec<TcpTransport>,
    /// As peers reach them.
    pub listeners: Vec<Listener>,
    ingress: Arc<Entrance>,
}

/// A listener that could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// Where.
    pub bind: SocketAddr,
    /// The transport.
    pub transport: Transport,
    /// Why.
    pub error: io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "sip.listener: {}/{} cannot be bound: {}",
            self.bind, self.transport, self.error
        )
    }
}

impl Sockets {
    /// Binds every configured listener. Datagrams that come in before [`Self::open`] are dropped: SIP sends them again. What connections bring
    /// waits.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let ingress = Arc::new(Entrance::default());
        let mut sockets = Self {
            udp: Vec::new(),
            tcp: Vec::new(),
            listeners: Vec::new(),
            ingress: ingress.clone(),
        };
        for (index, listener) in config.sip.listener.iter().enumerate() {
            let id = ListenerId(u16::try_from(index).unwrap_or(u16::MAX));
            let (transport, local) = match listener.transport {
                ConfiguredTransport::Udp => (Transport::Udp, sockets.bind_udp(id, listener.bind, config)),
                ConfiguredTransport::Tcp => (Transport::Tcp, sockets.bind_tcp(id, listener.bind, config)),
            };
            let local = local.map_err(|error| BindError {
                bind: listener.bind,
                transport,
                error,
            })?;
            let advertised = listener.advertised.unwrap_or(local);
            sockets.listeners.push(Listener {
                id,
                transport,
                advertised,
            });
        }
        Ok(sockets)
    }

    fn bind_udp(&mut self, id: ListenerId, bind: SocketAddr, config: &Config) -> io::Result<SocketAddr> {
        let settings = UdpConfig {
            socket_buffer: config.sip.udp_buffer_bytes,
            ..UdpConfig::default()
        };
        let udp = UdpTransport::bind(id, bind, &settings, Inbound(self.ingress.clone()))?;
        let local = udp.local_addr();
        self.udp.push(udp);
        Ok(local)
    }

    fn bind_tcp(&mut self, id: ListenerId, bind: SocketAddr, config: &Config) -> io::Result<SocketAddr> {
        let settings = TcpConfig {
            max_connections: config.sip.tcp_max_connections,
            max_per_source: config.sip.tcp_max_connections_per_source,
            idle_timeout: Duration::from_secs(config.sip.tcp_idle_timeout_s),
            ..TcpConfig::default()
        };
        let ingress = self.ingress.clone();
        let tcp = TcpTransport::bind(id, bind, settings, Arc::new(move |event| ingress.stream_event(event)))?;
        let local = tcp.local_addr();
        self.tcp.push(tcp);
        Ok(local)
    }

    /// From now on what comes in goes to the actors.
    pub fn open(&self, ingress: Ingress) {
        self.ingress.open(ingress);
    }

    /// The way out.
    pub fn outbound(&self) -> Outbound {
        let mut outbound = Outbound::default();
        let (mut udp, mut tcp) = (self.udp.iter(), self.tcp.iter());
        for listener in &self.listeners {
            outbound.0.push(match listener.transport {
                Transport::Udp => udp.next().map(|udp| Sender::Udp(udp.sender())),
                Transport::Tcp => tcp.next().map(|tcp| Sender::Tcp(tcp.sender())),
            });
        }
        outbound
    }
}

/// The most that connections may bring before the actors are there.
const MAX_EARLY: usize = 65_536;

/// Where what comes in goes to the actors, once they are there. A message on a connection is not sent again by whoever sent it, and that a
/// connection is gone is told once: both wait, in their order.
#[derive(Default)]
struct Entrance {
    ingress: OnceLock<Ingress>,
    early: Mutex<Vec<StreamEvent>>,
}

impl Entrance {
    fn open(&self, ingress: Ingress) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        for event in early.drain(..) {
            stream_event(&ingress, event);
        }
        // Set once by the one who boots; a second time would change nothing.
        let _ = self.ingress.set(ingress);
    }

    fn stream_event(&self, event: StreamEvent) {
        if let Some(ingress) = self.ingress.get() {
            return stream_event(ingress, event);
        }
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        match self.ingress.get() {
            Some(ingress) => stream_event(ingress, event),
            None if early.len() < MAX_EARLY => early.push(event),
            None => {}
        }
    }
}

struct Inbound(Arc<Entrance>);

impl DatagramSink for Inbound {
    fn datagrams(&mut self, batch: &mut Vec<Datagram>) {
        if let Some(ingress) = self.0.ingress.get() {
            ingress.datagrams(batch.drain(..).map(|datagram| (datagram.flow, datagram.bytes)));
        }
    }

    fn unreachable(&mut self, flow: Flow) {
        if let Some(ingress) = self.0.ingress.get() {
            ingress.unreachable(flow);
        }
    }
}

fn stream_event(ingress: &Ingress, event: StreamEvent) {
    match event {
        StreamEvent::Message { flow, message } => {
            ingress.message(flow, message);
        }
        StreamEvent::Closed { flow, reason } => {
            if reason == CloseReason::Malformed {
                ingress.parse_error();
            }
            if let Some(connection) = flow.connection {
                ingress.closed(flow, connection);
            }
            if reason == CloseReason::ConnectFailed {
                // What was sent to it was sent to the address, before the connection had a number.
                ingress.unreachable(Flow {
                    connection: None,
                    ..flow
                });
            }
        }
    }
}

enum Sender {
    Udp(UdpSender),
    Tcp(TcpSender),
}

/// Sends on the sockets, by listener.
#[derive(Default)]
pub struct Outbound(Vec<Option<Sender>>);

impl Outbound {
    fn sender(&self, flow: &Flow) -> Option<&Sender> {
        self.0.get(usize::from(flow.listener.0))?.as_ref()
    }

    /// The run of datagrams at the start of `batch` that leave by the same socket goes out in one call.
    fn send_run(&self, batch: &[(Flow, Bytes)], dead: &mut Vec<Flow>) -> usize {
        let Some((first, bytes)) = batch.first() else { return 0 };
        match self.sender(first) {
            None => {
                dead.push(*first);
                1
            }
            Some(Sender::Tcp(tcp)) => {
                if tcp.send(first, bytes.clone()).is_err() {
                    dead.push(*first);
                }
                1
            }
            Some(Sender::Udp(udp)) => {
                let run = batch.iter().take_while(|(flow, _)| flow.listener == first.listener);
                let datagrams: Vec<_> = run.map(|(flow, bytes)| (flow.peer, bytes.clone())).collect();
                for failure in udp.send_batch(&datagrams) {
                    // A full buffer is like a loss in the network: it will be sent again.
                    if failure.error.kind() != io::ErrorKind::WouldBlock {
                        dead.extend(batch.get(failure.index).map(|(flow, _)| *flow));
                    }
                }
                datagrams.len()
            }
        }
    }
}

impl Network for Outbound {
    fn send(&self, batch: &mut Vec<(Flow, Bytes)>) -> Vec<Flow> {
        let mut dead = Vec::new();
        let mut sent = 0;
        while sent < batch.len() {
            sent += self.send_run(&batch[sent..], &mut dead).max(1);
        }
        batch.clear();
        dead
    }

    fn close(&self, flow: &Flow) {
        if let (Some(Sender::Tcp(tcp)), Some(connection)) = (self.sender(flow), flow.connection) {
            tcp.close(connection);
        }
    }
}
