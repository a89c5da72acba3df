//! Which calls are made, when, and between which phones.
//!
//! Invariant: a phone is in no more calls than it has lines, and while a home is struck only a few calls of its phones are tried at once.

use std::time::{Duration, Instant};

use super::World;
use super::calls::Side;

/// Calls that may fail and are open at once: they must not take the place of all others.
const MOST_EXCUSED: usize = 10;
/// How many free phones are tried as the caller of the next call.
const CALLERS_TRIED: usize = 64;

/// What is to be called, and how fast.
pub struct Schedule {
    total: u64,
    rate: f64,
    concurrency: u64,
    hold: Option<Duration>,
    /// So many of the first calls are up until they are told, whatever `hold` says.
    standing: u64,
    since: Instant,
    begun: u64,
}

impl Schedule {
    /// `total` calls at `rate` per second, at most `concurrency` at once, each held for `hold`, or until it is told where there
    /// is none.
    pub fn new(total: u64, rate: f64, concurrency: u64, hold: Option<Duration>, since: Instant) -> Self {
        let (standing, begun) = (0, 0);
        Self {
            total,
            rate,
            concurrency,
            hold,
            standing,
            since,
            begun,
        }
    }

    /// The same, but the first `standing` calls are up until they are told.
    pub fn with_standing(self, standing: u64) -> Self {
        Self { standing, ..self }
    }

    /// One more is begun: how long it is held.
    fn begin(&mut self) -> Option<Duration> {
        self.begun += 1;
        self.hold.filter(|_| self.begun > self.standing)
    }

    /// Whether every call was begun.
    pub fn is_spent(&self) -> bool {
        self.begun >= self.total
    }

    fn due(&self, now: Instant) -> u64 {
        let due = now.saturating_duration_since(self.since).as_secs_f64() * self.rate;
        (due as u64 + 1).min(self.total).saturating_sub(self.begun)
    }
}

impl World {
    /// Opens `lines` lines on each of the first `phones` phones; calls are made between them in an order that only the seed knows.
    pub fn open_lines(&mut self, phones: usize, lines: usize) {
        use rand::seq::SliceRandom;
        let mut all: Vec<usize> = (0..lines).flat_map(|_| 0..phones).collect();
        all.shuffle(&mut self.random);
        self.free = all.into();
    }

    pub(super) fn start_due_calls(&mut self, now: Instant) {
        let Some(schedule) = &self.schedule else { return };
        let room = schedule.concurrency.saturating_sub(self.calls.len() as u64);
        for _ in 0..schedule.due(now).min(room) {
            let Some(sides) = self.take_pair() else { return };
            let hold = self.schedule.as_mut().and_then(Schedule::begin);
            self.begin(sides, hold, now);
        }
    }

    fn take_pair(&mut self) -> Option<[Side; 3]> {
        let side = |world: &Self, phone: usize, ours| {
            let desk = world.phones.get(phone).and_then(|phone| phone.desk);
            Side::of(phone, ours, desk)
        };
        if let Some((_, answered)) = self.settings.trunk {
            let (caller, far) = (self.free.pop_front()?, self.phones.len().saturating_sub(1));
            return Some([side(self, caller, true), side(self, far, answered), Side::default()]);
        }
        let (caller, callee) = self.take_two_free()?;
        Some([side(self, caller, true), side(self, callee, true), Side::default()])
    }

    /// The first free phone for which there is another one, at the same home or at another as the share says.
    fn take_two_free(&mut self) -> Option<(usize, usize)> {
        let across = self.is_across();
        let full = self.excused_open() >= MOST_EXCUSED;
        let usable = |phone: &usize| !(full && self.is_in_fault(*phone));
        let callers = (0..self.free.len().min(CALLERS_TRIED)).filter(|at| self.free.get(*at).is_some_and(usable));
        let pair = callers.into_iter().find_map(|at| {
            let caller = *self.free.get(at)?;
            let fits = |phone: &usize| *phone != caller && self.fits(caller, *phone, across) && usable(phone);
            Some((at, self.free.iter().position(fits)?))
        });
        let (caller, callee) = pair?;
        let callee_number = self.free.get(callee).copied()?;
        let caller_number = self.free.remove(caller)?;
        // What stood behind the caller has moved up.
        self.free.remove(callee - usize::from(callee > caller))?;
        Some((caller_number, callee_number))
    }

    /// Whether the next call is one between homes.
    pub(super) fn is_across(&mut self) -> bool {
        let share = self.settings.across;
        self.settings.homes.len() > 1 && self.toss(share)
    }

    /// Whether two phones can be in one call, if it is across homes or not.
    pub(super) fn fits(&self, one: usize, other: usize, across: bool) -> bool {
        let home = |phone: usize| self.phones.get(phone).map(|phone| phone.home);
        (home(one) == home(other)) != across
    }

    fn excused_open(&self) -> usize {
        if !self.is_fault_on() {
            return 0;
        }
        self.calls.values().filter(|call| call.excused).count()
    }
}
