//! The non-INVITE client transaction (RFC 3261 s.17.1.2).
//!
//! Invariant: the user hears exactly one of a final response, a timeout or a failure.

use super::timer::Timer::{E, F, K};
use super::{Action, Action::*, Step};

/// Where the transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The request is sent; nothing came back.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came; its retransmissions are absorbed.
    Completed,
    /// Over.
    Terminated,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// A 1xx came.
    Provisional,
    /// A 2xx to 6xx came.
    Final,
    /// Timer E fired: send again.
    TimerE,
    /// Timer F fired: no answer.
    TimerF,
    /// Timer K fired: no more retransmitted responses to expect.
    TimerK,
    /// The transport could not send.
    TransportError,
}

/// The 'Trying' state is entered when the TU initiates a new client transaction with a request. When entering this state, the client
/// transaction SHOULD set timer F to fire in 64*T1 seconds. The request MUST be passed to the transport layer [...] timer E (s.17.1.2.2).
pub const START: (State, &[Action]) = (State::Trying, &[SendRequest, Start(E), Start(F)]);

/// The table.
pub fn step(state: State, input: Input) -> Step<State> {
    use Input as I;
    use State as S;
    Some(match (state, input) {
        // If timer E fires while in this state, the timer is reset, but this time with a value of MIN(2*T1, T2).
        (S::Trying, I::TimerE) => (S::Trying, &[SendRequest, Double(E)]),
        // If Timer E fires while in the 'Proceeding' state, the request MUST be passed to the transport layer for retransmission, and Timer
        // E MUST be reset with a value of T2 seconds.
        (S::Proceeding, I::TimerE) => (S::Proceeding, &[SendRequest, Slow(E)]),
        // If Timer F fires while the client transaction is still in the 'Trying' state, the client transaction SHOULD inform the TU about
        // the timeout; If timer F fires while in the 'Proceeding' state, the TU MUST be informed of a timeout.
        (S::Trying | S::Proceeding, I::TimerF) => (S::Terminated, &[Stop(E), ReportTimeout]),
        // If a provisional response is received while in the 'Trying' state, the response MUST be passed to the TU, and then the client
        // transaction SHOULD move to the 'Proceeding' state.
        (S::Trying | S::Proceeding, I::Provisional) => (S::Proceeding, &[Deliver]),
        // If a final response (status codes 200-699) is received [...] the response MUST be passed to the TU, and the client transaction
        // MUST transition to the 'Completed' state [...] set Timer K.
        (S::Trying | S::Proceeding, I::Final) => (S::Completed, &[Stop(E), Stop(F), Start(K), Deliver]),
        // If Timer K fires while in this state, the client transaction MUST transition to the 'Terminated' state.
        (S::Completed, I::TimerK) => (S::Terminated, &[]),
        // s.17.1.4.
        (S::Trying | S::Proceeding, I::TransportError) => (S::Terminated, &[Stop(E), Stop(F), ReportFailure]),
        _ => return None,
    })
}
