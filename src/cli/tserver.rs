//! `tandem tserver`: the T-Server side, until a signal ends it. Calls go on at their connectors.

use std::process::ExitCode;

use tandem_config::Config;

use super::serve::{ServeArgs, Started, run_until_signalled};
use crate::boot::TServer;

/// Runs it.
pub fn run(args: &ServeArgs) -> ExitCode {
    run_until_signalled(args, async |config: &Config, sources, metrics| {
        let tserver = TServer::start(config, sources, metrics).await?;
        Ok(Started::with_cti(
            tserver.cti_address,
            tserver.administration.clone(),
            tserver.stop(),
        ))
    })
}
