//! The T-Server's end of a link to a connector in another process.
//!
//! Place: child of the T-Server side, one per remote connector, beside its [`ConnectorLinkActor`]. How it keeps its session and comes back
//! from a crash: [`Endpoint`].
//!
//! | message | from | effect |
//! |---|---|---|
//! | [`LinkMessage`] | connector link | a request for the connector |
//! | `Dialled` | its own task | the connection that was asked for, or that there is none |

use std::sync::Arc;

use actix::{Addr, AsyncContext, Context, Handler, Message};
use tandem_model::ConnectorId;
use tandem_model::link::{Cause, LinkNotification, LinkRequest, ReleasedBy};
use tandem_wire::link::{SendError, SessionConfig};

use super::carrier::Wish;
use super::endpoint::{End, Endpoint};
use super::transport::{Dialler, Stream};
use super::{LinkChanged, Unsent};
use crate::directory::Directory;
use crate::kind::{ActorKind, Waiting};
use crate::tserver::{ConnectorLinkActor, LinkMessage, Notify};

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
pub type RemoteLink = Endpoint<TServerEnd>;

/// What is the T-Server's own of it.
pub struct TServerEnd {
    dialler: Dialler,
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
        let end = TServerEnd { dialler: parts.dialler };
        Self::launch(parts.connector, parts.directory, parts.session, label, end)
    }

    fn dial(&self, ctx: &mut Context<Self>) {
        let (id, dialler, addr) = (
            self.carrier.borrow_mut().new_connection(),
            self.end.dialler.clone(),
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

impl End for TServerEnd {
    type Out = LinkRequest;
    type In = LinkNotification;

    fn fulfil(link: &mut RemoteLink, wishes: Vec<Wish<LinkNotification>>, ctx: &mut Context<RemoteLink>) {
        let mut notifications = Vec::new();
        for wish in wishes {
            match wish {
                Wish::Connect => link.dial(ctx),
                Wish::Deliver(notification) => notifications.push(notification),
                Wish::Up { resumed } => {
                    link.pass_on(&mut notifications);
                    link.changed(LinkChanged::Up { resumed });
                }
                Wish::Down => {
                    link.pass_on(&mut notifications);
                    link.changed(LinkChanged::Down);
                }
            }
        }
        link.pass_on(&mut notifications);
    }

    fn is_lost(link: &RemoteLink) {
        link.changed(LinkChanged::Down);
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
        match message.stream {
            Ok(stream) => self.attach(message.id, stream, ctx),
            Err(error) => {
                let mut carrier = self.carrier.borrow_mut();
                tracing::debug!(link = carrier.label(), %error, "no connection");
                carrier.closed(message.id);
            }
        }
        self.turn(ctx);
    }
}
