//! SIP headers that a client wants on one leg: the extension `sip-headers`, a list of names and values.
//!
//! They stand on the leg of the destination alone. What routes, identifies or secures a message, or names a dialog, is no client's to set
//! (UCMA's back-to-back calls have the same set, and RFC 3261 the rest): error 53 names the header.

use std::sync::Arc;

use super::Call;
use super::device::DeviceKey;
use crate::link::Headers;
use crate::numbering::Calling;
use crate::{DnId, KvList, KvValue, TError, TErrorCode};

/// The extension.
const SIP_HEADERS: &str = "sip-headers";
/// The most of them.
const MAX_HEADERS: usize = 16;
/// The longest name, in bytes.
const MAX_NAME: usize = 64;
/// The longest value, in bytes.
const MAX_VALUE: usize = 1024;

/// What is never set, in lower case; the compact forms of RFC 3261 s.7.3.3 and its successors too.
const NEVER: &[&str] = &[
    "call-id",
    "contact",
    "content-type",
    "cseq",
    "from",
    "history-info",
    "max-forwards",
    "ms-conversation-id",
    "p-asserted-identity",
    "p-preferred-identity",
    "record-route",
    "refer-to",
    "referred-by",
    "replaces",
    "rseq",
    "target-class",
    "to",
    "via",
    "route",
    "path",
    "service-route",
    "require",
    "proxy-require",
    "unsupported",
    "flow-timer",
    "max-breadth",
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "proxy-authenticate",
    "authentication-info",
    "proxy-authentication-info",
    "security-client",
    "security-server",
    "security-verify",
    "identity",
    "identity-info",
    "content-length",
    "content-disposition",
    "content-encoding",
    "content-language",
    "mime-version",
    "join",
    "target-dialog",
    "refer-sub",
    "event",
    "subscription-state",
    "session-expires",
    "min-se",
    "rack",
    "expires",
    "min-expires",
    "timestamp",
    "sip-etag",
    "sip-if-match",
    "privacy",
    "remote-party-id",
    "diversion",
    "user-agent",
    "server",
    "i",
    "m",
    "l",
    "c",
    "f",
    "t",
    "v",
    "e",
    "r",
    "b",
    "y",
    "n",
    "k",
    "x",
    "o",
    "a",
    "d",
    "j",
    "u",
    "allow",
    "allow-events",
    "supported",
];

/// The headers that a request asks for.
pub(super) fn asked(extensions: &KvList) -> Result<Headers, TError> {
    let list = match extensions.value(SIP_HEADERS) {
        None => return Ok(Headers::new()),
        Some(KvValue::List(list)) => list,
        Some(_) => return Err(refused("a list of names and values")),
    };
    if list.len() > MAX_HEADERS {
        return Err(refused(&format!("{} headers, at most {MAX_HEADERS} are taken", list.len())));
    }
    let mut headers = Headers::new();
    for (name, value) in list.iter() {
        let header = checked(name, value)?;
        if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(&header.0)) {
            return Err(refused(&format!("header {name} stands there twice")));
        }
        headers.push(header);
    }
    Ok(headers)
}

fn checked(name: &str, value: &KvValue) -> Result<(Arc<str>, Arc<str>), TError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_token) {
        let cut: String = name.chars().take(MAX_NAME).collect();
        return Err(refused(&format!("{cut:?} is no name of a header")));
    }
    if NEVER.iter().any(|never| never.eq_ignore_ascii_case(name)) {
        return Err(refused(&format!("header {name} is set by the server and cannot be given")));
    }
    let value = match value {
        KvValue::Str(text) => text.clone(),
        KvValue::Int(number) => number.to_string(),
        KvValue::List(_) => return Err(refused(&format!("the value of header {name} is a list"))),
    };
    if value.chars().any(char::is_control) {
        return Err(refused(&format!("the value of header {name} has a control character")));
    }
    let value = value.trim();
    if value.len() > MAX_VALUE {
        let bytes = value.len();
        return Err(refused(&format!(
            "the value of header {name} has {bytes} bytes, at most {MAX_VALUE} are taken"
        )));
    }
    Ok((name.into(), value.into()))
}

fn refused(why: &str) -> TError {
    TError::new(TErrorCode::InvalidAttribute, format!("extensions.{SIP_HEADERS}: {why}"))
}

/// What a leg carries: what the call passes on, but for what the leg has of its own.
pub(super) fn joined(passed: &Headers, own: Headers) -> Headers {
    let kept = passed
        .iter()
        .filter(|(name, _)| !own.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    let mut headers: Headers = kept.cloned().collect();
    headers.extend(own);
    headers
}

/// Whether a header says who forwarded the call here (RFC 5806, RFC 7044).
pub(super) fn tells_of_forwarding(name: &str) -> bool {
    ["Diversion", "History-Info"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// What a request says of the leg of its destination.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct LegOptions {
    headers: Headers,
    calling: Calling,
}

impl Call {
    /// What a request of `asking` says of the leg of `dialled`, and the dial plan of its pool where it says nothing.
    pub(super) fn leg_options(&self, asking: &DnId, dialled: &str, extensions: &KvList) -> Result<LegOptions, TError> {
        Ok(LegOptions {
            headers: asked(extensions)?,
            calling: self.numbering.calling(asking, dialled, extensions)?,
        })
    }

    pub(super) fn set_leg_options(&mut self, key: DeviceKey, options: LegOptions, dialled: &str) {
        self.set_headers(key, options.headers);
        self.call_by(key, options.calling, dialled);
    }

    pub(super) fn set_headers(&mut self, key: DeviceKey, headers: Headers) {
        if let Some(device) = self.device_mut(key) {
            device.headers = headers;
        }
    }
}
