//! What goes into a [`Conference`](super::Conference) and what comes out: the vocabulary between the machine and its actor.

use std::sync::Arc;

use bytes::Bytes;

use crate::leg::{Contact, Direction, LegCommand, LegEvent, MediaCommand, MediaEvent};
use crate::link::{
    AudioPlan, CallerId, Cause, Headers, LinkNotification, MakeParty, MediaFlowState, OperationId, Presentation, TransferId,
    TransferTarget,
};
use crate::{ConferenceId, DnId, LegId, PartyId};

/// How conferences behave. The same for every conference of a connector.
#[derive(Clone, Copy, Debug)]
pub struct ConferenceSettings {
    /// Whether two session descriptions send the audio to the same place in the same way: media address, port and first format.
    /// The conference treats descriptions as opaque; the shell gives the comparison. After a third-party call is joined, the
    /// second party hears of the first one's new description only where this says false.
    pub same_media: fn(&[u8], &[u8]) -> bool,
    /// Which way a session description lets its audio flow; the shell reads it. Needed where a device answers an offer of ours that it asked
    /// for with a re-INVITE: it may hold or resume so.
    pub direction: fn(&[u8]) -> Direction,
    /// The same description with its audio both ways. A device that does not hold, and answered somebody who did, described itself as one
    /// that only receives; that is not what another one is to be offered for it.
    pub both_ways: fn(&Bytes) -> Bytes,
    /// How long a party that is alone (offered and not yet routed, or left by the one it called) waits for the T-Server side to
    /// say what becomes of it, in milliseconds. Then the conference ends it, so that no leg hangs when the T-Server side is
    /// silent.
    pub server_timeout_ms: u64,
    /// Whether media always goes through the media plane.
    pub anchored: bool,
    /// Whether two parties that simply hear each other are brought back to sending their media to each other.
    pub descend: bool,
    /// How long nothing may have needed the media plane before they are, in milliseconds.
    pub descend_after_ms: u64,
    /// Whether a device is sent digits by SIP INFO, not in its audio.
    pub digits_by_info: bool,
    /// The largest number of parties.
    pub max_parties: usize,
    /// How long a cancelled leg may take to report its end, in milliseconds. The user agent ends a cancelled INVITE after 64*T1
    /// = 32 s (RFC 3261 s.9.1), so this runs out only when a report was lost.
    pub leg_end_timeout_ms: u64,
}

impl Default for ConferenceSettings {
    /// Descriptions are the same when their bytes are, and hold nothing; 10 s for the T-Server side; media leg to leg where that serves, and no way
    /// back from the plane; digits in the audio; up to 128 parties; 40 s for a cancelled leg.
    fn default() -> Self {
        Self {
            same_media: |one, other| one == other,
            direction: |_| Direction::SendRecv,
            both_ways: Bytes::clone,
            server_timeout_ms: 10_000,
            anchored: false,
            descend: false,
            descend_after_ms: 5_000,
            digits_by_info: false,
            max_parties: 128,
            leg_end_timeout_ms: 40_000,
        }
    }
}

/// What the INVITE of a call that came in says about it: [`crate::link::CallOffered`] without the ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfferedCall {
    /// The DN that calls.
    pub from: CallerId,
    /// How far that identity holds, and who may be shown it.
    pub presentation: Presentation,
    /// By which of its addresses a device wants to be known.
    pub preferred: Option<DnId>,
    /// The number as dialled.
    pub dialled: Arc<str>,
    /// The Conversation-ID that the INVITE carried, if any.
    pub conversation_id: Option<Arc<str>>,
    /// The SIP Call-ID of the leg, for logs.
    pub sip_call_id: Arc<str>,
    /// The party whose place the caller takes (Replaces), already looked up.
    pub replaces: Option<(ConferenceId, PartyId)>,
    /// Who forwarded the call here last.
    pub diverted_by: Option<Arc<str>>,
    /// The headers that the pass-through list names.
    pub headers: Headers,
}

/// What happens to a conference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConferenceInput {
    /// A call came in, authenticated, and makes this conference. Its leg is [`super::OFFERED_LEG`]; the conference numbers the
    /// legs it makes itself from 1 on. Anywhere else than in a fresh conference it is refused with 500 (a repetition is
    /// ignored).
    Offered {
        /// The caller's party, chosen by the connector.
        party: PartyId,
        /// Its leg.
        leg: LegId,
        /// What the INVITE says.
        offered: OfferedCall,
        /// Its session description; none where the caller waits for ours (late offer).
        offer: Option<Bytes>,
    },
    /// The T-Server side wants a device called.
    MakeParty {
        /// What it asked.
        request: MakeParty,
        /// The contacts to call, already looked up. Empty: nothing is registered, the party is released with 480.
        contacts: Vec<Contact>,
    },
    /// The T-Server side ends a party.
    ReleaseParty {
        /// The party.
        party: PartyId,
        /// Why.
        cause: Cause,
    },
    /// The T-Server side ends every party.
    ReleaseConference {
        /// Why.
        cause: Cause,
    },
    /// The T-Server side wants a party that was offered answered, without another party having answered: to the parties that are there, or
    /// to the media plane alone. It may stay alone from then on, and so may whoever comes later where it was alone.
    ConnectParty {
        /// The party.
        party: PartyId,
    },
    /// A leg tells something.
    Leg {
        /// The leg.
        leg: LegId,
        /// What it tells.
        event: LegEvent,
    },
    /// The T-Server side says who hears whom.
    SetAudio {
        /// To be answered.
        operation: OperationId,
        /// The matrix.
        plan: AudioPlan,
    },
    /// The T-Server side wants a party that is called to answer.
    AnswerParty {
        /// To be answered.
        operation: OperationId,
        /// The party.
        party: PartyId,
    },
    /// The T-Server side lets a party hear digits.
    SendDigits {
        /// To be answered.
        operation: OperationId,
        /// Who hears them.
        party: PartyId,
        /// Which.
        digits: Arc<str>,
    },
    /// The T-Server side tells how a transfer goes.
    TransferProgress {
        /// The transfer.
        transfer: TransferId,
        /// Its status.
        status: u16,
    },
    /// A device asks for a transfer; the shell has looked the target up. It follows the leg's [`LegEvent::Referred`], in whose place it
    /// comes.
    TransferRequested {
        /// The leg that asks.
        leg: LegId,
        /// The leg's name for it.
        refer: crate::leg::ReferId,
        /// Where to.
        to: TransferTarget,
    },
    /// The media plane tells something about a leg's port.
    Media {
        /// The leg.
        leg: LegId,
        /// What it tells.
        event: MediaEvent,
    },
    /// Another conference takes this party over: give it away ([`ConferenceOutput::GiveAway`]).
    Give {
        /// The party.
        party: PartyId,
        /// Who asks, for the shell.
        to: ConferenceId,
        /// Its operation.
        operation: OperationId,
        /// The party's id there.
        as_party: PartyId,
    },
    /// A party that another conference gave away is this one's from now on.
    Take {
        /// To be answered.
        operation: OperationId,
        /// Its id here.
        party: PartyId,
        /// The party, as the other conference had it; `None` where there was none to give.
        given: Option<GivenParty>,
    },
    /// The T-Server side wants to know how things are.
    Audit,
    /// The time of [`super::Conference::next_timeout`] has come (a call too early does nothing).
    Timeout,
    /// The connector goes down: every party is released and every leg ended at once. The conference ends, as always, when its
    /// cancelled legs have reported their end; a shell that cannot wait for that drops it.
    Abort,
}

/// What the actor has to do, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConferenceOutput {
    /// Tell a leg. An `Invite` makes the leg; one that cannot be sent comes back as [`LegEvent::Failed`] in a later input.
    Leg {
        /// The leg.
        leg: LegId,
        /// What it is to do.
        command: LegCommand,
    },
    /// Tell the T-Server side.
    Notify(LinkNotification),
    /// Tell the media plane.
    Media(MediaCommand),
    /// A party leaves for another conference: the shell names the leg's session by its new conference and leg, then gives that one the
    /// input [`ConferenceInput::Take`].
    GiveAway {
        /// Who takes it.
        to: ConferenceId,
        /// Its operation.
        operation: OperationId,
        /// The party's id there.
        as_party: PartyId,
        /// What it is; `None` where there is no such party, or none that can leave (it is not connected).
        given: Option<GivenParty>,
    },
}

/// A connected party on its way from one conference to another. Its media is anchored (its conference climbs before it lets go), so it is
/// one leg and nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenParty {
    /// Its leg in the conference that gives; the shell puts the leg of the one that takes in its place.
    pub leg: LegId,
    /// Whether its device has it on hold.
    pub device_held: bool,
    /// How far its media was told to be.
    pub media_flow: MediaFlowState,
}
