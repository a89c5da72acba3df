//! What a connector must not lose when one message crashes it: the SIP user agent, and which leg is which session.

use std::collections::HashMap;

use actix::Addr;
use bytes::Bytes;
use smallvec::SmallVec;
use tandem_model::{ConferenceId, ConnectorId, LegId};
use tandem_sip::session;
use tandem_sip::ua::{SessionId, UserAgent};

use super::ConferenceActor;

/// A session, seen from its conference.
#[derive(Debug)]
pub struct SessionEntry {
    /// The conference.
    pub conference: ConferenceId,
    /// Its leg there.
    pub leg: LegId,
    /// The descriptions we sent on it: one origin, rising versions (RFC 3264 s.8).
    pub local: LocalDescription,
}

/// A live conference, seen from its connector.
pub struct ConferenceEntry {
    /// Its actor.
    pub actor: Addr<ConferenceActor>,
    /// Its sessions. Two in a plain call; one more per forked contact while it rings.
    pub legs: SmallVec<[(LegId, SessionId); 4]>,
    /// Max-Forwards of the INVITEs that this one's caller brings about.
    pub max_forwards: u8,
}

/// Max-Forwards of a request that nobody else's request brought about (RFC 3261 s.8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The state of one connector.
pub struct Shard {
    /// Which connector.
    pub id: ConnectorId,
    /// The SIP layer.
    pub ua: UserAgent,
    sessions: HashMap<SessionId, SessionEntry>,
    conferences: HashMap<ConferenceId, ConferenceEntry>,
    next_conference: u64,
    next_origin: u64,
}

/// The descriptions that go out on one leg. They come from the other leg's device, and in third-party calls from several devices in
/// turn, so each is made this leg's own: one origin for the whole session, a higher version for each change (RFC 3264 s.8).
#[derive(Debug)]
pub struct LocalDescription {
    origin: u64,
    version: u64,
    last: Option<Bytes>,
}

impl LocalDescription {
    /// The next description to send, made from `sdp`.
    pub fn next(&mut self, sdp: &Bytes) -> Bytes {
        if self.last.as_ref() != Some(sdp) {
            self.version += 1;
            self.last = Some(sdp.clone());
        }
        session::with_session_version(sdp, self.origin, self.version)
    }
}

impl Shard {
    /// An empty shard.
    pub fn new(id: ConnectorId, ua: UserAgent) -> Self {
        Self {
            id,
            ua,
            sessions: HashMap::new(),
            conferences: HashMap::new(),
            next_conference: 1,
            next_origin: 1,
        }
    }

    /// A new conference id of this connector's making.
    pub fn new_conference_id(&mut self) -> ConferenceId {
        let counter = self.next_conference;
        self.next_conference += 1;
        ConferenceId::new(self.id.0, counter)
    }

    /// Remembers a conference.
    pub fn add_conference(&mut self, id: ConferenceId, actor: Addr<ConferenceActor>) {
        self.conferences.insert(
            id,
            ConferenceEntry {
                actor,
                legs: SmallVec::new(),
                max_forwards: MAX_FORWARDS,
            },
        );
    }

    /// A caller's INVITE came with this Max-Forwards: what it brings about has one less, so that a call that is led in a circle, by a
    /// device or between trunks, comes to an end (RFC 7332 s.3 asks this of back-to-back user agents).
    pub fn limit_forwards(&mut self, id: ConferenceId, received: Option<u8>) {
        if let Some(entry) = self.conferences.get_mut(&id) {
            entry.max_forwards = received.unwrap_or(MAX_FORWARDS).min(MAX_FORWARDS).saturating_sub(1);
        }
    }

    /// Max-Forwards of the INVITEs of a conference.
    pub fn max_forwards(&self, id: ConferenceId) -> u8 {
        self.conferences.get(&id).map_or(MAX_FORWARDS, |entry| entry.max_forwards)
    }

    /// A live conference's actor.
    pub fn conference(&self, id: ConferenceId) -> Option<&Addr<ConferenceActor>> {
        self.conferences.get(&id).map(|entry| &entry.actor)
    }

    /// How many conferences live.
    pub fn conference_count(&self) -> usize {
        self.conferences.len()
    }

    /// Forgets a conference; returns the sessions it leaves behind.
    pub fn remove_conference(&mut self, id: ConferenceId) -> SmallVec<[SessionId; 4]> {
        let legs = self.conferences.remove(&id).map(|entry| entry.legs).unwrap_or_default();
        let sessions: SmallVec<[SessionId; 4]> = legs.into_iter().map(|(_, session)| session).collect();
        for session in &sessions {
            self.sessions.remove(session);
        }
        sessions
    }

    /// Every live conference, for an orderly end of all.
    pub fn conference_ids(&self) -> Vec<ConferenceId> {
        let mut ids: Vec<_> = self.conferences.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Every session, in the order in which they began.
    pub fn session_ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.sessions.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Forgets every session; returns the legs that they were.
    pub fn forget_sessions(&mut self) -> Vec<(ConferenceId, LegId)> {
        self.conferences.values_mut().for_each(|conference| conference.legs.clear());
        let mut legs: Vec<_> = self
            .sessions
            .drain()
            .map(|(_, entry)| (entry.conference, entry.leg))
            .collect();
        legs.sort_unstable();
        legs
    }

    /// The descriptions of a leg to be made.
    pub fn new_description(&mut self) -> LocalDescription {
        let origin = self.next_origin;
        self.next_origin += 1;
        LocalDescription {
            origin,
            version: 0,
            last: None,
        }
    }

    /// Joins a session to a conference's leg.
    pub fn add_session(&mut self, session: SessionId, conference: ConferenceId, leg: LegId, local: LocalDescription) {
        if let Some(entry) = self.conferences.get_mut(&conference) {
            entry.legs.push((leg, session));
            self.sessions.insert(session, SessionEntry { conference, leg, local });
        }
    }

    /// The session of a leg.
    pub fn session_of(&self, conference: ConferenceId, leg: LegId) -> Option<SessionId> {
        let entry = self.conferences.get(&conference)?;
        entry.legs.iter().find(|(id, _)| *id == leg).map(|(_, session)| *session)
    }

    /// A session's entry.
    pub fn session(&mut self, session: SessionId) -> Option<&mut SessionEntry> {
        self.sessions.get_mut(&session)
    }

    /// Forgets a session that is over.
    pub fn remove_session(&mut self, session: SessionId) -> Option<SessionEntry> {
        let entry = self.sessions.remove(&session)?;
        if let Some(conference) = self.conferences.get_mut(&entry.conference) {
            conference.legs.retain(|(_, id)| *id != session);
        }
        Some(entry)
    }
}
