//! What desks do in a call while it is up: hold, transfer, conference.
//!
//! The callee's desk asks; the caller's clears the call when the script is through. A consulted party is a third phone, taken from
//! the free ones. One request at a time: the next one goes out when the answer came and the parties are where it puts them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tandem_wire::ClientRequest;
use tandem_wire::model::ConnId;
use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};

use super::World;
use super::calls::{Call, CallId, Side};
use super::desks::Asked;
use crate::profile::Kind;

/// Who asks.
pub(super) const CONTROLLER: usize = 1;
/// Who is consulted.
pub(super) const THIRD: usize = 2;
/// How long a request and what follows it may take.
const LIMIT: Duration = Duration::from_secs(15);

/// One request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verb {
    Hold,
    Retrieve,
    InitiateTransfer,
    CompleteTransfer,
    InitiateConference,
    CompleteConference,
    /// To the main call.
    AlternateBack,
    /// To the consultation.
    AlternateForth,
    Reconnect,
    SingleStepTransfer,
    SingleStepConference,
}

impl Verb {
    /// Its name in reports: that of the request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hold => "HoldCall",
            Self::Retrieve => "RetrieveCall",
            Self::InitiateTransfer => "InitiateTransfer",
            Self::CompleteTransfer => "CompleteTransfer",
            Self::InitiateConference => "InitiateConference",
            Self::CompleteConference => "CompleteConference",
            Self::AlternateBack | Self::AlternateForth => "AlternateCall",
            Self::Reconnect => "ReconnectCall",
            Self::SingleStepTransfer => "SingleStepTransfer",
            Self::SingleStepConference => "SingleStepConference",
        }
    }

    /// Whether it brings the third phone in.
    fn invites(self) -> bool {
        matches!(
            self,
            Self::InitiateTransfer | Self::InitiateConference | Self::SingleStepTransfer | Self::SingleStepConference
        )
    }

    /// Whose leg the server ends for it.
    fn ends(self) -> Option<usize> {
        match self {
            Self::CompleteTransfer | Self::SingleStepTransfer => Some(CONTROLLER),
            Self::Reconnect => Some(THIRD),
            _ => None,
        }
    }

    fn request(self, this: &str, other: &str, main: ConnId, consult: ConnId) -> ClientRequest {
        let with = |operation| ClientRequest::of_call_with(operation, this, main, other);
        let two = |operation| ClientRequest::of_two_calls(operation, this, main, consult);
        match self {
            Self::Hold => ClientRequest::of_call(OnCall::HoldCall, this, main),
            Self::Retrieve => ClientRequest::of_call(OnCall::RetrieveCall, this, main),
            Self::InitiateTransfer => with(OnCallWith::InitiateTransfer),
            Self::InitiateConference => with(OnCallWith::InitiateConference),
            Self::SingleStepTransfer => with(OnCallWith::SingleStepTransfer),
            Self::SingleStepConference => with(OnCallWith::SingleStepConference),
            Self::CompleteTransfer => two(OnTwoCalls::CompleteTransfer),
            Self::CompleteConference => two(OnTwoCalls::CompleteConference),
            Self::Reconnect => two(OnTwoCalls::ReconnectCall),
            Self::AlternateBack => two(OnTwoCalls::AlternateCall),
            Self::AlternateForth => ClientRequest::of_two_calls(OnTwoCalls::AlternateCall, this, consult, main),
        }
    }
}

/// The requests of a call of this kind, in order.
fn script(kind: Kind) -> VecDeque<Verb> {
    let verbs: &[Verb] = match kind {
        Kind::Plain => &[],
        Kind::Hold => &[Verb::Hold, Verb::Retrieve],
        Kind::Transfer => &[Verb::InitiateTransfer, Verb::CompleteTransfer],
        Kind::Conference => &[Verb::InitiateConference, Verb::CompleteConference],
        Kind::Alternate => &[
            Verb::InitiateTransfer,
            Verb::AlternateBack,
            Verb::AlternateForth,
            Verb::Reconnect,
        ],
        Kind::SingleStepTransfer => &[Verb::SingleStepTransfer],
        Kind::SingleStepConference => &[Verb::SingleStepConference],
    };
    verbs.iter().copied().collect()
}

/// How far the script of a call is.
#[derive(Default)]
pub(super) struct Progress {
    /// What is yet to be asked.
    left: VecDeque<Verb>,
    /// What was asked and is not through, and whether the answer came.
    asked: Option<(Verb, bool)>,
    /// The consultation.
    pub(super) consult: Option<String>,
    /// The controller was told that the consultation is established.
    pub(super) consult_up: bool,
}

impl Progress {
    /// What remains when nothing more is to be asked.
    pub(super) fn abandoned(&mut self) -> Self {
        Self {
            consult: self.consult.take(),
            consult_up: self.consult_up,
            ..Self::default()
        }
    }
}

impl Call {
    /// Whether the server may end this side's leg by itself.
    pub(super) fn is_ended_by_server(&self, side: usize) -> bool {
        self.sides.get(side).is_some_and(|side| side.leaves)
    }

    /// The side of a phone.
    pub(super) fn side_of(&self, phone: usize) -> usize {
        self.sides
            .iter()
            .position(|side| side.ours && side.phone == phone)
            .unwrap_or(1)
    }

    /// Whether what was asked last is through.
    fn is_through(&self) -> bool {
        let Some((verb, answered)) = self.progress.asked else {
            return false;
        };
        let third = &self.sides[THIRD];
        let joined = third.is_confirmed() && third.established;
        let consulting = matches!(verb, Verb::InitiateTransfer | Verb::InitiateConference);
        answered && (!verb.invites() || joined) && (!consulting || self.progress.consult_up)
    }

    /// Whether a script was given and is not through.
    pub(super) fn has_verbs(&self) -> bool {
        self.progress.asked.is_some() || !self.progress.left.is_empty()
    }

    /// What is under way, for the cause of a failure.
    pub(super) fn verb_under_way(&self) -> Option<&'static str> {
        self.progress.asked.map(|(verb, _)| verb.name())
    }
}

impl World {
    /// Gives a new call its script; a call without the desks and the phone for it stays a plain one.
    pub(super) fn give_script(&mut self, call: &mut Call) {
        let Some(profile) = &self.profile else { return };
        let kind = profile.pick(&mut self.random);
        let script = script(kind);
        let desks = call.sides[..THIRD].iter().all(|side| side.ours && side.desk.is_some());
        if script.is_empty() || !desks {
            return;
        }
        if script.iter().any(|verb| verb.invites()) {
            let taken = [call.sides[0].phone, call.sides[1].phone];
            let across = self.is_across();
            let has_desk = |phone: &usize| self.phones.get(*phone).is_some_and(|phone| phone.desk.is_some());
            let fits = |phone: &usize| has_desk(phone) && self.fits(taken[CONTROLLER], *phone, across);
            let free = self.free.iter().position(|phone| !taken.contains(phone) && fits(phone));
            let Some(phone) = free.and_then(|at| self.free.remove(at)) else {
                return;
            };
            let desk = self.phones.get(phone).and_then(|phone| phone.desk);
            call.sides[THIRD] = Side::reserve(phone, desk);
        }
        call.progress.left = script;
        call.clears();
    }

    /// The call was up for a while: the next request, or the end.
    pub(super) fn next_verb(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(verb) = call.progress.left.pop_front() else {
            return self.release(id, now);
        };
        call.progress.asked = Some((verb, false));
        if let Some(side) = verb.ends() {
            call.sides[side].leaves = true;
        }
        if verb.invites() {
            call.sides[THIRD].ours = true;
        }
        call.asks();
        let (controller, third, seat) = (
            call.sides[CONTROLLER].phone,
            call.sides[THIRD].phone,
            call.sides[CONTROLLER].desk,
        );
        let parse = |conn: &Option<String>| conn.as_deref().and_then(|conn| conn.parse().ok());
        let (main, consult) = (parse(&call.conn), parse(&call.progress.consult).unwrap_or(ConnId(0)));
        if verb.invites() {
            if let Some(phone) = self.phones.get_mut(third) {
                phone.calls.push(id);
            }
            self.expect(third, id);
        }
        let dn = |phone: usize| self.phones.get(phone).map(|phone| phone.line.aor.clone()).unwrap_or_default();
        let (this, other) = (dn(controller), dn(third));
        self.set_deadline(id, now + LIMIT);
        let sent = seat.is_some_and(|seat| {
            self.ask(seat, Asked::Verb(id, verb, now), |reference| {
                Some(verb.request(&this, &other, main?, consult).reference(reference).to_json())
            })
        });
        if !sent {
            self.fail(id, format!("{}: it could not be asked", verb.name()), now);
        }
    }

    /// The answer to a request came.
    pub(super) fn on_verb_answered(&mut self, id: CallId, verb: Verb, asked: Instant, now: Instant) {
        self.stats.verbs.entry(verb.name()).or_default().done.record(now - asked);
        if let Some(call) = self.calls.get_mut(&id)
            && let Some((_, answered)) = call.progress.asked.as_mut().filter(|(under_way, _)| *under_way == verb)
        {
            *answered = true;
        }
        self.check_verb(id, now);
    }

    /// A request was refused.
    pub(super) fn on_verb_refused(&mut self, id: CallId, verb: Verb, text: &str, now: Instant) {
        self.stats.verbs.entry(verb.name()).or_default().failed += 1;
        self.fail(id, format!("{}: {text}", verb.name()), now);
    }

    /// Whether the call may go on with its script.
    pub(super) fn check_verb(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.is_through()) else {
            return;
        };
        call.progress.asked = None;
        call.goes_on();
        let pause = self.profile.as_ref().map_or(Duration::ZERO, |profile| profile.pause());
        self.start_media(id);
        self.set_deadline(id, now + pause);
    }
}
