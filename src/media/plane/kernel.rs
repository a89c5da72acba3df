//! The kernel's part: readiness of many sockets, datagrams by the batch, one datagram sent. Safe functions.
//!
//! Invariant: all unsafe code of the media plane is in this file, and every pointer given to the kernel points into memory that the same
//! value owns or the same call borrows. No RTP, no counting.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use socket2::SockAddr;

/// Datagrams of one socket taken at once.
pub(super) const BATCH: usize = 16;
/// The longest datagram that is read whole. Longer ones are no audio: RTP of 120 ms of G.711 has 972 bytes.
const SLOT: usize = 1_500;
/// Ready sockets of one [`Epoll::wait`].
const READY: usize = 512;

/// A set of descriptors that are watched, edge-triggered: one notice for each arrival after the last [`Batch::receive`] emptied the socket.
pub(super) struct Epoll {
    epoll: OwnedFd,
    ready: Vec<libc::epoll_event>,
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor that comes back is ours alone.
        let epoll = unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC)) }?;
        let ready = vec![libc::epoll_event { events: 0, u64: 0 }; READY];
        Ok(Self { epoll, ready })
    }

    /// Watches for something to read; `token` comes back with it.
    pub(super) fn add(&self, watched: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            u64: token,
        };
        // SAFETY: the event is a local that the kernel copies.
        let done = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, watched.as_raw_fd(), &mut event) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Watches it no more. A descriptor that is closed leaves by itself.
    pub(super) fn remove(&self, watched: BorrowedFd<'_>) {
        // SAFETY: no event is read for this operation. It fails only where the descriptor is not watched.
        unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                watched.as_raw_fd(),
                ptr::null_mut(),
            )
        };
    }

    /// Waits so many milliseconds, and appends the tokens of what can be read. `true` where more may be ready than fitted.
    pub(super) fn wait(&mut self, timeout_ms: i32, tokens: &mut Vec<u64>) -> io::Result<bool> {
        let room = self.ready.len() as libc::c_int;
        // SAFETY: `ready` holds `room` entries.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), self.ready.as_mut_ptr(), room, timeout_ms) };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted {
                Ok(false)
            } else {
                Err(error)
            };
        };
        tokens.extend(self.ready.iter().take(count).map(|event| event.u64));
        Ok(count == self.ready.len())
    }
}

/// Wakes a thread that waits in [`Epoll::wait`].
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor that comes back is ours alone.
        unsafe { owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) }.map(Self)
    }

    pub(super) fn ring(&self) {
        let one = 1_u64;
        // SAFETY: eight bytes of a local. It fails only where the counter is full, and then the descriptor is readable already.
        unsafe { libc::write(self.0.as_raw_fd(), ptr::from_ref(&one).cast(), size_of::<u64>()) };
    }

    /// Makes it quiet again.
    pub(super) fn silence(&self) {
        let mut count = 0_u64;
        // SAFETY: eight bytes of a local. It fails only where it was quiet.
        unsafe { libc::read(self.0.as_raw_fd(), ptr::from_mut(&mut count).cast(), size_of::<u64>()) };
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Memory for the datagrams of one socket.
pub(super) struct Batch {
    headers: Vec<libc::mmsghdr>,
    buffer: Vec<u8>,
    names: Vec<libc::sockaddr_storage>,
    // What the headers point to; kept for that alone.
    _vectors: Vec<libc::iovec>,
    filled: usize,
}

// SAFETY: the raw pointers in `headers` point into the vectors beside them, which are never resized and move with the value.
unsafe impl Send for Batch {}

/// One datagram of a batch.
pub(super) struct Received<'a> {
    /// `None` where the kernel named no internet address.
    pub(super) peer: Option<SocketAddr>,
    /// Its bytes, to be changed in place.
    pub(super) bytes: &'a mut [u8],
    /// It was longer than the slot.
    pub(super) truncated: bool,
}

impl Batch {
    pub(super) fn new() -> Self {
        let mut buffer = vec![0_u8; BATCH * SLOT];
        // SAFETY: all-zero is a valid value of these plain C structures.
        let mut names = vec![unsafe { zeroed::<libc::sockaddr_storage>() }; BATCH];
        let mut vectors: Vec<_> = buffer
            .chunks_exact_mut(SLOT)
            .map(|slot| libc::iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: SLOT,
            })
            .collect();
        let headers = vectors
            .iter_mut()
            .zip(&mut names)
            .map(|(vector, name)| {
                // SAFETY: as above.
                let mut header = unsafe { zeroed::<libc::mmsghdr>() };
                header.msg_hdr.msg_name = ptr::from_mut(name).cast();
                header.msg_hdr.msg_namelen = NAME_LEN;
                header.msg_hdr.msg_iov = vector;
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        Self {
            headers,
            buffer,
            names,
            _vectors: vectors,
            filled: 0,
        }
    }

    /// Takes what is there, without waiting; how many datagrams that are. Fewer than [`BATCH`]: the socket is empty.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        for header in self.headers.iter_mut().take(self.filled) {
            header.msg_hdr.msg_namelen = NAME_LEN;
        }
        self.filled = 0;
        let slots = self.headers.len() as libc::c_uint;
        // SAFETY: `headers` holds `slots` headers, each with pointers into vectors of this value and their right lengths.
        let filled = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                slots,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        self.filled = usize::try_from(filled).map_err(|_| io::Error::last_os_error())?;
        Ok(self.filled)
    }

    /// What the last [`Self::receive`] brought.
    pub(super) fn iter(&mut self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.buffer.chunks_exact_mut(SLOT);
        let described = self.headers.iter().zip(&self.names).take(self.filled);
        described.zip(slots).map(|((header, name), slot)| {
            let length = (header.msg_len as usize).min(slot.len());
            Received {
                peer: address(name),
                bytes: slot.get_mut(..length).unwrap_or_default(),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            }
        })
    }
}

/// Sends one datagram without waiting.
pub(super) fn send(socket: BorrowedFd<'_>, to: &SockAddr, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the bytes and the address are borrowed for the call, with their right lengths; the kernel only reads them.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            to.as_ptr().cast(),
            to.len(),
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives the calling thread the lowest real-time priority, in turns with others of it (sched(7), SCHED_RR).
pub(super) fn schedule_realtime() -> io::Result<()> {
    schedule(libc::SCHED_RR, 1)
}

/// Gives the calling thread no priority.
pub(super) fn schedule_normal() -> io::Result<()> {
    schedule(libc::SCHED_OTHER, 0)
}

fn schedule(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // SAFETY: all-zero is a valid value of this plain C structure, and the calls concern the calling thread and a local that is only read.
    let error = unsafe {
        let mut parameters = zeroed::<libc::sched_param>();
        parameters.sched_priority = priority;
        libc::pthread_setschedparam(libc::pthread_self(), policy, &parameters)
    };
    if error == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(error))
    }
}

/// Gives the calling thread a larger share of the time than others have (nice(2)).
pub(super) fn be_nice(nice: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers. On Linux 0 is the calling thread, not its process.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The CPU time that the calling thread has used, in microseconds.
pub(super) fn thread_cpu_us() -> u64 {
    // SAFETY: all-zero is a valid value of this plain C structure, and the call writes only to this local.
    let time = unsafe {
        let mut time = zeroed::<libc::timespec>();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time);
        time
    };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000
}

const NAME_LEN: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

/// # Safety
/// The descriptor, where it is one, belongs to nobody else.
unsafe fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        Err(io::Error::last_os_error())
    } else {
        // SAFETY: as the caller says.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the kernel wrote a sockaddr_in, which fits and is no stricter aligned.
            let v4 = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: the same with a sockaddr_in6.
            let v6 = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn datagrams_wake_come_in_a_batch_and_are_cut_at_the_slot() {
        let (ours, theirs) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        let (mut epoll, mut tokens, mut batch) = (Epoll::new().unwrap(), Vec::new(), Batch::new());
        epoll.add(ours.as_fd(), 7).unwrap();
        let to = SockAddr::from(ours.local_addr().unwrap());
        for bytes in [&b"one"[..], &[9; 2_000]] {
            send(theirs.as_fd(), &to, bytes).unwrap();
        }
        epoll.wait(1_000, &mut tokens).unwrap();
        assert_eq!((tokens, batch.receive(ours.as_fd()).unwrap()), (vec![7], 2));
        let all: Vec<_> = batch.iter().map(|got| (got.peer, got.bytes.len(), got.truncated)).collect();
        let peer = Some(theirs.local_addr().unwrap());
        assert_eq!(all, [(peer, 3, false), (peer, SLOT, true)]);
        assert_eq!(batch.receive(ours.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut tokens = Vec::new();
        epoll.remove(ours.as_fd());
        send(theirs.as_fd(), &to, b"unseen").unwrap();
        epoll.wait(0, &mut tokens).unwrap();
        assert_eq!(tokens, Vec::<u64>::new());
    }

    #[test]
    fn a_bell_wakes_until_it_is_silenced() {
        let (bell, mut epoll, mut tokens) = (Bell::new().unwrap(), Epoll::new().unwrap(), Vec::new());
        epoll.add(bell.as_fd(), 1).unwrap();
        bell.ring();
        epoll.wait(1_000, &mut tokens).unwrap();
        bell.silence();
        epoll.wait(0, &mut tokens).unwrap();
        assert_eq!(tokens, vec![1]);
    }
}
