//! The times that run out in a conference: ringing, waiting alone for the T-Server side, the end of cancelled legs, transfers that the
//! T-Server side says nothing of, digits that go by INFO, and the rest before a descent.

use std::time::{Duration, Instant};

use super::leg::LegPhase;
use super::party::{Party, PartyPhase};
use super::release::{NO_ANSWER, NO_USER_RESPONDING};
use super::{Conference, ConferenceOutput};
use crate::PartyId;
use crate::link::{Cause, ReleasedBy};

/// How long a caller that is not answered may hear what the T-Server side lets it hear: as long as a proxy lets a call ring (timer C, RFC
/// 3261 s.16.6).
const EARLY: Duration = Duration::from_secs(180);

impl Conference {
    /// When [`super::ConferenceInput::Timeout`] is due; `None` while nothing runs.
    pub fn next_timeout(&self) -> Option<Instant> {
        let parties = self.parties.iter().filter_map(|party| party.deadline);
        let legs = self.legs.iter().filter_map(|leg| match leg.phase {
            LegPhase::Cancelling { until } => Some(until),
            _ => None,
        });
        let others = [
            self.ladder.descend_at,
            self.transfers.next_timeout(),
            self.info_digits.next_timeout(),
        ];
        parties.chain(legs).chain(others.into_iter().flatten()).min()
    }

    pub(super) fn timed_out(&mut self, now: Instant, out: &mut Vec<ConferenceOutput>) {
        self.time_out_transfers(now, out);
        self.send_due_digits(now, out);
        self.legs
            .retain(|leg| !matches!(leg.phase, LegPhase::Cancelling { until } if until <= now));
        let due = |party: &Party| party.deadline.is_some_and(|deadline| deadline <= now);
        let overdue: Vec<PartyId> = self.parties.iter().filter(|party| due(party)).map(|party| party.id).collect();
        for id in overdue {
            let Some(party) = self.party(id) else { continue };
            let cause = deadline_cause(party);
            if party.is_called() {
                self.callee_failed(id, cause, now, out);
            } else {
                self.release(id, cause, now, out);
            }
        }
    }

    /// A party that is alone and not being called waits for the T-Server side, but not for ever.
    pub(super) fn watch_lonely_party(&mut self, now: Instant) {
        let wait = Duration::from_millis(self.settings.server_timeout_ms);
        let alone = self.parties.len() == 1;
        for party in self.parties.iter_mut().filter(|party| !party.is_called()) {
            let wait = if party.kept { EARLY } else { wait };
            let stays = (party.kept || self.is_room) && party.phase == PartyPhase::Connected;
            let watched = alone && !stays;
            party.deadline = watched.then(|| party.deadline.unwrap_or(now + wait));
        }
    }

    pub(super) fn leg_end_timeout(&self) -> Duration {
        Duration::from_millis(self.settings.leg_end_timeout_ms)
    }
}

/// Why a party whose deadline ran out is released. A device that rang and was not answered is 480 with Q.850 19, one that said
/// nothing 408 with Q.850 18 (RFC 3398 s.7.2.4.1). A caller whom the T-Server side forgot hears how its callee failed, or 503 so
/// that a trunk tries elsewhere.
fn deadline_cause(party: &Party) -> Cause {
    let (sip_status, q850) = match party.phase {
        PartyPhase::Alerting => (Some(480), Some(NO_ANSWER)),
        PartyPhase::Calling => (Some(408), Some(NO_USER_RESPONDING)),
        PartyPhase::Offered => (party.callee_failed.or(Some(503)), None),
        PartyPhase::Connected => (party.callee_failed, None),
    };
    Cause {
        by: ReleasedBy::Network,
        sip_status,
        q850,
        reason: None,
    }
}
