//! A connector that has lost its disk comes back with nothing: the T-Server's copy has its calls and its phones.

use std::path::Path;

use tandem_wire::ClientRequest;
use tandem_wire::model::ConnId;
use tandem_wire::model::EventName::{EventEstablished, EventHeld, EventReleased, EventRetrieved};
use tandem_wire::model::request::OnCall;

use super::Split;
use super::spread::Spread;
use crate::golden::stage::{dn, on_call};
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;
use crate::rig::wait;

/// Kills the connector, and its disk with it.
async fn lose_connector(split: &mut Split) {
    split.connector.signal(libc::SIGKILL);
    split.connector.exit(wait::SOON).await;
    lose_journal(split.directory.path(), 0);
}

fn lose_journal(directory: &Path, connector: usize) {
    let journal = directory.join(format!("tandem-data/journal/connector-{connector}"));
    std::fs::remove_dir_all(&journal).expect("the connector had a journal");
}

/// Whether the connector said that it goes on with the copy.
fn went_on_with_the_copy(split: &Split) -> bool {
    let log = std::fs::read_to_string(&split.connector.log).expect("a log");
    log.contains("it goes on with the T-Server's copy")
}

/// The desktop has full control of the call, and ends it.
async fn is_controlled(desk: &mut Desk, call: ConnId) {
    desk.request(on_call(OnCall::HoldCall, "1001", call)).await;
    desk.expect(EventHeld, &dn("1001")).await;
    desk.request(on_call(OnCall::RetrieveCall, "1001", call)).await;
    desk.expect(EventRetrieved, &dn("1001")).await;
    desk.request(ClientRequest::release_call(&dn("1001"), call)).await;
    desk.expect(EventReleased, &dn("1001")).await;
}

#[tokio::test]
async fn a_connector_without_its_journal_gets_its_calls_and_phones_back_from_the_t_server() {
    let mut split = Split::start(&["1001", "1002", "1003"], "", "").await;
    let alice = Handset::register("1001", split.sip).await;
    let bob = Handset::register("1002", split.sip).await;
    let carol = Handset::register("1003", split.sip).await;
    let mut desk = Desk::on(split.http, &[&dn("1001"), &dn("1002")]).await;
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);

    lose_connector(&mut split).await;
    split.start_connector().await;
    split.is_linked().await;
    is_controlled(&mut desk, call).await;
    alice.is_over(there).await;
    bob.is_over(here).await;
    assert!(went_on_with_the_copy(&split));

    // Nobody has registered again.
    desk.request(ClientRequest::make_call(&dn("1001"), "1003")).await;
    let there = alice.takes().await;
    let here = carol.takes().await;
    desk.expect(EventEstablished, &dn("1001")).await;

    // What came back is copied as well, and what is over is not.
    lose_connector(&mut split).await;
    split.start_connector().await;
    split.is_linked().await;
    split.has_calls(1).await;
    carol.hangs_up(here).await;
    alice.is_over(there).await;
    desk.expect(EventReleased, &dn("1001")).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn the_copy_outlives_the_t_server() {
    let mut split = Split::start(&["1001", "1002"], "", "").await;
    let alice = Handset::register("1001", split.sip).await;
    let bob = Handset::register("1002", split.sip).await;
    let mut desk = Desk::on(split.http, &[&dn("1001"), &dn("1002")]).await;
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);

    split.kill_tserver().await;
    lose_connector(&mut split).await;
    split.start_tserver().await;
    split.start_connector().await;
    split.is_linked().await;
    split.has_calls(1).await;
    let mut desk = Desk::on(split.http, &[&dn("1001"), &dn("1002")]).await;
    is_controlled(&mut desk, call).await;
    alice.is_over(there).await;
    bob.is_over(here).await;
    split.has_calls(0).await;
    assert!(went_on_with_the_copy(&split));
}

#[tokio::test]
async fn an_edge_without_its_journal_leads_to_its_phones_still() {
    let mut spread = Spread::start(2, &["1001", "1002"], "").await;
    let ([alice, bob], mut desk) = spread.phones([("1001", 0), ("1002", 1)]).await;
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);

    // The conference is at the first one. What leads from there to the phone is a token that the second one has made.
    spread.kill(1).await;
    lose_journal(spread.directory.path(), 1);
    spread.start_again(1).await;
    desk.request(on_call(OnCall::HoldCall, "1002", call)).await;
    desk.expect(EventHeld, &dn("1002")).await;
    desk.request(on_call(OnCall::RetrieveCall, "1002", call)).await;
    desk.expect(EventRetrieved, &dn("1002")).await;
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    desk.expect(EventReleased, &dn("1001")).await;
    spread.has_calls(0).await;

    // So for the phone's registration.
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    spread.has_calls(0).await;
}
