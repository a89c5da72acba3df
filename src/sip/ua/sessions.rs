//! What the user agent keeps of one INVITE session, and how a session ends.
//!
//! Invariant: a session's terminal event is emitted by [`UserAgent::finish`] and nowhere else, once; what is left after it (the dialog while
//! our BYE is in flight, so that a crossing BYE gets its 200) is not visible to the shell.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use super::api::{Credentials, ResolveId, SessionId, SubscriptionId, UaEvent, UaOutput};
use super::client::{ClientKey, ClientUser};
use super::draft::{Body, Draft, Path};
use super::early::KeptInvite;
use super::prack::{Early, Reliable};
use super::refresh::Keepalive;
use super::restore::Restored;
use super::server::ServerKey;
use super::snapshot::{AcceptedInvite, Kept};
use super::talk::TakesTalk;
use super::update::Offered;
use super::within::Infos;
use super::{Owner, UserAgent};
use crate::dialog::Dialog;
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method};
use crate::registrar::Device;
use crate::transaction::timer::Timer;

/// Where a session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Outgoing, no final response.
    Calling,
    /// Incoming, no final response.
    Ringing,
    /// A 2xx was sent or received.
    Talking,
    /// Over for the shell; our BYE is in flight.
    Ending,
}

/// An outgoing INVITE on its way.
#[derive(Debug, Default)]
pub(super) struct Calling {
    pub transaction: Option<ClientKey>,
    /// A provisional response came: a CANCEL may be sent (s.9.1).
    pub provisional: bool,
    pub cancel: Option<Cancel>,
    /// It says that we support reliable provisional responses.
    pub reliable: bool,
    /// The forks that sent a description, or reliably. Bounded as the early dialogs are.
    pub early: Vec<Early>,
}

/// The INVITE is to be cancelled.
#[derive(Debug)]
pub(super) struct Cancel {
    /// What the shell hears: 487, or 408 where timer C decided it.
    pub status: u16,
    pub reason: Option<Arc<str>>,
    pub sent: bool,
}

/// An INVITE or re-INVITE of the peer that waits for our final response.
#[derive(Debug)]
pub(super) struct Pending {
    pub transaction: ServerKey,
    pub request: Message,
    pub flow: Flow,
    /// The last provisional response above 100, to be sent again every minute (s.13.3.1.1).
    pub progress: Option<(u16, Bytes)>,
    /// The shell does not know of it: a session refresh.
    pub quiet: bool,
}

/// A re-INVITE that was cancelled before the shell answered it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Withdrawn {
    /// It was an offer.
    Offer,
    /// It asked for one.
    LateOffer,
}

/// Our 2xx, which waits for its ACK (s.13.3.1.4).
#[derive(Debug)]
pub(super) struct Unacked {
    pub transaction: ServerKey,
    pub status: u16,
    pub cseq: u32,
    pub interval: Duration,
    /// The shell does not know of it.
    pub quiet: bool,
    /// It carries an offer.
    pub offers: bool,
    /// Of a restored session, without a transaction: the 2xx and where it goes.
    pub copy: Option<(Flow, Bytes)>,
}

/// Their 2xx, which waits for the shell's word on the ACK.
#[derive(Debug)]
pub(super) struct AckDue {
    pub transaction: ClientKey,
    pub invite: Message,
}

/// Our re-INVITE, or the UPDATE in its place.
#[derive(Debug)]
pub(super) struct Reinvite {
    pub offer: Option<Bytes>,
    pub stage: Stage,
    /// How often it met glare.
    pub glares: u8,
    /// It goes out as UPDATE (RFC 3311).
    pub update: bool,
    /// The shell does not know of it: a session refresh.
    pub quiet: bool,
    /// The remote tag of the early dialog it belongs to; in a confirmed dialog there is no choice.
    pub fork: Option<Box<str>>,
}

impl Reinvite {
    /// A re-INVITE in a confirmed dialog that waits to be sent.
    pub fn queued(offer: Option<Bytes>) -> Self {
        Self {
            offer,
            stage: Stage::Queued,
            glares: 0,
            update: false,
            quiet: false,
            fork: None,
        }
    }

    /// Whether an offer is out with it, or asked for: everything but an UPDATE without a body.
    pub fn is_open_offer(&self) -> bool {
        matches!(self.stage, Stage::Sent(_)) && !(self.update && self.offer.is_none())
    }
}

/// How far our re-INVITE is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Waits for an ACK before it can be sent.
    Queued,
    /// Sent, no final response.
    Sent(Option<ClientKey>),
    /// Got 491; waits for its retry (s.14.1).
    Backoff,
}

/// One INVITE session.
#[derive(Debug)]
pub(super) struct Session {
    pub phase: Phase,
    /// Whether we sent its first INVITE: we own the Call-ID (s.14.1).
    pub outgoing: bool,
    pub local_tag: u64,
    pub call_id: Arc<str>,
    /// Confirmed: exactly one. Early: one per fork.
    pub dialogs: SmallVec<[Dialog; 1]>,
    pub credentials: Option<Box<Credentials>>,
    pub calling: Option<Box<Calling>>,
    pub pending: Option<Box<Pending>>,
    /// The peer cancelled the re-INVITE that the shell is still working on.
    pub withdrawn: Option<Withdrawn>,
    pub unacked: Option<Box<Unacked>>,
    pub ack_due: Option<Box<AckDue>>,
    pub reinvite: Option<Box<Reinvite>>,
    /// What the shell wants to re-INVITE with once our session refresh is over.
    pub wanted: Option<Option<Bytes>>,
    /// An offer of the peer outside INVITE that waits for the shell.
    pub offered: Option<Box<Offered>>,
    /// Our side of RFC 3262, for an incoming session whose caller takes part in it.
    pub reliable: Option<Box<Reliable>>,
    /// The session interval (RFC 4028).
    pub keepalive: Option<Keepalive>,
    /// When the session is given up.
    pub overdue_at: Option<Instant>,
    /// The peer's Allow has UPDATE.
    pub allows_update: bool,
    /// So many calls of `ack` are for an UPDATE, which needs none.
    pub moot_acks: u8,
    /// The last description of ours that the peer has.
    pub local_sdp: Option<Bytes>,
    /// The description that our 200 could not carry, because a provisional response had the answer: goes out after the ACK.
    pub renewed: Option<Bytes>,
    /// The shell wants it ended as soon as the ACK of our 2xx came (s.15), with this Reason.
    pub bye_wanted: Option<Option<Arc<str>>>,
    /// The last description of the peer: a copy, which does not hold on to the buffer of its message.
    pub remote_sdp: Option<Bytes>,
    /// A BYE of ours is in flight.
    pub closing: bool,
    /// Transfers and subscriptions in its dialog (RFC 5057).
    pub usages: SmallVec<[SubscriptionId; 1]>,
    pub takes_talk: TakesTalk,
    /// It is to be asked to answer as soon as there is a dialog.
    pub talk_wanted: bool,
    /// The last INVITE of ours that was accepted.
    pub accepted: Option<AcceptedInvite>,
    /// INFOs of ours under way.
    pub infos: Option<Box<Infos>>,
    /// It came back from what was kept of it.
    pub restored: Option<Box<Restored>>,
    /// What the last snapshot said.
    pub kept: Option<Box<Kept>>,
    /// The INVITE without a final response that is kept.
    pub kept_invite: Option<KeptInvite>,
    /// The device at its other end, where that is one that connects to us.
    pub device: Option<Arc<Device>>,
    /// That device is registered with another connector, through which its dialog leads.
    pub elsewhere: bool,
    /// Its BYE waits for the device.
    pub lingers: bool,
    /// It is on the list of those that may have changed.
    pub touched: bool,
}

impl Session {
    pub fn new(phase: Phase, local_tag: u64, call_id: Arc<str>) -> Self {
        Self {
            phase,
            outgoing: phase == Phase::Calling,
            local_tag,
            call_id,
            dialogs: SmallVec::new(),
            credentials: None,
            calling: None,
            pending: None,
            withdrawn: None,
            unacked: None,
            ack_due: None,
            reinvite: None,
            wanted: None,
            offered: None,
            reliable: None,
            keepalive: None,
            overdue_at: None,
            allows_update: false,
            moot_acks: 0,
            local_sdp: None,
            renewed: None,
            bye_wanted: None,
            remote_sdp: None,
            closing: false,
            usages: SmallVec::new(),
            takes_talk: TakesTalk::default(),
            talk_wanted: false,
            accepted: None,
            infos: None,
            restored: None,
            kept: None,
            kept_invite: None,
            device: None,
            elsewhere: false,
            lingers: false,
            touched: false,
        }
    }

    /// Keeps what a message of the peer says about it.
    pub fn note_allow(&mut self, message: &Message) {
        let mut methods = message.headers(HeaderName::Allow).peekable();
        if methods.peek().is_some() {
            self.allows_update = methods.any(|method| method == Method::Update.as_str());
        }
    }

    /// The dialog with that remote tag; the confirmed one where none is asked for.
    pub fn dialog_mut(&mut self, tag: Option<&str>) -> Option<&mut Dialog> {
        match tag {
            Some(tag) => self.dialogs.iter_mut().find(|dialog| &*dialog.remote_tag == tag),
            None => self.dialogs.first_mut(),
        }
    }

    /// The early state of a fork.
    pub fn early_mut(&mut self, tag: &str) -> Option<&mut Early> {
        self.calling.as_mut()?.early.iter_mut().find(|early| &*early.tag == tag)
    }

    /// Keeps the peer's description.
    pub fn heard(&mut self, sdp: Option<&Bytes>) {
        if let Some(sdp) = sdp {
            self.remote_sdp = Some(Bytes::copy_from_slice(sdp));
        }
    }
}

impl UserAgent {
    /// The session that the shell still knows.
    pub(super) fn live(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id).filter(|session| session.phase != Phase::Ending)
    }

    /// The live session of a command; one that is over is counted (the command crossed the end).
    pub(super) fn commanded(&mut self, id: SessionId) -> Option<&mut Session> {
        if self.live(id).is_none() {
            self.stats.commands_ignored += 1;
        }
        self.live(id)
    }

    /// Whether a command finds its session in that phase; counted where not.
    pub(super) fn commanded_in(&mut self, id: SessionId, phase: Phase) -> bool {
        let fits = self.live(id).is_some_and(|session| session.phase == phase);
        self.stats.commands_ignored += u64::from(!fits);
        fits
    }

    pub(super) fn event(&mut self, event: UaEvent) {
        self.outputs.push_back(UaOutput::Event(event));
    }

    /// Ends a session for the shell that the peer did not end: we did, or the network.
    pub(super) fn finish_from_here(&mut self, now: Instant, id: SessionId) {
        let ended = UaEvent::Ended {
            session: id,
            by_peer: false,
            q850: None,
            reason: None,
        };
        self.finish(now, id, ended);
    }

    /// Ends a session for the shell, with its terminal event.
    pub(super) fn finish(&mut self, now: Instant, id: SessionId, terminal: UaEvent) {
        let patience = self.timing.patience();
        self.refuse_offered(now, id, 487);
        let Some(session) = self.live(id) else { return };
        session.phase = Phase::Ending;
        session.pending = None;
        session.unacked = None;
        session.ack_due = None;
        session.reliable = None;
        session.infos = None;
        let reinvite = session.reinvite.take().filter(|reinvite| !reinvite.update);
        session.calling = None;
        let (closing, lingers) = (session.closing, session.lingers);
        // A re-INVITE that is still open has lost who watched over it.
        if let Some(Stage::Sent(Some(key))) = reinvite.map(|reinvite| reinvite.stage) {
            self.timers.start(Owner::Client(key), Timer::Cancel, now + patience);
        }
        self.live_sessions -= 1;
        self.timers.stop_all(Owner::Session(id));
        if lingers {
            let wait = self.farewell();
            self.timers.start(Owner::Session(id), Timer::Overdue, now + wait);
        }
        self.event(terminal);
        self.end_usages(now, id);
        if !closing {
            self.forget(id);
        }
    }

    /// The BYE of a session is done with: forgets the session. Where there was no way to send it, its end is still to be told.
    pub(super) fn forget(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.closing = false;
        if session.phase != Phase::Ending || !session.usages.is_empty() {
            return;
        }
        if std::mem::take(&mut session.lingers) {
            self.timers.stop(Owner::Session(id), Timer::Overdue);
        }
        let Some(session) = self.sessions.get(&id) else { return };
        if let Some(key) = session.answered_key() {
            self.answered.remove(key);
        }
        self.by_tag.remove(&session.local_tag);
        self.dialogs -= session.dialogs.len();
        if let Some(session) = self.sessions.remove(&id) {
            self.leave_device(&session, id);
        }
    }

    /// Notes which transaction carries a session's request.
    pub(super) fn attach(&mut self, user: ClientUser, key: ClientKey) {
        match user {
            ClientUser::Invite(id) => {
                let Some(session) = self.live(id) else { return };
                let Some(calling) = session.calling.as_mut() else { return };
                let is_again = calling.transaction.replace(key).is_some();
                if is_again {
                    // The INVITE before it was refused, and its early dialogs are gone (s.12.3).
                    calling.early.clear();
                    let gone = std::mem::take(&mut session.dialogs).len();
                    self.dialogs -= gone;
                }
            }
            ClientUser::Reinvite(id) | ClientUser::Update(id) => {
                if let Some(reinvite) = self.live(id).and_then(|session| session.reinvite.as_mut()) {
                    reinvite.stage = Stage::Sent(Some(key));
                }
            }
            _ => {}
        }
    }

    /// Whether a request may be sent another way: not once its session is over or its INVITE cancelled.
    pub(super) fn may_retry(&self, user: ClientUser) -> bool {
        match user {
            ClientUser::Invite(id) => self
                .sessions
                .get(&id)
                .is_some_and(|session| session.calling.as_ref().is_some_and(|calling| calling.cancel.is_none())),
            ClientUser::Reinvite(id) | ClientUser::Info(id) => self.sessions.get(&id).is_some_and(|s| s.phase == Phase::Talking),
            ClientUser::Update(id) | ClientUser::Prack(id) => self.sessions.get(&id).is_some_and(|s| s.phase != Phase::Ending),
            ClientUser::Talk(id) => self.sessions.get(&id).is_some_and(|session| session.phase != Phase::Ending),
            ClientUser::Notify(id) => self.subscriptions.open.contains_key(&id),
            ClientUser::Bye(_) | ClientUser::Request(_) | ClientUser::Nobody => true,
        }
    }

    /// The CSeq of a request sent again after a challenge (s.8.1.3.5).
    pub(super) fn raise_cseq(&mut self, user: ClientUser, draft: &Draft) -> u32 {
        if let ClientUser::Notify(id) = user {
            return self.subscription_dialog(id).map_or(draft.cseq + 1, Dialog::next_cseq);
        }
        let (ClientUser::Reinvite(id)
        | ClientUser::Info(id)
        | ClientUser::Bye(id)
        | ClientUser::Update(id)
        | ClientUser::Prack(id)
        | ClientUser::Talk(id)) = user
        else {
            return draft.cseq + 1;
        };
        let dialogs = self.sessions.get_mut(&id).map(|session| &mut session.dialogs);
        let raised = dialogs.and_then(|dialogs| dialogs.iter_mut().find(|dialog| dialog.remote == draft.to));
        let number = raised.map_or(draft.cseq + 1, Dialog::next_cseq);
        self.spend_cseq(id, number);
        number
    }

    /// A request in the confirmed dialog of a session, with the next CSeq.
    pub(super) fn in_dialog(&mut self, id: SessionId, method: Method, body: Option<Body>) -> Option<Box<Draft>> {
        self.in_fork(id, None, method, body)
    }

    /// A request in the dialog with that remote tag, early or confirmed, with the next CSeq.
    pub(super) fn in_fork(&mut self, id: SessionId, tag: Option<&str>, method: Method, body: Option<Body>) -> Option<Box<Draft>> {
        let session = self.sessions.get_mut(&id)?;
        let credentials = session.credentials.clone();
        let dialog = session.dialog_mut(tag)?;
        let number = dialog.next_cseq();
        let dialog = dialog.clone();
        self.spend_cseq(id, number);
        let mut draft = draft_in(&dialog, method, number);
        draft.credentials = credentials;
        draft.body = body;
        draft.path = self.path_of(&dialog, &draft.next_hop);
        Some(Box::new(draft))
    }

    /// Notes at the INVITE which numbers its early dialogs have used: a dialog that its 2xx makes goes on above them.
    fn spend_cseq(&mut self, id: SessionId, number: u32) {
        let calling = self.sessions.get(&id).and_then(|session| session.calling.as_ref());
        let key = calling.and_then(|calling| calling.transaction);
        if let Some(transaction) = key.and_then(|key| self.clients.get_mut(&key)) {
            transaction.spent_cseq = transaction.spent_cseq.max(number);
        }
    }

    /// Sends BYE in the confirmed dialog; the session is forgotten when it is answered.
    pub(super) fn send_bye(&mut self, now: Instant, id: SessionId, reason: Option<&str>) {
        let Some(mut draft) = self.in_dialog(id, Method::Bye, None) else {
            return;
        };
        if let Some(reason) = reason {
            draft.headers.push((HeaderName::Reason.as_str().into(), reason.into()));
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.closing = true;
        }
        self.launch(now, draft, ClientUser::Bye(id));
    }

    /// The ACK of a 2xx (s.13.2.2.4): the CSeq number and the credentials of its INVITE. Not a transaction: sent once, and again for every
    /// retransmitted 2xx.
    pub(super) fn ack_of_success(&mut self, dialog: &Dialog, invite: &Message, body: Option<Bytes>) -> Option<(Flow, Bytes)> {
        let number = invite.cseq().ok()?.0;
        let headers = [HeaderName::Authorization, HeaderName::ProxyAuthorization]
            .into_iter()
            .filter_map(|name| Some((name.as_str().into(), invite.header(name)?.into())))
            .collect();
        self.ack_with(dialog, number, body, headers)
    }

    /// The ACK of the 2xx to the INVITE with that CSeq number.
    pub(super) fn ack_with(
        &mut self,
        dialog: &Dialog,
        number: u32,
        body: Option<Bytes>,
        headers: Vec<(Arc<str>, Arc<str>)>,
    ) -> Option<(Flow, Bytes)> {
        let mut draft = draft_in(dialog, Method::Ack, number);
        draft.body = body.map(|sdp| (super::draft::SDP.into(), sdp));
        draft.headers = headers;
        let flow = self.dialog_flow(dialog, &draft.next_hop).unwrap_or(dialog.flow);
        let branch = super::ident::branch(self.config.shard, rand::Rng::random(&mut self.rng));
        let listener = self.listener(flow.listener)?;
        Some((flow, draft.write(&branch, listener, &self.config.product)))
    }
}

/// A request in a dialog, without a way yet.
pub(super) fn draft_in(dialog: &Dialog, method: Method, cseq: u32) -> Draft {
    let target = dialog.request_target();
    Draft {
        method,
        uri: target.uri,
        routes: target.routes,
        from: dialog.local.clone(),
        to: dialog.remote.clone(),
        call_id: dialog.call_id.clone(),
        cseq,
        headers: Vec::new(),
        body: None,
        credentials: None,
        authorization: None,
        authorizations: 0,
        followed: false,
        interval: None,
        next_hop: target.next_hop,
        path: Path::default(),
    }
}

/// So that a resolver's answer finds its request; here because sessions drop theirs.
pub(super) type Resolving = std::collections::HashMap<ResolveId, (Box<Draft>, ClientUser)>;
