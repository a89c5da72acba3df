//! Conferences: completion, leaving, dropping, their end (reference ch. 9.3, 9.7, 9.11).

use super::stage::*;
use super::*;
use crate::request::{OnCallWith, OnTwoCalls};

#[test]
fn complete_conference_brings_all_together() {
    let mut stage = Stage::consulted();
    stage.two(OnTwoCalls::CompleteConference, BOB, CONN, CONSULT).says(
        "link: audio
         bob EventReleased* b1 Origination > carol Destination Conferenced
         bob EventRetrieved a1 ConferenceMember Conferenced
         alice EventPartyAdded a1 ConferenceMember > carol NewParty by bob AddedBy Conferenced
         bob EventPartyAdded a1 ConferenceMember > carol NewParty by bob AddedBy Conferenced
         carol EventPartyChanged a1 ConferenceMember by bob ConferencedBy Conferenced was b1
         closed b1 answered",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob+carol bob<alice+carol carol<alice+bob");
}

#[test]
fn who_is_muted_stays_so_in_the_conference_and_can_be_heard_again() {
    let mut stage = Stage::consulted();
    stage
        .on(OnCall::SetMuteOn, CAROL, CONSULT)
        .two(OnTwoCalls::CompleteConference, BOB, CONN, CONSULT);
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice carol<alice+bob");
    stage.forget().on(OnCall::SetMuteOff, CAROL, CONN).says(
        "link: audio
         carol EventMuteOff* a1 ConferenceMember Ok",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob+carol bob<alice+carol carol<alice+bob");
}

#[test]
fn a_conference_with_a_target_that_rings_is_not_complete() {
    let mut stage = Stage::consulting();
    stage
        .two(OnTwoCalls::CompleteConference, BOB, CONN, CONSULT)
        .says("only bob EventError* 496");
}

#[test]
fn who_leaves_is_told_to_the_others_and_two_are_still_a_call() {
    let mut stage = Stage::conference();
    stage.release(BOB, CONN).says(
        "bob EventReleased* a1 ConferenceMember Ok
         alice EventPartyDeleted a1 ConferenceMember > bob DeletedParty by bob DeletedBy Ok
         carol EventPartyDeleted a1 ConferenceMember > bob DeletedParty by bob DeletedBy Ok
         link: release 2",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
    stage.hangs_up(CAROL).says(
        "carol EventReleased a1 ConferenceMember > alice ConferenceMember Ok
         alice EventReleased a1 ConferenceMember > carol ConferenceMember Ok
         link: release 1
         closed a1 answered
         finished",
    );
}

#[test]
fn one_party_drops_another_one() {
    let mut stage = Stage::conference();
    stage
        .with(OnCallWith::DeleteFromConference, ALICE, CONN, "dave")
        .says("only alice EventError* 470");
    stage.with(OnCallWith::DeleteFromConference, ALICE, CONN, "2002").says(
        "carol EventReleased a1 ConferenceMember Ok
         alice EventPartyDeleted* a1 ConferenceMember > carol DeletedParty by alice DeletedBy Ok
         bob EventPartyDeleted a1 ConferenceMember > carol DeletedParty by alice DeletedBy Ok
         link: release 3",
    );
    stage.with(OnCallWith::DeleteFromConference, ALICE, CONN, BOB).says(
        "alice EventReleased* a1 ConferenceMember > bob ConferenceMember Ok
         bob EventReleased a1 ConferenceMember > alice ConferenceMember Ok
         link: release 1
         link: release 2
         closed a1 answered
         finished",
    );
    let mut stage = Stage::conference();
    stage.with(OnCallWith::DeleteFromConference, BOB, CONN, BOB).says(
        "bob EventReleased* a1 ConferenceMember Ok
         alice EventPartyDeleted a1 ConferenceMember > bob DeletedParty by bob DeletedBy Ok
         carol EventPartyDeleted a1 ConferenceMember > bob DeletedParty by bob DeletedBy Ok
         link: release 2",
    );
}

#[test]
fn clear_call_ends_a_conference_for_everybody() {
    let mut stage = Stage::conference();
    stage
        .ask(Request::ClearCall {
            this_dn: CAROL.into(),
            conn_id: CONN,
            reasons: KvList::new(),
        })
        .says(
            "carol EventReleased* a1 ConferenceMember Ok
             alice EventReleased a1 ConferenceMember Cleared
             bob EventReleased a1 ConferenceMember Cleared
             link: release 1
             link: release 2
             link: release 3
             closed a1 answered
             finished",
        );
}

#[test]
fn a_member_transfers_its_part_of_a_conference() {
    let mut stage = Stage::conference();
    stage.with(OnCallWith::InitiateTransfer, CAROL, CONN, "dave").says(
        "link: audio
         carol EventHeld a1 ConferenceMember Ok
         opened b3
         carol EventDialing* b3 Origination > dave Destination Ok transfers a1
         link: make 4 dave as carol
         dave EventRinging b3 Destination > carol Origination Ok was a1",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice carol<dave dave<carol");
    stage.answers(DAVE).forget();
    stage.two(OnTwoCalls::CompleteTransfer, CAROL, CONN, ConnId(0xb03)).says(
        "link: audio
         carol EventReleased* b3 Origination > dave Destination Transferred
         carol EventReleased a1 ConferenceMember Transferred
         alice EventPartyChanged a1 ConferenceMember by carol TransferredBy Transferred was a1
         bob EventPartyChanged a1 ConferenceMember by carol TransferredBy Transferred was a1
         dave EventPartyChanged a1 ConferenceMember by carol TransferredBy Transferred was b3
         closed b3 answered
         link: release 3",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob+dave bob<alice+dave dave<alice+bob");
}

#[test]
fn a_call_has_so_many_parties_and_no_more() {
    let mut stage = Stage::conference();
    stage.call.settings.parties_max = 3;
    stage
        .with(OnCallWith::SingleStepConference, BOB, CONN, "dave")
        .says("only bob EventError* 111");
    stage
        .with(OnCallWith::InitiateConference, BOB, CONN, "dave")
        .says("only bob EventError* 111");
}

#[test]
fn every_call_shows_in_the_summary() {
    let stage = Stage::consulted();
    let conns: Vec<ConnId> = stage.call.conn_ids().collect();
    assert_eq!(conns, [CONN, CONSULT]);
    let summary = stage.call.summary(CONSULT, stage.now).unwrap();
    let parties: Vec<_> = summary.parties.iter().map(|party| (party.dn.user(), party.state)).collect();
    assert_eq!(parties, [("bob", PartyState::Connected), ("carol", PartyState::Connected)]);
    assert_eq!(summary.call_type, CallType::Consult);
}

#[test]
fn a_lost_link_ends_every_call_of_the_group() {
    let mut stage = Stage::consulted();
    stage.input(CallInput::LinkLost).says(
        "alice EventReleased a1 Origination > bob Destination SystemError
         bob EventReleased a1 Destination > alice Origination SystemError
         closed a1 answered
         bob EventReleased b1 Origination > carol Destination SystemError
         carol EventReleased b1 Destination > bob Origination SystemError
         closed b1 answered
         finished",
    );
}
