//! The metrics of the transports, as handles that are looked up once.
//!
//! `tandem_sip_datagrams_total{direction}`, `tandem_sip_datagrams_dropped_total{reason}`, `tandem_sip_unreachable_total`,
//! `tandem_sip_connections_active{transport}`, `tandem_sip_connections_closed_total{reason}`. No address is ever a label. They are
//! counters of the process: all listeners add to the same. A recorder must be installed before a transport is bound.

use metrics::{Counter, Gauge, counter, gauge};

use super::tcp::CloseReason;

pub(super) struct UdpCounters {
    pub(super) received: Counter,
    pub(super) sent: Counter,
    /// Longer than [`super::udp::UdpConfig::max_datagram`].
    pub(super) truncated: Counter,
    /// The kernel's receive buffer was full.
    pub(super) receive_buffer: Counter,
    /// The kernel's send buffer stayed full.
    pub(super) send_buffer: Counter,
    /// Any other error of a send.
    pub(super) send_failed: Counter,
    /// The sink panicked over them.
    pub(super) sink_panic: Counter,
    /// ICMP errors.
    pub(super) unreachable: Counter,
}

impl UdpCounters {
    pub(super) fn new() -> Self {
        let dropped = |reason: &'static str| counter!("tandem_sip_datagrams_dropped_total", "reason" => reason);
        Self {
            received: counter!("tandem_sip_datagrams_total", "direction" => "in"),
            sent: counter!("tandem_sip_datagrams_total", "direction" => "out"),
            truncated: dropped("truncated"),
            receive_buffer: dropped("receive_buffer"),
            send_buffer: dropped("send_buffer"),
            send_failed: dropped("send_failed"),
            sink_panic: dropped("sink_panic"),
            unreachable: counter!("tandem_sip_unreachable_total"),
        }
    }
}

impl std::fmt::Debug for UdpCounters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UdpCounters")
    }
}

pub(super) struct StreamCounters {
    active: Gauge,
    closed: [Counter; CloseReason::ALL.len()],
    /// Out of descriptors, as a rule.
    pub(super) accept_failed: Counter,
}

impl StreamCounters {
    pub(super) fn new(transport: &'static str) -> Self {
        Self {
            active: gauge!("tandem_sip_connections_active", "transport" => transport),
            closed: CloseReason::ALL.map(|reason| counter!("tandem_sip_connections_closed_total", "reason" => reason.label())),
            accept_failed: counter!("tandem_sip_accept_failures_total"),
        }
    }

    pub(super) fn opened(&self) {
        self.active.increment(1.0);
    }

    pub(super) fn closed(&self, reason: CloseReason) {
        self.active.decrement(1.0);
        self.refused(reason);
    }

    /// A connection that never counted as active.
    pub(super) fn refused(&self, reason: CloseReason) {
        let handle = CloseReason::ALL.iter().zip(&self.closed).find(|(r, _)| **r == reason);
        if let Some((_, counter)) = handle {
            counter.increment(1);
        }
    }
}
