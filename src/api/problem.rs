//! Errors of the HTTP side: RFC 9457 problem documents, whoever raised them.
//!
//! A [`Problem`] has a stable `code` for programs, a `detail` for people and, where T-Library has a number for it, `errorCode`.
//! [`frame_responses`] is the outermost middleware: an error that actix itself answers (a path that does not decode, a handshake
//! that is none) leaves as a problem document too. The one exception is a request that is no HTTP at all: actix answers 400 with
//! an empty body before any of our code runs.

use std::fmt;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError};
use serde::Serialize;
use tandem_model::TErrorCode;
use utoipa::ToSchema;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The longest request body that is read, in bytes.
const MAX_BODY_BYTES: u64 = 64 * 1024;

/// Seconds after which a 503 may be tried again.
const RETRY_AFTER_S: &str = "1";

/// What went wrong, ready to be answered.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The HTTP status in words.
    title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "status_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// Which problem, for programs; never changes.
    code: &'static str,
    /// What happened this time.
    detail: String,
    /// The T-Library error, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    /// Every single problem, where there are more than `detail` can say.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schema(value_type = Vec<String>)]
    problems: Box<[String]>,
    /// The methods that the resource has (405 only; sent as a header).
    #[serde(skip)]
    allow: Option<&'static str>,
}

fn status_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem with this status and code.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            code,
            detail: detail.into(),
            error_code: None,
            problems: Box::default(),
            allow: None,
        }
    }

    /// With every single problem.
    pub fn with_problems(mut self, problems: Vec<String>) -> Self {
        self.problems = problems.into();
        self
    }

    /// With the T-Library number.
    pub fn with_error(mut self, error: TErrorCode) -> Self {
        self.error_code = Some(error.number());
        self
    }

    /// 400.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: no key, or one that is unknown.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "an API key is needed: Authorization: Bearer KEY",
        )
    }

    /// 403.
    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 404.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 405, with the methods that there are.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let mut problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            format!("this resource has {allow} only"),
        );
        problem.allow = Some(allow);
        problem
    }

    /// 503: the part of the server that knows did not answer, or takes no more work.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// The response itself, for a handler that has nothing else to say.
    pub fn into_response(self) -> HttpResponse {
        self.error_response()
    }

    /// The problem that stands for an error that other code answered with a status only.
    fn of_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => "not-found",
            StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "body-too-large",
            StatusCode::REQUEST_TIMEOUT => "request-timeout",
            status if status.is_server_error() => "internal",
            _ => "bad-request",
        };
        Self::new(status, code, status.canonical_reason().unwrap_or("the request failed"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_S));
        }
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        // `json` keeps a content type that is set.
        response.content_type(MEDIA_TYPE).json(self)
    }
}

/// The outermost middleware: refuses bodies that are too long, turns foreign errors into problem documents, counts, and sets the
/// headers that every response has.
pub async fn frame_responses<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let too_long = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .is_some_and(|length| length > MAX_BODY_BYTES);
    let response = if too_long {
        let problem = Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            format!("a body has {MAX_BODY_BYTES} bytes at most"),
        );
        request.into_response(problem.error_response()).map_into_right_body()
    } else {
        let response = next.call(request).await?;
        let status = response.status();
        let foreign = (status.is_client_error() || status.is_server_error()) && !says_why(&response);
        if foreign {
            response
                .into_response(Problem::of_status(status).error_response())
                .map_into_right_body()
        } else {
            response.map_into_left_body()
        }
    };
    Ok(finished(response))
}

/// Whether the response says what is wrong in JSON already: a problem document, or the checks of `/readyz`.
fn says_why<B>(response: &ServiceResponse<B>) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value == MEDIA_TYPE || value == "application/json")
}

fn finished<B>(mut response: ServiceResponse<B>) -> ServiceResponse<B> {
    let route = response.request().match_pattern().unwrap_or_else(|| "unknown".to_owned());
    metrics::counter!("tandem_http_requests_total", "route" => route, "status" => response.status().as_u16().to_string())
        .increment(1);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
