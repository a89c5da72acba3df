//! AnswerCall: who is told, what comes of it, and what can be asked meanwhile.

use super::phone::take_place;
use super::recovery::{asked, status};
use super::stage::*;
use super::*;
use crate::link::PartyProgress;
use crate::request::{OnCall, OnCallWith, OnTwoCalls};
use crate::{TError, TErrorCode};

/// Alice calls Bob, whose phone rings.
fn ringing() -> Stage {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    stage.forget();
    stage
}

/// And his desktop has answered; the connector says this to it (none: that the phone will).
fn answering(refuse: Option<u16>) -> Stage {
    let mut stage = ringing();
    stage.refuse = refuse;
    stage.on(OnCall::AnswerCall, BOB, CONN).refuse = None;
    stage
}

/// The error that a request was answered with.
fn error(stage: &Stage) -> &TError {
    let mut errors = stage.out.iter().filter_map(|output| match output {
        CallOutput::Answer { event, .. } => event.error.as_ref(),
        _ => None,
    });
    errors.next_back().expect("an error")
}

#[test]
fn the_phone_is_told_and_its_answer_answers_the_request() {
    let mut stage = ringing();
    stage
        .on(OnCall::AnswerCall, BOB, CONN)
        .on(OnCall::AnswerCall, BOB, CONN)
        .says(
            "link: answer 2
             only bob EventError* 291",
        );
    stage.answers(BOB).on(OnCall::AnswerCall, BOB, CONN).says(
        "bob EventEstablished* a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > bob Destination Ok
         only bob EventError* 43",
    );
    // Alice has dialled on her phone: there is nothing to answer for her.
    let mut stage = ringing();
    stage.on(OnCall::AnswerCall, ALICE, CONN).says("only alice EventError* 496");
}

#[test]
fn the_reasons_of_the_request_are_echoed() {
    let mut stage = ringing();
    let reasons: KvList = [("why", "because")].into_iter().collect();
    stage.ask(Request::OnCall {
        operation: OnCall::AnswerCall,
        this_dn: BOB.into(),
        conn_id: CONN,
        reasons: reasons.clone(),
        extensions: KvList::new(),
    });
    stage.answers(BOB);
    let told = stage.out.iter().filter_map(|output| match output {
        CallOutput::Event { event, requestor } => Some((requestor.is_some(), event.reasons.clone())),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(true, reasons), (false, KvList::new())]);
}

#[test]
fn a_phone_that_does_not_follow_is_told_at_once() {
    for (status, code, text) in [
        (
            489,
            TErrorCode::UnsupportedOperation,
            "it does not take `Event: talk` (SIP status 489)",
        ),
        (
            405,
            TErrorCode::UnsupportedOperation,
            "it does not take `Event: talk` (SIP status 405)",
        ),
        (
            403,
            TErrorCode::UnsupportedOperation,
            "it refuses `Event: talk` (SIP status 403)",
        ),
        (408, TErrorCode::Timeout, "it says nothing to `Event: talk` (SIP status 408)"),
    ] {
        let mut stage = answering(Some(status));
        let expected = TError::new(code, format!("the phone cannot be made to answer: {text}"));
        assert_eq!(*error(&stage), expected);
        stage.says(&format!("link: answer 2\nonly bob EventError* {}", code.number()));
        // It rings on: another attempt, or its user.
        stage.on(OnCall::AnswerCall, BOB, CONN).answers(BOB).says(
            "link: answer 2
             bob EventEstablished* a1 Destination > alice Origination Ok
             alice EventEstablished a1 Origination > bob Destination Ok",
        );
        let mut stage = answering(Some(status));
        stage.forget().answers(BOB).says(
            "bob EventEstablished a1 Destination > alice Origination Ok
             alice EventEstablished a1 Origination > bob Destination Ok",
        );
    }
}

#[test]
fn a_refusal_of_the_connector_is_no_refusal_of_the_phone() {
    let mut stage = answering(Some(0));
    let (conference, operation, _) = stage.waiting[0].clone();
    let cause = Cause::status(ReleasedBy::Network, 503);
    let failed = LinkNotification::OperationFailed {
        conference,
        operation,
        cause,
    };
    stage
        .forget()
        .input(CallInput::Link(failed.clone()))
        .says("only bob EventError* 1140");
    stage.input(CallInput::Link(failed)).says("");
}

#[test]
fn a_phone_that_takes_the_wish_and_does_not_answer_is_told_when_it_stops_ringing() {
    let no_answer = Cause {
        q850: Some(19),
        ..Cause::status(ReleasedBy::Network, 480)
    };
    let mut stage = answering(None);
    stage.leaves(BOB, no_answer.clone());
    let expected = TError::new(TErrorCode::DnNoAnswer, "the phone has taken `Event: talk` and did not answer");
    assert_eq!(*error(&stage), expected);
    stage.says(
        "link: answer 2
         only bob EventError* 232
         bob EventReleased a1 Destination > alice Origination NoAnswer
         alice EventReleased a1 Origination > bob Destination NoAnswer
         link: release 1 480
         closed a1 no_answer
         finished",
    );
    let mut stage = answering(Some(0));
    stage.leaves(BOB, no_answer);
    assert_eq!(
        *error(&stage),
        TErrorCode::DnNoAnswer.into(),
        "nobody knows whether it was told"
    );
}

#[test]
fn a_phone_that_declines_says_why_there_was_no_answer() {
    for (status, code) in [(486, 231), (603, 233), (500, 234)] {
        let mut stage = answering(None);
        stage.forget().declines(BOB, status);
        assert_eq!(stage.lines[0], format!("only bob EventError* {code}"));
    }
}

#[test]
fn a_caller_that_hangs_up_ends_the_wish() {
    let mut stage = answering(None);
    stage.forget().hangs_up(ALICE).says(
        "alice EventReleased a1 Origination > bob Destination Ok
         only bob EventError* 237
         bob EventAbandoned a1 Destination > alice Origination Ok
         link: release 2
         closed a1 cancelled
         finished",
    );
}

#[test]
fn the_call_can_be_ended_and_passed_on_meanwhile() {
    for refuse in [None, Some(0)] {
        let mut stage = answering(refuse);
        stage.forget().release(BOB, CONN).says(
            "alice EventDestinationBusy a1 Origination > bob Destination Busy
             only bob EventError* 237
             bob EventReleased* a1 Destination > alice Origination Ok
             alice EventReleased a1 Origination > bob Destination Busy
             link: release 1 603
             link: release 2 603
             closed a1 rejected
             finished",
        );
        let mut stage = answering(refuse);
        stage.forget().with(OnCallWith::RedirectCall, BOB, CONN, "carol").says(
            "only bob EventError* 496
             bob EventReleased* a1 Destination > alice Origination by carol DeletedBy Redirected
             link: make 3 carol as alice
             link: release 2
             carol EventRinging a1 Destination > alice Origination by bob DeletedBy Redirected",
        );
        // What comes of the wish now means nothing to anybody.
        stage.catch_up().says("");
        stage.on(OnCall::AnswerCall, CAROL, CONN).answers(CAROL).says(
            "link: answer 3
             carol EventEstablished* a1 Destination > alice Origination Ok
             alice EventEstablished a1 Origination > carol Destination Ok",
        );
    }
}

#[test]
fn a_call_that_somebody_else_takes_is_not_answered_by_the_phone() {
    let mut stage = answering(None);
    stage.forget();
    take_place(&mut stage, BOB, CAROL);
    assert!(
        stage.lines.contains(&"only bob EventError* 496".to_owned()),
        "{:?}",
        stage.lines
    );
}

#[test]
fn the_other_phone_of_the_dn_answers_as_well() {
    let mut stage = answering(None);
    stage.forget();
    take_place(&mut stage, BOB, BOB);
    let established = "bob EventEstablished* a1 Destination > alice Origination Ok";
    assert!(stage.lines.contains(&established.to_owned()), "{:?}", stage.lines);
}

/// Alice's desktop calls Bob: her own phone rings first.
fn made() -> Stage {
    let mut stage = Stage::empty(CONN, CONFERENCE);
    stage.input(CallInput::Make(Box::new(make_of(ALICE, "bob")))).forget();
    stage
}

#[test]
fn the_phone_of_ones_own_call_is_told_to_answer_it() {
    let mut stage = made();
    stage
        .on(OnCall::AnswerCall, ALICE, CONN)
        .on(OnCall::AnswerCall, ALICE, CONN)
        .on(OnCall::AnswerCall, BOB, CONN)
        .says(
            "link: answer 1
             only alice EventError* 291
             only bob EventError* 470",
        );
    stage.answers(ALICE).says(
        "link: make 2 bob as alice
         bob EventRinging a1 Destination > alice Origination Ok",
    );
    stage.on(OnCall::AnswerCall, ALICE, CONN).says("only alice EventError* 496");
    stage.answers(BOB).says(
        "bob EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished* a1 Origination > bob Destination Ok",
    );
}

#[test]
fn ones_own_call_that_is_not_answered_says_which_side_did_not() {
    let mut stage = made();
    stage.on(OnCall::AnswerCall, ALICE, CONN).forget().declines(ALICE, 486);
    assert_eq!(stage.lines[0], "only alice EventError* 231");
    let mut stage = made();
    stage.on(OnCall::AnswerCall, ALICE, CONN).answers(ALICE).forget();
    stage.declines(BOB, 486).says(
        "alice EventDestinationBusy a1 Origination > bob Destination Busy
         bob EventReleased a1 Destination > alice Origination Busy
         only alice EventError* 237
         alice EventReleased a1 Origination > bob Destination Busy
         link: release 1 486
         closed a1 busy
         finished",
    );
    let mut stage = made();
    stage.refuse = Some(489);
    stage.on(OnCall::AnswerCall, ALICE, CONN).says(
        "link: answer 1
         only alice EventError* 51",
    );
}

#[test]
fn a_connector_that_stays_silent_about_the_phone_is_given_up() {
    let mut stage = answering(Some(0));
    stage.forget();
    stage.now = stage.call.next_timeout().unwrap();
    stage.input(CallInput::Timeout);
    assert_eq!(stage.lines[0], "only bob EventError* 236");
}

#[test]
fn a_wish_that_the_connector_has_not_answered_is_asked_again_under_its_id() {
    let both = [status(A, PartyProgress::Created), status(B, PartyProgress::Alerting)];
    let wishes = |stage: &mut Stage| {
        let asked = asked(stage).into_iter();
        asked
            .filter(|request| matches!(request, LinkRequest::AnswerParty { .. }))
            .collect::<Vec<_>>()
    };
    let mut stage = answering(Some(0));
    let first = wishes(&mut stage);
    assert_eq!(first.len(), 1);
    stage.told(&both);
    assert_eq!(wishes(&mut stage), first);
    let mut stage = answering(None);
    wishes(&mut stage);
    stage.told(&both);
    assert_eq!(wishes(&mut stage), [], "it is taken already");
    let mut stage = answering(Some(0));
    stage.forget().told(&both[..1]);
    assert!(
        stage.lines.contains(&"only bob EventError* 232".to_owned()),
        "it rings no more"
    );
    assert!(
        asked(&mut stage)
            .iter()
            .all(|request| !matches!(request, LinkRequest::AnswerParty { .. }))
    );
}

#[test]
fn a_wish_does_not_outlive_the_process_which_answers_for_itself() {
    let mut stage = answering(Some(0));
    assert!(stage.restart());
    stage.forget().catch_up().says("");
    stage.on(OnCall::AnswerCall, BOB, CONN).answers(BOB).says(
        "link: answer 2
         bob EventEstablished* a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > bob Destination Ok",
    );
}

#[test]
fn a_consulted_phone_is_told_to_answer_and_the_transfer_completed_meanwhile() {
    let mut stage = Stage::consulting();
    stage
        .on(OnCall::AnswerCall, CAROL, CONSULT)
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT)
        .forget();
    stage.answers(CAROL);
    let starred: Vec<&String> = stage.lines.iter().filter(|line| line.contains("EventEstablished*")).collect();
    assert_eq!(starred.len(), 1, "{:?}", stage.lines);
}
