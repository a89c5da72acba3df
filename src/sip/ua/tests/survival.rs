//! Sessions that outlive the process: what is kept and when, and how they go on.

use std::time::{Duration, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::peer::*;
use super::rig::*;
use crate::anchor::Anchor;
use crate::flow::{ListenerId, Transport};
use crate::message::{HeaderName, Message, Method, ResponseBuilder};
use crate::ua::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn anchor(peer: &Peer) -> Anchor {
    (peer.now, UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

fn through_bytes(snapshot: &SessionSnapshot) -> SessionSnapshot {
    rmp_serde::from_slice(&rmp_serde::to_vec_named(snapshot).unwrap()).unwrap()
}

/// The user agent is killed; another one has what was kept.
pub(super) fn kill(peer: &mut Peer) -> Vec<SessionId> {
    let anchor = anchor(peer);
    let mut kept: Vec<_> = peer.agent.kept_sessions().collect();
    kept.sort_unstable();
    let mut next = UserAgent::new(config(0), StdRng::seed_from_u64(2));
    for id in &kept {
        let snapshot = through_bytes(&peer.agent.snapshot_of(*id, anchor).unwrap());
        next.restore_session(peer.now, anchor, *id, snapshot).unwrap();
    }
    peer.agent = next;
    peer.events.clear();
    kept
}

/// Calls the peer, which answers with these headers: the session and the INVITE.
pub(super) fn call(peer: &mut Peer, headers: &[(&str, &str)]) -> (SessionId, Message) {
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

/// A request of the peer in the dialog that our INVITE made.
pub(super) fn from_callee(invite: &Message, method: Method, branch: &str, cseq: u32) -> Request {
    let mut request = Request::new(method, branch)
        .to(invite.header(HeaderName::From).unwrap())
        .cseq(cseq);
    request.from_tag = "b".to_owned();
    request.call_id = invite.call_id().unwrap().to_owned();
    request
}

#[test]
fn a_session_is_told_from_its_answer_to_its_end() {
    let mut peer = Peer::new();
    let anchor = anchor(&peer);
    assert_eq!(peer.agent.take_changes(anchor), []);
    peer.deliver(Request::new(Method::Invite, "i").finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.progress(peer.now, session, 180, None);
    peer.sent();
    assert_eq!(peer.agent.take_changes(anchor), [], "what rings is not kept");
    peer.agent.accept(peer.now, session, sdp());
    let changes = peer.agent.take_changes(anchor);
    assert!(
        matches!(changes.as_slice(), [(id, Some(_))] if *id == session),
        "before anything is sent"
    );
    let to = peer.one().1.header(HeaderName::To).unwrap().to_owned();
    assert_eq!(peer.agent.take_changes(anchor), []);
    peer.deliver(Request::new(Method::Ack, "a").to(&to).finish());
    assert_eq!(
        peer.agent.take_changes(anchor).len(),
        1,
        "its 200 needs no repeating any more"
    );
    // Requests that change nothing.
    peer.deliver(Request::new(Method::Options, "o").to(&to).cseq(2).finish());
    peer.deliver(Request::new(Method::Info, "n").to(&to).cseq(3).finish());
    peer.sent();
    assert_eq!(peer.agent.take_changes(anchor), []);
    peer.agent.info(peer.now, session, "text/plain", "x".into());
    peer.sent();
    assert_eq!(peer.agent.take_changes(anchor).len(), 1, "our CSeq");
    peer.agent.bye(peer.now, session, None);
    let (_, bye) = peer.sent().pop().unwrap();
    assert_eq!(peer.agent.take_changes(anchor), [], "the peer may never have heard of it");
    peer.respond(&bye, 200, "x", &[]);
    assert_eq!(peer.agent.take_changes(anchor), [(session, None)]);
    assert!(peer.agent.snapshot_of(session, anchor).is_none());
}

#[test]
fn changes_are_asked_for_late_and_all_are_there() {
    let mut peer = Peer::new();
    let anchor = anchor(&peer);
    let (first, _) = call(&mut peer, &[]);
    let (second, _) = call(&mut peer, &[]);
    let ids: Vec<_> = peer.agent.take_changes(anchor).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [first, second]);
    assert_eq!(peer.agent.take_changes(anchor), []);
}

#[test]
fn a_session_comes_back_and_goes_on_from_both_sides() {
    for (seed, transport) in [(1, Transport::Udp), (2, Transport::Tcp)] {
        for killed in 0..2 {
            let mut rig = Rig::new(seed);
            rig.transport = transport;
            let talking = rig.talk();
            let talking = [talking.0, talking.1];
            assert_eq!(rig.kill(killed), [talking[killed]]);
            assert_eq!(rig.agents[killed].stats().sessions_active, 1);
            rig.run(10 * SECOND);
            assert!(rig.events.iter().all(Vec::is_empty), "no shell hears of it");
            for from in 0..2 {
                let to = 1 - from;
                rig.agents[from].reinvite(rig.now, talking[from], other_sdp(from as u16 + 1));
                assert_eq!(rig.wait(to, reinvited), talking[to]);
                rig.agents[to].accept_reinvite(rig.now, talking[to], other_sdp(from as u16 + 3));
                rig.wait(from, reinvite_answered);
                rig.agents[from].ack(rig.now, talking[from], None);
                rig.wait(to, acked);
            }
            rig.agents[killed].info(rig.now, talking[killed], "text/plain", "x".into());
            rig.run(SECOND);
            rig.events = [vec![], vec![]];
            rig.agents[1 - killed].bye(rig.now, talking[1 - killed], None);
            let mut expected = [vec!["Ended by peer"], vec!["Ended by peer"]];
            expected[1 - killed] = vec!["Ended here"];
            assert_eq!(rig.settle(), expected, "{transport}, {killed} killed");
        }
    }
}

#[test]
fn new_sessions_get_new_ids_and_tags() {
    let mut peer = Peer::new();
    let (session, invite) = call(&mut peer, &[]);
    kill(&mut peer);
    peer.agent.go_on_above(1_000);
    let next = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
    assert!(next.0 > 1_000 && next > session && peer.agent.last_id() >= next.0);
    let (_, second) = peer.one();
    assert_ne!(second.from().unwrap().tag(), invite.from().unwrap().tag());
    assert_ne!(second.call_id(), invite.call_id());
}

#[test]
fn what_cannot_come_back() {
    let mut peer = Peer::new();
    let anchor = anchor(&peer);
    let (session, _) = call(&mut peer, &[]);
    let snapshot = peer.agent.snapshot_of(session, anchor).unwrap();
    let again = peer.agent.restore_session(peer.now, anchor, session, snapshot.clone());
    assert_eq!(again, Err(RestoreError::Duplicate));
    let again = peer.agent.restore_session(peer.now, anchor, SessionId(99), snapshot.clone());
    assert_eq!(again, Err(RestoreError::Duplicate), "its tag is there");
    let mut foreign = UserAgent::new(config(7), StdRng::seed_from_u64(3));
    let there = foreign.restore_session(peer.now, anchor, session, snapshot.clone());
    assert_eq!(there, Err(RestoreError::ForeignTag));
    let mut deaf = config(0);
    deaf.listeners.retain(|listener| listener.transport == Transport::Tcp);
    let mut deaf = UserAgent::new(deaf, StdRng::seed_from_u64(3));
    let there = deaf.restore_session(peer.now, anchor, session, snapshot.clone());
    assert_eq!(there, Err(RestoreError::NoListener));
    // Another listener of the transport will do.
    let mut moved = config(0);
    moved
        .listeners
        .iter_mut()
        .for_each(|listener| listener.id = ListenerId(listener.id.0 + 7));
    let mut moved = UserAgent::new(moved, StdRng::seed_from_u64(3));
    assert_eq!(moved.restore_session(peer.now, anchor, session, snapshot), Ok(()));
    foreign.assert_empty();
}

#[test]
fn a_stream_peer_is_reached_at_its_contact_and_over_the_connection_it_opens() {
    let mut peer = Peer::new();
    peer.flow = tcp(5);
    peer.flow.peer = "10.0.0.9:41234".parse().unwrap();
    let mut request = Request::new(Method::Invite, "i");
    request.contact = "<sip:peer@10.0.0.9:5070;transport=tcp>".to_owned();
    request.via = format!("SIP/2.0/TCP {PEER};rport");
    peer.deliver(request.finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.accept(peer.now, session, sdp());
    let to = peer.one().1.header(HeaderName::To).unwrap().to_owned();
    kill(&mut peer);
    peer.wait(ms(0));
    let (again, _) = peer.one();
    assert_eq!(
        (again.peer.to_string(), again.connection),
        ("10.0.0.9:5060".to_owned(), None),
        "its Via"
    );
    peer.deliver(Request::new(Method::Ack, "a").to(&to).finish());
    peer.agent.info(peer.now, session, "text/plain", "x".into());
    let (flow, info) = peer.one();
    peer.respond(&info, 200, "p1", &[]);
    assert_eq!(
        (flow.transport, flow.peer.to_string(), flow.connection),
        (Transport::Tcp, "10.0.0.9:5070".to_owned(), None)
    );
    peer.flow = tcp(1);
    peer.deliver(Request::new(Method::Options, "o").to(&to).cseq(2).finish());
    peer.sent();
    peer.agent.info(peer.now, session, "text/plain", "x".into());
    let (flow, info) = peer.one();
    assert_eq!(flow, tcp(1));
    peer.respond(&info, 200, "p1", &[]);
    peer.agent.move_session(peer.now, session, tcp(2));
    peer.agent.info(peer.now, session, "text/plain", "x".into());
    assert_eq!(peer.one().0, tcp(2));
}

#[test]
fn passwords_are_not_kept() {
    let mut peer = Peer::new();
    let credentials = Credentials {
        username: "tandem".into(),
        password: "hush-hush".into(),
        realm: Some("trunk".into()),
    };
    let invite = Invite {
        credentials: Some(credentials.clone()),
        ..invite_to("sip:bob@10.0.0.9")
    };
    let session = peer.agent.invite(peer.now, invite);
    let (_, request) = peer.one();
    peer.respond(&request, 200, "b", &[]);
    peer.agent.ack(peer.now, session, None);
    peer.sent();
    let snapshot = peer.agent.snapshot_of(session, anchor(&peer)).unwrap();
    assert_eq!(snapshot.account(), Some(("tandem", Some("trunk"))));
    let bytes = rmp_serde::to_vec_named(&snapshot).unwrap();
    assert!(!bytes.windows(9).any(|window| window == b"hush-hush"));
    kill(&mut peer);
    peer.agent.set_credentials(session, Some(credentials));
    peer.agent.bye(peer.now, session, None);
    let (_, bye) = peer.one();
    let challenge = r#"Digest realm="trunk", nonce="n1", algorithm=SHA-256, qop="auth""#;
    peer.respond(&bye, 401, "b", &[("WWW-Authenticate", challenge)]);
    assert!(peer.one().1.header(HeaderName::Authorization).is_some());
}

#[test]
fn a_record_of_before_is_read_and_what_is_not_known_is_skipped() {
    let mut peer = Peer::new();
    let (session, invite) = call(&mut peer, &[]);
    let anchor = anchor(&peer);
    let snapshot = peer.agent.snapshot_of(session, anchor).unwrap();
    let bytes = rmp_serde::to_vec_named(&snapshot).unwrap();
    assert_eq!(bytes, rmp_serde::to_vec_named(&snapshot.clone()).unwrap());
    // One more field, as a later version may write.
    let mut wider = bytes.clone();
    wider[0] += 1;
    wider.extend_from_slice(b"\xa5later\xc3");
    let read: SessionSnapshot = rmp_serde::from_slice(&wider).unwrap();
    assert_eq!(read, snapshot);
    assert_eq!((read.call_id(), read.is_outgoing()), (invite.call_id().unwrap(), true));
    assert_eq!((read.local_sdp(), read.remote_sdp()), (sdp().as_ref(), sdp().as_ref()));
    for length in 0..bytes.len() {
        assert!(
            rmp_serde::from_slice::<SessionSnapshot>(&bytes[..length]).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn a_callee_that_was_killed_is_served_too() {
    let mut peer = Peer::new();
    let (session, invite) = call(&mut peer, &[]);
    kill(&mut peer);
    let mut reinvite = from_callee(&invite, Method::Invite, "r", 1);
    reinvite.body = other_sdp(1).map(|sdp| sdp.to_vec());
    peer.deliver(reinvite.finish());
    assert_eq!(peer.lines(), ["100"]);
    assert_eq!(peer.events.iter().find_map(reinvited), Some(session));
    let refer = from_callee(&invite, Method::Refer, "f", 2).header("Refer-To", "<sip:carol@tandem.test>");
    peer.deliver(refer.finish());
    assert!(peer.sent().is_empty());
    assert!(matches!(peer.events.last(), Some(UaEvent::Referred { .. })));
    peer.deliver(from_callee(&invite, Method::Bye, "b", 3).finish());
    peer.sent();
    assert_eq!(peer.events.iter().find_map(any_terminal).as_deref(), Some("Ended by peer"));
}

#[test]
fn a_subscription_comes_back_and_its_subscriber_is_sent_everything() {
    let notifier = || Notifier {
        packages: vec!["conference".into()],
        ..Notifier::default()
    };
    let mut peer = Peer::new();
    peer.agent.set_notifier(notifier());
    let started = anchor(&peer);
    assert_eq!(peer.agent.take_subscription_changes(started), []);
    let subscribe = |branch: &str, cseq: u32| {
        let request = Request::new(Method::Subscribe, branch)
            .cseq(cseq)
            .header("Event", "conference;id=7");
        request.header("Expires", "600")
    };
    peer.deliver(subscribe("s", 1).finish());
    peer.sent();
    let id = peer.events.iter().find_map(|event| match event {
        UaEvent::Subscribed { subscription, .. } => Some(*subscription),
        _ => None,
    });
    let id = id.unwrap();
    assert_eq!(peer.agent.take_subscription_changes(started), []);
    peer.agent.accept_subscription(peer.now, id, 600);
    let to = peer.one().1.header(HeaderName::To).unwrap().to_owned();
    assert!(matches!(peer.agent.take_subscription_changes(started).as_slice(), [(kept, Some(_))] if *kept == id));
    let mut last = 0;
    for _ in 0..49 {
        peer.agent.notify(peer.now, id, "text/plain", "x".into(), None);
        let (_, notify) = peer.one();
        last = notify.cseq().unwrap().0;
        peer.respond(&notify, 200, "x", &[]);
    }
    assert_eq!(
        peer.agent.take_subscription_changes(started),
        [],
        "NOTIFYs are written down now and then"
    );
    assert_eq!(peer.agent.kept_subscriptions().collect::<Vec<_>>(), [id]);
    let snapshot = peer.agent.subscription_snapshot(id, started).unwrap();
    let bytes = rmp_serde::to_vec_named(&snapshot).unwrap();
    let snapshot: SubscriptionSnapshot = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(
        (snapshot.package(), snapshot.resource()),
        ("conference", "sip:alice@10.0.0.1")
    );

    // 100 s later.
    let later = (started.0, started.1 + 100 * SECOND);
    peer.agent = UserAgent::new(config(0), StdRng::seed_from_u64(2));
    peer.agent.set_notifier(notifier());
    peer.events.clear();
    assert_eq!(peer.agent.restore_subscription(peer.now, later, id, snapshot.clone()), Ok(()));
    let again = peer.agent.restore_subscription(peer.now, later, id, snapshot.clone());
    assert_eq!(again, Err(RestoreError::Duplicate));
    assert!(matches!(peer.told(), Some(UaEvent::SubscriptionRefreshed { subscription }) if *subscription == id));
    assert_eq!(peer.agent.take_subscription_changes(later).len(), 1);
    peer.agent.notify(peer.now, id, "text/plain", "all".into(), None);
    let (_, notify) = peer.one();
    assert!(notify.cseq().unwrap().0 > last);
    assert_eq!(notify.header(HeaderName::SubscriptionState), Some("active;expires=500"));
    assert_eq!(notify.header(HeaderName::Event), Some("conference;id=7"));
    peer.respond(&notify, 200, "x", &[]);
    peer.deliver(subscribe("r", 2).to(&to).finish());
    assert_eq!(peer.lines(), ["200"]);
    peer.wait(601 * SECOND);
    peer.sent();
    assert_eq!(peer.agent.take_subscription_changes(later), [(id, None)]);
    let much_later = (started.0, started.1 + 600 * SECOND);
    let mut late = UserAgent::new(config(0), StdRng::seed_from_u64(2));
    assert_eq!(
        late.restore_subscription(peer.now, much_later, id, snapshot),
        Err(RestoreError::Over)
    );
    peer.wait(100 * SECOND);
    peer.sent();
    peer.agent.assert_empty();
}

/// What a desk phone says of its media.
const PHONE: &str = "v=0\r\no=- 20518 20518 IN IP4 192.168.21.77\r\ns=desk phone\r\nc=IN IP4 192.168.21.77\r\nt=0 0\r\nm=audio 11780 RTP/AVP 9 0 8 \
                     101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 \
                     0-15\r\na=ptime:20\r\na=sendrecv\r\n";

#[test]
fn a_record_is_small() {
    let mut peer = Peer::new();
    let invite = Invite {
        offer: Some(PHONE.into()),
        flow: Some(udp()),
        ..invite_to("sip:7001@192.168.21.77:5060;line=sr-78hgtf")
    };
    let session = peer.agent.invite(peer.now, invite);
    let (_, request) = peer.one();
    let response = ResponseBuilder::to(&request, 200, None)
        .to_tag("f2a9c7d81e")
        .header("Contact", "<sip:7001@192.168.21.77:5060;line=sr-78hgtf>")
        .header("Session-Expires", "1800;refresher=uac");
    peer.deliver(response.body("application/sdp", PHONE).finish());
    peer.agent.ack(peer.now, session, None);
    peer.sent();
    let anchor = anchor(&peer);
    let bytes = rmp_serde::to_vec_named(&peer.agent.snapshot_of(session, anchor).unwrap()).unwrap();
    assert!(bytes.len() < 1_500, "{} bytes", bytes.len());
    if std::env::var_os("TANDEM_SIP_MEASURE").is_some() {
        let rounds = 100_000;
        let start = std::time::Instant::now();
        let mut total = 0;
        for _ in 0..rounds {
            total += rmp_serde::to_vec_named(&peer.agent.snapshot_of(session, anchor).unwrap())
                .unwrap()
                .len();
        }
        let each = start.elapsed() / rounds;
        println!("{} bytes, {each:?} each, {total} in all", bytes.len());
    }
}
