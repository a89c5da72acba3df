//! Sessions that come back from what was kept of them ([`super::snapshot`]), and finding out who is gone.
//!
//! Invariant: a restored session is in talk and nothing is open in it, except that a 2xx of ours without an ACK is sent again until the ACK
//! comes. What the peer says in its dialog is served at once.
//!
//! What was in flight is forgotten, and what may come of it is met:
//!
//! * a re-INVITE of the peer that waited for its answer gets 500 with Retry-After;
//! * the last request of the peer may come again, for our response may never have gone out: its CSeq is taken once more. A copy of the
//!   INVITE whose 2xx is not acknowledged gets that 2xx;
//! * requests of ours may have gone out after what was kept: our CSeq goes on [`CSEQ_MARGIN`] above it;
//! * a 2xx to an INVITE of ours comes again until it has its ACK ([`super::stray`]).
//!
//! Then the peer is asked whether it is still there: each restored session is refreshed, one after the other
//! ([`UserAgent::set_probe_spacing`]), as RFC 4028 refreshes are (`refresh`). No answer, 408 and 481 end the session, as does a peer
//! that cannot be reached in [`MAX_PROBES`] attempts and is no device that may come back; any other answer shows that it lives.
//!
//! Connections are gone with the process: a stream peer is reached at its Contact or Route over a new one, or over the one it opens itself
//! with its next request; a device also over that with its next registration, for which the session waits ([`super::device`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::api::{Credentials, SessionId, UaEvent};
use super::client::Unanswered;
use super::draft;
use super::refresh::Keepalive;
use super::server::reply_flow;
use super::sessions::{Phase, Reinvite, Session, Unacked};
use super::snapshot::{Kept, SessionSnapshot};
use super::{Owner, UserAgent, ident};
use crate::anchor::{Anchor, instant};
use crate::flow::{Flow, Hop};
use crate::message::{HeaderName, Message, Method, NameAddr};
use crate::transaction::timer::Timer;

/// So far above what was kept our CSeq numbers go on: gaps are allowed (RFC 3261 s.12.2.2), going back is not.
pub(super) const CSEQ_MARGIN: u32 = 100;

/// How long after one another restored sessions are refreshed: 1,200 of them in 2.4 s.
pub(super) const PROBE_SPACING: Duration = Duration::from_millis(2);

/// How often a peer is asked that cannot be reached, or that says that it cannot answer now.
const MAX_PROBES: u8 = 5;

/// The same of a device whose edge says that it has no connection: for about an hour, which is what devices register for where nobody tells
/// them otherwise (RFC 3261 s.10.2.1.1). How long it really is only the edge knows.
const MAX_ABSENT: u8 = 112;

/// "Flow Failed" (RFC 5626 s.11.6).
const FLOW_FAILED: u16 = 430;

/// What a 2xx of ours says besides its description.
const ANSWER_HEADERS: [HeaderName; 5] = [
    HeaderName::Contact,
    HeaderName::Allow,
    HeaderName::Supported,
    HeaderName::Require,
    HeaderName::SessionExpires,
];

/// Why a session cannot come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreError {
    /// A session of that id, or with that tag, is there already.
    #[error("a session with that id or tag is there already")]
    Duplicate,
    /// Its tag is not one of this user agent: requests in its dialog would never come here.
    #[error("the local tag is not one of this user agent")]
    ForeignTag,
    /// No listener has the transport and address family of its flow any more.
    #[error("no listener leads to the peer any more")]
    NoListener,
    /// Its time was over meanwhile.
    #[error("its time is over")]
    Over,
    /// The message that is kept of it is none.
    #[error("its message cannot be read")]
    Unreadable,
}

/// What a session has still to do since it came back.
#[derive(Debug, Default)]
pub(super) struct Restored {
    /// The peer has not answered yet.
    probing: bool,
    probes: u8,
    /// The peer may have taken an offer that nobody here knows: what we said last has to be said again.
    astray: bool,
    /// The key of the INVITE in the table of answered ones.
    answered: Option<Arc<str>>,
    /// The answer to it.
    answer: Option<Bytes>,
}

impl UserAgent {
    /// Brings a session back. Its peer is asked soon whether it is still there; until that is known it is a session like any other. New
    /// sessions get ids above it.
    pub fn restore_session(
        &mut self,
        now: Instant,
        anchor: Anchor,
        id: SessionId,
        snapshot: SessionSnapshot,
    ) -> Result<(), RestoreError> {
        let tag = NameAddr::parse(&snapshot.dialog.local)
            .ok()
            .and_then(|local| ident::parse_tag(local.tag()?));
        let Some((_, local_tag)) = tag.filter(|(shard, _)| *shard == self.config.shard) else {
            return Err(RestoreError::ForeignTag);
        };
        if self.sessions.get(&id).is_some() || self.by_tag.contains_key(&local_tag) {
            return Err(RestoreError::Duplicate);
        }
        let flow = self.reopened(snapshot.dialog.flow).ok_or(RestoreError::NoListener)?;
        let mut session = Session::restored(local_tag, flow, &snapshot, self.timing.t1);
        let probe_at = self.next_probe.map_or(now, |next| next.max(now)) + self.probe_spacing;
        self.next_probe = Some(probe_at);
        if let Some(kept) = snapshot.keepalive.filter(|_| !self.config.session_expires.is_zero()) {
            // Not before the peer had time to answer.
            let floor = probe_at + self.timing.patience() * 2;
            let at = instant(anchor, kept.until, floor);
            session.keepalive = Some(Keepalive::from(kept));
            session.overdue_at = Some(at);
            self.timers.start(Owner::Session(id), Timer::Overdue, at);
        }
        if let Some(unacked) = &session.unacked {
            let key = session
                .dialogs
                .first()
                .map(|dialog| answered_key(&dialog.remote_tag, &session.call_id, unacked.cseq));
            if let (Some(key), Some(restored)) = (key, session.restored.as_mut()) {
                restored.answered = Some(key.clone());
                self.answered.insert(key, id);
            }
            self.timers.start(Owner::Session(id), Timer::Success, now);
            self.timers
                .start(Owner::Session(id), Timer::NoAck, now + self.timing.patience());
        }
        self.timers.start(Owner::Session(id), Timer::Probe, probe_at);
        session.kept = Kept::of(&session).map(Box::new);
        self.go_on_above(id.0);
        self.dialogs += session.dialogs.len();
        self.live_sessions += 1;
        self.by_tag.insert(local_tag, id);
        if let Some(device) = &session.device {
            self.sessions_of.entry(device.aor.clone()).or_default().push(id);
        }
        self.sessions.insert(id, session);
        if let Some((flow, bytes)) = snapshot.pending {
            self.refuse_left(now, flow, bytes);
        }
        Ok(())
    }

    /// How long after one another restored sessions are refreshed, from now on. Default 2 ms.
    pub fn set_probe_spacing(&mut self, spacing: Duration) {
        self.probe_spacing = spacing;
    }

    /// A re-INVITE of the peer that waits since the process before, and after its 100 does not come again: the peer may try once more
    /// (RFC 3261 s.14.2).
    fn refuse_left(&mut self, now: Instant, from: Flow, bytes: Bytes) {
        let Some((flow, request)) = self.reopened(from).zip(Message::parse(bytes).ok()) else {
            return;
        };
        let peer = match flow.connection {
            None if flow.transport.is_reliable() => reply_flow(flow, &request).1,
            _ => flow.peer,
        };
        self.ask_for_patience(now, Flow { peer, ..flow }, &request, &Method::Invite);
    }

    /// Gives no id up to this one to anything new: the process before may have given them out.
    pub fn go_on_above(&mut self, id: u64) {
        self.last_id = self.last_id.max(id);
    }

    /// The last id that was given to anything.
    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Gives a restored session the credentials that it had: passwords are not kept.
    pub fn set_credentials(&mut self, id: SessionId, credentials: Option<Credentials>) {
        if let Some(session) = self.commanded(id) {
            session.credentials = credentials.map(Box::new);
        }
    }

    /// The flow of before, over a listener that is there. What was written down has no connection; what comes from a user agent of this
    /// process still has it.
    pub(super) fn reopened(&self, flow: Flow) -> Option<Flow> {
        let same = self
            .listener(flow.listener)
            .filter(|listener| listener.transport == flow.transport);
        match same {
            Some(_) => Some(flow),
            None => self.flow_to(Hop {
                transport: flow.transport,
                addr: flow.peer,
            }),
        }
    }

    /// Time to ask the peer of a restored session whether it is there.
    pub(super) fn probe_due(&mut self, now: Instant, id: SessionId) {
        let t1 = self.timing.t1;
        let Some(session) = self.live(id) else { return };
        if session.phase != Phase::Talking || session.restored.as_ref().is_none_or(|restored| !restored.probing) {
            return;
        }
        if session.is_negotiating() {
            return self.timers.start(Owner::Session(id), Timer::Probe, now + t1 * 2);
        }
        let astray = session.restored.as_ref().is_some_and(|restored| restored.astray);
        // What waits to be offered shows it as well.
        if session.renewed.is_none() {
            let update = session.allows_update && !astray;
            let offer = session.local_sdp.clone().filter(|_| !update);
            if !update && offer.is_none() {
                return self.peer_is_there(now, id);
            }
            session.reinvite = Some(Box::new(Reinvite {
                update,
                quiet: true,
                ..Reinvite::queued(offer)
            }));
        }
        self.send_queued_reinvite(now, id);
    }

    /// The peer answered a request of ours.
    pub(super) fn peer_is_there(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        let Some(restored) = session.restored.as_mut() else { return };
        restored.astray = false;
        if std::mem::take(&mut restored.probing) {
            self.timers.stop(Owner::Session(id), Timer::Probe);
            // Its interval goes on from here, where nothing else has set it.
            let keepalive = self.live(id).and_then(|session| session.keepalive);
            if keepalive.is_some() {
                self.keep_alive(now, id, keepalive);
            }
        }
    }

    /// The probe of a restored session failed with that status. Says whether it is tried again, or more was done.
    pub(super) fn probe_failed(&mut self, now: Instant, id: SessionId, status: u16) -> bool {
        let (t1, patience) = (self.timing.t1, self.timing.patience());
        let lost = self.sessions.get(&id).is_some_and(|session| self.has_lost_device(session));
        let Some(restored) = self.live(id).and_then(|session| session.restored.as_mut()) else {
            return false;
        };
        restored.probes = restored.probes.saturating_add(1);
        let wait = match status {
            // By other means.
            405 | 501 => Duration::ZERO,
            FLOW_FAILED | 491 | 500 | 503 | 504 => t1 * (2 << restored.probes.min(MAX_PROBES)),
            _ => {
                restored.probing = false;
                return false;
            }
        };
        let exhausted = restored.probes >= MAX_PROBES;
        // A device that connects to us, or to its edge, may be back at any time.
        let may_come = lost || status == FLOW_FAILED;
        restored.probing &= may_come || !exhausted;
        if !restored.probing {
            return false;
        }
        if status == FLOW_FAILED && restored.probes >= MAX_ABSENT {
            self.dialog_lost(now, id, status);
            return true;
        }
        let wait = if exhausted { patience } else { wait };
        self.timers.start(Owner::Session(id), Timer::Probe, now + wait);
        if exhausted && lost {
            self.event(UaEvent::OutOfReach { session: id });
        }
        true
    }

    /// The peer may be there again: one that was not found yet is asked at once.
    pub(super) fn ask_again(&mut self, now: Instant, id: SessionId) {
        let restored = self.live(id).and_then(|session| session.restored.as_mut());
        if let Some(restored) = restored.filter(|restored| restored.probing) {
            restored.probes = 0;
            self.timers.start(Owner::Session(id), Timer::Probe, now);
        }
    }

    /// The device of a session that is out of reach does not come back.
    pub fn give_up(&mut self, now: Instant, id: SessionId) {
        if self.commanded_in(id, Phase::Talking) {
            self.dialog_lost(now, id, Unanswered::Unreachable.status());
        }
    }

    /// Whether a session is with a device that may connect anew, and has not yet.
    pub(super) fn has_lost_device(&self, session: &Session) -> bool {
        let flow = session
            .dialogs
            .first()
            .map(|dialog| dialog.flow)
            .filter(|_| session.connects());
        flow.is_some_and(|flow| flow.connection.is_none() || self.closed.holds(&flow))
    }

    /// Whether the peer of a restored session could not be reached so often that it counts as gone. Of a device that connects to us the
    /// shell knows that.
    pub(super) fn is_gone(&self, id: SessionId) -> bool {
        let session = self.sessions.get(&id).filter(|session| !session.connects());
        let restored = session.and_then(|session| session.restored.as_ref());
        restored.is_some_and(|restored| restored.probing && restored.probes + 1 >= MAX_PROBES)
    }

    /// The peer took an offer that nobody here stands by: it gets our last description once more.
    pub(super) fn probe_astray(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        let restored = session.restored.get_or_insert_default();
        (restored.probing, restored.astray, restored.probes) = (true, true, 0);
        self.timers.start(Owner::Session(id), Timer::Probe, now);
    }

    /// A copy of an INVITE that the process before answered gets that answer, and it is waited for its ACK (again). Says whether it was one.
    pub(super) fn answer_again(&mut self, now: Instant, flow: Flow, request: &Message) -> bool {
        if self.answered.is_empty() {
            return false;
        }
        let from_tag = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
        let cseq = request.cseq().map_or(0, |(number, _)| number);
        let key = answered_key(from_tag, request.call_id().unwrap_or_default(), cseq);
        let Some(id) = self.answered.get(&key).copied() else {
            return false;
        };
        self.stats.retransmissions_received += 1;
        let Some(session) = self.live(id) else { return true };
        let (tag, interval) = (session.local_tag, session.unacked.as_ref().map(|unacked| unacked.interval));
        let answer = session.restored.as_ref().and_then(|restored| restored.answer.clone());
        let Some(answer) = answer.and_then(|bytes| Message::parse(bytes).ok()) else {
            return true;
        };
        // It may have come another way than the first, and waits for a response of its own.
        let mut response = self.response(request, flow, 200).to_tag(&ident::tag(self.config.shard, tag));
        for name in ANSWER_HEADERS {
            let values: Vec<&str> = answer.headers(name).collect();
            if !values.is_empty() {
                response = response.header(name, values.join(", "));
            }
        }
        let bytes = match answer.sdp() {
            Some(sdp) => response.body(draft::SDP, sdp).finish(),
            None => response.finish(),
        };
        let copy = (reply_flow(flow, request).0, bytes);
        let t1 = self.timing.t1;
        if let Some(session) = self.live(id) {
            let offers = session.unacked.as_ref().is_some_and(|unacked| unacked.offers);
            session.unacked = Some(Box::new(Unacked::copied(cseq, offers, copy, interval.unwrap_or(t1 / 2))));
        }
        if interval.is_none() {
            self.timers
                .start(Owner::Session(id), Timer::NoAck, now + self.timing.patience());
        }
        self.repeat_success(now, id);
        true
    }
}

impl Session {
    fn restored(local_tag: u64, flow: Flow, kept: &SessionSnapshot, t1: Duration) -> Self {
        let mut dialog = kept.dialog.clone();
        dialog.flow = flow;
        dialog.local_cseq = dialog.local_cseq.saturating_add(CSEQ_MARGIN);
        dialog.remote_cseq = dialog.remote_cseq.map(|number| number.saturating_sub(1));
        let mut session = Self::new(Phase::Talking, local_tag, dialog.call_id.clone());
        session.dialogs.push(dialog);
        session.outgoing = kept.outgoing;
        session.local_sdp = kept.local_sdp.clone();
        session.remote_sdp = kept.remote_sdp.clone();
        session.renewed = kept.renewed.clone();
        session.accepted = kept.accepted;
        session.allows_update = kept.allows_update;
        session.takes_talk = kept.takes_talk;
        session.device = kept.device.clone();
        session.elsewhere = kept.elsewhere;
        session.unacked = kept.unacked.as_ref().map(|kept| {
            let listener = flow.listener;
            let copy = (Flow { listener, ..kept.flow }, kept.bytes.clone());
            Box::new(Unacked::copied(kept.cseq, kept.offers, copy, t1 / 2))
        });
        session.bye_wanted = (kept.leaving && session.unacked.is_some()).then_some(None);
        session.restored = Some(Box::new(Restored {
            probing: true,
            answer: kept.unacked.as_ref().map(|kept| kept.bytes.clone()),
            ..Restored::default()
        }));
        session
    }

    /// Where a copy of its INVITE is looked for.
    pub(super) fn answered_key(&self) -> Option<&Arc<str>> {
        self.restored.as_ref()?.answered.as_ref()
    }
}

impl Unacked {
    /// The 2xx of the process before. Nothing is told that the shell does not wait for.
    fn copied(cseq: u32, offers: bool, copy: (Flow, Bytes), interval: Duration) -> Self {
        Self {
            transaction: 0,
            status: 200,
            cseq,
            interval,
            quiet: !offers,
            offers,
            copy: Some(copy),
        }
    }
}

/// What all copies of an INVITE have in common (RFC 3261 s.8.2.2.2).
fn answered_key(from_tag: &str, call_id: &str, cseq: u32) -> Arc<str> {
    format!("{from_tag}|{call_id}|{cseq}").into()
}
