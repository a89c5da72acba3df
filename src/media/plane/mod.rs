//! The media plane: the threads that carry the packets.
//!
//! ```text
//! Plane (handle, any thread)                                        pump thread 1..n
//!   open: binds the pair, in the caller's thread   --Open-->    Pump: epoll, recvmmsg, sendto, the 20 ms, orders
//!   set, hear, digits, close, rehome               --orders->   Floor: the ports
//!   stats                                          <-counters--   packet: whose is it (latch), relay at once (stamp)
//!   sink(PlaneEvent)                               <-events----   route, scene: who hears whom; tick: mix, code, send
//!   files: prompts, loaded on a thread of their own               control: RTCP
//! ```
//!
//! A *port* is a pair of UDP sockets, RTP and RTCP, and what one device sends and is sent there. A *session* (a conference) has its ports on one
//! thread, chosen by its number, so nothing is shared between threads and no packet ever changes its thread. Orders come over bounded channels;
//! a port that is not known (any more) is silently left alone, as orders and ends cross.
//!
//! # What a port's device is sent
//! | it hears | it is sent |
//! |---|---|
//! | one port, of the same codec and with packets as it takes them | those packets, at once, as our own stream: our SSRC, sequence numbers and timestamps without a seam (`stamp`), RFC 4733 events included |
//! | one port of another codec, or digits of ours meanwhile | decoded, coded, sent every 20 ms; events are made again |
//! | several ports, music, tones, files | their mix; listeners that hear the same share one encoded payload (`scene`) |
//! | nothing, or a device that sends nothing | a packet of silence every few seconds, so that NATs stay open |
//!
//! Changes from one row to another are seamless for the device: one SSRC for the life of the port, also over [`Plane::rehome`].
//!
//! # Strangers
//! A port takes packets from the address that was signalled, and what else the policy lets it learn (`latch`); from nobody before it is told an
//! address. Everything else is counted and dropped: other sources, an SSRC that is injected, what is no RTP (STUN and DTLS too), payload types that
//! were not agreed. A port from which more comes than any device sends is left alone for the rest of the 20 ms, so a flood costs the others nothing but
//! the kernel's part of it.
//!
//! # Faults
//! A panic in a pump thread costs the port that was being served ([`PlaneEventKind::Lost`]), and every port of that thread where that is not known;
//! the thread goes on. After a hundred panics the thread is given up: its ports are lost, and [`Plane::open`] says [`OpenError::Stopped`] for its
//! sessions. A thread that does not keep up with its orders refuses new ports first ([`OpenError::Busy`]); an order that finds its queue full is lost,
//! with an error in the log.
//!
//! # Another process, another owner
//! A port that is dropped by who had it, and not closed, is *left*: it lives for five seconds, and whoever restores its conference takes it over. After
//! a kill the next plane opens it again at the same address ([`Plane::reopen`]): same SSRC, sequence numbers and timestamps ahead of what was sent
//! (`stream`), for which a file says once a second where each stream is (`marks`).
//!
//! # Figures
//! `examples/plane_relay.rs` and `examples/plane_conference.rs` measure them. On two cores that were busy with other work, generator and all: 4.0 to
//! 4.8 us of CPU to take and send on a packet of G.711 with 1,200 calls up (5.7 us with 400, as fewer come at once), which is 0.48 to 0.58 of a core
//! at their 120,000 packets a second, a rate that the generator did not reach there. Most of it is the kernel's. A pace of 0.5, 1 or 2 ms makes no
//! difference that shows above the noise when a thread is busy. With 600 calls
//! and a load average of 16 on the two cores, packets came back after 30 to 72 ms at the median and 311 to 397 ms at the 99th percentile without
//! real-time priority (`priority`), after 0.03 ms and 8 to 18 ms with it, the generator's own waiting included; as fewer come at once then, each costs
//! 12 to 13 us instead of 6 to 8. A conference of
//! 100 who all speak: 0.05 to 0.06 % of a core for each.
//!
//! What it does not do: SRTP, ICE, recording; and no decision about who hears whom.

mod control;
mod event;
mod files;
mod floor;
mod kernel;
mod keys;
mod latch;
mod line;
mod marks;
mod music;
mod packet;
mod pairs;
mod player;
mod priority;
mod pump;
mod route;
mod scene;
mod settings;
mod stamp;
mod stats;
mod stream;
mod tick;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

pub use event::{OpenError, PlaneEvent, PlaneEventKind, Port, PortId, PortReport, PortRestore, Source};
pub use latch::SymmetricRtp;
pub use music::Music;
pub use priority::Priority;
pub use settings::PlaneSettings;
pub use stats::PlaneStats;
pub use stream::StreamMark;

use crate::endpoint::PortSettings;
use files::Files;
use floor::Floor;
use line::Line;
use marks::Marks;
use music::Shelf;
use pairs::{Lease, Pairs};
use pump::Pump;
use wire::{Order, PortOrder, Wire};

/// Where the ports are.
type Homes = Mutex<HashMap<PortId, Home>>;

/// What the handle knows of a port.
#[derive(Clone, Copy, Debug)]
struct Home {
    thread: usize,
    session: u64,
    port: Port,
    /// Whoever had it is gone, and nobody has taken it over yet.
    is_left: bool,
}

/// Whom events go to.
type Sink = Arc<dyn Fn(PlaneEvent) + Send + Sync>;

/// The handle of a running plane. Its clones are the same plane, which stops when the last one is dropped.
#[derive(Clone)]
pub struct Plane {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Arc<PlaneSettings>,
    music: Arc<Shelf>,
    wires: Vec<Arc<Wire>>,
    homes: Arc<Homes>,
    pairs: Arc<Pairs>,
    files: Files,
    marks: Marks,
    next: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Plane {
    /// Starts the threads. `sink` is called on them: it must not block.
    pub fn start(settings: PlaneSettings, sink: impl Fn(PlaneEvent) + Send + Sync + 'static) -> io::Result<Self> {
        let count = match settings.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let music = Arc::new(Shelf::new(settings.music.clone()));
        let settings = Arc::new(settings);
        let (homes, sink): (Arc<Homes>, Sink) = (Arc::default(), Arc::new(sink));
        // One clock, so that what a port knows of times stays true when it moves.
        let started = Instant::now();
        let (mut wires, mut threads) = (Vec::new(), Vec::new());
        for index in 0..count {
            let wire = Wire::new()?;
            let floor = Floor::new(settings.clone(), music.clone(), homes.clone(), sink.clone());
            let pump = Pump::new(wire.clone(), floor, started)?;
            let name = format!("media-{index}");
            threads.push(thread::Builder::new().name(name).spawn(move || pump::serve(pump))?);
            wires.push(wire);
        }
        let files = Files::start(settings.prompts.clone(), homes.clone(), wires.clone())?;
        // Made now, not on the thread that wants it first.
        music.music().of(None);
        let pairs = Arc::new(Pairs::new(settings.bind, &settings.ports));
        let marks = Marks::start(settings.marks.clone(), &pairs, &wires)?;
        let shared = Shared {
            settings,
            music,
            wires,
            homes,
            pairs,
            files,
            marks,
            next: AtomicU64::new(1),
            threads: Mutex::new(threads),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Music that begins from now on is of this. Who hears music goes on hearing what began.
    pub fn change_music(&self, music: Music) {
        // Made here, not on the thread that wants it first.
        music.of(None);
        self.shared.music.exchange(music);
    }

    /// Opens a port of a session, in the caller's thread: when this returns, packets have a place to come to. Events name `owner`.
    pub fn open(&self, session: u64, owner: u64) -> Result<Port, OpenError> {
        let shared = &*self.shared;
        shared.ready(session)?;
        let lease = shared
            .pairs
            .lease(shared.settings.receive_buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AddrNotAvailable => OpenError::NoPort,
                _ => OpenError::Socket(error),
            })?;
        let stream = StreamMark::first(lease.random, stream::unix_now_us());
        self.begin(session, owner, lease, stream, None)
    }

    /// Opens a port again that this session had in a process that is gone: at the same address, its stream goes on ahead of anything that was
    /// sent. A port that lives on in this plane, because only its owner is gone, is taken over as it is.
    pub fn reopen(&self, session: u64, owner: u64, restore: PortRestore) -> Result<Port, OpenError> {
        let shared = &*self.shared;
        let local = restore.local;
        if local.ip() != shared.address() {
            return Err(OpenError::Elsewhere { local });
        }
        if let Some(port) = self.take_over(session, owner, local)? {
            return Ok(port);
        }
        shared.ready(session)?;
        let lease = shared
            .pairs
            .lease_again(local.port(), shared.settings.receive_buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AddrNotAvailable => OpenError::Elsewhere { local },
                io::ErrorKind::AddrInUse => OpenError::Taken { local },
                _ => OpenError::Socket(error),
            })?;
        let now_us = stream::unix_now_us();
        let (stream, learned) = match shared.marks.take(local.port(), restore.stream.ssrc) {
            Some(mark) => (mark.stream.followed(now_us), mark.learned),
            None => (restore.stream.resumed(now_us), None),
        };
        self.begin(session, owner, lease, stream, learned)
    }

    /// The living port of that address, where it is this session's.
    fn take_over(&self, session: u64, owner: u64, local: SocketAddr) -> Result<Option<Port>, OpenError> {
        let mut homes = self.shared.homes();
        let Some(home) = homes.values_mut().find(|home| home.port.local == local) else {
            return Ok(None);
        };
        if home.session != session {
            return Err(OpenError::Taken { local });
        }
        let wire = self.shared.wires.get(home.thread).ok_or(OpenError::Stopped)?;
        wire.give(Order::Port(home.port.id, PortOrder::TakeOver(owner)))
            .map_err(|_| OpenError::Busy)?;
        home.is_left = false;
        Ok(Some(home.port))
    }

    fn begin(
        &self,
        session: u64,
        owner: u64,
        lease: Lease,
        stream: StreamMark,
        learned: Option<SocketAddr>,
    ) -> Result<Port, OpenError> {
        let shared = &*self.shared;
        let thread = shared.home_of(session);
        let wire = shared.wires.get(thread).ok_or(OpenError::Stopped)?;
        if let Some(dscp) = shared.settings.dscp {
            // Where the system does not want it, the call is no worse than without.
            let (socket, class) = (socket2::SockRef::from(&lease.rtp), u32::from(dscp) << 2);
            let _ = match shared.settings.bind {
                IpAddr::V4(_) => socket.set_tos_v4(class),
                IpAddr::V6(_) => socket.set_tclass_v6(class),
            };
        }
        let id = PortId(shared.next.fetch_add(1, Ordering::Relaxed));
        let local = SocketAddr::new(shared.address(), lease.port());
        let port = Port { id, local, stream };
        shared.homes().insert(
            id,
            Home {
                thread,
                session,
                port,
                is_left: false,
            },
        );
        let mut line = Box::new(Line::new(id, owner, session, lease, &stream));
        line.learned = learned;
        if wire.give(Order::Open(line)).is_err() {
            shared.homes().remove(&id);
            return Err(OpenError::Busy);
        }
        Ok(port)
    }

    /// How the port is to send and receive from now on.
    pub fn set(&self, port: PortId, settings: PortSettings) {
        self.order(port, PortOrder::Set(Box::new(settings)));
    }

    /// What the port's device hears from now on: these, mixed; nothing: silence.
    pub fn hear(&self, port: PortId, sources: Vec<Source>) {
        let files: Vec<Arc<str>> = sources.iter().filter_map(file_of).cloned().collect();
        self.order(port, PortOrder::Hear(sources));
        for name in files {
            if let Some(loaded) = self.shared.files.find(port, &name) {
                self.order(port, loaded);
            }
        }
    }

    /// Lets the port's device hear these digits (0-9 * # A-D, `,` for a pause), after those that it still waits for.
    pub fn digits(&self, port: PortId, digits: Arc<str>) {
        self.order(port, PortOrder::Digits(digits));
    }

    /// Closes the port. [`PlaneEventKind::Closed`] follows.
    pub fn close(&self, port: PortId) {
        self.order(port, PortOrder::Close);
        self.shared.homes().remove(&port);
    }

    /// Whoever has the port is gone. It lives on for five seconds, to be taken over with [`Self::reopen`], and is closed then.
    pub fn leave(&self, port: PortId) {
        if let Some(home) = self.shared.homes().get_mut(&port) {
            home.is_left = true;
        }
        self.order(port, PortOrder::Leave);
    }

    /// The port belongs to that session and owner from now on; what it sends goes on without a seam.
    pub fn rehome(&self, port: PortId, session: u64, owner: u64) {
        let shared = &*self.shared;
        let home = shared.home_of(session);
        // Held until both threads know, so that nothing overtakes.
        let mut homes = shared.homes();
        let Some(now) = homes.get_mut(&port) else { return };
        let (Some(from), Some(to)) = (shared.wires.get(now.thread), shared.wires.get(home)) else {
            return;
        };
        if now.thread != home && to.give(Order::Expect(port)).is_err() {
            return lost_order(port);
        }
        let away = (now.thread != home).then(|| to.clone());
        if from.give(Order::Rehome(port, session, owner, away)).is_err() {
            return lost_order(port);
        }
        (now.thread, now.session) = (home, session);
    }

    /// Counters of all threads.
    pub fn stats(&self) -> PlaneStats {
        let mut sum = PlaneStats::default();
        for wire in &self.shared.wires {
            wire.counters.add_to(&mut sum);
        }
        sum
    }

    /// Ports that are open now.
    pub fn open_ports(&self) -> usize {
        self.shared.pairs.in_use()
    }

    /// Stops the threads and waits for them. Ports end without a farewell. Not to be called from the sink.
    pub fn stop(&self) {
        self.shared.stop();
        let threads = std::mem::take(&mut *self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that crashed has said so.
            let _ = thread.join();
        }
    }

    fn order(&self, port: PortId, order: PortOrder) {
        let homes = self.shared.homes();
        let Some(wire) = homes.get(&port).and_then(|home| self.shared.wires.get(home.thread)) else {
            return;
        };
        if wire.give(Order::Port(port, order)).is_err() {
            lost_order(port);
        }
    }

    #[cfg(test)]
    pub(crate) fn crash(&self, port: PortId) {
        self.order(port, PortOrder::Panic);
    }
}

impl Shared {
    fn home_of(&self, session: u64) -> usize {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(session);
        (hash % self.wires.len().max(1) as u64) as usize
    }

    /// Whether the thread of that session takes another port.
    fn ready(&self, session: u64) -> Result<(), OpenError> {
        let wire = self.wires.get(self.home_of(session)).ok_or(OpenError::Stopped)?;
        if wire.is_stopped() {
            return Err(OpenError::Stopped);
        }
        if wire.is_busy() { Err(OpenError::Busy) } else { Ok(()) }
    }

    /// What devices are told.
    fn address(&self) -> IpAddr {
        self.settings.advertised.unwrap_or(self.settings.bind)
    }

    fn homes(&self) -> MutexGuard<'_, HashMap<PortId, Home>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        for wire in &self.wires {
            wire.stop();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}

fn file_of(source: &Source) -> Option<&Arc<str>> {
    match source {
        Source::File { name, .. } => Some(name),
        _ => None,
    }
}

fn lost_order(port: PortId) {
    tracing::error!(port = port.0, "a media thread does not keep up: an order is lost");
}
