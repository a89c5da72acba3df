//! The supervision tree, grown: which actors there are, on which threads.
//!
//! ```text
//! process
//! ├── arbiter "tserver"      EventLog  Lobby  Dn×n  ConnectorLink×k   (permanent)     Call×n  Room×n  Client×n  (temporary)
//! ├── arbiter "connector-i"  Connector  Registrar                     (permanent)     Conference×n              (temporary)
//! ├── threads "sip-udp-*"    read datagrams, hand them to connectors by try_send (Ingress)
//! ├── threads "media-*"      carry audio (the media plane); Conferences order (Media), events come back by try_send (PortEvents)
//! ├── main thread            SIP over TCP: a task per connection, which hands messages on in the same way; signals
//! └── HTTP workers           HTTP and the clients' WebSockets, which reach actors through the Gateway
//! ```
//!
//! Growing it is the only place that knows threads: in a simulation the same tree grows on one thread in virtual time.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::Addr;
use actix_rt::{Arbiter, ArbiterHandle};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tandem_media::endpoint::Capabilities;
use tandem_model::connector::{ConnectorNotification, CopiedRecord};
use tandem_model::event_log::Limits;
use tandem_model::link::LinkNotification;
use tandem_model::{Anchor, ConferenceId, ConnectorId, DnId, LegId};
use tandem_sip::digest::Algorithm;
use tandem_sip::digest::server::Challenger;
use tandem_sip::digest::throttle::ThrottleConfig;
use tandem_sip::identity::PassThrough;
use tandem_sip::registrar::{Registrar, RegistrarConfig};
use tandem_sip::ua::{UaConfig, UserAgent};

use crate::connector::{
    Authenticator, ConnectorActor, ConnectorMessage, ConnectorParts, DrainMessage, FoundLegs, Join, Recover, RegistrarActor,
    RegistrarMessage, RegistrarParts, Shard, recover_bindings,
};
use crate::directory::Directory;
use crate::gateway::Gateway;
use crate::ingress::Ingress;
use crate::journal::{Journal, JournalStore, Mirror, Record, RecordKind, Scope, SharedJournal};
use crate::live::Settings;
use crate::media::{Media, MediaStart, PortEvents};
use crate::neighbours::Secrets;
use crate::network::{Network, Resolve};
use crate::tserver::{
    CallNumbers, ClientSettings, ConnectorLinkActor, Copies, DnActor, DnParts, EventLogActor, EventLogMessage, EventLogParts,
    EventLogStart, LobbyActor, LobbyParts, Resume, Switch, SwitchParts,
};

mod sides;

pub use sides::{ConnectorSide, RemoteConnector};

/// What a tree is grown from.
#[derive(Clone)]
pub struct Plan {
    /// What may change while it runs, as it is in the beginning.
    pub settings: Settings,
    /// How many connectors.
    pub connectors: u16,
    /// The SIP layer of connector 0; the others differ in their shard.
    pub ua: UaConfig,
    /// Bindings.
    pub registrar: RegistrarConfig,
    /// The digest realm.
    pub realm: Arc<str>,
    /// The digest algorithms, best first.
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce is good for.
    pub nonce_lifetime: Duration,
    /// How guessing is held up.
    pub throttle: ThrottleConfig,
    /// Whether devices are challenged.
    pub require_auth: bool,
    /// The headers that are copied from an incoming leg to the outgoing one.
    pub pass_through: Arc<PassThrough>,
    /// What a media port can do.
    pub capabilities: Capabilities,
    /// The messages a connector's mailbox holds.
    pub connector_mailbox: usize,
    /// How CTI clients behave.
    pub client: Arc<ClientSettings>,
    /// The most CTI clients.
    pub max_clients: usize,
    /// How much of the events is kept, and for how long.
    pub event_log: Limits,
    /// Whether user data is masked in logs.
    pub hide_sensitive_data: bool,
    /// The server's epoch, new with each start.
    pub epoch: Arc<str>,
    /// When the server started, in milliseconds since 1970.
    pub unix_millis: u64,
    /// Makes every random number of the tree; from the operating system, or a simulation's seed.
    pub seed: [u8; 32],
    /// The time of events, in microseconds since 1970.
    pub unix_micros: fn() -> u64,
    /// What outlives the process.
    pub journal: Arc<dyn JournalStore>,
    /// One moment by both clocks: how the times of records are told.
    pub anchor: Anchor,
}

/// On which threads the actors run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// An arbiter for the T-Server side, one for each connector.
    Threads,
    /// All on the current thread, as tasks of the current local set.
    Here,
}

/// A grown tree.
pub struct Tree {
    /// Who is where.
    pub directory: Arc<Directory>,
    /// For HTTP and WebSocket.
    pub gateway: Gateway,
    /// For the transports.
    pub ingress: Ingress,
    arbiters: Vec<Arbiter>,
}

impl Tree {
    /// Grows the tree. Returns when every permanent actor is there.
    pub async fn grow(plan: Plan, network: Arc<dyn Network>, resolve: Resolve, media: MediaStart, placement: Placement) -> Self {
        let directory = Directory::new(plan.settings.clone());
        let media = media(PortEvents::new(directory.clone()));
        let draining = Arc::new(AtomicBool::new(false));
        let mut arbiters = Vec::new();
        let mut place = || {
            (placement == Placement::Threads).then(|| {
                let arbiter = Arbiter::new();
                let handle = arbiter.handle();
                arbiters.push(arbiter);
                handle
            })
        };
        let (tserver_plan, tserver_directory, flag) = (plan.clone(), directory.clone(), draining.clone());
        on(place(), move || {
            grow_tserver(&tserver_plan, &tserver_directory, flag, Vec::new())
        })
        .await;
        let (mut connectors, mut found) = (Vec::new(), FoundLegs::new());
        for index in 0..plan.connectors.max(1) {
            let (plan, directory, id) = (plan.clone(), directory.clone(), ConnectorId(index));
            let (network, resolve, media) = (network.clone(), resolve.clone(), media.clone());
            let grown = on(place(), move || grow_connector(id, &plan, directory, network, resolve, media)).await;
            let Some((connector, legs)) = grown else { continue };
            connectors.push(connector);
            for (conference, leg) in legs {
                found.entry(conference).or_default().push((leg, id));
            }
        }
        directory.install_connectors(connectors);
        for connector in directory.connectors() {
            // Unbounded post: one for each connector. Bindings may be kept where their DN is not any more.
            connector.do_send(ConnectorMessage::Drain(DrainMessage::Remap));
        }
        recover(&directory, found).await;
        let gateway = Gateway::new(directory.clone(), draining);
        let ingress = Ingress::new(directory.clone(), plan.connectors, plan.connector_mailbox);
        Self {
            directory,
            gateway,
            ingress,
            arbiters,
        }
    }

    /// From now on no call starts and no client comes in; live calls go on.
    pub fn drain(&self) {
        self.gateway.set_draining(true);
    }

    /// Ends every live call with a BYE to each leg.
    pub fn end_calls(&self) {
        self.gateway.end_calls();
    }

    /// Closes the socket of every CTI client, after what waits for it.
    pub async fn close_clients(&self) {
        if let Some(log) = self.directory.event_log() {
            let message = EventLogMessage::CloseAll {
                code: tandem_wire::close::GOING_AWAY,
                reason: "the server stops",
            };
            // A log that does not answer cannot hold the shutdown up: the sockets close with the server.
            let _ = tokio::time::timeout(Duration::from_secs(1), log.send(message)).await;
        }
    }

    /// Stops the threads. Live calls are lost; drain first.
    pub fn stop(self) {
        for arbiter in self.arbiters {
            arbiter.stop();
            // A thread that will not join has crashed below the actors; there is nothing left to do for it.
            let _ = arbiter.join();
        }
    }
}

/// Brings back what the process before has kept: conferences first, then the calls that they are of.
async fn recover(directory: &Directory, found: FoundLegs) {
    let (found, mut back) = (Arc::new(found), HashSet::new());
    for connector in directory.connectors() {
        // One that does not answer has crashed, and its conferences end with their calls.
        back.extend(connector.send(Recover(found.clone())).await.unwrap_or_default());
    }
    let back = Arc::new(back);
    for connector in directory.connectors() {
        let _ = connector.send(Join(back.clone())).await;
    }
    if let Some(link) = directory.link(ConnectorId(0)) {
        let _ = link.send(Resume).await;
    }
}

/// Runs `build` on an arbiter, or here where there is none, and waits for what it returns; `None` where the arbiter is gone.
async fn on<T: Send + 'static>(arbiter: Option<ArbiterHandle>, build: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let Some(arbiter) = arbiter else { return Some(build()) };
    let (tell, told) = tokio::sync::oneshot::channel();
    arbiter.spawn_fn(move || {
        let _ = tell.send(build());
    });
    told.await.ok()
}

fn grow_tserver(plan: &Plan, directory: &Arc<Directory>, draining: Arc<AtomicBool>, remote_pools: Vec<Arc<str>>) {
    let is_split = !remote_pools.is_empty();
    let numbers = CallNumbers::new(plan.unix_millis, plan.rng("calls", 0));
    let (journal, mut records) = plan.journal.open(Scope::TServer);
    let journal: SharedJournal = Rc::new(RefCell::new(journal));
    directory.quarantine.open(Scope::TServer, &records, plan.anchor);
    records.retain(|record| record.kind != RecordKind::Quarantined);
    let copied: Vec<_> = records.extract_if(.., |record| record.kind == RecordKind::Copy).collect();
    let copies = if is_split {
        Copies::recovered(copied, plan.connectors, &journal)
    } else {
        Copies::none(&copied, plan.connectors, &journal)
    };
    let calls = records
        .extract_if(.., |record| {
            matches!(record.kind, RecordKind::Call | RecordKind::Room | RecordKind::Dn)
        })
        .collect();
    let switch = Switch::new(SwitchParts {
        directory: directory.clone(),
        connectors: plan.connectors,
        remote_pools,
        numbers,
        draining,
        journal: journal.clone(),
        anchor: plan.anchor,
        records: calls,
    });
    directory.add_rosters();
    let log = EventLogParts::new(EventLogStart {
        epoch: plan.epoch.clone(),
        limits: plan.event_log,
        journal,
        records,
        rng: plan.rng("sessions", 0),
        directory: directory.clone(),
        server_version: plan.client.server_version.clone(),
        unix_micros: plan.unix_micros,
        hide_sensitive_data: plan.hide_sensitive_data,
    });
    let first_client = log.first_client();
    let log = EventLogActor::supervise(log);
    let lobby = LobbyActor::supervise(LobbyParts {
        switch: switch.clone(),
        settings: plan.client.clone(),
        max_clients: plan.max_clients,
        connected: Rc::new(Cell::new(0)),
        next: Rc::new(Cell::new(first_client)),
    });
    let numbering = directory.live.numbering();
    let dns: HashMap<DnId, Addr<DnActor>> = numbering
        .dns()
        .map(|config| {
            (
                config.dn.clone(),
                DnActor::supervise(DnParts::new(config.clone(), switch.clone(), !is_split)),
            )
        })
        .collect();
    let links = (0..)
        .zip(copies)
        .map(|(index, copies)| ConnectorLinkActor::supervise(ConnectorId(index), switch.clone(), copies))
        .collect();
    directory.install_tserver(log, lobby, dns, links);
}

fn grow_connector(
    id: ConnectorId,
    plan: &Plan,
    directory: Arc<Directory>,
    network: Arc<dyn Network>,
    resolve: Resolve,
    media: Arc<dyn Media>,
) -> (Addr<ConnectorActor>, Vec<(ConferenceId, LegId)>) {
    let (journal, mut records) = plan.journal.open(Scope::Connector(id.0));
    let (journal, mirror) = match directory.is_apart() {
        true => mirrored(id, journal, &records, &directory),
        false => (journal, None),
    };
    let journal: SharedJournal = Rc::new(RefCell::new(journal));
    if directory.is_apart() {
        let secrets = Secrets::recover(&journal, &records, plan.rng("edge", id.0));
        directory.neighbours.open(id, &plan.ua.listeners, secrets);
    }
    directory.quarantine.open(Scope::Connector(id.0), &records, plan.anchor);
    let registrar = grow_registrar(id, plan, &directory, &journal, &records);
    let mut secret = [0; 32];
    // One for all: a device whose DN moves between the challenge and its answer is known by it at the other connector too.
    plan.rng("nonces", 0).fill_bytes(&mut secret);
    let challenger = Challenger::new(plan.realm.clone(), secret, plan.algorithms.clone(), plan.nonce_lifetime);
    let authenticator = Authenticator::new(directory.clone(), challenger, plan.throttle, plan.require_auth);
    let (ua_config, mut rng) = (
        UaConfig {
            shard: id.0,
            ..plan.ua.clone()
        },
        plan.rng("sip", id.0),
    );
    let ua = UserAgent::new(ua_config, StdRng::from_rng(&mut rng));
    let rng = Mutex::new(rng);
    let fresh_ua = move |old: &UserAgent| {
        let mut rng = rng.lock().unwrap_or_else(PoisonError::into_inner);
        old.successor(StdRng::from_rng(&mut *rng))
    };
    let settings = directory.live.settings();
    let mut shard = Shard::new(id, ua, settings.pool.clone(), plan.unix_millis);
    let legs = shard.recover(&records, plan.anchor, &settings.devices);
    for id in shard.end_early(&records) {
        journal.borrow_mut().remove(RecordKind::Early, &id);
    }
    records.retain(|record| record.kind == RecordKind::Conference);
    let parts = ConnectorParts {
        shard: Rc::new(RefCell::new(shard)),
        authenticator: Rc::new(RefCell::new(authenticator)),
        fresh_ua: Arc::new(fresh_ua),
        directory,
        network,
        resolve,
        registrar,
        pass_through: plan.pass_through.clone(),
        media,
        capabilities: plan.capabilities.clone(),
        journal,
        mirror,
        anchor: plan.anchor,
        recovered: Rc::new(RefCell::new(records)),
    };
    (ConnectorActor::supervise(parts, plan.connector_mailbox), legs)
}

/// A journal of which the T-Server, in another process, keeps a copy.
fn mirrored(
    id: ConnectorId,
    journal: Box<dyn Journal>,
    records: &[Record],
    directory: &Arc<Directory>,
) -> (Box<dyn Journal>, Option<Mirror>) {
    let directory = directory.clone();
    let tell = move |records: Vec<CopiedRecord>, end: bool| {
        let upwards = directory.upwards(id).filter(|_| directory.links_up() > 0);
        let Some(upwards) = upwards else { return false };
        let notification = ConnectorNotification::Records { records, end };
        upwards.post(vec![LinkNotification::Connector(notification)]);
        true
    };
    let (journal, mirror) = Mirror::over(journal, records, Box::new(tell));
    (journal, Some(mirror))
}

fn grow_registrar(
    id: ConnectorId,
    plan: &Plan,
    directory: &Arc<Directory>,
    journal: &SharedJournal,
    records: &[Record],
) -> Addr<RegistrarActor> {
    let mut machine = Registrar::new(plan.registrar);
    for record in records.iter().filter(|record| record.kind == RecordKind::Bindings) {
        recover_bindings(&mut machine, record, plan.anchor);
    }
    let registrar = RegistrarActor::supervise(RegistrarParts {
        connector: id,
        machine: Rc::new(RefCell::new(machine)),
        fresh: |old| Registrar::new(*old.config()),
        directory: directory.clone(),
        journal: journal.clone(),
        anchor: plan.anchor,
    });
    #[cfg(feature = "fault-injection")]
    directory.faults.add_registrar(id, registrar.clone());
    registrar.do_send(RegistrarMessage::Recovered);
    registrar
}

impl Plan {
    /// A generator of random numbers for one purpose.
    fn rng(&self, purpose: &str, index: u16) -> StdRng {
        let mut seed = self.seed;
        for (byte, salt) in seed.iter_mut().zip(purpose.bytes().cycle()) {
            *byte = byte.wrapping_add(salt);
        }
        seed[0] ^= index as u8;
        seed[1] ^= (index >> 8) as u8;
        StdRng::from_seed(seed)
    }
}
