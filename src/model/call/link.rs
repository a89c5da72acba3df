//! What the connector tells about a call: progress, answers, ends. Late, repeated and foreign notifications change nothing.

use std::time::Instant;

use super::cause::{status_for_caller, verdict};
use super::ending::Ending;
use super::events::Addition;
use super::party::Leg;
use super::{Call, CallOutput, DESTINATION, ORIGIN, Outcome, Phase};
use crate::link::{Cause, LinkNotification, ReleasedBy};
use crate::{CallState, EventName, PartyId, PartyState};

impl Call {
    pub(super) fn link(&mut self, notification: LinkNotification, now: Instant, out: &mut Vec<CallOutput>) {
        if notification.conference() != Some(self.ids.conference) || matches!(self.phase, Phase::New | Phase::Finished) {
            return;
        }
        match notification {
            LinkNotification::PartyCreated { party, .. } => {
                if let Some(DESTINATION) = self.made_party(party) {
                    self.destination_reached(out);
                }
            }
            LinkNotification::PartyAlerting { party, .. } => self.alerting(party, out),
            LinkNotification::PartyConnected { party, .. } => self.connected(party, now, out),
            LinkNotification::PartyReleased { party, cause, .. } => self.released(party, &cause, now, out),
            LinkNotification::ConferenceEnded { .. } => self.conference_ended(now, out),
            // An offer makes a call; it does not change one. Contacts are the DN's.
            LinkNotification::CallOffered(_) | LinkNotification::DnContacts { .. } => {}
            LinkNotification::PartyHeld { .. }
            | LinkNotification::PartyRedirected { .. }
            | LinkNotification::TransferRequested { .. }
            | LinkNotification::PartyMoved { .. }
            | LinkNotification::PartyDigit { .. }
            | LinkNotification::MediaFlow { .. }
            | LinkNotification::PromptEnded { .. }
            | LinkNotification::OperationDone { .. }
            | LinkNotification::OperationFailed { .. } => {}
        }
    }

    /// The connector is gone, and with it the conference: nothing more will come.
    pub(super) fn link_lost(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        if !matches!(self.phase, Phase::New | Phase::Finished) {
            self.conference_ended(now, out);
        }
    }

    fn conference_ended(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        self.all_gone();
        self.end_by_fault(now, out);
        self.finish(out);
    }

    pub(super) fn end_by_fault(&mut self, now: Instant, out: &mut Vec<CallOutput>) {
        let ending = Ending {
            state: CallState::SystemError,
            other_state: CallState::SystemError,
            ..Ending::normal(ORIGIN, Outcome::Failed)
        };
        self.end(ending, now, out);
    }

    fn all_gone(&mut self) {
        for party in &mut self.parties {
            party.leg = Leg::Gone;
        }
    }

    /// The index of a party that the connector has.
    fn made_party(&self, id: PartyId) -> Option<usize> {
        self.parties.iter().position(|party| party.id == id && party.leg == Leg::Made)
    }

    fn alerting(&mut self, id: PartyId, out: &mut Vec<CallOutput>) {
        let Some(index) = self.made_party(id) else { return };
        if let Some(party) = self.parties.get_mut(index) {
            party.rings = true;
        }
        if index == DESTINATION {
            self.destination_reached(out);
        }
    }

    /// The invitation to the destination is out. A DN of ours rings from now on for clients, whether or not its device has said so
    /// (emulated ringing, seed 002 lines 2315-2328); of an external one the caller is told that the call has reached the network.
    fn destination_reached(&mut self, out: &mut Vec<CallOutput>) {
        let Some(party) = self.parties.get(DESTINATION) else { return };
        if self.phase != Phase::CallingDestination || party.state != PartyState::Null {
            return;
        }
        let addition = Addition::default();
        if party.is_external() {
            let name = EventName::EventNetworkReached;
            self.report(ORIGIN, name, PartyState::Dialing, CallState::Ok, addition, out);
        }
        let addition = Addition::default();
        self.report(
            DESTINATION,
            EventName::EventRinging,
            PartyState::Alerting,
            CallState::Ok,
            addition,
            out,
        );
    }

    fn connected(&mut self, id: PartyId, now: Instant, out: &mut Vec<CallOutput>) {
        match (self.made_party(id), self.phase) {
            (Some(ORIGIN), Phase::CallingOrigin) => {
                self.phase = Phase::CallingDestination;
                self.make_party(DESTINATION, false, now, out);
            }
            (Some(DESTINATION), Phase::CallingDestination) => {
                self.destination_reached(out);
                self.phase = Phase::Talking;
                self.answered = Some(now);
                self.deadline = None;
                for index in [DESTINATION, ORIGIN] {
                    let addition = Addition::default();
                    self.report(
                        index,
                        EventName::EventEstablished,
                        PartyState::Connected,
                        CallState::Ok,
                        addition,
                        out,
                    );
                }
            }
            _ => {}
        }
    }

    fn released(&mut self, id: PartyId, cause: &Cause, now: Instant, out: &mut Vec<CallOutput>) {
        let Some(index) = self.made_party(id) else { return };
        let Some(party) = self.parties.get_mut(index) else { return };
        party.leg = Leg::Gone;
        match (index, self.phase) {
            (ORIGIN, Phase::CallingOrigin) => self.origin_failed(cause, now, out),
            (ORIGIN, Phase::CallingDestination) => self.caller_left(cause, now, out),
            (_, Phase::CallingDestination) => self.destination_failed(cause, now, out),
            (_, Phase::Talking) => self.hung_up(index, cause, now, out),
            _ => {}
        }
    }

    /// 3pcc: the caller's own device did not answer. The destination knows nothing of it.
    fn origin_failed(&mut self, cause: &Cause, now: Instant, out: &mut Vec<CallOutput>) {
        let verdict = verdict(cause, self.rings(ORIGIN));
        let ending = Ending {
            state: verdict.state,
            cause: Some(cause),
            ..Ending::normal(ORIGIN, verdict.outcome)
        };
        self.end(ending, now, out);
    }

    /// The caller hung up, or was lost, before the destination answered.
    fn caller_left(&mut self, cause: &Cause, now: Instant, out: &mut Vec<CallOutput>) {
        let ending = Ending {
            state: state_of_hang_up(cause),
            abandoned: true,
            cause: Some(cause),
            ..Ending::normal(ORIGIN, Outcome::Cancelled)
        };
        self.end(ending, now, out);
    }

    /// The destination did not answer. Where it turned the call down itself, the caller is told so first (T-Library reference ch. 9.1).
    pub(super) fn destination_failed(&mut self, cause: &Cause, now: Instant, out: &mut Vec<CallOutput>) {
        let verdict = verdict(cause, self.rings(DESTINATION));
        if verdict.turned_down {
            let addition = Addition {
                cause: Some(cause),
                ..Addition::default()
            };
            self.report(
                ORIGIN,
                EventName::EventDestinationBusy,
                PartyState::Busy,
                verdict.state,
                addition,
                out,
            );
        }
        let ending = Ending {
            state: verdict.state,
            other_state: verdict.state,
            cause: Some(cause),
            status: Some(status_for_caller(cause.sip_status)),
            ..Ending::normal(DESTINATION, verdict.outcome)
        };
        self.end(ending, now, out);
    }

    fn hung_up(&mut self, index: usize, cause: &Cause, now: Instant, out: &mut Vec<CallOutput>) {
        let ending = Ending {
            state: state_of_hang_up(cause),
            cause: Some(cause),
            ..Ending::normal(index, Outcome::Answered)
        };
        self.end(ending, now, out);
    }

    fn rings(&self, index: usize) -> bool {
        self.parties.get(index).is_some_and(|party| party.rings)
    }
}

/// A device that left did so at its own wish, or was lost: then its clients are told.
fn state_of_hang_up(cause: &Cause) -> CallState {
    match cause.by {
        ReleasedBy::Device => CallState::Ok,
        ReleasedBy::Server | ReleasedBy::Network => CallState::Dropped,
    }
}
