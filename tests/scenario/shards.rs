//! Several connectors, each with its share of the DNs: who calls whom makes no difference.

use crate::rig::http;
use crate::rig::phone::Phone;
use crate::rig::server::{API_KEY, Setup};

/// Enough names that each of the connectors has one.
const NAMES: [&str; 6] = ["1001", "1002", "1003", "1004", "1005", "1006"];

#[tokio::test]
async fn everyone_reaches_everyone_over_three_connectors() {
    let setup = NAMES.iter().fold(Setup::new(), |setup, name| setup.trusted_phone(name));
    let mut server = setup.tables("[connectors]\ncount = 3").start().await;
    let connectors = http::get(server.http, "/v1/connectors", Some(API_KEY))
        .await
        .expect("an answer");
    let connectors: serde_json::Value = serde_json::from_str(&connectors.body).expect("JSON");
    let count = connectors.as_array().or_else(|| connectors["items"].as_array()).map(Vec::len);
    assert_eq!(count, Some(3), "{connectors}");

    let mut phones = Vec::new();
    for name in NAMES {
        phones.push(Phone::register(name, server.sip).await);
    }
    server.registered(NAMES.len()).await;
    let mut calls = 0;
    for caller in &phones {
        for (callee, name) in phones.iter().zip(NAMES).filter(|(callee, _)| !std::ptr::eq(*callee, caller)) {
            let attempt = caller.dial(name).await;
            let invite = callee.rings().await;
            let at_callee = callee.picks_up(&invite).await;
            let at_caller = caller.answered(attempt).await;
            // Both ends hang up, by turns.
            if calls % 2 == 0 {
                tokio::join!(caller.hangs_up(&at_caller), callee.is_hung_up_on());
            } else {
                tokio::join!(callee.hangs_up(&at_callee), caller.is_hung_up_on());
            }
            calls += 1;
        }
    }
    server.alive_and_idle().await;
    assert_eq!(server.metrics().await.sum("tandem_calls_total"), Some(f64::from(calls + 1)));
}
