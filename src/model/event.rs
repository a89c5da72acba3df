//! T-events: what happened, told about one DN (T-Library reference ch. 1, 6).
//!
//! An [`Event`] has no sequence number and no time yet: [`crate::event_log`] gives both, in the one total order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::vocabulary::vocabulary;
use crate::{
    AddressType, CallState, CallType, CallUuid, ConnId, DnId, DnRole, KvList, MediaType, PartyState, ReferenceId, ServerRole,
    TCause, TError,
};

vocabulary!(
    /// The events that Tandem sends, with their T-Library message numbers.
    EventName {
        EventServerConnected = 50, EventServerDisconnected = 51, EventError = 52, EventRegistered = 53, EventUnregistered = 54,
        EventQueued = 57, EventDiverted = 58, EventAbandoned = 59, EventRinging = 60, EventDialing = 61, EventNetworkReached = 62,
        EventDestinationBusy = 63, EventEstablished = 64, EventReleased = 65, EventHeld = 66, EventRetrieved = 67,
        EventPartyChanged = 68, EventPartyAdded = 69, EventPartyDeleted = 70, EventAttachedDataChanged = 85, EventAddressInfo = 92,
        EventServerInfo = 93, EventLinkDisconnected = 94, EventLinkConnected = 95, EventUserEvent = 96, EventDTMFSent = 98,
        EventPartyInfo = 109, EventCallInfoChanged = 112, EventACK = 138, EventMuteOn = 145, EventMuteOff = 146, EventDNOutOfService = 147,
        EventDNBackInService = 148,
    }
);

impl EventName {
    /// Whether this event ends a party: each party gets exactly one such event.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::EventReleased | Self::EventAbandoned | Self::EventDiverted)
    }
}

/// One event. Attributes that do not apply are `None` and do not stand in the frame.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Which event.
    pub name: EventName,
    /// Whom it concerns; the event goes to every client registered on this DN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub this_dn: Option<DnId>,
    /// The part of ThisDN in the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub this_dn_role: Option<DnRole>,
    /// The distribution device the call came through last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub this_queue: Option<DnId>,
    /// The other side, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_dn: Option<DnId>,
    /// The part of OtherDN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_dn_role: Option<DnRole>,
    /// Who caused the change, or where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub third_party_dn: Option<DnId>,
    /// The part of ThirdPartyDN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub third_party_dn_role: Option<DnRole>,
    /// The call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conn_id: Option<ConnId>,
    /// The call that this party was known under before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_conn_id: Option<ConnId>,
    /// The call that is to be transferred (EventDialing of a consultation for a transfer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_conn_id: Option<ConnId>,
    /// The call that is to become a conference (EventDialing of a consultation for a conference).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conference_conn_id: Option<ConnId>,
    /// The identity of the call that never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_uuid: Option<CallUuid>,
    /// The switch's own number of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<u64>,
    /// Internal, Inbound, Outbound, Consult.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_type: Option<CallType>,
    /// Why, as far as the call is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_state: Option<CallState>,
    /// By what operation, where that is told besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<TCause>,
    /// Voice, Chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The dialled number, as dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dnis: Option<Arc<str>>,
    /// The calling number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ani: Option<Arc<str>>,
    /// The call's data; shared, because every event of a call carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Arc<KvList>>,
    /// What this event adds beyond the fixed attributes.
    #[serde(default, skip_serializing_if = "KvList::is_empty")]
    pub extensions: KvList,
    /// The client's reasons, echoed.
    #[serde(default, skip_serializing_if = "KvList::is_empty")]
    pub reasons: KvList,
    /// What the DN is (EventRegistered, EventAddressInfo).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_type: Option<AddressType>,
    /// A number that depends on the query: of calls on the DN, for DNStatus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_info_status: Option<u32>,
    /// Where the DTMF digits sent are (EventDTMFSent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtmf_digits: Option<Arc<str>>,
    /// The refusal (EventError).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TError>,
    /// Primary or backup (EventServerConnected, EventServerInfo).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_role: Option<ServerRole>,
    /// The request this answers; only the requestor's copy has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<ReferenceId>,
    /// The state ThisDN's party is in after this event. Not sent: the snapshot (`ps-N`) is made from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party_state: Option<PartyState>,
}

impl Event {
    /// An event with no attributes.
    pub fn new(name: EventName) -> Self {
        Self {
            name,
            this_dn: None,
            this_dn_role: None,
            this_queue: None,
            other_dn: None,
            other_dn_role: None,
            third_party_dn: None,
            third_party_dn_role: None,
            conn_id: None,
            previous_conn_id: None,
            transfer_conn_id: None,
            conference_conn_id: None,
            call_uuid: None,
            call_id: None,
            call_type: None,
            call_state: None,
            cause: None,
            media_type: None,
            dnis: None,
            ani: None,
            user_data: None,
            extensions: KvList::new(),
            reasons: KvList::new(),
            address_type: None,
            address_info_status: None,
            dtmf_digits: None,
            error: None,
            server_role: None,
            reference_id: None,
            party_state: None,
        }
    }

    /// The EventError that answers `reference_id`.
    pub fn error(reference_id: Option<ReferenceId>, error: TError) -> Self {
        Self {
            error: Some(error),
            reference_id,
            ..Self::new(EventName::EventError)
        }
    }
}
