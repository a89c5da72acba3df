//! A caller takes the place of a party (an INVITE with Replaces, RFC 3891): of one that rings it is a pickup, of one that talks a
//! transfer that a far phone has done.
//!
//! The caller is connected alone, in the conference its call came with, then moved into the one of the party whose place it takes. That
//! party is released last. Where anything fails, it is the caller that is refused.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::conn::Stage;
use super::device::{DeviceKey, Leg};
use super::events::Told;
use super::operation::{Asker, Op, Pending, Step};
use super::party::{Arrival, Joining, Party};
use super::{Call, CallOutput, Phase};
use crate::link::{COMPLETED_ELSEWHERE, CallOffered, Cause, LinkRequest, ReleasedBy};
use crate::{CallState, ConnId, DnRole, EventName, PartyState};

/// A party whose place is taken: [`Pending::by`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Pickup {
    /// Who takes it.
    pub(super) target: DeviceKey,
    /// It rang when this began.
    pub(super) alerting: bool,
}

impl Call {
    pub(super) fn replaced_by(&mut self, offered: CallOffered, now: Instant, out: &mut Vec<CallOutput>) {
        if offered.replaces.is_none() || self.rooms.iter().any(|room| room.id == offered.conference) {
            return;
        }
        if self.phase != Phase::Live {
            // The party whose place it wants is gone with its calls.
            return out.push(CallOutput::Link(LinkRequest::ReleaseConference {
                conference: offered.conference,
                cause: Cause::status(ReleasedBy::Server, 481),
            }));
        }
        let preferred = self.preferred(&offered.from, offered.preferred);
        let caller = self.caller(offered.from);
        let dn = caller.called.dn.clone();
        let target = self.add_device(offered.conference, offered.party, caller.called);
        let room = self.room_mut(offered.conference);
        room.made = true;
        room.next_party = offered.party.0.wrapping_add(1);
        if let Some(device) = self.device_mut(target) {
            device.leg = Leg::Made;
            (device.presentation, device.preferred) = (offered.presentation, preferred);
        }
        let found = offered.replaces.and_then(|(conference, party)| {
            let mut devices = self.devices.iter().filter(|device| device.is_up() && device.key != target);
            let key = devices.find(|device| device.is_called(conference, party))?.key;
            Some((*self.conns_of(key).first()?, key))
        });
        let Some((id, by)) = found else {
            return self.refuse_device(target, 481);
        };
        let twice = |key: &DeviceKey| *key != by && self.device(*key).is_some_and(|device| device.is_of(&dn));
        let on_call = self.conn(id).is_some_and(|conn| conn.devices().iter().any(twice));
        let state = self.party(id, by).map(|party| party.state);
        let origin = self
            .conn(id)
            .is_some_and(|conn| conn.stage != Stage::Talking && conn.origin == by);
        let alerting = match state {
            Some(PartyState::Alerting | PartyState::Null) if !origin => true,
            Some(PartyState::Connected | PartyState::Held) => false,
            _ => return self.refuse_device(target, 481),
        };
        if self.pending.is_some() || on_call || self.conns_of(by).len() > 1 {
            return self.refuse_device(target, 486);
        }
        self.begin_pickup((id, by), Pickup { target, alerting }, now, out);
    }

    fn begin_pickup(&mut self, (id, by): (ConnId, DeviceKey), pickup: Pickup, now: Instant, out: &mut Vec<CallOutput>) {
        let role = self.party(id, by).map_or(DnRole::Destination, |party| party.role);
        let (old, new) = (self.dn_of(by), self.dn_of(pickup.target));
        let (state, third_role) = if pickup.alerting {
            (CallState::Pickedup, DnRole::Destination)
        } else {
            (CallState::Transferred, DnRole::TransferredBy)
        };
        let op = Op::Pickup(pickup);
        self.begin(op, (id, by), Asker::Nobody, Step::Answer, now);
        // The same DN on another phone stays the same party.
        if old != new {
            let mut party = Party::new(pickup.target, role);
            party.joining = Some(Joining { by, replaces: true });
            party.arrival = Arrival {
                state,
                third: old.map(|dn| (dn, third_role)),
            };
            let third = party.arrival.third.clone();
            if let Some(conn) = self.conn_mut(id) {
                conn.parties.push(party);
            }
            let told = Told {
                third,
                ..Told::new(EventName::EventRinging, PartyState::Alerting, state)
            };
            self.tell(id, pickup.target, told, out);
        }
        let deadline = self.link_deadline(now);
        let Some(device) = self.device_mut(pickup.target) else {
            return;
        };
        device.deadline = Some(deadline);
        out.push(CallOutput::Link(LinkRequest::ConnectParty {
            conference: device.conference,
            party: device.id,
        }));
    }

    /// The caller that takes a place is connected. `true`: it was one.
    pub(super) fn pickup_connected(&mut self, key: DeviceKey, now: Instant, out: &mut Vec<CallOutput>) -> bool {
        let Some(pending) = &self.pending else { return false };
        let Op::Pickup(pickup) = pending.op else { return false };
        if pickup.target != key {
            return false;
        }
        if let Some(home) = self.device(pending.by).map(|device| device.conference) {
            self.move_device(key, home, now, out);
        }
        true
    }

    pub(super) fn picked_up(&mut self, pending: Pending, pickup: Pickup, now: Instant, out: &mut Vec<CallOutput>) {
        let (id, by) = (pending.conn, pending.by);
        let (old, new) = (self.dn_of(by), self.dn_of(pickup.target));
        if let Some(device) = self.device_mut(by) {
            device.release = Cause {
                reason: pickup.alerting.then(|| COMPLETED_ELSEWHERE.into()),
                ..Cause::normal(ReleasedBy::Server)
            };
        }
        let state = if pickup.alerting {
            CallState::Pickedup
        } else {
            CallState::Transferred
        };
        if old == new {
            return self.moved_to_other_phone(id, by, pickup, now, out);
        }
        let told = Told {
            third: new.map(|dn| (dn, DnRole::Destination)),
            ..Told::new(EventName::EventReleased, PartyState::Null, state)
        };
        self.tell_known(id, by, told, out);
        let Some(conn) = self.conn_mut(id) else { return };
        conn.remove(by);
        let calling = conn.stage == Stage::CallingDestination && conn.destination == by;
        conn.replace_device(by, pickup.target);
        if let Some(party) = conn.party_mut(pickup.target) {
            party.joining = None;
        }
        let there = conn.others(pickup.target);
        if calling {
            return self.answered(id, now, out);
        }
        self.establish(id, pickup.target, CallState::Ok, out);
        if !pickup.alerting {
            self.tell_transferred(id, &there, old, out);
        }
    }

    fn moved_to_other_phone(&mut self, id: ConnId, by: DeviceKey, pickup: Pickup, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(conn) = self.conn_mut(id) else { return };
        let calling = conn.stage == Stage::CallingDestination && conn.destination == by;
        conn.replace_device(by, pickup.target);
        if let Some(party) = conn.party_mut(by) {
            party.device = pickup.target;
        }
        if calling {
            self.reached(pickup.target, out);
            self.answered(id, now, out);
        } else if pickup.alerting {
            self.establish(id, pickup.target, CallState::Ok, out);
        } else if self
            .party(id, pickup.target)
            .is_some_and(|party| party.state == PartyState::Held)
        {
            let told = Told::new(EventName::EventRetrieved, PartyState::Connected, CallState::Ok);
            self.tell(id, pickup.target, told, out);
        }
        self.hold_as_device_does(id, pickup.target, out);
    }

    /// A device that is in no call is let go of with a status.
    pub(super) fn refuse_device(&mut self, target: DeviceKey, status: u16) {
        if let Some(device) = self.device_mut(target) {
            device.release = Cause::status(ReleasedBy::Server, status);
        }
    }
}
