//! Client transactions: the two machines of [`crate::transaction`] driven with bytes, timers and users.
//!
//! Invariant: a transaction is found by the key in its branch; it is gone as soon as its machine is terminated. Requests that may go
//! elsewhere (next hop, answer to a challenge) keep their draft until a final response came.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;
use smallvec::SmallVec;

use super::api::{ClientRequestId, SessionId, SubscriptionId, UaOutput};
use super::draft::Draft;
use super::route::Attempt;
use super::server::exact;
use super::{Owner, ResolveId, UserAgent, ident};
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method, RequestBuilder};
use crate::transaction::timer::Timer;
use crate::transaction::{Action, invite_client as ict, non_invite_client as nict};

/// The key of a client transaction. A CANCEL shares the branch of its INVITE (RFC 3261 s.9.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct ClientKey {
    pub branch: u64,
    pub cancel: bool,
}

/// On whose behalf a request is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ClientUser {
    /// The INVITE that opens a session.
    Invite(SessionId),
    /// A re-INVITE.
    Reinvite(SessionId),
    /// UPDATE (RFC 3311).
    Update(SessionId),
    /// PRACK (RFC 3262).
    Prack(SessionId),
    /// INFO.
    Info(SessionId),
    /// The BYE of a session; the session is forgotten after it.
    Bye(SessionId),
    /// A NOTIFY that asks the device to answer.
    Talk(SessionId),
    /// The NOTIFY of a subscription or transfer.
    Notify(SubscriptionId),
    /// A request outside a session.
    Request(ClientRequestId),
    /// CANCEL, or the BYE of a fork that is not wanted: nobody waits.
    Nobody,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ClientMachine {
    Invite(ict::State),
    Other(nict::State),
}

/// A 2xx that came.
pub(super) struct Accepted {
    /// Its To tag.
    pub tag: Box<str>,
    /// Its ACK, once there is one.
    pub ack: Option<(Flow, Bytes)>,
}

/// One client transaction.
pub(super) struct ClientTransaction {
    machine: ClientMachine,
    pub user: ClientUser,
    pub flow: Flow,
    pub request: Bytes,
    /// The ACK of the non-2xx final response.
    ack: Option<Bytes>,
    /// The 2xx seen, one per fork.
    pub accepted: SmallVec<[Accepted; 1]>,
    /// The largest CSeq number of a request of ours in an early dialog of this INVITE.
    pub spent_cseq: u32,
    draft: Option<Box<Draft>>,
    interval: Duration,
    sent: bool,
    heard: bool,
}

/// What a transaction tells its user.
enum Report {
    Response,
    Timeout,
    Failure,
}

/// How a request ended without a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unanswered {
    /// No response in time: stands for 408.
    Timeout,
    /// It could not be sent: stands for 503.
    Unreachable,
}

impl Unanswered {
    pub fn status(self) -> u16 {
        match self {
            Self::Timeout => 408,
            Self::Unreachable => 503,
        }
    }
}

impl ClientTransaction {
    fn is_terminated(&self) -> bool {
        matches!(
            self.machine,
            ClientMachine::Invite(ict::State::Terminated) | ClientMachine::Other(nict::State::Terminated)
        )
    }

    /// Whether a response came.
    pub fn is_heard(&self) -> bool {
        self.heard
    }

    /// What it was made from, to send it another way.
    pub fn take_draft(&mut self) -> Option<(ClientUser, Box<Draft>)> {
        Some((self.user, self.draft.take()?))
    }

    /// A final response came: drops what is not needed while the transaction waits for retransmissions. Of an accepted INVITE the request
    /// is, for the dialogs of further forks; it is copied without the builder's spare room.
    fn shrink(&mut self) {
        match self.machine {
            ClientMachine::Invite(ict::State::Accepted) if self.accepted.is_empty() => {
                self.request = exact(&self.request);
            }
            ClientMachine::Invite(ict::State::Accepted) => {}
            _ => self.request = Bytes::new(),
        }
    }

    /// Moves the machine on a response of that status.
    fn on_status(&mut self, status: u16) -> Option<&'static [Action]> {
        match &mut self.machine {
            ClientMachine::Invite(state) => {
                let input = match status {
                    100..200 => ict::Input::Provisional,
                    200..300 => ict::Input::Success,
                    _ => ict::Input::Failure,
                };
                let (next, actions) = ict::step(*state, input)?;
                *state = next;
                Some(actions)
            }
            ClientMachine::Other(state) => {
                let input = if status < 200 {
                    nict::Input::Provisional
                } else {
                    nict::Input::Final
                };
                let (next, actions) = nict::step(*state, input)?;
                *state = next;
                Some(actions)
            }
        }
    }

    fn on_timer(&mut self, timer: Timer) -> Option<&'static [Action]> {
        match &mut self.machine {
            ClientMachine::Invite(state) => {
                let input = match timer {
                    Timer::A => ict::Input::TimerA,
                    Timer::B => ict::Input::TimerB,
                    Timer::D => ict::Input::TimerD,
                    Timer::M => ict::Input::TimerM,
                    Timer::Cancel => ict::Input::Abandon,
                    _ => return None,
                };
                let (next, actions) = ict::step(*state, input)?;
                *state = next;
                Some(actions)
            }
            ClientMachine::Other(state) => {
                let input = match timer {
                    Timer::E => nict::Input::TimerE,
                    Timer::F => nict::Input::TimerF,
                    Timer::K => nict::Input::TimerK,
                    _ => return None,
                };
                let (next, actions) = nict::step(*state, input)?;
                *state = next;
                Some(actions)
            }
        }
    }

    fn on_transport_error(&mut self) -> Option<&'static [Action]> {
        match &mut self.machine {
            ClientMachine::Invite(state) => {
                let (next, actions) = ict::step(*state, ict::Input::TransportError)?;
                *state = next;
                Some(actions)
            }
            ClientMachine::Other(state) => {
                let (next, actions) = nict::step(*state, nict::Input::TransportError)?;
                *state = next;
                Some(actions)
            }
        }
    }
}

impl UserAgent {
    /// Sends a request the first way that is left to try.
    pub(super) fn launch(&mut self, now: Instant, mut draft: Box<Draft>, user: ClientUser) {
        match self.next_attempt(&mut draft) {
            Attempt::Flow(flow) => self.start_client(now, draft, user, flow),
            Attempt::Resolve(uri) => {
                let id = ResolveId(self.next_id());
                self.resolving.insert(id, (draft, user));
                self.outputs.push_back(UaOutput::Resolve { id, uri });
            }
            Attempt::Exhausted => self.unanswered(now, user, Unanswered::Unreachable),
        }
    }

    fn start_client(&mut self, now: Instant, draft: Box<Draft>, user: ClientUser, flow: Flow) {
        let key = ClientKey {
            branch: self.rng.random(),
            cancel: false,
        };
        let branch = ident::branch(self.config.shard, key.branch);
        let Some(listener) = self.listener(flow.listener) else {
            return self.unanswered(now, user, Unanswered::Unreachable);
        };
        let request = draft.write(&branch, listener, &self.config.product);
        let is_invite = draft.method == Method::Invite;
        self.attach(user, key);
        self.insert_client(now, key, is_invite, user, flow, request, Some(draft));
    }

    /// Sends the CANCEL of an INVITE: same branch, same way (RFC 3261 s.9.1).
    pub(super) fn send_cancel(&mut self, now: Instant, invite: ClientKey, reason: Option<&str>) {
        let Some(transaction) = self.clients.get(&invite) else {
            return;
        };
        let (flow, Ok(request)) = (transaction.flow, Message::parse(transaction.request.clone())) else {
            return;
        };
        let Some(bytes) = hop_by_hop(&request, None, Method::Cancel, reason) else {
            return;
        };
        let key = ClientKey { cancel: true, ..invite };
        self.insert_client(now, key, false, ClientUser::Nobody, flow, bytes, None);
    }

    #[allow(clippy::too_many_arguments, reason = "one constructor, called twice above")]
    fn insert_client(
        &mut self,
        now: Instant,
        key: ClientKey,
        is_invite: bool,
        user: ClientUser,
        flow: Flow,
        request: Bytes,
        draft: Option<Box<Draft>>,
    ) {
        let (machine, actions) = if is_invite {
            (ClientMachine::Invite(ict::START.0), ict::START.1)
        } else {
            (ClientMachine::Other(nict::START.0), nict::START.1)
        };
        let transaction = ClientTransaction {
            machine,
            user,
            flow,
            request,
            ack: None,
            accepted: SmallVec::new(),
            spent_cseq: 0,
            draft,
            interval: Duration::ZERO,
            sent: false,
            heard: false,
        };
        self.clients.insert(key, Box::new(transaction));
        self.awaiting.insert((flow.peer, key));
        self.carry_out_client(now, key, actions, None);
    }

    /// Takes up an INVITE of the process before that had a provisional response; nothing is sent.
    pub(super) fn take_up_client(&mut self, key: ClientKey, user: ClientUser, flow: Flow, request: Bytes) {
        let transaction = ClientTransaction {
            machine: ClientMachine::Invite(ict::State::Proceeding),
            user,
            flow,
            request,
            ack: None,
            accepted: SmallVec::new(),
            spent_cseq: 0,
            draft: None,
            interval: Duration::ZERO,
            sent: true,
            heard: true,
        };
        self.clients.insert(key, Box::new(transaction));
    }

    /// A response: finds its transaction by branch and CSeq method (RFC 3261 s.17.1.3).
    pub(super) fn receive_response(&mut self, now: Instant, flow: Flow, response: &Message) {
        let branch = response.top_via().ok().and_then(|via| ident::parse_branch(via.branch?));
        let key = match (branch, response.validate(), response.cseq()) {
            (Some((shard, branch)), Ok(()), Ok((_, method))) if shard == self.config.shard => ClientKey {
                branch,
                cancel: method == Method::Cancel,
            },
            _ => return self.drop_message(),
        };
        let (Some(transaction), Some(status)) = (self.clients.get_mut(&key), response.status()) else {
            return self.receive_stray(now, flow, response);
        };
        if !transaction.heard {
            transaction.heard = true;
            self.awaiting.remove(&(transaction.flow.peer, key));
        }
        match transaction.on_status(status) {
            Some(actions) => self.carry_out_client(now, key, actions, Some((flow, response))),
            None if status >= 200 => self.stats.retransmissions_received += 1,
            None => self.drop_message(),
        }
    }

    pub(super) fn client_timer(&mut self, now: Instant, key: ClientKey, timer: Timer) {
        let Some(actions) = self.clients.get_mut(&key).and_then(|transaction| transaction.on_timer(timer)) else {
            return;
        };
        self.carry_out_client(now, key, actions, None);
    }

    /// Ends an INVITE transaction that nothing came of after its CANCEL.
    pub(super) fn abandon(&mut self, now: Instant, key: ClientKey) {
        self.client_timer(now, key, Timer::Cancel);
    }

    /// A flow failed: every request that waits for its first response over it is sent another way, or fails.
    pub(super) fn fail_clients(&mut self, now: Instant, flow: &Flow) {
        let first = ClientKey {
            branch: 0,
            cancel: false,
        };
        let last = ClientKey {
            branch: u64::MAX,
            cancel: true,
        };
        let waiting: SmallVec<[ClientKey; 8]> = self
            .awaiting
            .range((flow.peer, first)..=(flow.peer, last))
            .map(|(_, key)| *key)
            .collect();
        for key in waiting {
            let Some(transaction) = self.clients.get_mut(&key) else {
                continue;
            };
            let same = transaction.flow.transport == flow.transport
                && (transaction.flow.connection == flow.connection || transaction.flow.connection.is_none());
            if let Some(actions) = same.then(|| transaction.on_transport_error()).flatten() {
                self.carry_out_client(now, key, actions, None);
            }
        }
    }

    fn carry_out_client(&mut self, now: Instant, key: ClientKey, actions: &[Action], response: Option<(Flow, &Message)>) {
        let Some(transaction) = self.clients.get_mut(&key) else {
            return;
        };
        let (owner, reliable) = (Owner::Client(key), transaction.flow.transport.is_reliable());
        let mut report = None;
        for action in actions {
            match *action {
                Action::SendRequest => {
                    self.stats.retransmissions_sent += u64::from(transaction.sent);
                    transaction.sent = true;
                    self.outputs.push_back(UaOutput::Send {
                        flow: transaction.flow,
                        bytes: transaction.request.clone(),
                    });
                }
                Action::SendAck => {
                    if transaction.ack.is_none() {
                        transaction.ack = response.and_then(|(_, response)| ack_of_failure(&transaction.request, response));
                    }
                    if let Some(bytes) = transaction.ack.clone() {
                        self.outputs.push_back(UaOutput::Send {
                            flow: transaction.flow,
                            bytes,
                        });
                    }
                }
                Action::Start(timer) => {
                    if let Some(interval) = self.timing.first(timer, reliable) {
                        if matches!(timer, Timer::A | Timer::E) {
                            transaction.interval = interval;
                        }
                        self.timers.start(owner, timer, now + interval);
                    }
                }
                Action::Double(timer) => {
                    transaction.interval = self.timing.doubled(timer, transaction.interval);
                    self.timers.start(owner, timer, now + transaction.interval);
                }
                Action::Slow(timer) => {
                    transaction.interval = self.timing.t2;
                    self.timers.start(owner, timer, now + transaction.interval);
                }
                Action::Stop(timer) => self.timers.stop(owner, timer),
                Action::Deliver => report = Some(Report::Response),
                Action::ReportTimeout => report = Some(Report::Timeout),
                Action::ReportFailure => report = Some(Report::Failure),
                Action::SendResponse => {}
            }
        }
        let user = transaction.user;
        let is_final = response.is_none_or(|(_, response)| response.status().is_some_and(|status| status >= 200));
        let draft = if is_final && report.is_some() {
            transaction.draft.take()
        } else {
            None
        };
        if is_final && response.is_some() && report.is_some() {
            transaction.shrink();
        }
        if transaction.is_terminated() {
            self.drop_client(key);
        }
        match (report, response) {
            (Some(Report::Response), Some((flow, response))) => self.deliver(now, key, user, draft, flow, response),
            (Some(Report::Timeout), _) => self.retry_or_give_up(now, user, draft, Unanswered::Timeout),
            (Some(Report::Failure), _) => self.retry_or_give_up(now, user, draft, Unanswered::Unreachable),
            _ => {}
        }
    }

    /// Forgets a transaction: it is over, or its request goes another way.
    pub(super) fn drop_client(&mut self, key: ClientKey) {
        if let Some(transaction) = self.clients.remove(&key) {
            self.awaiting.remove(&(transaction.flow.peer, key));
            self.timers.stop_all(Owner::Client(key));
        }
    }

    /// A response for the user: challenges that can be answered and 503s that have another hop left stay down here.
    fn deliver(
        &mut self,
        now: Instant,
        key: ClientKey,
        user: ClientUser,
        draft: Option<Box<Draft>>,
        flow: Flow,
        response: &Message,
    ) {
        let status = response.status().unwrap_or(500);
        if let Some(mut draft) = draft.filter(|_| self.may_retry(user)) {
            let cnonce = format!("{:016x}", self.rng.random::<u64>());
            if (matches!(status, 401 | 407) && draft.authorize(response, &cnonce))
                || (status == 422 && draft.lengthen_interval(response))
                || (status == 500 && matches!(user, ClientUser::Prack(_)) && draft.may_follow())
            {
                draft.cseq = self.raise_cseq(user, &draft);
                draft.path.flow = Some(self.clients.get(&key).map_or(flow, |transaction| transaction.flow));
                return self.launch(now, draft, user);
            }
            // RFC 3263 s.4.3: a 503 is a failure of that server; the next one is tried.
            if status == 503 && (!draft.path.hops.is_empty()) {
                return self.launch(now, draft, user);
            }
        }
        match user {
            ClientUser::Invite(id) => self.on_invite_response(now, id, key, flow, response),
            ClientUser::Reinvite(id) => self.on_reinvite_response(now, id, key, flow, response),
            ClientUser::Update(id) => self.on_update_response(now, id, key, response),
            ClientUser::Prack(id) => self.on_prack_response(now, id, response),
            ClientUser::Info(id) => self.on_info_response(now, id, status),
            ClientUser::Bye(id) if status >= 200 => self.forget(id),
            ClientUser::Talk(id) => self.on_talk_response(id, status),
            ClientUser::Notify(id) if status >= 200 => self.on_notify_response(now, id, status),
            ClientUser::Request(id) if status >= 200 => self.on_request_response(id, response),
            ClientUser::Bye(_) | ClientUser::Notify(_) | ClientUser::Request(_) | ClientUser::Nobody => {}
        }
    }

    fn retry_or_give_up(&mut self, now: Instant, user: ClientUser, draft: Option<Box<Draft>>, why: Unanswered) {
        match draft.filter(|draft| self.may_retry(user) && (!draft.path.hops.is_empty() || draft.path.by_uri)) {
            Some(draft) => self.launch(now, draft, user),
            None => self.unanswered(now, user, why),
        }
    }

    /// A request that will get no response.
    pub(super) fn unanswered(&mut self, now: Instant, user: ClientUser, why: Unanswered) {
        match user {
            ClientUser::Invite(id) => self.on_invite_unanswered(now, id, why),
            ClientUser::Reinvite(id) => self.on_reinvite_unanswered(now, id, why),
            ClientUser::Update(id) => self.on_update_unanswered(now, id, why),
            ClientUser::Info(id) => self.on_info_response(now, id, why.status()),
            ClientUser::Bye(id) if why == Unanswered::Unreachable && self.lingers(now, id) => {}
            ClientUser::Bye(id) => self.forget(id),
            ClientUser::Talk(id) => self.on_talk_response(id, why.status()),
            ClientUser::Notify(id) => self.on_notify_response(now, id, why.status()),
            ClientUser::Request(id) => self.on_request_unanswered(id),
            // The INVITE goes on; its callee gives up where it must (RFC 3262 s.3).
            ClientUser::Prack(_) | ClientUser::Nobody => {}
        }
    }
}

/// The ACK of a non-2xx final response (RFC 3261 s.17.1.1.3).
fn ack_of_failure(request: &Bytes, response: &Message) -> Option<Bytes> {
    let request = Message::parse(request.clone()).ok()?;
    hop_by_hop(&request, response.header(HeaderName::To), Method::Ack, None)
}

/// An ACK or CANCEL of the same transaction: top Via, Request-URI, Route, From, Call-ID and the CSeq number of the INVITE; the To of the
/// response in an ACK (s.17.1.1.3), of the request in a CANCEL (s.9.1).
pub(super) fn hop_by_hop(invite: &Message, to: Option<&str>, method: Method, reason: Option<&str>) -> Option<Bytes> {
    let to = to.or_else(|| invite.header(HeaderName::To))?;
    let cseq = format!("{} {method}", invite.cseq().ok()?.0);
    let mut request = RequestBuilder::new(method.as_str(), invite.uri()?)
        .header(HeaderName::Via, invite.header(HeaderName::Via)?)
        .header(HeaderName::MaxForwards, "70");
    for route in invite.headers(HeaderName::Route) {
        request = request.header(HeaderName::Route, route);
    }
    request = request
        .header(HeaderName::From, invite.header(HeaderName::From)?)
        .header(HeaderName::To, to)
        .header(HeaderName::CallId, invite.call_id()?)
        .header(HeaderName::CSeq, cseq);
    if let Some(reason) = reason {
        request = request.header(HeaderName::Reason, reason);
    }
    Some(request.finish())
}
