//! What happens when a device or a connector takes too long.

use std::time::Instant;

use super::joiner::Stage;
use super::leave::Dismissal;
use super::{Room, RoomOutput};
use crate::link::{Cause, LinkRequest, ReleasedBy};

impl Room {
    /// When [`super::RoomInput::Timeout`] is due; `None` while nothing is. A timeout that comes early changes nothing.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.finished {
            return None;
        }
        let joiners = self
            .joiners
            .iter()
            .flat_map(|joiner| [joiner.deadline, joiner.tone_until])
            .flatten();
        let audio = [self.audio.tone_until, self.audio.retry_at, self.deadline];
        let audits = self.audits.iter().map(|(_, deadline)| *deadline);
        joiners.chain(audio.into_iter().flatten()).chain(audits).min()
    }

    pub(super) fn timed_out(&mut self, now: Instant, out: &mut Vec<RoomOutput>) {
        self.audits_overdue(now, out);
        self.audio_overdue(now, out);
        let overdue = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        while let Some(index) = self.joiners.iter().position(|joiner| overdue(joiner.tone_until)) {
            self.tone_overdue(index, out);
        }
        // Each round settles one joiner or gives it a later deadline.
        while let Some(index) = self.joiners.iter().position(|joiner| overdue(joiner.deadline)) {
            match self.joiners[index].stage {
                Stage::Pin { .. } => self.pin_overdue(index, now, out),
                Stage::Leaving => self.gone(index, None, now, out),
                // It may be here or there: both are told to let go.
                Stage::Moving { to, .. } => {
                    self.dismiss(index, Dismissal::status(504), now, out);
                    let cause = Cause::status(ReleasedBy::Server, 504);
                    out.push(super::enter::release(to, cause.clone()));
                    self.ask_release(index, cause, now, out);
                }
                Stage::Connecting => self.dismiss(index, Dismissal::status(504), now, out),
                Stage::Lobby | Stage::In => self.joiners[index].deadline = None,
            }
        }
        if self.closed && overdue(self.deadline) {
            // A connector that is so late may have parties yet that nobody knows.
            let silent = self
                .conferences
                .drain(..)
                .filter(|conference| self.audits.iter().any(|(of, _)| of == conference));
            out.extend(silent.map(|conference| {
                let cause = Cause::normal(ReleasedBy::Server);
                RoomOutput::Link(LinkRequest::ReleaseConference { conference, cause })
            }));
            self.audits.clear();
            self.joiners.clear();
        }
    }
}
