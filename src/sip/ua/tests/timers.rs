//! Session timers (RFC 4028).

use std::time::Duration;

use super::peer::*;
use super::rig::*;
use crate::message::{HeaderName, Message, Method, ResponseBuilder};
use crate::ua::*;

/// Calls us, and we answer: (the session, the 200).
fn answered_call(peer: &mut Peer, request: Request) -> (SessionId, Message) {
    peer.deliver(request.finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.accept(peer.now, session, sdp());
    let (_, success) = peer.one();
    let to = success.header(HeaderName::To).unwrap().to_owned();
    peer.deliver(Request::new(Method::Ack, "ack").to(&to).finish());
    peer.told();
    peer.events.clear();
    (session, success)
}

fn invite(headers: &[(&str, &str)]) -> Request {
    let mut request = Request::new(Method::Invite, "x");
    request.body = Some(SDP.to_vec());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
}

#[test]
fn what_a_callee_grants() {
    let timer = ("Supported", "timer");
    // (headers of the INVITE) -> Session-Expires and Require of the 200
    for (headers, expires, requires) in [
        (vec![], None, false),
        (vec![timer], Some("1800;refresher=uac"), true),
        (vec![timer, ("Session-Expires", "600")], Some("600;refresher=uac"), true),
        (
            vec![timer, ("Session-Expires", "600;refresher=uas")],
            Some("600;refresher=uas"),
            false,
        ),
        (vec![timer, ("x", "600 ; refresher=UAC")], Some("600;refresher=uac"), true),
        (vec![timer, ("Session-Expires", "7200")], Some("1800;refresher=uac"), true),
        (
            vec![timer, ("Session-Expires", "7200"), ("Min-SE", "3600")],
            Some("3600;refresher=uac"),
            true,
        ),
        // A proxy between asks for it: the caller does not know how.
        (vec![("Session-Expires", "600")], Some("600;refresher=uas"), false),
        (vec![("Session-Expires", "20")], Some("90;refresher=uas"), false),
        (vec![timer, ("Session-Expires", "nonsense")], Some("1800;refresher=uac"), true),
    ] {
        let mut peer = Peer::new();
        let (_, success) = answered_call(&mut peer, invite(&headers));
        assert_eq!(success.header(HeaderName::SessionExpires), expires, "{headers:?}");
        assert_eq!(success.requires().any(|tag| tag == "timer"), requires, "{headers:?}");
    }
}

#[test]
fn an_interval_that_is_too_short_gets_422() {
    let mut peer = Peer::with(|config| config.min_se = Duration::from_secs(200));
    let brief = [("Supported", "timer"), ("Session-Expires", "199")];
    peer.deliver(invite(&brief).finish());
    let (_, refusal) = peer.one();
    assert_eq!(
        (refusal.status(), refusal.header(HeaderName::MinSe)),
        (Some(422), Some("200"))
    );
    assert!(peer.events.is_empty() && peer.agent.next_timeout().is_none());
    let (_, success) = answered_call(&mut peer, invite(&[("Supported", "timer"), ("Session-Expires", "200")]));
    let to = success.header(HeaderName::To).unwrap().to_owned();
    for (method, branch, cseq) in [(Method::Invite, "i", 2), (Method::Update, "u", 3)] {
        let request = Request::new(method, branch).to(&to).cseq(cseq);
        peer.deliver(request.header("Supported", "timer").header("Session-Expires", "5").finish());
        let (_, refusal) = peer.one();
        assert_eq!(
            (refusal.status(), refusal.header(HeaderName::MinSe)),
            (Some(422), Some("200"))
        );
    }
}

#[test]
fn a_422_is_taken_once_with_the_interval_it_asks_for() {
    let mut peer = Peer::new();
    peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, first) = peer.one();
    assert_eq!(first.header(HeaderName::SessionExpires), Some("1800"));
    peer.respond(&first, 422, "a", &[("Min-SE", "4000")]);
    let sent = peer.sent();
    let [(_, ack), (_, second)] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert!(ack.is(&Method::Ack));
    assert_eq!(second.header(HeaderName::SessionExpires), Some("4000"));
    assert_eq!(second.header(HeaderName::MinSe), Some("4000"));
    assert_eq!((second.call_id(), second.cseq().unwrap().0), (first.call_id(), 2));
    peer.respond(second, 422, "b", &[("Min-SE", "5000")]);
    assert_eq!(peer.lines(), ["ACK"]);
    assert_eq!(peer.events.last().and_then(any_terminal).as_deref(), Some("Failed 422"));
}

/// Calls the peer, which answers with these headers: the session and the INVITE.
fn call(peer: &mut Peer, headers: &[(&str, &str)]) -> (SessionId, Message) {
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, request) = peer.one();
    let mut response = ResponseBuilder::to(&request, 200, None)
        .to_tag("b")
        .header("Contact", format!("<sip:b@{PEER}>"));
    for (name, value) in headers {
        response = response.header(name, value);
    }
    peer.deliver(response.body("application/sdp", SDP).finish());
    peer.agent.ack(peer.now, session, None);
    assert_eq!(peer.lines(), ["ACK"]);
    peer.events.clear();
    (session, request)
}

#[test]
fn we_refresh_with_update_where_it_is_allowed() {
    let mut peer = Peer::new();
    call(
        &mut peer,
        &[("Allow", "INVITE, UPDATE"), ("Session-Expires", "600;refresher=uac")],
    );
    peer.wait(Duration::from_secs(299));
    assert!(peer.lines().is_empty());
    for _ in 0..3 {
        peer.wait(Duration::from_secs(1));
        let (_, refresh) = peer.one();
        assert_eq!((refresh.method(), refresh.sdp()), (Some(Method::Update), None));
        assert_eq!(refresh.header(HeaderName::SessionExpires), Some("600;refresher=uac"));
        assert!(refresh.contact().is_some() && refresh.supports("timer"));
        peer.respond(&refresh, 200, "b", &[("Session-Expires", "600;refresher=uac")]);
        peer.wait(Duration::from_secs(299));
        assert!(peer.lines().is_empty());
    }
    assert!(peer.events.is_empty(), "the shell hears nothing of it");
}

#[test]
fn else_we_refresh_with_what_we_said_last() {
    let mut peer = Peer::new();
    let (session, request) = call(&mut peer, &[("Session-Expires", "600;refresher=uac")]);
    let refresh = |peer: &mut Peer, body: bytes::Bytes| {
        peer.wait(Duration::from_secs(300));
        let (_, refresh) = peer.one();
        assert_eq!(refresh.method(), Some(Method::Invite));
        let answer = ResponseBuilder::to(&refresh, 200, None)
            .header("Contact", format!("<sip:b@{PEER}>"))
            .header("Session-Expires", "600;refresher=uac");
        peer.deliver(answer.body("application/sdp", body).finish());
        assert_eq!(peer.lines(), ["ACK"]);
        refresh
    };
    let first = refresh(&mut peer, sdp().unwrap());
    assert_eq!(first.sdp(), request.sdp());
    assert!(peer.events.is_empty());
    // The peer moved its media: others have to hear of it, and what they answer goes out.
    refresh(&mut peer, other_sdp(1).unwrap());
    assert_eq!(peer.events.last().and_then(reinvited), Some(session));
    peer.agent.accept_reinvite(peer.now, session, sdp());
    assert_eq!(peer.told().and_then(acked), Some(session), "nothing new");
    refresh(&mut peer, other_sdp(2).unwrap());
    peer.agent.accept_reinvite(peer.now, session, other_sdp(8));
    let (_, changed) = peer.one();
    assert_eq!((changed.method(), changed.sdp()), (Some(Method::Invite), other_sdp(8)));
}

#[test]
fn a_refresh_that_update_cannot_do_is_done_by_reinvite() {
    let mut peer = Peer::new();
    call(&mut peer, &[("Allow", "UPDATE"), ("Session-Expires", "600;refresher=uac")]);
    peer.wait(Duration::from_secs(300));
    let (_, update) = peer.one();
    peer.respond(&update, 501, "b", &[]);
    peer.wait(ms(1));
    assert_eq!(peer.lines(), ["INVITE"]);
    assert!(peer.events.is_empty());
}

#[test]
fn the_shells_reinvite_waits_for_a_refresh_and_stands_for_one_that_is_not_sent() {
    let mut peer = Peer::new();
    let (session, _) = call(&mut peer, &[("Allow", "UPDATE"), ("Session-Expires", "600;refresher=uac")]);
    peer.wait(Duration::from_secs(300));
    let (_, update) = peer.one();
    peer.agent.reinvite(peer.now, session, other_sdp(1));
    assert!(peer.lines().is_empty());
    peer.respond(&update, 200, "b", &[("Session-Expires", "600;refresher=uac")]);
    let (_, reinvite) = peer.one();
    assert_eq!((reinvite.method(), reinvite.sdp()), (Some(Method::Invite), other_sdp(1)));
    assert_eq!(reinvite.header(HeaderName::SessionExpires), Some("600;refresher=uac"));
}

#[test]
fn a_session_that_nobody_refreshes_ends_with_bye() {
    for (refresher, refreshes) in [("uas", 0), ("uac", 8)] {
        let mut peer = Peer::new();
        call(&mut peer, &[("Session-Expires", &format!("600;refresher={refresher}"))]);
        let (end, mut refused) = (peer.now + Duration::from_secs(600 - 32), 0);
        while peer.now < end {
            assert!(peer.events.is_empty());
            // A refresh that is refused is tried again, and does not help.
            for (_, refresh) in peer.sent() {
                refused += u32::from(refresh.is(&Method::Invite));
                peer.respond(&refresh, 503, "b", &[]);
            }
            peer.wait(ms(500));
        }
        assert_eq!(refused, refreshes);
        let sent = peer.sent();
        let (_, bye) = sent.iter().find(|(_, m)| m.is(&Method::Bye)).expect("a BYE");
        assert!(bye.header(HeaderName::Reason).unwrap().contains("cause=408"));
        assert_eq!(peer.events.last().and_then(any_terminal).as_deref(), Some("Ended here"));
    }
}

#[test]
fn a_refresh_of_the_peer_is_answered_inside_and_a_hold_is_told() {
    let mut peer = Peer::new();
    let timed = [("Supported", "timer"), ("Session-Expires", "600;refresher=uac")];
    let (session, success) = answered_call(&mut peer, invite(&timed));
    let to = success.header(HeaderName::To).unwrap().to_owned();
    let mut cseq = 1;
    for round in 0..4 {
        peer.wait(Duration::from_secs(300));
        assert!(peer.lines().is_empty());
        cseq += 1;
        let method = if round % 2 == 0 { Method::Invite } else { Method::Update };
        let mut refresh = Request::new(method.clone(), &format!("r{round}")).to(&to).cseq(cseq);
        refresh.body = Some(SDP.to_vec());
        for (name, value) in timed {
            refresh = refresh.header(name, value);
        }
        peer.deliver(refresh.finish());
        let sent = peer.sent();
        let (_, response) = sent.last().unwrap();
        assert_eq!((response.status(), response.sdp()), (Some(200), sdp()), "{method}");
        assert_eq!(response.header(HeaderName::SessionExpires), Some("600;refresher=uac"));
        if method == Method::Invite {
            peer.deliver(Request::new(Method::Ack, &format!("a{round}")).to(&to).cseq(cseq).finish());
        }
        assert!(peer.events.is_empty());
    }
    let mut hold = Request::new(Method::Invite, "hold").to(&to).cseq(cseq + 1);
    hold.body = Some([SDP, b"a=sendonly\r\n"].concat());
    peer.deliver(hold.finish());
    assert_eq!(peer.lines(), ["100"]);
    assert_eq!(peer.events.last().and_then(reinvited), Some(session));
}

#[test]
fn without_timers_nothing_is_asked_for_or_granted() {
    let mut peer = Peer::with(|config| config.session_expires = Duration::ZERO);
    let timed = [("Supported", "timer"), ("Session-Expires", "5")];
    let (_, success) = answered_call(&mut peer, invite(&timed));
    assert_eq!(success.header(HeaderName::SessionExpires), None);
    peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, request) = peer.one();
    assert!(!request.supports("timer") && request.header(HeaderName::SessionExpires).is_none());
}

#[test]
fn two_user_agents_keep_a_session_alive_until_one_of_them_vanishes() {
    let mut rig = Rig::new(1);
    rig.talk();
    rig.run(Duration::from_secs(3 * 3600 + 10));
    assert_eq!((rig.count("0 UPDATE"), rig.count("1 UPDATE")), (12, 0), "every 900 s");
    assert!(
        rig.events[0]
            .iter()
            .chain(&rig.events[1])
            .filter_map(any_terminal)
            .next()
            .is_none()
    );
    rig.lose = Box::new(|_, _| true);
    rig.run(Duration::from_secs(1800));
    assert_eq!(rig.settle(), [vec!["Ended here"], vec!["Ended here"]]);
}

/// Numbers that nobody means.
#[test]
fn strange_values_harm_nobody() {
    let values = [
        "",
        "0",
        "-1",
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "1;refresher=",
        ";refresher=uas",
        "90;refresher=uac;refresher=uas",
        "é",
        "1 1",
        "1 1 INVITE INVITE",
        "4294967295 4294967295 INVITE",
        " 90 ; refresher = uac",
    ];
    for value in values {
        let mut peer = Peer::new();
        let strange = [
            ("Supported", "timer, 100rel"),
            ("Session-Expires", value),
            ("Min-SE", value),
            ("RSeq", value),
            ("RAck", value),
            ("Retry-After", value),
        ];
        peer.deliver(invite(&strange).finish());
        peer.sent();
        let incoming_call = peer.events.iter().find_map(incoming);
        let mut to = "<sip:alice@tandem.test>".to_owned();
        if let Some(session) = incoming_call {
            peer.agent.progress(peer.now, session, 183, sdp());
            to = peer.one().1.header(HeaderName::To).unwrap().to_owned();
        }
        for (number, method) in [Method::Prack, Method::Update, Method::Invite].into_iter().enumerate() {
            let mut request = Request::new(method, &format!("s{number}")).to(&to).cseq(number as u32 + 2);
            for (name, value) in strange {
                request = request.header(name, value);
            }
            peer.deliver(request.finish());
        }
        let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
        let sent = peer.sent();
        let (_, request) = sent.last().unwrap();
        for status in [183, 422, 200] {
            let reliable = [&strange[..], &[("Require", "100rel")]].concat();
            peer.respond(request, status, "b", &reliable);
        }
        peer.sent();
        for session in incoming_call.into_iter().chain([session]) {
            peer.agent.bye(peer.now, session, None);
        }
        for _ in 0..8 {
            peer.wait(Duration::from_secs(40));
            peer.sent();
        }
        peer.agent.assert_empty();
    }
}
