//! The one way out of a call: terminal events to each party that was reported, its release on the link, the record.

use std::time::Instant;

use super::events::Addition;
use super::party::Leg;
use super::{Call, CallOutput, CallRecord, DESTINATION, ORIGIN, Outcome, Phase};
use crate::link::{Cause, LinkRequest, ReleasedBy};
use crate::{CallState, EventName, KvList, PartyState, Requestor};

/// How a call ends.
pub(super) struct Ending<'a> {
    /// The party that ends it; its event comes first.
    pub(super) by: usize,
    /// The CallState it is told.
    pub(super) state: CallState,
    /// The CallState the other side is told.
    pub(super) other_state: CallState,
    /// The caller went away while the destination rang: that one is told EventAbandoned (T-Library reference ch. 9.1).
    pub(super) abandoned: bool,
    /// How the call is counted.
    pub(super) outcome: Outcome,
    /// Why, where the network said it: stands in the terminal events.
    pub(super) cause: Option<&'a Cause>,
    /// The SIP status for a caller that was not answered yet; a normal end where `None`.
    pub(super) status: Option<u16>,
    /// Whose request this answers.
    pub(super) requestor: Option<Requestor>,
    /// The reasons of that request.
    pub(super) reasons: KvList,
}

impl Ending<'_> {
    /// A quiet end by the party `by`.
    pub(super) fn normal(by: usize, outcome: Outcome) -> Self {
        Self {
            by,
            state: CallState::Ok,
            other_state: CallState::Ok,
            abandoned: false,
            outcome,
            cause: None,
            status: None,
            requestor: None,
            reasons: KvList::new(),
        }
    }
}

impl Call {
    /// Ends the call for clients and asks the connector to let go of what it still has.
    pub(super) fn end(&mut self, mut ending: Ending<'_>, now: Instant, out: &mut Vec<CallOutput>) {
        if matches!(self.phase, Phase::Ending | Phase::Finished) {
            return;
        }
        let order = if ending.by == DESTINATION {
            [DESTINATION, ORIGIN]
        } else {
            [ORIGIN, DESTINATION]
        };
        for index in order {
            let Some(party) = self.parties.get(index) else { continue };
            if party.state == PartyState::Null {
                continue;
            }
            let abandoned = ending.abandoned && party.state == PartyState::Alerting;
            let name = if abandoned {
                EventName::EventAbandoned
            } else {
                EventName::EventReleased
            };
            let mine = index == ending.by;
            let addition = Addition {
                requestor: if mine { ending.requestor.take() } else { None },
                reasons: if mine {
                    std::mem::take(&mut ending.reasons)
                } else {
                    KvList::new()
                },
                cause: ending.cause,
            };
            let state = if mine { ending.state } else { ending.other_state };
            self.report(index, name, PartyState::Null, state, addition, out);
        }
        self.record = Some(self.record_of(ending.outcome, now));
        self.phase = Phase::Ending;
        self.expect_end(now);
        self.let_go(ending.status, out);
        self.finish_if_gone(out);
    }

    fn let_go(&self, status: Option<u16>, out: &mut Vec<CallOutput>) {
        for party in self.parties.iter().filter(|party| party.leg == Leg::Made) {
            out.push(CallOutput::Link(LinkRequest::ReleaseParty {
                conference: self.ids.conference,
                party: party.id,
                cause: Cause {
                    by: ReleasedBy::Server,
                    sip_status: status,
                    q850: None,
                },
            }));
        }
    }

    /// A call that never had a conference is over at once; any other one with its ConferenceEnded.
    fn finish_if_gone(&mut self, out: &mut Vec<CallOutput>) {
        if self.parties.iter().all(|party| party.leg == Leg::NotMade) {
            self.finish(out);
        }
    }

    /// Gives out the record, once.
    pub(super) fn finish(&mut self, out: &mut Vec<CallOutput>) {
        if let Some(record) = self.record.take() {
            self.phase = Phase::Finished;
            self.deadline = None;
            out.push(CallOutput::Finished(record));
        }
    }

    /// The call attempt never became a call.
    pub(super) fn finish_refused(&mut self, out: &mut Vec<CallOutput>) {
        self.record = Some(CallRecord {
            direction: crate::CallType::Unknown,
            outcome: Outcome::Refused,
            setup: None,
            talk: None,
        });
        self.finish(out);
    }

    fn record_of(&self, outcome: Outcome, now: Instant) -> CallRecord {
        let setup = self
            .started
            .zip(self.answered)
            .map(|(from, to)| to.saturating_duration_since(from));
        CallRecord {
            direction: self.call_type,
            outcome: if self.answered.is_some() { Outcome::Answered } else { outcome },
            setup,
            talk: self.answered.map(|answered| now.saturating_duration_since(answered)),
        }
    }
}
