//! The connector's side of one live call.
//!
//! Place: child of its Connector, on the same arbiter. Temporary: a crash ends its call (the connector ends the legs and tells the
//! T-Server side); nobody else notices. It is a conference resource: when its call is over, the connector may give it another one.
//!
//! | message | effect |
//! |---|---|
//! | `Begin` | serves a conference from now on, which has no parties yet |
//! | `Input` | the pure machine's input; leg commands go to the Connector, media commands to the plane, notifications up the link |
//! | `Take` | a leg that another conference gave away, with its port; the connector that has its SIP session comes along |
//! | `Port` | what the media plane tells of a port |
//! | `For` | an input from outside the connector, for one conference and no other that the actor may serve by now |
//! | `Stop` | nobody needs it any more |
//!
//! A leg's SIP session stays on the connector where it began, also when the leg moves to a conference of another one: commands go there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use actix::{Actor, ActorContext, Addr, Context, Handler, Message};
use tandem_media::endpoint::Capabilities;
use tandem_media::plane::PortId;
use tandem_model::conference::{Conference, ConferenceInput, ConferenceOutput, ConferenceSettings, GivenParty};
use tandem_model::leg::{LegCommand, LegEvent, MediaEvent};
use tandem_model::link::OperationId;
use tandem_model::{ConferenceId, ConnectorId, LegId, PartyId};

use super::anchors::{Anchors, Heard, LegMedia, Resolved};
use super::connector_actor::{ConnectorActor, ConnectorMessage};
use crate::alarm::{Alarm, Alarmed};
use crate::directory::Directory;
use crate::kind::{ActorKind, Waiting};
use crate::media::Media;
use crate::now;
use crate::supervision::ChildSpec;
use crate::tserver::Notify;

/// The mailbox of a conference: more than its legs can say while it handles one message.
pub(super) const SPEC: ChildSpec = ChildSpec::temporary(ActorKind::Conference, 64);

/// An input of the machine, or an injected fault.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum ConferenceMessage {
    /// Serve this conference.
    Begin {
        /// Its id.
        id: ConferenceId,
        /// Whether its media goes through the plane always.
        anchored: bool,
    },
    /// For the machine.
    Input(ConferenceInput),
    /// For the machine of this conference.
    For(ConferenceId, ConferenceInput),
    /// No more calls.
    Stop,
    /// A leg given away by another conference.
    Take(Box<Moving>),
    /// A port tells something.
    Port {
        /// The port.
        port: PortId,
        /// What.
        event: MediaEvent,
    },
    /// Panic, to test the supervision.
    #[cfg(feature = "fault-injection")]
    Crash,
}

/// A leg on its way from one conference to another.
pub struct Moving {
    /// Who takes it.
    pub to: ConferenceId,
    /// The operation there that waits for it.
    pub operation: OperationId,
    /// Its party there.
    pub as_party: PartyId,
    /// The leg and its party; none where there was none to give.
    pub given: Option<GivenParty>,
    /// What is known of its media.
    pub media: Option<LegMedia>,
    /// Where its SIP session is.
    pub home: Addr<ConnectorActor>,
}

impl std::fmt::Debug for Moving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moving")
            .field("to", &self.to)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

/// The actor.
pub struct ConferenceActor {
    id: ConferenceId,
    connector: ConnectorId,
    settings: ConferenceSettings,
    machine: Conference,
    media: Arc<dyn Media>,
    capabilities: Capabilities,
    directory: Arc<Directory>,
    parent: Addr<ConnectorActor>,
    anchors: Anchors,
    /// The connectors of legs whose sessions are not with `parent`.
    homes: BTreeMap<LegId, Addr<ConnectorActor>>,
    /// Legs that were given away, and where their sessions are: what was on its way here goes after them.
    given: BTreeMap<LegId, Addr<ConnectorActor>>,
    out: Vec<ConferenceOutput>,
    alarm: Alarm,
}

impl ConferenceActor {
    /// An actor that serves nobody yet.
    pub fn new(
        connector: ConnectorId,
        settings: ConferenceSettings,
        media: Arc<dyn Media>,
        capabilities: Capabilities,
        directory: Arc<Directory>,
        parent: Addr<ConnectorActor>,
    ) -> Self {
        let id = ConferenceId(0);
        Self {
            id,
            connector,
            settings,
            machine: Conference::new(id, settings),
            anchors: Anchors::new(id, media.clone(), capabilities.clone()),
            media,
            capabilities,
            directory,
            parent,
            homes: BTreeMap::new(),
            given: BTreeMap::new(),
            out: Vec::new(),
            alarm: Alarm::default(),
        }
    }

    fn apply(&mut self, input: ConferenceInput, ctx: &mut Context<Self>) {
        let was_ended = self.machine.is_ended();
        let mut commands = Vec::new();
        let mut notifications = Vec::new();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let refused = self.note(&input);
            self.machine.handle(input, now(), &mut self.out);
            for output in std::mem::take(&mut self.out) {
                match output {
                    ConferenceOutput::Leg { leg, command } => self.resolve(leg, command, &mut commands, &mut inputs),
                    ConferenceOutput::Media(command) => self.anchors.command(command),
                    ConferenceOutput::Notify(notification) => notifications.push(notification),
                    ConferenceOutput::GiveAway {
                        to,
                        operation,
                        as_party,
                        given,
                    } => {
                        // What was said on the leg so far goes first: its session answers to the other conference from then on.
                        self.post(&mut commands);
                        self.give_away(to, operation, as_party, given);
                    }
                }
            }
            inputs.extend(refused);
        }
        self.post(&mut commands);
        // Unbounded post: each is caused by one message to this actor, whose own mailbox and legs are bounded.
        if !notifications.is_empty()
            && let Some(link) = self.directory.link(self.connector)
        {
            link.do_send(Notify {
                notifications,
                waiting: Waiting::new(ActorKind::ConnectorLink),
            });
        }
        self.alarm.set(self.machine.next_timeout(), ctx);
        if self.machine.is_ended() && !was_ended {
            // Unbounded post: one for each conference.
            self.parent.do_send(ConnectorMessage::ConferenceOver { conference: self.id });
        }
    }

    fn begin(&mut self, id: ConferenceId, anchored: bool, ctx: &mut Context<Self>) {
        self.id = id;
        let settings = ConferenceSettings {
            anchored,
            ..self.settings
        };
        self.machine = Conference::new(id, settings);
        self.anchors = Anchors::new(id, self.media.clone(), self.capabilities.clone());
        self.homes.clear();
        self.given.clear();
        self.out.clear();
        self.alarm.set(None, ctx);
    }

    /// Lets the ports know what a leg said; what they make of it follows as an input of its own.
    fn note(&mut self, input: &ConferenceInput) -> Option<ConferenceInput> {
        match input {
            ConferenceInput::Offered { leg, offer, .. } => {
                self.anchors.offered(*leg, offer.as_ref());
                None
            }
            ConferenceInput::Leg { leg, event } => {
                if matches!(
                    event,
                    LegEvent::Failed { .. } | LegEvent::Cancelled { .. } | LegEvent::Ended { .. }
                ) {
                    self.homes.remove(leg);
                }
                let event = self.anchors.heard(*leg, event)?;
                Some(ConferenceInput::Media { leg: *leg, event })
            }
            _ => None,
        }
    }

    fn resolve(
        &mut self,
        leg: LegId,
        command: LegCommand,
        commands: &mut Vec<(LegId, LegCommand)>,
        inputs: &mut VecDeque<ConferenceInput>,
    ) {
        match self.anchors.resolve(leg, command) {
            Resolved::Send(command) => commands.push((leg, command)),
            Resolved::Refused { send, heard } => {
                commands.extend(send.into_iter().map(|command| (leg, command)));
                inputs.extend(heard.into_iter().map(|heard| match heard {
                    Heard::Leg(event) => ConferenceInput::Leg { leg, event },
                    Heard::Media(event) => ConferenceInput::Media { leg, event },
                }));
            }
        }
    }

    /// Sends the leg commands to where the sessions are.
    fn post(&self, commands: &mut Vec<(LegId, LegCommand)>) {
        let mut commands = std::mem::take(commands);
        if !self.homes.is_empty() {
            for (leg, home) in &self.homes {
                let away: Vec<_> = commands.extract_if(.., |(of, _)| of == leg).collect();
                self.post_to(home, away);
            }
        }
        self.post_to(&self.parent, commands);
    }

    fn post_to(&self, connector: &Addr<ConnectorActor>, commands: Vec<(LegId, LegCommand)>) {
        if commands.is_empty() {
            return;
        }
        // Unbounded post: each is caused by one message to this actor, whose own mailbox and legs are bounded.
        connector.do_send(ConnectorMessage::Legs {
            conference: self.id,
            commands,
            waiting: Waiting::new(ActorKind::Connector),
        });
    }

    /// A leg that comes when its conference has ended is ended as well, with its port.
    fn turn_away(&self, moving: Moving) {
        if let Some(given) = moving.given {
            let bye = (given.leg, LegCommand::Bye { q850: None });
            // Unbounded post: one for each leg that moves.
            moving.home.do_send(ConnectorMessage::Legs {
                conference: moving.to,
                commands: vec![bye],
                waiting: Waiting::new(ActorKind::Connector),
            });
        }
    }

    fn give_away(&mut self, to: ConferenceId, operation: OperationId, as_party: PartyId, given: Option<GivenParty>) {
        let leg = given.as_ref().map(|given| given.leg);
        let home = leg
            .and_then(|leg| self.homes.remove(&leg))
            .unwrap_or_else(|| self.parent.clone());
        let moving = Box::new(Moving {
            to,
            operation,
            as_party,
            given,
            media: leg.and_then(|leg| self.anchors.give(leg)),
            home: home.clone(),
        });
        // Unbounded posts: one for each operation of a conference, and it has one at a time.
        match leg {
            Some(leg) => {
                self.given.insert(leg, home.clone());
                home.do_send(ConnectorMessage::GiveAway {
                    conference: self.id,
                    leg,
                    moving,
                });
            }
            None => {
                if let Some(taker) = self.directory.conference(to) {
                    taker.do_send(ConferenceMessage::Take(moving));
                }
            }
        }
    }

    fn apply_for(&mut self, id: ConferenceId, input: ConferenceInput, ctx: &mut Context<Self>) {
        match input {
            input if id == self.id => self.apply(input, ctx),
            // It has ended; the one that waits is told that there is nothing to take.
            ConferenceInput::Give {
                to, operation, as_party, ..
            } => self.give_away(to, operation, as_party, None),
            _ => {}
        }
    }

    /// What a leg said before its connector knew that it was given away.
    fn send_after(&self, leg: LegId, event: LegEvent) {
        if let Some(home) = self.given.get(&leg) {
            // Unbounded post: what waited in this actor's mailbox.
            home.do_send(ConnectorMessage::SendAfter {
                conference: self.id,
                leg,
                event,
            });
        }
    }

    fn take(&mut self, moving: Moving, ctx: &mut Context<Self>) {
        if moving.to != self.id || self.machine.is_ended() {
            return self.turn_away(moving);
        }
        if let Some(given) = &moving.given {
            if let Some(media) = moving.media {
                self.anchors.take(given.leg, media);
            }
            if moving.home != self.parent {
                self.homes.insert(given.leg, moving.home);
            }
        }
        let input = ConferenceInput::Take {
            operation: moving.operation,
            party: moving.as_party,
            given: moving.given,
        };
        self.apply(input, ctx);
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
            ConferenceMessage::Begin { id, anchored } => self.begin(id, anchored, ctx),
            ConferenceMessage::Input(ConferenceInput::Leg { leg, event }) if self.given.contains_key(&leg) => {
                self.send_after(leg, event);
            }
            ConferenceMessage::Input(input) => self.apply(input, ctx),
            ConferenceMessage::For(id, input) => self.apply_for(id, input, ctx),
            ConferenceMessage::Stop => ctx.stop(),
            ConferenceMessage::Take(moving) => self.take(*moving, ctx),
            ConferenceMessage::Port { port, event } => {
                if let Some(leg) = self.anchors.leg_of(port) {
                    self.apply(ConferenceInput::Media { leg, event }, ctx);
                }
            }
            #[cfg(feature = "fault-injection")]
            ConferenceMessage::Crash => panic!("injected into a conference"),
        }
    }
}
