//! `drain`: connector after connector is drained and taken back, while calls are up and arrive. No caller is to notice.
//!
//! Invariant: one connector is drained at a time, and the next one when the one before is Running again.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bench::{Bench, Size};
use crate::cli::Drain;
use crate::crash;
use crate::pages::{Connector, Pages};
use crate::report::{Mark, Report};
use crate::world::Schedule;

/// How often the state of a connector is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a connector may take to change its state, beyond the time that its last call lasts: SIP transactions live for 32 s after their end.
const LIMIT: Duration = Duration::from_secs(60);
/// How long it may take until all calls are up, beyond the time that the rate asks for.
const UP_LIMIT: Duration = Duration::from_secs(20);
/// How much fewer calls than asked for are all of them: some are always just ending.
const NEARLY: f64 = 0.95;

/// The drain of one connector.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Drained {
    /// Which.
    pub connector: u16,
    /// Its SIP sessions (legs) when the drain began.
    pub sessions: u64,
    /// Calls that were up then.
    pub up: u64,
    /// Calls that began until it was Running again.
    pub began: u64,
    /// Calls that failed meanwhile.
    pub failed: u64,
    /// From the drain to Suspended, in milliseconds.
    pub suspended_ms: Option<f64>,
    /// From the end of the drain, or of the process, to Running, in milliseconds.
    pub running_ms: Option<f64>,
    /// What did not happen.
    pub missing: Option<String>,
}

/// What is to be set up; an error where the options cannot be together.
pub fn size(drain: &Drain) -> Result<Size, String> {
    let rules = [
        (
            drain.hold_secs <= 0.0 || drain.rate <= 0.0,
            "--hold-secs, --rate: more than zero",
        ),
        (
            drain.calls as f64 > drain.rate * drain.hold_secs,
            "--calls: no more than --rate times --hold-secs can be up",
        ),
        (drain.common.trunk_number.is_some(), "drain: not over a trunk"),
        (
            drain.common.metrics == "none",
            "drain: --metrics says where the server's pages are",
        ),
        (
            drain.restart && drain.processes.connectors == 0,
            "--restart: of connectors that are processes (--connectors)",
        ),
        (drain.rounds == 0, "--rounds: at least one"),
    ];
    if let Some((_, rule)) = rules.iter().find(|(broken, _)| *broken) {
        return Err((*rule).to_owned());
    }
    Ok(Size {
        calls: drain.calls,
        phones_per_call: 2,
        fleet: crash::order(&drain.processes, &drain.common, false)?,
        across: drain.processes.share_across()?,
        sets: drain
            .threads
            .map(|count| format!("connectors.count={count}"))
            .into_iter()
            .collect(),
    })
}

/// Runs it.
pub async fn run(drain: &Drain, bench: &mut Bench) -> Result<Report, String> {
    let before = Mark::now(bench);
    let pages = bench.pages();
    let connectors = pages.connectors().await?;
    if connectors.len() < 2 {
        return Err(format!(
            "drain: the server has {} connectors, and it takes two",
            connectors.len()
        ));
    }
    bring_up(drain, bench).await?;
    let mut drains = Vec::new();
    for _ in 0..drain.rounds {
        for connector in &connectors {
            tokio::time::sleep(Duration::from_secs_f64(drain.between_secs)).await;
            drains.push(roll(drain, connector.id, &pages, bench).await?);
        }
    }
    bench.world.borrow_mut().schedule = None;
    let bar = bench.spinner("calls end");
    let limit = Instant::now() + Duration::from_secs_f64(drain.hold_secs) + LIMIT;
    while bench.world.borrow().calls_open() > 0 && Instant::now() < limit {
        tokio::time::sleep(LOOK).await;
    }
    bar.finish_and_clear();
    let mut report = Report::new("drain", bench, &before);
    report.drains = drains;
    Ok(report)
}

async fn bring_up(drain: &Drain, bench: &Bench) -> Result<(), String> {
    let bar = bench.bar("setting up", drain.calls);
    let (now, hold) = (Instant::now(), Duration::from_secs_f64(drain.hold_secs));
    bench.world.borrow_mut().schedule = Some(Schedule::new(u64::MAX, drain.rate, drain.calls, Some(hold), now));
    let limit = now + Duration::from_secs_f64(drain.calls as f64 / drain.rate) + UP_LIMIT;
    loop {
        let up = up(bench);
        bar.set_position(up);
        if up as f64 >= drain.calls as f64 * NEARLY {
            bar.finish_and_clear();
            return Ok(());
        }
        if Instant::now() > limit {
            return Err(format!("only {up} of {} calls are up", drain.calls));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn up(bench: &Bench) -> u64 {
    bench.world.borrow().calls_up().len() as u64
}

/// Drains one connector and takes it back.
async fn roll(drain: &Drain, connector: u16, pages: &Pages, bench: &mut Bench) -> Result<Drained, String> {
    let bar = bench.spinner("draining");
    bar.set_message(format!("connector {connector}"));
    let counts = |bench: &Bench| {
        let stats = &bench.world.borrow().stats;
        (stats.attempted, stats.failures())
    };
    let before = counts(bench);
    let sessions = find(pages, connector).await?.dialogs;
    let mut drained = Drained {
        connector,
        sessions,
        up: up(bench),
        ..Drained::default()
    };
    let patience = Duration::from_secs_f64(drain.hold_secs) + LIMIT;
    let began = Instant::now();
    pages.drain(connector).await?;
    match becomes(pages, connector, "Suspended", patience).await {
        Ok(()) => drained.suspended_ms = Some(began.elapsed().as_secs_f64() * 1000.0),
        Err(missing) => drained.missing = Some(missing),
    }
    if let (true, Some(fleet)) = (drain.restart, bench.fleet()) {
        fleet.stop_connector(connector.into()).await?;
        let ready = fleet.start_connector(connector.into())?;
        ready
            .await
            .map_err(|_| format!("connector {connector} does not get ready again"))?;
        state(pages, connector, |state| state != "Disconnected", LIMIT).await?;
    }
    let returned = Instant::now();
    pages.take_back(connector).await?;
    match becomes(pages, connector, "Running", LIMIT).await {
        Ok(()) => drained.running_ms = Some(returned.elapsed().as_secs_f64() * 1000.0),
        Err(missing) => drained.missing = Some(missing),
    }
    let after = counts(bench);
    (drained.began, drained.failed) = (after.0 - before.0, after.1 - before.1);
    bar.finish_and_clear();
    Ok(drained)
}

async fn find(pages: &Pages, connector: u16) -> Result<Connector, String> {
    let all = pages.connectors().await?;
    let found = all.into_iter().find(|entry| entry.id == connector);
    found.ok_or_else(|| format!("connector {connector} is not on the page of connectors"))
}

async fn becomes(pages: &Pages, connector: u16, wanted: &str, patience: Duration) -> Result<(), String> {
    let reached = state(pages, connector, |state| state == wanted, patience).await;
    reached.map_err(|reason| format!("{reason}, and not {wanted}"))
}

/// Waits until a connector has such a state.
async fn state(pages: &Pages, connector: u16, is_such: impl Fn(&str) -> bool, patience: Duration) -> Result<(), String> {
    let limit = Instant::now() + patience;
    loop {
        let now = find(pages, connector).await?.state;
        if is_such(&now) {
            return Ok(());
        }
        if Instant::now() > limit {
            return Err(format!("connector {connector} is {now} still"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The drains, one by one.
pub fn show(drains: &[Drained], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let time = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.0} ms"));
    for drained in drains {
        writeln!(
            f,
            "  connector {}  {} calls up ({} legs here), Suspended after {}, Running after {}; {} calls began, {} failed",
            drained.connector,
            drained.up,
            drained.sessions,
            time(drained.suspended_ms),
            time(drained.running_ms),
            drained.began,
            drained.failed
        )?;
        if let Some(missing) = &drained.missing {
            writeln!(f, "    {missing}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn sized(line: &str) -> Result<Size, String> {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Drain(drain) => size(&drain),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_that_cannot_be_together_are_told() {
        let size = sized("tandem-load drain --threads 3 --server-bin t --server-config c").unwrap();
        assert_eq!((size.sets, size.fleet), (vec!["connectors.count=3".to_owned()], None));
        let size = sized("tandem-load drain --connectors 3 --restart --server-bin t --server-config c").unwrap();
        assert_eq!(size.fleet.map(|order| (order.connectors, order.namespaces)), Some((3, false)));
        for bad in [
            "tandem-load drain --calls 200 --rate 10 --hold-secs 5",
            "tandem-load drain --restart",
            "tandem-load drain --connectors 3",
            "tandem-load drain --rounds 0",
        ] {
            assert!(sized(bad).is_err(), "{bad}");
        }
    }
}
