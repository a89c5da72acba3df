//! The actor that has one end of a link: what [`super::RemoteLink`] and [`super::LinkServer`] are both.
//!
//! Place: permanent child. The session lives in a slot: a crash costs the message that caused it and breaks the connection off, which is
//! then resumed. Escalation starts a new session, and that brings a synchronisation.
//!
//! | message | from | effect |
//! |---|---|---|
//! | [`ConnectionEvent`] | the connection's tasks | into the session |
//!
//! Not here: how a connection comes about, who sends messages and who gets those that arrive. An [`End`] says that, and handles messages
//! of its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Supervised};
use tandem_model::ConnectorId;
use tandem_wire::link::SessionConfig;
use tandem_wire::mltp::Carried;

use super::carrier::{Carrier, Wish};
use super::connection::{self, ConnectionEvent};
use super::transport::Stream;
use crate::alarm::{Alarm, Alarmed};
use crate::directory::Directory;
use crate::kind::ActorKind;
use crate::now;
use crate::supervision::{ChildSpec, Escalation, Slot, escalate_if_due, supervise};

/// Bounded by what calls post at the T-Server's end, and by what the connector and its conferences post at the other; see there.
const SPEC: ChildSpec = ChildSpec::permanent(ActorKind::ConnectorLink, 65_536);

/// What is one end's own.
pub trait End: Sized + Unpin + 'static {
    /// What it sends.
    type Out: Carried;
    /// What it is sent.
    type In: Carried;

    /// Does what the session wants, in this order.
    fn fulfil(link: &mut Endpoint<Self>, wishes: Vec<Wish<Self::In>>, ctx: &mut Context<Endpoint<Self>>);

    /// The session is lost, and a new one begins.
    fn is_lost(link: &Endpoint<Self>);
}

/// The actor.
pub struct Endpoint<E: End> {
    pub(super) connector: ConnectorId,
    pub(super) directory: Arc<Directory>,
    pub(super) carrier: Slot<Carrier<E::Out, E::In>>,
    pub(super) end: E,
    alarm: Alarm,
}

impl<E: End> Endpoint<E> {
    /// Starts it on the current arbiter, without a connection. `label` names the link in logs.
    pub(super) fn launch(
        connector: ConnectorId,
        directory: Arc<Directory>,
        session: SessionConfig,
        label: String,
        end: E,
    ) -> Addr<Self> {
        let actor = Self {
            connector,
            directory,
            carrier: Rc::new(RefCell::new(Carrier::new(session, label))),
            end,
            alarm: Alarm::default(),
        };
        supervise(SPEC, actor)
    }

    /// Goes on with a connection, whose id is [`Carrier::new_connection`]'s.
    pub(super) fn attach(&self, id: u64, stream: Stream, ctx: &mut Context<Self>) {
        #[cfg(feature = "fault-injection")]
        let stream = crate::fault::link::through_faults(stream, &self.directory, self.connector);
        let writer = connection::start(stream, id, ctx.address());
        self.carrier.borrow_mut().connected(id, writer);
    }

    /// Does what the session wants, and arms the timer.
    pub(super) fn turn(&mut self, ctx: &mut Context<Self>) {
        loop {
            let wishes = self.carrier.borrow_mut().turn();
            if wishes.is_empty() {
                break;
            }
            E::fulfil(self, wishes, ctx);
        }
        self.arm(ctx);
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let due = self.carrier.borrow().session.next_timeout();
        self.alarm.set_latest(due, ctx);
    }
}

impl<E: End> Actor for Endpoint<E> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.arm(ctx);
    }
}

impl<E: End> Alarmed for Endpoint<E> {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.carrier.borrow_mut().session.timeout(now());
        self.turn(ctx);
    }
}

impl<E: End> Supervised for Endpoint<E> {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        escalate_if_due(self);
        self.alarm = Alarm::default();
        self.carrier.borrow_mut().break_off();
        self.turn(ctx);
    }
}

impl<E: End> Escalation for Endpoint<E> {
    fn escalate(&mut self) {
        let mut carrier = self.carrier.borrow_mut();
        tracing::error!(link = carrier.label(), "the link starts a new session");
        carrier.start_over();
        drop(carrier);
        E::is_lost(self);
    }
}

impl<E: End> Handler<ConnectionEvent> for Endpoint<E> {
    type Result = ();

    fn handle(&mut self, event: ConnectionEvent, ctx: &mut Context<Self>) {
        match event {
            ConnectionEvent::Received { id, bytes } => self.carrier.borrow_mut().received(id, &bytes),
            ConnectionEvent::Closed { id } => self.carrier.borrow_mut().closed(id),
        }
        self.turn(ctx);
    }
}

#[cfg(feature = "fault-injection")]
impl<E: End> Handler<crate::tserver::Inject> for Endpoint<E> {
    type Result = ();

    fn handle(&mut self, _: crate::tserver::Inject, _: &mut Context<Self>) {
        panic!("injected into an end of a link");
    }
}
