//! The `tandem` command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tandem::cli::Cli::parse().run()
}
