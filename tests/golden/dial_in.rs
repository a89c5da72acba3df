//! A conference that is dialled into: its PIN, its lobby and who admits from there, its roster over CTI and by subscription (RFC 4575),
//! what is heard at the door and when somebody comes.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventDialing, EventEstablished, EventPartyAdded, EventReleased};
use tandem_wire::model::KvList;
use tandem_wire::model::request::{OnCall, OnCallWith};

use super::stage::{Stage, dn, on_call, with};
use crate::rig::handset::Handset;
use crate::rig::server::Setup;
use crate::rig::voice::SOUND;
use crate::rig::wait;

/// The phones of Alice, Bob and Carol, and a desk that watches the first two and the conference 5000.
async fn scene(conference: &str) -> (Stage, [Handset; 3]) {
    let numbers = ["1001", "1002", "1003"];
    let setup = numbers.iter().fold(Setup::new(), |setup, number| setup.trusted_phone(number));
    let server = setup.tables(conference).start().await;
    let phones = [
        Handset::register("1001", server.sip).await,
        Handset::register("1002", server.sip).await,
        Handset::register("1003", server.sip).await,
    ];
    (Stage::before(server, &["1001", "1002", "5000"]).await, phones)
}

/// The users of a conference document, as `1001:participant:connected`.
fn users(document: &str) -> Vec<String> {
    let text = |part: &str, before: &str, after: &str| {
        let found = part
            .split_once(before)
            .and_then(|(_, rest)| Some(rest.split_once(after)?.0.to_owned()));
        found.unwrap_or_else(|| panic!("no {before} in {part}"))
    };
    let user = |part: &str| {
        let number = text(part, "entity=\"sip:", "@");
        let role = text(part, "<entry>", "<");
        format!("{number}:{role}:{}", text(part, "<status>", "<"))
    };
    document.split("<user ").skip(1).map(user).collect()
}

async fn shows(phone: &Handset, expected: &[&str]) {
    phone
        .is_shown(&expected.join(" "), |document| users(document) == expected)
        .await;
}

#[tokio::test]
async fn a_pin_opens_the_door_and_a_tone_tells_who_is_inside() {
    let conference = "[[conference_dn]]\ndn = \"sip:5000@tandem.local\"\npin = \"1234\"\nmoderator_pin = \"9876\"";
    let (mut stage, [alice, bob, carol]) = scene(conference).await;
    let first = alice.dials("5000").await;
    alice.is_answered(first).await;
    alice.presses(first, "9876#");
    stage.event(EventEstablished, "1001").await;
    stage.hear(&[(&alice, "sound")]).await;

    let second = bob.dials("5000").await;
    bob.is_answered(second).await;
    bob.presses(second, "1111#1234#");
    wait::until("a tone when Bob comes", wait::SOON, async || {
        let heard = alice.has_heard(first, &["1002", SOUND]);
        heard.then_some(()).ok_or_else(|| "none".to_owned())
    })
    .await;
    stage.event(EventPartyAdded, "1001").await;
    stage.hear(&[(&alice, "1002"), (&bob, "1001")]).await;

    let third = carol.dials("5000").await;
    carol.is_answered(third).await;
    carol.presses(third, "1#2#3#");
    carol.is_over(third).await;

    bob.hangs_up(second).await;
    stage.hear(&[(&alice, "sound")]).await;
    alice.hangs_up(first).await;
    stage.event(EventReleased, "5000").await;
    let added = "EventPartyAdded call-1 Conferenced as=ConferenceMember other=1002/NewParty third=5000/AddedBy";
    let deleted = "EventPartyDeleted call-1 Ok as=ConferenceMember other=1002/DeletedParty third=1002/DeletedBy";
    let expected: [(&str, &[&str]); 3] = [
        (
            "1001",
            &[
                "EventDialing call-1 Ok as=Origination other=5000/Destination",
                "EventEstablished call-1 Conferenced as=ConferenceMember",
                added,
                deleted,
                "EventReleased call-1 Ok",
            ],
        ),
        (
            "1002",
            &[
                "EventDialing call-1 Ok as=Origination other=5000/Destination",
                "EventEstablished call-1 Conferenced as=ConferenceMember",
                "EventReleased call-1 Ok",
            ],
        ),
        (
            "5000",
            &[
                "EventEstablished call-1 Ok as=Destination other=1001/Origination",
                added,
                deleted,
                "EventPartyDeleted call-1 Ok as=ConferenceMember other=1001/DeletedParty third=1001/DeletedBy",
                "EventReleased call-1 Ok",
            ],
        ),
    ];
    stage.ends("dial_in_with_pin", &[&alice, &bob, &carol], &expected).await;
}

#[tokio::test]
async fn who_waits_in_the_lobby_is_admitted_by_a_desktop_and_all_are_watched() {
    let conference = "[conference]\nlobby_bypass_enabled = false\n[[conference_dn]]\ndn = \"sip:5000@tandem.local\"";
    let (mut stage, [alice, bob, carol]) = scene(conference).await;
    carol.watches("5000").await;
    shows(&carol, &[]).await;
    let first = alice.dials("5000").await;
    let call = stage.event(EventDialing, "1001").await;
    shows(&carol, &["1001:participant:pending"]).await;
    stage.hear(&[(&alice, "sound")]).await;
    stage.asks(with(OnCallWith::SingleStepConference, "5000", call, "1001")).await;
    shows(&carol, &["1001:participant:connected"]).await;
    let second = bob.dials("5000").await;
    stage.event(EventDialing, "1002").await;
    shows(&carol, &["1001:participant:connected", "1002:participant:pending"]).await;
    // Who waits hears nobody, and is heard by nobody.
    stage.hear(&[(&alice, "sound"), (&bob, "sound")]).await;
    stage
        .is_refused(with(OnCallWith::SingleStepConference, "1001", call, "1002"), 1140)
        .await;
    stage.asks(with(OnCallWith::SingleStepConference, "5000", call, "1002")).await;
    shows(&carol, &["1001:participant:connected", "1002:participant:connected"]).await;
    stage.hear(&[(&alice, "1002"), (&bob, "1001")]).await;

    let bobs: KvList = [("party", dn("1002").as_str())].into_iter().collect();
    stage.asks(on_call(OnCall::SetMuteOn, "5000", call).extensions(bobs)).await;
    shows(&carol, &["1001:participant:connected", "1002:participant:muted-via-focus"]).await;
    stage.hear(&[(&alice, ""), (&bob, "1001")]).await;
    let roster = stage.asks(ClientRequest::query_call(&dn("5000"), call)).await;
    let listed: Vec<_> = ["party-1", "party-2"]
        .map(|key| roster.extensions.text(key).map(str::to_owned))
        .into();
    assert_eq!(listed, [Some(dn("1001")), Some(dn("1002"))]);

    stage.asks(with(OnCallWith::DeleteFromConference, "5000", call, "1002")).await;
    bob.is_over(second).await;
    shows(&carol, &["1001:participant:connected"]).await;
    stage.asks(ClientRequest::clear_call(&dn("5000"), call)).await;
    alice.is_over(first).await;
    shows(&carol, &[]).await;
    carol.watches_no_more().await;
    let added = "EventPartyAdded call-1 Conferenced as=ConferenceMember other=1002/NewParty third=5000/AddedBy";
    let expected: [(&str, &[&str]); 3] = [
        (
            "1001",
            &[
                "EventDialing call-1 Ok as=Origination other=5000/Destination",
                "EventEstablished call-1 Conferenced as=ConferenceMember",
                "EventError*SingleStepConference call-1 error=1140",
                added,
                "EventPartyDeleted call-1 Ok as=ConferenceMember other=1002/DeletedParty third=5000/DeletedBy",
                "EventReleased call-1 Ok",
            ],
        ),
        (
            "1002",
            &[
                "EventDialing call-1 Ok as=Origination other=5000/Destination",
                "EventEstablished call-1 Conferenced as=ConferenceMember",
                "EventMuteOn call-1 as=ConferenceMember",
                "EventReleased call-1 Ok",
            ],
        ),
        (
            "5000",
            &[
                "EventEstablished*SingleStepConference call-1 Ok as=Destination other=1001/Origination",
                "EventPartyAdded*SingleStepConference call-1 Conferenced as=ConferenceMember other=1002/NewParty third=5000/AddedBy",
                "EventMuteOn*SetMuteOn call-1 other=1002",
                "EventPartyInfo*QueryCall call-1",
                "EventPartyDeleted*DeleteFromConference call-1 Ok other=1002/DeletedParty third=5000/DeletedBy",
                "EventPartyDeleted call-1 Ok other=1001/DeletedParty third=1001/DeletedBy",
                "EventReleased*ClearCall call-1 Ok",
            ],
        ),
    ];
    stage.ends("dial_in_with_lobby", &[&alice, &bob, &carol], &expected).await;
}
