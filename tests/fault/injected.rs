//! A build with faults.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{PATH, ask, has_documented};
use crate::link::Split;
use crate::rig::server::{API_KEY, Server, Setup};
use crate::rig::{http, wait};

const ALICE: &str = "sip:1001@tandem.local";

pub async fn inject(server: &Server, order: Value) -> Value {
    let (status, answer) = ask(server.http, "POST", &order.to_string()).await;
    assert_eq!(status, 202, "{order}: {answer}");
    answer
}

/// Waits until an actor of this kind has panicked that many times.
async fn has_crashed(server: &Server, kind: &str, count: f64) {
    wait::until("the panic", wait::SOON, async || {
        let crashed = server.metrics().await.sum_where("tandem_actor_crashes_total", "kind", kind);
        if crashed == count { Ok(()) } else { Err(crashed.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn any_actor_panics_on_order_and_the_server_is_alive() {
    let mut server = Setup::new().trusted_phone("1001").start().await;
    assert!(has_documented(server.http).await);
    for (order, kind) in [
        (json!({"fault": "panic", "actor": "connector", "id": "0"}), "connector"),
        (json!({"fault": "panic", "actor": "registrar"}), "registrar"),
        (json!({"fault": "panic", "actor": "connector_link"}), "connector_link"),
        (json!({"fault": "panic", "actor": "dn", "id": ALICE}), "dn"),
        (json!({"fault": "panic", "actor": "event_log"}), "event_log"),
        (json!({"fault": "panic", "actor": "lobby"}), "lobby"),
    ] {
        inject(&server, order).await;
        has_crashed(&server, kind, 1.0).await;
    }
    server.alive_and_idle().await;
}

#[tokio::test]
async fn orders_that_cannot_be_followed_are_refused() {
    let server = Setup::new().start().await;
    for (order, status, code) in [
        (
            json!({"fault": "panic", "actor": "dn", "id": "sip:nobody@tandem.local"}),
            404,
            "no-actor",
        ),
        (
            json!({"fault": "panic", "actor": "call", "id": "0000000000000bad"}),
            404,
            "no-actor",
        ),
        (json!({"fault": "panic", "actor": "call"}), 404, "no-actor"),
        (json!({"fault": "panic", "actor": "connector", "id": "999"}), 404, "no-actor"),
        (json!({"fault": "panic", "actor": "link_server"}), 404, "no-actor"),
        (json!({"fault": "panic", "actor": "call", "id": "no number"}), 400, "bad-body"),
        (json!({"fault": "panic", "actor": "plumber"}), 400, "bad-body"),
        (json!({"fault": "panic", "actor": "lobby", "id": "1"}), 400, "bad-body"),
        (json!({"fault": "fire"}), 400, "bad-body"),
        (json!({"fault": "pause", "connector": 999, "for_ms": 1}), 404, "no-connector"),
        (json!({"fault": "pause", "connector": 0, "for_ms": 60_001}), 400, "bad-body"),
        (json!({"fault": "pause", "connector": 0, "for_ms": 0}), 400, "bad-body"),
        (
            json!({"fault": "drop", "of": "sip", "next": 1, "for_ms": 600_001}),
            400,
            "bad-body",
        ),
        (
            json!({"fault": "drop", "of": "sip", "probability": 2.0, "for_ms": 1}),
            400,
            "bad-body",
        ),
        (json!({"fault": "drop", "of": "sip", "for_ms": 1}), 400, "bad-body"),
        (
            json!({"fault": "drop", "of": "sip", "next": 1, "for_ms": 1, "delay_ms": 1}),
            400,
            "bad-body",
        ),
        (
            json!({"fault": "delay", "of": "sip", "next": 1, "for_ms": 1}),
            400,
            "bad-body",
        ),
        (
            json!({"fault": "delay", "of": "sip", "next": 1, "for_ms": 1, "delay_ms": 60_001}),
            400,
            "bad-body",
        ),
        (json!({"fault": "drop", "of": "link", "next": 1, "for_ms": 1}), 409, "no-link"),
    ] {
        let (got, problem) = ask(server.http, "POST", &order.to_string()).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{order}: {problem}");
    }
    let rule = json!({"fault": "drop", "of": "sip", "probability": 0.000_001, "for_ms": 600_000});
    for _ in 0..16 {
        inject(&server, rule.clone()).await;
    }
    let (status, problem) = ask(server.http, "POST", &rule.to_string()).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("too-many-faults")));
    let (status, ended) = ask(server.http, "DELETE", "").await;
    assert_eq!((status, ended), (200, json!({"messages": [], "pauses": []})));
    let response = http::send(server.http, "POST", PATH, None, "{}").await.expect("an answer");
    assert_eq!(response.status, 401);
}

#[tokio::test]
async fn a_connector_stands_still_until_its_pause_ends() {
    for whole_thread in [true, false] {
        let mut server = Setup::new().start().await;
        let status = inject(
            &server,
            json!({"fault": "pause", "connector": 0, "for_ms": 60_000, "whole_thread": whole_thread}),
        )
        .await;
        assert_eq!(status["pauses"][0]["connector"], json!(0), "{status}");
        let again = json!({"fault": "pause", "connector": 0, "for_ms": 1}).to_string();
        let (refused, problem) = ask(server.http, "POST", &again).await;
        assert_eq!((refused, problem["code"].as_str()), (409, Some("paused")));
        let connectors = http::get(server.http, "/v1/connectors", Some(API_KEY))
            .await
            .expect("an answer");
        assert_eq!(connectors.status, 503, "it does not answer: {}", connectors.body);
        ask(server.http, "DELETE", "").await;
        server.alive_and_idle().await;
    }
}

/// A device that asks whether the server is there, and counts the answers.
struct Device {
    socket: UdpSocket,
    asked: u32,
}

impl Device {
    async fn asks(&mut self, server: &Server) {
        self.asked += 1;
        let (address, number) = (self.socket.local_addr().expect("an address"), self.asked);
        let options = format!(
            "OPTIONS sip:{} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKfault{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:device@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: fault-{number}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n",
            server.sip
        );
        self.socket.send_to(options.as_bytes(), server.sip).await.expect("it is sent");
    }

    /// The number of the question that is answered.
    async fn is_answered(&self) -> u32 {
        let mut bytes = [0; 2048];
        let read = timeout(wait::SOON, self.socket.recv(&mut bytes)).await;
        let read = read.expect("an answer in time").expect("an answer");
        let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
        assert!(text.starts_with("SIP/2.0 200 "), "{text}");
        let number = text.lines().find_map(|line| line.strip_prefix("Call-ID: fault-"));
        number
            .and_then(|number| number.trim().parse().ok())
            .expect("the answer to a question")
    }
}

#[tokio::test]
async fn sip_messages_are_lost_late_and_doubled() {
    let mut server = Setup::new().start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let mut device = Device { socket, asked: 0 };
    for direction in ["in", "out"] {
        inject(
            &server,
            json!({"fault": "drop", "of": "sip", "direction": direction, "next": 1, "for_ms": 600_000}),
        )
        .await;
        device.asks(&server).await;
        wait::until("the loss", wait::SOON, async || match ask(server.http, "GET", "").await.1 {
            status if status["messages"] == json!([]) => Ok(()),
            status => Err(status.to_string()),
        })
        .await;
        device.asks(&server).await;
        assert_eq!(
            device.is_answered().await,
            device.asked,
            "the first answer is to the second question"
        );
    }
    inject(
        &server,
        json!({"fault": "duplicate", "of": "sip", "direction": "out", "next": 1, "for_ms": 600_000}),
    )
    .await;
    device.asks(&server).await;
    assert_eq!([device.is_answered().await, device.is_answered().await], [device.asked; 2]);
    inject(
        &server,
        json!({"fault": "delay", "of": "sip", "direction": "out", "next": 1, "delay_ms": 300, "for_ms": 600_000}),
    )
    .await;
    let asked = Instant::now();
    device.asks(&server).await;
    assert_eq!(device.is_answered().await, device.asked);
    assert!(
        asked.elapsed() >= Duration::from_millis(300),
        "it came after {:?}",
        asked.elapsed()
    );
    inject(
        &server,
        json!({"fault": "drop", "of": "sip", "probability": 1.0, "for_ms": 600_000, "seed": 7}),
    )
    .await;
    let (_, ended) = ask(server.http, "DELETE", "").await;
    assert_eq!(ended, json!({"messages": [], "pauses": []}));
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_link_that_loses_and_doubles_messages_comes_up_again() {
    let split = Split::start(&["1001"], "addp_remote_timeout_s = 1", "").await;
    for fault in ["drop", "duplicate"] {
        let order = json!({"fault": fault, "of": "link", "next": 2, "for_ms": 600_000});
        let (status, answer) = ask(split.http, "POST", &order.to_string()).await;
        assert_eq!(status, 202, "{answer}");
        wait::until("the messages", wait::SOON, async || {
            let (_, status) = ask(split.http, "GET", "").await;
            if status["messages"] == json!([]) {
                Ok(())
            } else {
                Err(status.to_string())
            }
        })
        .await;
        split.is_linked().await;
    }
    for actor in ["remote_link", "connector_link"] {
        let order = json!({"fault": "panic", "actor": actor}).to_string();
        assert_eq!(ask(split.http, "POST", &order).await.0, 202);
        split.is_linked().await;
    }
}
