//! The user data that a consultation, a second call or a single-step operation brings into a call.

use super::stage::*;
use super::*;
use crate::MergeType::{ForConference, ForTransfer};
use crate::link::TransferTarget;
use crate::request::{OnCall, OnCallWith, OnTwoCalls};

impl Stage {
    fn attaches(&mut self, dn: &str, conn_id: ConnId, pairs: &[(&str, &str)]) -> &mut Self {
        self.ask(Request::UpdateUserData {
            this_dn: dn.into(),
            conn_id,
            user_data: pairs.iter().copied().collect(),
        })
    }

    fn deletes(&mut self, dn: &str, conn_id: ConnId, key: &str) -> &mut Self {
        self.ask(Request::DeleteUserData {
            this_dn: dn.into(),
            conn_id,
            data_key: key.to_owned(),
        })
    }

    fn deletes_all(&mut self, dn: &str, conn_id: ConnId) -> &mut Self {
        self.ask(Request::DeleteAllUserData {
            this_dn: dn.into(),
            conn_id,
        })
    }

    #[track_caller]
    fn has(&self, conn_id: ConnId, expected: &[(&str, &str)]) {
        let conn = self.call.conn(conn_id).expect("the call is there");
        assert_eq!(*conn.user_data, expected.iter().copied().collect());
    }
}

/// The main call has {a, b, c, d} when Bob consults Carol, who answers; the request sets `b`.
fn consulted() -> Stage {
    let mut stage = Stage::talking();
    stage.attaches(BOB, CONN, &[("a", "0"), ("b", "0"), ("c", "0"), ("d", "0")]);
    stage.spare = CONSULT.0;
    let mut request = with_request(OnCallWith::InitiateTransfer, BOB, CONN, "carol");
    if let Request::OnCallWith { user_data, .. } = &mut request {
        user_data.set("b", "asked");
    }
    stage.ask(request).answers(CAROL).forget();
    stage
}

/// Both calls have gone their own way since.
fn grown_apart() -> Stage {
    let mut stage = consulted();
    stage
        .attaches(ALICE, CONN, &[("a", "main"), ("b", "main"), ("own", "main")])
        .deletes(BOB, CONN, "c")
        .attaches(CAROL, CONSULT, &[("e", "consult")])
        .deletes(CAROL, CONSULT, "d")
        .forget();
    stage
}

const MERGED: [(&str, &str); 4] = [("a", "main"), ("b", "asked"), ("own", "main"), ("e", "consult")];

#[test]
fn the_main_call_takes_what_was_done_in_the_consultation_and_keeps_what_it_did_itself() {
    for operation in [
        OnTwoCalls::CompleteTransfer,
        OnTwoCalls::CompleteConference,
        OnTwoCalls::MergeCalls(ForTransfer),
        OnTwoCalls::MergeCalls(ForConference),
    ] {
        for (one, two) in [(CONN, CONSULT), (CONSULT, CONN)] {
            let mut stage = grown_apart();
            stage.two(operation, BOB, one, two).has(CONN, &MERGED);
            let told = stage.out.iter().filter_map(|output| match output {
                CallOutput::Event { event, .. } if event.name == crate::EventName::EventAttachedDataChanged => Some(event),
                _ => None,
            });
            let told: Vec<_> = told.map(|event| event.user_data.as_deref().cloned()).collect();
            assert!(told.len() >= 2, "{operation:?}");
            assert!(
                told.iter().all(|told| *told == Some(MERGED.into_iter().collect())),
                "{told:?}"
            );
        }
    }
}

#[test]
fn nobody_is_told_of_data_where_a_consultation_did_nothing_to_it() {
    let mut stage = Stage::consulted();
    stage
        .attaches(ALICE, CONN, &[("a", "main")])
        .forget()
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT)
        .has(CONN, &[("a", "main")]);
    assert!(
        !stage.lines.iter().any(|line| line.contains("AttachedData")),
        "{:?}",
        stage.lines
    );
}

#[test]
fn a_consultation_that_deletes_all_deletes_what_it_had() {
    let mut stage = consulted();
    stage
        .attaches(ALICE, CONN, &[("own", "main")])
        .deletes_all(CAROL, CONSULT)
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT)
        .has(CONN, &[("own", "main")]);
    let mut stage = consulted();
    stage
        .deletes_all(ALICE, CONN)
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT)
        .has(CONN, &[("b", "asked")]);
}

#[test]
fn a_change_between_the_request_and_the_dialing_is_the_main_calls() {
    let mut stage = Stage::talking();
    stage.attaches(BOB, CONN, &[("a", "0")]);
    (stage.refuse, stage.spare) = (Some(0), CONSULT.0);
    stage
        .with(OnCallWith::InitiateTransfer, BOB, CONN, "carol")
        .attaches(ALICE, CONN, &[("a", "main")])
        .catch_up()
        .answers(CAROL)
        .has(CONSULT, &[("a", "0")]);
    stage
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT)
        .has(CONN, &[("a", "main")]);
}

#[test]
fn a_call_that_was_dialled_by_itself_is_taken_with_all_it_has() {
    let mut stage = Stage::talking().second_line();
    stage.attaches(BOB, CONN, &[("a", "main"), ("own", "main")]);
    stage.others[0].attaches(CAROL, OTHER, &[("a", "other"), ("b", "other")]);
    stage
        .on(OnCall::HoldCall, BOB, CONN)
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, OTHER)
        .has(CONN, &[("a", "other"), ("own", "main"), ("b", "other")]);
}

#[test]
fn who_consults_about_a_call_that_ends_in_another_one_consults_about_that() {
    let mut stage = grown_apart().second_line_of(ALICE, DAVE);
    stage.others[0]
        .attaches(DAVE, OTHER, &[("a", "dave"), ("d", "dave")])
        .on(OnCall::HoldCall, ALICE, OTHER);
    stage.two(OnTwoCalls::MergeCalls(ForTransfer), ALICE, CONN, OTHER);
    // The held call of the two goes on: Dave's.
    stage.has(OTHER, &[("a", "main"), ("d", "0"), ("b", "main"), ("own", "main")]);
    stage
        .two(OnTwoCalls::CompleteTransfer, BOB, OTHER, CONSULT)
        .has(OTHER, &[("a", "main"), ("b", "asked"), ("own", "main"), ("e", "consult")]);
}

#[test]
fn a_restart_keeps_what_the_consultation_had_at_first() {
    let mut stage = grown_apart();
    assert!(stage.restart());
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT).has(CONN, &MERGED);
}

#[test]
fn a_consultation_of_before_that_was_kept_is_taken_with_all_it_has() {
    let mut stage = grown_apart();
    let anchor = (
        stage.now,
        std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    );
    let mut value = serde_json::to_value(stage.call.snapshot(anchor).unwrap()).unwrap();
    let consultation = value["conns"][1]["consultation"].as_object_mut().unwrap();
    assert!(consultation.remove("copied").is_some());
    let read = serde_json::from_value::<CallSnapshot>(value).unwrap();
    let (numbering, settings) = (stage.call.numbering.clone(), stage.call.settings);
    let mut out = Vec::new();
    stage.call = Call::restore(read, numbering, settings, anchor, stage.now, &mut out);
    for input in stage.carry_out(out) {
        stage.input(input);
    }
    let all = [
        ("a", "0"),
        ("b", "asked"),
        ("d", "0"),
        ("own", "main"),
        ("c", "0"),
        ("e", "consult"),
    ];
    stage.two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT);
    let merged = stage.call.conn(CONN).unwrap().user_data.clone();
    assert_eq!(merged.len(), all.len());
    for (key, value) in all {
        assert_eq!(merged.text(key), Some(value));
    }
}

/// Half of what a call may have, and a little more.
fn bulk() -> String {
    "x".repeat(40_000)
}

#[test]
fn too_much_data_for_one_call_refuses_the_completion_before_anything_is_done() {
    for operation in [
        OnTwoCalls::CompleteTransfer,
        OnTwoCalls::CompleteConference,
        OnTwoCalls::MergeCalls(ForTransfer),
    ] {
        let mut stage = Stage::consulted();
        stage
            .attaches(ALICE, CONN, &[("main", &bulk())])
            .attaches(CAROL, CONSULT, &[("consult", &bulk())])
            .forget();
        stage.two(operation, BOB, CONN, CONSULT).says("only bob EventError* 223");
        assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<carol carol<bob");
        stage
            .deletes(ALICE, CONN, "main")
            .two(operation, BOB, CONN, CONSULT)
            .has(CONN, &[("consult", &bulk())]);
    }
}

#[test]
fn data_that_grows_during_the_completion_fails_it() {
    let mut stage = Stage::consulted();
    stage.attaches(CAROL, CONSULT, &[("consult", &bulk())]).forget();
    stage.refuse = Some(0);
    stage
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT)
        .attaches(ALICE, CONN, &[("main", &bulk())])
        .forget()
        .catch_up()
        .says(
            "only bob EventError* 223
             link: audio",
        );
    assert_eq!(stage.hearing(CONFERENCE), "alice<music bob<carol carol<bob");
    stage
        .deletes(CAROL, CONSULT, "consult")
        .two(OnTwoCalls::CompleteTransfer, BOB, CONN, CONSULT)
        .has(CONN, &[("main", &bulk())]);
}

#[test]
fn a_phone_transfers_all_the_same_and_the_main_call_keeps_its_data() {
    let mut stage = Stage::talking().second_line();
    stage.attaches(ALICE, CONN, &[("main", &bulk())]).holds_by_phone(BOB, true);
    stage.others[0].attaches(CAROL, OTHER, &[("other", &bulk())]);
    let target = TransferTarget::Party {
        conference: SECOND,
        party: A,
    };
    stage.forget().refers_from((CONFERENCE, B), target).says(
        "absorb
         link: move 2 to 3
         link: progress 100
         link: audio
         data left out
         bob EventReleased c1 Origination > carol Destination Transferred
         bob EventReleased a1 Destination > alice Origination Transferred
         alice EventPartyChanged a1 Origination > carol Destination by bob TransferredBy Transferred was a1
         carol EventPartyChanged a1 Destination > alice Origination by bob TransferredBy Transferred was c1
         closed c1 answered
         link: progress 200
         link: release 2
         link: release 1",
    );
    stage.has(CONN, &[("main", &bulk())]);
}

#[test]
fn a_redirection_with_too_much_data_is_refused() {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    stage.attaches(ALICE, CONN, &[("main", &bulk())]).forget();
    let mut request = with_request(OnCallWith::RedirectCall, BOB, CONN, "carol");
    if let Request::OnCallWith { user_data, .. } = &mut request {
        user_data.set("more", bulk());
    }
    stage.ask(request).says("only bob EventError* 223");
    stage.has(CONN, &[("main", &bulk())]);
}

/// Who called is told as well, and only of what has changed.
#[test]
fn the_data_of_a_redirection_is_told_to_those_who_stay() {
    for (pairs, told) in [
        (
            &[("more", "1")][..],
            &[
                "bob EventReleased main:0,more:1",
                "alice EventAttachedDataChanged main:0,more:1",
                "carol EventRinging main:0,more:1",
            ][..],
        ),
        (&[("main", "0")], &["bob EventReleased main:0", "carol EventRinging main:0"]),
    ] {
        let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
        stage.attaches(ALICE, CONN, &[("main", "0")]).forget();
        let mut request = with_request(OnCallWith::RedirectCall, BOB, CONN, "carol");
        if let Request::OnCallWith { user_data, .. } = &mut request {
            *user_data = pairs.iter().copied().collect();
        }
        stage.ask(request);
        assert_eq!(stage.told_data(), told);
    }
}

/// The call has {a, b}; Bob calls Carol into it with {b, c}, and she rings.
fn bringing(operation: OnCallWith) -> Stage {
    let mut stage = Stage::talking();
    stage.attaches(BOB, CONN, &[("a", "0"), ("b", "0")]).forget();
    let mut request = with_request(operation, BOB, CONN, "carol");
    if let Request::OnCallWith { user_data, .. } = &mut request {
        *user_data = [("b", "step"), ("c", "step")].into_iter().collect();
    }
    stage.ask(request);
    stage
}

const SINGLE_STEPS: [OnCallWith; 2] = [OnCallWith::SingleStepTransfer, OnCallWith::SingleStepConference];

impl Stage {
    /// What each event told of user data, as `bob a:0,b:0`.
    fn told_data(&mut self) -> Vec<String> {
        let events = self.out.iter().filter_map(|output| match output {
            CallOutput::Event { event, .. } | CallOutput::Answer { event, .. } => Some(event),
            _ => None,
        });
        let told = events.filter_map(|event| {
            let list = event.user_data.as_ref()?;
            let pairs = list.iter().map(|(key, _)| format!("{key}:{}", list.text(key).unwrap_or("?")));
            let pairs: Vec<String> = pairs.collect();
            Some(format!(
                "{} {} {}",
                event.this_dn.as_ref()?.user(),
                event.name,
                pairs.join(",")
            ))
        });
        let told = told.collect();
        self.forget();
        told
    }
}

#[test]
fn the_data_of_a_single_step_operation_is_the_targets_at_once_and_the_calls_when_it_has_answered() {
    let mut stage = bringing(OnCallWith::SingleStepTransfer);
    stage.has(CONN, &[("a", "0"), ("b", "0")]);
    assert_eq!(stage.told_data(), ["carol EventRinging a:0,b:step,c:step"]);
    stage.ask(Request::QueryCall {
        this_dn: CAROL.into(),
        conn_id: CONN,
        call_info_type: crate::CallInfoType::StatusQuery,
        extensions: KvList::new(),
    });
    assert_eq!(stage.told_data(), ["carol EventPartyInfo a:0,b:step,c:step"]);
    stage.answers(CAROL);
    assert_eq!(
        stage.told_data(),
        [
            "carol EventEstablished a:0,b:step,c:step",
            "bob EventReleased a:0,b:step,c:step",
            "alice EventPartyChanged a:0,b:step,c:step",
            "alice EventAttachedDataChanged a:0,b:step,c:step",
            "carol EventAttachedDataChanged a:0,b:step,c:step",
        ]
    );
    let mut stage = bringing(OnCallWith::SingleStepConference);
    stage.answers(CAROL).has(CONN, &[("a", "0"), ("b", "step"), ("c", "step")]);
    stage.lines.retain(|line| line.contains("AttachedData"));
    stage.says(
        "alice EventAttachedDataChanged a1 ConferenceMember by bob AddedBy Ok
         bob EventAttachedDataChanged a1 ConferenceMember by bob AddedBy Ok
         carol EventAttachedDataChanged a1 ConferenceMember by bob AddedBy Ok",
    );
}

#[test]
fn a_single_step_operation_that_fails_leaves_the_data_as_it_was() {
    for operation in SINGLE_STEPS {
        let mut stage = bringing(operation);
        stage.forget().declines(CAROL, 603);
        assert_eq!(stage.told_data()[0], "carol EventReleased a:0,b:step,c:step");
        stage.has(CONN, &[("a", "0"), ("b", "0")]);
        // Nobody answers: the connector says nothing either.
        let mut stage = bringing(operation);
        while let Some(at) = stage.call.next_timeout() {
            stage.now = at;
            stage.input(CallInput::Timeout);
        }
        stage.has(CONN, &[("a", "0"), ("b", "0")]);
        // The process is lost.
        let mut stage = bringing(operation);
        assert!(stage.restart());
        stage.has(CONN, &[("a", "0"), ("b", "0")]);
        assert!(stage.call.coming_user_data(CONN).is_none());
    }
}

#[test]
fn a_controller_that_hangs_up_hands_the_call_on_with_the_data() {
    let mut stage = bringing(OnCallWith::SingleStepTransfer);
    stage.hangs_up(BOB).answers(CAROL);
    stage.has(CONN, &[("a", "0"), ("b", "step"), ("c", "step")]);
}

#[test]
fn what_is_set_or_deleted_while_the_target_rings_stays() {
    for operation in SINGLE_STEPS {
        let mut stage = bringing(operation);
        stage.forget().attaches(CAROL, CONN, &[("b", "carol")]);
        assert_eq!(
            stage.told_data(),
            [
                "alice EventAttachedDataChanged a:0,b:carol",
                "bob EventAttachedDataChanged a:0,b:carol",
                "carol EventAttachedDataChanged a:0,b:carol,c:step",
            ]
        );
        stage.deletes(CAROL, CONN, "c").attaches(ALICE, CONN, &[("own", "alice")]);
        stage
            .answers(CAROL)
            .has(CONN, &[("a", "0"), ("b", "carol"), ("own", "alice")]);
        let mut stage = bringing(operation);
        stage.deletes_all(CAROL, CONN).answers(CAROL).has(CONN, &[]);
    }
}

#[test]
fn data_that_would_be_too_much_when_the_target_answers_is_refused() {
    let mut stage = Stage::talking();
    let mut request = with_request(OnCallWith::SingleStepTransfer, BOB, CONN, "carol");
    if let Request::OnCallWith { user_data, .. } = &mut request {
        user_data.set("step", bulk());
    }
    stage.ask(request).forget();
    stage
        .attaches(ALICE, CONN, &[("own", &bulk())])
        .says("only alice EventError* 223");
    stage.attaches(ALICE, CONN, &[("step", &bulk())]);
    stage.attaches(ALICE, CONN, &[("own", "small")]);
    stage.answers(CAROL).has(CONN, &[("step", &bulk()), ("own", "small")]);
}
