//! Where CTI clients come in: gives each connection its Client actor.
//!
//! Place: permanent child of the T-Server side, parent of the Clients. Its count of clients is a fact of the process, kept in a slot.
//!
//! | message | effect |
//! |---|---|
//! | [`Connect`] | a Client actor for a new socket, or a refusal |

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Message, MessageResult, Supervised};
use tandem_model::ClientId;

use super::client::{self, ClientActor, ClientSettings};
use super::event_log::{ClientSink, EventLogMessage};
use super::switch::Switch;
use crate::kind::ActorKind;
use crate::metrics::Metrics;
use crate::supervision::{ChildSpec, DownReason, Escalation, escalate_if_due, launch, supervise};

const SPEC: ChildSpec = ChildSpec::permanent(ActorKind::Lobby, 1024);

/// A socket wants a client.
#[derive(Message)]
#[rtype(result = "Result<(ClientId, Addr<ClientActor>), Refused>")]
pub struct Connect(pub Arc<dyn ClientSink>);

/// Why a client cannot come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// `cti.max_clients` are connected.
    #[error("too many clients are connected")]
    TooMany,
    /// The server is not up, or going down.
    #[error("the server is not ready")]
    NotReady,
}

/// What the actor is made from, and made from again.
#[derive(Clone)]
pub struct LobbyParts {
    /// The common ground.
    pub switch: Rc<Switch>,
    /// How clients behave.
    pub settings: Arc<ClientSettings>,
    /// The most clients.
    pub max_clients: usize,
    /// How many are connected.
    pub connected: Rc<Cell<usize>>,
    /// The next client's id.
    pub next: Rc<Cell<u64>>,
}

/// The actor.
pub struct LobbyActor {
    parts: LobbyParts,
}

impl LobbyActor {
    /// Starts it on the current arbiter.
    pub fn supervise(parts: LobbyParts) -> Addr<Self> {
        supervise(SPEC, Self { parts })
    }

    fn connect(&self, sink: Arc<dyn ClientSink>) -> Result<(ClientId, Addr<ClientActor>), Refused> {
        let parts = &self.parts;
        if parts.connected.get() >= parts.max_clients {
            return Err(Refused::TooMany);
        }
        let log = parts.switch.directory.event_log().ok_or(Refused::NotReady)?;
        let id = ClientId(parts.next.get());
        parts.next.set(id.0 + 1);
        parts.connected.set(parts.connected.get() + 1);
        Metrics::of_process().clients.increment(1.0);
        // Unbounded posts: one of each for a client, and clients are bounded.
        log.do_send(EventLogMessage::Connected {
            client: id,
            sink: sink.clone(),
        });
        let (connected, gone_log) = (parts.connected.clone(), log.clone());
        let client = Rc::new(Cell::new(id));
        let actor = ClientActor::new(client.clone(), parts.switch.clone(), parts.settings.clone());
        #[cfg(feature = "fault-injection")]
        let directory = parts.switch.directory.clone();
        let addr = launch(client::SPEC, actor, move |reason| {
            #[cfg(feature = "fault-injection")]
            directory.faults.remove_client(id);
            connected.set(connected.get().saturating_sub(1));
            Metrics::of_process().clients.decrement(1.0);
            if matches!(reason, DownReason::Panicked(_)) {
                sink.close(tandem_wire::close::INTERNAL, "internal error");
            }
            // Unbounded post: one for each client.
            gone_log.do_send(EventLogMessage::Disconnected {
                client: client.get(),
                connection: id,
            });
        });
        #[cfg(feature = "fault-injection")]
        parts.switch.directory.faults.add_client(id, addr.clone());
        Ok((id, addr))
    }
}

impl Actor for LobbyActor {
    type Context = Context<Self>;
}

impl Supervised for LobbyActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        escalate_if_due(self);
    }
}

impl Escalation for LobbyActor {
    /// There is no state to throw away.
    fn escalate(&mut self) {
        tracing::error!("the lobby keeps crashing");
    }
}

impl Handler<Connect> for LobbyActor {
    type Result = MessageResult<Connect>;

    fn handle(&mut self, message: Connect, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.connect(message.0))
    }
}

#[cfg(feature = "fault-injection")]
impl Handler<super::Inject> for LobbyActor {
    type Result = ();

    fn handle(&mut self, _: super::Inject, _: &mut Context<Self>) {
        panic!("injected into the lobby");
    }
}
