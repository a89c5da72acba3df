//! The command line: one file per command.
//!
//! Without a command the demo runs, so that `cargo run --release` shows something. Exit codes: 0 done, 1 the command failed,
//! 2 the command line is wrong.

pub mod config;
pub mod connector;
pub mod demo;
pub mod journal;
mod manual;
pub mod serve;
pub mod tserver;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tandem: a CTI server with T-Library semantics and the SIP platform under it.
///
/// Without a command, the demo runs: a server on loopback with simulated phones that call each other over real SIP and RTP.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, arg_required_else_help = false)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server: T-Server and connectors in one process.
    #[command(after_long_help = manual::serve())]
    Serve(serve::ServeArgs),
    /// Run the T-Server side alone: CTI and HTTP, with its connectors in other processes (`[[link]]`).
    #[command(after_long_help = manual::tserver())]
    Tserver(serve::ServeArgs),
    /// Run one connector alone: SIP and media, with its T-Server in another process.
    #[command(after_long_help = manual::connector())]
    Connector(connector::ConnectorArgs),
    /// Run the demo: a server on loopback, simulated phones, calls in a loop, one line per event.
    Demo(demo::DemoArgs),
    /// Check, show and explain the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look into the journal: what a server has kept for the next one.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.command {
            None => demo::run(&demo::DemoArgs::default()),
            Some(Command::Demo(args)) => demo::run(&args),
            Some(Command::Serve(args)) => serve::run(&args),
            Some(Command::Tserver(args)) => tserver::run(&args),
            Some(Command::Connector(args)) => connector::run(&args),
            Some(Command::Config(command)) => config::run(command),
            Some(Command::Journal(command)) => journal::run(&command),
        }
    }
}
