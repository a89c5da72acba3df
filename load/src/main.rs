//! The `tandem-load` command: see `tandem-load --help`.

use std::process::ExitCode;

use clap::Parser;
use tandem_load::Report;
use tandem_load::cli::Cli;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return unusable(&error.to_string()),
    };
    let local = tokio::task::LocalSet::new();
    match local.block_on(&runtime, run_until_interrupted(&cli)) {
        Ok(report) => {
            print!("{report}");
            ExitCode::from(u8::from(!report.passed))
        }
        Err(reason) => unusable(&reason),
    }
}

/// A run that is interrupted takes down what it has set up: the processes of the server, and their network.
async fn run_until_interrupted(cli: &Cli) -> Result<Report, String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    tokio::select! {
        report = tandem_load::run(cli) => report,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    }
}

fn unusable(reason: &str) -> ExitCode {
    eprintln!("tandem-load: {reason}");
    ExitCode::from(2)
}
