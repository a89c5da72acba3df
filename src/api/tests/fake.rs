//! A runtime that does as it is told, and a server on a free port in front of it.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::mpsc;

use tandem_config::{ApiKey, Scope, Secret};
use tandem_model::event_log::watch::Start;
use tandem_model::{ConnId, DnId};

use crate::api::auth::Keys;
use crate::api::port::{
    CallSummary, ClientLink, ClientSink, ConnectorSummary, DnSummary, EndpointSummary, PartySummary, Port, ReadinessCheck,
    Refused, Unavailable, Watch, Watched, Watching,
};
use crate::api::{Face, LinkName, Settings, bind, socket};

/// What a client did, as the runtime sees it.
pub enum Seen {
    Connected(Arc<dyn ClientSink>),
    Watches(Watch),
    Frame(String),
    Gone,
}

/// How the runtime behaves.
#[derive(Clone, Default)]
pub struct Behaviour {
    pub refuse: Option<Refused>,
    pub unavailable: bool,
    pub unready: bool,
    pub metrics_require_key: bool,
    /// It is a connector alone.
    pub connector: bool,
    /// What [`ClientLink::frame`] answers `false` to.
    pub ends_client_at: Option<&'static str>,
}

pub struct FakePort {
    behaviour: Behaviour,
    seen: mpsc::UnboundedSender<Seen>,
}

struct FakeLink {
    seen: mpsc::UnboundedSender<Seen>,
    ends_at: Option<&'static str>,
}

impl ClientLink for FakeLink {
    fn frame(&self, text: String) -> LocalBoxFuture<'_, bool> {
        let goes_on = self.ends_at != Some(text.as_str());
        let _ = self.seen.send(Seen::Frame(text));
        async move { goes_on }.boxed_local()
    }
}

/// The last event has the sequence 40; those up to 10 are not here any more.
fn start(since: Option<u64>) -> Start {
    match since {
        None => Start::Now { cursor: 40 },
        Some(cursor) if cursor >= 10 => Start::After { cursor },
        Some(since) => Start::Gap { from: since + 1, to: 10 },
    }
}

impl Drop for FakeLink {
    fn drop(&mut self) {
        let _ = self.seen.send(Seen::Gone);
    }
}

impl FakePort {
    pub fn new(behaviour: Behaviour) -> (Arc<Self>, mpsc::UnboundedReceiver<Seen>) {
        let (seen, seen_out) = mpsc::unbounded_channel();
        (Arc::new(Self { behaviour, seen }), seen_out)
    }

    fn answer<T: 'static>(&self, value: T) -> LocalBoxFuture<'_, Result<T, Unavailable>> {
        let answer = if self.behaviour.unavailable {
            Err(Unavailable)
        } else {
            Ok(value)
        };
        async move { answer }.boxed_local()
    }
}

fn call(conn_id: u64) -> CallSummary {
    CallSummary {
        conn_id: ConnId(conn_id).to_string(),
        call_uuid: "0".repeat(32),
        call_type: "Internal",
        age_ms: 1500,
        ani: None,
        dnis: Some("2001".to_owned()),
        parties: vec![PartySummary {
            dn: "sip:alice@tandem.local".to_owned(),
            role: "Origination",
            state: "Connected".to_owned(),
            external: false,
        }],
    }
}

fn dn(number: u32) -> DnSummary {
    DnSummary {
        dn: format!("sip:{number}@tandem.local"),
        address_type: "DN",
        in_service: true,
        contacts: 1,
        clients: 0,
        connector: 0,
    }
}

fn cut<T>(items: impl Iterator<Item = T>, limit: usize) -> (Vec<T>, bool) {
    let mut items: Vec<T> = items.take(limit + 1).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    (items, more)
}

impl Port for FakePort {
    fn connect(&self, sink: Arc<dyn ClientSink>) -> LocalBoxFuture<'_, Result<Box<dyn ClientLink>, Refused>> {
        async move {
            if let Some(refused) = self.behaviour.refuse {
                return Err(refused);
            }
            let _ = self.seen.send(Seen::Connected(sink));
            Ok(Box::new(FakeLink {
                seen: self.seen.clone(),
                ends_at: self.behaviour.ends_client_at,
            }) as Box<dyn ClientLink>)
        }
        .boxed_local()
    }

    fn watch(&self, watch: Watch) -> LocalBoxFuture<'_, Result<Watched, Refused>> {
        let watching = Watching {
            number: 1,
            epoch: "epoch-1".into(),
            sequence: 40,
            start: start(watch.since),
        };
        let guard = FakeLink {
            seen: self.seen.clone(),
            ends_at: None,
        };
        let refuse = self.behaviour.refuse;
        async move {
            if let Some(refused) = refuse {
                return Err(refused);
            }
            let _ = self.seen.send(Seen::Watches(watch));
            Ok((watching, Box::new(guard) as Box<dyn Any>))
        }
        .boxed_local()
    }

    fn calls(&self, after: Option<ConnId>, limit: usize) -> LocalBoxFuture<'_, Result<(Vec<CallSummary>, bool), Unavailable>> {
        let ids = (1..=25).filter(move |id| after.is_none_or(|after| *id > after.0));
        self.answer(cut(ids.map(call), limit))
    }

    fn call(&self, conn_id: ConnId) -> LocalBoxFuture<'_, Result<Option<CallSummary>, Unavailable>> {
        self.answer((1..=25).contains(&conn_id.0).then(|| call(conn_id.0)))
    }

    fn dns(&self, after: Option<DnId>, limit: usize) -> LocalBoxFuture<'_, Result<(Vec<DnSummary>, bool), Unavailable>> {
        let dns = (2001..2011)
            .map(dn)
            .filter(move |dn| after.as_ref().is_none_or(|after| dn.dn.as_str() > after.as_str()));
        self.answer(cut(dns, limit))
    }

    fn dn(&self, name: DnId) -> LocalBoxFuture<'_, Result<Option<DnSummary>, Unavailable>> {
        self.answer((2001..2011).map(dn).find(|dn| dn.dn == name.as_str()))
    }

    fn connectors(&self) -> LocalBoxFuture<'_, Result<Vec<ConnectorSummary>, Unavailable>> {
        let connector = |id| ConnectorSummary {
            state: "Running",
            id,
            name: None,
            pool: None,
            conferences: 0,
            transactions: 0,
            dialogs: 0,
            dns: Some(7),
            endpoints: Some(vec![EndpointSummary {
                uri: "sip:conf1@tandem.local".to_owned(),
                idle: 1,
                in_use: 2,
            }]),
        };
        self.answer([10, 9, 2].map(connector).to_vec())
    }

    fn is_alive(&self) -> LocalBoxFuture<'_, bool> {
        async { !self.behaviour.unready }.boxed_local()
    }

    fn publish_gauges(&self) -> LocalBoxFuture<'_, ()> {
        async {}.boxed_local()
    }

    fn readiness(&self) -> LocalBoxFuture<'_, Vec<ReadinessCheck>> {
        let ok = !self.behaviour.unready;
        let detail = if ok { "" } else { "the server is draining" };
        async move {
            vec![ReadinessCheck {
                name: "draining",
                ok,
                detail: detail.to_owned(),
            }]
        }
        .boxed_local()
    }
}

/// Sockets that give up soon, so that tests need not wait.
pub fn quick_socket() -> socket::Settings {
    socket::Settings {
        queue_capacity: 1024,
        max_frame_bytes: 1024,
        open_timeout: Duration::from_secs(20),
        allowed_origins: vec!["https://desk.example.com".to_owned()],
        ping_interval: Duration::from_secs(10),
        silence_limit: Duration::from_secs(20),
        close_grace: Duration::from_secs(5),
    }
}

fn key(key: &str, scope: Scope) -> ApiKey {
    ApiKey {
        name: key.to_owned(),
        key: Some(Secret::new(key)),
        key_sha256: None,
        key_file: None,
        scopes: vec![scope],
    }
}

/// Keys `reader`, `desktop`, and `both`.
pub fn keys() -> Keys {
    let mut both = key("both", Scope::Read);
    both.scopes.push(Scope::Cti);
    Keys::new(&[key("reader", Scope::Read), key("desktop", Scope::Cti), both])
}

fn metrics_page() -> String {
    "# TYPE tandem_build_info gauge\ntandem_build_info 1\n".to_owned()
}

/// A server that listens, and what its runtime sees.
pub struct TestServer {
    pub address: SocketAddr,
    handle: ServerHandle,
    seen: Mutex<mpsc::UnboundedReceiver<Seen>>,
}

/// However slow the machine is.
pub const PATIENCE: Duration = Duration::from_secs(20);

impl TestServer {
    pub fn start(socket: socket::Settings, behaviour: Behaviour) -> Self {
        let metrics_require_key = behaviour.metrics_require_key;
        let face = if behaviour.connector { Face::Connector } else { Face::Server };
        let (port, seen) = FakePort::new(behaviour);
        let settings = Settings {
            bind: ([127, 0, 0, 1], 0).into(),
            face,
            links: vec![
                LinkName {
                    name: "c0".to_owned(),
                    pool: "p".to_owned()
                };
                3
            ]
            .into(),
            workers: 1,
            max_clients: 64,
            metrics_require_key,
            header_timeout: Duration::from_millis(300),
            keys: keys(),
            socket,
            admin: None,
        };
        let bound = bind(settings, port, Arc::new(metrics_page)).unwrap();
        let handle = bound.server.handle();
        actix_web::rt::spawn(bound.server);
        Self {
            address: bound.address,
            handle,
            seen: Mutex::new(seen),
        }
    }

    #[allow(clippy::await_holding_lock, reason = "a test has one task that looks")]
    pub async fn seen(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap();
        tokio::time::timeout(PATIENCE, seen.recv())
            .await
            .expect("nothing was seen in time")
            .unwrap()
    }

    pub async fn client_connects(&self) -> Arc<dyn ClientSink> {
        match self.seen().await {
            Seen::Connected(sink) => sink,
            _ => panic!("something other than a client that connects"),
        }
    }

    pub async fn frame(&self) -> String {
        match self.seen().await {
            Seen::Frame(text) => text,
            _ => panic!("something other than a frame"),
        }
    }

    pub async fn client_goes(&self) {
        assert!(
            matches!(self.seen().await, Seen::Gone),
            "something other than a client that goes"
        );
    }

    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}
