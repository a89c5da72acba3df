//! Datagrams with the time at which the kernel got them, so that a reader that looks late measures no latency of its own.
//!
//! All unsafe code of the RTP side is in this file: every pointer given to the kernel points into memory that the same value owns.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

const SLOTS: usize = 16;
const SLOT: usize = 256;
/// Room for one time stamp and its header, in words.
const CONTROL: usize = 8;

/// Memory for the datagrams of one look.
pub struct Batch {
    headers: Vec<libc::mmsghdr>,
    buffer: Vec<u8>,
    // What the headers point to; kept for that alone.
    _vectors: Vec<libc::iovec>,
    _controls: Vec<[u64; CONTROL]>,
}

// SAFETY: the raw pointers in `headers` point into the vectors beside them, which are never resized and move with the value.
unsafe impl Send for Batch {}

/// Asks the kernel for the times of that socket's datagrams.
pub fn time(socket: &UdpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option value is a borrowed integer of the size given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            ptr::from_ref(&on).cast(),
            length,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Batch {
    /// Empty.
    pub fn new() -> Self {
        let mut buffer = vec![0_u8; SLOTS * SLOT];
        let mut controls = vec![[0_u64; CONTROL]; SLOTS];
        let mut vectors: Vec<_> = buffer
            .chunks_exact_mut(SLOT)
            .map(|slot| libc::iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: SLOT,
            })
            .collect();
        let headers = vectors
            .iter_mut()
            .zip(&mut controls)
            .map(|(vector, control)| {
                // SAFETY: all-zero is a valid value of this plain C structure.
                let mut header = unsafe { zeroed::<libc::mmsghdr>() };
                header.msg_hdr.msg_iov = vector;
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_control = control.as_mut_ptr().cast();
                header
            })
            .collect();
        Self {
            headers,
            buffer,
            _vectors: vectors,
            _controls: controls,
        }
    }

    /// Takes everything that is there, and gives each datagram with its time in nanoseconds since the epoch (0: unknown) to `take`.
    pub fn drain(&mut self, socket: &UdpSocket, mut take: impl FnMut(&[u8], u64)) {
        loop {
            for header in &mut self.headers {
                header.msg_hdr.msg_controllen = (CONTROL * 8) as _;
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
            let filled = usize::try_from(filled).unwrap_or(0);
            for (header, slot) in self.headers.iter().zip(self.buffer.chunks_exact(SLOT)).take(filled) {
                let bytes = slot.get(..header.msg_len as usize).unwrap_or(slot);
                take(bytes, time_of(&header.msg_hdr));
            }
            if filled < SLOTS {
                return;
            }
        }
    }
}

fn time_of(header: &libc::msghdr) -> u64 {
    // SAFETY: the kernel wrote `msg_controllen` bytes of well-formed control messages, the CMSG functions stay inside them, and the payload of this
    // kind is a timespec, of which any bytes are a value.
    let time = unsafe {
        let control = libc::CMSG_FIRSTHDR(header);
        let found = control
            .as_ref()
            .filter(|found| found.cmsg_level == libc::SOL_SOCKET && found.cmsg_type == libc::SCM_TIMESTAMPNS);
        found.map(|_| libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned())
    };
    time.map_or(0, |time| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
    })
}
