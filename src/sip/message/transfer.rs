//! Typed access to the headers of transfers, redirections and event notification: Refer-To, Referred-By, Refer-Sub, Replaces, Contact of a
//! 3xx, Event.
//!
//! Sources: RFC 3515 s.2.1, RFC 3892 s.3, RFC 4488 s.4, RFC 3891 s.6.1, RFC 6665 s.8.2.1. Each call reads the value anew.

use super::error::{HeaderError, HeaderErrorKind};
use super::params::Params;
use super::{HeaderName, Message, NameAddr, Scheme};

/// The longest Call-ID or tag that a Replaces header may have [bytes]. Ours are a tenth of it.
const MAX_DIALOG_PART_BYTES: usize = 512;

/// How many targets of a redirection are read.
const MAX_TARGETS: usize = 16;

/// A Replaces header (RFC 3891 s.6.1): the dialog as its receiver sees it, `to_tag` being the receiver's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replaces<'a> {
    /// The Call-ID.
    pub call_id: &'a str,
    /// The receiver's tag.
    pub to_tag: &'a str,
    /// The other tag.
    pub from_tag: &'a str,
    /// Whether only an early dialog may be replaced.
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads the value of a Replaces header, unescaped where it stood in a URI.
    pub fn parse(text: &'a str) -> Result<Self, HeaderErrorKind> {
        // A Call-ID may hold quotes and brackets (s.25.1 `word`), so the first semicolon ends it, wherever it stands.
        let (call_id, params) = text
            .split_at_checked(text.find(';').unwrap_or(text.len()))
            .ok_or(HeaderErrorKind::Malformed)?;
        let params = Params::new(params);
        let once = |name: &str| {
            let mut found = params.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            let value = found.next().and_then(|(_, value)| value).filter(|value| is_part(value));
            value.filter(|_| found.next().is_none()).ok_or(HeaderErrorKind::Malformed)
        };
        let call_id = call_id.trim();
        if !is_part(call_id) {
            return Err(HeaderErrorKind::Malformed);
        }
        Ok(Self {
            call_id,
            to_tag: once("to-tag")?,
            from_tag: once("from-tag")?,
            early_only: params.contains("early-only"),
        })
    }
}

/// Whether a text can be a Call-ID or a tag.
fn is_part(text: &str) -> bool {
    let fits = (1..=MAX_DIALOG_PART_BYTES).contains(&text.len());
    fits && !text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b',')
}

/// An Event header (RFC 6665 s.8.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event<'a> {
    /// The event package, its templates included.
    pub package: &'a str,
    /// What tells two subscriptions to one package apart.
    pub id: Option<&'a str>,
}

impl Message {
    /// The Refer-To header: a REFER has exactly one (RFC 3515 s.2.4.2).
    pub fn refer_to(&self) -> Result<NameAddr<'_>, HeaderError> {
        self.address(HeaderName::ReferTo)
    }

    /// The Referred-By header, where there is one (RFC 3892 s.3).
    pub fn referred_by(&self) -> Result<Option<NameAddr<'_>>, HeaderError> {
        self.optional(HeaderName::ReferredBy, NameAddr::parse)
    }

    /// Whether the sender of a REFER wants no implicit subscription (RFC 4488 s.4).
    pub fn declines_refer_subscription(&self) -> bool {
        self.header_named("Refer-Sub").is_some_and(|value| {
            let value = value.split(';').next().unwrap_or_default();
            value.trim().eq_ignore_ascii_case("false")
        })
    }

    /// The Replaces header, where there is one. Two of them are an error (RFC 3891 s.3).
    pub fn replaces(&self) -> Result<Option<Replaces<'_>>, HeaderError> {
        self.optional(HeaderName::Replaces, Replaces::parse)
    }

    /// The Event header, where there is one that can be read.
    pub fn event(&self) -> Option<Event<'_>> {
        let value = self.header(HeaderName::Event)?;
        let (package, params) = value.split_at_checked(value.find(';').unwrap_or(value.len()))?;
        let package = package.trim();
        let is_package = !package.is_empty() && package.bytes().all(super::head::is_token);
        is_package.then(|| Event {
            package,
            id: Params::new(params).value("id").filter(|id| !id.is_empty()),
        })
    }

    /// Where a 3xx sends the caller: its contacts, by falling `q`, those of the same in their order (RFC 3261 s.8.1.3.4). Ones that cannot be
    /// read or called are left out, as is what is beyond 16 of them.
    pub fn redirect_targets(&self) -> impl Iterator<Item = &str> {
        let redirects = self.status().is_some_and(|status| (300..400).contains(&status));
        let values = self.headers(HeaderName::Contact).filter(|_| redirects);
        let callable = |address: &NameAddr<'_>| address.parse_uri().is_ok_and(|uri| !matches!(uri.scheme, Scheme::Other(_)));
        let mut targets: Vec<NameAddr<'_>> = values
            .filter_map(|value| NameAddr::parse(value).ok())
            .filter(callable)
            .take(MAX_TARGETS)
            .collect();
        targets.sort_by_key(|target| std::cmp::Reverse(target.q()));
        targets.into_iter().map(|target| target.uri)
    }

    /// A header that may be there once.
    fn optional<'a, T>(
        &'a self,
        name: HeaderName,
        parse: impl Fn(&'a str) -> Result<T, HeaderErrorKind>,
    ) -> Result<Option<T>, HeaderError> {
        match self.single(name) {
            Ok(value) => parse(value).map(Some).map_err(|kind| kind.of(name)),
            Err(error) if error.kind == HeaderErrorKind::Missing => Ok(None),
            Err(error) => Err(error),
        }
    }
}
