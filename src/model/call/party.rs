//! One DN's part in a call.

use super::PartySummary;
use crate::link::PartyTarget;
use crate::{DnId, DnRole, PartyId, PartyState};

/// A party. It is *reported* from its first event (state other than Null) until its terminal event (Null again).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Party {
    /// Its id on the link.
    pub(super) id: PartyId,
    /// How events name it: a DN of ours, or the number behind a trunk.
    pub(super) dn: DnId,
    /// How the connector reaches it.
    pub(super) target: PartyTarget,
    /// Its part.
    pub(super) role: DnRole,
    /// Its state for clients.
    pub(super) state: PartyState,
    /// How far it is on the link.
    pub(super) leg: Leg,
    /// Its device has said that it rings.
    pub(super) rings: bool,
}

/// How far a party is on the link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leg {
    /// The connector does not know it yet.
    NotMade,
    /// The connector has it.
    Made,
    /// The connector has said that it is gone.
    Gone,
}

impl Party {
    pub(super) fn new(id: PartyId, dn: DnId, target: PartyTarget, role: DnRole) -> Self {
        Self {
            id,
            dn,
            target,
            role,
            state: PartyState::Null,
            leg: Leg::NotMade,
            rings: false,
        }
    }

    /// Whether it is none of our DNs: it gets no events.
    pub(super) fn is_external(&self) -> bool {
        matches!(self.target, PartyTarget::Trunk { .. })
    }

    /// Whether clients know it and may ask on its behalf.
    pub(super) fn is_on_call(&self) -> bool {
        !self.is_external() && self.state != PartyState::Null
    }

    pub(super) fn summary(&self) -> PartySummary {
        PartySummary {
            dn: self.dn.clone(),
            role: self.role,
            state: self.state,
            external: self.is_external(),
        }
    }
}
