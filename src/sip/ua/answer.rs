//! Incoming sessions: INVITE, our responses, CANCEL, the ACK (RFC 3261 s.13.3, 9.2).
//!
//! Invariant: an INVITE gets 100 at once and one final response; our 2xx is sent again until its ACK comes, 64*T1 at most, then the session
//! ends with BYE.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rand::Rng;

use super::api::{IncomingInvite, SessionId, UaEvent, UaOutput};
use super::draft::{self, ALLOW};
use super::server::ServerUser;
use super::sessions::{Pending, Phase, Session, Unacked};
use super::talk::TakesTalk;
use super::{Owner, RETRY_AFTER_SECONDS, UserAgent, ident};
use crate::dialog::Dialog;
use crate::flow::Flow;
use crate::identity::Reason;
use crate::message::{HeaderName, Message, Method};
use crate::session;
use crate::transaction::timer::Timer;

impl UserAgent {
    /// A new INVITE outside any dialog.
    pub(super) fn receive_invite(&mut self, now: Instant, flow: Flow, request: Message) {
        if self.live_sessions >= self.config.max_sessions {
            return self.refuse_stateless(flow, &request, 503, None, Some(RETRY_AFTER_SECONDS));
        }
        if self.lacks_100rel(&request) {
            return self.refuse_with(
                flow,
                &request,
                421,
                &[(HeaderName::Require.as_str().into(), super::prack::TAG.into())],
            );
        }
        if let Some(min_se) = self.interval_too_small(&request) {
            return self.refuse_with(flow, &request, 422, &[(HeaderName::MinSe.as_str().into(), min_se.into())]);
        }
        let local_tag = self.rng.random();
        let tag = ident::tag(self.config.shard, local_tag);
        let local: Arc<str> = format!("{};tag={tag}", request.header(HeaderName::To).unwrap_or_default()).into();
        let Some(dialog) = Dialog::of_request(&request, local, flow) else {
            // A dialog needs a Contact (s.8.1.1.8).
            return self.refuse_stateless(flow, &request, 400, Some("Bad Request (Contact: missing)"), None);
        };
        let offer = request.sdp();
        if offer.as_ref().is_some_and(|sdp| session::check(sdp).is_err()) {
            return self.answer(now, flow, &request, &Method::Invite, session::SdpError::STATUS);
        }
        let id = SessionId(self.next_id());
        let transaction = self.start_server(now, flow, &request, &Method::Invite, ServerUser::Invite(id));
        let mut session = Session::new(Phase::Ringing, local_tag, dialog.call_id.clone());
        session.dialogs.push(dialog);
        self.dialogs += 1;
        session.heard(offer.as_ref());
        session.takes_talk = TakesTalk::of(&request);
        session.note_allow(&request);
        session.reliable = self.reliability(&request, offer.is_some());
        session.pending = Some(Box::new(Pending {
            transaction,
            request: request.clone(),
            flow,
            progress: None,
            quiet: false,
        }));
        self.sessions.insert(id, session);
        self.by_tag.insert(local_tag, id);
        self.live_sessions += 1;
        let trying = self.response(&request, flow, 100).finish();
        let invite = Box::new(IncomingInvite { request, flow, offer });
        // Before the 100, which a caller that is turned away does not get.
        self.event(UaEvent::Incoming { session: id, invite });
        self.reply(now, transaction, 100, trying);
    }

    /// Sends a provisional response above 100 on an incoming session; repeated every minute so that no proxy gives up (s.13.3.1.1). It goes
    /// reliably where the caller takes part in that (RFC 3262). A description for a caller that made no offer is left out: it would be an
    /// offer, and those are made reliably only (s.13.2.1).
    pub fn progress(&mut self, now: Instant, id: SessionId, status: u16, mut sdp: Option<Bytes>) {
        if !self.commanded_in(id, Phase::Ringing) {
            return;
        }
        if !(101..200).contains(&status) {
            self.stats.commands_ignored += 1;
            return;
        }
        if self.live(id).is_some_and(|session| session.remote_sdp.is_none()) {
            sdp = None;
        }
        if self.progress_reliably(now, id, status, &mut sdp) {
            return;
        }
        let Some((transaction, bytes)) = self.write_final(id, status, &[], sdp) else {
            return;
        };
        if let Some(pending) = self.live(id).and_then(|session| session.pending.as_mut()) {
            pending.progress = Some((status, bytes.clone()));
        }
        self.timers
            .start(Owner::Session(id), Timer::Refresh, now + self.timing.refresh());
        self.reply(now, transaction, status, bytes);
    }

    pub(super) fn refresh_progress(&mut self, now: Instant, id: SessionId) {
        let Some(pending) = self.live(id).and_then(|session| session.pending.as_ref()) else {
            return;
        };
        if pending.progress.is_none()
            && let Some(status) = self.status_to_repeat(id)
        {
            return self.progress(now, id, status, None);
        }
        let Some(pending) = self.live(id).and_then(|session| session.pending.as_ref()) else {
            return;
        };
        let (transaction, Some((status, bytes))) = (pending.transaction, pending.progress.clone()) else {
            return;
        };
        self.timers
            .start(Owner::Session(id), Timer::Refresh, now + self.timing.refresh());
        self.reply(now, transaction, status, bytes);
    }

    /// Answers an incoming session with 200; `sdp` is the answer, or the offer where the INVITE had none.
    /// It waits for the PRACK of a provisional response that carried the answer (RFC 3262 s.3); `sdp` is then left out of it.
    pub fn accept(&mut self, now: Instant, id: SessionId, mut sdp: Option<Bytes>) {
        if !self.commanded_in(id, Phase::Ringing) || !self.success_may_go(id, &mut sdp) {
            return;
        }
        self.accept_pending(now, id, sdp);
    }

    /// Sends the 200 of an INVITE or re-INVITE and waits for its ACK (s.13.3.1.4).
    pub(super) fn accept_pending(&mut self, now: Instant, id: SessionId, sdp: Option<Bytes>) {
        let Some((transaction, bytes)) = self.write_final(id, 200, &[], sdp.clone()) else {
            return;
        };
        self.end_reliability(id);
        let (t1, patience) = (self.timing.t1, self.timing.patience());
        let Some(session) = self.live(id) else { return };
        let Some(pending) = session.pending.take() else { return };
        let cseq = pending.request.cseq().map_or(0, |(number, _)| number);
        session.phase = Phase::Talking;
        session.local_sdp = sdp.or(session.local_sdp.take());
        session.unacked = Some(Box::new(Unacked {
            transaction,
            status: 200,
            cseq,
            interval: t1,
            quiet: pending.quiet,
            offers: pending.request.sdp().is_none(),
            copy: None,
        }));
        let owner = Owner::Session(id);
        self.timers.stop(owner, Timer::Refresh);
        self.timers.start(owner, Timer::Success, now + t1);
        self.timers.start(owner, Timer::NoAck, now + patience);
        let agreed = self.grant_interval(&pending.request).map(|grant| grant.keepalive());
        self.keep_alive(now, id, agreed);
        self.reply(now, transaction, 200, bytes);
    }

    /// Refuses an incoming session; it ends with `Ended`, at once. A status outside 300 to 699 is sent as 500.
    pub fn reject(&mut self, now: Instant, id: SessionId, status: u16, headers: &[(Arc<str>, Arc<str>)]) {
        if !self.commanded_in(id, Phase::Ringing) {
            return;
        }
        self.refuse_pending(now, id, status, headers);
        self.finish_from_here(now, id);
    }

    /// Refuses an incoming session like [`UserAgent::reject`], and keeps nothing of it: no transaction, no retransmission, no 100. So are
    /// callers answered that have not proved who they are, for then a flood of them takes no memory and a forged source gets one small
    /// datagram (RFC 3261 s.8.2.7). In time only while the INVITE's own turn lasts; later the answer is an ordinary one.
    pub fn turn_away(&mut self, now: Instant, id: SessionId, status: u16, headers: &[(Arc<str>, Arc<str>)]) {
        let pending = self.live(id).filter(|session| session.phase == Phase::Ringing);
        let Some(pending) = pending.and_then(|session| session.pending.take()) else {
            return self.reject(now, id, status, headers);
        };
        if self.forget_server(pending.transaction) {
            let status = if (300..700).contains(&status) { status } else { 500 };
            self.refuse_with(pending.flow, &pending.request, status, headers);
        } else if let Some(session) = self.live(id) {
            session.pending = Some(pending);
            return self.reject(now, id, status, headers);
        }
        self.finish_from_here(now, id);
    }

    /// Sends a non-2xx final response to the INVITE or re-INVITE that waits for one.
    pub(super) fn refuse_pending(&mut self, now: Instant, id: SessionId, status: u16, headers: &[(Arc<str>, Arc<str>)]) {
        let status = if (300..700).contains(&status) { status } else { 500 };
        let Some((transaction, bytes)) = self.write_final(id, status, headers, None) else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.pending = None;
        }
        self.end_reliability(id);
        self.timers.stop(Owner::Session(id), Timer::Refresh);
        self.reply(now, transaction, status, bytes);
    }

    /// Writes a response to the INVITE or re-INVITE that waits for one.
    pub(super) fn write_final(
        &mut self,
        id: SessionId,
        status: u16,
        headers: &[(Arc<str>, Arc<str>)],
        sdp: Option<Bytes>,
    ) -> Option<(super::server::ServerKey, Bytes)> {
        let session = self.sessions.get(&id)?;
        let pending = session.pending.as_ref()?;
        let tag = ident::tag(self.config.shard, session.local_tag);
        let mut response = self.response(&pending.request, pending.flow, status).to_tag(&tag);
        if status < 300 {
            let listener = self.listener(pending.flow.listener)?;
            response = response
                .header(HeaderName::Contact, draft::contact(listener))
                .header(HeaderName::Allow, ALLOW)
                .header(HeaderName::Supported, draft::SUPPORTED.join(", "));
        }
        if let Some(grant) = self.grant_interval(&pending.request).filter(|_| (200..300).contains(&status)) {
            response = grant.write(response);
        }
        for (name, value) in headers {
            response = response.header(name, value);
        }
        if let Some(sdp) = sdp {
            response = response.body(draft::SDP, sdp);
        }
        Some((pending.transaction, response.finish()))
    }

    /// A CANCEL (s.9.2). Its INVITE must have come the same way: a stranger who guesses a branch gets 481.
    pub(super) fn receive_cancel(&mut self, now: Instant, flow: Flow, request: &Message) {
        if let Some(known) = self.server_of(request, &Method::Cancel) {
            return self.retransmitted(now, known);
        }
        let invite = self.server_of(request, &Method::Invite);
        let found = invite.and_then(|key| self.servers.get(&key)).filter(|invite| {
            invite.is_invite() && invite.source.transport == flow.transport && invite.source.peer.ip() == flow.peer.ip()
        });
        let Some((user, open)) = found.map(|invite| (invite.user, invite.is_open())) else {
            // Without a transaction, which would stand in the way of the true one.
            return self.answer_stateless(flow, request, &Method::Cancel, 481);
        };
        self.answer_cancel(now, flow, request, user);
        if !open {
            return;
        }
        match user {
            ServerUser::Invite(id) if self.live(id).is_some() => {
                self.refuse_pending(now, id, 487, &[]);
                self.finish(
                    now,
                    id,
                    UaEvent::Cancelled {
                        session: id,
                        q850: request.reason_cause(),
                        reason: Reason::passed_on(request),
                    },
                );
            }
            ServerUser::Reinvite(id) => self.withdraw_reinvite(now, id),
            _ => {}
        }
    }

    /// 200 to a CANCEL, with the To tag of the INVITE's responses (s.9.2).
    fn answer_cancel(&mut self, now: Instant, flow: Flow, request: &Message, user: ServerUser) {
        let session = match user {
            ServerUser::Invite(id) | ServerUser::Reinvite(id) => self.sessions.get(&id),
            _ => None,
        };
        let tag = session.map(|session| ident::tag(self.config.shard, session.local_tag));
        let tag = tag.unwrap_or_else(|| self.stateless_tag(request));
        let transaction = self.start_server(now, flow, request, &Method::Cancel, ServerUser::Core);
        let response = self.response(request, flow, 200).to_tag(&tag).finish();
        self.reply(now, transaction, 200, response);
    }

    /// An ACK: of our refusal it ends the retransmissions; of our 2xx it goes to the session (RFC 6026 s.7.1).
    pub(super) fn receive_ack(&mut self, now: Instant, request: &Message) {
        if let Some(key) = self.server_of(request, &Method::Invite)
            && !self.acknowledged(now, key)
        {
            return;
        }
        let Some(id) = self.session_of(request) else {
            // That of a refusal without a transaction is of no use, and expected (s.8.2.7).
            let ours = request
                .to()
                .is_ok_and(|to| to.tag() == Some(self.stateless_tag(request).as_str()));
            if !ours {
                self.drop_message();
            }
            return;
        };
        let number = request.cseq().map_or(0, |(number, _)| number);
        let Some(session) = self.live(id) else {
            return self.drop_message();
        };
        if session.unacked.as_ref().is_none_or(|unacked| unacked.cseq != number) {
            self.stats.retransmissions_received += 1;
            return;
        }
        let Some(unacked) = session.unacked.take() else { return };
        let sdp = request.sdp().filter(|sdp| session::check(sdp).is_ok());
        session.heard(sdp.as_ref());
        let bye_wanted = session.bye_wanted.take();
        self.release(unacked.transaction);
        let owner = Owner::Session(id);
        self.timers.stop(owner, Timer::Success);
        self.timers.stop(owner, Timer::NoAck);
        match bye_wanted {
            Some(reason) => self.end(now, id, reason.as_deref()),
            None => {
                if !unacked.quiet {
                    self.event(UaEvent::Acked { session: id, sdp });
                }
                self.send_queued_reinvite(now, id);
            }
        }
    }

    /// Sends our 2xx again (s.13.3.1.4).
    pub(super) fn repeat_success(&mut self, now: Instant, id: SessionId) {
        let timing = self.timing;
        let Some(unacked) = self.live(id).and_then(|session| session.unacked.as_mut()) else {
            return;
        };
        unacked.interval = timing.doubled(Timer::Success, unacked.interval);
        let (transaction, status, interval) = (unacked.transaction, unacked.status, unacked.interval);
        let copy = unacked.copy.clone();
        self.timers.start(Owner::Session(id), Timer::Success, now + interval);
        if let Some((flow, bytes)) = copy {
            self.stats.retransmissions_sent += 1;
            return self.outputs.push_back(UaOutput::Send { flow, bytes });
        }
        self.reply_again(now, transaction, status);
    }

    /// No ACK came for our 2xx: "the session SHOULD be terminated. This is accomplished with a BYE" (s.13.3.1.4).
    pub(super) fn ack_expired(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        let copied = session.unacked.take().is_some_and(|unacked| unacked.copy.is_some());
        if copied && session.bye_wanted.is_none() {
            // The ACK may have come while nobody was here; the probe will tell.
            self.timers.stop(Owner::Session(id), Timer::Success);
            return self.send_queued_reinvite(now, id);
        }
        let Some(session) = self.live(id) else { return };
        let reason = session.bye_wanted.take().flatten();
        self.end(now, id, reason.as_deref());
    }
}
