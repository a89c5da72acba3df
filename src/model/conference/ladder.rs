//! Where the media of the connected legs goes: leg to leg, in the one direct pair, or each to the media plane.
//!
//! ```text
//!   direct pair ---- something needs the plane, no exchange is under way ----> climbing
//!   climbing ------- every connected leg has answered the plane's offer -----> anchored
//!   climbing ------- a device refused, the others have answered -------------> going back (the pair again)
//!   anchored ------- see the descent ----------------------------------------> direct pair
//! ```
//! It is declarative: after every input [`Conference::drive`] looks at what is wanted and at what each leg is at, and sends what leads
//! there. Without a direct pair, every connected leg belongs to the plane.

use std::time::Instant;

use super::descend::Descent;
use super::join::MediaJoin;
use super::leg::{LegMedia, LegPhase};
use super::party::{Party, PartyPhase};
use super::plan::is_plain_talk;
use super::{Conference, ConferenceOutput};
use crate::leg::{Description, LegCommand};
use crate::link::{Cause, LinkNotification, MediaFlowState, ReleasedBy};
use crate::{LegId, PartyId};

/// What a device is released with whose media could not be brought anywhere.
pub(super) const NOT_ACCEPTABLE: u16 = 488;

/// What is known of the way up and down.
#[derive(Clone, Debug, Default)]
pub(super) struct Ladder {
    /// A device refused to climb, with this status: as soon as the others have answered, all go back.
    pub failed: Option<u16>,
    /// A climb failed, and nothing has changed since.
    pub climb_refused: bool,
    /// A descent failed, and nothing has changed since.
    pub descend_refused: bool,
    /// When a descent begins.
    pub descend_at: Option<Instant>,
    pub descent: Option<Descent>,
}

impl Conference {
    /// Moves media to where it is wanted, and answers the operations that waited for it.
    pub(super) fn drive(&mut self, now: Instant, out: &mut Vec<ConferenceOutput>) {
        self.part_pair(out);
        self.abandon_descent(out);
        self.answer_operations(now, out);
        self.climb(out);
        self.go_back(now, out);
        self.answer_operations(now, out);
        self.part_pair(out);
        self.descend(now, out);
        self.leave_ports();
        self.tell_flows(out);
    }

    /// What was refused before may be tried again.
    pub(super) fn changed(&mut self) {
        self.ladder.climb_refused = false;
        self.ladder.descend_refused = false;
        self.ladder.descend_at = None;
    }

    /// Whether plain talk leg to leg would not do.
    pub(super) fn wants_plane(&self) -> bool {
        self.needs_plane_with(None)
    }

    /// The same, with one more party.
    pub(super) fn needs_plane_with(&self, another: Option<PartyId>) -> bool {
        let ids: Vec<PartyId> = self.parties.iter().map(|party| party.id).chain(another).collect();
        let asked = self
            .operations
            .front()
            .is_some_and(|operation| !operation.wish.is_plain_talk(&ids, &self.settings));
        self.settings.anchored || asked || self.parties.iter().any(|party| party.held) || !is_plain_talk(self.plan.as_ref(), &ids)
    }

    /// Whether every connected leg has its media with the plane.
    pub(super) fn is_anchored(&self) -> bool {
        self.join.is_none()
            && self.ladder.descent.is_none()
            && self.ladder.failed.is_none()
            && self
                .connected_legs()
                .all(|(_, leg)| self.media(leg).is_some_and(LegMedia::is_anchored))
    }

    fn climb(&mut self, out: &mut Vec<ConferenceOutput>) {
        if self.ladder.failed.is_some() || self.ladder.descent.is_some() {
            return;
        }
        if let Some(join) = &self.join {
            if !join.is_quiet() || self.ladder.climb_refused || !self.wants_plane() {
                return;
            }
            self.dissolve_join(out);
        }
        let direct: Vec<LegId> = self
            .connected_legs()
            .map(|(_, leg)| leg)
            .filter(|leg| self.media(*leg) == Some(LegMedia::Direct))
            .collect();
        for leg in direct {
            self.set_media(leg, LegMedia::Climbing { glares: 0 });
            let offer = Some(Description::Anchored);
            self.tell(leg, LegCommand::Reinvite { offer }, out);
        }
    }

    /// Ends the direct pair; its legs go on alone.
    pub(super) fn dissolve_join(&mut self, out: &mut Vec<ConferenceOutput>) {
        let Some(join) = self.join.take() else { return };
        let [one, other] = join.sides();
        for freed in join.dissolve(|leg| self.leg(leg).is_some(), out) {
            if let Some(leg) = self.leg_mut(freed.leg) {
                leg.media = match (leg.media, freed.media) {
                    (LegMedia::Leaving, LegMedia::Abandoned { with_offer, .. }) => LegMedia::Abandoned {
                        with_offer,
                        has_port: true,
                    },
                    (_, media) => media,
                };
                leg.shared = freed.shared;
                leg.partner = Some(if freed.leg == one { other } else { one });
            }
        }
    }

    /// A pair of which one is gone is none.
    pub(super) fn part_pair(&mut self, out: &mut Vec<ConferenceOutput>) {
        let parted = |join: &MediaJoin| join.sides().iter().any(|side| self.leg(*side).is_none());
        if self.join.as_ref().is_some_and(parted) {
            self.dissolve_join(out);
        }
    }

    /// A device did not climb. Once the others have said what they do, two that were in talk are joined again as they were; of more, the
    /// one that stayed behind is released.
    fn go_back(&mut self, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(status) = self.ladder.failed else { return };
        let connected: Vec<(PartyId, LegId)> = self.connected_legs().collect();
        let settled = |media: LegMedia| matches!(media, LegMedia::Direct | LegMedia::Anchored);
        if !connected.iter().all(|(_, leg)| self.media(*leg).is_some_and(settled)) {
            return;
        }
        self.ladder.failed = None;
        if connected.iter().all(|(_, leg)| self.media(*leg) == Some(LegMedia::Anchored)) {
            // It was another one that refused, and it is gone.
            return;
        }
        self.ladder.climb_refused = true;
        let pair: Vec<PartyId> = connected.iter().map(|(party, _)| *party).collect();
        let settings = self.settings;
        self.fail_operations(status, |wish| !wish.is_plain_talk(&pair, &settings), out);
        let cause = Cause::status(ReleasedBy::Network, status);
        match *connected {
            [(_, one), (_, other)] if self.rejoin(one, other, out) => {
                let called: Vec<PartyId> = self
                    .parties
                    .iter()
                    .filter(|party| party.is_called())
                    .map(|party| party.id)
                    .collect();
                for party in called {
                    self.release(party, cause.clone(), now, out);
                }
            }
            _ => {
                for (party, leg) in connected {
                    if self.media(leg) == Some(LegMedia::Direct) {
                        self.release(party, cause.clone(), now, out);
                    }
                }
            }
        }
    }

    /// Joins two legs of which at most one has moved to the plane. Not where one has never heard of the other.
    fn rejoin(&mut self, one: LegId, other: LegId, out: &mut Vec<ConferenceOutput>) -> bool {
        let is_anchored = |leg| self.media(leg) == Some(LegMedia::Anchored);
        let (moved, stayed) = if is_anchored(one) { (one, other) } else { (other, one) };
        let shared = |with, leg| {
            let leg = self.leg(leg).filter(|leg| leg.partner == Some(with))?;
            leg.shared.clone()
        };
        let (Some(offered), Some(description)) = (shared(stayed, moved), shared(moved, stayed)) else {
            return false;
        };
        // Both may have changed their minds since they described themselves; that one of them held is known, and what the other one said
        // to that no longer counts.
        let holds = self
            .leg(stayed)
            .and_then(|leg| self.party(leg.party))
            .is_some_and(|party| party.held);
        let description = if holds {
            description
        } else {
            (self.settings.both_ways)(&description)
        };
        let unsure = [moved, stayed].map(|leg| self.leg(leg).is_some_and(|leg| leg.unsure));
        let was_anchored = is_anchored(moved);
        if was_anchored {
            self.set_media(moved, LegMedia::Leaving);
        }
        if unsure[1] || (unsure[0] && !was_anchored) {
            self.join = Some(MediaJoin::renewed(moved, stayed, [offered, description], out));
        } else if was_anchored {
            self.join = Some(MediaJoin::restored(moved, stayed, offered, description, out));
        } else {
            self.join = Some(MediaJoin::quiet([moved, stayed], [Some(offered), Some(description)]));
        }
        true
    }

    /// A leg whose device knows where its media goes now has left the plane.
    fn leave_ports(&mut self) {
        let join = &self.join;
        let left = |leg: LegId| !join.as_ref().is_some_and(|join| join.is_leaving(leg));
        for leg in self.legs.iter_mut().filter(|leg| leg.media == LegMedia::Leaving) {
            if left(leg.id) {
                leg.media = LegMedia::Direct;
            }
        }
    }

    /// Tells of every connected party how far its media is there; never of a way back.
    fn tell_flows(&mut self, out: &mut Vec<ConferenceOutput>) {
        let mut news = Vec::new();
        for party in self.parties.iter().filter(|party| party.flow != MediaFlowState::Connected) {
            let state = self.flow_of(party);
            if state > party.flow {
                news.push((party.id, state));
            }
        }
        for (party, state) in news {
            self.raise_flow(party, state);
            self.tell_flow(party, state, out);
        }
    }

    /// What the exchanges say of a party's media; what arrives from its device is told by [`crate::leg::MediaEvent::Flowing`].
    fn flow_of(&self, party: &Party) -> MediaFlowState {
        let leg = party.leg.and_then(|leg| self.leg(leg));
        let Some(leg) = leg.filter(|_| party.phase == PartyPhase::Connected) else {
            return MediaFlowState::Unknown;
        };
        let joined = self.join.as_ref().filter(|join| join.peer(leg.id).is_some());
        match joined {
            Some(join) if !join.is_quiet() => MediaFlowState::Unknown,
            Some(_) if leg.acked => MediaFlowState::Connected,
            Some(_) => MediaFlowState::Connecting,
            None if leg.media == LegMedia::Anchored => MediaFlowState::Connecting,
            None => MediaFlowState::Unknown,
        }
    }

    pub(super) fn tell_flow(&self, party: PartyId, state: MediaFlowState, out: &mut Vec<ConferenceOutput>) {
        let flow = LinkNotification::MediaFlow {
            conference: self.id,
            party,
            state,
        };
        self.notify(flow, out);
    }

    /// Whether this is more than the party was told.
    pub(super) fn raise_flow(&mut self, party: PartyId, state: MediaFlowState) -> bool {
        let Some(party) = self.party_mut(party).filter(|party| party.flow < state) else {
            return false;
        };
        party.flow = state;
        true
    }

    /// The connected parties with their legs, in order.
    pub(super) fn connected_legs(&self) -> impl Iterator<Item = (PartyId, LegId)> + '_ {
        let connected = self.parties.iter().filter(|party| party.phase == PartyPhase::Connected);
        connected.filter_map(|party| Some((party.id, party.leg?)))
    }

    pub(super) fn media(&self, leg: LegId) -> Option<LegMedia> {
        self.leg(leg).map(|leg| leg.media)
    }

    pub(super) fn set_media(&mut self, leg: LegId, media: LegMedia) {
        if let Some(leg) = self.leg_mut(leg) {
            leg.media = media;
        }
    }

    /// Whether a leg is in talk.
    pub(super) fn is_talking(&self, leg: LegId) -> bool {
        self.leg(leg).is_some_and(|leg| leg.phase == LegPhase::Talking)
    }
}
