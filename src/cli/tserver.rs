//! `tandem tserver`: the T-Server side, until a signal ends it. Calls go on at their connectors.

use std::process::ExitCode;

use tandem_config::Config;

use super::serve::{ServeArgs, StopSignals, prepare};
use crate::boot::TServer;
use crate::telemetry::MetricsPages;

/// Runs it.
pub fn run(args: &ServeArgs) -> ExitCode {
    match prepare(args) {
        Ok((config, metrics)) => actix_rt::System::new().block_on(serve(&config, metrics)),
        Err(code) => code,
    }
}

async fn serve(config: &Config, metrics: MetricsPages) -> ExitCode {
    let mut stop = match StopSignals::listen() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("tandem: signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let server = match TServer::start(config, metrics).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("tandem: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Scripts wait for this line; it is the only one on standard output.
    println!("ready: CTI and HTTP on {}", server.cti_address);
    stop.next().await;
    server.stop().await;
    ExitCode::SUCCESS
}
