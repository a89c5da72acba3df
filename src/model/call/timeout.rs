//! No state waits for ever: a connector that owes a notification and stays silent is given up.
//!
//! The connector has the ring timer; what runs here is longer and only ends what would otherwise never end. A call in talk has no
//! deadline: the connector watches its legs.

use std::time::{Duration, Instant};

use super::{Call, CallOutput, Phase};

impl Call {
    /// A party was asked for: it has to be answered, or gone, when its device has had its time to ring.
    pub(super) fn expect_answer(&mut self, now: Instant) {
        let wait = self.settings.ring_timeout_ms.saturating_add(self.settings.link_timeout_ms);
        self.deadline = now.checked_add(Duration::from_millis(wait));
    }

    /// The call is over for clients: the conference has to end.
    pub(super) fn expect_end(&mut self, now: Instant) {
        self.deadline = now.checked_add(Duration::from_millis(self.settings.link_timeout_ms));
    }

    pub(super) fn timed_out(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Phase::Ending => self.finish(out),
            _ => self.end_by_fault(now, out),
        }
    }
}
