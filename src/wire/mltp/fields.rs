//! Typed values out of a frame's headers.

use std::str::FromStr;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tandem_model::{ConferenceId, DnId, PartyId};

use super::error::excerpt;
use super::{Frame, MessageError};

/// Reads the headers of one frame; every error names the message and the header.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a Frame);

impl<'a> Fields<'a> {
    /// A header that may be there.
    pub fn optional(self, header: &'static str) -> Result<Option<&'a str>, MessageError> {
        let mut values = self.0.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(header));
        let first = values.next();
        if values.next().is_some() {
            return Err(MessageError::Twice {
                message: self.0.name.clone(),
                header,
            });
        }
        Ok(first.map(|(_, value)| value.as_str()))
    }

    /// A header that must be there.
    pub fn required(self, header: &'static str) -> Result<&'a str, MessageError> {
        self.optional(header)?.ok_or_else(|| MessageError::Missing {
            message: self.0.name.clone(),
            header,
        })
    }

    /// A text.
    pub fn text(self, header: &'static str) -> Result<Arc<str>, MessageError> {
        self.required(header).map(Into::into)
    }

    /// A text that may be there.
    pub fn optional_text(self, header: &'static str) -> Result<Option<Arc<str>>, MessageError> {
        Ok(self.optional(header)?.map(Into::into))
    }

    /// A DN.
    pub fn dn(self, header: &'static str) -> Result<DnId, MessageError> {
        self.required(header).map(DnId::new)
    }

    /// A number.
    pub fn number<N: FromStr>(self, header: &'static str) -> Result<N, MessageError> {
        let value = self.required(header)?;
        number(value).ok_or_else(|| self.invalid(header, "a number in range", value))
    }

    /// A number that may be there.
    pub fn optional_number<N: FromStr>(self, header: &'static str) -> Result<Option<N>, MessageError> {
        match self.optional(header)? {
            Some(value) => Ok(Some(
                number(value).ok_or_else(|| self.invalid(header, "a number in range", value))?,
            )),
            None => Ok(None),
        }
    }

    /// `true` or `false`.
    pub fn flag(self, header: &'static str) -> Result<bool, MessageError> {
        self.word(header, "true or false", |word| match word {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// One of a few words.
    pub fn word<T>(
        self,
        header: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, MessageError> {
        let value = self.required(header)?;
        read(value).ok_or_else(|| self.invalid(header, expected, value))
    }

    /// `conference`.
    pub fn conference(self) -> Result<ConferenceId, MessageError> {
        self.number("conference").map(ConferenceId)
    }

    /// `party`.
    pub fn party(self) -> Result<PartyId, MessageError> {
        self.number("party").map(PartyId)
    }

    /// The body, which is JSON.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, MessageError> {
        serde_json::from_slice(&self.0.body).map_err(|error| MessageError::Body {
            message: self.0.name.clone(),
            problem: excerpt(&error.to_string()),
        })
    }

    /// The body, which is JSON, or nothing.
    pub fn optional_json<T: DeserializeOwned + Default>(self) -> Result<T, MessageError> {
        if self.0.body.is_empty() {
            Ok(T::default())
        } else {
            self.json()
        }
    }

    /// A header that is JSON, or is not there.
    pub fn optional_json_header<T: DeserializeOwned + Default>(self, header: &'static str) -> Result<T, MessageError> {
        match self.optional(header)? {
            Some(value) => serde_json::from_str(value).map_err(|_| self.invalid(header, "JSON of its shape", value)),
            None => Ok(T::default()),
        }
    }

    fn invalid(self, header: &'static str, expected: &'static str, value: &str) -> MessageError {
        MessageError::Invalid {
            message: self.0.name.clone(),
            header,
            expected,
            value: excerpt(value),
        }
    }
}

/// Digits only: no sign, no blanks.
fn number<N: FromStr>(value: &str) -> Option<N> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().ok()).flatten()
}
