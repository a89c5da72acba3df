//! `tandem serve`: the server, until a signal ends it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tandem_config::{Config, environment};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::boot::notify::Notify;
use crate::boot::reload::Sources;
use crate::boot::{Administration, Server, StartError};
use crate::telemetry::{self, MetricsPages};

/// What the farewells of a stop may take: to the phones, to the clients, to those who ask over HTTP.
const FAREWELL: Duration = Duration::from_secs(20);

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

impl ServeArgs {
    /// Where the configuration comes from.
    pub(super) fn sources(&self) -> Sources {
        Sources {
            file: self.config.clone(),
            sets: self.sets.clone(),
        }
    }
}

/// A process that has been started.
pub(super) struct Started<E> {
    /// The line that says that it is ready.
    pub ready_line: String,
    /// What signals do to it.
    pub administration: Arc<Administration>,
    /// Ends it, when it is awaited.
    pub end: E,
}

impl<E: Future<Output = ()>> Started<E> {
    /// One with CTI and HTTP at this address.
    pub fn with_cti(address: SocketAddr, administration: Arc<Administration>, end: E) -> Self {
        Self {
            ready_line: format!("ready: CTI and HTTP on {address}"),
            administration,
            end,
        }
    }
}

/// Runs the server.
pub fn run(args: &ServeArgs) -> ExitCode {
    run_until_signalled(args, async |config: &Config, sources, metrics| {
        let server = Server::start_administered(config, sources, metrics).await?;
        Ok(Started::with_cti(
            server.cti_address,
            server.administration.clone(),
            server.stop(),
        ))
    })
}

/// Starts a process, and serves until a signal ends it.
pub(super) fn run_until_signalled<E: Future<Output = ()>>(
    args: &ServeArgs,
    start: impl AsyncFnOnce(&Config, Sources, MetricsPages) -> Result<Started<E>, StartError>,
) -> ExitCode {
    let (config, metrics) = match prepare(args) {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    actix_rt::System::new().block_on(async {
        let mut signals = match StopSignals::listen() {
            Ok(signals) => signals,
            Err(error) => return refuse(&format!("signals: {error}")),
        };
        let started = match start(&config, args.sources(), metrics).await {
            Ok(started) => started,
            Err(error) => return refuse(&error),
        };
        // Scripts wait for this line; it is the only one on standard output.
        println!("{}", started.ready_line);
        operate(&started.administration, &mut signals).await;
        started.end.await;
        ExitCode::SUCCESS
    })
}

/// What comes before every server: its configuration, logs and metrics.
fn prepare(args: &ServeArgs) -> Result<(Config, MetricsPages), ExitCode> {
    let loaded = match Config::load(args.config.as_deref(), &args.sets, environment()) {
        Ok(loaded) => loaded,
        Err(problems) => return Err(super::config::refuse(&problems)),
    };
    let config = loaded.config;
    let metrics = match telemetry::install_logs(config.log.format, &config.log.filter).and_then(|()| MetricsPages::install()) {
        Ok(metrics) => metrics,
        Err(error) => return Err(refuse(&error)),
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok((config, metrics))
}

/// Says why nothing was started.
fn refuse(error: &dyn Display) -> ExitCode {
    eprintln!("tandem: {error}");
    ExitCode::FAILURE
}

/// Does what signals ask for, and tells the service manager, until the process is to stop.
async fn operate(administration: &Administration, signals: &mut StopSignals) {
    let notify = Notify::from_environment();
    notify.ready("Running");
    tokio::select! {
        () = administration.drain.over(&notify) => {}
        () = obey(signals, administration, &notify) => {}
        () = notify.feed_watchdog(&administration.gateway) => {}
    }
    notify.stopping("Stopping", FAREWELL);
}

/// Never done.
async fn obey(signals: &mut StopSignals, administration: &Administration, notify: &Notify) {
    loop {
        match signals.next_order().await {
            Order::Stop => administration.stop_signalled(),
            Order::Reload => {
                tracing::info!("SIGHUP: reading the configuration again");
                notify.reloading();
                let reload = administration.reload.clone();
                // What comes of it stands in the log.
                let reading = tokio::task::spawn_blocking(move || reload.reload()).await;
                notify.ready(match reading {
                    Ok(Ok(_)) => "Running",
                    _ => "Running; the configuration was not valid when it was read again",
                });
            }
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// SIGTERM or SIGINT: the end, for a server first of new calls.
    Stop,
    /// SIGHUP: the configuration is to be read again.
    Reload,
}

/// SIGTERM and SIGINT; and SIGHUP, which would end a process that does not listen for it.
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
    pub async fn next_order(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.hangup.recv() => Order::Reload,
        }
    }

    /// Waits for one that ends a process which cannot read its configuration again.
    pub async fn next(&mut self) {
        while self.next_order().await == Order::Reload {
            tracing::warn!("SIGHUP: this process does not read its configuration again; restart it");
        }
    }
}
