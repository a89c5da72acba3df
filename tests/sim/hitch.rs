//! Hitches: a few messages that are lost, late or doubled inside the server, and connectors that stand still for a moment. By the hooks of
//! the fault injection; no call may be lost by any of them.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tandem_actors::fault::{Chance, Effect, FaultControl, Medium, Pause, Rule};
use tandem_actors::now;

use super::world::{Genesis, World};

/// A rule that has met no message by then is over.
const IN_FORCE: Duration = Duration::from_secs(10);
/// The longest time that a message is late or a connector stands still: within the patience of links and of SIP (RFC 3261 timer B).
const LONGEST_MS: u64 = 2_000;
/// The most messages that one hitch meets: fewer than SIP sends again.
const MOST_MESSAGES: u64 = 4;

/// One hitch. Connectors are numbered as they are.
#[derive(Clone, Copy, Debug)]
pub enum Hitch {
    /// The next messages of a connector.
    Messages {
        connector: u16,
        of: Medium,
        effect: Effect,
        next: u64,
    },
    /// A connector does not look at its mailbox.
    Pause { connector: u16, lasts: Duration },
}

/// What happens within that time; of a server of several processes, also on links. It has dice of its own, so that nothing else is changed.
pub fn plan(genesis: Genesis, within: Duration) -> Vec<(Instant, Hitch)> {
    let mut rng = StdRng::seed_from_u64(genesis.seed);
    let count = rng.random_range(0..6);
    let hitch = |rng: &mut StdRng| {
        let due = now() + Duration::from_millis(rng.random_range(0..within.as_millis() as u64));
        (due, any(rng, genesis))
    };
    (0..count).map(|_| hitch(&mut rng)).collect()
}

fn any(rng: &mut StdRng, genesis: Genesis) -> Hitch {
    let connector = rng.random_range(0..genesis.connectors);
    let lasts = Duration::from_millis(rng.random_range(1..LONGEST_MS));
    let of = match rng.random_range(0..3) {
        0 => return Hitch::Pause { connector, lasts },
        1 if genesis.split => Medium::Link,
        _ => Medium::Sip,
    };
    let effect = match rng.random_range(0..3) {
        // What is lost of a connection is not sent again.
        0 if of == Medium::Link || !genesis.connections => Effect::Drop,
        1 => Effect::Duplicate,
        _ => Effect::Delay(lasts),
    };
    let next = rng.random_range(1..=MOST_MESSAGES);
    Hitch::Messages {
        connector,
        of,
        effect,
        next,
    }
}

impl Hitch {
    /// It happens now, where the process is up.
    pub fn befall(self, world: &World) {
        world.wire.write(format!("{self:?}"));
        let split = !world.sides.is_empty();
        let of_tserver = || world.is_up().then(|| world.tree.gateway.faults());
        // Too many, or no such connector now: it does not happen.
        match self {
            Self::Messages {
                connector,
                of,
                effect,
                next,
            } => {
                let rule = Rule {
                    medium: of,
                    direction: None,
                    connector: Some(connector),
                    effect,
                    chance: Chance::Next(next),
                    lasts: IN_FORCE,
                    // The next ones are no matter of chance.
                    seed: 0,
                };
                let faults = if split && of == Medium::Sip {
                    of_side(world, connector)
                } else {
                    of_tserver()
                };
                let _ = faults.map(|faults| faults.add(rule));
            }
            Self::Pause { connector, lasts } => {
                let faults = if split { of_side(world, connector) } else { of_tserver() };
                let pause = Pause {
                    lasts,
                    whole_thread: false,
                };
                let _ = faults.map(|faults| faults.pause(connector, pause));
            }
        }
    }
}

fn of_side(world: &World, connector: u16) -> Option<FaultControl> {
    let tree = world.sides.get(usize::from(connector))?.tree()?;
    Some(tree.gateway.faults())
}
