//! What the actors need of a media plane: ports that hear each other. The pump threads implement it, and so does a simulation.
//!
//! ```text
//!  Conference ── its Anchors: open, set, hear, digits, rehome, close ──► Media ──► the pump thread that has its ports
//!      ▲                                                                                  │
//!      └────────────────── ConferenceMessage::Port ◄── PortEvents::tell ◄─────────────────┘
//! ```
//!
//! Every call is control and returns at once; packets never pass an actor. What the plane has to tell comes to the conference that owns
//! the port ([`PortEvents`]).

use std::sync::Arc;

use tandem_media::endpoint::PortSettings;
use tandem_media::plane::{OpenError, Plane, Port, PortId, PortRestore, Source};
use tandem_model::ConferenceId;
use tandem_model::leg::MediaEvent;

use crate::connector::ConferenceMessage;
use crate::directory::Directory;
use crate::kind::ActorKind;

/// The media plane, as conferences use it.
pub trait Media: Send + Sync + 'static {
    /// A port of its own for a leg of this conference.
    fn open(&self, conference: ConferenceId) -> Result<Port, OpenError>;
    /// The port again that a leg of this conference had in a process that is gone, or still has though its owner is gone.
    fn reopen(&self, conference: ConferenceId, restore: PortRestore) -> Result<Port, OpenError>;
    /// What offer and answer came to.
    fn set(&self, port: PortId, settings: PortSettings);
    /// What the port's device hears from now on.
    fn hear(&self, port: PortId, sources: Vec<Source>);
    /// Lets the port's device hear digits.
    fn digits(&self, port: PortId, digits: Arc<str>);
    /// The port is that conference's from now on.
    fn rehome(&self, port: PortId, conference: ConferenceId);
    /// Whoever had the port is gone: it closes, unless it is opened again soon.
    fn leave(&self, port: PortId);
    /// The port is needed no more.
    fn close(&self, port: PortId);
}

impl Media for Plane {
    fn open(&self, conference: ConferenceId) -> Result<Port, OpenError> {
        Plane::open(self, conference.0, conference.0)
    }

    fn reopen(&self, conference: ConferenceId, restore: PortRestore) -> Result<Port, OpenError> {
        Plane::reopen(self, conference.0, conference.0, restore)
    }

    fn set(&self, port: PortId, settings: PortSettings) {
        Plane::set(self, port, settings);
    }

    fn hear(&self, port: PortId, sources: Vec<Source>) {
        Plane::hear(self, port, sources);
    }

    fn digits(&self, port: PortId, digits: Arc<str>) {
        Plane::digits(self, port, digits);
    }

    fn rehome(&self, port: PortId, conference: ConferenceId) {
        Plane::rehome(self, port, conference.0, conference.0);
    }

    fn leave(&self, port: PortId) {
        Plane::leave(self, port);
    }

    fn close(&self, port: PortId) {
        Plane::close(self, port);
    }
}

/// Brings what a port tells to the conference that owns it, from any thread.
#[derive(Clone)]
pub struct PortEvents {
    directory: Arc<Directory>,
}

/// Starts a media plane that tells its events there.
pub type MediaStart = Box<dyn FnOnce(PortEvents) -> Arc<dyn Media> + Send>;

impl PortEvents {
    pub(crate) fn new(directory: Arc<Directory>) -> Self {
        Self { directory }
    }

    /// Tells it. An event of a conference that is gone, or that has no room for it, is dropped: a conference has more room than its
    /// ports can fill, unless it is stuck.
    pub fn tell(&self, conference: ConferenceId, port: PortId, event: MediaEvent) {
        if let Some(actor) = self.directory.conference(conference)
            && actor.try_send(ConferenceMessage::Port { port, event }).is_err()
        {
            ActorKind::Conference.metrics().shed.increment(1);
        }
    }
}
