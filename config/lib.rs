//! Skeleton of docs.
mod dial_pattern;
pub mod registry;
pub mod schema;
pub mod secret;
mod sip_uri;
mod suggestion;
pub use schema::*;
pub use secret::Secret;
