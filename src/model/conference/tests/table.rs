//! One transition each: a state, an input, and what comes of it. An empty answer says that the input is ignored there.

use super::scene::Scene;

pub(super) const OFFERED: &str = "> offered 0 a";
pub(super) const CALLING: &str = "> offered 0 a\n> make 1 b1,b2";
pub(super) const RINGING: &str = "> offered 0 a\n> make 1 b1,b2\n> 1: progress 180";
const EARLY_MEDIA: &str = "> offered 0 a\n> make 1 b1,b2\n> 1: progress 183 e";
const CALLEE_FAILED: &str = "> offered 0 a\n> make 1 b\n> 1: failed 486";
const UNACKED: &str = "> offered 0 a\n> make 1 b\n> 1: answered b";
pub(super) const TALK: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked";
const LATE: &str = "> offered 0\n> make 1 b\n> 1: answered b";
pub(super) const PASSED: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered b2";
const PASSED_BARE: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered";
const PASSED_LATE: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered\n> 0: re-answered a2";
const REACCEPTED: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered b2\n> 0: re-answered a2";
const FIRST_CALLED: &str = "> make 0 a1,a2";
pub(super) const ALONE: &str = "> make 0 a1\n> 1: answered a";
pub(super) const THIRD_CALLED: &str = "> make 0 a1\n> 1: answered a\n> make 1 b";
const FIRST_REOFFERED: &str = "> make 0 a1\n> 1: answered a\n> make 1 b\n> 2: answered b";
const SECOND_REOFFERED: &str = "> make 0 a1\n> 1: answered a\n> make 1 b\n> 2: answered b\n> 1: re-answered a2";
const LEAVING: &str = "> offered 0 a\n> make 1 b1,b2\n> release 0";
const ENDED: &str = "> offered 0 a\n> 0: cancelled";

/// Checks rows of (state, input, outputs).
pub(super) fn check(rows: &[(&str, &str, &str)]) {
    let mut wrong = String::new();
    for (state, input, expected) in rows {
        let mut scene = Scene::run(state);
        let actual = scene.step(input);
        if actual != *expected {
            wrong.push_str(&format!("`{input}` after:\n{state}\nis:\n{actual}\nnot:\n{expected}\n\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_conference_that_is_given_nothing_to_do_ends() {
    check(&[
        ("", "release 0", "* ended"),
        ("", "release-all", "* ended"),
        ("", "abort", "* ended"),
        ("", "wait 0", "* ended"),
        ("", "5: answered x", "* ended"),
        ("", "make 3 -", "* released 3 Network 480 q850=20; * ended"),
    ]);
}

#[test]
fn a_call_is_offered_once_and_to_a_fresh_conference() {
    check(&[
        (OFFERED, "offered 0 a", ""),
        (OFFERED, "offered 5 a", ""),
        (ENDED, "offered 0 a", ""),
        (ENDED, "offered 5 a", "0: 500"),
        (ALONE, "offered 5 a", "0: 500"),
    ]);
}

#[test]
fn a_party_is_made_when_there_is_room_for_it_and_once() {
    check(&[
        (OFFERED, "make 1 b auto", "1: INVITE b auto a; * created 1"),
        (OFFERED, "make 1 -", "* released 1 Network 480 q850=20"),
        (OFFERED, "make 0 b", "* created 0"),
        ("> offered 0", "make 1 b", "1: INVITE b; * created 1"),
        (CALLING, "make 1 b9", "* created 1"),
        (CALLING, "make 2 c", "3: INVITE c PLANE; * created 2"),
        (TALK, "make 1 b9", "* created 1"),
        (
            TALK,
            "make 2 c",
            "2: INVITE c PLANE; * created 2; 0: re-INVITE PLANE; 1: re-INVITE PLANE",
        ),
        (CALLEE_FAILED, "make 1 b", ""),
        (CALLEE_FAILED, "make 2 c", "2: INVITE c a; * created 2"),
        (FIRST_CALLED, "make 1 b", "* released 1 Network 491"),
        (ALONE, "make 1 b1,b2", "2: INVITE b1 a; 3: INVITE b2 a; * created 1"),
        (LEAVING, "make 1 b", ""),
        (LEAVING, "make 2 c", "* released 2 Network 481"),
        (ENDED, "make 2 c", ""),
    ]);
}

#[test]
fn ringing_and_early_media_are_told_once() {
    check(&[
        (CALLING, "1: progress 180", "* alerting 1; 0: 180"),
        (CALLING, "1: progress 183", "* alerting 1; 0: 180"),
        (CALLING, "1: progress 181", "* alerting 1; 0: 180"),
        (CALLING, "1: progress 180 e", "* alerting 1; 0: 183 e"),
        (CALLING, "1: progress 101", ""),
        (CALLING, "1: progress 199", ""),
        (RINGING, "1: progress 180", ""),
        (RINGING, "2: progress 180", ""),
        (RINGING, "2: progress 183 e", "0: 183 e"),
        (EARLY_MEDIA, "1: progress 183 e", ""),
        (EARLY_MEDIA, "1: progress 180", ""),
        (EARLY_MEDIA, "2: progress 183 e2", "0: 180"),
        (FIRST_CALLED, "1: progress 183 e", "* alerting 0"),
        (THIRD_CALLED, "2: progress 183 e", "* alerting 1; 1 hears ringback"),
        (LEAVING, "1: progress 180", ""),
        (TALK, "1: progress 180", ""),
        (OFFERED, "0: progress 180", ""),
    ]);
}

#[test]
fn the_first_answer_joins_and_every_other_is_declined() {
    check(&[
        (
            RINGING,
            "2: answered b",
            "2: ACK; 0: 200 b; 1: CANCEL elsewhere; * connected 1; * connected 0",
        ),
        (
            EARLY_MEDIA,
            "1: answered",
            "1: ACK; 0: 200 e; 2: CANCEL elsewhere; * connected 1; * connected 0",
        ),
        (CALLING, "1: answered", "1: ACK; 1: BYE"),
        (
            "> offered 0\n> make 1 b",
            "1: answered",
            "1: ACK; 1: BYE; * released 1 Network 500",
        ),
        (
            "> offered 0\n> make 1 b",
            "1: answered b",
            "0: 200 b; * connected 1; * connected 0",
        ),
        (
            FIRST_CALLED,
            "2: answered a",
            "2: ACK PLANE; 1: CANCEL elsewhere; * connected 0",
        ),
        (FIRST_CALLED, "2: answered", "2: ACK; 2: BYE"),
        (THIRD_CALLED, "2: answered b", "2: ACK; 1: re-INVITE b; * connected 1"),
        (LEAVING, "1: answered b", "1: ACK; 1: BYE"),
        (
            "> offered 0\n> make 1 b\n> release 0",
            "1: answered b",
            "1: ACK (inactive); 1: BYE; * ended",
        ),
        (
            "> offered 0\n> make 1 b\n> release 0",
            "1: answered",
            "1: ACK; 1: BYE; * ended",
        ),
        (TALK, "1: answered x", ""),
        (OFFERED, "0: answered x", ""),
        (ENDED, "1: answered x", ""),
    ]);
}

#[test]
fn failed_forks_come_to_the_best_of_their_responses() {
    let forks = |first: &str, second: &str| {
        let mut scene = Scene::run(CALLING);
        scene.step(&format!("1: failed {first}"));
        scene.step(&format!("2: failed {second}"))
    };
    for (first, second, released) in [
        ("486", "404", "Device 486"),
        ("404", "486", "Device 486"),
        ("404 1", "404 2", "Device 404 q850=1"),
        ("408", "480", "Device 480"),
        ("408", "503", "Network 408"),
        ("503", "500", "Network 500"),
        ("503", "503", "Network 500"),
        ("501", "302", "Network 501"),
        ("302", "302", "Device 480"),
        ("401", "407", "Network 500"),
        ("401", "403", "Device 403"),
        ("486", "484", "Device 484"),
        ("486", "603", "Device 603"),
        ("408", "999", "Network 408"),
        ("999", "0", "Network 500"),
    ] {
        assert_eq!(
            forks(first, second),
            format!("* released 1 {released}"),
            "{first} and {second}"
        );
    }
    check(&[
        (CALLING, "1: failed 486", ""),
        (CALLING, "1: failed 600", "2: CANCEL; * released 1 Device 600"),
        (
            CALLING,
            "1: failed 600 reason=Q.850;cause=17",
            "2: CANCEL q850=17; * released 1 Device 600",
        ),
        (CALLING, "1: lost", ""),
        (THIRD_CALLED, "2: failed 486", "* released 1 Device 486"),
        (THIRD_CALLED, "2: lost", "* released 1 Network 408"),
        (THIRD_CALLED, "2: ended", "* released 1 Device 480"),
        ("> make 0 a1", "1: failed 486 17", "* released 0 Device 486 q850=17; * ended"),
    ]);
}

#[test]
fn a_party_in_talk_takes_the_other_along_and_a_caller_its_callee() {
    check(&[
        (OFFERED, "0: cancelled", "* released 0 Device 487; * ended"),
        (OFFERED, "release 0 404", "0: 404; * released 0 Server 404; * ended"),
        (OFFERED, "release 0 302", "0: 480; * released 0 Server 302; * ended"),
        (OFFERED, "release 9", ""),
        (RINGING, "release 1", "1: CANCEL; 2: CANCEL; * released 1 Server"),
        (
            RINGING,
            "0: cancelled",
            "* released 0 Device 487; 1: CANCEL; 2: CANCEL; * released 1 Server",
        ),
        (
            RINGING,
            "release 0 486",
            "0: 486; * released 0 Server 486; 1: CANCEL; 2: CANCEL; * released 1 Server",
        ),
        (
            TALK,
            "1: ended 16",
            "* released 1 Device q850=16; 0: BYE q850=16; * released 0 Server q850=16; * ended",
        ),
        (
            TALK,
            "1: ended 41 reason=Q.850;cause=41;text=\"x\"",
            "* released 1 Device q850=41; 0: BYE reason=Q.850;cause=41;text=\"x\"; * released 0 Server q850=41; * ended",
        ),
        (
            RINGING,
            "0: cancelled 26 reason=SIP;cause=200",
            "* released 0 Device 487 q850=26; 1: CANCEL reason=SIP;cause=200; 2: CANCEL reason=SIP;cause=200; \
             * released 1 Server q850=26",
        ),
        (
            RINGING,
            "release 0 486 reason=Q.850;cause=17",
            "0: 486 q850=17; * released 0 Server 486; 1: CANCEL q850=17; 2: CANCEL q850=17; * released 1 Server",
        ),
        (
            RINGING,
            "release 1 487 reason=SIP;cause=200;text=x",
            "1: CANCEL reason=SIP;cause=200;text=x; 2: CANCEL reason=SIP;cause=200;text=x; * released 1 Server 487",
        ),
        (TALK, "0: lost", "* released 0 Network; 1: BYE; * released 1 Server; * ended"),
        (
            TALK,
            "release 1",
            "1: BYE; * released 1 Server; 0: BYE; * released 0 Server; * ended",
        ),
        (
            TALK,
            "release-all 200",
            "0: BYE; * released 0 Server 200; 1: BYE; * released 1 Server 200; * ended",
        ),
        (
            TALK,
            "abort",
            "0: BYE; * released 0 Network 503; 1: BYE; * released 1 Network 503; * ended",
        ),
        (
            UNACKED,
            "0: cancelled",
            "* released 0 Device 487; 1: BYE; * released 1 Server; * ended",
        ),
        (ALONE, "1: ended", "* released 0 Device; 1 closed; * ended"),
        (
            THIRD_CALLED,
            "1: ended",
            "* released 0 Device; 2: CANCEL; * released 1 Server; 1 closed",
        ),
        (FIRST_CALLED, "release 0", "1: CANCEL; 2: CANCEL; * released 0 Server"),
        (LEAVING, "release 0", ""),
        (LEAVING, "release 1", ""),
        (LEAVING, "release-all", ""),
        (LEAVING, "abort", ""),
        (LEAVING, "0: cancelled", ""),
        (ENDED, "release 0", ""),
    ]);
}

#[test]
fn nothing_is_left_open_on_a_leg_that_gets_bye() {
    check(&[
        (
            LATE,
            "release 0",
            "0: BYE; * released 0 Server; 1: ACK (inactive); 1: BYE; * released 1 Server; * ended",
        ),
        (
            LATE,
            "release 1",
            "1: ACK (inactive); 1: BYE; * released 1 Server; 0: BYE; * released 0 Server; * ended",
        ),
        (LATE, "1: ended", "* released 1 Device; 0: BYE; * released 0 Server; * ended"),
        (
            PASSED,
            "release 0",
            "0: BYE; * released 0 Server; 1: re-487; 1: BYE; * released 1 Server; * ended",
        ),
        (
            PASSED,
            "0: lost",
            "* released 0 Network; 1: re-487; 1: BYE; * released 1 Server; * ended",
        ),
        (
            PASSED,
            "1: ended",
            "* released 1 Device; 0: BYE; * released 0 Server; * ended",
        ),
        (
            PASSED_LATE,
            "1: lost",
            "* released 1 Network; 0: ACK (inactive); 0: BYE; * released 0 Server; * ended",
        ),
        (
            FIRST_REOFFERED,
            "2: ended",
            "* released 1 Device; 1: BYE; * released 0 Server; 1 closed; * ended",
        ),
        (
            FIRST_REOFFERED,
            "1: ended",
            "* released 0 Device; 2: BYE; * released 1 Server; 1 closed; * ended",
        ),
    ]);
}

#[test]
fn a_reinvite_goes_to_the_other_side_when_nothing_else_is_under_way() {
    check(&[
        (TALK, "1: reoffered b2", "0: re-INVITE b2"),
        (TALK, "0: reoffered", "1: re-INVITE"),
        (UNACKED, "1: reoffered b2", "0: re-INVITE b2"),
        (LATE, "1: reoffered b2", "1: re-491"),
        (PASSED, "0: reoffered a2", "0: re-491"),
        (PASSED_LATE, "0: reoffered a2", "0: re-491"),
        (REACCEPTED, "0: reoffered a2", "1: re-INVITE a2"),
        (FIRST_REOFFERED, "1: reoffered a2", "1: re-491"),
        (FIRST_REOFFERED, "2: reoffered b2", "2: re-491"),
        (SECOND_REOFFERED, "1: reoffered a2", "1: re-491"),
        (ALONE, "1: reoffered a2", "1: re-200 PLANE"),
        (THIRD_CALLED, "1: reoffered a2", "1: re-200 PLANE"),
        (ENDED, "0: reoffered a2", ""),
    ]);
}

#[test]
fn the_answer_to_a_reinvite_comes_back() {
    check(&[
        (PASSED, "0: re-answered a2", "0: ACK; 1: re-200 a2"),
        (PASSED, "0: re-answered", "0: ACK; 1: re-488"),
        (PASSED, "0: re-failed 488", "1: re-488"),
        (PASSED, "0: re-failed 415", "1: re-415"),
        (PASSED, "0: re-failed 481", "1: re-500"),
        (PASSED, "0: re-failed 302", "1: re-500"),
        (PASSED, "1: re-failed 488", ""),
        (PASSED_BARE, "0: re-answered a2", "1: re-200 a2"),
        (PASSED_BARE, "0: re-answered", "0: ACK; 1: re-488"),
        (PASSED_BARE, "0: re-failed 500", "1: re-500"),
        (PASSED_LATE, "1: acked b2", "0: ACK b2"),
        (PASSED_LATE, "0: acked x", ""),
        (REACCEPTED, "1: acked", ""),
        (LATE, "0: acked a", "1: ACK a"),
        (TALK, "0: acked", ""),
        (TALK, "1: re-answered x", "1: ACK"),
        (TALK, "1: re-failed 488", ""),
        (ALONE, "1: re-answered x", "1: ACK"),
        (ALONE, "1: acked x", ""),
        (CALLING, "1: re-answered x", ""),
    ]);
    let broken = "1: BYE; * released 1 Network 488; 0: ACK (inactive); 0: BYE; * released 0 Network 488; * ended";
    let mut scene = Scene::run(PASSED_LATE);
    let mut ends: Vec<String> = scene.step("1: acked").split("; ").map(str::to_owned).collect();
    let mut expected: Vec<String> = broken.split("; ").map(str::to_owned).collect();
    ends.sort();
    expected.sort();
    assert_eq!(ends, expected);
}

#[test]
fn a_third_party_call_is_joined_by_reinvites() {
    let broken = "1: BYE; * released 0 Network 488; 2: BYE; * released 1 Network 488; 1 closed; * ended";
    let broken_later = "1: BYE; * released 0 Network 488; 2: BYE; * released 1 Network 488; * ended";
    check(&[
        (FIRST_REOFFERED, "1: re-answered a+other", "1: ACK; 1 closed"),
        (FIRST_REOFFERED, "1: re-answered a2", "1: ACK; 2: re-INVITE a2; 1 closed"),
        (FIRST_REOFFERED, "1: re-answered", &format!("1: ACK; {broken}")),
        (FIRST_REOFFERED, "1: re-failed 488", broken),
        (FIRST_REOFFERED, "2: re-failed 488", ""),
        (FIRST_REOFFERED, "1: re-failed 491", "1: re-INVITE b"),
        (SECOND_REOFFERED, "2: re-failed 491", "2: re-INVITE a2"),
        (SECOND_REOFFERED, "2: re-answered b2", "2: ACK"),
        (SECOND_REOFFERED, "2: re-answered", "2: ACK"),
        (SECOND_REOFFERED, "2: re-failed 488", broken_later),
    ]);
}

#[test]
fn our_own_reinvite_is_not_repeated_for_ever() {
    let mut scene = Scene::run(FIRST_REOFFERED);
    for _ in 0..4 {
        assert_eq!(scene.step("1: re-failed 491"), "1: re-INVITE b");
    }
    let broken = "1: BYE; * released 0 Network 491; 2: BYE; * released 1 Network 491; 1 closed; * ended";
    assert_eq!(scene.step("1: re-failed 491"), broken);
}

#[test]
fn info_goes_to_the_other_side_in_talk_only() {
    check(&[
        (TALK, "0: info 5", "1: INFO 5"),
        (PASSED, "1: info 5", "0: INFO 5"),
        (FIRST_REOFFERED, "2: info 5", "1: INFO 5"),
        (ALONE, "1: info 5", ""),
        (RINGING, "1: info 5", ""),
        (ENDED, "0: info 5", ""),
    ]);
}

#[test]
fn times_run_out() {
    check(&[
        (OFFERED, "wait 9999", ""),
        (OFFERED, "wait 10000", "0: 503; * released 0 Network 503; * ended"),
        (CALLEE_FAILED, "wait 10000", "0: 486; * released 0 Network 486; * ended"),
        (ALONE, "wait 10000", "1: BYE; * released 0 Network; 1 closed; * ended"),
        (CALLING, "wait 59999", ""),
        (
            CALLING,
            "wait 60000",
            "1: CANCEL q850=18; 2: CANCEL q850=18; * released 1 Network 408 q850=18",
        ),
        (
            RINGING,
            "wait 60000",
            "1: CANCEL q850=19; 2: CANCEL q850=19; * released 1 Network 480 q850=19",
        ),
        (
            FIRST_CALLED,
            "wait 60000",
            "1: CANCEL q850=18; 2: CANCEL q850=18; * released 0 Network 408 q850=18",
        ),
        (LEAVING, "wait 39999", ""),
        (LEAVING, "wait 40000", "* ended"),
        (TALK, "wait 4000000", ""),
        (ENDED, "wait 4000000", ""),
    ]);
}

#[test]
fn what_can_be_seen_from_outside_is_the_state() {
    let see = |script: &str| {
        let summary = Scene::run(script).conference.summary();
        let parties: Vec<String> = summary
            .parties
            .iter()
            .map(|party| format!("{:?}/{}", party.phase, party.legs))
            .collect();
        (parties.join(" "), summary.legs, summary.exchange, summary.ended)
    };
    assert_eq!(see(RINGING), ("Offered/1 Alerting/2".into(), 3, None, false));
    assert_eq!(
        see(PASSED),
        ("Connected/1 Connected/1".into(), 2, Some("reinvite-passed"), false)
    );
    assert_eq!(see(LEAVING), (String::new(), 2, None, false));
    assert_eq!(see(ENDED), (String::new(), 0, None, true));
}
