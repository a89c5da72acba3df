//! The configuration read again: what is valid is in force as far as it can be, what is not changes nothing.

use super::admin;
use crate::rig::http;
use crate::rig::server::{API_KEY, Server, Setup};
use crate::rig::wait::{SOON, until};

async fn logged(server: &Server, text: &str) {
    until("the log line", SOON, async || {
        let log = server.program.tail();
        if log.contains(text) { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test]
async fn what_can_be_is_in_force_and_the_rest_is_reported() {
    let mut server = Setup::new().trusted_phone("1001").start().await;
    let (status, report) = admin(&server, "POST", "/v1/admin/reload", "").await;
    assert_eq!((status, &report["changes"]), (200, &serde_json::json!([])));
    server.rewrite(|text| {
        text.replace("filter = \"info\"", "filter = \"warn\"")
            .replace("drain_timeout_s = 5", "drain_timeout_s = 6")
            .replace("[sip]\n", "[sip]\nproduct = \"Other\"\n")
            .replace("key = \"rig-key-of-the-tests\"", "key = \"another-key-of-them\"")
    });
    let (status, report) = admin(&server, "POST", "/v1/admin/reload", "").await;
    assert_eq!(status, 200, "{report}");
    let changes = report["changes"].as_array().expect("a list").iter();
    let changes: Vec<_> = changes
        .map(|change| (change["option"].as_str(), change["outcome"].as_str()))
        .collect();
    let expected = [
        (Some("server.drain_timeout_s"), Some("applied")),
        (Some("sip.product"), Some("needs restart")),
        (Some("cti.api_key[0].key"), Some("applied")),
        (Some("log.filter"), Some("applied")),
    ];
    assert_eq!(changes, expected);
    let connectors = async |key| {
        http::get(server.http, "/v1/connectors", Some(key))
            .await
            .expect("an answer")
            .status
    };
    assert_eq!(
        (connectors(API_KEY).await, connectors("another-key-of-them").await),
        (401, 200)
    );
    server.alive().await;
}

#[tokio::test]
async fn a_configuration_that_is_not_valid_changes_nothing_and_says_every_problem() {
    let mut server = Setup::new().trusted_phone("1001").start().await;
    server.rewrite(|text| {
        text.replace("drain_timeout_s = 5", "drain_timeout_s = \"soon\"")
            .replace("filter = \"info\"", "filter = \"off\"\nfliter = 1")
    });
    let (status, problem) = admin(&server, "POST", "/v1/admin/reload", "").await;
    assert_eq!((status, &problem["code"]), (422, &"bad-configuration".into()), "{problem}");
    let problems = problem["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 2, "{problem}");
    server.program.signal(libc::SIGHUP);
    logged(&server, "nothing was changed").await;
    server.rewrite(|text| text.replace("\"soon\"", "9").replace("\"off\"\nfliter = 1", "\"info\""));
    server.program.signal(libc::SIGHUP);
    logged(&server, "server.drain_timeout_s").await;
    server.alive().await;
}
