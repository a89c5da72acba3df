//! `tandem connector`: one connector, until a signal ends it and its calls have ended.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use tandem_config::Config;

use super::serve::{ServeArgs, StopSignals, operate, prepare, refuse};
use crate::boot::reload::Sources;
use crate::boot::{Connector, Which};
use crate::telemetry::MetricsPages;

/// Arguments of `tandem connector`.
#[derive(Debug, Args)]
pub struct ConnectorArgs {
    /// Which connector: the `name` of its `[[link]]`.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Where its health, metrics and administration are served; `http_bind` of its `[[link]]` where absent. Port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub http: Option<SocketAddr>,
    /// The configuration, the T-Server's own.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// Runs it.
pub fn run(args: &ConnectorArgs) -> ExitCode {
    let which = Which {
        name: args.name.clone(),
        http: args.http,
    };
    match prepare(&args.serve) {
        Ok((config, metrics)) => actix_rt::System::new().block_on(serve(&config, &which, args.serve.sources(), metrics)),
        Err(code) => code,
    }
}

async fn serve(config: &Config, which: &Which, sources: Sources, metrics: MetricsPages) -> ExitCode {
    let Ok(mut signals) = StopSignals::listen_or_tell() else {
        return ExitCode::FAILURE;
    };
    let connector = match Connector::start(config, which, sources, metrics).await {
        Ok(connector) => connector,
        Err(error) => return refuse(&error),
    };
    let (name, link) = (&which.name, connector.link_address);
    // Scripts wait for this line; it is the only one on standard output.
    match connector.http_address {
        Some(http) => println!("ready: connector {name}, link on {link}, HTTP on {http}"),
        None => println!("ready: connector {name}, link on {link}"),
    }
    operate(&connector.administration, &mut signals).await;
    connector.stop().await;
    ExitCode::SUCCESS
}
