//! A device, an edge and the connector that owns the device's DN, in one thread; then what is refused.

mod devices;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::flow::{ConnectionId, ListenerId, Transport};
use crate::message::{RequestBuilder, ResponseBuilder};
use crate::registrar::{Binding, Device, Register, Registrar, RegistrarConfig};
use crate::ua::{Invite, OutgoingRequest, SessionId, UaConfig, UaEvent, UaOutput, UserAgent};

const EDGE: &str = "10.0.0.1:5060";
const CONNECTOR: &str = "10.0.0.2:5060";
const DEVICE: &str = "192.0.2.7:5066";
const AOR: &str = "7001";
const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn listeners(at: &str) -> Vec<Listener> {
    let listener = |id, transport| Listener {
        id: ListenerId(id),
        transport,
        advertised: address(at),
    };
    vec![listener(0, Transport::Udp), listener(1, Transport::Tcp)]
}

fn flow(transport: Transport, peer: &str, connection: Option<u64>) -> Flow {
    Flow {
        transport,
        listener: ListenerId(u16::from(transport == Transport::Tcp)),
        peer: address(peer),
        connection: connection.map(ConnectionId),
    }
}

/// No device is registered, and no connection is known to be closed.
struct Nobody;

impl Presence for Nobody {
    fn bindings(&self, uri: &str) -> (Arc<str>, Arc<[Binding]>) {
        (uri.into(), Arc::from([]))
    }

    fn is_closed(&self, _: &Flow) -> bool {
        false
    }
}

fn unknown_device() -> Device {
    Device {
        aor: AOR.into(),
        uri: "sip:7001@192.0.2.7:5066".into(),
        instance: None,
        reg_id: None,
    }
}

fn edge() -> Edge {
    edge_of(1)
}

fn edge_of(epoch: u32) -> Edge {
    let mut edge = Edge::new([3; 32], epoch, listeners(EDGE));
    edge.set_peers([address(CONNECTOR)]);
    edge
}

fn hop() -> Hop {
    Hop {
        transport: Transport::Udp,
        addr: address(CONNECTOR),
    }
}

fn agent(shard: u16, at: &str) -> UserAgent {
    let config = UaConfig {
        shard,
        listeners: listeners(at),
        ..UaConfig::default()
    };
    UserAgent::new(config, StdRng::seed_from_u64(shard.into()))
}

/// Who is on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    Device,
    Edge,
    Connector,
}

struct Scene {
    now: Instant,
    edge: Edge,
    device: UserAgent,
    connector: UserAgent,
    transport: Transport,
    wire: VecDeque<(Node, Node, Bytes)>,
    /// What the device and the connector were told.
    events: Vec<(Node, UaEvent)>,
    /// `Device>Edge INVITE`
    trace: Vec<String>,
}

impl Scene {
    fn new(transport: Transport) -> Self {
        Self {
            now: Instant::now(),
            edge: edge(),
            device: agent(9, DEVICE),
            connector: agent(2, CONNECTOR),
            transport,
            wire: VecDeque::new(),
            events: Vec::new(),
            trace: Vec::new(),
        }
    }

    /// The device's flow as the edge sees it.
    fn device_flow(&self) -> Flow {
        flow(self.transport, DEVICE, (self.transport == Transport::Tcp).then_some(5))
    }

    /// The way from the device to the edge.
    fn to_edge(&self) -> Flow {
        flow(self.transport, EDGE, (self.transport == Transport::Tcp).then_some(1))
    }

    fn drain(&mut self) {
        for (node, agent) in [(Node::Device, &mut self.device), (Node::Connector, &mut self.connector)] {
            while let Some(output) = agent.poll() {
                match output {
                    UaOutput::Send { flow, bytes } => {
                        assert_eq!(flow.peer, address(EDGE), "all goes over the edge");
                        self.wire.push_back((node, Node::Edge, bytes));
                    }
                    UaOutput::Resolve { uri, .. } => panic!("{uri} is no address"),
                    UaOutput::Event(event) => self.events.push((node, event)),
                }
            }
        }
    }

    /// Delivers until nothing is on the way.
    fn run(&mut self) {
        self.drain();
        while let Some((from, to, bytes)) = self.wire.pop_front() {
            let message = Message::parse(bytes).unwrap();
            let what = match message.status() {
                Some(status) => status.to_string(),
                None => message.method().unwrap().to_string(),
            };
            self.trace.push(format!("{from:?}>{to:?} {what}"));
            match to {
                Node::Edge => self.pass(from, &message),
                Node::Device => {
                    let flow = self.to_edge();
                    self.device.receive(self.now, flow, message);
                }
                Node::Connector => {
                    let flow = flow(Transport::Udp, EDGE, None);
                    self.connector.receive(self.now, flow, message);
                }
            }
            self.drain();
        }
    }

    fn pass(&mut self, from: Node, message: &Message) {
        let at = match from {
            Node::Device => self.device_flow(),
            _ => flow(Transport::Udp, CONNECTOR, None),
        };
        let forward = if message.is_request() {
            let routed = self.edge.routed(message, at, &Nobody);
            routed
                .unwrap_or_else(|| self.edge.outward(message, at, hop(), &Nobody))
                .unwrap()
        } else {
            self.edge.response(message).unwrap()
        };
        let to = if forward.flow == self.device_flow() {
            Node::Device
        } else {
            assert_eq!(forward.flow, flow(Transport::Udp, CONNECTOR, None));
            Node::Connector
        };
        self.wire.push_back((Node::Edge, to, forward.bytes));
    }

    fn traced(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace)
    }

    fn take<T>(&mut self, at: Node, probe: impl Fn(&UaEvent) -> Option<T>) -> T {
        let found = self
            .events
            .iter()
            .filter(|(node, _)| *node == at)
            .find_map(|(_, event)| probe(event));
        self.events.clear();
        found.unwrap()
    }

    /// The device registers; the URI and the Path of its binding.
    fn register(&mut self) -> (std::sync::Arc<str>, Vec<std::sync::Arc<str>>) {
        let transport = if self.transport == Transport::Tcp {
            ";transport=tcp"
        } else {
            ""
        };
        let register = OutgoingRequest {
            method: Method::Register,
            uri: "sip:tandem.test".into(),
            flow: Some(self.to_edge()),
            from: ("sip:7001@tandem.test".into(), None),
            to: "sip:7001@tandem.test".into(),
            headers: vec![
                ("Contact".into(), format!("<sip:7001@{DEVICE}{transport}>").into()),
                ("Supported".into(), "path, outbound".into()),
            ],
            body: None,
            credentials: None,
        };
        self.device.request(self.now, register);
        self.run();
        let (id, request, flow) = self.take(Node::Connector, |event| match event {
            UaEvent::Request { id, request, flow } => Some((*id, request.clone(), *flow)),
            _ => None,
        });
        let mut registrar = Registrar::new(RegistrarConfig::default());
        let outcome = registrar.handle(self.now, AOR, Register::from_message(&request, flow).unwrap());
        assert_eq!(outcome.status, 200);
        self.connector.respond(self.now, id, 200, &[], None);
        self.run();
        let binding = registrar.bindings(AOR, self.now).remove(0);
        assert!(!binding.nat);
        (binding.uri, binding.path)
    }

    /// The connector calls the device, which answers: (the connector's session, the device's).
    fn call(&mut self) -> (SessionId, SessionId) {
        let (uri, route) = self.register();
        let invite = Invite {
            uri,
            flow: None,
            proxy: None,
            route,
            from: ("sip:7002@tandem.test".into(), None),
            to: "sip:7001@tandem.test".into(),
            offer: Some(SDP.into()),
            headers: Vec::new(),
            credentials: None,
        };
        self.traced();
        let calling = self.connector.invite(self.now, invite);
        self.run();
        let called = self.take(Node::Device, |event| match event {
            UaEvent::Incoming { session, .. } => Some(*session),
            _ => None,
        });
        self.device.accept(self.now, called, Some(SDP.into()));
        self.run();
        self.connector.ack(self.now, calling, None);
        self.run();
        (calling, called)
    }
}

#[test]
fn a_device_registers_and_is_called_through_the_edge() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut scene = Scene::new(transport);
        let (calling, called) = scene.call();
        let expected = [
            "Connector>Edge INVITE",
            "Edge>Device INVITE",
            "Device>Edge 100",
            "Edge>Connector 100",
            "Device>Edge 200",
            "Edge>Connector 200",
            "Connector>Edge ACK",
            "Edge>Device ACK",
        ];
        assert_eq!(scene.traced(), expected, "{transport}");
        // In the dialog, from both sides.
        scene.device.reinvite(scene.now, called, Some(SDP.into()));
        scene.run();
        scene.connector.info(scene.now, calling, "text/plain", "x".into());
        scene.run();
        scene.device.bye(scene.now, called, None);
        scene.run();
        let ended = scene.events.iter().any(|(node, event)| {
            *node == Node::Connector && matches!(event, UaEvent::Ended { session, by_peer: true, .. } if *session == calling)
        });
        assert!(ended, "{transport}: {:?}", scene.trace);
        assert!(scene.trace.contains(&"Edge>Device INFO".to_owned()) && scene.trace.contains(&"Edge>Connector BYE".to_owned()));
        scene.now += Duration::from_secs(1);
        scene.connector.timeout(scene.now);
        scene.run();
        assert!(!scene.trace.iter().any(|line| line.contains('4')), "{:?}", scene.trace);
    }
}

#[test]
fn a_device_calls_and_its_cancel_goes_the_same_way() {
    let mut scene = Scene::new(Transport::Tcp);
    let invite = Invite {
        uri: "sip:7002@tandem.test".into(),
        flow: Some(scene.to_edge()),
        proxy: None,
        route: Vec::new(),
        from: ("sip:7001@tandem.test".into(), None),
        to: "sip:7002@tandem.test".into(),
        offer: Some(SDP.into()),
        headers: Vec::new(),
        credentials: None,
    };
    let calling = scene.device.invite(scene.now, invite);
    scene.run();
    scene.device.cancel(scene.now, calling, None);
    scene.run();
    let cancelled = scene
        .events
        .iter()
        .any(|(node, event)| *node == Node::Connector && matches!(event, UaEvent::Cancelled { .. }));
    assert!(cancelled);
    let last: Vec<_> = scene.trace.iter().rev().take(2).collect();
    assert_eq!(last, ["Edge>Connector ACK", "Device>Edge ACK"]);
}

/// A request as it may come to the edge.
fn request(method: &str, branch: &str, more: &[(&str, &str)]) -> Message {
    let mut request = RequestBuilder::new(method, "sip:7001@192.0.2.7:5066")
        .header("Via", format!("SIP/2.0/UDP 192.0.2.99;rport;branch={branch}"))
        .header("From", "<sip:a@x.test>;tag=1")
        .header("To", "<sip:b@x.test>")
        .header("Call-ID", "c1")
        .header("CSeq", format!("1 {method}"));
    for (name, value) in more {
        request = request.header(name, value);
    }
    Message::parse(request.body("text/plain", "body, as it is\r\n").finish()).unwrap()
}

/// The Path value that the edge gives a device.
fn path(edge: &Edge, device: Flow) -> String {
    let register = request("REGISTER", "z9hG4bKr", &[]);
    let forward = edge.outward(&register, device, hop(), &Nobody).unwrap();
    let message = Message::parse(forward.bytes).unwrap();
    message.header(HeaderName::Path).unwrap().to_owned()
}

#[test]
fn a_request_goes_out_as_it_came_but_for_what_a_proxy_changes() {
    let device = flow(Transport::Udp, DEVICE, None);
    let more = [
        ("Route", "<sip:10.0.0.1:5060;lr>, <sip:10.0.0.9;lr>"),
        ("max-forwards", "7"),
        ("X-Odd", "kept  as it is"),
        ("Path", "<sip:before.test;lr>"),
    ];
    let forward = edge()
        .outward(&request("REGISTER", "z9hG4bKr", &more), device, hop(), &Nobody)
        .unwrap();
    let sent = Message::parse(forward.bytes.clone()).unwrap();
    assert_eq!(sent.validate(), Ok(()));
    let vias: Vec<_> = sent.headers(HeaderName::Via).collect();
    assert_eq!(
        vias[1],
        "SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKr;rport=5066;received=192.0.2.7"
    );
    assert!(vias[0].starts_with("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKte") && vias.len() == 2);
    assert_eq!(sent.headers(HeaderName::Route).collect::<Vec<_>>(), ["<sip:10.0.0.9;lr>"]);
    assert_eq!(sent.max_forwards(), Ok(Some(6)));
    let paths: Vec<_> = sent.headers(HeaderName::Path).collect();
    assert!(paths[0].ends_with("@10.0.0.1:5060;lr;ob>") && paths[1] == "<sip:before.test;lr>");
    let text = String::from_utf8(forward.bytes.to_vec()).unwrap();
    assert!(text.starts_with("REGISTER sip:7001@192.0.2.7:5066 SIP/2.0\r\nVia: "));
    assert!(text.contains("\r\nX-Odd: kept  as it is\r\n") && text.ends_with("\r\n\r\nbody, as it is\r\n"));
    assert_eq!(text.matches("ontent-Length").count(), 1);
}

#[test]
fn copies_and_what_belongs_to_a_transaction_get_one_branch_and_others_another() {
    let (edge, device) = (edge(), flow(Transport::Udp, DEVICE, None));
    let branch = |message: &Message| {
        let sent = Message::parse(edge.outward(message, device, hop(), &Nobody).unwrap().bytes).unwrap();
        sent.top_via().unwrap().branch.unwrap().to_owned()
    };
    for own in ["z9hG4bKone", "1996"] {
        let invite = branch(&request("INVITE", own, &[]));
        for method in ["INVITE", "ACK", "CANCEL"] {
            assert_eq!(branch(&request(method, own, &[])), invite, "{own} {method}");
        }
    }
    assert_ne!(
        branch(&request("INVITE", "z9hG4bKone", &[])),
        branch(&request("INVITE", "z9hG4bKtwo", &[]))
    );
}

#[test]
fn what_is_no_business_of_the_edge() {
    let (edge, device) = (edge(), flow(Transport::Udp, DEVICE, None));
    for route in [
        None,
        Some("<sip:10.0.0.1:5060;lr>"),
        Some("<sip:other.test;lr>"),
        Some("<sip:abc@10.0.0.9;lr>"),
        Some("nonsense<"),
    ] {
        let route: Vec<_> = route.map(|route| ("Route", route)).into_iter().collect();
        assert_eq!(
            edge.routed(&request("INVITE", "z9hG4bKx", &route), device, &Nobody),
            None,
            "{route:?}"
        );
    }
    let response = |vias: &[&str]| {
        let mut request = RequestBuilder::new("INVITE", "sip:a@b");
        for via in vias {
            request = request.header("Via", *via);
        }
        let request = request
            .header("From", "<sip:a@b>;tag=1")
            .header("To", "<sip:b@b>")
            .header("Call-ID", "c");
        let request = Message::parse(request.header("CSeq", "1 INVITE").finish()).unwrap();
        Message::parse(ResponseBuilder::to(&request, 200, None).finish()).unwrap()
    };
    let token = token::write(&edge.key, 1, Purpose::Response, &device, None);
    let for_routes = token::write(&edge.key, 1, Purpose::Route, &device, None);
    let below = "SIP/2.0/UDP 192.0.2.7:5066;rport=5066;branch=z9hG4bKa";
    let ours = |branch: &str, token: &str| format!("SIP/2.0/UDP 10.0.0.1:5060;branch={branch};flow={token}");
    let good = ours("z9hG4bKte1", &token);
    assert_eq!(edge.response(&response(&[&good, below])).unwrap().flow, device);
    for vias in [
        vec![],
        vec![good.as_str()],
        vec![below, good.as_str()],
        vec![&ours("z9hG4bKtd1", &token), below],
        vec![&ours("z9hG4bKte1", &for_routes), below],
        vec![&ours("z9hG4bKte1", "00"), below],
        vec!["SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKte1", below],
        vec![&good.replace("10.0.0.1", "10.0.0.3"), below],
    ] {
        assert_eq!(edge.response(&response(&vias)), None, "{vias:?}");
    }
}

#[test]
fn who_may_send_where() {
    let edge = edge();
    let device = flow(Transport::Udp, DEVICE, None);
    let connector = flow(Transport::Udp, CONNECTOR, None);
    let stranger = flow(Transport::Udp, "198.51.100.1:5060", None);
    let path = path(&edge, device);
    let routed = |route: &str, from: Flow| {
        let sent = edge.routed(&request("OPTIONS", "z9hG4bKx", &[("Route", route)]), from, &Nobody);
        sent.map(|sent| sent.map(|forward| forward.flow))
    };
    assert_eq!(routed(&path, connector), Some(Ok(device)));
    // A connector that sends from another port.
    assert_eq!(
        routed(&path, flow(Transport::Tcp, "10.0.0.2:40001", Some(9))),
        Some(Ok(device))
    );
    assert_eq!(routed(&path, stranger), Some(Err(Refusal::Foreign)));
    let forged = path.replacen("sip:00", "sip:01", 1);
    assert_ne!(forged, path);
    assert_eq!(routed(&forged, connector), Some(Err(Refusal::Forged)));
    // The device itself, also from another port: to connectors of ours, and to nobody else.
    let beyond = |uri: &str| format!("{path}, <{uri};lr>");
    for from in [device, flow(Transport::Udp, "192.0.2.7:40000", None)] {
        assert_eq!(routed(&beyond("sip:10.0.0.2:5060"), from), Some(Ok(connector)));
        for uri in [
            "sip:198.51.100.1",
            "sip:10.0.0.2:5061",
            "sip:victim.test",
            "sips:10.0.0.2:5060",
        ] {
            assert_eq!(routed(&beyond(uri), from), Some(Err(Refusal::Foreign)), "{uri}");
        }
        assert_eq!(
            routed(&path, from),
            Some(Err(Refusal::Foreign)),
            "its own URI is no connector"
        );
    }
    let elsewhere = Hop {
        addr: address("198.51.100.1:5060"),
        ..hop()
    };
    assert_eq!(
        edge.outward(&request("INVITE", "z9hG4bKx", &[]), device, elsewhere, &Nobody),
        Err(Refusal::Foreign)
    );
}

#[test]
fn refusals_have_their_status() {
    let edge = edge();
    let device = flow(Transport::Udp, DEVICE, None);
    let outward = |more: &[(&str, &str)]| {
        edge.outward(&request("INVITE", "z9hG4bKx", more), device, hop(), &Nobody)
            .map(|_| ())
    };
    assert_eq!(outward(&[("Max-Forwards", "0")]), Err(Refusal::TooManyHops));
    assert_eq!(outward(&[("Max-Forwards", "many")]), Err(Refusal::Malformed));
    assert_eq!(outward(&[("Max-Forwards", "1")]), Ok(()));
    let nowhere = Flow {
        listener: ListenerId(7),
        ..device
    };
    assert_eq!(
        edge.outward(&request("INVITE", "z9hG4bKx", &[]), nowhere, hop(), &Nobody),
        Err(Refusal::NoListener)
    );
    let all = [
        Refusal::Malformed,
        Refusal::Forged,
        Refusal::Foreign,
        Refusal::FlowFailed,
        Refusal::TooManyHops,
        Refusal::NoListener,
    ];
    assert_eq!(all.map(Refusal::status), [400, 403, 403, 430, 483, 503]);
}

#[test]
fn after_a_restart_datagrams_go_on_and_connections_are_gone() {
    let connector = flow(Transport::Udp, CONNECTOR, None);
    let (udp, tcp) = (flow(Transport::Udp, DEVICE, None), flow(Transport::Tcp, DEVICE, Some(5)));
    let (before, after) = (edge_of(1), edge_of(2));
    let routed = |route: &str| {
        let sent = after.routed(&request("INVITE", "z9hG4bKx", &[("Route", route)]), connector, &Nobody);
        sent.unwrap().map(|forward| forward.flow)
    };
    assert_eq!(routed(&path(&before, udp)), Ok(udp));
    assert_eq!(routed(&path(&before, tcp)), Err(Refusal::FlowFailed));
    assert_eq!(routed(&path(&after, tcp)), Ok(tcp));
    // A response finds the device at its Via, over a connection of its own.
    let invite = before
        .outward(&request("INVITE", "z9hG4bKx", &[]), tcp, hop(), &Nobody)
        .unwrap();
    let invite = Message::parse(invite.bytes).unwrap();
    let response = Message::parse(ResponseBuilder::to(&invite, 200, None).finish()).unwrap();
    let sent = after.response(&response).unwrap();
    assert_eq!(sent.flow, flow(Transport::Tcp, "192.0.2.7:5060", None));
    assert_eq!(before.response(&response).unwrap().flow, tcp);
    let passed = Message::parse(sent.bytes).unwrap();
    assert_eq!(passed.headers(HeaderName::Via).count(), 1);
}

#[test]
fn whatever_comes_what_goes_out_is_a_message_for_somebody_we_know() {
    use rand::Rng;
    let mut rng = StdRng::seed_from_u64(11);
    let edge = edge();
    let (device, connector) = (flow(Transport::Tcp, DEVICE, Some(5)), flow(Transport::Udp, CONNECTOR, None));
    let route = path(&edge, device);
    let more = [("Route", route.as_str()), ("Record-Route", "<sip:10.0.0.9;lr>")];
    let inward = request("INVITE", "z9hG4bKx", &more);
    let passed = Message::parse(edge.routed(&inward, connector, &Nobody).unwrap().unwrap().bytes).unwrap();
    let response = Message::parse(ResponseBuilder::to(&passed, 200, None).finish()).unwrap();
    let mut sent = 0;
    for round in 0..5_000 {
        let genuine = [&inward, &passed, &response][round % 3].bytes();
        let mut bytes = genuine.to_vec();
        for _ in 0..rng.random_range(0..4) {
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..3) {
                0 => bytes[at] = rng.random(),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b"\r\n,;<>@: \0"[rng.random_range(0..10)]),
            }
        }
        let Ok(message) = Message::parse(bytes.into()) else {
            continue;
        };
        let from = [device, connector, flow(Transport::Udp, "198.51.100.1:9", None)][rng.random_range(0..3)];
        let forwards = [
            edge.routed(&message, from, &Nobody).and_then(Result::ok),
            edge.outward(&message, from, hop(), &Nobody).ok(),
            edge.response(&message),
        ];
        for (way, forward) in forwards.into_iter().enumerate() {
            let Some(forward) = forward else { continue };
            sent += 1;
            let known = [device.peer, connector.peer].contains(&forward.flow.peer);
            assert!(known || way == 2, "{forward:?}");
            assert!(Message::parse(forward.bytes.clone()).is_ok(), "{:?}", forward.bytes);
        }
    }
    assert!(sent > 500, "{sent}");
}

#[test]
fn a_device_is_reached_by_the_route_that_is_told_of_it() {
    let edge = edge();
    let connector = flow(Transport::Udp, CONNECTOR, None);
    for device in [flow(Transport::Udp, DEVICE, None), flow(Transport::Tcp, DEVICE, Some(5))] {
        let route = edge.route(&device, &unknown_device()).unwrap();
        let sent = edge.routed(&request("INVITE", "z9hG4bKx", &[("Route", &route)]), connector, &Nobody);
        assert_eq!(sent.unwrap().unwrap().flow, device);
    }
    let nowhere = Flow {
        listener: ListenerId(7),
        ..connector
    };
    assert_eq!(edge.route(&nowhere, &unknown_device()), None);
}

#[test]
fn a_device_whose_connection_was_lost_is_reached_where_it_listens() {
    let connector = flow(Transport::Udp, CONNECTOR, None);
    let route = edge_of(1)
        .route(&flow(Transport::Tcp, DEVICE, Some(5)), &unknown_device())
        .unwrap();
    // (request URI) -> where it goes
    for (uri, expected) in [
        ("sip:7001@192.0.2.7:5080;transport=tcp", Some("192.0.2.7:5080")),
        ("sip:7001@192.0.2.7:5080", None),
        ("sip:7001@192.0.2.8:5080;transport=tcp", None),
        ("sip:7001@phone.test;transport=tcp", None),
    ] {
        let text = String::from_utf8(request("BYE", "z9hG4bKx", &[("Route", &route)]).bytes().to_vec()).unwrap();
        let request = Message::parse(text.replacen("sip:7001@192.0.2.7:5066", uri, 1).into()).unwrap();
        let sent = edge_of(2)
            .routed(&request, connector, &Nobody)
            .unwrap()
            .map(|forward| forward.flow);
        let there = expected.map(|peer| flow(Transport::Tcp, peer, None));
        assert_eq!(sent, there.ok_or(Refusal::FlowFailed), "{uri}");
    }
}

#[test]
fn a_request_is_judged_by_where_it_began() {
    let (edge, device) = (edge(), flow(Transport::Udp, DEVICE, None));
    let mut far = Edge::new([4; 32], 1, listeners(CONNECTOR));
    far.set_peers([address(EDGE)]);
    let passed = edge
        .outward(&request("INVITE", "z9hG4bKx", &[]), device, hop(), &Nobody)
        .unwrap();
    let passed = Message::parse(passed.bytes).unwrap();
    for from in [
        flow(Transport::Udp, EDGE, None),
        flow(Transport::Tcp, "10.0.0.1:40001", Some(3)),
    ] {
        assert_eq!(far.source(&passed, from), device.peer.ip());
        assert!(far.is_of_connector(&passed, from));
    }
    // Whoever is no connector is where it is, whatever it wrote.
    let stranger = flow(Transport::Udp, "198.51.100.1:5060", None);
    assert_eq!(far.source(&passed, stranger), stranger.peer.ip());
    assert!(!far.is_of_connector(&passed, stranger));
    // What a connector sends of its own is its own.
    let own = |via: &str| {
        let text = String::from_utf8(request("INVITE", "z9hG4bKtd1", &[]).bytes().to_vec()).unwrap();
        Message::parse(text.replacen("SIP/2.0/UDP 192.0.2.99", via, 1).into()).unwrap()
    };
    let at_edge = flow(Transport::Udp, EDGE, None);
    let own_request = own("SIP/2.0/UDP 10.0.0.1:5060");
    assert_eq!(far.source(&own_request, at_edge), at_edge.peer.ip());
    assert!(far.is_of_connector(&own_request, at_edge) && !far.is_of_connector(&own("SIP/2.0/UDP 192.0.2.99"), at_edge));
    assert!(far.takes_from(at_edge.peer.ip()) && !far.takes_from(device.peer.ip()));
}
