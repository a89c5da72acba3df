//! The events of whole calls as the desktops of both sides get them, word by word (reference t-library.md ch. 9.1, 9.3).
//!
//! A transcript has one paragraph per event, its attributes in the order of the frame. What differs from run to run has a name
//! instead: `call-1` for the first ConnID, `uuid-1`, `conversation-1`. After a wanted change: `INSTA_UPDATE=always cargo test`.

mod back_to_back;
mod calls;
mod control;
mod data;
mod dial_in;
mod policies;
pub mod stage;
mod stream;
mod trunks;

use serde_json::Value;

/// The events about one DN, as text.
pub fn transcript(frames: &[String], dn: &str) -> String {
    let mut names = Names::default();
    let mut text = String::new();
    for frame in frames {
        let frame: Value = serde_json::from_str(frame).expect("a JSON frame");
        let attributes = frame.as_object().expect("an object");
        let about_a_call = attributes.contains_key("connId") || frame["event"] == "EventError";
        if frame["thisDn"] != dn || !about_a_call {
            continue;
        }
        text.push_str(frame["event"].as_str().unwrap_or_default());
        text.push('\n');
        for (key, value) in attributes {
            match key.as_str() {
                "event" | "sequence" | "previous" | "time" => {}
                _ => text.push_str(&format!("  {key}: {}\n", names.value(key, value))),
            }
        }
    }
    text
}

/// Names for what differs from run to run.
#[derive(Default)]
struct Names(Vec<(&'static str, Value)>);

impl Names {
    fn value(&mut self, key: &str, value: &Value) -> Value {
        match (key, value) {
            ("connId" | "previousConnId", _) => self.name("call", value),
            ("callUuid", _) => self.name("uuid", value),
            ("callId", _) => self.name("number", value),
            ("Conversation-ID", _) => self.name("conversation", value),
            (_, Value::Object(pairs)) => pairs
                .iter()
                .map(|(key, value)| (key.clone(), self.value(key, value)))
                .collect(),
            _ => value.clone(),
        }
    }

    fn name(&mut self, kind: &'static str, value: &Value) -> Value {
        let known = self
            .0
            .iter()
            .filter(|(k, _)| *k == kind)
            .position(|(_, known)| known == value);
        let place = known.unwrap_or_else(|| {
            self.0.push((kind, value.clone()));
            self.0.iter().filter(|(k, _)| *k == kind).count() - 1
        });
        format!("{kind}-{}", place + 1).into()
    }
}

/// Compares the transcripts of both DNs with `snapshots/NAME.snap`.
pub fn check(name: &str, frames: &[String], dns: [&str; 2]) {
    let text: Vec<String> = dns
        .iter()
        .map(|dn| format!("to {dn}\n\n{}", transcript(frames, dn)))
        .collect();
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text.join("\n"));
    });
}
