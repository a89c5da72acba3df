//! The one timer of an actor: it is set from what its machine says is due next, and a simulation's clock moves it.
//!
//! Invariant: never more than one timer waits. Not here: what is due, which the machine alone knows; an alarm that rings too early
//! costs one look.

use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, SpawnHandle};

use crate::now;

/// An actor with an alarm.
pub(crate) trait Alarmed: Actor<Context = Context<Self>> {
    /// Its alarm.
    fn alarm(&mut self) -> &mut Alarm;

    /// The alarm rings. It is not set any more.
    fn ring(&mut self, ctx: &mut Context<Self>);
}

/// When the alarm rings, and the timer that rings it; `None`: it is not set.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<(Instant, SpawnHandle)>);

impl Alarm {
    /// Rings at `due` and at no other time; `None`: not at all.
    pub(crate) fn set<A: Alarmed>(&mut self, due: Option<Instant>, ctx: &mut Context<A>) {
        if due == self.0.map(|(armed, _)| armed) {
            return;
        }
        self.cancel(ctx);
        if let Some(due) = due {
            self.start(due, ctx);
        }
    }

    /// Rings at `due` at the latest. One that rings earlier is left alone: moving it with every message would cost more than the look.
    pub(crate) fn set_latest<A: Alarmed>(&mut self, due: Option<Instant>, ctx: &mut Context<A>) {
        let Some(due) = due.filter(|due| self.0.is_none_or(|(armed, _)| armed > *due)) else {
            return;
        };
        self.cancel(ctx);
        self.start(due, ctx);
    }

    fn cancel<A: Alarmed>(&mut self, ctx: &mut Context<A>) {
        if let Some((_, timer)) = self.0.take() {
            ctx.cancel_future(timer);
        }
    }

    fn start<A: Alarmed>(&mut self, due: Instant, ctx: &mut Context<A>) {
        // Not less than a millisecond, so that a machine that is late never makes its actor spin.
        let wait = due.saturating_duration_since(now()).max(Duration::from_millis(1));
        let timer = ctx.run_later(wait, |actor: &mut A, ctx| {
            *actor.alarm() = Self::default();
            actor.ring(ctx);
        });
        self.0 = Some((due, timer));
    }
}
