//! Request frames: text to [`Request`], or the refusal that answers it.
//!
//! # Rules
//! * A frame is one JSON object. `request` is the name of a T-Library request without its T. `referenceId` is optional.
//! * Error **223** names a *parameter* that is missing, or what is wrong with the frame itself (no JSON object, a key twice, too
//!   deep, unknown `request`, ill-formed `referenceId`). Error **53** names an *attribute* whose type or value is wrong.
//! * The refusal carries the frame's `referenceId` whenever that could be read.
//! * A name that Tandem does not know is skipped, so that newer clients work with older servers. `null` is the same as absent.
//! * Enumerations are names or numbers; a number in quotes is an error that says so. DNs are lower-cased here.
//! * A DN is a URI without parameters or a bare name; whether it exists is the server's to say.
//! * A request that Tandem does not do yet decodes to [`Request::Unsupported`], its attributes unread.

use serde_json::{Map, Value};
use tandem_model::request::{OnCall, OnCallWith, OnTwoCalls, RequestName, Resume};
use tandem_model::{
    AddressInfoType, CallInfoType, ConnId, ControlMode, EventName, MakeCallType, MergeType, ReferenceId, RegisterMode, Request,
    TError, TErrorCode,
};

use crate::fields::{Fields, clipped};
use crate::json;

/// A request and the reference to answer it under.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestFrame {
    /// What the answer carries back.
    pub reference_id: Option<ReferenceId>,
    /// What the client asks for.
    pub request: Request,
}

/// A frame that is no request: the EventError to answer.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{error}")]
pub struct RequestError {
    /// What the answer carries back, where it could be read.
    pub reference_id: Option<ReferenceId>,
    /// The refusal, naming the field.
    pub error: TError,
}

/// Reads a text frame.
pub fn decode_request(text: &str) -> Result<RequestFrame, RequestError> {
    let map = json::parse_frame(text).map_err(|what| RequestError {
        reference_id: None,
        error: bad_frame("frame", what),
    })?;
    let reference_id = reference(&map).map_err(|error| RequestError {
        reference_id: None,
        error,
    })?;
    name(&map)
        .and_then(|name| attributes(name, &Fields(&map)))
        .map(|request| RequestFrame { reference_id, request })
        .map_err(|error| RequestError { reference_id, error })
}

fn bad_frame(name: &str, what: impl std::fmt::Display) -> TError {
    TError::new(TErrorCode::BadParameter, format!("{name}: {what}"))
}

fn reference(map: &Map<String, Value>) -> Result<Option<ReferenceId>, TError> {
    match map.get("referenceId") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Ok(Some(ReferenceId(number))),
            None => Err(bad_frame("referenceId", "not a whole number from 0 to 4294967295")),
        },
    }
}

fn name(map: &Map<String, Value>) -> Result<RequestName, TError> {
    match map.get("request") {
        None | Some(Value::Null) => Err(bad_frame("request", "missing")),
        Some(Value::String(text)) => {
            let stripped = text
                .strip_prefix("Request")
                .or_else(|| text.strip_prefix('T'))
                .unwrap_or_default();
            match (RequestName::from_name(text), RequestName::from_name(stripped)) {
                (Some(name), _) => Ok(name),
                (None, Some(meant)) => Err(bad_frame(
                    "request",
                    format_args!("there is no {}; it is {meant} here", clipped(text)),
                )),
                (None, None) => Err(bad_frame("request", format_args!("there is no {:?}", clipped(text)))),
            }
        }
        Some(_) => Err(bad_frame("request", "not text")),
    }
}

fn attributes(name: RequestName, fields: &Fields<'_>) -> Result<Request, TError> {
    Ok(match name {
        RequestName::OpenServer => Request::OpenServer {
            application_name: fields.text("applicationName")?.to_owned(),
            api_key: fields.text("apiKey")?.to_owned(),
            resume: resume(fields)?,
        },
        RequestName::CloseServer => Request::CloseServer,
        RequestName::SetInputMask => Request::SetInputMask {
            events: fields.choices("inputMask", is_other_event)?,
        },
        RequestName::RegisterAddress => Request::RegisterAddress {
            this_dn: fields.dn("thisDn")?,
            register_mode: fields.choice("registerMode", RegisterMode::Share)?,
            control_mode: fields.choice("controlMode", ControlMode::RegisterDefault)?,
            address_type: fields.optional_choice("addressType")?,
            extensions: fields.list("extensions")?,
        },
        RequestName::UnregisterAddress => Request::UnregisterAddress {
            this_dn: fields.dn("thisDn")?,
            control_mode: fields.choice("controlMode", ControlMode::RegisterDefault)?,
        },
        RequestName::MakeCall => Request::MakeCall {
            this_dn: fields.dn("thisDn")?,
            other_dn: fields.dialled("otherDn")?.to_owned(),
            location: fields.optional_text("location")?.map(str::to_owned),
            make_call_type: fields.choice("makeCallType", MakeCallType::Regular)?,
            user_data: fields.list("userData")?,
            reasons: fields.list("reasons")?,
            extensions: fields.list("extensions")?,
        },
        RequestName::QueryServer => Request::QueryServer,
        RequestName::QueryAddress => Request::QueryAddress {
            this_dn: fields.dn("thisDn")?,
            address_type: fields.optional_choice("addressType")?,
            address_info_type: fields.choice("addressInfoType", AddressInfoType::DNStatus)?,
        },
        _ => return on_call(name, fields),
    })
}

/// The requests about one call of one DN, and those that Tandem does not do yet.
fn on_call(name: RequestName, fields: &Fields<'_>) -> Result<Request, TError> {
    let this_dn = || fields.dn("thisDn");
    let conn_id = || fields.conn_id("connId");
    Ok(match name {
        RequestName::ReleaseCall => Request::ReleaseCall {
            this_dn: this_dn()?,
            conn_id: conn_id()?,
            reasons: fields.list("reasons")?,
        },
        RequestName::ClearCall => Request::ClearCall {
            this_dn: this_dn()?,
            conn_id: conn_id()?,
            reasons: fields.list("reasons")?,
        },
        RequestName::AttachUserData => Request::AttachUserData {
            this_dn: this_dn()?,
            conn_id: conn_id()?,
            user_data: fields.required_list("userData")?,
        },
        RequestName::UpdateUserData => Request::UpdateUserData {
            this_dn: this_dn()?,
            conn_id: conn_id()?,
            user_data: fields.required_list("userData")?,
        },
        RequestName::DeleteUserData => Request::DeleteUserData {
            this_dn: this_dn()?,
            conn_id: conn_id()?,
            data_key: fields.filled_text("dataKey")?.to_owned(),
        },
        RequestName::DeleteAllUserData => Request::DeleteAllUserData {
            this_dn: this_dn()?,
            conn_id: conn_id()?,
        },
        RequestName::QueryCall => Request::QueryCall {
            this_dn: this_dn()?,
            conn_id: conn_id()?,
            call_info_type: fields.choice("callInfoType", CallInfoType::StatusQuery)?,
            extensions: fields.list("extensions")?,
        },
        name => return operation(name, fields),
    })
}

/// Call control, and the requests that Tandem does not do yet.
fn operation(name: RequestName, fields: &Fields<'_>) -> Result<Request, TError> {
    let on_call = |operation| {
        Ok(Request::OnCall {
            operation,
            this_dn: fields.dn("thisDn")?,
            conn_id: fields.conn_id("connId")?,
            reasons: fields.list("reasons")?,
            extensions: fields.list("extensions")?,
        })
    };
    let on_call_with = |operation| {
        Ok(Request::OnCallWith {
            operation,
            this_dn: fields.dn("thisDn")?,
            conn_id: fields.conn_id("connId")?,
            other_dn: fields.dialled("otherDn")?.to_owned(),
            location: fields.optional_text("location")?.map(str::to_owned),
            user_data: fields.list("userData")?,
            reasons: fields.list("reasons")?,
            extensions: fields.list("extensions")?,
        })
    };
    let on_two_calls = |operation| {
        Ok(Request::OnTwoCalls {
            operation,
            this_dn: fields.dn("thisDn")?,
            conn_id: fields.conn_id("connId")?,
            other_conn_id: other_conn_id(fields)?,
            reasons: fields.list("reasons")?,
            extensions: fields.list("extensions")?,
        })
    };
    match name {
        RequestName::AnswerCall => on_call(OnCall::AnswerCall),
        RequestName::HoldCall => on_call(OnCall::HoldCall),
        RequestName::RetrieveCall => on_call(OnCall::RetrieveCall),
        RequestName::SetMuteOn => on_call(OnCall::SetMuteOn),
        RequestName::SetMuteOff => on_call(OnCall::SetMuteOff),
        RequestName::InitiateTransfer => on_call_with(OnCallWith::InitiateTransfer),
        RequestName::InitiateConference => on_call_with(OnCallWith::InitiateConference),
        RequestName::SingleStepTransfer => on_call_with(OnCallWith::SingleStepTransfer),
        RequestName::SingleStepConference => on_call_with(OnCallWith::SingleStepConference),
        RequestName::DeleteFromConference => on_call_with(OnCallWith::DeleteFromConference),
        RequestName::RedirectCall => on_call_with(OnCallWith::RedirectCall),
        RequestName::CompleteTransfer => on_two_calls(OnTwoCalls::CompleteTransfer),
        RequestName::CompleteConference => on_two_calls(OnTwoCalls::CompleteConference),
        RequestName::AlternateCall => on_two_calls(OnTwoCalls::AlternateCall),
        RequestName::ReconnectCall => on_two_calls(OnTwoCalls::ReconnectCall),
        RequestName::MergeCalls => on_two_calls(OnTwoCalls::MergeCalls(fields.choice("mergeType", MergeType::ForTransfer)?)),
        RequestName::SendDtmf => Ok(Request::SendDtmf {
            this_dn: fields.dn("thisDn")?,
            conn_id: fields.conn_id("connId")?,
            dtmf_digits: fields.filled_text("dtmfDigits")?.to_owned(),
            reasons: fields.list("reasons")?,
            extensions: fields.list("extensions")?,
        }),
        name => Ok(Request::Unsupported { name }),
    }
}

/// The second call, under any of the names that T-Library's attributes give it.
fn other_conn_id(fields: &Fields<'_>) -> Result<ConnId, TError> {
    let given = OTHER_CONN_IDS.iter().find(|name| fields.value(name).is_some());
    fields.conn_id(given.unwrap_or(&"transferConnId"))
}

/// AttributeTransferConnID, AttributeConferenceConnID, and what client libraries call the parameter.
const OTHER_CONN_IDS: [&str; 4] = ["transferConnId", "conferenceConnId", "heldConnId", "currentConnId"];

fn resume(fields: &Fields<'_>) -> Result<Option<Resume>, TError> {
    let map = match fields.value("resume") {
        None => return Ok(None),
        Some(Value::Object(map)) => map,
        Some(_) => {
            return Err(TError::new(
                TErrorCode::InvalidAttribute,
                "resume: not an object of epoch and sequence",
            ));
        }
    };
    let inner = Fields(map);
    let within = |error: TError| TError::new(error.code, format!("resume.{}", error.message));
    Ok(Some(Resume {
        epoch: inner.filled_text("epoch").map_err(within)?.to_owned(),
        sequence: inner.number("sequence", u64::MAX).map_err(within)?,
        session: inner.optional_text("session").map_err(within)?.map(str::to_owned),
    }))
}

/// Events of T-Library that Tandem never sends may stand in a mask: a client brings the mask it has always used.
fn is_other_event(value: &Value) -> bool {
    match value {
        // A mask has 512 bits (T-Library reference ch. 2).
        Value::Number(number) => number
            .as_u64()
            .is_some_and(|number| number < 512 && EventName::from_number(number as u32).is_none()),
        Value::String(text) => OTHER_EVENTS.contains(&text.as_str()),
        _ => false,
    }
}

const OTHER_EVENTS: &[&str] = &[
    "EventRegisteredAll",
    "EventUnregisteredAll",
    "EventRouteRequest",
    "EventRouteUsed",
    "EventAgentLogin",
    "EventAgentLogout",
    "EventAgentReady",
    "EventAgentNotReady",
    "EventDNDOn",
    "EventDNDOff",
    "EventMailBoxLogin",
    "EventMailBoxLogout",
    "EventVoiceFileOpened",
    "EventVoiceFileClosed",
    "EventVoiceFileEndPlay",
    "EventDigitsCollected",
    "EventOffHook",
    "EventOnHook",
    "EventForwardSet",
    "EventForwardCancel",
    "EventMessageWaitingOn",
    "EventMessageWaitingOff",
    "EventResourceAllocated",
    "EventResourceFreed",
    "EventRemoteConnectionSuccess",
    "EventRemoteConnectionFailed",
    "EventListenDisconnect",
    "EventListenReconnected",
    "EventTreatmentApplied",
    "EventTreatmentNotApplied",
    "EventTreatmentEnd",
    "EventHardwareError",
    "EventAgentAfterCallWork",
    "EventTreatmentRequired",
    "EventSwitchInfo",
    "EventAnswerAccessNumber",
    "EventReqGetAccessNumberCanceled",
    "EventAgentReserved",
    "EventAgentIdleReasonSet",
    "EventRestoreConnection",
    "EventPrimaryChanged",
    "EventLocationInfo",
    "EventMonitoringNextCall",
    "EventMonitoringCancelled",
    "EventPrivateInfo",
    "EventBridged",
    "EventQueueLogout",
    "EventCallCreated",
    "EventCallDataChanged",
    "EventCallDeleted",
    "EventCallPartyAdded",
    "EventCallPartyState",
    "EventCallPartyMoved",
    "EventCallPartyDeleted",
    "EventReturnReceipt",
    "EventNetworkCallStatus",
    "EventNetworkPrivateInfo",
    "EventTransactionStatus",
    "EventResourceInfo",
];

#[cfg(test)]
mod tests;
