//! Replacing a dialog (RFC 3891): which session a Replaces header means, and what is answered to an INVITE that has one.
//!
//! The dialog stands in the header as its receiver sees it. For an INVITE that comes to us that is us; for the one that a REFER asks for
//! (in the Refer-To URI, RFC 5589 s.7) it is again us where the transfer's target is called through us, since the device's dialog with its
//! target is then a dialog of ours. So one look-up serves both.
//!
//! Invariant: a dialog is found by its whole identity or not at all; the two tags may stand in either order, for there are devices that
//! write their own tag first, and a tag of ours tells which is which.
//!
//! What it does not do: replace. The shell does, with the session that was found; and it decides who may.

use std::sync::Arc;

use super::api::SessionId;
use super::sessions::Phase;
use super::{UserAgent, ident};
use crate::message::{HeaderError, HeaderName, Message, Replaces};

/// The dialog that a Replaces header names (RFC 3891 s.6.1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReplacesDialog {
    /// The Call-ID.
    pub call_id: Arc<str>,
    /// The tag of the header's receiver.
    pub to_tag: Arc<str>,
    /// The other tag.
    pub from_tag: Arc<str>,
    /// Only where the dialog is not confirmed yet.
    pub early_only: bool,
}

impl From<Replaces<'_>> for ReplacesDialog {
    fn from(replaces: Replaces<'_>) -> Self {
        Self {
            call_id: replaces.call_id.into(),
            to_tag: replaces.to_tag.into(),
            from_tag: replaces.from_tag.into(),
            early_only: replaces.early_only,
        }
    }
}

impl ReplacesDialog {
    /// The shard of the user agent that owns the dialog, where one of ours does; see [`super::owner`].
    pub fn owner(&self) -> Option<u16> {
        [&self.to_tag, &self.from_tag]
            .into_iter()
            .find_map(|tag| ident::parse_tag(tag))
            .map(|(shard, _)| shard)
    }
}

/// How far the dialog of a session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DialogState {
    /// No final response yet.
    Early {
        /// We sent the INVITE.
        outgoing: bool,
    },
    /// Answered.
    Confirmed,
    /// It has ended; our BYE may still be in flight.
    Over,
}

/// What an INVITE says about replacing. `Err` is to be answered 400 (RFC 3891 s.3: two Replaces headers, one that cannot be read, or one
/// beside a Join).
pub fn replaces_of(invite: &Message) -> Result<Option<ReplacesDialog>, HeaderError> {
    let replaces = invite.replaces()?;
    if replaces.is_some() && invite.header_bytes(HeaderName::Join).is_some() {
        return Err(HeaderError {
            header: HeaderName::Join,
            kind: crate::message::HeaderErrorKind::Repeated,
        });
    }
    Ok(replaces.map(ReplacesDialog::from))
}

/// Whether a dialog may be replaced; the status to refuse the INVITE with where not (RFC 3891 s.3). `found` is what
/// [`UserAgent::session_of_dialog`] said of it.
///
/// The RFC's exception is the shell's: an INVITE to a conference whose Replaces matches nothing is served as if it had none.
pub fn may_replace(found: Option<DialogState>, early_only: bool) -> Result<(), u16> {
    match found {
        // "If no match is found, the UAS rejects the INVITE and returns a 481".
        None => Err(481),
        // "if it matches a dialog that has already terminated, the UA SHOULD decline the request with a 603".
        Some(DialogState::Over) => Err(603),
        // "If the flag is present, the UA rejects the request with a 486 Busy response."
        Some(DialogState::Confirmed) if early_only => Err(486),
        // "If the Replaces header field matches an early dialog that was not initiated by this UA, it returns a 481".
        Some(DialogState::Early { outgoing: false }) => Err(481),
        Some(DialogState::Early { outgoing: true } | DialogState::Confirmed) => Ok(()),
    }
}

impl UserAgent {
    /// The session whose dialog a Replaces header names; see the module for whose tag is which.
    pub fn session_of_dialog(&self, call_id: &str, to_tag: &str, from_tag: &str) -> Option<(SessionId, DialogState)> {
        [(to_tag, from_tag), (from_tag, to_tag)]
            .into_iter()
            .find_map(|(ours, theirs)| self.session_with(call_id, ours, theirs))
    }

    fn session_with(&self, call_id: &str, ours: &str, theirs: &str) -> Option<(SessionId, DialogState)> {
        let (shard, key) = ident::parse_tag(ours)?;
        let id = *self.by_tag.get(&key).filter(|_| shard == self.config.shard)?;
        let session = self.sessions.get(&id).filter(|session| &*session.call_id == call_id)?;
        // "0" is what a peer of RFC 2543 is named by, which has no tag (RFC 3891 s.6.1).
        let is_it = |tag: &str| tag == theirs || (tag.is_empty() && theirs == "0");
        session.dialogs.iter().find(|dialog| is_it(&dialog.remote_tag))?;
        let state = match session.phase {
            Phase::Calling => DialogState::Early { outgoing: true },
            Phase::Ringing => DialogState::Early { outgoing: false },
            Phase::Talking => DialogState::Confirmed,
            Phase::Ending => DialogState::Over,
        };
        Some((id, state))
    }
}
