//! A frame: a start line, headers, a body.
//!
//! Values are UTF-8 without control characters. What else a value has is escaped: `\\` is a backslash, `\n`, `\r` and `\t` are what they
//! are everywhere, `\xHH` is the byte HH below 80, and a blank at either end is `\x20`. So no value, wherever it came from, can end its
//! line or begin another header.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use bytes::Bytes;

use super::decoder::{MAX_BODY, MAX_HEAD, MAX_HEADERS, MAX_LINE};
use super::{TooLarge, VERSION};

/// A frame as it arrived: values without their escapes, names as they came.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Frame {
    /// What it is called: `PARTY_CREATED`.
    pub name: String,
    /// Its headers, in order, without `content-length`.
    pub headers: Vec<(String, String)>,
    /// Its body; empty where it has none.
    pub body: Bytes,
}

impl Frame {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.as_str())
    }

    /// Writes it again.
    pub fn write<'a>(&self, out: &'a mut Vec<u8>) -> FrameWriter<'a> {
        let mut writer = FrameWriter::new(out, &self.name);
        for (name, value) in &self.headers {
            writer.text(name, value);
        }
        writer.body(&self.body);
        writer
    }
}

/// Writes one frame at the end of a buffer. [`FrameWriter::finish`] is what makes it one.
#[derive(Debug)]
pub struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    headers: usize,
    fits: bool,
    body: Vec<u8>,
}

impl<'a> FrameWriter<'a> {
    /// Begins a frame. `name` is a word of the protocol.
    pub fn new(out: &'a mut Vec<u8>, name: &str) -> Self {
        let start = out.len();
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b" * ");
        out.extend_from_slice(VERSION.as_bytes());
        out.extend_from_slice(b"\r\n");
        Self {
            out,
            start,
            headers: 0,
            fits: true,
            body: Vec::new(),
        }
    }

    /// Adds a header whose value cannot need escapes: a number, a word of the protocol.
    pub fn plain(&mut self, name: &str, value: impl fmt::Display) {
        let line = self.out.len();
        // Writing to a vector does not fail.
        let _ = write!(self.out, "{name}: {value}\r\n");
        self.count(line);
    }

    /// Adds a header with any text.
    pub fn text(&mut self, name: &str, value: &str) {
        let line = self.out.len();
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(escape(value).as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.count(line);
    }

    /// Adds a header where there is a value.
    pub fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Sets the body.
    pub fn body(&mut self, body: &[u8]) {
        self.body.clear();
        self.body.extend_from_slice(body);
    }

    fn count(&mut self, line: usize) {
        self.headers += 1;
        self.fits &= self.out.len() - line <= MAX_LINE;
    }

    /// Ends the frame. One that the peer would refuse is taken off the buffer again.
    pub fn finish(mut self) -> Result<(), TooLarge> {
        if !self.body.is_empty() {
            let length = self.body.len();
            self.plain("content-length", length);
        }
        self.out.extend_from_slice(b"\r\n");
        let head = self.out.len() - self.start;
        if !self.fits || head > MAX_HEAD || self.headers > MAX_HEADERS || self.body.len() > MAX_BODY {
            self.out.truncate(self.start);
            return Err(TooLarge);
        }
        self.out.extend_from_slice(&self.body);
        Ok(())
    }
}

/// A value as it stands on its line.
pub fn escape(value: &str) -> Cow<'_, str> {
    let ends_blank = value.starts_with(' ') || value.ends_with(' ');
    let special = |c: char| c == '\\' || c.is_control();
    if !ends_blank && !value.contains(special) {
        return Cow::Borrowed(value);
    }
    let mut escaped = String::with_capacity(value.len() + 8);
    let last = value.len().saturating_sub(1);
    for (at, c) in value.char_indices() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\r' => escaped.push_str("\\r"),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            ' ' if at == 0 || at == last => escaped.push_str("\\x20"),
            c if c.is_ascii_control() => escaped.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// A value without its escapes; `None` where one is none.
pub fn unescape(value: &str) -> Option<Cow<'_, str>> {
    if !value.contains('\\') {
        return Some(Cow::Borrowed(value));
    }
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next()? {
            '\\' => text.push('\\'),
            'r' => text.push('\r'),
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'x' => {
                let (high, low) = (chars.next()?.to_digit(16)?, chars.next()?.to_digit(16)?);
                let byte = u8::try_from(high * 16 + low).ok().filter(u8::is_ascii)?;
                text.push(char::from(byte));
            }
            _ => return None,
        }
    }
    Some(Cow::Owned(text))
}
