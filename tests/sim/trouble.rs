//! What happens to a server of several processes: links that are cut or slow, processes that are killed, or stopped for a while.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::side::Side;
use super::world::{STARTING, World};

/// The shortest and the longest time that something lasts, in milliseconds: shorter than the grace of a link, longer than that and than the
/// keep-alive, and longer than most calls.
const LASTS_MS: [(u64, u64); 3] = [(100, 1_500), (2_500, 15_000), (20_000, 60_000)];

/// One thing that happens. Sides are connectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    Cut { side: usize, cut: bool },
    Latency { side: usize, ms: u64 },
    KillTServer,
    RestartTServer,
    StopTServer(bool),
    Kill(usize),
    Restart(usize),
    Stop { side: usize, stopped: bool },
}

/// What happens within that time, with what ends it.
pub fn plan(sides: usize, within: Duration, rng: &mut StdRng) -> Vec<(Duration, Trouble)> {
    let mut plan = Vec::new();
    for _ in 0..rng.random_range(1..6) {
        let start = Duration::from_millis(rng.random_range(0..within.as_millis() as u64));
        let (shortest, longest) = LASTS_MS[rng.random_range(0..LASTS_MS.len())];
        let lasts = Duration::from_millis(rng.random_range(shortest..longest));
        let side = rng.random_range(0..sides);
        let (begins, ends) = match rng.random_range(0..12) {
            0..5 => (Trouble::Cut { side, cut: true }, Trouble::Cut { side, cut: false }),
            5 => {
                let ms = rng.random_range(10..3_000);
                (Trouble::Latency { side, ms }, Trouble::Latency { side, ms: 1 })
            }
            6 | 7 => (Trouble::KillTServer, Trouble::RestartTServer),
            8 | 9 => (Trouble::Kill(side), Trouble::Restart(side)),
            10 => (Trouble::StopTServer(true), Trouble::StopTServer(false)),
            _ => (Trouble::Stop { side, stopped: true }, Trouble::Stop { side, stopped: false }),
        };
        let is_start = matches!(ends, Trouble::RestartTServer | Trouble::Restart(_));
        let lasts = if is_start { lasts.max(STARTING) } else { lasts };
        plan.extend([(start, begins), (start + lasts, ends)]);
    }
    plan
}

impl Trouble {
    /// It happens now.
    pub async fn befall(self, world: &mut World) {
        world.wire.write(format!("{self:?}"));
        match self {
            Self::Cut { side, cut } => world.sides[side].cable.set_cut(cut),
            Self::Latency { side, ms } => world.sides[side].cable.set_latency(Duration::from_millis(ms)),
            Self::KillTServer => world.kill().await,
            Self::RestartTServer if !world.is_up() => world.restart().await,
            Self::RestartTServer => {}
            Self::StopTServer(stopped) => world.set_stopped(stopped),
            Self::Kill(side) => world.kill_side(side).await,
            Self::Restart(side) => world.restart_side(side).await,
            Self::Stop { side, stopped } => world.sides[side].set_stopped(stopped),
        }
        let cut_off = !world.sides.iter().all(Side::is_serving);
        for phone in &mut world.phones {
            phone.set_cut_off(cut_off);
        }
    }
}

/// All of it is over.
pub async fn end(world: &mut World) {
    for side in 0..world.sides.len() {
        for ends in [
            Trouble::Cut { side, cut: false },
            Trouble::Latency { side, ms: 1 },
            Trouble::Stop { side, stopped: false },
            Trouble::Restart(side),
        ] {
            ends.befall(world).await;
        }
    }
    if !world.sides.is_empty() {
        Trouble::StopTServer(false).befall(world).await;
        Trouble::RestartTServer.befall(world).await;
    }
}
