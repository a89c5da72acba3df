//! Application pools: three processes, where the connectors of two pools have DNs of their own, and no pool stands in for another.

use std::net::SocketAddr;

use serde_json::Value;
use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventDNOutOfService, EventReleased};
use tandem_wire::model::KvValue;

use super::stage::{Split, loopback, make_call};
use crate::golden::stage::dn;
use crate::rig::{http, ports, wait};

/// 1001 is of the default pool, 1002 and 1003 are in a folder of the pool `Site`.
const TABLES: &str = "\
[conference]
pool_size = 2
[[dn_folder]]
name = \"Env36\"
pool_name = \"Site\"
conference_pool_size = 3
uri_pattern = \"sip:site{D}@tandem.local\"
count = 2
[[dn_range]]
dn = \"sip:{n}@tandem.local\"
first = 1001
last = 1001
trusted_sources = [\"127.0.0.0/8\"]
[[dn_range]]
dn = \"sip:{n}@tandem.local\"
first = 1002
last = 1003
trusted_sources = [\"127.0.0.0/8\"]
folder = \"Env36/Floor1\"";

/// The connectors.
const DEFAULT: usize = 0;
const SITE: usize = 1;

/// In each pool a connector, with its conferences made.
async fn pools() -> Split {
    let [default, site] = [(); 2].map(|()| loopback(ports::free_port()));
    let of_default = format!("http_bind = \"{default}\"");
    let of_site = format!("http_bind = \"{site}\"\npool_name = \"Site\"");
    let split = Split::among(&[], &[&of_default, &of_site], TABLES).await;
    for (http, size) in [(default, 2), (site, 3)] {
        has_conferences(http, size).await;
    }
    shows(&split, "/v1/connectors", "state", &["Running", "Running"]).await;
    split
}

/// Waits until the field of each item of a page is as expected.
async fn shows(split: &Split, page: &str, field: &str, expected: &[&str]) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    split
        .shows(page, |items| {
            items.iter().map(|item| text(&item[field])).eq(expected.iter().copied())
        })
        .await;
}

/// Waits until that many conferences stand ready at a connector.
async fn has_conferences(connector: SocketAddr, count: usize) {
    let (series, value) = ("tandem_conference_resources{", format!("state=\"idle\"}} {count}"));
    wait::until("the conferences made in advance", wait::SOON, async || {
        let page = http::get(connector, "/metrics", None).await?.body;
        let of_conferences = || page.lines().filter(|line| line.starts_with(series));
        match of_conferences().any(|line| line.ends_with(&value)) {
            true => Ok(()),
            false => Err(of_conferences().collect()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_dn_is_served_by_the_connectors_of_its_folders_pool_and_by_no_others() {
    let mut split = pools().await;
    shows(&split, "/v1/dns", "connector", &["0", "1", "1"]).await;
    // A phone may register at a connector of another pool: that one is its edge, and no owner of the DN.
    let ([alice, bob, carol], mut desk) = split.phones([("1001", DEFAULT), ("1002", SITE), ("1003", DEFAULT)]).await;
    shows(&split, "/v1/dns", "connector", &["0", "1", "1"]).await;

    // From one pool to the other, and within one by way of the other's connector.
    for (caller, called) in [(&alice, &bob), (&bob, &carol)] {
        let (_, there, here) = make_call(&mut desk, caller, called).await;
        called.hangs_up(here).await;
        caller.is_over(there).await;
        desk.expect(EventReleased, &caller.dn()).await;
    }

    // A back-to-back call is shown an endpoint of the pool whose connector makes it.
    let back_to_back = [("calling-method", KvValue::from("b2b"))].into_iter().collect();
    let request = ClientRequest::make_call(&dn("1003"), "1002").extensions(back_to_back);
    desk.request(request).await;
    let there = carol.takes().await;
    let here = bob.takes().await;
    let from = bob.invite(here).header("From").to_owned();
    assert!(from.contains("sip:site"), "{from}");
    bob.hangs_up(here).await;
    carol.is_over(there).await;
    desk.expect(EventReleased, &carol.dn()).await;

    // Without its connectors a pool has no service, though another one has.
    split.kill(SITE).await;
    desk.expect(EventDNOutOfService, &dn("1002")).await;
    desk.expect(EventDNOutOfService, &dn("1003")).await;
    shows(&split, "/v1/dns", "inService", &["true", "false", "false"]).await;
    for number in ["1002", "1003"] {
        let answer = desk.ask(ClientRequest::make_call(&dn(number), "1001")).await;
        assert!(answer.error_code.is_some(), "{answer:?}");
    }
    shows(&split, "/v1/dns", "connector", &["0", "1", "1"]).await;
}
