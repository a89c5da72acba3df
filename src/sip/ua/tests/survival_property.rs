//! Two user agents in talk over a bad network, one of them killed at a random moment: whatever was under way, the call that both had is then
//! one call that both can change and that ends on both sides.

use std::time::Duration;

use rand::Rng;

use super::rig::*;
use crate::flow::Transport;
use crate::ua::*;

const SEEDS: u64 = 100;

/// Does what the shells would, for a while.
fn run(rig: &mut Rig, duration: Duration) {
    let limit = rig.now + duration;
    while let Some(events) = rig.step(limit) {
        for (agent, event) in events {
            let (now, ua) = (rig.now, &mut rig.agents[agent]);
            match event {
                UaEvent::Answered { session, .. } | UaEvent::ReinviteAnswered { session, .. } => ua.ack(now, session, None),
                UaEvent::Reinvited { session, .. } => ua.accept_reinvite(now, session, other_sdp(7)),
                UaEvent::Incoming { session, .. } => ua.accept(now, session, sdp()),
                _ => {}
            }
        }
    }
}

fn run_seed(seed: u64) {
    let mut rig = Rig::new(seed);
    rig.loss = [0, 100, 300][rig.rng.random_range(0..3)];
    rig.duplication = 100;
    rig.latency_ms = 1..[5, 50, 400][rig.rng.random_range(0..3)];
    if rig.loss == 0 && rig.rng.random_bool(0.5) {
        rig.transport = Transport::Tcp;
    }
    let killed = rig.rng.random_range(0..2usize);
    rig.invite(0);
    // It may not be answered everywhere yet.
    let before = ms(rig.rng.random_range(5..3000));
    run(&mut rig, before);
    for _ in 0..rig.rng.random_range(0..3) {
        let agent = rig.rng.random_range(0..2usize);
        let number = rig.rng.random_range(1..5);
        let open: Vec<_> = rig.agents[agent].kept_sessions().collect();
        for session in open {
            rig.agents[agent].reinvite(rig.now, session, other_sdp(number));
        }
        let pause = ms(rig.rng.random_range(0..1500));
        run(&mut rig, pause);
    }
    let kept = rig.kill(killed);
    // What was lost on the way is sent again, glare included; who is gone is found out.
    rig.loss = 0;
    run(&mut rig, Duration::from_secs(120));
    rig.events = [Vec::new(), Vec::new()];
    let calls = |rig: &Rig, agent: usize| -> Vec<SessionId> { rig.agents[agent].kept_sessions().collect() };
    let (here, there) = (calls(&rig, killed), calls(&rig, 1 - killed));
    if kept.is_empty() {
        return check_end(&mut rig);
    }
    assert_eq!(here, kept, "a call that was answered is still there: {:?}", rig.sent);
    assert_eq!(there.len(), 1, "and is one call: {:?}", rig.sent);
    let sessions = if killed == 0 {
        [here[0], there[0]]
    } else {
        [there[0], here[0]]
    };
    for from in 0..2 {
        rig.agents[from].reinvite(rig.now, sessions[from], other_sdp(20 + from as u16));
        run(&mut rig, Duration::from_secs(20));
        let answered = rig.events[from].iter().find_map(reinvite_answered);
        assert_eq!(answered, Some(sessions[from]), "{:?}", rig.sent);
        assert_eq!(rig.events[1 - from].iter().find_map(reinvited), Some(sessions[1 - from]));
        rig.events = [Vec::new(), Vec::new()];
    }
    let from = rig.rng.random_range(0..2usize);
    rig.agents[from].bye(rig.now, sessions[from], None);
    run(&mut rig, Duration::from_secs(60));
    for (events, session) in rig.events.iter().zip(sessions) {
        let ends: Vec<_> = events.iter().filter_map(terminal).map(|(id, _)| id).collect();
        assert_eq!(ends, [session]);
    }
    check_end(&mut rig);
}

fn check_end(rig: &mut Rig) {
    for agent in 0..2 {
        let open: Vec<_> = rig.agents[agent].kept_sessions().collect();
        for session in open {
            rig.agents[agent].bye(rig.now, session, None);
        }
    }
    run(rig, Duration::from_secs(400));
    rig.agents.iter().for_each(UserAgent::assert_empty);
    assert!(rig.journal.iter().all(std::collections::BTreeMap::is_empty));
}

#[test]
fn a_call_survives_one_of_its_ends() {
    let seeds = match std::env::var("TANDEM_SIP_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => {
            0..std::env::var("TANDEM_SIP_SEEDS")
                .ok()
                .and_then(|seeds| seeds.parse().ok())
                .unwrap_or(SEEDS)
        }
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| run_seed(seed)) {
            eprintln!("seed {seed}: run again with TANDEM_SIP_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
