//! The client's side of the protocol: [`ClientRequest`] builds request frames, [`EventFrame`] reads event frames.
//!
//! Both are the flat union of the attributes that can stand in a frame, so that they are also its schema ([`crate::schema`]).
//! Reading is lenient, as a client must survive a newer server: unknown attributes are skipped, enumerations stay text, and only
//! `event` is required.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem_model::request::{OnCall, OnCallWith, OnTwoCalls, RequestName, Resume};
use tandem_model::{ConnId, DnId, EventName, KvList, ReferenceId, Request, TErrorCode};

/// A request frame in the making. Start with the constructor of the request, add what is optional, end with [`Self::to_json`].
///
/// ```
/// use tandem_wire::ClientRequest;
///
/// let frame = ClientRequest::make_call("sip:alice@tandem.local", "2001").reference(7).to_json();
/// assert_eq!(frame, r#"{"request":"MakeCall","referenceId":7,"thisDn":"sip:alice@tandem.local","otherDn":"2001"}"#);
/// ```
#[derive(Clone, PartialEq, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "CTI request frame")]
pub struct ClientRequest {
    /// The T-Library request, without the T.
    #[schemars(schema_with = "crate::schema::enumeration::<RequestName>")]
    pub request: String,
    /// Comes back in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<u32>,
    /// Who the client is, for logs (OpenServer).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_name: Option<String>,
    /// The key that admits the client (OpenServer).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Where a lost connection left off (OpenServer).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<ResumeFrom>,
    /// The events that the client wants (SetInputMask): names or numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_mask: Option<Vec<String>>,
    /// The DN that asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub this_dn: Option<String>,
    /// The destination, as dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_dn: Option<String>,
    /// The site of the destination; empty or absent means this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The call: 16 lower-case hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{1,16}$"))]
    pub conn_id: Option<String>,
    /// How to call. Regular where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, schema_with = "crate::schema::name_or_number::<tandem_model::MakeCallType>")]
    pub make_call_type: Option<String>,
    /// How the client shares the DN. Share where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, schema_with = "crate::schema::name_or_number::<tandem_model::RegisterMode>")]
    pub register_mode: Option<String>,
    /// What to tell the switch of a registration. RegisterDefault where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, schema_with = "crate::schema::name_or_number::<tandem_model::ControlMode>")]
    pub control_mode: Option<String>,
    /// What kind of thing the DN is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, schema_with = "crate::schema::name_or_number::<tandem_model::AddressType>")]
    pub address_type: Option<String>,
    /// What QueryAddress asks for. DNStatus where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, schema_with = "crate::schema::name_or_number::<tandem_model::AddressInfoType>")]
    pub address_info_type: Option<String>,
    /// What QueryCall asks for. StatusQuery where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, schema_with = "crate::schema::name_or_number::<tandem_model::CallInfoType>")]
    pub call_info_type: Option<String>,
    /// The second call of a request about two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_conn_id: Option<String>,
    /// What MergeCalls makes of two calls. ForTransfer where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, schema_with = "crate::schema::name_or_number::<tandem_model::MergeType>")]
    pub merge_type: Option<String>,
    /// The digits to send (SendDtmf).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtmf_digits: Option<String>,
    /// The key to delete (DeleteUserData).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_key: Option<String>,
    /// The call's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, schema_with = "crate::schema::list")]
    pub user_data: Option<KvList>,
    /// The client's reasons; events echo them.
    #[serde(skip_serializing_if = "KvList::is_empty")]
    #[schemars(default, schema_with = "crate::schema::list")]
    pub reasons: KvList,
    /// What the request adds beyond the fixed attributes. RegisterAddress: `handle-direct-calls` (`true`, `false`, `on-login`) and
    /// `handle-direct-calls-media` (`all`, `av`, `im`) override the DN's settings until the client is gone or unregisters; of several
    /// clients the last one that asked is heeded. RegisterAddress, for all calls of the DN, and MakeCall, AnswerCall, Initiate* and
    /// SingleStep*, for that call: `RemoteMediaFlowState` = 1 asks for EventCallInfoChanged when the media of a party connects; QueryCall
    /// with it shows that as `mf-N`. HoldCall: `music`, what the others hear meanwhile: 1 for music in a conference too, 0 for none, or the
    /// name of a file of `media.music_directory`.
    #[serde(skip_serializing_if = "KvList::is_empty")]
    #[schemars(default, schema_with = "crate::schema::list")]
    pub extensions: KvList,
}

/// Where a client that lost its connection left off.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct ResumeFrom {
    /// The epoch that EventServerConnected named.
    pub epoch: String,
    /// The sequence of the last event the client has.
    pub sequence: u64,
    /// The session that EventServerConnected named. Without it the client is found by the sequence alone, which only works where no other
    /// client of the same application and key can be meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

impl ClientRequest {
    /// Any request by name, without attributes.
    pub fn named(name: RequestName) -> Self {
        Self {
            request: name.name().to_owned(),
            ..Self::default()
        }
    }

    fn on_dn(name: RequestName, this_dn: &str) -> Self {
        Self {
            this_dn: Some(this_dn.to_owned()),
            ..Self::named(name)
        }
    }

    fn on_call(name: RequestName, this_dn: &str, conn_id: ConnId) -> Self {
        Self {
            conn_id: Some(conn_id.to_string()),
            ..Self::on_dn(name, this_dn)
        }
    }

    /// The first request of every connection.
    pub fn open_server(application_name: &str, api_key: &str) -> Self {
        Self {
            application_name: Some(application_name.to_owned()),
            api_key: Some(api_key.to_owned()),
            ..Self::named(RequestName::OpenServer)
        }
    }

    /// Says goodbye; the server closes the socket.
    pub fn close_server() -> Self {
        Self::named(RequestName::CloseServer)
    }

    /// Limits what is sent to these events.
    pub fn set_input_mask(events: &[EventName]) -> Self {
        Self {
            input_mask: Some(events.iter().map(|event| event.name().to_owned()).collect()),
            ..Self::named(RequestName::SetInputMask)
        }
    }

    /// Asks for the events of a DN.
    pub fn register_address(this_dn: &str) -> Self {
        Self::on_dn(RequestName::RegisterAddress, this_dn)
    }

    /// Ends a registration.
    pub fn unregister_address(this_dn: &str) -> Self {
        Self::on_dn(RequestName::UnregisterAddress, this_dn)
    }

    /// Calls `other_dn` from `this_dn`'s device.
    pub fn make_call(this_dn: &str, other_dn: &str) -> Self {
        Self {
            other_dn: Some(other_dn.to_owned()),
            ..Self::on_dn(RequestName::MakeCall, this_dn)
        }
    }

    /// Takes `this_dn` out of a call.
    pub fn release_call(this_dn: &str, conn_id: ConnId) -> Self {
        Self::on_call(RequestName::ReleaseCall, this_dn, conn_id)
    }

    /// Ends a call for every party.
    pub fn clear_call(this_dn: &str, conn_id: ConnId) -> Self {
        Self::on_call(RequestName::ClearCall, this_dn, conn_id)
    }

    /// Adds pairs to a call's data.
    pub fn attach_user_data(this_dn: &str, conn_id: ConnId, pairs: KvList) -> Self {
        Self::on_call(RequestName::AttachUserData, this_dn, conn_id).user_data(pairs)
    }

    /// Replaces values in a call's data.
    pub fn update_user_data(this_dn: &str, conn_id: ConnId, pairs: KvList) -> Self {
        Self::on_call(RequestName::UpdateUserData, this_dn, conn_id).user_data(pairs)
    }

    /// Removes one key of a call's data.
    pub fn delete_user_data(this_dn: &str, conn_id: ConnId, key: &str) -> Self {
        Self {
            data_key: Some(key.to_owned()),
            ..Self::on_call(RequestName::DeleteUserData, this_dn, conn_id)
        }
    }

    /// Removes all of a call's data.
    pub fn delete_all_user_data(this_dn: &str, conn_id: ConnId) -> Self {
        Self::on_call(RequestName::DeleteAllUserData, this_dn, conn_id)
    }

    /// A request about one call that needs nothing more: HoldCall, RetrieveCall, AnswerCall, SetMuteOn, SetMuteOff.
    pub fn of_call(operation: OnCall, this_dn: &str, conn_id: ConnId) -> Self {
        Self::on_call(operation.name(), this_dn, conn_id)
    }

    /// A request about one call and another DN: transfers, conferences, DeleteFromConference, RedirectCall.
    pub fn of_call_with(operation: OnCallWith, this_dn: &str, conn_id: ConnId, other_dn: &str) -> Self {
        Self {
            other_dn: Some(other_dn.to_owned()),
            ..Self::on_call(operation.name(), this_dn, conn_id)
        }
    }

    /// A request about two calls: CompleteTransfer, CompleteConference, AlternateCall, ReconnectCall, MergeCalls.
    pub fn of_two_calls(operation: OnTwoCalls, this_dn: &str, held: ConnId, current: ConnId) -> Self {
        Self {
            transfer_conn_id: Some(current.to_string()),
            merge_type: match operation {
                OnTwoCalls::MergeCalls(merge_type) => Some(merge_type.name().to_owned()),
                _ => None,
            },
            ..Self::on_call(operation.name(), this_dn, held)
        }
    }

    /// Lets the other side hear digits.
    pub fn send_dtmf(this_dn: &str, conn_id: ConnId, digits: &str) -> Self {
        Self {
            dtmf_digits: Some(digits.to_owned()),
            ..Self::on_call(RequestName::SendDtmf, this_dn, conn_id)
        }
    }

    /// Asks how a call stands.
    pub fn query_call(this_dn: &str, conn_id: ConnId) -> Self {
        Self::on_call(RequestName::QueryCall, this_dn, conn_id)
    }

    /// Asks how a DN stands.
    pub fn query_address(this_dn: &str) -> Self {
        Self::on_dn(RequestName::QueryAddress, this_dn)
    }

    /// Asks who the server is.
    pub fn query_server() -> Self {
        Self::named(RequestName::QueryServer)
    }

    /// With this reference id.
    pub fn reference(mut self, reference_id: u32) -> Self {
        self.reference_id = Some(reference_id);
        self
    }

    /// With user data.
    pub fn user_data(mut self, pairs: KvList) -> Self {
        self.user_data = Some(pairs);
        self
    }

    /// With extensions.
    pub fn extensions(mut self, pairs: KvList) -> Self {
        self.extensions = pairs;
        self
    }

    /// With reasons.
    pub fn reasons(mut self, pairs: KvList) -> Self {
        self.reasons = pairs;
        self
    }

    /// Resuming where a lost connection left off (OpenServer).
    pub fn resume(mut self, epoch: &str, sequence: u64) -> Self {
        self.resume = Some(ResumeFrom {
            epoch: epoch.to_owned(),
            sequence,
            session: None,
        });
        self
    }

    /// The session of the connection that was lost, for [`Self::resume`].
    pub fn session(mut self, session: &str) -> Self {
        if let Some(resume) = &mut self.resume {
            resume.session = Some(session.to_owned());
        }
        self
    }

    /// The text frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text keys and plain values always serialise")
    }
}

impl From<&Request> for ClientRequest {
    /// The frame that decodes to `request`. The name stands for itself where the request is unsupported.
    fn from(request: &Request) -> Self {
        let mut frame = Self::named(request.name());
        frame.this_dn = request.this_dn().map(DnId::to_string);
        frame.conn_id = request.conn_id().map(|conn_id| conn_id.to_string());
        frame.fill(request);
        frame
    }
}

impl ClientRequest {
    /// Sets the attributes that not every request has.
    fn fill(&mut self, request: &Request) {
        let name = |value: &'static str| Some(value.to_owned());
        let (reasons, extensions) = attached(request);
        self.reasons = reasons.cloned().unwrap_or_default();
        self.extensions = extensions.cloned().unwrap_or_default();
        match request {
            Request::OpenServer {
                application_name,
                api_key,
                resume,
            } => {
                self.application_name = Some(application_name.clone());
                self.api_key = Some(api_key.clone());
                self.resume = resume.as_ref().map(|resume: &Resume| ResumeFrom {
                    epoch: resume.epoch.clone(),
                    sequence: resume.sequence,
                    session: resume.session.clone(),
                });
            }
            Request::SetInputMask { events } => {
                self.input_mask = Some(events.iter().map(|event| event.name().to_owned()).collect());
            }
            Request::RegisterAddress {
                register_mode,
                control_mode,
                address_type,
                ..
            } => {
                self.register_mode = name(register_mode.name());
                self.control_mode = name(control_mode.name());
                self.address_type = address_type.map(|kind| kind.name().to_owned());
            }
            Request::UnregisterAddress { control_mode, .. } => self.control_mode = name(control_mode.name()),
            Request::MakeCall {
                other_dn,
                location,
                make_call_type,
                user_data,
                ..
            } => {
                self.other_dn = Some(other_dn.clone());
                self.location = location.clone();
                self.make_call_type = name(make_call_type.name());
                self.user_data = Some(user_data.clone());
            }
            Request::AttachUserData { user_data, .. } | Request::UpdateUserData { user_data, .. } => {
                self.user_data = Some(user_data.clone());
            }
            Request::OnCallWith {
                other_dn,
                location,
                user_data,
                ..
            } => {
                self.other_dn = Some(other_dn.clone());
                self.location = location.clone();
                self.user_data = Some(user_data.clone());
            }
            Request::OnTwoCalls {
                operation,
                other_conn_id,
                ..
            } => {
                self.transfer_conn_id = Some(other_conn_id.to_string());
                if let OnTwoCalls::MergeCalls(merge_type) = operation {
                    self.merge_type = name(merge_type.name());
                }
            }
            Request::SendDtmf { dtmf_digits, .. } => {
                self.dtmf_digits = Some(dtmf_digits.clone());
            }
            Request::DeleteUserData { data_key, .. } => self.data_key = Some(data_key.clone()),
            Request::QueryCall { call_info_type, .. } => self.call_info_type = name(call_info_type.name()),
            Request::QueryAddress {
                address_type,
                address_info_type,
                ..
            } => {
                self.address_type = address_type.map(|kind| kind.name().to_owned());
                self.address_info_type = name(address_info_type.name());
            }
            // The others have nothing beyond their name, DN and call.
            _ => {}
        }
    }
}

/// The reasons and the extensions of a request, where it has such.
fn attached(request: &Request) -> (Option<&KvList>, Option<&KvList>) {
    match request {
        Request::MakeCall { reasons, extensions, .. }
        | Request::OnCall { reasons, extensions, .. }
        | Request::OnCallWith { reasons, extensions, .. }
        | Request::OnTwoCalls { reasons, extensions, .. }
        | Request::SendDtmf { reasons, extensions, .. } => (Some(reasons), Some(extensions)),
        Request::ReleaseCall { reasons, .. } | Request::ClearCall { reasons, .. } => (Some(reasons), None),
        Request::RegisterAddress { extensions, .. } | Request::QueryCall { extensions, .. } => (None, Some(extensions)),
        _ => (None, None),
    }
}

/// An event frame, as a client sees it. What is absent in the frame is `None`, empty or 0.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "CTI event frame")]
pub struct EventFrame {
    /// The T-Library event.
    #[schemars(schema_with = "crate::schema::enumeration::<EventName>")]
    pub event: String,
    /// The place of this event in the one order of the epoch.
    #[serde(default)]
    pub sequence: u64,
    /// The sequence of the event this client got just before; 0 where this is the first.
    #[serde(default)]
    pub previous: u64,
    /// The request this answers.
    #[serde(default)]
    pub reference_id: Option<u32>,
    /// When, in RFC 3339 UTC with microseconds.
    #[serde(default)]
    pub time: String,
    /// Whom it concerns.
    #[serde(default)]
    pub this_dn: Option<String>,
    /// The part of thisDn in the call.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::enumeration::<tandem_model::DnRole>")]
    pub this_dn_role: Option<String>,
    /// The distribution device the call came through last.
    #[serde(default)]
    pub this_queue: Option<String>,
    /// The other side, where it is one.
    #[serde(default)]
    pub other_dn: Option<String>,
    /// The part of otherDn.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::enumeration::<tandem_model::DnRole>")]
    pub other_dn_role: Option<String>,
    /// Who caused the change, or where it goes.
    #[serde(default)]
    pub third_party_dn: Option<String>,
    /// The part of thirdPartyDn.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::enumeration::<tandem_model::DnRole>")]
    pub third_party_dn_role: Option<String>,
    /// The call: 16 lower-case hex digits.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9a-f]{16}$"))]
    pub conn_id: Option<String>,
    /// The call that this party was known under before.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9a-f]{16}$"))]
    pub previous_conn_id: Option<String>,
    /// The call that is to be transferred (EventDialing of a consultation for a transfer).
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9a-f]{16}$"))]
    pub transfer_conn_id: Option<String>,
    /// The call that is to become a conference (EventDialing of a consultation for a conference).
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9a-f]{16}$"))]
    pub conference_conn_id: Option<String>,
    /// The identity of the call that never changes: 32 upper-case hex digits.
    #[serde(default)]
    pub call_uuid: Option<String>,
    /// The switch's own number of the call.
    #[serde(default)]
    pub call_id: Option<u64>,
    /// How the call relates to the switch.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::enumeration::<tandem_model::CallType>")]
    pub call_type: Option<String>,
    /// Why, as far as the call is concerned.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::enumeration::<tandem_model::CallState>")]
    pub call_state: Option<String>,
    /// By what operation, where that is told besides: `1stepTransfer` on the controller's EventReleased.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::enumeration::<tandem_model::TCause>")]
    pub cause: Option<String>,
    /// Voice, Chat.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::enumeration::<tandem_model::MediaType>")]
    pub media_type: Option<String>,
    /// The dialled number, as dialled.
    #[serde(default)]
    pub dnis: Option<String>,
    /// The calling number; also where the caller asked for privacy, which keeps it from devices and strangers.
    #[serde(default)]
    pub ani: Option<String>,
    /// What the DN is (EventRegistered, EventAddressInfo).
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::enumeration::<tandem_model::AddressType>")]
    pub address_type: Option<String>,
    /// The number of calls on the DN, for DNStatus.
    #[serde(default)]
    pub address_info_status: Option<u32>,
    /// The digits (EventDTMFSent).
    #[serde(default)]
    pub dtmf_digits: Option<String>,
    /// The refusal's T-Library number (EventError).
    #[serde(default)]
    pub error_code: Option<u32>,
    /// The refusal's text (EventError).
    #[serde(default)]
    pub error_message: Option<String>,
    /// Primary or backup (EventServerConnected, EventServerInfo).
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::enumeration::<tandem_model::ServerRole>")]
    pub server_role: Option<String>,
    /// The server's epoch: sequences of different epochs have nothing to do with each other (EventServerConnected).
    #[serde(default)]
    pub epoch: Option<String>,
    /// The version of the server (EventServerConnected, EventServerInfo).
    #[serde(default)]
    pub server_version: Option<String>,
    /// `new`, `delta` or `snapshot` (EventServerConnected).
    #[serde(default)]
    pub resume: Option<String>,
    /// What the client calls itself when it resumes (EventServerConnected).
    #[serde(default)]
    pub session: Option<String>,
    /// The call's data.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::list")]
    pub user_data: Option<KvList>,
    /// What the event adds beyond the fixed attributes. EventRegistered and EventAddressInfo: `in-service`, and for an Extension
    /// `handle-direct-calls` and `handle-direct-calls-media` as they are now.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::list")]
    pub extensions: KvList,
    /// The client's reasons, echoed.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::list")]
    pub reasons: KvList,
}

impl EventFrame {
    /// Reads a text frame.
    pub fn decode(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The event, where this version of the protocol knows it.
    pub fn name(&self) -> Option<EventName> {
        EventName::from_name(&self.event)
    }

    /// Whether it is this event.
    pub fn is(&self, name: EventName) -> bool {
        self.event == name.name()
    }

    /// The call, where the frame names one.
    pub fn call(&self) -> Option<ConnId> {
        self.conn_id.as_deref()?.parse().ok()
    }

    /// The request this answers.
    pub fn reference(&self) -> Option<ReferenceId> {
        self.reference_id.map(ReferenceId)
    }

    /// The refusal's code, where it is one that this version knows.
    pub fn error(&self) -> Option<TErrorCode> {
        let number = self.error_code?;
        TErrorCode::ALL.iter().copied().find(|code| code.number() == number)
    }

    /// When, in microseconds since the Unix epoch; `None` where `time` is no RFC 3339 time in UTC.
    pub fn time_us(&self) -> Option<u64> {
        crate::time::parse(&self.time)
    }
}

#[cfg(test)]
pub(crate) mod tests;
