//! Both sides of the link agree again on who is in a conference: after a restart of either side, and after a link break.
//!
//! The connector's word holds. Who is not in its conference is gone, as if the network had released it; who answered meanwhile has
//! answered; who is there and is nobody's is released. What was asked of it and not answered is asked again under its id, and the whole
//! plan of who hears whom is set anew. A conference that does not say what it is in time is gone.

use std::time::Instant;

use super::device::{Device, DeviceKey, Leg};
use super::operation::{Op, Step};
use super::room::{InForce, Room};
use super::{Call, CallOutput, Phase};
use crate::link::{Cause, LinkRequest, PartyProgress, PartyStatus, ReleasedBy};
use crate::{ConferenceId, PartyId};

impl Call {
    /// The link to the connector is up again.
    pub(super) fn link_restored(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        if self.phase == Phase::Live {
            self.begin_audit(now);
            self.ask_audit(out);
        }
    }

    /// From now on each conference owes an account of itself.
    pub(super) fn begin_audit(&mut self, now: Instant) {
        let deadline = self.audit_deadline(now);
        for room in self.rooms.iter_mut().filter(|room| room.made && !room.ended) {
            room.audit = Some(deadline);
        }
        for device in &mut self.devices {
            device.is_newer = false;
        }
    }

    /// Asks each of them for it.
    pub(super) fn ask_audit(&self, out: &mut Vec<CallOutput>) {
        let audited = self.rooms.iter().filter(|room| room.audit.is_some() && !room.ended);
        out.extend(audited.map(|room| CallOutput::Link(LinkRequest::Audit { conference: room.id })));
    }

    /// Conferences that stay silent about themselves are given up.
    pub(super) fn audit_timed_out(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        let late = |room: &&Room| !room.ended && room.audit.is_some_and(|deadline| now >= deadline);
        for conference in self.rooms.iter().filter(late).map(|room| room.id).collect::<Vec<_>>() {
            out.push(CallOutput::Link(LinkRequest::ReleaseConference {
                conference,
                cause: Cause::normal(ReleasedBy::Server),
            }));
            self.conference_ended(conference, now, out);
        }
    }

    /// What the conference is now.
    pub(super) fn conference_state(
        &mut self,
        conference: ConferenceId,
        parties: &[PartyStatus],
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) {
        let Some(room) = self
            .rooms
            .iter_mut()
            .find(|room| room.id == conference && room.made && !room.ended)
        else {
            return;
        };
        room.audit = None;
        room.refused = None;
        if room.asked.is_none() {
            room.in_force = InForce::Unknown;
        }
        let is_there = |device: &Device| device.is_newer || parties.iter().any(|status| status.party == device.id);
        let here = self.devices.iter_mut().filter(|device| device.conference == conference);
        let mut missing: Vec<DeviceKey> = Vec::new();
        for device in here {
            if !is_there(device) {
                missing.push(device.key);
            }
            device.is_newer = false;
        }
        for key in missing {
            self.is_missing(key, now, out);
        }
        for status in parties {
            self.is_there(conference, *status, now, out);
        }
        self.ask_again(conference, parties, out);
    }

    /// A device is not where it was.
    fn is_missing(&mut self, key: DeviceKey, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(device) = self.device_mut(key) else { return };
        if let Some(moving) = &mut device.moving {
            moving.away = true;
            return;
        }
        match device.leg {
            Leg::NotMade | Leg::Gone => return,
            Leg::Releasing => {
                device.leg = Leg::Gone;
                return;
            }
            // The request to call it may be on its way yet.
            Leg::Made => out.push(release(device.conference, device.id, device.release.clone())),
            Leg::Connected => {}
        }
        self.released(key, &Cause::normal(ReleasedBy::Network), now, out);
    }

    /// A party that the connector has.
    fn is_there(&mut self, conference: ConferenceId, status: PartyStatus, now: Instant, out: &mut Vec<CallOutput>) {
        let known = self
            .called_device(conference, status.party)
            .and_then(|key| self.device(key))
            .map(|device| (device.key, device.moving, device.is_up(), device.release.clone()));
        let Some((key, moving, true, _)) = known else {
            let cause = known.map_or(Cause::normal(ReleasedBy::Server), |(.., cause)| cause);
            return out.push(release(conference, status.party, cause));
        };
        if let Some(moving) = moving.filter(|moving| (moving.conference, moving.id) == (conference, status.party)) {
            self.moved(conference, moving.operation, now, out);
        }
        match status.progress {
            PartyProgress::Created => self.reached(key, out),
            PartyProgress::Alerting => self.alerting(key, out),
            PartyProgress::Connected => self.connected(key, now, out),
        }
        self.held_by_device(key, status.held, out);
        self.flows(key, status.flow, out);
    }

    /// Asks again for what was asked of the conference and is not answered.
    fn ask_again(&mut self, conference: ConferenceId, parties: &[PartyStatus], out: &mut Vec<CallOutput>) {
        let asked = self.rooms.iter().find(|room| room.id == conference).and_then(Room::asked_for);
        out.extend(asked.map(|(operation, plan)| {
            CallOutput::Link(LinkRequest::SetAudio {
                conference,
                operation,
                plan,
            })
        }));
        for device in &mut self.devices {
            let (from, from_party) = (device.conference, device.id);
            let Some(moving) = device.moving.as_mut().filter(|moving| moving.conference == conference) else {
                continue;
            };
            moving.again = true;
            out.push(CallOutput::Link(LinkRequest::MoveParty {
                conference,
                operation: moving.operation,
                party: moving.id,
                from,
                from_party,
            }));
        }
        self.ask_to_answer_again(conference, parties, out);
        let Some(pending) = &self.pending else { return };
        match (&pending.step, &pending.op) {
            (Step::Digits(digits), _) if digits.conference == conference => {
                out.push(CallOutput::Link(digits.request()));
            }
            (Step::Answer, Op::Pickup(pickup)) => {
                let device = self.device(pickup.target).filter(|device| device.conference == conference);
                let waits = |device: &&Device| device.leg == Leg::Made && parties.iter().any(|status| status.party == device.id);
                out.extend(device.filter(waits).map(|device| {
                    CallOutput::Link(LinkRequest::ConnectParty {
                        conference,
                        party: device.id,
                    })
                }));
            }
            _ => {}
        }
    }
}

fn release(conference: ConferenceId, party: PartyId, cause: Cause) -> CallOutput {
    CallOutput::Link(LinkRequest::ReleaseParty {
        conference,
        party,
        cause,
    })
}
