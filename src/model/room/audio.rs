//! Who hears whom inside: everybody everybody, but the muted ones; music for one that is alone; a tone when somebody comes or goes.
//!
//! One `SetAudio` is under way at a time: what changes meanwhile is sent after its answer. A plan that a device did not follow is
//! tried again after a while.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::joiner::Joiner;
use super::{Room, RoomOutput};
use crate::ConferenceId;
use crate::link::{AudioPlan, AudioSource, Hearing, LinkRequest, OperationId, Tone};

/// How long after a plan that failed it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What is known of the matrix of the room's conference.
#[derive(Clone, Default, Debug)]
pub(super) struct Audio {
    /// What was sent last; none where a plan is in force that the room did not send.
    sent: Option<AudioPlan>,
    pending: Option<OperationId>,
    /// Until when the tone lasts.
    pub(super) tone_until: Option<Instant>,
    /// When a plan that failed is tried again.
    pub(super) retry_at: Option<Instant>,
}

impl Audio {
    /// A conference that becomes the room's; `prompted`: another plan than none is in force there.
    pub(super) fn begin(&mut self, prompted: bool) {
        *self = Self {
            sent: (!prompted).then(AudioPlan::default),
            ..Self::default()
        };
    }

    pub(super) fn is_pending(&self, operation: OperationId) -> bool {
        self.pending == Some(operation)
    }
}

impl Room {
    /// Starts the tone that tells of a change, where there is anybody to hear it.
    pub(super) fn announce(&mut self, now: Instant) {
        if self.settings.announce && self.inside().count() > 1 {
            self.audio.tone_until = Some(now + Duration::from_millis(self.settings.announce_ms));
        }
    }

    /// Sends the plan where it differs from the one in force and none is under way.
    pub(super) fn set_audio(&mut self, out: &mut Vec<RoomOutput>) {
        let Some(conference) = self.conference else { return };
        if self.is_audited(conference)
            || self.audio.pending.is_some()
            || self.audio.retry_at.is_some()
            || self.inside().next().is_none()
        {
            return;
        }
        let plan = self.plan();
        if self.audio.sent.as_ref() == Some(&plan) {
            return;
        }
        let operation = self.operation();
        self.audio.pending = Some(operation);
        self.audio.sent = Some(plan.clone());
        out.push(RoomOutput::Link(LinkRequest::SetAudio {
            conference,
            operation,
            plan,
        }));
    }

    /// What may be lost is said again: the plan that is not answered under its id, else the whole plan.
    pub(super) fn set_audio_again(&mut self, conference: ConferenceId, out: &mut Vec<RoomOutput>) {
        if let (Some(operation), Some(plan)) = (self.audio.pending, self.audio.sent.clone()) {
            return out.push(RoomOutput::Link(LinkRequest::SetAudio {
                conference,
                operation,
                plan,
            }));
        }
        (self.audio.sent, self.audio.retry_at) = (None, None);
        self.set_audio(out);
    }

    pub(super) fn audio_done(&mut self, out: &mut Vec<RoomOutput>) {
        self.audio.pending = None;
        self.set_audio(out);
    }

    pub(super) fn audio_failed(&mut self, now: Instant) {
        self.audio.pending = None;
        self.audio.sent = None;
        self.audio.retry_at = Some(now + RETRY);
    }

    pub(super) fn audio_overdue(&mut self, now: Instant, out: &mut Vec<RoomOutput>) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if !due(self.audio.tone_until) && !due(self.audio.retry_at) {
            return;
        }
        if due(self.audio.tone_until) {
            self.audio.tone_until = None;
        }
        if due(self.audio.retry_at) {
            self.audio.retry_at = None;
        }
        self.set_audio(out);
    }

    fn plan(&self) -> AudioPlan {
        let inside: SmallVec<[&Joiner; 8]> = self.inside().collect();
        if let [alone] = inside.as_slice() {
            let music = self.settings.music.then_some(AudioSource::Music(None));
            let row = music.map(|music| Hearing {
                party: alone.place.1,
                sources: SmallVec::from_iter([music]),
            });
            return AudioPlan {
                rows: row.into_iter().collect(),
            };
        }
        let tone = self.audio.tone_until.map(|_| AudioSource::Tone(Tone::Beep));
        // Who has no row is heard by all without one: with no tone, only the muted ones need theirs.
        let needs_row = |joiner: &&&Joiner| tone.is_some() || joiner.muted;
        let row = |of: &&Joiner| {
            let others = inside.iter().filter(|other| !other.muted && other.place != of.place);
            let heard = others.map(|other| AudioSource::Party(other.place.1));
            Hearing {
                party: of.place.1,
                sources: heard.chain(tone.clone()).collect(),
            }
        };
        AudioPlan {
            rows: inside.iter().filter(needs_row).map(row).collect(),
        }
    }
}
