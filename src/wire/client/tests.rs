//! Requests on their way round, and event frames read.

use proptest::prelude::*;
use tandem_model::request::{OnCall, OnCallWith, OnTwoCalls, RequestName, Resume};
use tandem_model::{
    AddressInfoType, AddressType, CallInfoType, ConnId, ControlMode, DnId, EventName, KvList, KvValue, MakeCallType, MergeType,
    RegisterMode, Request, TErrorCode,
};

use super::*;
use crate::{RequestFrame, decode_request};

#[test]
fn builders_make_the_frames_of_the_protocol() {
    let call = ConnId(0xa01);
    let pairs: KvList = [("k", "v")].into_iter().collect();
    let table = [
        (
            ClientRequest::open_server("desktop", "key").resume("e", 123).reference(1),
            r#"{"request":"OpenServer","referenceId":1,"applicationName":"desktop","apiKey":"key","resume":{"epoch":"e","sequence":123}}"#,
        ),
        (
            ClientRequest::open_server("desktop", "key").resume("e", 123).session("s"),
            r#"{"request":"OpenServer","applicationName":"desktop","apiKey":"key","resume":{"epoch":"e","sequence":123,"session":"s"}}"#,
        ),
        (ClientRequest::close_server(), r#"{"request":"CloseServer"}"#),
        (
            ClientRequest::set_input_mask(&[EventName::EventRinging]),
            r#"{"request":"SetInputMask","inputMask":["EventRinging"]}"#,
        ),
        (
            ClientRequest::register_address("sip:a@b"),
            r#"{"request":"RegisterAddress","thisDn":"sip:a@b"}"#,
        ),
        (
            ClientRequest::unregister_address("sip:a@b"),
            r#"{"request":"UnregisterAddress","thisDn":"sip:a@b"}"#,
        ),
        (
            ClientRequest::make_call("sip:a@b", "2001").user_data(pairs.clone()),
            r#"{"request":"MakeCall","thisDn":"sip:a@b","otherDn":"2001","userData":{"k":"v"}}"#,
        ),
        (
            ClientRequest::release_call("sip:a@b", call).reasons(pairs.clone()),
            r#"{"request":"ReleaseCall","thisDn":"sip:a@b","connId":"0000000000000a01","reasons":{"k":"v"}}"#,
        ),
        (
            ClientRequest::delete_user_data("sip:a@b", call, "k"),
            r#"{"request":"DeleteUserData","thisDn":"sip:a@b","connId":"0000000000000a01","dataKey":"k"}"#,
        ),
        (ClientRequest::query_server(), r#"{"request":"QueryServer"}"#),
    ];
    for (request, text) in table {
        assert_eq!(request.to_json(), text);
        assert!(decode_request(text).is_ok(), "{text}");
    }
}

#[test]
fn every_builder_makes_a_frame_that_the_server_reads() {
    let call = ConnId(1);
    for request in [
        ClientRequest::clear_call("a", call),
        ClientRequest::attach_user_data("a", call, KvList::new()),
        ClientRequest::update_user_data("a", call, KvList::new()),
        ClientRequest::delete_all_user_data("a", call),
        ClientRequest::query_call("a", call),
        ClientRequest::query_address("a"),
        ClientRequest::named(RequestName::RouteCall),
        ClientRequest::of_call(OnCall::AnswerCall, "a", call),
        ClientRequest::of_call_with(OnCallWith::RedirectCall, "a", call, "b"),
        ClientRequest::of_two_calls(OnTwoCalls::AlternateCall, "a", call, ConnId(2)),
        ClientRequest::send_dtmf("a", call, "1"),
        ClientRequest::make_call("a", "b").extensions([("x", 1)].into_iter().collect()),
    ] {
        let name = request.request.clone();
        assert_eq!(decode_request(&request.to_json()).unwrap().request.name().name(), name);
    }
}

#[test]
fn an_event_of_a_newer_server_is_read() {
    let frame =
        EventFrame::decode(r#"{"event":"EventFoo","sequence":1,"foo":[1],"callState":"Sleeping","connId":"zz"}"#).unwrap();
    assert_eq!((frame.name(), frame.call(), frame.sequence), (None, None, 1));
    assert_eq!(frame.call_state.as_deref(), Some("Sleeping"));
    assert!(EventFrame::decode(r#"{"sequence":1}"#).is_err());
}

#[test]
fn an_error_frame_says_its_code() {
    let frame =
        EventFrame::decode(r#"{"event":"EventError","referenceId":3,"errorCode":53,"errorMessage":"thisDn: empty"}"#).unwrap();
    assert!(frame.is(EventName::EventError));
    assert_eq!(frame.error(), Some(TErrorCode::InvalidAttribute));
    assert_eq!(frame.reference(), Some(ReferenceId(3)));
}

pub fn kv_list() -> impl Strategy<Value = KvList> {
    let leaf = prop_oneof![any::<String>().prop_map(KvValue::Str), any::<i64>().prop_map(KvValue::Int)];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        proptest::collection::vec((any::<String>(), inner), 0..4).prop_map(|pairs| KvValue::List(pairs.into_iter().collect()))
    });
    proptest::collection::vec((any::<String>(), value), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

fn dn() -> impl Strategy<Value = DnId> {
    "(sip:|sips:|tel:|gcti::|)[A-Za-z0-9+.!~_-]{1,20}(@[a-z0-9.-]{1,20}(:[0-9]{1,5})?)?".prop_map(|text| DnId::new(&text))
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(all)
}

fn request() -> impl Strategy<Value = Request> {
    let lists = || (kv_list(), kv_list(), kv_list());
    let on_call = (
        dn(),
        any::<u64>().prop_map(ConnId),
        kv_list(),
        "[^\u{0}]{1,8}",
        0..7usize,
        one_of(CallInfoType::ALL),
    );
    prop_oneof![
        (
            any::<String>(),
            any::<String>(),
            proptest::option::of(("[^\u{0}]{1,9}", any::<u64>(), proptest::option::of(any::<String>())))
        )
            .prop_map(|(name, key, resume)| {
                Request::OpenServer {
                    application_name: name,
                    api_key: key,
                    resume: resume.map(|(epoch, sequence, session)| Resume {
                        epoch,
                        sequence,
                        session,
                    }),
                }
            }),
        proptest::collection::vec(one_of(EventName::ALL), 0..6).prop_map(|events| Request::SetInputMask { events }),
        (
            dn(),
            one_of(RegisterMode::ALL),
            one_of(ControlMode::ALL),
            proptest::option::of(one_of(AddressType::ALL)),
            kv_list()
        )
            .prop_map(|(this_dn, register_mode, control_mode, address_type, extensions)| {
                Request::RegisterAddress {
                    this_dn,
                    register_mode,
                    control_mode,
                    address_type,
                    extensions,
                }
            }),
        (
            dn(),
            "[+0-9a-zA-Z:@.;=-]{1,30}",
            proptest::option::of(any::<String>()),
            one_of(MakeCallType::ALL),
            lists()
        )
            .prop_map(
                |(this_dn, other_dn, location, make_call_type, (user_data, reasons, extensions))| Request::MakeCall {
                    this_dn,
                    other_dn,
                    location,
                    make_call_type,
                    user_data,
                    reasons,
                    extensions,
                }
            ),
        (
            dn(),
            proptest::option::of(one_of(AddressType::ALL)),
            one_of(AddressInfoType::ALL)
        )
            .prop_map(|(this_dn, address_type, address_info_type)| Request::QueryAddress {
                this_dn,
                address_type,
                address_info_type
            }),
        on_call.prop_map(|(this_dn, conn_id, list, data_key, which, call_info_type)| match which {
            0 => Request::ReleaseCall {
                this_dn,
                conn_id,
                reasons: list
            },
            1 => Request::ClearCall {
                this_dn,
                conn_id,
                reasons: list
            },
            2 => Request::AttachUserData {
                this_dn,
                conn_id,
                user_data: list
            },
            3 => Request::UpdateUserData {
                this_dn,
                conn_id,
                user_data: list
            },
            4 => Request::DeleteUserData {
                this_dn,
                conn_id,
                data_key
            },
            5 => Request::DeleteAllUserData { this_dn, conn_id },
            _ => Request::QueryCall {
                this_dn,
                conn_id,
                call_info_type,
                extensions: list
            },
        }),
        Just(Request::QueryServer),
        Just(Request::CloseServer),
        Just(Request::Unsupported {
            name: RequestName::RouteCall
        }),
        control(),
    ]
}

/// Call control.
fn control() -> impl Strategy<Value = Request> {
    let ids = (dn(), any::<u64>().prop_map(ConnId), any::<u64>().prop_map(ConnId));
    let lists = (kv_list(), kv_list(), kv_list());
    let texts = ("[+0-9a-zA-Z:@.;=-]{1,30}", proptest::option::of(any::<String>()));
    (0..19usize, ids, lists, texts).prop_map(|(which, (this_dn, conn_id, other_conn_id), lists, (other_dn, location))| {
        let (user_data, reasons, extensions) = lists;
        let alone = [
            OnCall::AnswerCall,
            OnCall::HoldCall,
            OnCall::RetrieveCall,
            OnCall::SetMuteOn,
            OnCall::SetMuteOff,
        ];
        let with = [
            OnCallWith::InitiateTransfer,
            OnCallWith::InitiateConference,
            OnCallWith::SingleStepTransfer,
            OnCallWith::SingleStepConference,
            OnCallWith::DeleteFromConference,
            OnCallWith::RedirectCall,
        ];
        let two = [
            OnTwoCalls::CompleteTransfer,
            OnTwoCalls::CompleteConference,
            OnTwoCalls::AlternateCall,
            OnTwoCalls::ReconnectCall,
            OnTwoCalls::MergeCalls(MergeType::ForTransfer),
            OnTwoCalls::MergeCalls(MergeType::ForConference),
        ];
        match which {
            0..5 => Request::OnCall {
                operation: alone[which],
                this_dn,
                conn_id,
                reasons,
                extensions,
            },
            5..11 => Request::OnCallWith {
                operation: with[which - 5],
                this_dn,
                conn_id,
                other_dn,
                location,
                user_data,
                reasons,
                extensions,
            },
            11..17 => Request::OnTwoCalls {
                operation: two[which - 11],
                this_dn,
                conn_id,
                other_conn_id,
                reasons,
                extensions,
            },
            _ => Request::SendDtmf {
                this_dn,
                conn_id,
                dtmf_digits: other_dn,
                reasons,
                extensions,
            },
        }
    })
}

proptest! {
    #[test]
    fn a_request_written_is_read_back(request in request(), reference in proptest::option::of(any::<u32>())) {
        let mut frame = ClientRequest::from(&request);
        frame.reference_id = reference;
        let expected = RequestFrame { reference_id: reference.map(ReferenceId), request };
        prop_assert_eq!(decode_request(&frame.to_json()), Ok(expected));
    }
}
