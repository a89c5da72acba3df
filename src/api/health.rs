//! What machines ask a server: `/metrics`, `/livez` and `/healthz`, which are the same, `/readyz`, `/openapi.json`.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use tandem_config::Scope;
use utoipa::ToSchema;

use super::port::ReadinessCheck;
use super::problem::Problem;
use super::{Shared, openapi, read_only};

/// How long the checks may take together.
const DEADLINE: Duration = Duration::from_secs(2);

/// Adds the resources.
pub fn configure(app: &mut web::ServiceConfig) {
    app.service(read_only("/metrics", metrics))
        .service(read_only("/livez", livez))
        .service(read_only("/healthz", livez))
        .service(read_only("/readyz", readyz))
        .service(read_only("/openapi.json", document));
}

/// The metrics, for Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, content_type = "text/plain", body = String)))]
pub(super) async fn metrics(shared: web::Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    if shared.metrics_require_key {
        shared.keys.admit(request.headers(), Scope::Read)?;
    }
    // One that does not answer leaves its figures as they were.
    let _ = tokio::time::timeout(DEADLINE, shared.port.publish_gauges()).await;
    // Version 0.0.4 of the text format (Prometheus docs, "Exposition formats").
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body((shared.metrics)()))
}

/// What `/livez` and `/readyz` answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, or `failing` where a check does not hold.
    status: &'static str,
    /// Each check.
    checks: Vec<ReadinessCheck>,
}

/// Whether the process is worth keeping: `503` says that a restart would help.
#[utoipa::path(get, path = "/livez", responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(super) async fn livez(shared: web::Data<Shared>) -> HttpResponse {
    let alive = tokio::time::timeout(DEADLINE, shared.port.is_alive()).await.unwrap_or(false);
    respond(vec![ReadinessCheck {
        name: "runtime",
        ok: alive,
        detail: if alive {
            String::new()
        } else {
            "no answer in time".to_owned()
        },
    }])
}

/// Whether the server takes calls. A connector in a process of its own does while it is connected to its T-Server.
#[utoipa::path(get, path = "/readyz", responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(super) async fn readyz(shared: web::Data<Shared>) -> HttpResponse {
    let checks = match tokio::time::timeout(DEADLINE, shared.port.readiness()).await {
        Ok(checks) => checks,
        Err(_) => vec![ReadinessCheck {
            name: "runtime",
            ok: false,
            detail: "no answer in time".to_owned(),
        }],
    };
    respond(checks)
}

/// The list of checks is the answer at 503 too, not a problem document that hides it.
fn respond(checks: Vec<ReadinessCheck>) -> HttpResponse {
    let ready = checks.iter().all(|check| check.ok);
    let (code, status) = if ready {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    };
    HttpResponse::build(code).json(Health { status, checks })
}

/// The OpenAPI 3.1 document of this interface.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, content_type = "application/json", body = Object)))]
pub(super) async fn document(shared: web::Data<Shared>) -> HttpResponse {
    HttpResponse::Ok().json(openapi::document(shared.face))
}
