//! Hold, retrieve, mute, digits (reference ch. 9.4), by request and by phone.

use super::stage::{CAROL, CONSULT, OTHER, Stage};
use super::*;
use crate::link::AudioSource;
use crate::request::{OnCall, OnCallWith, OnTwoCalls};

#[test]
fn only_the_holding_party_is_told_and_the_other_one_hears_music() {
    let mut stage = Stage::talking();
    stage.on(OnCall::HoldCall, BOB, CONN).says(
        "link: audio
         bob EventHeld* a1 Destination > alice Origination Ok",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<");
    stage.on(OnCall::HoldCall, BOB, CONN).says("only bob EventError* 43");
    stage.on(OnCall::RetrieveCall, BOB, CONN).says(
        "link: audio
         bob EventRetrieved* a1 Destination > alice Origination Ok",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
    stage.on(OnCall::RetrieveCall, BOB, CONN).says("only bob EventError* 43");
}

#[test]
fn both_may_hold() {
    let mut stage = Stage::talking();
    stage.on(OnCall::HoldCall, BOB, CONN).on(OnCall::HoldCall, ALICE, CONN).says(
        "link: audio
         bob EventHeld* a1 Destination > alice Origination Ok
         link: audio
         alice EventHeld* a1 Origination > bob Destination Ok",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice< bob<");
    stage.on(OnCall::RetrieveCall, BOB, CONN);
    assert_eq!(stage.hearing(CONFERENCE), "alice< bob<music");
}

#[test]
fn a_hold_by_the_phone_is_the_same_without_a_reference_id() {
    let mut stage = Stage::talking();
    stage.holds_by_phone(BOB, true).holds_by_phone(BOB, true).says(
        "bob EventHeld a1 Destination > alice Origination Ok
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<");
    stage.holds_by_phone(BOB, false).says(
        "bob EventRetrieved a1 Destination > alice Origination Ok
         link: audio",
    );
    stage.holds_by_phone(BOB, false).says("");
}

#[test]
fn a_hold_that_the_connector_cannot_do_leaves_the_call_as_it_was() {
    let mut stage = Stage::talking();
    stage.refuse = Some(488);
    stage.on(OnCall::HoldCall, BOB, CONN).says(
        "link: audio
         only bob EventError* 1140",
    );
    stage.refuse = None;
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
    stage.on(OnCall::HoldCall, BOB, CONN).says(
        "link: audio
         bob EventHeld* a1 Destination > alice Origination Ok",
    );
}

#[test]
fn a_second_operation_waits_for_nobody() {
    let mut stage = Stage::talking();
    stage.refuse = Some(0);
    stage
        .on(OnCall::HoldCall, BOB, CONN)
        .on(OnCall::HoldCall, ALICE, CONN)
        .with(OnCallWith::InitiateTransfer, ALICE, CONN, "carol")
        .says(
            "link: audio
             only alice EventError* 291
             only alice EventError* 291",
        );
    stage.catch_up().says("bob EventHeld* a1 Destination > alice Origination Ok");
}

#[test]
fn a_connector_that_stays_silent_fails_the_operation() {
    let mut stage = Stage::talking();
    stage.refuse = Some(0);
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.now = stage.call.next_timeout().unwrap();
    stage.input(CallInput::Timeout).says(
        "only bob EventError* 236
         link: audio",
    );
    stage.catch_up().says("");
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob bob<alice");
}

#[test]
fn a_party_that_leaves_ends_the_operation() {
    let mut stage = Stage::talking();
    stage.refuse = Some(0);
    stage.on(OnCall::HoldCall, BOB, CONN).forget().hangs_up(ALICE).says(
        "alice EventReleased a1 Origination > bob Destination Ok
         bob EventReleased a1 Destination > alice Origination Ok
         only bob EventError* 237
         link: release 2
         closed a1 answered
         finished",
    );
}

#[test]
fn who_does_not_talk_cannot_hold() {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    stage
        .forget()
        .on(OnCall::HoldCall, ALICE, CONN)
        .on(OnCall::RetrieveCall, BOB, CONN)
        .on(OnCall::SetMuteOn, BOB, CONN)
        .on(OnCall::HoldCall, "sip:carol@tandem.local", CONN)
        .on(OnCall::HoldCall, BOB, ConnId(1))
        .says(
            "only alice EventError* 496
             only bob EventError* 496
             only bob EventError* 496
             only carol EventError* 470
             only bob EventError* 56",
        );
}

#[test]
fn a_muted_party_is_heard_by_nobody() {
    let mut stage = Stage::conference();
    stage.on(OnCall::SetMuteOn, BOB, CONN).says(
        "link: audio
         bob EventMuteOn* a1 ConferenceMember Ok",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol bob<alice+carol carol<alice");
    stage.on(OnCall::SetMuteOn, BOB, CONN).says("only bob EventError* 43");
    stage.on(OnCall::SetMuteOff, BOB, CONN).says(
        "link: audio
         bob EventMuteOff* a1 ConferenceMember Ok",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob+carol bob<alice+carol carol<alice+bob");
}

#[test]
fn a_conference_hears_no_music_when_one_holds() {
    let mut stage = Stage::conference();
    stage.on(OnCall::HoldCall, BOB, CONN);
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol bob< carol<alice");
}

fn hold_with(stage: &mut Stage, dn: &str, music: impl Into<KvValue>) {
    stage.ask(Request::OnCall {
        operation: OnCall::HoldCall,
        this_dn: dn.into(),
        conn_id: CONN,
        reasons: KvList::new(),
        extensions: [("music", music.into())].into_iter().collect(),
    });
}

#[test]
fn a_conference_hears_music_when_who_holds_asks_for_it_and_talks_on() {
    let yes: [KvValue; 3] = [KvValue::Int(1), "true".into(), "waltz.wav".into()];
    for music in yes {
        let mut stage = Stage::conference();
        hold_with(&mut stage, BOB, music.clone());
        stage.says(
            "link: audio
             bob EventHeld* a1 ConferenceMember Ok",
        );
        let hearing = "alice<carol+music bob< carol<alice+music";
        assert_eq!(stage.hearing(CONFERENCE), hearing, "{music:?}");
        stage.restart();
        assert_eq!(stage.hearing(CONFERENCE), hearing, "{music:?}");
        stage.on(OnCall::RetrieveCall, BOB, CONN).on(OnCall::HoldCall, BOB, CONN);
        assert_eq!(
            stage.hearing(CONFERENCE),
            "alice<carol bob< carol<alice",
            "it was for that hold"
        );
    }
}

#[test]
fn music_is_left_out_or_chosen_by_name_for_a_single_party() {
    let mut stage = Stage::talking();
    hold_with(&mut stage, BOB, 0);
    assert_eq!(stage.hearing(CONFERENCE), "alice< bob<");
    stage.on(OnCall::RetrieveCall, BOB, CONN);
    hold_with(&mut stage, BOB, "waltz.wav");
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<");
    let plan = stage.plans.get(&CONFERENCE).unwrap();
    let named = AudioSource::Music(Some("waltz.wav".into()));
    assert!(plan.rows.iter().any(|row| row.sources.contains(&named)), "{plan:?}");
    for wrong in [
        KvValue::Int(2),
        "".into(),
        "x".repeat(256).into(),
        KvValue::List(KvList::new()),
    ] {
        let mut stage = Stage::talking();
        hold_with(&mut stage, BOB, wrong);
        stage.says("only bob EventError* 53");
    }
}

#[test]
fn digits_go_to_the_others() {
    let mut stage = Stage::talking();
    let digits = |text: &str| Request::SendDtmf {
        this_dn: BOB.into(),
        conn_id: CONN,
        dtmf_digits: text.to_owned(),
        reasons: KvList::new(),
        extensions: KvList::new(),
    };
    stage.ask(digits("12#d")).says(
        "link: digits 12#D to 1
         bob EventDTMFSent* a1 Destination > alice Origination Ok",
    );
    stage.ask(digits("12x")).ask(digits("")).says(
        "only bob EventError* 53
         only bob EventError* 53",
    );
    stage.refuse = Some(481);
    stage.ask(digits("1")).says(
        "link: digits 1 to 1
         only bob EventError* 237",
    );
    let mut stage = Stage::conference();
    stage.ask(digits("1")).says(
        "link: digits 1 to 3
         link: digits 1 to 1
         bob EventDTMFSent* a1 ConferenceMember Ok",
    );
}

#[test]
fn two_calls_have_to_be_two() {
    let mut stage = Stage::talking();
    stage
        .two(OnTwoCalls::AlternateCall, BOB, CONN, CONN)
        .says("only bob EventError* 56");
    stage.two(OnTwoCalls::AlternateCall, BOB, CONN, ConnId(9)).says(
        "absorb
         only bob EventError* 56",
    );
}

#[test]
fn a_phone_that_holds_while_the_other_rings_has_it_on_hold_from_its_answer_on() {
    let mut stage = Stage::talking();
    stage.with(OnCallWith::InitiateTransfer, BOB, CONN, "carol").forget();
    stage.holds_by_phone(BOB, true).says("");
    stage.answers(CAROL).says(
        "carol EventEstablished b1 Destination > bob Origination Ok
         bob EventEstablished b1 Origination > carol Destination Ok
         bob EventHeld b1 Origination > carol Destination Ok
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob< carol<music");
    stage.holds_by_phone(BOB, false).says(
        "bob EventRetrieved b1 Origination > carol Destination Ok
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<carol carol<bob");
}

#[test]
fn nobody_but_the_phone_ends_the_hold_of_the_phone() {
    let mut stage = Stage::talking();
    stage.holds_by_phone(BOB, true).forget();
    stage
        .on(OnCall::RetrieveCall, BOB, CONN)
        .on(OnCall::HoldCall, BOB, CONN)
        .says(
            "only bob EventError* 496
             only bob EventError* 43",
        );
    stage.holds_by_phone(BOB, false).says(
        "bob EventRetrieved a1 Destination > alice Origination Ok
         link: audio",
    );
    stage.on(OnCall::RetrieveCall, BOB, CONN).says("only bob EventError* 43");
}

#[test]
fn what_a_client_holds_stays_on_hold_when_the_phone_resumes() {
    let mut stage = Stage::talking();
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.holds_by_phone(BOB, true).says("");
    stage.on(OnCall::RetrieveCall, BOB, CONN).says("only bob EventError* 496");
    stage.holds_by_phone(BOB, false).says("");
    stage.on(OnCall::RetrieveCall, BOB, CONN).says(
        "link: audio
         bob EventRetrieved* a1 Destination > alice Origination Ok",
    );
}

#[test]
fn a_phone_that_holds_while_its_call_is_retrieved_wins() {
    let mut stage = Stage::talking();
    stage.on(OnCall::HoldCall, BOB, CONN).forget();
    stage.refuse = Some(0);
    stage.on(OnCall::RetrieveCall, BOB, CONN).holds_by_phone(BOB, true);
    stage.catch_up().says(
        "link: audio
         only bob EventError* 496
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<");
}

#[test]
fn who_holds_by_phone_still_does_in_the_conference_that_the_desktop_completes() {
    let mut stage = Stage::consulted();
    stage.holds_by_phone(BOB, true).forget();
    stage.two(OnTwoCalls::CompleteConference, BOB, CONN, CONSULT).says(
        "link: audio
         bob EventReleased* b1 Origination > carol Destination Conferenced
         alice EventPartyAdded a1 ConferenceMember > carol NewParty by bob AddedBy Conferenced
         bob EventPartyAdded a1 ConferenceMember > carol NewParty by bob AddedBy Conferenced
         carol EventPartyChanged a1 ConferenceMember by bob ConferencedBy Conferenced was b1
         closed b1 answered",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<carol bob< carol<alice");
    stage.on(OnCall::RetrieveCall, BOB, CONN).says("only bob EventError* 496");
    stage.holds_by_phone(BOB, false).says(
        "bob EventRetrieved a1 ConferenceMember Ok
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<bob+carol bob<alice+carol carol<alice+bob");
}

#[test]
fn a_consultation_out_of_a_call_that_the_phone_holds_is_on_hold_until_the_phone_resumes() {
    let mut stage = Stage::talking();
    stage
        .holds_by_phone(BOB, true)
        .with(OnCallWith::InitiateTransfer, BOB, CONN, "carol")
        .forget();
    stage.answers(CAROL).says(
        "carol EventEstablished b1 Destination > bob Origination Ok
         bob EventEstablished b1 Origination > carol Destination Ok
         bob EventHeld b1 Origination > carol Destination Ok
         link: audio",
    );
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob< carol<music");
    stage
        .two(OnTwoCalls::ReconnectCall, BOB, CONN, CONSULT)
        .says("only bob EventError* 496");
    stage.holds_by_phone(BOB, false).says(
        "bob EventRetrieved b1 Origination > carol Destination Ok
         link: audio",
    );
    stage.two(OnTwoCalls::ReconnectCall, BOB, CONN, CONSULT).says(
        "link: audio
         bob EventReleased b1 Origination > carol Destination Ok
         carol EventReleased b1 Destination > bob Origination Ok
         closed b1 answered
         bob EventRetrieved* a1 Destination > alice Origination Ok
         link: release 3",
    );
}

#[test]
fn nobody_is_alternated_to_a_line_of_a_phone_that_holds_it() {
    let mut stage = Stage::talking().second_line();
    stage.holds_by_phone_at((CONFERENCE, B), true).forget();
    stage.two(OnTwoCalls::AlternateCall, BOB, CONN, OTHER).says(
        "absorb
         only bob EventError* 496",
    );
    stage.holds_by_phone_at((CONFERENCE, B), false).says(
        "bob EventRetrieved a1 Destination > alice Origination Ok
         link: audio",
    );
}

#[test]
fn nobody_is_reconnected_to_a_phone_that_holds() {
    let mut stage = Stage::consulting();
    stage
        .holds_by_phone(BOB, true)
        .two(OnTwoCalls::ReconnectCall, BOB, CONN, CONSULT)
        .says("only bob EventError* 496");
    stage.hangs_up(CAROL).forget();
    // The consultation had put the main call on hold: a client takes it back when the phone can.
    stage.holds_by_phone(BOB, false).says("");
    stage.on(OnCall::RetrieveCall, BOB, CONN).says(
        "link: audio
         bob EventRetrieved* a1 Destination > alice Origination Ok",
    );
}
