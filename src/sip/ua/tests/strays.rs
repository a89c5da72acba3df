//! 2xx to INVITEs that nobody here knows: the phone must not stay in a call that is not there, and nobody must be made to send what a
//! stranger wants.

use super::peer::*;
use super::rig::*;
use crate::message::{HeaderName, Message, Method, ResponseBuilder};

/// An INVITE of a user agent that was killed while the phone rang.
fn lost_invite(peer: &mut Peer) -> Message {
    peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, invite) = peer.one();
    peer.agent = peer.agent.successor(rand::SeedableRng::seed_from_u64(9));
    invite
}

#[test]
fn a_phone_that_answers_a_call_that_is_not_there_is_released() {
    let mut peer = Peer::new();
    let invite = lost_invite(&mut peer);
    for round in 1..=2 {
        peer.respond(&invite, 200, "b", &[("Record-Route", "<sip:10.0.0.8;lr>")]);
        let sent = peer.sent();
        let [(to, ack), (_, bye)] = sent.as_slice() else {
            panic!("{sent:?}")
        };
        assert_eq!(*to, udp(), "back to where it came from");
        assert_eq!((ack.method(), bye.method()), (Some(Method::Ack), Some(Method::Bye)));
        let number = invite.cseq().unwrap().0;
        assert_eq!((ack.cseq().unwrap().0, bye.cseq().unwrap().0), (number, number + 1));
        for request in [ack, bye] {
            assert_eq!(request.validate(), Ok(()));
            assert_eq!(request.uri(), Some(format!("sip:b@{PEER}").as_str()));
            assert_eq!(request.header(HeaderName::Route), Some("<sip:10.0.0.8;lr>"));
            assert_eq!(request.header(HeaderName::From), invite.header(HeaderName::From));
            assert_eq!(
                (request.to().unwrap().tag(), request.call_id()),
                (Some("b"), invite.call_id())
            );
        }
        assert_eq!(peer.agent.stats().strays_ended, round, "it comes again until it has its ACK");
        peer.respond(bye, 200, "b", &[]);
        assert!(peer.lines().is_empty());
    }
    assert!(peer.events.is_empty());
    peer.agent.assert_empty();
}

#[test]
fn nothing_else_is_answered() {
    let mut peer = Peer::new();
    let invite = lost_invite(&mut peer);
    for status in [100, 180, 302, 404, 486, 503] {
        peer.respond(&invite, status, "b", &[]);
        assert!(peer.lines().is_empty(), "{status}");
    }
    let text = |invite: &Message| {
        let response = ResponseBuilder::to(invite, 200, None).to_tag("b");
        String::from_utf8(response.header("Contact", format!("<sip:b@{PEER}>")).finish().to_vec()).unwrap()
    };
    let genuine = text(&invite);
    let (call_id, tag) = (invite.call_id().unwrap(), invite.from().unwrap().tag().unwrap());
    // (what is changed) -> what a stranger might want
    for (old, new) in [
        ("10.0.0.1:5060", "10.0.0.2:5060"),
        ("10.0.0.1:5060", "10.0.0.1:5061"),
        (call_id, "a-call-of-somebody"),
        (tag, "sometag"),
        ("Contact: ", "X-Contact: "),
        ("From: ", "Via: SIP/2.0/UDP 10.0.0.3;branch=z9hG4bKx\r\nFrom: "),
        (" INVITE", " BYE"),
    ] {
        assert!(genuine.contains(old), "{old}");
        peer.deliver(genuine.replace(old, new).into());
        assert!(peer.lines().is_empty(), "{old} -> {new}");
    }
    assert_eq!(peer.agent.stats().strays_ended, 0);
    peer.deliver(genuine.into());
    assert_eq!(peer.lines(), ["ACK", "BYE"]);
}

#[test]
fn so_many_in_a_second_and_no_more() {
    let mut peer = Peer::new();
    let invite = lost_invite(&mut peer);
    for _ in 0..2 {
        for _ in 0..300 {
            peer.respond(&invite, 200, "b", &[]);
        }
        assert_eq!(peer.lines().len(), 2 * 200);
        peer.wait(ms(1000));
    }
}

#[test]
fn a_session_that_lives_is_not_ended_by_one() {
    let mut peer = Peer::new();
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, invite) = peer.one();
    peer.respond(&invite, 200, "b", &[]);
    peer.agent.ack(peer.now, session, None);
    peer.sent();
    // Its transaction is gone after 64*T1, and somebody still sends.
    peer.wait(std::time::Duration::from_secs(40));
    peer.respond(&invite, 200, "b", &[]);
    assert_eq!(peer.lines(), ["ACK"]);
    peer.respond(&invite, 200, "fork", &[]);
    assert!(peer.lines().is_empty());
    assert_eq!((peer.agent.stats().sessions_active, peer.agent.stats().strays_ended), (1, 0));
}
