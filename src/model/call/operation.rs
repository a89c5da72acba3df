//! The one operation in progress on a group: what it is, what it waits for, how it ends.
//!
//! An operation changes nothing for clients until the connector has done its part; then it is checked once more and reported. Where
//! the connector cannot, or stays silent, or the ground is gone meanwhile, the requestor is told an error and all is as it was.

use std::time::{Duration, Instant};

use super::cause::verdict;
use super::consult::Consult;
use super::device::{DeviceKey, Leg};
use super::dtmf::Digits;
use super::events::Told;
use super::hold::HoldMusic;
use super::link::state_of_hang_up;
use super::pickup::Pickup;
use super::refer::Referral;
use super::single_step::SingleStep;
use super::transfer::Merge;
use super::{Call, CallOutput};
use crate::link::{Cause, LinkRequest, OperationId, ReleasedBy, TransferId};
use crate::{ConferenceId, ConnId, EventName, KvList, PartyId, PartyState, Request, Requestor, TError, TErrorCode};

/// The longest that is waited for a connector, whatever is configured: a day.
const LONGEST_WAIT_MS: u64 = 86_400_000;

/// An operation in progress.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Pending {
    pub(super) op: Op,
    /// The call it is about; of two, the main call.
    pub(super) conn: ConnId,
    /// The device on whose behalf, in that call.
    pub(super) by: DeviceKey,
    pub(super) asker: Asker,
    pub(super) reasons: KvList,
    pub(super) step: Step,
    pub(super) deadline: Instant,
}

/// Who is to be told how it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    /// A client.
    Client(Requestor),
    /// A phone that sent REFER.
    Phone(ConferenceId, TransferId),
    /// Nobody.
    Nobody,
}

impl Asker {
    pub(super) fn requestor(self) -> Option<Requestor> {
        match self {
            Self::Client(requestor) => Some(requestor),
            Self::Phone(..) | Self::Nobody => None,
        }
    }
}

/// What an operation waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Everybody hears what is intended.
    Audio,
    /// A device answers.
    Answer,
    /// A party is moved.
    Move(ConferenceId, OperationId, DeviceKey),
    /// A party hears digits.
    Digits(Digits),
    /// Another group surrenders.
    Absorb,
}

/// What is done.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Op {
    /// With what the others hear meanwhile.
    Hold(HoldMusic),
    Retrieve,
    Mute(bool),
    /// The other call goes on hold, the one of [`Pending::conn`] is retrieved.
    Alternate {
        other: ConnId,
        other_by: DeviceKey,
    },
    /// The other call is released, the one of [`Pending::conn`] is retrieved.
    Reconnect {
        other: ConnId,
        other_by: DeviceKey,
    },
    Consult(Box<Consult>),
    Merge(Merge),
    SingleStep(SingleStep),
    Pickup(Pickup),
    Digits,
    Absorb(Box<Absorbing>),
}

impl Op {
    /// The device that is needed for it though it may be in no call yet.
    pub(super) fn target(&self) -> Option<DeviceKey> {
        match self {
            Self::Consult(consult) => Some(consult.target),
            Self::SingleStep(step) => Some(step.target),
            Self::Pickup(pickup) => Some(pickup.target),
            Self::Merge(merge) => merge.left_behind,
            _ => None,
        }
    }
}

/// What is to be tried again when the other group is here.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Absorbing {
    Request(Request),
    Referral(Referral),
}

impl Call {
    /// 291 while something is in progress (T-Library reference ch. 7).
    pub(super) fn check_idle(&self) -> Result<(), TError> {
        match self.pending {
            None => Ok(()),
            Some(_) => Err(TErrorCode::OtherOperationPending.into()),
        }
    }

    pub(super) fn begin(&mut self, op: Op, (conn, by): (ConnId, DeviceKey), asker: Asker, step: Step, now: Instant) {
        for room in &mut self.rooms {
            room.refused = None;
        }
        self.pending = Some(Pending {
            op,
            conn,
            by,
            asker,
            reasons: KvList::new(),
            step,
            deadline: self.link_deadline(now),
        });
    }

    /// The connector owes an answer until then.
    pub(super) fn link_deadline(&self, now: Instant) -> Instant {
        now + Duration::from_millis(self.settings.link_timeout_ms.min(LONGEST_WAIT_MS))
    }

    /// The connector owes an account of a conference until then.
    pub(super) fn audit_deadline(&self, now: Instant) -> Instant {
        now + Duration::from_millis(self.settings.audit_timeout_ms.min(LONGEST_WAIT_MS))
    }

    /// Carries the operation on as far as it goes without anybody else.
    pub(super) fn advance(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        self.check_ground(now, out);
        self.send_back(now, out);
        self.let_go(now, out);
        loop {
            self.set_audio(out);
            let waits = self.pending.as_ref().is_some_and(|pending| pending.step == Step::Audio);
            if !waits || !self.audio_is_set() {
                return;
            }
            let Some(pending) = self.pending.take() else { return };
            self.done(pending, now, out);
            self.send_back(now, out);
            self.let_go(now, out);
        }
    }

    /// Everybody hears what was intended: report it.
    fn done(&mut self, pending: Pending, now: Instant, out: &mut Vec<CallOutput>) {
        match pending.op {
            Op::Hold(ref music) => {
                let music = music.clone();
                self.held(pending, music, out);
            }
            Op::Retrieve => self.retrieved(pending, out),
            Op::Mute(on) => self.mute_set(pending, on, out),
            Op::Alternate { other, other_by } => self.alternated(pending, other, other_by, out),
            Op::Reconnect { other, other_by } => self.reconnected(pending, other, other_by, now, out),
            Op::Consult(ref consult) => {
                let consult = consult.clone();
                self.consulting(pending, *consult, now, out);
            }
            Op::Merge(merge) => self.merged(pending, merge, now, out),
            Op::SingleStep(ref step) => {
                let step = step.clone();
                self.single_step_audio(pending, step, now, out);
            }
            Op::Pickup(pickup) => self.picked_up(pending, pickup, now, out),
            Op::Digits | Op::Absorb(_) => {}
        }
    }

    /// Ends the operation with an error; what it had begun is undone.
    pub(super) fn fail(&mut self, error: TError, cause: Option<&Cause>, out: &mut Vec<CallOutput>) {
        if let Some(Pending {
            op: Op::SingleStep(step),
            conn,
            ..
        }) = &self.pending
        {
            // It leaves with the data that it was shown.
            self.drop_joining(*conn, step.target, cause, out);
        }
        let Some(pending) = self.pending.take() else { return };
        let dn = self.device(pending.by).map(|device| device.dn.clone());
        match &pending.op {
            Op::Consult(consult) => self
                .devices
                .retain(|device| device.key != consult.target || device.leg != Leg::NotMade),
            Op::Pickup(pickup) => {
                self.drop_joining(pending.conn, pickup.target, cause, out);
                if error.code != TErrorCode::CallRejected {
                    self.refuse_device(pickup.target, 487);
                }
            }
            Op::Merge(merge) => {
                self.leave_astray(&pending, merge);
                self.hold_as_devices_do(out);
            }
            _ => {}
        }
        match pending.asker {
            Asker::Client(requestor) => {
                let event = self.error_event(Some(pending.conn), dn.as_ref(), error);
                out.push(CallOutput::Answer { requestor, event });
            }
            Asker::Phone(..) => {
                let status = cause
                    .and_then(|cause| cause.sip_status)
                    .filter(|status| (400..700).contains(status));
                let status = status.unwrap_or_else(|| super::cause::status_of_error(error.code));
                self.progress(pending.asker, status, out);
            }
            Asker::Nobody => {}
        }
    }

    /// Tells a phone how its transfer goes.
    pub(super) fn progress(&self, asker: Asker, status: u16, out: &mut Vec<CallOutput>) {
        let Asker::Phone(conference, transfer) = asker else { return };
        let live = self.rooms.iter().any(|room| room.id == conference && !room.ended);
        if live {
            out.push(CallOutput::Link(LinkRequest::TransferProgress {
                conference,
                transfer,
                status,
            }));
        }
    }

    /// Whoever joined and does not any more: its terminal event, its leg.
    pub(super) fn drop_joining(&mut self, conn: ConnId, target: DeviceKey, cause: Option<&Cause>, out: &mut Vec<CallOutput>) {
        let Some(party) = self.party(conn, target) else { return };
        let (state, talks, rang) = (party.state, party.talks(), self.rings(target));
        if state != PartyState::Null {
            let told = match cause {
                Some(cause) => {
                    // Who has answered hangs up like anybody else.
                    let state = if talks {
                        state_of_hang_up(cause)
                    } else {
                        verdict(cause, rang).state
                    };
                    Told {
                        cause: Some(cause),
                        ..Told::new(EventName::EventReleased, PartyState::Null, state)
                    }
                }
                None if state == PartyState::Alerting => {
                    Told::new(EventName::EventAbandoned, PartyState::Null, crate::CallState::Ok)
                }
                None => Told::new(EventName::EventReleased, PartyState::Null, crate::CallState::Ok),
            };
            self.tell(conn, target, told, out);
        }
        if let Some(conn) = self.conn_mut(conn) {
            conn.remove(target);
        }
    }

    /// Ends the operation where what it is about is gone.
    pub(super) fn check_ground(&mut self, _now: Instant, out: &mut Vec<CallOutput>) {
        let Some(pending) = &self.pending else { return };
        let party = |conn, device| self.party(conn, device).is_some();
        let alone = |conn: ConnId, device| self.conn(conn).is_none_or(|conn| conn.others(device).is_empty());
        let stands = party(pending.conn, pending.by)
            && match &pending.op {
                Op::Hold(_) | Op::Retrieve | Op::Mute(_) | Op::Digits | Op::Consult(_) | Op::Absorb(_) => {
                    !alone(pending.conn, pending.by)
                }
                Op::Alternate { other, other_by } | Op::Reconnect { other, other_by } => party(*other, *other_by),
                Op::Merge(merge) => {
                    party(merge.other, merge.other_by) && !alone(merge.other, merge.other_by) && !alone(pending.conn, pending.by)
                }
                Op::SingleStep(step) => party(pending.conn, step.target) && !alone(pending.conn, pending.by),
                Op::Pickup(pickup) => {
                    let talks = self.party(pending.conn, pending.by).is_some_and(super::party::Party::talks);
                    let up = self.device(pickup.target).is_some_and(super::device::Device::is_up);
                    up && talks != pickup.alerting
                }
            };
        if !stands {
            self.fail(TErrorCode::DisconnectedCall.into(), None, out);
        }
    }

    /// The connector has done what it was asked.
    pub(super) fn operation_done(
        &mut self,
        conference: ConferenceId,
        operation: OperationId,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) {
        if self.audio_answered(conference, operation, true)
            || self.moved(conference, operation, now, out)
            || self.answer_taken(conference, operation)
        {
            return;
        }
        let Some(pending) = &mut self.pending else { return };
        match &mut pending.step {
            Step::Digits(digits) if (digits.conference, digits.operation) == (conference, operation) => {
                let (rest, digits) = (std::mem::take(&mut digits.rest), digits.digits.clone());
                self.next_digits(rest, digits, now, out);
            }
            _ => {}
        }
    }

    pub(super) fn operation_failed(
        &mut self,
        conference: ConferenceId,
        operation: OperationId,
        cause: &Cause,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) {
        if self.answer_refused(conference, operation, cause, out) {
            return;
        }
        let error = super::cause::error_of_operation(cause);
        if self.audio_answered(conference, operation, false) {
            // A plan of before the operation says nothing about it.
            let waits = self.pending.as_ref().is_some_and(|pending| pending.step == Step::Audio);
            if waits && self.is_refused(conference) {
                self.fail(error, None, out);
            }
            return;
        }
        let mine = self.pending.as_ref().and_then(|pending| match &pending.step {
            Step::Move(at, id, _) => ((*at, *id) == (conference, operation)).then(|| super::cause::error_of_move(cause)),
            Step::Digits(digits) => ((digits.conference, digits.operation) == (conference, operation)).then_some(error),
            _ => None,
        });
        if let Some(error) = mine {
            self.fail(error, None, out);
        }
        self.not_moved(conference, operation, now, out);
    }

    /// The connector stayed silent about the operation.
    pub(super) fn operation_timed_out(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        if self.pending.as_ref().is_none_or(|pending| now < pending.deadline) {
            return;
        }
        self.forget_audio();
        self.absorbing = false;
        let forgotten = self.forget_move(out);
        self.fail(TErrorCode::TimeoutPerformingOperation.into(), None, out);
        if let Some((key, _)) = forgotten.filter(|(_, moving)| moving.away) {
            self.released(key, &Cause::normal(ReleasedBy::Network), now, out);
        }
    }

    /// Whether the last refusal of this conference is about what is wanted now.
    fn is_refused(&self, conference: ConferenceId) -> bool {
        self.rooms
            .iter()
            .find(|room| room.id == conference)
            .is_some_and(|room| room.refused.is_some() && room.refused.as_ref() == Some(&self.wanted_now(conference)))
    }

    /// The parties of a call that can hear somebody, beside one.
    pub(super) fn listeners(&self, conn: ConnId, beside: DeviceKey) -> Vec<(ConferenceId, PartyId)> {
        let Some(conn) = self.conn(conn) else { return Vec::new() };
        let hears = |key: &DeviceKey| conn.party(*key).is_some_and(|party| party.state == PartyState::Connected);
        let others = conn.others(beside).into_iter().filter(hears);
        others
            .filter_map(|key| self.device(key))
            .filter(|device| device.leg == Leg::Connected)
            .map(|device| (device.conference, device.id))
            .collect()
    }
}
