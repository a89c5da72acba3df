//! Calls between devices that are registered with different connectors: each device's connector is its edge, whichever connector has the
//! conference.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{
    EventAbandoned, EventDNBackInService, EventEstablished, EventHeld, EventPartyChanged, EventReleased, EventRetrieved,
    EventRinging,
};
use tandem_wire::model::request::{OnCallWith, OnTwoCalls};

use super::stage::{Split, connect, consult, hear, hold, make_call, retrieve, talk};
use crate::golden::stage::{dn, on_two};
use crate::rig::cti::Desk;
use crate::rig::sip::{Dialog, SDP, Socket, tag_of};
use crate::rig::wait;

#[tokio::test]
async fn a_phone_calls_one_of_another_connector_and_either_hangs_up() {
    let (split, [alice, bob], mut desk) = Split::set(2, [("1001", 0), ("1002", 1)]).await;
    for alice_ends in [true, false] {
        let (there, here) = connect(&alice, &bob).await;
        desk.expect(EventRinging, &dn("1002")).await;
        desk.expect(EventEstablished, &dn("1001")).await;
        // On hold by either phone, and back.
        bob.holds(here).await;
        desk.expect(EventHeld, &dn("1002")).await;
        bob.resumes(here).await;
        desk.expect(EventRetrieved, &dn("1002")).await;
        alice.holds(there).await;
        desk.expect(EventHeld, &dn("1001")).await;
        alice.resumes(there).await;
        desk.expect(EventRetrieved, &dn("1001")).await;
        if alice_ends {
            alice.hangs_up(there).await;
            bob.is_over(here).await;
        } else {
            bob.hangs_up(here).await;
            alice.is_over(there).await;
        }
        desk.expect(EventReleased, &dn("1001")).await;
        split.has_calls(0).await;
    }
    assert_eq!((alice.complaints(), bob.complaints()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_desktop_holds_and_sends_digits_across_connectors() {
    let (split, [alice, bob], mut desk) = Split::set(2, [("1001", 0), ("1002", 1)]).await;
    let (call, at_alice, at_bob) = make_call(&mut desk, &alice, &bob).await;
    for number in ["1001", "1002"] {
        hold(&mut desk, number, call).await;
        retrieve(&mut desk, number, call).await;
    }
    let answer = desk.ask(ClientRequest::send_dtmf(&dn("1001"), call, "47")).await;
    assert_eq!(answer.error_code, None, "{answer:?}");
    wait::until("the digits", wait::SOON, async || match bob.digits(at_bob) {
        digits if digits == "47" => Ok(()),
        digits => Err(digits),
    })
    .await;
    desk.request(ClientRequest::release_call(&dn("1001"), call)).await;
    alice.is_over(at_alice).await;
    bob.is_over(at_bob).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_call_is_transferred_and_one_becomes_a_conference_over_three_connectors() {
    let (split, [alice, bob, carol], mut desk) = Split::set(3, [("1001", 0), ("1002", 1), ("1003", 2)]).await;
    // A consultation, and the transfer.
    let at_bob = bob.dials("1001").await;
    let at_alice = alice.takes().await;
    let main = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);
    let (consultation, at_carol) = consult(&mut desk, OnCallWith::InitiateTransfer, "1001", main, &carol).await;
    desk.request(on_two(OnTwoCalls::CompleteTransfer, "1001", main, consultation))
        .await;
    desk.expect(EventReleased, &dn("1001")).await;
    alice.is_over(at_alice).await;
    desk.expect(EventPartyChanged, &dn("1002")).await;

    // What is left becomes a conference of three.
    let (consultation, at_alice) = consult(&mut desk, OnCallWith::InitiateConference, "1002", main, &alice).await;
    desk.request(on_two(OnTwoCalls::CompleteConference, "1002", main, consultation))
        .await;
    hear([
        (&bob, at_bob, &["1001", "1003"]),
        (&carol, at_carol, &["1001", "1002"]),
        (&alice, at_alice, &["1002", "1003"]),
    ])
    .await;
    bob.hangs_up(at_bob).await;
    desk.expect(EventReleased, &dn("1002")).await;
    carol.hangs_up(at_carol).await;
    alice.is_over(at_alice).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn calls_of_two_processes_are_not_brought_together_and_stay_as_they_were() {
    let (split, [alice, bob, carol], mut desk) = Split::set(2, [("1001", 0), ("1002", 1), ("1003", 1)]).await;
    let (there, here) = connect(&alice, &bob).await;
    let first = Desk::call_of(&desk.expect(EventEstablished, &dn("1002")).await);
    hold(&mut desk, "1002", first).await;
    let (second, second_line, at_carol) = make_call(&mut desk, &bob, &carol).await;
    for operation in [OnTwoCalls::CompleteTransfer, OnTwoCalls::CompleteConference] {
        let refused = desk.ask(on_two(operation, "1002", first, second)).await;
        assert_eq!(refused.error_code, Some(51), "{refused:?}");
        let text = refused.error_message.unwrap_or_default();
        assert!(text.contains("two processes"), "{text}");
    }
    carol.hangs_up(at_carol).await;
    bob.is_over(second_line).await;
    retrieve(&mut desk, "1002", first).await;
    alice.hangs_up(there).await;
    bob.is_over(here).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_caller_gives_up_and_a_callee_is_busy_across_connectors() {
    let (split, [alice, bob], mut desk) = Split::set(2, [("1001", 0), ("1002", 1)]).await;
    let there = alice.dials("1002").await;
    let here = bob.rings().await;
    desk.expect(EventRinging, &dn("1002")).await;
    alice.hangs_up(there).await;
    assert_eq!(bob.is_over(here).await, Some(487));
    assert_eq!(alice.is_over(there).await, Some(487));
    desk.expect(EventAbandoned, &dn("1002")).await;

    let there = alice.dials("1002").await;
    let here = bob.rings().await;
    bob.refuses(here, "486 Busy Here", "").await;
    assert_eq!(alice.is_over(there).await, Some(486));
    split.has_calls(0).await;
    assert_eq!((alice.complaints(), bob.complaints()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_call_that_rings_is_picked_up_by_a_phone_of_a_third_connector() {
    let (split, [alice, bob, carol], mut desk) = Split::set(3, [("1001", 0), ("1002", 1), ("1003", 2)]).await;
    let there = alice.dials("1002").await;
    let at_bob = bob.rings().await;
    desk.expect(EventRinging, &dn("1002")).await;
    alice.hears_ringing(there).await;
    let replaces = format!("Replaces: {};early-only\r\nRequire: replaces\r\n", bob.replaces(at_bob));
    let at_carol = carol.invites("1002", &replaces).await;
    carol.is_answered(at_carol).await;
    alice.is_answered(there).await;
    assert_eq!(bob.is_over(at_bob).await, Some(487));
    desk.expect(EventEstablished, &dn("1003")).await;
    carol.hangs_up(at_carol).await;
    alice.is_over(there).await;
    split.has_calls(0).await;
    assert_eq!(carol.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_passed_on_is_judged_by_where_it_began() {
    // The connectors are trusted to speak for Carol, and she is not.
    let carol = "[[dn]]\ndn = \"sip:1003@tandem.local\"\ntrusted_sources = [\"127.0.0.1/32\"]";
    let (split, [alice, bob], mut desk) = Split::set_with(2, [("1001", 0), ("1002", 0)], carol).await;
    let there = alice.dials("1002").await;
    let at_bob = bob.rings().await;
    desk.expect(EventRinging, &dn("1002")).await;
    alice.hears_ringing(there).await;
    let replaces = format!("Replaces: {}\r\n", bob.replaces(at_bob));
    for (address, status) in [("127.0.0.2", 401), ("127.0.0.1", 200)] {
        let socket = Socket::bind(address).await;
        let dialog = Dialog::new(&dn("1003"), &dn("1002"), socket.address);
        let invite = dialog.request_with("INVITE", &dn("1002"), 1, "", "carols", &replaces, SDP);
        socket.send(split.connectors[1].sip, &invite).await;
        let answer = socket.final_response("1 INVITE").await;
        assert_eq!(answer.status(), Some(status), "from {address}: {}", answer.start);
        let to_tag = tag_of(answer.header("To"));
        if status != 200 {
            assert!(answer.header("WWW-Authenticate").starts_with("Digest "), "{answer:?}");
            let ack = dialog.request_with("ACK", &dn("1002"), 1, to_tag, "carols", "", "");
            socket.send(split.connectors[1].sip, &ack).await;
            continue;
        }
        let routes: Vec<_> = answer.all("Record-Route").collect();
        let [route] = routes[..] else { panic!("{routes:?}") };
        for (method, cseq) in [("ACK", 1), ("BYE", 2)] {
            let more = format!("Route: {route}\r\n");
            let request = dialog.request_with(method, answer.contact(), cseq, to_tag, &format!("carols{method}"), &more, "");
            socket.send(split.connectors[1].sip, &request).await;
            if method == "ACK" {
                alice.is_answered(there).await;
            }
        }
        assert_eq!(socket.final_response("2 BYE").await.status(), Some(200));
    }
    alice.is_over(there).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_phone_that_registers_with_another_connector_rings_once() {
    let (split, [alice, bob], _desk) = Split::set(3, [("1001", 0), ("1002", 1)]).await;
    for (number, connector) in [(2, 2), (3, 0), (4, 1)] {
        bob.moves_to(split.connectors[connector].sip, number).await;
        let (there, here) = connect(&alice, &bob).await;
        bob.hangs_up(here).await;
        alice.is_over(there).await;
        split.has_calls(0).await;
    }
    assert_eq!(bob.call_count(), 3);
}

#[tokio::test]
async fn a_conference_is_dialled_into_at_any_connector() {
    let conference = "[[conference_dn]]\ndn = \"sip:5000@tandem.local\"";
    let at = [("1001", 0), ("1002", 1), ("1003", 2)];
    let (split, [alice, bob, carol], _desk) = Split::set_with(3, at, conference).await;
    carol.watches("5000").await;
    // Whichever of them it is at.
    for round in 0..2 {
        let first = alice.dials("5000").await;
        alice.is_answered(first).await;
        let second = bob.dials("5000").await;
        bob.is_answered(second).await;
        hear([(&alice, first, &["1002"]), (&bob, second, &["1001"])]).await;
        let both = |document: &str| document.contains("sip:1001@") && document.contains("sip:1002@");
        carol.is_shown("both of them", both).await;
        let [leaves, stays] = if round == 0 {
            [(&alice, first), (&bob, second)]
        } else {
            [(&bob, second), (&alice, first)]
        };
        leaves.0.hangs_up(leaves.1).await;
        stays.0.hangs_up(stays.1).await;
        split.has_calls(0).await;
        carol.is_shown("nobody", |document| !document.contains("sip:100")).await;
    }
    carol.watches_no_more().await;
}

#[tokio::test]
async fn an_edge_that_was_killed_has_its_devices_again() {
    let (mut split, [alice, bob], mut desk) = Split::set(2, [("1001", 0), ("1002", 1)]).await;
    let (call, there, here) = talk(&mut desk, &alice, &bob).await;

    // The conference is at the other one: the edge has nothing of the call but what stands in its messages.
    split.kill(1).await;
    split.start_again(1).await;
    hold(&mut desk, "1002", call).await;
    retrieve(&mut desk, "1002", call).await;
    bob.holds(here).await;
    desk.expect(EventHeld, &dn("1002")).await;
    desk.request(ClientRequest::release_call(&dn("1001"), call)).await;
    alice.is_over(there).await;
    bob.is_over(here).await;
    split.has_calls(0).await;
    assert!(split.tserver.is_running());
}

#[tokio::test]
async fn calls_across_connectors_need_no_t_server_to_go_on_and_to_end() {
    let (mut split, [alice, bob, carol], mut desk) = Split::set(2, [("1001", 0), ("1002", 1), ("1003", 1)]).await;
    let mut calls = Vec::new();
    for callee in [&bob, &carol] {
        let (there, here) = connect(&alice, callee).await;
        desk.expect(EventEstablished, &callee.dn()).await;
        calls.push((there, here));
    }
    let [with_bob, with_carol] = calls[..] else {
        unreachable!("two calls")
    };
    split.kill_tserver().await;
    bob.holds(with_bob.1).await;
    bob.resumes(with_bob.1).await;
    carol.hangs_up(with_carol.1).await;
    alice.is_over(with_carol.0).await;
    split.start_tserver().await;
    split.is_linked().await;
    split.has_calls(1).await;
    bob.holds(with_bob.1).await;
    alice.hangs_up(with_bob.0).await;
    bob.is_over(with_bob.1).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn without_its_edge_a_phone_with_an_address_of_its_own_is_called_there() {
    let (mut split, [alice, bob], mut desk) = Split::set(2, [("1001", 0), ("1002", 1)]).await;
    split.kill(1).await;
    desk.expect(EventDNBackInService, &dn("1002")).await;
    let (call, there, here) = talk(&mut desk, &alice, &bob).await;
    hold(&mut desk, "1002", call).await;
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_phone_joins_its_call_of_another_connector_with_the_next_that_it_makes() {
    let (split, [alice, bob, carol], mut desk) = Split::set(3, [("1001", 0), ("1002", 1), ("1003", 2)]).await;
    // Bob's connector has the call.
    let (at_bob, at_alice) = connect(&bob, &alice).await;
    alice.holds(at_alice).await;
    desk.expect(EventHeld, &dn("1001")).await;
    let (second, at_carol) = connect(&alice, &carol).await;
    desk.expect(EventEstablished, &dn("1003")).await;
    assert_eq!(alice.joins(at_alice, second).await, 200);
    alice.is_over(second).await;
    hear([(&bob, at_bob, &["1003"]), (&carol, at_carol, &["1002"])]).await;
    carol.hangs_up(at_carol).await;
    bob.is_over(at_bob).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn a_phone_that_joins_its_calls_hangs_up_as_soon_as_that_is_accepted() {
    let (split, [alice, bob, carol], mut desk) = Split::set(3, [("1001", 0), ("1002", 1), ("1003", 2)]).await;
    for (leaves_first, leaves_second) in [(true, false), (false, true), (true, true)] {
        let (at_bob, first) = connect(&bob, &alice).await;
        alice.holds(first).await;
        desk.expect(EventHeld, &dn("1001")).await;
        let (second, at_carol) = connect(&alice, &carol).await;
        desk.expect(EventEstablished, &dn("1003")).await;
        let leaves = [(first, leaves_first), (second, leaves_second)];
        let leaves: Vec<_> = leaves.iter().filter(|(_, leaves)| *leaves).map(|(call, _)| *call).collect();
        assert_eq!(alice.joins_and_leaves(first, second, &leaves).await, 200);
        alice.is_over(first).await;
        alice.is_over(second).await;
        desk.expect(EventPartyChanged, &dn("1003")).await;
        hear([(&bob, at_bob, &["1003"]), (&carol, at_carol, &["1002"])]).await;
        carol.hangs_up(at_carol).await;
        bob.is_over(at_bob).await;
        split.has_calls(0).await;
    }
    assert_eq!(alice.complaints(), [""; 0]);
}
