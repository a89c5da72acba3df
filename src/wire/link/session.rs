//! The session machine: one for each end of a link.
//!
//! Input methods: [`Session::connected`], [`Session::bytes`], [`Session::disconnected`], [`Session::send`], [`Session::timeout`]. After
//! each, [`Session::poll`] until it has nothing more, and arm a timer for [`Session::next_timeout`].
//!
//! Invariant: see [`super`]. A fault of the peer ends the connection with an ERROR and the session with it; so does a queue that
//! overflows. What follows is a new session, which begins with a synchronisation.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thiserror::Error;

use super::LINK_VERSION;
use super::addp::{Addp, Due, KeepAlive};
use super::greeting::{Hello, Identity, Welcome};
use super::queue::{Queue, QueueLimits};
use crate::mltp::fields::Fields;
use crate::mltp::{Carried, Decoder, Frame, FrameError, FrameWriter, HideHeaders, MessageError, masked};

mod inbound;
mod outbound;

/// How long a connection may take to greet.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a probed peer may take to answer.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// The wait before the first attempt to connect again; it doubles with each failure.
pub const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
pub const RETRY_MOST: Duration = Duration::from_secs(1);
/// A connection that was up for so long has not failed: the wait begins anew.
pub const STABLE: Duration = Duration::from_secs(5);
/// The most that is acknowledged at once.
pub const ACK_EVERY: u64 = 64;
/// How long an acknowledgement may be put off.
pub const ACK_DELAY: Duration = Duration::from_millis(100);
/// The most bytes of a peer that has not greeted.
pub const GREETING_BYTES: usize = 16 * 1024;

/// Which end this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The T-Server: it connects.
    Client,
    /// The connector: it listens.
    Server,
}

/// What a session is made from.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Which end.
    pub role: Role,
    /// Who this end is, and which connector the link is for.
    pub identity: Identity,
    /// Keep-alive. The connector's own settings are overridden by what the T-Server's HELLO asks for.
    pub addp: Addp,
    /// How much may wait for its acknowledgement.
    pub limits: QueueLimits,
    /// Whether messages are told as [`Output::Log`], and what is hidden there.
    pub log: Option<HideHeaders>,
}

/// Who the other end is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its instance.
    pub instance: Arc<str>,
    /// The session.
    pub session: Arc<str>,
}

/// What the session wants done, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Output<In> {
    /// Open a connection. Client only.
    Connect,
    /// Send these bytes on the connection.
    Send(Bytes),
    /// Close the connection, after what was sent. [`Session::disconnected`] is not expected for it.
    Close,
    /// The link is up. Not `resumed`: everything is to be told again, and nothing that was sent before counts.
    Up {
        /// Whether the session before goes on.
        resumed: bool,
        /// With whom.
        peer: Peer,
    },
    /// A message arrived.
    Deliver(In),
    /// The link was up and is not any more. It may be resumed.
    Down(DownReason),
    /// Something is wrong with the peer or with what it sent: one line for the log.
    Fault(Fault),
    /// A line of the log that was asked for: a message, or the keep-alive.
    Log(String),
}

/// Why a link went down.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DownReason {
    /// The connection broke.
    #[error("the connection broke")]
    Disconnected,
    /// The peer did not answer a poll.
    #[error("the peer does not answer")]
    Silent,
    /// More was to be sent than may wait.
    #[error("more messages wait for their acknowledgement than may")]
    Overflow,
    /// What the peer sent was wrong, or it said that ours was.
    #[error("{0}")]
    Fault(Fault),
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Fault {
    /// The stream is damaged.
    #[error("damaged stream: {0}")]
    Stream(#[from] FrameError),
    /// A message is unknown or damaged.
    #[error("damaged message: {0}")]
    Message(#[from] MessageError),
    /// A number does not follow the one before.
    #[error("message {got} came where {expected} was due")]
    Sequence {
        /// What was due.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// The peer acknowledges what it cannot have.
    #[error("{0} was acknowledged, which it cannot be")]
    Acknowledgement(u64),
    /// A message that has no place here.
    #[error("{0} has no place here")]
    Unexpected(String),
    /// The greeting does not fit.
    #[error("{0}")]
    Greeting(String),
    /// The peer did not greet in time.
    #[error("no greeting in time")]
    NoGreeting,
    /// The peer sent an ERROR.
    #[error("the peer says: {0}")]
    Told(String),
}

/// Why a message was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SendError {
    /// There is no session, or there is none any more: when one begins, everything is told again.
    #[error("no link session")]
    NoSession,
    /// It is beyond what MLTP carries.
    #[error("a message beyond the limits of MLTP")]
    TooLarge,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// No connection. A client connects again at its time.
    Idle { retry_at: Option<Instant> },
    /// A client waits for its connection.
    Connecting,
    /// Connected; the greeting is awaited.
    Greeting { until: Instant },
    /// Messages flow.
    Up { since: Instant },
}

/// One end of a link.
#[derive(Debug)]
pub struct Session<Out, In> {
    config: SessionConfig,
    state: State,
    decoder: Decoder,
    keep_alive: KeepAlive,
    trace: bool,
    /// The session with the peer that can be gone on with.
    peer: Option<Peer>,
    /// How many sessions this end has begun.
    sessions: u64,
    queue: Queue,
    received: u64,
    acknowledged: u64,
    acknowledge_at: Option<Instant>,
    failures: u32,
    scratch: Vec<u8>,
    outputs: VecDeque<Output<In>>,
    sends: PhantomData<fn(Out)>,
}

impl<Out: Carried, In: Carried> Session<Out, In> {
    /// An end without a connection. A client wants one at its first timeout, which is due at once.
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        let retry_at = (config.role == Role::Client).then_some(now);
        Self {
            state: State::Idle { retry_at },
            decoder: Decoder::new(),
            keep_alive: KeepAlive::new(Duration::ZERO, now),
            trace: config.addp.trace.is_local(),
            peer: None,
            sessions: 0,
            queue: Queue::new(config.limits),
            received: 0,
            acknowledged: 0,
            acknowledge_at: None,
            failures: 0,
            scratch: Vec::new(),
            outputs: VecDeque::new(),
            sends: PhantomData,
            config,
        }
    }

    /// What to do next.
    pub fn poll(&mut self) -> Option<Output<In>> {
        self.outputs.pop_front()
    }

    /// When [`Session::timeout`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle { retry_at } => retry_at,
            State::Connecting => None,
            State::Greeting { until } => Some(until),
            State::Up { .. } => self.keep_alive.next_timeout().into_iter().chain(self.acknowledge_at).min(),
        }
    }

    /// Whether messages flow.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// With whom the session is, while it is up or may be resumed.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// How many messages the peer has not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        self.queue.next() - self.queue.oldest()
    }

    /// From now on messages are told as [`Output::Log`], but for what is hidden there; `None`: they are not.
    pub fn log_messages(&mut self, hidden: Option<HideHeaders>) {
        self.config.log = hidden;
    }

    /// A connection is there: the one that was asked for, or one that came in.
    pub fn connected(&mut self, now: Instant) {
        if self.is_up() {
            self.down(DownReason::Disconnected, now);
        }
        self.decoder = Decoder::new();
        self.state = State::Greeting {
            until: now + GREETING_TIMEOUT,
        };
        if self.config.role == Role::Client {
            self.greet();
        }
    }

    /// The connection is gone, or did not come about.
    pub fn disconnected(&mut self, now: Instant) {
        match self.state {
            State::Idle { .. } => {}
            State::Connecting | State::Greeting { .. } => self.let_go(now),
            State::Up { .. } => self.down(DownReason::Disconnected, now),
        }
    }

    /// Sends a message, now or when the session is resumed.
    pub fn send(&mut self, message: &Out, now: Instant) -> Result<(), SendError> {
        if self.peer.is_none() {
            return Err(SendError::NoSession);
        }
        self.scratch.clear();
        let mut writer = message.write(&mut self.scratch);
        writer.plain("sequence", self.queue.next());
        writer.finish().map_err(|_| SendError::TooLarge)?;
        let bytes = Bytes::copy_from_slice(&self.scratch);
        if !self.queue.push(bytes.clone()) {
            self.overflow(now);
            return Err(SendError::NoSession);
        }
        if self.is_up() {
            self.log_sent(&bytes);
            self.outputs.push_back(Output::Send(bytes));
        }
        Ok(())
    }

    /// The time has come that [`Session::next_timeout`] told.
    pub fn timeout(&mut self, now: Instant) {
        match self.state {
            State::Idle { retry_at } if retry_at.is_some_and(|at| at <= now) => {
                self.state = State::Connecting;
                self.outputs.push_back(Output::Connect);
            }
            State::Greeting { until } if until <= now => self.fault(Fault::NoGreeting, now),
            State::Up { .. } => {
                match self.keep_alive.timeout(now) {
                    Due::Nothing => {}
                    Due::Poll => self.send_poll(),
                    Due::Dead => {
                        self.outputs.push_back(Output::Close);
                        return self.down(DownReason::Silent, now);
                    }
                }
                if self.acknowledge_at.is_some_and(|at| at <= now) {
                    self.acknowledge();
                }
            }
            _ => {}
        }
    }

    /// Whether a T-Server with this HELLO may have the connector, which may be in another one's hands. Where it may not, the one that
    /// has it is polled, so that a dead one is found out.
    pub fn admits(&mut self, hello: &Hello, now: Instant) -> Result<(), String> {
        if let Some(mismatch) = hello.mismatch(&self.config.identity) {
            return Err(mismatch);
        }
        let other = self.peer.as_ref().filter(|peer| peer.instance != hello.identity.instance);
        let Some(other) = other.filter(|_| self.is_up()) else {
            return Ok(());
        };
        let refusal = format!("this connector serves T-Server {}", other.instance);
        if self.keep_alive.probe(now + PROBE_TIMEOUT) {
            self.send_poll();
        }
        Err(refusal)
    }

    /// The bytes of an ERROR that refuses a connection which never gets to a session.
    pub fn refusal(reason: &str) -> Bytes {
        let mut bytes = Vec::new();
        // A reason of ours is within the limits.
        let _ = outbound::error(&mut bytes, reason).finish();
        bytes.into()
    }

    /// Without a session: what was under way is lost, and the next greeting brings a synchronisation.
    fn forget_session(&mut self) {
        self.peer = None;
        self.queue.reset();
        self.received = 0;
        self.acknowledged = 0;
        self.acknowledge_at = None;
    }

    fn overflow(&mut self, now: Instant) {
        if self.is_up() {
            self.send_error("more messages wait for their acknowledgement than may");
            self.outputs.push_back(Output::Close);
            self.down(DownReason::Overflow, now);
        }
        self.forget_session();
    }

    /// The peer did something wrong: it is told, and the session is over. Before the greeting is done, a server does not know whether
    /// that is the peer of its session, and keeps it; so does a client that was not answered, or refused.
    fn fault(&mut self, fault: Fault, now: Instant) {
        let greets = matches!(self.state, State::Greeting { .. });
        let answered = !matches!(fault, Fault::NoGreeting | Fault::Told(_));
        let over = !greets || (self.config.role == Role::Client && answered);
        if !matches!(fault, Fault::Told(_)) {
            self.send_error(&fault.to_string());
        }
        self.outputs.push_back(Output::Fault(fault.clone()));
        self.outputs.push_back(Output::Close);
        match self.state {
            State::Up { .. } => self.down(DownReason::Fault(fault), now),
            _ => self.let_go(now),
        }
        if over {
            self.forget_session();
        }
    }

    fn down(&mut self, reason: DownReason, now: Instant) {
        self.let_go(now);
        self.outputs.push_back(Output::Down(reason));
    }

    /// No connection any more.
    fn let_go(&mut self, now: Instant) {
        let stable = matches!(self.state, State::Up { since } if now.saturating_duration_since(since) >= STABLE);
        if stable {
            self.failures = 0;
        }
        let wait = RETRY_FIRST.saturating_mul(1 << self.failures.min(10)).min(RETRY_MOST);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Idle {
            retry_at: (self.config.role == Role::Client).then(|| now + wait),
        };
        self.decoder = Decoder::new();
        self.acknowledge_at = None;
    }
}
