//! What both ends have in common: the session, and the connection that it is on.

use bytes::Bytes;
use tandem_wire::link::{Output, SendError, Session, SessionConfig};
use tandem_wire::mltp::{Carried, HideHeaders};
use tokio::sync::mpsc;

use super::meters::LinkMeters;
use crate::now;

/// What the session wants that only its actor can do.
#[derive(Debug)]
pub enum Wish<In> {
    /// A connection.
    Connect,
    /// The link is up.
    Up { resumed: bool },
    /// A message arrived.
    Deliver(In),
    /// The link was up and is not any more.
    Down,
}

/// A session and its connection.
pub struct Carrier<Out, In> {
    pub(super) session: Session<Out, In>,
    config: SessionConfig,
    meters: LinkMeters,
    /// What is hidden where messages are logged; `None`: they never are.
    hidden: Option<HideHeaders>,
    /// Whether they are now.
    logs: bool,
    label: String,
    connection: Option<(u64, mpsc::Sender<Bytes>)>,
    next_connection: u64,
}

impl<Out: Carried, In: Carried> Carrier<Out, In> {
    /// Without a connection. `label` names the link in logs.
    pub(super) fn new(mut config: SessionConfig, label: String) -> Self {
        let hidden = config.log.take();
        Self {
            session: Session::new(config.clone(), now()),
            meters: LinkMeters::new(&config.identity.name),
            hidden,
            logs: false,
            config,
            label,
            connection: None,
            next_connection: 0,
        }
    }

    /// How logs name the link.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// An id for a connection to be. What the one before still tells is not listened to.
    pub(super) fn new_connection(&mut self) -> u64 {
        self.next_connection += 1;
        self.next_connection
    }

    /// A connection is there. What was on the one before goes on here.
    pub(super) fn connected(&mut self, id: u64, writer: mpsc::Sender<Bytes>) {
        self.connection = None;
        self.session.connected(now());
        self.connection = Some((id, writer));
    }

    /// Bytes arrived, on the connection that is or on one before.
    pub(super) fn received(&mut self, id: u64, bytes: &[u8]) {
        if self.is_current(id) {
            self.follow_log();
            self.session.bytes(bytes, now());
        }
    }

    /// A connection is gone, or did not come about.
    pub(super) fn closed(&mut self, id: u64) {
        if self.is_current(id) || (self.connection.is_none() && id == self.next_connection) {
            self.connection = None;
            self.session.disconnected(now());
        }
    }

    /// Closes the connection; it may be resumed.
    pub(super) fn break_off(&mut self) {
        self.connection = None;
        self.session.disconnected(now());
    }

    /// Starts over as if the process were new.
    pub(super) fn start_over(&mut self) {
        self.connection = None;
        if self.session.is_up() {
            self.meters.down();
        }
        self.config.identity.instance = format!("{}+", self.config.identity.instance).into();
        self.session = Session::new(self.config.clone(), now());
        self.logs = false;
    }

    /// Sends a message, now or when the link is up again.
    pub(super) fn send(&mut self, message: &Out) -> Result<(), SendError> {
        self.follow_log();
        self.session.send(message, now())?;
        self.meters.sent();
        Ok(())
    }

    /// Does what the session wants, but for what is returned.
    pub(super) fn turn(&mut self) -> Vec<Wish<In>> {
        let mut wishes = Vec::new();
        while let Some(output) = self.session.poll() {
            match output {
                Output::Send(bytes) => self.write(bytes),
                Output::Close => self.connection = None,
                Output::Fault(fault) => {
                    tracing::error!(link = self.label, %fault, "link");
                    self.meters.fault();
                }
                Output::Log(text) => tracing::debug!(link = self.label, "{text}"),
                Output::Connect => wishes.push(Wish::Connect),
                Output::Deliver(message) => {
                    self.meters.received();
                    wishes.push(Wish::Deliver(message));
                }
                Output::Up { resumed, peer } => {
                    tracing::info!(link = self.label, resumed, peer = %peer.instance, "link up");
                    self.meters.up(resumed);
                    wishes.push(Wish::Up { resumed });
                }
                Output::Down(reason) => {
                    tracing::warn!(link = self.label, %reason, "link down");
                    self.meters.down();
                    wishes.push(Wish::Down);
                }
            }
        }
        wishes
    }

    /// Messages are written out for the log only where it takes them; that may change with each reading of the configuration.
    fn follow_log(&mut self) {
        let logs = self.hidden.is_some() && tracing::enabled!(tracing::Level::DEBUG);
        if logs != self.logs {
            self.logs = logs;
            self.session.log_messages(self.hidden.clone().filter(|_| logs));
        }
    }

    fn is_current(&self, id: u64) -> bool {
        self.connection.as_ref().is_some_and(|(current, _)| *current == id)
    }

    fn write(&mut self, bytes: Bytes) {
        let Some((_, writer)) = &self.connection else { return };
        if writer.try_send(bytes).is_err() {
            // The peer takes nothing, or is gone: what it misses is sent again on the next connection.
            self.connection = None;
            self.session.disconnected(now());
        }
    }
}
