//! `tandem connector`: one connector, until a signal ends it and its calls have ended.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use tandem_config::Config;

use super::serve::{ServeArgs, Started, run_until_signalled};
use crate::boot::{Connector, Which};

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
    run_until_signalled(&args.serve, async |config: &Config, sources, metrics| {
        let connector = Connector::start(config, &which, sources, metrics).await?;
        let (name, link) = (&which.name, connector.link_address);
        Ok(Started {
            ready_line: match connector.http_address {
                Some(http) => format!("ready: connector {name}, link on {link}, HTTP on {http}"),
                None => format!("ready: connector {name}, link on {link}"),
            },
            administration: connector.administration.clone(),
            end: connector.stop(),
        })
    })
}
