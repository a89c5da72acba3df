//! A device in the group: one leg on the link. One device may be a party of several calls at once (a main call and its consultation).

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::back_to_back::Mask;
use crate::link::{Cause, Headers, MediaFlowState, OperationId, PartyTarget, Presentation, ReleasedBy};
use crate::numbering::Calling;
use crate::{ConferenceId, DnId, PartyId};

/// Names a device within the group. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) struct DeviceKey(pub(super) u32);

/// How far a device is on the link.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) enum Leg {
    /// The connector does not know it yet.
    NotMade,
    /// The connector has it; it is called, or it calls.
    Made,
    /// It answered, or was answered.
    #[default]
    Connected,
    /// The connector was asked to let go of it.
    Releasing,
    /// The connector has said that it is gone.
    Gone,
}

/// Where a device is being moved to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Moving {
    pub(super) conference: ConferenceId,
    /// Its id there.
    pub(super) id: PartyId,
    pub(super) operation: OperationId,
    /// It is not where it was any more.
    pub(super) away: bool,
    /// It was asked for twice: where it failed once, it may yet be done.
    #[serde(default)]
    pub(super) again: bool,
    /// Nothing waits for it: the device goes back to where its calls are.
    #[serde(default)]
    pub(super) back: bool,
}

/// A device. It is let go of when it is a party of no call any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Device {
    pub(super) key: DeviceKey,
    /// Its conference. Calls that began separately keep theirs.
    pub(super) conference: ConferenceId,
    /// Its id there.
    pub(super) id: PartyId,
    /// It is being moved; until that is answered nobody lets go of it.
    pub(super) moving: Option<Moving>,
    /// It was moved for an operation that came to nothing, and is to go back before anything else is done.
    pub(super) is_astray: bool,
    /// How events name it: a DN of ours, or the number behind a trunk.
    pub(super) dn: DnId,
    /// How the connector reaches it.
    pub(super) target: PartyTarget,
    pub(super) leg: Leg,
    /// It has said that it rings.
    pub(super) rings: bool,
    /// The device itself holds: whatever call it is in, nobody hears anybody over this leg until it resumes.
    pub(super) holds: bool,
    /// It was called after its conference was asked what it is: that account says nothing of it.
    pub(super) is_newer: bool,
    /// When the connector owes something about it at the latest.
    pub(super) deadline: Option<Instant>,
    /// How it is to be let go of.
    pub(super) release: Cause,
    /// How far its media is there. It never goes back.
    pub(super) flow: MediaFlowState,
    /// How it is called.
    pub(super) calling: Calling,
    /// It goes by another name until it answers.
    pub(super) mask: Option<Mask>,
    /// What its leg carries besides what the call passes on.
    pub(super) headers: Headers,
    /// How far its identity holds, and who may be shown it: whomever it calls, and whoever is called for it.
    pub(super) presentation: Presentation,
    /// The address of its own by which it wants to be known.
    pub(super) preferred: Option<DnId>,
}

impl Device {
    pub(super) fn new(key: DeviceKey, conference: ConferenceId, id: PartyId, dn: DnId, target: PartyTarget) -> Self {
        Self {
            key,
            conference,
            id,
            moving: None,
            is_astray: false,
            dn,
            target,
            leg: Leg::NotMade,
            rings: false,
            holds: false,
            is_newer: false,
            deadline: None,
            release: Cause::normal(ReleasedBy::Server),
            flow: MediaFlowState::Unknown,
            calling: Calling::default(),
            mask: None,
            headers: Headers::new(),
            presentation: Presentation::default(),
            preferred: None,
        }
    }

    /// Whether it is none of our DNs: it gets no events.
    pub(super) fn is_external(&self) -> bool {
        match &self.mask {
            Some(mask) => !mask.reported,
            None => self.is_outside(),
        }
    }

    /// Whether it is behind a trunk.
    pub(super) fn is_outside(&self) -> bool {
        matches!(self.target, PartyTarget::Trunk { .. })
    }

    /// Whether the connector has it and was not asked to let go.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.leg, Leg::Made | Leg::Connected)
    }

    /// Whether the connector calls it by that name.
    pub(super) fn is_called(&self, conference: ConferenceId, id: PartyId) -> bool {
        self.leg != Leg::NotMade && (self.is_at(conference, id) || self.is_coming_to(conference, id))
    }

    fn is_at(&self, conference: ConferenceId, id: PartyId) -> bool {
        (self.conference, self.id) == (conference, id)
    }

    fn is_coming_to(&self, conference: ConferenceId, id: PartyId) -> bool {
        self.moving
            .is_some_and(|moving| (moving.conference, moving.id) == (conference, id))
    }

    /// How its identity is shown, and by which address of its own where it wants one.
    pub(super) fn shown(&self) -> (Presentation, Option<DnId>) {
        (self.presentation.clone(), self.preferred.clone())
    }

    /// The DN in whose right it dials: the Trunk DN for whoever is behind it.
    pub(super) fn dials_as(&self) -> &DnId {
        match &self.target {
            PartyTarget::Dn(dn) => dn,
            PartyTarget::Trunk { trunk, .. } => trunk,
        }
    }
}
