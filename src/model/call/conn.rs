//! One call as clients see it: a ConnID, its parties, its user data.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::device::DeviceKey;
use super::party::Party;
use super::{CallIds, CallRecord, Outcome};
use crate::link::{Forwarded, Headers};
use crate::{CallType, CallUuid, ConnId, DnId, KvList};

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) enum Stage {
    /// 3pcc: the caller's own device is called.
    CallingOrigin,
    /// The destination is called.
    CallingDestination,
    /// It was answered.
    #[default]
    Talking,
}

/// What a consultation is for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Consultation {
    pub(super) main: ConnId,
    /// A conference, else a transfer.
    pub(super) conference: bool,
    /// The main call's user data when the consultation took a copy of it: what differs from it was done in the consultation. Records of
    /// before it was kept have none, so all of it was.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub(super) copied: Arc<KvList>,
}

fn is_empty(list: &Arc<KvList>) -> bool {
    list.is_empty()
}

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) call_uuid: CallUuid,
    pub(super) call_id: u64,
    pub(super) conversation_id: Arc<str>,
    pub(super) call_type: CallType,
    pub(super) ani: Option<Arc<str>>,
    pub(super) dnis: Option<Arc<str>>,
    /// The display name that a call over a trunk brought along.
    pub(super) caller_name: Option<Arc<str>>,
    /// What is passed on to every leg of this call.
    pub(super) headers: Headers,
    pub(super) user_data: Arc<KvList>,
    pub(super) stage: Stage,
    /// Who calls, while the stage is one of calling.
    pub(super) origin: DeviceKey,
    /// Who is called, while the stage is one of calling.
    pub(super) destination: DeviceKey,
    pub(super) parties: SmallVec<[Party; 2]>,
    pub(super) consultation: Option<Consultation>,
    pub(super) started: Instant,
    pub(super) answered: Option<Instant>,
    /// A device dialled it by itself, or it came in from outside to a DN.
    pub(super) direct: bool,
    /// Its clients want to hear how far the media of its parties is.
    pub(super) tells_flow: bool,
    /// Who passed the call on before it was answered: bounded by [`super::redirect::MAX_HOPS`].
    pub(super) passed_on: Vec<DnId>,
    /// Why, and what the next leg is told of it. Bounded as well.
    pub(super) forwarded: Vec<Forwarded>,
}

impl Conn {
    pub(super) fn new(ids: &CallIds, call_type: CallType, origin: DeviceKey, destination: DeviceKey, now: Instant) -> Self {
        Self {
            id: ids.conn_id,
            call_uuid: ids.call_uuid,
            call_id: ids.call_id,
            conversation_id: ids.conversation_id.clone(),
            call_type,
            ani: None,
            dnis: None,
            caller_name: None,
            headers: Vec::new(),
            user_data: Arc::default(),
            stage: Stage::CallingDestination,
            origin,
            destination,
            parties: SmallVec::new(),
            consultation: None,
            started: now,
            answered: None,
            direct: false,
            tells_flow: false,
            passed_on: Vec::new(),
            forwarded: Vec::new(),
        }
    }

    pub(super) fn party(&self, device: DeviceKey) -> Option<&Party> {
        self.parties.iter().find(|party| party.device == device)
    }

    pub(super) fn party_mut(&mut self, device: DeviceKey) -> Option<&mut Party> {
        self.parties.iter_mut().find(|party| party.device == device)
    }

    pub(super) fn remove(&mut self, device: DeviceKey) -> Option<Party> {
        let at = self.parties.iter().position(|party| party.device == device)?;
        Some(self.parties.remove(at))
    }

    /// Another device stands for the one that calls, or is called.
    pub(super) fn replace_device(&mut self, from: DeviceKey, to: DeviceKey) {
        for end in [&mut self.origin, &mut self.destination] {
            if *end == from {
                *end = to;
            }
        }
    }

    /// The devices of every party, in order.
    pub(super) fn devices(&self) -> SmallVec<[DeviceKey; 4]> {
        self.parties.iter().map(|party| party.device).collect()
    }

    /// The parties beside this one that are in the call: who only joins it is not yet.
    pub(super) fn others(&self, device: DeviceKey) -> SmallVec<[DeviceKey; 4]> {
        let others = self
            .parties
            .iter()
            .filter(|party| party.device != device && party.joining.is_none());
        others.map(|party| party.device).collect()
    }

    /// Whom a party has to do with: the others, and for one that is to take another's place all but that one.
    pub(super) fn seen_by(&self, device: DeviceKey) -> SmallVec<[DeviceKey; 4]> {
        let replaced = self
            .party(device)
            .and_then(|party| party.joining)
            .filter(|joining| joining.replaces);
        let mut others = self.others(device);
        others.retain(|other| replaced.is_none_or(|joining| joining.by != *other));
        others
    }

    pub(super) fn record(&self, outcome: Outcome, now: Instant) -> CallRecord {
        CallRecord {
            direction: self.call_type,
            outcome: if self.answered.is_some() { Outcome::Answered } else { outcome },
            setup: self.answered.map(|answered| answered.saturating_duration_since(self.started)),
            talk: self.answered.map(|answered| now.saturating_duration_since(answered)),
        }
    }
}
