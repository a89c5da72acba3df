//! A call that CTI asked for: the caller's own phone is called first, then the destination is called with what the caller's phone
//! offered (RFC 3725 flow III, with the second INVITE carrying an offer; T-Library reference ch. 9.1). Until then the media plane answers
//! the caller's phone, and lets it hear ringback.
//!
//! ```text
//!   first (A)            conference           second (B)
//!     |<---- INVITE, no SDP ---|                   |
//!     |----- 200, offer1 ----->|                   |
//!     |<---- ACK, the plane's -|                   |   A connected, hears nothing yet
//!     |                        |-- INVITE, offer1 >|
//!     |                        |<-- 180 -----------|   B alerting: A hears ringback; early media is not passed
//!     |                        |<-- 200, answer ---|
//!     |                        |--- ACK ---------->|   B connected: A hears nothing more of the plane
//!     |<-- re-INVITE, answer --|                   |
//!     |--- 200, offer2 ------->|                   |   A's port is closed
//!     |<-- ACK ----------------|                   |
//!     |                        |- re-INVITE, offer2>|  only where offer2 sends the media elsewhere
//! ```
//! Where something needs the plane when B answers, A stays there and B follows.

use bytes::Bytes;

use super::join::MediaJoin;
use super::leg::LegMedia;
use super::{Conference, ConferenceOutput};
use crate::LegId;
use crate::leg::{AckBody, Description};

impl Conference {
    /// A device that was asked for its offer has answered, and no other device is to answer that: the plane does. Where the party is the
    /// only one, its description is kept for the second one.
    pub(super) fn answered_by_plane(&mut self, leg: LegId, offer: Bytes, out: &mut Vec<ConferenceOutput>) {
        self.acknowledge(leg, AckBody::Answer(Description::Anchored), out);
        self.set_media(leg, LegMedia::Anchored);
        if let [only] = &mut *self.parties {
            only.offer = Some(offer);
        }
    }

    /// The second party answered what the first had offered.
    pub(super) fn join_third_party(
        &mut self,
        first: LegId,
        second: LegId,
        offered: Bytes,
        answer: Bytes,
        out: &mut Vec<ConferenceOutput>,
    ) {
        self.set_media(first, LegMedia::Leaving);
        self.join = Some(MediaJoin::third_party(first, second, offered, answer, out));
    }
}
