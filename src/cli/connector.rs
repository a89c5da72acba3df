//! `tandem connector`: one connector, until a signal ends it.

use std::process::ExitCode;

use clap::Args;
use tandem_config::Config;

use super::serve::{ServeArgs, StopSignals, prepare};
use crate::boot::Connector;
use crate::telemetry::MetricsPages;

/// Arguments of `tandem connector`.
#[derive(Debug, Args)]
pub struct ConnectorArgs {
    /// Which connector: the `name` of its `[[link]]`.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The configuration, the T-Server's own.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// Runs it.
pub fn run(args: &ConnectorArgs) -> ExitCode {
    match prepare(&args.serve) {
        Ok((config, metrics)) => actix_rt::System::new().block_on(serve(&config, &args.name, metrics)),
        Err(code) => code,
    }
}

async fn serve(config: &Config, name: &str, metrics: MetricsPages) -> ExitCode {
    let mut stop = match StopSignals::listen() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("tandem: signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let connector = match Connector::start(config, name, metrics).await {
        Ok(connector) => connector,
        Err(error) => {
            eprintln!("tandem: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Scripts wait for this line; it is the only one on standard output.
    println!("ready: connector {name}, link on {}", connector.link_address);
    stop.next().await;
    connector.stop().await;
    ExitCode::SUCCESS
}
