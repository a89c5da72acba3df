//! Where ports come from: pairs of an even RTP and the next odd RTCP port of a range (RFC 3550 s.11).
//!
//! Invariant: a pair is in one [`Lease`] at a time. Pairs are drawn at random, so that a stranger does not know the next one and the late
//! packets of a call that is over seldom meet a new one. A range that is used up is an error, not a wait.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How many pairs that somebody else has bound are tried before it counts as none free.
const FOREIGN: usize = 64;

/// The range, shared by everyone who opens and closes ports.
#[derive(Debug)]
pub(super) struct Pairs {
    ip: IpAddr,
    first: u16,
    count: u16,
    drawn: Mutex<Drawn>,
}

#[derive(Debug)]
struct Drawn {
    used: HashSet<u16>,
    /// Not given to anybody, unless nothing else is left: somebody may come for them.
    reserved: HashSet<u16>,
    random: StdRng,
}

/// Two bound sockets. Given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    /// Nobody else's numbers, for a stream's first ones.
    pub(super) random: [u32; 3],
    port: u16,
    pairs: Arc<Pairs>,
}

impl Pairs {
    pub(super) fn new(ip: IpAddr, range: &RangeInclusive<u16>) -> Self {
        let first = range.start().checked_add(range.start() % 2).unwrap_or(u16::MAX);
        let count = if first < *range.end() {
            (range.end() - first).div_ceil(2)
        } else {
            0
        };
        let drawn = Mutex::new(Drawn {
            used: HashSet::new(),
            reserved: HashSet::new(),
            random: StdRng::from_os_rng(),
        });
        Self { ip, first, count, drawn }
    }

    /// Binds a pair. `AddrNotAvailable` where none is free.
    pub(super) fn lease(self: &Arc<Self>, receive_buffer: Option<usize>) -> io::Result<Lease> {
        let none = || io::Error::new(io::ErrorKind::AddrNotAvailable, "no port of the range is free");
        if self.count == 0 {
            return Err(none());
        }
        let (start, random) = {
            let mut drawn = self.drawn();
            (drawn.random.random_range(0..self.count), drawn.random.random())
        };
        let mut foreign = 0;
        let steps = (0..self.count).map(|step| (step, false));
        for (step, reserved_too) in steps.chain((0..self.count).map(|step| (step, true))) {
            let index = ((u32::from(start) + u32::from(step)) % u32::from(self.count)) as u16;
            let port = self.first + 2 * index;
            if !self.drawn().draw(port, reserved_too) {
                continue;
            }
            match self.bind(port, receive_buffer) {
                Ok((rtp, rtcp)) => {
                    let pairs = self.clone();
                    return Ok(Lease {
                        rtp,
                        rtcp,
                        random,
                        port,
                        pairs,
                    });
                }
                Err(error) => {
                    self.drawn().used.remove(&port);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        return Err(error);
                    }
                    foreign += 1;
                    if foreign == FOREIGN {
                        break;
                    }
                }
            }
        }
        Err(none())
    }

    /// Binds this pair and no other. `AddrNotAvailable` where it is not of the range, `AddrInUse` where somebody has it.
    pub(super) fn lease_again(self: &Arc<Self>, port: u16, receive_buffer: Option<usize>) -> io::Result<Lease> {
        if self.index_of(port).is_none() {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "the port is not of the range",
            ));
        }
        let random = {
            let mut drawn = self.drawn();
            if !drawn.draw(port, true) {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "the port is leased"));
            }
            drawn.random.random()
        };
        let pairs = self.clone();
        match self.bind(port, receive_buffer) {
            Ok((rtp, rtcp)) => Ok(Lease {
                rtp,
                rtcp,
                random,
                port,
                pairs,
            }),
            Err(error) => {
                self.drawn().used.remove(&port);
                Err(error)
            }
        }
    }

    /// These ports, and no others any more, are kept for who comes with [`Self::lease_again`].
    pub(super) fn reserve(&self, ports: impl IntoIterator<Item = u16>) {
        self.drawn().reserved = ports.into_iter().collect();
    }

    /// Pairs of the range.
    pub(super) fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Which pair of the range has this port for its RTP.
    pub(super) fn index_of(&self, port: u16) -> Option<usize> {
        let above = port.checked_sub(self.first).filter(|above| above % 2 == 0)?;
        Some(usize::from(above / 2)).filter(|index| *index < self.len())
    }

    /// Pairs leased.
    pub(super) fn in_use(&self) -> usize {
        self.drawn().used.len()
    }

    fn bind(&self, port: u16, receive_buffer: Option<usize>) -> io::Result<(UdpSocket, UdpSocket)> {
        let bound = |port| -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind(SocketAddr::new(self.ip, port))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let (rtp, rtcp) = (bound(port)?, bound(port + 1)?);
        if let Some(bytes) = receive_buffer {
            // The kernel cuts it at its limit, which is no reason to have no call.
            let _ = socket2::SockRef::from(&rtp).set_recv_buffer_size(bytes);
        }
        Ok((rtp, rtcp))
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drawn {
    fn draw(&mut self, port: u16, reserved_too: bool) -> bool {
        if !reserved_too && self.reserved.contains(&port) || !self.used.insert(port) {
            return false;
        }
        self.reserved.remove(&port);
        true
    }
}

impl Lease {
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The sockets close a moment later; who draws this very pair until then takes the next.
        self.pairs.drawn().used.remove(&self.port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_pairs_and_no_more() {
        let pairs = |range| Pairs::new(IpAddr::from([127, 0, 0, 1]), &range);
        assert_eq!(
            [
                pairs(10..=13).count,
                pairs(11..=13).count,
                pairs(10..=10).count,
                pairs(9..=10).count
            ],
            [2, 1, 0, 0]
        );
        assert_eq!((pairs(11..=13).first, pairs(65_535..=65_535).count), (12, 0));
        #[allow(clippy::reversed_empty_ranges, reason = "somebody may configure it")]
        let reversed = pairs(20..=10).count;
        assert_eq!(reversed, 0);
    }

    #[test]
    fn what_is_given_back_can_be_had_again_and_what_others_hold_cannot() {
        let pairs = Arc::new(Pairs::new(IpAddr::from([127, 0, 7, 1]), &(41_000..=41_003)));
        let foreign = UdpSocket::bind("127.0.7.1:41003").unwrap();
        let lease = pairs.lease(None).unwrap();
        assert_eq!((lease.port(), pairs.in_use()), (41_000, 1));
        assert_eq!(pairs.lease(None).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
        drop(foreign);
        let second = pairs.lease(None).unwrap();
        drop(lease);
        assert_eq!(pairs.lease(Some(65_536)).unwrap().port(), 41_000);
        drop(second);
        assert_eq!(pairs.in_use(), 0);
    }

    #[test]
    fn the_port_that_is_asked_for_is_had_or_nothing() {
        let pairs = Arc::new(Pairs::new(IpAddr::from([127, 0, 7, 2]), &(41_000..=41_003)));
        for wrong in [40_998, 41_001, 41_004] {
            assert_eq!(
                pairs.lease_again(wrong, None).unwrap_err().kind(),
                io::ErrorKind::AddrNotAvailable
            );
        }
        let lease = pairs.lease_again(41_002, None).unwrap();
        assert_eq!(lease.port(), 41_002);
        assert_eq!(pairs.lease_again(41_002, None).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let _foreign = UdpSocket::bind("127.0.7.2:41000").unwrap();
        assert_eq!(pairs.lease_again(41_000, None).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(lease);
        assert!(pairs.lease_again(41_002, None).is_ok());
    }

    #[test]
    fn reserved_ports_are_drawn_last() {
        let pairs = Arc::new(Pairs::new(IpAddr::from([127, 0, 7, 3]), &(41_000..=41_007)));
        pairs.reserve([41_000, 41_002, 41_004]);
        let first = pairs.lease(None).unwrap();
        assert_eq!(first.port(), 41_006);
        let asked = pairs.lease_again(41_002, None).unwrap();
        let rest = [pairs.lease(None).unwrap().port(), asked.port()];
        assert_ne!(rest[0], 41_002);
        pairs.reserve([]);
        drop(first);
        assert!(pairs.lease(None).is_ok());
    }
}
