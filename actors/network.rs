//! What the actors need of a network: somewhere to send messages. Sockets implement it, and so does the simulated network.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tandem_sip::flow::{Flow, Hop};

/// Sends SIP messages. Never blocks for long, never calls back into an actor from inside `send`.
pub trait Network: Send + Sync + 'static {
    /// Sends each message on its flow and empties the batch. Returns the flows that are known at once to be dead.
    fn send(&self, batch: &mut Vec<(Flow, Bytes)>) -> Vec<Flow>;

    /// Closes a stream whose peer broke the protocol.
    fn close(&self, flow: &Flow);
}

/// Resolves a SIP URI to addresses (RFC 3263), best first. An empty list: it cannot be reached.
pub type Resolve = Arc<dyn Fn(Arc<str>) -> BoxFuture<'static, Vec<Hop>> + Send + Sync>;
