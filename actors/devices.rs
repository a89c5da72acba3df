//! Who may speak SIP to us: the devices and trunks as the connector side knows them. Immutable while the server runs.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tandem_model::DnId;
use tandem_sip::message::Uri;
use tandem_sip::ua::Credentials;

/// One Extension DN's device settings.
#[derive(Clone, Debug)]
pub struct Device {
    /// The password of its digest; `None` where only its trusted sources may use it.
    pub password: Option<Arc<str>>,
    /// Addresses that need no digest.
    pub trusted_sources: Vec<IpNet>,
}

/// One Trunk DN's SIP settings.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// The Trunk DN.
    pub dn: DnId,
    /// Host and port, as they stand in a request URI (`pbx.example.com:5080`).
    pub host_port: Arc<str>,
    /// URI parameters that go along (`;transport=tcp`), or nothing.
    pub uri_parameters: Arc<str>,
    /// What to answer its challenges with.
    pub credentials: Option<Credentials>,
    /// Addresses its calls come from.
    pub trusted_sources: Vec<IpNet>,
}

/// Devices, trunks and our own names.
#[derive(Debug, Default)]
pub struct Devices {
    domains: Vec<String>,
    addresses: Vec<SocketAddr>,
    devices: HashMap<DnId, Device>,
    trunks: Vec<Trunk>,
}

impl Devices {
    /// `domains` are our host names, the first being the one DNs are named by; `addresses` those of our listeners.
    pub fn new(domains: Vec<String>, addresses: Vec<SocketAddr>) -> Self {
        Self {
            domains: domains.iter().map(|domain| domain.to_ascii_lowercase()).collect(),
            addresses,
            ..Self::default()
        }
    }

    /// Adds an Extension's device.
    pub fn add_device(&mut self, dn: DnId, device: Device) {
        self.devices.insert(dn, device);
    }

    /// Adds a trunk.
    pub fn add_trunk(&mut self, trunk: Trunk) {
        self.trunks.push(trunk);
    }

    /// The settings of an Extension's device.
    pub fn device(&self, dn: &DnId) -> Option<&Device> {
        self.devices.get(dn)
    }

    /// A trunk by its DN.
    pub fn trunk(&self, dn: &DnId) -> Option<&Trunk> {
        self.trunks.iter().find(|trunk| trunk.dn == *dn)
    }

    /// The first trunk that trusts this source.
    pub fn trunk_from(&self, source: IpAddr) -> Option<&Trunk> {
        self.trunks.iter().find(|trunk| contains(&trunk.trusted_sources, source))
    }

    /// Whether a URI's host is one of our names or addresses.
    pub fn is_ours(&self, uri: &Uri<'_>) -> bool {
        let host = uri.host.trim_start_matches('[').trim_end_matches(']');
        if self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(host)) {
            return true;
        }
        host.parse::<IpAddr>().is_ok_and(|ip| {
            let port = uri.port.unwrap_or(5060);
            self.addresses
                .iter()
                .any(|address| address.port() == port && (address.ip() == ip || address.ip().is_unspecified()))
        })
    }

    /// The DN that a URI names: the user at our first domain where the host is ours, else the URI itself, without parameters.
    pub fn dn_of(&self, uri: &Uri<'_>) -> DnId {
        match (self.is_ours(uri), uri.user, self.domains.first()) {
            (true, Some(user), Some(domain)) => DnId::new(&format!("sip:{user}@{domain}")),
            _ => DnId::new(&uri.aor()),
        }
    }
}

/// Whether any of the networks holds the address.
pub fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    // A v4 peer on a dual-stack socket shows as a mapped v6 address.
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
