//! The connector's side of a live call.

mod answer;
mod fork;
mod input;
mod join;
mod leg;
mod make_party;
mod offered;
mod party;
mod release;
mod reoffer;
mod third_party;
mod timeout;

use std::time::Instant;

pub use self::input::{ConferenceInput, ConferenceOutput, ConferenceSettings, OfferedCall};
use self::join::MediaJoin;
use self::leg::{Leg, LegPhase};
use self::party::Party;
pub use self::party::{PartyPhase, PartySummary};
use crate::leg::{LegCommand, LegEvent};
use crate::link::LinkNotification;
use crate::{ConferenceId, LegId, PartyId};

/// The leg of a call that came in.
pub const OFFERED_LEG: LegId = LegId(0);

/// One live call on a connector. See the module's page.
#[derive(Debug)]
pub struct Conference {
    id: ConferenceId,
    settings: ConferenceSettings,
    /// The live parties, the one that calls first.
    parties: Vec<Party>,
    /// The parties that were released, so that a repeated request does not bring them back. Bounded by what the T-Server side asks of this one call.
    gone: Vec<PartyId>,
    /// The legs that are not gone, one for each contact called at the same time.
    legs: Vec<Leg>,
    /// The number of the next leg.
    next_leg: u64,
    /// What joins the media of the two parties in talk.
    join: Option<MediaJoin>,
    ended: bool,
}

/// What can be seen of a conference from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConferenceSummary {
    /// The conference.
    pub id: ConferenceId,
    /// Its live parties, the one that calls first.
    pub parties: Vec<PartySummary>,
    /// Its legs that have not ended.
    pub legs: usize,
    /// What runs between two parties in talk (`quiet`, `reinvite-passed`, ...); `None` before.
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
            _ if self.ended => {}
            ConferenceInput::MakeParty { request, contacts } => self.make_party(request, contacts, now, out),
            ConferenceInput::ReleaseParty { party, cause } => self.release_party(party, cause, now, out),
            ConferenceInput::ReleaseConference { cause } => self.release_conference(cause, now, out),
            ConferenceInput::Leg { leg, event } => self.leg_event(leg, event, now, out),
            ConferenceInput::Timeout => self.timed_out(now, out),
            ConferenceInput::Abort => self.abort(now, out),
        }
        self.settle(now, out);
    }

    /// Whether everything is over; the shell may drop the conference.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The live parties, the one that calls first.
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
            exchange: self.join.as_ref().map(MediaJoin::exchange_name),
            ended: self.ended,
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
            LegEvent::Reoffered { offer } => self.reoffered(leg, offer, out),
            LegEvent::Info { content_type, body } => self.info(leg, content_type, body, out),
            LegEvent::Failed { .. } | LegEvent::Cancelled { .. } | LegEvent::Ended { .. } => self.leg_over(leg, &event, now, out),
            LegEvent::Acked { .. } | LegEvent::ReinviteAnswered { .. } | LegEvent::ReinviteFailed { .. } => {
                self.exchange_went_on(leg, event, now, out);
            }
        }
    }

    /// What follows from the state alone, after every input.
    fn settle(&mut self, now: Instant, out: &mut Vec<ConferenceOutput>) {
        self.watch_lonely_party(now);
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

    fn notify(&self, notification: LinkNotification, out: &mut Vec<ConferenceOutput>) {
        out.push(ConferenceOutput::Notify(notification));
    }
}
