//! A media plane without media: ports that are opened, told what to hear, and closed. Nothing flows, so nothing is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tandem_actors::media::Media;
use tandem_media::endpoint::PortSettings;
use tandem_media::plane::{OpenError, Port, PortId, Source};
use tandem_model::ConferenceId;

use super::wire::Wire;

/// The ports that are open.
pub struct Ports {
    next: AtomicU64,
    open: Mutex<BTreeMap<PortId, OpenPort>>,
    wire: Arc<Wire>,
}

/// What one port was told last.
#[derive(Clone, Default, Debug)]
pub struct OpenPort {
    /// Whose it is.
    pub conference: u64,
    /// What its device hears.
    pub hears: Vec<Source>,
    /// What was negotiated.
    pub settings: Option<PortSettings>,
}

impl Ports {
    /// No port yet; what happens to ports is written into the transcript of the wire.
    pub fn new(wire: Arc<Wire>) -> Self {
        Self {
            next: AtomicU64::new(0),
            open: Mutex::default(),
            wire,
        }
    }

    /// The ports as they stand.
    pub fn open(&self) -> BTreeMap<PortId, OpenPort> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, port: PortId, change: impl FnOnce(&mut OpenPort)) {
        if let Some(port) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&port) {
            change(port);
        }
    }
}

impl Media for Ports {
    fn open(&self, conference: ConferenceId) -> Result<Port, OpenError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let port = Port {
            id: PortId(id),
            local: SocketAddr::from(([10, 1, (id >> 8) as u8, id as u8], 20_000)),
        };
        let open = OpenPort {
            conference: conference.0,
            ..OpenPort::default()
        };
        self.wire
            .write(format!("port {id} of conference {:x} opened at {}", conference.0, port.local));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(port.id, open);
        Ok(port)
    }

    fn set(&self, port: PortId, settings: PortSettings) {
        self.wire.write(format!(
            "port {} sends to {:?}, {:?}",
            port.0, settings.remote, settings.direction
        ));
        self.change(port, |port| port.settings = Some(settings));
    }

    fn hear(&self, port: PortId, sources: Vec<Source>) {
        self.wire.write(format!("port {} hears {sources:?}", port.0));
        self.change(port, |port| port.hears = sources);
    }

    fn digits(&self, _: PortId, _: Arc<str>) {}

    fn rehome(&self, port: PortId, conference: ConferenceId) {
        self.wire
            .write(format!("port {} is of conference {:x}", port.0, conference.0));
        self.change(port, |port| port.conference = conference.0);
    }

    fn close(&self, port: PortId) {
        self.wire.write(format!("port {} closed", port.0));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
    }
}
