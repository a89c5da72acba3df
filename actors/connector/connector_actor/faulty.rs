//! What a connector does with faults: it stands still, and SIP messages are lost, late or doubled on their way in and out.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{ConnectorActor, Received};
use crate::fault::sip::{Held, spread};
use crate::fault::{Direction, Faults};
use crate::now;

impl ConnectorActor {
    /// Looks at nothing until the pause is over.
    pub(super) fn pause(&mut self, whole_thread: bool, ctx: &mut Context<Self>) {
        let connector = self.parts.shard.borrow().id.0;
        let directory = self.parts.directory.clone();
        if whole_thread {
            directory.faults.stand_still(connector);
        } else {
            ctx.wait(Faults::wait(directory, connector).into_actor(self).map(|(), _, _| ()));
        }
    }

    /// What is left of what arrived.
    pub(super) fn receive_through_faults(&mut self, batch: Vec<Received>, ctx: &mut Context<Self>) -> Vec<Received> {
        let connector = self.parts.shard.borrow().id.0;
        let directory = &self.parts.directory;
        if !directory.faults.may_be() {
            return batch;
        }
        spread(&directory.faults, Direction::In, connector, batch, |delay, received| {
            let held = Held::new(directory);
            ctx.run_later(delay, move |actor, ctx| {
                drop(held);
                actor.receive(received);
                actor.turn(ctx);
            });
        })
    }

    /// What is to be sent becomes what is left of it.
    pub(super) fn send_through_faults(&mut self, ctx: &mut Context<Self>) {
        let connector = self.parts.shard.borrow().id.0;
        let directory = &self.parts.directory;
        if !directory.faults.may_be() {
            return;
        }
        let batch = std::mem::take(&mut self.outgoing);
        self.outgoing = spread(&directory.faults, Direction::Out, connector, batch, |delay, sent| {
            let held = Held::new(directory);
            ctx.run_later(delay, move |actor, ctx| {
                drop(held);
                for flow in actor.parts.network.send(&mut vec![sent]) {
                    actor.parts.shard.borrow_mut().ua.flow_failed(now(), &flow);
                }
                actor.turn(ctx);
            });
        });
    }
}
