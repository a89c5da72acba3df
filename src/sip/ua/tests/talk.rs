//! A device is asked to answer by NOTIFY with `Event: talk`.

use super::peer::*;
use super::rig::*;
use crate::message::{HeaderName, Message, Method, ResponseBuilder};
use crate::ua::*;

fn dialled(peer: &mut Peer) -> (SessionId, Message) {
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    (session, peer.one().1)
}

/// A provisional response without a To tag: it makes no dialog.
fn tagless(peer: &mut Peer, invite: &Message, more: &[(&str, &str)]) {
    let mut response = ResponseBuilder::to(invite, 180, None);
    for (name, value) in more {
        response = response.header(name, value);
    }
    peer.deliver(response.finish());
}

/// The one NOTIFY that is sent now.
fn notify(peer: &mut Peer) -> Message {
    let (_, message) = peer.one();
    assert_eq!(message.method(), Some(Method::Notify));
    assert_eq!(message.header(HeaderName::Event), Some("talk"));
    assert_eq!(message.header(HeaderName::SubscriptionState), Some("active"));
    message
}

/// What the device was told to have said.
fn talked(peer: &mut Peer) -> Vec<u16> {
    let said = peer.events.iter().filter_map(|event| match event {
        UaEvent::Talked { status, .. } => Some(*status),
        _ => None,
    });
    let said = said.collect();
    peer.events.clear();
    said
}

#[test]
fn a_ringing_device_is_asked_in_its_early_dialog() {
    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    peer.respond(&invite, 180, "b", &[]);
    peer.agent.talk(peer.now, session);
    let asked = notify(&mut peer);
    assert_eq!(asked.to().unwrap().tag(), Some("b"));
    assert_eq!(asked.call_id(), invite.call_id());
    assert_eq!(asked.cseq().unwrap().0, invite.cseq().unwrap().0 + 1);
    assert!(asked.contact().is_some());
    peer.respond(&asked, 100, "b", &[]);
    assert_eq!(talked(&mut peer), [0; 0]);
    peer.respond(&asked, 202, "b", &[]);
    peer.sent();
    assert_eq!(talked(&mut peer), [202]);
}

#[test]
fn a_device_without_a_dialog_is_asked_once_it_has_one() {
    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    peer.agent.talk(peer.now, session);
    tagless(&mut peer, &invite, &[]);
    assert_eq!(peer.lines(), [""; 0]);
    peer.agent.talk(peer.now, session);
    peer.respond(&invite, 183, "b", &[]);
    assert_eq!(notify(&mut peer).to().unwrap().tag(), Some("b"));
    peer.respond(&invite, 180, "b", &[]);
    assert_eq!(peer.lines(), [""; 0], "it was asked");
    assert_eq!(talked(&mut peer), [0; 0]);
}

#[test]
fn nobody_is_asked_whose_call_is_cancelled_or_answered_first() {
    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    peer.agent.talk(peer.now, session);
    tagless(&mut peer, &invite, &[]);
    peer.agent.cancel(peer.now, session, None);
    assert_eq!(peer.lines(), ["CANCEL"]);
    peer.respond(&invite, 180, "b", &[]);
    assert_eq!(peer.lines(), [""; 0]);
    assert_eq!(talked(&mut peer), [0; 0]);

    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    peer.agent.talk(peer.now, session);
    let answer = ResponseBuilder::to(&invite, 200, None)
        .to_tag("b")
        .header("Contact", format!("<sip:b@{PEER}>"));
    peer.deliver(answer.body("application/sdp", SDP).finish());
    peer.agent.ack(peer.now, session, None);
    assert_eq!(peer.lines(), ["ACK"]);
    assert_eq!(talked(&mut peer), [0; 0]);
}

#[test]
fn a_device_that_says_without_a_dialog_that_it_does_not_listen_is_not_asked() {
    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    peer.agent.talk(peer.now, session);
    tagless(&mut peer, &invite, &[("Allow-Events", "conference, message-summary")]);
    assert_eq!(peer.lines(), [""; 0]);
    assert_eq!(talked(&mut peer), [489], "at once");
    peer.respond(&invite, 180, "b", &[]);
    assert_eq!(peer.lines(), [""; 0]);
    assert_eq!(talked(&mut peer), [0; 0]);
}

/// (headers of the 180, whether it is asked)
#[test]
fn a_ringing_phone_is_asked_to_answer_unless_it_said_that_it_does_not_listen() {
    let table: &[(&[(&str, &str)], bool)] = &[
        (&[], true),
        (&[("Allow-Events", "hold, talk")], true),
        (&[("Allow-Events", "presence")], false),
        (&[("Allow", "INVITE, NOTIFY")], true),
        (&[("Allow", "INVITE, BYE")], false),
        (&[("Allow", "INVITE, BYE"), ("u", "talk")], true),
    ];
    for (headers, asked) in table {
        let mut peer = Peer::new();
        let (session, invite) = dialled(&mut peer);
        peer.respond(&invite, 180, "ringing", headers);
        peer.sent();
        peer.agent.talk(peer.now, session);
        if *asked {
            let notify = notify(&mut peer);
            peer.respond(&notify, 481, "ringing", &[]);
        }
        assert_eq!(peer.lines(), [""; 0]);
        assert_eq!(talked(&mut peer), [if *asked { 481 } else { 489 }], "{headers:?}");
        peer.respond(&invite, 200, "ringing", &[]);
        peer.sent();
        assert!(peer.events.iter().any(|event| answered(event).is_some()), "the call goes on");
        assert_eq!(peer.agent.stats().talks_refused, u64::from(*asked));
    }
}

#[test]
fn a_device_that_says_nothing_to_it_is_told_as_a_timeout() {
    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    peer.respond(&invite, 180, "b", &[]);
    peer.agent.talk(peer.now, session);
    peer.wait(std::time::Duration::from_secs(33));
    assert!(peer.lines().iter().all(|line| line == "NOTIFY"));
    assert_eq!(talked(&mut peer), [408]);
    assert!(peer.agent.session_call_id(session).is_some(), "the call goes on");
}

#[test]
fn nothing_is_told_of_a_session_that_is_over() {
    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    peer.respond(&invite, 180, "b", &[]);
    peer.agent.talk(peer.now, session);
    let asked = notify(&mut peer);
    peer.respond(&invite, 486, "b", &[]);
    peer.respond(&asked, 200, "b", &[]);
    peer.sent();
    assert_eq!(talked(&mut peer), [0; 0]);
}

#[test]
fn nobody_is_asked_to_answer_his_own_call_or_one_that_is_over() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Invite, "in").finish());
    peer.sent();
    let ringing = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.talk(peer.now, ringing);
    peer.agent.reject(peer.now, ringing, 486, &[]);
    peer.agent.talk(peer.now, ringing);
    assert_eq!(peer.lines(), ["486"]);
    assert_eq!(talked(&mut peer), [0; 0]);
    assert_eq!(peer.agent.stats().commands_ignored, 2);
}

#[test]
fn a_caller_is_asked_to_go_on_with_its_call_unless_its_invite_forbids() {
    for (allow, expected) in [("INVITE, NOTIFY", "NOTIFY"), ("INVITE, BYE", "")] {
        let mut peer = Peer::new();
        peer.deliver(Request::new(Method::Invite, "in").header("Allow", allow).finish());
        peer.sent();
        let session = peer.events.iter().find_map(incoming).unwrap();
        peer.agent.accept(peer.now, session, sdp());
        peer.sent();
        peer.agent.talk(peer.now, session);
        assert_eq!(peer.lines().join(""), expected);
        assert_eq!(talked(&mut peer).is_empty(), allow.contains("NOTIFY"));
    }
}
