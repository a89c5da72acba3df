//! The trial of a call that was up when the server was killed: everything that it could do before, it can still do.
//!
//! ```text
//! consulting ──ReleaseCall of the consultation──► held ──RetrieveCall──► in talk ──HoldCall──► held ──RetrieveCall──► in talk ──► released
//! ```
//! It begins where the call is, by the last event of each party, so a request that was in flight may have been done or not. One request
//! at a time; one that is refused is asked again until the limit.

use std::time::{Duration, Instant};

use tandem_wire::ClientRequest;
use tandem_wire::model::ConnId;
use tandem_wire::model::request::OnCall;

use super::World;
use super::calls::{Call, CallId};
use super::desks::Asked;
use super::verbs::{CONTROLLER, THIRD};
use crate::cti::check::Standing;

/// How long it may take from the first request on.
const LIMIT: Duration = Duration::from_secs(15);
/// From a refusal to the next try.
const AGAIN: Duration = Duration::from_millis(100);

/// One request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// ReleaseCall of who consults, in the consultation.
    EndConsultation,
    /// RetrieveCall of a call that was on hold.
    Retrieve,
    Hold,
    /// RetrieveCall after that.
    Back,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::EndConsultation => "ReleaseCall of the consultation",
            Self::Hold => "HoldCall",
            Self::Retrieve | Self::Back => "RetrieveCall",
        }
    }

    fn answer(self) -> &'static str {
        match self {
            Self::EndConsultation => "EventReleased",
            Self::Hold => "EventHeld",
            Self::Retrieve | Self::Back => "EventRetrieved",
        }
    }
}

/// How far the trial of a call is.
#[derive(Default)]
pub(super) struct Proof {
    /// What was asked and not answered when the server was killed.
    under_way: Option<&'static str>,
    limit: Option<Instant>,
    asked: Option<Step>,
    again_at: Option<Instant>,
    held: bool,
    back: bool,
    refused: Option<String>,
}

impl Proof {
    /// The proof of a call in which this was under way.
    pub(super) fn of(under_way: Option<&'static str>) -> Self {
        Self {
            under_way,
            ..Self::default()
        }
    }

    /// What was asked and not answered when the server was killed.
    pub(super) fn under_way(&self) -> Option<&'static str> {
        self.under_way
    }

    /// Whether it has begun.
    pub(super) fn is_begun(&self) -> bool {
        self.limit.is_some()
    }
}

enum Next {
    /// This side asks.
    Ask(Step, usize),
    /// For this.
    Wait(&'static str),
    Release,
    Lost(&'static str),
}

impl World {
    /// Begins.
    pub(super) fn begin_proof(&mut self, id: CallId, now: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.proof.limit = Some(now + LIMIT);
            self.set_deadline(id, now + LIMIT);
        }
        self.advance_proof(id, now);
    }

    /// Goes on where the parties are ready for it.
    pub(super) fn advance_proof(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get(&id).filter(|call| call.is_proving()) else {
            return;
        };
        let proof = &call.proof;
        if !proof.is_begun() || proof.asked.is_some() || proof.again_at.is_some_and(|at| now < at) {
            return;
        }
        if !self.is_third_in(id) {
            self.part_with_third(id, now);
        }
        match self.next_step(id) {
            Next::Wait(_) => {}
            Next::Ask(step, side) => self.ask_proof(id, step, side, now),
            Next::Lost(cause) => self.fail(id, cause.to_owned(), now),
            Next::Release => {
                if let Some(recovery) = &mut self.recovery {
                    recovery.on_controllable(id, now);
                }
                self.is_proven(id, now);
            }
        }
    }

    /// Whether this is the leg of a third party that was brought into the call when the server was killed: it has answered, and nobody
    /// was told that it is in. What was under way is dropped, and that leg with it, which may be before the proof of the call begins.
    pub(super) fn is_let_go(&self, id: CallId, side: usize) -> bool {
        side == THIRD && self.calls.get(&id).is_some_and(Call::is_proving) && !self.is_third_in(id)
    }

    /// Whether the third party is in one of the two calls, whatever its phone knows of it.
    fn is_third_in(&self, id: CallId) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let conns = [&call.conn, &call.progress.consult];
        conns.into_iter().any(|conn| {
            let standing = self.standing_of(call, conn.as_deref(), THIRD);
            matches!(standing, Some(Standing::Established | Standing::Held))
        })
    }

    fn next_step(&self, id: CallId) -> Next {
        let Some(call) = self.calls.get(&id) else {
            return Next::Lost("it is not there");
        };
        if call.sides.get(THIRD).is_some_and(|third| third.ours && !third.is_confirmed()) {
            return Next::Wait("the ACK of who was brought in");
        }
        let (main, consult) = (call.conn.as_deref(), call.progress.consult.as_deref());
        let at = |conn, side| self.standing_of(call, conn, side);
        let has_desk = |side: usize| call.sides.get(side).is_some_and(|side| side.desk.is_some());
        match (at(main, 0), at(consult, CONTROLLER), at(consult, THIRD), at(main, THIRD)) {
            (Some(Standing::Ended), ..) if has_desk(0) => return Next::Lost("the caller's party ended"),
            (_, Some(Standing::Established | Standing::Held), ..) => return Next::Ask(Step::EndConsultation, CONTROLLER),
            (_, Some(Standing::Dialing | Standing::Ringing | Standing::Failed), ..) => {
                return Next::Wait("the end of the consultation");
            }
            (_, _, Some(standing), _) if standing != Standing::Ended => return Next::Wait("the end of who was consulted"),
            (.., Some(Standing::Ringing)) => return Next::Wait("the end of who was rung"),
            _ => {}
        }
        let stays = |side: &usize| matches!(at(main, *side), Some(Standing::Established | Standing::Held)) && has_desk(*side);
        let Some(holder) = [CONTROLLER, 0].into_iter().find(stays) else {
            return if has_desk(0) || has_desk(CONTROLLER) {
                Next::Wait("a party that is established")
            } else {
                Next::Release
            };
        };
        match (at(main, holder), call.proof.held, call.proof.back) {
            (Some(Standing::Held), false, _) => Next::Ask(Step::Retrieve, holder),
            (Some(Standing::Held), true, _) => Next::Ask(Step::Back, holder),
            (_, false, _) => Next::Ask(Step::Hold, holder),
            (_, true, true) => Next::Release,
            (_, true, false) => Next::Wait("EventRetrieved"),
        }
    }

    fn ask_proof(&mut self, id: CallId, step: Step, side: usize, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.proof.asked = Some(step);
        call.proof.again_at = None;
        let conn = if step == Step::EndConsultation {
            call.sides[THIRD].leaves = true;
            call.progress.consult.as_deref()
        } else {
            call.conn.as_deref()
        };
        let conn: Option<ConnId> = conn.and_then(|conn| conn.parse().ok());
        let (phone, seat) = (call.sides[side].phone, call.sides[side].desk);
        let dn = self.phones.get(phone).map(|phone| phone.line.aor.clone()).unwrap_or_default();
        let sent = seat.is_some_and(|seat| {
            self.ask(seat, Asked::Proof(id, step), |reference| {
                let request = match step {
                    Step::EndConsultation => ClientRequest::release_call(&dn, conn?),
                    Step::Hold => ClientRequest::of_call(OnCall::HoldCall, &dn, conn?),
                    Step::Retrieve | Step::Back => ClientRequest::of_call(OnCall::RetrieveCall, &dn, conn?),
                };
                Some(request.reference(reference).to_json())
            })
        });
        if !sent {
            self.fail(id, format!("{}: it could not be asked", step.name()), now);
        }
    }

    /// An answer that is no EventError.
    pub(super) fn on_proof_answered(&mut self, id: CallId, step: Step, event: &str, now: Instant) {
        if event != step.answer() {
            self.stats.wrong_events += 1;
            self.stats
                .violations
                .add(format!("call {id}: {} is answered by {event}", step.name()));
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.proof.asked = None;
        call.proof.held |= step == Step::Hold;
        call.proof.back |= step == Step::Back;
        if let Some(recovery) = &mut self.recovery {
            recovery.on_controllable(id, now);
        }
    }

    /// It is asked again in a moment.
    pub(super) fn on_proof_refused(&mut self, id: CallId, step: Step, text: &str, now: Instant) {
        let text = format!("{}: {text}", step.name());
        if let Some(recovery) = &mut self.recovery {
            recovery.refused.add(format!("call {id}: {text}"));
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.proof.asked = None;
        call.proof.again_at = Some(now + AGAIN);
        call.proof.refused = Some(text);
        self.set_deadline(id, now + AGAIN);
    }

    /// Its time has come: to ask again, or to give it up.
    pub(super) fn on_proof_time(&mut self, id: CallId, now: Instant) {
        let Some(limit) = self.calls.get(&id).and_then(|call| call.proof.limit) else {
            return;
        };
        if now >= limit {
            return self.fail(id, self.proof_lacks(id), now);
        }
        self.set_deadline(id, limit);
        self.advance_proof(id, now);
    }

    /// What it waits for.
    pub(super) fn proof_lacks(&self, id: CallId) -> String {
        let Some(call) = self.calls.get(&id) else {
            return String::new();
        };
        let proof = &call.proof;
        match (proof.asked, &proof.refused) {
            _ if !proof.is_begun() => "after the restart: its desks did not come back".into(),
            (Some(step), _) => format!("after the restart: {}: no answer", step.name()),
            (None, Some(refused)) => format!("after the restart: {refused}"),
            (None, None) => match self.next_step(id) {
                Next::Wait(what) => format!("after the restart: {what} did not come"),
                Next::Ask(step, _) => format!("after the restart: {} was not asked", step.name()),
                Next::Lost(cause) => cause.to_owned(),
                Next::Release => "after the restart: it was not released".into(),
            },
        }
    }
}
