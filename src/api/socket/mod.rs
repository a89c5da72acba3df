//! The CTI socket: `GET /v1/cti`, WebSocket, subprotocol `tandem.cti.v1`, one JSON object per text frame.
//!
//! One task per client. It runs three futures side by side and ends with the first that ends, which closes the socket:
//!
//! | future | does | ends with |
//! |---|---|---|
//! | reader | frames from the client to its Client actor, one at a time | the client's close, or a frame that may not be |
//! | writer | the client's queue into the socket | the runtime's close, or a full queue (4008) |
//! | watchdog | pings; listens for a sign of life and a first frame | silence (4000) |
//!
//! Invariant: the runtime never waits for a socket. `queue::Queue` is the only thing that it touches, and that never blocks.
//!
//! It does not read frames: what stands in them is the Client actor's.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{FromRequest, HttpRequest, HttpResponse, dev, web};

use tandem_config::Cti;

use super::Shared;
use super::port::Refused;
use super::problem::Problem;

mod bounded;
mod inbound;
pub(super) mod queue;
mod session;

/// How CTI sockets behave.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Frames that may wait for a client.
    pub queue_capacity: usize,
    /// A longer frame closes the socket, in bytes.
    pub max_frame_bytes: usize,
    /// How long a client may take to its first frame.
    pub open_timeout: Duration,
    /// The web origins that may connect; `*` for all.
    pub allowed_origins: Vec<String>,
    /// How often the client is pinged.
    pub ping_interval: Duration,
    /// Nothing at all from the client for this long ends the connection.
    pub silence_limit: Duration,
    /// How long a client has to take the close frame and to close itself.
    pub close_grace: Duration,
}

impl Settings {
    /// What the configuration says. The protocol's own limit on frames is the upper bound of the configured one.
    pub fn new(cti: &Cti) -> Self {
        Self {
            queue_capacity: cti.queue_capacity,
            max_frame_bytes: cti.max_frame_bytes.min(tandem_wire::MAX_FRAME_BYTES),
            open_timeout: Duration::from_secs(cti.open_timeout_s),
            allowed_origins: cti.allowed_origins.clone(),
            ping_interval: Duration::from_secs(15),
            silence_limit: Duration::from_secs(45),
            close_grace: Duration::from_secs(2),
        }
    }
}

/// Answers the upgrade and starts the client's task.
pub async fn upgrade(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    let settings = &shared.socket;
    admit_origin(request.headers(), &settings.allowed_origins)?;
    let subprotocol = offered_subprotocol(request.headers())?;
    let payload = bounded::bound(payload, settings.max_frame_bytes);
    let payload = web::Payload::from_request(&request, &mut dev::Payload::Stream { payload })
        .await
        .map_err(|error| Problem::bad_request("bad-handshake", error.to_string()))?;
    let (mut response, outbound, messages) =
        actix_ws::handle(&request, payload).map_err(|error| Problem::bad_request("bad-handshake", error.to_string()))?;
    let (queue, frames) = queue::Queue::new(settings.queue_capacity);
    let link = shared.port.connect(queue).await.map_err(refused)?;
    if subprotocol {
        let name = HeaderValue::from_static(tandem_wire::SUBPROTOCOL);
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    }
    let inbound = inbound::Inbound::new(messages.max_frame_size(settings.max_frame_bytes), settings.max_frame_bytes);
    actix_web::rt::spawn(session::run(settings.clone(), outbound, inbound, frames, link));
    Ok(response)
}

fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::TooMany => Problem::unavailable("too-many-clients", "as many CTI clients are connected as may be"),
        Refused::NotReady => Problem::unavailable("not-ready", "the server takes no new clients now"),
    }
}

/// A browser names the page's origin and another program need not (RFC 6455 s.10.2), so none is as good as an allowed one.
fn admit_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let named = origin.to_str().is_ok_and(|origin| {
        allowed
            .iter()
            .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    });
    if named {
        return Ok(());
    }
    Err(Problem::forbidden(
        "origin",
        "this web origin may not connect (cti.allowed_origins)",
    ))
}

/// Whether the client offers our subprotocol; one that offers only others speaks something else.
fn offered_subprotocol(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut any = false;
    for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        any = true;
        let names = value.to_str().unwrap_or_default().split(',');
        if names.map(str::trim).any(|name| name == tandem_wire::SUBPROTOCOL) {
            return Ok(true);
        }
    }
    if any {
        let text = format!("the subprotocol here is {}", tandem_wire::SUBPROTOCOL);
        return Err(Problem::bad_request("subprotocol", text));
    }
    Ok(false)
}
