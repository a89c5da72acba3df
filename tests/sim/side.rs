//! A server of several processes: the T-Server side, and the connectors, each with a cable to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tandem_actors::link::Acceptor;
use tandem_actors::tree::{ConnectorSide, Placement, Plan, RemoteConnector, Tree};
use tandem_model::ConnectorId;
use tandem_wire::link::{Addp, AddpTrace, Identity, QueueLimits, Role, SessionConfig};

use super::cable::Cable;
use super::media::Ports;
use super::process::Process;
use super::wire::Socket;
use super::world::nowhere;

/// The number of the process that the clients are connected to.
pub const TSERVER: usize = 0;

/// A connector with a process of its own.
pub struct Side {
    id: u16,
    /// Where it takes SIP.
    pub address: SocketAddr,
    /// The way between it and the T-Server.
    pub cable: Arc<Cable>,
    /// How much either end keeps of what was not acknowledged.
    pub limits: QueueLimits,
    starts: u64,
    running: Option<(Tree, Process)>,
}

impl Side {
    /// One that was not started yet.
    pub fn new(id: u16) -> Self {
        Self {
            id,
            address: SocketAddr::from(([192, 0, 2, 1 + id as u8], 5060)),
            cable: Cable::new(),
            limits: QueueLimits::default(),
            starts: 0,
            running: None,
        }
    }

    /// Starts it.
    pub async fn start(&mut self, plan: Plan, socket: Arc<Socket>, ports: &Arc<Ports>) {
        self.starts += 1;
        let instance = format!("connector-{}-{}", self.id, self.starts);
        let side = ConnectorSide {
            id: ConnectorId(self.id),
            session: self.session(Role::Server, &instance, self.limits),
            listener: self.cable.listener(),
            acceptor: Acceptor::tcp(),
        };
        let plane = ports.plane(self.process_number());
        let grown = Tree::grow_connector_side(plan, side, socket, nowhere(), Box::new(move |_| plane), Placement::Here);
        let (tree, process) = Process::start(self.process_number(), grown).await;
        self.running = Some((tree.expect("a connector that listens"), process));
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        self.cable.nobody_listens();
        if let Some((_, mut process)) = self.running.take() {
            process.kill().await;
        }
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it does anything.
    pub fn is_serving(&self) -> bool {
        self.running.as_ref().is_some_and(|(_, process)| !process.is_stopped())
    }

    /// Its actors, while it runs.
    pub fn tree(&self) -> Option<&Tree> {
        self.running.as_ref().map(|(tree, _)| tree)
    }

    /// Stops it (SIGSTOP), or lets it go on.
    pub fn set_stopped(&self, stopped: bool) {
        if let Some((_, process)) = &self.running {
            process.set_stopped(stopped);
        }
    }

    /// What it counts is counted as this one's.
    pub fn process_number(&self) -> usize {
        TSERVER + 1 + usize::from(self.id)
    }

    /// Starts the T-Server side of these connectors.
    pub async fn start_tserver(plan: Plan, sides: &[Self], starts: u64) -> (Tree, Process) {
        let instance = format!("tserver-{starts}");
        let remotes = sides.iter().map(|side| RemoteConnector {
            session: side.session(Role::Client, &instance, side.limits),
            dialler: side.cable.dialler(),
        });
        let grown = Tree::grow_tserver_side(plan, remotes.collect(), Placement::Here);
        Process::start(TSERVER, grown).await
    }

    fn session(&self, role: Role, instance: &str, limits: QueueLimits) -> SessionConfig {
        SessionConfig {
            role,
            identity: Identity {
                instance: instance.into(),
                connector: self.id,
                name: format!("connector{}", self.id).into(),
                pool: "default".into(),
            },
            addp: Addp {
                timeout: Duration::from_secs(3),
                remote_timeout: Duration::from_secs(3),
                trace: AddpTrace::Off,
            },
            limits,
            log: None,
        }
    }
}
