//! The ports of a leg: an even one for RTP and the one above it for RTCP (RFC 3550 section 11).
//!
//! Invariant: the upper one is ours while the leg lives, so the server's reports never reach a socket of someone else. Nothing reads
//! it: the kernel drops what exceeds its buffer.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// How often a free pair is looked for.
const TRIES: usize = 64;

/// The two sockets of a leg.
pub struct Ports {
    /// Where RTP is wanted.
    pub addr: SocketAddr,
    pub(super) rtp: UdpSocket,
    _rtcp: UdpSocket,
}

impl Ports {
    /// A free pair on this address.
    pub fn bind(ip: IpAddr) -> std::io::Result<Self> {
        let mut last = Error::from(ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            let rtp = UdpSocket::bind((ip, 0))?;
            let addr = rtp.local_addr()?;
            if addr.port() % 2 == 1 {
                continue;
            }
            match UdpSocket::bind((ip, addr.port() + 1)) {
                Ok(rtcp) => {
                    rtp.set_nonblocking(true)?;
                    return Ok(Self { addr, rtp, _rtcp: rtcp });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_above_an_even_one_is_held() {
        let ports = Ports::bind(IpAddr::from([127, 0, 0, 1])).unwrap();
        assert_eq!(ports.addr.port() % 2, 0);
        assert!(UdpSocket::bind((ports.addr.ip(), ports.addr.port() + 1)).is_err());
    }
}
