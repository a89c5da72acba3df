//! Ports for the programs under test, each handed out once per process.
//!
//! They lie below the range from which the system takes ports for outgoing connections, so that nobody gets one by chance between
//! the look and the bind. Two test processes start at different places.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 10_000;
/// Ports from here on belong to the system (`net.ipv4.ip_local_port_range`).
const END: u32 = 32_000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// An even port that is free on loopback over UDP and TCP; so is the one above it, as RTP wants it.
pub fn free_port() -> u16 {
    free_range(2)
}

/// The first of `count` free ports in a row.
pub fn free_range(count: u16) -> u16 {
    let span = END - FIRST;
    for _ in 0..span {
        let offset = TAKEN.fetch_add(u32::from(count.next_multiple_of(2)), Ordering::Relaxed);
        let start = (std::process::id().wrapping_mul(2_654) % span).wrapping_add(offset) % span / 2 * 2;
        let port = (FIRST + start) as u16;
        if (port..port + count).all(is_free) {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {END}");
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
