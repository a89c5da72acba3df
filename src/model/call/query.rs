//! QueryCall: EventPartyInfo to the requestor (T-Library reference ch. 11; seed 002 lines 3482-3483: StatusQuery only).

use super::device::{Device, DeviceKey};
use super::{Call, CallOutput, flow};
use crate::{CallInfoType, CallState, ConnId, DnId, EventName, KvList, KvValue, PartyState, Requestor, TError, TErrorCode};

/// The extension of EventPartyInfo with who speaks.
pub(crate) const ACTIVE_SPEAKER: &str = "active-speaker";
/// So many make a conference: between two it goes without saying who speaks.
pub(crate) const CONFERENCE: usize = 3;

impl Call {
    /// The parties stand in the extensions: `party-N` is the DN, `role-N` its role, `ps-N` its state as a number, N from 1; `mf-N` how
    /// far its media is there, for whom is told that anyway and where `extensions` ask for it.
    /// `active-speaker` is the DN of who speaks, in a conference of three or more whose audio is mixed, once somebody has spoken.
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
        if let Some(speaker) = self.active_speaker(id) {
            event.extensions.set(ACTIVE_SPEAKER, speaker.as_str());
        }
        out.push(CallOutput::Answer { requestor, event });
        Ok(())
    }

    fn active_speaker(&self, id: ConnId) -> Option<&DnId> {
        let talking = || {
            let parties = self.conn(id).into_iter().flat_map(|conn| &conn.parties);
            parties
                .filter(|party| party.talks())
                .filter_map(|party| self.device(party.device))
        };
        talking().nth(CONFERENCE - 1)?;
        let speaks = |device: &&Device| {
            let room = self.rooms.iter().find(|room| room.id == device.conference);
            room.and_then(|room| room.speaker)
                .is_some_and(|party| device.is_called(device.conference, party))
        };
        talking().find(speaks).map(|device| &device.dn)
    }
}
