//! One live call as CTI clients see it, with its consultation calls.
//!
//! Place: child of the T-Server side. Transient: after a crash its machine is as it was before, and takes the input that crashed it once more. A
//! second crash on the same input ends its calls: the event log tells each party's clients one terminal event, the connector ends the legs
//! (see [`super::Switch`]), and the input is [quarantined](crate::quarantine); nobody else notices. What it is it keeps in the journal; once another Call actor takes its calls over, its record
//! stays until that one's is written with it.
//!
//! | message | effect |
//! |---|---|
//! | [`CallMessage::Input`] | the pure machine's input; events go to the event log, link requests to the ConnectorLink |
//! | [`CallMessage::Surrender`] | its calls become another Call actor's; what still comes here is handed on |
//! | [`CallMessage::KeepAgain`] | puts what it keeps into the journal once more |
//! | [`QueryCallSummary`] | what `GET /v1/calls` shows |
//!
//! It stops when its machine has finished and what waited for it is answered.

use std::rc::Rc;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, MessageResult, Supervised};
use serde::{Deserialize, Serialize};
use tandem_model::call::{self, Call, CallInput, CallOutput, CallSnapshot, CallSummary, Outcome, Wanted};
use tandem_model::link::LinkNotification;
use tandem_model::request::OnCallWith;
use tandem_model::{ConferenceId, ConnId, ConnectorId, Request, TErrorCode};

use super::event_log::{Publish, Told};
use super::switch::Switch;
use crate::alarm::{Alarm, Alarmed};
use crate::directory::Directory;
use crate::journal::{Entry, Kept, RecordKind, Scope};
use crate::kind::{ActorKind, Waiting};
use crate::metrics::{Metrics, call_finished};
use crate::now;
use crate::supervision::{ChildSpec, give_up};

/// Clients may have this many requests waiting at one call; more get error 111.
pub(super) const SPEC: ChildSpec = ChildSpec::transient(ActorKind::Call, 64);

/// An input of the machine, or an injected fault.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum CallMessage {
    /// For the machine.
    Input(CallInput),
    /// Another Call actor wants these calls.
    Surrender {
        /// Which.
        to: Addr<CallActor>,
        /// Its name: the ConnID of its first call.
        group: ConnId,
    },
    /// The journal had lost what it kept.
    KeepAgain,
    /// What waited before this message has been handled; from the call to itself.
    Stop,
    /// Panic, to test the supervision.
    #[cfg(feature = "fault-injection")]
    Crash,
    /// Panic on the next input, and again when it is taken once more.
    #[cfg(feature = "fault-injection")]
    CrashTwice,
}

/// Asks for the summary of a call; `None` where it is not here.
#[derive(Debug, Message)]
#[rtype(result = "Option<CallSummary>")]
pub struct QueryCallSummary(pub ConnId);

/// A group of calls, as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct CallRecord {
    pub(super) machine: CallSnapshot,
    /// Its conferences, and which connectors have them.
    pub(super) conferences: Vec<(ConferenceId, ConnectorId)>,
}

/// What is to be done after a crash.
#[derive(Default)]
struct Crash {
    /// The input that is being handled, and the machine as it was before it.
    handling: Option<(CallInput, Box<Call>)>,
    /// It crashed and is to come back.
    back: bool,
    /// It has come back and is at the same input again.
    again: bool,
    /// That input; none where it is at what it had kept.
    retried: Option<CallInput>,
}

/// The actor.
pub struct CallActor {
    machine: Call,
    first: Option<CallInput>,
    /// Its name in the switch: the ConnID of its first call.
    group: ConnId,
    switch: Rc<Switch>,
    /// Who has its calls now.
    heir: Option<Addr<CallActor>>,
    out: Vec<CallOutput>,
    span: tracing::Span,
    alarm: Alarm,
    kept: Kept,
    crash: Crash,
    /// So often the next input is to crash the actor.
    #[cfg(feature = "fault-injection")]
    fragile: u8,
}

impl CallActor {
    /// A call that starts with `first`.
    pub fn new(machine: Call, first: CallInput, switch: Rc<Switch>, group: ConnId) -> Self {
        let ids = machine.ids();
        let sip_call_id = match &first {
            CallInput::Offered(offered) => &*offered.sip_call_id,
            _ => "",
        };
        let span = tracing::info_span!("call", call_uuid = %ids.call_uuid, conn_id = %group, sip_call_id);
        let kept = Kept::new(switch.journal.clone(), RecordKind::Call, group.0);
        Self {
            machine,
            first: Some(first),
            group,
            switch,
            heir: None,
            out: Vec::new(),
            span,
            alarm: Alarm::default(),
            kept,
            crash: Crash::default(),
            #[cfg(feature = "fault-injection")]
            fragile: 0,
        }
    }

    /// A group of calls of the process before, as it was restored, with what is to be done first.
    pub(super) fn recovered(machine: Call, out: Vec<CallOutput>, record: Vec<u8>, switch: Rc<Switch>, group: ConnId) -> Self {
        let ids = machine.ids();
        let span = tracing::info_span!("call", call_uuid = %ids.call_uuid, conn_id = %group, sip_call_id = "");
        let kept = Kept::recovered(switch.journal.clone(), RecordKind::Call, group.0, record);
        Self {
            machine,
            first: None,
            group,
            switch,
            heir: None,
            out,
            span,
            alarm: Alarm::default(),
            kept,
            crash: Crash::default(),
            #[cfg(feature = "fault-injection")]
            fragile: 0,
        }
    }

    /// What is to be kept of it now, where that has changed.
    fn keep(&mut self) -> Option<Entry> {
        let record = self.machine.snapshot(self.switch.anchor).map(|machine| CallRecord {
            machine,
            conferences: self.switch.group_conferences(self.group),
        });
        self.kept.change(record.as_ref())
    }

    /// Its calls end: nothing is kept of them, nor of those that it was about to take over.
    fn forget(&mut self) {
        self.kept.keep(None::<&CallRecord>);
        if let Some((CallInput::Absorbed(Ok(other)), _)) = &self.crash.handling {
            forgotten(other.ids().conn_id).put(&mut **self.switch.journal.borrow_mut());
        }
    }

    /// Comes back from its own crash. A machine that crashed is as it was before its input, which it gets once more; where something else
    /// did, what the machine wanted done is lost, and it comes back from what it keeps.
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
            None => match self.kept.last::<CallRecord>() {
                Some(record) => {
                    self.machine = self.switch.restored(record.machine, &mut self.out);
                    self.carry_all_out(None, ctx);
                }
                None => ctx.stop(),
            },
        }
        self.crash.again = false;
        self.crash.retried = None;
    }

    fn apply(&mut self, input: CallInput, ctx: &mut Context<Self>) {
        let _in_span = self.span.clone().entered();
        let absorbed = match &input {
            CallInput::Absorbed(Ok(other)) => Some(other.ids().conn_id),
            _ => None,
        };
        let ended = match &input {
            CallInput::Link(LinkNotification::ConferenceEnded { conference }) => Some(*conference),
            _ => None,
        };
        if may_consult(&input) {
            let spare = self.switch.spare(self.machine.ids().conference);
            self.machine.handle(CallInput::Spare(Box::new(spare)), now(), &mut self.out);
        }
        self.machine
            .handle(CallInput::Numbering(self.switch.numbering()), now(), &mut self.out);
        self.machine
            .handle(CallInput::Wishes(self.switch.wishes()), now(), &mut self.out);
        // A copy costs about a microsecond.
        self.crash.handling = Some((input.clone(), Box::new(self.machine.clone())));
        #[cfg(feature = "fault-injection")]
        if let Some(left) = self.fragile.checked_sub(1) {
            self.fragile = left;
            panic!("injected into a call");
        }
        self.machine.handle(input, now(), &mut self.out);
        self.crash.handling = None;
        self.carry_all_out(absorbed, ctx);
        if let Some(conference) = ended {
            self.switch.conference_ended(conference);
        }
    }

    /// Does what the machine wants done. What clients are told goes to the event log in one message with what is kept of the calls after it:
    /// a server that is killed has told and kept both, or neither. With `absorbed`, the record of that group is this one's from now on.
    fn carry_all_out(&mut self, absorbed: Option<ConnId>, ctx: &mut Context<Self>) {
        // What had no consequence for anybody may be lost: the connector is asked how things are when the calls come back.
        let is_moot = self.out.is_empty() && absorbed.is_none() && self.kept.is_some();
        let (mut told, mut closed) = (Vec::new(), Vec::new());
        for output in std::mem::take(&mut self.out) {
            self.carry_out(output, &mut told, &mut closed, ctx);
        }
        // From then on a connector may have something to say about it that must find it here.
        let urgent = !self.kept.is_some() || absorbed.is_some();
        let mut entries: Vec<_> = if is_moot { None } else { self.keep() }.into_iter().collect();
        entries.extend(absorbed.map(forgotten));
        publish(&self.switch.directory, told, entries, urgent);
        for conn_id in closed {
            // The event log is told last that the call is gone.
            self.switch.closed(self.group, conn_id);
        }
        self.alarm.set(self.machine.next_timeout(), ctx);
    }

    fn carry_out(&self, output: CallOutput, told: &mut Vec<Told>, closed: &mut Vec<ConnId>, ctx: &mut Context<Self>) {
        match output {
            CallOutput::Event { event, requestor } => told.push(Told::Event(event, requestor)),
            CallOutput::Answer { requestor, event } => told.push(Told::Answer(requestor, event)),
            CallOutput::Link(request) => match self.switch.refusal(&request) {
                // Unbounded post: one for each operation.
                Some(refusal) => ctx.address().do_send(CallMessage::Input(CallInput::Link(refusal))),
                None => self.switch.post(request),
            },
            CallOutput::Opened { conn_id } => self.switch.opened(self.group, conn_id),
            CallOutput::Closed { conn_id, record } => {
                account(&record);
                closed.push(conn_id);
            }
            CallOutput::DataLeftOut { conn_id, error } => {
                tracing::warn!(%conn_id, %error, "a phone merged two calls, the user data of the one that ended is left out");
            }
            CallOutput::Absorb(wanted) => self.absorb(wanted, ctx),
            // No request comes any more; those that wait are answered, and then it stops.
            CallOutput::Finished => ctx.address().do_send(CallMessage::Stop),
        }
    }

    fn absorb(&self, wanted: Wanted, ctx: &mut Context<Self>) {
        let me = ctx.address();
        match self.switch.find(wanted).filter(|other| *other != me && other.connected()) {
            // Unbounded posts: one for each operation, and there is one at a time.
            Some(other) => other.do_send(CallMessage::Surrender {
                to: me,
                group: self.group,
            }),
            None => me.do_send(CallMessage::Input(CallInput::Absorbed(Err(TErrorCode::InvalidConnId.into())))),
        }
    }

    fn surrender(&mut self, to: Addr<CallActor>, group: ConnId, ctx: &mut Context<Self>) {
        let surrendered = self.machine.surrender();
        if surrendered.is_ok() {
            // What comes from now on goes to the heir; what waits here already is handed on to it before this actor stops.
            self.switch.absorbed(self.group, group);
            self.heir = Some(to.clone());
            self.alarm.set(None, ctx);
            ctx.address().do_send(CallMessage::Stop);
        }
        // Unbounded post: one for each request to surrender.
        to.do_send(CallMessage::Input(CallInput::Absorbed(surrendered)));
    }
}

/// Nothing is kept of a group any more.
pub(super) fn forgotten(group: ConnId) -> Entry {
    Entry {
        kind: RecordKind::Call,
        id: group.0,
        value: None,
    }
}

/// Whether the request may need ids for a consultation call.
fn may_consult(input: &CallInput) -> bool {
    let CallInput::Request {
        request: Request::OnCallWith { operation, .. },
        ..
    } = input
    else {
        return false;
    };
    matches!(operation, OnCallWith::InitiateTransfer | OnCallWith::InitiateConference)
}

fn publish(directory: &Directory, told: Vec<Told>, entries: Vec<Entry>, urgent: bool) {
    if told.is_empty() && entries.is_empty() {
        return;
    }
    if let Some(log) = directory.event_log() {
        // Unbounded post: each is caused by one message to the call, and the event log never waits for a client.
        log.do_send(Publish {
            told,
            entries,
            urgent,
            waiting: Waiting::new(ActorKind::EventLog),
        });
    }
}

fn account(record: &call::CallRecord) {
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
        if self.heir.is_some() {
            return;
        }
        if self.crash.back {
            return self.come_back(ctx);
        }
        match self.first.take() {
            Some(first) => self.apply(first, ctx),
            None => self.carry_all_out(None, ctx),
        }
    }
}

impl Supervised for CallActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.alarm = Alarm::default();
        if self.heir.is_some() {
            // There is nothing to come back to but what waits here for the heir. The record goes when the heir's is written: until then
            // the next process has the calls from this one.
            self.crash = Crash::default();
            self.out.clear();
            return;
        }
        if self.crash.again {
            let handled = self.crash.handling.as_ref().map(|(input, _)| input);
            let input = handled.or(self.crash.retried.as_ref());
            let (journal, id) = (&self.switch.journal, self.group.to_string());
            let quarantine = &self.switch.directory.quarantine;
            quarantine.take(Scope::TServer, journal, ActorKind::Call, id, input);
        }
        if self.crash.again || (self.crash.handling.is_none() && !self.kept.is_some()) {
            self.forget();
            return give_up();
        }
        self.crash.back = true;
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
        if let (Some(heir), CallMessage::Input(_) | CallMessage::Surrender { .. }) = (&self.heir, &message) {
            // Unbounded post: what waited in this actor's mailbox.
            return heir.do_send(message);
        }
        match message {
            CallMessage::Input(input) => self.apply(input, ctx),
            CallMessage::Surrender { to, group } => self.surrender(to, group, ctx),
            CallMessage::KeepAgain => self.kept.put_again(),
            CallMessage::Stop => ctx.stop(),
            #[cfg(feature = "fault-injection")]
            CallMessage::Crash => {
                self.fragile = 1;
                self.apply(CallInput::Timeout, ctx);
            }
            #[cfg(feature = "fault-injection")]
            CallMessage::CrashTwice => self.fragile = 2,
        }
    }
}

impl Handler<QueryCallSummary> for CallActor {
    type Result = MessageResult<QueryCallSummary>;

    fn handle(&mut self, query: QueryCallSummary, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.machine.summary(query.0, now()))
    }
}

#[cfg(all(test, feature = "fault-injection"))]
mod tests {
    use super::super::event_log::tests::{Scene, in_a_system};
    use super::*;

    #[test]
    fn a_call_that_crashes_too_often_is_not_kept() {
        in_a_system(async {
            let scene = Scene::new();
            let group = scene.call(1);
            let call = scene.switch.directory.call(group).expect("a call");
            scene.until(|kept| kept.has(RecordKind::Call, group.0)).await;
            for _ in 0..8 {
                call.do_send(CallMessage::Crash);
            }
            // Removals are written with the next record.
            let other = scene.call(2);
            scene
                .until(|kept| kept.has(RecordKind::Call, other.0) && !kept.has(RecordKind::Call, group.0))
                .await;
            assert!(scene.switch.directory.call(group).is_none());
        });
    }

    #[test]
    fn an_input_that_it_crashes_on_twice_is_kept_and_the_call_is_not() {
        in_a_system(async {
            let scene = Scene::new();
            let group = scene.call(1);
            let call = scene.switch.directory.call(group).expect("a call");
            scene.until(|kept| kept.has(RecordKind::Call, group.0)).await;
            let directory = &scene.switch.directory;
            directory.quarantine.open(Scope::TServer, &[], scene.switch.anchor);
            call.do_send(CallMessage::CrashTwice);
            call.do_send(CallMessage::Input(CallInput::LinkRestored));
            scene.until(|kept| kept.has(RecordKind::Quarantined, 1)).await;
            let entries = directory.quarantine.entries();
            assert_eq!(
                (entries.len(), entries[0].1.input.as_str(), &entries[0].1.id),
                (1, "LinkRestored", &group.to_string())
            );
            // Until the call is forgotten it is there still: the commit was for the quarantine alone.
            let noted = scene.kept();
            let alone = [(RecordKind::Quarantined, 1, true)];
            assert!(noted.commits.iter().any(|commit| *commit == alone), "{:?}", noted.commits);
            assert!(directory.call(group).is_none());
        });
    }

    #[test]
    fn a_call_that_crashes_while_it_is_taken_over_stays_kept_until_the_other_one_has_it() {
        in_a_system(async {
            let scene = Scene::new();
            let [heir, gone] = [1, 2].map(|number| scene.call(number));
            let calls = [heir, gone].map(|group| scene.switch.directory.call(group).expect("a call"));
            let [to, crashing] = calls;
            scene
                .until(|kept| [heir, gone].iter().all(|group| kept.has(RecordKind::Call, group.0)))
                .await;
            // The crash comes before the heir has done anything.
            crashing.do_send(CallMessage::Surrender { to, group: heir });
            crashing.do_send(CallMessage::Crash);
            scene.until(|kept| !kept.has(RecordKind::Call, gone.0)).await;
            let together = [(RecordKind::Call, heir.0, true), (RecordKind::Call, gone.0, false)];
            assert_eq!(scene.kept().commits.last().map(Vec::as_slice), Some(&together[..]));
            assert!(scene.switch.directory.call(gone).is_some(), "the heir has the call");
        });
    }
}
