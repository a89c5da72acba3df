//! Writing messages.
//!
//! Invariant: what comes out is one well-formed message, whatever goes in. Every CR and LF in a value becomes a space; a header whose
//! name is not a token is left out; in a request URI every space, control character, quote and angle bracket is percent-encoded.
//! Content-Length is written here, last and right; one that is given is ignored.

use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};

use super::head::is_token;
use super::params::find_outside;
use super::via::Via;
use super::{HeaderName, Message};

/// Room for a usual message, so that writing one does not grow the buffer.
const USUAL_BYTES: usize = 1024;

/// A message in the making: what stands before the body, and the body.
#[derive(Debug)]
struct Draft {
    head: BytesMut,
    body: BytesMut,
}

impl Draft {
    fn new() -> Self {
        Self {
            head: BytesMut::with_capacity(USUAL_BYTES),
            body: BytesMut::new(),
        }
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        let is_length = HeaderName::classify(name.as_bytes()) == HeaderName::ContentLength;
        if !is_length && !name.is_empty() && name.bytes().all(is_token) {
            put_header(&mut self.head, name, value);
        }
    }

    fn body(&mut self, content_type: &str, body: &[u8]) {
        self.body.clear();
        self.body.extend_from_slice(body);
        if !body.is_empty() {
            self.header("Content-Type", content_type.as_bytes());
        }
    }

    fn finish(mut self) -> Bytes {
        self.head.reserve(self.body.len() + 32);
        // Writing to memory does not fail.
        let _ = write!(self.head, "Content-Length: {}\r\n\r\n", self.body.len());
        self.head.extend_from_slice(&self.body);
        self.head.freeze()
    }
}

/// Writes a request. Via, Max-Forwards and the others are the caller's, in the order they are given.
#[derive(Debug)]
pub struct RequestBuilder {
    draft: Draft,
}

impl RequestBuilder {
    /// Starts a request. A method that is not a token is written as OPTIONS, which does no harm.
    pub fn new(method: impl AsRef<str>, uri: &str) -> Self {
        let method = method.as_ref();
        let is_method = !method.is_empty() && method.bytes().all(is_token);
        let mut draft = Draft::new();
        draft
            .head
            .extend_from_slice(if is_method { method.as_bytes() } else { b"OPTIONS" });
        draft.head.put_u8(b' ');
        put_uri(&mut draft.head, uri);
        draft.head.extend_from_slice(b" SIP/2.0\r\n");
        Self { draft }
    }

    /// Adds a header: `HeaderName` or text.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.draft.header(name.as_ref(), value.as_ref().as_bytes());
        self
    }

    /// Sets the body, and its Content-Type where it is not empty. To be called once.
    pub fn body(mut self, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        self.draft.body(content_type, body.as_ref());
        self
    }

    /// The message.
    pub fn finish(self) -> Bytes {
        self.draft.finish()
    }
}

/// Writes the response to a request (RFC 3261 s.8.2.6): its Via list, From, To, Call-ID, CSeq; Timestamp in a 100; Record-Route where
/// the response can make a dialog. Headers that the request lacks are left out, so that a bad request can be answered too.
#[derive(Debug)]
pub struct ResponseBuilder {
    request: Message,
    status: u16,
    reason: Option<String>,
    source: Option<SocketAddr>,
    to_tag: Option<String>,
    /// The headers that are added, and the body.
    draft: Draft,
}

impl ResponseBuilder {
    /// Starts a response. The reason phrase is [`default_reason`] where none is given; a status outside 100 to 699 is written as 500.
    pub fn to(request: &Message, status: u16, reason: Option<&str>) -> Self {
        let status = if (100..700).contains(&status) { status } else { 500 };
        Self {
            request: request.clone(),
            status,
            reason: reason.map(str::to_owned),
            source: None,
            to_tag: None,
            draft: Draft::new(),
        }
    }

    /// Where the request came from: adds `received` to the top Via where it differs from sent-by (RFC 3261 s.18.2.1), and `received` and
    /// `rport` where the request asks for them (RFC 3581 s.4). What the request claims in their place is left out.
    pub fn received_from(mut self, source: SocketAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// The tag of the To header, where the request has none. Characters that a token cannot hold are left out. Not for a 100.
    pub fn to_tag(mut self, tag: &str) -> Self {
        self.to_tag = Some(
            tag.chars()
                .filter(|character| u8::try_from(*character).is_ok_and(is_token))
                .collect(),
        );
        self
    }

    /// Adds a header: `HeaderName` or text.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.draft.header(name.as_ref(), value.as_ref().as_bytes());
        self
    }

    /// Sets the body, and its Content-Type where it is not empty. To be called once.
    pub fn body(mut self, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        self.draft.body(content_type, body.as_ref());
        self
    }

    /// The message.
    pub fn finish(self) -> Bytes {
        let mut head = BytesMut::with_capacity(USUAL_BYTES);
        let _ = write!(head, "SIP/2.0 {} ", self.status);
        put_value(
            &mut head,
            self.reason
                .as_deref()
                .unwrap_or_else(|| default_reason(self.status))
                .as_bytes(),
        );
        head.extend_from_slice(b"\r\n");
        self.put_vias(&mut head);
        let copied: &[HeaderName] = match self.status {
            100 => &[HeaderName::Timestamp],
            101..300 if self.request.method().is_some_and(|method| method.makes_dialog()) => &[HeaderName::RecordRoute],
            _ => &[],
        };
        for name in copied.iter().chain(&[HeaderName::From]) {
            for line in self.request.lines(*name) {
                put_header(&mut head, name.as_str(), line);
            }
        }
        self.put_to(&mut head);
        for name in [HeaderName::CallId, HeaderName::CSeq] {
            if let Some(line) = self.request.header_bytes(name) {
                put_header(&mut head, name.as_str(), line);
            }
        }
        head.extend_from_slice(&self.draft.head);
        Draft { head, ..self.draft }.finish()
    }

    /// The Via lines as they came, the first element amended.
    fn put_vias(&self, out: &mut BytesMut) {
        let mut lines = self.request.lines(HeaderName::Via);
        let Some(first) = lines.next() else { return };
        let text = std::str::from_utf8(first).ok();
        let amended = text.zip(self.source).and_then(|(text, source)| amend_via(text, source));
        put_header(out, "Via", amended.as_ref().map_or(first, String::as_bytes));
        for line in lines {
            put_header(out, "Via", line);
        }
    }

    fn put_to(&self, out: &mut BytesMut) {
        let Some(line) = self.request.header_bytes(HeaderName::To) else {
            return;
        };
        let has_tag = match self.request.to() {
            Ok(to) => to.params.contains("tag"),
            Err(_) => memchr::memmem::find(line, b";tag=").is_some(),
        };
        let tag = self
            .to_tag
            .as_deref()
            .filter(|tag| !has_tag && !tag.is_empty() && self.status > 100);
        match tag {
            Some(tag) => put_header(out, "To", &[line, b";tag=", tag.as_bytes()].concat()),
            None => put_header(out, "To", line),
        }
    }
}

/// The Via line with `received` and `rport` of its first element set. `None` where that cannot be read, and is better left alone.
pub(super) fn amend_via(line: &str, source: SocketAddr) -> Option<String> {
    let end = find_outside(line, b',').unwrap_or(line.len());
    let (top, others) = line.split_at_checked(end)?;
    let via = Via::parse(top.trim()).ok()?;
    let source = SocketAddr::new(source.ip().to_canonical(), source.port());
    let sent_by = &top[..top.find(';').unwrap_or(top.len())];
    let mut amended = sent_by.trim_end().to_owned();
    for part in via.params.parts() {
        let name = part.split('=').next().unwrap_or_default().trim();
        if !["received", "rport"].iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            amended.push(';');
            amended.push_str(part);
        }
    }
    if via.rport.is_some() {
        let _ = write!(amended, ";rport={}", source.port());
    }
    if via.rport.is_some() || via.host_ip() != Some(source.ip()) {
        let _ = write!(amended, ";received={}", source.ip());
    }
    amended.push_str(others);
    Some(amended)
}

pub(super) fn put_header(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    put_value(out, value);
    out.extend_from_slice(b"\r\n");
}

/// A value on one line.
fn put_value(out: &mut BytesMut, value: &[u8]) {
    let from = out.len();
    out.extend_from_slice(value);
    if memchr::memchr2(b'\r', b'\n', value).is_some() {
        for byte in out.iter_mut().skip(from).filter(|byte| matches!(byte, b'\r' | b'\n')) {
            *byte = b' ';
        }
    }
}

fn put_uri(out: &mut BytesMut, uri: &str) {
    for byte in uri.bytes() {
        if byte <= b' ' || matches!(byte, 0x7f | b'"' | b'<' | b'>') {
            let _ = write!(out, "%{byte:02X}");
        } else {
            out.put_u8(byte);
        }
    }
}

/// The reason phrase that the RFCs give a status; of an unknown one the phrase of its class.
pub fn default_reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        428 => "Use Identity Header",
        429 => "Provide Referrer Identity",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        439 => "First Hop Lacks Outbound Support",
        440 => "Max-Breadth Exceeded",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => match status / 100 {
            1 => "Progress",
            2 => "OK",
            3 => "Redirected",
            4 => "Bad Request",
            5 => "Server Internal Error",
            _ => "Global Failure",
        },
    }
}
