//! No state waits for ever: a connector that owes a notification and stays silent is given up.
//!
//! The connector has the ring timer; what runs here is longer and only ends what would otherwise never end. A call in talk has no
//! deadline: the connector watches its legs.

use std::time::{Duration, Instant};

use super::conn::Stage;
use super::device::{DeviceKey, Leg};
use super::{Call, CallOutput, Phase};
use crate::TErrorCode;
use crate::link::{Cause, ReleasedBy};

impl Call {
    /// A party that was asked for has to be answered, or gone, when its device has had its time to ring.
    pub(super) fn answer_deadline(&self, now: Instant) -> Option<Instant> {
        let wait = self.settings.ring_timeout_ms.saturating_add(self.settings.link_timeout_ms);
        now.checked_add(Duration::from_millis(wait))
    }

    pub(super) fn timed_out(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        if self.phase != Phase::Live {
            return;
        }
        if self.closing.is_some_and(|deadline| self.conns.is_empty() && now >= deadline) {
            return self.finish(out);
        }
        self.audit_timed_out(now, out);
        self.operation_timed_out(now, out);
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
        let late: Vec<DeviceKey> = self
            .devices
            .iter()
            .filter(|device| due(device.deadline))
            .map(|device| device.key)
            .collect();
        for key in late {
            self.device_timed_out(key, now, out);
        }
    }

    fn device_timed_out(&mut self, key: DeviceKey, now: Instant, out: &mut Vec<CallOutput>) {
        if self.move_timed_out(key, now, out) {
            return;
        }
        let Some(device) = self.device_mut(key) else { return };
        device.deadline = None;
        if device.leg == Leg::Releasing {
            // Nobody has waited for it but we.
            device.leg = Leg::Gone;
            return;
        }
        for id in self.conns_of(key) {
            self.answer_fails(id, key, TErrorCode::TimeoutPerformingOperation.into(), out);
        }
        if self.pending.as_ref().is_some_and(|pending| pending.op.target() == Some(key)) {
            return self.fail(TErrorCode::TimeoutPerformingOperation.into(), None, out);
        }
        for id in self.conns_of(key) {
            let calling = self.conn(id).is_some_and(|conn| conn.stage != Stage::Talking);
            if calling {
                self.end_by_fault(id, now, out);
                continue;
            }
            let cause = Cause::status(ReleasedBy::Network, 408);
            self.left(id, key, &cause, now, out);
        }
    }
}
