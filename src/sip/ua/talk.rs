//! Asking a phone to answer, or to go on with a call on hold: NOTIFY with `Event: talk` in the dialog of its call, as phones of several
//! makers take it without a subscription.
//!
//! It has no RFC; the convention is BroadSoft's "Remote Control Talk event package". Devices that follow say so in the Allow-Events of
//! their responses. Where one names other packages there, or an Allow without NOTIFY, nothing is sent ([`Talk::Unsupported`]); one that
//! says nothing is tried, for many phones answer to it all the same. What the phone says to the NOTIFY changes nothing (a refusal is
//! counted): whether it followed shows in its answer to the INVITE.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::UserAgent;
use super::api::{SessionId, Talk};
use super::client::ClientUser;
use super::sessions::Phase;
use crate::message::{HeaderName, Message, Method};

/// What the peer's messages say about `Event: talk`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) enum TakesTalk {
    /// Nothing.
    #[default]
    Unsaid,
    Yes,
    No,
}

impl TakesTalk {
    /// What one message says.
    pub fn of(message: &Message) -> Self {
        let mut events = message.headers(HeaderName::AllowEvents).peekable();
        if events.peek().is_some() {
            return if events.any(|event| event.eq_ignore_ascii_case("talk")) {
                Self::Yes
            } else {
                Self::No
            };
        }
        let mut methods = message.headers(HeaderName::Allow).peekable();
        if methods.peek().is_some() && !methods.any(|method| method == Method::Notify.as_str()) {
            return Self::No;
        }
        Self::Unsaid
    }
}

impl UserAgent {
    /// Asks the device of a session to answer (while it rings), or to take the call off hold. One whose provisional responses have made no
    /// dialog yet (no To tag, RFC 3261 s.12.1) is asked as soon as there is one.
    pub fn talk(&mut self, now: Instant, id: SessionId) -> Talk {
        let Some(session) = self.commanded(id) else {
            return Talk::NoDialog;
        };
        if session.takes_talk == TakesTalk::No {
            return Talk::Unsupported;
        }
        session.talk_wanted = session.phase == Phase::Calling && session.dialogs.is_empty();
        if session.talk_wanted {
            return Talk::Later;
        }
        if session.phase == Phase::Ringing {
            return Talk::NoDialog;
        }
        let Some(mut draft) = self.in_dialog(id, Method::Notify, None) else {
            return Talk::NoDialog;
        };
        for (name, value) in [(HeaderName::Event, "talk"), (HeaderName::SubscriptionState, "active")] {
            draft.headers.push((name.as_str().into(), value.into()));
        }
        self.launch(now, draft, ClientUser::Talk(id));
        Talk::Sent
    }

    /// A provisional response may have made the dialog that is waited for.
    pub(super) fn talk_if_wanted(&mut self, now: Instant, id: SessionId) {
        if let Some(session) = self.live(id)
            && std::mem::take(&mut session.talk_wanted)
        {
            self.talk(now, id);
        }
    }

    /// Notes what a response of the peer says about it.
    pub(super) fn note_talk(&mut self, id: SessionId, response: &Message) {
        let said = TakesTalk::of(response);
        if let Some(session) = self.live(id).filter(|_| said != TakesTalk::Unsaid) {
            session.takes_talk = said;
        }
    }

    pub(super) fn on_talk_response(&mut self, status: u16) {
        self.stats.talks_refused += u64::from(status >= 300);
    }
}
