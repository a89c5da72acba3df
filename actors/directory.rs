//! From ids to addresses: who holds what, resolved when a message is sent.
//!
//! Permanent actors keep their address over a crash, so theirs are written once, while the tree is built. Calls come and go.
//! Nothing here is an actor; every actor and every thread may read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};

use actix::Addr;
use crossbeam::sync::ShardedLock;
use tandem_model::{ConferenceId, ConnId, ConnectorId, DnId};

use crate::connector::{ConferenceActor, ConnectorActor};
use crate::link::{LinkEnd, LinkServer, RemoteLink, Upwards};
use crate::live::{Live, Settings};
use crate::location::Locations;
use crate::neighbours::Neighbours;
use crate::quarantine::Quarantine;
use crate::roster::Rosters;
use crate::sharding::Shards;
use crate::tserver::{CallActor, ConnectorLinkActor, DnActor, EventLogActor, LobbyActor, RoomActor};

/// The addresses of one server.
#[derive(Default)]
pub struct Directory {
    event_log: OnceLock<Addr<EventLogActor>>,
    lobby: OnceLock<Addr<LobbyActor>>,
    /// Every DN that is configured, or was since the server started: its clients stay registered on one that is not any more.
    dns: ShardedLock<Arc<HashMap<DnId, Addr<DnActor>>>>,
    links: OnceLock<Vec<Addr<ConnectorLinkActor>>>,
    connectors: OnceLock<Vec<Addr<ConnectorActor>>>,
    /// The id of the first connector of this process.
    first_connector: OnceLock<u16>,
    links_up: AtomicUsize,
    closing: AtomicBool,
    remote_links: OnceLock<Vec<Addr<RemoteLink>>>,
    link_server: OnceLock<Addr<LinkServer>>,
    calls: ShardedLock<HashMap<ConnId, Addr<CallActor>>>,
    rooms: ShardedLock<HashMap<ConnId, Addr<RoomActor>>>,
    conferences: ShardedLock<HashMap<ConferenceId, Addr<ConferenceActor>>>,
    /// Where the devices of each DN are.
    pub locations: Locations,
    /// Who is in which conference.
    pub rosters: Rosters,
    /// Which connectors own DNs.
    pub shards: Shards,
    /// The connectors of other processes.
    pub neighbours: Neighbours,
    /// What may change while the server runs.
    pub live: Live,
    /// What actors panicked on twice.
    pub quarantine: Quarantine,
    /// What goes wrong on purpose.
    #[cfg(feature = "fault-injection")]
    pub faults: crate::fault::Faults,
}

impl Directory {
    /// An empty directory of a server that begins with these settings.
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            live: Live::new(settings),
            ..Self::default()
        })
    }

    pub(crate) fn install_tserver(
        &self,
        event_log: Addr<EventLogActor>,
        lobby: Addr<LobbyActor>,
        dns: HashMap<DnId, Addr<DnActor>>,
        links: Vec<Addr<ConnectorLinkActor>>,
    ) {
        let first = self.event_log.set(event_log).is_ok() && self.lobby.set(lobby).is_ok() && self.links.set(links).is_ok();
        assert!(first, "the T-Server side is built once");
        self.add_dns(dns);
    }

    pub(crate) fn install_connectors(&self, connectors: Vec<Addr<ConnectorActor>>) {
        assert!(self.connectors.set(connectors).is_ok(), "the connectors are built once");
    }

    /// The connectors of this process are numbered from there.
    pub(crate) fn number_connectors_from(&self, first: u16) {
        assert!(self.first_connector.set(first).is_ok(), "the connectors are numbered once");
    }

    /// The connectors are in other processes; these are the ways to them, in the order of their ids.
    pub(crate) fn install_remote_links(&self, links: Vec<Addr<RemoteLink>>) {
        assert!(self.remote_links.set(links).is_ok(), "the remote links are built once");
    }

    /// The T-Server is in another process; this is the way to it.
    pub(crate) fn install_link_server(&self, server: Addr<LinkServer>) {
        assert!(self.link_server.set(server).is_ok(), "the link server is built once");
    }

    /// A connector as the T-Server side reaches it.
    pub fn link_end(&self, connector: ConnectorId) -> Option<LinkEnd> {
        if let Some(remote) = self.remote_links.get() {
            return remote.get(usize::from(connector.0)).cloned().map(LinkEnd::Remote);
        }
        self.connector(connector).cloned().map(LinkEnd::Local)
    }

    /// The T-Server side as a connector reaches it.
    pub fn upwards(&self, connector: ConnectorId) -> Option<Upwards> {
        if let Some(server) = self.link_server.get() {
            return Some(Upwards::Remote(server.clone()));
        }
        self.link(connector).cloned().map(Upwards::Local)
    }

    /// Whether this process is one connector, whose T-Server is in another one.
    pub(crate) fn is_apart(&self) -> bool {
        self.first_connector.get().is_some()
    }

    /// The id of the first connector of this process.
    pub(crate) fn first_connector(&self) -> u16 {
        self.first_connector.get().copied().unwrap_or(0)
    }

    pub(crate) fn set_links_up(&self, count: usize) {
        self.links_up.store(count, Ordering::Relaxed);
    }

    /// How many connectors of other processes can be reached; of a connector's process: whether its T-Server can.
    pub fn links_up(&self) -> usize {
        self.links_up.load(Ordering::Relaxed)
    }

    /// The process is to end when its calls have: no connector of it comes back before that is taken back.
    pub fn set_closing(&self, closing: bool) {
        self.closing.store(closing, Ordering::Release);
    }

    /// Whether the process is to end.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// How many conferences live in this process.
    pub fn conference_count(&self) -> usize {
        self.conferences.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The way to a connector of another process.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn remote_link(&self, connector: ConnectorId) -> Option<&Addr<RemoteLink>> {
        self.remote_links.get()?.get(usize::from(connector.0))
    }

    /// Whether the other side is in another process.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn has_link(&self) -> bool {
        self.remote_links.get().is_some() || self.link_server.get().is_some()
    }

    /// Whether the connectors are in other processes.
    pub fn has_remote_connectors(&self) -> bool {
        self.remote_links.get().is_some()
    }

    /// The connector's end of the link to a T-Server in another process.
    pub(crate) fn link_server(&self) -> Option<&Addr<LinkServer>> {
        self.link_server.get()
    }

    /// Whether the T-Server is in another process.
    pub fn has_remote_tserver(&self) -> bool {
        self.link_server.get().is_some()
    }

    /// The event log.
    pub fn event_log(&self) -> Option<&Addr<EventLogActor>> {
        self.event_log.get()
    }

    /// Where CTI clients come in.
    pub fn lobby(&self) -> Option<&Addr<LobbyActor>> {
        self.lobby.get()
    }

    /// A DN's actor.
    pub fn dn(&self, dn: &DnId) -> Option<Addr<DnActor>> {
        self.dns.read().unwrap_or_else(PoisonError::into_inner).get(dn).cloned()
    }

    /// Every DN's actor, also of those that are configured no more.
    pub fn dns(&self) -> Arc<HashMap<DnId, Addr<DnActor>>> {
        self.dns.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_dns(&self, added: impl IntoIterator<Item = (DnId, Addr<DnActor>)>) {
        let mut dns = self.dns.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut dns).extend(added);
    }

    /// Makes every conference DN that is configured known to its subscribers.
    pub(crate) fn add_rosters(&self) {
        for conference in self.live.numbering().dns().filter(|config| config.room.is_some()) {
            self.rosters.add(conference.dn.clone());
        }
    }

    /// The names of the DNs that are configured, where the T-Server side is here.
    pub fn configured_dns(&self) -> Vec<DnId> {
        let (dns, numbering) = (self.dns(), self.live.numbering());
        dns.keys().filter(|dn| numbering.dn(dn).is_some()).cloned().collect()
    }

    /// The T-Server's end of the link to a connector.
    pub fn link(&self, connector: ConnectorId) -> Option<&Addr<ConnectorLinkActor>> {
        self.links.get()?.get(usize::from(connector.0))
    }

    /// The T-Server's ends of the links to all connectors.
    pub fn links(&self) -> &[Addr<ConnectorLinkActor>] {
        self.links.get().map_or(&[], Vec::as_slice)
    }

    /// A connector.
    pub fn connector(&self, connector: ConnectorId) -> Option<&Addr<ConnectorActor>> {
        let index = usize::from(connector.0.checked_sub(self.first_connector())?);
        self.connectors.get()?.get(index)
    }

    /// Every connector, in the order of their ids.
    pub fn connectors(&self) -> &[Addr<ConnectorActor>] {
        self.connectors.get().map_or(&[], Vec::as_slice)
    }

    /// How many connectors are in this process.
    pub fn connector_count(&self) -> u16 {
        u16::try_from(self.connectors().len()).unwrap_or(u16::MAX)
    }

    /// The conferences that somebody is in stay where they are, whatever becomes of their DNs.
    pub(crate) fn pin_rooms(&self) {
        let count = self.connector_count();
        for dn in self.rosters.occupied() {
            let there = self.pinned_room(dn.as_str());
            let there = there.unwrap_or_else(|| self.shards.owner(dn.as_str(), count));
            self.shards.pin(dn.as_str(), there);
        }
    }

    /// The connector that a conference stays at because somebody is in it, though its DN may be another one's.
    pub(crate) fn pinned_room(&self, dn: &str) -> Option<ConnectorId> {
        let pinned = self.shards.pinned(dn)?;
        let roster = self.rosters.of(&DnId::new(dn));
        if roster.is_none_or(|roster| roster.entries.is_empty()) {
            self.shards.unpin(dn);
            return None;
        }
        Some(pinned)
    }

    /// A live call's actor.
    pub fn call(&self, conn_id: ConnId) -> Option<Addr<CallActor>> {
        self.read_calls().get(&conn_id).cloned()
    }

    /// A live dial-in conference's actor.
    pub fn room(&self, conn_id: ConnId) -> Option<Addr<RoomActor>> {
        self.read_rooms().get(&conn_id).cloned()
    }

    /// The ConnIDs of the live calls, dial-in conferences among them, ascending.
    pub fn call_ids(&self) -> Vec<ConnId> {
        let mut ids: Vec<_> = self.read_calls().keys().chain(self.read_rooms().keys()).copied().collect();
        ids.sort_unstable();
        ids
    }

    /// How many calls live, dial-in conferences among them.
    pub fn call_count(&self) -> usize {
        self.read_calls().len() + self.read_rooms().len()
    }

    pub(crate) fn insert_call(&self, conn_id: ConnId, call: Addr<CallActor>) {
        self.calls
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(conn_id, call);
    }

    pub(crate) fn remove_call(&self, conn_id: ConnId) {
        self.calls.write().unwrap_or_else(PoisonError::into_inner).remove(&conn_id);
    }

    pub(crate) fn insert_room(&self, conn_id: ConnId, room: Addr<RoomActor>) {
        self.rooms
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(conn_id, room);
    }

    pub(crate) fn remove_room(&self, conn_id: ConnId) {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner).remove(&conn_id);
    }

    /// A live conference's actor, on whichever connector.
    pub fn conference(&self, id: ConferenceId) -> Option<Addr<ConferenceActor>> {
        self.conferences
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    /// The ids of the live conferences of this process, ascending.
    pub fn conference_ids(&self) -> Vec<ConferenceId> {
        let conferences = self.conferences.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<_> = conferences.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn insert_conference(&self, id: ConferenceId, conference: Addr<ConferenceActor>) {
        self.conferences
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, conference);
    }

    pub(crate) fn remove_conference(&self, id: ConferenceId) {
        self.conferences.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn read_rooms(&self) -> crossbeam::sync::ShardedLockReadGuard<'_, HashMap<ConnId, Addr<RoomActor>>> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_calls(&self) -> crossbeam::sync::ShardedLockReadGuard<'_, HashMap<ConnId, Addr<CallActor>>> {
        // A map of addresses is whole after any panic of a writer.
        self.calls.read().unwrap_or_else(PoisonError::into_inner)
    }
}
