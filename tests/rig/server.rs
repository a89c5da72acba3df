//! The server under test: the built binary, with a configuration written for one test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::metrics::Samples;
use super::probe::Probe;
use super::program::Program;
use super::{http, ports, wait};

/// The API key of every test server.
pub const API_KEY: &str = "rig-key-of-the-tests";
/// T1 of the test servers: what takes 64*T1 = 32 s in earnest takes 3.2 s here.
pub const T1_MS: u64 = 50;
const CONFIGURATION: &str = "tandem.toml";

/// A configuration in the making.
#[derive(Clone, Default)]
pub struct Setup {
    sip: String,
    cti: String,
    tables: String,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// Nothing but the listeners, the key and the way to the [`Probe`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Lines more for the section `[sip]`.
    pub fn sip(mut self, lines: &str) -> Self {
        self.sip = format!("{}{lines}\n", self.sip);
        self
    }

    /// Lines more for the section `[cti]`.
    pub fn cti(mut self, lines: &str) -> Self {
        self.cti = format!("{}{lines}\n", self.cti);
        self
    }

    /// An environment variable of the server.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Tables more.
    pub fn tables(mut self, lines: &str) -> Self {
        self.tables = format!("{}{lines}\n", self.tables);
        self
    }

    /// A phone, `sip:NAME@tandem.local`, that registers with the password `pass-NAME`.
    pub fn phone(self, name: &str) -> Self {
        self.tables(&format!(
            "[[dn]]\ndn = \"sip:{name}@tandem.local\"\npassword = \"pass-{name}\""
        ))
    }

    /// A phone that registers from loopback without a password.
    pub fn trusted_phone(self, name: &str) -> Self {
        self.tables(&format!(
            "[[dn]]\ndn = \"sip:{name}@tandem.local\"\ntrusted_sources = [\"127.0.0.0/8\"]"
        ))
    }

    /// Calls for `number`, from anywhere on 127.0.0.1, go to a peer there: the arrangement of `config/bench.toml`.
    pub fn peer(self, number: &str, port: u16, transport: &str) -> Self {
        self.tables(&format!(
            "[[trunk]]\ndn = \"sip:peers-{number}@tandem.local\"\naddress = \"sip:127.0.0.1:{port};transport={transport}\"\n\
             trusted_sources = [\"127.0.0.1/32\"]\n\
             [[dial_rule]]\npattern = \"{number}\"\ntrunk = \"sip:peers-{number}@tandem.local\"\nfrom_trunk = true"
        ))
    }

    fn text(&self, sip_port: u16, probe_port: u16) -> String {
        let Self { sip, cti, tables, .. } = self;
        let (probe_address, probe_number) = (Probe::ADDRESS, Probe::NUMBER);
        let (t2, t4) = (T1_MS * 4, T1_MS * 2);
        format!(
            "[server]\nname = \"rig\"\ndrain_timeout_s = 5\n\
             [sip]\ndomains = [\"tandem.local\", \"127.0.0.1\"]\nt1_ms = {T1_MS}\nt2_ms = {t2}\nt4_ms = {t4}\n{sip}\n\
             [[sip.listener]]\ntransport = \"udp\"\nbind = \"127.0.0.1:{sip_port}\"\n\
             [[sip.listener]]\ntransport = \"tcp\"\nbind = \"127.0.0.1:{sip_port}\"\n\
             [cti]\nbind = \"127.0.0.1:0\"\n{cti}\n\
             [[cti.api_key]]\nname = \"rig\"\nkey = \"{API_KEY}\"\nscopes = [\"cti\", \"read\", \"admin\"]\n\
             [log]\nfilter = \"info\"\n\
             {tables}\n\
             [[trunk]]\ndn = \"sip:probe@tandem.local\"\naddress = \"sip:{probe_address}:{probe_port};transport=udp\"\n\
             trusted_sources = [\"{probe_address}/32\"]\n\
             [[dial_rule]]\npattern = \"{probe_number}\"\ntrunk = \"sip:probe@tandem.local\"\nfrom_trunk = true\n"
        )
    }

    /// Starts the server and waits until it is ready.
    pub async fn start(&self) -> Server {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let probe = Probe::bind().await;
        let sip_port = ports::free_port();
        let file = directory.path().join(CONFIGURATION);
        std::fs::write(&file, self.text(sip_port, probe.port())).expect("the configuration is written");
        let (program, http) = launch(directory.path(), &self.environment).await;
        let sip = SocketAddr::from(([127, 0, 0, 1], sip_port));
        Server {
            sip,
            http,
            program,
            probe,
            directory,
            environment: self.environment.clone(),
        }
    }
}

/// Starts the program with the configuration in this directory, where its journal is, too: the process, and where CTI and HTTP are.
async fn launch(directory: &Path, environment: &[(String, String)]) -> (Program, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.arg("serve").arg("--config").arg(directory.join(CONFIGURATION));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    // Not among the ports that phones are given: those are looked at before they are taken.
    command.args(["--set", "media.port_first=40000", "--set", "media.port_last=59999"]);
    let (program, mut lines) = Program::start_with_lines(&mut command, directory);
    let line = timeout(wait::SOON, lines.recv()).await.ok().flatten();
    let Some(line) = line else {
        panic!("the server did not get ready:\n{}", program.tail())
    };
    let http = line
        .strip_prefix("ready: CTI and HTTP on ")
        .and_then(|address| address.parse().ok());
    let http = http.unwrap_or_else(|| panic!("this line should say where CTI and HTTP are: {line}"));
    (program, http)
}

/// A running server. Dropping it kills it.
pub struct Server {
    /// Where SIP is, over UDP and TCP.
    pub sip: SocketAddr,
    /// Where CTI and HTTP are.
    pub http: SocketAddr,
    /// The process.
    pub program: Program,
    probe: Probe,
    directory: TempDir,
    environment: Vec<(String, String)>,
}

impl Server {
    /// Ends it with SIGKILL, and starts it again with the journal that it left. CTI and HTTP are on another port then.
    pub async fn killed_and_started(&mut self) {
        self.program.signal(libc::SIGKILL);
        self.program.exit(wait::SOON).await;
        (self.program, self.http) = launch(self.directory.path(), &self.environment).await;
    }

    /// Writes the configuration file anew, from what stands in it.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let file = self.configuration();
        let text = std::fs::read_to_string(&file).expect("the configuration");
        std::fs::write(&file, change(text)).expect("the configuration is written");
    }

    /// Its configuration file.
    pub fn configuration(&self) -> PathBuf {
        self.directory.path().join(CONFIGURATION)
    }

    /// The metrics as they stand.
    pub async fn metrics(&self) -> Samples {
        Samples::read(&self.metrics_page().await)
    }

    /// The page itself.
    pub async fn metrics_page(&self) -> String {
        let response = http::get(self.http, "/metrics", None).await.expect("the metrics page");
        assert_eq!(response.status, 200, "{}", response.head);
        response.body
    }

    /// Waits until nothing is in progress any more: every `*_active` gauge is back at zero within 64*T1 and some.
    pub async fn idle(&self) {
        wait::until(
            "the gauges to return to zero",
            Duration::from_millis(64 * T1_MS) + wait::SOON,
            async || {
                let active = self.metrics().await.active();
                if active.is_empty() { Ok(()) } else { Err(active.join(", ")) }
            },
        )
        .await;
    }

    /// Waits until that many devices are registered.
    pub async fn registered(&self, count: usize) {
        wait::until("the registrations", wait::SOON, async || {
            let registered = self
                .metrics()
                .await
                .sum("tandem_sip_registrations_active")
                .unwrap_or_default();
            if registered == count as f64 {
                Ok(())
            } else {
                Err(format!("{registered} of {count}"))
            }
        })
        .await;
    }

    /// The server lives: an OPTIONS is answered and a call goes through.
    pub async fn alive(&mut self) {
        assert!(self.program.is_running(), "the server ended:\n{}", self.program.tail());
        self.probe.options(self.sip).await;
        self.probe.call(self.sip).await;
    }

    /// Alive, and nothing of the test is left in it.
    pub async fn alive_and_idle(&mut self) {
        self.alive().await;
        self.idle().await;
    }
}
