//! One side alone: the T-Server's actors, or one connector's, with a carrier where the other side would be.
//!
//! ```text
//! tandem tserver       arbiter "tserver"      what the tree has there, and RemoteLink×k
//! tandem connector     arbiter "connector-i"  what the tree has there, and LinkServer
//! ```

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tandem_model::ConnectorId;
use tandem_wire::link::SessionConfig;

use super::{FoundLegs, Placement, Plan, Tree, grow_connector, grow_tserver, on, recover};
use crate::directory::Directory;
use crate::gateway::Gateway;
use crate::ingress::Ingress;
use crate::link::{Acceptor, Dialler, LinkServer, LinkServerParts, Listener, RemoteLink, RemoteLinkParts};
use crate::media::{MediaStart, PortEvents};
use crate::network::{Network, Resolve};

/// A connector in another process.
pub struct RemoteConnector {
    /// How the link to it is kept.
    pub session: SessionConfig,
    /// How it is reached.
    pub dialler: Dialler,
}

/// The connector of this process, whose T-Server is in another one.
pub struct ConnectorSide {
    /// Which connector.
    pub id: ConnectorId,
    /// How its link is kept.
    pub session: SessionConfig,
    /// Where the T-Server comes in.
    pub listener: Listener,
    /// What is spoken there.
    pub acceptor: Acceptor,
}

impl Tree {
    /// Grows the T-Server side. `remotes` are its connectors, in the order of their ids.
    pub async fn grow_tserver_side(plan: Plan, remotes: Vec<RemoteConnector>, placement: Placement) -> Self {
        let plan = Plan {
            connectors: u16::try_from(remotes.len()).unwrap_or(u16::MAX),
            ..plan
        };
        let directory = Directory::new(plan.settings.clone());
        let draining = Arc::new(AtomicBool::new(false));
        let arbiters = placement.arbiters(1);
        let place = arbiters.first().map(actix_rt::Arbiter::handle);
        let (tserver_plan, of_tserver, flag) = (plan.clone(), directory.clone(), draining.clone());
        let pools = remotes.iter().map(|remote| remote.session.identity.pool.clone()).collect();
        on(place.clone(), move || grow_tserver(&tserver_plan, &of_tserver, flag, pools)).await;
        let of_links = directory.clone();
        on(place, move || grow_remote_links(remotes, &of_links)).await;
        directory.install_connectors(Vec::new());
        recover(&directory, FoundLegs::new()).await;
        Self::of(plan, directory, draining, arbiters)
    }

    /// Grows one connector. It fails where its listening socket cannot be used.
    pub async fn grow_connector_side(
        plan: Plan,
        side: ConnectorSide,
        network: Arc<dyn Network>,
        resolve: Resolve,
        media: MediaStart,
        placement: Placement,
    ) -> std::io::Result<Self> {
        let directory = Directory::new(plan.settings.clone());
        let media = media(PortEvents::new(directory.clone()));
        let arbiters = placement.arbiters(1);
        let place = arbiters.first().map(actix_rt::Arbiter::handle);
        directory.add_rosters();
        directory.number_connectors_from(side.id.0);
        let (grown_plan, of_connector, id) = (plan.clone(), directory.clone(), side.id);
        let grown = on(place.clone(), move || {
            grow_connector(id, &grown_plan, of_connector, network, resolve, media)
        });
        let mut found = FoundLegs::new();
        let connectors = grown.await.map(|(connector, legs)| {
            for (conference, leg) in legs {
                found.entry(conference).or_default().push((leg, id));
            }
            connector
        });
        directory.install_connectors(connectors.into_iter().collect());
        recover(&directory, found).await;
        // Only now does the T-Server come in: it is to find what was brought back.
        let of_link = directory.clone();
        let listens = on(place, move || listen(side, &of_link)).await;
        listens.unwrap_or_else(|| Err(std::io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self::of(plan, directory, Arc::default(), arbiters))
    }

    fn of(plan: Plan, directory: Arc<Directory>, draining: Arc<AtomicBool>, arbiters: Vec<actix_rt::Arbiter>) -> Self {
        let ingress = Ingress::new(directory.clone(), 1, plan.connector_mailbox);
        Self {
            gateway: Gateway::new(directory.clone(), draining),
            ingress: ingress.numbered_from(directory.first_connector()),
            directory,
            arbiters,
        }
    }
}

impl Placement {
    fn arbiters(self, count: usize) -> Vec<actix_rt::Arbiter> {
        let count = if self == Self::Threads { count } else { 0 };
        (0..count).map(|_| actix_rt::Arbiter::new()).collect()
    }
}

fn grow_remote_links(remotes: Vec<RemoteConnector>, directory: &Arc<Directory>) {
    let links = remotes.into_iter().enumerate().map(|(index, remote)| {
        RemoteLink::supervise(RemoteLinkParts {
            connector: ConnectorId(u16::try_from(index).unwrap_or(u16::MAX)),
            directory: directory.clone(),
            session: remote.session,
            dialler: remote.dialler,
        })
    });
    directory.install_remote_links(links.collect());
}

fn listen(side: ConnectorSide, directory: &Arc<Directory>) -> std::io::Result<()> {
    let server = LinkServer::supervise(LinkServerParts {
        connector: side.id,
        directory: directory.clone(),
        session: side.session,
        listener: side.listener,
        acceptor: side.acceptor,
    })?;
    directory.install_link_server(server);
    Ok(())
}
