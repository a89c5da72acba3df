//! The user agent core: what an actor holds to speak SIP (RFC 3261 s.8, 12 to 15, 17, 18 as far as they go without sockets; RFC 6026, 3581,
//! 3263, 3326, 3262, 3311, 4028; as a transfer's server RFC 3515, 3891, 3892, 4488, as a notifier RFC 6665).
//!
//! Messages, resolver answers, failures and the time go in; [`UaOutput`]s come out of [`UserAgent::poll`], in order. Invariants:
//!
//! * no clock is read and nothing is awaited: the same inputs and the same seed give the same outputs;
//! * every session ends with exactly one of `Failed`, `Cancelled` and `Ended`, and every request of ours with one `Response`;
//! * a command for a session that is over is ignored and counted, since commands and ends cross;
//! * every subscription that is handed up ends with exactly one `SubscriptionEnded`;
//! * what nobody answers goes away by its timers: 64*T1 after the last session and subscription ended, no transaction and no dialog is left
//!   (a transfer in progress is waited for as long once more, and its last NOTIFY is tried for twice that).
//!
//! What it does not do: authenticate peers, know DNs and calls, open connections, fragment over UDP (s.18.1.1: a request over the path MTU
//! goes out as it is), TLS, sending REFER, subscribing.
//!
//! | file | what |
//! |---|---|
//! | `client`, `server` | the transaction machines driven with bytes and timers |
//! | `draft`, `route` | a request before it has a way, and the ways |
//! | `invite`, `answer` | outgoing and incoming sessions up to the ACK |
//! | `reinvite`, `within` | what happens inside a session |
//! | `update`, `prack` | offers outside INVITE, reliable provisional responses |
//! | `refresh` | session timers |
//! | `snapshot`, `restore`, `stray` | sessions that outlive the process, and what comes for those that did not |
//! | `refer`, `replaces`, `talk` | transfers that a peer asks for, the dialogs they name, phones asked to answer |
//! | `subscription` | subscriptions of peers |
//! | `outside` | requests outside sessions |
//! | `sessions` | what is kept of a session, and its end |

pub mod api;

mod answer;
mod client;
mod device;
mod draft;
mod early;
mod ident;
mod invite;
mod outside;
mod prack;
mod refer;
mod refresh;
mod reinvite;
mod replaces;
mod restore;
mod route;
mod server;
mod sessions;
mod snapshot;
mod stray;
mod subscription;
mod table;
mod talk;
mod update;
mod within;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;

pub use api::*;
pub use early::EarlySnapshot;
pub use ident::{owner, tag_owner};
pub use replaces::{may_replace, replaces_of};
pub use restore::RestoreError;
pub(crate) use route::hop_of;
pub use snapshot::SessionSnapshot;
pub use subscription::SubscriptionSnapshot;

use crate::flow::Flow;
use crate::message::{Message, Method};
use crate::transaction::timer::{Timer, TimerTable, Timing};
use client::{ClientKey, ClientTransaction};
use device::SessionsOf;
use route::Closed;
use server::{ServerKey, ServerTransaction};
use sessions::{Phase, Resolving};
use stray::Strays;
use subscription::Subscriptions;
use table::Sessions;

/// How long a caller that was turned away should wait.
const RETRY_AFTER_SECONDS: u8 = 5;

/// Whose timer it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Owner {
    Client(ClientKey),
    Server(ServerKey),
    Session(SessionId),
    Subscription(SubscriptionId),
}

/// A SIP user agent for any number of sessions. See the module for what it promises.
pub struct UserAgent {
    config: UaConfig,
    timing: Timing,
    rng: StdRng,
    last_id: u64,
    /// Bounded by what one input makes; the shell drains it after each.
    outputs: VecDeque<UaOutput>,
    timers: TimerTable<Owner>,
    /// Boxed, as are the servers: there are many for a short while, and the tables never shrink.
    clients: HashMap<ClientKey, Box<ClientTransaction>>,
    /// Requests that wait for their first response, by peer, for failures of its flow.
    awaiting: BTreeSet<(SocketAddr, ClientKey)>,
    /// Requests that wait for the resolver.
    resolving: Resolving,
    servers: HashMap<ServerKey, Box<ServerTransaction>>,
    server_index: HashMap<Arc<str>, ServerKey>,
    merge_index: HashMap<Arc<str>, ServerKey>,
    /// Requests that the shell has to answer.
    requests: HashMap<ServerRequestId, (ServerKey, Message)>,
    sessions: Sessions,
    early_changes: Vec<(SessionId, Option<EarlySnapshot>)>,
    by_tag: HashMap<u64, SessionId>,
    sessions_of: SessionsOf,
    /// INVITEs that the process before answered and that have no ACK, for their copies; each is dropped with its session.
    answered: HashMap<Arc<str>, SessionId>,
    /// When the last restored session is asked whether its peer is there.
    next_probe: Option<Instant>,
    probe_spacing: Duration,
    strays: Strays,
    subscriptions: Subscriptions,
    /// Sessions that the shell knows.
    live_sessions: usize,
    /// Dialogs of all sessions, so that the shell may ask for [`UserAgent::stats`] at any time.
    dialogs: usize,
    closed: Closed,
    scratch: String,
    stats: UaStats,
}

impl UserAgent {
    /// A user agent without sessions. `rng` makes tags, branches and Call-IDs: seed it well, since guessing them is forging.
    pub fn new(config: UaConfig, rng: StdRng) -> Self {
        let timing = Timing {
            t1: config.t1,
            t2: config.t2,
            t4: config.t4,
            c: config.invite_timeout,
        };
        Self {
            config,
            timing,
            rng,
            last_id: 0,
            outputs: VecDeque::new(),
            timers: TimerTable::default(),
            clients: HashMap::new(),
            awaiting: BTreeSet::new(),
            resolving: HashMap::new(),
            servers: HashMap::new(),
            server_index: HashMap::new(),
            merge_index: HashMap::new(),
            requests: HashMap::new(),
            sessions: Sessions::default(),
            early_changes: Vec::new(),
            by_tag: HashMap::new(),
            sessions_of: SessionsOf::default(),
            answered: HashMap::new(),
            next_probe: None,
            probe_spacing: restore::PROBE_SPACING,
            strays: Strays::default(),
            subscriptions: Subscriptions::default(),
            live_sessions: 0,
            dialogs: 0,
            closed: Closed::default(),
            scratch: String::new(),
            stats: UaStats::default(),
        }
    }

    /// An empty user agent in the place of this one: it knows none of its sessions, and its ids go on where these end, so that an answer
    /// to the old one's question is never taken for an answer to the new one's.
    pub fn successor(&self, rng: StdRng) -> Self {
        let mut successor = Self {
            last_id: self.last_id,
            probe_spacing: self.probe_spacing,
            ..Self::new(self.config.clone(), rng)
        };
        successor.set_notifier(self.subscriptions.notifier.clone());
        successor
    }

    /// Takes a message that came over `flow`.
    pub fn receive(&mut self, now: Instant, flow: Flow, message: Message) {
        match message.method() {
            Some(method) => self.receive_request(now, flow, message, method),
            None => self.receive_response(now, flow, &message),
        }
    }

    fn receive_request(&mut self, now: Instant, flow: Flow, request: Message, method: Method) {
        if let Err(violation) = request.validate() {
            self.stats.dropped += 1;
            if violation.respond {
                self.refuse_stateless(flow, &request, violation.status, Some(&violation.reason), None);
            }
            return;
        }
        if self.switched_off(&request).is_some() {
            return self.refuse_stateless(flow, &request, 420, None, None);
        }
        match method {
            Method::Ack => return self.receive_ack(now, &request),
            Method::Cancel => return self.receive_cancel(now, flow, &request),
            _ => {}
        }
        if let Some(known) = self.server_of(&request, &method) {
            return self.retransmitted(now, known);
        }
        if method == Method::Invite && self.answer_again(now, flow, &request) {
            return;
        }
        if self.is_full_for(&request) {
            self.stats.dropped += 1;
            if flow.transport.is_reliable() {
                self.refuse_stateless(flow, &request, 503, None, Some(RETRY_AFTER_SECONDS));
            }
            return;
        }
        if request.to().is_ok_and(|to| to.tag().is_some()) && method != Method::Register {
            return self.receive_within(now, flow, request, &method);
        }
        if self.is_merged(&request) || self.is_our_own(&request) {
            return self.answer(now, flow, &request, &method, 482);
        }
        match method {
            Method::Invite => self.receive_invite(now, flow, request),
            // They have a meaning in a dialog only.
            Method::Bye | Method::Prack | Method::Update => self.answer_stateless(flow, &request, &method, 481),
            Method::Options | Method::Register | Method::Message | Method::Info => self.hand_up(now, flow, request, &method),
            Method::Subscribe => self.receive_subscribe(now, flow, request),
            // Who may have a call transferred is known by the call.
            Method::Refer => self.answer_stateless(flow, &request, &method, 403),
            // RFC 3261 s.21.5.2: 501 for a method that no user agent of ours knows, 405 for one that is known and not allowed.
            Method::Other(_) => self.answer(now, flow, &request, &method, 501),
            _ => self.answer_stateless(flow, &request, &method, 405),
        }
    }

    /// Whether an INVITE is one of ours that came back as it went: whoever we sent it to sent it here (a loop, and not the spiral that has
    /// another Request-URI, RFC 3261 s.16.3). Behind other shards Max-Forwards ends it.
    fn is_our_own(&self, request: &Message) -> bool {
        let tag = request.from().ok().and_then(|from| ident::parse_tag(from.tag()?));
        let Some((_, key)) = tag.filter(|(shard, _)| *shard == self.config.shard) else {
            return false;
        };
        let session = self.by_tag.get(&key).and_then(|id| self.sessions.get(id));
        let calling = session.and_then(|session| session.calling.as_ref());
        let ours = calling.and_then(|calling| self.clients.get(&calling.transaction?));
        let sent = ours.and_then(|transaction| Message::parse(transaction.request.clone()).ok());
        sent.is_some_and(|sent| sent.uri() == request.uri() && sent.call_id() == request.call_id())
    }

    /// Whether there is no room for a new request. Sessions that are there are served on, up to twice the limit: a flood of strangers must
    /// not keep a call from ending.
    fn is_full_for(&self, request: &Message) -> bool {
        let (taken, limit) = (self.servers.len(), self.config.max_transactions);
        taken >= limit && (taken >= limit.saturating_mul(2) || self.session_of(request).is_none())
    }

    /// A flow failed: a connection closed or could not be opened, or an ICMP error came for a datagram. Requests that wait for their first
    /// response over it are tried elsewhere or fail with 503.
    pub fn flow_failed(&mut self, now: Instant, flow: &Flow) {
        if let Some(connection) = flow.connection {
            self.closed.insert(connection);
        }
        self.fail_clients(now, flow);
    }

    /// The resolver's answer, in order of preference; empty where it found nothing. Hops are tried in that order on failure, timeout and 503
    /// (RFC 3263 s.4.3).
    pub fn resolved(&mut self, now: Instant, id: ResolveId, hops: Vec<Hop>) {
        let Some((mut draft, user)) = self.resolving.remove(&id) else {
            self.stats.commands_ignored += 1;
            return;
        };
        draft.path.hops = hops.into();
        if self.may_retry(user) {
            self.launch(now, draft, user);
        }
    }

    /// Fires every timer that is due.
    pub fn timeout(&mut self, now: Instant) {
        while let Some((owner, timer)) = self.timers.expired(now) {
            match (owner, timer) {
                (Owner::Client(key), _) => self.client_timer(now, key, timer),
                (Owner::Server(key), _) => self.server_timer(now, key, timer),
                (Owner::Session(id), Timer::C) => self.invite_expired(now, id),
                (Owner::Session(id), Timer::Cancel) => self.cancel_expired(now, id),
                (Owner::Session(id), Timer::Success) => self.repeat_success(now, id),
                (Owner::Session(id), Timer::NoAck) => self.ack_expired(now, id),
                (Owner::Session(id), Timer::Refresh) => self.refresh_progress(now, id),
                (Owner::Session(id), Timer::Glare) => self.glare_over(now, id),
                (Owner::Session(id), Timer::Reliable) => self.repeat_reliable(now, id),
                (Owner::Session(id), Timer::NoPrack) => self.prack_expired(now, id),
                (Owner::Session(id), Timer::Answer) => self.answer_expired(now, id),
                (Owner::Session(id), Timer::Renew) => self.refresh_due(now, id),
                (Owner::Session(id), Timer::Overdue) => self.session_expired(now, id),
                (Owner::Session(id), Timer::Probe) => self.probe_due(now, id),
                (Owner::Subscription(id), _) => self.subscription_expired(now, id),
                (Owner::Session(_), _) => {}
            }
        }
    }

    /// When [`UserAgent::timeout`] is due next.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<UaOutput> {
        self.outputs.pop_front()
    }

    /// What was counted and what is there.
    pub fn stats(&self) -> UaStats {
        UaStats {
            transactions_active: self.clients.len() + self.servers.len(),
            sessions_active: self.live_sessions,
            dialogs_active: self.dialogs,
            subscriptions_active: self.subscriptions.open.len(),
            ..self.stats
        }
    }

    /// The Call-ID of a session.
    pub fn session_call_id(&self, id: SessionId) -> Option<&str> {
        self.sessions.get(&id).map(|session| &*session.call_id)
    }

    /// The last session description of the peer, where the session still lives.
    pub fn session_remote_sdp(&self, id: SessionId) -> Option<&Bytes> {
        self.sessions
            .get(&id)
            .filter(|session| session.phase != Phase::Ending)?
            .remote_sdp
            .as_ref()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn drop_message(&mut self) {
        self.stats.dropped += 1;
    }
}
