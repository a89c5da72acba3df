//! Which calls T-Server keeps hold of when no party of ours is left: pass-through calls (seed 002 lines 2410-2439).
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
}
