//! The non-INVITE server transaction (RFC 3261 s.17.2.2).
//!
//! Invariant: one request reaches the user once, however often it is retransmitted. A request that the user never answers is given up
//! after 64*T1, silently: RFC 4320 s.4.2 forbids a late 408.

use super::timer::Timer::{Abandon, J};
use super::{Action, Action::*, Step};

/// Where the transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No response yet.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// The final response was sent; retransmitted requests get it again.
    Completed,
    /// Over.
    Terminated,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The request came again.
    Request,
    /// The user sends a 1xx.
    SendProvisional,
    /// The user sends a 2xx to 6xx.
    SendFinal,
    /// Timer J fired: no more retransmissions to answer.
    TimerJ,
    /// The user never answered.
    Abandon,
    /// The transport could not send.
    TransportError,
}

/// The state machine is initialized in the 'Trying' state and is passed a request other than INVITE or ACK when initialized. This request
/// is passed up to the TU.
pub const START: (State, &[Action]) = (State::Trying, &[Start(Abandon), Deliver]);

/// The table.
pub fn step(state: State, input: Input) -> Step<State> {
    use Input as I;
    use State as S;
    Some(match (state, input) {
        // Once in the 'Trying' state, any further request retransmissions are discarded.
        (S::Trying, I::Request) => (S::Trying, &[]),
        // While in the 'Trying' state, if the TU passes a provisional response to the server transaction, the server transaction MUST enter
        // the 'Proceeding' state. Further ones MUST be passed to the transport layer for transmission.
        (S::Trying | S::Proceeding, I::SendProvisional) => (S::Proceeding, &[SendResponse]),
        // If a retransmission of the request is received while in the 'Proceeding' state, the most recently sent provisional response MUST
        // be passed to the transport layer for retransmission.
        (S::Proceeding, I::Request) => (S::Proceeding, &[SendResponse]),
        // If the TU passes a final response (status codes 200-699) to the server while in the 'Proceeding' state, the transaction MUST
        // enter the 'Completed' state, and the response MUST be passed to the transport layer for transmission.
        (S::Trying | S::Proceeding, I::SendFinal) => (S::Completed, &[Stop(Abandon), SendResponse, Start(J)]),
        // While in the 'Completed' state, the server transaction MUST pass the final response to the transport layer for retransmission
        // whenever a retransmission of the request is received.
        (S::Completed, I::Request) => (S::Completed, &[SendResponse]),
        // The server transaction remains in this state until Timer J fires, at which point it MUST transition to the 'Terminated' state.
        (S::Completed, I::TimerJ) => (S::Terminated, &[]),
        // RFC 4320 s.4.2: a late 408 helps nobody; the client timed out by itself.
        (S::Trying | S::Proceeding, I::Abandon) => (S::Terminated, &[]),
        // s.17.2.4.
        (S::Proceeding, I::TransportError) => (S::Terminated, &[Stop(Abandon), ReportFailure]),
        (S::Completed, I::TransportError) => (S::Terminated, &[Stop(J), ReportFailure]),
        _ => return None,
    })
}
