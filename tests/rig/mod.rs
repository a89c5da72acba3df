//! The rig: the server under test, the clients and peers around it, and how to wait for what they do.

pub mod baresip;
pub mod cti;
pub mod disk;
pub mod handset;
pub mod hearing;
pub mod http;
pub mod metrics;
pub mod phone;
pub mod ports;
pub mod probe;
pub mod program;
pub mod prometheus;
pub mod server;
pub mod sip;
pub mod sipp;
pub mod voice;
pub mod wait;
pub mod wav;
