//! NOTIFY: documents on their way to a subscriber, one after the other (RFC 6665 s.4.2.2).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Notification, Place, Stage};
use crate::dialog::Dialog;
use crate::message::{HeaderName, Method};
use crate::transaction::timer::Timer;
use crate::ua::api::{SubscriptionEnd, SubscriptionId};
use crate::ua::client::ClientUser;
use crate::ua::draft::{Body, Draft};
use crate::ua::sessions::draft_in;
use crate::ua::{Owner, UserAgent};

/// How many documents wait for the NOTIFY before them.
pub(super) const MAX_WAITING: usize = 4;

impl UserAgent {
    /// Sends a document to a subscriber, behind what was sent before. `terminated` is the reason (RFC 6665 s.4.1.3: `noresource`,
    /// `deactivated`, `giveup`, ...) with which the subscription ends.
    pub fn notify(&mut self, now: Instant, id: SubscriptionId, content_type: &str, body: Bytes, terminated: Option<&str>) {
        let patience = self.timing.patience();
        let known = self.subscriptions.open.get_mut(&id);
        let Some(subscription) = known.filter(|known| matches!(known.stage, Stage::Active) && known.refer.is_none()) else {
            self.stats.commands_ignored += 1;
            return;
        };
        // One look, or the very end of a longer one.
        let is_over = now + Duration::from_secs(1) > subscription.until;
        let why = match terminated {
            Some(_) => SubscriptionEnd::Here,
            None => SubscriptionEnd::Expired,
        };
        let terminated: Option<Arc<str>> = terminated.or(is_over.then_some("timeout")).map(Arc::from);
        let is_last = terminated.is_some();
        let body = (!body.is_empty()).then(|| (content_type.to_owned().into(), body));
        if is_last {
            subscription.stage = Stage::Over;
            self.subscriptions.changes.note(id);
            self.timers.start(Owner::Subscription(id), Timer::Expires, now + patience * 2);
        }
        self.queue_notification(now, id, Notification { terminated, body });
        if is_last {
            self.end_for_shell(id, why);
        }
    }

    /// Sends a NOTIFY as soon as the one before it is answered.
    pub(in crate::ua) fn queue_notification(&mut self, now: Instant, id: SubscriptionId, notification: Notification) {
        let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
            return;
        };
        subscription.waiting.push_back(notification);
        if subscription.waiting.len() > MAX_WAITING {
            subscription.waiting.pop_front();
            self.stats.notifications_dropped += 1;
        }
        self.send_notification(now, id);
    }

    pub(in crate::ua) fn send_notification(&mut self, now: Instant, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.open.get_mut(&id).filter(|known| !known.in_flight) else {
            return;
        };
        let Some(notification) = subscription.waiting.pop_front() else {
            if matches!(subscription.stage, Stage::Over) {
                self.drop_subscription(id);
            }
            return;
        };
        let left = subscription.until.saturating_duration_since(now).as_secs();
        let state = match &notification.terminated {
            Some(reason) => format!("terminated;reason={reason}"),
            None => format!("active;expires={left}"),
        };
        let event = subscription.event.clone();
        let Some(mut draft) = self.in_subscription(id, notification.body) else {
            return self.drop_subscription(id);
        };
        draft.headers.push((HeaderName::Event.as_str().into(), event));
        draft
            .headers
            .push((HeaderName::SubscriptionState.as_str().into(), state.into()));
        if let Some(subscription) = self.subscriptions.open.get_mut(&id) {
            subscription.in_flight = true;
        }
        self.launch(now, draft, ClientUser::Notify(id));
    }

    /// A NOTIFY in the dialog of a subscription.
    fn in_subscription(&mut self, id: SubscriptionId, body: Option<Body>) -> Option<Box<Draft>> {
        let dialog = match &mut self.subscriptions.open.get_mut(&id)?.place {
            Place::Session(session) => {
                let session = *session;
                return self.in_dialog(session, Method::Notify, body);
            }
            Place::Own { dialog, .. } => dialog,
        };
        let number = dialog.next_cseq();
        let dialog = dialog.clone();
        self.subscriptions.changes.note_cseq(id, number);
        let mut draft = draft_in(&dialog, Method::Notify, dialog.local_cseq);
        draft.body = body;
        draft.path = self.path_of(&dialog, &draft.next_hop);
        Some(Box::new(draft))
    }

    /// The next CSeq in the dialog of a subscription, for a NOTIFY that is sent again with credentials.
    pub(in crate::ua) fn subscription_dialog(&mut self, id: SubscriptionId) -> Option<&mut Dialog> {
        match &mut self.subscriptions.open.get_mut(&id)?.place {
            Place::Own { dialog, .. } => Some(dialog),
            Place::Session(session) => self.sessions.get_mut(session)?.dialogs.first_mut(),
        }
    }

    /// A NOTIFY was answered, or was not (408, 503).
    pub(in crate::ua) fn on_notify_response(&mut self, now: Instant, id: SubscriptionId, status: u16) {
        let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
            return;
        };
        subscription.in_flight = false;
        if !ends_subscription(status) {
            return self.send_notification(now, id);
        }
        let told = matches!(subscription.stage, Stage::Over) || subscription.refer.is_some();
        self.drop_subscription(id);
        if !told {
            self.end_for_shell(id, SubscriptionEnd::Lost);
        }
    }
}

/// Whether that answer to a NOTIFY means that the subscription is no more (RFC 6665 s.4.2.2, RFC 5057 s.5.1).
fn ends_subscription(status: u16) -> bool {
    matches!(status, 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 503 | 604)
}
