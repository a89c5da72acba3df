//! Where calls lead on the SIP side: what was dialled, which contacts a party has, how each of them is invited. No state.

use std::sync::Arc;
use std::time::Instant;

use tandem_model::DnId;
use tandem_model::connector::DnContact;
use tandem_model::leg::{Contact, ContactVia};
use tandem_model::link::{CallerId, PartyTarget};
use tandem_sip::flow::Flow;
use tandem_sip::message::{HeaderName, Message, Uri};
use tandem_sip::registrar::{Binding, Device};
use tandem_sip::ua::{Invite, SessionId, UserAgent};

use crate::devices::Devices;
use crate::location::Locations;

/// A device that a session is with, and where it is registered.
pub enum Registered {
    /// With this connector.
    Here(Device),
    /// With another one.
    Elsewhere(Device),
}

impl Registered {
    /// The session is with it.
    pub fn tell(self, ua: &mut UserAgent, session: SessionId) {
        match self {
            Self::Here(device) => ua.set_device(session, device),
            Self::Elsewhere(device) => ua.set_device_elsewhere(session, device),
        }
    }
}

/// The number as dialled: the user part where the request is for us, else the whole URI. `None` where the URI is none of SIP.
pub fn dialled(devices: &Devices, request: &Message) -> Option<Arc<str>> {
    let text = request.uri()?;
    let uri = Uri::parse(text).ok()?;
    dialled_uri(devices, &uri, text)
}

/// The same of a URI that stands elsewhere (Refer-To, the Contact of a 3xx).
pub fn dialled_uri(devices: &Devices, uri: &Uri<'_>, text: &str) -> Option<Arc<str>> {
    if devices.is_ours(uri) {
        Some(Arc::from(uri.user.unwrap_or_default()))
    } else {
        Some(Arc::from(text))
    }
}

/// The contacts to call for a party: those of a DN's devices, here and `elsewhere`, or the one of a trunk. None: it cannot be reached.
pub fn contacts(devices: &Devices, locations: &Locations, target: &PartyTarget, elsewhere: &[DnContact]) -> Vec<Contact> {
    match target {
        PartyTarget::Dn(dn) => {
            let bindings = locations.bindings(dn);
            let here = bindings.iter().map(|binding| Contact {
                uri: binding.uri.clone(),
                via: ContactVia::Binding(dn.clone()),
            });
            // A device that has just come is called where it is.
            let left = |contact: &&DnContact| bindings.iter().all(|binding| binding.uri != contact.uri);
            let there = elsewhere.iter().filter(left).map(|contact| Contact {
                uri: contact.uri.clone(),
                via: ContactVia::Elsewhere {
                    dn: dn.clone(),
                    route: contact.route.clone(),
                    instance: (contact.instance.clone(), contact.reg_id),
                },
            });
            here.chain(there).collect()
        }
        PartyTarget::Trunk { trunk, number } => {
            let contact = devices.trunk(trunk).map(|trunk| Contact {
                uri: format!("sip:{}@{}{}", escape_user(number), trunk.host_port, trunk.uri_parameters).into(),
                via: ContactVia::Trunk(trunk.dn.clone()),
            });
            contact.into_iter().collect()
        }
    }
}

/// An INVITE to a contact, blank but for the way there; `None` where the contact has gone since the conference looked it up.
pub fn invitation(devices: &Devices, locations: &Locations, contact: &Contact) -> Option<Invite> {
    let uri = contact.uri.clone();
    let blank = Invite {
        to: uri.clone(),
        uri,
        flow: None,
        proxy: None,
        route: Vec::new(),
        from: (Arc::from(""), None),
        offer: None,
        headers: Vec::new(),
        credentials: None,
    };
    match &contact.via {
        ContactVia::Binding(dn) => {
            let bindings = locations.bindings(dn);
            let binding = bindings.iter().find(|binding| binding.uri == contact.uri)?;
            Some(Invite {
                flow: Some(binding.flow),
                route: binding.path.clone(),
                to: Arc::from(dn.as_str()),
                ..blank
            })
        }
        ContactVia::Elsewhere { dn, route, .. } => Some(Invite {
            route: route.clone(),
            to: Arc::from(dn.as_str()),
            ..blank
        }),
        ContactVia::Trunk(dn) => {
            let trunk = devices.trunk(dn)?;
            Some(Invite {
                credentials: trunk.credentials.clone(),
                ..blank
            })
        }
    }
}

/// The device of a contact: one that is registered here with nobody between, or one that is registered with another connector.
pub fn device(locations: &Locations, contact: &Contact) -> Option<Registered> {
    match &contact.via {
        ContactVia::Binding(dn) => {
            let bindings = locations.bindings(dn);
            let binding = bindings.iter().find(|binding| binding.uri == contact.uri)?;
            let here = || Registered::Here(Device::of(dn.as_str(), binding));
            binding.path.is_empty().then(here)
        }
        ContactVia::Elsewhere {
            dn,
            instance: (instance, reg_id),
            ..
        } => Some(Registered::Elsewhere(Device {
            aor: dn.as_str().into(),
            uri: contact.uri.clone(),
            instance: instance.clone(),
            reg_id: *reg_id,
        })),
        ContactVia::Trunk(_) => None,
    }
}

/// The device of ours that an INVITE came from, where nobody is between but maybe another connector, which has passed it on.
pub fn caller(locations: &Locations, from: &CallerId, invite: &Message, flow: Flow, passed_on: bool) -> Option<Registered> {
    let CallerId::Extension(dn) = from else { return None };
    let between = invite.headers(HeaderName::Via).count().saturating_sub(1);
    let contact = invite.contact().filter(|_| between == usize::from(passed_on))?;
    let device = |bindings: &[Binding]| Device::of_caller(dn.as_str(), contact.uri, flow, bindings);
    Some(match passed_on {
        false => Registered::Here(device(&locations.bindings(dn))),
        true => Registered::Elsewhere(device(&[])),
    })
}

/// Whether a device is registered, so that it may come back; and where, if it is there already.
pub fn whereabouts(locations: &Locations, device: &Device, now: Instant) -> Option<Option<Flow>> {
    let bindings = locations.bindings(&DnId::new(&device.aor));
    let is_own = |binding: &&Binding| binding.expires_at > now && device.has(binding).is_some();
    let own = || bindings.iter().filter(is_own);
    own().next()?;
    let there = own().find(|binding| binding.flow.connection.is_some() && binding.path.is_empty());
    Some(there.map(|binding| binding.flow))
}

/// A number as the user part of a URI: what may not stand there as it is (`#` above all) is escaped (RFC 3261 s.25.1).
fn escape_user(number: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
    number.bytes().fold(String::with_capacity(number.len()), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
            out.extend(['%', digit(byte >> 4), digit(byte & 0x0f)]);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use tandem_sip::flow::{ListenerId, Transport};

    use super::*;

    #[test]
    fn a_device_is_called_once_wherever_it_is_known() {
        let (devices, locations) = (Devices::default(), Locations::default());
        let dn = DnId::new("sip:1001@tandem.local");
        let binding = Binding {
            uri: "sip:1001@192.0.2.7".into(),
            flow: Flow {
                transport: Transport::Udp,
                listener: ListenerId(0),
                peer: SocketAddr::from(([192, 0, 2, 7], 5060)),
                connection: None,
            },
            path: Vec::new(),
            q: 1000,
            expires_at: Instant::now() + Duration::from_secs(60),
            instance: None,
            reg_id: None,
            nat: false,
        };
        locations.publish(dn.clone(), vec![binding.clone()]);
        let there = |uri: &str| DnContact {
            uri: uri.into(),
            route: vec!["<sip:token@192.0.2.1;lr>".into()],
            direct: false,
            q: 1000,
            expires_at: 0,
            instance: None,
            reg_id: None,
        };
        let elsewhere = [there("sip:1001@192.0.2.7"), there("sip:1001@192.0.2.8")];
        let found = contacts(&devices, &locations, &PartyTarget::Dn(dn.clone()), &elsewhere);
        let [here, far] = &found[..] else { panic!("{found:?}") };
        let invite = invitation(&devices, &locations, here).unwrap();
        assert_eq!((invite.flow, invite.route.len()), (Some(binding.flow), 0));
        let invite = invitation(&devices, &locations, far).unwrap();
        assert_eq!((invite.flow, &invite.route), (None, &elsewhere[1].route));
        assert_eq!((&*invite.uri, &*invite.to), ("sip:1001@192.0.2.8", dn.as_str()));
        let known = [here, far].map(|contact| match device(&locations, contact) {
            Some(Registered::Here(device)) => (true, device),
            Some(Registered::Elsewhere(device)) => (false, device),
            None => panic!("a device"),
        });
        let [(true, at_hand), (false, away)] = known else {
            panic!("{known:?}")
        };
        assert_eq!((&*at_hand.uri, &*away.uri), ("sip:1001@192.0.2.7", "sip:1001@192.0.2.8"));
        assert_eq!((&*at_hand.aor, &*away.aor), (dn.as_str(), dn.as_str()));
    }

    #[test]
    fn what_may_not_stand_in_a_user_part_is_escaped() {
        assert_eq!(escape_user("+49*123"), "+49*123");
        assert_eq!(escape_user("*21#"), "*21%23");
        assert_eq!(escape_user("a b@\u{e9}"), "a%20b%40%C3%A9");
    }
}
