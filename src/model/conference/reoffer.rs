//! Offers and answers in talk: what a device's re-INVITE comes to, and what is heard of ours. A leg of the direct pair has them carried to
//! the other side ([`super::join`]); any other leg deals with the media plane alone.
//!
//! Hold is the exception among the direct pair: a device that holds leaves it for the plane, and the other one follows, so that it can be
//! given music.

use std::time::Instant;

use bytes::Bytes;

use super::join::{Broken, GLARES};
use super::leg::{LegMedia, LegPhase};
use super::party::PartyPhase;
use super::{Conference, ConferenceOutput};
use crate::leg::{AckBody, Description, Direction, LegCommand, LegEvent, MediaEvent};
use crate::link::{Cause, LinkNotification, MediaFlowState, ReleasedBy};
use crate::{LegId, PartyId};

use super::ladder::NOT_ACCEPTABLE;

/// Request Pending: another exchange is under way.
pub(super) const PENDING: u16 = 491;

impl Conference {
    /// A re-INVITE of the device.
    pub(super) fn reoffered(&mut self, leg: LegId, offer: Option<Bytes>, direction: Direction, out: &mut Vec<ConferenceOutput>) {
        let holds = offer.as_ref().map(|_| direction.is_hold());
        if !self.is_talking(leg) {
            return self.reoffered_early(leg, offer, holds == Some(true), out);
        }
        let in_descent = self.ladder.descent.as_ref().is_some_and(|descent| descent.has(leg));
        let media = self.media(leg);
        match &mut self.join {
            Some(join) if join.peer(leg).is_some() => {
                if holds == Some(true) && join.is_quiet() {
                    self.dissolve_join(out);
                    self.changed();
                    self.accept_for_plane(leg, offer.is_some(), out);
                } else {
                    // Whether it resumes is known when the other side has answered.
                    return join.reoffered(leg, offer, out);
                }
            }
            _ if media == Some(LegMedia::Anchored) && !in_descent => {
                self.renew_kept_offer(leg, offer.as_ref(), holds == Some(true));
                self.accept_for_plane(leg, offer.is_some(), out);
            }
            _ => return self.reject_reinvite(leg, PENDING, out),
        }
        if let Some(held) = holds {
            self.device_holds(leg, held, out);
        }
    }

    pub(super) fn accept_for_plane(&mut self, leg: LegId, with_offer: bool, out: &mut Vec<ConferenceOutput>) {
        let held = self
            .leg(leg)
            .and_then(|leg| self.party(leg.party))
            .is_some_and(|party| party.held);
        if let Some(leg) = self.leg_mut(leg) {
            leg.before_answer = Some((leg.media, held));
            leg.media = if with_offer {
                LegMedia::Anchored
            } else {
                LegMedia::LateAnswer
            };
        }
        let sdp = Some(Description::Anchored);
        self.tell(leg, LegCommand::AcceptReinvite { sdp }, out);
    }

    /// The first party describes itself anew. Of a third-party call: what was kept of it may be offered no more, and what was offered to
    /// the second one may lead nowhere; one that holds, or does not say where it is, has nothing to offer. A caller that waits has an offer
    /// whatever it says, as its INVITE had: without one its 200 would ask for one.
    pub(super) fn renew_kept_offer(&mut self, leg: LegId, offer: Option<&Bytes>, holds: bool) {
        let (alone, same_media) = (self.parties.len() == 1, self.settings.same_media);
        if let Some(first) = self.parties.first_mut().filter(|first| first.leg == Some(leg)) {
            let kept = first.offer.take();
            if first.phase == PartyPhase::Offered {
                first.offer = offer.cloned().or(kept);
                return;
            }
            first.offer = kept
                .zip(offer)
                .filter(|_| !holds)
                .and_then(|(kept, offer)| match same_media(&kept, offer) {
                    true => Some(kept),
                    false => alone.then(|| offer.clone()),
                });
        }
    }

    fn device_holds(&mut self, leg: LegId, held: bool, out: &mut Vec<ConferenceOutput>) {
        let Some(id) = self.leg(leg).map(|leg| leg.party) else {
            return;
        };
        let Some(party) = self.party_mut(id).filter(|party| party.phase == PartyPhase::Connected) else {
            return;
        };
        if party.held == held {
            return;
        }
        party.held = held;
        self.changed();
        let conference = self.id;
        let held = LinkNotification::PartyHeld {
            conference,
            party: id,
            held,
        };
        self.notify(held, out);
    }

    /// What came of our re-INVITE, or the ACK of our 200.
    pub(super) fn exchange_went_on(&mut self, leg: LegId, event: LegEvent, now: Instant, out: &mut Vec<ConferenceOutput>) {
        if self.early_went_on(leg, &event, out) {
            return;
        }
        if matches!(event, LegEvent::Acked { .. })
            && let Some(leg) = self.leg_mut(leg)
        {
            leg.acked |= leg.phase == LegPhase::Talking;
            (leg.before_answer, leg.before_update) = (None, None);
        }
        if matches!(event, LegEvent::ReinviteAnswered { .. })
            && let Some(leg) = self.leg_mut(leg)
        {
            leg.unsure = false;
        }
        let Some(join) = self.join.as_mut().filter(|join| join.peer(leg).is_some()) else {
            if !self.descent_went_on(leg, &event, out) {
                self.leg_went_on(leg, event, now, out);
            }
            return;
        };
        let answered = match &event {
            LegEvent::Acked { sdp: Some(answer) } => Some((self.settings.direction)(answer).is_hold()),
            _ => None,
        };
        let resumes = match &event {
            LegEvent::ReinviteAnswered { sdp: Some(_) } => join
                .passed_to(leg)
                .filter(|(_, offer)| !(self.settings.direction)(offer).is_hold())
                .map(|(from, _)| from),
            _ => None,
        };
        let went = match event {
            LegEvent::ReinviteAnswered { sdp } => join.reinvite_answered(leg, sdp, self.settings.same_media, out),
            LegEvent::ReinviteFailed { status } => join.reinvite_failed(leg, status, out),
            LegEvent::Acked { sdp } => join.acked(leg, sdp, out),
            _ => Ok(()),
        };
        if let Err(Broken { status }) = went {
            self.release_pair(Cause::status(ReleasedBy::Network, status), now, out);
        } else if let Some(holds) = answered {
            self.device_holds(leg, holds, out);
        } else if let Some(resumed) = resumes {
            self.device_holds(resumed, false, out);
        }
    }

    /// The same, on a leg that deals with the plane.
    fn leg_went_on(&mut self, leg: LegId, event: LegEvent, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(media) = self.media(leg).filter(|_| self.is_talking(leg)) else {
            return;
        };
        match (event, media) {
            (LegEvent::ReinviteAnswered { .. }, LegMedia::Climbing { .. }) => {
                self.acknowledge(leg, AckBody::Nothing, out);
                self.set_media(leg, LegMedia::Anchored);
            }
            (LegEvent::ReinviteAnswered { sdp: Some(_) }, LegMedia::Abandoned { with_offer: false, .. }) => {
                self.acknowledge(leg, AckBody::Answer(Description::Anchored), out);
                self.set_media(leg, LegMedia::Anchored);
            }
            (LegEvent::ReinviteAnswered { .. }, LegMedia::Abandoned { .. }) => {
                self.acknowledge(leg, AckBody::Nothing, out);
                self.set_media(leg, LegMedia::Direct);
            }
            // Nothing of the kind is awaited; yet no 2xx may stay without its ACK.
            (LegEvent::ReinviteAnswered { .. }, _) => self.acknowledge(leg, AckBody::Nothing, out),
            (LegEvent::ReinviteFailed { status: PENDING }, LegMedia::Climbing { glares }) if glares < GLARES => {
                self.set_media(leg, LegMedia::Climbing { glares: glares + 1 });
                let offer = Some(Description::Anchored);
                self.tell(leg, LegCommand::Reinvite { offer }, out);
            }
            (LegEvent::ReinviteFailed { status }, LegMedia::Climbing { .. }) => self.did_not_climb(leg, status),
            (LegEvent::ReinviteFailed { .. }, LegMedia::Abandoned { has_port: true, .. }) => {
                self.set_media(leg, LegMedia::Anchored)
            }
            (LegEvent::ReinviteFailed { .. }, LegMedia::Abandoned { .. }) => self.set_media(leg, LegMedia::Direct),
            (LegEvent::Acked { .. }, LegMedia::AbandonedAnswer) => self.set_media(leg, LegMedia::Direct),
            (LegEvent::Acked { sdp: Some(answer) }, LegMedia::LateAnswer) => {
                self.set_media(leg, LegMedia::Anchored);
                let holds = (self.settings.direction)(&answer).is_hold();
                self.device_holds(leg, holds, out);
            }
            // The answer to what was offered before a crash. It may say that the device holds; the rest is asked again.
            (LegEvent::Acked { sdp: Some(answer) }, LegMedia::Climbing { .. }) => {
                let holds = (self.settings.direction)(&answer).is_hold();
                self.device_holds(leg, holds, out);
            }
            (LegEvent::Acked { sdp: None }, LegMedia::LateAnswer) => self.without_media(leg, now, out),
            _ => {}
        }
    }

    fn did_not_climb(&mut self, leg: LegId, status: u16) {
        self.set_media(leg, LegMedia::Direct);
        self.ladder.failed.get_or_insert(status);
    }

    /// The media plane says something of a leg's port.
    pub(super) fn media_event(&mut self, leg: LegId, event: MediaEvent, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(party) = self.leg(leg).map(|leg| leg.party) else {
            return;
        };
        let conference = self.id;
        let connected = self.leg_in_talk(party).is_some_and(|of_party| of_party == leg);
        match event {
            MediaEvent::Flowing if connected => {
                let state = MediaFlowState::Connected;
                if self.raise_flow(party, state) {
                    self.tell_flow(party, state, out);
                }
            }
            MediaEvent::Digit(digit) if connected => self.pressed(party, digit, out),
            MediaEvent::Ended => self.notify(LinkNotification::PromptEnded { conference, party }, out),
            MediaEvent::Refused => self.plane_refused(leg, party, now, out),
            MediaEvent::Speaks if connected => self.notify(LinkNotification::PartySpeaks { conference, party }, out),
            MediaEvent::Flowing | MediaEvent::Digit(_) | MediaEvent::Speaks | MediaEvent::Stalled => {}
        }
    }

    /// The plane cannot serve a leg. What needed it was refused already, so the leg is as it was before; or gone, where it was the answer to
    /// its call.
    fn plane_refused(&mut self, leg: LegId, party: PartyId, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(entry) = self.leg_mut(leg) else { return };
        let first_answer = !entry.acked && entry.before_answer.is_none();
        match (entry.phase, entry.media, entry.before_answer.take()) {
            (LegPhase::Talking, _, Some((before, held))) => {
                entry.media = before;
                if before == LegMedia::Direct {
                    self.ladder.failed.get_or_insert(NOT_ACCEPTABLE);
                }
                self.device_holds(leg, held, out);
            }
            (LegPhase::Incoming, _, Some((before, _))) => entry.media = before,
            (LegPhase::Calling, ..) => {
                if let Some(before) = entry.before_update.take() {
                    (entry.invited, entry.early) = (before.invited, before.early);
                }
            }
            (LegPhase::Talking, LegMedia::Climbing { .. }, None) => self.did_not_climb(leg, NOT_ACCEPTABLE),
            (LegPhase::Talking, LegMedia::Anchored | LegMedia::LateAnswer, None) if first_answer => {
                self.remove_leg(leg);
                self.release(party, Cause::status(ReleasedBy::Network, NOT_ACCEPTABLE), now, out);
            }
            (LegPhase::Incoming, LegMedia::Anchored, None) => entry.media = LegMedia::Direct,
            // The first party of a third-party call needs the plane only until the second one answers.
            (LegPhase::Talking, LegMedia::Anchored | LegMedia::LateAnswer, None)
                if self.party(party).is_some_and(|party| party.offer.is_none()) =>
            {
                self.without_media(leg, now, out);
            }
            (LegPhase::Talking, LegMedia::Anchored, None) => {
                if let Some(leg) = self.leg_mut(leg) {
                    leg.unserved = true;
                }
            }
            _ => {}
        }
    }

    /// A party in talk that no media can reach.
    fn without_media(&mut self, leg: LegId, now: Instant, out: &mut Vec<ConferenceOutput>) {
        if let Some(party) = self.leg(leg).map(|leg| leg.party) {
            self.release(party, Cause::status(ReleasedBy::Network, NOT_ACCEPTABLE), now, out);
        }
    }

    pub(super) fn acknowledge(&self, leg: LegId, answer: AckBody, out: &mut Vec<ConferenceOutput>) {
        self.tell(leg, LegCommand::Ack { answer }, out);
    }
}
