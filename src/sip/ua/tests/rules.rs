//! What is refused and how, what a forger can do (nothing), and who gets served under load.

use super::peer::*;
use super::rig::*;
use crate::message::{HeaderName, Method};
use crate::ua::*;

#[test]
fn methods_that_are_not_served_get_405_with_the_truth() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Publish, "x").finish());
    let (_, response) = peer.one();
    assert_eq!(response.status(), Some(405));
    let allow = response.header(HeaderName::Allow).unwrap();
    assert!(allow.contains("INVITE") && !allow.contains("PUBLISH"));
}

/// RFC 3261 s.21.5.2.
#[test]
fn methods_that_nobody_knows_get_501() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Other("DANCE".into()), "x").finish());
    assert_eq!(peer.one().1.status(), Some(501));
}

#[test]
fn publish_in_a_dialog_gets_405_and_the_call_lives() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    peer.deliver(Request::new(Method::Publish, "u").to(&to).cseq(3).finish());
    assert_eq!(peer.lines(), ["405"]);
    peer.agent.bye(peer.now, session, None);
    assert_eq!(peer.lines(), ["BYE"]);
}

#[test]
fn extensions_that_are_not_supported_get_420() {
    let off = |config: &mut UaConfig| config.reliable_provisionals = ReliableProvisionals::Off;
    let no_timers = |config: &mut UaConfig| config.session_expires = std::time::Duration::ZERO;
    for (mut peer, required, expected) in [
        (Peer::new(), "100rel, nosuch", vec!["nosuch"]),
        (Peer::with(off), "100rel", vec!["100rel"]),
        (Peer::with(no_timers), "timer", vec!["timer"]),
    ] {
        peer.deliver(Request::new(Method::Invite, "x").header("Require", required).finish());
        let (_, response) = peer.one();
        let unsupported: Vec<_> = response.headers(HeaderName::Unsupported).collect();
        assert_eq!((response.status(), unsupported), (Some(420), expected));
        assert!(peer.events.is_empty());
    }
}

#[test]
fn a_request_that_has_no_forwards_left_gets_483() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Invite, "x").header("Max-Forwards", "0").finish());
    assert_eq!(peer.lines(), ["483"]);
}

#[test]
fn the_same_request_over_two_ways_is_served_once() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Invite, "one").finish());
    assert_eq!(peer.lines(), ["100"]);
    peer.deliver(Request::new(Method::Invite, "two").finish());
    assert_eq!(peer.lines(), ["482"]);
    assert_eq!(peer.events.iter().filter_map(incoming).count(), 1);
}

#[test]
fn an_invite_without_contact_or_with_a_bomb_is_refused() {
    let mut peer = Peer::new();
    let mut request = Request::new(Method::Invite, "x");
    request.contact = String::new();
    peer.deliver(request.finish());
    assert_eq!(peer.lines(), ["400"]);
    let mut request = Request::new(Method::Invite, "y");
    request.body = Some([SDP, &b"m=audio 1 RTP/AVP 0\r\n".repeat(40)].concat());
    peer.deliver(request.finish());
    assert_eq!(peer.lines(), ["488"]);
    assert!(peer.events.is_empty());
}

#[test]
fn a_request_in_no_dialog_gets_481_and_an_ack_gets_nothing() {
    let mut peer = Peer::new();
    for method in [Method::Bye, Method::Info, Method::Invite, Method::Options] {
        peer.deliver(Request::new(method, "x").to("<sip:a@b>;tag=td00000000000000000001").finish());
        assert_eq!(peer.lines(), ["481"]);
    }
    peer.deliver(Request::new(Method::Bye, "y").finish());
    assert_eq!(peer.lines(), ["481"]);
    peer.deliver(Request::new(Method::Ack, "z").to("<sip:a@b>;tag=foreign").finish());
    assert!(peer.lines().is_empty());
}

#[test]
fn forged_requests_get_481_and_the_call_lives() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    for method in [Method::Bye, Method::Invite, Method::Info] {
        let mut wrong_tag = Request::new(method.clone(), &format!("t{method}")).to(&to).cseq(9);
        wrong_tag.from_tag = "forged".to_owned();
        peer.deliver(wrong_tag.finish());
        let mut wrong_call = Request::new(method.clone(), &format!("c{method}")).to(&to).cseq(9);
        wrong_call.call_id = "forged".to_owned();
        peer.deliver(wrong_call.finish());
        assert_eq!(peer.lines(), ["481", "481"]);
    }
    assert!(peer.events.is_empty());
    peer.deliver(Request::new(Method::Options, "o").to(&to).cseq(2).finish());
    let (_, response) = peer.one();
    assert_eq!(
        (response.status(), response.header(HeaderName::Allow).is_some()),
        (Some(200), true)
    );
    assert!(peer.agent.session_call_id(session).is_some());
}

#[test]
fn a_caller_that_is_turned_away_leaves_nothing_behind() {
    let mut peer = Peer::new();
    let challenge = [header("WWW-Authenticate", "Digest realm=\"x\"")];
    peer.deliver(Request::new(Method::Invite, "x").finish());
    peer.deliver(Request::new(Method::Register, "r").finish());
    // The shell hears of both in one turn.
    let mut tags = Vec::new();
    while let Some(output) = peer.agent.poll() {
        match output {
            UaOutput::Event(UaEvent::Incoming { session, .. }) => peer.agent.turn_away(peer.now, session, 401, &challenge),
            UaOutput::Event(UaEvent::Request { id, .. }) => peer.agent.turn_away_request(id, 401, &challenge),
            UaOutput::Send { bytes, .. } => {
                let response = crate::message::Message::parse(bytes).unwrap();
                assert_eq!(response.status(), Some(401));
                assert_eq!(response.header_named("WWW-Authenticate"), Some("Digest realm=\"x\""));
                tags.push(response.to().unwrap().tag().unwrap().to_owned());
            }
            UaOutput::Event(UaEvent::Ended { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(tags.len(), 2);
    assert_eq!(peer.agent.next_timeout(), None);
    let mut ack = Request::new(Method::Ack, "x");
    let to = format!("<sip:me@10.0.0.1>;tag={}", tags[0]);
    ack = ack.to(&to);
    peer.deliver(ack.finish());
    assert!(peer.lines().is_empty());
    assert_eq!(
        peer.agent.stats(),
        UaStats::default(),
        "the ACK of a refusal is no message dropped"
    );
}

#[test]
fn strangers_leave_no_transaction_whatever_they_ask() {
    let mut peer = Peer::new();
    for method in [Method::Bye, Method::Cancel, Method::Subscribe, Method::Refer, Method::Update] {
        peer.deliver(Request::new(method.clone(), &format!("o{method}")).finish());
        peer.deliver(
            Request::new(method.clone(), &format!("w{method}"))
                .to("<sip:me@10.0.0.1>;tag=forged")
                .finish(),
        );
    }
    assert_eq!(peer.lines().len(), 10);
    peer.deliver(Request::new(Method::Options, "options").finish());
    assert!(peer.lines().is_empty(), "it is for the shell to answer");
    let asked = peer.events.iter().find_map(|event| match event {
        UaEvent::Request { id, .. } => Some(*id),
        _ => None,
    });
    peer.agent.respond(peer.now, asked.unwrap(), 200, &[], None);
    assert_eq!(peer.lines(), ["200"]);
    assert_eq!(peer.agent.stats(), UaStats::default());
}

#[test]
fn a_caller_that_is_turned_away_late_is_rejected() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Invite, "x").finish());
    assert_eq!(peer.lines(), ["100"]);
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.turn_away(peer.now, session, 401, &[]);
    assert_eq!(peer.lines(), ["401"]);
    assert_eq!(peer.agent.stats().transactions_active, 1);
}

#[test]
fn a_cancel_from_elsewhere_gets_481_and_the_invite_goes_on() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Invite, "x").finish());
    peer.lines();
    let caller = std::mem::replace(&mut peer.flow, flow_from("10.6.6.6:5060"));
    peer.deliver(Request::new(Method::Cancel, "x").finish());
    assert_eq!(peer.lines(), ["481"]);
    assert_eq!(peer.events.len(), 1);
    // The forged one does not stand in the way of the caller's.
    peer.flow = caller;
    peer.deliver(Request::new(Method::Cancel, "x").finish());
    assert_eq!(peer.lines(), ["200", "487"]);
}

#[test]
fn a_cancel_is_answered_and_so_is_its_invite_and_both_again_when_it_comes_again() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Cancel, "x").finish());
    assert_eq!(peer.lines(), ["481"], "nothing to cancel yet");
    peer.deliver(Request::new(Method::Invite, "y").finish());
    let elsewhere = "SIP;cause=200;text=\"Call completed elsewhere\"";
    peer.deliver(Request::new(Method::Cancel, "y").header("Reason", elsewhere).finish());
    assert_eq!(peer.lines(), ["100", "200", "487"]);
    let cancelled = peer.events.last();
    assert!(matches!(cancelled, Some(UaEvent::Cancelled { q850: Some(26), reason: Some(reason), .. }) if &**reason == elsewhere));
    peer.deliver(Request::new(Method::Cancel, "y").finish());
    peer.deliver(Request::new(Method::Invite, "y").finish());
    assert_eq!(peer.lines(), ["200", "487"]);
    peer.wait(std::time::Duration::from_secs(100));
    peer.agent.assert_empty();
}

#[test]
fn requests_out_of_order_get_500() {
    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    peer.deliver(Request::new(Method::Info, "a").to(&to).cseq(5).finish());
    peer.deliver(Request::new(Method::Info, "b").to(&to).cseq(4).finish());
    assert_eq!(peer.lines(), ["200", "500"]);
}

#[test]
fn retransmissions_get_the_same_response_and_are_handed_up_once() {
    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    for _ in 0..3 {
        peer.deliver(Request::new(Method::Bye, "b").to(&to).cseq(2).finish());
    }
    assert_eq!(peer.lines(), ["200", "200", "200"]);
    assert_eq!(peer.events.len(), 1);
    assert_eq!(peer.agent.stats().retransmissions_received, 2);
}

#[test]
fn a_second_invite_of_the_peer_while_its_first_is_open_gets_500() {
    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    peer.deliver(Request::new(Method::Invite, "a").to(&to).cseq(2).finish());
    assert_eq!(peer.lines(), ["100"]);
    peer.deliver(Request::new(Method::Invite, "b").to(&to).cseq(3).finish());
    let (_, response) = peer.one();
    assert_eq!(
        (response.status(), response.header(HeaderName::RetryAfter).is_some()),
        (Some(500), true)
    );
}

#[test]
fn an_offer_that_the_peer_puts_off_is_made_again() {
    let mut peer = Peer::new();
    let (session, _) = peer.talk();
    peer.agent.reinvite(peer.now, session, other_sdp(1));
    let (_, first) = peer.one();
    peer.respond(&first, 500, "", &[("Retry-After", "2 (busy);duration=9")]);
    assert_eq!(peer.lines(), ["ACK"]);
    peer.wait(ms(1_900));
    assert_eq!(peer.lines(), [""; 0]);
    peer.wait(ms(200));
    let (_, second) = peer.one();
    assert!(second.is(&Method::Invite) && second.cseq().unwrap().0 > first.cseq().unwrap().0);
    peer.respond(&second, 200, "", &[]);
    peer.sent();
    assert!(peer.events.last().is_some_and(|event| reinvite_answered(event).is_some()));
}

#[test]
fn an_offer_that_is_refused_or_put_off_too_often_has_failed() {
    let zero = ("Retry-After", "0");
    for (headers, sent) in [(&[][..], 1), (&[("Retry-After", "120")], 1), (&[zero], 6)] {
        let mut peer = Peer::new();
        let (session, _) = peer.talk();
        peer.agent.reinvite(peer.now, session, other_sdp(1));
        for _ in 0..sent {
            assert_eq!(peer.events.last().and_then(reinvite_failed), None);
            let (_, invite) = peer.one();
            peer.respond(&invite, 500, "", headers);
            assert_eq!(peer.lines(), ["ACK"]);
            peer.wait(ms(300));
        }
        assert_eq!(peer.lines(), [""; 0]);
        assert_eq!(peer.events.last().and_then(reinvite_failed), Some(500));
    }
}

#[test]
fn a_cancelled_reinvite_is_over_when_the_shell_has_answered_it() {
    for (late, answer) in [(false, true), (true, true), (false, false)] {
        let mut peer = Peer::new();
        let (session, to) = peer.talk();
        let reinvite = |branch: &str, cseq| {
            let mut request = Request::new(Method::Invite, branch).to(&to).cseq(cseq);
            request.body = (!late).then(|| SDP.to_vec());
            request.finish()
        };
        peer.deliver(reinvite("a", 2));
        peer.deliver(Request::new(Method::Cancel, "a").to(&to).cseq(2).finish());
        assert_eq!(peer.lines(), ["100", "200", "487"]);
        peer.deliver(reinvite("b", 3));
        assert_eq!(peer.lines(), ["491"], "the shell still works on the first");
        peer.agent.reinvite(peer.now, session, sdp());
        assert!(peer.lines().is_empty());
        assert_eq!(peer.events.last().and_then(reinvite_failed), Some(491));
        if answer {
            peer.agent.accept_reinvite(peer.now, session, sdp());
            assert!(peer.lines().is_empty());
            assert!(matches!(peer.events.last(), Some(UaEvent::Acked { .. })));
        } else {
            peer.agent.reject_reinvite(peer.now, session, 488);
        }
        peer.deliver(reinvite("c", 4));
        assert_eq!(peer.lines(), ["100"]);
    }
}

#[test]
fn a_bye_in_the_early_dialog_cancels_the_invite() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Invite, "a").finish());
    let session = {
        peer.lines();
        peer.events.iter().find_map(incoming).unwrap()
    };
    peer.agent.progress(peer.now, session, 180, None);
    let to = peer.one().1.header(HeaderName::To).unwrap().to_owned();
    peer.deliver(Request::new(Method::Bye, "b").to(&to).cseq(2).finish());
    assert_eq!(peer.lines(), ["200", "487"]);
    assert!(matches!(peer.events.last(), Some(UaEvent::Cancelled { .. })));
}

#[test]
fn above_the_limits_new_callers_wait_and_old_ones_are_served() {
    let mut peer = Peer::with(|config| (config.max_sessions, config.max_transactions) = (1, 3));
    let (_, to) = peer.talk();
    let other = |branch: &str| {
        let mut request = Request::new(Method::Invite, branch);
        request.call_id = branch.to_owned();
        request
    };
    peer.deliver(other("second").finish());
    let (_, response) = peer.one();
    assert_eq!(
        (response.status(), response.header(HeaderName::RetryAfter)),
        (Some(503), Some("5"))
    );
    peer.deliver(Request::new(Method::Info, "i").to(&to).cseq(2).finish());
    peer.deliver(Request::new(Method::Info, "j").to(&to).cseq(3).finish());
    assert_eq!(peer.lines(), ["200", "200"]);
    peer.deliver(other("third").finish());
    assert!(peer.lines().is_empty(), "over UDP the flooder gets nothing");
    peer.flow = tcp(1);
    peer.deliver(other("fourth").finish());
    assert_eq!(peer.lines(), ["503"]);
    peer.flow = udp();
    peer.deliver(Request::new(Method::Bye, "bye").to(&to).cseq(4).finish());
    assert_eq!(peer.lines(), ["200"], "a flood keeps no call from ending");
}

#[test]
fn bad_requests_are_answered_where_possible_and_counted() {
    let mut peer = Peer::new();
    let mut request = Request::new(Method::Invite, "x");
    request.call_id = String::new();
    peer.deliver(request.finish());
    assert_eq!(peer.lines(), ["400"]);
    peer.deliver(bytes::Bytes::from_static(
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKnobody\r\n\r\n",
    ));
    assert!(peer.lines().is_empty());
    assert_eq!(peer.agent.stats().dropped, 2);
}

#[test]
fn owner_follows_tags_and_branches() {
    let mut peer = Peer::with(|config| config.shard = 42);
    peer.deliver(Request::new(Method::Invite, "x").finish());
    let session = {
        peer.lines();
        peer.events.iter().find_map(incoming).unwrap()
    };
    peer.agent.reject(peer.now, session, 486, &[]);
    let (_, refusal) = peer.one();
    let message = |bytes| crate::message::Message::parse(bytes).unwrap();
    let to = refusal.header(HeaderName::To).unwrap();
    assert_eq!(owner(&message(Request::new(Method::Ack, "x").to(to).finish())), Some(42));
    assert_eq!(owner(&message(Request::new(Method::Bye, "y").to(to).finish())), Some(42));
    assert_eq!(owner(&message(Request::new(Method::Invite, "z").finish())), None);
    assert_eq!(owner(&message(Request::new(Method::Cancel, "x").finish())), None);
    peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, invite) = peer.one();
    let response = crate::message::ResponseBuilder::to(&invite, 180, None).finish();
    assert_eq!(owner(&message(response)), Some(42));
    assert_eq!(owner(&refusal), None, "the Via is the peer's");
}

#[test]
fn the_torture_messages_leave_the_user_agent_alive_and_nothing_behind() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("message/torture");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "dat"));
    assert_eq!(files.len(), 49);
    let mut peer = Peer::new();
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        if let Ok(message) = crate::message::Message::parse(bytes.into()) {
            peer.agent.receive(peer.now, peer.flow, message);
        }
    }
    peer.sent();
    let sessions: Vec<_> = peer.events.iter().filter_map(incoming).collect();
    assert!(!sessions.is_empty());
    for session in sessions {
        peer.agent.accept(peer.now, session, sdp());
        peer.agent.bye(peer.now, session, None);
    }
    peer.sent();
    peer.deliver(Request::new(Method::Options, "alive").finish());
    peer.sent();
    let Some(UaEvent::Request { id, .. }) = peer.events.last() else {
        panic!("{:?}", peer.events.last())
    };
    peer.agent.respond(peer.now, *id, 200, &[], None);
    let (_, response) = peer.one();
    assert_eq!(
        (response.status(), response.header(HeaderName::Allow).is_some()),
        (Some(200), true)
    );
    for _ in 0..20 {
        peer.wait(std::time::Duration::from_secs(32));
        for (id, _) in std::mem::take(&mut peer.resolves) {
            peer.agent.resolved(peer.now, id, Vec::new());
        }
        peer.sent();
    }
    peer.agent.assert_empty();
}

#[test]
fn infos_go_one_after_the_other() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let info = |peer: &mut Peer, body: &'static str| peer.agent.info(peer.now, session, "text/plain", body.into());
    for body in ["1", "2", "3"] {
        info(&mut peer, body);
    }
    let mut last = 0;
    // (the peer's answer, the one it is for): a refusal ends the INFO and nothing else.
    for (status, body) in [(200, "1"), (500, "2"), (415, "3")] {
        let (_, request) = peer.one();
        assert_eq!((request.method(), &request.body()[..]), (Some(Method::Info), body.as_bytes()));
        assert!(request.cseq().unwrap().0 > last);
        last = request.cseq().unwrap().0;
        peer.respond(&request, 100, "p1", &[]);
        assert!(peer.lines().is_empty(), "not the final one");
        peer.respond(&request, status, "p1", &[]);
    }
    assert!(peer.lines().is_empty() && peer.events.is_empty());
    // One is out and 32 wait; what is more is left out, and the shell can know.
    for _ in 0..33 {
        assert!(peer.agent.takes_info(session));
        info(&mut peer, "x");
    }
    assert!(!peer.agent.takes_info(session));
    info(&mut peer, "one too many");
    assert_eq!((peer.lines().len(), peer.agent.stats().infos_dropped), (1, 1));
    // What waits ends with the session.
    peer.deliver(Request::new(Method::Bye, "bye").to(&to).cseq(2).finish());
    assert_eq!(peer.lines(), ["200"]);
    assert!(!peer.agent.takes_info(session));
}
