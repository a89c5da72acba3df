//! The T-Server side's common ground: starts Call actors and knows which conference and which ConnID is whose.
//!
//! A Call actor has a group of calls: it is named by the ConnID of its first one. ConnIDs are opened and closed as consultations come and
//! go; when two groups become one, all that one had is the other's from then on.
//!
//! Not an actor: the actors of the T-Server's arbiter share it, so a call that a connector offers has its actor before the next
//! notification about it is looked at.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::Addr;
use rand::Rng;
use rand::rngs::StdRng;
use tandem_model::anchor::unix_micros;
use tandem_model::call::{Call, CallIds, CallInput, CallOutput, CallSnapshot, Wanted};
use tandem_model::connector::{ConnectorRequest, DnContact};
use tandem_model::dn::wish::{InForce, Wishes};
use tandem_model::link::{Cause, LinkNotification, LinkRequest, PartyTarget, ReleasedBy};
use tandem_model::numbering::{DEFAULT_POOL, Numbering};
use tandem_model::{Anchor, CallUuid, ConferenceId, ConnId, ConnectorId, DnId};

use super::call::{self, CallActor};
use super::connector_link::{LinkMessage, Synchronise};
use super::dn::DnMessage;
use super::event_log::EventLogMessage;
use super::room::Rooms;
use crate::connector::first_counter;
use crate::directory::Directory;
use crate::journal::{self, Record, RecordKind, SharedJournal};
use crate::link::Reach;
use crate::metrics::Metrics;
use crate::now;
use crate::supervision::{DownReason, launch_transient};

/// A connector of another process has no way to take a leg over (RFC 3261 s.21.5.2).
const NOT_IMPLEMENTED: u16 = 501;

/// Makes the numbers of calls. They start where the clock stands, so that they do not repeat after a restart.
#[derive(Debug)]
pub struct CallNumbers {
    next: u64,
    first_conn_id: u64,
    first_conference: u64,
    first_call_id: u64,
    rng: StdRng,
}

impl CallNumbers {
    /// Numbers for a server that starts at `unix_millis`, with UUIDs from `rng`. A server that comes back within the second has others.
    pub fn new(unix_millis: u64, rng: StdRng) -> Self {
        Self {
            next: 1,
            first_conn_id: (unix_millis & 0x3fff_ffff_ffff) << 14,
            first_conference: first_counter(unix_millis),
            first_call_id: ((unix_millis / 100) & 0x7fff) << 16,
            rng,
        }
    }

    fn next(&mut self, conference: Option<ConferenceId>) -> CallIds {
        let counter = self.next;
        self.next += 1;
        let call_uuid = CallUuid(self.rng.random());
        CallIds {
            conn_id: ConnId(self.first_conn_id.wrapping_add(counter)),
            call_uuid,
            call_id: self.first_call_id + counter,
            conversation_id: format!("Tandem-{call_uuid}").into(),
            conference: conference.unwrap_or(ConferenceId::new(ConferenceId::TSERVER, self.first_conference + counter)),
        }
    }
}

/// What a switch is made from.
pub struct SwitchParts {
    /// Who is where.
    pub directory: Arc<Directory>,
    /// How many connectors there are.
    pub connectors: u16,
    /// The application pools of those that are in other processes, in the order of their ids.
    pub remote_pools: Vec<Arc<str>>,
    /// What calls are called.
    pub numbers: CallNumbers,
    /// Whether no call starts any more.
    pub draining: Arc<AtomicBool>,
    /// What outlives the process.
    pub journal: SharedJournal,
    /// How times are told there.
    pub anchor: Anchor,
    /// What the process before has left of its calls.
    pub records: Vec<Record>,
}

/// What a Call actor has.
struct Group {
    addr: Addr<CallActor>,
    conn_ids: Vec<ConnId>,
    conferences: Vec<ConferenceId>,
}

/// Whose a conference is.
#[derive(Clone, Copy)]
struct Owner {
    /// The group, by its first ConnID.
    group: ConnId,
    /// The connector that has it.
    connector: ConnectorId,
}

/// The common ground.
pub struct Switch {
    /// Who is where.
    pub directory: Arc<Directory>,
    /// What outlives the process.
    pub journal: SharedJournal,
    /// How times are told there.
    pub anchor: Anchor,
    connectors: u16,
    numbers: RefCell<CallNumbers>,
    groups: RefCell<HashMap<ConnId, Group>>,
    by_conference: RefCell<HashMap<ConferenceId, Owner>>,
    draining: Arc<AtomicBool>,
    /// The calls of the process before, until they are brought back.
    recovered: RefCell<Vec<Record>>,
    resumed: Cell<bool>,
    reach: RefCell<Reach>,
    /// The DNs that clients believe to be in service.
    in_service: RefCell<HashSet<DnId>>,
    /// What clients ask of their DNs.
    wishes: RefCell<Wishes>,
    /// Whether clients were told that a connector can be reached.
    connected: Cell<bool>,
    /// Conferences that are dialled into.
    pub rooms: Rooms,
}

impl Switch {
    /// A switch without calls.
    pub fn new(parts: SwitchParts) -> Rc<Self> {
        let (of_dns, recovered) = parts.records.into_iter().partition(|record| record.kind == RecordKind::Dn);
        let of_dns: Vec<Record> = of_dns;
        let name = |record: Record| String::from_utf8(record.id).ok().map(|name| DnId::new(&name));
        Rc::new(Self {
            in_service: RefCell::new(of_dns.into_iter().filter_map(name).collect()),
            journal: parts.journal,
            anchor: parts.anchor,
            recovered: RefCell::new(recovered),
            directory: parts.directory,
            connectors: parts.connectors,
            numbers: RefCell::new(parts.numbers),
            groups: RefCell::default(),
            by_conference: RefCell::default(),
            draining: parts.draining,
            resumed: Cell::new(false),
            reach: RefCell::new(Reach::new(parts.remote_pools)),
            wishes: RefCell::default(),
            connected: Cell::new(false),
            rooms: Rooms::default(),
        })
    }

    /// The connector that owns a DN.
    pub fn connector_of(&self, dn: &DnId) -> ConnectorId {
        if self.directory.has_remote_connectors() {
            let (reach, pool) = (self.reach.borrow(), &self.pool_of(dn));
            // One that cannot be reached says so to the call.
            if let Some(connector) = reach.connector_of(dn, pool).or_else(|| reach.expected(dn, pool)) {
                return connector;
            }
        }
        self.directory.shards.owner(dn.as_str(), self.connectors)
    }

    /// The application pool whose connectors serve a DN.
    fn pool_of(&self, dn: &DnId) -> Arc<str> {
        self.numbering().pool_of(dn).cloned().unwrap_or_else(|| DEFAULT_POOL.into())
    }

    /// Whether a connector of another process can be reached that serves a DN.
    pub fn is_served(&self, dn: &DnId) -> bool {
        self.reach.borrow().connector_of(dn, &self.pool_of(dn)).is_some()
    }

    /// The DNs of the application pool of a connector.
    pub fn dns_of_pool(&self, connector: ConnectorId) -> Vec<DnId> {
        let reach = self.reach.borrow();
        let Some(pool) = reach.pool_of(connector) else {
            return Vec::new();
        };
        let mut dns = self.directory.configured_dns();
        dns.retain(|dn| self.pool_of(dn) == *pool);
        dns.sort_unstable();
        dns
    }

    /// Which numbers lead where now.
    pub fn numbering(&self) -> Arc<Numbering> {
        self.directory.live.numbering()
    }

    /// Whether one more call may start.
    pub fn has_room(&self) -> bool {
        !self.is_draining()
            && self.by_conference.borrow().len() + self.rooms.conference_count() < self.directory.live.settings().max_calls
    }

    /// Whether no call starts any more.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
            || if self.directory.has_remote_connectors() {
                self.reach.borrow().is_draining()
            } else {
                !self.directory.shards.any_available(self.connectors)
            }
    }

    /// The group of calls that a conference belongs to.
    pub fn call_of(&self, conference: ConferenceId) -> Option<Addr<CallActor>> {
        let owner = *self.by_conference.borrow().get(&conference)?;
        self.groups.borrow().get(&owner.group).map(|group| group.addr.clone())
    }

    /// The group that has what is wanted.
    pub fn find(&self, wanted: Wanted) -> Option<Addr<CallActor>> {
        match wanted {
            Wanted::Call(conn_id) => self.directory.call(conn_id),
            Wanted::Conference(conference) => self.call_of(conference),
        }
    }

    /// Sends a request to the connector that has its conference.
    pub fn post(&self, request: LinkRequest) {
        let conference = request.conference();
        let owner = conference.and_then(|conference| self.by_conference.borrow().get(&conference).copied());
        if let Some(link) = owner.and_then(|owner| self.directory.link(owner.connector)) {
            // Unbounded post: each is caused by one message to the call.
            link.do_send(LinkMessage(request));
        }
    }

    /// What stands against a request that no connector could fulfil: a leg stays in its process.
    pub fn refusal(&self, request: &LinkRequest) -> Option<LinkNotification> {
        let LinkRequest::MoveParty {
            conference,
            operation,
            from,
            ..
        } = *request
        else {
            return None;
        };
        let owners = self.by_conference.borrow();
        let connector = |conference| owners.get(&conference).map(|owner| owner.connector);
        let is_apart = self.directory.has_remote_connectors() && connector(conference) != connector(from);
        is_apart.then(|| LinkNotification::OperationFailed {
            conference,
            operation,
            cause: Cause::status(ReleasedBy::Server, NOT_IMPLEMENTED),
        })
    }

    /// What a consultation call is to be called, should there be one.
    pub fn spare(&self, conference: ConferenceId) -> CallIds {
        self.numbers.borrow_mut().next(Some(conference))
    }

    /// Starts a call with its first input, on a connector.
    pub fn start_call(self: &Rc<Self>, connector: ConnectorId, first: CallInput) {
        let conference = match &first {
            CallInput::Offered(offered) => Some(offered.conference),
            _ => None,
        };
        let ids = self.numbers.borrow_mut().next(conference);
        let (group, conference) = (ids.conn_id, ids.conference);
        let settings = self.directory.live.settings();
        let machine = Call::new(ids, settings.numbering.clone(), settings.call);
        let switch = self.clone();
        let actor = CallActor::new(machine, first, self.clone(), group);
        let addr = launch_transient(call::SPEC, actor, move |reason| switch.group_down(group, &reason));
        let has = Group {
            addr,
            conn_ids: Vec::new(),
            conferences: Vec::new(),
        };
        self.groups.borrow_mut().insert(group, has);
        self.take_conference(group, conference, connector);
        self.opened(group, group);
    }

    /// A conference is a group's from now on.
    fn take_conference(&self, group: ConnId, conference: ConferenceId, connector: ConnectorId) {
        if let Some(has) = self.groups.borrow_mut().get_mut(&group) {
            has.conferences.push(conference);
            self.by_conference.borrow_mut().insert(conference, Owner { group, connector });
        }
    }

    /// A caller takes the place of a party of `replaced`: its conference goes to the same group. `None`: there is no such group.
    pub fn join_group(
        &self,
        connector: ConnectorId,
        conference: ConferenceId,
        replaced: ConferenceId,
    ) -> Option<Addr<CallActor>> {
        let group = self.by_conference.borrow().get(&replaced)?.group;
        let addr = self.call_of(replaced)?;
        self.take_conference(group, conference, connector);
        Some(addr)
    }

    /// Whether what the process before has left is back: what is told from then on is news.
    pub fn is_resumed(&self) -> bool {
        self.resumed.get()
    }

    /// Brings back the calls of the process before. Their audits go out first; what a connector has besides is nobody's.
    pub fn resume(self: &Rc<Self>) {
        self.resumed.set(true);
        let mut back = Vec::new();
        for record in self.recovered.take() {
            let Some(group) = record.id.as_slice().try_into().ok().map(u64::from_be_bytes).map(ConnId) else {
                continue;
            };
            match record.kind {
                RecordKind::Call => back.extend(self.bring_back(group, record)),
                RecordKind::Room => back.extend(self.rooms.bring_back(self, &record)),
                _ => {}
            }
        }
        if let Some(log) = self.directory.event_log() {
            // Unbounded post: once.
            log.do_send(EventLogMessage::Recovered { conn_ids: back });
        }
        for link in self.directory.links() {
            // Unbounded post: one for each connector.
            link.do_send(Synchronise);
        }
    }

    /// Whether clients believe that a DN is in service.
    pub fn was_in_service(&self, dn: &DnId) -> bool {
        self.in_service.borrow().contains(dn)
    }

    /// What clients ask of their DNs, as it is now.
    pub fn wishes(&self) -> Wishes {
        self.wishes.borrow().clone()
    }

    /// The clients of a DN ask for something else now. Their registrations keep it.
    pub fn heed(&self, dn: &DnId, in_force: InForce) {
        self.wishes.borrow_mut().set(dn, in_force);
    }

    /// Clients are told of the service of a DN: it is kept with the next commit, which their event waits for.
    pub fn keep_service(&self, dn: &DnId, in_service: bool) {
        let mut journal = self.journal.borrow_mut();
        if in_service {
            self.in_service.borrow_mut().insert(dn.clone());
            journal.put(RecordKind::Dn, dn.as_str().as_bytes(), &[]);
        } else {
            self.in_service.borrow_mut().remove(dn);
            journal.remove(RecordKind::Dn, dn.as_str().as_bytes());
        }
    }

    /// After a restart every connector had time to say whose devices it has: clients are told of the DNs that have none any more.
    pub fn review_services(&self) {
        let mut believed: Vec<_> = self.in_service.borrow().iter().cloned().collect();
        believed.sort_unstable();
        for dn in believed {
            match self.directory.dn(&dn) {
                // Unbounded post: once for each DN.
                Some(actor) => actor.do_send(DnMessage::Review),
                // It is configured no more.
                None => self.keep_service(&dn, false),
            }
        }
    }

    /// The conferences that a connector has, or should have.
    pub fn conferences_of(&self, connector: ConnectorId) -> Vec<ConferenceId> {
        let owners = self.by_conference.borrow();
        let of_calls = owners.iter().filter(|(_, owner)| owner.connector == connector);
        let mut conferences: Vec<_> = of_calls.map(|(conference, _)| *conference).collect();
        conferences.extend(self.rooms.conferences_of(connector));
        conferences.sort_unstable();
        conferences
    }

    /// What is known of the connectors of other processes.
    pub fn reach(&self) -> std::cell::Ref<'_, Reach> {
        self.reach.borrow()
    }

    /// The same, to be changed.
    pub fn reach_mut(&self) -> std::cell::RefMut<'_, Reach> {
        self.reach.borrow_mut()
    }

    /// A connector can be reached, or cannot. How many can be now.
    pub fn link_up(&self, connector: ConnectorId, up: bool) -> usize {
        let count = self.reach.borrow_mut().link_up(connector, up);
        self.directory.set_links_up(count);
        count
    }

    /// Whether clients have to be told that a connector can be reached, or that none can.
    pub fn is_news(&self, connected: bool) -> bool {
        self.connected.replace(connected) != connected
    }

    /// The time, in seconds since 1970.
    pub fn unix_seconds(&self) -> u64 {
        unix_micros(self.anchor, now()) / 1_000_000
    }

    /// A request to call a DN, with the devices that other connectors than this one have.
    pub fn with_elsewhere(&self, connector: ConnectorId, mut request: LinkRequest) -> LinkRequest {
        if let LinkRequest::MakeParty(make) = &mut request
            && let PartyTarget::Dn(dn) = &make.target
            && self.directory.has_remote_connectors()
        {
            make.elsewhere = self.reach.borrow().elsewhere(dn, connector, self.unix_seconds());
        }
        request
    }

    /// Every connector that can be reached is told where the others are.
    pub fn introduce(&self) {
        if !self.directory.has_remote_connectors() {
            return;
        }
        let (reach, rooms) = (self.reach.borrow(), self.rooms.occupied());
        for (connector, _, _) in reach.nodes().filter(|(_, up, _)| *up) {
            let peers = reach.peers_of(connector);
            let rooms = rooms.clone();
            self.tell_connector(connector, ConnectorRequest::Peers { peers, rooms });
        }
    }

    /// Every connector of another process that can be reached is told this.
    pub fn tell_connectors(&self, request: impl Fn() -> ConnectorRequest) {
        for (connector, _, _) in self.reach.borrow().nodes().filter(|(_, up, _)| *up) {
            self.tell_connector(connector, request());
        }
    }

    /// A device has come to a connector. Whichever other one has sessions with it leads them there.
    pub fn tell_of_move(&self, to: ConnectorId, dn: &DnId, contact: &DnContact) {
        for (connector, _, _) in self.reach.borrow().nodes().filter(|(id, up, _)| *up && *id != to) {
            let (dn, contact) = (dn.clone(), contact.clone());
            self.tell_connector(connector, ConnectorRequest::DeviceMoved { dn, contact });
        }
    }

    /// A connector is told what concerns it as a whole.
    pub fn tell_connector(&self, connector: ConnectorId, request: ConnectorRequest) {
        if let Some(link) = self.directory.link(connector) {
            // Unbounded post: one for each connector that comes or goes, each conference that begins or ends, and each change of who is there.
            link.do_send(LinkMessage(LinkRequest::Connector(request)));
        }
    }

    /// Brings back one group of calls. Its audits are left to the links, each of which asks for all its conferences in one go.
    fn bring_back(self: &Rc<Self>, group: ConnId, record: Record) -> Vec<ConnId> {
        let Some(kept) = journal::decode::<call::CallRecord>(record.kind, &record.value) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        let machine = self.restored(kept.machine, &mut out);
        let conn_ids: Vec<_> = machine.conn_ids().collect();
        out.retain(|output| !matches!(output, CallOutput::Link(LinkRequest::Audit { .. })));
        let actor = CallActor::recovered(machine, out, record.value, self.clone(), group);
        let switch = self.clone();
        let addr = launch_transient(call::SPEC, actor, move |reason| switch.group_down(group, &reason));
        let has = Group {
            addr,
            conn_ids: Vec::new(),
            conferences: Vec::new(),
        };
        self.groups.borrow_mut().insert(group, has);
        for (conference, connector) in kept.conferences {
            self.take_conference(group, conference, connector);
        }
        for conn_id in &conn_ids {
            self.opened(group, *conn_id);
        }
        conn_ids
    }

    /// A group of calls from what was kept of it.
    pub fn restored(&self, snapshot: CallSnapshot, out: &mut Vec<CallOutput>) -> Call {
        let settings = self.directory.live.settings();
        Call::restore(snapshot, settings.numbering.clone(), settings.call, self.anchor, now(), out)
    }

    /// The conferences of a group, and which connectors have them.
    pub fn group_conferences(&self, group: ConnId) -> Vec<(ConferenceId, ConnectorId)> {
        let groups = self.groups.borrow();
        let owners = self.by_conference.borrow();
        let conferences = groups.get(&group).into_iter().flat_map(|group| &group.conferences);
        conferences
            .filter_map(|conference| Some((*conference, owners.get(conference)?.connector)))
            .collect()
    }

    /// The connector has let go of a conference.
    pub fn conference_ended(&self, conference: ConferenceId) {
        let Some(owner) = self.by_conference.borrow_mut().remove(&conference) else {
            return;
        };
        if let Some(group) = self.groups.borrow_mut().get_mut(&owner.group) {
            group.conferences.retain(|other| *other != conference);
        }
    }

    /// A ConnID is a group's from now on.
    pub fn opened(&self, group: ConnId, conn_id: ConnId) {
        if let Some(group) = self.groups.borrow_mut().get_mut(&group) {
            group.conn_ids.push(conn_id);
            self.directory.insert_call(conn_id, group.addr.clone());
            Metrics::of_process().calls_active.increment(1.0);
        }
    }

    /// A ConnID is gone.
    pub fn closed(&self, group: ConnId, conn_id: ConnId) {
        let mut groups = self.groups.borrow_mut();
        let conn_ids = groups.get_mut(&group).map(|group| &mut group.conn_ids);
        let Some(conn_ids) = conn_ids.filter(|conn_ids| conn_ids.contains(&conn_id)) else {
            return;
        };
        conn_ids.retain(|other| *other != conn_id);
        drop(groups);
        self.forget_call(conn_id);
    }

    /// All that `from` has is `to`'s from now on.
    pub fn absorbed(&self, from: ConnId, to: ConnId) {
        let mut groups = self.groups.borrow_mut();
        let moved = groups
            .get_mut(&from)
            .map(|group| (std::mem::take(&mut group.conn_ids), std::mem::take(&mut group.conferences)));
        let (Some((conn_ids, conferences)), Some(group)) = (moved, groups.get_mut(&to)) else {
            return;
        };
        for conn_id in &conn_ids {
            self.directory.insert_call(*conn_id, group.addr.clone());
        }
        let mut owners = self.by_conference.borrow_mut();
        for conference in &conferences {
            if let Some(owner) = owners.get_mut(conference) {
                owner.group = to;
            }
        }
        group.conn_ids.extend(conn_ids);
        group.conferences.extend(conferences);
    }

    fn forget_call(&self, conn_id: ConnId) {
        self.directory.remove_call(conn_id);
        Metrics::of_process().calls_active.decrement(1.0);
        // Unbounded post: one for each call. After a call that ended by itself there is nothing to abort, unless the event log
        // crashed on its last event.
        if let Some(log) = self.directory.event_log() {
            log.do_send(EventLogMessage::AbortCall(conn_id));
        }
    }

    fn group_down(&self, group: ConnId, reason: &DownReason) {
        let Some(gone) = self.groups.borrow_mut().remove(&group) else {
            return;
        };
        for conn_id in gone.conn_ids {
            self.forget_call(conn_id);
        }
        let crashed = !matches!(reason, DownReason::Normal);
        if crashed {
            tracing::error!(conn_id = %group, "call crashed; its parties are released");
            // One that had no chance to do so itself.
            call::forgotten(group).put(&mut **self.journal.borrow_mut());
        }
        for conference in gone.conferences {
            let owner = self.by_conference.borrow_mut().remove(&conference);
            let Some(link) = owner
                .filter(|_| crashed)
                .and_then(|owner| self.directory.link(owner.connector))
            else {
                continue;
            };
            let cause = Cause::status(ReleasedBy::Server, 500);
            // Unbounded post: one for each conference.
            link.do_send(LinkMessage(LinkRequest::ReleaseConference { conference, cause }));
        }
    }
}
