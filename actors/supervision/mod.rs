//! Supervision of actors: what actix does not do.
//!
//! actix ends an actor whose handler panics, and its own `Supervisor` does not bring it back. Here an actor's context runs inside
//! `Guarded`, a future that catches the panic of one message. Then
//! * a **permanent** child keeps its address and the messages that wait for it; its struct is rebuilt by [`actix::Supervised::restarting`]
//!   (at once, or after a backoff), and only the message that crashed it is lost;
//! * a **transient** child comes back in the same way from what it keeps of itself, as long as it has something to come back from; else it
//!   is buried like
//! * a **temporary** child, which is dropped with its mailbox, and its parent is told why, so that it can clean up.
//!
//! What a permanent child must not lose (the SIP user agent, the event log, bindings) lives outside it in a [`Slot`] that the
//! rebuilt struct borrows again. Too many crashes ([`ChildSpec::max_restarts`] in `window`) make the slot itself the suspect: the
//! child's [`Escalation`] is told to start with fresh state.
//!
//! No handler returns a future of its own, so a `MailboxError` means that the actor is down, and the guard has seen why; whoever asked
//! (the gateway) reports it as unavailable.
//!
//! Prohibitions: hooks (`started`, `stopping`, `stopped`, `restarting`) must not panic, and nothing here swallows a crash: each one
//! is logged with its message, counted in `tandem_actor_crashes_total{kind}`, each restart in `tandem_actor_restarts_total{kind}`.

mod policy;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use actix::dev::ContextFut;
use actix::{Actor, ActorContext, Addr, Context, Supervised};

use crate::kind::KindMetrics;
use crate::now;
pub use policy::{ChildSpec, CrashHistory, Restart, Verdict};

/// State that outlives a crash of the actor that works on it. Single-threaded, and never borrowed across an await.
pub type Slot<T> = Rc<RefCell<T>>;

/// Why a child is down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DownReason {
    /// It stopped by itself.
    Normal,
    /// It panicked, with this message.
    Panicked(String),
}

/// What a permanent actor does when its state became the suspect.
pub trait Escalation: Supervised {
    /// Throws the old state away and cleans up what hung on it. `restarting` follows.
    fn escalate(&mut self);
}

/// Runs a permanent child. The address stays good for the life of the process.
pub fn supervise<A>(spec: ChildSpec, actor: A) -> Addr<A>
where
    A: Escalation + Actor<Context = Context<A>>,
{
    let (addr, future) = context(spec, actor);
    spec.kind.metrics().alive.increment(1.0);
    actix_rt::spawn(Permanent {
        future,
        history: CrashHistory::new(spec),
        metrics: spec.kind.metrics(),
        waiting: None,
    });
    addr
}

/// Runs a temporary child; `down` is called once, when it is gone, outside of any panic.
pub fn launch<A>(spec: ChildSpec, actor: A, down: impl FnOnce(DownReason) + 'static) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    run(spec, actor, |_, _| false, down)
}

/// Runs a transient child: after a crash its [`Supervised::restarting`] takes it back to what it kept, or says [`give_up`]. `down` is called
/// once, when it is gone.
pub fn launch_transient<A>(spec: ChildSpec, actor: A, down: impl FnOnce(DownReason) + 'static) -> Addr<A>
where
    A: Supervised + Actor<Context = Context<A>>,
{
    let mut history = CrashHistory::new(spec);
    let comes_back = move |future: &mut ContextFut<A, Context<A>>, metrics: &KindMetrics| {
        if history.crashed(now()) == Verdict::Bury {
            return false;
        }
        GIVEN_UP.set(false);
        let rebuilt = catch_unwind(AssertUnwindSafe(|| future.restart()));
        let back = matches!(rebuilt, Ok(true)) && !GIVEN_UP.replace(false);
        metrics.restarts.increment(u64::from(back));
        back
    };
    run(spec, actor, comes_back, down)
}

fn run<A>(
    spec: ChildSpec,
    actor: A,
    mut comes_back: impl FnMut(&mut ContextFut<A, Context<A>>, &KindMetrics) -> bool + 'static,
    down: impl FnOnce(DownReason) + 'static,
) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    let (addr, future) = context(spec, actor);
    let metrics = spec.kind.metrics();
    actix_rt::spawn(async move {
        metrics.alive.increment(1.0);
        let mut guarded = Guarded(future);
        let reason = loop {
            let reason = (&mut guarded).await;
            let DownReason::Panicked(message) = &reason else {
                break reason;
            };
            metrics.crashes.increment(1);
            let back = comes_back(&mut guarded.0, metrics);
            tracing::error!(kind = spec.kind.name(), panic = %message, back, "actor crashed");
            if !back {
                // Without this, dropping the context would hand the waiting messages to the broken actor.
                guarded.0.ctx().terminate();
                break reason;
            }
        };
        metrics.alive.decrement(1.0);
        drop(guarded);
        down(reason);
    });
    addr
}

fn context<A: Actor<Context = Context<A>>>(spec: ChildSpec, actor: A) -> (Addr<A>, ContextFut<A, Context<A>>) {
    let mut context = Context::new();
    context.set_mailbox_capacity(spec.mailbox);
    let future = context.into_future(actor);
    (future.address(), future)
}

/// Polls the actor's context; a panic is caught and told.
struct Guarded<A: Actor<Context = Context<A>>>(ContextFut<A, Context<A>>);

impl<A: Actor<Context = Context<A>>> Future for Guarded<A> {
    type Output = DownReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<DownReason> {
        match poll_guarded(&mut self.0, cx) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(DownReason::Normal),
            Err(message) => Poll::Ready(DownReason::Panicked(message)),
        }
    }
}

/// The task of a permanent child.
struct Permanent<A: Escalation + Actor<Context = Context<A>>> {
    future: ContextFut<A, Context<A>>,
    history: CrashHistory,
    metrics: &'static KindMetrics,
    waiting: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<A: Escalation + Actor<Context = Context<A>>> Future for Permanent<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if let Some(sleep) = &mut this.waiting {
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.waiting = None;
                this.restart();
            }
            match poll_guarded(&mut this.future, cx) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(())) => return Poll::Ready(()),
                Err(message) => this.crashed(&message),
            }
        }
    }
}

impl<A: Escalation + Actor<Context = Context<A>>> Permanent<A> {
    fn crashed(&mut self, message: &str) {
        self.metrics.crashes.increment(1);
        let verdict = self.history.crashed(now());
        tracing::error!(kind = self.metrics.kind, panic = %message, ?verdict, "actor crashed");
        match verdict {
            Verdict::Restart { after } if after.is_zero() => self.restart(),
            Verdict::Restart { after } => self.waiting = Some(Box::pin(tokio::time::sleep(after))),
            Verdict::Escalate | Verdict::Bury => {
                // The actor is rebuilt by `restarting`; the escalation reaches it as its flag.
                ESCALATED.set(true);
                self.restart();
            }
        }
    }

    /// Rebuilds the actor. A hook that panics, against the rule, must not cost the actor for good: it is tried again after a while.
    fn restart(&mut self) {
        self.metrics.restarts.increment(1);
        let future = &mut self.future;
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| future.restart())) {
            self.metrics.crashes.increment(1);
            tracing::error!(kind = self.metrics.kind, panic = %panic_message(&*payload), "actor crashed while it was rebuilt");
            self.waiting = Some(Box::pin(tokio::time::sleep(self.history.longest_wait())));
        }
    }
}

/// A panic that was caught.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// Where it was: file, line and column; empty where the process has no hook that tells.
    pub place: String,
}

thread_local! {
    static PLACE: Cell<String> = const { Cell::new(String::new()) };
    static CAUGHT: RefCell<Panic> = const { RefCell::new(Panic { message: String::new(), place: String::new() }) };
    static GIVEN_UP: Cell<bool> = const { Cell::new(false) };
    static ESCALATED: Cell<bool> = const { Cell::new(false) };
}

/// To be called first in [`Supervised::restarting`]: carries the escalation out where one is due.
pub fn escalate_if_due<A: Escalation>(actor: &mut A) {
    if ESCALATED.replace(false) {
        actor.escalate();
    }
}

/// To be called in [`Supervised::restarting`] of a transient actor that has nothing to come back from: it is buried.
pub fn give_up() {
    GIVEN_UP.set(true);
}

/// To be called by the panic hook of the process: where a panic is, which nobody can ask any more when it is caught.
pub fn panicked_at(place: &str) {
    // A thread that is about to end has no such place any more.
    let _ = PLACE.try_with(|last| last.set(place.to_owned()));
}

/// The panic of an actor that was caught last on this thread; for its [`Supervised::restarting`].
pub fn last_panic() -> Panic {
    CAUGHT.with_borrow(Clone::clone)
}

/// A panic was caught.
pub(crate) fn caught(message: &str) {
    CAUGHT.replace(Panic {
        message: message.to_owned(),
        place: PLACE.take(),
    });
}

fn poll_guarded<A>(future: &mut ContextFut<A, Context<A>>, cx: &mut TaskContext<'_>) -> Result<Poll<()>, String>
where
    A: Actor<Context = Context<A>>,
{
    catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(cx))).map_err(|payload| {
        let message = panic_message(&*payload);
        caught(&message);
        message
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

#[cfg(test)]
mod tests;
