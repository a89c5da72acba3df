//! Calls that are not answered yet, as they are kept: not to go on, but so that nobody rings or waits for ever when the process is gone.
//!
//! Invariant: of a session without a final response its INVITE is kept, ours from when it is sent and the peer's from when it came, until
//! there is a final response; [`UserAgent::take_early_changes`] tells so after [`UserAgent::take_changes`].
//!
//! A call that comes back so is over at once. Who was called is told by CANCEL, at once, for whether the device has said anything yet (RFC
//! 3261 s.9.1) is not kept; a 2xx that crosses it gets ACK and BYE. Who called gets [`GIVEN_UP`] with the tag that it knows. Only the
//! headers that these need are kept, and no description.

use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::api::SessionId;
use super::client::{ClientKey, ClientUser, hop_by_hop};
use super::restore::RestoreError;
use super::server::{ServerKey, ServerUser, reply_flow};
use super::sessions::{Calling, Phase, Session};
use super::{UserAgent, ident};
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method, RequestBuilder};

/// What a caller gets whose call was not answered before the process was gone: Temporarily Unavailable.
const GIVEN_UP: u16 = 480;

/// Why a device rings no more (RFC 3326).
const REASON: &str = "SIP;cause=500;text=\"Call lost\"";

/// What is kept of one call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EarlySnapshot {
    outgoing: bool,
    local_tag: u64,
    flow: Flow,
    /// The INVITE, with what names its transaction.
    invite: Bytes,
}

/// Which INVITE of a session is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KeptInvite {
    Sent(ClientKey),
    Received(ServerKey),
}

impl Session {
    /// The INVITE that has no final response.
    pub(super) fn open_invite(&self) -> Option<KeptInvite> {
        match self.phase {
            Phase::Calling => self.calling.as_ref()?.transaction.map(KeptInvite::Sent),
            Phase::Ringing => self.pending.as_ref().map(|pending| KeptInvite::Received(pending.transaction)),
            Phase::Talking | Phase::Ending => None,
        }
    }
}

impl UserAgent {
    /// What changed between the last two calls of [`UserAgent::take_changes`]: calls that began, and `None` for those that have a final
    /// response. To be written down before the outputs are carried out, too.
    pub fn take_early_changes(&mut self) -> Vec<(SessionId, Option<EarlySnapshot>)> {
        std::mem::take(&mut self.early_changes)
    }

    /// Notes a change of a session that was touched.
    pub(super) fn note_early(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let open = session.open_invite();
        if open != session.kept_invite {
            self.early_changes.push((id, self.early_snapshot_of(id)));
            self.sessions.keep_invite(id, open);
        }
    }

    /// The calls that are kept, in no order: for writing everything again.
    pub fn kept_calls(&self) -> impl Iterator<Item = SessionId> {
        let open = self.sessions.iter().filter(|(_, session)| session.open_invite().is_some());
        open.map(|(id, _)| id)
    }

    /// What is to be kept of a call that has no final response; `None` for any other session.
    pub fn early_snapshot_of(&self, id: SessionId) -> Option<EarlySnapshot> {
        let session = self.sessions.get(&id)?;
        let (outgoing, flow, invite) = match session.open_invite()? {
            KeptInvite::Sent(key) => {
                let transaction = self.clients.get(&key)?;
                let invite = Message::parse(transaction.request.clone()).ok()?;
                (true, transaction.flow, hop_by_hop(&invite, None, Method::Invite, None)?)
            }
            KeptInvite::Received(_) => {
                let pending = session.pending.as_ref()?;
                (false, pending.flow, to_be_answered(&pending.request)?)
            }
        };
        Some(EarlySnapshot {
            outgoing,
            local_tag: session.local_tag,
            flow: Flow {
                connection: None,
                ..flow
            },
            invite,
        })
    }

    /// Ends a call of the process before. Says whether it takes a while, as a session of that id which the shell hears nothing of but its end.
    /// New sessions get ids above it.
    pub fn end_early(&mut self, now: Instant, id: SessionId, call: EarlySnapshot) -> Result<bool, RestoreError> {
        self.go_on_above(id.0);
        let flow = self.reopened(call.flow).ok_or(RestoreError::NoListener)?;
        let invite = Message::parse(call.invite).map_err(|_| RestoreError::Unreadable)?;
        if call.outgoing {
            self.cancel_early(now, id, call.local_tag, flow, invite)?;
        } else {
            self.refuse_early(now, call.local_tag, flow, &invite);
        }
        Ok(call.outgoing)
    }

    fn cancel_early(
        &mut self,
        now: Instant,
        id: SessionId,
        local_tag: u64,
        flow: Flow,
        invite: Message,
    ) -> Result<(), RestoreError> {
        let branch = invite.top_via().ok().and_then(|via| ident::parse_branch(via.branch?));
        let Some((_, branch)) = branch.filter(|(shard, _)| *shard == self.config.shard) else {
            return Err(RestoreError::ForeignTag);
        };
        if self.sessions.get(&id).is_some() || self.by_tag.contains_key(&local_tag) {
            return Err(RestoreError::Duplicate);
        }
        let key = ClientKey { branch, cancel: false };
        let mut session = Session::new(Phase::Calling, local_tag, invite.call_id().unwrap_or_default().into());
        session.calling = Some(Box::new(Calling {
            transaction: Some(key),
            provisional: true,
            ..Calling::default()
        }));
        self.sessions.insert(id, session);
        self.by_tag.insert(local_tag, id);
        self.live_sessions += 1;
        self.take_up_client(key, ClientUser::Invite(id), flow, invite.bytes().clone());
        self.cancel_with(now, id, 487, Some(REASON.into()));
        Ok(())
    }

    fn refuse_early(&mut self, now: Instant, local_tag: u64, flow: Flow, invite: &Message) {
        let peer = match flow.transport.is_reliable() {
            true => reply_flow(flow, invite).1,
            false => flow.peer,
        };
        let flow = Flow { peer, ..flow };
        let tag = ident::tag(self.config.shard, local_tag);
        let key = self.start_server(now, flow, invite, &Method::Invite, ServerUser::Core);
        let response = self.response(invite, flow, GIVEN_UP).to_tag(&tag).finish();
        self.reply(now, key, GIVEN_UP, response);
    }
}

/// What a response to an INVITE is made of (RFC 3261 s.8.2.6.2).
fn to_be_answered(invite: &Message) -> Option<Bytes> {
    let mut kept = RequestBuilder::new(Method::Invite.as_str(), invite.uri()?);
    for via in invite.headers(HeaderName::Via) {
        kept = kept.header(HeaderName::Via, via);
    }
    for name in [HeaderName::From, HeaderName::To, HeaderName::CSeq] {
        kept = kept.header(name, invite.header(name)?);
    }
    Some(kept.header(HeaderName::CallId, invite.call_id()?).finish())
}
