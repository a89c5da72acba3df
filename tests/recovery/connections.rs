//! Phones that are reached over the connection that they open, and that listen nowhere: their calls are theirs again when they have connected
//! anew, after a kill of the server and after a mere loss of the connection.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::EventReleased;
use tandem_wire::model::request::OnCall;

use crate::golden::stage::{Stage, dn, on_call};
use crate::rig::handset::Handset;
use crate::rig::server::{Server, Setup};
use crate::rig::wait;

/// So often a peer is asked that listens somewhere, before it is given up.
const ATTEMPTS: f64 = 5.0;

/// Two phones on connections, of which the first has called the second.
async fn two_on_connections() -> (Stage, [Handset; 2]) {
    let numbers = ["1001", "1002"];
    let setup = numbers.iter().fold(Setup::new(), |setup, number| setup.trusted_phone(number));
    let server = setup.start().await;
    let phones = [
        Handset::over_tcp("1001", server.sip).await,
        Handset::over_tcp("1002", server.sip).await,
    ];
    (Stage::before(server, &numbers).await, phones)
}

/// Waits until the server has tried so often to ask Bob whether he is there.
async fn asked_for(server: &Server, attempts: f64) {
    wait::until("the attempts", wait::SOON, async || {
        let metrics = server.metrics().await;
        let count = metrics.sum_where("tandem_sip_requests_total", "method", "UPDATE");
        if count >= attempts { Ok(()) } else { Err(format!("{count}")) }
    })
    .await;
}

/// Waits until the phones have answered the last request, after which their connections may close.
async fn dialogs_end(server: &Server) {
    wait::until("the end of the dialogs", wait::SOON, async || {
        match server.metrics().await.sum("tandem_sip_dialogs_active") {
            Some(0.0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_outlives_a_kill_though_its_phones_can_only_connect_themselves() {
    for attempts in [0.0, ATTEMPTS + 1.0] {
        let (mut stage, [mut alice, mut bob]) = two_on_connections().await;
        let (call, there, here) = stage.talk(&alice, &bob).await;
        stage.hear(&[(&alice, "1002"), (&bob, "1001")]).await;
        stage.server.killed_and_started().await;
        asked_for(&stage.server, attempts).await;
        alice.connects_anew(2).await;
        bob.connects_anew(2).await;
        let (mut stage, answer) = stage.comes_back().await;
        assert_eq!(answer.resume.as_deref(), Some("delta"));
        for number in ["1001", "1002"] {
            stage.asks(on_call(OnCall::HoldCall, number, call)).await;
            stage.asks(on_call(OnCall::RetrieveCall, number, call)).await;
        }
        stage.hear(&[(&alice, "1002"), (&bob, "1001")]).await;
        bob.holds(here).await;
        bob.resumes(here).await;
        stage.asks(ClientRequest::clear_call(&dn("1001"), call)).await;
        alice.is_over(there).await;
        bob.is_over(here).await;
        dialogs_end(&stage.server).await;
        drop((alice, bob));
        stage.server.alive_and_idle().await;
    }
}

#[tokio::test]
async fn a_call_outlives_a_mere_loss_of_both_connections() {
    let (mut stage, [mut alice, mut bob]) = two_on_connections().await;
    let (call, there, here) = stage.talk(&alice, &bob).await;
    for number in [2, 3] {
        for phone in [&mut alice, &mut bob] {
            phone.loses_its_connection().await;
            phone.connects_anew(number).await;
        }
        for number in ["1001", "1002"] {
            stage.asks(on_call(OnCall::HoldCall, number, call)).await;
            stage.asks(on_call(OnCall::RetrieveCall, number, call)).await;
        }
        stage.hear(&[(&alice, "1002"), (&bob, "1001")]).await;
    }
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    dialogs_end(&stage.server).await;
    drop((alice, bob));
    stage.server.alive_and_idle().await;
}

#[tokio::test]
async fn a_call_that_ended_while_its_phone_was_away_is_ended_there_too() {
    for killed in [false, true] {
        let (mut stage, [mut alice, mut bob]) = two_on_connections().await;
        let (_, there, here) = stage.talk(&alice, &bob).await;
        bob.loses_its_connection().await;
        stage.server.registered(1).await;
        alice.hangs_up(there).await;
        stage.event(EventReleased, "1002").await;
        if killed {
            stage.server.killed_and_started().await;
            // That her call was over may not have been written down.
            alice.connects_anew(2).await;
        }
        bob.connects_anew(2).await;
        bob.is_over(here).await;
        dialogs_end(&stage.server).await;
        drop((alice, bob));
        stage.server.alive_and_idle().await;
    }
}
