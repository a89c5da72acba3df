//! Keyed MACs: what we hand out and want back unchanged (nonces, flow tokens).
//!
//! Invariant: a MAC is over a purpose and data, so that one made for something is worth nothing for anything else.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The length of a MAC [bytes].
pub(crate) const MAC_LEN: usize = 16;

/// Equality in a time that depends on the lengths alone.
pub(crate) fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let difference = a.iter().zip(b).fold(0_u8, |acc, (x, y)| std::hint::black_box(acc | (x ^ y)));
    std::hint::black_box(difference) == 0
}

/// A secret that MACs are made with; never shown.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// HMAC-SHA-256 over a purpose and data, cut to 16 bytes.
    pub fn mac(&self, purpose: &[u8], data: &[u8]) -> [u8; MAC_LEN] {
        let mut block = [0_u8; 64];
        block[..32].copy_from_slice(&self.0);
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new(&block.into());
        mac.update(purpose);
        mac.update(&[0]);
        mac.update(data);
        let full = mac.finalize().into_bytes();
        let mut cut = [0; MAC_LEN];
        cut.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        cut
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(****)")
    }
}
