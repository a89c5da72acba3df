//! The transports over real sockets on the loopback interface.

mod tcp;
mod udp;
