//! CTI clients that do everything wrong, and one that does not read.

use serde_json::{Value, json};
use tandem_wire::ClientRequest;
use tandem_wire::close;
use tandem_wire::model::EventName::{EventEstablished, EventServerConnected};
use tandem_wire::model::{KvList, TErrorCode};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::cti::{Arrival, Desk};
use crate::rig::phone::Phone;
use crate::rig::server::{API_KEY, Setup};

const ALICE: &str = "sip:1001@tandem.local";
const BOB: &str = "sip:1002@tandem.local";

/// What a client gets that is not let in: an EventError, then the close code.
async fn refused(desk: &mut Desk) -> (u64, Option<u16>) {
    let Arrival::Text(text) = desk.arrival().await else {
        panic!("closed without a word")
    };
    let frame: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(frame["event"], "EventError", "{text}");
    assert!(
        frame["errorMessage"].as_str().is_some_and(|message| !message.is_empty()),
        "{text}"
    );
    let code = frame["errorCode"].as_u64().expect("a code");
    (code, desk.close_code().await)
}

#[tokio::test]
async fn a_client_that_does_not_open_the_server_first_is_told_so_and_closed() {
    let mut server = Setup::new().phone("1001").start().await;
    let make_call = ClientRequest::make_call(ALICE, BOB).reference(9).to_json();
    let wrong_key = ClientRequest::open_server("x", "a key that is not ours").to_json();
    let no_key = json!({"request": "OpenServer", "applicationName": "x"}).to_string();
    for first in [
        make_call.as_str(),
        &wrong_key,
        &no_key,
        "no JSON at all",
        "[]",
        "{}",
        "{\"request\":7}",
    ] {
        let mut desk = Desk::connect(server.http, None).await;
        desk.send(Message::text(first)).await;
        let (_, close_code) = refused(&mut desk).await;
        assert_eq!(close_code, Some(close::POLICY), "after {first}");
    }
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed_in_time() {
    let mut server = Setup::new().cti("open_timeout_s = 1").start().await;
    let mut desk = Desk::connect(server.http, None).await;
    assert_eq!(desk.close_code().await, Some(close::TIMEOUT));
    server.alive().await;
}

#[tokio::test]
async fn a_frame_that_is_no_request_is_answered_and_the_connection_stays() {
    let mut server = Setup::new().phone("1001").start().await;
    let mut desk = Desk::open(server.http).await;
    let deep = format!(
        "{{\"request\":\"MakeCall\",\"userData\":{}1{}}}",
        "{\"a\":".repeat(5_000),
        "}".repeat(5_000)
    );
    let wide = format!("{{\"request\":\"MakeCall\",\"userData\":[{}0]}}", "0,".repeat(100_000));
    for wrong in [
        "",
        "hello",
        "{",
        "null",
        "[1,2]",
        "{\"request\":\"NoSuchRequest\"}",
        "{\"request\":\"MakeCall\"}",
        "{\"request\":\"MakeCall\",\"thisDn\":7,\"otherDn\":\"x\"}",
        "{\"request\":\"MakeCall\",\"thisDn\":\"sip:1001@tandem.local\",\"otherDn\":\"1002\",\"makeCallType\":\"Sideways\"}",
        "{\"request\":\"ReleaseCall\",\"thisDn\":\"sip:1001@tandem.local\",\"connId\":\"not hex\"}",
        "{\"request\":\"QueryServer\",\"referenceId\":-1}",
        "{\"request\":\"QueryServer\"}{\"request\":\"QueryServer\"}",
        &deep,
        &wide,
    ] {
        desk.send(Message::text(wrong)).await;
        let frame = desk.event().await;
        let shown: String = wrong.chars().take(100).collect();
        assert!(
            matches!(
                frame.error(),
                Some(TErrorCode::InvalidAttribute | TErrorCode::BadParameter | TErrorCode::UnsupportedOperation)
            ),
            "{shown}: {frame:?}"
        );
        assert!(frame.error_message.is_some_and(|message| !message.is_empty()), "{shown}");
    }
    desk.settled().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_binary_frame_closes_with_1003_and_a_long_one_with_1009() {
    let mut server = Setup::new().start().await;
    let mut desk = Desk::open(server.http).await;
    desk.send(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(desk.close_code().await, Some(close::UNSUPPORTED_DATA));

    let mut desk = Desk::open(server.http).await;
    desk.send(Message::text("x".repeat((1 << 20) + 1))).await;
    assert_eq!(desk.close_code().await, Some(close::TOO_BIG));

    // Exactly 1 MiB is read, and is no request.
    let mut desk = Desk::open(server.http).await;
    desk.send(Message::text("x".repeat(1 << 20))).await;
    assert!(desk.event().await.error().is_some());
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_can_go_on_where_it_was() {
    let mut server = Setup::new()
        .cti("queue_capacity = 16")
        .trusted_phone("1001")
        .trusted_phone("1002")
        .start()
        .await;
    let alice = Phone::register("1001", server.sip).await;
    let bob = Phone::register("1002", server.sip).await;
    let mut busy = Desk::on(server.http, &[ALICE]).await;

    let mut idle = Desk::connect(server.http, Some(4_096)).await;
    let connected = idle.ask(ClientRequest::open_server("idle", API_KEY)).await;
    let epoch = connected.epoch.expect("an epoch");
    idle.ask(ClientRequest::register_address(BOB)).await;

    let attempt = alice.dial("1002").await;
    let invite = bob.rings().await;
    bob.picks_up(&invite).await;
    let talk = alice.answered(attempt).await;
    let call = Desk::call_of(&busy.expect(EventEstablished, ALICE).await);
    let established = idle.expect(EventEstablished, BOB).await;

    // More and more, until the buffers of the connection and then its queue are full. From then on it reads: what is left in the
    // buffers, and at their end the close frame.
    let mut changes = 0usize;
    while server
        .metrics()
        .await
        .sum_where("tandem_event_client_dropped_total", "reason", "slow")
        == 0.0
    {
        assert!(changes < 5_000, "a queue of 16 frames never fills");
        for _ in 0..20 {
            let data: KvList = [("filler", format!("{changes} {}", "x".repeat(30_000)))]
                .into_iter()
                .collect();
            busy.ask(ClientRequest::attach_user_data(ALICE, call, data)).await;
            changes += 1;
        }
    }
    assert_eq!(idle.close_code().await, Some(close::SLOW_CONSUMER));

    // It comes back: what it missed it gets, every change in order and each once; or the server says that it starts anew, and shows
    // how its DN stands.
    let mut again = Desk::connect(server.http, None).await;
    let resume = ClientRequest::open_server("idle", API_KEY).resume(&epoch, established.sequence);
    let answer = again.ask(resume).await;
    assert!(answer.is(EventServerConnected), "{answer:?}");
    if answer.resume.as_deref() == Some("delta") {
        for change in 0..changes {
            let event = again.event().await;
            let filler = event
                .user_data
                .as_ref()
                .and_then(|data| data.text("filler"))
                .unwrap_or_default();
            assert!(filler.starts_with(&format!("{change} ")), "change {change}: {}", event.event);
        }
    } else {
        assert_eq!(answer.resume.as_deref(), Some("new"));
        let state = again.ask(ClientRequest::register_address(BOB)).await;
        assert_eq!(state.extensions.text("conn-1"), Some(call.to_string().as_str()), "{state:?}");
    }
    alice.hangs_up(&talk).await;
    bob.is_hung_up_on().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn one_client_more_than_allowed_is_refused() {
    let mut server = Setup::new().cti("max_clients = 1").start().await;
    let mut first = Desk::open(server.http).await;
    let refused = tokio_tungstenite::client_async(
        format!("ws://{}/v1/cti", server.http),
        tokio::net::TcpStream::connect(server.http).await.expect("a connection"),
    )
    .await;
    match refused {
        Err(error) => assert!(error.to_string().contains("503"), "{error}"),
        Ok(_) => panic!("a second client got in"),
    }
    first.settled().await;
    server.alive().await;
}
