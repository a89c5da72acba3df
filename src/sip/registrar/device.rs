//! Which device a session is with, and whether one that has registered over another connection is that one (RFC 5626 s.4.1, 5.3, 6).
//!
//! Invariant: only a registration for the same address of record can be a device's, and one that says that it is another device
//! (`+sip.instance`) never is. A mere guess is told as one ([`Sureness::Likely`]): it counts only for a device that has no connection any more.
//!
//! What it does not do: authenticate the registration, or know which connections are open.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::binding::{Binding, equivalent};
use crate::flow::Flow;

/// A device, as its registration tells it from others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Device {
    /// Whose it is.
    pub aor: Arc<str>,
    /// Its Contact URI.
    pub uri: Arc<str>,
    /// Its instance (RFC 5626 s.4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Arc<str>>,
    /// Which of its flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reg_id: Option<u32>,
}

/// How sure it is that a registration is a device's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sureness {
    /// It is another flow of the same device, or that of the only device that there is.
    Likely,
    /// It takes the place of the one before.
    Certain,
}

/// A device has registered over another flow than before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Whose it is.
    pub aor: Arc<str>,
    /// The flow: a connection, or where its datagrams come from.
    pub flow: Flow,
    /// No device that was known has registered so.
    is_new: bool,
    /// All that are registered now.
    bindings: Arc<[Binding]>,
}

impl Device {
    /// The device of a binding.
    pub fn of(aor: &str, binding: &Binding) -> Self {
        Self {
            aor: aor.into(),
            uri: binding.uri.clone(),
            instance: binding.instance.clone(),
            reg_id: binding.reg_id,
        }
    }

    /// The device that an INVITE came from, over a flow of its own: the one that is registered so, else the one with that Contact.
    pub fn of_caller(aor: &str, contact: &str, from: Flow, bindings: &[Binding]) -> Self {
        let by_uri = |binding: &&Binding| binding.uri_is(contact);
        let here = || bindings.iter().filter(|binding| binding.flow == from);
        let binding = here().find(by_uri).or_else(|| here().next());
        match binding.or_else(|| bindings.iter().find(by_uri)) {
            Some(binding) => Self::of(aor, binding),
            None => Self {
                aor: aor.into(),
                uri: contact.into(),
                instance: None,
                reg_id: None,
            },
        }
    }

    /// Whether a binding is this device's.
    pub fn has(&self, binding: &Binding) -> Option<Sureness> {
        self.is(&Self::of(&self.aor, binding))
    }

    /// Whether another of its address of record is this one.
    pub fn is(&self, other: &Self) -> Option<Sureness> {
        match (&self.instance, &other.instance) {
            (Some(ours), Some(theirs)) if ours != theirs => None,
            (Some(_), Some(_)) if self.reg_id == other.reg_id => Some(Sureness::Certain),
            (Some(_), Some(_)) => Some(Sureness::Likely),
            _ => (self.uri == other.uri || equivalent(&self.uri, &other.uri)).then_some(Sureness::Certain),
        }
    }
}

impl Arrival {
    /// What a REGISTER over a flow says, by the bindings before and after it. `None`: nothing that moves anybody. A device behind a proxy
    /// (RFC 3327) is reached through that one, whatever flow it has.
    pub fn of(aor: &str, flow: Flow, before: &[Binding], after: Arc<[Binding]>) -> Option<Self> {
        if flow.transport.is_reliable() {
            flow.connection?;
        }
        let over_it = |binding: &&Binding| binding.flow == flow && binding.path.is_empty();
        if before.iter().any(|binding| over_it(&binding)) {
            return None;
        }
        let came = Device::of(aor, after.iter().find(over_it)?);
        Some(Self {
            aor: aor.into(),
            flow,
            is_new: !before.iter().any(|binding| came.has(binding).is_some()),
            bindings: after,
        })
    }

    /// The binding that came, where it is that device's.
    pub fn binding_of(&self, device: &Device) -> Option<(&Binding, Sureness)> {
        if *device.aor != *self.aor {
            return None;
        }
        let came = || self.bindings.iter().filter(|binding| binding.flow == self.flow);
        let known = came().filter_map(|binding| Some((binding, device.has(binding)?)));
        known.max_by_key(|(_, sureness)| *sureness).or_else(|| {
            let binding = came().next().filter(|_| self.is_new && self.is_alone_beside(device))?;
            let says_other = device.instance.is_some() && binding.instance.is_some();
            (!says_other).then_some((binding, Sureness::Likely))
        })
    }

    /// Whether nothing of that device is registered but what came.
    pub fn is_all_of(&self, device: &Device) -> bool {
        let mut others = self.bindings.iter().filter(|binding| binding.flow != self.flow);
        !others.any(|binding| device.has(binding).is_some())
    }

    /// Whether nothing else is registered than what came, but for what this device had and has no connection for any more.
    fn is_alone_beside(&self, device: &Device) -> bool {
        let mut others = self.bindings.iter().filter(|binding| binding.flow != self.flow);
        others.all(|binding| {
            let lost = binding.flow.transport.is_reliable() && binding.flow.connection.is_none();
            lost && device.has(binding).is_some()
        })
    }
}

impl Binding {
    pub(crate) fn uri_is(&self, uri: &str) -> bool {
        *self.uri == *uri || equivalent(&self.uri, uri)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Instant;

    use super::*;
    use crate::flow::{ConnectionId, ListenerId, Transport};

    const AOR: &str = "sip:7001@tandem.local";
    const URI: &str = "sip:a@192.0.2.7:49001;transport=tcp";
    const OTHER_URI: &str = "sip:a@192.0.2.7:49002;transport=tcp";

    fn flow(connection: Option<u64>) -> Flow {
        Flow {
            transport: Transport::Tcp,
            listener: ListenerId(0),
            peer: SocketAddr::from(([192, 0, 2, 7], 49_152)),
            connection: connection.map(ConnectionId),
        }
    }

    fn binding(uri: &str, instance: Option<(&str, u32)>, connection: Option<u64>) -> Binding {
        Binding {
            uri: uri.into(),
            flow: flow(connection),
            path: Vec::new(),
            q: 1000,
            expires_at: Instant::now(),
            instance: instance.map(|(instance, _)| instance.into()),
            reg_id: instance.map(|(_, id)| id).filter(|id| *id > 0),
            nat: false,
        }
    }

    fn arrival(before: &[Binding], after: &[Binding]) -> Option<Arrival> {
        Arrival::of(AOR, flow(Some(9)), before, after.into())
    }

    /// How sure it is that what came is the device of `old`.
    fn sureness(old: &Binding, before: &[Binding], after: &[Binding]) -> Option<Sureness> {
        let arrival = arrival(before, after).expect("an arrival");
        arrival.binding_of(&Device::of(AOR, old)).map(|(_, sureness)| sureness)
    }

    #[test]
    fn a_device_is_known_by_its_contact_and_by_its_instance() {
        let (one, two) = (("<urn:uuid:1>", 1), ("<urn:uuid:2>", 1));
        let (certain, likely) = (Some(Sureness::Certain), Some(Sureness::Likely));
        let second_flow = Some((one.0, 2));
        let no_flow = Some((one.0, 0));
        // (the binding of before, the one that came, while both are registered) -> the same device
        for (old, came, expected) in [
            ((URI, None), (URI, None), certain),
            ((URI, None), ("sip:a@192.0.2.7:49001;TRANSPORT=tcp", None), certain),
            ((URI, Some(one)), (OTHER_URI, Some(one)), certain),
            ((URI, no_flow), (OTHER_URI, no_flow), certain),
            ((URI, Some(one)), (OTHER_URI, second_flow), likely),
            ((URI, None), (URI, Some(one)), certain),
            ((URI, Some(one)), (URI, Some(two)), None),
            ((URI, Some(one)), (OTHER_URI, Some(two)), None),
        ] {
            let other = binding("sip:a@192.0.2.99", None, None);
            let (old, came) = (binding(old.0, old.1, None), binding(came.0, came.1, Some(9)));
            let found = sureness(&old, &[old.clone(), other.clone()], &[came.clone(), other]);
            assert_eq!(found, expected, "{old:?} {came:?}");
        }
    }

    #[test]
    fn the_only_device_is_taken_for_the_one_that_was_lost_and_no_other() {
        let (old, came) = (binding(URI, None, None), binding(OTHER_URI, None, Some(9)));
        let likely = Some(Sureness::Likely);
        assert_eq!(
            sureness(&old, &[], std::slice::from_ref(&came)),
            likely,
            "its binding went with it"
        );
        let both = [came.clone(), old.clone()];
        assert_eq!(
            sureness(&old, std::slice::from_ref(&old), &both),
            likely,
            "or came back without it"
        );
        let alive = binding(URI, None, Some(3));
        let beside = [came.clone(), alive.clone()];
        assert_eq!(
            sureness(&alive, std::slice::from_ref(&alive), &beside),
            None,
            "it is still there"
        );
        let second = binding("sip:b@192.0.2.8", None, None);
        let three = [came.clone(), old.clone(), second.clone()];
        assert_eq!(sureness(&old, &[old.clone(), second.clone()], &three), None, "there are two");
        // A device that was known, and moves: it is not the one that was lost.
        let mobile = ("<urn:uuid:3>", 1);
        let moved = binding(OTHER_URI, Some(mobile), Some(9));
        let before = binding("sip:c@192.0.2.8", Some(mobile), Some(4));
        assert_eq!(sureness(&old, &[before], &[moved]), None);
    }

    #[test]
    fn what_moves_nobody() {
        let (old, came) = (binding(URI, None, None), binding(URI, None, Some(9)));
        assert_eq!(
            arrival(std::slice::from_ref(&came), std::slice::from_ref(&came)),
            None,
            "a refresh"
        );
        assert_eq!(arrival(std::slice::from_ref(&came), &[]), None, "it leaves");
        let proxied = Binding {
            path: vec!["<sip:192.0.2.50;lr>".into()],
            ..came.clone()
        };
        assert_eq!(arrival(std::slice::from_ref(&old), &[proxied]), None, "a proxy is between");
        let lost = binding(URI, None, None);
        assert_eq!(Arrival::of(AOR, lost.flow, &[], [lost].into()), None, "no connection");
        let elsewhere = Device {
            aor: "sip:7002@tandem.local".into(),
            ..Device::of(AOR, &old)
        };
        assert_eq!(
            arrival(&[], &[came]).and_then(|arrival| arrival.binding_of(&elsewhere).map(|_| ())),
            None
        );
    }

    #[test]
    fn a_caller_is_known_by_its_connection_and_else_by_its_contact() {
        let bindings = [
            binding(URI, Some(("<urn:uuid:1>", 1)), Some(9)),
            binding(OTHER_URI, Some(("<urn:uuid:2>", 1)), Some(8)),
        ];
        let of = |contact: &str, connection| {
            let device = Device::of_caller(AOR, contact, flow(Some(connection)), &bindings);
            (device.instance.as_deref().map(str::to_owned), device.uri.to_string())
        };
        assert_eq!(of("sip:x@192.0.2.7", 9), (Some("<urn:uuid:1>".into()), URI.into()));
        assert_eq!(of(OTHER_URI, 3), (Some("<urn:uuid:2>".into()), OTHER_URI.into()));
        assert_eq!(of("sip:x@192.0.2.7", 3), (None, "sip:x@192.0.2.7".into()));
    }
}
