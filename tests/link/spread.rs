//! A T-Server and several connectors, each in a process of its own with a SIP address of its own.

use std::net::SocketAddr;
use std::path::Path;

use tandem_wire::model::EventName::EventDNBackInService;
use tempfile::TempDir;

use super::{configuration, connector_named, has_calls, is_ready, links, loopback, tserver};
use crate::golden::stage::dn;
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;
use crate::rig::program::Program;
use crate::rig::{ports, wait};

/// How many ports the audio of each connector has.
const MEDIA_PORTS: u16 = 4_000;

/// The processes, and the files that they have in common.
pub struct Spread {
    /// Where CTI and HTTP are; elsewhere after each start.
    pub http: SocketAddr,
    /// The T-Server.
    pub tserver: Program,
    /// The connectors, in the order of their links.
    pub nodes: Vec<Node>,
    pub(super) directory: TempDir,
}

/// A connector.
pub struct Node {
    /// Where its SIP is.
    pub sip: SocketAddr,
    /// The process.
    pub program: Program,
    name: String,
    /// What differs from the common configuration.
    sets: Vec<String>,
}

impl Spread {
    /// Starts all of them. `tables` are more lines of the configuration, the same for all; phones of `numbers` need no password.
    pub async fn start(connectors: usize, numbers: &[&str], tables: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let text = configuration(numbers, loopback(0), tables, &links(connectors, ""));
        std::fs::write(directory.path().join("tandem.toml"), text).expect("the configuration is written");
        let (tserver, http) = tserver(directory.path()).await;
        let mut nodes = Vec::new();
        for number in 1..=connectors {
            let (sip, first) = (loopback(ports::free_port()), 36_000 + MEDIA_PORTS * number as u16);
            let sets = vec![
                format!(
                    "sip.listener=[{{ transport = \"udp\", bind = \"{sip}\" }}, {{ transport = \"tcp\", bind = \"{sip}\" }}]"
                ),
                format!("media.port_first={first}"),
                format!("media.port_last={}", first + MEDIA_PORTS - 1),
            ];
            let name = format!("connector{number}");
            let program = start(directory.path(), &name, &sets).await;
            nodes.push(Node {
                sip,
                program,
                name,
                sets,
            });
        }
        let spread = Self {
            http,
            tserver,
            nodes,
            directory,
        };
        spread.know_each_other().await;
        spread
    }

    /// Waits until every connector has heard of all the others.
    async fn know_each_other(&self) {
        is_ready(self.http, 200).await;
        let others = format!("others={} ", self.nodes.len() - 1);
        wait::until("the connectors' acquaintance", wait::SOON, async || {
            let log = |node: &Node| std::fs::read_to_string(&node.program.log).unwrap_or_default();
            let stranger = self.nodes.iter().find(|node| !log(node).contains(&others));
            stranger.map_or(Ok(()), |node| Err(node.program.tail()))
        })
        .await;
    }

    /// A phone of each of these, registered with the connector of that index, and a desk that watches them. When it returns they can be
    /// called.
    pub async fn phones<const N: usize>(&self, at: [(&str, usize); N]) -> ([Handset; N], Desk) {
        let dns = at.map(|(number, _)| dn(number));
        let mut desk = Desk::on(self.http, &dns.each_ref().map(String::as_str)).await;
        let mut phones = Vec::new();
        for (number, node) in at {
            phones.push(Handset::register(number, self.nodes[node].sip).await);
            desk.expect(EventDNBackInService, &dn(number)).await;
        }
        let phones: Result<[Handset; N], _> = phones.try_into();
        (phones.ok().expect("a phone for each"), desk)
    }

    /// Waits until that many calls live.
    pub async fn has_calls(&self, count: usize) {
        has_calls(self.http, count).await;
    }

    /// Kills the T-Server.
    pub async fn kill_tserver(&mut self) {
        self.tserver.signal(libc::SIGKILL);
        self.tserver.exit(wait::SOON).await;
    }

    /// Starts the T-Server again, and waits until it is ready.
    pub async fn start_tserver(&mut self) {
        (self.tserver, self.http) = tserver(self.directory.path()).await;
        is_ready(self.http, 200).await;
    }

    /// Kills a connector.
    pub async fn kill(&mut self, node: usize) {
        let program = &mut self.nodes[node].program;
        program.signal(libc::SIGKILL);
        program.exit(wait::SOON).await;
    }

    /// Starts a connector again.
    pub async fn start_again(&mut self, node: usize) {
        let Node { name, sets, .. } = &self.nodes[node];
        self.nodes[node].program = start(self.directory.path(), name, sets).await;
    }
}

async fn start(directory: &Path, name: &str, sets: &[String]) -> Program {
    let arguments: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
    connector_named(directory, name, &arguments).await
}
