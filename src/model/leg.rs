//! What a conference says to its legs and hears from them. A leg is one SIP INVITE session; this is the vocabulary that
//! keeps [`crate::conference`] free of SIP messages. The SIP user agent (`tandem-sip`) carries it out.
//!
//! Session descriptions are opaque here. A leg's own is either *passed* on from another leg (the devices send their media to each
//! other), or *anchored*: the shell lets the media plane describe itself ([`Description`]).

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::link::{Forwarded, Headers, Presentation, Tone};
use crate::{DnId, LegId, PartyId};

/// What stands for us in an offer or answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Description {
    /// Another leg's description, passed on: the two devices send their media to each other.
    Passed(Bytes),
    /// The media plane's own, for a port that is this leg's: as an offer, everything it can do; as an answer, what fits the offer
    /// that the leg made last. The shell opens the port when it meets the first one, and tells the port what the device says in
    /// return (its answers, and the offers it gives in a 2xx).
    Anchored,
}

impl From<Bytes> for Description {
    fn from(sdp: Bytes) -> Self {
        Self::Passed(sdp)
    }
}

/// Which way media is to flow, seen from the device (RFC 3264 s.5.1). `SendOnly` and `Inactive` are its hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// The device only sends.
    SendOnly,
    /// The device only receives.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    /// Whether the device does not want to hear the other side: its hold.
    pub fn is_hold(self) -> bool {
        matches!(self, Self::SendOnly | Self::Inactive)
    }
}

/// A transfer that a device asked for with REFER; numbered by the user agent, unique in the leg.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ReferId(pub u64);

/// The dialog that a Replaces header names (RFC 3891 s.6.1), as the device that wrote it sees its own dialog with us.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dialog {
    /// Call-ID.
    pub call_id: Arc<str>,
    /// Our tag: to-tag of the header, for a dialog of the device that wrote it.
    pub to_tag: Arc<str>,
    /// The other tag.
    pub from_tag: Arc<str>,
    /// Only where the dialog is not confirmed yet.
    pub early_only: bool,
}

/// What the media plane is asked on behalf of a leg. What is said of a leg without a port is ignored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaCommand {
    /// What this leg's device hears from now on: these, mixed. Nothing: silence. It replaces what it heard before.
    Hear {
        /// The leg.
        leg: LegId,
        /// What.
        sources: SmallVec<[MediaSource; 2]>,
    },
    /// Let the device hear these digits being pressed (0-9 * # A-D, `,` for a pause), by RFC 4733 where it takes that, else as tones.
    Digits {
        /// The leg.
        leg: LegId,
        /// Which.
        digits: Arc<str>,
    },
    /// The leg needs its port no more: it is gone, or its media goes past us again.
    Close {
        /// The leg.
        leg: LegId,
    },
}

/// What a leg may hear.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MediaSource {
    /// What the device of that leg sends.
    Leg(LegId),
    /// Music on hold: of this name, or the default one.
    Music(Option<Arc<str>>),
    /// A tone of the locale.
    Tone(Tone),
    /// A file of the prompt directory; [`MediaEvent::Ended`] follows its end where it does not repeat.
    File {
        /// Its name.
        name: Arc<str>,
        /// Whether it starts over at its end.
        repeat: bool,
    },
}

/// What the media plane tells about a leg's port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaEvent {
    /// The first packet of the device came, or the first after a pause.
    Flowing,
    /// Nothing came for the configured time though the device is to send.
    Stalled,
    /// The device pressed a key (RFC 4733, or in-band where it cannot do that).
    Digit(char),
    /// The device is the one that speaks now, of three or more who are mixed. Told when it becomes another one, once a second at most.
    Speaks,
    /// The file that this leg heard has ended.
    Ended,
    /// The port cannot be had, or does not fit what the device can do: no port is free, or no codec is shared. What needed it was
    /// refused or failed already: a leg that was to be accepted is gone, one whose re-INVITE was to be accepted is as it was before, one
    /// that was acknowledged with the port's answer, or gave an answer that does not fit, has no media. (An INVITE or re-INVITE of ours
    /// that cannot be described fails as [`LegEvent::Failed`] or [`LegEvent::ReinviteFailed`] instead.)
    Refused,
}

/// One device to call: a registered contact, or a trunk's address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// The request URI.
    pub uri: Arc<str>,
    /// Opaque to the model: how the connector reaches it (flow, route set, credentials); an index the shell understands.
    pub via: ContactVia,
}

/// How a contact is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContactVia {
    /// Through the binding of a registered device, named by DN and contact URI.
    Binding(DnId),
    /// Through a trunk.
    Trunk(DnId),
    /// A device that is registered with another connector: over these Route values, or straight to its URI where there are none.
    Elsewhere {
        /// Its DN.
        dn: DnId,
        /// The Route values.
        route: Vec<Arc<str>>,
        /// Its instance (RFC 5626 s.4.1), and which of its flows.
        instance: (Option<Arc<str>>, Option<u32>),
    },
}

impl ContactVia {
    /// The DN that it leads to, or through.
    pub fn dn(&self) -> &DnId {
        match self {
            Self::Binding(dn) | Self::Trunk(dn) | Self::Elsewhere { dn, .. } => dn,
        }
    }
}

/// What the conference asks of a leg.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LegCommand {
    /// Send an INVITE. Without an offer, the device is asked for one (late offer, RFC 3264 s.5).
    Invite {
        /// Whose leg it is, for the shell: a Replaces header names a dialog, and the T-Server side wants to know the party.
        party: PartyId,
        /// Whom.
        contact: Contact,
        /// The offer, or none.
        offer: Option<Description>,
        /// Whose identity to show.
        caller: DnId,
        /// With which name.
        caller_name: Option<Arc<str>>,
        /// How far that identity holds, and who may be shown it.
        presentation: Presentation,
        /// Add the auto-answer headers.
        auto_answer: bool,
        /// The call's Conversation-ID.
        conversation_id: Arc<str>,
        /// More headers for this leg.
        headers: Headers,
        /// Who forwarded the call here, beyond what the headers tell.
        forwarded: Vec<Forwarded>,
    },
    /// Send a provisional response on an incoming leg (180, or 183 with early media).
    Progress {
        /// The status, 101 to 199.
        status: u16,
        /// Early media's answer.
        answer: Option<Description>,
    },
    /// Answer an incoming leg with 200.
    Accept {
        /// The answer to its offer, or the offer where it had none.
        sdp: Option<Description>,
    },
    /// Refuse an incoming leg.
    Reject {
        /// The final status, 300 to 699.
        status: u16,
        /// The value of a Reason header to tell.
        reason: Option<Arc<str>>,
    },
    /// Acknowledge the 200 of an outgoing leg.
    Ack {
        /// What the ACK carries.
        answer: AckBody,
    },
    /// Cancel an outgoing leg that has no final answer.
    Cancel {
        /// The value of a Reason header to tell; [`crate::link::COMPLETED_ELSEWHERE`] where another contact answered.
        reason: Option<Arc<str>>,
    },
    /// Send a re-INVITE; without an offer, ask for one.
    Reinvite {
        /// The offer.
        offer: Option<Description>,
    },
    /// Answer a re-INVITE (or an UPDATE with an offer) of the device with 200.
    AcceptReinvite {
        /// The answer to its offer (or the offer where it had none).
        sdp: Option<Description>,
    },
    /// Refuse a re-INVITE of the device; the session goes on as it was.
    RejectReinvite {
        /// The final status, 400 to 699.
        status: u16,
    },
    /// Pass an INFO on.
    Info {
        /// Its Content-Type.
        content_type: Arc<str>,
        /// Its body.
        body: Bytes,
    },
    /// End the session with BYE.
    Bye {
        /// The value of a Reason header to tell.
        reason: Option<Arc<str>>,
    },
    /// Ask the ringing device of an outgoing leg to answer (NOTIFY with `Event: talk`). [`LegEvent::Talked`] tells what it says to that, where
    /// it says so before it answers.
    Talk,
    /// Tell the device how the transfer goes that it asked for (202 to its REFER if that is not answered yet, then NOTIFY with a
    /// message/sipfrag body, RFC 3515 s.2.4.4; nothing where it wants to hear nothing, RFC 4488). A final status ends it; a status
    /// of 300 or more before anything else refuses the REFER with it.
    ReferProgress {
        /// Which transfer.
        refer: ReferId,
        /// 100 when it was begun, 18x, and then a final one.
        status: u16,
    },
}

/// What an ACK carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AckBody {
    /// Nothing: the 200 was an answer.
    Nothing,
    /// This answer to the offer in the 200.
    Answer(Description),
    /// An answer to the offer in the 200 that accepts every stream as inactive (RFC 3725 flow III's held answer).
    Inactive,
}

/// What a leg tells the conference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LegEvent {
    /// A provisional response above 100 came; `sdp` where it carried one.
    Progress {
        /// The status.
        status: u16,
        /// Early media.
        sdp: Option<Bytes>,
    },
    /// A 2xx came. It waits for [`LegCommand::Ack`]. A further 2xx of another fork never shows: it is acknowledged and ended below.
    Answered {
        /// The answer, or the offer where the INVITE had none.
        sdp: Option<Bytes>,
    },
    /// The outgoing leg failed, with the final status (408 where none came, 487 after a cancel). The leg is gone.
    Failed {
        /// The final status.
        status: u16,
        /// The Q.850 cause of its Reason header.
        q850: Option<u8>,
        /// The value of that header, for other legs.
        reason: Option<Arc<str>>,
        /// Where a 3xx says to call instead, in its order of preference.
        contacts: Vec<Arc<str>>,
    },
    /// The ACK for our 200 came; `sdp` where it carried the answer.
    Acked {
        /// The answer of a late offer.
        sdp: Option<Bytes>,
    },
    /// The caller cancelled; the leg was answered with 487 and is gone.
    Cancelled {
        /// The Q.850 cause of its Reason header.
        q850: Option<u8>,
        /// The value of that header, for other legs.
        reason: Option<Arc<str>>,
    },
    /// The device sent a re-INVITE, or an UPDATE with an offer; `offer` is none where it asks for one.
    Reoffered {
        /// The offer.
        offer: Option<Bytes>,
        /// Which way its audio is to flow; `SendRecv` where there is no offer.
        direction: Direction,
    },
    /// The device asks us to transfer it: REFER, not answered yet; waits for [`LegCommand::ReferProgress`].
    Referred {
        /// Which transfer.
        refer: ReferId,
        /// The Refer-To URI without its Replaces.
        to: Arc<str>,
        /// The dialog that the target is to replace (attended transfer).
        replaces: Option<Dialog>,
    },
    /// Our re-INVITE got a 2xx; it waits for [`LegCommand::Ack`].
    ReinviteAnswered {
        /// The answer, or the offer where we sent none.
        sdp: Option<Bytes>,
    },
    /// Our re-INVITE was refused; the session goes on as it was.
    ReinviteFailed {
        /// The final status.
        status: u16,
    },
    /// What the device says to [`LegCommand::Talk`]; whether it follows shows in its answer.
    Talked {
        /// The final status: 489 also where it is known without asking that it does not take it, 408 where it said nothing.
        status: u16,
    },
    /// The device sent INFO; it was answered with 200.
    Info {
        /// Its Content-Type.
        content_type: Arc<str>,
        /// Its body.
        body: Bytes,
    },
    /// The session is over: the device sent BYE, or the dialog died (no ACK, 481, 408 in it). The leg is gone.
    Ended {
        /// The device hung up (false: the network failed).
        by_device: bool,
        /// The Q.850 cause of its Reason header.
        q850: Option<u8>,
        /// The value of that header, for other legs.
        reason: Option<Arc<str>>,
    },
}
