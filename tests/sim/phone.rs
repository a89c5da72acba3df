//! A phone: a real user agent, and manners that say what it does when it is called.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tandem_actors::now;
use tandem_media::sdp;
use tandem_sip::flow::{ListenerId, Transport};
use tandem_sip::message::Method;
use tandem_sip::ua::{ClientOutcome, Credentials, Invite, Listener, OutgoingRequest, SessionId, UaConfig, UaEvent, UserAgent};

use super::wire::Wire;

/// The domain of every phone.
pub const DOMAIN: &str = "tandem.local";

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
    Cancel(SessionId),
    Reinvite(SessionId, bool),
    /// Hangs up one of its calls, in whatever state that is.
    HangUp(SessionId),
    /// Hangs up everything and takes nothing more.
    Retire,
    Dark(bool),
    Closed(bool),
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
    pub calls: BTreeMap<SessionId, PhoneCall>,
    /// Sessions that are over, with how: `ended`, `cancelled`, or the status.
    pub over: Vec<(SessionId, String)>,
    /// The status of its last REGISTER.
    pub registered: Option<u16>,
    /// What it decided to do later.
    pub plans: Vec<(Duration, Act)>,
    server: SocketAddr,
    rng: StdRng,
    retired: bool,
    descriptions: u64,
    late_reinvites: BTreeMap<SessionId, bool>,
}

impl Phone {
    pub fn new(index: usize, number: &str, domain: &'static str, address: SocketAddr, server: SocketAddr, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ (index as u64 + 1) << 32);
        let config = UaConfig {
            shard: 1000 + index as u16,
            product: "".into(),
            listeners: vec![Listener {
                id: ListenerId(0),
                transport: Transport::Udp,
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
            calls: BTreeMap::new(),
            over: Vec::new(),
            registered: None,
            plans: Vec::new(),
            server,
            rng,
            retired: false,
            descriptions: 0,
            late_reinvites: BTreeMap::new(),
        }
    }

    /// Who it says it is.
    pub fn dn(&self) -> String {
        format!("sip:{}@{}", self.number, self.domain)
    }

    /// Does one thing. What concerns the network is the world's.
    pub fn act(&mut self, act: Act) {
        let at = now();
        match act {
            Act::Register { seconds } => self.register(seconds),
            Act::Dial { number, late_offer } => self.dial(&number, late_offer),
            Act::Ring(session) => self.ua.progress(at, session, 180, None),
            Act::EarlyMedia(session) => {
                let description = self.description();
                self.ua.progress(at, session, 183, description);
            }
            Act::Answer(session) => {
                let description = self.description();
                if let Some(call) = self.calls.get_mut(&session) {
                    call.stage = Stage::Talking;
                    self.ua.accept(at, session, description);
                    self.grow_restless(session, 20_000);
                }
            }
            Act::Refuse(session, status) => self.ua.reject(at, session, status, &[]),
            Act::AnswerReinvite(session) => {
                let description = self.description();
                self.ua.accept_reinvite(at, session, description);
            }
            Act::Cancel(session) => {
                if self.calls.get(&session).is_some_and(|call| call.stage == Stage::Dialling) {
                    self.ua.cancel(at, session, None);
                }
            }
            Act::Reinvite(session, late_offer) => {
                if self.calls.get(&session).is_some_and(|call| call.stage == Stage::Talking) {
                    let offer = if late_offer { None } else { self.description() };
                    self.late_reinvites.insert(session, late_offer);
                    self.ua.reinvite(at, session, offer);
                }
            }
            Act::HangUp(session) => self.ua.bye(at, session, None),
            Act::Retire => self.retire(),
            Act::Dark(_) | Act::Closed(_) => {}
        }
    }

    fn retire(&mut self) {
        self.retired = true;
        let sessions: Vec<_> = self.calls.keys().copied().collect();
        for session in sessions {
            self.ua.bye(now(), session, None);
        }
    }

    fn register(&mut self, seconds: u32) {
        let me: Arc<str> = self.dn().into();
        let request = OutgoingRequest {
            method: Method::Register,
            uri: format!("sip:{DOMAIN}").into(),
            flow: Some(Wire::flow_to(self.server)),
            from: (me.clone(), None),
            to: me,
            headers: vec![
                ("Contact".into(), format!("<sip:{}@{}>", self.number, self.address).into()),
                ("Expires".into(), seconds.to_string().into()),
            ],
            body: None,
            credentials: Some(self.credentials()),
        };
        self.ua.request(now(), request);
    }

    fn dial(&mut self, number: &str, late_offer: bool) {
        let other: Arc<str> = if number.contains(':') {
            number.into()
        } else {
            format!("sip:{number}@{DOMAIN}").into()
        };
        let invite = Invite {
            uri: other.clone(),
            flow: Some(Wire::flow_to(self.server)),
            proxy: None,
            route: Vec::new(),
            from: (self.dn().into(), None),
            to: other,
            offer: if late_offer { None } else { self.description() },
            headers: Vec::new(),
            credentials: Some(self.credentials()),
        };
        let session = self.ua.invite(now(), invite);
        self.calls.insert(
            session,
            PhoneCall {
                stage: Stage::Dialling,
                late_offer,
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

    fn description(&mut self) -> Option<Bytes> {
        self.descriptions += 1;
        // Some phones move their media now and then.
        let port = 40_000 + self.rng.random_range(0..3) * 2;
        Some(
            sdp::audio(
                SocketAddr::new(self.address.ip(), port),
                u64::from(self.address.port()),
                self.descriptions,
            )
            .into(),
        )
    }

    /// Something within that many milliseconds.
    fn plan(&mut self, within_ms: u64, act: Act) {
        let wait = Duration::from_millis(self.rng.random_range(0..=within_ms));
        self.plans.push((wait, act));
    }

    fn grow_restless(&mut self, session: SessionId, within_ms: u64) {
        if !self.restless {
            return;
        }
        if self.rng.random_ratio(1, 3) {
            let late_offer = self.rng.random_ratio(1, 4);
            self.plan(within_ms, Act::Reinvite(session, late_offer));
        }
        self.plan(within_ms * 2, Act::HangUp(session));
    }

    /// Takes what its user agent tells.
    pub fn event(&mut self, event: UaEvent) {
        let at = now();
        match event {
            UaEvent::Incoming { session, .. } => self.incoming(session),
            UaEvent::Answered { session, .. } => {
                let late_offer = self.calls.get(&session).is_some_and(|call| call.late_offer);
                let answer = if late_offer { self.description() } else { None };
                self.ua.ack(at, session, answer);
                if let Some(call) = self.calls.get_mut(&session) {
                    call.stage = Stage::Talking;
                    self.grow_restless(session, 20_000);
                }
            }
            UaEvent::Reinvited { session, .. } => match self.rng.random_range(0..8) {
                0 if self.restless => self.ua.reject_reinvite(at, session, 488),
                1 | 2 if self.restless => self.plan(2_000, Act::AnswerReinvite(session)),
                _ => self.act(Act::AnswerReinvite(session)),
            },
            UaEvent::ReinviteAnswered { session, .. } => {
                let answer = if self.late_reinvites.remove(&session) == Some(true) {
                    self.description()
                } else {
                    None
                };
                self.ua.ack(at, session, answer);
            }
            UaEvent::Failed { session, status, .. } => self.over(session, status.to_string()),
            UaEvent::Cancelled { session, .. } => self.over(session, "cancelled".into()),
            UaEvent::Ended { session, .. } => self.over(session, "ended".into()),
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
            UaEvent::Progress { .. } | UaEvent::Acked { .. } | UaEvent::ReinviteFailed { .. } | UaEvent::Info { .. } => {}
            UaEvent::ReinviteCancelled { .. } => {}
            UaEvent::Referred { refer, .. } => self.ua.refer_progress(at, refer, 603),
            UaEvent::Subscribed { .. } | UaEvent::SubscriptionRefreshed { .. } | UaEvent::SubscriptionEnded { .. } => {}
        }
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
