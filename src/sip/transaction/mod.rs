//! The four transaction machines of RFC 3261 s.17 as corrected by RFC 6026, and their timers.
//!
//! Each machine is a table: `step(state, input)` gives the next state and the actions, or `None` where the input means nothing in that
//! state and is to be dropped. The invariant: a machine holds no message, no address and no time, so that every transition is one line of
//! a test. The driver (the user agent) owns the bytes, carries the actions out and keeps the [`timer`] table.
//!
//! What is not here: matching messages to transactions (s.17.1.3, s.17.2.3; the user agent's), the retransmission of 2xx (s.13.3.1.4, a
//! matter of the session), forwarding.

pub mod invite_client;
pub mod invite_server;
pub mod non_invite_client;
pub mod non_invite_server;
pub mod timer;

use timer::Timer;

/// What a machine tells its driver to do; a list of them is carried out in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send the request, or send it again.
    SendRequest,
    /// Send the ACK of a non-2xx final response, built from the request and that response (s.17.1.1.3).
    SendAck,
    /// Send the last response, or send it again; nothing where there was none.
    SendResponse,
    /// Start a timer at its first interval.
    Start(Timer),
    /// Start a retransmission timer again at twice its last interval, bounded as the timer says ([`Timer::doubles_up_to_t2`]).
    Double(Timer),
    /// Start a retransmission timer again at T2.
    Slow(Timer),
    /// Stop a timer.
    Stop(Timer),
    /// Hand the message to the transaction user.
    Deliver,
    /// Tell the transaction user that no answer (or no ACK) came in time.
    ReportTimeout,
    /// Tell the transaction user that the transport failed.
    ReportFailure,
}

/// The next state and what to do; `None` drops the input.
pub type Step<S> = Option<(S, &'static [Action])>;

#[cfg(test)]
mod tests;
