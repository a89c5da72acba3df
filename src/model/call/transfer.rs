//! Two calls of one DN: CompleteTransfer, CompleteConference, MergeCalls, AlternateCall, ReconnectCall (T-Library reference ch. 9.6-9.8).
//!
//! The main call survives, the other one ends: its parties come over by EventPartyChanged. Where the two have conferences of their own
//! the parties of the other call are moved first, one after the other, or those of the main call where they are fewer; from then on the
//! DN has both on one leg, as after a consultation. A phone hears only then that its transfer is accepted: many hang up at that, and a
//! conference of two ends with either.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::conn::{Conn, Stage};
use super::device::{DeviceKey, Leg};
use super::ending::Ending;
use super::events::Told;
use super::operation::{Absorbing, Asker, Op, Pending, Step};
use super::release::REQUEST_TERMINATED;
use super::{Call, CallOutput, Outcome, Wanted, not_on_call, wrong_state};
use crate::link::PartyTarget;
use crate::numbering::{PassThrough, Regrouping, Standing};
use crate::request::OnTwoCalls;
use crate::{
    CallState, ConferenceId, ConnId, DnId, DnRole, EventName, KvList, MergeType, PartyState, Request, Requestor, TError,
    TErrorCode,
};

/// Two calls that become one: [`Pending::conn`] survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Merge {
    pub(super) other: ConnId,
    /// The device of the DN in the other call.
    pub(super) other_by: DeviceKey,
    /// The DN leaves; else all talk.
    pub(super) transfer: bool,
    /// Where the two come together, if they have conferences of their own.
    #[serde(default)]
    pub(super) gathering: Option<Gathering>,
    /// The device that the DN had in the call whose parties were moved; it is let go of last.
    pub(super) left_behind: Option<DeviceKey>,
}

/// The parties of one of two calls are moved to where the other one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Gathering {
    pub(super) to: ConferenceId,
    /// Those of the main call are.
    pub(super) of_main: bool,
}

/// A call and a party in it.
type At = (ConnId, DeviceKey);

impl Call {
    pub(super) fn two_calls(
        &mut self,
        at: At,
        requestor: Requestor,
        request: Request,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        self.check_idle()?;
        let Request::OnTwoCalls {
            operation,
            ref this_dn,
            other_conn_id,
            ref reasons,
            ..
        } = request
        else {
            return Err(TErrorCode::UnsupportedOperation.into());
        };
        if other_conn_id == at.0 {
            return Err(TError::new(TErrorCode::InvalidConnId, "the two calls are one"));
        }
        let Some(conn) = self.conn(other_conn_id) else {
            let consultation = self.conn(at.0).and_then(|conn| conn.consultation.as_ref());
            if consultation.is_some_and(|consultation| consultation.main == other_conn_id) {
                return Err(TErrorCode::DisconnectedCall.into());
            }
            self.begin(
                Op::Absorb(Box::new(Absorbing::Request(request))),
                at,
                Asker::Client(requestor),
                Step::Absorb,
                now,
            );
            self.absorbing = true;
            out.push(CallOutput::Absorb(Wanted::Call(other_conn_id)));
            return Ok(());
        };
        let key = self
            .party_of(conn, this_dn)
            .ok_or_else(|| not_on_call(this_dn, other_conn_id))?;
        let (main, other) = self.main_and_other(at, (other_conn_id, key));
        let (reasons, asker) = (reasons.clone(), Asker::Client(requestor));
        match operation {
            OnTwoCalls::CompleteTransfer | OnTwoCalls::MergeCalls(MergeType::ForTransfer) => {
                self.merge(main, other, true, asker, now, out)
            }
            OnTwoCalls::CompleteConference | OnTwoCalls::MergeCalls(MergeType::ForConference) => {
                self.merge(main, other, false, asker, now, out)
            }
            OnTwoCalls::AlternateCall => self.alternate(at, (other_conn_id, key), asker, now),
            OnTwoCalls::ReconnectCall => self.reconnect(at, (other_conn_id, key), asker, now),
        }?;
        if let Some(pending) = &mut self.pending {
            pending.reasons = reasons;
        }
        Ok(())
    }

    /// The main call is the one that the other one consults about; without that relation the one on hold, or the one that was answered;
    /// else the older one.
    pub(super) fn main_and_other(&self, one: At, two: At) -> (At, At) {
        let consults = |of: At, about: At| {
            let consultation = self.conn(of.0).and_then(|conn| conn.consultation.as_ref());
            consultation.is_some_and(|consultation| consultation.main == about.0)
        };
        let held = |at: At| self.party(at.0, at.1).is_some_and(|party| party.state == PartyState::Held);
        let talks = |at: At| self.conn(at.0).is_some_and(|conn| conn.stage == Stage::Talking);
        let started = |at: At| self.conn(at.0).map(|conn| conn.started);
        let swapped = if consults(two, one) {
            false
        } else if consults(one, two) {
            true
        } else if held(one) != held(two) {
            held(two)
        } else if talks(one) != talks(two) {
            talks(two)
        } else {
            started(two) < started(one)
        };
        if swapped { (two, one) } else { (one, two) }
    }

    fn state_at(&self, at: At) -> Option<PartyState> {
        self.party(at.0, at.1).map(|party| party.state)
    }

    fn alternate(&mut self, one: At, two: At, asker: Asker, now: Instant) -> Result<(), TError> {
        let (held, current) = self.held_and_current(one, two)?;
        if self.state_at(current) != Some(PartyState::Connected) {
            return Err(wrong_state(self.dn_of(current.1), self.state_at(current)));
        }
        self.check_device(held.1)?;
        let op = Op::Alternate {
            other: current.0,
            other_by: current.1,
        };
        self.begin(op, held, asker, Step::Audio, now);
        Ok(())
    }

    fn reconnect(&mut self, one: At, two: At, asker: Asker, now: Instant) -> Result<(), TError> {
        let (held, current) = self.held_and_current(one, two)?;
        self.check_device(held.1)?;
        let op = Op::Reconnect {
            other: current.0,
            other_by: current.1,
        };
        self.begin(op, held, asker, Step::Audio, now);
        Ok(())
    }

    /// Which of the two is on hold shows in their states.
    fn held_and_current(&self, one: At, two: At) -> Result<(At, At), TError> {
        let held = |at| self.state_at(at) == Some(PartyState::Held);
        let (held, current) = match (held(one), held(two)) {
            (true, false) => (one, two),
            (false, true) => (two, one),
            _ => {
                return Err(TError::new(
                    TErrorCode::InvalidCallState,
                    "one of the two calls has to be on hold",
                ));
            }
        };
        match self.state_at(current) {
            Some(PartyState::Connected | PartyState::Dialing) => Ok((held, current)),
            state => Err(wrong_state(self.dn_of(current.1), state)),
        }
    }

    pub(super) fn alternated(&mut self, pending: Pending, other: ConnId, other_by: DeviceKey, out: &mut Vec<CallOutput>) {
        let still = self.state_at((other, other_by)) == Some(PartyState::Connected)
            && self.state_at((pending.conn, pending.by)) == Some(PartyState::Held)
            && !self.device_holds(pending.by);
        if !still {
            self.pending = Some(pending);
            return self.fail(TErrorCode::InvalidCallState.into(), None, out);
        }
        let told = Told {
            requestor: pending.asker.requestor(),
            reasons: pending.reasons,
            ..Told::new(EventName::EventHeld, PartyState::Held, CallState::Ok)
        };
        self.tell(other, other_by, told, out);
        let told = Told::new(EventName::EventRetrieved, PartyState::Connected, CallState::Ok);
        self.tell(pending.conn, pending.by, told, out);
    }

    pub(super) fn reconnected(
        &mut self,
        pending: Pending,
        other: ConnId,
        other_by: DeviceKey,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) {
        let still = self.state_at((pending.conn, pending.by)) == Some(PartyState::Held);
        if !still || self.device_holds(pending.by) {
            self.pending = Some(pending);
            return self.fail(TErrorCode::InvalidCallState.into(), None, out);
        }
        let ending = Ending {
            abandoned: true,
            ..Ending::normal(other_by, Outcome::Cancelled)
        };
        self.end(other, ending, now, out);
        let told = Told {
            requestor: pending.asker.requestor(),
            reasons: pending.reasons,
            ..Told::new(EventName::EventRetrieved, PartyState::Connected, CallState::Ok)
        };
        self.tell(pending.conn, pending.by, told, out);
    }

    /// Begins to make one call of two.
    pub(super) fn merge(
        &mut self,
        main: At,
        other: At,
        transfer: bool,
        asker: Asker,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        let gathering = self.check_merge(main, other, transfer)?;
        // What a phone has promised its user is done; a client can make room and ask again.
        if asker.requestor().is_some() {
            let other = self.conn(other.0).ok_or(TErrorCode::InvalidConnId)?;
            self.merged_user_data(main.0, other)?;
        }
        let merge = Merge {
            other: other.0,
            other_by: other.1,
            transfer,
            gathering,
            left_behind: None,
        };
        self.begin(Op::Merge(merge), main, asker, Step::Audio, now);
        if !self.gather(now, out) {
            self.progress(asker, 100, out);
        }
        Ok(())
    }

    /// The phone that transfers has hung up in one of the two calls, as phones do as soon as that is accepted: all are in one place by then,
    /// and the two calls are one at once. `true`: that was all there is to do.
    pub(super) fn merge_left(&mut self, at: At, now: Instant, out: &mut Vec<CallOutput>) -> bool {
        let waits = |pending: &mut Pending| match &pending.op {
            Op::Merge(merge) => {
                let is_of_phone = matches!(pending.asker, Asker::Phone(..));
                is_of_phone
                    && pending.step == Step::Audio
                    && [(pending.conn, pending.by), (merge.other, merge.other_by)].contains(&at)
            }
            _ => false,
        };
        let Some(pending) = self.pending.take_if(waits) else {
            return false;
        };
        if let Op::Merge(merge) = pending.op {
            self.merged(pending, merge, now, out);
        }
        true
    }

    /// Whether two calls can become one, and where.
    fn check_merge(&self, main: At, other: At, transfer: bool) -> Result<Option<Gathering>, TError> {
        let conns = (self.conn(main.0), self.conn(other.0));
        let (Some(main_conn), Some(other_conn)) = conns else {
            return Err(TErrorCode::InvalidConnId.into());
        };
        if main_conn.stage != Stage::Talking || !main_conn.party(main.1).is_some_and(super::party::Party::talks) {
            return Err(wrong_state(self.dn_of(main.1), self.state_at(main)));
        }
        let answered = other_conn.party(other.1).is_some_and(super::party::Party::talks);
        let rings = other_conn.stage == Stage::CallingDestination && other_conn.origin == other.1;
        if !(answered || rings && transfer) {
            return Err(wrong_state(self.dn_of(other.1), self.state_at(other)));
        }
        let coming = other_conn.others(other.1);
        if main_conn.parties.len() + coming.len() > self.settings.parties_max {
            return Err(TError::new(
                TErrorCode::TooManyRequests,
                "the call would have too many parties",
            ));
        }
        let there: SmallVec<[DnId; 4]> = main_conn.others(main.1).iter().filter_map(|key| self.dn_of(*key)).collect();
        let twice = |key: &DeviceKey| self.dn_of(*key).is_some_and(|dn| there.contains(&dn));
        if coming.iter().any(twice) {
            return Err(TError::new(
                TErrorCode::DestinationInvalidState,
                "the two calls have a party in common",
            ));
        }
        if transfer {
            let staying = main_conn.others(main.1).into_iter().chain(coming.iter().copied());
            self.check_regrouping(Regrouping::CompleteTransfer, main.1, staying, None)?;
        }
        self.check_move(main, other, &coming)
    }

    /// Whether the call may go on with those who stay and one who is called: the policy for calls without a party of ours.
    pub(super) fn check_regrouping(
        &self,
        request: Regrouping,
        leaving: DeviceKey,
        staying: impl IntoIterator<Item = DeviceKey>,
        called: Option<&PartyTarget>,
    ) -> Result<(), TError> {
        let targets = staying
            .into_iter()
            .filter_map(|key| self.device(key))
            .map(|device| &device.target);
        let standings = targets.chain(called).map(standing);
        self.pass_through(leaving).check(request, standings)
    }

    pub(super) fn pass_through(&self, leaving: DeviceKey) -> PassThrough {
        self.numbering.pass_through(self.device(leaving).map(|device| &device.dn))
    }

    /// The parties of the other call come, or those of the main call go there where they are fewer. Who rings, or has another call beside
    /// that one, in which it is needed where it is, stays.
    fn check_move(&self, main: At, other: At, coming: &[DeviceKey]) -> Result<Option<Gathering>, TError> {
        let [home, there] = [main.1, other.1].map(|key| self.device(key).map(|device| device.conference));
        let (Some(home), Some(there)) = (home, there) else {
            return Err(TErrorCode::PartyNotOnCall.into());
        };
        let going = self.conn(main.0).map(|conn| conn.others(main.1)).unwrap_or_default();
        let is_under_way = |key: &DeviceKey| self.device(*key).is_some_and(|device| device.moving.is_some());
        if going.iter().chain(coming).chain([&main.1, &other.1]).any(is_under_way) {
            return Err(TErrorCode::OtherOperationPending.into());
        }
        if home == there {
            return Ok(None);
        }
        let rings = |key: &DeviceKey| self.device(*key).is_some_and(|device| device.leg != Leg::Connected);
        let comes = coming.iter().try_for_each(|key| self.check_movable(*key));
        let goes = going.iter().try_for_each(|key| self.check_movable(*key));
        let of_main = match (comes, goes) {
            (Ok(()), Ok(())) => going.len() < coming.len(),
            (Ok(()), Err(_)) => false,
            (Err(_), Ok(())) => true,
            (Err(_), Err(error)) if coming.iter().any(rings) => return Err(error),
            (Err(error), Err(_)) => return Err(error),
        };
        let to = if of_main { there } else { home };
        Ok(Some(Gathering { to, of_main }))
    }

    fn check_movable(&self, key: DeviceKey) -> Result<(), TError> {
        let device = self.device(key).ok_or(TErrorCode::PartyNotOnCall)?;
        let conns = self.conns_of(key);
        if device.leg != Leg::Connected {
            let state = conns.first().and_then(|id| self.state_at((*id, key)));
            return Err(wrong_state(Some(device.dn.clone()), state));
        }
        if conns.len() > 1 {
            let text = format!("{} has another call that it would be torn out of", device.dn);
            return Err(TError::new(TErrorCode::UnsupportedOperation, text));
        }
        Ok(())
    }

    /// Everybody hears the right ones: the two calls are one.
    pub(super) fn merged(&mut self, pending: Pending, merge: Merge, now: Instant, out: &mut Vec<CallOutput>) {
        let (main, by) = (pending.conn, pending.by);
        let Some(other) = self.conn(merge.other).cloned() else {
            return;
        };
        let asker = pending.asker;
        let user_data = match self.merged_user_data(main, &other) {
            Ok(user_data) => Some(user_data),
            // It grew since the request.
            Err(error) if asker.requestor().is_some() => {
                self.pending = Some(pending);
                return self.fail(error, None, out);
            }
            Err(error) => {
                out.push(CallOutput::DataLeftOut { conn_id: main, error });
                None
            }
        };
        let coming = other.others(merge.other_by);
        let there = self.conn(main).map(|conn| conn.others(by)).unwrap_or_default();
        let role = self.party(main, by).map_or(DnRole::Unknown, |party| party.role);
        let who = self.dn_of(by);
        if self.device(merge.other_by).is_some_and(|device| device.leg == Leg::Made) {
            // It has dialled, and nobody has answered it.
            self.release_with(merge.other_by, Some(REQUEST_TERMINATED));
        }
        let changed = user_data.is_some_and(|user_data| self.replace_user_data(main, user_data));
        let state = if merge.transfer {
            CallState::Transferred
        } else {
            CallState::Conferenced
        };
        let told = Told {
            requestor: asker.requestor(),
            reasons: pending.reasons,
            ..Told::new(EventName::EventReleased, PartyState::Null, state)
        };
        self.tell(merge.other, merge.other_by, told, out);
        if merge.transfer {
            let told = Told::new(EventName::EventReleased, PartyState::Null, state);
            self.tell(main, by, told, out);
        }
        self.join_parties((main, by), &other, merge, role);
        if merge.transfer {
            self.tell_transferred(main, &there, who.clone(), out);
        } else {
            self.tell_conferenced(main, by, &there, &coming, out);
        }
        let by_role = if merge.transfer {
            DnRole::TransferredBy
        } else {
            DnRole::ConferencedBy
        };
        for key in &coming {
            let told = Told {
                previous: Some(other.id),
                third: who.clone().map(|dn| (dn, by_role)),
                ..Told::same(EventName::EventPartyChanged, state)
            };
            self.tell_known(main, *key, told, out);
        }
        self.conns.retain(|conn| conn.id != other.id);
        // Who consulted about the call that ended does so about the one it ended in.
        let consultations = self.conns.iter_mut().filter_map(|conn| conn.consultation.as_mut());
        for consultation in consultations.filter(|consultation| consultation.main == other.id) {
            consultation.main = main;
        }
        if changed {
            self.tell_user_data(main, who.map(|dn| (dn, by_role)), None, out);
        }
        let outcome = other.record(Outcome::Cancelled, now);
        self.close(other.id, outcome, now, out);
        self.progress(asker, 200, out);
    }

    /// The parties of the other call stand in the main one.
    fn join_parties(&mut self, (main, by): At, other: &Conn, Merge { other_by, transfer, .. }: Merge, role: DnRole) {
        if let Some(conn) = self.conn_mut(other.id) {
            conn.parties.clear();
        }
        let Some(conn) = self.conn_mut(main) else { return };
        if transfer {
            conn.remove(by);
        }
        for party in other.parties.iter().filter(|party| party.device != other_by) {
            let mut party = party.clone();
            // Who is muted stays so: nobody is told that it is heard again.
            party.role = role;
            conn.parties.push(party);
        }
        if !transfer || conn.parties.len() > 2 {
            for party in &mut conn.parties {
                party.role = DnRole::ConferenceMember;
            }
        }
    }

    /// Those who stay in a call learn that the party they talked to has been replaced.
    pub(super) fn tell_transferred(&mut self, id: ConnId, there: &[DeviceKey], by: Option<DnId>, out: &mut Vec<CallOutput>) {
        for key in there {
            let told = Told {
                previous: Some(id),
                third: by.clone().map(|dn| (dn, DnRole::TransferredBy)),
                ..Told::same(EventName::EventPartyChanged, CallState::Transferred)
            };
            self.tell_known(id, *key, told, out);
        }
    }

    fn tell_conferenced(
        &mut self,
        id: ConnId,
        by: DeviceKey,
        there: &[DeviceKey],
        coming: &[DeviceKey],
        out: &mut Vec<CallOutput>,
    ) {
        let holds = self.device_holds(by);
        if let Some(party) = self.party_mut(id, by).filter(|party| party.state == PartyState::Held) {
            party.held_by_device = holds;
            if !holds {
                let told = Told::new(EventName::EventRetrieved, PartyState::Connected, CallState::Conferenced);
                self.tell(id, by, told, out);
            }
        }
        for key in there.iter().chain([&by]) {
            for new in coming {
                self.tell_added(id, *key, *new, by, None, out);
            }
        }
    }

    /// EventPartyAdded to one party about one new party.
    pub(super) fn tell_added(
        &mut self,
        id: ConnId,
        key: DeviceKey,
        new: DeviceKey,
        by: DeviceKey,
        asked: Option<(Requestor, KvList)>,
        out: &mut Vec<CallOutput>,
    ) {
        let (requestor, reasons) = asked.map_or((None, KvList::new()), |(requestor, reasons)| (Some(requestor), reasons));
        let told = Told {
            other: self.dn_of(new).map(|dn| (dn, DnRole::NewParty)),
            third: self.dn_of(by).map(|dn| (dn, DnRole::AddedBy)),
            requestor,
            reasons,
            ..Told::same(EventName::EventPartyAdded, CallState::Conferenced)
        };
        self.tell_known(id, key, told, out);
    }

    /// Tells a party that clients know already.
    pub(super) fn tell_known(&mut self, id: ConnId, key: DeviceKey, told: Told<'_>, out: &mut Vec<CallOutput>) {
        if self.party(id, key).is_some_and(|party| party.state != PartyState::Null) {
            self.tell(id, key, told, out);
        }
    }
}

/// What a party is to the policy for pass-through calls.
pub(super) fn standing(target: &PartyTarget) -> Standing {
    match target {
        PartyTarget::Dn(_) => Standing::Ours,
        PartyTarget::Trunk { .. } => Standing::External,
    }
}
