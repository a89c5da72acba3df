//! The way down: two parties that simply hear each other send their media to each other again.
//!
//! ```text
//!   first               conference              second
//!     |<-- re-INVITE, no SDP --|                   |
//!     |--- 200, offer -------->|                   |
//!     |                        |-- re-INVITE, offer >|
//!     |                        |<- 200, answer ----|
//!     |                        |--- ACK ---------->|
//!     |<-- ACK, answer --------|                   |   both ports are closed
//! ```
//! Where either refuses, both stay with the plane, which answers the first one's offer; it is not tried again before something changes.
//! A port is in use until all is agreed, so nobody is cut off in between.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::join::MediaJoin;
use super::leg::LegMedia;
use super::party::PartyPhase;
use super::{Conference, ConferenceOutput};
use crate::LegId;
use crate::leg::{AckBody, Description, LegCommand, LegEvent};

/// What is under way.
#[derive(Clone, Debug)]
pub(super) struct Descent {
    first: LegId,
    second: LegId,
    /// What the first one offered; it is with the second one, and the first one's 200 waits for its ACK.
    offered: Option<Bytes>,
}

impl Descent {
    pub fn has(&self, leg: LegId) -> bool {
        self.first == leg || self.second == leg
    }

    /// Whether `leg` may have agreed to send past us.
    pub fn has_asked(&self, leg: LegId) -> bool {
        self.first == leg || (self.second == leg && self.offered.is_some())
    }

    /// What `leg` still waits for before its BYE.
    pub fn close(&self, leg: LegId, out: &mut Vec<ConferenceOutput>) {
        if self.first == leg && self.offered.is_some() {
            acknowledge(out, leg, AckBody::Inactive);
        }
    }
}

impl Conference {
    /// Begins the way down when nothing has needed the plane for the configured time.
    pub(super) fn descend(&mut self, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some([first, second]) = self.may_descend() else {
            self.ladder.descend_at = None;
            return;
        };
        let wait = Duration::from_millis(self.settings.descend_after_ms);
        let due = *self.ladder.descend_at.get_or_insert(now + wait);
        if now < due {
            return;
        }
        self.ladder.descend_at = None;
        self.tell(first, LegCommand::Reinvite { offer: None }, out);
        self.ladder.descent = Some(Descent {
            first,
            second,
            offered: None,
        });
    }

    /// The two legs, where all is set for it.
    fn may_descend(&self) -> Option<[LegId; 2]> {
        let [one, other] = &*self.parties else { return None };
        let at_rest = self.join.is_none()
            && self.ladder.descent.is_none()
            && !self.ladder.descend_refused
            && self.operations.is_empty()
            && self.ladder.failed.is_none();
        let in_talk = [one, other].iter().all(|party| party.phase == PartyPhase::Connected);
        if !self.settings.descend || !at_rest || !in_talk || self.wants_plane() {
            return None;
        }
        let legs = [one.leg?, other.leg?];
        let settled = |leg: &LegId| self.leg(*leg).is_some_and(|leg| leg.media == LegMedia::Anchored);
        legs.iter().all(settled).then_some(legs)
    }

    /// A word of one of the two legs. Whether it was meant for the descent.
    pub(super) fn descent_went_on(&mut self, leg: LegId, event: &LegEvent, out: &mut Vec<ConferenceOutput>) -> bool {
        let Some(descent) = self.ladder.descent.as_mut().filter(|descent| descent.has(leg)) else {
            return false;
        };
        let (first, second) = (descent.first, descent.second);
        match (event, descent.offered.is_some()) {
            (LegEvent::ReinviteAnswered { sdp: Some(offer) }, false) if leg == first => {
                descent.offered = Some(offer.clone());
                let offer = Some(Description::Passed(offer.clone()));
                self.tell(second, LegCommand::Reinvite { offer }, out);
            }
            (LegEvent::ReinviteAnswered { sdp: None }, false) if leg == first => {
                acknowledge(out, first, AckBody::Nothing);
                self.descent_failed(false, out);
            }
            (LegEvent::ReinviteFailed { .. }, false) if leg == first => self.descent_failed(false, out),
            (LegEvent::ReinviteAnswered { sdp }, true) if leg == second => {
                acknowledge(out, second, AckBody::Nothing);
                match sdp.clone() {
                    Some(answer) => self.descended(answer, out),
                    // It agreed to send past us and did not say where it listens: it is called back to the plane.
                    None => self.descent_failed(true, out),
                }
            }
            (LegEvent::ReinviteFailed { .. }, true) if leg == second => self.descent_failed(false, out),
            _ => return false,
        }
        true
    }

    fn descended(&mut self, answer: Bytes, out: &mut Vec<ConferenceOutput>) {
        let Some(descent) = self.ladder.descent.take() else { return };
        acknowledge(out, descent.first, AckBody::Answer(answer.clone().into()));
        for leg in [descent.first, descent.second] {
            self.set_media(leg, LegMedia::Direct);
        }
        self.join = Some(MediaJoin::quiet(
            [descent.first, descent.second],
            [descent.offered, Some(answer)],
        ));
    }

    /// Both stay with the plane, or come back to it.
    fn descent_failed(&mut self, second_left: bool, out: &mut Vec<ConferenceOutput>) {
        let Some(descent) = self.ladder.descent.take() else { return };
        self.ladder.descend_refused = true;
        if descent.offered.is_some() {
            acknowledge(out, descent.first, AckBody::Answer(Description::Anchored));
        }
        if second_left {
            self.set_media(descent.second, LegMedia::Direct);
        }
    }

    /// A side of the descent is gone: the other one stays with the plane.
    pub(super) fn abandon_descent(&mut self, out: &mut Vec<ConferenceOutput>) {
        let Some(descent) = self.ladder.descent.take_if(|descent| {
            let alive = |leg: LegId| self.legs.iter().any(|other| other.id == leg);
            !(alive(descent.first) && alive(descent.second))
        }) else {
            return;
        };
        match descent.offered {
            Some(_) if self.leg(descent.first).is_some() => {
                acknowledge(out, descent.first, AckBody::Answer(Description::Anchored));
            }
            asked => {
                let leg = if asked.is_some() { descent.second } else { descent.first };
                let (with_offer, has_port) = (asked.is_some(), true);
                self.set_media(leg, LegMedia::Abandoned { with_offer, has_port });
            }
        }
    }
}

fn acknowledge(out: &mut Vec<ConferenceOutput>, leg: LegId, answer: AckBody) {
    out.push(ConferenceOutput::Leg {
        leg,
        command: LegCommand::Ack { answer },
    });
}
