//! The CTI socket.

use std::time::Duration;

use actix_web::rt::net::TcpStream;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

use tandem_model::{Event, EventName};
use tandem_wire::{EventFrame, close, encode_event};

use super::fake::{Behaviour, PATIENCE, TestServer, quick_socket};
use crate::api::port::Refused;

type Socket = WebSocketStream<TcpStream>;

async fn connect_with(
    server: &TestServer,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, Option<String>), (StatusCode, String)> {
    let mut request = format!("ws://{}/v1/cti", server.address).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let stream = TcpStream::connect(server.address).await.unwrap();
    match client_async(request, stream).await {
        Ok((socket, response)) => {
            let subprotocol = response.headers().get("sec-websocket-protocol");
            Ok((socket, subprotocol.map(|value| value.to_str().unwrap().to_owned())))
        }
        Err(Error::Http(response)) => {
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let body = response.body().clone().unwrap_or_default();
            Err((response.status(), String::from_utf8(body).unwrap()))
        }
        Err(other) => panic!("{other}"),
    }
}

async fn connect(server: &TestServer) -> Socket {
    connect_with(server, &[]).await.unwrap().0
}

async fn receive(socket: &mut Socket) -> Option<Message> {
    let next = tokio::time::timeout(PATIENCE, socket.next())
        .await
        .expect("nothing came in time");
    next.and_then(Result::ok)
}

/// Reads on until the close frame and gives its code and reason.
async fn closed(socket: &mut Socket) -> (u16, String) {
    loop {
        match receive(socket).await {
            Some(Message::Close(Some(frame))) => return (frame.code.into(), frame.reason.to_string()),
            Some(_) => {}
            None => panic!("the connection ended without a close frame"),
        }
    }
}

fn event(sequence: u64, extra_bytes: usize) -> Bytes {
    let mut event = Event::new(EventName::EventUserEvent);
    event.dnis = Some("x".repeat(extra_bytes).into());
    encode_event(&event, sequence, sequence - 1, 0, None)
}

#[actix_web::test]
async fn frames_pass_both_ways_in_order_and_the_subprotocol_is_echoed() {
    let server = TestServer::start(quick_socket(), Behaviour::default());
    let headers = [("sec-websocket-protocol", "other, tandem.cti.v1")];
    let (mut socket, subprotocol) = connect_with(&server, &headers).await.unwrap();
    assert_eq!(subprotocol.as_deref(), Some("tandem.cti.v1"));
    let sink = server.client_connects().await;
    for text in ["1", "zwei", "{}"] {
        socket.send(Message::text(text)).await.unwrap();
    }
    for text in ["1", "zwei", "{}"] {
        assert_eq!(server.frame().await, text);
    }
    for sequence in 1..=100 {
        assert!(sink.deliver(event(sequence, 0)).is_some());
    }
    for sequence in 1..=100 {
        let Some(Message::Text(text)) = receive(&mut socket).await else {
            panic!("no text frame")
        };
        assert_eq!(EventFrame::decode(&text).unwrap().sequence, sequence);
    }
    socket.close(None).await.unwrap();
    server.client_goes().await;
    assert_eq!(sink.deliver(event(1, 0)), None);
    server.stop().await;
}

#[actix_web::test]
async fn without_a_subprotocol_or_origin_a_program_may_connect() {
    let server = TestServer::start(quick_socket(), Behaviour::default());
    let (_, subprotocol) = connect_with(&server, &[]).await.unwrap();
    assert_eq!(subprotocol, None);
    let origin = [("origin", "https://DESK.example.com")];
    assert!(connect_with(&server, &origin).await.is_ok());
    server.stop().await;
}

#[actix_web::test]
async fn a_wrong_origin_or_subprotocol_is_refused_before_the_upgrade() {
    let server = TestServer::start(quick_socket(), Behaviour::default());
    let origin = [("origin", "https://evil.example.com")];
    let (status, problem) = connect_with(&server, &origin).await.err().unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(problem.contains(r#""code":"origin""#), "{problem}");
    let subprotocol = [("sec-websocket-protocol", "graphql-ws")];
    let (status, problem) = connect_with(&server, &subprotocol).await.err().unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem.contains("tandem.cti.v1"), "{problem}");
    server.stop().await;
}

#[actix_web::test]
async fn one_client_too_many_is_503() {
    let refuse = Behaviour {
        refuse: Some(Refused::TooMany),
        ..Behaviour::default()
    };
    let server = TestServer::start(quick_socket(), refuse);
    let (status, problem) = connect_with(&server, &[]).await.err().unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(problem.contains("too-many-clients"), "{problem}");
    server.stop().await;
}

#[actix_web::test]
async fn the_longest_frame_passes_and_a_longer_one_closes_with_1009() {
    let server = TestServer::start(quick_socket(), Behaviour::default());
    let mut socket = connect(&server).await;
    let _sink = server.client_connects().await;
    socket.send(Message::text("x".repeat(1024))).await.unwrap();
    assert_eq!(server.frame().await.len(), 1024);
    socket.send(Message::text("x".repeat(1025))).await.unwrap();
    assert_eq!(closed(&mut socket).await.0, close::TOO_BIG);
    server.client_goes().await;
    server.stop().await;
}

#[actix_web::test]
async fn a_frame_that_announces_a_terabyte_is_refused_at_its_header() {
    let server = TestServer::start(quick_socket(), Behaviour::default());
    let mut socket = connect(&server).await;
    let _sink = server.client_connects().await;
    let mut header = vec![0x81, 0xff];
    header.extend((1u64 << 40).to_be_bytes());
    header.extend([0; 4]);
    socket.get_mut().write_all(&header).await.unwrap();
    assert_eq!(closed(&mut socket).await.0, close::TOO_BIG);
    server.client_goes().await;
    server.stop().await;
}

fn fragment(text: &'static [u8], opcode: OpCode, last: bool) -> Message {
    let header = FrameHeader {
        is_final: last,
        opcode,
        ..FrameHeader::default()
    };
    Message::Frame(Frame::from_payload(header, Bytes::from_static(text)))
}

#[actix_web::test]
async fn fragments_are_put_together_and_bounded_together() {
    let server = TestServer::start(quick_socket(), Behaviour::default());
    let mut socket = connect(&server).await;
    let _sink = server.client_connects().await;
    // A character may be cut in two.
    socket
        .send(fragment(b"gr\xc3", OpCode::Data(Data::Text), false))
        .await
        .unwrap();
    socket.send(Message::Ping(Bytes::from_static(b"between"))).await.unwrap();
    socket.send(fragment(b"", OpCode::Data(Data::Continue), false)).await.unwrap();
    socket
        .send(fragment(b"\xb6\xc3\x9fe", OpCode::Data(Data::Continue), true))
        .await
        .unwrap();
    assert_eq!(server.frame().await, "größe");
    assert_eq!(
        receive(&mut socket).await,
        Some(Message::Pong(Bytes::from_static(b"between")))
    );
    socket
        .send(fragment(&[b'x'; 600], OpCode::Data(Data::Text), false))
        .await
        .unwrap();
    socket
        .send(fragment(&[b'x'; 600], OpCode::Data(Data::Continue), false))
        .await
        .unwrap();
    assert_eq!(closed(&mut socket).await.0, close::TOO_BIG);
    server.stop().await;
}

#[actix_web::test]
async fn what_is_no_text_closes_with_the_code_that_says_so() {
    let masked = |first: u8, payload: &[u8]| {
        let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        frame
    };
    let table = [
        ("binary", masked(0x82, b"x"), close::UNSUPPORTED_DATA),
        ("binary fragment", masked(0x02, b"x"), close::UNSUPPORTED_DATA),
        ("no UTF-8", masked(0x81, b"\xff\xfe"), close::NOT_UTF8),
        ("reserved bit", masked(0xc1, b"x"), close::PROTOCOL),
        ("unknown opcode", masked(0x83, b"x"), close::PROTOCOL),
        ("continuation of nothing", masked(0x80, b"x"), close::PROTOCOL),
        ("fragmented ping", masked(0x09, b"x"), close::PROTOCOL),
        ("not masked", vec![0x81, 1, b'x'], close::PROTOCOL),
    ];
    let server = TestServer::start(quick_socket(), Behaviour::default());
    for (what, bytes, code) in table {
        let mut socket = connect(&server).await;
        let _sink = server.client_connects().await;
        socket.get_mut().write_all(&bytes).await.unwrap();
        assert_eq!(closed(&mut socket).await.0, code, "{what}");
        server.client_goes().await;
    }
    let mut alive = connect(&server).await;
    let _sink = server.client_connects().await;
    alive.send(Message::text("still here")).await.unwrap();
    assert_eq!(server.frame().await, "still here");
    server.stop().await;
}

#[actix_web::test]
async fn a_client_that_reads_too_slowly_is_closed_with_4008_and_told_what_it_got() {
    let mut settings = quick_socket();
    settings.queue_capacity = 4;
    let server = TestServer::start(settings, Behaviour::default());
    let mut socket = connect(&server).await;
    let sink = server.client_connects().await;
    sink.deliver(event(1, 0));
    assert!(matches!(receive(&mut socket).await, Some(Message::Text(_))));
    // The system's buffers take some megabytes before the queue fills.
    let mut refused = 2;
    while let Some(waiting) = sink.deliver(event(refused, 16_384)) {
        refused += 1;
        assert!(refused < 100_000, "a queue that never fills is not bounded");
        if waiting > 1 {
            // So that it is the client that is slow, not the server that had no time to write.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    server.client_goes().await;
    let (mut last, mut reason) = (1, None);
    while reason.is_none() {
        match receive(&mut socket)
            .await
            .expect("the connection ended without a close frame")
        {
            Message::Text(text) => {
                let sequence = EventFrame::decode(&text).unwrap().sequence;
                assert_eq!(sequence, last + 1, "a gap before the close");
                last = sequence;
            }
            Message::Close(frame) => reason = frame,
            other => panic!("{other:?}"),
        }
    }
    let reason = reason.unwrap();
    assert_eq!(u16::from(reason.code), close::SLOW_CONSUMER);
    assert_eq!(reason.reason.as_str(), format!("reads too slowly; last sequence {last}"));
    assert!(last < refused);
    server.stop().await;
}

#[actix_web::test]
async fn a_client_that_never_reads_is_forgotten_at_once_and_holds_nobody_up() {
    let mut settings = quick_socket();
    settings.queue_capacity = 4;
    settings.close_grace = Duration::from_millis(50);
    let server = TestServer::start(settings, Behaviour::default());
    let _never_reads = connect(&server).await;
    let sink = server.client_connects().await;
    while sink.deliver(event(1, 16_384)).is_some() {}
    server.client_goes().await;
    let mut other = connect(&server).await;
    let other_sink = server.client_connects().await;
    assert!(other_sink.deliver(event(7, 0)).is_some());
    assert!(matches!(receive(&mut other).await, Some(Message::Text(_))));
    server.stop().await;
}

#[actix_web::test]
async fn what_is_queued_goes_before_the_runtimes_close() {
    let server = TestServer::start(quick_socket(), Behaviour::default());
    let mut socket = connect(&server).await;
    let sink = server.client_connects().await;
    for sequence in 1..=500 {
        assert!(sink.deliver(event(sequence, 0)).is_some());
    }
    sink.close(close::POLICY, "OpenServer must come first");
    assert_eq!(sink.deliver(event(501, 0)), None);
    let mut count = 0;
    loop {
        match receive(&mut socket).await.unwrap() {
            Message::Text(_) => count += 1,
            Message::Close(Some(frame)) => {
                assert_eq!(
                    (u16::from(frame.code), frame.reason),
                    (close::POLICY, Utf8Bytes::from_static("OpenServer must come first"))
                );
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(count, 500);
    server.client_goes().await;
    server.stop().await;
}

#[actix_web::test]
async fn a_client_actor_that_ends_without_a_word_closes_with_1011() {
    let mut settings = quick_socket();
    settings.close_grace = Duration::from_millis(50);
    let behaviour = Behaviour {
        ends_client_at: Some("crash"),
        ..Behaviour::default()
    };
    let server = TestServer::start(settings, behaviour);
    let mut socket = connect(&server).await;
    let _sink = server.client_connects().await;
    socket.send(Message::text("crash")).await.unwrap();
    assert_eq!(closed(&mut socket).await.0, close::INTERNAL);
    server.stop().await;
}

#[actix_web::test]
async fn a_runtime_that_drops_its_end_closes_with_1011() {
    let server = TestServer::start(quick_socket(), Behaviour::default());
    let mut socket = connect(&server).await;
    drop(server.client_connects().await);
    assert_eq!(closed(&mut socket).await.0, close::INTERNAL);
    server.stop().await;
}

#[actix_web::test]
async fn a_client_without_a_first_frame_is_closed_in_time() {
    let mut settings = quick_socket();
    settings.open_timeout = Duration::from_millis(50);
    let server = TestServer::start(settings, Behaviour::default());
    let mut socket = connect(&server).await;
    let _sink = server.client_connects().await;
    assert_eq!(
        closed(&mut socket).await,
        (close::TIMEOUT, "no OpenServer in time".to_owned())
    );
    server.stop().await;
}

#[actix_web::test]
async fn a_silent_client_is_pinged_and_then_closed_and_one_that_pongs_stays() {
    let mut settings = quick_socket();
    settings.ping_interval = Duration::from_millis(20);
    settings.silence_limit = Duration::from_millis(800);
    let server = TestServer::start(settings, Behaviour::default());
    let mut lively = connect(&server).await;
    let _lively_sink = server.client_connects().await;
    let mut silent = connect(&server).await;
    let _silent_sink = server.client_connects().await;
    // Reading is what makes this client answer pings; the other one does not read.
    let begin = tokio::time::Instant::now();
    while begin.elapsed() < Duration::from_millis(1200) {
        assert!(matches!(receive(&mut lively).await, Some(Message::Ping(_))));
    }
    assert_eq!(closed(&mut silent).await, (close::TIMEOUT, "no sign of life".to_owned()));
    server.stop().await;
}

#[actix_web::test]
async fn a_handshake_that_is_none_is_a_problem_document() {
    let server = TestServer::start(quick_socket(), Behaviour::default());
    for (request, status) in [
        ("GET /v1/cti HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "400"),
        (
            "POST /v1/cti HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            "405",
        ),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    server.stop().await;
}
