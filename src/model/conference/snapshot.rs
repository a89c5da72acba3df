//! What is kept of a conference so that its calls outlive it ([`Conference::snapshot`]); [`super::restore`] makes a conference of it again.
//!
//! Only what is agreed is kept, and of what was under way, whom to ask again. So a snapshot changes when somebody comes or goes, when the
//! plan changes, and when media moves; not with every message of an exchange, with a digit or with the time. It keeps no time at all: what
//! waited waits anew. What can be known without it is left out: the settings, the descriptions of legs that are all with the plane, and how
//! far media is there, which shows again.
//!
//! Fields may be added, with a default; a name is never given another meaning.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::leg::{Leg, LegMedia};
use super::operation::{Operation, Wish};
use super::party::{Party, PartyPhase};
use super::{Conference, MediaJoin};
use crate::leg::ReferId;
use crate::link::{AudioPlan, OperationId};
use crate::{ConferenceId, LegId, PartyId};

/// How many parties that are gone are kept.
const GONE: usize = 16;

/// A conference, as far as it outlives its process or its actor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConferenceSnapshot {
    pub(super) id: ConferenceId,
    /// Those in talk, in the order they came.
    pub(super) parties: Vec<PartySnapshot>,
    pub(super) next_leg: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) anchored: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) is_room: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) pair: Option<PairSnapshot>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) plan: Option<AudioPlan>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) last_transfer: u32,
    /// The transfers that devices wait to hear of.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) transfers: Vec<(LegId, u64)>,
    /// Those of the parties that are gone, or that are when it comes back, whom a request on its way may still name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) gone: Vec<PartyId>,
    /// The parties that other conferences wait for: nobody asks this one for them again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) gives: Vec<GiveSnapshot>,
}

/// A party that is to leave.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct GiveSnapshot {
    pub party: PartyId,
    pub to: ConferenceId,
    pub operation: OperationId,
    pub as_party: PartyId,
}

/// A party in talk, with its leg.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct PartySnapshot {
    pub id: PartyId,
    pub leg: LegId,
    #[serde(default, skip_serializing_if = "is_default")]
    pub media: MediaPlace,
    #[serde(default, skip_serializing_if = "is_default")]
    pub held: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub kept: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub unserved: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub offer: Option<Bytes>,
    /// While a way back to a direct pair may be needed: what the device has described to which leg.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shared: Option<(LegId, Bytes)>,
}

/// Where a leg's media goes, and whether that is agreed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) enum MediaPlace {
    /// Past us, or nowhere; it has no port.
    #[default]
    Direct,
    /// To its port.
    Anchored,
    /// It has a port, and what its device agreed to is not known.
    Unsure,
}

/// The direct pair.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct PairSnapshot {
    pub sides: [LegId; 2],
    pub known: [Option<Bytes>; 2],
    #[serde(default, skip_serializing_if = "is_default")]
    pub exchange: PairExchange,
}

/// What is to be asked of a direct pair again.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) enum PairExchange {
    /// Nothing.
    #[default]
    Rest,
    /// The first side is offered the second one's description.
    First {
        /// The second side has what is known of the first one.
        is_told: bool,
        /// The pair cannot go on without.
        is_needed: bool,
    },
    /// The second side is offered the first one's description.
    Second {
        /// The pair cannot go on without.
        is_needed: bool,
    },
}

impl GiveSnapshot {
    fn of(operation: &Operation) -> Option<Self> {
        match operation.wish {
            Wish::Give { party, to, as_party } => Some(Self {
                party,
                to,
                operation: operation.id,
                as_party,
            }),
            Wish::Audio(_) | Wish::Digits { .. } => None,
        }
    }
}

impl ConferenceSnapshot {
    /// The conference.
    pub fn id(&self) -> ConferenceId {
        self.id
    }

    /// Whether its media goes through the media plane always.
    pub fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// Its parties in talk, each with its leg.
    pub fn legs(&self) -> impl Iterator<Item = (PartyId, LegId)> + '_ {
        self.parties.iter().map(|party| (party.id, party.leg))
    }

    /// The legs that have ports at the media plane.
    pub fn ports(&self) -> impl Iterator<Item = LegId> + '_ {
        let with_port = self.parties.iter().filter(|party| party.media != MediaPlace::Direct);
        with_port.map(|party| party.leg)
    }
}

impl Conference {
    /// What is to be kept of it as it is now; `None` while nobody is in talk, and when it has ended. Unchanged as long as recovery would
    /// come to the same.
    pub fn snapshot(&self) -> Option<ConferenceSnapshot> {
        let in_talk = |party: &&Party| party.phase == PartyPhase::Connected;
        let count = self.parties.iter().filter(in_talk).count();
        if count == 0 || self.ended {
            return None;
        }
        let may_go_back = !self.is_anchored();
        let mut parties = Vec::with_capacity(count);
        let connected = self.parties.iter().filter(in_talk);
        parties.extend(connected.filter_map(|party| Some(self.keep_party(party, self.leg(party.leg?)?, may_go_back))));
        Some(ConferenceSnapshot {
            id: self.id,
            parties,
            next_leg: self.next_leg,
            anchored: self.settings.anchored,
            is_room: self.is_room,
            pair: self.join.as_ref().map(MediaJoin::snapshot),
            plan: self.plan.clone(),
            last_transfer: self.transfers.last(),
            transfers: self.transfers.open().map(|(leg, ReferId(refer))| (leg, refer)).collect(),
            gone: self.gone_by_then(),
            gives: self.operations.iter().filter_map(GiveSnapshot::of).collect(),
        })
    }

    fn keep_party(&self, party: &Party, leg: &Leg, may_go_back: bool) -> PartySnapshot {
        let is_joined = self.join.as_ref().is_some_and(|join| join.peer(leg.id).is_some());
        let shared = leg.partner.zip(leg.shared.clone());
        PartySnapshot {
            id: party.id,
            leg: leg.id,
            media: self.media_place(leg),
            held: party.held,
            kept: party.kept,
            unserved: leg.unserved,
            offer: party.offer.clone(),
            shared: shared.filter(|_| may_go_back && !is_joined),
        }
    }

    fn gone_by_then(&self) -> Vec<PartyId> {
        let not_in_talk = self.parties.iter().filter(|party| party.phase != PartyPhase::Connected);
        let earlier = self.gone.iter().rev().take(GONE).copied();
        let mut gone: Vec<PartyId> = earlier.chain(not_in_talk.map(|party| party.id)).collect();
        // Whether a party is called or was released by now makes no difference.
        gone.sort_unstable();
        gone
    }

    fn media_place(&self, leg: &Leg) -> MediaPlace {
        let descends = self.ladder.descent.as_ref().is_some_and(|descent| descent.has_asked(leg.id));
        match leg.media {
            LegMedia::Anchored if !descends => MediaPlace::Anchored,
            media if media.has_port() => MediaPlace::Unsure,
            _ => MediaPlace::Direct,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
