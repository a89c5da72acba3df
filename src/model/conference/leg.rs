//! One leg of a conference: the little that must be known of a SIP session to end it rightly, whatever it is at, and to know where its
//! media goes.

use std::time::Instant;

use bytes::Bytes;

use super::early::BeforeUpdate;
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

/// What our INVITE offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Invited {
    /// Nothing: its 200 is an offer.
    Bare,
    /// Another leg's description.
    Passed,
    /// The media plane's.
    Plane,
}

/// Where a leg's media goes, and the exchange that is under way on it. While a leg is a side of the direct pair, or of a descent, the
/// exchange is theirs ([`super::join`], [`super::descend`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LegMedia {
    /// Past us, or nowhere yet.
    Direct,
    /// Past us again as soon as the pair's re-INVITE is answered; so long its port stays.
    Leaving,
    /// Past us; a re-INVITE of a pair that is no more is out. Until it is answered the device may still be with its port, where it was.
    Abandoned { with_offer: bool, has_port: bool },
    /// Past us; a 200 of a pair that is no more is out, and its ACK will bring an answer that nobody waits for.
    AbandonedAnswer,
    /// Past us; our re-INVITE with the plane's offer is out.
    Climbing { glares: u8 },
    /// To the plane.
    Anchored,
    /// To the plane; our 200 with the plane's offer is out, and its ACK has to bring the answer.
    LateAnswer,
}

impl LegMedia {
    /// Whether the leg needs its port.
    pub fn has_port(self) -> bool {
        matches!(
            self,
            Self::Leaving | Self::Abandoned { has_port: true, .. } | Self::Climbing { .. } | Self::Anchored | Self::LateAnswer
        )
    }

    /// Whether it hears what is meant for it, as far as it is agreed.
    pub fn listens(self) -> bool {
        self.is_anchored() || matches!(self, Self::Leaving | Self::Abandoned { has_port: true, .. })
    }

    /// Whether its media goes to the plane, as far as it is agreed.
    pub fn is_anchored(self) -> bool {
        matches!(self, Self::Anchored | Self::LateAnswer)
    }
}

/// What comes of the wish that a device answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Talk {
    Untold,
    Told,
    /// It has said yes.
    Follows,
    /// It has said no, or nothing.
    Refuses,
}

#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub id: LegId,
    pub party: PartyId,
    pub phase: LegPhase,
    /// What our INVITE offered; for a leg that came in, of no meaning.
    pub invited: Invited,
    pub media: LegMedia,
    /// The first description that came in a provisional response, and what UPDATE made of it: stands in for a 200 that has none.
    pub early: Option<Bytes>,
    /// What a fork that was offered the caller's description has of the caller.
    pub has: Option<Bytes>,
    /// An UPDATE of ours from before the answer is out.
    pub asked: bool,
    /// What the fork was before the plane was to answer its offer: for the case that the plane cannot.
    pub before_update: Option<BeforeUpdate>,
    /// It sent 18x.
    pub rang: bool,
    /// What it was told of answering, and what it said to that.
    pub talk: Talk,
    /// The ACK of its 200 is known to be there: our own, or the device's.
    pub acked: bool,
    /// The device's description that was last passed on, and to which leg.
    pub shared: Option<Bytes>,
    pub partner: Option<LegId>,
    /// What its device agreed to last is not known: its process was killed in an exchange. Until it has answered a re-INVITE.
    pub unsure: bool,
    /// The plane had no answer for it when it should have one; its media is nowhere.
    pub unserved: bool,
    /// Where its media went before the re-INVITE that the plane was to answer last, and whether its device held: for the case that the
    /// plane cannot.
    pub before_answer: Option<(LegMedia, bool)>,
}

impl Leg {
    pub fn new(id: LegId, party: PartyId, phase: LegPhase) -> Self {
        Self {
            id,
            party,
            phase,
            invited: Invited::Bare,
            media: LegMedia::Direct,
            early: None,
            has: None,
            asked: false,
            before_update: None,
            rang: false,
            talk: Talk::Untold,
            acked: false,
            shared: None,
            partner: None,
            unsure: false,
            unserved: false,
            before_answer: None,
        }
    }

    /// Whether it is a fork whose early media comes to the plane.
    pub fn sounds_early(&self) -> bool {
        self.phase == LegPhase::Calling && self.invited == Invited::Plane && self.early.is_some()
    }
}
