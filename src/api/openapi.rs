//! The OpenAPI 3.1 document, generated from the handlers and their types.

use utoipa::openapi::OpenApi as Description;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{admin, events, health, rest};

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(title = "Tandem", description = "HTTP beside the CTI protocol. The protocol itself is the WebSocket at /v1/cti."),
    paths(
        health::metrics,
        health::livez,
        health::readyz,
        health::document,
        rest::calls,
        rest::call,
        rest::dns,
        rest::dn,
        rest::connectors,
        events::events,
        admin::drain_status,
        admin::drain,
        admin::undo_drain,
        admin::reload
    ),
    modifiers(&BearerKey)
)]
pub struct Document;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, document: &mut Description) {
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}
