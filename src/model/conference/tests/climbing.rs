//! The way to the media plane and back, one transition each; and what the plane says of ports.

use super::super::plan::is_plain_talk;
use super::table::{ALONE, CALLING, OFFERED, PASSED, TALK, THIRD_CALLED, check};
use crate::PartyId;
use crate::link::{AudioPlan, AudioSource, Hearing};

const CLIMBING: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> audio 1 0=music";
const HALF: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> audio 1 0=music\n> 0: re-answered a2";
const ANCHORED: &str =
    "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> audio 1 0=1 1=-\n> 0: re-answered a2\n> 1: re-answered b2";
const HOLDING: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: held bh";
const LATE_REOFFER: &str = "> set anchored\n> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered";
const DESCENDING: &str = "> set descend\n> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> digits 1 0 5\n> 0: re-answered a2\n\
    > 1: re-answered b2\n> wait 9000";
const ASKED: &str = "> set descend\n> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> digits 1 0 5\n> 0: re-answered a2\n\
    > 1: re-answered b2\n> wait 9000\n> 0: re-answered a3";

#[test]
fn a_climb_waits_for_the_exchange_under_way_and_for_every_leg() {
    check(&[
        (PASSED, "audio 1 0=music", ""),
        (
            "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered b2\n> audio 1 0=music",
            "0: re-answered a2",
            "0: ACK; 1: re-200 a2; 0: re-INVITE PLANE; 1: re-INVITE PLANE",
        ),
        (CLIMBING, "0: re-answered a2", "0: ACK; 0 hears 1"),
        (HALF, "1: re-answered b2", "1: ACK; 0 hears music; * done 1"),
        (HALF, "1: reoffered b2", "1: re-491"),
        (HALF, "0: reoffered a3", "0: re-200 PLANE"),
        (HALF, "1: re-failed 491", "1: re-INVITE PLANE"),
        (
            HALF,
            "1: re-failed 488",
            "* failed 1 488; 0: re-INVITE b; 1 closed; 0 hears -",
        ),
        (CLIMBING, "1: re-failed 488", "1 closed"),
        (CLIMBING, "1: acked", ""),
        (
            "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> audio 1 0=music\n> audio 2\n> 0: re-answered a2",
            "1: re-failed 488",
            "* failed 1 488; 0: re-INVITE b; 1 closed; 0 hears -; * done 2",
        ),
    ]);
}

#[test]
fn a_caller_that_has_the_answer_of_another_device_climbs_when_it_is_connected() {
    let early = "> offered 0 a\n> make 1 b\n> 1: progress 183 e";
    check(&[(early, "connect 0", "0: 200 PLANE; * connected 0; 0: re-INVITE PLANE")]);
}

#[test]
fn a_caller_of_the_plane_changes_its_offer_before_the_answer() {
    let ringing = "> set anchored\n> offered 0 a\n> make 1 b\n> 1: progress 183 e";
    let changed = "> set anchored\n> offered 0 a\n> make 1 b\n> 1: progress 183 e\n> 0: reoffered a2\n> 0: acked";
    let answered = format!("{changed}\n> 1: answered");
    let refused = "> set anchored\n> offered 0 a\n> make 1 b\n> 1: progress 183 e\n> 0: reoffered a2\n> 0: refused";
    check(&[
        (ringing, "0: reoffered a2", "0: re-200 PLANE"),
        (ringing, "0: held a2", "0: re-200 PLANE"),
        (
            changed,
            "1: answered",
            "1: ACK; 0: 200 PLANE; * connected 1; * connected 0; 1 hears 0",
        ),
        (&answered, "0: acked", ""),
        (
            &answered,
            "0: refused",
            "* released 0 Network 488; 1: BYE; * released 1 Server; 1 closed; 0 closed; * ended",
        ),
        (
            refused,
            "1: answered",
            "1: ACK; 0: 200 PLANE; * connected 1; * connected 0; 1 hears 0",
        ),
        (refused, "0: reoffered a3", "0: re-200 PLANE"),
    ]);
}

#[test]
fn a_device_resumes_when_the_other_one_has_followed() {
    let resumes = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: held bh\n> 1: acked\n> 0: re-failed 488\n\
                   > 1: re-answered b+held\n> 1: reoffered b3";
    check(&[
        (resumes, "0: re-answered a3", "0: ACK; 1: re-200 a3; * resumed 1"),
        (resumes, "0: re-failed 488", "1: re-488"),
    ]);
}

#[test]
fn a_party_that_came_for_nothing_is_released() {
    let called = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> make 2 c\n> 1: re-answered b2";
    check(&[(
        called,
        "0: re-failed 488",
        "1: re-INVITE a; 2: CANCEL; * released 2 Network 488; 0 closed; 2 closed; 1 hears -",
    )]);
}

#[test]
fn who_goes_back_is_told_of_only_where_it_has_moved() {
    let back = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered b2\n> 0: re-answered a2\n> 1: acked\n> audio 1 \
                0=music\n> 1: re-answered x\n> 0: re-failed 488";
    check(&[
        (back, "1: re-answered b2+x", "1: ACK; 1 closed"),
        (back, "1: re-answered b3", "1: ACK; 0: re-INVITE b3; 1 closed"),
    ]);
}

#[test]
fn who_answered_one_that_held_is_not_offered_as_deaf_on_the_way_back() {
    let back = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered b2\n> 0: re-answered a/recvonly\n> 1: acked\n\
                > audio 1 0=music\n> 1: re-answered x";
    check(&[(
        back,
        "0: re-failed 488",
        "* failed 1 488; 1: re-INVITE a; 0 closed; 1 hears -",
    )]);
}

#[test]
fn a_climb_succeeds_when_who_refused_is_gone() {
    let refuser_gone = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> make 2 c\n> 2: answered c\n> audio 1 0=2\n> 1: \
                        re-failed 488\n> release 1";
    check(&[(refuser_gone, "0: re-answered a2", "0: ACK; 0 hears 2; 2 hears -; * done 1")]);
}

#[test]
fn who_stays_behind_among_three_is_released() {
    let three = "> make 0 a\n> 1: answered a\n> make 1 b\n> 1: reoffered a2\n> make 2 c\n> 3: answered c\n> 2: answered b";
    check(&[(
        three,
        "2: re-failed 488",
        "2: BYE; * released 1 Network 488; 2 closed; 1 hears 3; 3 hears 1",
    )]);
}

#[test]
fn a_device_that_holds_leaves_the_pair() {
    check(&[
        (TALK, "1: held bh", "1: re-200 PLANE; * held 1; 0: re-INVITE PLANE"),
        (PASSED, "1: held bh", "1: re-491"),
        (HOLDING, "1: held bh", "1: re-200 PLANE"),
        (HOLDING, "1: reoffered b", "1: re-200 PLANE; * resumed 1; 1 hears 0"),
        (HOLDING, "1: reoffered", "1: re-200 PLANE"),
        (HOLDING, "0: re-answered a2", "0: ACK; 0 hears music"),
        (ANCHORED, "0: held ah", "0: re-200 PLANE; * held 0; 0 hears -"),
        (
            "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered\n> 0: re-answered a2",
            "1: acked b-hold",
            "0: ACK b-hold; * held 1; 0: re-INVITE PLANE; 1: re-INVITE PLANE",
        ),
        (ALONE, "1: held ah", "1: re-200 PLANE; * held 0"),
        (
            "> make 0 a1\n> 1: answered a\n> make 1 b\n> 1: held ah",
            "2: answered b",
            "2: ACK; * connected 1; 2: re-INVITE PLANE",
        ),
    ]);
}

#[test]
fn a_late_offer_of_a_device_is_answered_in_the_ack() {
    check(&[
        (LATE_REOFFER, "1: reoffered b3", "1: re-491"),
        (LATE_REOFFER, "1: acked b3", ""),
        (LATE_REOFFER, "1: acked b3-hold", "* held 1; 0 hears music; 1 hears -"),
        (
            "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: held bh\n> 0: re-answered a2\n> 1: acked\n> 1: reoffered",
            "1: acked b3",
            "* resumed 1; 0 hears 1; 1 hears 0",
        ),
        (
            LATE_REOFFER,
            "1: acked",
            "1: BYE; * released 1 Network 488; 0: BYE; * released 0 Server; 1 closed; 0 closed; * ended",
        ),
    ]);
}

#[test]
fn a_caller_hears_more_than_ringing_before_it_is_answered() {
    let called = "> set anchored\n> offered 0 a\n> make 1 b";
    check(&[
        (called, "1: progress 180", "* alerting 1; 0: 180"),
        (called, "1: progress 183 e", "* alerting 1; 0: 183 PLANE; 0 hears 1"),
        (OFFERED, "audio 1 0=music", "0: 183 PLANE; 0 hears music; * done 1"),
        ("> offered 0", "audio 1 0=music", "* done 1"),
        (
            "> offered 0 a\n> audio 1 0=music",
            "make 1 b",
            "1: INVITE b PLANE; * created 1",
        ),
        (
            "> offered 0 a\n> audio 1 0=music\n> make 1 b",
            "1: answered b",
            "1: ACK; 0: 200 PLANE; * connected 1; * connected 0",
        ),
        (
            "> offered 0 a\n> make 1 b\n> audio 1 0=music",
            "1: answered b",
            "1: ACK; 0: 200 PLANE; * connected 1; * connected 0; 1: re-INVITE PLANE",
        ),
        (
            "> offered 0 a\n> make 1 b\n> 1: progress 183 e\n> audio 1 0=busy",
            "1: answered b",
            "1: ACK; 0: 200 b; * connected 1; * connected 0; 0: re-INVITE PLANE; 1: re-INVITE PLANE",
        ),
        ("> set anchored\n> offered 0", "make 1 b", "1: INVITE b PLANE; * created 1"),
        (
            "> set anchored\n> offered 0\n> make 1 b",
            "1: answered b",
            "1: ACK; 0: 200 PLANE; * connected 1; * connected 0; 0 hears 1; 1 hears 0",
        ),
    ]);
}

#[test]
fn a_third_party_call_stays_with_the_plane_where_that_is_needed() {
    check(&[
        ("> set anchored", "make 0 a", "1: INVITE a PLANE; * created 0"),
        (
            "> make 0 a1\n> 1: answered a\n> 1: reoffered a2",
            "make 1 b",
            "2: INVITE b a2; * created 1",
        ),
        (
            "> make 0 a1\n> 1: answered a\n> 1: held a2",
            "make 1 b",
            "2: INVITE b PLANE; * created 1",
        ),
        (
            "> make 0 a1\n> 1: answered a\n> make 1 b\n> 1: reoffered a2",
            "2: answered b",
            "2: ACK; * connected 1; 2: re-INVITE PLANE; 1 hears 2",
        ),
        (
            "> make 0 a1\n> 1: answered a\n> make 1 b\n> 1: reoffered a+2",
            "2: answered b",
            "2: ACK; 1: re-INVITE b; * connected 1",
        ),
        (THIRD_CALLED, "audio 1 0=music", "1 hears music; * done 1"),
        (
            "> make 0 a1\n> 1: answered a\n> make 1 b\n> audio 1 0=music",
            "2: answered b",
            "2: ACK; * connected 1; 2: re-INVITE PLANE",
        ),
        (
            "> make 0 a1\n> 1: answered a\n> audio 1 0=music",
            "make 1 b",
            "2: INVITE b PLANE; * created 1",
        ),
    ]);
}

#[test]
fn the_way_down_ends_at_the_pair_or_where_it_began() {
    check(&[
        (DESCENDING, "0: re-answered a3", "1: re-INVITE a3"),
        (DESCENDING, "0: re-answered", "0: ACK"),
        (DESCENDING, "0: re-failed 488", ""),
        (DESCENDING, "0: reoffered a4", "0: re-491"),
        (DESCENDING, "1: held bh", "1: re-491"),
        (
            DESCENDING,
            "1: ended",
            "* released 1 Device; 0: BYE; * released 0 Server; 0 closed; 1 closed; * ended",
        ),
        (ASKED, "1: re-answered b3", "1: ACK; 0: ACK b3; 0 closed; 1 closed"),
        (ASKED, "1: re-answered", "1: ACK; 0: ACK PLANE; 1: re-INVITE PLANE"),
        (ASKED, "1: re-failed 488", "0: ACK PLANE"),
        (
            ASKED,
            "release 0",
            "0: ACK (inactive); 0: BYE; * released 0 Server; 1: BYE; * released 1 Server; 0 closed; 1 closed; * ended",
        ),
        (ASKED, "audio 2 0=music", ""),
    ]);
}

#[test]
fn who_is_left_of_a_descent_stays_with_the_plane() {
    let asked = format!("{ASKED}\n> make 2 c");
    let descending = format!("{DESCENDING}\n> make 2 c");
    let first_gone = format!("{asked}\n> 0: ended");
    let second_gone = format!("{descending}\n> 1: ended");
    check(&[
        (&asked, "1: ended", "* released 1 Device; 0: ACK PLANE; 1 closed; 0 hears -"),
        (&asked, "0: ended", "* released 0 Device; 0 closed; 1 hears -"),
        (&first_gone, "1: re-answered b3", "1: ACK; 1: re-INVITE PLANE"),
        (&first_gone, "1: re-failed 488", ""),
        (&descending, "0: ended", "* released 0 Device; 0 closed; 1 hears -"),
        (&descending, "1: ended", "* released 1 Device; 1 closed; 0 hears -"),
        (&second_gone, "0: re-answered a3", "0: ACK PLANE"),
        (&second_gone, "0: re-failed 488", ""),
    ]);
}

#[test]
fn what_the_plane_cannot_serve_is_as_it_was_before() {
    check(&[
        (HOLDING, "1: refused", "* resumed 1; 1 closed"),
        (
            ANCHORED,
            "0: refused",
            "0: BYE; * released 0 Network 488; 1: BYE; * released 1 Server; 0 closed; 1 closed; * ended",
        ),
        (ALONE, "1: refused", ""),
        (
            "> make 0 a1\n> 1: answered a\n> 1: refused\n> make 1 b\n> audio 1 0=music",
            "2: answered b",
            "2: ACK; * connected 1; 1: re-INVITE PLANE; 2: re-INVITE PLANE",
        ),
        (CLIMBING, "0: refused", "0 closed"),
        (
            "> offered 0 a\n> connect 0",
            "0: refused",
            "* released 0 Network 488; 0 closed; * ended",
        ),
        ("> offered 0 a\n> audio 1 0=music", "0: refused", "0 closed; 0: 183 PLANE"),
        (TALK, "0: refused", ""),
        (CALLING, "1: refused", ""),
    ]);
}

#[test]
fn keys_are_told_however_they_come() {
    check(&[
        (ANCHORED, "0: pressed 5", "* digit 0 5"),
        (ANCHORED, "0: pressed a", "* digit 0 A"),
        (ANCHORED, "0: pressed x", ""),
        (ANCHORED, "9: pressed 5", ""),
        (CALLING, "1: pressed 5", ""),
        (ANCHORED, "0: speaks", "* speaks 0"),
        (ANCHORED, "9: speaks", ""),
        (CALLING, "1: speaks", ""),
        (ANCHORED, "0: info Signal=#", "* digit 0 #"),
        (ANCHORED, "0: info signal=10", "* digit 0 *"),
        (ANCHORED, "0: info Signal=16", ""),
        (ANCHORED, "0: info Signal=", ""),
        (ANCHORED, "1: info 5", "0: INFO 5"),
        (ANCHORED, "1: info Signal=5", "* digit 1 5; 0: INFO Signal=5"),
        (TALK, "0: info Signal=5", "1: INFO Signal=5"),
    ]);
}

#[test]
fn plain_talk_is_what_two_devices_do_by_themselves() {
    let plan = |rows: &[(u32, &[u32])]| AudioPlan {
        rows: rows
            .iter()
            .map(|(party, sources)| Hearing {
                party: PartyId(*party),
                sources: sources.iter().map(|party| AudioSource::Party(PartyId(*party))).collect(),
            })
            .collect(),
    };
    let two = [PartyId(0), PartyId(1)];
    for (rows, plain) in [
        (&[][..], true),
        (&[(0, &[1][..]), (1, &[0])], true),
        (&[(0, &[1, 2]), (1, &[2, 0])], true),
        (&[(0, &[1]), (1, &[0]), (2, &[0])], true),
        (&[(2, &[0])], true),
        (&[(0, &[1])], false),
        (&[(0, &[1]), (1, &[])], false),
        (&[(0, &[2]), (1, &[0])], false),
    ] {
        assert_eq!(is_plain_talk(Some(&plan(rows)), &two), plain, "{rows:?}");
    }
    assert!(is_plain_talk(None, &two));
    assert!(!is_plain_talk(None, &[PartyId(0), PartyId(1), PartyId(2)]));
    assert!(is_plain_talk(Some(&plan(&[(0, &[1]), (1, &[0])])), &[PartyId(0)]));
}
