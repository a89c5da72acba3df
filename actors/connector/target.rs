//! Where calls lead on the SIP side: what was dialled, which contacts a party has, how each of them is invited. No state.

use std::sync::Arc;

use tandem_model::leg::{Contact, ContactVia};
use tandem_model::link::PartyTarget;
use tandem_sip::message::{Message, Uri};
use tandem_sip::ua::Invite;

use crate::devices::Devices;
use crate::location::Locations;

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

/// The contacts to call for a party: those of a DN's devices, or the one of a trunk. None: it cannot be reached.
pub fn contacts(devices: &Devices, locations: &Locations, target: &PartyTarget) -> Vec<Contact> {
    match target {
        PartyTarget::Dn(dn) => {
            let bindings = locations.bindings(dn);
            let contacts = bindings.iter().map(|binding| Contact {
                uri: binding.uri.clone(),
                via: ContactVia::Binding(dn.clone()),
            });
            contacts.collect()
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
        ContactVia::Trunk(dn) => {
            let trunk = devices.trunk(dn)?;
            Some(Invite {
                credentials: trunk.credentials.clone(),
                ..blank
            })
        }
    }
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
    use super::*;

    #[test]
    fn what_may_not_stand_in_a_user_part_is_escaped() {
        assert_eq!(escape_user("+49*123"), "+49*123");
        assert_eq!(escape_user("*21#"), "*21%23");
        assert_eq!(escape_user("a b@\u{e9}"), "a%20b%40%C3%A9");
    }
}
