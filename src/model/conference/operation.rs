//! What the T-Server side asks and wants to hear the end of: audio plans, digits, and parties that another conference takes over.
//!
//! They are carried out one after the other, in their order; each is answered once, also when the conference ends first. One that needs
//! the media plane waits until every connected leg is there, or fails with the status of the device that did not follow. (That a party is
//! to answer is beside them: [`super::talk`].)

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ladder::NOT_ACCEPTABLE;
use super::leg::LegMedia;
use super::party::PartyPhase;
use super::plan::is_plain_talk;
use super::{Conference, ConferenceOutput, ConferenceSettings};
use crate::leg::MediaCommand;
use crate::link::{AudioPlan, LinkNotification, OperationId};
use crate::{ConferenceId, LegId, PartyId};

/// How many operations may wait.
pub(super) const WAITING: usize = 32;

/// How long a digit takes, with its pause, at the longest.
const DIGIT: Duration = Duration::from_millis(500);

/// Bad Request: more rows than there can be parties.
const TOO_MANY_ROWS: u16 = 400;
/// Call/Transaction Does Not Exist: the party is not in talk here.
pub(super) const NO_SUCH_PARTY: u16 = 481;
/// Service Unavailable: too much is waiting.
pub(super) const TOO_MUCH: u16 = 503;

/// What is wanted.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Audio(AudioPlan),
    Digits {
        party: PartyId,
        digits: Arc<str>,
    },
    Give {
        party: PartyId,
        to: ConferenceId,
        as_party: PartyId,
    },
}

/// An operation that was not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub id: OperationId,
    pub wish: Wish,
}

/// What becomes of the operation that is next.
pub(super) enum Turn {
    Wait,
    Done,
    Failed(u16),
    /// Answered by other means.
    Over,
}

pub(super) type Operations = VecDeque<Operation>;

impl Conference {
    /// Takes an operation up; it is carried out when its turn comes, mostly at once.
    pub(super) fn wish(&mut self, id: OperationId, wish: Wish, out: &mut Vec<ConferenceOutput>) {
        if self.operations.iter().any(|operation| operation.is_same(id, &wish)) {
            return;
        }
        self.changed();
        let operation = Operation { id, wish };
        if let Wish::Audio(plan) = &operation.wish
            && plan.rows.len() > self.settings.max_parties
        {
            self.fail(operation, TOO_MANY_ROWS, out);
        } else if self.operations.len() >= WAITING {
            self.fail(operation, TOO_MUCH, out);
        } else {
            self.operations.push_back(operation);
        }
    }

    /// Carries out what can be carried out by now.
    pub(super) fn answer_operations(&mut self, now: Instant, out: &mut Vec<ConferenceOutput>) {
        if self.parties.is_empty() {
            return self.fail_operations(NO_SUCH_PARTY, |_| true, out);
        }
        while let Some(operation) = self.operations.pop_front() {
            let (id, conference) = (operation.id, self.id);
            match self.turn(&operation, now, out) {
                Turn::Wait => {
                    self.operations.push_front(operation);
                    return;
                }
                Turn::Done => self.notify(
                    LinkNotification::OperationDone {
                        conference,
                        operation: id,
                    },
                    out,
                ),
                Turn::Failed(status) => self.fail(operation, status, out),
                Turn::Over => {}
            }
        }
    }

    fn turn(&mut self, operation: &Operation, now: Instant, out: &mut Vec<ConferenceOutput>) -> Turn {
        match &operation.wish {
            Wish::Audio(plan) => self.set_audio(plan, out),
            Wish::Digits { party, digits } => self.send_digits(*party, digits, now, out),
            Wish::Give { party, to, as_party } => {
                let Some(leg) = self.leg_in_talk(*party) else {
                    return Turn::Failed(NO_SUCH_PARTY);
                };
                if !self.is_anchored() || self.media(leg) != Some(LegMedia::Anchored) {
                    return Turn::Wait;
                }
                self.give_away(*party, leg, *to, operation.id, *as_party, out);
                Turn::Over
            }
        }
    }

    fn set_audio(&mut self, plan: &AudioPlan, out: &mut Vec<ConferenceOutput>) -> Turn {
        let parties: Vec<PartyId> = self.parties.iter().map(|party| party.id).collect();
        let by_themselves = self.join.is_some() && is_plain_talk(Some(plan), &parties);
        if !by_themselves && !self.is_anchored() {
            return Turn::Wait;
        }
        if let [alone] = &mut *self.parties
            && plan.rows.iter().any(|row| row.party == alone.id && !row.sources.is_empty())
        {
            // The T-Server side knows what it does with it.
            alone.kept = true;
            alone.deadline = alone.deadline.filter(|_| alone.is_called());
        }
        self.plan = Some(plan.clone());
        self.mix(out);
        Turn::Done
    }

    fn send_digits(&mut self, party: PartyId, digits: &Arc<str>, now: Instant, out: &mut Vec<ConferenceOutput>) -> Turn {
        let Some(leg) = self.leg_in_talk(party) else {
            return Turn::Failed(NO_SUCH_PARTY);
        };
        if self.settings.digits_by_info {
            return self.queue_digits(party, digits, now, out);
        }
        if !self.is_anchored() {
            return Turn::Wait;
        }
        self.mix(out);
        let count = u32::try_from(digits.len()).unwrap_or(u32::MAX);
        let settle = Duration::from_millis(self.settings.descend_after_ms);
        self.ladder.descend_at = Some(now + settle + DIGIT.saturating_mul(count.min(256)));
        let digits = digits.clone();
        out.push(ConferenceOutput::Media(MediaCommand::Digits { leg, digits }));
        Turn::Done
    }

    /// Fails the operations that wait, as far as that concerns them.
    pub(super) fn fail_operations(&mut self, status: u16, concerns: impl Fn(&Wish) -> bool, out: &mut Vec<ConferenceOutput>) {
        for operation in std::mem::take(&mut self.operations) {
            if concerns(&operation.wish) {
                self.fail(operation, status, out);
            } else {
                self.operations.push_back(operation);
            }
        }
    }

    fn fail(&mut self, operation: Operation, status: u16, out: &mut Vec<ConferenceOutput>) {
        match operation.wish {
            Wish::Give { to, as_party, .. } => self.give_nothing(to, operation.id, as_party, out),
            Wish::Audio(_) | Wish::Digits { .. } => {
                let status = if status < 400 { NOT_ACCEPTABLE } else { status };
                self.refuse(operation.id, status, out);
            }
        }
    }

    /// The leg of a party that is connected.
    pub(super) fn leg_in_talk(&self, party: PartyId) -> Option<LegId> {
        let party = self.party(party).filter(|party| party.phase == PartyPhase::Connected)?;
        party.leg
    }
}

impl Wish {
    /// Whether these parties need nothing of the media plane for it.
    pub fn is_plain_talk(&self, parties: &[PartyId], settings: &ConferenceSettings) -> bool {
        match self {
            Self::Audio(plan) => is_plain_talk(Some(plan), parties),
            Self::Digits { .. } => settings.digits_by_info,
            Self::Give { .. } => false,
        }
    }
}

impl Operation {
    /// Whether this is the same request, told again.
    fn is_same(&self, id: OperationId, wish: &Wish) -> bool {
        match (&self.wish, wish) {
            (Wish::Give { to, .. }, Wish::Give { to: again, .. }) => self.id == id && to == again,
            (Wish::Give { .. }, _) | (_, Wish::Give { .. }) => false,
            _ => self.id == id,
        }
    }
}
