//! API keys over HTTP: `Authorization: Bearer KEY`.
//!
//! Invariant: how long a comparison takes tells nothing about any key: what is compared is SHA-256 digests, each in full, and all
//! of them. The keys themselves are not kept.

use std::sync::{Arc, PoisonError, RwLock};

use actix_web::http::header::{self, HeaderMap};
use sha2::{Digest, Sha256};

use tandem_config::{ApiKey, Scope};

use super::problem::Problem;

/// The SHA-256 of an API key.
pub type KeyDigest = [u8; 32];

/// The keys that are known, by digest. Every copy knows the same.
#[derive(Clone, Default)]
pub struct Keys(Arc<RwLock<Known>>);

type Known = Arc<[(KeyDigest, Vec<Scope>)]>;

impl Keys {
    /// The keys of a loaded configuration. A digest that is not 64 hex digits opens nothing; `tandem-config` refuses it earlier.
    pub fn new(keys: &[ApiKey]) -> Self {
        Self(Arc::new(RwLock::new(known(keys))))
    }

    /// From now on these keys open what there is, and no other one does.
    pub fn replace(&self, keys: &[ApiKey]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known(keys);
    }

    /// Whether the request may do what `scope` opens.
    pub fn admit(&self, headers: &HeaderMap, scope: Scope) -> Result<(), Problem> {
        let presented = bearer(headers).ok_or_else(Problem::unauthorized)?;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let scopes = scopes_of(&known, presented).ok_or_else(Problem::unauthorized)?;
        if scopes.contains(&scope) {
            Ok(())
        } else {
            Err(Problem::forbidden("scope", "this key does not open this resource"))
        }
    }
}

fn known(keys: &[ApiKey]) -> Known {
    let known = keys.iter().filter_map(|key| Some((digest_of(key)?, key.scopes.clone())));
    known.collect()
}

fn scopes_of<'a>(known: &'a [(KeyDigest, Vec<Scope>)], key: &str) -> Option<&'a [Scope]> {
    let presented = digest(key);
    let mut found = None;
    for (known, scopes) in known {
        if same(known, &presented) {
            found = Some(scopes.as_slice());
        }
    }
    found
}

/// The digest of a configured key; `None` where it has neither a key nor 64 hex digits.
pub fn digest_of(key: &ApiKey) -> Option<KeyDigest> {
    match (&key.key, &key.key_sha256) {
        (Some(secret), _) => Some(digest(secret.reveal())),
        (None, Some(hex)) => from_hex(hex),
        (None, None) => None,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| key.trim())
}

fn digest(key: &str) -> KeyDigest {
    Sha256::digest(key.as_bytes()).into()
}

/// Compares every byte, whatever the first ones are.
fn same(left: &KeyDigest, right: &KeyDigest) -> bool {
    let difference = left
        .iter()
        .zip(right)
        .fold(0, |difference, (left, right)| difference | (left ^ right));
    std::hint::black_box(difference) == 0
}

fn from_hex(text: &str) -> Option<KeyDigest> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use tandem_config::Secret;

    use super::*;

    fn key(key: Option<&str>, key_sha256: Option<&str>, scopes: &[Scope]) -> ApiKey {
        ApiKey {
            name: "test".to_owned(),
            key: key.map(Secret::new),
            key_sha256: key_sha256.map(str::to_owned),
            key_file: None,
            scopes: scopes.to_vec(),
        }
    }

    fn admitted(value: &str, scope: Scope) -> Result<(), u16> {
        // printf %s second | sha256sum
        let second = "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4";
        let keys = Keys::new(&[
            key(Some("first"), None, &[Scope::Read]),
            key(None, Some(second), &[Scope::Cti]),
            key(None, Some("zz"), &[Scope::Admin]),
            key(None, None, &[Scope::Admin]),
        ]);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        keys.admit(&headers, scope)
            .map_err(|problem| actix_web::ResponseError::status_code(&problem).as_u16())
    }

    #[test]
    fn a_known_key_opens_what_its_scopes_name() {
        assert_eq!(admitted("Bearer first", Scope::Read), Ok(()));
        assert_eq!(admitted("bearer  first", Scope::Read), Ok(()));
        assert_eq!(admitted("Bearer first", Scope::Admin), Err(403));
        assert_eq!(admitted("Bearer second", Scope::Cti), Ok(()));
    }

    #[test]
    fn keys_that_were_replaced_open_nothing_any_more() {
        let keys = Keys::new(&[key(Some("first"), None, &[Scope::Read])]);
        let copy = keys.clone();
        keys.replace(&[key(Some("other"), None, &[Scope::Read])]);
        for (value, admitted) in [("Bearer first", false), ("Bearer other", true)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(copy.admit(&headers, Scope::Read).is_ok(), admitted, "{value}");
        }
    }

    #[test]
    fn anything_else_is_401() {
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer firs",
            "Bearer first1",
            "Basic first",
            "first",
            "Bearer zz",
        ] {
            assert_eq!(admitted(value, Scope::Read), Err(401), "{value}");
        }
        assert!(Keys::default().admit(&HeaderMap::new(), Scope::Read).is_err());
    }
}
