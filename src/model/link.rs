//! The link between the T-Server side and one connector: typed messages, each idempotent by its ids.
//!
//! Requests go down (T-Server to connector), notifications come up. A party that was made gets exactly one
//! [`LinkNotification::PartyReleased`]; a conference exactly one [`LinkNotification::ConferenceEnded`], after its last party's.
//! No SIP type crosses the link: causes carry the numbers of SIP and Q.850 as plain data.

use std::sync::Arc;

use crate::{ConferenceId, DnId, PartyId};

/// Whom a party is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartyTarget {
    /// A registered device of ours: every contact of this DN is called.
    Dn(DnId),
    /// A number behind a trunk.
    Trunk {
        /// The Trunk DN that carries the call.
        trunk: DnId,
        /// The number as the far side wants it (dial plan applied): the user part of the request URI.
        number: Arc<str>,
    },
}

/// How a party's device is to be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MakeParty {
    /// The conference; it is created when this is its first party.
    pub conference: ConferenceId,
    /// The party, chosen by the T-Server side.
    pub party: PartyId,
    /// Whom to call.
    pub target: PartyTarget,
    /// Whose identity the device is shown (From and P-Asserted-Identity): a SIP URI.
    pub caller: DnId,
    /// The caller's display name, where there is one.
    pub caller_name: Option<Arc<str>>,
    /// Ask the device to answer by itself (Call-Info `answer-after=0`, Alert-Info `auto-answer`).
    pub auto_answer: bool,
    /// Give up after this long without an answer, in milliseconds.
    pub ring_timeout_ms: u64,
    /// The call's Conversation-ID, sent on the leg.
    pub conversation_id: Arc<str>,
}

/// What the T-Server side asks of a connector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkRequest {
    /// Call a device into the conference. The first party of a 3pcc call is called alone; each later one, or the second
    /// one of a call that was offered, is joined to the party that is there.
    MakeParty(MakeParty),
    /// End one party, whatever state it is in.
    ReleaseParty {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
        /// Why; a party that was offered and not answered is rejected with `cause.sip_status`.
        cause: Cause,
    },
    /// End every party.
    ReleaseConference {
        /// The conference.
        conference: ConferenceId,
        /// Why.
        cause: Cause,
    },
}

impl LinkRequest {
    /// The conference that this is about.
    pub fn conference(&self) -> ConferenceId {
        match self {
            Self::MakeParty(make) => make.conference,
            Self::ReleaseParty { conference, .. } | Self::ReleaseConference { conference, .. } => *conference,
        }
    }
}

/// How a call came in from the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallOffered {
    /// The conference, chosen by the connector.
    pub conference: ConferenceId,
    /// The caller's party.
    pub party: PartyId,
    /// The DN that calls: an Extension of ours, or the Trunk DN it came through.
    pub from: CallerId,
    /// The number as dialled (user part, or a whole URI where its host is not ours).
    pub dialled: Arc<str>,
    /// The Conversation-ID that the INVITE carried, if any.
    pub conversation_id: Option<Arc<str>>,
    /// The SIP Call-ID of the caller's leg, for logs.
    pub sip_call_id: Arc<str>,
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallerId {
    /// A device of ours, authenticated.
    Extension(DnId),
    /// A call through a trunk.
    Trunk {
        /// The Trunk DN.
        trunk: DnId,
        /// The calling number as the trunk gave it: a SIP URI.
        number: DnId,
        /// The display name, where there was one.
        name: Option<Arc<str>>,
    },
}

/// What a connector tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkNotification {
    /// A device or trunk calls; the T-Server side answers with MakeParty or ReleaseParty.
    CallOffered(CallOffered),
    /// The invitation of this party went out (or its call came in).
    PartyCreated {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
    },
    /// The device rings (the first 18x of any of its contacts).
    PartyAlerting {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
    },
    /// The device answered.
    PartyConnected {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
    },
    /// The party is gone. Exactly once for each party.
    PartyReleased {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
        /// Why, and at whose wish.
        cause: Cause,
    },
    /// The conference is gone with its last party. Exactly once, last.
    ConferenceEnded {
        /// The conference.
        conference: ConferenceId,
    },
    /// The DN has (new) contacts, or has none any more.
    DnContacts {
        /// The DN.
        dn: DnId,
        /// How many devices are registered for it now.
        contacts: u32,
    },
}

impl LinkNotification {
    /// The conference that this is about; `None` for what concerns a DN.
    pub fn conference(&self) -> Option<ConferenceId> {
        match self {
            Self::CallOffered(offered) => Some(offered.conference),
            Self::PartyCreated { conference, .. }
            | Self::PartyAlerting { conference, .. }
            | Self::PartyConnected { conference, .. }
            | Self::PartyReleased { conference, .. }
            | Self::ConferenceEnded { conference } => Some(*conference),
            Self::DnContacts { .. } => None,
        }
    }
}

/// At whose wish a party ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReleasedBy {
    /// The device hung up, declined or cancelled.
    Device,
    /// The T-Server side asked for it (a CTI request, or the other party left).
    Server,
    /// Nobody: the network failed, a time ran out.
    Network,
}

/// Why a party ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// At whose wish.
    pub by: ReleasedBy,
    /// The final SIP status of the leg, where there was one (486, 480, ...).
    pub sip_status: Option<u16>,
    /// The Q.850 cause, where a Reason header gave one (RFC 3326).
    pub q850: Option<u8>,
}

impl Cause {
    /// A normal end, at the wish of `by`.
    pub fn normal(by: ReleasedBy) -> Self {
        Self {
            by,
            sip_status: None,
            q850: None,
        }
    }

    /// An end with a SIP status.
    pub fn status(by: ReleasedBy, sip_status: u16) -> Self {
        Self {
            by,
            sip_status: Some(sip_status),
            q850: None,
        }
    }
}
