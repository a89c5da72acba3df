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
