//! Who hears whom: a pure function of the calls and of the operation in progress, told to the connector where it is not so yet.
//!
//! A call is a *talk* of its members. Within a talk everybody hears everybody, except: who has put it on hold hears nothing of it and
//! is not heard; who is muted is not heard; the only other party of one that holds hears music (a conference does not unless HoldCall asks
//! for it: [`HoldMusic`]; T-Library reference ch. 9.4). The operation in progress changes the talks to what it is about ([`Call::talks`]); when the connector has it so, it is
//! reported, and where the connector cannot, the intent falls away and the plan with it.

use smallvec::SmallVec;

use super::conn::Conn;
use super::device::{DeviceKey, Leg};
use super::hold::HoldMusic;
use super::operation::{Op, Step};
use super::room::{InForce, Matrix, plan_of};
use super::{Call, CallOutput};
use crate::link::{AudioSource, LinkRequest, OperationId};
use crate::{ConferenceId, ConnId, PartyState};

/// One call's part of the plan.
pub(super) struct Talk {
    id: Option<ConnId>,
    members: SmallVec<[Member; 4]>,
}

struct Member {
    device: DeviceKey,
    held: bool,
    muted: bool,
    /// What the others hear of it while it holds.
    music: HoldMusic,
}

impl Talk {
    fn of(conn: &Conn) -> Self {
        let members = conn.parties.iter().filter(|party| party.joining.is_none());
        Self {
            id: Some(conn.id),
            members: members
                .map(|party| Member {
                    device: party.device,
                    held: party.state == PartyState::Held,
                    muted: party.muted,
                    music: party.music.clone(),
                })
                .collect(),
        }
    }

    fn add(&mut self, device: DeviceKey) {
        self.members.push(Member {
            device,
            held: false,
            muted: false,
            music: HoldMusic::Usual,
        });
    }

    fn remove(&mut self, device: DeviceKey) {
        self.members.retain(|member| member.device != device);
    }

    fn member(&mut self, device: DeviceKey) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.device == device)
    }

    fn hold(&mut self, device: DeviceKey, held: bool) {
        if let Some(member) = self.member(device) {
            member.held = held;
        }
    }
}

impl Call {
    /// The talks as they are to be: the calls as they are, changed by what the operation in progress intends.
    fn talks(&self) -> SmallVec<[Talk; 2]> {
        let mut talks: SmallVec<[Talk; 2]> = self.conns.iter().map(Talk::of).collect();
        let Some(pending) = self.pending.as_ref().filter(|pending| pending.step == Step::Audio) else {
            // Who joins is silent until the connector has it.
            return talks;
        };
        let by = pending.by;
        let at = |talks: &SmallVec<[Talk; 2]>, id: ConnId| talks.iter().position(|talk| talk.id == Some(id));
        let Some(main) = at(&talks, pending.conn) else { return talks };
        match &pending.op {
            Op::Hold(music) => {
                if let Some(member) = talks[main].member(by) {
                    (member.held, member.music) = (true, music.clone());
                }
            }
            Op::Retrieve => talks[main].hold(by, false),
            Op::Mute(on) => {
                if let Some(member) = talks[main].member(by) {
                    member.muted = *on;
                }
            }
            Op::Alternate { other, other_by } => {
                talks[main].hold(by, false);
                if let Some(other) = at(&talks, *other) {
                    talks[other].hold(*other_by, true);
                }
            }
            Op::Reconnect { other, .. } => {
                talks[main].hold(by, false);
                talks.retain(|talk| talk.id != Some(*other));
            }
            Op::Consult(consult) => {
                talks[main].hold(by, true);
                let mut talk = Talk {
                    id: None,
                    members: SmallVec::new(),
                };
                talk.add(by);
                talk.add(consult.target);
                talks.push(talk);
            }
            Op::Merge(merge) => {
                let Some(other) = at(&talks, merge.other) else { return talks };
                let mut other = talks.remove(other);
                let Some(main) = at(&talks, pending.conn) else { return talks };
                other.remove(merge.other_by);
                talks[main].hold(by, self.device_holds(by));
                talks[main].members.extend(other.members);
                if merge.transfer {
                    talks[main].remove(by);
                }
            }
            Op::SingleStep(step) => {
                if step.connected {
                    talks[main].add(step.target);
                    if step.transfer {
                        talks[main].remove(by);
                    }
                }
            }
            Op::Pickup(pickup) => {
                talks[main].remove(by);
                talks[main].add(pickup.target);
            }
            Op::Digits | Op::Absorb(_) => {}
        }
        talks
    }

    /// What every party of a conference is to hear.
    fn wanted(&self, conference: ConferenceId, talks: &[Talk]) -> Matrix {
        let here = |key: DeviceKey| {
            self.device(key)
                .filter(|device| device.conference == conference && !matches!(device.leg, Leg::Releasing | Leg::Gone))
                .map(|device| device.id)
        };
        let keys = self.devices.iter().map(|device| device.key);
        let mut matrix: Matrix = keys.filter_map(here).map(|id| (id, SmallVec::new())).collect();
        for talk in talks {
            for member in &talk.members {
                let Some(sources) = here(member.device).and_then(|id| matrix.get_mut(&id)) else {
                    continue;
                };
                if member.held {
                    continue;
                }
                let others = || talk.members.iter().filter(|other| other.device != member.device);
                let alone = others().count() == 1;
                let music = others().filter(|other| other.held).find_map(|other| match &other.music {
                    HoldMusic::Usual if alone => Some(AudioSource::Music(None)),
                    HoldMusic::Asked(name) => Some(AudioSource::Music(name.clone())),
                    HoldMusic::Usual | HoldMusic::Never => None,
                });
                sources.extend(music);
                let heard = others().filter(|other| !other.held && !other.muted);
                sources.extend(heard.filter_map(|other| here(other.device)).map(AudioSource::Party));
            }
        }
        for sources in matrix.values_mut() {
            sources.sort_by_key(|source| match source {
                AudioSource::Party(id) => (0, id.0),
                _ => (1, 0),
            });
            sources.dedup();
        }
        matrix
    }

    pub(super) fn wanted_now(&self, conference: ConferenceId) -> Matrix {
        self.wanted(conference, &self.talks())
    }

    /// Asks the connector for what is not so yet. Each conference is asked one thing at a time.
    pub(super) fn set_audio(&mut self, out: &mut Vec<CallOutput>) {
        if self.is_plain() {
            return;
        }
        let talks = self.talks();
        for at in 0..self.rooms.len() {
            let Some(conference) = self.rooms.get(at).map(|room| room.id) else {
                continue;
            };
            let wanted = self.wanted(conference, &talks);
            let up = self
                .devices
                .iter()
                .any(|device| device.conference == conference && device.is_up());
            let operation = OperationId(self.next_operation);
            let Some(room) = self.rooms.get_mut(at) else { continue };
            let waits = room.asked.is_some() || room.audit.is_some();
            if !up || !room.made || room.ended || waits || room.is_in_force(&wanted) {
                continue;
            }
            if room.refused.as_ref() == Some(&wanted) {
                continue;
            }
            self.next_operation = self.next_operation.wrapping_add(1);
            let (plan, then) = plan_of(&wanted);
            room.asked = Some((operation, then));
            out.push(CallOutput::Link(LinkRequest::SetAudio {
                conference,
                operation,
                plan,
            }));
        }
    }

    /// Most calls: everybody hears everybody and nobody wants it otherwise. There is nothing to work out then.
    fn is_plain(&self) -> bool {
        let as_made = |room: &super::room::Room| room.in_force == InForce::Everybody && room.asked.is_none();
        let plain = |party: &super::party::Party| party.state != PartyState::Held && !party.muted && party.joining.is_none();
        let in_first = |device: &super::device::Device| {
            !device.is_up() || self.conns.first().is_some_and(|conn| conn.party(device.key).is_some())
        };
        self.pending.is_none()
            && self.conns.len() <= 1
            && self.rooms.len() <= 1
            && self.rooms.iter().all(as_made)
            && self.conns.iter().flat_map(|conn| &conn.parties).all(plain)
            && self.devices.iter().all(in_first)
    }

    /// Whether everybody hears what is wanted, as far as the connectors have answered.
    pub(super) fn audio_is_set(&self) -> bool {
        let talks = self.talks();
        self.rooms.iter().all(|room| {
            let live = room.made && !room.ended;
            let up = self
                .devices
                .iter()
                .any(|device| device.conference == room.id && device.is_up());
            !live || !up || room.asked.is_none() && room.is_in_force(&self.wanted(room.id, &talks))
        })
    }

    /// The connector has answered. `true`: it was a SetAudio of ours.
    pub(super) fn audio_answered(&mut self, conference: ConferenceId, operation: OperationId, done: bool) -> bool {
        let Some(at) = self.rooms.iter().position(|room| room.id == conference) else {
            return false;
        };
        let Some(then) = self.rooms[at].asked.take_if(|(id, _)| *id == operation).map(|(_, then)| then) else {
            return false;
        };
        if done {
            self.rooms[at].in_force = then;
            self.rooms[at].refused = None;
        } else {
            let refused = match then {
                InForce::Plan(matrix) => Some(matrix),
                InForce::Everybody | InForce::Unknown => Some(self.wanted(conference, &self.talks())),
            };
            self.rooms[at].refused = refused;
        }
        true
    }

    /// The connector stays silent: what it was asked may be so or not.
    pub(super) fn forget_audio(&mut self) {
        for room in &mut self.rooms {
            if room.asked.take().is_some() {
                room.in_force = InForce::Unknown;
            }
        }
    }
}
