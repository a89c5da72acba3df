//! The distributor of events: it puts every event and every answer into ONE order, finds out who gets a copy, and remembers the calls
//! on each DN.
//!
//! Invariants:
//! * `sequence` rises by one with each event or answer, over all DNs and clients, whether or not anybody gets it;
//! * `previous` of a delivery is the `sequence` of the delivery that the same client got just before (0 before the first), so a
//!   client can prove that it missed nothing;
//! * the events of a call come to every client in the order in which they were published;
//! * a DN's snapshot holds exactly the parties that had an event and no terminal event yet: it is bounded by the live calls.
//!
//! It keeps no history, has no queue and does not know whether a client keeps up: that is the client's shell.

mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use crate::dn::DnFacts;
use crate::{CallState, ClientId, ConnId, DnId, Event, EventName, KvList, KvValue, PartyState, ReferenceId, Requestor};
use snapshot::Snapshots;

/// One client's copy of one event.
#[derive(Clone, PartialEq, Debug)]
pub struct Delivery {
    /// Whose copy.
    pub client: ClientId,
    /// The place of the event in the one order.
    pub sequence: u64,
    /// The sequence of the event that this client got just before; 0 where there was none.
    pub previous: u64,
    /// When it happened; never before the event with the sequence before.
    pub time: SystemTime,
    /// The event, the same for every client; its own `reference_id` is `None`.
    pub event: Arc<Event>,
    /// The request it answers, in the requestor's copy only.
    pub reference_id: Option<ReferenceId>,
}

/// A registration that the DN has accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// Who.
    pub requestor: Requestor,
    /// On what.
    pub dn: DnId,
    /// What the DN is.
    pub facts: DnFacts,
}

#[derive(Clone, Debug, Default)]
struct Client {
    previous: u64,
    /// The only events it wants, where it said so.
    mask: Option<BTreeSet<EventName>>,
    /// Bounded by the DNs that are configured: only those can be registered.
    dns: BTreeSet<DnId>,
}

/// The distributor. See the module.
#[derive(Clone, Debug)]
pub struct EventLog {
    epoch: Arc<str>,
    sequence: u64,
    time: SystemTime,
    /// In the order of their ids, so that the order of deliveries is a function of the inputs.
    clients: BTreeMap<ClientId, Client>,
    subscribers: HashMap<DnId, BTreeSet<ClientId>>,
    snapshots: Snapshots,
}

impl EventLog {
    /// An empty log. `epoch` names this run of the server: sequences of different epochs have nothing to do with each other.
    pub fn new(epoch: impl Into<Arc<str>>) -> Self {
        Self {
            epoch: epoch.into(),
            sequence: 0,
            time: SystemTime::UNIX_EPOCH,
            clients: BTreeMap::new(),
            subscribers: HashMap::new(),
            snapshots: Snapshots::default(),
        }
    }

    /// An empty log of the same epoch that goes on after `sequence`: what takes the place of a log that was lost. Its clients are
    /// to open and register anew, and its calls have left no snapshot.
    pub fn after(epoch: impl Into<Arc<str>>, sequence: u64) -> Self {
        Self {
            sequence,
            ..Self::new(epoch)
        }
    }

    /// The epoch.
    pub fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// The sequence of the last event or answer.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// A client is there. It gets nothing but answers until it subscribes.
    pub fn client_opened(&mut self, client: ClientId) {
        self.clients.entry(client).or_default();
    }

    /// A client is gone. The result is the DNs it was registered on, for their [`crate::dn::DnInput::ClientGone`].
    pub fn client_closed(&mut self, client: ClientId) -> Vec<DnId> {
        let dns = self.clients.remove(&client).map(|client| client.dns).unwrap_or_default();
        for dn in &dns {
            self.remove_subscriber(dn, client);
        }
        dns.into_iter().collect()
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Whether the client gets the events of the DN.
    pub fn is_registered(&self, client: ClientId, dn: &DnId) -> bool {
        self.subscribers.get(dn).is_some_and(|clients| clients.contains(&client))
    }

    /// Registers a client on a DN and answers with EventRegistered, which carries the calls on the DN. `false`: the client is gone
    /// since the DN has accepted it, and the DN is to be told ([`crate::dn::DnInput::ClientGone`]).
    pub fn subscribe(&mut self, subscription: Subscription, now: SystemTime, out: &mut Vec<Delivery>) -> bool {
        let Subscription { requestor, dn, facts } = subscription;
        let Some(client) = self.clients.get_mut(&requestor.client) else {
            return false;
        };
        client.dns.insert(dn.clone());
        self.subscribers.entry(dn.clone()).or_default().insert(requestor.client);
        let event = self.address_event(EventName::EventRegistered, dn, facts);
        self.answer(requestor, event, now, out);
        true
    }

    /// Ends a registration and answers with EventUnregistered.
    pub fn unsubscribe(&mut self, requestor: Requestor, dn: DnId, now: SystemTime, out: &mut Vec<Delivery>) {
        if let Some(client) = self.clients.get_mut(&requestor.client) {
            client.dns.remove(&dn);
        }
        self.remove_subscriber(&dn, requestor.client);
        let event = Event {
            this_dn: Some(dn),
            ..Event::new(EventName::EventUnregistered)
        };
        self.answer(requestor, event, now, out);
    }

    /// Answers QueryAddress (DNStatus) with EventAddressInfo.
    pub fn query_address(&mut self, requestor: Requestor, dn: DnId, facts: DnFacts, now: SystemTime, out: &mut Vec<Delivery>) {
        let event = self.address_event(EventName::EventAddressInfo, dn, facts);
        self.answer(requestor, event, now, out);
    }

    /// Sets which events a client wants and answers with EventACK. Answers to its own requests come in any case.
    pub fn set_input_mask(
        &mut self,
        requestor: Requestor,
        events: impl IntoIterator<Item = EventName>,
        now: SystemTime,
        out: &mut Vec<Delivery>,
    ) {
        if let Some(client) = self.clients.get_mut(&requestor.client) {
            client.mask = Some(events.into_iter().collect());
        }
        self.answer(requestor, Event::new(EventName::EventACK), now, out);
    }

    /// Gives an event its place and a copy to each client registered on its ThisDN. The requestor's copy carries its ReferenceID; it
    /// gets one even where it is not registered there, as it waits for an answer. An event without ThisDN goes to every client.
    pub fn publish(&mut self, event: Event, requestor: Option<Requestor>, now: SystemTime, out: &mut Vec<Delivery>) {
        let event = self.place(event, now);
        self.snapshots.note(&event);
        let subscribers: Vec<ClientId> = match &event.this_dn {
            Some(dn) => self.subscribers.get(dn).into_iter().flatten().copied().collect(),
            None => self.clients.keys().copied().collect(),
        };
        let stranger = requestor
            .map(|requestor| requestor.client)
            .filter(|client| !subscribers.contains(client));
        for client in subscribers.into_iter().chain(stranger) {
            let answered = requestor.filter(|requestor| requestor.client == client);
            self.deliver(client, &event, answered, out);
        }
    }

    /// Gives an answer its place and its one copy.
    pub fn answer(&mut self, requestor: Requestor, event: Event, now: SystemTime, out: &mut Vec<Delivery>) {
        let event = self.place(event, now);
        self.deliver(requestor.client, &event, Some(requestor), out);
    }

    /// The DNs that have a live party in the call.
    pub fn parties_of(&self, conn_id: ConnId) -> &[DnId] {
        self.snapshots.parties_of(conn_id)
    }

    /// How many calls are on the DN.
    pub fn calls_on(&self, dn: &DnId) -> usize {
        self.snapshots.on(dn).len()
    }

    /// Ends a call that can no longer end itself: one EventReleased for each party that is alive, CallState SystemError.
    /// A second time it does nothing.
    pub fn abort_call(&mut self, conn_id: ConnId, now: SystemTime, out: &mut Vec<Delivery>) {
        for last in self.snapshots.last_events(conn_id) {
            let mut event = Event {
                name: EventName::EventReleased,
                call_state: Some(CallState::SystemError),
                party_state: Some(PartyState::Null),
                third_party_dn: None,
                third_party_dn_role: None,
                extensions: KvList::new(),
                reasons: KvList::new(),
                ..Event::clone(&last)
            };
            if let Some(conversation_id) = last.extensions.text(crate::call::CONVERSATION_ID) {
                event.extensions.set(crate::call::CONVERSATION_ID, conversation_id);
            }
            self.publish(event, None, now, out);
        }
    }

    fn place(&mut self, mut event: Event, now: SystemTime) -> Arc<Event> {
        self.sequence += 1;
        self.time = self.time.max(now);
        event.reference_id = None;
        Arc::new(event)
    }

    fn deliver(&mut self, id: ClientId, event: &Arc<Event>, answered: Option<Requestor>, out: &mut Vec<Delivery>) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let wanted = client.mask.as_ref().is_none_or(|mask| mask.contains(&event.name));
        if !wanted && answered.is_none() {
            return;
        }
        let previous = std::mem::replace(&mut client.previous, self.sequence);
        out.push(Delivery {
            client: id,
            sequence: self.sequence,
            previous,
            time: self.time,
            event: event.clone(),
            reference_id: answered.and_then(|requestor| requestor.reference_id),
        });
    }

    fn remove_subscriber(&mut self, dn: &DnId, client: ClientId) {
        if let Some(clients) = self.subscribers.get_mut(dn) {
            clients.remove(&client);
            if clients.is_empty() {
                self.subscribers.remove(dn);
            }
        }
    }

    /// What a registration or a query tells of a DN (T-Library reference ch. 11).
    fn address_event(&self, name: EventName, dn: DnId, facts: DnFacts) -> Event {
        let calls = self.snapshots.on(&dn);
        let mut event = Event {
            address_type: Some(facts.address_type),
            address_info_status: Some(u32::try_from(calls.len()).unwrap_or(u32::MAX)),
            ..Event::new(name)
        };
        snapshot::describe(calls, &mut event.extensions);
        event.extensions.set("in-service", KvValue::Int(facts.in_service.into()));
        event.this_dn = Some(dn);
        event
    }
}
