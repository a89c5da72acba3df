//! From a SIP URI to the addresses to try (RFC 3263): NAPTR, SRV, A and AAAA.
//!
//! The rules are in `order`, pure; this is the shell that asks. Addresses in the URI, `localhost` and names of the hosts file are answered
//! without a question to the network. The resolver caches by the records' TTL, so there is no cache here.
//!
//! Invariant: [`Resolver::resolve`] ends within its timeout, with at least one hop of a transport and an address family that we have, or
//! with an error that says what was missing. Not here: trying the hops, and `sips:`.

mod order;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig as DnsConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::name_server::TokioConnectionProvider;
use hickory_resolver::proto::ProtoErrorKind;
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::proto::xfer::Protocol;
use hickory_resolver::{Hosts, Name, TokioResolver};
use rand::Rng;
use tokio::time::timeout;

use tandem_sip::flow::{Hop, Transport};
use tandem_sip::message::{Scheme, Uri};

use self::order::{Hops, Naptr, Plan, Service, Srv, Target};

/// NAPTR, SRV or address records looked at in one answer.
const MAX_RECORDS: usize = 16;

/// How names are resolved.
#[derive(Clone, Debug)]
pub struct ResolverConfig {
    /// The whole of one resolution may take this long.
    pub timeout: Duration,
    /// The transports that we can send over, the preferred first.
    pub transports: Vec<Transport>,
    /// Whether we can send to IPv4 addresses.
    pub ipv4: bool,
    /// Whether we can send to IPv6 addresses.
    pub ipv6: bool,
    /// The servers to ask, in place of the system's.
    pub name_servers: Vec<std::net::SocketAddr>,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            transports: vec![Transport::Udp, Transport::Tcp],
            ipv4: true,
            ipv6: true,
            name_servers: Vec::new(),
        }
    }
}

/// Why a URI leads nowhere.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResolveError {
    /// It cannot be read.
    #[error("not a SIP URI")]
    Uri,
    /// `sips:`, `tel:`, a transport that we do not have.
    #[error("scheme or transport not supported")]
    Unsupported,
    /// No record of that name leads to an address that we could send to.
    #[error("the name leads to no address")]
    NoAddress,
    /// The SRV record says that there is no such service.
    #[error("the service is not offered there")]
    NotOffered,
    /// The name servers did not answer, or not in time.
    #[error("the name servers do not answer")]
    Timeout,
}

/// Resolves SIP URIs. Cheap to clone. To be used within a tokio runtime.
#[derive(Clone, Debug)]
pub struct Resolver {
    config: ResolverConfig,
    dns: TokioResolver,
    hosts: std::sync::Arc<Hosts>,
}

impl Resolver {
    /// A resolver with the system's configuration (or the servers of `config`). Where the system has none, only addresses and names of
    /// the hosts file are resolved.
    pub fn new(config: ResolverConfig) -> Self {
        let system = if config.name_servers.is_empty() {
            TokioResolver::builder_tokio().ok()
        } else {
            None
        };
        let mut builder = system.unwrap_or_else(|| {
            let mut dns = DnsConfig::new();
            for server in &config.name_servers {
                dns.add_name_server(NameServerConfig::new(*server, Protocol::Udp));
                dns.add_name_server(NameServerConfig::new(*server, Protocol::Tcp));
            }
            TokioResolver::builder_with_config(dns, TokioConnectionProvider::default())
        });
        let options = builder.options_mut();
        // The hosts file is ours to read: it comes before NAPTR and SRV, of which the resolver knows nothing.
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = (config.timeout / 3).max(Duration::from_millis(100));
        options.cache_size = 1_024;
        let hosts = Hosts::from_system().unwrap_or_default();
        Self {
            config,
            dns: builder.build(),
            hosts: hosts.into(),
        }
    }

    /// The addresses to try for a URI, in order.
    pub async fn resolve(&self, uri: &str) -> Result<Vec<Hop>, ResolveError> {
        let target = read_target(uri)?;
        if target
            .transport
            .is_some_and(|transport| !self.config.transports.contains(&transport))
        {
            return Err(ResolveError::Unsupported);
        }
        let hops = timeout(self.config.timeout, self.look_up(&target))
            .await
            .map_err(|_| ResolveError::Timeout)??;
        if hops.is_empty() {
            Err(ResolveError::NoAddress)
        } else {
            Ok(hops)
        }
    }

    async fn look_up(&self, target: &Target) -> Result<Vec<Hop>, ResolveError> {
        let mut hops = Hops::default();
        let (transport, port) = order::without_records(target, &self.config.transports);
        let plan = order::plan(target, &self.config.transports);
        if let Plan::Literal(hop) = plan {
            hops.add(hop.transport, self.usable([hop.addr.ip()]), hop.addr.port());
            return Ok(hops.into_vec());
        }
        let local = self.local_addresses(&target.host);
        if !local.is_empty() {
            hops.add(transport, self.usable(local), port);
            return Ok(hops.into_vec());
        }
        let services = match plan {
            Plan::Literal(_) | Plan::Addresses { .. } => Vec::new(),
            Plan::Services(services) => services,
            Plan::Naptr { otherwise } => {
                // Some servers refuse the question for want of knowing NAPTR; SRV is the next best.
                let records = self.naptr(&target.host).await.unwrap_or_default();
                let named = order::services_of(&records, &self.config.transports);
                if named.is_empty() { otherwise } else { named }
            }
        };
        if !self.try_services(&services, &mut hops).await? {
            hops.add(transport, self.addresses(&target.host).await?, port);
        }
        Ok(hops.into_vec())
    }

    /// Asks for the SRV records of services in turn; false where none of them has any.
    async fn try_services(&self, services: &[Service], hops: &mut Hops) -> Result<bool, ResolveError> {
        let (mut found, mut offered) = (false, true);
        for service in services {
            let records = self.srv(&service.name).await?;
            if records.is_empty() {
                continue;
            }
            found = true;
            let Some(servers) = order::servers_of(records, |n| rand::rng().random_range(0..=n)) else {
                offered = false;
                continue;
            };
            for server in servers {
                if hops.is_full() {
                    return Ok(true);
                }
                // One server whose address is not to be had is no reason to give the others up.
                let ips = self.addresses(&server.target).await.unwrap_or_default();
                hops.add(service.transport, ips, server.port);
            }
        }
        if !offered && hops.is_empty() {
            Err(ResolveError::NotOffered)
        } else {
            Ok(found)
        }
    }

    /// `localhost` (RFC 6761 s.6.3) and the hosts file.
    fn local_addresses(&self, host: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_utf8(host) else { return Vec::new() };
        let find = |record_type| self.hosts.lookup_static_host(&Query::query(name.clone(), record_type));
        let listed: Vec<_> = [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(find)
            .flat_map(|lookup| lookup.iter().filter_map(ip_of).collect::<Vec<_>>())
            .collect();
        if listed.is_empty() && name.is_localhost() {
            return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        listed
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let local = self.local_addresses(host);
        if !local.is_empty() {
            return Ok(self.usable(local));
        }
        let v4 = async {
            if self.config.ipv4 {
                self.records(host, RecordType::A, ip_of).await
            } else {
                Ok(Vec::new())
            }
        };
        let v6 = async {
            if self.config.ipv6 {
                self.records(host, RecordType::AAAA, ip_of).await
            } else {
                Ok(Vec::new())
            }
        };
        match tokio::join!(v4, v6) {
            (Ok(mut v4), Ok(v6)) => {
                v4.extend(v6);
                Ok(v4)
            }
            (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => Ok(some),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    async fn naptr(&self, host: &str) -> Result<Vec<Naptr>, ResolveError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = |data: &RData| {
            let naptr = data.as_naptr()?;
            Some(Naptr {
                order: naptr.order(),
                preference: naptr.preference(),
                flags: text(naptr.flags()),
                service: text(naptr.services()),
                replacement: naptr.replacement().to_utf8(),
            })
        };
        self.records(host, RecordType::NAPTR, read).await
    }

    async fn srv(&self, name: &str) -> Result<Vec<Srv>, ResolveError> {
        let read = |data: &RData| {
            let srv = data.as_srv()?;
            Some(Srv {
                priority: srv.priority(),
                weight: srv.weight(),
                port: srv.port(),
                target: srv.target().to_utf8(),
            })
        };
        self.records(name, RecordType::SRV, read).await
    }

    /// The records of one kind; none is no error.
    async fn records<T>(&self, name: &str, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> Result<Vec<T>, ResolveError> {
        let mut name = Name::from_utf8(name).map_err(|_| ResolveError::NoAddress)?;
        // The search list of this machine has no say in where a call goes.
        name.set_fqdn(true);
        let answer: Result<Lookup, _> = self.dns.lookup(name, kind).await;
        match answer {
            Ok(lookup) => Ok(lookup.iter().filter_map(read).take(MAX_RECORDS).collect()),
            Err(error) if is_empty_answer(&error) => Ok(Vec::new()),
            Err(error) => {
                tracing::debug!(%error, %kind, "a name server did not answer");
                Err(ResolveError::Timeout)
            }
        }
    }

    fn usable(&self, ips: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
        ips.into_iter()
            .filter(|ip| if ip.is_ipv4() { self.config.ipv4 } else { self.config.ipv6 })
            .collect()
    }
}

/// The name, or a record of that kind, does not exist. The library says the same of a server that failed or refused.
fn is_empty_answer(error: &hickory_resolver::ResolveError) -> bool {
    match error.proto().map(|error| error.kind()) {
        Some(ProtoErrorKind::NoRecordsFound { response_code, .. }) => {
            matches!(response_code, ResponseCode::NoError | ResponseCode::NXDomain)
        }
        _ => false,
    }
}

fn ip_of(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(v4) => Some(IpAddr::V4(v4.0)),
        RData::AAAA(v6) => Some(IpAddr::V6(v6.0)),
        _ => None,
    }
}

fn read_target(uri: &str) -> Result<Target, ResolveError> {
    let uri = Uri::parse(uri).map_err(|_| ResolveError::Uri)?;
    if uri.scheme != Scheme::Sip {
        return Err(ResolveError::Unsupported);
    }
    let transport = match uri.transport() {
        None => None,
        Some(token) => {
            let known = [Transport::Udp, Transport::Tcp]
                .into_iter()
                .find(|t| t.uri_token().eq_ignore_ascii_case(token));
            Some(known.ok_or(ResolveError::Unsupported)?)
        }
    };
    let host = uri.maddr().unwrap_or(uri.host);
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    Ok(Target {
        host: host.to_ascii_lowercase(),
        port: uri.port,
        transport,
    })
}
