//! The ways out: a whole call ends, or one of several parties leaves it. Terminal events, the legs that nobody needs any more, the
//! record.

use std::time::Instant;

use super::device::{Device, DeviceKey, Leg};
use super::events::Told;
use super::transfer::standing;
use super::{Call, CallOutput, CallRecord, Outcome, Phase};
use crate::link::{Cause, LinkRequest, ReleasedBy};
use crate::{CallState, CallType, ConnId, DnId, DnRole, EventName, KvList, PartyState, Requestor};

/// How a call ends.
pub(super) struct Ending<'a> {
    /// The party that ends it; its event comes first.
    pub(super) by: Option<DeviceKey>,
    /// The CallState it is told.
    pub(super) state: CallState,
    /// The CallState the others are told.
    pub(super) other_state: CallState,
    /// Any other party that rings is told EventAbandoned (T-Library reference ch. 9.1).
    pub(super) abandoned: bool,
    /// How the call is counted.
    pub(super) outcome: Outcome,
    /// Why, where the network said it: stands in the terminal events.
    pub(super) cause: Option<&'a Cause>,
    /// The SIP status for a caller that was not answered yet; a normal end where `None`.
    pub(super) status: Option<u16>,
    /// ThirdPartyDN of the event of `by`.
    pub(super) third: Option<(DnId, DnRole)>,
    /// Whose request this answers.
    pub(super) requestor: Option<Requestor>,
    /// The reasons of that request.
    pub(super) reasons: KvList,
}

impl Ending<'_> {
    /// A quiet end by a party.
    pub(super) fn normal(by: DeviceKey, outcome: Outcome) -> Self {
        Self {
            by: Some(by),
            state: CallState::Ok,
            other_state: CallState::Ok,
            abandoned: false,
            outcome,
            cause: None,
            status: None,
            third: None,
            requestor: None,
            reasons: KvList::new(),
        }
    }
}

impl Call {
    /// Ends a call for its clients. Legs that are in no other call are let go of.
    pub(super) fn end(&mut self, id: ConnId, mut ending: Ending<'_>, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(conn) = self.conn(id) else { return };
        let mut order = conn.devices();
        order.sort_by_key(|key| Some(*key) != ending.by);
        let record = conn.record(ending.outcome, now);
        for key in &order {
            let Some(state) = self.party(id, *key).map(|party| party.state) else {
                continue;
            };
            if state == PartyState::Null {
                continue;
            }
            let mine = Some(*key) == ending.by;
            let name = if ending.abandoned && !mine && state == PartyState::Alerting {
                EventName::EventAbandoned
            } else {
                EventName::EventReleased
            };
            let mut told = Told::new(name, PartyState::Null, if mine { ending.state } else { ending.other_state });
            told.cause = ending.cause;
            if mine {
                told.requestor = ending.requestor.take();
                told.reasons = std::mem::take(&mut ending.reasons);
                told.third = ending.third.take();
            }
            self.tell(id, *key, told, out);
        }
        self.conns.retain(|conn| conn.id != id);
        for key in order {
            self.release_because(key, ending.status, ending.cause);
        }
        self.close(id, record, now, out);
    }

    /// How a device is let go of once no call needs it.
    pub(super) fn release_with(&mut self, key: DeviceKey, status: Option<u16>) {
        self.release_because(key, status, None);
    }

    /// The same, with the Reason of another's end.
    fn release_because(&mut self, key: DeviceKey, status: Option<u16>, cause: Option<&Cause>) {
        if let Some(device) = self.device_mut(key) {
            let normal = Cause::normal(ReleasedBy::Server);
            device.release = cause.unwrap_or(&normal).for_others(status);
        }
    }

    /// The ConnID is gone for clients. The last one of the group is told with the group's end.
    pub(super) fn close(&mut self, conn_id: ConnId, record: CallRecord, now: Instant, out: &mut Vec<CallOutput>) {
        if self.conns.is_empty() {
            self.last = Some((conn_id, record));
            self.closing = Some(self.link_deadline(now));
        } else {
            out.push(CallOutput::Closed { conn_id, record });
        }
    }

    /// One of several parties leaves a call in talk; where only one would be left, or nobody of ours and that is not allowed, the call ends.
    pub(super) fn leave(&mut self, id: ConnId, key: DeviceKey, leaving: Leaving<'_>, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(conn) = self.conn(id) else { return };
        let rest = conn.others(key);
        let standings = rest
            .iter()
            .filter_map(|key| self.device(*key))
            .map(|device| standing(&device.target));
        let alone = rest.len() < 2 || !self.pass_through(key).allows(standings);
        if alone || conn.party(key).is_none_or(|party| party.joining.is_some()) {
            let ending = Ending {
                state: leaving.state,
                other_state: leaving.other_state,
                abandoned: true,
                cause: leaving.cause,
                requestor: leaving.requestor,
                reasons: leaving.reasons,
                ..Ending::normal(key, Outcome::Answered)
            };
            return self.end(id, ending, now, out);
        }
        let by = leaving.dropped_by.unwrap_or(key);
        let told = Told {
            cause: leaving.cause,
            requestor: leaving.requestor.filter(|_| by == key),
            reasons: if by == key { leaving.reasons.clone() } else { KvList::new() },
            ..Told::new(EventName::EventReleased, PartyState::Null, leaving.state)
        };
        if self.party(id, key).is_some_and(|party| party.state != PartyState::Null) {
            self.tell(id, key, told, out);
        }
        let (gone, by_dn) = (self.dn_of(key), self.dn_of(by));
        for other in rest {
            if self.party(id, other).is_none_or(|party| party.state == PartyState::Null) {
                continue;
            }
            let mine = other == by;
            let told = Told {
                other: gone.clone().map(|dn| (dn, DnRole::DeletedParty)),
                third: by_dn.clone().map(|dn| (dn, DnRole::DeletedBy)),
                requestor: leaving.requestor.filter(|_| mine),
                reasons: if mine { leaving.reasons.clone() } else { KvList::new() },
                ..Told::same(EventName::EventPartyDeleted, CallState::Ok)
            };
            self.tell(id, other, told, out);
        }
        if let Some(conn) = self.conn_mut(id) {
            conn.remove(key);
        }
        self.release_with(key, None);
    }

    /// Asks the connector to let go of every device that no call and no operation needs.
    pub(super) fn let_go(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        let deadline = self.link_deadline(now);
        let needed: Vec<DeviceKey> = self
            .devices
            .iter()
            .map(|device| device.key)
            .filter(|key| self.is_needed(*key))
            .collect();
        for device in &mut self.devices {
            if needed.contains(&device.key) {
                if device.leg == Leg::Connected {
                    // How a call of it ended is not how the device is let go of when its last one ends.
                    device.release = Cause::normal(ReleasedBy::Server);
                }
                continue;
            }
            if device.leg == Leg::NotMade {
                device.leg = Leg::Gone;
            } else if device.is_up() {
                device.leg = Leg::Releasing;
                device.deadline = Some(deadline);
                out.push(CallOutput::Link(LinkRequest::ReleaseParty {
                    conference: device.conference,
                    party: device.id,
                    cause: device.release.clone(),
                }));
            }
        }
        self.devices
            .retain(|device| device.leg != Leg::Gone || needed.contains(&device.key));
    }

    fn is_needed(&self, key: DeviceKey) -> bool {
        if self.device(key).is_some_and(|device| device.moving.is_some()) || self.keeps_room_open(key) {
            return true;
        }
        let in_call = self.conns.iter().any(|conn| conn.party(key).is_some());
        in_call || self.pending.as_ref().is_some_and(|pending| pending.op.target() == Some(key))
    }

    /// A conference ends with its last party, and one of two takes the other one along: while somebody is on the way there, or from there,
    /// nobody leaves it.
    fn keeps_room_open(&self, key: DeviceKey) -> bool {
        let Some(here) = self.device(key).map(|device| device.conference) else {
            return false;
        };
        let passes = |device: &Device| {
            let to = device.moving.map(|moving| moving.conference);
            to.is_some_and(|to| to == here || device.conference == here)
        };
        self.devices.iter().any(|device| device.key != key && passes(device))
    }

    /// The group is over when no call is open and the connector has let go of every conference, or stayed silent for too long.
    pub(super) fn finish_if_over(&mut self, out: &mut Vec<CallOutput>) {
        let open = !self.conns.is_empty() || self.absorbing;
        let held = self.rooms.iter().any(|room| room.made && !room.ended);
        if self.phase == Phase::Live && !open && !held {
            self.finish(out);
        }
    }

    /// Gives out the last record, and that the group is over: once.
    pub(super) fn finish(&mut self, out: &mut Vec<CallOutput>) {
        if self.phase == Phase::Finished {
            return;
        }
        self.phase = Phase::Finished;
        self.closing = None;
        self.devices.clear();
        if let Some((conn_id, record)) = self.last.take() {
            out.push(CallOutput::Closed { conn_id, record });
        }
        out.push(CallOutput::Finished);
    }

    /// The call attempt never became a call.
    pub(super) fn finish_refused(&mut self, out: &mut Vec<CallOutput>) {
        let record = CallRecord {
            direction: CallType::Unknown,
            outcome: Outcome::Refused,
            setup: None,
            talk: None,
        };
        self.last = Some((self.ids.conn_id, record));
        self.finish(out);
    }
}

/// How one of several parties leaves.
pub(super) struct Leaving<'a> {
    pub(super) state: CallState,
    /// What the last one left is told.
    pub(super) other_state: CallState,
    pub(super) cause: Option<&'a Cause>,
    /// The party that drops it, where it does not leave by itself.
    pub(super) dropped_by: Option<DeviceKey>,
    pub(super) requestor: Option<Requestor>,
    pub(super) reasons: KvList,
}

impl Leaving<'_> {
    pub(super) fn normal() -> Self {
        Self {
            state: CallState::Ok,
            other_state: CallState::Ok,
            cause: None,
            dropped_by: None,
            requestor: None,
            reasons: KvList::new(),
        }
    }
}
