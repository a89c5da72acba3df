//! The small grammars inside header values: lists, parameters, quoted strings.
//!
//! Invariant: quotes and angle brackets shield separators, and a backslash shields the next character of a quoted string
//! (RFC 3261 s.25.1). Everything is a view of the text; nothing is copied unless an escape has to be undone.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3};

use super::head::is_token;

/// The elements of a comma-separated header value, trimmed; empty ones are left out.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Elements<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        while !self.rest.is_empty() {
            let end = find_outside(self.rest, b',').unwrap_or(self.rest.len());
            let element = self.rest[..end].trim();
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    }
}

/// The first `wanted` byte (ASCII) that stands neither in a quoted string nor in angle brackets. An unclosed one reaches to the end.
pub(super) fn find_outside(text: &str, wanted: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = text.as_bytes().get(at..)?;
        let found = memchr3(wanted, b'"', b'<', rest)?;
        let inside = rest.get(found + 1..)?;
        let inside_len = match rest.get(found) {
            Some(b'"') => string_end(inside)?,
            Some(b'<') => memchr(b'>', inside)?,
            _ => return Some(at + found),
        };
        at += found + 1 + inside_len + 1;
    }
}

/// Where the closing quote is, in the text behind the opening one.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(found) == Some(&b'"') {
            return Some(found);
        }
        at = found + 2;
    }
}

/// The content of the quoted string at the start of `text`, and where the text after it starts.
pub(super) fn quoted(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_prefix('"')?;
    let end = string_end(inner.as_bytes())?;
    Some((inner.get(..end)?, end + 2))
}

/// The content of a quoted string without its backslashes.
pub fn unescape(content: &str) -> Cow<'_, str> {
    if !content.contains('\\') {
        return Cow::Borrowed(content);
    }
    let mut plain = String::with_capacity(content.len());
    let mut characters = content.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' {
            characters.next()
        } else {
            Some(character)
        });
    }
    Cow::Owned(plain)
}

/// Parameters behind a value: `;name=value;name`. Names compare without case.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Params<'a> {
    text: &'a str,
}

impl<'a> Params<'a> {
    /// The parameters of this text, which is empty or starts with a semicolon.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text: text.trim() }
    }

    /// The text, with its first semicolon.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// Name and value of each; the value without its quotes, `None` where there is no `=`. Empty parameters are left out.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        self.parts().map(|part| match part.split_once('=') {
            Some((name, value)) => {
                let value = value.trim();
                (name.trim(), Some(quoted(value).map_or(value, |(content, _)| content)))
            }
            None => (part, None),
        })
    }

    /// The value of a parameter; empty where it has none.
    pub fn value(self, name: &str) -> Option<&'a str> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.unwrap_or_default())
    }

    /// Whether the parameter is there.
    pub fn contains(self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whether each parameter has a token for a name, and a whole quoted string or no separator for a value. Empty parameters pass.
    pub fn is_well_formed(self) -> bool {
        self.parts().all(|part| {
            let (name, value) = part
                .split_once('=')
                .map_or((part, None), |(name, value)| (name.trim(), Some(value.trim())));
            let value_is_whole = value.is_none_or(|value| match quoted(value) {
                Some((_, end)) => end == value.len(),
                None => !value
                    .bytes()
                    .any(|byte| byte <= b' ' || matches!(byte, b'"' | b'<' | b'>' | b',' | 0x7f)),
            });
            !name.is_empty() && name.bytes().all(is_token) && value_is_whole
        })
    }

    /// Whether a parameter is empty: two semicolons with nothing between, or one at the end.
    pub fn has_gaps(self) -> bool {
        self.raw().any(str::is_empty)
    }

    /// The text of each parameter that is not empty.
    pub(super) fn parts(self) -> impl Iterator<Item = &'a str> {
        self.raw().filter(|part| !part.is_empty())
    }

    /// Each parameter, trimmed; the text before the first semicolon (there should be none) counts as one.
    fn raw(self) -> impl Iterator<Item = &'a str> {
        let mut rest = Some(self.text.strip_prefix(';').unwrap_or(self.text)).filter(|_| !self.text.is_empty());
        std::iter::from_fn(move || {
            let text = rest?;
            let end = find_outside(text, b';');
            rest = end.map(|end| &text[end + 1..]);
            Some(text[..end.unwrap_or(text.len())].trim())
        })
    }
}
