//! Two user agents and a network in virtual time, all from one seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::anchor::Anchor;
use crate::flow::{ConnectionId, Flow, ListenerId, Transport};
use crate::message::{Message, Method};
use crate::ua::client::ClientUser;
use crate::ua::sessions::Phase;
use crate::ua::*;

pub(super) const SDP: &[u8] =
    b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

pub(super) fn sdp() -> Option<Bytes> {
    Some(Bytes::from_static(SDP))
}

/// Another description, for each number.
pub(super) fn other_sdp(number: u16) -> Option<Bytes> {
    let text = std::str::from_utf8(SDP)
        .unwrap()
        .replace("4000", &(4000 + 2 * number).to_string());
    Some(text.into())
}

pub(super) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn address(agent: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, agent as u8 + 1], 5060))
}

pub(super) fn config(agent: usize) -> UaConfig {
    let listener = |id, transport| Listener {
        id: ListenerId(id),
        transport,
        advertised: address(agent),
    };
    UaConfig {
        shard: agent as u16,
        product: "".into(),
        listeners: vec![listener(0, Transport::Udp), listener(1, Transport::Tcp)],
        max_sessions: 1000,
        max_transactions: 10_000,
        ..UaConfig::default()
    }
}

pub(super) fn invite_to(uri: &str) -> Invite {
    Invite {
        uri: uri.into(),
        flow: None,
        proxy: None,
        route: Vec::new(),
        from: ("sip:alice@tandem.test".into(), Some("Alice".into())),
        to: "sip:bob@tandem.test".into(),
        offer: sdp(),
        headers: Vec::new(),
        credentials: None,
    }
}

/// A message on the wire: to whom, over which connection.
struct Arriving {
    to: usize,
    connection: u64,
    bytes: Bytes,
}

/// Says whether a message from that agent is lost.
pub(super) type Lose = Box<dyn FnMut(usize, &Message) -> bool>;

pub(super) struct Rig {
    pub now: Instant,
    pub agents: [UserAgent; 2],
    pub rng: StdRng,
    /// Per mille.
    pub loss: u32,
    /// Per mille.
    pub duplication: u32,
    /// Per mille: so many messages arrive a second time with some bytes changed.
    pub garbling: u32,
    /// The one stream connection between the two.
    pub connection: u64,
    pub latency_ms: Range<u64>,
    pub lose: Lose,
    pub transport: Transport,
    /// Every event, by agent.
    pub events: [Vec<UaEvent>; 2],
    /// Every message that was sent, as `0 INVITE` or `1 200 INVITE`.
    pub sent: Vec<String>,
    /// What outlives each agent, written before anything is sent.
    pub journal: [BTreeMap<SessionId, Vec<u8>>; 2],
    pub anchor: Anchor,
    /// That agent is killed when it has something to send: before it has written down what changed, or after.
    pub dying: Option<(usize, bool)>,
    /// What came back after that.
    pub reborn: Option<(usize, Vec<SessionId>)>,
    configs: [UaConfig; 2],
    /// Whether the messages themselves are kept.
    pub recorded: Option<Vec<(usize, Message)>>,
    wire: BTreeMap<(Instant, u64), Arriving>,
    sequence: u64,
}

impl Rig {
    pub fn new(seed: u64) -> Self {
        Self::with(seed, |_, _| {})
    }

    /// With a change to the configuration of each agent.
    pub fn with(seed: u64, mut change: impl FnMut(usize, &mut UaConfig)) -> Self {
        let mut configs = [config(0), config(1)];
        for (index, config) in configs.iter_mut().enumerate() {
            change(index, config);
        }
        let agent = |index: usize| UserAgent::new(configs[index].clone(), StdRng::seed_from_u64(seed * 2 + index as u64));
        let now = Instant::now();
        Self {
            now,
            agents: [agent(0), agent(1)],
            journal: [BTreeMap::new(), BTreeMap::new()],
            anchor: (now, UNIX_EPOCH + Duration::from_secs(1_800_000_000)),
            dying: None,
            reborn: None,
            configs,
            rng: StdRng::seed_from_u64(seed),
            loss: 0,
            duplication: 0,
            garbling: 0,
            connection: 1,
            latency_ms: 5..6,
            lose: Box::new(|_, _| false),
            transport: Transport::Udp,
            events: [Vec::new(), Vec::new()],
            sent: Vec::new(),
            recorded: None,
            wire: BTreeMap::new(),
            sequence: 0,
        }
    }

    pub fn invite(&mut self, from: usize) -> SessionId {
        let suffix = if self.transport == Transport::Tcp {
            ";transport=tcp"
        } else {
            ""
        };
        let invite = invite_to(&format!("sip:bob@{}{suffix}", address(1 - from)));
        self.agents[from].invite(self.now, invite)
    }

    /// Carries out what the agents want done. Gives the events that came of it.
    pub fn flush(&mut self) -> Vec<(usize, UaEvent)> {
        let mut events = Vec::new();
        for agent in 0..2 {
            let outputs: Vec<UaOutput> = std::iter::from_fn(|| self.agents[agent].poll()).collect();
            let sends = outputs.iter().any(|output| matches!(output, UaOutput::Send { .. }));
            let dying = self.dying.filter(|(dying, _)| *dying == agent && sends);
            if dying.is_none_or(|(_, committed)| committed) {
                self.commit(agent);
            }
            if dying.is_some() {
                self.dying = None;
                self.reborn = Some((agent, self.kill(agent)));
                continue;
            }
            for output in outputs {
                match output {
                    UaOutput::Send { flow, bytes } => self.send(agent, flow, bytes),
                    UaOutput::Resolve { id, .. } => self.agents[agent].resolved(self.now, id, Vec::new()),
                    UaOutput::Event(event) => {
                        self.events[agent].push(event.clone());
                        events.push((agent, event));
                    }
                }
            }
        }
        events
    }

    /// Writes down what changed.
    pub fn commit(&mut self, agent: usize) {
        for (id, snapshot) in self.agents[agent].take_changes(self.anchor) {
            match snapshot {
                Some(snapshot) => {
                    let bytes = rmp_serde::to_vec_named(&snapshot).unwrap();
                    let before = self.journal[agent].insert(id, bytes);
                    let now = &self.journal[agent][&id];
                    assert_ne!(before.as_ref(), Some(now), "a change changes something");
                }
                None => assert!(
                    self.journal[agent].remove(&id).is_some(),
                    "what was not kept is not told to be over"
                ),
            }
        }
    }

    /// An agent is killed and another one takes its place, with what was written down. What it had not sent yet it never sends.
    pub fn kill(&mut self, agent: usize) -> Vec<SessionId> {
        if self.transport == Transport::Tcp {
            self.fail();
        }
        let mut next = UserAgent::new(self.configs[agent].clone(), StdRng::seed_from_u64(self.rng.random()));
        let kept: Vec<_> = self.journal[agent].iter().map(|(id, bytes)| (*id, bytes.clone())).collect();
        for (id, bytes) in &kept {
            let snapshot: SessionSnapshot = rmp_serde::from_slice(bytes).unwrap();
            next.restore_session(self.now, self.anchor, *id, snapshot).unwrap();
        }
        self.agents[agent] = next;
        kept.into_iter().map(|(id, _)| id).collect()
    }

    fn send(&mut self, from: usize, flow: Flow, bytes: Bytes) {
        let garbled = self.garbling > 0;
        if garbled && flow.peer != address(1 - from) {
            return;
        }
        assert_eq!(flow.peer, address(1 - from));
        let Ok(message) = Message::parse(bytes.clone()) else {
            assert!(garbled, "what we send can be read");
            return;
        };
        let cseq = message
            .cseq()
            .map_or_else(|_| "?".to_owned(), |(_, method)| method.to_string());
        match message.status() {
            Some(status) => self.sent.push(format!("{from} {status} {cseq}")),
            None => self.sent.push(format!("{from} {cseq}")),
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.push((from, message.clone()));
        }
        if (self.lose)(from, &message) || self.rng.random_range(0..1000) < self.loss {
            return;
        }
        let copies = if self.rng.random_range(0..1000) < self.duplication {
            2
        } else {
            1
        };
        for _ in 0..copies {
            self.put_on_wire(1 - from, bytes.clone());
        }
        if self.rng.random_range(0..1000) < self.garbling {
            let mut changed = bytes.to_vec();
            for _ in 0..self.rng.random_range(1..6) {
                let at = self.rng.random_range(0..changed.len());
                changed[at] = self.rng.random_range(32..127);
            }
            self.put_on_wire(1 - from, changed.into());
        }
    }

    fn put_on_wire(&mut self, to: usize, bytes: Bytes) {
        let arrival = self.now + ms(self.rng.random_range(self.latency_ms.clone()));
        self.sequence += 1;
        self.wire.insert(
            (arrival, self.sequence),
            Arriving {
                to,
                connection: self.connection,
                bytes,
            },
        );
    }

    /// The flow that messages to an agent come over.
    fn flow_to(&self, to: usize) -> Flow {
        let stream = self.transport == Transport::Tcp;
        Flow {
            transport: self.transport,
            listener: ListenerId(u16::from(stream)),
            peer: address(1 - to),
            connection: stream.then_some(ConnectionId(self.connection)),
        }
    }

    /// The connection closes, with what is on it; over UDP an ICMP error comes.
    pub fn fail(&mut self) {
        for agent in 0..2 {
            let flow = self.flow_to(agent);
            self.agents[agent].flow_failed(self.now, &flow);
        }
        self.connection += 1;
    }

    /// Moves time to the next arrival or timer, `limit` at most. Gives the events that came of it, `None` at the limit.
    pub fn step(&mut self, limit: Instant) -> Option<Vec<(usize, UaEvent)>> {
        let pending = self.flush();
        if !pending.is_empty() {
            return Some(pending);
        }
        let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
        let timers = self.agents.iter().filter_map(UserAgent::next_timeout).min();
        let Some(next) = arrival.into_iter().chain(timers).min().filter(|next| *next <= limit) else {
            self.now = limit;
            return None;
        };
        self.now = self.now.max(next);
        if arrival == Some(next)
            && let Some((_, Arriving { to, connection, bytes })) = self.wire.pop_first()
        {
            let flow = self.flow_to(to);
            let is_lost = self.transport == Transport::Tcp && connection != self.connection;
            match Message::parse(bytes) {
                Ok(message) if !is_lost => self.agents[to].receive(self.now, flow, message),
                Ok(_) => {}
                Err(error) => assert!(self.garbling > 0, "what we send can be read: {error}"),
            }
        }
        for agent in &mut self.agents {
            agent.timeout(self.now);
        }
        Some(self.flush())
    }

    /// Lets time pass; events are only noted.
    pub fn run(&mut self, duration: Duration) {
        let limit = self.now + duration;
        while self.step(limit).is_some() {}
    }

    /// Lets time pass until an agent has an event that fits; gives what the probe took from it.
    pub fn wait<T>(&mut self, agent: usize, probe: impl Fn(&UaEvent) -> Option<T>) -> T {
        let limit = self.now + Duration::from_secs(300);
        let mut seen = 0;
        loop {
            if let Some(found) = self.events[agent][seen..].iter().rev().find_map(&probe) {
                self.events[agent].clear();
                return found;
            }
            seen = self.events[agent].len();
            assert!(
                self.step(limit).is_some(),
                "it never came; sent: {:?}, events: {:?}",
                self.sent,
                self.events
            );
        }
    }

    /// Agent 0 calls agent 1, which answers: (the caller's session, the callee's).
    pub fn talk(&mut self) -> (SessionId, SessionId) {
        let caller = self.invite(0);
        let callee = self.wait(1, incoming);
        self.agents[1].accept(self.now, callee, sdp());
        self.wait(0, answered);
        self.agents[0].ack(self.now, caller, None);
        self.wait(1, acked);
        self.sent.clear();
        (caller, callee)
    }

    /// Lets every timer run out: nothing may be left. Gives the terminal events of both agents.
    pub fn settle(&mut self) -> [Vec<String>; 2] {
        self.run(Duration::from_secs(300));
        for agent in &self.agents {
            agent.assert_empty();
        }
        self.events
            .each_ref()
            .map(|events| events.iter().filter_map(terminal).map(|(_, text)| text).collect())
    }

    pub fn count(&self, line: &str) -> usize {
        self.sent.iter().filter(|sent| *sent == line).count()
    }
}

/// The session and the name of a terminal event.
pub(super) fn terminal(event: &UaEvent) -> Option<(SessionId, String)> {
    match event {
        UaEvent::Failed { session, status, .. } => Some((*session, format!("Failed {status}"))),
        UaEvent::Cancelled { session, .. } => Some((*session, "Cancelled".to_owned())),
        UaEvent::Ended { session, by_peer, .. } => {
            Some((*session, format!("Ended {}", if *by_peer { "by peer" } else { "here" })))
        }
        _ => None,
    }
}

pub(super) fn incoming(event: &UaEvent) -> Option<SessionId> {
    if let UaEvent::Incoming { session, .. } = event {
        Some(*session)
    } else {
        None
    }
}

pub(super) fn answered(event: &UaEvent) -> Option<SessionId> {
    if let UaEvent::Answered { session, .. } = event {
        Some(*session)
    } else {
        None
    }
}

pub(super) fn acked(event: &UaEvent) -> Option<SessionId> {
    if let UaEvent::Acked { session, .. } = event {
        Some(*session)
    } else {
        None
    }
}

pub(super) fn progress(event: &UaEvent) -> Option<u16> {
    if let UaEvent::Progress { status, .. } = event {
        Some(*status)
    } else {
        None
    }
}

pub(super) fn reinvited(event: &UaEvent) -> Option<SessionId> {
    if let UaEvent::Reinvited { session, .. } = event {
        Some(*session)
    } else {
        None
    }
}

pub(super) fn reinvite_answered(event: &UaEvent) -> Option<SessionId> {
    if let UaEvent::ReinviteAnswered { session, .. } = event {
        Some(*session)
    } else {
        None
    }
}

pub(super) fn reinvite_failed(event: &UaEvent) -> Option<u16> {
    if let UaEvent::ReinviteFailed { status, .. } = event {
        Some(*status)
    } else {
        None
    }
}

pub(super) fn any_terminal(event: &UaEvent) -> Option<String> {
    terminal(event).map(|(_, text)| text)
}

pub(super) fn header(name: &str, value: &str) -> (Arc<str>, Arc<str>) {
    (name.into(), value.into())
}

impl UserAgent {
    /// In no session are two offers open, one of each side or two of the peer.
    pub(super) fn assert_one_offer(&self) {
        for (_, session) in self.sessions.iter() {
            let invited = session.phase == sessions::Phase::Talking && session.pending.is_some();
            let ours = session.reinvite.as_ref().is_some_and(|reinvite| reinvite.is_open_offer());
            let open = [invited, session.offered.is_some(), ours];
            assert!(
                open.iter().filter(|open| **open).count() <= 1,
                "re-INVITE, UPDATE, ours: {open:?} in {:?}",
                session.call_id
            );
        }
    }

    /// Asks the peer for a transfer, as a phone does: what the user agent itself never sends.
    pub(super) fn send_refer(&mut self, now: Instant, id: SessionId, refer_to: &str, more: &[(&str, &str)]) {
        if self.sessions.get(&id).is_none_or(|session| session.phase != Phase::Talking) {
            return;
        }
        let Some(mut draft) = self.in_dialog(id, Method::Refer, None) else {
            return;
        };
        draft.headers.push(header("Refer-To", refer_to));
        draft.headers.extend(more.iter().map(|(name, value)| header(name, value)));
        self.launch(now, draft, ClientUser::Nobody);
    }

    /// No session, dialog, transaction, timer or index entry is left.
    pub(super) fn assert_empty(&self) {
        let left = [
            self.clients.len(),
            self.awaiting.len(),
            self.resolving.len(),
            self.servers.len(),
            self.server_index.len(),
            self.merge_index.len(),
            self.requests.len(),
            self.sessions.len(),
            self.by_tag.len(),
            self.subscriptions.len(),
            self.live_sessions,
            self.dialogs,
            self.timers.len(),
            self.answered.len(),
            self.sessions_of.len(),
        ];
        assert_eq!(
            left, [0; 15],
            "clients, awaiting, resolving, servers, 2 indexes, requests, sessions, tags, subscriptions, live, dialogs, timers, answered, devices"
        );
    }
}
