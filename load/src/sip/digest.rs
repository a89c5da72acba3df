//! Digest answers (RFC 8760, RFC 7616 s.3.4): SHA-256 or MD5, with `qop=auth` where it is offered.
//!
//! rsip writes the algorithm as `SHA256`, which no server knows, so challenges are read and answered here.

use md5::Md5;
use rsip::Header;
use sha2::{Digest, Sha256};

/// Which hash to answer with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// MD5.
    Md5,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    fn hash(self, text: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Md5 => hex(&Md5::digest(text)),
        }
    }
}

/// A challenge of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// The realm.
    pub realm: String,
    /// The nonce.
    pub nonce: String,
    /// Passed back as it came.
    pub opaque: Option<String>,
    /// The hash.
    pub algorithm: Algorithm,
    /// Whether `qop=auth` is offered.
    pub qop_auth: bool,
    /// The nonce was too old, the password may be right.
    pub stale: bool,
}

/// Reads one challenge; none where it is not Digest, or its algorithm is another one.
pub fn challenge(value: &str) -> Option<Challenge> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let parameters = parameters(rest);
    let find = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let algorithm = match find("algorithm") {
        None => Algorithm::Md5,
        Some(name) if name.eq_ignore_ascii_case("MD5") => Algorithm::Md5,
        Some(name) if name.eq_ignore_ascii_case("SHA-256") => Algorithm::Sha256,
        Some(_) => return None,
    };
    Some(Challenge {
        realm: find("realm")?,
        nonce: find("nonce")?,
        opaque: find("opaque"),
        algorithm,
        qop_auth: find("qop").is_some_and(|qop| qop.split(',').any(|word| word.trim() == "auth")),
        stale: find("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
    })
}

/// The challenge to answer: the first of the wanted algorithm, else the first that can be answered (RFC 8760 s.2.4).
pub fn choose(values: &[String], wanted: Algorithm) -> Option<Challenge> {
    let known: Vec<Challenge> = values.iter().filter_map(|value| challenge(value)).collect();
    let exact = known.iter().find(|challenge| challenge.algorithm == wanted);
    exact.or(known.first()).cloned()
}

/// Splits `a="x, y", b=z` at the commas that are outside quotes.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut quoted = false;
    let parts = text.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    let pairs = parts.filter_map(|part| part.split_once('='));
    pairs
        .map(|(key, value)| (key.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        .collect()
}

/// Who answers, and what for.
pub struct Answer<'a> {
    /// The user name.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
    /// The method of the request.
    pub method: &'a str,
    /// Its request URI.
    pub uri: &'a str,
    /// How often the nonce was used, this time included.
    pub count: u32,
    /// The client's nonce.
    pub cnonce: &'a str,
}

/// The header that answers a 401 or a 407.
pub fn credentials(status: u16, challenge: &Challenge, answer: &Answer<'_>) -> Header {
    let value = authorization(challenge, answer);
    match status {
        401 => Header::Authorization(value.into()),
        _ => Header::ProxyAuthorization(value.into()),
    }
}

/// The value of Authorization or Proxy-Authorization.
fn authorization(challenge: &Challenge, answer: &Answer<'_>) -> String {
    let hash = |text: String| challenge.algorithm.hash(&text);
    let ha1 = hash(format!("{}:{}:{}", answer.username, challenge.realm, answer.password));
    let ha2 = hash(format!("{}:{}", answer.method, answer.uri));
    let count = format!("{:08x}", answer.count);
    let response = if challenge.qop_auth {
        hash(format!("{ha1}:{}:{count}:{}:auth:{ha2}", challenge.nonce, answer.cnonce))
    } else {
        hash(format!("{ha1}:{}:{ha2}", challenge.nonce))
    };
    let mut value = format!(
        "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{response}\", algorithm={}",
        answer.username,
        challenge.realm,
        challenge.nonce,
        answer.uri,
        challenge.algorithm.name()
    );
    if challenge.qop_auth {
        value.push_str(&format!(", qop=auth, nc={count}, cnonce=\"{}\"", answer.cnonce));
    }
    if let Some(opaque) = &challenge.opaque {
        value.push_str(&format!(", opaque=\"{opaque}\""));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616 s.3.9.1.
    #[test]
    fn the_answers_are_those_of_rfc_7616() {
        let table = [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ];
        for (algorithm, expected) in table {
            let value = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let answer = Answer {
                username: "Mufasa",
                password: "Circle of Life",
                method: "GET",
                uri: "/dir/index.html",
                count: 1,
                cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            };
            let challenge = challenge(&value).unwrap();
            assert!(challenge.qop_auth && !challenge.stale);
            assert!(authorization(&challenge, &answer).contains(expected));
        }
    }

    #[test]
    fn the_wanted_algorithm_is_chosen_where_it_is_offered() {
        let offer = |name: &str| format!("Digest realm=\"r\", nonce=\"n\", algorithm={name}");
        let all = [
            offer("SHA-512-256"),
            offer("SHA-256"),
            offer("MD5"),
            "Basic realm=\"r\"".to_owned(),
        ];
        assert_eq!(choose(&all, Algorithm::Md5).unwrap().algorithm, Algorithm::Md5);
        assert_eq!(choose(&all, Algorithm::Sha256).unwrap().algorithm, Algorithm::Sha256);
        assert_eq!(choose(&all[1..2], Algorithm::Md5).unwrap().algorithm, Algorithm::Sha256);
        assert_eq!(choose(&all[3..], Algorithm::Md5), None);
    }
}
