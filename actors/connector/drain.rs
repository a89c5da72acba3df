//! A connector that is drained, and one that comes back (seed 002 lines 2441-2466, graceful shutdown).
//!
//! When it is drained, its DNs are others' at once, and its registrar hands their devices over. What it has begun - dialogs, transactions
//! without a tag yet, conferences that are dialled into - stays with it until it is over; what comes to it and belongs to nothing here is
//! handed on to whoever owns the DN now. Where there is no other connector, it keeps its DNs, and no call starts.
//!
//! One whose T-Server is in another process tells it, and that one gives its DNs to others. Its devices stay registered here, and are called
//! through it where they cannot be called directly. A call that comes in here, and that nothing hands on, is refused with 503 and Retry-After, so that the caller tries another
//! connector; what belongs to a call or conference that lives here is taken.
//!
//! | message | from | effect |
//! |---|---|---|
//! | `Suspend` | gateway, T-Server | its DNs go to the others; after the deadline, if there is one, its calls are ended |
//! | `Return` | gateway, T-Server | it has its DNs again, unless its process is about to end |
//! | `Remap` | connectors | what this one holds of DNs that are others' now goes there |
//! | `TakeOver` | registrars | the devices of a DN that is this connector's now |
//! | `Taken` | registrars | they are in the other one's journal, and may go from this one's |

use std::time::Duration;

use actix::{AsyncContext, Context};
use tandem_model::{ConnectorId, DnId};
use tandem_sip::message::{Message, Uri};
use tandem_sip::registrar::Bindings;

use super::connector_actor::ConnectorActor;
use super::message::{ConnectorMessage, Received};
use super::registrar::RegistrarMessage;
use crate::directory::Directory;
use crate::ingress::{Backlog, Place, place_of};
use crate::kind::{ActorKind, Waiting};
use crate::sharding::ShardState;

/// What was begun with another connector while this one was away is over by then: 64*T1 and the time a call may ring are not, but what
/// has no tag yet is a request that is sent again for 64*T1, or a CANCEL.
const RETURN_GRACE: Duration = Duration::from_secs(40);

/// What concerns the drain of a connector. The table in the module's documentation says what each is.
#[derive(Debug)]
#[allow(missing_docs, reason = "the table in the module's documentation says it")]
pub enum DrainMessage {
    Suspend {
        deadline: Option<Duration>,
    },
    Return,
    Remap,
    TakeOver {
        from: ConnectorId,
        dn: DnId,
        bindings: Bindings,
    },
    Taken {
        dn: DnId,
    },
}

impl ConnectorActor {
    pub(super) fn drain_message(&mut self, message: DrainMessage, ctx: &mut Context<Self>) {
        match message {
            DrainMessage::Suspend { deadline } => self.suspend(deadline, ctx),
            DrainMessage::Return => self.come_back(ctx),
            DrainMessage::Remap => self.parts.registrar.do_send(RegistrarMessage::HandOver),
            // Unbounded posts: one of each for each DN that moves.
            DrainMessage::TakeOver { from, dn, bindings } => {
                self.parts
                    .registrar
                    .do_send(RegistrarMessage::TakeOver { from, dn, bindings });
            }
            DrainMessage::Taken { dn } => self.parts.registrar.do_send(RegistrarMessage::Taken(dn)),
        }
    }

    fn suspend(&mut self, deadline: Option<Duration>, ctx: &mut Context<Self>) {
        let id = self.parts.shard.borrow().id;
        let turn = self.parts.directory.shards.set(id, ShardState::Suspending);
        tracing::info!(connector = %id, ?deadline, "connector suspending");
        remap(&self.parts.directory);
        let Some(deadline) = deadline else { return };
        ctx.run_later(deadline, move |connector, ctx| {
            let shards = &connector.parts.directory.shards;
            if shards.turn(id) == turn && shards.state(id) == ShardState::Suspending {
                tracing::warn!(connector = %id, "the calls of a suspending connector did not end in time");
                connector.end_all();
                connector.turn(ctx);
            }
        });
    }

    fn come_back(&mut self, ctx: &mut Context<Self>) {
        let id = self.parts.shard.borrow().id;
        if self.parts.directory.is_closing() {
            tracing::warn!(connector = %id, "the process is going down: its connector does not come back");
            return;
        }
        if self.parts.directory.shards.state(id).is_available() {
            return;
        }
        let turn = self.parts.directory.shards.set(id, ShardState::Returning);
        tracing::info!(connector = %id, "connector running again");
        remap(&self.parts.directory);
        ctx.run_later(RETURN_GRACE, move |connector, _| {
            let shards = &connector.parts.directory.shards;
            if shards.turn(id) == turn {
                shards.set(id, ShardState::Running);
            }
        });
    }

    /// Whether a call that comes in may start here. What joins a call, or a conference that somebody is in, is no new call.
    pub(super) fn takes_call(&self, invite: &Message, joins: bool) -> bool {
        let directory = &self.parts.directory;
        let id = self.parts.shard.borrow().id;
        if joins || !directory.has_remote_tserver() || directory.shards.state(id).is_available() {
            return true;
        }
        let uri = invite.uri().and_then(|uri| Uri::parse(uri).ok());
        let room = uri.and_then(|uri| self.parts.devices().room(&uri).cloned());
        let roster = room.and_then(|dn| directory.rosters.of(&dn));
        roster.is_some_and(|roster| !roster.entries.is_empty())
    }

    /// Whether what it was drained for is over.
    pub(super) fn settle(&self) {
        let shard = self.parts.shard.borrow();
        let shards = &self.parts.directory.shards;
        if shards.state(shard.id) != ShardState::Suspending {
            return;
        }
        let stats = shard.ua.stats();
        let keeps_devices = self.parts.directory.is_apart();
        // Devices that stay registered here always have a transaction under way.
        let transactions = if keeps_devices { 0 } else { stats.transactions_active };
        if shard.conference_count() == 0 && stats.sessions_active == 0 && transactions == 0 {
            shards.set(shard.id, ShardState::Suspended);
            tracing::info!(connector = %shard.id, "connector suspended");
        }
    }

    /// A message that belongs to nothing here goes to whoever owns its DN now; any other one is given back.
    pub(super) fn hand_on(&mut self, received: Received) -> Option<Received> {
        if self.may_come_back(&received.message) {
            return None;
        }
        let directory = self.parts.directory.clone();
        if !directory.shards.is_moving() || !received.message.is_request() {
            return Some(received);
        }
        let count = directory.connector_count();
        let (key, room) = match place_of(&self.parts.devices(), count, &received.message) {
            Place::With { key, room } if count > 1 => (key, room),
            _ => return Some(received),
        };
        let pinned = room.then(|| directory.pinned_room(&key)).flatten();
        let to = pinned.unwrap_or_else(|| directory.shards.owner(&key, count));
        let mut shard = self.parts.shard.borrow_mut();
        if to == shard.id || shard.ua.is_serving(&received.message) {
            return Some(received);
        }
        drop(shard);
        if received.message.method() == Some(tandem_sip::message::Method::Register) {
            // After the bindings: it goes the way they go. Unbounded post: one for each message of a bounded mailbox.
            let dn = DnId::new(&key);
            self.parts.registrar.do_send(RegistrarMessage::PassOn { dn, to, received });
        } else {
            pass_on(&directory, to, received);
        }
        None
    }
}

/// Hands a message on. One that there is no room for is dropped, and sent again by whom it is from.
pub(super) fn pass_on(directory: &Directory, to: ConnectorId, received: Received) {
    let Some(connector) = directory.connector(to) else { return };
    let message = ConnectorMessage::Received {
        batch: vec![received],
        backlog: Backlog::counted(),
        waiting: Waiting::new(ActorKind::Connector),
    };
    if connector.try_send(message).is_err() {
        ActorKind::Connector.metrics().shed.increment(1);
    }
}

/// Every connector looks which of its DNs are its own still.
fn remap(directory: &Directory) {
    for connector in directory.connectors() {
        // Unbounded post: one for each change of a connector's state.
        connector.do_send(ConnectorMessage::Drain(DrainMessage::Remap));
    }
}
