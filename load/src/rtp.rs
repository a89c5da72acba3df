//! RTP of the phones: every live leg sends 20 ms of PCMU from the port it described to the port the other side did, and counts
//! what comes.
//!
//! One thread serves all legs: each has a slot of 2 ms within the 20, so packets leave evenly without a timer per leg.
//! Invariant: a leg that was stopped sends no more, so after a moment `sent` and `received` of a run are comparable: the
//! difference is loss. Content is silence with a stamp in it ([`stamp`]), from which the receiving leg knows what it missed, what came
//! twice, and how long the way took; the time of arrival is the kernel's. Nothing is decoded. What is sent to a port of another leg goes
//! past the server, and is counted apart.

mod leg;
mod ports;
mod receive;
mod stamp;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::stats::{Latency, SmallLatency};
use leg::Legs;
pub use leg::{LegByLeg, Line};
pub use ports::Ports;
use receive::Batch;
use stamp::{Arrival, Heard, Stamp};

/// Number of slots of [`SLOT`] in a frame.
const SLOTS: u64 = 10;
const SLOT: Duration = Duration::from_millis(2);

/// Orders to the thread.
enum Order {
    Open(u64, Ports),
    Start(u64, SocketAddr),
    Stop(u64),
    Close(u64),
}

/// Packets of the run, both directions.
#[derive(Default)]
pub struct Counts {
    /// Sent.
    pub sent: AtomicU64,
    /// Those of them that went to the server, and not straight to another phone.
    pub through_server: AtomicU64,
    /// Received.
    pub received: AtomicU64,
    /// Legs that sent and never received anything.
    pub deaf: AtomicU64,
    /// Packets that came more than once.
    pub repeated: AtomicU64,
    /// Packets that came without a stamp: the server's own, or coded again on the way.
    pub unstamped: AtomicU64,
    /// Legs that are closed and missed packets between others.
    pub lossy: AtomicU64,
    /// Packets that the worst of them missed.
    pub worst: AtomicU64,
    /// From the sender's call to the receiver's kernel.
    latency: Mutex<Latency>,
    /// Legs that are closed.
    legs: Mutex<Legs>,
}

impl Counts {
    /// The legs that are closed.
    pub fn legs(&self) -> LegByLeg {
        self.legs.lock().unwrap_or_else(PoisonError::into_inner).told()
    }

    /// From the sender's call to the receiver's kernel.
    pub fn latency(&self) -> Latency {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The thread's handle. Dropping it ends the thread.
pub struct Rtp {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    /// What was counted so far.
    pub counts: Arc<Counts>,
}

impl Rtp {
    /// Starts the thread.
    pub fn start() -> Self {
        // Bounded by four orders per leg; a full channel makes the phones wait, which only happens when the machine is saturated.
        let (orders, from) = sync_channel(65_536);
        let counts = Arc::new(Counts::default());
        let shared = counts.clone();
        let thread = std::thread::spawn(move || Pump::new(shared).run(&from));
        Self {
            orders: Some(orders),
            thread: Some(thread),
            counts,
        }
    }

    /// A new leg with its ports.
    pub fn open(&self, leg: u64, ports: Ports) {
        self.order(Order::Open(leg, ports));
    }

    /// The leg begins to send there.
    pub fn send_to(&self, leg: u64, to: SocketAddr) {
        self.order(Order::Start(leg, to));
    }

    /// The leg stops sending, and goes on counting.
    pub fn stop(&self, leg: u64) {
        self.order(Order::Stop(leg));
    }

    /// The leg is gone.
    pub fn close(&self, leg: u64) {
        self.order(Order::Close(leg));
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // An error means that the thread is gone, and with it whatever was counted: the report shows it.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Rtp {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Leg {
    ports: Ports,
    to: Option<SocketAddr>,
    /// It sends to the server, and not to another leg.
    to_server: bool,
    sent: u32,
    through_server: u64,
    heard: Heard,
    latency: SmallLatency,
}

struct Pump {
    slots: Vec<HashMap<u64, Leg>>,
    /// The ports of the legs.
    own: HashSet<SocketAddr>,
    batch: Batch,
    counts: Arc<Counts>,
}

impl Pump {
    fn new(counts: Arc<Counts>) -> Self {
        let slots = (0..SLOTS).map(|_| HashMap::new()).collect();
        let batch = Batch::new();
        Self {
            slots,
            own: HashSet::new(),
            batch,
            counts,
        }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        let start = Instant::now();
        for turn in 0_u32.. {
            loop {
                match orders.try_recv() {
                    Ok(order) => self.obey(order),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            let slot = u64::from(turn) % SLOTS;
            for (key, leg) in self.slots.get_mut(slot as usize).into_iter().flatten() {
                leg.turn(*key, &mut self.batch, &self.counts);
            }
            let due = start + SLOT * (turn + 1);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    fn obey(&mut self, order: Order) {
        let (Order::Open(key, _) | Order::Start(key, _) | Order::Stop(key) | Order::Close(key)) = &order;
        let key = *key;
        let Some(slot) = self.slots.get_mut((key % SLOTS) as usize) else {
            return;
        };
        match order {
            Order::Open(_, ports) => {
                // Without the kernel's time the latency of its packets is not known; that is not worth a call.
                let _ = receive::time(&ports.rtp);
                self.own.insert(ports.addr);
                let leg = Leg {
                    ports,
                    to: None,
                    to_server: false,
                    sent: 0,
                    through_server: 0,
                    heard: Heard::default(),
                    latency: SmallLatency::default(),
                };
                slot.insert(key, leg);
            }
            Order::Start(_, to) => {
                if let Some(leg) = slot.get_mut(&key) {
                    (leg.to, leg.to_server) = (Some(to), !self.own.contains(&to));
                }
            }
            Order::Stop(_) => {
                if let Some(leg) = slot.get_mut(&key) {
                    leg.to = None;
                }
            }
            Order::Close(_) => {
                if let Some(mut leg) = slot.remove(&key) {
                    self.own.remove(&leg.ports.addr);
                    leg.receive(&mut self.batch, &self.counts);
                    leg.close(key, &self.counts);
                }
            }
        }
    }
}

impl Leg {
    fn turn(&mut self, key: u64, batch: &mut Batch, counts: &Counts) {
        if let Some(to) = self.to {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let stamp = Stamp {
                leg: key,
                count: self.sent.wrapping_add(1),
                at_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            };
            if self.ports.rtp.send_to(&stamp.packet(), to).is_ok() {
                self.sent = stamp.count;
                counts.sent.fetch_add(1, Ordering::Relaxed);
                let through_server = u64::from(self.to_server);
                self.through_server += through_server;
                counts.through_server.fetch_add(through_server, Ordering::Relaxed);
            }
        }
        self.receive(batch, counts);
    }

    fn receive(&mut self, batch: &mut Batch, counts: &Counts) {
        let (heard, own) = (&mut self.heard, &mut self.latency);
        let mut latency = counts.latency.lock().unwrap_or_else(PoisonError::into_inner);
        batch.drain(&self.ports.rtp, |packet, at_ns| {
            let count = match heard.take(packet, at_ns) {
                Arrival::After(late) => {
                    if at_ns > 0 {
                        latency.record(late);
                        own.record(late);
                    }
                    &counts.received
                }
                Arrival::Again => &counts.repeated,
                Arrival::Unstamped => &counts.unstamped,
            };
            count.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn close(&self, key: u64, counts: &Counts) {
        let (lost, deaf) = (self.heard.lost(), self.sent > 0 && self.heard.received == 0);
        counts.deaf.fetch_add(u64::from(deaf), Ordering::Relaxed);
        counts.lossy.fetch_add(u64::from(lost > 0), Ordering::Relaxed);
        counts.worst.fetch_max(lost, Ordering::Relaxed);
        let line = Line {
            leg: key,
            sent: u64::from(self.sent),
            through_server: self.through_server,
            received: self.heard.received,
            lost,
            repeated: self.heard.repeated,
            unstamped: self.heard.unstamped,
            latency: self.latency.quantiles(),
        };
        counts.legs.lock().unwrap_or_else(PoisonError::into_inner).add(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_legs_hear_each_other_and_nothing_is_lost() {
        let rtp = Rtp::start();
        let ports = [0, 1].map(|_| Ports::bind([127, 0, 0, 1].into()).unwrap());
        let addrs = [0, 1].map(|i: usize| ports[i].addr);
        for (leg, ports) in (1..).zip(ports) {
            rtp.open(leg, ports);
        }
        rtp.send_to(1, addrs[1]);
        rtp.send_to(2, addrs[0]);
        // No leg: as good as a server that hears and says nothing.
        let server = Ports::bind([127, 0, 0, 1].into()).unwrap();
        rtp.open(3, Ports::bind([127, 0, 0, 1].into()).unwrap());
        let deadline = Instant::now() + Duration::from_secs(5);
        while rtp.counts.received.load(Ordering::Relaxed) < 6 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        rtp.stop(1);
        rtp.stop(2);
        rtp.close(1);
        rtp.close(2);
        rtp.send_to(3, server.addr);
        while rtp.counts.through_server.load(Ordering::Relaxed) == 0 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        rtp.close(3);
        let counts = rtp.counts.clone();
        drop(rtp);
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert!(load(&counts.received) >= 6);
        let straight = load(&counts.sent) - load(&counts.through_server);
        assert_eq!((straight, load(&counts.deaf)), (load(&counts.received), 1));
        let legs = counts.legs();
        let ways: Vec<_> = legs.lines.iter().map(|line| (line.leg, line.through_server > 0)).collect();
        assert_eq!(ways, [(1, false), (2, false), (3, true)]);
        let received = legs.lines.iter().map(|line| line.received).sum::<u64>();
        assert_eq!((received, legs.p99.map(|p99| p99.count)), (load(&counts.received), Some(2)));
        assert_eq!(
            (load(&counts.lossy), load(&counts.repeated), load(&counts.unstamped)),
            (0, 0, 0)
        );
        let latency = counts.latency().quantiles().unwrap();
        assert!(
            latency.count == load(&counts.received) && latency.p50_ms < 1_000.0,
            "{latency:?}"
        );
    }
}
