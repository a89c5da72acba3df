//! The connector's side of a live call: a back-to-back user agent as a pure machine.
//!
//! A [`Conference`] stands between the link ([`crate::link`], the T-Server side above), the SIP legs ([`crate::leg`], the user agent below)
//! and the ports of the media plane. It owns the *parties* the T-Server side speaks of, the *legs* that call their devices (a party that is
//! forked has one for each contact until one answers), the *media join* that carries offers and answers between the two legs of a direct
//! pair, and the *matrix* of who hears whom where media goes through the plane.
//!
//! # Invariants
//! * Every party gets exactly one `PartyReleased` or `PartyMoved`; `ConferenceEnded` comes once and last, when every leg has reported its end
//!   and every transfer that was accepted is over.
//! * Every operation is answered once, by `OperationDone`, `OperationFailed` or `GiveAway`; every REFER gets one final status, unless its
//!   device ended the leg.
//! * Every leg ends once: by its own terminal event, or by our BYE, refusal or CANCEL (or, when its 200 crossed our CANCEL, ACK
//!   and BYE); or it leaves for another conference. After that nothing is sent on it and nothing of it is listened to.
//! * A leg never has two offers outstanding (RFC 3264 s.4, RFC 3261 s.14.1); every 2xx gets one ACK, every re-INVITE one answer.
//! * There is at most one direct pair. Every other connected leg is with the plane, or on its way there.
//! * After every input, what each port was told to hear is what the plan in force means; every port that was opened is closed once, unless
//!   it leaves with its leg.
//! * No state waits for ever, whoever is silent: see [Times](#times).
//! * Every input is defined in every state. What is stale is ignored, what is repeated changes nothing.
//!
//! # What it does not do
//! No SIP message, transaction or dialog; no look-up of contacts, transfer targets or Replaces (they come looked up); no look into a
//! session description: those are passed through as bytes, or left to the shell ([`crate::leg::Description::Anchored`]). The shell and the
//! user agent keep what concerns one leg: the o= line and its version (RFC 3264 s.8), the inactive answer that
//! [`crate::leg::AckBody::Inactive`] asks for, retries after 491, ACK and BYE for a second 2xx of one INVITE. It decides nothing about calls:
//! transfers, redirections (3xx) and Replaces are told to the T-Server side, which says what becomes of them.
//!
//! # Files
//! | concern | files |
//! |---|---|
//! | a call begins | `offered`, `make_party`, `fork`, `answer`, `connect`, `third_party` |
//! | offers and answers | `join` (the direct pair), `reoffer` (devices), `early` (before the answer), `ladder` (up), `descend` (down) |
//! | who hears whom | `plan` (what it means), `matrix` (what is commanded) |
//! | what is asked | `operation`, `talk`, `digits`, `transfer`, `moving`, `info`, `audit` |
//! | ends | `release`, `timeout` |
//! | what outlives a crash | `snapshot`, `restore` |
//!
//! # A party
//! ```text
//!   Offered input        MakeParty, contacts        MakeParty, refused:                              Take
//!        |                     |                      481 the call is over     503 it is full          |
//!        v                     v                      491 nobody is there yet  480 no contacts (20)    |
//!     Offered               Calling ---- first 18x ---> Alerting        |                              |
//!        |                     |     (PartyAlerting)       |            |                              |
//!        |                     +--------- first 2xx -------+            |                              |
//!        |  ConnectParty, or                 |  (PartyConnected)        |                              |
//!        |  a callee's 2xx                   v                          |                              |
//!        +------------------------------> Connected <------------------------------ (OperationDone) ---+
//!        |                                   |                          |
//!        +---- CANCEL, Release, time --------+---- BYE, Release,        +---> Give: gone (PartyMoved)
//!        |     all forks failed, time        |     no media for it
//!        +-----------------------------------+
//!                                            v
//!                                 gone (PartyReleased, once)
//! ```
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
//! # Where media goes
//! A call of two begins direct: descriptions are passed from leg to leg. The plane is needed when the configuration anchors media, for a
//! third party, for a plan that is more than plain talk, while a device holds, for digits (but those that go by INFO), and for a party that
//! moves; then the conference *climbs* (`ladder`). INVITEs carry the plane's offer from the start where it is needed by then:
//!
//! | who is there | a new party is offered | its answer |
//! |---|---|---|
//! | nobody (a third-party call) | nothing | its offer is answered by the plane, and kept for the second party |
//! | a caller, or a first party whose offer is kept | that offer | joins the two (`join`, `third_party`) |
//! | a caller without an offer | nothing | its offer goes into the caller's 200 |
//! | the plane is needed, or any other case | the plane's | it is with the plane; a caller is answered by the plane |
//!
//! A caller that waits gets 180 when its callee rings; 183 with early media of the callee, passed or through the plane, and also where the
//! plan lets it hear more than ringback.
//!
//! # The exchange of a media join
//! ```text
//!   call with an offer ---------------------------------> Quiet
//!   call without one ----> LateAnswer ------ ACK -------> Quiet
//!   third-party call ----> FirstReoffered -- 200 -------> Quiet              (the first phone's media is where it was)
//!   climb that failed ---> FirstReoffered    (the same: the one that had moved comes back)
//!                              +------------ 200 -------> SecondReoffered -- 200 --> Quiet     (it has moved)
//!                              +------------ refused ---> both are released
//!   descent -------------------------------------------> Quiet
//!   answered by another fork than the caller's early media came from:
//!        FirstAwaited ---- its UPDATE is over ---> FirstReoffered              (where one is out to the caller)
//!   Quiet -- re-INVITE --> Passed --- answer, refusal --> Quiet                (also an UPDATE that the answer overtakes)
//!                              +----- offer ------------> LateAnswer -- ACK --> Quiet     (the re-INVITE had no offer)
//!   Quiet -- hold, or the plane is needed --------------> dissolved: both sides climb
//! ```
//! Outside Quiet a device's re-INVITE is refused with 491. That no re-INVITE of ours goes out before the ACK of our last 200 on
//! that leg is the user agent's part, and so is glare on the wire.
//!
//! # A leg without a join
//! ```text
//!   Direct ----- our re-INVITE, the plane's offer ---> Climbing ---- 200 -----> Anchored     (491: again, four times)
//!                                                          +-------- refused --> Direct: the climb has failed
//!   Anchored --- the device's re-INVITE --- 200, the plane's answer --> Anchored
//!                                      +--- 200, the plane's offer ---> LateAnswer -- ACK --> Anchored
//! ```
//! When a climb has failed and the other legs have answered, two that had been a pair are joined again, whoever was called besides is
//! released, and what wanted the plane fails; of three or more in talk, the one that stayed behind is released. It is not tried again
//! before something changes.
//!
//! # Who ends whom
//! | what happens | what the conference does |
//! |---|---|
//! | the callee fails, or nobody answers | `PartyReleased` for it; the caller waits for the T-Server side, which may call another |
//! | every fork failed, and the best failure is a 3xx | `PartyRedirected` first |
//! | the caller cancels, or is released, and nobody else is in talk | every fork of the callees is cancelled; all are released |
//! | one of two in talk hangs up, or is released | the other gets BYE at once; both are released, in this order |
//! | the same, in a *room*: a conference whose one party was answered by `ConnectParty` | nothing else: the T-Server side says who stays |
//! | one of three or more leaves | nothing else |
//! | the direct pair cannot be joined (re-INVITE refused) | BYE to both; both are released with the status |
//! | a late offer is acknowledged without its answer | the same, with 488; for a leg of the plane, to that one alone |
//! | the plane cannot serve a leg | what needed it fails; a leg that is left without media is released with 488 |
//! | the connector goes down | every leg is ended, every party released with 503 |
//!
//! # Times
//! | what | how long | then |
//! |---|---|---|
//! | a party rings | `MakeParty::ring_timeout_ms` | its forks are cancelled; 480 (Q.850 19) if it rang, else 408 (Q.850 18) |
//! | a party is alone, and not called | [`ConferenceSettings::server_timeout_ms`] | it is released with its callee's status, or 503 |
//! | the same, a caller with a plan | 180 s | the same |
//! | the same, connected, with a plan or in a room | as long as the T-Server side likes | - |
//! | a cancelled leg does not report | [`ConferenceSettings::leg_end_timeout_ms`] | it is taken as gone |
//! | the T-Server side says nothing of a transfer | [`ConferenceSettings::server_timeout_ms`] | the device is told 503 |
//! | a digit was sent by INFO | 300 ms | the next one goes |
//! | two are in plain talk through the plane | [`ConferenceSettings::descend_after_ms`] | they descend, where that is wanted |
//!
//! Everything else is bounded by the transactions below: a re-INVITE fails, a 200 without its ACK ends the leg.
//!
//! # Known limits
//! * Early media of one fork, then an answer by another: the caller gets both descriptions in one dialog, though strictly it may
//!   hold on to the first (RFC 3261 s.13.2.1). Early media is not passed in third-party calls.
//! * A caller, or a device that rings, that holds by UPDATE is passed on as it says; that it holds is not told.
//! * Third-party calls: should the second phone answer the re-INVITE with yet another media address, the first is not told
//!   (two that never settle would keep us sending for ever).
//! * A device that cancels its re-INVITE is answered below and nothing is heard of it here: what the other side answered then
//!   stays without effect until the next re-INVITE; an offer it gave then is never answered, and its device ends the call.
//! * A digit that is sent by INFO, lost on the wire and sent again after its successor is refused by the device (RFC 3261 s.12.2.2).
//! * A device that was asked something when the process was killed, and that refuses to be asked again, may send its media elsewhere than
//!   is known here, until its next re-INVITE.
//! * A request that crosses `ConferenceEnded` finds no conference. The shell makes none for a request whose conference id a
//!   connector has chosen ([`ConferenceId::maker`]); to the T-Server side, `ConferenceEnded` ends what it had asked for since.

mod answer;
mod audit;
mod connect;
mod descend;
mod digits;
mod early;
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
mod restore;
mod snapshot;
mod talk;
#[cfg(test)]
mod tests;
mod third_party;
mod timeout;
mod transfer;

use std::time::Instant;

use self::digits::InfoDigits;
use self::early::EarlyOffer;
pub use self::input::{ConferenceInput, ConferenceOutput, ConferenceSettings, GivenParty, OfferedCall};
use self::join::MediaJoin;
use self::ladder::Ladder;
use self::leg::{Leg, LegMedia, LegPhase};
use self::matrix::Matrix;
use self::operation::{Operations, Wish};
use self::party::Party;
pub use self::party::{PartyPhase, PartySummary};
pub use self::snapshot::ConferenceSnapshot;
use self::transfer::Transfers;
use crate::leg::{LegCommand, LegEvent};
use crate::link::{AudioPlan, Cause, LinkNotification, OperationId, ReleasedBy};
use crate::{ConferenceId, LegId, PartyId};

/// The leg of a call that came in.
pub const OFFERED_LEG: LegId = LegId(0);

/// Legs that a conference takes over from another are numbered by the shell from here on, each number once in a connector.
pub const MOVED_LEGS: u64 = 1 << 56;

/// One live call on a connector. See the module's page.
#[derive(Clone, Debug)]
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
    /// The T-Server side keeps it as long as somebody is there: its one party was answered by `ConnectParty`.
    is_room: bool,
    /// What joins the media of the direct pair.
    join: Option<MediaJoin>,
    /// What is under way between a caller and who rings.
    early: Option<EarlyOffer>,
    /// The way from the direct pair to the media plane and back.
    ladder: Ladder,
    /// Who hears whom; everybody everybody where it is none.
    plan: Option<AudioPlan>,
    matrix: Matrix,
    operations: Operations,
    info_digits: InfoDigits,
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
            is_room: false,
            join: None,
            early: None,
            ladder: Ladder::default(),
            plan: None,
            matrix: Matrix::default(),
            operations: Operations::default(),
            info_digits: InfoDigits::default(),
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
            ConferenceInput::AnswerParty { operation, party } => self.let_answer(operation, party, out),
            ConferenceInput::TransferRequested { leg, refer, to } => self.request_transfer(leg, refer, to, now, out),
            ConferenceInput::TransferProgress { transfer, status } => self.transfer_went_on(transfer, status, out),
            ConferenceInput::Media { leg, event } => self.media_event(leg, event, now, out),
            ConferenceInput::Audit => self.tell_state(out),
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
            LegEvent::Talked { status } => self.talked(leg, status, out),
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
        if self.parties.is_empty() && self.legs.is_empty() && !self.awaits_transfer() && !self.ended {
            self.ended = true;
            self.info_digits = InfoDigits::default();
            self.end_transfers(None, out);
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
