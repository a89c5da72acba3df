//! A conference of the group, as far as the T-Server side knows it: who hears whom there, and what is being changed about that.

use std::collections::BTreeMap;
use std::time::Instant;

use smallvec::SmallVec;

use crate::link::{AudioPlan, AudioSource, Hearing, OperationId};
use crate::{ConferenceId, PartyId};

/// What each party hears: sources in a fixed order.
pub(super) type Matrix = BTreeMap<PartyId, SmallVec<[AudioSource; 2]>>;

/// What was told the connector about who hears whom.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum InForce {
    /// No plan: everybody hears everybody.
    #[default]
    Everybody,
    /// This plan.
    Plan(Matrix),
    /// The connector was asked for something and stayed silent.
    Unknown,
}

/// A conference.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) id: ConferenceId,
    /// The connector has it.
    pub(super) made: bool,
    /// The connector has said that it is gone.
    pub(super) ended: bool,
    /// The id of the next party.
    pub(super) next_party: u32,
    pub(super) in_force: InForce,
    /// The one SetAudio that is not answered yet.
    pub(super) asked: Option<(OperationId, InForce)>,
    /// It was asked what it is now, and is to say so until then.
    pub(super) audit: Option<Instant>,
    /// The party that was told to speak last.
    pub(super) speaker: Option<PartyId>,
    /// What the connector could not do, so that it is not asked again and again.
    pub(super) refused: Option<Matrix>,
}

impl Room {
    pub(super) fn new(id: ConferenceId) -> Self {
        Self {
            id,
            made: false,
            ended: false,
            next_party: 1,
            in_force: InForce::Everybody,
            asked: None,
            audit: None,
            speaker: None,
            refused: None,
        }
    }

    pub(super) fn allocate(&mut self) -> PartyId {
        let id = PartyId(self.next_party);
        self.next_party = self.next_party.wrapping_add(1).max(1);
        id
    }

    /// The SetAudio that is not answered, as it was asked for.
    pub(super) fn asked_for(&self) -> Option<(OperationId, AudioPlan)> {
        let (operation, then) = self.asked.as_ref()?;
        let plan = match then {
            InForce::Plan(matrix) => rows_of(matrix),
            InForce::Everybody | InForce::Unknown => AudioPlan::default(),
        };
        Some((*operation, plan))
    }

    /// Whether what is in force says the same as `wanted` of the parties that `wanted` names.
    pub(super) fn is_in_force(&self, wanted: &Matrix) -> bool {
        let plan = match &self.in_force {
            InForce::Unknown => return false,
            InForce::Everybody => return *wanted == everybody(wanted.keys().copied()),
            InForce::Plan(plan) => plan,
        };
        let without: SmallVec<[PartyId; 8]> = wanted.keys().filter(|id| !plan.contains_key(*id)).copied().collect();
        wanted.iter().all(|(id, sources)| match plan.get(id) {
            Some(planned) => {
                let there = |source: &&AudioSource| !matches!(source, AudioSource::Party(other) if !wanted.contains_key(other));
                planned.iter().filter(there).eq(sources.iter())
            }
            None => without
                .iter()
                .filter(|other| *other != id)
                .map(|other| AudioSource::Party(*other))
                .eq(sources.iter().cloned()),
        })
    }
}

/// Everybody hears everybody.
pub(super) fn everybody(parties: impl Iterator<Item = PartyId> + Clone) -> Matrix {
    let hears = |id: PartyId| {
        let others = parties.clone().filter(|other| *other != id);
        others.map(AudioSource::Party).collect()
    };
    parties.clone().map(|id| (id, hears(id))).collect()
}

/// The plan that says so; where it is what holds without a plan, the empty one.
pub(super) fn plan_of(matrix: &Matrix) -> (AudioPlan, InForce) {
    if *matrix == everybody(matrix.keys().copied()) {
        return (AudioPlan::default(), InForce::Everybody);
    }
    (rows_of(matrix), InForce::Plan(matrix.clone()))
}

fn rows_of(matrix: &Matrix) -> AudioPlan {
    let rows = matrix.iter().map(|(party, sources)| Hearing {
        party: *party,
        sources: sources.clone(),
    });
    AudioPlan { rows: rows.collect() }
}
