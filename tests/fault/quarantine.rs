//! An input that an actor panics on twice is kept, masked, for whoever looks for the mistake: over HTTP, and in the journal.

use std::process::Command;

use serde_json::{Value, json};
use tandem_wire::ClientRequest;
use tandem_wire::model::ConnId;
use tandem_wire::model::EventName::EventReleased;

use super::injected::inject;
use crate::golden::stage::{Stage, dn};
use crate::rig::handset::Handset;
use crate::rig::server::{API_KEY, Server};
use crate::rig::{http, program};

const PATH: &str = "/v1/admin/quarantine";
/// What nobody is to see.
const PRIVATE: [&str; 5] = ["4711", "account", "7788", "1001", "tandem.local"];

async fn quarantined(server: &Server) -> Vec<Value> {
    let response = http::get(server.http, PATH, Some(API_KEY)).await.expect("an answer");
    assert_eq!(response.status, 200, "{}", response.body);
    let list: Value = serde_json::from_str(&response.body).expect("JSON");
    list["inputs"].as_array().cloned().expect("a list")
}

/// `tandem journal inspect --quarantine`, with more arguments.
fn inspected(server: &Server, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(["journal", "inspect", "--quarantine", "--config"]);
    command.arg(server.configuration()).args(arguments);
    let (code, out, err) = program::run(&mut command, b"");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    out
}

fn is_masked(text: &str) {
    for private in PRIVATE {
        assert!(!text.contains(private), "{private}: {text}");
    }
}

/// A call whose Call or Conference panics twice on what its desktop asks next; it ends, and nobody is left in it.
async fn ends_in_quarantine(
    stage: &mut Stage,
    phones: &[Handset; 2],
    actor: &str,
    request: fn(ConnId) -> ClientRequest,
) -> ConnId {
    let [alice, bob] = phones;
    let (call, there, here) = stage.talk(alice, bob).await;
    inject(&stage.server, json!({"fault": "panic", "actor": actor, "twice": true})).await;
    stage.sends(request(call)).await;
    for number in ["1001", "1002"] {
        assert_eq!(stage.event(EventReleased, number).await, call);
    }
    alice.is_over(there).await;
    bob.is_over(here).await;
    stage.server.idle().await;
    call
}

fn attach(call: ConnId) -> ClientRequest {
    let account = [("account", "4711")].into_iter().collect();
    ClientRequest::attach_user_data(&dn("1001"), call, account)
}

fn digits(call: ConnId) -> ClientRequest {
    ClientRequest::send_dtmf(&dn("1001"), call, "7788")
}

#[tokio::test]
async fn an_input_that_is_panicked_on_twice_is_kept_masked() {
    let (mut stage, phones) = Stage::set(&["1001", "1002"]).await;
    assert_eq!(quarantined(&stage.server).await, [Value::Null; 0]);
    let order = json!({"fault": "panic", "actor": "lobby", "twice": true}).to_string();
    assert_eq!(
        super::ask(stage.server.http, "POST", &order).await.0,
        400,
        "it takes nothing twice"
    );
    let call = ends_in_quarantine(&mut stage, &phones, "call", attach).await;
    ends_in_quarantine(&mut stage, &phones, "conference", digits).await;
    let metrics = stage.server.metrics().await;
    for kind in ["call", "conference"] {
        assert_eq!(metrics.sum_where("tandem_quarantined_inputs_total", "kind", kind), 1.0);
    }
    let entries = quarantined(&stage.server).await;
    let [of_conference, of_call] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    for (entry, scope, actor, id) in [
        (of_call, "tserver", "call", json!(call.to_string())),
        (of_conference, "connector-0", "conference", of_conference["id"].clone()),
    ] {
        assert_eq!(
            (&entry["scope"], &entry["actor"], &entry["id"]),
            (&json!(scope), &json!(actor), &id)
        );
        assert_eq!(
            (&entry["times"], &entry["panic"]),
            (&json!(1), &json!(format!("injected into a {actor}")))
        );
        let place = entry["place"].as_str().unwrap_or_default();
        assert!(place.contains(&format!("{actor}.rs:")), "{entry}");
        is_masked(&entry.to_string());
    }
    assert_eq!(of_call["input"], "Request");
    let shown = of_call["shown"].as_str().unwrap_or_default();
    assert!(shown.contains("AttachUserData { this_dn: **** (length:21)"), "{shown}");

    stage.server.killed_and_started().await;
    assert_eq!(quarantined(&stage.server).await, entries, "the next process has it");
    let text = inspected(&stage.server, &[]);
    is_masked(&text);
    for part in [
        &format!("call {call}, input Request\n"),
        "call.rs:",
        "injected into a conference\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let scopes: Value = serde_json::from_str(&inspected(&stage.server, &["--json", "--show-sensitive"])).expect("JSON");
    is_masked(&scopes["scopes"].to_string());
    let (mut stage, _) = stage.comes_back().await;
    ends_in_quarantine(&mut stage, &phones, "call", attach).await;
    let entries = quarantined(&stage.server).await;
    assert_eq!(
        (entries.len(), &entries[0]["actor"], &entries[0]["times"]),
        (2, &json!("call"), &json!(2))
    );
    stage.server.alive_and_idle().await;
}
