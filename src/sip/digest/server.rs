//! The side that challenges: phones register and call with a password.
//!
//! A nonce carries its time, its number and a MAC over both, so that a flood of requests without credentials costs no memory. What is
//! remembered is which counts (`nc`) of which nonce were used, and only after a right response; when that table is full the oldest
//! nonces are given up: they, and those of their age that were never used, are then stale.
//!
//! Invariant: a response is accepted at most once. A user who does not exist costs the same work and gets the same answer as a wrong
//! password; [`Denied`] tells the two apart for counting only. Not here: the response that goes out, and [`super::throttle`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::params::{Params, SyntaxError, escape};
use super::{Algorithm, ResponseInput, hex, unhex};
use crate::key::{Key, MAC_LEN, equal_in_constant_time};

/// Nonces remembered by default: 100 bytes each.
const DEFAULT_MAX_NONCES: usize = 100_000;

const NONCE_LEN: usize = 8 + 8 + MAC_LEN;

/// What a user proves to know.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself.
    Password(Arc<str>),
    /// `H(A1)` per algorithm, in hexadecimal digits ([`Algorithm::ha1`]); algorithms that are not listed are refused.
    Ha1(Vec<(Algorithm, Arc<str>)>),
}

impl Secret {
    fn ha1(&self, algorithm: Algorithm, username: &str, realm: &str) -> Option<String> {
        match self {
            Self::Password(password) => Some(algorithm.ha1(username, realm, password)),
            Self::Ha1(hashes) => hashes
                .iter()
                .find(|(a, _)| *a == algorithm)
                .map(|(_, ha1)| ha1.to_ascii_lowercase()),
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(****)")
    }
}

/// As whom the sender of an Authorization header wants to be known. Nothing is proved by that.
pub fn username_of(authorization: &str) -> Option<Arc<str>> {
    let params = Params::parse(authorization).ok()?;
    params.require("username").ok().map(Arc::from)
}

/// Who sent a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authenticated {
    /// The user, as the credentials name it.
    pub username: Arc<str>,
}

/// Why credentials were not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// Right, but the nonce is too old or not of ours: challenge again with `stale=true`.
    #[error("the nonce is stale")]
    Stale,
    /// Right, but this count of the nonce was used before: challenge again with `stale=true`.
    #[error("the nonce count was used before")]
    Replayed,
    /// Wrong password.
    #[error("wrong password")]
    Wrong,
    /// No such user. To be answered exactly as [`Self::Wrong`], or users could be found out.
    #[error("no such user")]
    Unknown,
    /// For another realm than ours, or with an algorithm that the policy leaves out (RFC 8760): challenge again.
    #[error("other realm or algorithm than offered")]
    NotOffered,
    /// Not readable, or for another request than the one it came with: 400.
    #[error("malformed credentials")]
    Malformed,
}

impl Denied {
    /// The `stale` flag of the challenge that answers.
    pub fn is_stale(self) -> bool {
        matches!(self, Self::Stale | Self::Replayed)
    }

    /// Whether this was a guess at a password, for the throttle.
    pub fn is_guess(self) -> bool {
        matches!(self, Self::Wrong | Self::Unknown)
    }

    /// Whether 400 answers; else 401 (or 407) with a new challenge.
    pub fn is_bad_request(self) -> bool {
        matches!(self, Self::Malformed)
    }
}

/// Makes challenges and checks what answers them, for one realm.
#[derive(Debug)]
pub struct Challenger {
    realm: Arc<str>,
    key: Key,
    algorithms: Vec<Algorithm>,
    nonce_lifetime: Duration,
    max_nonces: usize,
    opaque: String,
    /// The first time seen; the nonces count from it.
    epoch: Option<Instant>,
    next_nonce: u64,
    /// Nonces below this number are stale unless they stand in `used`: the table was full once and has forgotten some of them.
    floor: u64,
    used: BTreeMap<u64, Used>,
}

impl Challenger {
    /// A challenger for `realm`. The secret must be random and of this challenger alone: two that share one would each accept what the
    /// other has accepted. Algorithms are offered in the order given; the policy is SHA-256 first, then MD5 where phones need it.
    pub fn new(realm: impl Into<Arc<str>>, secret: [u8; 32], algorithms: Vec<Algorithm>, nonce_lifetime: Duration) -> Self {
        let key = Key::new(secret);
        let opaque = hex(key.mac(b"opaque", &[]).get(..8).unwrap_or_default());
        Self {
            realm: realm.into(),
            key,
            algorithms,
            nonce_lifetime,
            max_nonces: DEFAULT_MAX_NONCES,
            opaque,
            epoch: None,
            next_nonce: 0,
            floor: 0,
            used: BTreeMap::new(),
        }
    }

    /// With another bound on the nonces whose use is remembered.
    pub fn with_max_nonces(mut self, max_nonces: usize) -> Self {
        self.max_nonces = max_nonces.max(1);
        self
    }

    /// The realm.
    pub fn realm(&self) -> &Arc<str> {
        &self.realm
    }

    /// The WWW-Authenticate (or Proxy-Authenticate) values of a 401 (407), one per algorithm, best first (RFC 8760 s.2.3).
    pub fn challenge(&mut self, now: Instant, stale: bool) -> Vec<String> {
        self.challenge_with(now, stale, None)
    }

    /// The same with other algorithms than the usual ones, for a device that knows fewer. It must be checked with the same.
    pub fn challenge_with(&mut self, now: Instant, stale: bool, algorithms: Option<&[Algorithm]>) -> Vec<String> {
        let nonce = self.new_nonce(now);
        let realm = escape(&self.realm);
        let stale = if stale { ", stale=true" } else { "" };
        let line = |a: &Algorithm| {
            let (opaque, algorithm) = (&self.opaque, a.token());
            format!(
                "Digest realm=\"{realm}\", nonce=\"{nonce}\", opaque=\"{opaque}\", algorithm={algorithm}, qop=\"auth\"{stale}"
            )
        };
        algorithms.unwrap_or(&self.algorithms).iter().map(line).collect()
    }

    /// Checks one Authorization (or Proxy-Authorization) value against the request it came with. `lookup` is asked once.
    pub fn verify(
        &mut self,
        now: Instant,
        authorization: &str,
        method: &str,
        request_uri: &str,
        lookup: impl FnOnce(&str) -> Option<Secret>,
    ) -> Result<Authenticated, Denied> {
        self.verify_with(now, authorization, (method, request_uri), None, lookup)
    }

    /// The same, of a request (method and request URI) whose challenge had other algorithms than the usual ones.
    pub fn verify_with(
        &mut self,
        now: Instant,
        authorization: &str,
        (method, request_uri): (&str, &str),
        algorithms: Option<&[Algorithm]>,
        lookup: impl FnOnce(&str) -> Option<Secret>,
    ) -> Result<Authenticated, Denied> {
        let params = Params::parse(authorization).map_err(|error| match error {
            // Credentials of a scheme that we do not speak are no credentials (RFC 4475 s.3.3.7).
            SyntaxError::Scheme => Denied::NotOffered,
            _ => Denied::Malformed,
        })?;
        let claim = Claim::read(&params).ok_or(Denied::Malformed)?;
        let algorithm = claim
            .algorithm
            .filter(|a| algorithms.unwrap_or(&self.algorithms).contains(a))
            .ok_or(Denied::NotOffered)?;
        if claim.realm != &*self.realm {
            return Err(Denied::NotOffered);
        }
        if !same_target(claim.uri, request_uri) {
            return Err(Denied::Malformed);
        }
        // The user who is not there gets a secret that nobody can know, and with it the same work.
        let secret = lookup(claim.username);
        let known = secret.is_some();
        let secret = secret.unwrap_or_else(|| Secret::Password(hex(&self.key.mac(b"nobody", claim.username.as_bytes())).into()));
        let ha1 = secret.ha1(algorithm, claim.username, &self.realm).ok_or(Denied::NotOffered)?;
        let input = ResponseInput {
            nonce: claim.nonce,
            qop_auth: Some((claim.nc_text, claim.cnonce)),
            method,
            uri: claim.uri,
        };
        let right = equal_in_constant_time(
            input.response(algorithm, &ha1).as_bytes(),
            claim.response.to_ascii_lowercase().as_bytes(),
        );
        if !known {
            return Err(Denied::Unknown);
        }
        if !right {
            return Err(Denied::Wrong);
        }
        self.use_nonce(now, claim.nonce, claim.nc)?;
        Ok(Authenticated {
            username: claim.username.into(),
        })
    }

    fn new_nonce(&mut self, now: Instant) -> String {
        let time_ms = self.since_epoch_ms(now);
        let number = self.next_nonce;
        self.next_nonce += 1;
        let mut nonce = [0_u8; 16];
        nonce[..8].copy_from_slice(&time_ms.to_be_bytes());
        nonce[8..].copy_from_slice(&number.to_be_bytes());
        let mac = self.key.mac(b"nonce", &nonce);
        hex(&nonce) + &hex(&mac)
    }

    /// The time and number of a nonce of ours.
    fn read_nonce(&self, nonce: &str) -> Option<(u64, u64)> {
        let bytes: [u8; NONCE_LEN] = unhex(nonce)?.try_into().ok()?;
        let (stamp, mac) = bytes.split_at(NONCE_LEN - MAC_LEN);
        let (time, number) = stamp.split_at(8);
        let genuine = equal_in_constant_time(&self.key.mac(b"nonce", stamp), mac);
        let value = |b: &[u8]| b.try_into().ok().map(u64::from_be_bytes);
        if genuine { value(time).zip(value(number)) } else { None }
    }

    fn use_nonce(&mut self, now: Instant, nonce: &str, nc: u32) -> Result<(), Denied> {
        let now_ms = self.since_epoch_ms(now);
        let (time_ms, number) = self.read_nonce(nonce).ok_or(Denied::Stale)?;
        let lifetime_ms = u64::try_from(self.nonce_lifetime.as_millis()).unwrap_or(u64::MAX);
        while let Some(oldest) = self.used.first_entry() {
            if oldest.get().time_ms.saturating_add(lifetime_ms) >= now_ms {
                break;
            }
            oldest.remove();
        }
        if time_ms.saturating_add(lifetime_ms) < now_ms {
            return Err(Denied::Stale);
        }
        if let Some(used) = self.used.get_mut(&number) {
            return if used.take(nc) { Ok(()) } else { Err(Denied::Replayed) };
        }
        // Given up or never used: nobody can tell any more.
        if number < self.floor {
            return Err(Denied::Stale);
        }
        let mut used = Used {
            time_ms,
            highest: 0,
            window: 0,
        };
        used.take(nc);
        self.used.insert(number, used);
        if self.used.len() > self.max_nonces
            && let Some((number, _)) = self.used.pop_first()
        {
            self.floor = self.floor.max(number + 1);
        }
        Ok(())
    }

    fn since_epoch_ms(&mut self, now: Instant) -> u64 {
        let epoch = *self.epoch.get_or_insert(now);
        u64::try_from(now.saturating_duration_since(epoch).as_millis()).unwrap_or(u64::MAX)
    }

    #[cfg(test)]
    pub(super) fn nonces_remembered(&self) -> usize {
        self.used.len()
    }
}

/// Which counts of a nonce were used: the highest, and a window of the 64 up to it, for requests that overtake each other.
#[derive(Clone, Copy, Debug)]
struct Used {
    time_ms: u64,
    highest: u32,
    /// Bit `i` stands for `highest - i`.
    window: u64,
}

impl Used {
    /// Marks a count as used; false where it was before, or is too far behind to tell.
    fn take(&mut self, nc: u32) -> bool {
        if nc > self.highest {
            self.window = self.window.checked_shl(nc - self.highest).unwrap_or(0) | 1;
            self.highest = nc;
            return true;
        }
        let Some(bit) = 1_u64.checked_shl(self.highest - nc) else {
            return false;
        };
        let fresh = self.window & bit == 0;
        self.window |= bit;
        fresh
    }
}

/// The parameters of one Authorization value.
struct Claim<'a> {
    username: &'a str,
    realm: &'a str,
    nonce: &'a str,
    uri: &'a str,
    response: &'a str,
    /// `None`: one that we do not know.
    algorithm: Option<Algorithm>,
    nc: u32,
    nc_text: &'a str,
    cnonce: &'a str,
}

impl<'a> Claim<'a> {
    /// `None` where a parameter is missing or bad. `qop=auth` is required: without it nothing counts the uses of a nonce.
    fn read(params: &'a Params<'_>) -> Option<Self> {
        let nc_text = params.require("nc").ok()?;
        let is_hex = nc_text.len() <= 8 && nc_text.bytes().all(|b| b.is_ascii_hexdigit());
        let nc = u32::from_str_radix(nc_text, 16).ok().filter(|nc| is_hex && *nc > 0)?;
        params.require("qop").ok().filter(|qop| qop.eq_ignore_ascii_case("auth"))?;
        Some(Self {
            username: params.require("username").ok()?,
            realm: params.find("realm")?,
            nonce: params.require("nonce").ok()?,
            uri: params.require("uri").ok()?,
            response: params.require("response").ok()?,
            algorithm: params.find("algorithm").map_or(Some(Algorithm::Md5), Algorithm::from_token),
            nc,
            nc_text,
            cnonce: params.require("cnonce").ok()?,
        })
    }
}

/// Whether the `uri` parameter names the request's target. Parameters may differ: proxies and phones add and drop them
/// (RFC 3261 s.22.4 item 4).
fn same_target(uri: &str, request_uri: &str) -> bool {
    let bare = |uri: &str| uri.split([';', '?']).next().unwrap_or_default().to_ascii_lowercase();
    bare(uri) == bare(request_uri)
}
