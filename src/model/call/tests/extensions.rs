//! What the extensions of requests change: `RemoteMediaFlowState`, `sip-headers`; and who speaks, which an answer has as one.

use super::stage::*;
use super::*;
use crate::link::MediaFlowState;
use crate::request::{OnCall, OnCallWith};
use crate::{CallInfoType, EventName};

pub(super) fn extensions<V: Into<KvValue>>(key: &str, value: V) -> KvList {
    [(key, value.into())].into_iter().collect()
}

/// Alice is asked to call; nobody has answered.
pub(super) fn made(other_dn: &str, extensions: KvList) -> Stage {
    let mut stage = Stage::empty(CONN, CONFERENCE);
    let make = Make {
        extensions,
        ..make_of(ALICE, other_dn)
    };
    stage.input(CallInput::Make(Box::new(make)));
    stage
}

pub(super) fn asked(mut request: Request, with: KvList) -> Request {
    if let Request::OnCallWith { extensions, .. } = &mut request {
        *extensions = with;
    }
    request
}

fn flows(stage: &mut Stage, dn: &str, state: MediaFlowState) {
    let (conference, party) = stage.at(dn);
    stage.input(CallInput::Link(LinkNotification::MediaFlow {
        conference,
        party,
        state,
    }));
}

fn flow_of(event: &Event) -> Option<&str> {
    event.extensions.text("RemoteMediaFlowState")
}

#[test]
fn who_asked_for_it_is_told_how_far_media_is() {
    for asked in [KvValue::Int(1), "1".into(), "true".into()] {
        let mut stage = made("bob", extensions("RemoteMediaFlowState", asked));
        stage.answers(ALICE).answers(BOB).forget();
        flows(&mut stage, ALICE, MediaFlowState::Connecting);
        flows(&mut stage, BOB, MediaFlowState::Connected);
        stage.says(
            "alice EventCallInfoChanged a1 Origination > alice Origination Ok
             bob EventCallInfoChanged a1 Destination > alice Origination Ok
             alice EventCallInfoChanged a1 Origination > bob Destination Ok
             bob EventCallInfoChanged a1 Destination > bob Destination Ok",
        );
        flows(&mut stage, ALICE, MediaFlowState::Connected);
        let told = stage.out.iter().filter_map(|output| match output {
            CallOutput::Event { event, .. } => flow_of(event),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), ["Connected", "Connected"]);
        stage.forget();
        // It never goes back, and says nothing twice.
        flows(&mut stage, ALICE, MediaFlowState::Connecting);
        flows(&mut stage, ALICE, MediaFlowState::Connected);
        stage.says("");
    }
}

#[test]
fn the_state_shows_when_the_call_is_asked() {
    for (asked, expected) in [(1, Some("Connecting")), (0, None)] {
        let mut stage = made("bob", extensions("RemoteMediaFlowState", asked));
        stage.answers(ALICE).answers(BOB);
        flows(&mut stage, BOB, MediaFlowState::Connecting);
        stage.forget().ask(Request::QueryCall {
            this_dn: ALICE.into(),
            conn_id: CONN,
            call_info_type: CallInfoType::StatusQuery,
            extensions: KvList::new(),
        });
        let [CallOutput::Answer { event, .. }] = stage.out.as_slice() else {
            panic!("{:?}", stage.out);
        };
        assert_eq!(event.name, EventName::EventPartyInfo);
        assert_eq!(event.extensions.text("mf-2"), expected);
        assert_eq!(event.extensions.text("mf-1"), expected.map(|_| "Unknown"));
    }
}

const CONNECTED_TO_BOTH: &str = "alice EventCallInfoChanged a1 Origination > bob Destination Ok
     bob EventCallInfoChanged a1 Destination > bob Destination Ok";

#[test]
fn a_dn_whose_client_wants_it_is_told_in_every_call_however_it_began() {
    for from in [CallerId::Extension(ALICE.into()), from_pstn()] {
        let mut stage = Stage::calling(CONN, CONFERENCE, from.clone(), "bob");
        stage.wishes.set(&BOB.into(), wanting_flow());
        stage.answers(BOB).forget();
        flows(&mut stage, BOB, MediaFlowState::Connected);
        let told = stage.lines.clone();
        assert_eq!(
            told,
            ["bob EventCallInfoChanged a1 Destination > bob Destination Ok"],
            "{from:?}"
        );
        // Its client has gone.
        stage.wishes = Wishes::default();
        stage.forget();
        let caller = match &from {
            CallerId::Extension(dn) => dn,
            CallerId::Trunk { number, .. } => number,
        };
        flows(&mut stage, caller.as_str(), MediaFlowState::Connected);
        stage.says("");
    }
}

fn wanting_flow() -> crate::dn::wish::InForce {
    crate::dn::wish::InForce {
        flow: true,
        ..Default::default()
    }
}

#[test]
fn whoever_answers_or_brings_somebody_in_may_ask_for_the_call() {
    let mut stage = Stage::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
    stage.forget().ask(Request::OnCall {
        operation: OnCall::AnswerCall,
        this_dn: BOB.into(),
        conn_id: CONN,
        reasons: KvList::new(),
        extensions: extensions("RemoteMediaFlowState", 1),
    });
    stage.answers(BOB).forget();
    flows(&mut stage, BOB, MediaFlowState::Connected);
    stage.says(CONNECTED_TO_BOTH);
    for operation in [OnCallWith::SingleStepTransfer, OnCallWith::SingleStepConference] {
        let mut stage = Stage::talking();
        let request = with_request(operation, BOB, CONN, "carol");
        stage.ask(asked(request.clone(), extensions("RemoteMediaFlowState", "no")));
        stage.says("only bob EventError* 53");
        stage.ask(asked(request, extensions("RemoteMediaFlowState", 1))).forget();
        flows(&mut stage, BOB, MediaFlowState::Connected);
        let told = stage.lines.iter().filter(|line| line.contains("EventCallInfoChanged"));
        assert_eq!(told.count(), 3, "{:?}", stage.lines);
    }
}

#[test]
fn a_question_shows_the_state_of_any_call_where_it_asks_for_it() {
    let mut stage = Stage::talking();
    flows(&mut stage, BOB, MediaFlowState::Connected);
    for (with, expected) in [
        (KvList::new(), None),
        (extensions("RemoteMediaFlowState", 1), Some("Connected")),
        (KvList::new(), None),
    ] {
        stage.forget().ask(Request::QueryCall {
            this_dn: ALICE.into(),
            conn_id: CONN,
            call_info_type: CallInfoType::StatusQuery,
            extensions: with,
        });
        let [CallOutput::Answer { event, .. }] = stage.out.as_slice() else {
            panic!("{:?}", stage.out);
        };
        assert_eq!(event.extensions.text("mf-2"), expected);
    }
}

#[test]
fn who_did_not_ask_is_told_nothing() {
    let mut stage = Stage::talking();
    flows(&mut stage, BOB, MediaFlowState::Connected);
    stage.says("");
    let mut stage = made("bob", extensions("RemoteMediaFlowState", "yes"));
    stage.says(
        "only alice EventError* 53
         closed a1 refused
         finished",
    );
}

#[test]
fn a_consultation_tells_it_as_its_main_call_does_or_for_itself() {
    let mut stage = Stage::talking();
    let request = with_request(OnCallWith::InitiateTransfer, BOB, CONN, "carol");
    stage.ask(asked(request, extensions("RemoteMediaFlowState", 1)));
    stage.answers(CAROL).forget();
    flows(&mut stage, CAROL, MediaFlowState::Connecting);
    flows(&mut stage, ALICE, MediaFlowState::Connecting);
    stage.says(
        "bob EventCallInfoChanged b1 Origination > carol Destination Ok
         carol EventCallInfoChanged b1 Destination > carol Destination Ok",
    );
}

/// The headers of each leg that was made, as `user: name=value`.
fn legs(stage: &Stage) -> Vec<String> {
    let makes = stage.out.iter().filter_map(|output| match output {
        CallOutput::Link(LinkRequest::MakeParty(make)) => Some(make),
        _ => None,
    });
    let leg = |make: &crate::link::MakeParty| {
        let headers = make.headers.iter().map(|(name, value)| format!(" {name}={value}"));
        let target = match &make.target {
            PartyTarget::Dn(dn) => dn.user(),
            PartyTarget::Trunk { number, .. } => number,
        };
        let forwarded = make.forwarded.iter();
        let by = forwarded.map(|one| format!(" by {} {:?}", one.by.user(), one.reason).to_lowercase());
        format!("{target}:{}{}", by.collect::<String>(), headers.collect::<String>())
    };
    makes.map(leg).collect()
}

fn header(name: &str, value: &str) -> KvList {
    extensions("sip-headers", KvValue::List(extensions(name, value)))
}

#[test]
fn headers_stand_on_the_leg_of_the_destination_alone() {
    let mut stage = made("bob", header("X-Ticket", " 12 "));
    stage.answers(ALICE).answers(BOB);
    assert_eq!(legs(&stage), ["alice:", "bob: X-Ticket=12"]);
    for (operation, expected) in [
        (OnCallWith::InitiateTransfer, "carol: X-Who=carol"),
        (OnCallWith::SingleStepConference, "dave: X-Who=dave"),
    ] {
        let to = expected.split(':').next().unwrap_or_default();
        let mut stage = Stage::talking();
        stage.ask(asked(with_request(operation, BOB, CONN, to), header("X-Who", to)));
        assert_eq!(legs(&stage), [expected]);
    }
}

#[test]
fn a_forwarded_leg_carries_the_headers_on_and_a_redirected_one_its_own() {
    let mut stage = made("bob", header("X-Ticket", "12"));
    stage.answers(ALICE).forget();
    let (conference, party) = stage.at(BOB);
    let to = vec!["carol".into()];
    stage.input(CallInput::Link(LinkNotification::PartyRedirected { conference, party, to }));
    assert_eq!(legs(&stage), ["carol: by bob deflection X-Ticket=12"]);
    stage.forget();
    let request = with_request(OnCallWith::RedirectCall, CAROL, CONN, "dave");
    stage.ask(asked(request, header("X-Other", "1")));
    assert_eq!(legs(&stage), ["dave: by bob deflection by carol deflection X-Other=1"]);
}

/// All that an INVITE told of earlier forwardings goes on with the call; a consultation is a call of its own, which nobody forwarded.
#[test]
fn what_a_call_tells_of_its_forwardings_stays_with_it() {
    let told = [
        ("Diversion", "<sip:5@x.example>;reason=user-busy;counter=1"),
        ("Diversion", "<sip:6@x.example>;reason=no-answer;counter=1"),
        ("History-Info", "<sip:6@x.example>;index=1"),
        ("X-Trace", "7"),
    ];
    let all: String = told.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let mut stage = Stage::empty(CONN, CONFERENCE);
    stage.live.insert((CONFERENCE, A), Fake::new(ALICE.into(), true));
    let offered = CallOffered {
        headers: told.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        diverted_by: Some("sip:5@x.example".into()),
        ..offered_from(CallerId::Extension(ALICE.into()), "bob")
    };
    stage.input(CallInput::Offered(offered));
    assert_eq!(legs(&stage), [format!("bob:{all}")]);
    stage.forget();
    stage.ask(with_request(OnCallWith::RedirectCall, BOB, CONN, "carol"));
    assert_eq!(legs(&stage), [format!("carol: by bob deflection{all}")]);
    stage.answers(CAROL);
    assert!(stage.restart());
    stage.forget();
    stage.ask(with_request(OnCallWith::InitiateTransfer, CAROL, CONN, "dave"));
    assert_eq!(legs(&stage), ["dave: X-Trace=7"]);
}

#[test]
fn headers_that_are_not_the_clients_are_refused_by_name() {
    let long = "x".repeat(1025);
    let many: KvList = (0..17).map(|n| (format!("X-{n}"), "1")).collect();
    let cases = [
        (header("Via", "1"), "header Via"),
        (header("v", "1"), "header v"),
        (header("CALL-ID", "1"), "header CALL-ID"),
        (header("Ms-Conversation-ID", "1"), "header Ms-Conversation-ID"),
        (header("P-Asserted-Identity", "1"), "header P-Asserted-Identity"),
        (header("content-type", "1"), "header content-type"),
        (header("X-A", "1\r\nVia: x"), "header X-A has a control"),
        (header("X-A", &long), "header X-A has 1025 bytes"),
        (header("X A", "1"), "\"X A\" is no name"),
        (header("X-A\r\nVia", "1"), "is no name"),
        (header("", "1"), "\"\" is no name"),
        (extensions("sip-headers", KvValue::List(many)), "17 headers"),
        (extensions("sip-headers", "X-A: 1"), "a list"),
    ];
    for (extensions, expected) in cases {
        let stage = made("bob", extensions.clone());
        let error = stage.out.iter().find_map(|output| match output {
            CallOutput::Answer { event, .. } => event.error.clone(),
            _ => None,
        });
        let error = error.unwrap_or_else(|| panic!("{extensions:?} is taken"));
        assert_eq!(error.code.number(), 53);
        assert!(error.message.contains(expected), "{}", error.message);
        let mut stage = Stage::talking();
        let request = with_request(OnCallWith::SingleStepTransfer, BOB, CONN, "carol");
        stage.ask(asked(request, extensions)).says("only bob EventError* 53");
    }
}

#[test]
fn query_call_tells_who_speaks_among_three() {
    let mut stage = Stage::talking();
    let asked = |stage: &mut Stage| {
        stage.forget().ask(Request::QueryCall {
            this_dn: ALICE.into(),
            conn_id: CONN,
            call_info_type: CallInfoType::StatusQuery,
            extensions: KvList::new(),
        });
        let told = stage.out.iter().find_map(|output| match output {
            CallOutput::Answer { event, .. } => Some(event.extensions.text("active-speaker").map(ToOwned::to_owned)),
            _ => None,
        });
        told.expect("an answer")
    };
    let speaks = |stage: &mut Stage, dn: &str| {
        let (conference, party) = stage.at(dn);
        stage.input(CallInput::Link(LinkNotification::PartySpeaks { conference, party }));
    };
    speaks(&mut stage, BOB);
    assert_eq!(asked(&mut stage), None, "between two it goes without saying");
    stage
        .with(OnCallWith::SingleStepConference, BOB, CONN, "carol")
        .answers(CAROL);
    assert_eq!(asked(&mut stage).as_deref(), Some(BOB));
    stage.forget();
    speaks(&mut stage, CAROL);
    assert!(stage.out.is_empty(), "it is an answer, and no event");
    assert_eq!(asked(&mut stage).as_deref(), Some(CAROL));
    // Of another conference, or of nobody.
    for (conference, party) in [(ConferenceId(99), A), (CONFERENCE, PartyId(77))] {
        stage.input(CallInput::Link(LinkNotification::PartySpeaks { conference, party }));
    }
    assert_eq!(asked(&mut stage), None);
    speaks(&mut stage, CAROL);
    stage.hangs_up(CAROL);
    assert_eq!(asked(&mut stage), None);
}
