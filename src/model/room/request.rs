//! What clients may ask: a party for itself, the conference DN and a moderator for everybody.
//!
//! | request | for itself | conference DN, moderator |
//! |---|---|---|
//! | ReleaseCall | leaves | - |
//! | ClearCall | - | ends the conference |
//! | DeleteFromConference `otherDn` | itself | any party, one that waits included |
//! | SingleStepConference `otherDn` | - | admits a party that waits |
//! | SetMuteOn, SetMuteOff | itself | the party named by the extension `party` |
//! | QueryCall | the roster | the roster |

use std::time::Instant;

use super::events::party_state;
use super::joiner::Stage;
use super::leave::Dismissal;
use super::{Room, RoomOutput};
use crate::request::{OnCall, OnCallWith};
use crate::{
    CallInfoType, CallState, ConferenceId, DnId, DnRole, Event, EventName, KvList, KvValue, PartyId, PartyState, Request,
    Requestor, TError, TErrorCode,
};

/// The extension of SetMuteOn and SetMuteOff that names whom a moderator means.
const PARTY: &str = "party";

/// On whose behalf a request comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asking {
    /// The conference DN.
    Room,
    /// The joiner of that index.
    Party(usize),
}

impl Room {
    pub(super) fn request(&mut self, requestor: Requestor, request: Request, now: Instant, out: &mut Vec<RoomOutput>) {
        let this_dn = request.this_dn().cloned();
        let result = self
            .asking(&request)
            .and_then(|asking| self.ask(asking, requestor, request, now, out));
        if let Err(error) = result {
            self.refuse(requestor, this_dn.as_ref(), error, out);
        }
    }

    fn asking(&self, request: &Request) -> Result<Asking, TError> {
        let conn_id = request.conn_id().ok_or(TErrorCode::UnsupportedOperation)?;
        if self.closed || conn_id != self.ids.conn_id {
            return Err(TErrorCode::InvalidConnId.into());
        }
        let missing = || TError::new(TErrorCode::InvalidAttribute, "thisDn is missing");
        let this_dn = request.this_dn().ok_or_else(missing)?;
        if *this_dn == self.dn {
            return Ok(Asking::Room);
        }
        let asks = |joiner: &super::Joiner| joiner.dn == *this_dn && joiner.is_reported() && !joiner.is_told();
        let index = self.joiners.iter().position(asks);
        index.map(Asking::Party).ok_or_else(|| not_there(this_dn))
    }

    fn ask(
        &mut self,
        asking: Asking,
        requestor: Requestor,
        request: Request,
        now: Instant,
        out: &mut Vec<RoomOutput>,
    ) -> Result<(), TError> {
        match request {
            Request::ReleaseCall { reasons, .. } => self.release_call(asking, requestor, reasons, now, out),
            Request::ClearCall { reasons, .. } => self.clear_call(asking, requestor, reasons, now, out),
            Request::QueryCall { call_info_type, .. } => self.query_call(asking, requestor, call_info_type, out),
            Request::OnCall {
                operation: operation @ (OnCall::SetMuteOn | OnCall::SetMuteOff),
                extensions,
                ..
            } => self.set_mute(asking, requestor, operation == OnCall::SetMuteOn, &extensions, out),
            Request::OnCallWith {
                operation: OnCallWith::DeleteFromConference,
                other_dn,
                reasons,
                ..
            } => self.delete(asking, requestor, &other_dn, reasons, now, out),
            Request::OnCallWith {
                operation: OnCallWith::SingleStepConference,
                other_dn,
                ..
            } => {
                let by = (requestor, self.asking_dn(asking));
                self.check_rights(asking)?;
                self.admit_by_request(&self.named(&other_dn), by, now, out)
            }
            other => {
                let text = format!("{} is not supported in a conference that is dialled into", other.name());
                Err(TError::new(TErrorCode::UnsupportedOperation, text))
            }
        }
    }

    fn release_call(
        &mut self,
        asking: Asking,
        requestor: Requestor,
        reasons: KvList,
        now: Instant,
        out: &mut Vec<RoomOutput>,
    ) -> Result<(), TError> {
        let Asking::Party(index) = asking else {
            let text = "thisDn: a conference is ended with ClearCall";
            return Err(TError::new(TErrorCode::InvalidCallState, text));
        };
        let by = Some((requestor, self.joiners[index].dn.clone()));
        let leaves = Dismissal {
            by,
            reasons,
            ..Dismissal::normal()
        };
        self.dismiss(index, leaves, now, out);
        Ok(())
    }

    fn clear_call(
        &mut self,
        asking: Asking,
        requestor: Requestor,
        reasons: KvList,
        now: Instant,
        out: &mut Vec<RoomOutput>,
    ) -> Result<(), TError> {
        self.check_rights(asking)?;
        match asking {
            Asking::Room if self.opened => self.clearing = Some(requestor),
            Asking::Room => {
                let event = self.room_event(EventName::EventReleased, CallState::Ok, PartyState::Null);
                out.push(RoomOutput::Answer { requestor, event });
            }
            Asking::Party(_) => {}
        }
        let dn = self.asking_dn(asking);
        for index in 0..self.joiners.len() {
            let mine = asking == Asking::Party(index);
            let ended = Dismissal {
                by: mine.then(|| (requestor, dn.clone())),
                reasons: if mine { reasons.clone() } else { KvList::new() },
                ..Dismissal::normal()
            };
            if !self.joiners[index].is_told() {
                self.dismiss(index, ended, now, out);
            }
        }
        Ok(())
    }

    fn delete(
        &mut self,
        asking: Asking,
        requestor: Requestor,
        other_dn: &str,
        reasons: KvList,
        now: Instant,
        out: &mut Vec<RoomOutput>,
    ) -> Result<(), TError> {
        let target = self.named(other_dn);
        let there = |joiner: &super::Joiner| joiner.dn == target && !joiner.is_told();
        let index = self.joiners.iter().position(there).ok_or_else(|| not_there(&target))?;
        if asking != Asking::Party(index) {
            self.check_rights(asking)?;
        }
        let deleted = Dismissal {
            by: Some((requestor, self.asking_dn(asking))),
            reasons,
            ..Dismissal::normal()
        };
        self.dismiss(index, deleted, now, out);
        Ok(())
    }

    fn set_mute(
        &mut self,
        asking: Asking,
        requestor: Requestor,
        on: bool,
        extensions: &KvList,
        out: &mut Vec<RoomOutput>,
    ) -> Result<(), TError> {
        let index = match (extensions.value(PARTY), asking) {
            (None, Asking::Party(index)) => index,
            (Some(KvValue::Str(text)), _) => {
                self.check_rights(asking)?;
                let target = self.named(text);
                let there = |joiner: &super::Joiner| joiner.dn == target && joiner.is_inside();
                self.joiners.iter().position(there).ok_or_else(|| not_there(&target))?
            }
            (None, Asking::Room) | (Some(_), _) => {
                let text = "extensions.party: the DN of the party is missing";
                return Err(TError::new(TErrorCode::InvalidAttribute, text));
            }
        };
        let joiner = &mut self.joiners[index];
        if !joiner.is_inside() {
            return Err(TError::new(TErrorCode::InvalidCallState, "thisDn: it is not inside yet"));
        }
        if joiner.muted == on {
            return Err(TErrorCode::InSameState.into());
        }
        joiner.muted = on;
        let name = if on { EventName::EventMuteOn } else { EventName::EventMuteOff };
        self.tell_mute(name, index, asking, requestor, out);
        self.roster_changed(out);
        self.set_audio(out);
        Ok(())
    }

    /// The party is told, and whoever asked where that is another one.
    fn tell_mute(&self, name: EventName, index: usize, asking: Asking, requestor: Requestor, out: &mut Vec<RoomOutput>) {
        let own = asking == Asking::Party(index);
        let state = party_state(&self.joiners[index]);
        self.report(index, name, state, CallState::Ok, own.then_some(requestor), out);
        if !own {
            let mut event = self.asking_event(asking, name);
            event.other_dn = Some(self.joiners[index].dn.clone());
            event.other_dn_role = Some(DnRole::ConferenceMember);
            out.push(RoomOutput::Event {
                event,
                requestor: Some(requestor),
            });
        }
    }

    fn query_call(
        &self,
        asking: Asking,
        requestor: Requestor,
        info_type: CallInfoType,
        out: &mut Vec<RoomOutput>,
    ) -> Result<(), TError> {
        if info_type != CallInfoType::StatusQuery {
            let text = format!("callInfoType {info_type} is not supported, only StatusQuery is");
            return Err(TError::new(TErrorCode::UnsupportedOperation, text));
        }
        let mut event = self.asking_event(asking, EventName::EventPartyInfo);
        self.list(&mut event.extensions);
        out.push(RoomOutput::Answer { requestor, event });
        Ok(())
    }

    /// An event that tells whoever asks of itself.
    fn asking_event(&self, asking: Asking, name: EventName) -> Event {
        match asking {
            Asking::Room => self.room_event(name, CallState::Ok, self.own_state()),
            Asking::Party(index) => {
                let state = party_state(&self.joiners[index]);
                self.joiner_event(index, name, state, CallState::Ok)
            }
        }
    }

    /// Whether whoever asks may ask for others.
    fn check_rights(&self, asking: Asking) -> Result<(), TError> {
        match asking {
            Asking::Room => Ok(()),
            Asking::Party(index) if self.joiners[index].moderator && self.joiners[index].is_inside() => Ok(()),
            Asking::Party(_) => {
                let text = "thisDn: only a moderator and the conference DN may ask for this";
                Err(TError::new(TErrorCode::OperationIncompatible, text))
            }
        }
    }

    fn asking_dn(&self, asking: Asking) -> DnId {
        match asking {
            Asking::Room => self.dn.clone(),
            Asking::Party(index) => self.joiners[index].dn.clone(),
        }
    }

    /// The party that a client means: by the name that events give it, or by the number that reaches it.
    fn named(&self, text: &str) -> DnId {
        let dn = DnId::new(text);
        if self.joiners.iter().any(|joiner| joiner.dn == dn) {
            return dn;
        }
        match self.numbering.resolve(text, Some(&self.dn)) {
            crate::numbering::Destination::Extension(dn) => dn,
            _ => dn,
        }
    }

    /// The device of a party has put the conference on hold, or taken it back.
    pub(super) fn device_held(&mut self, conference: ConferenceId, party: PartyId, held: bool, out: &mut Vec<RoomOutput>) {
        let Some(index) = self.at(conference, party) else { return };
        let joiner = &mut self.joiners[index];
        if joiner.held == held || joiner.is_told() {
            return;
        }
        joiner.held = held;
        if joiner.stage != Stage::In {
            return;
        }
        let (name, state) = if held {
            (EventName::EventHeld, PartyState::Held)
        } else {
            (EventName::EventRetrieved, PartyState::Connected)
        };
        self.report(index, name, state, CallState::Ok, None, out);
        self.roster_changed(out);
    }
}

fn not_there(dn: &DnId) -> TError {
    TError::new(TErrorCode::PartyNotOnCall, format!("{dn} is no party of this conference"))
}
