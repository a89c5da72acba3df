//! Dialogs: what two user agents share after an INVITE (RFC 3261 s.12).
//!
//! Invariant: a dialog is named by Call-ID, local tag and remote tag; its route set never changes once it is confirmed (but where it is only
//! ours, and our device is at another connector of ours, [`crate::ua::UserAgent::device_left`]), its local CSeq only grows, and a request of the peer with a CSeq that does not grow is out of order. Early dialogs of forks are several [`Dialog`]s with one
//! local tag and different remote tags.
//!
//! What is not here: sending (the user agent builds on [`Dialog::request_target`]), sessions, offers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::flow::Flow;
use crate::message::{HeaderName, Message, NameAddr, Scheme, Uri};

#[cfg(test)]
mod tests;

/// Route header values, in order.
pub type Routes = SmallVec<[Arc<str>; 2]>;

/// The Request-URI and the Route values of a request in a dialog, and the URI of the element it goes to first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestTarget {
    /// The Request-URI.
    pub uri: Arc<str>,
    /// The Route headers.
    pub routes: Routes,
    /// Whose address the request is sent to.
    pub next_hop: Arc<str>,
}

/// A request came with a CSeq that is not above the last one: answered with 500 (s.12.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfOrder;

/// One dialog, early or confirmed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Dialog {
    /// The Call-ID.
    pub call_id: Arc<str>,
    /// Our side's From value of requests (To value of responses), tag included.
    pub local: Arc<str>,
    /// The peer's value, tag included where it has one.
    pub remote: Arc<str>,
    /// The peer's tag; empty for a peer of RFC 2543 (s.12.1.1).
    pub remote_tag: Box<str>,
    /// The number of the last request of ours.
    pub local_cseq: u32,
    /// The number of the peer's last request, where there was one.
    pub remote_cseq: Option<u32>,
    /// The route set, in the order of the Route headers.
    pub route_set: Routes,
    /// The peer's Contact URI.
    pub remote_target: Arc<str>,
    /// The INVITE had a `sips` URI and so must everything in the dialog (s.12.1).
    pub secure: bool,
    /// Where the peer's messages come from.
    pub flow: Flow,
    /// The peer's messages reach us without a proxy between, as far as the message that made the dialog shows.
    pub adjacent: bool,
}

impl Dialog {
    /// The dialog that a response to our INVITE makes (s.12.1.2). `None` where From, To, Call-ID or CSeq cannot be read.
    pub fn of_response(request: &Message, response: &Message, flow: Flow) -> Option<Self> {
        let remote = response.header(HeaderName::To)?;
        let remote_tag = response.to().ok()?.tag().unwrap_or_default();
        let mut route_set: Routes = response.headers(HeaderName::RecordRoute).map(Arc::from).collect();
        route_set.reverse();
        let adjacent = route_set.is_empty();
        Some(Self {
            call_id: request.call_id()?.into(),
            local: request.header(HeaderName::From)?.into(),
            remote: remote.into(),
            remote_tag: remote_tag.into(),
            local_cseq: request.cseq().ok()?.0,
            remote_cseq: None,
            route_set,
            // A 2xx has a Contact; of a peer that forgot it the URI it was called by is the best guess.
            remote_target: response.contact().map(|contact| contact.uri).or(request.uri())?.into(),
            secure: is_sips(request.uri()?),
            flow,
            adjacent,
        })
    }

    /// The dialog that a 2xx makes whose INVITE nobody knows any more, so that it can be acknowledged and ended.
    pub fn of_stray(response: &Message, flow: Flow) -> Option<Self> {
        let mut route_set: Routes = response.headers(HeaderName::RecordRoute).map(Arc::from).collect();
        route_set.reverse();
        let adjacent = route_set.is_empty();
        Some(Self {
            call_id: response.call_id()?.into(),
            local: response.header(HeaderName::From)?.into(),
            remote: response.header(HeaderName::To)?.into(),
            remote_tag: response.to().ok()?.tag().unwrap_or_default().into(),
            local_cseq: response.cseq().ok()?.0,
            remote_cseq: None,
            route_set,
            remote_target: response.contact()?.uri.into(),
            secure: false,
            flow,
            adjacent,
        })
    }

    /// The dialog that our response to an INVITE makes (s.12.1.1). `None` where the INVITE has no readable From or Contact.
    pub fn of_request(request: &Message, local: Arc<str>, flow: Flow) -> Option<Self> {
        let contact = request.contact()?;
        Some(Self {
            call_id: request.call_id()?.into(),
            local,
            remote: request.header(HeaderName::From)?.into(),
            remote_tag: request.from().ok()?.tag().unwrap_or_default().into(),
            local_cseq: 0,
            remote_cseq: Some(request.cseq().ok()?.0),
            route_set: request.headers(HeaderName::RecordRoute).map(Arc::from).collect(),
            remote_target: contact.uri.into(),
            secure: is_sips(request.uri()?),
            flow,
            adjacent: request.headers(HeaderName::Via).nth(1).is_none(),
        })
    }

    /// Whether a request of the peer belongs to this dialog; our own tag is what led here (s.12.2.2).
    pub fn matches(&self, request: &Message) -> bool {
        let remote_tag = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
        request.call_id() == Some(&*self.call_id) && remote_tag == &*self.remote_tag
    }

    /// The number of our next request.
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// Takes the number of the peer's next request (s.12.2.2). Gaps are allowed: a challenge or a proxy may have caused them.
    pub fn take_cseq(&mut self, number: u32) -> Result<(), OutOfOrder> {
        if self.remote_cseq.is_some_and(|last| number <= last) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(number);
        Ok(())
    }

    /// Takes the Contact of a target refresh, of a request or its 2xx (s.12.2.1.2, 12.2.2).
    pub fn refresh_target(&mut self, message: &Message) {
        if let Some(contact) = message.contact().filter(|contact| contact.uri != &*self.remote_target) {
            self.remote_target = contact.uri.into();
        }
    }

    /// Where the next request goes and what stands on it (s.12.2.1.1).
    pub fn request_target(&self) -> RequestTarget {
        let target = self.remote_target.clone();
        let Some(first) = self.route_set.first() else {
            return RequestTarget {
                uri: target.clone(),
                routes: Routes::new(),
                next_hop: target,
            };
        };
        let first_uri = route_uri(first);
        if Uri::parse(first_uri).is_ok_and(|uri| uri.lr()) {
            return RequestTarget {
                uri: target,
                routes: self.route_set.clone(),
                next_hop: first_uri.into(),
            };
        }
        // A strict router of RFC 2543: it is named in the Request-URI, and the remote target goes last into the Route.
        let mut routes: Routes = self.route_set.iter().skip(1).cloned().collect();
        routes.push(format!("<{target}>").into());
        // "stripping any parameters that are not allowed in a Request-URI": the headers part is all that could stand here.
        let uri: Arc<str> = first_uri.split('?').next().unwrap_or(first_uri).into();
        RequestTarget {
            uri: uri.clone(),
            routes,
            next_hop: uri,
        }
    }
}

/// The URI of a Route value.
pub fn route_uri(route: &str) -> &str {
    NameAddr::parse(route).map_or(route, |address| address.uri)
}

fn is_sips(uri: &str) -> bool {
    Uri::parse(uri).is_ok_and(|uri| uri.scheme == Scheme::Sips)
}
