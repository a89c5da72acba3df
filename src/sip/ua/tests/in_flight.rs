//! What was in flight when the process ended: requests of the peer, 2xx without an ACK, offers.

use super::peer::*;
use super::rig::*;
use super::survival::*;
use crate::message::{HeaderName, Method};
use crate::ua::*;

#[test]
fn the_last_request_of_the_peer_may_come_again_and_no_older_one() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    peer.deliver(Request::new(Method::Info, "i").to(&to).cseq(7).finish());
    peer.sent();
    kill(&mut peer);
    peer.deliver(Request::new(Method::Options, "old").to(&to).cseq(6).finish());
    assert_eq!(peer.lines(), ["500"]);
    peer.deliver(Request::new(Method::Bye, "bye").to(&to).cseq(7).finish());
    assert_eq!(peer.lines(), ["200"]);
    assert!(matches!(peer.events.last(), Some(UaEvent::Ended { session: ended, by_peer: true, .. }) if *ended == session));
}

#[test]
fn a_success_of_ours_without_an_ack_is_sent_until_the_ack_comes() {
    let mut peer = Peer::new();
    let invite = |branch: &str| {
        let mut request = Request::new(Method::Invite, branch);
        request.body = Some(SDP.to_vec());
        request.finish()
    };
    peer.deliver(invite("i"));
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.accept(peer.now, session, sdp());
    let (_, success) = peer.one();
    let to = success.header(HeaderName::To).unwrap().to_owned();
    kill(&mut peer);
    peer.wait(ms(0));
    let (flow, again) = peer.one();
    assert_eq!((flow, again.bytes()), (udp(), success.bytes()));
    // The INVITE comes again: the ACK may have been lost, and the first 200 never sent.
    peer.deliver(invite("i"));
    assert_eq!(peer.one().1.bytes(), success.bytes());
    peer.deliver(invite("another-way"));
    let (_, other) = peer.one();
    assert_eq!(other.top_via().unwrap().branch, Some("z9hG4bKanother-way"));
    assert_eq!(
        (other.header(HeaderName::To), other.sdp()),
        (success.header(HeaderName::To), sdp())
    );
    assert!(peer.events.is_empty(), "no second call");
    peer.wait(ms(1900));
    assert!(peer.lines().is_empty(), "the peer is not asked before");
    peer.wait(ms(100));
    assert_eq!(peer.lines(), ["200"]);
    // It was killed again meanwhile.
    kill(&mut peer);
    peer.wait(ms(0));
    assert_eq!(peer.lines(), ["200"]);
    peer.deliver(Request::new(Method::Ack, "a").to(&to).finish());
    assert!(peer.told().is_none(), "the shell waits for no ACK");
    // A copy on another way is a transaction of its own.
    peer.deliver(invite("late"));
    assert_eq!(peer.lines(), ["200"]);
    peer.deliver(Request::new(Method::Ack, "a").to(&to).finish());
    assert!(peer.told().is_none());
    peer.wait(2 * SECOND);
    assert_eq!(peer.lines().first().map(String::as_str), Some("INVITE"), "the probe");
}

#[test]
fn a_reinvite_that_waited_is_refused_and_may_come_again() {
    for reliable in [false, true] {
        let mut peer = Peer::new();
        let (session, to) = peer.talk();
        let started = anchor(&peer);
        peer.agent.take_changes(started);
        let offer = |branch: &str, cseq: u32| {
            let mut request = Request::new(Method::Invite, branch).to(&to).cseq(cseq);
            request.body = other_sdp(1).map(|sdp| sdp.to_vec());
            request.finish()
        };
        if reliable {
            peer.flow = tcp(5);
            peer.flow.peer.set_port(41_000);
        }
        peer.deliver(offer("hold", 2));
        assert_eq!(peer.agent.take_changes(started).len(), 1);
        assert_eq!(peer.lines(), ["100"]);
        assert!(peer.events.iter().find_map(reinvited).is_some());
        kill(&mut peer);
        let (flow, refusal) = peer.one();
        assert_eq!((flow.peer.to_string(), flow.connection), (PEER.to_owned(), None));
        assert_eq!(refusal.status(), Some(500));
        assert!(refusal.header(HeaderName::RetryAfter).is_some());
        peer.deliver(offer("hold", 2));
        assert_eq!(peer.lines(), ["500"], "a copy");
        peer.deliver(Request::new(Method::Ack, "hold").to(&to).cseq(2).finish());
        peer.deliver(offer("again", 3));
        assert_eq!(peer.lines(), ["100"]);
        assert_eq!(peer.events.iter().find_map(reinvited), Some(session));
    }
}

#[test]
fn a_session_that_was_to_end_with_its_ack_does() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Invite, "i").finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.accept(peer.now, session, sdp());
    let to = peer.one().1.header(HeaderName::To).unwrap().to_owned();
    let started = anchor(&peer);
    peer.agent.take_changes(started);
    peer.agent.bye(peer.now, session, None);
    assert_eq!(peer.agent.take_changes(started).len(), 1);
    kill(&mut peer);
    peer.deliver(Request::new(Method::Ack, "a").to(&to).finish());
    assert_eq!(peer.lines(), ["BYE"]);
    assert_eq!(peer.events.iter().find_map(any_terminal).as_deref(), Some("Ended here"));
}

#[test]
fn the_answer_to_a_late_offer_comes_with_the_ack() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Invite, "i").finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.accept(peer.now, session, sdp());
    let to = peer.one().1.header(HeaderName::To).unwrap().to_owned();
    kill(&mut peer);
    let mut ack = Request::new(Method::Ack, "a").to(&to);
    ack.body = Some(SDP.to_vec());
    peer.deliver(ack.finish());
    let answer = peer.told().cloned();
    assert!(
        matches!(answer, Some(UaEvent::Acked { session: acked, sdp: Some(_) }) if acked == session),
        "{answer:?}"
    );
}

#[test]
fn a_success_whose_ack_came_while_nobody_was_here_ends_nothing() {
    let mut peer = Peer::new();
    let mut request = Request::new(Method::Invite, "i");
    request.body = Some(SDP.to_vec());
    peer.deliver(request.finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.accept(peer.now, session, sdp());
    peer.sent();
    kill(&mut peer);
    peer.wait(40 * SECOND);
    let lines = peer.lines();
    assert!(!lines.contains(&"BYE".to_owned()), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("INVITE"), "the probe tells");
}

#[test]
fn a_success_of_the_peer_that_comes_again_gets_its_ack_again() {
    let mut peer = Peer::new();
    let (_, invite) = call(&mut peer, &[]);
    kill(&mut peer);
    peer.respond(&invite, 200, "b", &[]);
    let (_, ack) = peer.one();
    assert_eq!(ack.method(), Some(Method::Ack));
    assert_eq!(ack.cseq().unwrap().0, invite.cseq().unwrap().0);
    assert_eq!((ack.call_id(), ack.sdp()), (invite.call_id(), None));
    // Of nobody in this dialog.
    peer.respond(&invite, 200, "other", &[]);
    assert!(peer.lines().is_empty() && peer.events.is_empty());
}

#[test]
fn an_answer_given_with_the_ack_is_given_again() {
    let mut peer = Peer::new();
    let asking = Invite {
        offer: None,
        ..invite_to("sip:bob@10.0.0.9")
    };
    let session = peer.agent.invite(peer.now, asking);
    let (_, invite) = peer.one();
    peer.respond(&invite, 200, "b", &[]);
    peer.sent();
    assert_eq!(peer.agent.kept_sessions().count(), 0, "without our answer it is nothing yet");
    peer.agent.ack(peer.now, session, other_sdp(5));
    peer.sent();
    assert_eq!(kill(&mut peer), [session]);
    peer.respond(&invite, 200, "b", &[]);
    assert_eq!(peer.one().1.sdp(), other_sdp(5));
}

#[test]
fn an_offer_that_was_in_flight_is_taken_back_when_it_was_accepted() {
    let mut peer = Peer::new();
    let (session, _) = call(&mut peer, &[("Allow", "UPDATE")]);
    peer.agent.reinvite(peer.now, session, other_sdp(1));
    let (_, reinvite) = peer.one();
    kill(&mut peer);
    peer.wait(ms(2));
    let (_, probe) = peer.one();
    peer.respond(&probe, 200, "b", &[]);
    for _ in 0..2 {
        peer.respond(&reinvite, 200, "b", &[]);
        let (_, ack) = peer.one();
        assert_eq!(
            (ack.method(), ack.cseq().unwrap().0),
            (Some(Method::Ack), reinvite.cseq().unwrap().0)
        );
    }
    peer.wait(ms(1));
    let (_, again) = peer.one();
    assert_eq!(
        (again.method(), again.sdp()),
        (Some(Method::Invite), sdp()),
        "what we said last"
    );
    peer.respond(&again, 200, "b", &[]);
    assert_eq!(peer.lines(), ["ACK"]);
    peer.wait(100 * SECOND);
    assert!(peer.lines().is_empty() && peer.events.is_empty());
}
