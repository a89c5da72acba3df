//! A T-Server and its connectors as processes, each with pages of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::rig::metrics::Samples;
use crate::rig::program::Program;
use crate::rig::server::API_KEY;
use crate::rig::{http, ports, wait};

const CONFIGURATION: &str = "tandem.toml";

/// One process.
pub struct Process {
    /// The process itself.
    pub program: Program,
    /// Where its pages are.
    pub http: SocketAddr,
    /// Where its SIP is; nowhere for a T-Server.
    pub sip: Option<SocketAddr>,
    arguments: Vec<String>,
}

/// All of them, and the file that they have in common.
pub struct Split {
    /// The T-Server.
    pub tserver: Process,
    /// The connectors, by number.
    pub connectors: Vec<Process>,
    directory: TempDir,
}

impl Split {
    /// Starts them and waits until every link is up.
    pub async fn start(numbers: &[&str], connectors: usize) -> Self {
        Self::start_with(numbers, connectors, &[], &[]).await
    }

    /// The same, with an environment for the T-Server, and one for the connectors.
    pub async fn start_with(
        numbers: &[&str],
        connectors: usize,
        of_tserver: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let text = configuration(numbers, connectors);
        std::fs::write(directory.path().join(CONFIGURATION), text).expect("the configuration is written");
        let tserver = start(directory.path(), "tserver", vec!["tserver".to_owned()], of_tserver).await;
        let mut split = Self {
            tserver,
            connectors: Vec::new(),
            directory,
        };
        for index in 0..connectors {
            let connector = connector(split.directory.path(), index, environment).await;
            split.connectors.push(connector);
        }
        split.becomes("Running", &(0..connectors).collect::<Vec<_>>()).await;
        split
    }

    /// Where a connector takes SIP.
    pub fn sip(&self, connector: usize) -> SocketAddr {
        self.connectors[connector].sip.expect("a connector has SIP")
    }

    /// The connectors as the T-Server shows them.
    pub async fn overview(&self) -> Vec<Value> {
        self.tserver.connectors().await
    }

    /// Waits until these connectors are in that state.
    pub async fn becomes(&self, state: &str, connectors: &[usize]) {
        wait::until("the connectors' state", wait::SOON, async || {
            let all = self.overview().await;
            let so = |index: &usize| all.get(*index).is_some_and(|connector| connector["state"] == state);
            if connectors.iter().all(so) {
                Ok(())
            } else {
                Err(format!("{all:?}"))
            }
        })
        .await;
    }

    /// Starts a process again that has ended.
    pub async fn starts_again(&mut self, which: Option<usize>) {
        let directory = self.directory.path();
        let process = match which {
            None => &mut self.tserver,
            Some(index) => &mut self.connectors[index],
        };
        let (sip, arguments) = (process.sip, process.arguments.clone());
        *process = start(directory, "again", arguments, &[]).await;
        process.sip = sip;
    }

    /// Writes the configuration file anew, from what stands in it.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let file = self.directory.path().join(CONFIGURATION);
        let text = std::fs::read_to_string(&file).expect("the configuration");
        std::fs::write(&file, change(text)).expect("the configuration is written");
    }
}

impl Process {
    /// Asks one of its pages with the key; the status, and the answer.
    pub async fn asks(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let response = http::send(self.http, method, path, Some(API_KEY), body)
            .await
            .expect("an answer");
        (response.status, serde_json::from_str(&response.body).expect("JSON"))
    }

    /// `/v1/connectors`, ordered by number.
    pub async fn connectors(&self) -> Vec<Value> {
        let (status, page) = self.asks("GET", "/v1/connectors", "").await;
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().expect("a list").clone()
    }

    /// Its metrics.
    pub async fn metrics(&self) -> Samples {
        let response = http::get(self.http, "/metrics", None).await.expect("the metrics page");
        assert_eq!(response.status, 200, "{}", response.head);
        Samples::read(&response.body)
    }

    /// Waits until `/readyz` answers with this status; what it says.
    pub async fn is_ready(&self, status: u16) -> String {
        wait::until("readyz", wait::SOON, async || {
            match http::get(self.http, "/readyz", None).await {
                Ok(response) if response.status == status => Ok(response.body),
                Ok(response) => Err(response.body),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Waits for a line of its log.
    pub async fn logs(&self, text: &str) {
        wait::until("the log line", wait::SOON, async || {
            let log = std::fs::read_to_string(&self.program.log).unwrap_or_default();
            if log.contains(text) {
                Ok(())
            } else {
                Err(self.program.tail())
            }
        })
        .await;
    }

    /// It ends by itself, as it should.
    pub async fn exits(&mut self) {
        let status = self.program.exit(wait::SOON).await;
        assert_eq!(status.code(), Some(0), "{}", self.program.tail());
    }
}

fn configuration(numbers: &[&str], connectors: usize) -> String {
    let phones = numbers
        .iter()
        .map(|number| format!("[[dn]]\ndn = \"sip:{number}@tandem.local\"\ntrusted_sources = [\"127.0.0.0/8\"]\n"));
    let phones: String = phones.collect();
    let links = (0..connectors).map(|index| {
        let port = ports::free_port();
        format!("[[link]]\nname = \"c{index}\"\nhostname = \"127.0.0.1\"\nport = {port}\nhttp_bind = \"127.0.0.1:0\"\n")
    });
    let links: String = links.collect();
    format!(
        "[server]\nname = \"rig\"\ndrain_timeout_s = 600\n\
         [sip]\ndomains = [\"tandem.local\", \"127.0.0.1\"]\nt1_ms = 50\nt2_ms = 200\nt4_ms = 100\n\
         [[sip.listener]]\ntransport = \"udp\"\nbind = \"127.0.0.1:0\"\n\
         [cti]\nbind = \"127.0.0.1:0\"\n\
         [[cti.api_key]]\nname = \"rig\"\nkey = \"{API_KEY}\"\nscopes = [\"cti\", \"read\", \"admin\"]\n\
         [log]\nfilter = \"info\"\n\
         {phones}{links}"
    )
}

async fn connector(directory: &Path, index: usize, environment: &[(&str, &str)]) -> Process {
    let sip = SocketAddr::from(([127, 0, 0, 1], ports::free_port()));
    let listener = format!("sip.listener=[{{transport=\"udp\", bind=\"{sip}\"}}]");
    let (first, last) = (40_000 + 5_000 * index, 44_999 + 5_000 * index);
    let name = format!("c{index}");
    let ports = [format!("media.port_first={first}"), format!("media.port_last={last}")];
    let arguments = [
        "connector",
        "--name",
        &name,
        "--set",
        &listener,
        "--set",
        &ports[0],
        "--set",
        &ports[1],
    ];
    let arguments = arguments.map(str::to_owned).to_vec();
    let mut process = start(directory, &name, arguments, environment).await;
    process.sip = Some(sip);
    process
}

/// Starts a process and waits for the line that says that it is ready.
async fn start(directory: &Path, name: &str, arguments: Vec<String>, environment: &[(&str, &str)]) -> Process {
    // Each start has a log of its own.
    let logs = (0..)
        .map(|n| directory.join(format!("{name}-{n}")))
        .find(|path| !path.exists());
    let logs = logs.expect("a new directory");
    std::fs::create_dir(&logs).expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(&arguments).arg("--config").arg(directory.join(CONFIGURATION));
    command.envs(environment.iter().copied());
    let (program, mut lines) = Program::start_with_lines(&mut command, &logs);
    let line = timeout(wait::SOON * 2, lines.recv()).await.ok().flatten();
    let line = line.unwrap_or_else(|| panic!("{name} did not get ready:\n{}", program.tail()));
    let http = line.split("HTTP on ").nth(1).and_then(|address| address.parse().ok());
    Process {
        http: http.unwrap_or_else(|| panic!("this line should say where HTTP is: {line}")),
        program,
        sip: None,
        arguments,
    }
}
