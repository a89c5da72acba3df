//! The sockets: datagrams and streams in, bytes out, names to addresses.
//!
//! * [`udp`]: a thread per listener, datagrams by the batch.
//! * [`tcp`]: a task per connection on the runtime of whoever binds it.
//! * [`resolver`]: RFC 3263.
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

pub use resolver::{ResolveError, Resolver, ResolverConfig};
pub use tcp::{CloseReason, SendError, StreamEvent, StreamSink, TcpConfig, TcpSender, TcpTransport};
pub use udp::{Datagram, DatagramSink, SendFailure, UdpConfig, UdpSender, UdpTransport};
