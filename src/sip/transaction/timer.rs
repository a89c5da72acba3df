//! The timers of the SIP layer, as one enum and one table.
//!
//! Invariant: of one owner each timer runs at most once; starting it again moves it. The table never sleeps: the shell asks for
//! [`TimerTable::next`] and calls back when that time has come. Timers at the same instant fire in the order of owner, then timer, so that
//! a run repeats from its seed.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

/// Every timer (RFC 3261 table 4, RFC 6026, and those of the user agent core).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// INVITE retransmission, T1 doubling without bound (s.17.1.1.2). Unreliable transports only.
    A,
    /// INVITE client transaction timeout, 64*T1 (s.17.1.1.2).
    B,
    /// How long an INVITE of ours may stay provisional (s.16.6 item 11).
    C,
    /// Wait for response retransmissions to an INVITE, 64*T1, at least 32 s in the RFC's scale; 0 over streams (s.17.1.1.2).
    D,
    /// Non-INVITE retransmission, T1 doubling up to T2 (s.17.1.2.2). Unreliable transports only.
    E,
    /// Non-INVITE client transaction timeout, 64*T1 (s.17.1.2.2).
    F,
    /// INVITE response retransmission, T1 doubling up to T2 (s.17.2.1). Unreliable transports only.
    G,
    /// Wait for the ACK of a non-2xx, 64*T1 (s.17.2.1).
    H,
    /// Wait for ACK retransmissions, T4; 0 over streams (s.17.2.1).
    I,
    /// Wait for retransmissions of a non-INVITE request, 64*T1; 0 over streams (s.17.2.2).
    J,
    /// Wait for response retransmissions to a non-INVITE, T4; 0 over streams (s.17.1.2.2).
    K,
    /// Wait for retransmissions of an accepted INVITE, 64*T1 (RFC 6026 s.8.7).
    L,
    /// Wait for further 2xx, 64*T1 (RFC 6026 s.8.4).
    M,
    /// Our user never answered a non-INVITE request, 64*T1.
    Abandon,
    /// 2xx retransmission by the user agent core, T1 doubling up to T2, over every transport (s.13.3.1.4).
    Success,
    /// No ACK came for our 2xx, 64*T1 (s.13.3.1.4).
    NoAck,
    /// No final response after our CANCEL, 64*T1 (s.9.1).
    Cancel,
    /// Send the last provisional response again, every minute (s.13.3.1.1).
    Refresh,
    /// Try our re-INVITE again after 491 (s.14.1).
    Glare,
    /// Retransmission of a reliable provisional response, T1 doubling without bound, over every transport (RFC 3262 s.3).
    Reliable,
    /// No PRACK came for a reliable provisional response, 64*T1 (RFC 3262 s.3).
    NoPrack,
    /// Nobody answered the peer's UPDATE, 60*T1: shortly before it gives up itself.
    Answer,
    /// Refresh the session, at half its interval (RFC 4028 s.7.2).
    Renew,
    /// The session was not refreshed in time (RFC 4028 s.10).
    Overdue,
    /// A subscription runs out (RFC 6665 s.4.2.1).
    Expires,
    /// Find out whether the peer of a restored session is still there.
    Probe,
}

impl Timer {
    /// Whether its doubling stops at T2 (RFC 3261 table 4); timer A doubles on until timer B ends it, as does that of reliable provisional
    /// responses.
    pub fn doubles_up_to_t2(self) -> bool {
        !matches!(self, Self::A | Self::Reliable)
    }
}

/// The base values (RFC 3261 s.17.1.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// The round-trip time estimate.
    pub t1: Duration,
    /// The longest retransmission interval.
    pub t2: Duration,
    /// The longest time a message stays in the network.
    pub t4: Duration,
    /// Time C.
    pub c: Duration,
}

impl Timing {
    /// 64*T1, the time after which a peer that did not answer counts as gone.
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }

    /// How long an UPDATE of the peer may wait for its answer.
    pub fn answer(&self) -> Duration {
        self.t1 * 60
    }

    /// A provisional response every minute keeps the INVITE alive in the proxies between (s.13.3.1.1).
    pub fn refresh(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// The first interval of a timer; `None` where it is not used on this kind of transport. [`Timer::Glare`], [`Timer::Expires`] and those of
    /// a session's interval have none that is fixed.
    pub fn first(&self, timer: Timer, reliable: bool) -> Option<Duration> {
        match timer {
            Timer::A | Timer::E | Timer::G => (!reliable).then_some(self.t1),
            Timer::I | Timer::K => Some(if reliable { Duration::ZERO } else { self.t4 }),
            Timer::D | Timer::J => Some(if reliable { Duration::ZERO } else { self.patience() }),
            Timer::C => Some(self.c),
            Timer::Success | Timer::Reliable => Some(self.t1),
            Timer::Refresh => Some(self.refresh()),
            Timer::Answer => Some(self.answer()),
            Timer::Glare | Timer::Renew | Timer::Overdue | Timer::Expires | Timer::Probe => None,
            Timer::B | Timer::F | Timer::H | Timer::L | Timer::M => Some(self.patience()),
            Timer::Abandon | Timer::NoAck | Timer::NoPrack | Timer::Cancel => Some(self.patience()),
        }
    }

    /// The interval after `last`.
    pub fn doubled(&self, timer: Timer, last: Duration) -> Duration {
        if timer.doubles_up_to_t2() {
            (last * 2).min(self.t2)
        } else {
            last * 2
        }
    }
}

/// Running timers, ordered by deadline.
#[derive(Debug)]
pub struct TimerTable<O> {
    order: BTreeSet<(Instant, O, Timer)>,
    /// Boxed: there are many owners for a short while, and the table itself never shrinks.
    running: HashMap<O, Box<Running>>,
}

/// The timers of one owner, with their deadlines.
type Running = SmallVec<[(Timer, Instant); 2]>;

impl<O> Default for TimerTable<O> {
    fn default() -> Self {
        Self {
            order: BTreeSet::new(),
            running: HashMap::new(),
        }
    }
}

impl<O: Copy + Ord + Hash> TimerTable<O> {
    /// Starts a timer, or moves the running one.
    pub fn start(&mut self, owner: O, timer: Timer, deadline: Instant) {
        let timers = self.running.entry(owner).or_default();
        match timers.iter_mut().find(|(t, _)| *t == timer) {
            Some((_, at)) => {
                self.order.remove(&(*at, owner, timer));
                *at = deadline;
            }
            None => timers.push((timer, deadline)),
        }
        self.order.insert((deadline, owner, timer));
    }

    /// Stops a timer; nothing where it does not run.
    pub fn stop(&mut self, owner: O, timer: Timer) {
        let Some(timers) = self.running.get_mut(&owner) else { return };
        let Some(position) = timers.iter().position(|(t, _)| *t == timer) else {
            return;
        };
        let (_, at) = timers.swap_remove(position);
        self.order.remove(&(at, owner, timer));
        if timers.is_empty() {
            self.running.remove(&owner);
        }
    }

    /// Stops every timer of an owner.
    pub fn stop_all(&mut self, owner: O) {
        for (timer, at) in *self.running.remove(&owner).unwrap_or_default() {
            self.order.remove(&(at, owner, timer));
        }
    }

    /// Whether a timer of an owner runs.
    pub fn is_running(&self, owner: O, timer: Timer) -> bool {
        self.running
            .get(&owner)
            .is_some_and(|timers| timers.iter().any(|(t, _)| *t == timer))
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, ..)| *at)
    }

    /// Takes the earliest timer that is due at `now`.
    pub fn expired(&mut self, now: Instant) -> Option<(O, Timer)> {
        let (_, owner, timer) = *self.order.first().filter(|(at, ..)| *at <= now)?;
        self.stop(owner, timer);
        Some((owner, timer))
    }

    /// How many timers run.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timing = Timing {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        c: Duration::from_secs(180),
    };

    #[test]
    fn timers_fire_in_the_order_of_their_deadlines_and_only_once() {
        let now = Instant::now();
        let mut table = TimerTable::default();
        table.start(1, Timer::B, now + T.patience());
        table.start(2, Timer::A, now + T.t1);
        table.start(1, Timer::A, now + T.t2);
        assert_eq!(table.next(), Some(now + T.t1));
        assert_eq!(table.expired(now), None);
        assert_eq!(table.expired(now + T.patience()), Some((2, Timer::A)));
        assert_eq!(table.expired(now + T.patience()), Some((1, Timer::A)));
        assert_eq!(table.expired(now + T.patience()), Some((1, Timer::B)));
        assert_eq!(table.expired(now + T.patience()), None);
        assert!(table.is_empty() && table.running.is_empty());
    }

    #[test]
    fn starting_a_running_timer_moves_it_and_stopping_leaves_nothing() {
        let now = Instant::now();
        let mut table = TimerTable::default();
        table.start(1, Timer::E, now);
        table.start(1, Timer::E, now + T.t1);
        table.start(1, Timer::F, now + T.t2);
        assert_eq!((table.len(), table.expired(now)), (2, None));
        assert!(table.is_running(1, Timer::E));
        table.stop(1, Timer::E);
        table.stop(1, Timer::K);
        assert!(!table.is_running(1, Timer::E));
        table.stop_all(1);
        assert!(table.is_empty() && table.running.is_empty());
    }

    #[test]
    fn intervals_are_those_of_table_4() {
        assert_eq!(T.first(Timer::A, true), None);
        assert_eq!(T.first(Timer::B, true), Some(Duration::from_secs(32)));
        assert_eq!(T.first(Timer::K, true), Some(Duration::ZERO));
        assert_eq!(T.first(Timer::K, false), Some(Duration::from_secs(5)));
        assert_eq!(T.first(Timer::D, false), Some(Duration::from_secs(32)));
        let mut interval = T.t1;
        let series: Vec<_> = std::iter::repeat_with(|| {
            interval = T.doubled(Timer::E, interval);
            interval.as_millis()
        })
        .take(4)
        .collect();
        assert_eq!(series, [1000, 2000, 4000, 4000]);
        assert_eq!(T.doubled(Timer::A, T.t2), Duration::from_secs(8));
    }
}
