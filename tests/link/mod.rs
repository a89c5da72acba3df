//! One server in two processes: the T-Server, and a connector with its phones. What a desktop does is the same as with one process; and
//! either process may be killed, and is back with what it had. [`spread::Spread`] is the same with several connectors.

mod across;
mod calls;
mod copy;
mod pools;
mod restarts;
mod spread;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio::time::timeout;

use crate::rig::program::Program;
use crate::rig::server::API_KEY;
use crate::rig::{http, ports, wait};

/// The name of the connector.
const CONNECTOR: &str = "connector1";

/// Both processes, and the file that they have in common.
pub struct Split {
    /// Where SIP is.
    pub sip: SocketAddr,
    /// Where CTI and HTTP are; elsewhere after each start.
    pub http: SocketAddr,
    /// The T-Server.
    pub tserver: Program,
    /// The connector.
    pub connector: Program,
    directory: TempDir,
}

impl Split {
    /// Starts both and waits until the link is up. `tables` are more lines of the configuration; those of the link come last.
    pub async fn start(numbers: &[&str], of_link: &str, tables: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let sip = loopback(ports::free_port());
        let links = links(1, of_link);
        let text = configuration(numbers, sip, tables, &links);
        std::fs::write(directory.path().join("tandem.toml"), text).expect("the configuration is written");
        // In this order: a T-Server has to find its connector whenever that comes.
        let (tserver, http) = tserver(directory.path()).await;
        let connector = connector(directory.path()).await;
        let split = Self {
            sip,
            http,
            tserver,
            connector,
            directory,
        };
        split.is_linked().await;
        split
    }

    /// Waits until the T-Server reaches its connector.
    pub async fn is_linked(&self) {
        self.is_ready(200).await;
    }

    /// Waits until the T-Server is ready (200), or is not (503).
    pub async fn is_ready(&self, status: u16) {
        is_ready(self.http, status).await;
    }

    /// Waits until that many calls live.
    pub async fn has_calls(&self, count: usize) {
        has_calls(self.http, count).await;
    }

    /// Kills the T-Server, so that it can do nothing about it.
    pub async fn kill_tserver(&mut self) {
        self.tserver.signal(libc::SIGKILL);
        self.tserver.exit(wait::SOON).await;
    }

    /// Starts the T-Server again. The link comes up later.
    pub async fn start_tserver(&mut self) {
        (self.tserver, self.http) = tserver(self.directory.path()).await;
    }

    /// Kills the connector, and starts it again.
    pub async fn restart_connector(&mut self) {
        self.connector.signal(libc::SIGKILL);
        self.connector.exit(wait::SOON).await;
        self.start_connector().await;
    }

    /// Starts the connector again.
    pub async fn start_connector(&mut self) {
        self.connector = connector(self.directory.path()).await;
    }
}

/// Waits until a T-Server is ready (200), or is not (503).
async fn is_ready(http: SocketAddr, status: u16) {
    wait::until("the link", wait::SOON, async || {
        match http::get(http, "/readyz", None).await {
            Ok(response) if response.status == status => Ok(()),
            Ok(response) => Err(response.body),
            Err(error) => Err(error),
        }
    })
    .await;
}

/// Waits until that many calls live.
async fn has_calls(http: SocketAddr, count: usize) {
    wait::until("the calls", wait::SOON, async || {
        let response = http::get(http, "/v1/calls", Some(API_KEY)).await?;
        let calls: serde_json::Value = serde_json::from_str(&response.body).map_err(|error| error.to_string())?;
        match calls["items"].as_array().map(Vec::len) {
            Some(found) if found == count => Ok(()),
            _ => Err(response.body),
        }
    })
    .await;
}

/// The tables of that many links, named `connector1` and on; `more` are further lines of each.
fn links(count: usize, more: &str) -> String {
    let link = |number: usize| {
        let port = ports::free_port();
        format!("[[link]]\nname = \"connector{number}\"\nhostname = \"127.0.0.1\"\nport = {port}\naddp_timeout_s = 1\n{more}\n")
    };
    (1..=count).map(link).collect()
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The configuration. `links` come last.
fn configuration(numbers: &[&str], sip: SocketAddr, tables: &str, links: &str) -> String {
    let phones = numbers
        .iter()
        .map(|number| format!("[[dn]]\ndn = \"sip:{number}@tandem.local\"\ntrusted_sources = [\"127.0.0.0/8\"]\n"));
    let phones: String = phones.collect();
    format!(
        "[server]\nname = \"rig\"\ndrain_timeout_s = 5\n\
         [sip]\ndomains = [\"tandem.local\", \"127.0.0.1\"]\nt1_ms = 50\nt2_ms = 200\nt4_ms = 100\n\
         [[sip.listener]]\ntransport = \"udp\"\nbind = \"{sip}\"\n\
         [[sip.listener]]\ntransport = \"tcp\"\nbind = \"{sip}\"\n\
         [cti]\nbind = \"127.0.0.1:0\"\n\
         [[cti.api_key]]\nname = \"rig\"\nkey = \"{API_KEY}\"\nscopes = [\"cti\", \"read\", \"admin\"]\n\
         [log]\nfilter = \"info,tandem_actors::link=debug\"\n\
         [media]\nport_first = 40000\nport_last = 59999\n\
         {phones}{tables}\n{links}"
    )
}

/// Starts the T-Server; where its CTI and HTTP are.
async fn tserver(directory: &Path) -> (Program, SocketAddr) {
    let (program, line) = start(directory, "tserver", &[]).await;
    let http = line
        .strip_prefix("ready: CTI and HTTP on ")
        .and_then(|address| address.parse().ok());
    (
        program,
        http.unwrap_or_else(|| panic!("this line should say where CTI and HTTP are: {line}")),
    )
}

async fn connector(directory: &Path) -> Program {
    connector_named(directory, CONNECTOR, &[]).await
}

async fn connector_named(directory: &Path, name: &str, arguments: &[&str]) -> Program {
    let arguments: Vec<_> = ["--name", name].into_iter().chain(arguments.iter().copied()).collect();
    let (program, line) = start(directory, "connector", &arguments).await;
    assert!(line.starts_with(&format!("ready: connector {name}, link on ")), "{line}");
    program
}

/// Starts one side and waits for the line that says that it is ready.
async fn start(directory: &Path, side: &str, arguments: &[&str]) -> (Program, String) {
    // Each start has a log of its own, so that the log of one that was killed can still be read.
    let logs: PathBuf = (0..)
        .map(|n| directory.join(format!("{side}-{n}")))
        .find(|path| !path.exists())
        .expect("a new directory");
    std::fs::create_dir(&logs).expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command
        .arg(side)
        .args(arguments)
        .arg("--config")
        .arg(directory.join("tandem.toml"));
    let (program, mut lines) = Program::start_with_lines(&mut command, &logs);
    let line = timeout(wait::SOON * 2, lines.recv()).await.ok().flatten();
    let line = line.unwrap_or_else(|| panic!("the {side} did not get ready:\n{}", program.tail()));
    (program, line)
}
