//! Phones on connections of their own, at a connector that is not the one of their call: the route of the call's requests names a connection
//! that is gone, and leads to the phone where it has connected anew, be that at another connector.

use tandem_wire::model::EventName::{EventDNBackInService, EventEstablished, EventReleased};

use super::stage::{Split, connect, hold, retrieve, talk};
use crate::golden::stage::dn;
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;

/// Alice at the first connector; Bob, on a connection, at the second; desks that watch them.
async fn apart() -> (Split, Handset, Handset, Desk, Desk) {
    let split = Split::among(&["1001", "1002"], &["", ""], "").await;
    let ([alice], desk) = split.phones([("1001", 0)]).await;
    let mut at_bobs = split.desk(&["1002"]).await;
    let bob = Handset::over_tcp("1002", split.connectors[1].sip).await;
    at_bobs.expect(EventDNBackInService, &dn("1002")).await;
    (split, alice, bob, desk, at_bobs)
}

/// Each desk holds and retrieves the call, and Bob does so himself; then he hangs up, or Alice does.
async fn goes_on(
    (split, desk, at_bobs): (&Split, &mut Desk, &mut Desk),
    call: tandem_wire::model::ConnId,
    (alice, there): (&Handset, usize),
    (bob, here): (&Handset, usize),
    bob_ends: bool,
) {
    hold(desk, "1001", call).await;
    hold(at_bobs, "1002", call).await;
    bob_holds_and_one_ends(split, (alice, there), (bob, here), bob_ends).await;
}

async fn bob_holds_and_one_ends(
    split: &Split,
    (alice, there): (&Handset, usize),
    (bob, here): (&Handset, usize),
    bob_ends: bool,
) {
    bob.holds(here).await;
    bob.resumes(here).await;
    if bob_ends {
        bob.hangs_up(here).await;
        alice.is_over(there).await;
    } else {
        alice.hangs_up(there).await;
        bob.is_over(here).await;
    }
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_phone_behind_a_connection_is_called_from_another_connector() {
    let (split, alice, bob, mut desk, _) = apart().await;
    for bob_ends in [true, false] {
        let (call, there, here) = talk(&mut desk, &alice, &bob).await;
        hold(&mut desk, "1001", call).await;
        bob_holds_and_one_ends(&split, (&alice, there), (&bob, here), bob_ends).await;
    }
    // And it calls.
    let (here, there) = connect(&bob, &alice).await;
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_phone_that_has_lost_its_connection_is_found_over_its_next_one() {
    let (split, alice, mut bob, mut desk, mut at_bobs) = apart().await;
    for (number, bob_ends) in [(2, true), (3, false)] {
        let (call, there, here) = talk(&mut desk, &alice, &bob).await;
        bob.loses_its_connection().await;
        bob.connects_anew(number).await;
        let here = (&bob, here);
        goes_on((&split, &mut desk, &mut at_bobs), call, (&alice, there), here, bob_ends).await;
    }
}

#[tokio::test]
async fn a_phone_whose_connector_was_killed_is_found_when_it_has_connected_anew() {
    let (mut split, alice, mut bob, mut desk, mut at_bobs) = apart().await;
    let (call, there, here) = talk(&mut desk, &alice, &bob).await;
    split.kill(1).await;
    split.start_again(1).await;
    split.is_whole().await;
    bob.connects_anew(2).await;
    let here = (&bob, here);
    goes_on((&split, &mut desk, &mut at_bobs), call, (&alice, there), here, false).await;
}

#[tokio::test]
async fn a_phone_is_found_after_a_kill_of_both_connectors() {
    let (mut split, alice, mut bob, mut desk, mut at_bobs) = apart().await;
    let (call, there, here) = talk(&mut desk, &alice, &bob).await;
    for connector in [0, 1] {
        split.kill(connector).await;
    }
    for connector in [0, 1] {
        split.start_again(connector).await;
    }
    split.is_whole().await;
    bob.connects_anew(2).await;
    let here = (&bob, here);
    goes_on((&split, &mut desk, &mut at_bobs), call, (&alice, there), here, true).await;
}

/// Waits until the T-Server knows that Bob is at that connector.
async fn is_at(split: &Split, connector: usize) {
    split
        .shows("/v1/dns", |dns| {
            dns.iter()
                .any(|item| item["dn"] == dn("1002") && item["connector"] == connector)
        })
        .await;
}

#[tokio::test]
async fn a_phone_that_connects_to_another_connector_takes_its_call_along() {
    for (is_killed, bob_calls) in [(false, false), (true, false), (false, true)] {
        let mut split = Split::among(&["1001", "1002"], &["", "", ""], "").await;
        let ([alice], mut desk) = split.phones([("1001", 0)]).await;
        let mut at_bobs = split.desk(&["1002"]).await;
        let mut bob = Handset::over_tcp("1002", split.connectors[1].sip).await;
        at_bobs.expect(EventDNBackInService, &dn("1002")).await;
        // The call is the caller's connector's.
        let (call, there, here) = if bob_calls {
            let (here, there) = connect(&bob, &alice).await;
            let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);
            (call, there, here)
        } else {
            talk(&mut desk, &alice, &bob).await
        };
        if is_killed {
            split.kill(1).await;
        }
        for (number, connector) in [(2, 2), (3, 0), (4, 2)] {
            bob.connects_to(split.connectors[connector].sip, number).await;
            is_at(&split, connector).await;
            hold(&mut desk, "1001", call).await;
            retrieve(&mut desk, "1001", call).await;
            bob.holds(here).await;
            bob.resumes(here).await;
        }
        alice.hangs_up(there).await;
        bob.is_over(here).await;
        split.has_calls(0).await;
    }
}

#[tokio::test]
async fn a_call_that_ended_while_its_phone_was_on_the_way_to_another_connector_is_ended_there() {
    let (split, alice, mut bob, mut desk, _) = apart().await;
    let (here, there) = connect(&bob, &alice).await;
    desk.expect(EventEstablished, &dn("1001")).await;
    bob.loses_its_connection().await;
    alice.hangs_up(there).await;
    desk.expect(EventReleased, &dn("1001")).await;
    bob.connects_to(split.connectors[0].sip, 2).await;
    bob.is_over(here).await;
    split.has_calls(0).await;
}
