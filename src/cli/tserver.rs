//! `tandem tserver`: the T-Server side, until a signal ends it. Calls go on at their connectors.

use std::process::ExitCode;

use tandem_config::Config;

use super::serve::{ServeArgs, StopSignals, operate, prepare, refuse};
use crate::boot::TServer;
use crate::boot::reload::Sources;
use crate::telemetry::MetricsPages;

/// Runs it.
pub fn run(args: &ServeArgs) -> ExitCode {
    match prepare(args) {
        Ok((config, metrics)) => actix_rt::System::new().block_on(serve(&config, args.sources(), metrics)),
        Err(code) => code,
    }
}

async fn serve(config: &Config, sources: Sources, metrics: MetricsPages) -> ExitCode {
    let Ok(mut signals) = StopSignals::listen_or_tell() else {
        return ExitCode::FAILURE;
    };
    let server = match TServer::start(config, sources, metrics).await {
        Ok(server) => server,
        Err(error) => return refuse(&error),
    };
    // Scripts wait for this line; it is the only one on standard output.
    println!("ready: CTI and HTTP on {}", server.cti_address);
    operate(&server.administration, &mut signals).await;
    server.stop().await;
    ExitCode::SUCCESS
}
