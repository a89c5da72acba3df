//! Who may speak SIP to us: the devices and trunks as the connector side knows them. Immutable: a change of the configuration makes new ones,
//! shared as an `Arc` ([`crate::live`]).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tandem_model::DnId;
use tandem_model::link::Headers;
use tandem_sip::digest::Algorithm;
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
    /// Whether what it says of who calls is believed, and it is told who calls that wants to be private.
    pub trusted_identity: bool,
}

/// What is special about the legs of one DN, a device's or a trunk's.
#[derive(Clone, Default, Debug)]
pub struct LegPolicy {
    /// Whether its audio goes through the media plane always; `None` where that is as with all.
    pub anchored: Option<bool>,
    /// The digest algorithms of its challenges; `None` where they are the usual ones.
    pub algorithms: Option<Vec<Algorithm>>,
    /// Headers that stand in every INVITE sent to it.
    pub headers: Headers,
}

/// Devices, trunks and our own names.
#[derive(Debug, Default)]
pub struct Devices {
    domains: Vec<String>,
    addresses: Vec<SocketAddr>,
    devices: HashMap<DnId, Device>,
    trunks: Vec<Trunk>,
    policies: HashMap<DnId, LegPolicy>,
    anchored: bool,
    pass_through: Vec<Arc<str>>,
    rooms: HashMap<Arc<str>, DnId>,
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

    /// The addresses of our listeners.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Adds an Extension's device.
    pub fn add_device(&mut self, dn: DnId, device: Device) {
        self.devices.insert(dn, device);
    }

    /// Adds a trunk.
    pub fn add_trunk(&mut self, trunk: Trunk) {
        self.trunks.push(trunk);
    }

    /// Whether audio goes through the media plane where a DN says nothing else, and the names of the headers that are copied from an
    /// incoming leg to the outgoing one.
    pub fn set_common(&mut self, anchored: bool, pass_through: Vec<Arc<str>>) {
        self.anchored = anchored;
        self.pass_through = pass_through;
    }

    /// Says what is special about a DN.
    pub fn set_policy(&mut self, dn: DnId, policy: LegPolicy) {
        self.policies.insert(dn, policy);
    }

    /// Whether the audio of this DN's legs goes through the media plane always.
    pub fn is_anchored(&self, dn: &DnId) -> bool {
        self.policies
            .get(dn)
            .and_then(|policy| policy.anchored)
            .unwrap_or(self.anchored)
    }

    /// The digest algorithms of this DN's challenges, where they are not the usual ones.
    pub fn algorithms(&self, dn: &DnId) -> Option<&[Algorithm]> {
        self.policies.get(dn)?.algorithms.as_deref()
    }

    /// The headers that stand in every INVITE sent to this DN.
    pub fn headers(&self, dn: &DnId) -> &[(Arc<str>, Arc<str>)] {
        self.policies.get(dn).map_or(&[], |policy| &policy.headers)
    }

    /// The names of the headers that are copied from an incoming leg to the outgoing one.
    pub fn pass_through(&self) -> &[Arc<str>] {
        &self.pass_through
    }

    /// Adds a conference that is dialled into, by the user part of its DN and by its number.
    pub fn add_room(&mut self, dn: DnId, number: Option<&str>) {
        for name in [Some(dn.user()), number].into_iter().flatten() {
            self.rooms.insert(name.into(), dn.clone());
        }
    }

    /// The conference that a request URI leads to.
    pub fn room(&self, uri: &Uri<'_>) -> Option<&DnId> {
        let user = uri.user.filter(|_| !self.rooms.is_empty())?;
        self.rooms.get(&*user.to_ascii_lowercase()).filter(|_| self.is_ours(uri))
    }

    /// The settings of an Extension's device.
    pub fn device(&self, dn: &DnId) -> Option<&Device> {
        self.devices.get(dn)
    }

    /// A trunk by its DN.
    pub fn trunk(&self, dn: &DnId) -> Option<&Trunk> {
        self.trunks.iter().find(|trunk| trunk.dn == *dn)
    }

    /// The credentials with that user name, for that realm where it is for one.
    pub fn credentials_of(&self, username: &str, realm: Option<&str>) -> Option<&Credentials> {
        let mut known = self.trunks.iter().filter_map(|trunk| trunk.credentials.as_ref());
        known.find(|credentials| *credentials.username == *username && credentials.realm.as_deref() == realm)
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

    /// The DN of a user at our first domain.
    pub fn dn_of_user(&self, user: &str) -> Option<DnId> {
        let domain = self.domains.first()?;
        Some(DnId::new(&format!("sip:{user}@{domain}")))
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
