//! A real Prometheus that scrapes the server once a second.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::program::Program;
use super::{http, ports};

/// A running Prometheus.
pub struct Prometheus {
    address: SocketAddr,
    _program: Program,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts it.
    pub fn start(target: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free_port()));
        let config = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: tandem\n    static_configs:\n      \
             - targets: ['{target}']\n"
        );
        std::fs::write(directory.path().join("prometheus.yml"), config).expect("the configuration is written");
        let mut command = Command::new("prometheus");
        command
            .current_dir(directory.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={address}"));
        let program = Program::start(&mut command, directory.path());
        Self {
            address,
            _program: program,
            _directory: directory,
        }
    }

    /// The value of a query that gives one.
    pub async fn query(&self, expression: &str) -> Result<f64, String> {
        let expression: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let response = http::get(self.address, &format!("/api/v1/query?query={expression}"), None).await?;
        let answer: Value = serde_json::from_str(&response.body).map_err(|error| format!("{error}: {}", response.body))?;
        let value = answer.pointer("/data/result/0/value/1").and_then(Value::as_str);
        value.and_then(|value| value.parse().ok()).ok_or_else(|| answer.to_string())
    }
}
