//! MakeCall: third-party call control. The caller's own device is called first, then the destination (RFC 3725 s.4; T-Library reference ch. 9.1).
//!
//! The caller has its EventDialing at once: for clients it dials while its own device is called.

use std::sync::Arc;
use std::time::Instant;

use super::conn::{Conn, Stage};
use super::device::{Device, DeviceKey, Leg};
use super::events::Told;
use super::headers::LegOptions;
use super::party::Party;
use super::{Call, CallOutput, Phase, flow, headers, user_data};
use crate::link::{Forwarded, LinkRequest, MakeParty, PartyTarget, Presentation};
use crate::numbering::{Destination, DnKind, Numbering};
use crate::{
    CallState, CallType, ConnId, DnId, DnRole, EventName, KvList, MakeCallType, PartyState, Request, Requestor, TError,
    TErrorCode,
};

/// The longest number, URI or name that is repeated in events, in bytes.
pub(super) const MAX_TEXT: usize = 255;

/// A MakeCall with its requestor.
#[derive(Clone, PartialEq, Debug)]
pub struct Make {
    /// Who asks.
    pub requestor: Requestor,
    /// The DN that is to call.
    pub this_dn: DnId,
    /// What it is to dial.
    pub other_dn: String,
    /// A location of another switch: not supported.
    pub location: Option<String>,
    /// Only Regular is supported (seed 002 line 3429).
    pub make_call_type: MakeCallType,
    /// The call's user data.
    pub user_data: KvList,
    /// Echoed in EventDialing.
    pub reasons: KvList,
    /// `calling-method`, `CPNDigits` and `sip-headers` for the destination's leg; `RemoteMediaFlowState` asks for EventCallInfoChanged.
    pub extensions: KvList,
}

impl Make {
    /// The MakeCall that `requestor` asks for; `None` where the request is another one.
    pub fn from_request(requestor: Requestor, request: Request) -> Option<Self> {
        match request {
            Request::MakeCall {
                this_dn,
                other_dn,
                location,
                make_call_type,
                user_data,
                reasons,
                extensions,
            } => Some(Self {
                requestor,
                this_dn,
                other_dn,
                location,
                make_call_type,
                user_data,
                reasons,
                extensions,
            }),
            _ => None,
        }
    }
}

/// A destination, resolved.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Called {
    pub(super) dn: DnId,
    pub(super) target: PartyTarget,
    pub(super) call_type: CallType,
}

impl Call {
    pub(super) fn make(&mut self, make: Make, now: Instant, out: &mut Vec<CallOutput>) {
        if self.phase != Phase::New {
            let error = TError::new(TErrorCode::InvalidState, "this call was made already");
            return self.refuse(make.requestor, None, Some(&make.this_dn), error, out);
        }
        match self.check_make(&make) {
            Ok((called, leg)) => self.start_make(make, called, leg, now, out),
            Err(error) => {
                self.refuse(make.requestor, None, Some(&make.this_dn), error, out);
                self.finish_refused(out);
            }
        }
    }

    fn check_make(&self, make: &Make) -> Result<(Called, LegOptions), TError> {
        if make.make_call_type != MakeCallType::Regular {
            let text = format!("makeCallType {} is not supported, only Regular is", make.make_call_type);
            return Err(TError::new(TErrorCode::UnsupportedOperation, text));
        }
        if make.location.as_ref().is_some_and(|location| !location.is_empty()) {
            return Err(TError::new(
                TErrorCode::UnsupportedOperation,
                "calls to another location are not supported",
            ));
        }
        match self.numbering.dn(&make.this_dn) {
            None => {
                return Err(TError::new(
                    TErrorCode::InvalidCallingDn,
                    format!("{} is no DN of ours", make.this_dn),
                ));
            }
            Some(config) if config.kind != DnKind::Extension => {
                return Err(TError::new(
                    TErrorCode::InvalidCallingDn,
                    format!("{} is no Extension", make.this_dn),
                ));
            }
            Some(_) => {}
        }
        user_data::check_size(&make.user_data, self.settings.user_data_limit_bytes)?;
        flow::check(&make.extensions)?;
        let leg = self.leg_options(&make.this_dn, &make.other_dn, &make.extensions)?;
        Ok((called(&self.numbering, &make.other_dn, &make.this_dn)?, leg))
    }

    fn start_make(&mut self, make: Make, called: Called, leg: LegOptions, now: Instant, out: &mut Vec<CallOutput>) {
        let config = self.numbering.dn(&make.this_dn);
        let auto_answer = config.is_some_and(|config| config.auto_answer);
        let own = Called {
            target: PartyTarget::Dn(make.this_dn.clone()),
            dn: make.this_dn,
            call_type: called.call_type,
        };
        let (call_type, conference) = (called.call_type, self.ids.conference);
        let ani = calling_number(&self.numbering, &own.dn);
        let origin = self.new_device(conference, own);
        let destination = self.new_device(conference, called);
        self.set_leg_options(destination, leg, &make.other_dn);
        let mut conn = Conn::new(&self.ids, call_type, origin, destination, now);
        conn.ani = Some(ani);
        conn.dnis = Some(make.other_dn.into());
        conn.user_data = Arc::new(make.user_data);
        conn.tells_flow = flow::is_asked(&make.extensions);
        conn.stage = Stage::CallingOrigin;
        conn.parties.push(Party::new(origin, DnRole::Origination));
        conn.parties.push(Party::new(destination, DnRole::Destination));
        let id = conn.id;
        self.conns.push(conn);
        self.phase = Phase::Live;
        let told = Told {
            requestor: Some(make.requestor),
            reasons: make.reasons,
            ..Told::new(EventName::EventDialing, PartyState::Dialing, CallState::Ok)
        };
        self.tell(id, origin, told, out);
        self.make_party(id, origin, destination, auto_answer, now, out);
    }

    /// Asks the connector to call a device for a call; it is shown `shown` as who calls.
    pub(super) fn make_party(
        &mut self,
        conn: ConnId,
        key: DeviceKey,
        shown: DeviceKey,
        auto_answer: bool,
        now: Instant,
        out: &mut Vec<CallOutput>,
    ) {
        let deadline = self.answer_deadline(now);
        let Some((mut presentation, preferred)) = self.device(shown).map(Device::shown) else {
            return;
        };
        let Some(shown) = self.dn_of(shown) else { return };
        let Some(device) = self.device_mut(key) else { return };
        device.leg = Leg::Made;
        device.deadline = deadline;
        let (conference, party, target) = (device.conference, device.id, device.target.clone());
        let external = device.is_outside();
        let (identity, as_endpoint) = (device.calling.identity.clone(), device.calling.shows_endpoint());
        let own = device.headers.clone();
        let room = self.room_mut(conference);
        room.made = true;
        let audited = room.audit.is_some();
        if let Some(device) = self.device_mut(key) {
            device.is_newer = audited;
        }
        let config = self.numbering.dn(&shown);
        let hidden = identity.is_some();
        if hidden {
            // What the configuration or the client says stands in the place of the caller: there is nothing of that one to hide.
            presentation = Presentation::default();
        }
        let caller = identity.or(preferred).unwrap_or_else(|| self.address(&shown, external));
        let Some(call) = self.conn(conn) else { return };
        let origin = call.stage == Stage::CallingOrigin;
        let caller_name = match config {
            _ if hidden => None,
            Some(config) => config.display_name.clone(),
            None => call.caller_name.clone().filter(|_| !origin),
        };
        let make = MakeParty {
            conference,
            party,
            target,
            caller,
            caller_name,
            presentation,
            as_endpoint,
            auto_answer,
            ring_timeout_ms: self.settings.ring_timeout_ms,
            conversation_id: call.conversation_id.clone(),
            headers: if origin { own } else { headers::joined(&call.headers, own) },
            forwarded: if origin { Vec::new() } else { self.forwarded(call, external) },
            elsewhere: Vec::new(),
        };
        out.push(CallOutput::Link(LinkRequest::MakeParty(make)));
    }

    /// By which address a DN is known: another switch knows our extension numbers, not our user names.
    fn address(&self, dn: &DnId, external: bool) -> DnId {
        let number = self.numbering.dn(dn).and_then(|config| config.extension_number.as_deref());
        match number {
            Some(number) if external => DnId::new(&format!("sip:{number}@{}", self.numbering.default_domain())),
            _ => self.numbering.sip_uri(dn),
        }
    }

    fn forwarded(&self, call: &Conn, external: bool) -> Vec<Forwarded> {
        let by = |forwarded: &Forwarded| Forwarded {
            by: self.address(&forwarded.by, external),
            reason: forwarded.reason,
        };
        call.forwarded.iter().map(by).collect()
    }
}

/// Why what was dialled leads nowhere.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NotCalled {
    /// A DN that calls itself has called nobody: the events of its two parties could not be told apart.
    #[error("{0} cannot call itself")]
    Itself(DnId),
    /// No DN and no rule.
    #[error("`{0}` is no DN of ours and no dial rule leads there")]
    Unknown(String),
    /// A rule, or the lack of one for calls from outside.
    #[error("the dial plan does not allow calls to `{0}`")]
    Prohibited(String),
}

impl From<NotCalled> for TError {
    fn from(error: NotCalled) -> Self {
        let code = match error {
            NotCalled::Itself(_) | NotCalled::Unknown(_) => TErrorCode::InvalidCalledDn,
            NotCalled::Prohibited(_) => TErrorCode::InvalidDestinationDn,
        };
        Self::new(code, error.to_string())
    }
}

/// Resolves what `calling` dials.
pub(super) fn called(numbering: &Numbering, dialled: &str, calling: &DnId) -> Result<Called, NotCalled> {
    match numbering.resolve(dialled, Some(calling)) {
        Destination::Extension(dn) if dn == *calling => Err(NotCalled::Itself(dn)),
        Destination::Extension(dn) => Ok(Called {
            target: PartyTarget::Dn(dn.clone()),
            dn,
            call_type: CallType::Internal,
        }),
        Destination::Trunk { trunk, number, other_dn } => Ok(Called {
            dn: other_dn,
            target: PartyTarget::Trunk { trunk, number },
            call_type: CallType::Outbound,
        }),
        Destination::Unknown => Err(NotCalled::Unknown(shortened(dialled).to_owned())),
        Destination::Prohibited => Err(NotCalled::Prohibited(shortened(dialled).to_owned())),
    }
}

/// At most [`MAX_TEXT`] bytes of what was dialled: nothing longer is anybody's address, and it is repeated in events and errors.
pub(super) fn shortened(dialled: &str) -> &str {
    let mut end = dialled.len().min(MAX_TEXT);
    while !dialled.is_char_boundary(end) {
        end -= 1;
    }
    dialled.get(..end).unwrap_or_default()
}

/// ANI: the number by which the caller is called, its DN where it has none.
pub(super) fn calling_number(numbering: &Numbering, dn: &DnId) -> Arc<str> {
    let number = numbering.dn(dn).and_then(|config| config.extension_number.clone());
    number.unwrap_or_else(|| dn.as_str().into())
}
