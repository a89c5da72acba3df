//! Real programs against the built binary: SIPp, baresip, Prometheus.

mod baresip;
mod control;
mod prometheus;
mod sessions;
mod sipp;
mod transfers;
