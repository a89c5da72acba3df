//! The peers of restored sessions are asked whether they are still there.

use super::peer::*;
use super::rig::*;
use super::survival::*;
use crate::message::{HeaderName, Method};
use crate::ua::*;

#[test]
fn the_peer_is_asked_by_update_where_it_takes_that_and_else_by_reinvite() {
    for (allow, method) in [("INVITE, UPDATE", Method::Update), ("INVITE", Method::Invite)] {
        let mut peer = Peer::new();
        let (session, invite) = call(&mut peer, &[("Allow", allow), ("Session-Expires", "600;refresher=uas")]);
        assert_eq!(kill(&mut peer), [session]);
        peer.wait(ms(1));
        assert!(peer.lines().is_empty());
        peer.wait(ms(1));
        let (_, probe) = peer.one();
        assert_eq!(probe.method(), Some(method));
        assert_eq!(probe.sdp(), invite.sdp().filter(|_| probe.is(&Method::Invite)));
        assert_eq!(probe.header(HeaderName::SessionExpires), Some("600;refresher=uas"));
        assert!(probe.cseq().unwrap().0 > invite.cseq().unwrap().0);
        peer.respond(&probe, 200, "b", &[("Session-Expires", "600;refresher=uas")]);
        let acks = usize::from(probe.is(&Method::Invite));
        assert_eq!(peer.lines().len(), acks);
        peer.wait(500 * SECOND);
        assert!(peer.lines().is_empty() && peer.events.is_empty());
        // The interval of before is kept, and ends the session.
        peer.wait(68 * SECOND);
        peer.sent();
        assert_eq!(peer.events.last().and_then(any_terminal).as_deref(), Some("Ended here"));
    }
}

#[test]
fn a_peer_that_is_gone_ends_the_session() {
    // (what the peer says) -> after how long
    for (status, after) in [(Some(481), 0), (Some(408), 0), (None, 33)] {
        let mut peer = Peer::new();
        let (session, _) = call(&mut peer, &[("Allow", "UPDATE")]);
        kill(&mut peer);
        peer.wait(ms(2));
        let (_, probe) = peer.one();
        if let Some(status) = status {
            peer.respond(&probe, status, "b", &[]);
        }
        peer.wait(after * SECOND);
        let byes = peer.lines().iter().filter(|line| *line == "BYE").count();
        assert_eq!(byes > 0, status != Some(481), "{status:?}");
        let ended = UaEvent::Ended {
            session,
            by_peer: false,
            q850: None,
            reason: None,
        };
        assert_eq!(format!("{:?}", peer.events), format!("{:?}", [ended]));
    }
}

#[test]
fn a_peer_that_answers_otherwise_is_there() {
    for status in [403, 488, 500, 503, 603] {
        let mut peer = Peer::new();
        call(&mut peer, &[("Allow", "UPDATE")]);
        kill(&mut peer);
        let mut probes = std::collections::BTreeSet::new();
        for _ in 0..60 {
            for (_, probe) in peer.sent() {
                probes.insert(probe.cseq().unwrap().0);
                peer.respond(&probe, status, "b", &[]);
            }
            peer.wait(SECOND);
        }
        assert!(peer.events.is_empty(), "{status}: {:?}", peer.events);
        assert_eq!(probes.len(), if matches!(status, 500 | 503) { 5 } else { 1 }, "{status}");
    }
}

#[test]
fn a_peer_that_does_not_take_update_after_all_is_asked_by_reinvite() {
    let mut peer = Peer::new();
    call(&mut peer, &[("Allow", "UPDATE")]);
    kill(&mut peer);
    peer.wait(ms(2));
    let (_, update) = peer.one();
    peer.respond(&update, 405, "b", &[]);
    peer.wait(ms(1));
    let (_, reinvite) = peer.one();
    assert_eq!((reinvite.method(), reinvite.sdp()), (Some(Method::Invite), sdp()));
    peer.respond(&reinvite, 200, "b", &[]);
    assert_eq!(peer.lines(), ["ACK"]);
    peer.wait(100 * SECOND);
    assert!(peer.lines().is_empty() && peer.events.is_empty());
}

#[test]
fn a_peer_out_of_reach_is_tried_again_and_then_given_up() {
    let mut peer = Peer::new();
    let (session, _) = call(&mut peer, &[("Allow", "UPDATE")]);
    kill(&mut peer);
    let mut tried = Vec::new();
    let started = peer.now;
    for _ in 0..400 {
        peer.wait(ms(100));
        for (flow, message) in peer.sent() {
            if message.is(&Method::Update) {
                tried.push((peer.now - started).as_secs());
            }
            peer.agent.flow_failed(peer.now, &flow);
        }
    }
    assert_eq!(tried, [0, 2, 6, 14, 30]);
    assert!(matches!(peer.events.as_slice(), [UaEvent::Ended { session: ended, .. }] if *ended == session));
}

#[test]
fn many_are_asked_one_after_the_other() {
    let mut peer = Peer::with(|config| config.max_sessions = 2_000);
    for _ in 0..1_200 {
        call(&mut peer, &[("Allow", "UPDATE")]);
    }
    assert_eq!(kill(&mut peer).len(), 1_200);
    let mut most = 0;
    for _ in 0..241 {
        peer.wait(ms(10));
        let sent = peer.sent();
        most = most.max(sent.len());
        for (_, probe) in sent {
            peer.respond(&probe, 200, "b", &[]);
        }
    }
    assert!(most <= 6, "{most} in 10 ms");
    assert_eq!(peer.agent.stats().sessions_active, 1_200);
    peer.wait(100 * SECOND);
    assert!(peer.lines().is_empty() && peer.events.is_empty(), "each was asked once");
}

#[test]
fn a_command_of_the_shell_goes_before_the_probe() {
    let mut peer = Peer::new();
    let (session, _) = call(&mut peer, &[("Allow", "UPDATE")]);
    kill(&mut peer);
    peer.agent.reinvite(peer.now, session, other_sdp(1));
    let (_, reinvite) = peer.one();
    peer.wait(ms(10));
    assert!(peer.lines().is_empty());
    peer.respond(&reinvite, 200, "b", &[]);
    peer.agent.ack(peer.now, session, None);
    assert_eq!(peer.lines(), ["ACK"]);
    peer.wait(100 * SECOND);
    assert!(peer.lines().is_empty(), "its answer said enough");
}
