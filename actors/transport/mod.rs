//! The sockets: datagrams and streams in, bytes out, names to addresses.
//!
//! * [`udp`]: a thread per listener, datagrams by the batch.
//! * [`tcp`]: a task per connection on the runtime of whoever binds it.
//! * [`resolver`]: RFC 3263.
//! * [`Outbound`]: all ways out behind one `send`.
//!
//! Invariant: nothing here knows what a message means; framing and keep-alives are all the SIP there is. Which shard a message goes to
//! is decided in the sinks, which the caller passes in. Not here: TLS, WebSocket.

mod counters;
mod keepalive;
mod mmsg;
pub mod resolver;
pub mod tcp;
pub mod udp;

#[cfg(test)]
mod tests;

use std::io;

use bytes::Bytes;

use tandem_sip::flow::{ConnectionId, Flow, ListenerId, Transport};

pub use resolver::{ResolveError, Resolver, ResolverConfig};
pub use tcp::{CloseReason, StreamEvent, StreamSink, TcpConfig, TcpSender, TcpTransport};
pub use udp::{Datagram, DatagramSink, SendFailure, UdpConfig, UdpSender, UdpTransport};

/// Why a message did not go out.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The flow names a listener that is not there.
    #[error("no such listener")]
    NoListener,
    /// The kernel did not take a datagram.
    #[error("datagram not sent: {0}")]
    Datagram(#[from] io::Error),
    /// A stream did not take it.
    #[error(transparent)]
    Stream(#[from] tcp::SendError),
}

/// All ways out, by listener. Cheap to clone, for any thread.
#[derive(Clone, Default, Debug)]
pub struct Outbound {
    udp: Vec<(ListenerId, UdpSender)>,
    tcp: Vec<(ListenerId, TcpSender)>,
}

impl Outbound {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a UDP listener.
    pub fn with_udp(mut self, listener: ListenerId, sender: UdpSender) -> Self {
        self.udp.push((listener, sender));
        self
    }

    /// With a TCP listener.
    pub fn with_tcp(mut self, listener: ListenerId, sender: TcpSender) -> Self {
        self.tcp.push((listener, sender));
        self
    }

    /// Sends one message along a flow; gives back the connection it went to. A stream that fails later says so in its sink.
    pub fn send(&self, flow: &Flow, bytes: Bytes) -> Result<Option<ConnectionId>, SendError> {
        match flow.transport {
            Transport::Udp => {
                let sender = find(&self.udp, flow.listener).ok_or(SendError::NoListener)?;
                sender.send(flow.peer, &bytes)?;
                Ok(None)
            }
            Transport::Tcp => {
                let sender = find(&self.tcp, flow.listener).ok_or(SendError::NoListener)?;
                Ok(Some(sender.send(flow, bytes)?))
            }
        }
    }
}

fn find<T>(senders: &[(ListenerId, T)], listener: ListenerId) -> Option<&T> {
    senders.iter().find(|(id, _)| *id == listener).map(|(_, sender)| sender)
}
