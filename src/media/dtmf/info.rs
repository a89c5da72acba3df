//! Digits in the body of SIP INFO: `application/dtmf-relay` and `application/dtmf`, which no RFC describes and every phone knows.

use super::{DIGITS, digit_of, event_of};

/// How long a digit lasts where the body does not say, in milliseconds.
const USUAL_MS: u32 = 160;
/// The longest body that is read, in bytes.
const LONGEST: usize = 256;

/// A digit that an INFO carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InfoDigit {
    /// Which.
    pub digit: char,
    /// How long, in milliseconds: 1 to 10,000.
    pub duration_ms: u32,
}

impl InfoDigit {
    /// Reads a body of that Content-Type (parameters are ignored); `None` for another type, or no digit.
    pub fn parse(content_type: &str, body: &[u8]) -> Option<Self> {
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        let body = std::str::from_utf8(body.get(..body.len().min(LONGEST))?).ok()?;
        if content_type.eq_ignore_ascii_case("application/dtmf-relay") {
            relay(body)
        } else if content_type.eq_ignore_ascii_case("application/dtmf") {
            Some(Self {
                digit: digit(body)?,
                duration_ms: USUAL_MS,
            })
        } else {
            None
        }
    }
}

/// The body of an `application/dtmf-relay` for a digit.
pub fn relay_body(digit: InfoDigit) -> String {
    format!("Signal={}\r\nDuration={}\r\n", digit.digit, digit.duration_ms)
}

/// `Signal=5` and `Duration=160`, on lines of their own or not, with blanks or without.
fn relay(body: &str) -> Option<InfoDigit> {
    let (mut signal, mut duration_ms) = (None, USUAL_MS);
    let spaced = body.replace('=', " ");
    let words: Vec<&str> = spaced.split_ascii_whitespace().collect();
    for pair in words.windows(2) {
        if pair[0].eq_ignore_ascii_case("Signal") {
            signal = signal.or_else(|| digit(pair[1]));
        } else if pair[0].eq_ignore_ascii_case("Duration") {
            duration_ms = pair[1].parse().unwrap_or(USUAL_MS);
        }
    }
    Some(InfoDigit {
        digit: signal?,
        duration_ms: duration_ms.clamp(1, 10_000),
    })
}

/// A digit, or its event number of two places (`10` is `*`).
fn digit(text: &str) -> Option<char> {
    let text = text.trim();
    let mut chars = text.chars();
    let first = chars.next()?;
    if chars.next().is_none() {
        return event_of(first).and_then(digit_of);
    }
    let number: usize = text.parse().ok()?;
    (number >= 10).then(|| DIGITS.get(number).copied()).flatten()
}
