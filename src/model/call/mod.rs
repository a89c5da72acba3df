//! One call as CTI clients see it: its parties, their states, its user data. Pure: link notifications and requests in, link requests
//! and events out.
//!
//! Invariants:
//! * each party that was reported (EventDialing or EventRinging) gets exactly one terminal event, whatever comes in whatever order;
//! * a request gets exactly one answer: the starred event, or an EventError;
//! * [`CallOutput::Finished`] comes exactly once and last, when the connector has let go of the conference (or the link is lost).
//!
//! Parties end for CTI clients the moment the first one ends, not when the network has confirmed it: what the link says after that
//! is only waited for. A Trunk DN is no party for clients (T-Library reference ch. 1: unmonitored parties get no events); the far side of
//! a trunk shows as OtherDN.
//!
//! It does not know SIP, does not read a clock, does not register clients and does not number events ([`crate::event_log`] does).
//! Who may ask for which DN is for the caller to check ([`crate::dn`]).
//!
//! One file per operation: `make` (3pcc), `offered` (1pcc and inbound), `link` (progress), `release` and `clear`, `user_data`,
//! `query`; `events` builds what clients see, `ending` is the one way out of a call, `timeout` what happens when the connector stays
//! silent, `cause` the one place that knows SIP statuses.

mod cause;
mod clear;
mod ending;
mod events;
mod link;
mod make;
mod offered;
mod party;
mod query;
mod release;
#[cfg(test)]
mod tests;
mod timeout;
mod user_data;

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::link::{CallOffered, LinkNotification, LinkRequest};
use crate::numbering::Numbering;
use crate::{
    CallType, CallUuid, ConferenceId, ConnId, DnId, DnRole, Event, KvList, PartyState, Request, Requestor, TError, TErrorCode,
};
use party::Party;

pub(crate) use events::CONVERSATION_ID;
pub use make::Make;

/// What a call is called, chosen by whoever starts it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallIds {
    /// The ConnID.
    pub conn_id: ConnId,
    /// The CallUUID.
    pub call_uuid: CallUuid,
    /// The CallID.
    pub call_id: u64,
    /// The Conversation-ID; one that an offered call brings along takes its place.
    pub conversation_id: Arc<str>,
    /// The conference: made by the T-Server side for [`CallInput::Make`], the connector's for [`CallInput::Offered`].
    pub conference: ConferenceId,
}

/// How calls behave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallSettings {
    /// How long a device rings before its party is given up, in milliseconds.
    pub ring_timeout_ms: u64,
    /// How long the connector may owe a notification beyond that, in milliseconds; then the call ends without it.
    pub link_timeout_ms: u64,
    /// The largest user data of one call, in bytes of keys and values; more is refused with error 223.
    pub user_data_limit_bytes: usize,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            ring_timeout_ms: 60_000,
            link_timeout_ms: 40_000,
            user_data_limit_bytes: 65_536,
        }
    }
}

/// What happens to a call.
#[derive(Clone, PartialEq, Debug)]
pub enum CallInput {
    /// A client wants this call made. The first input, or [`CallInput::Offered`] is.
    Make(Box<Make>),
    /// A device or a trunk calls.
    Offered(CallOffered),
    /// A client asks for something about this call.
    Request {
        /// Who.
        requestor: Requestor,
        /// What.
        request: Request,
    },
    /// The connector tells something about this call's conference.
    Link(LinkNotification),
    /// The connector that has the conference is gone, and the conference with it.
    LinkLost,
    /// The time of [`Call::next_timeout`] has come.
    Timeout,
}

/// What a call wants done, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum CallOutput {
    /// Tell the connector.
    Link(LinkRequest),
    /// Tell every client that is registered on the event's ThisDN.
    Event {
        /// The event; its own `reference_id` is never set.
        event: Event,
        /// Who gets the copy with the ReferenceID, if this answers a request.
        requestor: Option<Requestor>,
    },
    /// Tell the requestor only.
    Answer {
        /// Who.
        requestor: Requestor,
        /// The answer; its own `reference_id` is never set.
        event: Event,
    },
    /// The call is over and may be forgotten.
    Finished(CallRecord),
}

/// How a call went, for counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallRecord {
    /// Internal, Inbound or Outbound; Unknown where the call was never made.
    pub direction: CallType,
    /// How it ended.
    pub outcome: Outcome,
    /// From its start until the destination answered.
    pub setup: Option<Duration>,
    /// From then until its end.
    pub talk: Option<Duration>,
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// The two sides talked.
    Answered,
    /// The called device was busy.
    Busy,
    /// Nobody answered in time.
    NoAnswer,
    /// The called side declined.
    Rejected,
    /// There is no such number, it is not allowed, or no device is there.
    Unreachable,
    /// The caller gave up, or a client ended the call before it was answered.
    Cancelled,
    /// Something broke.
    Failed,
    /// The request to make it was refused: there was no call.
    Refused,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Answered,
        Self::Busy,
        Self::NoAnswer,
        Self::Rejected,
        Self::Unreachable,
        Self::Cancelled,
        Self::Failed,
        Self::Refused,
    ];

    /// Its name in metrics: lower case, with underscores.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// A call as `GET /v1/calls` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallSummary {
    /// The ConnID.
    pub conn_id: ConnId,
    /// The CallUUID.
    pub call_uuid: CallUuid,
    /// How it relates to the switch.
    pub call_type: CallType,
    /// Who takes part, the origination first.
    pub parties: Vec<PartySummary>,
    /// The calling number.
    pub ani: Option<Arc<str>>,
    /// The dialled number.
    pub dnis: Option<Arc<str>>,
    /// How long ago it started.
    pub age: Duration,
}

/// One party of a [`CallSummary`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartySummary {
    /// Its DN, or the number behind a trunk.
    pub dn: DnId,
    /// Its part.
    pub role: DnRole,
    /// Its state.
    pub state: PartyState,
    /// Whether it is none of our DNs.
    pub external: bool,
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing yet.
    New,
    /// 3pcc: the caller's own device is called.
    CallingOrigin,
    /// The destination is called.
    CallingDestination,
    /// Both talk.
    Talking,
    /// Over for clients; the connector has yet to let go.
    Ending,
    /// Over.
    Finished,
}

/// The index of the calling party.
const ORIGIN: usize = 0;
/// The index of the called party.
const DESTINATION: usize = 1;

/// The machine. See the module.
#[derive(Clone, Debug)]
pub struct Call {
    ids: CallIds,
    numbering: Arc<Numbering>,
    settings: CallSettings,
    phase: Phase,
    /// The origination, then the destination.
    parties: SmallVec<[Party; 2]>,
    call_type: CallType,
    ani: Option<Arc<str>>,
    dnis: Option<Arc<str>>,
    /// The display name that a call over a trunk brought along.
    caller_name: Option<Arc<str>>,
    user_data: Arc<KvList>,
    started: Option<Instant>,
    answered: Option<Instant>,
    /// When the connector owes a notification at the latest.
    deadline: Option<Instant>,
    /// What is told when it is over.
    record: Option<CallRecord>,
}

impl Call {
    /// A call about which nothing is known yet.
    pub fn new(ids: CallIds, numbering: Arc<Numbering>, settings: CallSettings) -> Self {
        Self {
            ids,
            numbering,
            settings,
            phase: Phase::New,
            parties: SmallVec::new(),
            call_type: CallType::Unknown,
            ani: None,
            dnis: None,
            caller_name: None,
            user_data: Arc::default(),
            started: None,
            answered: None,
            deadline: None,
            record: None,
        }
    }

    /// Takes one input; what is to be done is appended to `out`.
    pub fn handle(&mut self, input: CallInput, now: Instant, out: &mut Vec<CallOutput>) {
        match input {
            CallInput::Make(make) => self.make(*make, now, out),
            CallInput::Offered(offered) => self.offered(offered, now, out),
            CallInput::Request { requestor, request } => self.request(requestor, request, now, out),
            CallInput::Link(notification) => self.link(notification, now, out),
            CallInput::LinkLost => self.link_lost(now, out),
            CallInput::Timeout => self.timed_out(now, out),
        }
    }

    /// When [`CallInput::Timeout`] is due; `None` while the connector owes nothing. A timeout that comes early changes nothing.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether [`CallOutput::Finished`] was given out.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// What the call is called.
    pub fn ids(&self) -> &CallIds {
        &self.ids
    }

    /// The call as it stands.
    pub fn summary(&self, now: Instant) -> CallSummary {
        CallSummary {
            conn_id: self.ids.conn_id,
            call_uuid: self.ids.call_uuid,
            call_type: self.call_type,
            parties: self.parties.iter().map(Party::summary).collect(),
            ani: self.ani.clone(),
            dnis: self.dnis.clone(),
            age: self
                .started
                .map_or(Duration::ZERO, |started| now.saturating_duration_since(started)),
        }
    }

    fn request(&mut self, requestor: Requestor, request: Request, now: Instant, out: &mut Vec<CallOutput>) {
        let party = match self.asking_party(&request) {
            Ok(party) => party,
            Err(error) => return self.refuse(requestor, request.this_dn(), error, out),
        };
        let result = match request {
            Request::ReleaseCall { reasons, .. } => self.release(party, requestor, reasons, now, out),
            Request::ClearCall { reasons, .. } => self.clear(party, requestor, reasons, now, out),
            Request::AttachUserData { ref user_data, .. } | Request::UpdateUserData { ref user_data, .. } => {
                self.merge_user_data(party, requestor, user_data, out)
            }
            Request::DeleteUserData { ref data_key, .. } => self.delete_user_data(party, requestor, data_key, out),
            Request::DeleteAllUserData { .. } => self.delete_all_user_data(party, requestor, out),
            Request::QueryCall { call_info_type, .. } => self.query(party, requestor, call_info_type, out),
            _ => Err(TErrorCode::UnsupportedOperation.into()),
        };
        if let Err(error) = result {
            let dn = self.parties.get(party).map(|party| party.dn.clone());
            self.refuse(requestor, dn.as_ref(), error, out);
        }
    }

    /// The party that asks. A call that is over for clients is no call of that ConnID any more, whether or not the connector is done.
    fn asking_party(&self, request: &Request) -> Result<usize, TError> {
        let conn_id = request.conn_id().ok_or(TErrorCode::UnsupportedOperation)?;
        if matches!(self.phase, Phase::New | Phase::Ending | Phase::Finished) || conn_id != self.ids.conn_id {
            return Err(TErrorCode::InvalidConnId.into());
        }
        let this_dn = request
            .this_dn()
            .ok_or(TError::new(TErrorCode::InvalidAttribute, "thisDn is missing"))?;
        self.parties
            .iter()
            .position(|party| party.is_on_call() && party.dn == *this_dn)
            .ok_or_else(|| {
                TError::new(
                    TErrorCode::PartyNotOnCall,
                    format!("{this_dn} is not on call {}", self.ids.conn_id),
                )
            })
    }

    fn refuse(&self, requestor: Requestor, this_dn: Option<&DnId>, error: TError, out: &mut Vec<CallOutput>) {
        let event = self.error_event(this_dn, error);
        out.push(CallOutput::Answer { requestor, event });
    }
}
