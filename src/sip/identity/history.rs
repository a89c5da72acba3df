//! History-Info: whom a request was addressed to, in order (RFC 7044).
//!
//! Every entry has an index such as `1.2.1`: the number of its branch behind the index of the entry that it came from. A forwarding adds the
//! new target with `mp` and the index of the one that forwarded (s.10.1, s.11); why stands in the entry that forwarded (Reason, s.10.2)
//! and as `cause` in the new target's URI (RFC 4458 s.2).
//!
//! What is not here: `privacy=history` by entry beyond leaving those entries out for a side that is not trusted.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Diversion, Diversions, ForwardReason, Headers, Reason, display_of, write_name_addr};
use crate::message::uri::{self, Uri};
use crate::message::{HeaderName, Message, NameAddr};

/// How many entries are kept: the first one and the newest.
const MAX_ENTRIES: usize = 16;

/// The longest index [bytes].
const MAX_INDEX_BYTES: usize = 64;

/// One entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryEntry {
    /// Whom the request was addressed to, without headers.
    pub uri: Arc<str>,
    /// The display name.
    pub display: Option<Arc<str>>,
    /// Why it went on from there (the Reason among the headers of the URI), unescaped.
    pub reason: Option<Arc<str>>,
    /// Whether the entry is private (Privacy among the headers of the URI).
    pub private: bool,
    /// Its place.
    pub index: Arc<str>,
    /// How it came about: `rc`, `mp` or `np`, and the index of the entry it came from.
    pub came: Option<(&'static str, Arc<str>)>,
}

impl HistoryEntry {
    fn parse(value: &str) -> Option<Self> {
        let address = NameAddr::parse(value).ok()?;
        if address.uri.len() > super::MAX_URI_BYTES {
            return None;
        }
        let parsed = Uri::parse(address.uri).ok()?;
        let headers = parsed.headers.unwrap_or_default();
        let bare = match parsed.headers {
            Some(headers) => address.uri.get(..address.uri.len() - headers.len() - 1)?,
            None => address.uri,
        };
        let index = address.param("index").filter(|index| is_index(index))?;
        let came = ["rc", "mp", "np"].into_iter().find_map(|kind| {
            let from = address.param(kind).filter(|from| is_index(from))?;
            Some((kind, Arc::from(from)))
        });
        Some(Self {
            uri: bare.into(),
            display: display_of(&address),
            reason: header_in(headers, HeaderName::Reason),
            private: header_in(headers, HeaderName::Privacy).is_some_and(|privacy| privacy.contains("history")),
            index: index.into(),
            came,
        })
    }

    /// The cause among the parameters of its Reason.
    fn cause(&self) -> Option<u16> {
        let reason = Reason::parse(self.reason.as_deref()?)?;
        reason.cause.filter(|_| reason.protocol.eq_ignore_ascii_case("SIP"))
    }

    /// What Diversion says of one that forwarded. The cause in its own URI tells how the call came to it; it is no part of its address.
    fn diversion(&self, cause: Option<u16>) -> Diversion {
        let reason = cause.map_or(ForwardReason::Unknown, ForwardReason::from_cause);
        Diversion {
            privacy: self.private.then(|| "full".into()),
            ..Diversion::new(without_cause(&self.uri).into(), self.display.clone(), reason)
        }
    }

    fn value(&self) -> String {
        let mut uri = self.uri.to_string();
        let mut separator = '?';
        if let Some(reason) = &self.reason {
            let _ = write!(uri, "?Reason={}", escaped(reason));
            separator = '&';
        }
        if self.private {
            let _ = write!(uri, "{separator}Privacy=history");
        }
        let mut value = String::with_capacity(uri.len() + 48);
        write_name_addr(&mut value, &uri, self.display.as_deref());
        let _ = write!(value, ";index={}", self.index);
        if let Some((kind, from)) = &self.came {
            let _ = write!(value, ";{kind}={from}");
        }
        value
    }
}

/// The history of a request.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct History {
    /// In order.
    pub entries: Vec<HistoryEntry>,
}

impl History {
    /// Reads the History-Info headers of a request; entries that cannot be read are left out.
    pub fn of(request: &Message) -> Self {
        Self::parse(request.headers(HeaderName::HistoryInfo))
    }

    /// Reads values of History-Info.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut history = Self {
            entries: values.into_iter().filter_map(HistoryEntry::parse).collect(),
        };
        history.bound();
        history
    }

    /// The forwardings that this tells of, as Diversion has them (RFC 7544 s.7.2): every entry from which another one was mapped (`mp`),
    /// else the last one with a Reason.
    pub fn diversions(&self) -> Diversions {
        let mapped = self.entries.iter().rev().filter_map(|entry| {
            let (kind, from) = entry.came.as_ref()?;
            let by = self.entries.iter().find(|by| by.index == *from)?;
            let cause = cause_of(&entry.uri).or_else(|| by.cause());
            (*kind == "mp").then(|| by.diversion(cause))
        });
        let mut entries: Vec<Diversion> = mapped.collect();
        if entries.is_empty() {
            let mut earlier = self.entries.iter().rev().skip(1);
            let last = earlier.find(|entry| entry.reason.is_some());
            entries.extend(last.map(|entry| entry.diversion(entry.cause())));
        }
        Diversions { entries }
    }

    /// Tells that the request goes on to `to`, which is where the newest entry was found to be: a device that registered for it (`rc`), or
    /// the way there (`np`). Nothing where nothing is told yet, or this is.
    pub fn reach(&mut self, to: &str, kind: &'static str) {
        let to = without_headers(to);
        let Some(last) = self.entries.last().filter(|last| without_cause(&last.uri) != to) else {
            return;
        };
        let from = last.index.clone();
        self.add(to.into(), (kind, from));
    }

    /// Adds a forwarding from `by` to `to`. Where nothing was known yet, `by` becomes the first entry.
    pub fn push(&mut self, by: &str, to: &str, reason: ForwardReason) {
        if self.entries.is_empty() {
            self.entries.push(HistoryEntry {
                uri: without_headers(by).into(),
                display: None,
                reason: None,
                private: false,
                index: "1".into(),
                came: None,
            });
        }
        let Some(last) = self.entries.last_mut() else { return };
        let cause = reason.cause();
        // A tel URI has no headers to say it in.
        last.reason = is_sip(&last.uri).then(|| format!("SIP;cause={cause}").into());
        let from = last.index.clone();
        let to = without_headers(to);
        let has_cause = Uri::parse(to).is_ok_and(|uri| uri.param("cause").is_some());
        let uri = if is_sip(to) && !has_cause {
            format!("{to};cause={cause}").into()
        } else {
            to.into()
        };
        self.add(uri, ("mp", from));
    }

    /// The index grows with every entry; one that cannot grow any more is the end of what we tell.
    fn add(&mut self, uri: Arc<str>, (kind, from): (&'static str, Arc<str>)) {
        let index = format!("{from}.1");
        if !is_index(&index) {
            return;
        }
        self.entries.push(HistoryEntry {
            uri,
            display: None,
            reason: None,
            private: false,
            index: index.into(),
            came: Some((kind, from)),
        });
        self.bound();
    }

    /// The headers, for a side that may know everything.
    pub fn headers(&self) -> Headers {
        self.lines(|_| true)
    }

    /// The headers for a side that is not trusted: without the private entries (s.10.1.2).
    pub fn public_headers(&self) -> Headers {
        self.lines(|entry| !entry.private)
    }

    fn lines(&self, shown: impl Fn(&HistoryEntry) -> bool) -> Headers {
        let line = |entry: &HistoryEntry| (HeaderName::HistoryInfo.as_str().into(), entry.value().into());
        self.entries.iter().filter(|entry| shown(entry)).map(line).collect()
    }

    /// Forgets the one behind the first. `false`: there is none that could be spared.
    pub(super) fn forget_second(&mut self) -> bool {
        let can = self.entries.len() > 2;
        if can {
            self.entries.remove(1);
        } else {
            self.entries.clear();
        }
        can
    }

    /// Forgets what is between the first entry and the newest.
    fn bound(&mut self) {
        let too_many = self.entries.len().saturating_sub(MAX_ENTRIES);
        self.entries
            .drain(1.min(self.entries.len())..(1 + too_many).min(self.entries.len()));
    }
}

/// `1*DIGIT *("." 1*DIGIT)` (s.5.1), and bounded.
fn is_index(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= MAX_INDEX_BYTES && text.split('.').all(is_number)
}

/// A header among those of a URI, unescaped and without control characters.
fn header_in(headers: &str, wanted: HeaderName) -> Option<Arc<str>> {
    let mut pairs = headers.split('&').filter_map(|header| header.split_once('='));
    let (_, value) = pairs.find(|(name, _)| uri::decode(name).eq_ignore_ascii_case(wanted.as_str()))?;
    let value: String = uri::decode(value)
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    Some(value.into())
}

fn is_sip(uri: &str) -> bool {
    Uri::parse(uri).is_ok_and(|uri| uri.is_sip())
}

fn cause_of(uri: &str) -> Option<u16> {
    Uri::parse(uri).ok()?.param("cause")?.parse().ok()
}

/// A URI without the parameter that says why it became the target (RFC 4458 s.2).
fn without_cause(uri: &str) -> String {
    let is_cause = |param: &&str| {
        let name = param.split('=').next().unwrap_or_default();
        name.eq_ignore_ascii_case("cause")
    };
    // A user part may have a `;` of its own; nothing before the `@` is a parameter.
    let (user, rest) = uri.split_at(uri.rfind('@').unwrap_or_default());
    let kept: Vec<&str> = rest.split(';').filter(|param| !is_cause(param)).collect();
    format!("{user}{}", kept.join(";"))
}

pub(super) fn without_headers(uri: &str) -> &str {
    match Uri::parse(uri).ok().and_then(|uri| uri.headers) {
        Some(headers) => uri.get(..uri.len() - headers.len() - 1).unwrap_or(uri),
        None => uri,
    }
}

/// Percent-encodes what cannot stand in a header of a URI (RFC 3261 s.25.1 `hnv-unreserved / unreserved`).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()[]/?:+$".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
