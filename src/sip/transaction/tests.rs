//! Every transition of the four machines, and every input that means nothing.

use super::Action::*;
use super::timer::Timer::*;
use super::*;

/// Checks a machine against its table: what is listed happens, all the rest is dropped.
macro_rules! check {
    ($machine:ident, states: [$($state:ident),+], inputs: [$($input:ident),+], $(($from:ident, $in:ident) => $to:ident $actions:expr;)+) => {{
        use $machine::{Input, State, step};
        let mut table: Vec<(State, Input)> = Vec::new();
        $(
            let actions: &[Action] = &$actions;
            assert_eq!(step(State::$from, Input::$in), Some((State::$to, actions)), "{} on {}", stringify!($from), stringify!($in));
            table.push((State::$from, Input::$in));
        )+
        for state in [$(State::$state),+] {
            for input in [$(Input::$input),+] {
                if !table.contains(&(state, input)) {
                    assert_eq!(step(state, input), None, "{state:?} must drop {input:?}");
                }
            }
        }
    }};
}

#[test]
fn invite_client_follows_its_table() {
    check!(invite_client,
        states: [Calling, Proceeding, Completed, Accepted, Terminated],
        inputs: [Provisional, Success, Failure, TimerA, TimerB, TimerD, TimerM, TransportError, Abandon],
        (Calling, TimerA) => Calling [SendRequest, Double(A)];
        (Calling, TimerB) => Terminated [ReportTimeout];
        (Calling, Provisional) => Proceeding [Stop(A), Stop(B), Deliver];
        (Calling, Success) => Accepted [Stop(A), Stop(B), Start(M), Deliver];
        (Calling, Failure) => Completed [Stop(A), Stop(B), SendAck, Start(D), Deliver];
        (Calling, TransportError) => Terminated [Stop(A), Stop(B), ReportFailure];
        (Calling, Abandon) => Terminated [Stop(A), Stop(B)];
        (Proceeding, Provisional) => Proceeding [Deliver];
        (Proceeding, Success) => Accepted [Stop(A), Stop(B), Start(M), Deliver];
        (Proceeding, Failure) => Completed [Stop(A), Stop(B), SendAck, Start(D), Deliver];
        (Proceeding, Abandon) => Terminated [Stop(A), Stop(B)];
        (Completed, Failure) => Completed [SendAck];
        (Completed, TimerD) => Terminated [];
        (Completed, TransportError) => Terminated [Stop(D)];
        (Accepted, Success) => Accepted [Deliver];
        (Accepted, TimerM) => Terminated [];
    );
}

#[test]
fn non_invite_client_follows_its_table() {
    check!(non_invite_client,
        states: [Trying, Proceeding, Completed, Terminated],
        inputs: [Provisional, Final, TimerE, TimerF, TimerK, TransportError],
        (Trying, TimerE) => Trying [SendRequest, Double(E)];
        (Trying, TimerF) => Terminated [Stop(E), ReportTimeout];
        (Trying, Provisional) => Proceeding [Deliver];
        (Trying, Final) => Completed [Stop(E), Stop(F), Start(K), Deliver];
        (Trying, TransportError) => Terminated [Stop(E), Stop(F), ReportFailure];
        (Proceeding, TimerE) => Proceeding [SendRequest, Slow(E)];
        (Proceeding, TimerF) => Terminated [Stop(E), ReportTimeout];
        (Proceeding, Provisional) => Proceeding [Deliver];
        (Proceeding, Final) => Completed [Stop(E), Stop(F), Start(K), Deliver];
        (Proceeding, TransportError) => Terminated [Stop(E), Stop(F), ReportFailure];
        (Completed, TimerK) => Terminated [];
    );
}

#[test]
fn invite_server_follows_its_table() {
    check!(invite_server,
        states: [Proceeding, Completed, Confirmed, Accepted, Terminated],
        inputs: [Request, Ack, SendProvisional, SendSuccess, SendFailure, TimerG, TimerH, TimerI, TimerL, TransportError],
        (Proceeding, Request) => Proceeding [SendResponse];
        (Proceeding, SendProvisional) => Proceeding [SendResponse];
        (Proceeding, SendSuccess) => Accepted [SendResponse, Start(L)];
        (Proceeding, SendFailure) => Completed [SendResponse, Start(G), Start(H)];
        (Proceeding, TransportError) => Terminated [ReportFailure];
        (Completed, Request) => Completed [SendResponse];
        (Completed, TimerG) => Completed [SendResponse, Double(G)];
        (Completed, TimerH) => Terminated [Stop(G), ReportTimeout];
        (Completed, Ack) => Confirmed [Stop(G), Stop(H), Start(I)];
        (Completed, TransportError) => Terminated [Stop(G), Stop(H), ReportFailure];
        (Confirmed, Ack) => Confirmed [];
        (Confirmed, TimerI) => Terminated [];
        (Accepted, Request) => Accepted [];
        (Accepted, Ack) => Accepted [Deliver];
        (Accepted, SendSuccess) => Accepted [SendResponse];
        (Accepted, TimerL) => Terminated [];
    );
}

#[test]
fn non_invite_server_follows_its_table() {
    check!(non_invite_server,
        states: [Trying, Proceeding, Completed, Terminated],
        inputs: [Request, SendProvisional, SendFinal, TimerJ, Abandon, TransportError],
        (Trying, Request) => Trying [];
        (Trying, SendProvisional) => Proceeding [SendResponse];
        (Trying, SendFinal) => Completed [Stop(Abandon), SendResponse, Start(J)];
        (Trying, Abandon) => Terminated [];
        (Proceeding, Request) => Proceeding [SendResponse];
        (Proceeding, SendProvisional) => Proceeding [SendResponse];
        (Proceeding, SendFinal) => Completed [Stop(Abandon), SendResponse, Start(J)];
        (Proceeding, Abandon) => Terminated [];
        (Proceeding, TransportError) => Terminated [Stop(Abandon), ReportFailure];
        (Completed, Request) => Completed [SendResponse];
        (Completed, TimerJ) => Terminated [];
        (Completed, TransportError) => Terminated [Stop(J), ReportFailure];
    );
}
