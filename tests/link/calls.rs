//! Calls across the link: the T-Server's requests, the phones' own doings, and what is logged of both.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventReleased, EventRinging};
use tandem_wire::model::request::{OnCallWith, OnTwoCalls};

use super::stage::{Split, connect, consult, hold, log_of, make_call, retrieve};
use crate::golden::stage::{dn, on_two};
use crate::rig::cti::Desk;

#[tokio::test]
async fn a_desktop_makes_holds_and_transfers_calls_of_phones_at_a_connector() {
    let at = [("1001", 0), ("1002", 0), ("1003", 0)];
    let (split, [alice, bob, carol], mut desk) = Split::set(1, at).await;

    // The desktop makes a call: the caller's phone first.
    let (main, at_alice, at_bob) = make_call(&mut desk, &alice, &bob).await;

    // On hold and back.
    hold(&mut desk, "1001", main).await;
    retrieve(&mut desk, "1001", main).await;

    // A consultation, and the transfer.
    let (consultation, at_carol) = consult(&mut desk, OnCallWith::InitiateTransfer, "1001", main, &carol).await;
    desk.request(on_two(OnTwoCalls::CompleteTransfer, "1001", main, consultation))
        .await;
    desk.expect(EventReleased, &dn("1001")).await;
    alice.is_over(at_alice).await;

    carol.hangs_up(at_carol).await;
    bob.is_over(at_bob).await;
    desk.expect(EventReleased, &dn("1002")).await;
    split.has_calls(0).await;
}

#[tokio::test]
async fn phones_call_each_other_and_messages_are_logged_without_what_is_sensitive() {
    let (mut split, [alice, bob], mut desk) = Split::set(1, [("1001", 0), ("1002", 0)]).await;
    let (there, here) = connect(&alice, &bob).await;
    desk.expect(EventRinging, &dn("1002")).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);
    let answer = desk.ask(ClientRequest::send_dtmf(&dn("1001"), call, "47114711")).await;
    assert_eq!(answer.error_code, None, "{answer:?}");
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    split.has_calls(0).await;
    assert!(split.tserver.is_running() && split.connectors[0].program.is_running());
    for log in [log_of(&split.tserver), split.connectors[0].log()] {
        for line in ["SEND_DIGITS * MLTP/1.0", "data: **** (length:8)", "PARTY_CREATED * MLTP/1.0"] {
            assert!(log.contains(line), "no {line} in\n{log}");
        }
        assert!(!log.contains("47114711"), "digits in\n{log}");
    }
}
