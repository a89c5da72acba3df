//! T-requests: what a client asks for (T-Library reference ch. 5). The frame's `request` and `referenceId` are outside.

use crate::vocabulary::vocabulary;
use crate::{
    AddressInfoType, AddressType, CallInfoType, ClientId, ConnId, ControlMode, DnId, KvList, MakeCallType, MergeType,
    ReferenceId, RegisterMode,
};

vocabulary!(
    /// The T-Library requests (without the T), all that the protocol names, supported or not. Numbers are T-Library's message
    /// numbers where one is known, else from 1000 on.
    RequestName {
        OpenServer = 0, CloseServer = 1000, SetInputMask = 7, RegisterAddress = 3, UnregisterAddress = 4, MakeCall = 14,
        AnswerCall = 16, ReleaseCall = 17, ClearCall = 110, HoldCall = 18, RetrieveCall = 19, InitiateTransfer = 23,
        CompleteTransfer = 26, InitiateConference = 20, CompleteConference = 21, DeleteFromConference = 22, ReconnectCall = 29,
        AlternateCall = 28, MergeCalls = 27, SingleStepTransfer = 25, SingleStepConference = 120, RedirectCall = 103,
        RouteCall = 36, ApplyTreatment = 113, AgentLogin = 8, AgentLogout = 9, AgentSetReady = 10, AgentSetNotReady = 11,
        SetDndOn = 12, SetDndOff = 13, MonitorNextCall = 139, CancelMonitoring = 140, SetMuteOn = 143, SetMuteOff = 144,
        QueryCall = 108, QueryAddress = 2, QueryServer = 1, QueryLocation = 136, AttachUserData = 30, UpdateUserData = 31,
        DeleteUserData = 33, DeleteAllUserData = 32, SendDtmf = 97, SendUserEvent = 48, PrivateService = 149,
        GetAccessNumber = 123, CancelReqGetAccessNumber = 124, ReserveAgent = 127, TransactionMonitoring = 180,
    }
);

/// A well-formed request. What Tandem does not do yet arrives as [`Request::Unsupported`] and gets error 51.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs, reason = "the fields are the T-Library attributes; event.rs documents each")]
pub enum Request {
    OpenServer {
        application_name: String,
        api_key: String,
        resume: Option<Resume>,
    },
    CloseServer,
    SetInputMask {
        events: Vec<crate::EventName>,
    },
    RegisterAddress {
        this_dn: DnId,
        register_mode: RegisterMode,
        control_mode: ControlMode,
        address_type: Option<AddressType>,
        extensions: KvList,
    },
    UnregisterAddress {
        this_dn: DnId,
        control_mode: ControlMode,
    },
    MakeCall {
        this_dn: DnId,
        other_dn: String,
        location: Option<String>,
        make_call_type: MakeCallType,
        user_data: KvList,
        reasons: KvList,
        extensions: KvList,
    },
    ReleaseCall {
        this_dn: DnId,
        conn_id: ConnId,
        reasons: KvList,
    },
    ClearCall {
        this_dn: DnId,
        conn_id: ConnId,
        reasons: KvList,
    },
    AttachUserData {
        this_dn: DnId,
        conn_id: ConnId,
        user_data: KvList,
    },
    UpdateUserData {
        this_dn: DnId,
        conn_id: ConnId,
        user_data: KvList,
    },
    DeleteUserData {
        this_dn: DnId,
        conn_id: ConnId,
        data_key: String,
    },
    DeleteAllUserData {
        this_dn: DnId,
        conn_id: ConnId,
    },
    QueryCall {
        this_dn: DnId,
        conn_id: ConnId,
        call_info_type: CallInfoType,
        extensions: KvList,
    },
    /// AnswerCall, HoldCall, RetrieveCall, SetMuteOn, SetMuteOff.
    OnCall {
        operation: OnCall,
        this_dn: DnId,
        conn_id: ConnId,
        reasons: KvList,
        extensions: KvList,
    },
    /// InitiateTransfer, InitiateConference, SingleStepTransfer, SingleStepConference, DeleteFromConference, RedirectCall.
    OnCallWith {
        operation: OnCallWith,
        this_dn: DnId,
        conn_id: ConnId,
        other_dn: String,
        location: Option<String>,
        user_data: KvList,
        reasons: KvList,
        extensions: KvList,
    },
    /// CompleteTransfer, CompleteConference, AlternateCall, ReconnectCall, MergeCalls: about two calls, the one on hold and the one in
    /// talk. Which of the two is which shows in their states: clients name them in either order.
    OnTwoCalls {
        operation: OnTwoCalls,
        this_dn: DnId,
        conn_id: ConnId,
        other_conn_id: ConnId,
        reasons: KvList,
        extensions: KvList,
    },
    SendDtmf {
        this_dn: DnId,
        conn_id: ConnId,
        dtmf_digits: String,
        reasons: KvList,
        extensions: KvList,
    },
    QueryAddress {
        this_dn: DnId,
        address_type: Option<AddressType>,
        address_info_type: AddressInfoType,
    },
    QueryServer,
    Unsupported {
        name: RequestName,
    },
}

/// What is asked of one call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the T-Library names are the documentation")]
pub enum OnCall {
    AnswerCall,
    HoldCall,
    RetrieveCall,
    SetMuteOn,
    SetMuteOff,
}

/// What is asked of one call and another DN.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the T-Library names are the documentation")]
pub enum OnCallWith {
    InitiateTransfer,
    InitiateConference,
    SingleStepTransfer,
    SingleStepConference,
    DeleteFromConference,
    RedirectCall,
}

/// What is asked of two calls of one DN.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OnTwoCalls {
    /// The DN leaves; the others talk.
    CompleteTransfer,
    /// All talk.
    CompleteConference,
    /// The one in talk goes on hold, the one on hold is retrieved.
    AlternateCall,
    /// The one in talk is released, the one on hold is retrieved.
    ReconnectCall,
    /// As CompleteTransfer or CompleteConference, for two calls that need no main-consult relation.
    MergeCalls(MergeType),
}

impl OnCall {
    /// Its request.
    pub fn name(self) -> RequestName {
        match self {
            Self::AnswerCall => RequestName::AnswerCall,
            Self::HoldCall => RequestName::HoldCall,
            Self::RetrieveCall => RequestName::RetrieveCall,
            Self::SetMuteOn => RequestName::SetMuteOn,
            Self::SetMuteOff => RequestName::SetMuteOff,
        }
    }
}

impl OnCallWith {
    /// Its request.
    pub fn name(self) -> RequestName {
        match self {
            Self::InitiateTransfer => RequestName::InitiateTransfer,
            Self::InitiateConference => RequestName::InitiateConference,
            Self::SingleStepTransfer => RequestName::SingleStepTransfer,
            Self::SingleStepConference => RequestName::SingleStepConference,
            Self::DeleteFromConference => RequestName::DeleteFromConference,
            Self::RedirectCall => RequestName::RedirectCall,
        }
    }
}

impl OnTwoCalls {
    /// Its request.
    pub fn name(self) -> RequestName {
        match self {
            Self::CompleteTransfer => RequestName::CompleteTransfer,
            Self::CompleteConference => RequestName::CompleteConference,
            Self::AlternateCall => RequestName::AlternateCall,
            Self::ReconnectCall => RequestName::ReconnectCall,
            Self::MergeCalls(_) => RequestName::MergeCalls,
        }
    }
}

/// Who asked, so that the answer finds its way back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Requestor {
    /// The client's connection.
    pub client: ClientId,
    /// What the client called its request; its copy of the answering event carries this.
    pub reference_id: Option<ReferenceId>,
}

/// Where a client that lost its connection left off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resume {
    /// The epoch that EventServerConnected named.
    pub epoch: String,
    /// The sequence of the last event the client has.
    pub sequence: u64,
    /// The session that EventServerConnected named, where the client has kept it.
    pub session: Option<String>,
}

impl Request {
    /// The DN that asks, where the request has one.
    pub fn this_dn(&self) -> Option<&DnId> {
        match self {
            Self::OpenServer { .. }
            | Self::CloseServer
            | Self::SetInputMask { .. }
            | Self::QueryServer
            | Self::Unsupported { .. } => None,
            Self::RegisterAddress { this_dn, .. }
            | Self::UnregisterAddress { this_dn, .. }
            | Self::MakeCall { this_dn, .. }
            | Self::ReleaseCall { this_dn, .. }
            | Self::ClearCall { this_dn, .. }
            | Self::AttachUserData { this_dn, .. }
            | Self::UpdateUserData { this_dn, .. }
            | Self::DeleteUserData { this_dn, .. }
            | Self::DeleteAllUserData { this_dn, .. }
            | Self::QueryCall { this_dn, .. }
            | Self::OnCall { this_dn, .. }
            | Self::OnCallWith { this_dn, .. }
            | Self::OnTwoCalls { this_dn, .. }
            | Self::SendDtmf { this_dn, .. }
            | Self::QueryAddress { this_dn, .. } => Some(this_dn),
        }
    }

    /// The call that the request is about, where it has one.
    pub fn conn_id(&self) -> Option<ConnId> {
        match self {
            Self::ReleaseCall { conn_id, .. }
            | Self::ClearCall { conn_id, .. }
            | Self::AttachUserData { conn_id, .. }
            | Self::UpdateUserData { conn_id, .. }
            | Self::DeleteUserData { conn_id, .. }
            | Self::DeleteAllUserData { conn_id, .. }
            | Self::OnCall { conn_id, .. }
            | Self::OnCallWith { conn_id, .. }
            | Self::OnTwoCalls { conn_id, .. }
            | Self::SendDtmf { conn_id, .. }
            | Self::QueryCall { conn_id, .. } => Some(*conn_id),
            _ => None,
        }
    }

    /// The second call that the request is about, where it has one.
    pub fn other_conn_id(&self) -> Option<ConnId> {
        match self {
            Self::OnTwoCalls { other_conn_id, .. } => Some(*other_conn_id),
            _ => None,
        }
    }

    /// Its name on the wire.
    pub fn name(&self) -> RequestName {
        match self {
            Self::OpenServer { .. } => RequestName::OpenServer,
            Self::CloseServer => RequestName::CloseServer,
            Self::SetInputMask { .. } => RequestName::SetInputMask,
            Self::RegisterAddress { .. } => RequestName::RegisterAddress,
            Self::UnregisterAddress { .. } => RequestName::UnregisterAddress,
            Self::MakeCall { .. } => RequestName::MakeCall,
            Self::ReleaseCall { .. } => RequestName::ReleaseCall,
            Self::ClearCall { .. } => RequestName::ClearCall,
            Self::AttachUserData { .. } => RequestName::AttachUserData,
            Self::UpdateUserData { .. } => RequestName::UpdateUserData,
            Self::DeleteUserData { .. } => RequestName::DeleteUserData,
            Self::DeleteAllUserData { .. } => RequestName::DeleteAllUserData,
            Self::QueryCall { .. } => RequestName::QueryCall,
            Self::OnCall { operation, .. } => operation.name(),
            Self::OnCallWith { operation, .. } => operation.name(),
            Self::OnTwoCalls { operation, .. } => operation.name(),
            Self::SendDtmf { .. } => RequestName::SendDtmf,
            Self::QueryAddress { .. } => RequestName::QueryAddress,
            Self::QueryServer => RequestName::QueryServer,
            Self::Unsupported { name } => *name,
        }
    }
}
