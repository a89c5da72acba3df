//! Calls between devices that are registered with different connectors: each device's connector is its edge, whichever connector has the
//! conference.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{
    EventAbandoned, EventDNBackInService, EventDialing, EventEstablished, EventHeld, EventPartyChanged, EventReleased,
    EventRetrieved, EventRinging,
};
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};

use super::spread::Spread;
use crate::golden::stage::{dn, on_call, on_two, with};
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;
use crate::rig::sip::{Dialog, SDP, Socket, tag_of};
use crate::rig::wait;

#[tokio::test]
async fn a_phone_calls_one_of_another_connector_and_either_hangs_up() {
    let spread = Spread::start(2, &["1001", "1002"], "").await;
    let ([alice, bob], mut desk) = spread.phones([("1001", 0), ("1002", 1)]).await;
    for alice_ends in [true, false] {
        let there = alice.dials("1002").await;
        let here = bob.takes().await;
        alice.is_answered(there).await;
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
        spread.has_calls(0).await;
    }
    assert_eq!((alice.complaints(), bob.complaints()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_desktop_holds_and_sends_digits_across_connectors() {
    let spread = Spread::start(2, &["1001", "1002"], "").await;
    let ([alice, bob], mut desk) = spread.phones([("1001", 0), ("1002", 1)]).await;
    desk.request(ClientRequest::make_call(&dn("1001"), "1002")).await;
    let at_alice = alice.takes().await;
    let at_bob = bob.takes().await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1002")).await);
    for number in ["1001", "1002"] {
        desk.request(on_call(OnCall::HoldCall, number, call)).await;
        desk.expect(EventHeld, &dn(number)).await;
        desk.request(on_call(OnCall::RetrieveCall, number, call)).await;
        desk.expect(EventRetrieved, &dn(number)).await;
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
    spread.has_calls(0).await;
}

#[tokio::test]
async fn a_call_is_transferred_and_one_becomes_a_conference_over_three_connectors() {
    let spread = Spread::start(3, &["1001", "1002", "1003"], "").await;
    let ([alice, bob, carol], mut desk) = spread.phones([("1001", 0), ("1002", 1), ("1003", 2)]).await;
    // A consultation, and the transfer.
    let at_bob = bob.dials("1001").await;
    let at_alice = alice.takes().await;
    let main = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);
    desk.request(with(OnCallWith::InitiateTransfer, "1001", main, "1003")).await;
    let consultation = Desk::call_of(&desk.expect(EventDialing, &dn("1001")).await);
    let at_carol = carol.takes().await;
    desk.expect(EventEstablished, &dn("1003")).await;
    desk.request(on_two(OnTwoCalls::CompleteTransfer, "1001", main, consultation))
        .await;
    desk.expect(EventReleased, &dn("1001")).await;
    alice.is_over(at_alice).await;
    desk.expect(EventPartyChanged, &dn("1002")).await;

    // What is left becomes a conference of three.
    desk.request(with(OnCallWith::InitiateConference, "1002", main, "1001")).await;
    let consultation = Desk::call_of(&desk.expect(EventDialing, &dn("1002")).await);
    let at_alice = alice.takes().await;
    desk.expect(EventEstablished, &dn("1001")).await;
    desk.request(on_two(OnTwoCalls::CompleteConference, "1002", main, consultation))
        .await;
    wait::until("all three voices", wait::SOON, async || {
        let heard = [
            bob.has_heard(at_bob, &["1001", "1003"]),
            carol.has_heard(at_carol, &["1001", "1002"]),
            alice.has_heard(at_alice, &["1002", "1003"]),
        ];
        if heard == [true; 3] {
            Ok(())
        } else {
            Err(format!("{heard:?}"))
        }
    })
    .await;
    bob.hangs_up(at_bob).await;
    desk.expect(EventReleased, &dn("1002")).await;
    carol.hangs_up(at_carol).await;
    alice.is_over(at_alice).await;
    spread.has_calls(0).await;
}

#[tokio::test]
async fn a_caller_gives_up_and_a_callee_is_busy_across_connectors() {
    let spread = Spread::start(2, &["1001", "1002"], "").await;
    let ([alice, bob], mut desk) = spread.phones([("1001", 0), ("1002", 1)]).await;
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
    spread.has_calls(0).await;
    assert_eq!((alice.complaints(), bob.complaints()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_call_that_rings_is_picked_up_by_a_phone_of_a_third_connector() {
    let spread = Spread::start(3, &["1001", "1002", "1003"], "").await;
    let ([alice, bob, carol], mut desk) = spread.phones([("1001", 0), ("1002", 1), ("1003", 2)]).await;
    let there = alice.dials("1002").await;
    let at_bob = bob.rings().await;
    desk.expect(EventRinging, &dn("1002")).await;
    let replaces = format!("Replaces: {};early-only\r\nRequire: replaces\r\n", bob.replaces(at_bob));
    let at_carol = carol.invites("1002", &replaces).await;
    carol.is_answered(at_carol).await;
    alice.is_answered(there).await;
    assert_eq!(bob.is_over(at_bob).await, Some(487));
    desk.expect(EventEstablished, &dn("1003")).await;
    carol.hangs_up(at_carol).await;
    alice.is_over(there).await;
    spread.has_calls(0).await;
    assert_eq!(carol.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_passed_on_is_judged_by_where_it_began() {
    // The connectors are trusted to speak for Carol, and she is not.
    let carol = "[[dn]]\ndn = \"sip:1003@tandem.local\"\ntrusted_sources = [\"127.0.0.1/32\"]";
    let spread = Spread::start(2, &["1001", "1002"], carol).await;
    let ([alice, bob], mut desk) = spread.phones([("1001", 0), ("1002", 0)]).await;
    let there = alice.dials("1002").await;
    let at_bob = bob.rings().await;
    desk.expect(EventRinging, &dn("1002")).await;
    let replaces = format!("Replaces: {}\r\n", bob.replaces(at_bob));
    for (address, status) in [("127.0.0.2", 401), ("127.0.0.1", 200)] {
        let socket = Socket::bind(address).await;
        let dialog = Dialog::new(&dn("1003"), &dn("1002"), socket.address);
        let invite = dialog.request_with("INVITE", &dn("1002"), 1, "", "carols", &replaces, SDP);
        socket.send(spread.nodes[1].sip, &invite).await;
        let answer = socket.final_response("1 INVITE").await;
        assert_eq!(answer.status(), Some(status), "from {address}: {}", answer.start);
        let to_tag = tag_of(answer.header("To"));
        if status != 200 {
            assert!(answer.header("WWW-Authenticate").starts_with("Digest "), "{answer:?}");
            let ack = dialog.request_with("ACK", &dn("1002"), 1, to_tag, "carols", "", "");
            socket.send(spread.nodes[1].sip, &ack).await;
            continue;
        }
        let routes: Vec<_> = answer.all("Record-Route").collect();
        let [route] = routes[..] else { panic!("{routes:?}") };
        for (method, cseq) in [("ACK", 1), ("BYE", 2)] {
            let more = format!("Route: {route}\r\n");
            let request = dialog.request_with(method, answer.contact(), cseq, to_tag, &format!("carols{method}"), &more, "");
            socket.send(spread.nodes[1].sip, &request).await;
            if method == "ACK" {
                alice.is_answered(there).await;
            }
        }
        assert_eq!(socket.final_response("2 BYE").await.status(), Some(200));
    }
    alice.is_over(there).await;
    spread.has_calls(0).await;
}

#[tokio::test]
async fn a_phone_behind_a_connection_is_called_from_another_connector() {
    let spread = Spread::start(2, &["1001", "1002"], "").await;
    let ([alice], mut desk) = spread.phones([("1001", 0)]).await;
    let mut at_bobs = Desk::on(spread.http, &[&dn("1002")]).await;
    let bob = Handset::over_tcp("1002", spread.nodes[1].sip).await;
    at_bobs.expect(EventDNBackInService, &dn("1002")).await;
    for bob_ends in [true, false] {
        let there = alice.dials("1002").await;
        let here = bob.takes().await;
        alice.is_answered(there).await;
        let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);
        desk.request(on_call(OnCall::HoldCall, "1001", call)).await;
        desk.expect(EventHeld, &dn("1001")).await;
        bob.holds(here).await;
        bob.resumes(here).await;
        if bob_ends {
            bob.hangs_up(here).await;
            alice.is_over(there).await;
        } else {
            alice.hangs_up(there).await;
            bob.is_over(here).await;
        }
        spread.has_calls(0).await;
    }
    // And it calls.
    let here = bob.dials("1001").await;
    let there = alice.takes().await;
    bob.is_answered(here).await;
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    spread.has_calls(0).await;
}

#[tokio::test]
async fn a_phone_that_registers_with_another_connector_rings_once() {
    let spread = Spread::start(3, &["1001", "1002"], "").await;
    let ([alice, bob], _desk) = spread.phones([("1001", 0), ("1002", 1)]).await;
    for (number, node) in [(2, 2), (3, 0), (4, 1)] {
        bob.moves_to(spread.nodes[node].sip, number).await;
        let there = alice.dials("1002").await;
        let here = bob.takes().await;
        alice.is_answered(there).await;
        bob.hangs_up(here).await;
        alice.is_over(there).await;
        spread.has_calls(0).await;
    }
    assert_eq!(bob.call_count(), 3);
}

#[tokio::test]
async fn a_conference_is_dialled_into_at_any_connector() {
    let conference = "[[conference_dn]]\ndn = \"sip:5000@tandem.local\"";
    let spread = Spread::start(3, &["1001", "1002", "1003"], conference).await;
    let ([alice, bob, carol], _desk) = spread.phones([("1001", 0), ("1002", 1), ("1003", 2)]).await;
    carol.watches("5000").await;
    // Whichever of them it is at.
    for round in 0..2 {
        let first = alice.dials("5000").await;
        alice.is_answered(first).await;
        let second = bob.dials("5000").await;
        bob.is_answered(second).await;
        wait::until("both voices", wait::SOON, async || {
            let heard = [alice.has_heard(first, &["1002"]), bob.has_heard(second, &["1001"])];
            if heard == [true; 2] {
                Ok(())
            } else {
                Err(format!("{heard:?}"))
            }
        })
        .await;
        let both = |document: &str| document.contains("sip:1001@") && document.contains("sip:1002@");
        carol.is_shown("both of them", both).await;
        let [leaves, stays] = if round == 0 {
            [(&alice, first), (&bob, second)]
        } else {
            [(&bob, second), (&alice, first)]
        };
        leaves.0.hangs_up(leaves.1).await;
        stays.0.hangs_up(stays.1).await;
        spread.has_calls(0).await;
        carol.is_shown("nobody", |document| !document.contains("sip:100")).await;
    }
    carol.watches_no_more().await;
}

#[tokio::test]
async fn an_edge_that_was_killed_has_its_devices_again() {
    let mut spread = Spread::start(2, &["1001", "1002"], "").await;
    let ([alice, bob], mut desk) = spread.phones([("1001", 0), ("1002", 1)]).await;
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);

    // The conference is at the other one: the edge has nothing of the call but what stands in its messages.
    spread.kill(1).await;
    spread.start_again(1).await;
    desk.request(on_call(OnCall::HoldCall, "1002", call)).await;
    desk.expect(EventHeld, &dn("1002")).await;
    desk.request(on_call(OnCall::RetrieveCall, "1002", call)).await;
    desk.expect(EventRetrieved, &dn("1002")).await;
    bob.holds(here).await;
    desk.expect(EventHeld, &dn("1002")).await;
    desk.request(ClientRequest::release_call(&dn("1001"), call)).await;
    alice.is_over(there).await;
    bob.is_over(here).await;
    spread.has_calls(0).await;
    assert!(spread.tserver.is_running());
}

#[tokio::test]
async fn calls_across_connectors_need_no_t_server_to_go_on_and_to_end() {
    let mut spread = Spread::start(2, &["1001", "1002", "1003"], "").await;
    let ([alice, bob, carol], mut desk) = spread.phones([("1001", 0), ("1002", 1), ("1003", 1)]).await;
    let mut calls = Vec::new();
    for callee in [&bob, &carol] {
        let there = alice.dials(&callee.name).await;
        let here = callee.takes().await;
        alice.is_answered(there).await;
        desk.expect(EventEstablished, &callee.dn()).await;
        calls.push((there, here));
    }
    let [with_bob, with_carol] = calls[..] else {
        unreachable!("two calls")
    };
    spread.kill_tserver().await;
    bob.holds(with_bob.1).await;
    bob.resumes(with_bob.1).await;
    carol.hangs_up(with_carol.1).await;
    alice.is_over(with_carol.0).await;
    spread.start_tserver().await;
    spread.has_calls(1).await;
    bob.holds(with_bob.1).await;
    alice.hangs_up(with_bob.0).await;
    bob.is_over(with_bob.1).await;
    spread.has_calls(0).await;
}

#[tokio::test]
async fn without_its_edge_a_phone_with_an_address_of_its_own_is_called_there() {
    let mut spread = Spread::start(2, &["1001", "1002"], "").await;
    let ([alice, bob], mut desk) = spread.phones([("1001", 0), ("1002", 1)]).await;
    spread.kill(1).await;
    desk.expect(EventDNBackInService, &dn("1002")).await;
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);
    desk.request(on_call(OnCall::HoldCall, "1002", call)).await;
    desk.expect(EventHeld, &dn("1002")).await;
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    spread.has_calls(0).await;
}

#[tokio::test]
async fn a_phone_joins_its_call_of_another_connector_with_the_next_that_it_makes() {
    let spread = Spread::start(3, &["1001", "1002", "1003"], "").await;
    let ([alice, bob, carol], mut desk) = spread.phones([("1001", 0), ("1002", 1), ("1003", 2)]).await;
    // Bob's connector has the call.
    let at_bob = bob.dials("1001").await;
    let at_alice = alice.takes().await;
    bob.is_answered(at_bob).await;
    alice.holds(at_alice).await;
    desk.expect(EventHeld, &dn("1001")).await;
    let second = alice.dials("1003").await;
    let at_carol = carol.takes().await;
    alice.is_answered(second).await;
    desk.expect(EventEstablished, &dn("1003")).await;
    assert_eq!(alice.joins(at_alice, second).await, 200);
    alice.is_over(second).await;
    wait::until("both voices", wait::SOON, async || {
        let heard = [bob.has_heard(at_bob, &["1003"]), carol.has_heard(at_carol, &["1002"])];
        if heard == [true; 2] {
            Ok(())
        } else {
            Err(format!("{heard:?}"))
        }
    })
    .await;
    carol.hangs_up(at_carol).await;
    bob.is_over(at_bob).await;
    spread.has_calls(0).await;
}
