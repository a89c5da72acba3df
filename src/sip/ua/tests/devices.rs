//! Devices that are reached over the connection that they open, and lose it.

use std::sync::Arc;
use std::time::Instant;

use super::peer::*;
use super::rig::*;
use super::survival::*;
use crate::flow::{ConnectionId, Flow};
use crate::message::{HeaderName, Message, Method, ResponseBuilder};
use crate::registrar::{Arrival, Binding, Device};
use crate::ua::*;

const AOR: &str = "sip:bob@tandem.test";
const URI: &str = "sip:bob@10.0.0.9:40001;transport=tcp";

fn device() -> Device {
    Device {
        aor: AOR.into(),
        uri: URI.into(),
        instance: Some("<urn:uuid:1>".into()),
        reg_id: Some(1),
    }
}

fn at(port: u16, connection: u64) -> Flow {
    let mut flow = tcp(connection);
    flow.peer.set_port(port);
    flow
}

fn binding(flow: Flow, instance: &str, reg_id: u32) -> Binding {
    Binding {
        uri: "sip:bob@10.0.0.9:40002;transport=tcp".into(),
        flow,
        path: Vec::new(),
        q: 1000,
        expires_at: Instant::now(),
        instance: Some(instance.into()),
        reg_id: Some(reg_id),
        nat: false,
    }
}

/// The device registers anew, over that flow.
fn arrival(flow: Flow, instance: &str, reg_id: u32) -> Arrival {
    let after: Arc<[Binding]> = [binding(flow, instance, reg_id)].into();
    Arrival::of(AOR, flow, &[], after).expect("an arrival")
}

fn comes_back(peer: &mut Peer, connection: u64) {
    peer.flow = at(40_002, connection);
    peer.agent.device_arrived(peer.now, &arrival(peer.flow, "<urn:uuid:1>", 1));
}

/// Calls a device over its connection, number 1.
fn call_device(peer: &mut Peer) -> (SessionId, Message) {
    peer.flow = at(40_001, 1);
    let invite = Invite {
        flow: Some(peer.flow),
        ..invite_to(URI)
    };
    let session = peer.agent.invite(peer.now, invite);
    peer.agent.set_device(session, device());
    let (_, request) = peer.one();
    let response = ResponseBuilder::to(&request, 200, None)
        .to_tag("b")
        .header("Allow", "UPDATE")
        .header("Contact", format!("<{URI}>"));
    peer.deliver(response.body("application/sdp", SDP).finish());
    peer.agent.ack(peer.now, session, None);
    assert_eq!(peer.lines(), ["ACK"]);
    peer.events.clear();
    (session, request)
}

/// What is sent to an address where nobody listens fails; what else is sent is given.
fn refuse_all(peer: &mut Peer) -> Vec<(Flow, Message)> {
    let mut sent = Vec::new();
    loop {
        let (refused, rest): (Vec<_>, Vec<_>) = peer.sent().into_iter().partition(|(flow, _)| flow.connection.is_none());
        sent.extend(rest);
        if refused.is_empty() {
            return sent;
        }
        for (flow, _) in refused {
            // As the transport tells it: the attempt had a number.
            let connection = Some(ConnectionId(999));
            peer.agent.flow_failed(peer.now, &Flow { connection, ..flow });
        }
    }
}

fn lose(peer: &mut Peer, connection: u64) {
    peer.agent.flow_failed(peer.now, &at(40_001, connection));
}

/// Where it has gone over to, with that Contact.
fn goes_over(peer: &mut Peer, flow: Flow, uri: &str, instance: Option<&str>, others: &[Binding]) {
    let came = Binding {
        uri: uri.into(),
        instance: instance.map(Into::into),
        reg_id: instance.map(|_| 1),
        ..binding(flow, "", 1)
    };
    let after: Vec<_> = std::iter::once(came).chain(others.iter().cloned()).collect();
    let arrival = Arrival::of(AOR, flow, others, after.into()).expect("an arrival");
    peer.flow = flow;
    peer.agent.device_arrived(peer.now, &arrival);
}

fn datagrams(port: u16) -> Flow {
    let mut flow = Peer::new().flow;
    flow.peer.set_port(port);
    flow
}

const BY_DATAGRAMS: &str = "sip:bob@10.0.0.9:5062";

/// Where the next request goes, and to whom.
fn asks(peer: &mut Peer, session: SessionId) -> (Flow, String) {
    peer.agent.info(peer.now, session, "text/plain", "x".into());
    let (flow, info) = peer.one();
    let uri = info.uri().unwrap_or_default().to_owned();
    peer.respond(&info, 200, "b", &[]);
    (flow, uri)
}

fn out_of_reach(event: &UaEvent) -> bool {
    matches!(event, UaEvent::OutOfReach { .. })
}

#[test]
fn a_session_follows_its_device_to_its_new_connection() {
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    lose(&mut peer, 1);
    comes_back(&mut peer, 2);
    peer.agent.reinvite(peer.now, session, other_sdp(1));
    let (flow, reinvite) = peer.one();
    assert_eq!((flow, reinvite.uri()), (at(40_002, 2), Some(URI)));
    peer.respond(&reinvite, 200, "b", &[]);
    peer.agent.ack(peer.now, session, None);
    assert_eq!(peer.one().0, at(40_002, 2));
    peer.agent.bye(peer.now, session, None);
    assert_eq!(peer.one().0, at(40_002, 2));
}

#[test]
fn only_the_same_flow_of_a_device_moves_what_is_not_lost() {
    // (what comes, whether the connection is gone) -> moved
    for (instance, reg_id, lost, moved) in [
        ("<urn:uuid:1>", 1, false, true),
        ("<urn:uuid:1>", 2, false, false),
        ("<urn:uuid:1>", 2, true, true),
        ("<urn:uuid:2>", 1, true, false),
    ] {
        let mut peer = Peer::new();
        let (session, _) = call_device(&mut peer);
        if lost {
            lose(&mut peer, 1);
        }
        let there = at(40_002, 2);
        peer.agent.device_arrived(peer.now, &arrival(there, instance, reg_id));
        peer.agent.info(peer.now, session, "text/plain", "x".into());
        let (flow, _) = peer.one();
        assert_eq!(flow == there, moved, "{instance} {reg_id} {lost}");
        let known = peer.agent.device_of(session).and_then(|device| device.reg_id);
        assert_eq!(
            known == Some(reg_id) && instance.ends_with("1>"),
            moved,
            "it is known by that from now on"
        );
    }
}

#[test]
fn another_address_of_record_moves_nothing() {
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    lose(&mut peer, 1);
    let flow = at(40_002, 2);
    let after: Arc<[Binding]> = [binding(flow, "<urn:uuid:1>", 1)].into();
    let foreign = Arrival::of("sip:mallory@tandem.test", flow, &[], after).unwrap();
    peer.agent.device_arrived(peer.now, &foreign);
    peer.agent.info(peer.now, session, "text/plain", "x".into());
    assert_eq!(peer.one().0.connection, None);
}

#[test]
fn a_session_that_came_back_waits_for_its_device_and_asks_it_at_once() {
    for seconds in [0, 1, 20, 300] {
        let mut peer = Peer::new();
        let (session, _) = call_device(&mut peer);
        assert_eq!(kill(&mut peer), [session]);
        for _ in 0..seconds {
            peer.wait(SECOND);
            assert!(refuse_all(&mut peer).is_empty());
        }
        assert!(peer.events.iter().all(out_of_reach), "{:?}", peer.events);
        let told = peer.events.len();
        assert!(told <= seconds / 32, "{told} times in {seconds} s");
        assert!(told > 0 || seconds < 300);
        comes_back(&mut peer, 2);
        peer.wait(ms(2));
        let (flow, probe) = peer.one();
        assert_eq!((flow, probe.method()), (at(40_002, 2), Some(Method::Update)));
        peer.respond(&probe, 200, "b", &[]);
        peer.wait(200 * SECOND);
        assert!(peer.lines().is_empty() && peer.events.len() == told, "it is there");
    }
}

#[test]
fn a_probe_on_its_way_to_nobody_goes_to_the_device_that_came() {
    let mut peer = Peer::new();
    call_device(&mut peer);
    kill(&mut peer);
    peer.wait(ms(2));
    let (flow, first) = peer.one();
    assert_eq!(flow.connection, None, "it is being connected to");
    comes_back(&mut peer, 2);
    let (flow, again) = peer.one();
    assert_eq!(flow, at(40_002, 2));
    assert!(again.cseq().unwrap().0 > first.cseq().unwrap().0);
    peer.respond(&again, 200, "b", &[]);
    let connection = Some(ConnectionId(999));
    let nobody = Flow {
        connection,
        ..at(40_001, 0)
    };
    peer.agent.flow_failed(peer.now, &nobody);
    peer.wait(100 * SECOND);
    assert!(peer.lines().is_empty() && peer.events.is_empty());
}

#[test]
fn what_the_shell_asked_for_on_the_lost_connection_goes_to_the_device_that_came() {
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    kill(&mut peer);
    peer.agent.reinvite(peer.now, session, other_sdp(1));
    assert_eq!(peer.one().0.connection, None);
    comes_back(&mut peer, 2);
    let (flow, reinvite) = peer.one();
    assert_eq!((flow, reinvite.method()), (at(40_002, 2), Some(Method::Invite)));
    peer.respond(&reinvite, 200, "b", &[]);
    peer.agent.ack(peer.now, session, None);
    assert_eq!(peer.lines(), ["ACK"]);
    let answered = peer
        .events
        .iter()
        .any(|event| matches!(event, UaEvent::ReinviteAnswered { .. }));
    assert!(answered, "{:?}", peer.events);
}

#[test]
fn the_shell_gives_up_a_device_that_does_not_come_back() {
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    kill(&mut peer);
    while !peer.events.iter().any(out_of_reach) {
        peer.wait(SECOND);
        refuse_all(&mut peer);
    }
    peer.agent.give_up(peer.now, session);
    refuse_all(&mut peer);
    assert!(matches!(peer.events.last(), Some(UaEvent::Ended { by_peer: false, .. })));
    for _ in 0..200 {
        peer.wait(SECOND);
        refuse_all(&mut peer);
    }
    peer.agent.assert_empty();
}

#[test]
fn the_session_interval_ends_a_session_whose_device_stays_away() {
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    let snapshot_with = |peer: &mut Peer| {
        // The refresh of the peer sets the interval.
        peer.agent.reinvite(peer.now, session, other_sdp(1));
        let (_, reinvite) = peer.one();
        peer.respond(&reinvite, 200, "b", &[("Session-Expires", "300;refresher=uac")]);
        peer.agent.ack(peer.now, session, None);
        peer.sent();
        peer.events.clear();
    };
    snapshot_with(&mut peer);
    kill(&mut peer);
    for _ in 0..300 {
        peer.wait(SECOND);
        refuse_all(&mut peer);
    }
    assert!(
        peer.events.iter().any(|event| matches!(event, UaEvent::Ended { .. })),
        "{:?}",
        peer.events
    );
}

#[test]
fn a_bye_waits_for_the_device_and_not_for_ever() {
    for back_after in [10, 150, 250] {
        let mut peer = Peer::new();
        let (session, _) = call_device(&mut peer);
        lose(&mut peer, 1);
        peer.agent.bye(peer.now, session, None);
        refuse_all(&mut peer);
        assert!(matches!(peer.events.as_slice(), [UaEvent::Ended { .. }]));
        peer.wait(back_after * SECOND);
        assert!(refuse_all(&mut peer).is_empty());
        comes_back(&mut peer, 2);
        if back_after < 192 {
            let (flow, bye) = peer.one();
            assert_eq!((flow, bye.method()), (at(40_002, 2), Some(Method::Bye)));
            peer.respond(&bye, 200, "b", &[]);
        }
        assert!(peer.lines().is_empty());
        peer.wait(40 * SECOND);
        peer.agent.assert_empty();
    }
}

#[test]
fn a_request_in_the_dialog_moves_the_session_though_the_old_connection_seems_to_live() {
    let mut peer = Peer::new();
    let (session, invite) = call_device(&mut peer);
    peer.flow = at(40_002, 2);
    let options = |branch: &str, cseq| from_callee(&invite, Method::Options, branch, cseq);
    peer.deliver(options("o1", 1).finish());
    assert_eq!(peer.one().0, at(40_002, 2));
    peer.agent.info(peer.now, session, "text/plain", "x".into());
    let (flow, info) = peer.one();
    assert_eq!(flow, at(40_002, 2));
    peer.respond(&info, 200, "b", &[]);
    // One with other tags, and one out of order, change nothing.
    peer.flow = at(40_003, 3);
    let mut stranger = options("o2", 2);
    stranger.from_tag = "mallory".to_owned();
    peer.deliver(stranger.finish());
    peer.deliver(options("o3", 1).finish());
    assert_eq!(peer.lines(), ["481", "500"]);
    peer.agent.info(peer.now, session, "text/plain", "x".into());
    assert_eq!(peer.one().0, at(40_002, 2));
}

#[test]
fn a_session_that_came_back_is_asked_when_its_device_says_something() {
    let mut peer = Peer::new();
    let (session, invite) = call_device(&mut peer);
    kill(&mut peer);
    for _ in 0..100 {
        peer.wait(SECOND);
        refuse_all(&mut peer);
    }
    peer.flow = at(40_002, 2);
    peer.deliver(from_callee(&invite, Method::Options, "o", 1).finish());
    assert_eq!(peer.lines(), ["200"]);
    peer.wait(ms(2));
    let (flow, probe) = peer.one();
    assert_eq!((flow, probe.method()), (at(40_002, 2), Some(Method::Update)));
    peer.respond(&probe, 481, "b", &[]);
    let ended = peer.told();
    assert!(matches!(ended, Some(UaEvent::Ended { session: ended, .. }) if *ended == session));
}

#[test]
fn an_answer_without_its_ack_is_repeated_over_the_new_connection() {
    let mut peer = Peer::new();
    peer.flow = at(40_001, 1);
    let mut request = Request::new(Method::Invite, "i");
    request.contact = format!("<{URI}>");
    request.via = format!("SIP/2.0/TCP {PEER};rport");
    peer.deliver(request.finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.set_device(session, device());
    peer.agent.accept(peer.now, session, sdp());
    let to = peer.one().1.header(HeaderName::To).unwrap().to_owned();
    kill(&mut peer);
    refuse_all(&mut peer);
    comes_back(&mut peer, 2);
    peer.wait(SECOND);
    let sent = refuse_all(&mut peer);
    assert!(
        sent.iter()
            .any(|(flow, message)| *flow == at(40_002, 2) && message.status() == Some(200))
    );
    peer.deliver(Request::new(Method::Ack, "a").to(&to).finish());
    peer.sent();
    assert!(peer.events.iter().all(|event| !matches!(event, UaEvent::Ended { .. })));
}

#[test]
fn a_device_whose_edge_has_lost_it_is_asked_until_it_is_there_and_for_an_hour() {
    for comes in [true, false] {
        let mut peer = Peer::new();
        call(&mut peer, &[("Allow", "UPDATE")]);
        kill(&mut peer);
        for second in 0..4_000 {
            peer.wait(SECOND);
            for (_, request) in peer.sent() {
                let status = if comes && second > 1_000 { 200 } else { 430 };
                peer.respond(&request, status, "b", &[]);
            }
            assert!(second > 3_000 || peer.events.is_empty(), "{second}: {:?}", peer.events);
        }
        assert_eq!(peer.events.is_empty(), comes, "{:?}", peer.events);
    }
}

#[test]
fn a_device_that_is_connected_and_refuses_is_there() {
    let mut peer = Peer::new();
    call_device(&mut peer);
    kill(&mut peer);
    comes_back(&mut peer, 2);
    let mut asked = 0;
    for _ in 0..200 {
        for (_, probe) in peer.sent() {
            asked += 1;
            peer.respond(&probe, 503, "b", &[]);
        }
        peer.wait(SECOND);
    }
    assert!(peer.events.is_empty() && asked <= 6, "{asked} {:?}", peer.events);
}

#[test]
fn a_bye_that_waits_outlives_a_kill() {
    for refused_first in [true, false] {
        let mut peer = Peer::new();
        let (session, _) = call_device(&mut peer);
        lose(&mut peer, 1);
        peer.agent.bye(peer.now, session, None);
        refuse_all(&mut peer);
        assert_eq!(kill(&mut peer), [session]);
        // Its conference did not come back.
        peer.agent.bye(peer.now, session, None);
        let nobody = peer.one().0;
        if refused_first {
            peer.agent.flow_failed(peer.now, &nobody);
            comes_back(&mut peer, 2);
        } else {
            comes_back(&mut peer, 2);
            peer.agent.flow_failed(peer.now, &nobody);
        }
        let (flow, bye) = peer.one();
        assert_eq!((flow, bye.method()), (at(40_002, 2), Some(Method::Bye)));
        peer.respond(&bye, 200, "b", &[]);
        peer.wait(40 * SECOND);
        peer.agent.assert_empty();
    }
}

#[test]
fn a_session_follows_its_device_from_a_connection_to_datagrams_and_back() {
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    let instance = Some("<urn:uuid:1>");
    goes_over(&mut peer, datagrams(5062), BY_DATAGRAMS, instance, &[]);
    assert_eq!(asks(&mut peer, session), (datagrams(5062), BY_DATAGRAMS.to_owned()));
    // Its address may change, and it may be known by its Contact alone.
    goes_over(&mut peer, datagrams(5062), BY_DATAGRAMS, None, &[]);
    let elsewhere = Flow {
        peer: ([10, 0, 7, 7], 1024).into(),
        ..datagrams(5062)
    };
    goes_over(&mut peer, elsewhere, BY_DATAGRAMS, None, &[]);
    assert_eq!(asks(&mut peer, session), (elsewhere, BY_DATAGRAMS.to_owned()));
    goes_over(&mut peer, at(40_005, 7), URI, instance, &[]);
    assert_eq!(asks(&mut peer, session), (at(40_005, 7), URI.to_owned()));
    assert_eq!(kill(&mut peer), [session]);
    goes_over(&mut peer, at(40_006, 8), URI, instance, &[]);
    peer.wait(ms(2));
    let (flow, probe) = peer.one();
    assert_eq!(flow, at(40_006, 8));
    peer.respond(&probe, 200, "b", &[]);
}

#[test]
fn another_device_of_the_same_user_moves_no_session_that_goes_by_datagrams() {
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    goes_over(&mut peer, datagrams(5062), BY_DATAGRAMS, Some("<urn:uuid:1>"), &[]);
    let own = Binding {
        uri: BY_DATAGRAMS.into(),
        ..binding(datagrams(5062), "<urn:uuid:1>", 1)
    };
    for (flow, instance) in [
        (datagrams(5070), None),
        (at(40_009, 9), None),
        (datagrams(5071), Some("<urn:uuid:2>")),
    ] {
        goes_over(&mut peer, flow, "sip:bob@10.0.0.9:5070", instance, std::slice::from_ref(&own));
        assert_eq!(asks(&mut peer, session).0, datagrams(5062));
    }
    // Its registration is over, and this is the only one that there is.
    goes_over(&mut peer, datagrams(5072), "sip:bob@10.0.0.9:5072", None, &[]);
    assert_eq!(
        asks(&mut peer, session),
        (datagrams(5072), "sip:bob@10.0.0.9:5072".to_owned())
    );
}

#[test]
fn a_device_that_goes_by_datagrams_is_asked_and_given_up_as_anybody_is() {
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    goes_over(&mut peer, datagrams(5062), BY_DATAGRAMS, Some("<urn:uuid:1>"), &[]);
    assert_eq!(kill(&mut peer), [session]);
    peer.wait(ms(2));
    assert_eq!(peer.one().0, datagrams(5062));
    for _ in 0..100 {
        peer.wait(SECOND);
        peer.sent();
    }
    assert!(
        matches!(peer.events.as_slice(), [UaEvent::Ended { by_peer: false, .. }]),
        "{:?}",
        peer.events
    );
}

/// A route through another connector.
fn through(host: u8) -> [Arc<str>; 1] {
    [format!("<sip:token@10.0.1.{host}:5060;lr;ob>").into()]
}

fn edge(host: u8) -> Flow {
    Flow {
        peer: ([10, 0, 1, host], 5060).into(),
        ..Peer::new().flow
    }
}

/// The next request leads to the device through that connector.
fn leads_through(peer: &mut Peer, session: SessionId, host: u8, uri: &str) {
    peer.agent.info(peer.now, session, "text/plain", "x".into());
    let (flow, info) = peer.one();
    assert_eq!((flow, info.uri()), (edge(host), Some(uri)));
    assert!(info.headers(HeaderName::Route).eq(through(host).iter().map(|route| &**route)));
    peer.respond(&info, 200, "b", &[]);
}

#[test]
fn a_session_follows_its_device_to_another_connector_and_back() {
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    peer.agent.device_left(peer.now, &device(), &through(1));
    leads_through(&mut peer, session, 1, URI);
    let moved = Device {
        uri: BY_DATAGRAMS.into(),
        ..device()
    };
    peer.agent.device_left(peer.now, &moved, &through(2));
    leads_through(&mut peer, session, 2, BY_DATAGRAMS);
    assert_eq!(kill(&mut peer), [session]);
    peer.wait(ms(2));
    let (flow, probe) = peer.one();
    assert_eq!(flow, edge(2));
    peer.respond(&probe, 200, "b", &[]);
    goes_over(&mut peer, at(40_003, 3), URI, Some("<urn:uuid:1>"), &[]);
    peer.agent.info(peer.now, session, "text/plain", "x".into());
    let (flow, info) = peer.one();
    assert_eq!((flow, info.uri()), (at(40_003, 3), Some(URI)));
    assert_eq!(info.headers(HeaderName::Route).count(), 0);
}

#[test]
fn what_was_on_its_way_to_a_device_that_left_goes_after_it() {
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    lose(&mut peer, 1);
    peer.agent.reinvite(peer.now, session, other_sdp(1));
    assert_eq!(peer.one().0.connection, None, "to where nobody listens");
    peer.agent.device_left(peer.now, &device(), &through(1));
    let (flow, reinvite) = peer.one();
    assert_eq!((flow, reinvite.header(HeaderName::Route)), (edge(1), Some(&*through(1)[0])));
    peer.respond(&reinvite, 200, "b", &[]);
    peer.agent.ack(peer.now, session, None);
    assert_eq!(peer.one().0, edge(1));
    // So does the BYE that waits for it.
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    lose(&mut peer, 1);
    peer.agent.bye(peer.now, session, None);
    refuse_all(&mut peer);
    peer.agent.device_left(peer.now, &device(), &through(2));
    let (flow, bye) = peer.one();
    assert_eq!((flow, bye.method()), (edge(2), Some(Method::Bye)));
}

#[test]
fn a_session_that_is_with_another_or_leads_elsewhere_stays() {
    let other = Device {
        instance: Some("<urn:uuid:2>".into()),
        ..device()
    };
    let nobody = Device {
        aor: "sip:mallory@tandem.test".into(),
        ..device()
    };
    let mut peer = Peer::new();
    let (session, _) = call_device(&mut peer);
    for device in [other, nobody] {
        peer.agent.device_left(peer.now, &device, &through(1));
    }
    peer.agent.device_left(peer.now, &device(), &[]);
    assert_eq!(asks(&mut peer, session).0, at(40_001, 1));
    // One that rings, and one behind a proxy of its own.
    let ringing = peer.agent.invite(peer.now, invite_to(URI));
    peer.agent.set_device(ringing, device());
    let (flow, invite) = peer.one();
    peer.agent.device_left(peer.now, &device(), &through(1));
    let response = ResponseBuilder::to(&invite, 200, None)
        .to_tag("b")
        .header("Record-Route", "<sip:10.0.0.77;lr>")
        .header("Contact", format!("<{URI}>"));
    peer.flow = flow;
    peer.deliver(response.body("application/sdp", SDP).finish());
    peer.agent.ack(peer.now, ringing, None);
    peer.sent();
    peer.agent.device_left(peer.now, &device(), &through(1));
    peer.agent.info(peer.now, ringing, "text/plain", "x".into());
    let (_, info) = peer.one();
    assert_eq!(info.header(HeaderName::Route), Some("<sip:10.0.0.77;lr>"));
}
