//! Tandem: an open CTI server with T-Library semantics, and the SIP platform under it.
//!
//! This crate is the process: it reads the configuration ([`tandem_config`]), binds the sockets, grows the actors
//! ([`tandem_actors::tree`]) and serves HTTP and the CTI WebSocket ([`api`]). What telephony is stands in the crates below; the
//! README has the map.

pub mod api;
pub mod boot;
pub mod cli;
pub mod store;
pub mod telemetry;
