//! SIPp: a scenario from `tests/interop/sipp`, run to its end.
//!
//! Two things are added to SIPp's XML, so that scenarios stay short: `<!-- part: NAME -->` stands for the file `parts/NAME.xml`,
//! and `{{key}}` for a value that the test sets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::program::Program;
use super::{ports, wait};

/// A run of SIPp in the making.
pub struct Sipp {
    scenario: String,
    remote: Option<SocketAddr>,
    transport: &'static str,
    port: u16,
    calls: u32,
    rate: u32,
    service: &'static str,
    values: Vec<(&'static str, String)>,
}

impl Sipp {
    /// A callee on this port.
    pub fn callee(scenario: &str, port: u16) -> Self {
        let transport = "u1";
        Self {
            scenario: scenario.into(),
            remote: None,
            transport,
            port,
            calls: 1,
            rate: 1,
            service: "2001",
            values: Vec::new(),
        }
    }

    /// A caller that calls through the server.
    pub fn caller(scenario: &str, server: SocketAddr) -> Self {
        Self {
            remote: Some(server),
            ..Self::callee(scenario, ports::free_port())
        }
    }

    /// Over TCP.
    pub fn tcp(mut self) -> Self {
        self.transport = "t1";
        self
    }

    /// So many calls, so many each second.
    pub fn calls(mut self, calls: u32, rate: u32) -> Self {
        (self.calls, self.rate) = (calls, rate);
        self
    }

    /// The number it calls, where that is not 2001.
    pub fn dials(mut self, number: &'static str) -> Self {
        self.service = number;
        self
    }

    /// What `{{key}}` stands for.
    pub fn value(mut self, key: &'static str, value: &str) -> Self {
        self.values.push((key, value.to_owned()));
        self
    }

    fn xml(&self) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sipp");
        let read = |path: PathBuf| std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut xml = read(folder.join(format!("{}.xml", self.scenario)));
        while let Some((before, rest)) = xml.split_once("<!-- part: ") {
            let (name, after) = rest.split_once(" -->").expect("the end of a comment");
            let part = read(folder.join("parts").join(format!("{name}.xml")));
            xml = format!("{before}{}{after}", part.trim_end());
        }
        for (key, value) in &self.values {
            xml = xml.replace(&format!("{{{{{key}}}}}"), value);
        }
        assert!(!xml.contains("{{"), "{}: a value is not set", self.scenario);
        xml
    }

    /// Starts it; a callee is bound when this returns.
    pub async fn start(self) -> Running {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("scenario.xml"), self.xml()).expect("the scenario is written");
        let mut command = Command::new("sipp");
        command.current_dir(directory.path()).env("TERM", "dumb");
        if let Some(remote) = self.remote {
            command.arg(remote.to_string());
        }
        command.args([
            "-sf",
            "scenario.xml",
            "-i",
            "127.0.0.1",
            "-nostdin",
            "-timeout_error",
            "-default_behaviors",
            "all,-bye",
        ]);
        command.args([
            "-trace_err",
            "-error_file",
            "errors.txt",
            "-trace_msg",
            "-message_file",
            "messages.txt",
        ]);
        for (option, value) in [
            ("-p", self.port.to_string()),
            ("-mp", ports::free_range(4).to_string()),
            ("-t", self.transport.to_owned()),
            ("-m", self.calls.to_string()),
            ("-r", self.rate.to_string()),
            ("-timeout", "30s".to_owned()),
            ("-s", self.service.to_owned()),
        ] {
            command.args([option, &value]);
        }
        let program = Program::start(&mut command, directory.path());
        if self.remote.is_none() {
            let protocol = if self.transport == "u1" { "udp" } else { "tcp" };
            wait::bound(&self.scenario, protocol, self.port).await;
        }
        Running {
            name: self.scenario,
            program,
            directory,
        }
    }

    /// Runs it to its end.
    pub async fn run(self) {
        self.start().await.succeeds().await;
    }
}

/// A running SIPp.
pub struct Running {
    name: String,
    program: Program,
    directory: TempDir,
}

impl Running {
    /// Waits until it ends; every call must have gone as the scenario says.
    pub async fn succeeds(mut self) {
        let status = self.program.exit(Duration::from_secs(45)).await;
        if !status.success() {
            let text = |name: &str| {
                let text = std::fs::read(self.directory.path().join(name)).unwrap_or_default();
                String::from_utf8_lossy(&text).chars().take(12_000).collect::<String>()
            };
            panic!(
                "SIPp {}: {status}\n--- errors\n{}\n--- messages\n{}",
                self.name,
                text("errors.txt"),
                text("messages.txt")
            );
        }
    }
}
