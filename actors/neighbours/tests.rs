//! Which way each message goes, by what is known of the others.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tandem_sip::flow::{ConnectionId, ListenerId};
use tandem_sip::message::{RequestBuilder, ResponseBuilder};
use tandem_sip::registrar::Binding;

use super::*;

const ME: ConnectorId = ConnectorId(0);
const OTHER: ConnectorId = ConnectorId(1);
/// It is being drained.
const DRAINED: ConnectorId = ConnectorId(2);
/// The T-Server reaches it no more.
const GONE: ConnectorId = ConnectorId(3);

/// A tag that a connector makes.
fn tag(of: ConnectorId) -> String {
    format!("td{:04x}{:016x}", of.0, 7)
}

fn sip_of(connector: ConnectorId) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + connector.0 as u8], 5060))
}

fn flow(peer: SocketAddr) -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: ListenerId(0),
        peer,
        connection: None,
    }
}

fn device() -> Flow {
    flow(SocketAddr::from(([192, 0, 2, 7], 5066)))
}

/// Forgets what it is told.
struct Lost;

impl Journal for Lost {
    fn put(&mut self, _: RecordKind, _: &[u8], _: &[u8]) {}

    fn remove(&mut self, _: RecordKind, _: &[u8]) {}

    fn remove_below(&mut self, _: RecordKind, _: &[u8]) {}

    fn commit(&mut self) {}

    fn is_back(&mut self) -> bool {
        false
    }
}

/// Gives out what it is told.
#[derive(Default, Clone)]
struct Kept(Rc<RefCell<Vec<Record>>>);

impl Journal for Kept {
    fn put(&mut self, kind: RecordKind, id: &[u8], value: &[u8]) {
        let (id, value) = (id.to_vec(), value.to_vec());
        self.0.borrow_mut().push(Record { kind, id, value });
    }

    fn remove(&mut self, _: RecordKind, _: &[u8]) {}

    fn remove_below(&mut self, _: RecordKind, _: &[u8]) {}

    fn commit(&mut self) {}

    fn is_back(&mut self) -> bool {
        false
    }
}

fn listeners() -> [Listener; 2] {
    [Transport::Udp, Transport::Tcp].map(|transport| Listener {
        id: ListenerId(u16::from(transport == Transport::Tcp)),
        transport,
        advertised: sip_of(ME),
    })
}

fn strangers() -> Neighbours {
    let journal: SharedJournal = Rc::new(RefCell::new(Box::new(Lost)));
    started(&journal, &[], 1)
}

/// Those of a process that has found these records.
fn started(journal: &SharedJournal, records: &[Record], seed: u64) -> Neighbours {
    let neighbours = Neighbours::default();
    let secrets = Secrets::recover(journal, records, StdRng::seed_from_u64(seed));
    neighbours.open(ME, &listeners(), secrets);
    neighbours
}

fn peer(connector: ConnectorId) -> Peer {
    let address = |transport: &str| SipAddress {
        transport: transport.into(),
        address: sip_of(connector).to_string().into(),
    };
    Peer {
        connector,
        listens: vec![address("udp"), address("tcp"), address("smoke signals")],
        available: connector != DRAINED,
    }
}

fn acquainted() -> Neighbours {
    let neighbours = strangers();
    neighbours.introduce(vec![peer(GONE)], Vec::new(), &mut Lost);
    meet(&neighbours, Vec::new());
    neighbours
}

fn meet(neighbours: &Neighbours, rooms: Vec<(DnId, ConnectorId)>) {
    neighbours.introduce(vec![peer(OTHER), peer(DRAINED)], rooms, &mut Lost);
}

fn room() -> DnId {
    DnId::new("sip:5000@tandem.local")
}

/// No device is registered.
struct Nobody;

impl Presence for Nobody {
    fn bindings(&self, uri: &str) -> (Arc<str>, Arc<[Binding]>) {
        (uri.into(), Arc::from([]))
    }

    fn is_closed(&self, _: &Flow) -> bool {
        false
    }
}

fn unknown() -> Device {
    Device {
        aor: "sip:1001@tandem.local".into(),
        uri: "sip:1001@192.0.2.7:5066".into(),
        instance: None,
        reg_id: None,
    }
}

struct Scene {
    neighbours: Neighbours,
    devices: Devices,
    memory: Memory,
    available: bool,
    /// It serves whatever may be a copy.
    serving: bool,
}

impl Scene {
    fn new(neighbours: Neighbours) -> Self {
        let mut devices = Devices::new(vec!["tandem.local".to_owned()], Vec::new());
        devices.add_room(room(), None);
        Self {
            neighbours,
            devices,
            memory: Memory::default(),
            available: true,
            serving: false,
        }
    }

    fn way(&mut self, message: &Message, from: Flow) -> Way {
        let mut here = Here {
            devices: &self.devices,
            available: self.available,
            memory: &mut self.memory,
            presence: &Nobody,
            is_serving: &mut |_| self.serving,
        };
        self.neighbours.way(&mut here, message, from)
    }

    /// The connector that a device's request goes to.
    fn goes(&mut self, request: &Message) -> ConnectorId {
        match self.way(request, device()) {
            Way::Here => ME,
            Way::On(forward) => {
                let all = [OTHER, DRAINED, GONE];
                let found = all.into_iter().find(|id| sip_of(*id) == forward.flow.peer);
                found.unwrap_or_else(|| panic!("it went to {:?}", forward.flow))
            }
            way => panic!("{way:?}"),
        }
    }
}

fn request(method: &str, user: &str, to_tag: &str, more: &[(&str, &str)]) -> Message {
    request_by(method, user, to_tag, "192.0.2.7:5066;branch=z9hG4bKone", more)
}

fn request_by(method: &str, user: &str, to_tag: &str, via: &str, more: &[(&str, &str)]) -> Message {
    let to_tag = if to_tag.is_empty() {
        String::new()
    } else {
        format!(";tag={to_tag}")
    };
    let mut request = RequestBuilder::new(method, &format!("sip:{user}@tandem.local"))
        .header("Via", format!("SIP/2.0/UDP {via}"))
        .header("From", "<sip:1001@tandem.local>;tag=1")
        .header("To", format!("<sip:{user}@tandem.local>{to_tag}"))
        .header("Call-ID", "c1")
        .header("CSeq", format!("1 {method}"))
        .header("Max-Forwards", "70");
    for (name, value) in more {
        request = request.header(name, value);
    }
    Message::parse(request.finish()).unwrap()
}

fn replacing(connector: ConnectorId) -> Message {
    let replaces = format!("c9;to-tag={};from-tag=x", tag(connector));
    request("INVITE", "1002", "", &[("Replaces", &replaces)])
}

#[test]
fn a_request_goes_to_the_connector_that_it_belongs_to() {
    let mut scene = Scene::new(acquainted());
    for (message, expected) in [
        (request("INVITE", "1002", "", &[]), ME),
        (request("OPTIONS", "1002", "", &[]), ME),
        (replacing(ME), ME),
        (replacing(OTHER), OTHER),
        (replacing(DRAINED), DRAINED),
        (replacing(GONE), ME),
        (replacing(ConnectorId(9)), ME),
        (request("BYE", "1002", &tag(ME), &[]), ME),
        (request("BYE", "1002", &tag(OTHER), &[]), OTHER),
        (request("ACK", "1002", &tag(OTHER), &[]), OTHER),
        (request("BYE", "1002", &tag(GONE), &[]), GONE),
        (request("BYE", "1002", &tag(ConnectorId(9)), &[]), ME),
        (request("BYE", "1002", "somebody's", &[]), ME),
    ] {
        let text = String::from_utf8_lossy(message.bytes()).into_owned();
        scene.memory = Memory::default();
        assert_eq!(scene.goes(&message), expected, "{text}");
    }
}

#[test]
fn nobody_is_asked_before_the_list_came() {
    let mut scene = Scene::new(strangers());
    let over_stream = Flow {
        transport: Transport::Tcp,
        listener: ListenerId(1),
        ..device()
    };
    for (message, expected) in [
        (request("INVITE", "5000", "", &[]), Way::Here),
        (request("BYE", "1", &tag(ME), &[]), Way::Here),
        (request("BYE", "1", &tag(OTHER), &[]), Way::Later),
        (replacing(OTHER), Way::Later),
    ] {
        assert_eq!(scene.way(&message, device()), expected);
        assert_eq!(scene.way(&message, over_stream), Way::Here, "it is not sent again");
    }
    let route = scene.neighbours.route(&device(), &unknown()).unwrap();
    let inward = request_by("BYE", "1001", "x", "10.0.0.2:5060;branch=z9hG4bKtd1", &[("Route", &route)]);
    let far = flow(sip_of(OTHER));
    assert_eq!(scene.way(&inward, far), Way::Later);
    let forged = route.replacen("sip:0", "sip:1", 1);
    let forged = request("BYE", "1001", "x", &[("Route", &forged)]);
    assert_eq!(scene.way(&forged, far), Way::Later, "its secret may come back");
    meet(&scene.neighbours, Vec::new());
    assert_eq!(scene.way(&forged, far), Way::Refused(Refusal::Forged));
    let Way::On(forward) = scene.way(&inward, far) else { panic!() };
    assert_eq!(forward.flow, device());
    assert_eq!(scene.way(&inward, flow(sip_of(GONE))), Way::Refused(Refusal::Foreign));
    assert_eq!(
        Neighbours::default().route(&device(), &unknown()),
        None,
        "a server of one process"
    );
}

#[test]
fn what_a_connector_wrote_is_not_passed_on() {
    let mut scene = Scene::new(acquainted());
    let written = |via: &str| {
        request_by(
            "INVITE",
            "1002",
            "",
            via,
            &[("Replaces", &format!("c;to-tag={};from-tag=x", tag(DRAINED)))],
        )
    };
    let of_other = written("10.0.0.2:5060;branch=z9hG4bKte1");
    assert_eq!(scene.way(&of_other, flow(sip_of(OTHER))), Way::Here);
    // A device that says it were one.
    assert_eq!(scene.goes(&of_other), DRAINED);
    assert!(scene.neighbours.takes_from(sip_of(GONE).ip()) && !scene.neighbours.takes_from(device().peer.ip()));
}

#[test]
fn a_re_invite_is_sent_again_until_it_is_known_how_it_ended() {
    let over_stream = Flow {
        transport: Transport::Tcp,
        listener: ListenerId(1),
        connection: Some(ConnectionId(4)),
        ..device()
    };
    for (device, tag, status, goes_on) in [
        (over_stream, "1", "100 Trying", false),
        (over_stream, "1", "180 Ringing", true),
        (over_stream, "1", "491 Request Pending", true),
        // One that rings says so, and may take its time.
        (over_stream, "", "100 Trying", true),
        (device(), "1", "100 Trying", true),
    ] {
        let mut scene = Scene::new(acquainted());
        let route = scene.neighbours.route(&device, &unknown()).unwrap();
        let request = request("INVITE", "1001", tag, &[("Route", &route)]);
        let Way::On(forward) = scene.way(&request, flow(sip_of(OTHER))) else {
            panic!("it goes to the device")
        };
        let text = String::from_utf8(forward.bytes.to_vec()).unwrap();
        let lines = text.lines().skip(1).filter(|line| !line.starts_with("Route"));
        let response: String = lines.map(|line| format!("{line}\r\n")).collect();
        let response = Message::parse(format!("SIP/2.0 {status}\r\n{response}").into()).unwrap();
        let way = scene.way(&response, device);
        assert_eq!(matches!(way, Way::On(_)), goes_on, "{status} {tag} {device:?}: {way:?}");
        assert!(goes_on || way == Way::Later);
    }
}

#[test]
fn a_conference_is_where_somebody_is_in_it_and_else_where_all_agree() {
    let mut scene = Scene::new(acquainted());
    let invite = request("INVITE", "5000", "", &[]);
    let agreed = sharding::best_of("sip:5000@tandem.local", [ME, OTHER].into_iter()).unwrap();
    assert_eq!(scene.goes(&invite), agreed);
    scene.memory = Memory::default();
    scene.available = false;
    assert_eq!(scene.goes(&invite), OTHER);
    for (at, expected) in [(ME, ME), (OTHER, OTHER), (DRAINED, DRAINED), (GONE, ME)] {
        scene.memory = Memory::default();
        meet(&scene.neighbours, vec![(room(), at)]);
        assert_eq!(scene.goes(&invite), expected, "at {at}");
    }
}

#[test]
fn a_copy_and_a_cancel_go_after_their_invite_wherever_it_would_go_now() {
    let mut scene = Scene::new(acquainted());
    let (invite, cancel) = (request("INVITE", "5000", "", &[]), request("CANCEL", "5000", "", &[]));
    meet(&scene.neighbours, vec![(room(), OTHER)]);
    let Way::On(passed) = scene.way(&invite, device()) else {
        panic!()
    };
    meet(&scene.neighbours, vec![(room(), DRAINED)]);
    assert_eq!((scene.goes(&invite), scene.goes(&cancel)), (OTHER, OTHER));
    // With its final answer, which goes back, that is over.
    let passed = Message::parse(passed.bytes).unwrap();
    let refusal = Message::parse(ResponseBuilder::to(&passed, 486, None).finish()).unwrap();
    let Way::On(back) = scene.way(&refusal, flow(sip_of(OTHER))) else {
        panic!()
    };
    assert_eq!(back.flow, device());
    assert_eq!(scene.goes(&cancel), DRAINED);
    // One that is served here is, whatever was told since.
    scene.serving = true;
    assert_eq!((scene.goes(&invite), scene.goes(&cancel)), (ME, ME));
    let strange = Message::parse(ResponseBuilder::to(&invite, 200, None).finish()).unwrap();
    assert_eq!(scene.way(&strange, device()), Way::Here);
}

#[test]
fn a_device_makes_its_next_call_where_it_is_in_one() {
    let mut scene = Scene::new(acquainted());
    let route = scene.neighbours.route(&device(), &unknown()).unwrap();
    let from = format!("<sip:1002@tandem.local>;tag={}", tag(OTHER));
    let inward = RequestBuilder::new("INVITE", "sip:1001@192.0.2.7:5066")
        .header("Via", "SIP/2.0/UDP 10.0.0.2:5060;rport;branch=z9hG4bKtd1")
        .header("Route", &route)
        .header("From", &from)
        .header("To", "<sip:1001@tandem.local>")
        .header("Call-ID", "c7")
        .header("CSeq", "1 INVITE");
    let inward = Message::parse(inward.finish()).unwrap();
    let Way::On(passed) = scene.way(&inward, flow(sip_of(OTHER))) else {
        panic!()
    };
    assert_eq!(passed.flow, device());
    let passed = Message::parse(passed.bytes).unwrap();
    let next = request("INVITE", "1003", "", &[]);
    let answered = |status: u16| Message::parse(ResponseBuilder::to(&passed, status, None).to_tag("d").finish()).unwrap();
    assert!(matches!(scene.way(&answered(180), device()), Way::On(_)));
    assert_eq!(scene.goes(&next), ME, "it rings");
    assert!(matches!(scene.way(&answered(200), device()), Way::On(_)));
    assert_eq!(scene.goes(&next), OTHER);
    let neighbour = RequestBuilder::new("INVITE", "sip:1003@tandem.local")
        .header("Via", "SIP/2.0/UDP 192.0.2.7:5066;branch=z9hG4bKn")
        .header("From", "<sip:1009@tandem.local>;tag=n")
        .header("To", "<sip:1003@tandem.local>")
        .header("Call-ID", "n1")
        .header("CSeq", "1 INVITE");
    let neighbour = Message::parse(neighbour.finish()).unwrap();
    assert_eq!(scene.goes(&neighbour), ME, "another device behind the same address");
    scene.memory.is_answered(&key(&next, 0).unwrap());
    // It is over when either says so.
    let bye = RequestBuilder::new("BYE", "sip:1002@10.0.0.2:5060")
        .header("Via", "SIP/2.0/UDP 192.0.2.7:5066;branch=z9hG4bKb")
        .header("Route", &route)
        .header("From", "<sip:1001@tandem.local>;tag=d")
        .header("To", &from)
        .header("Call-ID", "c7")
        .header("CSeq", "1 BYE");
    assert_eq!(scene.goes(&Message::parse(bye.finish()).unwrap()), OTHER);
    assert_eq!(scene.goes(&next), ME);
}

#[test]
fn a_connector_that_is_drained_hands_new_calls_on() {
    let mut scene = Scene::new(acquainted());
    scene.available = false;
    assert_eq!(scene.goes(&request("INVITE", "1002", "", &[])), OTHER);
    assert_eq!(scene.goes(&request("CANCEL", "1002", "", &[])), OTHER, "after its INVITE");
    assert_eq!(scene.goes(&request("OPTIONS", "1002", "", &[])), ME);
    assert_eq!(scene.goes(&request("REGISTER", "1002", "", &[])), ME);
    scene.neighbours.introduce(vec![peer(DRAINED)], Vec::new(), &mut Lost);
    scene.memory = Memory::default();
    assert_eq!(scene.goes(&request("INVITE", "1002", "", &[])), ME, "nobody else can");
}

#[test]
fn tokens_of_the_process_before_and_of_a_lost_journal_are_good() {
    let kept = Kept::default();
    let journal: SharedJournal = Rc::new(RefCell::new(Box::new(kept.clone())));
    let start = |records: &[Record], seed| {
        let neighbours = started(&journal, records, seed);
        meet(&neighbours, Vec::new());
        neighbours
    };
    let reaches = |neighbours: &Neighbours, route: &str| {
        let mut scene = Scene::new(acquainted());
        let mut here = Here {
            devices: &scene.devices,
            available: true,
            memory: &mut scene.memory,
            presence: &Nobody,
            is_serving: &mut |_| false,
        };
        let inward = request("OPTIONS", "1", "", &[("Route", route)]);
        neighbours.way(&mut here, &inward, flow(sip_of(OTHER)))
    };
    let before = start(&[], 1);
    let of_stream = Flow {
        transport: Transport::Tcp,
        listener: ListenerId(1),
        connection: Some(ConnectionId(4)),
        ..device()
    };
    let (route, stream) = (
        before.route(&device(), &unknown()).unwrap(),
        before.route(&of_stream, &unknown()).unwrap(),
    );
    assert!(matches!(reaches(&before, &stream), Way::On(forward) if forward.flow == of_stream));
    let records = kept.0.take();
    assert_eq!(records.len(), 1);
    let after = start(&records, 2);
    assert!(kept.0.borrow().is_empty(), "it is kept already");
    assert!(matches!(reaches(&after, &route), Way::On(forward) if forward.flow == device()));
    assert_eq!(reaches(&after, &stream), Way::Refused(Refusal::FlowFailed));
    // Without a journal, until it is given back.
    let lost = start(&[], 3);
    assert_eq!(reaches(&lost, &route), Way::Refused(Refusal::Forged));
    lost.restore(&records);
    assert!(matches!(reaches(&lost, &route), Way::On(_)));
    kept.0.take();
    lost.keep_again(&mut **journal.borrow_mut());
    let again = start(&kept.0.take(), 4);
    assert!(matches!(reaches(&again, &route), Way::On(_)));
}

#[test]
fn the_others_are_known_again_without_the_t_server() {
    let kept = Kept::default();
    let journal: SharedJournal = Rc::new(RefCell::new(Box::new(kept.clone())));
    let start = |records: &[Record]| started(&journal, records, 1);
    let peers = vec![peer(OTHER), peer(DRAINED)];
    let before = start(&[]);
    kept.0.take();
    before.introduce(peers.clone(), vec![(room(), OTHER)], &mut **journal.borrow_mut());
    let records = kept.0.take();
    before.introduce(peers, Vec::new(), &mut **journal.borrow_mut());
    assert!(kept.0.borrow().is_empty(), "the same ones");
    let after = start(&records);
    assert!(after.takes_from(sip_of(OTHER).ip()) && after.is_at(sip_of(DRAINED)));
    let mut scene = Scene::new(after);
    assert_eq!(scene.goes(&request("BYE", "1002", &tag(OTHER), &[])), OTHER);
    assert!(!start(&[]).is_at(sip_of(OTHER)), "without a journal nobody is known");
}

#[test]
fn who_was_down_is_known_again_as_one_that_is_down() {
    let kept = Kept::default();
    let journal: SharedJournal = Rc::new(RefCell::new(Box::new(kept.clone())));
    let start = |records: &[Record]| started(&journal, records, 1);
    let before = start(&[]);
    let told = [
        vec![peer(OTHER), peer(GONE)],
        vec![peer(OTHER)],
        Vec::new(),
        vec![peer(OTHER)],
    ];
    for peers in told {
        before.introduce(peers, Vec::new(), &mut **journal.borrow_mut());
    }
    let last = kept.0.take().pop().expect("it is kept");
    let after = start(&[last]);
    assert!(after.takes_from(sip_of(GONE).ip()) && after.is_at(sip_of(OTHER)));
    let mut scene = Scene::new(after);
    assert_eq!(scene.goes(&request("BYE", "1002", &tag(GONE), &[])), GONE, "it goes on there");
    assert_eq!(scene.goes(&replacing(GONE)), ME, "and nothing begins there");
    // It comes back at another address: the one before is nobody's.
    let moved = Peer {
        listens: peer(DRAINED).listens,
        ..peer(GONE)
    };
    scene
        .neighbours
        .introduce(vec![moved], Vec::new(), &mut **journal.borrow_mut());
    assert!(scene.neighbours.is_at(sip_of(DRAINED)) && !scene.neighbours.is_at(sip_of(GONE)));
    let last = kept.0.take().pop().expect("it is kept");
    assert!(!start(&[last]).is_at(sip_of(GONE)));
}

#[test]
fn where_this_one_listens_is_told() {
    let neighbours = strangers();
    let expected: Vec<_> = peer(ME).listens.into_iter().take(2).collect();
    assert_eq!(neighbours.listens(), expected);
    assert!(neighbours.may_be() && !Neighbours::default().may_be());
}
