//! SIP over TCP: an accept loop and a task per connection.
//!
//! What comes is cut into messages and given to a [`StreamSink`]. What goes out is queued at the connection the flow names, or at one that
//! is open to the peer, or at a new one. Connections are numbered over the whole process and a number is never used again.
//!
//! Invariants: connections are limited in all and per source; every queue is bounded, and a peer that does not read loses its connection
//! rather than our memory; every silence has a deadline; each connection that was given a number ends in one [`StreamEvent::Closed`].
//! Not here: TLS, and any knowledge of what the messages mean.

mod connection;
mod table;

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use tandem_sip::flow::{ConnectionId, Flow, ListenerId, Transport};
use tandem_sip::message::Message;

use self::connection::Connection;
use self::table::{Inbox, Outbox, Table};
use super::counters::StreamCounters;

/// Limits and deadlines of a listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcpConfig {
    /// Connections open at a time, in both directions.
    pub max_connections: usize,
    /// Of these, from or to one address (an IPv6 address counts as its /64).
    pub max_per_source: usize,
    /// How soon after connecting a peer must have sent a whole message.
    pub first_message_timeout: Duration,
    /// How long a message may take from its first byte to its last.
    pub message_timeout: Duration,
    /// Bytes of unfinished messages that are held for all connections together; the connection that would exceed it is closed.
    pub max_unfinished_bytes: usize,
    /// How long a peer may send nothing at all. Phones behind NAT send keep-alives every few minutes at most.
    pub idle_timeout: Duration,
    /// How long a peer may take nothing of what is written to it.
    pub write_timeout: Duration,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// Messages that wait to be written to one connection.
    pub max_queued_messages: usize,
    /// Their bytes.
    pub max_queued_bytes: usize,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            max_connections: 20_000,
            max_per_source: 1_000,
            first_message_timeout: Duration::from_secs(30),
            message_timeout: Duration::from_secs(10),
            max_unfinished_bytes: 64 << 20,
            idle_timeout: Duration::from_secs(3600),
            write_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            max_queued_messages: 1_024,
            max_queued_bytes: 1 << 20,
        }
    }
}

/// What happened at a listener or one of its connections.
#[derive(Clone, Debug)]
pub enum StreamEvent {
    /// A whole message came.
    Message {
        /// From where; the connection is always named.
        flow: Flow,
        /// The message.
        message: Message,
    },
    /// A connection ended, or could not be opened. Nothing comes from it after this.
    Closed {
        /// Which; the connection is always named.
        flow: Flow,
        /// Why.
        reason: CloseReason,
    },
}

/// Takes what the connections bring, on their runtime's threads. It must neither block nor queue without a bound.
pub type StreamSink = Arc<dyn Fn(StreamEvent) + Send + Sync>;

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseReason {
    /// The peer closed it.
    Peer,
    /// The network did.
    Reset,
    /// We did, on request or at shutdown.
    Local,
    /// The peer sent nothing for [`TcpConfig::idle_timeout`].
    Idle,
    /// The peer connected and sent no message.
    NoMessage,
    /// A message began and did not end.
    HalfMessage,
    /// The stream is not SIP; it was answered with 400 or 413 where that was possible.
    Malformed,
    /// The peer did not read.
    SlowPeer,
    /// It could not be opened.
    ConnectFailed,
    /// [`TcpConfig::max_connections`]; such a connection has no number and no event.
    TooMany,
    /// [`TcpConfig::max_per_source`]; likewise.
    TooManyFromSource,
}

impl CloseReason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Peer,
        Self::Reset,
        Self::Local,
        Self::Idle,
        Self::NoMessage,
        Self::HalfMessage,
        Self::Malformed,
        Self::SlowPeer,
        Self::ConnectFailed,
        Self::TooMany,
        Self::TooManyFromSource,
    ];

    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Reset => "reset",
            Self::Local => "local",
            Self::Idle => "idle",
            Self::NoMessage => "no_message",
            Self::HalfMessage => "half_message",
            Self::Malformed => "malformed",
            Self::SlowPeer => "slow_peer",
            Self::ConnectFailed => "connect_failed",
            Self::TooMany => "too_many",
            Self::TooManyFromSource => "too_many_from_source",
        }
    }
}

/// Why a message could not be queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SendError {
    /// The connection that the flow names is gone. A response may be sent again without naming it (RFC 3261 s.18.2.2).
    #[error("the connection is closed")]
    Closed,
    /// The peer does not read; its connection was ended.
    #[error("the peer does not read")]
    SlowPeer,
    /// A new connection would exceed a limit.
    #[error("too many connections")]
    TooManyConnections,
}

/// One TCP listener. Dropping it ends its connections.
#[derive(Debug)]
pub struct TcpTransport {
    sender: TcpSender,
    accepting: JoinHandle<()>,
}

/// Sends on the connections of a listener, and opens them. Cheap to clone, for any thread.
#[derive(Clone)]
pub struct TcpSender(Arc<Shared>);

struct Shared {
    listener: ListenerId,
    local: SocketAddr,
    config: TcpConfig,
    sink: StreamSink,
    runtime: Handle,
    counters: StreamCounters,
    table: Mutex<Table>,
    /// Bytes of unfinished messages.
    unfinished: AtomicUsize,
}

impl TcpTransport {
    /// Binds the socket and starts to accept. To be called within a tokio runtime, which serves the connections.
    pub fn bind(listener: ListenerId, addr: SocketAddr, config: TcpConfig, sink: StreamSink) -> io::Result<Self> {
        let socket = open_listener(addr)?;
        let acceptor = TcpListener::from_std(socket.into())?;
        let shared = Arc::new(Shared {
            listener,
            local: acceptor.local_addr()?,
            config,
            sink,
            runtime: Handle::try_current().map_err(io::Error::other)?,
            counters: StreamCounters::new("tcp"),
            table: Mutex::default(),
            unfinished: AtomicUsize::new(0),
        });
        let accepting = shared.runtime.spawn(accept(acceptor, Arc::clone(&shared)));
        Ok(Self {
            sender: TcpSender(shared),
            accepting,
        })
    }

    /// The address the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.sender.0.local
    }

    /// The way out.
    pub fn sender(&self) -> TcpSender {
        self.sender.clone()
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.accepting.abort();
        self.sender.0.table().kill_all(CloseReason::Local);
    }
}

impl TcpSender {
    /// Queues one whole message: at the connection the flow names; where it names none, at one that is open to the peer, else at a new one
    /// (which may fail later: [`StreamEvent::Closed`]). Never waits. Gives back the connection.
    pub fn send(&self, flow: &Flow, bytes: Bytes) -> Result<ConnectionId, SendError> {
        let mut table = self.0.table();
        if let Some(id) = flow.connection.or_else(|| table.open_to(flow.peer)) {
            return table.push(id, bytes).map(|()| id);
        }
        let entered = self
            .0
            .enter(&mut table, flow.peer)
            .map_err(|_| SendError::TooManyConnections)?;
        let id = entered.id();
        let queued = table.push(id, bytes).map(|()| id);
        // A runtime that is shutting down drops the task, which then looks for the table.
        drop(table);
        self.0.runtime.spawn(entered.connect());
        queued
    }

    /// Closes a connection after what is queued for it.
    pub fn close(&self, id: ConnectionId) {
        self.0.table().finish(id);
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.0.table().len()
    }

    /// The address of the listening socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local
    }
}

impl std::fmt::Debug for TcpSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpSender")
            .field("listener", &self.0.listener)
            .field("local", &self.0.local)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// A panic while it was held cannot leave the table half changed in a way that matters more than the other connections.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, table: &mut Table, peer: SocketAddr) -> Result<Entered, CloseReason> {
        let id = next_connection_id();
        let (outbox, inbox) = Outbox::new(&self.config);
        let (kill, killed) = oneshot::channel();
        let admitted = table.admit(id, peer, outbox.clone(), kill, &self.config);
        admitted.inspect_err(|reason| self.counters.refused(*reason))?;
        self.counters.opened();
        let flow = Flow {
            transport: Transport::Tcp,
            listener: self.listener,
            peer,
            connection: Some(id),
        };
        Ok(Entered {
            leave: Leave {
                shared: Arc::clone(self),
                flow,
                reason: CloseReason::Local,
            },
            outbox,
            inbox,
            killed,
        })
    }
}

/// A connection that has its number and its place in the table.
struct Entered {
    leave: Leave,
    outbox: Outbox,
    inbox: Inbox,
    killed: oneshot::Receiver<CloseReason>,
}

impl Entered {
    fn id(&self) -> ConnectionId {
        self.leave.flow.connection.unwrap_or(ConnectionId(0))
    }

    async fn serve(self, stream: TcpStream, incoming: bool) {
        let Self {
            mut leave,
            outbox,
            inbox,
            killed,
        } = self;
        set_options(&stream, leave.shared.config.write_timeout);
        let shared = Arc::clone(&leave.shared);
        let connection = Connection {
            flow: leave.flow,
            incoming,
            config: &shared.config,
            sink: &shared.sink,
            outbox,
            unfinished: &shared.unfinished,
        };
        leave.reason = connection.run(stream, inbox, killed).await;
    }

    async fn connect(mut self) {
        let shared = Arc::clone(&self.leave.shared);
        let peer = self.leave.flow.peer;
        match timeout(shared.config.connect_timeout, connect(shared.local, peer)).await {
            Ok(Ok(stream)) => self.serve(stream, false).await,
            failed => {
                tracing::debug!(%peer, timeout = failed.is_err(), "a connection could not be opened");
                self.leave.reason = CloseReason::ConnectFailed;
            }
        }
    }
}

/// Takes the connection out of the table and says so, however its task ends, a panic or the end of the runtime included.
struct Leave {
    shared: Arc<Shared>,
    flow: Flow,
    reason: CloseReason,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let removed = self.flow.connection.is_some_and(|id| self.shared.table().remove(id));
        if removed {
            self.shared.counters.closed(self.reason);
            let event = StreamEvent::Closed {
                flow: self.flow,
                reason: self.reason,
            };
            // A second panic while the first unwinds would end the process.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.shared.sink)(event)));
        }
    }
}

async fn accept(acceptor: TcpListener, shared: Arc<Shared>) {
    // Said once when it begins and once when it is over; the counter goes on.
    let mut failing = false;
    loop {
        match acceptor.accept().await {
            Ok((stream, peer)) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(listener = shared.listener.0, "connections are accepted again");
                }
                let entered = shared.enter(&mut shared.table(), peer);
                if let Ok(entered) = entered {
                    shared.runtime.spawn(entered.serve(stream, true));
                }
            }
            // A peer that gave up before it was accepted must not hold up the others.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Out of descriptors, most likely: those that are open go on, and the next one waits a little.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, listener = shared.listener.0, "no connection can be accepted");
                }
                shared.counters.accept_failed.increment(1);
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connect(local: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = if peer.is_ipv6() {
        TcpSocket::new_v6()?
    } else {
        TcpSocket::new_v4()?
    };
    // From the address that stands in our Via, so that the peer sees one of us.
    if !local.ip().is_unspecified() && local.is_ipv6() == peer.is_ipv6() {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    socket.connect(peer).await
}

/// What makes a connection prompt, and finds out that its peer is gone without a word. None of it is worth refusing a call for.
fn set_options(stream: &TcpStream, user_timeout: Duration) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_user_timeout(Some(user_timeout));
}

fn open_listener(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(4_096)?;
    Ok(socket)
}

/// One count for all listeners of the process.
fn next_connection_id() -> ConnectionId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed))
}
