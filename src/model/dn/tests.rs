//! Tests of the DN machine: service state and registrations, input by input.

use super::*;
use crate::ReferenceId;

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
        DnOutput::Unregistered { .. } => "unregistered".to_owned(),
        DnOutput::Accepted { .. } => "accepted".to_owned(),
        DnOutput::Refused { error, .. } => error.code.number().to_string(),
    };
    out.iter().map(line).collect::<Vec<_>>().join(", ")
}

fn register(dn: &mut Dn, client: u64, mode: RegisterMode) -> String {
    let requestor = requestor(client);
    said(dn, DnInput::RegisterCheck { requestor, mode })
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
    };
    assert!(said(&mut dn, register).starts_with("EventDNOutOfService unregistered"));
    assert_eq!(said(&mut dn, DnInput::Contacts(1)), "EventDNBackInService registered");
}
