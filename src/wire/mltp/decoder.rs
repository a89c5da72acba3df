//! Bytes as they arrive, made frames.
//!
//! It reads line by line and judges each line when it is whole, so that the same bytes give the same frames and the same error however
//! they are split. After an error it gives nothing more: where the next frame would begin is not known.
//!
//! A line ends with LF, a CR before it is dropped. Empty lines before a start line are skipped.

use bytes::Bytes;

use super::error::excerpt;
use super::frame::unescape;
use super::{Frame, FrameError, VERSION};

/// The longest line of a head, its end included, in bytes.
pub const MAX_LINE: usize = 128 * 1024;
/// The longest head, in bytes.
pub const MAX_HEAD: usize = 256 * 1024;
/// The most headers of a frame.
pub const MAX_HEADERS: usize = 64;
/// The longest body, in bytes.
pub const MAX_BODY: usize = 4 * 1024 * 1024;
/// The longest name of a message or of a header.
const MAX_NAME: usize = 64;

/// Reads frames out of a stream.
#[derive(Default, Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// What of the buffer is read.
    read: usize,
    /// Up to where no end of line was found yet.
    searched: usize,
    frame: Option<Partial>,
    damaged: bool,
}

/// A frame that is not whole yet.
#[derive(Default, Debug)]
struct Partial {
    frame: Frame,
    head: usize,
    length: Option<usize>,
    in_body: bool,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what has arrived. It is held until [`Decoder::next_frame`] has read it, so read before feeding on.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.damaged {
            return;
        }
        if self.read > 0 && self.read == self.buffer.len() {
            self.buffer.clear();
            self.read = 0;
            self.searched = 0;
        } else if self.read > 64 * 1024 {
            self.buffer.drain(..self.read);
            self.searched = self.searched.saturating_sub(self.read);
            self.read = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; `None` until more has arrived, and always after an error.
    pub fn next_frame(&mut self) -> Option<Result<Frame, FrameError>> {
        if self.damaged {
            return None;
        }
        let next = self.advance().transpose();
        if matches!(next, Some(Err(_))) {
            self.damaged = true;
            self.buffer = Vec::new();
            self.frame = None;
        }
        next
    }

    /// How many bytes are held of a frame that is not whole.
    pub fn held(&self) -> usize {
        let head = self.frame.as_ref().map_or(0, |partial| partial.head);
        head + self.buffer.len() - self.read
    }

    fn advance(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(partial) = self.frame.as_mut().filter(|partial| partial.in_body) {
                let length = partial.length.unwrap_or(0);
                let Some(body) = self.buffer.get(self.read..self.read + length) else {
                    return Ok(None);
                };
                partial.frame.body = Bytes::copy_from_slice(body);
                self.read += length;
                self.searched = self.read;
                return Ok(self.frame.take().map(|partial| partial.frame));
            }
            let Some((start, end)) = self.line()? else { return Ok(None) };
            let line = self.buffer.get(start..end).unwrap_or_default();
            match &mut self.frame {
                None if line.is_empty() => {}
                None => {
                    let frame = Frame {
                        name: start_line(text(line)?)?.to_owned(),
                        ..Frame::default()
                    };
                    self.frame = Some(Partial {
                        frame,
                        head: self.read - start,
                        ..Partial::default()
                    });
                }
                Some(partial) => {
                    partial.head += self.read - start;
                    if partial.head > MAX_HEAD {
                        return Err(FrameError::HeadTooLong);
                    }
                    if line.is_empty() {
                        partial.in_body = true;
                    } else {
                        partial.header(text(line)?)?;
                    }
                }
            }
        }
    }

    /// The next whole line: where it begins and ends in the buffer, without its end.
    fn line(&mut self) -> Result<Option<(usize, usize)>, FrameError> {
        let from = self.searched.max(self.read);
        let rest = self.buffer.get(from..).unwrap_or_default();
        let found = rest.iter().position(|byte| *byte == b'\n').map(|at| from + at);
        let length = found.map_or(self.buffer.len(), |at| at + 1) - self.read;
        if length > MAX_LINE {
            return Err(FrameError::LineTooLong);
        }
        let Some(end) = found else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        let start = self.read;
        self.read = end + 1;
        self.searched = self.read;
        let line = self.buffer.get(start..end).unwrap_or_default();
        Ok(Some((start, end - usize::from(line.ends_with(b"\r")))))
    }
}

impl Partial {
    fn header(&mut self, line: &str) -> Result<(), FrameError> {
        let wrong = || FrameError::Header(excerpt(line));
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        if !is_name(name, |byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(wrong());
        }
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("content-length") {
            return self.content_length(value);
        }
        if self.frame.headers.len() >= MAX_HEADERS {
            return Err(FrameError::TooManyHeaders);
        }
        let value = unescape(value).ok_or_else(|| FrameError::Escape(name.to_owned()))?;
        self.frame.headers.push((name.to_owned(), value.into_owned()));
        Ok(())
    }

    fn content_length(&mut self, value: &str) -> Result<(), FrameError> {
        let wrong = || FrameError::ContentLength(excerpt(value));
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let length: u64 = value.parse().map_err(|_| wrong())?;
        let fits = usize::try_from(length).ok().filter(|length| *length <= MAX_BODY);
        let length = fits.ok_or(FrameError::BodyTooLong(length))?;
        match self.length.replace(length) {
            Some(before) if before != length => Err(wrong()),
            _ => Ok(()),
        }
    }
}

fn is_name(name: &str, allowed: fn(u8) -> bool) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

/// The line as text, where it is one.
fn text(line: &[u8]) -> Result<&str, FrameError> {
    let wrong = || FrameError::Text(excerpt(&String::from_utf8_lossy(line)));
    let text = std::str::from_utf8(line).map_err(|_| wrong())?;
    let control = text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t');
    if control { Err(wrong()) } else { Ok(text) }
}

/// The name of the message that a start line begins.
fn start_line(line: &str) -> Result<&str, FrameError> {
    let mut words = line.split(' ');
    let (name, target, version) = (words.next(), words.next(), words.next());
    let named = name.filter(|name| {
        is_name(name, |byte| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
        })
    });
    match (named, target, version, words.next()) {
        (Some(name), Some("*"), Some(VERSION), None) => Ok(name),
        (Some(_), Some("*"), Some(version), None) if version.starts_with("MLTP/") => Err(FrameError::Version(excerpt(version))),
        _ => Err(FrameError::StartLine(excerpt(line))),
    }
}
