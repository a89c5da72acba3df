//! The distributor of events: it puts every event and every answer into ONE order, finds out who gets a copy, remembers the calls on each
//! DN, and keeps the last events for clients that lost their connection.
//!
//! Invariants:
//! * `sequence` rises by one with each event or answer, over all DNs and clients, whether or not anybody gets it; over a restart of the
//!   process it leaps ahead, and never back;
//! * `previous` of a delivery is the `sequence` of the delivery that the same client got just before, so a client can prove that it missed
//!   nothing. It is 0 in the EventServerConnected that starts a chain (`new`, `snapshot`). The EventServerConnected of a `delta` has no place
//!   of its own in the order: `sequence` and `previous` are both that of the event from which the client goes on, and the first missed event
//!   names it as its `previous` again;
//! * the events of a call come to every client in the order in which they were published;
//! * a DN's snapshot holds exactly the parties that had an event and no terminal event yet: it is bounded by the live calls;
//! * the log is bounded by [`Limits`]: about one kilobyte for each event of it.
//!
//! A client that loses its connection stays here, with its registrations, for [`Limits::grace`]: what it would have got is logged for it
//! ([`resume`]). Everything that must outlive the process is told as [`Change`]s ([`keep`]).
//!
//! It has no queue and does not know whether a client keeps up: that is the client's shell.

mod client;
mod entries;
pub mod keep;
pub mod resume;
mod snapshot;
#[cfg(test)]
mod tests;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use crate::dn::DnFacts;
use crate::dn::wish::Wish;
use crate::{
    CallState, ClientId, ConnId, DnId, Event, EventName, KvList, KvValue, PartyState, ReferenceId, RegisterMode, Requestor,
};
use client::{Client, Feed, Registration};
pub use client::{GivenUp, Identity, Outstanding};
use entries::{Entries, Logged, Recipients};
pub use entries::{Limits, Recipient};
pub use keep::{Change, Kept, Key, NoteRecord};
pub use resume::{Opened, Opening, Outcome};
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
    /// What the client asks of the DN.
    pub wish: Wish,
}

/// The distributor. See the module.
#[derive(Clone, Debug)]
pub struct EventLog {
    epoch: Arc<str>,
    sequence: u64,
    time: SystemTime,
    /// In the order of their ids, so that the order of deliveries is a function of the inputs.
    clients: BTreeMap<ClientId, Client>,
    /// Those that have lost their connection, the one that is away for longest first.
    lost: BTreeSet<(SystemTime, ClientId)>,
    subscribers: HashMap<DnId, BTreeSet<ClientId>>,
    snapshots: Snapshots,
    entries: Entries,
    limits: Limits,
    /// From this sequence on no event is missing in the log.
    complete_from: u64,
    /// The last event that is in the log, and the last one that is not, for nobody was registered for it.
    logged: u64,
    unlogged: u64,
    watchers: usize,
    /// Until then the log has every event, for whoever watched it and comes back.
    wide_until: Option<SystemTime>,
    /// The number of the last note about a client.
    notes: u64,
    first_client: u64,
    set_aside: keep::SetAside,
    /// What is kept and not yet told; the shell asks after each message.
    changes: Vec<Change>,
}

impl EventLog {
    /// An empty log. `epoch` names this run of the server: sequences of different epochs have nothing to do with each other.
    pub fn new(epoch: impl Into<Arc<str>>) -> Self {
        Self {
            epoch: epoch.into(),
            sequence: 0,
            time: SystemTime::UNIX_EPOCH,
            clients: BTreeMap::new(),
            lost: BTreeSet::new(),
            subscribers: HashMap::new(),
            snapshots: Snapshots::default(),
            entries: Entries::default(),
            limits: Limits::default(),
            complete_from: 1,
            logged: 0,
            unlogged: 0,
            watchers: 0,
            wide_until: None,
            notes: 0,
            first_client: 1,
            set_aside: keep::SetAside::default(),
            changes: Vec::new(),
        }
    }

    /// The same, with other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// An empty log of the same epoch that goes on after `sequence`: what takes the place of a log that was lost. Its clients are
    /// to open and register anew, and its calls have left no snapshot.
    pub fn after(epoch: impl Into<Arc<str>>, sequence: u64) -> Self {
        Self {
            sequence,
            complete_from: sequence + 1,
            unlogged: sequence,
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

    /// A client is gone for good. The result is the DNs it was registered on, for their [`crate::dn::DnInput::ClientGone`].
    pub fn client_closed(&mut self, id: ClientId) -> Vec<DnId> {
        let Some(client) = self.clients.remove(&id) else {
            return Vec::new();
        };
        if let Feed::Lost(since) = client.feed {
            self.lost.remove(&(since, id));
        }
        self.forget_client(id, &client);
        let dns: Vec<DnId> = client.dns.into_keys().collect();
        for dn in &dns {
            self.remove_subscriber(dn, id);
        }
        dns
    }

    /// How many clients there are, those included that may resume.
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
        let Subscription {
            requestor,
            dn,
            facts,
            wish,
        } = subscription;
        let Some(client) = self.clients.get_mut(&requestor.client) else {
            return false;
        };
        let known = client.dns.get(&dn).copied();
        let asked = client.asked_mode(requestor.reference_id, &dn);
        let mode = asked.or(known.map(|known| known.mode)).unwrap_or(RegisterMode::Share);
        if known.is_none_or(|known| (known.mode, known.wish) != (mode, wish)) {
            self.note_registration(requestor.client, &dn, mode, wish);
        }
        self.subscribers.entry(dn.clone()).or_default().insert(requestor.client);
        let event = self.address_event(EventName::EventRegistered, dn, facts);
        self.answer(requestor, event, now, out);
        true
    }

    /// Ends a registration and answers with EventUnregistered.
    pub fn unsubscribe(&mut self, requestor: Requestor, dn: DnId, now: SystemTime, out: &mut Vec<Delivery>) {
        let client = self.clients.get_mut(&requestor.client);
        if let Some(registration) = client.and_then(|client| client.dns.remove(&dn)) {
            let key = Key::Note(requestor.client, registration.note);
            self.changes.push(Change::Remove(key));
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
        self.put_client(requestor.client);
        self.answer(requestor, Event::new(EventName::EventACK), now, out);
    }

    /// Gives an event its place and a copy to each client registered on its ThisDN. The requestor's copy carries its ReferenceID; it
    /// gets one even where it is not registered there, as it waits for an answer. An event without ThisDN goes to every client that has
    /// opened the server; before that no chain has begun that it could be part of.
    pub fn publish(&mut self, event: Event, requestor: Option<Requestor>, now: SystemTime, out: &mut Vec<Delivery>) {
        let event = self.place(event, now);
        let subscribers: Vec<ClientId> = match &event.this_dn {
            Some(dn) => self.subscribers.get(dn).into_iter().flatten().copied().collect(),
            None => {
                let opened = self.clients.iter().filter(|(_, client)| client.opened.is_some());
                opened.map(|(id, _)| *id).collect()
            }
        };
        let stranger = requestor
            .map(|requestor| requestor.client)
            .filter(|client| !subscribers.contains(client));
        let mut to = Recipients::new();
        for client in subscribers.into_iter().chain(stranger) {
            let answered = requestor.filter(|requestor| requestor.client == client);
            self.deliver(client, &event, answered, &mut to, out);
        }
        let logged = !to.is_empty() || self.is_wide() || self.snapshots.ends_logged(&event);
        let noted = self.snapshots.note(&event, self.sequence, logged);
        self.forget_parties(noted.gone);
        if let Some((number, record)) = noted.put {
            self.put(Kept::Party(number, record));
        }
        if logged {
            self.log(event, false, to, now);
        } else {
            self.complete_from = self.sequence + 1;
            self.unlogged = self.sequence;
        }
    }

    /// Gives an answer its place and its one copy.
    pub fn answer(&mut self, requestor: Requestor, event: Event, now: SystemTime, out: &mut Vec<Delivery>) {
        let event = self.place(event, now);
        let mut to = Recipients::new();
        self.deliver(requestor.client, &event, Some(requestor), &mut to, out);
        if !to.is_empty() {
            self.log(event, true, to, now);
        }
    }

    /// A client's request is handed on: somebody owes it an answer.
    pub fn asked(&mut self, client: ClientId, asked: Outstanding) {
        if self.clients.get(&client).is_none_or(|client| client.opened.is_none()) {
            return;
        }
        let number = self.put_note(client, NoteRecord::Asked(asked.clone()));
        if let Some(client) = self.clients.get_mut(&client) {
            client.outstanding.push((number, asked));
        }
    }

    /// Whoever was to answer this request is no more: where it has no answer yet, an error answers it.
    pub fn unanswered(&mut self, requestor: Requestor, now: SystemTime, out: &mut Vec<Delivery>) {
        let of_request = |asked: &Outstanding| asked.reference_id == requestor.reference_id;
        self.cut_off(requestor.client, of_request, now, out);
    }

    /// Whoever was to answer the requests about this call is no more: those without an answer are answered with an error.
    pub fn unanswered_about(&mut self, conn_id: ConnId, now: SystemTime, out: &mut Vec<Delivery>) {
        let waiting = |client: &Client| client.outstanding.iter().any(|(_, asked)| asked.conn_id == Some(conn_id));
        let clients = self.clients.iter().filter(|(_, client)| waiting(client));
        let clients: Vec<ClientId> = clients.map(|(id, _)| *id).collect();
        for client in clients {
            self.cut_off(client, |asked| asked.conn_id == Some(conn_id), now, out);
        }
    }

    /// Answers those requests of a client with an error.
    fn cut_off(&mut self, id: ClientId, which: impl Fn(&Outstanding) -> bool, now: SystemTime, out: &mut Vec<Delivery>) {
        let Some(client) = self.clients.get(&id) else { return };
        let asked: Vec<Outstanding> = client
            .outstanding
            .iter()
            .map(|(_, asked)| asked.clone())
            .filter(which)
            .collect();
        for Outstanding {
            reference_id,
            dn,
            conn_id,
            ..
        } in asked
        {
            let requestor = Requestor {
                client: id,
                reference_id,
            };
            let event = Event {
                this_dn: Some(dn),
                conn_id,
                ..Event::error(None, client::cut_off())
            };
            self.answer(requestor, event, now, out);
        }
    }

    /// The DNs that have a live party in the call.
    pub fn parties_of(&self, conn_id: ConnId) -> &[DnId] {
        self.snapshots.parties_of(conn_id)
    }

    /// How many calls are on the DN.
    pub fn calls_on(&self, dn: &DnId) -> usize {
        self.snapshots.on(dn).len()
    }

    /// Ends a call that can no longer end itself: one EventReleased for each party that is alive, CallState SystemError, and an error
    /// for each request about it that has no answer. After a call that ended by itself, and a second time, it does nothing.
    pub fn abort_call(&mut self, conn_id: ConnId, now: SystemTime, out: &mut Vec<Delivery>) {
        let parties = self.snapshots.last_events(conn_id);
        if !parties.is_empty() {
            self.unanswered_about(conn_id, now, out);
        }
        for last in parties {
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

    fn deliver(
        &mut self,
        id: ClientId,
        event: &Arc<Event>,
        answered: Option<Requestor>,
        to: &mut Recipients,
        out: &mut Vec<Delivery>,
    ) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if answered.is_none() && !client.wants(event.name) {
            return;
        }
        let reference_id = answered.and_then(|requestor| requestor.reference_id);
        if answered.is_some()
            && let Some((note, _)) = client.take_answered(reference_id, event.this_dn.as_ref())
        {
            self.changes.push(Change::Remove(Key::Note(id, note)));
        }
        let previous = std::mem::replace(&mut client.previous, self.sequence);
        if client.opened.is_some() {
            to.push(Recipient {
                client: id,
                previous,
                reference_id,
            });
        }
        if client.feed == Feed::Live {
            out.push(Delivery {
                client: id,
                sequence: self.sequence,
                previous,
                time: self.time,
                event: event.clone(),
                reference_id,
            });
        }
    }

    fn log(&mut self, event: Arc<Event>, is_answer: bool, to: Recipients, now: SystemTime) {
        let logged = Logged {
            sequence: self.sequence,
            time: self.time,
            event,
            is_answer,
            to,
        };
        if !is_answer {
            self.logged = self.sequence;
        }
        self.put_event(&logged);
        self.entries.push(logged);
        self.trim(now);
    }

    fn note_registration(&mut self, id: ClientId, dn: &DnId, mode: RegisterMode, wish: Wish) {
        let record = NoteRecord::Registered {
            dn: dn.clone(),
            mode,
            wish,
        };
        let note = self.put_note(id, record);
        let Some(client) = self.clients.get_mut(&id) else { return };
        if let Some(before) = client.dns.insert(dn.clone(), Registration { mode, wish, note }) {
            self.changes.push(Change::Remove(Key::Note(id, before.note)));
        }
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
        if let Some(direct_calls) = facts.direct_calls {
            direct_calls.describe(&mut event.extensions);
        }
        event.this_dn = Some(dn);
        event
    }
}
