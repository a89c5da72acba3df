//! UPDATE, both ways (RFC 3311), and the offers of the peer that come outside INVITE.
//!
//! Invariant: no two offers are open in a dialog. One that comes while an offer of ours is open gets 491, one that comes while one of the
//! peer's own is not answered yet gets 500 with Retry-After (RFC 3311 s.5.2, RFC 3261 s.14.2). An UPDATE without an offer is not part of
//! that: it refreshes the target and the session (RFC 4028) and gets its 200 here.
//!
//! As a client: before the session is answered, and after that for session refreshes. An offer may be made in an early dialog when the
//! INVITE's own is answered reliably (RFC 3262) and the peer allows UPDATE; it waits for the PRACK of that answer to be answered. A callee
//! that forked and answers on another branch than the one that was told so hears it by re-INVITE. In a confirmed dialog offers go in re-INVITEs, which may take
//! their time: "an UPDATE request ... must be answered immediately" (s.5.1), and our shell asks somebody else first.
//!
//! To the shell an offer is an offer: `Reinvited` and `ReinviteAnswered` are told whichever request carried it.

use std::time::Instant;

use bytes::Bytes;

use super::api::{SessionId, UaEvent};
use super::client::{ClientKey, ClientUser, Unanswered};
use super::draft::{self, ALLOW, SDP};
use super::prack::Early;
use super::server::{ServerKey, ServerUser};
use super::sessions::{Phase, Reinvite, Session, Stage, Withdrawn};
use super::{Owner, UserAgent};
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method};
use crate::session;
use crate::transaction::timer::Timer;

/// An offer of the peer outside INVITE that waits for the shell.
#[derive(Debug)]
pub(super) enum Offered {
    /// It came in an UPDATE.
    Update {
        transaction: ServerKey,
        request: Message,
        flow: Flow,
        /// The remote tag of its dialog: the INVITE may have forked.
        tag: Box<str>,
    },
    /// It is what the peer answered to our session refresh, other than before; nobody waits for an answer.
    Renewal,
}

impl UserAgent {
    /// An UPDATE of the peer, in order.
    pub(super) fn receive_update(&mut self, now: Instant, flow: Flow, id: SessionId, request: Message) {
        if let Some(min_se) = self.interval_too_small(&request) {
            let header = [(HeaderName::MinSe.as_str().into(), min_se.into())];
            return self.answer_with(now, flow, &request, &Method::Update, 422, &header);
        }
        let tag: Box<str> = request.from().ok().and_then(|from| from.tag()).unwrap_or_default().into();
        let Some(session) = self.live(id) else { return };
        session.note_allow(&request);
        let Some(offer) = request.sdp() else {
            return self.accept_update(now, id, &request, flow, &tag, None);
        };
        if session::check(&offer).is_err() {
            return self.answer(now, flow, &request, &Method::Update, session::SdpError::STATUS);
        }
        match open_offer(session, &tag) {
            Some(500) => return self.ask_for_patience(now, flow, &request, &Method::Update),
            Some(status) => return self.answer(now, flow, &request, &Method::Update, status),
            None => {}
        }
        if let Some(ours) = session.refresh_answer(&offer) {
            return self.accept_update(now, id, &request, flow, &tag, Some(ours));
        }
        let transaction = self.start_server(now, flow, &request, &Method::Update, ServerUser::Update(id));
        if let Some(session) = self.live(id) {
            session.offered = Some(Box::new(Offered::Update {
                transaction,
                request,
                flow,
                tag,
            }));
        }
        self.timers
            .start(Owner::Session(id), Timer::Answer, now + self.timing.answer());
        self.event(UaEvent::Reinvited {
            session: id,
            offer: Some(offer),
        });
    }

    /// Answers an UPDATE at once: it has no offer, or one that changes nothing.
    fn accept_update(&mut self, now: Instant, id: SessionId, request: &Message, flow: Flow, tag: &str, sdp: Option<Bytes>) {
        let transaction = self.start_server(now, flow, request, &Method::Update, ServerUser::Core);
        self.complete_update(now, id, transaction, request, flow, tag, sdp);
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of an UPDATE, from two callers")]
    fn complete_update(
        &mut self,
        now: Instant,
        id: SessionId,
        transaction: ServerKey,
        request: &Message,
        flow: Flow,
        tag: &str,
        sdp: Option<Bytes>,
    ) {
        if let Some(dialog) = self.live(id).and_then(|session| session.dialog_mut(Some(tag))) {
            dialog.refresh_target(request);
            dialog.flow = flow;
        }
        let Some(listener) = self.listener(flow.listener) else {
            return;
        };
        let mut response = self
            .response(request, flow, 200)
            .header(HeaderName::Contact, draft::contact(listener))
            .header(HeaderName::Allow, ALLOW);
        // One from before the answer says nothing about the interval, which the answer sets.
        let refreshes = |session: &mut Session| session.phase == Phase::Talking && session.unacked.is_none();
        if self.live(id).is_some_and(refreshes) {
            let grant = self.grant_interval(request);
            response = grant.iter().fold(response, |response, grant| grant.write(response));
            self.keep_alive(now, id, grant.map(|grant| grant.keepalive()));
        }
        if let Some(sdp) = sdp {
            response = response.body(SDP, sdp);
        }
        self.reply(now, transaction, 200, response.finish());
    }

    /// The shell accepts the offer that waits outside INVITE. There is no ACK to wait for.
    pub(super) fn accept_offered(&mut self, now: Instant, id: SessionId, offered: Offered, sdp: Option<Bytes>) {
        self.timers.stop(Owner::Session(id), Timer::Answer);
        self.event(UaEvent::Acked { session: id, sdp: None });
        match offered {
            Offered::Update {
                transaction,
                request,
                flow,
                tag,
            } => {
                if let Some(session) = self.live(id) {
                    session.heard_in(&tag, request.sdp().as_ref());
                    session.said_in(&tag, sdp.as_ref());
                    session.local_sdp = sdp.clone().or(session.local_sdp.take());
                }
                self.complete_update(now, id, transaction, &request, flow, &tag, sdp);
                self.drop_stale_offer(now, id);
            }
            Offered::Renewal => {
                let Some(session) = self.live(id) else { return };
                let said = session.local_sdp.as_ref();
                let is_new = sdp
                    .as_ref()
                    .zip(said)
                    .is_some_and(|(ours, said)| !session::same_media(ours, said));
                session.renewed = sdp.filter(|_| is_new);
                self.send_queued_reinvite(now, id);
            }
        }
    }

    /// Refuses the UPDATE that waits for the shell, if there is one.
    pub(super) fn refuse_offered(&mut self, now: Instant, id: SessionId, status: u16) {
        let Some(offered) = self.live(id).and_then(|session| session.offered.take()) else {
            return;
        };
        self.timers.stop(Owner::Session(id), Timer::Answer);
        let Offered::Update {
            transaction,
            request,
            flow,
            ..
        } = *offered
        else {
            return;
        };
        let status = if (300..700).contains(&status) { status } else { 500 };
        let response = self.response(&request, flow, status).finish();
        self.reply(now, transaction, status, response);
    }

    /// The UPDATE is refused though the shell has not answered it yet.
    pub(super) fn void_offered(&mut self, now: Instant, id: SessionId, status: u16) {
        if self.live(id).is_none_or(|session| session.offered.is_none()) {
            return;
        }
        self.refuse_offered(now, id, status);
        self.withdraw(now, id, Withdrawn::Offer);
    }

    /// Tells the shell that the offer is void. Its answer is waited for, and not for ever: an offer that comes next must not get it.
    pub(super) fn withdraw(&mut self, now: Instant, id: SessionId, what: Withdrawn) {
        let Some(session) = self.live(id) else { return };
        session.withdrawn = Some(what);
        self.timers
            .start(Owner::Session(id), Timer::Answer, now + self.timing.answer());
        self.event(UaEvent::ReinviteCancelled { session: id });
    }

    /// The shell took too long: "the UAS ... returns a 504" (s.5.2) before the peer gives up. Or it does not answer what is void anyway.
    pub(super) fn answer_expired(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        if session.withdrawn.take().is_none() {
            self.void_offered(now, id, 504);
        }
    }

    /// Sends an offer before the session is answered.
    pub(super) fn offer_early(&mut self, now: Instant, id: SessionId, offer: Option<Bytes>) {
        let Some(session) = self.live(id) else { return };
        let refusal = |status| UaEvent::ReinviteFailed { session: id, status };
        let busy = session.offered.is_some() || session.withdrawn.is_some() || session.reinvite.is_some();
        let Some(fork) = session.answered_fork().filter(|_| !busy && offer.is_some()) else {
            return self.event(refusal(491));
        };
        if !session.allows_update {
            return self.event(refusal(405));
        }
        session.reinvite = Some(Box::new(Reinvite {
            update: true,
            fork: Some(fork),
            ..Reinvite::queued(offer)
        }));
        self.send_queued_reinvite(now, id);
    }

    pub(super) fn on_update_response(&mut self, now: Instant, id: SessionId, key: ClientKey, response: &Message) {
        let status = response.status().unwrap_or(500);
        let Some(session) = self.live(id).filter(|session| session.awaits(key)) else {
            return;
        };
        let talking = session.phase == Phase::Talking;
        match status {
            100..200 => {}
            200..300 => self.on_update_success(now, id, response),
            491 => self.on_glare(now, id),
            408 | 481 if talking => self.dialog_lost(now, id, status),
            405 | 501 => {
                session.allows_update = false;
                self.reinvite_failed(now, id, status);
            }
            _ => self.put_off_or_failed(now, id, response),
        }
    }

    fn on_update_success(&mut self, now: Instant, id: SessionId, response: &Message) {
        let Some(session) = self.live(id) else { return };
        let Some(update) = session.reinvite.take() else { return };
        session.note_allow(response);
        if let Some(dialog) = session.dialog_mut(update.fork.as_deref()) {
            dialog.refresh_target(response);
        }
        // What was sent before the answer says nothing about the interval.
        let refreshes = update.fork.is_none();
        if !update.quiet {
            let sdp = response.sdp().filter(|sdp| session::check(sdp).is_ok());
            let tag = update.fork.as_deref().unwrap_or_default();
            session.heard_in(tag, sdp.as_ref());
            session.said_in(tag, update.offer.as_ref());
            session.local_sdp = update.offer;
            session.moot_acks = session.moot_acks.saturating_add(1);
            self.event(UaEvent::ReinviteAnswered { session: id, sdp });
        }
        if refreshes {
            self.peer_is_there(now, id);
            self.note_interval(now, id, response);
        }
        self.send_wanted_reinvite(now, id);
    }

    pub(super) fn on_update_unanswered(&mut self, now: Instant, id: SessionId, why: Unanswered) {
        let talking = self.live(id).is_some_and(|session| session.phase == Phase::Talking);
        let is_ours = self.live(id).is_some_and(|session| {
            let update = session.reinvite.as_ref().filter(|reinvite| reinvite.update);
            update.is_some_and(|update| matches!(update.stage, Stage::Sent(_)))
        });
        match why {
            _ if !is_ours => {}
            Unanswered::Timeout if talking => self.dialog_lost(now, id, 408),
            Unanswered::Unreachable if self.is_gone(id) => self.dialog_lost(now, id, 503),
            _ => self.reinvite_failed(now, id, why.status()),
        }
    }

    /// Another fork answered the call: what is open with this one is over.
    pub(super) fn leave_forks(&mut self, now: Instant, id: SessionId, winner: &str) {
        let Some(session) = self.live(id) else { return };
        let lost = |tag: &str| tag != winner;
        let offered = matches!(session.offered.as_deref(), Some(Offered::Update { tag, .. }) if lost(tag));
        let update = session
            .reinvite
            .as_ref()
            .and_then(|update| update.fork.as_deref())
            .is_some_and(lost);
        if offered {
            self.void_offered(now, id, 487);
        }
        if update {
            self.reinvite_failed(now, id, 491);
        }
    }

    /// As what a request of ours goes out.
    pub(super) fn request_of(reinvite: &Reinvite, id: SessionId) -> (Method, ClientUser) {
        if reinvite.update {
            (Method::Update, ClientUser::Update(id))
        } else {
            (Method::Invite, ClientUser::Reinvite(id))
        }
    }
}

impl Session {
    /// Whether that transaction carries our UPDATE.
    fn awaits(&self, key: ClientKey) -> bool {
        let stage = self.reinvite.as_ref().filter(|reinvite| reinvite.update);
        stage.is_some_and(|update| update.stage == Stage::Sent(Some(key)))
    }

    /// The early dialog in which we may make an offer, now or when the PRACK is answered; the last one of several.
    fn answered_fork(&self) -> Option<Box<str>> {
        match self.phase {
            Phase::Calling => {
                let calling = self.calling.as_ref().filter(|calling| calling.cancel.is_none())?;
                let last = |fits: fn(&&Early) -> bool| calling.early.iter().rev().find(fits);
                let fork = last(|early| early.settled).or_else(|| last(|early| early.answered));
                fork.map(|early| early.tag.clone())
            }
            Phase::Ringing => {
                let reliable = self.reliable.as_ref()?;
                let free = reliable.answered && reliable.success.is_none();
                self.dialogs.first().filter(|_| free).map(|dialog| dialog.remote_tag.clone())
            }
            Phase::Talking | Phase::Ending => None,
        }
    }

    /// Whether an offer may go out before the answer, in that early dialog.
    pub(super) fn may_offer_in(&self, tag: Option<&str>) -> bool {
        let early = self.calling.iter().flat_map(|calling| &calling.early);
        self.offered.is_none()
            && match self.phase {
                Phase::Calling => early.filter(|early| Some(&*early.tag) == tag).any(|early| early.settled),
                Phase::Ringing => self.reliable.as_ref().is_some_and(|reliable| reliable.settled),
                Phase::Talking | Phase::Ending => true,
            }
    }

    /// Keeps what we said to one fork alone.
    fn said_in(&mut self, tag: &str, sdp: Option<&Bytes>) {
        if let Some((early, sdp)) = self.early_mut(tag).zip(sdp) {
            early.ours = Some(sdp.clone());
        }
    }

    /// Keeps the peer's description, of that dialog.
    fn heard_in(&mut self, tag: &str, sdp: Option<&Bytes>) {
        match self.early_mut(tag) {
            Some(early) => early.sdp = sdp.map(|sdp| Bytes::copy_from_slice(sdp)).or(early.sdp.take()),
            None => self.heard(sdp),
        }
    }
}

/// Whether an offer of the peer has to wait: 500 where it has one open already, 491 where we have (RFC 3311 s.5.2, RFC 3261 s.14.2; the ACK of
/// a 2xx that is under way counts as open too, RFC 5407 s.3.1.4).
pub(super) fn open_offer(session: &Session, tag: &str) -> Option<u16> {
    let theirs = match session.phase {
        Phase::Ringing => !session.reliable.as_ref().is_some_and(|reliable| reliable.answered),
        _ => session.pending.is_some(),
    };
    let early = session.calling.as_ref().map(|calling| {
        let fork = calling.early.iter().find(|early| &*early.tag == tag);
        fork.is_some_and(|early| early.answered) && calling.cancel.is_none()
    });
    let ours = session.reinvite.as_ref().is_some_and(|reinvite| reinvite.is_open_offer());
    let waiting = session.reliable.as_ref().is_some_and(|reliable| reliable.success.is_some());
    if theirs || matches!(session.offered.as_deref(), Some(Offered::Update { .. })) {
        Some(500)
    } else if ours
        || waiting
        || early == Some(false)
        || session.offered.is_some()
        || session.withdrawn.is_some()
        || session.unacked.is_some()
        || session.ack_due.is_some()
        || session.bye_wanted.is_some()
    {
        Some(491)
    } else {
        None
    }
}
