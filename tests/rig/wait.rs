//! Waiting for a condition, with a deadline. Nothing in these tests waits for luck.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often a condition is looked at that cannot be waited for.
const TICK: Duration = Duration::from_millis(10);
/// What anything that happens on this machine may take, on a busy day.
pub const SOON: Duration = Duration::from_secs(15);

/// Looks until `probe` gives `Ok`, and gives that; panics with the last `Err` when the deadline has passed.
pub async fn until<T>(what: &str, deadline: Duration, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + deadline;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match probe().await {
            Ok(value) => return value,
            Err(state) if Instant::now() > end => panic!("waited {deadline:?} for {what}; it stands at: {state}"),
            Err(_) => {}
        }
    }
}

/// Waits until somebody has bound a port, without touching it.
pub async fn bound(what: &str, protocol: &str, port: u16) {
    let table = format!("/proc/net/{protocol}");
    let wanted = format!(":{port:04X} ");
    until(what, SOON, async || {
        let sockets = std::fs::read_to_string(Path::new(&table)).map_err(|error| error.to_string())?;
        let found = sockets.lines().skip(1).any(|line| {
            let mut fields = line.split_whitespace();
            let local = fields.nth(1).unwrap_or_default();
            let state = fields.nth(1).unwrap_or_default();
            format!("{local} ").ends_with(&wanted) && (protocol == "udp" || state == "0A")
        });
        if found {
            Ok(())
        } else {
            Err(format!("{protocol} port {port} is not bound"))
        }
    })
    .await;
}
