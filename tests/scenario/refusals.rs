//! Requests that are refused, each with its T-Library error.

use tandem_wire::ClientRequest;
use tandem_wire::model::request::{OnCall, RequestName};
use tandem_wire::model::{ConnId, TErrorCode};

use crate::rig::cti::Desk;
use crate::rig::phone::Phone;
use crate::rig::server::Setup;

const ALICE: &str = "sip:1001@tandem.local";
const BOB: &str = "sip:1002@tandem.local";
const NOBODY: &str = "sip:nobody@tandem.local";

#[tokio::test]
async fn each_refusal_has_its_error() {
    let mut server = Setup::new().trusted_phone("1001").trusted_phone("1002").start().await;
    let _alice = Phone::register("1001", server.sip).await;
    let mut desk = Desk::on(server.http, &[ALICE]).await;
    let no_call = ConnId(0xdead);
    let hold = |dn: &str| ClientRequest::of_call(OnCall::HoldCall, dn, no_call);
    for (request, expected) in [
        (ClientRequest::register_address(NOBODY), TErrorCode::NotConfigured),
        (ClientRequest::make_call(BOB, ALICE), TErrorCode::NotRegistered),
        (ClientRequest::release_call(ALICE, no_call), TErrorCode::InvalidConnId),
        (ClientRequest::clear_call(ALICE, no_call), TErrorCode::InvalidConnId),
        (ClientRequest::query_call(ALICE, no_call), TErrorCode::InvalidConnId),
        (ClientRequest::delete_all_user_data(ALICE, no_call), TErrorCode::InvalidConnId),
        (ClientRequest::make_call(ALICE, "99999"), TErrorCode::InvalidCalledDn),
        (ClientRequest::unregister_address(BOB), TErrorCode::NotRegistered),
        (hold(ALICE), TErrorCode::InvalidConnId),
        (hold(BOB), TErrorCode::NotRegistered),
        (
            ClientRequest::named(RequestName::AgentLogin),
            TErrorCode::UnsupportedOperation,
        ),
    ] {
        let sent = request.to_json();
        let answer = desk.ask(request).await;
        assert_eq!(answer.error(), Some(expected), "{sent}\n{answer:?}");
    }
    // None of that was a call.
    let metrics = server.metrics().await;
    assert_eq!(metrics.sum("tandem_calls_total"), Some(0.0));
    server.alive_and_idle().await;
}

#[tokio::test]
async fn every_request_of_the_protocol_is_answered() {
    let server = Setup::new().trusted_phone("1001").start().await;
    let mut desk = Desk::on(server.http, &[ALICE]).await;
    for name in RequestName::ALL {
        if matches!(name, RequestName::CloseServer) {
            continue;
        }
        let answer = desk.ask(ClientRequest::named(*name)).await;
        assert!(!answer.event.is_empty(), "{name:?}");
    }
    desk.request(ClientRequest::close_server()).await;
    assert_eq!(desk.close_code().await, Some(tandem_wire::close::NORMAL));
}
