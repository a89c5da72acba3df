//! The one order of events, and the way out to the clients' sockets.
//!
//! Place: permanent child of the T-Server side. The machine and the sinks live in slots, so a crash loses the one message that caused
//! it. Escalation disconnects every client (they come back and register anew) and starts an empty log.
//!
//! | message | from | effect |
//! |---|---|---|
//! | [`Publish`] | calls, DNs | each event gets its sequence and goes to the clients registered on its ThisDN |
//! | `Answer` | anyone | one client's answer |
//! | `Connected`, `Open`, `SetMask`, `Close`, `Disconnected` | clients | the client's place in the log |
//! | `Subscribe`, `Unsubscribe`, `QueryAddress` | DNs | with the snapshot of the DN |
//! | `AbortCall` | supervision | one terminal event for each party of a call that crashed |
//! | `CloseAll` | shutdown | every socket is closed, after the frames that wait |
//!
//! It never waits for a client: a sink that is full is closed (4008) and counted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::{Actor, Addr, Context, Handler, Message, Supervised};
use bytes::Bytes;
use tandem_model::dn::DnFacts;
use tandem_model::event_log::{Delivery, EventLog, Subscription};
use tandem_model::request::Resume;
use tandem_model::{ClientId, ConnId, DnId, Event, EventName, KvList, Requestor, ServerRole};
use tandem_wire::{EventBody, ResumeOutcome, ServerConnected, close};

use super::dn::DnMessage;
use crate::directory::Directory;
use crate::kind::{ActorKind, Waiting};
use crate::metrics::Metrics;
use crate::supervision::{ChildSpec, Escalation, Slot, escalate_if_due, supervise};

/// Bounded by what calls, DNs and clients post; see there.
const SPEC: ChildSpec = ChildSpec::permanent(ActorKind::EventLog, 65_536);

/// Where a client's frames go. Implemented by the sockets.
pub trait ClientSink: Send + Sync + 'static {
    /// Queues a frame; never waits. Returns how many frames wait now, or `None`: the queue is full, or the client is gone.
    fn deliver(&self, frame: Bytes) -> Option<usize>;

    /// Closes the socket after the frames that wait. `reason` goes into the close frame.
    fn close(&self, code: u16, reason: &str);
}

/// Events to be put in order.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish {
    /// The events, with whom each answers.
    pub events: Vec<(Event, Option<Requestor>)>,
    /// Counts as waiting.
    pub waiting: Waiting,
}

/// Asks whether the event path turns.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Ping;

/// What the event log is told.
#[derive(Message)]
#[rtype(result = "()")]
#[allow(missing_docs, reason = "the table in the module's documentation says it")]
pub enum EventLogMessage {
    Connected {
        client: ClientId,
        sink: Arc<dyn ClientSink>,
    },
    Open {
        requestor: Requestor,
        resume: Option<Resume>,
    },
    SetMask {
        requestor: Requestor,
        events: Vec<EventName>,
    },
    Close {
        client: ClientId,
        code: u16,
        reason: &'static str,
    },
    Disconnected {
        client: ClientId,
    },
    Answer {
        requestor: Requestor,
        event: Box<Event>,
    },
    Subscribe {
        requestor: Requestor,
        dn: DnId,
        facts: DnFacts,
    },
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
    CloseAll {
        code: u16,
        reason: &'static str,
    },
}

/// What the actor is made from, and made from again.
#[derive(Clone)]
pub struct EventLogParts {
    /// The order.
    pub machine: Slot<EventLog>,
    /// The sockets.
    pub sinks: Rc<RefCell<HashMap<ClientId, Arc<dyn ClientSink>>>>,
    /// Who is where.
    pub directory: Arc<Directory>,
    /// The server's epoch.
    pub epoch: Arc<str>,
    /// The server's version.
    pub server_version: Arc<str>,
    /// The time, in microseconds since 1970.
    pub unix_micros: fn() -> u64,
    /// Whether user data is masked in logs.
    pub hide_sensitive_data: bool,
}

/// The actor.
pub struct EventLogActor {
    parts: EventLogParts,
    out: Vec<Delivery>,
}

impl EventLogActor {
    /// Starts it on the current arbiter.
    pub fn supervise(parts: EventLogParts) -> Addr<Self> {
        supervise(SPEC, Self { parts, out: Vec::new() })
    }

    fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros((self.parts.unix_micros)())
    }

    fn handle_message(&mut self, message: EventLogMessage) {
        let time = self.time();
        let mut log = self.parts.machine.borrow_mut();
        match message {
            EventLogMessage::Connected { client, sink } => {
                log.client_opened(client);
                self.parts.sinks.borrow_mut().insert(client, sink);
            }
            // The log of earlier events is not kept yet, so whoever resumes starts anew; the answer says so.
            EventLogMessage::Open { requestor, resume: _ } => {
                log.answer(requestor, Event::new(EventName::EventServerConnected), time, &mut self.out);
            }
            EventLogMessage::SetMask { requestor, events } => log.set_input_mask(requestor, events, time, &mut self.out),
            EventLogMessage::Close { client, code, reason } => {
                if let Some(sink) = self.parts.sinks.borrow().get(&client) {
                    sink.close(code, reason);
                }
            }
            EventLogMessage::Disconnected { client } => {
                let dns = log.client_closed(client);
                drop(log);
                self.forget(client, &dns);
            }
            EventLogMessage::Answer { requestor, event } => log.answer(requestor, *event, time, &mut self.out),
            EventLogMessage::Subscribe { requestor, dn, facts } => {
                if !log.subscribe(
                    Subscription {
                        requestor,
                        dn: dn.clone(),
                        facts,
                    },
                    time,
                    &mut self.out,
                ) {
                    // The client left while the DN took it in.
                    self.tell_dn(&dn, requestor.client);
                }
            }
            EventLogMessage::Unsubscribe { requestor, dn } => log.unsubscribe(requestor, dn, time, &mut self.out),
            EventLogMessage::QueryAddress { requestor, dn, facts } => {
                log.query_address(requestor, dn, facts, time, &mut self.out)
            }
            EventLogMessage::CloseAll { code, reason } => {
                for sink in self.parts.sinks.borrow().values() {
                    sink.close(code, reason);
                }
            }
            EventLogMessage::AbortCall(conn_id) => log.abort_call(conn_id, time, &mut self.out),
        }
    }

    fn forget(&self, client: ClientId, dns: &[DnId]) {
        self.parts.sinks.borrow_mut().remove(&client);
        for dn in dns {
            self.tell_dn(dn, client);
        }
    }

    fn tell_dn(&self, dn: &DnId, client: ClientId) {
        if let Some(actor) = self.parts.directory.dn(dn) {
            // Unbounded post: one for each registration, and those are bounded.
            actor.do_send(DnMessage::ClientGone(client));
        }
    }

    /// Writes what is to be delivered. The body of an event is encoded once for all its clients.
    fn flush(&mut self) {
        let mut body: Option<(u64, EventBody)> = None;
        let mut slow = Vec::new();
        let sinks = self.parts.sinks.borrow();
        for delivery in self.out.drain(..) {
            let Some(sink) = sinks.get(&delivery.client).filter(|_| !slow.contains(&delivery.client)) else {
                continue;
            };
            let encoded = match &mut body {
                Some((sequence, encoded)) if *sequence == delivery.sequence => &*encoded,
                body => &body.insert((delivery.sequence, encode(&self.parts, &delivery))).1,
            };
            let frame = encoded.frame(delivery.previous, delivery.reference_id);
            match sink.deliver(frame) {
                Some(waiting) => Metrics::of_process().client_lag.record(waiting as f64),
                None => {
                    Metrics::of_process().clients_slow.increment(1);
                    sink.close(
                        close::SLOW_CONSUMER,
                        &format!("too slow; the last event sent is {}", delivery.previous),
                    );
                    slow.push(delivery.client);
                }
            }
        }
        drop(sinks);
        // What is disconnected gets nothing more, not even the rest of this batch: the gap would not show.
        for client in slow {
            self.parts.sinks.borrow_mut().remove(&client);
        }
    }
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

fn encode(parts: &EventLogParts, delivery: &Delivery) -> EventBody {
    let time_us = delivery
        .time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_micros() as u64);
    if delivery.event.name == EventName::EventServerConnected {
        let connected = ServerConnected {
            epoch: parts.epoch.to_string(),
            server_role: ServerRole::Primary,
            server_version: parts.server_version.to_string(),
            resume: ResumeOutcome::New,
            session: String::new(),
        };
        return EventBody::server_connected(&connected, delivery.sequence, time_us);
    }
    EventBody::new(&delivery.event, delivery.sequence, time_us)
}

impl Actor for EventLogActor {
    type Context = Context<Self>;
}

impl Supervised for EventLogActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        escalate_if_due(self);
        self.out.clear();
    }
}

impl Escalation for EventLogActor {
    fn escalate(&mut self) {
        tracing::error!("the event log starts empty; every client is disconnected");
        // The same epoch goes on, so its sequences must not start again.
        let sequence = self.parts.machine.borrow().sequence();
        let mut old = self
            .parts
            .machine
            .replace(EventLog::after(self.parts.epoch.clone(), sequence));
        let clients: Vec<_> = self.parts.sinks.borrow_mut().drain().collect();
        for (client, sink) in clients {
            sink.close(close::INTERNAL, "the event log was restarted");
            for dn in old.client_closed(client) {
                self.tell_dn(&dn, client);
            }
        }
    }
}

impl Handler<Publish> for EventLogActor {
    type Result = ();

    fn handle(&mut self, message: Publish, _: &mut Context<Self>) {
        let time = self.time();
        Metrics::of_process().events_published.increment(message.events.len() as u64);
        for (event, requestor) in message.events {
            log_event(&event, self.parts.hide_sensitive_data);
            self.parts.machine.borrow_mut().publish(event, requestor, time, &mut self.out);
        }
        self.flush();
    }
}

impl Handler<EventLogMessage> for EventLogActor {
    type Result = ();

    fn handle(&mut self, message: EventLogMessage, _: &mut Context<Self>) {
        self.handle_message(message);
        self.flush();
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
