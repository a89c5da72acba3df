//! `tandem serve`: the server, until a signal ends it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tandem_config::{Config, environment};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::boot::Server;
use crate::telemetry::{self, MetricsPages};

/// Arguments of `tandem serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file (TOML). `tandem config options` explains every option.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one option over the file and the environment, such as `sip.t1_ms=250`. May be given again.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Runs the server.
pub fn run(args: &ServeArgs) -> ExitCode {
    match prepare(args) {
        Ok((config, metrics)) => actix_rt::System::new().block_on(serve(&config, metrics)),
        Err(code) => code,
    }
}

/// What comes before every server: its configuration, logs and metrics.
pub(super) fn prepare(args: &ServeArgs) -> Result<(Config, MetricsPages), ExitCode> {
    let loaded = match Config::load(args.config.as_deref(), &args.sets, environment()) {
        Ok(loaded) => loaded,
        Err(problems) => return Err(super::config::refuse(&problems)),
    };
    let config = loaded.config;
    let metrics = match telemetry::install_logs(config.log.format, &config.log.filter).and_then(|()| MetricsPages::install()) {
        Ok(metrics) => metrics,
        Err(error) => {
            eprintln!("tandem: {error}");
            return Err(ExitCode::FAILURE);
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok((config, metrics))
}

async fn serve(config: &Config, metrics: MetricsPages) -> ExitCode {
    let mut stop = match StopSignals::listen() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("tandem: signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let server = match Server::start(config, metrics).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("tandem: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Scripts wait for this line; it is the only one on standard output.
    println!("ready: CTI and HTTP on {}", server.cti_address);
    stop.next().await;
    let deadline = Duration::from_secs(config.server.drain_timeout_s);
    server
        .drain(async {
            tokio::select! {
                () = stop.next() => tracing::warn!("a second signal: not waiting for the calls"),
                () = tokio::time::sleep(deadline) => tracing::warn!(?deadline, "the calls did not end in time"),
            }
        })
        .await;
    server.stop().await;
    ExitCode::SUCCESS
}

/// SIGTERM and SIGINT. SIGHUP, which would end a process that does not listen for it, is answered with a log line: nothing is reloaded.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl StopSignals {
    /// Listens from now on.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one.
    pub async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => tracing::warn!("SIGHUP: this version does not reload its configuration; restart it"),
            }
        }
    }
}
