//! The whole server drains: nothing new comes in, what lives goes on, and the end is a BYE at most.

use std::time::Duration;

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventError, EventEstablished, EventReleased};

use super::{admin, talk};
use crate::rig::cti::Desk;
use crate::rig::http;
use crate::rig::phone::Phone;
use crate::rig::server::{Server, Setup};
use crate::rig::sip::{Dialog, SDP, Socket};
use crate::rig::wait::{SOON, until};

const ALICE: &str = "sip:1001@tandem.local";

/// A drain that does not end by its deadline in these tests.
fn patient() -> Setup {
    Setup::new()
        .environment("TANDEM_SERVER__DRAIN_TIMEOUT_S", "600")
        .trusted_phone("1001")
        .trusted_phone("1002")
        .trusted_phone("1003")
}

async fn unready(server: &Server) {
    until("readyz to turn", SOON, async || {
        let ready = http::get(server.http, "/readyz", None).await?;
        match ready.status {
            503 if ready.body.contains("Suspending") => Ok(()),
            status => Err(format!("{status}: {}", ready.body)),
        }
    })
    .await;
}

async fn new_calls_are_refused(server: &Server) {
    let stranger = Socket::bind("127.0.0.9").await;
    let uri = format!("sip:1002@{}", server.sip);
    let dialog = Dialog::new("sip:late@127.0.0.9", &uri, stranger.address);
    // It is no DN of ours, but a caller at a trunk's address is asked nothing.
    stranger.send(server.sip, dialog.request("INVITE", &uri, 1, "", SDP)).await;
    let refused = stranger.final_response("1 INVITE").await;
    assert_eq!((refused.status(), refused.header("Retry-After")), (Some(503), "5"));
}

#[tokio::test]
async fn a_call_goes_on_while_the_server_drains_and_its_end_is_the_servers() {
    let mut server = patient().start().await;
    let (alice, bob) = (
        Phone::register("1001", server.sip).await,
        Phone::register("1002", server.sip).await,
    );
    let mut desk = Desk::on(server.http, &[ALICE]).await;
    let (at_alice, _) = talk(&alice, &bob, "1002").await;
    desk.expect(EventEstablished, ALICE).await;

    server.program.signal(libc::SIGTERM);
    unready(&server).await;
    new_calls_are_refused(&server).await;
    let refused = desk.ask(ClientRequest::make_call(ALICE, "1002")).await;
    assert!(refused.is(EventError), "{refused:?}");
    let (status, drain) = admin(&server, "GET", "/v1/admin/drain", "").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&drain["state"], &drain["draining"], &drain["active_calls"]),
        (&"Suspending".into(), &true.into(), &1.into())
    );
    assert!(
        drain["remaining_s"].as_u64().is_some_and(|left| (1..=600).contains(&left)),
        "{drain}"
    );
    assert_eq!(server.metrics().await.sum("tandem_draining"), Some(1.0));
    let (status, _) = admin(&server, "DELETE", "/v1/admin/drain", "").await;
    assert_eq!(status, 409, "a signal asked for it");
    // A desktop whose socket broke comes back to its call.
    let _second = Desk::on(server.http, &[ALICE]).await;

    tokio::join!(alice.hangs_up(&at_alice), bob.is_hung_up_on());
    desk.expect(EventReleased, ALICE).await;
    let status = server.program.exit(Duration::from_secs(15)).await;
    assert_eq!(status.code(), Some(0), "{}", server.program.tail());
}

#[tokio::test]
async fn a_second_signal_ends_what_is_left_with_a_bye() {
    let mut server = patient().start().await;
    let (alice, bob) = (
        Phone::register("1001", server.sip).await,
        Phone::register("1002", server.sip).await,
    );
    talk(&alice, &bob, "1002").await;
    server.program.signal(libc::SIGTERM);
    unready(&server).await;
    server.program.signal(libc::SIGINT);
    tokio::join!(alice.is_hung_up_on(), bob.is_hung_up_on());
    let status = server.program.exit(Duration::from_secs(15)).await;
    assert_eq!(status.code(), Some(0), "{}", server.program.tail());
}

#[tokio::test]
async fn an_operator_drains_takes_it_back_and_gives_a_deadline() {
    let mut server = patient().start().await;
    let (alice, bob) = (
        Phone::register("1001", server.sip).await,
        Phone::register("1002", server.sip).await,
    );
    talk(&alice, &bob, "1002").await;
    let (status, drain) = admin(&server, "POST", "/v1/admin/drain", "").await;
    assert_eq!((status, &drain["state"]), (202, &"Suspending".into()));
    assert!(drain["remaining_s"].as_u64().is_some_and(|left| left > 500), "{drain}");
    unready(&server).await;
    let (status, drain) = admin(&server, "DELETE", "/v1/admin/drain", "").await;
    assert_eq!(
        (status, &drain["state"], &drain["draining"]),
        (200, &"Running".into(), &false.into())
    );
    assert_eq!(http::get(server.http, "/readyz", None).await.expect("an answer").status, 200);
    server.alive().await;

    for bad in ["{\"deadline\": 1}", "{\"deadline_s\": -1}", "[", "{\"deadline_s\": 100000}"] {
        let (status, problem) = admin(&server, "POST", "/v1/admin/drain", bad).await;
        assert_eq!((status, &problem["code"]), (400, &"bad-body".into()), "{bad}");
    }
    let (status, problem) = admin(&server, "POST", "/v1/admin/drain", "{\"connector\": 9}").await;
    assert_eq!((status, &problem["code"]), (404, &"no-connector".into()));
    let without_key = http::send(server.http, "POST", "/v1/admin/drain", None, "")
        .await
        .expect("an answer");
    assert_eq!(without_key.status, 401);

    let (status, _) = admin(&server, "POST", "/v1/admin/drain", "{\"deadline_s\": 1}").await;
    assert_eq!(status, 202);
    tokio::join!(alice.is_hung_up_on(), bob.is_hung_up_on());
    let status = server.program.exit(Duration::from_secs(15)).await;
    assert_eq!(status.code(), Some(0), "{}", server.program.tail());
}
