//! Which calls T-Server keeps hold of: pass-through calls, which have no party of ours left (seed 002 lines 2410-2439), and direct calls,
//! which a DN's own client makes or gets (seed 002 lines 2330-2402).
//!
//! Pure questions: who takes part is for the caller to say. Users of another switch and unmonitored users cannot be told apart (seed 002
//! line 2439): both are external.

use crate::{TError, TErrorCode};

/// Whether a call may go on when none of its parties is a DN of ours (`allow-pass-through-calls`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum PassThrough {
    /// It may.
    #[default]
    All,
    /// It is released, and a request that would make one is refused.
    None,
    /// It may where a party is at another T-Server.
    Iscc,
}

/// What a party is to T-Server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// A DN of ours.
    Ours,
    /// Behind a trunk.
    External,
    /// Behind a trunk, at a DN of another T-Server that inter-server call control reaches.
    OtherServer,
}

/// A request that changes who takes part in a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Regrouping {
    /// CompleteTransfer, or MergeCalls for a transfer.
    CompleteTransfer,
    /// SingleStepTransfer.
    SingleStepTransfer,
    /// RouteCall, RedirectCall.
    RouteCall,
}

impl PassThrough {
    /// Whether a call of these parties may be. A call of nobody is no pass-through call.
    pub fn allows(self, parties: impl IntoIterator<Item = Standing>) -> bool {
        let (mut empty, mut ours, mut other_server) = (true, false, false);
        for standing in parties {
            empty = false;
            ours |= standing == Standing::Ours;
            other_server |= standing == Standing::OtherServer;
        }
        match self {
            Self::All => true,
            Self::None => ours || empty,
            Self::Iscc => ours || other_server || empty,
        }
    }

    /// Whether a request may be that leaves the call with these parties.
    pub fn check(self, request: Regrouping, parties: impl IntoIterator<Item = Standing>) -> Result<(), TError> {
        if self.allows(parties) {
            return Ok(());
        }
        Err(match request {
            Regrouping::CompleteTransfer => TErrorCode::CannotCompleteTransfer,
            Regrouping::SingleStepTransfer => TErrorCode::PrivilegeViolation,
            Regrouping::RouteCall => TErrorCode::ProhibitedRoute,
        }
        .into())
    }
}

/// When calls of a DN's own client are handled (`handle-direct-calls`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum HandleDirectCalls {
    /// Always.
    #[default]
    Always,
    /// Never.
    Never,
    /// While an agent is logged in there.
    OnLogin,
}

/// Which media of them are handled (`handle-direct-calls-media`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DirectMedia {
    /// Audio and video.
    pub av: bool,
    /// Instant messages.
    pub im: bool,
}

impl Default for DirectMedia {
    /// All.
    fn default() -> Self {
        Self { av: true, im: true }
    }
}

/// Which direct calls of a DN are handled: the DN's own setting, else the application's; a client may override both for its session
/// (seed 002 lines 2369-2388).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct DirectCalls {
    /// When.
    pub handle: HandleDirectCalls,
    /// Which media.
    pub media: DirectMedia,
}

impl DirectCalls {
    /// Whether a direct audio call is handled.
    pub fn handles_audio(self, agent_logged_in: bool) -> bool {
        self.media.av && self.handles(agent_logged_in)
    }

    /// Whether a direct exchange of messages is handled.
    pub fn handles_messages(self, agent_logged_in: bool) -> bool {
        self.media.im && self.handles(agent_logged_in)
    }

    fn handles(self, agent_logged_in: bool) -> bool {
        match self.handle {
            HandleDirectCalls::Always => true,
            HandleDirectCalls::Never => false,
            HandleDirectCalls::OnLogin => agent_logged_in,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Standing::{External, OtherServer, Ours};
    use super::*;

    /// Seed 002 lines 2410-2435.
    #[test]
    fn a_call_without_any_party_of_ours_is_a_matter_of_policy() {
        let table: &[(&[Standing], [bool; 3])] = &[
            (&[Ours, External], [true, true, true]),
            (&[Ours, Ours], [true, true, true]),
            (&[External, External], [true, false, false]),
            (&[External, OtherServer], [true, false, true]),
            (&[External, External, Ours], [true, true, true]),
            (&[External], [true, false, false]),
            (&[], [true, true, true]),
        ];
        for (parties, expected) in table {
            let policies = [PassThrough::All, PassThrough::None, PassThrough::Iscc];
            assert_eq!(
                policies.map(|policy| policy.allows(parties.iter().copied())),
                *expected,
                "{parties:?}"
            );
        }
    }

    /// Seed 002 lines 2423-2425.
    #[test]
    fn each_request_that_is_refused_has_its_error() {
        for (request, number) in [
            (Regrouping::CompleteTransfer, 98),
            (Regrouping::SingleStepTransfer, 1148),
            (Regrouping::RouteCall, 705),
        ] {
            let refused = PassThrough::None.check(request, [External, External]);
            assert_eq!(refused.map_err(|error| error.code.number()), Err(number));
            assert_eq!(PassThrough::None.check(request, [External, Ours]), Ok(()));
            assert_eq!(PassThrough::All.check(request, [External, External]), Ok(()));
        }
    }

    #[test]
    fn direct_calls_are_handled_always_never_or_while_somebody_is_logged_in() {
        let of = |handle, media| DirectCalls { handle, media };
        let im = DirectMedia { av: false, im: true };
        assert!(DirectCalls::default().handles_audio(false) && DirectCalls::default().handles_messages(false));
        assert!(!of(HandleDirectCalls::Never, DirectMedia::default()).handles_audio(true));
        let on_login = of(HandleDirectCalls::OnLogin, DirectMedia::default());
        assert!(on_login.handles_audio(true) && !on_login.handles_audio(false));
        let messages = of(HandleDirectCalls::Always, im);
        assert!(messages.handles_messages(false) && !messages.handles_audio(false));
    }
}
