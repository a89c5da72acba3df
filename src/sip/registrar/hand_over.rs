//! Bindings that go from one registrar to another of the same process, connections and all.
//!
//! Invariant: what was taken is what is given; where both have a binding of one device, the one that ends later stays.

use std::time::Instant;

use super::Registrar;
use super::binding::Stored;

/// The bindings of one address of record, on their way.
#[derive(Clone, Debug)]
pub struct Bindings(Vec<Stored>);

impl Registrar {
    /// Takes the bindings of an address of record away; `None` where it has none.
    pub fn take(&mut self, aor: &str) -> Option<Bindings> {
        let bindings = self.aors.get(aor).filter(|bindings| !bindings.is_empty())?.clone();
        self.replace(aor, Vec::new());
        Some(Bindings(bindings))
    }

    /// Gives bindings to an address of record, beside those it has. As many as the limits allow; what is over is left out.
    pub fn give(&mut self, now: Instant, aor: &str, bindings: Bindings) {
        if self.aors.len() >= self.config.max_aors && !self.aors.contains_key(aor) {
            return;
        }
        let mut all = self.alive(aor, now);
        for mut given in bindings.0.into_iter().filter(|given| given.binding.expires_at > now) {
            given.serial = self.next_serial;
            self.next_serial += 1;
            match all.iter().position(|stored| is_same_device(stored, &given)) {
                Some(place) => {
                    if let Some(stored) = all
                        .get_mut(place)
                        .filter(|stored| stored.binding.expires_at < given.binding.expires_at)
                    {
                        *stored = given;
                    }
                }
                None if all.len() < self.config.max_contacts_per_aor => all.push(given),
                None => {}
            }
        }
        self.replace(aor, all);
    }
}

/// The same flow of the same device (RFC 5626 s.6), else the same URI.
fn is_same_device(one: &Stored, other: &Stored) -> bool {
    let flow = |stored: &Stored| stored.binding.instance.clone().zip(stored.binding.reg_id);
    match (flow(one), flow(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.binding.uri == other.binding.uri,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::flow::{ConnectionId, Flow, ListenerId, Transport};
    use crate::registrar::{Register, RegisterContact, RegisterContacts, RegistrarConfig};

    const AOR: &str = "sip:7001@tandem.local";

    fn register(registrar: &mut Registrar, now: Instant, cseq: u32, uri: &str, expires: u32, connection: Option<u64>) {
        let contact = RegisterContact {
            uri: uri.into(),
            expires: Some(expires),
            q: 1000,
            instance: None,
            reg_id: None,
        };
        let register = Register {
            call_id: "c1".into(),
            cseq,
            contacts: RegisterContacts::List(vec![contact]),
            expires: None,
            path: Vec::new(),
            flow: Flow {
                transport: Transport::Tcp,
                listener: ListenerId(0),
                peer: SocketAddr::from(([192, 0, 2, 7], 5060)),
                connection: connection.map(ConnectionId),
            },
        };
        assert_eq!(registrar.handle(now, AOR, register).status, 200);
    }

    #[test]
    fn what_is_taken_is_given_with_its_connection() {
        let now = Instant::now();
        let (mut from, mut to) = (
            Registrar::new(RegistrarConfig::default()),
            Registrar::new(RegistrarConfig::default()),
        );
        register(&mut from, now, 1, "sip:a@192.0.2.7", 600, Some(4));
        let before = from.bindings(AOR, now);
        let bindings = from.take(AOR).expect("bindings");
        assert!(from.is_empty() && from.take(AOR).is_none() && from.next_timeout().is_none());
        assert!(from.flow_closed(ConnectionId(4)).is_empty());
        to.give(now, AOR, bindings);
        assert_eq!(to.bindings(AOR, now), before);
        assert!(to.is_consistent());
        assert_eq!(to.flow_closed(ConnectionId(4)), [AOR.into()]);
    }

    #[test]
    fn of_one_device_the_later_binding_stays_and_what_is_over_goes() {
        let now = Instant::now();
        for (here, there, kept) in [(600, 100, 600), (100, 600, 600)] {
            let (mut from, mut to) = (
                Registrar::new(RegistrarConfig::default()),
                Registrar::new(RegistrarConfig::default()),
            );
            register(&mut to, now, 1, "sip:a@192.0.2.7", here, None);
            register(&mut from, now, 2, "sip:a@192.0.2.7", there, None);
            register(&mut from, now, 3, "sip:b@192.0.2.8", 60, None);
            let later = now + Duration::from_secs(61);
            to.give(later, AOR, from.take(AOR).expect("bindings"));
            let ends: Vec<_> = to.bindings(AOR, later).iter().map(|b| b.expires_at - now).collect();
            assert_eq!(ends, [Duration::from_secs(kept)]);
            assert!(to.is_consistent());
        }
    }
}
