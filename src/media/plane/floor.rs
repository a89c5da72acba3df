//! The ports of one thread, and what is done with them: orders carried out, ports that come, go and move.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError};

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::StdRng;
use socket2::SockAddr;

use super::event::{PlaneEvent, PlaneEventKind, PortId};
use super::kernel::Epoll;
use super::latch::Latch;
use super::line::{Line, Route, Slot};
use super::marks::Mark;
use super::music::Shelf;
use super::scene::{Scenes, audio_formats};
use super::settings::PlaneSettings;
use super::stats::PlaneStats;
use super::stream::unix_now_us;
use super::tick::Frames;
use super::wire::{Order, PortOrder, Wire};
use super::{Homes, Sink};
use crate::endpoint::PortSettings;

/// Orders kept for one port that is on its way from another thread.
const WAITING: usize = 64;
/// How long a port may be on its way.
const ARRIVAL_US: u64 = 2_000_000;
/// How long a port that was left waits for somebody to take it over.
const LEFT_US: u64 = 5_000_000;

/// The thread's time: microseconds since it started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Now {
    pub(super) us: u64,
}

/// See the module.
pub(super) struct Floor {
    pub(super) settings: Arc<PlaneSettings>,
    pub(super) music: Arc<Shelf>,
    homes: Arc<Homes>,
    sink: Sink,
    /// Boxed, so that a port moves as a pointer; none where no port is, or while it is served.
    pub(super) lines: Vec<Option<Box<Line>>>,
    free: Vec<Slot>,
    pub(super) slots: HashMap<PortId, Slot>,
    /// Who hears a port, also one that is not here.
    pub(super) hearers: HashMap<PortId, Vec<PortId>>,
    /// Ports on their way here, with what they are to do when they come.
    expected: HashMap<PortId, (u64, Vec<PortOrder>)>,
    /// Who is being served: lost where it makes us crash.
    pub(super) serving: Option<(PortId, u64)>,
    /// Ports of which something changed that routes depend on.
    pub(super) changed: Vec<PortId>,
    /// Digits that a port has to repeat for its device, which is not sent the event itself.
    pub(super) repeated: Vec<(Slot, char)>,
    pub(super) counters: PlaneStats,
    pub(super) scratch: Vec<u8>,
    /// The ports of each session.
    pub(super) members: HashMap<u64, Vec<Slot>>,
    pub(super) scenes: Scenes,
    /// Sessions of which the scene is out of date.
    pub(super) unarranged: Vec<u64>,
    pub(super) frames: Frames,
    pub(super) arena: BytesMut,
    pub(super) samples: Vec<i16>,
    /// Ports that are left alone until the next 20 ms begin.
    pub(super) flooded: Vec<Slot>,
    pub(super) random: StdRng,
}

impl Floor {
    pub(super) fn new(settings: Arc<PlaneSettings>, music: Arc<Shelf>, homes: Arc<Homes>, sink: Sink) -> Self {
        Self {
            settings,
            music,
            homes,
            sink,
            lines: Vec::new(),
            free: Vec::new(),
            slots: HashMap::new(),
            hearers: HashMap::new(),
            expected: HashMap::new(),
            serving: None,
            changed: Vec::new(),
            repeated: Vec::new(),
            counters: PlaneStats::default(),
            scratch: Vec::new(),
            members: HashMap::new(),
            scenes: Scenes::default(),
            unarranged: Vec::new(),
            frames: Frames::default(),
            arena: BytesMut::new(),
            samples: Vec::new(),
            flooded: Vec::new(),
            random: StdRng::from_os_rng(),
        }
    }

    /// No port, and none on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.expected.is_empty()
    }

    pub(super) fn obey(&mut self, order: Order, epoll: &Epoll, now: Now) {
        match order {
            Order::Open(mut line) => {
                line.heard_us = now.us;
                line.stamper.begin_at(now.us);
                self.place(line, epoll);
            }
            Order::Expect(port) => {
                self.expected.insert(port, (now.us, Vec::new()));
            }
            Order::Adopt(line) => self.adopt(line, epoll, now),
            Order::Rehome(port, session, owner, to) => {
                if let Some(line) = self.rehome(port, (session, owner), epoll, now) {
                    self.hand_over(line, to, epoll, now);
                }
            }
            Order::Port(port, order) => match self.expected.get_mut(&port) {
                Some((_, waiting)) if waiting.len() < WAITING => waiting.push(order),
                Some(_) => tracing::error!(port = port.0, "too many orders for a port on its way"),
                None => self.obey_for(port, order, epoll, now),
            },
        }
    }

    fn obey_for(&mut self, port: PortId, order: PortOrder, epoll: &Epoll, now: Now) {
        let Some(slot) = self.slots.get(&port).copied() else { return };
        let Some(line) = self.lines.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        self.serving = Some((line.id, line.owner));
        match order {
            PortOrder::Set(settings) => {
                apply(line, settings, &self.settings, now);
                self.changed.push(port);
            }
            PortOrder::Hear(sources) => self.hear(slot, sources),
            PortOrder::Digits(digits) => {
                if let Some(settings) = &line.settings {
                    line.keys.push(&digits, settings);
                }
                self.changed.push(port);
            }
            PortOrder::Loaded(name, prompt) => self.loaded(slot, &name, prompt.as_ref()),
            PortOrder::Leave => line.left_us = Some(now.us),
            PortOrder::TakeOver(owner) => {
                (line.left_us, line.owner) = (None, owner);
                // The new owner does not know what the old one was told.
                if line.flowing {
                    self.tell(port, owner, PlaneEventKind::Flowing);
                }
            }
            PortOrder::Close => self.close(slot, epoll, now),
            #[cfg(test)]
            PortOrder::Panic => panic!("as the test asked"),
        }
        self.serving = None;
    }

    fn place(&mut self, line: Box<Line>, epoll: &Epoll) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.lines.push(None);
            self.lines.len() - 1
        });
        let token = 2 * slot as u64;
        let watched = epoll
            .add(line.lease.rtp.as_fd(), token)
            .and_then(|()| epoll.add(line.lease.rtcp.as_fd(), token + 1));
        if let Err(error) = watched {
            tracing::error!(%error, "a port cannot be watched");
            self.free.push(slot);
            self.forget(line.id, line.owner);
            return;
        }
        self.slots.insert(line.id, slot);
        self.members.entry(line.session).or_default().push(slot);
        self.changed.push(line.id);
        if let Some(entry) = self.lines.get_mut(slot) {
            *entry = Some(line);
        }
    }

    fn adopt(&mut self, line: Box<Line>, epoll: &Epoll, now: Now) {
        let port = line.id;
        let waiting = self.expected.remove(&port).map(|(_, waiting)| waiting);
        self.place(line, epoll);
        let Some(slot) = self.slots.get(&port).copied() else { return };
        let sources = self
            .line(slot)
            .map(|line| std::mem::take(&mut line.hears))
            .unwrap_or_default();
        self.hear(slot, sources);
        for order in waiting.into_iter().flatten() {
            self.obey_for(port, order, epoll, now);
        }
    }

    fn rehome(&mut self, port: PortId, to: (u64, u64), epoll: &Epoll, now: Now) -> Option<Box<Line>> {
        let slot = self.slots.get(&port).copied()?;
        let mut line = self.take_out(slot, epoll, now)?;
        (line.session, line.owner) = to;
        Some(line)
    }

    fn hand_over(&mut self, line: Box<Line>, to: Option<Arc<Wire>>, epoll: &Epoll, now: Now) {
        let (port, owner) = (line.id, line.owner);
        let Some(to) = to else {
            return self.adopt(line, epoll, now);
        };
        if to.give(Order::Adopt(line)).is_err() {
            self.forget(port, owner);
        }
    }

    /// Closes a port that nobody has taken over in time.
    fn close_left(&mut self, slot: Slot, epoll: &Epoll, now: Now) {
        let Some(line) = self.line(slot) else { return };
        let port = line.id;
        if line.left_us.is_none_or(|left| now.us.saturating_sub(left) < LEFT_US) {
            return;
        }
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may be about to.
        if homes.get(&port).is_some_and(|home| !home.is_left) {
            return;
        }
        homes.remove(&port);
        drop(homes);
        self.close(slot, epoll, now);
    }

    fn close(&mut self, slot: Slot, epoll: &Epoll, now: Now) {
        self.send_report(slot, true, now);
        let Some(line) = self.take_out(slot, epoll, now) else { return };
        let (port, owner, report) = (line.id, line.owner, Box::new(line.report()));
        // Its place is free when this is told.
        drop(line);
        self.tell(port, owner, PlaneEventKind::Closed(report));
    }

    /// The port is not of this thread any more.
    fn take_out(&mut self, slot: Slot, epoll: &Epoll, now: Now) -> Option<Box<Line>> {
        let sources = self.line(slot)?.hears.clone();
        let players = std::mem::take(&mut self.line(slot)?.players);
        self.hear(slot, Vec::new());
        let mut line = self.lines.get_mut(slot)?.take()?;
        line.hears = sources;
        line.players = players;
        line.relays.clear();
        line.route = Route::Silent;
        line.decoded = false;
        line.receiver = None;
        self.leave(line.session, slot);
        epoll.remove(line.lease.rtp.as_fd());
        epoll.remove(line.lease.rtcp.as_fd());
        self.slots.remove(&line.id);
        self.free.push(slot);
        self.changed.push(line.id);
        self.follow_up(now);
        Some(line)
    }

    fn leave(&mut self, session: u64, slot: Slot) {
        self.unarranged.push(session);
        if let Some(members) = self.members.get_mut(&session) {
            members.retain(|member| *member != slot);
            if members.is_empty() {
                self.members.remove(&session);
            }
        }
    }

    /// After a panic: whoever was served then is gone, and everybody where that is not known.
    pub(super) fn recover(&mut self, epoll: &Epoll) {
        self.counters.crashes += 1;
        let Some((port, owner)) = self.serving.take() else {
            tracing::error!("a media thread crashed: its ports are lost");
            return self.lose_all();
        };
        tracing::error!(port = port.0, "a media thread crashed: the port it served is lost");
        if let Some(slot) = self.slots.remove(&port) {
            if let Some(line) = self.lines.get_mut(slot).and_then(Option::take) {
                epoll.remove(line.lease.rtp.as_fd());
                epoll.remove(line.lease.rtcp.as_fd());
            }
            for line in self.lines.iter_mut().flatten() {
                line.relays.retain(|listener| *listener != slot);
            }
            self.free.push(slot);
            for members in self.members.values_mut() {
                members.retain(|member| *member != slot);
            }
            for hearers in self.hearers.values_mut() {
                hearers.retain(|hearer| *hearer != port);
            }
            self.changed.push(port);
        }
        // The round that crashed took them along.
        self.unarranged.extend(self.members.keys());
        self.forget(port, owner);
    }

    pub(super) fn lose_all(&mut self) {
        for line in std::mem::take(&mut self.lines).into_iter().flatten() {
            let (port, owner) = (line.id, line.owner);
            drop(line);
            self.forget(port, owner);
        }
        self.free.clear();
        self.slots.clear();
        self.hearers.clear();
        self.members.clear();
        self.scenes.clear();
        self.changed.clear();
        self.repeated.clear();
    }

    /// The port is gone, and nobody asked for it.
    fn forget(&self, port: PortId, owner: u64) {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
        self.tell(port, owner, PlaneEventKind::Lost);
    }

    pub(super) fn tell(&self, port: PortId, owner: u64, kind: PlaneEventKind) {
        (self.sink)(PlaneEvent { owner, port, kind });
    }

    pub(super) fn line(&mut self, slot: Slot) -> Option<&mut Line> {
        self.lines.get_mut(slot)?.as_deref_mut()
    }

    /// What takes seconds: stalls, the port that is kept open, ports that never came.
    pub(super) fn sweep(&mut self, epoll: &Epoll, now: Now) {
        self.expected
            .retain(|_, (since, _)| now.us.saturating_sub(*since) < ARRIVAL_US);
        for slot in 0..self.lines.len() {
            self.close_left(slot, epoll, now);
            self.sweep_port(slot, now);
        }
    }

    /// Where the streams are.
    pub(super) fn marks(&self, now: Now) -> Vec<Mark> {
        let wall_us = unix_now_us();
        let mark = |line: &Line| Mark {
            port: line.lease.port(),
            stream: line.stamper.mark(now.us, wall_us),
            learned: line.latch.as_ref().and_then(Latch::learned),
        };
        self.lines.iter().flatten().map(|line| mark(line)).collect()
    }

    fn sweep_port(&mut self, slot: Slot, now: Now) {
        let stall_us = self.settings.stall_after.as_micros() as u64;
        let Some(line) = self.line(slot) else { return };
        let silent = stall_us > 0 && now.us.saturating_sub(line.heard_us) > stall_us;
        if silent && !line.stall_told && line.may_speak() && line.latch.is_some() {
            line.stall_told = true;
            line.flowing = false;
            let (port, owner) = (line.id, line.owner);
            self.tell(port, owner, PlaneEventKind::Stalled);
        }
        let keep_open_us = self.settings.keep_open_every.as_micros() as u64;
        let Some(line) = self.line(slot) else { return };
        let quiet = line.sent_us.is_none_or(|sent| now.us.saturating_sub(sent) >= keep_open_us);
        if quiet && line.may_hear() && line.route != Route::Made {
            self.keep_open(slot, now);
        }
        self.report(slot, now);
    }
}

/// What was negotiated, for a port.
fn apply(line: &mut Line, settings: Box<PortSettings>, plane: &PlaneSettings, now: Now) {
    if let Some(remote) = settings.remote {
        match &mut line.latch {
            Some(latch) => latch.signal(remote, now.us),
            None => {
                let learn_us = plane.learn_within.as_micros() as u64;
                let learned = line.learned.take();
                line.latch = Some(Latch::resume(plane.symmetric, learn_us, remote, learned, now.us));
            }
        }
    }
    let current = line.latch.as_ref().map(Latch::current);
    line.to = current.filter(|_| settings.remote.is_some()).map(SockAddr::from);
    line.stamper.run_at(settings.codec.clock_hz());
    line.control.run_at(settings.codec.clock_hz());
    // A device that was not to send has not been silent.
    if !line.may_speak() {
        line.heard_us = now.us;
        line.stall_told = false;
    }
    if let Some(receiver) = &mut line.receiver {
        receiver.set_formats(&audio_formats(&settings.receives));
    }
    line.settings = Some(settings);
}
