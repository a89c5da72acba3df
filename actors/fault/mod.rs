//! Faults on purpose: actors that panic, connectors that stand still, messages that are lost, late or doubled. Only in a build with the
//! feature `fault-injection`, for tests of what the server survives; never in a release.
//!
//! | fault | how |
//! |---|---|
//! | panic | `strike`: a message to the actor, by its kind and id |
//! | pause | [`Pause`]: the connector's mailbox is not looked at, or its whole thread stands still |
//! | drop, delay, duplicate | [`rule`]: judged where a connector takes in and sends SIP, and on each connection of a link ([`link`]) |
//!
//! Invariant: every fault ends by itself, and all of them end at once with [`FaultControl::end_all`]. Each process has its own: the other
//! side of a link is not reached from here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix::Addr;
use tandem_model::{ClientId, ConnectorId};
use tokio::sync::Notify;

use crate::connector::RegistrarActor;
use crate::directory::Directory;
use crate::now;
use crate::tserver::ClientActor;

pub mod link;
pub mod rule;
pub mod sip;
mod strike;

pub use rule::{Chance, Direction, Effect, Medium, Rule, Verdict};
pub use strike::{Target, Unknown};

/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The most SIP messages that are held up at a time; what is beyond is not.
const MOST_HELD: usize = 10_000;

/// A connector is to stand still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    /// For how long.
    pub lasts: Duration,
    /// Its whole thread, with its conferences and its link; else its own mailbox alone.
    pub whole_thread: bool,
}

/// Why a connector is not made to stand still.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotPaused {
    /// There is none of that number in this process.
    #[error("there is no such connector in this process")]
    Unknown,
    /// A pause is bounded.
    #[error("a pause lasts from 1 ms to {} s", LONGEST_PAUSE.as_secs())]
    Lasts,
    /// It stands still.
    #[error("the connector stands still already")]
    Already,
}

/// Why a rule is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRuled {
    /// What is wrong with it.
    #[error(transparent)]
    Refused(#[from] rule::Refused),
    /// This process has no link to another one.
    #[error("the two sides are one process: their messages are moved values, which nothing can be done to")]
    NoLink,
}

/// The faults of one process; in its directory.
#[derive(Default)]
pub struct Faults {
    rules: Mutex<rule::Rules>,
    /// Whether there may be a rule, so that a process without any asks for no lock.
    any: AtomicBool,
    held: AtomicUsize,
    pauses: Mutex<BTreeMap<u16, (Instant, Pause)>>,
    /// A pause has ended early.
    ended: Condvar,
    ended_here: Notify,
    clients: Mutex<BTreeMap<ClientId, Addr<ClientActor>>>,
    registrars: Mutex<BTreeMap<ConnectorId, Addr<RegistrarActor>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    /// Whether something may become of a message.
    pub fn may_be(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// What becomes of a message.
    pub fn judge(&self, medium: Medium, direction: Direction, connector: u16) -> Verdict {
        if !self.may_be() {
            return Verdict::UNTOUCHED;
        }
        let mut rules = lock(&self.rules);
        let verdict = rules.judge(medium, direction, connector, now());
        self.any.store(!rules.is_empty(), Ordering::Relaxed);
        verdict
    }

    /// The same for a SIP message, of which a bounded number is held up.
    pub fn judge_sip(&self, direction: Direction, connector: u16) -> Verdict {
        let verdict = self.judge(Medium::Sip, direction, connector);
        if verdict.delay.is_zero() || self.held.load(Ordering::Relaxed) < MOST_HELD {
            return verdict;
        }
        Verdict {
            delay: Duration::ZERO,
            ..verdict
        }
    }

    /// A SIP message is held up, or is not any more.
    pub(crate) fn hold(&self, held: bool) {
        if held {
            self.held.fetch_add(1, Ordering::Relaxed);
        } else {
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Stands still on this thread until the pause of this connector is over.
    pub(crate) fn stand_still(&self, connector: u16) {
        let mut pauses = lock(&self.pauses);
        while let Some((until, _)) = pauses.get(&connector) {
            let left = until.saturating_duration_since(now());
            if left.is_zero() {
                pauses.remove(&connector);
                return;
            }
            pauses = self
                .ended
                .wait_timeout(pauses, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until the pause of this connector is over.
    pub(crate) async fn wait(directory: Arc<Directory>, connector: u16) {
        loop {
            let ended = directory.faults.ended_here.notified();
            let until = lock(&directory.faults.pauses).get(&connector).map(|(until, _)| *until);
            let Some(until) = until.filter(|until| *until > now()) else {
                lock(&directory.faults.pauses).remove(&connector);
                return;
            };
            let _ = tokio::time::timeout_at(until.into(), ended).await;
        }
    }

    pub(crate) fn add_client(&self, id: ClientId, client: Addr<ClientActor>) {
        lock(&self.clients).insert(id, client);
    }

    pub(crate) fn remove_client(&self, id: ClientId) {
        lock(&self.clients).remove(&id);
    }

    pub(crate) fn add_registrar(&self, connector: ConnectorId, registrar: Addr<RegistrarActor>) {
        lock(&self.registrars).insert(connector, registrar);
    }
}

/// What is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The rules, with how long each is in force yet, and how many messages it has met.
    pub rules: Vec<(Rule, Duration, u64)>,
    /// The connectors that stand still, with for how long yet.
    pub pauses: Vec<(u16, Pause, Duration)>,
}

/// The way to the faults of a process.
#[derive(Clone)]
pub struct FaultControl(Arc<Directory>);

impl FaultControl {
    /// Those of the process that this is the directory of.
    pub fn new(directory: Arc<Directory>) -> Self {
        Self(directory)
    }

    /// Makes an actor panic.
    pub fn strike(&self, target: &Target) -> Result<(), Unknown> {
        tracing::warn!(?target, "an actor is made to panic");
        strike::strike(&self.0, target)
    }

    /// Makes a call or a conference panic on its next input, and again when it takes that once more; no other actor takes anything twice.
    pub fn strike_twice(&self, target: &Target) -> Result<(), Unknown> {
        tracing::warn!(?target, "an actor is made to panic twice on its next input");
        strike::strike_twice(&self.0, target)
    }

    /// The first live call.
    pub fn first_call(&self) -> Option<Target> {
        let mut ids = self.0.call_ids().into_iter();
        ids.find(|id| self.0.call(*id).is_some()).map(Target::Call)
    }

    /// The first conference that is dialled into.
    pub fn first_room(&self) -> Option<Target> {
        let mut ids = self.0.call_ids().into_iter();
        ids.find(|id| self.0.room(*id).is_some()).map(Target::Room)
    }

    /// The first connector's side of a live call.
    pub fn first_conference(&self) -> Option<Target> {
        self.0.conference_ids().first().copied().map(Target::Conference)
    }

    /// The first DN, by its name.
    pub fn first_dn(&self) -> Option<Target> {
        self.0.configured_dns().into_iter().min().map(Target::Dn)
    }

    /// The client that has been connected for the longest time.
    pub fn first_client(&self) -> Option<Target> {
        lock(&self.0.faults.clients).keys().next().copied().map(Target::Client)
    }

    /// The first connector of this process.
    pub fn first_connector(&self) -> Option<ConnectorId> {
        lock(&self.0.faults.registrars).keys().next().copied()
    }

    /// Makes a connector stand still.
    pub fn pause(&self, connector: u16, pause: Pause) -> Result<(), NotPaused> {
        if pause.lasts.is_zero() || pause.lasts > LONGEST_PAUSE {
            return Err(NotPaused::Lasts);
        }
        let actor = self.0.connector(ConnectorId(connector)).ok_or(NotPaused::Unknown)?;
        let mut pauses = lock(&self.0.faults.pauses);
        if pauses.get(&connector).is_some_and(|(until, _)| *until > now()) {
            return Err(NotPaused::Already);
        }
        tracing::warn!(connector, ?pause, "a connector stands still");
        pauses.insert(connector, (now() + pause.lasts, pause));
        drop(pauses);
        // Unbounded post: one at a time for each connector.
        actor.do_send(crate::connector::ConnectorMessage::Pause {
            whole_thread: pause.whole_thread,
        });
        Ok(())
    }

    /// From now on some messages are lost, late or doubled.
    pub fn add(&self, rule: Rule) -> Result<(), NotRuled> {
        if rule.medium == Medium::Link && !self.0.has_link() {
            return Err(NotRuled::NoLink);
        }
        let faults = &self.0.faults;
        lock(&faults.rules).add(rule, now())?;
        faults.any.store(true, Ordering::Relaxed);
        tracing::warn!(?rule, "a fault is in force");
        Ok(())
    }

    /// What is in force.
    pub fn in_force(&self) -> InForce {
        let left = |until: Instant| until.saturating_duration_since(now());
        let mut rules = lock(&self.0.faults.rules);
        let active = rules.active(now()).iter();
        let rules = active.map(|active| (active.rule, left(active.until), active.met)).collect();
        let pauses = lock(&self.0.faults.pauses);
        let standing = pauses.iter().map(|(id, (until, pause))| (*id, *pause, left(*until)));
        InForce {
            rules,
            pauses: standing.filter(|(.., left)| !left.is_zero()).collect(),
        }
    }

    /// Ends all.
    pub fn end_all(&self) {
        let faults = &self.0.faults;
        lock(&faults.rules).clear();
        faults.any.store(false, Ordering::Relaxed);
        lock(&faults.pauses).clear();
        faults.ended.notify_all();
        faults.ended_here.notify_waiters();
    }
}
