//! RTP of the phones: every live leg sends 20 ms of PCMU from the port it described to the port the other side did, and counts
//! what comes.
//!
//! One thread serves all legs: each has a slot of 2 ms within the 20, so packets leave evenly without a timer per leg.
//! Invariant: a leg that was stopped sends no more, so after a moment `sent` and `received` of a run are comparable: the
//! difference is loss. Content is silence; nothing is decoded.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Number of slots of [`SLOT`] in a frame.
const SLOTS: u64 = 10;
const SLOT: Duration = Duration::from_millis(2);
/// RTP header and 160 samples.
const PACKET: usize = 172;

/// Orders to the thread.
enum Order {
    Open(u64, UdpSocket),
    Start(u64, SocketAddr),
    Stop(u64),
    Close(u64),
}

/// Packets of the run, both directions.
#[derive(Default)]
pub struct Counts {
    /// Sent.
    pub sent: AtomicU64,
    /// Received.
    pub received: AtomicU64,
    /// Legs that sent and never received anything.
    pub deaf: AtomicU64,
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

    /// A new leg with its socket (bound, connected to nobody).
    pub fn open(&self, leg: u64, socket: UdpSocket) {
        self.order(Order::Open(leg, socket));
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
    socket: UdpSocket,
    to: Option<SocketAddr>,
    seq: u16,
    sent: u64,
    received: u64,
}

struct Pump {
    slots: Vec<HashMap<u64, Leg>>,
    counts: Arc<Counts>,
}

impl Pump {
    fn new(counts: Arc<Counts>) -> Self {
        let slots = (0..SLOTS).map(|_| HashMap::new()).collect();
        Self { slots, counts }
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
                leg.turn(*key, &self.counts);
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
            Order::Open(_, socket) => {
                let (to, seq, sent, received) = (None, 0, 0, 0);
                slot.insert(
                    key,
                    Leg {
                        socket,
                        to,
                        seq,
                        sent,
                        received,
                    },
                );
            }
            Order::Start(_, to) => {
                if let Some(leg) = slot.get_mut(&key) {
                    leg.to = Some(to);
                }
            }
            Order::Stop(_) => {
                if let Some(leg) = slot.get_mut(&key) {
                    leg.to = None;
                }
            }
            Order::Close(_) => {
                if let Some(mut leg) = slot.remove(&key) {
                    leg.receive(&self.counts);
                    let deaf = u64::from(leg.sent > 0 && leg.received == 0);
                    self.counts.deaf.fetch_add(deaf, Ordering::Relaxed);
                }
            }
        }
    }
}

impl Leg {
    fn turn(&mut self, key: u64, counts: &Counts) {
        if let Some(to) = self.to {
            let mut packet = [0xff_u8; PACKET];
            self.seq = self.seq.wrapping_add(1);
            let timestamp = u32::from(self.seq).wrapping_mul(160);
            packet[..2].copy_from_slice(&[0x80, 0]);
            packet[2..4].copy_from_slice(&self.seq.to_be_bytes());
            packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
            packet[8..12].copy_from_slice(&(key as u32).to_be_bytes());
            if self.socket.send_to(&packet, to).is_ok() {
                self.sent += 1;
                counts.sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.receive(counts);
    }

    fn receive(&mut self, counts: &Counts) {
        let mut packet = [0_u8; 256];
        while let Ok(length) = self.socket.recv(&mut packet) {
            if length == PACKET {
                self.received += 1;
                counts.received.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_legs_hear_each_other_and_nothing_is_lost() {
        let rtp = Rtp::start();
        let sockets = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let addrs = [0, 1].map(|i: usize| sockets[i].local_addr().unwrap());
        for (leg, socket) in (1..).zip(sockets) {
            socket.set_nonblocking(true).unwrap();
            rtp.open(leg, socket);
        }
        rtp.send_to(1, addrs[1]);
        rtp.send_to(2, addrs[0]);
        let deadline = Instant::now() + Duration::from_secs(5);
        while rtp.counts.received.load(Ordering::Relaxed) < 6 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        for leg in [1, 2] {
            rtp.stop(leg);
        }
        for leg in [1, 2] {
            rtp.close(leg);
        }
        let counts = rtp.counts.clone();
        drop(rtp);
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert!(load(&counts.received) >= 6);
        assert_eq!((load(&counts.sent), load(&counts.deaf)), (load(&counts.received), 0));
    }
}
