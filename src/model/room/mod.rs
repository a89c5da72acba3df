//! A conference that is dialled into: who waits at its door, who is inside, who hears whom. The T-Server side's machine for one
//! conference DN while somebody is there, as [`crate::call`] is for one call. Pure: link notifications and requests in, link requests
//! and events out.
//!
//! ```text
//! offered ─► Connecting ─► Pin ─► Lobby ─► Moving ─► In ─► Leaving
//!               │           │       │        (the first one inside needs no move: its conference becomes the room's)
//!               └───────────┴───────┴─► Leaving: the PIN was wrong, nobody answered, there is no room, the device hung up
//! ```
//!
//! Each joiner calls in a conference of its own, is accepted there alone, hears its prompts there, and is then taken over into the
//! room's conference, leg and all. All of them are one call for CTI clients: one ConnID.
//!
//! Invariants:
//! * each joiner that was reported gets exactly one terminal event, the conference DN too;
//! * each joiner's own conference ends, or its party is moved; each party inside is heard by the others, or muted by request;
//! * a request gets exactly one answer: the starred event, or an EventError;
//! * [`RoomOutput::Closed`] comes once, when nobody is left, and [`RoomOutput::Finished`] once and last.
//!
//! It does not know SIP, does not read a clock, and plays nothing itself: it says what each party hears ([`AudioSource`]). Joiners who have
//! not given their PIN count: whoever fills the door fills the room.
//!
//! One file per matter: `enter` (offer, PIN, lobby, move), `leave`, `audio`, `request`, `events` (with the roster), `timeout`;
//! `snapshot` is what is kept of a room and how it comes back, `audit` how both sides of the link agree again.

mod audio;
mod audit;
mod enter;
mod events;
mod joiner;
mod leave;
mod request;
mod snapshot;
#[cfg(test)]
mod tests;
mod timeout;

use std::sync::Arc;
use std::time::Instant;

use crate::call::CallIds;
use crate::dn::wish::Wishes;
use crate::link::{CallOffered, LinkNotification, LinkRequest, OperationId};
use crate::numbering::Numbering;
use crate::{ConferenceId, DnId, Event, PartyId, Request, Requestor};
use audio::Audio;
use joiner::{Joiner, Stage};

pub use events::{RosterEntry, RosterRole, RosterState};
pub use snapshot::RoomSnapshot;

#[cfg(doc)]
use crate::link::AudioSource;

/// The prompt that asks for the PIN.
pub const PROMPT_ENTER_PIN: &str = "conf-enter-pin";
/// The prompt after a wrong one.
pub const PROMPT_WRONG_PIN: &str = "conf-wrong-pin";

/// The digits of a PIN. They do not show in its debug form.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Arc<str>);

impl Pin {
    /// A PIN of these digits.
    pub fn new(digits: &str) -> Self {
        Self(digits.into())
    }

    fn is(&self, digits: &str) -> bool {
        *self.0 == *digits
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pin")
    }
}

/// How one conference behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomSettings {
    /// Lets a joiner in; without any PIN nobody is asked.
    pub pin: Option<Pin>,
    /// Lets a joiner in as moderator.
    pub moderator_pin: Option<Pin>,
    /// The most parties, those at the door included.
    pub max_parties: usize,
    /// Whether a tone tells those inside that somebody comes or goes.
    pub announce: bool,
    /// Whether a joiner waits, with music, until a moderator is inside or a client admits it.
    pub lobby: bool,
    /// Whether a party that is alone inside hears music.
    pub music: bool,
    /// How many wrong PINs end a joiner.
    pub pin_tries: u8,
    /// How long a joiner may take for its PIN, from the prompt or the last digit on, in milliseconds.
    pub pin_timeout_ms: u64,
    /// How long the tone lasts that announces somebody, or says that it is time for the PIN, in milliseconds.
    pub announce_ms: u64,
    /// How long a connector may owe an answer, in milliseconds.
    pub link_timeout_ms: u64,
    /// How long a connector may leave unsaid what a conference is now, in milliseconds; then that is gone. It goes on with its calls while it
    /// cannot be reached, so this is longer than most breaks of a link.
    pub audit_timeout_ms: u64,
}

impl Default for RoomSettings {
    /// A door that stands open, 100 parties, tones, music.
    fn default() -> Self {
        Self {
            pin: None,
            moderator_pin: None,
            max_parties: 100,
            announce: true,
            lobby: false,
            music: true,
            pin_tries: 3,
            pin_timeout_ms: 15_000,
            announce_ms: 400,
            link_timeout_ms: 40_000,
            audit_timeout_ms: 900_000,
        }
    }
}

/// What happens to a room.
#[derive(Clone, PartialEq, Debug)]
pub enum RoomInput {
    /// A device or a trunk calls the conference DN, in a conference of its own.
    Offered(CallOffered),
    /// What clients ask of their DNs at this time; counts for the next input.
    Wishes(Wishes),
    /// Which numbers lead where, from the next input on.
    Numbering(Arc<Numbering>),
    /// A client asks for something about this call, on behalf of a party or of the conference DN.
    Request {
        /// Who.
        requestor: Requestor,
        /// What.
        request: Request,
    },
    /// A connector tells something about one of this call's conferences.
    Link(LinkNotification),
    /// The connector that has this conference is gone, and the conference with it.
    LinkLost(ConferenceId),
    /// The link to the connectors is up again after a break: each conference is asked what it is now.
    LinkRestored,
    /// The time of [`Room::next_timeout`] has come.
    Timeout,
}

/// What a room wants done, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum RoomOutput {
    /// Tell the connector that has the conference of this request.
    Link(LinkRequest),
    /// Tell every client that is registered on the event's ThisDN.
    Event {
        /// The event; its own `reference_id` is never set.
        event: Event,
        /// Who gets the copy with the ReferenceID, if this answers a request.
        requestor: Option<Requestor>,
    },
    /// Tell the requestor only.
    Answer {
        /// Who.
        requestor: Requestor,
        /// The answer; its own `reference_id` is never set.
        event: Event,
    },
    /// Who is there has changed ([`Room::roster`]); the number rises each time (the `version` of RFC 4575 s.5.1).
    RosterChanged {
        /// The new version.
        version: u32,
    },
    /// Nobody is there any more: who calls from now on opens another room.
    Closed,
    /// The connectors have let go of everything; the room may be forgotten.
    Finished,
}

/// The machine. See the module.
#[derive(Clone, Debug)]
pub struct Room {
    ids: CallIds,
    dn: DnId,
    numbering: Arc<Numbering>,
    settings: Arc<RoomSettings>,
    /// Of the clients of DNs, as the input came.
    wishes: Wishes,
    /// In the order of their coming.
    joiners: Vec<Joiner>,
    /// Where those inside are.
    conference: Option<ConferenceId>,
    /// Every conference that has not ended.
    conferences: Vec<ConferenceId>,
    /// Those that are yet to say what they are, and until when.
    audits: Vec<(ConferenceId, Instant)>,
    audio: Audio,
    /// Who was told to speak last.
    speaker: Option<(ConferenceId, PartyId)>,
    next_party: u32,
    next_operation: u32,
    version: u32,
    /// The conference DN was reported as established.
    opened: bool,
    /// Who asked for the end of the whole conference, on behalf of the conference DN.
    clearing: Option<Requestor>,
    closed: bool,
    finished: bool,
    /// When a closed room is forgotten whatever the connectors say.
    deadline: Option<Instant>,
}

impl Room {
    /// A room of the conference DN `dn` that nobody has entered. The conference in `ids` does not matter.
    pub fn new(ids: CallIds, dn: DnId, numbering: Arc<Numbering>, settings: Arc<RoomSettings>) -> Self {
        Self {
            ids,
            dn,
            numbering,
            settings,
            wishes: Wishes::default(),
            joiners: Vec::new(),
            conference: None,
            conferences: Vec::new(),
            audits: Vec::new(),
            audio: Audio::default(),
            speaker: None,
            next_party: 1,
            next_operation: 1,
            version: 0,
            opened: false,
            clearing: None,
            closed: false,
            finished: false,
            deadline: None,
        }
    }

    /// Takes one input; what is to be done is appended to `out`.
    pub fn handle(&mut self, input: RoomInput, now: Instant, out: &mut Vec<RoomOutput>) {
        match input {
            RoomInput::Offered(offered) => self.offered(offered, now, out),
            RoomInput::Wishes(wishes) => {
                self.wishes = wishes;
                return;
            }
            RoomInput::Numbering(numbering) => {
                self.numbering = numbering;
                return;
            }
            RoomInput::Request { requestor, request } => self.request(requestor, request, now, out),
            RoomInput::Link(notification) => self.link(notification, now, out),
            RoomInput::LinkLost(conference) => self.conference_ended(conference, now, out),
            RoomInput::LinkRestored => self.audit(now, out),
            RoomInput::Timeout => self.timed_out(now, out),
        }
        self.close_if_empty(now, out);
        self.wishes = Wishes::default();
    }

    /// What the call is called.
    pub fn ids(&self) -> &CallIds {
        &self.ids
    }

    /// The conference DN.
    pub fn dn(&self) -> &DnId {
        &self.dn
    }

    /// Whether [`RoomOutput::Closed`] was given out: such a room takes nobody in.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether [`RoomOutput::Finished`] was given out.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The conferences that are this room's: the one inside, and that of each joiner at the door.
    pub fn conferences(&self) -> &[ConferenceId] {
        &self.conferences
    }

    fn link(&mut self, notification: LinkNotification, now: Instant, out: &mut Vec<RoomOutput>) {
        match notification {
            LinkNotification::PartyConnected { conference, party } => self.connected(conference, party, now, out),
            LinkNotification::PartyDigit {
                conference,
                party,
                digit,
            } => self.digit(conference, party, digit, now, out),
            LinkNotification::PartyHeld { conference, party, held } => self.device_held(conference, party, held, out),
            LinkNotification::PartyReleased {
                conference,
                party,
                cause,
            } => {
                if let Some(index) = self.at(conference, party) {
                    self.gone(index, Some(&cause), now, out);
                }
            }
            LinkNotification::PartySpeaks { conference, party } => self.speaker = Some((conference, party)),
            LinkNotification::PromptEnded { conference, party } => self.prompt_ended(conference, party, now, out),
            LinkNotification::PartyMoved { conference, party } => self.moved(conference, party, now, out),
            LinkNotification::OperationDone { operation, .. } => self.operation_done(operation, now, out),
            LinkNotification::OperationFailed { operation, cause, .. } => self.operation_failed(operation, &cause, now, out),
            LinkNotification::ConferenceState { conference, parties } => self.conference_state(conference, &parties, now, out),
            LinkNotification::ConferenceEnded { conference } => self.conference_ended(conference, now, out),
            // What a device asks for itself is a matter of calls between two; a refusal is all that it needs to hear.
            LinkNotification::TransferRequested {
                conference, transfer, ..
            } => out.push(RoomOutput::Link(LinkRequest::TransferProgress {
                conference,
                transfer,
                status: 403,
            })),
            LinkNotification::CallOffered(_)
            | LinkNotification::PartyCreated { .. }
            | LinkNotification::PartyAlerting { .. }
            | LinkNotification::PartyRedirected { .. }
            | LinkNotification::MediaFlow { .. }
            | LinkNotification::DnContacts { .. }
            | LinkNotification::Connector(_) => {}
        }
    }

    fn operation_done(&mut self, operation: OperationId, now: Instant, out: &mut Vec<RoomOutput>) {
        if let Some(index) = self.moving(operation) {
            self.arrived(index, now, out);
        } else if self.audio.is_pending(operation) {
            self.audio_done(out);
        }
    }

    fn operation_failed(&mut self, operation: OperationId, cause: &crate::link::Cause, now: Instant, out: &mut Vec<RoomOutput>) {
        if let Some(index) = self.moving(operation) {
            self.not_moved(index, cause, now, out);
        } else if self.audio.is_pending(operation) {
            self.audio_failed(now);
        } else if let Some(index) = self.joiners.iter().position(|joiner| joiner.prompt == Some(operation)) {
            // A joiner who cannot hear the prompt would stand before a silent door.
            self.dismiss(index, leave::Dismissal::status(500), now, out);
        }
    }

    /// A conference is gone, and every party that was in it.
    fn conference_ended(&mut self, conference: ConferenceId, now: Instant, out: &mut Vec<RoomOutput>) {
        self.conferences.retain(|other| *other != conference);
        self.audits.retain(|(audited, _)| *audited != conference);
        if self.conference == Some(conference) {
            self.conference = None;
            self.audio = Audio::default();
        }
        while let Some(index) = self.joiners.iter().position(|joiner| joiner.is_in_conference(conference)) {
            self.gone(index, None, now, out);
        }
    }

    fn at(&self, conference: ConferenceId, party: PartyId) -> Option<usize> {
        self.joiners.iter().position(|joiner| joiner.is_at(conference, party))
    }

    fn moving(&self, wanted: OperationId) -> Option<usize> {
        self.joiners
            .iter()
            .position(|joiner| matches!(joiner.stage, Stage::Moving { operation, .. } if operation == wanted))
    }

    fn operation(&mut self) -> OperationId {
        let operation = OperationId(self.next_operation);
        self.next_operation = self.next_operation.wrapping_add(1);
        operation
    }

    /// The joiners inside.
    fn inside(&self) -> impl Iterator<Item = &Joiner> {
        self.joiners.iter().filter(|joiner| joiner.is_inside())
    }

    fn close_if_empty(&mut self, now: Instant, out: &mut Vec<RoomOutput>) {
        let ever = self.version > 0 || !self.conferences.is_empty();
        if !self.closed && ever && self.joiners.iter().all(Joiner::is_told) {
            self.close(now, out);
        }
        if self.closed && !self.finished && self.joiners.is_empty() && self.conferences.is_empty() {
            self.finished = true;
            self.deadline = None;
            out.push(RoomOutput::Finished);
        }
    }
}
