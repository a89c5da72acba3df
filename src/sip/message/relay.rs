//! Passing a message on, as a proxy does (RFC 3261 s.16.6, 16.7).
//!
//! Invariant: what is not asked to change goes out as it came, header by header and byte by byte, in its order; what comes out is one
//! well-formed message.

use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::build::{amend_via, put_header};
use super::params::find_outside;
use super::{HeaderName, Message};

/// A message on its way through.
#[derive(Debug)]
pub struct Relay<'a> {
    message: &'a Message,
    source: Option<SocketAddr>,
    pushed_via: Option<String>,
    popped_vias: usize,
    popped_routes: usize,
    max_forwards: Option<u8>,
    added: Vec<(HeaderName, String)>,
}

impl<'a> Relay<'a> {
    /// Starts from a message that changes in nothing.
    pub fn of(message: &'a Message) -> Self {
        Self {
            message,
            source: None,
            pushed_via: None,
            popped_vias: 0,
            popped_routes: 0,
            max_forwards: None,
            added: Vec::new(),
        }
    }

    /// Where a request came from, for its top Via as it came (RFC 3261 s.18.2.1; RFC 3581 s.4).
    pub fn received_from(mut self, source: SocketAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Puts our Via on top (s.16.6 item 8).
    pub fn push_via(mut self, via: String) -> Self {
        self.pushed_via = Some(via);
        self
    }

    /// Takes our Via off (s.16.7 item 3).
    pub fn pop_via(mut self) -> Self {
        self.popped_vias = 1;
        self
    }

    /// Takes the first Route values off (s.16.4).
    pub fn pop_routes(mut self, count: usize) -> Self {
        self.popped_routes = count;
        self
    }

    /// Sets Max-Forwards (s.16.6 item 3).
    pub fn max_forwards(mut self, hops: u8) -> Self {
        self.max_forwards = Some(hops);
        self
    }

    /// Adds a header above those of its name; the one added last stands first.
    pub fn add(mut self, name: HeaderName, value: String) -> Self {
        self.added.insert(0, (name, value));
        self
    }

    /// The message.
    pub fn finish(self) -> Bytes {
        let bytes = self.message.bytes();
        let mut out = BytesMut::with_capacity(bytes.len() + 256);
        let line_end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
        out.extend_from_slice(bytes.get(..line_end).unwrap_or_default().trim_ascii_end());
        out.extend_from_slice(b"\r\n");
        if let Some(via) = &self.pushed_via {
            put_header(&mut out, "Via", via.as_bytes());
        }
        for (name, value) in &self.added {
            put_header(&mut out, name.as_str(), value.as_bytes());
        }
        if let Some(hops) = self.max_forwards {
            put_header(&mut out, HeaderName::MaxForwards.as_str(), hops.to_string().as_bytes());
        }
        self.put_fields(&mut out);
        // Writing to memory does not fail.
        let _ = write!(out, "Content-Length: {}\r\n\r\n", self.message.body().len());
        out.extend_from_slice(self.message.body());
        out.freeze()
    }

    fn put_fields(&self, out: &mut BytesMut) {
        let (mut vias, mut routes, mut is_top) = (self.popped_vias, self.popped_routes, true);
        for (name, name_text, value) in self.message.raw_fields() {
            let value = match name {
                HeaderName::ContentLength => continue,
                HeaderName::MaxForwards if self.max_forwards.is_some() => continue,
                HeaderName::Via => without_first(value, &mut vias),
                HeaderName::Route => without_first(value, &mut routes),
                _ => Some(value),
            };
            let Some(value) = value else { continue };
            let amended = self.source.filter(|_| name == HeaderName::Via && std::mem::take(&mut is_top));
            let amended = amended.and_then(|source| amend_via(std::str::from_utf8(value).ok()?, source));
            put_header_bytes(out, name_text, amended.as_ref().map_or(value, String::as_bytes));
        }
    }
}

/// A line of a list without its first elements, as many as are still to go; `None` where none is left.
fn without_first<'a>(value: &'a [u8], count: &mut usize) -> Option<&'a [u8]> {
    let mut rest = value;
    while *count > 0 {
        *count -= 1;
        let text = std::str::from_utf8(rest).ok()?;
        let comma = find_outside(text, b',')?;
        rest = rest.get(comma + 1..)?.trim_ascii();
    }
    Some(rest)
}

fn put_header_bytes(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    // Header names are tokens, which are ASCII.
    put_header(out, std::str::from_utf8(name).unwrap_or_default(), value);
}
