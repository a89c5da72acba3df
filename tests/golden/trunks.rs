//! Calls from and to the outside: only the events of the own side (reference t-library.md ch. 9.1, 9.14).

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventReleased};

use super::check;
use crate::rig::cti::Desk;
use crate::rig::phone::Phone;
use crate::rig::ports::free_port;
use crate::rig::server::{Server, Setup};

const ALICE: &str = "sip:1001@tandem.local";
const CARRIER: &str = "sip:carrier@tandem.local";

/// A server with the phone of Alice and a trunk, to which numbers with a 0 in front go.
async fn scene() -> (Server, Phone, Phone, Desk) {
    let port = free_port();
    let server = Setup::new()
        .trusted_phone("1001")
        .tables(&format!(
            "[[trunk]]\ndn = \"{CARRIER}\"\naddress = \"sip:127.0.0.8:{port};transport=udp\"\ntrusted_sources = [\"127.0.0.8/32\"]\n\
             [[dial_rule]]\npattern = \"0Z.\"\nstrip = 1\nprepend = \"+43\"\ntrunk = \"{CARRIER}\""
        ))
        .start()
        .await;
    let alice = Phone::register("1001", server.sip).await;
    let carrier = Phone::on_trunk("+4312345", &format!("127.0.0.8:{port}"), server.sip).await;
    let desk = Desk::on(server.http, &[ALICE]).await;
    (server, alice, carrier, desk)
}

async fn end(mut server: Server, mut desk: Desk, name: &str) {
    desk.expect(EventReleased, ALICE).await;
    server.idle().await;
    desk.settled().await;
    check(name, &desk.frames, [ALICE, CARRIER]);
    server.alive().await;
}

#[tokio::test]
async fn a_call_by_cti_to_the_outside() {
    let (server, alice, carrier, mut desk) = scene().await;
    desk.request(ClientRequest::make_call(ALICE, "0664123")).await;
    let invite = alice.rings().await;
    alice.picks_up(&invite).await;
    let invite = carrier.rings().await;
    assert!(invite.start.starts_with("INVITE sip:+43664123@127.0.0.8"), "{}", invite.start);
    let talk = carrier.picks_up(&invite).await;
    desk.expect(EventEstablished, ALICE).await;
    carrier.hangs_up(&talk).await;
    alice.is_hung_up_on().await;
    end(server, desk, "trunk_make_call_outbound").await;
}

#[tokio::test]
async fn a_call_from_the_outside() {
    let (server, alice, carrier, mut desk) = scene().await;
    let attempt = carrier.dial("1001").await;
    let invite = alice.rings().await;
    let talk = alice.picks_up(&invite).await;
    carrier.answered(attempt).await;
    desk.expect(EventEstablished, ALICE).await;
    alice.hangs_up(&talk).await;
    carrier.is_hung_up_on().await;
    end(server, desk, "trunk_inbound").await;
}

#[tokio::test]
async fn a_dialled_call_to_the_outside_that_is_refused_there() {
    let (server, alice, carrier, desk) = scene().await;
    let attempt = alice.dial("0664123").await;
    let invite = carrier.rings().await;
    carrier.refuses(&invite, "404 Not Found").await;
    assert_eq!(alice.refused(&attempt).await, 404);
    end(server, desk, "trunk_dialled_refused").await;
}

#[tokio::test]
async fn nobody_calls_from_a_trunk_to_a_trunk_without_a_rule_for_it() {
    let (mut server, alice, carrier, mut desk) = scene().await;
    let attempt = carrier.dial("0664123").await;
    let status = carrier.refused(&attempt).await;
    assert!([403, 404].contains(&status), "{status}");
    alice.is_left_alone().await;
    desk.settled().await;
    server.alive_and_idle().await;
}
