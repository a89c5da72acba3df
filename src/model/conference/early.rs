//! Offers before the answer (UPDATE, RFC 3311): of a caller that waits, and of a device that rings. Either makes one only when the INVITE's own
//! offer was answered reliably (RFC 3262); the user agent sees to that.
//!
//! | whose offer | who answers it |
//! |---|---|
//! | a leg of the plane | the plane |
//! | a caller that has a fork's early media | that fork; the plane where it cannot be asked, being gone, without UPDATE or not reliable: the caller climbs |
//! | that fork | the caller; where it cannot be asked, 504: what the caller hears now would be heard no more, and a retry comes too early |
//! | any other fork | the plane |
//!
//! One side is asked at a time. An exchange that is still under way when the call is answered goes on as the pair's ([`super::join`]). A
//! caller that changes tells the fork that it hears and no other: one that answers with what it was told before ([`Leg::has`]) is brought
//! together with the caller by re-INVITE.

use bytes::Bytes;

use super::join::{MediaJoin, refusal_to_pass};
use super::ladder::NOT_ACCEPTABLE;
use super::leg::{Invited, Leg, LegMedia, LegPhase};
use super::party::{Party, PartyPhase};
use super::reoffer::PENDING;
use super::{Conference, ConferenceOutput};
use crate::LegId;
use crate::leg::{AckBody, Description, LegCommand, LegEvent};

/// It cannot be answered as fast as an UPDATE must be (RFC 3311 s.5.2).
const NOT_IN_TIME: u16 = 504;

/// An offer on its way from a caller to the fork that it hears, or back.
#[derive(Clone, Debug)]
pub(super) struct EarlyOffer {
    from: LegId,
    to: LegId,
    offer: Bytes,
    /// The one that is asked made an offer meanwhile: what it says to this one is glare.
    crossed: bool,
}

impl EarlyOffer {
    fn has(&self, leg: LegId) -> bool {
        self.from == leg || self.to == leg
    }
}

/// What a fork was before the plane was to answer its offer.
#[derive(Clone, Debug)]
pub(super) struct BeforeUpdate {
    pub invited: Invited,
    pub early: Option<Bytes>,
}

impl Conference {
    /// A leg that is not answered describes itself anew.
    pub(super) fn reoffered_early(&mut self, leg: LegId, offer: Option<Bytes>, holds: bool, out: &mut Vec<ConferenceOutput>) {
        if let Some(open) = self.early.as_mut().filter(|open| open.has(leg)) {
            open.crossed |= open.to == leg;
            return self.reject_reinvite(leg, PENDING, out);
        }
        let Some((entry, offer)) = self.leg(leg).zip(offer) else {
            return self.reject_reinvite(leg, PENDING, out);
        };
        match (entry.phase, entry.invited) {
            _ if entry.asked => self.reject_reinvite(leg, PENDING, out),
            (LegPhase::Incoming, _) => match self.heard_fork(leg).filter(|_| entry.media == LegMedia::Direct) {
                Some(fork) => self.ask_early(leg, fork, offer, out),
                None => self.plane_answers_caller(leg, offer, holds, out),
            },
            (LegPhase::Calling, Invited::Plane) => self.plane_answers_fork(leg, offer, out),
            (LegPhase::Calling, Invited::Passed) => match self.hearing_caller(leg) {
                Some(caller) => self.ask_early(leg, caller, offer, out),
                None => self.plane_answers_fork(leg, offer, out),
            },
            _ => self.reject_reinvite(leg, PENDING, out),
        }
    }

    /// The fork whose early media this caller was sent.
    fn heard_fork(&self, caller: LegId) -> Option<LegId> {
        let first = self.parties.first().filter(|first| first.leg == Some(caller))?;
        let fork = self.leg(first.early_media_of?)?;
        (fork.phase == LegPhase::Calling && fork.invited == Invited::Passed).then_some(fork.id)
    }

    /// The caller that was sent the early media of this fork, and has its own media past us.
    fn hearing_caller(&self, fork: LegId) -> Option<LegId> {
        let hears = |first: &&Party| first.phase == PartyPhase::Offered && first.early_media_of == Some(fork);
        let caller = self.parties.first().filter(hears)?.leg?;
        (self.media(caller) == Some(LegMedia::Direct)).then_some(caller)
    }

    fn ask_early(&mut self, from: LegId, to: LegId, offer: Bytes, out: &mut Vec<ConferenceOutput>) {
        let Some(asked) = self.leg_mut(to).filter(|to| !to.asked) else {
            return self.reject_reinvite(from, PENDING, out);
        };
        asked.asked = true;
        let reinvite = LegCommand::Reinvite {
            offer: Some(Description::Passed(offer.clone())),
        };
        self.tell(to, reinvite, out);
        let crossed = false;
        self.early = Some(EarlyOffer {
            from,
            to,
            offer,
            crossed,
        });
    }

    fn plane_answers_caller(&mut self, leg: LegId, offer: Bytes, holds: bool, out: &mut Vec<ConferenceOutput>) {
        self.renew_kept_offer(leg, Some(&offer), holds);
        self.accept_for_plane(leg, true, out);
    }

    /// The fork is with the plane from now on, and heard where who called it is with the plane, too.
    fn plane_answers_fork(&mut self, leg: LegId, offer: Bytes, out: &mut Vec<ConferenceOutput>) {
        if let Some(fork) = self.leg_mut(leg) {
            fork.before_update = Some(BeforeUpdate {
                invited: std::mem::replace(&mut fork.invited, Invited::Plane),
                early: fork.early.replace(offer),
            });
        }
        let sdp = Some(Description::Anchored);
        self.tell(leg, LegCommand::AcceptReinvite { sdp }, out);
    }

    /// What came of an UPDATE of ours before the answer. Says whether it was one.
    pub(super) fn early_went_on(&mut self, leg: LegId, event: &LegEvent, out: &mut Vec<ConferenceOutput>) -> bool {
        let is_final = matches!(event, LegEvent::ReinviteAnswered { .. } | LegEvent::ReinviteFailed { .. });
        let Some(entry) = self.leg_mut(leg).filter(|leg| is_final && leg.asked) else {
            return false;
        };
        entry.asked = false;
        if let LegEvent::ReinviteAnswered { sdp } = event {
            self.acknowledge(leg, AckBody::Nothing, out);
            self.note_of_caller(leg, sdp.as_ref());
        }
        let Some(open) = self.early.take_if(|open| open.to == leg) else {
            return true;
        };
        match event {
            LegEvent::ReinviteAnswered { sdp: Some(answer) } => self.pass_early_answer(open, answer.clone(), out),
            LegEvent::ReinviteFailed { status } => self.early_refused(open, *status, out),
            _ => self.reject_reinvite(open.from, NOT_ACCEPTABLE, out),
        }
        true
    }

    /// A caller answered an offer of ours, whoever waits for that. An answer says less than an offer: where it says nothing new, the offer
    /// stays for whoever is called next.
    fn note_of_caller(&mut self, leg: LegId, answer: Option<&Bytes>) {
        let same_media = self.settings.same_media;
        let waits = |first: &&mut Party| first.leg == Some(leg) && first.phase == PartyPhase::Offered;
        if let Some((first, answer)) = self.parties.first_mut().filter(waits).zip(answer)
            && !first.offer.as_ref().is_some_and(|kept| same_media(kept, answer))
        {
            first.offer = Some(answer.clone());
        }
    }

    fn pass_early_answer(&mut self, open: EarlyOffer, answer: Bytes, out: &mut Vec<ConferenceOutput>) {
        let EarlyOffer { from, to, offer, .. } = open;
        let by_caller = self.is_incoming(from);
        let (fork, of_caller, of_fork) = match by_caller {
            true => (to, offer.clone(), answer.clone()),
            false => (from, answer.clone(), offer.clone()),
        };
        if by_caller && let Some(first) = self.parties.first_mut().filter(|first| first.leg == Some(from)) {
            first.offer = Some(offer);
        }
        if let Some(fork) = self.leg_mut(fork) {
            (fork.has, fork.early) = (Some(of_caller), Some(of_fork));
        }
        let sdp = Some(Description::Passed(answer));
        self.tell(from, LegCommand::AcceptReinvite { sdp }, out);
    }

    fn early_refused(&mut self, open: EarlyOffer, status: u16, out: &mut Vec<ConferenceOutput>) {
        let EarlyOffer {
            from, offer, crossed, ..
        } = open;
        match status {
            PENDING if crossed => self.reject_reinvite(from, PENDING, out),
            405 | PENDING | 501 if self.is_incoming(from) => {
                let holds = (self.settings.direction)(&offer).is_hold();
                self.plane_answers_caller(from, offer, holds, out);
            }
            405 | PENDING | 501 => self.reject_reinvite(from, NOT_IN_TIME, out),
            _ => self.reject_reinvite(from, refusal_to_pass(status), out),
        }
    }

    /// A leg goes: who waits for it is told, and so is the leg itself, where it is still there to be told.
    pub(super) fn leave_early(&mut self, leg: LegId, is_there: bool, out: &mut Vec<ConferenceOutput>) {
        let Some(open) = self.early.take_if(|open| open.has(leg)) else {
            return;
        };
        if open.from != leg {
            self.reject_reinvite(open.from, PENDING, out);
        } else if is_there {
            self.reject_reinvite(leg, 487, out);
        }
    }

    /// The caller is answered, and not by who has its offer.
    pub(super) fn drop_early(&mut self, out: &mut Vec<ConferenceOutput>) {
        if let Some(open) = self.early.take() {
            self.reject_reinvite(open.from, PENDING, out);
        }
    }

    /// A caller and the fork that answered it, which had its offer. What is under way between them goes on; what the fork has not heard yet it
    /// is told.
    pub(super) fn pair_up(
        &mut self,
        caller: LegId,
        fork: LegId,
        offer: Bytes,
        answer: Bytes,
        out: &mut Vec<ConferenceOutput>,
    ) -> MediaJoin {
        if let Some(open) = self.early.take_if(|open| open.has(caller) && open.has(fork)) {
            if let Some(asked) = self.leg_mut(open.to) {
                asked.asked = false;
            }
            return MediaJoin::direct(caller, fork, offer, answer, out).passing(open.from, open.to, open.offer);
        }
        self.drop_early(out);
        let has = self
            .leg(fork)
            .and_then(|fork| fork.has.clone())
            .unwrap_or_else(|| offer.clone());
        let is_asked = self.leg_mut(caller).is_some_and(|caller| std::mem::take(&mut caller.asked));
        match is_asked {
            true => MediaJoin::awaited(caller, fork, has, answer, out),
            false if (self.settings.same_media)(&has, &offer) => MediaJoin::direct(caller, fork, offer, answer, out),
            false => MediaJoin::behind(caller, fork, has, answer, out),
        }
    }

    /// Where a leg is that is answered, and may have an UPDATE of ours.
    pub(super) fn media_after_update(&mut self, leg: LegId) -> LegMedia {
        match self.leg_mut(leg).is_some_and(|leg| std::mem::take(&mut leg.asked)) {
            true => LegMedia::Abandoned {
                with_offer: true,
                has_port: false,
            },
            false => LegMedia::Direct,
        }
    }

    fn is_incoming(&self, leg: LegId) -> bool {
        self.leg(leg).is_some_and(|leg: &Leg| leg.phase == LegPhase::Incoming)
    }

    pub(super) fn reject_reinvite(&self, leg: LegId, status: u16, out: &mut Vec<ConferenceOutput>) {
        self.tell(leg, LegCommand::RejectReinvite { status }, out);
    }
}
