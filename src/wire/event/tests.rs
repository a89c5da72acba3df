//! Event frames: the exact text of each kind, and back.

use std::sync::Arc;

use proptest::prelude::*;
use tandem_model::{
    AddressType, CallState, CallType, CallUuid, ConnId, DnId, DnRole, KvList, KvValue, MediaType, TCause, TError, TErrorCode,
};

use super::*;
use crate::EventFrame;

/// 2026-01-31T12:00:00.123456Z
const TIME_US: u64 = 1_769_860_800_123_456;

fn text(bytes: Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An event about a call, with the attributes that most of them have.
fn call_event(name: EventName) -> Event {
    Event {
        this_dn: Some(DnId::new("sip:bob@tandem.local")),
        this_dn_role: Some(DnRole::Destination),
        other_dn: Some(DnId::new("sip:alice@tandem.local")),
        other_dn_role: Some(DnRole::Origination),
        conn_id: Some(ConnId(0xa01)),
        call_uuid: Some(CallUuid(0x0190_0000_0000_7000_8000_0000_0000_00ab)),
        call_id: Some(12),
        call_type: Some(CallType::Internal),
        call_state: Some(CallState::Ok),
        media_type: Some(MediaType::Voice),
        dnis: Some("2001".into()),
        ani: Some("alice".into()),
        user_data: Some(Arc::new([("größe", "10\"\n")].into_iter().collect())),
        extensions: [("Conversation-ID", "c1")].into_iter().collect(),
        ..Event::new(name)
    }
}

/// One event of each name, with what is special about it.
fn sample(name: EventName) -> Event {
    let dn = || Some(DnId::new("sip:bob@tandem.local"));
    let plain = Event {
        this_dn: dn(),
        ..Event::new(name)
    };
    match name {
        EventName::EventError => Event::error(None, TError::new(TErrorCode::InvalidAttribute, "thisDn: \"x\"")),
        EventName::EventRegistered | EventName::EventAddressInfo => Event {
            address_type: Some(AddressType::DN),
            address_info_status: Some(1),
            extensions: [("conn-1", KvValue::from("0000000000000a01")), ("ps-1", KvValue::from(12))]
                .into_iter()
                .collect(),
            ..plain
        },
        EventName::EventServerInfo | EventName::EventServerConnected => Event {
            server_role: Some(ServerRole::Primary),
            ..Event::new(name)
        },
        EventName::EventReleased => Event {
            cause: Some(TCause::SingleStepTransfer),
            extensions: [("SIP-Status", 486), ("Q850-Cause", 17)].into_iter().collect(),
            reasons: [("why", "done")].into_iter().collect(),
            ..call_event(name)
        },
        EventName::EventPartyAdded | EventName::EventPartyDeleted | EventName::EventPartyChanged => Event {
            third_party_dn: Some(DnId::new("sip:carol@tandem.local")),
            third_party_dn_role: Some(DnRole::AddedBy),
            previous_conn_id: Some(ConnId(0xa02)),
            this_queue: Some(DnId::new("gcti::park")),
            ..call_event(name)
        },
        EventName::EventDTMFSent => Event {
            dtmf_digits: Some("12#".into()),
            ..call_event(name)
        },
        EventName::EventUnregistered
        | EventName::EventDNOutOfService
        | EventName::EventDNBackInService
        | EventName::EventUserEvent => plain,
        EventName::EventServerDisconnected
        | EventName::EventLinkConnected
        | EventName::EventLinkDisconnected
        | EventName::EventACK => Event::new(name),
        _ => call_event(name),
    }
}

#[test]
fn the_frame_of_each_event_is_the_golden_one() {
    let mut all = String::new();
    for (at, name) in EventName::ALL.iter().enumerate() {
        let frame = encode_event(&sample(*name), 100 + at as u64, 99, TIME_US, Some(ReferenceId(7)));
        all.push_str(&text(frame));
        all.push('\n');
    }
    insta::assert_snapshot!(all);
}

#[test]
fn per_client_parts_are_spliced_into_one_shared_body() {
    let body = EventBody::new(&Event::new(EventName::EventACK), 5, TIME_US);
    assert_eq!(
        text(body.frame(4, None)),
        r#"{"event":"EventACK","sequence":5,"previous":4,"time":"2026-01-31T12:00:00.123456Z"}"#
    );
    assert_eq!(
        text(body.frame(0, Some(ReferenceId(u32::MAX)))),
        r#"{"event":"EventACK","sequence":5,"previous":0,"referenceId":4294967295,"time":"2026-01-31T12:00:00.123456Z"}"#
    );
}

#[test]
fn the_sequence_of_a_frame_is_found_again() {
    for sequence in [0, 7, 4711, u64::MAX] {
        let frame = encode_event(&sample(EventName::EventRinging), sequence, 3, TIME_US, Some(ReferenceId(2)));
        assert_eq!(sequence_of(&frame), Some(sequence));
    }
    assert_eq!(sequence_of(b"{}"), None);
    assert_eq!(sequence_of(br#"{"event":"x","sequence":"7"}"#), None);
}

#[test]
fn server_connected_says_epoch_role_version_and_resume() {
    let connected = ServerConnected {
        epoch: "018f".to_owned(),
        server_role: ServerRole::Primary,
        server_version: "0.1.0".to_owned(),
        resume: ResumeOutcome::Delta,
        session: "5-c0ffee".to_owned(),
    };
    assert_eq!(
        text(EventBody::server_connected(&connected, 40, TIME_US).frame(0, Some(ReferenceId(1)))),
        r#"{"event":"EventServerConnected","sequence":40,"previous":0,"referenceId":1,"time":"2026-01-31T12:00:00.123456Z","epoch":"018f","serverRole":"Primary","serverVersion":"0.1.0","resume":"delta","session":"5-c0ffee"}"#
    );
}

#[test]
fn the_party_state_is_never_sent() {
    let mut event = Event::new(EventName::EventRinging);
    event.party_state = Some(tandem_model::PartyState::Alerting);
    let with = encode_event(&event, 1, 0, 0, None);
    event.party_state = None;
    assert_eq!(with, encode_event(&event, 1, 0, 0, None));
}

/// What a client must see of `event`.
fn expected(event: &Event, sequence: u64, previous: u64, reference_id: Option<u32>) -> EventFrame {
    let own = |text: &str| Some(text.to_owned());
    EventFrame {
        event: event.name.name().to_owned(),
        sequence,
        previous,
        reference_id,
        time: time::format(TIME_US),
        this_dn: event.this_dn.as_ref().and_then(|dn| own(dn.as_str())),
        this_dn_role: event.this_dn_role.and_then(|role| own(role.name())),
        this_queue: event.this_queue.as_ref().and_then(|dn| own(dn.as_str())),
        other_dn: event.other_dn.as_ref().and_then(|dn| own(dn.as_str())),
        other_dn_role: event.other_dn_role.and_then(|role| own(role.name())),
        third_party_dn: event.third_party_dn.as_ref().and_then(|dn| own(dn.as_str())),
        third_party_dn_role: event.third_party_dn_role.and_then(|role| own(role.name())),
        conn_id: event.conn_id.map(|id| id.to_string()),
        previous_conn_id: event.previous_conn_id.map(|id| id.to_string()),
        transfer_conn_id: event.transfer_conn_id.map(|id| id.to_string()),
        conference_conn_id: event.conference_conn_id.map(|id| id.to_string()),
        call_uuid: event.call_uuid.map(|id| id.to_string()),
        call_id: event.call_id,
        call_type: event.call_type.and_then(|value| own(value.name())),
        call_state: event.call_state.and_then(|value| own(value.name())),
        cause: event.cause.and_then(|value| own(value.name())),
        media_type: event.media_type.and_then(|value| own(value.name())),
        dnis: event.dnis.as_deref().and_then(own),
        ani: event.ani.as_deref().and_then(own),
        address_type: event.address_type.and_then(|value| own(value.name())),
        address_info_status: event.address_info_status,
        dtmf_digits: event.dtmf_digits.as_deref().and_then(own),
        error_code: event.error.as_ref().map(|error| error.code.number()),
        error_message: event.error.as_ref().and_then(|error| own(&error.message)),
        server_role: event.server_role.and_then(|role| own(role.name())),
        user_data: event.user_data.as_deref().cloned(),
        extensions: event.extensions.clone(),
        reasons: event.reasons.clone(),
        ..EventFrame::default()
    }
}

fn any_text() -> impl Strategy<Value = Option<Arc<str>>> {
    proptest::option::of(any::<String>().prop_map(Into::into))
}

prop_compose! {
    fn any_event()(
        name in proptest::sample::select(EventName::ALL),
        ids in (any::<Option<u64>>(), any::<Option<u64>>(), any::<Option<u128>>(), any::<Option<u64>>(), any::<Option<u32>>()),
        texts in (any_text(), any_text(), any_text()),
        dns in (any_text(), any_text()),
        role in proptest::option::of(proptest::sample::select(DnRole::ALL)),
        state in proptest::option::of(proptest::sample::select(CallState::ALL)),
        cause in proptest::option::of(proptest::sample::select(TCause::ALL)),
        error in proptest::option::of((proptest::sample::select(TErrorCode::ALL), any::<String>())),
        user_data in proptest::option::of(crate::client::tests::kv_list()),
        extensions in crate::client::tests::kv_list(),
    ) -> Event {
        Event {
            this_dn: dns.0.map(|text| DnId::new(&text)),
            other_dn: dns.1.map(|text| DnId::new(&text)),
            third_party_dn_role: role,
            this_dn_role: role,
            call_state: state,
            cause,
            conn_id: ids.0.map(ConnId),
            previous_conn_id: ids.1.map(ConnId),
            transfer_conn_id: ids.3.map(ConnId),
            conference_conn_id: ids.1.map(ConnId),
            call_uuid: ids.2.map(CallUuid),
            call_id: ids.3,
            address_info_status: ids.4,
            dnis: texts.0,
            ani: texts.1,
            dtmf_digits: texts.2,
            error: error.map(|(code, message)| TError::new(code, message)),
            user_data: user_data.map(Arc::<KvList>::new),
            extensions,
            ..Event::new(name)
        }
    }
}

proptest! {
    #[test]
    fn a_client_reads_back_what_was_written(
        event in any_event(), sequence in any::<u64>(), previous in any::<u64>(), reference in any::<Option<u32>>(),
    ) {
        let frame = text(encode_event(&event, sequence, previous, TIME_US, reference.map(ReferenceId)));
        let read = EventFrame::decode(&frame).unwrap();
        prop_assert_eq!(read.time_us(), Some(TIME_US));
        prop_assert_eq!(read, expected(&event, sequence, previous, reference));
    }
}
