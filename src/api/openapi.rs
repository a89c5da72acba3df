//! The OpenAPI 3.1 document, generated from the handlers and their types.

use utoipa::openapi::OpenApi as Description;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{Face, admin, events, health, rest};

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
        admin::reload,
        admin::quarantine
    ),
    modifiers(&BearerKey)
)]
pub struct Document;

/// The document of what this face shows.
pub fn document(face: Face) -> Description {
    let mut document = Document::openapi();
    #[cfg(feature = "fault-injection")]
    document.merge(super::fault::FaultDocument::openapi());
    if face == Face::Connector {
        let is_there = |path: &str| !path.starts_with("/v1/") || path == "/v1/connectors" || path.starts_with("/v1/admin/");
        document.paths.paths.retain(|path, _| is_there(path));
    }
    document
}

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, document: &mut Description) {
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}
