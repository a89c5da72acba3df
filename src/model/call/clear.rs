//! ClearCall: the whole call ends, EventReleased to every party (T-Library reference ch. 9.3, seed 002 line 3432).

use std::time::Instant;

use super::device::DeviceKey;
use super::ending::Ending;
use super::{Call, CallOutput};
use crate::{CallState, ConnId, KvList, Requestor, TError};

impl Call {
    pub(super) fn clear(
        &mut self,
        (id, key): (ConnId, DeviceKey),
        requestor: Requestor,
        reasons: KvList,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        if self.party(id, key).is_some_and(|party| party.joining.is_some()) {
            // It is not in the call yet, and cannot end it for the others.
            return self.release((id, key), requestor, reasons, now, out);
        }
        let ending = Ending {
            other_state: CallState::Cleared,
            status: self.status_of_request(id, key),
            requestor: Some(requestor),
            reasons,
            ..Ending::normal(key, self.outcome_of_request(id, key))
        };
        self.end(id, ending, now, out);
        Ok(())
    }
}
