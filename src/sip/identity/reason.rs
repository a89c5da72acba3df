//! Reason: why a request was sent (RFC 3326), with a Q.850 cause or a SIP status.

use std::fmt;
use std::sync::Arc;

use super::write_param;
use crate::message::{HeaderName, Message, NameAddr};

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
