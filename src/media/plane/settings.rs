//! How a plane is set up, and how one port of it is.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::latch::SymmetricRtp;
use super::music::Music;
use super::priority::Priority;
use crate::tone::Locale;

/// Settings of a whole plane.
#[derive(Clone, Debug)]
pub struct PlaneSettings {
    /// Pump threads; 0: one for each core.
    pub threads: usize,
    /// How the pump threads stand to the rest of the machine.
    pub priority: Priority,
    /// The address that ports are bound to.
    pub bind: IpAddr,
    /// The address that devices are told, where it is another one.
    pub advertised: Option<IpAddr>,
    /// UDP ports: RTP on the even ones, RTCP on the odd ones.
    pub ports: RangeInclusive<u16>,
    /// How far the source of packets may differ from what was signalled.
    pub symmetric: SymmetricRtp,
    /// How long after it was signalled another source may be learned ([`SymmetricRtp::LearnOnce`]).
    pub learn_within: Duration,
    /// A device that is to send and sends nothing for so long is stalled; zero: none is.
    pub stall_after: Duration,
    /// A port that had nothing to send for so long sends one packet of silence, so that NATs on the way stay open.
    pub keep_open_every: Duration,
    /// Between two RTCP reports of a port, half as much more or less at random (RFC 3550 s.6.2: at least 5 s).
    pub rtcp_every: Duration,
    /// How long a thread that is busy lets packets gather before it looks again. It saves wake-ups, and is the latency added.
    pub pace: Duration,
    /// The kernel's receive buffer of each RTP port, in bytes. The default of Linux, 208 KiB, holds more than five seconds of one device.
    pub receive_buffer: Option<usize>,
    /// The differentiated services code point of RTP: 46 is expedited forwarding (RFC 3246).
    pub dscp: Option<u8>,
    /// Whose tones are played.
    pub locale: Locale,
    /// Music on hold, in the beginning.
    pub music: Music,
    /// Where prompts are.
    pub prompts: Option<PathBuf>,
    /// The file where it stands where every stream is, for the plane that starts after this process was killed.
    pub marks: Option<PathBuf>,
    /// The canonical name in RTCP (RFC 3550 s.6.5.1).
    pub cname: Arc<str>,
}

impl Default for PlaneSettings {
    /// One thread per core on loopback, ports 20000 to 39999, learn once within 30 s, stalled after 30 s, 5 s for the rest, a pace of 1 ms.
    fn default() -> Self {
        Self {
            threads: 0,
            priority: Priority::default(),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertised: None,
            ports: 20_000..=39_999,
            symmetric: SymmetricRtp::default(),
            learn_within: Duration::from_secs(30),
            stall_after: Duration::from_secs(30),
            keep_open_every: Duration::from_secs(5),
            rtcp_every: Duration::from_secs(5),
            pace: Duration::from_millis(1),
            receive_buffer: None,
            dscp: None,
            locale: Locale::default(),
            music: Music::default(),
            prompts: None,
            marks: None,
            cname: Arc::from("tandem"),
        }
    }
}
