//! Real phones in a call whose server is killed: they hear each other again, and the gap is told.

use std::time::{Duration, Instant};

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventPartyAdded};
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};

use crate::golden::stage::{Stage, dn, on_call, on_two, with};
use crate::rig::baresip::{Answer, Baresip};
use crate::rig::cti::Desk;
use crate::rig::hearing::{Hearing, hear};
use crate::rig::server::Setup;
use crate::rig::voice::{tone_of, who_is_in};

const RATE_HZ: f64 = 8_000.0;
/// What is looked at in one piece, in samples.
const PIECE: usize = 800;

/// How long a phone heard nobody since it had recorded this much: what was not recorded, and what is silence in the record.
fn gap(phone: &Baresip, from: usize, since: Instant) -> Duration {
    let elapsed = since.elapsed().as_secs_f64();
    let heard = phone.heard();
    let fresh = heard.get(from..).unwrap_or_default();
    let silent = fresh.chunks(PIECE).filter(|piece| who_is_in(piece).is_empty());
    let silent: usize = silent.map(<[i16]>::len).sum();
    let voiced = fresh.len().saturating_sub(silent) as f64 / RATE_HZ;
    Duration::from_secs_f64((elapsed - voiced).max(0.0))
}

#[tokio::test]
async fn three_phones_of_a_conference_hear_each_other_after_a_kill() {
    let numbers = ["1001", "1002", "1003"];
    // Debian's baresip knows MD5 only.
    let setup = Setup::new().sip("digest_algorithms = [\"MD5\"]");
    let server = numbers.iter().fold(setup, |setup, number| setup.phone(number)).start().await;
    let mut phones = Vec::new();
    for number in numbers {
        phones.push(Baresip::start(number, server.sip, tone_of(number), Answer::Auto).await);
    }
    server.registered(phones.len()).await;
    let mut stage = Stage::before(server, &numbers).await;
    stage.asks(ClientRequest::make_call(&dn("1001"), "1002")).await;
    let main = stage.event(EventEstablished, "1002").await;
    stage.event(EventEstablished, "1001").await;
    let dialing = stage.asks(with(OnCallWith::InitiateConference, "1002", main, "1003")).await;
    stage.event(EventEstablished, "1003").await;
    let consult = Desk::call_of(&dialing);
    stage
        .asks(on_two(OnTwoCalls::CompleteConference, "1002", main, consult))
        .await;
    stage.event(EventPartyAdded, "1001").await;
    let heard = ["1002 1003", "1001 1003", "1001 1002"];
    let all: Vec<(&dyn Hearing, &str)> = phones.iter().map(|phone| phone as _).zip(heard).collect();
    hear(&all).await;

    let recorded: Vec<usize> = phones.iter().map(|phone| phone.heard().len()).collect();
    let killed = Instant::now();
    stage.server.killed_and_started().await;
    let (mut stage, answer) = stage.comes_back().await;
    assert_eq!(answer.resume.as_deref(), Some("delta"));
    hear(&all).await;
    for (phone, from) in phones.iter().zip(recorded) {
        println!(
            "{} heard nobody for {:?} after the kill",
            phone.name,
            gap(phone, from, killed)
        );
    }

    stage.asks(on_call(OnCall::HoldCall, "1002", main)).await;
    stage.asks(on_call(OnCall::RetrieveCall, "1002", main)).await;
    hear(&all).await;
    stage.asks(ClientRequest::clear_call(&dn("1001"), main)).await;
    stage.server.alive_and_idle().await;
}
