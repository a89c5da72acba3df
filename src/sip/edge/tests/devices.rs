//! Devices that have lost their connection and opened another one: what has a token of the former is to reach them over the latter.

use std::time::Instant;

use super::*;

const USER: &str = "sip:7001@tandem.test";
const OLD: &str = "sip:7001@192.0.2.7:40001;transport=tcp";
const NEW: &str = "sip:7001@192.0.2.7:40002;transport=tcp";

/// Who is registered, and that the connections up to this one are closed.
struct Here {
    bindings: Vec<Binding>,
    closed: u64,
}

impl Presence for Here {
    fn bindings(&self, uri: &str) -> (Arc<str>, Arc<[Binding]>) {
        let own = if uri == USER { self.bindings.clone() } else { Vec::new() };
        (uri.into(), own.into())
    }

    fn is_closed(&self, flow: &Flow) -> bool {
        flow.connection.is_some_and(|connection| connection.0 <= self.closed)
    }
}

fn stream(connection: Option<u64>) -> Flow {
    flow(Transport::Tcp, DEVICE, connection)
}

fn binding(uri: &str, instance: Option<(&str, u32)>, connection: Option<u64>) -> Binding {
    Binding {
        uri: uri.into(),
        flow: stream(connection),
        path: Vec::new(),
        q: 1000,
        expires_at: Instant::now(),
        instance: instance.map(|(instance, _)| instance.into()),
        reg_id: instance.map(|(_, id)| id),
        nat: true,
    }
}

fn to_user(route: &str) -> Message {
    let text = String::from_utf8(request("BYE", "z9hG4bKx", &[("Route", route)]).bytes().to_vec()).unwrap();
    let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    for line in &mut lines {
        if line.starts_with("To:") {
            *line = format!("To: <{USER}>;tag=x");
        }
        *line = line.replace("sip:7001@192.0.2.7:5066", "sip:7001@10.1.1.1:5066;transport=tcp");
    }
    Message::parse(lines.join("\r\n").into()).unwrap()
}

#[test]
fn a_token_of_a_connection_that_is_gone_leads_to_the_device_where_it_is_now() {
    let connector = flow(Transport::Udp, CONNECTOR, None);
    let (one, other_flow, two) = (Some(("<urn:1>", 1)), Some(("<urn:1>", 2)), Some(("<urn:2>", 1)));
    let desk = binding("sip:desk@192.0.2.8:40009;transport=tcp", two, Some(8));
    let stale = binding(OLD, None, None);
    // (the device of before, those that are registered) -> the connection
    for (old, bindings, expected) in [
        (
            binding(OLD, one, Some(5)),
            vec![desk.clone(), binding(NEW, one, Some(9))],
            Some(9),
        ),
        (binding(OLD, one, Some(5)), vec![binding(NEW, other_flow, Some(9))], Some(9)),
        (binding(OLD, one, Some(5)), vec![binding(NEW, one, None)], None),
        (binding(OLD, one, Some(5)), vec![desk.clone()], None),
        (
            binding(OLD, None, Some(5)),
            vec![desk.clone(), binding(OLD, None, Some(9))],
            Some(9),
        ),
        (binding(OLD, None, Some(5)), vec![binding(NEW, None, Some(9))], Some(9)),
        (
            binding(OLD, None, Some(5)),
            vec![binding(NEW, None, Some(9)), stale.clone()],
            Some(9),
        ),
        (
            binding(OLD, None, Some(5)),
            vec![binding(NEW, None, Some(9)), desk.clone()],
            None,
        ),
        (binding(OLD, None, Some(5)), vec![], None),
    ] {
        for (epoch, closed) in [(2, 0), (1, 5)] {
            let route = edge_of(1).route(&old.flow, &Device::of(USER, &old)).unwrap();
            let here = Here {
                bindings: bindings.clone(),
                closed,
            };
            let sent = edge_of(epoch).routed(&to_user(&route), connector, &here).unwrap();
            let way = sent.as_ref().ok().and_then(|forward| forward.flow.connection).map(|id| id.0);
            // In the process that had the connection the one who sends finds out.
            let nowhere = if epoch == 1 { Some(5) } else { None };
            assert_eq!(way, expected.or(nowhere), "{old:?} {bindings:?} in process {epoch}");
            if expected.is_none() && epoch == 2 {
                assert_eq!(sent, Err(Refusal::FlowFailed));
            }
        }
    }
}

#[test]
fn a_connection_that_is_there_is_used_whoever_else_has_registered() {
    let connector = flow(Transport::Udp, CONNECTOR, None);
    let old = binding(OLD, None, Some(5));
    let route = edge().route(&old.flow, &Device::of(USER, &old)).unwrap();
    let here = Here {
        bindings: vec![binding(NEW, None, Some(9))],
        closed: 0,
    };
    let sent = edge().routed(&to_user(&route), connector, &here).unwrap().unwrap();
    assert_eq!(sent.flow, stream(Some(5)));
}

#[test]
fn a_call_of_a_device_is_found_again_by_what_its_invite_left_in_the_route() {
    let connector = flow(Transport::Udp, CONNECTOR, None);
    let device = Some(("<urn:1>", 1));
    let text = String::from_utf8(request("INVITE", "z9hG4bKx", &[]).bytes().to_vec()).unwrap();
    let invite: Vec<String> = text
        .split("\r\n")
        .map(|line| match line.starts_with("From:") {
            true => format!("From: <{USER}>;tag=f"),
            false => line.to_owned(),
        })
        .collect();
    let invite = Message::parse(invite.join("\r\n").into()).unwrap();
    let before = Here {
        bindings: vec![binding(OLD, device, Some(5))],
        closed: 0,
    };
    let forward = edge_of(1).outward(&invite, stream(Some(5)), hop(), &before).unwrap();
    let passed = Message::parse(forward.bytes).unwrap();
    let route = passed.header(HeaderName::RecordRoute).unwrap();
    let after = Here {
        bindings: vec![binding(NEW, device, Some(2))],
        closed: 0,
    };
    let sent = edge_of(2).routed(&to_user(route), connector, &after).unwrap().unwrap();
    assert_eq!(sent.flow, stream(Some(2)));
}

#[test]
fn a_device_uses_its_route_from_another_address_only_where_it_is_registered_from_there() {
    let old = binding(OLD, Some(("<urn:1>", 1)), Some(5));
    let route = edge_of(1).route(&old.flow, &Device::of(USER, &old)).unwrap();
    let mut moved = binding(NEW, Some(("<urn:1>", 1)), Some(9));
    moved.flow.peer = address("198.51.100.7:40002");
    let text = String::from_utf8(request("BYE", "z9hG4bKx", &[("Route", &route)]).bytes().to_vec()).unwrap();
    let lines: Vec<String> = text
        .split("\r\n")
        .map(|line| match line.starts_with("From:") {
            true => format!("From: <{USER}>;tag=f"),
            false => line.replace("BYE sip:7001@192.0.2.7:5066", &format!("BYE sip:tandem@{CONNECTOR}")),
        })
        .collect();
    let bye = Message::parse(lines.join("\r\n").into()).unwrap();
    let here = Here {
        bindings: vec![moved.clone()],
        closed: 0,
    };
    let sent = edge_of(2)
        .routed(&bye, moved.flow, &here)
        .unwrap()
        .map(|forward| forward.flow.peer);
    assert_eq!(sent, Ok(address(CONNECTOR)));
    let stranger = flow(Transport::Tcp, "198.51.100.8:40002", Some(10));
    assert_eq!(edge_of(2).routed(&bye, stranger, &here), Some(Err(Refusal::Foreign)));
}

#[test]
fn a_device_at_the_address_of_a_connector_is_known_by_its_connection() {
    // All on one host.
    let old = binding(OLD, None, Some(5));
    let mut edge = edge_of(1);
    edge.set_peers([address(CONNECTOR), address(DEVICE)]);
    let route = edge.route(&old.flow, &Device::of(USER, &old)).unwrap();
    let text = String::from_utf8(request("INFO", "z9hG4bKx", &[("Route", &route)]).bytes().to_vec()).unwrap();
    let text = text.replace("<sip:a@x.test>", &format!("<{USER}>"));
    let info = Message::parse(
        text.replace("INFO sip:7001@192.0.2.7:5066", &format!("INFO sip:tandem@{CONNECTOR}"))
            .into(),
    );
    let here = Here {
        bindings: vec![binding(OLD, None, Some(9))],
        closed: 5,
    };
    let sent = edge
        .routed(&info.unwrap(), stream(Some(9)), &here)
        .unwrap()
        .map(|forward| forward.flow.peer);
    assert_eq!(sent, Ok(address(CONNECTOR)));
}
