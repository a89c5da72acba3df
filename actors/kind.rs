//! The kinds of actors, and what is counted of each.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};

use metrics::{Counter, Gauge, counter, gauge};

/// A kind of actor; the value of the label `kind`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ActorKind {
    /// One shard of the SIP side.
    Connector,
    /// The connector's side of a live call.
    Conference,
    /// The bindings of a shard.
    Registrar,
    /// The T-Server's end of the link to one connector.
    ConnectorLink,
    /// The one order of events.
    EventLog,
    /// One directory number.
    Dn,
    /// The T-Server's side of a live call.
    Call,
    /// The T-Server's side of a conference that is dialled into.
    Room,
    /// One CTI client.
    Client,
    /// Where CTI clients come in.
    Lobby,
}

/// The handles of one kind.
pub struct KindMetrics {
    /// The kind's name.
    pub kind: &'static str,
    /// `tandem_actors{kind}`: actors alive.
    pub alive: Gauge,
    /// `tandem_actor_crashes_total{kind}`: panics caught.
    pub crashes: Counter,
    /// `tandem_actor_restarts_total{kind}`: restarts done.
    pub restarts: Counter,
    /// `tandem_actor_messages_shed_total{kind}`: messages refused because the mailbox was full.
    pub shed: Counter,
    depth: AtomicI64,
    depth_gauge: Gauge,
}

impl ActorKind {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 10] = [
        Self::Connector,
        Self::Conference,
        Self::Registrar,
        Self::ConnectorLink,
        Self::EventLog,
        Self::Dn,
        Self::Call,
        Self::Room,
        Self::Client,
        Self::Lobby,
    ];

    /// The name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Conference => "conference",
            Self::Registrar => "registrar",
            Self::ConnectorLink => "connector_link",
            Self::EventLog => "event_log",
            Self::Dn => "dn",
            Self::Call => "call",
            Self::Room => "room",
            Self::Client => "client",
            Self::Lobby => "lobby",
        }
    }

    /// The kind's handles. They reach the recorder that is installed when any kind's are first asked for.
    pub fn metrics(self) -> &'static KindMetrics {
        static METRICS: LazyLock<[KindMetrics; 10]> = LazyLock::new(|| {
            ActorKind::ALL.map(|kind| {
                let kind = kind.name();
                KindMetrics {
                    kind,
                    alive: gauge!("tandem_actors", "kind" => kind),
                    crashes: counter!("tandem_actor_crashes_total", "kind" => kind),
                    restarts: counter!("tandem_actor_restarts_total", "kind" => kind),
                    shed: counter!("tandem_actor_messages_shed_total", "kind" => kind),
                    depth: AtomicI64::new(0),
                    depth_gauge: gauge!("tandem_actor_mailbox_depth", "kind" => kind),
                }
            })
        });
        &METRICS[self as usize]
    }

    /// Writes the mailbox depths into their gauges; called before each scrape.
    pub fn publish_depths() {
        for kind in Self::ALL {
            let metrics = kind.metrics();
            metrics.depth_gauge.set(metrics.depth.load(Ordering::Relaxed).max(0) as f64);
        }
    }
}

/// Counts one message as waiting in a mailbox from when it is made until it is dropped. Messages on the busy paths carry one.
#[derive(Debug)]
pub struct Waiting(ActorKind);

impl Waiting {
    /// A message is about to be posted to an actor of this kind.
    pub fn new(kind: ActorKind) -> Self {
        kind.metrics().depth.fetch_add(1, Ordering::Relaxed);
        Self(kind)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.metrics().depth.fetch_sub(1, Ordering::Relaxed);
    }
}
