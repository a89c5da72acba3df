//! Consultation calls and what becomes of them (reference ch. 9.5, 9.6, 9.8), failures included.

use super::stage::*;
use super::*;
use crate::numbering::PassThrough;
use crate::request::{OnCall, OnCallWith, OnTwoCalls};

#[test]
fn a_consultation_holds_the_main_call_and_has_a_conn_id_of_its_own() {
    let mut stage = Stage::talking();
    stage.with(OnCallWith::InitiateTransfer, BOB, CONN, "carol").says(
        "link: audio
         bob EventHeld a1 Destination > alice Origination Ok
         opened b1
         bob EventDialing* b1 Origination > carol Destination Ok transfers a1
         link: make 3 carol as bob
         carol EventRinging b1 Destination > bob Origination Ok was a1",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<carol carol<bob");
    stage.answers(CAROL).says(
        "carol EventEstablished b1 Destination > bob Origination Ok
         bob EventEstablished b1 Origination > carol Destination Ok",
    );
}

#[test]
fn the_consultation_carries_the_data_of_the_main_call_and_of_the_request() {
    let mut stage = Stage::talking();
    stage.ask(Request::AttachUserData {
        this_dn: BOB.into(),
        conn_id: CONN,
        user_data: [("a", "1"), ("b", "1")].into_iter().collect(),
    });
    let Request::OnCallWith { .. } = with_request(OnCallWith::InitiateConference, BOB, CONN, "carol") else {
        unreachable!()
    };
    let mut request = with_request(OnCallWith::InitiateConference, BOB, CONN, "carol");
    if let Request::OnCallWith { user_data, .. } = &mut request {
        *user_data = [("b", "2"), ("c", "2")].into_iter().collect();
    }
    stage.forget().ask(request);
    let dialing = stage.out.iter().find_map(|output| match output {
        CallOutput::Event { event, .. } if event.name == crate::EventName::EventDialing => Some(event.clone()),
        _ => None,
    });
    let event = dialing.unwrap();
    assert_eq!(
        (event.call_type, event.conference_conn_id),
        (Some(CallType::Consult), Some(CONN))
    );
    let data = serde_json::to_string(&**event.user_data.as_ref().unwrap()).unwrap();
    assert_eq!(data, r#"{"a":"1","b":"2","c":"2"}"#);
    stage
        .answers(CAROL)
        .forget()
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, ConnId(0xb02))
        .says(
            "link: audio
         bob EventReleased* b2 Origination > carol Destination Transferred
         bob EventReleased a1 Destination > alice Origination Transferred
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         carol EventPartyChanged a1 Destination > alice Origination by bob TransferredBy Transferred was b2
         alice EventAttachedDataChanged a1 Origination > carol Destination by bob TransferredBy Ok
         carol EventAttachedDataChanged a1 Destination > alice Origination by bob TransferredBy Ok
         closed b2 answered
         link: release 2",
        );
}

#[test]
fn complete_transfer_leaves_the_two_others_in_talk() {
    for (one, two) in [(CONN, CONSULT), (CONSULT, CONN)] {
        let mut stage = Stage::consulted();
        stage.two(OnTwoCalls::CompleteTransfer, BOB, one, two).says(
            "link: audio
             bob EventReleased* b1 Origination > carol Destination Transferred
             bob EventReleased a1 Destination > alice Origination Transferred
             alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
             carol EventPartyChanged a1 Destination > alice Origination by bob TransferredBy Transferred was b1
             closed b1 answered
             link: release 2",
        );
        assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
        stage.on(OnCall::HoldCall, CAROL, CONN).forget().hangs_up(CAROL).says(
            "carol EventReleased a1 Destination > alice Origination Ok
             alice EventReleased a1 Origination > carol Destination Ok
             link: release 1
             closed a1 answered
             finished",
        );
    }
}

#[test]
fn complete_transfer_while_the_target_rings() {
    let mut stage = Stage::consulting();
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT).says(
        "link: audio
         bob EventReleased* b1 Origination > carol Destination Transferred
         bob EventReleased a1 Destination > alice Origination Transferred
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         carol EventPartyChanged a1 Destination > alice Origination by bob TransferredBy Transferred was b1
         closed b1 cancelled
         link: release 2",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
    stage
        .answers(CAROL)
        .says("carol EventEstablished a1 Destination > alice Origination Ok");
    let mut stage = Stage::consulting();
    stage
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT)
        .forget()
        .declines(CAROL, 486)
        .says(
            "carol EventReleased a1 Destination > alice Origination Busy
         alice EventReleased a1 Origination > carol Destination Busy
         link: release 1
         closed a1 answered
         finished",
        );
}

#[test]
fn a_transfer_that_fails_restores_the_calls() {
    let mut stage = Stage::consulted();
    stage.refuse = Some(500);
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT).says(
        "link: audio
         only bob EventError* 1140",
    );
    stage.refuse = None;
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<carol carol<bob");
    stage.two(OnTwoCalls::AlternateCall, BOB, CONN, CONSULT).says(
        "link: audio
         bob EventHeld* b1 Origination > carol Destination Ok
         bob EventRetrieved a1 Destination > alice Origination Ok",
    );
}

#[test]
fn alternate_and_reconnect() {
    let mut stage = Stage::consulted();
    stage.two(OnTwoCalls::AlternateCall, BOB, CONN, CONSULT).says(
        "link: audio
         bob EventHeld* b1 Origination > carol Destination Ok
         bob EventRetrieved a1 Destination > alice Origination Ok",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice carol<music");
    stage.two(OnTwoCalls::AlternateCall, BOB, CONN, CONSULT).forget();
    stage.two(OnTwoCalls::ReconnectCall, BOB, CONSULT, CONN).says(
        "link: audio
         bob EventReleased b1 Origination > carol Destination Ok
         carol EventReleased b1 Destination > bob Origination Ok
         closed b1 answered
         bob EventRetrieved* a1 Destination > alice Origination Ok
         link: release 3",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
}

#[test]
fn reconnect_abandons_a_target_that_rings() {
    let mut stage = Stage::consulting();
    stage
        .two(OnTwoCalls::AlternateCall, BOB, CONN, CONSULT)
        .says("only bob EventError* 496");
    stage.two(OnTwoCalls::ReconnectCall, BOB, CONN, CONSULT).says(
        "link: audio
         bob EventReleased b1 Origination > carol Destination Ok
         carol EventAbandoned b1 Destination > bob Origination Ok
         closed b1 cancelled
         bob EventRetrieved* a1 Destination > alice Origination Ok
         link: release 3",
    );
}

#[test]
fn a_target_that_does_not_answer_leaves_the_main_call_on_hold() {
    let mut stage = Stage::consulting();
    stage.declines(CAROL, 486).says(
        "bob EventDestinationBusy b1 Origination > carol Destination Busy
         carol EventReleased b1 Destination > bob Origination Busy
         bob EventReleased b1 Origination > carol Destination Busy
         closed b1 busy",
    );
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT).says(
        "absorb
         only bob EventError* 56",
    );
    stage.on(OnCall::RetrieveCall, BOB, CONN).says(
        "link: audio
         bob EventRetrieved* a1 Destination > alice Origination Ok",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
}

#[test]
fn a_held_caller_who_hangs_up_leaves_the_consultation_a_call_of_its_own() {
    let mut stage = Stage::consulted();
    stage.hangs_up(ALICE).says(
        "alice EventReleased a1 Origination > bob Destination Ok
         bob EventReleased a1 Destination > alice Origination Ok
         closed a1 answered",
    );
    stage
        .two(OnTwoCalls::CompleteTransfer, BOB, CONSULT, CONN)
        .says("only bob EventError* 237");
    stage.with(OnCallWith::InitiateTransfer, BOB, CONSULT, "dave").says(
        "link: audio
         bob EventHeld b1 Origination > carol Destination Ok
         opened b3
         bob EventDialing* b3 Origination > dave Destination Ok transfers b1
         link: make 4 dave as bob
         dave EventRinging b3 Destination > bob Origination Ok was b1",
    );
}

#[test]
fn a_consultation_without_its_main_call_is_told_so_in_either_order() {
    let mut stage = Stage::consulted();
    stage.hangs_up(ALICE).forget();
    for operation in [
        OnTwoCalls::CompleteTransfer,
        OnTwoCalls::CompleteConference,
        OnTwoCalls::AlternateCall,
        OnTwoCalls::ReconnectCall,
        OnTwoCalls::MergeCalls(crate::MergeType::ForConference),
    ] {
        for (one, two) in [(CONSULT, CONN), (CONN, CONSULT)] {
            stage.two(operation, BOB, one, two).says("only bob EventError* 237");
        }
        // Who is not on the consultation is told nothing of it.
        stage.two(operation, ALICE, CONN, CONSULT).says("only alice EventError* 56");
    }
}

#[test]
fn the_controller_who_hangs_up_ends_both_calls() {
    let mut stage = Stage::consulting();
    stage.hangs_up(BOB).says(
        "bob EventReleased b1 Origination > carol Destination Ok
         carol EventAbandoned b1 Destination > bob Origination Ok
         closed b1 cancelled
         bob EventReleased a1 Destination > alice Origination Ok
         alice EventReleased a1 Origination > bob Destination Ok
         link: release 1
         link: release 3
         closed a1 answered
         finished",
    );
}

#[test]
fn releasing_one_of_the_two_keeps_the_leg_for_the_other() {
    let mut stage = Stage::consulted();
    stage.release(BOB, CONSULT).says(
        "bob EventReleased* b1 Origination > carol Destination Ok
         carol EventReleased b1 Destination > bob Origination Ok
         closed b1 answered
         link: release 3",
    );
    let mut stage = Stage::consulted();
    stage.release(BOB, CONN).says(
        "bob EventReleased* a1 Destination > alice Origination Ok
         alice EventReleased a1 Origination > bob Destination Ok
         closed a1 answered
         link: release 1",
    );
    assert_eq!(stage.hearing(CONFERENCE), "bob<carol carol<bob");
}

#[test]
fn what_cannot_be_consulted_is_refused() {
    let mut stage = Stage::talking();
    stage
        .with(OnCallWith::InitiateTransfer, BOB, CONN, "nobody")
        .says("only bob EventError* 71");
    stage
        .with(OnCallWith::InitiateTransfer, BOB, CONN, "bob")
        .says("only bob EventError* 71");
    stage
        .with(OnCallWith::InitiateTransfer, BOB, CONN, "2000")
        .says("only bob EventError* 93");
    let mut request = with_request(OnCallWith::InitiateTransfer, BOB, CONN, "carol");
    if let Request::OnCallWith { location, .. } = &mut request {
        *location = Some("berlin".to_owned());
    }
    stage.ask(request).says("only bob EventError* 51");
    let mut request = with_request(OnCallWith::InitiateTransfer, BOB, CONN, "carol");
    if let Request::OnCallWith { user_data, .. } = &mut request {
        user_data.set("x", "y".repeat(65_536));
    }
    stage.ask(request).says("only bob EventError* 223");
    let mut stage = Stage::consulted();
    stage
        .with(OnCallWith::InitiateTransfer, BOB, CONN, "dave")
        .says("only bob EventError* 496");
    stage
        .with(OnCallWith::InitiateTransfer, CAROL, CONSULT, "dave")
        .says("only carol EventError* 496");
    stage
        .with(OnCallWith::InitiateTransfer, BOB, CONSULT, "dave")
        .says("only bob EventError* 496");
    stage
        .two(OnTwoCalls::CompleteTransfer, CAROL, CONSULT, CONN)
        .says("only carol EventError* 470");
    stage.on(OnCall::RetrieveCall, BOB, CONN).says("only bob EventError* 496");
}

#[test]
fn a_consultation_to_the_outside_reaches_the_network() {
    let mut stage = Stage::talking_to_outside();
    stage.with(OnCallWith::InitiateTransfer, BOB, CONN, "030555").says(
        "link: audio
         bob EventHeld a1 Destination > +4930123 Origination Ok
         opened b1
         bob EventDialing* b1 Origination > 030555 Destination Ok transfers a1
         link: make 3 +4930555 as 2001
         bob EventNetworkReached b1 Origination > 030555 Destination Ok",
    );
    stage
        .answers("+4930555")
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT)
        .says(
            "bob EventEstablished b1 Origination > 030555 Destination Ok
         link: audio
         bob EventReleased* b1 Origination > 030555 Destination Transferred
         bob EventReleased a1 Destination > +4930123 Origination Transferred
         closed b1 answered
         link: release 2",
        );
    stage.hangs_up("+4930555").says(
        "link: release 1
         closed a1 answered
         finished",
    );
}

#[test]
fn calls_that_began_separately_are_transferred_by_a_move() {
    let mut stage = Stage::talking().second_line();
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER).says(
        "absorb
         link: move 2 to 3
         link: audio
         bob EventReleased* c1 Origination > carol Destination Transferred
         bob EventReleased a1 Destination > alice Origination Transferred
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         carol EventPartyChanged a1 Destination > alice Origination by bob TransferredBy Transferred was c1
         closed c1 answered
         link: release 2
         link: release 1",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
    stage.hangs_up(ALICE);
    assert!(stage.call.is_finished());
}

#[test]
fn calls_that_began_separately_alternate_and_merge_into_a_conference() {
    let mut stage = Stage::talking().second_line();
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.two(OnTwoCalls::AlternateCall, BOB, CONN, OTHER).says(
        "absorb
         link: audio
         link: audio
         bob EventHeld* c1 Origination > carol Destination Ok
         bob EventRetrieved a1 Destination > alice Origination Ok",
    );
    assert_eq!(
        (stage.hearing(CONFERENCE), stage.hearing(SECOND)),
        ("alice<bob bob<alice".to_owned(), "bob< carol<music".to_owned())
    );
    let merge = OnTwoCalls::MergeCalls(crate::MergeType::ForConference);
    stage.two(merge, BOB, OTHER, CONN).says(
        "link: move 1 to 3
         link: audio
         bob EventReleased* a1 Destination > alice Origination Conferenced
         bob EventRetrieved c1 ConferenceMember Conferenced
         carol EventPartyAdded c1 ConferenceMember > alice NewParty by bob AddedBy Conferenced
         bob EventPartyAdded c1 ConferenceMember > alice NewParty by bob AddedBy Conferenced
         alice EventPartyChanged c1 ConferenceMember by bob ConferencedBy Conferenced was a1
         closed a1 answered
         link: release 2",
    );
}

#[test]
fn a_move_that_fails_leaves_both_calls_as_they_were() {
    let mut stage = Stage::talking().second_line();
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.refuse = Some(501);
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER).says(
        "absorb
         link: move 2 to 3
         only bob EventError* 237",
    );
    stage.refuse = None;
    stage.hangs_up(CAROL).says(
        "carol EventReleased c1 Destination > bob Origination Ok
         bob EventReleased c1 Origination > carol Destination Ok
         closed c1 answered
         link: release 1",
    );
}

#[test]
fn a_group_with_an_operation_in_progress_does_not_surrender() {
    let mut stage = Stage::talking().second_line();
    stage.others[0].refuse = Some(0);
    stage.others[0].on(OnCall::HoldCall, BOB, OTHER);
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER).says(
        "absorb
         only bob EventError* 291",
    );
}

#[test]
fn a_policy_that_changes_holds_for_the_next_change_of_a_call_that_is_there() {
    let mut stage = Stage::talking_to_outside();
    let to_outside = |stage: &mut Stage| {
        stage
            .with(OnCallWith::SingleStepTransfer, BOB, CONN, "030555")
            .lines
            .join("\n")
    };
    stage.input(CallInput::Numbering(many(PassThrough::None)));
    assert_eq!(to_outside(&mut stage), "only bob EventError* 1148");
    stage.forget();
    stage.input(CallInput::Numbering(many(PassThrough::All)));
    assert!(!to_outside(&mut stage).contains("EventError"), "{:?}", stage.lines);
}

#[test]
fn where_pass_through_calls_are_not_allowed_nobody_makes_one() {
    let strict = || {
        let mut stage = Stage::talking_to_outside();
        stage.call.numbering = many(PassThrough::None);
        stage
    };
    let mut stage = strict();
    stage
        .with(OnCallWith::SingleStepTransfer, BOB, CONN, "030555")
        .says("only bob EventError* 1148");
    stage.refers(BOB, super::phone::to("030555")).says("link: progress 403");
    stage
        .with(OnCallWith::InitiateTransfer, BOB, CONN, "030555")
        .answers("+4930555")
        .forget();
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT).says(
        "absorb
         only bob EventError* 56",
    );
    stage
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, ConnId(0xb02))
        .says("only bob EventError* 98");
    let conference = ConnId(0xb02);
    stage
        .two(OnTwoCalls::CompleteConference, BOB, CONN, conference)
        .forget()
        .hangs_up(BOB)
        .says(
            "bob EventReleased a1 ConferenceMember Ok
         link: release 1
         link: release 3
         closed a1 answered
         finished",
        );
    let mut stage = Stage::calling(CONN, CONFERENCE, from_pstn(), "bob");
    stage.call.numbering = many(PassThrough::None);
    stage
        .forget()
        .with(OnCallWith::RedirectCall, BOB, CONN, "030555")
        .says("only bob EventError* 705");
}

#[test]
fn nobody_is_torn_out_of_another_call_by_a_transfer() {
    // Carol, whom Bob consults about Alice, transfers him to Dave, whom she has called herself: Dave comes to where Alice is.
    let mut stage = Stage::consulted().second_line_of(CAROL, DAVE);
    stage.others[0].on(OnCall::HoldCall, CAROL, OTHER).forget();
    stage.two(OnTwoCalls::CompleteTransfer, CAROL, OTHER, CONSULT);
    stage.says("only carol EventError* 56");
    stage.two(OnTwoCalls::CompleteTransfer, CAROL, CONSULT, OTHER).says(
        "absorb
         link: move 2 to 4
         link: audio
         carol EventReleased* b1 Destination > bob Origination Transferred
         carol EventReleased c1 Origination > dave Destination Transferred
         dave EventPartyChanged c1 Destination > bob Origination by carol TransferredBy Transferred was c1
         bob EventPartyChanged c1 Origination > dave Destination by carol TransferredBy Transferred was b1
         closed b1 answered
         link: release 3
         link: release 1",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<dave dave<bob");
    stage.two(OnTwoCalls::AlternateCall, BOB, OTHER, CONN).forget();
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice dave<music");
}

#[test]
fn who_would_be_torn_out_of_another_call_stays() {
    // Both have another call: Bob with Alice, and Dave with Erin, whom he consults about Carol.
    let mut stage = Stage::consulted().second_line_of(CAROL, DAVE);
    stage.others[0].spare = 0xd01;
    stage.others[0]
        .with(OnCallWith::InitiateTransfer, DAVE, OTHER, "erin")
        .answers(ERIN)
        .on(OnCall::HoldCall, CAROL, OTHER);
    stage.live.extend(stage.others[0].live.clone());
    stage.two(OnTwoCalls::CompleteTransfer, CAROL, CONSULT, OTHER).says(
        "absorb
         only carol EventError* 51",
    );
}

#[test]
fn who_arrives_when_the_transfer_is_off_goes_back() {
    let mut stage = Stage::talking().second_line();
    stage.refuse = Some(0);
    stage
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER)
        .hangs_up(ALICE)
        .says(
            "absorb
         link: move 2 to 3
         alice EventReleased a1 Origination > bob Destination Ok
         bob EventReleased a1 Destination > alice Origination Ok
         closed a1 answered
         only bob EventError* 237",
        );
    // Bob's leg stays there as long as Carol needs the conference.
    stage.refuse = None;
    stage.settle_move(false, false);
    stage.says(
        "link: move 3 to 3
         link: audio
         link: release 2",
    );
    assert_eq!(stage.hearing(SECOND), "bob<carol carol<bob");
}
