//! Both sides of the link agree again on who is where: after a restart of either side, and after a link break.
//!
//! The connector's word holds. Who is not in a conference is gone, as if the network had released it; who is there and is nobody's is
//! released; what was asked and may be lost is asked again: to be accepted, moved, prompted, and who hears whom. A conference that does
//! not say what it is in time is gone.

use std::time::{Duration, Instant};

use super::enter::release;
use super::joiner::Stage;
use super::{Room, RoomOutput};
use crate::link::{Cause, LinkRequest, PartyProgress, PartyStatus, ReleasedBy};
use crate::{ConferenceId, PartyId};

impl Room {
    /// Asks each conference what it is now.
    pub(super) fn audit(&mut self, now: Instant, out: &mut Vec<RoomOutput>) {
        let deadline = now + Duration::from_millis(self.settings.audit_timeout_ms);
        self.audits = self.conferences.iter().map(|conference| (*conference, deadline)).collect();
        let asked = self
            .conferences
            .iter()
            .map(|conference| LinkRequest::Audit { conference: *conference });
        out.extend(asked.map(RoomOutput::Link));
    }

    /// Whether a conference has yet to say what it is.
    pub(super) fn is_audited(&self, conference: ConferenceId) -> bool {
        self.audits.iter().any(|(audited, _)| *audited == conference)
    }

    /// Conferences that stay silent about themselves are given up.
    pub(super) fn audits_overdue(&mut self, now: Instant, out: &mut Vec<RoomOutput>) {
        while let Some((conference, _)) = self.audits.iter().find(|(_, deadline)| *deadline <= now).copied() {
            out.push(RoomOutput::Link(LinkRequest::ReleaseConference {
                conference,
                cause: Cause::normal(ReleasedBy::Server),
            }));
            self.conference_ended(conference, now, out);
        }
    }

    /// What the conference is now.
    pub(super) fn conference_state(
        &mut self,
        conference: ConferenceId,
        parties: &[PartyStatus],
        now: Instant,
        out: &mut Vec<RoomOutput>,
    ) {
        self.audits.retain(|(audited, _)| *audited != conference);
        if !self.conferences.contains(&conference) {
            return;
        }
        let is_there = |party: PartyId| parties.iter().any(|status| status.party == party);
        let is_missing = |stage: &Stage, (at, party): (ConferenceId, PartyId)| {
            let given = matches!(stage, Stage::Moving { given: true, .. });
            at == conference && !given && !is_there(party)
        };
        let mut joiners = self.joiners.iter();
        while let Some(index) = joiners.position(|joiner| is_missing(&joiner.stage, joiner.place)) {
            match &mut self.joiners[index].stage {
                Stage::Moving { given, .. } => *given = true,
                _ => self.gone(index, Some(&Cause::normal(ReleasedBy::Network)), now, out),
            }
            joiners = self.joiners.iter();
        }
        for status in parties {
            self.is_there(conference, *status, now, out);
        }
        let lost = |stage: &Stage| match stage {
            Stage::Moving { to, given, .. } => *given && !self.conferences.contains(&to.0),
            _ => false,
        };
        let lost: Vec<_> = self
            .joiners
            .iter()
            .filter(|joiner| lost(&joiner.stage))
            .map(|joiner| joiner.place)
            .collect();
        for place in lost {
            if let Some(index) = self.joiners.iter().position(|joiner| joiner.place == place) {
                self.gone(index, None, now, out);
            }
        }
        self.move_again(conference, out);
        if self.conference == Some(conference) {
            self.set_audio_again(conference, out);
        }
    }

    fn is_there(&mut self, conference: ConferenceId, status: PartyStatus, now: Instant, out: &mut Vec<RoomOutput>) {
        let place = (conference, status.party);
        let Some(index) = self.at(place.0, place.1) else {
            return out.push(release(place, Cause::normal(ReleasedBy::Server)));
        };
        match self.joiners[index].stage {
            Stage::Moving { to, .. } if to == place => self.arrived(index, now, out),
            Stage::Leaving => out.push(release(place, Cause::normal(ReleasedBy::Server))),
            Stage::Connecting if status.progress == PartyProgress::Connected => self.connected(place.0, place.1, now, out),
            Stage::Connecting => out.push(RoomOutput::Link(LinkRequest::ConnectParty {
                conference,
                party: status.party,
            })),
            Stage::Pin { .. } | Stage::Lobby => self.prompt_again(index, now, out),
            Stage::Moving { .. } | Stage::In => {}
        }
        self.device_held(conference, status.party, status.held, out);
    }

    /// Those who are on their way here, and of whom nothing was heard yet.
    fn move_again(&mut self, conference: ConferenceId, out: &mut Vec<RoomOutput>) {
        for joiner in &mut self.joiners {
            let place = joiner.place;
            if let Stage::Moving {
                operation, to, again, ..
            } = &mut joiner.stage
                && to.0 == conference
            {
                *again = true;
                out.push(RoomOutput::Link(LinkRequest::MoveParty {
                    conference,
                    operation: *operation,
                    party: to.1,
                    from: place.0,
                    from_party: place.1,
                }));
            }
        }
    }
}
