//! DeleteFromConference: one party drops another one (T-Library reference ch. 9.11). Itself, or in a call of two, it is ReleaseCall.

use std::time::Instant;

use super::conn::Stage;
use super::device::DeviceKey;
use super::ending::Leaving;
use super::{Call, CallOutput, With, not_on_call, wrong_state};
use crate::numbering::Destination;
use crate::{ConnId, DnId, TError, TErrorCode};

impl Call {
    pub(super) fn delete(
        &mut self,
        (id, key): (ConnId, DeviceKey),
        with: With,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        self.check_idle()?;
        let conn = self.conn(id).ok_or(TErrorCode::InvalidConnId)?;
        let party = conn.party(key).ok_or(TErrorCode::PartyNotOnCall)?;
        let (stage, talks, state) = (conn.stage, party.talks(), party.state);
        let dropped = self.party_called(id, &with.other_dn)?;
        if dropped == key || self.conn(id).is_some_and(|conn| conn.parties.len() <= 2) {
            return self.release((id, key), with.requestor, with.reasons, now, out);
        }
        if stage != Stage::Talking || !talks {
            return Err(wrong_state(self.dn_of(key), Some(state)));
        }
        let leaving = Leaving {
            dropped_by: Some(key),
            requestor: Some(with.requestor),
            reasons: with.reasons,
            ..Leaving::normal()
        };
        self.leave(id, dropped, leaving, now, out);
        Ok(())
    }

    /// The party of a call that goes by a name: as events name it, or as it is dialled.
    fn party_called(&self, id: ConnId, name: &str) -> Result<DeviceKey, TError> {
        let named = DnId::new(name);
        let resolved = match self.numbering.resolve(name, None) {
            Destination::Extension(dn) => Some(dn),
            _ => None,
        };
        let conn = self.conn(id).ok_or(TErrorCode::InvalidConnId)?;
        let is = |key: &DeviceKey| {
            let dn = self.device(*key).map(|device| &device.dn);
            dn == Some(&named) || dn.is_some() && dn == resolved.as_ref()
        };
        conn.devices().into_iter().find(is).ok_or_else(|| not_on_call(&named, id))
    }
}
