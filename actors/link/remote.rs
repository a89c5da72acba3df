//! The T-Server's end of a link to a connector in another process.
//!
//! Place: permanent child of the T-Server side, one per remote connector, beside its [`ConnectorLinkActor`]. The session lives in a slot:
//! a crash costs the message that caused it and breaks the connection off, which is then resumed. Escalation starts a new session, and
//! that brings a synchronisation.
//!
//! | message | from | effect |
//! |---|---|---|
//! | [`LinkMessage`] | connector link | a request for the connector |
//! | `Dialled` | its own task | the connection that was asked for, or that there is none |
//! | [`ConnectionEvent`] | the connection's tasks | into the session |

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Supervised};
use tandem_model::ConnectorId;
use tandem_model::link::{Cause, LinkNotification, LinkRequest, ReleasedBy};
use tandem_wire::link::{SendError, SessionConfig};

use super::carrier::{Carrier, Wish};
use super::connection::{self, ConnectionEvent};
use super::transport::{Dialler, Stream};
use super::{LinkChanged, Unsent};
use crate::alarm::{Alarm, Alarmed};
use crate::directory::Directory;
use crate::kind::{ActorKind, Waiting};
use crate::now;
use crate::supervision::{ChildSpec, Escalation, Slot, escalate_if_due, supervise};
use crate::tserver::{ConnectorLinkActor, LinkMessage, Notify};

/// Bounded by what calls post; see there.
const SPEC: ChildSpec = ChildSpec::permanent(ActorKind::ConnectorLink, 65_536);

type Session = Carrier<LinkRequest, LinkNotification>;

/// What the actor is made from.
pub struct RemoteLinkParts {
    /// Which connector.
    pub connector: ConnectorId,
    /// Who is where.
    pub directory: Arc<Directory>,
    /// Who this end is, and how it keeps the link.
    pub session: SessionConfig,
    /// How it connects.
    pub dialler: Dialler,
}

/// The actor.
pub struct RemoteLink {
    connector: ConnectorId,
    directory: Arc<Directory>,
    dialler: Dialler,
    carrier: Slot<Session>,
    alarm: Alarm,
}

/// The connection that was asked for.
#[derive(Message)]
#[rtype(result = "()")]
struct Dialled {
    id: u64,
    stream: std::io::Result<Stream>,
}

impl RemoteLink {
    /// Starts it on the current arbiter.
    pub fn supervise(parts: RemoteLinkParts) -> Addr<Self> {
        let label = format!("{} ({})", parts.session.identity.name, parts.dialler);
        let actor = Self {
            connector: parts.connector,
            directory: parts.directory,
            dialler: parts.dialler,
            carrier: Rc::new(RefCell::new(Carrier::new(parts.session, label))),
            alarm: Alarm::default(),
        };
        supervise(SPEC, actor)
    }

    /// Does what the session wants, and arms the timer.
    fn turn(&mut self, ctx: &mut Context<Self>) {
        let wishes = self.carrier.borrow_mut().turn();
        let mut notifications = Vec::new();
        for wish in wishes {
            match wish {
                Wish::Connect => self.dial(ctx),
                Wish::Deliver(notification) => notifications.push(notification),
                Wish::Up { resumed } => {
                    self.pass_on(&mut notifications);
                    self.changed(LinkChanged::Up { resumed });
                }
                Wish::Down => {
                    self.pass_on(&mut notifications);
                    self.changed(LinkChanged::Down);
                }
            }
        }
        self.pass_on(&mut notifications);
        self.arm(ctx);
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let due = self.carrier.borrow().session.next_timeout();
        self.alarm.set_latest(due, ctx);
    }

    fn dial(&self, ctx: &mut Context<Self>) {
        let (id, dialler, addr) = (
            self.carrier.borrow_mut().new_connection(),
            self.dialler.clone(),
            ctx.address(),
        );
        actix_rt::spawn(async move {
            let stream = dialler.dial().await;
            // Unbounded post: one connection is asked for at a time.
            addr.do_send(Dialled { id, stream });
        });
    }

    fn link(&self) -> Option<&Addr<ConnectorLinkActor>> {
        self.directory.link(self.connector)
    }

    fn pass_on(&self, notifications: &mut Vec<LinkNotification>) {
        if let Some(link) = self.link().filter(|_| !notifications.is_empty()) {
            // Unbounded post: the connection is read no faster than this actor handles what comes, and the link is on the same thread.
            link.do_send(Notify {
                notifications: std::mem::take(notifications),
                waiting: Waiting::new(ActorKind::ConnectorLink),
            });
        }
    }

    fn changed(&self, change: LinkChanged) {
        if let Some(link) = self.link() {
            // Unbounded post: one for each connection.
            link.do_send(change);
        }
    }

    fn request(&mut self, request: LinkRequest) {
        let mut carrier = self.carrier.borrow_mut();
        let makes = matches!(request, LinkRequest::MakeParty(_));
        // A call that would wait for a connection that may not come is better off with the news.
        let sent = if makes && !carrier.session.is_up() {
            Err(SendError::NoSession)
        } else {
            carrier.send(&request)
        };
        drop(carrier);
        let Some(link) = self.link() else { return };
        match (sent, request) {
            (Ok(()), _) => {}
            (
                Err(SendError::TooLarge),
                LinkRequest::SetAudio {
                    conference, operation, ..
                },
            ) => {
                let cause = Cause::status(ReleasedBy::Server, 513);
                let failed = LinkNotification::OperationFailed {
                    conference,
                    operation,
                    cause,
                };
                self.pass_on(&mut vec![failed]);
            }
            // Unbounded post: one for each request.
            (Err(_), request) if makes => link.do_send(Unsent(request)),
            // The synchronisation that comes with the next session settles it.
            (Err(error), _) => tracing::debug!(link = self.carrier.borrow().label(), %error, "not sent"),
        }
    }
}

impl Actor for RemoteLink {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.arm(ctx);
    }
}

impl Alarmed for RemoteLink {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.carrier.borrow_mut().session.timeout(now());
        self.turn(ctx);
    }
}

impl Supervised for RemoteLink {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        escalate_if_due(self);
        self.alarm = Alarm::default();
        self.carrier.borrow_mut().break_off();
        self.turn(ctx);
    }
}

impl Escalation for RemoteLink {
    fn escalate(&mut self) {
        let mut carrier = self.carrier.borrow_mut();
        tracing::error!(link = carrier.label(), "the link starts a new session");
        carrier.start_over();
        drop(carrier);
        self.changed(LinkChanged::Down);
    }
}

impl Handler<LinkMessage> for RemoteLink {
    type Result = ();

    fn handle(&mut self, message: LinkMessage, ctx: &mut Context<Self>) {
        self.request(message.0);
        self.turn(ctx);
    }
}

impl Handler<Dialled> for RemoteLink {
    type Result = ();

    fn handle(&mut self, message: Dialled, ctx: &mut Context<Self>) {
        let mut carrier = self.carrier.borrow_mut();
        match message.stream {
            Ok(stream) => {
                #[cfg(feature = "fault-injection")]
                let stream = crate::fault::link::through_faults(stream, &self.directory, self.connector);
                carrier.connected(message.id, connection::start(stream, message.id, ctx.address()));
            }
            Err(error) => {
                tracing::debug!(link = carrier.label(), %error, "no connection");
                carrier.closed(message.id);
            }
        }
        drop(carrier);
        self.turn(ctx);
    }
}

impl Handler<ConnectionEvent> for RemoteLink {
    type Result = ();

    fn handle(&mut self, event: ConnectionEvent, ctx: &mut Context<Self>) {
        match event {
            ConnectionEvent::Received { id, bytes } => self.carrier.borrow_mut().received(id, &bytes),
            ConnectionEvent::Closed { id } => self.carrier.borrow_mut().closed(id),
        }
        self.turn(ctx);
    }
}

#[cfg(feature = "fault-injection")]
impl Handler<crate::tserver::Inject> for RemoteLink {
    type Result = ();

    fn handle(&mut self, _: crate::tserver::Inject, _: &mut Context<Self>) {
        panic!("injected into a remote link");
    }
}
