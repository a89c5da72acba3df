//! Calls that began separately become one: who is moved where, while a target rings too (reference ch. 9.6, 9.7; RFC 5589 s.7.6).

use super::stage::*;
use super::*;
use crate::link::TransferTarget;
use crate::request::{OnCall, OnCallWith, OnTwoCalls};

/// Bob's own phone in the call that a client made for him.
const OWN: PartyId = A;

impl Stage {
    /// Bob has dialled Carol on a second line, and she rings.
    fn second_line_rings(mut self) -> Self {
        let second = Self::calling(OTHER, SECOND, CallerId::Extension(BOB.into()), "carol");
        self.live.extend(second.live.clone());
        self.others.push(second);
        self
    }

    /// The same, as a client asked for it: Bob's phone has answered.
    fn second_line_made(mut self) -> Self {
        let mut second = Self::empty(OTHER, SECOND);
        let make = Make {
            user_data: KvList::new(),
            ..make_of(BOB, CAROL)
        };
        second.input(CallInput::Make(Box::new(make)));
        second.answers(BOB).forget();
        self.live.extend(second.live.clone());
        self.others.push(second);
        self
    }

    /// Bob has called Carol separately, and has brought Dave in.
    fn second_line_of_three(self) -> Self {
        let mut stage = self.second_line();
        let second = &mut stage.others[0];
        second
            .with(OnCallWith::SingleStepConference, BOB, OTHER, "dave")
            .answers(DAVE)
            .forget();
        stage.live.extend(stage.others[0].live.clone());
        stage.plans.extend(stage.others[0].plans.clone());
        stage
    }

    /// Erin is in the call of Alice and Bob too, who holds it.
    fn held_conference() -> Self {
        let mut stage = Self::talking();
        stage.with(OnCallWith::SingleStepConference, BOB, CONN, "erin").answers(ERIN);
        stage.on(OnCall::HoldCall, BOB, CONN).forget();
        stage
    }

    /// Bob's phone joins the call that it holds and the one that it dialled.
    fn refers_to_second_line(&mut self) -> &mut Self {
        let (conference, party) = (SECOND, OWN);
        self.refers_from((CONFERENCE, B), TransferTarget::Party { conference, party })
    }
}

/// What everybody is told when Bob has left Alice to Carol, who rings.
const HANDED_OVER: &str = "bob EventReleased c1 Origination > carol Destination Transferred
     bob EventReleased a1 Destination > alice Origination Transferred
     alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
     carol EventPartyChanged a1 Destination > alice Origination by bob TransferredBy Transferred was c1
     closed c1 cancelled";

#[test]
fn a_transfer_to_one_who_rings_moves_the_held_party_there() {
    for operation in [
        OnTwoCalls::CompleteTransfer,
        OnTwoCalls::MergeCalls(crate::MergeType::ForTransfer),
    ] {
        let mut stage = Stage::talking().second_line_made();
        stage.on(OnCall::HoldCall, BOB, CONN).forget();
        let told = HANDED_OVER.replacen("EventReleased", "EventReleased*", 1);
        stage.two(operation, BOB, CONN, OTHER).says(&format!(
            "absorb
             link: move 1 to 3
             {told}
             link: release 2
             link: release 1"
        ));
        assert_eq!(stage.hearing(SECOND), "carol<alice alice<carol");
        stage
            .answers(CAROL)
            .says("carol EventEstablished a1 Destination > alice Origination Ok");
        stage.hangs_up(ALICE);
        assert!(stage.call.is_finished());
    }
}

#[test]
fn a_phone_transfers_to_one_who_rings() {
    let mut stage = Stage::talking().second_line_rings();
    stage.holds_by_phone(BOB, true).forget();
    stage.refers_to_second_line().says(&format!(
        "absorb
         link: move 1 to 3
         link: progress 100
         {HANDED_OVER}
         link: progress 200
         link: release 2
         link: release 1 487"
    ));
    assert_eq!(stage.hearing(SECOND), "carol<alice alice<carol");
    stage
        .answers(CAROL)
        .says("carol EventEstablished a1 Destination > alice Origination Ok");
}

#[test]
fn one_who_declines_after_that_ends_the_call() {
    let mut stage = Stage::talking().second_line_rings();
    stage.holds_by_phone(BOB, true).refers_to_second_line().forget();
    stage.declines(CAROL, 603).says(
        "carol EventReleased a1 Destination > alice Origination Busy
         alice EventReleased a1 Origination > carol Destination Busy
         link: release 3
         closed a1 answered
         finished",
    );
}

#[test]
fn one_who_declines_meanwhile_leaves_the_held_call_as_it_was() {
    let mut stage = Stage::talking().second_line_rings();
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.refuse = Some(0);
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER).forget();
    // Alice is on her way to that conference: nobody leaves it before she has.
    stage.declines(CAROL, 486).says(
        "bob EventDestinationBusy c1 Origination > carol Destination Busy
         carol EventReleased c1 Destination > bob Origination Busy
         bob EventReleased c1 Origination > carol Destination Busy
         closed c1 busy
         only bob EventError* 237",
    );
    stage.refuse = None;
    stage.settle_move(false, false);
    stage.says(
        "link: move 3 to 3
         link: audio
         link: release 1 486
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "bob< alice<music");
    stage.on(OnCall::RetrieveCall, BOB, CONN).says(
        "link: audio
         bob EventRetrieved* a1 Destination > alice Origination Ok",
    );
}

#[test]
fn one_who_answers_meanwhile_is_talked_to_at_once() {
    let mut stage = Stage::talking().second_line_rings();
    stage.holds_by_phone(BOB, true).forget();
    stage.refuse = Some(0);
    stage.refers_to_second_line().forget();
    stage.live.get_mut(&(SECOND, OWN)).unwrap().connected = true;
    stage.answers(CAROL).says(
        "carol EventEstablished c1 Destination > bob Origination Ok
         bob EventEstablished c1 Origination > carol Destination Ok",
    );
    stage.refuse = None;
    stage.settle_move(false, false);
    stage.says(
        "link: progress 100
         link: audio
         bob EventReleased c1 Origination > carol Destination Transferred
         bob EventReleased a1 Destination > alice Origination Transferred
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         carol EventPartyChanged a1 Destination > alice Origination by bob TransferredBy Transferred was c1
         closed c1 answered
         link: progress 200
         link: release 2
         link: release 1",
    );
    assert_eq!(stage.hearing(SECOND), "carol<alice alice<carol");
}

#[test]
fn a_phone_that_cannot_be_moved_stays_on_hold() {
    let mut stage = Stage::talking().second_line_rings();
    stage.holds_by_phone(BOB, true).forget();
    stage.refuse = Some(488);
    stage.refers_to_second_line().says(
        "absorb
         link: move 1 to 3
         link: progress 481",
    );
    stage.refuse = None;
    stage.live.get_mut(&(SECOND, OWN)).unwrap().connected = true;
    stage.answers(CAROL).says(
        "carol EventEstablished c1 Destination > bob Origination Ok
         bob EventEstablished c1 Origination > carol Destination Ok",
    );
}

#[test]
fn a_move_that_nothing_comes_of_takes_nobody_along() {
    let mut stage = Stage::talking().second_line_made();
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.refuse = Some(0);
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER).forget();
    stage.now = stage.call.next_timeout().unwrap();
    stage.input(CallInput::Timeout).says(
        "link: release 3
         only bob EventError* 236",
    );
    stage.refuse = None;
    stage.on(OnCall::RetrieveCall, BOB, CONN).says(
        "link: audio
         bob EventRetrieved* a1 Destination > alice Origination Ok",
    );
}

#[test]
fn a_call_that_was_talked_on_is_the_main_call_of_one_that_rings() {
    // Bob dialled Carol first, and has then called Alice.
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(BOB.into()), "carol");
    let mut second = Stage::calling(OTHER, SECOND, CallerId::Extension(BOB.into()), "alice");
    second.answers(ALICE).forget();
    stage.live.extend(second.live.clone());
    stage.others.push(second);
    stage.forget();
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER).says(
        "absorb
         link: move 2 to 3
         bob EventReleased* a1 Origination > carol Destination Transferred
         bob EventReleased c1 Origination > alice Destination Transferred
         alice EventPartyChanged c1 Destination > carol Origination by bob TransferredBy Transferred was c1
         carol EventPartyChanged c1 Origination > alice Destination by bob TransferredBy Transferred was a1
         closed a1 cancelled
         link: release 1 487
         link: release 1",
    );
}

#[test]
fn a_conference_is_not_completed_with_one_who_rings() {
    let mut stage = Stage::talking().second_line_made();
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.two(OnTwoCalls::CompleteConference, BOB, CONN, OTHER).says(
        "absorb
         only bob EventError* 496",
    );
}

#[test]
fn a_phone_gives_only_its_own_ringing_call_away() {
    let mut stage = Stage::talking().second_line_rings();
    let target = TransferTarget::Party {
        conference: SECOND,
        party: B,
    };
    stage.refers_from((CONFERENCE, B), target.clone()).says(
        "absorb
         link: progress 403",
    );
    let mut stage = Stage::talking().second_line_rings();
    stage.with(OnCallWith::InitiateTransfer, ALICE, CONN, "dave").forget();
    stage.refers_to_second_line().says(
        "absorb
         link: progress 501",
    );
}

#[test]
fn who_was_moved_for_nothing_goes_back() {
    let mut stage = Stage::talking().second_line_made();
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.call.settings.user_data_limit_bytes = 20;
    stage.refuse = Some(0);
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER);
    for (conn_id, key) in [(CONN, "one"), (OTHER, "two")] {
        stage.ask(Request::AttachUserData {
            this_dn: BOB.into(),
            conn_id,
            user_data: [(key, "0123456789")].into_iter().collect(),
        });
    }
    stage.forget();
    stage.refuse = None;
    stage.settle_move(false, false);
    stage.says(
        "only bob EventError* 223
         link: move 3 to 3
         link: audio
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "bob< alice<music");
    assert_eq!(stage.hearing(SECOND), "bob<carol carol<bob");
}

#[test]
fn one_party_goes_to_a_conference_of_several() {
    for operation in [
        OnTwoCalls::CompleteConference,
        OnTwoCalls::MergeCalls(crate::MergeType::ForConference),
    ] {
        let mut stage = Stage::talking().second_line_of_three();
        stage.on(OnCall::HoldCall, BOB, CONN).forget();
        stage.two(operation, BOB, CONN, OTHER).says(
            "absorb
             link: move 1 to 4
             bob EventReleased* c1 ConferenceMember Conferenced
             bob EventRetrieved a1 ConferenceMember Conferenced
             alice EventPartyAdded a1 ConferenceMember > carol NewParty by bob AddedBy Conferenced
             alice EventPartyAdded a1 ConferenceMember > dave NewParty by bob AddedBy Conferenced
             bob EventPartyAdded a1 ConferenceMember > carol NewParty by bob AddedBy Conferenced
             bob EventPartyAdded a1 ConferenceMember > dave NewParty by bob AddedBy Conferenced
             carol EventPartyChanged a1 ConferenceMember by bob ConferencedBy Conferenced was c1
             dave EventPartyChanged a1 ConferenceMember by bob ConferencedBy Conferenced was c1
             closed c1 answered
             link: release 2",
        );
        assert_eq!(
            stage.hearing(SECOND),
            "bob<carol+dave+alice carol<bob+dave+alice dave<bob+carol+alice alice<bob+carol+dave"
        );
    }
}

#[test]
fn one_party_is_left_to_a_conference_of_several() {
    let mut stage = Stage::talking().second_line_of_three();
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER).says(
        "absorb
         link: move 1 to 4
         link: audio
         bob EventReleased* c1 ConferenceMember Transferred
         bob EventReleased a1 Destination > alice Origination Transferred
         alice EventPartyChanged a1 ConferenceMember by bob TransferredBy Transferred was a1
         carol EventPartyChanged a1 ConferenceMember by bob TransferredBy Transferred was c1
         dave EventPartyChanged a1 ConferenceMember by bob TransferredBy Transferred was c1
         closed c1 answered
         link: release 2
         link: release 1",
    );
    assert_eq!(stage.hearing(SECOND), "carol<dave+alice dave<carol+alice alice<carol+dave");
}

#[test]
fn two_conferences_become_one_party_by_party() {
    let mut stage = Stage::held_conference().second_line_of_three();
    stage.two(OnTwoCalls::CompleteConference, BOB, CONN, OTHER);
    assert_eq!(
        stage.lines[..4],
        ["absorb", "link: move 2 to 4", "link: move 3 to 5", "link: audio"]
    );
    assert!(stage.lines.iter().any(|line| line.starts_with("bob EventReleased* c1")));
    assert_eq!(
        stage.hearing(CONFERENCE),
        "alice<bob+erin+carol+dave bob<alice+erin+carol+dave erin<alice+bob+carol+dave carol<alice+bob+erin+dave \
         dave<alice+bob+erin+carol"
    );
}

#[test]
fn where_one_of_several_does_not_follow_all_stay_where_they_were() {
    let mut stage = Stage::held_conference().second_line_of_three();
    stage.refuse = Some(0);
    stage.two(OnTwoCalls::CompleteConference, BOB, CONN, OTHER);
    stage.settle_move(false, false);
    stage.forget();
    stage.settle_move(true, false);
    stage.refuse = None;
    assert_eq!(stage.lines.first().map(String::as_str), Some("only bob EventError* 1140"));
    assert_eq!(stage.lines.get(1).map(String::as_str), Some("link: move 4 to 4"));
    stage.settle_move(false, false);
    stage.catch_up();
    assert_eq!(stage.hearing(CONFERENCE), "alice<erin bob< erin<alice");
    assert_eq!(stage.hearing(SECOND), "bob<dave+carol dave<bob+carol carol<bob+dave");
}

#[test]
fn a_conference_is_left_to_one_who_rings() {
    let mut stage = Stage::held_conference().second_line_rings();
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER).says(
        "absorb
         link: move 1 to 3
         link: move 3 to 4
         link: audio
         bob EventReleased* c1 Origination > carol Destination Transferred
         bob EventReleased a1 ConferenceMember Transferred
         alice EventPartyChanged a1 ConferenceMember by bob TransferredBy Transferred was a1
         erin EventPartyChanged a1 ConferenceMember by bob TransferredBy Transferred was a1
         carol EventPartyChanged a1 ConferenceMember by bob TransferredBy Transferred was c1
         closed c1 cancelled
         link: release 2
         link: release 1 487
         link: audio",
    );
}

#[test]
fn a_conference_comes_back_from_one_who_declines() {
    let mut stage = Stage::held_conference().second_line_rings();
    stage.refuse = Some(0);
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER);
    stage.settle_move(false, false);
    stage.declines(CAROL, 603);
    stage.catch_up();
    stage.catch_up();
    assert_eq!(stage.hearing(CONFERENCE), "bob< alice<erin erin<alice");
    assert!(!stage.live.keys().any(|(conference, _)| *conference == SECOND));
}

#[test]
fn a_restart_in_the_middle_brings_the_rest_over() {
    let mut stage = Stage::held_conference().second_line_of_three();
    stage.refuse = Some(0);
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER);
    stage.settle_move(false, false);
    stage.refuse = None;
    assert!(stage.restart());
    stage.catch_up();
    assert_eq!(
        stage.hearing(CONFERENCE),
        "alice<erin+carol+dave erin<alice+carol+dave carol<alice+erin+dave dave<alice+erin+carol"
    );
}
