//! The server with a runtime that is made up: what a client sees, byte by byte where it matters.

mod events;
mod fake;
mod http;
mod websocket;
