//! Frames and what becomes of them.

use tandem_model::{AddressType, ConnId, DnId, KvValue};

use super::*;

fn refused(text: &str) -> (Option<u32>, u32, String) {
    let refusal = decode_request(text).expect_err(text);
    (
        refusal.reference_id.map(|reference| reference.0),
        refusal.error.code.number(),
        refusal.error.message.into_owned(),
    )
}

#[test]
fn the_example_of_the_protocol_decodes() {
    let frame = decode_request(
        r#"{"request":"MakeCall","referenceId":7,"thisDn":"sip:Alice@tandem.local","otherDn":"sip:Bob@tandem.local","makeCallType":"Regular","userData":{"b":"1","a":{"n":-5}},"extensions":{}}"#,
    )
    .unwrap();
    assert_eq!(frame.reference_id, Some(ReferenceId(7)));
    let Request::MakeCall {
        this_dn,
        other_dn,
        make_call_type,
        user_data,
        location,
        ..
    } = frame.request
    else {
        panic!("not a MakeCall");
    };
    assert_eq!(this_dn, DnId::new("sip:alice@tandem.local"));
    assert_eq!(other_dn, "sip:Bob@tandem.local", "a destination is kept as dialled");
    assert_eq!((make_call_type, location), (MakeCallType::Regular, None));
    assert_eq!(user_data.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["b", "a"]);
    assert!(matches!(user_data.value("a"), Some(KvValue::List(list)) if list.value("n") == Some(&KvValue::Int(-5))));
}

#[test]
fn a_refusal_has_the_code_of_the_rule_and_names_the_field() {
    let table: &[(&str, Option<u32>, u32, &str)] = &[
        // The frame: 223.
        ("nonsense", None, 223, "frame: expected ident"),
        ("[1]", None, 223, "frame: invalid type: sequence, expected a JSON object"),
        (r#"{"referenceId":4}"#, Some(4), 223, "request: missing"),
        (r#"{"request":null,"referenceId":4}"#, Some(4), 223, "request: missing"),
        (r#"{"request":14,"referenceId":4}"#, Some(4), 223, "request: not text"),
        (
            r#"{"request":"Dance","referenceId":4}"#,
            Some(4),
            223,
            "request: there is no \"Dance\"",
        ),
        (
            r#"{"request":"TMakeCall"}"#,
            None,
            223,
            "request: there is no TMakeCall; it is MakeCall here",
        ),
        (
            r#"{"request":"QueryServer","referenceId":"4"}"#,
            None,
            223,
            "referenceId: not a whole number from 0 to 4294967295",
        ),
        (
            r#"{"request":"QueryServer","referenceId":-1}"#,
            None,
            223,
            "referenceId: not a whole number",
        ),
        (
            r#"{"request":"QueryServer","referenceId":4294967296}"#,
            None,
            223,
            "referenceId: not a whole number",
        ),
        (
            r#"{"request":"QueryServer","request":"MakeCall"}"#,
            None,
            223,
            "frame: `request` stands twice",
        ),
        // A parameter that is missing: 223.
        (
            r#"{"request":"MakeCall","referenceId":4,"otherDn":"1"}"#,
            Some(4),
            223,
            "thisDn: missing",
        ),
        (
            r#"{"request":"MakeCall","thisDN":"a","otherDn":"1"}"#,
            None,
            223,
            "thisDn: missing (there is `thisDN`",
        ),
        (r#"{"request":"MakeCall","thisDn":"a"}"#, None, 223, "otherDn: missing"),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":null}"#,
            None,
            223,
            "otherDn: missing",
        ),
        (r#"{"request":"ReleaseCall","thisDn":"a"}"#, None, 223, "connId: missing"),
        (
            r#"{"request":"AttachUserData","thisDn":"a","connId":"1"}"#,
            None,
            223,
            "userData: missing",
        ),
        (
            r#"{"request":"OpenServer","applicationName":"a"}"#,
            None,
            223,
            "apiKey: missing",
        ),
        (
            r#"{"request":"OpenServer","applicationName":"a","apiKey":"k","resume":{"epoch":"e"}}"#,
            None,
            223,
            "resume.sequence: missing",
        ),
        (r#"{"request":"SetInputMask"}"#, None, 223, "inputMask: missing"),
        // An attribute whose type or value is wrong: 53.
        (
            r#"{"request":"RegisterAddress","referenceId":4,"thisDn":""}"#,
            Some(4),
            53,
            "thisDn: empty",
        ),
        (r#"{"request":"RegisterAddress","thisDn":"  "}"#, None, 53, "thisDn: blank"),
        (
            r#"{"request":"RegisterAddress","thisDn":7}"#,
            None,
            53,
            "thisDn: a number, not text",
        ),
        (
            r#"{"request":"RegisterAddress","thisDn":"sip:a@b;transport=udp"}"#,
            None,
            53,
            "thisDn: a DN is a URI without parameters",
        ),
        (
            r#"{"request":"RegisterAddress","thisDn":"sip:a b@c"}"#,
            None,
            53,
            "thisDn: a DN is a URI without",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"1\r\nVia: x"}"#,
            None,
            53,
            "otherDn: '\\r' cannot stand in a DN",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"<sip:x>"}"#,
            None,
            53,
            "otherDn: '<' cannot stand in a DN",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","makeCallType":"0"}"#,
            None,
            53,
            "makeCallType: \"0\" is text; send the number 0 or a name (Regular, ",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","makeCallType":"regular"}"#,
            None,
            53,
            "makeCallType: \"regular\" is none of Regular, ",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","makeCallType":9}"#,
            None,
            53,
            "makeCallType: 9 is none of Regular, ",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","makeCallType":-1}"#,
            None,
            53,
            "makeCallType: -1 is none of Regular, ",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","makeCallType":true}"#,
            None,
            53,
            "makeCallType: true or false, not a name",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","location":1}"#,
            None,
            53,
            "location: a number, not text",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","userData":"x"}"#,
            None,
            53,
            "userData: text, not an object",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","userData":{"k":1.5}}"#,
            None,
            53,
            "userData: k: 1.5 is not a 64-bit integer",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","userData":{"k":18446744073709551615}}"#,
            None,
            53,
            "userData: k: 18446744073709551615 is not",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","userData":{"k":{"l":[]}}}"#,
            None,
            53,
            "userData.k: l: an array, not text",
        ),
        (
            r#"{"request":"MakeCall","thisDn":"a","otherDn":"b","userData":{"k":null}}"#,
            None,
            53,
            "userData: k: null, not text",
        ),
        (
            r#"{"request":"ReleaseCall","thisDn":"a","connId":2561}"#,
            None,
            53,
            "connId: a number, not text",
        ),
        (
            r#"{"request":"ReleaseCall","thisDn":"a","connId":"0x1"}"#,
            None,
            53,
            "connId: not 1 to 16 hex digits",
        ),
        (
            r#"{"request":"DeleteUserData","thisDn":"a","connId":"1","dataKey":""}"#,
            None,
            53,
            "dataKey: empty",
        ),
        (
            r#"{"request":"OpenServer","applicationName":"a","apiKey":"k","resume":7}"#,
            None,
            53,
            "resume: not an object",
        ),
        (
            r#"{"request":"OpenServer","applicationName":"a","apiKey":"k","resume":{"epoch":"e","sequence":-1}}"#,
            None,
            53,
            "resume.sequence: -1 is not",
        ),
        (
            r#"{"request":"SetInputMask","inputMask":7}"#,
            None,
            53,
            "inputMask: a number, not an array",
        ),
        (
            r#"{"request":"SetInputMask","inputMask":["EventRining"]}"#,
            None,
            53,
            "inputMask: there is no \"EventRining\"",
        ),
        (
            r#"{"request":"SetInputMask","inputMask":[512]}"#,
            None,
            53,
            "inputMask: there is no 512",
        ),
    ];
    for (text, reference, code, message) in table {
        let found = refused(text);
        assert_eq!((found.0, found.1), (*reference, *code), "{text}: {}", found.2);
        assert!(found.2.starts_with(message), "{text}: {}", found.2);
    }
}

#[test]
fn enumerations_are_names_or_numbers_and_absent_ones_have_defaults() {
    let register = |rest: &str| {
        decode_request(&format!(r#"{{"request":"RegisterAddress","thisDn":"a"{rest}}}"#))
            .unwrap()
            .request
    };
    let expected = |register_mode, control_mode, address_type| Request::RegisterAddress {
        this_dn: DnId::new("a"),
        register_mode,
        control_mode,
        address_type,
        extensions: Default::default(),
    };
    assert_eq!(
        register(""),
        expected(RegisterMode::Share, ControlMode::RegisterDefault, None)
    );
    assert_eq!(
        register(r#","registerMode":"Monitor","controlMode":1,"addressType":99"#),
        expected(RegisterMode::Monitor, ControlMode::RegisterForce, Some(AddressType::Other))
    );
}

#[test]
fn unknown_attributes_and_nulls_are_passed_over() {
    let text = r#"{"request":"ReleaseCall","referenceId":null,"thisDn":"A","connId":"A01","colour":[{"x":1}],"reasons":null}"#;
    let frame = decode_request(text).unwrap();
    assert_eq!(frame.reference_id, None);
    assert_eq!(
        frame.request,
        Request::ReleaseCall {
            this_dn: DnId::new("a"),
            conn_id: ConnId(0xa01),
            reasons: Default::default()
        }
    );
}

#[test]
fn a_request_not_done_yet_decodes_by_name_alone() {
    for name in RequestName::ALL {
        match decode_request(&format!(r#"{{"request":"{name}"}}"#)) {
            Ok(frame) => assert_eq!(frame.request.name(), *name),
            Err(refusal) => assert_eq!(refusal.error.code, TErrorCode::BadParameter, "{name}"),
        }
    }
    let routed = decode_request(r#"{"request":"RouteCall","referenceId":1,"thisDn":5}"#).unwrap();
    assert_eq!(
        routed.request,
        Request::Unsupported {
            name: RequestName::RouteCall
        }
    );
}

#[test]
fn a_mask_may_name_events_that_are_never_sent() {
    let frame = decode_request(r#"{"request":"SetInputMask","inputMask":["EventRinging",64,"EventAgentLogin",511]}"#).unwrap();
    assert_eq!(
        frame.request,
        Request::SetInputMask {
            events: vec![EventName::EventRinging, EventName::EventEstablished]
        }
    );
}

#[test]
fn lists_and_names_are_bounded() {
    let pairs: Vec<String> = (0..=crate::MAX_PAIRS).map(|n| format!("\"k{n}\":{n}")).collect();
    let text = format!(
        r#"{{"request":"AttachUserData","thisDn":"a","connId":"1","userData":{{{}}}}}"#,
        pairs.join(",")
    );
    assert_eq!(refused(&text).2, "userData: more than 1024 pairs");
    let text = format!(r#"{{"request":"RegisterAddress","thisDn":"{}"}}"#, "x".repeat(257));
    assert_eq!(refused(&text).2, "thisDn: longer than 256 bytes");
    let text = format!(r#"{{"request":"{}"}}"#, "é".repeat(100_000));
    assert!(refused(&text).2.len() < 200, "an error is not as long as what it refuses");
    let text = format!(
        r#"{{"request":"AttachUserData","thisDn":"a","connId":"1","userData":{}true{}}}"#,
        format!(r#"{{"{}":"#, "𝕏".repeat(90)).repeat(14),
        "}".repeat(14),
    );
    let message = refused(&text).2;
    assert!(
        message.starts_with("userData.𝕏𝕏") && message.ends_with("not text, an integer or an object"),
        "{message}"
    );
    assert!(
        message.len() < 1_000,
        "the path of a deep list is cut in the middle: {message}"
    );
}

#[test]
fn call_control_decodes_with_its_attributes() {
    let control = |name: &str| {
        let text = format!(
            r#"{{"request":"{name}","referenceId":9,"thisDn":"sip:Bob@tandem.local","connId":"0000000000000a01","transferConnId":"b01","otherDn":"2002","dtmfDigits":"12#","userData":{{"k":"v"}},"reasons":{{"why":"x"}}}}"#
        );
        decode_request(&text)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .request
    };
    for operation in [
        OnCall::AnswerCall,
        OnCall::HoldCall,
        OnCall::RetrieveCall,
        OnCall::SetMuteOn,
        OnCall::SetMuteOff,
    ] {
        let request = control(operation.name().name());
        assert!(matches!(&request, Request::OnCall { operation: read, conn_id: ConnId(0xa01), .. } if *read == operation));
        assert_eq!((request.name(), request.other_conn_id()), (operation.name(), None));
    }
    for operation in [
        OnCallWith::InitiateTransfer,
        OnCallWith::InitiateConference,
        OnCallWith::SingleStepTransfer,
        OnCallWith::SingleStepConference,
        OnCallWith::DeleteFromConference,
        OnCallWith::RedirectCall,
    ] {
        let Request::OnCallWith {
            operation: read,
            other_dn,
            user_data,
            reasons,
            ..
        } = control(operation.name().name())
        else {
            panic!("{operation:?}");
        };
        assert_eq!((read, other_dn.as_str()), (operation, "2002"));
        assert_eq!((user_data.text("k"), reasons.text("why")), (Some("v"), Some("x")));
    }
    for operation in [
        OnTwoCalls::CompleteTransfer,
        OnTwoCalls::CompleteConference,
        OnTwoCalls::AlternateCall,
        OnTwoCalls::ReconnectCall,
        OnTwoCalls::MergeCalls(MergeType::ForTransfer),
    ] {
        let request = control(operation.name().name());
        assert_eq!(
            (request.name(), request.other_conn_id()),
            (operation.name(), Some(ConnId(0xb01)))
        );
        assert_eq!(
            (request.conn_id(), request.this_dn()),
            (Some(ConnId(0xa01)), Some(&DnId::new("sip:bob@tandem.local")))
        );
    }
    assert!(matches!(control("SendDtmf"), Request::SendDtmf { dtmf_digits, .. } if dtmf_digits == "12#"));
}

#[test]
fn the_second_call_has_any_of_its_names_and_has_to_be_there() {
    for name in ["transferConnId", "conferenceConnId", "heldConnId", "currentConnId"] {
        let text = format!(r#"{{"request":"AlternateCall","thisDn":"sip:b@x","connId":"1","{name}":"2"}}"#);
        assert_eq!(
            decode_request(&text).unwrap().request.other_conn_id(),
            Some(ConnId(2)),
            "{name}"
        );
    }
    let alone = r#"{"request":"CompleteTransfer","thisDn":"sip:b@x","connId":"1"}"#;
    assert_eq!(refused(alone).1, 223);
    let merge = r#"{"request":"MergeCalls","thisDn":"sip:b@x","connId":"1","heldConnId":"2","mergeType":"ForConference"}"#;
    assert!(matches!(
        decode_request(merge).unwrap().request,
        Request::OnTwoCalls {
            operation: OnTwoCalls::MergeCalls(MergeType::ForConference),
            ..
        }
    ));
    let digits = r#"{"request":"SendDtmf","thisDn":"sip:b@x","connId":"1","dtmfDigits":""}"#;
    assert_eq!(refused(digits).1, 53);
}

#[test]
fn what_a_client_writes_of_call_control_reads_back() {
    use crate::ClientRequest;
    let (dn, one, two) = ("sip:b@x", ConnId(0xa01), ConnId(0xb01));
    for (written, name) in [
        (ClientRequest::of_call(OnCall::HoldCall, dn, one), RequestName::HoldCall),
        (
            ClientRequest::of_call_with(OnCallWith::SingleStepTransfer, dn, one, "2002"),
            RequestName::SingleStepTransfer,
        ),
        (
            ClientRequest::of_two_calls(OnTwoCalls::CompleteConference, dn, one, two),
            RequestName::CompleteConference,
        ),
        (ClientRequest::send_dtmf(dn, one, "1,2"), RequestName::SendDtmf),
    ] {
        let frame = decode_request(&written.reference(3).to_json()).unwrap();
        assert_eq!((frame.request.name(), frame.request.conn_id()), (name, Some(one)));
        assert_eq!(frame.reference_id, Some(ReferenceId(3)));
    }
}
