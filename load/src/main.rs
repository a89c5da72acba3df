//! The `tandem-load` command: see `tandem-load --help`.

use std::process::ExitCode;

use clap::Parser;
use tandem_load::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return unusable(&error.to_string()),
    };
    let local = tokio::task::LocalSet::new();
    match local.block_on(&runtime, tandem_load::run(&cli)) {
        Ok(report) => {
            print!("{report}");
            ExitCode::from(u8::from(!report.passed))
        }
        Err(reason) => unusable(&reason),
    }
}

fn unusable(reason: &str) -> ExitCode {
    eprintln!("tandem-load: {reason}");
    ExitCode::from(2)
}
