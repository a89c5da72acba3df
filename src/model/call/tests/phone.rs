//! What phones do themselves: REFER, Replaces, 3xx. The same flows without ReferenceIDs.

use super::stage::*;
use super::*;
use crate::link::{ForwardReason, Forwarded, Headers, TransferTarget};
use crate::request::OnCallWith;

pub(super) fn to(address: &str) -> TransferTarget {
    let (to, referred_by) = (address.into(), None);
    TransferTarget::Address { to, referred_by }
}

impl Stage {
    /// The conference lets the phone know.
    pub(super) fn transfer_goes_on(&mut self, conference: ConferenceId, status: u16) -> Vec<LinkNotification> {
        if status < 200 {
            self.transfers.insert(conference);
            return Vec::new();
        }
        let was_open = self.transfers.remove(&conference);
        self.ended(conference).filter(|_| was_open).into_iter().collect()
    }
}

#[test]
fn a_blind_transfer_is_told_to_the_phone_step_by_step() {
    let mut stage = Stage::talking();
    stage.refers(BOB, to("carol")).says(
        "link: audio
         link: make 3 carol as alice
         link: progress 100
         carol EventRinging a1 Destination > alice Origination by bob TransferredBy Transferred
         link: progress 180",
    );
    stage.answers(CAROL).says(
        "carol EventEstablished a1 Destination > alice Origination Ok
         link: audio
         bob EventReleased a1 Destination > alice Origination by carol Destination Transferred 1stepTransfer
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         link: progress 200
         link: release 2",
    );
}

#[test]
fn phones_that_hold_first_and_hang_up_at_once_transfer_too() {
    let mut stage = Stage::talking();
    stage
        .holds_by_phone(BOB, true)
        .refers(BOB, to("sip:carol@tandem.local"))
        .forget();
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob< carol<");
    stage.hangs_up(BOB).says(
        "bob EventReleased a1 Destination > alice Origination by carol Destination Transferred 1stepTransfer
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         link: progress 200
         link: audio",
    );
    stage
        .answers(CAROL)
        .says("carol EventEstablished a1 Destination > alice Origination Ok");
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
}

/// Many hang up as soon as their REFER is accepted: it is when the target is called, and what becomes of it is between the other two.
#[test]
fn a_blind_transfer_is_accepted_when_the_target_is_called() {
    let mut stage = Stage::talking();
    stage.refuse = Some(0);
    stage.refers(BOB, to("carol")).says("link: audio");
    stage.catch_up().says(
        "link: make 3 carol as alice
         link: progress 100
         carol EventRinging a1 Destination > alice Origination by bob TransferredBy Transferred
         link: progress 180",
    );
    let mut stage = Stage::talking();
    stage.refuse = Some(488);
    stage.refers(BOB, to("carol")).says(
        "link: audio
         link: progress 500",
    );
}

#[test]
fn a_blind_transfer_that_fails_is_told_to_the_phone_which_stays() {
    let mut stage = Stage::talking();
    stage.refers(BOB, to("carol")).forget().declines(CAROL, 486).says(
        "carol EventReleased a1 Destination > alice Origination Busy
         link: progress 486",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
    stage
        .refers(BOB, to("nobody"))
        .refers(BOB, to("bob"))
        .refers(BOB, to("alice"))
        .says(
            "link: progress 404
         link: progress 486
         link: progress 486",
        );
}

#[test]
fn the_dial_plan_holds_for_transfers_of_those_outside() {
    let mut stage = Stage::talking_to_outside();
    let outside = (CONFERENCE, A);
    stage.refers_from(outside, to("030555")).says("link: progress 403");
    stage
        .refers_from((CONFERENCE, PartyId(9)), to("carol"))
        .says("link: progress 481");
    stage.refers_from(outside, to("carol")).says(
        "link: audio
         link: make 3 carol as bob
         link: progress 100
         carol EventRinging a1 Origination > bob Destination by +4930123 TransferredBy Transferred
         link: progress 180",
    );
}

#[test]
fn an_attended_transfer_of_two_lines_absorbs_and_moves() {
    let mut stage = Stage::talking().second_line();
    stage.holds_by_phone(BOB, true).forget();
    // The newest device of Bob is that of the second line; the transfer is asked for on the first.
    let target = TransferTarget::Party {
        conference: SECOND,
        party: A,
    };
    stage.refers_from((CONFERENCE, B), target).says(
        "absorb
         link: move 2 to 3
         link: progress 100
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
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
}

/// Many hang up as soon as their REFER is accepted, in one call or both: it is when all are in one place, and nobody goes with them.
#[test]
fn an_attended_transfer_is_accepted_when_nobody_is_on_the_way_any_more() {
    let (first, second) = ((CONFERENCE, B), (SECOND, A));
    for (refers, other) in [(first, second), (second, first)] {
        for leaves in [&[first][..], &[second], &[first, second], &[second, first]] {
            let mut stage = Stage::talking().second_line();
            stage.holds_by_phone_at(first, true);
            if refers == second {
                // Her group takes his in.
                let mut group = stage.others.remove(0);
                group.live.extend(stage.live.clone());
                group.others.push(stage);
                stage = group;
            }
            stage.forget().refuse = Some(0);
            let (conference, party) = other;
            stage
                .refers_from(refers, TransferTarget::Party { conference, party })
                .says("absorb\nlink: move 2 to 3");
            stage.settle_move(false, false);
            stage.says("link: progress 100\nlink: audio");
            for at in leaves {
                stage.leaves_from(*at, Cause::normal(ReleasedBy::Device));
            }
            let told: Vec<String> = std::mem::take(&mut stage.lines);
            let told: Vec<&str> = told
                .iter()
                .map(|line| line.trim())
                .filter(|line| !line.starts_with("link: release"))
                .collect();
            let transferred = [
                "bob EventReleased c1 Origination > carol Destination Transferred",
                "bob EventReleased a1 Destination > alice Origination Transferred",
                "alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1",
                "carol EventPartyChanged a1 Destination > alice Origination by bob TransferredBy Transferred was c1",
                "closed c1 answered",
                "link: progress 200",
            ];
            if leaves.contains(&first) {
                // Nobody waits for the audio.
                assert_eq!(told, transferred, "{refers:?} {leaves:?}");
                stage.catch_up();
            } else {
                assert_eq!(told, [""; 0], "{refers:?} {leaves:?}");
                stage.catch_up();
                assert!(stage.lines.ends_with(&["link: release 2".to_owned()]), "{:?}", stage.lines);
            }
            stage.forget();
            assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice", "{refers:?} {leaves:?}");
            stage.hangs_up(CAROL);
            assert!(stage.call.is_finished());
        }
    }
}

#[test]
fn nobody_gives_anothers_call_away() {
    let mut stage = Stage::talking().second_line();
    let target = TransferTarget::Party {
        conference: SECOND,
        party: B,
    };
    stage.refers_from((CONFERENCE, A), target).says(
        "absorb
         link: progress 403",
    );
    let target = TransferTarget::Party {
        conference: ConferenceId(99),
        party: A,
    };
    stage.refers_from((CONFERENCE, A), target).says(
        "absorb
         link: progress 481",
    );
}

fn redirect(stage: &mut Stage, dn: &str, to: &[&str]) {
    let (conference, party) = stage.at(dn);
    stage.input(CallInput::Link(LinkNotification::PartyRedirected {
        conference,
        party,
        to: to.iter().map(|to| (*to).into()).collect(),
    }));
    stage.declines(dn, 302);
}

#[test]
fn a_phone_that_forwards_hands_the_call_on() {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    stage.forget();
    redirect(&mut stage, BOB, &["nowhere", "sip:carol@tandem.local"]);
    stage.says(
        "bob EventReleased a1 Destination > alice Origination by carol DeletedBy Forwarded
         link: make 3 carol as alice
         carol EventRinging a1 Destination > alice Origination by bob DeletedBy Forwarded",
    );
    stage.answers(CAROL).says(
        "carol EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > carol Destination Ok",
    );
}

/// The headers of each leg that was made since the last time.
fn headers_of_legs(stage: &Stage) -> Vec<Headers> {
    let made = stage.out.iter().filter_map(|output| match output {
        CallOutput::Link(LinkRequest::MakeParty(make)) => Some(make.headers.clone()),
        _ => None,
    });
    made.collect()
}

#[test]
fn the_target_of_a_transfer_is_told_who_the_phone_says_asks_for_it() {
    let by = "\"Bob\" <sip:bob@tandem.local>";
    let mut stage = Stage::talking();
    stage.forget();
    let (to, referred_by) = ("carol".into(), Some(by.into()));
    stage.refers(BOB, TransferTarget::Address { to, referred_by });
    assert_eq!(headers_of_legs(&stage), [vec![("Referred-By".into(), by.into())]]);
    // It has the call forwarded: the call is still the one that was asked for.
    stage.forget();
    redirect(&mut stage, CAROL, &["dave"]);
    let headers = headers_of_legs(&stage);
    assert!(
        headers.len() == 1 && headers[0].contains(&("Referred-By".into(), by.into())),
        "{headers:?}"
    );
    // What a desktop asks for is the server's own doing: nobody refers.
    let mut stage = Stage::talking();
    stage.forget().with(OnCallWith::SingleStepTransfer, BOB, CONN, "carol");
    assert_eq!(headers_of_legs(&stage), [vec![]]);
}

#[test]
fn a_forwarded_leg_says_who_forwarded_it() {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    redirect(&mut stage, BOB, &["carol"]);
    let headers: Vec<_> = stage
        .out
        .iter()
        .filter_map(|output| match output {
            CallOutput::Link(LinkRequest::MakeParty(make)) => Some(make.forwarded.clone()),
            _ => None,
        })
        .collect();
    let bob = Forwarded {
        by: BOB.into(),
        reason: ForwardReason::Deflection,
    };
    assert_eq!(headers, [vec![], vec![bob]]);
}

#[test]
fn a_phone_that_has_not_rung_forwards_whatever_comes() {
    for (rings, reason) in [(false, ForwardReason::Unconditional), (true, ForwardReason::Deflection)] {
        let mut rig = Rig::dialled("bob");
        rig.created(B);
        if rings {
            rig.alerting(B);
        }
        rig.forget().input(CallInput::Link(LinkNotification::PartyRedirected {
            conference: CONFERENCE,
            party: B,
            to: vec!["0301234".into()],
        }));
        let forwarded = rig.out.iter().find_map(|output| match output {
            CallOutput::Link(LinkRequest::MakeParty(make)) => make.forwarded.first().map(|one| one.reason),
            _ => None,
        });
        assert_eq!(forwarded, Some(reason));
    }
}

#[test]
fn a_call_that_goes_round_fails() {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    redirect(&mut stage, BOB, &["carol"]);
    stage.forget();
    redirect(&mut stage, CAROL, &["bob", "alice", "carol"]);
    stage.says(
        "carol EventReleased a1 Destination > alice Origination GeneralError
         alice EventReleased a1 Origination > carol Destination GeneralError
         link: release 1 480
         closed a1 failed
         finished",
    );
}

fn taking_the_place_of(dn: &str, stage: &Stage, by: &str) -> CallOffered {
    let mut offered = offered_from(CallerId::Extension(by.into()), "whatever");
    offered.conference = SECOND;
    offered.replaces = Some(stage.at(dn));
    offered
}

pub(super) fn take_place(stage: &mut Stage, dn: &str, by: &str) {
    let offered = taking_the_place_of(dn, stage, by);
    stage.live.insert((SECOND, A), Fake::new(by.into(), false));
    stage.input(CallInput::Link(LinkNotification::CallOffered(offered)));
}

#[test]
fn a_ringing_call_is_picked_up() {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    stage.forget();
    take_place(&mut stage, BOB, CAROL);
    stage.says(
        "carol EventRinging a1 Destination > alice Origination by bob Destination Pickedup
         link: connect 1
         link: move 1 to 3
         link: connect 1
         link: audio
         bob EventReleased a1 Destination > alice Origination by carol Destination Pickedup
         carol EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > carol Destination Ok
         link: release 2 reason=SIP;cause=200;text=\"Call completed elsewhere\"",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol carol<alice");
    stage.hangs_up(ALICE);
    assert!(stage.call.is_finished());
}

#[test]
fn a_move_that_is_overtaken_by_the_end_of_the_call_leaves_nobody_behind() {
    for fails in [false, true] {
        let mut stage = Stage::talking().second_line();
        stage.holds_by_phone(BOB, true);
        stage.refuse = Some(0);
        let target = TransferTarget::Party {
            conference: SECOND,
            party: A,
        };
        stage.refers_from((CONFERENCE, B), target).forget();
        stage.leaves_from((CONFERENCE, A), Cause::normal(ReleasedBy::Device)).says(
            "alice EventReleased a1 Origination > bob Destination Ok
             bob EventReleased a1 Destination > alice Origination Ok
             closed a1 answered
             link: progress 481",
        );
        // The connector takes along whoever is left of two.
        stage.leaves_from((CONFERENCE, B), Cause::normal(ReleasedBy::Server));
        // The conference that it was to go to is gone, and the leg with it.
        stage.settle_move(fails, fails);
        stage.says(
            "carol EventReleased c1 Destination > bob Origination Dropped
             bob EventReleased c1 Origination > carol Destination Ok
             link: release 1
             closed c1 answered
             finished",
        );
    }
}

#[test]
fn another_phone_takes_the_place_of_one_that_talks() {
    let mut stage = Stage::talking();
    take_place(&mut stage, BOB, CAROL);
    stage.says(
        "carol EventRinging a1 Destination > alice Origination by bob TransferredBy Transferred
         link: connect 1
         link: move 1 to 3
         link: audio
         bob EventReleased a1 Destination > alice Origination by carol Destination Transferred
         carol EventEstablished a1 Destination > alice Origination Ok
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         link: release 2",
    );
}

#[test]
fn what_became_of_a_consultation_is_no_reason_to_give_the_phone_later() {
    let mut stage = Stage::consulting();
    stage.declines(CAROL, 486).forget();
    take_place(&mut stage, BOB, BOB);
    stage.says(
        "link: connect 1
         link: move 1 to 4
         link: audio
         bob EventRetrieved a1 Destination > alice Origination Ok
         link: release 2",
    );
}

#[test]
fn who_replaces_nobody_is_refused() {
    let mut stage = Stage::talking();
    let mut offered = taking_the_place_of(BOB, &stage, CAROL);
    offered.replaces = Some((CONFERENCE, PartyId(77)));
    stage.live.insert((SECOND, A), Fake::new(CAROL.into(), false));
    stage
        .input(CallInput::Link(LinkNotification::CallOffered(offered)))
        .says("link: release 1 481");
    let mut stage = Stage::talking();
    take_place(&mut stage, BOB, ALICE);
    stage.says("link: release 1 486");
    stage.hangs_up(BOB);
    assert!(stage.call.is_finished());
}

#[test]
fn a_party_that_is_gone_meanwhile_cannot_be_replaced() {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    let offered = taking_the_place_of(BOB, &stage, CAROL);
    stage.hangs_up(ALICE).forget();
    stage
        .input(CallInput::Link(LinkNotification::CallOffered(offered)))
        .says("link: release all");
}
