//! A connector that has lost its disk comes back with nothing: the T-Server's copy has its calls and its phones.

use tandem_wire::ClientRequest;
use tandem_wire::model::ConnId;
use tandem_wire::model::EventName::{EventEstablished, EventReleased};

use super::stage::{Split, connect, hold, retrieve, talk};
use crate::golden::stage::dn;
use crate::rig::cti::Desk;

/// Whether the connector said that it goes on with the copy.
fn went_on_with_the_copy(split: &Split) -> bool {
    split.connectors[0].log().contains("it goes on with the T-Server's copy")
}

/// The desktop has full control of the call, and ends it.
async fn is_controlled(desk: &mut Desk, call: ConnId) {
    hold(desk, "1001", call).await;
    retrieve(desk, "1001", call).await;
    desk.request(ClientRequest::release_call(&dn("1001"), call)).await;
    desk.expect(EventReleased, &dn("1001")).await;
}

#[tokio::test]
async fn a_connector_without_its_journal_gets_its_calls_and_phones_back_from_the_t_server() {
    let at = [("1001", 0), ("1002", 0), ("1003", 0)];
    let (mut split, [alice, bob, carol], mut desk) = Split::set(1, at).await;
    let (call, there, here) = talk(&mut desk, &alice, &bob).await;

    split.lose(0).await;
    split.start_again(0).await;
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
    split.lose(0).await;
    split.start_again(0).await;
    split.is_linked().await;
    split.has_calls(1).await;
    carol.hangs_up(here).await;
    alice.is_over(there).await;
    desk.expect(EventReleased, &dn("1001")).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn the_copy_outlives_the_t_server() {
    let (mut split, [alice, bob], mut desk) = Split::set(1, [("1001", 0), ("1002", 0)]).await;
    let (call, there, here) = talk(&mut desk, &alice, &bob).await;

    split.kill_tserver().await;
    split.lose(0).await;
    split.start_tserver().await;
    split.start_again(0).await;
    split.is_linked().await;
    split.has_calls(1).await;
    let mut desk = split.desk(&["1001", "1002"]).await;
    is_controlled(&mut desk, call).await;
    alice.is_over(there).await;
    bob.is_over(here).await;
    split.has_calls(0).await;
    assert!(went_on_with_the_copy(&split));
}

#[tokio::test]
async fn an_edge_without_its_journal_leads_to_its_phones_still() {
    let (mut split, [alice, bob], mut desk) = Split::set(2, [("1001", 0), ("1002", 1)]).await;
    let (call, there, here) = talk(&mut desk, &alice, &bob).await;

    // The conference is at the first one. What leads from there to the phone is a token that the second one has made.
    split.lose(1).await;
    split.start_again(1).await;
    hold(&mut desk, "1002", call).await;
    retrieve(&mut desk, "1002", call).await;
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    desk.expect(EventReleased, &dn("1001")).await;
    split.has_calls(0).await;

    // So for the phone's registration.
    let (there, here) = connect(&alice, &bob).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    split.has_calls(0).await;
}
