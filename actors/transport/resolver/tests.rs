//! The resolver against a name server of our own on the loopback interface.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use tandem_sip::flow::{Hop, Transport};

use super::{ResolveError, Resolver, ResolverConfig};

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn a(ip: [u8; 4]) -> RData {
    RData::A(A(ip.into()))
}

fn aaaa(ip: &str) -> RData {
    RData::AAAA(AAAA(ip.parse().expect("an address")))
}

fn srv(priority: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, 10, port, name(target)))
}

fn naptr(order: u16, service: &str, replacement: &str) -> RData {
    let bytes = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
    RData::NAPTR(NAPTR::new(
        order,
        10,
        bytes("s"),
        bytes(service),
        bytes(""),
        name(replacement),
    ))
}

/// The zone of these tests.
fn zone() -> HashMap<(Name, RecordType), Vec<RData>> {
    let records = [
        (
            "full.test.",
            RecordType::NAPTR,
            vec![
                naptr(20, "SIP+D2U", "_sip._udp.full.test."),
                naptr(10, "SIP+D2T", "_sip._tcp.full.test."),
                naptr(5, "SIPS+D2T", "_sips._tcp.full.test."),
            ],
        ),
        (
            "_sip._tcp.full.test.",
            RecordType::SRV,
            vec![
                srv(2, 5062, "b.full.test."),
                srv(1, 5061, "a.full.test."),
                srv(3, 1, "gone.full.test."),
            ],
        ),
        ("_sip._udp.full.test.", RecordType::SRV, vec![srv(1, 5063, "a.full.test.")]),
        ("a.full.test.", RecordType::A, vec![a([192, 0, 2, 1])]),
        ("a.full.test.", RecordType::AAAA, vec![aaaa("2001:db8::1")]),
        ("b.full.test.", RecordType::A, vec![a([192, 0, 2, 2]), a([192, 0, 2, 3])]),
        (
            "_sip._udp.srv-only.test.",
            RecordType::SRV,
            vec![srv(1, 5070, "b.full.test.")],
        ),
        ("plain.test.", RecordType::A, vec![a([192, 0, 2, 9])]),
        ("six.test.", RecordType::AAAA, vec![aaaa("2001:db8::6")]),
        ("_sip._udp.none.test.", RecordType::SRV, vec![srv(0, 0, ".")]),
        ("none.test.", RecordType::A, vec![a([192, 0, 2, 99])]),
    ];
    records
        .into_iter()
        .map(|(owner, kind, data)| ((name(owner), kind), data))
        .collect()
}

/// What the server was asked, in order.
type Asked = Arc<Mutex<Vec<(String, RecordType)>>>;

struct NameServer {
    addr: SocketAddr,
    asked: Asked,
    serving: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl NameServer {
    async fn start() -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.expect("a free port");
        let (addr, asked) = (socket.local_addr().expect("an address"), Asked::default());
        let serving = tokio::spawn(serve(socket, zone(), Arc::clone(&asked)));
        Self { addr, asked, serving }
    }

    fn resolver(&self, config: ResolverConfig) -> Resolver {
        Resolver::new(ResolverConfig {
            name_servers: vec![self.addr],
            ..config
        })
    }

    fn asked(&self) -> Vec<(String, RecordType)> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

async fn serve(socket: UdpSocket, zone: HashMap<(Name, RecordType), Vec<RData>>, asked: Asked) {
    let mut buffer = [0; 4096];
    while let Ok((len, peer)) = socket.recv_from(&mut buffer).await {
        let request = Message::from_vec(&buffer[..len]).expect("a question");
        let query = request.queries().first().expect("a question").clone();
        asked
            .lock()
            .expect("not poisoned")
            .push((query.name().to_ascii().to_lowercase(), query.query_type()));
        let owner = name(&query.name().to_ascii().to_lowercase());
        let mut response = Message::new();
        response
            .set_id(request.id())
            .set_message_type(MessageType::Response)
            .set_recursion_available(true)
            .add_query(query.clone());
        match zone.get(&(owner.clone(), query.query_type())) {
            Some(data) => {
                response.add_answers(
                    data.iter()
                        .map(|data| Record::from_rdata(query.name().clone(), 60, data.clone())),
                );
            }
            None if owner.to_ascii() == "broken.test." => {
                response.set_response_code(ResponseCode::ServFail);
            }
            None if zone.keys().all(|(known, _)| *known != owner) => {
                response.set_response_code(ResponseCode::NXDomain);
            }
            None => {}
        }
        socket
            .send_to(&response.to_vec().expect("encodes"), peer)
            .await
            .expect("sent");
    }
}

fn hops(list: &[(Transport, &str)]) -> Vec<Hop> {
    list.iter()
        .map(|(transport, addr)| Hop {
            transport: *transport,
            addr: addr.parse().expect("an address"),
        })
        .collect()
}

#[tokio::test]
async fn names_lead_to_hops_in_the_order_of_the_records() {
    use Transport::{Tcp, Udp};
    let server = NameServer::start().await;
    let resolver = server.resolver(ResolverConfig::default());
    let full_tcp = [
        (Tcp, "192.0.2.1:5061"),
        (Tcp, "[2001:db8::1]:5061"),
        (Tcp, "192.0.2.2:5062"),
        (Tcp, "192.0.2.3:5062"),
    ];
    let full_udp = [(Udp, "192.0.2.1:5063"), (Udp, "[2001:db8::1]:5063")];
    let cases: &[(&str, Vec<Hop>)] = &[
        ("sip:bob@full.test", hops(&[full_tcp.as_slice(), &full_udp].concat())),
        ("sip:bob@FULL.test.;transport=TCP", hops(&full_tcp)),
        ("sip:full.test;transport=udp", hops(&full_udp)),
        ("sip:srv-only.test", hops(&[(Udp, "192.0.2.2:5070"), (Udp, "192.0.2.3:5070")])),
        ("sip:plain.test", hops(&[(Udp, "192.0.2.9:5060")])),
        ("sip:plain.test;transport=tcp", hops(&[(Tcp, "192.0.2.9:5060")])),
        ("sip:plain.test:5099", hops(&[(Udp, "192.0.2.9:5099")])),
        ("sip:full.test:5099;transport=tcp", vec![]),
        ("sip:six.test", hops(&[(Udp, "[2001:db8::6]:5060")])),
        ("sip:elsewhere.test;maddr=plain.test", hops(&[(Udp, "192.0.2.9:5060")])),
        ("sip:nowhere.test", vec![]),
    ];
    for (uri, expected) in cases {
        let resolved = resolver.resolve(uri).await;
        let expected = if expected.is_empty() {
            Err(ResolveError::NoAddress)
        } else {
            Ok(expected.clone())
        };
        assert_eq!(resolved, expected, "{uri}");
    }
    assert_eq!(
        resolver.resolve("sip:none.test;transport=udp").await,
        Err(ResolveError::NotOffered),
        "not even its address is tried"
    );
}

#[tokio::test]
async fn addresses_and_local_names_are_not_asked_about() {
    use Transport::{Tcp, Udp};
    let server = NameServer::start().await;
    let resolver = server.resolver(ResolverConfig {
        ipv6: false,
        ..ResolverConfig::default()
    });
    let cases = [
        ("sip:127.0.0.1:5090", hops(&[(Udp, "127.0.0.1:5090")])),
        ("sip:2001@192.0.2.1;transport=tcp", hops(&[(Tcp, "192.0.2.1:5060")])),
        ("sip:localhost:5090", hops(&[(Udp, "127.0.0.1:5090")])),
        ("sip:bob@localhost;transport=tcp", hops(&[(Tcp, "127.0.0.1:5060")])),
    ];
    for (uri, expected) in cases {
        assert_eq!(resolver.resolve(uri).await, Ok(expected), "{uri}");
    }
    assert_eq!(server.asked(), []);
    assert_eq!(
        resolver.resolve("sip:[2001:db8::1]:5090").await,
        Err(ResolveError::NoAddress),
        "we have no IPv6"
    );
}

#[tokio::test]
async fn only_what_we_have_is_asked_for() {
    let server = NameServer::start().await;
    let config = ResolverConfig {
        transports: vec![Transport::Udp],
        ipv6: false,
        ..ResolverConfig::default()
    };
    let resolver = server.resolver(config);
    assert_eq!(
        resolver.resolve("sip:full.test").await,
        Ok(hops(&[(Transport::Udp, "192.0.2.1:5063")]))
    );
    assert!(
        server
            .asked()
            .iter()
            .all(|(name, kind)| !name.contains("_tcp") && *kind != RecordType::AAAA),
        "{:?}",
        server.asked()
    );
    for uri in [
        "sip:full.test;transport=tcp",
        "sip:full.test;transport=ws",
        "sips:full.test",
        "tel:+4930123",
    ] {
        assert_eq!(resolver.resolve(uri).await, Err(ResolveError::Unsupported), "{uri}");
    }
    for uri in ["", "full.test", "sip:", "sip:bob@"] {
        assert_eq!(resolver.resolve(uri).await, Err(ResolveError::Uri), "{uri}");
    }
}

#[tokio::test]
async fn answers_are_kept_for_their_time_to_live() {
    let server = NameServer::start().await;
    let resolver = server.resolver(ResolverConfig {
        ipv6: false,
        ..ResolverConfig::default()
    });
    resolver.resolve("sip:full.test;transport=udp").await.expect("resolves");
    let asked = server.asked().len();
    resolver.resolve("sip:full.test;transport=udp").await.expect("resolves");
    assert_eq!(server.asked().len(), asked);
}

#[tokio::test]
async fn a_server_that_fails_or_is_silent_is_an_error_in_time() {
    let server = NameServer::start().await;
    let resolver = server.resolver(ResolverConfig::default());
    assert_eq!(resolver.resolve("sip:broken.test:5060").await, Err(ResolveError::Timeout));
    // A socket that nobody reads.
    let silent = UdpSocket::bind(("127.0.0.1", 0)).await.expect("a free port");
    let config = ResolverConfig {
        timeout: Duration::from_millis(200),
        name_servers: vec![silent.local_addr().expect("an address")],
        ..ResolverConfig::default()
    };
    assert_eq!(
        Resolver::new(config).resolve("sip:full.test").await,
        Err(ResolveError::Timeout)
    );
}
