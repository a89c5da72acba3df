//! InitiateTransfer and InitiateConference: a consultation call beside the main one, in the same conference (T-Library reference ch. 9.5).
//!
//! First everybody hears what is right then - the main call's others music, the two new ones each other -, so that no moment shows
//! where three hear each other; then EventHeld without ReferenceID, EventDialing* and the call to the consulted party.

use std::sync::Arc;
use std::time::Instant;

use super::conn::{Conn, Consultation, Stage};
use super::device::DeviceKey;
use super::events::Told;
use super::headers::tells_of_forwarding;
use super::make::{Called, called, calling_number, shortened};
use super::operation::{Asker, Op, Pending, Step};
use super::party::Party;
use super::{Call, CallIds, CallOutput, With, flow, user_data, wrong_state};
use crate::{CallState, CallType, ConnId, DnRole, EventName, KvList, PartyState, TError, TErrorCode};

/// A consultation call that is to begin.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Consult {
    pub(super) conference: bool,
    pub(super) target: DeviceKey,
    ids: Box<CallIds>,
    dialled: Arc<str>,
    /// The main call's user data, and what becomes of it in the consultation.
    copied: Arc<KvList>,
    user_data: KvList,
    tells_flow: bool,
}

impl Call {
    pub(super) fn consult(&mut self, at: (ConnId, DeviceKey), conference: bool, with: With, now: Instant) -> Result<(), TError> {
        self.check_idle()?;
        let asking = self.dn_of(at.1).ok_or(TErrorCode::PartyNotOnCall)?;
        let leg = self.leg_options(&asking, &with.other_dn, &with.extensions)?;
        flow::check(&with.extensions)?;
        let (called, copied, user_data) = self.check_consult(at, &with)?;
        let ids = self.spare.take().ok_or(TErrorCode::Internal)?;
        let room = self
            .device(at.1)
            .map(|device| device.conference)
            .ok_or(TErrorCode::Internal)?;
        let target = self.new_device(room, called);
        self.set_leg_options(target, leg, &with.other_dn);
        let consult = Consult {
            conference,
            target,
            ids,
            dialled: shortened(&with.other_dn).into(),
            copied,
            user_data,
            tells_flow: flow::is_asked(&with.extensions),
        };
        self.begin(
            Op::Consult(Box::new(consult)),
            at,
            Asker::Client(with.requestor),
            Step::Audio,
            now,
        );
        if let Some(pending) = &mut self.pending {
            pending.reasons = with.reasons;
        }
        Ok(())
    }

    fn check_consult(&self, (id, key): (ConnId, DeviceKey), with: &With) -> Result<(Called, Arc<KvList>, KvList), TError> {
        let conn = self.conn(id).ok_or(TErrorCode::InvalidConnId)?;
        let party = conn.party(key).ok_or(TErrorCode::PartyNotOnCall)?;
        if !party.talks() || conn.stage != Stage::Talking {
            return Err(wrong_state(self.dn_of(key), Some(party.state)));
        }
        let consults = conn
            .consultation
            .as_ref()
            .is_some_and(|consultation| self.conn(consultation.main).is_some());
        if consults || self.conns_of(key).len() > 1 {
            let text = "a consultation beside a consultation is not supported";
            return Err(TError::new(TErrorCode::InvalidCallState, text));
        }
        let called = self.called_for(id, key, &with.other_dn)?;
        let copied = conn.user_data.clone();
        let mut user_data = KvList::clone(&copied);
        user_data.merge(&with.user_data);
        user_data::check_size(&user_data, self.settings.user_data_limit_bytes)?;
        Ok((called, copied, user_data))
    }

    /// Whom a party of a call wants in addition. Nobody is called into a call twice: the events of the two could not be told apart.
    pub(super) fn called_for(&self, id: ConnId, key: DeviceKey, other_dn: &str) -> Result<Called, TError> {
        let device = self.device(key).ok_or(TErrorCode::PartyNotOnCall)?;
        if device.moving.is_some() {
            // Whoever is called comes to where it is, and it would go from there.
            return Err(TErrorCode::OtherOperationPending.into());
        }
        let called = called(&self.numbering, other_dn, device.dials_as())?;
        let conn = self.conn(id).ok_or(TErrorCode::InvalidConnId)?;
        if conn.parties.len() >= self.settings.parties_max {
            return Err(TError::new(
                TErrorCode::TooManyRequests,
                format!("the call has {} parties, no more are allowed", conn.parties.len()),
            ));
        }
        let is_there = |key: &DeviceKey| self.device(*key).is_some_and(|device| device.is_of(&called.dn));
        if conn.devices().iter().any(is_there) {
            let text = format!("otherDn: {} is on the call already", called.dn);
            return Err(TError::new(TErrorCode::DestinationInvalidState, text));
        }
        Ok(called)
    }

    pub(super) fn consulting(&mut self, pending: Pending, consult: Consult, now: Instant, out: &mut Vec<CallOutput>) {
        let (main, by) = (pending.conn, pending.by);
        if self.party(main, by).is_some_and(|party| party.state == PartyState::Connected) {
            let told = Told::new(EventName::EventHeld, PartyState::Held, CallState::Ok);
            self.tell(main, by, told, out);
        }
        let mut conn = Conn::new(&consult.ids, CallType::Consult, by, consult.target, now);
        conn.ani = self.dn_of(by).map(|dn| calling_number(&self.numbering, &dn));
        conn.dnis = Some(consult.dialled);
        // Whoever consults calls: what forwarded the main call to it has no part in this one.
        let headers = self.conn(main).map(|main| main.headers.clone()).unwrap_or_default();
        conn.headers = headers.into_iter().filter(|(name, _)| !tells_of_forwarding(name)).collect();
        conn.user_data = Arc::new(consult.user_data);
        conn.tells_flow = consult.tells_flow || self.conn(main).is_some_and(|main| main.tells_flow);
        conn.consultation = Some(Consultation {
            main,
            conference: consult.conference,
            copied: consult.copied,
        });
        conn.parties.push(Party::new(by, DnRole::Origination));
        conn.parties.push(Party::new(consult.target, DnRole::Destination));
        let id = conn.id;
        self.conns.push(conn);
        out.push(CallOutput::Opened { conn_id: id });
        let told = Told {
            requestor: pending.asker.requestor(),
            reasons: pending.reasons,
            transfer: (!consult.conference).then_some(main),
            conference: consult.conference.then_some(main),
            ..Told::new(EventName::EventDialing, PartyState::Dialing, CallState::Ok)
        };
        self.tell(id, by, told, out);
        self.make_party(id, consult.target, by, false, now, out);
    }
}
