//! Translation between the conference's legs and the user agent's sessions. No state, no branching on the call's state.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tandem_model::leg::{AckBody, ContactVia, Description, Direction, LegCommand, LegEvent};
use tandem_model::link::{ForwardReason, Forwarded};
use tandem_model::{ConferenceId, LegId};
use tandem_sip::identity::{self, Identity, IdentityStyle, Presented, Privacy, Reason, Towards, Trust};
use tandem_sip::session;
use tandem_sip::ua::{Invite, ReferKey, SessionId, UaEvent};

use super::{Shard, admission, target};
use crate::devices::Devices;
use crate::location::Locations;

/// The header that carries the Conversation-ID, so that both sides of a call can be matched from outside.
pub const CONVERSATION_ID: &str = "Ms-Conversation-ID";

/// How long a caller waits who came while there was no room, or while the server drains (RFC 3261 s.21.5.4).
pub(super) const RETRY_AFTER_SECONDS: &str = "5";

/// What a session event means to its leg, and whether the session is over with it. `None`: not a leg's business.
pub fn leg_event(event: UaEvent) -> Option<(SessionId, LegEvent, bool)> {
    Some(match event {
        UaEvent::Progress { session, status, sdp } => (session, LegEvent::Progress { status, sdp }, false),
        UaEvent::Answered { session, sdp } => (session, LegEvent::Answered { sdp }, false),
        UaEvent::Failed {
            session,
            status,
            q850,
            reason,
            contacts,
        } => {
            let failed = LegEvent::Failed {
                status,
                q850,
                reason,
                contacts,
            };
            (session, failed, true)
        }
        UaEvent::Acked { session, sdp } => (session, LegEvent::Acked { sdp }, false),
        UaEvent::Cancelled { session, q850, reason } => (session, LegEvent::Cancelled { q850, reason }, true),
        UaEvent::Reinvited { session, offer } => {
            let direction = offer.as_deref().map(direction).unwrap_or_default();
            (session, LegEvent::Reoffered { offer, direction }, false)
        }
        UaEvent::ReinviteAnswered { session, sdp } => (session, LegEvent::ReinviteAnswered { sdp }, false),
        UaEvent::ReinviteFailed { session, status } => (session, LegEvent::ReinviteFailed { status }, false),
        UaEvent::Talked { session, status } => (session, LegEvent::Talked { status }, false),
        UaEvent::Info {
            session,
            content_type,
            body,
        } => (session, LegEvent::Info { content_type, body }, false),
        UaEvent::Ended {
            session,
            by_peer: by_device,
            q850,
            reason,
        } => (session, LegEvent::Ended { by_device, q850, reason }, true),
        // The conference answers the offer as if it stood; the user agent takes that answer for the end of the matter.
        UaEvent::ReinviteCancelled { .. } => return None,
        UaEvent::Incoming { .. }
        | UaEvent::Referred { .. }
        | UaEvent::OutOfReach { .. }
        | UaEvent::Subscribed { .. }
        | UaEvent::SubscriptionRefreshed { .. }
        | UaEvent::SubscriptionEnded { .. }
        | UaEvent::Request { .. }
        | UaEvent::Response { .. } => return None,
    })
}

/// The session that an event is about.
pub fn session_of(event: &UaEvent) -> Option<SessionId> {
    match event {
        UaEvent::Incoming { session, .. }
        | UaEvent::Progress { session, .. }
        | UaEvent::Answered { session, .. }
        | UaEvent::Failed { session, .. }
        | UaEvent::Acked { session, .. }
        | UaEvent::Cancelled { session, .. }
        | UaEvent::Reinvited { session, .. }
        | UaEvent::ReinviteCancelled { session }
        | UaEvent::ReinviteAnswered { session, .. }
        | UaEvent::ReinviteFailed { session, .. }
        | UaEvent::Info { session, .. }
        | UaEvent::Talked { session, .. }
        | UaEvent::Referred { session, .. }
        | UaEvent::OutOfReach { session }
        | UaEvent::Ended { session, .. } => Some(*session),
        UaEvent::Subscribed { .. }
        | UaEvent::SubscriptionRefreshed { .. }
        | UaEvent::SubscriptionEnded { .. }
        | UaEvent::Request { .. }
        | UaEvent::Response { .. } => None,
    }
}

/// Carries one leg command out. A leg that cannot be made comes back as the event that says so.
pub fn carry_out(
    shard: &mut Shard,
    devices: &Devices,
    locations: &Locations,
    now: Instant,
    conference: ConferenceId,
    leg: LegId,
    command: LegCommand,
) -> Option<LegEvent> {
    if let LegCommand::Invite { contact, .. } = &command {
        let invite = target::invitation(devices, locations, contact);
        let (trust, kind) = match &contact.via {
            ContactVia::Trunk(dn) => (devices.trunk(dn).map_or(Trust::Untrusted, admission::trust), "np"),
            ContactVia::Binding(_) | ContactVia::Elsewhere { .. } => (Trust::Untrusted, "rc"),
        };
        let side = Side {
            device: target::device(locations, contact),
            headers: devices.headers(contact.via.dn()),
            trust,
            kind,
        };
        return make_leg(shard, invite, side, now, conference, leg, command);
    }
    if let LegCommand::ReferProgress { refer, status } = command {
        // The subscription of a REFER may outlive the session.
        shard.ua.refer_progress(now, ReferKey(refer.0), status);
        return None;
    }
    // A command that crossed the end of its leg has nobody to go to.
    let session = shard.session_of(conference, leg)?;
    match command {
        LegCommand::Invite { .. } | LegCommand::ReferProgress { .. } => {}
        LegCommand::Progress { status, answer } => {
            let answer = answer.and_then(|sdp| local(shard, session, sdp));
            shard.ua.progress(now, session, status, answer);
        }
        LegCommand::Accept { sdp } => {
            let sdp = sdp.and_then(|sdp| local(shard, session, sdp));
            shard.ua.accept(now, session, sdp);
        }
        LegCommand::Reject { status, reason } => {
            let later = (status == 503).then(|| ("Retry-After".into(), RETRY_AFTER_SECONDS.into()));
            let reason = reason.and_then(|reason| Some(("Reason".into(), Reason::cleaned(&reason)?)));
            let headers: Vec<(Arc<str>, Arc<str>)> = later.into_iter().chain(reason).collect();
            shard.ua.reject(now, session, status, &headers);
        }
        LegCommand::Ack { answer } => {
            let body = match answer {
                AckBody::Nothing => None,
                AckBody::Answer(sdp) => local(shard, session, sdp),
                AckBody::Inactive => inactive_answer(shard, session),
            };
            shard.ua.ack(now, session, body);
        }
        LegCommand::Cancel { reason } => {
            let reason = reason.and_then(|reason| Reason::cleaned(&reason));
            shard.ua.cancel(now, session, reason.as_deref());
        }
        LegCommand::Reinvite { offer } => {
            let offer = offer.and_then(|sdp| local(shard, session, sdp));
            shard.ua.reinvite(now, session, offer);
        }
        LegCommand::AcceptReinvite { sdp } => {
            let sdp = sdp.and_then(|sdp| local(shard, session, sdp));
            shard.ua.accept_reinvite(now, session, sdp);
        }
        LegCommand::RejectReinvite { status } => shard.ua.reject_reinvite(now, session, status),
        LegCommand::Info { content_type, body } => shard.ua.info(now, session, &content_type, body),
        LegCommand::Bye { reason } => {
            let reason = reason.and_then(|reason| Reason::cleaned(&reason));
            shard.ua.bye(now, session, reason.as_deref());
        }
        LegCommand::Talk => shard.ua.talk(now, session),
    }
    None
}

/// To whom a new leg goes.
struct Side<'a> {
    /// Which device that is, where it may register anew.
    device: Option<target::Registered>,
    /// The headers that stand in every INVITE sent there.
    headers: &'a [(Arc<str>, Arc<str>)],
    /// Whether it is trusted with who calls. A device is not: a person reads what it shows.
    trust: Trust,
    /// How it is found, for History-Info.
    kind: &'static str,
}

/// Sends the INVITE of a new leg; `invite` is blank but for the way to the device, `None` where that is gone.
fn make_leg(
    shard: &mut Shard,
    invite: Option<Invite>,
    side: Side<'_>,
    now: Instant,
    conference: ConferenceId,
    leg: LegId,
    command: LegCommand,
) -> Option<LegEvent> {
    let LegCommand::Invite {
        party,
        contact: _,
        offer,
        caller,
        caller_name,
        presentation,
        auto_answer,
        conversation_id,
        headers,
        forwarded,
    } = command
    else {
        return None;
    };
    let max_forwards = shard.max_forwards(conference);
    if max_forwards == 0 {
        return Some(failed(483));
    }
    let Some(mut invite) = invite else {
        return Some(failed(480));
    };
    let caller = Identity {
        uri: Arc::from(caller.as_str()),
        display: caller_name,
    };
    let privacy = presentation.privacy.as_deref().map(Privacy::parse).unwrap_or_default();
    let presented = presented(&caller, presentation.unasserted, privacy, side.trust);
    invite.from = presented.from;
    invite.headers.extend(presented.headers);
    invite.headers.push(("Max-Forwards".into(), max_forwards.to_string().into()));
    invite.headers.push((CONVERSATION_ID.into(), conversation_id.clone()));
    invite.headers.extend(side.headers.iter().cloned());
    let towards = Towards {
        to: &invite.to,
        kind: side.kind,
        trust: side.trust,
        privacy,
    };
    invite.headers.extend(identity::continued(
        headers,
        &forwarded.iter().map(told).collect::<Vec<_>>(),
        towards,
    ));
    if auto_answer {
        invite.headers.extend(auto_answer_headers());
    }
    let mut description = shard.new_description();
    invite.offer = offer.and_then(|offer| match offer {
        Description::Passed(sdp) => Some(description.next(&sdp)),
        Description::Anchored => None,
    });
    let session = shard.ua.invite(now, invite);
    if let Some(device) = side.device {
        device.tell(&mut shard.ua, session);
    }
    // The T-Server side's span has the call's own ids; this line joins them to the leg.
    tracing::info!(%conference, %conversation_id, sip_call_id = shard.ua.session_call_id(session), "leg invited");
    shard.add_session(session, conference, leg, party, description);
    None
}

/// A description as this session's next one of ours: its own origin, a higher version when it changed.
fn local(shard: &mut Shard, session: SessionId, description: Description) -> Option<Bytes> {
    let Description::Passed(sdp) = description else {
        return None;
    };
    Some(match shard.session(session) {
        Some(entry) => entry.local.next(&sdp),
        None => sdp,
    })
}

/// A leg that could not be made.
fn failed(status: u16) -> LegEvent {
    LegEvent::Failed {
        status,
        q850: None,
        reason: None,
        contacts: Vec::new(),
    }
}

/// Which way a device wants its audio to flow.
pub fn direction(sdp: &[u8]) -> Direction {
    match session::direction(sdp) {
        session::Direction::SendRecv => Direction::SendRecv,
        session::Direction::SendOnly => Direction::SendOnly,
        session::Direction::RecvOnly => Direction::RecvOnly,
        session::Direction::Inactive => Direction::Inactive,
    }
}

fn inactive_answer(shard: &mut Shard, session: SessionId) -> Option<Bytes> {
    let offer = shard.ua.session_remote_sdp(session)?;
    let answer = session::inactive_answer(offer)?;
    local(shard, session, answer.into())
}

fn told(forwarded: &Forwarded) -> identity::Forwarded {
    identity::Forwarded {
        by: forwarded.by.as_str().into(),
        reason: match forwarded.reason {
            ForwardReason::Unconditional => identity::ForwardReason::Unconditional,
            ForwardReason::Deflection => identity::ForwardReason::Deflection,
        },
    }
}

/// How the caller stands on a leg (RFC 3323, RFC 3325).
fn presented(caller: &Identity, unasserted: bool, privacy: Privacy, receiver: Trust) -> Presented {
    let style = if unasserted {
        IdentityStyle::FromOnly
    } else {
        IdentityStyle::Asserted
    };
    identity::present(caller, privacy, receiver, style)
}

/// The headers that phones of several makers take as "answer by yourself" (RFC 5373, and the two older conventions).
fn auto_answer_headers() -> [(Arc<str>, Arc<str>); 3] {
    [
        ("Answer-Mode".into(), "Auto".into()),
        ("Call-Info".into(), "<sip:auto-answer.invalid>;answer-after=0".into()),
        (
            "Alert-Info".into(),
            "<http://auto-answer.invalid>;info=alert-autoanswer;delay=0".into(),
        ),
    ]
}
