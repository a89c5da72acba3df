//! Each request that cannot be: its error, and that nothing else happens.

use super::*;
use crate::CallInfoType;
use crate::request::RequestName;

fn refused_make(make: Make) -> u32 {
    let mut rig = Rig::new();
    rig.input(CallInput::Make(Box::new(make)));
    let record = rig.record();
    assert_eq!((record.direction, record.outcome), (CallType::Unknown, Outcome::Refused));
    assert_eq!(rig.out.len(), 3, "the answer, the record and the end");
    assert!(rig.call.is_finished());
    rig.events().next().unwrap().0.error.as_ref().unwrap().code.number()
}

#[test]
fn make_call_is_refused_with_the_code_of_what_is_wrong() {
    assert_eq!(refused_make(make_of(ALICE, "nobody")), 71);
    assert_eq!(refused_make(make_of(ALICE, "")), 71);
    assert_eq!(refused_make(make_of(ALICE, TRUNK)), 71);
    assert_eq!(refused_make(make_of(ALICE, "sip:bob@elsewhere.example.com")), 71);
    assert_eq!(refused_make(make_of(ALICE, "0900123")), 415);
    assert_eq!(refused_make(make_of("sip:nobody@tandem.local", BOB)), 61);
    assert_eq!(refused_make(make_of(TRUNK, BOB)), 61);
    let mut predictive = make_of(ALICE, BOB);
    predictive.make_call_type = MakeCallType::Priority;
    assert_eq!(refused_make(predictive), 51);
    let mut remote = make_of(ALICE, BOB);
    remote.location = Some("berlin".to_owned());
    assert_eq!(refused_make(remote), 51);
    let mut large = make_of(ALICE, BOB);
    large.user_data.set("x", "y".repeat(65_536));
    assert_eq!(refused_make(large), 223);
}

#[test]
fn a_dn_does_not_call_itself_under_any_of_its_names() {
    for own in [ALICE, "2000", "alice", "SIP:Alice@TANDEM.local;transport=udp"] {
        assert_eq!(refused_make(make_of(ALICE, own)), 71, "{own}");
    }
}

#[test]
fn an_empty_location_is_none() {
    let mut make = make_of(ALICE, BOB);
    make.location = Some(String::new());
    let mut rig = Rig::new();
    rig.input(CallInput::Make(Box::new(make)));
    assert!(!rig.call.is_finished());
}

#[test]
fn a_second_make_on_the_same_call_is_an_invalid_state() {
    let mut rig = Rig::talking();
    rig.forget().input(CallInput::Make(Box::new(make_of(BOB, ALICE))));
    rig.says("only bob EventError* 565");
}

#[test]
fn who_is_not_on_the_call_may_not_ask_for_it() {
    let mut rig = Rig::talking();
    rig.forget().release("sip:carol@tandem.local").clear(TRUNK).says(
        "only carol EventError* 470
         only pstn EventError* 470",
    );
    let mut rig = Rig::made(ALICE, BOB);
    rig.forget().release(BOB).says("only bob EventError* 470");
}

#[test]
fn the_far_side_of_a_trunk_is_nobody_who_can_ask() {
    let mut rig = Rig::inbound("2001");
    rig.created(B)
        .forget()
        .release("sip:+4930123@pstn.example.com")
        .says("only +4930123 EventError* 470");
}

#[test]
fn after_the_terminal_event_the_conn_id_is_gone_whatever_the_connector_does() {
    let mut rig = Rig::talking();
    rig.release(ALICE).forget().release(ALICE).says("only alice EventError* 56");
    rig.conference_ended().forget().clear(BOB).says("only bob EventError* 56");
}

#[test]
fn another_conn_id_and_a_call_that_does_not_exist_yet_are_no_conn_id() {
    let mut rig = Rig::talking();
    rig.forget().request(Request::QueryCall {
        this_dn: ALICE.into(),
        conn_id: ConnId(1),
        call_info_type: CallInfoType::StatusQuery,
        extensions: KvList::new(),
    });
    rig.says("only alice EventError* 56");
    let mut rig = Rig::new();
    rig.release(ALICE).says("only alice EventError* 56");
}

#[test]
fn what_is_not_a_request_about_a_call_is_refused() {
    let mut rig = Rig::talking();
    rig.forget().request(Request::Unsupported {
        name: RequestName::HoldCall,
    });
    assert_eq!(rig.events().count(), 1);
    rig.says("only - EventError* 51");
}

#[test]
fn query_call_tells_the_parties_to_the_requestor_only() {
    let mut rig = Rig::talking();
    let query = |call_info_type| Request::QueryCall {
        this_dn: BOB.into(),
        conn_id: CONN,
        call_info_type,
        extensions: KvList::new(),
    };
    rig.forget()
        .request(query(CallInfoType::PartiesQuery))
        .says("only bob EventError* 51");
    rig.forget().request(query(CallInfoType::StatusQuery));
    rig.says("only bob EventPartyInfo* Destination > alice Origination Ok");
    let (event, _) = rig.events().next().unwrap();
    assert_eq!(event.extensions.text("party-1"), Some(ALICE));
    assert_eq!(event.extensions.text("role-2"), Some("Destination"));
    assert_eq!(event.extensions.value("ps-2"), Some(&KvValue::Int(0x0c)));
}

#[test]
fn an_error_names_the_call_and_its_conversation() {
    let mut rig = Rig::talking();
    rig.forget().release("sip:carol@tandem.local");
    let (event, _) = rig.events().next().unwrap();
    assert_eq!(event.conn_id, Some(CONN));
    assert_eq!(event.extensions.text("Conversation-ID"), Some("conversation-1"));
    assert_eq!(event.reference_id, None, "the event log puts it in the requestor's copy");
}
