//! The connector's end of a link: it listens for its T-Server.
//!
//! Place: child of the connector's arbiter. How it keeps its session and comes back from a crash: [`Endpoint`].
//!
//! | message | from | effect |
//! |---|---|---|
//! | [`Notify`] | connector, registrar | notifications for the T-Server |
//! | `Candidate` | the listener's tasks | a connection that has greeted: it is taken, or refused with an error |
//! | [`QueryUnacknowledged`] | gateway | what the T-Server may not have yet |
//!
//! A second T-Server is refused while the first one is alive. Its coming makes sure of that: the first one is polled, and has to answer.

use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, Context, Handler, Message};
use bytes::{Bytes, BytesMut};
use tandem_model::ConnectorId;
use tandem_model::link::{Cause, LinkNotification, LinkRequest, ReleasedBy};
use tandem_wire::link::session::{GREETING_BYTES, GREETING_TIMEOUT};
use tandem_wire::link::{Hello, SessionConfig};
use tandem_wire::mltp::Decoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::carrier::Wish;
use super::endpoint::{End, Endpoint};
use super::post_to_connector;
use super::transport::{Accepting, Acceptor, Incoming, Listener, Stream};
use crate::connector::ConnectorMessage;
use crate::directory::Directory;
use crate::kind::{ActorKind, Waiting};
use crate::now;
use crate::tserver::Notify;

/// The most connections that have not greeted.
const GREETING_MOST: usize = 16;
/// After an error of the listening socket (out of descriptors) it is left alone for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What the actor is made from.
pub struct LinkServerParts {
    /// The connector.
    pub connector: ConnectorId,
    /// Who is where.
    pub directory: Arc<Directory>,
    /// Who this end is.
    pub session: SessionConfig,
    /// The listening socket.
    pub listener: Listener,
    /// What is spoken on it.
    pub acceptor: Acceptor,
}

/// The actor.
pub type LinkServer = Endpoint<ConnectorEnd>;

/// What is the connector's own of it.
pub struct ConnectorEnd;

/// Asks how many messages the T-Server has not acknowledged.
#[derive(Debug, Message)]
#[rtype(result = "u64")]
pub struct QueryUnacknowledged;

/// A connection that has greeted.
#[derive(Message)]
#[rtype(result = "()")]
struct Candidate {
    stream: Stream,
    hello: Hello,
    /// Everything that came so far, the HELLO included.
    bytes: Bytes,
}

impl LinkServer {
    /// Starts it on the current arbiter, and listens.
    pub fn supervise(parts: LinkServerParts) -> std::io::Result<Addr<Self>> {
        let listener = parts.listener.listen()?;
        let label = parts.session.identity.name.to_string();
        let addr = Self::launch(parts.connector, parts.directory, parts.session, label, ConnectorEnd);
        actix_rt::spawn(accept(listener, parts.acceptor, addr.clone()));
        Ok(addr)
    }

    fn post(&self, message: ConnectorMessage) {
        if let Some(connector) = self.directory.connector(self.connector) {
            // Unbounded post: one for each connection.
            connector.do_send(message);
        }
    }

    fn request(&self, request: LinkRequest) {
        let Some(connector) = self.directory.connector(self.connector) else {
            return;
        };
        let made = match &request {
            LinkRequest::MakeParty(make) => Some((make.conference, make.party)),
            _ => None,
        };
        let (Err(()), Some((conference, party))) = (post_to_connector(connector, request), made) else {
            return;
        };
        ActorKind::Connector.metrics().shed.increment(1);
        let cause = Cause::status(ReleasedBy::Network, 503);
        let released = LinkNotification::PartyReleased {
            conference,
            party,
            cause: cause.clone(),
        };
        self.notify(&released);
        // Legs of the conference that are there already must not outlive their call. What ends legs is always taken.
        let _ = post_to_connector(connector, LinkRequest::ReleaseConference { conference, cause });
    }

    fn notify(&self, notification: &LinkNotification) {
        let mut carrier = self.carrier.borrow_mut();
        if let LinkNotification::CallOffered(offered) = notification
            && !carrier.session.is_up()
        {
            drop(carrier);
            let cause = Cause::status(ReleasedBy::Server, 503);
            let request = LinkRequest::ReleaseConference {
                conference: offered.conference,
                cause,
            };
            return self.post(ConnectorMessage::Link {
                request,
                waiting: Waiting::new(ActorKind::Connector),
            });
        }
        // What is not taken is told again by the synchronisation that comes with the next session.
        if let Err(error) = carrier.send(notification) {
            tracing::debug!(link = carrier.label(), %error, "not sent");
        }
    }
}

/// Takes connections in, and lets those through that greet.
async fn accept(listener: Accepting, acceptor: Acceptor, server: Addr<LinkServer>) {
    let greeting = Arc::new(Semaphore::new(GREETING_MOST));
    while server.connected() {
        let Ok(permit) = greeting.clone().acquire_owned().await else {
            return;
        };
        let (incoming, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "link listener");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, server) = (acceptor.clone(), server.clone());
        actix_rt::spawn(async move {
            match timeout(GREETING_TIMEOUT, greet(incoming, &acceptor)).await {
                // Unbounded post: connections that have not greeted are few.
                Ok(Ok(candidate)) => server.do_send(candidate),
                Ok(Err(error)) => tracing::warn!(%from, error, "a link connection was refused"),
                Err(_) => tracing::warn!(%from, "a link connection did not greet in time"),
            }
            drop(permit);
        });
    }
}

async fn greet(incoming: Incoming, acceptor: &Acceptor) -> Result<Candidate, String> {
    let mut stream = acceptor.accept(incoming).await.map_err(|error| error.to_string())?;
    let mut bytes = BytesMut::with_capacity(1024);
    let mut decoder = Decoder::new();
    let wrong = loop {
        let before = bytes.len();
        match stream.read_buf(&mut bytes).await {
            Ok(0) => return Err("it ended before its greeting".into()),
            Err(error) => return Err(error.to_string()),
            Ok(_) => {}
        }
        decoder.feed(bytes.get(before..).unwrap_or_default());
        match decoder.next_frame() {
            None if bytes.len() > GREETING_BYTES => break "a greeting without an end".to_owned(),
            None => {}
            Some(Err(error)) => break error.to_string(),
            Some(Ok(frame)) if frame.name != Hello::NAME => break format!("{} has no place before HELLO", frame.name),
            Some(Ok(frame)) => match Hello::read(&frame) {
                Err(error) => break error.to_string(),
                Ok(hello) => {
                    return Ok(Candidate {
                        stream,
                        hello,
                        bytes: bytes.freeze(),
                    });
                }
            },
        }
    };
    refuse(stream, &wrong).await;
    Err(wrong)
}

/// Tells the peer why, and closes.
async fn refuse(mut stream: Stream, reason: &str) {
    let error = tandem_wire::link::Session::<LinkNotification, LinkRequest>::refusal(reason);
    // A peer that does not take it does without.
    let _ = timeout(GREETING_TIMEOUT, async {
        stream.write_all(&error).await?;
        stream.shutdown().await
    })
    .await;
}

impl End for ConnectorEnd {
    type Out = LinkNotification;
    type In = LinkRequest;

    fn fulfil(link: &mut LinkServer, wishes: Vec<Wish<LinkRequest>>, _: &mut Context<LinkServer>) {
        for wish in wishes {
            match wish {
                Wish::Deliver(request) => link.request(request),
                Wish::Up { resumed } => {
                    link.directory.set_links_up(1);
                    if !resumed {
                        link.post(ConnectorMessage::Synchronise);
                    }
                }
                Wish::Down => link.directory.set_links_up(0),
                Wish::Connect => {}
            }
        }
    }

    fn is_lost(link: &LinkServer) {
        link.directory.set_links_up(0);
    }
}

impl Handler<Candidate> for LinkServer {
    type Result = ();

    fn handle(&mut self, candidate: Candidate, ctx: &mut Context<Self>) {
        let admitted = self.carrier.borrow_mut().session.admits(&candidate.hello, now());
        match admitted {
            Ok(()) => {
                let id = self.carrier.borrow_mut().new_connection();
                self.attach(id, candidate.stream, ctx);
                self.carrier.borrow_mut().received(id, &candidate.bytes);
            }
            Err(reason) => {
                let instance = candidate.hello.identity.instance;
                tracing::warn!(link = self.carrier.borrow().label(), %instance, reason, "a T-Server was refused");
                actix_rt::spawn(async move { refuse(candidate.stream, &reason).await });
            }
        }
        self.turn(ctx);
    }
}

impl Handler<Notify> for LinkServer {
    type Result = ();

    fn handle(&mut self, message: Notify, ctx: &mut Context<Self>) {
        for notification in &message.notifications {
            self.notify(notification);
        }
        self.turn(ctx);
    }
}

impl Handler<QueryUnacknowledged> for LinkServer {
    type Result = u64;

    fn handle(&mut self, _: QueryUnacknowledged, _: &mut Context<Self>) -> u64 {
        self.carrier.borrow().session.unacknowledged()
    }
}
