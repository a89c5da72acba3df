//! What has to be known of a message before a transaction is made for it (RFC 3261 s.8.2, 16.3, 18.3, 8.1.3).
//!
//! Invariant: a request that passes has one readable Via on top, From, To, Call-ID and CSeq, and a request URI that can be read.
//! What it does not do: authenticate, judge whether a method or body is supported, or read headers that are not needed (a Date
//! in the wrong zone harms nobody, RFC 4475 s.3.1.2.12).

use std::borrow::Cow;

use super::error::{HeaderError, HeaderErrorKind, Violation};
use super::uri::{Scheme, Uri, UriError};
use super::{HeaderName, Message, Method};

/// The option tags that a request may require of us (RFC 3261 s.8.2.2.3). A tag is added here when the layers above keep what it promises.
pub const EXTENSIONS: &[&str] = &["path", "100rel", "timer", "replaces", "norefersub"];

/// The headers that a message must have once (RFC 3261 s.8.1.1), Max-Forwards and Content-Type that it may have once.
const AT_MOST_ONCE: [HeaderName; 6] = [
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::ContentType,
];

type Fault = (u16, Cow<'static, str>);

fn fault(status: u16, reason: &'static str) -> Fault {
    (status, Cow::Borrowed(reason))
}

impl From<HeaderError> for Fault {
    fn from(error: HeaderError) -> Self {
        (400, Cow::Owned(format!("Bad Request ({error})")))
    }
}

impl Message {
    /// Whether the message may go on to the transaction layer.
    pub fn validate(&self) -> Result<(), Violation> {
        let verdict = match self.method() {
            Some(method) => self.validate_request(&method),
            None => self.validate_response(),
        };
        verdict.map_err(|(status, reason)| Violation {
            status,
            reason,
            respond: self.can_be_answered(),
        })
    }

    /// Whether a response to it is allowed (not to an ACK, not to a response) and can find its way (there is a Via).
    pub fn can_be_answered(&self) -> bool {
        self.is_request() && !self.is(&Method::Ack) && self.header_bytes(HeaderName::Via).is_some()
    }

    /// The option tags it requires that are not in [`EXTENSIONS`]: the Unsupported header of the 420 (RFC 3261 s.8.2.2.3).
    pub fn unsupported(&self) -> impl Iterator<Item = &str> {
        self.requires()
            .filter(|tag| !EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(tag)))
    }

    fn validate_request(&self, method: &Method) -> Result<(), Fault> {
        self.validate_bytes()?;
        if !self.has_well_formed_start() {
            return Err(fault(400, "Bad Request (malformed request line)"));
        }
        self.top_via()?;
        let cseq_method = self.validate_identity()?;
        if cseq_method != *method {
            // Of a method unknown to us we know no more than that (RFC 4475 s.3.1.2.18).
            let status = if matches!(method, Method::Other(_)) { 501 } else { 400 };
            return Err(fault(status, "CSeq method is not the request method"));
        }
        let max_forwards = self.max_forwards()?;
        self.validate_request_uri()?;
        self.contacts()?;
        // A CANCEL or ACK that requires something is taken as it is (RFC 3261 s.8.2.2.3).
        if !matches!(method, Method::Ack | Method::Cancel) {
            if self.unsupported().next().is_some() {
                return Err(fault(420, "Bad Extension"));
            }
            if self
                .headers(HeaderName::ContentEncoding)
                .any(|coding| !coding.eq_ignore_ascii_case("identity"))
            {
                return Err(fault(415, "Unsupported Media Type (Content-Encoding)"));
            }
        }
        // A new call goes on through us, so we stop a loop as a proxy would (RFC 7332 s.3); what ends here is served (RFC 4475 s.3.3.11).
        let starts_call = *method == Method::Invite && self.to()?.tag().is_none();
        if starts_call && max_forwards == Some(0) {
            return Err(fault(483, "Too Many Hops"));
        }
        Ok(())
    }

    /// RFC 3261 s.8.1.3: what cannot be matched to a request of ours is dropped; more than one Via means it is not ours (s.8.1.3.3).
    fn validate_response(&self) -> Result<(), Fault> {
        self.validate_bytes()?;
        self.top_via()?;
        if self.headers(HeaderName::Via).nth(1).is_some() {
            return Err(HeaderErrorKind::Repeated.of(HeaderName::Via).into());
        }
        self.validate_identity().map(|_| ())
    }

    /// The version, and that nothing was wrong with the bytes.
    fn validate_bytes(&self) -> Result<(), Fault> {
        if !self.is_version_2() {
            return Err(fault(505, "Version Not Supported"));
        }
        match self.0.head.defect {
            Some((kind, _)) => Err((400, Cow::Owned(format!("Bad Request ({kind})")))),
            None => Ok(()),
        }
    }

    /// The headers that identify dialog and transaction; gives the method of CSeq.
    fn validate_identity(&self) -> Result<Method, Fault> {
        for name in AT_MOST_ONCE {
            if self.lines(name).nth(1).is_some() {
                return Err(HeaderErrorKind::Repeated.of(name).into());
            }
        }
        // A tag must mean the same to everyone who reads it.
        for (name, address) in [(HeaderName::From, self.from()?), (HeaderName::To, self.to()?)] {
            if !address.params.is_well_formed() {
                return Err(HeaderErrorKind::Malformed.of(name).into());
            }
        }
        let call_id = self
            .call_id()
            .ok_or_else(|| HeaderErrorKind::Missing.of(HeaderName::CallId))?;
        if call_id.bytes().any(|byte| byte.is_ascii_whitespace()) {
            return Err(HeaderErrorKind::Malformed.of(HeaderName::CallId).into());
        }
        Ok(self.cseq()?.1)
    }

    /// RFC 3261 s.8.2.2.1. Headers in a request URI are not allowed (s.19.1.1).
    fn validate_request_uri(&self) -> Result<(), Fault> {
        let malformed = |_: UriError| fault(400, "Bad Request (malformed Request-URI)");
        let uri = Uri::parse(self.uri().unwrap_or_default()).map_err(malformed)?;
        if matches!(uri.scheme, Scheme::Other(_)) {
            return Err(fault(416, "Unsupported URI Scheme"));
        }
        if uri.headers.is_some() {
            return Err(fault(400, "Bad Request (headers in Request-URI)"));
        }
        Ok(())
    }
}
