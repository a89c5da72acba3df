//! Offers before the answer, one transition each.

use super::table::check;

const EARLY: &str = "> offered 0 a\n> make 1 b1,b2\n> 1: progress 183 e";
const BY_CALLER: &str = "> offered 0 a\n> make 1 b1,b2\n> 1: progress 183 e\n> 0: reoffered a2";
const BY_CALLEE: &str = "> offered 0 a\n> make 1 b1,b2\n> 1: progress 183 e\n> 1: reoffered e2";
const CHANGED: &str = "> offered 0 a\n> make 1 b1,b2\n> 1: progress 183 e\n> 0: reoffered a2\n> 1: re-answered e2";
const BOTH: &str = "> offered 0 a\n> make 1 b1,b2\n> 1: progress 183 e\n> 0: reoffered a2\n> 1: reoffered e2";
const IN_PLANE: &str = "> offered 0 a\n> make 1 b1,b2\n> 1: progress 183 e\n> 0: reoffered a2\n> 1: re-failed 405";

#[test]
fn a_caller_and_the_fork_that_it_hears_change_their_offers() {
    check(&[
        (EARLY, "0: reoffered a2", "1: re-INVITE a2"),
        (BY_CALLER, "1: re-answered e2", "1: ACK; 0: re-200 e2"),
        (BY_CALLER, "1: re-failed 488", "0: re-488"),
        (BY_CALLER, "1: re-failed 408", "0: re-500"),
        (BY_CALLER, "1: re-answered", "1: ACK; 0: re-488"),
        (BY_CALLER, "0: reoffered a3", "0: re-491"),
        (EARLY, "1: reoffered e2", "0: re-INVITE e2"),
        (BY_CALLEE, "0: re-answered a2", "0: ACK; 1: re-200 a2"),
        (BY_CALLEE, "0: re-failed 488", "1: re-488"),
        (EARLY, "0: reoffered", "0: re-491"),
        (
            CHANGED,
            "1: answered e2",
            "1: ACK; 0: 200 e2; 2: CANCEL elsewhere; * connected 1; * connected 0",
        ),
        (
            CHANGED,
            "1: answered",
            "1: ACK; 0: 200 e2; 2: CANCEL elsewhere; * connected 1; * connected 0",
        ),
        (CHANGED, "1: reoffered e3", "0: re-INVITE e3"),
        (
            "> offered 0 a\n> make 1 b\n> 1: progress 183 e\n> 0: reoffered a2\n> 1: re-answered e2\n> 1: failed 302 >x",
            "make 2 c",
            "2: INVITE c a2; * created 2",
        ),
        (
            "> offered 0 a\n> make 1 b\n> 1: progress 183 e\n> 1: reoffered e2\n> 0: re-answered a+less\n> 1: failed 302 >x",
            "make 2 c",
            "2: INVITE c a; * created 2",
        ),
    ]);
}

#[test]
fn where_the_other_side_cannot_be_asked_the_caller_climbs_and_the_fork_hears_so() {
    check(&[
        (BY_CALLER, "1: re-failed 405", "0: re-200 PLANE; 0 hears ringback"),
        (BY_CALLER, "1: re-failed 491", "0: re-200 PLANE; 0 hears ringback"),
        (
            "> offered 0 a\n> make 1 b1,b2\n> 1: progress 183 e\n> 1: failed 486",
            "0: reoffered a2",
            "0: re-200 PLANE; 0 hears ringback",
        ),
        (BY_CALLEE, "0: re-failed 405", "1: re-504"),
        (BY_CALLEE, "0: re-failed 491", "1: re-504"),
        (IN_PLANE, "0: refused", "0 closed"),
        (
            IN_PLANE,
            "1: answered e",
            "1: ACK; 0: 200 PLANE; 2: CANCEL elsewhere; * connected 1; * connected 0; 1: re-INVITE PLANE; 0 hears 1",
        ),
        (IN_PLANE, "0: reoffered a3", "0: re-200 PLANE"),
        (IN_PLANE, "1: reoffered e2", "1: re-200 PLANE; 0 hears 1"),
        (EARLY, "2: reoffered x", "2: re-200 PLANE"),
    ]);
}

#[test]
fn offers_that_cross_are_glare() {
    check(&[
        (BY_CALLER, "1: reoffered e2", "1: re-491"),
        (BOTH, "1: re-failed 491", "0: re-491"),
        (BOTH, "1: re-failed 405", "0: re-200 PLANE; 0 hears ringback"),
        (BY_CALLEE, "0: reoffered a2", "0: re-491"),
        (
            "> offered 0 a\n> make 1 b\n> 1: progress 183 e\n> 1: reoffered e2\n> 0: reoffered a2",
            "0: re-failed 491",
            "1: re-491",
        ),
    ]);
}

#[test]
fn an_offer_that_the_answer_overtakes_goes_on() {
    let by_caller = format!("{BY_CALLER}\n> 1: answered e");
    let by_callee = format!("{BY_CALLEE}\n> 1: answered e");
    check(&[
        (
            BY_CALLER,
            "1: answered e",
            "1: ACK; 0: 200 e; 2: CANCEL elsewhere; * connected 1; * connected 0",
        ),
        (&by_caller, "1: re-answered e2", "1: ACK; 0: re-200 e2"),
        (&by_caller, "1: re-failed 488", "0: re-488"),
        (&by_callee, "0: re-answered a2", "0: ACK; 1: re-200 a2"),
        (&by_callee, "0: reoffered a2", "0: re-491"),
    ]);
}

#[test]
fn a_fork_that_answers_and_was_not_asked_is_brought_together_with_the_caller() {
    let answered = format!("{CHANGED}\n> 2: answered b");
    let awaited = format!("{BY_CALLEE}\n> 2: answered b");
    check(&[
        (
            CHANGED,
            "2: answered b",
            "2: ACK; 0: 200 b; 0: re-INVITE b; 1: CANCEL elsewhere; * connected 1; * connected 0",
        ),
        (&answered, "0: re-answered a2", "0: ACK; 2: re-INVITE a2"),
        (&answered, "0: re-answered a", "0: ACK"),
        (
            BY_CALLER,
            "2: answered b",
            "0: re-491; 2: ACK; 0: 200 b; 1: CANCEL elsewhere; * connected 1; * connected 0",
        ),
        (
            BY_CALLEE,
            "2: answered b",
            "1: re-491; 2: ACK; 0: 200 b; 1: CANCEL elsewhere; * connected 1; * connected 0",
        ),
        (&awaited, "0: re-answered a2", "0: ACK; 0: re-INVITE b"),
        (&awaited, "0: re-failed 488", "0: re-INVITE b"),
        (&awaited, "0: reoffered a3", "0: re-491"),
    ]);
}

#[test]
fn who_goes_leaves_nobody_waiting() {
    let cancelled = format!("{BY_CALLER}\n> release 0");
    check(&[
        (BY_CALLER, "1: failed 486", "0: re-491"),
        (BY_CALLER, "release 1", "0: re-491; 1: CANCEL; 2: CANCEL; * released 1 Server"),
        (
            BY_CALLER,
            "release 0",
            "0: re-487; 0: 480; * released 0 Server; 1: CANCEL; 2: CANCEL; * released 1 Server",
        ),
        (&cancelled, "1: re-answered e2", "1: ACK"),
        (&cancelled, "1: reoffered e2", "1: re-491"),
        (
            BY_CALLER,
            "0: cancelled",
            "* released 0 Device 487; 1: CANCEL; 2: CANCEL; * released 1 Server",
        ),
        (
            BY_CALLEE,
            "0: cancelled",
            "1: re-491; * released 0 Device 487; 1: CANCEL; 2: CANCEL; * released 1 Server",
        ),
        (BY_CALLEE, "release 1", "1: re-487; 1: CANCEL; 2: CANCEL; * released 1 Server"),
        (BY_CALLEE, "1: failed 486", ""),
        (
            BY_CALLER,
            "connect 0",
            "0: re-491; 0: 200 PLANE; * connected 0; 0: re-INVITE PLANE",
        ),
        (BY_CALLEE, "connect 0", "1: re-491; 0: 200 PLANE; * connected 0"),
        (
            "> offered 0 a\n> make 1 b\n> 1: progress 183 e\n> 1: reoffered e2\n> connect 0",
            "0: re-failed 488",
            "0: re-INVITE PLANE",
        ),
    ]);
}

#[test]
fn the_plane_answers_a_fork_of_its_own_and_one_that_a_party_in_talk_calls() {
    let plane = "> set anchored\n> offered 0 a\n> make 1 b\n> 1: progress 183 e";
    let third = "> make 0 a1\n> 1: answered a\n> make 1 b\n> 2: progress 183 e";
    let changed = "> make 0 a1\n> 1: answered a\n> make 1 b\n> 2: progress 183 e\n> 2: reoffered e2";
    let refused = format!("{changed}\n> 2: refused");
    check(&[
        (plane, "1: reoffered e2", "1: re-200 PLANE"),
        (third, "2: reoffered e2", "2: re-200 PLANE; 1 hears 2"),
        (changed, "2: answered e2", "2: ACK; * connected 1; 2 hears 1"),
        (changed, "2: refused", "2 closed; 1 hears ringback"),
        (&refused, "2: answered e", "2: ACK; 1: re-INVITE e; * connected 1; 1 hears -"),
    ]);
}
