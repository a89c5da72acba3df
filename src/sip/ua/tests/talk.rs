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

#[test]
fn a_ringing_device_is_asked_in_its_early_dialog() {
    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    peer.respond(&invite, 180, "b", &[]);
    assert_eq!(peer.agent.talk(peer.now, session), Talk::Sent);
    let asked = notify(&mut peer);
    assert_eq!(asked.to().unwrap().tag(), Some("b"));
    assert_eq!(asked.call_id(), invite.call_id());
    assert_eq!(asked.cseq().unwrap().0, invite.cseq().unwrap().0 + 1);
}

#[test]
fn a_device_without_a_dialog_is_asked_once_it_has_one() {
    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    assert_eq!(peer.agent.talk(peer.now, session), Talk::Later);
    tagless(&mut peer, &invite, &[]);
    assert_eq!(peer.lines(), [""; 0]);
    assert_eq!(peer.agent.talk(peer.now, session), Talk::Later);
    peer.respond(&invite, 183, "b", &[]);
    assert_eq!(notify(&mut peer).to().unwrap().tag(), Some("b"));
    peer.respond(&invite, 180, "b", &[]);
    assert_eq!(peer.lines(), [""; 0], "it was asked");
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

    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    peer.agent.talk(peer.now, session);
    let answer = ResponseBuilder::to(&invite, 200, None)
        .to_tag("b")
        .header("Contact", format!("<sip:b@{PEER}>"));
    peer.deliver(answer.body("application/sdp", SDP).finish());
    peer.agent.ack(peer.now, session, None);
    assert_eq!(peer.lines(), ["ACK"]);
}

#[test]
fn a_device_that_says_without_a_dialog_that_it_does_not_listen_is_not_asked() {
    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    assert_eq!(peer.agent.talk(peer.now, session), Talk::Later);
    tagless(&mut peer, &invite, &[("Allow-Events", "conference, message-summary")]);
    assert_eq!(peer.agent.talk(peer.now, session), Talk::Unsupported);
    peer.respond(&invite, 180, "b", &[]);
    assert_eq!(peer.lines(), [""; 0]);
}

/// (headers of the 180, what comes of it)
#[test]
fn a_ringing_phone_is_asked_to_answer_unless_it_said_that_it_does_not_listen() {
    let table: &[(&[(&str, &str)], Talk)] = &[
        (&[], Talk::Sent),
        (&[("Allow-Events", "hold, talk")], Talk::Sent),
        (&[("Allow-Events", "presence")], Talk::Unsupported),
        (&[("Allow", "INVITE, NOTIFY")], Talk::Sent),
        (&[("Allow", "INVITE, BYE")], Talk::Unsupported),
        (&[("Allow", "INVITE, BYE"), ("u", "talk")], Talk::Sent),
    ];
    for (headers, expected) in table {
        let mut peer = Peer::new();
        let (session, invite) = dialled(&mut peer);
        peer.respond(&invite, 180, "ringing", headers);
        peer.sent();
        assert_eq!(peer.agent.talk(peer.now, session), *expected, "{headers:?}");
        if *expected == Talk::Sent {
            let notify = peer.one().1;
            assert_eq!(
                (notify.header(HeaderName::Event), notify.to().unwrap().tag()),
                (Some("talk"), Some("ringing"))
            );
            assert!(notify.header(HeaderName::SubscriptionState).is_some() && notify.contact().is_some());
            peer.respond(&notify, 481, "ringing", &[]);
        }
        peer.respond(&invite, 200, "ringing", &[]);
        peer.sent();
        assert!(peer.events.iter().any(|event| answered(event).is_some()), "the call goes on");
        assert_eq!(peer.agent.stats().talks_refused, u64::from(*expected == Talk::Sent));
    }
}

#[test]
fn nobody_is_asked_to_answer_his_own_call_or_one_that_is_over() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Invite, "in").finish());
    peer.sent();
    let ringing = peer.events.iter().find_map(incoming).unwrap();
    assert_eq!(peer.agent.talk(peer.now, ringing), Talk::NoDialog);
    peer.agent.reject(peer.now, ringing, 486, &[]);
    assert_eq!(peer.agent.talk(peer.now, ringing), Talk::NoDialog);
    assert_eq!(peer.lines(), ["486"]);
}
