//! Re-INVITE, both ways, and its glare (RFC 3261 s.14).
//!
//! Invariant: one INVITE at a time in a dialog, in whatever direction. Ours waits for the ACK of what went before; the peer's gets 491 while
//! ours is open and 500 while its own is.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;

use super::api::{SessionId, UaEvent};
use super::client::{ClientKey, ClientUser, Unanswered};
use super::draft::SDP;
use super::server::ServerUser;
use super::sessions::{AckDue, Pending, Phase, Reinvite, Stage, Withdrawn};
use super::{Owner, UserAgent};
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method};
use crate::session;
use crate::transaction::timer::Timer;

/// How often a re-INVITE is tried again after 491.
const MAX_GLARES: u8 = 5;

impl UserAgent {
    /// Sends a re-INVITE; without an offer the peer is asked for one. Waits for an ACK that is due; while the peer's own re-INVITE is being
    /// answered it fails with 491 at once, since that answer may depend on the one who asks.
    pub fn reinvite(&mut self, now: Instant, id: SessionId, offer: Option<Bytes>) {
        let Some(session) = self.commanded(id) else { return };
        if session.phase != Phase::Talking || session.bye_wanted.is_some() {
            self.stats.commands_ignored += 1;
            return;
        }
        if session.pending.is_some() || session.withdrawn.is_some() || session.reinvite.is_some() {
            return self.event(UaEvent::ReinviteFailed {
                session: id,
                status: 491,
            });
        }
        session.reinvite = Some(Box::new(Reinvite {
            offer,
            stage: Stage::Queued,
            glares: 0,
        }));
        self.send_queued_reinvite(now, id);
    }

    /// Sends the re-INVITE that waits, where nothing is open any more.
    pub(super) fn send_queued_reinvite(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        let busy = session.pending.is_some() || session.unacked.is_some() || session.ack_due.is_some();
        let Some(reinvite) = session
            .reinvite
            .as_mut()
            .filter(|reinvite| !busy && reinvite.stage == Stage::Queued)
        else {
            return;
        };
        reinvite.stage = Stage::Sent(None);
        let body = reinvite.offer.clone().map(|offer| (SDP.into(), offer));
        if let Some(draft) = self.in_dialog(id, Method::Invite, body) {
            self.launch(now, draft, ClientUser::Reinvite(id));
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
            200..300 => self.on_reinvite_success(id, key, flow, response),
            491 => self.on_glare(now, id),
            408 | 481 => self.dialog_lost(now, id, status),
            _ => self.reinvite_failed(now, id, status),
        }
    }

    fn on_reinvite_success(&mut self, id: SessionId, key: ClientKey, flow: Flow, response: &Message) {
        let Some((invite, dialog)) = self.accepted_dialog(key, flow, response) else {
            return;
        };
        let ours = |reinvite: &Reinvite| reinvite.stage == Stage::Sent(Some(key));
        let Some(session) = self.live(id).filter(|session| session.reinvite.as_deref().is_some_and(ours)) else {
            // The session ended meanwhile (BYE crossed the re-INVITE): the transaction still wants its ACK.
            return self.acknowledge_only(key, &dialog, &invite);
        };
        session.reinvite = None;
        if let Some(confirmed) = session.dialogs.first_mut() {
            confirmed.refresh_target(response);
        }
        session.ack_due = Some(Box::new(AckDue {
            transaction: key,
            invite,
        }));
        let sdp = response.sdp().filter(|sdp| session::check(sdp).is_ok());
        session.heard(sdp.as_ref());
        self.timers.stop(Owner::Session(id), Timer::C);
        self.event(UaEvent::ReinviteAnswered { session: id, sdp });
    }

    /// 491: "If the UAC is the owner of the Call-ID of the dialog ID (meaning it generated the value), T has a randomly chosen value between
    /// 2.1 and 4 seconds in units of 10 ms. If not, between 0 and 2 seconds in units of 10 ms" (s.14.1).
    fn on_glare(&mut self, now: Instant, id: SessionId) {
        let tens = self.rng.random_range(0..=190u64);
        let Some(session) = self.live(id) else { return };
        let wait = if session.outgoing { 2_100 + tens * 10 } else { tens * 10 };
        let Some(reinvite) = session.reinvite.as_mut() else { return };
        reinvite.glares += 1;
        if reinvite.glares > MAX_GLARES {
            return self.reinvite_failed(now, id, 491);
        }
        reinvite.stage = Stage::Backoff;
        self.timers.stop(Owner::Session(id), Timer::C);
        self.timers
            .start(Owner::Session(id), Timer::Glare, now + Duration::from_millis(wait));
    }

    pub(super) fn glare_over(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        if session.pending.is_some() {
            return self.reinvite_failed(now, id, 491);
        }
        if let Some(reinvite) = session.reinvite.as_mut() {
            reinvite.stage = Stage::Queued;
        }
        self.send_queued_reinvite(now, id);
    }

    fn reinvite_failed(&mut self, _now: Instant, id: SessionId, status: u16) {
        if self.live(id).is_some_and(|session| session.reinvite.take().is_some()) {
            self.timers.stop(Owner::Session(id), Timer::C);
            self.timers.stop(Owner::Session(id), Timer::Glare);
            self.event(UaEvent::ReinviteFailed { session: id, status });
        }
    }

    pub(super) fn on_reinvite_unanswered(&mut self, now: Instant, id: SessionId, why: Unanswered) {
        match why {
            Unanswered::Timeout => self.dialog_lost(now, id, 408),
            Unanswered::Unreachable => self.reinvite_failed(now, id, 503),
        }
    }

    /// A re-INVITE of the peer, in its confirmed dialog and in order.
    pub(super) fn receive_reinvite(&mut self, now: Instant, flow: Flow, id: SessionId, request: Message) {
        let Some(session) = self.live(id) else { return };
        // s.14.2: its own INVITE is not answered yet.
        if session.pending.is_some() {
            let wait = self.rng.random_range(0..=10u8).to_string();
            let transaction = self.start_server(now, flow, &request, &Method::Invite, ServerUser::Core);
            let response = self
                .response(&request, flow, 500)
                .header(HeaderName::RetryAfter, wait)
                .finish();
            return self.reply(now, transaction, 500, response);
        }
        // s.14.2: ours is open. The ACK of a 2xx that is under way counts as open too (RFC 5407 s.3.1.4).
        let sent = session
            .reinvite
            .as_ref()
            .is_some_and(|reinvite| matches!(reinvite.stage, Stage::Sent(_)));
        if sent
            || session.withdrawn.is_some()
            || session.unacked.is_some()
            || session.ack_due.is_some()
            || session.bye_wanted.is_some()
        {
            return self.answer(now, flow, &request, &Method::Invite, 491);
        }
        let offer = request.sdp();
        if offer.as_ref().is_some_and(|sdp| session::check(sdp).is_err()) {
            return self.answer(now, flow, &request, &Method::Invite, session::SdpError::STATUS);
        }
        let transaction = self.start_server(now, flow, &request, &Method::Invite, ServerUser::Reinvite(id));
        let trying = self.response(&request, flow, 100).finish();
        self.reply(now, transaction, 100, trying);
        if let Some(session) = self.live(id) {
            session.pending = Some(Box::new(Pending {
                transaction,
                request,
                flow,
                progress: None,
            }));
        }
        self.event(UaEvent::Reinvited { session: id, offer });
    }

    /// The peer cancelled its re-INVITE. The shell is not told: its answer, when it comes, ends the matter.
    pub(super) fn withdraw_reinvite(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        let Some(pending) = session.pending.as_ref() else { return };
        let late = pending.request.sdp().is_none();
        session.withdrawn = Some(if late { Withdrawn::LateOffer } else { Withdrawn::Offer });
        self.refuse_pending(now, id, 487, &[]);
    }

    /// Answers the peer's re-INVITE with 200. Where the peer cancelled it meanwhile, `Acked` follows at once, with the peer's last description
    /// where it had asked for an offer: that is what it goes on with.
    pub fn accept_reinvite(&mut self, now: Instant, id: SessionId, sdp: Option<Bytes>) {
        let Some(session) = self.commanded(id) else { return };
        if let Some(withdrawn) = session.withdrawn.take() {
            let sdp = session.remote_sdp.clone().filter(|_| withdrawn == Withdrawn::LateOffer);
            return self.event(UaEvent::Acked { session: id, sdp });
        }
        let (Phase::Talking, Some(pending)) = (session.phase, session.pending.as_ref()) else {
            self.stats.commands_ignored += 1;
            return;
        };
        let (request, flow) = (pending.request.clone(), pending.flow);
        if let Some(dialog) = session.dialogs.first_mut() {
            dialog.refresh_target(&request);
            dialog.flow = flow;
        }
        session.heard(request.sdp().as_ref());
        self.accept_pending(now, id, sdp);
        // What waits to be offered again was made before this answer.
        self.reinvite_failed(now, id, 491);
    }

    /// Refuses the peer's re-INVITE; the session goes on as it was.
    pub fn reject_reinvite(&mut self, now: Instant, id: SessionId, status: u16) {
        let Some(session) = self.commanded(id) else { return };
        if session.withdrawn.take().is_some() {
            return;
        }
        if session.phase != Phase::Talking || session.pending.is_none() {
            self.stats.commands_ignored += 1;
            return;
        }
        self.refuse_pending(now, id, status, &[]);
    }
}
