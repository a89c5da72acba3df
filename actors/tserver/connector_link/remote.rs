//! What a link to a connector in another process adds: it comes and goes.
//!
//! | message | from | effect |
//! |---|---|---|
//! | [`LinkChanged::Up`] | remote link | EventLinkConnected where it is the first, and the DNs of its pool are served; a new session: every conference there is audited, when the connector has what it had kept (see [`super::copies`]) |
//! | [`LinkChanged::Down`] | remote link | its DNs are the others' at once; after a grace clients hear of it, and EventLinkDisconnected where it was the last |
//! | [`ConnectorNotification`] | the connector | where it takes SIP, how it is: the others are told |
//! | [`Unsent`] | remote link | the call is told that the link is lost |
//!
//! A break that is over within the grace is not told to clients: nothing was lost by it. After it, the devices that others can call directly
//! are back in service at once, and the others when their connector is, or when they register elsewhere.

use std::collections::HashSet;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler};
use tandem_model::connector::{ConnectorNotification, ConnectorRequest, DnContact};
use tandem_model::{DnId, Event, EventName};

use super::ConnectorLinkActor;
use crate::kind::{ActorKind, Waiting};
use crate::link::{LinkChanged, Unsent};
use crate::tserver::dn::DnMessage;
use crate::tserver::event_log::{Publish, Told};

/// How long a link may be down before clients are told, and how long a connector has to name its DNs after a synchronisation.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How often it is looked which registrations with a connector that is away are over.
const REVIEW: Duration = Duration::from_secs(10);

/// What is known of the other end.
#[derive(Default, Debug)]
pub(super) struct RemoteState {
    up: bool,
    /// It has what it had kept, in this session: its conferences can be asked for.
    is_complete: bool,
    /// How often it changed: a grace that belongs to an older change means nothing.
    changes: u64,
    /// The DNs that were told before the last synchronisation, and not since.
    stale: HashSet<DnId>,
    /// It says what it has, after a synchronisation.
    is_reviewed: bool,
}

impl RemoteState {
    /// Whether the connector can be reached, and has what it had kept.
    pub(super) fn is_complete(&self) -> bool {
        self.up && self.is_complete
    }
}

impl ConnectorLinkActor {
    /// These devices of a DN are at this connector. How many can be called, wherever they are.
    pub(super) fn contacts_told(&mut self, dn: &DnId, contacts: Vec<DnContact>) -> u32 {
        if !self.switch.directory.has_remote_connectors() {
            return u32::try_from(contacts.len()).unwrap_or(u32::MAX);
        }
        self.remote.stale.remove(dn);
        let (now, is_review) = (self.switch.unix_seconds(), self.remote.is_reviewed);
        let told = self.switch.reach_mut().told(dn, self.connector, contacts, now, is_review);
        for contact in told.came {
            self.switch.tell_of_move(self.connector, dn, &contact);
        }
        for (connector, DnContact { uri, expires_at, .. }) in told.left {
            let dn = dn.clone();
            self.switch
                .tell_connector(connector, ConnectorRequest::ForgetContact { dn, uri, expires_at });
        }
        told.reachable
    }

    /// What the connector says of itself.
    pub(super) fn of_connector(&mut self, notification: ConnectorNotification, ctx: &mut Context<Self>) {
        let news = match notification {
            ConnectorNotification::Here { listens, is_empty } => {
                self.has_come(is_empty, ctx);
                self.switch.reach_mut().listens(self.connector, listens)
            }
            ConnectorNotification::Status(status) => self.switch.reach_mut().status(self.connector, status),
            ConnectorNotification::Records { records, end } => {
                self.records_told(records, end);
                false
            }
        };
        if news {
            self.switch.introduce();
        }
    }

    fn up(&mut self, resumed: bool, ctx: &mut Context<Self>) {
        self.remote.up = true;
        self.switch.link_up(self.connector, true);
        if self.switch.is_news(true) {
            self.tell(EventName::EventLinkConnected);
        }
        // To the others it is no news.
        self.tell_links(&self.switch.dns_of_pool(self.connector), true);
        self.switch.introduce();
        let homes = self.switch.reach().homes_at(self.connector);
        if resumed {
            return self.tell_reachable(&homes);
        }
        self.remote.is_complete = false;
        self.call_back();
        self.remote.stale = homes.into_iter().collect();
        self.remote.is_reviewed = true;
        let change = self.remote.changes;
        ctx.run_later(GRACE, move |actor, _| {
            if actor.remote.changes == change {
                actor.remote.is_reviewed = false;
                actor.forget_stale();
            }
        });
    }

    /// The connector has what it had kept: its conferences are asked for. Before the calls of the process before are back, nobody knows
    /// which there are; the resumption asks for all of them.
    pub(super) fn completed(&mut self) {
        self.remote.is_complete = true;
        if self.switch.is_resumed() {
            self.synchronise();
        }
    }

    /// The link was down for the whole grace.
    fn out_of_reach(&mut self, ctx: &mut Context<Self>) {
        if self.switch.reach().up_count() == 0 && self.switch.is_news(false) {
            self.tell(EventName::EventLinkDisconnected);
        }
        if !self.switch.reach().is_served(self.connector) {
            self.tell_links(&self.switch.dns_of_pool(self.connector), false);
            return self.review(ctx);
        }
        let homes = self.switch.reach().homes_at(self.connector);
        self.tell_links(&homes, false);
        self.review(ctx);
        // From here on they are another one's, in service where that one can call a device.
        let served = homes.into_iter().filter(|dn| self.switch.is_served(dn));
        self.tell_links(&served.collect::<Vec<_>>(), true);
    }

    /// What its devices registered for ends while it is away.
    fn review(&mut self, ctx: &mut Context<Self>) {
        let homes = self.switch.reach().homes_at(self.connector);
        self.tell_reachable(&homes);
        let change = self.remote.changes;
        ctx.run_later(REVIEW, move |actor, ctx| {
            if actor.remote.changes == change {
                actor.review(ctx);
            }
        });
    }

    /// What was not told again after a synchronisation has no device here any more.
    fn forget_stale(&mut self) {
        let stale: Vec<_> = std::mem::take(&mut self.remote.stale).into_iter().collect();
        let now = self.switch.unix_seconds();
        for dn in &stale {
            self.switch.reach_mut().told(dn, self.connector, Vec::new(), now, true);
        }
        self.tell_reachable(&stale);
    }

    fn tell_reachable(&self, dns: &[DnId]) {
        let now = self.switch.unix_seconds();
        for dn in dns {
            let contacts = self.switch.reach().reachable(dn, now);
            self.tell_dn(dn, DnMessage::Contacts(contacts));
        }
    }

    fn tell(&self, name: EventName) {
        if let Some(log) = self.switch.directory.event_log() {
            // Unbounded post: one for each change of a link.
            log.do_send(Publish {
                told: vec![Told::Event(Event::new(name), None)],
                entries: Vec::new(),
                urgent: false,
                waiting: Waiting::new(ActorKind::EventLog),
            });
        }
    }

    fn tell_links(&self, dns: &[DnId], up: bool) {
        for dn in dns {
            self.tell_dn(dn, DnMessage::Link { up });
        }
    }

    pub(super) fn tell_dn(&self, dn: &DnId, message: DnMessage) {
        if let Some(actor) = self.switch.directory.dn(dn) {
            // Unbounded post: one for each change of a link.
            actor.do_send(message);
        }
    }
}

impl Handler<LinkChanged> for ConnectorLinkActor {
    type Result = ();

    fn handle(&mut self, change: LinkChanged, ctx: &mut Context<Self>) {
        self.remote.changes += 1;
        match change {
            LinkChanged::Up { resumed } => self.up(resumed, ctx),
            LinkChanged::Down => {
                self.remote.up = false;
                self.switch.link_up(self.connector, false);
                self.switch.introduce();
                let change = self.remote.changes;
                ctx.run_later(GRACE, move |actor, ctx| {
                    if !actor.remote.up && actor.remote.changes == change {
                        actor.out_of_reach(ctx);
                    }
                });
            }
        }
    }
}

impl Handler<Unsent> for ConnectorLinkActor {
    type Result = ();

    fn handle(&mut self, message: Unsent, _: &mut Context<Self>) {
        self.lost(message.0.conference());
    }
}
