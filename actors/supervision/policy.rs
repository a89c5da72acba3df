//! Restart policy as data, and the pure machine that applies it.
//!
//! Duties: decide after each crash whether the child is restarted, when, or whether the matter is taken one level up.
//! Prohibitions: it starts nothing itself, it never forgives a crash inside the window, and it never waits without a bound.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::kind::ActorKind;

/// What is restarted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// Always: the child is part of the tree (a DN, the event log, a connector).
    Permanent,
    /// From what the child keeps of itself, at once; never when it crashes too often.
    Transient,
    /// Never: the child's end is reported and cleaned up after (a call, a conference, a client).
    Temporary,
}

/// How often and how fast a child may be restarted. Shared by every child of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChildSpec {
    /// The kind of actor.
    pub kind: ActorKind,
    /// Whether it is restarted.
    pub restart: Restart,
    /// Crashes within `window` above this number are escalated.
    pub max_restarts: usize,
    /// The window that crashes are counted over.
    pub window: Duration,
    /// The wait before the second restart within the window; the first one is immediate, each further one waits twice as long.
    pub backoff: Duration,
    /// The longest wait.
    pub max_backoff: Duration,
    /// How many messages wait at most for the child (`try_send`).
    pub mailbox: usize,
}

impl ChildSpec {
    /// A permanent child: 5 restarts in 10 s, then escalation. Five is what a burst of one bad peer's input may cost before the
    /// state itself is the suspect.
    pub const fn permanent(kind: ActorKind, mailbox: usize) -> Self {
        Self {
            kind,
            restart: Restart::Permanent,
            max_restarts: 5,
            window: Duration::from_secs(10),
            backoff: Duration::from_millis(10),
            max_backoff: Duration::from_secs(1),
            mailbox,
        }
    }

    /// A transient child: it may come back five times in 10 s.
    pub const fn transient(kind: ActorKind, mailbox: usize) -> Self {
        Self {
            restart: Restart::Transient,
            ..Self::permanent(kind, mailbox)
        }
    }

    /// A temporary child: its crash ends it, and is reported.
    pub const fn temporary(kind: ActorKind, mailbox: usize) -> Self {
        Self {
            kind,
            restart: Restart::Temporary,
            max_restarts: 0,
            window: Duration::ZERO,
            backoff: Duration::ZERO,
            max_backoff: Duration::ZERO,
            mailbox,
        }
    }
}

/// What to do after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Start the child again after this wait (zero: at once).
    Restart {
        /// The wait.
        after: Duration,
    },
    /// Do not start it again.
    Bury,
    /// Too many crashes: its state is the suspect. Start it with fresh state and clean up what hung on the old one.
    Escalate,
}

/// The crashes of one child.
#[derive(Debug)]
pub struct CrashHistory {
    spec: ChildSpec,
    crashes: VecDeque<Instant>,
}

impl CrashHistory {
    /// No crash yet.
    pub fn new(spec: ChildSpec) -> Self {
        Self {
            spec,
            crashes: VecDeque::new(),
        }
    }

    /// The longest wait that the policy knows.
    pub fn longest_wait(&self) -> Duration {
        self.spec.max_backoff
    }

    /// Counts a crash at `now` and says what follows.
    pub fn crashed(&mut self, now: Instant) -> Verdict {
        if self.spec.restart == Restart::Temporary {
            return Verdict::Bury;
        }
        while self
            .crashes
            .front()
            .is_some_and(|first| now.saturating_duration_since(*first) > self.spec.window)
        {
            self.crashes.pop_front();
        }
        self.crashes.push_back(now);
        let count = self.crashes.len();
        if count > self.spec.max_restarts {
            self.crashes.clear();
            return match self.spec.restart {
                Restart::Transient => Verdict::Bury,
                _ => Verdict::Escalate,
            };
        }
        if self.spec.restart == Restart::Transient {
            return Verdict::Restart { after: Duration::ZERO };
        }
        let after = match count {
            1 => Duration::ZERO,
            n => self
                .spec
                .backoff
                .saturating_mul(1 << (n - 2).min(16))
                .min(self.spec.max_backoff),
        };
        Verdict::Restart { after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_next_back_off() {
        let start = Instant::now();
        let mut history = CrashHistory::new(ChildSpec::permanent(ActorKind::Dn, 16));
        let waits: Vec<_> = (0..5).map(|i| history.crashed(at(start, i))).collect();
        let after = |ms| Verdict::Restart {
            after: Duration::from_millis(ms),
        };
        assert_eq!(waits, [after(0), after(10), after(20), after(40), after(80)]);
    }

    #[test]
    fn more_crashes_than_allowed_within_the_window_escalate_and_start_a_new_count() {
        let start = Instant::now();
        let mut history = CrashHistory::new(ChildSpec::permanent(ActorKind::Dn, 16));
        for i in 0..5 {
            assert_ne!(history.crashed(at(start, i)), Verdict::Escalate);
        }
        assert_eq!(history.crashed(at(start, 6)), Verdict::Escalate);
        assert_eq!(history.crashed(at(start, 7)), Verdict::Restart { after: Duration::ZERO });
    }

    #[test]
    fn crashes_outside_the_window_are_forgotten() {
        let start = Instant::now();
        let mut history = CrashHistory::new(ChildSpec::permanent(ActorKind::Dn, 16));
        for i in 0..50 {
            assert_eq!(
                history.crashed(at(start, i * 10_001)),
                Verdict::Restart { after: Duration::ZERO }
            );
        }
    }

    #[test]
    fn a_transient_child_comes_back_at_once_until_it_crashes_too_often() {
        let start = Instant::now();
        let mut history = CrashHistory::new(ChildSpec::transient(ActorKind::Call, 16));
        for i in 0..5 {
            assert_eq!(history.crashed(at(start, i)), Verdict::Restart { after: Duration::ZERO });
        }
        assert_eq!(history.crashed(at(start, 6)), Verdict::Bury);
    }

    #[test]
    fn a_temporary_child_is_never_restarted() {
        let mut history = CrashHistory::new(ChildSpec::temporary(ActorKind::Call, 16));
        assert_eq!(history.crashed(Instant::now()), Verdict::Bury);
    }
}
