//! SendDtmf: the others hear digits, one after the other is told (T-Library reference ch. 12).

use std::sync::Arc;
use std::time::Instant;

use super::device::DeviceKey;
use super::events::Told;
use super::operation::{Asker, Op, Step};
use super::{Call, CallOutput, wrong_state};
use crate::link::{LinkRequest, OperationId};
use crate::{CallState, ConferenceId, ConnId, EventName, KvList, PartyId, PartyState, Requestor, TError, TErrorCode};

/// The most digits of one request.
const MAX_DIGITS: usize = 64;

/// Digits that one party hears now, and others after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Digits {
    pub(super) conference: ConferenceId,
    pub(super) operation: OperationId,
    party: PartyId,
    pub(super) digits: Arc<str>,
    /// Who is still to hear them.
    pub(super) rest: Vec<(ConferenceId, PartyId)>,
}

impl Digits {
    pub(super) fn request(&self) -> LinkRequest {
        LinkRequest::SendDigits {
            conference: self.conference,
            operation: self.operation,
            party: self.party,
            digits: self.digits.clone(),
        }
    }
}

impl Call {
    pub(super) fn send_digits(
        &mut self,
        (id, key): (ConnId, DeviceKey),
        requestor: Requestor,
        digits: &str,
        reasons: KvList,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        self.check_idle()?;
        let state = self.party(id, key).map(|party| party.state);
        if state != Some(PartyState::Connected) {
            return Err(wrong_state(self.dn_of(key), state));
        }
        check_digits(digits)?;
        let listeners = self.listeners(id, key);
        if listeners.is_empty() {
            return Err(TError::new(TErrorCode::InvalidCallState, "nobody is there to hear digits"));
        }
        self.begin(Op::Digits, (id, key), Asker::Client(requestor), Step::Answer, now);
        if let Some(pending) = &mut self.pending {
            pending.reasons = reasons;
        }
        let digits: Arc<str> = digits.to_ascii_uppercase().into();
        self.next_digits(listeners, digits, now, out);
        Ok(())
    }

    /// The next one hears them; after the last one it is done.
    pub(super) fn next_digits(
        &mut self,
        mut rest: Vec<(ConferenceId, PartyId)>,
        digits: Arc<str>,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) {
        let there = |(conference, party): &(ConferenceId, PartyId)| {
            let mut devices = self.devices.iter().filter(|device| device.is_up());
            devices.any(|device| (device.conference, device.id) == (*conference, *party))
        };
        rest.retain(there);
        let deadline = self.link_deadline(now);
        if let Some((conference, party)) = rest.pop() {
            let operation = OperationId(self.next_operation);
            self.next_operation = self.next_operation.wrapping_add(1);
            let digits = Digits {
                conference,
                operation,
                party,
                digits,
                rest,
            };
            out.push(CallOutput::Link(digits.request()));
            if let Some(pending) = &mut self.pending {
                pending.step = Step::Digits(digits);
                pending.deadline = deadline;
            }
            return;
        }
        let Some(pending) = self.pending.take() else { return };
        let told = Told {
            digits: Some(digits),
            requestor: pending.asker.requestor(),
            reasons: pending.reasons,
            ..Told::same(EventName::EventDTMFSent, CallState::Ok)
        };
        self.tell(pending.conn, pending.by, told, out);
    }
}

fn check_digits(digits: &str) -> Result<(), TError> {
    let is_digit = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d' | ',');
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.chars().all(is_digit) {
        let text = format!("dtmfDigits: 1 to {MAX_DIGITS} of 0-9 * # A-D and the comma");
        return Err(TError::new(TErrorCode::InvalidAttribute, text));
    }
    Ok(())
}
