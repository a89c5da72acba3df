//! The connector's side of a live call: a back-to-back user agent as a pure machine.
//!
//! A [`Conference`] stands between the link ([`crate::link`], the T-Server side above) and the SIP legs ([`crate::leg`], the
//! user agent below). It owns the *parties* the T-Server side speaks of, the *legs* that call their devices (a party that is
//! forked has one for each contact until one answers), and the *media join* that carries offers and answers between two legs.
//!
//! # Invariants
//! * Every party gets exactly one `PartyReleased`; `ConferenceEnded` comes once and last, when every leg has reported its end.
//! * Every leg ends once: by its own terminal event, or by our BYE, refusal or CANCEL (or, when its 200 crossed our CANCEL, ACK
//!   and BYE). After that nothing is sent on it and nothing of it is listened to.
//! * A leg never has two offers outstanding (RFC 3264 s.4, RFC 3261 s.14.1); every 2xx gets one ACK, every re-INVITE one answer.
//! * No state waits for ever, whoever is silent: see [Times](#times).
//! * Every input is defined in every state. What is stale is ignored, what is repeated changes nothing.
//!
//! # What it does not do
//! No SIP message, transaction or dialog; no look-up of contacts (they come with the request); no look into a session
//! description: they are passed through as bytes. The shell and the user agent keep what concerns one leg: the o= line and its
//! version (RFC 3264 s.8), the inactive answer that [`crate::leg::AckBody::Inactive`] asks for, retries after 491, ACK and BYE
//! for a second 2xx of one INVITE. Hold music, mixing and a third party are not there yet: a third
//! [`MakeParty`](crate::link::MakeParty) is released with 501. A redirection (3xx) is not followed.
//!
//! # A party
//! ```text
//!   Offered input        MakeParty, contacts        MakeParty, refused:
//!        |                     |                      481 the call is over     491 the first party is not answered
//!        v                     v                      501 there are two        480 no contacts (Q.850 20)
//!     Offered               Calling ---- first 18x ---> Alerting        |
//!        |                     |     (PartyAlerting)       |            |
//!        |                     +--------- first 2xx -------+            |
//!        |  the callee's 2xx                 |  (PartyConnected)        |
//!        +------------------------------> Connected                     |
//!        |                                   |                          |
//!        +---- CANCEL, Release, time --------+---- BYE, Release,        |
//!        |     all forks failed, time        |     re-INVITE refused    |
//!        +-----------------------------------+--------------------------+
//!                                            v
//!                                 gone (PartyReleased, once)
//! ```
//! The first party is the one that calls.
//!
//! # A leg
//! ```text
//!   INVITE in: Incoming --- Accept ---> Talking --- BYE, either way ---> gone
//!                 +-------- Reject, or the caller's CANCEL ------------> gone
//!   INVITE out: Calling --- 2xx, Ack -> Talking
//!                 +-------- final failure -----------------------------> gone
//!                 +-------- Cancel ---> Cancelling -- failure ---------> gone
//!                                           +-------- 2xx: Ack, Bye ---> gone
//! ```
//!
//! # The exchange of a media join
//! ```text
//!   call with an offer ---------------------------------> Quiet
//!   call without one ----> LateAnswer ------ ACK -------> Quiet
//!   third-party call ----> FirstReoffered -- 200 -------> Quiet              (the first phone's media is where it was)
//!                              +------------ 200 -------> SecondReoffered -- 200 --> Quiet     (it has moved)
//!                              +------------ refused ---> both are released
//!   Quiet -- re-INVITE --> Passed --- answer, refusal --> Quiet
//!                              +----- offer ------------> LateAnswer -- ACK --> Quiet     (the re-INVITE had no offer)
//! ```
//! Outside Quiet a device's re-INVITE is refused with 491. That no re-INVITE of ours goes out before the ACK of our last 200 on
//! that leg is the user agent's part, and so is glare on the wire.
//!
//! # Who ends whom
//! | what happens | what the conference does |
//! |---|---|
//! | the callee fails, or nobody answers | `PartyReleased` for it; the caller waits for the T-Server side, which may call another |
//! | the caller cancels, or is released | every fork of the callee is cancelled; both are released |
//! | one of two in talk hangs up, or is released | the other gets BYE at once; both are released, in this order |
//! | a third-party call cannot be joined (re-INVITE refused) | BYE to both; both are released with the status |
//! | a late offer is acknowledged without its answer | the same, with 488 |
//! | the connector goes down | every leg is ended, every party released with 503 |
//!
//! # Times
//! | what | how long | then |
//! |---|---|---|
//! | a party rings | `MakeParty::ring_timeout_ms` | its forks are cancelled; 480 (Q.850 19) if it rang, else 408 (Q.850 18) |
//! | a party is alone, and not called | [`ConferenceSettings::server_timeout_ms`] | it is released with its callee's status, or 503 |
//! | a cancelled leg does not report | [`ConferenceSettings::leg_end_timeout_ms`] | it is taken as gone |
//!
//! Everything else is bounded by the transactions below: a re-INVITE fails, a 200 without its ACK ends the leg.
//!
//! # Known limits
//! * Early media of one fork, then an answer by another: the caller gets both descriptions in one dialog, though strictly it may
//!   hold on to the first (RFC 3261 s.13.2.1). Early media is not passed in third-party calls.
//! * Third-party calls: should the second phone answer the re-INVITE with yet another media address, the first is not told
//!   (two that never settle would keep us sending for ever).
//! * A device that cancels its re-INVITE is answered below and nothing is heard of it here: what the other side answered then
//!   stays without effect until the next re-INVITE; an offer it gave then is never answered, and its device ends the call.
//! * A request that crosses `ConferenceEnded` finds no conference. The shell makes none for a request whose conference id a
//!   connector has chosen ([`ConferenceId::maker`]); to the T-Server side, `ConferenceEnded` ends what it had asked for since.

mod answer;
mod connect;
mod descend;
mod fork;
mod info;
mod input;
mod join;
mod ladder;
mod leg;
mod make_party;
mod matrix;
mod moving;
mod offered;
mod operation;
mod party;
mod plan;
mod release;
mod reoffer;
#[cfg(test)]
mod tests;
mod third_party;
mod timeout;
mod transfer;

use std::time::Instant;

pub use self::input::{ConferenceInput, ConferenceOutput, ConferenceSettings, GivenParty, OfferedCall};
use self::join::MediaJoin;
use self::ladder::Ladder;
use self::leg::{Leg, LegMedia, LegPhase};
use self::matrix::Matrix;
use self::operation::{Operations, Wish};
use self::party::Party;
pub use self::party::{PartyPhase, PartySummary};
use self::transfer::Transfers;
use crate::leg::{LegCommand, LegEvent};
use crate::link::{AudioPlan, Cause, LinkNotification, OperationId, ReleasedBy};
use crate::{ConferenceId, LegId, PartyId};

/// The leg of a call that came in.
pub const OFFERED_LEG: LegId = LegId(0);

/// Legs that a conference takes over from another are numbered by the shell from here on, each number once in a connector.
pub const MOVED_LEGS: u64 = 1 << 56;

/// One live call on a connector. See the module's page.
#[derive(Debug)]
pub struct Conference {
    id: ConferenceId,
    settings: ConferenceSettings,
    /// The live parties, in the order they came.
    parties: Vec<Party>,
    /// The parties that were released or given away, so that a repeated request does not bring them back. Bounded by what the T-Server
    /// side asks of this one call.
    gone: Vec<PartyId>,
    /// The legs that are not gone, one for each contact called at the same time.
    legs: Vec<Leg>,
    /// The number of the next leg.
    next_leg: u64,
    /// What joins the media of the direct pair.
    join: Option<MediaJoin>,
    /// The way from the direct pair to the media plane and back.
    ladder: Ladder,
    /// Who hears whom; everybody everybody where it is none.
    plan: Option<AudioPlan>,
    matrix: Matrix,
    operations: Operations,
    transfers: Transfers,
    ended: bool,
}

/// What can be seen of a conference from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConferenceSummary {
    /// The conference.
    pub id: ConferenceId,
    /// Its live parties, in the order they came.
    pub parties: Vec<PartySummary>,
    /// Its legs that have not ended.
    pub legs: usize,
    /// Where the media of those in talk goes: what runs between the direct pair (`quiet`, `reinvite-passed`, ...), or `climbing`,
    /// `anchored`, `descending`; `None` before.
    pub exchange: Option<&'static str>,
    /// Whether all is over.
    pub ended: bool,
}

impl Conference {
    /// A conference without parties. It ends with its last party and leg; one whose first input makes none ends with that input.
    pub fn new(id: ConferenceId, settings: ConferenceSettings) -> Self {
        Self {
            id,
            settings,
            parties: Vec::new(),
            gone: Vec::new(),
            legs: Vec::new(),
            next_leg: OFFERED_LEG.0 + 1,
            join: None,
            ladder: Ladder::default(),
            plan: None,
            matrix: Matrix::default(),
            operations: Operations::default(),
            transfers: Transfers::default(),
            ended: false,
        }
    }

    /// Takes one input and appends what is to be done, in order. `now` must not go backwards.
    pub fn handle(&mut self, input: ConferenceInput, now: Instant, out: &mut Vec<ConferenceOutput>) {
        match input {
            ConferenceInput::Offered {
                party,
                leg,
                offered,
                offer,
            } => self.offered(party, leg, offered, offer, out),
            // Another conference waits for the answer, or has a leg that nobody else looks after.
            ConferenceInput::Give {
                party,
                to,
                operation,
                as_party,
            } => {
                if self.ended {
                    self.give_nothing(to, operation, as_party, out);
                } else {
                    self.wish(operation, Wish::Give { party, to, as_party }, out);
                }
            }
            ConferenceInput::Take { operation, party, given } => self.take(operation, party, given, out),
            _ if self.ended => {}
            ConferenceInput::MakeParty { request, contacts } => self.make_party(request, contacts, now, out),
            ConferenceInput::ReleaseParty { party, cause } => self.release_party(party, cause, now, out),
            ConferenceInput::ReleaseConference { cause } => self.release_conference(cause, now, out),
            ConferenceInput::ConnectParty { party } => self.connect_party(party, out),
            ConferenceInput::Leg { leg, event } => self.leg_event(leg, event, now, out),
            ConferenceInput::SetAudio { operation, plan } => self.wish(operation, Wish::Audio(plan), out),
            ConferenceInput::SendDigits {
                operation,
                party,
                digits,
            } => self.wish(operation, Wish::Digits { party, digits }, out),
            ConferenceInput::AnswerParty { party } => self.let_answer(party, out),
            ConferenceInput::TransferRequested { leg, refer, to } => self.request_transfer(leg, refer, to, now, out),
            ConferenceInput::TransferProgress { transfer, status } => self.transfer_went_on(transfer, status, out),
            ConferenceInput::Media { leg, event } => self.media_event(leg, event, now, out),
            ConferenceInput::Timeout => self.timed_out(now, out),
            ConferenceInput::Abort => self.abort(now, out),
        }
        self.settle(now, out);
    }

    /// Whether everything is over; the shell may drop the conference.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The live parties, in the order they came.
    pub fn parties(&self) -> impl Iterator<Item = PartySummary> + '_ {
        self.parties.iter().map(|party| PartySummary {
            id: party.id,
            phase: party.phase,
            legs: self.live_legs().filter(|leg| leg.party == party.id).count(),
        })
    }

    /// A picture of the conference, for logs, inspection and synchronisation.
    pub fn summary(&self) -> ConferenceSummary {
        ConferenceSummary {
            id: self.id,
            parties: self.parties().collect(),
            legs: self.legs.len(),
            exchange: self.exchange_name(),
            ended: self.ended,
        }
    }

    fn exchange_name(&self) -> Option<&'static str> {
        let anchored = || {
            self.connected_legs()
                .all(|(_, leg)| self.media(leg).is_some_and(LegMedia::is_anchored))
        };
        match &self.join {
            Some(join) => Some(join.exchange_name()),
            None if self.connected_legs().next().is_none() => None,
            None if self.ladder.descent.is_some() => Some("descending"),
            None if anchored() => Some("anchored"),
            None => Some("climbing"),
        }
    }

    /// Sends a leg's event where it is understood. A leg that is gone says nothing any more.
    fn leg_event(&mut self, leg: LegId, event: LegEvent, now: Instant, out: &mut Vec<ConferenceOutput>) {
        if self.leg(leg).is_none() {
            return;
        }
        match event {
            LegEvent::Progress { status, sdp } => self.progress(leg, status, sdp, out),
            LegEvent::Answered { sdp } => self.answered(leg, sdp, now, out),
            LegEvent::Reoffered { offer, direction } => self.reoffered(leg, offer, direction, out),
            LegEvent::Referred { refer, .. } => self.refuse_transfer(leg, refer, out),
            LegEvent::Info { content_type, body } => self.info(leg, content_type, body, out),
            LegEvent::Failed { .. } | LegEvent::Cancelled { .. } | LegEvent::Ended { .. } => self.leg_over(leg, &event, now, out),
            LegEvent::Acked { .. } | LegEvent::ReinviteAnswered { .. } | LegEvent::ReinviteFailed { .. } => {
                self.exchange_went_on(leg, event, now, out);
            }
        }
    }

    /// What follows from the state alone, after every input.
    fn settle(&mut self, now: Instant, out: &mut Vec<ConferenceOutput>) {
        if !self.ended {
            self.drive(now, out);
            self.mix(out);
            self.watch_lonely_party(now);
        }
        if self.parties.is_empty() && self.legs.is_empty() && !self.ended {
            self.ended = true;
            let conference = self.id;
            self.notify(LinkNotification::ConferenceEnded { conference }, out);
        }
    }

    /// Whether nothing has happened yet.
    fn is_fresh(&self) -> bool {
        self.parties.is_empty() && self.gone.is_empty() && self.legs.is_empty() && !self.ended
    }

    fn party(&self, id: PartyId) -> Option<&Party> {
        self.parties.iter().find(|party| party.id == id)
    }

    fn party_mut(&mut self, id: PartyId) -> Option<&mut Party> {
        self.parties.iter_mut().find(|party| party.id == id)
    }

    fn leg(&self, id: LegId) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.id == id)
    }

    fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.id == id)
    }

    fn live_legs(&self) -> impl Iterator<Item = &Leg> {
        self.legs
            .iter()
            .filter(|leg| !matches!(leg.phase, LegPhase::Cancelling { .. }))
    }

    fn remove_leg(&mut self, id: LegId) -> Option<Leg> {
        let index = self.legs.iter().position(|leg| leg.id == id)?;
        Some(self.legs.remove(index))
    }

    fn tell(&self, leg: LegId, command: LegCommand, out: &mut Vec<ConferenceOutput>) {
        out.push(ConferenceOutput::Leg { leg, command });
    }

    fn refuse(&self, operation: OperationId, status: u16, out: &mut Vec<ConferenceOutput>) {
        let notification = LinkNotification::OperationFailed {
            conference: self.id,
            operation,
            cause: Cause::status(ReleasedBy::Network, status),
        };
        self.notify(notification, out);
    }

    fn notify(&self, notification: LinkNotification, out: &mut Vec<ConferenceOutput>) {
        out.push(ConferenceOutput::Notify(notification));
    }
}
