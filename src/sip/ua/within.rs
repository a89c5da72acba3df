//! Requests inside a session: BYE, INFO and OPTIONS, both ways, and finding the session of a request (RFC 3261 s.12.2, 15).
//!
//! Invariant: a request whose tags or Call-ID are not the dialog's changes nothing (it gets 481 and the call lives), and so does one whose
//! CSeq is out of order (500). Of a session one INFO of ours is open at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::UserAgent;
use super::api::{SessionId, UaEvent};
use super::client::ClientUser;
use super::draft::Body;
use super::ident;
use super::sessions::Phase;
use crate::flow::Flow;
use crate::identity::Reason;
use crate::message::{HeaderName, Message, Method};

/// How many INFOs of one session wait for the one before them.
const MAX_INFOS: usize = 32;

/// INFOs of ours: one at a time, so that they are served in the order in which they were sent (RFC 6086 s.4.2.1: nothing else orders them on
/// the way, and one that is overtaken gets 500, RFC 3261 s.12.2.2).
#[derive(Debug, Default)]
pub(super) struct Infos {
    in_flight: bool,
    waiting: VecDeque<Body>,
}

impl UserAgent {
    /// Ends a session with BYE; `reason` is the value of a Reason header (RFC 3326). `Ended` follows at once, except that before the ACK of
    /// our 2xx the BYE waits for it, 64*T1 at most (s.15). An outgoing session without an answer is cancelled, an incoming one refused
    /// with 480.
    pub fn bye(&mut self, now: Instant, id: SessionId, reason: Option<&str>) {
        let Some(session) = self.commanded(id) else { return };
        match session.phase {
            Phase::Calling => self.cancel(now, id, reason),
            Phase::Ringing => {
                let header = reason.map(|reason| (Arc::from(HeaderName::Reason.as_str()), Arc::from(reason)));
                self.reject(now, id, 480, header.as_slice());
            }
            Phase::Talking if session.unacked.is_some() => {
                session.bye_wanted.get_or_insert(reason.map(Arc::from));
            }
            Phase::Talking => self.end(now, id, reason),
            Phase::Ending => {}
        }
    }

    /// Sends BYE and ends the session for the shell.
    pub(super) fn end(&mut self, now: Instant, id: SessionId, reason: Option<&str>) {
        if self.live(id).is_some_and(|session| session.ack_due.is_some()) {
            self.acknowledge_due(now, id, None);
        }
        self.refuse_pending(now, id, 487, &[]);
        self.hurry_refers(now, id);
        self.send_bye(now, id, reason);
        self.finish_from_here(now, id);
    }

    /// A response says that the peer has no such dialog (481), or nothing came (408): "the UAC SHOULD terminate the dialog" (s.12.2.1.2).
    pub(super) fn dialog_lost(&mut self, now: Instant, id: SessionId, status: u16) {
        if self.live(id).is_none() {
            return;
        }
        self.refuse_pending(now, id, 487, &[]);
        if status != 481 {
            self.send_bye(now, id, None);
        }
        self.finish_from_here(now, id);
    }

    /// Sends INFO in a session, behind those that were sent before and have no final response. 32 may wait; one more is left out
    /// and counted ([`UserAgent::takes_info`] tells before).
    pub fn info(&mut self, now: Instant, id: SessionId, content_type: &str, body: Bytes) {
        if !self.commanded_in(id, Phase::Talking) {
            return;
        }
        let Some(session) = self.live(id) else { return };
        let infos = session.infos.get_or_insert_default();
        if infos.waiting.len() >= MAX_INFOS {
            self.stats.infos_dropped += 1;
            return;
        }
        infos.waiting.push_back((content_type.to_owned().into(), body));
        self.send_info(now, id);
    }

    /// Whether one more INFO finds its place in a session.
    pub fn takes_info(&self, id: SessionId) -> bool {
        let session = self.sessions.get(&id).filter(|session| session.phase == Phase::Talking);
        session.is_some_and(|session| session.infos.as_ref().is_none_or(|infos| infos.waiting.len() < MAX_INFOS))
    }

    /// Sends the INFO that is next, once the one before it is answered.
    fn send_info(&mut self, now: Instant, id: SessionId) {
        let infos = self.live(id).and_then(|session| session.infos.as_mut());
        let Some(infos) = infos.filter(|infos| !infos.in_flight) else {
            return;
        };
        let Some(body) = infos.waiting.pop_front() else { return };
        infos.in_flight = true;
        if let Some(draft) = self.in_dialog(id, Method::Info, Some(body)) {
            self.launch(now, draft, ClientUser::Info(id));
        }
    }

    pub(super) fn on_info_response(&mut self, now: Instant, id: SessionId, status: u16) {
        if matches!(status, 408 | 481) {
            return self.dialog_lost(now, id, status);
        }
        if status < 200 {
            return;
        }
        if let Some(infos) = self.live(id).and_then(|session| session.infos.as_mut()) {
            infos.in_flight = false;
        }
        self.send_info(now, id);
    }

    /// The session that a request with a To tag belongs to.
    pub(super) fn session_of(&self, request: &Message) -> Option<SessionId> {
        let (shard, key) = ident::parse_tag(request.to().ok()?.tag()?)?;
        let id = *self.by_tag.get(&key).filter(|_| shard == self.config.shard)?;
        let session = self.sessions.get(&id)?;
        session.dialogs.iter().any(|dialog| dialog.matches(request)).then_some(id)
    }

    /// Whether a datagram may have overtaken the response that makes its dialog: a callee that has answered asks for something, or hangs up.
    /// It comes again; 481 would end the call for the callee, and for nobody else.
    fn is_ahead_of_answer(&self, flow: Flow, request: &Message) -> bool {
        let tag = request.to().ok().and_then(|to| ident::parse_tag(to.tag()?));
        let session = tag
            .filter(|(shard, _)| *shard == self.config.shard)
            .and_then(|(_, key)| self.sessions.get(self.by_tag.get(&key)?));
        let calls = session.is_some_and(|session| session.phase == Phase::Calling && request.call_id() == Some(&session.call_id));
        calls && !flow.transport.is_reliable()
    }

    /// A request with a To tag.
    pub(super) fn receive_within(&mut self, now: Instant, flow: Flow, request: Message, method: &Method) {
        let Some(id) = self.session_of(&request) else {
            if self.is_ahead_of_answer(flow, &request) {
                return self.drop_message();
            }
            return self.receive_in_subscription(now, flow, request, method);
        };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let number = request.cseq().map_or(0, |(number, _)| number);
        let phase = session.phase;
        let dialog = session.dialogs.iter_mut().find(|dialog| dialog.matches(&request));
        if dialog.is_some_and(|dialog| dialog.take_cseq(number).is_err()) {
            return self.answer(now, flow, &request, method, 500);
        }
        let alone = request.headers(HeaderName::Via).nth(1).is_none();
        self.follow_connection(now, id, flow, alone);
        match (method, phase) {
            // Both sides hung up (RFC 5407 s.3.2.1); anything else came too late.
            (Method::Bye, Phase::Ending) => self.answer(now, flow, &request, method, 200),
            // It may be about a transfer that outlives the session.
            (Method::Subscribe, _) => self.receive_subscribe_within(now, flow, id, request),
            (_, Phase::Ending) => self.answer(now, flow, &request, method, 481),
            (Method::Bye, _) => self.receive_bye(now, flow, id, &request),
            (Method::Invite, Phase::Talking) => self.receive_reinvite(now, flow, id, request),
            // Ours is open in an early dialog, or the peer's own first INVITE is.
            (Method::Invite, Phase::Calling) => self.answer(now, flow, &request, method, 491),
            (Method::Invite, Phase::Ringing) => self.receive_reinvite(now, flow, id, request),
            (Method::Info, _) => {
                self.answer(now, flow, &request, method, 200);
                let content_type = request.content_type().unwrap_or_default().into();
                self.event(UaEvent::Info {
                    session: id,
                    content_type,
                    body: request.body().clone(),
                });
            }
            (Method::Update, _) => self.receive_update(now, flow, id, request),
            (Method::Prack, _) => self.receive_prack(now, flow, id, &request),
            (Method::Refer, _) => self.receive_refer(now, flow, id, request),
            (Method::Notify, _) => self.receive_notify(now, flow, &request),
            (Method::Options, _) => self.answer(now, flow, &request, method, 200),
            (Method::Message | Method::Register, _) => self.hand_up(now, flow, request, method),
            (Method::Other(_), _) => self.answer(now, flow, &request, method, 501),
            _ => self.answer(now, flow, &request, method, 405),
        }
    }

    /// A peer that connected again is asked over its new connection; the old one may seem to live on. What a proxy sends says nothing of the
    /// peer's own.
    fn follow_connection(&mut self, now: Instant, id: SessionId, flow: Flow, alone: bool) {
        let session = self.sessions.get_mut(&id);
        let Some(dialog) = session.and_then(|session| session.dialogs.first_mut()) else {
            return;
        };
        let was_stream = dialog.flow.transport.is_reliable();
        let lost = was_stream && (dialog.flow.connection.is_none() || self.closed.holds(&dialog.flow));
        let moved = dialog.adjacent && dialog.flow != flow;
        let is_own = alone || !dialog.adjacent;
        if flow.connection.is_some() && is_own && (lost || (was_stream && moved)) {
            dialog.flow = flow;
            self.move_session(now, id, flow);
        }
    }

    /// BYE (s.15.1.2): whatever INVITE is still open gets 487.
    fn receive_bye(&mut self, now: Instant, flow: Flow, id: SessionId, request: &Message) {
        self.answer(now, flow, request, &Method::Bye, 200);
        let phase = self.live(id).map(|session| session.phase);
        let (q850, reason) = (request.reason_cause(), Reason::passed_on(request));
        match phase {
            Some(Phase::Ringing) => {
                self.refuse_pending(now, id, 487, &[]);
                let cancelled = UaEvent::Cancelled {
                    session: id,
                    q850,
                    reason,
                };
                self.finish(now, id, cancelled);
            }
            // Not allowed of a callee (s.15), but clear: it will not answer.
            Some(Phase::Calling) => self.cancel_with(now, id, 487, None),
            _ => {
                if self.live(id).is_some_and(|session| session.ack_due.is_some()) {
                    self.acknowledge_due(now, id, None);
                }
                self.refuse_pending(now, id, 487, &[]);
                self.finish(
                    now,
                    id,
                    UaEvent::Ended {
                        session: id,
                        by_peer: true,
                        q850,
                        reason,
                    },
                );
            }
        }
    }
}
