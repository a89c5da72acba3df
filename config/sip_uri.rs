//! A small check of SIP URIs (RFC 3261 s.19.1), enough to tell a wrong one in the configuration.
//!
//! It does not parse headers or passwords: a DN and the address of a trunk have neither.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A SIP URI, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SipUri<'a> {
    /// The user part.
    pub user: Option<&'a str>,
    /// The host with the port, where there is one.
    pub host_and_port: &'a str,
    /// What follows the host: `;transport=udp`, without its first semicolon.
    pub parameters: Option<&'a str>,
}

impl<'a> SipUri<'a> {
    /// Takes a URI apart and checks its parts.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once(':').ok_or("it has no scheme")?;
        if scheme.eq_ignore_ascii_case("sips") {
            return Err("sips is not supported");
        }
        if !scheme.eq_ignore_ascii_case("sip") {
            return Err("its scheme is not sip");
        }
        let (user, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        if let Some(user) = user {
            check_user(user)?;
        }
        if rest.contains('?') {
            return Err("headers (`?`) cannot stand here");
        }
        let (host_and_port, parameters) = match rest.split_once(';') {
            Some((host, parameters)) => (host, Some(parameters)),
            None => (rest, None),
        };
        check_host_and_port(host_and_port)?;
        Ok(Self {
            user,
            host_and_port,
            parameters,
        })
    }

    /// Whether it names a DN.
    pub fn check_dn(&self) -> Result<(), &'static str> {
        match (self.user, self.parameters) {
            (None, _) => Err("it has no user part"),
            (_, Some(_)) => Err("a DN has no parameters"),
            (Some(_), None) => Ok(()),
        }
    }

    /// Whether it is the address of a peer.
    pub fn check_peer(&self) -> Result<(), &'static str> {
        if self.user.is_some() {
            return Err("the address of a peer has no user part");
        }
        for parameter in self.parameters.into_iter().flat_map(|all| all.split(';')) {
            match parameter.split_once('=') {
                Some(("transport", "udp" | "tcp")) => {}
                Some(("transport", _)) => return Err("the transport is udp or tcp"),
                _ => return Err("its only parameter is transport"),
            }
        }
        Ok(())
    }
}

fn check_user(user: &str) -> Result<(), &'static str> {
    if user.is_empty() {
        return Err("its user part is empty");
    }
    // unreserved, escaped and user-unreserved of RFC 3261 s.25.1, without `?`, `;` and `/`, which belong to no DN.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()%&=+$,".contains(&b);
    if user.bytes().all(allowed) {
        Ok(())
    } else {
        Err("its user part has a character that cannot stand there")
    }
}

/// `host` of `host:port`.
pub(crate) fn without_port(text: &str) -> &str {
    split_port(text).0
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// Checks `host` or `host:port`; an IPv6 address stands in brackets.
pub(crate) fn check_host_and_port(text: &str) -> Result<(), &'static str> {
    let (host, port) = split_port(text);
    if let Some(port) = port
        && !port.parse::<u16>().is_ok_and(|port| port > 0)
    {
        return Err("its port is not 1 to 65535");
    }
    check_host(host)
}

/// Checks a host name, an IPv4 address or an IPv6 address in brackets.
pub(crate) fn check_host(host: &str) -> Result<(), &'static str> {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.map(drop).ok_or("its IPv6 address is malformed");
    }
    if host.is_empty() {
        return Err("it has no host");
    }
    if host.contains(':') {
        return Err("an IPv6 address stands in brackets");
    }
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return host
            .parse::<Ipv4Addr>()
            .map(drop)
            .map_err(|_| "its IPv4 address is malformed");
    }
    let label_is_good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.len() <= 253 && name.split('.').all(label_is_good) {
        Ok(())
    } else {
        Err("its host name is malformed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_and_peers_are_told_from_what_they_are_not() {
        let dn = |text| SipUri::parse(text).and_then(|uri| uri.check_dn());
        assert_eq!(dn("sip:alice@tandem.local"), Ok(()));
        assert_eq!(dn("SIP:+49%20123@10.0.0.1:5070"), Ok(()));
        assert_eq!(dn("sip:alice@[::1]:5070"), Ok(()));
        assert_eq!(dn("alice@tandem.local"), Err("it has no scheme"));
        assert_eq!(dn("tel:123"), Err("its scheme is not sip"));
        assert_eq!(dn("sips:a@b"), Err("sips is not supported"));
        assert_eq!(dn("sip:tandem.local"), Err("it has no user part"));
        assert_eq!(dn("sip:@tandem.local"), Err("its user part is empty"));
        assert_eq!(
            dn("sip:a b@tandem.local"),
            Err("its user part has a character that cannot stand there")
        );
        assert_eq!(dn("sip:a@b;transport=udp"), Err("a DN has no parameters"));
        assert_eq!(dn("sip:a@b?x=y"), Err("headers (`?`) cannot stand here"));
        assert_eq!(dn("sip:a@"), Err("it has no host"));
        assert_eq!(dn("sip:a@::1"), Err("an IPv6 address stands in brackets"));
        assert_eq!(dn("sip:a@[::1"), Err("its IPv6 address is malformed"));
        assert_eq!(dn("sip:a@300.1.1.1"), Err("its IPv4 address is malformed"));
        assert_eq!(dn("sip:a@b:0"), Err("its port is not 1 to 65535"));
        assert_eq!(dn("sip:a@-b.c"), Err("its host name is malformed"));
        let peer = |text| SipUri::parse(text).and_then(|uri| uri.check_peer());
        assert_eq!(peer("sip:127.0.0.1:5090;transport=udp"), Ok(()));
        assert_eq!(peer("sip:carrier.example"), Ok(()));
        assert_eq!(peer("sip:a@carrier.example"), Err("the address of a peer has no user part"));
        assert_eq!(peer("sip:carrier.example;transport=tls"), Err("the transport is udp or tcp"));
        assert_eq!(peer("sip:carrier.example;lr"), Err("its only parameter is transport"));
    }
}
