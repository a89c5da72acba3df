//! Outgoing sessions: INVITE, its responses, its ACK, CANCEL (RFC 3261 s.13.2, 9.1).
//!
//! Invariant: every 2xx is acknowledged; of several (a fork answered twice) the first is the session and the others get BYE at once, as does
//! one that crossed our CANCEL.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rand::Rng;
use smallvec::SmallVec;

use super::api::{Invite, ReliableProvisionals, SessionId, UaEvent, UaOutput};
use super::client::{Accepted, ClientKey, ClientUser, Unanswered};
use super::draft::{self, Draft, Path};
use super::prack::Taken;
use super::server::exact;
use super::sessions::{AckDue, Calling, Cancel, Phase, Session, Stage};
use super::snapshot::AcceptedInvite;
use super::{Owner, UserAgent, ident};
use crate::dialog::{Dialog, route_uri};
use crate::flow::Flow;
use crate::identity::Reason;
use crate::message::{HeaderName, Message, Method};
use crate::session;
use crate::transaction::timer::Timer;

/// Forks of one INVITE that are followed; what is beyond gets ACK and BYE like any other 2xx too many.
const MAX_FORKS: usize = 16;

impl UserAgent {
    /// Sends an INVITE.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> SessionId {
        let id = SessionId(self.next_id());
        let local_tag = self.rng.random();
        let call_id = ident::call_id(self.config.shard, &mut self.rng);
        let mut session = Session::new(Phase::Calling, local_tag, call_id.clone());
        session.credentials = invite.credentials.clone().map(Box::new);
        let extensions = self.extensions(invite.offer.is_some());
        let reliable = extensions.iter().any(|(_, options)| options.contains(super::prack::TAG));
        session.calling = Some(Box::new(Calling {
            reliable,
            ..Calling::default()
        }));
        session.local_sdp = invite.offer.clone();
        self.sessions.insert(id, session);
        self.by_tag.insert(local_tag, id);
        self.live_sessions += 1;

        let tag = ident::tag(self.config.shard, local_tag);
        let proxy = invite.proxy.iter().map(|uri| loose_route(uri));
        let routes: crate::dialog::Routes = proxy.chain(invite.route.iter().cloned()).collect();
        let next_hop = routes
            .first()
            .map_or_else(|| invite.uri.clone(), |route| route_uri(route).into());
        let path = Path {
            flow: invite.flow,
            by_uri: invite.flow.is_none(),
            ..Path::default()
        };
        let draft = Draft {
            method: Method::Invite,
            uri: invite.uri,
            routes,
            from: draft::name_addr(&invite.from.0, invite.from.1.as_deref(), Some(&tag)),
            to: draft::name_addr(&invite.to, None, None),
            call_id,
            cseq: 1,
            headers: extensions.into_iter().chain(invite.headers).collect(),
            body: invite.offer.map(|offer| (draft::SDP.into(), offer)),
            credentials: invite.credentials.map(Box::new),
            authorization: None,
            authorizations: 0,
            followed: false,
            interval: self.interval(None, true),
            next_hop,
            path,
        };
        self.launch(now, Box::new(draft), ClientUser::Invite(id));
        id
    }

    /// What our INVITE says about extensions. Without an offer it does not take reliable responses, which would have to bring one.
    fn extensions(&self, has_offer: bool) -> Vec<(Arc<str>, Arc<str>)> {
        let mut headers: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        let mut supported = draft::SUPPORTED.to_vec();
        match self.config.reliable_provisionals {
            ReliableProvisionals::Off => {}
            _ if !has_offer => {}
            ReliableProvisionals::Supported => supported.push(super::prack::TAG),
            ReliableProvisionals::Required => headers.push((HeaderName::Require.as_str().into(), super::prack::TAG.into())),
        }
        if !self.config.session_expires.is_zero() {
            supported.push(super::refresh::TAG);
        }
        headers.push((HeaderName::Supported.as_str().into(), supported.join(", ").into()));
        headers
    }

    /// Acknowledges the 2xx of an INVITE or re-INVITE; after one to UPDATE it has no effect.
    pub fn ack(&mut self, now: Instant, id: SessionId, body: Option<Bytes>) {
        let Some(session) = self.commanded(id) else { return };
        if session.moot_acks > 0 {
            session.moot_acks -= 1;
            return;
        }
        self.acknowledge_due(now, id, body);
    }

    /// Sends the ACK that is due, if one is.
    pub(super) fn acknowledge_due(&mut self, now: Instant, id: SessionId, body: Option<Bytes>) {
        let Some(session) = self.live(id) else { return };
        let Some(due) = session.ack_due.take() else { return };
        if body.is_some() {
            session.local_sdp = body.clone();
        }
        let Some(dialog) = self.sessions.get(&id).and_then(|session| session.dialogs.first()).cloned() else {
            return;
        };
        self.acknowledge(due.transaction, &dialog, &due.invite, body);
        self.send_queued_reinvite(now, id);
    }

    /// Sends the ACK of a 2xx, and keeps it for the retransmissions of that 2xx.
    fn acknowledge(&mut self, key: ClientKey, dialog: &Dialog, invite: &Message, body: Option<Bytes>) {
        let Some((flow, bytes)) = self.ack_of_success(dialog, invite, body) else {
            return;
        };
        if let Some(transaction) = self.clients.get_mut(&key)
            && let Some(accepted) = transaction
                .accepted
                .iter_mut()
                .find(|accepted| accepted.tag == dialog.remote_tag)
        {
            accepted.ack = Some((flow, exact(&bytes)));
        }
        self.outputs.push_back(UaOutput::Send { flow, bytes });
    }

    /// Cancels an outgoing INVITE that has no final response; `reason` is the value of a Reason header (RFC 3326). Held back until a
    /// provisional response came (s.9.1); the session ends with `Failed`.
    pub fn cancel(&mut self, now: Instant, id: SessionId, reason: Option<&str>) {
        if self.commanded_in(id, Phase::Calling) {
            self.cancel_with(now, id, 487, reason.map(Arc::from));
        }
    }

    pub(super) fn cancel_with(&mut self, now: Instant, id: SessionId, status: u16, reason: Option<Arc<str>>) {
        let Some(calling) = self.live(id).and_then(|session| session.calling.as_mut()) else {
            return;
        };
        if calling.cancel.is_some() {
            return;
        }
        calling.cancel = Some(Cancel {
            status,
            reason,
            sent: false,
        });
        if calling.transaction.is_none() {
            // Nothing was sent: the resolver is still at it.
            self.resolving.retain(|_, (_, user)| *user != ClientUser::Invite(id));
            return self.finish(now, id, failed(id, status));
        }
        self.send_wanted_cancel(now, id);
    }

    /// Sends the CANCEL that is wanted, as soon as it may be sent.
    fn send_wanted_cancel(&mut self, now: Instant, id: SessionId) {
        let Some(calling) = self.live(id).and_then(|session| session.calling.as_mut()) else {
            return;
        };
        let Calling {
            transaction: Some(key),
            provisional: true,
            cancel: Some(cancel),
            ..
        } = &mut **calling
        else {
            return;
        };
        if std::mem::replace(&mut cancel.sent, true) {
            return;
        }
        let (key, reason) = (*key, cancel.reason.clone());
        self.send_cancel(now, key, reason.as_deref());
        self.timers.stop(Owner::Session(id), Timer::C);
        self.timers
            .start(Owner::Session(id), Timer::Cancel, now + self.timing.patience());
    }

    /// No final response 64*T1 after the CANCEL (s.9.1).
    pub(super) fn cancel_expired(&mut self, now: Instant, id: SessionId) {
        let Some(calling) = self.live(id).and_then(|session| session.calling.as_mut()) else {
            return;
        };
        let (key, status) = (
            calling.transaction,
            calling.cancel.as_ref().map_or(487, |cancel| cancel.status),
        );
        if let Some(key) = key {
            self.abandon(now, key);
        }
        self.finish(now, id, failed(id, status));
    }

    pub(super) fn on_invite_response(&mut self, now: Instant, id: SessionId, key: ClientKey, flow: Flow, response: &Message) {
        self.note_talk(id, response);
        match response.status().unwrap_or(500) {
            status @ 100..200 => self.on_provisional(now, id, key, flow, response, status),
            200..300 => self.on_success(now, id, key, flow, response),
            status => self.on_refusal(now, id, response, status),
        }
    }

    fn on_provisional(&mut self, now: Instant, id: SessionId, key: ClientKey, flow: Flow, response: &Message, status: u16) {
        let limit = now + self.timing.c;
        let Some(session) = self.live(id) else { return };
        let Some(calling) = session.calling.as_mut() else { return };
        let first = !std::mem::replace(&mut calling.provisional, true);
        let cancelled = calling.cancel.is_some();
        // RFC 3261 s.16.7 item 2: a provisional response other than 100 starts timer C again.
        if !cancelled && (first || status > 100) {
            self.timers.start(Owner::Session(id), Timer::C, limit);
        }
        self.send_wanted_cancel(now, id);
        if status == 100 || cancelled {
            return;
        }
        let Some(session) = self.live(id) else { return };
        session.note_allow(response);
        self.note_fork(id, key, flow, response);
        match self.take_provisional(now, id, response) {
            Taken::New(sdp) => self.event(UaEvent::Progress {
                session: id,
                status,
                sdp,
            }),
            Taken::Again => self.stats.retransmissions_received += 1,
            Taken::Early => self.drop_message(),
        }
        self.talk_if_wanted(now, id);
    }

    /// An early dialog for each To tag (s.12.1.2).
    fn note_fork(&mut self, id: SessionId, key: ClientKey, flow: Flow, response: &Message) {
        let tag = response.to().ok().and_then(|to| to.tag());
        let (Some(tag), Some(transaction)) = (tag, self.clients.get(&key)) else {
            return;
        };
        let request = transaction.request.clone();
        let Some(session) = self.live(id) else { return };
        if session.dialogs.len() >= MAX_FORKS || session.dialogs.iter().any(|dialog| &*dialog.remote_tag == tag) {
            return;
        }
        let dialog = Message::parse(request)
            .ok()
            .and_then(|request| Dialog::of_response(&request, response, flow));
        if let Some(dialog) = dialog {
            session.dialogs.push(dialog);
            self.dialogs += 1;
        }
    }

    fn on_success(&mut self, now: Instant, id: SessionId, key: ClientKey, flow: Flow, response: &Message) {
        let Some((invite, dialog)) = self.accepted_dialog(key, flow, response) else {
            return;
        };
        let Some(session) = self.live(id).filter(|session| session.phase == Phase::Calling) else {
            return self.acknowledge_and_end(now, key, dialog, &invite);
        };
        let cancelled = session
            .calling
            .as_ref()
            .and_then(|calling| calling.cancel.as_ref())
            .map(|cancel| cancel.status);
        let sdp = session.answer_of(&dialog.remote_tag, response);
        let unusable = sdp
            .as_ref()
            .is_some_and(|sdp| session::check(sdp).is_err())
            .then_some(session::SdpError::STATUS);
        if let Some(status) = cancelled.or(unusable) {
            self.acknowledge_and_end(now, key, dialog, &invite);
            return self.finish(now, id, failed(id, status));
        }
        let winner = dialog.remote_tag.clone();
        self.leave_forks(now, id, &winner);
        let Some(session) = self.live(id) else { return };
        session.renew_for(&winner, &invite);
        session.phase = Phase::Talking;
        session.calling = None;
        session.note_allow(response);
        // Requests of the peer may have come through the early dialog already.
        let remote_cseq = session
            .dialogs
            .iter()
            .find(|early| early.remote_tag == dialog.remote_tag)
            .and_then(|early| early.remote_cseq);
        let early = session.dialogs.len();
        session.dialogs = SmallVec::from_elem(Dialog { remote_cseq, ..dialog }, 1);
        session.accepted = AcceptedInvite::of(&invite);
        session.ack_due = Some(Box::new(AckDue {
            transaction: key,
            invite,
        }));
        session.heard(sdp.as_ref());
        self.dialogs = self.dialogs + 1 - early;
        self.timers.stop(Owner::Session(id), Timer::C);
        self.timers.stop(Owner::Session(id), Timer::Cancel);
        self.note_interval(now, id, response);
        self.event(UaEvent::Answered { session: id, sdp });
    }

    /// Notes a 2xx. Gives the INVITE and the dialog of one that is new; one that came before gets its ACK again.
    pub(super) fn accepted_dialog(&mut self, key: ClientKey, flow: Flow, response: &Message) -> Option<(Message, Dialog)> {
        let tag = response.to().ok()?.tag().unwrap_or_default();
        let transaction = self.clients.get_mut(&key)?;
        if let Some(accepted) = transaction.accepted.iter().find(|accepted| &*accepted.tag == tag) {
            self.stats.retransmissions_received += 1;
            if let Some((flow, bytes)) = accepted.ack.clone() {
                self.stats.retransmissions_sent += 1;
                self.outputs.push_back(UaOutput::Send { flow, bytes });
            }
            return None;
        }
        if transaction.accepted.len() >= MAX_FORKS {
            self.drop_message();
            return None;
        }
        transaction.accepted.push(Accepted {
            tag: tag.into(),
            ack: None,
        });
        let (invite, spent) = (Message::parse(transaction.request.clone()).ok()?, transaction.spent_cseq);
        let mut dialog = Dialog::of_response(&invite, response, flow)?;
        dialog.local_cseq = dialog.local_cseq.max(spent);
        Some((invite, dialog))
    }

    /// A 2xx that nobody wants: of a further fork, or one that crossed our CANCEL (s.13.2.2.4).
    fn acknowledge_and_end(&mut self, now: Instant, key: ClientKey, mut dialog: Dialog, invite: &Message) {
        self.acknowledge(key, &dialog, invite, None);
        let cseq = dialog.next_cseq();
        let mut bye = super::sessions::draft_in(&dialog, Method::Bye, cseq);
        bye.path = self.path_of(&dialog, &bye.next_hop);
        self.launch(now, Box::new(bye), ClientUser::Nobody);
    }

    /// A 2xx to a re-INVITE of a session that is over: only its ACK is due.
    pub(super) fn acknowledge_only(&mut self, key: ClientKey, dialog: &Dialog, invite: &Message) {
        self.acknowledge(key, dialog, invite, None);
    }

    fn on_refusal(&mut self, now: Instant, id: SessionId, response: &Message, status: u16) {
        let Some(session) = self.live(id) else { return };
        let cancel = session.calling.as_ref().and_then(|calling| calling.cancel.as_ref());
        let status = match cancel {
            Some(cancel) if status == 487 => cancel.status,
            _ => status,
        };
        let contacts = response.redirect_targets().map(Arc::from).collect();
        self.finish(
            now,
            id,
            UaEvent::Failed {
                session: id,
                status,
                q850: response.reason_cause(),
                reason: Reason::passed_on(response),
                contacts,
            },
        );
    }

    pub(super) fn on_invite_unanswered(&mut self, now: Instant, id: SessionId, why: Unanswered) {
        let Some(session) = self.live(id) else { return };
        let cancel = session.calling.as_ref().and_then(|calling| calling.cancel.as_ref());
        let status = cancel.map_or(why.status(), |cancel| cancel.status);
        self.finish(now, id, failed(id, status));
    }

    /// Timer C: an INVITE stayed provisional too long, the first one or a re-INVITE.
    pub(super) fn invite_expired(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.live(id) else { return };
        if session.phase == Phase::Calling {
            return self.cancel_with(now, id, 408, None);
        }
        let invite = session.reinvite.as_ref().filter(|reinvite| !reinvite.update);
        if let Some(Stage::Sent(Some(key))) = invite.map(|reinvite| reinvite.stage) {
            self.send_cancel(now, key, None);
            self.abandon(now, key);
            self.on_reinvite_unanswered(now, id, Unanswered::Timeout);
        }
    }
}

impl Session {
    /// The answer that a 2xx stands for: what that fork said reliably before (and UPDATE since), else what the 2xx says; of a callee that says
    /// it in an unreliable response only, against RFC 3261 s.13.2.1, that.
    fn answer_of(&self, tag: &str, response: &Message) -> Option<Bytes> {
        let early = self.calling.iter().flat_map(|calling| &calling.early);
        let early = early.filter(|_| self.local_sdp.is_some()).find(|early| &*early.tag == tag);
        match early {
            Some(early) if early.answered => early.sdp.clone(),
            Some(early) => response.sdp().or_else(|| early.sdp.clone()),
            None => response.sdp(),
        }
    }
}

impl Session {
    /// A fork answered that was not told what another was: it hears that after its ACK.
    fn renew_for(&mut self, winner: &str, invite: &Message) {
        let said = self.early_mut(winner).and_then(|early| early.ours.clone());
        let Some((said, last)) = said.or_else(|| invite.sdp()).zip(self.local_sdp.as_ref()) else {
            return;
        };
        if !session::same_media(&said, last) {
            self.renewed = self.local_sdp.replace(said);
        }
    }
}

fn failed(session: SessionId, status: u16) -> UaEvent {
    UaEvent::Failed {
        session,
        status,
        q850: None,
        reason: None,
        contacts: Vec::new(),
    }
}

/// A proxy's URI as a Route value, loose whatever it says (s.16.12.1.1 is of no use with a proxy of our own choice).
fn loose_route(uri: &str) -> Arc<str> {
    let bare = route_uri(uri);
    let lr = crate::message::Uri::parse(bare).is_ok_and(|uri| uri.lr());
    if lr {
        format!("<{bare}>").into()
    } else {
        format!("<{bare};lr>").into()
    }
}
