//! Keys pressed, as a device tells them: by INFO, or by what the media plane hears. And INFO that is no key.
//!
//! | leg | INFO with a key | any other INFO |
//! |---|---|---|
//! | of the direct pair | passed on | passed on |
//! | of the plane | `PartyDigit`; passed on too where two are in talk and the other one hears this one | the same, without `PartyDigit` |

use std::sync::Arc;

use bytes::Bytes;

use super::digits::{digit_of_info, is_digit};
use super::leg::LegMedia;
use super::{Conference, ConferenceOutput};
use crate::leg::LegCommand;
use crate::link::LinkNotification;
use crate::{LegId, PartyId};

impl Conference {
    pub(super) fn info(&mut self, leg: LegId, content_type: Arc<str>, body: Bytes, out: &mut Vec<ConferenceOutput>) {
        if let Some(peer) = self.join.as_ref().and_then(|join| join.peer(leg)) {
            return self.tell(peer, LegCommand::Info { content_type, body }, out);
        }
        let Some((party, _)) = self.connected_legs().find(|(_, of_party)| *of_party == leg) else {
            return;
        };
        if self.media(leg).is_some_and(LegMedia::has_port)
            && let Some(digit) = digit_of_info(&content_type, &body)
        {
            self.pressed(party, digit, out);
        }
        let others: Vec<LegId> = self
            .connected_legs()
            .map(|(_, other)| other)
            .filter(|other| *other != leg)
            .collect();
        if let [peer] = *others
            && self.matrix.is_heard(leg, peer)
        {
            self.tell(peer, LegCommand::Info { content_type, body }, out);
        }
    }

    pub(super) fn pressed(&self, party: PartyId, digit: char, out: &mut Vec<ConferenceOutput>) {
        let digit = digit.to_ascii_uppercase();
        if is_digit(digit) {
            let conference = self.id;
            let pressed = LinkNotification::PartyDigit {
                conference,
                party,
                digit,
            };
            self.notify(pressed, out);
        }
    }
}
