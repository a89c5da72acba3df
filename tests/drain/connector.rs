//! One connector drains: its DNs are others' at once, its calls stay until they end, and nobody's call fails.

use futures_util::future::join_all;

use super::{admin, talk};
use crate::rig::phone::Phone;
use crate::rig::server::{Server, Setup};
use crate::rig::wait::{SOON, until};

/// Enough names that each of the connectors has one.
const NAMES: [&str; 8] = ["1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008"];

async fn three_connectors() -> (Server, Vec<Phone>) {
    let setup = NAMES.iter().fold(Setup::new(), |setup, name| setup.trusted_phone(name));
    let server = setup.tables("[connectors]\ncount = 3").start().await;
    let mut phones = Vec::new();
    for name in NAMES {
        phones.push(Phone::register(name, server.sip).await);
    }
    (server, phones)
}

/// The connector that has this DN.
async fn connector_of(server: &Server, phone: &Phone) -> u64 {
    let (status, dn) = admin(server, "GET", &format!("/v1/dns/{}", phone.dn()), "").await;
    assert_eq!(status, 200, "{dn}");
    dn["connector"].as_u64().expect("a number")
}

async fn state_of(server: &Server, connector: u64) -> String {
    let (_, connectors) = admin(server, "GET", "/v1/connectors", "").await;
    let all = connectors["items"].as_array().expect("a list");
    let found = all.iter().find(|entry| entry["id"].as_u64() == Some(connector));
    found.expect("the connector")["state"].as_str().expect("a state").to_owned()
}

async fn becomes(server: &Server, connector: u64, state: &str) {
    until("the connector's state", SOON, async || {
        let now = state_of(server, connector).await;
        if now == state { Ok(()) } else { Err(now) }
    })
    .await;
}

async fn ends(caller: &Phone, callee: &Phone, call: &(crate::rig::phone::Talk, crate::rig::phone::Talk)) {
    tokio::join!(caller.hangs_up(&call.0), callee.is_hung_up_on());
}

#[tokio::test]
async fn the_dns_of_a_connector_move_and_its_calls_stay() {
    let (mut server, phones) = three_connectors().await;
    let mut homes = Vec::new();
    for phone in &phones {
        homes.push(connector_of(&server, phone).await);
    }
    // The first phone calls: the call is at its connector.
    let drained = homes[0];
    let live = talk(&phones[0], &phones[1], NAMES[1]).await;
    let order = format!("{{\"connector\": {drained}}}");
    let (status, _) = admin(&server, "POST", "/v1/admin/drain", &order).await;
    assert_eq!(status, 202);
    becomes(&server, drained, "Suspending").await;
    for (phone, home) in phones.iter().zip(&homes) {
        let now = connector_of(&server, phone).await;
        assert!(
            now != drained && (now == *home || *home == drained),
            "{}: {home}, now {now}",
            phone.dn()
        );
    }
    // Everybody else goes on, whoever has their DNs; and can register again.
    for phone in &phones[2..] {
        phone.refreshes().await;
    }
    for pair in [(2, 3), (4, 5), (6, 7), (3, 2), (5, 4), (7, 6)] {
        let (caller, callee) = (&phones[pair.0], &phones[pair.1]);
        ends(caller, callee, &talk(caller, callee, NAMES[pair.1]).await).await;
    }
    server.registered(NAMES.len()).await;
    assert_eq!(state_of(&server, drained).await, "Suspending", "its call lives");
    ends(&phones[0], &phones[1], &live).await;
    becomes(&server, drained, "Suspended").await;
    ends(&phones[0], &phones[1], &talk(&phones[0], &phones[1], NAMES[1]).await).await;

    let (status, _) = admin(&server, "DELETE", &format!("/v1/admin/drain?connector={drained}"), "").await;
    assert_eq!(status, 200);
    becomes(&server, drained, "Running").await;
    for (phone, home) in phones.iter().zip(&homes) {
        assert_eq!(connector_of(&server, phone).await, *home);
        phone.refreshes().await;
    }
    for pair in [(0, 1), (1, 0), (2, 5), (6, 3)] {
        let (caller, callee) = (&phones[pair.0], &phones[pair.1]);
        ends(caller, callee, &talk(caller, callee, NAMES[pair.1]).await).await;
    }
    server.registered(NAMES.len()).await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn connectors_drain_one_after_the_other_under_calls_that_arrive_and_none_fails() {
    let (mut server, phones) = three_connectors().await;
    let pairs = phones.chunks(2).zip(NAMES.chunks(2)).map(|(pair, names)| async move {
        for round in 0..12 {
            let (caller, callee, number) = match round % 2 {
                0 => (&pair[0], &pair[1], names[1]),
                _ => (&pair[1], &pair[0], names[0]),
            };
            ends(caller, callee, &talk(caller, callee, number).await).await;
            caller.refreshes().await;
        }
    });
    let rolling = async {
        for connector in 0..3 {
            let (status, _) = admin(&server, "POST", "/v1/admin/drain", &format!("{{\"connector\": {connector}}}")).await;
            assert_eq!(status, 202);
            becomes(&server, connector, "Suspended").await;
            let (status, _) = admin(&server, "DELETE", &format!("/v1/admin/drain?connector={connector}"), "").await;
            assert_eq!(status, 200);
            becomes(&server, connector, "Running").await;
        }
    };
    tokio::join!(join_all(pairs), rolling);
    server.registered(NAMES.len()).await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_single_connector_keeps_its_dns_and_takes_no_new_call() {
    let mut server = Setup::new().trusted_phone("1001").trusted_phone("1002").start().await;
    let (alice, bob) = (
        Phone::register("1001", server.sip).await,
        Phone::register("1002", server.sip).await,
    );
    let live = talk(&alice, &bob, "1002").await;
    let (status, _) = admin(&server, "POST", "/v1/admin/drain", "{\"connector\": 0}").await;
    assert_eq!(status, 202);
    becomes(&server, 0, "Suspending").await;
    let attempt = alice.dial("1002").await;
    assert_eq!(alice.refused(&attempt).await, 503);
    ends(&alice, &bob, &live).await;
    becomes(&server, 0, "Suspended").await;
    let (status, _) = admin(&server, "DELETE", "/v1/admin/drain?connector=0", "").await;
    assert_eq!(status, 200);
    becomes(&server, 0, "Running").await;
    ends(&alice, &bob, &talk(&alice, &bob, "1002").await).await;
    server.alive_and_idle().await;
}
