//! What the T-Server side asks of a conference, in states where it cannot have it too; and what devices ask of the T-Server side.

use super::scene::Scene;
use super::table::{ALONE, CALLING, OFFERED, RINGING, TALK, check};

const CLIMBING: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> audio 1 0=music";
const ANCHORED: &str =
    "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> audio 1 0=music\n> 0: re-answered a2\n> 1: re-answered b2";
const GIVING: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> give 1 4";
const REFERRED: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> transfer 1 7";
const ENDED: &str = "> offered 0 a\n> release-all";

#[test]
fn digits_go_by_info_one_after_the_other_without_the_plane() {
    let mut scene = Scene::run("> set info\n> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked");
    let info = |digit: char| format!("1: INFO Signal={digit}\r\nDuration=160\r\n");
    assert_eq!(scene.step("digits 1 1 1,2"), format!("{}; * done 1", info('1')));
    assert_eq!(scene.step("digits 2 1 3"), "* done 2");
    assert_eq!(scene.step("wait 299"), "");
    assert_eq!(scene.step("wait 1"), "");
    assert_eq!(scene.step("wait 2000"), info('2'));
    assert_eq!(scene.step("wait 300"), info('3'));
    assert_eq!(scene.step("wait 300"), "");
    assert_eq!(scene.conference.next_timeout(), None);
    assert_eq!(scene.step(&format!("digits 3 1 {}", "5".repeat(257))), "* failed 3 503");
    scene.step("digits 4 1 45");
    scene.step("1: ended");
    assert!(scene.conference.is_ended());
    assert_eq!(scene.conference.next_timeout(), None);
}

#[test]
fn an_operation_is_answered_in_every_state() {
    check(&[
        ("", "audio 1 0=music", "* failed 1 481; * ended"),
        ("", "digits 1 0 5", "* failed 1 481; * ended"),
        ("", "take 1 0 -", "* failed 1 481; * ended"),
        ("", "give 0 1", "to 9 for 1: nothing; * ended"),
        (OFFERED, "audio 1 5=busy", "* done 1"),
        (OFFERED, "digits 1 0 5", "* failed 1 481"),
        (OFFERED, "digits 1 9 5", "* failed 1 481"),
        (OFFERED, "give 0 1", "to 9 for 1: nothing"),
        (OFFERED, "give 9 1", "to 9 for 1: nothing"),
        (OFFERED, "take 1 1 -", "* failed 1 481"),
        (RINGING, "audio 1 0=1 1=0", "* done 1"),
        (TALK, "audio 1 0=1 1=0", "* done 1"),
        (TALK, "audio 1", "* done 1"),
        (TALK, "audio 1 0=1", "0: re-INVITE PLANE; 1: re-INVITE PLANE"),
        (CLIMBING, "audio 2 0=1 1=0", ""),
        (CLIMBING, "audio 1 0=music", ""),
        (
            CLIMBING,
            "0: ended",
            "* released 0 Device; 1: BYE; * released 1 Server; * failed 1 481; 0 closed; 1 closed; * ended",
        ),
        (ANCHORED, "audio 2 0=music", "* done 2"),
        (ANCHORED, "digits 2 0 12,3", "0 digits 12,3; * done 2"),
        (
            GIVING,
            "release 1",
            "1: BYE; * released 1 Server; 0: BYE; * released 0 Server; to 9 for 4: nothing; 0 closed; 1 closed; * ended",
        ),
        (ENDED, "audio 1 0=music", ""),
        (ENDED, "give 0 1", "to 9 for 1: nothing"),
        (ENDED, "take 1 1 -", ""),
        (ENDED, "take 1 1 3", "m3: BYE; m3 closed"),
    ]);
}

#[test]
fn operations_wait_in_their_order_and_only_so_many_do() {
    let mut scene = Scene::run(CLIMBING);
    for operation in 2..=32 {
        assert_eq!(scene.step(&format!("audio {operation} 0=busy")), "");
    }
    assert_eq!(scene.step("audio 33 0=busy"), "* failed 33 503");
    scene.step("0: re-answered a2");
    let done = scene.step("1: re-answered b2");
    let order: Vec<String> = (1..=32).map(|operation| format!("* done {operation}")).collect();
    let answered: Vec<&str> = done.split("; ").filter(|line| line.starts_with("* done")).collect();
    assert_eq!(answered, order);
}

#[test]
fn a_plan_has_no_more_rows_than_there_can_be_parties() {
    check(&[
        ("> set small\n> offered 0 a", "audio 1 0=1 1=0 2=1", "* failed 1 400"),
        ("> set small\n> offered 0 a", "audio 1 0=1 1=0", "* done 1"),
    ]);
}

#[test]
fn a_conference_has_room_for_so_many_parties() {
    check(&[
        (
            "> set small\n> offered 0 a\n> make 1 b",
            "make 2 c",
            "* released 2 Network 503",
        ),
        (
            "> set small\n> offered 0 a\n> make 1 b",
            "take 1 5 1",
            "m1: BYE; m1 closed; * failed 1 503",
        ),
    ]);
}

const TO_ANSWER: &str = "> offered 0 a\n> make 1 b1,b2\n> answer 1 1";
const TOLD: &str = "> offered 0 a\n> make 1 b1,b2\n> answer 1 1\n> 1: progress 180\n> 2: progress 180";
const ONE_TOLD: &str = "> offered 0 a\n> make 1 b\n> 1: progress 180\n> answer 1 1";

#[test]
fn a_ringing_device_is_asked_to_answer() {
    check(&[
        ("", "answer 1 1", "* failed 1 481; * ended"),
        (CALLING, "answer 1 1", ""),
        (RINGING, "answer 1 1", "1: NOTIFY talk"),
        (RINGING, "answer 1 0", "* failed 1 481"),
        (RINGING, "answer 1 9", "* failed 1 481"),
        (TALK, "answer 1 1", "* done 1"),
        (TALK, "answer 1 0", "* done 1"),
        (ENDED, "answer 1 1", ""),
        (ONE_TOLD, "answer 1 1", ""),
    ]);
}

#[test]
fn a_wish_is_answered_by_what_the_devices_say() {
    check(&[
        (ONE_TOLD, "1: talked 200", "* done 1"),
        (ONE_TOLD, "1: talked 202", "* done 1"),
        (ONE_TOLD, "1: talked 489", "* failed 1 489 Device"),
        (ONE_TOLD, "1: talked 408", "* failed 1 408 Device"),
        (
            ONE_TOLD,
            "1: answered b",
            "1: ACK; 0: 200 b; * connected 1; * connected 0; * done 1",
        ),
        (ONE_TOLD, "1: failed 486", "* released 1 Device 486; * failed 1 481"),
        (
            ONE_TOLD,
            "wait 60000",
            "1: CANCEL q850=19; * released 1 Network 480 q850=19; * failed 1 481",
        ),
        (
            ONE_TOLD,
            "release 1 603",
            "1: CANCEL; * released 1 Server 603; * failed 1 481",
        ),
        (
            ONE_TOLD,
            "0: cancelled",
            "* released 0 Device 487; 1: CANCEL; * released 1 Server; * failed 1 481",
        ),
        (TOLD, "1: talked 489", ""),
        (&format!("{TOLD}\n> 1: talked 489"), "2: talked 405", "* failed 1 489 Device"),
        (&format!("{TOLD}\n> 1: talked 489"), "2: talked 200", "* done 1"),
        (&format!("{TOLD}\n> 1: talked 200"), "2: talked 489", ""),
        (&format!("{TOLD}\n> 1: talked 489"), "2: failed 486", "* failed 1 489 Device"),
        (&format!("{TOLD}\n> 1: talked 489\n> 2: talked 489"), "1: failed 486", ""),
        (&format!("{TOLD}\n> 1: failed 486"), "2: talked 489", "* failed 1 489 Device"),
        (&format!("{TOLD}\n> 1: failed 486"), "1: talked 200", ""),
        (RINGING, "1: talked 200", ""),
        (&format!("{ONE_TOLD}\n> 1: talked 200"), "1: talked 489", ""),
    ]);
}

#[test]
fn a_device_that_rings_only_later_is_waited_for() {
    let mut scene = Scene::run(TO_ANSWER);
    assert_eq!(scene.step("1: progress 180"), "* alerting 1; 0: 180; 1: NOTIFY talk");
    assert_eq!(scene.step("1: talked 489"), "");
    assert_eq!(scene.step("2: progress 180"), "2: NOTIFY talk");
    assert_eq!(scene.step("2: talked 200"), "* done 1");
}

#[test]
fn a_wish_that_comes_before_the_device_rings_is_told_when_it_does() {
    check(&[
        (TO_ANSWER, "1: progress 180", "* alerting 1; 0: 180; 1: NOTIFY talk"),
        (TO_ANSWER, "1: progress 183 e", "* alerting 1; 0: 183 e; 1: NOTIFY talk"),
        (TO_ANSWER, "1: progress 199", ""),
        (TO_ANSWER, "1: failed 486", ""),
        (
            TO_ANSWER,
            "1: answered b",
            "1: ACK; 0: 200 b; 2: CANCEL elsewhere; * connected 1; * connected 0; * done 1",
        ),
        ("> make 0 a1\n> answer 1 0", "1: progress 180", "* alerting 0; 1: NOTIFY talk"),
    ]);
}

#[test]
fn every_device_of_the_party_is_told_to_answer_once() {
    let mut scene = Scene::run(TO_ANSWER);
    assert_eq!(scene.step("1: progress 180"), "* alerting 1; 0: 180; 1: NOTIFY talk");
    assert_eq!(scene.step("1: talked 200"), "* done 1");
    assert_eq!(scene.step("1: progress 180"), "");
    assert_eq!(
        scene.step("2: progress 180"),
        "2: NOTIFY talk",
        "also when one follows already"
    );
    assert_eq!(scene.step("2: progress 183 e"), "0: 183 e");
    assert_eq!(
        scene.step("2: answered b"),
        "2: ACK; 0: 200 b; 1: CANCEL elsewhere; * connected 1; * connected 0"
    );
    assert_eq!(scene.step("1: progress 180"), "");
}

#[test]
fn a_second_wish_is_told_to_those_who_refused() {
    let mut scene = Scene::run(TOLD);
    assert_eq!(scene.step("answer 2 1"), "", "they were told");
    assert_eq!(scene.step("1: talked 503"), "");
    assert_eq!(scene.step("2: talked 489"), "* failed 1 503 Device; * failed 2 503 Device");
    assert_eq!(scene.step("answer 3 1"), "1: NOTIFY talk; 2: NOTIFY talk");
    assert_eq!(scene.step("2: talked 489"), "");
    assert_eq!(scene.step("1: talked 200"), "* done 3");
    assert_eq!(scene.step("answer 4 1"), "2: NOTIFY talk; * done 4");
    assert_eq!(scene.step("answer 3 1"), "* done 3", "asked again under its id");
}

#[test]
fn only_so_many_wait_for_an_answer() {
    let mut scene = Scene::run(ONE_TOLD);
    for operation in 2..=32 {
        assert_eq!(scene.step(&format!("answer {operation} 1")), "");
    }
    assert_eq!(scene.step("answer 33 1"), "* failed 33 503");
}

#[test]
fn nothing_else_waits_for_a_wish() {
    let mut scene = Scene::run(ONE_TOLD);
    assert_eq!(scene.step("audio 2 0=1 1=0"), "* done 2");
    assert_eq!(scene.step("digits 3 0 5"), "* failed 3 481");
    assert_eq!(scene.step("1: talked 200"), "* done 1");
}

#[test]
fn a_wish_outlives_a_crash_of_the_conference() {
    // Whoever is called when the process is killed is called no more, and nobody's wish is kept then (`recovery`). A conference that crashed
    // alone goes on from a clone.
    let mut scene = Scene::run(TO_ANSWER);
    scene.conference = scene.conference.clone();
    assert_eq!(scene.step("1: progress 180"), "* alerting 1; 0: 180; 1: NOTIFY talk");
    scene.conference = scene.conference.clone();
    assert_eq!(scene.step("1: talked 200"), "* done 1");
}

#[test]
fn a_wish_is_its_partys_alone() {
    let mut scene = Scene::run(TALK);
    scene.step("make 2 c");
    scene.step("make 3 d");
    scene.step("answer 1 2");
    assert_eq!(scene.step("3: progress 180"), "* alerting 3");
    assert_eq!(scene.step("2: progress 180"), "* alerting 2; 2: NOTIFY talk");
    assert_eq!(scene.step("3: talked 200"), "");
    assert_eq!(scene.step("2: talked 489"), "* failed 1 489 Device");
}

#[test]
fn a_caller_is_connected_as_it_is() {
    check(&[
        (OFFERED, "connect 0", "0: 200 PLANE; * connected 0"),
        ("> offered 0", "connect 0", "0: 200 PLANE; * connected 0"),
        (OFFERED, "connect 9", ""),
        (RINGING, "connect 1", ""),
        (TALK, "connect 0", ""),
        (
            "> offered 0\n> connect 0",
            "0: acked",
            "0: BYE; * released 0 Network 488; 0 closed; * ended",
        ),
        ("> offered 0\n> connect 0", "0: reoffered a2", "0: re-491"),
        ("> offered 0\n> connect 0\n> 0: acked a", "0: reoffered a2", "0: re-200 PLANE"),
        ("> offered 0 a\n> connect 0", "wait 1000000", ""),
        (
            "> offered 0 a\n> connect 0\n> take 1 5 3",
            "0: ended",
            "* released 0 Device; 0 closed; m3 hears -",
        ),
        ("> offered 0 a\n> connect 0\n> take 1 5 3\n> 0: ended", "wait 1000000", ""),
        (
            "> offered 0 a\n> make 1 b\n> 1: progress 180\n> connect 0",
            "1: answered b",
            "1: ACK; * connected 1; 1: re-INVITE PLANE; 0 hears 1",
        ),
    ]);
}

#[test]
fn a_caller_that_hears_something_waits_longer() {
    check(&[
        ("> offered 0 a\n> audio 1 0=music", "wait 179999", ""),
        (
            "> offered 0 a\n> audio 1 0=music",
            "wait 180000",
            "0: 503; * released 0 Network 503; 0 closed; * ended",
        ),
        ("> offered 0\n> audio 1 0=music", "wait 1", ""),
    ]);
}

#[test]
fn a_transfer_that_a_device_asks_for_has_one_end() {
    check(&[
        (TALK, "transfer 1 7", "* transfer 1 by 1"),
        (TALK, "1: referred 7", "1: refer 7 481"),
        (OFFERED, "transfer 0 7", ""),
        (RINGING, "transfer 1 7", ""),
        (TALK, "transfer 9 7", ""),
        (REFERRED, "transfer 1 7", ""),
        (REFERRED, "transfer 1 8", "* transfer 2 by 1"),
        (REFERRED, "progress 1 100", "1: refer 7 100"),
        (REFERRED, "progress 1 603", "1: refer 7 603"),
        (REFERRED, "progress 1 99", ""),
        (REFERRED, "progress 1 700", ""),
        (REFERRED, "progress 2 200", ""),
        (
            REFERRED,
            "release 1",
            "1: refer 7 487; 1: BYE; * released 1 Server; 0: BYE; * released 0 Server; * ended",
        ),
        (
            REFERRED,
            "1: ended",
            "* released 1 Device; 0: BYE; * released 0 Server; 1: refer 7 487; * ended",
        ),
        (REFERRED, "wait 10000", "1: refer 7 503"),
        (
            "> offered 0 a\n> make 1 b\n> 1: answered b\n> transfer 1 7\n> progress 1 100",
            "wait 10000",
            "",
        ),
        (
            "> offered 0 a\n> make 1 b\n> 1: answered b\n> transfer 1 7\n> progress 1 200",
            "progress 1 200",
            "",
        ),
        (
            "> offered 0 a\n> make 1 b\n> 1: answered b\n> transfer 1 1\n> transfer 1 2\n> transfer 1 3\n> transfer 1 4",
            "transfer 1 5",
            "1: refer 5 491",
        ),
    ]);
}

/// It has hung up, and the target rings for the other.
#[test]
fn a_device_that_hung_up_hears_how_its_transfer_ended() {
    const LEFT: &str =
        "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> transfer 1 7\n> progress 1 100\n> make 2 c\n> 1: ended";
    check(&[
        (LEFT, "progress 1 200", "1: refer 7 200"),
        (LEFT, "wait 10000", "1: refer 7 503"),
        (&format!("{LEFT}\n> progress 1 180"), "wait 10000", "1: refer 7 503"),
        (&format!("{LEFT}\n> progress 1 200"), "progress 1 603", ""),
    ]);
}

/// Whom it talked to is brought to its other call, and it hangs up in this one, which the REFER came in.
#[test]
fn a_conference_in_which_a_transfer_was_accepted_ends_with_the_transfer() {
    const LEFT: &str = "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> transfer 1 7\n> give 0 4\n> 0: re-answered a2\n> 1: \
                        re-answered b2\n> progress 1 100";
    check(&[
        (LEFT, "1: ended", "* released 1 Device; 1 closed"),
        (&format!("{LEFT}\n> 1: ended"), "progress 1 200", "1: refer 7 200; * ended"),
        (&format!("{LEFT}\n> 1: ended"), "progress 1 180", "1: refer 7 180"),
        (&format!("{LEFT}\n> 1: ended"), "wait 10000", "1: refer 7 503; * ended"),
        (&format!("{LEFT}\n> 1: ended"), "release-all", "1: refer 7 487; * ended"),
        (&format!("{LEFT}\n> 1: ended"), "abort", "1: refer 7 487; * ended"),
        (&format!("{LEFT}\n> 1: ended"), "give 1 5", "to 9 for 5: nothing"),
        (
            &format!("{LEFT}\n> 1: ended"),
            "take 5 5 3",
            "m3: BYE; m3 closed; * failed 5 481",
        ),
        (&format!("{LEFT}\n> 1: ended"), "make 5 c", "* released 5 Network 481"),
        (
            LEFT,
            "release 1",
            "1: refer 7 487; 1: BYE; * released 1 Server; 1 closed; * ended",
        ),
    ]);
}

#[test]
fn a_transfer_waits_for_the_t_server_side_only_so_long() {
    let waits = |script: &str| Scene::run(script).conference.next_timeout().is_some();
    assert!(waits(REFERRED));
    assert!(!waits(&format!("{REFERRED}\n> progress 1 100")));
}

#[test]
fn a_party_leaves_when_its_media_is_with_the_plane() {
    check(&[
        (ANCHORED, "give 1 2", "* moved 1; to 9 for 2: leg 1"),
        (GIVING, "0: re-failed 488", "0 closed"),
        (ALONE, "give 0 2", "* moved 0; to 9 for 2: leg 1; * ended"),
        (
            "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> give 1 4\n> 0: re-answered a2",
            "1: re-failed 488",
            "to 9 for 4: nothing; 0: re-INVITE b; 1 closed; 0 hears -",
        ),
        (
            "> offered 0 a\n> make 1 b\n> 1: answered b\n> 0: acked\n> transfer 1 7\n> audio 1 0=music\n> 0: re-answered a2\n> 1: \
             re-answered b2",
            "give 1 2",
            "1: refer 7 487; * moved 1; to 9 for 2: leg 1",
        ),
    ]);
}

#[test]
fn a_party_comes_from_another_conference() {
    check(&[
        ("", "take 1 5 3", "* done 1; m3 hears -"),
        ("> take 1 5 3", "take 1 5 3", ""),
        ("> take 1 5 3", "take 2 5 4", "m4: BYE; m4 closed; * failed 2 491"),
        (
            "> take 1 5 3",
            "wait 10000",
            "m3: BYE; * released 5 Network; m3 closed; * ended",
        ),
        ("> take 1 5 3", "take 2 6 4", "* done 2; m3 hears m4; m4 hears m3"),
        (
            TALK,
            "take 1 5 3",
            "* done 1; 0: re-INVITE PLANE; 1: re-INVITE PLANE; m3 hears 0,1",
        ),
        (OFFERED, "take 1 5 3", "* done 1; m3 hears -"),
        (
            "> offered 0 a\n> take 1 5 3",
            "connect 0",
            "0: 200 PLANE; * connected 0; 0 hears m3; m3 hears 0",
        ),
    ]);
}
