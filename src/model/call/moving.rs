//! A device is taken from one conference of the group into another one, leg and all.
//!
//! Until the connector has answered, nobody lets go of the device: it could be in either. Where the move fails after it left, it is gone.
//! One that arrives when its operation is over already goes back to those it talks to.

use std::time::Instant;

use smallvec::SmallVec;

use super::conn::Stage;
use super::device::{Device, DeviceKey, Leg, Moving};
use super::operation::{Op, Pending, Step};
use super::transfer::{Gathering, Merge};
use super::{Call, CallOutput};
use crate::link::{Cause, LinkRequest, OperationId, ReleasedBy};
use crate::{ConferenceId, ConnId, PartyId};

impl Call {
    /// Asks for a device to be moved into a conference; the operation waits for it.
    pub(super) fn move_device(&mut self, key: DeviceKey, to: ConferenceId, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(operation) = self.ask_move(key, to, false, now, out) else {
            return;
        };
        let deadline = self.link_deadline(now);
        if let Some(pending) = &mut self.pending {
            pending.step = Step::Move(to, operation, key);
            pending.deadline = deadline;
        }
    }

    fn ask_move(
        &mut self,
        key: DeviceKey,
        to: ConferenceId,
        back: bool,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Option<OperationId> {
        let deadline = self.link_deadline(now);
        let operation = OperationId(self.next_operation);
        let room = self.rooms.iter_mut().find(|room| room.id == to)?;
        let device = self.devices.iter_mut().find(|device| device.key == key)?;
        let party = room.allocate();
        self.next_operation = self.next_operation.wrapping_add(1);
        device.moving = Some(Moving {
            conference: to,
            id: party,
            operation,
            away: false,
            again: false,
            back,
        });
        device.deadline = Some(deadline);
        out.push(CallOutput::Link(LinkRequest::MoveParty {
            conference: to,
            operation,
            party,
            from: device.conference,
            from_party: device.id,
        }));
        Some(operation)
    }

    fn device_in_move(&mut self, conference: ConferenceId, operation: OperationId) -> Option<&mut Device> {
        let is = |moving: &Moving| (moving.conference, moving.operation) == (conference, operation);
        self.devices.iter_mut().find(|device| device.moving.as_ref().is_some_and(is))
    }

    /// The device is where it was to go. `true`: that was what was answered.
    pub(super) fn moved(
        &mut self,
        conference: ConferenceId,
        operation: OperationId,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> bool {
        let deadline = self.link_deadline(now);
        let Some(device) = self.device_in_move(conference, operation) else {
            return false;
        };
        let (key, moving) = (device.key, device.take_moving());
        if let Some(moving) = moving {
            (device.conference, device.id) = (moving.conference, moving.id);
        }
        // It may have come to light just now that the operation has no ground any more.
        self.check_ground(now, out);
        let waits = |pending: &&mut Pending| pending.step == Step::Move(conference, operation, key);
        if self.pending.as_mut().filter(waits).is_none() {
            match moving {
                Some(moving) if moving.back => self.stay(key, now, out),
                _ => self.go_back(key, now, out),
            }
            return true;
        }
        self.arrived(key, deadline, now, out);
        true
    }

    /// The operation that waited for the device goes on.
    fn arrived(&mut self, key: DeviceKey, deadline: Instant, now: Instant, out: &mut Vec<CallOutput>) {
        if self.gather(now, out) {
            return;
        }
        if let Some(asker) = self.pending.as_ref().map(|pending| pending.asker) {
            self.progress(asker, 100, out);
        }
        if self.merges_into_ringing() {
            // Nobody is to hear anybody yet, and the leg of the device that asked may be a call that nobody has answered.
            let pending = self.pending.take();
            if let Some((pending, Op::Merge(merge))) = pending.map(|pending| (pending.clone(), pending.op)) {
                self.merged(pending, merge, now, out);
            }
            return;
        }
        let of_main = self
            .pending
            .as_ref()
            .is_some_and(|pending| self.party(pending.conn, key).is_some());
        let Some(pending) = &mut self.pending else { return };
        pending.step = Step::Audio;
        pending.deadline = deadline;
        let (conn, by) = (pending.conn, pending.by);
        match &mut pending.op {
            // From here on the device that asked has both calls on one leg.
            Op::Merge(merge) => {
                let (id, from, to) = if of_main {
                    (conn, by, merge.other_by)
                } else {
                    (merge.other, merge.other_by, by)
                };
                (merge.other_by, merge.left_behind) = (to, Some(from));
                pending.by = to;
                if let Some(conn) = self.conn_mut(id) {
                    conn.replace_device(from, to);
                    if let Some(party) = conn.party_mut(from) {
                        party.device = to;
                        party.held_by_device = false;
                    }
                }
            }
            // Whoever calls waits for an answer still; here it is.
            Op::Pickup(_) => {
                let waits = self
                    .conn(conn)
                    .filter(|conn| conn.stage == Stage::CallingDestination)
                    .map(|conn| conn.origin);
                let caller = waits
                    .and_then(|key| self.device(key))
                    .filter(|device| device.leg == Leg::Made);
                if let Some(device) = caller {
                    out.push(CallOutput::Link(LinkRequest::ConnectParty {
                        conference: device.conference,
                        party: device.id,
                    }));
                }
            }
            _ => {}
        }
    }

    /// Asks for the next party of one call to be moved to where the other one is. `false`: they are all there.
    pub(super) fn gather(&mut self, now: Instant, out: &mut Vec<CallOutput>) -> bool {
        let Some((key, to)) = self.straggler() else { return false };
        self.move_device(key, to, now, out);
        true
    }

    fn straggler(&self) -> Option<(DeviceKey, ConferenceId)> {
        let pending = self.pending.as_ref()?;
        let Op::Merge(merge) = &pending.op else { return None };
        let Gathering { to, of_main } = merge.gathering?;
        let (conn, by) = if of_main {
            (pending.conn, pending.by)
        } else {
            (merge.other, merge.other_by)
        };
        let others = self.conn(conn)?.others(by);
        let elsewhere = |key: &DeviceKey| self.device(*key).is_some_and(|device| device.conference != to);
        others.into_iter().find(elsewhere).map(|key| (key, to))
    }

    /// The operation brings a call to one that rings.
    fn merges_into_ringing(&self) -> bool {
        let merge = self.pending.as_ref().and_then(|pending| match &pending.op {
            Op::Merge(merge) => Some(merge),
            _ => None,
        });
        merge
            .and_then(|merge| self.conn(merge.other))
            .is_some_and(|conn| conn.stage == Stage::CallingDestination)
    }

    /// A device of whose move nothing has come is where its calls are, if it is in any.
    fn go_back(&mut self, key: DeviceKey, now: Instant, out: &mut Vec<CallOutput>) {
        if let Some(conference) = self.torn_from(key) {
            self.ask_move(key, conference, true, now, out);
        }
    }

    /// A device that came back is in calls of two conferences still: it stays in those that are here, for it would go to and fro for ever.
    fn stay(&mut self, key: DeviceKey, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(here) = self.device(key).map(|device| device.conference) else {
            return;
        };
        let is_elsewhere = |id: &ConnId| {
            let others = self.conn(*id).map(|conn| conn.others(key)).unwrap_or_default();
            self.elsewhere(here, others).is_some()
        };
        let torn: SmallVec<[ConnId; 2]> = self.conns_of(key).into_iter().filter(is_elsewhere).collect();
        for id in torn {
            self.left(id, key, &Cause::normal(ReleasedBy::Network), now, out);
        }
    }

    /// Two calls do not become one: who was moved for that is not where the others of its call are.
    pub(super) fn leave_astray(&mut self, pending: &Pending, merge: &Merge) {
        let Some(gathering) = merge.gathering.filter(|_| merge.left_behind.is_none()) else {
            return;
        };
        let id = if gathering.of_main { pending.conn } else { merge.other };
        let parties = self.conn(id).map(super::conn::Conn::devices).unwrap_or_default();
        for device in self.devices.iter_mut().filter(|device| parties.contains(&device.key)) {
            device.is_astray = device.conference == gathering.to && device.moving.is_none();
        }
    }

    pub(super) fn send_back(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        let mut astray: SmallVec<[DeviceKey; 2]> = SmallVec::new();
        for device in &mut self.devices {
            if std::mem::take(&mut device.is_astray) {
                astray.push(device.key);
            }
        }
        for key in astray {
            self.go_back(key, now, out);
        }
    }

    /// The conference of the others in a device's calls, where that is another one than its own.
    fn torn_from(&self, key: DeviceKey) -> Option<ConferenceId> {
        let here = self.device(key).filter(|device| device.is_up())?.conference;
        let conns = self.conns.iter().filter(|conn| conn.party(key).is_some());
        self.elsewhere(here, conns.flat_map(|conn| conn.others(key)))
    }

    /// A conference of these devices that is not the one here. Of those who are on their way it counts only where nobody stays: two that
    /// pass each other would do so for ever.
    fn elsewhere(&self, here: ConferenceId, devices: impl IntoIterator<Item = DeviceKey>) -> Option<ConferenceId> {
        let devices = devices.into_iter().filter_map(|key| self.device(key));
        let (go, stay): (SmallVec<[&Device; 4]>, SmallVec<[&Device; 4]>) = devices
            .filter(|device| !device.is_astray)
            .partition(|device| device.moving.is_some());
        let homes = if stay.is_empty() { go } else { stay };
        homes.into_iter().map(Device::goes_to).find(|home| *home != here)
    }

    /// The device left a conference for another one. Where it was not to, or cannot be any more, it is gone.
    pub(super) fn moved_away(&mut self, conference: ConferenceId, party: PartyId, now: Instant, out: &mut Vec<CallOutput>) {
        let mut devices = self.devices.iter_mut();
        let Some(device) = devices.find(|device| (device.conference, device.id) == (conference, party)) else {
            return;
        };
        if let Some(moving) = &mut device.moving {
            moving.away = true;
        } else if !matches!(device.leg, Leg::NotMade | Leg::Gone) {
            let key = device.key;
            self.released(key, &Cause::normal(ReleasedBy::Network), now, out);
        }
    }

    /// The move has failed.
    pub(super) fn not_moved(
        &mut self,
        conference: ConferenceId,
        operation: OperationId,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) {
        let Some(device) = self.device_in_move(conference, operation) else {
            return;
        };
        let (key, moving) = (device.key, device.take_moving());
        out.extend(moving.filter(|moving| moving.again).map(unwanted));
        if moving.is_some_and(|moving| moving.away) {
            return self.released(key, &Cause::normal(ReleasedBy::Network), now, out);
        }
        self.cannot_go_back(key, now, out);
    }

    /// Nor is it where its calls are: it leaves them.
    fn cannot_go_back(&mut self, key: DeviceKey, now: Instant, out: &mut Vec<CallOutput>) {
        if self.torn_from(key).is_none() {
            return;
        }
        let cause = Cause::normal(ReleasedBy::Network);
        for id in self.conns_of(key) {
            self.left(id, key, &cause, now, out);
        }
    }

    /// The connector stays silent about a move that an operation waits for: should the device come after all, nobody wants it there.
    pub(super) fn forget_move(&mut self, out: &mut Vec<CallOutput>) -> Option<(DeviceKey, Moving)> {
        let Some(Step::Move(_, _, key)) = self.pending.as_ref().map(|pending| &pending.step) else {
            return None;
        };
        let key = *key;
        let moving = self.device_mut(key).and_then(Device::take_moving)?;
        out.push(unwanted(moving));
        Some((key, moving))
    }

    /// The same of one move, which no operation waits for. `true`: there was one.
    pub(super) fn move_timed_out(&mut self, key: DeviceKey, now: Instant, out: &mut Vec<CallOutput>) -> bool {
        let Some(moving) = self.device_mut(key).and_then(Device::take_moving) else {
            return false;
        };
        out.push(unwanted(moving));
        if moving.away {
            self.released(key, &Cause::normal(ReleasedBy::Network), now, out);
        } else {
            self.cannot_go_back(key, now, out);
        }
        true
    }

    /// Moves that were under way have to be answered in time.
    pub(super) fn bound_moves(&mut self, now: Instant) {
        let deadline = self.link_deadline(now);
        for device in self.devices.iter_mut().filter(|device| device.moving.is_some()) {
            device.deadline = Some(deadline);
        }
    }

    /// A conference is gone: what was to come there stays where it is, or is gone with it, which is told.
    pub(super) fn no_move_to(&mut self, conference: ConferenceId) -> SmallVec<[DeviceKey; 2]> {
        let mut lost = SmallVec::new();
        for device in &mut self.devices {
            if device.moving.is_some_and(|moving| moving.conference == conference)
                && device.take_moving().is_some_and(|moving| moving.away)
            {
                device.leg = Leg::Gone;
                lost.push(device.key);
            }
        }
        lost
    }
}

impl Device {
    /// The conference in which it is, or will be.
    fn goes_to(&self) -> ConferenceId {
        self.moving.map_or(self.conference, |moving| moving.conference)
    }

    /// The move is settled, or given up.
    fn take_moving(&mut self) -> Option<Moving> {
        let moving = self.moving.take()?;
        self.deadline = None;
        Some(moving)
    }
}

fn unwanted(moving: Moving) -> CallOutput {
    CallOutput::Link(LinkRequest::ReleaseParty {
        conference: moving.conference,
        party: moving.id,
        cause: Cause::normal(ReleasedBy::Server),
    })
}
