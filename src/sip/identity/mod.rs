//! Who calls, who forwarded, why it ended, and which headers go from one leg to the other: the header policy of a back-to-back user agent.
//!
//! * [`Claims`], [`Identity`], [`Privacy`], [`present`]: P-Asserted-Identity, P-Preferred-Identity, Remote-Party-ID and Privacy, read from a
//!   side that is trusted or not and written for one (RFC 3323, RFC 3325; the Remote-Party-ID draft as old trunks have it).
//! * [`Diversions`], [`History`]: Diversion (RFC 5806) and History-Info (RFC 7044); [`forwardings`] is what a call brings along, and
//!   [`continued`] goes on with it.
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

use crate::message::{HeaderName, Message, NameAddr, Scheme, uri::Uri};

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

/// How much of each, Diversion and History-Info, is passed on [bytes].
const MAX_FORWARDING_BYTES: usize = 4_096;

/// The longest display name that is taken over [bytes].
const MAX_DISPLAY_BYTES: usize = 256;

/// Who forwarded the call last, as the INVITE tells: the first Diversion, else the History-Info.
pub fn diverted_by(invite: &Message) -> Option<Arc<str>> {
    let diversions = diversions(invite, &History::of(invite));
    diversions.entries.first().map(|diversion| diversion.by.clone())
}

fn diversions(invite: &Message, history: &History) -> Diversions {
    let told = Diversions::of(invite);
    if told.entries.is_empty() { history.diversions() } else { told }
}

/// What an INVITE tells of the forwardings before it, as headers of the next leg: every Diversion (made of the History-Info where there is
/// none), and the History-Info where there is one. [`continued`] reads it. So much of it that it leaves room for the rest.
pub fn forwardings(invite: &Message) -> Headers {
    let mut history = History::of(invite);
    let mut diversions = diversions(invite, &history);
    while bytes(&diversions.headers()) > MAX_FORWARDING_BYTES && diversions.forget_oldest() {}
    while bytes(&history.headers()) > MAX_FORWARDING_BYTES && history.forget_second() {}
    let mut headers = diversions.headers();
    headers.extend(history.headers());
    headers
}

fn bytes(headers: &Headers) -> usize {
    headers.iter().map(|(_, value)| value.len()).sum()
}

/// One more forwarding of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forwarded {
    /// Who forwarded.
    pub by: Arc<str>,
    /// Why.
    pub reason: ForwardReason,
}

/// Where a leg goes whose call was forwarded before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Towards<'a> {
    /// Who is called.
    pub to: &'a str,
    /// How that is found: `rc` for a device that registered, `np` for the way to a number.
    pub kind: &'static str,
    /// Whether it may read what is private.
    pub trust: Trust,
    /// The privacy of the caller: it may be for who forwarded too.
    pub privacy: Privacy,
}

/// Goes on with what `told` has of Diversion and History-Info (other headers of it stand in the result unchanged): each of these
/// forwardings, in their order, and the target. History-Info is written where there was one: who does not know it need not carry it.
pub fn continued(told: Headers, forwarded: &[Forwarded], towards: Towards<'_>) -> Headers {
    let named = |name: HeaderName| {
        told.iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name.as_str()))
    };
    let mut diversions = Diversions::parse(named(HeaderName::Diversion).map(|(_, value)| &**value));
    let mut history = History::parse(named(HeaderName::HistoryInfo).map(|(_, value)| &**value));
    for (at, one) in forwarded.iter().enumerate() {
        diversions.push(Diversion::new(one.by.clone(), None, one.reason));
        if !history.entries.is_empty() {
            let next = forwarded.get(at + 1).map_or(towards.to, |next| &*next.by);
            history.push(&one.by, next, one.reason);
        }
    }
    history.reach(towards.to, towards.kind);
    let hidden = towards.privacy.hides_forwarding();
    let lines = match towards.trust {
        Trust::Trusted => [diversions.headers(), history.headers()],
        Trust::Untrusted if hidden => [diversions.public_headers(true), Headers::new()],
        Trust::Untrusted => [diversions.public_headers(false), history.public_headers()],
    };
    let ours = [HeaderName::Diversion.as_str(), HeaderName::HistoryInfo.as_str()];
    let is_ours = |name: &str| ours.iter().any(|own| own.eq_ignore_ascii_case(name));
    let others = told.iter().filter(|(name, _)| !is_ours(name)).cloned();
    lines.into_iter().flatten().chain(others).collect()
}

/// The value of the Referred-By header for the request that a REFER triggers (RFC 3892 s.2.2), where it can be taken over: name and URI.
/// A signed token stays behind, for it is a part of the body, and so does the `cid` that names it: the target then has the referrer's word
/// alone, which it may ask to be proved (429, s.2.3).
pub fn referred_by(request: &Message) -> Option<Arc<str>> {
    let address = request.referred_by().ok()??;
    let uri = uri_of(&address)?;
    let callable = !matches!(Uri::parse(&uri).ok()?.scheme, Scheme::Other(_));
    let mut value = String::with_capacity(uri.len() + 48);
    write_name_addr(&mut value, history::without_headers(&uri), display_of(&address).as_deref());
    callable.then(|| value.into())
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
