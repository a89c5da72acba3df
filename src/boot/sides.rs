//! One side alone: the T-Server without SIP, or one connector without CTI.
//!
//! Both read the same configuration. The T-Server connects to every `[[link]]`; a connector is one of them, by its name, and listens there.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tandem_actors::gateway::Gateway;
use tandem_actors::journal::JournalStore;
use tandem_actors::link::transport::TlsFiles;
use tandem_actors::link::{Acceptor, Dialler};
use tandem_actors::transport::{Resolver, ResolverConfig};
use tandem_actors::tree::{ConnectorSide, Placement, Plan, RemoteConnector, Tree};
use tandem_config::{AddpTrace as ConfiguredTrace, Config, Link, LinkProtocol};
use tandem_model::ConnectorId;
use tandem_sip::ua::Listener;
use tandem_wire::link::{Addp, AddpTrace, Identity, QueueLimits, Role, SessionConfig};
use tandem_wire::mltp::HideHeaders;

use super::{DRAIN_POLL, FAREWELL, StartError, media, network::Sockets, plan, resolve_with};
use crate::api;
use crate::store;
use crate::telemetry::MetricsPages;

/// The module whose messages are logged where the log filter says so.
const LINK_LOG: &str = "tandem_actors::link";

/// A running T-Server side.
pub struct TServer {
    /// Where CTI and HTTP are.
    pub cti_address: SocketAddr,
    /// The way into the actors.
    pub gateway: Gateway,
    tree: Tree,
    http: ServerHandle,
    journal: Arc<dyn JournalStore>,
}

impl TServer {
    /// Starts it. To be called within an actix system; returns when it is ready. Links come up later.
    pub async fn start(config: &Config, metrics: MetricsPages) -> Result<Self, StartError> {
        if config.link.is_empty() {
            return Err(problem("a T-Server needs at least one [[link]] to a connector"));
        }
        let config = &with_journal_of(config, "tserver");
        let journal = store::from_config(&config.journal).map_err(problem)?;
        let plan = Plan {
            journal: journal.clone(),
            ..plan::plan(config, Vec::new(), 1).map_err(StartError)?
        };
        let instance = plan.epoch.clone();
        let remotes: Result<Vec<_>, _> = (0..)
            .zip(&config.link)
            .map(|(index, link)| {
                Ok(RemoteConnector {
                    session: session(config, link, index, &instance, Role::Client),
                    dialler: dialler(config, link)?,
                })
            })
            .collect();
        let tree = Tree::grow_tserver_side(plan, remotes?, Placement::Threads).await;
        let page = {
            let metrics = metrics.clone();
            Arc::new(move || metrics.render())
        };
        let bound = api::bind(api::Settings::new(config), Arc::new(tree.gateway.clone()), page)
            .map_err(|error| problem(format!("cti.bind: {} cannot be bound: {error}", config.cti.bind)))?;
        let http = bound.server.handle();
        actix_rt::spawn(bound.server);
        actix_rt::spawn(metrics.upkeep());
        tracing::info!(address = %bound.address, links = config.link.len(), "CTI and HTTP");
        Ok(Self {
            cti_address: bound.address,
            gateway: tree.gateway.clone(),
            tree,
            http,
            journal,
        })
    }

    /// Takes nothing new and stops. Calls go on at their connectors, and are taken up again by the next T-Server.
    pub async fn stop(self) {
        self.tree.drain();
        self.tree.close_clients().await;
        self.http.stop(true).await;
        self.tree.stop();
        drop(self.journal);
        tracing::info!("stopped");
    }
}

/// A running connector.
pub struct Connector {
    /// Where its T-Server finds it.
    pub link_address: SocketAddr,
    /// Where SIP is.
    pub listeners: Vec<Listener>,
    sockets: Sockets,
    tree: Tree,
    media: media::MediaPlane,
    journal: Arc<dyn JournalStore>,
}

impl Connector {
    /// Starts the connector of that name. To be called within an actix system; returns when it is ready.
    pub async fn start(config: &Config, name: &str, metrics: MetricsPages) -> Result<Self, StartError> {
        let (index, link) = named(config, name)?;
        let config = &with_journal_of(&config.of_pool(&link.pool_name), &format!("connector-{index}"));
        let listener = bind(link)?;
        let link_address = listener.local_addr().map_err(problem)?;
        let sockets = Sockets::bind(config).map_err(problem)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let journal = store::from_config(&config.journal).map_err(problem)?;
        let plan = Plan {
            journal: journal.clone(),
            ..plan::plan(config, sockets.listeners.clone(), cores).map_err(StartError)?
        };
        let side = ConnectorSide {
            id: ConnectorId(index),
            session: session(config, link, index, &plan.epoch, Role::Server),
            listener: listener.into(),
            acceptor: acceptor(config, link)?,
        };
        let resolve = resolve_with(Resolver::new(ResolverConfig::default()));
        let media = media::MediaPlane::start(config, cores).map_err(|error| problem(format!("media: {error}")))?;
        let network = Arc::new(sockets.outbound());
        let started = media.as_actors_use_it();
        let tree = Tree::grow_connector_side(plan, side, network, resolve, started, Placement::Threads)
            .await
            .map_err(|error| problem(format!("link {name}: {error}")))?;
        actix_rt::spawn(media.clone().account());
        // Nobody asks for them, but they must not pile up.
        actix_rt::spawn(metrics.upkeep());
        sockets.open(plan::limited(tree.ingress.clone(), config));
        for listener in &sockets.listeners {
            tracing::info!(transport = %listener.transport, address = %listener.advertised, "SIP");
        }
        tracing::info!(connector = index, name, address = %link_address, "link");
        Ok(Self {
            link_address,
            listeners: sockets.listeners.clone(),
            sockets,
            tree,
            media,
            journal,
        })
    }

    /// Ends every call with a BYE to each leg, and stops.
    pub async fn stop(self) {
        self.tree.end_calls();
        if tokio::time::timeout(FAREWELL, self.no_conferences()).await.is_err() {
            tracing::warn!(
                conferences = self.tree.directory.conference_count(),
                "some calls did not end in time"
            );
        }
        drop(self.sockets);
        self.tree.stop();
        self.media.stop();
        drop(self.journal);
        tracing::info!("stopped");
    }

    async fn no_conferences(&self) {
        let mut look = tokio::time::interval(DRAIN_POLL);
        while self.tree.directory.conference_count() > 0 {
            look.tick().await;
        }
    }
}

fn problem(text: impl ToString) -> StartError {
    StartError(vec![text.to_string()])
}

/// Each process has a journal of its own, so that all of them can have one file.
fn with_journal_of(config: &Config, process: &str) -> Config {
    let mut config = config.clone();
    config.journal.dir = config.journal.dir.map(|dir| dir.join(process));
    config
}

/// The link of that name, and its number.
fn named<'a>(config: &'a Config, name: &str) -> Result<(u16, &'a Link), StartError> {
    let mut links = (0..).zip(&config.link);
    links.find(|(_, link)| link.name == name).ok_or_else(|| {
        let names: Vec<_> = config.link.iter().map(|link| link.name.as_str()).collect();
        problem(format!("no [[link]] is named \"{name}\"; there are: {}", names.join(", ")))
    })
}

fn bind(link: &Link) -> Result<TcpListener, StartError> {
    let refused = |error: std::io::Error| problem(format!("link {}: cannot listen: {error}", link.name));
    let addresses: Vec<SocketAddr> = match link.bind {
        Some(bind) => vec![bind],
        None => (link.hostname.as_str(), link.port)
            .to_socket_addrs()
            .map_err(refused)?
            .collect(),
    };
    TcpListener::bind(addresses.as_slice()).map_err(refused)
}

fn session(config: &Config, link: &Link, connector: u16, instance: &Arc<str>, role: Role) -> SessionConfig {
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
        log: config.log.filter.contains(LINK_LOG).then_some(hidden),
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

fn dialler(config: &Config, link: &Link) -> Result<Dialler, StartError> {
    if link.protocol == LinkProtocol::Tcp {
        return Ok(Dialler::tcp(&link.hostname, link.port));
    }
    let mut files = tls_files(config);
    if !link.shows_certificate() {
        files.identity = None;
    }
    Dialler::tls(&link.hostname, link.port, &files).map_err(|error| problem(format!("link {}: {error}", link.name)))
}

fn acceptor(config: &Config, link: &Link) -> Result<Acceptor, StartError> {
    if link.protocol == LinkProtocol::Tcp {
        return Ok(Acceptor::tcp());
    }
    Acceptor::tls(&tls_files(config)).map_err(|error| problem(format!("link {}: {error}", link.name)))
}

fn tls_files(config: &Config) -> TlsFiles {
    let tls = &config.link_tls;
    TlsFiles {
        identity: tls.identity().map(|(chain, key)| (chain.to_owned(), key.to_owned())),
        authorities: tls.authorities_file.clone(),
    }
}
