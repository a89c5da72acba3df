//! A media plane without media: ports that are opened, told what to hear, and closed. Nothing flows, so nothing is told. A port that is left
//! waits, without end, for its conference to take it over.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_actors::media::Media;
use tandem_media::endpoint::PortSettings;
use tandem_media::plane::{OpenError, Port, PortId, PortRestore, Source, StreamMark};
use tandem_model::ConferenceId;

use super::wire::Wire;

/// The ports that are open, of all processes.
pub struct Ports {
    next: AtomicU64,
    open: Mutex<BTreeMap<PortId, OpenPort>>,
    wire: Arc<Wire>,
}

/// The media plane of one process.
pub struct Plane {
    ports: Arc<Ports>,
    process: usize,
}

/// What one port was told last.
#[derive(Clone, Default, Debug)]
pub struct OpenPort {
    /// The process that it is in.
    process: usize,
    /// Whose it is.
    pub conference: u64,
    /// Where devices send to it.
    pub local: Option<SocketAddr>,
    /// Whoever had it is gone.
    pub is_left: bool,
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

    /// The ports that somebody has, as they stand.
    pub fn open(&self) -> BTreeMap<PortId, OpenPort> {
        let mut open = self.ports().clone();
        open.retain(|_, port| !port.is_left);
        open
    }

    /// A process was killed: no port is left of it.
    pub fn die(&self, process: usize) {
        self.ports().retain(|_, port| port.process != process);
    }

    /// The media plane of a process.
    pub fn plane(self: &Arc<Self>, process: usize) -> Arc<Plane> {
        Arc::new(Plane {
            ports: self.clone(),
            process,
        })
    }

    fn ports(&self) -> MutexGuard<'_, BTreeMap<PortId, OpenPort>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, process: usize, id: u64, local: SocketAddr, conference: ConferenceId) -> Port {
        let open = OpenPort {
            process,
            conference: conference.0,
            local: Some(local),
            ..OpenPort::default()
        };
        self.ports().insert(PortId(id), open);
        port(PortId(id), local)
    }

    fn change(&self, port: PortId, change: impl FnOnce(&mut OpenPort)) {
        if let Some(port) = self.ports().get_mut(&port) {
            change(port);
        }
    }
}

fn port(id: PortId, local: SocketAddr) -> Port {
    let stream = StreamMark {
        ssrc: u32::from(local.port()),
        sequence: 0,
        timestamp: 0,
        clock_hz: 8_000,
        at_us: 0,
    };
    Port { id, local, stream }
}

impl Media for Plane {
    fn open(&self, conference: ConferenceId) -> Result<Port, OpenError> {
        let id = self.ports.next.fetch_add(1, Ordering::Relaxed) + 1;
        let local = SocketAddr::from(([10, 1, (id >> 8) as u8, id as u8], 20_000));
        self.ports
            .wire
            .write(format!("port {id} of conference {:x} opened at {local}", conference.0));
        Ok(self.ports.begin(self.process, id, local, conference))
    }

    fn reopen(&self, conference: ConferenceId, restore: PortRestore) -> Result<Port, OpenError> {
        let local = restore.local;
        if let Some((id, living)) = self.ports.ports().iter_mut().find(|(_, living)| living.local == Some(local)) {
            if living.conference != conference.0 {
                return Err(OpenError::Taken { local });
            }
            living.is_left = false;
            self.ports.wire.write(format!("port {} is taken over", id.0));
            return Ok(port(*id, local));
        }
        let id = self.ports.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.ports
            .wire
            .write(format!("port {id} of conference {:x} opened again at {local}", conference.0));
        Ok(self.ports.begin(self.process, id, local, conference))
    }

    fn set(&self, port: PortId, settings: PortSettings) {
        self.ports.wire.write(format!(
            "port {} sends to {:?}, {:?}",
            port.0, settings.remote, settings.direction
        ));
        self.ports.change(port, |port| port.settings = Some(settings));
    }

    fn hear(&self, port: PortId, sources: Vec<Source>) {
        self.ports.wire.write(format!("port {} hears {sources:?}", port.0));
        self.ports.change(port, |port| port.hears = sources);
    }

    fn digits(&self, _: PortId, _: Arc<str>) {}

    fn rehome(&self, port: PortId, conference: ConferenceId) {
        self.ports
            .wire
            .write(format!("port {} is of conference {:x}", port.0, conference.0));
        self.ports.change(port, |port| port.conference = conference.0);
    }

    fn leave(&self, port: PortId) {
        self.ports.wire.write(format!("port {} left", port.0));
        self.ports.change(port, |port| port.is_left = true);
    }

    fn close(&self, port: PortId) {
        self.ports.wire.write(format!("port {} closed", port.0));
        self.ports.ports().remove(&port);
    }
}
