//! Keep-alive with the semantics of ADDP: an end that hears nothing for its timeout polls; hears it nothing for as long again, the
//! connection is lost (options reference ch. J). Any byte counts as heard.

use std::time::{Duration, Instant};

/// Which end logs the polling (`addp-trace`).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AddpTrace {
    /// Nobody.
    #[default]
    Off,
    /// The end that is configured.
    Local,
    /// The other end.
    Remote,
    /// Both.
    Both,
}

impl AddpTrace {
    /// Whether the end that is configured logs.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Local | Self::Both)
    }

    /// Whether the other end logs.
    pub fn is_remote(self) -> bool {
        matches!(self, Self::Remote | Self::Both)
    }
}

/// The ADDP options of a link. A timeout of zero: that end does not poll.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Addp {
    /// `addp-timeout`: after how long of silence this end polls, and how long it then waits.
    pub timeout: Duration,
    /// `addp-remote-timeout`: the same for the other end.
    pub remote_timeout: Duration,
    /// `addp-trace`.
    pub trace: AddpTrace,
}

/// What to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// Send a poll.
    Poll,
    /// The peer did not answer: the connection is lost.
    Dead,
}

/// The watch over one connection.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    timeout: Duration,
    heard: Instant,
    /// When the poll went out that is not answered, and until when its answer may come.
    polled: Option<Instant>,
}

impl KeepAlive {
    /// Begins when the connection is up. A timeout of zero: no polls.
    pub fn new(timeout: Duration, now: Instant) -> Self {
        Self {
            timeout,
            heard: now,
            polled: None,
        }
    }

    /// Something arrived.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.polled = None;
    }

    /// Polls at once, whatever the timeout; an answer must come by `until`. `false`: an answer is awaited already.
    pub fn probe(&mut self, until: Instant) -> bool {
        let fresh = self.polled.is_none();
        self.polled = Some(self.polled.map_or(until, |before| before.min(until)));
        fresh
    }

    /// When to look again.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.polled
            .or_else(|| (!self.timeout.is_zero()).then(|| self.heard + self.timeout))
    }

    /// Looks at the time.
    pub fn timeout(&mut self, now: Instant) -> Due {
        match self.next_timeout() {
            Some(due) if due <= now => {}
            _ => return Due::Nothing,
        }
        if self.polled.is_some() {
            return Due::Dead;
        }
        self.polled = Some(now + self.timeout);
        Due::Poll
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    #[test]
    fn silence_is_polled_and_an_unanswered_poll_is_the_end() {
        let start = Instant::now();
        let mut watch = KeepAlive::new(TIMEOUT, start);
        assert_eq!(watch.timeout(start + TIMEOUT / 2), Due::Nothing);
        assert_eq!(watch.timeout(start + TIMEOUT), Due::Poll);
        assert_eq!(watch.timeout(start + TIMEOUT * 3 / 2), Due::Nothing);
        assert_eq!(watch.timeout(start + TIMEOUT * 2), Due::Dead);
    }

    #[test]
    fn any_byte_puts_the_poll_off() {
        let start = Instant::now();
        let mut watch = KeepAlive::new(TIMEOUT, start);
        assert_eq!(watch.timeout(start + TIMEOUT), Due::Poll);
        watch.heard(start + TIMEOUT + TIMEOUT / 2);
        assert_eq!(watch.next_timeout(), Some(start + TIMEOUT * 5 / 2));
        assert_eq!(watch.timeout(start + TIMEOUT * 2), Due::Nothing);
    }

    #[test]
    fn without_a_timeout_only_a_probe_finds_a_dead_peer() {
        let start = Instant::now();
        let mut watch = KeepAlive::new(Duration::ZERO, start);
        assert_eq!((watch.next_timeout(), watch.timeout(start + TIMEOUT)), (None, Due::Nothing));
        assert!(watch.probe(start + TIMEOUT));
        assert!(!watch.probe(start + TIMEOUT * 9));
        assert_eq!(watch.timeout(start + TIMEOUT), Due::Dead);
    }
}
