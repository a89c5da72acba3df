//! ClearCall: the whole call ends, EventReleased to every party (T-Library reference ch. 9.3, seed 002 line 3432).

use std::time::Instant;

use super::ending::Ending;
use super::{Call, CallOutput};
use crate::{CallState, KvList, Requestor, TError};

impl Call {
    pub(super) fn clear(
        &mut self,
        index: usize,
        requestor: Requestor,
        reasons: KvList,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        let ending = Ending {
            other_state: CallState::Cleared,
            status: self.status_of_request(index),
            requestor: Some(requestor),
            reasons,
            ..Ending::normal(index, self.outcome_of_request(index))
        };
        self.end(ending, now, out);
        Ok(())
    }
}
