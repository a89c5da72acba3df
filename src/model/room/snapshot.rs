//! What is kept of a room so that it outlives its process or its actor ([`Room::snapshot`]), and how it comes back ([`Room::restore`]).
//!
//! Kept while anybody is there. It holds who is where and what clients were told; no time, no digits of a PIN, nobody who waits for an
//! answer (whoever answers for the process that is gone has told them an error), and nothing of what was asked about audio. Whoever was
//! on its way out is not kept: the connector is asked what its conferences are, and releases whom nobody knows ([`super::audit`]). Who was
//! giving its PIN is asked for it again.
//!
//! Fields may be added, with a default; a name is never given another meaning.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::joiner::{Joiner, Reported, Stage};
use super::{Room, RoomOutput, RoomSettings};
use crate::call::CallIds;
use crate::link::OperationId;
use crate::numbering::Numbering;
use crate::{ConferenceId, DnId, PartyId};

/// A room, as far as it outlives its process or its actor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RoomSnapshot {
    pub(super) ids: CallIds,
    pub(super) dn: DnId,
    pub(super) joiners: Vec<JoinerSnapshot>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) conference: Option<ConferenceId>,
    pub(super) conferences: Vec<ConferenceId>,
    pub(super) next_party: u32,
    pub(super) next_operation: u32,
    pub(super) version: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) opened: bool,
}

/// Who is there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct JoinerSnapshot {
    pub dn: DnId,
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub external: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub silent: bool,
    pub place: (ConferenceId, PartyId),
    pub stage: StageSnapshot,
    #[serde(default, skip_serializing_if = "is_default")]
    pub established: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub moderator: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub muted: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub held: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub hidden: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub ani: Option<Arc<str>>,
    pub dnis: Arc<str>,
    pub conversation: Arc<str>,
}

/// How far it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) enum StageSnapshot {
    Connecting,
    Pin {
        wrong: u8,
    },
    Lobby,
    Moving {
        operation: OperationId,
        to: (ConferenceId, PartyId),
        given: bool,
    },
    In,
}

impl RoomSnapshot {
    /// What the call is called.
    pub fn ids(&self) -> &CallIds {
        &self.ids
    }

    /// The conference DN.
    pub fn dn(&self) -> &DnId {
        &self.dn
    }
}

impl Room {
    /// What is to be kept of this room; `None` while nobody is there.
    pub fn snapshot(&self) -> Option<RoomSnapshot> {
        let joiners: Vec<JoinerSnapshot> = self.joiners.iter().filter_map(JoinerSnapshot::of).collect();
        if self.closed || joiners.is_empty() {
            return None;
        }
        Some(RoomSnapshot {
            ids: self.ids.clone(),
            dn: self.dn.clone(),
            joiners,
            conference: self.conference,
            conferences: self.conferences.clone(),
            next_party: self.next_party,
            next_operation: self.next_operation,
            version: self.version,
            opened: self.opened,
        })
    }

    /// The room that this is a snapshot of. What is to be done for that is appended to `out`.
    pub fn restore(
        snapshot: RoomSnapshot,
        numbering: Arc<Numbering>,
        settings: Arc<RoomSettings>,
        now: Instant,
        out: &mut Vec<RoomOutput>,
    ) -> Self {
        let mut room = Self::new(snapshot.ids, snapshot.dn, numbering, settings);
        room.joiners = snapshot.joiners.into_iter().map(JoinerSnapshot::restore).collect();
        room.conference = snapshot.conference;
        room.conferences = snapshot.conferences;
        (room.next_party, room.next_operation) = (snapshot.next_party, snapshot.next_operation);
        (room.version, room.opened) = (snapshot.version, snapshot.opened);
        room.audio.begin(true);
        let deadline = room.link_deadline(now);
        for joiner in &mut room.joiners {
            let waits = !matches!(joiner.stage, Stage::Lobby | Stage::In);
            joiner.deadline = waits.then_some(deadline);
        }
        room.audit(now, out);
        room.roster_changed(out);
        room
    }
}

impl JoinerSnapshot {
    fn of(joiner: &Joiner) -> Option<Self> {
        let stage = match joiner.stage {
            Stage::Connecting => StageSnapshot::Connecting,
            Stage::Pin { wrong, .. } => StageSnapshot::Pin { wrong },
            Stage::Lobby => StageSnapshot::Lobby,
            Stage::Moving {
                operation, to, given, ..
            } => StageSnapshot::Moving { operation, to, given },
            Stage::In => StageSnapshot::In,
            Stage::Leaving => return None,
        };
        let kept = Self {
            dn: joiner.dn.clone(),
            name: joiner.name.clone(),
            external: joiner.external,
            silent: joiner.silent,
            place: joiner.place,
            stage,
            established: joiner.reported == Reported::Established,
            moderator: joiner.moderator,
            muted: joiner.muted,
            held: joiner.held,
            hidden: joiner.hidden,
            ani: joiner.ani.clone(),
            dnis: joiner.dnis.clone(),
            conversation: joiner.conversation_id.clone(),
        };
        (!joiner.is_told()).then_some(kept)
    }

    fn restore(self) -> Joiner {
        Joiner {
            dn: self.dn,
            name: self.name,
            external: self.external,
            silent: self.silent,
            place: self.place,
            stage: match self.stage {
                StageSnapshot::Connecting => Stage::Connecting,
                StageSnapshot::Pin { wrong } => Stage::Pin {
                    digits: String::new(),
                    wrong,
                },
                StageSnapshot::Lobby => Stage::Lobby,
                StageSnapshot::Moving { operation, to, given } => Stage::Moving {
                    operation,
                    to,
                    given,
                    again: false,
                },
                StageSnapshot::In => Stage::In,
            },
            reported: if self.established {
                Reported::Established
            } else {
                Reported::Dialing
            },
            moderator: self.moderator,
            muted: self.muted,
            held: self.held,
            prompt: None,
            asking: false,
            tone_until: None,
            admitted: None,
            hidden: self.hidden,
            ani: self.ani,
            dnis: self.dnis,
            conversation_id: self.conversation,
            deadline: None,
        }
    }
}

/// What is left out, as it is what a missing field means.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
