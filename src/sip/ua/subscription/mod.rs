//! Subscriptions, as the notifier (RFC 6665): SUBSCRIBE, NOTIFY, refresh, expiry and end, in a dialog of their own or in that of a session
//! (RFC 5057). The implicit subscription of a REFER is one of them (see `refer`).
//!
//! Invariants:
//!
//! * of one subscription at most one NOTIFY is open, so that they arrive in order (but the last word on a transfer goes before our BYE,
//!   come what may); what comes meanwhile waits, [`notify::MAX_WAITING`] documents at most (the oldest goes first; a subscriber to documents with
//!   versions sees the gap and asks for the whole);
//! * every subscription that the shell heard of ends with one `SubscriptionEnded`;
//! * a subscription in a session's dialog does not outlive the session: it gets its last NOTIFY then, and a transfer still in progress is
//!   waited for 64*T1 at most. So long, and no longer, the dialog of an ended session is kept.
//!
//! What it does not do: know what a package means (the shell writes the documents), keep the last document (a refresh asks the shell for
//! it anew), subscribe at others, throttle.

mod keep;
mod notify;
mod subscribe;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

pub use keep::SubscriptionSnapshot;

use keep::Changes;

use super::api::{Notifier, SessionId, SubscriptionEnd, SubscriptionId, UaEvent};
use super::draft::Body;
use super::refer::Refer;
use super::server::ServerKey;
use super::sessions::Phase;
use super::{Owner, UserAgent};
use crate::dialog::Dialog;
use crate::flow::Flow;
use crate::message::Message;
use crate::transaction::timer::Timer;

/// All subscriptions and what may be subscribed to.
#[derive(Default)]
pub(super) struct Subscriptions {
    pub notifier: Notifier,
    pub open: HashMap<SubscriptionId, Box<Subscription>>,
    /// Those with a dialog of their own, by our tag.
    pub by_tag: HashMap<u64, SubscriptionId>,
    /// How many there are from each address.
    by_source: HashMap<IpAddr, usize>,
    changes: Changes,
}

#[cfg(test)]
impl Subscriptions {
    /// How many entries are in its tables.
    pub fn len(&self) -> usize {
        self.open.len() + self.by_tag.len() + self.by_source.len()
    }
}

/// Where a subscription lives.
pub(super) enum Place {
    /// In a dialog that its SUBSCRIBE made, with this tag of ours.
    Own { tag: u64, dialog: Box<Dialog> },
    /// In the dialog of a session.
    Session(SessionId),
}

/// How far a subscription is.
pub(super) enum Stage {
    /// The shell has not answered yet.
    Asked(Box<Asked>),
    Active,
    /// Its last NOTIFY waits or is in flight.
    Over,
}

/// The request that asks for it.
pub(super) struct Asked {
    pub transaction: ServerKey,
    pub request: Message,
    pub flow: Flow,
}

/// A NOTIFY that waits for the one before it.
pub(super) struct Notification {
    /// Why it is the last one.
    pub terminated: Option<Arc<str>>,
    pub body: Option<Body>,
}

/// One subscription.
pub(super) struct Subscription {
    pub place: Place,
    /// The value of the Event header.
    event: Arc<str>,
    /// The Request-URI that asked for it; of one with a dialog of its own.
    resource: Arc<str>,
    /// That of a REFER; every other one is the shell's.
    pub refer: Option<Refer>,
    pub stage: Stage,
    pub until: Instant,
    pub in_flight: bool,
    pub waiting: VecDeque<Notification>,
    source: IpAddr,
}

impl Subscription {
    pub fn new(place: Place, event: Arc<str>, asked: Asked, now: Instant) -> Self {
        Self {
            resource: match &place {
                Place::Own { .. } => asked.request.uri().unwrap_or_default().into(),
                Place::Session(_) => "".into(),
            },
            place,
            event,
            refer: None,
            source: asked.flow.peer.ip(),
            stage: Stage::Asked(Box::new(asked)),
            until: now,
            in_flight: false,
            waiting: VecDeque::new(),
        }
    }
}

impl UserAgent {
    /// Enters a subscription into the tables.
    pub(super) fn keep_subscription(&mut self, id: SubscriptionId, subscription: Subscription) {
        match &subscription.place {
            Place::Own { tag, .. } => {
                self.subscriptions.by_tag.insert(*tag, id);
                self.dialogs += 1;
            }
            Place::Session(session) => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.usages.push(id);
                }
            }
        }
        *self.subscriptions.by_source.entry(subscription.source).or_default() += 1;
        self.subscriptions.open.insert(id, Box::new(subscription));
    }

    /// Takes a subscription out of the tables, and out of a session that was kept for it.
    pub(super) fn drop_subscription(&mut self, id: SubscriptionId) {
        let Some(gone) = self.subscriptions.open.remove(&id) else {
            return;
        };
        self.subscriptions.changes.note(id);
        self.timers.stop_all(Owner::Subscription(id));
        if let Some(count) = self.subscriptions.by_source.get_mut(&gone.source) {
            *count -= 1;
            if *count == 0 {
                self.subscriptions.by_source.remove(&gone.source);
            }
        }
        match gone.place {
            Place::Own { tag, .. } => {
                self.subscriptions.by_tag.remove(&tag);
                self.dialogs -= 1;
            }
            Place::Session(session) => {
                let Some(kept) = self.sessions.get_mut(&session) else { return };
                kept.usages.retain(|usage| *usage != id);
                if kept.phase == Phase::Ending && !kept.closing {
                    self.forget(session);
                }
            }
        }
    }

    /// Lets a subscription run so many seconds from now.
    pub(super) fn run_until(&mut self, now: Instant, id: SubscriptionId, seconds: u32) {
        let until = now + Duration::from_secs(seconds.into());
        let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
            return;
        };
        subscription.until = until;
        self.subscriptions.changes.note(id);
        // One look is given by the shell; where it gives none, that is the end all the same.
        let deadline = if seconds == 0 { now + self.timing.patience() } else { until };
        self.timers.start(Owner::Subscription(id), Timer::Expires, deadline);
    }

    /// The time of a subscription is over, or of its last NOTIFY.
    pub(super) fn subscription_expired(&mut self, now: Instant, id: SubscriptionId) {
        match self.subscriptions.open.get(&id).map(|subscription| &subscription.stage) {
            Some(Stage::Active) => self.end_subscription(now, id, "timeout", SubscriptionEnd::Expired),
            Some(Stage::Over) => self.drop_subscription(id),
            _ => {}
        }
    }

    /// Ends an active subscription with a last NOTIFY, without a document but for a transfer, and tells the shell.
    fn end_subscription(&mut self, now: Instant, id: SubscriptionId, reason: &str, why: SubscriptionEnd) {
        let patience = self.timing.patience();
        let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
            return;
        };
        subscription.stage = Stage::Over;
        self.subscriptions.changes.note(id);
        let is_refer = subscription.refer.is_some();
        let body = subscription.refer.as_ref().map(Refer::body);
        self.timers.start(Owner::Subscription(id), Timer::Expires, now + patience * 2);
        let terminated = Some(reason.into());
        self.queue_notification(now, id, Notification { terminated, body });
        if !is_refer {
            self.end_for_shell(id, why);
        }
    }

    /// The shell never answered its request: the transaction gave up.
    pub(super) fn subscription_unanswered(&mut self, id: SubscriptionId) {
        let subscription = self.subscriptions.open.get(&id);
        if subscription.is_some_and(|subscription| matches!(subscription.stage, Stage::Asked(_))) {
            let is_refer = subscription.is_some_and(|subscription| subscription.refer.is_some());
            self.drop_subscription(id);
            if !is_refer {
                self.end_for_shell(id, SubscriptionEnd::Lost);
            }
        }
    }

    /// The subscriptions in a session's dialog.
    pub(super) fn usages_of(&self, session: SessionId) -> SmallVec<[SubscriptionId; 1]> {
        let session = self.sessions.get(&session);
        session.map(|session| session.usages.clone()).unwrap_or_default()
    }

    /// A session ends: so do the subscriptions in its dialog. What was asked gets 487 (s.15.1.2), and a transfer in progress has 64*T1.
    pub(super) fn end_usages(&mut self, now: Instant, session: SessionId) {
        let usages = self.usages_of(session);
        for id in usages {
            let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
                continue;
            };
            let is_refer = subscription.refer.is_some();
            match (&subscription.stage, is_refer) {
                (Stage::Asked(_), _) => {
                    self.refuse_asked(now, id, 487, is_refer);
                    if !is_refer {
                        self.end_for_shell(id, SubscriptionEnd::SessionOver);
                    }
                }
                (Stage::Active, true) => {
                    let deadline = subscription.until.min(now + self.timing.patience());
                    subscription.until = deadline;
                    self.timers.start(Owner::Subscription(id), Timer::Expires, deadline);
                }
                (Stage::Active, false) => self.end_subscription(now, id, "noresource", SubscriptionEnd::SessionOver),
                (Stage::Over, _) => {}
            }
        }
    }

    fn end_for_shell(&mut self, id: SubscriptionId, why: SubscriptionEnd) {
        self.event(UaEvent::SubscriptionEnded { subscription: id, why });
    }
}
