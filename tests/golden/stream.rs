//! A desktop that loses its connection in the middle of a call, beside a twin on the same DNs that does not: both have the same story.

use serde_json::Value;
use tandem_wire::ClientRequest;
use tandem_wire::model::request::OnCall;
use tandem_wire::model::{EventName, KvList};

use crate::golden::stage::{Stage, dn, on_call};
use crate::rig::cti::Desk;
use crate::rig::http;
use crate::rig::server::{API_KEY, Setup};

const NUMBERS: [&str; 2] = ["1001", "1002"];

async fn desk_of(stage: &Stage) -> Desk {
    let dns = NUMBERS.map(dn);
    Desk::on(stage.server.http, &dns.each_ref().map(String::as_str)).await
}

/// The events of calls, as every client on the DN gets them.
fn story(frames: &[String]) -> Vec<Value> {
    let mut events: Vec<Value> = frames
        .iter()
        .map(|frame| serde_json::from_str(frame).expect("a JSON frame"))
        .collect();
    events.retain(|event| event.get("connId").is_some());
    for event in &mut events {
        let event = event.as_object_mut().expect("an object");
        event.remove("previous");
        event.remove("referenceId");
    }
    events
}

#[tokio::test]
async fn what_happened_while_the_connection_was_lost_follows_once_and_in_order() {
    let (mut stage, phones) = Stage::set(&NUMBERS).await;
    let [alice, bob] = &phones;
    let mut desk = desk_of(&stage).await;
    let there = alice.dials("1002").await;
    let here = bob.rings().await;
    desk.expect(EventName::EventRinging, &dn("1002")).await;
    let call = stage.event(EventName::EventRinging, "1002").await;
    stage.asks(on_call(OnCall::AnswerCall, "1002", call)).await;
    alice.is_answered(there).await;
    stage.event(EventName::EventEstablished, "1001").await;
    for _ in 0..2 {
        // The second time it has missed nothing, or not even read what it was sent.
        let (again, answer) = desk.comes_back(stage.server.http).await;
        assert_eq!(answer.resume.as_deref(), Some("delta"), "{answer:?}");
        desk = again;
    }
    // Its registrations hold without its doing anything.
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    desk.expect(EventName::EventReleased, &dn("1002")).await;
    desk.settled().await;
    stage.desk.settled().await;
    assert_eq!(story(&desk.frames), story(&stage.desk.frames));
    let released = desk.frames.iter().filter(|frame| frame.contains("EventReleased"));
    assert_eq!(released.count(), 2, "one for each party");
    let metrics = stage.server.metrics().await;
    assert_eq!(metrics.sum_where("tandem_event_resumes_total", "result", "delta"), 2.0);
}

#[tokio::test]
async fn a_gap_that_is_too_long_is_told_and_the_state_of_each_dn_follows() {
    let setup = Setup::new().cti("retention_events = 16");
    let (mut stage, phones) = Stage::with(setup, &NUMBERS).await;
    let [alice, bob] = &phones;
    let desk = desk_of(&stage).await;
    let (call, there, here) = stage.talk(alice, bob).await;
    for change in 0..20 {
        let data: KvList = [("change", change.to_string())].into_iter().collect();
        stage.desk.ask(ClientRequest::attach_user_data(&dn("1001"), call, data)).await;
    }
    let (mut desk, answer) = desk.comes_back(stage.server.http).await;
    assert_eq!(
        (answer.resume.as_deref(), answer.previous),
        (Some("snapshot"), 0),
        "{answer:?}"
    );
    for number in NUMBERS {
        let state = desk.expect(EventName::EventRegistered, &dn(number)).await;
        assert_eq!(state.extensions.text("conn-1"), Some(call.to_string().as_str()), "{state:?}");
    }
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    desk.expect(EventName::EventReleased, &dn("1002")).await;
}

#[tokio::test]
async fn who_said_goodbye_starts_anew() {
    let (stage, _phones) = Stage::set(&NUMBERS).await;
    let mut desk = desk_of(&stage).await;
    desk.request(ClientRequest::close_server()).await;
    assert_eq!(desk.close_code().await, Some(tandem_wire::close::NORMAL));
    let (mut desk, answer) = desk.comes_back(stage.server.http).await;
    assert_eq!(answer.resume.as_deref(), Some("new"), "{answer:?}");
    let refused = desk.ask(ClientRequest::query_address(&dn("1001"))).await;
    assert!(refused.is(EventName::EventError), "it is registered on nothing: {refused:?}");
}

#[tokio::test]
async fn all_events_are_shown_over_http() {
    let (stage, phones) = Stage::set(&NUMBERS).await;
    let [alice, bob] = &phones;
    let mut stream = http::Events::open(stage.server.http, "/v1/events", API_KEY).await;
    assert_eq!(stream.next().await.0.as_deref(), Some("hello"));
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    let mut seen: Vec<Value> = Vec::new();
    while seen.iter().filter(|event| event["event"] == "EventReleased").count() < 2 {
        seen.push(stream.next().await.1);
    }
    for pair in seen.windows(2) {
        assert_eq!(pair[1]["previous"], pair[0]["sequence"], "the chain is whole");
    }
    let first = seen[0]["sequence"].as_u64().unwrap_or_default();
    let path = format!("/v1/events?since={}&dn={}", first - 1, dn("1002"));
    let mut again = http::Events::open(stage.server.http, &path, API_KEY).await;
    let (name, hello) = again.next().await;
    assert_eq!((name.as_deref(), &hello["mode"]), (Some("hello"), &Value::from("delta")));
    for event in seen.iter().filter(|event| event["thisDn"] == dn("1002")) {
        let (_, shown) = again.next().await;
        assert_eq!((&shown["sequence"], &shown["event"]), (&event["sequence"], &event["event"]));
    }
}

#[tokio::test]
async fn a_server_that_is_killed_knows_its_clients_and_what_they_have() {
    let (mut stage, phones) = Stage::set(&NUMBERS).await;
    let [alice, bob] = &phones;
    let desk = desk_of(&stage).await;
    let (call, ..) = stage.talk(alice, bob).await;
    stage.desk.settled().await;
    let told: Vec<Value> = stage
        .desk
        .frames
        .iter()
        .map(|frame| serde_json::from_str::<Value>(frame).expect("a JSON frame"))
        .filter(|event| event.get("connId").is_some() && event.get("referenceId").is_none())
        .collect();
    stage.server.killed_and_started().await;
    // Nobody has watched, and all the same it is the same stream.
    let first = told[0]["sequence"].as_u64().expect("a sequence");
    let path = format!("/v1/events?since={}", first - 1);
    let mut stream = http::Events::open(stage.server.http, &path, API_KEY).await;
    assert_eq!(stream.next().await.1["mode"], "delta");
    for event in &told {
        let (_, shown) = stream.next().await;
        assert_eq!((&shown["sequence"], &shown["event"]), (&event["sequence"], &event["event"]));
    }
    let (mut desk, answer) = desk.comes_back(stage.server.http).await;
    assert_eq!(answer.resume.as_deref(), Some("delta"), "{answer:?}");
    let established = desk.expect(EventName::EventEstablished, &dn("1002")).await;
    assert_eq!(Desk::call_of(&established), call);
    // Its registrations hold, and its requests work.
    let state = desk.ask(ClientRequest::query_address(&dn("1001"))).await;
    assert!(state.is(EventName::EventAddressInfo), "{state:?}");
}
