//! The ports of the legs at the media plane, and what each was told to hear last.
//!
//! The matrix is worked out anew whenever the parties or the plan have changed; only rows that differ from what was commanded are
//! commanded. So after every input what each port hears is what the plan means ([`super::plan`]).

use super::leg::{Leg, LegMedia, LegPhase};
use super::party::{Party, PartyPhase};
use super::plan::{Row, Seat, Voice, heard_by};
use super::{Conference, ConferenceOutput};
use crate::LegId;
use crate::leg::{Description, LegCommand, MediaCommand, MediaSource};
use crate::link::{AudioPlan, Tone};

/// A port that was opened for a leg.
#[derive(Clone, Debug)]
pub(super) struct Port {
    leg: LegId,
    /// What it was told to hear; a new one hears nothing. `None` where another conference told it last.
    hears: Option<Row>,
}

/// Every port, and the picture that the matrix was worked out from.
#[derive(Clone, Debug, Default)]
pub(super) struct Matrix {
    ports: Vec<Port>,
    seen: Option<(Vec<Seat>, Option<AudioPlan>)>,
}

impl Matrix {
    /// The leg brings its port along.
    pub fn adopt(&mut self, leg: LegId) {
        self.ports.push(Port { leg, hears: None });
        self.seen = None;
    }

    /// The leg leaves and takes its port along.
    pub fn give(&mut self, leg: LegId) {
        self.ports.retain(|port| port.leg != leg);
    }

    /// Whether a leg's device is heard on another leg.
    pub fn is_heard(&self, leg: LegId, on: LegId) -> bool {
        let port = self.ports.iter().find(|port| port.leg == on);
        let row = port.and_then(|port| port.hears.as_ref());
        row.is_some_and(|row| row.contains(&MediaSource::Leg(leg)))
    }

    /// Whether the leg has a port.
    pub fn has(&self, leg: LegId) -> bool {
        self.ports.iter().any(|port| port.leg == leg)
    }
}

impl Conference {
    /// Opens and closes ports as the legs need them, and tells each what it hears.
    pub(super) fn mix(&mut self, out: &mut Vec<ConferenceOutput>) {
        self.keep_ports(out);
        let mut seats = self.seats();
        if self.answer_early(&seats, out) {
            self.keep_ports(out);
            seats = self.seats();
        }
        let unchanged = matches!(&self.matrix.seen, Some((seen, plan)) if *seen == seats && *plan == self.plan);
        if unchanged {
            return;
        }
        for seat in &seats {
            let Some(leg) = seat.ear else { continue };
            let row = heard_by(seat, self.plan.as_ref(), &seats);
            let Some(port) = self.matrix.ports.iter_mut().find(|port| port.leg == leg) else {
                continue;
            };
            if port.hears.as_ref() != Some(&row) {
                port.hears = Some(row.clone());
                out.push(ConferenceOutput::Media(MediaCommand::Hear { leg, sources: row }));
            }
        }
        self.matrix.seen = Some((seats, self.plan.clone()));
    }

    fn keep_ports(&mut self, out: &mut Vec<ConferenceOutput>) {
        let legs = &self.legs;
        let needed = |leg: LegId| legs.iter().any(|other| other.id == leg && needs_port(other));
        self.matrix.ports.retain(|port| {
            let keep = needed(port.leg);
            if !keep {
                out.push(ConferenceOutput::Media(MediaCommand::Close { leg: port.leg }));
            }
            keep
        });
        for leg in self.legs.iter().filter(|leg| needs_port(leg)) {
            if !self.matrix.has(leg.id) {
                let hears = Some(Row::new());
                self.matrix.ports.push(Port { leg: leg.id, hears });
            }
        }
    }

    /// A caller that is not answered hears what is meant for it, where that is more than ringing.
    fn answer_early(&mut self, seats: &[Seat], out: &mut Vec<ConferenceOutput>) -> bool {
        let Some(caller) = self.parties.first().filter(|first| first.phase == PartyPhase::Offered) else {
            return false;
        };
        let Some(leg) = caller.leg.filter(|leg| self.media(*leg) == Some(LegMedia::Direct)) else {
            return false;
        };
        let seat = seats.iter().find(|seat| seat.party == caller.id);
        let row = seat.map(|seat| heard_by(seat, self.plan.as_ref(), seats)).unwrap_or_default();
        let ringing = MediaSource::Tone(Tone::RingBack);
        let tells_more = row.iter().any(|source| *source != ringing);
        if caller.offer.is_none() || caller.early_media_of.is_some() || !tells_more {
            return false;
        }
        self.set_media(leg, LegMedia::Anchored);
        let answer = Some(Description::Anchored);
        self.tell(leg, LegCommand::Progress { status: 183, answer }, out);
        true
    }

    fn seats(&self) -> Vec<Seat> {
        self.parties.iter().map(|party| self.seat(party)).collect()
    }

    fn seat(&self, party: &Party) -> Seat {
        let leg = party.leg.and_then(|leg| self.leg(leg));
        let ear = leg.filter(|leg| leg.media.listens()).filter(|leg| self.matrix.has(leg.id));
        let voice = match party.phase {
            PartyPhase::Connected if party.held => Voice::Held,
            PartyPhase::Connected => leg
                .filter(|leg| self.matrix.has(leg.id))
                .map_or(Voice::None, |leg| Voice::Leg(leg.id)),
            PartyPhase::Alerting => match self.legs.iter().find(|leg| leg.party == party.id && leg.sounds_early()) {
                Some(fork) => Voice::Leg(fork.id),
                None => Voice::Ringing,
            },
            PartyPhase::Offered | PartyPhase::Calling => Voice::None,
        };
        Seat {
            party: party.id,
            in_talk: party.phase == PartyPhase::Connected,
            voice,
            ear: ear.map(|leg| leg.id),
        }
    }
}

fn needs_port(leg: &Leg) -> bool {
    match leg.phase {
        LegPhase::Calling => leg.invited == super::leg::Invited::Plane,
        LegPhase::Cancelling { .. } => false,
        LegPhase::Incoming | LegPhase::Talking => leg.media.has_port(),
    }
}
