//! What a connector keeps for the next process, and how it comes back with what the one before has kept.
//!
//! Kept are its sessions in talk, each with the leg that it is, and (by the actors themselves) its conferences and bindings. Invariant: the
//! journal has what is behind a SIP message, and behind what the T-Server side is told, before either goes out.
//!
//! Coming back has three steps, each done by every connector before the next begins, as a conference's sessions may be another's:
//! sessions, while the connector is made ([`Shard::recover`]); conferences ([`Recover`]); what is left over ([`Join`]). Where the T-Server gives
//! back what was lost ([`super::copies`]), a connector that runs takes the same three steps.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use actix::{Context, Handler};
use serde::{Deserialize, Serialize};
use tandem_model::{Anchor, ConferenceId, ConnectorId, LegId, PartyId};
use tandem_sip::ua::{EarlySnapshot, SessionId, SessionSnapshot};

use super::conference::ConferenceMessage;
use super::connector_actor::{ConnectorActor, ConnectorParts};
use super::message::ConnectorMessage;
use super::registrar::RegistrarMessage;
use super::shard::{LocalDescription, Shard};
use crate::devices::Devices;
use crate::journal::{Record, RecordKind, Scope, decode, encode};
use crate::now;

/// Why a session is ended whose conference did not come back (RFC 3326).
const LOST: &str = "SIP;cause=500;text=\"Call lost\"";

/// A session, as it is kept.
#[derive(Serialize, Deserialize)]
struct SessionRecord {
    session: SessionSnapshot,
    conference: ConferenceId,
    leg: LegId,
    party: PartyId,
    /// Of our descriptions.
    origin: u64,
    /// Of the last one.
    version: u64,
}

/// Which legs have come back, and on which connector their sessions are.
pub type FoundLegs = BTreeMap<ConferenceId, Vec<(LegId, ConnectorId)>>;

/// Bring the conferences back; these are the legs. Answered with the conferences that are there again.
#[derive(actix::Message)]
#[rtype(result = "Vec<ConferenceId>")]
pub struct Recover(pub Arc<FoundLegs>);

/// What came from conferences of other connectors before their sessions were known to be theirs: it waits for [`Join`].
#[derive(Default)]
pub(super) struct Joining {
    is_done: bool,
    early: Vec<ConnectorMessage>,
}

/// Every connector has its conferences, these: what belongs to none of them is ended.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub struct Join(pub Arc<HashSet<ConferenceId>>);

impl Shard {
    /// Takes the sessions of the process before; tells which legs they are.
    pub fn recover(&mut self, records: &[Record], anchor: Anchor, devices: &Devices) -> Vec<(ConferenceId, LegId)> {
        let mut legs = Vec::new();
        for record in records.iter().filter(|record| record.kind == RecordKind::Session) {
            let Some(id) = number(&record.id).map(SessionId) else {
                continue;
            };
            let Some(kept) = decode::<SessionRecord>(record.kind, &record.value) else {
                continue;
            };
            let credentials = kept
                .session
                .account()
                .and_then(|(username, realm)| devices.credentials_of(username, realm))
                .cloned();
            if let Err(error) = self.ua.restore_session(now(), anchor, id, kept.session) {
                tracing::warn!(session = id.0, %error, "a session of the process before does not come back");
                continue;
            }
            self.ua.set_credentials(id, credentials);
            let local = LocalDescription::after(kept.origin, kept.version);
            self.bring_back(id, kept.conference, kept.leg, kept.party, local);
            legs.push((kept.conference, kept.leg));
        }
        legs
    }

    /// Ends the calls of the process before that nobody had answered; gives the records of those that are over with it.
    pub fn end_early(&mut self, records: &[Record]) -> Vec<Vec<u8>> {
        let early = records.iter().filter(|record| record.kind == RecordKind::Early);
        let over = early.filter(|record| {
            let Some(id) = number(&record.id).map(SessionId) else {
                return true;
            };
            let ended = decode::<EarlySnapshot>(record.kind, &record.value).map(|call| self.ua.end_early(now(), id, call));
            match ended {
                Some(Ok(takes_a_while)) => !takes_a_while,
                Some(Err(error)) => {
                    tracing::warn!(session = id.0, %error, "a call of the process before cannot be ended");
                    true
                }
                None => true,
            }
        });
        over.map(|record| record.id.clone()).collect()
    }
}

impl Shard {
    /// Sessions of another process get other ids where theirs are given out in this one.
    fn number_anew(&mut self, records: &mut [Record]) {
        let given_out = self.ua.last_id();
        let sessions = || records.iter().filter(|record| record.kind == RecordKind::Session);
        let last = sessions().filter_map(|record| number(&record.id)).max();
        self.ua.go_on_above(last.unwrap_or_default());
        for record in records.iter_mut().filter(|record| record.kind == RecordKind::Session) {
            if number(&record.id).is_some_and(|id| id <= given_out) {
                let id = self.ua.last_id() + 1;
                self.ua.go_on_above(id);
                record.id = id.to_be_bytes().to_vec();
            }
        }
    }
}

/// The number that an id is.
pub(super) fn number(id: &[u8]) -> Option<u64> {
    id.try_into().ok().map(u64::from_be_bytes)
}

impl ConnectorParts {
    /// Writes down what changed, before anybody outside hears of it.
    pub(super) fn keep(&self) {
        let mut shard = self.shard.borrow_mut();
        let changes = shard.ua.take_changes(self.anchor);
        let moved = shard.take_moved();
        let mut journal = self.journal.borrow_mut();
        for (id, snapshot) in changes {
            put(&mut **journal, &mut shard, id, snapshot);
        }
        for (id, call) in shard.ua.take_early_changes() {
            put_early(&mut **journal, id, call.as_ref());
        }
        for id in moved {
            if let Some(snapshot) = shard.ua.snapshot_of(id, self.anchor) {
                put(&mut **journal, &mut shard, id, Some(snapshot));
            }
        }
        if journal.is_back() {
            for id in shard.ua.kept_sessions().collect::<Vec<_>>() {
                let snapshot = shard.ua.snapshot_of(id, self.anchor);
                put(&mut **journal, &mut shard, id, snapshot);
            }
            for id in shard.ua.kept_calls().collect::<Vec<_>>() {
                put_early(&mut **journal, id, shard.ua.early_snapshot_of(id).as_ref());
            }
            for conference in shard.conference_ids() {
                if let Some(actor) = shard.conference(conference) {
                    // Unbounded post: one for each conference, when storage works again.
                    actor.do_send(ConferenceMessage::KeepAgain);
                }
            }
            self.directory.neighbours.keep_again(&mut **journal);
            let scope = Scope::Connector(shard.id.0);
            self.directory.quarantine.keep_again(scope, &mut **journal);
            self.registrar.do_send(RegistrarMessage::KeepAgain);
        }
        journal.commit();
    }
}

/// Keeps a session, or forgets one that is over. What is no leg of ours any more is on its way out: it stays kept as it was until it is over.
fn put(journal: &mut dyn crate::journal::Journal, shard: &mut Shard, id: SessionId, snapshot: Option<SessionSnapshot>) {
    let key = id.0.to_be_bytes();
    let Some(session) = snapshot else {
        return journal.remove(RecordKind::Session, &key);
    };
    let Some(entry) = shard.session(id) else { return };
    let (origin, version) = entry.local.numbers();
    let record = SessionRecord {
        session,
        conference: entry.conference,
        leg: entry.leg,
        party: entry.party,
        origin,
        version,
    };
    if let Some(value) = encode(&record) {
        journal.put(RecordKind::Session, &key, &value);
    }
}

/// Keeps a call that has no final response, or forgets one that has.
fn put_early(journal: &mut dyn crate::journal::Journal, id: SessionId, call: Option<&EarlySnapshot>) {
    let key = id.0.to_be_bytes();
    match call.and_then(encode) {
        Some(value) => journal.put(RecordKind::Early, &key, &value),
        None => journal.remove(RecordKind::Early, &key),
    }
}

impl Handler<Recover> for ConnectorActor {
    type Result = Vec<ConferenceId>;

    fn handle(&mut self, message: Recover, ctx: &mut Context<Self>) -> Vec<ConferenceId> {
        let back = self.bring_back(&message.0, ctx);
        self.turn(ctx);
        back
    }
}

impl Handler<Join> for ConnectorActor {
    type Result = ();

    fn handle(&mut self, message: Join, ctx: &mut Context<Self>) {
        self.join(&message.0);
        self.joining.is_done = true;
        for early in std::mem::take(&mut self.joining.early) {
            self.handle(early, ctx);
        }
        self.turn(ctx);
    }
}

impl ConnectorActor {
    /// Takes what another process of this connector has kept, while this one runs. Its turn follows.
    pub(super) fn restore(&mut self, mut records: Vec<Record>, ctx: &mut Context<Self>) {
        // First: what is told of the devices has tokens in it.
        self.parts.directory.neighbours.restore(&records);
        let bindings = records.extract_if(.., |record| record.kind == RecordKind::Bindings).collect();
        // Unbounded post: once.
        self.parts.registrar.do_send(RegistrarMessage::Restore(bindings));
        let mut shard = self.parts.shard.borrow_mut();
        shard.number_anew(&mut records);
        let mut journal = self.parts.journal.borrow_mut();
        for record in &records {
            journal.put(record.kind, &record.id, &record.value);
        }
        drop(journal);
        self.parts.directory.neighbours.restore(&records);
        let legs = shard.recover(&records, self.parts.anchor, &self.parts.devices());
        let mut found = FoundLegs::new();
        for (conference, leg) in legs {
            found.entry(conference).or_default().push((leg, shard.id));
        }
        drop(shard);
        records.retain(|record| record.kind == RecordKind::Conference);
        self.parts.recovered.replace(records);
        let back = self.bring_back(&found, ctx);
        self.join(&back.into_iter().collect());
    }

    /// A message that can be handled now. At most some for each leg of another connector's conference wait.
    pub(super) fn not_too_early(&mut self, message: ConnectorMessage) -> Option<ConnectorMessage> {
        let conference = match &message {
            ConnectorMessage::Legs { conference, .. }
            | ConnectorMessage::GiveAway { conference, .. }
            | ConnectorMessage::EndAway { conference }
            | ConnectorMessage::SendAfter { conference, .. } => *conference,
            _ => return Some(message),
        };
        if self.joining.is_done || self.parts.shard.borrow().conference(conference).is_some() {
            return Some(message);
        }
        self.joining.early.push(message);
        None
    }

    fn bring_back(&mut self, found: &FoundLegs, ctx: &mut Context<Self>) -> Vec<ConferenceId> {
        let mut back = Vec::new();
        let records = self.parts.recovered.take();
        for record in records {
            let Some(id) = number(&record.id).map(ConferenceId) else {
                continue;
            };
            match found.get(&id) {
                Some(legs) => {
                    self.restore_conference(id, record.value, legs.clone(), ctx);
                    back.push(id);
                }
                // All its sessions ended while it was being forgotten.
                None => self.parts.journal.borrow_mut().remove(RecordKind::Conference, &record.id),
            }
        }
        self.parts.shard.borrow_mut().unaudited.extend(back.iter().copied());
        back
    }

    fn join(&mut self, back: &HashSet<ConferenceId>) {
        let mut shard = self.parts.shard.borrow_mut();
        for session in shard.session_ids() {
            let Some((conference, leg)) = shard.session(session).map(|entry| (entry.conference, entry.leg)) else {
                continue;
            };
            let elsewhere = || self.parts.directory.conference(conference);
            if shard.conference(conference).is_some() {
                continue;
            } else if let Some(actor) = Some(conference).filter(|id| back.contains(id)).and_then(|_| elsewhere()) {
                shard.join_away(session, (conference, leg), actor);
            } else {
                shard.ua.bye(now(), session, Some(LOST));
                shard.remove_session(session);
            }
        }
    }
}
