//! `/v1/admin/fault`. A build without the feature `fault-injection` has nothing there; one with it, actors that panic, connectors that stand
//! still, and messages that get lost, late or doubled on order - and a server that is alive after each.
//!
//! `cargo test --features fault-injection --test tests fault::` runs those of the second kind.

use std::net::SocketAddr;

use serde_json::Value;

use crate::rig::http;
use crate::rig::server::API_KEY;
#[cfg(not(feature = "fault-injection"))]
mod absent;
#[cfg(feature = "fault-injection")]
mod injected;
#[cfg(feature = "fault-injection")]
mod quarantine;

const PATH: &str = "/v1/admin/fault";

/// Asks with the key of an operator: the status and what is in the body.
async fn ask(server: SocketAddr, method: &str, body: &str) -> (u16, Value) {
    let response = http::send(server, method, PATH, Some(API_KEY), body)
        .await
        .expect("an answer");
    let head = response.head.to_lowercase();
    if response.status >= 400 {
        assert!(head.contains("application/problem+json"), "{head}");
    }
    let value = serde_json::from_str(&response.body).unwrap_or_else(|error| panic!("{error}: {}", response.body));
    (response.status, value)
}

/// The paths of the server's document.
async fn has_documented(server: SocketAddr) -> bool {
    let response = http::get(server, "/openapi.json", None).await.expect("an answer");
    let document: Value = serde_json::from_str(&response.body).expect("the document is JSON");
    document["paths"].get(PATH).is_some()
}
