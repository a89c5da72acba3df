//! One directory number: its service state, and the clients registered on it.
//!
//! Place: permanent child of the T-Server side. Its machine lives in a slot. Escalation starts it without clients; the next change of
//! its contacts brings its service state back.
//!
//! | message | from | effect |
//! |---|---|---|
//! | `Request` | clients | checked here, then: registered, a call started, or handed to the call |
//! | `Contacts` | connector link | the service state, told to the clients |
//! | `KeepAgain` | event log | the journal had lost its record |
//! | `Review` | connector link | every device was heard of after a restart: the service state is told where it is not what it was |
//! | `Link` | connector link | its connector can be reached, or cannot |
//! | `Configured`, `Removed` | connector link | the configuration was read again: it is as that says, or is not in it any more |
//! | `ClientGone` | event log | its registration ends |
//! | `Restored` | event log | its registration goes on after a restart |
//! | [`QueryDn`] | gateway | what `GET /v1/dns` shows |

use std::rc::Rc;

use actix::{Actor, Addr, Context, Handler, Message, MessageResult, Supervised};
use tandem_model::call::{CallInput, Make};
use tandem_model::dn::wish::{InForce, Wish, WishChange};
use tandem_model::dn::{Dn, DnFacts, DnInput, DnOutput, DnSettings};
use tandem_model::event_log::Subscription;
use tandem_model::numbering::DnConfig;
use tandem_model::room::RoomInput;
use tandem_model::{AddressInfoType, ClientId, DnId, Event, EventName, RegisterMode, Request, Requestor, TError, TErrorCode};

use super::call::CallMessage;
use super::event_log::{EventLogMessage, Publish, Told};
use super::room::RoomMessage;
use super::switch::Switch;
use crate::kind::{ActorKind, Waiting};
use crate::metrics::Metrics;
use crate::supervision::{ChildSpec, Escalation, Slot, escalate_if_due, supervise};

/// Clients may have this many requests waiting at one DN; more get error 111.
const SPEC: ChildSpec = ChildSpec::permanent(ActorKind::Dn, 256);

/// What a DN is told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
#[allow(missing_docs, reason = "the table in the module's documentation says it")]
pub enum DnMessage {
    Request {
        requestor: Requestor,
        request: Request,
    },
    Contacts(u32),
    Review,
    KeepAgain,
    Link {
        up: bool,
    },
    Configured(Box<DnConfig>),
    Removed,
    ClientGone(ClientId),
    /// The client was registered before the server restarted, and may resume.
    Restored(ClientId, RegisterMode, Wish),
    /// Panic, to test the supervision.
    #[cfg(feature = "fault-injection")]
    Crash,
    /// Panic at the next request.
    #[cfg(feature = "fault-injection")]
    CrashAtRequest,
}

/// Asks for a [`DnSummary`].
#[derive(Debug, Message)]
#[rtype(result = "DnSummary")]
pub struct QueryDn;

/// A DN as `GET /v1/dns` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnSummary {
    /// Its name.
    pub dn: DnId,
    /// What it is and whether it is in service.
    pub facts: DnFacts,
    /// Clients registered on it.
    pub clients: usize,
    /// The connector that owns it.
    pub connector: u16,
}

/// What the actor is made from, and made from again.
#[derive(Clone)]
pub struct DnParts {
    config: DnConfig,
    machine: Slot<Dn>,
    switch: Rc<Switch>,
}

impl DnParts {
    /// A DN without devices and clients. Where the server has kept something, clients of the process before may go on: they believe what
    /// that one told them last.
    pub fn new(config: DnConfig, switch: Rc<Switch>, link_up: bool) -> Self {
        let mut dn = empty(&config, &switch);
        let restarted = DnInput::Restarted {
            in_service: switch.was_in_service(&config.dn) || (link_up && dn.in_service()),
            link_up,
        };
        // It has no output.
        dn.handle(restarted, &mut Vec::new());
        let machine = Slot::new(dn.into());
        Self { config, machine, switch }
    }
}

/// A DN without devices and clients.
fn empty(config: &DnConfig, switch: &Switch) -> Dn {
    let direct_calls = switch.numbering().direct_calls(&config.dn);
    Dn::new(config.dn.clone(), config.kind, DnSettings::default()).with_direct_calls(direct_calls)
}

/// The actor.
pub struct DnActor {
    parts: DnParts,
    out: Vec<DnOutput>,
    /// Whether it is in service, as it was counted; `None` where it is configured no more, and not counted.
    counted: Option<bool>,
    /// Whose request is being handled; still there after a crash, when nobody has answered it.
    asked: Option<Requestor>,
    /// The next request is to crash the actor.
    #[cfg(feature = "fault-injection")]
    fragile: bool,
}

impl DnActor {
    /// Starts it on the current arbiter.
    pub fn supervise(parts: DnParts) -> Addr<Self> {
        let counted = Some(parts.machine.borrow().facts().in_service);
        Metrics::of_process().dn_changed(None, counted);
        supervise(
            SPEC,
            Self {
                parts,
                out: Vec::new(),
                counted,
                asked: None,
                #[cfg(feature = "fault-injection")]
                fragile: false,
            },
        )
    }

    /// Hands the machine an input; `request` is what goes on where the machine accepts.
    fn apply(&mut self, input: DnInput, request: Option<Request>) {
        self.parts.machine.borrow_mut().handle(input, &mut self.out);
        self.count();
        let mut request = request;
        for output in std::mem::take(&mut self.out) {
            let dn = || self.parts.config.dn.clone();
            match output {
                DnOutput::Event(event) => self.publish(*event),
                DnOutput::Registered { requestor, facts, wish } => self.post_log(EventLogMessage::Subscribe(Subscription {
                    requestor,
                    dn: dn(),
                    facts,
                    wish,
                })),
                DnOutput::InForce(in_force) => self.parts.switch.heed(&self.parts.config.dn, in_force),
                DnOutput::Unregistered { requestor } => self.post_log(EventLogMessage::Unsubscribe { requestor, dn: dn() }),
                DnOutput::Refused { requestor, error } => self.refuse(requestor, error),
                DnOutput::Accepted { requestor } => {
                    if let Some(request) = request.take() {
                        self.go_on(requestor, request);
                    }
                }
            }
        }
    }

    fn count(&mut self) {
        let machine = self.parts.machine.borrow();
        let counts = (!machine.is_removed()).then(|| machine.facts().in_service);
        Metrics::of_process().dn_changed(self.counted, counts);
        self.counted = counts;
    }

    fn request(&mut self, requestor: Requestor, request: Request) {
        #[cfg(feature = "fault-injection")]
        assert!(!std::mem::take(&mut self.fragile), "injected into a DN by a request");
        let input = match &request {
            Request::RegisterAddress {
                register_mode,
                extensions,
                ..
            } => match WishChange::from_extensions(extensions) {
                Ok(wish) => DnInput::RegisterCheck {
                    requestor,
                    mode: *register_mode,
                    wish,
                },
                Err(error) => return self.refuse(requestor, error),
            },
            Request::UnregisterAddress { .. } => DnInput::Unregister { requestor },
            Request::MakeCall { .. } => DnInput::MakeCallCheck { requestor },
            _ => DnInput::RequestCheck { requestor },
        };
        self.apply(input, Some(request));
    }

    /// A request that may go on.
    fn go_on(&self, requestor: Requestor, request: Request) {
        let done = match request {
            Request::QueryAddress { address_info_type, .. } => self.query_address(requestor, address_info_type),
            request @ Request::MakeCall { .. } => self.make_call(requestor, request),
            request => self.to_call(requestor, request),
        };
        if let Err(error) = done {
            self.refuse(requestor, error);
        }
    }

    fn query_address(&self, requestor: Requestor, info: AddressInfoType) -> Result<(), TError> {
        if info != AddressInfoType::DNStatus {
            let text = format!("addressInfoType: {info} is not supported, DNStatus is");
            return Err(TError::new(TErrorCode::UnsupportedOperation, text));
        }
        let facts = self.parts.machine.borrow().facts();
        self.post_log(EventLogMessage::QueryAddress {
            requestor,
            dn: self.parts.config.dn.clone(),
            facts,
        });
        Ok(())
    }

    fn make_call(&self, requestor: Requestor, request: Request) -> Result<(), TError> {
        let switch = &self.parts.switch;
        if switch.is_draining() {
            return Err(TError::new(
                TErrorCode::OutOfService,
                "the server is draining and makes no new call",
            ));
        }
        if !switch.has_room() {
            return Err(TError::new(
                TErrorCode::TooManyRequests,
                "the server has as many calls as it may have",
            ));
        }
        let make = Make::from_request(requestor, request).ok_or(TErrorCode::Internal)?;
        switch.start_call(switch.connector_of(&self.parts.config.dn), CallInput::Make(Box::new(make)));
        Ok(())
    }

    fn to_call(&self, requestor: Requestor, request: Request) -> Result<(), TError> {
        let conn_id = request.conn_id().ok_or(TErrorCode::UnsupportedOperation)?;
        let no_call = || TError::new(TErrorCode::InvalidConnId, format!("connId: there is no call {conn_id}"));
        if let Some(room) = self.parts.switch.directory.room(conn_id) {
            let input = RoomInput::Request { requestor, request };
            return room.try_send(RoomMessage::Input(input)).map_err(|error| match error {
                actix::dev::SendError::Full(_) => {
                    ActorKind::Room.metrics().shed.increment(1);
                    TErrorCode::TooManyRequests.into()
                }
                actix::dev::SendError::Closed(_) => no_call(),
            });
        }
        // Of two calls the consultation knows what became of the other one.
        let calls = [Some(conn_id), request.other_conn_id()];
        let mut calls = calls.into_iter().flatten();
        let call = calls.find_map(|conn_id| self.parts.switch.directory.call(conn_id));
        let call = call.ok_or_else(no_call)?;
        call.try_send(CallMessage::Input(CallInput::Request { requestor, request }))
            .map_err(|error| match error {
                actix::dev::SendError::Full(_) => {
                    ActorKind::Call.metrics().shed.increment(1);
                    TErrorCode::TooManyRequests.into()
                }
                actix::dev::SendError::Closed(_) => no_call(),
            })
    }

    fn refuse(&self, requestor: Requestor, error: TError) {
        let mut event = Event::error(None, error);
        event.this_dn = Some(self.parts.config.dn.clone());
        self.post_log(EventLogMessage::Answer {
            requestor,
            event: Box::new(event),
        });
    }

    /// A change of the service state is told, and kept.
    fn publish(&self, event: Event) {
        let in_service = event.name == EventName::EventDNBackInService;
        self.parts.switch.keep_service(&self.parts.config.dn, in_service);
        if let Some(log) = self.parts.switch.directory.event_log() {
            // Unbounded post: one for each change of the service state.
            log.do_send(Publish {
                told: vec![Told::Event(event, None)],
                entries: Vec::new(),
                urgent: false,
                waiting: Waiting::new(ActorKind::EventLog),
            });
        }
    }

    fn post_log(&self, message: EventLogMessage) {
        if let Some(log) = self.parts.switch.directory.event_log() {
            // Unbounded post: one for each request, and those wait in this actor's bounded mailbox.
            log.do_send(message);
        }
    }
}

impl Actor for DnActor {
    type Context = Context<Self>;
}

impl Supervised for DnActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        escalate_if_due(self);
        self.out.clear();
        // Every request is answered, also the one that caused the crash.
        if let Some(requestor) = self.asked.take() {
            self.refuse(requestor, TErrorCode::Internal.into());
        }
    }
}

impl Escalation for DnActor {
    fn escalate(&mut self) {
        tracing::error!("a DN starts without clients");
        let (config, switch) = (&self.parts.config, &self.parts.switch);
        self.parts.machine.replace(empty(config, switch));
        switch.heed(&config.dn, InForce::default());
        let is_removed = switch.numbering().dn(&config.dn).is_none();
        let contacts = switch.directory.locations.bindings(&config.dn).len();
        if is_removed {
            self.apply(DnInput::Removed, None);
        }
        self.apply(DnInput::Contacts(u32::try_from(contacts).unwrap_or(u32::MAX)), None);
    }
}

impl Handler<DnMessage> for DnActor {
    type Result = ();

    fn handle(&mut self, message: DnMessage, _: &mut Context<Self>) {
        match message {
            DnMessage::Request { requestor, request } => {
                self.asked = Some(requestor);
                self.request(requestor, request);
                self.asked = None;
            }
            DnMessage::Contacts(contacts) => self.apply(DnInput::Contacts(contacts), None),
            DnMessage::KeepAgain => {
                let (dn, switch) = (&self.parts.config.dn, &self.parts.switch);
                switch.keep_service(dn, switch.was_in_service(dn));
            }
            DnMessage::Review => self.apply(DnInput::Review, None),
            DnMessage::Link { up } => self.apply(DnInput::Link { up }, None),
            DnMessage::Configured(config) => {
                let (kind, direct_calls) = (config.kind, self.parts.switch.numbering().direct_calls(&config.dn));
                self.parts.config = *config;
                self.apply(DnInput::Configured { kind, direct_calls }, None);
            }
            DnMessage::Removed => self.apply(DnInput::Removed, None),
            DnMessage::ClientGone(client) => self.apply(DnInput::ClientGone(client), None),
            DnMessage::Restored(client, mode, wish) => self.apply(DnInput::Restored { client, mode, wish }, None),
            #[cfg(feature = "fault-injection")]
            DnMessage::Crash => panic!("injected into a DN"),
            #[cfg(feature = "fault-injection")]
            DnMessage::CrashAtRequest => self.fragile = true,
        }
    }
}

impl Handler<QueryDn> for DnActor {
    type Result = MessageResult<QueryDn>;

    fn handle(&mut self, _: QueryDn, _: &mut Context<Self>) -> Self::Result {
        let machine = self.parts.machine.borrow();
        let switch = &self.parts.switch;
        MessageResult(DnSummary {
            dn: machine.dn().clone(),
            facts: machine.facts(),
            clients: machine.clients(),
            connector: switch.connector_of(machine.dn()).0,
        })
    }
}
