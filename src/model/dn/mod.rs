//! One DN: whether it is in service, and which clients are registered on it and how.
//!
//! States: out of service ⇄ in service. An Extension is in service while the link to its connector is up and at least one device is
//! registered; a Trunk and a Conference while the link is up. Clients hear of each change once (EventDNOutOfService, EventDNBackInService).
//!
//! Invariant: at most one client holds the DN Private, and while one does no other client holds it Share. Monitor goes beside both.
//!
//! It does not deliver events ([`crate::event_log`] does), knows no calls and does not know where devices are.

#[cfg(test)]
mod tests;

use smallvec::SmallVec;

use crate::numbering::DnKind;
use crate::{AddressType, ClientId, DnId, Event, EventName, KvValue, RegisterMode, Requestor, TError, TErrorCode};

/// The extension of EventDNOutOfService and EventDNBackInService that says why.
const CAUSE: &str = "cause";

/// How DNs behave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DnSettings {
    /// How many clients may be registered on one DN; one more gets error 111.
    pub max_clients: usize,
}

impl Default for DnSettings {
    fn default() -> Self {
        Self { max_clients: 256 }
    }
}

/// What happens to a DN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DnInput {
    /// How many devices are registered for it now.
    Contacts(u32),
    /// The process before had told its clients this of its service, and they go on with it. The first input.
    Restarted {
        /// In service.
        in_service: bool,
        /// Whether a connector can be reached already.
        link_up: bool,
    },
    /// Who had registered with the process before was heard of by now: clients are told where they believe something else.
    Review,
    /// The link to the connector that serves it came up or went down. It counts as up in the beginning.
    Link {
        /// Up.
        up: bool,
    },
    /// A client wants to register.
    RegisterCheck {
        /// Who.
        requestor: Requestor,
        /// How it wants to share the DN.
        mode: RegisterMode,
    },
    /// A client no longer wants to be registered.
    Unregister {
        /// Who.
        requestor: Requestor,
    },
    /// A client is gone; nobody gets an answer. One that may still resume is not gone: its registration holds.
    ClientGone(ClientId),
    /// A client was registered before the server restarted, and still is; nobody gets an answer.
    Restored {
        /// Who.
        client: ClientId,
        /// How it shares the DN.
        mode: RegisterMode,
    },
    /// A client wants to make a call from it.
    MakeCallCheck {
        /// Who.
        requestor: Requestor,
    },
    /// A client wants something of a call on this DN, or a query: it has to be registered and nobody else may hold the DN Private.
    RequestCheck {
        /// Who.
        requestor: Requestor,
    },
}

/// What a DN wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum DnOutput {
    /// Tell every client that is registered on it.
    Event(Box<Event>),
    /// The client is registered: subscribe it in the event log, which answers with EventRegistered.
    Registered {
        /// Who.
        requestor: Requestor,
        /// What EventRegistered says of the DN.
        facts: DnFacts,
    },
    /// The client is no longer registered: the event log answers with EventUnregistered.
    Unregistered {
        /// Who.
        requestor: Requestor,
    },
    /// The request may go on.
    Accepted {
        /// Who.
        requestor: Requestor,
    },
    /// The request is refused.
    Refused {
        /// Who.
        requestor: Requestor,
        /// Why.
        error: TError,
    },
}

/// What EventRegistered and EventAddressInfo say of a DN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DnFacts {
    /// What it is.
    pub address_type: AddressType,
    /// Whether it is in service.
    pub in_service: bool,
    /// How many devices are registered for it.
    pub contacts: u32,
}

/// The machine. See the module.
#[derive(Clone, Debug)]
pub struct Dn {
    dn: DnId,
    kind: DnKind,
    settings: DnSettings,
    contacts: u32,
    link_up: bool,
    /// What clients believe of its service.
    told: bool,
    /// Whether every device was heard of; not yet after a restart.
    settled: bool,
    clients: SmallVec<[(ClientId, RegisterMode); 2]>,
}

impl Dn {
    /// A DN without devices and clients. A Trunk and a Conference are in service at once.
    pub fn new(dn: DnId, kind: DnKind, settings: DnSettings) -> Self {
        Self {
            dn,
            kind,
            settings,
            contacts: 0,
            link_up: true,
            told: kind != DnKind::Extension,
            settled: true,
            clients: SmallVec::new(),
        }
    }

    /// Its name.
    pub fn dn(&self) -> &DnId {
        &self.dn
    }

    /// Whether calls can reach it.
    pub fn in_service(&self) -> bool {
        self.link_up && (self.kind != DnKind::Extension || self.contacts > 0)
    }

    /// What events say of it.
    pub fn facts(&self) -> DnFacts {
        DnFacts {
            address_type: match self.kind {
                DnKind::Extension | DnKind::Conference => AddressType::DN,
                DnKind::Trunk => AddressType::Trunk,
            },
            in_service: self.in_service(),
            contacts: self.contacts,
        }
    }

    /// How many clients are registered on it.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Takes one input; what is to be done is appended to `out`.
    pub fn handle(&mut self, input: DnInput, out: &mut Vec<DnOutput>) {
        match input {
            DnInput::Contacts(contacts) => self.change(out, |dn| dn.contacts = contacts),
            DnInput::Restarted { in_service, link_up } => {
                (self.told, self.link_up, self.settled) = (in_service, link_up, !in_service);
            }
            DnInput::Review => self.settle(out),
            DnInput::Link { up } => self.change(out, |dn| dn.link_up = up),
            DnInput::RegisterCheck { requestor, mode } => {
                // What this client is told of the service has to be what the others believe: the next event is for all of them.
                self.settle(out);
                out.push(match self.register(requestor.client, mode) {
                    Ok(facts) => DnOutput::Registered { requestor, facts },
                    Err(error) => DnOutput::Refused { requestor, error },
                });
            }
            DnInput::Unregister { requestor } => out.push(match self.unregister(requestor.client) {
                Ok(()) => DnOutput::Unregistered { requestor },
                Err(error) => DnOutput::Refused { requestor, error },
            }),
            DnInput::ClientGone(client) => self.clients.retain(|(other, _)| *other != client),
            DnInput::Restored { client, mode } => {
                // It stood beside the others before, so there is nothing to refuse.
                self.clients.retain(|(other, _)| *other != client);
                self.clients.push((client, mode));
            }
            DnInput::MakeCallCheck { requestor } => {
                let checked = self.check_client(requestor.client).and_then(|()| self.check_in_service());
                out.push(answer(requestor, checked));
            }
            DnInput::RequestCheck { requestor } => out.push(answer(requestor, self.check_client(requestor.client))),
        }
    }

    fn change(&mut self, out: &mut Vec<DnOutput>, change: impl FnOnce(&mut Self)) {
        change(self);
        self.tell(out);
    }

    /// What is to be heard of after a restart was heard.
    fn settle(&mut self, out: &mut Vec<DnOutput>) {
        self.settled = true;
        self.tell(out);
    }

    /// Tells the clients where they believe something else.
    fn tell(&mut self, out: &mut Vec<DnOutput>) {
        if self.told != self.in_service() && (self.settled || self.in_service()) {
            self.told = self.in_service();
            out.push(DnOutput::Event(Box::new(self.service_event())));
        }
    }

    fn service_event(&self) -> Event {
        let (name, cause) = match (self.in_service(), self.link_up) {
            (true, _) if self.kind != DnKind::Extension => (EventName::EventDNBackInService, "link-up"),
            (true, _) => (EventName::EventDNBackInService, "registered"),
            (false, false) => (EventName::EventDNOutOfService, "link-down"),
            (false, true) => (EventName::EventDNOutOfService, "unregistered"),
        };
        let mut event = Event {
            this_dn: Some(self.dn.clone()),
            address_type: Some(self.facts().address_type),
            ..Event::new(name)
        };
        event.extensions.set(CAUSE, KvValue::from(cause));
        event
    }

    /// Registering again changes the mode.
    fn register(&mut self, client: ClientId, mode: RegisterMode) -> Result<DnFacts, TError> {
        let others = self.clients.iter().filter(|(other, _)| *other != client);
        let clash = others.map(|(_, theirs)| *theirs).any(|theirs| match mode {
            RegisterMode::Monitor => false,
            RegisterMode::Share => theirs == RegisterMode::Private,
            RegisterMode::Private => theirs != RegisterMode::Monitor,
        });
        if clash {
            let text = format!("another client is registered on {}, one of the two wants it Private", self.dn);
            return Err(TError::new(TErrorCode::ResourceSeized, text));
        }
        let full = self.clients.len() >= self.settings.max_clients;
        match self.clients.iter_mut().find(|(other, _)| *other == client) {
            Some((_, theirs)) => *theirs = mode,
            None if full => {
                let text = format!(
                    "{} clients are registered on {}, no more are allowed",
                    self.clients.len(),
                    self.dn
                );
                return Err(TError::new(TErrorCode::TooManyRequests, text));
            }
            None => self.clients.push((client, mode)),
        }
        Ok(self.facts())
    }

    fn unregister(&mut self, client: ClientId) -> Result<(), TError> {
        let before = self.clients.len();
        self.clients.retain(|(other, _)| *other != client);
        if self.clients.len() == before {
            Err(self.not_registered())
        } else {
            Ok(())
        }
    }

    fn check_client(&self, client: ClientId) -> Result<(), TError> {
        let seized = |(other, mode): &(ClientId, RegisterMode)| *other != client && *mode == RegisterMode::Private;
        if self.clients.iter().any(seized) {
            let text = format!("another client holds {} as Private", self.dn);
            return Err(TError::new(TErrorCode::ResourceSeized, text));
        }
        if self.clients.iter().any(|(other, _)| *other == client) {
            Ok(())
        } else {
            Err(self.not_registered())
        }
    }

    fn check_in_service(&self) -> Result<(), TError> {
        if self.in_service() {
            return Ok(());
        }
        Err(TError::new(
            TErrorCode::OutOfService,
            format!("{} is out of service", self.dn),
        ))
    }

    fn not_registered(&self) -> TError {
        TError::new(
            TErrorCode::NotRegistered,
            format!("the client is not registered on {}", self.dn),
        )
    }
}

fn answer(requestor: Requestor, checked: Result<(), TError>) -> DnOutput {
    match checked {
        Ok(()) => DnOutput::Accepted { requestor },
        Err(error) => DnOutput::Refused { requestor, error },
    }
}
