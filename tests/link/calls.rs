//! Calls across the link: the T-Server's requests, the phones' own doings, and what is logged of both.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{
    EventDNBackInService, EventDialing, EventEstablished, EventHeld, EventReleased, EventRetrieved, EventRinging,
};
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};

use super::Split;
use crate::golden::stage::{dn, on_call, on_two, with};
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;

#[tokio::test]
async fn a_desktop_makes_holds_and_transfers_calls_of_phones_at_a_connector() {
    let split = Split::start(&["1001", "1002", "1003"], "", "").await;
    let numbers = ["1001", "1002", "1003"].map(dn);
    let mut desk = Desk::on(split.http, &numbers.each_ref().map(String::as_str)).await;
    let alice = Handset::register("1001", split.sip).await;
    desk.expect(EventDNBackInService, &dn("1001")).await;
    let bob = Handset::register("1002", split.sip).await;
    desk.expect(EventDNBackInService, &dn("1002")).await;
    let carol = Handset::register("1003", split.sip).await;
    desk.expect(EventDNBackInService, &dn("1003")).await;

    // The desktop makes a call: the caller's phone first.
    desk.request(ClientRequest::make_call(&dn("1001"), "1002")).await;
    let at_alice = alice.takes().await;
    let at_bob = bob.takes().await;
    let main = Desk::call_of(&desk.expect(EventEstablished, &dn("1002")).await);

    // On hold and back.
    desk.request(on_call(OnCall::HoldCall, "1001", main)).await;
    desk.expect(EventHeld, &dn("1001")).await;
    desk.request(on_call(OnCall::RetrieveCall, "1001", main)).await;
    desk.expect(EventRetrieved, &dn("1001")).await;

    // A consultation, and the transfer.
    desk.request(with(OnCallWith::InitiateTransfer, "1001", main, "1003")).await;
    let consultation = Desk::call_of(&desk.expect(EventDialing, &dn("1001")).await);
    let at_carol = carol.takes().await;
    desk.expect(EventEstablished, &dn("1003")).await;
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
    let mut split = Split::start(&["1001", "1002"], "", "").await;
    let alice = Handset::register("1001", split.sip).await;
    let bob = Handset::register("1002", split.sip).await;
    let mut desk = Desk::on(split.http, &[&dn("1001"), &dn("1002")]).await;
    let there = alice.dials("1002").await;
    let here = bob.takes().await;
    alice.is_answered(there).await;
    desk.expect(EventRinging, &dn("1002")).await;
    let call = Desk::call_of(&desk.expect(EventEstablished, &dn("1001")).await);
    let answer = desk.ask(ClientRequest::send_dtmf(&dn("1001"), call, "47114711")).await;
    assert_eq!(answer.error_code, None, "{answer:?}");
    bob.hangs_up(here).await;
    alice.is_over(there).await;
    split.has_calls(0).await;
    assert!(split.tserver.is_running() && split.connector.is_running());
    for program in [&split.tserver, &split.connector] {
        let log = std::fs::read_to_string(&program.log).expect("a log");
        for line in ["SEND_DIGITS * MLTP/1.0", "data: **** (length:8)", "PARTY_CREATED * MLTP/1.0"] {
            assert!(log.contains(line), "no {line} in\n{log}");
        }
        assert!(!log.contains("47114711"), "digits in\n{log}");
    }
}
