//! Forks, challenges, and which way messages go: names, failing servers, proxies, NAT, connections.

use std::time::Duration;

use super::peer::*;
use super::rig::*;
use crate::flow::Transport;
use crate::message::{HeaderName, Message, Method};
use crate::ua::*;

fn trunk() -> Option<Credentials> {
    Some(Credentials {
        username: "tandem".into(),
        password: "secret".into(),
        realm: None,
    })
}

const CHALLENGE: (&str, &str) = (
    "WWW-Authenticate",
    r#"Digest realm="trunk", nonce="n1", algorithm=SHA-256, qop="auth""#,
);

/// Calls the peer, which answers: (the session, the INVITE).
fn talk_to(peer: &mut Peer, invite: Invite) -> (SessionId, Message) {
    let session = peer.agent.invite(peer.now, invite);
    let (_, request) = peer.one();
    peer.respond(&request, 200, "b", &[]);
    peer.sent();
    peer.agent.ack(peer.now, session, None);
    assert_eq!(peer.lines(), ["ACK"]);
    peer.events.clear();
    (session, request)
}

#[test]
fn the_first_fork_that_answers_is_the_session_and_the_others_are_ended() {
    let mut peer = Peer::new();
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, invite) = peer.one();
    peer.respond(&invite, 180, "one", &[]);
    peer.respond(&invite, 183, "two", &[]);
    peer.sent();
    assert_eq!(peer.events.iter().filter_map(progress).collect::<Vec<_>>(), [180, 183]);
    assert_eq!(peer.agent.stats().dialogs_active, 2);
    peer.respond(&invite, 200, "two", &[]);
    assert!(peer.lines().is_empty());
    peer.agent.ack(peer.now, session, None);
    assert_eq!(peer.lines(), ["ACK"]);
    peer.respond(&invite, 200, "one", &[]);
    let sent = peer.sent();
    let tags: Vec<_> = sent
        .iter()
        .map(|(_, m)| (m.method().unwrap(), m.to().unwrap().tag().unwrap().to_owned()))
        .collect();
    assert_eq!(tags, [(Method::Ack, "one".to_owned()), (Method::Bye, "one".to_owned())]);
    peer.respond(&invite, 200, "two", &[]);
    peer.respond(&invite, 200, "one", &[]);
    assert_eq!(peer.lines(), ["ACK", "ACK"], "each retransmission gets its own ACK again");
    assert_eq!(peer.events.iter().filter_map(answered).count(), 1);
    assert_eq!(peer.agent.stats().dialogs_active, 1);
}

#[test]
fn a_challenge_is_answered_once_with_the_trunks_credentials() {
    let mut peer = Peer::new();
    let session = peer.agent.invite(
        peer.now,
        Invite {
            credentials: trunk(),
            ..invite_to("sip:bob@10.0.0.9")
        },
    );
    let (_, first) = peer.one();
    peer.respond(&first, 401, "c", &[CHALLENGE]);
    let sent = peer.sent();
    let [(_, ack), (_, second)] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert!(ack.is(&Method::Ack));
    assert_eq!(second.cseq().unwrap().0, first.cseq().unwrap().0 + 1);
    assert_eq!(
        (second.call_id(), second.header(HeaderName::From)),
        (first.call_id(), first.header(HeaderName::From))
    );
    assert!(
        second
            .header(HeaderName::Authorization)
            .unwrap()
            .contains("username=\"tandem\"")
    );
    peer.respond(second, 200, "b", &[]);
    peer.sent();
    peer.agent.ack(peer.now, session, None);
    let (_, ack) = peer.one();
    assert_eq!(
        ack.header(HeaderName::Authorization),
        second.header(HeaderName::Authorization),
        "s.22.1"
    );
    assert_eq!(ack.cseq().unwrap().0, second.cseq().unwrap().0);
    // In its dialog too.
    peer.agent.bye(peer.now, session, None);
    let (_, bye) = peer.one();
    peer.respond(&bye, 401, "b", &[CHALLENGE]);
    let (_, again) = peer.one();
    assert_eq!(again.cseq().unwrap().0, bye.cseq().unwrap().0 + 1);
    assert!(again.header(HeaderName::Authorization).is_some());
}

#[test]
fn a_refused_answer_to_a_challenge_is_a_failure_and_a_stale_one_is_tried_once_more() {
    let mut peer = Peer::new();
    peer.agent.invite(
        peer.now,
        Invite {
            credentials: trunk(),
            ..invite_to("sip:bob@10.0.0.9")
        },
    );
    let (_, first) = peer.one();
    peer.respond(&first, 407, "c", &[("Proxy-Authenticate", CHALLENGE.1)]);
    let second = peer.sent().remove(1).1;
    let stale = format!("{}, stale=true", CHALLENGE.1);
    peer.respond(&second, 407, "c", &[("Proxy-Authenticate", &stale)]);
    let third = peer.sent().remove(1).1;
    assert!(third.header(HeaderName::ProxyAuthorization).is_some());
    peer.respond(&third, 407, "c", &[("Proxy-Authenticate", &stale)]);
    assert_eq!(peer.lines(), ["ACK"]);
    assert!(matches!(peer.events.as_slice(), [UaEvent::Failed { status: 407, .. }]));
}

#[test]
fn a_device_that_challenges_gets_no_credentials() {
    let mut peer = Peer::new();
    peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, invite) = peer.one();
    peer.respond(&invite, 401, "c", &[CHALLENGE]);
    assert_eq!(peer.lines(), ["ACK"]);
    assert!(matches!(peer.events.as_slice(), [UaEvent::Failed { status: 401, .. }]));
    let (session, _) = talk_to(&mut peer, invite_to("sip:bob@10.0.0.9"));
    peer.agent.reinvite(peer.now, session, sdp());
    let (_, reinvite) = peer.one();
    peer.respond(&reinvite, 401, "b", &[CHALLENGE]);
    assert_eq!(peer.lines(), ["ACK"]);
    assert!(matches!(
        peer.events.last(),
        Some(UaEvent::ReinviteFailed { status: 401, .. })
    ));
    peer.agent.bye(peer.now, session, None);
    let (_, bye) = peer.one();
    peer.respond(&bye, 401, "b", &[CHALLENGE]);
    assert!(peer.lines().is_empty());
}

#[test]
fn a_redirection_shows_its_contacts_the_preferred_first() {
    let mut peer = Peer::new();
    peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, invite) = peer.one();
    let contacts = "<sip:bob@late>;q=0.1, <sip:bob@elsewhere>, <mailto:bob@x>, <sip:bob@home>;q=0.5, <tel:+4930>, nonsense";
    peer.respond(&invite, 302, "r", &[("Contact", contacts)]);
    peer.sent();
    let Some(UaEvent::Failed {
        status: 302, contacts, ..
    }) = peer.events.last()
    else {
        panic!()
    };
    let contacts: Vec<&str> = contacts.iter().map(|contact| &**contact).collect();
    assert_eq!(contacts, ["sip:bob@elsewhere", "tel:+4930", "sip:bob@home", "sip:bob@late"]);
}

fn hop(text: &str) -> Hop {
    Hop {
        transport: Transport::Udp,
        addr: text.parse().unwrap(),
    }
}

#[test]
fn a_name_is_resolved_and_its_servers_are_tried_in_turn() {
    let mut peer = Peer::new();
    peer.agent.invite(peer.now, invite_to("sip:bob@example.com"));
    assert!(peer.sent().is_empty());
    let (id, uri) = peer.resolves.remove(0);
    assert_eq!(uri, "sip:bob@example.com");
    let hops = ["10.0.1.1:5060", "10.0.1.2:5060", "10.0.1.3:5060", "10.0.1.4:5060"].map(hop);
    peer.agent.resolved(peer.now, id, hops.to_vec());
    let (flow, first) = peer.one();
    assert_eq!(flow.peer, hops[0].addr);
    // ICMP.
    peer.agent.flow_failed(peer.now, &flow);
    let (flow, second) = peer.one();
    assert_eq!(flow.peer, hops[1].addr);
    assert_ne!(
        first.header(HeaderName::Via),
        second.header(HeaderName::Via),
        "another transaction, another branch"
    );
    assert_eq!(first.call_id(), second.call_id());
    // 503.
    peer.respond(&second, 503, "x", &[]);
    let sent = peer.sent();
    assert_eq!((sent.len(), sent[1].0.peer), (2, hops[2].addr));
    // Silence.
    peer.wait(Duration::from_secs(32));
    let to_last = peer.sent().into_iter().filter(|(flow, _)| flow.peer == hops[3].addr).count();
    assert_eq!(to_last, 1);
    peer.wait(Duration::from_secs(32));
    peer.sent();
    assert!(
        matches!(peer.events.as_slice(), [UaEvent::Failed { status: 408, .. }]),
        "{:?}",
        peer.events
    );
    peer.wait(Duration::from_secs(64));
    peer.agent.assert_empty();
}

#[test]
fn a_name_that_leads_nowhere_fails_and_a_cancelled_one_is_not_called() {
    let mut peer = Peer::new();
    peer.agent.invite(peer.now, invite_to("sip:bob@nowhere.test"));
    peer.sent();
    let (id, _) = peer.resolves.remove(0);
    peer.agent.resolved(peer.now, id, Vec::new());
    assert!(peer.sent().is_empty());
    assert!(matches!(peer.events.pop(), Some(UaEvent::Failed { status: 503, .. })));
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@example.com"));
    peer.agent.cancel(peer.now, session, None);
    peer.sent();
    assert!(matches!(peer.events.pop(), Some(UaEvent::Failed { status: 487, .. })));
    let (id, _) = peer.resolves.remove(0);
    peer.agent.resolved(peer.now, id, vec![hop("10.0.1.1:5060")]);
    assert!(peer.sent().is_empty());
    peer.agent.assert_empty();
}

#[test]
fn what_we_have_no_listener_for_is_unreachable() {
    for uri in [
        "sips:bob@10.0.0.9",
        "sip:bob@10.0.0.9;transport=sctp",
        "tel:123",
        "nonsense",
        "sip:bob@[2001:db8::1]",
    ] {
        let mut peer = Peer::new();
        peer.agent.invite(peer.now, invite_to(uri));
        assert!(peer.sent().is_empty(), "{uri}");
        assert!(
            matches!(peer.events.as_slice(), [UaEvent::Failed { status: 503, .. }]),
            "{uri}"
        );
        peer.agent.assert_empty();
    }
}

#[test]
fn a_proxy_is_the_loose_route_and_the_first_hop() {
    let mut peer = Peer::new();
    let invite = Invite {
        proxy: Some("sip:10.0.0.9:5080".into()),
        route: vec!["<sip:edge.test;lr>".into()],
        ..invite_to("sip:bob@example.com")
    };
    peer.agent.invite(peer.now, invite);
    let (flow, request) = peer.one();
    assert_eq!((flow.peer.port(), request.uri()), (5080, Some("sip:bob@example.com")));
    let routes: Vec<_> = request.headers(HeaderName::Route).collect();
    assert_eq!(routes, ["<sip:10.0.0.9:5080;lr>", "<sip:edge.test;lr>"]);
}

#[test]
fn requests_in_a_dialog_follow_its_route_set() {
    let mut peer = Peer::new();
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, invite) = peer.one();
    peer.respond(&invite, 200, "b", &[("Record-Route", "<sip:10.0.2.2;lr>, <sip:10.0.2.1;lr>")]);
    peer.sent();
    peer.agent.ack(peer.now, session, None);
    let (flow, ack) = peer.one();
    assert_eq!(
        (flow.peer, ack.uri()),
        ("10.0.2.1:5060".parse().unwrap(), Some("sip:b@10.0.0.9:5060"))
    );
    assert_eq!(
        ack.headers(HeaderName::Route).collect::<Vec<_>>(),
        ["<sip:10.0.2.1;lr>", "<sip:10.0.2.2;lr>"]
    );
}

#[test]
fn a_peer_behind_a_nat_is_reached_where_it_sends_from() {
    let mut peer = Peer::new();
    peer.flow = flow_from("192.0.2.7:40123");
    let (session, _) = peer.talk();
    peer.agent.bye(peer.now, session, None);
    let (flow, bye) = peer.one();
    assert_eq!((flow.peer, bye.uri()), (peer.flow.peer, Some("sip:peer@10.0.0.9:5060")));
}

#[test]
fn a_peer_without_a_nat_is_reached_at_its_contact() {
    let mut peer = Peer::new();
    peer.flow = flow_from("10.0.0.9:6000");
    let (session, _) = peer.talk();
    peer.agent.bye(peer.now, session, None);
    assert_eq!(peer.one().0.peer, PEER.parse().unwrap());
}

#[test]
fn responses_go_back_to_the_source_where_rport_asks_for_it() {
    for (via, port) in [
        ("SIP/2.0/UDP 10.0.0.9:5099;rport", 6000),
        ("SIP/2.0/UDP 10.0.0.9:5099", 5099),
        ("SIP/2.0/UDP 10.0.0.9", 5060),
    ] {
        let mut peer = Peer::new();
        peer.flow = flow_from("10.0.0.9:6000");
        let mut request = Request::new(Method::Invite, "x");
        request.via = via.to_owned();
        peer.deliver(request.finish());
        assert_eq!(peer.one().0.peer.port(), port, "{via}");
    }
}

#[test]
fn over_a_stream_everything_stays_on_the_connection_until_it_closes() {
    let mut peer = Peer::new();
    peer.flow = tcp(7);
    let (session, to) = peer.talk();
    peer.agent.info(peer.now, session, "a/b", "x".into());
    assert_eq!(peer.one().0, tcp(7));
    peer.agent.flow_failed(peer.now, &tcp(7));
    let (flow, info) = peer.one();
    assert_eq!(
        (info.method(), flow.connection),
        (Some(Method::Info), None),
        "sent again by the Contact"
    );
    peer.flow = tcp(8);
    peer.deliver(Request::new(Method::Options, "o").to(&to).cseq(2).finish());
    assert_eq!(peer.one().0, tcp(8));
    peer.agent.bye(peer.now, session, None);
    assert_eq!(peer.one().0, tcp(8), "the peer connected again");
}

#[test]
fn a_response_to_a_closed_connection_goes_to_sent_by() {
    let mut peer = Peer::new();
    peer.flow = tcp(7);
    peer.deliver(Request::new(Method::Invite, "x").finish());
    peer.lines();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.flow_failed(peer.now, &tcp(7));
    peer.agent.reject(peer.now, session, 486, &[]);
    let (flow, _) = peer.one();
    assert_eq!((flow.connection, flow.peer), (None, PEER.parse().unwrap()));
}

#[test]
fn a_device_whose_connection_is_gone_fails_at_once() {
    let mut peer = Peer::new();
    peer.agent.invite(
        peer.now,
        Invite {
            flow: Some(tcp(7)),
            ..invite_to("sip:bob@10.0.0.9")
        },
    );
    assert_eq!(peer.one().0, tcp(7));
    peer.agent.flow_failed(peer.now, &tcp(7));
    peer.sent();
    assert!(matches!(peer.events.as_slice(), [UaEvent::Failed { status: 503, .. }]));
    peer.agent.assert_empty();
}

#[test]
fn a_session_whose_bye_has_no_way_ends_all_the_same() {
    let mut peer = Peer::new();
    let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    let (_, invite) = peer.one();
    let response = crate::message::ResponseBuilder::to(&invite, 200, None).to_tag("b");
    peer.deliver(response.header("Contact", "<sips:b@10.0.0.9>").finish());
    peer.sent();
    peer.agent.ack(peer.now, session, None);
    peer.agent.bye(peer.now, session, None);
    assert_eq!(peer.lines(), ["ACK"]);
    assert!(matches!(peer.events.last(), Some(UaEvent::Ended { by_peer: false, .. })));
    peer.wait(Duration::from_secs(64));
    peer.agent.assert_empty();
}

#[test]
fn max_forwards_of_the_shell_stands() {
    let mut peer = Peer::new();
    peer.agent.invite(
        peer.now,
        Invite {
            headers: vec![header("Max-Forwards", "12")],
            ..invite_to("sip:bob@10.0.0.9")
        },
    );
    let (_, invite) = peer.one();
    assert_eq!(
        (invite.max_forwards(), invite.headers(HeaderName::MaxForwards).count()),
        (Ok(Some(12)), 1)
    );
}
