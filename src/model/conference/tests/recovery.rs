//! A conference that comes back from its snapshot: one row for each state that it may have been in.

use super::scene::{Scene, kept, settings};
use super::table::{ALONE, OFFERED, PASSED, RINGING, TALK, THIRD_CALLED, check};
use crate::conference::ConferenceSnapshot;

const UNACKED: &str = "> offered 0 a\n> make 1 b\n> 1: answered b";
const LATE: &str = "> offered 0\n> make 1 b\n> 1: answered b";
const PASSED_BARE: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered";
const PASSED_LATE: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered\n> 0: re-answered a2";
const FIRST_REOFFERED: &str = "> make 0 a1\n> 1: answered a\n> make 1 b\n> 2: answered b";
const SECOND_REOFFERED: &str = "> make 0 a1\n> 1: answered a\n> make 1 b\n> 2: answered b\n> 1: re-answered a2";
const CLIMBING: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> audio 1 0=music";
const HALF: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> audio 1 0=music\n> 0: re-answered a2";
const ANCHORED: &str =
    "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> audio 1 0=music\n> 0: re-answered a2\n> 1: re-answered b2";
const HOLDING: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: held bh\n> 0: re-answered a2";
const PLANE_LATE: &str = "> set anchored\n> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> 1: reoffered";
const DESCENDING: &str = "> set descend\n> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> digits 1 0 5\n> 0: re-answered a2\n\
    > 1: re-answered b2\n> wait 9000";
const THREE: &str = "> set anchored\n> offered 0 a\n> make 1 b\n> 1: answered b\n> make 2 c\n> 2: answered c";
const ROOM: &str = "> offered 0 a\n> connect 0\n> take 1 5 3";
const REFERRED: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> transfer 1 7";

/// The two of a call, told as being there.
const BOTH: &str = "* state 0=Connected 1=Connected";

fn both(then: &str) -> String {
    format!("{BOTH}; {then}")
}

/// The state, and a crash after it.
fn crashed(state: &str) -> String {
    format!("{state}\n> crash")
}

fn check_crashed(rows: &[(&str, &str, &str)]) {
    let states: Vec<String> = rows.iter().map(|(state, ..)| crashed(state)).collect();
    let rows: Vec<(&str, &str, &str)> = states
        .iter()
        .zip(rows)
        .map(|(state, (_, input, out))| (state.as_str(), *input, *out))
        .collect();
    check(&rows);
}

#[test]
fn nothing_is_kept_before_somebody_talks_and_after_the_end() {
    for state in ["", OFFERED, RINGING, "> make 0 a1", "> offered 0 a\n> release-all"] {
        assert_eq!(kept(&Scene::run(state).conference), None, "{state}");
    }
    assert_eq!(kept(&Scene::run(&format!("{TALK}\n> 0: ended")).conference), None);
}

#[test]
fn what_recovery_does_not_need_changes_no_snapshot() {
    for (one, other) in [
        (UNACKED, TALK),
        (TALK, "> offered 0 a\n> make 1 b\n> 1: progress 180\n> 1: answered b"),
        (
            TALK,
            "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: flowing\n> 1: info 5\n> wait 7000",
        ),
        (ALONE, "> make 0 a1\n> 1: answered a\n> 1: flowing\n> wait 9999"),
        (PASSED, PASSED_BARE),
        (THIRD_CALLED, "> make 0 a1\n> 1: answered a\n> make 1 b\n> 2: failed 486"),
        (THIRD_CALLED, "> make 0 a1\n> 1: answered a\n> make 1 b\n> answer 1 1"),
    ] {
        let [one, other] = [one, other].map(|state| kept(&Scene::run(state).conference));
        assert!(one.is_some() && one == other, "{one:?} {other:?}");
    }
    assert_eq!(
        kept(&Scene::run(&crashed(ANCHORED)).conference),
        kept(&Scene::run(ANCHORED).conference)
    );
}

#[test]
fn a_direct_pair_goes_on_in_silence() {
    check(&[(TALK, "crash", BOTH), (UNACKED, "crash", BOTH)]);
    check_crashed(&[
        (TALK, "audit", BOTH),
        (TALK, "1: reoffered b2", "0: re-INVITE b2"),
        (TALK, "1: ended", "* released 1 Device; 0: BYE; * released 0 Server; * ended"),
        (TALK, "audio 1 0=1 1=0", "* done 1"),
        (TALK, "audio 1 0=music", "0: re-INVITE PLANE; 1: re-INVITE PLANE"),
        (
            TALK,
            "make 2 c",
            "2: INVITE c PLANE; * created 2; 0: re-INVITE PLANE; 1: re-INVITE PLANE",
        ),
    ]);
    // It is known what the two have described, for the way back.
    check(&[(
        "> offered 0 a\n> make 1 b\n> 1: answered b\n> crash\n> audio 1 0=music\n> 0: re-answered a2",
        "1: re-failed 488",
        "* failed 1 488; 0: re-INVITE b; 1 closed; 0 hears -",
    )]);
}

#[test]
fn an_open_exchange_of_a_pair_is_made_again() {
    check(&[
        (LATE, "crash", &both("0: re-INVITE b")),
        (PASSED, "crash", &both("0: re-INVITE b")),
        (PASSED_BARE, "crash", &both("0: re-INVITE b")),
        (PASSED_LATE, "crash", &both("1: re-INVITE a2")),
        (FIRST_REOFFERED, "crash", &both("1: re-INVITE b; 1 hears -")),
        (SECOND_REOFFERED, "crash", &both("2: re-INVITE a2")),
        (&crashed(PASSED), "crash", &both("0: re-INVITE b")),
        (&crashed(LATE), "crash", &both("0: re-INVITE b")),
        (&crashed(FIRST_REOFFERED), "crash", &both("1: re-INVITE b; 1 hears -")),
    ]);
    check_crashed(&[
        (LATE, "0: re-answered a", "0: ACK; 1: re-INVITE a"),
        (PASSED, "0: re-answered a", "0: ACK"),
        (PASSED, "0: re-answered a9", "0: ACK; 1: re-INVITE a9"),
        (PASSED, "1: reoffered b2", "1: re-491"),
        (PASSED_LATE, "1: re-answered b", "1: ACK; 0: re-INVITE b"),
        (PASSED_LATE, "1: acked b", ""),
        (PASSED_LATE, "1: acked b-hold", "* held 1"),
        (FIRST_REOFFERED, "1: re-answered a", "1: ACK; 1 closed"),
        (FIRST_REOFFERED, "1: re-answered a2", "1: ACK; 2: re-INVITE a2; 1 closed"),
        (SECOND_REOFFERED, "2: re-answered b", "2: ACK"),
    ]);
}

#[test]
fn a_refusal_ends_those_only_who_were_not_in_talk_before() {
    const OVER: &str = "0: BYE; * released 0 Network 488; 1: BYE; * released 1 Network 488; * ended";
    check_crashed(&[
        (LATE, "0: re-failed 488", OVER),
        (PASSED, "0: re-failed 488", ""),
        (PASSED, "0: re-failed 491", "0: re-INVITE b"),
        (PASSED_LATE, "1: re-failed 488", ""),
        (
            FIRST_REOFFERED,
            "1: re-failed 488",
            "1: BYE; * released 0 Network 488; 2: BYE; * released 1 Network 488; 1 closed; * ended",
        ),
    ]);
    check(&[(
        &format!("{}\n> 0: re-failed 488", crashed(PASSED)),
        "1: reoffered b2",
        "0: re-INVITE b2",
    )]);
}

#[test]
fn media_stays_where_it_was_when_the_settings_change() {
    let mut scene = Scene::run(THREE);
    scene.settings = settings();
    scene.step("crash");
    assert_eq!(
        scene.step("release 2"),
        "2: BYE; * released 2 Server; 2 closed; 0 hears 1; 1 hears 0"
    );
    let mut scene = Scene::run(TALK);
    scene.settings.anchored = true;
    assert_eq!(scene.step("crash"), BOTH);
}

#[test]
fn a_climb_is_made_again_and_so_is_the_way_back() {
    check(&[
        (CLIMBING, "crash", &both("0: re-INVITE PLANE; 1: re-INVITE PLANE")),
        (HALF, "crash", &both("1: re-INVITE PLANE; 0 hears 1")),
        (ANCHORED, "crash", &both("0 hears music; 1 hears -")),
        (
            HOLDING,
            "crash",
            "* state 0=Connected 1=Connected(held); 0 hears music; 1 hears -",
        ),
        (PLANE_LATE, "crash", &both("1: re-INVITE PLANE; 0 hears 1")),
        (DESCENDING, "crash", &both("0: re-INVITE PLANE; 1 hears 0")),
        (
            &format!("{DESCENDING}\n> 0: re-answered a3"),
            "crash",
            &both("0: re-INVITE PLANE; 1: re-INVITE PLANE"),
        ),
    ]);
    check_crashed(&[
        (CLIMBING, "audio 1 0=music", ""),
        (HALF, "1: re-answered b2", "1: ACK; 1 hears 0"),
        (HALF, "1: re-failed 488", "0: re-INVITE b; 1 closed; 0 hears -"),
        (ANCHORED, "audio 1 0=music", "* done 1"),
        (
            HOLDING,
            "1: reoffered b",
            "1: re-200 PLANE; * resumed 1; 0 hears 1; 1 hears 0",
        ),
        (PLANE_LATE, "1: re-answered b", "1: ACK; 1 hears 0"),
        (PLANE_LATE, "1: acked b", ""),
        (PLANE_LATE, "1: acked b-hold", "* held 1; 0 hears music"),
    ]);
}

#[test]
fn what_a_device_has_agreed_to_is_not_guessed() {
    let refused = format!("{}\n> 1: re-failed 488", crashed(HALF));
    check(&[
        (&refused, "0: re-answered a", "0: ACK; 1: re-INVITE a; 0 closed"),
        (&format!("{HALF}\n> 1: re-failed 488"), "0: re-answered a", "0: ACK; 0 closed"),
    ]);
}

#[test]
fn an_operation_that_is_asked_for_again_is_answered_again() {
    check_crashed(&[
        (ANCHORED, "audio 1 0=music", "* done 1"),
        (ANCHORED, "digits 2 0 5", "0 digits 5; * done 2"),
        (ROOM, "take 1 5 -", "* done 1"),
        (ROOM, "take 2 6 -", "* failed 2 481"),
        ("> offered 0 a\n> make 1 b\n> 1: answered b\n> give 1 4", "give 1 4", ""),
    ]);
    // Who waits for a party asks nobody.
    const GIVING: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> give 1 4";
    check(&[
        (GIVING, "crash", &both("0: re-INVITE PLANE; 1: re-INVITE PLANE")),
        (
            GIVING,
            "crash 1",
            "* state 1=Connected; 1: BYE; * released 1 Server; to 9 for 4: nothing; 1 closed; * ended",
        ),
        (
            &format!("{GIVING}\n> crash\n> 0: re-answered a2"),
            "1: re-answered b2",
            "1: ACK; * moved 1; to 9 for 4: leg 1; 0 hears -",
        ),
    ]);
    check(&[(
        &format!("{CLIMBING}\n> crash\n> audio 1 0=music\n> 0: re-answered a2"),
        "1: re-answered b2",
        "1: ACK; 0 hears music; 1 hears -; * done 1",
    )]);
}

#[test]
fn who_is_called_is_gone_without_a_word() {
    check(&[
        (THIRD_CALLED, "crash", "* state 0=Connected; 1 hears -"),
        (&format!("{ANCHORED}\n> make 2 c"), "crash", &both("0 hears music; 1 hears -")),
        (
            &format!("{OFFERED}\n> take 1 5 3"),
            "crash",
            "* state 5=Connected; m3 hears -",
        ),
    ]);
    check_crashed(&[
        (THIRD_CALLED, "make 1 b", ""),
        (THIRD_CALLED, "make 2 c", "3: INVITE c a; * created 2"),
        (THIRD_CALLED, "wait 9999", ""),
        (THIRD_CALLED, "wait 10000", "1: BYE; * released 0 Network; 1 closed; * ended"),
    ]);
}

#[test]
fn whoever_is_left_of_several_is_ended_but_in_a_room() {
    check(&[
        (TALK, "crash 1", "* state 1=Connected; 1: BYE; * released 1 Server; * ended"),
        (TALK, "crash -", "* state ; * ended"),
        (ALONE, "crash -", "* state ; * ended"),
        (
            ANCHORED,
            "crash 0",
            "* state 0=Connected; 0: BYE; * released 0 Server; 0 closed; * ended",
        ),
        (THREE, "crash 0,2", "* state 0=Connected 2=Connected; 0 hears 2; 2 hears 0"),
        (
            THREE,
            "crash 2",
            "* state 2=Connected; 2: BYE; * released 2 Server; 2 closed; * ended",
        ),
        (ROOM, "crash m3", "* state 5=Connected; m3 hears -"),
        (&format!("{ROOM}\n> crash m3"), "wait 1000000", ""),
        (ROOM, "crash -", "* state ; * ended"),
    ]);
}

#[test]
fn a_leg_that_nobody_knows_is_ended() {
    check(&[
        (TALK, "crash 0,1,m4", &both("m4: BYE; m4 closed")),
        (
            &format!("{TALK}\n> crash 0,1,9"),
            "make 2 c",
            "10: INVITE c PLANE; * created 2; 0: re-INVITE PLANE; 1: re-INVITE PLANE",
        ),
    ]);
    // It was given away, and the snapshot that says so came too late: the leg has another name by now.
    check(&[(
        ANCHORED,
        "crash 0",
        "* state 0=Connected; 0: BYE; * released 0 Server; 0 closed; * ended",
    )]);
}

#[test]
fn a_transfer_that_was_open_is_refused() {
    check(&[
        (REFERRED, "crash", &both("1: refer 7 503")),
        (
            REFERRED,
            "crash 0",
            "* state 0=Connected; 0: BYE; * released 0 Server; * ended",
        ),
    ]);
    check_crashed(&[
        (REFERRED, "progress 1 200", ""),
        (REFERRED, "transfer 1 8", "* transfer 2 by 1"),
        (
            REFERRED,
            "release 1",
            "1: BYE; * released 1 Server; 0: BYE; * released 0 Server; * ended",
        ),
    ]);
}

#[test]
fn a_record_of_a_newer_server_is_read() {
    let conference = Scene::run(TALK).conference;
    let mut record = serde_json::to_value(conference.snapshot()).expect("a record");
    record["weather"] = "fine".into();
    record["parties"][0]["mood"] = 5.into();
    let read: ConferenceSnapshot = serde_json::from_value(record).expect("a snapshot");
    assert_eq!(Some(read), conference.snapshot());
    let least = r#"{"id": 7, "parties": [{"id": 0, "leg": 0}], "next_leg": 1}"#;
    assert!(serde_json::from_str::<ConferenceSnapshot>(least).is_ok());
}
