//! One connector alone: SIP and media, for a T-Server in another process.
//!
//! Order of start: the sockets of the link and of SIP are bound, the actors are grown, HTTP is bound where it is wanted, and only then SIP is
//! let in. Order of stop: what lives is ended with a BYE, its answers and what the T-Server has yet to acknowledge are waited for, then the
//! sockets close. Draining comes before that; see [`super::drain`].

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use tandem_actors::gateway::Gateway;
use tandem_actors::journal::JournalStore;
use tandem_actors::transport::{Resolver, ResolverConfig};
use tandem_actors::tree::{ConnectorSide, Placement, Plan, Tree};
use tandem_config::Config;
use tandem_model::ConnectorId;
use tandem_sip::ua::Listener;
use tandem_wire::link::Role;

use super::administration::Administration;
use super::link::{acceptor, bind, named, session, with_journal_of};
use super::media::MediaPlane;
use super::network::Sockets;
use super::reload::{Place, Reload, Runs, Sources};
use super::{DRAIN_POLL, FAREWELL, Side, StartError, plan, resolve_with};
use crate::api;
use crate::store;
use crate::telemetry::MetricsPages;

/// Which connector a process is, and what of it does not stand in the configuration.
#[derive(Clone, Debug)]
pub struct Which {
    /// The name of its `[[link]]`.
    pub name: String,
    /// Where it serves HTTP; as its link says where absent.
    pub http: Option<SocketAddr>,
}

/// A running connector.
pub struct Connector {
    /// Where its T-Server finds it.
    pub link_address: SocketAddr,
    /// Where SIP is.
    pub listeners: Vec<Listener>,
    /// Where HTTP is, where it is served.
    pub http_address: Option<SocketAddr>,
    /// What signals and operators do to it.
    pub administration: Arc<Administration>,
    sockets: Sockets,
    tree: Tree,
    media: MediaPlane,
    http: Option<ServerHandle>,
    journal: Arc<dyn JournalStore>,
}

impl Connector {
    /// Starts it. `sources` is where the configuration came from. To be called within an actix system; returns when it is ready.
    pub async fn start(config: &Config, which: &Which, sources: Sources, metrics: MetricsPages) -> Result<Self, StartError> {
        let as_read = config;
        let (index, link) = named(config, &which.name)?;
        let config = &with_journal_of(&config.of_pool(&link.pool_name), &format!("connector-{index}"));
        let listener = bind(link)?;
        let link_address = listener.local_addr().map_err(StartError::one)?;
        let sockets = Sockets::bind(config).map_err(StartError::one)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let journal = store::from_config(&config.journal).map_err(StartError::one)?;
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
        let media = MediaPlane::start(config, cores).map_err(|error| StartError::one(format!("media: {error}")))?;
        let network = Arc::new(sockets.outbound());
        let started = media.as_actors_use_it();
        let tree = Tree::grow_connector_side(plan, side, network, resolve, started, Placement::Threads)
            .await
            .map_err(|error| StartError::one(format!("link {}: {error}", link.name)))?;
        actix_rt::spawn(media.clone().account());
        let ingress = plan::limited(tree.ingress.clone(), config);
        let mut settings = api::Settings::new(config);
        let reload = Reload::new(
            Place {
                side: Side::Connector,
                pool: Some(link.pool_name.clone()),
            },
            sources,
            as_read.clone(),
            Runs {
                gateway: tree.gateway.clone(),
                ingress: ingress.clone(),
                keys: settings.keys.clone(),
                media: Some(media.clone()),
            },
        );
        let administration = Arc::new(Administration::new(tree.gateway.clone(), reload));
        settings.admin = Some(administration.clone());
        settings.links = api::LinkName::all(as_read);
        let http = match which.http.or(link.http_bind) {
            Some(bind) => Some(serve_http(settings, bind, &tree.gateway, &metrics)?),
            None => None,
        };
        actix_rt::spawn(metrics.upkeep());
        sockets.open(ingress);
        for listener in &sockets.listeners {
            tracing::info!(transport = %listener.transport, address = %listener.advertised, "SIP");
        }
        let name = link.name.as_str();
        match &http {
            Some((address, _)) => tracing::info!(connector = index, name, link = %link_address, http = %address, "connector"),
            None => {
                tracing::info!(connector = index, name, link = %link_address, "connector; HTTP is off (http_bind of its [[link]])")
            }
        }
        Ok(Self {
            link_address,
            listeners: sockets.listeners.clone(),
            http_address: http.as_ref().map(|(address, _)| *address),
            administration,
            sockets,
            tree,
            media,
            http: http.map(|(_, handle)| handle),
            journal,
        })
    }

    /// Ends every call that is left with a BYE to each leg, and stops.
    pub async fn stop(self) {
        let left = self.tree.directory.conference_count();
        if left > 0 {
            tracing::warn!(conferences = left, "ending the calls that are left");
            self.tree.end_calls();
        }
        if tokio::time::timeout(FAREWELL, self.said_all()).await.is_err() {
            let conferences = self.tree.directory.conference_count();
            tracing::warn!(
                conferences,
                "some calls did not end in time, or the T-Server does not know that yet"
            );
        }
        if let Some(http) = &self.http {
            http.stop(true).await;
        }
        drop(self.sockets);
        self.tree.stop();
        self.media.stop();
        drop(self.journal);
        tracing::info!("stopped");
    }

    async fn said_all(&self) {
        let mut look = tokio::time::interval(DRAIN_POLL);
        while self.tree.directory.conference_count() > 0 || !self.tree.gateway.has_said_all().await {
            look.tick().await;
        }
    }
}

fn serve_http(
    settings: api::Settings,
    bind: SocketAddr,
    gateway: &Gateway,
    metrics: &MetricsPages,
) -> Result<(SocketAddr, ServerHandle), StartError> {
    let settings = api::Settings {
        bind,
        face: api::Face::Connector,
        max_clients: 0,
        ..settings
    };
    let metrics = metrics.clone();
    let page = Arc::new(move || metrics.render());
    let bound = api::bind(settings, Arc::new(gateway.clone()), page)
        .map_err(|error| StartError::one(format!("http_bind: {bind} cannot be bound: {error}")))?;
    let handle = bound.server.handle();
    actix_rt::spawn(bound.server);
    Ok((bound.address, handle))
}
