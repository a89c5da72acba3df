//! Destinations that are called by a back-to-back leg: the three tables of the chapter event for event (seed 002 lines 2030-2098, reference
//! ch. 9.2), the identity that is shown there, the headers of a leg, and how far its media is.

use tandem_wire::model::EventName::{EventEstablished, EventPartyAdded, EventPartyDeleted, EventReleased, EventRinging};
use tandem_wire::model::request::{OnCall, OnCallWith};
use tandem_wire::model::{EventName, KvList, KvValue};
use tandem_wire::{ClientRequest, EventFrame};

use super::stage::{Stage, dn, with};
use crate::rig::handset::{CallNumber, Handset};
use crate::rig::server::{API_KEY, Setup};
use crate::rig::{http, wait};

/// The dial plan of these tests: telephone numbers as URIs are called by a back-to-back leg.
const PLAN: &str = "[calls]\ncalling_method_dialplan = \"sip:plan@tandem.local\"\ncpn = \"sip:house@tandem.local\"\n\
                    [[dial_plan]]\ndn = \"sip:plan@tandem.local\"\nrules = [\"tel:{#}\"]\ncalling_method = \"b2b\"";

fn pairs<V: Into<KvValue>>(key: &str, value: V) -> KvList {
    [(key, value.into())].into_iter().collect()
}

fn b2b() -> KvList {
    pairs("calling-method", "b2b")
}

/// Alice is asked to call, and her phone has answered.
async fn calls(stage: &mut Stage, alice: &Handset, other_dn: &str, extensions: KvList) {
    let request = ClientRequest::make_call(&dn("1001"), other_dn).extensions(extensions);
    stage.sends(request).await;
    alice.takes().await;
}

/// The same, and the one who is called picks up; who it is shown as its caller.
async fn reaches(stage: &mut Stage, phones: [&Handset; 2], other_dn: &str, extensions: KvList) -> String {
    let [alice, bob] = phones;
    calls(stage, alice, other_dn, extensions).await;
    let call = bob.takes().await;
    stage.event(EventEstablished, "1001").await;
    let from = bob.invite(call).header("From").to_owned();
    ends(stage, bob, call).await;
    from
}

async fn ends(stage: &mut Stage, phone: &Handset, call: CallNumber) {
    phone.hangs_up(call).await;
    stage.event(EventReleased, "1001").await;
}

/// Table 1: who has the TEL URI is reported from the answer on, and by its own name.
#[tokio::test]
async fn a_call_to_a_tel_uri() {
    let (mut stage, phones) = Stage::with(Setup::new().tables(PLAN), &["1001", "1002"]).await;
    let [alice, bob] = &phones;
    calls(&mut stage, alice, "tel:1002", KvList::new()).await;
    let ringing = bob.takes().await;
    stage.event(EventEstablished, "1001").await;
    stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
    ends(&mut stage, bob, ringing).await;
    let expected: [(&str, &[&str]); 2] = [
        (
            "1001",
            &[
                "EventDialing*MakeCall call-1 Ok as=Origination other=tel:1002/Destination",
                "EventNetworkReached call-1 Ok as=Origination other=tel:1002/Destination",
                "EventEstablished call-1 Ok as=Origination other=1002/Destination",
                "EventReleased call-1 Ok",
            ],
        ),
        (
            "1002",
            &[
                "EventRinging call-1 Forwarded as=Destination other=1001/Origination ext=calling-method:b2b",
                "EventEstablished call-1 Ok as=Destination other=1001/Origination",
                "EventReleased call-1 Ok",
            ],
        ),
    ];
    stage.ends("b2b_tel_uri", &[alice, bob], &expected).await;
}

/// Table 2: Bob has forwarded his calls to Carol.
#[tokio::test]
async fn a_call_to_a_user_who_forwards() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, bob, carol] = &phones;
    calls(&mut stage, alice, "1002", b2b()).await;
    let ringing = bob.rings().await;
    stage.event(EventRinging, "1002").await;
    bob.refuses(ringing, "302 Moved Temporarily", "Contact: <sip:1003@tandem.local>\r\n")
        .await;
    let forwarded = carol.takes().await;
    stage.event(EventEstablished, "1001").await;
    stage.hear(&[(alice, "1003"), (carol, "1001")]).await;
    ends(&mut stage, carol, forwarded).await;
    let expected: [(&str, &[&str]); 3] = [
        (
            "1001",
            &[
                "EventDialing*MakeCall call-1 Ok as=Origination other=1002/Destination",
                "EventEstablished call-1 Ok as=Origination other=1003/Destination",
                "EventReleased call-1 Ok",
            ],
        ),
        (
            "1002",
            &[
                "EventRinging call-1 Ok as=Destination other=1001/Origination ext=calling-method:b2b",
                "EventReleased call-1 Forwarded as=Destination third=1003/DeletedBy",
            ],
        ),
        (
            "1003",
            &[
                "EventRinging call-1 Forwarded as=Destination other=1001/Origination",
                "EventEstablished call-1 Ok as=Destination other=1001/Origination",
                "EventReleased call-1 Ok",
            ],
        ),
    ];
    stage.ends("b2b_forwarded", &[alice, bob, carol], &expected).await;
}

/// Table 3: the group 1002 takes the call, its member 1003 comes to it, the group leaves.
#[tokio::test]
async fn a_call_to_a_response_group() {
    let (mut stage, phones) = Stage::set(&["1001", "1002", "1003"]).await;
    let [alice, group, member] = &phones;
    calls(&mut stage, alice, "1002", b2b()).await;
    let ringing = group.takes().await;
    let call = stage.event(EventEstablished, "1002").await;
    stage
        .sends(with(OnCallWith::SingleStepConference, "1002", call, "1003"))
        .await;
    let taken = member.takes().await;
    stage.event(EventPartyAdded, "1001").await;
    group.hangs_up(ringing).await;
    stage.event(EventPartyDeleted, "1001").await;
    stage.hear(&[(alice, "1003"), (member, "1001")]).await;
    ends(&mut stage, member, taken).await;
    let deleted = "EventPartyDeleted call-1 Ok other=1002 third=1002/DeletedBy";
    let expected: [(&str, &[&str]); 3] = [
        (
            "1001",
            &[
                "EventDialing*MakeCall call-1 Ok as=Origination other=1002/Destination",
                "EventEstablished call-1 Ok as=Origination other=1002/Destination",
                "EventPartyAdded call-1 Conferenced as=ConferenceMember other=1003/NewParty third=1002/AddedBy",
                deleted,
                "EventReleased call-1 Ok",
            ],
        ),
        (
            "1002",
            &[
                "EventRinging call-1 Ok as=Destination other=1001/Origination",
                "EventEstablished call-1 Ok as=Destination other=1001/Origination",
                "EventPartyAdded*SingleStepConference call-1 Conferenced as=ConferenceMember other=1003/NewParty third=1002/AddedBy",
                "EventReleased call-1 Ok as=ConferenceMember",
            ],
        ),
        (
            "1003",
            &[
                "EventRinging*SingleStepConference call-1 Ok as=ConferenceMember",
                "EventEstablished call-1 Conferenced as=ConferenceMember",
                deleted,
                "EventReleased call-1 Ok",
            ],
        ),
    ];
    stage.ends("b2b_group", &[alice, group, member], &expected).await;
}

/// `cpn` of the option, `CPNDigits` of the request before it; neither for a destination that is dialled out to.
#[tokio::test]
async fn the_destination_is_shown_the_identity_that_is_meant_for_it() {
    let (mut stage, phones) = Stage::with(Setup::new().tables(PLAN), &["1001", "1002"]).await;
    let both = [&phones[0], &phones[1]];
    let digits = pairs("CPNDigits", "sip:desk@tandem.local");
    let dial_out = pairs("calling-method", "dialout");
    for (other_dn, extensions, shown) in [
        ("tel:1002", KvList::new(), "sip:house@"),
        ("tel:1002", digits.clone(), "sip:desk@"),
        ("1002", digits, "sip:1001@"),
        ("1002", b2b(), "sip:house@"),
        ("tel:1002", dial_out, "sip:1001@"),
    ] {
        let from = reaches(&mut stage, both, other_dn, extensions.clone()).await;
        assert!(from.contains(shown), "{other_dn} with {extensions:?}: {from}");
    }
    stage.server.alive_and_idle().await;
}

/// Without any `cpn` it is the conference endpoint that serves the call, which `/v1/connectors` shows with its conferences.
#[tokio::test]
async fn the_destination_is_shown_the_endpoint_of_the_call_where_there_is_no_other_identity() {
    const ENDPOINTS: &str =
        "[connectors]\ncount = 1\n[conference]\npool_size = 3\nuri_pattern = \"sip:conf{DD}@tandem.local\"\ncount = 2";
    let plan = PLAN.replace("cpn = \"sip:house@tandem.local\"\n", "");
    let (mut stage, phones) = Stage::with(Setup::new().tables(&plan).tables(ENDPOINTS), &["1001", "1002"]).await;
    let [alice, bob] = &phones;
    for (other_dn, extensions, shown) in [
        ("tel:1002", KvList::new(), "sip:conf0"),
        ("1002", b2b(), "sip:conf0"),
        ("tel:1002", pairs("CPNDigits", "sip:desk@tandem.local"), "sip:desk@"),
        ("1002", KvList::new(), "sip:1001@"),
    ] {
        calls(&mut stage, alice, other_dn, extensions.clone()).await;
        let call = bob.takes().await;
        stage.event(EventEstablished, "1001").await;
        let invite = bob.invite(call);
        for header in ["From", "P-Asserted-Identity"] {
            let caller = invite.header(header);
            assert!(caller.contains(shown), "{other_dn} with {extensions:?}: {header}: {caller}");
        }
        ends(&mut stage, bob, call).await;
    }
    wait::until("the endpoints", wait::SOON, async || {
        let page = http::get(stage.server.http, "/v1/connectors", Some(API_KEY)).await?.body;
        let document: serde_json::Value = serde_json::from_str(&page).map_err(|error| error.to_string())?;
        let expected = serde_json::json!([
            {"uri": "sip:conf01@tandem.local", "idle": 2, "inUse": 0},
            {"uri": "sip:conf02@tandem.local", "idle": 1, "inUse": 0},
        ]);
        match document["items"][0]["endpoints"] == expected {
            true => Ok(()),
            false => Err(page),
        }
    })
    .await;
    stage.server.alive_and_idle().await;
}

/// What a request puts on the leg of its destination, what an INVITE brings along for the next leg, and what never goes there.
#[tokio::test]
async fn headers_that_are_passed_on_and_headers_that_never_are() {
    let setup = Setup::new().sip("pass_through_headers = [\"X-Trace\"]");
    let (mut stage, phones) = Stage::with(setup, &["1001", "1002"]).await;
    let [alice, bob] = &phones;
    let more = "X-Trace: 77\r\nX-Other: 1\r\nTarget-Class: primary\r\nRSeq: 5\r\n";
    let dialled = alice.invites("1002", more).await;
    let ringing = bob.takes().await;
    let invite = bob.invite(ringing);
    assert_eq!(invite.header("X-Trace"), "77");
    for never in ["X-Other", "Target-Class", "RSeq"] {
        assert_eq!(invite.all(never).next(), None, "{never}");
    }
    for own in ["Via", "Call-ID", "Contact"] {
        assert!(
            !invite.header(own).contains(&alice.address()),
            "{own}: {}",
            invite.header(own)
        );
    }
    alice.is_answered(dialled).await;
    stage.event(EventEstablished, "1001").await;
    ends(&mut stage, bob, ringing).await;
    // A desktop knows the call of its EventRinging by this (lines 2315-2328).
    let conversation = invite.header("Ms-Conversation-ID");
    let rings = stage.desk.frames.iter().find(|frame| frame.contains("EventRinging"));
    assert!(!conversation.is_empty() && rings.is_some_and(|frame| frame.contains(conversation)));

    let ticket = pairs("sip-headers", KvValue::List(pairs("X-Ticket", "12")));
    calls(&mut stage, alice, "1002", ticket).await;
    let ringing = bob.takes().await;
    assert_eq!(bob.invite(ringing).header("X-Ticket"), "12");
    stage.event(EventEstablished, "1001").await;
    ends(&mut stage, bob, ringing).await;
    for never in ["Via", "P-Asserted-Identity", "Replaces", "Content-Type"] {
        let headers = pairs("sip-headers", KvValue::List(pairs(never, "1")));
        let request = ClientRequest::make_call(&dn("1001"), "1002").extensions(headers);
        stage.is_refused(request, 53).await;
    }
    stage.server.alive_and_idle().await;
}

/// A call that asks for it is told of each change until the media of both sides is there; the state never goes back.
#[tokio::test]
async fn a_client_waits_for_the_media_of_a_call() {
    for mode in ["direct", "anchored"] {
        let setup = Setup::new().tables(&format!("[media]\nmode = \"{mode}\""));
        let (mut stage, phones) = Stage::with(setup, &["1001", "1002"]).await;
        let [alice, bob] = &phones;
        calls(&mut stage, alice, "1002", pairs("RemoteMediaFlowState", 1i64)).await;
        let ringing = bob.takes().await;
        let mut last = [None, None];
        while last != [Some("Connected"), Some("Connected")] {
            let frame = stage.desk.event().await;
            let told = frame.is(EventName::EventCallInfoChanged) && frame.this_dn == Some(dn("1001"));
            let state = frame.extensions.text("RemoteMediaFlowState").filter(|_| told);
            let Some(state) = ["Connecting", "Connected"].into_iter().find(|known| Some(*known) == state) else {
                continue;
            };
            let of = usize::from(frame.other_dn == Some(dn("1002")));
            assert!(
                last[of] < Some(state) || last[of] == Some("Connecting"),
                "{mode}: {last:?} {state}"
            );
            assert_ne!(last[of], Some(state), "{mode}");
            last[of] = Some(state);
        }
        stage.hear(&[(alice, "1002"), (bob, "1001")]).await;
        let call = stage.event(EventEstablished, "1001").await;
        let info = stage.asks(ClientRequest::query_call(&dn("1001"), call)).await;
        assert_eq!(info.extensions.text("mf-2"), Some("Connected"));
        let told = stage.desk.frames.len();
        ends(&mut stage, bob, ringing).await;
        // Another call, which does not ask.
        reaches(&mut stage, [alice, bob], "1002", KvList::new()).await;
        let silent = stage.desk.frames[told..]
            .iter()
            .all(|frame| !frame.contains("EventCallInfoChanged"));
        assert!(silent, "{mode}");
        stage.server.alive_and_idle().await;
    }
}

/// Waits until a DN was told that the media of each of these is there.
async fn media_of(stage: &mut Stage, this: &str, others: &[&str]) {
    let told = |text: &String, other: &str| {
        let frame = EventFrame::decode(text).expect("an event");
        frame.is(EventName::EventCallInfoChanged)
            && frame.this_dn == Some(dn(this))
            && frame.other_dn == Some(dn(other))
            && frame.extensions.text("RemoteMediaFlowState") == Some("Connected")
    };
    let is_there = |stage: &Stage, other: &str| stage.desk.frames.iter().any(|text| told(text, other));
    while !others.iter().all(|other| is_there(stage, other)) {
        stage.desk.event().await;
    }
}

/// A DN whose desktop asked when it registered is told in calls that phones dial; who answers a call may ask for that call.
#[tokio::test]
async fn a_client_waits_for_the_media_of_calls_that_it_did_not_make() {
    for mode in ["direct", "anchored"] {
        let setup = Setup::new().tables(&format!("[media]\nmode = \"{mode}\""));
        let (mut stage, phones) = Stage::with(setup, &["1001", "1002"]).await;
        let [alice, bob] = &phones;
        let register = |wish: i64| {
            let wish = pairs("RemoteMediaFlowState", wish);
            ClientRequest::register_address(&dn("1002")).extensions(wish)
        };
        stage.asks(register(1)).await;
        let (call, there, _) = stage.talk(alice, bob).await;
        media_of(&mut stage, "1002", &["1001", "1002"]).await;
        let info = stage.asks(ClientRequest::query_call(&dn("1002"), call)).await;
        assert_eq!(info.extensions.text("mf-1"), Some("Connected"));
        let info = stage.asks(ClientRequest::query_call(&dn("1001"), call)).await;
        assert_eq!(info.extensions.text("mf-1"), None, "nobody wanted it there");
        let query = ClientRequest::query_call(&dn("1001"), call).extensions(pairs("RemoteMediaFlowState", 1i64));
        assert_eq!(stage.asks(query).await.extensions.text("mf-2"), Some("Connected"));
        alice.hangs_up(there).await;
        stage.event(EventReleased, "1002").await;
        let of_alice = |text: &String| text.contains("EventCallInfoChanged") && text.contains("\"thisDn\":\"sip:1001@");
        assert!(!stage.desk.frames.iter().any(of_alice), "{mode}");

        stage.asks(register(0)).await;
        stage.begins();
        let there = alice.dials("1002").await;
        bob.rings().await;
        let call = stage.event(EventRinging, "1002").await;
        let wish = pairs("RemoteMediaFlowState", 1i64);
        let answer = ClientRequest::of_call(OnCall::AnswerCall, &dn("1002"), call).extensions(wish);
        stage.asks(answer).await;
        alice.is_answered(there).await;
        media_of(&mut stage, "1001", &["1001", "1002"]).await;
        alice.hangs_up(there).await;
        stage.event(EventReleased, "1002").await;
        stage.server.alive_and_idle().await;
    }
}
