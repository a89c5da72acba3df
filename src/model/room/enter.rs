//! The way in: the offer, the PIN, the lobby, the move.

use std::time::{Duration, Instant};

use super::joiner::{Joiner, Reported, Stage};
use super::leave::Dismissal;
use super::{PROMPT_ENTER_PIN, PROMPT_WRONG_PIN, Room, RoomOutput};
use crate::link::{AudioPlan, AudioSource, CallOffered, CallerId, Cause, Hearing, LinkRequest, ReleasedBy, Tone};
use crate::{CallState, ConferenceId, DnId, EventName, PartyId, PartyState, TError, TErrorCode};

/// The most digits that are kept of what a joiner presses.
const MAX_DIGITS: usize = 16;
/// The longest text of an INVITE that events repeat, in bytes.
const MAX_TEXT: usize = 1024;
/// Q.850: call rejected.
const REJECTED: u8 = 21;
/// Q.850: recovery on timer expiry.
const TOOK_TOO_LONG: u8 = 102;

impl Room {
    pub(super) fn offered(&mut self, offered: CallOffered, now: Instant, out: &mut Vec<RoomOutput>) {
        if self.at(offered.conference, offered.party).is_some() {
            return;
        }
        let place = (offered.conference, offered.party);
        let full = self.joiners.len() >= self.settings.max_parties;
        let joiner = self.joiner(offered);
        if self.closed {
            // Whoever dispatches calls opens another room; this one only says no.
            return out.push(release(place, Cause::status(ReleasedBy::Server, 503)));
        }
        if !self.conferences.contains(&place.0) {
            self.conferences.push(place.0);
        }
        self.joiners.push(joiner);
        let index = self.joiners.len() - 1;
        if self.is_twice_there(index) {
            self.joiners[index].reported = Reported::Released;
            return self.ask_release(index, Cause::status(ReleasedBy::Server, 486), now, out);
        }
        self.report(index, EventName::EventDialing, PartyState::Dialing, CallState::Ok, None, out);
        if full {
            let busy = Dismissal {
                state: CallState::Busy,
                ..Dismissal::status(486)
            };
            return self.dismiss(index, busy, now, out);
        }
        self.joiners[index].deadline = Some(self.link_deadline(now));
        out.push(RoomOutput::Link(LinkRequest::ConnectParty {
            conference: place.0,
            party: place.1,
        }));
    }

    /// A DN of ours that is there already: under one ConnID its two parties could not be told apart.
    fn is_twice_there(&self, index: usize) -> bool {
        let new = &self.joiners[index];
        let before = self.joiners.iter().take(index);
        !new.external && before.filter(|joiner| !joiner.is_told()).any(|joiner| joiner.dn == new.dn)
    }

    fn joiner(&self, offered: CallOffered) -> Joiner {
        let bearable = |text: &str| text.len() <= MAX_TEXT;
        let (dn, name, external) = match offered.from {
            CallerId::Extension(dn) => {
                let name = self.numbering.dn(&dn).and_then(|config| config.display_name.clone());
                (dn, name, false)
            }
            CallerId::Trunk { number, name, .. } if bearable(number.as_str()) => (number, name, true),
            CallerId::Trunk { .. } => (DnId::new(ANONYMOUS), None, true),
        };
        let number = self.numbering.dn(&dn).and_then(|config| config.extension_number.clone());
        let ani = number.unwrap_or_else(|| if external { dn.user().into() } else { dn.as_str().into() });
        // A phone that dials the conference makes a direct call (`handle-direct-calls`, seed 002 lines 2332, 2394-2402).
        let handled = || {
            self.numbering
                .direct_calls(&dn)
                .under(self.wishes.of(&dn).direct)
                .handles_audio(false)
        };
        let silent = !external && !handled();
        Joiner {
            dn,
            name: name.filter(|name| bearable(name)),
            external,
            silent,
            place: (offered.conference, offered.party),
            stage: Stage::Connecting,
            reported: Reported::Dialing,
            moderator: false,
            muted: false,
            held: false,
            prompt: None,
            asking: false,
            tone_until: None,
            admitted: None,
            hidden: offered.presentation.hides_caller(),
            ani: Some(ani),
            dnis: if bearable(&offered.dialled) {
                offered.dialled
            } else {
                self.dn.user().into()
            },
            conversation_id: offered
                .conversation_id
                .filter(|text| bearable(text))
                .unwrap_or_else(|| self.ids.conversation_id.clone()),
            deadline: None,
        }
    }

    /// The joiner's call is accepted.
    pub(super) fn connected(&mut self, conference: ConferenceId, party: PartyId, now: Instant, out: &mut Vec<RoomOutput>) {
        let Some(index) = self.at(conference, party) else { return };
        if self.joiners[index].stage != Stage::Connecting {
            return;
        }
        if self.settings.pin.is_some() || self.settings.moderator_pin.is_some() {
            self.ask_pin(index, 0, now, out);
        } else {
            self.at_the_door(index, now, out);
        }
    }

    fn ask_pin(&mut self, index: usize, wrong: u8, now: Instant, out: &mut Vec<RoomOutput>) {
        let prompt = if wrong == 0 { PROMPT_ENTER_PIN } else { PROMPT_WRONG_PIN };
        let file = AudioSource::File {
            name: prompt.into(),
            repeat: false,
        };
        let deadline = now + Duration::from_millis(self.settings.pin_timeout_ms);
        let joiner = &mut self.joiners[index];
        joiner.stage = Stage::Pin {
            digits: String::new(),
            wrong,
        };
        joiner.deadline = Some(deadline);
        (joiner.asking, joiner.tone_until) = (true, None);
        self.prompt(index, Some(file), out);
    }

    /// The prompt is over, or there is no such file: a tone says that it is the joiner's turn.
    pub(super) fn prompt_ended(&mut self, conference: ConferenceId, party: PartyId, now: Instant, out: &mut Vec<RoomOutput>) {
        let Some(index) = self.at(conference, party) else { return };
        let tone_until = now + Duration::from_millis(self.settings.announce_ms);
        let joiner = &mut self.joiners[index];
        if std::mem::take(&mut joiner.asking) && matches!(joiner.stage, Stage::Pin { .. }) {
            joiner.tone_until = Some(tone_until);
            self.prompt(index, Some(AudioSource::Tone(Tone::Beep)), out);
        }
    }

    /// The tone has lasted long enough.
    pub(super) fn tone_overdue(&mut self, index: usize, out: &mut Vec<RoomOutput>) {
        let joiner = &mut self.joiners[index];
        joiner.tone_until = None;
        if matches!(joiner.stage, Stage::Pin { .. }) {
            self.prompt(index, None, out);
        }
    }

    /// What a joiner at the door hears may be lost: it is asked for its PIN from the start, or hears music again.
    pub(super) fn prompt_again(&mut self, index: usize, now: Instant, out: &mut Vec<RoomOutput>) {
        match self.joiners[index].stage {
            Stage::Pin { wrong, .. } => self.ask_pin(index, wrong, now, out),
            Stage::Lobby => self.prompt(index, Some(AudioSource::Music(None)), out),
            _ => {}
        }
    }

    /// What a joiner at the door hears.
    fn prompt(&mut self, index: usize, source: Option<AudioSource>, out: &mut Vec<RoomOutput>) {
        let operation = self.operation();
        let joiner = &mut self.joiners[index];
        joiner.prompt = Some(operation);
        let (conference, party) = joiner.place;
        let row = Hearing {
            party,
            sources: source.into_iter().collect(),
        };
        let plan = AudioPlan { rows: vec![row] };
        out.push(RoomOutput::Link(LinkRequest::SetAudio {
            conference,
            operation,
            plan,
        }));
    }

    pub(super) fn digit(
        &mut self,
        conference: ConferenceId,
        party: PartyId,
        pressed: char,
        now: Instant,
        out: &mut Vec<RoomOutput>,
    ) {
        let Some(index) = self.at(conference, party) else { return };
        let deadline = now + Duration::from_millis(self.settings.pin_timeout_ms);
        let joiner = &mut self.joiners[index];
        let Stage::Pin { digits, .. } = &mut joiner.stage else {
            return;
        };
        joiner.deadline = Some(deadline);
        match pressed {
            '#' => self.pin_given(index, now, out),
            '*' => digits.clear(),
            '0'..='9' if digits.len() < MAX_DIGITS => {
                digits.push(pressed);
                // Who knows the PIN need not hear the prompt to its end.
                if digits.len() == 1 {
                    (joiner.asking, joiner.tone_until) = (false, None);
                    self.prompt(index, None, out);
                }
            }
            _ => {}
        }
    }

    fn pin_given(&mut self, index: usize, now: Instant, out: &mut Vec<RoomOutput>) {
        let Stage::Pin { digits, .. } = &self.joiners[index].stage else {
            return;
        };
        let is = |pin: &Option<super::Pin>| pin.as_ref().is_some_and(|pin| pin.is(digits));
        let moderator = is(&self.settings.moderator_pin);
        if moderator || is(&self.settings.pin) {
            self.joiners[index].moderator = moderator;
            self.at_the_door(index, now, out);
        } else {
            self.pin_failed(index, REJECTED, now, out);
        }
    }

    /// No PIN in time: as good as a wrong one.
    pub(super) fn pin_overdue(&mut self, index: usize, now: Instant, out: &mut Vec<RoomOutput>) {
        self.pin_failed(index, TOOK_TOO_LONG, now, out);
    }

    fn pin_failed(&mut self, index: usize, q850: u8, now: Instant, out: &mut Vec<RoomOutput>) {
        let Stage::Pin { wrong, .. } = self.joiners[index].stage else {
            return;
        };
        if wrong + 1 < self.settings.pin_tries {
            return self.ask_pin(index, wrong + 1, now, out);
        }
        let rejected = Dismissal {
            state: CallState::Dropped,
            q850: Some(q850),
            ..Dismissal::status(403)
        };
        self.dismiss(index, rejected, now, out);
    }

    /// The joiner may come in, unless it has to wait for somebody.
    fn at_the_door(&mut self, index: usize, now: Instant, out: &mut Vec<RoomOutput>) {
        let hosted = self.inside().any(|joiner| joiner.moderator);
        let joiner = &mut self.joiners[index];
        (joiner.deadline, joiner.tone_until) = (None, None);
        if self.settings.lobby && !joiner.moderator && !hosted {
            joiner.stage = Stage::Lobby;
            self.prompt(index, Some(AudioSource::Music(None)), out);
            self.roster_changed(out);
        } else {
            self.admit(index, now, out);
        }
    }

    /// Lets a joiner in: the first one's conference becomes the room's, each other one is moved there.
    pub(super) fn admit(&mut self, index: usize, now: Instant, out: &mut Vec<RoomOutput>) {
        let (conference, party) = self.joiners[index].place;
        let Some(room) = self.conference else {
            self.conference = Some(conference);
            self.next_party = self.next_party.max(party.0.wrapping_add(1));
            // Who heard a prompt has a plan in force that is none of ours.
            self.audio.begin(self.joiners[index].prompt.is_some());
            return self.entered(index, now, out);
        };
        let operation = self.operation();
        let to = (room, PartyId(self.next_party));
        self.next_party = self.next_party.wrapping_add(1);
        let deadline = self.link_deadline(now);
        let joiner = &mut self.joiners[index];
        joiner.stage = Stage::Moving {
            operation,
            to,
            given: false,
            again: false,
        };
        joiner.deadline = Some(deadline);
        out.push(RoomOutput::Link(LinkRequest::MoveParty {
            conference: room,
            operation,
            party: to.1,
            from: conference,
            from_party: party,
        }));
    }

    /// Its own conference has given the party away. Where the one that was to take it is over, nobody has it any more.
    pub(super) fn moved(&mut self, conference: ConferenceId, party: PartyId, now: Instant, out: &mut Vec<RoomOutput>) {
        let place = (conference, party);
        let Some(index) = self.joiners.iter().position(|joiner| joiner.place == place) else {
            return;
        };
        if let Stage::Moving { given, to, .. } = &mut self.joiners[index].stage {
            *given = true;
            if !self.conferences.contains(&to.0) {
                self.gone(index, None, now, out);
            }
        }
    }

    /// The room's conference has the party.
    pub(super) fn arrived(&mut self, index: usize, now: Instant, out: &mut Vec<RoomOutput>) {
        let joiner = &mut self.joiners[index];
        let Stage::Moving { to, .. } = joiner.stage else { return };
        joiner.place = to;
        if joiner.is_told() {
            self.ask_release(index, Cause::normal(ReleasedBy::Server), now, out);
        } else if self.conference == Some(to.0) {
            self.entered(index, now, out);
        } else {
            // The room is elsewhere by now: everybody who was inside there had left.
            self.admit(index, now, out);
        }
    }

    /// The room's conference could not take the party.
    pub(super) fn not_moved(&mut self, index: usize, cause: &Cause, now: Instant, out: &mut Vec<RoomOutput>) {
        let Stage::Moving { to, given, again, .. } = self.joiners[index].stage else {
            return;
        };
        if again {
            out.push(release(to, Cause::normal(ReleasedBy::Server)));
        }
        if given {
            return self.gone(index, Some(cause), now, out);
        }
        if self.joiners[index].is_told() {
            return self.ask_release(index, Cause::normal(ReleasedBy::Server), now, out);
        }
        // The last one inside may have left meanwhile, and its conference with it: then this joiner is the first one.
        if self.conference == Some(to.0) && !self.inside().any(|joiner| joiner.place.0 == to.0) {
            self.conference = None;
        }
        if self.conference == Some(to.0) {
            self.joiners[index].stage = Stage::Leaving;
            self.dismiss(index, Dismissal::status(503), now, out);
        } else {
            self.admit(index, now, out);
        }
    }

    fn entered(&mut self, index: usize, now: Instant, out: &mut Vec<RoomOutput>) {
        let joiner = &mut self.joiners[index];
        joiner.stage = Stage::In;
        joiner.deadline = None;
        joiner.reported = Reported::Established;
        let (moderator, admitted) = (joiner.moderator, joiner.admitted.take());
        self.tell_entry(index, admitted, out);
        self.roster_changed(out);
        self.announce(now);
        self.set_audio(out);
        if moderator {
            for waiting in 0..self.joiners.len() {
                if self.joiners[waiting].stage == Stage::Lobby {
                    self.admit(waiting, now, out);
                }
            }
        }
    }

    /// A client admits a joiner that waits.
    pub(super) fn admit_by_request(
        &mut self,
        target: &DnId,
        by: (crate::Requestor, DnId),
        now: Instant,
        out: &mut Vec<RoomOutput>,
    ) -> Result<(), TError> {
        let waits = |joiner: &Joiner| joiner.dn == *target && joiner.stage == Stage::Lobby;
        let Some(index) = self.joiners.iter().position(waits) else {
            let text = format!("otherDn: {target} does not wait to be admitted");
            return Err(TError::new(TErrorCode::PartyNotOnCall, text));
        };
        self.joiners[index].admitted = Some(by);
        self.admit(index, now, out);
        Ok(())
    }

    pub(super) fn link_deadline(&self, now: Instant) -> Instant {
        now + Duration::from_millis(self.settings.link_timeout_ms)
    }
}

/// How an unknown caller is called (RFC 3261 s.8.1.1.3, RFC 3323 s.4.1).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

pub(super) fn release((conference, party): (ConferenceId, PartyId), cause: Cause) -> RoomOutput {
    RoomOutput::Link(LinkRequest::ReleaseParty {
        conference,
        party,
        cause,
    })
}
