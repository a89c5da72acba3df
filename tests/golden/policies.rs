//! What calls may be: without any DN of ours (`allow-pass-through-calls`, seed 002 lines 2410-2445), and reported or not
//! (`handle-direct-calls`, lines 2330-2408). And how the pool of conference resources takes a load (lines 1285-1305, 2118-2167).

use std::time::Instant;

use tandem_wire::model::EventName::{EventEstablished, EventPartyAdded, EventReleased};
use tandem_wire::model::request::{OnCallWith, OnTwoCalls};
use tandem_wire::model::{ConnId, EventName, KvList};
use tandem_wire::{ClientRequest, EventFrame};

use super::stage::{Stage, dn, on_two, with};
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;
use crate::rig::ports::free_port;
use crate::rig::server::{Server, Setup};
use crate::rig::wait;

/// Alice's phone, and two outside (1004 and 1005), each behind a trunk of its own.
async fn outside(policy: &str, own: &str) -> (Stage, [Handset; 3]) {
    let trunks = [("1004", "127.0.0.8"), ("1005", "127.0.0.10")].map(|(number, ip)| (number, ip, free_port()));
    let mut setup = Setup::new().tables(&format!("[calls]\nallow_pass_through_calls = \"{policy}\""));
    setup = setup.tables(&format!(
        "[[dn]]\ndn = \"sip:1001@tandem.local\"\ntrusted_sources = [\"127.0.0.0/8\"]\n{own}"
    ));
    for (number, ip, port) in trunks {
        setup = setup.tables(&format!(
            "[[trunk]]\ndn = \"sip:way-{number}@tandem.local\"\naddress = \"sip:{ip}:{port};transport=udp\"\n\
             trusted_sources = [\"{ip}/32\"]\n\
             [[dial_rule]]\npattern = \"{number}\"\ntrunk = \"sip:way-{number}@tandem.local\""
        ));
    }
    let server = setup.start().await;
    let alice = Handset::register("1001", server.sip).await;
    let [fourth, fifth] = trunks;
    let fourth = Handset::outside(fourth.0, &format!("{}:{}", fourth.1, fourth.2), server.sip).await;
    let fifth = Handset::outside(fifth.0, &format!("{}:{}", fifth.1, fifth.2), server.sip).await;
    (Stage::before(server, &["1001"]).await, [alice, fourth, fifth])
}

/// The first one outside calls Alice, who answers.
async fn inbound(stage: &mut Stage, alice: &Handset, caller: &Handset) -> ConnId {
    let dialled = caller.dials("1001").await;
    alice.takes().await;
    caller.is_answered(dialled).await;
    stage.event(EventEstablished, "1001").await
}

/// All three talk in one call.
async fn conference(stage: &mut Stage, phones: &[Handset; 3]) {
    let [alice, fourth, fifth] = phones;
    let main = inbound(stage, alice, fourth).await;
    let (second, _) = stage.consults(OnCallWith::InitiateConference, "1001", main, fifth).await;
    stage.asks(on_two(OnTwoCalls::CompleteConference, "1001", main, second)).await;
    stage.event(EventPartyAdded, "1001").await;
    stage
        .hear(&[(alice, "1004 1005"), (fourth, "1001 1005"), (fifth, "1001 1004")])
        .await;
}

#[tokio::test]
async fn a_request_that_would_leave_nobody_of_ours_is_refused() {
    let (mut stage, [alice, fourth, fifth]) = outside("none", "").await;
    let dialled = fourth.dials("1001").await;
    let ringing = alice.rings().await;
    let main = stage.event(EventName::EventRinging, "1001").await;
    stage
        .is_refused(with(OnCallWith::RedirectCall, "1001", main, "1005"), 705)
        .await;
    alice.picks_up(ringing).await;
    fourth.is_answered(dialled).await;
    stage.event(EventEstablished, "1001").await;
    stage
        .is_refused(with(OnCallWith::SingleStepTransfer, "1001", main, "1005"), 1148)
        .await;
    let (second, _) = stage.consults(OnCallWith::InitiateTransfer, "1001", main, &fifth).await;
    stage
        .is_refused(on_two(OnTwoCalls::CompleteTransfer, "1001", main, second), 98)
        .await;
    // Both calls are as they were.
    stage.hear(&[(&alice, "1005"), (&fourth, "sound"), (&fifth, "1001")]).await;
    stage.asks(on_two(OnTwoCalls::ReconnectCall, "1001", main, second)).await;
    stage.hear(&[(&alice, "1004"), (&fourth, "1001"), (&fifth, "")]).await;
    // Nor may the phone do it by itself.
    let status = alice.transfers(ringing, "1005").await;
    assert_eq!(status, 403);
    stage.asks(ClientRequest::release_call(&dn("1001"), main)).await;
    fourth.is_over(dialled).await;
    stage.server.alive_and_idle().await;
}

#[tokio::test]
async fn a_call_that_nobody_of_ours_is_left_in_is_released() {
    let (mut stage, phones) = outside("none", "").await;
    conference(&mut stage, &phones).await;
    let [alice, fourth, fifth] = &phones;
    alice.hangs_up(0).await;
    fourth.is_over(0).await;
    fifth.is_over(0).await;
    stage.event(EventReleased, "1001").await;
    stage.server.alive_and_idle().await;
}

#[tokio::test]
async fn a_call_may_go_on_among_others_where_the_dn_that_leaves_says_so() {
    let (mut stage, phones) = outside("none", "allow_pass_through_calls = \"all\"").await;
    conference(&mut stage, &phones).await;
    let [alice, fourth, fifth] = &phones;
    alice.hangs_up(0).await;
    stage.event(EventReleased, "1001").await;
    stage.hear(&[(alice, ""), (fourth, "1005"), (fifth, "1004")]).await;
    fourth.hangs_up(0).await;
    fifth.is_over(0).await;
    stage.server.alive_and_idle().await;
}

/// Alice dials Bob, holds him, and hangs up.
async fn direct(phones: [&Handset; 2], stage: &mut Stage) {
    let [alice, bob] = phones;
    let dialled = alice.dials("1002").await;
    let ringing = bob.takes().await;
    alice.is_answered(dialled).await;
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    alice.holds(dialled).await;
    stage.hear(&[(alice, ""), (bob, "sound")]).await;
    alice.hangs_up(dialled).await;
    bob.is_over(ringing).await;
}

#[tokio::test]
async fn direct_calls_that_are_not_handled_work_and_are_not_reported() {
    for setting in ["false", "on-login"] {
        let setup = Setup::new().tables(&format!("[calls]\nhandle_direct_calls = \"{setting}\""));
        let (mut stage, phones) = Stage::with(setup, &["1001", "1002"]).await;
        let [alice, bob] = &phones;
        direct([alice, bob], &mut stage).await;
        // A call that a desktop asks for is handled all the same.
        stage.sends(ClientRequest::make_call(&dn("1001"), "1002")).await;
        alice.takes().await;
        let call = bob.takes().await;
        stage.event(EventEstablished, "1001").await;
        bob.hangs_up(call).await;
        let expected: [(&str, &[&str]); 2] = [
            (
                "1001",
                &[
                    "EventDialing*MakeCall call-1 Ok as=Origination other=1002/Destination",
                    "EventEstablished call-1 Ok",
                    "EventReleased call-1 Ok",
                ],
            ),
            (
                "1002",
                &[
                    "EventRinging call-1 Ok",
                    "EventEstablished call-1 Ok",
                    "EventReleased call-1 Ok",
                ],
            ),
        ];
        stage.ends("direct_calls_not_handled", &[alice, bob], &expected).await;
    }
}

#[tokio::test]
async fn each_dn_says_whether_its_direct_calls_are_handled() {
    let setup = Setup::new().tables("[calls]\nhandle_direct_calls = \"false\"");
    let setup = setup
        .tables("[[dn]]\ndn = \"sip:1001@tandem.local\"\ntrusted_sources = [\"127.0.0.0/8\"]\nhandle_direct_calls = \"true\"");
    let server = setup.trusted_phone("1002").start().await;
    let alice = Handset::register("1001", server.sip).await;
    let bob = Handset::register("1002", server.sip).await;
    let mut stage = Stage::before(server, &["1001", "1002"]).await;
    direct([&alice, &bob], &mut stage).await;
    let expected: [(&str, &[&str]); 2] = [
        (
            "1001",
            &[
                "EventDialing call-1 Ok as=Origination other=1002/Destination",
                "EventNetworkReached call-1 Ok",
                "EventEstablished call-1 Ok as=Origination other=1002/Destination",
                "EventHeld call-1 Ok",
                "EventReleased call-1 Ok",
            ],
        ),
        ("1002", &[]),
    ];
    stage.ends("direct_calls_by_dn", &[&alice, &bob], &expected).await;
}

/// What an answer says of how direct calls are handled.
fn setting(answer: &EventFrame) -> [&str; 2] {
    ["handle-direct-calls", "handle-direct-calls-media"].map(|key| answer.extensions.text(key).unwrap_or_default())
}

/// Seed 002 lines 2361-2386.
#[tokio::test]
async fn a_desktop_overrides_how_direct_calls_are_handled_for_as_long_as_it_is_there() {
    let setup = Setup::new().trusted_phone("1001").trusted_phone("1002");
    let server = setup
        .tables("[[conference_dn]]\ndn = \"sip:5000@tandem.local\"")
        .start()
        .await;
    let alice = Handset::register("1001", server.sip).await;
    let bob = Handset::register("1002", server.sip).await;
    let mut stage = Stage::before(server, &["1001", "1002", "5000"]).await;
    let register = || ClientRequest::register_address(&dn("1001"));
    let mut desk = Desk::open(stage.server.http).await;
    assert_eq!(setting(&desk.ask(register()).await), ["true", "all"]);
    let wish = KvList::from_iter([("handle-direct-calls", "false")]);
    assert_eq!(setting(&desk.ask(register().extensions(wish)).await), ["false", "all"]);
    let wrong = KvList::from_iter([("handle-direct-calls", "never")]);
    assert_eq!(desk.ask(register().extensions(wrong)).await.error_code, Some(53));

    direct([&alice, &bob], &mut stage).await;
    let dialled = alice.dials("5000").await;
    alice.is_answered(dialled).await;
    stage.event(EventEstablished, "5000").await;
    alice.hangs_up(dialled).await;
    stage.event(EventReleased, "5000").await;

    // It is away, and the server was as well; it may come back, so what it asked for holds.
    stage.server.killed_and_started().await;
    let (mut stage, _) = stage.comes_back().await;
    let query = || ClientRequest::query_address(&dn("1001"));
    assert_eq!(setting(&stage.asks(query()).await), ["false", "all"]);
    direct([&alice, &bob], &mut stage).await;

    let (mut desk, answer) = desk.comes_back(stage.server.http).await;
    assert_eq!(answer.resume.as_deref(), Some("delta"));
    desk.request(ClientRequest::close_server()).await;
    desk.close_code().await;
    let deadline = Instant::now() + wait::SOON;
    while setting(&stage.asks(query()).await) != ["true", "all"] {
        assert!(
            Instant::now() < deadline,
            "the desktop said goodbye, and what it asked for holds"
        );
    }
    direct([&alice, &bob], &mut stage).await;
    let of_bob = |call: &str| ["EventRinging", "EventEstablished", "EventReleased"].map(|name| format!("{name} call-{call} Ok"));
    let of_bob: Vec<String> = ["1", "3", "4"].into_iter().flat_map(of_bob).collect();
    let of_bob: Vec<&str> = of_bob.iter().map(String::as_str).collect();
    let expected: [(&str, &[&str]); 3] = [
        (
            "1001",
            &[
                "EventDialing call-4 Ok as=Origination other=1002/Destination",
                "EventEstablished call-4 Ok",
                "EventHeld call-4 Ok",
                "EventReleased call-4 Ok",
            ],
        ),
        ("1002", &of_bob),
        (
            "5000",
            &[
                "EventEstablished call-2 Ok as=Destination other=1001/Origination",
                "EventPartyDeleted call-2 Ok as=ConferenceMember other=1001/DeletedParty third=1001/DeletedBy",
                "EventReleased call-2 Ok",
            ],
        ),
    ];
    stage.ends("direct_calls_overridden", &[&alice, &bob], &expected).await;
}

/// The pool's figures: ready and in use now; taken ready, made, retired so far.
async fn pool(server: &Server) -> [f64; 5] {
    let samples = server.metrics().await;
    let resources = |state| samples.sum_where("tandem_conference_resources", "state", state);
    let taken = |from| samples.sum_where("tandem_conference_resources_taken_total", "from", from);
    let retired = samples.sum("tandem_conference_resources_retired_total").unwrap_or_default();
    [resources("idle"), resources("in_use"), taken("pool"), taken("new"), retired]
}

async fn pool_is(server: &Server, expected: [f64; 5]) {
    wait::until("the figures of the pool", wait::SOON, async || {
        let figures = pool(server).await;
        if figures == expected {
            Ok(())
        } else {
            Err(format!("{figures:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_pool_of_conferences_grows_under_load_and_is_used_again() {
    let setup = Setup::new().tables("[connectors]\ncount = 1\n[conference]\npool_size = 2\nreuse_avcall = 1");
    let (mut stage, phones) = Stage::with(setup, &["1001", "1002"]).await;
    let [alice, bob] = &phones;
    pool_is(&stage.server, [2.0, 0.0, 0.0, 0.0, 0.0]).await;
    let mut calls = Vec::new();
    for _ in 0..4 {
        let (_, there, _) = stage.talk(alice, bob).await;
        calls.push(there);
    }
    pool_is(&stage.server, [0.0, 4.0, 2.0, 2.0, 0.0]).await;
    for call in calls {
        alice.hangs_up(call).await;
    }
    pool_is(&stage.server, [4.0, 0.0, 2.0, 2.0, 0.0]).await;
    // A resource that has been used once more than allowed is given up, and replaced by a fresh one where the pool needs it.
    for _ in 0..3 {
        let (_, there, here) = stage.talk(alice, bob).await;
        alice.hangs_up(there).await;
        bob.is_over(here).await;
        stage.event(EventReleased, "1002").await;
    }
    stage.server.idle().await;
    let [idle, in_use, ..] = pool(&stage.server).await;
    assert_eq!([idle, in_use], [2.0, 0.0]);
    stage.server.alive().await;
}
