//! HTTP beside the CTI protocol: health, live calls and DNs, keys, problems.

use serde_json::Value;

use crate::rig::cti::Desk;
use crate::rig::http;
use crate::rig::phone::Phone;
use crate::rig::server::{API_KEY, Server, Setup};
use tandem_wire::model::EventName::EventEstablished;

const ALICE: &str = "sip:1001@tandem.local";

async fn json(server: &Server, path: &str) -> Value {
    let response = http::get(server.http, path, Some(API_KEY)).await.expect("an answer");
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    serde_json::from_str(&response.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", response.body))
}

#[tokio::test]
async fn health_and_documents_are_open_and_the_rest_wants_a_key() {
    let server = Setup::new().start().await;
    for path in ["/livez", "/readyz", "/metrics", "/openapi.json"] {
        let response = http::get(server.http, path, None).await.expect("an answer");
        assert_eq!(response.status, 200, "{path}: {}", response.body);
    }
    for path in ["/v1/calls", "/v1/dns", "/v1/connectors"] {
        for key in [None, Some("not ours")] {
            let response = http::get(server.http, path, key).await.expect("an answer");
            assert_eq!(response.status, 401, "{path}");
            assert!(
                response.head.to_lowercase().contains("application/problem+json"),
                "{}",
                response.head
            );
        }
        json(&server, path).await;
    }
    for path in ["/v1/calls/0000000000000bad", "/v1/dns/sip:nobody@tandem.local", "/v1/nothing"] {
        let response = http::get(server.http, path, Some(API_KEY)).await.expect("an answer");
        assert_eq!(response.status, 404, "{path}");
        assert!(
            response.head.to_lowercase().contains("application/problem+json"),
            "{path}: {}",
            response.head
        );
    }
}

#[tokio::test]
async fn a_live_call_is_shown_and_gone_when_it_ended() {
    let mut server = Setup::new().trusted_phone("1001").trusted_phone("1002").start().await;
    let alice = Phone::register("1001", server.sip).await;
    let bob = Phone::register("1002", server.sip).await;
    let mut desk = Desk::on(server.http, &[ALICE]).await;
    let attempt = alice.dial("1002").await;
    let invite = bob.rings().await;
    bob.picks_up(&invite).await;
    let talk = alice.answered(attempt).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, ALICE).await).to_string();

    assert!(json(&server, "/v1/calls").await.to_string().contains(&call));
    let shown = json(&server, &format!("/v1/calls/{call}")).await.to_string();
    assert!(shown.contains(ALICE) && shown.contains("sip:1002@tandem.local"), "{shown}");
    assert!(json(&server, &format!("/v1/dns/{ALICE}")).await.to_string().contains(ALICE));

    alice.hangs_up(&talk).await;
    bob.is_hung_up_on().await;
    server.idle().await;
    assert!(!json(&server, "/v1/calls").await.to_string().contains(&call));
    server.alive().await;
}
