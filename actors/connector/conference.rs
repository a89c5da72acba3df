//! The connector's side of one live call.
//!
//! Place: child of its Connector, on the same arbiter. Temporary: a crash ends its call (the connector ends the legs and tells the
//! T-Server side); nobody else notices.
//!
//! | message | effect |
//! |---|---|
//! | [`ConferenceMessage`] | the pure machine's input; leg commands go to the Connector, notifications up the link |
//!
//! It stops after its machine has ended.

use std::sync::Arc;

use actix::{Actor, ActorContext, Addr, Context, Handler, Message};
use tandem_model::conference::{Conference, ConferenceInput, ConferenceOutput, ConferenceSettings};
use tandem_model::{ConferenceId, ConnectorId};

use super::connector_actor::{ConnectorActor, ConnectorMessage};
use crate::alarm::{Alarm, Alarmed};
use crate::directory::Directory;
use crate::kind::{ActorKind, Waiting};
use crate::now;
use crate::supervision::ChildSpec;
use crate::tserver::Notify;

/// The mailbox of a conference: more than its legs can say while it handles one message.
pub(super) const SPEC: ChildSpec = ChildSpec::temporary(ActorKind::Conference, 64);

/// An input of the machine, or an injected fault.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum ConferenceMessage {
    /// For the machine.
    Input(ConferenceInput),
    /// Panic, to test the supervision.
    #[cfg(feature = "fault-injection")]
    Crash,
}

/// The actor.
pub struct ConferenceActor {
    id: ConferenceId,
    connector: ConnectorId,
    machine: Conference,
    directory: Arc<Directory>,
    parent: Addr<ConnectorActor>,
    out: Vec<ConferenceOutput>,
    alarm: Alarm,
}

impl ConferenceActor {
    /// A conference without parties.
    pub fn new(
        id: ConferenceId,
        connector: ConnectorId,
        settings: ConferenceSettings,
        directory: Arc<Directory>,
        parent: Addr<ConnectorActor>,
    ) -> Self {
        Self {
            id,
            connector,
            machine: Conference::new(id, settings),
            directory,
            parent,
            out: Vec::new(),
            alarm: Alarm::default(),
        }
    }

    fn apply(&mut self, input: ConferenceInput, ctx: &mut Context<Self>) {
        self.machine.handle(input, now(), &mut self.out);
        let mut commands = Vec::new();
        let mut notifications = Vec::new();
        for output in self.out.drain(..) {
            match output {
                ConferenceOutput::Leg { leg, command } => commands.push((leg, command)),
                ConferenceOutput::Notify(notification) => notifications.push(notification),
                ConferenceOutput::Media(_) | ConferenceOutput::GiveAway { .. } => {}
            }
        }
        // Unbounded posts: each is caused by one message to this actor, whose own mailbox and legs are bounded.
        if !commands.is_empty() {
            self.parent.do_send(ConnectorMessage::Legs {
                conference: self.id,
                commands,
                waiting: Waiting::new(ActorKind::Connector),
            });
        }
        if !notifications.is_empty()
            && let Some(link) = self.directory.link(self.connector)
        {
            link.do_send(Notify {
                notifications,
                waiting: Waiting::new(ActorKind::ConnectorLink),
            });
        }
        if self.machine.is_ended() {
            ctx.stop();
        } else {
            self.alarm.set(self.machine.next_timeout(), ctx);
        }
    }
}

impl Actor for ConferenceActor {
    type Context = Context<Self>;
}

impl Alarmed for ConferenceActor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.apply(ConferenceInput::Timeout, ctx);
    }
}

impl Handler<ConferenceMessage> for ConferenceActor {
    type Result = ();

    fn handle(&mut self, message: ConferenceMessage, ctx: &mut Context<Self>) {
        match message {
            ConferenceMessage::Input(input) => self.apply(input, ctx),
            #[cfg(feature = "fault-injection")]
            ConferenceMessage::Crash => panic!("injected into a conference"),
        }
    }
}
