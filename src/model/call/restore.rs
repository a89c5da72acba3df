//! A group comes back from what was kept of it ([`Call::snapshot`]).
//!
//! What stood between two states when it was lost has one now. Who rang or dialled may have been answered meanwhile: the connector's word
//! decides, for every conference is asked what it is now ([`super::audit`]); who is not there has its one terminal event, a consultation
//! that was not answered is over and the main call stays on hold. An operation in progress is dropped without a word, with whom it was
//! bringing into a call, since whoever answers for the process that is gone has told its client an error. Only one that waits for a party
//! on its way between two conferences goes on.

use std::sync::Arc;
use std::time::Instant;

use super::conn::{Conn, Stage};
use super::device::{Device, DeviceKey, Leg};
use super::operation::{Asker, Op, Pending, Step};
use super::party::Party;
use super::room::{InForce, Room};
use super::snapshot::{
    CallSnapshot, CallingSnapshot, ConnSnapshot, DeviceSnapshot, MoverOp, MoverSnapshot, PartySnapshot, RoomSnapshot,
};
use super::{Call, CallIds, CallOutput, CallSettings, Phase};
use crate::anchor::instant;
use crate::link::{Cause, PartyTarget, ReleasedBy};
use crate::numbering::{Calling, CallingMethod, Numbering};
use crate::{Anchor, ConnId, KvList};

/// With which status a caller is let go of whose call was not answered.
const TEMPORARILY_UNAVAILABLE: u16 = 480;

impl Call {
    /// The group that this is a snapshot of. What is to be done for that is appended to `out`.
    pub fn restore(
        snapshot: CallSnapshot,
        numbering: Arc<Numbering>,
        settings: CallSettings,
        anchor: Anchor,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Self {
        let mut call = Self::new(snapshot.ids, numbering, settings);
        let keys = snapshot.devices.iter().map(|device| device.key.0.wrapping_add(1));
        call.next_device = keys.max().unwrap_or_default().max(snapshot.next_device);
        call.next_operation = snapshot.next_operation;
        call.phase = Phase::Live;
        call.conns = snapshot.conns.into_iter().map(|conn| conn.restore(anchor)).collect();
        call.devices = snapshot.devices.into_iter().map(DeviceSnapshot::restore).collect();
        call.rooms = snapshot.rooms.into_iter().map(RoomSnapshot::restore).collect();
        call.pending = snapshot.mover.and_then(|mover| mover.restore(&call, now));
        call.bound_moves(now);
        call.bound_calling(now);
        call.settle(now, out);
        call.begin_audit(now);
        call.advance(now, out);
        call.ask_audit(out);
        call.finish_if_over(out);
        call
    }

    /// Ends what no connector will say anything about, and what belonged to an operation.
    fn settle(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        let has_room = |key| {
            let device = self.device(key);
            device.is_some_and(|device| self.rooms.iter().any(|room| room.id == device.conference))
        };
        let calling = self
            .conns
            .iter()
            .filter(|conn| conn.stage != Stage::Talking && !has_room(conn.origin));
        for id in calling.map(|conn| conn.id).collect::<Vec<_>>() {
            if let Some(origin) = self.conn(id).map(|conn| conn.origin) {
                self.end_by_fault(id, now, out);
                self.release_with(origin, Some(TEMPORARILY_UNAVAILABLE));
            }
        }
        let goes_on = self.pending.as_ref().and_then(|pending| pending.op.target());
        let rings = |party: &&Party| Some(party.device) != goes_on && party.joining.is_some();
        let conns = self.conns.iter();
        let ringing = conns.flat_map(|conn| conn.parties.iter().filter(rings).map(|party| (conn.id, party.device)));
        for (id, key) in ringing.collect::<Vec<_>>() {
            self.end_ringing(id, key, now, out);
        }
        if self.pending.is_none() {
            // Two legs of a DN were one already, and what was to follow is dropped.
            self.hold_as_devices_do(out);
        }
    }

    /// Who is called has its time to answer, once more. Who calls is bounded by whom it calls.
    fn bound_calling(&mut self, now: Instant) {
        let deadline = self.answer_deadline(now);
        let calls = |key: DeviceKey| {
            let mut conns = self.conns.iter();
            conns.any(|conn| conn.stage == Stage::CallingDestination && conn.origin == key)
        };
        let called = self
            .devices
            .iter()
            .filter(|device| device.leg == Leg::Made && !calls(device.key));
        for key in called.map(|device| device.key).collect::<Vec<_>>() {
            if let Some(device) = self.device_mut(key) {
                device.deadline = deadline;
            }
        }
    }

    fn end_ringing(&mut self, id: ConnId, key: DeviceKey, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(party) = self.party(id, key) else { return };
        if party.joining.is_some() {
            self.drop_joining(id, key, None, out);
        } else {
            self.left(id, key, &Cause::normal(ReleasedBy::Network), now, out);
        }
        self.release_with(key, Some(TEMPORARILY_UNAVAILABLE));
    }
}

impl ConnSnapshot {
    fn restore(self, anchor: Anchor) -> Conn {
        let ids = CallIds {
            conn_id: self.id,
            call_uuid: self.uuid,
            call_id: self.call_id,
            conversation_id: self.conversation,
            conference: crate::ConferenceId(0),
        };
        let started = instant(anchor, self.started);
        Conn {
            ani: self.ani,
            dnis: self.dnis,
            caller_name: self.caller_name,
            headers: self.headers,
            user_data: self.user_data,
            stage: self.stage,
            parties: self.parties.into_iter().map(PartySnapshot::restore).collect(),
            consultation: self.consultation,
            answered: self.answered.map(|answered| instant(anchor, answered)),
            direct: self.direct,
            tells_flow: self.tells_flow,
            passed_on: self.passed_on,
            forwarded: self.forwarded,
            ..Conn::new(&ids, self.call_type, self.origin, self.destination, started)
        }
    }
}

impl PartySnapshot {
    fn restore(self) -> Party {
        Party {
            state: self.state,
            held_by_device: self.held_by_device,
            music: self.music,
            muted: self.muted,
            joining: self.joining,
            arrival: self.arrival,
            silent: self.silent,
            ..Party::new(self.device, self.role)
        }
    }
}

impl DeviceSnapshot {
    fn restore(self) -> Device {
        let target = self.target.unwrap_or_else(|| PartyTarget::Dn(self.dn.clone()));
        Device {
            leg: self.leg,
            holds: self.holds,
            flow: self.flow,
            moving: self.moving,
            mask: self.mask,
            calling: self.calling.restore(),
            rings: self.rings,
            headers: self.headers,
            presentation: self.presentation,
            preferred: self.preferred,
            ..Device::new(self.key, self.conference, self.id, self.dn, target)
        }
    }
}

impl CallingSnapshot {
    fn restore(self) -> Calling {
        Calling {
            method: if self.back_to_back {
                CallingMethod::BackToBack
            } else {
                CallingMethod::DialOut
            },
            identity: self.identity,
        }
    }
}

impl RoomSnapshot {
    fn restore(self) -> Room {
        Room {
            made: true,
            next_party: self.next_party,
            in_force: InForce::Unknown,
            ..Room::new(self.id)
        }
    }
}

impl MoverSnapshot {
    /// `None` where no party is on its way.
    fn restore(self, call: &Call, now: Instant) -> Option<Pending> {
        let moving = call.device(self.device)?.moving?;
        Some(Pending {
            op: match self.op {
                MoverOp::Merge(merge) => Op::Merge(merge),
                MoverOp::Pickup(pickup) => Op::Pickup(pickup),
            },
            conn: self.conn,
            by: self.by,
            asker: self
                .phone
                .map_or(Asker::Nobody, |(conference, transfer)| Asker::Phone(conference, transfer)),
            reasons: KvList::new(),
            step: Step::Move(moving.conference, moving.operation, self.device),
            deadline: call.link_deadline(now),
        })
    }
}
