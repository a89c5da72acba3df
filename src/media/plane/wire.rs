//! Orders to a pump thread: the only way into it. Bounded; never a packet.
//!
//! The thread may have real-time priority, so it never waits for who gives an order, who may be what it keeps from running: it tries the lock, and
//! looks again later (a lock-free queue would have it spin on an entry that is half written).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::event::{PortId, Source};
use super::kernel::Bell;
use super::line::Line;
use super::marks::Told;
use super::stats::SharedCounters;
use crate::endpoint::PortSettings;
use crate::prompt::Prompt;

/// Orders that may wait for one thread. It empties them every few milliseconds.
const QUEUE: usize = 16_384;
/// With so many waiting no port is opened: the rest is for those that are.
const BUSY: usize = QUEUE / 4;

/// An order.
pub(super) enum Order {
    /// A port begins here.
    Open(Box<Line>),
    /// A port of another thread will come: what is said to it waits until it does.
    Expect(PortId),
    /// Here it is.
    Adopt(Box<Line>),
    /// Give it to this session and owner, of that thread; without one, of this.
    Rehome(PortId, u64, u64, Option<Arc<Wire>>),
    /// Something for a port that is here.
    Port(PortId, PortOrder),
}

/// An order to one port.
pub(super) enum PortOrder {
    Set(Box<PortSettings>),
    Hear(Vec<Source>),
    Digits(Arc<str>),
    /// Whoever had it is gone: it closes, unless somebody takes it over soon.
    Leave,
    /// This owner takes it over.
    TakeOver(u64),
    /// A file that it hears was loaded, or cannot be.
    Loaded(Arc<str>, Option<Arc<Prompt>>),
    Close,
    #[cfg(test)]
    Panic,
}

/// The way to one thread.
pub(super) struct Wire {
    queue: Mutex<VecDeque<Order>>,
    bell: Bell,
    rung: AtomicBool,
    stopped: AtomicBool,
    /// Where the thread's streams are.
    pub(super) told: Told,
    pub(super) counters: SharedCounters,
}

impl Wire {
    pub(super) fn new() -> std::io::Result<Arc<Self>> {
        let wire = Self {
            queue: Mutex::default(),
            bell: Bell::new()?,
            rung: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            told: Told::default(),
            counters: SharedCounters::default(),
        };
        Ok(Arc::new(wire))
    }

    /// `Err` with the order where the thread has too many or is gone.
    pub(super) fn give(&self, order: Order) -> Result<(), Order> {
        let mut queue = self.waiting();
        if queue.len() >= QUEUE {
            return Err(order);
        }
        queue.push_back(order);
        drop(queue);
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.bell.ring();
        }
        Ok(())
    }

    /// The thread ends, whatever waits.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.bell.ring();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.waiting().len() > BUSY
    }

    /// Brings so many orders at most. `false` where somebody is just giving one: there may be more.
    pub(super) fn take(&self, most: usize, orders: &mut VecDeque<Order>) -> bool {
        let mut queue = match self.queue.try_lock() {
            Ok(queue) => queue,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let count = queue.len().min(most);
        orders.extend(queue.drain(..count));
        queue.is_empty()
    }

    /// Every order that waits is forgotten; the thread has ended.
    pub(super) fn clear(&self) {
        let orders = std::mem::take(&mut *self.waiting());
        drop(orders);
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Order>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// The thread heard the bell: whoever gives an order from now on rings again.
    pub(super) fn heard(&self) {
        self.bell.silence();
        self.rung.store(false, Ordering::Release);
    }
}
