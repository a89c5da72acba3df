//! A real Prometheus scrapes the server, and its query language gives what happened.

use std::process::Command;

use crate::rig::program::run;
use crate::rig::prometheus::Prometheus;
use crate::rig::server::Setup;
use crate::rig::wait;

/// The calls of the test.
const CALLS: usize = 7;

#[tokio::test]
async fn a_query_over_the_scraped_series_gives_the_number_of_calls() {
    let mut server = Setup::new().start().await;
    let prometheus = Prometheus::start(server.http);
    for _ in 0..CALLS {
        server.alive().await;
    }
    for (query, expected) in [
        ("sum(tandem_calls_total)", CALLS as f64),
        ("sum(tandem_call_setup_seconds_count)", CALLS as f64),
        ("sum(tandem_calls_active)", 0.0),
        ("up{job=\"tandem\"}", 1.0),
        ("count(tandem_build_info)", 1.0),
    ] {
        wait::until(query, wait::SOON, async || match prometheus.query(query).await {
            Ok(value) if value == expected => Ok(()),
            other => Err(format!("{other:?} instead of {expected}")),
        })
        .await;
    }
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_about_the_metrics() {
    let mut server = Setup::new().start().await;
    server.alive().await;
    let page = server.metrics_page().await;
    let (code, stdout, stderr) = run(Command::new("promtool").args(["check", "metrics"]), page.as_bytes());
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", ""));
}

#[tokio::test]
async fn no_label_names_a_person_or_a_call() {
    let mut server = Setup::new().start().await;
    server.alive().await;
    let samples = server.metrics().await;
    for forbidden in ["dn=", "call_id=", "conn_id=", "number=", "2999", "127.0.0."] {
        let found: Vec<&str> = samples.names().filter(|name| name.contains(forbidden)).collect();
        assert!(found.is_empty(), "{forbidden}: {found:?}");
    }
}
