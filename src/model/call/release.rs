//! ReleaseCall: one party leaves, and a call of two is over (T-Library reference ch. 9.1 failures, 9.3).

use std::time::Instant;

use super::ending::Ending;
use super::events::Addition;
use super::{Call, CallOutput, DESTINATION, ORIGIN, Outcome, Phase};
use crate::{CallState, EventName, KvList, PartyState, Requestor, TError};

/// What a caller who was not answered is told on its leg when its own client ends the call (RFC 3261 s.21.4.25).
const REQUEST_TERMINATED: u16 = 487;
/// And when the client of the called DN does.
const DECLINE: u16 = 603;

impl Call {
    pub(super) fn release(
        &mut self,
        index: usize,
        requestor: Requestor,
        reasons: KvList,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        let ending = Ending {
            requestor: Some(requestor),
            reasons,
            ..Ending::normal(index, self.outcome_of_request(index))
        };
        let ending = match (self.phase, index) {
            (Phase::CallingOrigin | Phase::CallingDestination, ORIGIN) => Ending {
                abandoned: true,
                status: Some(REQUEST_TERMINATED),
                ..ending
            },
            (Phase::CallingDestination, DESTINATION) => {
                let addition = Addition::default();
                self.report(
                    ORIGIN,
                    EventName::EventDestinationBusy,
                    PartyState::Busy,
                    CallState::Busy,
                    addition,
                    out,
                );
                Ending {
                    other_state: CallState::Busy,
                    status: Some(DECLINE),
                    ..ending
                }
            }
            _ => ending,
        };
        self.end(ending, now, out);
        Ok(())
    }

    /// How a call that the party's client ends is counted.
    pub(super) fn outcome_of_request(&self, index: usize) -> Outcome {
        match (self.phase, index) {
            (Phase::Talking, _) => Outcome::Answered,
            (_, DESTINATION) => Outcome::Rejected,
            _ => Outcome::Cancelled,
        }
    }

    /// The status for a caller who was not answered yet, when the party's client ends the call.
    pub(super) fn status_of_request(&self, index: usize) -> Option<u16> {
        match (self.phase, index) {
            (Phase::Talking, _) => None,
            (_, DESTINATION) => Some(DECLINE),
            _ => Some(REQUEST_TERMINATED),
        }
    }
}
