//! What the connector tells about a call: progress, answers, ends. Late, repeated and foreign notifications change nothing.

use std::time::Instant;

use super::cause::{status_for_caller, verdict};
use super::conn::Stage;
use super::device::{DeviceKey, Leg};
use super::ending::{Ending, Leaving};
use super::events::Told;
use super::operation::{Asker, Op, Step};
use super::{Call, CallOutput, Outcome, Phase};
use crate::link::{Cause, LinkNotification, ReleasedBy};
use crate::{CallState, ConferenceId, ConnId, EventName, PartyId, PartyState};

impl Call {
    pub(super) fn link(&mut self, notification: LinkNotification, now: Instant, out: &mut Vec<CallOutput>) {
        if let LinkNotification::CallOffered(offered) = notification {
            return self.replaced_by(offered, now, out);
        }
        if self.phase != Phase::Live {
            return;
        }
        let Some(conference) = notification.conference() else { return };
        let at = |party| self.called_device(conference, party);
        match notification {
            LinkNotification::PartyCreated { party, .. } => {
                if let Some(key) = at(party) {
                    self.reached(key, out);
                }
            }
            LinkNotification::PartyAlerting { party, .. } => {
                if let Some(key) = at(party) {
                    self.alerting(key, out);
                }
            }
            LinkNotification::PartyConnected { party, .. } => {
                if let Some(key) = at(party) {
                    self.connected(key, now, out);
                }
            }
            LinkNotification::PartyReleased { party, cause, .. } => {
                if let Some(key) = at(party) {
                    self.released(key, &cause, now, out);
                }
            }
            LinkNotification::PartyHeld { party, held, .. } => {
                if let Some(key) = at(party) {
                    self.held_by_device(key, held, out);
                }
            }
            LinkNotification::PartyRedirected { party, to, .. } => {
                if let Some(key) = at(party) {
                    self.redirected(key, &to, now, out);
                }
            }
            LinkNotification::TransferRequested { party, transfer, to, .. } => {
                self.transfer_requested((conference, party), transfer, to, now, out)
            }
            LinkNotification::OperationDone { operation, .. } => self.operation_done(conference, operation, now, out),
            LinkNotification::OperationFailed { operation, cause, .. } => {
                self.operation_failed(conference, operation, &cause, now, out);
            }
            LinkNotification::ConferenceEnded { .. } => self.conference_ended(conference, now, out),
            LinkNotification::ConferenceState { parties, .. } => self.conference_state(conference, &parties, now, out),
            LinkNotification::PartyMoved { party, .. } => self.moved_away(conference, party, now, out),
            LinkNotification::PartySpeaks { party, .. } => {
                if let Some(room) = self.rooms.iter_mut().find(|room| room.id == conference) {
                    room.speaker = Some(party);
                }
            }
            LinkNotification::MediaFlow { party, state, .. } => {
                if let Some(key) = at(party) {
                    self.flows(key, state, out);
                }
            }
            // Keys and prompts are for treatments.
            LinkNotification::PartyDigit { .. }
            | LinkNotification::PromptEnded { .. }
            | LinkNotification::CallOffered(_)
            | LinkNotification::DnContacts { .. }
            | LinkNotification::Connector(_) => {}
        }
    }

    /// The connector is gone, and with it every conference: nothing more will come.
    pub(super) fn link_lost(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        if self.phase != Phase::Live {
            return;
        }
        for room in &mut self.rooms {
            room.ended = true;
        }
        self.absorbing = false;
        for device in &mut self.devices {
            device.leg = Leg::Gone;
        }
        for id in self.conn_ids().collect::<Vec<_>>() {
            self.end_by_fault(id, now, out);
        }
    }

    pub(super) fn conference_ended(&mut self, conference: ConferenceId, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(room) = self.rooms.iter_mut().find(|room| room.id == conference && room.made) else {
            return;
        };
        room.ended = true;
        room.asked = None;
        let lost = self.no_move_to(conference);
        let here: Vec<DeviceKey> = self
            .devices
            .iter_mut()
            .filter(|device| device.conference == conference && device.moving.is_none())
            .map(|device| {
                device.leg = Leg::Gone;
                device.key
            })
            .collect();
        for id in self.conn_ids().collect::<Vec<_>>() {
            let hit = |key: &DeviceKey| here.contains(key);
            if self.conn(id).is_some_and(|conn| conn.devices().iter().any(hit)) {
                self.end_by_fault(id, now, out);
            }
        }
        for key in lost {
            self.released(key, &Cause::normal(ReleasedBy::Network), now, out);
        }
    }

    pub(super) fn end_by_fault(&mut self, id: ConnId, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(origin) = self.conn(id).map(|conn| conn.origin) else {
            return;
        };
        let ending = Ending {
            by: None,
            state: CallState::SystemError,
            other_state: CallState::SystemError,
            ..Ending::normal(origin, Outcome::Failed)
        };
        self.end(id, ending, now, out);
    }

    pub(super) fn called_device(&self, conference: ConferenceId, party: PartyId) -> Option<DeviceKey> {
        let mut devices = self.devices.iter();
        let live = |leg: Leg| !matches!(leg, Leg::NotMade | Leg::Gone);
        devices
            .find(|device| device.is_called(conference, party) && live(device.leg))
            .map(|device| device.key)
    }

    pub(super) fn alerting(&mut self, key: DeviceKey, out: &mut Vec<CallOutput>) {
        let Some(device) = self.device_mut(key) else { return };
        let first = !std::mem::replace(&mut device.rings, true);
        self.reached(key, out);
        let asker = self
            .pending
            .as_ref()
            .filter(|pending| pending.op.target() == Some(key))
            .map(|pending| pending.asker);
        if let Some(asker) = asker.filter(|_| first) {
            self.progress(asker, 180, out);
        }
    }

    /// The invitation to a called device is out. A DN of ours rings from now on for clients, whether or not its device has said so
    /// (emulated ringing, seed 002 lines 2315-2328); of an external one the caller is told that the call has reached the network.
    pub(super) fn reached(&mut self, key: DeviceKey, out: &mut Vec<CallOutput>) {
        let Some(device) = self.device(key).filter(|device| device.is_up()) else {
            return;
        };
        let outside = device.is_external();
        for id in self.conns_of(key) {
            let Some(conn) = self.conn(id) else { continue };
            let calls_origin = conn.stage == Stage::CallingOrigin;
            let Some(party) = conn.party(key).filter(|party| party.state == PartyState::Null) else {
                continue;
            };
            if calls_origin {
                continue;
            }
            let state = party.arrival.state;
            if (outside || party.silent) && conn.stage == Stage::CallingDestination {
                let origin = conn.origin;
                let told = Told::new(EventName::EventNetworkReached, PartyState::Dialing, CallState::Ok);
                self.tell(id, origin, told, out);
            }
            self.ring(id, key, state, out);
        }
    }

    /// A party rings.
    pub(super) fn ring(&mut self, id: ConnId, key: DeviceKey, state: CallState, out: &mut Vec<CallOutput>) {
        let Some(conn) = self.conn(id) else { return };
        let told = Told {
            third: conn.party(key).and_then(|party| party.arrival.third.clone()),
            previous: conn.consultation.as_ref().map(|consultation| consultation.main),
            requestor: self.joiner(id, key).and_then(Asker::requestor),
            ..Told::new(EventName::EventRinging, PartyState::Alerting, state)
        };
        self.tell(id, key, told, out);
    }

    /// Who asked for this party in a single-step conference: it has a star on EventRinging (T-Library reference ch. 9.10).
    fn joiner(&self, conn: ConnId, key: DeviceKey) -> Option<Asker> {
        let pending = self.pending.as_ref().filter(|pending| pending.conn == conn)?;
        match &pending.op {
            Op::SingleStep(step) if step.target == key && !step.transfer => Some(pending.asker),
            _ => None,
        }
    }

    pub(super) fn connected(&mut self, key: DeviceKey, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(device) = self.device_mut(key).filter(|device| device.is_up()) else {
            return;
        };
        let first = device.leg == Leg::Made;
        device.leg = Leg::Connected;
        device.deadline = None;
        if !first {
            return;
        }
        if self.pickup_connected(key, now, out) {
            return;
        }
        self.reached(key, out);
        self.reveal(key, out);
        for id in self.conns_of(key) {
            let Some(conn) = self.conn_mut(id) else { continue };
            match conn.stage {
                Stage::CallingOrigin if conn.origin == key => {
                    conn.stage = Stage::CallingDestination;
                    let destination = conn.destination;
                    self.make_party(id, destination, key, false, now, out);
                }
                Stage::CallingDestination if conn.destination == key => self.answered(id, now, out),
                Stage::Talking => self.joined(id, key, now, out),
                _ => {}
            }
        }
    }

    /// The destination has answered.
    pub(super) fn answered(&mut self, id: ConnId, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(conn) = self.conn_mut(id) else { return };
        conn.stage = Stage::Talking;
        conn.answered = Some(now);
        let (origin, destination) = (conn.origin, conn.destination);
        for key in [destination, origin] {
            if let Some(device) = self.device_mut(key).filter(|device| device.leg == Leg::Made) {
                device.leg = Leg::Connected;
            }
            self.establish(id, key, CallState::Ok, out);
        }
    }

    pub(super) fn establish(&mut self, id: ConnId, key: DeviceKey, call_state: CallState, out: &mut Vec<CallOutput>) {
        let answering = self.party_mut(id, key).and_then(|party| party.answering.take());
        let (requestor, reasons) = answering.map(|answering| (answering.requestor, answering.reasons)).unzip();
        let told = Told {
            requestor,
            reasons: reasons.unwrap_or_default(),
            ..Told::new(EventName::EventEstablished, PartyState::Connected, call_state)
        };
        self.tell(id, key, told, out);
        // The phone put it on hold while the other side rang.
        self.hold_as_device_does(id, key, out);
    }

    /// A party that was called into a call in talk has answered.
    fn joined(&mut self, id: ConnId, key: DeviceKey, now: Instant, out: &mut Vec<CallOutput>) {
        let alerting = self.party(id, key).is_some_and(|party| party.state == PartyState::Alerting);
        if !alerting {
            return;
        }
        let deadline = self.link_deadline(now);
        let mut call_state = CallState::Ok;
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.conn == id)
            && let Op::SingleStep(step) = &mut pending.op
            && step.target == key
        {
            step.connected = true;
            if !step.transfer {
                call_state = CallState::Conferenced;
            }
            pending.step = Step::Audio;
            pending.deadline = deadline;
        }
        self.establish(id, key, call_state, out);
    }

    pub(super) fn released(&mut self, key: DeviceKey, cause: &Cause, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(device) = self.device_mut(key) else { return };
        let was_called = device.leg == Leg::Made;
        device.leg = Leg::Gone;
        device.deadline = None;
        if was_called {
            self.not_answered(key, cause, out);
        }
        for id in self.conns_of(key) {
            if self.merge_left((id, key), now, out) {
                continue;
            }
            let Some(conn) = self.conn(id).filter(|conn| conn.party(key).is_some()) else {
                continue;
            };
            match conn.stage {
                Stage::CallingOrigin if conn.origin == key => self.origin_failed(id, key, cause, now, out),
                Stage::CallingDestination if conn.origin == key => self.caller_left(id, key, cause, now, out),
                Stage::CallingDestination if conn.destination == key => self.destination_failed(id, key, cause, now, out),
                Stage::Talking => self.left(id, key, cause, now, out),
                Stage::CallingOrigin | Stage::CallingDestination => {}
            }
        }
    }

    /// 3pcc: the caller's own device did not answer. The destination knows nothing of it.
    fn origin_failed(&mut self, id: ConnId, key: DeviceKey, cause: &Cause, now: Instant, out: &mut Vec<CallOutput>) {
        let verdict = verdict(cause, self.rings(key));
        let ending = Ending {
            state: verdict.state,
            cause: Some(cause),
            ..Ending::normal(key, verdict.outcome)
        };
        self.end(id, ending, now, out);
    }

    /// The caller hung up, or was lost, before the destination answered.
    fn caller_left(&mut self, id: ConnId, key: DeviceKey, cause: &Cause, now: Instant, out: &mut Vec<CallOutput>) {
        let ending = Ending {
            state: state_of_hang_up(cause),
            abandoned: true,
            cause: Some(cause),
            ..Ending::normal(key, Outcome::Cancelled)
        };
        self.end(id, ending, now, out);
    }

    /// The destination did not answer. Where it turned the call down itself, the caller is told so first (T-Library reference ch. 9.1).
    pub(super) fn destination_failed(
        &mut self,
        id: ConnId,
        key: DeviceKey,
        cause: &Cause,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) {
        let verdict = verdict(cause, self.rings(key));
        if let Some(origin) = self.conn(id).map(|conn| conn.origin).filter(|_| verdict.turned_down) {
            let told = Told {
                cause: Some(cause),
                ..Told::new(EventName::EventDestinationBusy, PartyState::Busy, verdict.state)
            };
            self.tell(id, origin, told, out);
        }
        let ending = Ending {
            state: verdict.state,
            other_state: verdict.state,
            cause: Some(cause),
            status: Some(status_for_caller(cause.sip_status)),
            ..Ending::normal(key, verdict.outcome)
        };
        self.end(id, ending, now, out);
    }

    /// A device is gone from a call in talk.
    pub(super) fn left(&mut self, id: ConnId, key: DeviceKey, cause: &Cause, now: Instant, out: &mut Vec<CallOutput>) {
        if self.single_step_left(id, key, cause, out) {
            return;
        }
        let alerting = self.party(id, key).is_some_and(|party| !party.talks());
        let leaving = if alerting {
            let verdict = verdict(cause, self.rings(key));
            Leaving {
                state: verdict.state,
                other_state: verdict.state,
                cause: Some(cause),
                ..Leaving::normal()
            }
        } else {
            Leaving {
                state: state_of_hang_up(cause),
                cause: Some(cause),
                ..Leaving::normal()
            }
        };
        self.leave(id, key, leaving, now, out);
    }

    pub(super) fn rings(&self, key: DeviceKey) -> bool {
        self.device(key).is_some_and(|device| device.rings)
    }
}

/// A device that left did so at its own wish, or was lost: then its clients are told.
pub(super) fn state_of_hang_up(cause: &Cause) -> CallState {
    match cause.by {
        ReleasedBy::Device => CallState::Ok,
        ReleasedBy::Server | ReleasedBy::Network => CallState::Dropped,
    }
}
