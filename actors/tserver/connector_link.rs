//! The T-Server's end of the link to one connector. In process, the link moves values; to another process, a
//! [`crate::link::RemoteLink`] carries them.
//!
//! Place: permanent child of the T-Server side, one per connector. It holds no state of its own: which conference is whose stands in
//! [`super::Switch`].
//!
//! | message | effect |
//! |---|---|
//! | [`LinkMessage`] | a request to the connector; where it cannot be taken, its call is told that the link is lost |
//! | [`QueryConnectors`] | answers what is known of every connector |
//! | [`Resume`] | brings back the calls of the process before; to one of the links |
//! | [`Renumbered`] | the DNs are those of the new configuration; to one of the links |
//! | [`Synchronise`] | asks for every conference that the connector should have; what it has besides is nobody's |
//! | [`Notify`] | a notification: an offered call gets its actor, or goes to the call it joins; contacts go to the Dn, the rest to the call |

use std::rc::Rc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Supervised};
use tandem_model::call::CallInput;
use tandem_model::link::{CallOffered, Cause, LinkNotification, LinkRequest, ReleasedBy};
use tandem_model::{ConferenceId, ConnectorId};

use super::Switch;
use super::call::CallMessage;
use super::dn::DnMessage;
use crate::kind::{ActorKind, Waiting};
use crate::link::NotTaken;
use crate::supervision::{ChildSpec, Escalation, escalate_if_due, supervise};

mod copies;
mod figures;
mod remote;
mod renumber;

pub(crate) use copies::describe;
pub use copies::{Copies, KeepCopies};
pub use figures::{ConnectorFigures, QueryConnectors};
use remote::RemoteState;
pub use renumber::Renumbered;

/// Bounded by what calls and conferences post; see there.
const SPEC: ChildSpec = ChildSpec::permanent(ActorKind::ConnectorLink, 65_536);

/// A request to the connector.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LinkMessage(pub LinkRequest);

/// Notifications of the connector, in order.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Notify {
    /// What happened.
    pub notifications: Vec<LinkNotification>,
    /// Counts as waiting.
    pub waiting: Waiting,
}

/// The connectors are there with what the process before has kept: bring its calls back, and let each connector know which are all.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Resume;

/// The calls are back: ask the connector for its conferences.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Synchronise;

/// The actor.
pub struct ConnectorLinkActor {
    connector: ConnectorId,
    switch: Rc<Switch>,
    remote: RemoteState,
    copies: Copies,
}

impl ConnectorLinkActor {
    /// Starts the link to a connector on the current arbiter.
    pub fn supervise(connector: ConnectorId, switch: Rc<Switch>, copies: Copies) -> Addr<Self> {
        let remote = RemoteState::default();
        supervise(
            SPEC,
            Self {
                connector,
                switch,
                remote,
                copies,
            },
        )
    }

    fn notification(&mut self, notification: LinkNotification, ctx: &mut Context<Self>) {
        match notification {
            LinkNotification::CallOffered(offered) => self.offered(offered),
            LinkNotification::DnContacts { dn, contacts } => {
                let contacts = self.contacts_told(&dn, contacts);
                if let Some(actor) = self.switch.directory.dn(&dn) {
                    // Unbounded post: one for each REGISTER that changes something.
                    actor.do_send(DnMessage::Contacts(contacts));
                }
            }
            LinkNotification::Connector(notification) => self.of_connector(notification, ctx),
            notification => {
                let Some(notification) = self.switch.rooms.notify(notification) else {
                    return;
                };
                let call = notification
                    .conference()
                    .and_then(|conference| self.switch.call_of(conference));
                if let Some(call) = call {
                    // Unbounded post: a conference notifies each change of its few parties once.
                    call.do_send(CallMessage::Input(CallInput::Link(notification)));
                }
            }
        }
    }

    fn offered(&self, offered: CallOffered) {
        if let Some((replaced, _)) = offered.replaces {
            return self.offered_in_place(offered, replaced);
        }
        if self.switch.has_room() {
            if let Some(offered) = self.switch.rooms.offer(&self.switch, self.connector, offered) {
                self.switch.start_call(self.connector, CallInput::Offered(offered));
            }
        } else {
            let cause = Cause::status(ReleasedBy::Server, 503);
            self.request(LinkRequest::ReleaseConference {
                conference: offered.conference,
                cause,
            });
        }
    }

    /// The caller takes the place of a party: a matter for the call that has it.
    fn offered_in_place(&self, offered: CallOffered, replaced: ConferenceId) {
        let conference = offered.conference;
        match self.switch.join_group(self.connector, conference, replaced) {
            // Unbounded post: one for each INVITE that names a dialog of ours.
            Some(call) => call.do_send(CallMessage::Input(CallInput::Link(LinkNotification::CallOffered(offered)))),
            None => {
                let cause = Cause::status(ReleasedBy::Server, 481);
                self.request(LinkRequest::ReleaseConference { conference, cause });
            }
        }
    }

    fn synchronise(&self) {
        for conference in self.switch.conferences_of(self.connector) {
            self.request(LinkRequest::Audit { conference });
        }
        self.request(LinkRequest::AuditEnd);
    }

    fn request(&self, request: LinkRequest) {
        let conference = request.conference();
        let Some(connector) = self.switch.directory.link_end(self.connector) else {
            return self.lost(conference);
        };
        if connector.post(self.switch.with_elsewhere(self.connector, request)) == Err(NotTaken) {
            self.lost(conference);
        }
    }

    /// The connector did not take a request: its call cannot go on.
    fn lost(&self, conference: Option<ConferenceId>) {
        ActorKind::Connector.metrics().shed.increment(1);
        let Some(conference) = conference else { return };
        if let Some(call) = self.switch.call_of(conference) {
            // Unbounded post: once for a call.
            call.do_send(CallMessage::Input(CallInput::LinkLost));
        }
        if let Some(connector) = self.switch.directory.link_end(self.connector) {
            // Legs of the conference that are there already must not outlive their call.
            let cause = Cause::status(ReleasedBy::Server, 503);
            let request = LinkRequest::ReleaseConference { conference, cause };
            // One for each MakeParty that was shed; what ends legs is always taken.
            let _ = connector.post(request);
        }
    }
}

impl Actor for ConnectorLinkActor {
    type Context = Context<Self>;
}

impl Supervised for ConnectorLinkActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        escalate_if_due(self);
    }
}

impl Escalation for ConnectorLinkActor {
    /// There is no state to throw away.
    fn escalate(&mut self) {
        tracing::error!(connector = %self.connector, "the link to this connector keeps crashing");
    }
}

impl Handler<LinkMessage> for ConnectorLinkActor {
    type Result = ();

    fn handle(&mut self, message: LinkMessage, _: &mut Context<Self>) {
        self.request(message.0);
    }
}

impl Handler<Notify> for ConnectorLinkActor {
    type Result = ();

    fn handle(&mut self, message: Notify, ctx: &mut Context<Self>) {
        for notification in message.notifications {
            self.notification(notification, ctx);
        }
    }
}

impl Handler<Resume> for ConnectorLinkActor {
    type Result = ();

    fn handle(&mut self, _: Resume, ctx: &mut Context<Self>) {
        self.switch.resume();
        ctx.run_later(remote::GRACE, |actor, _| actor.switch.review_services());
    }
}

impl Handler<Synchronise> for ConnectorLinkActor {
    type Result = ();

    fn handle(&mut self, _: Synchronise, _: &mut Context<Self>) {
        // A link that is not up asks when it is.
        if !self.switch.directory.has_remote_connectors() || self.remote.is_complete() {
            self.synchronise();
        }
    }
}

#[cfg(feature = "fault-injection")]
impl Handler<super::Inject> for ConnectorLinkActor {
    type Result = ();

    fn handle(&mut self, _: super::Inject, _: &mut Context<Self>) {
        panic!("injected into a connector link");
    }
}
