//! Datagrams in bulk, cut off, kept alive, refused.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;

use tandem_sip::flow::{Flow, ListenerId, Transport};

use crate::transport::udp::{Datagram, DatagramSink, UdpConfig, UdpTransport};

const DEADLINE: Duration = Duration::from_secs(10);

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn collector() -> (impl FnMut(&mut Vec<Datagram>) + Send + 'static, Receiver<Datagram>) {
    let (sender, receiver) = channel();
    (
        move |batch: &mut Vec<Datagram>| batch.drain(..).for_each(|d| sender.send(d).expect("the test listens")),
        receiver,
    )
}

fn bind(listener: u16, config: &UdpConfig, sink: impl DatagramSink) -> UdpTransport {
    UdpTransport::bind(ListenerId(listener), loopback(), config, sink).expect("a free port")
}

#[test]
fn ten_thousand_datagrams_arrive_whole_and_in_order() {
    let (sink, received) = collector();
    let receiving = bind(3, &UdpConfig::default(), sink);
    let sending = bind(0, &UdpConfig::default(), |_: &mut Vec<Datagram>| {});
    let message = |i: usize| Bytes::from(format!("OPTIONS sip:{i} SIP/2.0\r\n{}", "x".repeat(i % 1200)));
    let peer = receiving.local_addr();
    let expected_flow = Flow {
        transport: Transport::Udp,
        listener: ListenerId(3),
        peer: sending.local_addr(),
        connection: None,
    };
    for chunk in (0..10_000).collect::<Vec<_>>().chunks(500) {
        let batch: Vec<_> = chunk.iter().map(|i| (peer, message(*i))).collect();
        let failures = sending.sender().send_batch(&batch);
        assert!(failures.is_empty(), "{failures:?}");
        // What is in flight is bounded by the receive buffer, which this machine may keep small.
        for i in chunk {
            let datagram = received.recv_timeout(DEADLINE).expect("arrives");
            assert_eq!((datagram.flow, datagram.bytes), (expected_flow, message(*i)));
        }
    }
}

#[test]
fn the_largest_datagram_passes() {
    let (sink, received) = collector();
    let receiving = bind(0, &UdpConfig::default(), sink);
    let large = vec![b'A'; 65_507];
    receiving.sender().send(receiving.local_addr(), &large).expect("sent");
    assert_eq!(received.recv_timeout(DEADLINE).expect("arrives").bytes, large);
    let error = receiving
        .sender()
        .send(receiving.local_addr(), &[b'A'; 65_508])
        .expect_err("longer than UDP allows");
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
}

#[test]
fn what_was_cut_off_is_dropped_and_the_next_one_arrives() {
    let (sink, received) = collector();
    let receiving = bind(
        0,
        &UdpConfig {
            max_datagram: 100,
            ..UdpConfig::default()
        },
        sink,
    );
    let client = UdpSocket::bind(loopback()).expect("a free port");
    for len in [101, 5_000, 100] {
        client.send_to(&vec![b'A'; len], receiving.local_addr()).expect("sent");
    }
    assert_eq!(received.recv_timeout(DEADLINE).expect("arrives").bytes.len(), 100);
    assert!(received.try_recv().is_err());
}

#[test]
fn keep_alives_are_answered_or_swallowed_and_never_delivered() {
    let (sink, received) = collector();
    let receiving = bind(0, &UdpConfig::default(), sink);
    let client = UdpSocket::bind(loopback()).expect("a free port");
    client.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    for bytes in [
        b"\r\n".as_slice(),
        b"",
        b"\0\0\0\0",
        b"\x80\x00rtp",
        b"\r\n\r\n",
        b"BYE sip:a SIP/2.0\r\n\r\n",
    ] {
        client.send_to(bytes, receiving.local_addr()).expect("sent");
    }
    assert_eq!(
        received.recv_timeout(DEADLINE).expect("arrives").bytes,
        &b"BYE sip:a SIP/2.0\r\n\r\n"[..]
    );
    let mut buffer = [0; 16];
    let (len, _) = client.recv_from(&mut buffer).expect("the pong");
    assert_eq!(&buffer[..len], b"\r\n");
    client.set_nonblocking(true).expect("non-blocking");
    assert!(client.recv_from(&mut buffer).is_err(), "one pong only");
}

#[test]
fn a_sink_that_panics_costs_its_batch_and_not_the_listener() {
    let (sender, received) = channel();
    let one_by_one = UdpConfig {
        batch: 1,
        ..UdpConfig::default()
    };
    let receiving = bind(0, &one_by_one, move |batch: &mut Vec<Datagram>| {
        for datagram in batch.drain(..) {
            assert!(&datagram.bytes[..] != b"panic", "injected");
            sender.send(datagram.bytes).expect("the test listens");
        }
    });
    for text in ["panic", "alive"] {
        receiving
            .sender()
            .send(receiving.local_addr(), text.as_bytes())
            .expect("sent");
    }
    assert_eq!(received.recv_timeout(DEADLINE).expect("arrives"), "alive");
}

struct Watcher(Sender<Flow>);

impl DatagramSink for Watcher {
    fn datagrams(&mut self, _batch: &mut Vec<Datagram>) {}

    fn unreachable(&mut self, flow: Flow) {
        self.0.send(flow).expect("the test listens");
    }
}

#[test]
fn a_peer_that_is_not_there_is_reported_and_harms_no_other_send() {
    let (sender, gone) = channel();
    let transport = bind(0, &UdpConfig::default(), Watcher(sender));
    // Connected to another, it takes nothing from us, and nobody else gets the port.
    let elsewhere = UdpSocket::bind(loopback()).expect("a free port");
    elsewhere.connect(("127.0.0.1", 9)).expect("no packet is sent");
    let nobody = elsewhere.local_addr().expect("an address");
    let there = UdpSocket::bind(loopback()).expect("a free port");
    there.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let there_addr = there.local_addr().expect("an address");
    for _ in 0..50 {
        let failures = transport
            .sender()
            .send_batch(&[(nobody, b"x"), (there_addr, b"y"), (nobody, b"x"), (there_addr, b"y")]);
        assert!(failures.iter().all(|f| f.peer == nobody), "{failures:?}");
        for _ in 0..2 {
            there.recv_from(&mut [0; 4]).expect("arrives");
        }
    }
    assert_eq!(gone.recv_timeout(DEADLINE).expect("reported").peer, nobody);
}

#[test]
fn a_send_that_cannot_be_made_says_which() {
    let transport = bind(0, &UdpConfig::default(), |_: &mut Vec<Datagram>| {});
    let (sink, received) = collector();
    let there = bind(1, &UdpConfig::default(), sink);
    let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 5060));
    let failures = transport
        .sender()
        .send_batch(&[(there.local_addr(), "a"), (v6, "b"), (there.local_addr(), "c")]);
    assert_eq!(failures.iter().map(|f| (f.index, f.peer)).collect::<Vec<_>>(), [(1, v6)]);
    for text in ["a", "c"] {
        assert_eq!(received.recv_timeout(DEADLINE).expect("arrives").bytes, text);
    }
    assert!(transport.sender().send_batch::<&str>(&[]).is_empty());
}

#[test]
fn ipv6_works_alike() {
    let (sink, received) = collector();
    let addr = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0));
    let Ok(transport) = UdpTransport::bind(ListenerId(0), addr, &UdpConfig::default(), sink) else {
        // A machine without IPv6.
        return;
    };
    transport.sender().send(transport.local_addr(), b"over six").expect("sent");
    let datagram = received.recv_timeout(DEADLINE).expect("arrives");
    assert_eq!(
        (datagram.flow.peer, &datagram.bytes[..]),
        (transport.local_addr(), &b"over six"[..])
    );
}

#[test]
fn stopping_frees_the_port() {
    let transport = bind(0, &UdpConfig::default(), |_: &mut Vec<Datagram>| {});
    let addr = transport.local_addr();
    transport.stop();
    UdpSocket::bind(addr).expect("the port is free");
}
