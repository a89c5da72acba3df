//! A CTI client, and the record of what it asked and what it got.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tandem_actors::gateway::{ClientHandle, Gateway};
use tandem_actors::tserver::ClientSink;
use tandem_model::{ConnId, EventName};
use tandem_wire::{ClientRequest, EventFrame};

use super::world::API_KEY;

/// What came to a client.
#[derive(Default)]
pub struct Inbox {
    frames: Mutex<Vec<Bytes>>,
    closed: Mutex<Option<(u16, String)>>,
}

impl ClientSink for Inbox {
    fn deliver(&self, frame: Bytes) -> Option<usize> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
        Some(0)
    }

    fn close(&self, code: u16, reason: &str) {
        self.closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert((code, reason.to_owned()));
    }
}

/// A client.
pub struct Desktop {
    /// `None` when it has gone away.
    pub handle: Option<ClientHandle>,
    /// What it got.
    pub frames: Vec<EventFrame>,
    /// What it asked, by reference.
    pub asked: BTreeMap<u32, String>,
    /// The calls it has heard of, with the DNs it heard of there.
    pub calls: BTreeMap<String, BTreeSet<String>>,
    inbox: Arc<Inbox>,
    /// It was connected when the server went.
    was_there: bool,
}

impl Desktop {
    /// Connects, opens the server and registers the DNs.
    pub async fn open(gateway: &Gateway, dns: &[String]) -> Self {
        let inbox = Arc::new(Inbox::default());
        let handle = gateway.connect(inbox.clone()).await.expect("a client is let in");
        let mut desktop = Self {
            handle: Some(handle),
            frames: Vec::new(),
            asked: BTreeMap::new(),
            calls: BTreeMap::new(),
            inbox,
            was_there: false,
        };
        desktop.ask(ClientRequest::open_server("simulated desktop", API_KEY)).await;
        for dn in dns {
            desktop.ask(ClientRequest::register_address(dn)).await;
        }
        desktop
    }

    /// The server is gone, and the connection with it, and what had been on its way.
    pub fn lose_connection(&mut self) {
        self.was_there = self.handle.take().is_some();
        self.inbox = Arc::default();
        self.inbox.close(1006, "the server is gone");
    }

    /// Comes back, where it was there when the server went, and goes on where it was.
    pub async fn resume(&mut self, gateway: &Gateway) {
        if !std::mem::take(&mut self.was_there) {
            return;
        }
        let connected = self
            .frames
            .iter()
            .rev()
            .find_map(|frame| Some((frame.epoch.clone()?, frame.session.clone())));
        let mut open = ClientRequest::open_server("simulated desktop", API_KEY);
        if let (Some((epoch, session)), Some(last)) = (connected, self.frames.last()) {
            open = open.resume(&epoch, last.sequence);
            if let Some(session) = session {
                open = open.session(&session);
            }
        }
        self.inbox = Arc::default();
        self.handle = Some(gateway.connect(self.inbox.clone()).await.expect("a client is let in"));
        self.ask(open).await;
    }

    /// Sends a request; returns its reference. The answer comes in its time.
    pub async fn ask(&mut self, request: ClientRequest) -> u32 {
        let reference = self.asked.len() as u32 + 1;
        let text = request.reference(reference).to_json();
        self.send(reference, text).await;
        reference
    }

    /// Sends a text frame that carries this reference.
    pub async fn send(&mut self, reference: u32, text: String) {
        let Some(handle) = &self.handle else { return };
        if handle.frame(text.clone()).await {
            self.asked.insert(reference, text);
        }
    }

    /// Looks into its inbox; returns what is new, as text.
    pub fn read(&mut self) -> Vec<String> {
        let fresh = std::mem::take(&mut *self.inbox.frames.lock().unwrap_or_else(PoisonError::into_inner));
        let mut texts = Vec::with_capacity(fresh.len());
        for bytes in fresh {
            let text = std::str::from_utf8(&bytes).expect("frames are text");
            let frame = EventFrame::decode(text).expect("frames decode");
            if let (Some(call), Some(dn)) = (&frame.conn_id, &frame.this_dn) {
                self.calls.entry(call.clone()).or_default().insert(dn.clone());
            }
            self.frames.push(frame);
            texts.push(text.to_owned());
        }
        texts
    }

    /// The calls that each DN has, as far as this client was told.
    pub fn live(&self) -> BTreeMap<String, BTreeSet<ConnId>> {
        let mut live: BTreeMap<String, BTreeSet<ConnId>> = BTreeMap::new();
        for frame in &self.frames {
            let (Some(dn), Some(call)) = (&frame.this_dn, frame.call()) else {
                continue;
            };
            let calls = live.entry(dn.clone()).or_default();
            match frame.name() {
                Some(name) if name.is_terminal() => drop(calls.remove(&call)),
                Some(EventName::EventDialing | EventName::EventRinging) => drop(calls.insert(call)),
                Some(EventName::EventPartyChanged) => {
                    if let Some(previous) = frame.previous_conn_id.as_ref().and_then(|call| call.parse().ok()) {
                        calls.remove(&previous);
                    }
                    calls.insert(call);
                }
                _ => {}
            }
        }
        live.retain(|_, calls| !calls.is_empty());
        live
    }

    /// Why its socket was closed by the server.
    pub fn closed(&self) -> Option<u16> {
        self.inbox
            .closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|(code, _)| *code)
    }

    /// The answer to a request.
    pub fn answer(&self, reference: u32) -> Option<&EventFrame> {
        self.frames.iter().find(|frame| frame.reference_id == Some(reference))
    }

    /// The last event of this name about a DN.
    pub fn last(&self, dn: &str, name: EventName) -> Option<&EventFrame> {
        self.frames
            .iter()
            .rev()
            .find(|frame| frame.this_dn.as_deref() == Some(dn) && frame.is(name))
    }
}
