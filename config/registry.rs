//! The option registry: the one table of every option there is.
//!
//! It drives the parsing (unknown keys), the validation (types, ranges), the defaults, `tandem config options` and the masking of
//! `tandem config show`. Invariant, held by tests: every field of [`Config`](crate::Config) stands here and every option here is a
//! field; every default is valid. What relates two options to one another is not here but in `consistency`.

mod kind;
mod table;
mod tables;

use std::fmt;

use serde::Serialize;

pub use kind::{Kind, Refusal};
pub(crate) use kind::{MAX_PIN, found};
pub use table::OPTIONS;
pub use tables::TABLES;

/// What kind of object an option belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub enum Level {
    /// The whole server (the T-Server application of the seed).
    App,
    /// One listening socket.
    Listener,
    /// One API key.
    ApiKey,
    /// One DN, or a range of them.
    #[serde(rename = "DN")]
    Dn,
    /// One folder of DNs, which may be an application pool.
    #[serde(rename = "DN folder")]
    DnFolder,
    /// One trunk.
    Trunk,
    /// One rule of the dial plan.
    DialRule,
    /// One conference that is dialled into.
    #[serde(rename = "conference DN")]
    ConferenceDn,
    /// One dial-plan DN.
    #[serde(rename = "dial-plan DN")]
    DialPlan,
    /// One link to a connector in another process.
    Link,
}

/// When a changed value takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TakesEffect {
    /// At once.
    Immediately,
    /// With the next call; in a call that is there, with its next step that asks for it.
    NextCall,
    /// With the next conference that is made.
    NextConference,
    /// When somebody joins or leaves a call next, or wants to.
    NextTopologyChange,
    /// When the link, the client or the device connects again.
    OnReconnection,
    /// When the server is started again.
    AfterRestart,
}

/// What an option is where nothing sets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// It must be set.
    Required,
    /// It is absent.
    Absent,
    /// This value, as TOML.
    Value(&'static str),
}

/// One option.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OptionSpec {
    /// Where it stands: `sip.t1_ms`; `dn[].password` in an array of tables.
    #[serde(rename = "option")]
    pub path: &'static str,
    /// What it belongs to.
    pub level: Level,
    /// Its type and valid values.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its default.
    pub default: Fallback,
    /// When a change takes effect.
    pub takes_effect: TakesEffect,
    /// What it does, in Markdown.
    pub meaning: &'static str,
    /// Where it comes from: an RFC, a line of the seed; empty for an option of Tandem's own.
    pub source: &'static str,
}

/// One table of the file, with its options.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TableSpec {
    /// Where it stands: `sip`; `sip.listener[]` for an array of tables.
    pub path: &'static str,
    /// The elements of an array of tables where none stands in the file, as TOML.
    pub default: Option<&'static str>,
    /// What it is, in Markdown.
    pub meaning: &'static str,
}

impl OptionSpec {
    /// The table it stands in: `sip` of `sip.t1_ms`.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// Its own name: `t1_ms` of `sip.t1_ms`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }
}

impl TableSpec {
    /// Whether it may stand many times.
    pub fn is_array(&self) -> bool {
        self.default.is_some()
    }

    /// Its heading in the file: `[sip]`, `[[sip.listener]]`.
    pub fn heading(&self) -> String {
        heading(self.path)
    }

    /// Its options.
    pub fn options(&self) -> impl Iterator<Item = &'static OptionSpec> + use<> {
        let path = self.path;
        OPTIONS.iter().filter(move |option| option.table() == path)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::App => "App",
            Self::Listener => "Listener",
            Self::ApiKey => "API key",
            Self::Dn => "DN",
            Self::DnFolder => "DN folder",
            Self::Trunk => "Trunk",
            Self::DialRule => "Dial rule",
            Self::ConferenceDn => "Conference DN",
            Self::DialPlan => "Dial-plan DN",
            Self::Link => "Link",
        })
    }
}

impl fmt::Display for TakesEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Immediately => "immediately",
            Self::NextCall => "next call",
            Self::NextConference => "next conference",
            Self::NextTopologyChange => "next topology change",
            Self::OnReconnection => "on reconnection",
            Self::AfterRestart => "after restart",
        })
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Required => "required",
            Self::Absent => "none",
            Self::Value(toml) => toml,
        })
    }
}

/// The option of that path (`dn[].password`).
pub fn option(path: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|option| option.path == path)
}

/// The table of that path (`dn[]`).
pub fn table(path: &str) -> Option<&'static TableSpec> {
    TABLES.iter().find(|table| table.path == path)
}

/// How a table of that path is headed in the file: `[sip]`, `[[sip.listener]]`.
pub fn heading(path: &str) -> String {
    match path.strip_suffix("[]") {
        Some(name) => format!("[[{name}]]"),
        None => format!("[{}]", path.replace("[]", "")),
    }
}
