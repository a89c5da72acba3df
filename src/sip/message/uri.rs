//! URIs: a view of the text (RFC 3261 s.19.1, RFC 3966).
//!
//! Invariant: a parsed URI holds no white space, control character or angle bracket, and a `sip` or `sips` URI has a host.
//! What it does not do: resolve, or judge the parameters.

use std::borrow::Cow;
use std::net::IpAddr;

pub use super::error::UriError;
use super::params::Params;
use super::via::ip_literal;

/// The scheme of a URI.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheme<'a> {
    /// `sip`.
    Sip,
    /// `sips`.
    Sips,
    /// `tel`.
    Tel,
    /// Any other, as written.
    Other(&'a str),
}

/// A URI, looked into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uri<'a> {
    /// The whole text.
    pub text: &'a str,
    /// The scheme.
    pub scheme: Scheme<'a>,
    /// The user part as written; of a `tel` URI the number; of an unknown scheme everything behind the colon.
    pub user: Option<&'a str>,
    /// The password.
    pub password: Option<&'a str>,
    /// The host, an IPv6 address with its brackets; empty unless the scheme is `sip` or `sips`.
    pub host: &'a str,
    /// The port.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'a>,
    /// The headers behind `?`, without it.
    pub headers: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Reads a URI.
    pub fn parse(text: &'a str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let starts_well = scheme.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        if !starts_well
            || !scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        {
            return Err(UriError::Scheme);
        }
        if rest
            .bytes()
            .any(|byte| byte <= b' ' || matches!(byte, 0x7f | b'<' | b'>' | b'"'))
        {
            return Err(UriError::Character);
        }
        let bare = Self {
            text,
            scheme: Scheme::Sip,
            user: None,
            password: None,
            host: "",
            port: None,
            params: Params::default(),
            headers: None,
        };
        if scheme.eq_ignore_ascii_case("sip") {
            bare.sip(rest)
        } else if scheme.eq_ignore_ascii_case("sips") {
            Self {
                scheme: Scheme::Sips,
                ..bare
            }
            .sip(rest)
        } else if scheme.eq_ignore_ascii_case("tel") {
            let end = rest.find(';').unwrap_or(rest.len());
            Ok(Self {
                scheme: Scheme::Tel,
                user: Some(&rest[..end]),
                params: Params::new(&rest[end..]),
                ..bare
            })
        } else {
            Ok(Self {
                scheme: Scheme::Other(scheme),
                user: Some(rest),
                ..bare
            })
        }
    }

    /// The part of a `sip` URI behind the scheme. The `@` comes first: the user part may hold `;`, `?` and `/` (RFC 4475 s.3.1.1.2).
    fn sip(self, rest: &'a str) -> Result<Self, UriError> {
        let (user_info, rest) = rest.split_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
        let (user, password) = match user_info {
            Some(text) => text
                .split_once(':')
                .map_or((Some(text), None), |(user, password)| (Some(user), Some(password))),
            None => (None, None),
        };
        if user == Some("") {
            return Err(UriError::Host);
        }
        let (rest, headers) = rest
            .split_once('?')
            .map_or((rest, None), |(rest, headers)| (rest, Some(headers)));
        let end = rest.find(';').unwrap_or(rest.len());
        let (host, port) = host_port(&rest[..end])?;
        Ok(Self {
            user,
            password,
            host,
            port,
            params: Params::new(&rest[end..]),
            headers,
            ..self
        })
    }

    /// Whether the scheme is `sip` or `sips`.
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user part with its escapes undone.
    pub fn user_decoded(&self) -> Option<Cow<'a, str>> {
        self.user.map(decode)
    }

    /// The value of a parameter; empty where it has none.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params.value(name)
    }

    /// The `transport` parameter.
    pub fn transport(&self) -> Option<&'a str> {
        self.param("transport")
    }

    /// The `maddr` parameter.
    pub fn maddr(&self) -> Option<&'a str> {
        self.param("maddr")
    }

    /// Whether it names a loose router (RFC 3261 s.16.12.1.1).
    pub fn lr(&self) -> bool {
        self.params.contains("lr")
    }

    /// Whether it asks for the registration flow (RFC 5626 s.5.3).
    pub fn ob(&self) -> bool {
        self.params.contains("ob")
    }

    /// Whether the host has to be resolved.
    pub fn host_is_name(&self) -> bool {
        !self.host.is_empty() && self.host_ip().is_none()
    }

    /// The host, where it is an address.
    pub fn host_ip(&self) -> Option<IpAddr> {
        ip_literal(self.host)
    }

    /// The address of record: `scheme:user@host` in lower case, without password, port, parameters and headers; escapes undone
    /// where that is safe; an IPv6 address in its shortest form; a telephone number without its visual separators.
    pub fn aor(&self) -> String {
        match self.scheme {
            Scheme::Sip | Scheme::Sips => {
                let scheme = if self.scheme == Scheme::Sip { "sip" } else { "sips" };
                let user = self.user.map(|user| normalise(user).to_lowercase() + "@").unwrap_or_default();
                format!("{scheme}:{user}{}", self.host_normalised())
            }
            Scheme::Tel => {
                let number: String = self
                    .user
                    .unwrap_or_default()
                    .chars()
                    .filter(|digit| !"-.()".contains(*digit))
                    .collect();
                format!("tel:{}", number.to_lowercase())
            }
            Scheme::Other(scheme) => format!("{}:{}", scheme.to_ascii_lowercase(), self.user.unwrap_or_default()),
        }
    }

    /// Equality as RFC 3261 s.19.1.4 has it. URIs that are not SIP are compared as text, the scheme without case.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        if self.is_sip() != other.is_sip() || !self.same_scheme(other) {
            return false;
        }
        if !self.is_sip() {
            return self.aor() == other.aor() && same_params(self.params, other.params);
        }
        let credentials = |uri: &Uri<'_>| (uri.user.map(normalise), uri.password.map(normalise));
        credentials(self) == credentials(other)
            && self.host_normalised() == other.host_normalised()
            && self.port == other.port
            && same_params(self.params, other.params)
            && header_set(self.headers) == header_set(other.headers)
    }

    fn same_scheme(&self, other: &Uri<'_>) -> bool {
        match (self.scheme, other.scheme) {
            (Scheme::Other(one), Scheme::Other(two)) => one.eq_ignore_ascii_case(two),
            (one, two) => one == two,
        }
    }

    fn host_normalised(&self) -> String {
        match self.host_ip() {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.to_ascii_lowercase(),
        }
    }
}

/// Splits and checks `host [":" port]`. White space round the colon is allowed (RFC 3261 s.25.1, COLON in Via).
pub(super) fn host_port(text: &str) -> Result<(&str, Option<u16>), UriError> {
    let end = if text.starts_with('[') {
        text.find(']').ok_or(UriError::Host)? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = (text[..end].trim_end(), text[end..].trim_start());
    let is_host = if host.starts_with('[') {
        matches!(ip_literal(host), Some(IpAddr::V6(_)))
    } else {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    };
    if !is_host {
        return Err(UriError::Host);
    }
    if rest.is_empty() {
        return Ok((host, None));
    }
    let digits = rest.strip_prefix(':').ok_or(UriError::Host)?.trim();
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|_| all_digits).ok_or(UriError::Port)?;
    Ok((host, Some(port)))
}

/// Undoes every `%XX`. What is then not UTF-8 becomes the replacement character; a `%` without two hexadecimal digits stays.
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if let Some((byte, after)) = escape(rest) {
            bytes.push(byte);
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Undoes the escapes that mean the same undone (unreserved characters), writes the others in upper case (RFC 3986 s.6.2.2).
fn normalise(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        match escape(rest.as_bytes()) {
            Some((byte, _)) => {
                if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
                    plain.push(char::from(byte));
                } else {
                    plain.push_str(&rest[..3].to_ascii_uppercase());
                }
                rest = &rest[3..];
            }
            None => {
                plain.push(character);
                rest = &rest[character.len_utf8()..];
            }
        }
    }
    plain
}

/// The byte of the escape at the start of `text`, and what follows it.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? * 16 + digit(low)?, rest))
}

/// Parameters that never match their absence (RFC 3261 s.19.1.4; `transport` by its examples).
const TELLING: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

fn same_params(one: Params<'_>, two: Params<'_>) -> bool {
    // Of a parameter that is there twice the first counts.
    let covered = |from: Params<'_>, by: Params<'_>| {
        from.iter().all(|(name, _)| match (from.value(name), by.value(name)) {
            (Some(value), Some(other)) => normalise(value).eq_ignore_ascii_case(&normalise(other)),
            _ => !TELLING.iter().any(|telling| telling.eq_ignore_ascii_case(name)),
        })
    };
    covered(one, two) && covered(two, one)
}

/// The headers in no particular order, names in lower case.
fn header_set(headers: Option<&str>) -> Vec<(String, String)> {
    let mut set: Vec<_> = headers
        .unwrap_or_default()
        .split('&')
        .filter(|header| !header.is_empty())
        .map(|header| header.split_once('=').unwrap_or((header, "")))
        .map(|(name, value)| (normalise(name).to_ascii_lowercase(), normalise(value)))
        .collect();
    set.sort_unstable();
    set
}
