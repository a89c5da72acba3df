//! One binding: where a device of an address of record can be reached, and until when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::{Flow, Transport};
use crate::message::Uri;
use crate::ua::hop_of;

use super::request::{Register, RegisterContact};

/// Where one device is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The Contact URI, as the device wrote it: the request URI of what is sent to it.
    pub uri: Arc<str>,
    /// Where its REGISTER came from, and where requests for it go.
    pub flow: Flow,
    /// The Path of its REGISTER: the route set to preload (RFC 3327).
    pub path: Vec<Arc<str>>,
    /// Preference, in thousandths.
    pub q: u16,
    /// When it ends, unless refreshed.
    pub expires_at: Instant,
    /// The device (RFC 5626).
    pub instance: Option<Arc<str>>,
    /// Which of the flows of one device.
    pub reg_id: Option<u32>,
    /// The URI holds another address than that which the REGISTER came from: there is a NAT between.
    pub nat: bool,
}

impl Binding {
    /// Whether anybody can send datagrams to its URI: it is the address that the REGISTER came from, with nothing between.
    pub fn is_direct(&self) -> bool {
        let at_contact = hop_of(&self.uri).is_some_and(|hop| hop.transport == Transport::Udp && hop.addr == self.flow.peer);
        self.flow.transport == Transport::Udp && !self.nat && self.path.is_empty() && at_contact
    }
}

/// A binding with what decides about its updates.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) binding: Binding,
    /// Unique, and larger the later the binding was made or moved.
    pub(super) serial: u64,
    pub(super) call_id: Arc<str>,
    pub(super) cseq: u32,
}

impl Stored {
    pub(super) fn new(contact: &RegisterContact, register: &Register, expires_at: Instant, serial: u64) -> Self {
        let binding = Binding {
            uri: Arc::clone(&contact.uri),
            flow: register.flow,
            path: register.path.clone(),
            q: contact.q,
            expires_at,
            instance: contact.instance.clone(),
            reg_id: contact.reg_id,
            nat: is_behind_nat(&contact.uri, &register.flow) && register.path.is_empty(),
        };
        Self {
            binding,
            serial,
            call_id: Arc::clone(&register.call_id),
            cseq: register.cseq,
        }
    }

    /// Whether a contact is about this binding: the same flow of the same device (RFC 5626 s.6), else an equivalent URI.
    pub(super) fn is_of(&self, contact: &RegisterContact) -> bool {
        let flow = |instance: &Option<Arc<str>>, reg_id: Option<u32>| instance.clone().zip(reg_id);
        match (
            flow(&self.binding.instance, self.binding.reg_id),
            flow(&contact.instance, contact.reg_id),
        ) {
            (Some(ours), Some(theirs)) => ours == theirs,
            // One with and one without: a device that was updated; the URI tells.
            _ => self.binding.uri == contact.uri || equivalent(&self.binding.uri, &contact.uri),
        }
    }

    /// Whether a REGISTER comes later than the one that made the binding (RFC 3261 s.10.3 steps 6 and 7).
    pub(super) fn is_before(&self, register: &Register) -> bool {
        self.call_id != register.call_id || self.cseq < register.cseq
    }

    /// Whether a refresh leaves the device where it was.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        Binding {
            expires_at: other.binding.expires_at,
            ..self.binding.clone()
        } == other.binding
    }

    /// The Contact value of a 200, with the time that is left.
    pub(super) fn contact_value(&self, now: Instant) -> String {
        let left = self.binding.expires_at.saturating_duration_since(now);
        // Rounded up: a binding that is listed has not expired.
        let seconds = left.as_secs() + u64::from(left > Duration::from_secs(left.as_secs()));
        let mut value = format!("<{}>;expires={seconds}", self.binding.uri);
        if self.binding.q != 1000 {
            value.push_str(&format!(";q={}.{:03}", self.binding.q / 1000, self.binding.q % 1000));
        }
        if let Some(instance) = &self.binding.instance {
            value.push_str(&format!(";+sip.instance=\"{instance}\""));
        }
        if let Some(reg_id) = self.binding.reg_id {
            value.push_str(&format!(";reg-id={reg_id}"));
        }
        value
    }
}

fn is_behind_nat(uri: &str, flow: &Flow) -> bool {
    let Ok(uri) = Uri::parse(uri) else { return false };
    uri.host_ip().is_some_and(|ip| {
        let same_port = flow.connection.is_some() || uri.port.unwrap_or(5060) == flow.peer.port();
        ip.to_canonical() != flow.peer.ip().to_canonical() || !same_port
    })
}

pub(super) fn equivalent(one: &str, other: &str) -> bool {
    match (Uri::parse(one), Uri::parse(other)) {
        (Ok(one), Ok(other)) => one.equivalent(&other),
        _ => false,
    }
}
