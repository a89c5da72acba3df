//! The INVITE client transaction (RFC 3261 s.17.1.1, with the Accepted state of RFC 6026 s.7.2).
//!
//! Invariant: every non-2xx final response is acknowledged here; every 2xx is handed up, and is acknowledged there.

use super::timer::Timer::{A, B, D, M};
use super::{Action, Action::*, Step};

/// Where the transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The INVITE is sent; nothing came back.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A non-2xx final response came; its retransmissions are acknowledged.
    Completed,
    /// A 2xx came; further ones (retransmitted, or of other forks) are handed up.
    Accepted,
    /// Over.
    Terminated,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// A 1xx came.
    Provisional,
    /// A 2xx came.
    Success,
    /// A 3xx to 6xx came.
    Failure,
    /// Timer A fired: send again.
    TimerA,
    /// Timer B fired: no answer.
    TimerB,
    /// Timer D fired: no more retransmitted responses to expect.
    TimerD,
    /// Timer M fired: no more 2xx to expect.
    TimerM,
    /// The transport could not send.
    TransportError,
    /// The transaction user gives up (no final response after a CANCEL, s.9.1).
    Abandon,
}

/// The initial state, 'calling', MUST be entered when the TU initiates a new client transaction with an INVITE request. The client
/// transaction MUST pass the request to the transport layer [...] MUST start timer A [...] timer B (s.17.1.1.2).
pub const START: (State, &[Action]) = (State::Calling, &[SendRequest, Start(A), Start(B)]);

/// The table.
pub fn step(state: State, input: Input) -> Step<State> {
    use Input as I;
    use State as S;
    Some(match (state, input) {
        // When timer A fires, the client transaction MUST retransmit the request [...] and MUST reset the timer with a value of 2*T1.
        (S::Calling, I::TimerA) => (S::Calling, &[SendRequest, Double(A)]),
        // If the client transaction is still in the 'Calling' state when timer B fires, the client transaction SHOULD inform the TU that a
        // timeout has occurred.
        (S::Calling, I::TimerB) => (S::Terminated, &[ReportTimeout]),
        // If the client transaction receives a provisional response while in the 'Calling' state, it transitions to the 'Proceeding' state.
        // In the 'Proceeding' state, the client transaction SHOULD NOT retransmit the request any longer. [...] MUST be passed to the TU.
        (S::Calling, I::Provisional) => (S::Proceeding, &[Stop(A), Stop(B), Deliver]),
        // Any further provisional responses MUST be passed up to the TU while in the 'Proceeding' state.
        (S::Proceeding, I::Provisional) => (S::Proceeding, &[Deliver]),
        // When in either the 'Calling' or 'Proceeding' states, reception of a response with status code from 300-699 MUST cause the client
        // transaction to transition to 'Completed'. The client transaction MUST pass the received response up to the TU, and [...] MUST
        // generate an ACK request [...] SHOULD start timer D.
        (S::Calling | S::Proceeding, I::Failure) => (S::Completed, &[Stop(A), Stop(B), SendAck, Start(D), Deliver]),
        // RFC 6026 s.7.2: When a 2xx response is received in the 'Calling' or 'Proceeding' state, the client transaction MUST transition to
        // the 'Accepted' state, and Timer M MUST be started [...] The 2xx response MUST be passed to the TU.
        (S::Calling | S::Proceeding, I::Success) => (S::Accepted, &[Stop(A), Stop(B), Start(M), Deliver]),
        // RFC 6026 s.7.2: If a 2xx response is received while in the 'Accepted' state [...] it MUST be passed to the TU.
        (S::Accepted, I::Success) => (S::Accepted, &[Deliver]),
        // RFC 6026 s.7.2: If Timer M fires while in the 'Accepted' state, the client transaction MUST transition to 'Terminated'.
        (S::Accepted, I::TimerM) => (S::Terminated, &[]),
        // Any retransmissions of the final response that are received while in the 'Completed' state MUST cause the ACK to be re-passed to
        // the transport layer for retransmission, but the newly received response MUST NOT be passed up to the TU.
        (S::Completed, I::Failure) => (S::Completed, &[SendAck]),
        // If timer D fires while the client transaction is in the 'Completed' state, the client transaction MUST move to 'Terminated'.
        (S::Completed, I::TimerD) => (S::Terminated, &[]),
        // s.17.1.4: the client transaction SHOULD inform the TU that a transport failure has occurred, and [...] 'Terminated'.
        (S::Calling, I::TransportError) => (S::Terminated, &[Stop(A), Stop(B), ReportFailure]),
        // The ACK could not be sent: the response was handed up already, so there is nobody left to tell.
        (S::Completed, I::TransportError) => (S::Terminated, &[Stop(D)]),
        // s.9.1: If there is no final response for the original request in 64*T1 seconds [...] the client SHOULD then consider the original
        // transaction cancelled and SHOULD destroy the client transaction.
        (S::Calling | S::Proceeding, I::Abandon) => (S::Terminated, &[Stop(A), Stop(B)]),
        _ => return None,
    })
}
