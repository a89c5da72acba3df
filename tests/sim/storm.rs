//! Panics at random: any actor at any time, now and then one after the other until its state is thrown away.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tandem_actors::connector::{ConferenceMessage, ConnectorMessage};
use tandem_actors::kind::ActorKind;
use tandem_actors::tserver::{CallMessage, DnMessage, Inject};
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
    let connector = directory.connector(id)?;
    match kind {
        ActorKind::Connector if rng.random() => connector.do_send(ConnectorMessage::CrashAtEvent),
        ActorKind::Connector => connector.do_send(ConnectorMessage::Crash),
        ActorKind::Registrar => connector.do_send(ConnectorMessage::CrashRegistrar),
        ActorKind::ConnectorLink => directory.link(id)?.do_send(Inject),
        ActorKind::EventLog => directory.event_log()?.do_send(Inject),
        ActorKind::Lobby => directory.lobby()?.do_send(Inject),
        ActorKind::Dn => {
            let fault = if rng.random() {
                DnMessage::Crash
            } else {
                DnMessage::CrashAtRequest
            };
            directory.dn(&DnId::new(world.dns().get(dn)?))?.do_send(fault);
        }
        // Nobody dials into a conference in these worlds.
        ActorKind::Room => return None,
        ActorKind::Call => directory
            .call(*directory.call_ids().choose(rng)?)?
            .do_send(CallMessage::Crash),
        ActorKind::Conference => {
            let conference = *directory.conference_ids().choose(rng)?;
            directory.conference(conference)?.do_send(ConferenceMessage::Crash);
        }
        ActorKind::Client => {
            let index = rng.random_range(0..world.desktops.len());
            if index > 0 {
                world.desktops[index].handle.take()?.crash();
            }
        }
    }
    Some(())
}
