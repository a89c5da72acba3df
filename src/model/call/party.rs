//! One DN's part in one call.

use serde::{Deserialize, Serialize};

use super::answer::Answering;
use super::device::DeviceKey;
use super::hold::HoldMusic;
use crate::{CallState, DnId, DnRole, PartyState};

/// A party. It is *reported* from its first event (state other than Null) until its terminal event (Null again).
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Party {
    pub(super) device: DeviceKey,
    /// Its part.
    pub(super) role: DnRole,
    /// Its state for clients.
    pub(super) state: PartyState,
    /// It is on hold because its device holds, and talks again when that resumes. At most one party of a device is.
    pub(super) held_by_device: bool,
    /// What the others hear of it while it is on hold.
    pub(super) music: HoldMusic,
    /// Nobody hears it.
    pub(super) muted: bool,
    /// It is called into a call that talks already.
    pub(super) joining: Option<Joining>,
    /// What its EventRinging says of how the call came to it.
    pub(super) arrival: Arrival,
    /// Its direct calls are not handled: it takes part without events, like somebody who is none of our DNs.
    pub(super) silent: bool,
    /// The AnswerCall that waits for it.
    pub(super) answering: Option<Box<Answering>>,
}

/// On whose behalf a party joins a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Joining {
    pub(super) by: DeviceKey,
    /// It takes the place of `by`.
    pub(super) replaces: bool,
}

/// How a call came to a party.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Arrival {
    pub(super) state: CallState,
    pub(super) third: Option<(DnId, DnRole)>,
}

impl Default for Arrival {
    fn default() -> Self {
        Self {
            state: CallState::Ok,
            third: None,
        }
    }
}

impl Party {
    pub(super) fn new(device: DeviceKey, role: DnRole) -> Self {
        Self {
            device,
            role,
            state: PartyState::Null,
            held_by_device: false,
            music: HoldMusic::Usual,
            muted: false,
            joining: None,
            arrival: Arrival::default(),
            silent: false,
            answering: None,
        }
    }

    /// Whether it talks, on hold or not.
    pub(super) fn talks(&self) -> bool {
        matches!(self.state, PartyState::Connected | PartyState::Held)
    }
}
