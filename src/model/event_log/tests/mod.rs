//! Tests of the distributor: order, copies, snapshots; what is kept over the loss of a connection and of the process.

mod property;
mod restart;
mod resume;
mod watch;

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::numbering::DirectCalls;
use crate::{AddressType, CallType, MediaType};

const ALICE: &str = "sip:alice@tandem.local";
const BOB: &str = "sip:bob@tandem.local";
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn requestor(client: u64) -> Requestor {
    Requestor {
        client: ClientId(client),
        reference_id: Some(ReferenceId(70)),
    }
}

fn facts() -> DnFacts {
    DnFacts {
        address_type: AddressType::DN,
        in_service: true,
        contacts: 1,
        direct_calls: Some(DirectCalls::default()),
    }
}

fn call_event(name: EventName, dn: &str, conn_id: u64, state: PartyState) -> Event {
    let mut event = Event {
        this_dn: Some(dn.into()),
        conn_id: Some(ConnId(conn_id)),
        call_type: Some(CallType::Internal),
        media_type: Some(MediaType::Voice),
        party_state: Some(state),
        ..Event::new(name)
    };
    event.extensions.set("Conversation-ID", "c1");
    event.extensions.set("SIP-Status", 486);
    event
}

struct Rig {
    log: EventLog,
    out: Vec<Delivery>,
}

impl Rig {
    fn with_clients(registrations: &[(u64, &str)]) -> Self {
        let mut rig = Self {
            log: EventLog::new("epoch-1"),
            out: Vec::new(),
        };
        for (client, dn) in registrations {
            rig.log.client_opened(ClientId(*client));
            rig.register(*client, dn);
        }
        rig
    }

    fn register(&mut self, client: u64, dn: &str) -> bool {
        let subscription = Subscription {
            requestor: requestor(client),
            dn: dn.into(),
            facts: facts(),
            wish: Wish::default(),
        };
        self.log.subscribe(subscription, NOW, &mut self.out)
    }

    fn publish(&mut self, name: EventName, dn: &str, conn_id: u64, state: PartyState) -> &mut Self {
        self.log
            .publish(call_event(name, dn, conn_id, state), None, NOW, &mut self.out);
        self
    }

    /// `client: sequence after previous event dn*`, then all is forgotten.
    fn said(&mut self) -> Vec<String> {
        let line = |delivery: Delivery| {
            let star = if delivery.reference_id.is_some() { "*" } else { "" };
            let dn = delivery.event.this_dn.as_ref().map_or("-", |dn| dn.user());
            let Delivery {
                client,
                sequence,
                previous,
                ref event,
                ..
            } = delivery;
            format!("{client}: {sequence} after {previous} {} {dn}{star}", event.name)
        };
        std::mem::take(&mut self.out).into_iter().map(line).collect()
    }
}

#[test]
fn each_client_of_the_dn_gets_a_copy_and_previous_chains_its_own() {
    let mut rig = Rig::with_clients(&[(1, ALICE), (2, ALICE), (2, BOB)]);
    assert_eq!(
        rig.said(),
        [
            "1: 1 after 0 EventRegistered alice*",
            "2: 2 after 0 EventRegistered alice*",
            "2: 3 after 2 EventRegistered bob*"
        ]
    );
    rig.publish(EventName::EventDialing, ALICE, 1, PartyState::Dialing);
    rig.publish(EventName::EventRinging, BOB, 1, PartyState::Alerting);
    rig.publish(EventName::EventReleased, "sip:carol@tandem.local", 2, PartyState::Null);
    rig.publish(EventName::EventReleased, ALICE, 1, PartyState::Null);
    assert_eq!(
        rig.said(),
        [
            "1: 4 after 1 EventDialing alice",
            "2: 4 after 3 EventDialing alice",
            "2: 5 after 4 EventRinging bob",
            "1: 7 after 4 EventReleased alice",
            "2: 7 after 5 EventReleased alice",
        ]
    );
    assert_eq!(rig.log.sequence(), 7);
}

#[test]
fn only_the_requestors_copy_has_the_reference_id_and_all_share_the_event() {
    let mut rig = Rig::with_clients(&[(1, ALICE), (2, ALICE)]);
    rig.out.clear();
    let event = call_event(EventName::EventDialing, ALICE, 1, PartyState::Dialing);
    rig.log.publish(event.clone(), Some(requestor(2)), NOW, &mut rig.out);
    assert!(Arc::ptr_eq(&rig.out[0].event, &rig.out[1].event));
    assert_eq!(rig.out[0].event.reference_id, None);
    assert_eq!(
        rig.said(),
        ["1: 3 after 1 EventDialing alice", "2: 3 after 2 EventDialing alice*"]
    );
    rig.log.client_opened(ClientId(3));
    rig.log.publish(event, Some(requestor(3)), NOW, &mut rig.out);
    assert_eq!(
        rig.said().last().unwrap(),
        "3: 4 after 0 EventDialing alice*",
        "not registered, but waiting"
    );
}

#[test]
fn an_answer_goes_to_the_requestor_only() {
    let mut rig = Rig::with_clients(&[(1, ALICE), (2, ALICE)]);
    rig.out.clear();
    let mut event = Event::new(EventName::EventServerInfo);
    event.reference_id = Some(ReferenceId(1));
    rig.log.answer(requestor(1), event, NOW, &mut rig.out);
    assert_eq!(rig.out[0].reference_id, Some(ReferenceId(70)));
    assert_eq!(rig.said(), ["1: 3 after 1 EventServerInfo -*"]);
    rig.log
        .answer(requestor(9), Event::new(EventName::EventACK), NOW, &mut rig.out);
    assert!(rig.said().is_empty(), "a client that is gone");
}

#[test]
fn an_event_without_a_dn_goes_to_every_client_that_has_opened_the_server() {
    let mut house = resume::House::new(Limits::default());
    house.desk(1, &[ALICE]);
    house.desk(2, &[]);
    // It has a connection, and its OpenServer is still to come: maybe it resumes, and has a chain to go on with.
    house.rig.log.client_opened(ClientId(3));
    let Rig { log, out } = &mut house.rig;
    log.publish(Event::new(EventName::EventLinkConnected), None, NOW, out);
    assert_eq!(
        house.rig.said(),
        ["1: 4 after 2 EventLinkConnected -", "2: 4 after 3 EventLinkConnected -"]
    );
}

#[test]
fn a_mask_hides_events_but_no_answers_and_leaves_no_gap() {
    let mut rig = Rig::with_clients(&[(1, ALICE)]);
    rig.log
        .set_input_mask(requestor(1), [EventName::EventReleased], NOW, &mut rig.out);
    rig.publish(EventName::EventDialing, ALICE, 1, PartyState::Dialing);
    rig.publish(EventName::EventReleased, ALICE, 1, PartyState::Null);
    let event = call_event(EventName::EventDialing, ALICE, 2, PartyState::Dialing);
    rig.log.publish(event, Some(requestor(1)), NOW, &mut rig.out);
    assert_eq!(
        rig.said(),
        [
            "1: 1 after 0 EventRegistered alice*",
            "1: 2 after 1 EventACK -*",
            "1: 4 after 2 EventReleased alice",
            "1: 5 after 4 EventDialing alice*",
        ]
    );
}

#[test]
fn registering_shows_the_calls_that_are_there() {
    let mut rig = Rig::with_clients(&[(1, BOB)]);
    rig.publish(EventName::EventDialing, ALICE, 0xa01, PartyState::Dialing);
    rig.publish(EventName::EventRinging, ALICE, 0xa02, PartyState::Alerting);
    rig.publish(EventName::EventEstablished, ALICE, 0xa01, PartyState::Connected);
    rig.out.clear();
    rig.register(1, ALICE);
    rig.log.query_address(requestor(1), ALICE.into(), facts(), NOW, &mut rig.out);
    assert_eq!(rig.out[1].event.name, EventName::EventAddressInfo);
    for delivery in &rig.out {
        let event = &delivery.event;
        assert_eq!(
            (event.address_type, event.address_info_status),
            (Some(AddressType::DN), Some(2))
        );
        assert_eq!(
            serde_json::to_string(&event.extensions).unwrap(),
            r#"{"conn-1":"0000000000000a01","ct-1":1,"mt-1":0,"ps-1":12,"conn-2":"0000000000000a02","ct-2":1,"mt-2":0,"ps-2":10,"in-service":1,"handle-direct-calls":"true","handle-direct-calls-media":"all"}"#
        );
    }
    rig.publish(EventName::EventAbandoned, ALICE, 0xa02, PartyState::Null);
    assert_eq!(rig.log.calls_on(&ALICE.into()), 1);
}

#[test]
fn a_call_that_crashed_ends_with_one_terminal_event_for_each_live_party() {
    let mut rig = Rig::with_clients(&[(1, ALICE), (1, BOB)]);
    rig.publish(EventName::EventDialing, ALICE, 1, PartyState::Dialing);
    rig.publish(EventName::EventRinging, BOB, 1, PartyState::Alerting);
    rig.publish(EventName::EventDialing, ALICE, 2, PartyState::Dialing);
    assert_eq!(rig.log.parties_of(ConnId(1)), [DnId::new(ALICE), DnId::new(BOB)]);
    rig.out.clear();
    rig.log.abort_call(ConnId(1), NOW, &mut rig.out);
    for delivery in &rig.out {
        let event = &delivery.event;
        assert_eq!(
            (event.conn_id, event.call_state),
            (Some(ConnId(1)), Some(CallState::SystemError))
        );
        assert_eq!(
            serde_json::to_string(&event.extensions).unwrap(),
            r#"{"Conversation-ID":"c1"}"#
        );
    }
    assert_eq!(
        rig.said(),
        ["1: 6 after 5 EventReleased alice", "1: 7 after 6 EventReleased bob"]
    );
    rig.log.abort_call(ConnId(1), NOW, &mut rig.out);
    assert!(rig.said().is_empty());
    assert_eq!(
        (rig.log.parties_of(ConnId(1)).len(), rig.log.parties_of(ConnId(2)).len()),
        (0, 1)
    );
}

#[test]
fn a_party_that_comes_over_from_another_call_is_there_no_more() {
    let mut rig = Rig::with_clients(&[]);
    rig.publish(EventName::EventRinging, BOB, 2, PartyState::Alerting)
        .publish(EventName::EventEstablished, BOB, 2, PartyState::Connected)
        .publish(EventName::EventDialing, ALICE, 1, PartyState::Dialing);
    for (dn, previous) in [(BOB, 2), (ALICE, 1)] {
        let mut event = call_event(EventName::EventPartyChanged, dn, 1, PartyState::Connected);
        event.previous_conn_id = Some(ConnId(previous));
        rig.log.publish(event, None, NOW, &mut rig.out);
    }
    assert_eq!(rig.log.parties_of(ConnId(2)), []);
    assert_eq!(rig.log.parties_of(ConnId(1)), [ALICE.into(), BOB.into()] as [DnId; 2]);
    assert_eq!((rig.log.calls_on(&BOB.into()), rig.log.calls_on(&ALICE.into())), (1, 1));
}

#[test]
fn a_client_that_is_gone_gets_nothing_and_leaves_nothing() {
    let mut rig = Rig::with_clients(&[(1, BOB), (1, ALICE), (2, ALICE)]);
    assert!(rig.log.is_registered(ClientId(1), &BOB.into()));
    assert_eq!(rig.log.client_closed(ClientId(1)), [DnId::new(ALICE), DnId::new(BOB)]);
    assert!(rig.log.client_closed(ClientId(1)).is_empty());
    assert!(!rig.register(1, BOB), "the DN is to be told");
    assert!(!rig.log.is_registered(ClientId(1), &BOB.into()));
    rig.out.clear();
    rig.publish(EventName::EventDialing, ALICE, 1, PartyState::Dialing);
    assert_eq!(rig.said(), ["2: 4 after 3 EventDialing alice"]);
    rig.log.unsubscribe(requestor(2), ALICE.into(), NOW, &mut rig.out);
    assert_eq!(rig.said(), ["2: 5 after 4 EventUnregistered alice*"]);
    rig.log.client_closed(ClientId(2));
    assert!(rig.log.subscribers.is_empty() && rig.log.clients() == 0);
}

#[test]
fn a_log_that_takes_the_place_of_a_lost_one_repeats_no_sequence() {
    let mut log = EventLog::after("epoch-1", 41);
    let mut out = Vec::new();
    log.client_opened(ClientId(1));
    log.answer(requestor(1), Event::new(EventName::EventServerConnected), NOW, &mut out);
    assert_eq!((out[0].sequence, out[0].previous), (42, 0));
}

#[test]
fn time_never_runs_backwards_along_the_order() {
    let mut rig = Rig::with_clients(&[(1, ALICE)]);
    let event = || call_event(EventName::EventDialing, ALICE, 1, PartyState::Dialing);
    rig.log.publish(event(), None, NOW + Duration::from_secs(5), &mut rig.out);
    rig.log.publish(event(), None, NOW + Duration::from_secs(3), &mut rig.out);
    assert_eq!(rig.out[1].time, rig.out[2].time);
}

#[derive(Clone, Debug)]
enum Step {
    Open(u64),
    Close(u64),
    Register(u64, &'static str),
    Unregister(u64, &'static str),
    Mask(u64, bool),
    Publish(EventName, &'static str, u64, PartyState),
    Abort(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 1_u64..4;
    let dn = || prop_oneof![Just(ALICE), Just(BOB)];
    let published = prop_oneof![
        Just((EventName::EventDialing, PartyState::Dialing)),
        Just((EventName::EventEstablished, PartyState::Connected)),
        Just((EventName::EventReleased, PartyState::Null)),
    ];
    prop_oneof![
        2 => client().prop_map(Step::Open),
        1 => client().prop_map(Step::Close),
        3 => (client(), dn()).prop_map(|(client, dn)| Step::Register(client, dn)),
        1 => (client(), dn()).prop_map(|(client, dn)| Step::Unregister(client, dn)),
        1 => (client(), any::<bool>()).prop_map(|(client, all)| Step::Mask(client, all)),
        9 => (published, dn(), 1_u64..4).prop_map(|((name, state), dn, conn)| Step::Publish(name, dn, conn, state)),
        1 => (1_u64..4).prop_map(Step::Abort),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// One order for all; no client can miss anything without seeing it; snapshots hold live parties only.
    #[test]
    fn the_order_is_total_and_every_clients_chain_is_whole(steps in proptest::collection::vec(step(), 0..60)) {
        let mut rig = Rig::with_clients(&[]);
        let mut chains: HashMap<ClientId, u64> = HashMap::new();
        let mut live: BTreeSet<(&str, u64)> = BTreeSet::new();
        let mut last = 0;
        for step in steps {
            match step {
                Step::Open(client) => rig.log.client_opened(ClientId(client)),
                Step::Close(client) => {
                    rig.log.client_closed(ClientId(client));
                    chains.remove(&ClientId(client));
                }
                Step::Register(client, dn) => {
                    rig.register(client, dn);
                }
                Step::Unregister(client, dn) => rig.log.unsubscribe(requestor(client), dn.into(), NOW, &mut rig.out),
                Step::Mask(client, all) => {
                    let events = if all { EventName::ALL } else { &[] };
                    rig.log.set_input_mask(requestor(client), events.iter().copied(), NOW, &mut rig.out);
                }
                Step::Publish(name, dn, conn_id, state) => {
                    if state == PartyState::Null { live.remove(&(dn, conn_id)); } else { live.insert((dn, conn_id)); }
                    rig.publish(name, dn, conn_id, state);
                }
                Step::Abort(conn_id) => {
                    rig.log.abort_call(ConnId(conn_id), NOW, &mut rig.out);
                    live.retain(|(_, other)| *other != conn_id);
                }
            }
            for delivery in std::mem::take(&mut rig.out) {
                prop_assert!(delivery.sequence >= last);
                last = delivery.sequence;
                let previous = chains.insert(delivery.client, delivery.sequence).unwrap_or_default();
                prop_assert_eq!(delivery.previous, previous);
                prop_assert!(delivery.sequence > previous, "one copy of each event");
            }
            for dn in [ALICE, BOB] {
                prop_assert_eq!(rig.log.calls_on(&dn.into()), live.iter().filter(|(other, _)| *other == dn).count());
            }
        }
        for conn_id in 1..4 {
            rig.log.abort_call(ConnId(conn_id), NOW, &mut rig.out);
        }
        prop_assert!(rig.log.snapshots.is_empty());
    }
}
