//! The way in for HTTP and WebSocket: what `src/api` may ask of the actors. Cloneable, and good on any thread.
//!
//! Every question has a deadline: an actor that does not answer in time is reported as unavailable, never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};
use tandem_model::call::CallSummary;
use tandem_model::{ClientId, ConnId, DnId};

use crate::connector::{ConnectorMessage, DrainMessage};
use crate::directory::Directory;
use crate::journal::Scope;
use crate::live::Settings;
use crate::quarantine::Quarantined;
use crate::tserver::{
    ClientActor, ClientMessage, ClientSink, Connect, DnSummary, EventLogActor, Ping, QueryCallSummary, QueryDn, QueryRoomSummary,
    Refused, Renumbered, Unwatch, Watch, Watching,
};

mod connectors;

pub use connectors::{Condition, ConnectorOverview};

/// How long an actor may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// An actor did not answer in time, or is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no answer in time")]
pub struct Unavailable;

/// Why a connector cannot be drained from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoConnector {
    /// There is none of that number here.
    #[error("there is no such connector")]
    Unknown,
    /// It is in another process, which cannot be reached.
    #[error("the connector cannot be reached")]
    Unreachable,
}

/// One thing that has to hold for the server to be ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What is wrong where it does not.
    pub detail: String,
}

/// The way in.
#[derive(Clone)]
pub struct Gateway {
    directory: Arc<Directory>,
    draining: Arc<AtomicBool>,
}

impl Gateway {
    /// The way into the actors of a directory.
    pub fn new(directory: Arc<Directory>, draining: Arc<AtomicBool>) -> Self {
        Self { directory, draining }
    }

    /// Shows somebody all events. Frames go to the sink of `watch`; dropping the handle ends it.
    pub async fn watch(&self, watch: Watch) -> Result<WatchHandle, Refused> {
        let log = self.directory.event_log().ok_or(Refused::NotReady)?;
        let watching = ask(log, watch).await.map_err(|_| Refused::NotReady)??;
        Ok(WatchHandle {
            watching,
            log: log.clone(),
        })
    }

    /// Lets a client in. Frames for it go to `sink`; dropping the handle says that the client is gone.
    pub async fn connect(&self, sink: Arc<dyn ClientSink>) -> Result<ClientHandle, Refused> {
        let lobby = self.directory.lobby().ok_or(Refused::NotReady)?;
        let (id, actor) = ask(lobby, Connect(sink)).await.map_err(|_| Refused::NotReady)??;
        Ok(ClientHandle { id, actor })
    }

    /// Whether no new call is taken.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// From now on no call starts; or calls may start again. Live calls go on either way, and clients come in: theirs may be among them.
    /// A connector in a process of its own gives its DNs to others meanwhile.
    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
        metrics::gauge!("tandem_draining").set(if draining { 1.0 } else { 0.0 });
        if self.directory.has_remote_tserver() && self.directory.is_closing() != draining {
            self.directory.set_closing(draining);
            for connector in self.directory.connectors() {
                // Unbounded post: one for each change of an operator's mind.
                connector.do_send(ConnectorMessage::Drain(match draining {
                    true => DrainMessage::Suspend { deadline: None },
                    false => DrainMessage::Return,
                }));
            }
        }
    }

    /// Ends every live call with a BYE to each leg.
    pub fn end_calls(&self) {
        for connector in self.directory.connectors() {
            // Unbounded post: once, at shutdown.
            connector.do_send(ConnectorMessage::EndAll);
        }
    }

    /// What may go wrong on purpose.
    #[cfg(feature = "fault-injection")]
    pub fn faults(&self) -> crate::fault::FaultControl {
        crate::fault::FaultControl::new(self.directory.clone())
    }

    /// The inputs that actors of this process panicked on twice, and whose journal has them; that which came last first.
    pub fn quarantined(&self) -> Vec<(Scope, Quarantined)> {
        self.directory.quarantine.entries()
    }

    /// The settings that are in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.directory.live.settings()
    }

    /// From now on these settings are in force; who has to do something about it is told. It returns when the DNs are those of the settings:
    /// not for an arbiter.
    pub fn change(&self, settings: Settings) {
        let before = self.directory.live.numbering();
        self.directory.live.set(settings);
        self.directory.add_rosters();
        let link = self
            .directory
            .links()
            .first()
            .filter(|_| !Arc::ptr_eq(&before, &self.directory.live.numbering()));
        if let Some(link) = link {
            let (done, is_done) = sync_channel(1);
            // Unbounded post: one for each reading of the configuration.
            link.do_send(Renumbered { before, done });
            // One that does not answer has crashed over it, or is busy; it is not waited for beyond that.
            let _ = is_done.recv_timeout(DEADLINE);
        }
        for connector in self.directory.connectors() {
            // Unbounded post: one for each connector and reading of the configuration.
            connector.do_send(ConnectorMessage::SettingsChanged);
        }
    }

    /// How many calls live; of a connector in a process of its own, its conferences.
    pub fn call_count(&self) -> usize {
        if self.directory.has_remote_tserver() {
            return self.directory.conference_count();
        }
        self.directory.call_count()
    }

    /// Up to `limit` calls with a ConnID above `after`, ascending; and whether there are more.
    pub async fn calls(&self, after: Option<ConnId>, limit: usize) -> (Vec<CallSummary>, bool) {
        let mut ids = self.directory.call_ids();
        ids.retain(|id| after.is_none_or(|after| *id > after));
        let more = ids.len() > limit;
        ids.truncate(limit);
        let mut calls = Vec::with_capacity(ids.len());
        for id in ids {
            // A call that ended meanwhile is simply not there.
            if let Ok(Some(call)) = self.call(id).await {
                calls.push(call);
            }
        }
        (calls, more)
    }

    /// One call; `None` where there is no such call.
    pub async fn call(&self, conn_id: ConnId) -> Result<Option<CallSummary>, Unavailable> {
        if let Some(room) = self.directory.room(conn_id) {
            return match tokio::time::timeout(DEADLINE, room.send(QueryRoomSummary)).await {
                Ok(answer) => Ok(answer.ok()),
                Err(_) => Err(Unavailable),
            };
        }
        let Some(actor) = self.directory.call(conn_id) else {
            return Ok(None);
        };
        match tokio::time::timeout(DEADLINE, actor.send(QueryCallSummary(conn_id))).await {
            Ok(answer) => Ok(answer.ok().flatten()),
            Err(_) => Err(Unavailable),
        }
    }

    /// Up to `limit` DNs after `after` in the order of their names; and whether there are more.
    pub async fn dns(&self, after: Option<&DnId>, limit: usize) -> Result<(Vec<DnSummary>, bool), Unavailable> {
        let mut names = self.directory.configured_dns();
        names.retain(|dn| after.is_none_or(|after| dn > after));
        names.sort_unstable();
        let more = names.len() > limit;
        let mut dns = Vec::with_capacity(limit.min(names.len()));
        for dn in names.into_iter().take(limit) {
            dns.extend(self.dn(&dn).await?);
        }
        Ok((dns, more))
    }

    /// One DN; `None` where it is not configured.
    pub async fn dn(&self, dn: &DnId) -> Result<Option<DnSummary>, Unavailable> {
        let actor = self.directory.dn(dn).filter(|_| self.settings().numbering.dn(dn).is_some());
        let Some(actor) = actor else { return Ok(None) };
        ask(&actor, QueryDn).await.map(Some)
    }

    /// Whether the process does its work: the event path turns, or where that is another process's, the connector.
    pub async fn is_alive(&self) -> bool {
        match self.directory.event_log() {
            Some(log) => ask(log, Ping).await.is_ok(),
            None => self.all_connectors().await.is_ok_and(|all| !all.is_empty()),
        }
    }

    /// What has to hold for calls and clients to be taken.
    pub async fn readiness(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut check = |name, ok, detail: &str| {
            let detail = if ok { String::new() } else { detail.to_owned() };
            checks.push(Check { name, ok, detail });
        };
        let connectors = self.all_connectors().await;
        if self.directory.has_remote_tserver() {
            check("connector", connectors.is_ok(), "the connector does not answer");
            // Without its T-Server a connector keeps its calls, and takes no new one.
            check("link", self.directory.links_up() > 0, "the T-Server is not connected");
        } else {
            check("event_log", self.is_alive().await, "the event log does not answer");
            let reached = match &connectors {
                Ok(all) => all.iter().any(|connector| connector.condition != Condition::Disconnected),
                Err(Unavailable) => false,
            };
            let detail = match self.directory.has_remote_connectors() {
                true => "no connector can be reached",
                false => "a connector does not answer",
            };
            check("connectors", reached, detail);
        }
        check("draining", !self.is_draining(), "Suspending: the server takes no new call");
        let suspending = |all: &Vec<ConnectorOverview>| {
            let mut reached = all.iter().filter(|connector| connector.condition != Condition::Disconnected);
            !all.is_empty() && reached.all(|connector| connector.condition != Condition::Running)
        };
        check(
            "running_connector",
            !connectors.is_ok_and(|all| suspending(&all)),
            "every connector is suspending",
        );
        checks
    }
}

/// Asks a permanent actor; one that has just crashed over the question does not answer either.
async fn ask<A, M>(actor: &Addr<A>, question: M) -> Result<M::Result, Unavailable>
where
    A: Actor<Context: ToEnvelope<A, M>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    let answer = tokio::time::timeout(DEADLINE, actor.send(question)).await;
    answer.map_err(|_| Unavailable)?.map_err(|_| Unavailable)
}

/// Somebody who sees all events. Dropping it ends that.
pub struct WatchHandle {
    /// How it began.
    pub watching: Watching,
    log: Addr<EventLogActor>,
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        // Unbounded post: one for each watcher, and those are bounded.
        self.log.do_send(Unwatch(self.watching.number));
    }
}

/// One connected client. Dropping it disconnects the client.
pub struct ClientHandle {
    id: ClientId,
    actor: Addr<ClientActor>,
}

impl ClientHandle {
    /// The client's id.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Hands a text frame over and waits until it has been looked at, so that a client cannot send faster than it is served.
    /// `false`: the client is no more.
    pub async fn frame(&self, text: String) -> bool {
        self.actor.send(ClientMessage::Frame(text)).await.is_ok()
    }

    /// The client's actor is to panic, to test the supervision.
    #[cfg(feature = "fault-injection")]
    pub fn crash(&self) {
        self.actor.do_send(ClientMessage::Crash);
    }
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        // Unbounded post: one for each client.
        self.actor.do_send(ClientMessage::Gone);
    }
}
