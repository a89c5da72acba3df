//! Addresses in headers: From, To, Contact, Route and their like (RFC 3261 s.20.10).
//!
//! Tolerant where RFC 4475 leaves it open: any unquoted text is taken for a display name (s.3.1.2.15), and space between the
//! brackets and the URI is left out (s.3.1.2.14).

use std::borrow::Cow;

use super::error::HeaderErrorKind;
use super::params::{self, Params};
use super::uri::{Uri, UriError};

/// A `name-addr` or `addr-spec` with the parameters of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameAddr<'a> {
    /// The display name without its quotes, escapes left in; see [`NameAddr::display_unescaped`].
    pub display: Option<&'a str>,
    /// The URI, not looked into; see [`NameAddr::parse_uri`].
    pub uri: &'a str,
    /// The parameters of the header (not of the URI).
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one address.
    pub fn parse(text: &'a str) -> Result<Self, HeaderErrorKind> {
        let text = text.trim();
        let (display, rest) = match params::quoted(text) {
            Some((display, end)) => (Some(display), text[end..].trim_start()),
            None if text.starts_with('"') => return Err(HeaderErrorKind::Unbalanced),
            None => (None, text),
        };
        let Some(open) = rest.find('<').filter(|open| display.is_none() || *open == 0) else {
            return if display.is_some() {
                Err(HeaderErrorKind::Malformed)
            } else {
                Self::bare(text)
            };
        };
        let close = open + rest[open..].find('>').ok_or(HeaderErrorKind::Unbalanced)?;
        let unquoted = rest[..open].trim();
        if unquoted.contains(['"', ';']) {
            // A bracket in a parameter of a bare URI, or half a quoted string.
            return Err(HeaderErrorKind::Malformed);
        }
        let after = rest[close + 1..].trim_start();
        if !after.is_empty() && !after.starts_with(';') {
            return Err(HeaderErrorKind::Malformed);
        }
        let display = display.or((!unquoted.is_empty()).then_some(unquoted));
        Self::checked(Self {
            display,
            uri: rest[open + 1..close].trim(),
            params: Params::new(after),
        })
    }

    /// An address without brackets: its parameters belong to the header, and a URI with a comma or a question mark
    /// is not allowed so (RFC 3261 s.20.10).
    fn bare(text: &'a str) -> Result<Self, HeaderErrorKind> {
        let end = text.find(';').unwrap_or(text.len());
        let uri = text[..end].trim_end();
        if uri.contains(['?', ',']) {
            return Err(HeaderErrorKind::Uri);
        }
        Self::checked(Self {
            display: None,
            uri,
            params: Params::new(&text[end..]),
        })
    }

    fn checked(self) -> Result<Self, HeaderErrorKind> {
        let has_scheme = self
            .uri
            .split_once(':')
            .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
        if !has_scheme
            || self
                .uri
                .bytes()
                .any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'"'))
        {
            return Err(HeaderErrorKind::Uri);
        }
        Ok(self)
    }

    /// The tag (RFC 3261 s.19.3).
    pub fn tag(&self) -> Option<&'a str> {
        self.param("tag").filter(|tag| !tag.is_empty())
    }

    /// The value of a header parameter; empty where it has none.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params.value(name)
    }

    /// The display name as a person reads it.
    pub fn display_unescaped(&self) -> Option<Cow<'a, str>> {
        self.display.map(params::unescape)
    }

    /// The URI, looked into.
    pub fn parse_uri(&self) -> Result<Uri<'a>, UriError> {
        Uri::parse(self.uri)
    }

    /// The `expires` parameter of a Contact, in seconds. A malformed value is taken for one hour (RFC 3261 s.20.10), one too large
    /// to be a delta for the largest.
    pub fn expires(&self) -> Option<u32> {
        self.param("expires").map(delta_seconds)
    }

    /// The `q` parameter of a Contact, in thousandths; 1000 where it is absent or malformed.
    pub fn q(&self) -> u16 {
        self.param("q").and_then(thousandths).unwrap_or(1000)
    }
}

/// The Contact headers of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Contacts<'a> {
    /// `Contact: *`: every binding (RFC 3261 s.10.2.2).
    Star,
    /// The contacts in order; empty where there is no Contact header.
    List(Vec<NameAddr<'a>>),
}

/// `delta-seconds`: malformed is one hour, too large is the largest.
pub(super) fn delta_seconds(text: &str) -> u32 {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return 3600;
    }
    text.parse().unwrap_or(u32::MAX)
}

/// `qvalue` (RFC 3261 s.25.1): `0` to `1` with up to three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u16 = whole.parse().ok()?;
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(3)
        .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    whole.checked_mul(1000)?.checked_add(padded).filter(|q| *q <= 1000)
}
