//! A connector that answers late: what it is asked waits, and so does what it tells.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::link::{AudioPlan, AudioSource, MediaFlowState, OperationId, PartyProgress, PartyStatus};

/// One conference: its parties, and who hears whom.
#[derive(Debug, Default)]
struct Bridge {
    parties: Vec<PartyId>,
    plan: AudioPlan,
}

/// The connector.
#[derive(Debug, Default)]
pub(super) struct Connector {
    bridges: BTreeMap<ConferenceId, Bridge>,
    work: VecDeque<LinkRequest>,
    told: VecDeque<LinkNotification>,
    /// The next MoveParty and SetAudio fail.
    pub(super) fails: bool,
    /// How moves were answered: asked again under its id, one gets the same answer.
    moves: BTreeMap<(ConferenceId, OperationId), LinkNotification>,
    /// Who was accepted.
    connected: Vec<(ConferenceId, PartyId)>,
}

impl Connector {
    pub(super) fn offer(&mut self, offered: &CallOffered) {
        self.bridges
            .entry(offered.conference)
            .or_default()
            .parties
            .push(offered.party);
    }

    pub(super) fn take(&mut self, out: &[RoomOutput]) {
        for output in out {
            if let RoomOutput::Link(request) = output {
                self.work.push_back(request.clone());
            }
        }
    }

    /// The next thing that it tells.
    pub(super) fn next_told(&mut self) -> Option<LinkNotification> {
        self.told.pop_front()
    }

    /// Carries out the next request; false where there is none.
    pub(super) fn work(&mut self) -> bool {
        let Some(request) = self.work.pop_front() else { return false };
        self.carry_out(request);
        true
    }

    fn carry_out(&mut self, request: LinkRequest) {
        match request {
            LinkRequest::ConnectParty { conference, party } if self.has((conference, party)) => {
                if !self.connected.contains(&(conference, party)) {
                    self.connected.push((conference, party));
                    self.told.push_back(LinkNotification::PartyConnected { conference, party });
                }
            }
            LinkRequest::Audit { conference } => {
                let account = self.account(conference);
                self.told.push_back(account);
            }
            LinkRequest::ConnectParty { .. } => {}
            LinkRequest::ReleaseParty { conference, party, .. } => self.release((conference, party), ReleasedBy::Server),
            LinkRequest::ReleaseConference { conference, .. } => {
                let parties = self.bridges.get(&conference).map(|bridge| bridge.parties.clone());
                for party in parties.unwrap_or_default() {
                    self.release((conference, party), ReleasedBy::Server);
                }
            }
            LinkRequest::SetAudio {
                conference,
                operation,
                plan,
            } => self.set_audio(conference, operation, plan),
            LinkRequest::MoveParty {
                conference,
                operation,
                party,
                from,
                from_party,
            } => {
                if let Some(answer) = self.moves.get(&(conference, operation)) {
                    return self.told.push_back(answer.clone());
                }
                let fails = std::mem::take(&mut self.fails);
                if fails || !self.has((from, from_party)) {
                    return self.failed(conference, operation);
                }
                self.told.push_back(LinkNotification::PartyMoved {
                    conference: from,
                    party: from_party,
                });
                self.remove((from, from_party));
                // A conference that is over takes nobody, and says nothing more.
                if let Some(bridge) = self.bridges.get_mut(&conference) {
                    bridge.parties.push(party);
                    self.connected.push((conference, party));
                    let done = LinkNotification::OperationDone { conference, operation };
                    self.moves.insert((conference, operation), done.clone());
                    self.told.push_back(done);
                }
            }
            other => panic!("a room never asks for {other:?}"),
        }
    }

    fn set_audio(&mut self, conference: ConferenceId, operation: OperationId, plan: AudioPlan) {
        let fails = std::mem::take(&mut self.fails);
        match self.bridges.get_mut(&conference) {
            Some(bridge) if !fails => {
                bridge.plan = plan;
                self.told.push_back(LinkNotification::OperationDone { conference, operation });
            }
            Some(_) => self.failed(conference, operation),
            None => {}
        }
    }

    fn failed(&mut self, conference: ConferenceId, operation: OperationId) {
        self.told.push_back(LinkNotification::OperationFailed {
            conference,
            operation,
            cause: Cause::status(ReleasedBy::Server, 481),
        });
    }

    fn has(&self, (conference, party): (ConferenceId, PartyId)) -> bool {
        self.bridges
            .get(&conference)
            .is_some_and(|bridge| bridge.parties.contains(&party))
    }

    fn release(&mut self, place: (ConferenceId, PartyId), by: ReleasedBy) {
        if self.has(place) {
            self.told.push_back(LinkNotification::PartyReleased {
                conference: place.0,
                party: place.1,
                cause: Cause::normal(by),
            });
            self.remove(place);
        }
    }

    fn remove(&mut self, (conference, party): (ConferenceId, PartyId)) {
        let Some(bridge) = self.bridges.get_mut(&conference) else {
            return;
        };
        bridge.parties.retain(|other| *other != party);
        if bridge.parties.is_empty() {
            self.bridges.remove(&conference);
            self.told.push_back(LinkNotification::ConferenceEnded { conference });
        }
    }

    /// What a conference says that it is.
    pub(super) fn account(&self, conference: ConferenceId) -> LinkNotification {
        let Some(bridge) = self.bridges.get(&conference) else {
            return LinkNotification::ConferenceEnded { conference };
        };
        let status = |party: &PartyId| PartyStatus {
            party: *party,
            progress: if self.connected.contains(&(conference, *party)) {
                PartyProgress::Connected
            } else {
                PartyProgress::Created
            },
            held: false,
            flow: MediaFlowState::Unknown,
        };
        let parties = bridge.parties.iter().map(status).collect();
        LinkNotification::ConferenceState { conference, parties }
    }

    /// A conference says unasked what it is.
    pub(super) fn tell_account(&mut self, at: usize) {
        if let Some(conference) = self.bridges.keys().nth(at).copied() {
            let account = self.account(conference);
            self.told.push_back(account);
        }
    }

    /// Every party there is.
    pub(super) fn parties(&self) -> Vec<(ConferenceId, PartyId)> {
        let of = |(conference, bridge): (&ConferenceId, &Bridge)| {
            bridge.parties.iter().map(|party| (*conference, *party)).collect::<Vec<_>>()
        };
        self.bridges.iter().flat_map(of).collect()
    }

    pub(super) fn hang_up(&mut self, place: (ConferenceId, PartyId)) {
        self.release(place, ReleasedBy::Device);
    }

    pub(super) fn press(&mut self, (conference, party): (ConferenceId, PartyId), digit: char) {
        self.told.push_back(LinkNotification::PartyDigit {
            conference,
            party,
            digit,
        });
    }

    pub(super) fn end_prompt(&mut self, (conference, party): (ConferenceId, PartyId)) {
        self.told.push_back(LinkNotification::PromptEnded { conference, party });
    }

    /// Whether nothing waits.
    pub(super) fn is_quiet(&self) -> bool {
        self.work.is_empty() && self.told.is_empty()
    }

    /// Whether `listener` hears `speaker`, as the plan in force says.
    pub(super) fn hears(&self, listener: (ConferenceId, PartyId), speaker: (ConferenceId, PartyId)) -> bool {
        let Some(bridge) = self.bridges.get(&listener.0).filter(|_| listener.0 == speaker.0) else {
            return false;
        };
        let row = |party: PartyId| bridge.plan.rows.iter().find(|row| row.party == party);
        match row(listener.1) {
            Some(row) => row.sources.contains(&AudioSource::Party(speaker.1)),
            None => row(speaker.1).is_none(),
        }
    }
}
