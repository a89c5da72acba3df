//! What the T-Server side and a connector tell each other about the connector as a whole: where it is, whose devices it has, what it keeps.
//!
//! Part of the link ([`crate::link`]). A connector of the same process needs none of it: what it has is in the process's directory.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::room::RosterEntry;
use crate::{ConnectorId, DnId};

/// A device of a DN, as it can be called.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DnContact {
    /// The Contact of its registration: the request URI of what is sent to it.
    pub uri: Arc<str>,
    /// How another connector reaches it, as Route values: the connector that has its connection (RFC 3327, RFC 5626) comes first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<Arc<str>>,
    /// Any connector can reach it at its Contact, too: it sent a datagram from there, with no NAT between.
    #[serde(default)]
    pub direct: bool,
    /// Preference, in thousandths.
    #[serde(default)]
    pub q: u16,
    /// When its registration ends, in seconds since 1970.
    pub expires_at: u64,
    /// Its instance, which it keeps whatever its Contact is (RFC 5626 s.4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Arc<str>>,
    /// Which of its flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reg_id: Option<u32>,
}

impl DnContact {
    /// Whether both are one registration of one device.
    pub fn is_same_device(&self, other: &Self) -> bool {
        let by_instance = self.instance.is_some() && self.instance == other.instance && self.reg_id == other.reg_id;
        by_instance || self.uri == other.uri
    }
}

/// Where another connector takes SIP from its like.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Which.
    pub connector: ConnectorId,
    /// What it listens on.
    pub listens: Vec<SipAddress>,
    /// Whether it may own DNs: it is not being drained.
    pub available: bool,
}

/// One address of SIP.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SipAddress {
    /// `udp` or `tcp`.
    pub transport: Arc<str>,
    /// Host and port, as others reach it: `192.0.2.1:5060`.
    pub address: Arc<str>,
}

/// Whether a connector owns DNs (seed 002 line 2459).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub enum ConnectorState {
    /// It does.
    #[default]
    Running,
    /// Not any more, but it has calls and transactions still.
    Suspending,
    /// Not any more, and nothing is left in it.
    Suspended,
}

/// What a connector holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct ConnectorStatus {
    /// Whether it owns DNs.
    pub state: ConnectorState,
    /// Live conferences.
    pub conferences: u64,
    /// SIP transactions.
    pub transactions: u64,
    /// SIP sessions (legs).
    pub sessions: u64,
}

/// A record of a connector's journal, for the T-Server to keep a copy of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CopiedRecord {
    /// The number of its kind.
    pub kind: u8,
    /// Its id within the kind.
    pub id: Vec<u8>,
    /// What is kept; `None`: nothing any more.
    pub value: Option<Vec<u8>>,
}

/// What the T-Server side asks of a connector as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ConnectorRequest {
    /// These are the other connectors that can be reached. It replaces the list before it, whole.
    Peers {
        /// Them.
        peers: Vec<Peer>,
        /// The connectors that conferences are at which somebody is in: whoever dials in joins them there.
        rooms: Vec<(DnId, ConnectorId)>,
    },
    /// This device has registered with another connector: what is left of its registration here is over.
    ForgetContact {
        /// Its DN.
        dn: DnId,
        /// Its Contact.
        uri: Arc<str>,
        /// When that registration ends, in seconds since 1970. One that ends later was made since, and stays.
        expires_at: u64,
    },
    /// This device has registered with another connector: its sessions here, if there are any, are led there from now on.
    DeviceMoved {
        /// Its DN.
        dn: DnId,
        /// It, as it is called now.
        contact: DnContact,
    },
    /// Who is in a conference that is dialled into, for its subscribers (RFC 4575).
    Roster {
        /// The conference DN.
        dn: DnId,
        /// Who is there.
        entries: Vec<RosterEntry>,
    },
    /// What this connector had told to keep, for it has come back without. Several may follow each other.
    Restore {
        /// The records.
        records: Vec<CopiedRecord>,
        /// These were the last.
        end: bool,
    },
    /// Its DNs are others' from now on, and its calls end by themselves, or after the deadline.
    Suspend {
        /// In milliseconds.
        deadline_ms: Option<u64>,
    },
    /// It owns DNs again.
    Return,
}

/// What a connector tells of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ConnectorNotification {
    /// The first words of a session: where it takes SIP, and whether it has come back without what it had kept.
    Here {
        /// What it listens on.
        listens: Vec<SipAddress>,
        /// Its journal held nothing: the T-Server's copy is wanted, and is followed by `Restore`.
        is_empty: bool,
    },
    /// How it is; told when its state changes, and at most once a second when numbers do.
    Status(ConnectorStatus),
    /// What is to be kept for it, in order.
    Records {
        /// The records.
        records: Vec<CopiedRecord>,
        /// Everything that is kept was told since `Here`: what was not is kept no more.
        end: bool,
    },
}
