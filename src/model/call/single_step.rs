//! SingleStepTransfer and SingleStepConference (T-Library reference ch. 9.9, 9.10), and the blind transfer that a phone asks for.
//!
//! The new party is called into the call while the others go on; it hears nobody and nobody hears it until it has answered. Only then
//! does the controller leave (seed 002 line 3447). Until then the operation is in progress; where the new party does not answer, all is
//! as it was. The user data of the request is shown to the new party from the beginning, and is the call's when it has answered.

use std::time::Instant;

use super::cause::{error_of_call, verdict};
use super::conn::Stage;
use super::device::{DeviceKey, Leg};
use super::events::Told;
use super::make::Called;
use super::operation::{Asker, Op, Pending, Step};
use super::party::{Arrival, Joining, Party};
use super::{Call, CallOutput, Outcome, With, flow, wrong_state};
use crate::link::{Cause, ReleasedBy};
use crate::numbering::Regrouping;
use crate::{CallState, ConnId, DnRole, EventName, KvList, PartyState, TCause, TError, TErrorCode};

/// A party that is called into a call.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct SingleStep {
    pub(super) target: DeviceKey,
    /// It takes the place of the one that asks.
    pub(super) transfer: bool,
    /// It has answered.
    pub(super) connected: bool,
    /// What is set in the call's user data when it is done.
    pub(super) user_data: KvList,
}

impl Call {
    pub(super) fn single_step(
        &mut self,
        at: (ConnId, DeviceKey),
        transfer: bool,
        with: With,
        now: Instant,
    ) -> Result<(), TError> {
        self.check_idle()?;
        let party = self.party(at.0, at.1).ok_or(TErrorCode::PartyNotOnCall)?;
        if party.state != PartyState::Connected {
            return Err(wrong_state(self.dn_of(at.1), Some(party.state)));
        }
        let asking = self.dn_of(at.1).ok_or(TErrorCode::PartyNotOnCall)?;
        let leg = self.leg_options(&asking, &with.other_dn, &with.extensions)?;
        flow::check(&with.extensions)?;
        let called = self.called_for(at.0, at.1, &with.other_dn)?;
        self.user_data_with(at.0, &with.user_data)?;
        self.begin_single_step(at, called, transfer, Asker::Client(with.requestor), now)?;
        if let Some(coming) = self.coming_user_data(at.0) {
            *coming = with.user_data;
        }
        self.tell_flow(at.0, &with.extensions);
        if let Some(pending) = &mut self.pending {
            pending.reasons = with.reasons;
        }
        if let Some(target) = self.pending.as_ref().and_then(|pending| pending.op.target()) {
            self.set_leg_options(target, leg, &with.other_dn);
        }
        Ok(())
    }

    pub(super) fn begin_single_step(
        &mut self,
        (id, by): (ConnId, DeviceKey),
        called: Called,
        transfer: bool,
        asker: Asker,
        now: Instant,
    ) -> Result<(), TError> {
        let conn = self.conn(id).ok_or(TErrorCode::InvalidConnId)?;
        let role = conn.party(by).map_or(DnRole::Unknown, |party| party.role);
        if conn.stage != Stage::Talking {
            return Err(TErrorCode::InvalidCallState.into());
        }
        if transfer {
            self.check_regrouping(Regrouping::SingleStepTransfer, by, conn.others(by), Some(&called.target))?;
        }
        let (room, dn) = match self.device(by) {
            Some(device) => (device.conference, device.dn.clone()),
            None => return Err(TErrorCode::PartyNotOnCall.into()),
        };
        let target = self.new_device(room, called);
        let mut party = Party::new(target, if transfer { role } else { DnRole::ConferenceMember });
        party.joining = Some(Joining { by, replaces: transfer });
        party.arrival = if transfer {
            Arrival {
                state: CallState::Transferred,
                third: Some((dn, DnRole::TransferredBy)),
            }
        } else {
            Arrival {
                state: CallState::Ok,
                third: Some((dn, DnRole::AddedBy)),
            }
        };
        if let Some(conn) = self.conn_mut(id) {
            conn.parties.push(party);
        }
        let step = SingleStep {
            target,
            transfer,
            connected: false,
            user_data: KvList::new(),
        };
        self.begin(Op::SingleStep(step), (id, by), asker, Step::Audio, now);
        Ok(())
    }

    /// Everybody hears what is right: before the call to the new party, and again when it has answered.
    pub(super) fn single_step_audio(&mut self, mut pending: Pending, step: SingleStep, now: Instant, out: &mut Vec<CallOutput>) {
        if step.connected {
            return self.single_step_done(pending, step, out);
        }
        let (id, by, asker) = (pending.conn, pending.by, pending.asker);
        pending.step = Step::Answer;
        pending.deadline = self.answer_deadline(now).unwrap_or(pending.deadline);
        self.pending = Some(pending);
        let Some(conn) = self.conn(id) else { return };
        // Whom it is to talk to calls it: the transferred party, or the one that adds it.
        let shown = match (step.transfer, conn.seen_by(step.target).first()) {
            (true, Some(other)) => *other,
            _ => by,
        };
        self.make_party(id, step.target, shown, false, now, out);
        // Not before: a phone may hang up as soon as its transfer is accepted, and takes nobody along from now on.
        self.progress(asker, 100, out);
    }

    fn single_step_done(&mut self, pending: Pending, step: SingleStep, out: &mut Vec<CallOutput>) {
        let (id, by) = (pending.conn, pending.by);
        if step.transfer {
            self.replaced(pending, step, out);
            return;
        }
        let changed = self.take_user_data(id, &step.user_data);
        let there = self.conn(id).map(|conn| conn.others(by)).unwrap_or_default();
        let Some(conn) = self.conn_mut(id) else { return };
        for party in &mut conn.parties {
            party.role = DnRole::ConferenceMember;
            if party.device == step.target {
                party.joining = None;
            }
        }
        for key in there {
            self.tell_added(id, key, step.target, by, None, out);
        }
        let asked = pending.asker.requestor().map(|requestor| (requestor, pending.reasons));
        self.tell_added(id, by, step.target, by, asked, out);
        if changed {
            self.tell_user_data(id, self.dn_of(by).map(|dn| (dn, DnRole::AddedBy)), None, out);
        }
        self.progress(pending.asker, 200, out);
    }

    /// The new party has the place of the one that asked: that one is released, the others are told.
    fn replaced(&mut self, pending: Pending, step: SingleStep, out: &mut Vec<CallOutput>) {
        let (id, by, target) = (pending.conn, pending.by, step.target);
        let changed = self.take_user_data(id, &step.user_data);
        let told = Told {
            requestor: pending.asker.requestor(),
            reasons: pending.reasons,
            operation: Some(TCause::SingleStepTransfer),
            third: self.dn_of(target).map(|dn| (dn, DnRole::Destination)),
            ..Told::new(EventName::EventReleased, PartyState::Null, CallState::Transferred)
        };
        self.tell_known(id, by, told, out);
        let who = self.dn_of(by);
        let Some(conn) = self.conn_mut(id) else { return };
        conn.remove(by);
        if let Some(party) = conn.party_mut(target) {
            party.joining = None;
        }
        let there = conn.others(target);
        self.tell_transferred(id, &there, who.clone(), out);
        if changed {
            self.tell_user_data(id, who.map(|dn| (dn, DnRole::TransferredBy)), None, out);
        }
        self.progress(pending.asker, 200, out);
    }

    /// Somebody left while a party is being called in. `true`: that was all there is to do.
    pub(super) fn single_step_left(&mut self, id: ConnId, key: DeviceKey, cause: &Cause, out: &mut Vec<CallOutput>) -> bool {
        let Some(pending) = self.pending.as_ref().filter(|pending| pending.conn == id) else {
            return false;
        };
        let Op::SingleStep(step) = &pending.op else { return false };
        if key == step.target {
            let outcome = match (step.connected, cause.by) {
                (false, _) => verdict(cause, self.rings(key)).outcome,
                // It had answered, and was not in the call yet.
                (true, ReleasedBy::Device) => Outcome::Rejected,
                (true, _) => Outcome::Failed,
            };
            let error = error_of_call(outcome);
            self.fail(error, Some(cause), out);
            return true;
        }
        let called = self.device(step.target).is_some_and(|device| device.leg != Leg::NotMade);
        if key != pending.by || !step.transfer || !called {
            return false;
        }
        // The phone that transfers has hung up, as phones do: the new party rings on for the one that is left.
        let step = step.clone();
        let Some(pending) = self.pending.take() else { return false };
        self.replaced(pending, step, out);
        true
    }
}
