//! What is kept of a group so that its calls outlive it ([`Call::snapshot`]); [`super::restore`] makes a group of it again.
//!
//! Kept from the beginning to the end: a call that rings may be answered before its answer is known here, and is an established one then
//! for everybody else. It holds what clients and connectors know of the calls; of an operation in progress only what must be carried on,
//! because a party may be on its way between two conferences. What is known without it is left out: numbering and settings, who waits
//! for an answer, what was asked about audio (it is set anew), every deadline. Encoding the same group twice gives the same bytes: times
//! are kept by the calendar ([`Anchor`]).
//!
//! Fields may be added, with a default; a name is never given another meaning.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::back_to_back::Mask;
use super::conn::{Conn, Consultation, Stage};
use super::device::{Device, DeviceKey, Leg, Moving};
use super::hold::HoldMusic;
use super::operation::{Asker, Op, Pending, Step};
use super::party::{Arrival, Joining, Party};
use super::pickup::Pickup;
use super::room::Room;
use super::transfer::Merge;
use super::{Call, CallIds, Phase};
use crate::anchor::unix_micros;
use crate::link::{Forwarded, Headers, MediaFlowState, PartyTarget, Presentation, TransferId};
use crate::numbering::{Calling, CallingMethod};
use crate::{Anchor, CallType, CallUuid, ConferenceId, ConnId, DnId, DnRole, KvList, PartyId, PartyState};

/// A group of calls, as far as it outlives its process or its actor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CallSnapshot {
    pub(super) ids: CallIds,
    pub(super) conns: Vec<ConnSnapshot>,
    pub(super) devices: Vec<DeviceSnapshot>,
    pub(super) rooms: Vec<RoomSnapshot>,
    /// The operation that waits for a party to be moved.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) mover: Option<MoverSnapshot>,
    pub(super) next_device: u32,
    pub(super) next_operation: u32,
}

/// A call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct ConnSnapshot {
    pub id: ConnId,
    pub uuid: CallUuid,
    pub call_id: u64,
    pub conversation: Arc<str>,
    #[serde(rename = "type")]
    pub call_type: CallType,
    #[serde(default, skip_serializing_if = "is_default")]
    pub ani: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub dnis: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub caller_name: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers: Headers,
    #[serde(default, skip_serializing_if = "is_default")]
    pub user_data: Arc<KvList>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub stage: Stage,
    pub origin: DeviceKey,
    pub destination: DeviceKey,
    pub parties: Vec<PartySnapshot>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub consultation: Option<Consultation>,
    /// When it began, in microseconds since 1970.
    pub started: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub answered: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub direct: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub tells_flow: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub passed_on: Vec<DnId>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub forwarded: Vec<Forwarded>,
}

/// A party.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct PartySnapshot {
    pub device: DeviceKey,
    pub role: DnRole,
    pub state: PartyState,
    #[serde(default, skip_serializing_if = "is_default")]
    pub held_by_device: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub music: HoldMusic,
    #[serde(default, skip_serializing_if = "is_default")]
    pub muted: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub joining: Option<Joining>,
    /// Kept while it has not rung.
    #[serde(default, skip_serializing_if = "is_default")]
    pub arrival: Arrival,
    #[serde(default, skip_serializing_if = "is_default")]
    pub silent: bool,
}

/// A device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct DeviceSnapshot {
    pub key: DeviceKey,
    pub conference: ConferenceId,
    pub id: PartyId,
    pub dn: DnId,
    /// Where that is not the device of `dn`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub target: Option<PartyTarget>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub leg: Leg,
    #[serde(default, skip_serializing_if = "is_default")]
    pub holds: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub flow: MediaFlowState,
    #[serde(default, skip_serializing_if = "is_default")]
    pub moving: Option<Moving>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub mask: Option<Mask>,
    /// Kept until it answers, as what follows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub calling: CallingSnapshot,
    #[serde(default, skip_serializing_if = "is_default")]
    pub rings: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers: Headers,
    #[serde(default, skip_serializing_if = "is_default")]
    pub presentation: Presentation,
    #[serde(default, skip_serializing_if = "is_default")]
    pub preferred: Option<DnId>,
}

/// How a device is called.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(super) struct CallingSnapshot {
    #[serde(default, skip_serializing_if = "is_default")]
    pub back_to_back: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Option<DnId>,
}

/// A conference that the connector has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct RoomSnapshot {
    pub id: ConferenceId,
    pub next_party: u32,
}

/// An operation that waits for a party to be moved: it goes on, as the party may be in either conference.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct MoverSnapshot {
    pub conn: ConnId,
    pub by: DeviceKey,
    pub device: DeviceKey,
    pub op: MoverOp,
    /// The phone that wants to hear how its transfer goes. A client is told an error by whoever answers for the process that is gone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phone: Option<(ConferenceId, TransferId)>,
}

/// Which operation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) enum MoverOp {
    Merge(Merge),
    Pickup(Pickup),
}

impl CallSnapshot {
    /// What the first call is called.
    pub fn ids(&self) -> &CallIds {
        &self.ids
    }
}

impl Call {
    /// What is to be kept of this group; `None` while there is no call, and after the end. Every time is told by the anchor.
    pub fn snapshot(&self, anchor: Anchor) -> Option<CallSnapshot> {
        if self.phase != Phase::Live || self.conns.is_empty() {
            return None;
        }
        let lives = |room: &&Room| room.made && !room.ended;
        let outlives = |device: &&Device| device.moving.is_some() || !matches!(device.leg, Leg::Releasing | Leg::Gone);
        Some(CallSnapshot {
            ids: self.ids.clone(),
            conns: self.conns.iter().map(|conn| ConnSnapshot::of(conn, anchor)).collect(),
            devices: self.devices.iter().filter(outlives).map(DeviceSnapshot::of).collect(),
            rooms: self.rooms.iter().filter(lives).map(RoomSnapshot::of).collect(),
            mover: self.pending.as_ref().and_then(MoverSnapshot::of),
            next_device: self.next_device,
            next_operation: self.next_operation,
        })
    }
}

impl ConnSnapshot {
    fn of(conn: &Conn, anchor: Anchor) -> Self {
        Self {
            id: conn.id,
            uuid: conn.call_uuid,
            call_id: conn.call_id,
            conversation: conn.conversation_id.clone(),
            call_type: conn.call_type,
            ani: conn.ani.clone(),
            dnis: conn.dnis.clone(),
            caller_name: conn.caller_name.clone(),
            headers: conn.headers.clone(),
            user_data: conn.user_data.clone(),
            stage: conn.stage,
            origin: conn.origin,
            destination: conn.destination,
            parties: conn.parties.iter().map(PartySnapshot::of).collect(),
            consultation: conn.consultation.clone(),
            started: unix_micros(anchor, conn.started),
            answered: conn.answered.map(|answered| unix_micros(anchor, answered)),
            direct: conn.direct,
            tells_flow: conn.tells_flow,
            passed_on: conn.passed_on.clone(),
            forwarded: conn.forwarded.clone(),
        }
    }
}

impl PartySnapshot {
    fn of(party: &Party) -> Self {
        let rang = party.state != PartyState::Null;
        Self {
            device: party.device,
            role: party.role,
            state: party.state,
            held_by_device: party.held_by_device,
            music: party.music.clone(),
            muted: party.muted,
            joining: party.joining,
            arrival: if rang { Arrival::default() } else { party.arrival.clone() },
            silent: party.silent,
        }
    }
}

impl DeviceSnapshot {
    fn of(device: &Device) -> Self {
        let plain = matches!(&device.target, PartyTarget::Dn(dn) if *dn == device.dn);
        let called = matches!(device.leg, Leg::NotMade | Leg::Made);
        Self {
            key: device.key,
            conference: device.conference,
            id: device.id,
            dn: device.dn.clone(),
            target: (!plain).then(|| device.target.clone()),
            leg: device.leg,
            holds: device.holds,
            flow: device.flow,
            moving: device.moving,
            mask: device.mask.clone(),
            calling: if called {
                CallingSnapshot::of(&device.calling)
            } else {
                CallingSnapshot::default()
            },
            rings: called && device.rings,
            headers: if called { device.headers.clone() } else { Headers::new() },
            presentation: device.presentation.clone(),
            preferred: device.preferred.clone(),
        }
    }
}

impl CallingSnapshot {
    fn of(calling: &Calling) -> Self {
        Self {
            back_to_back: calling.method == CallingMethod::BackToBack,
            identity: calling.identity.clone(),
        }
    }
}

impl RoomSnapshot {
    fn of(room: &Room) -> Self {
        Self {
            id: room.id,
            next_party: room.next_party,
        }
    }
}

impl MoverSnapshot {
    fn of(pending: &Pending) -> Option<Self> {
        let Step::Move(_, _, device) = pending.step else { return None };
        let op = match &pending.op {
            Op::Merge(merge) => MoverOp::Merge(*merge),
            Op::Pickup(pickup) => MoverOp::Pickup(*pickup),
            _ => return None,
        };
        let phone = match pending.asker {
            Asker::Phone(conference, transfer) => Some((conference, transfer)),
            Asker::Client(_) | Asker::Nobody => None,
        };
        Some(Self {
            conn: pending.conn,
            by: pending.by,
            device,
            op,
            phone,
        })
    }
}

/// What is left out, as it is what a missing field means.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
