//! A conference comes back from its snapshot: after its process was killed.
//!
//! After a crash of its actor alone, a clone of the conference from before the input that crashed it is better, where the actor has one:
//! then nothing was lost at all, whoever rings goes on ringing, and what is under way on a session is still known here.
//!
//! # What the shell has done by then
//! * It says which legs have a session that is answered. Every other leg of the snapshot is gone, port and all; a session that was not
//!   answered is the shell's to end.
//! * On none of these sessions anything is under way as far as we are concerned: a 2xx of the device is acknowledged, a request of it that
//!   waited for us is refused, and what becomes of an older re-INVITE of ours is not told. A session that cannot be asked anything yet keeps
//!   the re-INVITE that comes now until it can.
//! * The ports of [`ConferenceSnapshot::ports`] are open; what one cannot be had for is told as [`crate::leg::MediaEvent::Refused`].
//!
//! # What was under way
//! | then | now |
//! |---|---|
//! | a direct pair at rest; a leg with the plane | goes on; each port is told anew what it hears |
//! | a pair with a re-INVITE of ours, or with one that was passed on | asked again; the device that had asked is not answered any more |
//! | a pair whose late offer waits for its answer | the one that had to answer is offered the description, the other one its answer |
//! | a climb, a descent, a late offer of the plane | a re-INVITE with the plane's offer |
//! | a pair of which one side is gone, or that the plane is needed for | the same |
//! | a party that was offered or called | gone |
//! | a transfer that a device asked for | 503, where its leg lives |
//! | a party that another conference takes over | it leaves, as soon as it can |
//! | any other operation | forgotten: it is asked for again |
//! | somebody waits alone, or a descent waits for its time | waits anew |
//!
//! A re-INVITE that two can do without who were in talk before is not the end of them when it is refused.
//!
//! # What is told
//! `ConferenceState` first, with whoever is there. Where of several in talk only one is, and the conference is no room, that one is ended
//! next, as it would have been when the others had left. A party that was on its way from one conference to another belongs to the one that
//! its leg's session names: where that one does not know it, it is ended with BYE (a shell that kept what was given passes it to
//! [`ConferenceInput::Take`](super::ConferenceInput::Take) instead).

use std::time::Instant;

use super::leg::{Leg, LegMedia, LegPhase};
use super::operation::Wish;
use super::party::{Party, PartyPhase};
use super::snapshot::{ConferenceSnapshot, GiveSnapshot, MediaPlace, PairExchange, PairSnapshot, PartySnapshot};
use super::transfer::{Transfers, UNAVAILABLE};
use super::{Conference, ConferenceOutput, ConferenceSettings, MOVED_LEGS, MediaJoin};
use crate::LegId;
use crate::leg::{LegCommand, MediaCommand, ReferId};
use crate::link::{Cause, MediaFlowState, ReleasedBy};

impl Conference {
    /// The conference of a snapshot, with those of its parties whose legs are among `legs`; appends what is to be done. See the module.
    /// Whether its media goes through the media plane always is as it was, whatever the settings say.
    pub fn restore(
        snapshot: ConferenceSnapshot,
        settings: ConferenceSettings,
        legs: &[LegId],
        now: Instant,
        out: &mut Vec<ConferenceOutput>,
    ) -> Self {
        let settings = ConferenceSettings {
            anchored: snapshot.anchored,
            ..settings
        };
        let named = snapshot.parties.iter().map(|party| party.leg).chain(legs.iter().copied());
        let own = named.filter(|leg| leg.0 < MOVED_LEGS).map(|leg| leg.0.saturating_add(1));
        let mut conference = Self {
            next_leg: own.fold(snapshot.next_leg, u64::max),
            is_room: snapshot.is_room,
            plan: snapshot.plan,
            gone: snapshot.gone,
            transfers: Transfers::after(snapshot.last_transfer),
            ..Self::new(snapshot.id, settings)
        };
        let were_in_talk = snapshot.parties.len();
        for party in snapshot.parties {
            if legs.contains(&party.leg) {
                conference.bring_back(party);
            } else {
                conference.gone.push(party.id);
            }
        }
        let rest = snapshot.pair.as_ref().is_some_and(|pair| pair.exchange == PairExchange::Rest);
        if let Some(pair) = &snapshot.pair {
            conference.remember_pair(pair, rest);
        }
        conference.tell_state(out);
        conference.end_strangers(legs, out);
        conference.refuse_transfers(&snapshot.transfers, out);
        for GiveSnapshot {
            party,
            to,
            operation,
            as_party,
        } in snapshot.gives
        {
            conference.wish(operation, Wish::Give { party, to, as_party }, out);
        }
        if conference.parties.len() == 1 && were_in_talk > 1 && !conference.is_room {
            conference.release_all(Cause::normal(ReleasedBy::Server), now, out);
        }
        if let Some(pair) = snapshot.pair {
            conference.pair_again(pair, out);
        }
        conference.settle(now, out);
        conference
    }

    fn bring_back(&mut self, party: PartySnapshot) {
        if self.party(party.id).is_some() || self.leg(party.leg).is_some() {
            return;
        }
        let (partner, shared) = party.shared.unzip();
        self.legs.push(Leg {
            media: match party.media {
                MediaPlace::Anchored => LegMedia::Anchored,
                MediaPlace::Direct | MediaPlace::Unsure => LegMedia::Direct,
            },
            acked: true,
            unsure: party.media == MediaPlace::Unsure,
            shared,
            partner,
            unserved: party.unserved,
            ..Leg::new(party.leg, party.id, LegPhase::Talking)
        });
        if party.media != MediaPlace::Direct {
            self.matrix.adopt(party.leg);
        }
        self.parties.push(Party {
            leg: Some(party.leg),
            offer: party.offer,
            held: party.held,
            kept: party.kept,
            flow: match party.media {
                MediaPlace::Anchored => MediaFlowState::Connecting,
                MediaPlace::Direct | MediaPlace::Unsure => MediaFlowState::Unknown,
            },
            ..Party::new(party.id, PartyPhase::Connected)
        });
    }

    /// What the two have described to each other: for the way back where they go to the plane.
    fn remember_pair(&mut self, pair: &PairSnapshot, rest: bool) {
        let [one, other] = pair.sides;
        for (side, partner, known) in [(one, other, &pair.known[0]), (other, one, &pair.known[1])] {
            let Some(leg) = self.leg_mut(side) else { continue };
            (leg.partner, leg.shared) = (Some(partner), known.clone());
            let party = leg.party;
            if rest {
                self.raise_flow(party, MediaFlowState::Connected);
            }
        }
    }

    /// Legs that nobody knows.
    fn end_strangers(&self, legs: &[LegId], out: &mut Vec<ConferenceOutput>) {
        for leg in legs.iter().copied().filter(|leg| self.leg(*leg).is_none()) {
            self.tell(leg, LegCommand::Bye { reason: None }, out);
            out.push(ConferenceOutput::Media(MediaCommand::Close { leg }));
        }
    }

    fn refuse_transfers(&self, transfers: &[(LegId, u64)], out: &mut Vec<ConferenceOutput>) {
        for (leg, refer) in transfers.iter().copied().filter(|(leg, _)| self.leg(*leg).is_some()) {
            let (refer, status) = (ReferId(refer), UNAVAILABLE);
            self.tell(leg, LegCommand::ReferProgress { refer, status }, out);
        }
    }

    /// Joins the pair again where both are there; where it was not at rest and the plane is needed, both are brought there at once.
    fn pair_again(&mut self, pair: PairSnapshot, out: &mut Vec<ConferenceOutput>) {
        let [first, second] = pair.sides;
        let both = first != second && self.leg(first).is_some() && self.leg(second).is_some();
        let rests = pair.exchange == PairExchange::Rest;
        if !both || (!rests && self.wants_plane()) {
            return;
        }
        self.join = MediaJoin::again(pair, out);
        if let Some(join) = &self.join
            && join.is_leaving(first)
            && self.matrix.has(first)
        {
            self.set_media(first, LegMedia::Leaving);
        }
    }
}
