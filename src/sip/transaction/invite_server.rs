//! The INVITE server transaction (RFC 3261 s.17.2.1, with the Accepted state of RFC 6026 s.7.1).
//!
//! Invariant: a non-2xx final response is retransmitted until its ACK or timer H; a 2xx is never retransmitted here.
//! The user agent sends 100 at once, so the 200 ms rule of s.17.2.1 has no timer.

use super::timer::Timer::{G, H, I as TimerI, L};
use super::{Action, Action::*, Step};

/// Where the transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No final response yet.
    Proceeding,
    /// A non-2xx final response was sent; waits for its ACK.
    Completed,
    /// Its ACK came; more of them are absorbed.
    Confirmed,
    /// A 2xx was sent; retransmitted INVITEs are absorbed, ACKs handed up.
    Accepted,
    /// Over.
    Terminated,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The INVITE came again.
    Request,
    /// An ACK came.
    Ack,
    /// The user sends a 1xx.
    SendProvisional,
    /// The user sends a 2xx.
    SendSuccess,
    /// The user sends a 3xx to 6xx.
    SendFailure,
    /// Timer G fired: send the response again.
    TimerG,
    /// Timer H fired: no ACK came.
    TimerH,
    /// Timer I fired: no more ACKs to absorb.
    TimerI,
    /// Timer L fired: no more INVITEs to absorb.
    TimerL,
    /// The transport could not send.
    TransportError,
}

/// When a server transaction is constructed for a request, it enters the 'Proceeding' state. [...] The request MUST be passed to the TU.
pub const START: (State, &[Action]) = (State::Proceeding, &[Deliver]);

/// The table.
pub fn step(state: State, input: Input) -> Step<State> {
    use Input as I;
    use State as S;
    Some(match (state, input) {
        // If a request retransmission is received while in the 'Proceeding' state, the most recent provisional response that was received
        // from the TU MUST be passed to the transport layer for retransmission.
        (S::Proceeding, I::Request) => (S::Proceeding, &[SendResponse]),
        // The TU passes any number of provisional responses to the server transaction. So long as the server transaction is in the
        // 'Proceeding' state, each of these MUST be passed to the transport layer for transmission.
        (S::Proceeding, I::SendProvisional) => (S::Proceeding, &[SendResponse]),
        // RFC 6026 s.7.1: If, while in the 'Proceeding' state, the TU passes a 2xx response to the server transaction, the server
        // transaction MUST pass this response to the transport layer for transmission [and] transition to the 'Accepted' state; Timer L.
        (S::Proceeding, I::SendSuccess) => (S::Accepted, &[SendResponse, Start(L)]),
        // While in the 'Proceeding' state, if the TU passes a response with status code from 300 to 699 to the server transaction, the
        // response MUST be passed to the transport layer for transmission, and the state machine MUST enter the 'Completed' state. For
        // unreliable transports, timer G is set to fire in T1 seconds; timer H MUST be set to fire in 64*T1 seconds for all transports.
        (S::Proceeding, I::SendFailure) => (S::Completed, &[SendResponse, Start(G), Start(H)]),
        // while in the 'Completed' state, if a request retransmission is received, the server SHOULD pass the response to the transport.
        (S::Completed, I::Request) => (S::Completed, &[SendResponse]),
        // If timer G fires, the response is passed to the transport layer once more for retransmission, and timer G is set to fire in
        // MIN(2*T1, T2) seconds.
        (S::Completed, I::TimerG) => (S::Completed, &[SendResponse, Double(G)]),
        // If timer H fires while in the 'Completed' state, it implies that the ACK was never received. In this case, the server transaction
        // MUST transition to the 'Terminated' state, and MUST indicate to the TU that a transaction failure has occurred.
        (S::Completed, I::TimerH) => (S::Terminated, &[Stop(G), ReportTimeout]),
        // If an ACK is received while the server transaction is in the 'Completed' state, the server transaction MUST transition to the
        // 'Confirmed' state. [...] any additional ACK messages [...] absorbed; timer I.
        (S::Completed, I::Ack) => (S::Confirmed, &[Stop(G), Stop(H), Start(TimerI)]),
        (S::Confirmed, I::Ack) => (S::Confirmed, &[]),
        // Once timer I fires, the server MUST transition to the 'Terminated' state.
        (S::Confirmed, I::TimerI) => (S::Terminated, &[]),
        // RFC 6026 s.7.1: Any retransmissions of the INVITE received [in 'Accepted'] will match this transaction state machine and will be
        // absorbed by the machine without changing its state.
        (S::Accepted, I::Request) => (S::Accepted, &[]),
        // RFC 6026 s.7.1: If an ACK is received while the INVITE server transaction is in the 'Accepted' state, then the ACK must be passed
        // up to the TU.
        (S::Accepted, I::Ack) => (S::Accepted, &[Deliver]),
        // RFC 6026 s.7.1: while in the 'Accepted' state, if the TU passes a 2xx response, the server transaction MUST pass [it] on.
        (S::Accepted, I::SendSuccess) => (S::Accepted, &[SendResponse]),
        // RFC 6026 s.7.1: If Timer L fires while the INVITE server transaction is in the 'Accepted' state, the machine MUST transition to
        // the 'Terminated' state.
        (S::Accepted, I::TimerL) => (S::Terminated, &[]),
        // s.17.2.4, RFC 6026 s.7.1: the failure is told, except in Accepted, where the user's own retransmission goes on.
        (S::Proceeding, I::TransportError) => (S::Terminated, &[ReportFailure]),
        (S::Completed, I::TransportError) => (S::Terminated, &[Stop(G), Stop(H), ReportFailure]),
        _ => return None,
    })
}
