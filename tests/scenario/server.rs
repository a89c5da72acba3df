//! How a server ends: it lets its calls go on for a while, ends what is left with a BYE, tells its clients, and exits with 0.

use std::time::Duration;

use tandem_wire::close;
use tandem_wire::model::EventName::{EventEstablished, EventReleased};

use crate::rig::cti::Desk;
use crate::rig::phone::Phone;
use crate::rig::server::Setup;
use crate::rig::sip::{Dialog, SDP, Socket};

const ALICE: &str = "sip:1001@tandem.local";

#[tokio::test]
async fn a_drain_refuses_new_calls_ends_the_old_and_exits_with_0() {
    let mut server = Setup::new().trusted_phone("1001").trusted_phone("1002").start().await;
    let alice = Phone::register("1001", server.sip).await;
    let bob = Phone::register("1002", server.sip).await;
    let mut desk = Desk::on(server.http, &[ALICE]).await;
    let attempt = alice.dial("1002").await;
    let invite = bob.rings().await;
    bob.picks_up(&invite).await;
    alice.answered(attempt).await;
    desk.expect(EventEstablished, ALICE).await;

    server.program.signal(libc::SIGTERM);
    let stranger = Socket::bind("127.0.0.9").await;
    crate::rig::wait::until("new calls to be refused", crate::rig::wait::SOON, async || {
        let uri = format!("sip:1002@{}", server.sip);
        let dialog = Dialog::new("sip:late@127.0.0.9", &uri, stranger.address);
        stranger.send(server.sip, dialog.request("INVITE", &uri, 1, "", SDP)).await;
        let refused = stranger.final_response("1 INVITE").await;
        match (refused.status(), refused.header("Retry-After")) {
            (Some(503), "5") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // The drain of the test servers takes 5 s; then the call is ended for both.
    tokio::join!(alice.is_hung_up_on(), bob.is_hung_up_on());
    desk.expect(EventReleased, ALICE).await;
    assert_eq!(desk.close_code().await, Some(close::GOING_AWAY));
    let status = server.program.exit(Duration::from_secs(15)).await;
    assert_eq!(status.code(), Some(0), "{}", server.program.tail());
}

#[tokio::test]
async fn a_server_without_calls_ends_at_once() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut server = Setup::new().start().await;
        server.program.signal(signal);
        let status = server.program.exit(Duration::from_secs(5)).await;
        assert_eq!(status.code(), Some(0), "{}", server.program.tail());
    }
}

#[tokio::test]
async fn a_hangup_signal_ends_nothing() {
    let mut server = Setup::new().start().await;
    server.program.signal(libc::SIGHUP);
    crate::rig::wait::until("the log line", crate::rig::wait::SOON, async || {
        let log = server.program.tail();
        if log.contains("SIGHUP") { Ok(()) } else { Err(log) }
    })
    .await;
    server.alive().await;
}
