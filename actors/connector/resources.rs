//! The conference resources of a connector: actors that serve one conference after the other (see [`tandem_model::conference_pool`]).

use std::cell::Cell;
use std::rc::Rc;

use actix::{Addr, AsyncContext, Context, Handler};
use tandem_model::conference_pool::Resource;
use tandem_model::link::LinkNotification;
use tandem_model::{ConferenceId, ConnectorId, LegId};

use super::conference::{self, ConferenceActor, ConferenceMessage};
use super::connector_actor::{ConnectorActor, INTERNAL_ERROR};
use super::message::ConnectorMessage;
use super::registrar::RegistrarMessage;
use super::shard::Ready;
use crate::now;
use crate::supervision::{DownReason, launch_transient};

impl ConnectorActor {
    /// Gives a conference its resource. `anchored`: its media goes through the plane always.
    pub(super) fn start_conference(
        &mut self,
        id: ConferenceId,
        anchored: bool,
        ctx: &mut Context<Self>,
    ) -> Addr<ConferenceActor> {
        let (resource, ready) = self.take_resource();
        let ready = ready.unwrap_or_else(|| self.make_resource(ctx));
        ready.serves.set(Some(id));
        let actor = ready.actor.clone();
        // Unbounded post: one for each conference.
        actor.do_send(ConferenceMessage::Begin { id, anchored });
        self.parts.directory.insert_conference(id, actor.clone());
        self.parts.shard.borrow_mut().add_conference(id, resource, ready);
        self.refill(ctx);
        actor
    }

    /// Gives a conference of the process before its resource; these are its legs that have come back.
    pub(super) fn restore_conference(
        &mut self,
        id: ConferenceId,
        record: Vec<u8>,
        legs: Vec<(LegId, ConnectorId)>,
        ctx: &mut Context<Self>,
    ) {
        let (resource, ready) = self.take_resource();
        let ready = ready.unwrap_or_else(|| self.make_resource(ctx));
        ready.serves.set(Some(id));
        let actor = ready.actor.clone();
        // Unbounded post: one for each conference.
        actor.do_send(ConferenceMessage::Restore { id, record, legs });
        self.parts.directory.insert_conference(id, actor);
        let mut shard = self.parts.shard.borrow_mut();
        shard.add_conference(id, resource, ready);
        shard.join_conference(id);
        drop(shard);
        self.refill(ctx);
    }

    /// A resource that is alive: one that crashed while it stood ready is passed over.
    pub(super) fn take_resource(&self) -> (Resource, Option<Ready>) {
        let pool = &mut self.parts.shard.borrow_mut().resources;
        loop {
            match pool.take() {
                (resource, Some(ready)) if !ready.actor.connected() => pool.lose(&resource),
                taken => return taken,
            }
        }
    }

    pub(super) fn make_resource(&self, ctx: &mut Context<Self>) -> Ready {
        let parent = ctx.address();
        let serves = Rc::new(Cell::new(None));
        let actor = ConferenceActor::new(
            self.parts.shard.borrow().id,
            self.parts.media.clone(),
            self.parts.capabilities.clone(),
            self.parts.directory.clone(),
            self.parts.journal.clone(),
            parent.clone(),
        );
        let serving = serves.clone();
        let actor = launch_transient(conference::SPEC, actor, move |reason| {
            if let (Some(conference), DownReason::Panicked(_)) = (serving.get(), reason) {
                // Unbounded post: one for each conference.
                parent.do_send(ConnectorMessage::ConferenceDown { conference });
            }
        });
        Ready { actor, serves }
    }

    /// Has what the pool lacks made after the messages that wait.
    pub(super) fn refill(&self, ctx: &mut Context<Self>) {
        if self.parts.shard.borrow().resources.missing() > 0 {
            ctx.notify(Refill);
        }
    }

    pub(super) fn conference_over(&mut self, conference: ConferenceId, ctx: &mut Context<Self>) {
        self.parts.directory.remove_conference(conference);
        let mut shard = self.parts.shard.borrow_mut();
        let Some((resource, ready, left)) = shard.remove_conference(conference) else {
            return;
        };
        for session in left {
            // Ends the session in whatever state it is: BYE, CANCEL or a final response.
            shard.ua.bye(now(), session, Some(INTERNAL_ERROR));
        }
        ready.serves.set(None);
        if let Some(ready) = shard.resources.give_back(resource, ready) {
            // Unbounded post: one for each actor.
            ready.actor.do_send(ConferenceMessage::Stop);
        }
        drop(shard);
        self.refill(ctx);
    }

    /// Keeps conferences ready as is wanted now, and has who is no device any more registered no more.
    pub(super) fn settings_changed(&self, ctx: &mut Context<Self>) {
        let settings = self.parts.directory.live.settings();
        let given_up = self.parts.shard.borrow_mut().resources.change(settings.pool.clone());
        for ready in given_up {
            // Unbounded post: one for each actor.
            ready.actor.do_send(ConferenceMessage::Stop);
        }
        self.refill(ctx);
        // Unbounded post: one for each reading of the configuration.
        self.parts.registrar.do_send(RegistrarMessage::Dismiss);
    }

    pub(super) fn legs_kept(&mut self, conference: ConferenceId, legs: &[LegId]) {
        let mut shard = self.parts.shard.borrow_mut();
        for session in shard.sessions_but(conference, legs) {
            shard.ua.bye(now(), session, Some(INTERNAL_ERROR));
            shard.remove_session(session);
        }
    }

    pub(super) fn conference_down(&mut self, conference: ConferenceId, ctx: &mut Context<Self>) {
        self.parts.directory.remove_conference(conference);
        let mut shard = self.parts.shard.borrow_mut();
        let Some((resource, _, left)) = shard.remove_conference(conference) else {
            return;
        };
        shard.resources.lose(&resource);
        for session in left {
            shard.ua.bye(now(), session, Some(INTERNAL_ERROR));
        }
        drop(shard);
        // Unbounded posts: one to each connector for each crash.
        for connector in self.parts.directory.connectors() {
            connector.do_send(ConnectorMessage::EndAway { conference });
        }
        self.notify(LinkNotification::ConferenceEnded { conference });
        self.refill(ctx);
    }
}

/// Make conference resources, so that enough stand ready.
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Refill;

/// How many are made at a time: calls that wait go first.
const REFILL_BATCH: usize = 32;

impl Handler<Refill> for ConnectorActor {
    type Result = ();

    fn handle(&mut self, _: Refill, ctx: &mut Context<Self>) {
        let missing = self.parts.shard.borrow().resources.missing();
        for _ in 0..missing.min(REFILL_BATCH) {
            let ready = self.make_resource(ctx);
            let pool = &mut self.parts.shard.borrow_mut().resources;
            let resource = pool.create();
            pool.store(resource, ready);
        }
        self.report();
        self.refill(ctx);
    }
}
