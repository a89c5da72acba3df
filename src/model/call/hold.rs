//! HoldCall, RetrieveCall, SetMuteOn, SetMuteOff, and the hold that a phone does by itself (T-Library reference ch. 9.4).
//!
//! The hold of a phone is a fact of its leg: no party of it is in talk as long as it lasts, whatever requests make of the calls. Nobody
//! but the phone ends it: a request that would bring a call of it back is refused until then (error 496). What a client has put on hold
//! stays so when the phone resumes.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::device::DeviceKey;
use super::events::Told;
use super::operation::{Asker, Op, Pending, Step};
use super::{Call, CallOutput, wrong_state};
use crate::{CallState, ConnId, EventName, KvList, KvValue, PartyState, Requestor, TError, TErrorCode};

/// The extension of HoldCall that says what the others hear meanwhile: 1 or `true` for music, in a conference too; 0 or `false` for none;
/// or which music, by its name.
const MUSIC: &str = "music";
/// The longest name of music, in bytes.
const MAX_NAME: usize = 255;

/// What the others hear of a party that holds.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) enum HoldMusic {
    /// Music where there is one other, nothing in a conference.
    #[default]
    Usual,
    /// Nothing.
    Never,
    /// Music, however many they are: of this name, or the default one.
    Asked(Option<Arc<str>>),
}

impl HoldMusic {
    /// What a request says of it.
    fn from_extensions(extensions: &KvList) -> Result<Self, TError> {
        match extensions.value(MUSIC) {
            None => Ok(Self::Usual),
            Some(KvValue::Int(1)) => Ok(Self::Asked(None)),
            Some(KvValue::Int(0)) => Ok(Self::Never),
            Some(KvValue::Str(text)) => match text.as_str() {
                "1" | "true" => Ok(Self::Asked(None)),
                "0" | "false" => Ok(Self::Never),
                name if (1..=MAX_NAME).contains(&name.len()) => Ok(Self::Asked(Some(name.into()))),
                _ => Err(invalid()),
            },
            Some(KvValue::Int(_) | KvValue::List(_)) => Err(invalid()),
        }
    }
}

fn invalid() -> TError {
    let text = format!("extensions.{MUSIC}: valid are 1 and 0, `true` and `false`, or a name of at most {MAX_NAME} bytes");
    TError::new(TErrorCode::InvalidAttribute, text)
}

impl Call {
    pub(super) fn hold(
        &mut self,
        at: (ConnId, DeviceKey),
        requestor: Requestor,
        reasons: KvList,
        extensions: &KvList,
        now: Instant,
    ) -> Result<(), TError> {
        self.check_idle()?;
        let music = HoldMusic::from_extensions(extensions)?;
        self.check_state(at, PartyState::Connected, PartyState::Held)?;
        self.begin_with_reasons(Op::Hold(music), at, requestor, reasons, now);
        Ok(())
    }

    pub(super) fn retrieve(
        &mut self,
        at: (ConnId, DeviceKey),
        requestor: Requestor,
        reasons: KvList,
        now: Instant,
    ) -> Result<(), TError> {
        self.check_idle()?;
        self.check_state(at, PartyState::Held, PartyState::Connected)?;
        if self.talks_elsewhere(at) {
            let text = "the DN talks on another call: alternate, or hold that one first";
            return Err(TError::new(TErrorCode::InvalidCallState, text));
        }
        self.check_device(at.1)?;
        self.begin_with_reasons(Op::Retrieve, at, requestor, reasons, now);
        Ok(())
    }

    pub(super) fn mute(
        &mut self,
        at: (ConnId, DeviceKey),
        on: bool,
        requestor: Requestor,
        reasons: KvList,
        now: Instant,
    ) -> Result<(), TError> {
        self.check_idle()?;
        self.check_mute(at, on)?;
        self.begin_with_reasons(Op::Mute(on), at, requestor, reasons, now);
        Ok(())
    }

    fn begin_with_reasons(&mut self, op: Op, at: (ConnId, DeviceKey), requestor: Requestor, reasons: KvList, now: Instant) {
        self.begin(op, at, Asker::Client(requestor), Step::Audio, now);
        if let Some(pending) = &mut self.pending {
            pending.reasons = reasons;
        }
    }

    /// 43 where the party is there already, 496 where it cannot come from where it is.
    fn check_state(&self, (id, key): (ConnId, DeviceKey), from: PartyState, to: PartyState) -> Result<(), TError> {
        match self.party(id, key).map(|party| party.state) {
            Some(state) if state == from => Ok(()),
            Some(state) if state == to => Err(TErrorCode::InSameState.into()),
            state => Err(wrong_state(self.dn_of(key), state)),
        }
    }

    /// 496 where the phone itself holds: it alone can come back.
    pub(super) fn check_device(&self, key: DeviceKey) -> Result<(), TError> {
        if !self.device_holds(key) {
            return Ok(());
        }
        let text = "the phone itself holds the call and has to resume it";
        Err(TError::new(TErrorCode::InvalidCallState, text))
    }

    pub(super) fn device_holds(&self, key: DeviceKey) -> bool {
        self.device(key).is_some_and(|device| device.holds)
    }

    fn check_mute(&self, (id, key): (ConnId, DeviceKey), on: bool) -> Result<(), TError> {
        match self.party(id, key) {
            Some(party) if !party.talks() => Err(wrong_state(self.dn_of(key), Some(party.state))),
            Some(party) if party.muted == on => Err(TErrorCode::InSameState.into()),
            Some(_) => Ok(()),
            None => Err(TErrorCode::PartyNotOnCall.into()),
        }
    }

    /// Whether the same device is in talk on another call: it hears one call at a time.
    fn talks_elsewhere(&self, (id, key): (ConnId, DeviceKey)) -> bool {
        let others = self.conns.iter().filter(|conn| conn.id != id);
        let party = |conn: &super::conn::Conn| conn.party(key).map(|party| party.state);
        others
            .map(party)
            .any(|state| matches!(state, Some(PartyState::Connected | PartyState::Dialing)))
    }

    pub(super) fn held(&mut self, pending: Pending, music: HoldMusic, out: &mut Vec<CallOutput>) {
        let at = (pending.conn, pending.by);
        let checked = self.check_state(at, PartyState::Connected, PartyState::Held);
        let is_held = checked.is_ok();
        self.report_done(pending, checked, EventName::EventHeld, PartyState::Held, out);
        if let Some(party) = self.party_mut(at.0, at.1).filter(|_| is_held) {
            party.music = music;
        }
    }

    pub(super) fn retrieved(&mut self, pending: Pending, out: &mut Vec<CallOutput>) {
        let at = (pending.conn, pending.by);
        let checked = self
            .check_state(at, PartyState::Held, PartyState::Connected)
            .and_then(|()| self.check_device(at.1));
        self.report_done(pending, checked, EventName::EventRetrieved, PartyState::Connected, out);
    }

    pub(super) fn mute_set(&mut self, pending: Pending, on: bool, out: &mut Vec<CallOutput>) {
        let (id, key) = (pending.conn, pending.by);
        let checked = self.check_mute((id, key), on);
        let Some(party) = self.party_mut(id, key) else { return };
        if checked.is_ok() {
            party.muted = on;
        }
        let state = party.state;
        let name = if on { EventName::EventMuteOn } else { EventName::EventMuteOff };
        self.report_done(pending, checked, name, state, out);
    }

    /// The starred event of an operation, or the error that has come up meanwhile.
    fn report_done(
        &mut self,
        pending: Pending,
        checked: Result<(), TError>,
        name: EventName,
        state: PartyState,
        out: &mut Vec<CallOutput>,
    ) {
        match checked {
            Ok(()) => {
                let told = Told {
                    requestor: pending.asker.requestor(),
                    reasons: pending.reasons,
                    ..Told::new(name, state, CallState::Ok)
                };
                self.tell(pending.conn, pending.by, told, out);
            }
            Err(error) => {
                self.pending = Some(pending);
                self.fail(error, None, out);
            }
        }
    }

    /// The phone itself holds or resumes (1pcc): the same without a ReferenceID; the other side hears music from then on.
    pub(super) fn held_by_device(&mut self, key: DeviceKey, held: bool, out: &mut Vec<CallOutput>) {
        let Some(device) = self.device_mut(key).filter(|device| device.holds != held) else {
            return;
        };
        device.holds = held;
        let calls = self.conns_of(key);
        if held {
            // A call that rings yet is told to be on hold when it is answered ([`Self::establish`]).
            for id in calls {
                self.hold_as_device_does(id, key, out);
            }
            return;
        }
        for id in calls {
            let Some(party) = self.party_mut(id, key).filter(|party| party.held_by_device) else {
                continue;
            };
            party.held_by_device = false;
            if !self.talks_elsewhere((id, key)) {
                let told = Told::new(EventName::EventRetrieved, PartyState::Connected, CallState::Ok);
                self.tell(id, key, told, out);
            }
        }
    }

    /// A party in talk whose device holds is on hold.
    pub(super) fn hold_as_device_does(&mut self, id: ConnId, key: DeviceKey, out: &mut Vec<CallOutput>) {
        let talks = self.party(id, key).is_some_and(|party| party.state == PartyState::Connected);
        if !talks || !self.device_holds(key) {
            return;
        }
        self.tell(id, key, Told::new(EventName::EventHeld, PartyState::Held, CallState::Ok), out);
        for other in self.conns_of(key) {
            if let Some(party) = self.party_mut(other, key) {
                party.held_by_device = other == id;
            }
        }
    }

    /// The same of every party, after the legs that they are on have changed.
    pub(super) fn hold_as_devices_do(&mut self, out: &mut Vec<CallOutput>) {
        let holding = self.devices.iter().filter(|device| device.holds).map(|device| device.key);
        for key in holding.collect::<SmallVec<[DeviceKey; 2]>>() {
            for id in self.conns_of(key) {
                self.hold_as_device_does(id, key, out);
            }
        }
    }
}
