//! `[[link]]` of the configuration, as each end of it needs it.
//!
//! T-Server and connectors read the same configuration. The T-Server connects to every `[[link]]`; a connector is one of them, by its name,
//! and listens there.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tandem_actors::link::transport::TlsFiles;
use tandem_actors::link::{Acceptor, Dialler};
use tandem_config::{AddpTrace as ConfiguredTrace, Config, Link, LinkProtocol};
use tandem_wire::link::{Addp, AddpTrace, Identity, QueueLimits, Role, SessionConfig};
use tandem_wire::mltp::HideHeaders;

use super::StartError;

/// Each process has a journal of its own, so that all of them can have one file.
pub(super) fn with_journal_of(config: &Config, process: &str) -> Config {
    let mut config = config.clone();
    config.journal.dir = config.journal.dir.map(|dir| dir.join(process));
    config
}

/// The link of that name, and its number.
pub(super) fn named<'a>(config: &'a Config, name: &str) -> Result<(u16, &'a Link), StartError> {
    let mut links = (0..).zip(&config.link);
    links.find(|(_, link)| link.name == name).ok_or_else(|| {
        let names: Vec<_> = config.link.iter().map(|link| link.name.as_str()).collect();
        StartError::one(format!("no [[link]] is named \"{name}\"; there are: {}", names.join(", ")))
    })
}

/// The socket where the connector waits for its T-Server.
pub(super) fn bind(link: &Link) -> Result<TcpListener, StartError> {
    let refused = |error: std::io::Error| StartError::one(format!("link {}: cannot listen: {error}", link.name));
    let addresses: Vec<SocketAddr> = match link.bind {
        Some(bind) => vec![bind],
        None => (link.hostname.as_str(), link.port)
            .to_socket_addrs()
            .map_err(refused)?
            .collect(),
    };
    TcpListener::bind(addresses.as_slice()).map_err(refused)
}

/// How an end keeps the link.
pub(super) fn session(config: &Config, link: &Link, connector: u16, instance: &Arc<str>, role: Role) -> SessionConfig {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let hidden = if config.log.hide_sensitive_data {
        HideHeaders::default()
    } else {
        HideHeaders::none()
    };
    let hidden = hidden.with(config.log.hide_header.iter().map(String::as_str));
    SessionConfig {
        role,
        identity: Identity {
            instance: instance.clone(),
            connector,
            name: link.name.as_str().into(),
            pool: link.pool_name.as_str().into(),
        },
        addp: match role {
            Role::Client => Addp {
                timeout: seconds(link.addp_timeout_s),
                remote_timeout: seconds(link.addp_remote_timeout_s),
                trace: trace(link.addp_trace),
            },
            // What the T-Server asks for is in its greeting.
            Role::Server => Addp::default(),
        },
        limits: QueueLimits::default(),
        // The log filter decides, whenever it is read.
        log: Some(hidden),
    }
}

fn trace(trace: ConfiguredTrace) -> AddpTrace {
    match trace {
        ConfiguredTrace::Off => AddpTrace::Off,
        ConfiguredTrace::Local => AddpTrace::Local,
        ConfiguredTrace::Remote => AddpTrace::Remote,
        ConfiguredTrace::Both => AddpTrace::Both,
    }
}

/// How the T-Server connects.
pub(super) fn dialler(config: &Config, link: &Link) -> Result<Dialler, StartError> {
    if link.protocol == LinkProtocol::Tcp {
        return Ok(Dialler::tcp(&link.hostname, link.port));
    }
    let mut files = tls_files(config);
    if !link.shows_certificate() {
        files.identity = None;
    }
    Dialler::tls(&link.hostname, link.port, &files).map_err(|error| StartError::one(format!("link {}: {error}", link.name)))
}

/// How the connector takes connections.
pub(super) fn acceptor(config: &Config, link: &Link) -> Result<Acceptor, StartError> {
    if link.protocol == LinkProtocol::Tcp {
        return Ok(Acceptor::tcp());
    }
    Acceptor::tls(&tls_files(config)).map_err(|error| StartError::one(format!("link {}: {error}", link.name)))
}

fn tls_files(config: &Config) -> TlsFiles {
    let tls = &config.link_tls;
    TlsFiles {
        identity: tls.identity().map(|(chain, key)| (chain.to_owned(), key.to_owned())),
        authorities: tls.authorities_file.clone(),
    }
}
