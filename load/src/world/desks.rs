//! The desktops: connections that register DNs, make and release calls, and whose every event is checked.

use std::time::Instant;

use super::calls::{Call, CallId, Way};
use super::proof::Step;
use super::verbs::{CONTROLLER, THIRD, Verb};
use super::{Recovery, World};
use crate::cti::check::{Break, Chain};
use crate::cti::desk::{Desk, FromDesk};
use crate::cti::frame::{self, EventFrame};

/// One connection and how far it is.
pub struct DeskSeat {
    /// The phones whose DNs it registers.
    phones: Vec<usize>,
    desk: Option<Desk>,
    chain: Chain,
    registered: usize,
    /// Who it is to the server: epoch and session.
    session: Option<(String, String)>,
    comeback: Comeback,
    next_reference: u32,
    /// Why it cannot be used.
    refused: Option<String>,
}

/// How far a desk is that resumes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Comeback {
    /// It does not.
    None,
    /// It was let in, or asked to be.
    Asked,
    /// Everything that it missed came.
    CaughtUp,
}

/// What a request was about, to understand its refusal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Register,
    /// What a desk asks when it has resumed: the answer comes after all that it missed.
    CatchUp,
    /// See [`super::proof`].
    Proof(CallId, Step),
    MakeCall(CallId),
    ReleaseCall(CallId),
    Verb(CallId, Verb, Instant),
}

impl DeskSeat {
    /// A desk for these phones.
    pub fn new(phones: Vec<usize>) -> Self {
        Self {
            phones,
            desk: None,
            chain: Chain::default(),
            registered: 0,
            session: None,
            comeback: Comeback::None,
            next_reference: 1,
            refused: None,
        }
    }

    /// Whether its connection is gone.
    pub fn is_closed(&self) -> bool {
        self.desk.is_none()
    }

    /// Whether it is connected, and has got everything that it missed.
    pub fn is_here(&self) -> bool {
        self.desk.is_some() && self.comeback != Comeback::Asked
    }

    /// Every DN is registered, or why that will never be.
    pub fn is_ready(&self) -> Result<bool, String> {
        match &self.refused {
            Some(reason) => Err(reason.clone()),
            None => Ok(self.registered >= self.phones.len()),
        }
    }
}

impl World {
    /// A desk is connected: it opens the server.
    pub fn open_desk(&mut self, seat: usize, desk: Desk, api_key: &str) {
        let Some(entry) = self.desks.get_mut(seat) else { return };
        desk.send(frame::open_server(api_key));
        entry.desk = Some(desk);
    }

    /// A desk is connected again: it goes on where it was.
    pub fn resume_desk(&mut self, seat: usize, desk: Desk, api_key: &str) {
        let Some(entry) = self.desks.get_mut(seat) else { return };
        entry.comeback = Comeback::Asked;
        let (epoch, session) = entry.session.clone().unwrap_or_default();
        let sequence = entry.chain.last().unwrap_or_default();
        desk.send(frame::resume_server(api_key, &epoch, &session, sequence));
        entry.desk = Some(desk);
    }

    /// The server is about to be killed: desks have nothing to resume yet.
    pub(super) fn forget_comebacks(&mut self) {
        self.desks.iter_mut().for_each(|entry| entry.comeback = Comeback::None);
    }

    /// Closes every connection.
    pub fn close_desks(&mut self) {
        self.desks.iter_mut().for_each(|seat| seat.desk = None);
    }

    /// Something came from a desk.
    pub fn on_desk(&mut self, seat: usize, what: FromDesk, now: Instant) {
        match what {
            FromDesk::Frame(text) => self.on_frame(seat, &text, now),
            FromDesk::Closed(reason) => {
                let Some(entry) = self.desks.get_mut(seat) else { return };
                // Closed by us when there is no desk any more.
                let by_them = entry.desk.take().is_some();
                if by_them && !self.recovery.as_ref().is_some_and(Recovery::is_frozen) {
                    entry.refused.get_or_insert(format!("CTI connection {seat} closed: {reason}"));
                    self.stats.violations.add(format!("CTI connection {seat} closed: {reason}"));
                }
            }
        }
    }

    fn on_frame(&mut self, seat: usize, text: &str, now: Instant) {
        self.stats.events += 1;
        let frame = match EventFrame::read(text) {
            Ok(frame) => frame,
            Err(error) => {
                let start: String = text.chars().take(300).collect();
                return self
                    .stats
                    .violations
                    .add(format!("a frame that is no event ({error}): {start}"));
            }
        };
        let Some(entry) = self.desks.get_mut(seat) else { return };
        let resumes = entry.comeback == Comeback::Asked && frame.event == "EventServerConnected";
        let chain = if resumes {
            entry.chain.resume(&frame)
        } else {
            entry.chain.take(&frame)
        };
        let party = self.parties.take(&frame).and_then(|()| self.services.take(&frame));
        if let (Some(recovery), "EventDNOutOfService" | "EventDNBackInService") = (&mut self.recovery, frame.event.as_str()) {
            recovery.on_service(frame.event == "EventDNOutOfService", now);
        }
        match &chain {
            Err(Break::Repeated { .. }) => self.stats.repeated_events += 1,
            Err(Break::Missed { .. } | Break::NotResumed { .. }) => self.stats.missed_events += 1,
            Ok(()) => {}
        }
        self.stats.wrong_events += u64::from(party.is_err());
        let faults = [chain.map_err(|fault| fault.to_string()), party];
        for fault in faults.into_iter().filter_map(Result::err) {
            self.stats.violations.add(format!("client {seat}: {fault}"));
        }
        if let (Some(reference), Some(recovery)) = (frame.reference_id, &mut self.recovery)
            && recovery.on_answer(seat, reference)
        {
            let twice = format!("client {seat}: {} answers {reference} once more", frame.event);
            self.stats.repeated_events += 1;
            self.stats.violations.add(twice);
        }
        match frame.event.as_str() {
            "EventServerConnected" => self.on_connected(seat, &frame, resumes),
            "EventServerInfo" => {
                let asked = frame
                    .reference_id
                    .and_then(|reference| self.references.remove(&(seat, reference)));
                if let (Some((Asked::CatchUp, _)), Some(entry)) = (asked, self.desks.get_mut(seat)) {
                    entry.comeback = Comeback::CaughtUp;
                }
            }
            "EventRegistered" => {
                if let Some(reference) = frame.reference_id {
                    self.references.remove(&(seat, reference));
                }
                if let Some(entry) = self.desks.get_mut(seat) {
                    entry.registered += 1;
                }
            }
            "EventError" => self.on_error(seat, &frame, now),
            _ => self.on_call_event(seat, &frame, now),
        }
    }

    fn on_connected(&mut self, seat: usize, frame: &EventFrame, resumes: bool) {
        if let (Some(entry), Some(epoch), Some(session)) = (self.desks.get_mut(seat), &frame.epoch, &frame.session) {
            entry.session = Some((epoch.clone(), session.clone()));
        }
        if !resumes || frame.resume.as_deref() == Some("new") {
            self.register_dns(seat);
        }
        if resumes {
            self.ask(seat, Asked::CatchUp, |reference| Some(frame::query_server(reference)));
        }
    }

    fn register_dns(&mut self, seat: usize) {
        let phones = self.desks.get(seat).map(|entry| entry.phones.clone()).unwrap_or_default();
        for phone in phones {
            let Some(dn) = self.phones.get(phone).map(|phone| phone.line.aor.clone()) else {
                continue;
            };
            self.ask(seat, Asked::Register, |reference| {
                Some(frame::register_address(reference, &dn))
            });
        }
    }

    pub(super) fn make_call(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get(&id) else { return };
        let [caller, callee, _] = call.sides.each_ref().map(|side| side.phone);
        let Some(seat) = call.sides[0].desk else { return };
        let dn = |phone: usize| self.phones.get(phone).map(|phone| phone.line.aor.clone()).unwrap_or_default();
        let (from, to) = (dn(caller), dn(callee));
        self.expect(caller, id);
        if !self.ask(seat, Asked::MakeCall(id), |reference| {
            Some(frame::make_call(reference, &from, &to))
        }) {
            self.fail(id, "MakeCall: the CTI connection is gone".into(), now);
        }
    }

    /// ReleaseCall of the caller, or ClearCall.
    pub(super) fn release_call(&mut self, id: CallId, clear: bool, now: Instant) {
        let Some(call) = self.calls.get(&id) else { return };
        let (Some(seat), Some(conn)) = (call.sides[0].desk, call.conn.clone()) else {
            return self.fail(id, "ReleaseCall: no connId is known".into(), now);
        };
        let dn = self
            .phones
            .get(call.sides[0].phone)
            .map(|phone| phone.line.aor.clone())
            .unwrap_or_default();
        if !self.ask(seat, Asked::ReleaseCall(id), |reference| {
            if clear {
                frame::clear_call(reference, &dn, &conn)
            } else {
                frame::release_call(reference, &dn, &conn)
            }
        }) {
            self.fail(id, "ReleaseCall: the CTI connection is gone".into(), now);
        }
    }

    pub(super) fn ask(&mut self, seat: usize, asked: Asked, request: impl FnOnce(u32) -> Option<String>) -> bool {
        let Some(entry) = self.desks.get_mut(seat) else { return false };
        entry.next_reference = entry.next_reference.wrapping_add(1);
        let reference = entry.next_reference;
        let sent = request(reference).is_some_and(|request| entry.desk.as_ref().is_some_and(|desk| desk.send(request)));
        if sent {
            self.references.insert((seat, reference), (asked, self.time));
        }
        sent
    }

    fn on_error(&mut self, seat: usize, frame: &EventFrame, now: Instant) {
        let text = format!(
            "EventError {} {}",
            frame.error_code.unwrap_or_default(),
            frame.error_message.as_deref().unwrap_or("(no text)")
        );
        match frame
            .reference_id
            .and_then(|reference| self.references.remove(&(seat, reference)))
        {
            Some((Asked::Proof(id, step), _)) => self.on_proof_refused(id, step, &text, now),
            // It was in flight when the server was killed; the call itself is tried.
            Some((Asked::Verb(id, ..), _)) if self.calls.get(&id).is_none_or(Call::is_proving) => {}
            Some((Asked::MakeCall(id), _)) => self.fail(id, format!("MakeCall: {text}"), now),
            Some((Asked::Verb(id, verb, _), _)) => self.on_verb_refused(id, verb, &text, now),
            Some((Asked::ReleaseCall(id), _)) => self.fail(id, format!("ReleaseCall: {text}"), now),
            Some((Asked::Register | Asked::CatchUp, _)) | None => {
                if let Some(entry) = self.desks.get_mut(seat) {
                    entry.refused.get_or_insert(format!("CTI connection {seat}: {text}"));
                }
                self.stats.violations.add(format!("client {seat}: {text}"));
            }
        }
    }

    fn on_call_event(&mut self, seat: usize, frame: &EventFrame, now: Instant) {
        let (Some(conn), Some(phone)) = (&frame.conn_id, frame.this_dn.as_deref().and_then(|dn| self.phone_of_dn(dn))) else {
            return;
        };
        let asked = frame
            .reference_id
            .and_then(|reference| self.references.remove(&(seat, reference)))
            .map(|(asked, _)| asked);
        let known = self.conns.get(conn).copied();
        let proven = match asked {
            Some(Asked::Proof(id, step)) => Some((id, step)),
            _ => None,
        };
        let answered = match asked {
            Some(Asked::Verb(id, verb, at)) => Some((id, verb, at)),
            _ => None,
        };
        let id = match (known, asked) {
            (Some(id), _) => id,
            (None, Some(Asked::MakeCall(id) | Asked::Verb(id, ..) | Asked::Proof(id, _))) => id,
            (None, _) => match self.consulted(phone).or_else(|| self.call_of(phone, frame)) {
                Some(id) => id,
                // Events of a call that failed and was given up before them.
                None => return,
            },
        };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if known.is_none() {
            let name = if call.conn.is_some() {
                &mut call.progress.consult
            } else {
                &mut call.conn
            };
            *name = Some(conn.clone());
            self.conns.insert(conn.clone(), id);
        }
        let (at, first) = (call.side_of(phone), call.is_setting_up());
        let is_main = call.conn.as_ref() == Some(conn);
        let answered_at = call.sides[1].answered_at;
        let (way, begun) = (call.way, call.begun);
        let Some(side) = call.sides.get_mut(at) else { return };
        side.seen = true;
        match frame.event.as_str() {
            "EventRinging" => {
                // Earlier than the phone's 180 where the server reports the invitation as ringing.
                if let Some(rang_at) = side.rang_at {
                    self.stats.ringing_event.record(now - rang_at);
                }
            }
            "EventEstablished" if !is_main && at == CONTROLLER => {
                call.progress.consult_up = true;
                self.check_verb(id, now);
            }
            "EventEstablished" => {
                side.established = true;
                if let Some(answered_at) = answered_at.filter(|_| first) {
                    self.stats.established_event.record(now - answered_at);
                }
                if at == 0 && way == Way::Desk {
                    self.stats.setup_desk.record(now - begun);
                }
                self.check_up(id, now);
                self.check_verb(id, now);
            }
            "EventReleased" | "EventAbandoned" | "EventDiverted" => {
                // Who consulted has two calls, and only the end of the first is its end.
                side.ended |= is_main || at == THIRD;
                self.check_done(id);
            }
            _ => {}
        }
        if let Some((id, verb, at)) = answered {
            self.on_verb_answered(id, verb, at, now);
        }
        if let Some((id, step)) = proven {
            self.on_proof_answered(id, step, &frame.event, now);
        }
        self.advance_proof(id, now);
    }

    /// The call that this phone is brought into.
    fn consulted(&self, phone: usize) -> Option<CallId> {
        let calls = &self.phones.get(phone)?.calls;
        let is_third = |id: &&CallId| {
            let call = self.calls.get(id);
            call.is_some_and(|call| call.progress.consult.is_none() && call.side_of(phone) == THIRD)
        };
        calls.iter().find(is_third).copied()
    }

    /// The call of this phone that has no ConnID yet and the right other side, else any without a ConnID.
    fn call_of(&self, phone: usize, frame: &EventFrame) -> Option<CallId> {
        let other = frame.other_dn.as_deref().and_then(|dn| self.phone_of_dn(dn));
        let calls = &self.phones.get(phone)?.calls;
        let unnamed = |id: &&CallId| self.calls.get(id).is_some_and(|call| call.conn.is_none());
        let matching = |id: &&CallId| {
            let sides = self.calls.get(id).map(|call| call.sides.each_ref().map(|side| side.phone));
            sides.is_some_and(|phones| phones.iter().any(|side| *side != phone && Some(*side) == other))
        };
        calls
            .iter()
            .filter(unnamed)
            .find(matching)
            .or(calls.iter().find(unnamed))
            .copied()
    }

    fn phone_of_dn(&self, dn: &str) -> Option<usize> {
        let user = dn.strip_prefix("sip:").unwrap_or(dn).split('@').next()?;
        let phone = usize::try_from(user.parse::<u64>().ok()?.checked_sub(self.settings.first_dn)?).ok()?;
        (phone < self.phones.len()).then_some(phone)
    }
}
