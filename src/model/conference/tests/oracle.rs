//! What the T-Server side and the media plane can know of a conference, and the rules that tie the two together: every operation answered
//! once, every refer ended once, and on every port just what the plan in force means.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::LegId;
use crate::leg::{LegCommand, MediaCommand, MediaSource};
use crate::link::{AudioPlan, AudioSource, LinkNotification, PartyStatus, Tone};

/// How far a party was told to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Waiting,
    Alerting,
    Connected,
}

/// What a party's leg is at, by its user agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LegView {
    pub leg: LegId,
    pub party: u32,
    /// It is answered, and nothing is under way on it.
    pub at_rest: bool,
    pub talking: bool,
    /// What the device was given last is the plane's.
    pub anchored: bool,
    /// It is called with the plane's offer and sends early media.
    pub early: bool,
}

/// The books.
#[derive(Debug, Default)]
pub struct Oracle {
    stages: BTreeMap<u32, Stage>,
    held: BTreeSet<u32>,
    plans: BTreeMap<u32, AudioPlan>,
    in_force: Option<AudioPlan>,
    /// The operations, and how often each was answered.
    pub answers: BTreeMap<u32, usize>,
    ports: BTreeMap<LegId, Option<SmallVec<[MediaSource; 2]>>>,
    /// The transfers of the T-Server side that are open.
    pub transfers: Vec<u32>,
}

impl Oracle {
    pub fn asked(&mut self, operation: u32, plan: Option<AudioPlan>) {
        self.answers.insert(operation, 0);
        self.plans.extend(plan.map(|plan| (operation, plan)));
    }

    pub fn answered(&mut self, operation: u32) -> Result<(), String> {
        match self.answers.get_mut(&operation) {
            Some(times) if *times == 0 => *times = 1,
            other => return Err(format!("operation {operation} was answered again, or never asked: {other:?}")),
        }
        Ok(())
    }

    /// The conference comes back with these parties, and with these ports.
    pub fn crashed(&mut self, parties: &[PartyStatus], ports: impl Iterator<Item = LegId>) -> Result<(), String> {
        let is_there = |party: &u32| parties.iter().any(|status| status.party.0 == *party);
        self.stages.retain(|party, _| is_there(party));
        self.held.retain(is_there);
        self.ports = ports.map(|leg| (leg, None)).collect();
        let known = |status: &PartyStatus| {
            let party = status.party.0;
            self.stages.get(&party) == Some(&Stage::Connected) && self.held.contains(&party) == status.held
        };
        match parties.iter().all(known) {
            true => Ok(()),
            false => Err(format!("not the parties that there were: {parties:?}")),
        }
    }

    /// The ports that are open.
    pub fn ports(&self) -> impl Iterator<Item = LegId> {
        self.ports.keys().copied()
    }

    pub fn came(&mut self, party: u32, stage: Stage) {
        self.stages.insert(party, stage);
    }

    /// A party that comes from another conference.
    pub fn took(&mut self, party: u32, held: bool) {
        self.came(party, Stage::Connected);
        if held {
            self.held.insert(party);
        }
    }

    /// A leg brings a port along, and nobody knows what it hears.
    pub fn brought(&mut self, leg: LegId) {
        self.ports.insert(leg, None);
    }

    /// A party and its leg are another conference's.
    pub fn left(&mut self, leg: LegId) {
        self.ports.remove(&leg);
    }

    pub fn told(&mut self, notification: &LinkNotification) -> Result<(), String> {
        match notification {
            LinkNotification::PartyCreated { party, .. } => {
                self.stages.entry(party.0).or_insert(Stage::Waiting);
            }
            LinkNotification::PartyAlerting { party, .. } => self.came(party.0, Stage::Alerting),
            LinkNotification::PartyConnected { party, .. } => self.came(party.0, Stage::Connected),
            LinkNotification::PartyReleased { party, .. } | LinkNotification::PartyMoved { party, .. } => {
                self.stages.remove(&party.0);
                self.held.remove(&party.0);
            }
            LinkNotification::PartyHeld { party, held, .. } => {
                let news = if *held {
                    self.held.insert(party.0)
                } else {
                    self.held.remove(&party.0)
                };
                if !news || !self.stages.contains_key(&party.0) {
                    return Err(format!("no news: {notification:?}"));
                }
            }
            LinkNotification::OperationDone { operation, .. } => {
                self.answered(operation.0)?;
                if let Some(plan) = self.plans.remove(&operation.0) {
                    self.in_force = Some(plan);
                }
            }
            LinkNotification::OperationFailed { operation, .. } => self.answered(operation.0)?,
            LinkNotification::TransferRequested { transfer, .. } => self.transfers.push(transfer.0),
            _ => {}
        }
        Ok(())
    }

    /// The shell opens a port with the first description that the plane gives.
    pub fn commanded(&mut self, leg: LegId, command: &LegCommand) {
        let anchored = |description: &Option<crate::leg::Description>| *description == Some(crate::leg::Description::Anchored);
        let opens = match command {
            LegCommand::Invite { offer, .. } | LegCommand::Reinvite { offer } => anchored(offer),
            LegCommand::Progress { answer, .. } => anchored(answer),
            LegCommand::Accept { sdp } | LegCommand::AcceptReinvite { sdp } => anchored(sdp),
            LegCommand::Ack { answer } => matches!(answer, crate::leg::AckBody::Answer(crate::leg::Description::Anchored)),
            _ => false,
        };
        if opens {
            self.ports.entry(leg).or_insert_with(|| Some(SmallVec::new()));
        }
    }

    pub fn mixed(&mut self, command: &MediaCommand) -> Result<(), String> {
        match command {
            MediaCommand::Hear { leg, sources } => match self.ports.get_mut(leg) {
                Some(hears) if hears.as_ref() != Some(sources) => *hears = Some(sources.clone()),
                other => return Err(format!("{command:?} to {other:?}")),
            },
            MediaCommand::Digits { leg, .. } if self.ports.contains_key(leg) => {}
            MediaCommand::Digits { .. } => return Err(format!("{command:?} without a port")),
            MediaCommand::Close { leg } => {
                if self.ports.remove(leg).is_none() {
                    return Err(format!("{command:?} without a port"));
                }
            }
        }
        Ok(())
    }

    /// Whether every port that is in use hears what the plan means.
    pub fn check_matrix(&self, legs: &[LegView]) -> Result<(), String> {
        for view in legs.iter().filter(|view| view.talking && view.at_rest && view.anchored) {
            if self.stages.get(&view.party) != Some(&Stage::Connected) {
                continue;
            }
            let expected = self.meaning(view.party, legs);
            let actual = self.ports.get(&view.leg);
            if actual != Some(&Some(expected.clone())) {
                return Err(format!("{view:?} should hear {expected:?} and hears {actual:?}"));
            }
        }
        Ok(())
    }

    /// Nothing is left over when the conference has ended.
    pub fn check_end(&self) -> Result<(), String> {
        if let Some((operation, _)) = self.answers.iter().find(|(_, times)| **times != 1) {
            return Err(format!("operation {operation} was not answered"));
        }
        if !self.ports.is_empty() {
            return Err(format!("ports are left: {:?}", self.ports));
        }
        Ok(())
    }

    fn meaning(&self, hearer: u32, legs: &[LegView]) -> SmallVec<[MediaSource; 2]> {
        let mut heard = SmallVec::new();
        if self.held.contains(&hearer) {
            return heard;
        }
        let row = |party: u32| {
            let rows = self.in_force.iter().flat_map(|plan| &plan.rows);
            rows.clone().find(|row| row.party.0 == party).map(|row| &row.sources)
        };
        if let Some(sources) = row(hearer) {
            for source in sources {
                let source = match source {
                    AudioSource::Party(party) if party.0 == hearer => None,
                    AudioSource::Party(party) => self.voice(party.0, legs),
                    AudioSource::Music(name) => Some(MediaSource::Music(name.clone())),
                    AudioSource::Tone(tone) => Some(MediaSource::Tone(*tone)),
                    AudioSource::File { name, repeat } => Some(MediaSource::File {
                        name: name.clone(),
                        repeat: *repeat,
                    }),
                };
                heard.extend(source.filter(|source| !heard.contains(source)));
            }
            return heard;
        }
        let peers: Vec<u32> = self
            .stages
            .keys()
            .copied()
            .filter(|peer| *peer != hearer && row(*peer).is_none())
            .collect();
        let voices = || peers.iter().filter_map(|peer| self.voice(*peer, legs));
        heard.extend(voices().filter(|voice| matches!(voice, MediaSource::Leg(_))));
        if heard.is_empty() {
            heard.extend(voices().next());
        }
        if heard.is_empty() && peers.iter().any(|peer| self.held.contains(peer)) {
            heard.push(MediaSource::Music(None));
        }
        heard
    }

    fn voice(&self, party: u32, legs: &[LegView]) -> Option<MediaSource> {
        let mut of_party = legs.iter().filter(|view| view.party == party);
        match self.stages.get(&party)? {
            Stage::Waiting => None,
            Stage::Connected if self.held.contains(&party) => None,
            Stage::Connected => {
                let leg = of_party.find(|view| view.talking)?.leg;
                self.ports.contains_key(&leg).then_some(MediaSource::Leg(leg))
            }
            Stage::Alerting => Some(match of_party.find(|view| view.early) {
                Some(view) => MediaSource::Leg(view.leg),
                None => MediaSource::Tone(Tone::RingBack),
            }),
        }
    }
}
