//! The link between the T-Server side and one connector: typed messages, each idempotent by its ids.
//!
//! Requests go down (T-Server to connector), notifications come up. A party that was made gets exactly one
//! [`LinkNotification::PartyReleased`]; a conference exactly one [`LinkNotification::ConferenceEnded`], after its last party's.
//! No SIP type crosses the link: causes carry the numbers of SIP and Q.850 as plain data.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::connector::{ConnectorNotification, ConnectorRequest, DnContact};
use crate::vocabulary::vocabulary;
use crate::{ConferenceId, DnId, PartyId};

/// SIP headers for one leg, as (name, value), in order.
pub type Headers = Vec<(Arc<str>, Arc<str>)>;

/// An operation on a conference that is answered when it is done. Chosen by the T-Server side, rising within a conference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct OperationId(pub u32);

/// A transfer that a device asked for. Chosen by the connector, unique within a conference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TransferId(pub u32);

vocabulary!(
    /// Tones, as the locale has them (ITU-T E.180).
    Tone { Dial = 0, RingBack = 1, Busy = 2, FastBusy = 3, Beep = 4 }
);

/// What one party may hear.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum AudioSource {
    /// Another party: what its device sends. While it alerts and sends nothing, ringback stands for it; before, silence.
    Party(PartyId),
    /// Music on hold: of this name, or the default one.
    Music(Option<Arc<str>>),
    /// A tone.
    Tone(Tone),
    /// A prompt; [`LinkNotification::PromptEnded`] tells its end where it does not repeat.
    File {
        /// Its name in the prompt directory.
        name: Arc<str>,
        /// Whether it starts over at its end.
        repeat: bool,
    },
}

/// What one party hears: its row of the matrix. Nothing: silence.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Hearing {
    /// The party.
    pub party: PartyId,
    /// What it hears, mixed.
    pub sources: SmallVec<[AudioSource; 2]>,
}

/// Who hears whom: one row for each party. It replaces the plan before it, whole. A party without a row hears every other party that has
/// none; as long as no plan was set, everybody hears everybody. It may name parties that are yet to be made.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct AudioPlan {
    /// The rows, in any order, at most one for each party.
    pub rows: Vec<Hearing>,
}

/// How far the media towards a party is known to be there (UCMA's RemoteMediaFlowState): wait for Connected before playing anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
pub enum MediaFlowState {
    /// Nothing is known.
    #[default]
    Unknown,
    /// Offer and answer are exchanged.
    Connecting,
    /// Media arrives, or the exchange is acknowledged. It stays so.
    Connected,
}

/// Where a device wants its peer transferred to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TransferTarget {
    /// A number or URI: blind transfer.
    Address {
        /// It.
        to: Arc<str>,
        /// Who the device says asks for it: the value of a Referred-By header for the call that it comes to (RFC 3892 s.2.2).
        referred_by: Option<Arc<str>>,
    },
    /// A party of the same device in another call (or in this one): attended transfer.
    Party {
        /// Its conference.
        conference: ConferenceId,
        /// The party of the device that transfers, there.
        party: PartyId,
    },
}

/// Whom a party is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PartyTarget {
    /// A registered device of ours: every contact of this DN is called.
    Dn(DnId),
    /// A number behind a trunk.
    Trunk {
        /// The Trunk DN that carries the call.
        trunk: DnId,
        /// The number as the far side wants it (dial plan applied): the user part of the request URI.
        number: Arc<str>,
    },
}

impl PartyTarget {
    /// The DN that is called, or through which it is.
    pub fn dn(&self) -> &DnId {
        match self {
            Self::Dn(dn) | Self::Trunk { trunk: dn, .. } => dn,
        }
    }
}

/// How a party's device is to be called.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MakeParty {
    /// The conference; it is created when this is its first party.
    pub conference: ConferenceId,
    /// The party, chosen by the T-Server side.
    pub party: PartyId,
    /// Whom to call.
    pub target: PartyTarget,
    /// Whose identity the device is shown (From and P-Asserted-Identity): a SIP URI.
    pub caller: DnId,
    /// The caller's display name, where there is one.
    pub caller_name: Option<Arc<str>>,
    /// How far that identity holds, and who may be shown it.
    #[serde(default)]
    pub presentation: Presentation,
    /// The device is shown the conference endpoint instead that serves the conference, where the connector has any (reference, `cpn`).
    #[serde(default)]
    pub as_endpoint: bool,
    /// Ask the device to answer by itself (Call-Info `answer-after=0`, Alert-Info `auto-answer`).
    pub auto_answer: bool,
    /// Give up after this long without an answer, in milliseconds.
    pub ring_timeout_ms: u64,
    /// The call's Conversation-ID, sent on the leg.
    pub conversation_id: Arc<str>,
    /// More headers for the leg, custom ones and those passed through.
    pub headers: Headers,
    /// Who forwarded the call here, beyond what the headers tell, the first one first.
    #[serde(default)]
    pub forwarded: Vec<Forwarded>,
    /// The devices of the DN that are registered with other connectors. The link fills them in; a call leaves them out.
    pub elsewhere: Vec<DnContact>,
}

impl MakeParty {
    /// Shows the device this endpoint as its caller. Nobody is behind it who could want to be hidden.
    pub fn show_endpoint(&mut self, uri: &str) {
        self.caller = DnId::new(uri);
        self.caller_name = None;
        self.presentation = Presentation::default();
    }
}

/// What the T-Server side asks of a connector.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LinkRequest {
    /// Call a device into the conference. The first party of a 3pcc call is called alone; each later one, or the second
    /// one of a call that was offered, is joined to the party that is there.
    MakeParty(MakeParty),
    /// End one party, whatever state it is in.
    ReleaseParty {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
        /// Why; a party that was offered and not answered is rejected with `cause.sip_status`.
        cause: Cause,
    },
    /// End every party.
    ReleaseConference {
        /// The conference.
        conference: ConferenceId,
        /// Why.
        cause: Cause,
    },
    /// Who hears whom from now on. Answered by `OperationDone` when it is so for every party that is connected, or by
    /// `OperationFailed` when a device did not follow; then the plan before it is in force again.
    SetAudio {
        /// The conference.
        conference: ConferenceId,
        /// To be answered.
        operation: OperationId,
        /// The matrix.
        plan: AudioPlan,
    },
    /// Answer a party that was offered, as it is: to the parties that are there, or to the media plane alone (a pickup, a dial-in
    /// conference, a treatment). `PartyConnected` follows. Where it is the only party, the conference is a room from then on: whoever
    /// is left stays until the T-Server side says otherwise. Without effect on any other party.
    ConnectParty {
        /// The conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
    },
    /// Ask the devices of a party that is called to answer: those that ring now, and each other one as soon as it does. Answered by
    /// `OperationDone` when one of them takes the wish (whether it answers shows in `PartyConnected`), or when the party is connected. By
    /// `OperationFailed` when none of those that are still called takes it: `Device`, with the SIP status of the first (489: it does not know
    /// the wish, 408: it said nothing); and with 481 where there is no such party, or none that is called. Nobody waits for the answer: it may
    /// take as long as the party rings, and other requests are served meanwhile.
    AnswerParty {
        /// The conference.
        conference: ConferenceId,
        /// To be answered.
        operation: OperationId,
        /// The party.
        party: PartyId,
    },
    /// Let this party hear digits. Answered when the last one is out.
    SendDigits {
        /// The conference.
        conference: ConferenceId,
        /// To be answered.
        operation: OperationId,
        /// Who hears them.
        party: PartyId,
        /// Which: 0-9 * # A-D, `,` for a pause.
        digits: Arc<str>,
    },
    /// Take a connected party over from another conference of the same connector, leg and all. Answered by `OperationDone`; the other
    /// conference tells `PartyMoved`. `OperationFailed` with 481 where the party is gone, 501 where the conference is another connector's.
    MoveParty {
        /// Where it goes.
        conference: ConferenceId,
        /// To be answered.
        operation: OperationId,
        /// Its id there.
        party: PartyId,
        /// Where it is.
        from: ConferenceId,
        /// Its id there.
        from_party: PartyId,
    },
    /// What is this conference now? Answered by `ConferenceState`, or by `ConferenceEnded` where there is none of that id. It is asked of
    /// every conference when a link comes up, and of those of a call that was restored; a conference keeps itself alive for as long as a
    /// link is down.
    Audit {
        /// The conference.
        conference: ConferenceId,
    },
    /// Every conference that the T-Server side knows was audited: what else the connector has is nobody's, and is released.
    AuditEnd,
    /// How the transfer goes that a device asked for. A final status ends it.
    TransferProgress {
        /// The conference.
        conference: ConferenceId,
        /// The transfer.
        transfer: TransferId,
        /// 100 when it is accepted, from when on the device may hang up and takes nobody along; 18x, then a final status.
        status: u16,
    },
    /// What concerns the connector as a whole.
    Connector(ConnectorRequest),
}

impl LinkRequest {
    /// The conference that this is about; `None` for what concerns the whole connector.
    pub fn conference(&self) -> Option<ConferenceId> {
        match self {
            Self::MakeParty(make) => Some(make.conference),
            Self::ReleaseParty { conference, .. }
            | Self::ReleaseConference { conference, .. }
            | Self::ConnectParty { conference, .. }
            | Self::SetAudio { conference, .. }
            | Self::AnswerParty { conference, .. }
            | Self::SendDigits { conference, .. }
            | Self::MoveParty { conference, .. }
            | Self::Audit { conference }
            | Self::TransferProgress { conference, .. } => Some(*conference),
            Self::AuditEnd | Self::Connector(_) => None,
        }
    }
}

/// How a call came in from the network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallOffered {
    /// The conference, chosen by the connector.
    pub conference: ConferenceId,
    /// The caller's party.
    pub party: PartyId,
    /// The DN that calls: an Extension of ours, or the Trunk DN it came through.
    pub from: CallerId,
    /// How far that identity holds, and who may be shown it.
    #[serde(default)]
    pub presentation: Presentation,
    /// By which of its addresses a device of ours wants to be known (P-Preferred-Identity). It is a wish: the T-Server side knows which
    /// addresses are its own.
    #[serde(default)]
    pub preferred: Option<DnId>,
    /// The number as dialled (user part, or a whole URI where its host is not ours).
    pub dialled: Arc<str>,
    /// The Conversation-ID that the INVITE carried, if any.
    pub conversation_id: Option<Arc<str>>,
    /// The SIP Call-ID of the caller's leg, for logs.
    pub sip_call_id: Arc<str>,
    /// The party whose place the caller takes (Replaces, RFC 3891): a pickup where it alerts, a transfer where it is connected.
    pub replaces: Option<(ConferenceId, PartyId)>,
    /// Who forwarded the call here last (Diversion, History-Info): a SIP or tel URI.
    pub diverted_by: Option<Arc<str>>,
    /// The headers of the INVITE that go on to the next leg: all that tells of earlier forwardings (Diversion, History-Info), and those that
    /// the pass-through list names.
    pub headers: Headers,
}

/// Why a call was forwarded (RFC 5806 s.6.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ForwardReason {
    /// The phone forwards whatever comes.
    Unconditional,
    /// Somebody sent the call on that rang.
    Deflection,
}

/// A forwarding of a call that was not answered yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Forwarded {
    /// Who forwarded: a SIP URI.
    pub by: DnId,
    /// Why.
    pub reason: ForwardReason,
}

/// How far the identity of a caller holds, and who may be shown it (RFC 3323, RFC 3325). Whether a device or a trunk is trusted with it
/// is for the connector that has its leg to know.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Presentation {
    /// Nobody that we trust vouches for it: it is shown as what somebody says, and asserted to no one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unasserted: bool,
    /// The privacy that was asked for, as a Privacy header has it (`id;critical`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Arc<str>>,
}

impl Presentation {
    /// Whether the caller is to be nobody for those who are not trusted.
    pub fn hides_caller(&self) -> bool {
        self.asks("id", "user") && !self.asks("none", "none")
    }

    /// Whether the addresses of its media are to be hidden too.
    pub fn hides_media(&self) -> bool {
        self.asks("session", "session") && !self.asks("none", "none")
    }

    fn asks(&self, one: &str, other: &str) -> bool {
        let mut values = self.privacy.iter().flat_map(|privacy| privacy.split(';')).map(str::trim);
        values.any(|value| value.eq_ignore_ascii_case(one) || value.eq_ignore_ascii_case(other))
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CallerId {
    /// A device of ours, authenticated.
    Extension(DnId),
    /// A call through a trunk.
    Trunk {
        /// The Trunk DN.
        trunk: DnId,
        /// The calling number: a SIP or tel URI, asserted by a trunk that is trusted with it, else as From has it.
        number: DnId,
        /// The display name, where there was one.
        name: Option<Arc<str>>,
    },
}

impl CallerId {
    /// The DN that calls, or through which the call comes.
    pub fn dn(&self) -> &DnId {
        match self {
            Self::Extension(dn) | Self::Trunk { trunk: dn, .. } => dn,
        }
    }
}

/// What a connector tells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LinkNotification {
    /// A device or trunk calls; the T-Server side answers with MakeParty or ReleaseParty.
    CallOffered(CallOffered),
    /// The invitation of this party went out (or its call came in).
    PartyCreated {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
    },
    /// The device rings (the first 18x of any of its contacts).
    PartyAlerting {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
    },
    /// The device answered.
    PartyConnected {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
    },
    /// The party is gone. Exactly once for each party.
    PartyReleased {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
        /// Why, and at whose wish.
        cause: Cause,
    },
    /// The device itself put the call on hold, or took it back (1pcc).
    PartyHeld {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
        /// On hold now, or not any more.
        held: bool,
    },
    /// Every contact of the party failed and one said to call elsewhere instead (3xx). `PartyReleased` with that status follows.
    PartyRedirected {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
        /// Where to, in the order of preference.
        to: Vec<Arc<str>>,
    },
    /// The device asks for its peer to be transferred (REFER); the T-Server side answers with `TransferProgress`.
    TransferRequested {
        /// Its conference.
        conference: ConferenceId,
        /// The party that asks.
        party: PartyId,
        /// The transfer.
        transfer: TransferId,
        /// Where to.
        to: TransferTarget,
    },
    /// The party was taken over by another conference: it is gone here, without `PartyReleased`.
    PartyMoved {
        /// Its conference so far.
        conference: ConferenceId,
        /// The party there.
        party: PartyId,
    },
    /// The device pressed a key.
    PartyDigit {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
        /// 0-9 * # A-D.
        digit: char,
    },
    /// The party is the one that speaks now, of three or more; so it stays until this is told of another one, or it is gone.
    PartySpeaks {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
    },
    /// How far media towards the party is there.
    MediaFlow {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
        /// How far.
        state: MediaFlowState,
    },
    /// The prompt that the party heard has ended.
    PromptEnded {
        /// Its conference.
        conference: ConferenceId,
        /// The party.
        party: PartyId,
    },
    /// What was asked is done.
    OperationDone {
        /// Its conference.
        conference: ConferenceId,
        /// Which.
        operation: OperationId,
    },
    /// What was asked could not be done; nothing has changed.
    OperationFailed {
        /// Its conference.
        conference: ConferenceId,
        /// Which.
        operation: OperationId,
        /// Why.
        cause: Cause,
    },
    /// What the conference is now: the answer to `Audit`, and what a conference says unasked that was restored. A party that is not in it
    /// is gone, and no other notification tells its end; an operation that was asked for and is not answered yet is to be asked for again,
    /// under its id: one that was done already is answered again.
    ConferenceState {
        /// The conference.
        conference: ConferenceId,
        /// Who is there.
        parties: Vec<PartyStatus>,
    },
    /// The conference is gone with its last party, and with the last transfer that was accepted there. Exactly once, last.
    ConferenceEnded {
        /// The conference.
        conference: ConferenceId,
    },
    /// The DN has (new) contacts, or has none any more.
    DnContacts {
        /// The DN.
        dn: DnId,
        /// The devices that are registered for it now, best first.
        contacts: Vec<DnContact>,
    },
    /// What concerns the connector as a whole.
    Connector(ConnectorNotification),
}

impl LinkNotification {
    /// The conference that this is about; `None` for what concerns a DN or the whole connector.
    pub fn conference(&self) -> Option<ConferenceId> {
        match self {
            Self::CallOffered(offered) => Some(offered.conference),
            Self::PartyCreated { conference, .. }
            | Self::PartyAlerting { conference, .. }
            | Self::PartyConnected { conference, .. }
            | Self::PartyReleased { conference, .. }
            | Self::PartyHeld { conference, .. }
            | Self::PartyRedirected { conference, .. }
            | Self::TransferRequested { conference, .. }
            | Self::PartyMoved { conference, .. }
            | Self::PartyDigit { conference, .. }
            | Self::PartySpeaks { conference, .. }
            | Self::MediaFlow { conference, .. }
            | Self::PromptEnded { conference, .. }
            | Self::OperationDone { conference, .. }
            | Self::OperationFailed { conference, .. }
            | Self::ConferenceState { conference, .. }
            | Self::ConferenceEnded { conference } => Some(*conference),
            Self::DnContacts { .. } | Self::Connector(_) => None,
        }
    }
}

/// One party of a [`LinkNotification::ConferenceState`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartyStatus {
    /// The party.
    pub party: PartyId,
    /// How far it is.
    pub progress: PartyProgress,
    /// Its device has the call on hold.
    pub held: bool,
    /// How far media towards it is there.
    pub flow: MediaFlowState,
}

/// How far a party is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum PartyProgress {
    /// It calls, or is called.
    Created,
    /// It rings.
    Alerting,
    /// It talks.
    Connected,
}

/// At whose wish a party ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ReleasedBy {
    /// The device hung up, declined or cancelled.
    Device,
    /// The T-Server side asked for it (a CTI request, or the other party left).
    Server,
    /// Nobody: the network failed, a time ran out.
    Network,
}

/// Why a party ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cause {
    /// At whose wish.
    pub by: ReleasedBy,
    /// The final SIP status of the leg, where there was one (486, 480, ...).
    pub sip_status: Option<u16>,
    /// The Q.850 cause, where a Reason header gave one (RFC 3326).
    pub q850: Option<u8>,
    /// The value of that header, for the legs of those who are told of this end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
}

/// The Reason that tells a device that another one has its call, so that it shows none missed (RFC 3326 s.3.1).
pub const COMPLETED_ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Cause {
    /// A normal end, at the wish of `by`.
    pub fn normal(by: ReleasedBy) -> Self {
        Self {
            by,
            sip_status: None,
            q850: None,
            reason: None,
        }
    }

    /// An end with a SIP status.
    pub fn status(by: ReleasedBy, sip_status: u16) -> Self {
        Self {
            by,
            sip_status: Some(sip_status),
            q850: None,
            reason: None,
        }
    }

    /// The value of the Reason header for a leg that ends because of this: what was said, or the Q.850 cause that was found here.
    pub fn told_reason(&self) -> Option<Arc<str>> {
        let found = || self.q850.map(|cause| format!("Q.850;cause={cause}").into());
        self.reason.clone().or_else(found)
    }

    /// Why others are released because of this, at the wish of the T-Server side: with a SIP status of their own, and the same Reason.
    pub fn for_others(&self, sip_status: Option<u16>) -> Self {
        Self {
            by: ReleasedBy::Server,
            sip_status,
            ..self.clone()
        }
    }
}
