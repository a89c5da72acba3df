//! A call goes to somebody else before it was answered: RedirectCall of the client of the ringing DN, or a phone that forwards (3xx). The
//! party that rang is released with ThirdPartyDN, the new one rings in its place (T-Library reference ch. 9.2).

use std::sync::Arc;
use std::time::Instant;

use super::answer::gone_elsewhere;
use super::conn::{Conn, Stage};
use super::device::{DeviceKey, Leg};
use super::events::Told;
use super::make::{Called, called};
use super::operation::Op;
use super::party::{Arrival, Party};
use super::{Call, CallOutput, With, headers, wrong_state};
use crate::link::{ForwardReason, Forwarded, Headers};
use crate::numbering::Regrouping;
use crate::{CallState, ConnId, DnRole, EventName, KvList, PartyState, Requestor, TError, TErrorCode};

/// How often a call is passed on before it is given up.
pub(super) const MAX_HOPS: usize = 5;

/// How a call is passed on.
struct PassedOn {
    state: CallState,
    requestor: Option<Requestor>,
    reasons: KvList,
    /// What the new leg carries: those of the request, or of the leg that it stands for.
    headers: Headers,
    /// Why, for those who are called next.
    reason: ForwardReason,
}

impl Call {
    pub(super) fn redirect(
        &mut self,
        (id, key): (ConnId, DeviceKey),
        with: With,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) -> Result<(), TError> {
        self.check_idle()?;
        let state = self.party(id, key).map(|party| party.state);
        let rings = self.device(key).is_some_and(|device| device.leg == Leg::Made);
        if state != Some(PartyState::Alerting) || !rings {
            return Err(wrong_state(self.dn_of(key), state));
        }
        let headers = headers::asked(&with.extensions)?;
        let called = self.called_for(id, key, &with.other_dn)?;
        self.check_hops(id, &called)?;
        let staying = self.conn(id).map(|conn| conn.others(key)).unwrap_or_default();
        self.check_regrouping(Regrouping::RouteCall, key, staying, Some(&called.target))?;
        let user_data = self.user_data_with(id, &with.user_data)?;
        let changed = self.replace_user_data(id, user_data);
        let by = self.dn_of(key);
        let passed_on = PassedOn {
            state: CallState::Redirected,
            requestor: Some(with.requestor),
            reasons: with.reasons,
            headers,
            reason: ForwardReason::Deflection,
        };
        self.pass_on((id, key), called, passed_on, now, out);
        if changed {
            self.tell_user_data(id, by.map(|dn| (dn, DnRole::DeletedBy)), None, out);
        }
        Ok(())
    }

    /// Every device of a party wants to be called elsewhere. The first address that the dial plan lets the forwarding DN call is taken;
    /// where there is none the call fails with the 3xx that follows.
    pub(super) fn redirected(&mut self, key: DeviceKey, to: &[Arc<str>], now: Instant, out: &mut Vec<CallOutput>) {
        let Some(device) = self.device(key).filter(|device| device.leg == Leg::Made) else {
            return;
        };
        let dials_as = device.dials_as().clone();
        // A phone that rings is told by somebody to send the call on; one that does so by itself has never rung.
        let reason = if device.rings {
            ForwardReason::Deflection
        } else {
            ForwardReason::Unconditional
        };
        for id in self.conns_of(key) {
            let calling = self
                .conn(id)
                .is_some_and(|conn| conn.stage != Stage::CallingOrigin && conn.origin != key);
            if !calling || self.party(id, key).is_none_or(super::party::Party::talks) {
                continue;
            }
            let fits = |address: &Arc<str>| {
                let called = called(&self.numbering, address, &dials_as).ok()?;
                self.check_hops(id, &called).ok()?;
                let staying = self.conn(id)?.others(key);
                let checked = self.check_regrouping(Regrouping::RouteCall, key, staying, Some(&called.target));
                checked.ok().map(|()| called)
            };
            let Some(called) = to.iter().find_map(fits) else { continue };
            let passed_on = PassedOn {
                state: CallState::Forwarded,
                requestor: None,
                reasons: KvList::new(),
                headers: self.device(key).map(|device| device.headers.clone()).unwrap_or_default(),
                reason,
            };
            self.pass_on((id, key), called, passed_on, now, out);
            // The end of its leg is on its way.
            let deadline = self.link_deadline(now);
            if let Some(device) = self.device_mut(key) {
                device.leg = Leg::Releasing;
                device.deadline = Some(deadline);
            }
        }
    }

    /// No call goes round in circles: nobody on it is called again, nor who is on the way to it, and it is passed on a few times at most.
    fn check_hops(&self, id: ConnId, called: &Called) -> Result<(), TError> {
        let conn = self.conn(id).ok_or(TErrorCode::InvalidConnId)?;
        let on_call = |key: &DeviceKey| self.device(*key).is_some_and(|device| device.is_of(&called.dn));
        let joining = self.pending.as_ref().and_then(|pending| match &pending.op {
            Op::Merge(merge) if pending.conn == id => self.conn(merge.other),
            Op::Merge(merge) if merge.other == id => self.conn(pending.conn),
            _ => None,
        });
        let joining = joining.map(Conn::devices).unwrap_or_default();
        let round = conn.passed_on.contains(&called.dn) || conn.devices().iter().chain(&joining).any(on_call);
        if round || conn.passed_on.len() >= MAX_HOPS {
            let text = format!("the call was passed on {} times and goes round", conn.passed_on.len());
            return Err(TError::new(TErrorCode::DestinationInvalidState, text));
        }
        Ok(())
    }

    fn pass_on(
        &mut self,
        (id, old): (ConnId, DeviceKey),
        called: Called,
        passed_on: PassedOn,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) {
        let Some(device) = self.device(old) else { return };
        let (conference, name, dn) = (device.conference, device.dn.clone(), device.real_dn().clone());
        let hidden = passed_on.state == CallState::Forwarded && self.hides_forwarding(old);
        let new_dn = called.dn.clone();
        let told = Told {
            third: Some((new_dn, DnRole::DeletedBy)),
            requestor: passed_on.requestor,
            reasons: passed_on.reasons,
            ..Told::new(EventName::EventReleased, PartyState::Null, passed_on.state)
        };
        if hidden {
            self.answer_fails(id, old, gone_elsewhere(), out);
        } else {
            self.tell_known(id, old, told, out);
        }
        let new = self.new_device(conference, called);
        self.set_headers(new, passed_on.headers);
        if hidden {
            self.stand_in(old, new);
        }
        if let Some(step) = self.pending.as_mut().filter(|pending| pending.conn == id)
            && let Op::SingleStep(step) = &mut step.op
            && step.target == old
        {
            step.target = new;
        }
        let Some(conn) = self.conn_mut(id) else { return };
        if conn.destination == old {
            conn.destination = new;
        }
        if let Some(party) = conn.party_mut(old).filter(|_| hidden) {
            party.device = new;
        } else if let Some(party) = conn.party_mut(old) {
            *party = Party {
                arrival: Arrival {
                    state: passed_on.state,
                    third: Some((name, DnRole::DeletedBy)),
                },
                joining: party.joining,
                ..Party::new(new, party.role)
            };
        }
        conn.forwarded.push(Forwarded {
            by: dn.clone(),
            reason: passed_on.reason,
        });
        conn.passed_on.push(dn);
        let shown = conn.seen_by(new).first().copied().unwrap_or(conn.origin);
        if conn.direct && !hidden && passed_on.state == CallState::Forwarded {
            self.silence(id, new);
        }
        self.make_party(id, new, shown, false, now, out);
    }
}
