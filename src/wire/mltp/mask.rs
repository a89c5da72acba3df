//! What a log line shows of a frame: what may be sensitive is hidden, its length is told (seed 002 lines 2496-2525).

use std::collections::BTreeSet;
use std::fmt::Write;

use super::frame::escape;
use super::{Frame, VERSION};

/// The headers that are never shown in full, whatever the configuration adds (seed 002 line 2492).
const SENSITIVE: [&str; 2] = ["data", "treatment-params"];

/// The messages whose body is never shown: keys are among what connectors have kept.
const SECRET: [&str; 2] = ["RECORDS", "RESTORE"];

/// The name under which a body is hidden.
const BODY: &str = "body";

/// The headers whose values are not shown in logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HideHeaders(BTreeSet<String>);

impl Default for HideHeaders {
    /// `Data` and `Treatment-Params`.
    fn default() -> Self {
        Self::none().with(SENSITIVE)
    }
}

impl HideHeaders {
    /// Everything is shown (`hide-sensitive-data` is `false`).
    pub fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// These are hidden too. `body` stands for the body.
    pub fn with<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter().map(|name| name.trim().to_ascii_lowercase());
        self.0.extend(names.filter(|name| !name.is_empty()));
        self
    }

    /// Whether a header is hidden.
    pub fn hides(&self, name: &str) -> bool {
        self.0.iter().any(|hidden| hidden.eq_ignore_ascii_case(name))
    }
}

/// A frame as a log shows it: what is hidden stands as `**** (length:nn)`, in bytes. It has no line end at its end.
pub fn masked(frame: &Frame, hide: &HideHeaders) -> String {
    let mut text = format!("{} * {VERSION}", frame.name);
    for (name, value) in &frame.headers {
        // Writing to a string does not fail.
        let _ = if hide.hides(name) {
            write!(text, "\n{name}: **** (length:{})", value.len())
        } else {
            write!(text, "\n{name}: {}", escape(value))
        };
    }
    if frame.body.is_empty() {
        return text;
    }
    let _ = if hide.hides(BODY) || SECRET.contains(&frame.name.as_str()) {
        write!(text, "\n\n**** (length:{})", frame.body.len())
    } else {
        write!(text, "\n\n{}", escape(&String::from_utf8_lossy(&frame.body)))
    };
    text
}
