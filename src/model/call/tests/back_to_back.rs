//! Destinations called by a back-to-back leg: the three event tables of the chapter (seed 002 lines 2030-2098), and what else they meet.

use super::extensions::{asked, extensions, made};
use super::stage::*;
use super::*;
use crate::link::Forwarded;
use crate::numbering::{CallingMethod, CallingPolicy, DestinationRule, DialPlan};
use crate::request::{OnCall, OnCallWith};

fn b2b() -> KvList {
    extensions("calling-method", "b2b")
}

/// Alice is asked to call by a back-to-back leg, and her device has answered.
fn calling(other_dn: &str) -> Stage {
    let mut stage = made(other_dn, b2b());
    stage.answers(ALICE);
    stage
}

fn forwards(stage: &mut Stage, dn: &str, to: &str) {
    let at = stage.at(dn);
    let (conference, party) = at;
    let to = vec![to.into()];
    stage.input(CallInput::Link(LinkNotification::PartyRedirected { conference, party, to }));
    stage.leaves_from(at, Cause::status(ReleasedBy::Device, 302));
}

/// Table 1 (lines 2030-2051).
#[test]
fn a_call_to_a_tel_uri() {
    let mut stage = calling("tel:2001");
    stage.answers(BOB).says(
        "alice EventDialing* a1 Origination > 2001 Destination Ok
         link: make 1 alice as 2001
         link: make 2 bob as alice
         alice EventNetworkReached a1 Origination > 2001 Destination Ok
         bob EventRinging a1 Destination > alice Origination Forwarded
         bob EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > bob Destination Ok",
    );
    stage.hangs_up(BOB).says(
        "bob EventReleased a1 Destination > alice Origination Ok
         alice EventReleased a1 Origination > bob Destination Ok
         link: release 1
         closed a1 answered
         finished",
    );
}

#[test]
fn the_address_that_was_asked_for_is_what_is_called_until_then() {
    let mut stage = calling("tel:2001");
    let other = stage.out.iter().find_map(|output| match output {
        CallOutput::Event { event, .. } => event.other_dn.clone(),
        _ => None,
    });
    assert_eq!(other, Some("tel:2001".into()));
    stage.forget().declines(BOB, 486).says(
        "alice EventDestinationBusy a1 Origination > 2001 Destination Busy
         alice EventReleased a1 Origination > 2001 Destination Busy
         link: release 1 486
         closed a1 busy
         finished",
    );
}

/// Table 2 (lines 2053-2071).
#[test]
fn a_call_to_a_user_that_forwards() {
    let mut stage = calling("bob");
    forwards(&mut stage, BOB, "carol");
    stage.answers(CAROL).says(
        "alice EventDialing* a1 Origination > bob Destination Ok
         link: make 1 alice as bob
         link: make 2 bob as alice
         bob EventRinging a1 Destination > alice Origination Ok
         link: make 3 carol as alice
         bob EventReleased a1 Destination > alice Origination by carol DeletedBy Forwarded
         carol EventRinging a1 Destination > alice Origination Forwarded
         carol EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > carol Destination Ok",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
}

/// Table 3 (lines 2073-2098): the group takes the call, one of its members joins, the group leaves.
#[test]
fn a_call_to_a_group_that_a_member_takes() {
    let mut stage = calling("bob");
    stage.answers(BOB).with(OnCallWith::SingleStepConference, BOB, CONN, "carol");
    stage.answers(CAROL).hangs_up(BOB).says(
        "alice EventDialing* a1 Origination > bob Destination Ok
         link: make 1 alice as bob
         link: make 2 bob as alice
         bob EventRinging a1 Destination > alice Origination Ok
         bob EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > bob Destination Ok
         link: audio
         link: make 3 carol as bob
         carol EventRinging* a1 ConferenceMember by bob AddedBy Ok
         carol EventEstablished a1 ConferenceMember Conferenced
         link: audio
         alice EventPartyAdded a1 ConferenceMember > carol NewParty by bob AddedBy Conferenced
         bob EventPartyAdded* a1 ConferenceMember > carol NewParty by bob AddedBy Conferenced
         bob EventReleased a1 ConferenceMember Ok
         alice EventPartyDeleted a1 ConferenceMember > bob DeletedParty by bob DeletedBy Ok
         carol EventPartyDeleted a1 ConferenceMember > bob DeletedParty by bob DeletedBy Ok",
    );
}

#[test]
fn a_forwarded_call_that_nobody_takes_ends_for_who_forwarded_it() {
    let mut stage = calling("bob");
    forwards(&mut stage, BOB, "carol");
    stage
        .forget()
        .on(OnCall::AnswerCall, BOB, CONN)
        .on(OnCall::AnswerCall, CAROL, CONN)
        .says(
            "only bob EventError* 496
             only carol EventError* 470",
        );
    stage.hangs_up(ALICE).says(
        "alice EventReleased a1 Origination > bob Destination Ok
         bob EventAbandoned a1 Destination > alice Origination Ok
         link: release 3
         closed a1 cancelled
         finished",
    );
}

#[test]
fn a_phone_that_forwards_instead_of_answering_ends_the_wish() {
    let mut stage = calling("bob");
    stage.on(OnCall::AnswerCall, BOB, CONN).forget();
    forwards(&mut stage, BOB, "carol");
    stage.says(
        "only bob EventError* 496
         link: make 3 carol as alice",
    );
    stage.answers(CAROL).says(
        "bob EventReleased a1 Destination > alice Origination by carol DeletedBy Forwarded
         carol EventRinging a1 Destination > alice Origination Forwarded
         carol EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > carol Destination Ok",
    );
}

#[test]
fn a_call_is_forwarded_twice_and_out_of_the_house() {
    let mut stage = calling("bob");
    forwards(&mut stage, BOB, "carol");
    forwards(&mut stage, CAROL, "0301234");
    let forwarded = stage.out.iter().rev().find_map(|output| match output {
        CallOutput::Link(LinkRequest::MakeParty(make)) => Some(make.forwarded.clone()),
        _ => None,
    });
    // The other switch knows the numbers of ours, not their names.
    let by = |forwarded: Vec<Forwarded>| forwarded.into_iter().map(|one| one.by).collect::<Vec<_>>();
    assert_eq!(
        forwarded.map(by),
        Some(vec!["sip:2001@tandem.local".into(), "sip:2002@tandem.local".into()])
    );
    stage.forget().answers("+49301234").says(
        "bob EventReleased a1 Destination > alice Origination by 0301234 DeletedBy Forwarded
         alice EventEstablished a1 Origination > 0301234 Destination Ok",
    );
}

#[test]
fn a_call_is_not_forwarded_in_a_circle() {
    let mut stage = calling("bob");
    forwards(&mut stage, BOB, "carol");
    stage.forget();
    forwards(&mut stage, CAROL, "bob");
    stage.says(
        "bob EventReleased a1 Destination > alice Origination GeneralError
         alice EventReleased a1 Origination > bob Destination GeneralError
         link: release 1 480
         closed a1 failed
         finished",
    );
}

#[test]
fn an_address_that_forwards_is_not_reported_either() {
    let mut stage = calling("tel:2001");
    forwards(&mut stage, BOB, "carol");
    stage.forget().answers(CAROL).says(
        "carol EventRinging a1 Destination > alice Origination Forwarded
         carol EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > carol Destination Ok",
    );
}

/// Alice is asked to call where the dial plan calls TEL URIs by a back-to-back leg; what EventRinging, and no other event, says of the method.
fn method_told(other_dn: &str, with: KvList) -> Option<String> {
    let plan = DialPlan {
        rules: vec![DestinationRule::parse("tel:{#}").unwrap()],
        method: CallingMethod::BackToBack,
        cpn: None,
    };
    let policy = CallingPolicy {
        plan: Some(plan),
        cpn: None,
    };
    let mut stage = Stage::empty(CONN, CONFERENCE);
    stage.call.numbering = many_with(|builder| builder.calling(policy));
    let make = Make {
        extensions: with,
        ..make_of(ALICE, other_dn)
    };
    stage.input(CallInput::Make(Box::new(make)));
    stage.answers(ALICE).answers(BOB);
    let mut told = None;
    for output in &stage.out {
        if let CallOutput::Event { event, .. } = output {
            let said = event.extensions.text("calling-method");
            if event.name == crate::EventName::EventRinging {
                told = said.map(ToOwned::to_owned);
            } else {
                assert_eq!(said, None, "{}", event.name);
            }
        }
    }
    told
}

#[test]
fn ringing_says_that_it_is_by_a_back_to_back_leg_whoever_decided_that() {
    let dial_out = || extensions("calling-method", "dialout");
    for (other_dn, with, expected) in [
        ("bob", b2b(), Some("b2b")),
        ("bob", KvList::new(), None),
        ("bob", dial_out(), None),
        ("tel:2001", KvList::new(), Some("b2b")),
        ("tel:2001", b2b(), Some("b2b")),
        ("tel:2001", dial_out(), None),
    ] {
        assert_eq!(
            method_told(other_dn, with.clone()).as_deref(),
            expected,
            "{other_dn} {with:?}"
        );
    }
    let mut stage = made("bob", extensions("calling-method", "mcu"));
    stage.says(
        "only alice EventError* 53
         closed a1 refused
         finished",
    );
}

#[test]
fn the_destination_is_shown_the_identity_that_was_asked_for() {
    let mut with = b2b();
    with.set("CPNDigits", "sip:desk@tandem.local");
    let mut stage = made("0301234", with.clone());
    stage.answers(ALICE).says(
        "alice EventDialing* a1 Origination > 0301234 Destination Ok
         link: make 1 alice as 0301234
         link: make 2 +49301234 as desk
         alice EventNetworkReached a1 Origination > 0301234 Destination Ok",
    );
    let mut stage = Stage::talking();
    stage.ask(asked(with_request(OnCallWith::InitiateTransfer, BOB, CONN, "tel:2002"), with));
    stage.answers(CAROL).says(
        "link: audio
         bob EventHeld a1 Destination > alice Origination Ok
         opened b1
         bob EventDialing* b1 Origination > 2002 Destination Ok transfers a1
         link: make 3 carol as desk
         bob EventNetworkReached b1 Origination > 2002 Destination Ok
         carol EventRinging b1 Destination > bob Origination Forwarded was a1
         carol EventEstablished b1 Destination > bob Origination Ok
         bob EventEstablished b1 Origination > carol Destination Ok",
    );
}

#[test]
fn nobody_is_called_into_a_call_twice_by_another_name() {
    let mut stage = Stage::talking();
    stage.ask(asked(
        with_request(OnCallWith::SingleStepConference, BOB, CONN, "2002"),
        b2b(),
    ));
    stage.answers(CAROL).forget();
    for name in ["carol", "tel:2002", "2000"] {
        let request = with_request(OnCallWith::SingleStepConference, BOB, CONN, name);
        stage.ask(asked(request, b2b())).says("only bob EventError* 93");
    }
}

#[test]
fn what_a_device_dials_is_reported_as_ever() {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "tel:2001");
    stage.says(
        "alice EventDialing a1 Origination > bob Destination Ok
         link: make 2 bob as alice
         bob EventRinging a1 Destination > alice Origination Ok",
    );
}

/// Reference options.md, `cpn`: without one the caller that is shown is the endpoint of the call, which its connector knows.
#[test]
fn whoever_is_called_without_a_cpn_is_shown_the_endpoint() {
    let leg_of_bob = |stage: &Stage| {
        let mut makes = stage.out.iter().filter_map(|output| match output {
            CallOutput::Link(LinkRequest::MakeParty(make)) => Some(make.clone()),
            _ => None,
        });
        makes.next_back().unwrap()
    };
    let mut make = leg_of_bob(&calling("bob"));
    assert_eq!((make.as_endpoint, make.caller.clone()), (true, ALICE.into()));
    make.presentation.privacy = Some("id".into());
    make.show_endpoint("sip:Conf01@tandem.local");
    assert_eq!((make.caller.as_str(), &make.caller_name), ("sip:conf01@tandem.local", &None));
    assert_eq!(make.presentation, crate::link::Presentation::default());

    // Neither her own leg, nor a destination that is dialled out to, nor one with an identity that is meant for it.
    assert!(!leg_of_bob(&made("bob", b2b())).as_endpoint);
    assert!(!leg_of_bob(made("bob", KvList::new()).answers(ALICE)).as_endpoint);
    let mut both = b2b();
    both.merge(&extensions("CPNDigits", "sip:desk@tandem.local"));
    assert!(!leg_of_bob(made("bob", both).answers(ALICE)).as_endpoint);
}
