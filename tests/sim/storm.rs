//! Panics at random: any actor at any time, now and then one after the other until its state is thrown away.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tandem_actors::connector::ConnectorMessage;
use tandem_actors::fault::Target;
use tandem_actors::kind::ActorKind;
use tandem_actors::tserver::DnMessage;
use tandem_model::{ConnectorId, DnId};

use super::world::World;

/// How many panics in a row make the state the suspect.
const BURST: u32 = 6;

/// Makes an actor panic, now or soon.
pub async fn strike(world: &mut World, rng: &mut StdRng) {
    let kind = *ActorKind::ALL.choose(rng).unwrap_or(&ActorKind::Connector);
    let (dn, connector) = (
        rng.random_range(0..world.dns().len()),
        rng.random_range(0..world.connectors().await.len()) as u16,
    );
    // The observer must keep what it has, so its event log does.
    let burst = rng.random_ratio(1, 8) && kind != ActorKind::EventLog;
    for _ in 0..if burst { BURST } else { 1 } {
        let _ = inject(world, rng, kind, dn, ConnectorId(connector));
    }
}

/// Makes an actor of any process of a split server panic, once: none of its calls may be lost by it.
pub fn strike_somewhere(world: &mut World, rng: &mut StdRng) {
    let any = |number: usize, rng: &mut StdRng| ConnectorId(rng.random_range(0..number) as u16);
    let id = any(world.sides.len(), rng);
    let dn = DnId::new(&world.dns()[rng.random_range(0..world.dns().len())]);
    let side = world.sides[usize::from(id.0)].tree();
    let of_side = rng.random_range(0..4);
    let of_tserver = rng.random_range(0..6);
    let (tree, target) = match side.filter(|_| rng.random()) {
        Some(side) => {
            let conferences = side.directory.conference_ids();
            let target = match of_side {
                0 => Some(Target::Connector(id)),
                1 => Some(Target::Registrar(id)),
                2 => Some(Target::LinkServer),
                _ => conferences.choose(rng).copied().map(Target::Conference),
            };
            (side, target)
        }
        None => {
            let target = match of_tserver {
                0 => Some(Target::ConnectorLink(id)),
                1 => Some(Target::RemoteLink(id)),
                2 => Some(Target::Dn(dn)),
                3 => Some(Target::EventLog),
                4 => Some(Target::Lobby),
                _ => world.tree.directory.call_ids().choose(rng).copied().map(Target::Call),
            };
            (&world.tree, target)
        }
    };
    if let Some(target) = target.filter(|_| world.is_up()) {
        world.wire.write(format!("a panic: {target:?}"));
        // There may be no such actor any more.
        let _ = tree.gateway.faults().strike(&target);
    }
}

fn inject(world: &mut World, rng: &mut StdRng, kind: ActorKind, dn: usize, id: ConnectorId) -> Option<()> {
    let directory = world.tree.directory.clone();
    let dn = DnId::new(world.dns().get(dn)?);
    let target = match kind {
        // Some come with what is handled next.
        ActorKind::Connector if rng.random() => {
            directory.connector(id)?.do_send(ConnectorMessage::CrashAtEvent);
            return Some(());
        }
        ActorKind::Dn if rng.random() => {
            directory.dn(&dn)?.do_send(DnMessage::CrashAtRequest);
            return Some(());
        }
        ActorKind::Client => {
            let index = rng.random_range(0..world.desktops.len());
            if index > 0 {
                world.desktops[index].handle.take()?.crash();
            }
            return Some(());
        }
        // Nobody dials into a conference in these worlds.
        ActorKind::Room => return None,
        ActorKind::Connector => Target::Connector(id),
        ActorKind::Registrar => Target::Registrar(id),
        ActorKind::ConnectorLink => Target::ConnectorLink(id),
        ActorKind::EventLog => Target::EventLog,
        ActorKind::Lobby => Target::Lobby,
        ActorKind::Dn => Target::Dn(dn),
        ActorKind::Call => Target::Call(*directory.call_ids().choose(rng)?),
        ActorKind::Conference => Target::Conference(*directory.conference_ids().choose(rng)?),
    };
    world.tree.gateway.faults().strike(&target).ok()
}
