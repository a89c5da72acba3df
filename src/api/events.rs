//! `GET /v1/events`: all events of the server, as server-sent events.
//!
//! | message | when | data |
//! |---|---|---|
//! | `hello` | first | `{"epoch","seq","mode"}`: the epoch, the sequence of the last event, and how it begins: `new`, `delta` or `gap` |
//! | `gap` | after a `hello` with that mode | `{"from","to"}`: these sequences are not here any more, or never were; the stream goes on after them |
//! | no name | for each event | the frame of the CTI protocol, `sequence` also as the `id` |
//! | `closed` | last, where the server ends it | `{"code","reason","seq"}`: a close code of the CTI protocol, and the last sequence sent |
//!
//! `since=SEQ`, or the `Last-Event-ID` with which a browser comes back, goes on after that sequence. What it promises: `delta` means that
//! every event after it follows, each once; everything else is said in a `gap`. Events stay as long as `cti.retention_events` and
//! `cti.retention_s` say, also over a restart, but those that no CTI client is registered for are kept only while somebody watches, and
//! `cti.retention_s` longer (with `cti.retain_all_events`: always). Sequences belong to an epoch: `epoch=` says which, and one that is over is a `gap` from the
//! beginning of the present one. Within one connection `previous` is the sequence of the event that stood there before, `since` at first.
//!
//! `dn=` (several, separated by commas) leaves out the events of other DNs. Answers to requests of CTI clients are not shown.
//!
//! The stream shows what CTI clients see, so it wants a key with the scope `cti` beside `read`. Who reads too slowly is cut off, with a
//! `closed` that names the last sequence.

use std::any::Any;
use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::json;
use tandem_config::Scope;
use tandem_model::DnId;
use tandem_model::event_log::watch::Start;
use tandem_wire::event::sequence_of;
use utoipa::IntoParams;

use super::Shared;
use super::port::{Refused, Watch, Watching};
use super::problem::Problem;
use super::socket::queue::{Closing, Frames, Queue};

/// Proxies end what says nothing for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many DNs may be named.
const MAX_DNS: usize = 64;

/// What a watcher asks for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// The sequence of the last event that is known; the header `Last-Event-ID` stands before it. Absent: from now on.
    pub since: Option<u64>,
    /// The epoch of that sequence, as `hello` named it.
    pub epoch: Option<String>,
    /// The DNs, separated by commas, 64 at most; absent: all.
    pub dn: Option<String>,
}

impl EventsQuery {
    fn dns(&self) -> Result<Option<BTreeSet<DnId>>, Problem> {
        let Some(text) = &self.dn else { return Ok(None) };
        let dns: BTreeSet<DnId> = text
            .split(',')
            .map(str::trim)
            .filter(|dn| !dn.is_empty())
            .map(DnId::new)
            .collect();
        if (1..=MAX_DNS).contains(&dns.len()) {
            return Ok(Some(dns));
        }
        Err(Problem::bad_request("bad-dn", format!("dn names 1 to {MAX_DNS} DNs")))
    }
}

/// Adds the resource to the `/v1` scope.
pub fn configure(scope: &mut web::ServiceConfig) {
    scope.service(
        web::resource("/events")
            .route(web::get().to(events))
            .default_service(web::to(|| async { Problem::method_not_allowed("GET").into_response() })),
    );
}

/// All events, as server-sent events.
#[utoipa::path(get, path = "/v1/events", params(EventsQuery), security(("key" = [])),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn events(
    request: HttpRequest,
    shared: web::Data<Shared>,
    query: web::Query<EventsQuery>,
) -> Result<HttpResponse, Problem> {
    shared.keys.admit(request.headers(), Scope::Cti)?;
    let (queue, frames) = Queue::new(shared.socket.queue_capacity);
    let watch = Watch {
        since: last_event_id(request.headers())?.or(query.since),
        epoch: query.epoch.clone(),
        dns: query.dns()?,
        sink: queue,
    };
    let (watching, guard) = shared.port.watch(watch).await.map_err(refused)?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body(&watching, frames, guard)))
}

fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::TooMany => Problem::unavailable("too-many-streams", "as many event streams are open as may be"),
        Refused::NotReady => Problem::unavailable("not-ready", "the part of the server that knows is restarting"),
    }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number
        .map(Some)
        .ok_or_else(|| Problem::bad_request("bad-last-event-id", "Last-Event-ID is the sequence of an event"))
}

/// One stream.
struct Watcher {
    /// What is to be said first.
    first: VecDeque<Bytes>,
    frames: Frames,
    last: u64,
    ended: bool,
    /// Ends it in the runtime, too.
    _guard: Box<dyn Any>,
}

fn body(watching: &Watching, frames: Frames, guard: Box<dyn Any>) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let watcher = Watcher {
        first: greeting(watching),
        frames,
        last: watching.start.cursor(),
        ended: false,
        _guard: guard,
    };
    stream::unfold(watcher, |mut watcher| async move {
        let next = watcher.next().await?;
        Some((Ok(next), watcher))
    })
}

fn greeting(watching: &Watching) -> VecDeque<Bytes> {
    let hello = |mode, id| {
        let data = json!({ "epoch": &*watching.epoch, "seq": watching.sequence, "mode": mode });
        message(Some("hello"), id, &data.to_string())
    };
    match watching.start {
        Start::Now { cursor } => [hello("new", Some(cursor))].into(),
        Start::After { .. } => [hello("delta", None)].into(),
        Start::Gap { from, to } => {
            let gap = json!({ "from": from, "to": to }).to_string();
            [hello("gap", None), message(Some("gap"), Some(to), &gap)].into()
        }
    }
}

impl Watcher {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.pop_front() {
            return Some(first);
        }
        if self.ended {
            return None;
        }
        let Frames { frames, closing } = &mut self.frames;
        let mut ends = closing.clone();
        let frame = tokio::select! {
            biased;
            frame = frames.recv() => frame,
            // Polled only when nothing is queued: what was queued before the end goes first.
            _ = ends.wait_for(Option::is_some) => None,
            () = tokio::time::sleep(KEEP_ALIVE) => return Some(Bytes::from_static(b": \n\n")),
        };
        let Some(frame) = frame else { return Some(self.farewell()) };
        let sequence = sequence_of(&frame);
        self.last = sequence.unwrap_or(self.last);
        Some(message(None, sequence, &String::from_utf8_lossy(&frame)))
    }

    fn farewell(&mut self) -> Bytes {
        self.ended = true;
        let closing = self.frames.closing.borrow().clone();
        let closing = closing.unwrap_or(Closing::of(tandem_wire::close::INTERNAL, "internal error"));
        let data = json!({ "code": closing.code, "reason": closing.reason, "seq": self.last });
        message(Some("closed"), None, &data.to_string())
    }
}

/// One message. Data is one line: JSON has no line breaks outside of texts, and in texts they are escaped.
fn message(name: Option<&str>, id: Option<u64>, data: &str) -> Bytes {
    let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}{name}data: {data}\n\n").into()
}
