//! One connector of several is taken away while calls are up: killed, stopped by a signal, or cut off from its T-Server.
//!
//! Calls of the others go on meanwhile and arrive, and none of them may fail. When the connector is back, its calls are tried, and then
//! all others. Who owns the DNs is looked at all the time.
//!
//! Invariant: what was done to the connector is undone before its calls are tried.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{DRAIN, LOOK, Pace, RECOVERY_LIMIT, Round, Start, give_up, ms};
use crate::bench::Bench;
use crate::cli::{Crash, Fault};
use crate::fleet::Fleet;
use crate::pages::{Ownership, Pages};
use crate::world::Recovery;

/// How often owners are looked at.
const SAMPLE: Duration = Duration::from_secs(1);

/// One round.
pub(super) async fn round(crash: &Crash, fault: Fault, victim: usize, bench: &mut Bench) -> Result<Round, String> {
    let start = Start::now(bench);
    let owners = Rc::new(RefCell::new(Ownership::default()));
    let sampling = tokio::task::spawn_local(sample(bench.pages(), owners.clone()));
    let bar = bench.spinner("taken away");

    bench.world.borrow_mut().strike(victim, Instant::now());
    take_away(fleet(bench)?, fault, victim)?;
    tokio::time::sleep(DRAIN).await;
    bench.world.borrow_mut().look_back(Instant::now());
    tokio::time::sleep(absence(crash, fault)).await;

    let started = Instant::now();
    bench.world.borrow_mut().restarted(started);
    let ready = Rc::new(Cell::new(None));
    give_back(fleet(bench)?, fault, victim, started, ready.clone())?;
    bar.set_message("given back");
    recover(crash, bench, started).await?;
    sampling.abort();
    bar.finish_and_clear();

    let mut round = start.end(bench);
    round.fault = fault.name().to_owned();
    round.connector = Some(victim);
    round.ready_ms = ready.get();
    let owners = owners.borrow();
    (round.owners_seen, round.owners_unseen) = (owners.samples, owners.unanswered);
    (round.owned_twice, round.most_owned) = (owners.twice.clone(), owners.most);
    Ok(round)
}

fn fleet(bench: &mut Bench) -> Result<&mut Fleet, String> {
    bench
        .fleet()
        .ok_or_else(|| "the connectors have no processes of their own".to_owned())
}

fn absence(crash: &Crash, fault: Fault) -> Duration {
    Duration::from_secs_f64(match fault {
        Fault::Cut => crash.cut_secs,
        Fault::Pause => crash.pause_secs,
        Fault::KillConnector | Fault::KillTserver | Fault::All => crash.down_secs,
    })
}

fn take_away(fleet: &mut Fleet, fault: Fault, victim: usize) -> Result<(), String> {
    match fault {
        Fault::Cut => fleet.set_link(victim, false),
        Fault::Pause => fleet.signal_connector(victim, libc::SIGSTOP),
        Fault::KillConnector | Fault::KillTserver | Fault::All => fleet.kill_connector(victim),
    }
}

fn give_back(
    fleet: &mut Fleet,
    fault: Fault,
    victim: usize,
    started: Instant,
    told: Rc<Cell<Option<f64>>>,
) -> Result<(), String> {
    match fault {
        Fault::Cut => fleet.set_link(victim, true),
        Fault::Pause => fleet.signal_connector(victim, libc::SIGCONT),
        Fault::KillConnector | Fault::KillTserver | Fault::All => {
            let ready = fleet.start_connector(victim)?;
            tokio::task::spawn_local(async move {
                if ready.await.is_ok() {
                    told.set(Some(ms(started.elapsed())));
                }
            });
            Ok(())
        }
    }
}

/// Tries the calls of the connector, and then all others, until all is over or has taken too long.
async fn recover(crash: &Crash, bench: &mut Bench, started: Instant) -> Result<(), String> {
    let calls = bench.world.borrow().recovery.as_ref().map_or(0, Recovery::established);
    let by_rate = Duration::from_secs_f64((calls as u64 + crash.calls) as f64 / crash.try_rate);
    let limit = started + RECOVERY_LIMIT + by_rate;
    let (mut pace, mut is_back) = (Pace::of(crash), false);
    while Instant::now() < limit {
        tokio::time::sleep(LOOK).await;
        if !is_back && bench.world.borrow().is_part_recovered() {
            is_back = true;
            let mut world = bench.world.borrow_mut();
            world.part_is_back();
            world.schedule = None;
        }
        if is_back {
            bench.world.borrow_mut().prove_rest();
        }
        pace.try_calls(bench);
        if is_back && bench.world.borrow().is_recovered() {
            return Ok(());
        }
        if bench.server_has_ended() {
            return Err("a process of the server has ended by itself".into());
        }
    }
    bench.world.borrow_mut().schedule = None;
    give_up(bench).await;
    Ok(())
}

async fn sample(pages: Pages, owners: Rc<RefCell<Ownership>>) {
    loop {
        let (dns, connectors) = (pages.dns().await, pages.connectors().await);
        match (dns, connectors) {
            (Ok(dns), Ok(connectors)) => owners.borrow_mut().take(&dns, &connectors),
            _ => owners.borrow_mut().unanswered += 1,
        }
        tokio::time::sleep(SAMPLE).await;
    }
}
