//! What devices do in talk: re-INVITE and INFO go to the other side, its answers come back. The [`super::join`] holds the order.

use std::time::Instant;

use bytes::Bytes;

use super::join::Broken;
use super::leg::LegPhase;
use super::{Conference, ConferenceOutput};
use crate::LegId;
use crate::leg::{AckBody, LegCommand, LegEvent};
use crate::link::{Cause, ReleasedBy};

impl Conference {
    /// A re-INVITE of the device. A party that is alone has nobody to answer it, and is about to get ours: 491 makes it try
    /// again.
    pub(super) fn reoffered(&mut self, leg: LegId, offer: Option<Bytes>, out: &mut Vec<ConferenceOutput>) {
        match self.join.as_mut() {
            Some(join) if join.peer(leg).is_some() => join.reoffered(leg, offer, out),
            _ => self.tell(leg, LegCommand::RejectReinvite { status: 491 }, out),
        }
    }

    /// What came of our re-INVITE, or the ACK of our 200.
    pub(super) fn exchange_went_on(&mut self, leg: LegId, event: LegEvent, now: Instant, out: &mut Vec<ConferenceOutput>) {
        let Some(join) = self.join.as_mut().filter(|join| join.peer(leg).is_some()) else {
            // Nothing of the kind is awaited; yet no 2xx may stay without its ACK.
            if matches!(event, LegEvent::ReinviteAnswered { .. }) && self.is_talking(leg) {
                let answer = AckBody::Nothing;
                self.tell(leg, LegCommand::Ack { answer }, out);
            }
            return;
        };
        let went = match event {
            LegEvent::ReinviteAnswered { sdp } => join.reinvite_answered(leg, sdp, self.settings.same_media, out),
            LegEvent::ReinviteFailed { status } => join.reinvite_failed(leg, status, out),
            LegEvent::Acked { sdp } => join.acked(leg, sdp, out),
            _ => Ok(()),
        };
        if let Err(Broken { status }) = went {
            self.release_all(Cause::status(ReleasedBy::Network, status), now, out);
        }
    }

    /// INFO in talk goes to the other side; before, there is no other side.
    pub(super) fn info(&mut self, leg: LegId, content_type: std::sync::Arc<str>, body: Bytes, out: &mut Vec<ConferenceOutput>) {
        if let Some(peer) = self.join.as_ref().and_then(|join| join.peer(leg)) {
            self.tell(peer, LegCommand::Info { content_type, body }, out);
        }
    }

    fn is_talking(&self, leg: LegId) -> bool {
        self.leg(leg).is_some_and(|leg| leg.phase == LegPhase::Talking)
    }
}
