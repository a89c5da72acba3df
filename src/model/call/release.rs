//! ReleaseCall: one party leaves, and a call of two is over (T-Library reference ch. 9.1 failures, 9.3).

use std::time::Instant;

use super::conn::Stage;
use super::device::DeviceKey;
use super::ending::{Ending, Leaving};
use super::events::Told;
use super::{Call, CallOutput, Outcome};
use crate::{CallState, ConnId, EventName, KvList, PartyState, Requestor, TError, TErrorCode};

/// What a caller who was not answered is told on its leg when its own client ends the call (RFC 3261 s.21.4.25).
pub(super) const REQUEST_TERMINATED: u16 = 487;
/// And when the client of the called DN does.
const DECLINE: u16 = 603;

impl Call {
    pub(super) fn release(
        &mut self,
        (id, key): (ConnId, DeviceKey),
        requestor: Requestor,
        reasons: KvList,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        let Some(conn) = self.conn(id) else { return Ok(()) };
        let (stage, origin, destination) = (conn.stage, conn.origin, conn.destination);
        if conn.party(key).is_some_and(|party| party.joining.is_some()) {
            self.decline_joining(id, key, requestor, reasons, out);
            return Ok(());
        }
        if stage == Stage::Talking {
            let leaving = Leaving {
                requestor: Some(requestor),
                reasons,
                ..Leaving::normal()
            };
            self.leave(id, key, leaving, now, out);
            return Ok(());
        }
        let ending = Ending {
            requestor: Some(requestor),
            reasons,
            status: self.status_of_request(id, key),
            ..Ending::normal(key, self.outcome_of_request(id, key))
        };
        let ending = if key == origin {
            Ending {
                abandoned: true,
                ..ending
            }
        } else {
            if key == destination {
                let told = Told::new(EventName::EventDestinationBusy, PartyState::Busy, CallState::Busy);
                self.tell(id, origin, told, out);
            }
            Ending {
                other_state: CallState::Busy,
                ..ending
            }
        };
        self.end(id, ending, now, out);
        Ok(())
    }

    /// Who is called into a call does not want to be: the others go on.
    fn decline_joining(&mut self, id: ConnId, key: DeviceKey, requestor: Requestor, reasons: KvList, out: &mut Vec<CallOutput>) {
        let told = Told {
            requestor: Some(requestor),
            reasons,
            ..Told::new(EventName::EventReleased, PartyState::Null, CallState::Ok)
        };
        self.tell(id, key, told, out);
        if let Some(conn) = self.conn_mut(id) {
            conn.remove(key);
        }
        self.release_with(key, Some(DECLINE));
        if self.pending.as_ref().is_some_and(|pending| pending.op.target() == Some(key)) {
            self.fail(TErrorCode::CallRejected.into(), None, out);
        }
    }

    /// How a call that the party's client ends is counted.
    pub(super) fn outcome_of_request(&self, id: ConnId, key: DeviceKey) -> Outcome {
        match self.conn(id) {
            Some(conn) if conn.stage == Stage::Talking => Outcome::Answered,
            Some(conn) if conn.destination == key => Outcome::Rejected,
            _ => Outcome::Cancelled,
        }
    }

    /// The status for a caller who was not answered yet, when the party's client ends the call.
    pub(super) fn status_of_request(&self, id: ConnId, key: DeviceKey) -> Option<u16> {
        match self.conn(id) {
            Some(conn) if conn.stage == Stage::Talking => None,
            Some(conn) if conn.destination == key => Some(DECLINE),
            _ => Some(REQUEST_TERMINATED),
        }
    }
}
