//! The Via header (RFC 3261 s.20.42, RFC 3581).

use std::net::{IpAddr, Ipv6Addr};

use super::error::HeaderErrorKind;
use super::head::is_token;
use super::params::Params;
use super::uri;

/// One Via value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Via<'a> {
    /// The transport token (`UDP`, `TCP`, `TLS`, `WS`, or one unknown to us).
    pub transport: &'a str,
    /// The host of `sent-by`, an IPv6 address with its brackets.
    pub host: &'a str,
    /// The port of `sent-by`.
    pub port: Option<u16>,
    /// The branch; empty text counts as absent.
    pub branch: Option<&'a str>,
    /// Where the request came from, as the one who got it saw it.
    pub received: Option<&'a str>,
    /// `Some(None)` asks for symmetric response routing, `Some(Some(port))` answers it (RFC 3581).
    pub rport: Option<Option<u16>>,
    /// The multicast or other address to answer to.
    pub maddr: Option<&'a str>,
    /// All parameters.
    pub params: Params<'a>,
}

/// The start of a branch that identifies a transaction by itself (RFC 3261 s.8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

impl<'a> Via<'a> {
    /// Reads one value: `SIP / 2.0 / transport  sent-by ;params`, white space allowed between all elements.
    pub fn parse(text: &'a str) -> Result<Self, HeaderErrorKind> {
        let (name, rest) = text.split_once('/').ok_or(HeaderErrorKind::Malformed)?;
        let (version, rest) = rest.split_once('/').ok_or(HeaderErrorKind::Malformed)?;
        let rest = rest.trim_start();
        let (transport, rest) = rest.split_once([' ', '\t']).ok_or(HeaderErrorKind::Malformed)?;
        let end = rest.find(';').unwrap_or(rest.len());
        let params = Params::new(&rest[end..]);
        let are_tokens = [name.trim(), version.trim(), transport]
            .iter()
            .all(|text| !text.is_empty() && text.bytes().all(is_token));
        if !are_tokens || params.has_gaps() || !params.is_well_formed() {
            return Err(HeaderErrorKind::Malformed);
        }
        let (host, port) = uri::host_port(rest[..end].trim()).map_err(|_| HeaderErrorKind::Malformed)?;
        let mut via = Self {
            transport,
            host,
            port,
            branch: None,
            received: None,
            rport: None,
            maddr: None,
            params,
        };
        for (name, value) in params.iter() {
            via.take(name, value.unwrap_or_default());
        }
        Ok(via)
    }

    /// Notes a parameter that is known here. Of one that is there twice the first counts; an empty value counts as absent.
    fn take(&mut self, name: &str, value: &'a str) {
        let slot = if name.eq_ignore_ascii_case("branch") {
            &mut self.branch
        } else if name.eq_ignore_ascii_case("received") {
            &mut self.received
        } else if name.eq_ignore_ascii_case("maddr") {
            &mut self.maddr
        } else {
            if name.eq_ignore_ascii_case("rport") {
                self.rport.get_or_insert_with(|| value.parse().ok());
            }
            return;
        };
        if slot.is_none() && !value.is_empty() {
            *slot = Some(value);
        }
    }

    /// The branch, where it identifies a transaction by itself: the magic cookie and something behind it (RFC 4475 s.3.2.1).
    pub fn unique_branch(&self) -> Option<&'a str> {
        self.branch.filter(|branch| {
            let (cookie, rest) = branch.split_at_checked(MAGIC_COOKIE.len()).unwrap_or_default();
            cookie.eq_ignore_ascii_case(MAGIC_COOKIE) && !rest.is_empty()
        })
    }

    /// The host of `sent-by`, where it is an address.
    pub fn host_ip(&self) -> Option<IpAddr> {
        ip_literal(self.host)
    }

    /// The `received` address, with or without brackets (RFC 5118 s.4.5).
    pub fn received_ip(&self) -> Option<IpAddr> {
        ip_literal(self.received?)
    }
}

/// An address literal, brackets allowed. Three colons in a row, which the grammar of RFC 3261 makes, stand for two (RFC 5118 s.4.10).
pub(super) fn ip_literal(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').map_or(Some(text), |rest| rest.strip_suffix(']'))?;
    let parsed: Option<IpAddr> = inner.parse().ok();
    parsed.or_else(|| {
        inner
            .contains(":::")
            .then(|| inner.replacen(":::", "::", 1).parse::<Ipv6Addr>().ok())?
            .map(IpAddr::V6)
    })
}
