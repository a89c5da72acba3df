//! SingleStepTransfer, SingleStepConference, RedirectCall (reference ch. 9.9, 9.10, 9.2).

use super::stage::*;
use super::*;
use crate::request::{OnCall, OnCallWith};

fn transferring() -> Stage {
    let mut stage = Stage::talking();
    stage.with(OnCallWith::SingleStepTransfer, BOB, CONN, "carol");
    stage
}

#[test]
fn the_controller_leaves_only_after_the_target_has_answered() {
    let mut stage = transferring();
    stage.says(
        "link: audio
         link: make 3 carol as alice
         carol EventRinging a1 Destination > alice Origination by bob TransferredBy Transferred",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice carol<");
    stage.answers(CAROL).says(
        "carol EventEstablished a1 Destination > alice Origination Ok
         link: audio
         bob EventReleased* a1 Destination > alice Origination by carol Destination Transferred 1stepTransfer
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         link: release 2",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
}

#[test]
fn a_target_that_does_not_answer_leaves_the_call_as_it_was() {
    for (status, state, code) in [
        (486, "Busy", 231),
        (603, "Busy", 233),
        (480, "NoAnswer", 232),
        (404, "SitInvalidnum", 234),
    ] {
        let mut stage = transferring();
        stage.forget().declines(CAROL, status).says(
            &format!(
                "carol EventReleased a1 Destination > alice Origination by bob TransferredBy {state}
             only bob EventError* {code}"
            )
            .replace(" by bob TransferredBy", ""),
        );
        assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
        stage.on(OnCall::HoldCall, BOB, CONN).says(
            "link: audio
             bob EventHeld* a1 Destination > alice Origination Ok",
        );
    }
}

#[test]
fn while_the_target_rings_nothing_else_is_done() {
    let mut stage = transferring();
    stage
        .forget()
        .on(OnCall::HoldCall, ALICE, CONN)
        .says("only alice EventError* 291");
    stage.on(OnCall::AnswerCall, CAROL, CONN).answers(CAROL).says(
        "link: answer 3
         carol EventEstablished* a1 Destination > alice Origination Ok
         link: audio
         bob EventReleased* a1 Destination > alice Origination by carol Destination Transferred 1stepTransfer
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         link: release 2",
    );
}

#[test]
fn the_other_party_who_hangs_up_abandons_the_target() {
    let mut stage = transferring();
    stage.forget().hangs_up(ALICE).says(
        "alice EventReleased a1 Origination > bob Destination Ok
         bob EventReleased a1 Destination > alice Origination Ok
         carol EventAbandoned a1 Destination > alice Origination Ok
         only bob EventError* 237
         link: release 2
         link: release 3
         closed a1 answered
         finished",
    );
}

#[test]
fn the_controller_who_hangs_up_meanwhile_has_transferred() {
    let mut stage = transferring();
    stage.forget().hangs_up(BOB).says(
        "bob EventReleased* a1 Destination > alice Origination by carol Destination Transferred 1stepTransfer
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
    stage
        .answers(CAROL)
        .says("carol EventEstablished a1 Destination > alice Origination Ok");
}

#[test]
fn the_target_declines_over_cti() {
    let mut stage = transferring();
    stage.forget().release(CAROL, CONN).says(
        "carol EventReleased* a1 Destination > alice Origination Ok
         only bob EventError* 233
         link: release 3 603",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
}

#[test]
fn a_transfer_whose_audio_fails_keeps_the_controller() {
    let mut stage = transferring();
    stage.refuse = Some(488);
    stage.forget().answers(CAROL).says(
        "carol EventEstablished a1 Destination > alice Origination Ok
         link: audio
         carol EventReleased a1 Destination > alice Origination Ok
         only bob EventError* 1140
         link: release 3",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
}

#[test]
fn a_target_that_never_answers_is_given_up() {
    let mut stage = transferring();
    stage.now = stage.call.next_timeout().unwrap();
    stage.forget().input(CallInput::Timeout).says(
        "carol EventAbandoned a1 Destination > alice Origination Ok
         only bob EventError* 236
         link: release 3",
    );
}

#[test]
fn single_step_conference_adds_a_party() {
    let mut stage = Stage::talking();
    stage.with(OnCallWith::SingleStepConference, BOB, CONN, "carol").says(
        "link: audio
         link: make 3 carol as bob
         carol EventRinging* a1 ConferenceMember by bob AddedBy Ok",
    );
    stage.answers(CAROL).says(
        "carol EventEstablished a1 ConferenceMember Conferenced
         link: audio
         alice EventPartyAdded a1 ConferenceMember > carol NewParty by bob AddedBy Conferenced
         bob EventPartyAdded* a1 ConferenceMember > carol NewParty by bob AddedBy Conferenced",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob+carol bob<alice+carol carol<alice+bob");
    stage.with(OnCallWith::SingleStepConference, CAROL, CONN, "030555").says(
        "link: audio
         link: make 4 +4930555 as 2002",
    );
    stage.answers("+4930555").says(
        "link: audio
         alice EventPartyAdded a1 ConferenceMember > 030555 NewParty by carol AddedBy Conferenced
         bob EventPartyAdded a1 ConferenceMember > 030555 NewParty by carol AddedBy Conferenced
         carol EventPartyAdded* a1 ConferenceMember > 030555 NewParty by carol AddedBy Conferenced",
    );
    stage
        .with(OnCallWith::SingleStepConference, ALICE, CONN, "dave")
        .forget()
        .declines(DAVE, 486)
        .says(
            "dave EventReleased a1 ConferenceMember Busy
         only alice EventError* 231",
        );
}

fn conferencing() -> Stage {
    let mut stage = Stage::talking();
    stage.with(OnCallWith::SingleStepConference, BOB, CONN, "carol").forget();
    stage
}

/// After an attempt that failed the call is one of two, with the roles it had, and may be worked on.
fn is_as_it_was(stage: &mut Stage) {
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
    stage.on(OnCall::HoldCall, BOB, CONN).says(
        "link: audio
         bob EventHeld* a1 Destination > alice Origination Ok",
    );
}

#[test]
fn who_declines_to_be_added_leaves_the_call_as_it_was() {
    for (status, state, code) in [
        (486, "Busy", 231),
        (603, "Busy", 233),
        (480, "NoAnswer", 232),
        (404, "SitInvalidnum", 234),
        (503, "SitNocircuit", 234),
    ] {
        let mut stage = conferencing();
        stage.declines(CAROL, status).says(&format!(
            "carol EventReleased a1 ConferenceMember {state}
             only bob EventError* {code}"
        ));
        is_as_it_was(&mut stage);
    }
}

#[test]
fn who_declines_over_cti_to_be_added_leaves_the_call_as_it_was() {
    let mut stage = conferencing();
    stage.release(CAROL, CONN).says(
        "carol EventReleased* a1 ConferenceMember Ok
         only bob EventError* 233
         link: release 3 603",
    );
    is_as_it_was(&mut stage);
}

/// The connector has the ring timer, and says nothing either.
#[test]
fn who_is_to_be_added_and_never_answers_is_given_up() {
    let mut stage = conferencing();
    stage.now = stage.call.next_timeout().unwrap();
    stage.input(CallInput::Timeout).says(
        "carol EventAbandoned a1 ConferenceMember Ok
         only bob EventError* 236
         link: release 3",
    );
    is_as_it_was(&mut stage);
    // It answers after all, while it is let go of.
    let mut stage = conferencing();
    let (conference, party) = stage.at(CAROL);
    stage.now = stage.call.next_timeout().unwrap();
    stage.input(CallInput::Timeout).forget();
    stage
        .input(CallInput::Link(LinkNotification::PartyConnected { conference, party }))
        .says("");
    is_as_it_was(&mut stage);
}

#[test]
fn who_is_added_and_hangs_up_at_once_has_not_been_there() {
    let mut stage = conferencing();
    // The connector has not brought the three together yet.
    stage.refuse = Some(0);
    stage.answers(CAROL).says(
        "carol EventEstablished a1 ConferenceMember Conferenced
         link: audio",
    );
    stage.hangs_up(CAROL).says(
        "carol EventReleased a1 ConferenceMember Ok
         only bob EventError* 233",
    );
    stage.catch_up().forget();
    is_as_it_was(&mut stage);
}

#[test]
fn a_target_that_answers_and_hangs_up_at_once_has_not_the_call() {
    let mut stage = transferring();
    stage.refuse = Some(0);
    stage.answers(CAROL).forget();
    stage.hangs_up(CAROL).says(
        "carol EventReleased a1 Destination > alice Origination Ok
         only bob EventError* 233",
    );
    stage.catch_up().forget();
    is_as_it_was(&mut stage);
}

#[test]
fn of_three_who_leaves_while_a_fourth_is_called_leaves_the_others_with_it() {
    let mut stage = Stage::conference();
    stage
        .with(OnCallWith::SingleStepConference, BOB, CONN, "dave")
        .forget()
        .hangs_up(ALICE)
        .says(
            "alice EventReleased a1 ConferenceMember Ok
             bob EventPartyDeleted a1 ConferenceMember > alice DeletedParty by alice DeletedBy Ok
             carol EventPartyDeleted a1 ConferenceMember > alice DeletedParty by alice DeletedBy Ok",
        );
    stage.declines(DAVE, 603).says(
        "dave EventReleased a1 ConferenceMember Busy
         only bob EventError* 233",
    );
    assert_eq!(stage.hearing(CONFERENCE), "bob<carol carol<bob");
    // Who asked for it takes the wish along.
    let mut stage = Stage::conference();
    stage
        .with(OnCallWith::SingleStepConference, BOB, CONN, "dave")
        .forget()
        .hangs_up(BOB)
        .says(
            "bob EventReleased a1 ConferenceMember Ok
             alice EventPartyDeleted a1 ConferenceMember > bob DeletedParty by bob DeletedBy Ok
             carol EventPartyDeleted a1 ConferenceMember > bob DeletedParty by bob DeletedBy Ok
             dave EventAbandoned a1 ConferenceMember Ok
             only bob EventError* 237
             link: release 4",
        );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
}

#[test]
fn a_target_that_declines_after_its_transferor_has_left_ends_the_call() {
    for (status, state) in [(486, "Busy"), (480, "NoAnswer")] {
        let mut stage = transferring();
        stage.hangs_up(BOB).forget().declines(CAROL, status).says(&format!(
            "carol EventReleased a1 Destination > alice Origination {state}
             alice EventReleased a1 Origination > carol Destination {state}
             link: release 1
             closed a1 answered
             finished"
        ));
    }
}

#[test]
fn one_of_two_who_leaves_while_a_third_is_called_ends_the_call() {
    let mut stage = Stage::talking();
    stage
        .with(OnCallWith::SingleStepConference, BOB, CONN, "carol")
        .forget()
        .hangs_up(BOB)
        .says(
            "bob EventReleased a1 Destination > alice Origination Ok
         alice EventReleased a1 Origination > bob Destination Ok
         carol EventAbandoned a1 ConferenceMember Ok
         only bob EventError* 237
         link: release 1
         link: release 3
         closed a1 answered
         finished",
        );
}

#[test]
fn who_does_not_talk_has_no_single_step() {
    let mut stage = Stage::talking();
    stage
        .with(OnCallWith::SingleStepTransfer, BOB, CONN, ALICE)
        .says("only bob EventError* 93");
    stage
        .with(OnCallWith::SingleStepTransfer, BOB, CONN, "nowhere")
        .says("only bob EventError* 71");
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage
        .with(OnCallWith::SingleStepTransfer, BOB, CONN, "carol")
        .says("only bob EventError* 496");
}

#[test]
fn a_ringing_call_is_redirected() {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    stage.forget().with(OnCallWith::RedirectCall, BOB, CONN, "carol").says(
        "bob EventReleased* a1 Destination > alice Origination by carol DeletedBy Redirected
         link: make 3 carol as alice
         link: release 2
         carol EventRinging a1 Destination > alice Origination by bob DeletedBy Redirected",
    );
    stage
        .with(OnCallWith::RedirectCall, CAROL, CONN, "bob")
        .says("only carol EventError* 93");
    stage
        .with(OnCallWith::RedirectCall, ALICE, CONN, "dave")
        .says("only alice EventError* 496");
    stage.answers(CAROL).says(
        "carol EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > carol Destination Ok",
    );
    stage
        .with(OnCallWith::RedirectCall, CAROL, CONN, "dave")
        .says("only carol EventError* 496");
}

#[test]
fn the_target_of_a_single_step_may_be_redirected_by_its_phone() {
    let mut stage = transferring();
    let (conference, party) = stage.at(CAROL);
    stage.forget().input(CallInput::Link(LinkNotification::PartyRedirected {
        conference,
        party,
        to: vec!["dave".into()],
    }));
    stage.says(
        "carol EventReleased a1 Destination > alice Origination by dave DeletedBy Forwarded
         link: make 4 dave as alice
         dave EventRinging a1 Destination > alice Origination by carol DeletedBy Forwarded",
    );
    stage.declines(CAROL, 302).answers(DAVE).says(
        "dave EventEstablished a1 Destination > alice Origination Ok
         link: audio
         bob EventReleased* a1 Destination > alice Origination by dave Destination Transferred 1stepTransfer
         alice EventPartyChanged a1 Origination > dave Destination by bob TransferredBy Transferred was a1
         link: release 2",
    );
}
