//! A conference that is dialled into, as CTI clients see it.
//!
//! Place: temporary child of the T-Server side, one for each conference DN while somebody is there. A crash ends the conference: the event
//! log tells each party's clients one terminal event, the connectors end the legs; nobody else notices, and the next caller opens
//! another one.
//!
//! | message | effect |
//! |---|---|
//! | [`RoomMessage::Offered`] | a caller; a room that has closed meanwhile sends it to the next one |
//! | [`RoomMessage::Input`] | the pure machine's input; events go to the event log, link requests to the ConnectorLinks |
//! | [`RoomMessage::KeepAgain`] | puts what it keeps into the journal once more |
//! | [`QueryRoomSummary`] | what `GET /v1/calls` shows |
//!
//! [`Rooms`] is the part of the switch that knows which room is whose; it lives on the T-Server's arbiter.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, MessageResult};
use serde::{Deserialize, Serialize};
use tandem_model::call::CallSummary;
use tandem_model::connector::ConnectorRequest;
use tandem_model::link::{CallOffered, CallerId, Cause, LinkNotification, LinkRequest, ReleasedBy};
use tandem_model::room::{Room, RoomInput, RoomOutput, RoomSnapshot, RosterEntry};
use tandem_model::{ConferenceId, ConnId, ConnectorId, DnId};

use super::connector_link::LinkMessage;
use super::event_log::{EventLogMessage, Publish, Told};
use super::switch::Switch;
use crate::alarm::{Alarm, Alarmed};
use crate::connector::ConnectorMessage;
use crate::journal::{self, Entry, Kept, Record, RecordKind};
use crate::kind::{ActorKind, Waiting};
use crate::metrics::Metrics;
use crate::now;
use crate::supervision::{ChildSpec, DownReason, launch};

/// Clients may have this many requests waiting at one room; more get error 111.
const SPEC: ChildSpec = ChildSpec::temporary(ActorKind::Room, 64);

/// What a room is told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum RoomMessage {
    /// A connector offers a call.
    Offered {
        /// The connector.
        connector: ConnectorId,
        /// The call.
        offered: CallOffered,
    },
    /// For the machine.
    Input(RoomInput),
    /// The journal had lost what it kept.
    KeepAgain,
    /// What waited before this message has been handled; from the room to itself.
    Stop,
    /// Panic, to test the supervision.
    #[cfg(feature = "fault-injection")]
    Crash,
}

/// Asks for a summary.
#[derive(Debug, Message)]
#[rtype(result = "CallSummary")]
pub struct QueryRoomSummary;

/// A room, as it is kept.
#[derive(Serialize, Deserialize)]
struct RoomRecord {
    machine: RoomSnapshot,
    /// Its conferences, and which connectors have them.
    conferences: Vec<(ConferenceId, ConnectorId)>,
}

/// The actor.
pub struct RoomActor {
    machine: Room,
    switch: Rc<Switch>,
    begun: Instant,
    span: tracing::Span,
    alarm: Alarm,
    kept: Kept,
    /// What a room of the process before is to do first.
    first: Vec<RoomOutput>,
}

impl RoomActor {
    fn new(machine: Room, switch: Rc<Switch>, first: Vec<RoomOutput>) -> Self {
        let ids = machine.ids();
        let kept = Kept::new(switch.journal.clone(), RecordKind::Room, ids.conn_id.0);
        let span = tracing::info_span!("room", dn = %machine.dn(), call_uuid = %ids.call_uuid, conn_id = %ids.conn_id);
        Self {
            machine,
            switch,
            begun: now(),
            span,
            alarm: Alarm::default(),
            kept,
            first,
        }
    }

    fn apply(&mut self, input: RoomInput, ctx: &mut Context<Self>) {
        let _in_span = self.span.clone().entered();
        let mut out = Vec::new();
        self.machine
            .handle(RoomInput::Numbering(self.switch.numbering()), now(), &mut out);
        self.machine.handle(RoomInput::Wishes(self.switch.wishes()), now(), &mut out);
        self.machine.handle(input, now(), &mut out);
        self.carry_out(out, ctx);
    }

    fn carry_out(&mut self, out: Vec<RoomOutput>, ctx: &mut Context<Self>) {
        let mut told = Vec::new();
        for output in out {
            match output {
                RoomOutput::Event { event, requestor } => told.push(Told::Event(event, requestor)),
                RoomOutput::Answer { requestor, event } => told.push(Told::Answer(requestor, event)),
                RoomOutput::Link(request) => self.switch.rooms.post(&self.switch, request),
                RoomOutput::RosterChanged { .. } => {
                    self.switch
                        .rooms
                        .roster_changed(&self.switch, self.machine.dn(), self.machine.roster())
                }
                RoomOutput::Closed => self.switch.rooms.closed(self.machine.dn(), self.machine.ids().conn_id),
                // Requests that wait are answered, and then it stops.
                RoomOutput::Finished => ctx.address().do_send(RoomMessage::Stop),
            }
        }
        let record = self.machine.snapshot().map(|machine| RoomRecord {
            machine,
            conferences: self.switch.rooms.room_conferences(self.machine.ids().conn_id),
        });
        let urgent = !self.kept.is_some();
        let entries = self.kept.change(record.as_ref()).into_iter().collect();
        self.publish(told, entries, urgent);
        self.alarm.set(self.machine.next_timeout(), ctx);
    }

    fn publish(&self, told: Vec<Told>, entries: Vec<Entry>, urgent: bool) {
        if told.is_empty() && entries.is_empty() {
            return;
        }
        if let Some(log) = self.switch.directory.event_log() {
            // Unbounded post: each is caused by one message to the room, and the event log never waits for a client.
            log.do_send(Publish {
                told,
                entries,
                urgent,
                waiting: Waiting::new(ActorKind::EventLog),
            });
        }
    }
}

impl Actor for RoomActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            self.carry_out(first, ctx);
        }
    }
}

impl Alarmed for RoomActor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.apply(RoomInput::Timeout, ctx);
    }
}

impl Handler<RoomMessage> for RoomActor {
    type Result = ();

    fn handle(&mut self, message: RoomMessage, ctx: &mut Context<Self>) {
        match message {
            // The room that the caller was meant for is no more; the next one is opened for it.
            RoomMessage::Offered { connector, offered } if self.machine.is_closed() => {
                let _ = self.switch.rooms.offer(&self.switch, connector, offered);
            }
            RoomMessage::Offered { offered, .. } => self.apply(RoomInput::Offered(offered), ctx),
            RoomMessage::Input(input) => self.apply(input, ctx),
            RoomMessage::KeepAgain => self.kept.put_again(),
            RoomMessage::Stop => ctx.stop(),
            #[cfg(feature = "fault-injection")]
            RoomMessage::Crash => panic!("injected into a room"),
        }
    }
}

impl Handler<QueryRoomSummary> for RoomActor {
    type Result = MessageResult<QueryRoomSummary>;

    fn handle(&mut self, _: QueryRoomSummary, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.machine.summary(now().saturating_duration_since(self.begun)))
    }
}

/// Whose a conference is.
struct Owner {
    room: Addr<RoomActor>,
    conn_id: ConnId,
    connector: ConnectorId,
}

/// The rooms there are.
#[derive(Default)]
pub struct Rooms {
    /// Those that take callers in.
    open: RefCell<HashMap<DnId, (ConnId, Addr<RoomActor>)>>,
    by_conference: RefCell<HashMap<ConferenceId, Owner>>,
}

impl Rooms {
    /// How many conferences are rooms', or those of callers at their doors.
    pub fn conference_count(&self) -> usize {
        self.by_conference.borrow().len()
    }

    /// Takes a call that leads to a conference DN; gives back any other one.
    pub fn offer(&self, switch: &Rc<Switch>, connector: ConnectorId, offered: CallOffered) -> Option<CallOffered> {
        let calling = match &offered.from {
            CallerId::Extension(dn) => dn,
            CallerId::Trunk { trunk, .. } => trunk,
        };
        let numbering = switch.numbering();
        let Some((dn, settings)) = numbering.room(&offered.dialled, Some(calling)) else {
            return Some(offered);
        };
        let open = self.open.borrow().get(dn).cloned();
        let is_new = open.is_none();
        let (conn_id, room) = open.unwrap_or_else(|| {
            let ids = switch.spare(offered.conference);
            let machine = Room::new(ids, dn.clone(), numbering.clone(), settings.clone());
            self.start(switch, machine, Vec::new())
        });
        let owner = Owner {
            room: room.clone(),
            conn_id,
            connector,
        };
        self.by_conference.borrow_mut().insert(offered.conference, owner);
        if is_new {
            switch.introduce();
        }
        // Unbounded post: one for each call, and their number is limited.
        room.do_send(RoomMessage::Offered { connector, offered });
        None
    }

    /// Brings back a room of the process before. Its audits are left to the links, each of which asks for all its conferences in one go.
    pub fn bring_back(&self, switch: &Rc<Switch>, record: &Record) -> Option<ConnId> {
        let kept: RoomRecord = journal::decode(record.kind, &record.value)?;
        let numbering = switch.numbering();
        let config = numbering.dn(kept.machine.dn());
        let Some(settings) = config.and_then(|config| config.room.clone()) else {
            tracing::warn!(dn = %kept.machine.dn(), "a conference of the process before is no conference DN any more; its callers are released");
            return None;
        };
        let mut out = Vec::new();
        let machine = Room::restore(kept.machine, numbering.clone(), settings, now(), &mut out);
        out.retain(|output| !matches!(output, RoomOutput::Link(LinkRequest::Audit { .. })));
        let (conn_id, room) = self.start(switch, machine, out);
        let mut owners = self.by_conference.borrow_mut();
        for (conference, connector) in kept.conferences {
            let owner = Owner {
                room: room.clone(),
                conn_id,
                connector,
            };
            owners.insert(conference, owner);
        }
        Some(conn_id)
    }

    /// The conferences of a room, and which connectors have them.
    fn room_conferences(&self, conn_id: ConnId) -> Vec<(ConferenceId, ConnectorId)> {
        let owners = self.by_conference.borrow();
        let of_it = owners.iter().filter(|(_, owner)| owner.conn_id == conn_id);
        let mut conferences: Vec<_> = of_it.map(|(conference, owner)| (*conference, owner.connector)).collect();
        conferences.sort_unstable();
        conferences
    }

    fn start(&self, switch: &Rc<Switch>, machine: Room, first: Vec<RoomOutput>) -> (ConnId, Addr<RoomActor>) {
        let (conn_id, dn) = (machine.ids().conn_id, machine.dn().clone());
        let (parent, name) = (switch.clone(), dn.clone());
        let actor = RoomActor::new(machine, switch.clone(), first);
        let room = launch(SPEC, actor, move |reason| parent.rooms.down(&parent, &name, conn_id, &reason));
        switch.directory.insert_room(conn_id, room.clone());
        self.open.borrow_mut().insert(dn, (conn_id, room.clone()));
        Metrics::of_process().calls_active.increment(1.0);
        (conn_id, room)
    }

    /// Hands a notification to the room that has its conference; gives back any other one.
    pub fn notify(&self, notification: LinkNotification) -> Option<LinkNotification> {
        let Some(conference) = notification.conference() else {
            return Some(notification);
        };
        let room = self.by_conference.borrow().get(&conference).map(|owner| owner.room.clone());
        let Some(room) = room else { return Some(notification) };
        if matches!(notification, LinkNotification::ConferenceEnded { .. }) {
            self.by_conference.borrow_mut().remove(&conference);
        }
        // Unbounded post: a conference notifies each change of its parties once.
        room.do_send(RoomMessage::Input(RoomInput::Link(notification)));
        None
    }

    /// The conferences of rooms that a connector has.
    pub fn conferences_of(&self, connector: ConnectorId) -> Vec<ConferenceId> {
        let owners = self.by_conference.borrow();
        let there = owners.iter().filter(|(_, owner)| owner.connector == connector);
        there.map(|(conference, _)| *conference).collect()
    }

    fn post(&self, switch: &Switch, request: LinkRequest) {
        let owners = self.by_conference.borrow();
        let owner = request.conference().and_then(|conference| owners.get(&conference));
        if let Some(link) = owner.and_then(|owner| switch.directory.link(owner.connector)) {
            // Unbounded post: each is caused by one message to the room.
            link.do_send(LinkMessage(request));
        }
    }

    /// Tells the subscribers, wherever they are, who is there.
    fn roster_changed(&self, switch: &Switch, dn: &DnId, entries: Vec<RosterEntry>) {
        if switch.directory.rosters.publish(dn, entries) {
            for connector in switch.directory.connectors() {
                // Unbounded post: one for each change of a roster, which one message to the room brought about.
                connector.do_send(ConnectorMessage::RosterChanged(dn.clone()));
            }
            switch.tell_connectors(|| ConnectorRequest::Roster {
                dn: dn.clone(),
                entries: switch
                    .directory
                    .rosters
                    .of(dn)
                    .map_or_else(Vec::new, |roster| roster.entries.clone()),
            });
        }
    }

    /// The conference DNs that somebody is in, and which connector has those who are.
    pub fn occupied(&self) -> Vec<(DnId, ConnectorId)> {
        let (open, owners) = (self.open.borrow(), self.by_conference.borrow());
        let there = owners.values().filter_map(|owner| {
            let (dn, _) = open.iter().find(|(_, (conn_id, _))| *conn_id == owner.conn_id)?;
            Some((dn.clone(), owner.connector))
        });
        let mut occupied: Vec<_> = there.collect();
        occupied.sort_unstable();
        occupied.dedup_by(|one, other| one.0 == other.0);
        occupied
    }

    /// Who calls from now on opens another room.
    fn closed(&self, dn: &DnId, conn_id: ConnId) {
        let mut open = self.open.borrow_mut();
        if open.get(dn).is_some_and(|(other, _)| *other == conn_id) {
            open.remove(dn);
        }
    }

    fn down(&self, switch: &Switch, dn: &DnId, conn_id: ConnId, reason: &DownReason) {
        self.closed(dn, conn_id);
        // The next room may be there already, and its roster with it.
        if !self.open.borrow().contains_key(dn) {
            self.roster_changed(switch, dn, Vec::new());
        }
        switch.directory.remove_room(conn_id);
        Metrics::of_process().calls_active.decrement(1.0);
        // Unbounded posts: one of each for a room. After one that ended by itself there is nothing to abort, unless the event log
        // crashed on its last event.
        if let Some(log) = switch.directory.event_log() {
            log.do_send(EventLogMessage::AbortCall(conn_id));
        }
        let crashed = !matches!(reason, DownReason::Normal);
        if crashed {
            tracing::error!(%conn_id, %dn, "room crashed; its parties are released");
        }
        let mut left = Vec::new();
        self.by_conference.borrow_mut().retain(|conference, owner| {
            let stays = owner.conn_id != conn_id;
            if !stays {
                left.push((*conference, owner.connector));
            }
            stays
        });
        switch.introduce();
        for (conference, connector) in left {
            if let Some(link) = switch.directory.link(connector) {
                let cause = Cause::status(ReleasedBy::Server, 500);
                // Unbounded post: one for each conference of the room.
                link.do_send(LinkMessage(LinkRequest::ReleaseConference { conference, cause }));
            }
        }
    }
}
