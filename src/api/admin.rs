//! What an operator does to a running server, under `/v1/admin`: drain it, or one of its connectors, and have it read its configuration
//! again. Each wants a key with the scope `admin`.
//!
//! How it is done is the process's matter; this module asks it through [`Admin`].

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use tandem_actors::journal::Scope;
use tandem_actors::quarantine::Quarantined;
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use super::{Shared, nowhere, read_only};

/// The longest deadline of a drain, in seconds: that of `server.drain_timeout_s`.
const LONGEST_DEADLINE_S: u64 = 86_400;

/// The process, as an operator sees it.
pub trait Admin: Send + Sync + 'static {
    /// How a drain stands.
    fn drain_status(&self) -> DrainStatus;
    /// Begins a drain of the whole server, or gives one that runs another deadline. `None`: the configured one.
    fn drain(&self, deadline: Option<Duration>);
    /// Takes it back. `false`: it is too late, or a signal asked for it.
    fn undo_drain(&self) -> bool;
    /// Begins a drain of one connector. Without a deadline its calls end by themselves.
    fn drain_connector(&self, connector: u16, deadline: Option<Duration>) -> LocalBoxFuture<'_, Result<(), NotDrained>>;
    /// Takes it back.
    fn undo_drain_connector(&self, connector: u16) -> LocalBoxFuture<'_, Result<(), NotDrained>>;
    /// The inputs that actors panicked on twice, that which came last first.
    fn quarantined(&self) -> Vec<(Scope, Quarantined)>;
    /// What may go wrong on purpose.
    #[cfg(feature = "fault-injection")]
    fn faults(&self) -> Option<tandem_actors::fault::FaultControl> {
        None
    }
    /// Reads the configuration again, and puts in force what can be.
    fn reload(&self) -> LocalBoxFuture<'_, Result<ReloadReport, Vec<String>>>;
}

/// Why a connector is not drained from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotDrained {
    /// There is none of that number here.
    Unknown,
    /// It has a process of its own, which cannot be reached.
    Unreachable,
}

/// How a drain stands.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct DrainStatus {
    /// `Running`, `Suspending` (no call starts, those that live go on) or `Stopping` (what is left is being ended).
    pub state: &'static str,
    /// Whether no call starts.
    pub draining: bool,
    /// How many calls live.
    pub active_calls: usize,
    /// Until those that are left are ended, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_s: Option<u64>,
}

/// What came of reading the configuration again.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct ReloadReport {
    /// Every option that has changed; where tables came or went, the list they stand in (`dn[]`).
    pub changes: Vec<OptionChange>,
    /// What looks wrong, though the server can run with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// An option that has changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct OptionChange {
    /// Which one: `log.filter`, `dn[2].password`.
    pub option: String,
    /// `applied`, `needs restart`, or `not here`: what runs by it is another process.
    pub outcome: &'static str,
    /// When a change of it takes effect, as `tandem config options` says.
    pub takes_effect: String,
}

/// The inputs that this process cannot take.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct QuarantineList {
    /// That which came last first; the same mistake is one of them.
    inputs: Vec<QuarantinedInput>,
}

/// An input that an actor panicked on twice, which ended its call. What callers and agents said of themselves is masked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct QuarantinedInput {
    /// Whose journal has it: `tserver`, `connector-0`.
    scope: String,
    /// The kind of actor: `call`, `conference`.
    actor: String,
    /// Which one it was the last time: a ConnID, the number of a conference.
    id: String,
    /// What kind of input.
    input: String,
    /// The last one, as the source has it.
    shown: String,
    /// What the panic said.
    panic: String,
    /// Where it was: file, line and column.
    place: String,
    /// When it came first.
    first: String,
    /// When it came last.
    last: String,
    /// How often it came.
    times: u64,
}

/// The body of a drain; none is one without fields.
#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DrainOrder {
    /// What is left then is ended, in seconds from now. Without it: of the whole server as `server.drain_timeout_s` says, of a connector
    /// never.
    deadline_s: Option<u64>,
    /// The connector to drain; without it the whole server, which then stops.
    connector: Option<u16>,
}

/// Which drain is taken back.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DrainedConnector {
    /// The connector; without it the whole server.
    connector: Option<u16>,
}

/// Adds the resources to the `/v1` scope.
pub fn configure(scope: &mut web::ServiceConfig) {
    #[cfg(feature = "fault-injection")]
    super::fault::configure(scope);
    scope
        .service(
            web::resource("/admin/drain")
                .route(web::get().to(drain_status))
                .route(web::post().to(drain))
                .route(web::delete().to(undo_drain))
                .default_service(web::to(|| async {
                    Problem::method_not_allowed("GET, POST, DELETE").into_response()
                })),
        )
        .service(
            web::resource("/admin/reload")
                .route(web::post().to(reload))
                .default_service(web::to(|| async { Problem::method_not_allowed("POST").into_response() })),
        )
        .service(read_only("/admin/quarantine", quarantine))
        .service(web::resource("/admin/{rest:.*}").default_service(web::to(nowhere)));
}

fn admin(shared: &Shared) -> Result<&Arc<dyn Admin>, Problem> {
    shared.admin.as_ref().ok_or_else(|| {
        let detail = "this process is not administered over HTTP: send it a signal";
        Problem::new(StatusCode::NOT_IMPLEMENTED, "no-admin", detail)
    })
}

/// How a drain of the server stands. Those of connectors show in `/v1/connectors`.
#[utoipa::path(get, path = "/v1/admin/drain", security(("key" = [])),
    responses((status = 200, body = DrainStatus), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn drain_status(shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(admin(&shared)?.drain_status()))
}

/// Begins a drain of the server, which stops when its last call has ended, or of one connector.
#[utoipa::path(post, path = "/v1/admin/drain", request_body = Option<DrainOrder>, security(("key" = [])),
    responses((status = 202, body = DrainStatus), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn drain(shared: web::Data<Shared>, body: web::Bytes) -> Result<HttpResponse, Problem> {
    let admin = admin(&shared)?;
    let order: DrainOrder = match body.trim_ascii() {
        [] => DrainOrder::default(),
        text => serde_json::from_slice(text).map_err(|error| Problem::bad_request("bad-body", error.to_string()))?,
    };
    if order.deadline_s.is_some_and(|deadline| deadline > LONGEST_DEADLINE_S) {
        let detail = format!("deadline_s: {LONGEST_DEADLINE_S} at most");
        return Err(Problem::bad_request("bad-body", detail));
    }
    let deadline = order.deadline_s.map(Duration::from_secs);
    match order.connector {
        None => admin.drain(deadline),
        Some(connector) => admin
            .drain_connector(connector, deadline)
            .await
            .map_err(|error| problem(error, connector))?,
    }
    Ok(HttpResponse::Accepted().json(admin.drain_status()))
}

/// Takes a drain back: the server, or the connector, goes on as before.
#[utoipa::path(delete, path = "/v1/admin/drain", params(DrainedConnector), security(("key" = [])),
    responses((status = 200, body = DrainStatus), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn undo_drain(shared: web::Data<Shared>, query: web::Query<DrainedConnector>) -> Result<HttpResponse, Problem> {
    let admin = admin(&shared)?;
    match query.connector {
        Some(connector) => admin
            .undo_drain_connector(connector)
            .await
            .map_err(|error| problem(error, connector))?,
        None if admin.undo_drain() => {}
        None => {
            let detail = "the server stops: a signal asked for it, or its time is over";
            return Err(Problem::new(StatusCode::CONFLICT, "stopping", detail));
        }
    }
    Ok(HttpResponse::Ok().json(admin.drain_status()))
}

/// Reads the configuration again from where it came. One that is not valid changes nothing.
#[utoipa::path(post, path = "/v1/admin/reload", security(("key" = [])),
    responses((status = 200, body = ReloadReport), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn reload(shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    match admin(&shared)?.reload().await {
        Ok(report) => Ok(HttpResponse::Ok().json(report)),
        Err(problems) => {
            let detail = "the configuration is not valid; nothing was changed";
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-configuration", detail);
            Err(problem.with_problems(problems))
        }
    }
}

/// The inputs that calls and conferences of this process panicked on twice, also before it was started the last time.
#[utoipa::path(get, path = "/v1/admin/quarantine", security(("key" = [])),
    responses((status = 200, body = QuarantineList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn quarantine(shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    let inputs = admin(&shared)?
        .quarantined()
        .into_iter()
        .map(|(scope, entry)| QuarantinedInput {
            scope: scope.to_string(),
            actor: entry.actor,
            id: entry.id,
            input: entry.input,
            shown: entry.shown,
            panic: entry.panic,
            place: entry.place,
            first: tandem_wire::time::format(entry.first_unix_micros),
            last: tandem_wire::time::format(entry.last_unix_micros),
            times: entry.times,
        });
    Ok(HttpResponse::Ok().json(QuarantineList {
        inputs: inputs.collect(),
    }))
}

fn problem(error: NotDrained, connector: u16) -> Problem {
    match error {
        NotDrained::Unknown => Problem::not_found("no-connector", format!("there is no connector {connector}")),
        NotDrained::Unreachable => {
            let detail = format!("connector {connector} has a process of its own, and the link to it is down");
            Problem::new(StatusCode::CONFLICT, "connector-disconnected", detail)
        }
    }
}
