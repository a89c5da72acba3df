//! The conference event package (RFC 4575): devices that watch who is in a conference that is dialled into.
//!
//! A subscriber is a device of ours, authenticated as for a REGISTER. It is sent the whole roster at once and after each change; a
//! document in its place in the queue is replaced by a newer one in the user agent, so a slow subscriber costs nothing.

use std::sync::Arc;

use bytes::Bytes;
use tandem_model::DnId;
use tandem_model::room::{RosterEntry, RosterRole, RosterState};
use tandem_sip::conference_info::{
    CONTENT_TYPE, ConferenceInfo, ConferenceState, Endpoint, EndpointStatus, PACKAGE, State, User,
};
use tandem_sip::message::Uri;
use tandem_sip::ua::{IncomingSubscribe, Notifier, SubscriptionId, UaEvent};

use super::admission::Admission;
use super::connector_actor::ConnectorActor;
use crate::now;
use crate::roster::Roster;

/// What a connector serves to subscribers.
pub fn notifier() -> Notifier {
    Notifier {
        packages: vec![PACKAGE.into()],
        ..Notifier::default()
    }
}

impl ConnectorActor {
    /// What the user agent says of subscriptions.
    pub(super) fn subscription(&mut self, event: UaEvent) {
        match event {
            UaEvent::Subscribed { subscription, subscribe } => self.subscribed(subscription, &subscribe),
            UaEvent::SubscriptionRefreshed { subscription } => {
                let dn = self.parts.shard.borrow().watchers.get(&subscription).cloned();
                if let Some(dn) = dn {
                    self.show(subscription, &dn);
                }
            }
            UaEvent::SubscriptionEnded { subscription, .. } => {
                self.parts.shard.borrow_mut().watchers.remove(&subscription);
            }
            _ => {}
        }
    }

    /// Tells everybody who watches this conference from here.
    pub(super) fn roster_changed(&self, dn: &DnId) {
        let mut watching: Vec<_> = {
            let shard = self.parts.shard.borrow();
            let of_dn = shard.watchers.iter().filter(|(_, watched)| *watched == dn);
            of_dn.map(|(subscription, _)| *subscription).collect()
        };
        let Some(roster) = self.parts.directory.rosters.of(dn).filter(|_| !watching.is_empty()) else {
            return;
        };
        watching.sort_unstable();
        let document = document(dn, &roster);
        for subscription in watching {
            self.send_document(subscription, document.clone());
        }
    }

    fn subscribed(&self, id: SubscriptionId, subscribe: &IncomingSubscribe) {
        let request = &subscribe.request;
        let dn_of = |text: &str| Uri::parse(text).ok().map(|uri| self.parts.devices().dn_of(&uri));
        let from = request.from().ok().and_then(|from| dn_of(from.uri));
        let watched = request.uri().and_then(dn_of);
        let (Some(from), Some(watched)) = (from, watched) else {
            return self.refuse(id, 400, &[]);
        };
        let admission = self
            .parts
            .authenticator
            .borrow_mut()
            .device(now(), request, self.source(request, subscribe.flow), from);
        if let Admission::Refuse { status, headers } = admission {
            return self.refuse(id, status, &headers);
        }
        if self.parts.directory.rosters.of(&watched).is_none() {
            return self.refuse(id, 404, &[]);
        }
        let mut shard = self.parts.shard.borrow_mut();
        shard.ua.accept_subscription(now(), id, subscribe.expires);
        shard.watchers.insert(id, watched.clone());
        drop(shard);
        self.show(id, &watched);
    }

    fn refuse(&self, id: SubscriptionId, status: u16, headers: &[(Arc<str>, Arc<str>)]) {
        self.parts
            .shard
            .borrow_mut()
            .ua
            .reject_subscription(now(), id, status, headers);
    }

    fn show(&self, id: SubscriptionId, dn: &DnId) {
        let Some(roster) = self.parts.directory.rosters.of(dn) else {
            return;
        };
        self.send_document(id, document(dn, &roster));
    }

    fn send_document(&self, id: SubscriptionId, document: Bytes) {
        self.parts
            .shard
            .borrow_mut()
            .ua
            .notify(now(), id, CONTENT_TYPE, document, None);
    }
}

fn document(dn: &DnId, roster: &Roster) -> Bytes {
    let inside = roster.entries.iter().filter(|entry| entry.state != RosterState::Waiting);
    let user_count = inside.count();
    ConferenceInfo {
        entity: dn.to_string(),
        version: roster.version,
        state: State::Full,
        description: None,
        conference: Some(ConferenceState {
            user_count: user_count as u32,
            active: user_count > 0,
            locked: false,
        }),
        users: roster.entries.iter().map(user).collect(),
    }
    .write()
}

fn user(entry: &RosterEntry) -> User {
    let role = match entry.role {
        RosterRole::Moderator => "moderator",
        RosterRole::Participant => "participant",
    };
    let status = match entry.state {
        RosterState::Waiting => EndpointStatus::Pending,
        RosterState::Inside if entry.muted => EndpointStatus::MutedViaFocus,
        RosterState::Inside => EndpointStatus::Connected,
        RosterState::OnHold => EndpointStatus::OnHold,
    };
    let name = entry.name.as_deref().map(str::to_owned);
    User {
        entity: entry.dn.to_string(),
        display_text: name,
        roles: vec![role.to_owned()],
        endpoints: vec![Endpoint {
            entity: entry.dn.to_string(),
            status: Some(status),
            ..Endpoint::default()
        }],
        ..User::default()
    }
}
