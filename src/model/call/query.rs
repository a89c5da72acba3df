//! QueryCall: EventPartyInfo to the requestor (T-Library reference ch. 11; seed 002 lines 3482-3483: StatusQuery only).

use super::device::DeviceKey;
use super::{Call, CallOutput, flow};
use crate::{CallInfoType, CallState, ConnId, EventName, KvList, KvValue, PartyState, Requestor, TError, TErrorCode};

impl Call {
    /// The parties stand in the extensions: `party-N` is the DN, `role-N` its role, `ps-N` its state as a number, N from 1; `mf-N` how
    /// far its media is there, for whom is told that anyway and where `extensions` ask for it.
    pub(super) fn query(
        &self,
        (id, key): (ConnId, DeviceKey),
        requestor: Requestor,
        info_type: CallInfoType,
        extensions: &KvList,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        if info_type != CallInfoType::StatusQuery {
            let text = format!("callInfoType {info_type} is not supported, only StatusQuery is");
            return Err(TError::new(TErrorCode::UnsupportedOperation, text));
        }
        flow::check(extensions)?;
        let mut event = self
            .party_event(id, key, EventName::EventPartyInfo)
            .ok_or(TErrorCode::InvalidConnId)?;
        event.call_state = Some(CallState::Ok);
        let conn = self.conn(id);
        let tells_flow = flow::is_asked(extensions) || self.tells_flow(id, key);
        let parties = conn.map(|conn| conn.parties.as_slice()).unwrap_or_default();
        let known = parties.iter().filter(|party| party.state != PartyState::Null);
        for (number, party) in known.enumerate().map(|(index, party)| (index + 1, party)) {
            let Some(device) = self.device(party.device) else { continue };
            event.extensions.set(format!("party-{number}"), device.dn.as_str());
            event.extensions.set(format!("role-{number}"), party.role.name());
            event
                .extensions
                .set(format!("ps-{number}"), KvValue::Int(party.state.number().into()));
            if tells_flow {
                event.extensions.set(format!("mf-{number}"), flow::name(device.flow));
            }
        }
        out.push(CallOutput::Answer { requestor, event });
        Ok(())
    }
}
