//! Panics that do not stop: six in ten seconds make the actor's state the suspect. It starts afresh, what hung on the old state ends
//! cleanly, and the server goes on.

use std::time::Duration;

use tandem_actors::connector::ConnectorMessage;
use tandem_actors::kind::ActorKind;
use tandem_actors::sharding;
use tandem_actors::tserver::{DnMessage, Inject};
use tandem_model::{ConnectorId, DnId, EventName};
use tandem_wire::ClientRequest;

use super::crash::{hang_up, serves_on, stage, talks};
use super::phone::Act;
use super::recorder;
use super::rules;
use super::world::{World, in_virtual_time};

/// One more than is forgiven.
const CRASHES: i64 = 6;
const TALKING: [usize; 4] = [2, 3, 4, 5];

async fn crash(world: &mut World, kind: ActorKind, inject: impl Fn(&World)) {
    for _ in 0..CRASHES {
        inject(world);
        world.run(Duration::from_millis(400)).await;
    }
    assert_eq!(recorder::of_kind("tandem_actor_crashes_total", kind.name()), CRASHES);
    assert_eq!(recorder::of_kind("tandem_actor_restarts_total", kind.name()), CRASHES);
}

async fn finish(mut world: World) {
    serves_on(&mut world).await;
    world.wind_up().await;
    rules::check_clients(&world);
    rules::check_empty(&world).await;
}

fn owner(world: &World, phone: usize) -> ConnectorId {
    sharding::owner(&world.phones[phone].dn(), 2)
}

#[test]
fn a_connector_starts_with_a_fresh_sip_layer_and_its_calls_end_cleanly() {
    in_virtual_time(async {
        let mut world = stage(2).await;
        // A call belongs to the connector of its caller.
        let sick = owner(&world, 2);
        crash(&mut world, ActorKind::Connector, |world| {
            if let Some(connector) = world.tree.directory.connector(sick) {
                connector.do_send(ConnectorMessage::Crash);
            }
        })
        .await;
        for (caller, callee) in [(2, 3), (4, 5)] {
            let lives = owner(&world, caller) != sick;
            assert_eq!(
                [talks(&world, caller), talks(&world, callee)],
                [lives; 2],
                "BYE goes to each leg of the sick connector"
            );
            for phone in [caller, callee] {
                let released = world.desktops[0].last(&world.phones[phone].dn(), EventName::EventReleased);
                assert_eq!(released.is_none(), lives, "the clients of phone {phone} are told");
            }
        }
        finish(world).await;
    });
}

#[test]
fn a_connector_that_escalates_while_phones_ring_answers_and_cancels() {
    in_virtual_time(async {
        let mut world = stage(1).await;
        world.phones[1].manners = super::phone::Manners::Ring;
        super::crash::dial(&mut world, 0, 1);
        world.run(Duration::from_secs(1)).await;
        crash(&mut world, ActorKind::Connector, |world| {
            if let Some(connector) = world.tree.directory.connector(ConnectorId(0)) {
                connector.do_send(ConnectorMessage::Crash);
            }
        })
        .await;
        let how = |phone: usize| {
            world.phones[phone]
                .over
                .last()
                .map(|(_, how)| how.clone())
                .unwrap_or_default()
        };
        assert_eq!(how(1), "cancelled");
        assert!(
            how(0).parse::<u16>().is_ok_and(|status| status >= 400),
            "the caller is refused: {}",
            how(0)
        );
        finish(world).await;
    });
}

#[test]
fn an_event_log_starts_empty_and_its_clients_come_back() {
    in_virtual_time(async {
        let mut world = stage(1).await;
        crash(&mut world, ActorKind::EventLog, |world| {
            if let Some(log) = world.tree.directory.event_log() {
                log.do_send(Inject);
            }
        })
        .await;
        assert_eq!([world.desktops[0].closed(), world.desktops[1].closed()], [Some(1011); 2]);
        assert!(
            TALKING.iter().all(|phone| talks(&world, *phone)),
            "calls go on without their clients"
        );
        for phone in TALKING {
            hang_up(&mut world, phone);
        }
        world.run(Duration::from_secs(1)).await;
        // The sockets close, and the clients come back.
        let last = world
            .desktops
            .drain(..)
            .flat_map(|desktop| desktop.frames)
            .map(|frame| frame.sequence)
            .max();
        let dns = world.dns();
        world.add_desktop(&dns).await;
        world.run(Duration::from_millis(10)).await;
        let first = world.desktops[0].frames.first().map(|frame| frame.sequence);
        assert!(
            first > last,
            "sequences of an epoch never start again: {first:?} after {last:?}"
        );
        finish(world).await;
    });
}

#[test]
fn a_registrar_forgets_its_bindings_and_phones_come_back() {
    in_virtual_time(async {
        let mut world = stage(1).await;
        crash(&mut world, ActorKind::Registrar, |world| {
            if let Some(connector) = world.tree.directory.connector(ConnectorId(0)) {
                connector.do_send(ConnectorMessage::CrashRegistrar);
            }
        })
        .await;
        for phone in 0..8 {
            let told = world.desktops[0].last(&world.phones[phone].dn(), EventName::EventDNOutOfService);
            assert!(told.is_some(), "the clients of phone {phone} are told");
            world.act(phone, Act::Register { seconds: 600 });
        }
        world.run(Duration::from_secs(1)).await;
        assert!(TALKING.iter().all(|phone| talks(&world, *phone)), "calls need no binding");
        finish(world).await;
    });
}

#[test]
fn a_dn_forgets_its_clients_and_they_register_again() {
    in_virtual_time(async {
        let mut world = stage(1).await;
        let dn = world.phones[0].dn();
        crash(&mut world, ActorKind::Dn, |world| {
            if let Some(actor) = world.tree.directory.dn(&DnId::new(&dn)) {
                actor.do_send(DnMessage::Crash);
            }
        })
        .await;
        let reference = world.desktops[0].ask(ClientRequest::make_call(&dn, "1002")).await;
        world.run(Duration::from_millis(10)).await;
        let answer = world.desktops[0].answer(reference).expect("every request is answered");
        assert!(
            answer.is(EventName::EventError),
            "the DN knows its client no more: {answer:?}"
        );
        let reference = world.desktops[0].ask(ClientRequest::register_address(&dn)).await;
        world.run(Duration::from_millis(10)).await;
        let answer = world.desktops[0].answer(reference).expect("every request is answered");
        assert!(answer.is(EventName::EventRegistered), "{answer:?}");
        finish(world).await;
    });
}
