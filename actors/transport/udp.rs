//! SIP over UDP: one socket and one thread per listener, datagrams by the batch.
//!
//! The thread waits for the socket, takes up to 64 datagrams with one call, and hands them to a [`DatagramSink`]. Sending happens on the
//! caller's thread, straight on the socket, through a [`UdpSender`] that any thread may hold.
//!
//! Invariants: a datagram that was cut off is never delivered; what is dropped is counted; a sink that panics costs its batch and not
//! the listener. Keep-alives are handled here. Not here: what is in a datagram, and who gets it.
//!
//! ```text
//!  wire ─► kernel buffer (4 MB) ─► recvmmsg ─► DatagramSink   listener thread
//!  wire ◄─ kernel buffer (4 MB) ◄─ sendmmsg ◄─ UdpSender      any thread
//!  ICMP ─► error queue ──────────► DatagramSink::unreachable  listener thread
//! ```

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};

use tandem_sip::flow::{Flow, ListenerId, Transport};

use super::counters::UdpCounters;
use super::keepalive::{self, KeepAlive};
use super::mmsg::{self, ReceiveBatch};

/// How often a datagram is offered again after an error that is most likely another's. A real one, no route, costs as many calls.
const MAX_RETRIES: u32 = 64;

/// How a listener is set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UdpConfig {
    /// Receive and send buffer of the socket in bytes; the default of the system, 208 KB, loses packets at 1,000 calls/s.
    pub socket_buffer: usize,
    /// The longest datagram that is read; longer ones are dropped. RFC 3261 s.18.1.1 asks for 65,535.
    pub max_datagram: usize,
    /// Datagrams taken at once.
    pub batch: usize,
    /// How long a send waits for room in the kernel's buffer before it gives the datagram up.
    pub send_wait: Duration,
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self {
            socket_buffer: 4 << 20,
            max_datagram: 65_535,
            batch: 64,
            send_wait: Duration::from_millis(10),
        }
    }
}

/// A datagram that came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Datagram {
    /// Where it came from and where the answer goes.
    pub flow: Flow,
    /// Its content, never empty.
    pub bytes: Bytes,
}

/// Takes what a listener receives, on the listener's thread. It must neither block nor queue without a bound.
pub trait DatagramSink: Send + 'static {
    /// A batch in the order of arrival; what is left in it is dropped.
    fn datagrams(&mut self, batch: &mut Vec<Datagram>);

    /// The network says that nobody listens there (ICMP). It may be forged: a hint to fail over, not a proof.
    fn unreachable(&mut self, flow: Flow) {
        let _ = flow;
    }
}

impl<F: FnMut(&mut Vec<Datagram>) + Send + 'static> DatagramSink for F {
    fn datagrams(&mut self, batch: &mut Vec<Datagram>) {
        self(batch);
    }
}

/// A datagram that could not be sent.
#[derive(Debug)]
pub struct SendFailure {
    /// Its place in the batch.
    pub index: usize,
    /// The peer.
    pub peer: SocketAddr,
    /// Why: `WouldBlock` where the kernel's buffer stayed full.
    pub error: io::Error,
}

/// One UDP listener. Dropping it stops its thread; senders that are still held go on sending.
#[derive(Debug)]
pub struct UdpTransport {
    sender: UdpSender,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

/// Sends on the socket of a listener. Cheap to clone, for any thread.
#[derive(Clone, Debug)]
pub struct UdpSender(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: Socket,
    listener: ListenerId,
    local: SocketAddr,
    send_wait: Duration,
    counters: UdpCounters,
}

impl UdpTransport {
    /// Binds the socket and starts the thread that reads it.
    pub fn bind(listener: ListenerId, addr: SocketAddr, config: &UdpConfig, sink: impl DatagramSink) -> io::Result<Self> {
        let socket = open_socket(addr, config)?;
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let counters = UdpCounters::new();
        let shared = Arc::new(Shared {
            socket,
            listener,
            local,
            send_wait: config.send_wait,
            counters,
        });
        let stop = mmsg::stop_signal()?;
        let reader = Reader {
            shared: Arc::clone(&shared),
            stop: stop.try_clone()?,
            batch: ReceiveBatch::new(config.batch.clamp(1, 1024), config.max_datagram.clamp(1, 65_535)),
            kernel_drops: 0,
            sink,
        };
        let thread = thread::Builder::new()
            .name(format!("sip-udp-{}", listener.0))
            .spawn(move || reader.run())?;
        Ok(Self {
            sender: UdpSender(shared),
            stop,
            thread: Some(thread),
        })
    }

    /// The address the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.sender.0.local
    }

    /// The way out.
    pub fn sender(&self) -> UdpSender {
        self.sender.clone()
    }

    /// Stops reading and waits for the thread.
    pub fn stop(self) {}
}

impl Drop for UdpTransport {
    fn drop(&mut self) {
        mmsg::signal(self.stop.as_fd());
        // A sink that drops its own listener must not wait for itself.
        if let Some(thread) = self.thread.take().filter(|t| t.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl UdpSender {
    /// Sends one datagram.
    pub fn send(&self, peer: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        match self.send_batch(&[(peer, bytes)]).pop() {
            Some(failure) => Err(failure.error),
            None => Ok(()),
        }
    }

    /// Sends datagrams in order with as few calls as the kernel allows; gives back those that could not be sent. Waits no longer than
    /// [`UdpConfig::send_wait`] in all.
    pub fn send_batch<B: AsRef<[u8]>>(&self, datagrams: &[(SocketAddr, B)]) -> Vec<SendFailure> {
        let socket = self.0.socket.as_fd();
        let mut failures = Vec::new();
        let (mut rest, mut index, mut deadline, mut retries) = (datagrams, 0, None, 0);
        while let Some((peer, _)) = rest.first() {
            let done = match mmsg::send(socket, rest) {
                Ok(sent) => sent.max(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.wait_for_room(&mut deadline) => continue,
                // With IP_RECVERR the kernel reports an ICMP error of an earlier datagram at whatever is sent next, once for each entry
                // of the error queue, also while the listener's thread empties it.
                Err(error) if is_unreachable(&error) && retries < MAX_RETRIES => {
                    retries += 1;
                    continue;
                }
                Err(error) => {
                    let reason = if error.kind() == io::ErrorKind::WouldBlock {
                        &self.0.counters.send_buffer
                    } else {
                        &self.0.counters.send_failed
                    };
                    reason.increment(1);
                    failures.push(SendFailure {
                        index,
                        peer: *peer,
                        error,
                    });
                    1
                }
            };
            retries = 0;
            index += done;
            rest = rest.get(done..).unwrap_or_default();
        }
        self.0.counters.sent.increment((datagrams.len() - failures.len()) as u64);
        failures
    }

    /// The address of the socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local
    }

    fn wait_for_room(&self, deadline: &mut Option<Instant>) -> bool {
        let now = Instant::now();
        let left = deadline.get_or_insert(now + self.0.send_wait).saturating_duration_since(now);
        // poll(2) counts whole milliseconds; the remainder is not worth a spin.
        left >= Duration::from_millis(1)
            && mmsg::wait(self.0.socket.as_fd(), true, None, Some(left)).is_ok_and(|ready| ready.writable)
    }
}

/// The listener's thread.
struct Reader<S> {
    shared: Arc<Shared>,
    stop: OwnedFd,
    batch: ReceiveBatch,
    /// The kernel's count when last looked at.
    kernel_drops: u32,
    sink: S,
}

impl<S: DatagramSink> Reader<S> {
    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let socket = shared.socket.as_fd();
        let mut datagrams = Vec::new();
        loop {
            match mmsg::wait(socket, false, Some(self.stop.as_fd()), None) {
                Ok(ready) if ready.stop => return,
                Ok(ready) => {
                    if ready.error {
                        self.report_unreachable(socket);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, listener = shared.listener.0, "poll of a UDP listener failed; it stops");
                    return;
                }
            }
            // Any other error is one of an earlier datagram of ours; the error queue says which.
            if self.batch.receive(socket).is_ok() {
                self.collect(&mut datagrams);
                if !datagrams.is_empty() {
                    guarded(&shared.counters, datagrams.len(), || self.sink.datagrams(&mut datagrams));
                    datagrams.clear();
                }
            }
        }
    }

    fn collect(&mut self, datagrams: &mut Vec<Datagram>) {
        let counters = &self.shared.counters;
        let mut received = 0;
        for datagram in self.batch.iter() {
            received += 1;
            if let Some(drops) = datagram.kernel_drops {
                counters
                    .receive_buffer
                    .increment(u64::from(drops.wrapping_sub(self.kernel_drops)));
                self.kernel_drops = drops;
            }
            let Some(peer) = datagram.peer else { continue };
            if datagram.truncated {
                counters.truncated.increment(1);
                continue;
            }
            match keepalive::of_datagram(datagram.bytes) {
                Some(KeepAlive::Ping) => {
                    let _ = UdpSender(Arc::clone(&self.shared)).send(peer, keepalive::PONG);
                }
                Some(KeepAlive::Silent) => {}
                None => datagrams.push(Datagram {
                    flow: self.shared.flow(peer),
                    bytes: Bytes::copy_from_slice(datagram.bytes),
                }),
            }
        }
        counters.received.increment(received);
    }

    fn report_unreachable(&mut self, socket: BorrowedFd<'_>) {
        while let Some((peer, error)) = mmsg::take_error(socket) {
            if let Some(peer) = peer.filter(|_| is_unreachable(&error)) {
                self.shared.counters.unreachable.increment(1);
                let flow = self.shared.flow(peer);
                guarded(&self.shared.counters, 0, || self.sink.unreachable(flow));
            }
        }
    }
}

impl Shared {
    fn flow(&self, peer: SocketAddr) -> Flow {
        Flow {
            transport: Transport::Udp,
            listener: self.listener,
            peer,
            connection: None,
        }
    }
}

fn guarded(counters: &UdpCounters, datagrams: usize, call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        counters.sink_panic.increment(datagrams as u64);
        tracing::error!(datagrams, "the sink of a UDP listener panicked; its batch is lost");
    }
}

fn open_socket(addr: SocketAddr, config: &UdpConfig) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    let wanted = config.socket_buffer;
    let value = libc::c_int::try_from(wanted).unwrap_or(libc::c_int::MAX);
    // The forced form passes the system's limit, and needs CAP_NET_ADMIN.
    if mmsg::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, value).is_err() {
        socket.set_recv_buffer_size(wanted)?;
    }
    if mmsg::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, value).is_err() {
        socket.set_send_buffer_size(wanted)?;
    }
    // The kernel doubles what it is asked for and says the doubled figure.
    let granted = socket.recv_buffer_size()? / 2;
    if granted < wanted {
        tracing::warn!(%addr, wanted, granted, "the receive buffer is smaller than configured: raise net.core.rmem_max");
    }
    mmsg::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    let (level, name) = if addr.is_ipv6() {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVERR)
    };
    mmsg::set_option(socket.as_fd(), level, name, 1)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN | libc::EACCES)
    )
}
