//! Headers that go from one leg to the other by name, and headers that an application adds to a leg.
//!
//! Neither may be one that routes, identifies or secures a message, that names a dialog, or that another policy here writes: those are
//! [never passed](NEVER). The first group is the set that UCMA's back-to-back calls never pass; the others follow from RFC 3261.
//! Allow and Supported are passed with the values that this user agent knows itself, and that are not agreed on leg by leg.

use std::fmt;
use std::sync::Arc;

use super::Headers;
use crate::message::{EXTENSIONS, HeaderName, Message, Method};

/// The names that are never passed on nor added.
const NEVER: [&str; 60] = [
    // What UCMA's back-to-back calls never pass.
    "Call-ID",
    "Contact",
    "Content-Type",
    "CSeq",
    "From",
    "History-Info",
    "Max-Forwards",
    "Ms-Conversation-ID",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Record-Route",
    "Refer-To",
    "Referred-By",
    "Replaces",
    "RSeq",
    "Target-Class",
    "To",
    "Via",
    // The rest of what is hop by hop, or routes.
    "Route",
    "Path",
    "Service-Route",
    "Require",
    "Proxy-Require",
    "Unsupported",
    "Flow-Timer",
    "Max-Breadth",
    // What secures a message.
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authentication-Info",
    "Proxy-Authentication-Info",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Identity",
    "Identity-Info",
    // What describes the message or its dialog.
    "Content-Length",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "MIME-Version",
    "Join",
    "Target-Dialog",
    "Refer-Sub",
    "Event",
    "Subscription-State",
    "Session-Expires",
    "Min-SE",
    "RAck",
    "Expires",
    "Min-Expires",
    "Timestamp",
    "SIP-ETag",
    "SIP-If-Match",
    // What other policies write.
    "Privacy",
    "Remote-Party-ID",
    "Diversion",
    "User-Agent",
    "Server",
];

/// Extensions that each leg agrees on by itself, as it is configured.
const PER_LEG: [&str; 2] = ["100rel", "timer"];

/// How many names a pass-through list may have.
pub const MAX_PASSED_NAMES: usize = 64;

/// How many headers an application may add to a leg.
pub const MAX_CUSTOM_HEADERS: usize = 32;

/// The longest value that is passed or added [bytes].
pub const MAX_HEADER_VALUE_BYTES: usize = 2_048;

/// The longest name [bytes].
const MAX_NAME_BYTES: usize = 64;

/// How many header lines of one message are passed.
const MAX_PASSED_LINES: usize = 64;

/// How much of one message is passed, names and values [bytes]. Together with what we write, far below the limit of a message.
const MAX_PASSED_BYTES: usize = 16_384;

/// Names that cannot stand on a pass-through list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("headers that can never be passed: {}", names.join(", "))]
pub struct NeverPassed {
    /// Those names, as they were given; names that are no header names too.
    pub names: Vec<Arc<str>>,
}

/// The names of the headers that go from an INVITE that comes to the INVITE that leaves.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PassThrough {
    names: Vec<Arc<str>>,
}

impl PassThrough {
    /// A list of these names. All of them are judged, so that one answer names every bad one; a list that is too long names what is beyond.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, NeverPassed> {
        let mut list = Self::default();
        let mut refused = Vec::new();
        for name in names {
            let name = name.as_ref().trim();
            let full = canonical(name);
            if list.names.iter().any(|known| known.eq_ignore_ascii_case(full)) {
                continue;
            }
            if !is_name(name) || is_never_passed(name) || list.names.len() >= MAX_PASSED_NAMES {
                refused.push(name.into());
            } else {
                list.names.push(full.into());
            }
        }
        if refused.is_empty() {
            Ok(list)
        } else {
            Err(NeverPassed { names: refused })
        }
    }

    /// The names.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The headers of a message that are on the list, in its order. What is too long or too much is left out.
    pub fn select(&self, message: &Message) -> Headers {
        let mut selected = Headers::new();
        let mut bytes = 0;
        for (name, value) in message.fields() {
            let full = canonical(name);
            let Some(known) = self.names.iter().find(|known| known.eq_ignore_ascii_case(full)) else {
                continue;
            };
            let Some(value) = passed_value(known, value) else { continue };
            bytes += known.len() + value.len();
            if selected.len() >= MAX_PASSED_LINES || bytes > MAX_PASSED_BYTES {
                break;
            }
            selected.push((known.clone(), value));
        }
        selected
    }
}

/// The value as it is passed.
fn passed_value(name: &str, value: &str) -> Option<Arc<str>> {
    if value.len() > MAX_HEADER_VALUE_BYTES || value.chars().any(char::is_control) {
        return None;
    }
    let known = |token: &&str| match HeaderName::classify(name.as_bytes()) {
        HeaderName::Allow => !matches!(Method::from_token(token), Method::Other(_)),
        HeaderName::Supported => {
            let is_in = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(token));
            is_in(EXTENSIONS) && !is_in(&PER_LEG)
        }
        _ => true,
    };
    if !matches!(
        HeaderName::classify(name.as_bytes()),
        HeaderName::Allow | HeaderName::Supported
    ) {
        return Some(value.into());
    }
    let values: Vec<&str> = value.split(',').map(str::trim).filter(known).collect();
    (!values.is_empty()).then(|| values.join(", ").into())
}

/// What is wrong with a header that an application wants on a leg.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CustomHeaderError {
    /// The name is empty, too long, or has a character that no header name has.
    #[error("{name:?} is not a header name")]
    Name {
        /// The name, cut where it is long.
        name: Arc<str>,
    },
    /// The header is one of those that an application cannot set.
    #[error("header {name} is set by the server and cannot be given")]
    Never {
        /// The name.
        name: Arc<str>,
    },
    /// The value has a line break or another control character, which would start a header of its own.
    #[error("the value of header {name} has a control character at byte {at}")]
    Control {
        /// The name.
        name: Arc<str>,
        /// Where.
        at: usize,
    },
    /// The value is too long.
    #[error(
        "the value of header {name} has {bytes} bytes; at most {} are taken",
        MAX_HEADER_VALUE_BYTES
    )]
    TooLong {
        /// The name.
        name: Arc<str>,
        /// How long it is.
        bytes: usize,
    },
    /// There are too many.
    #[error("{count} headers; at most {} are taken", MAX_CUSTOM_HEADERS)]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// Checks one header that an application wants on a leg; gives it with its full name and a trimmed value.
pub fn custom_header(name: &str, value: &str) -> Result<(Arc<str>, Arc<str>), CustomHeaderError> {
    let name = name.trim();
    if !is_name(name) {
        let name = Shortened(name).to_string().into();
        return Err(CustomHeaderError::Name { name });
    }
    if is_never_passed(name) {
        let name = canonical(name).into();
        return Err(CustomHeaderError::Never { name });
    }
    let full: Arc<str> = canonical(name).into();
    if let Some((at, _)) = value.char_indices().find(|(_, character)| character.is_control()) {
        return Err(CustomHeaderError::Control { name: full, at });
    }
    let value = value.trim();
    if value.len() > MAX_HEADER_VALUE_BYTES {
        let bytes = value.len();
        return Err(CustomHeaderError::TooLong { name: full, bytes });
    }
    Ok((full, value.into()))
}

/// Checks all the headers that an application wants on a leg; the first that is wrong is the error.
pub fn custom_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Headers, CustomHeaderError> {
    let mut checked = Headers::new();
    let mut count = 0;
    for (name, value) in headers {
        count += 1;
        if count <= MAX_CUSTOM_HEADERS {
            checked.push(custom_header(name, value)?);
        }
    }
    if count > MAX_CUSTOM_HEADERS {
        return Err(CustomHeaderError::TooMany { count });
    }
    Ok(checked)
}

/// The full name of a compact form; any other name as it is.
fn canonical(name: &str) -> &str {
    match HeaderName::classify(name.as_bytes()) {
        HeaderName::Other => name,
        known => known.as_str(),
    }
}

fn is_name(name: &str) -> bool {
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
    fits && name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

fn is_never_passed(name: &str) -> bool {
    let name = canonical(name);
    NEVER.iter().any(|never| never.eq_ignore_ascii_case(name))
}

/// A text cut to the length of a name, for errors.
struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.floor_char_boundary(MAX_NAME_BYTES);
        f.write_str(self.0.get(..end).unwrap_or_default())
    }
}
