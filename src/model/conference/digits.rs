//! Digits in SIP INFO: `application/dtmf-relay` and `application/dtmf`, which no RFC describes and every phone knows. What a body says, and
//! digits that a device is sent that way, one after the other ([`super::ConferenceSettings::digits_by_info`]).
//!
//! Invariant: at most [`WAITING`] digits wait, each for a party; those of a party that is not in talk any more are dropped.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::operation::{TOO_MUCH, Turn};
use super::{Conference, ConferenceOutput};
use crate::PartyId;
use crate::leg::LegCommand;

/// How many digits may wait.
const WAITING: usize = 256;
/// The longest body that is read, in bytes.
const LONGEST: usize = 256;
/// How long a digit lasts, in milliseconds.
const DIGIT_MS: u64 = 160;
/// From one digit to the next. Longer than the digit, and than an INFO takes to be answered where nothing is lost: one that came after
/// its successor would be refused (RFC 3261 s.12.2.2).
const PACE: Duration = Duration::from_millis(300);
/// What a `,` stands for.
const PAUSE: Duration = Duration::from_secs(2);
/// The content type of what is sent.
const RELAY: &str = "application/dtmf-relay";

/// Digits that go out by INFO.
#[derive(Clone, Debug, Default)]
pub(super) struct InfoDigits {
    waiting: VecDeque<(PartyId, char)>,
    /// When the next one goes out; set while any waits, and for as long as the last one lasts.
    next_at: Option<Instant>,
}

impl InfoDigits {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.next_at
    }
}

impl Conference {
    /// Lets a party's device have these digits after those that wait.
    pub(super) fn queue_digits(&mut self, party: PartyId, digits: &str, now: Instant, out: &mut Vec<ConferenceOutput>) -> Turn {
        let waiting = &mut self.info_digits.waiting;
        if waiting.len() + digits.chars().count() > WAITING {
            return Turn::Failed(TOO_MUCH);
        }
        waiting.extend(digits.chars().map(|digit| (party, digit)));
        self.info_digits.next_at.get_or_insert(now);
        self.send_due_digits(now, out);
        Turn::Done
    }

    /// Sends what is due.
    pub(super) fn send_due_digits(&mut self, now: Instant, out: &mut Vec<ConferenceOutput>) {
        while let Some(due) = self.info_digits.next_at.filter(|due| *due <= now) {
            let Some((party, digit)) = self.info_digits.waiting.pop_front() else {
                self.info_digits.next_at = None;
                return;
            };
            let Some(leg) = self.leg_in_talk(party) else { continue };
            let lasts = if digit == ',' { PAUSE } else { PACE };
            self.info_digits.next_at = Some(due.max(now) + lasts);
            if digit != ',' {
                let content_type = RELAY.into();
                let body = Bytes::from(format!("Signal={digit}\r\nDuration={DIGIT_MS}\r\n"));
                self.tell(leg, LegCommand::Info { content_type, body }, out);
            }
        }
    }
}

/// The digit that an INFO carries; `None` for another content type (its parameters are ignored), or no digit.
pub(super) fn digit_of_info(content_type: &str, body: &[u8]) -> Option<char> {
    let media_type = content_type.split(';').next()?.trim();
    let text = std::str::from_utf8(body.get(..body.len().min(LONGEST))?).ok()?;
    if media_type.eq_ignore_ascii_case(RELAY) {
        // On lines of their own or not, with blanks or without.
        let spaced = text.replace('=', " ");
        let mut words = spaced.split_ascii_whitespace();
        words.find(|word| word.eq_ignore_ascii_case("signal"))?;
        signal(words.next()?)
    } else if media_type.eq_ignore_ascii_case("application/dtmf") {
        signal(text.trim())
    } else {
        None
    }
}

/// A digit, or its event code of two places (RFC 4733 s.3.2: `10` is `*`).
fn signal(text: &str) -> Option<char> {
    let text = match text {
        "10" => "*",
        "11" => "#",
        "12" => "A",
        "13" => "B",
        "14" => "C",
        "15" => "D",
        other => other,
    };
    let mut digits = text.chars().map(|digit| digit.to_ascii_uppercase());
    match (digits.next(), digits.next()) {
        (Some(digit), None) if is_digit(digit) => Some(digit),
        _ => None,
    }
}

pub(super) fn is_digit(key: char) -> bool {
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bodies_of_info_are_read() {
        for (content_type, body, expected) in [
            (RELAY, "Signal=5\r\nDuration=160\r\n", Some('5')),
            (RELAY, "Signal= *\nDuration= 250", Some('*')),
            (RELAY, "Signal=5 Duration=160", Some('5')),
            (RELAY, "signal=11", Some('#')),
            (RELAY, "Duration=x\r\nSignal=b", Some('B')),
            (RELAY, "Signal=\r\nDuration=160", None),
            (RELAY, "Duration=160", None),
            (RELAY, "", None),
            ("Application/DTMF; charset=utf-8", "7", Some('7')),
            ("application/dtmf", " # \r\n", Some('#')),
            ("application/dtmf", "77", None),
            ("application/sdp", "7", None),
        ] {
            assert_eq!(digit_of_info(content_type, body.as_bytes()), expected, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_body_of_info_breaks_anything(
            content_type in "application/dtmf(-relay)?",
            body in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let digit = digit_of_info(&content_type, &body);
            prop_assert!(digit.is_none_or(is_digit));
        }
    }
}
