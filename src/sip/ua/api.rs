//! What goes into the user agent and what comes out: the vocabulary between the SIP layer and its shell.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use super::replaces::{DialogState, ReplacesDialog};
pub use crate::flow::Hop;
use crate::flow::{Flow, ListenerId, Transport};
use crate::message::{Message, Method};

/// One INVITE session (a leg), incoming or outgoing, from its INVITE to its end. Chosen by the user agent, never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SessionId(pub u64);

/// A request outside a session that waits for our response (REGISTER, OPTIONS, MESSAGE, ...).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ServerRequestId(pub u64);

/// A request outside a session that we sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClientRequestId(pub u64);

/// A name to be resolved.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ResolveId(pub u64);

/// A REFER that came in a session: the transfer that the peer asks for. Chosen by the user agent, never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ReferKey(pub u64);

/// A peer's subscription to an event package of ours (RFC 6665). Chosen by the user agent, never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SubscriptionId(pub u64);

/// One of our listeners, as peers reach it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Its id.
    pub id: ListenerId,
    /// Its transport.
    pub transport: Transport,
    /// The address that stands in Via and Contact.
    pub advertised: SocketAddr,
}

/// How the user agent behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UaConfig {
    /// Stands at the start of every tag, branch and Call-ID we make (lower-case letters and digits), so that the transport layer
    /// can bring responses and in-dialog requests back to this user agent (see [`super::owner`]).
    pub shard: u16,
    /// The Server and User-Agent header; none when empty.
    pub product: Arc<str>,
    /// Our listeners, in the order of preference for outgoing requests.
    pub listeners: Vec<Listener>,
    /// T1, the round-trip time estimate (RFC 3261 s.17.1.1.1). Default 500 ms.
    pub t1: Duration,
    /// T2, the longest retransmission interval. Default 4 s.
    pub t2: Duration,
    /// T4, the longest time a message stays in the network. Default 5 s.
    pub t4: Duration,
    /// Time C, how long an INVITE of ours may stay provisional (RFC 3261 s.16.6). Default 180 s.
    pub invite_timeout: Duration,
    /// The largest number of sessions; a new INVITE above it gets 503 with Retry-After.
    pub max_sessions: usize,
    /// The largest number of server transactions; a new request above it gets 503 over streams and is dropped over UDP. Requests inside
    /// sessions are served up to twice this number.
    pub max_transactions: usize,
    /// Whether provisional responses are acknowledged (RFC 3262). Default [`ReliableProvisionals::Supported`].
    pub reliable_provisionals: ReliableProvisionals,
    /// The session interval that we ask for (RFC 4028 s.4): a session that nobody refreshes ends after it. Zero: no session timers, neither
    /// asked for nor granted. Default 30 min.
    pub session_expires: Duration,
    /// The shortest session interval that we take; a shorter one gets 422. The RFC asks for 90 s at least (s.5). Default 90 s.
    pub min_se: Duration,
}

impl Default for UaConfig {
    /// The values of the RFCs, and no listener.
    fn default() -> Self {
        Self {
            shard: 0,
            product: "".into(),
            listeners: Vec::new(),
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            invite_timeout: Duration::from_secs(180),
            max_sessions: 10_000,
            max_transactions: 100_000,
            reliable_provisionals: ReliableProvisionals::Supported,
            session_expires: Duration::from_secs(1800),
            min_se: Duration::from_secs(90),
        }
    }
}

/// Whether provisional responses are sent and taken reliably (RFC 3262).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ReliableProvisionals {
    /// Never: a caller that requires it gets 420.
    Off,
    /// Every one to a caller that requires it, those with a session description to one that supports it; an INVITE of ours with an offer
    /// says that we support it.
    #[default]
    Supported,
    /// Every one. An INVITE of ours with an offer requires it of the callee, and a caller that does not support it gets 421.
    Required,
}

/// Credentials for a trunk that challenges us.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: Arc<str>,
    /// The password.
    pub password: Arc<str>,
    /// The realm they are for; any realm where it is `None`.
    pub realm: Option<Arc<str>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// An INVITE to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invite {
    /// The request URI, as text.
    pub uri: Arc<str>,
    /// Where it goes: a flow of a registered device, or resolved from the URI (or from `proxy`) where `None`.
    pub flow: Option<Flow>,
    /// The outbound proxy as a URI: becomes the loose Route.
    pub proxy: Option<Arc<str>>,
    /// A route set to preload (Path of a registration), as Route header values.
    pub route: Vec<Arc<str>>,
    /// The From URI and display name.
    pub from: (Arc<str>, Option<Arc<str>>),
    /// The To URI.
    pub to: Arc<str>,
    /// The offer; none asks the device for one.
    pub offer: Option<Bytes>,
    /// More headers, in order: (name, value).
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// For a 401 or 407, inside the dialog too. `None` for a device of ours: no device may challenge us and get our answer.
    pub credentials: Option<Credentials>,
}

/// A request to send outside any session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutgoingRequest {
    /// The method; not INVITE, ACK or CANCEL, which time out at once.
    pub method: Method,
    /// The request URI.
    pub uri: Arc<str>,
    /// Where it goes; resolved from the URI where `None`.
    pub flow: Option<Flow>,
    /// The From URI and display name.
    pub from: (Arc<str>, Option<Arc<str>>),
    /// The To URI.
    pub to: Arc<str>,
    /// More headers, in order: (name, value).
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// Content-Type and body.
    pub body: Option<(Arc<str>, Bytes)>,
    /// For a 401 or 407; a challenge is handed up where `None`.
    pub credentials: Option<Credentials>,
}

/// An INVITE that came, with what the shell needs to decide; the whole message beside it.
#[derive(Clone, Debug)]
pub struct IncomingInvite {
    /// The request.
    pub request: Message,
    /// Where it came from.
    pub flow: Flow,
    /// Its session description, where it had one.
    pub offer: Option<Bytes>,
}

/// A SUBSCRIBE that asks for a new subscription, with what the shell needs to decide.
#[derive(Clone, Debug)]
pub struct IncomingSubscribe {
    /// The session in whose dialog it came.
    pub session: Option<SessionId>,
    /// The event package, one of [`Notifier::packages`].
    pub package: Arc<str>,
    /// How long it is wanted, in seconds, within the limits of the [`Notifier`]; 0 asks for one look.
    pub expires: u32,
    /// The request.
    pub request: Message,
    /// Where it came from.
    pub flow: Flow,
}

/// What may be subscribed to, and how much of it. See [`super::UserAgent::set_notifier`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notifier {
    /// The event packages that are served; every other one gets 489.
    pub packages: Vec<Arc<str>>,
    /// How long a subscription lasts that does not say so, in seconds.
    pub default_expires: u32,
    /// The shortest that is granted, in seconds; below it 423 is answered.
    pub min_expires: u32,
    /// The longest that is granted, in seconds.
    pub max_expires: u32,
    /// The largest number of subscriptions; more get 503.
    pub max_subscriptions: usize,
    /// The largest number of them from one address.
    pub max_per_source: usize,
}

impl Default for Notifier {
    fn default() -> Self {
        Self {
            packages: Vec::new(),
            default_expires: 3600,
            min_expires: 60,
            max_expires: 3600,
            max_subscriptions: 10_000,
            max_per_source: 200,
        }
    }
}

/// Why a subscription is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubscriptionEnd {
    /// The shell refused it or ended it.
    Here,
    /// The subscriber ended it.
    Unsubscribed,
    /// It was not refreshed in time.
    Expired,
    /// The session ended in whose dialog it was.
    SessionOver,
    /// The subscriber refused a NOTIFY for good, or does not answer.
    Lost,
}

/// A final outcome of an outgoing request outside a session.
#[derive(Clone, Debug)]
pub enum ClientOutcome {
    /// A final response.
    Response(Message),
    /// None came in time, or the network failed.
    Timeout,
}

/// What happened.
///
/// Every session ends with exactly one of `Failed`, `Cancelled` and `Ended`, and nothing follows it: also a session that the shell itself
/// refused or ended (`Ended` with `by_peer: false`) or cancelled (`Failed` with 487).
#[derive(Clone, Debug)]
pub enum UaEvent {
    /// A new INVITE, already answered with 100. The shell authenticates, then answers or refuses it.
    Incoming {
        /// The new session.
        session: SessionId,
        /// The INVITE.
        invite: Box<IncomingInvite>,
    },
    /// A provisional response above 100. One that came reliably is acknowledged (PRACK) and told once. Where the INVITE forked it may be of
    /// any of the early dialogs; `Answered` has the description of the one that answered, whatever the others said before.
    Progress {
        /// The session.
        session: SessionId,
        /// 101 to 199.
        status: u16,
        /// Early media, where it carried a session description.
        sdp: Option<Bytes>,
    },
    /// The first 2xx of an outgoing INVITE; it waits for [`super::UserAgent::ack`]. 2xx of other forks are ACKed and ended with BYE inside.
    Answered {
        /// The session.
        session: SessionId,
        /// The answer (or offer). Where the answer came in a provisional response already: that one, or what UPDATE made of it since.
        sdp: Option<Bytes>,
    },
    /// An outgoing INVITE failed; the session is gone. 408 stands for a timeout, 503 for a network failure, 487 for a cancel.
    Failed {
        /// The session.
        session: SessionId,
        /// 300 to 699.
        status: u16,
        /// Q.850 cause of the Reason header (RFC 3326), or what its SIP status stands for ([`Message::reason_cause`]).
        q850: Option<u8>,
        /// What the Reason header says, for another leg ([`crate::identity::Reason::passed_on`]).
        reason: Option<Arc<str>>,
        /// Contacts of a 3xx, as URIs, the preferred ones first (by `q`).
        contacts: Vec<Arc<str>>,
    },
    /// The ACK of our 2xx to an INVITE or re-INVITE. After an accepted UPDATE, which has no ACK, it comes at once.
    Acked {
        /// The session.
        session: SessionId,
        /// The answer to our late offer.
        sdp: Option<Bytes>,
    },
    /// The caller cancelled; 200 and 487 went out and the session is gone.
    Cancelled {
        /// The session.
        session: SessionId,
        /// Q.850 cause of the Reason header, or what its SIP status stands for.
        q850: Option<u8>,
        /// What the Reason header says, for another leg.
        reason: Option<Arc<str>>,
    },
    /// A re-INVITE (already answered with 100) or an UPDATE with an offer came, this also before the session is answered; waits for
    /// `accept_reinvite` or `reject_reinvite`. A session refresh (RFC 4028: the offer is the one before) is answered inside and never shows.
    /// It also comes where the peer answered our own session refresh with a description that it had not given before: what is accepted then
    /// goes out as a re-INVITE of ours, where it is new.
    Reinvited {
        /// The session.
        session: SessionId,
        /// Its offer.
        offer: Option<Bytes>,
    },
    /// The offer of the last `Reinvited` is void: the peer cancelled it (487 went out), or its UPDATE waited too long (504) or was that of a
    /// fork that did not answer the call. The peer goes on with what it had before. The shell's answer is still waited for, once, and goes
    /// nowhere: until then, 60*T1 at most, a new offer of the peer gets 491, since commands and events cross.
    ReinviteCancelled {
        /// The session.
        session: SessionId,
    },
    /// Our re-INVITE (or UPDATE) got 2xx; waits for `ack`.
    ReinviteAnswered {
        /// The session.
        session: SessionId,
        /// The answer (or offer).
        sdp: Option<Bytes>,
    },
    /// Our re-INVITE failed; the session goes on. (491 is retried inside, RFC 3261 s.14.1; 408 and 481 end the session. 491 shows where the
    /// retries ran out, where a re-INVITE of the peer is being answered or was accepted meanwhile: the offer may be out of date.)
    ReinviteFailed {
        /// The session.
        session: SessionId,
        /// The status.
        status: u16,
    },
    /// What the device says to our `Event: talk`. Whether it follows shows in its answer to the INVITE.
    Talked {
        /// The session.
        session: SessionId,
        /// The final status of the NOTIFY. 489 stands also for a device that said before that it does not take it, 408 for no response, 503
        /// for a network failure.
        status: u16,
    },
    /// INFO in the session; already answered with 200.
    Info {
        /// The session.
        session: SessionId,
        /// Content-Type.
        content_type: Arc<str>,
        /// The body.
        body: Bytes,
    },
    /// The session ended: BYE came and was answered, no ACK and no session refresh came in time (and BYE was sent), or the dialog is dead. It
    /// is gone.
    Ended {
        /// The session.
        session: SessionId,
        /// BYE by the peer (false: the network).
        by_peer: bool,
        /// Q.850 cause of the Reason header, or what its SIP status stands for.
        q850: Option<u8>,
        /// What the Reason header says, for another leg.
        reason: Option<Arc<str>>,
    },
    /// The device of a session that came back cannot be reached, but may connect anew. It is tried again every 64*T1, and this told again, until
    /// the shell gives the session up: when the device's registration is over.
    OutOfReach {
        /// The session.
        session: SessionId,
    },
    /// The peer asks with REFER for a transfer; waits for `refer_progress`.
    Referred {
        /// The session.
        session: SessionId,
        /// The transfer.
        refer: ReferKey,
        /// Where to: the URI of Refer-To without the headers in it.
        refer_to: Arc<str>,
        /// The dialog that the call to that place is to replace (attended transfer). Where it is one of ours, see
        /// [`super::UserAgent::session_of_dialog`].
        replaces: Option<ReplacesDialog>,
        /// Who it says asks for it: the value of a Referred-By header for the INVITE that this comes to (RFC 3892 s.2.2).
        referred_by: Option<Arc<str>>,
    },
    /// SUBSCRIBE for a package of the [`Notifier`]; waits for `accept_subscription` or `reject_subscription`. Exactly one `SubscriptionEnded`
    /// follows, sooner or later.
    Subscribed {
        /// The new subscription.
        subscription: SubscriptionId,
        /// What is asked.
        subscribe: Box<IncomingSubscribe>,
    },
    /// The subscriber refreshed its subscription, which was granted. The whole state is due: `notify`.
    SubscriptionRefreshed {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// The subscription is over; where it was there, its last NOTIFY is on its way.
    SubscriptionEnded {
        /// The subscription.
        subscription: SubscriptionId,
        /// Why.
        why: SubscriptionEnd,
    },
    /// A request outside any session (REGISTER, OPTIONS, ...); waits for `respond`.
    Request {
        /// Its id.
        id: ServerRequestId,
        /// The request.
        request: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// The outcome of a request of ours outside a session.
    Response {
        /// Its id.
        id: ClientRequestId,
        /// What came of it.
        outcome: ClientOutcome,
    },
}

/// What the shell has to do.
#[derive(Clone, Debug)]
pub enum UaOutput {
    /// Send these bytes.
    Send {
        /// Where. For a stream without a connection: on an open one to `peer`, else on a new one.
        flow: Flow,
        /// One whole message.
        bytes: Bytes,
    },
    /// Resolve a SIP URI (RFC 3263: NAPTR, SRV, A/AAAA) and call `resolved`. Only asked where the host is a name.
    Resolve {
        /// To be given back.
        id: ResolveId,
        /// The URI.
        uri: Arc<str>,
    },
    /// Tell the one who owns the session or request.
    Event(UaEvent),
}

/// What the user agent counted and holds, for metrics. Counters only grow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct UaStats {
    pub retransmissions_sent: u64,
    pub retransmissions_received: u64,
    pub dropped: u64,
    pub commands_ignored: u64,
    pub talks_refused: u64,
    /// INFOs that were left out because too many of their session waited.
    pub infos_dropped: u64,
    pub notifications_dropped: u64,
    pub transactions_active: usize,
    pub sessions_active: usize,
    pub dialogs_active: usize,
    pub subscriptions_active: usize,
    /// 2xx to INVITEs that nobody here knew: ended with BYE.
    pub strays_ended: u64,
}
