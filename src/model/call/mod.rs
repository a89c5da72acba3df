//! A group of calls as CTI clients see it: a main call and its consultation calls, each with its own ConnID, parties and user data.
//! Pure: link notifications and requests in, link requests and events out.
//!
//! A *device* is one leg on the link; it may be a party of several calls of the group at once, so hold, alternate and completion are
//! only a change of who hears whom (`audio`). Normally a group is in one conference; calls that began separately are *absorbed* with
//! theirs when a request or a phone brings them together.
//!
//! Invariants:
//! * each party that was reported (EventDialing or EventRinging) ends exactly once: by its terminal event, or by EventPartyChanged
//!   that takes it into another call (PreviousConnID);
//! * a request gets exactly one answer: the starred event, or an EventError (SingleStepConference has a star on EventRinging of the
//!   new party besides: T-Library reference ch. 9.10);
//! * one operation at a time for a group (error 291), one unanswered SetAudio for a conference;
//! * [`CallOutput::Closed`] comes once for each ConnID, [`CallOutput::Finished`] once and last, when the connector has let go of every
//!   conference (or the link is lost).
//!
//! Parties end for CTI clients the moment the first one ends, not when the network has confirmed it: what the link says after that
//! is only waited for. A Trunk DN is no party for clients (T-Library reference ch. 1: unmonitored parties get no events); the far side of
//! a trunk shows as OtherDN.
//!
//! It does not know SIP, does not read a clock, does not register clients and does not number events ([`crate::event_log`] does).
//! Who may ask for which DN is for the caller to check ([`crate::dn`]).
//!
//! One file per operation: `make` (3pcc), `offered` (1pcc and inbound, direct calls), `link` (progress), `release`, `clear`, `delete`, `answer`, `hold`,
//! `consult`, `transfer` (two calls become one), `moving` (from conference to conference), `single_step`, `redirect` (RedirectCall, 3xx), `refer`, `pickup`, `dtmf`, `absorb`,
//! `user_data`, `query`, `flow` (how far media is), `headers` (of one leg), `back_to_back` (who is reported until somebody answers); `operation` is what they have in common, `events` builds what clients see, `ending` is the one way out of
//! a call, `timeout` what happens when the connector stays silent, `cause` the one place that knows SIP statuses. `snapshot` is what is kept of a
//! group, `restore` how it comes back, `audit` how both sides of the link agree again.

mod absorb;
mod answer;
mod audio;
mod audit;
mod back_to_back;
mod cause;
mod clear;
mod conn;
mod consult;
mod delete;
mod device;
mod dtmf;
mod ending;
mod events;
mod flow;
mod headers;
mod hold;
mod link;
mod make;
mod moving;
mod offered;
mod operation;
mod party;
mod pickup;
mod query;
mod redirect;
mod refer;
mod release;
mod restore;
mod room;
mod single_step;
mod snapshot;
#[cfg(test)]
mod tests;
mod timeout;
mod transfer;
mod user_data;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::dn::wish::Wishes;
use crate::link::{CallOffered, LinkNotification, LinkRequest};
use crate::numbering::Numbering;
use crate::request::{OnCall, OnCallWith};
use crate::{
    CallType, CallUuid, ConferenceId, ConnId, DnId, DnRole, Event, KvList, PartyId, PartyState, Request, Requestor, TError,
    TErrorCode,
};
use conn::Conn;
use device::{Device, DeviceKey};
use operation::Pending;
use party::Party;
use room::Room;

pub use absorb::Wanted;
pub(crate) use events::CONVERSATION_ID;
pub use make::Make;
pub(crate) use query::{ACTIVE_SPEAKER, CONFERENCE};
pub use snapshot::CallSnapshot;

/// What a call is called, chosen by whoever starts it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    /// How long a connector may leave unsaid what a conference is now, in milliseconds; then that is gone. It goes on with its calls while it
    /// cannot be reached, so this is longer than most breaks of a link.
    pub audit_timeout_ms: u64,
    /// The largest user data of one call, in bytes of keys and values; more is refused with error 223.
    pub user_data_limit_bytes: usize,
    /// The most parties of one call; one more is refused with error 111.
    pub parties_max: usize,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            ring_timeout_ms: 60_000,
            link_timeout_ms: 40_000,
            audit_timeout_ms: 900_000,
            user_data_limit_bytes: 65_536,
            parties_max: 16,
        }
    }
}

/// What happens to a group.
#[derive(Clone, Debug)]
pub enum CallInput {
    /// A client wants this call made. The first input, or [`CallInput::Offered`] is.
    Make(Box<Make>),
    /// A device or a trunk calls.
    Offered(CallOffered),
    /// What the next consultation call is to be called; kept until there is one.
    Spare(Box<CallIds>),
    /// What clients ask of their DNs at this time; counts for the next input.
    Wishes(Wishes),
    /// Which numbers lead where and which policies hold, from the next input on.
    Numbering(Arc<Numbering>),
    /// A client asks for something about a call of this group.
    Request {
        /// Who.
        requestor: Requestor,
        /// What.
        request: Request,
    },
    /// The connector tells something about a conference of this group. A CallOffered belongs here where it replaces a party of it.
    Link(LinkNotification),
    /// Answers [`CallOutput::Absorb`]: the other group as it surrendered ([`Call::may_surrender`]), or why it did not.
    Absorbed(Result<Box<Call>, TError>),
    /// The connector that has the conferences is gone, and they with it.
    LinkLost,
    /// The link to the connector is up again after a break: each conference is asked what it is now.
    LinkRestored,
    /// The time of [`Call::next_timeout`] has come.
    Timeout,
}

/// What a group wants done, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum CallOutput {
    /// Tell the connector that has the request's conference.
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
    /// A consultation call began under this ConnID: requests about it come here. The ConnID of the first call is not told.
    Opened {
        /// The ConnID.
        conn_id: ConnId,
    },
    /// This ConnID is gone for clients. Comes for every call once, for the first one too.
    Closed {
        /// The ConnID.
        conn_id: ConnId,
        /// How it went.
        record: CallRecord,
    },
    /// The call did not take the user data of one that was merged into it by a phone: it would have been too much. Nobody can be told but
    /// whoever reads the log.
    DataLeftOut {
        /// The ConnID of the call that goes on.
        conn_id: ConnId,
        /// Why.
        error: TError,
    },
    /// Another group is needed here, whole: answered by [`CallInput::Absorbed`].
    Absorb(Wanted),
    /// The group is over and may be forgotten.
    Finished,
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

/// How far the group is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing yet.
    New,
    /// It has calls, or had them and waits for the connector to let go.
    Live,
    /// Over.
    Finished,
}

/// The machine. See the module.
#[derive(Clone, Debug)]
pub struct Call {
    /// Of the first call.
    ids: CallIds,
    spare: Option<Box<CallIds>>,
    /// Of the clients of DNs, as the input came.
    wishes: Wishes,
    numbering: Arc<Numbering>,
    settings: CallSettings,
    phase: Phase,
    /// The open calls, in the order in which they began.
    conns: Vec<Conn>,
    devices: Vec<Device>,
    rooms: Vec<Room>,
    pending: Option<Pending>,
    /// Another group was asked for and is not here yet.
    absorbing: bool,
    next_device: u32,
    next_operation: u32,
    /// What is told when the group is over.
    last: Option<(ConnId, CallRecord)>,
    /// When the group is over at the latest, once it has no call.
    closing: Option<Instant>,
}

impl Call {
    /// A group about which nothing is known yet.
    pub fn new(ids: CallIds, numbering: Arc<Numbering>, settings: CallSettings) -> Self {
        Self {
            ids,
            spare: None,
            wishes: Wishes::default(),
            numbering,
            settings,
            phase: Phase::New,
            conns: Vec::new(),
            devices: Vec::new(),
            rooms: Vec::new(),
            pending: None,
            absorbing: false,
            next_device: 0,
            next_operation: 1,
            last: None,
            closing: None,
        }
    }

    /// Takes one input; what is to be done is appended to `out`.
    pub fn handle(&mut self, input: CallInput, now: Instant, out: &mut Vec<CallOutput>) {
        match input {
            CallInput::Make(make) => self.make(*make, now, out),
            CallInput::Offered(offered) => self.offered(offered, now, out),
            CallInput::Spare(ids) => self.spare = Some(ids),
            CallInput::Wishes(wishes) => {
                self.wishes = wishes;
                return;
            }
            CallInput::Numbering(numbering) => {
                self.numbering = numbering;
                return;
            }
            CallInput::Request { requestor, request } => self.request(requestor, request, now, out),
            CallInput::Link(notification) => self.link(notification, now, out),
            CallInput::Absorbed(other) => self.absorbed(other, now, out),
            CallInput::LinkLost => self.link_lost(now, out),
            CallInput::LinkRestored => self.link_restored(now, out),
            CallInput::Timeout => self.timed_out(now, out),
        }
        if self.phase == Phase::Live {
            self.advance(now, out);
            self.finish_if_over(out);
        }
        self.wishes = Wishes::default();
    }

    /// When [`CallInput::Timeout`] is due; `None` while the connector owes nothing. A timeout that comes early changes nothing.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.phase != Phase::Live {
            return None;
        }
        let devices = self.devices.iter().filter_map(|device| device.deadline);
        let pending = self.pending.as_ref().map(|pending| pending.deadline);
        let audits = self.rooms.iter().filter_map(|room| room.audit.filter(|_| !room.ended));
        devices.chain(pending).chain(audits).chain(self.closing).min()
    }

    /// Whether [`CallOutput::Finished`] was given out.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// What the first call is called.
    pub fn ids(&self) -> &CallIds {
        &self.ids
    }

    /// The ConnIDs of the open calls.
    pub fn conn_ids(&self) -> impl Iterator<Item = ConnId> {
        self.conns.iter().map(|conn| conn.id)
    }

    /// The conferences that the connector has not let go of.
    pub fn conferences(&self) -> impl Iterator<Item = ConferenceId> {
        self.rooms.iter().filter(|room| room.made && !room.ended).map(|room| room.id)
    }

    /// A call as it stands; `None` where it is not open.
    pub fn summary(&self, conn_id: ConnId, now: Instant) -> Option<CallSummary> {
        let conn = self.conn(conn_id)?;
        let party = |party: &Party| {
            let device = self.device(party.device)?;
            Some(PartySummary {
                dn: device.dn.clone(),
                role: party.role,
                state: party.state,
                external: !self.is_reported(party),
            })
        };
        Some(CallSummary {
            conn_id,
            call_uuid: conn.call_uuid,
            call_type: conn.call_type,
            parties: conn.parties.iter().filter_map(party).collect(),
            ani: conn.ani.clone(),
            dnis: conn.dnis.clone(),
            age: now.saturating_duration_since(conn.started),
        })
    }

    fn request(&mut self, requestor: Requestor, request: Request, now: Instant, out: &mut Vec<CallOutput>) {
        let (conn, device) = match self.asking(&request) {
            Ok(at) => at,
            Err(error) => return self.refuse(requestor, request.conn_id(), request.this_dn(), error, out),
        };
        let at = (conn, device);
        let this_dn = self.dn_of(device);
        let result = match request {
            Request::ReleaseCall { reasons, .. } => self.release(at, requestor, reasons, now, out),
            Request::ClearCall { reasons, .. } => self.clear(at, requestor, reasons, now, out),
            Request::AttachUserData { ref user_data, .. } | Request::UpdateUserData { ref user_data, .. } => {
                self.merge_user_data(at, requestor, user_data, out)
            }
            Request::DeleteUserData { ref data_key, .. } => self.delete_user_data(at, requestor, data_key, out),
            Request::DeleteAllUserData { .. } => self.delete_all_user_data(at, requestor, out),
            Request::QueryCall {
                call_info_type,
                ref extensions,
                ..
            } => self.query(at, requestor, call_info_type, extensions, out),
            Request::OnCall {
                operation,
                reasons,
                ref extensions,
                ..
            } => match operation {
                OnCall::AnswerCall => self.answer(at, requestor, reasons, extensions, out),
                OnCall::HoldCall => self.hold(at, requestor, reasons, extensions, now),
                OnCall::RetrieveCall => self.retrieve(at, requestor, reasons, now),
                OnCall::SetMuteOn => self.mute(at, true, requestor, reasons, now),
                OnCall::SetMuteOff => self.mute(at, false, requestor, reasons, now),
            },
            request @ Request::OnCallWith { .. } => self.request_with(at, requestor, request, now, out),
            request @ Request::OnTwoCalls { .. } => self.two_calls(at, requestor, request, now, out),
            Request::SendDtmf {
                ref dtmf_digits,
                reasons,
                ..
            } => self.send_digits(at, requestor, dtmf_digits, reasons, now, out),
            _ => Err(TErrorCode::UnsupportedOperation.into()),
        };
        if let Err(error) = result {
            self.refuse(requestor, Some(conn), this_dn.as_ref(), error, out);
        }
    }

    fn request_with(
        &mut self,
        at: (ConnId, DeviceKey),
        requestor: Requestor,
        request: Request,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        let Request::OnCallWith {
            operation,
            other_dn,
            location,
            user_data,
            reasons,
            extensions,
            ..
        } = request
        else {
            return Err(TErrorCode::UnsupportedOperation.into());
        };
        if location.is_some_and(|location| !location.is_empty()) {
            let text = "calls to another location are not supported";
            return Err(TError::new(TErrorCode::UnsupportedOperation, text));
        }
        let with = With {
            other_dn,
            user_data,
            reasons,
            extensions,
            requestor,
        };
        match operation {
            OnCallWith::InitiateTransfer => self.consult(at, false, with, now),
            OnCallWith::InitiateConference => self.consult(at, true, with, now),
            OnCallWith::SingleStepTransfer => self.single_step(at, true, with, now),
            OnCallWith::SingleStepConference => self.single_step(at, false, with, now),
            OnCallWith::DeleteFromConference => self.delete(at, with, now, out),
            OnCallWith::RedirectCall => self.redirect(at, with, now, out),
        }
    }

    /// The call and the party that ask. A call that is over for clients is no call of that ConnID any more, whether or not the
    /// connector is done.
    fn asking(&self, request: &Request) -> Result<(ConnId, DeviceKey), TError> {
        let conn_id = request.conn_id().ok_or(TErrorCode::UnsupportedOperation)?;
        let this_dn = request
            .this_dn()
            .ok_or(TError::new(TErrorCode::InvalidAttribute, "thisDn is missing"))?;
        let conn = self
            .conn(conn_id)
            .ok_or_else(|| self.why_no_call(request, conn_id, this_dn))?;
        let device = self.party_of(conn, this_dn).ok_or_else(|| not_on_call(this_dn, conn_id))?;
        Ok((conn_id, device))
    }

    /// Clients name two calls in either order: the one that is gone may be what a consultation of theirs was about.
    fn why_no_call(&self, request: &Request, gone: ConnId, this_dn: &DnId) -> TError {
        let consultation = request.other_conn_id().and_then(|other| self.conn(other));
        let about = consultation.filter(|conn| {
            conn.consultation
                .as_ref()
                .is_some_and(|consultation| consultation.main == gone)
        });
        match about.and_then(|conn| self.party_of(conn, this_dn)) {
            Some(_) => TErrorCode::DisconnectedCall.into(),
            None => TError::new(TErrorCode::InvalidConnId, format!("connId: there is no call {gone}")),
        }
    }

    /// The device by which a DN of ours takes part in a call, as its clients know.
    fn party_of(&self, conn: &Conn, dn: &DnId) -> Option<DeviceKey> {
        let known = conn.parties.iter().filter(|party| party.state != PartyState::Null);
        let mut reported = known.filter(|party| self.is_reported(party)).map(|party| party.device);
        reported.find(|key| self.device(*key).is_some_and(|device| device.dn == *dn))
    }

    /// Whether clients are told about a party.
    fn is_reported(&self, party: &Party) -> bool {
        !party.silent && self.device(party.device).is_some_and(|device| !device.is_external())
    }

    fn refuse(
        &self,
        requestor: Requestor,
        conn: Option<ConnId>,
        this_dn: Option<&DnId>,
        error: TError,
        out: &mut Vec<CallOutput>,
    ) {
        let event = self.error_event(conn, this_dn, error);
        out.push(CallOutput::Answer { requestor, event });
    }

    fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.iter().find(|conn| conn.id == id)
    }

    fn conn_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|conn| conn.id == id)
    }

    fn party(&self, conn: ConnId, device: DeviceKey) -> Option<&Party> {
        self.conn(conn).and_then(|conn| conn.party(device))
    }

    fn party_mut(&mut self, conn: ConnId, device: DeviceKey) -> Option<&mut Party> {
        self.conn_mut(conn).and_then(|conn| conn.party_mut(device))
    }

    fn device(&self, key: DeviceKey) -> Option<&Device> {
        self.devices.iter().find(|device| device.key == key)
    }

    fn device_mut(&mut self, key: DeviceKey) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.key == key)
    }

    fn dn_of(&self, key: DeviceKey) -> Option<DnId> {
        self.device(key).map(|device| device.dn.clone())
    }

    /// The calls that a device takes part in, the newest first.
    fn conns_of(&self, key: DeviceKey) -> SmallVec<[ConnId; 2]> {
        let with = self.conns.iter().rev().filter(|conn| conn.party(key).is_some());
        with.map(|conn| conn.id).collect()
    }

    fn room_mut(&mut self, id: ConferenceId) -> &mut Room {
        let at = match self.rooms.iter().position(|room| room.id == id) {
            Some(at) => at,
            None => {
                self.rooms.push(Room::new(id));
                self.rooms.len() - 1
            }
        };
        &mut self.rooms[at]
    }

    /// A device that is yet to be called, in a conference.
    fn new_device(&mut self, conference: ConferenceId, called: make::Called) -> DeviceKey {
        let id = self.room_mut(conference).allocate();
        self.add_device(conference, id, called)
    }

    fn add_device(&mut self, conference: ConferenceId, id: PartyId, called: make::Called) -> DeviceKey {
        let key = DeviceKey(self.next_device);
        self.next_device = self.next_device.wrapping_add(1);
        self.devices.push(Device::new(key, conference, id, called.dn, called.target));
        key
    }
}

/// What a request about a call and another DN says.
struct With {
    other_dn: String,
    user_data: KvList,
    reasons: KvList,
    extensions: KvList,
    requestor: Requestor,
}

fn not_on_call(dn: &DnId, conn_id: ConnId) -> TError {
    TError::new(TErrorCode::PartyNotOnCall, format!("{dn} is not on call {conn_id}"))
}

fn wrong_state(dn: Option<DnId>, state: Option<PartyState>) -> TError {
    let dn = dn.as_ref().map_or("the party", DnId::as_str);
    TError::new(
        TErrorCode::InvalidCallState,
        format!("{dn} is in state {:?}", state.unwrap_or(PartyState::Null)),
    )
}
