//! The T-Server side's common ground: starts Call actors and knows which conference is whose.
//!
//! Not an actor: the actors of the T-Server's arbiter share it, so a call that a connector offers has its actor before the next
//! notification about it is looked at.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::Addr;
use rand::Rng;
use rand::rngs::StdRng;
use tandem_model::call::{Call, CallIds, CallInput, CallSettings};
use tandem_model::link::{Cause, LinkRequest, ReleasedBy};
use tandem_model::numbering::Numbering;
use tandem_model::{CallUuid, ConferenceId, ConnId, ConnectorId, DnId};

use super::call::{self, CallActor};
use super::connector_link::LinkMessage;
use super::event_log::EventLogMessage;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::sharding;
use crate::supervision::{DownReason, launch};

/// Makes the numbers of calls. ConnIDs start where the clock stands, so that they do not repeat after a restart.
#[derive(Debug)]
pub struct CallNumbers {
    next: u64,
    first_conn_id: u64,
    rng: StdRng,
}

impl CallNumbers {
    /// Numbers for a server that starts at `unix_seconds`, with UUIDs from `rng`.
    pub fn new(unix_seconds: u64, rng: StdRng) -> Self {
        Self {
            next: 1,
            first_conn_id: (unix_seconds & 0xffff_ffff) << 24,
            rng,
        }
    }

    fn next(&mut self, conference: Option<ConferenceId>) -> CallIds {
        let counter = self.next;
        self.next += 1;
        let call_uuid = CallUuid(self.rng.random());
        CallIds {
            conn_id: ConnId(self.first_conn_id.wrapping_add(counter)),
            call_uuid,
            call_id: counter,
            conversation_id: format!("Tandem-{call_uuid}").into(),
            conference: conference.unwrap_or(ConferenceId::new(ConferenceId::TSERVER, counter)),
        }
    }
}

/// The common ground.
pub struct Switch {
    /// Who is where.
    pub directory: Arc<Directory>,
    /// Which numbers lead where.
    pub numbering: Arc<Numbering>,
    settings: CallSettings,
    connectors: u16,
    calls_max: usize,
    numbers: RefCell<CallNumbers>,
    by_conference: RefCell<HashMap<ConferenceId, Addr<CallActor>>>,
    draining: Arc<AtomicBool>,
}

impl Switch {
    /// A switch without calls.
    pub fn new(
        directory: Arc<Directory>,
        numbering: Arc<Numbering>,
        settings: CallSettings,
        connectors: u16,
        calls_max: usize,
        numbers: CallNumbers,
        draining: Arc<AtomicBool>,
    ) -> Rc<Self> {
        Rc::new(Self {
            directory,
            numbering,
            settings,
            connectors,
            calls_max,
            numbers: RefCell::new(numbers),
            by_conference: RefCell::default(),
            draining,
        })
    }

    /// The connector that owns a DN.
    pub fn connector_of(&self, dn: &DnId) -> ConnectorId {
        sharding::owner(dn.as_str(), self.connectors)
    }

    /// Whether one more call may start.
    pub fn has_room(&self) -> bool {
        !self.is_draining() && self.by_conference.borrow().len() < self.calls_max
    }

    /// Whether no call starts any more.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The call that a conference belongs to.
    pub fn call_of(&self, conference: ConferenceId) -> Option<Addr<CallActor>> {
        self.by_conference.borrow().get(&conference).cloned()
    }

    /// Starts a call with its first input, on a connector.
    pub fn start_call(self: &Rc<Self>, connector: ConnectorId, first: CallInput) {
        let conference = match &first {
            CallInput::Offered(offered) => Some(offered.conference),
            _ => None,
        };
        let ids = self.numbers.borrow_mut().next(conference);
        let (conn_id, conference) = (ids.conn_id, ids.conference);
        let machine = Call::new(ids, self.numbering.clone(), self.settings);
        let switch = self.clone();
        Metrics::of_process().calls_active.increment(1.0);
        let actor = CallActor::new(machine, first, connector, self.directory.clone(), conn_id);
        let addr = launch(call::SPEC, actor, move |reason| {
            switch.call_down(conn_id, conference, connector, &reason)
        });
        self.directory.insert_call(conn_id, addr.clone());
        self.by_conference.borrow_mut().insert(conference, addr);
    }

    fn call_down(&self, conn_id: ConnId, conference: ConferenceId, connector: ConnectorId, reason: &DownReason) {
        self.directory.remove_call(conn_id);
        self.by_conference.borrow_mut().remove(&conference);
        Metrics::of_process().calls_active.decrement(1.0);
        // Unbounded posts: one of each for a call. After a call that ended by itself there is nothing to abort, unless the event log
        // crashed on its last event.
        if let Some(log) = self.directory.event_log() {
            log.do_send(EventLogMessage::AbortCall(conn_id));
        }
        if matches!(reason, DownReason::Normal) {
            return;
        }
        tracing::error!(%conn_id, "call crashed; its parties are released");
        if let Some(link) = self.directory.link(connector) {
            let cause = Cause::status(ReleasedBy::Server, 500);
            link.do_send(LinkMessage(LinkRequest::ReleaseConference { conference, cause }));
        }
    }
}
