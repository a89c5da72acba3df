//! One party of a room, from its offer until the connector has let go of it.

use std::sync::Arc;
use std::time::Instant;

use crate::link::OperationId;
use crate::{CallType, ConferenceId, DnId, PartyId, Requestor};

/// How far a joiner is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Its call is being accepted.
    Connecting,
    /// It is asked for its PIN.
    Pin {
        /// What it has pressed.
        digits: String,
        /// How often it was wrong.
        wrong: u8,
    },
    /// It waits to be admitted.
    Lobby,
    /// It is taken over into the room's conference.
    Moving {
        /// The answer names this.
        operation: OperationId,
        /// Where it goes.
        to: (ConferenceId, PartyId),
        /// Its own conference has given it away.
        given: bool,
        /// It was asked for twice: where it failed once, it may yet be done.
        again: bool,
    },
    /// Inside.
    In,
    /// The connector was asked to release it.
    Leaving,
}

/// What clients were told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reported {
    /// EventDialing.
    Dialing,
    /// EventEstablished.
    Established,
    /// EventReleased.
    Released,
}

/// A party of the room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Joiner {
    /// How events name it: a DN of ours, or the number behind a trunk.
    pub(super) dn: DnId,
    /// Its display name.
    pub(super) name: Option<Arc<str>>,
    /// Whether it is none of our DNs: it gets no events.
    pub(super) external: bool,
    /// Its direct calls are not handled: it gets no events either.
    pub(super) silent: bool,
    /// Where it is.
    pub(super) place: (ConferenceId, PartyId),
    /// How far it is.
    pub(super) stage: Stage,
    /// What clients were told.
    pub(super) reported: Reported,
    /// It gave the moderator's PIN.
    pub(super) moderator: bool,
    /// The others do not hear it.
    pub(super) muted: bool,
    /// Its own device has put the call on hold.
    pub(super) held: bool,
    /// The prompt that it hears or heard last.
    pub(super) prompt: Option<OperationId>,
    /// A prompt that asks for the PIN plays.
    pub(super) asking: bool,
    /// Until when it hears the tone after such a prompt.
    pub(super) tone_until: Option<Instant>,
    /// Who admitted it, and on behalf of which DN.
    pub(super) admitted: Option<(Requestor, DnId)>,
    /// Those who are not trusted are not to know who it is: other devices are not.
    pub(super) hidden: bool,
    /// The calling number.
    pub(super) ani: Option<Arc<str>>,
    /// The number as it was dialled.
    pub(super) dnis: Arc<str>,
    /// The Conversation-ID that its INVITE carried, else the room's.
    pub(super) conversation_id: Arc<str>,
    /// When it must have come further at the latest.
    pub(super) deadline: Option<Instant>,
}

impl Joiner {
    /// Whether this is the party, where it is or where it goes.
    pub(super) fn is_at(&self, conference: ConferenceId, party: PartyId) -> bool {
        let place = (conference, party);
        match self.stage {
            Stage::Moving { to, given, .. } => to == place || !given && self.place == place,
            _ => self.place == place,
        }
    }

    /// Whether it ends with this conference. One on its way into a conference that ended is still where it was.
    pub(super) fn is_in_conference(&self, conference: ConferenceId) -> bool {
        match self.stage {
            Stage::Moving { to, given: true, .. } => to.0 == conference,
            _ => self.place.0 == conference,
        }
    }

    pub(super) fn is_inside(&self) -> bool {
        self.stage == Stage::In
    }

    /// Whether its terminal event is told.
    pub(super) fn is_told(&self) -> bool {
        self.reported == Reported::Released
    }

    /// Whether clients are told about it.
    pub(super) fn is_reported(&self) -> bool {
        !self.external && !self.silent
    }

    /// Internal for a DN of ours, Inbound for a call through a trunk.
    pub(super) fn call_type(&self) -> CallType {
        if self.external {
            CallType::Inbound
        } else {
            CallType::Internal
        }
    }
}
