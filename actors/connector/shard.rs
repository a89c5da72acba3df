//! What a connector must not lose when one message crashes it: the SIP user agent, and which leg is which session.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use actix::Addr;
use bytes::Bytes;
use smallvec::SmallVec;
use tandem_model::conference::MOVED_LEGS;
use tandem_model::conference_pool::{ConferencePool, PoolSettings, Resource};
use tandem_model::{ConferenceId, ConnectorId, DnId, LegId, PartyId};
use tandem_sip::session;
use tandem_sip::ua::{DialogState, ReplacesDialog, SessionId, SubscriptionId, UserAgent};

use super::{ConferenceActor, subscriptions};
use crate::neighbours::Memory;

/// A session, seen from its conference.
#[derive(Debug)]
pub struct SessionEntry {
    /// The conference.
    pub conference: ConferenceId,
    /// Its leg there.
    pub leg: LegId,
    /// Whose leg it is.
    pub party: PartyId,
    /// What it was before it moved last.
    pub former: Option<(ConferenceId, LegId)>,
    /// The descriptions we sent on it: one origin, rising versions (RFC 3264 s.8).
    pub local: LocalDescription,
}

/// A live conference, seen from its connector.
pub struct ConferenceEntry {
    /// Its sessions. Two in a plain call; one more per forked contact while it rings.
    pub legs: SmallVec<[(LegId, SessionId); 4]>,
    /// Max-Forwards of the INVITEs that this one's caller brings about.
    pub max_forwards: u8,
    /// The conference resource that serves it.
    pub resource: Resource,
    /// What its actor is told by.
    pub ready: Ready,
}

/// An actor that serves one conference after the other.
#[derive(Clone)]
pub struct Ready {
    /// The actor.
    pub actor: Addr<ConferenceActor>,
    /// Which conference it serves.
    pub serves: Rc<Cell<Option<ConferenceId>>>,
}

/// Max-Forwards of a request that nobody else's request brought about (RFC 3261 s.8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The state of one connector.
pub struct Shard {
    /// Which connector.
    pub id: ConnectorId,
    /// The SIP layer.
    pub ua: UserAgent,
    /// Which conference DN each subscriber watches.
    pub watchers: HashMap<SubscriptionId, DnId>,
    /// Conferences that the T-Server side has yet to name since the link came up.
    pub unaudited: HashSet<ConferenceId>,
    /// The conference resources.
    pub resources: ConferencePool<Ready>,
    /// What is remembered of what was passed on to other connectors.
    pub memory: Memory,
    sessions: HashMap<SessionId, SessionEntry>,
    /// Sessions here whose legs belong to conferences of other connectors.
    away: HashMap<(ConferenceId, LegId), (SessionId, Addr<ConferenceActor>)>,
    next_moved: u64,
    /// Sessions that have become other legs since this was asked last.
    moved: Vec<SessionId>,
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
    /// Goes on after the description with these numbers.
    pub fn after(origin: u64, version: u64) -> Self {
        Self {
            origin,
            version,
            last: None,
        }
    }

    /// Its origin, and the version of the last one.
    pub fn numbers(&self) -> (u64, u64) {
        (self.origin, self.version)
    }

    /// The next description to send, made from `sdp`.
    pub fn next(&mut self, sdp: &Bytes) -> Bytes {
        if self.last.as_ref() != Some(sdp) {
            self.version += 1;
            self.last = Some(sdp.clone());
        }
        session::with_session_version(sdp, self.origin, self.version)
    }
}

/// Where the counters of ids start, so that a process does not give out those of the one before: nobody makes as many a millisecond.
pub fn first_counter(unix_millis: u64) -> u64 {
    (unix_millis & 0x1ff_ffff_ffff) << 7 | 1
}

impl Shard {
    /// An empty shard of a process that starts at `unix_millis`.
    pub fn new(id: ConnectorId, mut ua: UserAgent, pool: PoolSettings, unix_millis: u64) -> Self {
        ua.set_notifier(subscriptions::notifier());
        Self {
            id,
            ua,
            watchers: HashMap::new(),
            unaudited: HashSet::new(),
            resources: ConferencePool::new(pool),
            memory: Memory::default(),
            sessions: HashMap::new(),
            away: HashMap::new(),
            next_moved: 0,
            moved: Vec::new(),
            conferences: HashMap::new(),
            next_conference: first_counter(unix_millis),
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
    pub fn add_conference(&mut self, id: ConferenceId, resource: Resource, ready: Ready) {
        self.conferences.insert(
            id,
            ConferenceEntry {
                resource,
                ready,
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

    /// The conference endpoint that serves a conference, where endpoints are configured.
    pub fn endpoint(&self, id: ConferenceId) -> Option<&str> {
        self.conferences.get(&id)?.resource.service.as_deref()
    }

    /// A live conference's actor.
    pub fn conference(&self, id: ConferenceId) -> Option<&Addr<ConferenceActor>> {
        self.conferences.get(&id).map(|entry| &entry.ready.actor)
    }

    /// The actor that a leg belongs to, here or on another connector.
    pub fn owner(&self, conference: ConferenceId, leg: LegId) -> Option<&Addr<ConferenceActor>> {
        let away = || self.away.get(&(conference, leg)).map(|(_, actor)| actor);
        self.conference(conference).or_else(away)
    }

    /// A leg's session belongs to another conference from now on. What its leg is called there.
    pub fn move_session(
        &mut self,
        session: SessionId,
        to: ConferenceId,
        as_party: PartyId,
        actor: Addr<ConferenceActor>,
    ) -> Option<LegId> {
        let entry = self.sessions.get_mut(&session)?;
        let from = (entry.conference, entry.leg);
        self.next_moved += 1;
        let leg = LegId(MOVED_LEGS | u64::from(self.id.0) << 40 | self.next_moved);
        (entry.conference, entry.leg, entry.party) = (to, leg, as_party);
        entry.former = Some(from);
        self.moved.push(session);
        self.away.remove(&from);
        if let Some(conference) = self.conferences.get_mut(&from.0) {
            conference.legs.retain(|(_, id)| *id != session);
        }
        match self.conferences.get_mut(&to) {
            Some(conference) => conference.legs.push((leg, session)),
            None => drop(self.away.insert((to, leg), (session, actor))),
        }
        Some(leg)
    }

    /// The sessions that have become other legs since this was asked last.
    pub fn take_moved(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.moved)
    }

    /// A session of the process before is that leg; its conference follows.
    pub fn bring_back(
        &mut self,
        session: SessionId,
        conference: ConferenceId,
        leg: LegId,
        party: PartyId,
        local: LocalDescription,
    ) {
        self.next_origin = self.next_origin.max(local.origin + 1);
        let moved = leg.0 ^ (MOVED_LEGS | u64::from(self.id.0) << 40);
        if moved < 1 << 40 {
            self.next_moved = self.next_moved.max(moved);
        }
        let entry = SessionEntry {
            conference,
            leg,
            party,
            former: None,
            local,
        };
        self.sessions.insert(session, entry);
    }

    /// A conference of the process before takes its sessions here.
    pub fn join_conference(&mut self, id: ConferenceId) {
        let of_it = |(session, entry): (&SessionId, &SessionEntry)| (entry.conference == id).then_some((entry.leg, *session));
        let mut legs: SmallVec<[_; 4]> = self.sessions.iter().filter_map(of_it).collect();
        legs.sort_unstable();
        if let Some(conference) = self.conferences.get_mut(&id) {
            conference.legs = legs;
        }
    }

    /// A session of the process before belongs to a conference of another connector.
    pub fn join_away(&mut self, session: SessionId, leg: (ConferenceId, LegId), actor: Addr<ConferenceActor>) {
        self.away.insert(leg, (session, actor));
    }

    /// What a leg that moved is now. Moves are rare, and what crosses one rarer: nothing is kept to find it fast.
    pub fn moved_to(&self, conference: ConferenceId, leg: LegId) -> Option<(ConferenceId, LegId)> {
        let mut entries = self.sessions.values();
        let entry = entries.find(|entry| entry.former == Some((conference, leg)))?;
        Some((entry.conference, entry.leg))
    }

    /// The sessions of a conference of another connector, which are forgotten.
    pub fn remove_away(&mut self, conference: ConferenceId) -> Vec<SessionId> {
        let mut left: Vec<_> = self
            .away
            .extract_if(|(of, _), _| *of == conference)
            .map(|(_, (session, _))| session)
            .collect();
        left.sort_unstable();
        for session in &left {
            self.sessions.remove(session);
        }
        left
    }

    /// How many conferences live.
    pub fn conference_count(&self) -> usize {
        self.conferences.len()
    }

    /// Forgets a conference; returns what served it, and the sessions it leaves behind.
    pub fn remove_conference(&mut self, id: ConferenceId) -> Option<(Resource, Ready, SmallVec<[SessionId; 4]>)> {
        let entry = self.conferences.remove(&id)?;
        let sessions: SmallVec<[SessionId; 4]> = entry.legs.into_iter().map(|(_, session)| session).collect();
        for session in &sessions {
            self.sessions.remove(session);
        }
        Some((entry.resource, entry.ready, sessions))
    }

    /// Every live conference, for an orderly end of all.
    pub fn conference_ids(&self) -> Vec<ConferenceId> {
        let mut ids: Vec<_> = self.conferences.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The sessions of a conference's legs other than these.
    pub fn sessions_but(&self, conference: ConferenceId, legs: &[LegId]) -> Vec<SessionId> {
        let of_it = self.conferences.get(&conference).map_or(&[][..], |entry| &entry.legs);
        let others = of_it.iter().filter(|(leg, _)| !legs.contains(leg));
        others.map(|(_, session)| *session).collect()
    }

    /// Every session, in the order in which they began.
    pub fn session_ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.sessions.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Forgets every session; returns the legs that they were.
    pub fn forget_sessions(&mut self) -> Vec<(LegId, Addr<ConferenceActor>)> {
        let mut legs: Vec<_> = self.sessions.values().map(|entry| (entry.conference, entry.leg)).collect();
        legs.sort_unstable();
        let owners = legs
            .into_iter()
            .filter_map(|(conference, leg)| Some((leg, self.owner(conference, leg)?.clone())))
            .collect();
        self.conferences.values_mut().for_each(|conference| conference.legs.clear());
        self.sessions.clear();
        self.away.clear();
        self.watchers.clear();
        owners
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
    pub fn add_session(
        &mut self,
        session: SessionId,
        conference: ConferenceId,
        leg: LegId,
        party: PartyId,
        local: LocalDescription,
    ) {
        if let Some(entry) = self.conferences.get_mut(&conference) {
            entry.legs.push((leg, session));
            let entry = SessionEntry {
                conference,
                leg,
                party,
                former: None,
                local,
            };
            self.sessions.insert(session, entry);
        }
    }

    /// The session of a leg.
    pub fn session_of(&self, conference: ConferenceId, leg: LegId) -> Option<SessionId> {
        let Some(entry) = self.conferences.get(&conference) else {
            return self.away.get(&(conference, leg)).map(|(session, _)| *session);
        };
        entry.legs.iter().find(|(id, _)| *id == leg).map(|(_, session)| *session)
    }

    /// The party whose session a dialog is, and how far that is.
    pub fn party_of(&self, dialog: &ReplacesDialog) -> Option<(ConferenceId, PartyId, DialogState)> {
        let (session, state) = self.ua.session_of_dialog(&dialog.call_id, &dialog.to_tag, &dialog.from_tag)?;
        let entry = self.sessions.get(&session)?;
        Some((entry.conference, entry.party, state))
    }

    /// A session's entry.
    pub fn session(&mut self, session: SessionId) -> Option<&mut SessionEntry> {
        self.sessions.get_mut(&session)
    }

    /// Forgets a session that is over.
    pub fn remove_session(&mut self, session: SessionId) -> Option<SessionEntry> {
        let entry = self.sessions.remove(&session)?;
        self.away.remove(&(entry.conference, entry.leg));
        if let Some(conference) = self.conferences.get_mut(&entry.conference) {
            conference.legs.retain(|(_, id)| *id != session);
        }
        Some(entry)
    }
}
