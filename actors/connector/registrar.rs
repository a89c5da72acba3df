//! The bindings of one shard's DNs.
//!
//! Place: beside its Connector, on the same arbiter. Permanent: the bindings live in a slot, so a crash loses one request, not the
//! phones. Escalation forgets every binding; phones come back as they refresh.
//!
//! | message | effect |
//! |---|---|
//! | [`RegisterRequest`] | an authenticated REGISTER: answered through the Connector; changes are published in `Locations` and told up the link, a new connection to the connectors |
//! | [`RegistrarMessage::ConnectionClosed`] | bindings over that connection go |
//! | [`RegistrarMessage::Recovered`] | what the process before has kept is published |
//! | [`RegistrarMessage::Restore`] | what the T-Server has given back is taken, where nothing newer is there, and published |
//! | [`RegistrarMessage::KeepAgain`] | puts every binding into the journal once more |
//! | [`RegistrarMessage::HandOver`] | the bindings of DNs that are another connector's go to its registrar |
//! | [`RegistrarMessage::TakeOver`] | those that come from there; they are told of when they are in the journal here |
//! | [`RegistrarMessage::Taken`] | what was handed over goes from the journal |
//! | [`RegistrarMessage::PassOn`] | a REGISTER goes after the bindings that it may change |
//! | [`RegistrarMessage::Forget`] | a device is registered with another process's connector |
//!
//! A changed binding is in the journal before its REGISTER is answered. A T-Server in another process hears of mere refreshes too: it may
//! have to tell other connectors of the device when this one is gone.

use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, Context, Handler, Message, Supervised};
use tandem_model::anchor::unix_micros;
use tandem_model::connector::DnContact;
use tandem_model::link::LinkNotification;
use tandem_model::{Anchor, ConnectorId, DnId};
use tandem_sip::flow::{ConnectionId, Flow};
use tandem_sip::registrar::{Arrival, Binding, Bindings, Device, Register, RegisterOutcome, Registrar};
use tandem_sip::ua::ServerRequestId;

use super::drain::{DrainMessage, pass_on};
use super::message::{ConnectorMessage, Received};
use crate::alarm::{Alarm, Alarmed};
use crate::directory::Directory;
use crate::journal::{Record, RecordKind, SharedJournal, decode, encode};
use crate::kind::ActorKind;
use crate::metrics::Metrics;
use crate::now;
use crate::supervision::{ChildSpec, Escalation, Slot, escalate_if_due};

/// The mailbox holds what one batch of datagrams may bring.
pub(super) const SPEC: ChildSpec = ChildSpec::permanent(ActorKind::Registrar, 4096);

/// An authenticated REGISTER.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RegisterRequest {
    /// To be answered.
    pub id: ServerRequestId,
    /// The address of record.
    pub dn: DnId,
    /// The request.
    pub request: tandem_sip::message::Message,
    /// Where it came from.
    pub flow: Flow,
}

/// What else concerns the bindings.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum RegistrarMessage {
    /// A stream is gone, and the devices behind it.
    ConnectionClosed(ConnectionId),
    /// The bindings of the process before are there: tell whom they concern.
    Recovered,
    /// Bindings that the T-Server had a copy of.
    Restore(Vec<Record>),
    /// The journal had lost the bindings.
    KeepAgain,
    /// DNs may be another connector's now.
    HandOver,
    /// DNs may be no devices any more: those are registered no more.
    Dismiss,
    /// A DN is this connector's now; these are its bindings.
    TakeOver {
        /// Where they were.
        from: ConnectorId,
        /// The DN.
        dn: DnId,
        /// Its bindings.
        bindings: Bindings,
    },
    /// The registrar that has the bindings of a DN now has them in its journal.
    Taken(DnId),
    /// A REGISTER for a DN that is another connector's now.
    PassOn {
        /// The DN.
        dn: DnId,
        /// Whose it is.
        to: ConnectorId,
        /// The REGISTER.
        received: Received,
    },
    /// A device is registered elsewhere.
    Forget {
        /// Its DN.
        dn: DnId,
        /// Its Contact.
        uri: Arc<str>,
        /// When the registration that is over ends, in seconds since 1970; one that ends later was made since.
        expires_at: u64,
    },
    /// Panic, to test the supervision.
    #[cfg(feature = "fault-injection")]
    Crash,
}

/// What the actor is made from, and made from again.
#[derive(Clone)]
pub struct RegistrarParts {
    /// Its connector.
    pub connector: ConnectorId,
    /// The bindings.
    pub machine: Slot<Registrar>,
    /// Makes empty bindings, for an escalation.
    pub fresh: fn(&Registrar) -> Registrar,
    /// Who is where.
    pub directory: Arc<Directory>,
    /// What outlives the process.
    pub journal: SharedJournal,
    /// How times are told there.
    pub anchor: Anchor,
}

/// The actor.
pub struct RegistrarActor {
    parts: RegistrarParts,
    alarm: Alarm,
}

/// Takes the bindings of an address of record from what a process before has kept. `false`: there are none.
pub fn recover(machine: &mut Registrar, record: &Record, anchor: Anchor) -> bool {
    let aor = std::str::from_utf8(&record.id).ok();
    let Some((aor, snapshot)) = aor.and_then(|aor| Some((aor, decode(record.kind, &record.value)?))) else {
        return false;
    };
    machine.restore(now(), anchor, aor, snapshot) > 0
}

impl RegistrarActor {
    /// Starts it on the current arbiter.
    pub fn supervise(parts: RegistrarParts) -> actix::Addr<Self> {
        crate::supervision::supervise(
            SPEC,
            Self {
                parts,
                alarm: Alarm::default(),
            },
        )
    }

    fn publish(&self, changed: Vec<DnId>) {
        if changed.is_empty() {
            return;
        }
        let machine = self.parts.machine.borrow();
        let mut notifications = Vec::with_capacity(changed.len());
        for dn in changed {
            let bindings = machine.bindings(dn.as_str(), now());
            let contacts = bindings.iter().map(|binding| self.contact(&dn, binding)).collect();
            let before = self.parts.directory.locations.bindings(&dn).len();
            Metrics::of_process()
                .registrations
                .increment(bindings.len() as f64 - before as f64);
            self.parts.directory.locations.publish(dn.clone(), bindings);
            notifications.push(LinkNotification::DnContacts { dn, contacts });
        }
        if let Some(upwards) = self.parts.directory.upwards(self.parts.connector) {
            upwards.post(notifications);
        }
    }

    /// The sessions of a device that has registered over another flow are to be found there, whichever connector has them.
    fn tell_of_arrival(&self, dn: &DnId, flow: Flow, before: &[Binding]) {
        let directory = &self.parts.directory;
        let Some(arrival) = Arrival::of(dn.as_str(), flow, before, directory.locations.bindings(dn)) else {
            return;
        };
        for connector in directory.connectors() {
            // Unbounded post: one for each registration over a new flow.
            connector.do_send(ConnectorMessage::DeviceArrived(arrival.clone()));
        }
    }

    /// A binding as the T-Server side is told of it. Nobody needs a way to it where there is no other connector.
    fn contact(&self, dn: &DnId, binding: &Binding) -> DnContact {
        let neighbours = &self.parts.directory.neighbours;
        let route = neighbours
            .route(&binding.flow, &Device::of(dn.as_str(), binding))
            .map(|edge| {
                let edge = Arc::from(edge);
                std::iter::once(edge).chain(binding.path.iter().cloned()).collect()
            });
        DnContact {
            uri: binding.uri.clone(),
            route: route.unwrap_or_default(),
            direct: neighbours.may_be() && binding.is_direct(),
            q: binding.q,
            expires_at: unix_micros(self.parts.anchor, binding.expires_at) / 1_000_000,
            instance: binding.instance.clone(),
            reg_id: binding.reg_id,
        }
    }

    /// Writes down what changed, before the device hears of it. Whether anything did, a refresh included.
    fn keep(&self) -> bool {
        let changes = self.parts.machine.borrow_mut().take_changes(self.parts.anchor);
        if changes.is_empty() {
            return false;
        }
        let mut journal = self.parts.journal.borrow_mut();
        for (aor, snapshot) in changes {
            match snapshot.as_ref().and_then(encode) {
                Some(value) => journal.put(RecordKind::Bindings, aor.as_bytes(), &value),
                None => journal.remove(RecordKind::Bindings, aor.as_bytes()),
            }
        }
        journal.commit();
        true
    }

    fn forget(&self, dn: DnId, uri: &str, expires_at: u64) {
        let is_over = |at: Instant| unix_micros(self.parts.anchor, at) / 1_000_000 <= expires_at;
        if self.parts.machine.borrow_mut().forget(now(), dn.as_str(), uri, is_over) {
            self.keep();
            self.publish(vec![dn]);
        }
    }

    /// The bindings of a DN go to the connector that owns it, where that is another one. They stay in the journal until they are in the
    /// other one's. Devices are where they were, so nobody else hears of it.
    fn hand_over(&self, dn: &DnId) {
        let directory = &self.parts.directory;
        let owner = directory.shards.owner(dn.as_str(), directory.connector_count());
        let Some(connector) = directory.connector(owner).filter(|_| owner != self.parts.connector) else {
            return;
        };
        self.keep();
        let mut machine = self.parts.machine.borrow_mut();
        let Some(bindings) = machine.take(dn.as_str()) else { return };
        // What there was to keep was kept just now: this is the change that is not to be.
        machine.take_changes(self.parts.anchor);
        // Unbounded post: one for each DN that moves.
        connector.do_send(ConnectorMessage::Drain(DrainMessage::TakeOver {
            from: self.parts.connector,
            dn: dn.clone(),
            bindings,
        }));
    }

    fn hand_over_all(&self) {
        if self.parts.directory.connector_count() < 2 {
            return;
        }
        let mut all: Vec<_> = self.parts.machine.borrow().aors().map(DnId::new).collect();
        all.sort_unstable();
        for dn in &all {
            self.hand_over(dn);
        }
    }

    /// Who is no device any more is registered no more.
    fn dismiss(&self) {
        let devices = self.parts.directory.live.devices();
        let mut machine = self.parts.machine.borrow_mut();
        let mut gone: Vec<_> = machine
            .aors()
            .map(DnId::new)
            .filter(|dn| devices.device(dn).is_none())
            .collect();
        gone.sort_unstable();
        gone.retain(|dn| machine.take(dn.as_str()).is_some());
        drop(machine);
        self.keep();
        self.publish(gone);
    }

    fn take_over(&self, from: ConnectorId, dn: &DnId, bindings: Bindings) {
        self.parts.machine.borrow_mut().give(now(), dn.as_str(), bindings);
        self.keep();
        let here = self.parts.machine.borrow().bindings(dn.as_str(), now());
        if *self.parts.directory.locations.bindings(dn) != *here {
            self.publish(vec![dn.clone()]);
        }
        if let Some(connector) = self.parts.directory.connector(from) {
            // Unbounded post: one for each DN that moves.
            connector.do_send(ConnectorMessage::Drain(DrainMessage::Taken { dn: dn.clone() }));
        }
        // It may have moved on meanwhile.
        self.hand_over(dn);
    }

    /// It may have come back meanwhile: then it is kept here again.
    fn taken(&self, dn: &DnId) {
        if self
            .parts
            .machine
            .borrow()
            .snapshot_of(dn.as_str(), self.parts.anchor)
            .is_none()
        {
            let mut journal = self.parts.journal.borrow_mut();
            journal.remove(RecordKind::Bindings, dn.as_str().as_bytes());
            journal.commit();
        }
    }

    fn restore(&self, records: &[Record]) {
        let mut machine = self.parts.machine.borrow_mut();
        let mut journal = self.parts.journal.borrow_mut();
        for record in records {
            // Who has registered again meanwhile is not registered as before.
            let is_new = |aor| machine.snapshot_of(aor, self.parts.anchor).is_some();
            if !std::str::from_utf8(&record.id).is_ok_and(is_new) && recover(&mut machine, record, self.parts.anchor) {
                journal.put(record.kind, &record.id, &record.value);
            }
        }
        journal.commit();
    }

    fn publish_all(&self) {
        let mut all: Vec<_> = self.parts.machine.borrow().aors().map(DnId::new).collect();
        all.sort_unstable();
        self.publish(all);
    }

    fn keep_again(&self) {
        let machine = self.parts.machine.borrow();
        let mut journal = self.parts.journal.borrow_mut();
        for aor in machine.aors() {
            if let Some(value) = machine.snapshot_of(aor, self.parts.anchor).as_ref().and_then(encode) {
                journal.put(RecordKind::Bindings, aor.as_bytes(), &value);
            }
        }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let due = self.parts.machine.borrow().next_timeout();
        self.alarm.set_latest(due, ctx);
    }

    fn answer(&self, id: ServerRequestId, outcome: &RegisterOutcome) {
        let headers = outcome
            .headers
            .iter()
            .map(|(name, value)| (Arc::from(*name), Arc::from(value.as_str())))
            .collect();
        if let Some(connector) = self.parts.directory.connector(self.parts.connector) {
            // Unbounded post: one for each REGISTER handled.
            connector.do_send(ConnectorMessage::Respond {
                id,
                status: outcome.status,
                headers,
            });
        }
    }
}

impl Actor for RegistrarActor {
    type Context = Context<Self>;
}

impl Alarmed for RegistrarActor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        let expired = self.parts.machine.borrow_mut().timeout(now());
        self.keep();
        self.publish(expired.iter().map(|aor| DnId::new(aor)).collect());
        self.arm(ctx);
    }
}

impl Supervised for RegistrarActor {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        escalate_if_due(self);
        self.alarm = Alarm::default();
        self.arm(ctx);
    }
}

impl Escalation for RegistrarActor {
    fn escalate(&mut self) {
        let fresh = (self.parts.fresh)(&self.parts.machine.borrow());
        let old = self.parts.machine.replace(fresh);
        let mut forgotten: Vec<_> = old.aors().map(DnId::new).collect();
        forgotten.sort_unstable();
        self.publish(forgotten);
    }
}

impl Handler<RegisterRequest> for RegistrarActor {
    type Result = ();

    fn handle(&mut self, message: RegisterRequest, ctx: &mut Context<Self>) {
        let before = self.parts.directory.locations.bindings(&message.dn);
        let outcome = match Register::from_message(&message.request, message.flow) {
            Ok(register) => self.parts.machine.borrow_mut().handle(now(), message.dn.as_str(), register),
            Err(refusal) => refusal.into(),
        };
        let refreshed = self.keep() && self.parts.directory.neighbours.may_be();
        if outcome.changed || refreshed {
            self.publish(vec![message.dn.clone()]);
        }
        if outcome.changed {
            self.tell_of_arrival(&message.dn, message.flow, &before);
        }
        self.answer(message.id, &outcome);
        self.arm(ctx);
    }
}

impl Handler<RegistrarMessage> for RegistrarActor {
    type Result = ();

    fn handle(&mut self, message: RegistrarMessage, ctx: &mut Context<Self>) {
        match message {
            RegistrarMessage::ConnectionClosed(connection) => {
                let changed = self.parts.machine.borrow_mut().flow_closed(connection);
                self.keep();
                self.publish(changed.iter().map(|aor| DnId::new(aor)).collect());
            }
            RegistrarMessage::Recovered => {
                self.publish_all();
                self.arm(ctx);
            }
            RegistrarMessage::Restore(records) => {
                self.restore(&records);
                self.publish_all();
                self.arm(ctx);
            }
            RegistrarMessage::KeepAgain => self.keep_again(),
            RegistrarMessage::HandOver => self.hand_over_all(),
            RegistrarMessage::Dismiss => {
                self.dismiss();
                self.arm(ctx);
            }
            RegistrarMessage::TakeOver { from, dn, bindings } => {
                self.take_over(from, &dn, bindings);
                self.arm(ctx);
            }
            RegistrarMessage::Taken(dn) => self.taken(&dn),
            RegistrarMessage::PassOn { dn, to, received } => {
                self.hand_over(&dn);
                pass_on(&self.parts.directory, to, received);
            }
            RegistrarMessage::Forget { dn, uri, expires_at } => {
                self.forget(dn, &uri, expires_at);
                self.arm(ctx);
            }
            #[cfg(feature = "fault-injection")]
            RegistrarMessage::Crash => panic!("injected into a registrar"),
        }
    }
}
