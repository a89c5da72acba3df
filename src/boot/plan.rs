//! From the configuration to what the actors are grown from.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use tandem_actors::connector::{self, algorithms};
use tandem_actors::devices::{Device, Devices, LegPolicy, Trunk};
use tandem_actors::ingress::Ingress;
use tandem_actors::journal::NoJournal;
use tandem_actors::live::Settings;
use tandem_actors::tree::Plan;
use tandem_actors::tserver::ClientSettings;
use tandem_config::{Config, DtmfMode, MediaMode, Scope};
use tandem_model::DnId;
use tandem_model::call::CallSettings;
use tandem_model::conference::ConferenceSettings;
use tandem_model::conference_pool::{PoolSettings, service_names};
use tandem_model::event_log::Limits;
use tandem_model::link::Headers;
use tandem_sip::digest::throttle::ThrottleConfig;
use tandem_sip::identity::PassThrough;
use tandem_sip::message::Uri;
use tandem_sip::registrar::RegistrarConfig;
use tandem_sip::session;
use tandem_sip::source_rate::SourceRateConfig;
use tandem_sip::ua::{Credentials, Listener, ReliableProvisionals, UaConfig};

use crate::api::auth::{KeyDigest, digest_of};

/// The most DNs one CTI client registers.
const MAX_DNS_PER_CLIENT: usize = 10_000;
/// Time C (RFC 3261 s.16.6): longer than any ring timeout that the configuration allows to matter.
const INVITE_TIMEOUT: Duration = Duration::from_secs(600);

/// Makes the plan. `listeners` are the SIP sockets as they were bound.
pub fn plan(config: &Config, listeners: Vec<Listener>, cores: usize) -> Result<Plan, Vec<String>> {
    let addresses: Vec<SocketAddr> = listeners.iter().map(|listener| listener.advertised).collect();
    let connectors = u16::try_from(config.connectors.resolved_count(cores)).unwrap_or(u16::MAX);
    Ok(Plan {
        settings: settings(config, addresses)?,
        connectors,
        ua: ua(config, listeners),
        registrar: RegistrarConfig {
            min_expires: config.registrar.min_expires_s,
            default_expires: config.registrar.default_expires_s,
            max_expires: config.registrar.max_expires_s,
            max_contacts_per_aor: config.registrar.max_contacts,
            ..RegistrarConfig::default()
        },
        realm: config.sip.realm().into(),
        algorithms: algorithms(&config.sip.digest_algorithms),
        nonce_lifetime: Duration::from_secs(config.sip.nonce_lifetime_s),
        throttle: throttle(config.sip.auth_failures_per_minute),
        require_auth: config.sip.require_auth,
        capabilities: super::media::capabilities(config),
        pass_through: Arc::new(PassThrough::new(&config.sip.pass_through_headers).map_err(|error| vec![error.to_string()])?),
        connector_mailbox: config.connectors.mailbox_capacity,
        client: Arc::new(client_settings(config)),
        max_clients: config.cti.max_clients,
        event_log: Limits {
            events: config.cti.retention_events,
            age: Duration::from_secs(config.cti.retention_s),
            grace: Duration::from_secs(config.cti.resume_grace_s),
            clients: config.cti.max_clients,
            all: config.cti.retain_all_events,
        },
        epoch: epoch().into(),
        hide_sensitive_data: config.log.hide_sensitive_data,
        unix_millis: u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX),
        seed: rand::random(),
        unix_micros: || unix_time().as_micros() as u64,
        journal: Arc::new(NoJournal),
        anchor: (Instant::now(), SystemTime::now()),
    })
}

/// What may change while the server runs. `addresses` are those of its listeners.
pub fn settings(config: &Config, addresses: Vec<SocketAddr>) -> Result<Settings, Vec<String>> {
    let services = config.conference.uri_pattern.as_deref();
    Ok(Settings {
        numbering: Arc::new(super::numbering::numbering(config)?),
        devices: Arc::new(devices(config, addresses)?),
        call: CallSettings {
            ring_timeout_ms: config.sip.ring_timeout_ms,
            ..CallSettings::default()
        },
        conference: ConferenceSettings {
            same_media: session::same_media,
            direction: connector::direction,
            both_ways: |sdp| session::both_ways(sdp).into(),
            descend: config.media.descend,
            digits_by_info: config.media.dtmf == DtmfMode::Info,
            max_parties: config.conference.max_parties,
            ..ConferenceSettings::default()
        },
        pool: PoolSettings {
            pool_size: config.conference.pool_size,
            caching_enabled: config.conference.caching_enabled,
            most: config.sip.max_sessions,
            reuse_limit: config.conference.reuse_avcall,
            services: services
                .map(|pattern| service_names(pattern, config.conference.count))
                .unwrap_or_default(),
        },
        max_calls: config.limits.max_calls,
        api_keys: cti_keys(config),
    })
}

/// The SIP layer.
fn ua(config: &Config, listeners: Vec<Listener>) -> UaConfig {
    UaConfig {
        shard: 0,
        product: config.sip.product.as_str().into(),
        listeners,
        t1: Duration::from_millis(config.sip.t1_ms),
        t2: Duration::from_millis(config.sip.t2_ms),
        t4: Duration::from_millis(config.sip.t4_ms),
        invite_timeout: INVITE_TIMEOUT,
        max_sessions: config.sip.max_sessions,
        max_transactions: config.sip.max_transactions,
        reliable_provisionals: match config.sip.reliable_provisionals {
            tandem_config::ReliableProvisionals::Off => ReliableProvisionals::Off,
            tandem_config::ReliableProvisionals::Supported => ReliableProvisionals::Supported,
            tandem_config::ReliableProvisionals::Required => ReliableProvisionals::Required,
        },
        session_expires: Duration::from_secs(config.sip.session_expires_s.into()),
        min_se: Duration::from_secs(config.sip.min_se_s.into()),
    }
}

/// The ingress with the limits of the configuration.
pub fn limited(ingress: Ingress, config: &Config) -> Ingress {
    ingress.limit_to(source_limit(config));
    ingress
}

/// How much one source may send, and whom that is not for; `None`: as much as it likes.
pub fn source_limit(config: &Config) -> Option<(SourceRateConfig, Vec<IpNet>)> {
    let unlimited = config.sip.unlimited_sources.clone();
    match config.sip.max_requests_per_second_per_source {
        0 => None,
        rate => Some((SourceRateConfig::per_second(rate), unlimited)),
    }
}

/// The digests of the keys that open the CTI protocol.
fn cti_keys(config: &Config) -> Vec<KeyDigest> {
    let keys = config.cti.api_key.iter().filter(|key| key.scopes.contains(&Scope::Cti));
    keys.filter_map(digest_of).collect()
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn epoch() -> String {
    format!("{:x}-{:08x}", unix_time().as_millis(), rand::random::<u32>())
}

fn throttle(failures_per_minute: u32) -> ThrottleConfig {
    let per_minute = failures_per_minute.max(1);
    ThrottleConfig {
        per_source_and_user: per_minute,
        per_source: per_minute,
        per_user: per_minute,
        drain: Duration::from_secs(60) / per_minute,
        ..ThrottleConfig::default()
    }
}

fn client_settings(config: &Config) -> ClientSettings {
    ClientSettings {
        max_dns: MAX_DNS_PER_CLIENT,
        server_name: config.server.name.as_str().into(),
        server_version: env!("CARGO_PKG_VERSION").into(),
    }
}

fn devices(config: &Config, addresses: Vec<SocketAddr>) -> Result<Devices, Vec<String>> {
    let mut devices = Devices::new(config.sip.domains.clone(), addresses);
    let pass_through = config.sip.pass_through_headers.iter().map(|name| name.as_str().into());
    devices.set_common(config.media.mode == MediaMode::Anchored, pass_through.collect());
    let anchored = |mode: Option<MediaMode>| mode.map(|mode| mode == MediaMode::Anchored);
    for dn in config.dns() {
        if dn.media.is_some() || dn.digest_algorithms.is_some() {
            let policy = LegPolicy {
                anchored: anchored(dn.media),
                algorithms: dn.digest_algorithms.as_deref().map(algorithms),
                headers: Headers::new(),
            };
            devices.set_policy(DnId::new(&dn.dn), policy);
        }
        let password = dn.password.as_ref().map(|password| password.reveal().into());
        devices.add_device(
            DnId::new(&dn.dn),
            Device {
                password,
                trusted_sources: dn.trusted_sources,
            },
        );
    }
    for conference in &config.conference_dn {
        devices.add_room(DnId::new(&conference.dn), conference.number.as_deref());
    }
    for trunk in &config.trunk {
        let headers = trunk.custom_headers().map(|(name, value)| (name.into(), value.into()));
        let policy = LegPolicy {
            anchored: anchored(trunk.media),
            algorithms: None,
            headers: headers.collect(),
        };
        devices.set_policy(DnId::new(&trunk.dn), policy);
        devices.add_trunk(trunk_of(trunk).map_err(|error| vec![error])?);
    }
    Ok(devices)
}

fn trunk_of(trunk: &tandem_config::Trunk) -> Result<Trunk, String> {
    let uri = Uri::parse(&trunk.address).map_err(|error| format!("trunk {}: address: {error}", trunk.dn))?;
    let host_port = match uri.port {
        Some(port) => format!("{}:{port}", uri.host),
        None => uri.host.to_owned(),
    };
    let transport = uri
        .transport()
        .map(|transport| format!(";transport={transport}"))
        .unwrap_or_default();
    let credentials = trunk
        .username
        .as_ref()
        .zip(trunk.password.as_ref())
        .map(|(username, password)| Credentials {
            username: username.as_str().into(),
            password: password.reveal().into(),
            realm: trunk.realm.as_deref().map(Into::into),
        });
    Ok(Trunk {
        dn: DnId::new(&trunk.dn),
        host_port: host_port.into(),
        uri_parameters: transport.into(),
        credentials,
        trusted_sources: trunk.trusted_sources.clone(),
        trusted_identity: trunk.trusted_identity,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_conferences_of_a_connector_are_those_of_its_pool() {
        let text = "[conference]\npool_size = 60\nreuse_avcall = 3\nuri_pattern = \"sip:conf{DD}@a.lab\"\ncount = 6\n\
                    [[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\nconference_pool_size = 20\nuri_pattern = \"sip:c{D}@b.lab\"\ncount = 2\n\
                    caching_enabled = false\n";
        let loaded = Config::from_toml(text, Path::new("tandem.toml"), &[], []).expect("no problem");
        let planned = |pool: &str| {
            plan(&loaded.config.of_pool(pool), Vec::new(), 1)
                .map(|plan| plan.settings.pool)
                .expect("a plan")
        };
        let (default, first) = (planned("default"), planned("Pool1"));
        assert_eq!(
            (default.pool_size, default.caching_enabled, default.reuse_limit),
            (60, true, 3)
        );
        assert_eq!(default.services.len(), 6);
        assert_eq!((first.pool_size, first.caching_enabled, first.reuse_limit), (20, false, 3));
        assert_eq!(first.services, ["sip:c1@b.lab".into(), "sip:c2@b.lab".into()]);
    }
}
