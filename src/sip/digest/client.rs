//! The side that is challenged: a trunk asks who we are.
//!
//! Invariant: credentials of one realm never answer the challenge of another. The cnonce is passed in; nothing here is random. Not
//! here: how often one request may be challenged (the user agent's draft counts that).

use std::sync::Arc;

pub use super::params::SyntaxError;
use super::params::{Params, escape};
use super::{Algorithm, ResponseInput};

/// A challenge that can be answered: one WWW-Authenticate or Proxy-Authenticate value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// The protection domain.
    pub realm: Arc<str>,
    /// The server's nonce.
    pub nonce: Arc<str>,
    /// To be given back as it is.
    pub opaque: Option<Arc<str>>,
    /// The algorithm; MD5 where none is named.
    pub algorithm: Algorithm,
    /// Whether `qop=auth` is offered; else the response takes the older form of RFC 2069.
    pub qop_auth: bool,
    /// The last response was right, its nonce too old.
    pub stale: bool,
}

impl Challenge {
    /// Reads one header value.
    pub fn parse(value: &str) -> Result<Self, SyntaxError> {
        let params = Params::parse(value)?;
        let algorithm = match params.find("algorithm") {
            Some(token) => Algorithm::from_token(token).ok_or(SyntaxError::Value("algorithm"))?,
            None => Algorithm::Md5,
        };
        let qop_auth = match params.find("qop") {
            Some(list) if list.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return Err(SyntaxError::Value("qop")),
            None => false,
        };
        Ok(Self {
            // An empty realm is legal, an absent one is not.
            realm: params.find("realm").ok_or(SyntaxError::Missing("realm"))?.into(),
            nonce: params.require("nonce")?.into(),
            opaque: params.find("opaque").map(Into::into),
            algorithm,
            qop_auth,
            stale: params.find("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
        })
    }

    /// The strongest challenge of a 401 or 407 that can be answered; the first where two are alike (RFC 8760 s.2.4).
    pub fn strongest<'a>(values: impl IntoIterator<Item = &'a str>, realm: Option<&str>) -> Option<Self> {
        let fitting = values
            .into_iter()
            .filter_map(|v| Self::parse(v).ok())
            .filter(|c| realm.is_none_or(|r| r == &*c.realm));
        fitting.reduce(|best, next| if next.algorithm > best.algorithm { next } else { best })
    }

    /// The Authorization or Proxy-Authorization value for one request. `nc` counts the requests sent with this nonce, from 1.
    pub fn authorize(&self, username: &str, password: &str, method: &str, uri: &str, nc: u32, cnonce: &str) -> String {
        let nc = format!("{nc:08x}");
        let input = ResponseInput {
            nonce: &self.nonce,
            qop_auth: self.qop_auth.then_some((&nc, cnonce)),
            method,
            uri,
        };
        let response = input.response(self.algorithm, &self.algorithm.ha1(username, &self.realm, password));
        let mut value = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{response}\", algorithm={}",
            escape(username),
            escape(&self.realm),
            escape(&self.nonce),
            escape(uri),
            self.algorithm.token(),
        );
        if self.qop_auth {
            value.push_str(&format!(", qop=auth, nc={nc}, cnonce=\"{}\"", escape(cnonce)));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque=\"{}\"", escape(opaque)));
        }
        value
    }
}
