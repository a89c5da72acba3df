//! The side that is challenged: a trunk asks who we are.
//!
//! Invariant: credentials of one realm never answer the challenge of another, and one request is answered at most once per nonce, so
//! that a wrong password ends in an error and not in a loop. The cnonce is passed in; nothing here is random.

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

/// Why a challenge is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unanswerable {
    /// No challenge of a known algorithm, of `qop=auth`, for our realm.
    #[error("no challenge that can be answered")]
    NoChallenge,
    /// The server refused what we answered: the credentials are wrong.
    #[error("the credentials were refused")]
    Refused,
}

/// A server that says `stale` more often than this in a row is not answered any more.
const MAX_STALE: u8 = 3;

/// Where the exchange stands since the last request that was let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exchange {
    /// Not challenged since.
    Idle,
    /// Challenged, this many times said to be stale, and not answered yet.
    Challenged(u8),
    /// Answered.
    Answered(u8),
}

/// The credentials of one trunk and the challenge they last answered.
///
/// ```
/// # use tandem_sip::digest::client::Authenticator;
/// let mut auth = Authenticator::new("alice", "secret", None);
/// auth.challenged([r#"Digest realm="trunk", nonce="84f1", algorithm=SHA-256, qop="auth""#])?;
/// let value = auth.authorization("REGISTER", "sip:trunk", "0a4f113b");
/// assert!(value.is_some_and(|v| v.starts_with("Digest username=\"alice\", realm=\"trunk\"")));
/// # Ok::<(), tandem_sip::digest::client::Unanswerable>(())
/// ```
#[derive(Clone)]
pub struct Authenticator {
    username: Arc<str>,
    password: Arc<str>,
    realm: Option<Arc<str>>,
    challenge: Option<Challenge>,
    /// Requests sent with the nonce of `challenge`.
    nc: u32,
    exchange: Exchange,
}

impl Authenticator {
    /// Credentials, for one realm or (`None`) for whoever challenges.
    pub fn new(username: impl Into<Arc<str>>, password: impl Into<Arc<str>>, realm: Option<Arc<str>>) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
            realm,
            challenge: None,
            nc: 0,
            exchange: Exchange::Idle,
        }
    }

    /// A 401 or 407 came with these WWW-Authenticate or Proxy-Authenticate values. `Ok` means: send again with [`Self::authorization`].
    ///
    /// A second challenge before [`Self::accepted`] says that the credentials are wrong, unless it says `stale` with a new nonce.
    pub fn challenged<'a>(&mut self, values: impl IntoIterator<Item = &'a str>) -> Result<(), Unanswerable> {
        let challenge = Challenge::strongest(values, self.realm.as_deref()).ok_or(Unanswerable::NoChallenge)?;
        let same_nonce = self
            .challenge
            .as_ref()
            .is_some_and(|last| last.nonce == challenge.nonce && last.realm == challenge.realm);
        let stale = match self.exchange {
            Exchange::Idle => 0,
            Exchange::Challenged(stale) => stale,
            Exchange::Answered(stale) if challenge.stale && !same_nonce && stale < MAX_STALE => stale + 1,
            Exchange::Answered(_) => {
                self.challenge = None;
                self.exchange = Exchange::Idle;
                return Err(Unanswerable::Refused);
            }
        };
        if !same_nonce {
            self.nc = 0;
        }
        self.challenge = Some(challenge);
        self.exchange = Exchange::Challenged(stale);
        Ok(())
    }

    /// The header value for a request, also for one that was not challenged itself but follows one that was. `None` before any challenge.
    pub fn authorization(&mut self, method: &str, uri: &str, cnonce: &str) -> Option<String> {
        let challenge = self.challenge.as_ref()?;
        self.nc = self.nc.checked_add(1)?;
        if let Exchange::Challenged(stale) = self.exchange {
            self.exchange = Exchange::Answered(stale);
        }
        Some(challenge.authorize(&self.username, &self.password, method, uri, self.nc, cnonce))
    }

    /// A request with our answer got any other final response than 401 or 407: the next challenge is a new one.
    pub fn accepted(&mut self) {
        self.exchange = Exchange::Idle;
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("username", &self.username)
            .field("nc", &self.nc)
            .finish_non_exhaustive()
    }
}
