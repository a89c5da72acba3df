//! What a link to a connector in another process adds: it comes and goes.
//!
//! | message | from | effect |
//! |---|---|---|
//! | [`LinkChanged::Up`] | remote link | EventLinkConnected where it is the first; a new session: every conference there is audited |
//! | [`LinkChanged::Down`] | remote link | after a grace, its DNs are out of service; EventLinkDisconnected where it was the last |
//! | [`Unsent`] | remote link | the call is told that the link is lost |
//!
//! A break that is over within the grace is not told to clients: nothing was lost by it.

use std::collections::HashSet;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler};
use tandem_model::{DnId, Event, EventName};

use super::ConnectorLinkActor;
use crate::kind::{ActorKind, Waiting};
use crate::link::{LinkChanged, Unsent};
use crate::tserver::dn::DnMessage;
use crate::tserver::event_log::{Publish, Told};

/// How long a link may be down before clients are told, and how long a connector has to name its DNs after a synchronisation.
const GRACE: Duration = Duration::from_secs(2);

/// What is known of the other end.
#[derive(Default, Debug)]
pub(super) struct RemoteState {
    up: bool,
    /// How often it changed: a grace that belongs to an older change means nothing.
    changes: u64,
    /// The DNs that were told before the last synchronisation, and not since.
    stale: HashSet<DnId>,
}

impl RemoteState {
    /// Whether the connector can be reached.
    pub(super) fn is_up(&self) -> bool {
        self.up
    }
}

impl ConnectorLinkActor {
    /// A DN has devices at this connector, or has none any more. `false`: that is no news, its devices are elsewhere.
    pub(super) fn is_at_home(&mut self, dn: &DnId, contacts: u32) -> bool {
        if !self.switch.directory.has_remote_connectors() {
            return true;
        }
        self.remote.stale.remove(dn);
        self.switch.set_home(dn, self.connector, contacts)
    }

    fn up(&mut self, resumed: bool, ctx: &mut Context<Self>) {
        self.remote.up = true;
        if self.switch.link_up(self.connector, true) == 1 {
            self.tell(EventName::EventLinkConnected);
            self.tell_dns(true);
        }
        if resumed {
            for (dn, contacts) in self.switch.homes_at(self.connector) {
                self.tell_dn(&dn, DnMessage::Contacts(contacts));
            }
            return;
        }
        let homes = self.switch.homes_at(self.connector);
        self.remote.stale = homes.into_iter().map(|(dn, _)| dn).collect();
        let change = self.remote.changes;
        ctx.run_later(GRACE, move |actor, _| {
            if actor.remote.changes == change {
                actor.forget_stale();
            }
        });
        // Before the calls of the process before are back, nobody knows which conferences there are; the resumption asks for all of them.
        if self.switch.is_resumed() {
            self.synchronise();
        }
    }

    /// The link was down for the whole grace.
    fn out_of_reach(&mut self) {
        if self.switch.link_up(self.connector, false) == 0 {
            self.tell(EventName::EventLinkDisconnected);
            return self.tell_dns(false);
        }
        for (dn, _) in self.switch.homes_at(self.connector) {
            self.tell_dn(&dn, DnMessage::Contacts(0));
        }
    }

    /// What was not told again after a synchronisation has no device any more.
    fn forget_stale(&mut self) {
        for dn in std::mem::take(&mut self.remote.stale) {
            if self.switch.set_home(&dn, self.connector, 0) {
                self.tell_dn(&dn, DnMessage::Contacts(0));
            }
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

    fn tell_dns(&self, up: bool) {
        for (_, actor) in self.switch.directory.dns() {
            // Unbounded post: one for each change of a link.
            actor.do_send(DnMessage::Link { up });
        }
    }

    fn tell_dn(&self, dn: &DnId, message: DnMessage) {
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
                let change = self.remote.changes;
                ctx.run_later(GRACE, move |actor, _| {
                    if !actor.remote.up && actor.remote.changes == change {
                        actor.out_of_reach();
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
