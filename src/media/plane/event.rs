//! What goes in and comes out of a plane, beside packets: ports, what they hear, and what is told of them.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::stream::StreamMark;
use crate::tone::ToneKind;

/// Names a port; never used twice in a plane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PortId(pub u64);

/// A port that was opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Port {
    /// Its name.
    pub id: PortId,
    /// Where devices send their RTP: the advertised address. RTCP is at the next port.
    pub local: SocketAddr,
    /// Where its stream begins.
    pub stream: StreamMark,
}

/// What another process has to know of a port to open it again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PortRestore {
    /// Where devices send their RTP, as they were told.
    pub local: SocketAddr,
    /// A place that its stream had. The plane may know a later one.
    pub stream: StreamMark,
}

/// Why no port was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Every port of the range is in use.
    #[error("no port of the range is free")]
    NoPort,
    /// The port that was to be opened again is not of this plane's address and range.
    #[error("{local} is not of this media plane")]
    Elsewhere {
        /// Where it was.
        local: SocketAddr,
    },
    /// The port that was to be opened again is somebody else's by now.
    #[error("{local} is taken")]
    Taken {
        /// Where it is.
        local: SocketAddr,
    },
    /// The thread that would serve it has more to do than it can.
    #[error("the media thread is overloaded")]
    Busy,
    /// The plane was stopped, or its thread has crashed too often.
    #[error("the media plane is stopped")]
    Stopped,
    /// The system refused a socket.
    #[error("no socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// Something that a port may hear.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// What the device of that port sends. Only ports of the same session are heard.
    Port(PortId),
    /// The music of this name, or the default one; from its start.
    Music(Option<Arc<str>>),
    /// A tone of the plane's locale.
    Tone(ToneKind),
    /// A prompt.
    File {
        /// Its name.
        name: Arc<str>,
        /// Whether it starts over at its end.
        repeat: bool,
    },
}

/// Something that happened at a port.
#[derive(Clone, Debug)]
pub struct PlaneEvent {
    /// Whom [`super::Plane::open`] named as its owner.
    pub owner: u64,
    /// The port.
    pub port: PortId,
    /// What happened.
    pub kind: PlaneEventKind,
}

/// What may happen at a port.
#[derive(Clone, PartialEq, Debug)]
pub enum PlaneEventKind {
    /// The first packet of the device came, or the first after [`PlaneEventKind::Stalled`].
    Flowing,
    /// The device is to send, and nothing came for a while.
    Stalled,
    /// The device pressed a key: by RFC 4733, or in-band where that was not negotiated.
    Digit(char),
    /// The device is the one that speaks now, of three or more whose voices are mixed in the session. Told when it becomes another one, and
    /// once a second at most.
    Speaks,
    /// A file that the port heard, and does not repeat, has ended, or cannot be had.
    FileEnded,
    /// Every digit that was queued has been sent.
    DigitsSent,
    /// The port is closed, as asked.
    Closed(Box<PortReport>),
    /// The port is gone though nobody closed it: serving it crashed its thread.
    Lost,
}

/// What is left of a port.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct PortReport {
    /// Packets taken from the device.
    pub packets_in: u64,
    /// Their payload, in bytes.
    pub octets_in: u64,
    /// Packets sent to the device.
    pub packets_out: u64,
    /// Their payload, in bytes.
    pub octets_out: u64,
    /// Packets of the device that never came (RFC 3550 A.3).
    pub lost_in: u64,
    /// Interarrival jitter at the end, in milliseconds (RFC 3550 s.6.4.1).
    pub jitter_ms: f64,
    /// Packets of ours that never reached the device, as its last RTCP report says.
    pub lost_out: Option<u64>,
    /// The last round trip, in milliseconds, where the device sends RTCP.
    pub round_trip_ms: Option<f64>,
    /// The mean opinion score that loss and delay let expect (ITU-T G.107), 1 to 4.5; none where nothing came.
    pub mos: Option<f64>,
}
