//! Who calls, who forwarded, why it ended, and which headers go from one leg to the other: the header policy of a back-to-back user agent.
//!
//! * [`Claims`], [`Identity`], [`Privacy`], [`present`]: P-Asserted-Identity, P-Preferred-Identity, Remote-Party-ID and Privacy, read from a
//!   side that is trusted or not and written for one (RFC 3323, RFC 3325; the Remote-Party-ID draft as old trunks have it).
//! * [`Diversions`], [`History`]: Diversion (RFC 5806) and History-Info (RFC 7044), kept and continued when a call is forwarded.
//! * [`Reason`]: Reason with Q.850 causes (RFC 3326).
//! * [`PassThrough`], [`custom_header`]: the headers that are passed from leg to leg by name, and those that an application adds.
//!
//! Everything here is a function of one message or of plain values, to lists of (name, value) that go into `ua::Invite::headers`.
//!
//! Invariants: what a side says that is not trusted is never written as asserted; a header that routes, identifies or secures a message is
//! never passed or added; whatever was read, what is written is one line a header and bounded.
//!
//! What it does not do: know who is trusted, which identities a device may use, or whether a loop is one. It asks nobody.

mod asserted;
mod diversion;
mod history;
mod pass_through;
mod reason;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::Arc;

use crate::message::{Message, NameAddr, uri::Uri};

pub use asserted::{Claims, Identity, IdentityStyle, Presented, Privacy, Trust, present};
pub use diversion::{Diversion, Diversions, ForwardReason};
pub use history::{History, HistoryEntry};
pub use pass_through::{
    CustomHeaderError, MAX_CUSTOM_HEADERS, MAX_HEADER_VALUE_BYTES, MAX_PASSED_NAMES, NeverPassed, PassThrough, custom_header,
    custom_headers,
};
pub use reason::Reason;

/// (name, value) of headers to be written, in order.
pub type Headers = Vec<(Arc<str>, Arc<str>)>;

/// The longest URI that is taken over from a header [bytes].
pub(crate) const MAX_URI_BYTES: usize = 1_024;

/// The longest display name that is taken over [bytes].
const MAX_DISPLAY_BYTES: usize = 256;

/// Who forwarded the call last, as the INVITE tells: the first Diversion, else the History-Info.
pub fn diverted_by(invite: &Message) -> Option<Arc<str>> {
    let diversions = Diversions::of(invite);
    let last = diversions.entries.first().map(|diversion| diversion.by.clone());
    last.or_else(|| History::of(invite).diverted_by())
}

/// The URI of the Referred-By header (RFC 3892), where it can be taken over.
pub fn referred_by(request: &Message) -> Option<Arc<str>> {
    let address = request.referred_by().ok()??;
    uri_of(&address)
}

/// The URI of an address, where it is one that we would write again.
fn uri_of(address: &NameAddr<'_>) -> Option<Arc<str>> {
    let fits = address.uri.len() <= MAX_URI_BYTES && Uri::parse(address.uri).is_ok();
    fits.then(|| address.uri.into())
}

/// The display name of an address, as a person reads it; cut where it is very long.
fn display_of(address: &NameAddr<'_>) -> Option<Arc<str>> {
    let display = address.display_unescaped()?;
    let plain: String = display.chars().filter(|character| !character.is_control()).collect();
    let end = plain.floor_char_boundary(MAX_DISPLAY_BYTES);
    plain.get(..end).map(str::trim).filter(|text| !text.is_empty()).map(Arc::from)
}

/// `"display" <uri>`.
fn write_name_addr(out: &mut String, uri: &str, display: Option<&str>) {
    if let Some(display) = display.filter(|display| !display.is_empty()) {
        out.push('"');
        for character in display.chars().filter(|character| !character.is_control()) {
            if matches!(character, '"' | '\\') {
                out.push('\\');
            }
            out.push(character);
        }
        out.push_str("\" ");
    }
    // Writing to memory does not fail.
    let _ = write!(out, "<{uri}>");
}

/// A parameter value: as it is where it is a token, else quoted.
fn write_param(out: &mut String, name: &str, value: &str) {
    let is_token = !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte));
    let _ = if is_token {
        write!(out, ";{name}={value}")
    } else {
        let value: String = value.chars().filter(|character| !character.is_control()).collect();
        write!(out, ";{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    };
}
