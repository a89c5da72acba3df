//! The resources under `/v1`: calls, DNs and connectors as they stand. Reading only; each wants a key with the scope `read`.

use std::future::Future;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};
use tandem_config::Scope;
use tandem_model::{ConnId, DnId, TErrorCode};

use super::paging::{Page, PageQuery};
use super::port::{CallSummary, ConnectorSummary, DnSummary, Unavailable};
use super::problem::Problem;
use super::{Shared, read_only};

/// How long the runtime may take to answer a query.
const QUERY_DEADLINE: Duration = Duration::from_secs(2);

/// Adds the resources to the `/v1` scope.
pub fn configure(scope: &mut web::ServiceConfig) {
    scope
        .service(read_only("/calls", calls))
        .service(read_only("/calls/{connId}", call))
        .service(read_only("/dns", dns))
        .service(read_only("/dns/{dn}", dn))
        .configure(configure_connectors);
}

/// Adds only what a process has that is a connector and nothing else.
pub fn configure_connectors(scope: &mut web::ServiceConfig) {
    scope.service(read_only("/connectors", connectors));
}

/// Lets a request under `/v1` pass only with a key that may read, or under `/v1/admin` administer. Unknown paths are no exception: without a key nobody learns
/// what there is.
pub async fn require_key<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    if let Some(shared) = request.app_data::<web::Data<Shared>>() {
        let admin = request.path().strip_prefix("/v1/admin");
        let admin = admin.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let scope = if admin { Scope::Admin } else { Scope::Read };
        shared.keys.admit(request.headers(), scope)?;
        return next.call(request).await;
    }
    Err(Problem::unauthorized().into())
}

/// Waits for the runtime's answer, not for ever.
async fn answered<T>(query: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Problem> {
    match tokio::time::timeout(QUERY_DEADLINE, query).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Unavailable)) => Err(Problem::unavailable(
            "unavailable",
            "the part of the server that knows is restarting",
        )),
        Err(_) => Err(
            Problem::unavailable("timeout", "the part of the server that knows did not answer in time")
                .with_error(TErrorCode::Timeout),
        ),
    }
}

/// The live calls, ordered by ConnID.
#[utoipa::path(get, path = "/v1/calls", params(PageQuery), security(("key" = [])),
    responses((status = 200, body = Page<CallSummary>), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn calls(shared: web::Data<Shared>, query: web::Query<PageQuery>) -> Result<HttpResponse, Problem> {
    let (limit, after) = (query.limit()?, query.after::<ConnId>()?);
    let (items, more) = answered(shared.port.calls(after, limit)).await?;
    Ok(HttpResponse::Ok().json(Page::new(items, more, |call| call.conn_id.clone())))
}

/// One live call.
#[utoipa::path(get, path = "/v1/calls/{connId}", params(("connId" = String, Path, description = "up to 16 hex digits")),
    security(("key" = [])),
    responses((status = 200, body = CallSummary), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn call(shared: web::Data<Shared>, conn_id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let conn_id: ConnId = conn_id.parse().map_err(|()| {
        Problem::bad_request("bad-conn-id", "a ConnID is 1 to 16 hex digits").with_error(TErrorCode::InvalidConnId)
    })?;
    match answered(shared.port.call(conn_id)).await? {
        Some(call) => Ok(HttpResponse::Ok().json(call)),
        None => Err(Problem::not_found("no-call", format!("there is no call {conn_id}")).with_error(TErrorCode::NoCall)),
    }
}

/// The DNs, ordered by name.
#[utoipa::path(get, path = "/v1/dns", params(PageQuery), security(("key" = [])),
    responses((status = 200, body = Page<DnSummary>), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn dns(shared: web::Data<Shared>, query: web::Query<PageQuery>) -> Result<HttpResponse, Problem> {
    let (limit, after) = (query.limit()?, query.after::<String>()?.map(DnId::from));
    let (items, more) = answered(shared.port.dns(after, limit)).await?;
    Ok(HttpResponse::Ok().json(Page::new(items, more, |dn| dn.dn.clone())))
}

/// One DN.
#[utoipa::path(get, path = "/v1/dns/{dn}", params(("dn" = String, Path, description = "the SIP URI, percent-encoded")),
    security(("key" = [])),
    responses((status = 200, body = DnSummary), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn dn(shared: web::Data<Shared>, dn: web::Path<String>) -> Result<HttpResponse, Problem> {
    let dn = DnId::new(&dn);
    match answered(shared.port.dn(dn.clone())).await? {
        Some(dn) => Ok(HttpResponse::Ok().json(dn)),
        None => Err(Problem::not_found("no-dn", format!("there is no DN {dn}")).with_error(TErrorCode::DnNotExist)),
    }
}

/// The connectors, ordered by number.
#[utoipa::path(get, path = "/v1/connectors", params(PageQuery), security(("key" = [])),
    responses((status = 200, body = Page<ConnectorSummary>),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn connectors(shared: web::Data<Shared>, query: web::Query<PageQuery>) -> Result<HttpResponse, Problem> {
    let mut items = answered(shared.port.connectors()).await?;
    for connector in &mut items {
        let link = shared.links.get(usize::from(connector.id));
        connector.name = link.map(|link| link.name.clone());
        connector.pool = link.map(|link| link.pool.clone());
    }
    Ok(HttpResponse::Ok().json(Page::cut(items, |connector| connector.id, &query)?))
}
