//! The rules of RFC 3263 s.4 and RFC 2782: which questions a URI raises, and in which order the answers are tried.
//!
//! Invariant: pure. Records and a source of chance go in, services and hops come out, no more than [`MAX_HOPS`] of them, none twice.

use std::net::{IpAddr, SocketAddr};

use tandem_sip::flow::{Hop, Transport};

/// More addresses than this are not tried for one request.
pub(super) const MAX_HOPS: usize = 16;

/// The port where neither URI nor SRV names one (RFC 3261 s.19.1.2).
const DEFAULT_PORT: u16 = 5060;

/// What a URI says about where it leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    /// Host without brackets, or the `maddr` parameter in its place.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// The `transport` parameter.
    pub(super) transport: Option<Transport>,
}

/// The first question to ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// None: the address stands in the URI.
    Literal(Hop),
    /// The addresses of the host: the URI names a port.
    Addresses { transport: Transport, port: u16 },
    /// SRV records: the URI names a transport.
    Services(Vec<Service>),
    /// NAPTR records of the host; where there are none, these SRV records.
    Naptr { otherwise: Vec<Service> },
}

/// A name to ask SRV records of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Service {
    pub(super) transport: Transport,
    pub(super) name: String,
}

/// A NAPTR record, as far as it matters here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Naptr {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) flags: String,
    pub(super) service: String,
    pub(super) replacement: String,
}

/// An SRV record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: String,
}

/// What is to be asked for a target, over the transports that we have, the preferred first.
pub(super) fn plan(target: &Target, ours: &[Transport]) -> Plan {
    let (fallback, _) = without_records(target, ours);
    if let Ok(ip) = target.host.parse::<IpAddr>() {
        let addr = SocketAddr::new(ip, target.port.unwrap_or(DEFAULT_PORT));
        return Plan::Literal(Hop {
            transport: fallback,
            addr,
        });
    }
    if let Some(port) = target.port {
        return Plan::Addresses {
            transport: fallback,
            port,
        };
    }
    let service = |transport: Transport| Service {
        transport,
        name: format!("_sip._{}.{}", transport.uri_token(), target.host),
    };
    match target.transport {
        Some(transport) => Plan::Services(vec![service(transport)]),
        None => Plan::Naptr {
            otherwise: ours.iter().copied().map(service).collect(),
        },
    }
}

/// What is to be tried where no record decides: UDP where the URI leaves it open and we have it (RFC 3263 s.4.1), at the port of the URI.
pub(super) fn without_records(target: &Target, ours: &[Transport]) -> (Transport, u16) {
    let open = if ours.contains(&Transport::Udp) {
        Transport::Udp
    } else {
        ours.first().copied().unwrap_or(Transport::Udp)
    };
    (target.transport.unwrap_or(open), target.port.unwrap_or(DEFAULT_PORT))
}

/// The services that NAPTR records name and we can use, in the order of the records (RFC 3403 s.4.1).
pub(super) fn services_of(records: &[Naptr], ours: &[Transport]) -> Vec<Service> {
    let mut usable: Vec<_> = records
        .iter()
        .filter(|record| record.flags.eq_ignore_ascii_case("s"))
        .filter_map(|record| {
            let transport = match record.service.to_ascii_uppercase().as_str() {
                "SIP+D2U" => Transport::Udp,
                "SIP+D2T" => Transport::Tcp,
                _ => return None,
            };
            ours.contains(&transport).then_some((record, transport))
        })
        .collect();
    usable.sort_by_key(|(record, _)| (record.order, record.preference));
    usable
        .into_iter()
        .map(|(record, transport)| Service {
            transport,
            name: record.replacement.clone(),
        })
        .collect()
}

/// The order in which servers are tried: by priority, and by chance in proportion to weight within one (RFC 2782). `pick(n)` gives a
/// number from 0 to `n`, both included. `None`: the single record whose target is the root says that there is no such service.
pub(super) fn servers_of(mut records: Vec<Srv>, mut pick: impl FnMut(u32) -> u32) -> Option<Vec<Srv>> {
    if let [only] = records.as_slice()
        && matches!(only.target.as_str(), "" | ".")
    {
        return None;
    }
    // Those of weight 0 first, so that they have a small chance and not none.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let same = records.iter().take_while(|record| record.priority == priority);
        let total = same.clone().map(|record| u32::from(record.weight)).sum();
        let chosen = pick(total).min(total);
        let mut sum = 0;
        let reaches = |record: &Srv| {
            sum += u32::from(record.weight);
            sum >= chosen
        };
        let at = same.map(reaches).position(|reached| reached).unwrap_or(0);
        ordered.push(records.remove(at));
    }
    Some(ordered)
}

/// Collects hops in order, without repetition, up to [`MAX_HOPS`].
#[derive(Debug, Default)]
pub(super) struct Hops(Vec<Hop>);

impl Hops {
    pub(super) fn add(&mut self, transport: Transport, ips: impl IntoIterator<Item = IpAddr>, port: u16) {
        for ip in ips {
            let hop = Hop {
                transport,
                addr: SocketAddr::new(ip, port),
            };
            if !self.is_full() && !self.0.contains(&hop) {
                self.0.push(hop);
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_HOPS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_vec(self) -> Vec<Hop> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const BOTH: &[Transport] = &[Transport::Udp, Transport::Tcp];

    fn target(host: &str, port: Option<u16>, transport: Option<Transport>) -> Target {
        Target {
            host: host.to_owned(),
            port,
            transport,
        }
    }

    fn service(transport: Transport, name: &str) -> Service {
        Service {
            transport,
            name: name.to_owned(),
        }
    }

    #[test]
    fn what_is_asked_depends_on_address_port_and_transport() {
        use Transport::{Tcp, Udp};
        let literal = |transport, addr: &str| {
            Plan::Literal(Hop {
                transport,
                addr: addr.parse().expect("an address"),
            })
        };
        let cases = [
            (target("192.0.2.1", None, None), literal(Udp, "192.0.2.1:5060")),
            (target("192.0.2.1", Some(5070), Some(Tcp)), literal(Tcp, "192.0.2.1:5070")),
            (target("2001:db8::1", None, None), literal(Udp, "[2001:db8::1]:5060")),
            (
                target("a.test", Some(5060), None),
                Plan::Addresses {
                    transport: Udp,
                    port: 5060,
                },
            ),
            (
                target("a.test", Some(5070), Some(Tcp)),
                Plan::Addresses {
                    transport: Tcp,
                    port: 5070,
                },
            ),
            (
                target("a.test", None, Some(Tcp)),
                Plan::Services(vec![service(Tcp, "_sip._tcp.a.test")]),
            ),
            (
                target("a.test", None, None),
                Plan::Naptr {
                    otherwise: vec![service(Udp, "_sip._udp.a.test"), service(Tcp, "_sip._tcp.a.test")],
                },
            ),
        ];
        for (target, expected) in cases {
            assert_eq!(plan(&target, BOTH), expected, "{target:?}");
        }
        assert_eq!(
            plan(&target("192.0.2.1", None, None), &[Tcp]),
            literal(Tcp, "192.0.2.1:5060"),
            "we have no UDP"
        );
    }

    #[test]
    fn naptr_records_are_taken_by_order_and_preference_and_only_where_usable() {
        let naptr = |order, preference, flags: &str, service: &str, replacement: &str| Naptr {
            order,
            preference,
            flags: flags.to_owned(),
            service: service.to_owned(),
            replacement: replacement.to_owned(),
        };
        // The example of RFC 3263 s.4.1, and what cannot be used.
        let records = [
            naptr(50, 50, "s", "SIPS+D2T", "_sips._tcp.example.com."),
            naptr(100, 50, "s", "SIP+D2U", "_sip._udp.example.com."),
            naptr(90, 60, "S", "sip+d2u", "_sip._udp.b.example.com."),
            naptr(90, 50, "s", "SIP+D2T", "_sip._tcp.example.com."),
            naptr(1, 1, "u", "E2U+sip", "ignored."),
            naptr(1, 1, "s", "SIP+D2W", "ignored."),
        ];
        let expected = [
            service(Transport::Tcp, "_sip._tcp.example.com."),
            service(Transport::Udp, "_sip._udp.b.example.com."),
            service(Transport::Udp, "_sip._udp.example.com."),
        ];
        assert_eq!(services_of(&records, BOTH), expected);
        assert_eq!(services_of(&records, &[Transport::Udp]), expected[1..]);
        assert_eq!(services_of(&[], BOTH), []);
    }

    fn srv(priority: u16, weight: u16, target: &str) -> Srv {
        Srv {
            priority,
            weight,
            port: 5060,
            target: target.to_owned(),
        }
    }

    fn names(ordered: Option<Vec<Srv>>) -> Vec<String> {
        ordered.unwrap_or_default().into_iter().map(|s| s.target).collect()
    }

    #[test]
    fn servers_go_by_priority_then_by_weighted_chance() {
        let records = vec![
            srv(20, 0, "backup"),
            srv(10, 60, "big"),
            srv(10, 20, "small"),
            srv(10, 0, "idle"),
        ];
        assert_eq!(names(servers_of(records.clone(), |_| 0)), ["idle", "small", "big", "backup"]);
        assert_eq!(names(servers_of(records.clone(), |n| n)), ["big", "small", "idle", "backup"]);
        assert_eq!(names(servers_of(records, |n| n.min(20))), ["small", "big", "idle", "backup"]);
        assert_eq!(servers_of(vec![srv(0, 0, ".")], |_| 0), None, "no such service");
        assert_eq!(servers_of(vec![], |_| 0), Some(vec![]));
    }

    #[test]
    fn chance_is_in_proportion_to_weight() {
        let mut first: HashMap<String, u32> = HashMap::new();
        for chosen in 0..=100 {
            let ordered = servers_of(vec![srv(1, 75, "a"), srv(1, 25, "b")], |_| chosen);
            *first.entry(names(ordered).swap_remove(0)).or_default() += 1;
        }
        assert!(first["a"].abs_diff(75) <= 1 && first["b"].abs_diff(26) <= 1, "{first:?}");
    }

    #[test]
    fn hops_are_few_and_different() {
        let mut hops = Hops::default();
        let ip = |i: u8| IpAddr::from([192, 0, 2, i]);
        hops.add(Transport::Udp, [ip(1), ip(2), ip(1)], 5060);
        hops.add(Transport::Udp, [ip(2)], 5060);
        hops.add(Transport::Tcp, [ip(2)], 5060);
        assert!(!hops.is_full());
        hops.add(Transport::Udp, (3..200).map(ip), 5060);
        let hops = hops.into_vec();
        assert_eq!(hops.len(), MAX_HOPS);
        assert_eq!(hops.iter().filter(|h| h.addr.ip() == ip(2)).count(), 2);
    }

    proptest! {
        #[test]
        fn ordering_loses_no_server_and_never_inverts_priorities(
            records in proptest::collection::vec((0_u16..4, 0_u16..5), 0..12),
            seed in any::<u64>(),
        ) {
            let mut state = seed | 1;
            let pick = |n: u32| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                u32::try_from(state >> 33).unwrap_or(0) % (n + 1)
            };
            let records: Vec<_> = records.iter().enumerate().map(|(i, (p, w))| srv(*p, *w, &format!("h{i}"))).collect();
            let ordered = servers_of(records.clone(), pick).expect("not the root");
            prop_assert!(ordered.is_sorted_by_key(|s| s.priority));
            let sorted = |mut v: Vec<Srv>| { v.sort_by(|a, b| a.target.cmp(&b.target)); v };
            prop_assert_eq!(sorted(ordered), sorted(records));
        }
    }
}
