//! Streams cut and merged, silent, half-open, too many, too slow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use tandem_sip::flow::{ConnectionId, Flow, ListenerId, Transport};
use tandem_sip::message::Message;

use crate::transport::tcp::{CloseReason, SendError, StreamEvent, TcpConfig, TcpTransport};

const DEADLINE: Duration = Duration::from_secs(10);

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn bind(config: TcpConfig) -> (TcpTransport, UnboundedReceiver<StreamEvent>) {
    let (sender, receiver) = unbounded_channel();
    // The test may be over before the last connection is.
    let sink = Arc::new(move |event| drop(sender.send(event)));
    (
        TcpTransport::bind(ListenerId(2), loopback(), config, sink).expect("a free port"),
        receiver,
    )
}

fn request(call: &str, body: &str) -> String {
    format!(
        "INFO sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{call}\r\nFrom: <sip:a@example.test>;tag=1\r\n\
         To: <sip:bob@example.test>\r\nCall-ID: {call}\r\nCSeq: 1 INFO\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn next(events: &mut UnboundedReceiver<StreamEvent>) -> StreamEvent {
    timeout(DEADLINE, events.recv())
        .await
        .expect("in time")
        .expect("the transport lives")
}

async fn message(events: &mut UnboundedReceiver<StreamEvent>) -> (Flow, Message) {
    match next(events).await {
        StreamEvent::Message { flow, message } => (flow, message),
        other => panic!("not a message: {other:?}"),
    }
}

async fn closed(events: &mut UnboundedReceiver<StreamEvent>) -> (Flow, CloseReason) {
    match next(events).await {
        StreamEvent::Closed { flow, reason } => (flow, reason),
        other => panic!("not closed: {other:?}"),
    }
}

async fn connect(transport: &TcpTransport) -> TcpStream {
    let stream = TcpStream::connect(transport.local_addr()).await.expect("accepted");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// Reads until the peer closes.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset after the text is an end as well.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut text)).await.expect("in time");
    String::from_utf8_lossy(&text).into_owned()
}

fn to(peer: SocketAddr, connection: Option<ConnectionId>) -> Flow {
    Flow {
        transport: Transport::Tcp,
        listener: ListenerId(2),
        peer,
        connection,
    }
}

#[tokio::test]
async fn split_and_merged_frames_are_the_same_messages() {
    let (transport, mut events) = bind(TcpConfig::default());
    let bodies = ["", "hello", "two\r\n\r\nparts"];
    let text: String = bodies
        .iter()
        .enumerate()
        .map(|(i, body)| request(&format!("call{i}"), body) + "\r\n")
        .collect();
    for step in [1, 7, 100, text.len()] {
        let mut stream = connect(&transport).await;
        for part in text.as_bytes().chunks(step) {
            stream.write_all(part).await.expect("written");
        }
        let mut flows = Vec::new();
        for (i, body) in bodies.iter().enumerate() {
            let (flow, message) = message(&mut events).await;
            assert_eq!(
                (message.call_id(), &message.body()[..]),
                (Some(&*format!("call{i}")), body.as_bytes()),
                "step {step}"
            );
            flows.push(flow);
        }
        assert_eq!(flows[0], to(stream.local_addr().expect("an address"), flows[0].connection));
        assert!(flows[0].connection.is_some() && flows.iter().all(|f| *f == flows[0]));
        drop(stream);
        assert_eq!(closed(&mut events).await, (flows[0], CloseReason::Peer));
    }
}

#[tokio::test]
async fn a_keep_alive_is_answered() {
    let (transport, mut events) = bind(TcpConfig::default());
    let mut stream = connect(&transport).await;
    stream.write_all(b"\r\n\r\n").await.expect("written");
    let mut pong = [0; 2];
    timeout(DEADLINE, stream.read_exact(&mut pong))
        .await
        .expect("in time")
        .expect("the pong");
    assert_eq!(&pong, b"\r\n");
    stream.write_all(request("after", "").as_bytes()).await.expect("written");
    assert_eq!(message(&mut events).await.1.call_id(), Some("after"));
}

#[tokio::test]
async fn what_is_no_sip_is_answered_where_possible_and_closed() {
    let long = request("long", "").replace("Content-Length: 0", "Content-Length: 99999999");
    let cases = [
        (request("none", "").replace("Content-Length: 0\r\n", ""), "SIP/2.0 400 "),
        (
            request("bad", "").replace("Content-Length: 0", "Content-Length: -5"),
            "SIP/2.0 400 ",
        ),
        (long, "SIP/2.0 413 "),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), ""),
        ("x".repeat(100_000), ""),
    ];
    let (transport, mut events) = bind(TcpConfig::default());
    for (text, expected) in cases {
        let mut stream = connect(&transport).await;
        stream.write_all(text.as_bytes()).await.expect("written");
        let answer = read_all(&mut stream).await;
        let shown = text.get(..60).unwrap_or(&text);
        assert!(
            answer.starts_with(expected) && answer.is_empty() == expected.is_empty(),
            "{shown}: {answer}"
        );
        if !answer.is_empty() {
            assert!(
                answer.contains("Call-ID: ") && answer.contains(";tag=stream") && answer.ends_with("\r\n\r\n"),
                "{answer}"
            );
        }
        drop(stream);
        assert_eq!(closed(&mut events).await.1, CloseReason::Malformed, "{shown}");
    }
    let mut stream = connect(&transport).await;
    stream.write_all(request("alive", "").as_bytes()).await.expect("written");
    assert_eq!(message(&mut events).await.1.call_id(), Some("alive"));
}

#[tokio::test]
async fn messages_before_the_bad_one_are_delivered() {
    let (transport, mut events) = bind(TcpConfig::default());
    let mut stream = connect(&transport).await;
    stream
        .write_all((request("good", "") + "garbage\r\n\r\n" + &request("never", "")).as_bytes())
        .await
        .expect("written");
    assert_eq!(message(&mut events).await.1.call_id(), Some("good"));
    assert_eq!(closed(&mut events).await.1, CloseReason::Malformed);
}

/// Time stands still but for the deadlines that everything waits for.
#[tokio::test(start_paused = true)]
async fn silence_ends_a_connection_at_its_deadline() {
    let config = TcpConfig {
        first_message_timeout: Duration::from_secs(30),
        message_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(600),
        ..TcpConfig::default()
    };
    let whole = request("whole", "");
    let half = request("half", "body").replace("body", "bo");
    let cases = [
        ("", CloseReason::NoMessage, 30),
        (&half, CloseReason::HalfMessage, 10),
        (&whole, CloseReason::Idle, 600),
    ];
    for (text, reason, after_secs) in cases {
        let (transport, mut events) = bind(config.clone());
        let start = tokio::time::Instant::now();
        let mut stream = connect(&transport).await;
        stream.write_all(text.as_bytes()).await.expect("written");
        let mut event = events.recv().await.expect("the transport lives");
        if let StreamEvent::Message { .. } = event {
            event = events.recv().await.expect("the transport lives");
        }
        assert!(
            matches!(event, StreamEvent::Closed { reason: r, .. } if r == reason),
            "{event:?}"
        );
        assert_eq!(start.elapsed().as_secs(), after_secs);
        assert_eq!(transport.sender().connections(), 0);
    }
}

#[tokio::test]
async fn many_unfinished_messages_are_bounded_together() {
    let (transport, mut events) = bind(TcpConfig {
        max_unfinished_bytes: 2_000,
        ..TcpConfig::default()
    });
    let long = request("long", &"x".repeat(5_000));
    let (head, rest) = long.split_at(1_500);
    let mut first = connect(&transport).await;
    first.write_all(head.as_bytes()).await.expect("written");
    let mut second = connect(&transport).await;
    second.write_all(head.as_bytes()).await.expect("written");
    let (flow, reason) = closed(&mut events).await;
    assert_eq!(reason, CloseReason::HalfMessage);
    let first_addr = first.local_addr().expect("an address");
    let (mut kept, lost) = if flow.peer == first_addr {
        (second, first)
    } else {
        (first, second)
    };
    assert_eq!(lost.local_addr().expect("an address"), flow.peer);
    // What the lost one held is free again, and what is finished is not counted.
    kept.write_all(&rest.as_bytes()[..400]).await.expect("written");
    drop(kept);
    assert_eq!(closed(&mut events).await.1, CloseReason::Peer);
    let mut again = connect(&transport).await;
    for i in 0..5 {
        again
            .write_all(request(&format!("whole{i}"), &"x".repeat(1_000)).as_bytes())
            .await
            .expect("written");
        assert_eq!(message(&mut events).await.1.body().len(), 1_000);
    }
}

#[tokio::test]
async fn connections_are_capped_and_the_excess_is_closed_at_once() {
    let (transport, mut events) = bind(TcpConfig {
        max_per_source: 2,
        ..TcpConfig::default()
    });
    let mut kept = Vec::new();
    for i in 0..2 {
        let mut stream = connect(&transport).await;
        stream
            .write_all(request(&format!("c{i}"), "").as_bytes())
            .await
            .expect("written");
        message(&mut events).await;
        kept.push(stream);
    }
    let mut excess = connect(&transport).await;
    assert_eq!(read_all(&mut excess).await, "");
    assert_eq!(
        transport
            .sender()
            .send(&to(SocketAddr::from(([127, 0, 0, 1], 9)), None), Bytes::new()),
        Err(SendError::TooManyConnections)
    );
    drop(kept.pop());
    assert_eq!(closed(&mut events).await.1, CloseReason::Peer);
    let mut again = connect(&transport).await;
    again.write_all(request("again", "").as_bytes()).await.expect("written");
    assert_eq!(message(&mut events).await.1.call_id(), Some("again"));
}

#[tokio::test]
async fn a_response_goes_back_on_the_connection_of_its_request() {
    let (transport, mut events) = bind(TcpConfig::default());
    let mut stream = connect(&transport).await;
    stream.write_all(request("a", "").as_bytes()).await.expect("written");
    let (flow, _) = message(&mut events).await;
    assert_eq!(
        transport.sender().send(&flow, Bytes::from_static(b"one")),
        Ok(flow.connection.expect("named"))
    );
    let unnamed = Flow {
        connection: None,
        ..flow
    };
    assert_eq!(
        transport.sender().send(&unnamed, Bytes::from_static(b"two")).ok(),
        flow.connection,
        "reused by address"
    );
    transport.sender().close(flow.connection.expect("named"));
    assert_eq!(
        read_all(&mut stream).await,
        "onetwo",
        "what was queued is written before the end"
    );
    assert_eq!(closed(&mut events).await, (flow, CloseReason::Local));
    assert_eq!(
        transport.sender().send(&flow, Bytes::from_static(b"three")),
        Err(SendError::Closed)
    );
}

#[tokio::test]
async fn connections_are_opened_on_demand_and_reused() {
    let (transport, mut events) = bind(TcpConfig::default());
    let peer = TcpListener::bind(loopback()).await.expect("a free port");
    let flow = to(peer.local_addr().expect("an address"), None);
    let first = transport.sender().send(&flow, Bytes::from_static(b"one ")).expect("queued");
    let second = transport.sender().send(&flow, Bytes::from_static(b"two ")).expect("queued");
    assert_eq!(first, second, "also while it is being opened");
    let (mut stream, from) = timeout(DEADLINE, peer.accept())
        .await
        .expect("in time")
        .expect("a connection");
    assert_eq!(from.ip(), transport.local_addr().ip());
    let mut text = [0; 8];
    timeout(DEADLINE, stream.read_exact(&mut text))
        .await
        .expect("in time")
        .expect("both");
    assert_eq!(&text, b"one two ");
    stream.write_all(request("back", "").as_bytes()).await.expect("written");
    let (back, _) = message(&mut events).await;
    assert_eq!(
        back,
        Flow {
            connection: Some(first),
            ..flow
        }
    );
    drop(stream);
    assert_eq!(closed(&mut events).await, (back, CloseReason::Peer));
    let third = transport.sender().send(&flow, Bytes::from_static(b"three")).expect("queued");
    assert!(third > first, "numbers are never used again");
    let (mut stream, _) = timeout(DEADLINE, peer.accept())
        .await
        .expect("in time")
        .expect("a connection");
    drop(transport);
    let _ = timeout(DEADLINE, stream.read(&mut [0; 8])).await.expect("in time");
    assert_eq!(closed(&mut events).await.1, CloseReason::Local, "with its listener");
}

#[tokio::test]
async fn a_connection_that_cannot_be_opened_is_reported() {
    let (transport, mut events) = bind(TcpConfig::default());
    // Bound and not listening: refused, and nobody else gets the port.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(loopback()).expect("a free port");
    let nobody = socket.local_addr().expect("an address");
    let id = transport
        .sender()
        .send(&to(nobody, None), Bytes::from_static(b"x"))
        .expect("queued");
    assert_eq!(closed(&mut events).await, (to(nobody, Some(id)), CloseReason::ConnectFailed));
    assert_eq!(transport.sender().connections(), 0);
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_connection_and_not_our_memory() {
    let (transport, mut events) = bind(TcpConfig {
        max_queued_bytes: 64 << 10,
        ..TcpConfig::default()
    });
    let mut slow = connect(&transport).await;
    slow.write_all(request("slow", "").as_bytes()).await.expect("written");
    let (slow_flow, _) = message(&mut events).await;
    let mut other = connect(&transport).await;
    other.write_all(request("other", "").as_bytes()).await.expect("written");
    let (other_flow, _) = message(&mut events).await;

    let block = Bytes::from(vec![b'x'; 16 << 10]);
    let mut sent = 0_usize;
    let refused = loop {
        match transport.sender().send(&slow_flow, block.clone()) {
            Ok(_) => sent += block.len(),
            Err(error) => break error,
        }
        assert!(sent < 256 << 20, "the queue has no bound");
        tokio::task::yield_now().await;
    };
    assert_eq!(refused, SendError::SlowPeer);
    assert_eq!(closed(&mut events).await, (slow_flow, CloseReason::SlowPeer));
    assert_eq!(transport.sender().send(&slow_flow, block), Err(SendError::Closed));

    transport
        .sender()
        .send(&other_flow, Bytes::from_static(b"fine"))
        .expect("queued");
    let mut text = [0; 4];
    timeout(DEADLINE, other.read_exact(&mut text))
        .await
        .expect("in time")
        .expect("the neighbour is unharmed");
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_closed_though_its_queue_is_not_full() {
    let config = TcpConfig {
        write_timeout: Duration::from_millis(50),
        max_queued_bytes: 1 << 30,
        ..TcpConfig::default()
    };
    let (transport, mut events) = bind(config);
    let mut slow = connect(&transport).await;
    slow.write_all(request("slow", "").as_bytes()).await.expect("written");
    let (flow, _) = message(&mut events).await;
    // More than both kernel buffers hold.
    transport
        .sender()
        .send(&flow, Bytes::from(vec![b'x'; 64 << 20]))
        .expect("queued");
    let (ended, reason) = closed(&mut events).await;
    // The kernel's own limit (TCP_USER_TIMEOUT) may be the first to notice.
    assert!(
        ended == flow && matches!(reason, CloseReason::SlowPeer | CloseReason::Reset),
        "{reason:?}"
    );
}

#[tokio::test]
async fn a_sink_that_panics_costs_one_connection() {
    let (sender, mut events) = unbounded_channel();
    let sink = Arc::new(move |event: StreamEvent| {
        if let StreamEvent::Message { message, .. } = &event {
            assert_ne!(message.call_id(), Some("panic"), "injected");
        }
        let _ = sender.send(event);
    });
    let transport = TcpTransport::bind(ListenerId(2), loopback(), TcpConfig::default(), sink).expect("a free port");
    for call in ["panic", "alive"] {
        let mut stream = connect(&transport).await;
        stream.write_all(request(call, "").as_bytes()).await.expect("written");
        match next(&mut events).await {
            StreamEvent::Closed { .. } => assert_eq!(call, "panic"),
            StreamEvent::Message { message, .. } => assert_eq!(message.call_id(), Some("alive")),
        }
    }
}
