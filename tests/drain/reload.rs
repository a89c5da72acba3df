//! The configuration read again: what is valid is in force as far as it can be, what is not changes nothing.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventDNBackInService, EventDNOutOfService, EventError, EventEstablished, EventReleased};

use super::split::Split;
use super::{admin, talk};
use crate::golden::stage::dn;
use crate::rig::cti::Desk;
use crate::rig::http;
use crate::rig::phone::Phone;
use crate::rig::ports::free_port;
use crate::rig::server::{API_KEY, Server, Setup};
use crate::rig::sip::{Dialog, Socket};
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

const ALICE: &str = "sip:1001@tandem.local";
const BOB: &str = "sip:1002@tandem.local";

/// Has the server read its configuration again, as it is after this change: each option that has changed, what came of it, and when.
async fn reloaded(server: &Server, change: impl FnOnce(String) -> String) -> Vec<[String; 3]> {
    server.rewrite(change);
    let (status, report) = admin(server, "POST", "/v1/admin/reload", "").await;
    assert_eq!(status, 200, "{report}");
    let changes = report["changes"].as_array().expect("a list").iter();
    let field = |change: &serde_json::Value, name: &str| change[name].as_str().unwrap_or_default().to_owned();
    changes
        .map(|change| ["option", "outcome", "takes_effect"].map(|name| field(change, name)))
        .collect()
}

fn changed(option: &str, outcome: &str, takes_effect: &str) -> [String; 3] {
    [option, outcome, takes_effect].map(str::to_owned)
}

async fn known_dns(server: &Server) -> usize {
    let page = http::get(server.http, "/v1/dns", Some(API_KEY)).await.expect("an answer");
    page.body.matches("@tandem.local\"").count()
}

#[tokio::test]
async fn a_dn_comes_with_a_reload_is_called_and_goes_with_the_next_one() {
    const NEW: &str = "[[dn]]\ndn = \"sip:1002@tandem.local\"\ntrusted_sources = [\"127.0.0.0/8\"]\n";
    let mut server = Setup::new().trusted_phone("1001").start().await;
    let alice = Phone::register("1001", server.sip).await;
    let before = known_dns(&server).await;
    let changes = reloaded(&server, |text| format!("{text}{NEW}")).await;
    assert_eq!(changes, [changed("dn[]", "applied", "immediately")]);
    assert_eq!(known_dns(&server).await, before + 1);
    let mut desk = Desk::on(server.http, &[ALICE, BOB]).await;
    let bob = Phone::register("1002", server.sip).await;
    desk.expect(EventDNBackInService, BOB).await;
    let (at_alice, _) = talk(&alice, &bob, "1002").await;
    desk.expect(EventEstablished, ALICE).await;

    let changes = reloaded(&server, |text| text.replace(NEW, "")).await;
    assert_eq!(changes, [changed("dn[]", "applied", "immediately")]);
    let gone = desk.expect(EventDNOutOfService, BOB).await;
    assert_eq!(gone.extensions.text("cause"), Some("removed"));
    assert_eq!(known_dns(&server).await, before);
    server.registered(1).await;
    let socket = Socket::bind("127.0.0.1").await;
    let request = Dialog::new(BOB, BOB, socket.address).request("REGISTER", "sip:tandem.local", 1, "", "");
    socket.send(server.sip, request).await;
    assert_eq!(socket.final_response("1 REGISTER").await.status(), Some(401));
    // Its call goes on until it ends.
    alice.hangs_up(&at_alice).await;
    bob.is_hung_up_on().await;
    desk.expect(EventReleased, BOB).await;
    let attempt = alice.dial("1002").await;
    assert_eq!(alice.refused(&attempt).await, 404);
    desk.request(ClientRequest::make_call(BOB, "1001")).await;
    desk.expect(EventError, BOB).await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_dial_rule_that_changes_holds_for_the_next_call() {
    let port = free_port();
    let mut server = Setup::new()
        .trusted_phone("1001")
        .tables(&format!(
            "[[trunk]]\ndn = \"sip:carrier@tandem.local\"\naddress = \"sip:127.0.0.8:{port};transport=udp\"\n\
             [[dial_rule]]\npattern = \"0Z.\"\nstrip = 1\ntrunk = \"sip:carrier@tandem.local\""
        ))
        .start()
        .await;
    let alice = Phone::register("1001", server.sip).await;
    let carrier = Phone::on_trunk("664", &format!("127.0.0.8:{port}"), server.sip).await;
    let attempt = alice.dial("0664").await;
    let invite = carrier.rings().await;
    let changes = reloaded(&server, |text| text.replace("\"0Z.\"", "\"9Z.\"")).await;
    assert_eq!(changes, [changed("dial_rule[0].pattern", "applied", "next call")]);
    carrier.picks_up(&invite).await;
    let talk = alice.answered(attempt).await;
    alice.hangs_up(&talk).await;
    carrier.is_hung_up_on().await;
    let attempt = alice.dial("0664").await;
    assert_eq!(alice.refused(&attempt).await, 404);
    let attempt = alice.dial("9665").await;
    let invite = carrier.rings().await;
    assert!(invite.start.starts_with("INVITE sip:665@127.0.0.8"), "{}", invite.start);
    carrier.refuses(&invite, "486 Busy Here").await;
    assert_eq!(alice.refused(&attempt).await, 486);
    server.alive_and_idle().await;
}

#[tokio::test]
async fn the_pool_of_conferences_has_its_new_size_at_once_and_music_that_is_not_there_is_refused() {
    let mut server = Setup::new()
        .trusted_phone("1001")
        .tables("[conference]\npool_size = 2")
        .start()
        .await;
    let idle = async |count: usize| {
        until("the resources", SOON, async || {
            let idle = server
                .metrics()
                .await
                .sum_where("tandem_conference_resources", "state", "idle");
            if idle == count as f64 {
                Ok(())
            } else {
                Err(format!("{idle}"))
            }
        })
        .await;
    };
    idle(2).await;
    for (before, after) in [(2, 7), (7, 1)] {
        let changes = reloaded(&server, |text| {
            text.replace(&format!("pool_size = {before}"), &format!("pool_size = {after}"))
        })
        .await;
        assert_eq!(changes, [changed("conference.pool_size", "applied", "immediately")]);
        idle(after).await;
    }
    let music = "[media]\nmusic = \"tandem.toml\"\n[conference]\n";
    server.rewrite(|text| text.replace("[conference]\n", music));
    let (status, problem) = admin(&server, "POST", "/v1/admin/reload", "").await;
    assert_eq!((status, &problem["code"]), (422, &"bad-configuration".into()), "{problem}");
    let changes = reloaded(&server, |text| text.replace(music, "[conference]\nmax_parties = 9\n")).await;
    assert_eq!(changes, [changed("conference.max_parties", "applied", "next conference")]);
    server.alive().await;
}

#[tokio::test]
async fn of_a_server_that_is_split_each_process_knows_a_dn_once_it_has_read_of_it() {
    const NEW: &str = "[[dn]]\ndn = \"sip:1002@tandem.local\"\ntrusted_sources = [\"127.0.0.0/8\"]\n";
    let split = Split::start(&["1001"], 1).await;
    let connector = &split.connectors[0];
    let alice = Phone::register("1001", split.sip(0)).await;
    split.rewrite(|text| format!("{text}\n{NEW}"));
    let outcome = |report: serde_json::Value| report["changes"][0]["outcome"].clone();
    // Who registers before the T-Server has heard of its DN is in service once that has.
    let (_, report) = connector.asks("POST", "/v1/admin/reload", "").await;
    assert_eq!(outcome(report), "applied");
    let bob = Phone::register("1002", split.sip(0)).await;
    let (_, report) = split.tserver.asks("POST", "/v1/admin/reload", "").await;
    assert_eq!(outcome(report), "applied");
    let mut desk = Desk::on(split.tserver.http, &[&dn("1001"), &dn("1002")]).await;
    until("the DN in service", SOON, async || {
        let metrics = split.tserver.metrics().await;
        match metrics.sum_where("tandem_dns", "state", "in_service") {
            2.0 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    let (at_alice, _) = talk(&alice, &bob, "1002").await;
    desk.expect(EventEstablished, &dn("1002")).await;

    split.rewrite(|text| text.replace(NEW, ""));
    for process in [&split.tserver, connector] {
        process.asks("POST", "/v1/admin/reload", "").await;
    }
    desk.expect(EventDNOutOfService, &dn("1002")).await;
    alice.hangs_up(&at_alice).await;
    bob.is_hung_up_on().await;
    desk.expect(EventReleased, &dn("1002")).await;
    let attempt = alice.dial("1002").await;
    assert_eq!(alice.refused(&attempt).await, 404);
    assert_eq!(split.tserver.metrics().await.sum("tandem_dns"), Some(1.0));
}
