//! A request before it has a way: everything but Via and Contact, which depend on the flow it takes.
//!
//! A draft outlives one attempt: it is written again for the next hop (RFC 3263 s.4.3) and, with credentials, after a challenge.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use super::api::{Credentials, Hop, Listener};
use super::refresh::Interval;
use crate::dialog::Routes;
use crate::digest::client::Challenge;
use crate::flow::{Flow, Transport};
use crate::message::{HeaderName, Message, Method, RequestBuilder};

/// The methods we serve, as the Allow header tells (RFC 3261 s.20.5).
pub(super) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO, MESSAGE, PRACK, UPDATE, REFER, SUBSCRIBE, NOTIFY";

/// What we support whatever is configured (RFC 3891, RFC 4488), as the Supported header tells.
pub(super) const SUPPORTED: [&str; 2] = ["replaces", "norefersub"];

/// Content-Type of session descriptions.
pub(super) const SDP: &str = "application/sdp";

/// A challenge is answered at most this often: once, and once more where the nonce was stale.
const MAX_AUTHORIZATIONS: u8 = 2;

/// Content-Type and body.
pub(super) type Body = (Cow<'static, str>, Bytes);

/// Where a request may go, in order: a flow that is known, what the resolver gave, and last what its next hop's URI says.
#[derive(Debug, Default)]
pub(super) struct Path {
    pub flow: Option<Flow>,
    pub hops: VecDeque<Hop>,
    pub by_uri: bool,
}

/// A request to be sent.
#[derive(Debug)]
pub(super) struct Draft {
    pub method: Method,
    pub uri: Arc<str>,
    pub routes: Routes,
    /// Whole values, tags included.
    pub from: Arc<str>,
    pub to: Arc<str>,
    pub call_id: Arc<str>,
    pub cseq: u32,
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    pub body: Option<Body>,
    pub credentials: Option<Box<Credentials>>,
    /// The answer to a challenge: header and value.
    pub authorization: Option<(HeaderName, String)>,
    pub authorizations: u8,
    /// It was sent again behind a request that had overtaken it.
    pub followed: bool,
    /// The session interval it asks for (RFC 4028 s.7.1).
    pub interval: Option<Interval>,
    /// The URI whose host the request goes to.
    pub next_hop: Arc<str>,
    pub path: Path,
}

impl Draft {
    /// Writes the request for one listener of ours.
    pub fn write(&self, branch: &str, listener: &Listener, product: &str) -> Bytes {
        let mut text = String::with_capacity(96);
        // Writing to memory does not fail.
        let _ = write!(
            text,
            "SIP/2.0/{} {};rport;branch={branch}",
            listener.transport.via_token(),
            listener.advertised
        );
        let mut request = RequestBuilder::new(self.method.as_str(), &self.uri).header(HeaderName::Via, &text);
        for route in &self.routes {
            request = request.header(HeaderName::Route, route);
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("max-forwards")) {
            request = request.header(HeaderName::MaxForwards, "70");
        }
        text.clear();
        let _ = write!(text, "{} {}", self.cseq, self.method);
        request = request
            .header(HeaderName::From, &self.from)
            .header(HeaderName::To, &self.to)
            .header(HeaderName::CallId, &self.call_id)
            .header(HeaderName::CSeq, &text);
        if matches!(self.method, Method::Invite | Method::Update | Method::Notify) {
            request = request.header(HeaderName::Contact, contact(listener));
        }
        if matches!(self.method, Method::Invite | Method::Update) {
            request = request.header(HeaderName::Allow, ALLOW);
        }
        if !product.is_empty() {
            request = request.header(HeaderName::UserAgent, product);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(interval) = &self.interval {
            request = interval.write(request);
        }
        if let Some((name, value)) = &self.authorization {
            request = request.header(*name, value);
        }
        match &self.body {
            Some((content_type, body)) => request.body(content_type, body).finish(),
            None => request.finish(),
        }
    }

    /// Asks for the interval that a 422 wants (RFC 4028 s.7.3). Says whether the request may be sent again.
    pub fn lengthen_interval(&mut self, refusal: &Message) -> bool {
        self.interval.as_mut().is_some_and(|interval| interval.lengthen(refusal))
    }

    /// A 500 may say that a later request of ours overtook this one (s.12.2.2): with a new number it comes in order. Once.
    pub fn may_follow(&mut self) -> bool {
        !std::mem::replace(&mut self.followed, true)
    }

    /// Answers the challenge of a 401 or 407, where there are credentials for it. Says whether the request may be sent again; its CSeq is the
    /// caller's to raise.
    pub fn authorize(&mut self, challenged: &Message, cnonce: &str) -> bool {
        let Some(credentials) = &self.credentials else { return false };
        let (asked, answer) = match challenged.status() {
            Some(401) => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            _ => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        };
        let Some(challenge) = Challenge::strongest(challenged.headers(asked), credentials.realm.as_deref()) else {
            return false;
        };
        // A second challenge means that the password is wrong, unless only the nonce was too old.
        if self.authorizations >= MAX_AUTHORIZATIONS || (self.authorizations > 0 && !challenge.stale) {
            return false;
        }
        self.authorizations += 1;
        let method = self.method.as_str();
        let value = challenge.authorize(&credentials.username, &credentials.password, method, &self.uri, 1, cnonce);
        self.authorization = Some((answer, value));
        true
    }
}

/// Our Contact on a listener.
pub(super) fn contact(listener: &Listener) -> String {
    match listener.transport {
        Transport::Udp => format!("<sip:tandem@{}>", listener.advertised),
        Transport::Tcp => format!("<sip:tandem@{};transport=tcp>", listener.advertised),
    }
}

/// A From or To value: `"name" <uri>;tag=...`.
pub(super) fn name_addr(uri: &str, display: Option<&str>, tag: Option<&str>) -> Arc<str> {
    let mut text = String::with_capacity(uri.len() + 40);
    if let Some(display) = display.filter(|display| !display.is_empty()) {
        text.push('"');
        for character in display.chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push_str("\" ");
    }
    let _ = write!(text, "<{uri}>");
    if let Some(tag) = tag {
        let _ = write!(text, ";tag={tag}");
    }
    text.into()
}
