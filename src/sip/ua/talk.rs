//! Asking a phone to answer, or to go on with a call on hold: NOTIFY with `Event: talk` in the dialog of its call, as phones of several
//! makers take it without a subscription.
//!
//! It has no RFC; the convention is BroadSoft's "Remote Control Talk event package". Devices that follow say so in the Allow-Events of
//! their responses. Where one names other packages there, or an Allow without NOTIFY, nothing is sent, and it is as if the device had said
//! 489 to it; one that says nothing is tried, for many phones answer to it all the same. What the phone says to the NOTIFY is told, and
//! changes nothing: not even 481 ends the dialog, for it may say that there is no such subscription (RFC 6665 s.4.1.3). Whether it followed
//! shows in its answer to the INVITE.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::UserAgent;
use super::api::{SessionId, UaEvent};
use super::client::ClientUser;
use super::sessions::Phase;
use crate::message::{HeaderName, Message, Method};

/// Bad Event (RFC 6665 s.8.3.2): stands for a device that said before that it does not take it.
const BAD_EVENT: u16 = 489;
/// Call/Transaction Does Not Exist: stands for a dialog that is not there.
const NO_DIALOG: u16 = 481;

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
    /// dialog yet (no To tag, RFC 3261 s.12.1) is asked as soon as there is one. [`UaEvent::Talked`] tells what the device says to that; it
    /// does not come where the session is answered or over before anything was sent.
    pub fn talk(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.commanded(id) else { return };
        if session.phase == Phase::Ringing {
            // We are the ones to answer.
            self.stats.commands_ignored += 1;
            return;
        }
        if session.takes_talk == TakesTalk::No {
            return self.talked(id, BAD_EVENT);
        }
        session.talk_wanted = session.phase == Phase::Calling && session.dialogs.is_empty();
        if session.talk_wanted {
            return;
        }
        let Some(mut draft) = self.in_dialog(id, Method::Notify, None) else {
            return self.talked(id, NO_DIALOG);
        };
        for (name, value) in [(HeaderName::Event, "talk"), (HeaderName::SubscriptionState, "active")] {
            draft.headers.push((name.as_str().into(), value.into()));
        }
        self.launch(now, draft, ClientUser::Talk(id));
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

    pub(super) fn on_talk_response(&mut self, id: SessionId, status: u16) {
        if status >= 200 {
            self.stats.talks_refused += u64::from(status >= 300);
            self.talked(id, status);
        }
    }

    fn talked(&mut self, session: SessionId, status: u16) {
        if self.live(session).is_some() {
            self.event(UaEvent::Talked { session, status });
        }
    }
}
