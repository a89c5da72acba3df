//! The processes of a server that is split: drained over the link and by signal, asked for their state, reloaded, ended.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventDNBackInService, EventEstablished, EventHeld, EventReleased, EventRetrieved};
use tandem_wire::model::request::OnCall;
use tokio::net::UnixDatagram;

use super::split::Split;
use super::systemd::Manager;
use super::talk;
use crate::golden::stage::{dn, on_call};
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;
use crate::rig::http;
use crate::rig::phone::Phone;
use crate::rig::prometheus::Prometheus;
use crate::rig::sip::{Dialog, SDP, Socket};
use crate::rig::wait::{SOON, until};

const NUMBERS: [&str; 4] = ["1001", "1002", "1003", "1004"];

/// A desktop on all of them; two phones at each of two connectors.
async fn four_phones(split: &Split) -> (Desk, [Handset; 4]) {
    let numbers = NUMBERS.map(dn);
    let mut desk = Desk::on(split.tserver.http, &numbers.each_ref().map(String::as_str)).await;
    let mut phones = Vec::new();
    for (index, number) in NUMBERS.into_iter().enumerate() {
        phones.push(Handset::register(number, split.sip(index / 2)).await);
        desk.expect(EventDNBackInService, &dn(number)).await;
    }
    let phones = phones.try_into().unwrap_or_else(|_| panic!("four phones"));
    (desk, phones)
}

/// How many DNs each connector owns.
async fn owned(split: &Split) -> Vec<Option<u64>> {
    let all = split.overview().await;
    all.iter().map(|connector| connector["dns"].as_u64()).collect()
}

async fn conferences(split: &Split, connector: usize, count: u64) {
    until("the conferences", SOON, async || {
        let all = split.overview().await;
        match all[connector]["conferences"].as_u64() {
            Some(found) if found == count => Ok(()),
            _ => Err(format!("{all:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_connector_is_drained_over_the_link_and_its_call_lives() {
    let split = Split::start(&NUMBERS, 2).await;
    let (mut desk, [alice, bob, carol, dave]) = four_phones(&split).await;
    assert_eq!(owned(&split).await, [Some(2), Some(2)], "where their devices are");
    let names: Vec<_> = split
        .overview()
        .await
        .iter()
        .map(|connector| connector["name"].clone())
        .collect();
    assert_eq!(names, ["c0", "c1"]);
    desk.request(ClientRequest::make_call(&dn("1001"), "1002")).await;
    let (at_alice, at_bob) = (alice.takes().await, bob.takes().await);
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1002")).await);
    conferences(&split, 0, 1).await;

    let (status, drain) = split.tserver.asks("POST", "/v1/admin/drain", "{\"connector\": 0}").await;
    assert_eq!((status, &drain["state"]), (202, &json!("Running")), "the server itself runs");
    split.becomes("Suspending", &[0]).await;
    assert_eq!(
        owned(&split).await,
        [Some(0), Some(4)],
        "no DN is owned twice, and none by nobody"
    );
    assert_eq!(
        split
            .tserver
            .metrics()
            .await
            .sum_where("tandem_connectors", "state", "suspending"),
        1.0
    );
    split.tserver.is_ready(200).await;
    assert!(split.connectors[0].is_ready(503).await.contains("suspending"));
    let (_, own) = split.connectors[0].asks("GET", "/v1/connectors", "").await;
    assert_eq!(
        (&own["items"][0]["state"], &own["items"][0]["id"]),
        (&json!("Suspending"), &json!(0))
    );
    assert_eq!(own.get("dns"), None);

    // The call is under control still.
    desk.request(on_call(OnCall::HoldCall, "1001", call)).await;
    desk.expect(EventHeld, &dn("1001")).await;
    desk.request(on_call(OnCall::RetrieveCall, "1001", call)).await;
    desk.expect(EventRetrieved, &dn("1001")).await;
    // New ones are the other's.
    desk.request(ClientRequest::make_call(&dn("1003"), "1004")).await;
    let (at_carol, at_dave) = (carol.takes().await, dave.takes().await);
    desk.expect(EventEstablished, &dn("1004")).await;
    conferences(&split, 1, 1).await;
    conferences(&split, 0, 1).await;
    carol.hangs_up(at_carol).await;
    dave.is_over(at_dave).await;
    bob.hangs_up(at_bob).await;
    alice.is_over(at_alice).await;
    split.becomes("Suspended", &[0]).await;

    let (status, _) = split.tserver.asks("DELETE", "/v1/admin/drain?connector=0", "").await;
    assert_eq!(status, 200);
    split.becomes("Running", &[0, 1]).await;
    assert_eq!(owned(&split).await, [Some(2), Some(2)]);
    split.connectors[0].is_ready(200).await;
    let (status, problem) = split.tserver.asks("POST", "/v1/admin/drain", "{\"connector\": 2}").await;
    assert_eq!((status, &problem["code"]), (404, &json!("no-connector")));
}

#[tokio::test]
async fn phones_at_a_connector_that_is_drained_call_and_are_called_through_it() {
    let split = Split::start(&NUMBERS, 2).await;
    let (_desk, [alice, bob, carol, _dave]) = four_phones(&split).await;
    split.tserver.asks("POST", "/v1/admin/drain", "{\"connector\": 0}").await;
    split.becomes("Suspended", &[0]).await;
    for (caller, callee, number) in [(&alice, &carol, "1003"), (&carol, &alice, "1001"), (&alice, &bob, "1002")] {
        let there = caller.dials(number).await;
        let here = callee.takes().await;
        caller.is_answered(there).await;
        conferences(&split, 1, 1).await;
        assert_eq!(split.overview().await[0]["conferences"], 0, "nothing new is its own");
        callee.hangs_up(here).await;
        caller.is_over(there).await;
        conferences(&split, 1, 0).await;
    }
    // Given up while it rings: the CANCEL goes after its INVITE.
    let there = bob.dials("1003").await;
    let here = carol.rings().await;
    bob.hangs_up(there).await;
    carol.is_over(here).await;
    conferences(&split, 1, 0).await;
}

#[tokio::test]
async fn a_call_of_another_connector_outlives_the_process_that_its_phone_is_behind() {
    let mut split = Split::start(&NUMBERS, 2).await;
    let (mut desk, [alice, _bob, carol, _dave]) = four_phones(&split).await;
    split.tserver.asks("POST", "/v1/admin/drain", "{\"connector\": 0}").await;
    split.becomes("Suspended", &[0]).await;
    let there = alice.dials("1003").await;
    let here = carol.takes().await;
    alice.is_answered(there).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1003")).await);
    conferences(&split, 1, 1).await;
    split.connectors[0].program.signal(libc::SIGTERM);
    split.connectors[0].exits().await;
    split.becomes("Disconnected", &[0]).await;
    split.starts_again(Some(0)).await;
    split.becomes("Running", &[0, 1]).await;
    desk.request(on_call(OnCall::HoldCall, "1001", call)).await;
    desk.expect(EventHeld, &dn("1001")).await;
    alice.hangs_up(there).await;
    carol.is_over(here).await;
    conferences(&split, 1, 0).await;
}

#[tokio::test]
async fn three_connectors_drain_one_after_the_other_under_calls_and_none_fails() {
    const NAMES: [&str; 6] = ["1001", "1002", "1003", "1004", "1005", "1006"];
    let split = Split::start(&NAMES, 3).await;
    let mut phones = Vec::new();
    for (index, name) in NAMES.into_iter().enumerate() {
        phones.push(Phone::register(name, split.sip(index % 3)).await);
    }
    until("the registrations", SOON, async || {
        match split.tserver.metrics().await.sum_where("tandem_dns", "state", "in_service") {
            6.0 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    let over = &AtomicBool::new(false);
    let pairs = phones.chunks(2).zip(NAMES.chunks(2)).map(|(pair, names)| async move {
        let mut round = 0;
        while !over.load(Ordering::Relaxed) {
            let (caller, callee) = (&pair[round % 2], &pair[1 - round % 2]);
            let call = talk(caller, callee, names[1 - round % 2]).await;
            tokio::join!(caller.hangs_up(&call.0), callee.is_hung_up_on());
            caller.refreshes().await;
            round += 1;
        }
        round
    });
    let rolling = async {
        for connector in 0..3 {
            let order = format!("{{\"connector\": {connector}}}");
            assert_eq!(split.tserver.asks("POST", "/v1/admin/drain", &order).await.0, 202);
            split.becomes("Suspended", &[connector]).await;
            let owned: u64 = owned(&split).await.into_iter().flatten().sum();
            assert_eq!(owned, 6, "every DN has one owner");
            let order = format!("/v1/admin/drain?connector={connector}");
            assert_eq!(split.tserver.asks("DELETE", &order, "").await.0, 200);
            split.becomes("Running", &[connector]).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let (calls, ()) = tokio::join!(join_all(pairs), rolling);
    // How many depends on the machine: the drains wait for no call.
    assert!(calls.iter().all(|calls| *calls > 0), "{calls:?}");
    for connector in 0..3 {
        conferences(&split, connector, 0).await;
    }
}

#[tokio::test]
async fn a_connector_that_is_told_to_end_lets_its_call_end_first() {
    let mut split = Split::start(&NUMBERS, 2).await;
    let (mut desk, [alice, bob, ..]) = four_phones(&split).await;
    let at_alice = alice.dials("1002").await;
    let at_bob = bob.takes().await;
    alice.is_answered(at_alice).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);

    split.connectors[0].program.signal(libc::SIGTERM);
    split.becomes("Suspending", &[0]).await;
    assert_eq!(owned(&split).await, [Some(0), Some(4)]);
    let (_, drain) = split.connectors[0].asks("GET", "/v1/admin/drain", "").await;
    assert_eq!(
        (&drain["state"], &drain["active_calls"]),
        (&json!("Suspending"), &json!(1)),
        "{drain}"
    );
    // It does not come back, whoever asks.
    let (status, _) = split.connectors[0].asks("DELETE", "/v1/admin/drain", "").await;
    assert_eq!(status, 409);
    split.tserver.asks("DELETE", "/v1/admin/drain?connector=0", "").await;
    split.connectors[0].logs("its connector does not come back").await;
    assert_eq!(split.overview().await[0]["state"], "Suspending");

    desk.request(on_call(OnCall::HoldCall, "1001", call)).await;
    desk.expect(EventHeld, &dn("1001")).await;
    desk.request(on_call(OnCall::RetrieveCall, "1001", call)).await;
    desk.expect(EventRetrieved, &dn("1001")).await;
    bob.hangs_up(at_bob).await;
    alice.is_over(at_alice).await;
    desk.expect(EventReleased, &dn("1001")).await;
    split.connectors[0].exits().await;
    split.becomes("Disconnected", &[0]).await;
    let (status, problem) = split.tserver.asks("POST", "/v1/admin/drain", "{\"connector\": 0}").await;
    assert_eq!((status, &problem["code"]), (409, &json!("connector-disconnected")));
    split.starts_again(Some(0)).await;
    split.becomes("Running", &[0, 1]).await;
}

#[tokio::test]
async fn a_connector_that_is_alone_refuses_new_calls_and_a_second_signal_ends_what_is_left() {
    let mut split = Split::start(&["1001", "1002"], 1).await;
    let (alice, bob) = (
        Handset::register("1001", split.sip(0)).await,
        Handset::register("1002", split.sip(0)).await,
    );
    let at_alice = alice.dials("1002").await;
    let at_bob = bob.takes().await;
    alice.is_answered(at_alice).await;
    split.connectors[0].program.signal(libc::SIGTERM);
    split.becomes("Suspending", &[0]).await;
    assert!(split.tserver.is_ready(503).await.contains("every connector is suspending"));
    let stranger = Socket::bind("127.0.0.9").await;
    let uri = format!("sip:1002@{}", split.sip(0));
    let dialog = Dialog::new("sip:1001@tandem.local", &uri, stranger.address);
    stranger.send(split.sip(0), dialog.request("INVITE", &uri, 1, "", SDP)).await;
    let refused = stranger.final_response("1 INVITE").await;
    assert_eq!((refused.status(), refused.header("Retry-After")), (Some(503), "5"));

    split.connectors[0].program.signal(libc::SIGTERM);
    tokio::join!(alice.is_over(at_alice), bob.is_over(at_bob));
    split.connectors[0].exits().await;
    assert!(split.tserver.is_ready(503).await.contains("no connector can be reached"));
}

#[tokio::test]
async fn a_t_server_that_is_told_to_end_leaves_calls_to_its_connectors_and_the_next_one_has_them() {
    let mut split = Split::start(&["1001", "1002"], 1).await;
    let mut desk = Desk::on(split.tserver.http, &[&dn("1001")]).await;
    let (alice, bob) = (
        Handset::register("1001", split.sip(0)).await,
        Handset::register("1002", split.sip(0)).await,
    );
    let at_alice = alice.dials("1002").await;
    let at_bob = bob.takes().await;
    alice.is_answered(at_alice).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);

    split.tserver.program.signal(libc::SIGTERM);
    assert_eq!(desk.close_code().await, Some(tandem_wire::close::GOING_AWAY));
    split.tserver.exits().await;
    assert!(
        split.connectors[0]
            .is_ready(503)
            .await
            .contains("the T-Server is not connected")
    );
    let live = http::get(split.connectors[0].http, "/healthz", None)
        .await
        .expect("an answer");
    assert_eq!(live.status, 200, "{}", live.body);

    split.starts_again(None).await;
    split.becomes("Running", &[0]).await;
    split.connectors[0].is_ready(200).await;
    let (_, calls) = split.tserver.asks("GET", "/v1/calls", "").await;
    assert_eq!(calls["items"].as_array().map(Vec::len), Some(1), "{calls}");
    let mut desk = Desk::on(split.tserver.http, &[&dn("1001")]).await;
    desk.request(ClientRequest::release_call(&dn("1001"), call)).await;
    desk.expect(EventReleased, &dn("1001")).await;
    tokio::join!(alice.is_over(at_alice), bob.is_over(at_bob));
}

#[tokio::test]
async fn a_t_server_that_is_drained_waits_for_its_calls_and_a_connector_only_until_the_deadline() {
    let mut split = Split::start(&NUMBERS, 2).await;
    let (mut desk, [alice, bob, carol, dave]) = four_phones(&split).await;
    let at_alice = alice.dials("1002").await;
    let at_bob = bob.takes().await;
    let at_carol = carol.dials("1004").await;
    let at_dave = dave.takes().await;
    desk.expect(EventEstablished, &dn("1003")).await;
    let (status, drain) = split.tserver.asks("POST", "/v1/admin/drain", "").await;
    assert_eq!(
        (status, &drain["state"], &drain["active_calls"]),
        (202, &json!("Suspending"), &json!(2))
    );
    split.tserver.is_ready(503).await;
    let refused = desk.ask(ClientRequest::make_call(&dn("1001"), "1003")).await;
    assert!(refused.error_code.is_some(), "{refused:?}");

    let order = "{\"connector\": 0, \"deadline_s\": 1}";
    assert_eq!(split.tserver.asks("POST", "/v1/admin/drain", order).await.0, 202);
    tokio::join!(alice.is_over(at_alice), bob.is_over(at_bob));
    split.becomes("Suspended", &[0]).await;
    dave.hangs_up(at_dave).await;
    carol.is_over(at_carol).await;
    split.tserver.exits().await;
    split.connectors[1].is_ready(503).await;
}

#[tokio::test]
async fn both_show_what_they_do_and_read_their_configuration_again() {
    let split = Split::start(&["1001"], 1).await;
    let connector = &split.connectors[0];
    let _alice = Handset::register("1001", split.sip(0)).await;
    for process in [&split.tserver, connector] {
        let metrics = process.metrics().await;
        assert_eq!(metrics.sum_where("tandem_link_up", "link", "c0"), 1.0);
        assert_eq!(metrics.sum_where("tandem_link_connections_total", "session", "new"), 1.0);
        assert!(metrics.sum("tandem_link_messages_total").is_some_and(|count| count > 0.0));
        assert_eq!(metrics.sum("tandem_link_faults_total"), Some(0.0));
        assert_eq!(metrics.sum_where("tandem_connectors", "state", "running"), 1.0);
        assert!(metrics.names().all(|name| !name.contains("1001@")), "no DN is a label");
    }
    until("the DN in service", SOON, async || {
        let metrics = split.tserver.metrics().await;
        match metrics.sum_where("tandem_dns", "state", "in_service") {
            1.0 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    assert_eq!(
        split
            .tserver
            .metrics()
            .await
            .sum_where("tandem_connector_dns", "connector", "0"),
        1.0
    );

    split.rewrite(|text| {
        text.replace("filter = \"info\"", "filter = \"info,tandem_actors::link=debug\"")
            .replace("t4_ms = 100", "t4_ms = 100\nring_timeout_ms = 7000")
    });
    let (status, report) = connector.asks("POST", "/v1/admin/reload", "").await;
    let outcomes = |report: &serde_json::Value| {
        let changes = report["changes"].as_array().expect("a list").iter();
        changes
            .map(|change| {
                (
                    change["option"].as_str().map(str::to_owned),
                    change["outcome"].as_str().map(str::to_owned),
                )
            })
            .collect::<Vec<_>>()
    };
    let named = |option: &str, outcome: &str| (Some(option.to_owned()), Some(outcome.to_owned()));
    assert_eq!(
        (status, outcomes(&report)),
        (
            200,
            vec![named("sip.ring_timeout_ms", "not here"), named("log.filter", "applied")]
        )
    );
    split.tserver.program.signal(libc::SIGHUP);
    split.tserver.logs("configuration read again").await;
    // Messages on the link are logged from now on.
    let _desk = Desk::on(split.tserver.http, &[&dn("1001")]).await;
    split.tserver.asks("POST", "/v1/admin/drain", "{\"connector\": 0}").await;
    for process in [&split.tserver, connector] {
        process.logs("SUSPEND * MLTP/1.0").await;
    }
    split.rewrite(|text| text.replace("[log]", "[log]\nfliter = 1"));
    connector.program.signal(libc::SIGHUP);
    connector.logs("nothing was changed").await;
    let (status, problem) = split.tserver.asks("POST", "/v1/admin/reload", "").await;
    assert_eq!((status, &problem["code"]), (422, &json!("bad-configuration")));
}

#[tokio::test]
async fn the_service_manager_hears_of_the_life_of_both() {
    let directory = tempfile::tempdir().expect("a directory");
    let [of_tserver, of_connector] = ["tserver", "connector"].map(|name| directory.path().join(name));
    let managers = [&of_tserver, &of_connector].map(|path| Manager(UnixDatagram::bind(path).expect("a socket")));
    let [of_tserver, of_connector] = [&of_tserver, &of_connector].map(|path| path.to_str().expect("a path"));
    let environment = |socket| [("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "200000")];
    let mut split = Split::start_with(&["1001"], 1, &environment(of_tserver), &environment(of_connector)).await;
    for (manager, process) in managers.iter().zip([&split.tserver, &split.connectors[0]]) {
        manager.hears("READY=1").await;
        manager.hears("WATCHDOG=1").await;
        process.program.signal(libc::SIGHUP);
        manager.hears("RELOADING=1").await;
        manager.hears("READY=1").await;
        process.program.signal(libc::SIGTERM);
        manager.hears("STOPPING=1").await;
    }
    split.tserver.exits().await;
    split.connectors[0].exits().await;
}

#[tokio::test]
async fn prometheus_reads_the_pages_of_both() {
    let split = Split::start(&["1001"], 1).await;
    for process in [&split.tserver, &split.connectors[0]] {
        let prometheus = Prometheus::start(process.http);
        until("what Prometheus read", SOON * 2, async || {
            let up = prometheus.query("tandem_link_up{link=\"c0\"}").await?;
            if up == 1.0 { Ok(()) } else { Err(up.to_string()) }
        })
        .await;
    }
}
