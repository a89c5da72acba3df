//! What an audio plan means for the parties that there are: who hears what, leg by leg.
//!
//! | what a row names | what is heard |
//! |---|---|
//! | a party that is connected | its leg |
//! | a party that alerts | its early media; ringback, where it sends none |
//! | a party before that, one that is gone, one whose device holds, the hearer itself | nothing |
//! | anything else | that |
//!
//! A party without a row hears every other party without one. It hears ringback only where it hears nobody, and the default music where
//! everyone it would hear is on hold. Before it is answered, a caller hears so nobody who is in talk. A party whose device holds hears
//! nothing.

use smallvec::SmallVec;

use crate::leg::MediaSource;
use crate::link::{AudioPlan, AudioSource, Tone};
use crate::{LegId, PartyId};

/// What a party gives to be heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Voice {
    /// Nothing (yet).
    None,
    /// It alerts, in silence.
    Ringing,
    /// What the device on this leg sends.
    Leg(LegId),
    /// Nothing, for its device put the call on hold.
    Held,
}

/// A party, as the plan sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seat {
    pub party: PartyId,
    pub in_talk: bool,
    pub voice: Voice,
    /// The leg whose port lets it hear; none where it cannot hear anything from us.
    pub ear: Option<LegId>,
}

/// What a leg hears.
pub(super) type Row = SmallVec<[MediaSource; 2]>;

/// What one of the parties hears by the plan in force.
pub(super) fn heard_by(seat: &Seat, plan: Option<&AudioPlan>, seats: &[Seat]) -> Row {
    if seat.voice == Voice::Held {
        return Row::new();
    }
    match row_of(plan, seat.party) {
        Some(sources) => planned(seat.party, sources, seats),
        None => by_default(seat, plan, seats),
    }
}

/// Whether a plan asks for nothing that two devices do not do by themselves when they send to each other: no more than two parties, each
/// hears the other.
pub(super) fn is_plain_talk(plan: Option<&AudioPlan>, parties: &[PartyId]) -> bool {
    let Some(plan) = plan else { return parties.len() <= 2 };
    let hears_the_others = |party: &PartyId| {
        let others = parties.iter().filter(|other| *other != party);
        let Some(sources) = row_of(Some(plan), *party) else {
            return others.clone().all(|other| row_of(Some(plan), *other).is_none());
        };
        let names = |other: &PartyId| sources.contains(&AudioSource::Party(*other));
        sources.iter().all(|source| matches!(source, AudioSource::Party(_))) && others.clone().all(names)
    };
    parties.len() <= 2 && parties.iter().all(hears_the_others)
}

fn row_of(plan: Option<&AudioPlan>, party: PartyId) -> Option<&[AudioSource]> {
    let row = plan?.rows.iter().find(|row| row.party == party)?;
    Some(&row.sources)
}

fn planned(hearer: PartyId, sources: &[AudioSource], seats: &[Seat]) -> Row {
    let mut row = Row::new();
    for source in sources {
        let heard = match source {
            AudioSource::Party(party) if *party == hearer => None,
            AudioSource::Party(party) => seats.iter().find(|seat| seat.party == *party).and_then(sound),
            AudioSource::Music(name) => Some(MediaSource::Music(name.clone())),
            AudioSource::Tone(tone) => Some(MediaSource::Tone(*tone)),
            AudioSource::File { name, repeat } => Some(MediaSource::File {
                name: name.clone(),
                repeat: *repeat,
            }),
        };
        row.extend(heard.filter(|heard| !row.contains(heard)));
    }
    row
}

fn by_default(hearer: &Seat, plan: Option<&AudioPlan>, seats: &[Seat]) -> Row {
    let peers = || {
        seats
            .iter()
            .filter(|seat| seat.party != hearer.party && row_of(plan, seat.party).is_none())
            .filter(|seat| hearer.in_talk || !seat.in_talk)
    };
    let legs: Row = peers()
        .filter(|seat| matches!(seat.voice, Voice::Leg(_)))
        .filter_map(sound)
        .collect();
    if !legs.is_empty() {
        legs
    } else if peers().any(|seat| seat.voice == Voice::Ringing) {
        Row::from_iter([MediaSource::Tone(Tone::RingBack)])
    } else if peers().any(|seat| seat.voice == Voice::Held) {
        Row::from_iter([MediaSource::Music(None)])
    } else {
        Row::new()
    }
}

fn sound(seat: &Seat) -> Option<MediaSource> {
    match seat.voice {
        Voice::Leg(leg) => Some(MediaSource::Leg(leg)),
        Voice::Ringing => Some(MediaSource::Tone(Tone::RingBack)),
        Voice::None | Voice::Held => None,
    }
}
