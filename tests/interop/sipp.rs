//! SIPp on both sides of the server, as peers on two trunks. After each scenario the server lives and nothing is left of the call.

use crate::rig::ports::free_port;
use crate::rig::server::{Server, Setup};
use crate::rig::sip::Socket;
use crate::rig::sipp::Sipp;

/// A server whose number 2001 leads to the returned port.
async fn server_with_peer(setup: Setup, transport: &str) -> (Server, u16) {
    let port = free_port();
    (setup.peer("2001", port, transport).start().await, port)
}

fn caller(scenario: &str, server: &Server) -> Sipp {
    Sipp::caller(scenario, server.sip).value("talk_ms", "50")
}

/// One call between these two scenarios.
async fn call(caller_scenario: &str, callee_scenario: &str) {
    call_on(Setup::new(), caller_scenario, callee_scenario, "").await;
}

async fn call_on(setup: Setup, caller_scenario: &str, callee_scenario: &str, status: &str) {
    let (mut server, port) = server_with_peer(setup, "udp").await;
    let callee = Sipp::callee(callee_scenario, port).value("status", status).start().await;
    caller(caller_scenario, &server).value("status", status).run().await;
    callee.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_call_is_set_up_and_ended() {
    call("caller_basic", "callee_basic").await;
}

#[tokio::test]
async fn a_busy_callee_is_told_to_the_caller() {
    call_on(Setup::new(), "caller_refused", "callee_refuses", "486").await;
}

#[tokio::test]
async fn a_decline_is_told_to_the_caller() {
    call_on(Setup::new(), "caller_refused", "callee_refuses", "603").await;
}

#[tokio::test]
async fn a_caller_cancels_while_it_rings() {
    call("caller_cancels", "callee_cancelled").await;
}

#[tokio::test]
async fn a_callee_that_does_not_answer_is_cancelled_after_the_ring_timeout() {
    let (mut server, port) = server_with_peer(Setup::new().sip("ring_timeout_ms = 1000"), "udp").await;
    let callee = Sipp::callee("callee_cancelled", port).start().await;
    caller("caller_refused", &server).value("status", "480").run().await;
    callee.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn an_unreachable_callee_is_told_to_the_caller() {
    for transport in ["udp", "tcp"] {
        // A 503 would make the caller avoid the server as a whole (RFC 3261 s.16.7 step 6).
        let (mut server, _nobody) = server_with_peer(Setup::new(), transport).await;
        caller("caller_refused", &server).value("status", "500").run().await;
        server.alive_and_idle().await;
    }
}

#[tokio::test]
async fn a_callee_hangs_up() {
    call("caller_is_hung_up_on", "callee_hangs_up").await;
}

#[tokio::test]
async fn an_info_passes_through() {
    call("caller_sends_info", "callee_takes_info").await;
}

#[tokio::test]
async fn a_forged_bye_is_refused_and_the_call_lives() {
    call("caller_forged_bye", "callee_takes_info").await;
}

#[tokio::test]
async fn an_invite_that_comes_twice_is_one_call() {
    call("caller_sends_invite_twice", "callee_basic").await;
}

#[tokio::test]
async fn a_200_that_crosses_the_cancel_is_acknowledged_and_ended() {
    call("caller_cancels", "callee_too_late").await;
}

#[tokio::test]
async fn early_media_passes_through() {
    call("caller_early_media", "callee_early_media").await;
}

#[tokio::test]
async fn a_caller_on_tcp_reaches_a_callee_on_udp() {
    let (mut server, port) = server_with_peer(Setup::new(), "udp").await;
    let callee = Sipp::callee("callee_basic", port).start().await;
    caller("caller_basic", &server).tcp().run().await;
    callee.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_caller_on_udp_reaches_a_callee_on_tcp() {
    let (mut server, port) = server_with_peer(Setup::new(), "tcp").await;
    let callee = Sipp::callee("callee_basic", port).tcp().start().await;
    caller("caller_basic", &server).run().await;
    callee.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn malformed_datagrams_in_between_cost_no_call() {
    let (mut server, port) = server_with_peer(Setup::new(), "udp").await;
    let callee = Sipp::callee("callee_basic", port).calls(20, 20).start().await;
    let callers = caller("caller_basic", &server).calls(20, 20).start().await;
    let stranger = Socket::bind("127.0.0.1").await;
    let long = vec![b'a'; 60_000];
    for round in 0..200usize {
        let cut = format!(
            "INVITE sip:2001@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{};branch=z9hG4bK{round}\r\nTo: <",
            stranger.address.port()
        );
        let datagrams: [&[u8]; 6] = [
            b"",
            b"\0\xff\xfe",
            b"INVITE",
            cut.as_bytes(),
            &long[..round * 300],
            b"SIP/2.0 200 OK\r\n\r\n",
        ];
        for datagram in datagrams {
            stranger.send(server.sip, datagram).await;
        }
        tokio::task::yield_now().await;
    }
    callers.succeeds().await;
    callee.succeeds().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_hundred_calls_at_fifty_a_second_all_succeed() {
    let (mut server, port) = server_with_peer(Setup::new(), "udp").await;
    let callee = Sipp::callee("callee_basic", port).calls(100, 50).start().await;
    caller("caller_basic", &server)
        .value("talk_ms", "500")
        .calls(100, 50)
        .run()
        .await;
    callee.succeeds().await;
    server.idle().await;
    assert_eq!(server.metrics().await.sum("tandem_calls_total"), Some(100.0));
    server.alive().await;
}
