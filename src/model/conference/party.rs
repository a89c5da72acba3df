//! One party of a conference, as the connector sees it: how far its device is, and until when it may stay so.

use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;

use super::fork::Failure;
use crate::link::{MediaFlowState, OperationId};
use crate::{LegId, PartyId};

/// How far a party is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PartyPhase {
    /// It called and is not answered yet.
    Offered,
    /// Its contacts are being called; none rings yet.
    Calling,
    /// One of its contacts rings.
    Alerting,
    /// It answered, or was answered.
    Connected,
}

/// That a party is to answer.
#[derive(Clone, Default, Debug)]
pub(super) struct ToAnswer {
    /// Who wants to hear what its devices say to that.
    pub operations: SmallVec<[OperationId; 1]>,
    /// The status with which the first device refused.
    pub refused: Option<u16>,
}

/// A live party. One that is released is no longer in the conference.
#[derive(Clone, Debug)]
pub(super) struct Party {
    pub id: PartyId,
    pub phase: PartyPhase,
    /// The one leg it has once offered or answered; the forks are found through their own `party`.
    pub leg: Option<LegId>,
    /// The end of ringing, or of waiting alone.
    pub deadline: Option<Instant>,
    /// The party's own description while nobody has taken it up: the offer of its INVITE, or of its 200 in a third-party call.
    pub offer: Option<Bytes>,
    /// Whether a caller was sent 180.
    pub ringing_told: bool,
    /// The fork whose early media a caller was sent. A caller has one early dialog with us, hence one early answer.
    pub early_media_of: Option<LegId>,
    /// The best failure among the party's forks so far.
    pub best_failure: Option<Failure>,
    /// The T-Server side wants it to answer: each of its devices is told so when it rings.
    pub to_answer: Option<ToAnswer>,
    /// Its device put the call on hold.
    pub held: bool,
    /// The T-Server side wants it here though it is alone.
    pub kept: bool,
    /// How far its media was told to be.
    pub flow: MediaFlowState,
    /// How the last party that this one called has failed: what the caller is told when the T-Server side says nothing.
    pub callee_failed: Option<u16>,
}

impl Party {
    pub fn new(id: PartyId, phase: PartyPhase) -> Self {
        Self {
            id,
            phase,
            leg: None,
            deadline: None,
            offer: None,
            ringing_told: false,
            early_media_of: None,
            best_failure: None,
            to_answer: None,
            held: false,
            kept: false,
            flow: MediaFlowState::Unknown,
            callee_failed: None,
        }
    }

    /// Whether its forks are still out.
    pub fn is_called(&self) -> bool {
        matches!(self.phase, PartyPhase::Calling | PartyPhase::Alerting)
    }
}

/// What can be seen of a party from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartySummary {
    /// The party.
    pub id: PartyId,
    /// How far it is.
    pub phase: PartyPhase,
    /// How many of its legs are alive, cancelled ones that have not reported their end left out.
    pub legs: usize,
}
