//! Reliable provisional responses (RFC 3262) and forks.

use std::time::Duration;

use bytes::Bytes;

use super::peer::*;
use super::rig::*;
use crate::message::{HeaderName, Message, Method, ResponseBuilder};
use crate::ua::*;

/// An INVITE of the peer with an offer.
fn invite(branch: &str) -> Request {
    let mut request = Request::new(Method::Invite, branch);
    request.body = Some(SDP.to_vec());
    request
}

/// The session, and the 18x with a description that waits for its PRACK.
fn ringing(peer: &mut Peer, request: Request) -> (SessionId, Message) {
    peer.deliver(request.finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.progress(peer.now, session, 183, sdp());
    let (_, response) = peer.one();
    (session, response)
}

fn rseq(response: &Message) -> u32 {
    response.header(HeaderName::RSeq).unwrap().parse().unwrap()
}

fn prack(response: &Message, branch: &str, cseq: u32, rseq: u32) -> Request {
    Request::new(Method::Prack, branch)
        .to(response.header(HeaderName::To).unwrap())
        .cseq(cseq)
        .header("RAck", &format!("{rseq} 1 INVITE"))
}

#[test]
fn a_description_goes_reliably_to_a_caller_that_supports_it_and_the_rest_does_not() {
    let mut peer = Peer::new();
    peer.deliver(invite("x").header("Supported", "100rel").finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.progress(peer.now, session, 180, None);
    assert_eq!(peer.one().1.header(HeaderName::RSeq), None);
    peer.agent.progress(peer.now, session, 183, sdp());
    let (_, early) = peer.one();
    assert_eq!(early.headers(HeaderName::Require).collect::<Vec<_>>(), ["100rel"]);
    assert!(early.contact().is_some() && early.sdp().is_some() && rseq(&early) > 0);
    peer.wait(Duration::from_millis(1600));
    assert_eq!(peer.lines(), ["183", "183"], "at 0.5 and 1.5 s");
    peer.deliver(prack(&early, "wrong", 2, rseq(&early) + 1).finish());
    assert_eq!(peer.lines(), ["481"]);
    peer.deliver(prack(&early, "right", 3, rseq(&early)).finish());
    assert_eq!(peer.lines(), ["200"]);
    peer.deliver(prack(&early, "again", 4, rseq(&early)).finish());
    assert_eq!(peer.lines(), ["481"], "acknowledged once");
    peer.wait(Duration::from_secs(30));
    assert!(peer.lines().is_empty());
    peer.agent.progress(peer.now, session, 183, other_sdp(3));
    let (_, later) = peer.one();
    assert_eq!(
        (later.header(HeaderName::RSeq), later.sdp()),
        (None, None),
        "the answer is out"
    );
    peer.agent.accept(peer.now, session, sdp());
    let (_, success) = peer.one();
    assert_eq!((success.status(), success.sdp()), (Some(200), None));
}

#[test]
fn everything_goes_reliably_to_a_caller_that_requires_it_one_after_the_other() {
    let mut peer = Peer::new();
    peer.deliver(invite("x").header("Require", "100rel").finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    for status in [180, 181, 183] {
        peer.agent.progress(peer.now, session, status, None);
    }
    let mut cseq = 1;
    let mut last = None;
    for status in [180, 181, 183] {
        let (_, response) = match last.take() {
            None => peer.one(),
            Some(before) => {
                cseq += 1;
                peer.deliver(prack(&before, &format!("p{cseq}"), cseq, rseq(&before)).finish());
                let sent = peer.sent();
                assert_eq!(sent.len(), 2, "the 200 to the PRACK and the next one");
                assert_eq!(rseq(&sent[1].1), rseq(&before) + 1);
                sent[1].clone()
            }
        };
        assert_eq!(response.status(), Some(status));
        last = Some(response);
    }
    // Nothing in it has to be acknowledged before the 200; its PRACK is answered all the same (s.3).
    peer.agent.accept(peer.now, session, sdp());
    assert_eq!(peer.lines(), ["200"]);
    let last = last.unwrap();
    peer.deliver(prack(&last, "late", 9, rseq(&last)).finish());
    assert_eq!(peer.lines(), ["200"]);
    peer.wait(Duration::from_millis(400));
    assert!(peer.lines().is_empty(), "no 183 behind the 200");
}

#[test]
fn a_200_waits_for_the_prack_of_the_answer() {
    let mut peer = Peer::new();
    let (session, early) = ringing(&mut peer, invite("x").header("Supported", "100rel"));
    peer.agent.progress(peer.now, session, 183, other_sdp(1));
    peer.agent.accept(peer.now, session, sdp());
    peer.agent.accept(peer.now, session, sdp());
    assert_eq!(peer.lines(), ["183"], "that without a description, which is not reliable");
    peer.deliver(prack(&early, "p", 2, rseq(&early)).finish());
    assert_eq!(peer.lines(), ["200", "200"]);
    assert_eq!(peer.agent.stats().commands_ignored, 1);
}

#[test]
fn a_200_that_was_to_say_something_new_is_followed_by_a_reinvite_that_says_it() {
    let mut peer = Peer::new();
    let (session, early) = ringing(&mut peer, invite("x").header("Supported", "100rel"));
    peer.deliver(prack(&early, "p", 2, rseq(&early)).finish());
    peer.agent.accept(peer.now, session, other_sdp(5));
    assert_eq!(peer.lines(), ["200", "200"]);
    let to = early.header(HeaderName::To).unwrap();
    peer.deliver(Request::new(Method::Ack, "ack").to(to).finish());
    let (_, reinvite) = peer.one();
    assert_eq!((reinvite.method(), reinvite.sdp()), (Some(Method::Invite), other_sdp(5)));
    peer.events.clear();
    let answer = ResponseBuilder::to(&reinvite, 200, None)
        .header("Contact", "<sip:peer@10.0.0.9>")
        .body("application/sdp", SDP);
    peer.deliver(answer.finish());
    assert_eq!(peer.lines(), ["ACK"]);
    assert!(peer.events.is_empty(), "the shell said what it wanted with its 200");
}

#[test]
fn without_a_prack_the_invite_fails_after_64_t1() {
    let mut peer = Peer::new();
    ringing(&mut peer, invite("x").header("Require", "100rel"));
    let started = peer.now;
    peer.wait(Duration::from_secs(31));
    assert_eq!(peer.lines(), vec!["183"; 5], "at 0.5, 1.5, 3.5, 7.5 and 15.5 s");
    peer.wait(Duration::from_secs(1));
    assert_eq!(peer.lines(), ["183", "504"]);
    assert_eq!(peer.now - started, Duration::from_secs(32));
    assert_eq!(peer.events.last().and_then(any_terminal).as_deref(), Some("Ended here"));
}

#[test]
fn a_minute_later_a_reliable_response_is_told_again_with_a_new_number() {
    let mut peer = Peer::new();
    let (_, early) = ringing(&mut peer, invite("x").header("Require", "100rel"));
    peer.deliver(prack(&early, "p", 2, rseq(&early)).finish());
    peer.sent();
    peer.wait(Duration::from_millis(60_100));
    let (_, again) = peer.one();
    assert_eq!(
        (again.status(), rseq(&again), again.sdp()),
        (Some(183), rseq(&early) + 1, None)
    );
}

#[test]
fn a_caller_without_an_offer_gets_no_offer_before_the_200() {
    for (require, expected) in [(false, vec!["180"]), (true, vec![])] {
        let mut peer = Peer::new();
        let option = if require { "Require" } else { "Supported" };
        peer.deliver(Request::new(Method::Invite, "x").header(option, "100rel").finish());
        peer.sent();
        let session = peer.events.iter().find_map(incoming).unwrap();
        peer.agent.progress(peer.now, session, 180, sdp());
        let sent = peer.sent();
        assert!(sent.iter().all(|(_, response)| response.sdp().is_none()));
        let statuses: Vec<_> = sent.iter().map(|(_, r)| r.status().unwrap().to_string()).collect();
        assert_eq!(statuses, expected);
        peer.agent.accept(peer.now, session, sdp());
        assert_eq!(peer.one().1.sdp(), sdp());
    }
}

#[test]
fn an_offer_in_a_prack_gets_488_unless_it_is_the_one_before() {
    for (offer, status) in [(sdp(), 200), (other_sdp(1), 488)] {
        let mut peer = Peer::new();
        let (session, early) = ringing(&mut peer, invite("x").header("Supported", "100rel"));
        let mut request = prack(&early, "p", 2, rseq(&early));
        request.body = offer.map(|offer| offer.to_vec());
        peer.deliver(request.finish());
        let (_, response) = peer.one();
        assert_eq!((response.status(), response.sdp().is_some()), (Some(status), status == 200));
        peer.wait(Duration::from_secs(30));
        assert!(peer.lines().is_empty(), "acknowledged all the same");
        peer.agent.accept(peer.now, session, None);
        assert_eq!(peer.lines(), ["200"]);
    }
}

#[test]
fn a_cancel_ends_what_waits_for_its_prack() {
    let mut peer = Peer::new();
    let (_, early) = ringing(&mut peer, invite("x").header("Supported", "100rel"));
    peer.deliver(Request::new(Method::Cancel, "x").finish());
    assert_eq!(peer.lines(), ["200", "487"]);
    peer.deliver(prack(&early, "p", 2, rseq(&early)).finish());
    assert_eq!(peer.lines(), ["481"]);
    peer.deliver(
        Request::new(Method::Ack, "x")
            .to(early.header(HeaderName::To).unwrap())
            .finish(),
    );
    peer.wait(Duration::from_secs(100));
    peer.agent.assert_empty();
}

#[test]
fn where_it_is_demanded_callers_without_it_get_421_and_our_invites_require_it() {
    let mut peer = Peer::with(|config| config.reliable_provisionals = ReliableProvisionals::Required);
    peer.deliver(invite("x").finish());
    let (_, refusal) = peer.one();
    assert_eq!((refusal.status(), refusal.requires().next()), (Some(421), Some("100rel")));
    peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    assert_eq!(peer.one().1.requires().collect::<Vec<_>>(), ["100rel"]);
}

/// A provisional response of the peer; 0 for one that is not reliable.
fn progress_of(request: &Message, status: u16, tag: &str, rseq: u32, body: Option<Bytes>) -> Bytes {
    let mut response = ResponseBuilder::to(request, status, None)
        .to_tag(tag)
        .header("Contact", format!("<sip:{tag}@{PEER}>"))
        .header("Allow", "INVITE, ACK, BYE, CANCEL, PRACK, UPDATE");
    if rseq > 0 {
        response = response.header("Require", "100rel").header("RSeq", rseq.to_string());
    }
    match body {
        Some(body) => response.body("application/sdp", body).finish(),
        None => response.finish(),
    }
}

fn calling(peer: &mut Peer) -> (SessionId, Message) {
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, request) = peer.one();
    assert!(request.supports("100rel") && request.supports("timer"));
    (session, request)
}

#[test]
fn each_reliable_response_is_acknowledged_once_and_in_order() {
    let mut peer = Peer::new();
    let (_, request) = calling(&mut peer);
    peer.deliver(progress_of(&request, 180, "one", 7, None));
    let (_, first) = peer.one();
    assert_eq!(first.method(), Some(Method::Prack));
    assert_eq!(first.header(HeaderName::RAck), Some("7 1 INVITE"));
    assert_eq!((first.uri(), first.cseq().unwrap().0), (Some("sip:one@10.0.0.9:5060"), 2));
    peer.deliver(progress_of(&request, 180, "one", 7, None));
    peer.deliver(progress_of(&request, 183, "one", 9, sdp()));
    assert!(peer.lines().is_empty(), "a repetition is discarded, a gap waits");
    peer.deliver(progress_of(&request, 182, "one", 8, None));
    peer.deliver(progress_of(&request, 183, "one", 9, sdp()));
    assert_eq!(peer.lines(), ["PRACK", "PRACK"]);
    // Each fork counts for itself.
    peer.deliver(progress_of(&request, 180, "two", 900, None));
    assert_eq!(peer.one().1.header(HeaderName::RAck), Some("900 1 INVITE"));
    let told: Vec<_> = peer.events.iter().filter_map(progress).collect();
    assert_eq!(told, [180, 182, 183, 180]);
    peer.wait(Duration::from_millis(600));
    assert_eq!(peer.lines(), vec!["PRACK"; 4], "they repeat themselves");
}

#[test]
fn a_prack_that_was_overtaken_comes_again_with_a_new_number_once() {
    let mut peer = Peer::new();
    let (_, request) = calling(&mut peer);
    peer.deliver(progress_of(&request, 180, "one", 7, None));
    let (_, first) = peer.one();
    peer.respond(&first, 500, "one", &[]);
    let (_, second) = peer.one();
    assert_eq!(second.header(HeaderName::RAck), Some("7 1 INVITE"));
    assert_eq!((first.cseq().unwrap().0, second.cseq().unwrap().0), (2, 3));
    peer.respond(&second, 500, "one", &[]);
    assert!(peer.told().is_some());
}

#[test]
fn a_late_offer_of_ours_takes_no_reliable_response() {
    let mut peer = Peer::new();
    let asks = Invite {
        offer: None,
        ..invite_to("sip:bob@10.0.0.9")
    };
    peer.agent.invite(peer.now, asks);
    let (_, request) = peer.one();
    assert!(!request.supports("100rel"));
    peer.deliver(progress_of(&request, 180, "one", 7, None));
    assert!(peer.lines().is_empty());
    assert_eq!(peer.events.iter().filter_map(progress).collect::<Vec<_>>(), [180]);
}

fn description(event: &UaEvent) -> Option<Bytes> {
    match event {
        UaEvent::Answered { sdp, .. } => sdp.clone(),
        _ => None,
    }
}

#[test]
fn the_answer_is_that_of_the_fork_which_answers() {
    // (reliably, what the 200 says) -> what the call is answered with
    for (reliable, said, expected) in [(true, None, 2), (true, Some(9), 2), (false, Some(9), 9), (false, None, 2)] {
        let mut peer = Peer::new();
        let (session, request) = calling(&mut peer);
        let number = |n: u32| if reliable { n } else { 0 };
        peer.deliver(progress_of(&request, 183, "one", number(1), other_sdp(1)));
        peer.deliver(progress_of(&request, 183, "two", number(1), other_sdp(2)));
        peer.deliver(progress_of(&request, 183, "three", number(1), other_sdp(3)));
        peer.sent();
        let body = said.and_then(other_sdp);
        peer.deliver({
            let response = ResponseBuilder::to(&request, 200, None)
                .to_tag("two")
                .header("Contact", "<sip:two@10.0.0.9>");
            match body {
                Some(body) => response.body("application/sdp", body).finish(),
                None => response.finish(),
            }
        });
        assert!(peer.lines().is_empty());
        assert_eq!(
            peer.events.iter().find_map(description),
            other_sdp(expected),
            "{reliable} {said:?}"
        );
        peer.agent.ack(peer.now, session, None);
        assert_eq!(peer.lines(), ["ACK"]);
        assert_eq!(peer.agent.session_remote_sdp(session), other_sdp(expected).as_ref());
        assert_eq!(peer.agent.stats().dialogs_active, 1);
        // The dialog goes on above the number of its PRACK.
        peer.agent.bye(peer.now, session, None);
        assert_eq!(peer.one().1.cseq().unwrap().0, if reliable { 3 } else { 2 });
    }
}

#[test]
fn a_fork_that_answers_too_late_is_ended_above_the_number_of_its_prack() {
    let mut peer = Peer::new();
    let (session, request) = calling(&mut peer);
    peer.deliver(progress_of(&request, 180, "one", 1, None));
    peer.sent();
    peer.respond(&request, 200, "two", &[]);
    peer.agent.ack(peer.now, session, None);
    peer.sent();
    peer.respond(&request, 200, "one", &[]);
    let sent = peer.sent();
    let numbers: Vec<_> = sent.iter().map(|(_, m)| (m.method().unwrap(), m.cseq().unwrap().0)).collect();
    assert_eq!(numbers, [(Method::Ack, 1), (Method::Bye, 3)]);
}

#[test]
fn over_a_bad_network_each_response_arrives_once() {
    for seed in 0..40 {
        let mut rig = Rig::new(seed);
        rig.loss = 300;
        rig.duplication = 200;
        rig.latency_ms = 1..400;
        let caller = rig.invite(0);
        let callee = rig.wait(1, incoming);
        rig.agents[1].progress(rig.now, callee, 183, other_sdp(1));
        rig.agents[1].accept(rig.now, callee, other_sdp(1));
        rig.run(Duration::from_secs(64));
        let told = rig.events[0].iter().filter_map(progress).count();
        let ended = rig.events[0].iter().filter_map(any_terminal).count();
        assert!(told == 1 || ended == 1, "seed {seed}: {:?}", rig.events);
        if ended == 0 {
            assert_eq!(rig.events[0].iter().find_map(description), other_sdp(1), "seed {seed}");
            rig.agents[0].bye(rig.now, caller, None);
        }
        rig.settle();
    }
}

#[test]
fn an_invite_of_ours_that_comes_back_gets_482() {
    let mut peer = Peer::new();
    let (_, request) = calling(&mut peer);
    let looped = request.bytes().clone();
    let text = String::from_utf8(looped.to_vec()).unwrap();
    let via = format!("Via: SIP/2.0/UDP {PEER};branch=z9hG4bKproxy\r\nVia:");
    peer.deliver(text.replacen("Via:", &via, 1).into());
    assert_eq!(peer.lines(), ["482"]);
    let mut peer = Peer::new();
    calling(&mut peer);
    // A spiral, which has another Request-URI, is a call like any other.
    let elsewhere = text.replacen("INVITE sip:bob@10.0.0.9", "INVITE sip:carol@10.0.0.1", 1);
    let via = format!("Via: SIP/2.0/UDP {PEER};branch=z9hG4bKother\r\nVia:");
    peer.deliver(elsewhere.replacen("Via:", &via, 1).into());
    assert_eq!(peer.lines(), ["100"]);
}
