//! A client of the log: what it wants, how far it is, and which of its requests have no answer yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::dn::wish::Wish;
use crate::{ClientId, ConnId, DnId, EventName, ReferenceId, RegisterMode, TError, TErrorCode};

/// Who a client says it is: a digest of its application's name and its key. Only the same may resume.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Identity(pub [u8; 32]);

/// A request that was handed on and has no answer yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outstanding {
    /// What the client called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<ReferenceId>,
    /// The DN that asks.
    pub dn: DnId,
    /// The call it is about, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conn_id: Option<ConnId>,
    /// How it wants to share the DN (RegisterAddress).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<RegisterMode>,
}

/// Whether copies go out to a client.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Feed {
    /// Each at once.
    #[default]
    Live,
    /// It has everything up to here; the rest waits in the log.
    Behind(u64),
    /// It has lost its connection and may resume.
    Lost(SystemTime),
}

/// A registration, and the number of the note about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registration {
    pub(super) mode: RegisterMode,
    pub(super) wish: Wish,
    pub(super) note: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    /// The sequence of its last copy.
    pub(super) previous: u64,
    /// The only events it wants, where it said so.
    pub(super) mask: Option<BTreeSet<EventName>>,
    /// Bounded by the DNs that are configured: only those can be registered.
    pub(super) dns: BTreeMap<DnId, Registration>,
    /// What it asked and what has no answer, by the number of the note. Bounded by the mailboxes that requests wait in.
    pub(super) outstanding: SmallVec<[(u64, Outstanding); 2]>,
    pub(super) feed: Feed,
    /// Of a client that is away: the last sequence that was sent to it, where that is known.
    pub(super) sent: Option<u64>,
    /// `None` until OpenServer is accepted.
    pub(super) opened: Option<OpenClient>,
    /// It said goodbye: it will not resume.
    pub(super) leaves: bool,
}

/// What is known of a client that has opened the server.
#[derive(Clone, Debug)]
pub(super) struct OpenClient {
    pub(super) identity: Identity,
    pub(super) session: Arc<str>,
    /// The sequence of the EventServerConnected that its chain starts with.
    pub(super) since: u64,
}

impl Client {
    pub(super) fn wants(&self, event: EventName) -> bool {
        self.mask.as_ref().is_none_or(|mask| mask.contains(&event))
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self.feed, Feed::Lost(_))
    }

    /// It has lost its connection.
    pub(super) fn lose(&mut self, now: SystemTime) {
        self.sent = Some(match self.feed {
            Feed::Behind(cursor) => cursor,
            Feed::Live | Feed::Lost(_) => self.previous,
        });
        self.feed = Feed::Lost(now);
    }

    /// The request that an event answers: of those with its reference the oldest, one of the event's DN before others.
    pub(super) fn take_answered(&mut self, reference_id: Option<ReferenceId>, dn: Option<&DnId>) -> Option<(u64, Outstanding)> {
        let with_reference = |(_, asked): &(u64, Outstanding)| asked.reference_id == reference_id;
        let of_dn = |noted: &(u64, Outstanding)| with_reference(noted) && Some(&noted.1.dn) == dn;
        let found = self.outstanding.iter().position(of_dn);
        let place = found.or_else(|| self.outstanding.iter().position(with_reference))?;
        Some(self.outstanding.remove(place))
    }

    /// How a registration on the DN was asked for.
    pub(super) fn asked_mode(&self, reference_id: Option<ReferenceId>, dn: &DnId) -> Option<RegisterMode> {
        let asked = self.outstanding.iter().map(|(_, asked)| asked);
        let mut asked = asked.filter(|asked| asked.reference_id == reference_id && asked.dn == *dn);
        asked.find_map(|asked| asked.mode)
    }
}

/// A client that will not resume any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenUp {
    /// Who.
    pub client: ClientId,
    /// The DNs it was registered on, for their [`crate::dn::DnInput::ClientGone`].
    pub dns: Vec<DnId>,
}

/// What answers a request that nobody can answer any more.
pub(super) fn cut_off() -> TError {
    TError::new(TErrorCode::Internal, "the server restarted before this was done")
}
