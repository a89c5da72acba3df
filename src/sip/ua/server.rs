//! Server transactions: matching, retransmission, responses and where they go.
//!
//! Invariant: a request reaches its user once. Responses go back the way RFC 3261 s.18.2.2 and RFC 3581 say: over the connection the request
//! came on, or to its source address.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::api::{ServerRequestId, SessionId, SubscriptionId, UaOutput};
use super::draft::ALLOW;
use super::{Owner, UserAgent, ident};
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method, ResponseBuilder};
use crate::transaction::timer::Timer;
use crate::transaction::{Action, invite_server as ist, non_invite_server as nist};

/// Numbers a server transaction; never reused.
pub(super) type ServerKey = u64;

/// Who answers a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ServerUser {
    /// The INVITE of a session.
    Invite(SessionId),
    /// A re-INVITE.
    Reinvite(SessionId),
    /// An UPDATE with an offer.
    Update(SessionId),
    /// The shell, through `respond`.
    Request(ServerRequestId),
    /// The shell, through `refer_progress`, `accept_subscription` or `reject_subscription`.
    Subscription(SubscriptionId),
    /// The user agent core, at once.
    Core,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ServerMachine {
    Invite(ist::State),
    Other(nist::State),
}

/// One server transaction.
pub(super) struct ServerTransaction {
    machine: ServerMachine,
    pub user: ServerUser,
    /// Where the request came from.
    pub source: Flow,
    /// Where responses go.
    reply: Flow,
    /// Where they go when the connection is gone (s.18.2.2).
    fallback: SocketAddr,
    last: Option<Bytes>,
    interval: Duration,
    key: Arc<str>,
    merge_key: Option<Arc<str>>,
}

/// What happens to a server transaction, for both machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Input {
    Request,
    Ack,
    /// A response of that status.
    Send(u16),
    Timer(Timer),
}

impl ServerTransaction {
    fn step(&mut self, input: Input) -> Option<&'static [Action]> {
        match &mut self.machine {
            ServerMachine::Invite(state) => {
                let input = match input {
                    Input::Request => ist::Input::Request,
                    Input::Ack => ist::Input::Ack,
                    Input::Send(..200) => ist::Input::SendProvisional,
                    Input::Send(200..300) => ist::Input::SendSuccess,
                    Input::Send(_) => ist::Input::SendFailure,
                    Input::Timer(Timer::G) => ist::Input::TimerG,
                    Input::Timer(Timer::H) => ist::Input::TimerH,
                    Input::Timer(Timer::I) => ist::Input::TimerI,
                    Input::Timer(Timer::L) => ist::Input::TimerL,
                    Input::Timer(_) => return None,
                };
                let (next, actions) = ist::step(*state, input)?;
                *state = next;
                Some(actions)
            }
            ServerMachine::Other(state) => {
                let input = match input {
                    Input::Request => nist::Input::Request,
                    Input::Send(..200) => nist::Input::SendProvisional,
                    Input::Send(_) => nist::Input::SendFinal,
                    Input::Timer(Timer::J) => nist::Input::TimerJ,
                    Input::Timer(Timer::Abandon) => nist::Input::Abandon,
                    Input::Ack | Input::Timer(_) => return None,
                };
                let (next, actions) = nist::step(*state, input)?;
                *state = next;
                Some(actions)
            }
        }
    }

    fn is_terminated(&self) -> bool {
        matches!(
            self.machine,
            ServerMachine::Invite(ist::State::Terminated) | ServerMachine::Other(nist::State::Terminated)
        )
    }

    /// Whether a final response is still due.
    pub fn is_open(&self) -> bool {
        matches!(
            self.machine,
            ServerMachine::Invite(ist::State::Proceeding) | ServerMachine::Other(nist::State::Trying | nist::State::Proceeding)
        )
    }

    pub fn is_invite(&self) -> bool {
        matches!(self.machine, ServerMachine::Invite(_))
    }
}

impl UserAgent {
    /// The transaction that a request belongs to, taking `method` for its method (an ACK or CANCEL looks for its INVITE, s.17.2.3, 9.2).
    pub(super) fn server_of(&mut self, request: &Message, method: &Method) -> Option<ServerKey> {
        self.scratch.clear();
        write_key(&mut self.scratch, request, method);
        self.server_index.get(self.scratch.as_str()).copied()
    }

    /// Whether a request without a dialog belongs to something that was begun here: it came before, or its INVITE did.
    pub fn is_serving(&mut self, request: &Message) -> bool {
        let Some(method) = request.method() else { return false };
        self.server_of(request, &method).is_some()
            || (method == Method::Cancel && self.server_of(request, &Method::Invite).is_some())
            || self.is_merged(request)
    }

    /// Whether the same request is being served under another branch: it was merged on its way (s.8.2.2.2).
    pub(super) fn is_merged(&mut self, request: &Message) -> bool {
        self.scratch.clear();
        write_merge_key(&mut self.scratch, request);
        self.merge_index.contains_key(self.scratch.as_str())
    }

    /// Makes a transaction for a new request. Where the request opens something (no To tag), its copies are told apart from here on.
    pub(super) fn start_server(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        method: &Method,
        user: ServerUser,
    ) -> ServerKey {
        let id = self.next_id();
        self.scratch.clear();
        write_key(&mut self.scratch, request, method);
        let key: Arc<str> = self.scratch.as_str().into();
        let opens = request.to().is_ok_and(|to| to.tag().is_none());
        let merge_key: Option<Arc<str>> = (opens && *method != Method::Cancel).then(|| {
            self.scratch.clear();
            write_merge_key(&mut self.scratch, request);
            self.scratch.as_str().into()
        });
        let (machine, actions) = match method {
            Method::Invite => (ServerMachine::Invite(ist::START.0), ist::START.1),
            _ => (ServerMachine::Other(nist::START.0), nist::START.1),
        };
        self.server_index.insert(key.clone(), id);
        if let Some(merge_key) = &merge_key {
            self.merge_index.insert(merge_key.clone(), id);
        }
        let (reply, fallback) = reply_flow(flow, request);
        let transaction = ServerTransaction {
            machine,
            user,
            source: flow,
            reply,
            fallback,
            last: None,
            interval: Duration::ZERO,
            key,
            merge_key,
        };
        self.servers.insert(id, Box::new(transaction));
        self.carry_out_server(now, id, actions);
        id
    }

    /// The request came again.
    pub(super) fn retransmitted(&mut self, now: Instant, id: ServerKey) {
        self.stats.retransmissions_received += 1;
        self.drive_server(now, id, Input::Request);
    }

    /// An ACK for a transaction. Says whether it has to be handed up (the ACK of a 2xx).
    pub(super) fn acknowledged(&mut self, now: Instant, id: ServerKey) -> bool {
        let accepted = self
            .servers
            .get(&id)
            .is_some_and(|t| t.machine == ServerMachine::Invite(ist::State::Accepted));
        self.drive_server(now, id, Input::Ack);
        accepted
    }

    /// Sends a response of that status through a transaction.
    pub(super) fn reply(&mut self, now: Instant, id: ServerKey, status: u16, bytes: Bytes) {
        let Some(transaction) = self.servers.get_mut(&id) else {
            return;
        };
        if let Some(actions) = transaction.step(Input::Send(status)) {
            transaction.last = Some(if transaction.is_invite() { bytes } else { exact(&bytes) });
            self.carry_out_server(now, id, actions);
        }
    }

    /// Sends the last response once more, for the user agent core's own retransmissions.
    pub(super) fn reply_again(&mut self, now: Instant, id: ServerKey, status: u16) {
        self.stats.retransmissions_sent += 1;
        self.drive_server(now, id, Input::Send(status));
    }

    /// The last response of a transaction, and where it goes without its connection.
    pub(super) fn last_response(&self, id: ServerKey) -> Option<(Flow, Bytes)> {
        let transaction = self.servers.get(&id)?;
        let stream = transaction.reply.transport.is_reliable();
        let peer = if stream {
            transaction.fallback
        } else {
            transaction.reply.peer
        };
        let flow = Flow {
            peer,
            connection: None,
            ..transaction.reply
        };
        Some((flow, transaction.last.clone()?))
    }

    /// The ACK of a 2xx came: its bytes are not needed any more.
    pub(super) fn release(&mut self, id: ServerKey) {
        if let Some(transaction) = self.servers.get_mut(&id) {
            transaction.last = None;
        }
    }

    /// Serves a request with one response, at once.
    pub(super) fn answer(&mut self, now: Instant, flow: Flow, request: &Message, method: &Method, status: u16) {
        let id = self.start_server(now, flow, request, method, ServerUser::Core);
        let bytes = self.plain_response(flow, request, method, status).finish();
        self.reply(now, id, status, bytes);
    }

    /// Serves a request of a stranger with one response and keeps nothing of it: the same request again gets the same answer (s.8.2.7).
    pub(super) fn answer_stateless(&mut self, flow: Flow, request: &Message, method: &Method, status: u16) {
        let response = self.plain_response(flow, request, method, status);
        self.send_stateless(flow, request, response);
    }

    pub(super) fn plain_response(&self, flow: Flow, request: &Message, method: &Method, status: u16) -> ResponseBuilder {
        let tag = self.stateless_tag(request);
        let mut response = self.response(request, flow, status).to_tag(&tag);
        if status == 405 || (*method == Method::Options && status == 200) {
            response = response.header(HeaderName::Allow, ALLOW);
        }
        if *method == Method::Options && status == 200 {
            response = response.header(HeaderName::Accept, super::draft::SDP);
        }
        response
    }

    /// Starts a response, with what all of ours have.
    pub(super) fn response(&self, request: &Message, flow: Flow, status: u16) -> ResponseBuilder {
        let response = ResponseBuilder::to(request, status, None).received_from(flow.peer);
        if self.config.product.is_empty() {
            response
        } else {
            response.header(HeaderName::Server, &*self.config.product)
        }
    }

    /// Refuses a request without a transaction: it is bad, or there is no room for one. A retransmission gets the same again (s.8.2.7).
    pub(super) fn refuse_stateless(
        &mut self,
        flow: Flow,
        request: &Message,
        status: u16,
        reason: Option<&str>,
        retry_after: Option<u8>,
    ) {
        let tag = self.stateless_tag(request);
        let mut response = ResponseBuilder::to(request, status, reason)
            .received_from(flow.peer)
            .to_tag(&tag);
        if !self.config.product.is_empty() {
            response = response.header(HeaderName::Server, &*self.config.product);
        }
        let off = self.switched_off(request).into_iter();
        for option in request.unsupported().chain(off).filter(|_| status == 420) {
            response = response.header(HeaderName::Unsupported, option);
        }
        if let Some(seconds) = retry_after {
            response = response.header(HeaderName::RetryAfter, seconds.to_string());
        }
        self.send_stateless(flow, request, response);
    }

    /// Refuses a request that is no business of ours and that could not be passed on, and keeps nothing of it. Nobody answers an ACK.
    pub fn turn_back(&mut self, flow: Flow, request: &Message, status: u16) {
        if request.method().is_some_and(|method| method != Method::Ack) {
            self.refuse_with(flow, request, status, &[]);
        }
    }

    /// Refuses a request without a transaction, with headers of the shell's.
    pub(super) fn refuse_with(&mut self, flow: Flow, request: &Message, status: u16, headers: &[(Arc<str>, Arc<str>)]) {
        let tag = self.stateless_tag(request);
        let mut response = self.response(request, flow, status).to_tag(&tag);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        self.send_stateless(flow, request, response);
    }

    pub(super) fn send_stateless(&mut self, flow: Flow, request: &Message, response: ResponseBuilder) {
        let (reply, _) = reply_flow(flow, request);
        self.outputs.push_back(UaOutput::Send {
            flow: reply,
            bytes: response.finish(),
        });
    }

    /// Forgets a transaction that has sent nothing but a 100 that is still in the queue, which goes too. `false`: too late, it stays.
    pub(super) fn forget_server(&mut self, id: ServerKey) -> bool {
        if let Some(last) = self.servers.get(&id).and_then(|transaction| transaction.last.as_ref()) {
            let unsent = |output: &UaOutput| matches!(output, UaOutput::Send { bytes, .. } if bytes.as_ptr() == last.as_ptr());
            // What is queued is what one turn of the shell makes, so this is a short walk.
            let Some(at) = self.outputs.iter().position(unsent) else {
                return false;
            };
            self.outputs.remove(at);
        }
        self.remove_server(id);
        true
    }

    /// A To tag that every retransmission of a request gets again.
    pub(super) fn stateless_tag(&self, request: &Message) -> String {
        let mut hasher = DefaultHasher::new();
        request.header_bytes(HeaderName::CallId).hash(&mut hasher);
        request.header_bytes(HeaderName::From).hash(&mut hasher);
        // Without the method: an ACK has its INVITE's.
        request.cseq().map_or(0, |(number, _)| number).hash(&mut hasher);
        ident::tag(self.config.shard, hasher.finish())
    }

    pub(super) fn server_timer(&mut self, now: Instant, id: ServerKey, timer: Timer) {
        self.drive_server(now, id, Input::Timer(timer));
    }

    fn drive_server(&mut self, now: Instant, id: ServerKey, input: Input) {
        let Some(transaction) = self.servers.get_mut(&id) else {
            return;
        };
        match transaction.step(input) {
            Some(actions) => self.carry_out_server(now, id, actions),
            None => self.drop_message(),
        }
    }

    fn carry_out_server(&mut self, now: Instant, id: ServerKey, actions: &[Action]) {
        let Some(transaction) = self.servers.get_mut(&id) else {
            return;
        };
        let (owner, reliable) = (Owner::Server(id), transaction.source.transport.is_reliable());
        for action in actions {
            match *action {
                Action::SendResponse => {
                    let Some(bytes) = transaction.last.clone() else { continue };
                    if self.closed.holds(&transaction.reply) {
                        transaction.reply = Flow {
                            connection: None,
                            peer: transaction.fallback,
                            ..transaction.reply
                        };
                    }
                    self.outputs.push_back(UaOutput::Send {
                        flow: transaction.reply,
                        bytes,
                    });
                }
                Action::Start(timer) => {
                    if let Some(interval) = self.timing.first(timer, reliable) {
                        if timer == Timer::G {
                            transaction.interval = interval;
                        }
                        self.timers.start(owner, timer, now + interval);
                    }
                }
                Action::Double(timer) => {
                    self.stats.retransmissions_sent += 1;
                    transaction.interval = self.timing.doubled(timer, transaction.interval);
                    self.timers.start(owner, timer, now + transaction.interval);
                }
                Action::Stop(timer) => self.timers.stop(owner, timer),
                Action::Slow(_) | Action::SendRequest | Action::SendAck => {}
                // The callers deliver; and nobody waits for word of a refusal that was never acknowledged.
                Action::Deliver | Action::ReportTimeout | Action::ReportFailure => {}
            }
        }
        if transaction.is_terminated() {
            self.remove_server(id);
        }
    }

    fn remove_server(&mut self, id: ServerKey) {
        self.timers.stop_all(Owner::Server(id));
        let Some(gone) = self.servers.remove(&id) else { return };
        self.server_index.remove(&gone.key);
        if let Some(merge_key) = &gone.merge_key {
            self.merge_index.remove(merge_key);
        }
        match gone.user {
            ServerUser::Request(request) => {
                self.requests.remove(&request);
            }
            ServerUser::Subscription(id) => self.subscription_unanswered(id),
            _ => {}
        }
    }
}

/// A copy without the builder's spare room, of what stays for 64*T1: there are many of these.
pub(super) fn exact(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// Branch, sent-by and method (s.17.2.3); for a request of RFC 2543, whose branch says nothing, what that RFC compares.
fn write_key(out: &mut String, request: &Message, method: &Method) {
    let Ok(via) = request.top_via() else { return };
    // Writing to memory does not fail.
    let _ = write!(out, "{}:{}|{method}|", via.host, via.port.unwrap_or(5060));
    match via.unique_branch() {
        Some(branch) => out.push_str(branch),
        None => {
            let from_tag = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
            let number = request.cseq().map_or(0, |(number, _)| number);
            let _ = write!(out, "|{from_tag}|{}|{number}", request.call_id().unwrap_or_default());
        }
    }
}

/// From tag, Call-ID and CSeq (s.8.2.2.2).
fn write_merge_key(out: &mut String, request: &Message) {
    let from_tag = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
    if let (Some(call_id), Ok((number, method))) = (request.call_id(), request.cseq()) {
        let _ = write!(out, "{from_tag}|{call_id}|{number}|{method}");
    }
}

/// Where the response to a request goes, and where it goes if a connection is gone (s.18.2.2; RFC 3581 s.4).
pub(super) fn reply_flow(flow: Flow, request: &Message) -> (Flow, SocketAddr) {
    let Ok(via) = request.top_via() else {
        return (flow, flow.peer);
    };
    let sent_by = SocketAddr::new(flow.peer.ip(), via.port.unwrap_or(5060));
    if flow.transport.is_reliable() {
        return (flow, sent_by);
    }
    let peer = if via.rport.is_some() {
        flow.peer
    } else if let Some(maddr) = via.maddr.and_then(|maddr| maddr.parse().ok()) {
        SocketAddr::new(maddr, sent_by.port())
    } else {
        sent_by
    };
    (Flow { peer, ..flow }, peer)
}
