//! Subscriptions that outlive the process.
//!
//! Invariant: what is kept are active subscriptions with a dialog of their own. Our CSeq grows with every NOTIFY and is written down only now
//! and then; a restored one goes on above anything that may have been sent. One in the dialog of a session is not kept: its refresh is a
//! new subscription in that dialog (RFC 5057 s.3), and a transfer in progress is not told of any more.
//!
//! A restored subscription is told to the shell as refreshed, since its subscriber is to be sent the whole state.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Place, Stage, Subscription};
use crate::anchor::{Anchor, instant, unix_micros};
use crate::dialog::Dialog;
use crate::message::NameAddr;
use crate::transaction::timer::Timer;
use crate::ua::api::{SubscriptionId, UaEvent};
use crate::ua::restore::{CSEQ_MARGIN, RestoreError};
use crate::ua::{Owner, UserAgent, ident};

/// So many NOTIFYs go out between two records of our CSeq; less than the margin of a restored dialog.
const CSEQ_BLOCK: u32 = CSEQ_MARGIN / 2;

/// What is kept of one subscription.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SubscriptionSnapshot {
    dialog: Dialog,
    /// The value of the Event header.
    event: Arc<str>,
    resource: Arc<str>,
    /// When it runs out, in microseconds since 1970.
    until: u64,
}

impl SubscriptionSnapshot {
    /// The Request-URI of its SUBSCRIBE: what is watched.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The event package.
    pub fn package(&self) -> &str {
        self.event.split(';').next().unwrap_or_default()
    }
}

/// Which subscriptions changed. Until somebody asks, nothing is noted.
#[derive(Default)]
pub(super) struct Changes {
    tracked: bool,
    /// Bounded by the subscriptions there were since the last asking.
    touched: HashSet<SubscriptionId>,
    /// Those that are written down.
    kept: HashSet<SubscriptionId>,
}

impl Changes {
    pub fn note(&mut self, id: SubscriptionId) {
        if self.tracked {
            self.touched.insert(id);
        }
    }

    /// Our CSeq has got to that number.
    pub fn note_cseq(&mut self, id: SubscriptionId, number: u32) {
        if number.is_multiple_of(CSEQ_BLOCK) {
            self.note(id);
        }
    }
}

impl UserAgent {
    /// Which subscriptions changed since the last call, with what is to be kept of them, `None` for those that are over. The first call
    /// gives all. Like [`UserAgent::take_changes`].
    pub fn take_subscription_changes(&mut self, anchor: Anchor) -> Vec<(SubscriptionId, Option<SubscriptionSnapshot>)> {
        let changes = &mut self.subscriptions.changes;
        let mut touched: Vec<_> = std::mem::take(&mut changes.touched).into_iter().collect();
        if !std::mem::replace(&mut changes.tracked, true) {
            touched = self.subscriptions.open.keys().copied().collect();
        }
        touched.sort_unstable();
        let mut told = Vec::new();
        for id in touched {
            let snapshot = self.subscription_snapshot(id, anchor);
            let kept = &mut self.subscriptions.changes.kept;
            let known = if snapshot.is_some() {
                !kept.insert(id)
            } else {
                kept.remove(&id)
            };
            if snapshot.is_some() || known {
                told.push((id, snapshot));
            }
        }
        told
    }

    /// The subscriptions that are kept, in no order: for writing everything again.
    pub fn kept_subscriptions(&self) -> impl Iterator<Item = SubscriptionId> {
        let open = self.subscriptions.open.iter();
        open.filter(|(_, subscription)| subscription.is_kept()).map(|(id, _)| *id)
    }

    /// What is to be kept of a subscription; `None` for one that is not kept.
    pub fn subscription_snapshot(&self, id: SubscriptionId, anchor: Anchor) -> Option<SubscriptionSnapshot> {
        let subscription = self
            .subscriptions
            .open
            .get(&id)
            .filter(|subscription| subscription.is_kept())?;
        let Place::Own { dialog, .. } = &subscription.place else {
            return None;
        };
        Some(SubscriptionSnapshot {
            dialog: (**dialog).clone(),
            event: subscription.event.clone(),
            resource: subscription.resource.clone(),
            until: unix_micros(anchor, subscription.until),
        })
    }

    /// Brings a subscription back. `SubscriptionRefreshed` follows: its subscriber is to be sent the whole state.
    pub fn restore_subscription(
        &mut self,
        now: Instant,
        anchor: Anchor,
        id: SubscriptionId,
        snapshot: SubscriptionSnapshot,
    ) -> Result<(), RestoreError> {
        let mut dialog = snapshot.dialog;
        let tag = NameAddr::parse(&dialog.local)
            .ok()
            .and_then(|local| ident::parse_tag(local.tag()?));
        let Some((_, tag)) = tag.filter(|(shard, _)| *shard == self.config.shard) else {
            return Err(RestoreError::ForeignTag);
        };
        if self.subscriptions.open.contains_key(&id) || self.subscriptions.by_tag.contains_key(&tag) {
            return Err(RestoreError::Duplicate);
        }
        let until = instant(anchor, snapshot.until, now);
        if until <= now {
            return Err(RestoreError::Over);
        }
        dialog.flow = self.reopened(dialog.flow).ok_or(RestoreError::NoListener)?;
        dialog.local_cseq = dialog.local_cseq.saturating_add(CSEQ_MARGIN);
        dialog.remote_cseq = dialog.remote_cseq.map(|number| number.saturating_sub(1));
        let subscription = Subscription {
            source: dialog.flow.peer.ip(),
            place: Place::Own {
                tag,
                dialog: Box::new(dialog),
            },
            event: snapshot.event,
            resource: snapshot.resource,
            refer: None,
            stage: Stage::Active,
            until,
            in_flight: false,
            waiting: std::collections::VecDeque::new(),
        };
        self.go_on_above(id.0);
        self.keep_subscription(id, subscription);
        self.subscriptions.changes.kept.insert(id);
        self.timers.start(Owner::Subscription(id), Timer::Expires, until);
        self.event(UaEvent::SubscriptionRefreshed { subscription: id });
        Ok(())
    }
}

impl Subscription {
    fn is_kept(&self) -> bool {
        matches!((&self.place, &self.stage), (Place::Own { .. }, Stage::Active))
    }
}
