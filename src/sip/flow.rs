//! Where a message came from and where it goes: transports, listeners, connections.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A SIP transport.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Transport {
    /// UDP (RFC 3261 s.18).
    Udp,
    /// TCP.
    Tcp,
}

impl Transport {
    /// Whether the transport delivers by itself, so that nothing is retransmitted over it.
    pub fn is_reliable(self) -> bool {
        matches!(self, Self::Tcp)
    }

    /// The token of the Via header (`UDP`).
    pub fn via_token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }

    /// The value of the `transport` URI parameter (`udp`).
    pub fn uri_token(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri_token())
    }
}

/// One of our listening sockets, by its position in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ListenerId(pub u16);

/// One stream connection, numbered by the transport layer, never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnectionId(pub u64);

/// A path to a peer: the socket of ours, the peer's address, and for streams the connection.
///
/// Where it is kept the connection is left out: no connection outlives its process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// Our socket (for a connection: the listener it belongs to, whose address stands in Via and Contact).
    pub listener: ListenerId,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The connection; `None` for UDP, and for a stream that the transport layer has yet to open (or find open) to `peer`.
    #[serde(skip)]
    pub connection: Option<ConnectionId>,
}

/// One address to try (RFC 3263): what a name, or an address in a URI, resolves to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Hop {
    /// The transport.
    pub transport: Transport,
    /// The address.
    pub addr: SocketAddr,
}
