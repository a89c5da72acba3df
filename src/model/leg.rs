//! What a conference says to its legs and hears from them. A leg is one SIP INVITE session; this is the vocabulary that
//! keeps [`crate::conference`] free of SIP messages. The SIP user agent (`tandem-sip`) carries it out.
//!
//! Session descriptions are opaque bytes here, passed through from one leg to the other.

use std::sync::Arc;

use bytes::Bytes;

use crate::DnId;

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
}

/// What the conference asks of a leg.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LegCommand {
    /// Send an INVITE. Without an offer, the device is asked for one (late offer, RFC 3264 s.5).
    Invite {
        /// Whom.
        contact: Contact,
        /// The offer, or none.
        offer: Option<Bytes>,
        /// Whose identity to show.
        caller: DnId,
        /// With which name.
        caller_name: Option<Arc<str>>,
        /// Add the auto-answer headers.
        auto_answer: bool,
        /// The call's Conversation-ID.
        conversation_id: Arc<str>,
    },
    /// Send a provisional response on an incoming leg (180, or 183 with early media).
    Progress {
        /// The status, 101 to 199.
        status: u16,
        /// Early media's answer, passed through.
        answer: Option<Bytes>,
    },
    /// Answer an incoming leg with 200.
    Accept {
        /// The answer to its offer, or the offer where it had none.
        sdp: Option<Bytes>,
    },
    /// Refuse an incoming leg.
    Reject {
        /// The final status, 300 to 699.
        status: u16,
    },
    /// Acknowledge the 200 of an outgoing leg.
    Ack {
        /// What the ACK carries.
        answer: AckBody,
    },
    /// Cancel an outgoing leg that has no final answer.
    Cancel {
        /// Another contact answered (Reason: SIP;cause=200, RFC 3326), so the device shows no missed call.
        completed_elsewhere: bool,
    },
    /// Send a re-INVITE; without an offer, ask for one.
    Reinvite {
        /// The offer.
        offer: Option<Bytes>,
    },
    /// Answer a re-INVITE of the device with 200.
    AcceptReinvite {
        /// The answer to its offer (or the offer where it had none).
        sdp: Option<Bytes>,
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
        /// The Q.850 cause to tell in a Reason header.
        q850: Option<u8>,
    },
}

/// What an ACK carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AckBody {
    /// Nothing: the 200 was an answer.
    Nothing,
    /// This answer to the offer in the 200.
    Answer(Bytes),
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
    },
    /// The device sent a re-INVITE; `offer` is none where it asks for one.
    Reoffered {
        /// The offer.
        offer: Option<Bytes>,
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
    },
}
