//! Messages that are not this connector's: between devices whose connection is here and conferences of other connectors, and the other way
//! round. [`crate::neighbours`] decides; this carries it out.
//!
//! Invariant: a request that cannot go on is answered here, or left to be sent again; nothing of it is kept. In a server of one process no
//! message is looked at.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;

use tandem_sip::edge::{Presence, Refusal};
use tandem_sip::flow::Flow;
use tandem_sip::message::{Message, Method, Uri};
use tandem_sip::registrar::Binding;

use super::Shard;
use super::connector_actor::ConnectorActor;
use super::message::Received;
use crate::devices::Devices;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::neighbours::{Here, Way};
use crate::now;

/// A request that goes on with the next datagrams and segments: should that fail, it is answered.
#[derive(Debug)]
pub(super) struct Passed {
    to: Flow,
    from: Flow,
    request: Message,
}

/// The devices that are registered with this process.
struct Registered<'a> {
    devices: &'a Devices,
    directory: &'a Directory,
    is_closed: &'a dyn Fn(&Flow) -> bool,
}

impl Presence for Registered<'_> {
    fn bindings(&self, uri: &str) -> (Arc<str>, Arc<[Binding]>) {
        let Ok(uri) = Uri::parse(uri) else {
            return (uri.into(), Arc::from([]));
        };
        let dn = self.devices.dn_of(&uri);
        (dn.as_str().into(), self.directory.locations.bindings(&dn))
    }

    fn is_closed(&self, flow: &Flow) -> bool {
        (self.is_closed)(flow)
    }
}

impl ConnectorActor {
    /// Passes a message on that is for somebody else; any other one is given back.
    pub(super) fn at_edge(&mut self, received: Received) -> Option<Received> {
        let directory = self.parts.directory.clone();
        if !directory.neighbours.may_be() {
            return Some(received);
        }
        let Received { flow, message } = received;
        let devices = self.parts.devices();
        let mut shard = self.parts.shard.borrow_mut();
        let Shard { id, ua, memory, .. } = &mut *shard;
        // Asked about two things, one at a time.
        let ua = RefCell::new(ua);
        let mut here = Here {
            devices: &devices,
            available: directory.shards.state(*id).is_available(),
            memory,
            presence: &Registered {
                devices: &devices,
                directory: &directory,
                is_closed: &|flow| ua.borrow().is_closed(flow),
            },
            is_serving: &mut |request| ua.borrow_mut().is_serving(request),
        };
        let way = directory.neighbours.way(&mut here, &message, flow);
        match way {
            Way::Here => return Some(Received { flow, message }),
            Way::On(forward) => {
                Metrics::of_process().sent(&forward.bytes);
                self.outgoing.push((forward.flow, forward.bytes));
                if message.method().is_some_and(|method| method != Method::Ack) {
                    let to = forward.flow;
                    let request = message.clone();
                    self.passed.push(Passed { to, from: flow, request });
                }
            }
            Way::Refused(refusal) => ua.into_inner().turn_back(flow, &message, refusal.status()),
            Way::Later => {}
        }
        count(&message);
        None
    }

    /// These flows are dead: what was to go over them is answered.
    pub(super) fn flows_are_dead(&mut self, dead: &[Flow]) {
        let mut shard = self.parts.shard.borrow_mut();
        for flow in dead {
            shard.ua.flow_failed(now(), flow);
        }
        for passed in self.passed.iter().filter(|passed| dead.contains(&passed.to)) {
            shard.ua.turn_back(passed.from, &passed.request, Refusal::FlowFailed.status());
        }
    }

    /// The address that a request is judged by: that of its device, where another connector has passed it on.
    pub(super) fn source(&self, request: &Message, flow: Flow) -> IpAddr {
        self.parts.directory.neighbours.source(request, flow)
    }
}

/// Counts a message that came.
pub(super) fn count(message: &Message) {
    match (message.method(), message.status()) {
        (Some(method), _) => Metrics::of_process().request_received(&method),
        (None, status) => Metrics::of_process().response_received(status.unwrap_or_default()),
    }
}
