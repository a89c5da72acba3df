//! AnswerCall: the ringing phone is asked to answer, by the conventions of phones. What came of it shows: EventEstablished*, or an error
//! before the terminal event.

use super::device::{DeviceKey, Leg};
use super::{Call, CallOutput, flow, wrong_state};
use crate::link::LinkRequest;
use crate::{ConnId, KvList, PartyState, Requestor, TError, TErrorCode};

impl Call {
    pub(super) fn answer(
        &mut self,
        (id, key): (ConnId, DeviceKey),
        requestor: Requestor,
        extensions: &KvList,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        flow::check(extensions)?;
        let dn = self.dn_of(key);
        let device = self.device(key).ok_or(TErrorCode::PartyNotOnCall)?;
        if device.mask.is_some() {
            let text = "the call was forwarded: it is answered elsewhere";
            return Err(TError::new(TErrorCode::InvalidCallState, text));
        }
        let (conference, leg, party) = (device.conference, device.leg, device.id);
        let asked = self.party_mut(id, key).ok_or(TErrorCode::PartyNotOnCall)?;
        match asked.state {
            PartyState::Connected | PartyState::Held => return Err(TErrorCode::InSameState.into()),
            PartyState::Alerting if leg == Leg::Made => {}
            state => return Err(wrong_state(dn, Some(state))),
        }
        if asked.answering.is_some() {
            return Err(TErrorCode::OtherOperationPending.into());
        }
        asked.answering = Some(requestor);
        self.tell_flow(id, extensions);
        out.push(CallOutput::Link(LinkRequest::AnswerParty { conference, party }));
        Ok(())
    }
}
