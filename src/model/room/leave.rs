//! The way out: one terminal event, then the connector lets go.

use std::time::Instant;

use super::enter::release;
use super::joiner::{Joiner, Reported, Stage};
use super::{Room, RoomOutput};
use crate::link::{Cause, ReleasedBy};
use crate::{CallState, DnId, EventName, KvList, PartyState, Requestor, TError, TErrorCode};

/// How somebody is sent away.
#[derive(Clone, Debug)]
pub(super) struct Dismissal {
    /// What its terminal event says.
    pub(super) state: CallState,
    /// With which status a joiner that was not accepted yet is refused.
    pub(super) status: Option<u16>,
    /// What the BYE to one that was says.
    pub(super) q850: Option<u8>,
    /// Whose request this answers, and on behalf of which DN.
    pub(super) by: Option<(Requestor, DnId)>,
    /// The reasons of that request.
    pub(super) reasons: KvList,
}

impl Dismissal {
    /// A quiet end.
    pub(super) fn normal() -> Self {
        Self {
            state: CallState::Ok,
            status: None,
            q850: None,
            by: None,
            reasons: KvList::new(),
        }
    }

    /// Because of this SIP status.
    pub(super) fn status(status: u16) -> Self {
        Self {
            state: CallState::GeneralError,
            status: Some(status),
            ..Self::normal()
        }
    }
}

impl Room {
    /// Ends a joiner for clients and asks the connector to release it.
    pub(super) fn dismiss(&mut self, index: usize, how: Dismissal, now: Instant, out: &mut Vec<RoomOutput>) {
        let cause = Cause {
            by: ReleasedBy::Server,
            sip_status: how.status,
            q850: how.q850,
            reason: None,
        };
        self.tell_exit(index, how, now, out);
        // One that is on its way is released where it arrives.
        if !matches!(self.joiners[index].stage, Stage::Moving { .. }) {
            self.ask_release(index, cause, now, out);
        }
    }

    pub(super) fn ask_release(&mut self, index: usize, cause: Cause, now: Instant, out: &mut Vec<RoomOutput>) {
        let deadline = self.link_deadline(now);
        let joiner = &mut self.joiners[index];
        joiner.stage = Stage::Leaving;
        joiner.deadline = Some(deadline);
        out.push(release(joiner.place, cause));
    }

    /// The connector has let go of a joiner.
    pub(super) fn gone(&mut self, index: usize, cause: Option<&Cause>, now: Instant, out: &mut Vec<RoomOutput>) {
        let network = cause.is_none_or(|cause| cause.by == ReleasedBy::Network);
        let how = Dismissal {
            state: if network { CallState::SystemError } else { CallState::Ok },
            status: cause.and_then(|cause| cause.sip_status),
            q850: cause.and_then(|cause| cause.q850),
            ..Dismissal::normal()
        };
        self.tell_exit(index, how, now, out);
        self.joiners.remove(index);
    }

    /// Its terminal event, and EventPartyDeleted to those who stay. Only once.
    fn tell_exit(&mut self, index: usize, how: Dismissal, now: Instant, out: &mut Vec<RoomOutput>) {
        let joiner = &mut self.joiners[index];
        if joiner.is_told() {
            return;
        }
        let was_inside = joiner.is_inside();
        joiner.reported = Reported::Released;
        joiner.tone_until = None;
        if was_inside {
            joiner.stage = Stage::Leaving;
        }
        if let Some((requestor, dn)) = joiner.admitted.take() {
            let text = format!("otherDn: {} left before it was inside", joiner.dn);
            self.refuse(requestor, Some(&dn), TError::new(TErrorCode::DisconnectedCall, text), out);
        }
        self.tell_release(index, &how, out);
        if was_inside {
            self.tell_deletion(index, how.by, out);
            self.announce(now);
            self.set_audio(out);
            if !self.joiners.iter().any(stays_inside) {
                self.conference = None;
            }
        } else if let Some((requestor, dn)) = how.by.filter(|(_, dn)| *dn != self.joiners[index].dn) {
            let event = self.deletion(&dn, index, &dn);
            out.push(RoomOutput::Answer { requestor, event });
        }
        self.roster_changed(out);
    }

    /// Nobody is left: the conference DN's own terminal event.
    pub(super) fn close(&mut self, now: Instant, out: &mut Vec<RoomOutput>) {
        self.closed = true;
        self.deadline = Some(self.link_deadline(now));
        if self.opened {
            let event = self.room_event(EventName::EventReleased, CallState::Ok, PartyState::Null);
            let requestor = self.clearing.take();
            out.push(RoomOutput::Event { event, requestor });
        }
        out.push(RoomOutput::Closed);
    }
}

/// Whether the room's conference still has, or gets, this party.
fn stays_inside(joiner: &Joiner) -> bool {
    matches!(joiner.stage, Stage::In | Stage::Moving { .. })
}
