//! Either process is killed, or a connection breaks: what was established goes on.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{
    EventDNBackInService, EventDNOutOfService, EventLinkConnected, EventLinkDisconnected, EventReleased,
};

use super::stage::{Split, hold, make_call, talk};
use crate::golden::stage::dn;
use crate::rig::wait;

#[tokio::test]
async fn a_killed_t_server_comes_back_to_the_calls_of_its_connector() {
    let (mut split, [alice, bob], mut desk) = Split::set(1, [("1001", 0), ("1002", 0)]).await;
    let (call, there, here) = talk(&mut desk, &alice, &bob).await;

    split.kill_tserver().await;
    // The phones' own doings are the connector's: nobody needs the T-Server for them.
    bob.holds(here).await;
    bob.resumes(here).await;
    split.start_tserver().await;
    split.is_linked().await;
    split.has_calls(1).await;

    let mut desk = split.desk(&["1001", "1002"]).await;
    hold(&mut desk, "1001", call).await;
    desk.request(ClientRequest::release_call(&dn("1001"), call)).await;
    desk.expect(EventReleased, &dn("1001")).await;
    alice.is_over(there).await;
    bob.is_over(here).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_connector_that_is_gone_takes_its_dns_along_and_brings_them_back() {
    let (mut split, [alice, bob], mut desk) = Split::set(1, [("1001", 0), ("1002", 0)]).await;

    split.kill(0).await;
    desk.expect(EventDNOutOfService, &dn("1001")).await;
    split.is_ready(503).await;
    let refused = desk.ask(ClientRequest::make_call(&dn("1001"), "1002")).await;
    assert!(refused.error_code.is_some(), "{refused:?}");

    split.start_again(0).await;
    desk.expect(EventDNBackInService, &dn("1001")).await;
    let names: Vec<&str> = desk.frames.iter().map(String::as_str).collect();
    for name in [EventLinkDisconnected, EventLinkConnected] {
        assert!(
            names.iter().any(|frame| frame.contains(name.name())),
            "no {name} in {names:?}"
        );
    }
    // The phones had registered with the process before.
    let (_, there, here) = make_call(&mut desk, &alice, &bob).await;
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_killed_connector_comes_back_with_its_calls() {
    let (mut split, [alice, bob], mut desk) = Split::set(1, [("1001", 0), ("1002", 0)]).await;
    let (call, there, here) = talk(&mut desk, &alice, &bob).await;

    split.kill(0).await;
    split.start_again(0).await;
    split.is_linked().await;
    hold(&mut desk, "1001", call).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    desk.expect(EventReleased, &dn("1001")).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn an_edge_that_is_started_while_another_connector_is_down_knows_it_before_the_t_server_says_so() {
    let (mut split, [alice, bob], mut desk) = Split::set(2, [("1001", 0), ("1002", 1)]).await;
    let (_, there, here) = talk(&mut desk, &alice, &bob).await;

    split.kill(0).await;
    wait::until("the loss of the first connector", wait::SOON, async || {
        let log = split.connectors[1].log();
        if log.contains("others=0 ") { Ok(()) } else { Err(log) }
    })
    .await;
    // From here on nobody tells anybody who the others are.
    split.kill_tserver().await;
    split.kill(1).await;
    split.start_again(1).await;
    split.start_again(0).await;
    bob.holds(here).await;
    bob.resumes(here).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
}
