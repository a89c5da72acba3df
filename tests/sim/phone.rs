//! A phone: a real user agent, and manners that say what it does when it is called.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tandem_actors::now;
use tandem_media::sdp;
use tandem_sip::flow::{ConnectionId, Flow, ListenerId, Transport};
use tandem_sip::message::Method;
use tandem_sip::ua::{ClientOutcome, Credentials, Invite, Listener, OutgoingRequest, SessionId, UaConfig, UaEvent, UserAgent};

/// The type of an INFO that stands for a REFER, which the user agent does not send; its body is the Refer-To.
const REFER: &str = "application/refer-to";
/// The domain of every phone.
pub const DOMAIN: &str = "tandem.local";

/// How long a request is sent again at most (RFC 3261 s.17.1.2.2, Timer F).
const LONGEST_REQUEST: Duration = Duration::from_secs(32);

/// What a phone does when it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manners {
    /// Rings for that long, then answers.
    Answer { after_ms: u64 },
    /// Answers without ringing first.
    Immediate,
    /// Sends early media (183 with a description), then answers.
    EarlyMedia { after_ms: u64 },
    /// Rings until the caller has had enough.
    Ring,
    /// Refuses.
    Refuse { status: u16 },
    /// Rings, then refuses.
    RingThenRefuse { after_ms: u64, status: u16 },
    /// One of the others each time.
    Moody,
}

/// What a phone is to do at some time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    Register {
        seconds: u32,
    },
    Dial {
        number: String,
        late_offer: bool,
    },
    Ring(SessionId),
    EarlyMedia(SessionId),
    Answer(SessionId),
    Refuse(SessionId, u16),
    AnswerReinvite(SessionId),
    /// Offers something else before the call is answered (UPDATE).
    OfferEarly(SessionId),
    Cancel(SessionId),
    Reinvite(SessionId, bool),
    /// Holds, or takes back.
    Hold(SessionId, bool),
    /// Asks for a transfer: to another call of its own where it has one, or to a number.
    Refer(SessionId),
    /// Takes a call of the phone in that place over (Replaces).
    PickUp(usize),
    /// Calls a number with this Replaces header.
    Replace {
        number: String,
        replaces: String,
    },
    /// Hangs up one of its calls, in whatever state that is.
    HangUp(SessionId),
    /// Hangs up everything and takes nothing more.
    Retire,
    Dark(bool),
    Closed(bool),
    /// Connects to its server, where it has lost its connection.
    Connect,
}

/// How far a call of the phone is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Dialling,
    Ringing,
    Talking,
}

/// One call of the phone.
#[derive(Clone, Copy, Debug)]
pub struct PhoneCall {
    pub stage: Stage,
    pub late_offer: bool,
    /// It has the other side on hold, or wants to.
    pub holds: bool,
    /// The same as far as it is agreed.
    held: bool,
}

/// A phone.
pub struct Phone {
    pub number: String,
    pub domain: &'static str,
    pub address: SocketAddr,
    pub ua: UserAgent,
    pub manners: Manners,
    /// Whether it hangs up, holds and cancels on its own.
    pub restless: bool,
    /// Whether it seldom hangs up on its own.
    pub patient: bool,
    pub calls: BTreeMap<SessionId, PhoneCall>,
    /// Sessions that are over, with how: `ended`, `cancelled`, or the status.
    pub over: Vec<(SessionId, String)>,
    /// The status of its last REGISTER.
    pub registered: Option<u16>,
    /// What it decided to do later.
    pub plans: Vec<(Duration, Act)>,
    /// Where it sends its requests.
    pub server: SocketAddr,
    pub transport: Transport,
    /// The connection that it has, where it uses any.
    pub connection: Option<ConnectionId>,
    /// For how long it wants to be registered, once it is connected again.
    wants: Option<u32>,
    rng: StdRng,
    /// What it throws dice with for offers before the answer.
    early: StdRng,
    retired: bool,
    descriptions: u64,
    late_reinvites: BTreeMap<SessionId, bool>,
    /// The offers of re-INVITEs that are not answered yet.
    offers: BTreeMap<SessionId, Option<Bytes>>,
    /// The dialogs it has had, as a Replaces header of anybody names them, by Call-ID.
    pub dialogs: BTreeMap<String, String>,
    /// What it did by itself or was told to do.
    pub deeds: usize,
    /// Its link is down.
    pub dark: bool,
    /// A connector that its calls may go through is down.
    cut_off: bool,
    /// It hung up when nobody could hear that.
    pub unheard: bool,
    hung_up: Option<Instant>,
}

impl Phone {
    pub fn new(
        index: usize,
        number: &str,
        domain: &'static str,
        (address, server): (SocketAddr, SocketAddr),
        transport: Transport,
        seed: u64,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ (index as u64 + 1) << 32);
        let config = UaConfig {
            shard: 1000 + index as u16,
            product: "".into(),
            listeners: vec![Listener {
                id: ListenerId(0),
                transport,
                advertised: address,
            }],
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            invite_timeout: Duration::from_secs(180),
            max_sessions: 100,
            max_transactions: 1000,
            ..UaConfig::default()
        };
        Self {
            number: number.to_owned(),
            domain,
            address,
            ua: UserAgent::new(config, StdRng::from_rng(&mut rng)),
            manners: Manners::Answer { after_ms: 500 },
            restless: false,
            patient: false,
            calls: BTreeMap::new(),
            over: Vec::new(),
            registered: None,
            plans: Vec::new(),
            server,
            transport,
            connection: None,
            wants: None,
            rng,
            early: StdRng::seed_from_u64(seed ^ index as u64 ^ 0xea71),
            retired: false,
            descriptions: 0,
            late_reinvites: BTreeMap::new(),
            offers: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            deeds: 0,
            dark: false,
            cut_off: false,
            unheard: false,
            hung_up: None,
        }
    }

    /// Who it says it is.
    pub fn dn(&self) -> String {
        format!("sip:{}@{}", self.number, self.domain)
    }

    /// Does one thing. What concerns the network is the world's.
    pub fn act(&mut self, act: Act) {
        let at = now();
        self.deeds += 1;
        if matches!(act, Act::HangUp(_) | Act::Cancel(_)) {
            self.hung_up = Some(at);
            self.unheard |= self.is_unheard();
        }
        match act {
            Act::Register { seconds } => self.register(seconds),
            Act::Dial { number, late_offer } => self.dial(&number, late_offer, None),
            Act::Replace { number, replaces } => self.dial(&number, false, Some(replaces)),
            Act::Ring(session) => self.ua.progress(at, session, 180, None),
            Act::EarlyMedia(session) => {
                let description = self.description(None, false);
                self.ua.progress(at, session, 183, description);
            }
            Act::Answer(session) => {
                let offer = self.ua.session_remote_sdp(session).cloned();
                let description = self.description(offer.as_ref(), false);
                if let Some(call) = self.calls.get_mut(&session) {
                    call.stage = Stage::Talking;
                    self.ua.accept(at, session, description);
                    self.grow_restless(session, 20_000);
                }
            }
            Act::Refuse(session, 302) => {
                let elsewhere = format!("<sip:{}@{DOMAIN}>", self.somebody());
                self.ua.reject(at, session, 302, &[("Contact".into(), elsewhere.into())]);
            }
            Act::Refuse(session, status) => self.ua.reject(at, session, status, &[]),
            Act::AnswerReinvite(session) => {
                let holds = self.agree(session);
                let offer = self.offers.remove(&session).flatten();
                let description = self.description(offer.as_ref(), holds);
                self.ua.accept_reinvite(at, session, description);
            }
            Act::OfferEarly(session) => {
                if self.calls.get(&session).is_some_and(|call| call.stage != Stage::Talking) {
                    let offer = self.description(None, false);
                    self.ua.reinvite(at, session, offer);
                }
            }
            Act::Cancel(session) => {
                if self.calls.get(&session).is_some_and(|call| call.stage == Stage::Dialling) {
                    self.ua.cancel(at, session, None);
                }
            }
            Act::Reinvite(session, late_offer) => {
                if self.calls.get(&session).is_some_and(|call| call.stage == Stage::Talking) {
                    let holds = self.calls.get(&session).is_some_and(|call| call.holds);
                    let offer = if late_offer { None } else { self.description(None, holds) };
                    self.late_reinvites.insert(session, late_offer);
                    self.ua.reinvite(at, session, offer);
                }
            }
            Act::Hold(session, holds) => {
                if let Some(call) = self.calls.get_mut(&session).filter(|call| call.stage == Stage::Talking) {
                    call.holds = holds;
                    let offer = self.description(None, holds);
                    self.late_reinvites.insert(session, false);
                    self.ua.reinvite(at, session, offer);
                }
            }
            Act::Refer(session) => {
                if self.calls.get(&session).is_some_and(|call| call.stage == Stage::Talking) {
                    let target = self.transfer_target(session);
                    self.ua.info(at, session, REFER, target.into());
                }
            }
            Act::HangUp(session) => self.ua.bye(at, session, None),
            Act::Retire => self.retire(),
            Act::Dark(_) | Act::Closed(_) | Act::PickUp(_) | Act::Connect => {}
        }
    }

    /// Its link goes down, or is up again.
    pub fn set_dark(&mut self, dark: bool) {
        self.dark = dark;
        self.unheard |= dark && self.has_just_hung_up();
    }

    /// A connector that its calls may go through goes down, or all of them are up again.
    pub fn set_cut_off(&mut self, cut_off: bool) {
        self.cut_off = cut_off;
        self.unheard |= cut_off && self.has_just_hung_up();
    }

    /// Whether it has no connection and needs one.
    pub fn is_disconnected(&self) -> bool {
        self.transport == Transport::Tcp && self.connection.is_none()
    }

    fn is_unheard(&self) -> bool {
        self.dark || self.cut_off || self.is_disconnected()
    }

    /// It has a connection (again): its calls go on there, and it registers.
    pub fn connected(&mut self, connection: ConnectionId) {
        self.connection = Some(connection);
        let flow = self.flow();
        let sessions: Vec<_> = self.calls.keys().copied().collect();
        for session in sessions {
            self.ua.move_session(now(), session, flow);
        }
        if let Some(seconds) = self.wants {
            self.register(seconds);
        }
    }

    /// A connection has ended. It opens another one where that was its own.
    pub fn disconnected(&mut self, connection: ConnectionId) {
        let flow = Flow {
            connection: Some(connection),
            ..self.flow()
        };
        if self.connection == Some(connection) {
            self.connection = None;
            self.unheard |= self.has_just_hung_up();
            let wait = Duration::from_millis(self.early.random_range(100..1_500));
            self.plans.push((wait, Act::Connect));
        }
        self.ua.flow_failed(now(), &flow);
    }

    /// The way to its server.
    pub fn flow(&self) -> Flow {
        Flow {
            transport: self.transport,
            listener: ListenerId(0),
            peer: self.server,
            connection: self.connection,
        }
    }

    fn has_just_hung_up(&self) -> bool {
        self.hung_up.is_some_and(|at| now() < at + LONGEST_REQUEST)
    }

    fn retire(&mut self) {
        self.retired = true;
        let sessions: Vec<_> = self.calls.keys().copied().collect();
        for session in sessions {
            self.ua.bye(now(), session, None);
        }
    }

    fn register(&mut self, seconds: u32) {
        self.wants = Some(seconds).filter(|seconds| *seconds > 0);
        let me: Arc<str> = self.dn().into();
        let contact = match self.transport {
            Transport::Udp => format!("<sip:{}@{}>", self.number, self.address),
            Transport::Tcp => format!("<sip:{}@{};transport=tcp>", self.number, self.address),
        };
        let request = OutgoingRequest {
            method: Method::Register,
            uri: format!("sip:{DOMAIN}").into(),
            flow: Some(self.flow()),
            from: (me.clone(), None),
            to: me,
            headers: vec![
                ("Contact".into(), contact.into()),
                ("Expires".into(), seconds.to_string().into()),
            ],
            body: None,
            credentials: Some(self.credentials()),
        };
        self.ua.request(now(), request);
    }

    fn dial(&mut self, number: &str, late_offer: bool, replaces: Option<String>) {
        let other: Arc<str> = if number.contains(':') {
            number.into()
        } else {
            format!("sip:{number}@{DOMAIN}").into()
        };
        let invite = Invite {
            uri: other.clone(),
            flow: Some(self.flow()),
            proxy: None,
            route: Vec::new(),
            from: (self.dn().into(), None),
            to: other,
            offer: if late_offer { None } else { self.description(None, false) },
            headers: replaces
                .map(|replaces| ("Replaces".into(), replaces.into()))
                .into_iter()
                .collect(),
            credentials: Some(self.credentials()),
        };
        let session = self.ua.invite(now(), invite);
        self.calls.insert(
            session,
            PhoneCall {
                stage: Stage::Dialling,
                late_offer,
                holds: false,
                held: false,
            },
        );
        if self.restless && self.rng.random_ratio(1, 4) {
            self.plan(12_000, Act::Cancel(session));
        }
    }

    fn credentials(&self) -> Credentials {
        let password = format!("demo-{}", self.number);
        Credentials {
            username: self.number.as_str().into(),
            password: password.into(),
            realm: None,
        }
    }

    /// What it offers, or answers to this offer.
    fn description(&mut self, offer: Option<&Bytes>, holds: bool) -> Option<Bytes> {
        self.descriptions += 1;
        // Some phones move their media now and then.
        let port = 40_000 + self.rng.random_range(0..3) * 2;
        let address = SocketAddr::new(self.address.ip(), port);
        let text = sdp::audio(address, u64::from(self.address.port()), self.descriptions);
        let text = String::from_utf8(text).ok()?.replace("a=sendrecv\r\n", "");
        let offered = |direction: &str| {
            let line = format!("a={direction}");
            offer.is_some_and(|offer| String::from_utf8_lossy(offer).lines().any(|text| text.trim() == line))
        };
        let (may_send, may_listen) = (
            !offered("sendonly") && !offered("inactive"),
            !offered("recvonly") && !offered("inactive"),
        );
        let direction = match (may_send, may_listen && !holds) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        };
        Some(format!("{text}a={direction}\r\n").into())
    }

    /// The dialog of a call that it has, as a Replaces header names it.
    pub fn last_dialog(&self) -> Option<String> {
        let ids = self
            .calls
            .keys()
            .rev()
            .filter_map(|session| self.ua.session_call_id(*session));
        ids.filter_map(|call_id| self.dialogs.get(call_id)).next().cloned()
    }

    /// A number that there may be.
    fn somebody(&mut self) -> u32 {
        self.rng.random_range(1001..1009)
    }

    /// What it writes into Refer-To: its other call, or a number.
    fn transfer_target(&mut self, session: SessionId) -> String {
        let mut others = self
            .calls
            .iter()
            .filter(|(id, call)| **id != session && call.stage == Stage::Talking);
        let other = others.next().and_then(|(id, _)| self.ua.session_call_id(*id));
        let replaces = other.and_then(|call_id| self.dialogs.get(call_id)).cloned();
        let number = self.somebody();
        match replaces {
            Some(replaces) => {
                let escaped = replaces.replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
                format!("<sip:{number}@{DOMAIN}?Replaces={escaped}>")
            }
            None => format!("<sip:{number}@{DOMAIN}>"),
        }
    }

    /// What goes out for what its user agent sends: an INFO that stands for a REFER is made one.
    pub fn outgoing(&mut self, bytes: Bytes) -> Bytes {
        self.remember(&bytes, true);
        let marker = format!("Content-Type: {REFER}\r\n");
        let Some(text) = std::str::from_utf8(&bytes)
            .ok()
            .filter(|text| text.starts_with("INFO ") && text.contains(&marker))
        else {
            return bytes;
        };
        let Some((head, target)) = text.split_once("\r\n\r\n") else {
            return bytes;
        };
        let lines = format!("{head}\r\n")
            .replacen("INFO ", "REFER ", 1)
            .replace(" INFO\r\n", " REFER\r\n");
        let lines = lines.replace(&marker, &format!("Refer-To: {target}\r\n"));
        let length = format!("Content-Length: {}\r\n", target.len());
        format!("{}\r\n", lines.replace(&length, "Content-Length: 0\r\n")).into()
    }

    /// What its user agent gets of what comes: the answer to a REFER is one to the INFO that stood for it.
    pub fn incoming_bytes(&mut self, bytes: Bytes) -> Bytes {
        self.remember(&bytes, false);
        let text = std::str::from_utf8(&bytes)
            .ok()
            .filter(|text| text.starts_with("SIP/2.0 ") && text.contains(" REFER\r\n"));
        text.map_or(bytes.clone(), |text| text.replace(" REFER\r\n", " INFO\r\n").into())
    }

    /// Takes note of a dialog in the answer to an INVITE.
    fn remember(&mut self, bytes: &Bytes, outgoing: bool) {
        let Some(text) = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| text.starts_with("SIP/2.0 ") && text.contains(" INVITE\r\n"))
        else {
            return;
        };
        let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let tag = |name: &str| {
            header(name)
                .split_once(";tag=")
                .map(|(_, tag)| tag.split(';').next().unwrap_or_default())
        };
        if let (Some(from), Some(to)) = (tag("From: "), tag("To: ")) {
            // The server's tag, then the phone's.
            let (server, phone) = if outgoing { (from, to) } else { (to, from) };
            let call_id = header("Call-ID: ");
            self.dialogs
                .insert(call_id.to_owned(), format!("{call_id};to-tag={server};from-tag={phone}"));
        }
    }

    /// Something within that many milliseconds.
    fn plan(&mut self, within_ms: u64, act: Act) {
        let wait = Duration::from_millis(self.rng.random_range(0..=within_ms));
        self.plans.push((wait, act));
    }

    /// There is early media: it may change its mind about its own before the answer.
    fn reconsider(&mut self, session: SessionId) {
        if self.restless && self.early.random_ratio(1, 2) {
            let wait = Duration::from_millis(self.early.random_range(0..2_000));
            self.plans.push((wait, Act::OfferEarly(session)));
        }
    }

    fn grow_restless(&mut self, session: SessionId, within_ms: u64) {
        if !self.restless {
            return;
        }
        if self.rng.random_ratio(1, 4) {
            self.plan(within_ms, Act::Hold(session, true));
            self.plan(within_ms * 2, Act::Hold(session, false));
        }
        if self.rng.random_ratio(1, 6) {
            self.plan(within_ms, Act::Refer(session));
        }
        if self.rng.random_ratio(1, 3) {
            let late_offer = self.rng.random_ratio(1, 4);
            self.plan(within_ms, Act::Reinvite(session, late_offer));
        }
        if !self.patient || self.rng.random_ratio(1, 8) {
            self.plan(within_ms * 2, Act::HangUp(session));
        }
    }

    /// Takes what its user agent tells.
    pub fn event(&mut self, event: UaEvent) {
        let at = now();
        match event {
            UaEvent::Incoming { session, .. } => self.incoming(session),
            UaEvent::Answered { session, .. } => {
                let late_offer = self.calls.get(&session).is_some_and(|call| call.late_offer);
                let offer = self.ua.session_remote_sdp(session).cloned();
                let answer = if late_offer {
                    self.description(offer.as_ref(), false)
                } else {
                    None
                };
                self.ua.ack(at, session, answer);
                if let Some(call) = self.calls.get_mut(&session) {
                    call.stage = Stage::Talking;
                    self.grow_restless(session, 20_000);
                }
            }
            UaEvent::Reinvited { session, offer } => {
                self.offers.insert(session, offer);
                match self.rng.random_range(0..12) {
                    0 if self.restless => self.ua.reject_reinvite(at, session, 488),
                    3 if self.restless => self.ua.reject_reinvite(at, session, 491),
                    1 | 2 if self.restless => self.plan(2_000, Act::AnswerReinvite(session)),
                    _ => self.act(Act::AnswerReinvite(session)),
                }
            }
            UaEvent::ReinviteAnswered { session, .. } => {
                let holds = self.agree(session);
                let answer = if self.late_reinvites.remove(&session) == Some(true) {
                    let offer = self.ua.session_remote_sdp(session).cloned();
                    self.description(offer.as_ref(), holds)
                } else {
                    None
                };
                self.ua.ack(at, session, answer);
            }
            UaEvent::Failed { session, status, .. } => self.over(session, status.to_string()),
            UaEvent::Cancelled { session, .. } => self.over(session, "cancelled".into()),
            UaEvent::Ended { session, by_peer, .. } => {
                // What it says of an end that it comes to by itself is not heard either.
                self.unheard |= !by_peer && self.is_unheard();
                self.over(session, "ended".into());
            }
            UaEvent::Request { id, request, .. } => {
                let status = if request.method() == Some(Method::Options) { 200 } else { 405 };
                self.ua.respond(at, id, status, &[], None);
            }
            UaEvent::Response { outcome, .. } => {
                self.registered = match outcome {
                    ClientOutcome::Response(response) => response.status(),
                    ClientOutcome::Timeout => Some(408),
                }
            }
            // The session stays as it was (RFC 3261 s.14.1), and so does the phone.
            UaEvent::ReinviteFailed { session, .. } => {
                if let Some(call) = self.calls.get_mut(&session) {
                    call.holds = call.held;
                }
            }
            UaEvent::Progress {
                session, sdp: Some(_), ..
            } => self.reconsider(session),
            UaEvent::Progress { .. } | UaEvent::Acked { .. } | UaEvent::Info { .. } => {}
            UaEvent::ReinviteCancelled { .. } => {}
            UaEvent::Referred { refer, .. } => self.ua.refer_progress(at, refer, 603),
            UaEvent::Talked { .. }
            | UaEvent::OutOfReach { .. }
            | UaEvent::Subscribed { .. }
            | UaEvent::SubscriptionRefreshed { .. }
            | UaEvent::SubscriptionEnded { .. } => {}
        }
    }

    /// An exchange is done, with what the phone says of hold in it.
    fn agree(&mut self, session: SessionId) -> bool {
        let Some(call) = self.calls.get_mut(&session) else {
            return false;
        };
        call.held = call.holds;
        call.holds
    }

    fn over(&mut self, session: SessionId, how: String) {
        assert!(
            !self.over.iter().any(|(known, _)| *known == session),
            "{}: session {session:?} ended twice",
            self.number
        );
        self.calls.remove(&session);
        self.over.push((session, how));
    }

    fn incoming(&mut self, session: SessionId) {
        self.calls.insert(
            session,
            PhoneCall {
                stage: Stage::Ringing,
                late_offer: false,
                holds: false,
                held: false,
            },
        );
        let manners = if self.retired {
            Manners::Refuse { status: 486 }
        } else {
            self.mood()
        };
        let now_or = |after_ms: u64, act| (Duration::from_millis(after_ms), act);
        match manners {
            Manners::Answer { after_ms } => {
                self.act(Act::Ring(session));
                self.plans.push(now_or(after_ms, Act::Answer(session)));
            }
            Manners::Immediate => self.act(Act::Answer(session)),
            Manners::EarlyMedia { after_ms } => {
                self.act(Act::EarlyMedia(session));
                self.reconsider(session);
                self.plans.push(now_or(after_ms, Act::Answer(session)));
            }
            Manners::Ring | Manners::Moody => self.act(Act::Ring(session)),
            Manners::Refuse { status } => self.act(Act::Refuse(session, status)),
            Manners::RingThenRefuse { after_ms, status } => {
                self.act(Act::Ring(session));
                self.plans.push(now_or(after_ms, Act::Refuse(session, status)));
            }
        }
    }

    fn mood(&mut self) -> Manners {
        if self.manners != Manners::Moody {
            return self.manners;
        }
        let after_ms = self.rng.random_range(0..8_000);
        let status = [486, 603, 480, 404, 500, 302][self.rng.random_range(0..6)];
        match self.rng.random_range(0..12) {
            0 => Manners::Immediate,
            1 => Manners::EarlyMedia { after_ms },
            2 => Manners::Ring,
            3 => Manners::Refuse { status },
            4 => Manners::RingThenRefuse { after_ms, status },
            _ => Manners::Answer { after_ms },
        }
    }
}
