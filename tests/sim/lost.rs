//! A connector is killed, and its disk is lost with it: it comes back with the T-Server's copy, and those who talked go on talking.

use std::time::Duration;

use tandem_actors::journal::Scope;
use tandem_model::ConnectorId;

use super::crash::{dial, hang_up, talks};
use super::phone::Act;
use super::rules;
use super::wire::Weather;
use super::world::{Audio, Genesis, World, in_virtual_time};

const SOON: Duration = Duration::from_secs(20);
const SIDE: usize = 0;

/// A connector in a process of its own, six registered phones, and who calls whom: 0 and 1, 2 and 3 talk.
async fn stage() -> World {
    let mut world = World::begin(Genesis {
        seed: 1,
        connectors: 1,
        split: true,
        phones: 6,
        weather: Weather::FAIR,
        require_auth: true,
        audio: Audio::default(),
        connections: false,
    })
    .await;
    let dns = world.dns();
    world.add_desktop(&dns).await;
    for phone in 0..6 {
        world.act(phone, Act::Register { seconds: 3600 });
    }
    let registered = |world: &World| world.phones[..6].iter().all(|phone| phone.registered == Some(200));
    world.until("registrations", SOON, registered).await;
    world.run(Duration::from_secs(1)).await;
    for caller in [0, 2] {
        dial(&mut world, caller, caller + 1);
    }
    world
        .until("they talk", SOON, |world| (0..4).all(|phone| talks(world, phone)))
        .await;
    // Until the last ACK is there.
    world.run(Duration::from_secs(1)).await;
    world
}

async fn lose(world: &mut World) {
    world.kill_side(SIDE).await;
    let connector = ConnectorId(SIDE as u16);
    world.journal.lose(Scope::Connector(connector.0));
}

fn is_idle(world: &World, phone: usize) -> bool {
    world.phones[phone].calls.is_empty()
}

async fn ends_well(mut world: World) {
    world.wind_up().await;
    rules::check_clients(&world);
    rules::check_empty(&world).await;
}

#[test]
fn who_talks_goes_on_talking_however_often_the_disk_is_lost() {
    in_virtual_time(async {
        let mut world = stage().await;
        for _ in 0..3 {
            lose(&mut world).await;
            world.restart_side(SIDE).await;
            world.run(SOON).await;
            assert!((0..4).all(|phone| talks(&world, phone)), "nobody has noticed");
        }
        hang_up(&mut world, 0);
        world.until("a BYE goes through", SOON, |world| is_idle(world, 1)).await;
        dial(&mut world, 4, 5);
        world
            .until("phones are still registered", SOON, |world| {
                talks(world, 4) && talks(world, 5)
            })
            .await;
        ends_well(world).await;
    });
}

#[test]
fn what_a_phone_says_before_the_copy_is_there_is_not_lost() {
    in_virtual_time(async {
        let mut world = stage().await;
        lose(&mut world).await;
        world.sides[SIDE].cable.set_cut(true);
        world.restart_side(SIDE).await;
        hang_up(&mut world, 0);
        world.run(Duration::from_secs(2)).await;
        world.sides[SIDE].cable.set_cut(false);
        world
            .until("the BYE goes through", SOON, |world| is_idle(world, 0) && is_idle(world, 1))
            .await;
        world.run(SOON).await;
        assert!(talks(&world, 2) && talks(&world, 3), "the others have not noticed");
        ends_well(world).await;
    });
}

#[test]
fn what_changes_while_the_link_is_cut_is_copied_later() {
    in_virtual_time(async {
        let mut world = stage().await;
        world.sides[SIDE].cable.set_cut(true);
        hang_up(&mut world, 0);
        let session = *world.phones[2].calls.keys().next().expect("it talks");
        for holds in [true, false, true] {
            world.act(2, Act::Hold(session, holds));
            world.run(Duration::from_secs(1)).await;
        }
        assert!(is_idle(&world, 1), "a phone's BYE needs no T-Server");
        world.sides[SIDE].cable.set_cut(false);
        world.run(SOON).await;
        lose(&mut world).await;
        world.restart_side(SIDE).await;
        world.run(SOON).await;
        assert!(talks(&world, 2) && talks(&world, 3), "nobody has noticed");
        world.act(2, Act::Hold(session, false));
        world.run(Duration::from_secs(1)).await;
        hang_up(&mut world, 3);
        world.until("a BYE goes through", SOON, |world| is_idle(world, 2)).await;
        ends_well(world).await;
    });
}
