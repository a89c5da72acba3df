//! The `Digest name=value, name="value"` grammar shared by challenges and credentials (RFC 7616 s.3.3, RFC 3261 s.25.1).
//!
//! Invariant: a name stands once. Reading is tolerant of white space and empty list elements, nothing else.

use std::borrow::Cow;

/// More parameters than this are no header that anyone sends in earnest.
const MAX_PARAMS: usize = 32;

/// Why a challenge or credentials could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SyntaxError {
    /// Another scheme than `Digest`.
    #[error("the scheme is not Digest")]
    Scheme,
    /// Not a list of `name=value`.
    #[error("not a list of name=value")]
    List,
    /// A parameter stands twice.
    #[error("a parameter stands twice")]
    Duplicate,
    /// A parameter that must stand is missing or empty.
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    /// A parameter has a value outside its grammar.
    #[error("the parameter {0} has a bad value")]
    Value(&'static str),
}

/// The parameters of one header value, quotes and escapes removed.
pub(super) struct Params<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Params<'a> {
    /// Reads one header value.
    pub(super) fn parse(value: &'a str) -> Result<Self, SyntaxError> {
        let value = value.trim();
        let (scheme, mut rest) = value
            .split_once(|c: char| c.is_ascii_whitespace())
            .ok_or(SyntaxError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return Err(SyntaxError::Scheme);
        }
        let mut params: Vec<(&'a str, Cow<'a, str>)> = Vec::with_capacity(12);
        loop {
            rest = rest.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
            if rest.is_empty() {
                return Ok(Self(params));
            }
            let (name, after) = rest.split_once('=').ok_or(SyntaxError::List)?;
            let name = name.trim_end();
            if name.is_empty() || !name.bytes().all(is_token) || params.len() == MAX_PARAMS {
                return Err(SyntaxError::List);
            }
            if params.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
                return Err(SyntaxError::Duplicate);
            }
            let (text, after) = take_value(after.trim_start())?;
            params.push((name, text));
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(SyntaxError::List);
            }
        }
    }

    /// The value of a parameter.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_ref())
    }

    /// The value of a parameter that must stand and not be empty.
    pub(super) fn require(&self, name: &'static str) -> Result<&str, SyntaxError> {
        self.find(name).filter(|v| !v.is_empty()).ok_or(SyntaxError::Missing(name))
    }
}

/// `text` as the inside of a quoted string.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if text.contains(['"', '\\']) {
        Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        Cow::Borrowed(text)
    }
}

fn take_value(text: &str) -> Result<(Cow<'_, str>, &str), SyntaxError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return if value.contains('"') {
            Err(SyntaxError::List)
        } else {
            Ok((Cow::Borrowed(value), rest))
        };
    };
    let mut unescaped: Option<String> = None;
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let (value, rest) = quoted.split_at(at);
                let value = unescaped.map_or(Cow::Borrowed(value), Cow::Owned);
                return Ok((value, rest.get(1..).unwrap_or_default()));
            }
            '\\' => {
                let (_, next) = chars.next().ok_or(SyntaxError::List)?;
                unescaped
                    .get_or_insert_with(|| quoted.get(..at).unwrap_or_default().to_owned())
                    .push(next);
            }
            c => {
                if let Some(text) = &mut unescaped {
                    text.push(c);
                }
            }
        }
    }
    Err(SyntaxError::List)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}
