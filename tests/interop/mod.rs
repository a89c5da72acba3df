//! Real programs against the built binary: SIPp, baresip, Prometheus.

mod baresip;
mod prometheus;
mod sipp;
