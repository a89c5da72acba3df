//! Sessions as they are kept, so that they outlive the process ([`super::restore`] brings them back).
//!
//! Invariant: a session is kept from the moment a 2xx was sent or received, and [`UserAgent::take_changes`] tells so together with the
//! outputs of the same input: whoever writes the changes down before it sends has never sent what it would not know again. A session is over
//! when its dialog is: one of ours that ended with a BYE is kept until that is answered.
//!
//! What is kept is what a dialog needs to go on: its identifiers, CSeq numbers, route set, target and flow, both descriptions, the session
//! interval, what is needed to acknowledge a 2xx of the peer again, to repeat an unacknowledged one of ours and to refuse a re-INVITE that
//! waits. What is not: other requests in flight, offers nobody has answered, passwords. The peer's CSeq is written along and is no change by itself: it is taken back by one
//! anyway when the session comes back, for the last request may come again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::UserAgent;
use super::api::SessionId;
use super::refresh::Keepalive;
use super::server::ServerKey;
use super::sessions::{Phase, Session};
use super::talk::TakesTalk;
use crate::anchor::{Anchor, unix_micros};
use crate::dialog::Dialog;
use crate::flow::Flow;
use crate::message::Message;
use crate::registrar::Device;

/// What is kept of one session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SessionSnapshot {
    pub(super) outgoing: bool,
    pub(super) dialog: Dialog,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) local_sdp: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) remote_sdp: Option<Bytes>,
    /// A description of ours that waits to be offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) renewed: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keepalive: Option<KeptKeepalive>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accepted: Option<AcceptedInvite>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unacked: Option<KeptSuccess>,
    /// A re-INVITE of the peer that is not answered yet, and where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pending: Option<(Flow, Bytes)>,
    /// User name and realm of its credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<(Arc<str>, Option<Arc<str>>)>,
    /// It is to end with the ACK of our 2xx.
    #[serde(default)]
    pub(super) leaving: bool,
    #[serde(default)]
    pub(super) allows_update: bool,
    #[serde(default)]
    pub(super) takes_talk: TakesTalk,
    /// The device that it is with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<Arc<Device>>,
    /// It is registered with another connector.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) elsewhere: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl SessionSnapshot {
    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        &self.dialog.call_id
    }

    /// Whether we called.
    pub fn is_outgoing(&self) -> bool {
        self.outgoing
    }

    /// The user name, and the realm where it was for one, of the credentials that the session had: to be given back with
    /// [`UserAgent::set_credentials`].
    pub fn account(&self) -> Option<(&str, Option<&str>)> {
        let (username, realm) = self.account.as_ref()?;
        Some((username, realm.as_deref()))
    }

    /// The last description of ours that the peer has.
    pub fn local_sdp(&self) -> Option<&Bytes> {
        self.local_sdp.as_ref()
    }

    /// The last description of the peer.
    pub fn remote_sdp(&self) -> Option<&Bytes> {
        self.remote_sdp.as_ref()
    }
}

/// The session interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct KeptKeepalive {
    pub interval_s: u32,
    /// The refresher is us.
    pub ours: bool,
    /// When the session is given up, in microseconds since 1970.
    pub until: u64,
}

/// The last INVITE of ours that was accepted: its 2xx may come again, and wants its ACK again.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct AcceptedInvite {
    pub cseq: u32,
    /// The ACK carries our description.
    pub answers: bool,
}

impl AcceptedInvite {
    pub fn of(invite: &Message) -> Option<Self> {
        let (cseq, _) = invite.cseq().ok()?;
        let answers = invite.sdp().is_none();
        Some(Self { cseq, answers })
    }
}

/// A 2xx of ours that was not acknowledged yet.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct KeptSuccess {
    pub cseq: u32,
    pub flow: Flow,
    pub bytes: Bytes,
    /// It is an offer: the answer comes with the ACK.
    pub offers: bool,
}

/// What the last snapshot said, as far as it changes.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Kept {
    local_cseq: u32,
    remote_target: Arc<str>,
    flow: Flow,
    local_sdp: Option<Bytes>,
    remote_sdp: Option<Bytes>,
    renewed: Option<Bytes>,
    keepalive: Option<(Keepalive, Option<Instant>)>,
    accepted: Option<AcceptedInvite>,
    unacked: Option<u32>,
    pending: Option<ServerKey>,
    leaving: bool,
    allows_update: bool,
    takes_talk: TakesTalk,
    device: Option<Arc<Device>>,
    elsewhere: bool,
}

impl Kept {
    /// `None` for a session that is not kept.
    pub fn of(session: &Session) -> Option<Self> {
        let dialog = session.dialogs.first().filter(|_| session.is_kept())?;
        Some(Self {
            local_cseq: dialog.local_cseq,
            remote_target: dialog.remote_target.clone(),
            flow: Flow {
                connection: None,
                ..dialog.flow
            },
            local_sdp: session.local_sdp.clone(),
            remote_sdp: session.remote_sdp.clone(),
            renewed: session.renewed.clone(),
            keepalive: session.keepalive.map(|keepalive| (keepalive, session.overdue_at)),
            accepted: session.accepted,
            unacked: session.unacked.as_ref().map(|unacked| unacked.cseq),
            pending: session.pending.as_ref().map(|pending| pending.transaction),
            leaving: session.bye_wanted.is_some(),
            allows_update: session.allows_update,
            takes_talk: session.takes_talk,
            device: session.device.clone(),
            elsewhere: session.elsewhere,
        })
    }
}

impl Session {
    /// Talking, or waiting for the answer to its BYE. A call to somebody whose 2xx had the offer is nothing yet without our answer.
    fn is_kept(&self) -> bool {
        match self.phase {
            Phase::Talking => self.local_sdp.is_some() || self.ack_due.is_none(),
            Phase::Ending => self.closing,
            Phase::Calling | Phase::Ringing => false,
        }
    }
}

impl UserAgent {
    /// What changed since the last call: sessions in talk with their snapshot, and `None` for those whose dialog is over. The first call
    /// gives all that there are. To be called when the outputs of an input were taken from [`UserAgent::poll`], and written down before
    /// they are carried out.
    pub fn take_changes(&mut self, anchor: Anchor) -> Vec<(SessionId, Option<SessionSnapshot>)> {
        let (touched, gone) = self.sessions.take_touched();
        let mut changes: Vec<_> = gone.into_iter().map(|id| (id, None)).collect();
        let ended = self.sessions.take_gone_early().into_iter();
        self.early_changes.extend(ended.map(|id| (id, None)));
        for id in touched {
            self.note_early(id);
            let Some(session) = self.sessions.get(&id) else { continue };
            // One that waits for the answer to its BYE is kept as it was.
            if session.phase == Phase::Ending && session.closing {
                continue;
            }
            let now = Kept::of(session);
            if now.as_ref() != session.kept.as_deref() {
                changes.push((id, self.snapshot_of(id, anchor)));
                self.sessions.keep(id, now);
            }
        }
        changes
    }

    /// The sessions that are kept, in no order: for writing everything again.
    pub fn kept_sessions(&self) -> impl Iterator<Item = SessionId> {
        self.sessions
            .iter()
            .filter(|(_, session)| session.is_kept())
            .map(|(id, _)| id)
    }

    /// What is to be kept of a session; `None` for one that is not in talk.
    pub fn snapshot_of(&self, id: SessionId, anchor: Anchor) -> Option<SessionSnapshot> {
        let session = self.sessions.get(&id).filter(|session| session.is_kept())?;
        Some(SessionSnapshot {
            outgoing: session.outgoing,
            dialog: session.dialogs.first()?.clone(),
            local_sdp: session.local_sdp.clone(),
            remote_sdp: session.remote_sdp.clone(),
            renewed: session.renewed.clone(),
            keepalive: session
                .keepalive
                .zip(session.overdue_at)
                .map(|(keepalive, at)| KeptKeepalive {
                    interval_s: u32::try_from(keepalive.interval.as_secs()).unwrap_or(u32::MAX),
                    ours: keepalive.ours,
                    until: unix_micros(anchor, at),
                }),
            accepted: session.accepted,
            unacked: self.kept_success(session),
            pending: session
                .pending
                .as_ref()
                .map(|pending| (pending.flow, pending.request.bytes().clone())),
            leaving: session.bye_wanted.is_some(),
            account: session
                .credentials
                .as_ref()
                .map(|credentials| (credentials.username.clone(), credentials.realm.clone())),
            allows_update: session.allows_update,
            takes_talk: session.takes_talk,
            device: session.device.clone(),
            elsewhere: session.elsewhere,
        })
    }

    fn kept_success(&self, session: &Session) -> Option<KeptSuccess> {
        let unacked = session.unacked.as_ref()?;
        let (flow, bytes) = match &unacked.copy {
            Some(copy) => copy.clone(),
            None => self.last_response(unacked.transaction)?,
        };
        Some(KeptSuccess {
            cseq: unacked.cseq,
            flow,
            bytes,
            offers: unacked.offers,
        })
    }
}

impl From<KeptKeepalive> for Keepalive {
    fn from(kept: KeptKeepalive) -> Self {
        Self {
            interval: Duration::from_secs(kept.interval_s.into()),
            ours: kept.ours,
        }
    }
}
