//! A pump thread: it waits for packets, orders and the time, and lets the [`Floor`] do what is to be done.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::{io, mem};

use super::floor::{Floor, Now};
use super::kernel::{Batch, Epoll, thread_cpu_us};
use super::line::Slot;
use super::marks;
use super::priority::{self, Load, Rank};
use super::wire::{Order, Wire};

/// The token of the bell.
const BELL: u64 = u64::MAX;
/// Orders carried out in one round, so that they do not keep packets waiting.
const ORDERS: usize = 256;
/// With fewer ready sockets than that, waiting for more saves nothing.
const FEW: usize = 3;
/// How long whoever is giving an order has for it.
const BEHIND: Duration = Duration::from_micros(100);
/// Length of a round of made frames.
pub(super) const TICK_US: u64 = 20_000;
/// Between two looks at every port, for what takes seconds.
const SWEEP_US: u64 = 100_000;
/// A round that begins later than that is counted.
const LATE_US: u64 = 10_000;
/// More crashes than that, and the ports of the thread are given up.
const CRASHES: u32 = 100;

/// See the module.
pub(super) struct Pump {
    wire: Arc<Wire>,
    /// Taken, and not carried out yet: a crash in the middle costs the others nothing.
    orders: VecDeque<Order>,
    epoll: Epoll,
    batch: Batch,
    floor: Floor,
    started: Instant,
    pace: Duration,
    rank: Rank,
    load: Load,
    /// There are orders that could not be taken.
    is_behind: bool,
    tokens: Vec<u64>,
    /// Sockets that hold more than was taken.
    unfinished: Vec<Slot>,
    next_tick_us: u64,
    next_sweep_us: u64,
    next_marks_us: u64,
}

/// Runs until the plane stops. A panic costs the port that was being served; where none was, or after many, every port.
pub(super) fn serve(mut pump: Pump) {
    pump.rank = priority::raise(pump.floor.settings.priority);
    for _ in 0..CRASHES {
        if catch_unwind(AssertUnwindSafe(|| pump.run())).is_ok() {
            // A port that was still on its way gives its sockets back now.
            return pump.wire.clear();
        }
        if catch_unwind(AssertUnwindSafe(|| pump.floor.recover(&pump.epoll))).is_err() {
            break;
        }
        // The bell may have been among what the round had still to look at.
        pump.wire.bell().ring();
    }
    tracing::error!("a media thread has crashed too often and is given up");
    pump.wire.stop();
    pump.wire.clear();
    let _ = catch_unwind(AssertUnwindSafe(|| pump.floor.lose_all()));
}

impl Pump {
    pub(super) fn new(wire: Arc<Wire>, floor: Floor, started: Instant) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(wire.bell().as_fd(), BELL)?;
        Ok(Self {
            wire,
            orders: VecDeque::new(),
            epoll,
            batch: Batch::new(),
            pace: floor.settings.pace,
            floor,
            started,
            rank: Rank::default(),
            load: Load::default(),
            is_behind: false,
            tokens: Vec::new(),
            unfinished: Vec::new(),
            next_tick_us: 0,
            next_sweep_us: 0,
            next_marks_us: 0,
        })
    }

    fn run(&mut self) {
        while !self.wire.is_stopped() {
            let ready = self.round();
            self.floor.counters.cpu_us = thread_cpu_us();
            self.wire.counters.publish(&self.floor.counters);
            self.keep_rank();
            let until_tick = self.next_tick_us.saturating_sub(self.now().us);
            if mem::take(&mut self.is_behind) {
                thread::sleep(BEHIND);
            } else if ready > FEW && !self.pace.is_zero() {
                let pace = if self.floor.makes_frames() {
                    self.pace.min(Duration::from_micros(until_tick))
                } else {
                    self.pace
                };
                thread::sleep(pace);
            }
        }
    }

    /// Real-time priority is for who leaves others some time.
    fn keep_rank(&mut self) {
        if self.rank == Rank::Realtime
            && let Some(is_raised) = self.load.look(self.now().us, self.floor.counters.cpu_us)
        {
            priority::change(is_raised);
        }
    }

    /// One look at everything; how many sockets could be read.
    fn round(&mut self) -> usize {
        let timeout_ms = self.timeout_ms();
        self.tokens.clear();
        match self.epoll.wait(timeout_ms, &mut self.tokens) {
            // More than fit at once: the rest is taken before the pause.
            Ok(true) => while self.tokens.len() < 65_536 && self.epoll.wait(0, &mut self.tokens).unwrap_or(false) {},
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "waiting for packets failed");
                thread::sleep(Duration::from_millis(1));
            }
        }
        let now = self.now();
        for slot in mem::take(&mut self.unfinished) {
            self.read(slot, now);
        }
        let tokens = mem::take(&mut self.tokens);
        for token in &tokens {
            match *token {
                BELL => self.obey(now),
                token if token % 2 == 0 => self.read((token / 2) as Slot, now),
                token => self.floor.read_control(&mut self.batch, (token / 2) as Slot, now),
            }
        }
        self.tokens = tokens;
        self.floor.follow_up(now);
        self.keep_time();
        self.tokens.len()
    }

    fn obey(&mut self, now: Now) {
        self.wire.heard();
        if !self.wire.take(ORDERS, &mut self.orders) {
            self.wire.bell().ring();
            self.is_behind = true;
        }
        while let Some(order) = self.orders.pop_front() {
            self.floor.obey(order, &self.epoll, now);
        }
    }

    fn read(&mut self, slot: Slot, now: Now) {
        if self.floor.read(&mut self.batch, slot, now) {
            self.unfinished.push(slot);
        }
    }

    fn keep_time(&mut self) {
        let now = self.now();
        if now.us >= self.next_tick_us {
            self.unfinished.append(&mut self.floor.flooded);
            let due = now.us - now.us % TICK_US;
            if self.floor.makes_frames() {
                let missed = (due - self.next_tick_us) / TICK_US;
                let late = u64::from(now.us - due > LATE_US);
                self.floor.counters.late_ticks += missed + late;
                self.floor.tick(Now { us: due });
            }
            self.next_tick_us = due + TICK_US;
        }
        if now.us >= self.next_sweep_us {
            self.floor.sweep(&self.epoll, now);
            self.next_sweep_us = now.us + SWEEP_US;
            if self.floor.settings.marks.is_some() && now.us >= self.next_marks_us {
                self.wire.told.say(self.floor.marks(now));
                self.next_marks_us = now.us + marks::EVERY.as_micros() as u64;
            }
        }
    }

    fn timeout_ms(&self) -> i32 {
        if self.floor.is_empty() {
            return -1;
        }
        let now = self.now().us;
        if !self.unfinished.is_empty() {
            return 0;
        }
        let ticks = self.floor.makes_frames() || !self.floor.flooded.is_empty();
        let next = if ticks {
            self.next_tick_us.min(self.next_sweep_us)
        } else {
            self.next_sweep_us
        };
        i32::try_from(next.saturating_sub(now).div_ceil(1_000)).unwrap_or(i32::MAX)
    }

    fn now(&self) -> Now {
        Now {
            us: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        }
    }
}
