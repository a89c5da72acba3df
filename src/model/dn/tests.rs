//! Tests of the DN machine: service state and registrations, input by input.

use super::wish::Wishes;
use super::*;
use crate::numbering::{DirectMedia, DirectOverride, HANDLE_DIRECT_CALLS_MEDIA, HandleDirectCalls};
use crate::{KvList, ReferenceId};

const ALICE: &str = "sip:alice@tandem.local";

fn requestor(client: u64) -> Requestor {
    Requestor {
        client: ClientId(client),
        reference_id: Some(ReferenceId(9)),
    }
}

fn extension() -> Dn {
    Dn::new(ALICE.into(), DnKind::Extension, DnSettings { max_clients: 3 })
}

fn said(dn: &mut Dn, input: DnInput) -> String {
    let mut out = Vec::new();
    dn.handle(input, &mut out);
    let line = |output: &DnOutput| match output {
        DnOutput::Event(event) => format!("{} {}", event.name, event.extensions.text("cause").unwrap()),
        DnOutput::Registered { facts, .. } => format!("registered {} {}", facts.address_type, facts.in_service),
        DnOutput::InForce(in_force) => {
            let held = DirectCalls::default().under(in_force.direct);
            format!("direct {} {}", held.handle.name(), held.media.name())
        }
        DnOutput::Unregistered { .. } => "unregistered".to_owned(),
        DnOutput::Accepted { .. } => "accepted".to_owned(),
        DnOutput::Refused { error, .. } => error.code.number().to_string(),
    };
    out.iter().map(line).collect::<Vec<_>>().join(", ")
}

fn register(dn: &mut Dn, client: u64, mode: RegisterMode) -> String {
    register_with(dn, client, mode, &[])
}

fn register_with(dn: &mut Dn, client: u64, mode: RegisterMode, extensions: &[(&str, &str)]) -> String {
    let extensions = KvList::from_iter(extensions.iter().copied());
    let wish = WishChange::from_extensions(&extensions).unwrap();
    let requestor = requestor(client);
    said(dn, DnInput::RegisterCheck { requestor, mode, wish })
}

fn make_call(dn: &mut Dn, client: u64) -> String {
    said(
        dn,
        DnInput::MakeCallCheck {
            requestor: requestor(client),
        },
    )
}

#[test]
fn an_extension_is_in_service_while_it_has_devices_and_a_connector() {
    let mut dn = extension();
    assert!(!dn.in_service());
    for (input, output) in [
        (DnInput::Contacts(0), ""),
        (DnInput::Contacts(1), "EventDNBackInService registered"),
        (DnInput::Contacts(2), ""),
        (DnInput::Link { up: false }, "EventDNOutOfService link-down"),
        (DnInput::Contacts(0), ""),
        (DnInput::Link { up: true }, ""),
        (DnInput::Contacts(1), "EventDNBackInService registered"),
        (DnInput::Contacts(0), "EventDNOutOfService unregistered"),
    ] {
        assert_eq!(said(&mut dn, input), output, "{input:?}");
    }
}

#[test]
fn a_trunk_is_in_service_while_it_has_a_connector() {
    let mut dn = Dn::new("sip:pstn@tandem.local".into(), DnKind::Trunk, DnSettings::default());
    assert!(dn.in_service());
    assert_eq!(said(&mut dn, DnInput::Contacts(0)), "");
    assert_eq!(said(&mut dn, DnInput::Link { up: false }), "EventDNOutOfService link-down");
    assert_eq!(said(&mut dn, DnInput::Link { up: true }), "EventDNBackInService link-up");
    assert_eq!(register(&mut dn, 1, RegisterMode::Share), "registered Trunk true");
}

#[test]
fn one_that_is_configured_no_more_is_out_of_service_until_it_is_again() {
    let configured = |kind| DnInput::Configured {
        kind,
        direct_calls: DirectCalls::default(),
    };
    let mut dn = extension();
    dn.handle(DnInput::Contacts(1), &mut Vec::new());
    assert_eq!(register(&mut dn, 1, RegisterMode::Share), "registered DN true");
    assert_eq!(said(&mut dn, configured(DnKind::Extension)), "", "it is no other one");
    assert_eq!(said(&mut dn, DnInput::Removed), "EventDNOutOfService removed");
    for (input, output) in [
        (DnInput::Removed, ""),
        (DnInput::Link { up: false }, ""),
        (DnInput::Link { up: true }, ""),
        (DnInput::Contacts(2), ""),
    ] {
        assert_eq!(said(&mut dn, input), output, "{input:?}");
    }
    let error = |code: TErrorCode| code.number().to_string();
    assert_eq!(register(&mut dn, 2, RegisterMode::Share), error(TErrorCode::NotConfigured));
    assert_eq!(make_call(&mut dn, 1), error(TErrorCode::OutOfService));
    let requestor = requestor(1);
    assert_eq!(
        said(&mut dn, DnInput::RequestCheck { requestor }),
        "accepted",
        "its calls can be ended"
    );
    assert_eq!(
        said(&mut dn, configured(DnKind::Extension)),
        "EventDNBackInService registered"
    );
    assert_eq!(register(&mut dn, 2, RegisterMode::Share), "registered DN true");
    let mut trunk = Dn::new("sip:pstn@tandem.local".into(), DnKind::Trunk, DnSettings::default());
    assert_eq!(said(&mut trunk, DnInput::Removed), "EventDNOutOfService removed");
    assert_eq!(said(&mut trunk, configured(DnKind::Trunk)), "EventDNBackInService link-up");
}

#[test]
fn which_direct_calls_are_handled_may_change() {
    let mut dn = extension();
    let never = DirectCalls {
        handle: HandleDirectCalls::Never,
        media: DirectMedia::default(),
    };
    let configured = DnInput::Configured {
        kind: DnKind::Extension,
        direct_calls: never,
    };
    assert_eq!(said(&mut dn, configured), "");
    assert_eq!(dn.facts().direct_calls, Some(never));
}

#[test]
fn who_may_register_beside_whom() {
    use RegisterMode::{Monitor, Private, Share};
    for (theirs, mine, output) in [
        (Share, Share, "registered DN false"),
        (Share, Private, "42"),
        (Share, Monitor, "registered DN false"),
        (Private, Share, "42"),
        (Private, Private, "42"),
        (Private, Monitor, "registered DN false"),
        (Monitor, Share, "registered DN false"),
        (Monitor, Private, "registered DN false"),
        (Monitor, Monitor, "registered DN false"),
    ] {
        let mut dn = extension();
        register(&mut dn, 1, theirs);
        assert_eq!(register(&mut dn, 2, mine), output, "{mine} beside {theirs}");
    }
}

#[test]
fn registering_again_changes_the_mode_and_takes_no_second_place() {
    let mut dn = extension();
    register(&mut dn, 1, RegisterMode::Private);
    register(&mut dn, 1, RegisterMode::Share);
    assert_eq!(register(&mut dn, 2, RegisterMode::Share), "registered DN false");
    assert_eq!(dn.clients(), 2);
}

#[test]
fn the_number_of_clients_is_bounded() {
    let mut dn = extension();
    for client in 1..=3 {
        register(&mut dn, client, RegisterMode::Share);
    }
    assert_eq!(register(&mut dn, 4, RegisterMode::Share), "111");
    assert_eq!(register(&mut dn, 3, RegisterMode::Share), "registered DN false");
    assert_eq!(said(&mut dn, DnInput::ClientGone(ClientId(1))), "");
    assert_eq!(register(&mut dn, 4, RegisterMode::Share), "registered DN false");
}

#[test]
fn a_registration_from_before_a_restart_holds_without_a_word() {
    let mut dn = extension();
    let restored = |mode| DnInput::Restored {
        client: ClientId(1),
        mode,
        wish: Wish::default(),
    };
    assert_eq!(said(&mut dn, restored(RegisterMode::Share)), "");
    assert_eq!(said(&mut dn, restored(RegisterMode::Private)), "");
    assert_eq!(dn.clients(), 1);
    assert_eq!(register(&mut dn, 2, RegisterMode::Share), "42");
    assert_eq!(make_call(&mut dn, 1), "58");
}

#[test]
fn unregister_is_answered_once() {
    let mut dn = extension();
    let unregister = DnInput::Unregister { requestor: requestor(1) };
    assert_eq!(said(&mut dn, unregister), "41");
    register(&mut dn, 1, RegisterMode::Share);
    assert_eq!(said(&mut dn, unregister), "unregistered");
    assert_eq!(said(&mut dn, unregister), "41");
}

#[test]
fn a_call_is_made_by_a_registered_client_from_a_dn_in_service_that_nobody_else_holds() {
    let mut dn = extension();
    assert_eq!(make_call(&mut dn, 1), "41");
    register(&mut dn, 1, RegisterMode::Monitor);
    assert_eq!(make_call(&mut dn, 1), "58");
    said(&mut dn, DnInput::Contacts(1));
    assert_eq!(make_call(&mut dn, 1), "accepted");
    register(&mut dn, 2, RegisterMode::Private);
    assert_eq!(make_call(&mut dn, 1), "42");
    assert_eq!(make_call(&mut dn, 2), "accepted");
    said(&mut dn, DnInput::ClientGone(ClientId(2)));
    assert_eq!(make_call(&mut dn, 1), "accepted");
}

#[test]
fn other_requests_go_on_while_the_dn_is_out_of_service() {
    let mut dn = extension();
    let check = DnInput::RequestCheck { requestor: requestor(1) };
    assert_eq!(said(&mut dn, check), "41");
    register(&mut dn, 1, RegisterMode::Share);
    assert_eq!(said(&mut dn, check), "accepted");
}

#[test]
fn devices_that_had_registered_with_the_process_before_are_no_news() {
    let mut dn = extension();
    let restarted = DnInput::Restarted {
        in_service: true,
        link_up: false,
    };
    assert_eq!(said(&mut dn, restarted), "");
    assert!(!dn.in_service());
    assert_eq!(
        said(&mut dn, DnInput::Link { up: true }),
        "",
        "its devices may be heard of yet"
    );
    assert_eq!(said(&mut dn, DnInput::Contacts(1)), "");
    let mut dn = extension();
    for (input, output) in [
        (restarted, ""),
        (DnInput::Review, "EventDNOutOfService link-down"),
        (DnInput::Contacts(1), ""),
        (DnInput::Link { up: true }, "EventDNBackInService registered"),
    ] {
        assert_eq!(said(&mut dn, input), output, "{input:?}");
    }
}

#[test]
fn a_restart_in_one_process_is_no_news_unless_the_devices_are_gone() {
    let restarted = |in_service| DnInput::Restarted {
        in_service,
        link_up: true,
    };
    let mut dn = extension();
    for (input, output) in [
        (restarted(true), ""),
        (DnInput::Contacts(1), ""),
        (DnInput::Review, ""),
        (DnInput::Contacts(0), "EventDNOutOfService unregistered"),
    ] {
        assert_eq!(said(&mut dn, input), output, "{input:?}");
    }
    let mut dn = extension();
    for (input, output) in [
        (restarted(true), ""),
        (DnInput::Review, "EventDNOutOfService unregistered"),
        (DnInput::Review, ""),
    ] {
        assert_eq!(said(&mut dn, input), output, "{input:?}");
    }
    let mut dn = extension();
    said(&mut dn, restarted(false));
    assert_eq!(said(&mut dn, DnInput::Contacts(1)), "EventDNBackInService registered");
}

#[test]
fn who_registers_before_the_devices_are_heard_of_believes_what_the_others_do() {
    let mut dn = extension();
    let restarted = DnInput::Restarted {
        in_service: true,
        link_up: true,
    };
    said(&mut dn, restarted);
    let register = DnInput::RegisterCheck {
        requestor: requestor(1),
        mode: RegisterMode::Share,
        wish: WishChange::default(),
    };
    assert!(said(&mut dn, register).starts_with("EventDNOutOfService unregistered"));
    assert_eq!(said(&mut dn, DnInput::Contacts(1)), "EventDNBackInService registered");
}

fn wants(dn: &mut Dn, client: u64, handle: &str) -> String {
    register_with(dn, client, RegisterMode::Share, &[(HANDLE_DIRECT_CALLS, handle)])
}

/// What EventRegistered says.
fn setting(dn: &Dn) -> (&'static str, &'static str) {
    let held = dn.facts().direct_calls.unwrap();
    (held.handle.name(), held.media.name())
}

/// Seed 002 lines 2369, 2377-2386.
#[test]
fn a_client_overrides_how_direct_calls_are_handled_while_it_is_registered() {
    let mut dn = extension();
    assert_eq!(setting(&dn), ("true", "all"));
    let both = [(HANDLE_DIRECT_CALLS, "false"), (HANDLE_DIRECT_CALLS_MEDIA, "im")];
    let said_then = register_with(&mut dn, 1, RegisterMode::Share, &both);
    assert_eq!(said_then, "direct false im, registered DN false", "before the answer");
    assert_eq!(setting(&dn), ("false", "im"));
    assert_eq!(register(&mut dn, 1, RegisterMode::Monitor), "registered DN false", "it stays");
    assert_eq!(register(&mut dn, 2, RegisterMode::Share), "registered DN false");
    assert_eq!(said(&mut dn, DnInput::ClientGone(ClientId(2))), "");
    assert_eq!(said(&mut dn, DnInput::ClientGone(ClientId(1))), "direct true all");
    assert_eq!(wants(&mut dn, 1, "on-login"), "direct on-login all, registered DN false");
    let unregister = DnInput::Unregister { requestor: requestor(1) };
    assert_eq!(said(&mut dn, unregister), "direct true all, unregistered");
}

#[test]
fn a_false_setting_is_overridden_too_and_what_is_not_named_stays_configured() {
    let configured = DirectCalls {
        handle: HandleDirectCalls::Never,
        media: DirectMedia { av: true, im: false },
    };
    let mut dn = extension().with_direct_calls(configured);
    assert_eq!(setting(&dn), ("false", "av"));
    wants(&mut dn, 1, "true");
    assert_eq!(setting(&dn), ("true", "av"));
    register_with(&mut dn, 1, RegisterMode::Share, &[(HANDLE_DIRECT_CALLS_MEDIA, "all")]);
    assert_eq!(setting(&dn), ("false", "all"), "the last request counts as a whole");
}

#[test]
fn of_several_desktops_the_last_one_that_asked_is_heeded_and_then_the_one_before() {
    let mut dn = extension();
    wants(&mut dn, 1, "false");
    wants(&mut dn, 2, "on-login");
    assert_eq!(setting(&dn).0, "on-login");
    assert_eq!(wants(&mut dn, 1, "false"), "direct false all, registered DN false", "again");
    assert_eq!(said(&mut dn, DnInput::ClientGone(ClientId(1))), "direct on-login all");
    assert_eq!(said(&mut dn, DnInput::ClientGone(ClientId(2))), "direct true all");
}

#[test]
fn what_a_refused_registration_asks_is_not_heeded() {
    let mut dn = extension();
    register(&mut dn, 1, RegisterMode::Private);
    assert_eq!(wants(&mut dn, 2, "false"), "42");
    assert_eq!(setting(&dn).0, "true");
    let mut trunk = Dn::new("sip:pstn@tandem.local".into(), DnKind::Trunk, DnSettings::default());
    assert_eq!(wants(&mut trunk, 1, "false"), "53");
    assert_eq!((trunk.clients(), trunk.facts().direct_calls), (0, None));
}

#[test]
fn overrides_from_before_a_restart_hold_in_the_order_in_which_they_were_asked_for() {
    let mut dn = extension();
    wants(&mut dn, 2, "false");
    wants(&mut dn, 1, "on-login");
    let kept: Vec<Registered> = dn.clients.to_vec();
    for order in [[0, 1], [1, 0]] {
        let mut again = extension();
        for at in order {
            let Registered { client, mode, wish } = kept[at];
            said(&mut again, DnInput::Restored { client, mode, wish });
        }
        assert_eq!(setting(&again).0, "on-login", "{order:?}");
        said(&mut again, DnInput::ClientGone(ClientId(1)));
        assert_eq!(setting(&again).0, "false", "{order:?}");
    }
}

#[test]
fn a_dn_is_told_how_far_media_is_while_one_of_its_clients_wants_that() {
    let asks = |dn: &mut Dn, client, wish| register_with(dn, client, RegisterMode::Share, &[("RemoteMediaFlowState", wish)]);
    let mut dn = extension();
    asks(&mut dn, 1, "1");
    asks(&mut dn, 2, "true");
    register(&mut dn, 2, RegisterMode::Monitor);
    assert!(dn.in_force.flow);
    asks(&mut dn, 1, "0");
    assert!(dn.in_force.flow);
    said(&mut dn, DnInput::ClientGone(ClientId(2)));
    assert!(!dn.in_force.flow);
    let wrong = KvList::from_iter([("RemoteMediaFlowState", "yes")]);
    assert!(WishChange::from_extensions(&wrong).is_err());
}

#[test]
fn wishes_are_looked_up_by_dn_and_copies_stay_as_they_were() {
    let direct = DirectOverride {
        handle: Some(HandleDirectCalls::Never),
        media: None,
    };
    let (alice, bob) = (DnId::new(ALICE), DnId::new("sip:bob@tandem.local"));
    let mut wishes = Wishes::default();
    let held = InForce { direct, flow: true };
    wishes.set(&alice, held);
    let before = wishes.clone();
    wishes.set(&alice, InForce::default());
    assert_eq!((before.of(&alice), before.of(&bob)), (held, InForce::default()));
    assert_eq!(wishes.of(&alice), InForce::default());
}
