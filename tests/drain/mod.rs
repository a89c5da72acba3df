//! Going down without a caller noticing: the whole server, one connector of several, in one process or in its own, and what operators and
//! systemd see of it.

mod connector;
mod processes;
mod reload;
mod server;
mod split;
mod systemd;

use serde_json::Value;

use crate::rig::http;
use crate::rig::phone::{Phone, Talk};
use crate::rig::server::{API_KEY, Server};

/// Asks the server's administration; the status, and the answer.
async fn admin(server: &Server, method: &str, path: &str, body: &str) -> (u16, Value) {
    let response = http::send(server.http, method, path, Some(API_KEY), body)
        .await
        .expect("an answer");
    (response.status, serde_json::from_str(&response.body).expect("JSON"))
}

/// One calls the other, and they talk.
async fn talk(caller: &Phone, callee: &Phone, number: &str) -> (Talk, Talk) {
    let attempt = caller.dial(number).await;
    let invite = callee.rings().await;
    let at_callee = callee.picks_up(&invite).await;
    (caller.answered(attempt).await, at_callee)
}
