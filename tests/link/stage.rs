//! The stage of these tests: a T-Server and its connectors, each a process with a SIP address of its own; phones that are registered with
//! them, a desk that watches the phones, and a call.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tandem_wire::ClientRequest;
use tandem_wire::model::ConnId;
use tandem_wire::model::EventName::{EventDNBackInService, EventDialing, EventEstablished, EventHeld, EventRetrieved};
use tandem_wire::model::request::{OnCall, OnCallWith};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::golden::stage::{dn, on_call, with};
use crate::rig::cti::Desk;
use crate::rig::handset::{CallNumber, Handset};
use crate::rig::program::Program;
use crate::rig::server::API_KEY;
use crate::rig::{http, ports, wait};

/// How many ports the audio of each connector has, and the first of all.
const MEDIA_PORTS: u16 = 4_000;
const FIRST_MEDIA_PORT: u16 = 40_000;

/// The processes, and the files that they have in common.
pub struct Split {
    /// Where CTI and HTTP are; elsewhere after each start.
    pub http: SocketAddr,
    /// The T-Server.
    pub tserver: Program,
    /// The connectors, in the order of their links.
    pub connectors: Vec<Connector>,
    directory: TempDir,
}

/// A connector.
pub struct Connector {
    /// Where its SIP is.
    pub sip: SocketAddr,
    /// The process.
    pub program: Program,
    name: String,
    /// What differs from the common configuration.
    sets: Vec<String>,
}

impl Split {
    /// With one connector.
    #[cfg(feature = "fault-injection")]
    pub async fn start(numbers: &[&str], of_link: &str, tables: &str) -> Self {
        Self::among(numbers, &[of_link], tables).await
    }

    /// With a connector for each of `links`, which are more lines of its `[[link]]`. `tables` are more lines of the configuration; phones
    /// of `numbers` need no password.
    pub async fn among(numbers: &[&str], links: &[&str], tables: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let text = configuration(numbers, tables, links);
        std::fs::write(directory.path().join("tandem.toml"), text).expect("the configuration is written");
        // In this order: a T-Server has to find its connectors whenever they come.
        let (tserver, http) = tserver(directory.path()).await;
        let mut connectors = Vec::new();
        for index in 0..links.len() {
            connectors.push(Connector::start(directory.path(), index).await);
        }
        let split = Self {
            http,
            tserver,
            connectors,
            directory,
        };
        split.is_linked().await;
        split.know_each_other().await;
        split
    }

    /// That many connectors; a phone of each of these, registered with the connector of that index; and a desk that watches them. When
    /// it returns they can be called.
    pub async fn set<const N: usize>(connectors: usize, at: [(&str, usize); N]) -> (Self, [Handset; N], Desk) {
        Self::set_with(connectors, at, "").await
    }

    /// The same, with more lines of the configuration.
    pub async fn set_with<const N: usize>(connectors: usize, at: [(&str, usize); N], tables: &str) -> (Self, [Handset; N], Desk) {
        let numbers = at.map(|(number, _)| number);
        let split = Self::among(&numbers, &vec![""; connectors], tables).await;
        let (phones, desk) = split.phones(at).await;
        (split, phones, desk)
    }

    /// A phone of each of these, registered with the connector of that index, and a desk that watches them. When it returns they can be
    /// called.
    pub async fn phones<const N: usize>(&self, at: [(&str, usize); N]) -> ([Handset; N], Desk) {
        let mut desk = self.desk(&at.map(|(number, _)| number)).await;
        let mut phones = Vec::new();
        for (number, index) in at {
            phones.push(Handset::register(number, self.connectors[index].sip).await);
            desk.expect(EventDNBackInService, &dn(number)).await;
        }
        let phones: Result<[Handset; N], _> = phones.try_into();
        (phones.ok().expect("a phone for each"), desk)
    }

    /// A desk that watches these.
    pub async fn desk(&self, numbers: &[&str]) -> Desk {
        let dns: Vec<String> = numbers.iter().map(|number| dn(number)).collect();
        Desk::on(self.http, &dns.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// Waits until the T-Server reaches a connector.
    pub async fn is_linked(&self) {
        self.is_ready(200).await;
    }

    /// Waits until each connector has told the T-Server how it is, which comes after it has learnt of the others.
    pub async fn is_whole(&self) {
        self.shows("/v1/connectors", |connectors| {
            connectors.iter().all(|connector| connector["state"] == "Running")
        })
        .await;
    }

    /// Waits until the T-Server is ready (200), or is not (503).
    pub async fn is_ready(&self, status: u16) {
        wait::until("the link", wait::SOON, async || {
            match http::get(self.http, "/readyz", None).await {
                Ok(response) if response.status == status => Ok(()),
                Ok(response) => Err(response.body),
                Err(error) => Err(error),
            }
        })
        .await;
    }

    /// Waits until every connector has heard of all the others.
    async fn know_each_other(&self) {
        if self.connectors.len() == 1 {
            return;
        }
        let others = format!("others={} ", self.connectors.len() - 1);
        wait::until("the connectors' acquaintance", wait::SOON, async || {
            let stranger = self.connectors.iter().find(|connector| !connector.log().contains(&others));
            stranger.map_or(Ok(()), |connector| Err(connector.program.tail()))
        })
        .await;
    }

    /// Waits until that many calls live.
    pub async fn has_calls(&self, count: usize) {
        self.shows("/v1/calls", |calls| calls.len() == count).await;
    }

    /// Waits until the items of a page are so.
    pub async fn shows(&self, page: &str, so: impl Fn(&[Value]) -> bool) {
        wait::until(page, wait::SOON, async || {
            let response = http::get(self.http, page, Some(API_KEY)).await?;
            let document: Value = serde_json::from_str(&response.body).map_err(|error| error.to_string())?;
            match document["items"].as_array() {
                Some(items) if so(items) => Ok(()),
                _ => Err(response.body),
            }
        })
        .await;
    }

    /// Kills the T-Server, so that it can do nothing about it.
    pub async fn kill_tserver(&mut self) {
        kill(&mut self.tserver).await;
    }

    /// Starts the T-Server again. The links come up later.
    pub async fn start_tserver(&mut self) {
        (self.tserver, self.http) = tserver(self.directory.path()).await;
    }

    /// Kills a connector.
    pub async fn kill(&mut self, index: usize) {
        kill(&mut self.connectors[index].program).await;
    }

    /// Kills a connector, and its disk with it.
    pub async fn lose(&mut self, index: usize) {
        self.kill(index).await;
        let journal = self.directory.path().join(format!("tandem-data/journal/connector-{index}"));
        std::fs::remove_dir_all(&journal).expect("the connector had a journal");
    }

    /// Starts a connector again.
    pub async fn start_again(&mut self, index: usize) {
        let connector = &mut self.connectors[index];
        connector.program = connector_of(self.directory.path(), &connector.name, &connector.sets).await;
    }
}

impl Connector {
    async fn start(directory: &Path, index: usize) -> Self {
        let sip = loopback(ports::free_port());
        let first = FIRST_MEDIA_PORT + MEDIA_PORTS * u16::try_from(index).expect("a few connectors");
        let sets = vec![
            format!("sip.listener=[{{ transport = \"udp\", bind = \"{sip}\" }}, {{ transport = \"tcp\", bind = \"{sip}\" }}]"),
            format!("media.port_first={first}"),
            format!("media.port_last={}", first + MEDIA_PORTS - 1),
        ];
        let name = name_of(index);
        let program = connector_of(directory, &name, &sets).await;
        Self {
            sip,
            program,
            name,
            sets,
        }
    }

    /// What it has logged since it was started last.
    pub fn log(&self) -> String {
        log_of(&self.program)
    }
}

/// What a process has logged.
pub fn log_of(program: &Program) -> String {
    std::fs::read_to_string(&program.log).expect("a log")
}

/// One phone calls another, which answers: the call at each of them.
pub async fn connect(caller: &Handset, called: &Handset) -> (CallNumber, CallNumber) {
    let there = caller.dials(&called.name).await;
    let here = called.takes().await;
    caller.is_answered(there).await;
    (there, here)
}

/// The same, and a desk is told of it.
pub async fn talk(desk: &mut Desk, caller: &Handset, called: &Handset) -> (ConnId, CallNumber, CallNumber) {
    let (there, here) = connect(caller, called).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &caller.dn()).await);
    (call, there, here)
}

/// A desk makes a call of one phone to another, and both answer.
pub async fn make_call(desk: &mut Desk, caller: &Handset, called: &Handset) -> (ConnId, CallNumber, CallNumber) {
    desk.request(ClientRequest::make_call(&caller.dn(), &called.name)).await;
    let there = caller.takes().await;
    let here = called.takes().await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &called.dn()).await);
    (call, there, here)
}

/// A desk puts a call on hold for a phone.
pub async fn hold(desk: &mut Desk, number: &str, call: ConnId) {
    desk.request(on_call(OnCall::HoldCall, number, call)).await;
    desk.expect(EventHeld, &dn(number)).await;
}

/// A desk takes it back.
pub async fn retrieve(desk: &mut Desk, number: &str, call: ConnId) {
    desk.request(on_call(OnCall::RetrieveCall, number, call)).await;
    desk.expect(EventRetrieved, &dn(number)).await;
}

/// A desk consults a phone out of a call, and the phone picks up: the consultation, and the call at the phone.
pub async fn consult(
    desk: &mut Desk,
    operation: OnCallWith,
    number: &str,
    main: ConnId,
    target: &Handset,
) -> (ConnId, CallNumber) {
    desk.request(with(operation, number, main, &target.name)).await;
    let consultation = Desk::call_of(&desk.expect(EventDialing, &dn(number)).await);
    let there = target.takes().await;
    desk.expect(EventEstablished, &target.dn()).await;
    (consultation, there)
}

/// Waits until each of these has heard the voices of these in its call.
pub async fn hear<const N: usize>(expected: [(&Handset, CallNumber, &[&str]); N]) {
    wait::until("the voices", wait::SOON, async || {
        let heard = expected.map(|(phone, call, voices)| phone.has_heard(call, voices));
        if heard == [true; N] {
            Ok(())
        } else {
            Err(format!("{heard:?}"))
        }
    })
    .await;
}

/// The configuration. Where SIP and audio are is each connector's own.
fn configuration(numbers: &[&str], tables: &str, links: &[&str]) -> String {
    let phone = |number: &&str| format!("[[dn]]\ndn = \"sip:{number}@tandem.local\"\ntrusted_sources = [\"127.0.0.0/8\"]\n");
    let phones: String = numbers.iter().map(phone).collect();
    let link = |(index, more): (usize, &&str)| {
        let (name, port) = (name_of(index), ports::free_port());
        format!("[[link]]\nname = \"{name}\"\nhostname = \"127.0.0.1\"\nport = {port}\naddp_timeout_s = 1\n{more}\n")
    };
    let links: String = links.iter().enumerate().map(link).collect();
    format!(
        "[server]\nname = \"rig\"\ndrain_timeout_s = 5\n\
         [sip]\ndomains = [\"tandem.local\", \"127.0.0.1\"]\nt1_ms = 50\nt2_ms = 200\nt4_ms = 100\n\
         [cti]\nbind = \"127.0.0.1:0\"\n\
         [[cti.api_key]]\nname = \"rig\"\nkey = \"{API_KEY}\"\nscopes = [\"cti\", \"read\", \"admin\"]\n\
         [log]\nfilter = \"info,tandem_actors::link=debug\"\n\
         {phones}{tables}\n{links}"
    )
}

fn name_of(index: usize) -> String {
    format!("connector{}", index + 1)
}

pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn kill(program: &mut Program) {
    program.signal(libc::SIGKILL);
    program.exit(wait::SOON).await;
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

async fn connector_of(directory: &Path, name: &str, sets: &[String]) -> Program {
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let arguments: Vec<_> = ["--name", name].into_iter().chain(sets).collect();
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
