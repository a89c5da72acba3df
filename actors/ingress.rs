//! Which connector a SIP message belongs to.
//!
//! Our tags, branches and Call-IDs name the connector that made them, so responses and requests inside dialogs find their way back.
//! A new request goes to the connector that owns the DN it comes from (a REGISTER: the DN it registers), and where there is no DN
//! of ours, by its Call-ID, so that retransmissions and the CANCEL go where the INVITE went.
//!
//! Runs on the transports' threads. A connector whose mailbox is full sheds what comes: SIP over UDP is sent again.

use std::sync::Arc;

use bytes::Bytes;
use tandem_model::ConnectorId;
use tandem_sip::flow::{ConnectionId, Flow};
use tandem_sip::message::{Message, Method, Uri};
use tandem_sip::ua;

use crate::connector::{ConnectorMessage, Received};
use crate::devices::Devices;
use crate::directory::Directory;
use crate::kind::{ActorKind, Waiting};
use crate::metrics::Metrics;
use crate::sharding;

/// Takes what the transports read.
#[derive(Clone)]
pub struct Ingress {
    directory: Arc<Directory>,
    devices: Arc<Devices>,
    connectors: u16,
}

impl Ingress {
    /// An ingress for that many connectors.
    pub fn new(directory: Arc<Directory>, devices: Arc<Devices>, connectors: u16) -> Self {
        Self {
            directory,
            devices,
            connectors: connectors.max(1),
        }
    }

    /// Datagrams, as read in one batch.
    pub fn datagrams(&self, datagrams: impl Iterator<Item = (Flow, Bytes)>) {
        let mut batches: Vec<Vec<Received>> = (0..self.connectors).map(|_| Vec::new()).collect();
        for (flow, bytes) in datagrams {
            match Message::parse(bytes) {
                Ok(message) => self.sort(flow, message, &mut batches),
                Err(error) => {
                    Metrics::of_process().parse_errors.increment(1);
                    tracing::debug!(peer = %flow.peer, %error, "a datagram that is not SIP");
                    // The user agent refuses it with 400, where enough of it is there to be answered.
                    if let Some(message) = error.into_answerable() {
                        self.sort(flow, message, &mut batches);
                    }
                }
            }
        }
        for (index, batch) in batches.into_iter().enumerate() {
            self.post(ConnectorId(index as u16), batch);
        }
    }

    /// One message of a stream. `false`: the connector is overloaded, the caller may slow down.
    pub fn message(&self, flow: Flow, message: Message) -> bool {
        let owner = self.owner(&message);
        self.post(owner, vec![Received { flow, message }])
    }

    /// A stream sent what is not SIP.
    pub fn parse_error(&self) {
        Metrics::of_process().parse_errors.increment(1);
    }

    /// A stream is gone.
    pub fn closed(&self, flow: Flow, connection: ConnectionId) {
        for connector in self.directory.connectors() {
            // Unbounded post: connections are capped, and each closes once.
            connector.do_send(ConnectorMessage::FlowFailed {
                flow,
                connection: Some(connection),
            });
        }
    }

    /// A stream could not be opened, or a datagram not sent.
    pub fn unreachable(&self, flow: Flow) {
        for connector in self.directory.connectors() {
            // ICMP may be forged and is a hint only: a connector that has no room for it does without.
            let _ = connector.try_send(ConnectorMessage::FlowFailed { flow, connection: None });
        }
    }

    /// The connector that a message belongs to.
    pub fn owner(&self, message: &Message) -> ConnectorId {
        if let Some(shard) = ua::owner(message).filter(|shard| *shard < self.connectors) {
            return ConnectorId(shard);
        }
        if self.connectors == 1 {
            return ConnectorId(0);
        }
        let party = if message.method() == Some(Method::Register) {
            message.to()
        } else {
            message.from()
        };
        let dn = party
            .ok()
            .and_then(|party| Uri::parse(party.uri).ok().map(|uri| self.devices.dn_of(&uri)));
        match dn.filter(|dn| self.devices.device(dn).is_some()) {
            Some(dn) => sharding::owner(dn.as_str(), self.connectors),
            None => sharding::owner(message.call_id().unwrap_or_default(), self.connectors),
        }
    }

    fn sort(&self, flow: Flow, message: Message, batches: &mut [Vec<Received>]) {
        let owner = self.owner(&message);
        if let Some(batch) = batches.get_mut(usize::from(owner.0)) {
            batch.push(Received { flow, message });
        }
    }

    fn post(&self, owner: ConnectorId, batch: Vec<Received>) -> bool {
        if batch.is_empty() {
            return true;
        }
        let Some(connector) = self.directory.connector(owner) else {
            return false;
        };
        let message = ConnectorMessage::Received {
            batch,
            waiting: Waiting::new(ActorKind::Connector),
        };
        let taken = connector.try_send(message).is_ok();
        if !taken {
            ActorKind::Connector.metrics().shed.increment(1);
        }
        taken
    }
}
