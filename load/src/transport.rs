//! The sockets that phones share: UDP sockets, or TCP connections to the server.
//!
//! Many phones use one link; which phone a message is for is in the message. Invariant: nothing waits here. A datagram that
//! the kernel does not take is lost and counted (the phone's timer sends it again); a TCP queue that is full drops and counts.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// Kernel buffers; the default of 208 KB loses packets at 1,000 calls/s.
const BUFFER_BYTES: usize = 4 << 20;
/// Messages that wait for a TCP connection.
const TCP_QUEUE: usize = 16_384;
/// More than this is no SIP message.
const MESSAGE_BYTES: usize = 65_536;

/// What a link delivers: a message with its source, or the end of a connection with its reason.
pub enum Delivery<'a> {
    /// One message.
    Message(&'a [u8], SocketAddr),
    /// The connection is gone.
    Closed(String),
}

/// One socket or connection.
pub struct Link {
    /// Our address, as the server can reach it.
    pub local: SocketAddr,
    /// Messages that could not be sent.
    pub dropped: Cell<u64>,
    carrier: Carrier,
}

enum Carrier {
    /// The same socket as the receiving task's, without its readiness: sending never waits.
    Udp(std::net::UdpSocket),
    Tcp(mpsc::Sender<Vec<u8>>),
}

impl Link {
    /// A UDP socket on `local` (port 0: any).
    pub fn udp(local: SocketAddr, deliver: impl Fn(Delivery<'_>) + 'static) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        // Smaller buffers are granted silently where the system's limit is lower.
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        socket.bind(&local.into())?;
        let socket: std::net::UdpSocket = socket.into();
        let (sender, local) = (socket.try_clone()?, socket.local_addr()?);
        tokio::task::spawn_local(receive_udp(UdpSocket::from_std(socket)?, deliver));
        Ok(Self::new(local, Carrier::Udp(sender)))
    }

    /// A TCP connection from `local` to the server.
    pub async fn tcp(local: SocketAddr, server: SocketAddr, deliver: impl Fn(Delivery<'_>) + 'static) -> io::Result<Self> {
        let socket = match server {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
        };
        socket.bind(local)?;
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let (from, to) = stream.into_split();
        let (queue, queued) = mpsc::channel(TCP_QUEUE);
        tokio::task::spawn_local(receive_tcp(from, server, deliver));
        tokio::task::spawn_local(send_tcp(to, queued));
        Ok(Self::new(local, Carrier::Tcp(queue)))
    }

    /// Goes on over another connection, which came from another port: who is here keeps the address that it gave.
    pub fn go_on_over(&mut self, other: Self) {
        self.carrier = other.carrier;
    }

    fn new(local: SocketAddr, carrier: Carrier) -> Self {
        let dropped = Cell::new(0);
        Self { local, dropped, carrier }
    }

    /// A link whose messages a test reads.
    #[cfg(test)]
    pub fn for_test(local: SocketAddr) -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (queue, queued) = mpsc::channel(1_000);
        (Self::new(local, Carrier::Tcp(queue)), queued)
    }

    /// Sends one message; a connection has one destination whatever `to` says.
    pub fn send(&self, bytes: Vec<u8>, to: SocketAddr) {
        let sent = match &self.carrier {
            Carrier::Udp(socket) => socket.send_to(&bytes, to).is_ok(),
            Carrier::Tcp(queue) => queue.try_send(bytes).is_ok(),
        };
        self.dropped.set(self.dropped.get() + u64::from(!sent));
    }
}

async fn receive_udp(socket: UdpSocket, deliver: impl Fn(Delivery<'_>)) {
    let mut buffer = vec![0; MESSAGE_BYTES];
    while socket.readable().await.is_ok() {
        // A bounded burst, so that timers and desks get their turn under a flood.
        for _ in 0..64 {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => deliver(Delivery::Message(buffer.get(..length).unwrap_or_default(), from)),
                // An ICMP error of an earlier packet shows here; the socket goes on.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn receive_tcp(mut stream: OwnedReadHalf, server: SocketAddr, deliver: impl Fn(Delivery<'_>)) {
    let mut framer = Framer::default();
    let reason = loop {
        match stream.read_buf(&mut framer.buffer).await {
            Ok(0) => break "closed by the server".to_owned(),
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
        loop {
            match framer.next() {
                Ok(Some(message)) => deliver(Delivery::Message(&message, server)),
                Ok(None) => break,
                Err(reason) => return deliver(Delivery::Closed(reason.to_owned())),
            }
        }
    };
    deliver(Delivery::Closed(reason));
}

async fn send_tcp(mut stream: OwnedWriteHalf, mut queued: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut bytes) = queued.recv().await {
        while let (true, Ok(more)) = (bytes.len() < MESSAGE_BYTES, queued.try_recv()) {
            bytes.extend_from_slice(&more);
        }
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Cuts a stream into messages by Content-Length (RFC 3261 s.18.3).
#[derive(Default)]
struct Framer {
    buffer: Vec<u8>,
}

impl Framer {
    fn next(&mut self) -> Result<Option<Vec<u8>>, &'static str> {
        // Keep-alives between messages (RFC 5626 s.3.5.1).
        let start = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.buffer.drain(..start);
        let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if self.buffer.len() > MESSAGE_BYTES {
                Err("a message without an end")
            } else {
                Ok(None)
            };
        };
        let end = head + 4 + content_length(&self.buffer[..head]).ok_or("a message without Content-Length")?;
        if end > MESSAGE_BYTES {
            return Err("a message of more than 64 KiB");
        }
        if self.buffer.len() < end {
            return Ok(None);
        }
        Ok(Some(self.buffer.drain(..end).collect()))
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(head);
    text.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        let named = name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l");
        named.then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_the_same_however_it_is_split() {
        let one = "OPTIONS sip:a SIP/2.0\r\nl: 3\r\n\r\nabc";
        let two = "SIP/2.0 200 OK\r\nContent-Length:0\r\n\r\n";
        let stream = format!("\r\n\r\n{one}\r\n{two}");
        for step in [1, 2, 7, stream.len()] {
            let mut framer = Framer::default();
            let mut messages = Vec::new();
            for part in stream.as_bytes().chunks(step) {
                framer.buffer.extend_from_slice(part);
                while let Some(message) = framer.next().unwrap() {
                    messages.push(String::from_utf8(message).unwrap());
                }
            }
            assert_eq!(messages, [one, two], "in steps of {step}");
        }
    }

    #[test]
    fn a_message_without_a_length_is_refused() {
        for text in [
            "BYE sip:a SIP/2.0\r\nTo: b\r\n\r\n",
            "BYE sip:a SIP/2.0\r\nContent-Length: 99999999\r\n\r\n",
        ] {
            let mut framer = Framer { buffer: text.into() };
            assert!(framer.next().is_err());
        }
    }
}
