//! Reason: why a request was sent (RFC 3326), with a Q.850 cause or a SIP status.

use std::fmt;
use std::sync::Arc;

use super::write_param;
use crate::message::{Elements, HeaderName, Message, NameAddr};

/// How many values are read.
const MAX_REASONS: usize = 8;

/// The longest text that is kept [bytes].
const MAX_TEXT_BYTES: usize = 128;

/// One value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// `SIP`, `Q.850` or another protocol.
    pub protocol: Arc<str>,
    /// The cause in that protocol.
    pub cause: Option<u16>,
    /// What a person may read.
    pub text: Option<Arc<str>>,
}

impl Reason {
    /// A Q.850 cause.
    pub fn q850(cause: u8) -> Self {
        Self {
            protocol: "Q.850".into(),
            cause: Some(cause.into()),
            text: None,
        }
    }

    /// A SIP status.
    pub fn sip(status: u16) -> Self {
        Self {
            protocol: "SIP".into(),
            cause: Some(status),
            text: None,
        }
    }

    /// The same, with a text.
    pub fn with_text(self, text: &str) -> Self {
        let end = text.floor_char_boundary(MAX_TEXT_BYTES);
        Self {
            text: text.get(..end).map(Arc::from),
            ..self
        }
    }

    /// The Reason headers of a message.
    pub fn all_of(message: &Message) -> Vec<Self> {
        message
            .headers(HeaderName::Reason)
            .filter_map(Self::parse)
            .take(MAX_REASONS)
            .collect()
    }

    /// What the Reason headers of a message say, as one value for another leg: the first cause of SIP and the first of Q.850, in their order
    /// (s.2: "a given protocol ... MUST NOT appear more than once"), each with its text.
    pub fn passed_on(message: &Message) -> Option<Arc<str>> {
        Self::written_again(message.headers(HeaderName::Reason))
    }

    /// The value of a Reason header that came another way than in a message, cleaned like one.
    pub fn cleaned(value: &str) -> Option<Arc<str>> {
        Self::written_again(Elements::new(value))
    }

    fn written_again<'a>(values: impl Iterator<Item = &'a str>) -> Option<Arc<str>> {
        let mut kept: Vec<Self> = Vec::new();
        for reason in values.filter_map(Self::parse).take(MAX_REASONS) {
            if let Some(protocol) = reason.protocol_of_calls()
                && kept.iter().all(|earlier| &*earlier.protocol != protocol)
            {
                kept.push(Self {
                    protocol: protocol.into(),
                    ..reason
                });
            }
        }
        let written: Vec<String> = kept.iter().map(Self::to_string).collect();
        (!written.is_empty()).then(|| written.join(", ").into())
    }

    /// The protocol's own spelling, where it is one that says why a call ended, and the cause one of its causes.
    fn protocol_of_calls(&self) -> Option<&'static str> {
        let cause = self.cause?;
        let is = |name: &str| self.protocol.eq_ignore_ascii_case(name);
        if is("SIP") && (100..700).contains(&cause) {
            Some("SIP")
        } else {
            (is("Q.850") && cause < 128).then_some("Q.850")
        }
    }

    pub(super) fn parse(value: &str) -> Option<Self> {
        // The same grammar as that of an address without a URI: a token, then parameters.
        let (protocol, params) = value.split_at_checked(value.find(';').unwrap_or(value.len()))?;
        let protocol = protocol.trim();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
        if protocol.is_empty() || protocol.len() > 32 || !protocol.bytes().all(is_token) {
            return None;
        }
        let carrier = format!("<x:y>{params}");
        let carrier = NameAddr::parse(&carrier).ok()?;
        let reason = Self {
            protocol: protocol.into(),
            cause: carrier.param("cause").and_then(|cause| cause.parse().ok()),
            text: None,
        };
        Some(match carrier.param("text").filter(|text| !text.is_empty()) {
            Some(text) => reason.with_text(&crate::message::unescape(text)),
            None => reason,
        })
    }
}

impl fmt::Display for Reason {
    /// The value of the header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.protocol.to_string();
        if let Some(cause) = self.cause {
            write_param(&mut value, "cause", &cause.to_string());
        }
        if let Some(text) = &self.text {
            // Always quoted: `text` is a quoted-string (s.2).
            let text: String = text.chars().filter(|character| !character.is_control()).collect();
            value.push_str(&format!(";text=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
        }
        f.write_str(&value)
    }
}
