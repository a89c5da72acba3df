//! The server is killed in the middle of calls, and comes back: those who talked go on talking.

use std::time::Duration;

use super::crash::{dial, hang_up, stage, stage_with, talks};
use super::phone::Manners;
use super::world::{World, in_virtual_time};

/// Long enough for every restored session to be asked whether it is there.
const A_WHILE: Duration = Duration::from_secs(20);

fn all_talk(world: &World, phones: &[usize]) -> bool {
    phones.iter().all(|phone| talks(world, *phone))
}

#[test]
fn who_talks_goes_on_talking() {
    for (connectors, connections) in [(1, false), (3, false), (1, true), (3, true)] {
        in_virtual_time(async move {
            let mut world = stage_with(connectors, connections).await;
            world.kill_and_restart().await;
            world.run(A_WHILE).await;
            assert!(all_talk(&world, &[2, 3, 4, 5]), "nobody has noticed");
            hang_up(&mut world, 2);
            hang_up(&mut world, 5);
            world.run(Duration::from_secs(2)).await;
            assert!(
                [2, 3, 4, 5].iter().all(|phone| world.phones[*phone].calls.is_empty()),
                "a BYE goes through"
            );
            dial(&mut world, 0, 1);
            world.run(Duration::from_secs(2)).await;
            assert!(all_talk(&world, &[0, 1]), "phones are still registered, and new calls work");
        });
    }
}

#[test]
fn nobody_rings_or_waits_for_ever() {
    for connectors in [1, 3] {
        in_virtual_time(async move {
            let mut world = stage(connectors).await;
            world.phones[1].manners = Manners::Ring;
            dial(&mut world, 0, 1);
            world.run(Duration::from_secs(1)).await;
            assert_eq!(world.phones[1].calls.len(), 1, "the callee rings");
            world.kill_and_restart().await;
            world.run(Duration::from_secs(2)).await;
            let over = |phone: usize| {
                world.phones[phone]
                    .over
                    .iter()
                    .map(|(_, how)| how.as_str())
                    .collect::<Vec<_>>()
            };
            assert_eq!((over(0), over(1)), (vec!["480"], vec!["cancelled"]));
            assert!(all_talk(&world, &[2, 3, 4, 5]), "nobody else has noticed");
        });
    }
}
