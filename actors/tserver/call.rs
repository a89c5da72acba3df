//! One live call as CTI clients see it.
//!
//! Place: temporary child of the T-Server side. A crash ends the call: the event log tells each party's clients one terminal event,
//! the connector ends the legs (see [`super::Switch`]); nobody else notices.
//!
//! | message | effect |
//! |---|---|
//! | [`CallMessage`] | the pure machine's input; events go to the event log, link requests to the ConnectorLink |
//! | [`QueryCallSummary`] | what `GET /v1/calls` shows |
//!
//! It stops when its machine has finished and what waited for it is answered.

use std::sync::Arc;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, MessageResult};
use tandem_model::call::{Call, CallInput, CallOutput, CallRecord, CallSummary, Outcome};
use tandem_model::{ConnId, ConnectorId};

use super::connector_link::LinkMessage;
use super::event_log::{EventLogMessage, Publish};
use crate::alarm::{Alarm, Alarmed};
use crate::directory::Directory;
use crate::kind::{ActorKind, Waiting};
use crate::metrics::{Metrics, call_finished};
use crate::now;
use crate::supervision::ChildSpec;

/// Clients may have this many requests waiting at one call; more get error 111.
pub(super) const SPEC: ChildSpec = ChildSpec::temporary(ActorKind::Call, 64);

/// An input of the machine, or an injected fault.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum CallMessage {
    /// For the machine.
    Input(CallInput),
    /// What waited before this message has been handled; from the call to itself.
    Stop,
    /// Panic, to test the supervision.
    #[cfg(feature = "fault-injection")]
    Crash,
}

/// Asks for a summary.
#[derive(Debug, Message)]
#[rtype(result = "CallSummary")]
pub struct QueryCallSummary;

/// The actor.
pub struct CallActor {
    machine: Call,
    first: Option<CallInput>,
    conn_id: ConnId,
    connector: ConnectorId,
    directory: Arc<Directory>,
    out: Vec<CallOutput>,
    span: tracing::Span,
    alarm: Alarm,
}

impl CallActor {
    /// A call that starts with `first`.
    pub fn new(machine: Call, first: CallInput, connector: ConnectorId, directory: Arc<Directory>, conn_id: ConnId) -> Self {
        let ids = machine.ids();
        let sip_call_id = match &first {
            CallInput::Offered(offered) => &*offered.sip_call_id,
            _ => "",
        };
        let span = tracing::info_span!("call", call_uuid = %ids.call_uuid, %conn_id, sip_call_id);
        Self {
            machine,
            first: Some(first),
            conn_id,
            connector,
            directory,
            out: Vec::new(),
            span,
            alarm: Alarm::default(),
        }
    }

    fn apply(&mut self, input: CallInput, ctx: &mut Context<Self>) {
        let _in_span = self.span.clone().entered();
        self.machine.handle(input, now(), &mut self.out);
        let mut events = Vec::new();
        for output in self.out.drain(..) {
            match output {
                CallOutput::Event { event, requestor } => events.push((event, requestor)),
                CallOutput::Answer { requestor, event } => {
                    // Answers and events keep their order: what was published before goes first.
                    publish(&self.directory, &mut events);
                    if let Some(log) = self.directory.event_log() {
                        // Unbounded post: one for each request, and those wait in this actor's bounded mailbox.
                        log.do_send(EventLogMessage::Answer {
                            requestor,
                            event: Box::new(event),
                        });
                    }
                }
                CallOutput::Link(request) => {
                    if let Some(link) = self.directory.link(self.connector) {
                        // Unbounded post: each is caused by one message to this call.
                        link.do_send(LinkMessage(request));
                    }
                }
                CallOutput::Finished(record) => {
                    account(&record);
                    // No request comes any more; those that wait are answered, and then it stops.
                    self.directory.remove_call(self.conn_id);
                    ctx.address().do_send(CallMessage::Stop);
                }
            }
        }
        publish(&self.directory, &mut events);
        self.alarm.set(self.machine.next_timeout(), ctx);
    }
}

fn publish(directory: &Directory, events: &mut Vec<(tandem_model::Event, Option<tandem_model::Requestor>)>) {
    if events.is_empty() {
        return;
    }
    if let Some(log) = directory.event_log() {
        // Unbounded post: each is caused by one message to the call, and the event log never waits for a client.
        log.do_send(Publish {
            events: std::mem::take(events),
            waiting: Waiting::new(ActorKind::EventLog),
        });
    }
}

fn account(record: &CallRecord) {
    // A MakeCall that was refused made no call.
    if record.outcome == Outcome::Refused {
        return;
    }
    let metrics = Metrics::of_process();
    if let Some(setup) = record.setup {
        metrics.call_setup.record(setup);
    }
    if let Some(talk) = record.talk {
        metrics.call_duration.record(talk);
    }
    call_finished(record.direction, record.outcome);
    tracing::info!(direction = %record.direction, outcome = record.outcome.name(), talk_ms = record.talk.map(|talk| talk.as_millis() as u64), "call finished");
}

impl Actor for CallActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(first) = self.first.take() {
            self.apply(first, ctx);
        }
    }
}

impl Alarmed for CallActor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.apply(CallInput::Timeout, ctx);
    }
}

impl Handler<CallMessage> for CallActor {
    type Result = ();

    fn handle(&mut self, message: CallMessage, ctx: &mut Context<Self>) {
        match message {
            CallMessage::Input(input) => self.apply(input, ctx),
            CallMessage::Stop => ctx.stop(),
            #[cfg(feature = "fault-injection")]
            CallMessage::Crash => panic!("injected into a call"),
        }
    }
}

impl Handler<QueryCallSummary> for CallActor {
    type Result = MessageResult<QueryCallSummary>;

    fn handle(&mut self, _: QueryCallSummary, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.machine.summary(now()))
    }
}
