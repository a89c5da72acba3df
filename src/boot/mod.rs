//! Starting and stopping the server: sockets, then the actors, then HTTP; and the other way round.
//!
//! Order of start: the SIP sockets are bound (so that a taken port is told before anything else happens), the tree is grown, HTTP is
//! bound, and only then SIP is let in. Order of stop: nothing new is taken, live calls may end by themselves until the deadline, what
//! is left gets a real BYE, then the sockets close.

mod administration;
mod connector;
pub mod drain;
mod link;
mod media;
mod network;
pub mod notify;
mod numbering;
pub mod plan;
pub mod reload;
mod tserver;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tandem_actors::gateway::Gateway;
use tandem_actors::journal::JournalStore;
use tandem_actors::network::Resolve;
use tandem_actors::transport::{Resolver, ResolverConfig};
use tandem_actors::tree::{Placement, Plan, Tree};
use tandem_config::Config;
use tandem_sip::message::Uri;
use tandem_sip::ua::Listener;

use crate::api;
use crate::store;
use crate::telemetry::MetricsPages;
pub use administration::Administration;
pub use connector::{Connector, Which};
use network::Sockets;
use reload::{Place, Reload, Runs, Sources};
pub use tserver::TServer;

/// What a process does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Everything.
    Whole,
    /// What CTI clients see; its connectors are other processes.
    TServer,
    /// What the network sees, for one connector; its T-Server is another process.
    Connector,
}

/// How long the BYEs of a shutdown may take to be answered.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often a drain looks whether the last call has ended.
const DRAIN_POLL: Duration = Duration::from_millis(50);

/// A running server.
pub struct Server {
    /// Where CTI and HTTP are.
    pub cti_address: SocketAddr,
    /// Where SIP is.
    pub listeners: Vec<Listener>,
    /// The way into the actors.
    pub gateway: Gateway,
    /// What signals and operators do to it.
    pub administration: Arc<Administration>,
    sockets: Sockets,
    tree: Tree,
    media: media::MediaPlane,
    http: ServerHandle,
    /// The last to go: whoever writes into it has stopped before.
    journal: Arc<dyn JournalStore>,
}

/// Why the server did not start: one line for each problem.
#[derive(Debug)]
pub struct StartError(pub Vec<String>);

impl StartError {
    fn one(problem: impl ToString) -> Self {
        Self(vec![problem.to_string()])
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Server {
    /// Starts a server. To be called within an actix system; returns when it is ready.
    pub async fn start(config: &Config, metrics: MetricsPages) -> Result<Self, StartError> {
        Self::grow(config, None, metrics).await
    }

    /// The same, with what an operator may do over HTTP. `sources` is where the configuration came from.
    pub async fn start_administered(config: &Config, sources: Sources, metrics: MetricsPages) -> Result<Self, StartError> {
        Self::grow(config, Some(sources), metrics).await
    }

    async fn grow(config: &Config, sources: Option<Sources>, metrics: MetricsPages) -> Result<Self, StartError> {
        let problem = |text: String| StartError(vec![text]);
        let sockets = Sockets::bind(config).map_err(|error| problem(error.to_string()))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let journal = store::from_config(&config.journal).map_err(|error| problem(error.to_string()))?;
        let plan = Plan {
            journal: journal.clone(),
            ..plan::plan(config, sockets.listeners.clone(), cores).map_err(StartError)?
        };
        let resolve = resolve_with(Resolver::new(ResolverConfig::default()));
        let media = media::MediaPlane::start(config, cores).map_err(|error| problem(format!("media: {error}")))?;
        let tree = Tree::grow(
            plan,
            Arc::new(sockets.outbound()),
            resolve,
            media.as_actors_use_it(),
            Placement::Threads,
        )
        .await;
        actix_rt::spawn(media.clone().account());
        let page = {
            let metrics = metrics.clone();
            Arc::new(move || metrics.render())
        };
        let mut settings = api::Settings::new(config);
        let ingress = plan::limited(tree.ingress.clone(), config);
        let reload = Reload::new(
            Place::of(Side::Whole),
            sources.clone().unwrap_or_default(),
            config.clone(),
            Runs {
                gateway: tree.gateway.clone(),
                ingress: ingress.clone(),
                keys: settings.keys.clone(),
                media: Some(media.clone()),
            },
        );
        let administration = Arc::new(Administration::new(tree.gateway.clone(), reload));
        settings.admin = sources.map(|_| administration.clone() as _);
        let bound = api::bind(settings, Arc::new(tree.gateway.clone()), page)
            .map_err(|error| problem(format!("cti.bind: {} cannot be bound: {error}", config.cti.bind)))?;
        let http = bound.server.handle();
        actix_rt::spawn(bound.server);
        actix_rt::spawn(metrics.upkeep());
        sockets.open(ingress);
        for listener in &sockets.listeners {
            tracing::info!(transport = %listener.transport, address = %listener.advertised, "SIP");
        }
        tracing::info!(address = %bound.address, "CTI and HTTP");
        Ok(Self {
            cti_address: bound.address,
            listeners: sockets.listeners.clone(),
            gateway: tree.gateway.clone(),
            administration,
            sockets,
            tree,
            media,
            http,
            journal,
        })
    }

    /// Takes nothing new, and waits until the last call has ended or `hurry` comes.
    pub async fn drain(&self, hurry: impl Future<Output = ()>) {
        self.tree.drain();
        tracing::info!(calls = self.gateway.call_count(), "draining");
        tokio::select! {
            () = self.no_calls() => {}
            () = hurry => {}
        }
    }

    /// Ends what is left and stops.
    pub async fn stop(self) {
        self.tree.drain();
        if self.gateway.call_count() > 0 {
            tracing::warn!(calls = self.gateway.call_count(), "ending the calls that are left");
            self.tree.end_calls();
            if tokio::time::timeout(FAREWELL, self.no_calls()).await.is_err() {
                tracing::warn!(calls = self.gateway.call_count(), "some calls did not end in time");
            }
        }
        self.tree.close_clients().await;
        self.http.stop(true).await;
        drop(self.sockets);
        self.tree.stop();
        self.media.stop();
        drop(self.journal);
        tracing::info!("stopped");
    }

    async fn no_calls(&self) {
        let mut look = tokio::time::interval(DRAIN_POLL);
        while self.gateway.call_count() > 0 {
            look.tick().await;
        }
    }
}

/// The resolver as connectors use it: a name that leads nowhere is an empty list, and one log line.
fn resolve_with(resolver: Resolver) -> Resolve {
    Arc::new(move |uri| {
        let resolver = resolver.clone();
        Box::pin(async move {
            resolver.resolve(&uri).await.unwrap_or_else(|error| {
                let host = Uri::parse(&uri).map(|uri| uri.host).unwrap_or_default();
                tracing::warn!(%error, host, "a SIP URI leads nowhere");
                Vec::new()
            })
        })
    })
}
