//! When a connector tells its T-Server, in another process, how it is: at once when its state changes, or when a session of the link is new;
//! when only numbers change, once a second at most, and not while the link is down.
//!
//! Invariant: what was told last is how it is, or it is told again within [`INTERVAL`] of the link being up.

use std::time::{Duration, Instant};

use tandem_model::connector::{ConnectorNotification, ConnectorState, ConnectorStatus};
use tandem_model::link::LinkNotification;

use super::connector_actor::ConnectorActor;
use crate::now;
use crate::sharding::ShardState;

/// Between two notifications of which only numbers differ.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was told, and when there is more to tell.
#[derive(Default, Debug)]
pub(super) struct Telling {
    told: Option<(ConnectorStatus, Instant)>,
    due: Option<Instant>,
}

impl Telling {
    /// How the connector is now. Whether the T-Server is to be told.
    fn look(&mut self, status: ConnectorStatus, link_up: bool, now: Instant) -> bool {
        self.due = None;
        let tells = match self.told {
            None => true,
            Some((told, _)) if told == status => false,
            Some((told, _)) if told.state != status.state => true,
            Some((_, at)) => {
                let is_time = link_up && now >= at + INTERVAL;
                if !is_time {
                    self.due = Some((at + INTERVAL).max(now + if link_up { Duration::ZERO } else { INTERVAL }));
                }
                is_time
            }
        };
        if tells {
            self.told = Some((status, now));
        }
        tells
    }

    /// When it is to be looked at again, whatever happens.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The T-Server knows nothing any more.
    pub(super) fn start_over(&mut self) {
        *self = Self::default();
    }
}

/// As the link has it.
fn state(state: ShardState) -> ConnectorState {
    match state {
        ShardState::Running | ShardState::Returning => ConnectorState::Running,
        ShardState::Suspending => ConnectorState::Suspending,
        ShardState::Suspended => ConnectorState::Suspended,
    }
}

impl ConnectorActor {
    /// Tells a T-Server in another process how this connector is, where that is news to it.
    pub(super) fn tell_status(&mut self) {
        let directory = self.parts.directory.clone();
        if !directory.has_remote_tserver() {
            return;
        }
        let shard = self.parts.shard.borrow();
        let stats = shard.ua.stats();
        let id = shard.id;
        let status = ConnectorStatus {
            state: state(directory.shards.state(id)),
            conferences: shard.conference_count() as u64,
            transactions: stats.transactions_active as u64,
            sessions: stats.sessions_active as u64,
        };
        drop(shard);
        if self.telling.look(status, directory.links_up() > 0, now())
            && let Some(upwards) = directory.upwards(id)
        {
            let notification = ConnectorNotification::Status(status);
            upwards.post(vec![LinkNotification::Connector(notification)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(state: ConnectorState, conferences: u64) -> ConnectorStatus {
        ConnectorStatus {
            state,
            conferences,
            ..ConnectorStatus::default()
        }
    }

    #[test]
    fn a_state_is_told_at_once_and_numbers_once_a_second() {
        use ConnectorState::{Running, Suspending};
        let (mut telling, start) = (Telling::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(telling.look(with(Running, 0), true, at(0)), "nothing was told yet");
        assert!(!telling.look(with(Running, 0), true, at(5_000)), "no news");
        assert_eq!(telling.due(), None);
        assert!(telling.look(with(Running, 1), true, at(5_000)), "the last one is long ago");
        assert!(!telling.look(with(Running, 2), true, at(5_100)));
        assert_eq!(telling.due(), Some(at(6_000)));
        assert!(telling.look(with(Suspending, 2), true, at(5_200)), "a state");
        assert_eq!(telling.due(), None);
        assert!(!telling.look(with(Suspending, 1), true, at(5_300)));
        assert!(!telling.look(with(Suspending, 2), true, at(5_400)), "as it was told");
        assert_eq!(telling.due(), None);
        assert!(!telling.look(with(Suspending, 0), true, at(6_000)));
        assert!(telling.look(with(Suspending, 0), true, at(6_200)));
    }

    #[test]
    fn numbers_wait_for_the_link_and_a_new_session_is_told_everything() {
        use ConnectorState::{Running, Suspended};
        let (mut telling, start) = (Telling::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        assert!(telling.look(with(Running, 0), false, at(0)));
        assert!(!telling.look(with(Running, 1), false, at(7)));
        assert_eq!(telling.due(), Some(at(8)), "looked at again, but not in a hurry");
        assert!(telling.look(with(Suspended, 1), false, at(7)), "the link keeps it");
        assert!(!telling.look(with(Suspended, 0), false, at(9)));
        assert!(telling.look(with(Suspended, 0), true, at(10)));
        telling.start_over();
        assert!(telling.look(with(Suspended, 0), true, at(10)));
    }
}
