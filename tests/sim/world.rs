//! A server with its phones and desktops on one thread, and the clock that drives them.
//!
//! Time stands still while anybody has something to do; then it jumps to the next datagram, timer or plan.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tandem::boot::plan::plan;
use tandem_actors::connector::ConnectorSummary;
use tandem_actors::now;
use tandem_actors::tree::{Placement, Plan, Tree};
use tandem_config::Config;
use tandem_sip::flow::{Flow, Hop, Transport};
use tandem_sip::message::Message;
use tandem_sip::ua::{Listener, UaOutput};

use super::desktop::Desktop;
use super::journal::Memory;
use super::media::Ports;
use super::phone::{Act, DOMAIN, Phone};
use super::process::Process;
use super::recorder;
use super::side::{Side, TSERVER};
use super::wire::{CONNECTIONS, Content, DATAGRAMS, Packet, Weather, Wire};

/// The key that opens the server.
pub const API_KEY: &str = "simulation";
/// How many phones are configured: 1001 and up.
pub const PHONES: usize = 10;

const CONFIG: &str = r#"
[sip]
domains = ["tandem.local"]
[[sip.listener]]
transport = "udp"
bind = "192.0.2.1:5060"
[[cti.api_key]]
name = "simulation"
key = "simulation"
scopes = ["cti"]
[[dn_range]]
dn = "sip:{n}@tandem.local"
first = 1001
last = 1010
password = "demo-{n}"
[[trunk]]
dn = "sip:carrier@tandem.local"
address = "sip:203.0.113.5:5060;transport=udp"
trusted_sources = ["203.0.113.5/32"]
[[dial_rule]]
pattern = "0Z."
strip = 1
trunk = "sip:carrier@tandem.local"
"#;

thread_local! {
    static START: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What a world is made from.
#[derive(Clone, Copy, Debug)]
pub struct Genesis {
    pub seed: u64,
    pub connectors: u16,
    /// Whether the connectors have processes of their own.
    pub split: bool,
    pub phones: usize,
    pub weather: Weather,
    pub require_auth: bool,
    pub audio: Audio,
    /// Whether some phones have connections.
    pub connections: bool,
}

/// Where the audio of two parties goes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Audio {
    /// From phone to phone until something needs the plane, then through the plane to the end.
    #[default]
    Direct,
    /// From phone to phone again as soon as that will do.
    Descending,
    /// Through the plane.
    Anchored,
}

/// The world.
pub struct World {
    /// The server, or its T-Server side.
    pub tree: Tree,
    /// The connectors, where they have processes of their own.
    pub sides: Vec<Side>,
    /// What a process leaves behind when it is killed.
    pub journal: Memory,
    genesis: Genesis,
    /// How often a process was killed.
    kills: u64,
    /// The server's, or the T-Server side's, while it runs.
    process: Option<Process>,
    pub wire: Arc<Wire>,
    /// The media ports of the server.
    pub ports: Arc<Ports>,
    /// The phones; the last one is the carrier's gateway.
    pub phones: Vec<Phone>,
    pub desktops: Vec<Desktop>,
    agenda: BTreeMap<(Instant, u64), (usize, Act)>,
    planned: u64,
}

/// Runs something on a thread of its own time. Nothing in it may wait for the outside.
pub fn in_virtual_time<T>(life: impl Future<Output = T>) -> T {
    recorder::install();
    recorder::reset();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
    };
    actix_rt::System::with_tokio_rt(runtime).block_on(life)
}

fn server() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 5060))
}

fn config(audio: Audio) -> &'static Config {
    static PARSED: [OnceLock<Config>; 3] = [const { OnceLock::new() }; 3];
    let (place, media) = match audio {
        Audio::Direct => (0, "mode = \"direct\""),
        Audio::Descending => (1, "mode = \"direct\"\ndescend = true"),
        Audio::Anchored => (2, "mode = \"anchored\""),
    };
    PARSED[place].get_or_init(|| {
        let text = format!("{CONFIG}[media]\n{media}\n");
        Config::from_toml(&text, Path::new("simulation.toml"), &[], [])
            .expect("the configuration is right")
            .config
    })
}

/// The longest that a session lasts without a refresh (`Session-Expires`), and some more.
const SESSION_EXPIRES: Duration = Duration::from_secs(1900);
/// How long a phone waits that found nobody to connect to.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);
/// How long a process takes to start.
pub const STARTING: Duration = Duration::from_millis(200);
/// When every simulation begins.
pub const UNIX_SECONDS: u64 = 1_800_000_000;

fn listeners(advertised: SocketAddr) -> Vec<Listener> {
    let both = [(DATAGRAMS, Transport::Udp), (CONNECTIONS, Transport::Tcp)];
    let listener = |(id, transport)| Listener {
        id,
        transport,
        advertised,
    };
    both.map(listener).into()
}

/// What a process is grown from that is the n-th in this world, killed ones among them.
pub fn plan_of(genesis: Genesis, nth: u64, listeners: Vec<Listener>, journal: &Memory) -> Plan {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&genesis.seed.to_le_bytes());
    seed[8..16].copy_from_slice(&nth.to_le_bytes());
    let start = START.get().unwrap_or_else(now);
    Plan {
        connectors: genesis.connectors,
        require_auth: genesis.require_auth,
        epoch: "simulation".into(),
        unix_millis: UNIX_SECONDS * 1_000 + now().saturating_duration_since(start).as_millis() as u64,
        seed,
        unix_micros: || {
            let since = START
                .get()
                .map_or(Duration::ZERO, |start| now().saturating_duration_since(start));
            UNIX_SECONDS * 1_000_000 + since.as_micros() as u64
        },
        journal: Arc::new(journal.clone()),
        anchor: (start, UNIX_EPOCH + Duration::from_secs(UNIX_SECONDS)),
        ..plan(config(genesis.audio), listeners, 1).expect("the plan is right")
    }
}

/// No name leads anywhere.
pub fn nowhere() -> tandem_actors::network::Resolve {
    Arc::new(|_| Box::pin(std::future::ready(Vec::new())))
}

/// Starts the server of one process.
async fn start(plan: Plan, wire: &Arc<Wire>, ports: &Arc<Ports>) -> (Tree, Process) {
    let (socket, plane) = (wire.socket(server()), ports.plane(TSERVER));
    let grown = Tree::grow(plan, socket, nowhere(), Box::new(move |_| plane), Placement::Here);
    Process::start(TSERVER, grown).await
}

/// Starts the server, or the T-Server side where its connectors have processes of their own.
async fn start_either(
    genesis: Genesis,
    nth: u64,
    journal: &Memory,
    wire: &Arc<Wire>,
    ports: &Arc<Ports>,
    sides: &[Side],
) -> (Tree, Process) {
    if genesis.split {
        return Side::start_tserver(plan_of(genesis, nth, Vec::new(), journal), sides, nth).await;
    }
    start(plan_of(genesis, nth, listeners(server()), journal), wire, ports).await
}

impl World {
    /// A server and its phones, none of them registered.
    pub async fn begin(genesis: Genesis) -> Self {
        START.set(Some(now()));
        let wire = Arc::new(Wire::new(genesis.weather, genesis.seed));
        let ports = Arc::new(Ports::new(wire.clone()));
        let journal = Memory::default();
        let count = if genesis.split { genesis.connectors } else { 0 };
        let mut sides: Vec<_> = (0..count).map(Side::new).collect();
        let (tree, process) = start_either(genesis, 0, &journal, &wire, &ports, &sides).await;
        for side in &mut sides {
            let plan = plan_of(genesis, 0, listeners(side.address), &journal);
            side.start(plan, wire.socket(side.address), &ports).await;
        }
        let address = |index: usize| SocketAddr::from(([10, 0, 0, index as u8 + 1], 5060));
        let edge = |index: usize| match sides.len() {
            0 => server(),
            count => sides[index % count].address,
        };
        let mut phones: Vec<_> = (0..genesis.phones)
            .map(|index| {
                let number = (1001 + index).to_string();
                // Every second one, so that both kinds meet.
                let has_connection = genesis.connections && (index as u64 + genesis.seed).is_multiple_of(2);
                let transport = if has_connection { Transport::Tcp } else { Transport::Udp };
                let way = (address(index), edge(index));
                Phone::new(index, &number, DOMAIN, way, transport, genesis.seed)
            })
            .collect();
        let carrier = SocketAddr::from(([203, 0, 113, 5], 5060));
        phones.push(Phone::new(
            genesis.phones,
            "+49305550100",
            "pstn.example",
            (carrier, edge(0)),
            Transport::Udp,
            genesis.seed,
        ));
        let mut world = Self {
            tree,
            sides,
            journal,
            genesis,
            kills: 0,
            process: Some(process),
            wire,
            ports,
            phones,
            desktops: Vec::new(),
            agenda: BTreeMap::new(),
            planned: 0,
        };
        for phone in 0..world.phones.len() {
            world.connect(phone);
        }
        world
    }

    /// Connects a phone that needs a connection and has none; where nobody takes it, it tries again.
    fn connect(&mut self, index: usize) {
        let phone = &self.phones[index];
        if !phone.is_disconnected() {
            return;
        }
        let side = self.sides.iter().find(|side| side.address == phone.server);
        let listens = side.map_or(self.sides.is_empty() && self.process.is_some(), Side::is_up);
        let connection = listens.then(|| self.wire.connect(phone.address, phone.server)).flatten();
        match connection {
            Some(connection) => self.phones[index].connected(connection),
            None => self.plan(CONNECT_AGAIN, index, Act::Connect),
        }
    }

    /// Kills the server, in the middle of whatever it does, and starts it again. Its clients have lost their connections.
    pub async fn kill_and_restart(&mut self) {
        self.kill().await;
        self.run(STARTING).await;
        self.restart().await;
    }

    /// Whether a process was killed.
    pub fn was_killed(&self) -> bool {
        self.kills > 0
    }

    /// Starts a server that was killed; its clients come back.
    pub async fn restart(&mut self) {
        let started = start_either(self.genesis, self.kills, &self.journal, &self.wire, &self.ports, &self.sides).await;
        self.tree = started.0;
        self.process = Some(started.1);
        for desktop in &mut self.desktops {
            desktop.resume(&self.tree.gateway).await;
        }
    }

    /// Kills the server, or the T-Server side: its tasks are dropped where they stand, and what it counted with them.
    pub async fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        self.wire.write("the server is killed".to_owned());
        self.kills += 1;
        process.kill().await;
        self.ports.die(TSERVER);
        if self.sides.is_empty() {
            self.wire.has_died(server());
        }
        if self.sides.is_empty() {
            recorder::reset();
        }
        for desktop in &mut self.desktops {
            desktop.lose_connection();
        }
        self.write_journal();
    }

    /// Adds what is kept to the transcript, where one seed is played.
    pub fn write_journal(&self) {
        if std::env::var_os("TANDEM_SIM_SEED").is_some() {
            self.journal.lines().into_iter().for_each(|line| self.wire.write(line));
        }
    }

    /// Whether the server, or the T-Server side, runs.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it answers.
    pub fn is_serving(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.is_stopped())
    }

    /// Stops the server, or the T-Server side, or lets it go on.
    pub fn set_stopped(&mut self, stopped: bool) {
        if let Some(process) = &self.process {
            self.wire.write(format!("the server is stopped: {stopped}"));
            process.set_stopped(stopped);
        }
    }

    /// Kills a connector that has a process of its own.
    pub async fn kill_side(&mut self, side: usize) {
        self.wire.write(format!("connector {side} is killed"));
        self.kills += 1;
        self.sides[side].kill().await;
        self.wire.has_died(self.sides[side].address);
        self.ports.die(self.sides[side].process_number());
    }

    /// Starts it again.
    pub async fn restart_side(&mut self, side: usize) {
        let side = &mut self.sides[side];
        if side.is_up() {
            return;
        }
        let plan = plan_of(self.genesis, self.kills, listeners(side.address), &self.journal);
        side.start(plan, self.wire.socket(side.address), &self.ports).await;
    }

    /// The DNs of the phones, without the carrier.
    pub fn dns(&self) -> Vec<String> {
        self.phones.iter().take(self.phones.len() - 1).map(Phone::dn).collect()
    }

    /// Connects a desktop that is registered on these DNs; returns its place.
    pub async fn add_desktop(&mut self, dns: &[String]) -> usize {
        let desktop = Desktop::open(&self.tree.gateway, dns).await;
        self.desktops.push(desktop);
        self.desktops.len() - 1
    }

    /// Puts something on a phone's agenda.
    pub fn plan(&mut self, wait: Duration, phone: usize, act: Act) {
        self.planned += 1;
        self.agenda.insert((now() + wait, self.planned), (phone, act));
    }

    /// Has a phone do something now.
    pub fn act(&mut self, phone: usize, act: Act) {
        match act {
            Act::Dark(dark) => {
                self.phones[phone].set_dark(dark);
                self.wire.set_dark(self.phones[phone].address, dark);
            }
            Act::Closed(closed) => {
                self.phones[phone].set_dark(closed);
                self.wire.set_closed(self.phones[phone].address, closed);
            }
            Act::PickUp(victim) => {
                let victim = &self.phones[victim];
                let number = victim.number.clone();
                if let Some(replaces) = victim.last_dialog() {
                    self.phones[phone].act(Act::Replace { number, replaces });
                }
            }
            Act::Connect => self.connect(phone),
            // It has no service.
            Act::Dial { .. } | Act::Replace { .. } if self.phones[phone].is_disconnected() => {}
            act => self.phones[phone].act(act),
        }
        self.serve(phone);
    }

    /// Lets time pass.
    pub async fn run(&mut self, duration: Duration) {
        self.run_until(now() + duration).await;
    }

    /// Lets time pass until then.
    pub async fn run_until(&mut self, end: Instant) {
        loop {
            self.step();
            if now() >= end {
                break;
            }
            let timers = self.phones.iter().filter_map(|phone| phone.ua.next_timeout());
            let agenda = self.agenda.first_key_value().map(|((due, _), _)| *due);
            let due = timers.chain(agenda).chain(self.wire.next()).chain([end]).min().unwrap_or(end);
            // The end of the wait is what most waits are for.
            let _ = tokio::time::timeout_at(due.into(), self.wire.stirred()).await;
        }
    }

    /// Lets time pass until something holds; panics when it does not in that time.
    pub async fn until(&mut self, what: &str, limit: Duration, holds: impl Fn(&Self) -> bool) {
        let end = now() + limit;
        while !holds(self) {
            assert!(now() < end, "{what}: not in {limit:?}");
            self.run(Duration::from_millis(10)).await;
        }
    }

    /// What is due now: datagrams, plans, timers.
    fn step(&mut self) {
        while let Some(packet) = self.wire.arrived() {
            self.take(packet);
        }
        while self.agenda.first_key_value().is_some_and(|((due, _), _)| *due <= now()) {
            if let Some((_, (phone, act))) = self.agenda.pop_first() {
                self.act(phone, act);
            }
        }
        for phone in 0..self.phones.len() {
            if self.phones[phone].ua.next_timeout().is_some_and(|due| due <= now()) {
                self.phones[phone].ua.timeout(now());
                self.serve(phone);
            }
        }
        for (index, desktop) in self.desktops.iter_mut().enumerate() {
            for frame in desktop.read() {
                self.wire.write(format!("desktop {index}: {frame}"));
            }
        }
    }

    /// Somebody gets what has arrived; nobody where it is gone.
    fn take(&mut self, packet: Packet) {
        let Packet { from, to, content } = packet;
        let side = self.sides.iter().find(|side| side.address == to);
        let tree = match side {
            Some(side) => side.tree(),
            None => (self.sides.is_empty() && to == server()).then_some(&self.tree),
        };
        match (tree.map(|tree| &tree.ingress), content) {
            (Some(ingress), Content::Datagram(bytes)) => ingress.datagrams(std::iter::once((Wire::flow_to(from), bytes))),
            (Some(ingress), Content::Message { over, near, bytes }) => {
                let message = Message::parse(bytes).expect("phones write SIP");
                // What it has no room for is lost.
                ingress.message(Wire::flow_over(over, near), message);
            }
            (Some(ingress), Content::Closed { over, near }) => ingress.closed(Wire::flow_over(over, near), over),
            (None, content) => {
                if let Some(phone) = self.phones.iter().position(|phone| phone.address == to) {
                    self.phone_takes(phone, from, content);
                }
            }
        }
    }

    fn phone_takes(&mut self, index: usize, from: SocketAddr, content: Content) {
        let phone = &mut self.phones[index];
        let (flow, bytes) = match content {
            Content::Datagram(bytes) => (Wire::flow_to(from), bytes),
            Content::Message { over, bytes, .. } => {
                let connection = Some(over);
                (
                    Flow {
                        connection,
                        ..phone.flow()
                    },
                    bytes,
                )
            }
            Content::Closed { over, .. } => {
                phone.disconnected(over);
                return self.serve(index);
            }
        };
        let bytes = phone.incoming_bytes(bytes);
        let message = Message::parse(bytes).expect("the server writes SIP");
        phone.ua.receive(now(), flow, message);
        self.serve(index);
    }

    /// Does what a phone's user agent wants done.
    fn serve(&mut self, index: usize) {
        let phone = &mut self.phones[index];
        while let Some(output) = phone.ua.poll() {
            match output {
                UaOutput::Send { flow, bytes } => {
                    let bytes = phone.outgoing(bytes);
                    if flow.transport == Transport::Udp {
                        self.wire.put(phone.address, flow.peer, bytes);
                        continue;
                    }
                    // What belongs to a connection that has ended goes over the next one (RFC 3261 s.18.2.2).
                    let own = flow.connection.filter(|connection| self.wire.is_open(*connection));
                    let connection = own.or(phone.connection);
                    if !connection.is_some_and(|connection| self.wire.send(connection, false, bytes)) {
                        phone.ua.flow_failed(now(), &flow);
                    }
                }
                UaOutput::Resolve { id, .. } => {
                    phone.ua.resolved(
                        now(),
                        id,
                        vec![Hop {
                            transport: phone.transport,
                            addr: phone.server,
                        }],
                    );
                }
                UaOutput::Event(event) => phone.event(event),
            }
        }
        for (wait, act) in std::mem::take(&mut phone.plans) {
            self.plan(wait, index, act);
        }
    }

    /// What the connectors hold.
    pub async fn connectors(&self) -> Vec<ConnectorSummary> {
        let trees = self.sides.iter().filter_map(Side::tree);
        let mut connectors = Vec::new();
        for tree in std::iter::once(&self.tree).chain(trees) {
            connectors.extend(tree.gateway.connectors().await.expect("the connectors answer"));
        }
        connectors
    }

    fn clear_up(&mut self) {
        self.wire.clear_up();
        for phone in &mut self.phones {
            phone.set_dark(false);
        }
    }

    /// Nobody does anything more for a while, and the network is good: what is under way comes to rest.
    pub async fn rest(&mut self) {
        self.clear_up();
        let end = now() + Duration::from_secs(60);
        while now() < end {
            // What phones want to do of their own will is put off; what they owe is done.
            self.agenda
                .retain(|_, (_, act)| matches!(act, Act::AnswerReinvite(_) | Act::Connect));
            self.run(Duration::from_secs(1)).await;
        }
    }

    /// Every phone hangs up and takes nothing more, the network is good again, and everything has its time to end.
    pub async fn wind_up(&mut self) {
        self.clear_up();
        self.agenda.retain(|_, (_, act)| *act == Act::Connect);
        for phone in 0..self.phones.len() {
            self.act(phone, Act::Retire);
        }
        self.run(Duration::from_secs(240)).await;
        // A phone that answered while it hung up has a call again.
        for phone in 0..self.phones.len() {
            self.act(phone, Act::Retire);
        }
        self.run(Duration::from_secs(60)).await;
        if self.phones.iter().any(|phone| phone.unheard) {
            // Two that hung up unheard are found out when their session is not refreshed.
            self.run(SESSION_EXPIRES).await;
        }
    }
}
