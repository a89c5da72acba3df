//! A server that goes down without a caller noticing: what a signal, or an operator over HTTP, asks for, and how far it is.
//!
//! ```text
//! Running ──drain──► Suspending ──the last call ends, the deadline passes, a second signal──► Stopping
//!    ▲                   │
//!    └──────undo─────────┘   (not where a signal asked for it)
//! ```
//!
//! Invariant: while it is suspending no call starts, and nothing is taken from calls that live. What is decided here is carried out by
//! whoever runs the server: it waits on [`Drain`].

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tandem_actors::gateway::Gateway;
use tokio::sync::watch;

use super::notify::Notify;
use crate::api::admin::DrainStatus;

/// How often a drain looks whether the last call has ended.
const POLL: Duration = Duration::from_millis(50);
/// How often the service manager is told how far it is.
const TELL: Duration = Duration::from_secs(5);
/// What the service manager gives on top of the deadline, for the farewells.
const SPARE: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Wish {
    /// Calls.
    #[default]
    Run,
    /// None, by then. By signal: that cannot be taken back.
    Drain { until: Instant, by_signal: bool },
    /// The end, now.
    Stop,
}

/// The drain of a server. Any thread may ask for one; one task waits.
pub struct Drain {
    gateway: Gateway,
    wish: watch::Sender<Wish>,
    /// One change at a time, with what follows from it.
    change: Mutex<()>,
}

impl Drain {
    /// Of the server behind that gateway, which runs.
    pub fn new(gateway: Gateway) -> Self {
        metrics::describe_gauge!(
            "tandem_draining",
            "1 while no call starts because the server goes down, else 0."
        );
        gateway.set_draining(false);
        Self {
            gateway,
            wish: watch::Sender::new(Wish::Run),
            change: Mutex::new(()),
        }
    }

    /// An operator asks for it, or gives another deadline. One that a signal gave is not put off.
    pub fn begin(&self, deadline: Duration) {
        self.change(
            |wish, wanted| match wish {
                Wish::Run => Some(Wish::Drain {
                    until: wanted,
                    by_signal: false,
                }),
                Wish::Drain { until, by_signal } => Some(Wish::Drain {
                    until: if by_signal { until.min(wanted) } else { wanted },
                    by_signal,
                }),
                Wish::Stop => None,
            },
            deadline,
        );
    }

    /// A signal asks for it; the second one for the end.
    pub fn signalled(&self, deadline: Duration) {
        self.change(
            |wish, wanted| {
                Some(match wish {
                    Wish::Run => Wish::Drain {
                        until: wanted,
                        by_signal: true,
                    },
                    Wish::Drain { until, by_signal: false } => Wish::Drain {
                        until: until.min(wanted),
                        by_signal: true,
                    },
                    Wish::Drain { .. } | Wish::Stop => {
                        tracing::warn!("a second signal: not waiting for the calls");
                        Wish::Stop
                    }
                })
            },
            deadline,
        );
    }

    /// The end, now.
    pub fn stop(&self) {
        self.change(|_, _| Some(Wish::Stop), Duration::ZERO);
    }

    /// Calls may start again. `false`: it is too late, or a signal asked for the drain.
    pub fn undo(&self) -> bool {
        let mut undone = false;
        self.change(
            |wish, _| {
                undone = matches!(wish, Wish::Run | Wish::Drain { by_signal: false, .. });
                (undone && wish != Wish::Run).then_some(Wish::Run)
            },
            Duration::ZERO,
        );
        undone
    }

    fn change(&self, next: impl FnOnce(Wish, Instant) -> Option<Wish>, deadline: Duration) {
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *self.wish.borrow();
        let Some(wish) = next(before, Instant::now() + deadline) else {
            return;
        };
        self.gateway.set_draining(wish != Wish::Run);
        match wish {
            Wish::Run => tracing::info!("drain taken back"),
            Wish::Drain { .. } => tracing::info!(calls = self.gateway.call_count(), ?deadline, "draining"),
            Wish::Stop => {}
        }
        self.wish.send_replace(wish);
    }

    /// How it stands.
    pub fn status(&self) -> DrainStatus {
        let wish = *self.wish.borrow();
        let remaining_s = match wish {
            Wish::Drain { until, .. } => Some(until.saturating_duration_since(Instant::now()).as_millis().div_ceil(1000)),
            _ => None,
        };
        DrainStatus {
            state: match wish {
                Wish::Run => "Running",
                Wish::Drain { .. } => "Suspending",
                Wish::Stop => "Stopping",
            },
            draining: wish != Wish::Run,
            active_calls: self.gateway.call_count(),
            remaining_s: remaining_s.and_then(|seconds| u64::try_from(seconds).ok()),
        }
    }

    /// Returns when the server is to stop: it was asked to drain, and no call is left or none is waited for any more.
    pub async fn over(&self, notify: &Notify) {
        let mut wishes = self.wish.subscribe();
        loop {
            let wish = *wishes.borrow_and_update();
            match wish {
                // The sender is here: it cannot be gone.
                Wish::Run => {
                    let _ = wishes.changed().await;
                }
                Wish::Stop => return,
                Wish::Drain { until, by_signal } => {
                    self.tell(notify, until, by_signal);
                    tokio::select! {
                        _ = wishes.changed() => {
                            if *wishes.borrow() == Wish::Run {
                                notify.status("Running");
                            }
                        }
                        () = self.no_calls() => self.end(wish),
                        () = tokio::time::sleep_until(until.into()) => {
                            tracing::warn!("the calls did not end in time");
                            self.end(wish);
                        }
                        () = tokio::time::sleep(TELL) => {}
                    }
                }
            }
        }
    }

    /// The end, unless something else was asked for in the meantime.
    fn end(&self, unless_changed: Wish) {
        self.change(|wish, _| (wish == unless_changed).then_some(Wish::Stop), Duration::ZERO);
    }

    fn tell(&self, notify: &Notify, until: Instant, by_signal: bool) {
        let status = format!("Suspending: {} calls", self.gateway.call_count());
        let left = until.saturating_duration_since(Instant::now()) + SPARE;
        match by_signal {
            true => notify.stopping(&status, left),
            // The service manager did not ask for it, and it may be taken back.
            false => notify.status(&status),
        }
    }

    async fn no_calls(&self) {
        let mut look = tokio::time::interval(POLL);
        while self.gateway.call_count() > 0 {
            look.tick().await;
        }
    }
}
