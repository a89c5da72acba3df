//! User data of a call, and the questions about it.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventReleased};
use tandem_wire::model::{KvList, KvValue};

use super::check;
use crate::rig::cti::Desk;
use crate::rig::phone::Phone;
use crate::rig::server::Setup;

const ALICE: &str = "sip:1001@tandem.local";
const BOB: &str = "sip:1002@tandem.local";

#[tokio::test]
async fn user_data_is_attached_updated_and_deleted() {
    let mut server = Setup::new().trusted_phone("1001").trusted_phone("1002").start().await;
    let alice = Phone::register("1001", server.sip).await;
    let bob = Phone::register("1002", server.sip).await;
    let mut desk = Desk::on(server.http, &[ALICE, BOB]).await;

    let mut address: KvList = [("street", "Ölweg 7"), ("city", "東京")].into_iter().collect();
    let first: KvList = [
        ("customer", KvValue::from("0815")),
        ("priority", KvValue::from(3i64)),
        ("address", KvValue::List(address.clone())),
    ]
    .into_iter()
    .collect();
    desk.request(ClientRequest::make_call(ALICE, BOB).user_data(first)).await;
    let invite = alice.rings().await;
    let talk = alice.picks_up(&invite).await;
    let invite = bob.rings().await;
    bob.picks_up(&invite).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, BOB).await);

    address.set("city", "Wien");
    desk.ask(ClientRequest::attach_user_data(
        ALICE,
        call,
        [("case", "77")].into_iter().collect(),
    ))
    .await;
    let update = [("address", KvValue::List(address)), ("new", KvValue::from("yes"))]
        .into_iter()
        .collect();
    desk.ask(ClientRequest::update_user_data(BOB, call, update)).await;
    desk.ask(ClientRequest::delete_user_data(BOB, call, "priority")).await;
    desk.ask(ClientRequest::query_call(ALICE, call)).await;
    desk.ask(ClientRequest::delete_all_user_data(ALICE, call)).await;

    alice.hangs_up(&talk).await;
    bob.is_hung_up_on().await;
    desk.expect(EventReleased, BOB).await;
    server.idle().await;
    desk.settled().await;
    check("user_data", &desk.frames, [ALICE, BOB]);
    server.alive().await;
}
