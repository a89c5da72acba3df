//! Re-INVITE, both ways, and its glare (RFC 3261 s.14).
//!
//! Invariant: one INVITE at a time in a dialog, in whatever direction. Ours waits for the ACK of what went before; the peer's gets 491 while
//! ours is open and 500 while its own is ([`open_offer`], which UPDATE shares). One that says what the peer said last is a session refresh
//! and is answered here ([`super::refresh`]).
//!
//! A request with the tags of a dialog is served wherever it comes from (s.12.2.2: a peer may move), and a re-INVITE that is accepted takes
//! the dialog's flow along; a CANCEL alone must come from where its INVITE came from.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;

use super::api::{SessionId, UaEvent};
use super::client::{ClientKey, Unanswered};
use super::draft::SDP;
use super::server::ServerUser;
use super::sessions::{AckDue, Pending, Phase, Reinvite, Stage, Withdrawn};
use super::snapshot::AcceptedInvite;
use super::update::open_offer;
use super::{Owner, UserAgent};
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method};
use crate::session;
use crate::transaction::timer::Timer;

/// How often a re-INVITE is tried again after 491, or after 500 with Retry-After.
const MAX_GLARES: u8 = 5;
/// The seconds that a peer may ask for, which has an INVITE open: "between 0 and 10" (s.14.2).
const MAX_RETRY_AFTER: u64 = 10;
/// The least that is waited where it asks for 0.
const MIN_BACKOFF: Duration = Duration::from_millis(200);

impl UserAgent {
    /// Sends a re-INVITE; without an offer the peer is asked for one. Waits for an ACK that is due, and for a session refresh of ours; while
    /// the peer's own re-INVITE or UPDATE is being answered it fails with 491 at once, since that answer may depend on the one who asks.
    ///
    /// Before the session is answered the offer goes in an UPDATE: it fails with 405 where the peer does not allow that, with 491 where the
    /// INVITE's own offer is not answered reliably yet, or where there is no offer. It waits for the PRACK of that answer.
    pub fn reinvite(&mut self, now: Instant, id: SessionId, offer: Option<Bytes>) {
        let Some(session) = self.commanded(id) else { return };
        if session.bye_wanted.is_some() {
            self.stats.commands_ignored += 1;
            return;
        }
        if session.phase != Phase::Talking {
            return self.offer_early(now, id, offer);
        }
        let refresh = session
            .reinvite
            .as_ref()
            .filter(|reinvite| reinvite.quiet)
            .map(|refresh| refresh.stage);
        let busy = session.reinvite.is_some() && refresh.is_none();
        if busy
            || session.pending.is_some()
            || session.withdrawn.is_some()
            || session.offered.is_some()
            || session.wanted.is_some()
        {
            return self.event(UaEvent::ReinviteFailed {
                session: id,
                status: 491,
            });
        }
        if matches!(refresh, Some(Stage::Sent(_))) {
            session.wanted = Some(offer);
            return;
        }
        // One that has not gone out yet is not needed any more: this is a refresh too.
        session.renewed = None;
        session.reinvite = Some(Box::new(Reinvite::queued(offer)));
        self.timers.stop(Owner::Session(id), Timer::Glare);
        self.send_queued_reinvite(now, id);
    }

    /// Our session refresh is over: what the shell wanted meanwhile goes out.
    pub(super) fn send_wanted_reinvite(&mut self, now: Instant, id: SessionId) {
        match self.live(id).and_then(|session| session.wanted.take()) {
            Some(offer) => self.reinvite(now, id, offer),
            None => self.send_queued_reinvite(now, id),
        }
    }

    /// Sends the re-INVITE that waits, where nothing is open any more.
    pub(super) fn send_queued_reinvite(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        let talking = session.phase == Phase::Talking;
        let busy = talking && (session.pending.is_some() || session.unacked.is_some() || session.ack_due.is_some());
        if talking && !busy && session.reinvite.is_none() && session.offered.is_none() {
            let said = session.local_sdp.as_ref();
            let is_new = |sdp: &Bytes| said.is_none_or(|said| !session::same_media(said, sdp));
            session.reinvite = session.renewed.take().filter(is_new).map(|sdp| {
                Box::new(Reinvite {
                    quiet: true,
                    ..Reinvite::queued(Some(sdp))
                })
            });
        }
        let fork = session.reinvite.as_ref().and_then(|reinvite| reinvite.fork.as_deref());
        let may_go = talking || session.may_offer_in(fork);
        let Some(reinvite) = session
            .reinvite
            .as_mut()
            .filter(|reinvite| !busy && may_go && reinvite.stage == Stage::Queued)
        else {
            return;
        };
        reinvite.stage = Stage::Sent(None);
        let body = reinvite.offer.clone().map(|offer| (SDP.into(), offer));
        let (method, user) = Self::request_of(reinvite, id);
        let (fork, keepalive) = (reinvite.fork.clone(), session.keepalive.filter(|_| talking));
        if let Some(mut draft) = self.in_fork(id, fork.as_deref(), method, body) {
            draft.interval = self.interval(keepalive, false);
            if !self.config.session_expires.is_zero() {
                let supported = (HeaderName::Supported.as_str().into(), super::refresh::TAG.into());
                draft.headers.push(supported);
            }
            self.launch(now, draft, user);
        }
    }

    pub(super) fn on_reinvite_response(&mut self, now: Instant, id: SessionId, key: ClientKey, flow: Flow, response: &Message) {
        let status = response.status().unwrap_or(500);
        match status {
            100..200 => {
                if self.live(id).is_some_and(|session| session.reinvite.is_some()) {
                    self.timers.start(Owner::Session(id), Timer::C, now + self.timing.c);
                }
            }
            200..300 => self.on_reinvite_success(now, id, key, flow, response),
            491 => self.on_glare(now, id),
            408 | 481 => self.dialog_lost(now, id, status),
            _ => self.put_off_or_failed(now, id, response),
        }
    }

    fn on_reinvite_success(&mut self, now: Instant, id: SessionId, key: ClientKey, flow: Flow, response: &Message) {
        let Some((invite, dialog)) = self.accepted_dialog(key, flow, response) else {
            return;
        };
        let ours = |reinvite: &Reinvite| reinvite.stage == Stage::Sent(Some(key));
        let Some(session) = self.live(id).filter(|session| session.reinvite.as_deref().is_some_and(ours)) else {
            // The session ended meanwhile (BYE crossed the re-INVITE): the transaction still wants its ACK.
            return self.acknowledge_only(key, &dialog, &invite);
        };
        let done = session.reinvite.take();
        session.note_allow(response);
        if let Some(confirmed) = session.dialogs.first_mut() {
            confirmed.refresh_target(response);
        }
        session.accepted = AcceptedInvite::of(&invite);
        session.ack_due = Some(Box::new(AckDue {
            transaction: key,
            invite,
        }));
        let sdp = response.sdp().filter(|sdp| session::check(sdp).is_ok());
        let (offer, quiet) = done.map_or((None, false), |done| (done.offer, done.quiet));
        session.local_sdp = offer.or(session.local_sdp.take());
        self.timers.stop(Owner::Session(id), Timer::C);
        self.peer_is_there(now, id);
        self.note_interval(now, id, response);
        if quiet {
            self.renewed_by_peer(now, id, sdp);
            self.acknowledge_due(now, id, None);
            return self.send_wanted_reinvite(now, id);
        }
        if let Some(session) = self.live(id) {
            session.heard(sdp.as_ref());
        }
        self.event(UaEvent::ReinviteAnswered { session: id, sdp });
    }

    /// 491: "If the UAC is the owner of the Call-ID of the dialog ID (meaning it generated the value), T has a randomly chosen value between
    /// 2.1 and 4 seconds in units of 10 ms. If not, between 0 and 2 seconds in units of 10 ms" (s.14.1).
    pub(super) fn on_glare(&mut self, now: Instant, id: SessionId) {
        let tens = self.rng.random_range(0..=190u64);
        let Some(session) = self.live(id) else { return };
        let wait = if session.outgoing { 2_100 + tens * 10 } else { tens * 10 };
        self.back_off(now, id, Duration::from_millis(wait), 491);
    }

    /// 500 with a Retry-After of 10 s at most: the peer has not answered the one before yet (s.14.2), which this process may have inherited. Any
    /// other refusal is one.
    pub(super) fn put_off_or_failed(&mut self, now: Instant, id: SessionId, response: &Message) {
        let status = response.status().unwrap_or(500);
        let after = response
            .header(HeaderName::RetryAfter)
            .and_then(|value| value.split([';', ' ', '(']).next()?.trim().parse().ok())
            .filter(|seconds| status == 500 && *seconds <= MAX_RETRY_AFTER);
        match after {
            Some(seconds) => self.back_off(now, id, Duration::from_secs(seconds).max(MIN_BACKOFF), status),
            None => self.reinvite_failed(now, id, status),
        }
    }

    fn back_off(&mut self, now: Instant, id: SessionId, wait: Duration, status: u16) {
        let Some(reinvite) = self.live(id).and_then(|session| session.reinvite.as_mut()) else {
            return;
        };
        reinvite.glares += 1;
        if reinvite.glares > MAX_GLARES {
            return self.reinvite_failed(now, id, status);
        }
        reinvite.stage = Stage::Backoff;
        self.timers.stop(Owner::Session(id), Timer::C);
        self.timers.start(Owner::Session(id), Timer::Glare, now + wait);
    }

    pub(super) fn glare_over(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        let talking = session.phase == Phase::Talking;
        if session.offered.is_some() || (talking && session.pending.is_some()) {
            return self.reinvite_failed(now, id, 491);
        }
        if let Some(reinvite) = session.reinvite.as_mut() {
            reinvite.stage = Stage::Queued;
        }
        self.send_queued_reinvite(now, id);
    }

    pub(super) fn reinvite_failed(&mut self, now: Instant, id: SessionId, status: u16) {
        let Some(failed) = self.live(id).and_then(|session| session.reinvite.take()) else {
            return;
        };
        if self.live(id).is_some_and(|session| session.phase == Phase::Talking) {
            self.timers.stop(Owner::Session(id), Timer::C);
        }
        self.timers.stop(Owner::Session(id), Timer::Glare);
        if failed.quiet {
            self.refresh_failed(now, id, status);
        } else {
            self.event(UaEvent::ReinviteFailed { session: id, status });
        }
        self.send_wanted_reinvite(now, id);
    }

    /// An offer of the peer was accepted: what of ours waits to be offered was made before that answer.
    pub(super) fn drop_stale_offer(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        session.renewed = None;
        let wanted = session.wanted.take().is_some();
        self.reinvite_failed(now, id, 491);
        if wanted {
            let status = 491;
            self.event(UaEvent::ReinviteFailed { session: id, status });
        }
    }

    pub(super) fn on_reinvite_unanswered(&mut self, now: Instant, id: SessionId, why: Unanswered) {
        match why {
            Unanswered::Timeout => self.dialog_lost(now, id, 408),
            Unanswered::Unreachable if self.is_gone(id) => self.dialog_lost(now, id, 503),
            Unanswered::Unreachable => self.reinvite_failed(now, id, 503),
        }
    }

    /// A re-INVITE of the peer, in its confirmed dialog and in order.
    pub(super) fn receive_reinvite(&mut self, now: Instant, flow: Flow, id: SessionId, request: Message) {
        if let Some(min_se) = self.interval_too_small(&request) {
            let header = [(HeaderName::MinSe.as_str().into(), min_se.into())];
            return self.answer_with(now, flow, &request, &Method::Invite, 422, &header);
        }
        let Some(session) = self.live(id) else { return };
        match open_offer(session, "") {
            // s.14.2: its own INVITE is not answered yet.
            _ if session.pending.is_some() => return self.ask_for_patience(now, flow, &request, &Method::Invite),
            Some(500) => return self.ask_for_patience(now, flow, &request, &Method::Invite),
            Some(status) => return self.answer(now, flow, &request, &Method::Invite, status),
            None => {}
        }
        session.note_allow(&request);
        let offer = request.sdp();
        if offer.as_ref().is_some_and(|sdp| session::check(sdp).is_err()) {
            return self.answer(now, flow, &request, &Method::Invite, session::SdpError::STATUS);
        }
        let transaction = self.start_server(now, flow, &request, &Method::Invite, ServerUser::Reinvite(id));
        let trying = self.response(&request, flow, 100).finish();
        self.reply(now, transaction, 100, trying);
        let Some(session) = self.live(id) else { return };
        let ours = offer.as_ref().and_then(|offer| session.refresh_answer(offer));
        session.pending = Some(Box::new(Pending {
            transaction,
            request,
            flow,
            progress: None,
            quiet: ours.is_some(),
        }));
        match ours {
            Some(ours) => self.answer_reinvite(now, id, Some(ours)),
            None => self.event(UaEvent::Reinvited { session: id, offer }),
        }
    }

    /// 500 with Retry-After: an offer of the peer is not answered yet (s.14.2).
    pub(super) fn ask_for_patience(&mut self, now: Instant, flow: Flow, request: &Message, method: &Method) {
        let wait = self.rng.random_range(0..=10u8).to_string();
        let header = [(HeaderName::RetryAfter.as_str().into(), wait.into())];
        self.answer_with(now, flow, request, method, 500, &header);
    }

    /// Sends the 200 of the re-INVITE that waits, which is a target refresh.
    fn answer_reinvite(&mut self, now: Instant, id: SessionId, sdp: Option<Bytes>) {
        let Some(session) = self.live(id) else { return };
        let Some(pending) = session.pending.as_ref() else { return };
        let (request, flow) = (pending.request.clone(), pending.flow);
        if let Some(dialog) = session.dialogs.first_mut() {
            dialog.refresh_target(&request);
            dialog.flow = flow;
        }
        session.heard(request.sdp().as_ref());
        self.accept_pending(now, id, sdp);
    }

    /// The peer cancelled its re-INVITE. The shell is told; its answer, when it comes, ends the matter.
    pub(super) fn withdraw_reinvite(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        let Some(pending) = session.pending.as_ref() else { return };
        let late = pending.request.sdp().is_none();
        self.refuse_pending(now, id, 487, &[]);
        self.withdraw(now, id, if late { Withdrawn::LateOffer } else { Withdrawn::Offer });
    }

    /// Answers the peer's re-INVITE or UPDATE with 200. Where the peer cancelled it meanwhile, `Acked` follows at once, with the
    /// peer's last description where it had asked for an offer: that is what it goes on with.
    pub fn accept_reinvite(&mut self, now: Instant, id: SessionId, sdp: Option<Bytes>) {
        let Some(session) = self.commanded(id) else { return };
        if let Some(withdrawn) = session.withdrawn.take() {
            let sdp = session.remote_sdp.clone().filter(|_| withdrawn == Withdrawn::LateOffer);
            self.timers.stop(Owner::Session(id), Timer::Answer);
            return self.event(UaEvent::Acked { session: id, sdp });
        }
        if let Some(offered) = session.offered.take() {
            return self.accept_offered(now, id, *offered, sdp);
        }
        if session.phase != Phase::Talking || session.pending.is_none() {
            self.stats.commands_ignored += 1;
            return;
        }
        self.answer_reinvite(now, id, sdp);
        self.drop_stale_offer(now, id);
    }

    /// Refuses the peer's re-INVITE or UPDATE; the session goes on as it was.
    pub fn reject_reinvite(&mut self, now: Instant, id: SessionId, status: u16) {
        let Some(session) = self.commanded(id) else { return };
        if session.withdrawn.take().is_some() {
            return self.timers.stop(Owner::Session(id), Timer::Answer);
        }
        if session.offered.is_some() {
            self.refuse_offered(now, id, status);
            return self.send_queued_reinvite(now, id);
        }
        if session.phase != Phase::Talking || session.pending.is_none() {
            self.stats.commands_ignored += 1;
            return;
        }
        self.refuse_pending(now, id, status, &[]);
    }
}
