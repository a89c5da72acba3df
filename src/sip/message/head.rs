//! The index: one pass over the header section, noting where things are.
//!
//! Invariant: every span lies inside the header section, whose length fits 16 bits. Nothing is copied and no value is looked into,
//! Content-Length excepted. Lines end at LF; the CR before it is not asked for (RFC 3261 s.7 wants it, some senders forget it).

use memchr::{memchr, memchr_iter, memrchr};
use smallvec::SmallVec;

use super::error::ParseErrorKind;
use super::{HeaderName, MAX_HEAD_BYTES, Method};

/// A range of the header section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// Offsets beyond 16 bits cannot arise: [`scan`] refuses longer header sections first.
    fn new(start: usize, end: usize) -> Self {
        Self {
            start: u16::try_from(start).unwrap_or(u16::MAX),
            end: u16::try_from(end).unwrap_or(u16::MAX),
        }
    }

    /// The bytes it stands for.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }
}

/// One header line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub name: HeaderName,
    pub name_text: Span,
    pub value: Span,
}

/// The start line.
#[derive(Clone, Debug)]
pub(super) enum Start {
    Request {
        method: Method,
        uri: Span,
        version: Span,
        /// Exactly one SP between the elements, none after them, none in the URI (RFC 3261 s.7.1).
        well_formed: bool,
    },
    Response {
        status: u16,
        version: Span,
        reason: Span,
    },
}

/// The index of one header section.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub start: Start,
    pub fields: SmallVec<[Field; 24]>,
    /// Where the body starts.
    pub end: usize,
    /// Whether a header goes on over several lines.
    pub folded: bool,
    /// The value of Content-Length.
    pub content_length: Option<usize>,
    /// The first thing wrong in a header line, and where. The other lines are indexed all the same.
    pub defect: Option<(ParseErrorKind, usize)>,
}

/// Content-Length values above this are not lengths but attacks or bugs.
const MAX_CONTENT_LENGTH: usize = u32::MAX as usize;

/// Finds the end of a header section: the offset behind the first empty line at or after `from`, if it has come.
pub(super) fn find_end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'\n', bytes.get(from..)?).find_map(|at| {
        let next = from + at + 1;
        match bytes.get(next..)? {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        }
    })
}

/// Indexes the header section at the start of `bytes`. Where no empty line ends it, it ends with the bytes.
pub(super) fn scan(bytes: &[u8]) -> Result<Head, (ParseErrorKind, usize)> {
    // Whatever lies behind the limit is body, or too much.
    let section = &bytes[..bytes.len().min(MAX_HEAD_BYTES)];
    let (line_end, mut at) = line(section, 0);
    let start = start_line(section.get(..line_end).unwrap_or_default()).map_err(|kind| (kind, 0))?;
    let mut head = Head {
        start,
        fields: SmallVec::new(),
        end: 0,
        folded: false,
        content_length: None,
        defect: None,
    };
    loop {
        if at >= section.len() {
            if bytes.len() > section.len() {
                return Err((ParseErrorKind::HeadTooLarge, section.len()));
            }
            head.end = at;
            return Ok(head);
        }
        let (mut line_end, mut next) = line(section, at);
        if line_end == at {
            head.end = next;
            return Ok(head);
        }
        while matches!(section.get(next), Some(b' ' | b'\t')) {
            head.folded = true;
            (line_end, next) = line(section, next);
        }
        head.field(section, at, line_end);
        at = next;
    }
}

impl Head {
    /// Takes one header, its continuation lines included.
    fn field(&mut self, bytes: &[u8], start: usize, end: usize) {
        let text = bytes.get(start..end).unwrap_or_default();
        let Some(colon) = memchr(b':', text) else {
            return self.defect(ParseErrorKind::HeaderLine, start);
        };
        let name_len = text[..colon].trim_ascii_end().len();
        if name_len == 0 || !text[..name_len].iter().all(|byte| is_token(*byte)) || has_stray_cr(&text[colon..]) {
            return self.defect(ParseErrorKind::HeaderLine, start);
        }
        let raw = &text[colon + 1..];
        let lead = raw.len() - raw.trim_ascii_start().len();
        let value_start = start + colon + 1 + lead;
        let value = Span::new(value_start, value_start + raw.trim_ascii().len());
        let name = HeaderName::classify(&text[..name_len]);
        if name == HeaderName::ContentLength {
            self.length(value.of(bytes), value_start);
        }
        self.fields.push(Field {
            name,
            name_text: Span::new(start, start + name_len),
            value,
        });
    }

    fn length(&mut self, value: &[u8], at: usize) {
        let number = std::str::from_utf8(value)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match number
            .and_then(|text| text.parse::<usize>().ok())
            .filter(|length| *length <= MAX_CONTENT_LENGTH)
        {
            None => self.defect(ParseErrorKind::ContentLength, at),
            Some(length) if self.content_length.is_some_and(|before| before != length) => {
                self.defect(ParseErrorKind::ContentLengthTwice, at);
            }
            Some(length) => self.content_length = Some(length),
        }
    }

    fn defect(&mut self, kind: ParseErrorKind, at: usize) {
        self.defect.get_or_insert((kind, at));
    }
}

/// Whether there is a CR that no LF follows. Some take it for the end of a line, so it could hide a header from one of two readers.
fn has_stray_cr(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    memchr_iter(b'\r', text).any(|at| text.get(at + 1) != Some(&b'\n'))
}

/// The end of the text of the line that starts at `from`, and the start of the next line.
fn line(bytes: &[u8], from: usize) -> (usize, usize) {
    let rest = bytes.get(from..).unwrap_or_default();
    match memchr(b'\n', rest) {
        Some(at) if at > 0 && rest[at - 1] == b'\r' => (from + at - 1, from + at + 1),
        Some(at) => (from + at, from + at + 1),
        None => (bytes.len(), bytes.len()),
    }
}

/// RFC 3261 s.7.1 and 7.2.
fn start_line(text: &[u8]) -> Result<Start, ParseErrorKind> {
    let first = memchr(b' ', text).ok_or(ParseErrorKind::StartLine)?;
    if is_version(&text[..first]) {
        return status_line(text, first);
    }
    let kept = text.trim_ascii_end().len();
    let last = memrchr(b' ', &text[..kept])
        .filter(|last| *last > first)
        .ok_or(ParseErrorKind::StartLine)?;
    let (method, version) = (&text[..first], &text[last + 1..kept]);
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || !is_version(version) {
        return Err(ParseErrorKind::StartLine);
    }
    let uri = &text[first + 1..last];
    let well_formed = kept == text.len() && !uri.is_empty() && !uri.iter().any(|byte| byte.is_ascii_whitespace());
    let method = Method::from_token(std::str::from_utf8(method).map_err(|_| ParseErrorKind::StartLine)?);
    Ok(Start::Request {
        method,
        uri: Span::new(first + 1, last),
        version: Span::new(last + 1, kept),
        well_formed,
    })
}

fn status_line(text: &[u8], version_end: usize) -> Result<Start, ParseErrorKind> {
    let rest = &text[version_end + 1..];
    let code = &rest[..memchr(b' ', rest).unwrap_or(rest.len())];
    let status = match code {
        [a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(ParseErrorKind::StatusCode),
    };
    // The SP before an empty reason phrase is often forgotten.
    let reason = Span::new((version_end + 1 + code.len() + 1).min(text.len()), text.len());
    Ok(Start::Response {
        status,
        version: Span::new(0, version_end),
        reason,
    })
}

/// `SIP/` and a digit: some version of SIP.
fn is_version(text: &[u8]) -> bool {
    matches!(text, [s, i, p, b'/', digit, ..]
        if s.eq_ignore_ascii_case(&b's') && i.eq_ignore_ascii_case(&b'i') && p.eq_ignore_ascii_case(&b'p') && digit.is_ascii_digit())
}

/// The characters of a token (RFC 3261 s.25.1).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        table[byte] = value.is_ascii_alphanumeric()
            || matches!(value, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        byte += 1;
    }
    table
};

/// Whether it is a character of a token.
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}
