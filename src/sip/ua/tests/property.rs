//! Random calls over a network that loses, delays, reorders, duplicates, garbles and breaks, from a seed: every session ends with exactly one
//! terminal event, nothing follows it, and nothing is left when the timers have run out. On the wire each INVITE has one final response and
//! each reliable provisional response one PRACK; in a session no two offers are open. In half of the runs an agent is killed and comes back with
//! what it had written down: that changes nothing, but for the calls that were not answered.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::rig::*;
use crate::flow::Transport;
use crate::message::{HeaderName, Message, Method};
use crate::ua::*;

/// How many seeds a test run tries; `TANDEM_SIP_SEEDS` sets another number.
const SEEDS: u64 = 400;

#[derive(Clone, Copy, Debug)]
enum Act {
    Call,
    Progress(SessionId),
    EarlyMedia(SessionId),
    Accept(SessionId),
    Reject(SessionId),
    Ack(SessionId),
    Cancel(SessionId),
    Reinvite(SessionId),
    AcceptReinvite(SessionId),
    RejectReinvite(SessionId),
    Info(SessionId),
    Talk(SessionId),
    Refer(SessionId),
    ReferProgress(ReferKey, u16),
    Bye(SessionId),
    Fail,
    Kill,
    KillBeforeSending(bool),
}

/// Two shells that do as the dice say.
struct Chaos {
    rig: Rig,
    plan: BTreeMap<(Instant, u64), (usize, Act)>,
    sequence: u64,
    /// The terminal events of each session.
    ends: [HashMap<SessionId, Vec<String>>; 2],
    /// The Call-IDs of sessions that came back: nobody calls with them.
    restored: HashSet<String>,
    killed: bool,
    /// Everybody hangs up, also on what a garbled re-INVITE still opens.
    closing: bool,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut rig = Rig::with(seed, |_, config| {
            use ReliableProvisionals::{Off, Required, Supported};
            config.reliable_provisionals = [Supported, Supported, Required, Off][dice.random_range(0..4)];
            config.session_expires = Duration::from_secs([0, 10, 20, 1800][dice.random_range(0..4)]);
            config.min_se = Duration::from_secs([8, 15][dice.random_range(0..2)]);
        });
        rig.recorded = Some(Vec::new());
        rig.loss = [0, 50, 200, 400][rig.rng.random_range(0..4)];
        rig.duplication = [0, 100, 300][rig.rng.random_range(0..3)];
        rig.latency_ms = 1..[5, 50, 800][rig.rng.random_range(0..3)];
        if rig.loss == 0 && rig.rng.random_bool(0.5) {
            rig.transport = Transport::Tcp;
        }
        if rig.rng.random_bool(0.2) {
            rig.garbling = 200;
        }
        Self {
            rig,
            plan: BTreeMap::new(),
            sequence: 0,
            ends: [HashMap::new(), HashMap::new()],
            restored: HashSet::new(),
            killed: false,
            closing: false,
        }
    }

    fn plan(&mut self, agent: usize, act: Act, within_ms: u64) {
        let at = self.rig.now + ms(self.rig.rng.random_range(0..within_ms));
        self.sequence += 1;
        self.plan.insert((at, self.sequence), (agent, act));
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rig.rng.random_range(0..100) < percent
    }

    /// What a session may do once it is there.
    fn plan_session(&mut self, agent: usize, session: SessionId) {
        for (act, percent) in [
            (Act::Reinvite(session), 40),
            (Act::Reinvite(session), 20),
            (Act::Reinvite(session), 20),
            (Act::Info(session), 20),
            (Act::Talk(session), 15),
            (Act::Refer(session), 30),
            (Act::Refer(session), 15),
            (Act::Cancel(session), 10),
            (Act::Bye(session), 30),
            (Act::Bye(session), 10),
            (Act::Ack(session), 5),
            (Act::Accept(session), 5),
            (Act::RejectReinvite(session), 5),
        ] {
            if self.chance(percent) {
                self.plan(agent, act, 6000);
            }
        }
    }

    fn carry_out(&mut self, agent: usize, act: Act) {
        let now = self.rig.now;
        if let Act::Call = act {
            let session = self.rig.invite(agent);
            self.ends[agent].insert(session, Vec::new());
            return self.plan_session(agent, session);
        }
        if let Act::Fail = act {
            return self.rig.fail();
        }
        match act {
            Act::Kill => {
                self.rig.dying = None;
                self.rig
                    .flush()
                    .into_iter()
                    .for_each(|(agent, event)| self.react(agent, event));
                let kept = self.rig.kill(agent);
                return self.come_back(agent, kept);
            }
            Act::KillBeforeSending(committed) => return self.rig.dying = Some((agent, committed)),
            _ => {}
        }
        // Few, so that some say what was said before.
        let sdp = || other_sdp(self.sequence as u16 % 3);
        let ua = &mut self.rig.agents[agent];
        match act {
            Act::Call | Act::Fail | Act::Kill | Act::KillBeforeSending(_) => {}
            Act::Progress(session) => ua.progress(now, session, 180, None),
            Act::EarlyMedia(session) => ua.progress(now, session, 183, sdp()),
            Act::Accept(session) => ua.accept(now, session, sdp()),
            Act::Reject(session) => ua.reject(now, session, 486, &[]),
            Act::Ack(session) => ua.ack(now, session, None),
            Act::Cancel(session) => ua.cancel(now, session, None),
            Act::Reinvite(session) => ua.reinvite(now, session, sdp()),
            Act::AcceptReinvite(session) => ua.accept_reinvite(now, session, sdp()),
            Act::RejectReinvite(session) => ua.reject_reinvite(now, session, 488),
            Act::Info(session) => ua.info(now, session, "text/plain", "x".into()),
            Act::Bye(session) => ua.bye(now, session, None),
            Act::Talk(session) => ua.talk(now, session),
            Act::Refer(session) => ua.send_refer(now, session, "<sip:carol@tandem.test>", &[]),
            Act::ReferProgress(refer, status) => ua.refer_progress(now, refer, status),
        }
    }

    /// An agent was killed, and its shell with it: what is left are the sessions that were kept. One that had ended already, and whose BYE
    /// may not have gone out, is wanted by nobody.
    fn come_back(&mut self, agent: usize, kept: Vec<SessionId>) {
        self.killed = true;
        self.ends[agent].retain(|session, _| kept.contains(session));
        for session in kept {
            let call_id = self.rig.agents[agent].session_call_id(session).expect("it came back");
            self.restored.insert(format!("{agent} {call_id}"));
            let ends = self.ends[agent].entry(session).or_default();
            if !std::mem::take(ends).is_empty() || self.closing {
                self.plan(agent, Act::Bye(session), 1000);
            } else {
                self.plan_session(agent, session);
            }
        }
    }

    fn react(&mut self, agent: usize, event: UaEvent) {
        let session = match event {
            UaEvent::Incoming { session, ref invite } => {
                let call_id = format!("{agent} {}", invite.request.call_id().unwrap_or_default());
                assert!(
                    self.rig.garbling > 0 || !self.restored.contains(&call_id),
                    "a second call for one that came back"
                );
                let fresh = self.ends[agent].insert(session, Vec::new());
                assert!(fresh.is_none(), "an INVITE is handed up once");
                if self.closing {
                    return self.plan(agent, Act::Bye(session), 1000);
                }
                self.plan_session(agent, session);
                for (act, percent) in [
                    (Act::Progress(session), 70),
                    (Act::EarlyMedia(session), 60),
                    (Act::EarlyMedia(session), 30),
                ] {
                    if self.chance(percent) {
                        self.plan(agent, act, 1500);
                    }
                }
                let answer = if self.chance(75) {
                    Act::Accept(session)
                } else {
                    Act::Reject(session)
                };
                if self.chance(90) {
                    self.plan(agent, answer, 4000);
                }
                session
            }
            UaEvent::Answered { session, .. } | UaEvent::ReinviteAnswered { session, .. } => {
                self.plan(agent, Act::Ack(session), 200);
                session
            }
            UaEvent::Reinvited { session, .. } => {
                let answer = if self.chance(70) {
                    Act::AcceptReinvite(session)
                } else {
                    Act::RejectReinvite(session)
                };
                self.plan(agent, answer, 1000);
                session
            }
            UaEvent::Progress { session, .. }
            | UaEvent::Acked { session, .. }
            | UaEvent::ReinviteCancelled { session }
            | UaEvent::ReinviteFailed { session, .. }
            | UaEvent::Info { session, .. }
            | UaEvent::Talked { session, .. }
            | UaEvent::Failed { session, .. }
            | UaEvent::Cancelled { session, .. }
            | UaEvent::Ended { session, .. } => session,
            UaEvent::Referred { session, refer, .. } => {
                self.plan(agent, Act::ReferProgress(refer, 100), 500);
                if self.chance(80) {
                    self.plan(agent, Act::ReferProgress(refer, 180), 2000);
                    let status = if self.chance(50) { 200 } else { 486 };
                    self.plan(agent, Act::ReferProgress(refer, status), 5000);
                }
                session
            }
            UaEvent::Request { .. }
            | UaEvent::Response { .. }
            | UaEvent::Subscribed { .. }
            | UaEvent::SubscriptionRefreshed { .. }
            | UaEvent::SubscriptionEnded { .. }
            | UaEvent::OutOfReach { .. } => return,
        };
        let ends = self.ends[agent]
            .get_mut(&session)
            .expect("a session is known before it has events");
        assert!(ends.is_empty(), "{event:?} after {ends:?}");
        ends.extend(terminal(&event).map(|(_, text)| text));
    }

    fn run(&mut self, duration: Duration) {
        let end = self.rig.now + duration;
        loop {
            self.rig.agents.iter().for_each(UserAgent::assert_one_offer);
            let act = self.plan.first_key_value().map(|((at, _), _)| *at).filter(|at| *at <= end);
            let events = self.rig.step(act.unwrap_or(end));
            let reborn = self.rig.reborn.take();
            // What the one that was killed still had to say is gone; these are events of the one that came back.
            if let Some((agent, kept)) = reborn {
                self.come_back(agent, kept);
            }
            match events {
                Some(events) => events.into_iter().for_each(|(agent, event)| self.react(agent, event)),
                None => match act.and_then(|_| self.plan.pop_first()) {
                    Some((_, (agent, act))) => self.carry_out(agent, act),
                    None => return,
                },
            }
        }
    }
}

fn run_seed(seed: u64) {
    let mut chaos = Chaos::new(seed);
    for _ in 0..chaos.rig.rng.random_range(1..4) {
        let caller = chaos.rig.rng.random_range(0..2);
        chaos.plan(caller, Act::Call, 2000);
    }
    if chaos.chance(20) {
        for _ in 0..2 {
            chaos.plan(0, Act::Fail, 8000);
        }
    }
    if chaos.chance(50) {
        for _ in 0..2 {
            let agent = chaos.rig.rng.random_range(0..2);
            let committed = chaos.chance(70);
            let how = if chaos.chance(50) {
                Act::Kill
            } else {
                Act::KillBeforeSending(committed)
            };
            chaos.plan(agent, how, 10_000);
        }
    }
    chaos.run(Duration::from_secs(20));
    // Whoever still talks hangs up.
    chaos.closing = true;
    for agent in 0..2 {
        let open: Vec<_> = chaos.ends[agent]
            .iter()
            .filter(|(_, ends)| ends.is_empty())
            .map(|(session, _)| *session)
            .collect();
        for session in open {
            chaos.plan(agent, Act::Bye(session), 1000);
        }
    }
    chaos.run(Duration::from_secs(300));
    for (agent, ends) in chaos.ends.iter().enumerate() {
        for (session, ends) in ends {
            assert_eq!(
                ends.len(),
                1,
                "agent {agent} {session:?} ended {ends:?}; sent {:?}",
                chaos.rig.sent
            );
        }
    }
    for agent in &chaos.rig.agents {
        agent.assert_empty();
    }
    if chaos.rig.garbling == 0 && !chaos.killed {
        check_wire(chaos.rig.recorded.as_deref().unwrap_or_default());
    }
}

/// One final response for each INVITE, one PRACK for each reliable provisional response.
fn check_wire(sent: &[(usize, Message)]) {
    let mut finals: HashMap<String, u16> = HashMap::new();
    let mut pracks: HashMap<String, BTreeSet<u32>> = HashMap::new();
    let is_500 = |message: &Message| message.status() == Some(500) && message.cseq().is_ok_and(|(_, of)| of == Method::Prack);
    let overtaken = sent.iter().any(|(_, message)| is_500(message));
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    for (from, message) in sent {
        let Ok((number, method)) = message.cseq() else { continue };
        match message.status() {
            Some(status @ 200..) if method == Method::Invite => {
                let key = format!("{from} {}", text(message.top_via().unwrap().branch));
                let first = *finals.entry(key).or_insert(status);
                assert_eq!(first, status, "a second final response to an INVITE");
            }
            None if method == Method::Prack => {
                let named = text(message.header(HeaderName::RAck));
                let key = format!(
                    "{from} {} {} {named}",
                    text(message.call_id()),
                    text(message.header(HeaderName::To))
                );
                let numbers = pracks.entry(key).or_default();
                numbers.insert(number);
                // One that was overtaken by another request comes again (500).
                let allowed = if overtaken { 2 } else { 1 };
                assert!(numbers.len() <= allowed, "PRACKs {numbers:?} for {named}");
            }
            _ => {}
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_session_ends_once_and_nothing_is_left() {
    let seeds = match number("TANDEM_SIP_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TANDEM_SIP_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| run_seed(seed)) {
            eprintln!("seed {seed}: run again with TANDEM_SIP_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
