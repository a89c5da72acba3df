//! One CTI client: reads its frames, checks who it is, hands its requests on.
//!
//! Place: temporary child of the Lobby. A crash closes its socket (1011) and nothing else: the client may resume, as after any loss of its
//! connection.
//!
//! States: *new* until OpenServer is accepted, then *open*, then gone. A client that resumes has the number of its lost connection from then
//! on; until it knows which that is, it looks at no further frame.
//!
//! | message | effect |
//! |---|---|
//! | [`ClientMessage::Frame`] | one request: to a Dn, the event log, or answered here |
//! | [`ClientMessage::Gone`] | the socket is closed |
//!
//! Answers never come back through this actor: the event log numbers them and writes them to the client's sink.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use sha2::{Digest, Sha256};
use tandem_model::event_log::{Identity, Outstanding};
use tandem_model::request::Resume;
use tandem_model::{ClientId, DnId, Event, EventName, KvList, Request, Requestor, ServerRole, TError, TErrorCode};
use tandem_wire::{RequestFrame, close, decode_request};

use super::dn::DnMessage;
use super::event_log::{EventLogMessage, Open};
use super::switch::Switch;
use crate::kind::ActorKind;
use crate::live::KeyDigest;
use crate::metrics::Metrics;
use crate::supervision::ChildSpec;

/// The socket waits for each frame, so hardly more than one is ever here.
pub(super) const SPEC: ChildSpec = ChildSpec::temporary(ActorKind::Client, 16);

/// How clients behave.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The most DNs that one client registers.
    pub max_dns: usize,
    /// The server's name, as EventServerInfo tells it.
    pub server_name: Arc<str>,
    /// The server's version, as EventServerConnected and EventServerInfo tell it.
    pub server_version: Arc<str>,
}

/// Whether a key opens the server. Hashes are compared, so the time taken says nothing about the key.
fn admits(keys: &[KeyDigest], api_key: &str) -> bool {
    let hash: KeyDigest = Sha256::digest(api_key.as_bytes()).into();
    keys.contains(&hash)
}

/// What a client's socket tells.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ClientMessage {
    /// A text frame.
    Frame(String),
    /// The socket is closed.
    Gone,
    /// Panic, to test the supervision.
    #[cfg(feature = "fault-injection")]
    Crash,
}

/// The actor.
pub struct ClientActor {
    /// The number of its connection.
    connection: ClientId,
    /// Its own number; the lobby tells it to the event log when the connection has ended.
    id: Rc<Cell<ClientId>>,
    switch: Rc<Switch>,
    settings: Arc<ClientSettings>,
    open: bool,
    dns: HashSet<DnId>,
}

impl ClientActor {
    /// A client that has said nothing yet.
    pub fn new(id: Rc<Cell<ClientId>>, switch: Rc<Switch>, settings: Arc<ClientSettings>) -> Self {
        Self {
            connection: id.get(),
            id,
            switch,
            settings,
            open: false,
            dns: HashSet::new(),
        }
    }

    fn frame(&mut self, text: &str, ctx: &mut Context<Self>) {
        let outcome = match decode_request(text) {
            Ok(frame) => {
                let requestor = Requestor {
                    client: self.id.get(),
                    reference_id: frame.reference_id,
                };
                self.request(requestor, frame, ctx).map_err(|error| (requestor, error))
            }
            Err(refused) => Err((
                Requestor {
                    client: self.id.get(),
                    reference_id: refused.reference_id,
                },
                refused.error,
            )),
        };
        match outcome {
            Ok(()) => Metrics::of_process().commands_ok.increment(1),
            Err((requestor, error)) => {
                Metrics::of_process().commands_refused.increment(1);
                self.answer(requestor, Event::error(None, error));
                if !self.open {
                    self.close(close::POLICY, "OpenServer must come first and be accepted", ctx);
                }
            }
        }
    }

    fn request(&mut self, requestor: Requestor, frame: RequestFrame, ctx: &mut Context<Self>) -> Result<(), TError> {
        if !self.open && !matches!(frame.request, Request::OpenServer { .. }) {
            return Err(TError::new(TErrorCode::InvalidState, "the first request must be OpenServer"));
        }
        match frame.request {
            Request::OpenServer {
                application_name,
                api_key,
                resume,
            } => self.open(requestor, &application_name, &api_key, resume, ctx),
            Request::CloseServer => {
                self.answer(requestor, Event::new(EventName::EventServerDisconnected));
                self.close(close::NORMAL, "CloseServer", ctx);
                Ok(())
            }
            Request::SetInputMask { events } => {
                self.post_log(EventLogMessage::SetMask { requestor, events });
                Ok(())
            }
            Request::QueryServer => {
                self.answer(requestor, self.server_info());
                Ok(())
            }
            Request::Unsupported { name } => Err(unsupported(name)),
            request => self.ask_dn(requestor, request),
        }
    }

    fn open(
        &mut self,
        requestor: Requestor,
        application_name: &str,
        api_key: &str,
        resume: Option<Resume>,
        ctx: &mut Context<Self>,
    ) -> Result<(), TError> {
        if self.open {
            return Err(TError::new(TErrorCode::InSameState, "OpenServer: the server is open already"));
        }
        if !admits(&self.switch.directory.live.settings().api_keys, api_key) {
            tracing::warn!(client = %self.connection, "OpenServer with a key that is not known");
            return Err(TError::new(TErrorCode::InvalidAttribute, "apiKey: this key is not known"));
        }
        self.open = true;
        tracing::info!(client = %self.connection, application = %application_name.escape_debug(), "client open");
        let log = self.switch.directory.event_log().ok_or(TErrorCode::Internal)?;
        let open = Open {
            requestor,
            identity: identity(application_name, api_key),
            resume,
        };
        let opened = log.send(open).into_actor(self).map(|opened, client, ctx| match opened {
            Ok((id, dns)) => {
                client.id.set(id);
                client.dns = dns.into_iter().collect();
            }
            // The event log crashed over it.
            Err(_) => client.close(close::INTERNAL, "internal error", ctx),
        });
        ctx.wait(opened);
        Ok(())
    }

    fn ask_dn(&mut self, requestor: Requestor, request: Request) -> Result<(), TError> {
        let Some(dn) = request.this_dn().cloned() else {
            return Err(unsupported(request.name()));
        };
        let Some(actor) = self.switch.directory.dn(&dn) else {
            return Err(TError::new(
                TErrorCode::NotConfigured,
                format!("thisDn: {dn} is not configured"),
            ));
        };
        if matches!(request, Request::RegisterAddress { .. }) {
            if self.dns.len() >= self.settings.max_dns && !self.dns.contains(&dn) {
                let text = format!(
                    "thisDn: this client has {} DNs registered and may not have more",
                    self.dns.len()
                );
                return Err(TError::new(TErrorCode::TooManyRequests, text));
            }
            self.dns.insert(dn.clone());
        }
        // Told before the request is handed on, so that it stands there before any answer.
        self.post_log(EventLogMessage::Asked {
            client: requestor.client,
            asked: Outstanding {
                reference_id: requestor.reference_id,
                dn,
                conn_id: request.conn_id(),
                mode: match request {
                    Request::RegisterAddress { register_mode, .. } => Some(register_mode),
                    _ => None,
                },
            },
        });
        actor.try_send(DnMessage::Request { requestor, request }).map_err(|_| {
            ActorKind::Dn.metrics().shed.increment(1);
            TError::from(TErrorCode::TooManyRequests)
        })
    }

    fn server_info(&self) -> Event {
        let mut event = Event::new(EventName::EventServerInfo);
        event.server_role = Some(ServerRole::Primary);
        let settings = &self.settings;
        event.extensions = KvList::from_iter([
            ("ServerName", &*settings.server_name),
            ("ServerVersion", &*settings.server_version),
        ]);
        event
    }

    fn answer(&self, requestor: Requestor, event: Event) {
        self.post_log(EventLogMessage::Answer {
            requestor,
            event: Box::new(event),
        });
    }

    fn post_log(&self, message: EventLogMessage) {
        if let Some(log) = self.switch.directory.event_log() {
            // Unbounded post: one for each frame, and the socket waits for each.
            log.do_send(message);
        }
    }

    fn close(&mut self, code: u16, reason: &'static str, ctx: &mut Context<Self>) {
        // The event log closes the sink, so that the answer that stands in its mailbox goes out first.
        self.post_log(EventLogMessage::Close {
            client: self.id.get(),
            connection: self.connection,
            code,
            reason,
        });
        ctx.stop();
    }
}

/// What only this application with this key knows; the key itself is not in it.
fn identity(application_name: &str, api_key: &str) -> Identity {
    let key: [u8; 32] = Sha256::digest(api_key.as_bytes()).into();
    let both = Sha256::new().chain_update(key).chain_update(application_name.as_bytes());
    Identity(both.finalize().into())
}

fn unsupported(name: tandem_model::request::RequestName) -> TError {
    TError::new(
        TErrorCode::UnsupportedOperation,
        format!("{name} is not supported by this version"),
    )
}

impl Actor for ClientActor {
    type Context = Context<Self>;
}

impl Handler<ClientMessage> for ClientActor {
    type Result = ();

    fn handle(&mut self, message: ClientMessage, ctx: &mut Context<Self>) {
        match message {
            ClientMessage::Frame(text) => self.frame(&text, ctx),
            ClientMessage::Gone => ctx.stop(),
            #[cfg(feature = "fault-injection")]
            ClientMessage::Crash => panic!("injected into a client"),
        }
    }
}
