//! Legs that change their conference, and the dialogs that transfers name: what concerns two connectors at once.
//!
//! A leg's SIP session stays where it began. Which connector that is shows in the tags of its dialog, so a REFER or INVITE that names
//! the dialog finds the party there.
//!
//! That is so within a process. A leg does not go to a connector of another one: a REFER that names a dialog there is refused, and so is the
//! operation of a desktop that would join calls of both. [`crate::neighbours`] makes that rare: a device in a call of another connector makes
//! its next call there.

use std::sync::Arc;

use actix::{Addr, AsyncContext, Context};
use tandem_model::conference::ConferenceInput;
use tandem_model::leg::{LegEvent, ReferId};
use tandem_model::link::{OperationId, TransferTarget};
use tandem_model::{ConferenceId, ConnectorId, LegId, PartyId};
use tandem_sip::message::{Message, Uri};
use tandem_sip::ua::{DialogState, ReplacesDialog, SessionId, may_replace, replaces_of};

use super::conference::{ConferenceActor, ConferenceMessage, Moving};
use super::connector_actor::{ConnectorActor, INTERNAL_ERROR};
use super::message::ConnectorMessage;
use super::target;
use crate::now;

impl ConnectorActor {
    /// The party whose place the caller wants (RFC 3891 s.3), or the status that refuses the INVITE. The ingress has brought it to the
    /// connector that has the dialog.
    pub(super) fn replaced(&self, request: &Message) -> Result<Option<(ConferenceId, PartyId)>, u16> {
        let Some(dialog) = replaces_of(request).map_err(|_| 400_u16)? else {
            return Ok(None);
        };
        let found = self.parts.shard.borrow().party_of(&dialog);
        may_replace(found.map(|(_, _, state)| state), dialog.early_only)?;
        Ok(found.map(|(conference, party, _)| (conference, party)))
    }

    /// A device wants its peer transferred. Where that is into another call of its own, the connector that has the call knows the party.
    pub(super) fn referred(
        &self,
        session: SessionId,
        refer: ReferId,
        to: Arc<str>,
        referred_by: Option<Arc<str>>,
        replaces: Option<ReplacesDialog>,
    ) {
        let mut shard = self.parts.shard.borrow_mut();
        let Some((conference, leg)) = shard.session(session).map(|entry| (entry.conference, entry.leg)) else {
            return;
        };
        let Some(asking) = shard.owner(conference, leg).cloned() else {
            return;
        };
        drop(shard);
        let Some(dialog) = replaces else {
            let to = Uri::parse(&to)
                .ok()
                .and_then(|uri| target::dialled_uri(&self.parts.devices(), &uri, &to))
                .unwrap_or(to);
            let to = TransferTarget::Address { to, referred_by };
            // Unbounded posts: the user agent bounds the open transfers of a session.
            return asking.do_send(ConferenceMessage::Input(ConferenceInput::TransferRequested {
                leg,
                refer,
                to,
            }));
        };
        let owner = dialog
            .owner()
            .and_then(|owner| self.parts.directory.connector(ConnectorId(owner)));
        match owner {
            // Unbounded posts: the same.
            Some(owner) => owner.do_send(ConnectorMessage::Locate {
                dialog,
                asking,
                conference,
                leg,
                refer,
                to,
            }),
            None => asking.do_send(no_such_dialog(conference, leg, refer, to)),
        }
    }

    /// Which party's dialog a REFER on any connector means.
    pub(super) fn locate(
        &self,
        dialog: &ReplacesDialog,
        asking: &Addr<ConferenceActor>,
        at: (ConferenceId, LegId),
        refer: ReferId,
        to: Arc<str>,
    ) {
        let (asks, leg) = at;
        let found = self.parts.shard.borrow().party_of(dialog);
        // Unbounded post: one for each `Locate`.
        asking.do_send(match found {
            Some((conference, party, DialogState::Early { .. } | DialogState::Confirmed)) => {
                let to = TransferTarget::Party { conference, party };
                ConferenceMessage::For(asks, ConferenceInput::TransferRequested { leg, refer, to })
            }
            _ => no_such_dialog(asks, leg, refer, to),
        });
    }

    /// Asks the conference that has a party, on whichever connector, to give it away.
    pub(super) fn move_party(
        &self,
        (to, as_party): (ConferenceId, PartyId),
        operation: OperationId,
        (from, from_party): (ConferenceId, PartyId),
        ctx: &mut Context<Self>,
    ) {
        // Unbounded posts: the T-Server side has one request for a conference under way at a time.
        if let Some(giver) = self.parts.directory.conference(from) {
            let give = ConferenceInput::Give {
                party: from_party,
                to,
                operation,
                as_party,
            };
            giver.do_send(ConferenceMessage::For(from, give));
        } else if let Some(taker) = self.parts.shard.borrow().conference(to) {
            let nothing = Moving {
                to,
                operation,
                as_party,
                given: None,
                media: None,
                home: ctx.address(),
            };
            taker.do_send(ConferenceMessage::Take(Box::new(nothing)));
        }
    }

    pub(super) fn give_away(&self, conference: ConferenceId, leg: LegId, mut moving: Moving) {
        let mut shard = self.parts.shard.borrow_mut();
        let session = shard.session_of(conference, leg);
        let taker = self.parts.directory.conference(moving.to);
        let moved = session
            .zip(taker.clone())
            .and_then(|(session, taker)| shard.move_session(session, moving.to, moving.as_party, taker));
        match (&mut moving.given, moved) {
            (Some(given), Some(leg)) => given.leg = leg,
            // Its end crossed, or the taker's.
            (given, _) => *given = None,
        }
        if let (Some(session), None) = (session, moved) {
            shard.ua.bye(now(), session, None);
        }
        if let Some(taker) = taker {
            // Unbounded post: one for each operation of a conference.
            taker.do_send(ConferenceMessage::Take(Box::new(moving)));
        }
    }

    pub(super) fn send_after(&self, conference: ConferenceId, leg: LegId, event: LegEvent) {
        let shard = self.parts.shard.borrow();
        let Some((conference, leg)) = shard.moved_to(conference, leg) else {
            return;
        };
        if let Some(owner) = shard.owner(conference, leg) {
            // Unbounded post: one for each event that crossed a move.
            owner.do_send(ConferenceMessage::For(conference, ConferenceInput::Leg { leg, event }));
        }
    }

    pub(super) fn end_away(&self, conference: ConferenceId) {
        let mut shard = self.parts.shard.borrow_mut();
        for session in shard.remove_away(conference) {
            shard.ua.bye(now(), session, Some(INTERNAL_ERROR));
        }
    }
}

/// The REFER names a dialog that nobody has: the conference refuses it.
fn no_such_dialog(conference: ConferenceId, leg: LegId, refer: ReferId, to: Arc<str>) -> ConferenceMessage {
    let event = LegEvent::Referred {
        refer,
        to,
        replaces: None,
    };
    ConferenceMessage::For(conference, ConferenceInput::Leg { leg, event })
}
