//! Where every process of a split server is: addresses, ports, and the options that say so.
//!
//! All of them read one file. What is a process's own (its SIP listeners, its media ports) stands over the file as `--set`, as do the
//! links, which all of them must agree on.
//!
//! Invariant: no two connectors of a plan share an address and port, nor a media port on one address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The SIP ports of connectors on one address are this far apart.
const SIP_PORTS: u16 = 10;
/// The media ports that connectors on one address share out: those of the server's own defaults.
const MEDIA_PORTS: (u16, u16) = (20_000, 39_999);
/// After how long of silence each end of a link polls, and how long it then waits, in seconds.
const ADDP_S: u32 = 2;
/// The most connectors: so many networks of four addresses have one byte.
pub const MOST: usize = 60;

/// One connector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectorPlan {
    /// The name of its `[[link]]`.
    pub name: String,
    /// Where its phones find it.
    pub sip: SocketAddr,
    /// Where the T-Server finds it.
    pub link: SocketAddr,
    media: (u16, u16),
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The connectors, in the order of their numbers.
    pub connectors: Vec<ConnectorPlan>,
    /// Where phones are, so that connectors reach them.
    pub phones: IpAddr,
}

impl Plan {
    /// All on the address of `sip`, each with ports of its own.
    pub fn on_one_address(count: usize, sip: SocketAddr, link_port: u16) -> Result<Self, String> {
        let room = MEDIA_PORTS.1 - MEDIA_PORTS.0 + 1;
        let connectors = numbers(count)?.map(|n| {
            let share = (room / u16::try_from(count).ok()?) & !1;
            let media = MEDIA_PORTS.0 + n * share;
            Some(ConnectorPlan {
                name: name(n),
                sip: SocketAddr::new(sip.ip(), sip.port().checked_add(n * SIP_PORTS)?),
                link: SocketAddr::new(sip.ip(), link_port.checked_add(n)?),
                media: (media, media + share - 1),
            })
        });
        let connectors: Option<Vec<_>> = connectors.collect();
        let connectors = connectors.ok_or("--sip, --link-port: there are not so many ports above")?;
        let phones = sip.ip();
        Ok(Self { connectors, phones })
    }

    /// Each in a network namespace of its own ([`super::namespaces`]), with the same ports.
    pub fn in_namespaces(count: usize, sip_port: u16, link_port: u16) -> Result<Self, String> {
        let connectors = numbers(count)?.map(|n| ConnectorPlan {
            name: name(n),
            sip: SocketAddr::new(sip_address(n).into(), sip_port),
            link: SocketAddr::new(link_addresses(n).1.into(), link_port),
            media: MEDIA_PORTS,
        });
        Ok(Self {
            connectors: connectors.collect(),
            phones: PHONES.into(),
        })
    }

    /// Options of every process: the links.
    fn links(&self) -> String {
        let links = self.connectors.iter().map(|connector| {
            format!(
                "{{name = \"{}\", hostname = \"{}\", port = {}, addp_timeout_s = {ADDP_S}, addp_remote_timeout_s = {ADDP_S}}}",
                connector.name,
                connector.link.ip(),
                connector.link.port()
            )
        });
        format!("link=[{}]", links.collect::<Vec<_>>().join(", "))
    }

    /// The options of the T-Server.
    pub fn of_tserver(&self) -> Vec<String> {
        vec![self.links()]
    }

    /// The options of a connector.
    pub fn of_connector(&self, connector: &ConnectorPlan) -> Vec<String> {
        let sip = connector.sip;
        let listener = |transport: &str| format!("{{transport = \"{transport}\", bind = \"{sip}\"}}");
        let mut sources = vec!["127.0.0.0/8".to_owned()];
        if !self.phones.is_loopback() {
            sources.push(NETWORKS.to_owned());
        }
        vec![
            self.links(),
            format!("sip.listener=[{}, {}]", listener("udp"), listener("tcp")),
            format!("sip.unlimited_sources={}", sources.join(",")),
            format!("media.bind={}", sip.ip()),
            format!("media.port_first={}", connector.media.0),
            format!("media.port_last={}", connector.media.1),
        ]
    }
}

fn numbers(count: usize) -> Result<std::ops::Range<u16>, String> {
    match u16::try_from(count) {
        Ok(most @ 1..) if count <= MOST => Ok(0..most),
        _ => Err(format!("--connectors: 1 to {MOST}")),
    }
}

fn name(number: u16) -> String {
    format!("connector{}", number + 1)
}

/// All networks of namespaces are within this, which is for tests of networks and routed nowhere (RFC 2544 s.C.2.2).
const NETWORKS: &str = "198.18.0.0/15";
/// Where phones are, in the network that they share with all connectors (/24).
pub const PHONES: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Where a connector takes SIP.
pub fn sip_address(connector: u16) -> Ipv4Addr {
    // No more than MOST.
    Ipv4Addr::new(198, 18, 0, (connector + 2).to_be_bytes()[1])
}

/// The two ends of a connector's link (/30): the T-Server's, and its own.
pub fn link_addresses(connector: u16) -> (Ipv4Addr, Ipv4Addr) {
    let network = (connector * 4).to_be_bytes()[1];
    let address = |host: u8| Ipv4Addr::new(198, 19, 0, network + host);
    (address(1), address(2))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn connectors_on_one_address_share_no_port() {
        let plan = Plan::on_one_address(3, "127.0.0.1:5060".parse().unwrap(), 7400).unwrap();
        let sip: Vec<u16> = plan.connectors.iter().map(|connector| connector.sip.port()).collect();
        let link: Vec<u16> = plan.connectors.iter().map(|connector| connector.link.port()).collect();
        assert_eq!((sip, link), (vec![5060, 5070, 5080], vec![7400, 7401, 7402]));
        for pair in plan.connectors.windows(2) {
            assert!(pair[0].media.1 < pair[1].media.0, "{pair:?}");
            assert_eq!(pair[1].media.0 % 2, 0, "RTP has an even port");
        }
        assert!(plan.connectors[2].media.1 <= MEDIA_PORTS.1);
    }

    #[test]
    fn connectors_in_namespaces_share_no_address() {
        let plan = Plan::in_namespaces(MOST, 5060, 7400).unwrap();
        let mut all: Vec<IpAddr> = plan.connectors.iter().flat_map(|one| [one.sip.ip(), one.link.ip()]).collect();
        all.extend((0..MOST as u16).map(|n| IpAddr::from(link_addresses(n).0)));
        all.push(plan.phones);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn the_options_of_all_agree_on_the_links_and_each_has_its_own_listener() {
        let plan = Plan::on_one_address(2, "127.0.0.1:5060".parse().unwrap(), 7400).unwrap();
        let second = plan.of_connector(&plan.connectors[1]);
        assert_eq!(plan.of_tserver()[0], second[0]);
        assert_eq!(
            second[0],
            "link=[{name = \"connector1\", hostname = \"127.0.0.1\", port = 7400, addp_timeout_s = 2, addp_remote_timeout_s = 2}, \
             {name = \"connector2\", hostname = \"127.0.0.1\", port = 7401, addp_timeout_s = 2, addp_remote_timeout_s = 2}]"
        );
        let listener =
            "sip.listener=[{transport = \"udp\", bind = \"127.0.0.1:5070\"}, {transport = \"tcp\", bind = \"127.0.0.1:5070\"}]";
        assert_eq!(second[1], listener);
        assert!(second.contains(&"sip.unlimited_sources=127.0.0.0/8".to_owned()));
    }

    #[test]
    fn too_many_or_none_are_refused() {
        let sip: SocketAddr = "127.0.0.1:65000".parse().unwrap();
        assert!(Plan::on_one_address(0, sip, 7400).is_err());
        assert!(Plan::on_one_address(MOST, sip, 7400).is_err(), "no ports above");
        assert!(Plan::in_namespaces(MOST + 1, 5060, 7400).is_err());
    }
}
