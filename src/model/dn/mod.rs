//! One DN: whether it is in service, which clients are registered on it and how, and what they ask of it meanwhile ([`wish`]).
//!
//! States: out of service ⇄ in service. An Extension is in service while the link to its connector is up and at least one device is
//! registered; a Trunk and a Conference while the link is up. Clients hear of each change once (EventDNOutOfService, EventDNBackInService).
//! One that is configured no more is out of service, and nobody new registers on it; who is registered stays so, for the sake of its calls.
//!
//! Invariant: at most one client holds the DN Private, and while one does no other client holds it Share. Monitor goes beside both.
//!
//! It does not deliver events ([`crate::event_log`] does), knows no calls and does not know where devices are.

#[cfg(test)]
mod tests;
pub mod wish;

use smallvec::SmallVec;

use crate::numbering::{DirectCalls, DnKind, HANDLE_DIRECT_CALLS};
use crate::{AddressType, ClientId, DnId, Event, EventName, KvValue, RegisterMode, Requestor, TError, TErrorCode};
use wish::{InForce, Wish, WishChange};

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
    /// It is configured so from now on.
    Configured {
        /// What it is.
        kind: DnKind,
        /// Which direct calls are handled where no client asks for anything else.
        direct_calls: DirectCalls,
    },
    /// It is configured no more.
    Removed,
    /// A client wants to register.
    RegisterCheck {
        /// Who.
        requestor: Requestor,
        /// How it wants to share the DN.
        mode: RegisterMode,
        /// What it asks of the DN from now on.
        wish: WishChange,
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
        /// What it asks of the DN.
        wish: Wish,
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
        /// What the client asks of the DN; the event log keeps it with the registration.
        wish: Wish,
    },
    /// What clients ask of it is something else now. Comes before the answer to whoever asked.
    InForce(InForce),
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
    /// For an Extension: which of its direct calls are handled now.
    pub direct_calls: Option<DirectCalls>,
}

/// A client that is registered.
#[derive(Clone, Copy, Debug)]
struct Registered {
    client: ClientId,
    mode: RegisterMode,
    wish: Wish,
}

/// The machine. See the module.
#[derive(Clone, Debug)]
pub struct Dn {
    dn: DnId,
    kind: DnKind,
    settings: DnSettings,
    contacts: u32,
    link_up: bool,
    /// Whether it is configured no more.
    removed: bool,
    /// What clients believe of its service.
    told: bool,
    /// Whether every device was heard of; not yet after a restart.
    settled: bool,
    clients: SmallVec<[Registered; 2]>,
    /// Which direct calls are handled where no client asks for anything else.
    direct_calls: DirectCalls,
    /// What holds because clients ask for it.
    in_force: InForce,
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
            removed: false,
            told: kind != DnKind::Extension,
            settled: true,
            clients: SmallVec::new(),
            direct_calls: DirectCalls::default(),
            in_force: InForce::default(),
        }
    }

    /// The same, with other settings for direct calls.
    pub fn with_direct_calls(self, direct_calls: DirectCalls) -> Self {
        Self { direct_calls, ..self }
    }

    /// Its name.
    pub fn dn(&self) -> &DnId {
        &self.dn
    }

    /// Whether it is configured no more.
    pub fn is_removed(&self) -> bool {
        self.removed
    }

    /// Whether calls can reach it.
    pub fn in_service(&self) -> bool {
        !self.removed && self.link_up && (self.kind != DnKind::Extension || self.contacts > 0)
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
            direct_calls: (self.kind == DnKind::Extension).then(|| self.direct_calls.under(self.in_force.direct)),
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
            DnInput::Configured { kind, direct_calls } => {
                (self.kind, self.direct_calls) = (kind, direct_calls);
                self.change(out, |dn| dn.removed = false);
            }
            DnInput::Removed => self.change(out, |dn| dn.removed = true),
            DnInput::RegisterCheck { requestor, .. } if self.removed => {
                let error = TError::new(TErrorCode::NotConfigured, format!("{} is not configured any more", self.dn));
                out.push(DnOutput::Refused { requestor, error });
            }
            DnInput::RegisterCheck { requestor, mode, wish } => {
                // What this client is told of the service has to be what the others believe: the next event is for all of them.
                self.settle(out);
                let registered = self.register(requestor.client, mode, wish);
                self.heed(out);
                out.push(match registered {
                    Ok(wish) => DnOutput::Registered {
                        requestor,
                        facts: self.facts(),
                        wish,
                    },
                    Err(error) => DnOutput::Refused { requestor, error },
                });
            }
            DnInput::Unregister { requestor } => {
                let unregistered = self.unregister(requestor.client);
                self.heed(out);
                out.push(match unregistered {
                    Ok(()) => DnOutput::Unregistered { requestor },
                    Err(error) => DnOutput::Refused { requestor, error },
                });
            }
            DnInput::ClientGone(client) => {
                self.forget(client);
                self.heed(out);
            }
            DnInput::Restored { client, mode, wish } => {
                // It stood beside the others before, so there is nothing to refuse.
                self.forget(client);
                self.clients.push(Registered { client, mode, wish });
                self.heed(out);
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
            _ if self.removed => (EventName::EventDNOutOfService, "removed"),
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

    /// Registering again changes the mode, and what it asks of the DN where it says anything of that.
    fn register(&mut self, client: ClientId, mode: RegisterMode, change: WishChange) -> Result<Wish, TError> {
        let others = self.clients.iter().filter(|other| other.client != client);
        let clash = others.map(|other| other.mode).any(|theirs| match mode {
            RegisterMode::Monitor => false,
            RegisterMode::Share => theirs == RegisterMode::Private,
            RegisterMode::Private => theirs != RegisterMode::Monitor,
        });
        if clash {
            let text = format!("another client is registered on {}, one of the two wants it Private", self.dn);
            return Err(TError::new(TErrorCode::ResourceSeized, text));
        }
        if change.direct.is_some() && self.kind != DnKind::Extension {
            let text = format!("extensions.{HANDLE_DIRECT_CALLS}: {} is no Extension", self.dn);
            return Err(TError::new(TErrorCode::InvalidAttribute, text));
        }
        let before = self.clients.iter().find(|other| other.client == client);
        if before.is_none() && self.clients.len() >= self.settings.max_clients {
            let text = format!(
                "{} clients are registered on {}, no more are allowed",
                self.clients.len(),
                self.dn
            );
            return Err(TError::new(TErrorCode::TooManyRequests, text));
        }
        let wish = self.changed(before.map(|before| before.wish).unwrap_or_default(), change);
        let registered = Registered { client, mode, wish };
        match self.clients.iter_mut().find(|other| other.client == client) {
            Some(before) => *before = registered,
            None => self.clients.push(registered),
        }
        Ok(wish)
    }

    /// What is asked for now comes after all that others asked.
    fn changed(&self, wish: Wish, change: WishChange) -> Wish {
        let asked = self.clients.iter().filter_map(|other| other.wish.direct);
        let last = asked.map(|(place, _)| place).max().unwrap_or_default();
        Wish {
            direct: change.direct.map(|direct| (last.saturating_add(1), direct)).or(wish.direct),
            flow: change.flow.unwrap_or(wish.flow),
        }
    }

    /// Says what holds now, where that is something else.
    fn heed(&mut self, out: &mut Vec<DnOutput>) {
        let in_force = InForce::of(self.clients.iter().map(|client| &client.wish));
        if std::mem::replace(&mut self.in_force, in_force) != in_force {
            out.push(DnOutput::InForce(in_force));
        }
    }

    fn unregister(&mut self, client: ClientId) -> Result<(), TError> {
        if self.forget(client) {
            Ok(())
        } else {
            Err(self.not_registered())
        }
    }

    /// Whether it was there.
    fn forget(&mut self, client: ClientId) -> bool {
        let before = self.clients.len();
        self.clients.retain(|other| other.client != client);
        self.clients.len() != before
    }

    fn check_client(&self, client: ClientId) -> Result<(), TError> {
        let seized = |other: &Registered| other.client != client && other.mode == RegisterMode::Private;
        if self.clients.iter().any(seized) {
            let text = format!("another client holds {} as Private", self.dn);
            return Err(TError::new(TErrorCode::ResourceSeized, text));
        }
        if self.clients.iter().any(|other| other.client == client) {
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
