//! How pump threads stand to the rest of the machine: packets wait for nobody, and nobody waits for packets for long.
//!
//! A thread asks for real-time priority (SCHED_RR, the lowest), for which the process needs CAP_SYS_NICE or RLIMIT_RTPRIO; where it may not have
//! that, for a larger share of the time (nice -11); else it stays as it is. Real-time threads come before everything else, so two things keep the
//! machine alive: a thread that has used most of a core for a second gives the priority up until it is calm again (`Load`), and one that
//! hangs is held off by the kernel for 5 % of each second (`kernel.sched_rt_runtime_us`, sched(7)).

use std::sync::Once;

use super::kernel;

/// The share that is asked for where real-time priority cannot be had.
const NICE: i32 = -11;
/// How often a thread looks at its load.
const LOOK_US: u64 = 1_000_000;
/// More of a core than that, in percent, is too much for real-time priority.
const MOST_PERCENT: u64 = 80;
/// Looks at a calm load before the priority is taken again.
const CALM: u32 = 10;

/// What pump threads ask for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Priority {
    /// The same as everybody's.
    #[default]
    Normal,
    /// Real-time, or as near to it as may be had.
    Realtime,
}

/// What a thread has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Rank {
    #[default]
    Normal,
    Nice,
    Realtime,
}

/// Gets the calling thread what may be had. The first thread of the process says what that is; the others get the same.
pub(super) fn raise(wanted: Priority) -> Rank {
    static SAID: Once = Once::new();
    if wanted == Priority::Normal {
        return Rank::Normal;
    }
    let rank = match (kernel::schedule_realtime(), kernel::be_nice(NICE)) {
        (Ok(()), _) => Rank::Realtime,
        (Err(_), Ok(())) => Rank::Nice,
        (Err(_), Err(_)) => Rank::Normal,
    };
    SAID.call_once(|| match rank {
        Rank::Realtime => tracing::info!("media threads have real-time priority"),
        Rank::Nice => tracing::info!(
            nice = NICE,
            "media threads have no real-time priority (CAP_SYS_NICE, RLIMIT_RTPRIO), but a larger share"
        ),
        Rank::Normal => tracing::info!("media threads have no priority: it takes CAP_SYS_NICE or RLIMIT_RTPRIO"),
    });
    rank
}

/// Takes real-time priority again, or gives it up.
pub(super) fn change(is_raised: bool) {
    let changed = if is_raised {
        kernel::schedule_realtime()
    } else {
        kernel::schedule_normal()
    };
    match changed {
        Ok(()) if is_raised => tracing::info!("a media thread is calm again and takes its real-time priority back"),
        Ok(()) => tracing::warn!("a media thread uses most of a core and gives its real-time priority up"),
        Err(error) => tracing::warn!(%error, "the priority of a media thread cannot be changed"),
    }
}

/// How busy a thread with real-time priority is. Pure.
#[derive(Debug)]
pub(super) struct Load {
    looked_us: u64,
    cpu_us: u64,
    calm: u32,
    is_raised: bool,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            looked_us: 0,
            cpu_us: 0,
            calm: 0,
            is_raised: true,
        }
    }
}

impl Load {
    /// Whether to have the priority from now on, where that changes. The CPU time is what the thread has used since it started.
    pub(super) fn look(&mut self, now_us: u64, cpu_us: u64) -> Option<bool> {
        let passed_us = now_us.saturating_sub(self.looked_us);
        if passed_us < LOOK_US {
            return None;
        }
        let used_us = cpu_us.saturating_sub(self.cpu_us);
        (self.looked_us, self.cpu_us) = (now_us, cpu_us);
        let is_calm = used_us * 100 <= passed_us * MOST_PERCENT;
        self.calm = if is_calm { self.calm.saturating_add(1) } else { 0 };
        let raised = if self.is_raised { is_calm } else { self.calm >= CALM };
        (raised != std::mem::replace(&mut self.is_raised, raised)).then_some(raised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_takes_most_of_a_core_gives_its_priority_up_until_it_is_calm() {
        let mut load = Load::default();
        let (mut now_us, mut cpu_us) = (0, 0);
        let mut second = |percent: u64| {
            now_us += LOOK_US;
            cpu_us += percent * LOOK_US / 100;
            assert_eq!(load.look(now_us - 1, cpu_us), None, "too early");
            load.look(now_us, cpu_us)
        };
        assert_eq!(
            [second(50), second(80), second(81), second(95)],
            [None, None, Some(false), None]
        );
        for _ in 0..9 {
            assert_eq!(second(10), None);
        }
        assert_eq!(second(99), None);
        for _ in 0..9 {
            assert_eq!(second(10), None);
        }
        assert_eq!([second(10), second(10), second(100)], [Some(true), None, Some(false)]);
    }

    #[test]
    fn whatever_may_be_had_is_had() {
        let ranks = std::thread::spawn(|| (raise(Priority::Realtime), raise(Priority::Normal)));
        let (wanted, unwanted) = ranks.join().unwrap();
        assert!(matches!(wanted, Rank::Realtime | Rank::Nice | Rank::Normal));
        assert_eq!(unwanted, Rank::Normal);
    }
}
