//! The one order of events, and the way out to the clients' sockets.
//!
//! Place: permanent child of the T-Server side. The machine and the sockets live in slots, so a crash loses the one message that caused
//! it. Escalation disconnects every client (they come back and register anew) and starts an empty log.
//!
//! | message | from | effect |
//! |---|---|---|
//! | [`Publish`] | calls, DNs | each event gets its sequence and goes to the clients registered on its ThisDN |
//! | `Answer` | anyone | one client's answer |
//! | [`Open`] | clients | lets a client in, or lets it resume; the answer is its number from then on |
//! | `Connected`, `SetMask`, `Close`, `Disconnected` | clients | the client's place in the log |
//! | `Asked`, `Unanswered` | clients, supervision | requests that somebody owes an answer, and those that nobody will answer |
//! | `Subscribe`, `Unsubscribe`, `QueryAddress` | DNs | with the snapshot of the DN |
//! | `AbortCall` | supervision | one terminal event for each party of a call that crashed |
//! | `Recovered` | supervision, once | the calls that came back after a restart; all others end |
//! | `KeepAll` | supervision | the journal had lost what was kept: all of it is put again |
//! | [`Watch`], [`Unwatch`] | gateway | who sees all events |
//! | `CloseAll` | shutdown | every socket is closed, after the frames that wait |
//!
//! What a message changes is committed to the journal before any of its frames goes out, so nobody is ever told what a restart does not
//! know. It never waits for a client: a sink that is full is closed (4008) and counted; what it did not get is in the log.

mod connections;
mod records;
#[cfg(test)]
pub(super) mod tests;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, Supervised};
use rand::Rng;
use rand::rngs::StdRng;
use tandem_model::dn::DnFacts;
use tandem_model::event_log::watch::Start;
use tandem_model::event_log::{
    Delivery, EventLog, GivenUp, Identity, Limits, Opened, Opening, Outcome, Outstanding, Subscription,
};
use tandem_model::request::Resume;
use tandem_model::{ClientId, ConnId, ControlMode, DnId, Event, EventName, KvList, Request, Requestor, ServerRole};
use tandem_wire::{EventBody, ResumeOutcome, ServerConnected, close};

pub use self::connections::{ClientSink, Connections, Watchers};
use super::call::CallMessage;
use super::connector_link::KeepCopies;
use super::dn::DnMessage;
use super::lobby::Refused;
use super::room::RoomMessage;
use crate::alarm::{Alarm, Alarmed};
use crate::directory::Directory;
use crate::journal::{Entry, LOOK_AFTER, Record, Scope, SharedJournal};
use crate::kind::{ActorKind, Waiting};
use crate::metrics::Metrics;
use crate::now;
use crate::supervision::{ChildSpec, Escalation, Slot, escalate_if_due, supervise};

/// Bounded by what calls, DNs and clients post; see there.
const SPEC: ChildSpec = ChildSpec::permanent(ActorKind::EventLog, 65_536);
/// Whoever is behind gets more after this.
const PACE: Duration = Duration::from_millis(5);

/// Something that an actor tells clients.
#[derive(Debug)]
pub enum Told {
    /// An event, and whom it answers.
    Event(Event, Option<Requestor>),
    /// An answer to one client.
    Answer(Requestor, Event),
}

/// Events to be put in order, and what their actor keeps of itself after them: the journal gets both, or neither.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish {
    /// What is told, in this order.
    pub told: Vec<Told>,
    /// What is kept.
    pub entries: Vec<Entry>,
    /// It is to be in the journal at once even if nobody is told anything.
    pub urgent: bool,
    /// Counts as waiting.
    pub waiting: Waiting,
}

/// Asks whether the event path turns.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Ping;

/// A client opens the server. The answer is its number from now on, and what it is registered on.
#[derive(Debug, Message)]
#[rtype(result = "(ClientId, Vec<DnId>)")]
pub struct Open {
    /// Its connection, and the reference of its request.
    pub requestor: Requestor,
    /// Who it says it is.
    pub identity: Identity,
    /// Where it left off.
    pub resume: Option<Resume>,
}

/// Somebody wants to see all events.
#[derive(Message)]
#[rtype(result = "Result<Watching, Refused>")]
pub struct Watch {
    /// The last sequence that is known.
    pub since: Option<u64>,
    /// The epoch of that sequence, where it is known.
    pub epoch: Option<String>,
    /// About which DNs; `None`: about all.
    pub dns: Option<BTreeSet<DnId>>,
    /// Where the frames go.
    pub sink: Arc<dyn ClientSink>,
}

/// How somebody watches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watching {
    /// For [`Unwatch`].
    pub number: u64,
    /// The epoch.
    pub epoch: Arc<str>,
    /// The sequence of the last event.
    pub sequence: u64,
    /// Where it starts.
    pub start: Start,
}

/// Somebody has seen enough.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Unwatch(pub u64);

/// What the event log is told. `connection` is the number that a client came in with; it keeps that while it may resume as another.
#[derive(Message)]
#[rtype(result = "()")]
#[allow(missing_docs, reason = "the table in the module's documentation says it")]
pub enum EventLogMessage {
    Connected {
        client: ClientId,
        sink: Arc<dyn ClientSink>,
    },
    SetMask {
        requestor: Requestor,
        events: Vec<EventName>,
    },
    Close {
        client: ClientId,
        connection: ClientId,
        code: u16,
        reason: &'static str,
    },
    Disconnected {
        client: ClientId,
        connection: ClientId,
    },
    Asked {
        client: ClientId,
        asked: Outstanding,
    },
    Unanswered(Requestor),
    Answer {
        requestor: Requestor,
        event: Box<Event>,
    },
    Subscribe(Subscription),
    Unsubscribe {
        requestor: Requestor,
        dn: DnId,
    },
    QueryAddress {
        requestor: Requestor,
        dn: DnId,
        facts: DnFacts,
    },
    AbortCall(ConnId),
    Recovered {
        conn_ids: Vec<ConnId>,
    },
    KeepAll,
    CloseAll {
        code: u16,
        reason: &'static str,
    },
}

/// What an event log starts with.
pub struct EventLogStart {
    /// The epoch, should the journal know none.
    pub epoch: Arc<str>,
    /// How much is kept.
    pub limits: Limits,
    /// What outlives the process.
    pub journal: SharedJournal,
    /// What the last process left there; records of others are passed over.
    pub records: Vec<Record>,
    /// For the names of sessions.
    pub rng: StdRng,
    /// Who is where.
    pub directory: Arc<Directory>,
    /// The server's version.
    pub server_version: Arc<str>,
    /// The time, in microseconds since 1970.
    pub unix_micros: fn() -> u64,
    /// Whether user data is masked in logs.
    pub hide_sensitive_data: bool,
}

/// What the actor is made from, and made from again.
#[derive(Clone)]
pub struct EventLogParts {
    machine: Slot<EventLog>,
    connections: Connections,
    watchers: Watchers,
    /// Whether the DNs still have to be told of the registrations that go on.
    is_fresh: Rc<RefCell<bool>>,
    limits: Limits,
    journal: SharedJournal,
    rng: Rc<RefCell<StdRng>>,
    directory: Arc<Directory>,
    server_version: Arc<str>,
    unix_micros: fn() -> u64,
    hide_sensitive_data: bool,
}

impl EventLogParts {
    /// The log that the last process left, or a new one.
    pub fn new(start: EventLogStart) -> Self {
        let time = time_of((start.unix_micros)());
        let log = EventLog::restore(start.epoch, start.limits, records::read(&start.records), time);
        let (events, _) = log.held();
        if log.lost() > 0 || events > 0 {
            tracing::info!(epoch = %log.epoch(), events, clients = log.lost(), "the event log goes on");
        }
        Self {
            machine: Rc::new(RefCell::new(log)),
            connections: Connections::default(),
            watchers: Watchers::default(),
            is_fresh: Rc::new(RefCell::new(true)),
            limits: start.limits,
            journal: start.journal,
            rng: Rc::new(RefCell::new(start.rng)),
            directory: start.directory,
            server_version: start.server_version,
            unix_micros: start.unix_micros,
            hide_sensitive_data: start.hide_sensitive_data,
        }
    }

    /// The number of the first client: no process before this one had it.
    pub fn first_client(&self) -> u64 {
        self.machine.borrow().first_client()
    }
}

/// The actor.
pub struct EventLogActor {
    parts: EventLogParts,
    out: Vec<Delivery>,
    /// Clients that get what they missed.
    behind: BTreeSet<ClientId>,
    /// What EventServerConnected is to say, while a client is let in.
    connected: Option<(ResumeOutcome, Arc<str>)>,
    /// What goes into the journal with the next changes.
    entries: Vec<Entry>,
    /// They are to be there at once.
    urgent: bool,
    alarm: Alarm,
}

impl EventLogActor {
    /// Starts it on the current arbiter.
    pub fn supervise(parts: EventLogParts) -> Addr<Self> {
        let actor = Self {
            parts,
            out: Vec::new(),
            behind: BTreeSet::new(),
            connected: None,
            entries: Vec::new(),
            urgent: false,
            alarm: Alarm::default(),
        };
        supervise(SPEC, actor)
    }

    fn time(&self) -> SystemTime {
        time_of((self.parts.unix_micros)())
    }

    fn handle_message(&mut self, message: EventLogMessage) {
        let (time, out) = (self.time(), &mut self.out);
        let mut log = self.parts.machine.borrow_mut();
        match message {
            EventLogMessage::Connected { client, sink } => {
                log.client_opened(client);
                self.parts.connections.insert(client, sink);
            }
            EventLogMessage::SetMask { requestor, events } => log.set_input_mask(requestor, events, time, out),
            EventLogMessage::Close {
                client,
                connection,
                code,
                reason,
            } => {
                if let Some(sink) = self.parts.connections.current(client, connection) {
                    log.client_leaves(client);
                    sink.close(code, reason);
                }
            }
            EventLogMessage::Disconnected { client, connection } => {
                if self.parts.connections.remove(client, connection) {
                    self.behind.remove(&client);
                    let given_up = log.disconnected(client, time);
                    drop(log);
                    self.forget(given_up);
                }
            }
            EventLogMessage::Asked { client, asked } => log.asked(client, asked),
            EventLogMessage::Unanswered(requestor) => log.unanswered(requestor, time, out),
            EventLogMessage::Answer { requestor, event } => log.answer(requestor, *event, time, out),
            EventLogMessage::Subscribe(subscription) => {
                let (requestor, dn) = (subscription.requestor, subscription.dn.clone());
                if !log.subscribe(subscription, time, out) {
                    // The client left while the DN took it in.
                    self.tell_dn(&dn, DnMessage::ClientGone(requestor.client));
                }
            }
            EventLogMessage::Unsubscribe { requestor, dn } => log.unsubscribe(requestor, dn, time, out),
            EventLogMessage::QueryAddress { requestor, dn, facts } => log.query_address(requestor, dn, facts, time, out),
            EventLogMessage::AbortCall(conn_id) => log.abort_call(conn_id, time, out),
            EventLogMessage::Recovered { conn_ids } => log.recovered(&conn_ids, time, out),
            EventLogMessage::KeepAll => {
                let mut journal = self.parts.journal.borrow_mut();
                for kept in log.everything() {
                    records::put(&mut **journal, &kept);
                }
            }
            EventLogMessage::CloseAll { code, reason } => {
                self.parts.connections.close_all(code, reason);
                self.parts.watchers.close_all(code, reason);
            }
        }
    }

    fn open(&mut self, open: Open) -> Opened {
        let Open {
            requestor,
            identity,
            resume,
        } = open;
        let resumes = resume.is_some();
        let secret = self.parts.rng.borrow_mut().random::<u64>();
        let opening = Opening {
            requestor,
            identity,
            session: format!("{}-{secret:016x}", requestor.client).into(),
            resume,
        };
        let opened = self.parts.machine.borrow_mut().open(opening, self.time(), &mut self.out);
        let outcome = match opened.outcome {
            Outcome::New => ResumeOutcome::New,
            Outcome::Delta => ResumeOutcome::Delta,
            Outcome::Snapshot => ResumeOutcome::Snapshot,
        };
        if resumes {
            Metrics::of_process().resumed(outcome);
            tracing::info!(client = %opened.client, connection = %requestor.client, result = outcome.name(), "client resumes");
        }
        if opened.client != requestor.client {
            self.parts.connections.take_over(requestor.client, opened.client);
            self.behind.insert(opened.client);
        }
        self.connected = Some((outcome, opened.session.clone()));
        self.flush();
        self.connected = None;
        if opened.outcome == Outcome::Snapshot {
            self.register_again(&opened);
        }
        opened
    }

    /// The DNs tell the client how they stand, as if it registered once more.
    fn register_again(&self, opened: &Opened) {
        for (dn, mode) in &opened.registrations {
            let requestor = Requestor {
                client: opened.client,
                reference_id: None,
            };
            let request = Request::RegisterAddress {
                this_dn: dn.clone(),
                register_mode: *mode,
                control_mode: ControlMode::RegisterDefault,
                address_type: None,
                extensions: KvList::new(),
            };
            self.tell_dn(dn, DnMessage::Request { requestor, request });
        }
    }

    fn forget(&self, given_up: Vec<GivenUp>) {
        for GivenUp { client, dns } in given_up {
            for dn in dns {
                self.tell_dn(&dn, DnMessage::ClientGone(client));
            }
        }
    }

    fn tell_dn(&self, dn: &DnId, message: DnMessage) {
        if let Some(actor) = self.parts.directory.dn(dn) {
            // Unbounded post: one for each registration, and those are bounded.
            actor.do_send(message);
        }
    }

    /// After a restart: the registrations of those who may resume go on, but for DNs that are no longer configured.
    fn restore_registrations(&mut self) {
        let time = self.time();
        let registrations = self.parts.machine.borrow().registrations();
        for (client, dn, mode, wish) in registrations {
            if self.parts.directory.dn(&dn).is_some() {
                self.tell_dn(&dn, DnMessage::Restored(client, mode, wish));
                continue;
            }
            let requestor = Requestor {
                client,
                reference_id: None,
            };
            self.parts
                .machine
                .borrow_mut()
                .unsubscribe(requestor, dn, time, &mut self.out);
        }
    }

    /// Keeps what has changed, then writes what is to be delivered, then hands more to those who are behind.
    fn flush(&mut self) {
        let parts = &self.parts;
        let behind = std::mem::take(&mut self.behind);
        let mut log = parts.machine.borrow_mut();
        let out = &mut self.out;
        self.behind = behind
            .into_iter()
            .filter(|client| !parts.connections.catch_up(&mut log, *client, out))
            .collect();
        let changes = log.take_changes();
        let told = !changes.is_empty() || !out.is_empty();
        if told || !self.entries.is_empty() {
            let mut journal = parts.journal.borrow_mut();
            for entry in self.entries.drain(..) {
                entry.put(&mut **journal);
            }
            records::write(&mut **journal, changes);
            // What nobody is told may be lost: its call is then as it was a moment before, and asks its connector what has happened since.
            if told || std::mem::take(&mut self.urgent) {
                journal.commit();
            }
        }
        look_after_journal(parts);
        let connected = self.connected.as_ref();
        parts
            .connections
            .write(out.drain(..), |delivery| encode(parts, &log, connected, delivery));
    }

    /// Who watches gets what is new, whose time is over is given up, and the alarm is set for what comes next.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        let time = self.time();
        let parts = &self.parts;
        let (behind, cut_off) = parts.watchers.hand_out(&parts.machine.borrow(), time, body);
        let mut log = parts.machine.borrow_mut();
        for _ in 0..cut_off {
            log.unwatch(time);
        }
        let given_up = log.expire(time);
        let expiry = log.next_expiry();
        if !given_up.is_empty() {
            let changes = log.take_changes();
            records::write(&mut **parts.journal.borrow_mut(), changes);
        }
        let (events, oldest) = log.held();
        let metrics = Metrics::of_process();
        metrics.log_entries.set(events as f64);
        let age = oldest.and_then(|oldest| time.duration_since(oldest).ok()).unwrap_or_default();
        metrics.log_oldest.set(age.as_secs_f64());
        metrics.clients_away.set(log.lost() as f64);
        drop(log);
        self.forget(given_up);
        let expiry = expiry.map(|due| now() + due.duration_since(time).unwrap_or_default());
        let more = (behind || !self.behind.is_empty()).then(|| now() + PACE);
        self.alarm.set_latest(expiry.into_iter().chain(more).min(), ctx);
    }
}

/// Storage works again after a failure: whoever has records puts them once more.
fn look_after_journal(parts: &EventLogParts) {
    let mut journal = parts.journal.borrow_mut();
    if journal.is_back() {
        parts.directory.quarantine.keep_again(Scope::TServer, &mut **journal);
        keep_all_again(&parts.directory);
    }
}

fn keep_all_again(directory: &Directory) {
    // Unbounded posts: one for each actor, when storage works again.
    if let Some(log) = directory.event_log() {
        log.do_send(EventLogMessage::KeepAll);
    }
    for conn_id in directory.call_ids() {
        if let Some(call) = directory.call(conn_id) {
            call.do_send(CallMessage::KeepAgain);
        } else if let Some(room) = directory.room(conn_id) {
            room.do_send(RoomMessage::KeepAgain);
        }
    }
    for dn in directory.dns().values() {
        dn.do_send(DnMessage::KeepAgain);
    }
    for link in directory.links() {
        link.do_send(KeepCopies);
    }
}

fn time_of(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

/// One line for each event, where somebody asked for them.
fn log_event(event: &Event, hide: bool) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let user_data = event
        .user_data
        .as_ref()
        .map(|data| if hide { data.masked() } else { KvList::clone(data) });
    tracing::debug!(
        event = event.name.name(),
        this_dn = event.this_dn.as_ref().map(DnId::as_str),
        other_dn = event.other_dn.as_ref().map(DnId::as_str),
        conn_id = event.conn_id.map(tracing::field::display),
        call_uuid = event.call_uuid.map(tracing::field::display),
        call_state = event.call_state.map(|state| state.name()),
        user_data = user_data.map(tracing::field::debug),
        "event"
    );
}

fn body(delivery: &Delivery) -> EventBody {
    EventBody::new(&delivery.event, delivery.sequence, micros(delivery.time))
}

fn micros(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_micros() as u64)
}

fn encode(
    parts: &EventLogParts,
    log: &EventLog,
    connected: Option<&(ResumeOutcome, Arc<str>)>,
    delivery: &Delivery,
) -> EventBody {
    match connected {
        Some((resume, session)) if delivery.event.name == EventName::EventServerConnected => {
            let connected = ServerConnected {
                epoch: log.epoch().to_string(),
                server_role: ServerRole::Primary,
                server_version: parts.server_version.to_string(),
                resume: *resume,
                session: session.to_string(),
            };
            EventBody::server_connected(&connected, delivery.sequence, micros(delivery.time))
        }
        _ => body(delivery),
    }
}

impl Actor for EventLogActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK_AFTER, |log, _| {
            look_after_journal(&log.parts);
            log.parts.journal.borrow_mut().commit();
        });
        if self.parts.is_fresh.replace(false) {
            self.restore_registrations();
            self.flush();
            self.settle(ctx);
        }
    }
}

impl Supervised for EventLogActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.alarm = Alarm::default();
        self.connected = None;
        self.out.clear();
        escalate_if_due(self);
    }
}

impl Escalation for EventLogActor {
    fn escalate(&mut self) {
        tracing::error!("the event log starts empty; every client is disconnected");
        let parts = &self.parts;
        // The same epoch goes on, so its sequences must not start again.
        let old = parts.machine.borrow();
        let fresh = EventLog::after(old.epoch().clone(), old.sequence()).with_limits(parts.limits);
        drop(old);
        let old = parts.machine.replace(fresh);
        records::clear(&mut **parts.journal.borrow_mut());
        for sink in parts.connections.drain() {
            sink.close(close::INTERNAL, "the event log was restarted");
        }
        parts.watchers.close_all(close::INTERNAL, "the event log was restarted");
        for (client, dn, _, _) in old.registrations() {
            self.tell_dn(&dn, DnMessage::ClientGone(client));
        }
        self.behind.clear();
    }
}

impl Alarmed for EventLogActor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.flush();
        self.settle(ctx);
    }
}

impl Handler<Publish> for EventLogActor {
    type Result = ();

    fn handle(&mut self, message: Publish, ctx: &mut Context<Self>) {
        let time = self.time();
        let mut log = self.parts.machine.borrow_mut();
        for told in message.told {
            match told {
                Told::Event(event, requestor) => {
                    Metrics::of_process().events_published.increment(1);
                    log_event(&event, self.parts.hide_sensitive_data);
                    log.publish(event, requestor, time, &mut self.out);
                }
                Told::Answer(requestor, event) => log.answer(requestor, event, time, &mut self.out),
            }
        }
        drop(log);
        self.entries.extend(message.entries);
        self.urgent |= message.urgent;
        self.flush();
        self.settle(ctx);
    }
}

impl Handler<EventLogMessage> for EventLogActor {
    type Result = ();

    fn handle(&mut self, message: EventLogMessage, ctx: &mut Context<Self>) {
        self.handle_message(message);
        self.flush();
        self.settle(ctx);
    }
}

impl Handler<Open> for EventLogActor {
    type Result = MessageResult<Open>;

    fn handle(&mut self, open: Open, ctx: &mut Context<Self>) -> Self::Result {
        let opened = self.open(open);
        self.settle(ctx);
        let dns = opened.registrations.into_iter().map(|(dn, _)| dn);
        MessageResult((opened.client, dns.collect()))
    }
}

impl Handler<Watch> for EventLogActor {
    type Result = MessageResult<Watch>;

    fn handle(&mut self, watch: Watch, ctx: &mut Context<Self>) -> Self::Result {
        if self.parts.watchers.len() >= connections::MAX_WATCHERS {
            return MessageResult(Err(Refused::TooMany));
        }
        let mut log = self.parts.machine.borrow_mut();
        let start = log.watch(watch.since, watch.epoch.as_deref());
        let watching = Watching {
            number: self.parts.watchers.insert(watch.sink, watch.dns, start.cursor()),
            epoch: log.epoch().clone(),
            sequence: log.sequence(),
            start,
        };
        drop(log);
        self.flush();
        self.settle(ctx);
        MessageResult(Ok(watching))
    }
}

impl Handler<Unwatch> for EventLogActor {
    type Result = ();

    fn handle(&mut self, Unwatch(number): Unwatch, ctx: &mut Context<Self>) {
        if self.parts.watchers.remove(number) {
            let time = self.time();
            self.parts.machine.borrow_mut().unwatch(time);
            self.flush();
            self.settle(ctx);
        }
    }
}

impl Handler<Ping> for EventLogActor {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}

#[cfg(feature = "fault-injection")]
impl Handler<super::Inject> for EventLogActor {
    type Result = ();

    fn handle(&mut self, _: super::Inject, _: &mut Context<Self>) {
        panic!("injected into the event log");
    }
}
