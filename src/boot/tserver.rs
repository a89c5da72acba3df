//! The T-Server side alone: CTI and HTTP, without SIP. Its connectors are other processes.
//!
//! Order of stop: no call starts and no client comes in, the sockets of the clients close after what waits for them, then everything else
//! ends. Live calls go on at their connectors, and the next T-Server takes them up from the journal; what only rang ends then.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use tandem_actors::gateway::Gateway;
use tandem_actors::journal::JournalStore;
use tandem_actors::tree::{Placement, Plan, RemoteConnector, Tree};
use tandem_config::Config;
use tandem_wire::link::Role;

use super::administration::Administration;
use super::link::{dialler, session, with_journal_of};
use super::reload::{Place, Reload, Runs, Sources};
use super::{Side, StartError, plan};
use crate::api;
use crate::store;
use crate::telemetry::MetricsPages;

/// A running T-Server side.
pub struct TServer {
    /// Where CTI and HTTP are.
    pub cti_address: SocketAddr,
    /// The way into the actors.
    pub gateway: Gateway,
    /// What signals and operators do to it.
    pub administration: Arc<Administration>,
    tree: Tree,
    http: ServerHandle,
    journal: Arc<dyn JournalStore>,
}

impl TServer {
    /// Starts it. `sources` is where the configuration came from. To be called within an actix system; returns when it is ready. Links come
    /// up later.
    pub async fn start(config: &Config, sources: Sources, metrics: MetricsPages) -> Result<Self, StartError> {
        if config.link.is_empty() {
            return Err(StartError::one("a T-Server needs at least one [[link]] to a connector"));
        }
        let as_read = config;
        let config = &with_journal_of(config, "tserver");
        let journal = store::from_config(&config.journal).map_err(StartError::one)?;
        let plan = Plan {
            journal: journal.clone(),
            ..plan::plan(config, Vec::new(), 1).map_err(StartError)?
        };
        let remotes = remotes(config, &plan.epoch)?;
        let tree = Tree::grow_tserver_side(plan, remotes, Placement::Threads).await;
        let mut settings = api::Settings::new(config);
        let reload = Reload::new(
            Place::of(Side::TServer),
            sources,
            as_read.clone(),
            Runs {
                gateway: tree.gateway.clone(),
                ingress: tree.ingress.clone(),
                keys: settings.keys.clone(),
                media: None,
            },
        );
        let administration = Arc::new(Administration::new(tree.gateway.clone(), reload));
        settings.admin = Some(administration.clone());
        settings.links = api::LinkName::all(as_read);
        let page = {
            let metrics = metrics.clone();
            Arc::new(move || metrics.render())
        };
        let bound = api::bind(settings, Arc::new(tree.gateway.clone()), page)
            .map_err(|error| StartError::one(format!("cti.bind: {} cannot be bound: {error}", config.cti.bind)))?;
        let http = bound.server.handle();
        actix_rt::spawn(bound.server);
        actix_rt::spawn(metrics.upkeep());
        tracing::info!(address = %bound.address, links = config.link.len(), "CTI and HTTP");
        Ok(Self {
            cti_address: bound.address,
            gateway: tree.gateway.clone(),
            administration,
            tree,
            http,
            journal,
        })
    }

    /// Takes nothing new and stops. Calls go on at their connectors, and are taken up again by the next T-Server.
    pub async fn stop(self) {
        self.tree.drain();
        tracing::info!(calls = self.gateway.call_count(), "calls go on at their connectors");
        self.tree.close_clients().await;
        self.http.stop(true).await;
        self.tree.stop();
        drop(self.journal);
        tracing::info!("stopped");
    }
}

fn remotes(config: &Config, instance: &Arc<str>) -> Result<Vec<RemoteConnector>, StartError> {
    let links = (0..).zip(&config.link);
    let remotes = links.map(|(index, link)| {
        Ok(RemoteConnector {
            session: session(config, link, index, instance, Role::Client),
            dialler: dialler(config, link)?,
        })
    });
    remotes.collect()
}
