//! The outside face: HTTP and the CTI WebSocket on one port, on actix-web.
//!
//! | path | what | key |
//! |---|---|---|
//! | `/v1/cti` | the CTI protocol ([`socket`]) | in OpenServer |
//! | `/v1/calls`, `/v1/dns`, `/v1/connectors` | what there is ([`rest`]) | `read` |
//! | `/v1/events` | all events, as server-sent events ([`events`]) | `read` and `cti` |
//! | `/v1/admin` | draining, reloading and the quarantine ([`admin`]), and faults where the build has them | `admin` |
//! | `/metrics` | Prometheus text | `read`, where configured |
//! | `/livez` (`/healthz`), `/readyz`, `/openapi.json` | for machines ([`health`]) | none |
//!
//! A connector in a process of its own has the last three lines, and of `/v1` what concerns a connector: itself in `/v1/connectors`, and
//! `/v1/admin`.
//!
//! Invariant: nothing a client does, or fails to do, holds up an actor. What goes to a client passes through a bounded queue that
//! is never waited for; what comes from one is read only as fast as it is handed on, in frames of a bounded size.
//!
//! It knows no call and no DN: it asks the runtime through [`port::Port`]. It speaks plain HTTP/1.1; TLS is a proxy's work.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Extensions, Server};
use actix_web::http::KeepAlive;
use actix_web::middleware::from_fn;
use actix_web::{App, FromRequest, Handler, HttpServer, Resource, Responder, guard, web};

use tandem_config::Config;

pub mod admin;
pub mod auth;
pub mod events;
#[cfg(feature = "fault-injection")]
pub mod fault;
pub mod gateway;
pub mod health;
pub mod openapi;
pub mod paging;
pub mod port;
pub mod problem;
pub mod rest;
pub mod socket;

use auth::Keys;
use port::Port;
use problem::Problem;

/// Renders the metrics page.
pub type MetricsPage = Arc<dyn Fn() -> String + Send + Sync>;

/// Whose pages are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Face {
    /// A server's, or that of a T-Server whose connectors are in other processes.
    Server,
    /// A connector's whose T-Server is in another process.
    Connector,
}

/// What a connector in a process of its own is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkName {
    /// The name of its link.
    pub name: String,
    /// The application pool that it serves.
    pub pool: String,
}

impl LinkName {
    /// Those of a configuration.
    pub fn all(config: &Config) -> Arc<[Self]> {
        let links = config.link.iter().map(|link| Self {
            name: link.name.clone(),
            pool: link.pool_name.clone(),
        });
        links.collect()
    }
}

/// How the server is set up.
#[derive(Clone)]
pub struct Settings {
    /// The address to listen on; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// What there is to see.
    pub face: Face,
    /// What the connectors are called, in the order of their numbers; nothing where they have no processes of their own.
    pub links: Arc<[LinkName]>,
    /// Threads that serve.
    pub workers: usize,
    /// The most CTI clients; the runtime enforces it, here it only bounds connections.
    pub max_clients: usize,
    /// Whether `/metrics` wants a key.
    pub metrics_require_key: bool,
    /// A request line and headers must be here within this.
    pub header_timeout: Duration,
    /// Who may read over HTTP.
    pub keys: Keys,
    /// The CTI socket.
    pub socket: socket::Settings,
    /// What an operator may do to the process; none where that is nothing.
    pub admin: Option<Arc<dyn admin::Admin>>,
}

impl Settings {
    /// What the configuration says.
    pub fn new(config: &Config) -> Self {
        Self {
            bind: config.cti.bind,
            face: Face::Server,
            links: Arc::default(),
            workers: config.http.workers,
            max_clients: config.cti.max_clients,
            metrics_require_key: config.http.metrics_require_key,
            header_timeout: HEADER_TIMEOUT,
            keys: Keys::new(&config.cti.api_key),
            socket: socket::Settings::new(&config.cti),
            admin: None,
        }
    }
}

/// What every handler reaches.
pub struct Shared {
    face: Face,
    links: Arc<[LinkName]>,
    port: Arc<dyn Port>,
    metrics: MetricsPage,
    metrics_require_key: bool,
    keys: Keys,
    socket: socket::Settings,
    admin: Option<Arc<dyn admin::Admin>>,
}

/// Tells the recorder what this module's metrics mean.
fn describe_metrics() {
    metrics::describe_counter!("tandem_http_requests_total", "HTTP requests, by route and status.");
    metrics::describe_counter!(
        "tandem_event_client_disconnects_total",
        "CTI connections that ended, by who ended them and why."
    );
}

/// A server that listens. It serves as long as [`Self::server`] is polled.
pub struct Bound {
    /// Where it listens.
    pub address: SocketAddr,
    /// The server; `handle()` stops it.
    pub server: Server,
}

/// Long enough for the slowest network, too short to hold a connection for nothing.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection between two requests is closed after this.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long the farewell of a connection may take.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Sent bytes that the peer does not take for this long end the connection: a socket that nobody reads would stay for ever.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections beyond the CTI clients that may be open: scrapes, queries.
const SPARE_CONNECTIONS: usize = 512;
/// How long a stop waits for running requests, in seconds. CTI sockets are closed by their Client actors before.
const STOP_TIMEOUT_S: u64 = 5;

/// Binds and sets up the server. Must be called within an actix system.
pub fn bind(settings: Settings, port: Arc<dyn Port>, metrics: MetricsPage) -> io::Result<Bound> {
    describe_metrics();
    let workers = settings.workers.max(1);
    let max_connections = (settings.max_clients + SPARE_CONNECTIONS).div_ceil(workers);
    let shared = web::Data::new(Shared {
        face: settings.face,
        links: settings.links,
        port,
        metrics,
        metrics_require_key: settings.metrics_require_key,
        keys: settings.keys,
        socket: settings.socket,
        admin: settings.admin,
    });
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(problem::frame_responses))
            .configure(routes(shared.clone()))
    })
    .workers(workers)
    .max_connections(max_connections)
    .client_request_timeout(settings.header_timeout)
    .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
    .client_disconnect_timeout(DISCONNECT_TIMEOUT)
    .shutdown_timeout(STOP_TIMEOUT_S)
    .disable_signals()
    .on_connect(tune)
    .bind(settings.bind)?;
    let address = server
        .addrs()
        .first()
        .copied()
        .ok_or_else(|| io::Error::other("no address was bound"))?;
    Ok(Bound {
        address,
        server: server.run(),
    })
}

/// The routes, without the outer middleware.
pub fn routes(shared: web::Data<Shared>) -> impl FnOnce(&mut web::ServiceConfig) {
    let face = shared.face;
    move |app| {
        app.app_data(shared)
            .app_data(
                web::QueryConfig::default().error_handler(|error, _| Problem::bad_request("bad-query", error.to_string()).into()),
            )
            .app_data(
                web::PathConfig::default().error_handler(|error, _| Problem::bad_request("bad-path", error.to_string()).into()),
            )
            .configure(health::configure)
            .configure(|app| match face {
                Face::Server => of_server(app),
                Face::Connector => of_connector(app),
            })
            .default_service(web::to(nowhere));
    }
}

fn of_server(app: &mut web::ServiceConfig) {
    app.service(
        web::resource(tandem_wire::PATH)
            .route(web::get().to(socket::upgrade))
            .default_service(web::to(|| async { Problem::method_not_allowed("GET").into_response() })),
    )
    .service(
        web::scope("/v1")
            .wrap(from_fn(rest::require_key))
            .configure(rest::configure)
            .configure(events::configure)
            .configure(admin::configure)
            .default_service(web::to(nowhere)),
    );
}

fn of_connector(app: &mut web::ServiceConfig) {
    app.service(
        web::scope("/v1")
            .wrap(from_fn(rest::require_key))
            .configure(rest::configure_connectors)
            .configure(admin::configure)
            .default_service(web::to(not_of_connector)),
    );
}

/// A resource that can be read and nothing else.
fn read_only<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::route().guard(guard::Any(guard::Get()).or(guard::Head())).to(handler))
        .default_service(web::to(|| async { Problem::method_not_allowed("GET, HEAD").into_response() }))
}

async fn nowhere() -> Result<&'static str, Problem> {
    Err(Problem::not_found("not-found", "there is nothing at this path"))
}

async fn not_of_connector() -> Result<&'static str, Problem> {
    let detail = "there is nothing at this path: this is a connector, and calls, DNs, events and clients are its T-Server's";
    Err(Problem::not_found("not-found", detail))
}

/// Sets up an accepted socket: small frames leave at once, and a peer that takes nothing is given up.
fn tune(connection: &dyn Any, _: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() {
        let socket = socket2::SockRef::from(stream);
        // Neither matters enough to refuse a client over it.
        let _ = stream.set_nodelay(true);
        let _ = socket.set_tcp_user_timeout(Some(UNREAD_TIMEOUT));
    }
}

#[cfg(test)]
mod tests;
