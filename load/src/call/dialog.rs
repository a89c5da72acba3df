//! What a leg knows of its dialog (RFC 3261 s.12): the two parties, the sequence numbers, the remote target, the route set.

use std::net::SocketAddr;

use rsip::headers::UntypedHeader;
use rsip::message::HeadersExt;
use rsip::{Header, Method, Request, Response, Uri};

use crate::sip::message::{self, Head, Outline};

use super::Line;

/// The dialog, from the phone's side.
pub struct Dialog {
    pub call_id: String,
    pub local_tag: String,
    /// The whole local From/To value, tag included.
    pub local: String,
    /// The whole remote To/From value, tag included once it is known.
    pub remote: String,
    pub local_seq: u32,
    pub remote_seq: u32,
    pub target: Uri,
    pub routes: Vec<String>,
}

impl Dialog {
    /// A dialog that our INVITE to `target` is to start.
    pub fn calling(line: &Line, target: Uri, call_id: String, local_tag: String) -> Self {
        Self {
            call_id,
            local: format!("<{}>;tag={local_tag}", line.aor),
            local_tag,
            remote: format!("<{target}>"),
            local_seq: 1,
            remote_seq: 0,
            target,
            routes: Vec::new(),
        }
    }

    /// The dialog that this INVITE starts; none where it lacks a Contact.
    pub fn called(invite: &Request, head: &Head, local_tag: String) -> Option<Self> {
        let to = invite.to_header().ok()?.value().to_owned();
        Some(Self {
            call_id: head.call_id.clone(),
            local: format!("{to};tag={local_tag}"),
            local_tag,
            remote: invite.from_header().ok()?.value().to_owned(),
            local_seq: 0,
            remote_seq: head.seq,
            target: message::contact_uri(invite)?,
            routes: message::record_routes(invite),
        })
    }

    /// The 2xx of our INVITE completes the dialog (RFC 3261 s.12.1.2); false where it lacks a Contact or a tag.
    pub fn established(&mut self, response: &Response, head: &Head) -> bool {
        let (Some(target), Ok(to), true) = (message::contact_uri(response), response.to_header(), head.to_tag.is_some()) else {
            return false;
        };
        self.target = target;
        self.remote = to.value().to_owned();
        self.routes = message::record_routes(response);
        self.routes.reverse();
        true
    }

    /// A re-INVITE moves the target (RFC 3261 s.12.2.2).
    pub fn refreshed(&mut self, invite: &Request, head: &Head) {
        self.remote_seq = head.seq;
        if let Some(target) = message::contact_uri(invite) {
            self.target = target;
        }
    }

    /// Where requests go: the first route, else the target; none where that is a name (then the server is asked).
    pub fn next_hop(&self) -> Option<SocketAddr> {
        let first = self.routes.first().map(|route| {
            let inner = route.trim_start_matches('<');
            let end = inner.find('>').unwrap_or(inner.len());
            Uri::try_from(&inner[..end])
        });
        let hop = match &first {
            Some(Ok(uri)) => uri,
            Some(Err(_)) => return None,
            None => &self.target,
        };
        let ip = hop.host().to_string().parse().ok()?;
        let port = hop.port().map_or(5060, |port| *port.value());
        Some(SocketAddr::new(ip, port))
    }

    /// A request within the dialog.
    pub fn request(&self, line: &Line, method: Method, seq: u32, branch: &str, body: Option<&str>) -> Vec<u8> {
        let contact = (method == Method::Invite).then_some(line.contact.as_str());
        message::request(
            method,
            &self.target,
            &self.outline(line, branch, seq, contact),
            Vec::new(),
            body,
        )
    }

    /// The initial INVITE, or the ACK or CANCEL that repeats its request URI and branch.
    pub fn initial(&self, line: &Line, method: Method, to: &str, branch: &str, more: Vec<Header>, body: Option<&str>) -> Vec<u8> {
        let contact = (method == Method::Invite).then_some(line.contact.as_str());
        let outline = Outline {
            to,
            ..self.outline(line, branch, self.local_seq, contact)
        };
        message::request(method, &self.target, &outline, more, body)
    }

    fn outline<'a>(&'a self, line: &'a Line, branch: &'a str, seq: u32, contact: Option<&'a str>) -> Outline<'a> {
        Outline {
            via: &line.via,
            branch,
            from: &self.local,
            to: &self.remote,
            call_id: &self.call_id,
            seq,
            contact,
            routes: &self.routes,
        }
    }
}
