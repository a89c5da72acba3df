//! A panic in every kind of actor, at every state of a call, with two other calls up beside it.
//!
//! It is counted, they are restarted, and the call goes on. Only a client is not restarted: it loses its connection, and nobody else
//! notices.

use std::time::Duration;

use tandem_actors::connector::{ConnectorMessage, first_counter};
use tandem_actors::kind::ActorKind;
use tandem_actors::tserver::{CallMessage, DnMessage, Inject};
use tandem_model::{ConferenceId, ConnId, ConnectorId, DnId, EventName};
use tandem_wire::ClientRequest;

use super::phone::{Act, Manners, Stage};
use super::recorder;
use super::rules;
use super::wire::Weather;
use super::world::{Audio, Genesis, UNIX_SECONDS, World, in_virtual_time};

/// How far the call is when the crash comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Before,
    Ringing,
    Established,
    /// The caller has cancelled, and the callee's phone is not there to say so.
    Releasing,
}

const STATES: [State; 4] = [State::Before, State::Ringing, State::Established, State::Releasing];

/// Caller and callee of the call that the crash meets.
const CALLER: usize = 0;
const CALLEE: usize = 1;
/// Who talks beside it.
const NEIGHBOURS: [(usize, usize); 2] = [(2, 3), (4, 5)];
/// Who calls afterwards.
const AFTERWARDS: (usize, usize) = (6, 7);

/// A world of one connector with eight registered phones, an observer on all DNs, a desktop on the callers', and two calls.
pub async fn stage(connectors: u16) -> World {
    stage_with(connectors, false).await
}

/// The same; some phones may have connections.
pub async fn stage_with(connectors: u16, connections: bool) -> World {
    let weather = Weather::FAIR;
    let mut world = World::begin(Genesis {
        seed: 1,
        connectors,
        split: false,
        phones: 8,
        weather,
        require_auth: true,
        audio: Audio::default(),
        connections,
    })
    .await;
    let dns = world.dns();
    world.add_desktop(&dns).await;
    world.add_desktop(&dns[..2]).await;
    for phone in 0..8 {
        world.act(phone, Act::Register { seconds: 3600 });
    }
    let registered = |world: &World| world.phones[..8].iter().all(|phone| phone.registered == Some(200));
    world.until("registrations", Duration::from_secs(5), registered).await;
    for (caller, callee) in NEIGHBOURS {
        dial(&mut world, caller, callee);
    }
    world
        .until("the neighbours talk", Duration::from_secs(5), neighbours_talk)
        .await;
    // Until the last ACK is there.
    world.run(Duration::from_secs(1)).await;
    world
}

pub fn dial(world: &mut World, caller: usize, callee: usize) {
    let number = world.phones[callee].number.clone();
    world.act(
        caller,
        Act::Dial {
            number,
            late_offer: false,
        },
    );
}

pub fn talks(world: &World, phone: usize) -> bool {
    let stages: Vec<_> = world.phones[phone].calls.values().map(|call| call.stage).collect();
    stages == [Stage::Talking]
}

fn neighbours_talk(world: &World) -> bool {
    NEIGHBOURS
        .iter()
        .all(|(caller, callee)| talks(world, *caller) && talks(world, *callee))
}

fn is_idle(world: &World, phone: usize) -> bool {
    world.phones[phone].calls.is_empty()
}

/// Hangs up whatever the phone has.
pub fn hang_up(world: &mut World, phone: usize) {
    let sessions: Vec<_> = world.phones[phone].calls.keys().copied().collect();
    for session in sessions {
        world.act(phone, Act::HangUp(session));
    }
}

/// The ConnID of the last call that a phone's DN heard of.
pub fn conn_id(world: &World, phone: usize) -> Option<ConnId> {
    world.desktops[0]
        .last(&world.phones[phone].dn(), EventName::EventDialing)?
        .call()
}

async fn bring_to(world: &mut World, state: State) {
    let second = Duration::from_secs(1);
    world.phones[CALLEE].manners = match state {
        State::Before | State::Established => Manners::Answer { after_ms: 300 },
        State::Ringing | State::Releasing => Manners::Ring,
    };
    match state {
        State::Before => {}
        State::Established => {
            dial(world, CALLER, CALLEE);
            world
                .until("the call is up", second * 5, |world| {
                    talks(world, CALLER) && talks(world, CALLEE)
                })
                .await;
        }
        State::Ringing | State::Releasing => {
            dial(world, CALLER, CALLEE);
            world.run(second).await;
            assert!(!is_idle(world, CALLEE), "the callee rings");
        }
    }
    if state == State::Releasing {
        world.act(CALLEE, Act::Dark(true));
        hang_up(world, CALLER);
        world.run(second).await;
        assert!(is_idle(world, CALLER), "the caller is out");
    }
}

/// The id of the n-th call that is offered to the one connector.
pub fn offered(n: u64) -> ConferenceId {
    ConferenceId::new(0, first_counter(UNIX_SECONDS * 1_000) + n - 1)
}

/// Makes an actor that the call depends on panic. `None`: there is none of this kind in this state.
fn inject(world: &World, kind: ActorKind, state: State) -> Option<()> {
    let directory = &world.tree.directory;
    let connector = directory.connector(ConnectorId(0))?;
    match kind {
        ActorKind::Connector => connector.do_send(ConnectorMessage::Crash),
        ActorKind::Registrar => connector.do_send(ConnectorMessage::CrashRegistrar),
        ActorKind::ConnectorLink => directory.link(ConnectorId(0))?.do_send(Inject),
        ActorKind::EventLog => directory.event_log()?.do_send(Inject),
        ActorKind::Lobby => directory.lobby()?.do_send(Inject),
        ActorKind::Dn => directory
            .dn(&DnId::new(&world.phones[CALLER].dn()))?
            .do_send(DnMessage::Crash),
        ActorKind::Client => world.desktops[1].handle.as_ref()?.crash(),
        // Nobody dials into a conference in these scenes.
        ActorKind::Room => return None,
        ActorKind::Conference if state == State::Before => return None,
        // The third call that is offered to the one connector.
        ActorKind::Conference => connector.do_send(ConnectorMessage::CrashConference(offered(3))),
        ActorKind::Call if state == State::Before => return None,
        ActorKind::Call => directory.call(conn_id(world, CALLER)?)?.do_send(CallMessage::Crash),
    }
    Some(())
}

fn assert_counted(kind: ActorKind, restarts: i64) {
    for other in ActorKind::ALL {
        let expected = if other == kind { (1, restarts) } else { (0, 0) };
        let counted =
            ["tandem_actor_crashes_total", "tandem_actor_restarts_total"].map(|name| recorder::of_kind(name, other.name()));
        assert_eq!(
            (counted[0], counted[1]),
            expected,
            "crashes and restarts of the kind {}",
            other.name()
        );
    }
}

/// The call that was under way goes on to its normal end.
async fn goes_on(world: &mut World, state: State) {
    let limit = Duration::from_secs(5);
    match state {
        State::Before => dial(world, CALLER, CALLEE),
        State::Ringing => {
            let session = *world.phones[CALLEE].calls.keys().next().expect("the callee still rings");
            world.act(CALLEE, Act::Answer(session));
        }
        State::Established => {}
        State::Releasing => {
            world.act(CALLEE, Act::Dark(false));
            world.until("the callee is told", limit, |world| is_idle(world, CALLEE)).await;
            return;
        }
    }
    world
        .until("the call is up", limit, |world| talks(world, CALLER) && talks(world, CALLEE))
        .await;
    world.run(Duration::from_secs(3)).await;
    hang_up(world, CALLEE);
    let over = |world: &World| is_idle(world, CALLER) && is_idle(world, CALLEE);
    world.until("the call is over", limit, over).await;
}

/// New calls work, from the phone and from the desktop.
pub async fn serves_on(world: &mut World) {
    let limit = Duration::from_secs(8);
    let (caller, callee) = AFTERWARDS;
    world.phones[callee].manners = Manners::Answer { after_ms: 300 };
    dial(world, caller, callee);
    world
        .until("a new call is up", limit, |world| {
            talks(world, caller) && talks(world, callee)
        })
        .await;
    hang_up(world, caller);
    world
        .until("the new call is over", limit, |world| is_idle(world, callee))
        .await;
    for phone in [CALLER, CALLEE] {
        world.phones[phone].manners = Manners::Answer { after_ms: 300 };
    }
    let request = ClientRequest::make_call(&world.phones[CALLER].dn(), &world.phones[CALLEE].number);
    let reference = world.desktops[0].ask(request).await;
    world
        .until("a made call is up", limit, |world| {
            talks(world, CALLER) && talks(world, CALLEE)
        })
        .await;
    let call = world.desktops[0]
        .answer(reference)
        .and_then(|event| event.call())
        .expect("MakeCall is answered with its call");
    let request = ClientRequest::release_call(&world.phones[CALLER].dn(), call);
    world.desktops[0].ask(request).await;
    world
        .until("the made call is over", limit, |world| {
            is_idle(world, CALLER) && is_idle(world, CALLEE)
        })
        .await;
}

/// The client that crashed has lost its connection; the other one has not.
async fn client_is_gone(world: &mut World) {
    world.run(Duration::from_millis(10)).await;
    assert_eq!(world.desktops[1].closed(), Some(1011));
    assert_eq!(world.desktops[0].closed(), None);
    for dn in world.dns() {
        let summary = world
            .tree
            .gateway
            .dn(&DnId::new(&dn))
            .await
            .expect("the DN answers")
            .expect("the DN is configured");
        // It may resume, so it keeps its registrations for a while.
        let registered = 1 + usize::from(world.dns()[..2].contains(&dn));
        assert_eq!(summary.clients, registered, "clients on {dn}");
    }
    world.desktops[1].handle = None;
}

/// The neighbours have noticed nothing, new calls work, and all ends well.
async fn finish(mut world: World) {
    assert!(neighbours_talk(&world), "the neighbours do not notice");
    serves_on(&mut world).await;
    assert!(neighbours_talk(&world), "the neighbours do not notice");
    for (caller, _) in NEIGHBOURS {
        hang_up(&mut world, caller);
    }
    world.wind_up().await;
    for (caller, callee) in NEIGHBOURS {
        assert_eq!(
            (world.phones[caller].over.len(), world.phones[callee].over.len()),
            (1, 1),
            "the neighbours had one call each"
        );
    }
    rules::check_clients(&world);
    rules::check_empty(&world).await;
}

async fn play(kind: ActorKind, state: State) {
    let mut world = stage(1).await;
    bring_to(&mut world, state).await;
    if inject(&world, kind, state).is_none() {
        return;
    }
    world.run(Duration::from_millis(200)).await;
    let comes_back = kind != ActorKind::Client;
    assert_counted(kind, i64::from(comes_back));
    match kind {
        ActorKind::Client => {
            client_is_gone(&mut world).await;
            goes_on(&mut world, state).await;
        }
        _ => goes_on(&mut world, state).await,
    }
    finish(world).await;
    assert_counted(kind, i64::from(comes_back));
}

/// Plays a kind in every state, and says which one failed.
fn in_every_state(kind: ActorKind) {
    for state in STATES {
        println!("{} crashes: {state:?}", kind.name());
        in_virtual_time(play(kind, state));
    }
}

#[test]
fn a_connector_that_crashes_loses_no_call() {
    in_every_state(ActorKind::Connector);
}

#[test]
fn a_registrar_that_crashes_loses_no_binding() {
    in_every_state(ActorKind::Registrar);
}

#[test]
fn a_link_that_crashes_loses_no_call() {
    in_every_state(ActorKind::ConnectorLink);
}

#[test]
fn an_event_log_that_crashes_loses_no_event_and_no_client() {
    in_every_state(ActorKind::EventLog);
}

#[test]
fn a_dn_that_crashes_loses_no_client_and_no_call() {
    in_every_state(ActorKind::Dn);
}

#[test]
fn a_lobby_that_crashes_loses_no_client() {
    in_every_state(ActorKind::Lobby);
}

#[test]
fn a_call_that_crashes_comes_back() {
    in_every_state(ActorKind::Call);
}

#[test]
fn a_conference_that_crashes_comes_back() {
    in_every_state(ActorKind::Conference);
}

#[test]
fn a_client_that_crashes_goes_alone() {
    in_every_state(ActorKind::Client);
}

/// A connector that crashes at an event (a message of some phone that it cannot digest), in each state: the session of the event ends with
/// its call, and nothing else does.
#[test]
fn an_event_that_crashes_its_connector_ends_its_call_only() {
    for (state, crashing) in [
        (State::Before, CALLER),
        (State::Ringing, CALLEE),
        (State::Established, CALLEE),
    ] {
        println!("an event crashes the connector: {state:?}");
        in_virtual_time(async {
            let mut world = stage(1).await;
            bring_to(&mut world, state).await;
            world.run(Duration::from_secs(1)).await;
            if let Some(connector) = world.tree.directory.connector(ConnectorId(0)) {
                connector.do_send(ConnectorMessage::CrashAtEvent);
            }
            let session = world.phones[crashing].calls.keys().next().copied();
            match (state, session) {
                (State::Ringing, Some(session)) => world.act(CALLEE, Act::Answer(session)),
                (State::Established, Some(session)) => world.act(CALLEE, Act::HangUp(session)),
                _ => dial(&mut world, CALLER, CALLEE),
            }
            let over = |world: &World| is_idle(world, CALLER) && is_idle(world, CALLEE);
            world.until("the call is over", Duration::from_secs(5), over).await;
            assert_counted(ActorKind::Connector, 1);
            assert!(
                !world.phones[CALLER].over.is_empty() || state == State::Before,
                "the caller had a call"
            );
            finish(world).await;
        });
    }
}

#[test]
fn a_request_that_crashes_its_dn_is_answered() {
    in_virtual_time(async {
        let mut world = stage(1).await;
        let dn = world.phones[CALLER].dn();
        if let Some(actor) = world.tree.directory.dn(&DnId::new(&dn)) {
            actor.do_send(DnMessage::CrashAtRequest);
        }
        let reference = world.desktops[0].ask(ClientRequest::make_call(&dn, "1002")).await;
        world.run(Duration::from_millis(10)).await;
        assert_counted(ActorKind::Dn, 1);
        let answer = world.desktops[0].answer(reference).expect("every request is answered");
        assert!(answer.is(EventName::EventError), "{answer:?}");
        finish(world).await;
    });
}
