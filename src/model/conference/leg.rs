//! One leg of a conference: the little that must be known of a SIP session to end it rightly, whatever it is at.

use std::time::Instant;

use bytes::Bytes;

use crate::{LegId, PartyId};

/// How far a leg is. A leg that is gone (its terminal event came, or BYE or a refusal went out) is no longer in the conference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LegPhase {
    /// It came in and waits for our final answer.
    Incoming,
    /// Our INVITE is out.
    Calling,
    /// Our CANCEL is out: only the end of the leg is awaited, until then at the latest.
    Cancelling { until: Instant },
    /// Answered, by the device or by us.
    Talking,
}

#[derive(Debug)]
pub(super) struct Leg {
    pub id: LegId,
    pub party: PartyId,
    pub phase: LegPhase,
    /// Whether our INVITE carried an offer; then its 200 is an answer, else an offer.
    pub offered: bool,
    /// The first description that came in a provisional response: stands in for a 200 that has none.
    pub early: Option<Bytes>,
}
