//! Either process is killed, or a connection breaks: what was established goes on.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{
    EventDNBackInService, EventDNOutOfService, EventEstablished, EventHeld, EventLinkConnected, EventLinkDisconnected,
    EventReleased,
};
use tandem_wire::model::request::OnCall;

use super::Split;
use crate::golden::stage::{dn, on_call};
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;

#[tokio::test]
async fn a_killed_t_server_comes_back_to_the_calls_of_its_connector() {
    let mut split = Split::start(&["1001", "1002"], "", "").await;
    let alice = Handset::register("1001", split.sip).await;
    let bob = Handset::register("1002", split.sip).await;
    let mut desk = Desk::on(split.http, &[&dn("1001"), &dn("1002")]).await;
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);

    split.kill_tserver().await;
    // The phones' own doings are the connector's: nobody needs the T-Server for them.
    bob.holds(here).await;
    bob.resumes(here).await;
    split.start_tserver().await;
    split.is_linked().await;
    split.has_calls(1).await;

    let mut desk = Desk::on(split.http, &[&dn("1001"), &dn("1002")]).await;
    desk.request(on_call(OnCall::HoldCall, "1001", call)).await;
    desk.expect(EventHeld, &dn("1001")).await;
    desk.request(ClientRequest::release_call(&dn("1001"), call)).await;
    desk.expect(EventReleased, &dn("1001")).await;
    alice.is_over(there).await;
    bob.is_over(here).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_connector_that_is_gone_takes_its_dns_along_and_brings_them_back() {
    let mut split = Split::start(&["1001", "1002"], "", "").await;
    let alice = Handset::register("1001", split.sip).await;
    let bob = Handset::register("1002", split.sip).await;
    let mut desk = Desk::on(split.http, &[&dn("1001"), &dn("1002")]).await;

    split.connector.signal(libc::SIGKILL);
    split.connector.exit(crate::rig::wait::SOON).await;
    desk.expect(EventDNOutOfService, &dn("1001")).await;
    split.is_ready(503).await;
    let refused = desk.ask(ClientRequest::make_call(&dn("1001"), "1002")).await;
    assert!(refused.error_code.is_some(), "{refused:?}");

    split.start_connector().await;
    desk.expect(EventDNBackInService, &dn("1001")).await;
    let names: Vec<&str> = desk.frames.iter().map(String::as_str).collect();
    for name in [EventLinkDisconnected, EventLinkConnected] {
        assert!(
            names.iter().any(|frame| frame.contains(name.name())),
            "no {name} in {names:?}"
        );
    }
    // The phones had registered with the process before.
    desk.request(ClientRequest::make_call(&dn("1001"), "1002")).await;
    let there = alice.takes().await;
    let here = bob.takes().await;
    desk.expect(EventEstablished, &dn("1002")).await;
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_killed_connector_comes_back_with_its_calls() {
    let mut split = Split::start(&["1001", "1002"], "", "").await;
    let alice = Handset::register("1001", split.sip).await;
    let bob = Handset::register("1002", split.sip).await;
    let mut desk = Desk::on(split.http, &[&dn("1001"), &dn("1002")]).await;
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);

    split.restart_connector().await;
    split.is_linked().await;
    desk.request(on_call(OnCall::HoldCall, "1001", call)).await;
    desk.expect(EventHeld, &dn("1001")).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    desk.expect(EventReleased, &dn("1001")).await;
    split.has_calls(0).await;
}
