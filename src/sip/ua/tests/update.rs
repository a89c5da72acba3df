//! UPDATE (RFC 3311), its glare, and re-INVITEs that are taken back.

use std::time::Duration;

use super::peer::*;
use super::rig::*;
use crate::message::{HeaderName, Message, Method, ResponseBuilder};
use crate::ua::*;

fn update(to: &str, branch: &str, cseq: u32, sdp: Option<bytes::Bytes>) -> Request {
    let mut request = Request::new(Method::Update, branch).to(to).cseq(cseq);
    request.body = sdp.map(|sdp| sdp.to_vec());
    request
}

fn cancelled(event: &UaEvent) -> Option<SessionId> {
    match event {
        UaEvent::ReinviteCancelled { session } => Some(*session),
        _ => None,
    }
}

#[test]
fn an_update_with_an_offer_is_told_and_answered_like_a_reinvite() {
    for (accept, lines) in [(true, vec!["200"]), (false, vec!["488"])] {
        let mut peer = Peer::new();
        let (session, to) = peer.talk();
        peer.deliver(update(&to, "u", 2, other_sdp(1)).header("Supported", "timer").finish());
        assert!(peer.lines().is_empty(), "the shell has to say");
        assert_eq!(peer.events.iter().find_map(reinvited), Some(session));
        if accept {
            peer.agent.accept_reinvite(peer.now, session, other_sdp(2));
            assert_eq!(peer.agent.session_remote_sdp(session), other_sdp(1).as_ref());
        } else {
            peer.agent.reject_reinvite(peer.now, session, 488);
        }
        let sent = peer.sent();
        let statuses: Vec<_> = sent.iter().map(|(_, r)| r.status().unwrap().to_string()).collect();
        assert_eq!(statuses, lines);
        assert_eq!(
            peer.events.iter().any(|event| acked(event).is_some()),
            accept,
            "there is no ACK to wait for"
        );
        assert_eq!(sent[0].1.sdp(), other_sdp(2).filter(|_| accept));
        assert_eq!(sent[0].1.contact().is_some(), accept);
        peer.agent.accept_reinvite(peer.now, session, sdp());
        assert!(peer.lines().is_empty(), "answered once");
        peer.agent.reinvite(peer.now, session, other_sdp(3));
        assert_eq!(peer.lines(), ["INVITE"]);
    }
}

#[test]
fn an_update_without_an_offer_refreshes_the_target_inside() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let mut request = update(&to, "u", 2, None);
    request.contact = "<sip:moved@10.0.0.77:5070>".to_owned();
    peer.deliver(request.finish());
    assert_eq!(peer.lines(), ["200"]);
    assert!(peer.events.is_empty());
    peer.agent.bye(peer.now, session, None);
    assert_eq!(peer.one().1.uri(), Some("sip:moved@10.0.0.77:5070"));
}

#[test]
fn offers_of_the_peer_wait_in_turn() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    peer.deliver(update(&to, "u", 2, other_sdp(1)).finish());
    peer.deliver(update(&to, "v", 3, other_sdp(2)).finish());
    let (_, response) = peer.one();
    assert_eq!(
        (response.status(), response.header(HeaderName::RetryAfter).is_some()),
        (Some(500), true)
    );
    peer.deliver(Request::new(Method::Invite, "i").to(&to).cseq(4).finish());
    assert_eq!(peer.lines(), ["500"]);
    peer.agent.accept_reinvite(peer.now, session, sdp());
    assert_eq!(peer.lines(), ["200"]);
    // Ours is open.
    peer.agent.reinvite(peer.now, session, other_sdp(5));
    assert_eq!(peer.lines(), ["INVITE"]);
    peer.deliver(update(&to, "w", 5, other_sdp(3)).finish());
    assert_eq!(peer.lines(), ["491"]);
    peer.deliver(update(&to, "x", 6, None).finish());
    assert_eq!(peer.lines(), ["200"], "no offer, no glare");
}

#[test]
fn offers_in_an_early_dialog_wait_for_the_first_answer() {
    let mut peer = Peer::new();
    let mut invite = Request::new(Method::Invite, "x").header("Supported", "100rel");
    invite.body = Some(SDP.to_vec());
    peer.deliver(invite.finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.progress(peer.now, session, 180, None);
    let to = peer.one().1.header(HeaderName::To).unwrap().to_owned();
    peer.deliver(update(&to, "early", 2, other_sdp(1)).finish());
    assert_eq!(peer.lines(), ["500"], "its own offer is not answered");
    peer.agent.reinvite(peer.now, session, other_sdp(7));
    assert_eq!(peer.told().and_then(reinvite_failed), Some(491));
    peer.agent.progress(peer.now, session, 183, sdp());
    let rseq = peer.one().1.header(HeaderName::RSeq).unwrap().to_owned();
    let prack = Request::new(Method::Prack, "p").to(&to).cseq(3);
    peer.deliver(prack.header("RAck", &format!("{rseq} 1 INVITE")).finish());
    assert_eq!(peer.lines(), ["200"]);
    peer.deliver(update(&to, "u", 4, other_sdp(1)).header("Allow", "UPDATE").finish());
    assert_eq!(peer.told().and_then(reinvited), Some(session));
    peer.agent.reinvite(peer.now, session, other_sdp(7));
    assert_eq!(peer.told().and_then(reinvite_failed), Some(491));
    peer.agent.accept_reinvite(peer.now, session, other_sdp(2));
    assert_eq!(peer.lines(), ["200"]);
    // And ours, before the call is answered.
    peer.agent.reinvite(peer.now, session, other_sdp(7));
    let (_, ours) = peer.one();
    assert_eq!((ours.method(), ours.sdp()), (Some(Method::Update), other_sdp(7)));
    assert!(ours.contact().is_some());
    peer.agent.accept(peer.now, session, other_sdp(7));
    assert_eq!(peer.lines(), ["200"]);
    let answer = ResponseBuilder::to(&ours, 200, None).header("Contact", "<sip:peer@10.0.0.9>");
    peer.deliver(answer.body("application/sdp", SDP).finish());
    assert!(matches!(peer.told(), Some(UaEvent::ReinviteAnswered { sdp: Some(_), .. })));
    peer.agent.ack(peer.now, session, None);
    assert!(peer.lines().is_empty(), "an UPDATE has no ACK");
}

#[test]
fn a_peer_that_does_not_allow_update_gets_none() {
    let mut rig = Rig::new(1);
    let caller = rig.invite(0);
    let callee = rig.wait(1, incoming);
    rig.agents[1].progress(rig.now, callee, 183, sdp());
    rig.wait(0, progress);
    rig.run(ms(50));
    let Some(session) = rig.agents[0].sessions.get_mut(&caller) else {
        panic!("it is there")
    };
    session.allows_update = false;
    rig.agents[0].reinvite(rig.now, caller, other_sdp(1));
    assert_eq!(rig.wait(0, reinvite_failed), 405);
}

#[test]
fn an_early_session_is_changed_by_update_both_ways() {
    let mut rig = Rig::new(2);
    let caller = rig.invite(0);
    let callee = rig.wait(1, incoming);
    rig.agents[1].progress(rig.now, callee, 183, sdp());
    rig.wait(0, progress);
    rig.run(ms(50));
    for (from, ours, theirs) in [(0, caller, callee), (1, callee, caller)] {
        rig.agents[from].reinvite(rig.now, ours, other_sdp(1));
        assert_eq!(rig.wait(1 - from, reinvited), theirs);
        rig.agents[1 - from].accept_reinvite(rig.now, theirs, other_sdp(2));
        rig.wait(1 - from, acked);
        rig.wait(from, reinvite_answered);
        rig.agents[from].ack(rig.now, ours, None);
    }
    rig.agents[1].accept(rig.now, callee, other_sdp(1));
    let answer = rig.wait(0, |event| match event {
        UaEvent::Answered { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(answer, other_sdp(1), "what UPDATE made of it");
    rig.agents[0].ack(rig.now, caller, None);
    rig.wait(1, acked);
    assert_eq!((rig.count("0 UPDATE"), rig.count("1 UPDATE"), rig.count("0 ACK")), (1, 1, 1));
    rig.agents[0].bye(rig.now, caller, None);
    assert_eq!(rig.settle(), [vec!["Ended here"], vec!["Ended by peer"]]);
}

#[test]
fn updates_that_cross_are_tried_again_one_after_the_other() {
    let mut rig = Rig::new(3);
    let caller = rig.invite(0);
    let callee = rig.wait(1, incoming);
    rig.agents[1].progress(rig.now, callee, 183, sdp());
    rig.wait(0, progress);
    rig.run(ms(50));
    rig.agents[0].reinvite(rig.now, caller, other_sdp(1));
    rig.agents[1].reinvite(rig.now, callee, other_sdp(2));
    rig.run(ms(50));
    assert_eq!((rig.count("0 491 UPDATE"), rig.count("1 491 UPDATE")), (1, 1));
    rig.wait(0, reinvited);
    rig.agents[0].accept_reinvite(rig.now, caller, sdp());
    assert_eq!(rig.wait(0, reinvite_failed), 491, "made before that answer");
    rig.wait(1, reinvite_answered);
    rig.agents[1].ack(rig.now, callee, None);
    rig.agents[0].cancel(rig.now, caller, None);
    assert_eq!(rig.settle(), [vec!["Failed 487"], vec!["Cancelled"]]);
}

/// Two forks, the answer of each acknowledged: (the session, the INVITE).
fn forked(peer: &mut Peer) -> (SessionId, Message) {
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, request) = peer.one();
    for tag in ["one", "two"] {
        let response = ResponseBuilder::to(&request, 183, None)
            .to_tag(tag)
            .header("Contact", format!("<sip:{tag}@{PEER}>"))
            .header("Allow", "UPDATE")
            .header("Require", "100rel")
            .header("RSeq", "1");
        peer.deliver(response.body("application/sdp", SDP).finish());
        let (_, prack) = peer.one();
        peer.respond(&prack, 200, tag, &[]);
    }
    peer.events.clear();
    (session, request)
}

fn of_fork(request: &Message, tag: &str, branch: &str, sdp: Option<bytes::Bytes>) -> bytes::Bytes {
    let mut update = update(request.header(HeaderName::From).unwrap(), branch, 1, sdp);
    update.from_tag = tag.to_owned();
    update.call_id = request.call_id().unwrap().to_owned();
    update.finish()
}

#[test]
fn an_offer_of_a_fork_that_loses_is_void() {
    for (winner, is_void) in [("two", true), ("one", false)] {
        let mut peer = Peer::new();
        let (session, request) = forked(&mut peer);
        peer.deliver(of_fork(&request, "one", "u1", other_sdp(1)));
        assert_eq!(peer.told().and_then(reinvited), Some(session));
        peer.deliver(of_fork(&request, "two", "u2", other_sdp(2)));
        assert_eq!(peer.lines(), ["500"], "one after the other");
        peer.respond(&request, 200, winner, &[]);
        assert_eq!(peer.lines(), if is_void { vec!["487"] } else { vec![] });
        assert_eq!(peer.events.iter().find_map(cancelled).is_some(), is_void);
        peer.agent.ack(peer.now, session, None);
        peer.agent.accept_reinvite(peer.now, session, sdp());
        assert_eq!(peer.lines(), if is_void { vec!["ACK"] } else { vec!["ACK", "200"] });
    }
}

#[test]
fn a_fork_that_answers_hears_what_another_was_told() {
    for (winner, is_told) in [("one", false), ("two", true)] {
        let mut peer = Peer::new();
        let (session, request) = forked(&mut peer);
        peer.deliver(of_fork(&request, "one", "u1", other_sdp(1)));
        peer.agent.accept_reinvite(peer.now, session, other_sdp(5));
        assert_eq!(peer.lines(), ["200"]);
        peer.respond(&request, 200, winner, &[]);
        peer.agent.ack(peer.now, session, None);
        assert_eq!(peer.lines(), if is_told { vec!["ACK", "INVITE"] } else { vec!["ACK"] });
    }
}

#[test]
fn an_early_offer_waits_for_the_prack() {
    let mut peer = Peer::new();
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, request) = peer.one();
    let response = ResponseBuilder::to(&request, 183, None)
        .to_tag("one")
        .header("Contact", format!("<sip:one@{PEER}>"))
        .header("Allow", "UPDATE")
        .header("Require", "100rel")
        .header("RSeq", "1");
    peer.deliver(response.body("application/sdp", SDP).finish());
    let (_, prack) = peer.one();
    peer.agent.reinvite(peer.now, session, other_sdp(7));
    assert!(peer.lines().is_empty());
    peer.respond(&prack, 200, "one", &[]);
    assert_eq!(peer.lines(), ["UPDATE"]);

    let mut peer = Peer::new();
    let mut invite = Request::new(Method::Invite, "x").header("Supported", "100rel");
    invite.body = Some(SDP.to_vec());
    peer.deliver(invite.header("Allow", "UPDATE").finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.progress(peer.now, session, 183, sdp());
    let (_, progress) = peer.one();
    peer.agent.reinvite(peer.now, session, other_sdp(7));
    assert!(peer.lines().is_empty());
    let rseq = progress.header(HeaderName::RSeq).unwrap();
    let prack = Request::new(Method::Prack, "p")
        .to(progress.header(HeaderName::To).unwrap())
        .cseq(3)
        .header("RAck", &format!("{rseq} 1 INVITE"));
    peer.deliver(prack.finish());
    assert_eq!(peer.lines(), ["200", "UPDATE"]);
}

#[test]
fn an_update_that_the_shell_leaves_open_gets_504() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    peer.deliver(update(&to, "u", 2, other_sdp(1)).finish());
    peer.wait(Duration::from_secs(30));
    assert_eq!(peer.lines(), ["504"]);
    assert_eq!(peer.told().and_then(cancelled), Some(session));
    peer.deliver(update(&to, "v", 3, other_sdp(1)).finish());
    assert_eq!(peer.lines(), ["491"], "the answer of the shell may still come");
    peer.agent.accept_reinvite(peer.now, session, sdp());
    assert!(peer.lines().is_empty());
    peer.deliver(update(&to, "w", 4, other_sdp(1)).finish());
    assert_eq!(peer.told().and_then(reinvited), Some(session));
    peer.agent.bye(peer.now, session, None);
    assert_eq!(peer.lines(), ["BYE", "487"]);
}

#[test]
fn a_reinvite_that_the_peer_cancels_is_told() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let mut reinvite = Request::new(Method::Invite, "i").to(&to).cseq(2);
    reinvite.body = other_sdp(1).map(|sdp| sdp.to_vec());
    peer.deliver(reinvite.finish());
    peer.deliver(Request::new(Method::Cancel, "i").to(&to).cseq(2).finish());
    assert_eq!(peer.lines(), ["100", "200", "487"]);
    assert_eq!(peer.told().and_then(cancelled), Some(session));
}

#[test]
fn a_shell_that_never_answers_what_is_void_blocks_nothing() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let mut reinvite = Request::new(Method::Invite, "i").to(&to).cseq(2);
    reinvite.body = other_sdp(1).map(|sdp| sdp.to_vec());
    peer.deliver(reinvite.finish());
    peer.deliver(Request::new(Method::Cancel, "i").to(&to).cseq(2).finish());
    peer.sent();
    peer.deliver(Request::new(Method::Ack, "i").to(&to).cseq(2).finish());
    peer.wait(Duration::from_secs(30));
    peer.deliver(update(&to, "u", 3, other_sdp(1)).finish());
    assert_eq!(peer.told().and_then(reinvited), Some(session));
}

#[test]
fn update_and_prack_outside_a_dialog_get_481() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Update, "u").finish());
    peer.deliver(Request::new(Method::Prack, "p").header("RAck", "1 1 INVITE").finish());
    assert_eq!(peer.lines(), ["481", "481"]);
    let (_, to) = peer.talk();
    peer.deliver(
        Request::new(Method::Prack, "q")
            .to(&to)
            .cseq(2)
            .header("RAck", "1 1 INVITE")
            .finish(),
    );
    assert_eq!(peer.lines(), ["481"]);
    let mut bomb = update(&to, "b", 3, None);
    bomb.body = Some(b"v=0\r\nnonsense".to_vec());
    peer.deliver(bomb.finish());
    assert_eq!(peer.lines(), ["488"]);
}
