//! A run's surroundings: the server (started where asked), links, phones registered, desks connected; and the taking down.
//!
//! Invariant: what was set up is taken down again (phones unregister, desks close) before the gauges are looked at, so that
//! whatever is not zero then is the server's.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rsip::Uri;

use crate::call::Line;
use crate::cli::{Common, Transport};
use crate::cti::desk::Desk;
use crate::fleet::{self, Fleet};
use crate::http;
use crate::pages::Pages;
use crate::registration::Standing;
use crate::server::{self, JournalDirectory, Started};
use crate::transport::{Delivery, Link};
use crate::world::{CallId, DeskSeat, Phone, Schedule, Settings, World};

/// How often the world is given the time.
const TICK: Duration = Duration::from_millis(2);
/// How often conditions and progress are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long a server that we start may take to serve.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long registering may take without any progress: a REGISTER in vain ends after 32 s.
const SETUP_LIMIT: Duration = Duration::from_secs(40);

/// How much is to be set up.
#[derive(Clone, Debug, Default)]
pub struct Size {
    /// Calls at once.
    pub calls: u64,
    /// Phones that one call takes.
    pub phones_per_call: u64,
    /// The processes of a server that is not one.
    pub fleet: Option<fleet::Order>,
    /// The part of the calls whose phones register with different connectors.
    pub across: f64,
    /// Options of a server that is started, besides those of its file.
    pub sets: Vec<String>,
}

impl Size {
    /// So many calls of two phones each, with a server that is one process.
    pub fn of_calls(calls: u64) -> Self {
        let phones_per_call = 2;
        Self {
            calls,
            phones_per_call,
            ..Self::default()
        }
    }
}

/// The server, where we started it.
enum Ours {
    No,
    One(Started, JournalDirectory),
    Fleet(Fleet),
}

/// See the module.
pub struct Bench {
    /// The phones and desks.
    pub world: Rc<RefCell<World>>,
    /// The options.
    pub common: Common,
    /// The seed in use.
    pub seed: u64,
    /// Clients connected over CTI.
    pub clients: usize,
    ours: Ours,
    sets: Vec<String>,
}

impl Bench {
    /// Sets everything up.
    pub async fn open(common: &Common, size: Size) -> Result<Self, String> {
        common.check()?;
        server::lift_file_limit();
        let mut common = common.clone();
        let ours = start_server(&common, &size).await?;
        let mut homes = vec![common.sip];
        if let Ours::Fleet(fleet) = &ours {
            homes = fleet.homes();
            if !fleet.phones().is_loopback() {
                common.local = vec![fleet.phones()];
            }
        }
        let seed = common.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
        let settings = Settings {
            homes,
            across: size.across,
            domain: common.domain.clone(),
            first_dn: common.first_dn,
            mix_cti: if common.trunk_number.is_some() { 0.0 } else { common.mix_cti },
            setup_limit: common.setup_limit(),
            trunk: common
                .trunk_number
                .clone()
                .map(|number| (number, common.trunk_answer.is_some())),
        };
        let world = Rc::new(RefCell::new(World::new(settings, seed, common.rtp)));
        let mut bench = Self {
            world,
            common,
            seed,
            clients: 0,
            ours,
            sets: size.sets,
        };
        bench.open_links().await?;
        tokio::task::spawn_local(tick(Rc::downgrade(&bench.world)));
        bench.add_phones(size.calls, size.phones_per_call)?;
        if bench.common.trunk_number.is_none() {
            bench.register_all(true).await?;
            bench.open_desks().await?;
        }
        Ok(bench)
    }

    /// The server's process, where it is known.
    pub fn server_pid(&self) -> Option<u32> {
        match &self.ours {
            Ours::One(started, _) => Some(started.pid()),
            _ => self.common.server_pid,
        }
    }

    async fn open_links(&mut self) -> Result<(), String> {
        let any = self
            .common
            .local
            .iter()
            .cycle()
            .take(self.common.sockets)
            .map(|ip| SocketAddr::new(*ip, 0));
        let mut locals: Vec<SocketAddr> = any.collect();
        locals.extend(self.common.trunk_answer);
        for (index, local) in locals.iter().enumerate() {
            let deliver = deliver(Rc::downgrade(&self.world), index);
            let answers = index >= self.common.sockets;
            let link = match self.common.transport {
                Transport::Tcp if !answers => Link::tcp(*local, self.common.sip, deliver).await,
                _ => Link::udp(*local, deliver),
            };
            let link = link.map_err(|error| format!("from {local} to {}: {error}", self.common.sip))?;
            self.world.borrow_mut().links.push(link);
        }
        Ok(())
    }

    fn add_phones(&mut self, concurrency: u64, per_call: u64) -> Result<(), String> {
        let trunk = self.common.trunk_number.is_some();
        let concurrency = usize::try_from(concurrency.max(1)).map_err(|_| "too many calls".to_owned())?;
        let per_call = usize::try_from(per_call).unwrap_or(2);
        let homes = self.world.borrow().homes();
        // Where phones call their like at the same home only, one of them may be without a pair.
        let spare = if homes > 1 { 2 * homes } else { 0 };
        let needed = concurrency * if trunk { 1 } else { per_call } + spare;
        let agents = self.common.agents.filter(|_| !trunk).unwrap_or(0);
        let phones = self.common.phones.unwrap_or(needed.max(agents));
        let registrar = Uri::try_from(format!("sip:{}", self.common.domain).as_str()).map_err(|error| error.to_string())?;
        let mut world = self.world.borrow_mut();
        for index in 0..phones {
            let link = index % self.common.sockets;
            let line = self.line(self.common.first_dn + index as u64, &world.links[link]);
            world.phones.push(Phone::new(Rc::new(line), link).at_home(index % homes));
            if !trunk {
                world.add_registration(index, &registrar);
            }
        }
        if self.common.trunk_answer.is_some() {
            let link = self.common.sockets;
            let line = self.line(self.common.first_dn + phones as u64, &world.links[link]);
            world.phones.push(Phone::new(Rc::new(line), link));
        }
        world.open_lines(phones, needed.div_ceil(phones));
        Ok(())
    }

    fn line(&self, number: u64, link: &Link) -> Line {
        let user = number.to_string();
        let (local, reliable) = (link.local, self.common.transport == Transport::Tcp);
        let (protocol, parameter) = if reliable { ("TCP", ";transport=tcp") } else { ("UDP", "") };
        Line {
            password: self.common.password_template.replace("{n}", &user),
            digest: self.common.digest.into(),
            aor: format!("sip:{user}@{}", self.common.domain),
            contact: format!("<sip:{user}@{local}{parameter}>"),
            via: format!("SIP/2.0/{protocol} {local}"),
            reliable,
            answer_after: Duration::from_millis(self.common.answer_ms),
            user,
        }
    }

    /// Registers (or unregisters) every phone, a window of them at a time.
    async fn register_all(&self, wanted: bool) -> Result<(), String> {
        let count = self.world.borrow().phones.len() as u64;
        let bar = self.bar(if wanted { "registering" } else { "unregistering" }, count);
        let (mut next, mut progress) = (0, (0, Instant::now()));
        loop {
            let (done, asking) = self.registrations(wanted)?;
            bar.set_position(done);
            if done >= count {
                bar.finish_and_clear();
                return Ok(());
            }
            let now = Instant::now();
            if done > progress.0 {
                progress = (done, now);
            } else if now - progress.1 > SETUP_LIMIT {
                return Err(format!("only {done} of {count} phones registered"));
            }
            let room = self.common.register_window.saturating_sub(asking);
            for phone in (next..count as usize).take(room) {
                self.world.borrow_mut().register(phone, wanted, now);
                next = phone + 1;
            }
            tokio::time::sleep(TICK).await;
        }
    }

    fn registrations(&self, wanted: bool) -> Result<(u64, usize), String> {
        let (mut done, mut asking) = (0, 0);
        for phone in &self.world.borrow().phones {
            match phone.registration.as_ref().map(|registration| registration.standing()) {
                Some(Standing::Registered) if wanted => done += 1,
                Some(Standing::Gone) if !wanted => done += 1,
                Some(Standing::Asking) => asking += 1,
                Some(Standing::Failed(reason)) => return Err(format!("{}: {reason}", phone.line.aor)),
                Some(_) | None => {}
            }
        }
        Ok((done, asking))
    }

    async fn open_desks(&mut self) -> Result<(), String> {
        let phones = self.world.borrow().phones.len();
        let agents = self.common.agents.unwrap_or(phones).min(phones);
        let groups: Vec<Vec<usize>> = (0..agents)
            .collect::<Vec<_>>()
            .chunks(self.common.dns_per_client)
            .map(<[usize]>::to_vec)
            .collect();
        self.clients = groups.len();
        let bar = self.bar("desks", groups.len() as u64);
        for (seat, group) in groups.into_iter().enumerate() {
            {
                let mut world = self.world.borrow_mut();
                for phone in &group {
                    world.phones[*phone].desk = Some(seat);
                }
                world.desks.push(DeskSeat::new(group));
            }
            let desk = connect(&self.world, &self.common.cti, seat).await?;
            self.world.borrow_mut().open_desk(seat, desk, &self.common.api_key);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let deadline = Instant::now() + SETUP_LIMIT;
        while Instant::now() < deadline {
            let ready: Result<Vec<bool>, String> = self.world.borrow().desks.iter().map(DeskSeat::is_ready).collect();
            if ready?.into_iter().all(|ready| ready) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err("not every DN got its EventRegistered".into())
    }

    /// Makes calls by a schedule, until all of them are over, or (where they are held) up or failed.
    pub async fn run(&self, schedule: Schedule, held: bool, bar: &ProgressBar) {
        self.world.borrow_mut().schedule = Some(schedule);
        loop {
            tokio::time::sleep(LOOK).await;
            let world = self.world.borrow();
            let stats = &world.stats;
            let up = if held { world.calls_up().len() as u64 } else { 0 };
            bar.set_position(stats.succeeded + stats.failures() + up);
            bar.set_message(format!("{} open, {} failed", world.calls_open(), stats.failures()));
            let spent = world.schedule.as_ref().is_none_or(Schedule::is_spent);
            if spent && stats.open() == up {
                return;
            }
        }
    }

    /// Releases calls at a rate, until all are over.
    pub async fn release(&self, calls: Vec<CallId>, rate: f64, bar: &ProgressBar) {
        let (since, mut released) = (Instant::now(), 0);
        while self.world.borrow().calls_open() > 0 {
            let now = Instant::now();
            let due = ((now.duration_since(since).as_secs_f64() * rate) as usize + 1).min(calls.len());
            for call in calls.get(released..due).unwrap_or_default() {
                self.world.borrow_mut().release(*call, now);
            }
            released = due;
            bar.set_position(calls.len().saturating_sub(self.world.borrow().calls_open()) as u64);
            tokio::time::sleep(TICK).await;
        }
    }

    /// Takes everything down and returns the gauges that did not go back to zero; none where they are not looked at.
    pub async fn close(&mut self) -> Result<Option<Vec<String>>, String> {
        self.world.borrow_mut().schedule = None;
        if self.common.trunk_number.is_none() {
            self.register_all(false).await?;
        }
        self.world.borrow_mut().close_desks();
        if self.common.metrics == "none" {
            return Ok(None);
        }
        let deadline = Instant::now() + Duration::from_secs_f64(self.common.drain_secs);
        let bar = self.spinner("waiting for the gauges");
        loop {
            let left = server::gauges_not_zero(&http::fetch(&self.common.metrics).await?);
            if left.is_empty() || Instant::now() >= deadline {
                bar.finish_and_clear();
                return Ok(Some(left));
            }
            bar.set_message(format!("{} not zero", left.len()));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Stops the server, where we started it.
    pub async fn stop_server(&mut self) -> Result<(), String> {
        match std::mem::replace(&mut self.ours, Ours::No) {
            Ours::One(started, _journal) => started.stop(Duration::from_secs(20)).await,
            Ours::Fleet(fleet) => fleet.stop().await,
            Ours::No => Ok(()),
        }
    }

    /// The processes of the server that we started.
    pub fn fleet(&mut self) -> Option<&mut Fleet> {
        match &mut self.ours {
            Ours::Fleet(fleet) => Some(fleet),
            _ => None,
        }
    }

    /// Ends the server that we started, or its T-Server, with SIGKILL.
    pub fn kill_server(&mut self) -> Result<(), String> {
        match &mut self.ours {
            Ours::One(started, _) => started.kill().map_err(|error| error.to_string()),
            Ours::Fleet(fleet) => fleet.kill_tserver(),
            Ours::No => Err("no server was started".into()),
        }
    }

    /// Starts it again with the journal that it left, and has every desk come back to it.
    pub fn start_server_again(&mut self) -> Result<(), String> {
        match (&mut self.ours, &self.common.server_bin, &self.common.server_config) {
            (Ours::One(started, journal), Some(bin), Some(config)) => {
                let again = Started::run(bin, config, journal, &self.sets);
                *started = again.map_err(|error| format!("{}: {error}", bin.display()))?;
            }
            // That it is ready shows on its pages.
            (Ours::Fleet(fleet), ..) => drop(fleet.start_tserver()?),
            _ => return Err("no server was started".into()),
        }
        for seat in 0..self.clients {
            tokio::task::spawn_local(come_back(Rc::downgrade(&self.world), self.common.clone(), seat));
        }
        Ok(())
    }

    /// Where phones have connections: opens each of them again, and registers the phones over them.
    pub async fn connect_phones_again(&mut self) -> Result<(), String> {
        if self.common.transport != Transport::Tcp {
            return Ok(());
        }
        let deadline = Instant::now() + SETUP_LIMIT;
        for index in 0..self.common.sockets {
            let Some(ip) = self.world.borrow().links.get(index).map(|link| link.local.ip()) else {
                continue;
            };
            let link = loop {
                let deliver = deliver(Rc::downgrade(&self.world), index);
                match Link::tcp(SocketAddr::new(ip, 0), self.common.sip, deliver).await {
                    Ok(link) => break link,
                    Err(error) if Instant::now() > deadline => return Err(format!("{}: {error}", self.common.sip)),
                    Err(_) => tokio::time::sleep(TICK).await,
                }
            };
            if let Some(old) = self.world.borrow_mut().links.get_mut(index) {
                old.go_on_over(link);
            }
        }
        self.world.borrow_mut().lose_registrations();
        self.register_all(true).await
    }

    /// Whether a process that we started is gone.
    pub fn server_has_ended(&mut self) -> bool {
        match &mut self.ours {
            Ours::One(started, _) => started.has_ended(),
            Ours::Fleet(fleet) => !fleet.ended().is_empty(),
            Ours::No => false,
        }
    }

    /// The size of the journal of the server that we started, in KiB.
    pub fn journal_kib(&self) -> u64 {
        match &self.ours {
            Ours::One(_, journal) => journal.kib(),
            Ours::Fleet(fleet) => fleet.journal_kib(),
            Ours::No => 0,
        }
    }

    /// The memory of all processes of the server, in KiB.
    pub fn rss_kib(&self) -> u64 {
        match &self.ours {
            Ours::Fleet(fleet) => fleet.rss_kib(),
            _ => self.server_pid().and_then(server::usage).map_or(0, |usage| usage.rss_kib),
        }
    }

    /// The server's pages.
    pub fn pages(&self) -> Pages {
        Pages::beside(&self.common.metrics, &self.common.api_key)
    }

    /// A progress bar.
    pub fn bar(&self, what: &'static str, count: u64) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix:>14} {bar:40} {pos}/{len} {per_sec} {msg}");
        let bar = ProgressBar::with_draw_target(Some(count), self.target()).with_prefix(what);
        style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
    }

    /// A bar without an end.
    pub fn spinner(&self, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, self.target()).with_prefix(what);
        let style = ProgressStyle::with_template("{prefix} {elapsed} {msg}");
        style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
    }

    fn target(&self) -> ProgressDrawTarget {
        if self.common.quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(5)
        }
    }
}

async fn start_server(common: &Common, size: &Size) -> Result<Ours, String> {
    let ours = match (&size.fleet, &common.server_bin, &common.server_config) {
        (Some(order), ..) => Ours::Fleet(Fleet::start(order.clone()).await?),
        (None, Some(bin), Some(config)) => {
            let journal = JournalDirectory::new().map_err(|error| format!("a directory for the journal: {error}"))?;
            let started = Started::run(bin, config, &journal, &size.sets);
            let started = started.map_err(|error| format!("{}: {error}", bin.display()))?;
            Ours::One(started, journal)
        }
        _ => return Ok(Ours::No),
    };
    let deadline = Instant::now() + START_LIMIT;
    if common.metrics == "none" {
        return Ok(ours);
    }
    let connectors = size.fleet.as_ref().map(|order| order.connectors);
    loop {
        match serves(common, connectors).await {
            Ok(()) => return Ok(ours),
            Err(error) if Instant::now() > deadline => return Err(format!("the server does not serve: {error}")),
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Whether it answers, and reaches all of its connectors.
async fn serves(common: &Common, connectors: Option<usize>) -> Result<(), String> {
    http::fetch(&common.metrics).await?;
    let Some(connectors) = connectors else { return Ok(()) };
    let pages = Pages::beside(&common.metrics, &common.api_key);
    let running = pages
        .connectors()
        .await?
        .iter()
        .filter(|connector| connector.state == "Running")
        .count();
    match running == connectors {
        true => Ok(()),
        false => Err(format!("{running} of {connectors} connectors are Running")),
    }
}

/// Connects a desk whose frames go to its seat.
async fn connect(world: &Rc<RefCell<World>>, url: &str, seat: usize) -> Result<Desk, String> {
    let weak = Rc::downgrade(world);
    let deliver = move |what| {
        if let Some(world) = weak.upgrade() {
            world.borrow_mut().on_desk(seat, what, Instant::now());
        }
    };
    Desk::connect(url, deliver).await
}

/// Connects a desk again as soon as there is a server, and resumes.
async fn come_back(world: Weak<RefCell<World>>, common: Common, seat: usize) {
    while let Some(world) = world.upgrade() {
        if let Ok(desk) = connect(&world, &common.cti, seat).await {
            return world.borrow_mut().resume_desk(seat, desk, &common.api_key);
        }
        drop(world);
        tokio::time::sleep(LOOK).await;
    }
}

async fn tick(world: Weak<RefCell<World>>) {
    while let Some(world) = world.upgrade() {
        world.borrow_mut().on_time(Instant::now());
        drop(world);
        tokio::time::sleep(TICK).await;
    }
}

fn deliver(world: Weak<RefCell<World>>, link: usize) -> impl Fn(Delivery<'_>) + 'static {
    move |what| {
        let Some(world) = world.upgrade() else { return };
        let mut world = world.borrow_mut();
        match what {
            Delivery::Message(bytes, from) => world.on_message(link, bytes, from, Instant::now()),
            Delivery::Closed(reason) => world.on_link_closed(link, &reason),
        }
    }
}
