//! What a connector keeps for the next process, and how it comes back with what the one before has kept.
//!
//! Kept are its sessions in talk, each with the leg that it is, and (by the actors themselves) its conferences and bindings. Invariant: the
//! journal has what is behind a SIP message, and behind what the T-Server side is told, before either goes out.
//!
//! Coming back has three steps, each done by every connector before the next begins, as a conference's sessions may be another's:
//! sessions, while the connector is made ([`Shard::recover`]); conferences ([`Recover`]); what is left over ([`Join`]).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use actix::{Context, Handler};
use serde::{Deserialize, Serialize};
use tandem_model::{Anchor, ConferenceId, ConnectorId, LegId, PartyId};
use tandem_sip::ua::{SessionId, SessionSnapshot};

use super::conference::ConferenceMessage;
use super::connector_actor::{ConnectorActor, ConnectorParts};
use super::shard::{LocalDescription, Shard};
use crate::devices::Devices;
use crate::journal::{Record, RecordKind, decode, encode};
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
            for conference in shard.conference_ids() {
                if let Some(actor) = shard.conference(conference) {
                    // Unbounded post: one for each conference, when storage works again.
                    actor.do_send(ConferenceMessage::KeepAgain);
                }
            }
            self.registrar.do_send(super::registrar::RegistrarMessage::KeepAgain);
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

impl Handler<Recover> for ConnectorActor {
    type Result = Vec<ConferenceId>;

    fn handle(&mut self, message: Recover, ctx: &mut Context<Self>) -> Vec<ConferenceId> {
        let mut back = Vec::new();
        let records = self.parts.recovered.take();
        for record in records {
            let Some(id) = number(&record.id).map(ConferenceId) else {
                continue;
            };
            match message.0.get(&id) {
                Some(legs) => {
                    self.restore_conference(id, record.value, legs.clone(), ctx);
                    back.push(id);
                }
                // All its sessions ended while it was being forgotten.
                None => self.parts.journal.borrow_mut().remove(RecordKind::Conference, &record.id),
            }
        }
        self.parts.shard.borrow_mut().unaudited.extend(back.iter().copied());
        self.turn(ctx);
        back
    }
}

impl Handler<Join> for ConnectorActor {
    type Result = ();

    fn handle(&mut self, message: Join, ctx: &mut Context<Self>) {
        let mut shard = self.parts.shard.borrow_mut();
        for session in shard.session_ids() {
            let Some((conference, leg)) = shard.session(session).map(|entry| (entry.conference, entry.leg)) else {
                continue;
            };
            let elsewhere = || self.parts.directory.conference(conference);
            if shard.conference(conference).is_some() {
                continue;
            } else if let Some(actor) = Some(conference).filter(|id| message.0.contains(id)).and_then(|_| elsewhere()) {
                shard.join_away(session, (conference, leg), actor);
            } else {
                shard.ua.bye(now(), session, Some(LOST));
                shard.remove_session(session);
            }
        }
        drop(shard);
        self.turn(ctx);
    }
}
