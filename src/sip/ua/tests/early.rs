//! Calls that were not answered when the process was killed.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::peer::*;
use super::rig::*;
use super::survival::{SECOND, anchor};
use crate::message::{HeaderName, Message, Method, ResponseBuilder};
use crate::ua::*;

/// The user agent is killed; another one ends what was kept of its calls. Gives those that take a while.
fn kill(peer: &mut Peer) -> Vec<SessionId> {
    let kept: Vec<_> = peer.agent.kept_calls().collect();
    let mut next = UserAgent::new(config(0), StdRng::seed_from_u64(2));
    let ending = kept.into_iter().filter(|id| {
        let kept = peer.agent.early_snapshot_of(*id).unwrap();
        let bytes = rmp_serde::to_vec_named(&kept).unwrap();
        assert!(bytes.len() < 700, "{} bytes", bytes.len());
        let read: EarlySnapshot = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(read, kept);
        next.end_early(peer.now, *id, read).unwrap()
    });
    let ending = ending.collect();
    peer.agent = next;
    peer.events.clear();
    ending
}

fn dialled(peer: &mut Peer) -> (SessionId, Message) {
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    (session, peer.one().1)
}

#[test]
fn a_call_is_told_until_it_has_a_final_response() {
    let mut peer = Peer::new();
    let anchor = anchor(&peer);
    peer.agent.take_changes(anchor);
    let told = |peer: &mut Peer| {
        peer.agent.take_changes(anchor);
        let changes = peer.agent.take_early_changes().into_iter();
        changes.map(|(id, call)| (id, call.is_some())).collect::<Vec<_>>()
    };
    let outgoing = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    assert_eq!(told(&mut peer), [(outgoing, true)], "before anything is sent");
    let (_, invite) = peer.one();
    peer.respond(&invite, 180, "b", &[]);
    assert_eq!(told(&mut peer), []);
    peer.respond(&invite, 486, "b", &[]);
    assert_eq!(told(&mut peer), [(outgoing, false)]);
    peer.sent();

    peer.deliver(Request::new(Method::Invite, "i").finish());
    peer.sent();
    let incoming = peer.events.iter().find_map(incoming).unwrap();
    assert_eq!(told(&mut peer), [(incoming, true)]);
    peer.agent.accept(peer.now, incoming, sdp());
    assert_eq!(told(&mut peer), [(incoming, false)], "the session is kept now");
}

#[test]
fn who_was_called_rings_no_more() {
    let mut peer = Peer::new();
    let (session, invite) = dialled(&mut peer);
    peer.respond(&invite, 180, "b", &[]);
    assert_eq!(kill(&mut peer), [session]);
    let (_, cancel) = peer.one();
    assert_eq!(cancel.method(), Some(Method::Cancel));
    assert_eq!(cancel.header(HeaderName::Via), invite.header(HeaderName::Via));
    assert_eq!(cancel.header(HeaderName::To), invite.header(HeaderName::To));
    assert_eq!(cancel.header(HeaderName::Reason), Some("SIP;cause=500;text=\"Call lost\""));
    assert_eq!(peer.agent.kept_calls().count(), 1, "it is kept as long as it takes");
    peer.respond(&cancel, 200, "b", &[]);
    peer.respond(&invite, 487, "b", &[]);
    assert_eq!(peer.lines(), ["ACK"]);
    assert_eq!(peer.agent.kept_calls().count(), 0);
    assert_eq!(peer.agent.stats().sessions_active, 0);
}

#[test]
fn who_answers_meanwhile_is_hung_up_on() {
    let mut peer = Peer::new();
    let (_, invite) = dialled(&mut peer);
    kill(&mut peer);
    assert_eq!(peer.lines(), ["CANCEL"]);
    let answer = ResponseBuilder::to(&invite, 200, None)
        .to_tag("b")
        .header("Contact", format!("<sip:b@{PEER}>"));
    peer.deliver(answer.body("application/sdp", SDP).finish());
    assert_eq!(peer.lines(), ["ACK", "BYE"]);
}

#[test]
fn a_device_that_says_nothing_is_given_up() {
    let mut peer = Peer::new();
    dialled(&mut peer);
    kill(&mut peer);
    peer.sent();
    peer.wait(SECOND * 40);
    assert_eq!((peer.agent.stats().sessions_active, peer.agent.kept_calls().count()), (0, 0));
}

#[test]
fn who_called_waits_no_more() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Invite, "i").finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.progress(peer.now, session, 180, None);
    let ringing = peer.one().1;
    assert_eq!(kill(&mut peer), []);
    let (_, refusal) = peer.one();
    assert_eq!(refusal.status(), Some(480));
    for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CSeq] {
        assert_eq!(refusal.header(name), ringing.header(name));
    }
    // Until its ACK it is sent again; a copy of the INVITE is no new call.
    peer.deliver(Request::new(Method::Invite, "i").finish());
    assert_eq!(peer.lines(), ["480"]);
    assert!(peer.events.is_empty());
    let to = refusal.header(HeaderName::To).unwrap().to_owned();
    peer.deliver(Request::new(Method::Ack, "i").to(&to).finish());
    peer.wait(SECOND * 2);
    assert_eq!(peer.lines(), [""; 0]);
}

#[test]
fn what_cannot_be_ended_is_told() {
    let mut peer = Peer::new();
    let (session, _) = dialled(&mut peer);
    let kept = peer.agent.early_snapshot_of(session).unwrap();
    assert_eq!(
        peer.agent.end_early(peer.now, session, kept.clone()),
        Err(RestoreError::Duplicate)
    );
    let mut other = UserAgent::new(config(1), StdRng::seed_from_u64(2));
    assert_eq!(other.end_early(peer.now, session, kept), Err(RestoreError::ForeignTag));
}
