//! The connectors of other processes, as this one knows them, and the edge between them and the devices of this one
//! ([`tandem_sip::edge`]).
//!
//! There is one where the T-Server is in another process; in a server of one process nothing is ever looked up here. The T-Server says who
//! the others are, which is kept: a connector that starts again while the T-Server is away knows them still. Before anybody has said it,
//! nothing is taken from anybody and nothing goes to anybody: what would have is left alone, to be sent again.
//!
//! | a message | its way |
//! |---|---|
//! | a response to what was passed on | back where the request came from |
//! | a request with a token of ours on top of its route | to the device, or from the device to the connector that has its dialog |
//! | one with a tag that another connector made | to that connector |
//! | an INVITE that replaces a dialog of another connector | there |
//! | an INVITE to a conference that somebody is in at another connector | there; where nobody is in it, to the one of all that may own DNs that rendezvous hashing says |
//! | any other INVITE of a device that is in a call of another connector | there, so that the device can join its calls |
//! | any other INVITE while this connector is being drained | to one that may own DNs, by rendezvous hashing |
//! | a copy or the CANCEL of an INVITE that was passed on | the same way, see [`Memory`] |
//! | anything else, and whatever another connector wrote | it is served here |
//!
//! Invariant: what comes from a connector never goes to another one. A connector that the T-Server cannot reach any more begins nothing, but
//! what it has begun goes on: its address is known until its place is taken.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{OnceLock, PoisonError};

use crossbeam::sync::{ShardedLock, ShardedLockReadGuard};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use tandem_model::connector::{Peer, SipAddress};
use tandem_model::{ConnectorId, DnId};
use tandem_sip::edge::{Edge, Forward, Presence, Refusal};
use tandem_sip::flow::{Flow, Hop, Transport};
use tandem_sip::message::{Message, Method, Uri};
use tandem_sip::registrar::Device;
use tandem_sip::ua::{Listener, tag_owner};

use crate::devices::Devices;
use crate::ingress::{Place, place_among};
use crate::journal::{Journal, Record, RecordKind, SharedJournal, decode, encode};
use crate::sharding;

mod memory;
#[cfg(test)]
mod tests;

pub use memory::Memory;

/// What is known of the others.
#[derive(Default)]
pub struct Neighbours(OnceLock<ShardedLock<Known>>);

struct Known {
    me: ConnectorId,
    edge: Edge,
    secrets: Secrets,
    /// The T-Server has told who the others are, or had told the process before.
    introduced: bool,
    /// Bounded by the links that are configured.
    others: BTreeMap<ConnectorId, Neighbour>,
    /// Where conferences are that somebody is in. Bounded by the conference DNs.
    rooms: HashMap<DnId, ConnectorId>,
}

#[derive(Debug)]
struct Neighbour {
    hops: Vec<Hop>,
    /// The T-Server reaches it.
    up: bool,
    /// It may own DNs.
    available: bool,
}

impl Neighbour {
    fn of(peer: &Peer, up: bool) -> Self {
        Self {
            hops: peer.listens.iter().filter_map(hop).collect(),
            up,
            available: up && peer.available,
        }
    }
}

/// What this connector has to do with it.
pub struct Here<'a> {
    /// Devices, trunks and conferences.
    pub devices: &'a Devices,
    /// It may own DNs.
    pub available: bool,
    /// What it remembers of what it has passed on.
    pub memory: &'a mut Memory,
    /// Which devices are registered here, and which connections are closed.
    pub presence: &'a dyn Presence,
    /// Whether a request is a copy, or the CANCEL, of one that it serves.
    pub is_serving: &'a mut dyn FnMut(&Message) -> bool,
}

/// What flow tokens are made with. Those of the process before are good still, but for its connections, so that sessions go on whose
/// routes lead through here.
pub struct Secrets {
    kept: EdgeRecord,
    /// Of this process.
    epoch: u32,
}

#[derive(Serialize, Deserialize)]
struct EdgeRecord {
    secret: [u8; 32],
    /// The others that could be reached when the T-Server told of them last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peers: Option<Vec<Peer>>,
    /// Those that could be before, as they were then. What they have begun goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gone: Vec<Peer>,
}

impl Secrets {
    /// From what the process before has kept, else from chance, and then it is kept.
    pub fn recover(journal: &SharedJournal, records: &[Record], mut rng: impl RngCore) -> Self {
        let kept = EdgeRecord::among(records).unwrap_or_else(|| {
            let mut secret = [0; 32];
            rng.fill_bytes(&mut secret);
            let new = EdgeRecord {
                secret,
                peers: None,
                gone: Vec::new(),
            };
            let mut journal = journal.borrow_mut();
            new.put(&mut **journal);
            journal.commit();
            new
        });
        Self {
            kept,
            epoch: rng.next_u32(),
        }
    }
}

impl EdgeRecord {
    fn among(records: &[Record]) -> Option<Self> {
        let kept = records.iter().find(|record| record.kind == RecordKind::Edge)?;
        decode(kept.kind, &kept.value)
    }

    /// Takes down who the others are now. Whether that is news.
    fn meet(&mut self, peers: Vec<Peer>) -> bool {
        if self.peers.as_ref() == Some(&peers) {
            return false;
        }
        let known = self.peers.take().into_iter().flatten().chain(std::mem::take(&mut self.gone));
        let is_there = |one: &Peer| peers.iter().any(|peer| peer.connector == one.connector);
        self.gone = known.filter(|one| !is_there(one)).collect();
        self.peers = Some(peers);
        true
    }

    fn put(&self, journal: &mut dyn Journal) {
        if let Some(value) = encode(self) {
            journal.put(RecordKind::Edge, b"", &value);
        }
    }
}

/// What becomes of a message.
#[derive(PartialEq, Eq, Debug)]
pub enum Way {
    /// It is served here.
    Here,
    /// It goes on.
    On(Forward),
    /// It is refused.
    Refused(Refusal),
    /// Nobody can know yet, or needs to; it, or what it is about, will be sent again.
    Later,
}

impl Neighbours {
    /// The T-Server of this process's connector is elsewhere: from now on there may be others.
    pub fn open(&self, me: ConnectorId, listeners: &[Listener], secrets: Secrets) {
        let EdgeRecord { peers, gone, .. } = &secrets.kept;
        let (before, gone) = (peers.clone(), gone.clone());
        let mut known = Known {
            me,
            edge: Edge::new(secrets.kept.secret, secrets.epoch, listeners.to_vec()),
            secrets,
            introduced: false,
            others: BTreeMap::new(),
            rooms: HashMap::new(),
        };
        if let Some(peers) = before {
            known.meet(&peers);
            known.remember(&gone);
        }
        assert!(self.0.set(ShardedLock::new(known)).is_ok(), "a process has one edge");
    }

    /// The journal had lost what was kept.
    pub fn keep_again(&self, journal: &mut dyn Journal) {
        if let Some(known) = self.read() {
            known.secrets.kept.put(journal);
        }
    }

    /// The journal was lost, and this is what it had held: the tokens of before are good again, and those made since are not.
    pub fn restore(&self, records: &[Record]) {
        let (Some(known), Some(kept)) = (self.0.get(), EdgeRecord::among(records)) else {
            return;
        };
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        let listeners = known.edge.listeners().to_vec();
        known.edge = Edge::new(kept.secret, known.secrets.epoch, listeners);
        known.secrets.kept.secret = kept.secret;
        let before: Vec<_> = kept.peers.into_iter().flatten().chain(kept.gone).collect();
        known.remember(&before);
    }

    /// Whether there may be any.
    pub fn may_be(&self) -> bool {
        self.0.get().is_some()
    }

    /// These are all, and what is where.
    pub fn introduce(&self, peers: Vec<Peer>, rooms: Vec<(DnId, ConnectorId)>, journal: &mut dyn Journal) {
        let Some(known) = self.0.get() else { return };
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        known.meet(&peers);
        known.rooms = rooms.into_iter().collect();
        let up = known.others.values().filter(|other| other.up).count();
        tracing::info!(others = up, occupied_rooms = known.rooms.len(), "the other connectors");
        if known.secrets.kept.meet(peers) {
            known.secrets.kept.put(journal);
        }
    }

    /// Whether that is the address of a connector.
    pub fn takes_from(&self, source: IpAddr) -> bool {
        self.read().is_some_and(|known| known.edge.takes_from(source))
    }

    /// Whether that is where a connector takes SIP.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        self.read().is_some_and(|known| {
            let hops = known.others.values().flat_map(|other| &other.hops);
            hops.into_iter().any(|hop| hop.addr == address)
        })
    }

    /// The address that a request began at; see [`Edge::source`].
    pub fn source(&self, request: &Message, from: Flow) -> IpAddr {
        self.read()
            .map_or_else(|| from.peer.ip(), |known| known.edge.source(request, from))
    }

    /// Whether another connector has passed a request on for a device of its own.
    pub fn have_passed_on(&self, request: &Message, from: Flow) -> bool {
        self.read().is_some_and(|known| known.edge.is_passed_on(request, from))
    }

    /// The Route value by which the others reach that device, behind a flow.
    pub fn route(&self, flow: &Flow, device: &Device) -> Option<String> {
        self.read()?.edge.route(flow, device)
    }

    /// What this process listens on, as the others reach it.
    pub fn listens(&self) -> Vec<SipAddress> {
        let known = self.read();
        let listeners = known.iter().flat_map(|known| known.edge.listeners());
        let address = listeners.map(|listener| SipAddress {
            transport: listener.transport.uri_token().into(),
            address: listener.advertised.to_string().into(),
        });
        address.collect()
    }

    /// What becomes of a message.
    pub fn way(&self, here: &mut Here<'_>, message: &Message, from: Flow) -> Way {
        let Some(known) = self.read() else { return Way::Here };
        if !message.is_request() {
            return known.back(here, message, from);
        }
        if message.is(&Method::Bye) {
            here.memory.is_over(message.call_id().unwrap_or_default());
        }
        match known.edge.routed(message, from, here.presence) {
            Some(Ok(forward)) => Way::On(forward),
            // A token may have been made with a secret that is about to come back.
            Some(Err(Refusal::Foreign | Refusal::Forged)) if !known.introduced => Way::Later,
            Some(Err(refusal)) => Way::Refused(refusal),
            None => known.outward(here, message, from),
        }
    }

    fn read(&self) -> Option<ShardedLockReadGuard<'_, Known>> {
        Some(self.0.get()?.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    /// These are those that can be reached now.
    fn meet(&mut self, peers: &[Peer]) {
        self.introduced = true;
        for other in self.others.values_mut() {
            (other.up, other.available) = (false, false);
        }
        for peer in peers {
            self.others.insert(peer.connector, Neighbour::of(peer, true));
        }
        self.meet_again();
    }

    /// These could be reached once.
    fn remember(&mut self, gone: &[Peer]) {
        for peer in gone {
            self.others
                .entry(peer.connector)
                .or_insert_with(|| Neighbour::of(peer, false));
        }
        self.meet_again();
    }

    /// The edge takes from all that were told of.
    fn meet_again(&mut self) {
        let hops = self.others.values().flat_map(|other| &other.hops);
        self.edge.set_peers(hops.map(|hop| hop.addr));
    }

    fn back(&self, here: &mut Here<'_>, response: &Message, from: Flow) -> Way {
        let Some(forward) = self.edge.response(response) else {
            return Way::Here;
        };
        let invite = response.cseq().is_ok_and(|(_, method)| method == Method::Invite);
        let status = response.status().filter(|_| invite).unwrap_or_default();
        // How a re-INVITE ends, a device says once over a connection (RFC 3261 s.17.2.1). Should the datagram be lost that it goes on in, only a
        // copy of the request brings it again; and whoever has a 100 sends none.
        let within = response.to().is_ok_and(|to| to.tag().is_some());
        if status == 100 && within && from.transport.is_reliable() && !forward.flow.transport.is_reliable() {
            return Way::Later;
        }
        if status >= 200
            && let Some(key) = key(response, 1)
        {
            here.memory.is_answered(&key);
        }
        if (200..300).contains(&status) {
            self.note_call(here, response, from, forward.flow);
        }
        Way::On(forward)
    }

    /// A device is in a call of another connector: that one's tag tells which of the two the device is.
    fn note_call(&self, here: &mut Here<'_>, response: &Message, from: Flow, to: Flow) {
        let shard = |tag: Option<&str>| tag.and_then(tag_owner).map(ConnectorId);
        let (Ok(callee), Ok(caller)) = (response.to(), response.from()) else {
            return;
        };
        let is_other = |id: &ConnectorId| self.others.contains_key(id);
        let (connector, device, party) = match (shard(callee.tag()).filter(is_other), shard(caller.tag()).filter(is_other)) {
            (Some(connector), _) => (connector, to, caller),
            (None, Some(connector)) => (connector, from, callee),
            (None, None) => return,
        };
        let Ok(uri) = Uri::parse(party.uri) else { return };
        let device = (device.peer, here.devices.dn_of(&uri));
        here.memory
            .is_in_call(response.call_id().unwrap_or_default(), device, connector);
    }

    fn outward(&self, here: &mut Here<'_>, request: &Message, from: Flow) -> Way {
        if !self.introduced {
            return self.not_yet(here, request, from);
        }
        if self.others.is_empty() || self.edge.is_of_connector(request, from) {
            return Way::Here;
        }
        let begins = request.to().is_ok_and(|to| to.tag().is_none());
        let invite = begins && request.is(&Method::Invite);
        let key = (invite || (begins && request.is(&Method::Cancel)))
            .then(|| key(request, 0))
            .flatten();
        let before = key.as_ref().and_then(|key| here.memory.went_to(key));
        let to = before.or_else(|| self.goes_to(here, request, begins, from));
        let Some((to, hop)) = to.and_then(|to| Some((to, self.hop_to(to, from)?))) else {
            return Way::Here;
        };
        // What was begun here goes on here, wherever it would begin now.
        if before.is_none() && begins && (here.is_serving)(request) {
            return Way::Here;
        }
        match self.edge.outward(request, from, hop, here.presence) {
            Ok(forward) => {
                if let Some(key) = key.filter(|_| invite) {
                    here.memory.goes_to(&key, to);
                }
                Way::On(forward)
            }
            Err(refusal) => Way::Refused(refusal),
        }
    }

    /// What names a dialog of another connector would end here with 481, and a call with it, had the phone not to send it again.
    fn not_yet(&self, here: &Here<'_>, request: &Message, from: Flow) -> Way {
        match place_among(here.devices, |_| true, request) {
            Place::At(other) if other != self.me && !from.transport.is_reliable() => Way::Later,
            _ => Way::Here,
        }
    }

    /// The other connector that a request of a device is for.
    fn goes_to(&self, here: &Here<'_>, request: &Message, begins: bool, from: Flow) -> Option<ConnectorId> {
        let is_known = |id: u16| id == self.me.0 || self.others.contains_key(&ConnectorId(id));
        let to = match place_among(here.devices, is_known, request) {
            Place::At(connector) => connector,
            Place::With { key, room: true } => self.room_at(&key, here.available),
            Place::With { key, room: false } if begins && request.is(&Method::Invite) => {
                let caller = request.from().ok().and_then(|caller| Uri::parse(caller.uri).ok());
                let in_call = caller.and_then(|uri| here.memory.in_call_at(&(from.peer, here.devices.dn_of(&uri))));
                let in_call = in_call.filter(|id| self.is_available(*id));
                in_call.unwrap_or_else(|| self.call_at(&key, here.available))
            }
            Place::With { room: false, .. } => self.me,
        };
        // What is begun is begun where the T-Server can be told of it.
        let may = self.others.get(&to).is_some_and(|other| other.up || !begins);
        may.then_some(to)
    }

    fn room_at(&self, dn: &str, available: bool) -> ConnectorId {
        if let Some(connector) = self.rooms.get(&DnId::new(dn)) {
            return *connector;
        }
        self.best_of(dn, available)
    }

    /// Where a call begins that nothing binds to a place: here, but for one that is being drained while others are not.
    fn call_at(&self, key: &str, available: bool) -> ConnectorId {
        if available { self.me } else { self.best_of(key, false) }
    }

    /// The one of all that may own DNs that rendezvous hashing says; this one where there is none.
    fn best_of(&self, key: &str, available: bool) -> ConnectorId {
        let others = self.others.keys().copied().filter(|id| self.is_available(*id));
        sharding::best_of(key, others.chain(available.then_some(self.me))).unwrap_or(self.me)
    }

    fn is_available(&self, connector: ConnectorId) -> bool {
        self.others.get(&connector).is_some_and(|other| other.up && other.available)
    }

    /// The address of a connector, over the transport that the request came by where it has one there.
    fn hop_to(&self, to: ConnectorId, from: Flow) -> Option<Hop> {
        let hops = &self.others.get(&to)?.hops;
        let alike = hops.iter().find(|hop| hop.transport == from.transport);
        alike.or_else(|| hops.first()).copied()
    }
}

/// What an INVITE has in common with its copies, its CANCEL and the answers to them: the Via at that place.
fn key(message: &Message, place: usize) -> Option<String> {
    let via = message.vias().nth(place)?.ok()?;
    let call_id = message.call_id()?;
    Some(format!("{}:{}|{}|{call_id}", via.host, via.port.unwrap_or(5060), via.branch?))
}

fn hop(address: &SipAddress) -> Option<Hop> {
    let transport = match &*address.transport {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        _ => return None,
    };
    let addr = address.address.parse().ok()?;
    Some(Hop { transport, addr })
}
