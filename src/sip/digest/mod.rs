//! Digest authentication (RFC 7616), with the algorithms and the order of RFC 8760, as RFC 3261 s.22 uses it in SIP.
//!
//! * [`server`]: challenges and checks; nonces are stateless, their use is counted.
//! * [`client`]: answers a trunk's challenge.
//! * [`throttle`]: how many wrong passwords a source and a user may send.
//!
//! Invariant: one response is accepted at most once. What is not here: the users (a lookup is passed in), `auth-int`, `-sess`
//! algorithms and `userhash`, none of which a SIP phone in the field needs; a challenge that asks for them only is not answered.

pub mod client;
mod params;
pub mod server;
pub mod throttle;

#[cfg(test)]
mod tests;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

/// A digest algorithm, weakest first, so that the largest is the strongest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    /// `MD5`: what old phones know; offered by policy only (RFC 8760 s.2.1).
    Md5,
    /// `SHA-256`.
    Sha256,
    /// `SHA-512-256`.
    Sha512_256,
}

impl Algorithm {
    /// The token of the `algorithm` parameter.
    pub fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// Reads the `algorithm` parameter; its case does not matter.
    pub fn from_token(token: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256, Self::Sha512_256]
            .into_iter()
            .find(|a| a.token().eq_ignore_ascii_case(token))
    }

    /// The hash of `parts` joined with colons, in lower-case hexadecimal digits: `KD` and `H` of RFC 7616 s.3.4.
    pub fn hash(self, parts: &[&str]) -> String {
        match self {
            Self::Md5 => hash_with::<Md5>(parts),
            Self::Sha256 => hash_with::<Sha256>(parts),
            Self::Sha512_256 => hash_with::<Sha512_256>(parts),
        }
    }

    /// `H(A1)`: what may be stored in place of a password (RFC 7616 s.3.4.2).
    pub fn ha1(self, username: &str, realm: &str, password: &str) -> String {
        self.hash(&[username, realm, password])
    }
}

/// The values that both sides hash, as they stand in the header.
struct ResponseInput<'a> {
    nonce: &'a str,
    /// nc and cnonce where `qop=auth` is used; without it the older form of RFC 2069 is meant.
    qop_auth: Option<(&'a str, &'a str)>,
    method: &'a str,
    uri: &'a str,
}

impl ResponseInput<'_> {
    /// The `response` parameter (RFC 7616 s.3.4.1).
    fn response(&self, algorithm: Algorithm, ha1: &str) -> String {
        let ha2 = algorithm.hash(&[self.method, self.uri]);
        match self.qop_auth {
            Some((nc, cnonce)) => algorithm.hash(&[ha1, self.nonce, nc, cnonce, "auth", &ha2]),
            None => algorithm.hash(&[ha1, self.nonce, &ha2]),
        }
    }
}

fn hash_with<D: Digest>(parts: &[&str]) -> String {
    let mut hasher = D::new();
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            hasher.update(b":");
        }
        hasher.update(part.as_bytes());
    }
    hex(&hasher.finalize())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The inverse of [`hex`]; either case. `None` where the length is odd or a digit is none.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
            _ => None,
        })
        .collect()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}
