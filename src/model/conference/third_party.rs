//! A call that CTI asked for: the caller's own phone is called first, then the destination is called with what the caller's phone
//! offered (RFC 3725 flow III, with the second INVITE carrying an offer; T-Library reference ch. 9.1).
//!
//! ```text
//!   first (A)            conference           second (B)
//!     |<---- INVITE, no SDP ---|                   |
//!     |----- 200, offer1 ----->|                   |
//!     |<---- ACK, inactive ----|                   |   A connected, hears nothing yet
//!     |                        |-- INVITE, offer1 >|
//!     |                        |<-- 180 -----------|   B alerting; early media is not passed
//!     |                        |<-- 200, answer ---|
//!     |                        |--- ACK ---------->|   B connected
//!     |<-- re-INVITE, answer --|                   |
//!     |--- 200, offer2 ------->|                   |
//!     |<-- ACK ----------------|                   |
//!     |                        |- re-INVITE, offer2>|  only where offer2 sends the media elsewhere
//! ```

use bytes::Bytes;

use super::join::MediaJoin;
use super::{Conference, ConferenceOutput};
use crate::LegId;
use crate::leg::{AckBody, LegCommand};

impl Conference {
    /// The first party answered, alone: its own description is kept for the second one.
    pub(super) fn first_party_answered(&mut self, leg: LegId, offer: Bytes, out: &mut Vec<ConferenceOutput>) {
        let answer = AckBody::Inactive;
        self.tell(leg, LegCommand::Ack { answer }, out);
        if let Some(first) = self.parties.first_mut() {
            first.offer = Some(offer);
        }
    }

    /// The second party answered what the first had offered.
    pub(super) fn join_third_party(
        &mut self,
        first: LegId,
        second: LegId,
        offered: Option<Bytes>,
        answer: Bytes,
        out: &mut Vec<ConferenceOutput>,
    ) {
        // A first party that is connected and not joined has given its description: see `first_party_answered`.
        let offered = offered.unwrap_or_default();
        self.join = Some(MediaJoin::third_party(first, second, offered, answer, out));
    }
}
