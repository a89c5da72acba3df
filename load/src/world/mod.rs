//! The phones, their legs and calls, and the desktops: the one shell that joins the pure machines to sockets and time.
//!
//! Everything is on one thread, in one [`World`]: tasks of links and desks deliver into it, a ticking task gives it the time.
//! Which message belongs to which leg is found by our own tag (in responses it is in From, in requests in To); a request without
//! one starts a leg or repeats the INVITE that did.
//!
//! Invariant: a leg belongs to at most one call, a call to two phones; both are forgotten when they are over.

mod calls;
mod desks;
mod proof;
mod recovery;
mod schedule;
#[cfg(test)]
mod tests;
mod verbs;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsip::{Method, Request, SipMessage, Uri};

use crate::call::{Leg, Line, Note, Output};
use crate::cti::check::{Parties, Services};
use crate::profile::Profile;
use crate::registration::Registration;
use crate::rtp::{Ports, Rtp};
use crate::sip::Ids;
use crate::sip::message::{self, Head};
use crate::stats::Stats;
use crate::transport::Link;

use calls::Call;
pub use calls::CallId;
pub use desks::DeskSeat;
pub use recovery::Recovery;
pub use schedule::Schedule;

/// A leg's number.
type LegId = u64;

/// One phone.
pub struct Phone {
    /// What its legs and its registration need to know.
    pub line: Rc<Line>,
    /// The link it is on.
    pub link: usize,
    /// The server, or the connector, that it registers with and calls through: its number in [`Settings::homes`].
    pub home: usize,
    /// Its registration, where it has one.
    pub registration: Option<Registration>,
    /// The desk that watches its DN, if any.
    pub desk: Option<usize>,
    /// Calls that this phone is to be rung for, oldest first.
    expecting: VecDeque<CallId>,
    /// Calls that it takes part in.
    calls: Vec<CallId>,
}

impl Phone {
    /// A phone on a link, at the first home.
    pub fn new(line: Rc<Line>, link: usize) -> Self {
        Self {
            line,
            link,
            home: 0,
            registration: None,
            desk: None,
            expecting: VecDeque::new(),
            calls: Vec::new(),
        }
    }

    /// The same at another home.
    pub fn at_home(self, home: usize) -> Self {
        Self { home, ..self }
    }
}

/// What a run wants of the world.
pub struct Settings {
    /// Where SIP is: the server, or each of its connectors.
    pub homes: Vec<SocketAddr>,
    /// The part of the calls whose phones have different homes.
    pub across: f64,
    /// The domain of the DNs.
    pub domain: String,
    /// The number of the first phone's DN.
    pub first_dn: u64,
    /// The part of the calls that desks make.
    pub mix_cti: f64,
    /// The longest a call may take until it is up.
    pub setup_limit: Duration,
    /// What to dial instead of another phone, and whether our last phone answers it.
    pub trunk: Option<(String, bool)>,
}

struct LegEntry {
    leg: Leg,
    phone: usize,
    peer: SocketAddr,
    call: Option<(CallId, usize)>,
    /// Where the other side wants media.
    media: Option<SocketAddr>,
    armed: Option<Instant>,
    /// The key in `invites`, for callee legs.
    invite: Option<(String, String)>,
}

enum Owner {
    Leg(LegId),
    Registration(usize),
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Leg(LegId),
    Call(CallId),
    Registration(usize),
}

/// See the module.
pub struct World {
    /// What was counted.
    pub stats: Stats,
    /// The phones, in the order of their DNs.
    pub phones: Vec<Phone>,
    /// The links.
    pub links: Vec<Link>,
    /// The desks.
    pub desks: Vec<DeskSeat>,
    /// The parties of all calls.
    pub parties: Parties,
    /// Which DNs are in service.
    pub services: Services,
    /// The RTP thread, where media flows.
    pub rtp: Option<Rtp>,
    /// What is to be called, while calls are to be made.
    pub schedule: Option<Schedule>,
    /// What is done in calls.
    pub profile: Option<Profile>,
    /// From a fault of the server, or of a part of it, until all that was there before it has been tried.
    pub recovery: Option<Recovery>,
    settings: Settings,
    ids: Ids,
    random: StdRng,
    legs: HashMap<LegId, LegEntry>,
    owners: HashMap<String, Owner>,
    invites: HashMap<(String, String), LegId>,
    calls: HashMap<CallId, Call>,
    conns: HashMap<String, CallId>,
    references: HashMap<(usize, u32), (desks::Asked, Instant)>,
    /// The time, as it was told last.
    time: Instant,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    free: VecDeque<usize>,
    next_leg: LegId,
    next_call: u64,
}

impl World {
    /// A world without phones, links or desks.
    pub fn new(settings: Settings, seed: u64, rtp: bool) -> Self {
        Self {
            stats: Stats::default(),
            phones: Vec::new(),
            links: Vec::new(),
            desks: Vec::new(),
            parties: Parties::default(),
            services: Services::default(),
            rtp: rtp.then(Rtp::start),
            schedule: None,
            profile: None,
            recovery: None,
            settings,
            ids: Ids::new(seed),
            random: StdRng::seed_from_u64(seed),
            legs: HashMap::new(),
            owners: HashMap::new(),
            invites: HashMap::new(),
            calls: HashMap::new(),
            conns: HashMap::new(),
            references: HashMap::new(),
            time: Instant::now(),
            timers: BinaryHeap::new(),
            free: VecDeque::new(),
            next_leg: 0,
            next_call: 0,
        }
    }

    /// How many homes phones may have.
    pub fn homes(&self) -> usize {
        self.settings.homes.len()
    }

    /// From now on every call is made by a desk.
    pub fn make_by_desk(&mut self) {
        self.settings.mix_cti = 1.0;
    }

    /// Gives a phone its registration.
    pub fn add_registration(&mut self, phone: usize, registrar: &Uri) {
        let Some(entry) = self.phones.get_mut(phone) else { return };
        let registration = Registration::new(entry.line.clone(), registrar.clone(), &mut self.ids);
        self.owners
            .insert(registration.local_tag().to_owned(), Owner::Registration(phone));
        entry.registration = Some(registration);
    }

    /// Registers or unregisters a phone.
    pub fn register(&mut self, phone: usize, wanted: bool, now: Instant) {
        self.with_registration(phone, now, |registration, ids, out| match wanted {
            true => registration.register(ids, now, out),
            false => registration.unregister(ids, now, out),
        });
    }

    /// Every phone has lost its connection, and its registration with it.
    pub fn lose_registrations(&mut self) {
        for phone in &mut self.phones {
            if let Some(registration) = &mut phone.registration {
                registration.lose();
            }
        }
    }

    /// A link is gone; no wonder while the server is.
    pub fn on_link_closed(&mut self, link: usize, reason: &str) {
        if self.recovery.is_none() {
            self.stats.strays.add(format!("SIP connection {link} closed: {reason}"));
        }
    }

    /// One message came on a link.
    pub fn on_message(&mut self, link: usize, bytes: &[u8], from: SocketAddr, now: Instant) {
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        self.stats.sip_received += 1;
        match message::read(bytes) {
            Ok((SipMessage::Request(request), head)) => self.on_request(link, &request, &head, from, now),
            Ok((SipMessage::Response(response), head)) => match self.owners.get(&head.from_tag) {
                Some(Owner::Leg(leg)) => {
                    let leg = *leg;
                    self.with_leg(leg, now, |leg, ids, out| leg.on_response(&response, &head, ids, now, out));
                }
                Some(Owner::Registration(phone)) => {
                    let phone = *phone;
                    self.with_registration(phone, now, |it, ids, out| it.on_response(&response, &head, ids, now, out));
                }
                None => self
                    .stats
                    .strays
                    .add(format!("{} to {} {}", response.status_code, head.method, head.call_id)),
            },
            Err(bad) => self.stats.unreadable.add(bad.to_string()),
        }
    }

    /// The time: whatever is due is done.
    pub fn on_time(&mut self, now: Instant) {
        self.time = now;
        while self.timers.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((at, timer))) = self.timers.pop() else {
                break;
            };
            match timer {
                Timer::Leg(leg) if self.legs.get(&leg).is_some_and(|entry| entry.armed == Some(at)) => {
                    if self.legs.get(&leg).is_some_and(|entry| entry.leg.is_gone(now)) {
                        self.forget_leg(leg);
                    } else {
                        self.with_leg(leg, now, |leg, _, out| leg.on_time(now, out));
                    }
                }
                Timer::Leg(_) => {}
                Timer::Call(call) => self.on_call_time(call, at, now),
                Timer::Registration(phone) => {
                    self.with_registration(phone, now, |registration, ids, out| registration.on_time(ids, now, out));
                }
            }
        }
        self.start_due_calls(now);
    }

    fn on_request(&mut self, link: usize, request: &Request, head: &Head, from: SocketAddr, now: Instant) {
        let known = match &head.to_tag {
            Some(tag) => match self.owners.get(tag) {
                Some(Owner::Leg(leg)) => Some(*leg),
                _ => None,
            },
            None => self.invites.get(&(head.call_id.clone(), head.from_tag.clone())).copied(),
        };
        if let Some(leg) = known {
            if let Some(entry) = self.legs.get_mut(&leg) {
                entry.peer = from;
            }
            self.on_request_after_restart(leg, head.method, now);
            return self.with_leg(leg, now, |leg, _, out| leg.on_request(request, head, now, out));
        }
        match (head.method, &head.to_tag) {
            (Method::Invite, None) => self.on_new_invite(link, request, head, from, now),
            (Method::Ack, _) => {}
            (Method::Options, None) => self.reply(link, request, 200, from),
            _ => {
                // Repeats of a BYE whose leg is long over are no fault; anything else is.
                if head.method != Method::Bye {
                    self.stats
                        .strays
                        .add(format!("{} {} for nothing we know", head.method, head.call_id));
                }
                self.reply(link, request, 481, from);
            }
        }
    }

    fn on_new_invite(&mut self, link: usize, request: &Request, head: &Head, from: SocketAddr, now: Instant) {
        let caller = message::from_user(request).unwrap_or_default();
        let found = self
            .phone_for(link, request)
            .and_then(|phone| Some((phone, self.take_expected(phone, &caller)?)));
        let Some((phone, (call, side))) = found else {
            self.stats
                .strays
                .add(format!("INVITE {} from {caller}: no phone expects it", request.uri));
            return self.reply(link, request, 480, from);
        };
        let Some(line) = self.phones.get(phone).map(|phone| phone.line.clone()) else {
            return;
        };
        let leg_id = self.new_leg_id();
        let media = self.open_media(leg_id, link);
        let mut out = Vec::new();
        let Some(leg) = Leg::ring(line, request, head, media, &mut self.ids, now, &mut out) else {
            self.stats.unreadable.add(format!("INVITE without Contact: {}", head.call_id));
            return self.reply(link, request, 400, from);
        };
        let invite = (head.call_id.clone(), head.from_tag.clone());
        self.invites.insert(invite.clone(), leg_id);
        self.insert_leg(leg_id, leg, phone, from, Some((call, side)), Some(invite));
        self.on_invited(call, side, leg_id, now);
        self.carry_out(leg_id, out, now);
    }

    /// The phone that an INVITE is for: by the user part of its request URI, or the one that answers a trunk on this link.
    fn phone_for(&self, link: usize, request: &Request) -> Option<usize> {
        if let Some((_, true)) = &self.settings.trunk {
            return self.phones.iter().rposition(|phone| phone.link == link);
        }
        let number: u64 = request.uri.user()?.parse().ok()?;
        let phone = usize::try_from(number.checked_sub(self.settings.first_dn)?).ok()?;
        (phone < self.phones.len()).then_some(phone)
    }

    fn place_call(&mut self, phone: usize, to: &Uri, call: CallId, now: Instant) -> Option<LegId> {
        let entry = self.phones.get(phone)?;
        let (line, link, home) = (entry.line.clone(), entry.link, self.home(entry)?);
        let leg_id = self.new_leg_id();
        let media = self.open_media(leg_id, link);
        let mut out = Vec::new();
        let leg = Leg::call(line, to.clone(), media, &mut self.ids, now, &mut out);
        self.insert_leg(leg_id, leg, phone, home, Some((call, 0)), None);
        self.carry_out(leg_id, out, now);
        Some(leg_id)
    }

    fn home(&self, phone: &Phone) -> Option<SocketAddr> {
        self.settings.homes.get(phone.home).copied()
    }

    fn new_leg_id(&mut self) -> LegId {
        self.next_leg += 1;
        self.next_leg
    }

    fn insert_leg(
        &mut self,
        id: LegId,
        leg: Leg,
        phone: usize,
        peer: SocketAddr,
        call: Option<(CallId, usize)>,
        invite: Option<(String, String)>,
    ) {
        self.owners.insert(leg.local_tag().to_owned(), Owner::Leg(id));
        let (media, armed) = (None, None);
        self.legs.insert(
            id,
            LegEntry {
                leg,
                phone,
                peer,
                call,
                media,
                armed,
                invite,
            },
        );
    }

    fn forget_leg(&mut self, id: LegId) {
        let Some(entry) = self.legs.remove(&id) else { return };
        self.owners.remove(entry.leg.local_tag());
        if let Some(invite) = &entry.invite {
            self.invites.remove(invite);
        }
    }

    /// Where a leg wants its media: a socket of its own, or a port that nothing listens on where no media flows.
    fn open_media(&mut self, leg: LegId, link: usize) -> SocketAddr {
        let ip = self
            .links
            .get(link)
            .map_or(IpAddr::from([127, 0, 0, 1]), |link| link.local.ip());
        // Below the ports that sockets are given: what the server plays to such a leg must not come to one of ours.
        let silent = SocketAddr::new(ip, 20_000 + (leg % 6_000) as u16 * 2);
        let Some(rtp) = &self.rtp else { return silent };
        match Ports::bind(ip) {
            Ok(ports) => {
                let addr = ports.addr;
                rtp.open(leg, ports);
                addr
            }
            Err(error) => {
                self.stats.strays.add(format!("no socket for RTP: {error}"));
                silent
            }
        }
    }

    fn with_leg(&mut self, id: LegId, now: Instant, act: impl FnOnce(&mut Leg, &mut Ids, &mut Vec<Output>)) {
        let mut out = Vec::new();
        if let Some(entry) = self.legs.get_mut(&id) {
            act(&mut entry.leg, &mut self.ids, &mut out);
            self.carry_out(id, out, now);
        }
    }

    fn carry_out(&mut self, id: LegId, out: Vec<Output>, now: Instant) {
        for output in out {
            let Some(entry) = self.legs.get_mut(&id) else { return };
            match output {
                Output::Send(bytes, to) => {
                    let to = to.unwrap_or(entry.peer);
                    let link = self.phones.get(entry.phone).map(|phone| phone.link);
                    self.send(link, bytes, to);
                }
                Output::Note(Note::Resent) => self.stats.resent += 1,
                Output::Note(Note::Repeated) => self.stats.repeated += 1,
                Output::Note(note) => {
                    if let Note::Media(to) = note {
                        entry.media = to;
                    }
                    if let Some((call, side)) = entry.call {
                        self.on_note(call, side, note, now);
                    }
                }
            }
        }
        if let Some(entry) = self.legs.get_mut(&id)
            && let Some(due) = entry.leg.next_due()
            && entry.armed != Some(due)
        {
            entry.armed = Some(due);
            self.timers.push(Reverse((due, Timer::Leg(id))));
        }
    }

    fn with_registration(&mut self, phone: usize, now: Instant, act: impl FnOnce(&mut Registration, &mut Ids, &mut Vec<Output>)) {
        let Some(entry) = self.phones.get_mut(phone) else { return };
        let Some(registration) = &mut entry.registration else { return };
        let mut out = Vec::new();
        act(registration, &mut self.ids, &mut out);
        let (link, home, due) = (Some(entry.link), entry.home, registration.next_due());
        if let Some(due) = due {
            self.timers.push(Reverse((due.max(now), Timer::Registration(phone))));
        }
        let Some(home) = self.settings.homes.get(home).copied() else {
            return;
        };
        for output in out {
            match output {
                Output::Send(bytes, to) => self.send(link, bytes, to.unwrap_or(home)),
                Output::Note(_) => self.stats.resent += 1,
            }
        }
    }

    fn reply(&mut self, link: usize, request: &Request, status: u16, to: SocketAddr) {
        let tag = self.ids.tag();
        self.send(Some(link), message::response(request, status, &tag, None, None), to);
    }

    fn send(&mut self, link: Option<usize>, bytes: Vec<u8>, to: SocketAddr) {
        if let Some(link) = link.and_then(|link| self.links.get(link)) {
            self.stats.sip_sent += 1;
            link.send(bytes, to);
        }
    }

    fn toss(&mut self, chance: f64) -> bool {
        self.random.random_bool(chance.clamp(0.0, 1.0))
    }
}
