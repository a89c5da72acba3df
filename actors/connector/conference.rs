//! The connector's side of one live call.
//!
//! Place: child of its Connector, on the same arbiter. It is a conference resource: when its call is over, the connector may give it another
//! one. Transient: after a crash its machine is as it was before, and takes the input that crashed it once more. A second crash on the same
//! input ends the call (the connector ends the legs and tells the T-Server side), and the input is [quarantined](crate::quarantine); nobody
//! else notices. While somebody is in talk it keeps
//! what it is in the journal.
//!
//! | message | effect |
//! |---|---|
//! | `Restore` | serves a conference of the process before |
//! | `KeepAgain` | puts what it keeps into the journal once more |
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

use actix::{Actor, ActorContext, Addr, Context, Handler, Message, Supervised};
use serde::{Deserialize, Serialize};
use tandem_media::endpoint::Capabilities;
use tandem_media::plane::PortId;
use tandem_model::conference::{
    Conference, ConferenceInput, ConferenceOutput, ConferenceSettings, ConferenceSnapshot, GivenParty,
};
use tandem_model::leg::{LegCommand, LegEvent, MediaEvent};
use tandem_model::link::{LinkNotification, OperationId};
use tandem_model::{ConferenceId, ConnectorId, LegId, PartyId};

use super::anchors::{Anchors, AnchorsSnapshot, Heard, LegMedia, Resolved};
use super::connector_actor::ConnectorActor;
use super::message::ConnectorMessage;
use crate::alarm::{Alarm, Alarmed};
use crate::directory::Directory;
use crate::journal::{Kept, RecordKind, Scope, SharedJournal};
use crate::kind::{ActorKind, Waiting};
use crate::media::Media;
use crate::now;
use crate::supervision::{ChildSpec, give_up};

/// The mailbox of a conference: more than its legs can say while it handles one message.
pub(super) const SPEC: ChildSpec = ChildSpec::transient(ActorKind::Conference, 64);

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
    /// Serve this conference of the process before.
    Restore {
        /// Its id.
        id: ConferenceId,
        /// What it kept of itself.
        record: Vec<u8>,
        /// Its legs that have come back, and which connectors have their sessions.
        legs: Vec<(LegId, ConnectorId)>,
    },
    /// The journal had lost what it kept.
    KeepAgain,
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
    /// Panic on the next input, and again when it is taken once more.
    #[cfg(feature = "fault-injection")]
    CrashTwice,
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

/// A conference, as it is kept.
#[derive(Serialize, Deserialize)]
struct ConferenceRecord {
    machine: ConferenceSnapshot,
    anchors: AnchorsSnapshot,
}

/// What is to be done after a crash.
#[derive(Default)]
struct Crash {
    /// The input that is being handled, and the machine as it was before it.
    handling: Option<(ConferenceInput, Box<Conference>)>,
    /// It crashed and is to come back.
    back: bool,
    /// It has come back and is at the same input again.
    again: bool,
    /// That input; none where it is at what it had kept.
    retried: Option<ConferenceInput>,
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
    journal: SharedJournal,
    kept: Kept,
    crash: Crash,
    /// So often the next input is to crash the actor.
    #[cfg(feature = "fault-injection")]
    fragile: u8,
}

impl ConferenceActor {
    /// An actor that serves nobody yet.
    pub fn new(
        connector: ConnectorId,
        media: Arc<dyn Media>,
        capabilities: Capabilities,
        directory: Arc<Directory>,
        journal: SharedJournal,
        parent: Addr<ConnectorActor>,
    ) -> Self {
        let (id, settings) = (ConferenceId(0), directory.live.settings().conference);
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
            kept: Kept::new(journal.clone(), RecordKind::Conference, id.0),
            journal,
            crash: Crash::default(),
            #[cfg(feature = "fault-injection")]
            fragile: 0,
        }
    }

    fn apply(&mut self, input: ConferenceInput, ctx: &mut Context<Self>) {
        self.run(Some(input), self.machine.is_ended(), ctx);
    }

    /// Carries out what stands in `out`, then an input and what follows from it.
    fn run(&mut self, input: Option<ConferenceInput>, was_ended: bool, ctx: &mut Context<Self>) {
        let (mut commands, mut notifications) = (Vec::new(), Vec::new());
        let mut inputs = VecDeque::new();
        let mut next = input;
        loop {
            let refused = next.and_then(|input| self.handle_guarded(input));
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
                        self.keep();
                        self.post(&mut commands, &mut notifications);
                        self.give_away(to, operation, as_party, given);
                    }
                }
            }
            inputs.extend(refused);
            next = inputs.pop_front();
            if next.is_none() {
                break;
            }
        }
        self.keep();
        self.post(&mut commands, &mut notifications);
        self.alarm.set(self.machine.next_timeout(), ctx);
        if self.machine.is_ended() && !was_ended {
            // Unbounded post: one for each conference.
            self.parent.do_send(ConnectorMessage::ConferenceOver { conference: self.id });
        }
    }

    /// The machine's part, during which a crash can be made good.
    fn handle_guarded(&mut self, input: ConferenceInput) -> Option<ConferenceInput> {
        // A copy costs less than half a microsecond.
        self.crash.handling = Some((input.clone(), Box::new(self.machine.clone())));
        #[cfg(feature = "fault-injection")]
        if let Some(left) = self.fragile.checked_sub(1) {
            self.fragile = left;
            panic!("injected into a conference");
        }
        let refused = if self.crash.again { None } else { self.note(&input) };
        self.machine.handle(input, now(), &mut self.out);
        self.crash.handling = None;
        refused
    }

    /// Keeps what it is now.
    fn keep(&mut self) {
        let record = self.machine.snapshot().map(|machine| ConferenceRecord {
            machine,
            anchors: self.anchors.snapshot(),
        });
        self.kept.keep(record.as_ref());
    }

    /// Serves a conference as the process before has kept it.
    fn restore(&mut self, id: ConferenceId, record: Vec<u8>, legs: &[(LegId, ConnectorId)], ctx: &mut Context<Self>) {
        self.begin(id, false, ctx);
        self.kept = Kept::recovered(self.journal.clone(), RecordKind::Conference, id.0, record);
        let Some(record) = self.kept.last::<ConferenceRecord>() else {
            // Its sessions are ended by the connector, and the T-Server side hears that there is no such conference.
            self.keep();
            return self.parent.do_send(ConnectorMessage::ConferenceOver { conference: id });
        };
        let elsewhere = legs.iter().filter(|(_, connector)| *connector != self.connector);
        let homes = elsewhere.filter_map(|(leg, connector)| Some((*leg, self.directory.connector(*connector)?.clone())));
        self.homes = homes.collect();
        let legs: Vec<_> = legs.iter().map(|(leg, _)| *leg).collect();
        let restored = Anchors::restore(&record.anchors, id, self.media.clone(), self.capabilities.clone(), &legs);
        self.anchors = restored.anchors;
        self.machine = Conference::restore(record.machine, self.settings, &legs, now(), &mut self.out);
        self.run(None, false, ctx);
        for leg in restored.lost {
            let event = MediaEvent::Refused;
            self.apply(ConferenceInput::Media { leg, event }, ctx);
        }
    }

    /// Comes back from its own crash. The ports live, as do the sessions. A machine that crashed is as it was before its input, which it gets
    /// once more; where something else did, what the machine wanted done is lost, and it comes back from what it keeps.
    fn come_back(&mut self, ctx: &mut Context<Self>) {
        self.crash.back = false;
        self.crash.again = true;
        self.out.clear();
        match self.crash.handling.take() {
            Some((input, before)) => {
                self.machine = *before;
                self.crash.retried = Some(input.clone());
                self.apply(input, ctx);
            }
            None => self.fall_back(ctx),
        }
        self.crash.again = false;
        self.crash.retried = None;
    }

    /// Becomes what it has kept.
    fn fall_back(&mut self, ctx: &mut Context<Self>) {
        let Some(record) = self.kept.last::<ConferenceRecord>() else {
            return self.parent.do_send(ConnectorMessage::ConferenceDown { conference: self.id });
        };
        let legs: Vec<_> = record.machine.legs().map(|(_, leg)| leg).collect();
        self.machine = Conference::restore(record.machine, self.settings, &legs, now(), &mut self.out);
        // Unbounded post: one for each crash.
        self.parent.do_send(ConnectorMessage::LegsKept {
            conference: self.id,
            legs,
        });
        self.run(None, false, ctx);
    }

    fn begin(&mut self, id: ConferenceId, anchored: bool, ctx: &mut Context<Self>) {
        self.id = id;
        self.settings = self.directory.live.settings().conference;
        self.kept = Kept::new(self.journal.clone(), RecordKind::Conference, id.0);
        self.crash = Crash::default();
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

    /// Sends the leg commands to where the sessions are, and to the own connector what the T-Server side is to hear of them.
    fn post(&self, commands: &mut Vec<(LegId, LegCommand)>, notifications: &mut Vec<LinkNotification>) {
        let mut commands = std::mem::take(commands);
        if !self.homes.is_empty() {
            // Another connector commits what is its own: what this conference keeps has to be safe before that one sends anything.
            self.journal.borrow_mut().commit();
            for (leg, home) in &self.homes {
                let away: Vec<_> = commands.extract_if(.., |(of, _)| of == leg).collect();
                self.post_to(home, away, Vec::new());
            }
        }
        self.post_to(&self.parent, commands, std::mem::take(notifications));
    }

    fn post_to(
        &self,
        connector: &Addr<ConnectorActor>,
        commands: Vec<(LegId, LegCommand)>,
        notifications: Vec<LinkNotification>,
    ) {
        if commands.is_empty() && notifications.is_empty() {
            return;
        }
        // Unbounded post: each is caused by one message to this actor, whose own mailbox and legs are bounded.
        connector.do_send(ConnectorMessage::Legs {
            conference: self.id,
            commands,
            notifications,
            waiting: Waiting::new(ActorKind::Connector),
        });
    }

    /// A leg that comes when its conference has ended is ended as well, with its port.
    fn turn_away(&self, moving: Moving) {
        if let Some(given) = moving.given {
            let bye = (given.leg, LegCommand::Bye { reason: None });
            // Unbounded post: one for each leg that moves.
            moving.home.do_send(ConnectorMessage::Legs {
                conference: moving.to,
                commands: vec![bye],
                notifications: Vec::new(),
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

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.crash.back {
            self.come_back(ctx);
        }
    }
}

impl Supervised for ConferenceActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.alarm = Alarm::default();
        if self.crash.again {
            let handled = self.crash.handling.as_ref().map(|(input, _)| input);
            let input = handled.or(self.crash.retried.as_ref());
            let (scope, id) = (Scope::Connector(self.connector.0), self.id.to_string());
            let quarantine = &self.directory.quarantine;
            quarantine.take(scope, &self.journal, ActorKind::Conference, id, input);
        }
        if self.crash.again || (self.crash.handling.is_none() && !self.kept.is_some()) {
            self.kept.keep(None::<&ConferenceRecord>);
            return give_up();
        }
        self.crash.back = true;
    }
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
            ConferenceMessage::Restore { id, record, legs } => self.restore(id, record, &legs, ctx),
            ConferenceMessage::KeepAgain => self.kept.put_again(),
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
            ConferenceMessage::Crash => {
                self.fragile = 1;
                self.apply(ConferenceInput::Timeout, ctx);
            }
            #[cfg(feature = "fault-injection")]
            ConferenceMessage::CrashTwice => self.fragile = 2,
        }
    }
}
