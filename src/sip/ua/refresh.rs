//! Session timers (RFC 4028): a session that nobody refreshes ends, so that no peer which vanished without a BYE is counted as a call for ever.
//!
//! Invariant: where an interval was agreed on, the session is refreshed within it or ends with BYE: by us at half the interval where the
//! refresher is us; one third of the interval, 32 s at most, before its end where nothing came (s.10). Every INVITE and UPDATE in the session
//! is a refresh, and its 2xx sets the interval anew; a 2xx without an interval ends the timers (s.7.2).
//!
//! Who refreshes: a peer that supports timers and leaves the choice to us does it itself, since nobody knows better than a device what its
//! description is. We ask for no refresher and take what the callee says. Peers that do not support timers are left alone, unless a proxy
//! between asks for an interval: then we refresh (s.9, table 2).
//!
//! How: with an UPDATE without a body where the peer allows it, else with a re-INVITE that says what we said last. The shell hears of neither,
//! nor of a refresh by the peer (a re-INVITE or UPDATE with the description it gave last), which is answered with what we said last. Where the
//! peer answers our re-INVITE with a description that says something new (fewer formats, because we offered fewer, are nothing new), the shell
//! hears of it as of an offer, by `Reinvited`: others send their media there. What the shell accepts it with goes out in one more
//! re-INVITE, where it is new.
//!
//! An interval below `min_se` gets 422 from a peer that understands it; a 422 to us is taken once, with the interval it asks for (s.7.3).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::api::{SessionId, UaEvent};
use super::sessions::{Phase, Reinvite, Session};
use super::update::Offered;
use super::{Owner, UserAgent};
use crate::message::{HeaderName, Message, Params, RequestBuilder, ResponseBuilder};
use crate::session;
use crate::transaction::timer::Timer;

/// The option tag.
pub(super) const TAG: &str = "timer";

/// Min-SE where nothing is said (s.5) [s].
const DEFAULT_MIN_SE: u32 = 90;

/// The Reason of a BYE of ours when no refresh came (RFC 3326).
const EXPIRED: &str = "SIP;cause=408;text=\"session not refreshed\"";

/// So long before the end of the interval the one who waits for a refresh gives up, where that is less than a third of it (s.10).
const MARGIN: Duration = Duration::from_secs(32);

/// Who sends the refreshes, seen from a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refresher {
    /// Who sent the request.
    Uac,
    /// Who answered it.
    Uas,
}

impl Refresher {
    fn as_str(self) -> &'static str {
        match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        }
    }
}

/// What was agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Keepalive {
    /// The session interval.
    pub interval: Duration,
    /// The refresher is us.
    pub ours: bool,
}

/// What a request of ours asks for.
#[derive(Clone, Debug)]
pub(super) struct Interval {
    expires: u32,
    min_se: u32,
    refresher: Option<Refresher>,
    lengthened: bool,
}

impl Interval {
    pub fn write(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.header(HeaderName::SessionExpires, session_expires(self.expires, self.refresher));
        if self.min_se > DEFAULT_MIN_SE {
            request.header(HeaderName::MinSe, self.min_se.to_string())
        } else {
            request
        }
    }

    /// Takes the Min-SE of a 422, once.
    pub fn lengthen(&mut self, refusal: &Message) -> bool {
        let Some(min_se) = min_se(refusal).filter(|min_se| *min_se > self.expires && !self.lengthened) else {
            return false;
        };
        self.lengthened = true;
        (self.expires, self.min_se) = (min_se, min_se);
        true
    }
}

/// What a 2xx of ours grants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    expires: u32,
    refresher: Refresher,
}

impl Grant {
    /// "If the refresher parameter is uac, the UAS MUST place a Require header field into the response with the value timer" (s.9).
    pub fn write(&self, response: ResponseBuilder) -> ResponseBuilder {
        let response = response.header(HeaderName::Supported, TAG);
        let response = match self.refresher {
            Refresher::Uac => response.header(HeaderName::Require, TAG),
            Refresher::Uas => response,
        };
        response.header(
            HeaderName::SessionExpires,
            session_expires(self.expires, Some(self.refresher)),
        )
    }

    pub fn keepalive(&self) -> Keepalive {
        Keepalive {
            interval: Duration::from_secs(self.expires.into()),
            ours: self.refresher == Refresher::Uas,
        }
    }
}

impl UserAgent {
    fn min_se(&self) -> u32 {
        seconds(self.config.min_se)
    }

    /// What a request that opens or refreshes a session asks for: inside one, what was agreed on.
    pub(super) fn interval(&self, keepalive: Option<Keepalive>, opens: bool) -> Option<Interval> {
        if self.config.session_expires.is_zero() {
            return None;
        }
        let (expires, refresher) = match keepalive {
            Some(known) => {
                let refresher = if known.ours { Refresher::Uac } else { Refresher::Uas };
                (seconds(known.interval), Some(refresher))
            }
            None if opens => (seconds(self.config.session_expires), None),
            None => return None,
        };
        Some(Interval {
            expires: expires.max(self.min_se()),
            min_se: self.min_se(),
            refresher,
            lengthened: false,
        })
    }

    /// The Min-SE of the 422 that a request deserves. One that cannot know what 422 means is served (s.8.1, 9).
    pub(super) fn interval_too_small(&self, request: &Message) -> Option<String> {
        let (expires, _) = requested(request)?;
        let deserves = !self.config.session_expires.is_zero() && request.supports(TAG) && expires < self.min_se();
        deserves.then(|| self.min_se().to_string())
    }

    /// What our 2xx to a request grants (s.9).
    pub(super) fn grant_interval(&self, request: &Message) -> Option<Grant> {
        if self.config.session_expires.is_zero() {
            return None;
        }
        let (supports, ours) = (request.supports(TAG), seconds(self.config.session_expires));
        let floor = min_se(request).unwrap_or(DEFAULT_MIN_SE).max(self.min_se());
        match requested(request) {
            Some((expires, refresher)) => Some(Grant {
                // It may be lowered, not below Min-SE, and never raised; one below our own is there only by a proxy's doing.
                expires: expires.min(ours.max(floor)).max(self.min_se()),
                refresher: match refresher {
                    _ if !supports => Refresher::Uas,
                    Some(refresher) => refresher,
                    None => Refresher::Uac,
                },
            }),
            None if supports => Some(Grant {
                expires: ours.max(floor),
                refresher: Refresher::Uac,
            }),
            None => None,
        }
    }

    /// What the peer's 2xx to a request of ours says.
    pub(super) fn note_interval(&mut self, now: Instant, id: SessionId, response: &Message) {
        let on = !self.config.session_expires.is_zero();
        let agreed = requested(response).filter(|_| on).map(|(expires, refresher)| Keepalive {
            interval: Duration::from_secs(expires.max(self.min_se()).into()),
            ours: refresher != Some(Refresher::Uas),
        });
        self.keep_alive(now, id, agreed);
    }

    /// Starts the timers of a session, or stops them.
    pub(super) fn keep_alive(&mut self, now: Instant, id: SessionId, agreed: Option<Keepalive>) {
        let owner = Owner::Session(id);
        let Some(session) = self.live(id) else { return };
        session.keepalive = agreed;
        let until = agreed.map(|agreed| now + agreed.interval - MARGIN.min(agreed.interval / 3));
        session.overdue_at = until;
        self.timers.stop(owner, Timer::Renew);
        self.timers.stop(owner, Timer::Overdue);
        let (Some(Keepalive { interval, ours }), Some(until)) = (agreed, until) else {
            return;
        };
        self.timers.start(owner, Timer::Overdue, until);
        if ours {
            self.timers.start(owner, Timer::Renew, now + interval / 2);
        }
    }

    /// Half of the interval went by. While something else is under way the refresh waits: it may be none that is needed any more.
    pub(super) fn refresh_due(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        let Some(keepalive) = session.keepalive.filter(|keepalive| keepalive.ours) else {
            return;
        };
        if session.phase != Phase::Talking || session.is_negotiating() {
            return self.refresh_later(now, id, keepalive.interval / 16);
        }
        let update = session.allows_update;
        let offer = session.local_sdp.clone().filter(|_| !update);
        if !update && offer.is_none() {
            return;
        }
        session.reinvite = Some(Box::new(Reinvite {
            update,
            quiet: true,
            ..Reinvite::queued(offer)
        }));
        self.send_queued_reinvite(now, id);
    }

    /// A refresh of ours failed: it is tried again, and where that does not help the interval ends.
    pub(super) fn refresh_failed(&mut self, now: Instant, id: SessionId, status: u16) {
        if self.probe_failed(now, id, status) {
            return;
        }
        let Some(keepalive) = self.live(id).and_then(|session| session.keepalive) else {
            return;
        };
        if keepalive.ours {
            let wait = match status {
                // By other means.
                405 | 501 => Duration::ZERO,
                _ => keepalive.interval / 16,
            };
            self.refresh_later(now, id, wait);
        }
    }

    fn refresh_later(&mut self, now: Instant, id: SessionId, wait: Duration) {
        self.timers.start(Owner::Session(id), Timer::Renew, now + wait);
    }

    /// "it SHOULD send a BYE" (s.10).
    pub(super) fn session_expired(&mut self, now: Instant, id: SessionId) {
        match self.live(id).map(|session| session.phase) {
            Some(Phase::Talking) => self.end(now, id, Some(EXPIRED)),
            Some(_) => {}
            None => self.farewell_over(id),
        }
    }

    /// The peer answered our refresh with that description.
    pub(super) fn renewed_by_peer(&mut self, now: Instant, id: SessionId, sdp: Option<Bytes>) {
        let Some(session) = self.live(id) else { return };
        let is_new = sdp.as_ref().is_some_and(|sdp| {
            let last = session.remote_sdp.as_ref();
            last.is_none_or(|last| !session::says_nothing_new(sdp, last))
        });
        session.heard(sdp.as_ref());
        if is_new {
            session.offered = Some(Box::new(Offered::Renewal));
            self.timers
                .start(Owner::Session(id), Timer::Answer, now + self.timing.answer());
            self.event(UaEvent::Reinvited { session: id, offer: sdp });
        }
    }
}

impl Session {
    /// Whether an offer, an answer or an ACK is under way.
    pub fn is_negotiating(&self) -> bool {
        self.pending.is_some()
            || self.offered.is_some()
            || self.withdrawn.is_some()
            || self.unacked.is_some()
            || self.ack_due.is_some()
            || self.reinvite.is_some()
            || self.bye_wanted.is_some()
    }

    /// The answer to an offer that is the peer's last description: what we said last. `None` where the offer is news.
    pub fn refresh_answer(&self, offer: &Bytes) -> Option<Bytes> {
        let is_same = self.remote_sdp.as_ref().is_some_and(|last| session::same_media(last, offer));
        self.local_sdp.clone().filter(|_| is_same && self.phase == Phase::Talking)
    }
}

/// The Session-Expires of a message, in seconds, and its refresher.
fn requested(message: &Message) -> Option<(u32, Option<Refresher>)> {
    let value = message.header(HeaderName::SessionExpires)?;
    let (number, params) = value.split_at_checked(value.find(';').unwrap_or(value.len()))?;
    let refresher = match Params::new(params).value("refresher") {
        Some(text) if text.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
        Some(text) if text.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
        _ => None,
    };
    Some((number.trim().parse().ok()?, refresher))
}

fn min_se(message: &Message) -> Option<u32> {
    let value = message.header(HeaderName::MinSe)?;
    value.split(';').next()?.trim().parse().ok()
}

fn session_expires(expires: u32, refresher: Option<Refresher>) -> String {
    match refresher {
        Some(refresher) => format!("{expires};refresher={}", refresher.as_str()),
        None => expires.to_string(),
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
