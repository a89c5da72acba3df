//! AnswerCall: the ringing phone is told to answer, by the conventions of phones.
//!
//! | what comes of it | the request is answered by |
//! |---|---|
//! | the phone answers | EventEstablished*; for the phone of MakeCall's own DN, when the called side has answered too |
//! | no phone of the DN takes the wish | EventError 51 at once (57 where it said nothing to it), and it rings on |
//! | it rings until it is given up, or declines | EventError 232, 231, 233, as a call to it would fail |
//! | the call goes elsewhere: redirected, forwarded, picked up | EventError 496 |
//! | the call ends otherwise | EventError 237 |
//!
//! The wish is the party's, not the group's one operation: whatever else can be asked of a call that rings can be asked meanwhile.

use super::conn::Stage;
use super::device::{DeviceKey, Leg};
use super::{Call, CallOutput, cause, flow, wrong_state};
use crate::link::{Cause, LinkRequest, OperationId, PartyStatus};
use crate::{CallState, ConferenceId, ConnId, KvList, PartyState, Requestor, TError, TErrorCode};

/// An AnswerCall that waits for its phone.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Answering {
    pub(super) requestor: Requestor,
    pub(super) reasons: KvList,
    conference: ConferenceId,
    operation: OperationId,
    /// A phone of the DN has said that it will.
    taken: bool,
}

impl Answering {
    fn is(&self, conference: ConferenceId, operation: OperationId) -> bool {
        (self.conference, self.operation) == (conference, operation)
    }
}

impl Call {
    pub(super) fn answer(
        &mut self,
        (id, key): (ConnId, DeviceKey),
        requestor: Requestor,
        reasons: KvList,
        extensions: &KvList,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        flow::check(extensions)?;
        let dn = self.dn_of(key);
        let device = self.device(key).ok_or(TErrorCode::PartyNotOnCall)?;
        if device.mask.is_some() {
            return Err(gone_elsewhere());
        }
        let (conference, leg, party) = (device.conference, device.leg, device.id);
        let operation = OperationId(self.next_operation);
        let conn = self.conn_mut(id).ok_or(TErrorCode::InvalidConnId)?;
        // The phone of MakeCall's DN rings before the called side does; its party dials from the beginning.
        let rings_first = conn.stage == Stage::CallingOrigin && conn.origin == key;
        let asked = conn.party_mut(key).ok_or(TErrorCode::PartyNotOnCall)?;
        match asked.state {
            PartyState::Connected | PartyState::Held => return Err(TErrorCode::InSameState.into()),
            PartyState::Alerting if leg == Leg::Made => {}
            PartyState::Dialing if leg == Leg::Made && rings_first => {}
            state => return Err(wrong_state(dn, Some(state))),
        }
        if asked.answering.is_some() {
            return Err(TErrorCode::OtherOperationPending.into());
        }
        asked.answering = Some(Box::new(Answering {
            requestor,
            reasons,
            conference,
            operation,
            taken: false,
        }));
        self.next_operation = self.next_operation.wrapping_add(1);
        out.push(CallOutput::Link(LinkRequest::AnswerParty {
            conference,
            operation,
            party,
        }));
        self.tell_flow(id, extensions);
        Ok(())
    }

    /// A phone takes the wish: what comes of it shows. `true`: that was what was answered.
    pub(super) fn answer_taken(&mut self, conference: ConferenceId, operation: OperationId) -> bool {
        let waits = |answering: &&mut Box<Answering>| answering.is(conference, operation);
        let parties = self.conns.iter_mut().flat_map(|conn| &mut conn.parties);
        let answering = parties.filter_map(|party| party.answering.as_mut()).find(waits);
        answering.map(|answering| answering.taken = true).is_some()
    }

    /// No phone takes it. `true`: that was what was answered.
    pub(super) fn answer_refused(
        &mut self,
        conference: ConferenceId,
        operation: OperationId,
        cause: &Cause,
        out: &mut Vec<CallOutput>,
    ) -> bool {
        let waits = |answering: &Answering| answering.is(conference, operation);
        let found = self.conns.iter().find_map(|conn| {
            let mut parties = conn.parties.iter();
            let party = parties.find(|party| party.answering.as_deref().is_some_and(waits))?;
            Some((conn.id, party.device))
        });
        let Some((id, key)) = found else { return false };
        self.answer_fails(id, key, cause::error_of_wish(cause), out);
        true
    }

    /// The phone did not answer, and rings no more.
    pub(super) fn not_answered(&mut self, key: DeviceKey, cause: &Cause, out: &mut Vec<CallOutput>) {
        let outcome = cause::verdict(cause, self.rings(key)).outcome;
        for id in self.conns_of(key) {
            let Some(answering) = self.party(id, key).and_then(|party| party.answering.as_ref()) else {
                continue;
            };
            let error = cause::error_of_silence(outcome, answering.taken);
            self.answer_fails(id, key, error, out);
        }
    }

    /// The call ends for the party, or goes elsewhere.
    pub(super) fn answer_waits_in_vain(&mut self, id: ConnId, key: DeviceKey, state: CallState, out: &mut Vec<CallOutput>) {
        let error = match state {
            CallState::Redirected | CallState::Forwarded | CallState::Pickedup => gone_elsewhere(),
            _ => TErrorCode::DisconnectedCall.into(),
        };
        self.answer_fails(id, key, error, out);
    }

    /// Whoever asked for an answer that does not come any more is told why.
    pub(super) fn answer_fails(&mut self, id: ConnId, key: DeviceKey, error: TError, out: &mut Vec<CallOutput>) {
        let Some(answering) = self.party_mut(id, key).and_then(|party| party.answering.take()) else {
            return;
        };
        let event = self.error_event(Some(id), self.dn_of(key).as_ref(), error);
        let requestor = answering.requestor;
        out.push(CallOutput::Answer { requestor, event });
    }

    /// The wishes that the conference has not said anything to, of those who are there.
    pub(super) fn ask_to_answer_again(&self, conference: ConferenceId, parties: &[PartyStatus], out: &mut Vec<CallOutput>) {
        let wishes = self.conns.iter().flat_map(|conn| &conn.parties).filter_map(|party| {
            let answering = party.answering.as_ref().filter(|answering| !answering.taken)?;
            let device = self.device(party.device).filter(|device| device.conference == conference)?;
            let is_there = parties.iter().any(|status| status.party == device.id);
            (is_there && answering.conference == conference).then_some((answering.operation, device.id))
        });
        out.extend(wishes.map(|(operation, party)| {
            CallOutput::Link(LinkRequest::AnswerParty {
                conference,
                operation,
                party,
            })
        }));
    }
}

pub(super) fn gone_elsewhere() -> TError {
    TError::new(
        TErrorCode::InvalidCallState,
        "the call has gone elsewhere: this phone cannot answer it any more",
    )
}
