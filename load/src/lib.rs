//! Tandem's load generator: a black box that speaks SIP, RTP and CTI to a server from outside.
//!
//! ```text
//! cli -> hold | media | ramp | soak | mix | crash | make_call -> bench (links, phones, desks, server) -> world -> { call, registration, cti::check }
//!                                                                       |
//!                                            transport, cti::desk, rtp (sockets)      report <- stats, server (/proc, /metrics)
//! ```
//! The legs of calls, registrations and the checks of event streams are pure machines; [`run`] is a shell on one thread (plus
//! one for RTP), light enough to share a machine with the server. It knows nothing of the server but its protocols: SIP
//! messages are written and read by rsip, an independent implementation, and CTI requests by the client side of tandem-wire.

mod bench;
mod call;
pub mod cli;
mod crash;
mod cti;
mod hold;
mod make_call;
mod media;
mod mix;
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

use cli::{Cli, Command};

pub use report::Report;

/// Runs a command to its report; an error is a run that could not be set up.
///
/// Must run within a [`tokio::task::LocalSet`] of a current-thread runtime.
pub async fn run(cli: &Cli) -> Result<Report, String> {
    let mut common = cli.command.common().clone();
    common.rtp |= matches!(cli.command, Command::Media(_));
    let common = &common;
    let concurrency = match &cli.command {
        Command::Hold(hold) => hold.calls,
        Command::Media(media) => media.calls,
        Command::Ramp(ramp) => ramp::concurrency(ramp),
        Command::Soak(soak) => soak.concurrency,
        Command::Mix(mix) => mix.concurrency,
        Command::Crash(crash) => crash::concurrency(crash)?,
        Command::MakeCall(make_call) => make_call.background + 1,
    };
    let phones_per_call = match &cli.command {
        Command::Mix(_) => mix::PHONES_PER_CALL,
        Command::Crash(crash) if crash.mix => mix::PHONES_PER_CALL,
        _ => 2,
    };
    let mut bench = bench::Bench::open(common, concurrency, phones_per_call).await?;
    let mut report = match &cli.command {
        Command::Hold(hold) => hold::run(hold, &mut bench).await,
        Command::Media(media) => media::run(media, &mut bench).await,
        Command::Ramp(ramp) => ramp::run(ramp, &mut bench).await,
        Command::Soak(soak) => soak::run(soak, &mut bench).await,
        Command::Mix(mix) => mix::run(mix, &mut bench).await?,
        Command::Crash(crash) => crash::run(crash, &mut bench).await?,
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
