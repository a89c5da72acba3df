//! One message that is sent again until something comes, or until it is given up.
//!
//! Covers timers A/B (INVITE, no cap), E/F (other requests) and G/H (final answers) of RFC 3261 s.17; on a reliable
//! transport only the giving up remains.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{GIVE_UP, T1};

/// What the time asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Send these bytes there again.
    Again(Vec<u8>, Option<SocketAddr>),
    /// It was sent for 64*T1 in vain.
    GiveUp,
}

/// The message and its schedule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resend {
    bytes: Vec<u8>,
    to: Option<SocketAddr>,
    again_at: Option<Instant>,
    interval: Duration,
    cap: Duration,
    give_up_at: Instant,
}

impl Resend {
    /// A message that was just sent for the first time.
    pub fn new(bytes: Vec<u8>, to: Option<SocketAddr>, now: Instant, cap: Duration, reliable: bool) -> Self {
        Self {
            bytes,
            to,
            again_at: (!reliable).then_some(now + T1),
            interval: T1,
            cap,
            give_up_at: now + GIVE_UP,
        }
    }

    /// Something came: no more repeats, but it may still be given up. A ringing phone gets `more` time.
    pub fn quiet(&mut self, more: Duration) {
        self.again_at = None;
        self.give_up_at += more;
    }

    /// When [`Resend::on_time`] is due.
    pub fn next_due(&self) -> Instant {
        self.again_at.map_or(self.give_up_at, |at| at.min(self.give_up_at))
    }

    /// The message itself.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// What is due now.
    pub fn on_time(&mut self, now: Instant) -> Due {
        if self.give_up_at <= now {
            return Due::GiveUp;
        }
        match self.again_at {
            Some(at) if at <= now => {
                self.interval = (self.interval * 2).min(self.cap);
                self.again_at = Some(at + self.interval);
                Due::Again(self.bytes.clone(), self.to)
            }
            _ => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(cap: Duration, reliable: bool) -> Vec<u128> {
        let start = Instant::now();
        let mut resend = Resend::new(Vec::new(), None, start, cap, reliable);
        let mut times = Vec::new();
        loop {
            let now = resend.next_due();
            match resend.on_time(now) {
                Due::Again(..) => times.push((now - start).as_millis()),
                Due::GiveUp => return [times, vec![(now - start).as_millis()]].concat(),
                Due::Nothing => panic!("due at {now:?}, but nothing to do"),
            }
        }
    }

    #[test]
    fn the_schedule_is_that_of_rfc_3261() {
        assert_eq!(times(GIVE_UP, false), [500, 1500, 3500, 7500, 15500, 31500, 32000]);
        let capped = times(Duration::from_secs(4), false);
        assert_eq!(
            capped,
            [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500, 32000]
        );
        assert_eq!(times(GIVE_UP, true), [32000]);
    }
}
