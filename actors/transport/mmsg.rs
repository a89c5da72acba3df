//! Datagrams by the batch: `recvmmsg`, `sendmmsg` and the error queue of a UDP socket, as safe functions.
//!
//! Invariant: all unsafe code of the transports is in this file, and every pointer given to the kernel points into memory that the same
//! value owns or the same call borrows. No threads, no counting, no SIP.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use smallvec::SmallVec;
use socket2::SockAddr;

/// Bytes for the control messages of one datagram: the drop counter needs 24.
const CONTROL_LEN: usize = 64;

/// The most datagrams given to one `sendmmsg`.
pub(super) const MAX_SEND: usize = 64;

/// Memory for one `recvmmsg`: slots of equal size. The pages of a slot that no datagram reached are never touched, so slots for the
/// largest datagrams cost address space only.
pub(super) struct ReceiveBatch {
    headers: Vec<libc::mmsghdr>,
    buffer: Vec<u8>,
    slot_len: usize,
    names: Vec<libc::sockaddr_storage>,
    // What the headers point to; kept for that alone.
    _vectors: Vec<libc::iovec>,
    _controls: Vec<[u64; CONTROL_LEN / 8]>,
    filled: usize,
}

// SAFETY: the raw pointers in `headers` point into the vectors beside them, which are never resized and move with the value.
unsafe impl Send for ReceiveBatch {}

/// One datagram of a batch.
pub(super) struct Received<'a> {
    /// `None` where the kernel named no internet address.
    pub(super) peer: Option<SocketAddr>,
    pub(super) bytes: &'a [u8],
    /// It was longer than the slot.
    pub(super) truncated: bool,
    /// How many the kernel has dropped at this socket so far for want of buffer, where it says so.
    pub(super) kernel_drops: Option<u32>,
}

impl ReceiveBatch {
    pub(super) fn new(slots: usize, slot_len: usize) -> Self {
        let mut buffer = vec![0_u8; slots * slot_len];
        // SAFETY: all-zero is a valid value of these plain C structures.
        let mut names = vec![unsafe { zeroed::<libc::sockaddr_storage>() }; slots];
        let mut controls = vec![[0_u64; CONTROL_LEN / 8]; slots];
        let mut vectors: Vec<_> = buffer
            .chunks_exact_mut(slot_len)
            .map(|slot| libc::iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: slot_len,
            })
            .collect();
        let headers = vectors
            .iter_mut()
            .zip(&mut names)
            .zip(&mut controls)
            .map(|((vector, name), control)| {
                // SAFETY: as above.
                let mut header = unsafe { zeroed::<libc::mmsghdr>() };
                header.msg_hdr.msg_name = ptr::from_mut(name).cast();
                header.msg_hdr.msg_iov = vector;
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_control = control.as_mut_ptr().cast();
                header
            })
            .collect();
        Self {
            headers,
            buffer,
            slot_len,
            names,
            _vectors: vectors,
            _controls: controls,
            filled: 0,
        }
    }

    /// Receives what is there, without waiting: `WouldBlock` where nothing is.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.filled = 0;
        for header in &mut self.headers {
            header.msg_hdr.msg_namelen = socklen(size_of::<libc::sockaddr_storage>());
            header.msg_hdr.msg_controllen = CONTROL_LEN as _;
        }
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
    pub(super) fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.buffer.chunks_exact(self.slot_len);
        self.headers
            .iter()
            .zip(&self.names)
            .zip(slots)
            .take(self.filled)
            .map(|((header, name), slot)| Received {
                peer: address(name),
                bytes: slot.get(..header.msg_len as usize).unwrap_or(slot),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                kernel_drops: find_control(&header.msg_hdr, libc::SOL_SOCKET, libc::SO_RXQ_OVFL),
            })
    }
}

/// Gives at most [`MAX_SEND`] datagrams to the kernel without waiting; says how many it took. An error is that of the first.
pub(super) fn send<B: AsRef<[u8]>>(socket: BorrowedFd<'_>, datagrams: &[(SocketAddr, B)]) -> io::Result<usize> {
    let datagrams = datagrams.get(..MAX_SEND).unwrap_or(datagrams);
    let names: SmallVec<[SockAddr; 4]> = datagrams.iter().map(|(peer, _)| SockAddr::from(*peer)).collect();
    let mut vectors: SmallVec<[libc::iovec; 4]> = datagrams
        .iter()
        .map(|(_, bytes)| libc::iovec {
            iov_base: bytes.as_ref().as_ptr().cast_mut().cast(),
            iov_len: bytes.as_ref().len(),
        })
        .collect();
    let mut headers: SmallVec<[libc::mmsghdr; 4]> = vectors
        .iter_mut()
        .zip(&names)
        .map(|(vector, name)| {
            // SAFETY: all-zero is a valid value of this plain C structure.
            let mut header = unsafe { zeroed::<libc::mmsghdr>() };
            header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = name.len();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header
        })
        .collect();
    let count = headers.len() as libc::c_uint;
    // SAFETY: `count` headers that point to `names`, `vectors` and the borrowed bytes, which the kernel only reads.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Takes one entry from the socket's error queue: the address a datagram of ours did not reach, and why (an ICMP message said so).
pub(super) fn take_error(socket: BorrowedFd<'_>) -> Option<(Option<SocketAddr>, io::Error)> {
    // SAFETY: all-zero is a valid value of these plain C structures.
    let (mut name, mut header) = unsafe { (zeroed::<libc::sockaddr_storage>(), zeroed::<libc::msghdr>()) };
    let mut control = [0_u64; 64];
    header.msg_name = ptr::from_mut(&mut name).cast();
    header.msg_namelen = socklen(size_of::<libc::sockaddr_storage>());
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the header points to locals that outlive the call; no iovec is given, so no payload is written.
    let taken = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) };
    if taken < 0 {
        return None;
    }
    let error = find_control::<libc::sock_extended_err>(&header, libc::IPPROTO_IP, libc::IP_RECVERR)
        .or_else(|| find_control(&header, libc::IPPROTO_IPV6, libc::IPV6_RECVERR))?;
    let code = i32::try_from(error.ee_errno).unwrap_or(libc::EIO);
    Some((address(&name), io::Error::from_raw_os_error(code)))
}

/// Sets an integer option.
pub(super) fn set_option(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option value is a borrowed integer of the size given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            socklen(size_of::<libc::c_int>()),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What [`wait`] woke for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Ready {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The error queue holds something.
    pub(super) error: bool,
    pub(super) stop: bool,
}

/// Waits until the socket can be read (or written), something stands in its error queue, or `stop` is signalled. `Ready::default()`
/// after the timeout or a signal.
pub(super) fn wait(
    socket: BorrowedFd<'_>,
    write: bool,
    stop: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    let events = if write { libc::POLLOUT } else { libc::POLLIN };
    let entry = |fd, events| libc::pollfd { fd, events, revents: 0 };
    // A negative descriptor is skipped by poll(2).
    let mut fds = [
        entry(socket.as_raw_fd(), events),
        entry(stop.map_or(-1, |fd| fd.as_raw_fd()), libc::POLLIN),
    ];
    let timeout_ms = timeout.map_or(-1, |t| i32::try_from(t.as_millis()).unwrap_or(i32::MAX));
    // SAFETY: two entries in a local array.
    let count = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) };
    if count < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted {
            Ok(Ready::default())
        } else {
            Err(error)
        };
    }
    let [socket, stop] = fds;
    Ok(Ready {
        readable: socket.revents & libc::POLLIN != 0,
        writable: socket.revents & libc::POLLOUT != 0,
        error: socket.revents & libc::POLLERR != 0,
        stop: stop.revents != 0,
    })
}

/// A descriptor that becomes readable with [`signal`].
pub(super) fn stop_signal() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor that comes back is ours alone.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        if fd < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}

/// Makes the descriptor of [`stop_signal`] readable for good.
pub(super) fn signal(stop: BorrowedFd<'_>) {
    let one = 1_u64;
    // SAFETY: eight bytes of a local. It fails only where the counter is full, and then the descriptor is readable already.
    unsafe { libc::write(stop.as_raw_fd(), ptr::from_ref(&one).cast(), size_of::<u64>()) };
}

fn socklen(len: usize) -> libc::socklen_t {
    len as libc::socklen_t
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
            Some(SocketAddr::V6(SocketAddrV6::new(
                ip,
                u16::from_be(v6.sin6_port),
                0,
                v6.sin6_scope_id,
            )))
        }
        _ => None,
    }
}

/// The payload of the first control message of that kind, read as a plain C value.
fn find_control<T: Copy + PlainC>(header: &libc::msghdr, level: libc::c_int, kind: libc::c_int) -> Option<T> {
    if header.msg_controllen == 0 {
        return None;
    }
    // SAFETY: the kernel wrote `msg_controllen` bytes of well-formed control messages, and the CMSG functions stay inside them.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while let Some(found) = control.as_ref() {
            let whole = found.cmsg_len >= libc::CMSG_LEN(size_of::<T>() as _) as _;
            if found.cmsg_level == level && found.cmsg_type == kind && whole {
                return Some(libc::CMSG_DATA(control).cast::<T>().read_unaligned());
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    None
}

/// Types of which any bytes are a value.
trait PlainC {}
impl PlainC for u32 {}
impl PlainC for libc::sock_extended_err {}
