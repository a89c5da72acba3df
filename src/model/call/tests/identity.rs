//! Who calls, and who may know it: what an INVITE said of its caller goes wherever that caller is shown, for as long as it is there.

use std::time::SystemTime;

use super::stage::*;
use super::*;
use crate::EventName;
use crate::request::{OnCall, OnCallWith};

fn private() -> Presentation {
    Presentation {
        unasserted: false,
        privacy: Some("id;critical".into()),
    }
}

/// A call whose INVITE said this of its caller.
fn calling(from: CallerId, presentation: Presentation, preferred: Option<&str>) -> Stage {
    let mut stage = Stage::empty(CONN, CONFERENCE);
    stage.live.insert((CONFERENCE, A), device(&from));
    let offered = CallOffered {
        presentation,
        preferred: preferred.map(DnId::from),
        ..offered_from(from, "bob")
    };
    stage.input(CallInput::Offered(offered));
    stage
}

fn device(from: &CallerId) -> Fake {
    let dn = match from {
        CallerId::Extension(dn) | CallerId::Trunk { number: dn, .. } => dn,
    };
    Fake::new(dn.clone(), true)
}

/// `who is called < who is shown, how` for each leg that was made since the last time.
fn shown(stage: &mut Stage) -> Vec<String> {
    let makes = stage.out.iter().filter_map(|output| match output {
        CallOutput::Link(LinkRequest::MakeParty(make)) => Some(make),
        _ => None,
    });
    let line = |make: &crate::link::MakeParty| {
        let target = match &make.target {
            PartyTarget::Dn(dn) => dn.user(),
            PartyTarget::Trunk { number, .. } => number,
        };
        let privacy = make.presentation.privacy.as_deref().unwrap_or("-");
        let mark = if make.presentation.unasserted { " unasserted" } else { "" };
        format!("{target} < {} {privacy}{mark}", make.caller)
    };
    let lines = makes.map(line).collect();
    stage.forget();
    lines
}

const HIDDEN: &str = "sip:+4930123@pstn.example.com id;critical";

#[test]
fn privacy_goes_wherever_its_caller_is_shown() {
    let mut stage = calling(from_pstn(), private(), None);
    assert_eq!(shown(&mut stage), [format!("bob < {HIDDEN}")]);
    // The phone that rings forwards.
    let (conference, party) = stage.at(BOB);
    let to = vec!["carol".into()];
    stage.input(CallInput::Link(LinkNotification::PartyRedirected { conference, party, to }));
    stage.declines(BOB, 302);
    assert_eq!(shown(&mut stage), [format!("carol < {HIDDEN}")]);
    // Its desktop sends the call on.
    stage.with(OnCallWith::RedirectCall, CAROL, CONN, "dave");
    assert_eq!(shown(&mut stage), [format!("dave < {HIDDEN}")]);
    stage.answers(DAVE).forget();
    // Whoever talks with it consults as itself, openly, and hands it on.
    stage.with(OnCallWith::InitiateTransfer, DAVE, CONN, "bob");
    assert_eq!(shown(&mut stage), ["bob < sip:dave@tandem.local -"]);
    stage.hangs_up(BOB).on(OnCall::RetrieveCall, DAVE, CONN).forget();
    stage.with(OnCallWith::SingleStepTransfer, DAVE, CONN, "012");
    assert_eq!(shown(&mut stage), [format!("+4912 < {HIDDEN}")]);
}

#[test]
fn privacy_outlives_the_process() {
    let mut stage = calling(from_pstn(), private(), None);
    stage.answers(BOB);
    assert!(stage.restart());
    stage.forget();
    stage.with(OnCallWith::SingleStepTransfer, BOB, CONN, "carol");
    assert_eq!(shown(&mut stage), [format!("carol < {HIDDEN}")]);
}

#[test]
fn a_phone_s_privacy_is_that_of_its_consultations_too() {
    let mut stage = calling(CallerId::Extension(ALICE.into()), private(), None);
    stage.answers(BOB).forget();
    stage.with(OnCallWith::InitiateConference, ALICE, CONN, "carol");
    assert_eq!(shown(&mut stage), ["carol < sip:alice@tandem.local id;critical"]);
}

#[test]
fn what_nobody_vouches_for_stays_so() {
    let doubted = Presentation {
        unasserted: true,
        privacy: None,
    };
    let mut stage = calling(from_pstn(), doubted, None);
    assert_eq!(shown(&mut stage), ["bob < sip:+4930123@pstn.example.com - unasserted"]);
}

#[test]
fn a_phone_is_known_by_the_address_it_prefers_where_that_is_its_own() {
    let cases = [
        ("sip:2000@tandem.local", "sip:2000@tandem.local"),
        ("tel:2000", "sip:2000@tandem.local"),
        ("sip:alice@tandem.local", "sip:alice@tandem.local"),
        ("sip:2001@tandem.local", "sip:alice@tandem.local"),
        ("sip:service@bank.example", "sip:alice@tandem.local"),
        ("sip:+49012@tandem.local", "sip:alice@tandem.local"),
    ];
    for (wish, known) in cases {
        let mut stage = calling(CallerId::Extension(ALICE.into()), Presentation::default(), Some(wish));
        assert_eq!(shown(&mut stage), [format!("bob < {known} -")], "{wish}");
    }
    let mut stage = calling(from_pstn(), Presentation::default(), Some("sip:2000@tandem.local"));
    assert_eq!(shown(&mut stage), ["bob < sip:+4930123@pstn.example.com -"]);
}

/// What the desktops see is what was asserted: they are ours.
#[test]
fn desktops_see_the_number_of_a_caller_that_is_anonymous_for_phones() {
    let stage = calling(from_pstn(), private(), None);
    let events = stage.out.iter().filter_map(|output| match output {
        CallOutput::Event { event, .. } => Some(event),
        _ => None,
    });
    let anis: Vec<_> = events.map(|event| (event.name, event.ani.clone())).collect();
    assert_eq!(anis, [(EventName::EventRinging, Some("+4930123".into()))]);
}

#[test]
fn a_snapshot_of_before_says_nothing_of_it() {
    let stage = calling(from_pstn(), Presentation::default(), None);
    let at = (stage.now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let value = serde_json::to_value(stage.call.snapshot(at).unwrap()).unwrap();
    let device = value["devices"][0].as_object().unwrap();
    assert!(!device.contains_key("presentation") && !device.contains_key("preferred"));
}
