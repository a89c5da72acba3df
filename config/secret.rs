//! [`Secret`]: a password or key that never shows itself.
//!
//! Invariant: no `Debug`, `Display` or `Serialize` of a secret contains any of its characters; [`Secret::reveal`] is the one way in.
//! It does not wipe its memory: the configuration file on the disk holds the same text.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A password or key. Displayed as `**** (length:nn)`, the form the seed uses for hidden values (seed 002 line 2490).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that computes a digest or sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `text` has the form that a masked secret is displayed in.
    pub fn is_masked_form(text: &str) -> bool {
        text.strip_prefix("**** (length:")
            .and_then(|rest| rest.strip_suffix(')'))
            .is_some_and(|length| !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "**** (length:{:02})", self.0.chars().count())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_length_only() {
        let secret = Secret::new("pässword");
        assert_eq!(format!("{secret} {secret:?}"), "**** (length:08) **** (length:08)");
        assert!(Secret::is_masked_form(&secret.to_string()));
        assert!(!Secret::is_masked_form("**** (length:)"));
        assert!(!Secret::is_masked_form(secret.reveal()));
    }
}
