//! Two groups become one: calls that began separately are brought together by a request or a phone.
//!
//! The group that was asked asks for the other one ([`super::CallOutput::Absorb`]); the other one surrenders its state whole where it may
//! ([`Call::may_surrender`]) and is no more. Its calls, devices and conferences go on here under their names.

use std::time::Instant;

use super::device::DeviceKey;
use super::operation::{Absorbing, Asker, Op};
use super::{Call, CallOutput, Phase};
use crate::link::LinkRequest;
use crate::{ConferenceId, ConnId, TError, TErrorCode};

/// Which group is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wanted {
    /// The one with this call.
    Call(ConnId),
    /// The one with this conference.
    Conference(ConferenceId),
}

impl Call {
    /// Whether this group may be taken over by another one now: 291 while an operation is in progress, 56 when it has no call.
    pub fn may_surrender(&self) -> Result<(), TError> {
        if self.phase != Phase::Live || self.conns.is_empty() {
            return Err(TErrorCode::InvalidConnId.into());
        }
        if self.absorbing {
            return Err(TErrorCode::OtherOperationPending.into());
        }
        self.check_idle()
    }

    /// Gives this group away, whole, where it may be. What is left here is over and wants nothing any more.
    pub fn surrender(&mut self) -> Result<Box<Self>, TError> {
        self.may_surrender()?;
        let mut shell = Self::new(self.ids.clone(), self.numbering.clone(), self.settings);
        shell.phase = Phase::Finished;
        Ok(Box::new(std::mem::replace(self, shell)))
    }

    /// The other group is here, or it is not. It is taken in even when nobody waits for it any more: it has nowhere else to be.
    pub(super) fn absorbed(&mut self, other: Result<Box<Self>, TError>, now: Instant, out: &mut Vec<CallOutput>) {
        self.absorbing = false;
        let refused = match other {
            Ok(other) => {
                self.take_in(*other, out);
                None
            }
            Err(error) => Some(error),
        };
        let waits = |pending: &mut super::operation::Pending| matches!(pending.op, Op::Absorb(_));
        if self.pending.as_mut().is_none_or(|pending| !waits(pending)) {
            return;
        }
        if let Some(error) = refused {
            return self.fail(error, None, out);
        }
        let Some(pending) = self.pending.take() else { return };
        let Op::Absorb(what) = pending.op else { return };
        match (*what, pending.asker) {
            (Absorbing::Request(request), Asker::Client(requestor)) => self.request(requestor, request, now, out),
            (Absorbing::Referral(referral), _) => {
                if let Err(status) = self.refer_to_party(referral, now, out) {
                    out.push(CallOutput::Link(LinkRequest::TransferProgress {
                        conference: referral.from.0,
                        transfer: referral.transfer,
                        status,
                    }));
                }
            }
            (Absorbing::Request(_), _) => {}
        }
    }

    fn take_in(&mut self, other: Self, out: &mut Vec<CallOutput>) {
        let shift = self.next_device;
        let moved = |key: DeviceKey| DeviceKey(key.0.wrapping_add(shift));
        for mut device in other.devices {
            device.key = moved(device.key);
            self.devices.push(device);
        }
        for mut conn in other.conns {
            (conn.origin, conn.destination) = (moved(conn.origin), moved(conn.destination));
            for party in &mut conn.parties {
                party.device = moved(party.device);
                if let Some(joining) = &mut party.joining {
                    joining.by = moved(joining.by);
                }
            }
            self.conns.push(conn);
        }
        self.rooms.extend(other.rooms);
        self.next_device = shift.wrapping_add(other.next_device);
        self.next_operation = self.next_operation.max(other.next_operation);
        self.closing = None;
        for (conn_id, record) in [self.last.take(), other.last].into_iter().flatten() {
            out.push(CallOutput::Closed { conn_id, record });
        }
    }
}
