//! Why a party ended, in the words of CTI: the one place where a SIP status or a Q.850 cause becomes a CallState.
//!
//! T-Library fixes Busy, NoAnswer and SitInvalidnum by name (T-Library reference ch. 9.1); the rest of the table is ours: the
//! Special Information Tones (SIT) by what a switch would play. 403 is an intercept, 503 no circuit, the other 5xx a reorder.

use super::Outcome;
use crate::link::{Cause, ReleasedBy};
use crate::{CallState, TError, TErrorCode};

/// What the failure of a call attempt means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    /// The CallState of the terminal events.
    pub(super) state: CallState,
    /// How the call is counted.
    pub(super) outcome: Outcome,
    /// Whether the destination itself turned the call down, which EventDestinationBusy tells the caller.
    pub(super) turned_down: bool,
}

/// Judges why a device that was called did not answer. `rang`: it had said that it rings.
pub(super) fn verdict(cause: &Cause, rang: bool) -> Verdict {
    use CallState::{Busy, GeneralError, NoAnswer, SitIntercept, SitInvalidnum, SitNocircuit, SitReorder, SitUnknown, SitVacant};
    let (state, outcome, turned_down) = match cause.sip_status.or_else(|| status_of_q850(cause)) {
        Some(486 | 600) => (Busy, Outcome::Busy, true),
        Some(603 | 607 | 608) => (Busy, Outcome::Rejected, true),
        Some(404 | 414 | 416 | 484 | 485 | 604) => (SitInvalidnum, Outcome::Unreachable, true),
        Some(410) => (SitVacant, Outcome::Unreachable, true),
        Some(403) => (SitIntercept, Outcome::Rejected, true),
        Some(408 | 480 | 487) if rang => (NoAnswer, Outcome::NoAnswer, false),
        Some(408 | 480 | 487 | 430) => (SitUnknown, Outcome::Unreachable, false),
        Some(503) => (SitNocircuit, Outcome::Unreachable, false),
        Some(500..=599) => (SitReorder, Outcome::Failed, false),
        Some(_) => (GeneralError, Outcome::Failed, false),
        None if cause.by == ReleasedBy::Device => (Busy, Outcome::Rejected, true),
        None if rang => (NoAnswer, Outcome::NoAnswer, false),
        None => (GeneralError, Outcome::Failed, false),
    };
    Verdict {
        state,
        outcome,
        turned_down,
    }
}

/// The SIP status that stands for a Q.850 cause (RFC 3398 s.7.2.4.1), where no status came with it.
fn status_of_q850(cause: &Cause) -> Option<u16> {
    match cause.q850? {
        1 | 2 | 3 | 28 => Some(404),
        17 => Some(486),
        18..=20 | 31 => Some(480),
        21 => Some(603),
        22 => Some(410),
        34 | 38 | 41 | 42 | 47 => Some(503),
        55 | 57 => Some(403),
        _ => None,
    }
}

/// With which status a caller whose call is not answered yet is told of `status`. A challenge or a redirection was meant for us
/// alone (RFC 3261 s.16.7), and a caller that takes 408 for a lost network would call again.
pub(super) fn status_for_caller(status: Option<u16>) -> u16 {
    match status {
        Some(401 | 407) => 500,
        Some(408) | Some(300..=399) | None => 480,
        Some(status @ 400..=699) => status,
        Some(_) => 500,
    }
}

/// The error of a request to call somebody who was not reached.
pub(super) fn error_of_call(outcome: Outcome) -> TError {
    let code = match outcome {
        Outcome::Busy => TErrorCode::DnBusy,
        Outcome::NoAnswer => TErrorCode::DnNoAnswer,
        Outcome::Rejected => TErrorCode::CallRejected,
        _ => TErrorCode::ConnectionAttemptFailed,
    };
    code.into()
}

/// The error of an operation that the connector could not do.
pub(super) fn error_of_operation(cause: &Cause) -> TError {
    let code = match cause.sip_status {
        Some(408 | 504) => TErrorCode::Timeout,
        Some(481) => TErrorCode::DisconnectedCall,
        Some(491) => TErrorCode::OtherOperationPending,
        Some(501) => TErrorCode::UnsupportedOperation,
        _ => TErrorCode::OperationIncompatible,
    };
    match cause.sip_status {
        Some(status) => TError::new(code, format!("{} (SIP status {status})", code.text())),
        None => code.into(),
    }
}

/// The error of an operation whose party could not be moved to the conference of the others.
pub(super) fn error_of_move(cause: &Cause) -> TError {
    match cause.sip_status {
        Some(501) => TError::new(
            TErrorCode::UnsupportedOperation,
            "the two calls are at connectors of two processes, and a leg does not move from one to the other",
        ),
        _ => error_of_operation(cause),
    }
}

/// The error of an AnswerCall that no phone takes.
pub(super) fn error_of_wish(cause: &Cause) -> TError {
    let status = match cause.sip_status {
        Some(status) if cause.by == ReleasedBy::Device => status,
        _ => return error_of_operation(cause),
    };
    let (code, why) = match status {
        405 | 489 => (TErrorCode::UnsupportedOperation, "it does not take `Event: talk`"),
        408 => (TErrorCode::Timeout, "it says nothing to `Event: talk`"),
        _ => (TErrorCode::UnsupportedOperation, "it refuses `Event: talk`"),
    };
    TError::new(
        code,
        format!("the phone cannot be made to answer: {why} (SIP status {status})"),
    )
}

/// The error of an AnswerCall whose phone has stopped ringing. `taken`: it had said that it would answer.
pub(super) fn error_of_silence(outcome: Outcome, taken: bool) -> TError {
    let error = error_of_call(outcome);
    if error.code == TErrorCode::DnNoAnswer && taken {
        return TError::new(error.code, "the phone has taken `Event: talk` and did not answer");
    }
    error
}

/// With which status a phone that asked for a transfer is told of an error.
pub(super) fn status_of_error(code: TErrorCode) -> u16 {
    match code {
        TErrorCode::DnBusy | TErrorCode::DestinationInvalidState => 486,
        TErrorCode::DnNoAnswer => 480,
        TErrorCode::CallRejected => 603,
        TErrorCode::InvalidCalledDn => 404,
        TErrorCode::InvalidDestinationDn
        | TErrorCode::CannotCompleteTransfer
        | TErrorCode::PrivilegeViolation
        | TErrorCode::ProhibitedRoute => 403,
        TErrorCode::DisconnectedCall | TErrorCode::PartyNotOnCall | TErrorCode::InvalidConnId => 481,
        TErrorCode::OtherOperationPending => 491,
        TErrorCode::UnsupportedOperation => 501,
        TErrorCode::InvalidCallState => 488,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(by: ReleasedBy, sip_status: Option<u16>, q850: Option<u8>, rang: bool) -> (&'static str, &'static str, bool) {
        let reason = None;
        let verdict = verdict(
            &Cause {
                by,
                sip_status,
                q850,
                reason,
            },
            rang,
        );
        (verdict.state.name(), verdict.outcome.name(), verdict.turned_down)
    }

    #[test]
    fn each_status_has_its_call_state() {
        use ReleasedBy::{Device, Network, Server};
        for (by, status, q850, rang, expected) in [
            (Device, Some(486), None, true, ("Busy", "busy", true)),
            (Device, Some(600), None, false, ("Busy", "busy", true)),
            (Device, Some(603), Some(17), true, ("Busy", "rejected", true)),
            (Device, Some(403), None, false, ("SitIntercept", "rejected", true)),
            (Device, Some(404), None, false, ("SitInvalidnum", "unreachable", true)),
            (Device, Some(484), None, false, ("SitInvalidnum", "unreachable", true)),
            (Device, Some(604), None, false, ("SitInvalidnum", "unreachable", true)),
            (Device, Some(410), None, false, ("SitVacant", "unreachable", true)),
            (Network, Some(480), Some(19), true, ("NoAnswer", "no_answer", false)),
            (Network, Some(408), Some(18), false, ("SitUnknown", "unreachable", false)),
            (Network, Some(480), Some(20), false, ("SitUnknown", "unreachable", false)),
            (Network, Some(503), None, false, ("SitNocircuit", "unreachable", false)),
            (Device, Some(500), None, true, ("SitReorder", "failed", false)),
            (Device, Some(488), None, true, ("GeneralError", "failed", false)),
            (Device, Some(302), None, false, ("GeneralError", "failed", false)),
            (Device, Some(0), None, false, ("GeneralError", "failed", false)),
            (Device, None, None, true, ("Busy", "rejected", true)),
            (Network, None, None, true, ("NoAnswer", "no_answer", false)),
            (Server, None, None, false, ("GeneralError", "failed", false)),
            (Network, None, Some(1), false, ("SitInvalidnum", "unreachable", true)),
            (Network, None, Some(17), false, ("Busy", "busy", true)),
            (Network, None, Some(19), true, ("NoAnswer", "no_answer", false)),
            (Network, None, Some(21), true, ("Busy", "rejected", true)),
            (Network, None, Some(34), false, ("SitNocircuit", "unreachable", false)),
            (Network, None, Some(127), false, ("GeneralError", "failed", false)),
        ] {
            assert_eq!(judged(by, status, q850, rang), expected, "{by:?} {status:?} {q850:?} {rang}");
        }
    }

    #[test]
    fn a_caller_is_told_the_status_except_what_was_meant_for_us() {
        for (status, told) in [
            (Some(486), 486),
            (Some(603), 603),
            (Some(401), 500),
            (Some(407), 500),
            (Some(302), 480),
            (Some(408), 480),
            (None, 480),
            (Some(200), 500),
            (Some(999), 500),
        ] {
            assert_eq!(status_for_caller(status), told, "{status:?}");
        }
    }
}
