//! Tandem's load generator: a black box that speaks SIP, RTP and CTI to a server from outside.
//!
//! ```text
//! cli -> hold | media | ramp | soak | mix | crash | drain | make_call -> bench (links, phones, desks, server) -> world -> { call, registration, cti::check }
//!                                                                       |        |
//!                                            transport, cti::desk, rtp (sockets)   fleet (processes, namespaces)   report <- stats, server, pages (/proc, HTTP)
//! ```
//! The legs of calls, registrations and the checks of event streams are pure machines; [`run`] is a shell on one thread (plus
//! one for RTP), light enough to share a machine with the server. It knows nothing of the server but its protocols: SIP
//! messages are written and read by rsip, an independent implementation, and CTI requests by the client side of tandem-wire.

mod bench;
mod call;
pub mod cli;
mod crash;
mod cti;
mod drain;
mod fleet;
mod hold;
mod http;
mod make_call;
mod media;
mod mix;
mod pages;
mod profile;
mod ramp;
mod registration;
mod report;
mod rtp;
mod server;
mod sip;
mod soak;
mod stats;
mod transport;
mod world;

use std::path::Path;

use bench::Size;
use cli::{Cli, Command};

pub use report::Report;

/// Runs a command to its report; an error is a run that could not be set up.
///
/// Must run within a [`tokio::task::LocalSet`] of a current-thread runtime.
pub async fn run(cli: &Cli) -> Result<Report, String> {
    let mut common = cli.command.common().clone();
    common.rtp |= matches!(cli.command, Command::Media(_));
    let common = &common;
    let size = match &cli.command {
        Command::Hold(hold) => Size::of_calls(hold.calls),
        Command::Media(media) => Size::of_calls(media.calls),
        Command::Ramp(ramp) => Size::of_calls(ramp::concurrency(ramp)),
        Command::Soak(soak) => Size::of_calls(soak.concurrency),
        Command::Mix(mix) => Size {
            phones_per_call: mix::PHONES_PER_CALL,
            ..Size::of_calls(mix.concurrency)
        },
        Command::Crash(crash) => crash::size(crash)?,
        Command::Drain(drain) => drain::size(drain)?,
        Command::MakeCall(make_call) => Size::of_calls(make_call.background + 1),
    };
    let mut bench = bench::Bench::open(common, size).await?;
    let mut report = match &cli.command {
        Command::Hold(hold) => hold::run(hold, &mut bench).await,
        Command::Media(media) => media::run(media, &mut bench).await,
        Command::Ramp(ramp) => ramp::run(ramp, &mut bench).await,
        Command::Soak(soak) => soak::run(soak, &mut bench).await,
        Command::Mix(mix) => mix::run(mix, &mut bench).await?,
        Command::Crash(crash) => crash::run(crash, &mut bench).await?,
        Command::Drain(drain) => drain::run(drain, &mut bench).await?,
        Command::MakeCall(make_call) => make_call::run(make_call, &mut bench).await,
    };
    match bench.close().await {
        Ok(left) => report.gauges_not_zero = left,
        Err(reason) => report.reasons.push(reason),
    }
    report.reasons.extend(bench.stop_server().await.err());
    report.judge();
    if let Some(file) = &common.json {
        write_json(&report, file)?;
    }
    Ok(report)
}

fn write_json(report: &Report, file: &Path) -> Result<(), String> {
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    std::fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))
}
