//! A server in several processes: the T-Server, and connectors, each of which can be taken away and given back.
//!
//! Invariant: a process that was started is ended with this, even where it was stopped by a signal.

mod namespaces;
mod plan;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::server::{self, JournalDirectory, Started};
use namespaces::Namespaces;
use plan::Plan;

/// How long a process may take to say that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_secs(20);

/// What is to be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// The program.
    pub bin: PathBuf,
    /// The configuration of all processes.
    pub config: PathBuf,
    /// How many connectors.
    pub connectors: usize,
    /// The SIP address of the first one; those of the others have higher ports.
    pub sip: SocketAddr,
    /// The port of the first link; those of the others follow.
    pub link_port: u16,
    /// Each connector is in a network namespace of its own.
    pub namespaces: bool,
}

/// See the module. Processes come first, so that they are gone before their journal and their network.
pub struct Fleet {
    tserver: Option<Started>,
    connectors: Vec<Option<Started>>,
    namespaces: Option<Namespaces>,
    journal: JournalDirectory,
    plan: Plan,
    order: Order,
}

impl Fleet {
    /// Starts all processes, and waits until each says that it is ready. Links come up later.
    pub async fn start(order: Order) -> Result<Self, String> {
        let (plan, namespaces) = if order.namespaces {
            let plan = Plan::in_namespaces(order.connectors, order.sip.port(), order.link_port)?;
            let count = u16::try_from(order.connectors).map_err(|_| "--connectors: too many".to_owned())?;
            (plan, Some(Namespaces::make(count)?))
        } else {
            (Plan::on_one_address(order.connectors, order.sip, order.link_port)?, None)
        };
        let journal = JournalDirectory::new().map_err(|error| format!("a directory for the journal: {error}"))?;
        let mut fleet = Self {
            tserver: None,
            connectors: Vec::new(),
            namespaces,
            journal,
            plan,
            order,
        };
        let mut starting = vec![("the T-Server".to_owned(), fleet.start_tserver()?)];
        for connector in 0..fleet.order.connectors {
            fleet.connectors.push(None);
            starting.push((format!("connector {connector}"), fleet.start_connector(connector)?));
        }
        for (name, ready) in starting {
            let ready = tokio::time::timeout(READY_LIMIT, ready).await;
            if !matches!(ready, Ok(Ok(_))) {
                return Err(format!("{name} does not get ready"));
            }
        }
        Ok(fleet)
    }

    /// Where each connector takes SIP.
    pub fn homes(&self) -> Vec<SocketAddr> {
        self.plan.connectors.iter().map(|connector| connector.sip).collect()
    }

    /// Where phones are to be.
    pub fn phones(&self) -> IpAddr {
        self.plan.phones
    }

    /// Starts the T-Server; the line comes when it is ready.
    pub fn start_tserver(&mut self) -> Result<oneshot::Receiver<String>, String> {
        let mut command = Command::new(&self.order.bin);
        command.arg("tserver");
        let sets = self.plan.of_tserver();
        let (started, ready) = self.run(command, &sets)?;
        self.tserver = Some(started);
        Ok(ready)
    }

    /// Starts a connector; the line comes when it is ready.
    pub fn start_connector(&mut self, connector: usize) -> Result<oneshot::Receiver<String>, String> {
        let (plan, number) = self.connector(connector)?;
        let mut command = match &self.namespaces {
            Some(namespaces) => namespaces.command(number, &self.order.bin),
            None => Command::new(&self.order.bin),
        };
        command.args(["connector", "--name", &plan.name]);
        let sets = self.plan.of_connector(plan);
        let (started, ready) = self.run(command, &sets)?;
        if let Some(place) = self.connectors.get_mut(connector) {
            *place = Some(started);
        }
        Ok(ready)
    }

    fn connector(&self, connector: usize) -> Result<(&plan::ConnectorPlan, u16), String> {
        let plan = self.plan.connectors.get(connector);
        plan.zip(u16::try_from(connector).ok())
            .ok_or_else(|| format!("there is no connector {connector}"))
    }

    fn run(&self, mut command: Command, sets: &[String]) -> Result<(Started, oneshot::Receiver<String>), String> {
        command.arg("--config").arg(&self.order.config);
        command.args(["--set", &format!("journal.dir={}", self.journal.path().display())]);
        command.args(sets.iter().flat_map(|set| ["--set", set]));
        Started::run_until_ready(command).map_err(|error| format!("{}: {error}", self.order.bin.display()))
    }

    /// Ends the T-Server with SIGKILL.
    pub fn kill_tserver(&mut self) -> Result<(), String> {
        let started = self.tserver.as_mut().ok_or("the T-Server does not run")?;
        started.kill().map_err(|error| error.to_string())
    }

    /// Ends a connector with SIGKILL.
    pub fn kill_connector(&mut self, connector: usize) -> Result<(), String> {
        let started = self.connectors.get_mut(connector).and_then(Option::as_mut);
        let started = started.ok_or_else(|| format!("connector {connector} does not run"))?;
        started.kill().map_err(|error| error.to_string())
    }

    /// Ends a connector as an operator does.
    pub async fn stop_connector(&mut self, connector: usize) -> Result<(), String> {
        match self.connectors.get_mut(connector).and_then(Option::take) {
            Some(started) => started
                .stop(END_LIMIT)
                .await
                .map_err(|error| format!("connector {connector}: {error}")),
            None => Ok(()),
        }
    }

    /// Sends a connector a signal, such as SIGSTOP.
    pub fn signal_connector(&mut self, connector: usize, signal: libc::c_int) -> Result<(), String> {
        let started = self.connectors.get(connector).and_then(Option::as_ref);
        let started = started.ok_or_else(|| format!("connector {connector} does not run"))?;
        started.signal(signal).map_err(|error| error.to_string())
    }

    /// Cuts the link of a connector, or mends it.
    pub fn set_link(&self, connector: usize, whole: bool) -> Result<(), String> {
        let (_, number) = self.connector(connector)?;
        let namespaces = self.namespaces.as_ref().ok_or("the connectors have no namespaces")?;
        if whole {
            namespaces.mend(number)
        } else {
            namespaces.cut(number)
        }
    }

    /// The processes that have ended by themselves.
    pub fn ended(&mut self) -> Vec<String> {
        let tserver = self.tserver.iter_mut().map(|started| ("the T-Server".to_owned(), started));
        let connectors = self.connectors.iter_mut().enumerate();
        let connectors = connectors.filter_map(|(n, started)| Some((format!("connector {n}"), started.as_mut()?)));
        let ended = tserver
            .chain(connectors)
            .filter_map(|(name, started)| started.has_ended().then_some(name));
        ended.collect()
    }

    /// The memory of all processes, in KiB.
    pub fn rss_kib(&self) -> u64 {
        let all = self.tserver.iter().chain(self.connectors.iter().flatten());
        all.filter_map(|started| server::usage(started.pid()))
            .map(|usage| usage.rss_kib)
            .sum()
    }

    /// The journals of all processes on disk, in KiB.
    pub fn journal_kib(&self) -> u64 {
        self.journal.kib()
    }

    /// Ends all processes as an operator does, connectors first; says which did not end well.
    pub async fn stop(mut self) -> Result<(), String> {
        let mut unwell = Vec::new();
        for connector in 0..self.connectors.len() {
            unwell.extend(self.stop_connector(connector).await.err());
        }
        if let Some(tserver) = self.tserver.take() {
            unwell.extend(
                tserver
                    .stop(END_LIMIT)
                    .await
                    .map_err(|error| format!("the T-Server: {error}"))
                    .err(),
            );
        }
        if unwell.is_empty() { Ok(()) } else { Err(unwell.join("; ")) }
    }
}
