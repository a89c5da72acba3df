//! A device is taken from one conference of the group into another one, leg and all.
//!
//! Until the connector has answered, nobody lets go of the device: it could be in either. Where the move fails after it left, it is gone.

use std::time::Instant;

use super::conn::Stage;
use super::device::{Device, DeviceKey, Leg, Moving};
use super::operation::{Op, Step};
use super::{Call, CallOutput};
use crate::link::{Cause, LinkRequest, OperationId, ReleasedBy};
use crate::{ConferenceId, PartyId};

impl Call {
    /// Asks for a device to be moved into a conference; the operation waits for it.
    pub(super) fn move_device(&mut self, key: DeviceKey, to: ConferenceId, now: Instant, out: &mut Vec<CallOutput>) {
        let operation = OperationId(self.next_operation);
        let Some(party) = self
            .rooms
            .iter_mut()
            .find(|room| room.id == to)
            .map(super::room::Room::allocate)
        else {
            return;
        };
        let deadline = self.link_deadline(now);
        let Some(device) = self.devices.iter_mut().find(|device| device.key == key) else {
            return;
        };
        self.next_operation = self.next_operation.wrapping_add(1);
        device.moving = Some(Moving {
            conference: to,
            id: party,
            operation,
            away: false,
        });
        let (from, from_party) = (device.conference, device.id);
        if let Some(pending) = &mut self.pending {
            pending.step = Step::Move(to, operation, key);
            pending.deadline = deadline;
        }
        out.push(CallOutput::Link(LinkRequest::MoveParty {
            conference: to,
            operation,
            party,
            from,
            from_party,
        }));
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
        let key = device.key;
        if let Some(moving) = device.moving.take() {
            (device.conference, device.id) = (moving.conference, moving.id);
        }
        let Some(pending) = &mut self.pending else { return true };
        if pending.step != Step::Move(conference, operation, key) {
            return true;
        }
        pending.step = Step::Audio;
        pending.deadline = deadline;
        let (conn, by) = (pending.conn, pending.by);
        match &mut pending.op {
            // From here on the device that asked has both calls on one leg.
            Op::Merge(merge) => {
                let (other, from) = (merge.other, merge.other_by);
                (merge.other_by, merge.left_behind) = (by, Some(from));
                if let Some(conn) = self.conn_mut(other) {
                    conn.replace_device(from, by);
                    if let Some(party) = conn.party_mut(from) {
                        party.device = by;
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
        true
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
        let (key, moving) = (device.key, device.moving.take());
        if moving.is_some_and(|moving| moving.away) {
            self.released(key, &Cause::normal(ReleasedBy::Network), now, out);
        }
    }

    /// The connector stays silent about a move: should the device come after all, nobody wants it there.
    pub(super) fn forget_move(&mut self, out: &mut Vec<CallOutput>) {
        for moving in self.devices.iter_mut().filter_map(|device| device.moving.take()) {
            out.push(CallOutput::Link(LinkRequest::ReleaseParty {
                conference: moving.conference,
                party: moving.id,
                cause: Cause::normal(ReleasedBy::Server),
            }));
        }
    }

    /// A conference is gone: what was to come there stays where it is, or is gone with it.
    pub(super) fn no_move_to(&mut self, conference: ConferenceId) {
        for device in &mut self.devices {
            if device.moving.is_some_and(|moving| moving.conference == conference)
                && device.moving.take().is_some_and(|moving| moving.away)
            {
                device.leg = Leg::Gone;
            }
        }
    }
}
